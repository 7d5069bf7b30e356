//! The system calls of a program, told by strace(1).

use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::launch::{self, Running, Setup};
use crate::{names, proc};

/// A program that strace looks over the shoulder of, from its execve(2) on.
#[derive(Debug)]
pub struct Traced {
    /// The program.
    pub running: Running,
    strace: Child,
    log: File,
}

/// Starts a program and strace with it.
///
/// # Errors
///
/// strace is not installed, or the program cannot be started.
pub fn start(line: &[&str], environment: &[&str], setup: Setup) -> io::Result<Traced> {
    let mut running = launch::start(line, environment, Setup { hold: true, ..setup })?;
    let log = std::env::temp_dir().join(format!("sexton-bench-calls-{}", names::random()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&log).arg("-p").arg(running.pid.to_string());
    let strace = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    let strace = strace.map_err(|error| io::Error::other(format!("strace: {error}: apt-get install strace")))?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while proc::field(running.pid, "TracerPid").is_none_or(|pid| pid == "0") {
        if Instant::now() > deadline {
            return Err(io::Error::other("strace does not attach"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let file = File::open(&log);
    std::fs::remove_file(&log)?;
    running.release();
    Ok(Traced { running, strace, log: file? })
}

impl Traced {
    /// Waits for the program's end, and returns which system calls were made, in their order.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or the program failed.
    pub fn finish(mut self) -> io::Result<Calls> {
        let pid = self.running.pid;
        self.running.await_death();
        let status = self.running.reap();
        self.strace.wait()?;
        if status != 0 {
            return Err(io::Error::other(format!("the init ends with status {status}")));
        }
        let mut text = String::new();
        self.log.rewind()?;
        self.log.read_to_string(&mut text)?;
        Ok(Calls::of(&text, pid))
    }
}

/// Names of system calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// By the program, from its exec to its end.
    pub own: Vec<String>,
    /// By its first child, up to the command's exec, which counts.
    pub child: Vec<String>,
}

impl Calls {
    /// Lines are `PID name(arguments) = result`; a call that another process interrupted is
    /// `PID name(arguments <unfinished ...>` and later `PID <... name resumed>…`.
    fn of(log: &str, pid: i32) -> Calls {
        let mut calls = Calls::default();
        let mut child = None;
        let (mut executed, mut child_executed) = (false, false);
        for line in log.lines() {
            let Some((who, what)) = line.split_once(' ') else { continue };
            let (who, what) = (who.parse().unwrap_or(0), what.trim_start());
            let is_exec = what.contains("execve") && what.ends_with("= 0");
            let name = what.split_once('(').map(|(name, _)| name.to_owned()).filter(|_| !what.starts_with('<'));
            if who == pid {
                calls.own.extend(name.filter(|_| executed));
                executed |= is_exec;
            } else if *child.get_or_insert(who) == who {
                calls.child.extend(name.filter(|_| !child_executed));
                child_executed |= is_exec;
            }
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_count_from_the_exec_of_the_init_to_that_of_the_command() {
        let log = "\
7 read(3, \"\", 1) = 1
7 execve(\"/init\", [\"/init\"], []) = 0
7 clone(child_stack=NULL <unfinished ...>
8 rt_sigprocmask(SIG_SETMASK, [], NULL, 8) = 0
8 execve(\"/command\", [\"/command\"], [] <unfinished ...>
7 <... clone resumed>) = 8
8 <... execve resumed>) = 0
8 mmap(NULL) = 0x1
9 exit(0) = ?
7 wait4(-1, NULL, 0, NULL) = 8
7 exit_group(0) = ?
7 +++ exited with 0 +++
";
        let calls = Calls::of(log, 7);
        assert_eq!(calls.own, ["clone", "wait4", "exit_group"]);
        assert_eq!(calls.child, ["rt_sigprocmask", "execve"]);
    }
}
