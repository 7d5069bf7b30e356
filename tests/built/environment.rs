//! What the tests were built with is nothing to what they build.

use std::process::Command;

/// Leaves out what cargo and whoever started it say of this build, but not where the crates are.
pub fn forget_this_build(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_") && name != "CARGO_HOME" || name.contains("RUSTFLAGS") {
            command.env_remove(name.as_ref());
        }
    }
}
