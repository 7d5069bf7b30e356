//! The processes, as `/proc` shows them.
//!
//! No allocation: sexton may be reading this because the container is out of memory.

use std::ffi::CStr;
use std::fmt;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::open;
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};

use super::directory::{READ, each_name, each_number};
use super::process::own_pid;

/// A process as `/proc/PID/stat` shows it (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Its parent's pid, in our namespace.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// `R`, `S`, `D`, `T`, `Z`…; that of another thread when the first one has ended and the process has not.
    pub state: u8,
    /// How many threads it has, that one included.
    threads: u64,
    /// A thread of the kernel's own: seen only where sexton is the first process of a machine.
    pub(super) is_kernel: bool,
    /// It is about to be a zombie: it exits, or has been sent what kills it.
    pub(super) is_ending: bool,
    /// It has executed a file since it was forked.
    pub(super) was_executed: bool,
    name: [u8; 16],
    /// When it started: hundredths of a second since boot.
    pub(super) start: u64,
}

impl Process {
    /// The name of its executable, at most 15 bytes of it.
    pub fn name(&self) -> &[u8] {
        self.name.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// One that no kernel showed.
    #[cfg(test)]
    pub fn imagined(pid: i32, state: u8, name: &str) -> Process {
        parse_stat(format!("{pid} ({name}) {} 1 1 1", char::from(state)).as_bytes()).unwrap()
    }

    /// Whether it is dead, all of its threads are, and nobody has reaped it.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state == b'T'
    }

    /// Whether it started before this moment ([`since_boot`]), or in the same hundredth of a second.
    pub fn started_by(&self, moment: u64) -> bool {
        self.start <= moment
    }

    /// Whether it started before this hundredth of a second.
    pub fn started_before(&self, moment: u64) -> bool {
        self.start < moment
    }
}

/// `/proc` is missing, unreadable, or shows another PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoProc;

/// `PF_KTHREAD` of include/linux/sched.h, among the flags of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// `PF_EXITING`, in the same place.
const EXITING: u64 = 0x0000_0004;

/// SIGKILL in the set of signals of `/proc/PID/stat`: any signal that is going to kill a process is told to
/// its threads as this one (`complete_signal` of kernel/signal.c).
const KILLED: u64 = 1 << (libc::SIGKILL - 1);

/// `PF_FORKNOEXEC` in the same place.
const FORKED_ONLY: u64 = 0x40;

/// Calls `visit` for each process of `/proc` but the kernel's own threads, in the order of their pids, until it
/// returns `false`.
///
/// # Errors
///
/// Without a usable `/proc`, or a descriptor to look at it with; some may have been visited by then.
pub(super) fn each_process(mut visit: impl FnMut(&Process) -> bool) -> Result<(), NoProc> {
    if !shows_our_namespace() {
        return Err(NoProc);
    }
    let mut blind = false;
    let seen = each_number(c"/proc", |pid| {
        match look_at(pid) {
            Ok(process) if process.is_kernel => {}
            Ok(process) => return visit(&process),
            Err(errno) => blind |= matches!(errno, Errno::EMFILE | Errno::ENFILE),
        }
        true
    });
    if blind || seen.is_err() { Err(NoProc) } else { Ok(()) }
}

/// A `/proc` of another PID namespace would name other processes by the same numbers.
pub(super) fn shows_our_namespace() -> bool {
    let mut target = [0; 16];
    // SAFETY: a C string, and a buffer with its size.
    let length = unsafe { libc::readlink(c"/proc/self".as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    let pid = |length| std::str::from_utf8(target.get(..length)?).ok()?.parse().ok();
    usize::try_from(length).is_ok_and(|length| pid(length) == Some(own_pid()))
}

/// The process with this pid, if there is one and it can be seen.
pub fn process(pid: i32) -> Option<Process> {
    read_process(pid).filter(|_| pid > 0 && shows_our_namespace())
}

/// The pid that was given out last in our namespace: the last word of /proc/loadavg (proc(5)).
pub(super) fn last_pid() -> Option<i32> {
    let mut room = [0; 128];
    let text = read(format_args!("/proc/loadavg"), &mut room).ok()?;
    std::str::from_utf8(text).ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// Now, in the hundredths of a second since boot that [`Process`] has its start in.
pub fn since_boot() -> u64 {
    let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    u64::try_from(since_boot.as_millis() / 10).unwrap_or(u64::MAX)
}

/// Looks at `/proc/PID/stat`; `None` when there is no such process any more, or it cannot be seen.
pub(super) fn read_process(pid: i32) -> Option<Process> {
    look_at(pid).ok()
}

fn look_at(pid: i32) -> Result<Process, Errno> {
    let mut process = read_stat(format_args!("/proc/{pid}/stat"))?;
    if process.pid != pid {
        return Err(Errno::ESRCH);
    }
    // The first thread ended by itself (pthread_exit(3)), and waits for the others.
    if process.is_zombie()
        && process.threads > 1
        && let Some(thread) = a_living_thread(pid)
    {
        process = Process { state: thread.state, is_ending: thread.is_ending, ..process };
    }
    Ok(process)
}

#[cold]
#[inline(never)]
fn a_living_thread(pid: i32) -> Option<Process> {
    let mut living = None;
    let tasks = Path::of(format_args!("/proc/{pid}/task"))?;
    let _ = each_name(tasks.c_str()?, |name| {
        let thread = std::str::from_utf8(name).ok().and_then(|digits| digits.parse::<i32>().ok());
        let thread = thread.and_then(|thread| read_stat(format_args!("/proc/{pid}/task/{thread}/stat")).ok());
        living = thread.filter(|thread| !thread.is_zombie());
        living.is_none()
    });
    living
}

/// The process that traces this one (ptrace(2)); 0 for none, and for one outside of our namespace.
pub fn tracer(pid: i32) -> Option<i32> {
    let mut room = [0; 512];
    // In a name the kernel escapes the ends of lines.
    let mut lines = read(format_args!("/proc/{pid}/status"), &mut room).ok()?.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(b"TracerPid:"))?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

fn read_stat(path: fmt::Arguments<'_>) -> Result<Process, Errno> {
    parse_stat(read(path, &mut [0; 512])?).ok_or(Errno::EINVAL)
}

/// The beginning of a file, as much as there is room for.
fn read<'a>(path: fmt::Arguments<'_>, room: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    let path = Path::of(path).ok_or(Errno::ENAMETOOLONG)?;
    let file = open(path.c_str().ok_or(Errno::EINVAL)?, READ, Mode::empty())?;
    let length = nix::unistd::read(&file, room)?;
    Ok(room.get(..length).unwrap_or_default())
}

/// The path of something below `/proc`.
pub(super) struct Path([u8; 48]);

impl Path {
    // Not a part of others: docs/panics.md has it by its name.
    #[inline(never)]
    pub(super) fn of(path: fmt::Arguments<'_>) -> Option<Path> {
        let mut bytes = [0; 48];
        std::io::Write::write_fmt(&mut &mut bytes[..], format_args!("{path}\0")).ok()?;
        Some(Path(bytes))
    }

    pub(super) fn c_str(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.0).ok()
    }
}

/// How long this process and its dead children have had a processor, to hundredths of a second.
pub fn processor_time(pid: i32) -> Option<Duration> {
    let time = parse_processor_time(read(format_args!("/proc/{pid}/stat"), &mut [0; 512]).ok()?)?;
    shows_our_namespace().then_some(time)
}

/// Calls `visit` for the first children of this process's first thread, at most so many as there is room
/// for. Nobody is seen where the kernel does not list them (`CONFIG_PROC_CHILDREN`).
pub fn each_child(pid: i32, mut visit: impl FnMut(&Process)) {
    let mut room = [0; 256];
    let Ok(list) = read(format_args!("/proc/{pid}/task/{pid}/children"), &mut room) else { return };
    if !shows_our_namespace() {
        return;
    }
    // `12 34 `: what has no blank behind it may be cut.
    let whole = list.iter().rposition(|byte| *byte == b' ').unwrap_or_default();
    for number in list.get(..whole).unwrap_or_default().split(|byte| *byte == b' ') {
        let pid = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        if let Some(process) = pid.and_then(read_process).filter(|process| !process.is_zombie()) {
            visit(&process);
        }
    }
}

/// What this process was called by, as much of it as there is room for: the first of its arguments.
///
/// It is in the process's own memory: whoever asks waits while a thread of it changes that, so it must have
/// one thread, which waits for something else.
pub fn called_by(pid: i32, room: &mut [u8; 64]) -> Option<&[u8]> {
    let words = read(format_args!("/proc/{pid}/cmdline"), room).ok()?;
    shows_our_namespace().then_some(words.split(|byte| *byte == 0).next()?)
}

/// `PID (NAME) STATE PPID PGRP …`, where the name may hold anything, parentheses too.
pub fn parse_stat(stat: &[u8]) -> Option<Process> {
    let opening = stat.iter().position(|byte| *byte == b'(')?;
    let closing = stat.iter().rposition(|byte| *byte == b')')?;
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(stat.get(opening + 1..closing)?) {
        *to = *from;
    }
    let pid = std::str::from_utf8(stat.get(..opening)?).ok()?.trim().parse().ok()?;
    let mut fields = stat.get(closing + 1..)?.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let state = *fields.next()?.first()?;
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    // Fields 9, 20, 22 and 31: those in between are of no interest here.
    let mut skip = |fields_between| {
        fields.nth(fields_between).and_then(|field| std::str::from_utf8(field).ok()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let flags = skip(2);
    let (threads, start, pending) = (skip(10), skip(1), skip(8));
    let (is_kernel, was_executed) = (flags & KERNEL_THREAD != 0, flags & FORKED_ONLY == 0);
    let is_ending = flags & EXITING != 0 || pending & KILLED != 0;
    Some(Process { pid, parent, group, session, state, threads, is_kernel, is_ending, was_executed, name, start })
}

/// Fields 14 to 17, in hundredths of a second: in user mode and in the kernel, its own and its dead
/// children's.
fn parse_processor_time(stat: &[u8]) -> Option<Duration> {
    let closing = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = stat.get(closing + 1..)?.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let mut fields = fields.skip(11);
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<u64>().ok();
    let own = number()?.saturating_add(number()?);
    let hundredths = own.saturating_add(number()?).saturating_add(number()?);
    Some(Duration::from_millis(hundredths.saturating_mul(10)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_process_whose_name_looks_like_the_rest_of_the_line_is_read_right() {
        let process = parse_stat(b"42 (a) R 7 (x) S 1 2 3 0 -1 4194560 100").unwrap();
        assert_eq!((process.pid, process.state, process.parent), (42, b'S', 1));
        assert_eq!((process.group, process.session), (2, 3));
        assert_eq!(process.name(), b"a) R 7 (x");
        let process = parse_stat(b"1 (fifteen--bytes-) Z 0 1 1 0 -1").unwrap();
        assert_eq!(process.name(), b"fifteen--bytes-");
        assert!(process.is_zombie());
    }

    #[test]
    fn a_thread_of_the_kernels_is_told_from_a_process_with_its_name() {
        let line = |flags| format!("2 (kthreadd) S 0 0 0 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0");
        let thread = parse_stat(line(2_129_984).as_bytes()).unwrap();
        assert!(thread.is_kernel && thread.start == 7, "{thread:?}");
        let process = parse_stat(line(4_194_560).as_bytes()).unwrap();
        assert!(!process.is_kernel && process.start == 7, "{process:?}");
    }

    #[test]
    fn the_time_on_a_processor_is_that_of_the_process_and_of_its_dead_children() {
        let line = b"42 (a) R) S 1 2 3 0 -1 4194560 100 200 300 400 1 20 300 4000 20 0 1 0 7 0 0";
        assert_eq!(parse_processor_time(line), Some(Duration::from_millis(43_210)));
        assert_eq!(parse_processor_time(b"42 (a) S 1 2 3 0 -1 4194560 100 200 300 400 1 20 300"), None);
    }

    #[test]
    fn our_own_process_is_found() {
        let mut seen = None;
        each_process(|process| {
            if process.pid == own_pid() {
                seen = Some(*process);
            }
            seen.is_none()
        })
        .unwrap();
        assert_eq!(seen.unwrap().parent, nix::unistd::getppid().as_raw());
    }

    proptest! {
        #[test]
        fn no_bytes_in_the_place_of_a_stat_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_stat(&bytes);
        }
    }
}
