//! Blocking, waiting for and sending signals, through the raw system calls.
//!
//! libc's `sigset_t` functions leave out 32 and 33, which its threads use for themselves; the
//! command gets all 64 from sexton, so sexton talks to the kernel directly.

use std::cell::UnsafeCell;
use std::ffi::c_long;
use std::mem::{MaybeUninit, size_of};
use std::ptr;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::Pid;

use super::first;
use super::process::own_pid;
use crate::signal::{HeldBack, Received, Signal, SignalSet};

/// What `sigsetsize` of the rt_ system calls must be: 64 signals, one bit each.
const SET_SIZE: usize = size_of::<u64>();

/// `siginfo_t` of the kernel (include/uapi/asm-generic/siginfo.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct SigInfo {
    signo: i32,
    errno: i32,
    code: i32,
    // What follows is aligned for a pointer.
    #[cfg(target_pointer_width = "64")]
    padding: i32,
    pid: i32,
    uid: u32,
    value: usize,
    rest: [u32; REST],
}

/// How many words of it nobody here reads.
const REST: usize = if cfg!(target_pointer_width = "64") { 24 } else { 26 };

const _: () = assert!(size_of::<SigInfo>() == size_of::<libc::siginfo_t>());

/// The signal state that sexton was started with and that the command gets.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    /// The signal mask.
    pub(super) mask: SignalSet,
    /// SIGCHLD was ignored: sexton needs its default, the command gets it ignored again.
    pub(super) ignores_child_death: bool,
    /// Why sexton does not have the signal state that it needs: nothing may be started then.
    pub refused: Option<Errno>,
}

impl Inherited {
    /// Blocks every signal, and lets dead children stay until they are reaped.
    ///
    /// All other dispositions stay as they were: what is blocked is delivered to sigtimedwait(2)
    /// even when it is ignored, and so the command inherits them without anybody's help.
    pub(super) fn take_over() -> Inherited {
        let mask = first::inherited_mask().map_or_else(|| set_mask(SignalSet::ALL), Ok);
        // An ignored SIGCHLD makes the kernel reap by itself, and the status is lost (wait(2)).
        // SA_NOCLDWAIT does the same, but does not survive execve(2).
        let child_death = set_disposition(Signal::CHLD, libc::SIG_DFL);
        Inherited {
            mask: mask.unwrap_or(SignalSet::EMPTY),
            ignores_child_death: child_death == Ok(libc::SIG_IGN),
            refused: mask.err().or(child_death.err()),
        }
    }

    /// Lets signals act on sexton again as they would have, but for one, which stays blocked.
    pub fn give_back_but(self, blocked: Signal) {
        let _ = set_mask(self.mask.with(blocked));
    }

    /// In the child, before exec: gives the command what sexton inherited.
    pub(super) fn restore(self) -> Result<(), Errno> {
        if self.ignores_child_death {
            set_disposition(Signal::CHLD, libc::SIG_IGN)?;
        }
        set_mask(self.mask).map(drop)
    }
}

/// Sets the signal mask and returns the one before. Only a seccomp profile refuses it
/// (rt_sigprocmask(2)).
fn set_mask(mask: SignalSet) -> Result<SignalSet, Errno> {
    let new = mask.bits();
    let mut old = 0_u64;
    // SAFETY: both sets are SET_SIZE bytes, as the call is told.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const new, &raw mut old, SET_SIZE)
    })?;
    Ok(SignalSet::from_bits(old))
}

/// Where a signal's handler runs: a page, and room for all the registers that the kernel saves there,
/// 11 KiB on processors with AMX (sigaltstack(2)). Nobody touches it where no terminal is.
#[repr(align(16))]
struct HandlerStack(UnsafeCell<[u8; 16_384]>);

// SAFETY: only its address is ever taken; the kernel and the handler write there, one at a time.
unsafe impl Sync for HandlerStack {}

// Behind the data that every start writes, as in `orphans`.
#[unsafe(link_section = ".bss.~handler")]
static HANDLER_STACK: HandlerStack = HandlerStack(UnsafeCell::new([0; _]));

/// In the child, before exec: what a terminal sends at ^Z is lost instead of stopping the child.
/// exec(2) sets it to the default again, and forgets the handler's stack; where it is ignored it stays ignored.
///
/// # Errors
///
/// It was ignored, and cannot be any more.
pub(super) fn swallow_terminal_stops() -> Result<(), Errno> {
    let stack = HANDLER_STACK.0.get();
    let stack = libc::stack_t { ss_sp: stack.cast(), ss_flags: 0, ss_size: size_of_val(&HANDLER_STACK) };
    // SAFETY: the kernel reads a stack_t; the memory that it names is there for good.
    if unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) } != 0 {
        // The child's own may be too small.
        return Ok(());
    }
    let nothing = nothing as *const () as libc::sighandler_t;
    if set_disposition(Signal::TSTP, nothing) == Ok(libc::SIG_IGN) {
        set_disposition(Signal::TSTP, libc::SIG_IGN)?;
    }
    Ok(())
}

/// Dies by this signal, without a core dump, so that our parent sees what killed the command.
///
/// Returns when the kernel protects us from it (PID 1), and when something of it is refused.
pub fn die_by(signal: Signal) {
    // The command's own core dump is the one that says something.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    if !signal.is_real_time() && own_pid() != 1 {
        let _ = raise_unblocked(signal);
    }
}

/// Sends ourselves this signal, with its default action and unblocked. Returns if that does not kill us.
fn raise_unblocked(signal: Signal) -> Result<(), Errno> {
    // SIGKILL has no other, and cannot be given one (sigaction(2)).
    if signal != Signal::KILL {
        set_disposition(signal, libc::SIG_DFL)?;
    }
    kill(own_pid(), signal)?;
    // Taken on the way out of the system call.
    set_mask(SignalSet::of(signal).complement()).map(drop)
}

extern "C" fn nothing(_signal: libc::c_int) {}

/// Catches a signal that is blocked, and so stays pending until it is asked for as before.
///
/// By the system call itself: musl's sigaction(3) unblocks 32 and 33 before the first handler.
pub(super) fn catch_blocked(signal: Signal) {
    // The kernel's own structure begins with the handler; no flags, no mask (rt_sigaction(2)).
    let new = [nothing as *const () as usize, 0, 0, 0, 0];
    let old: *const usize = ptr::null();
    // SAFETY: the kernel reads a structure that is not larger than this one; the handler does nothing.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal.number(), new.as_ptr(), old, SET_SIZE) };
}

/// Sets what is done at this signal and returns what was done before. Only a seccomp profile refuses it
/// (sigaction(2)).
fn set_disposition(signal: Signal, handler: libc::sighandler_t) -> Result<libc::sighandler_t, Errno> {
    let mut new = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeroes are a valid sigaction: default handler, empty mask, no flags.
    let new = unsafe { new.assume_init_mut() };
    new.sa_sigaction = handler;
    // The one handler that we have has a stack of its own.
    new.sa_flags = libc::SA_ONSTACK;
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: both structures are valid; the handler is SIG_DFL, SIG_IGN or a function that does nothing.
    Errno::result(unsafe { libc::sigaction(signal.number(), new, old.as_mut_ptr()) })?;
    // SAFETY: it was zeroed, which is valid, and then written by the kernel.
    Ok(unsafe { old.assume_init() }.sa_sigaction)
}

/// Where blocked signals come out, one at a time.
///
/// The kernel always hands over the lowest number first. Whoever sends SIGUSR1 in a loop could
/// keep SIGTERM out for ever, and so could a storm of dying children with their SIGCHLD. So once
/// signals that had come before came [`Inbox::AGAIN`] times, all those that did not come yet are
/// asked for before any may come again.
#[derive(Debug, Default)]
pub struct Inbox {
    /// The signals that came since the others were last asked for.
    seen: SignalSet,
    /// How many times one of them came again.
    again: u32,
}

impl Inbox {
    /// Asking for the others is one more system call, so not for each signal that comes again:
    /// a signal and an orphan cost two and three without it.
    pub(crate) const AGAIN: u32 = 32;

    /// Waits for a signal; `timeout` is in relative time, `None` waits for ever, zero only looks.
    ///
    /// Returns `None` when the time is over, and also when the wait was cut short (by a stop and
    /// continue of sexton itself), so the caller looks at the time afresh.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Option<Received> {
        self.wait_for(timeout, timed_wait)
    }

    /// The same with `ask` in the place of sigtimedwait(2).
    pub(crate) fn wait_for(
        &mut self,
        timeout: Option<Duration>,
        mut ask: impl FnMut(SignalSet, Option<Duration>) -> Option<Received>,
    ) -> Option<Received> {
        if self.again == Self::AGAIN || (timeout == Some(Duration::ZERO) && !self.seen.is_empty()) {
            if let Some(received) = ask(self.seen.complement(), Some(Duration::ZERO)) {
                self.seen = self.seen.with(received.signal);
                return Some(received);
            }
            self.seen = SignalSet::EMPTY;
            self.again = 0;
        }
        let received = ask(SignalSet::ALL, timeout)?;
        self.again += u32::from(self.seen.contains(received.signal));
        self.seen = self.seen.with(received.signal);
        Some(received)
    }
}

fn timed_wait(set: SignalSet, timeout: Option<Duration>) -> Option<Received> {
    let set = set.bits();
    let mut info = MaybeUninit::<SigInfo>::zeroed();
    let signal = sigtimedwait(&set, &mut info, timeout);
    let signal = Signal::new(signal as i32)?;
    // SAFETY: plain integers, zeroed and then written by the kernel.
    let info = unsafe { info.assume_init() };
    let code = match info.code {
        libc::SI_QUEUE if info.errno == HELD_BACK => Received::HELD_BACK,
        // rt_sigqueueinfo(2) takes any code below zero.
        Received::HELD_BACK => libc::SI_QUEUE,
        code => code,
    };
    Some(Received { signal, code, pid: info.pid, uid: info.uid, value: info.value as u64 })
}

#[cfg(target_pointer_width = "64")]
fn sigtimedwait(set: &u64, info: &mut MaybeUninit<SigInfo>, timeout: Option<Duration>) -> c_long {
    wait_by(libc::SYS_rt_sigtimedwait, set, info, timeout.map(|time| in_kernels_units(time, i64::MAX)))
}

/// With 32 bits there are two calls. The newer one came with Linux 5.1, and a seccomp profile may be older than
/// that; a kernel may be built without the older one, which has room for 68 years.
#[cfg(not(target_pointer_width = "64"))]
fn sigtimedwait(set: &u64, info: &mut MaybeUninit<SigInfo>, timeout: Option<Duration>) -> c_long {
    let signal = wait_by(SYS_RT_SIGTIMEDWAIT_TIME64, set, info, timeout.map(|time| in_kernels_units(time, i64::MAX)));
    if signal > 0 || [Errno::EAGAIN, Errno::EINTR].contains(&Errno::last()) {
        return signal;
    }
    wait_by(libc::SYS_rt_sigtimedwait, set, info, timeout.map(|time| in_kernels_units(time, i32::MAX)))
}

/// The newer one. Its number is the same on all machines, and the libc crate does not know it on all of them
/// (include/uapi/asm-generic/unistd.h of Linux).
#[cfg(not(target_pointer_width = "64"))]
pub(super) const SYS_RT_SIGTIMEDWAIT_TIME64: c_long = 421;

/// Seconds and nanoseconds. Longer than the kernel can count is for ever to anyone.
fn in_kernels_units<T: TryFrom<u64> + From<i32>>(time: Duration, longest: T) -> [T; 2] {
    [T::try_from(time.as_secs()).unwrap_or(longest), T::from(time.subsec_nanos().cast_signed())]
}

/// sigtimedwait(2) by this system call, whose `timespec` is made of two `T`.
fn wait_by<T>(call: c_long, set: &u64, info: &mut MaybeUninit<SigInfo>, timeout: Option<[T; 2]>) -> c_long {
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the set is SET_SIZE bytes, `info` has the size of a siginfo_t, the timeout is null or points to
    // two numbers of this frame, which are what this call takes for a timespec.
    unsafe { libc::syscall(call, ptr::from_ref(set), info.as_mut_ptr(), timeout, SET_SIZE) }
}

/// Why a signal could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Nothing was sent (kill(2)).
    Refused(Errno),
    /// The signal was sent, the value that came with it was not.
    WithoutValue(Errno),
}

/// Sends a signal to a process of ours that is not reaped yet, with its value if it has one.
///
/// # Errors
///
/// `Refused(EPERM)` when the process changed its uid and CAP_KILL is dropped.
pub fn send(pid: i32, received: &Received) -> Result<(), SendError> {
    if !received.is_queued() {
        return kill(pid, received.signal).map_err(SendError::Refused);
    }
    queue(pid, received.signal, &queued_info(received))
}

/// What `si_errno` is in a signal by which a sexton tells its command, a sexton, how it held the signal back.
/// The kernel passes it on, and nobody else sets it: sigqueue(3) makes it zero.
const HELD_BACK: i32 = 0x5e87_0a01;

/// Sends a stop signal to a child that is a sexton, with how it was held back: as kill(2) otherwise, and
/// where the kernel does not take that, or not for a whole group, by kill(2).
///
/// # Errors
///
/// As [`send`].
pub fn send_held_back(pid: i32, to_group: bool, signal: Signal, held_back: HeldBack) -> Result<(), SendError> {
    let by_us = Received { uid: nix::unistd::getuid().as_raw(), ..Received::sent_by(own_pid(), signal) };
    let info = SigInfo { errno: HELD_BACK, ..queued_info(&Received { value: held_back.to_value(), ..by_us }) };
    match if to_group { queue_to_group(pid, signal, &info) } else { queue(pid, signal, &info) } {
        Err(SendError::WithoutValue(_)) => Ok(()),
        sent => sent,
    }
}

fn queue(pid: i32, signal: Signal, info: &SigInfo) -> Result<(), SendError> {
    // SAFETY: `info` has the size and layout of a siginfo_t.
    let sent = unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, pid, signal.number(), ptr::from_ref(info)) };
    without_value(sent, || kill(pid, signal))
}

/// Sends a signal to the process group that a child of ours leads, and to the child itself if it
/// went to another one.
///
/// # Errors
///
/// As [`send`]; `Refused(EPERM)` only when no process of the group may be signalled.
pub fn send_to_group(pid: i32, received: &Received) -> Result<(), SendError> {
    if !received.is_queued() {
        return kill_group(pid, received.signal).map_err(SendError::Refused);
    }
    queue_to_group(pid, received.signal, &queued_info(received))
}

fn queue_to_group(pid: i32, signal: Signal, info: &SigInfo) -> Result<(), SendError> {
    /// Since Linux 6.9 (pidfd_send_signal(2)): the only way to give a group a value.
    const PIDFD_SIGNAL_PROCESS_GROUP: u32 = 1 << 2;
    let (number, pointer) = (signal.number(), ptr::from_ref(info));
    // SAFETY: takes two integers.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let mut sent = pidfd;
    if pidfd >= 0 {
        // SAFETY: `info` has the size and layout of a siginfo_t; the descriptor is ours.
        sent =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, number, pointer, PIDFD_SIGNAL_PROCESS_GROUP) };
    }
    let mut result = without_value(sent, || kill_group(pid, signal));
    if sent >= 0 && has_left_its_group(pid) {
        result = queue(pid, signal, info);
    }
    if pidfd >= 0 {
        // SAFETY: the descriptor was opened above and nobody else has it.
        unsafe { libc::close(pidfd as i32) };
    }
    result
}

/// kill(2) for the group that a child of ours led, and for the child.
fn kill_group(pid: i32, signal: Signal) -> Result<(), Errno> {
    match kill(-pid, signal) {
        Err(_) => kill(pid, signal),
        Ok(()) if has_left_its_group(pid) => kill(pid, signal),
        Ok(()) => Ok(()),
    }
}

/// A command that went to another group is not reached with its own, where it may have left others.
fn has_left_its_group(pid: i32) -> bool {
    nix::unistd::getpgid(Some(Pid::from_raw(pid))).is_ok_and(|group| group.as_raw() != pid)
}

/// Sends a signal to the process group that a reaped child led, if it is still there.
///
/// # Errors
///
/// `Refused(ESRCH)` when no child of ours is in it: its number may be another's by now.
pub fn send_to_orphaned_group(group: i32, received: &Received) -> Result<(), SendError> {
    let (id, flags) = (group.cast_unsigned(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` is a siginfo_t; WNOWAIT leaves every child as it is (waitid(2)).
    if unsafe { libc::waitid(libc::P_PGID, id, info.as_mut_ptr(), flags) } != 0 {
        return Err(SendError::Refused(Errno::ESRCH));
    }
    kill(-group, received.signal).map_err(SendError::Refused)
}

/// Sends a signal to a process that is no child of ours, if the one that the pidfd was opened for is still
/// the right one: a pid that its parent reaped may be another process.
///
/// # Errors
///
/// `ENOSYS` and the like where there are no pidfds (Linux 5.3; pidfd_open(2)), `ESRCH` when the
/// process is gone or another one.
pub(super) fn kill_by_pidfd(pid: i32, received: &Received, is_right: impl FnOnce() -> bool) -> Result<(), Errno> {
    // SAFETY: takes two integers.
    let pidfd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let info: *const SigInfo = ptr::null();
    let mut sent = Err(Errno::ESRCH);
    if is_right() {
        // SAFETY: takes integers; a null info stands for that of kill(2).
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, received.signal.number(), info, 0) };
        sent = Errno::result(result).map(drop);
    }
    // SAFETY: the descriptor was opened above and nobody else has it.
    unsafe { libc::close(pidfd as i32) };
    sent
}

/// The value is worth a try, the signal is a must: falls back to `plain` on any error
/// (no queue room, an old kernel, a seccomp profile).
fn without_value(sent: c_long, plain: impl FnOnce() -> Result<(), Errno>) -> Result<(), SendError> {
    if sent >= 0 {
        return Ok(());
    }
    let reason = Errno::last();
    plain().map_err(SendError::Refused)?;
    Err(SendError::WithoutValue(reason))
}

fn queued_info(received: &Received) -> SigInfo {
    SigInfo {
        signo: received.signal.number(),
        errno: 0,
        code: libc::SI_QUEUE,
        #[cfg(target_pointer_width = "64")]
        padding: 0,
        pid: received.pid,
        uid: received.uid,
        value: received.value as usize,
        rest: [0; REST],
    }
}

/// kill(2) with all 64 signals. A negative pid is a process group.
pub(super) fn kill(pid: i32, signal: Signal) -> Result<(), Errno> {
    // SAFETY: takes two integers.
    Errno::result(unsafe { libc::kill(pid, signal.number()) }).map(drop)
}

/// Stops sexton, or with `group` its whole process group, as the terminal's ^Z would have.
///
/// Returns once somebody continues us, or at once when the kernel will not stop us: for an
/// orphaned process group, which nobody could continue, SIGTSTP does nothing (setpgid(2)).
///
/// Returns whether we were stopped: then what continued us is pending.
pub fn suspend_self(group: bool) -> bool {
    let target = if group { 0 } else { own_pid() };
    if kill(target, Signal::TSTP).is_ok() {
        // Taken while it is unblocked, on the way out of the system call.
        let _ = set_mask(SignalSet::of(Signal::TSTP).complement());
        let _ = set_mask(SignalSet::ALL);
    }
    pending().contains(Signal::CONT)
}

/// What has come and was not asked for yet.
fn pending() -> SignalSet {
    let mut set = 0_u64;
    // SAFETY: the set is SET_SIZE bytes, as the call is told.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set, SET_SIZE) };
    SignalSet::from_bits(set)
}

/// Stops sexton itself; returns once somebody continues us, or at once as PID 1, which the kernel
/// protects from its own signals.
pub fn stop_self() {
    let _ = kill(own_pid(), Signal::STOP);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a signal pending for this very thread.
    fn raise(signal: Signal) {
        // SAFETY: takes integers; gettid cannot fail.
        let thread = unsafe { libc::gettid() };
        // SAFETY: takes integers.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, own_pid(), thread, signal.number()) };
        assert_eq!(sent, 0);
    }

    fn next(inbox: &mut Inbox, timeout: Option<Duration>) -> Option<Signal> {
        inbox.wait(timeout).map(|received| received.signal)
    }

    /// What a wait asks for while SIGUSR1 is all that comes.
    fn asked(inbox: &mut Inbox, timeout: Option<Duration>) -> Vec<(SignalSet, Option<Duration>)> {
        let mut asked = Vec::new();
        let received = inbox.wait_for(timeout, |set, timeout| {
            asked.push((set, timeout));
            set.contains(Signal::USR1).then(|| Received::sent_by(1, Signal::USR1))
        });
        assert_eq!(received.map(|received| received.signal), Some(Signal::USR1));
        asked
    }

    #[test]
    fn the_others_are_asked_for_when_it_is_their_turn_and_at_no_other_time() {
        const NOW: Option<Duration> = Some(Duration::ZERO);
        let others = SignalSet::of(Signal::USR1).complement();
        let mut inbox = Inbox::default();
        for timeout in [None, Some(Duration::from_secs(1))] {
            // The first time, and then as often as it may come again.
            for _ in 0..=Inbox::AGAIN {
                assert_eq!(asked(&mut inbox, timeout), [(SignalSet::ALL, timeout)]);
            }
            assert_eq!(asked(&mut inbox, timeout), [(others, NOW), (SignalSet::ALL, timeout)]);
            inbox = Inbox::default();
        }
        // While children wait to be reaped: not a signal more than once between two batches.
        assert_eq!(asked(&mut inbox, NOW), [(SignalSet::ALL, NOW)]);
        assert_eq!(asked(&mut inbox, NOW), [(others, NOW), (SignalSet::ALL, NOW)]);
        assert_eq!(asked(&mut inbox, None), [(SignalSet::ALL, None)]);
    }

    #[test]
    fn a_signal_that_comes_again_and_again_lets_all_others_pass() {
        // A thread of its own: the mask and what is pending are the thread's.
        std::thread::spawn(|| {
            let before = set_mask(SignalSet::ALL).unwrap();
            for timeout in [None, Some(Duration::ZERO)] {
                let mut inbox = Inbox::default();
                raise(Signal::USR1);
                raise(Signal::USR2);
                raise(Signal::TERM);
                let mut seen = Vec::new();
                // The kernel would hand over SIGUSR1, the lowest number, each time.
                while !seen.contains(&Signal::TERM) {
                    seen.extend(next(&mut inbox, timeout));
                    raise(Signal::USR1);
                    raise(Signal::USR2);
                    assert!(seen.len() <= 2 * (1 + Inbox::AGAIN as usize), "{seen:?}");
                }
                while next(&mut inbox, Some(Duration::ZERO)).is_some() {}
            }
            set_mask(before).unwrap();
        })
        .join()
        .unwrap();
    }

    #[test]
    fn an_inbox_that_is_empty_says_so_after_the_time() {
        std::thread::spawn(|| {
            let before = set_mask(SignalSet::ALL).unwrap();
            let mut inbox = Inbox::default();
            assert_eq!(next(&mut inbox, Some(Duration::ZERO)), None);
            assert_eq!(next(&mut inbox, Some(Duration::from_millis(5))), None);
            set_mask(before).unwrap();
        })
        .join()
        .unwrap();
    }
}
