//! The memory that the benchmark shares with the command that it has an init start: what happened,
//! and when. It is descriptor [`DESCRIPTOR`] of the command.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// Where the command finds it.
pub const DESCRIPTOR: i32 = 3;

/// So much of it is mapped.
pub const SIZE: usize = 4096;

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
