//! What sexton costs, beside its peers.
//!
//! - [`launch`] starts a program as PID 1 of a fresh PID namespace; all `unsafe` code is there;
//! - [`contestants`] are the programs: sexton, its peers, a floor, and no init at all;
//! - [`lives`] are ways in which sexton is started, each with options of its own;
//! - [`measures`] puts each question to all of them and gives a [`table`];
//! - [`proc`] and [`calls`] ask the kernel about a process;
//! - [`page`], [`json`] and [`chart`] are what people get to see.
//!
//! `bench` measures; `guard` checks what does not depend on the machine's speed; `hot` finds what every start
//! runs, for `.cargo/hot.ld`.

pub mod calls;
pub mod chart;
pub mod contestants;
pub mod json;
pub mod launch;
pub mod lives;
pub mod measures;
#[path = "../../tests/harness/names.rs"]
#[allow(dead_code)]
mod names;
pub mod page;
pub mod proc;
pub mod shared;
pub mod table;
