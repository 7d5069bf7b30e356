//! How the tests start a program.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

#[path = "../probe/raw.rs"]
pub mod raw;

/// A program that starts with no signal ignored and none blocked, whatever the tests were started with:
/// `nohup`, the `&` of a script and many CI runners leave some ignored, and a child inherits that.
#[allow(clippy::disallowed_methods, reason = "this is what the others are to call")]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    unsafe {
        command.pre_exec(|| {
            (1..=64).for_each(|signal| raw::set_ignored(signal, false));
            raw::set_mask(0);
            Ok(())
        })
    };
    command
}
