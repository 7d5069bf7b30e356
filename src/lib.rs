//! sexton: a PID 1 for containers.
//!
//! The program is a functional core in an imperative shell:
//!
//! - [`cli`] turns the command line and the environment into a [`config::Config`];
//! - [`check`] is the health check that an engine runs beside PID 1;
//! - [`shutdown`] is a pure state machine: events and the time go in, actions come out;
//! - [`supervisor`] waits for signals, feeds the machine and does what it says;
//! - [`why`] notes what happens, and says why the command died or could not be started;
//! - [`report`] is how that is written;
//! - [`sys`] holds every system call, and all of the `unsafe` code.
//!
//! `docs/design.md` says why each of them is as it is.

// PID 1 must not panic: `docs/testing.md`, "No panic". Tests may.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::get_unwrap,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod check;
pub mod cli;
pub mod config;
pub mod exit_status;
pub mod launch;
pub mod meant;
#[cfg(test)]
#[path = "../tests/harness/names.rs"]
mod names;
pub mod phase;
pub mod report;
pub mod shutdown;
pub mod signal;
pub mod supervisor;
pub mod sys;
pub mod why;
