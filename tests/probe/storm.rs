//! The storm of the soak test: orphans of every kind, whose end anybody can tell from their pid.

use std::ffi::OsString;
use std::io::Write;

use crate::command::{eat, number};
use crate::raw;

/// How the process with this pid ends: the test knows the same rule (tests/soak.rs).
fn end() -> ! {
    let pid = unsafe { libc::getpid() };
    if pid % 8 == 3 {
        let signal = [libc::SIGKILL, libc::SIGUSR1, libc::SIGTERM, 40][pid as usize / 8 % 4];
        raw::set_ignored(signal, false);
        raw::set_mask(0);
        unsafe { libc::kill(pid, signal) };
    }
    unsafe { libc::_exit(pid % 251) }
}

/// `storm MS SEED`: for so long, makes children of its own and orphans for sexton: some end at once, some
/// live for a while, some stop and go on. Says `made N`, how many orphans there were, and exits with 0.
pub fn storm(args: &[OsString]) -> i32 {
    let mut random = number(args, 1) as u32 | 1;
    let mut below = |limit: u32| {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random % limit
    };
    let begin = std::time::Instant::now();
    let mut orphans = 0;
    while begin.elapsed().as_millis() < number(args, 0) as u128 {
        let (kind, life) = (below(8), below(30_000));
        let child = unsafe { libc::fork() };
        if child < 0 {
            return 97;
        }
        if child == 0 {
            match kind {
                0 => {}
                1..4 => leave(|| {}),
                4..7 => leave(|| {
                    unsafe { libc::usleep(life) };
                }),
                _ => leave(stop_and_go_on),
            }
            unsafe { libc::_exit(0) };
        }
        orphans += match kind {
            0 => 0,
            1..7 => 1,
            // And who continued it.
            _ => 2,
        };
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        unsafe { libc::usleep(below(2_000)) };
    }
    let _ = writeln!(std::io::stdout(), "made {orphans}");
    0
}

/// `starve`: leaves an orphan that takes memory until the kernel ends it.
pub fn starve() -> i32 {
    if unsafe { libc::fork() } == 0 {
        unsafe { libc::_exit(eat()) };
    }
    0
}

/// In a child: leaves a process that lives so, and then ends.
fn leave(live: impl Fn()) {
    if unsafe { libc::fork() } == 0 {
        live();
        end();
    }
}

/// Stops, and is continued by a child, which is an orphan too in the end.
fn stop_and_go_on() {
    let stopped = unsafe { libc::getpid() };
    if unsafe { libc::fork() } == 0 {
        let is_stopped = || {
            let stat = std::fs::read_to_string(format!("/proc/{stopped}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
        };
        while !is_stopped() {
            unsafe { libc::usleep(500) };
        }
        unsafe { libc::kill(stopped, libc::SIGCONT) };
        end();
    }
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// So many processes send at once: one alone would leave sexton a moment in which nothing comes.
const SENDERS: usize = 3;

/// `flood N`: has sexton, its parent, sent signal N without an end; for 17 its orphans die one after the
/// other. Says `ready`, and a line as `record` does for each SIGTERM.
pub fn flood(args: &[OsString]) -> i32 {
    raw::set_mask(u64::MAX);
    let sexton = unsafe { libc::getppid() };
    let signal = crate::command::number(args, 0);
    for _ in 0..SENDERS {
        if unsafe { libc::fork() } == 0 {
            // Who is left over must not outlive the test.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            loop {
                if signal == libc::SIGCHLD {
                    leave_a_dead_orphan();
                } else if unsafe { libc::kill(sexton, signal) } != 0 {
                    end();
                }
            }
        }
    }
    crate::command::record(&[])
}

fn leave_a_dead_orphan() {
    match unsafe { libc::fork() } {
        0 => {
            if unsafe { libc::fork() } >= 0 {
                end();
            }
        }
        child => unsafe {
            libc::waitpid(child, std::ptr::null_mut(), 0);
        },
    }
}
