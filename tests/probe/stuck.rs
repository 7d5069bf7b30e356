//! Commands that do not stop, each for a reason of its own.

use std::ffi::OsString;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::command::number;
use crate::raw;

macro_rules! say {
    ($($arg:tt)*) => {{
        let mut stdout = std::io::stdout().lock();
        if writeln!(stdout, $($arg)*).and_then(|()| stdout.flush()).is_err() {
            // Nobody listens any more: the test is over.
            #[allow(unused_unsafe)]
            unsafe {
                libc::_exit(93)
            };
        }
    }};
}

fn stay() -> ! {
    loop {
        unsafe { libc::pause() };
    }
}

/// `block N...`: blocks these signals, takes none of them, says `ready`, and stays.
pub fn block(args: &[OsString]) -> i32 {
    raw::set_mask((0..args.len()).fold(0, |mask, index| mask | 1 << (number(args, index) - 1)));
    say!("ready {}", unsafe { libc::getpid() });
    stay()
}

static CAME: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    CAME.store(true, Ordering::Relaxed);
}

extern "C" fn note_and_stay(_signal: libc::c_int) {
    say!("handled");
    stay()
}

/// `drain HOW`: says `ready`, waits for SIGTERM with a handler, says `handled`, and does not end. Then it
/// `waits`, `works`, `ignores` the next one, `resets` its handler, `stops` itself, makes a child with `vfork`, or
/// fills memory with the file `large` as a `cache`. With `in-handler` it does not leave the handler, and with `sigwait` it
/// has none but takes the signal as it comes.
pub fn drain(args: &[OsString]) -> i32 {
    let how = args[0].to_str().unwrap();
    let handler = if how == "in-handler" { note_and_stay } else { note };
    raw::set_mask(1 << (libc::SIGTERM - 1));
    if how != "sigwait" {
        unsafe { libc::signal(libc::SIGTERM, handler as *const () as libc::sighandler_t) };
    }
    say!("ready {}", unsafe { libc::getpid() });
    if how == "sigwait" {
        while raw::wait_for_signal().signal != libc::SIGTERM {}
    } else {
        let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
        unsafe { libc::sigemptyset(&mut none) };
        while !CAME.load(Ordering::Relaxed) {
            unsafe { libc::sigsuspend(&none) };
        }
        raw::set_mask(0);
    }
    match how {
        // In the very moment in which a shell would do it.
        "ignores" => raw::set_ignored(libc::SIGTERM, true),
        "resets" => raw::set_ignored(libc::SIGTERM, false),
        _ => {}
    }
    say!("handled");
    match how {
        // The machine may be busy, and this is to get its share.
        "works" => unsafe {
            libc::setpriority(libc::PRIO_PROCESS, 0, -5);
            loop {
                std::hint::spin_loop();
            }
        },
        "stops" => drop(unsafe { libc::raise(libc::SIGSTOP) }),
        "vfork" => wait_for_vfork(),
        "cache" => fill_the_cache(),
        _ => {}
    }
    stay()
}

/// `vfork`: has a handler for SIGTERM, makes a child as vfork(2) does, which says `ready` and stays: until it
/// has gone nothing wakes its parent.
pub fn vfork() -> i32 {
    unsafe { libc::signal(libc::SIGTERM, note as *const () as libc::sighandler_t) };
    wait_for_vfork();
    stay()
}

fn wait_for_vfork() {
    let flags = libc::CLONE_VFORK | libc::SIGCHLD;
    // With a memory of its own, which vfork(2)'s child has not.
    if unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } == 0 {
        say!("ready {}", unsafe { libc::getpid() });
        stay()
    }
}

/// Reads the file `large` from the disk, over and over: what its cgroup has room for stays in memory.
fn fill_the_cache() -> ! {
    use std::os::fd::AsRawFd;
    loop {
        let mut file = std::fs::File::open("large").unwrap();
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        std::io::copy(&mut file, &mut std::io::sink()).unwrap();
        unsafe { libc::usleep(100_000) };
    }
}

/// `traced`: has a child that traces and holds it, and says `ready`.
pub fn traced() -> i32 {
    unsafe {
        let parent = libc::getpid();
        if libc::fork() == 0 {
            let null = std::ptr::null_mut::<libc::c_void>();
            if libc::ptrace(libc::PTRACE_SEIZE, parent, null, null) != 0 {
                libc::_exit(97);
            }
            libc::ptrace(libc::PTRACE_INTERRUPT, parent, null, null);
            libc::waitpid(parent, std::ptr::null_mut(), libc::__WALL);
            say!("ready {}", libc::getpid());
        }
    }
    stay()
}

/// `namespace STAYS WORD...`: has a child that is PID 1 of a PID namespace of its own and goes on as `probe
/// WORD...`. STAYS is 1 to wait for it, with SIGTERM blocked, as `unshare --fork` does; else it exits once
/// its stdin ends.
pub fn namespace(args: &[OsString]) -> i32 {
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        eprintln!("probe: no PID namespace can be made here: run the test as root");
        return 97;
    }
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        return match args[1].to_str() {
            Some("ignore") => crate::command::ignore(&args[2..]),
            Some("hoard") => crate::command::hoard(0),
            Some("drain") => drain(&args[2..]),
            _ => 99,
        };
    }
    if number(args, 0) == 1 {
        raw::set_mask(1 << (libc::SIGTERM - 1));
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        return 0;
    }
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    0
}
