//! Our own cgroup (cgroups(7)), in version 1 and 2, inside and outside a cgroup namespace.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::file::{read_into, read_text};
use super::mounts::{Mount, mounts};

/// The directories of the cgroups that limit us for this controller, our own first; those above
/// what is mounted here cannot be seen, and may limit us as well.
pub fn cgroups(controller: &str) -> Vec<PathBuf> {
    let Some(own) = read_text("/proc/self/cgroup") else { return Vec::new() };
    let Some((point, path)) = locate(&own, &mounts(), controller) else { return Vec::new() };
    path.ancestors().map(|path| point.join(path)).collect()
}

/// Where the kernel says what it did when the memory of our cgroup ran out.
///
/// The paths are looked up once; reading them later allocates nothing, for by then there may be no
/// memory to be had.
#[derive(Debug)]
pub struct Memory {
    /// Counts the processes of our cgroup that were killed.
    counter: Option<CString>,
    /// The limits of our cgroup and of those above it.
    limits: Vec<CString>,
}

impl Memory {
    /// Our own cgroup's.
    pub fn of_us() -> Memory {
        let cgroups = cgroups("memory");
        let file = |cgroup: &PathBuf, name| CString::new(cgroup.join(name).as_os_str().as_bytes()).ok();
        // Version 2, version 1. The root cgroup of version 2 has neither.
        for (counter, limit) in [("memory.events", "memory.max"), ("memory.oom_control", "memory.limit_in_bytes")] {
            let counter = cgroups.first().and_then(|own| file(own, counter));
            if counter.as_ref().is_some_and(|counter| oom_kills(counter).is_some()) {
                return Memory { counter, limits: cgroups.iter().filter_map(|cgroup| file(cgroup, limit)).collect() };
            }
        }
        Memory { counter: None, limits: Vec::new() }
    }

    /// How many processes of our cgroup the kernel has killed for lack of memory, in this cgroup or
    /// on the whole machine; `None` when it cannot be seen from here.
    pub fn oom_kills(&self) -> Option<u64> {
        oom_kills(self.counter.as_ref()?)
    }

    /// The lowest limit that can be seen, in bytes, if there is one.
    pub fn limit(&self) -> Option<u64> {
        // Version 1 writes "no limit" as the largest number of whole pages.
        const NO_LIMIT: u64 = i64::MAX as u64 & !0xffff;
        let limits = self.limits.iter().filter_map(|limit| read_into(limit, &mut [0; 64])?.trim().parse().ok());
        limits.min().filter(|limit: &u64| *limit < NO_LIMIT)
    }
}

/// `oom_kill N` among the lines of memory.events (since Linux 4.13; cgroups(7)).
fn oom_kills(counter: &CString) -> Option<u64> {
    read_into(counter, &mut [0; 1024])?.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Where the controller's hierarchy is mounted, and our place below that.
fn locate(own: &str, mounts: &[Mount], controller: &str) -> Option<(PathBuf, PathBuf)> {
    // `8:cpu,cpuacct:/path` in version 1, `0::/path` in version 2. On a machine with both a
    // controller is in one of them only.
    let lines = || own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let first = lines().find(|(controllers, _)| has(controllers, controller));
    let is_first = first.is_some();
    let (_, path) = first.or_else(|| lines().find(|(controllers, _)| controllers.is_empty()))?;
    let path = Path::new(path);
    // Ours is above or beside the root of our cgroup namespace: not to be seen (cgroup_namespaces(7)).
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    mounts.iter().find_map(|mount| {
        let holds = match mount.kind.as_str() {
            "cgroup" => is_first && has(&mount.options, controller),
            "cgroup2" => !is_first,
            _ => false,
        };
        // Without a namespace of its own a container sees the whole path, but not the whole tree.
        let below = path.strip_prefix(&mount.root).ok().filter(|_| holds)?;
        Some((mount.point.clone(), below.to_owned()))
    })
}

fn has(list: &str, word: &str) -> bool {
    list.split(',').any(|known| known == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, root: &str, point: &str, options: &str) -> Mount {
        Mount { root: root.into(), point: point.into(), kind: kind.into(), options: options.into() }
    }

    fn shown(own: &str, mounts: &[Mount]) -> Option<String> {
        locate(own, mounts, "pids").map(|(point, path)| format!("{} + {}", point.display(), path.display()))
    }

    #[test]
    fn our_cgroup_is_found_in_both_versions_inside_and_outside_a_namespace() {
        let first = [
            mount("cgroup", "/", "/sys/fs/cgroup/cpu", "rw,cpu"),
            mount("cgroup", "/", "/sys/fs/cgroup/pids", "rw,pids"),
            mount("cgroup2", "/", "/sys/fs/cgroup/unified", "rw"),
        ];
        let own = "9:cpu:/c\n8:net,pids:/a/b\n0::/u\n";
        assert_eq!(shown(own, &first).unwrap(), "/sys/fs/cgroup/pids + a/b");
        let bound = [mount("cgroup", "/docker/1", "/sys/fs/cgroup/pids", "rw,pids")];
        assert_eq!(shown("8:pids:/docker/1", &bound).unwrap(), "/sys/fs/cgroup/pids + ");
        assert_eq!(shown("8:pids:/docker/1/x", &bound).unwrap(), "/sys/fs/cgroup/pids + x");

        let second = [mount("cgroup2", "/", "/sys/fs/cgroup", "rw,nsdelegate")];
        assert_eq!(shown("0::/", &second).unwrap(), "/sys/fs/cgroup + ");
        assert_eq!(shown("0::/a.slice/b", &second).unwrap(), "/sys/fs/cgroup + a.slice/b");
    }

    #[test]
    fn a_cgroup_that_cannot_be_seen_is_not_guessed() {
        let bound = [mount("cgroup", "/docker/1", "/sys/fs/cgroup/pids", "rw,pids")];
        assert_eq!(shown("8:pids:/docker/2", &bound), None);
        let second = [mount("cgroup2", "/", "/sys/fs/cgroup", "rw")];
        assert_eq!(shown("0::/../x", &second), None);
        assert_eq!(shown("8:pids:/a", &second), None);
        assert_eq!(shown("rubbish", &second), None);
        assert_eq!(shown("", &[]), None);
    }
}
