//! Cgroups, of version 1 or 2.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::unique;

/// A cgroup of the test's own, gone with it.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Of version 1 or 2, whichever has the memory controller here.
    #[track_caller]
    pub fn with_memory(limit: u64) -> Cgroup {
        let first = Path::new("/sys/fs/cgroup/memory");
        let second = Path::new("/sys/fs/cgroup");
        let (parent, file, swap) = if first.join("memory.limit_in_bytes").exists() {
            (first, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        } else {
            let _ = fs::write(second.join("cgroup.subtree_control"), "+memory");
            (second, "memory.max", "memory.swap.max")
        };
        let cgroup = Cgroup::below(parent);
        let set = |file: &str, value: u64| fs::write(cgroup.0.join(file), value.to_string());
        set(file, limit).unwrap_or_else(|error| {
            panic!("no limit can be set on a memory cgroup below {}: {error}; run the test as root", parent.display())
        });
        let _ = set(swap, if swap == "memory.swap.max" { 0 } else { limit });
        cgroup
    }

    #[track_caller]
    pub fn below(parent: &Path) -> Cgroup {
        let path = parent.join(unique());
        fs::create_dir(&path).unwrap_or_else(|error| {
            panic!("no cgroup can be made below {}: {error}; run the test as root", parent.display())
        });
        Cgroup(path)
    }

    /// The file that makes whoever is written to it a member.
    pub fn procs(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// How many of its processes the kernel has killed for lack of memory.
    pub fn oom_kills(&self) -> u64 {
        let files = ["memory.events", "memory.oom_control"];
        let text = files.iter().find_map(|file| fs::read_to_string(self.0.join(file)).ok()).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok());
        count.unwrap_or_else(|| panic!("{} counts no kills: {text}", self.0.display()))
    }

    /// For the launcher: sexton starts in it.
    pub fn word(&self) -> String {
        format!("cgroup={}", self.0.display())
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last of its processes may be on its way out.
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
