//! Which Docker engine the tests drive, and how sexton gets into its containers.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::core::{Runtime, Started};
use super::run::docker;
use super::{Container, Plan, Room, image};

/// The calls that newer kernels have, or that seccomp profiles refuse.
pub const CALLS: [&str; 7] =
    ["pidfd_open", "pidfd_send_signal", "clone3", "close_range", "signalfd4", "timerfd_create", "epoll_create1"];

/// An engine, and sexton's place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The one that answers on this machine; sexton is the image's ENTRYPOINT.
    Machine,
    /// One of the tests' own, with sexton as its init: `docker run --init`.
    Init,
    /// The same; its seccomp profile answers [`CALLS`], and the prctl that makes a subreaper, with this errno.
    Refusing(i32),
    /// One of the tests' own whose containers run in gVisor; sexton is the image's ENTRYPOINT.
    Gvisor,
}

impl Kind {
    /// The one that the variable SEXTON_TEST_DOCKER names: `make integration` runs the same tests
    /// with each of them.
    fn from_variable() -> Kind {
        match std::env::var("SEXTON_TEST_DOCKER").as_deref() {
            Err(_) | Ok("machine" | "") => Kind::Machine,
            Ok("init") => Kind::Init,
            Ok("eperm") => Kind::Refusing(libc::EPERM),
            Ok("enosys") => Kind::Refusing(libc::ENOSYS),
            Ok(other) => panic!("SEXTON_TEST_DOCKER={other}: give machine, init, eperm or enosys"),
        }
    }

    pub fn has_init(self) -> bool {
        matches!(self, Kind::Init | Kind::Refusing(_))
    }
}

/// The engine of this process.
static ENGINE: OnceLock<Engine> = OnceLock::new();

/// The engine that `docker` talks to. One is started if there has to be.
pub fn engine() -> &'static Engine {
    ENGINE.get_or_init(|| Engine::new(Kind::from_variable()))
}

/// The same for a test file that is about one kind of engine.
pub fn use_engine(kind: Kind) -> &'static Engine {
    ENGINE.get_or_init(|| Engine::new(kind))
}

/// See [`Kind`]. One of the tests' own ends with the test's process.
pub struct Engine {
    pub kind: Kind,
    room: Option<Room>,
}

impl Engine {
    fn new(kind: Kind) -> Engine {
        let with_init = |room: Room, mut options: Vec<String>| {
            let init = room.folder().join("docker-init");
            fs::copy(image::sexton(), &init).unwrap();
            options.push(format!("--init-path={}", init.display()));
            Engine::private(kind, room, "{}", &options)
        };
        match kind {
            Kind::Machine => Engine { kind, room: None },
            Kind::Init => with_init(Room::new(), Vec::new()),
            Kind::Refusing(errno) => {
                let room = Room::new();
                let profile = room.folder().join("seccomp.json");
                fs::write(&profile, seccomp_profile(errno)).unwrap();
                with_init(room, vec![format!("--seccomp-profile={}", profile.display())])
            }
            Kind::Gvisor => {
                // Not kvm, which a virtual machine seldom has; and the runsc of 2022 takes every network
                // namespace of Linux 6 for the machine's own.
                let options = r#"["--platform=ptrace", "--network=none"]"#;
                let settings = format!(r#"{{"runtimes": {{"runsc": {{"path": "runsc", "runtimeArgs": {options}}}}}}}"#);
                Engine::private(kind, Room::new(), &settings, &["--default-runtime=runsc".into()])
            }
        }
    }

    /// An engine of the tests' own in this room, with this daemon.json and these options of dockerd.
    pub fn private(kind: Kind, mut room: Room, settings: &str, options: &[String]) -> Engine {
        let config = room.folder().join("daemon.json");
        // Or it reads the machine's.
        fs::write(&config, settings).unwrap();
        let host = socket(&room);
        let mut line = vec![
            format!("--config-file={}", config.display()),
            format!("--data-root={}/docker", room.data().display()),
            "--exec-root=/run/docker".into(),
            "--pidfile=/run/docker.pid".into(),
            format!("--host={host}"),
            format!("--cgroup-parent=/{}", room.name()),
            "--exec-opt=native.cgroupdriver=cgroupfs".into(),
        ];
        line.extend(["--bridge=none", "--iptables=false", "--ip-masq=false", "--ip-forward=false"].map(String::from));
        line.extend_from_slice(options);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        room.daemon("dockerd", &line, || {
            let mut version = super::command("docker");
            version.args(["--host", &host, "version"]);
            version
        });
        Engine { kind, room: Some(room) }
    }

    /// The `docker` command that talks to this engine.
    pub fn command(&self) -> Command {
        let mut command = super::command("docker");
        if let Some(room) = &self.room {
            command.env("DOCKER_HOST", socket(room)).env_remove("DOCKER_CONTEXT");
        }
        command
    }

    /// Where its processes are found: its /proc.
    pub fn proc(&self) -> PathBuf {
        self.room.as_ref().map_or_else(|| "/proc".into(), |room| room.root().join("proc"))
    }

    /// What dockerd has logged so far, if it is the tests' own.
    pub fn log(&self) -> String {
        self.room.as_ref().expect("the machine's engine logs elsewhere").log("dockerd")
    }
}

fn socket(room: &Room) -> String {
    format!("unix://{}/docker.sock", room.folder().display())
}

/// A profile that allows all but [`CALLS`] and prctl(PR_SET_CHILD_SUBREAPER).
fn seccomp_profile(errno: i32) -> String {
    let refuse = format!(r#""action": "SCMP_ACT_ERRNO", "errnoRet": {errno}"#);
    let prctl = format!(r#""args": [{{"index": 0, "value": {}, "op": "SCMP_CMP_EQ"}}]"#, libc::PR_SET_CHILD_SUBREAPER);
    format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {{"names": {CALLS:?}, {refuse}}},
            {{"names": ["prctl"], {refuse}, {prctl}}}
        ]}}"#
    )
}

/// The engine of this process, for the core table.
pub struct Docker(pub fn() -> &'static Engine);

impl Runtime for Docker {
    type Container = Container;

    fn start(&self, variables: &[(&str, &str)], command: &[&str]) -> Container {
        (self.0)();
        variables.iter().fold(Plan::new(), |plan, (name, value)| plan.env(name, value)).start(command)
    }

    fn refused(&self) -> &[(&str, &str)] {
        match (self.0)().kind {
            // Inside of gVisor they are signals like others (integration/gvisor.rs).
            Kind::Gvisor => {
                &[("34", "unknown signal \"34\""), ("37", "unknown signal \"37\""), ("64", "unknown signal \"64\"")]
            }
            _ => &[],
        }
    }

    fn tells_of_signals(&self) -> bool {
        // gVisor's file ends before the signals.
        !matches!((self.0)().kind, Kind::Gvisor)
    }
}

impl Started for Container {
    fn wait_for_line(&mut self, text: &str) {
        Container::wait_for_line(self, text);
    }

    fn kill(&self, signal: &str) -> Result<(), String> {
        let done = docker(["kill", "--signal", signal, self.name()]);
        if done.status == Some(0) { Ok(()) } else { Err(done.stderr) }
    }

    fn status(&mut self) -> i32 {
        Container::status(self)
    }

    fn logged(&self) -> (String, String) {
        Container::logged(self)
    }
}
