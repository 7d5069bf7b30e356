//! Our own cgroup and the command's (cgroups(7)), in version 1 and 2, inside and outside a cgroup namespace.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::file::{Opened, is_on_mount, read_into};
use super::mounts::{Mount, find_mount, mount_of_line};
use super::proc;

/// The longest path of a cgroup that is looked at.
const LONGEST: usize = 1024;

/// The directory of a cgroup.
#[derive(Debug)]
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
    #[cold]
    pub fn of_us(controller: &str) -> Option<Cgroup> {
        let (version, own) = place_of(c"/proc/self/cgroup", controller)?;
        Cgroup::seen(version, &own, controller)
    }

    /// The one with this path in its hierarchy, where a mount shows it that no other mount hides.
    #[inline(never)]
    fn seen(version: Version, own: &Text, controller: &str) -> Option<Cgroup> {
        let mut path = Text::EMPTY;
        let point = find_mount(&mut Opened::default(), |mount| {
            let point = locate(version, own.bytes(), &mount, controller, &mut path)?;
            let mut directory = path.clone();
            directory.push([0].into_iter())?;
            is_on_mount(directory.c_str()?, mount.id).then_some(point)
        })?;
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

/// Where the kernel counts the processes of a cgroup that it killed for lack of memory: of this cgroup, of one
/// around it, or of the whole machine.
///
/// All of it is in its place: reading it again allocates nothing, for by then there may be no memory
/// to be had.
#[derive(Debug)]
pub struct Memory {
    /// The one that counts: our own, or one above it that has the memory controller.
    cgroup: Cgroup,
    counter: &'static str,
    /// What was counted when this was looked at.
    pub oom_kills: u64,
}

/// Why it cannot be said in which cgroup a dead process was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSeen {
    /// Nobody says: version 1 has all the dead in its root (cgroups(7)), and there may be no `/proc`.
    Untold,
    /// It is gone, or cannot be seen from here.
    Hidden,
}

/// The limit on memory, and what came closest to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// The lowest limit that can be seen, in bytes.
    pub limit: Option<u64>,
    /// The most that was ever used in the cgroup with that limit, or in our own without one, in bytes.
    pub peak: Option<u64>,
}

/// The counter of version 1, and the two of version 2: the second one counts the cgroups below as well.
const COUNTERS: [&str; 3] = ["memory.oom_control", "memory.events.local", "memory.events"];

impl Memory {
    /// What counts for us, if it can be seen; the root cgroup of version 2 counts nothing.
    // Not a part of its caller, nor what it calls a part of it: each path takes a kilobyte of stack.
    #[inline(never)]
    pub fn of_us(opened: &mut Opened) -> Option<Memory> {
        /// Of the mounts that would show our cgroup the first mostly does. If it has no counter, another
        /// one may hide it.
        const MOUNTS: usize = 8;
        let mut own = Text::EMPTY;
        let version = opened.find_line(c"/proc/self/cgroup", |line| place(line, CONTROLLER, &mut own))??;
        (0..MOUNTS).find_map(|skipped| {
            let mut path = Text::EMPTY;
            let mut left = skipped;
            let point = find_mount(opened, |mount| {
                let point = locate(version, own.bytes(), &mount, CONTROLLER, &mut path)?;
                if left == 0 {
                    return Some(point);
                }
                left -= 1;
                None
            });
            match point {
                Some(point) => Memory::first_of(Cgroup { path, point, version }, opened).map(Some),
                None => Some(None),
            }
        })?
    }

    #[inline(never)]
    fn first_of(cgroup: Cgroup, opened: &mut Opened) -> Option<Memory> {
        Memory::counted_in(cgroup, |counter| opened.find_line(counter, oom_kills))
    }

    /// What counts for us now, where no mount hides it.
    #[cold]
    pub fn of_us_now() -> Option<Memory> {
        Memory::now(Cgroup::of_us(CONTROLLER)?)
    }

    /// What counted for a process that is dead and not reaped.
    ///
    /// # Errors
    ///
    /// It cannot be said.
    #[cold]
    pub fn of_dead(pid: i32) -> Result<Memory, NotSeen> {
        let list = proc::Path::of(format_args!("/proc/{pid}/cgroup")).filter(|_| proc::shows_our_namespace());
        match list.as_ref().and_then(proc::Path::c_str).and_then(|list| place_of(list, CONTROLLER)) {
            Some((Version::Two, own)) => {
                Cgroup::seen(Version::Two, &own, CONTROLLER).and_then(Memory::now).ok_or(NotSeen::Hidden)
            }
            Some((Version::One, _)) | None => Err(NotSeen::Untold),
        }
    }

    #[inline(never)]
    fn now(cgroup: Cgroup) -> Option<Memory> {
        Memory::counted_in(cgroup, read_oom_kills)
    }

    /// In the first of the directories that has a counter.
    fn counted_in(mut cgroup: Cgroup, mut read: impl FnMut(&CStr) -> Option<u64>) -> Option<Memory> {
        let of_version: &[&str] = match cgroup.version {
            Version::One => COUNTERS.get(..1)?,
            Version::Two => COUNTERS.get(1..)?,
        };
        let mut found = None;
        for directory in cgroup.directories() {
            let in_it = |counter: &&'static str| Some((*counter, read(file(directory, counter)?.c_str()?)?));
            if let Some((counter, oom_kills)) = of_version.iter().find_map(in_it) {
                found = Some((directory.as_os_str().len(), counter, oom_kills));
                break;
            }
        }
        let (length, counter, oom_kills) = found?;
        cgroup.path.length = length;
        Some(Memory { cgroup, counter, oom_kills })
    }

    /// What is counted by now.
    pub fn oom_kills_now(&self) -> Option<u64> {
        read_oom_kills(file(self.directory(), self.counter)?.c_str()?)
    }

    /// The directory of the cgroup that counts.
    pub fn directory(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.cgroup.path.bytes()))
    }

    /// Whether both are the same counter.
    pub fn is_the_same_as(&self, other: &Memory) -> bool {
        self.counter == other.counter && self.directory() == other.directory()
    }

    /// Whether what is below counts as well: before Linux 5.3 there is no other counter.
    pub fn counts_below(&self) -> bool {
        COUNTERS.get(2) == Some(&self.counter)
    }

    /// The limit, and what came closest to it.
    #[cold]
    pub fn ceiling(&self) -> Ceiling {
        // Version 1 writes "no limit" as the largest number of whole pages.
        const NO_LIMIT: u64 = i64::MAX as u64 & !0xffff;
        let (limit, peak) = match self.cgroup.version {
            Version::One => ("memory.limit_in_bytes", "memory.max_usage_in_bytes"),
            // The peak is there since Linux 5.19.
            Version::Two => ("memory.max", "memory.peak"),
        };
        let limits = self.cgroup.directories().filter_map(|directory| {
            let bytes = read_number(directory, limit).filter(|bytes| *bytes < NO_LIMIT)?;
            Some((bytes, directory))
        });
        // Of two with the same limit the inner one, whose processes it is about.
        let (limit, directory) = match limits.min_by_key(|(bytes, _)| *bytes) {
            Some((bytes, directory)) => (Some(bytes), directory),
            None => (None, self.directory()),
        };
        Ceiling { limit, peak: read_number(directory, peak) }
    }
}

/// The memory controller.
const CONTROLLER: &str = "memory";

#[inline(never)]
fn read_oom_kills(counter: &CStr) -> Option<u64> {
    read_into(counter, &mut [0; 1024])?.lines().find_map(oom_kills)
}

/// A file of a cgroup that has a number in it.
#[inline(never)]
fn read_number(directory: &Path, name: &str) -> Option<u64> {
    read_into(file(directory, name)?.c_str()?, &mut [0; 64])?.trim().parse().ok()
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

/// The place of a process in the hierarchy of a controller, from its list of them.
#[inline(never)]
fn place_of(list: &CStr, controller: &str) -> Option<(Version, Text)> {
    let mut own = Text::EMPTY;
    let version = Opened::default().find_line(list, |line| place(line, controller, &mut own))??;
    // What version 2 appends to the path of one that was removed since its last process died (cgroups(7)).
    (!own.bytes().ends_with(b" (deleted)")).then_some((version, own))
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
        Mount { id: "36", root: Escaped(root), point: Escaped(point), kind, options }
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
