//! Our own cgroup (cgroups(7)), in version 1 and 2, inside and outside a cgroup namespace.

use std::path::{Component, Path, PathBuf};

use super::file::read_text;
use super::mounts::{Mount, mounts};

/// The directories of the cgroups that limit us for this controller, our own first; those above
/// what is mounted here cannot be seen, and may limit us as well.
pub fn cgroups(controller: &str) -> Vec<PathBuf> {
    let Some(own) = read_text("/proc/self/cgroup") else { return Vec::new() };
    let Some((point, path)) = locate(&own, &mounts(), controller) else { return Vec::new() };
    path.ancestors().map(|path| point.join(path)).collect()
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
