//! Why the command could not be started.

use std::ffi::{CStr, CString};

use nix::errno::Errno;

use super::Name;
use crate::config::exit_status;

/// One sentence, and the exit status that goes with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What to tell the user.
    pub sentence: String,
    /// 125, 126 or 127.
    pub status: u8,
}

/// clone(2) was refused.
pub fn fork_refused(errno: Errno) -> Refusal {
    let hint = match errno {
        Errno::EAGAIN => ": a limit on the number of processes is reached (ulimit -u, --pids-limit)",
        Errno::ENOMEM => ": there is not enough memory",
        _ => "",
    };
    let sentence = format!("cannot start a process: {}{hint}", errno.desc());
    Refusal { sentence, status: exit_status::SEXTON_FAILED }
}

/// execve(2) was refused for this file.
pub fn exec_refused(name: &CStr, path: &CString, errno: Errno) -> Refusal {
    let name = Name(name);
    let path = Name(path);
    let status = match errno {
        Errno::ENOENT | Errno::ENOTDIR => exit_status::NOT_FOUND,
        _ => exit_status::CANNOT_EXECUTE,
    };
    Refusal { sentence: format!("cannot execute {name}: {path}: {}", errno.desc()), status }
}

/// No directory of `PATH` has the command.
pub fn not_in_path(name: &CStr, path: &[u8]) -> Refusal {
    let sentence =
        format!("cannot execute {}: there is no such file in PATH={}", Name(name), String::from_utf8_lossy(path));
    Refusal { sentence, status: exit_status::NOT_FOUND }
}
