//! Running the `docker` command: to its end, or line by line as it goes.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PATIENCE, engine};

/// How a command ended and what it wrote.
#[derive(Debug)]
pub struct Finished {
    /// `None` when a signal killed it.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    line: String,
}

impl Finished {
    /// Its stdout, if it exited with 0. Anything else is the end of the test.
    pub fn succeeded(self) -> String {
        assert_eq!(self.status, Some(0), "{}: {}{}", self.line, self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs `docker` to its end.
pub fn docker<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Finished {
    try_docker(args).unwrap_or_else(|why| panic!("{why}"))
}

/// The same for where a panic would hide another one: says why it did not end.
pub fn try_docker<S: AsRef<str>>(args: impl IntoIterator<Item = S>) -> Result<Finished, String> {
    let mut command = engine().command();
    command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    finish(command)
}

/// A program of this machine, without which a test fails and says where it comes from.
pub fn installed(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{program} is missing (Debian: apt-get install {package})"))
}

/// Runs a command to its end, without stdin.
pub fn finish(mut command: Command) -> Result<Finished, String> {
    let line = shown(&command);
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = started.map_err(|error| format!("{line}: cannot be started: {error}"))?;
    let pid = child.id();
    let (sender, receiver) = mpsc::channel();
    // Not `thread::spawn`: its panic, in a drop during another one, would leave the container behind.
    let waiting = thread::Builder::new().spawn(move || sender.send(child.wait_with_output()));
    waiting.map_err(|error| format!("{line}: cannot be waited for: {error}"))?;
    match receiver.recv_timeout(PATIENCE) {
        Ok(output) => {
            let output = output.map_err(|error| format!("{line}: {error}"))?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
            Ok(Finished { status: output.status.code(), stdout, stderr, line })
        }
        Err(_) => {
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
            Err(format!("{line}: did not end within {PATIENCE:?}"))
        }
    }
}

fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A command that goes on, and the lines that it writes.
pub struct Lines {
    child: Child,
    /// Each with the number of its stream: 0 is stdout, 1 stderr.
    lines: Receiver<(usize, String)>,
    seen: Vec<(usize, String)>,
    line: String,
}

impl Lines {
    /// Starts `docker`; the lines of its stdout and stderr come as they are written.
    pub fn follow(args: &[&str]) -> Lines {
        let mut command = engine().command();
        command.args(args);
        Lines::of(command)
    }

    /// The same for any command.
    pub fn of(mut command: Command) -> Lines {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let line = shown(&command);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: cannot be started: {error}"));
        let (sender, lines) = mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for (number, stream) in streams.into_iter().enumerate() {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send((number, line)).is_err() {
                        return;
                    }
                }
            });
        }
        Lines { child, lines, seen: Vec::new(), line }
    }

    /// Takes lines until one contains this text, and returns that one.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let why = match self.lines.recv_timeout(left) {
                Ok((stream, line)) => {
                    self.seen.push((stream, line.clone()));
                    if line.contains(text) {
                        return line;
                    }
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => format!("not within {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => "it ended before".to_owned(),
            };
            panic!("{}: no line with {text:?}: {why}; all lines so far: {:#?}", self.line, self.seen);
        }
    }

    /// All that came so far: stdout and stderr.
    pub fn streams(&self) -> (String, String) {
        let all = |number| self.seen.iter().filter(move |(stream, _)| *stream == number);
        let text = |number| all(number).map(|(_, line)| format!("{line}\n")).collect();
        (text(0), text(1))
    }

    /// Sends the command itself a signal.
    pub fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Takes lines to the end of the command and returns its exit status.
    pub fn status(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.seen.push(line);
        }
        assert!(Instant::now() < deadline, "{}: did not end within {PATIENCE:?}: {:#?}", self.line, self.seen);
        // Both its streams have ended, so it has, or is about to.
        self.child.wait().unwrap().code()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
