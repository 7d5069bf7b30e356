//! Names that nobody else uses.
//!
//! A pid does not make one: the threads of a process share it, and in another PID namespace with the same
//! /tmp (a second container of a build machine) somebody else has the same one.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

pub fn unique() -> String {
    format!("sexton-test-{}", random())
}

/// 64 bits, from the random key of a hash table.
pub fn random() -> String {
    format!("{:016x}", RandomState::new().hash_one(()))
}

/// A folder of the test's own, gone with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        Folder::named(&unique())
    }

    /// Of a name that somebody looks for later, and that nobody else has.
    #[allow(clippy::disallowed_methods, reason = "this is what the others are to call")]
    pub fn named(name: &str) -> Folder {
        let path = std::env::temp_dir().join(name);
        // Not create_dir_all: one that is there already is somebody else's.
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Folder(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
