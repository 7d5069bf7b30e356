//! What sexton costs, beside its peers.
//!
//! - [`launch`] starts a program as PID 1 of a fresh PID namespace; all `unsafe` code is there;
//! - [`lives`] are ways in which `guard` and `hot` start sexton, each with options of its own;
//! - [`contestants`] are the programs: sexton, its peers, a floor, and no init at all; [`ways`] are the ways
//!   in which they are started;
//! - [`questions`] are what is asked, and what must hold; [`measures`] puts them to everybody and gives a
//!   [`table`];
//! - [`proc`] and [`calls`] ask the kernel about a process;
//! - [`page`], [`json`] and [`chart`] are what people get to see, [`published`] is where.
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
pub mod published;
pub mod questions;
pub mod shared;
pub mod table;
pub mod ways;
