//! Other programs: how one is started, and how one is awaited.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// In a process group of its own: ^C is for the demo, which then clears up.
#[allow(clippy::disallowed_methods, reason = "no test: examples have no harness")]
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut program = Command::new(name);
    program.process_group(0).stdin(Stdio::null());
    program
}

/// What it prints on stdout, if it succeeds within this time; otherwise what is wrong.
pub fn output_within(patience: Duration, command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| format!("{name} cannot be started ({error})"))?;
    let begin = Instant::now();
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if begin.elapsed() > patience {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{name} does not answer within {patience:?}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing").trim();
    Err(format!("{name} fails ({})", last.trim_end_matches('.')))
}

/// The file of a program, looked for as a shell does.
pub fn which(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Reads all of it, line by line.
pub fn lines(source: impl Read) -> impl Iterator<Item = String> {
    std::io::BufRead::lines(std::io::BufReader::new(source)).map_while(Result::ok)
}
