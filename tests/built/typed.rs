//! Types what builds sexton, and looks at the file.

#[path = "environment.rs"]
mod environment;

use std::path::{Path, PathBuf};
use std::process::Output;

use super::harness::command;

/// Types a line in a shell, in this folder, as somebody who has never built sexton. With --locked cargo
/// takes the crates that it has. Without optimisation: most of the time goes into compiling, and it
/// changes nothing.
pub fn typed(folder: &Path, line: &str) -> Output {
    let mut shell = command("sh");
    shell.args(["-c", line]).current_dir(folder);
    environment::forget_this_build(&mut shell);
    // It stays for the next time.
    shell.env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
    shell.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "none");
    shell.output().unwrap()
}

/// Beside what cargo builds for the tests.
pub fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("built")
}

#[track_caller]
pub fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whether the file asks for a loader.
pub fn is_dynamic(file: &Path) -> bool {
    let readelf = command("readelf").args(["--wide", "--program-headers"]).arg(file).output();
    let readelf = readelf.expect("readelf is missing: apt-get install binutils");
    succeeded(&readelf);
    String::from_utf8_lossy(&readelf.stdout).contains("INTERP")
}

/// What rustc calls this machine.
pub fn host() -> String {
    let version = typed(Path::new("/"), "rustc -vV");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}
