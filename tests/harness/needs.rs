//! What a test needs besides Linux, Rust and a linker.
//!
//! A test that does not have it here is left out, and is counted and named when all tests have ended
//! (tests/yet_to_run.rs). With TEST_ALL=1 it fails instead.

use std::fs;
use std::path::{Path, PathBuf};

use super::cgroup;

#[derive(Clone, Copy, Debug)]
pub enum Need {
    Root,
    /// A program, by the name of its Debian package where that is another one.
    Program(&'static str, &'static str),
    /// Cgroups in which we may make some of our own, with limits on memory, processors and processes.
    Cgroups,
    /// The freezer of cgroups of version 1.
    Freezer,
    /// A Docker engine that answers.
    Docker,
}

use Need::*;

pub const STRACE: Need = Program("strace", "strace");
pub const NPM: Need = Program("npm", "npm");
pub const GIT: Need = Program("git", "git");
pub const TINI: Need = Program("tini", "tini");
pub const DUMB_INIT: Need = Program("dumb-init", "dumb-init");
pub const CATATONIT: Need = Program("catatonit", "catatonit");

impl Need {
    /// What is missing here.
    fn missing(self) -> Option<String> {
        let is_root = unsafe { libc::geteuid() } == 0;
        let is_there = match self {
            Root => is_root,
            Program(name, _) => is_installed(name),
            Cgroups => {
                let version_1 = ["cpu", "pids"].map(|controller| Path::new("/sys/fs/cgroup").join(controller));
                let folders = version_1.iter().filter(|folder| folder.exists()).map(PathBuf::as_path);
                is_root && folders.chain([cgroup::memory_root()]).all(may_make_a_folder_in)
            }
            Freezer => is_root && may_make_a_folder_in(Path::new("/sys/fs/cgroup/freezer")),
            Docker => engine_answers(),
        };
        let name = match self {
            Root => "root".to_owned(),
            Program(_, package) => package.to_owned(),
            Cgroups | Freezer if !is_root => "root".to_owned(),
            Cgroups => "cgroups".to_owned(),
            Freezer => "the freezer of cgroups version 1".to_owned(),
            Docker => "a Docker engine".to_owned(),
        };
        (!is_there).then_some(name)
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn may_make_a_folder_in(parent: &Path) -> bool {
    let folder = parent.join(super::unique());
    fs::create_dir(&folder).is_ok() && fs::remove_dir(&folder).is_ok()
}

fn engine_answers() -> bool {
    let version = super::command("timeout").args(["10", "docker", "version"]).output();
    version.is_ok_and(|version| version.status.success())
}

/// Where the tests that were left out are written down: a file for each, with what was missing.
pub fn left_out_folder() -> PathBuf {
    let usual = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("left-out");
    std::env::var_os("LEFT_OUT").map_or_else(usual, PathBuf::from)
}

/// Whether the test that asks is to be left out, which is written down.
pub fn is_left_out(test: &str, needs: &[Need]) -> bool {
    let mut missing: Vec<String> = needs.iter().filter_map(|need| need.missing()).collect();
    missing.dedup();
    let file = left_out_folder().join(test.trim_end_matches("::here"));
    if missing.is_empty() {
        // It may have been left out before.
        let _ = fs::remove_file(file);
        return false;
    }
    let missing = missing.join(", ");
    assert!(std::env::var_os("TEST_ALL").is_none(), "TEST_ALL is set, and this test needs {missing}");
    fs::create_dir_all(left_out_folder()).unwrap();
    // Not written in place: somebody else may be writing the same.
    let new = left_out_folder().join(format!(".{}", super::unique()));
    fs::write(&new, &missing).unwrap();
    fs::rename(new, file).unwrap();
    true
}

/// Leaves a test out that does not have what it needs: `needs!(Root, STRACE)`.
#[allow(unused_macros, reason = "each test file uses a part of the harness")]
macro_rules! needs {
    ($($need:expr),+ $(,)?) => {{
        #[allow(unused_imports)]
        use $crate::harness::needs::{Need::*, *};
        // Not the thread's name: nextest runs a test on the main one.
        fn here() {}
        if $crate::harness::needs::is_left_out(std::any::type_name_of_val(&here), &[$($need),+]) {
            return;
        }
    }};
}
pub(crate) use needs;
