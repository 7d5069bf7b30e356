//! Cgroups, of version 1 or 2.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::unique;

/// Where the memory controller is mounted.
pub fn memory_root() -> &'static Path {
    Path::new(if memory_version() == 1 { "/sys/fs/cgroup/memory" } else { "/sys/fs/cgroup" })
}

/// The version of cgroups that has the memory controller.
pub fn memory_version() -> u32 {
    if Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() { 1 } else { 2 }
}

/// A cgroup of the test's own, gone with it.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Of version 1 or 2, whichever has the memory controller here.
    #[track_caller]
    pub fn with_memory(limit: u64) -> Cgroup {
        Cgroup::with_memory_below(memory_root(), Some(limit))
    }

    #[track_caller]
    pub fn with_memory_below(parent: &Path, limit: Option<u64>) -> Cgroup {
        if memory_version() == 2 {
            let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory");
        }
        let cgroup = Cgroup::below(parent);
        let (file, swap) = match memory_version() {
            1 => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            _ => ("memory.max", "memory.swap.max"),
        };
        if let Some(limit) = limit {
            let set = |file: &str, value: u64| fs::write(cgroup.0.join(file), value.to_string());
            set(file, limit).unwrap_or_else(|error| {
                panic!(
                    "no limit can be set on a memory cgroup below {}: {error}; run the test as root",
                    parent.display()
                )
            });
            let _ = set(swap, if swap == "memory.swap.max" { 0 } else { limit });
        }
        cgroup
    }

    /// Of version 1 or 2, whichever has the CPU controller here: so many microseconds of each 100,000.
    #[track_caller]
    pub fn with_cpu(quota: u64) -> Cgroup {
        let first = Path::new("/sys/fs/cgroup/cpu");
        if first.exists() {
            let cgroup = Cgroup::below(first);
            cgroup.write("cpu.cfs_quota_us", &quota.to_string());
            return cgroup;
        }
        let second = Path::new("/sys/fs/cgroup");
        let _ = fs::write(second.join("cgroup.subtree_control"), "+cpu");
        let cgroup = Cgroup::below(second);
        cgroup.write("cpu.max", &format!("{quota} 100000"));
        cgroup
    }

    /// One with the same name, below another one.
    #[track_caller]
    pub fn namesake_below(&self, parent: &Cgroup) -> Cgroup {
        if memory_version() == 2 {
            parent.write("cgroup.subtree_control", "+memory");
        }
        Cgroup::at(parent.0.join(self.0.file_name().unwrap()))
    }

    #[track_caller]
    pub fn below(parent: &Path) -> Cgroup {
        Cgroup::at(parent.join(unique()))
    }

    #[track_caller]
    fn at(path: PathBuf) -> Cgroup {
        fs::create_dir(&path).unwrap_or_else(|error| {
            panic!("no cgroup can be made at {}: {error}; run the test as root", path.display())
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

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The most memory that was ever used in it, where the kernel keeps that (Linux 5.19).
    pub fn memory_peak(&self) -> Option<u64> {
        let files = ["memory.peak", "memory.max_usage_in_bytes"];
        let text = files.iter().find_map(|file| fs::read_to_string(self.0.join(file)).ok())?;
        Some(text.trim().parse().unwrap())
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
