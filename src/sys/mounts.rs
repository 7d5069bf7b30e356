//! /proc/self/mountinfo (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::file::read_text;

/// One mount that we can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What of its file system is mounted.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// `ext4`, `cgroup2`…
    pub kind: String,
    /// The options of the file system itself, comma-separated.
    pub options: String,
}

/// The mounts that we can see, in the order of their mounting; none without /proc.
pub fn mounts() -> Vec<Mount> {
    read_text("/proc/self/mountinfo").map_or_else(Vec::new, |text| text.lines().filter_map(parse).collect())
}

/// Where the file system is mounted that has this absolute path, which has no symbolic links.
pub fn mount_point(path: &Path) -> Option<PathBuf> {
    innermost(&mounts(), path)
}

/// A later mount on the same place hides an earlier one.
fn innermost(mounts: &[Mount], path: &Path) -> Option<PathBuf> {
    let holders = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    holders.max_by_key(|mount| mount.point.as_os_str().len()).map(|mount| mount.point.clone())
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: between the
/// sixth field and the dash are as many as there happen to be.
fn parse(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let mut file_system = file_system.split(' ');
    Some(Mount {
        root: unescape(mount.next()?),
        point: unescape(mount.next()?),
        kind: file_system.next()?.to_owned(),
        options: file_system.nth(1)?.to_owned(),
    })
}

/// Blanks, line ends and backslashes are written as `\040`.
fn unescape(field: &str) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) if *byte == b'\\' => {
                path.push(escaped);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                path.push(*byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r"
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
28 27 0:25 /images/7 /a\040b\134c rw,noexec - tmpfs none rw
29 27 0:26 / /a rw - tmpfs none rw
30 27 0:27 / /a rw,noexec - ramfs none rw
not a mount";

    #[test]
    fn a_mount_is_read_from_its_line_with_blanks_in_its_name() {
        let mounts: Vec<Mount> = TEXT.lines().filter_map(parse).collect();
        assert_eq!(mounts.len(), 5);
        assert_eq!(mounts[1].options, "rw,discard");
        let [root, point] = ["/images/7", r"/a b\c"].map(PathBuf::from);
        assert_eq!(mounts[2], Mount { root, point, kind: "tmpfs".into(), options: "rw".into() });
    }

    #[test]
    fn the_mount_of_a_file_is_the_innermost_one_above_it() {
        let mounts: Vec<Mount> = TEXT.lines().filter_map(parse).collect();
        let point = |path: &str| innermost(&mounts, Path::new(path)).unwrap();
        assert_eq!(point("/abc"), Path::new("/"));
        assert_eq!(point("/a/b"), Path::new("/a"));
        assert_eq!(point("/a b\\c/d"), Path::new("/a b\\c"));
        assert_eq!(innermost(&[], Path::new("/")), None);
    }
}
