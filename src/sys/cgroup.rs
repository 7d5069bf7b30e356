//! Our own cgroup (cgroups(7)), in version 1 and 2, inside and outside a cgroup namespace.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::file::{Opened, read_into};
use super::mounts::{Mount, find_mount, mount_of_line};

/// The longest path of a cgroup that is looked at.
const LONGEST: usize = 1024;

/// The directory of a cgroup.
#[derive(Clone, Debug)]
pub struct Cgroup {
    path: Text,
    /// So much of it is the mount point of its hierarchy.
    point: usize,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Cgroup {
    /// The one that limits us for this controller, if it can be seen from here.
    pub fn of_us(controller: &str, opened: &mut Opened) -> Option<Cgroup> {
        let mut own = Text::EMPTY;
        let version = opened.find_line(c"/proc/self/cgroup", |line| place(line, controller, &mut own))??;
        let mut path = Text::EMPTY;
        let point = find_mount(opened, |mount| locate(version, own.bytes(), &mount, controller, &mut path))?;
        Some(Cgroup { path, point, version })
    }

    /// Its directory and those of the cgroups above it. What is above the mount point cannot be
    /// seen, and may limit us as well.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        let (point, own) = self.path.bytes().split_at(self.point);
        let ends = (0..=own.len()).rev().filter(|end| own.get(*end).is_none_or(|byte| *byte == b'/'));
        ends.filter_map(move |end| Some(Path::new(OsStr::from_bytes(self.path.bytes().get(..point.len() + end)?))))
    }
}

/// Where the kernel says what it did when the memory of our cgroup ran out.
///
/// All of it is in its place: reading it again allocates nothing, for by then there may be no memory
/// to be had.
#[derive(Debug)]
pub struct Memory {
    cgroup: Cgroup,
    /// How many processes of our cgroup the kernel had killed when sexton first looked.
    oom_kills_before: u64,
}

impl Memory {
    /// Our own cgroup's, if it can be seen; the root cgroup of version 2 counts nothing.
    // Not a part of its caller, nor what it calls a part of it: each path takes a kilobyte of stack.
    #[inline(never)]
    pub fn of_us(opened: &mut Opened) -> Option<Memory> {
        let cgroup = Cgroup::of_us("memory", opened)?;
        let oom_kills_before = cgroup.first_oom_kills(opened)?;
        Some(Memory { cgroup, oom_kills_before })
    }

    /// How many processes of our cgroup the kernel had killed for lack of memory when sexton first
    /// looked, in this cgroup or on the whole machine.
    pub fn oom_kills_before(&self) -> u64 {
        self.oom_kills_before
    }

    /// And how many by now.
    pub fn oom_kills(&self) -> Option<u64> {
        let counter = file(self.cgroup.directories().next()?, self.cgroup.counter())?;
        read_into(counter.c_str()?, &mut [0; 1024])?.lines().find_map(oom_kills)
    }

    /// The lowest limit that can be seen, in bytes, if there is one.
    pub fn limit(&self) -> Option<u64> {
        // Version 1 writes "no limit" as the largest number of whole pages.
        const NO_LIMIT: u64 = i64::MAX as u64 & !0xffff;
        let name = match self.cgroup.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        let limits = self.cgroup.directories().filter_map(|directory| {
            let limit = file(directory, name)?;
            read_into(limit.c_str()?, &mut [0; 64])?.trim().parse().ok()
        });
        limits.min().filter(|limit: &u64| *limit < NO_LIMIT)
    }
}

impl Cgroup {
    #[inline(never)]
    fn first_oom_kills(&self, opened: &mut Opened) -> Option<u64> {
        let counter = file(self.directories().next()?, self.counter())?;
        opened.find_line(counter.c_str()?, oom_kills)
    }

    fn counter(&self) -> &'static str {
        match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        }
    }
}

/// `oom_kill N` (since Linux 4.13; cgroups(7)).
pub fn oom_kills(line: &str) -> Option<u64> {
    line.strip_prefix("oom_kill ")?.trim().parse().ok()
}

/// A file of a cgroup, as a C string.
fn file(directory: &Path, name: &str) -> Option<Text> {
    let mut path = Text::EMPTY;
    path.push(directory.as_os_str().as_bytes().iter().copied())?;
    path.push(b"/".iter().chain(name.as_bytes()).chain(b"\0").copied())?;
    Some(path)
}

/// Our place in the hierarchy of a controller, from a line of /proc/self/cgroup: `8:cpu,cpuacct:/path`
/// in version 1, `0::/path` in version 2. On a machine with both a controller is in one of them
/// only; version 2, which is always there, comes last.
///
/// The path goes to `own`. The inner `None`: it is too long to be looked at.
fn place(line: &str, controller: &str, own: &mut Text) -> Option<Option<Version>> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let version = match controllers {
        "" => Version::Two,
        _ if has(controllers, controller) => Version::One,
        _ => return None,
    };
    Some(own.push(path.bytes()).map(|()| version))
}

/// Our cgroup, if this mount shows it: its directory goes to `path`, and the length of the mount point
/// is returned.
fn locate(version: Version, own: &[u8], mount: &Mount<'_>, controller: &str, path: &mut Text) -> Option<usize> {
    let holds = match version {
        Version::One => mount.kind == "cgroup" && has(mount.options, controller),
        Version::Two => mount.kind == "cgroup2",
    };
    // Ours may be above or beside the root of our cgroup namespace: not to be seen
    // (cgroup_namespaces(7)).
    if !holds || own.split(|byte| *byte == b'/').any(|part| part == b"..") {
        return None;
    }
    // Without a namespace of its own a container sees the whole path, but not the whole tree.
    let mut rest = own;
    for byte in mount.root.bytes() {
        rest = rest.strip_prefix(&[byte])?;
    }
    if !matches!(rest, [] | [b'/', ..]) && mount.root.0 != "/" {
        return None;
    }
    let below = rest.strip_prefix(b"/").unwrap_or(rest);
    path.length = 0;
    path.push(mount.point.bytes())?;
    let point = path.bytes().len();
    if !below.is_empty() {
        path.push(b"/".iter().chain(below).copied())?;
    }
    Some(point)
}

/// The cgroup for this controller, by the text of both files, for fuzz/.
pub fn cgroup_in(own: &str, mounts: &str, controller: &str) -> Option<Cgroup> {
    let (mut ours, mut path) = (Text::EMPTY, Text::EMPTY);
    let version = own.lines().find_map(|line| place(line, controller, &mut ours))??;
    let mut mounts = mounts.lines().filter_map(mount_of_line);
    let point = mounts.find_map(|mount| locate(version, ours.bytes(), &mount, controller, &mut path))?;
    Some(Cgroup { path, point, version })
}

fn has(list: &str, word: &str) -> bool {
    list.split(',').any(|known| known == word)
}

/// Bytes in a place of their own.
#[derive(Clone, Debug)]
struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    const EMPTY: Text = Text { bytes: [0; LONGEST], length: 0 };

    /// `None` when there is not room for all of them.
    fn push(&mut self, bytes: impl Iterator<Item = u8>) -> Option<()> {
        for byte in bytes {
            *self.bytes.get_mut(self.length)? = byte;
            self.length += 1;
        }
        Some(())
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn c_str(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(self.bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mounts::Escaped;

    fn mount<'a>(kind: &'a str, root: &'a str, point: &'a str, options: &'a str) -> Mount<'a> {
        Mount { root: Escaped(root), point: Escaped(point), kind, options }
    }

    fn shown(own: &str, mounts: &[Mount<'_>]) -> Option<String> {
        let (mut ours, mut path) = (Text::EMPTY, Text::EMPTY);
        let version = own.lines().find_map(|line| place(line, "pids", &mut ours))??;
        let point = mounts.iter().find_map(|mount| locate(version, ours.bytes(), mount, "pids", &mut path))?;
        let cgroup = Cgroup { path, point, version };
        let directories: Vec<_> = cgroup.directories().map(|path| path.to_str().unwrap().to_owned()).collect();
        Some(directories.join(" "))
    }

    #[test]
    fn our_cgroup_is_found_in_both_versions_inside_and_outside_a_namespace() {
        let first = [
            mount("cgroup", "/", "/sys/fs/cgroup/cpu", "rw,cpu"),
            mount("cgroup", "/", "/sys/fs/cgroup/pids", "rw,pids"),
            mount("cgroup2", "/", "/sys/fs/cgroup/unified", "rw"),
        ];
        let own = "9:cpu:/c\n8:net,pids:/a/b\n0::/u\n";
        assert_eq!(shown(own, &first).unwrap(), "/sys/fs/cgroup/pids/a/b /sys/fs/cgroup/pids/a /sys/fs/cgroup/pids");
        let bound = [mount("cgroup", "/docker/1", "/sys/fs/cgroup/pids", "rw,pids")];
        assert_eq!(shown("8:pids:/docker/1", &bound).unwrap(), "/sys/fs/cgroup/pids");
        assert_eq!(shown("8:pids:/docker/1/x", &bound).unwrap(), "/sys/fs/cgroup/pids/x /sys/fs/cgroup/pids");

        let second = [mount("cgroup2", "/", "/sys/fs/cgroup", "rw,nsdelegate")];
        assert_eq!(shown("0::/", &second).unwrap(), "/sys/fs/cgroup");
        assert_eq!(
            shown("0::/a.slice/b", &second).unwrap(),
            "/sys/fs/cgroup/a.slice/b /sys/fs/cgroup/a.slice /sys/fs/cgroup"
        );
    }

    #[test]
    fn a_cgroup_that_cannot_be_seen_is_not_guessed() {
        let bound = [mount("cgroup", "/docker/1", "/sys/fs/cgroup/pids", "rw,pids")];
        assert_eq!(shown("8:pids:/docker/2", &bound), None);
        assert_eq!(shown("8:pids:/docker/12", &bound), None);
        assert_eq!(shown(&format!("8:pids:/docker/1/{}", "x".repeat(LONGEST)), &bound), None);
        let second = [mount("cgroup2", "/", "/sys/fs/cgroup", "rw")];
        assert_eq!(shown("0::/../x", &second), None);
        assert_eq!(shown("8:pids:/a", &second), None);
        assert_eq!(shown("rubbish", &second), None);
        assert_eq!(shown("", &[]), None);
    }
}
