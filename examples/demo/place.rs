//! Where the servers run: Docker, a PID namespace, or nowhere in particular.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::wait;
use nix::unistd::{Pid, dup2_stderr, dup2_stdout, getgid, getuid};

use crate::names::random;
use crate::program::{lines, output_within, program, which};
use crate::proxy;
use crate::{GRACE, LIMIT};

/// The first words of this program's other roles ([`hold`], [`inside`]).
pub const HOLD: &str = "--hold";
pub const INSIDE: &str = "--inside";

/// What a server has to come up.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Docker,
    Namespace,
    Subreaper,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Kind, String> {
        match name {
            "docker" => Ok(Kind::Docker),
            "namespace" => Ok(Kind::Namespace),
            "subreaper" => Ok(Kind::Subreaper),
            _ => Err(format!("{name:?} is none of docker, namespace, subreaper")),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Docker => "No Docker container",
            Kind::Namespace => "No PID namespace",
            Kind::Subreaper => "No process",
        })
    }
}

/// What starts the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    Nothing,
    Tini,
    Sexton,
}

impl fmt::Display for Init {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Init::Nothing => "no init",
            Init::Tini => "tini",
            Init::Sexton => "sexton",
        })
    }
}

pub struct Place {
    kind: Kind,
    work: PathBuf,
    /// Docker's image, and the beginning of the names of its containers.
    image: String,
    /// The version of the engine.
    engine: String,
    has_tini: bool,
}

impl Place {
    /// Takes this place if a server answers there.
    pub fn try_out(kind: Kind, work: &Path) -> Result<Place, Box<dyn Error>> {
        // The image has no loader, so only a static tini runs there.
        let names = if kind == Kind::Docker { &["tini-static"][..] } else { &["tini", "tini-static"] };
        let tini = names.iter().find_map(|name| which(name));
        if let Some(tini) = &tini {
            fs::copy(tini, work.join("tini"))?;
        }
        let image = format!("sexton-demo-{}", random());
        let work = work.to_owned();
        let mut place = Place { kind, work, image, engine: String::new(), has_tini: tini.is_some() };
        if kind == Kind::Docker {
            let version = ["version", "--format", "{{.Server.Version}}"];
            place.engine = output_within(Duration::from_secs(10), program("docker").args(version))?;
            place.build_image()?;
        }
        place.start(Init::Nothing, Duration::ZERO)?;
        Ok(place)
    }

    fn build_image(&self) -> Result<(), Box<dyn Error>> {
        let tini = if self.has_tini { "tini " } else { "" };
        fs::write(self.work.join("Dockerfile"), format!("FROM scratch\nCOPY sexton server {tini}/\n"))?;
        let mut build = program("docker");
        build.args(["build", "--quiet", "--tag", &self.image]).arg(&self.work);
        output_within(Duration::from_secs(120), &mut build)?;
        Ok(())
    }

    pub fn describe(&self) -> String {
        let where_it_is = match self.kind {
            Kind::Docker => {
                format!("in Docker containers (engine {}), from {}, an image FROM scratch", self.engine, self.image)
            }
            Kind::Namespace => "in PID namespaces".into(),
            Kind::Subreaper => "as ordinary processes, and sexton is a subreaper".into(),
        };
        format!("The servers run {where_it_is}.")
    }

    /// What to compare sexton with.
    pub fn other_init(&self) -> Init {
        if self.has_tini { Init::Tini } else { Init::Nothing }
    }

    /// How a server is stopped here.
    pub fn stop_how(&self) -> String {
        match self.kind {
            Kind::Docker => format!("docker stop (limit {}s)", LIMIT.as_secs()),
            Kind::Namespace => "SIGTERM to PID 1 of the namespace".into(),
            Kind::Subreaper => "SIGTERM".into(),
        }
    }

    /// Starts a server and waits until it is ready.
    pub fn start(&self, init: Init, sleep: Duration) -> Result<Server, Box<dyn Error>> {
        let in_docker = self.kind == Kind::Docker;
        let (folder, address) = if in_docker { ("", "0.0.0.0:8080") } else { (".", "127.0.0.1:0") };
        let mut words = match init {
            Init::Nothing => vec![],
            Init::Tini => vec![format!("{folder}/tini"), "--".into()],
            Init::Sexton => vec![format!("{folder}/sexton"), "--".into()],
        };
        // tini is no subreaper unless it is told, and is no worse off here; nobody leaves an orphan.
        words.extend([format!("{folder}/server"), address.into()]);
        let mut environment = vec![("RUST_LOG", "info".to_owned())];
        if init == Init::Sexton {
            environment
                .extend([("SEXTON_LOG", "info".into()), ("SEXTON_GRACE_PERIOD", format!("{}s", GRACE.as_secs()))]);
            if !sleep.is_zero() {
                environment.push(("SEXTON_PRE_STOP_SLEEP", format!("{}s", sleep.as_secs())));
                environment.push(("SEXTON_PRE_STOP_SIGNAL", "USR2".into()));
            }
            if self.kind == Kind::Subreaper {
                environment.push(("SEXTON_DIE_WITH_SEXTON", "true".into()));
            }
        }
        let container = in_docker.then(|| format!("{}-{}", self.image, random()));
        let mut command = if let Some(container) = &container {
            let mut run = program("docker");
            run.args(["run", "--rm", "--name", container, "--publish", "127.0.0.1::8080"]);
            for (name, value) in &environment {
                run.arg("--env").arg(format!("{name}={value}"));
            }
            run.arg(&self.image);
            run
        } else {
            let mut hold = program(std::env::current_exe()?);
            let how = if self.kind == Kind::Namespace { "namespace" } else { "subreaper" };
            hold.args([HOLD, how]).envs(environment).current_dir(&self.work).stdin(Stdio::piped());
            hold
        };
        let child = command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        Server::wait_for(child, container)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.kind == Kind::Docker {
            let remove = ["rmi", "--force", &self.image];
            let _ = output_within(Duration::from_secs(60), program("docker").args(remove));
        }
    }
}

/// A running server. It ends when this is dropped.
pub struct Server {
    child: Child,
    container: Option<String>,
    stopping: Option<Child>,
    pub address: String,
    /// What it and its init say, with the time; at an end when they have ended.
    pub lines: Receiver<(Instant, String)>,
}

impl Server {
    fn wait_for(mut child: Child, container: Option<String>) -> Result<Server, Box<dyn Error>> {
        let (sender, lines_of_both) = channel();
        let sources: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|it| Box::new(it) as _), child.stderr.take().map(|it| Box::new(it) as _)];
        for source in sources.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in lines(source) {
                    if sender.send((Instant::now(), line)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut server = Server { child, container, stopping: None, address: String::new(), lines: lines_of_both };
        let end = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        let address = loop {
            match server.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((_, line)) => match line.strip_prefix("ready on ") {
                    Some(address) => break address.to_owned(),
                    None => said.push(line),
                },
                Err(RecvTimeoutError::Timeout) => return Err(format!("no server within {PATIENCE:?}").into()),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("the server does not start ({})", said.join(" ")).into());
                }
            }
        };
        server.address = match &server.container {
            None => address,
            Some(container) => {
                let port = output_within(PATIENCE, program("docker").args(["port", container, "8080/tcp"]))?;
                port.lines().next().ok_or("docker port names no port")?.to_owned()
            }
        };
        while proxy::get(&server.address, "/ready", PATIENCE).is_err() {
            if Instant::now() > end {
                return Err(format!("no answer at {} within {PATIENCE:?}", server.address).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Sends the stop signal, and does not wait for what comes of it.
    pub fn stop(&mut self) -> Result<(), Box<dyn Error>> {
        match (&self.container, &mut self.child.stdin) {
            (Some(container), _) => {
                let mut stop = program("docker");
                let limit = LIMIT.as_secs().to_string();
                stop.args(["stop", "--time", &limit, container]).stdout(Stdio::null()).stderr(Stdio::null());
                self.stopping = Some(stop.spawn()?);
            }
            (None, Some(stdin)) => stdin.write_all(b"t")?,
            (None, None) => return Err("nobody holds the server".into()),
        }
        Ok(())
    }

    /// Its exit status, after its end.
    pub fn status(&mut self) -> Result<i32, Box<dyn Error>> {
        if let Some(stop) = &mut self.stopping {
            stop.wait()?;
        }
        drop(self.child.stdin.take());
        Ok(self.child.wait()?.code().unwrap_or(-1))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(container) = &self.container {
            let _ = output_within(Duration::from_secs(60), program("docker").args(["rm", "--force", container]));
        }
        // That is how it is told to end (`hold`).
        drop(self.child.stdin.take());
        if let Some(stop) = &mut self.stopping {
            let _ = stop.wait();
        }
        let _ = self.child.wait();
    }
}

/// `--hold namespace|subreaper PROGRAM [ARG...]`: starts a program and waits for it. `t` on stdin sends it
/// SIGTERM, the end of stdin before that is its end. So no pid is remembered for longer than it is valid.
pub fn hold(mut words: impl Iterator<Item = OsString>) -> Result<bool, Box<dyn Error>> {
    set_pdeathsig(Signal::SIGKILL)?;
    set_child_subreaper(true)?;
    if words.next().is_some_and(|how| how == "namespace") {
        let (uid, gid) = (getuid(), getgid());
        let user = if uid.is_root() { CloneFlags::empty() } else { CloneFlags::CLONE_NEWUSER };
        unshare(CloneFlags::CLONE_NEWPID | user).map_err(|errno| format!("unshare: {}", errno.desc()))?;
        if !user.is_empty() {
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
            fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
        }
    }
    let mut child = program(std::env::current_exe()?).arg(INSIDE).args(words).spawn()?;
    // What it says ends when it ends.
    let null = fs::OpenOptions::new().write(true).open("/dev/null")?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    let pid = Pid::from_raw(child.id().try_into()?);
    let mut order = [0];
    let signal = if std::io::stdin().read(&mut order)? == 0 { Signal::SIGKILL } else { Signal::SIGTERM };
    // Nobody has reaped it yet, so the pid is its own.
    kill(pid, signal)?;
    let status = child.wait()?;
    // tini that is killed leaves the server.
    loop {
        for left in fs::read_to_string("/proc/thread-self/children")?.split_whitespace() {
            kill(Pid::from_raw(left.parse()?), Signal::SIGKILL)?;
        }
        if wait() == Err(Errno::ECHILD) {
            std::process::exit(status.code().unwrap_or(-1));
        }
    }
}

/// `--inside PROGRAM [ARG...]`: becomes the program. As PID 1 of a namespace it first gets a /proc of its own.
pub fn inside(mut words: impl Iterator<Item = OsString>) -> Result<bool, Box<dyn Error>> {
    set_pdeathsig(Signal::SIGKILL)?;
    if std::process::id() == 1 {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none)
            .map_err(|errno| format!("mount /proc: {}", errno.desc()))?;
    }
    let name = words.next().ok_or("no program")?;
    let error = Command::exec(program(&name).args(words));
    Err(format!("{}: {error}", name.to_string_lossy()).into())
}
