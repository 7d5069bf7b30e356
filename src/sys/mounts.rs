//! /proc/self/mountinfo (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::file::Opened;

/// One mount that we can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The number by which the kernel tells it from all others.
    pub id: &'a str,
    /// What of its file system is mounted.
    pub root: Escaped<'a>,
    /// Where.
    pub point: Escaped<'a>,
    /// `ext4`, `cgroup2`…
    pub kind: &'a str,
    /// The options of the file system itself, comma-separated.
    pub options: &'a str,
}

/// A path in which blanks, line ends and backslashes are written as `\040`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a>(pub &'a str);

impl<'a> Escaped<'a> {
    /// The bytes of the path itself.
    pub fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        let mut rest = self.0.as_bytes();
        std::iter::from_fn(move || {
            let (byte, after) = rest.split_first()?;
            let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
            match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
                Some(escaped) if *byte == b'\\' => {
                    rest = after.get(3..)?;
                    Some(escaped)
                }
                _ => {
                    rest = after;
                    Some(*byte)
                }
            }
        })
    }

    fn to_path(self) -> PathBuf {
        OsString::from_vec(self.bytes().collect()).into()
    }
}

/// Shows the mounts that we can see to `see`, in the order of their mounting, until it has found what
/// it was looking for; none without /proc.
pub fn find_mount<T>(opened: &mut Opened, mut see: impl FnMut(Mount<'_>) -> Option<T>) -> Option<T> {
    opened.find_line(c"/proc/self/mountinfo", |line| see(mount_of_line(line)?))
}

/// Where the file system is mounted that has this absolute path, which has no symbolic links.
pub fn mount_point(path: &Path) -> Option<PathBuf> {
    let mut innermost = None;
    find_mount(&mut Opened::default(), |mount| {
        hold(&mut innermost, mount, path);
        None::<()>
    });
    innermost
}

/// Keeps the mount point if the path is below it, and not below another one in it. A later mount on
/// the same place hides an earlier one.
fn hold(innermost: &mut Option<PathBuf>, mount: Mount<'_>, path: &Path) {
    let point = mount.point.to_path();
    if path.starts_with(&point) && innermost.as_ref().is_none_or(|known| point.starts_with(known)) {
        *innermost = Some(point);
    }
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: between the
/// sixth field and the dash are as many as there happen to be.
pub fn mount_of_line(line: &str) -> Option<Mount<'_>> {
    let mut fields = fields(line);
    let id = fields.next()?;
    let (root, point, _options) = (Escaped(fields.nth(2)?), Escaped(fields.next()?), fields.next()?);
    fields.find(|field| *field == "-")?;
    Some(Mount { id, root, point, kind: fields.next()?, options: fields.nth(1)? })
}

/// The parts between blanks, byte by byte: they are too short for what `str::split` makes ready for each.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let begun = rest?;
        match begun.bytes().position(|byte| byte == b' ') {
            Some(end) => {
                rest = begun.get(end + 1..);
                begun.get(..end)
            }
            None => rest.take(),
        }
    })
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
        let mounts: Vec<Mount<'_>> = TEXT.lines().filter_map(mount_of_line).collect();
        assert_eq!(mounts.len(), 5);
        assert_eq!((mounts[1].id, mounts[1].options), ("27", "rw,discard"));
        assert_eq!(mounts[2].root.to_path(), Path::new("/images/7"));
        assert_eq!(mounts[2].point.to_path(), Path::new(r"/a b\c"));
        assert_eq!((mounts[2].kind, mounts[2].options), ("tmpfs", "rw"));
    }

    #[test]
    fn the_mount_of_a_file_is_the_innermost_one_above_it() {
        let point = |path: &str| {
            let mut innermost = None;
            TEXT.lines().filter_map(mount_of_line).for_each(|mount| hold(&mut innermost, mount, Path::new(path)));
            innermost.unwrap()
        };
        assert_eq!(point("/abc"), Path::new("/"));
        assert_eq!(point("/a/b"), Path::new("/a"));
        assert_eq!(point("/a b\\c/d"), Path::new("/a b\\c"));
    }
}
