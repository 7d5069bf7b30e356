//! The processes of a container, as /proc of this machine shows them.

use std::fs;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// `Z` is a zombie (proc(5)).
    pub state: char,
}

/// The children of a process, zombies among them: `docker top` does not show those.
pub fn children(parent: i32) -> Vec<Process> {
    assert!(
        fs::exists(format!("/proc/{parent}")).unwrap_or(false),
        "there is no /proc/{parent}: this test needs an engine on this machine itself, and the host's PID namespace"
    );
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        // "PID (NAME) STATE PARENT ...", and the name may contain anything (proc(5)). A process
        // that ended meanwhile has none.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        (fields.next()?.parse() == Ok(parent)).then_some(Process { pid, state })
    })
    .collect()
}
