//! The command line. Nothing outside this folder knows that options exist.
//!
//! [`settings`] is the table of all options with their environment variables; [`native`] is
//! sexton's own command line.

mod native;
mod settings;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::config::Config;
use crate::sys::{Args, Environment};

/// What the user asked for.
#[derive(Clone, Debug)]
pub enum Request {
    /// Run a command.
    Run(Config),
    /// Print this text on stdout: help, version, license.
    Print(String),
}

/// Why nothing was started: one sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

/// Understands a command line (its first argument the name that sexton was called by) and an
/// environment.
///
/// # Errors
///
/// A sentence that names the option or variable that is wrong.
pub fn parse(args: Args, environment: Environment) -> Result<Request, UsageError> {
    native::parse(args, environment)
}

/// For messages: the bytes as text, with what is not printable escaped.
fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", OsStr::from_bytes(bytes))
}
