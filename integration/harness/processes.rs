//! The processes of a container, as one of it sees them.

use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// What a container is asked to run for [`wait_for`].
pub const LIST: [&str; 3] = ["ps", "-o", "pid,stat,comm"];

/// A process.
#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    /// `Z` is a zombie.
    pub state: char,
    pub name: String,
}

/// Lists the processes of a container, but for the one that lists them, until they are as expected.
pub fn wait_for(list: impl Fn() -> String, what: &str, is_so: impl Fn(&[Process]) -> bool) {
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let (pid, state) = (words.next()?, words.next()?);
        // A name may have blanks in it.
        let name = words.collect::<Vec<_>>().join(" ");
        Some(Process { pid: pid.parse().ok()?, state: state.chars().next()?, name })
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = list();
        let all = all.lines().skip(1).map(|line| parse(line).unwrap_or_else(|| panic!("ps said {line:?}")));
        let all: Vec<_> = all.filter(|process| process.name != "ps").collect();
        if is_so(&all) {
            return;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}: {all:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Their names in alphabetical order.
pub fn names(processes: &[Process]) -> Vec<&str> {
    let mut names: Vec<_> = processes.iter().map(|process| process.name.as_str()).collect();
    names.sort_unstable();
    names
}
