//! The processes that are left when the command is gone, found through `/proc`.
//!
//! No allocation: sexton may be doing this because the container is out of memory. What was seen
//! is marked in bitmaps with a bit for each pid there can be, of which only the pages in use take
//! memory.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};

use super::directory::each_number;
use super::process::own_pid;
use super::signals::{SendError, kill, kill_by_pidfd, send};
use crate::signal::{Received, Signal};

/// One more than the largest pid on 64-bit Linux (`PID_MAX_LIMIT`, proc(5)).
const PIDS: usize = 1 << 22;

/// A set of pids.
struct Marks([AtomicU64; PIDS / 64]);

// Behind all other data (`.cargo/dist.toml`), which so keeps to the one page that is written anyway.
/// Processes that descend from us.
#[unsafe(link_section = ".bss.~marks")]
static DESCENDANTS: Marks = Marks::none();
/// Processes that got the signal of the pass that is going on.
#[unsafe(link_section = ".bss.~marks")]
static SIGNALLED: Marks = Marks::none();

impl Marks {
    const fn none() -> Marks {
        Marks([const { AtomicU64::new(0) }; PIDS / 64])
    }

    fn word(&self, pid: i32) -> Option<(&AtomicU64, u64)> {
        let pid = usize::try_from(pid).ok()?;
        Some((self.0.get(pid / 64)?, 1 << (pid % 64)))
    }

    fn has(&self, pid: i32) -> bool {
        self.word(pid).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Returns whether it is new.
    fn add(&self, pid: i32) -> bool {
        self.word(pid).is_some_and(|(word, bit)| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    fn remove(&self, pid: i32) {
        if let Some((word, bit)) = self.word(pid) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Writes only where there is something: a page that was never written takes no memory.
    fn clear(&self) {
        for word in self.0.iter().filter(|word| word.load(Ordering::Relaxed) != 0) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

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
    /// `R`, `S`, `D`, `T`, `Z`…
    pub state: u8,
    /// A thread of the kernel's own: seen only where sexton is the first process of a machine.
    is_kernel: bool,
    name: [u8; 16],
    /// When it started: hundredths of a second since boot.
    start: u64,
}

/// The process group of the command got the stop signal together with it, at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupTold {
    group: i32,
    /// Hundredths of a second since boot.
    at: u64,
    /// The last pid there was, to tell who came later in the same hundredth.
    last_pid: i32,
}

impl GroupTold {
    /// Just now.
    pub fn now(group: i32) -> GroupTold {
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        let at = u64::try_from(since_boot.as_millis() / 10).unwrap_or(u64::MAX);
        GroupTold { group, at, last_pid: last_pid().unwrap_or(i32::MAX) }
    }

    /// Whether this process was in the group by then, and no handler of that very signal started it.
    fn has(&self, process: &Process) -> bool {
        let was_there = process.start < self.at || process.start == self.at && process.pid <= self.last_pid;
        process.group == self.group && was_there
    }
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

    /// Whether it is dead, and only its own parent can reap it.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    fn is_stopped(&self) -> bool {
        self.state == b'T'
    }
}

/// `/proc` is missing, unreadable, or shows another PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoProc;

/// To whom a signal was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// To so many.
    pub sent: usize,
    /// One to which it could not be sent, and why.
    pub refused: Option<(i32, Errno)>,
}

/// The processes that sexton is the last to care for: as PID 1 all others of the namespace, also
/// those that an engine's exec started; else all descendants.
#[derive(Clone, Copy, Debug)]
pub struct Others {
    is_init: bool,
}

/// So many passes at most are made for processes that appear while we look. Each pass signals all
/// it sees, so only what was forked in between is left for the next; and signals wait meanwhile.
const PASSES: usize = 10;

impl Others {
    /// Those around us.
    pub fn of_us() -> Others {
        Others { is_init: own_pid() == 1 }
    }

    /// Shows each of them that is alive to `visit`.
    ///
    /// # Errors
    ///
    /// Without a usable `/proc` nobody is shown.
    pub fn visit(self, mut visit: impl FnMut(&Process)) -> Result<(), NoProc> {
        self.forget();
        self.pass(|process| {
            if !process.is_zombie() {
                visit(process);
            }
        })
    }

    /// Shows each dead one that its parent does not reap to `visit`; those that we reap are left out.
    ///
    /// # Errors
    ///
    /// Without a usable `/proc` nobody is shown.
    pub fn visit_zombies(self, mut visit: impl FnMut(&Process)) -> Result<(), NoProc> {
        let ours = own_pid();
        self.forget();
        self.pass(|process| {
            if process.is_zombie() && process.parent != ours {
                visit(process);
            }
        })
    }

    /// Whether there is none, not even a dead one that its parent did not reap. As PID 1 only:
    /// elsewhere the kernel's word that we have no child is enough (wait(2), ECHILD).
    pub fn none_in_namespace(self) -> bool {
        // SAFETY: takes integers. Signal 0 to -1 asks whether anybody could be signalled (kill(2)).
        let asked = unsafe { libc::kill(-1, 0) };
        if asked == -1 {
            return self.is_init && Errno::last() == Errno::ESRCH;
        }
        // As the first process of a machine we share the namespace with the kernel's threads, which
        // count for kill(2) and never end.
        self.is_init && read_process(KTHREADD).is_some_and(|process| process.is_kernel) && self.sees_nobody()
    }

    /// Whether `/proc` shows none of them.
    fn sees_nobody(self) -> bool {
        let mut nobody = true;
        self.forget();
        self.pass(|_| nobody = false).is_ok() && nobody
    }

    /// Sends each of them this signal once, those left out that had it with the command's group, and
    /// SIGCONT to those that are stopped and could not act on it. Repeats until nobody new is
    /// found and nobody is left to whom it could not be sent.
    ///
    /// # Errors
    ///
    /// Without a usable `/proc`: then hardly anybody was.
    pub fn signal(self, received: &Received, spared: Option<GroupTold>) -> Result<Told, NoProc> {
        self.forget();
        let mut told = Told { sent: 0, refused: None };
        for _ in 0..PASSES {
            let mut found = false;
            told.refused = None;
            self.pass(|process| {
                let had_it = spared.is_some_and(|told| told.has(process));
                if !process.is_zombie() && !had_it && SIGNALLED.add(process.pid) {
                    match send_to(process, received) {
                        Ok(()) => {
                            found = true;
                            told.sent += 1;
                        }
                        // It may be gone; if it is not, the next pass tries again.
                        Err(SendError::Refused(errno) | SendError::WithoutValue(errno)) => {
                            SIGNALLED.remove(process.pid);
                            told.refused = Some((process.pid, errno));
                        }
                    }
                    if process.is_stopped() {
                        let _ = send_to(process, &Received { signal: Signal::CONT, code: libc::SI_USER, ..*received });
                    }
                }
            })?;
            if !found && told.refused.is_none() {
                break;
            }
        }
        Ok(told)
    }

    /// Kills all of them. As PID 1 the kernel does it in one step; elsewhere processes that fork
    /// and exit faster than we look may be left, and it is to be called again while there are any.
    ///
    /// # Errors
    ///
    /// Without a usable `/proc`, and then nobody was killed.
    pub fn kill(self, command: i32) -> Result<(), NoProc> {
        if self.is_init {
            // SAFETY: takes integers. All of our namespace but ourselves (kill(2)), and the kernel
            // lets no fork slip through in between.
            unsafe { libc::kill(-1, libc::SIGKILL) };
            return Ok(());
        }
        // What is stopped does not fork, and, unlike what is killed, makes no room for others
        // under a limit on processes. So first all are stopped, then all are killed.
        self.send_uncatchable(Signal::STOP, command)?;
        self.send_uncatchable(Signal::KILL, command)
    }

    /// Whole process groups at a time where that is safe, which lets no fork slip through and
    /// reaches what was replaced by a child of its own since we looked.
    fn send_uncatchable(self, signal: Signal, command: i32) -> Result<(), NoProc> {
        let ours = own_pid();
        let our_session = nix::unistd::getsid(None).map_or(0, nix::unistd::Pid::as_raw);
        self.forget();
        for _ in 0..PASSES {
            let mut found = false;
            self.pass(|process| {
                // A session that a descendant of ours leads has only descendants of ours in it, for
                // no process can enter one. The groups of our own session may have others.
                if process.session != our_session || process.group == command {
                    if SIGNALLED.add(process.group) {
                        found |= kill(-process.group, signal).is_ok();
                    }
                } else if !process.is_zombie() && SIGNALLED.add(process.pid) {
                    found = true;
                    let _ = send_to(process, &Received::sent_by(ours, signal));
                }
            })?;
            if !found {
                break;
            }
        }
        Ok(())
    }

    /// Shows each of them, also dead ones, to `visit` in one pass.
    ///
    /// A parent mostly has a lower pid than its children, comes first and is marked, so one pass
    /// finds all; where pids have wrapped around, the next pass finds the rest. The marks stay
    /// from pass to pass until [`Others::forget`].
    fn pass(self, mut visit: impl FnMut(&Process)) -> Result<(), NoProc> {
        let ours = own_pid();
        each_process(|process| {
            let is_theirs = self.is_init || process.parent == ours || DESCENDANTS.has(process.parent);
            if process.pid != ours && is_theirs {
                DESCENDANTS.add(process.pid);
                visit(process);
            }
        })
    }

    /// A pid may be another process by now.
    fn forget(self) {
        DESCENDANTS.clear();
        SIGNALLED.clear();
    }
}

/// A child of ours keeps its pid until we reap it; of all others a pidfd makes sure.
fn send_to(process: &Process, received: &Received) -> Result<(), SendError> {
    let ours = own_pid();
    if process.parent == ours || ours == 1 {
        return send(process.pid, received);
    }
    // If it cannot be seen it is gone, and its pidfd says so, or there is no descriptor left.
    let still_the_same = || read_process(process.pid).is_none_or(|now| now.start == process.start);
    match kill_by_pidfd(process.pid, received, still_the_same) {
        // An old kernel, a seccomp profile, no descriptor left: the pid was there a moment ago.
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL | Errno::EMFILE | Errno::ENFILE) => {
            kill(process.pid, received.signal).map_err(SendError::Refused)
        }
        done => done.map_err(SendError::Refused),
    }
}

/// The pid of the thread that starts all others of the kernel, in the machine's own namespace.
const KTHREADD: i32 = 2;

/// `PF_KTHREAD` of include/linux/sched.h, among the flags of `/proc/PID/stat`.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// Without waiting: a command that may mount can put FIFOs in the place of `/proc`.
const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC);

/// Calls `visit` for each process of `/proc` but the kernel's own threads, in the order of their pids.
fn each_process(mut visit: impl FnMut(&Process)) -> Result<(), NoProc> {
    if !shows_our_namespace() {
        return Err(NoProc);
    }
    let seen = each_number(c"/proc", |pid| {
        if let Some(process) = read_process(pid).filter(|process| !process.is_kernel) {
            visit(&process);
        }
    });
    seen.map_err(|_| NoProc)
}

/// A `/proc` of another PID namespace would name other processes by the same numbers.
fn shows_our_namespace() -> bool {
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
fn last_pid() -> Option<i32> {
    let file = open(c"/proc/loadavg", READ, Mode::empty()).ok()?;
    let mut text = [0; 128];
    let length = nix::unistd::read(&file, &mut text).ok()?;
    std::str::from_utf8(text.get(..length)?).ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// Looks at `/proc/PID/stat`; `None` when there is no such process any more.
fn read_process(pid: i32) -> Option<Process> {
    let mut path = [0; 32];
    std::io::Write::write_fmt(&mut &mut path[..], format_args!("/proc/{pid}/stat\0")).ok()?;
    let file = open(CStr::from_bytes_until_nul(&path).ok()?, READ, Mode::empty()).ok()?;
    let mut stat = [0; 512];
    let length = nix::unistd::read(&file, &mut stat).ok()?;
    parse_stat(stat.get(..length)?)
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
    // Field 9, then field 22: those in between are of no interest here.
    let flags = fields.nth(2).and_then(|field| std::str::from_utf8(field).ok()?.parse().ok()).unwrap_or(0_u32);
    let is_kernel = flags & KERNEL_THREAD != 0;
    let start = fields.nth(12).and_then(|field| std::str::from_utf8(field).ok()?.parse().ok()).unwrap_or(0);
    Some(Process { pid, parent, group, session, state, is_kernel, name, start })
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
    fn our_own_process_is_found() {
        let mut seen = None;
        each_process(|process| {
            if process.pid == own_pid() {
                seen = Some(*process);
            }
        })
        .unwrap();
        assert_eq!(seen.unwrap().parent, nix::unistd::getppid().as_raw());
    }

    #[test]
    fn marks_hold_every_pid_there_can_be_and_no_other() {
        static MARKS: Marks = Marks::none();
        for pid in [0, 1, 63, 64, PIDS as i32 - 1] {
            assert!(!MARKS.has(pid) && MARKS.add(pid) && !MARKS.add(pid) && MARKS.has(pid), "{pid}");
        }
        for pid in [-1, PIDS as i32, i32::MAX] {
            assert!(!MARKS.add(pid) && !MARKS.has(pid), "{pid}");
        }
        MARKS.clear();
        assert!(!MARKS.has(64));
    }

    proptest! {
        #[test]
        fn no_bytes_in_the_place_of_a_stat_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_stat(&bytes);
        }
    }
}
