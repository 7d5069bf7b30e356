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
pub(super) enum Version {
    One,
    Two,
}

/// Why it cannot be said in which cgroup a dead process was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSeen {
    /// Nobody says: version 1 has all the dead in its root (cgroups(7)), and there may be no `/proc`.
    Untold,
    /// It is gone, or cannot be seen from here.
    Hidden,
}

impl Cgroup {
    /// The one that limits us for this controller, if it can be seen from here.
    #[cold]
    pub fn of_us(controller: &str) -> Option<Cgroup> {
        let (version, own) = place_of(c"/proc/self/cgroup", controller)?;
        Cgroup::seen(version, &own, controller)
    }

    /// The one that limits this process.
    pub(super) fn of_process(pid: i32, controller: &str) -> Option<Cgroup> {
        let list = proc::Path::of(format_args!("/proc/{pid}/cgroup")).filter(|_| proc::shows_our_namespace())?;
        let (version, own) = place_of(list.c_str()?, controller)?;
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

    /// The one in which a process is that is dead and not reaped.
    ///
    /// # Errors
    ///
    /// It cannot be said.
    #[cold]
    pub(super) fn of_dead(pid: i32, controller: &str) -> Result<Cgroup, NotSeen> {
        let list = proc::Path::of(format_args!("/proc/{pid}/cgroup")).filter(|_| proc::shows_our_namespace());
        match list.as_ref().and_then(proc::Path::c_str).and_then(|list| place_of(list, controller)) {
            Some((Version::Two, own)) => Cgroup::seen(Version::Two, &own, controller).ok_or(NotSeen::Hidden),
            Some((Version::One, _)) | None => Err(NotSeen::Untold),
        }
    }

    /// None yet.
    pub(super) fn nowhere() -> Cgroup {
        Cgroup { path: Text::EMPTY, point: 0, version: Version::Two }
    }

    /// Becomes ours by the mounts that would show it, hidden by another one or not, without the first so many of them.
    /// Says whether there is one.
    // In its place, for a path takes a kilobyte of stack.
    pub(super) fn become_nth_of_us(&mut self, controller: &str, mut skipped: usize, opened: &mut Opened) -> bool {
        let mut own = Text::EMPTY;
        let found = opened.find_line(c"/proc/self/cgroup", |line| place(line, controller, &mut own));
        let Some(version) = found.flatten() else { return false };
        let path = &mut self.path;
        let point = find_mount(opened, |mount| {
            let point = locate(version, own.bytes(), &mount, controller, path)?;
            let is_wanted = skipped == 0;
            skipped = skipped.saturating_sub(1);
            is_wanted.then_some(point)
        });
        self.version = version;
        self.point = point.unwrap_or(0);
        point.is_some()
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Its own directory.
    pub(super) fn directory(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.bytes()))
    }

    /// The cgroup above it whose directory is so long, in bytes.
    pub(super) fn climb(&mut self, length: usize) {
        self.path.length = self.path.length.min(length);
    }

    /// Its directory and those of the cgroups above it. What is above the mount point cannot be
    /// seen, and may limit us as well.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        let (point, own) = self.path.bytes().split_at(self.point);
        let ends = (0..=own.len()).rev().filter(|end| own.get(*end).is_none_or(|byte| *byte == b'/'));
        ends.filter_map(move |end| Some(Path::new(OsStr::from_bytes(self.path.bytes().get(..point.len() + end)?))))
    }
}

/// A file of a cgroup, as a C string.
pub(super) fn file(directory: &Path, name: &str) -> Option<Text> {
    let mut path = Text::EMPTY;
    for part in [directory.as_os_str().as_bytes(), b"/", name.as_bytes(), b"\0"] {
        path.push_slice(part)?;
    }
    Some(path)
}

/// The beginning of a file of a cgroup.
#[inline(never)]
pub(super) fn read<'a>(directory: &Path, name: &str, room: &'a mut [u8]) -> Option<&'a str> {
    read_into(file(directory, name).as_ref()?.c_str()?, room)
}

/// A file of a cgroup that has a number in it.
pub(super) fn read_number(directory: &Path, name: &str) -> Option<u64> {
    read(directory, name, &mut [0; 64])?.trim().parse().ok()
}

/// From `KEY VALUE` lines.
pub(super) fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
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
    Some(own.push_slice(path.as_bytes()).map(|()| version))
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
        path.push_slice(b"/")?;
        path.push_slice(below)?;
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
    list.as_bytes().split(|byte| *byte == b',').any(|known| known == word.as_bytes())
}

/// Bytes in a place of their own.
#[derive(Clone, Debug)]
pub(super) struct Text {
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

    /// The same in one go.
    fn push_slice(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length.checked_add(bytes.len())?;
        self.bytes.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(super) fn c_str(&self) -> Option<&CStr> {
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

    #[test]
    fn a_value_is_that_of_its_own_key() {
        let text = "nr_throttled 3\nthrottled_usec 1200\nthrottled 9\nmax 4\n";
        assert_eq!((value(text, "throttled_usec"), value(text, "max")), (Some(1200), Some(4)));
        assert_eq!((value(text, "usec"), value(text, "high")), (None, None));
    }
}
