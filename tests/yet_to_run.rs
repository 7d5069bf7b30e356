//! The closing line: how many tests this machine or this user could not run, and which.
//!
//! cargo runs the test programs by name, so this one comes last. It has no tests and no harness, which would
//! hide what it prints. Where something else runs the tests in another order (`make test`, with nextest), it is
//! run again at the end.

#![allow(dead_code, reason = "tests/hermetic.rs tests a part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// When the process that runs the tests has begun: what was left out earlier does not count.
fn begin() -> SystemTime {
    let given = std::env::var("TESTS_BEGAN").ok().and_then(|began| began.parse().ok());
    let began = given.unwrap_or_else(|| parent_began().unwrap_or(0));
    SystemTime::UNIX_EPOCH + Duration::from_secs(began)
}

/// In seconds since 1970, rounded down.
fn parent_began() -> Option<u64> {
    let parent = std::os::unix::process::parent_id();
    let stat = std::fs::read_to_string(format!("/proc/{parent}/stat")).ok()?;
    // Field 22 (proc(5)), in ticks of a hundredth of a second after the machine's start.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    // Both are rounded.
    Some(boot + ticks / 100 - 1)
}

/// The tests that were left out since this moment, by what was missing.
fn left_out(folder: &Path, begin: SystemTime) -> BTreeMap<String, Vec<String>> {
    let mut left_out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let changed = file.metadata().and_then(|metadata| metadata.modified());
        if !name.starts_with('.') && changed.is_ok_and(|changed| changed >= begin) {
            let missing = std::fs::read_to_string(file.path()).unwrap_or_default();
            left_out.entry(missing).or_default().push(name);
        }
    }
    left_out.values_mut().for_each(|tests| tests.sort());
    left_out
}

/// The line.
pub fn closing(folder: &Path, begin: SystemTime) -> String {
    let left_out = left_out(folder, begin);
    let groups: Vec<_> = left_out.iter().map(|(what, tests)| format!("without {what}: {}", tests.join(", "))).collect();
    match left_out.values().map(Vec::len).sum::<usize>() {
        0 => "closing: no test was left out".to_owned(),
        1 => format!("closing: 1 test was left out; {}", groups.join("; ")),
        count => format!("closing: {count} tests were left out; {}", groups.join("; ")),
    }
}

fn main() {
    // nextest asks for the names of the tests.
    if !std::env::args().any(|argument| argument == "--list") {
        println!("{}", closing(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("left-out"), begin()));
    }
}
