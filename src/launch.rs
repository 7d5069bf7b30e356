//! From the command's name to a running process: the search in `PATH`, the shell for scripts
//! that name no interpreter, and who gets the terminal.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::config::Config;
use crate::report::exec::{self, Refusal};
use crate::report::file::{HEAD, Kind};
use crate::sys::{Args, Failure, Launch, Start, Terminal, open, read_at, spawn};

/// Where to search when there is no `PATH`: what Docker sets when an image sets none.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts the command and returns its pid.
///
/// # Errors
///
/// Why it was not started; nothing runs then.
pub fn launch(config: &Config, start: &Start, own_group: bool, terminal: Option<&Terminal>) -> Result<i32, Refusal> {
    let command = config.command;
    let name = command.first().unwrap_or_default();
    let path = start.environment.get("PATH").unwrap_or(DEFAULT_PATH);
    let candidates = candidates(name, path);
    let shell = [c"/bin/sh".to_owned()];
    let mut launch = Launch {
        candidates: &candidates,
        args: command,
        environment: start.environment,
        inherited: start.inherited,
        own_group,
        terminal,
        new_session: config.new_session,
        die_with_sexton: config.die_with_sexton,
    };
    let (errno, candidate) = match spawn(&launch) {
        Ok(pid) => return Ok(pid),
        Err(Failure::Fork(errno)) => return Err(exec::fork_refused(errno)),
        Err(Failure::Exec { errno, candidate }) => (errno, candidate),
    };
    let Some(file) = refused(&candidates, candidate, errno, is_searched(name)) else {
        return Err(exec::not_in_path(name, path));
    };
    if errno == Errno::ENOEXEC && is_shell_script(file) {
        let mut args = vec![shell[0].to_bytes().to_vec(), file.to_bytes().to_vec()];
        args.extend(command.from(1).iter().map(|arg| arg.to_bytes().to_vec()));
        launch.candidates = &shell;
        launch.args = Args::from_strings(args);
        return match spawn(&launch) {
            Ok(pid) => Ok(pid),
            Err(Failure::Fork(errno)) => Err(exec::fork_refused(errno)),
            Err(Failure::Exec { errno, .. }) => Err(exec::shell_refused(file, errno, launch.args, launch.environment)),
        };
    }
    Err(exec::exec_refused(file, errno, launch.args, launch.environment))
}

/// The file that the refusal is about; none if no directory of `PATH` has one.
///
/// The kernel says ENOENT for a script without its interpreter too, and the search goes on. And
/// it says EACCES when a directory may not be searched, but then nobody knows of a file there.
fn refused(candidates: &[CString], candidate: usize, errno: Errno, is_searched: bool) -> Option<&CString> {
    use Errno::{EACCES, ENODEV, ENOENT, ENOTDIR, ESTALE, ETIMEDOUT};
    let refused = candidates.get(candidate).or(candidates.first());
    if !is_searched || !matches!(errno, EACCES | ENODEV | ENOENT | ENOTDIR | ESTALE | ETIMEDOUT) {
        return refused;
    }
    refused.into_iter().chain(candidates).find(|file| as_path(file).symlink_metadata().is_ok())
}

/// Whether a name is looked for in `PATH`.
fn is_searched(name: &CStr) -> bool {
    !name.is_empty() && !name.to_bytes().contains(&b'/')
}

/// The files to try, in their order (execvp(3)): never empty.
fn candidates(name: &CStr, path: &[u8]) -> Vec<CString> {
    if !is_searched(name) {
        return vec![name.to_owned()];
    }
    let name = name.to_bytes();
    let join = |directory: &[u8]| {
        // An empty entry is the working directory.
        let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        without_nul([directory, separator, name].concat())
    };
    path.split(|byte| *byte == b':').map(join).collect()
}

/// Bytes that came out of C strings.
fn without_nul(bytes: Vec<u8>) -> CString {
    CString::new(bytes).unwrap_or_default()
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
        candidates(name, path).into_iter().map(|c| c.into_string().unwrap()).collect()
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
