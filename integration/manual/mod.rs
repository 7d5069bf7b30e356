//! The man page and the completions, made once for all tests of a file.

use std::path::Path;
use std::sync::LazyLock;

use super::harness::{command, names::Folder};

static FOLDER: LazyLock<Folder> = LazyLock::new(|| {
    let folder = Folder::new();
    // Made by what cargo built for the tests, beside which it lies.
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/manual");
    assert!(program.exists(), "{} is missing: run `cargo build --example manual` first", program.display());
    let status = command(program).arg(&folder.0).env("MANUAL_DATE", "2026-01-01").status().unwrap();
    assert!(status.success());
    folder
});

pub fn folder() -> &'static Path {
    &FOLDER.0
}
