//! Drives a Docker engine through the `docker` command, as people do.
//!
//! Nothing here sleeps and hopes: a test waits for a line of the container's log, for an event of
//! the engine or for the end of a command. Every wait ends after [`PATIENCE`] with a panic that
//! says what did not come and what came instead.

// Each test file uses a part of it; what a program starts with is the kernel's business (tests/harness/start.rs).
#![allow(dead_code, unused_imports, unsafe_code)]
#![allow(clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

pub mod core;
mod docker;
mod events;
mod host;
pub mod image;
pub mod manifest;
pub mod processes;
mod room;
mod run;
mod terminal;

#[path = "../../tests/harness/names.rs"]
pub mod names;
#[path = "../../tests/harness/start.rs"]
mod start;

use std::time::Duration;

pub use docker::{CALLS, Docker, Engine, Kind, engine, use_engine};
pub use host::{Process, children};
pub use image::with_instructions;
pub use room::{Room, run_name};
pub use run::{Finished, Lines, docker, finish, installed};
pub use start::command;
pub use terminal::Terminal;

/// What a test waits for at most, for anything that should happen at once. Long, because the
/// machine may be busy with other tests; whoever waits so long has found a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until this holds; looks again every ten milliseconds, for what has no event to wait for.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "did not come within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A container to be started from the test image, with sexton as its PID 1.
pub struct Plan {
    name: Name,
    image: String,
    options: Vec<String>,
}

impl Plan {
    pub fn new() -> Plan {
        Plan::from_image(image::test_image())
    }

    pub fn from_image(image: String) -> Plan {
        // No test needs more than the loopback, and a network costs half of the start-up.
        let init = engine().kind.has_init().then(|| "--init".to_owned());
        let options = ["--network=none".to_owned()].into_iter().chain(init).collect();
        Plan { name: Name::unique(), image, options }
    }

    /// Options of `docker run`.
    pub fn with<S: Into<String>>(mut self, options: impl IntoIterator<Item = S>) -> Plan {
        self.options.extend(options.into_iter().map(Into::into));
        self
    }

    /// In this network, with this address, and not alone.
    pub fn on_network(mut self, network: &str, address: &str) -> Plan {
        self.options.retain(|option| option != "--network=none");
        self.with([format!("--network={network}"), format!("--ip={address}")])
    }

    /// A variable of the container.
    pub fn env(self, name: &str, value: &str) -> Plan {
        self.with([format!("--env={name}={value}")])
    }

    /// `docker run -d`: returns once the engine has started the container.
    pub fn start<S: AsRef<str>>(self, command: impl IntoIterator<Item = S>) -> Container {
        docker(self.line(&["--detach"], command)).succeeded();
        Container { log: follow_log(&self.name), name: self.name }
    }

    /// `docker run` in the foreground, to its end.
    pub fn finish<S: AsRef<str>>(self, command: impl IntoIterator<Item = S>) -> Finished {
        docker(self.line(&[], command))
    }

    /// `docker run` in the foreground, as a process to be sent signals. The container is gone
    /// with the name.
    pub fn foreground<S: AsRef<str>>(self, command: impl IntoIterator<Item = S>) -> (Lines, Name) {
        let line = self.line(&[], command);
        (Lines::follow(&line.iter().map(String::as_str).collect::<Vec<_>>()), self.name)
    }

    /// `docker run -it` on a terminal.
    pub fn terminal<S: AsRef<str>>(self, command: impl IntoIterator<Item = S>) -> Terminal {
        let line = self.line(&["--interactive", "--tty"], command);
        Terminal::new(&line, Some(self.name))
    }

    fn line<S: AsRef<str>>(&self, more: &[&str], command: impl IntoIterator<Item = S>) -> Vec<String> {
        let mut line = vec!["run".to_owned(), format!("--name={}", self.name.0)];
        line.extend(more.iter().map(|&option| option.to_owned()));
        line.extend(self.options.iter().cloned());
        line.push(self.image.clone());
        line.extend(command.into_iter().map(|word| word.as_ref().to_owned()));
        line
    }
}

/// The name of a container, which is removed when this is dropped, whatever happened.
pub struct Name(String);

impl Name {
    fn unique() -> Name {
        // Several test processes run at once, maybe out of several containers with one engine.
        Name(format!("{}-{}", run_name(), names::random()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = run::try_docker(["logs", "--timestamps", &self.0]);
            eprintln!("the log of container {}: {log:?}", self.0);
        }
        let _ = run::try_docker(["rm", "--force", "--volumes", &self.0]);
    }
}

/// The log from its beginning.
fn follow_log(name: &Name) -> Lines {
    Lines::follow(&["logs", "--follow", "--timestamps", &name.0])
}

/// A container that was started.
pub struct Container {
    log: Lines,
    name: Name,
}

impl Container {
    /// Waits for a line of stdout or stderr that contains this text and returns it.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        self.wait_for_line_at(text).1
    }

    /// The same, with the time at which the engine read the line.
    pub fn wait_for_line_at(&mut self, text: &str) -> (Duration, String) {
        let line = self.log.wait_for(text);
        let (time, line) = line.split_once(' ').expect("a line begins with its time");
        (events::time(time), line.to_owned())
    }

    pub fn name(&self) -> &str {
        &self.name.0
    }

    /// `docker kill --signal`
    pub fn kill(&self, signal: &str) {
        docker(["kill", "--signal", signal, &self.name.0]).succeeded();
    }

    /// `docker stop`, which returns when the container has ended.
    pub fn stop(&self, options: &[&str]) {
        docker([&["stop"], options, &[&self.name.0]].concat()).succeeded();
    }

    /// `docker restart`. The log is read from its beginning again.
    pub fn restart(&mut self) {
        docker(["restart", &self.name.0]).succeeded();
        self.log = follow_log(&self.name);
    }

    /// `docker wait`: waits for the end and returns the exit status.
    pub fn status(&self) -> i32 {
        let waited = docker(["wait", &self.name.0]).succeeded();
        waited.trim().parse().unwrap_or_else(|_| panic!("docker wait said {waited:?}"))
    }

    /// `docker exec`, to its end.
    pub fn exec<S: AsRef<str>>(&self, command: impl IntoIterator<Item = S>) -> Finished {
        self.exec_as("0", command)
    }

    /// The same as another user.
    pub fn exec_as<S: AsRef<str>>(&self, user: &str, command: impl IntoIterator<Item = S>) -> Finished {
        let mut line = vec!["exec".to_owned(), format!("--user={user}"), self.name.0.clone()];
        line.extend(command.into_iter().map(|word| word.as_ref().to_owned()));
        docker(line)
    }

    /// `docker exec -it` on a terminal.
    pub fn exec_on_terminal(&self, program: &str) -> Terminal {
        let line = ["exec", "--interactive", "--tty", &self.name.0, program];
        Terminal::new(&line.map(str::to_owned), None)
    }

    /// `docker inspect --format`
    pub fn inspect(&self, template: &str) -> String {
        docker(["inspect", "--format", template, &self.name.0]).succeeded().trim().to_owned()
    }

    /// sexton's pid as this machine sees it.
    pub fn pid(&self) -> i32 {
        self.inspect("{{.State.Pid}}").parse().unwrap()
    }

    /// sexton's children.
    pub fn children(&self) -> Vec<Process> {
        children(&engine().proc(), self.pid())
    }

    /// All that was written so far: stdout and stderr.
    pub fn logged(&self) -> (String, String) {
        let log = docker(["logs", &self.name.0]);
        (log.stdout, log.stderr)
    }

    /// Has the container stopped by `stop`, and measures how long that takes by the engine's clock.
    pub fn shutdown(&self, stop: impl FnOnce(&Container)) -> events::Shutdown {
        events::Shutdown::measure(self, stop)
    }
}
