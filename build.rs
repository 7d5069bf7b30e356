//! Has the linker start sexton at its own first instruction (src/sys/first.rs), and tells the
//! program the commit that it was built from.

use std::path::Path;
use std::process::Command;

/// What stands for the commit where there is no git checkout, as in a source archive.
const NO_COMMIT: &str = "0000000";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Cargo does not see what the release files are linked with.
    println!("cargo::rerun-if-changed=.cargo/hot.ld");
    println!("cargo::rustc-link-arg-bin=sexton=-Wl,--entry=sexton_start");
    println!("cargo::rustc-env=SEXTON_COMMIT={}", commit().unwrap_or_else(|| NO_COMMIT.into()));
}

/// The first seven digits of the commit: dockerd takes no more from `docker-init --version`.
fn commit() -> Option<String> {
    // A checkout of something else around us says nothing about sexton.
    let top = Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if top != Path::new(&source()).canonicalize().ok()? {
        return None;
    }
    // git appends to this file whenever another commit is checked out.
    let log = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    (commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| commit[..7].to_owned())
}

#[allow(clippy::disallowed_methods)] // those of the tests are meant
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).current_dir(source()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// The folder of Cargo.toml.
fn source() -> String {
    std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".into())
}
