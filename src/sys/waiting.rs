//! Where a process waits in the kernel, as far as we may know: the kernel tells only who may trace it
//! (ptrace(2), "Ptrace access mode checking").

use std::ffi::c_long;
use std::fmt;

use super::file::read_into;
use super::proc::{Path, shows_our_namespace};

/// By which calls a process waits for signals: with 32 bits there are two (Linux 5.1).
#[cfg(target_pointer_width = "64")]
const SIGTIMEDWAIT: [c_long; 1] = [libc::SYS_rt_sigtimedwait];
#[cfg(not(target_pointer_width = "64"))]
const SIGTIMEDWAIT: [c_long; 2] = [libc::SYS_rt_sigtimedwait, super::signals::SYS_RT_SIGTIMEDWAIT_TIME64];

/// The system call that a process waits in (`/proc/PID/syscall`, proc_pid_syscall(5)).
///
/// Who returned from it and made it again, from another place or deeper in the program, has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemCall {
    number: c_long,
    stack: u64,
    instruction: u64,
}

impl SystemCall {
    /// Of the first thread of this process. None while it runs, or where we may not know.
    ///
    /// To be asked of one that waits as most do, in state S: for one that is being replaced (execve(2)) the
    /// kernel has us wait.
    pub fn of(pid: i32) -> Option<SystemCall> {
        let path = Path::of(format_args!("/proc/{pid}/syscall"))?;
        let call = parse_system_call(read_into(path.c_str()?, &mut [0; 256])?)?;
        shows_our_namespace().then_some(call)
    }

    /// Whether it waits for signals (sigtimedwait(2)). It blocks those for which it waits, which the kernel does
    /// not show meanwhile.
    pub fn waits_for_signals(self) -> bool {
        SIGTIMEDWAIT.contains(&self.number)
    }

    /// Whether it waits for a child or a signal to come, and for nothing that has to do with its memory.
    pub fn is_idle(self) -> bool {
        self.waits_for_child() || self.number == libc::SYS_rt_sigsuspend
    }

    /// Whether it waits for a child (wait(2)).
    pub fn waits_for_child(self) -> bool {
        [libc::SYS_wait4, libc::SYS_waitid].contains(&self.number)
    }
}

/// `61 0x7 0x7ffe 0x0 0x0 0x0 0x0 0x7ffe1 0x7f41`: the number, six arguments, the stack pointer, the
/// program counter. Without arguments, and with -1 as its number: waiting outside of a system call.
pub fn parse_system_call(line: &str) -> Option<SystemCall> {
    let mut words = line.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut last = words.rev().map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    let (instruction, stack) = (last.next()??, last.next()??);
    Some(SystemCall { number, stack, instruction })
}

/// The function of the kernel in which a process waits (`/proc/PID/wchan`, proc_pid_wchan(5)).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WaitChannel {
    name: [u8; WaitChannel::LONGEST],
    length: usize,
}

impl WaitChannel {
    const LONGEST: usize = 48;

    /// Of the process with this pid. None while it runs, or where we may not know.
    pub fn of(pid: i32) -> Option<WaitChannel> {
        let path = Path::of(format_args!("/proc/{pid}/wchan"))?;
        let mut name = [0; WaitChannel::LONGEST];
        let text = read_into(path.c_str()?, &mut name)?.trim_end();
        let length = text.len();
        (!text.is_empty() && text != "0" && shows_our_namespace()).then_some(WaitChannel { name, length })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name.get(..self.length).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// One that no kernel showed.
    #[cfg(test)]
    pub fn imagined(text: &str) -> WaitChannel {
        let mut name = [0; WaitChannel::LONGEST];
        name[..text.len()].copy_from_slice(text.as_bytes());
        WaitChannel { name, length: text.len() }
    }
}

impl fmt::Debug for WaitChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_call_is_told_by_its_number_and_from_where_it_was_made() {
        let call = |line| parse_system_call(line).unwrap();
        let wait = call("61 0xffffffffffffffff 0x7ffe0 0x0 0x0 0x0 0x0 0x7ffe1 0x7f41\n");
        assert_eq!(wait, SystemCall { number: 61, stack: 0x7ffe1, instruction: 0x7f41 });
        assert_eq!(wait, call("61 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffe1 0x7f41"), "its arguments may have changed since");
        assert_ne!(wait, call("61 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffd1 0x7f41"));
        assert_eq!(call("-1 0x7ffe1 0x7f41\n"), SystemCall { number: -1, stack: 0x7ffe1, instruction: 0x7f41 });
        for line in ["", "running\n", "61", "61 0x1", "x 0x1 0x2", "61 0x1 y"] {
            assert_eq!(parse_system_call(line), None, "{line:?}");
        }
    }

    #[test]
    fn what_a_thread_waits_in_is_read_from_the_real_file() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            let _ = ends.recv();
        });
        let pid = told.recv().unwrap();
        let found = (0..10_000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            let found = SystemCall::of(pid).zip(WaitChannel::of(pid));
            found.filter(|(call, _)| call.number == libc::SYS_futex)
        });
        drop(end);
        thread.join().unwrap();
        let (call, channel) = found.expect("it waits");
        assert!(!call.waits_for_child() && channel.name().starts_with("futex"), "{channel:?}");
    }
}
