//! How far the kernel gets on the way to a file (path_resolution(7)), and what is near it.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::meant;
use crate::report::Printable;
use crate::sys::{each_name, effective_uid};

/// A path for people, not longer than a line can bear.
pub struct Shown<'a>(pub &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LIMIT: usize = 1000;
        let bytes = self.0.as_os_str().as_bytes();
        match bytes.get(..LIMIT) {
            Some(start) if bytes.len() > LIMIT => write!(f, "{}…", Printable(start)),
            _ => Printable(bytes).fmt(f),
        }
    }
}

/// Mode and owner: `(rw-r--r--, 0644, uid 0, gid 0)`.
pub struct Mode<'a>(pub &'a Metadata);

impl fmt::Display for Mode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = self.0.mode() & 0o7777;
        f.write_str("(")?;
        for (index, letter) in "rwxrwxrwx".chars().enumerate() {
            let is_set = mode & (0o400 >> index) != 0;
            write!(f, "{}", if is_set { letter } else { '-' })?;
        }
        write!(f, ", {mode:04o}, uid {}, gid {})", self.0.uid(), self.0.gid())
    }
}

/// Why the kernel does not get to a file.
#[derive(Debug)]
pub struct Obstacle {
    /// As a sentence about the file, "it".
    pub why: String,
    /// Nothing else is wrong but that this is not there, the file itself or a directory above it.
    pub missing: Option<PathBuf>,
}

fn obstacle(why: String) -> Obstacle {
    Obstacle { why, missing: None }
}

/// How many symbolic links that lead to symbolic links are told one by one.
const LINKS: usize = 8;

/// Goes the way to a file step by step.
///
/// # Errors
///
/// What is in the way.
pub fn walk(path: &Path) -> Result<Metadata, Obstacle> {
    walk_links(path, LINKS)
}

fn walk_links(path: &Path, links: usize) -> Result<Metadata, Obstacle> {
    if path.as_os_str().is_empty() {
        return Err(obstacle("its name is empty".into()));
    }
    if path.as_os_str().len() >= libc::PATH_MAX as usize {
        let length = path.as_os_str().len();
        return Err(obstacle(format!("its name is {length} bytes long, and {} is the most", libc::PATH_MAX - 1)));
    }
    let mut walked = PathBuf::new();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let directory = if walked.as_os_str().is_empty() { Path::new(".").to_owned() } else { walked.clone() };
        walked.push(part);
        let is_last = parts.peek().is_none();
        // The subject of a sentence.
        let it = || if is_last { "it".to_owned() } else { Shown(&walked).to_string() };
        let found = match fs::symlink_metadata(&walked) {
            Ok(found) if found.is_symlink() => {
                fs::metadata(&walked).map_err(|error| dead_link(&error, &walked, &directory, &it(), links))?
            }
            Ok(found) => found,
            Err(error) => return Err(refused(&error, path, &directory, &walked, is_last)),
        };
        let must_be_directory = !is_last || path.as_os_str().as_bytes().ends_with(b"/");
        if must_be_directory && !found.is_dir() {
            return Err(obstacle(format!("{} is a file, not a directory", Shown(&walked))));
        }
        if is_last {
            return Ok(found);
        }
    }
    Err(obstacle("it has no name".into()))
}

/// A symbolic link that stat(2) could not follow.
fn dead_link(error: &io::Error, link: &Path, directory: &Path, it: &str, links: usize) -> Obstacle {
    let target = fs::read_link(link).unwrap_or_default();
    let start = format!("{it} is a symbolic link to {}", Shown(&target));
    let next = || walk_links(&directory.join(&target), links - 1).err();
    obstacle(match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
        Errno::ELOOP => format!("{start}, which leads in a circle"),
        errno if links == 0 => format!("{start}: {}", errno.desc()),
        errno => match next() {
            Some(Obstacle { missing: Some(_), .. }) => format!("{start}, which does not exist"),
            Some(Obstacle { why, .. }) => format!("{start}: {why}"),
            None => format!("{start}: {}", errno.desc()),
        },
    })
}

/// lstat(2) was refused for the path so far.
fn refused(error: &io::Error, path: &Path, directory: &Path, walked: &Path, is_last: bool) -> Obstacle {
    let why = match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
        Errno::ENOENT => {
            let why = match std::env::current_dir() {
                Ok(here) if is_last && path.is_relative() => {
                    format!("there is no such file (the working directory is {})", Shown(&here))
                }
                _ if is_last => "there is no such file".to_owned(),
                _ => format!("there is no directory {}", Shown(walked)),
            };
            return Obstacle { why, missing: Some(walked.to_owned()) };
        }
        Errno::EACCES => {
            let mode = fs::metadata(directory).map(|found| format!(" {}", Mode(&found))).unwrap_or_default();
            format!("uid {} may not search the directory {}{mode}", effective_uid(), Shown(directory))
        }
        Errno::ENAMETOOLONG => {
            let length = walked.file_name().unwrap_or_default().len();
            format!("its name has a part of {length} bytes, and 255 is the most")
        }
        errno => errno.desc().to_owned(),
    };
    obstacle(why)
}

/// Whether somebody may execute it.
pub fn is_program(found: &Metadata) -> bool {
    found.is_file() && found.mode() & 0o111 != 0
}

/// How many files are looked at in the search for a name.
const ENTRIES: usize = 20_000;

/// The file in these directories that was meant by this name; none if it may have been one or the other.
pub fn nearest<'a>(
    name: &OsStr,
    directories: impl IntoIterator<Item = &'a Path>,
    wanted: impl Fn(&Metadata) -> bool,
) -> Option<PathBuf> {
    let mut best: Option<(usize, PathBuf)> = None;
    let mut is_clear = false;
    let mut left = ENTRIES;
    for directory in directories {
        let Ok(path) = CString::new(directory.as_os_str().as_bytes()) else { continue };
        let _ = each_name(&path, |other| {
            left -= 1;
            let Some(distance) = meant::among_files(name.as_bytes(), other) else { return left > 0 };
            let other = OsStr::from_bytes(other);
            let is_further = best.as_ref().is_some_and(|(least, _)| distance > *least);
            // The same name once more is one of a later directory.
            let is_known = best.as_ref().is_some_and(|(_, best)| best.file_name() == Some(other));
            let file = directory.join(other);
            if !is_further && !is_known && fs::metadata(&file).is_ok_and(|found| wanted(&found)) {
                is_clear = best.as_ref().is_none_or(|(least, _)| distance < *least);
                best = Some((distance, file));
            }
            left > 0
        });
        if left == 0 {
            break;
        }
    }
    best.filter(|_| is_clear).map(|(_, file)| file)
}

/// Where programs are in every image.
const STANDARD: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What was meant by a path of which this part is `missing`: a program of the same name where programs
/// are, or a name that is like it.
pub fn meant_by(path: &Path, missing: &Path) -> Option<PathBuf> {
    let directory = missing.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = missing.file_name()?;
    if missing != path {
        return nearest(name, [directory], Metadata::is_dir);
    }
    // `/usr/bin/node` is `/usr/local/bin/node` in another image; but `/app/test` is not `/usr/bin/test`.
    let is_standard = directory.to_str().is_some_and(|directory| STANDARD.contains(&directory));
    let mut files = STANDARD.iter().map(|directory| Path::new(directory).join(name)).filter(|_| is_standard);
    let elsewhere = files.find(|file| fs::metadata(file).is_ok_and(|found| is_program(&found)));
    elsewhere.or_else(|| nearest(name, [directory], is_program))
}
