//! Why the command could not be started: one sentence that names the reason, the evidence, and
//! what to do where that is clear.
//!
//! The kernel answers with one number: ENOENT for a file that is there but needs another that is
//! not, EACCES for half a dozen reasons. So sexton goes the kernel's way once more, after the fact,
//! and looks.

pub mod file;
mod limits;
mod misread;
mod path;

use std::ffi::{CStr, OsStr};
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use self::file::{Broken, Elf, FirstLine, HEAD, Kind, Target, libc_of};
use self::limits::{too_long, too_many_processes};
use self::misread::misread;
use self::path::{Mode, Obstacle, Shown, is_program, meant_by, nearest, walk};
use crate::exit_status;
use crate::report::Name;
use crate::sys::{
    Args, Environment, demanded_capabilities, each_name, effective_uid, is_on_noexec_mount, may_execute, mount_point,
    open, own_status, read_at,
};

/// One sentence, and the exit status that goes with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What to tell the user.
    pub sentence: String,
    /// 125, 126 or 127.
    pub status: u8,
}

/// clone(2) was refused.
#[cold]
pub fn fork_refused(errno: Errno) -> Refusal {
    let reason = match errno {
        Errno::EAGAIN => too_many_processes(),
        Errno::ENOMEM => "there is not enough memory".to_owned(),
        _ => errno.desc().to_owned(),
    };
    Refusal { sentence: format!("cannot start a process: {reason}"), status: exit_status::SEXTON_FAILED }
}

/// What comes between clone(2) and execve(2) was refused, as a seccomp profile may do.
#[cold]
pub fn preparation_refused(what: &str, errno: Errno) -> Refusal {
    let sentence = format!("cannot start the command: the kernel does not let sexton {what} ({})", errno.desc());
    Refusal { sentence, status: exit_status::SEXTON_FAILED }
}

/// What was to be started.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The command and its arguments.
    pub command: Args,
    /// Its name may have been meant for the termination log.
    pub may_be_termination_log: bool,
    /// Directories with colons between them.
    pub path: &'a [u8],
    /// The environment.
    pub environment: Environment,
}

impl<'a> Wanted<'a> {
    fn name(&self) -> &'static CStr {
        self.command.first().unwrap_or_default()
    }

    fn directories(&self) -> impl Iterator<Item = &'a Path> + use<'a> {
        self.path.split(|byte| *byte == b':').map(|directory| match directory {
            [] => Path::new("."),
            directory => as_path_bytes(directory),
        })
    }

    /// The end of a sentence about a command that is not there: what else may have been meant by it.
    fn meant(&self) -> Option<String> {
        if self.may_be_termination_log {
            let path = Shown(as_path(self.name()));
            return Some(format!(
                "; if it was to be the termination log, the path wants a =: --termination-log={path}"
            ));
        }
        let words: Vec<&[u8]> = self.command.iter().map(CStr::to_bytes).collect();
        misread(&words, self).map(|misread| format!("; {misread}"))
    }
}

impl misread::Image for Wanted<'_> {
    fn has(&self, name: &[u8]) -> bool {
        let is_there = |file: &Path| file.metadata().is_ok_and(|found| is_program(&found));
        let path = as_path_bytes(name);
        if name.contains(&b'/') {
            return is_there(path);
        }
        self.directories().any(|directory| is_there(&directory.join(path)))
    }
}

/// execve(2) was refused for this file.
#[cold]
pub fn exec_refused(file: &CStr, errno: Errno, wanted: &Wanted<'_>) -> Refusal {
    let mut refusal = file_refused(file, errno, wanted.command, wanted);
    let path = as_path(file);
    let sentence = &mut refusal.sentence;
    match walk(path) {
        Err(Obstacle { missing: Some(missing), .. }) => match wanted.meant() {
            // Which part of a name is missing that is none says nothing.
            Some(meant) => *sentence = format!("cannot execute {}: there is no such file{meant}", Shown(path)),
            None => *sentence += &did_you_mean(meant_by(path, &missing)),
        },
        // Nobody knows whether it is there.
        Err(_) if errno == Errno::EACCES => {}
        Err(_) => *sentence += &wanted.meant().unwrap_or_default(),
        Ok(found) if no_regular_file(&found).is_some() || found.mode() & 0o111 == 0 => {
            *sentence += &wanted.meant().unwrap_or_default();
        }
        Ok(_) => {}
    }
    refusal
}

/// What is wrong with this file, of which the kernel said `errno`.
fn file_refused(file: &CStr, errno: Errno, args: Args, wanted: &Wanted<'_>) -> Refusal {
    let path = as_path(file);
    let reason = match errno {
        Errno::E2BIG => too_long(args, wanted.environment),
        Errno::EAGAIN => too_many_processes(),
        Errno::ENOMEM => "there is not enough memory".to_owned(),
        Errno::ETXTBSY => "somebody has it open for writing: close it before it is executed".to_owned(),
        _ => reason(path, errno, 0).unwrap_or_else(|| otherwise(path, errno)),
    };
    Refusal { sentence: format!("cannot execute {}: {reason}", Shown(path)), status: status(errno) }
}

/// The shell was refused for this text without a `#!` line, with these arguments of its own.
#[cold]
pub fn shell_refused(file: &CStr, errno: Errno, args: Args, wanted: &Wanted<'_>) -> Refusal {
    let mut refusal = file_refused(c"/bin/sh", errno, args, wanted);
    if errno != Errno::E2BIG {
        let file = Shown(as_path(file));
        refusal.sentence = format!("cannot execute {file}: it has no #! line, and {}", refusal.sentence);
    }
    refusal
}

/// Why nobody can tell whether this file is there: a directory above it may not be searched.
fn not_searched(file: &Path) -> Option<String> {
    let refused = file.symlink_metadata().err()?.raw_os_error();
    if refused == Some(libc::EACCES) { walk(file).err().map(|obstacle| obstacle.why) } else { None }
}

/// No directory of `PATH` has the command.
#[cold]
pub fn not_in_path(wanted: &Wanted<'_>) -> Refusal {
    let name = wanted.name();
    let mut sentence = format!(
        "cannot execute {}: there is no such file in PATH={}",
        Shown(as_path(name)),
        Shown(as_path_bytes(wanted.path))
    );
    if let Some(closed) = wanted.directories().find_map(|directory| not_searched(&directory.join(as_path(name)))) {
        sentence += ", as far as that may be searched: ";
        sentence += &closed;
    }
    if let Some(meant) = wanted.meant() {
        sentence += &meant;
    } else if as_path(name).metadata().is_ok_and(|found| is_program(&found)) {
        sentence += &format!("; did you mean ./{}?", Name(name));
    } else {
        sentence += &did_you_mean(nearest(as_path(name).as_os_str(), wanted.directories(), is_program));
    }
    Refusal { sentence, status: exit_status::NOT_FOUND }
}

fn did_you_mean(near: Option<PathBuf>) -> String {
    near.map_or(String::new(), |near| format!("; did you mean {}?", Shown(&near)))
}

/// 127 when the kernel answers ENOENT, for the file itself or for its interpreter or loader, as
/// shells and engines have it.
fn status(errno: Errno) -> u8 {
    if errno == Errno::ENOENT { exit_status::NOT_FOUND } else { exit_status::CANNOT_EXECUTE }
}

/// The kernel follows five interpreters of interpreters (exec_binprm in fs/exec.c).
const INTERPRETERS: usize = 5;

/// What is wrong with a file, as a sentence about "it".
fn reason(path: &Path, errno: Errno, depth: usize) -> Option<String> {
    let found = match walk(path) {
        Ok(found) => found,
        Err(obstacle) => return Some(obstacle.why),
    };
    if let Some(kind) = no_regular_file(&found) {
        return Some(format!("it is a {kind}"));
    }
    if !may_execute(path) {
        return Some(no_permission(path, &found));
    }
    if errno == Errno::EPERM {
        return missing_capabilities(path);
    }
    if errno == Errno::ELOOP || depth > INTERPRETERS {
        return Some("its interpreter is a script as well, and so on: the kernel follows five".to_owned());
    }
    let Ok(file) = open(path) else {
        let what = match errno {
            Errno::ENOENT => "its interpreter or loader does not exist in this image",
            Errno::ENOEXEC => "it is nothing that the kernel can execute",
            _ => return None,
        };
        return Some(format!("{what}; uid {} may not read it to say more {}", effective_uid(), Mode(&found)));
    };
    let head = read_at(&file, 0, HEAD);
    match Kind::of(&head) {
        Kind::Empty => Some("it is empty".to_owned()),
        Kind::Script(FirstLine::Nothing) => Some("its first line, #!, names no interpreter".to_owned()),
        Kind::Script(FirstLine::TooLong) => {
            Some(format!("its first line is too long: the kernel reads {HEAD} bytes of it"))
        }
        Kind::Script(FirstLine::Interpreter(name)) => bad_interpreter(name, errno, depth),
        Kind::Elf(Ok(elf)) => bad_elf(elf, &file, errno, depth),
        Kind::Elf(Err(Broken::Truncated)) => Some(TRUNCATED.to_owned()),
        Kind::Elf(Err(Broken::Corrupt)) => Some("it is a corrupt ELF file: its header makes no sense".to_owned()),
        Kind::Text => {
            (errno == Errno::ENOEXEC || errno == Errno::ELIBBAD).then(|| "it is a text without a #! line".to_owned())
        }
        Kind::Binary(Some(name)) => Some(format!("it is {name}, not a program for Linux")),
        Kind::Binary(None) => Some("it is neither a program nor a text".to_owned()),
    }
}

const TRUNCATED: &str = "it is a truncated ELF file: copy or download it once more";

/// What cannot be executed whatever its mode is.
fn no_regular_file(found: &Metadata) -> Option<&'static str> {
    let kind = found.file_type();
    if kind.is_dir() {
        Some("directory")
    } else if kind.is_fifo() {
        Some("named pipe")
    } else if kind.is_socket() {
        Some("socket")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("device")
    } else {
        None
    }
}

/// access(2) says what execve(2) said: EACCES.
fn no_permission(path: &Path, found: &Metadata) -> String {
    if is_on_noexec_mount(path) {
        let mount = path.canonicalize().ok().and_then(|path| mount_point(&path));
        let mount = mount.map_or("its file system".to_owned(), |point| Shown(&point).to_string());
        return format!("{mount} is mounted noexec: mount it with exec, or put the file elsewhere");
    }
    let mode = Mode(found);
    if found.mode() & 0o111 == 0 {
        return format!("it is not executable {mode}: chmod +x");
    }
    format!("uid {} may not execute it {mode}: chmod a+rx", effective_uid())
}

/// A file with the effective bit is not run at all rather than without what it demands
/// (capabilities(7), "Safety checking for capability-dumb binaries").
fn missing_capabilities(path: &Path) -> Option<String> {
    const NAMES: &str = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap \
        linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module \
        sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time \
        sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog \
        wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore";
    let missing = demanded_capabilities(path)? & !own_status("CapBnd")?;
    let names: Vec<&str> =
        NAMES.split(' ').enumerate().filter(|(bit, _)| missing & 1 << bit != 0).map(|(_, name)| name).collect();
    (missing != 0).then(|| {
        format!(
            "its file capabilities ({}) are not allowed here: add them to the container (--cap-add), or remove \
             them from the file (setcap -r)",
            names.join(", ")
        )
    })
}

fn bad_interpreter(name: &[u8], errno: Errno, depth: usize) -> Option<String> {
    let path = as_path_bytes(name);
    if name.ends_with(b"\r") && walk(path).is_err() {
        return Some(format!(
            "its first line ends in a carriage return (\"#!{}\"): saved with Windows line endings, convert it with \
             dos2unix",
            Shown(path)
        ));
    }
    if let Err(Obstacle { missing: Some(missing), .. }) = walk(path) {
        let instead = did_you_mean(meant_by(path, &missing));
        return Some(format!("its interpreter \"{}\" does not exist in this image{instead}", Shown(path)));
    }
    let why = reason(path, errno, depth + 1)?;
    Some(format!("its interpreter \"{}\" cannot be executed: {why}", Shown(path)))
}

fn bad_elf(elf: Elf, file: &File, errno: Errno, depth: usize) -> Option<String> {
    if !elf.is_program {
        return Some("it is an ELF file, but not a program: an object file, or a core dump".to_owned());
    }
    let own = Target::OWN;
    let foreign = (elf.target != own).then(|| format!("it is built for {}, this machine is {own}", elf.target));
    if errno == Errno::ENOEXEC && foreign.is_some() {
        return foreign;
    }
    match (foreign, bad_loader(elf, file, errno, depth)) {
        (Some(foreign), Some(loader)) => Some(format!("{foreign}, and {loader}")),
        // The kernel would not have looked for anything, were there no emulator to look for.
        (Some(foreign), None) if errno == Errno::ENOENT => {
            Some(format!("{foreign}, and the emulator for it (binfmt_misc) does not exist in this image"))
        }
        (foreign, loader) => foreign.or(loader),
    }
}

/// What is wrong with the program that an ELF file is loaded by, if it has one.
fn bad_loader(elf: Elf, file: &File, errno: Errno, depth: usize) -> Option<String> {
    /// The kernel takes 64 KiB; linkers write a dozen headers.
    const TABLE: usize = 4096;
    let (offset, length) = elf.table;
    let length = length.min(TABLE);
    let table = read_at(file, offset, length);
    if table.len() < length {
        return Some(TRUNCATED.to_owned());
    }
    let (offset, length) = elf.loader(&table)?;
    // The kernel's own bound (load_elf_binary in fs/binfmt_elf.c).
    let length = length.min(libc::PATH_MAX as u64) as usize;
    let loader = read_at(file, offset, length);
    if loader.len() < length {
        return Some(TRUNCATED.to_owned());
    }
    let Ok(loader) = CStr::from_bytes_until_nul(&loader) else {
        return Some("it is a corrupt ELF file: the name of its loader has no end".to_owned());
    };
    let path = as_path(loader);
    match walk(path) {
        Err(obstacle) if obstacle.missing.is_some() => Some(missing_loader(loader.to_bytes())),
        _ => reason(path, errno, depth + 1).map(|why| format!("its loader {} cannot be used: {why}", Shown(path))),
    }
}

fn missing_loader(loader: &[u8]) -> String {
    let path = Shown(as_path_bytes(loader));
    let Some(libc) = libc_of(loader) else {
        return format!("it needs the loader {path}, which this image lacks");
    };
    let here = match image_libc(libc) {
        Some(other) => format!("this image ({other}) lacks"),
        None => "this image lacks".to_owned(),
    };
    format!(
        "it needs the loader {path} of {libc}, which {here}: build it statically, or use the kind of image that it \
         was built for"
    )
}

/// The C library whose loader this image has in place of the one that was looked for.
fn image_libc(missing: &str) -> Option<&'static str> {
    let mut found = None;
    for directory in [c"/lib", c"/lib64"] {
        let _ = each_name(directory, |file| {
            found = found.or(libc_of(file).filter(|libc| *libc != missing));
            found.is_none()
        });
    }
    found
}

/// Nothing is wrong that can be seen.
fn otherwise(path: &Path, errno: Errno) -> String {
    let hint = match errno {
        Errno::EACCES => ", though its mode allows it: by SELinux, AppArmor or the like?",
        Errno::EPERM => ": by seccomp, SELinux, AppArmor or the like?",
        Errno::ENOENT if path.exists() => ", though the file is there",
        _ => "",
    };
    format!("{}{hint}", errno.desc())
}

fn as_path(name: &CStr) -> &Path {
    as_path_bytes(name.to_bytes())
}

fn as_path_bytes(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(file: &CStr, errno: Errno) -> (String, u8) {
        let none = Vec::<Vec<u8>>::new();
        let (command, environment) = (Args::from_strings(none.clone()), Environment::from_strings(none));
        let refusal =
            exec_refused(file, errno, &Wanted { command, may_be_termination_log: false, path: b"", environment });
        (refusal.sentence, refusal.status)
    }

    /// For what has no cause that a test could make: a file that nothing is wrong with.
    #[test]
    fn what_is_not_the_files_fault_is_said_with_the_kernels_words() {
        for (errno, expected) in [
            (Errno::ENOMEM, "there is not enough memory"),
            (Errno::EACCES, "Permission denied, though its mode allows it: by SELinux, AppArmor or the like?"),
            (Errno::EPERM, "Operation not permitted: by seccomp, SELinux, AppArmor or the like?"),
            (Errno::EIO, "I/O error"),
            (Errno::EINVAL, "Invalid argument"),
            (Errno::EMFILE, "Too many open files"),
        ] {
            assert_eq!(refusal(c"/proc/self/exe", errno), (format!("cannot execute /proc/self/exe: {expected}"), 126));
        }
        assert_eq!(refusal(c"/proc/self/exe", Errno::ENOENT).1, 127);
        let expected = "cannot start a process: there is not enough memory".to_owned();
        assert_eq!(fork_refused(Errno::ENOMEM), Refusal { sentence: expected, status: 125 });
    }
}
