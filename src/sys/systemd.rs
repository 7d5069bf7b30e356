//! The variables by which systemd names the process that it started (systemd.exec(5)).
//!
//! That process is sexton, but meant is the command: what reads such a variable compares it with its
//! own pid, and where they differ takes no sockets (sd_listen_fds(3)), keeps no watchdog quiet
//! (sd_watchdog_enabled(3)), or believes that somebody else was started. So they name the command.
//! `MAINPID` and `MANAGERPID` name others, and stay.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicU8, Ordering};

use super::entry::Environment;
use super::process::own_pid;

/// `LISTEN_PID`, which says whose the sockets are.
const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// What holds the pid of the process that systemd started.
const NAME_A_PID: [&[u8]; 3] = [LISTEN_PID, b"WATCHDOG_PID=", b"SYSTEMD_EXEC_PID="];

/// The inode number of a pidfd of the process that `LISTEN_PID` names (systemd 258). The command's has
/// another one; without the variable `LISTEN_PID` alone counts.
const LISTEN_PIDFDID: &[u8] = b"LISTEN_PIDFDID=";

/// An environment in which the command is named where sexton was.
pub(super) struct NamingCommand {
    original: Environment,
    changed: Option<Changed>,
}

struct Changed {
    /// The vector, with the entries exchanged.
    pointers: Vec<*const c_char>,
    entries: Vec<Entry>,
}

/// An entry with room for a pid. Written by the child, who alone knows its pid before exec.
struct Entry {
    bytes: Vec<AtomicU8>,
    /// Where the pid begins.
    value: usize,
}

impl NamingCommand {
    /// Allocates only where there is something to change.
    pub(super) fn new(original: Environment) -> NamingCommand {
        let changed = original.iter().any(|entry| naming_us(entry).is_some()).then(|| Changed::new(original));
        NamingCommand { original, changed }
    }

    /// Writes the pid. In the child.
    pub(super) fn write(&self, pid: impl FnOnce() -> c_int) {
        let Some(changed) = &self.changed else { return };
        let pid = pid();
        for entry in &changed.entries {
            entry.write(pid);
        }
    }

    /// For execve(2).
    pub(super) fn as_ptr(&self) -> *const *const c_char {
        match &self.changed {
            Some(changed) => changed.pointers.as_ptr(),
            None => self.original.pointers().as_ptr(),
        }
    }
}

impl Changed {
    // Not a part of its caller, whose code every start runs.
    #[cold]
    #[inline(never)]
    fn new(original: Environment) -> Changed {
        let sockets_are_ours = original.iter().any(|entry| naming_us(entry) == Some(LISTEN_PID));
        let mut changed = Changed { pointers: Vec::new(), entries: Vec::new() };
        for entry in original.iter() {
            if sockets_are_ours && entry.to_bytes().starts_with(LISTEN_PIDFDID) {
                continue;
            }
            let pointer = match naming_us(entry) {
                Some(name) => changed.exchanged(name),
                None => entry.as_ptr(),
            };
            changed.pointers.push(pointer);
        }
        changed.pointers.push(std::ptr::null());
        changed
    }

    /// A new entry in the place of one with this name.
    fn exchanged(&mut self, name: &[u8]) -> *const c_char {
        // Eleven more bytes: the longest pid and a NUL.
        let bytes: Vec<_> = name.iter().copied().chain([0; 11]).map(AtomicU8::new).collect();
        let pointer = bytes.as_ptr().cast();
        self.entries.push(Entry { bytes, value: name.len() });
        pointer
    }
}

impl Entry {
    /// In decimal digits. Without the help of `format!`: the child must not allocate.
    fn write(&self, pid: c_int) {
        let mut divisor = 1;
        while pid.checked_div(divisor).is_some_and(|rest| rest >= 10) {
            divisor *= 10;
        }
        for byte in self.bytes.iter().skip(self.value) {
            let Some(rest) = pid.checked_div(divisor) else { break };
            byte.store(b'0' + (rest % 10) as u8, Ordering::Relaxed);
            divisor /= 10;
        }
    }
}

/// The name, with its `=`, if this entry names sexton as the process that systemd started.
fn naming_us(entry: &CStr) -> Option<&'static [u8]> {
    let entry = entry.to_bytes();
    let name = NAME_A_PID.into_iter().find(|name| entry.starts_with(name))?;
    let pid = std::str::from_utf8(entry.strip_prefix(name)?).ok()?;
    (pid.parse() == Ok(own_pid())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the command with this pid would find.
    fn found(given: &[&str], pid: c_int) -> Vec<String> {
        let environment = NamingCommand::new(Environment::from_strings(given.iter().copied()));
        environment.write(|| pid);
        let mut pointer = environment.as_ptr();
        let mut entries = Vec::new();
        // SAFETY: the vector ends in a null pointer, and we stop there.
        while !unsafe { *pointer }.is_null() {
            // SAFETY: it was not the null at the end.
            let entry = unsafe { *pointer };
            // SAFETY: all but the last are C strings that live as long as `environment`.
            entries.push(unsafe { CStr::from_ptr(entry) }.to_str().unwrap().to_owned());
            // SAFETY: as above, so another pointer is behind it.
            pointer = unsafe { pointer.add(1) };
        }
        entries
    }

    #[test]
    fn each_variable_that_names_sexton_names_the_command_and_no_other_is_changed() {
        for name in ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"] {
            let own = format!("{name}={}", own_pid());
            let other = format!("{name}=999999999");
            let empty = format!("{name}=");
            for (given, pid, expected) in [
                (&own, 7, format!("{name}=7")),
                (&own, 10, format!("{name}=10")),
                (&own, 4_194_304, format!("{name}=4194304")),
                (&own, i32::MAX, format!("{name}=2147483647")),
                (&other, 7, other.clone()),
                (&empty, 7, empty.clone()),
            ] {
                assert_eq!(found(&["A=1", given, "LISTEN_FDS=1"], pid), ["A=1", &expected, "LISTEN_FDS=1"]);
            }
        }
    }

    #[test]
    fn a_variable_that_names_another_process_than_the_one_that_was_started_is_left_alone() {
        let own = own_pid();
        for name in ["MAINPID", "MANAGERPID", "MY_LISTEN_PID", "LISTEN_PID_", "XLISTEN_PID", "PIDFILE", "SSH_AGENT_PID"]
        {
            let given = format!("{name}={own}");
            assert_eq!(found(&[&given], 7), [given.as_str()]);
        }
    }

    #[test]
    fn all_of_them_at_once_and_one_that_is_there_twice() {
        let [listen, watchdog, exec] =
            ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"].map(|name| format!("{name}={}", own_pid()));
        let given = [&watchdog, "WATCHDOG_USEC=3", &exec, &listen, "", &listen];
        let expected =
            ["WATCHDOG_PID=12", "WATCHDOG_USEC=3", "SYSTEMD_EXEC_PID=12", "LISTEN_PID=12", "", "LISTEN_PID=12"];
        assert_eq!(found(&given, 12), expected);
    }

    #[test]
    fn the_pidfd_of_sexton_goes_where_listen_pid_named_sexton_and_stays_where_it_did_not() {
        let own = format!("LISTEN_PID={}", own_pid());
        let watchdog = format!("WATCHDOG_PID={}", own_pid());
        for (given, expected) in [
            (vec!["LISTEN_PIDFDID=5", own.as_str(), "A=1"], vec!["LISTEN_PID=7", "A=1"]),
            (vec![own.as_str(), "A=1", "LISTEN_PIDFDID=5"], vec!["LISTEN_PID=7", "A=1"]),
            (vec!["LISTEN_PID=999999999", "LISTEN_PIDFDID=5"], vec!["LISTEN_PID=999999999", "LISTEN_PIDFDID=5"]),
            (vec!["LISTEN_PIDFDID=5"], vec!["LISTEN_PIDFDID=5"]),
            (vec!["LISTEN_PIDFDID=5", watchdog.as_str()], vec!["LISTEN_PIDFDID=5", "WATCHDOG_PID=7"]),
            (
                vec![own.as_str(), "MAINPIDFDID=5", "MANAGERPIDFDID=6"],
                vec!["LISTEN_PID=7", "MAINPIDFDID=5", "MANAGERPIDFDID=6"],
            ),
        ] {
            assert_eq!(found(&given, 7), expected, "{given:?}");
        }
    }
}
