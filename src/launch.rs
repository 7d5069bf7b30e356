//! From the command's name to a running process: the search in `PATH`, the shell for scripts
//! that name no interpreter, and who gets the terminal.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::config::Config;
use crate::report::exec::{self, Refusal};
use crate::sys::{Args, Failure, Launch, Start, Terminal, spawn};

/// Where to search when there is no `PATH`: what Docker sets when an image sets none.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts the command and returns its pid.
///
/// # Errors
///
/// Why it was not started; nothing runs then.
pub fn launch(config: &Config, start: &Start, terminal: Option<&Terminal>) -> Result<i32, Refusal> {
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
        terminal,
        new_session: config.new_session,
    };
    let (errno, candidate) = match spawn(&launch) {
        Ok(pid) => return Ok(pid),
        Err(Failure::Fork(errno)) => return Err(exec::fork_refused(errno)),
        Err(Failure::Exec { errno, candidate }) => (errno, candidate),
    };
    let file = candidates.get(candidate).unwrap_or(&candidates[0]);
    if errno == Errno::ENOEXEC && is_shell_script(file) {
        let mut args = vec![shell[0].to_bytes().to_vec(), file.to_bytes().to_vec()];
        args.extend(command.from(1).iter().map(|arg| arg.to_bytes().to_vec()));
        launch.candidates = &shell;
        launch.args = Args::from_strings(args);
        return match spawn(&launch) {
            Ok(pid) => Ok(pid),
            Err(Failure::Fork(errno)) => Err(exec::fork_refused(errno)),
            Err(Failure::Exec { errno, .. }) => Err(exec::exec_refused(name, &shell[0], errno)),
        };
    }
    if errno == Errno::ENOENT && candidates.len() > 1 {
        return Err(exec::not_in_path(name, path));
    }
    Err(exec::exec_refused(name, file, errno))
}

/// The files to try, in their order (execvp(3)): never empty.
fn candidates(name: &CStr, path: &[u8]) -> Vec<CString> {
    let name = name.to_bytes();
    if name.is_empty() || name.contains(&b'/') {
        return vec![without_nul(name.to_vec())];
    }
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
fn is_shell_script(path: &CStr) -> bool {
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let mut head = [0; 256];
    let Ok(length) = File::open(path).and_then(|mut file| file.read(&mut head)) else { return false };
    let head = &head[..length];
    let first_line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    !head.is_empty() && !head.starts_with(b"#!") && !head.starts_with(b"\x7fELF") && !first_line.contains(&0)
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
