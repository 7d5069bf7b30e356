//! `first-process NEXT...`: what is true of a command whose sexton is the first process of a machine.
//!
//! One line for each sentence that was looked at, `first process: ok SENTENCE` or
//! `first process: FAILED SENTENCE: WHY`; then it goes on as the program NEXT.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use crate::{command, raw};

/// Long: the machine is an emulated one.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn first_process(next: &[OsString]) -> i32 {
    let inherited = raw::set_mask(u64::MAX);
    for (sentence, check) in CHECKS {
        match check() {
            Ok(()) => println!("first process: ok {sentence}"),
            Err(why) => println!("first process: FAILED {sentence}: {why}"),
        }
    }
    raw::set_mask(inherited);
    let error = std::process::Command::new(&next[0]).args(&next[1..]).exec();
    println!("first process: FAILED to go on as {next:?}: {error}");
    95
}

type Check = fn() -> Result<(), String>;

const CHECKS: [(&str, Check); 5] = [
    ("sexton is PID 1, and the command its child", is_child_of_sexton),
    ("every signal that can be sent to PID 1 reaches the command", every_signal_arrives),
    ("a signal's value arrives", value_arrives),
    ("SIGKILL and SIGSTOP do not reach PID 1 from within", cannot_be_killed),
    ("a thousand orphans are reaped", orphans_are_reaped),
];

fn is_child_of_sexton() -> Result<(), String> {
    let parent = unsafe { libc::getppid() };
    let program = fs::read_link("/proc/1/exe").map_err(|error| error.to_string())?;
    let name = program.file_name();
    if parent == 1 && name == Some("init".as_ref()) { Ok(()) } else { Err(format!("{parent} {program:?}")) }
}

fn every_signal_arrives() -> Result<(), String> {
    (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)).try_for_each(comes_back)
}

/// Sends PID 1 this signal, which comes back to us.
fn comes_back(signal: i32) -> Result<(), String> {
    if unsafe { libc::kill(1, signal) } != 0 {
        return Err(format!("signal {signal}: {}", std::io::Error::last_os_error()));
    }
    let info = raw::wait_for_signal_within(PATIENCE).ok_or(format!("signal {signal} did not come"))?;
    if info.signal == signal { Ok(()) } else { Err(format!("signal {signal}: came {}", info.signal)) }
}

fn value_arrives() -> Result<(), String> {
    let value = libc::sigval { sival_ptr: 4242 as *mut _ };
    unsafe { libc::sigqueue(1, libc::SIGUSR1, value) };
    let info = raw::wait_for_signal_within(PATIENCE).ok_or("it did not come")?;
    let is_it = (info.signal, info.value) == (libc::SIGUSR1, 4242);
    if is_it { Ok(()) } else { Err(format!("came {} with {}", info.signal, info.value)) }
}

fn cannot_be_killed() -> Result<(), String> {
    for signal in [libc::SIGKILL, libc::SIGSTOP] {
        unsafe { libc::kill(1, signal) };
    }
    comes_back(libc::SIGUSR1)
}

fn orphans_are_reaped() -> Result<(), String> {
    command::leave_orphans(1000, 0)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = children_of_init();
        // We are one.
        if left == 1 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("PID 1 has {left} children"));
        }
        unsafe { libc::usleep(1000) };
    }
}

fn children_of_init() -> usize {
    fs::read_to_string("/proc/1/task/1/children").map_or(0, |pids| pids.split_whitespace().count())
}
