//! The processes of a container, as /proc of this machine, or of a room, shows them.

use std::fs;
use std::path::Path;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    /// `Z` is a zombie (proc(5)).
    pub state: char,
}

/// The children of a process, zombies among them: `docker top` does not show those.
pub fn children(proc: &Path, parent: i32) -> Vec<Process> {
    assert!(
        fs::exists(proc.join(parent.to_string())).unwrap_or(false),
        "there is no /proc/{parent}: this test needs an engine on this machine itself, and the host's PID namespace"
    );
    let pids = fs::read_dir(proc).unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        // "PID (NAME) STATE PARENT ...", and the name may contain anything (proc(5)). A process
        // that ended meanwhile has none.
        let stat = fs::read_to_string(proc.join(format!("{pid}/stat"))).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        (fields.next()?.parse() == Ok(parent)).then_some(Process { pid, state })
    })
    .collect()
}
