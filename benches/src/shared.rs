//! The memory that the benchmark shares with the command that it has an init start: what happened,
//! and when. It is descriptor [`DESCRIPTOR`] of the command.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// Where the command finds it.
pub const DESCRIPTOR: i32 = 3;

/// So much of it is mapped.
pub const SIZE: usize = 4096;

/// What all inits forward and no init takes for itself, as signal(7) numbers them: SIGHUP, SIGINT, SIGUSR1,
/// SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGWINCH.
pub const TO_NOTE: [i32; 8] = [1, 2, 10, 12, 14, 26, 27, 28];

/// The same as a set.
pub const NOTED: u64 = {
    let (mut set, mut index) = (0, 0);
    while index < TO_NOTE.len() {
        set |= 1 << (TO_NOTE[index] - 1);
        index += 1;
    }
    set
};

/// Times are nanoseconds of CLOCK_MONOTONIC. All of it is zero at first.
#[derive(Debug)]
#[repr(C)]
pub struct Shared {
    /// The last moment before the init is executed.
    pub executed: AtomicU64,
    /// The page faults of its process up to then.
    pub faults: AtomicU64,
    /// The first instruction of the command.
    pub started: AtomicU64,
    /// When what was asked of the command had happened: a signal had come, all orphans were reaped,
    /// or all was done but to exit.
    pub happened: AtomicU64,
    /// How many times the command has said that it is ready. A futex.
    pub ready: AtomicU32,
    /// How many times the benchmark has told the command to go on. A futex.
    pub go: AtomicU32,
}
