//! From the command's name to a running process: the search in `PATH`, the shell for scripts
//! that name no interpreter, and who gets the terminal.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::config::Config;
use crate::sys::{Args, Candidates, Failure, Launch, Start, Started, Terminal, open, read_at, spawn};
use crate::why::not_started::file::{HEAD, Kind};
use crate::why::not_started::{self, Refusal, Wanted};

/// Where to search when there is no `PATH`: what Docker sets when an image sets none.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What executes scripts that do not say what does.
const SHELL: &CStr = c"/bin/sh";

/// Starts the command.
///
/// # Errors
///
/// Why it was not started; nothing runs then.
pub fn launch(
    config: &Config,
    start: &Start,
    own_group: bool,
    terminal: Option<&Terminal>,
) -> Result<Started, Refusal> {
    if let Some(errno) = start.inherited.refused {
        return Err(not_started::preparation_refused("block the signals and see its children die", errno));
    }
    let command = config.command;
    let name = command.first().unwrap_or_default();
    let path = start.environment.get("PATH").unwrap_or(DEFAULT_PATH);
    let launch = Launch {
        candidates: candidates(name, path),
        args: command,
        environment: start.environment,
        inherited: start.inherited,
        own_group,
        terminal,
        new_session: config.new_session,
        die_with_sexton: config.die_with_sexton,
    };
    spawn(&launch).or_else(|failure| with_shell(config, launch, failure, path))
}

/// When a start was refused: starts a script that names no interpreter with the shell.
///
/// # Errors
///
/// Why neither was started.
// Not a part of its caller, whose stack most starts need for other things.
#[cold]
#[inline(never)]
fn with_shell(config: &Config, mut launch: Launch<'_>, failure: Failure, path: &[u8]) -> Result<Started, Refusal> {
    let command = config.command;
    let may_be_termination_log = config.may_be_termination_log;
    let wanted = Wanted { command, may_be_termination_log, path, environment: launch.environment };
    let (errno, candidate) = match failure {
        Failure::Fork(errno) => return Err(not_started::fork_refused(errno)),
        Failure::Prepare { errno, what } => return Err(not_started::preparation_refused(what, errno)),
        Failure::Exec { errno, candidate } => (errno, candidate),
    };
    let files = files(launch.candidates);
    let is_searched = is_searched(command.first().unwrap_or_default());
    let Some(file) = refused(&files, candidate, errno, is_searched) else {
        return Err(not_started::not_in_path(&wanted));
    };
    if errno == Errno::ENOEXEC && is_shell_script(file) {
        let mut args = vec![SHELL.to_bytes().to_vec(), file.to_bytes().to_vec()];
        args.extend(launch.args.from(1).iter().map(|arg| arg.to_bytes().to_vec()));
        launch.candidates = Candidates { name: SHELL, path: b"" };
        launch.args = Args::from_strings(args);
        return spawn(&launch).map_err(|failure| match failure {
            Failure::Fork(errno) => not_started::fork_refused(errno),
            Failure::Prepare { errno, what } => not_started::preparation_refused(what, errno),
            Failure::Exec { errno, .. } => not_started::shell_refused(file, errno, launch.args, &wanted),
        });
    }
    Err(not_started::exec_refused(file, errno, &wanted))
}

/// The file that the refusal is about; none if no directory of `PATH` has one.
///
/// The kernel says ENOENT for a script without its interpreter too, and the search goes on. And
/// it says EACCES when a directory may not be searched, but then nobody knows of a file there.
fn refused(files: &[CString], candidate: usize, errno: Errno, is_searched: bool) -> Option<&CString> {
    use Errno::{EACCES, ENODEV, ENOENT, ENOTDIR, ESTALE, ETIMEDOUT};
    let refused = files.get(candidate).or(files.first());
    if !is_searched || !matches!(errno, EACCES | ENODEV | ENOENT | ENOTDIR | ESTALE | ETIMEDOUT) {
        return refused;
    }
    refused.into_iter().chain(files).find(|file| as_path(file).symlink_metadata().is_ok())
}

/// Whether a name is looked for in `PATH`.
fn is_searched(name: &CStr) -> bool {
    !name.is_empty() && !name.to_bytes().contains(&b'/')
}

/// Where to look for this name.
fn candidates<'a>(name: &'a CStr, path: &'a [u8]) -> Candidates<'a> {
    Candidates { name, path: if is_searched(name) { path } else { b"" } }
}

/// The candidates as paths: each from C strings, so without a NUL in it.
fn files(candidates: Candidates<'_>) -> Vec<CString> {
    candidates.iter().map(|parts| CString::new(parts.concat()).unwrap_or_default()).collect()
}

/// Whether a file that the kernel does not recognise is to be given to the shell: a text without
/// a `#!` line. execvp(3) gives it everything, binaries of other machines too.
fn is_shell_script(file: &CStr) -> bool {
    open(as_path(file)).is_ok_and(|file| Kind::of(&read_at(&file, 0, HEAD)) == Kind::Text)
}

fn as_path(file: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(file.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &CStr, path: &[u8]) -> Vec<String> {
        files(candidates(name, path)).into_iter().map(|c| c.into_string().unwrap()).collect()
    }

    #[test]
    fn a_name_is_searched_in_each_directory_of_path_in_its_order() {
        assert_eq!(shown(c"ls", b"/bin:/usr/bin"), ["/bin/ls", "/usr/bin/ls"]);
        assert_eq!(shown(c"ls", b":/bin:"), ["ls", "/bin/ls", "ls"]);
        assert_eq!(shown(c"ls", b""), ["ls"]);
    }

    #[test]
    fn a_name_with_a_slash_is_not_searched() {
        assert_eq!(shown(c"./ls", b"/bin"), ["./ls"]);
        assert_eq!(shown(c"/bin/ls", b"/usr/bin"), ["/bin/ls"]);
        assert_eq!(shown(c"", b"/bin"), [""]);
    }
}
