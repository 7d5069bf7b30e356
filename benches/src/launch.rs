//! Starts a program as PID 1 of a fresh PID namespace and as the leader of a session, in the same state each time.
//!
//! The only file of the benchmark proper with `unsafe` code. The process must have one thread: what
//! is done between fork and exec is not async-signal-safe otherwise.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::shared::{DESCRIPTOR, SIZE, Shared};

/// Longer than anything takes that is measured here.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a program is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// Only on this CPU.
    pub cpu: Option<usize>,
    /// With a `/proc` of its own namespace, as in a container.
    pub own_proc: bool,
    /// Wait before the exec, until [`Running::release`].
    pub hold: bool,
    /// At the same addresses each time, in the same surroundings on each machine; only after [`pin`].
    pub pinned: bool,
}

/// A program that was started, and what it has started. Dropping it kills all of them.
#[derive(Debug)]
pub struct Running {
    /// Its pid, as we see it.
    pub pid: i32,
    memory: Memory,
    hold: Option<OwnedFd>,
    ended: bool,
}

/// Nanoseconds of CLOCK_MONOTONIC, which all processes share.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Keeps this process on one CPU.
///
/// # Errors
///
/// There is no such CPU for us.
pub fn stay_on(cpu: usize) -> io::Result<()> {
    let mut set = no_cpus();
    // SAFETY: writes into the set, or panics.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set has the size that is given.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) }).map(drop)
}

/// Lets this process run on all CPUs again.
///
/// # Errors
///
/// It is refused.
pub fn go_anywhere() -> io::Result<()> {
    let mut set = no_cpus();
    for cpu in 0..libc::CPU_SETSIZE as usize {
        // SAFETY: writes into the set, or panics.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: the set has the size that is given.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) }).map(drop)
}

fn no_cpus() -> libc::cpu_set_t {
    // SAFETY: zeroes are an empty set.
    unsafe { std::mem::zeroed() }
}

/// Starts `line`, its first word the path of the program, with this environment and nothing else.
///
/// # Errors
///
/// There is no such file, or no namespace can be made (root is needed).
pub fn start(line: &[&str], environment: &[&str], setup: Setup) -> io::Result<Running> {
    let words = |words: &[&str]| words.iter().map(|word| CString::new(*word)).collect::<Result<Vec<_>, _>>();
    let (line, environment) = (words(line)?, words(environment)?);
    let memory = Memory::new()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let (held, hold) = pipe()?;
    let mut flags = libc::CLONE_NEWPID | libc::SIGCHLD;
    if setup.own_proc || setup.pinned {
        flags |= libc::CLONE_NEWNS;
    }
    // SAFETY: without CLONE_VM this is fork(2); we have one thread.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })? as i32;
    if pid == 0 {
        drop(hold);
        let refused = become_program(&line, &environment, setup, &memory, &null, setup.hold.then_some(&held));
        eprintln!("{}: {refused}", line[0].to_string_lossy());
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(95) };
    }
    Ok(Running { pid, memory, hold: Some(hold), ended: false })
}

/// In the child; returns only when something is refused.
fn become_program(
    line: &[CString],
    environment: &[CString],
    setup: Setup,
    memory: &Memory,
    null: &File,
    held: Option<&OwnedFd>,
) -> io::Error {
    let prepared = prepare(setup, memory, null, held);
    if let Err(refused) = prepared {
        return refused;
    }
    let pointers =
        |words: &[CString]| -> Vec<_> { words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect() };
    let (args, environment) = (pointers(line), pointers(environment));
    let shared = memory.shared();
    // First of all for the page faults that storing the moment costs us.
    shared.executed.store(now(), Ordering::Relaxed);
    shared.faults.store(own_faults(), Ordering::Relaxed);
    shared.executed.store(now(), Ordering::Relaxed);
    // SAFETY: two vectors of C strings, each with a null at its end.
    unsafe { libc::execve(args[0], args.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn prepare(setup: Setup, memory: &Memory, null: &File, held: Option<&OwnedFd>) -> io::Result<()> {
    // Whoever ends the benchmark ends all of it.
    // SAFETY: takes integers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
    if let Some(cpu) = setup.cpu {
        stay_on(cpu)?;
    }
    // As runc and crun do, so that the session is the container's, and with it the scheduler's group.
    // SAFETY: takes nothing.
    check(unsafe { libc::setsid() })?;
    if setup.own_proc || setup.pinned {
        mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE)?;
        mount(None, c"/proc", Some(c"proc"), 0)?;
    }
    if setup.pinned {
        // SAFETY: takes an integer.
        check(unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) })?;
        // Where we are gets into the environment of what valgrind runs.
        std::env::set_current_dir("/")?;
        mount(Some(c"/mnt/mountinfo"), c"/proc/1/mountinfo", None, libc::MS_BIND)?;
        mount(Some(c"/mnt/own-cgroup"), c"/proc/1/cgroup", None, libc::MS_BIND)?;
    }
    if let Some(held) = held {
        let mut byte = 0_u8;
        // SAFETY: there is room for one byte.
        unsafe { libc::read(held.as_raw_fd(), (&raw mut byte).cast(), 1) };
    }
    // Rust's start-up has ignored it, and what is ignored stays so.
    // SAFETY: takes integers.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // Last of all, because they take the places of other descriptors; the memory's own is high up.
    for standard in 0..DESCRIPTOR {
        // SAFETY: takes integers.
        check(unsafe { libc::dup2(null.as_raw_fd(), standard) })?;
    }
    // SAFETY: takes integers.
    check(unsafe { libc::dup2(memory.file.as_raw_fd(), DESCRIPTOR) }).map(drop)
}

fn mount(source: Option<&CStr>, target: &CStr, kind: Option<&CStr>, flags: libc::c_ulong) -> io::Result<()> {
    let source = source.unwrap_or(c"none");
    let kind = kind.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: C strings or null, and no data.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, ptr::null()) }).map(drop)
}

/// Has this process see its own mounts, with an empty [`PLACE`] and with a small container's cgroup
/// for who is started `pinned`. All of it goes with this process.
///
/// # Errors
///
/// Root is needed.
pub fn pin() -> io::Result<()> {
    // SAFETY: takes an integer.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE)?;
    mount(None, c"/mnt", Some(c"tmpfs"), 0)?;
    mount(None, c"/sys/fs/cgroup", Some(c"tmpfs"), 0)?;
    std::fs::write("/mnt/own-cgroup", "0::/\n")?;
    std::fs::write("/mnt/mountinfo", MOUNTS)?;
    std::fs::write(
        "/sys/fs/cgroup/memory.events.local",
        "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n",
    )?;
    std::fs::write("/sys/fs/cgroup/memory.max", "67108864\n")
}

/// A place of its own for what is started `pinned`.
pub const PLACE: &str = "/mnt";

/// What a container of Docker's sees, about.
const MOUNTS: &str = "\
600 500 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
601 600 0:53 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
602 600 0:54 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
603 600 0:56 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
604 603 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate
605 600 254:1 /resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda1 rw
";

/// Has us and all that we start go before others: somebody else's work is no part of what is measured.
///
/// # Errors
///
/// Root is needed.
pub fn go_first() -> io::Result<()> {
    // SAFETY: takes integers.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) }).map(drop)
}

fn own_faults() -> u64 {
    // SAFETY: zeroes are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a rusage.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    (usage.ru_minflt + usage.ru_majflt).unsigned_abs()
}

impl Running {
    /// What the command says.
    pub fn shared(&self) -> &Shared {
        self.memory.shared()
    }

    /// Lets a program go on that was held.
    pub fn release(&mut self) {
        self.hold = None;
    }

    /// Waits until the command was ready so many times.
    ///
    /// # Errors
    ///
    /// It takes too long, because the program is gone or hangs.
    pub fn await_ready(&self, times: u32) -> io::Result<()> {
        let ready = &self.shared().ready;
        let deadline = now() + PATIENCE.as_nanos() as u64;
        while ready.load(Ordering::Acquire) < times {
            let seen = ready.load(Ordering::Acquire);
            if seen < times && !futex_wait(ready, seen, Duration::from_secs(1)) && (now() > deadline || self.is_dead())
            {
                return Err(io::Error::other("the command does not get ready"));
            }
        }
        Ok(())
    }

    /// Tells the command to go on.
    pub fn go(&self) {
        self.shared().go.fetch_add(1, Ordering::Release);
        // SAFETY: the futex is in memory that we share.
        unsafe { libc::syscall(libc::SYS_futex, self.shared().go.as_ptr(), libc::FUTEX_WAKE, 1) };
    }

    /// Sends the program a signal.
    pub fn send(&self, signal: i32) {
        // SAFETY: takes integers; the process is ours and not reaped.
        unsafe { libc::kill(self.pid, signal) };
    }

    fn is_dead(&self) -> bool {
        let state = crate::proc::field(self.pid, "State");
        state.is_none_or(|state| state.starts_with(['Z', 'X']))
    }

    /// Waits until the program is dead, and returns when that was. It is not reaped yet.
    pub fn await_death(&self) -> u64 {
        // SAFETY: zeroes are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is a siginfo_t.
        unsafe { libc::waitid(libc::P_PID, self.pid.unsigned_abs(), &raw mut info, libc::WEXITED | libc::WNOWAIT) };
        now()
    }

    /// Reaps the dead program and returns its exit status; 128 and more if a signal killed it.
    pub fn reap(mut self) -> i32 {
        self.reap_once()
    }

    fn reap_once(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is an int.
        unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        self.ended = true;
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.send(libc::SIGKILL);
            self.reap_once();
        }
    }
}

/// Returns whether somebody woke us, or the futex had changed already.
fn futex_wait(futex: &AtomicU32, seen: u32, time: Duration) -> bool {
    let time = libc::timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
    // SAFETY: the futex and the time outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_futex, futex.as_ptr(), libc::FUTEX_WAIT, seen, &raw const time) };
    result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)
}

/// A page that we share with the command.
#[derive(Debug)]
struct Memory {
    file: OwnedFd,
    address: *mut Shared,
}

impl Memory {
    fn new() -> io::Result<Memory> {
        // SAFETY: takes a C string and an integer.
        let file = check(unsafe { libc::memfd_create(c"bench".as_ptr(), libc::MFD_CLOEXEC) })?;
        // Out of the way of the descriptors that the program gets.
        // SAFETY: takes integers.
        let high = check(unsafe { libc::fcntl(file, libc::F_DUPFD_CLOEXEC, 10) })?;
        // SAFETY: it was just opened and is nobody else's.
        unsafe { libc::close(file) };
        // SAFETY: as above.
        let file = unsafe { OwnedFd::from_raw_fd(high) };
        // SAFETY: takes integers.
        check(unsafe { libc::ftruncate(file.as_raw_fd(), SIZE as i64) })?;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping, wherever there is room.
        let address = unsafe { libc::mmap(ptr::null_mut(), SIZE, protection, flags, file.as_raw_fd(), 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Memory { file, address: address.cast() })
    }

    fn shared(&self) -> &Shared {
        // SAFETY: SIZE bytes are mapped there until we are dropped; all fields are atomic.
        unsafe { &*self.address }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and nobody holds a reference into it any more.
        unsafe { libc::munmap(self.address.cast(), SIZE) };
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: just opened, and nobody else's.
    let ends = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    let [reader, writer] = ends;
    Ok((reader, writer))
}

fn check<N: Into<i64> + Copy>(result: N) -> io::Result<N> {
    if result.into() < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
