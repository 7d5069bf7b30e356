//! sexton as what podman puts in front of a command, and as what holds a pod together.
//!
//! `cargo test --test podman`, as root; what is missing is named by what fails.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice::from_ref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::core::{Runtime, Started};
use harness::image::{archive, sexton, test_image};
use harness::processes::{self, Process, names};
use harness::{Finished, Lines, Room, finish, installed, manifest};

const SECOND: Duration = Duration::from_secs(1);

/// What podman on a busy machine may need to see that a container has ended; far from the limit of a minute.
const SLACK: Duration = Duration::from_secs(20);

/// The command says `ready`, and exits with 7 on SIGTERM.
const RECORD: [&str; 4] = ["/probe", "record", "15", "7"];

// sexton as the image's entrypoint

mod entrypoint {
    crate::core_tests!(super::Entrypoint);
}

/// podman with the test image as it is.
struct Entrypoint;

/// A container of it, with the `podman run` that started it.
struct Container {
    name: String,
    run: Lines,
}

fn podman() -> &'static Podman {
    static PODMAN: OnceLock<Podman> = OnceLock::new();
    PODMAN.get_or_init(Podman::new)
}

impl Runtime for Entrypoint {
    type Container = Container;

    fn start(&self, variables: &[(&str, &str)], command: &[&str]) -> Container {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("core-{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        let variables: Vec<_> = variables.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
        let run = podman().start(&name, &variables.iter().map(String::as_str).collect::<Vec<_>>(), command);
        Container { name, run }
    }
}

impl Started for Container {
    fn wait_for_line(&mut self, text: &str) {
        self.run.wait_for(text);
    }

    fn kill(&self, signal: &str) -> Result<(), String> {
        let done = podman().podman(&["kill", "--signal", signal, &self.name]);
        if done.status == Some(0) { Ok(()) } else { Err(done.stderr) }
    }

    fn status(&mut self) -> i32 {
        self.run.status().expect("podman exits")
    }

    fn logged(&self) -> (String, String) {
        let log = podman().podman(&["logs", &self.name]);
        (log.stdout, log.stderr)
    }
}

// podman run --init

/// What tells which init a container has.
const WHICH_INIT: &str = "xargs -0 </proc/1/cmdline; /run/podman-init --version";

fn is_sexton(shown: &str) {
    assert!(shown.starts_with("/run/podman-init -- sh -c ") && shown.contains("(sexton "), "{shown}");
}

#[test]
fn podman_takes_sexton_as_its_init_from_the_command_line() {
    let podman = Podman::with_init_path(Path::new("/nothing"));
    let init_path = format!("--init-path={}", podman.sexton().display());
    is_sexton(&podman.run(&["--init", &init_path], &["sh", "-c", WHICH_INIT]).succeeded());
}

#[test]
fn podman_takes_sexton_as_its_init_from_its_settings() {
    let podman = Podman::new();
    is_sexton(&podman.run(&["--init"], &["sh", "-c", WHICH_INIT]).succeeded());
}

#[test]
fn the_exit_status_of_podman_run_is_the_commands() {
    let podman = Podman::new();
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        let finished = podman.run(&["--init"], &["sh", "-c", script]);
        assert_eq!(finished.status, Some(status), "{finished:?}");
    }
    // As podman documents them, and gives them without an init; catatonit itself says 1.
    for (command, status) in [("/nothing", 127), ("/etc", 126)] {
        let finished = podman.run(&["--init"], &[command]);
        assert_eq!(finished.status, Some(status), "{finished:?}");
        assert!(finished.stderr.contains(&format!("sexton: cannot execute {command}: ")), "{finished:?}");
    }
}

#[test]
fn podman_stop_comes_after_the_pre_stop_sleep() {
    let podman = Podman::new();
    let mut container = podman.start("server", &["--init", "--env=SEXTON_PRE_STOP_SLEEP=1s"], &RECORD);
    container.wait_for("ready");
    let took = podman.stop(&["stop", "--time=60", "server"]);
    assert!(took >= SECOND && took < SECOND + SLACK, "{took:?}");
    assert_eq!(container.status(), Some(7));
}

#[test]
fn orphans_are_reaped() {
    let podman = Podman::new();
    let script = "/probe orphans 5 100; exec sleep 1000";
    podman.start("server", &["--init"], &["sh", "-c", script]).wait_for("left");
    podman.wait_for("server", "init and the command are left", |all| names(all) == ["podman-init", "sleep"]);
}

// Pods

/// What `podman pod create` is told of the infra container: by sexton's own name, by that of the
/// peer, and nothing, so that podman makes it of the `catatonit` that it finds.
const INFRAS: [&[&str]; 3] = [&["--infra-command=/sexton -P"], &["--infra-command=/bin/catatonit -P"], &[]];

#[test]
fn in_a_pod_with_a_shared_pid_namespace_the_orphans_of_all_containers_are_reaped() {
    let podman = Podman::new();
    // Whatever it is called by.
    let name = "sexton: pause";
    for infra in INFRAS {
        podman.create_pod(infra, "pid");
        let leave = ["sh", "-c", "/probe orphans 5 100; exec sleep 1000"];
        podman.start("with-sexton", &["--pod=pod"], &leave).wait_for("left");
        podman.start("alone", &["--pod=pod", "--entrypoint=[]"], &leave).wait_for("left");
        podman.wait_for("alone", "the infra container, the other sexton and the two commands are left", |all| {
            let mut expected = [name, "sexton", "sleep", "sleep"];
            expected.sort_unstable();
            names(all) == expected && all[0].pid == 1 && all[0].name == name
        });
        podman.remove_pod();
    }
}

#[test]
fn a_pod_is_stopped_without_waiting_for_the_limit() {
    let podman = Podman::new();
    for infra in INFRAS {
        podman.create_pod(infra, "ipc");
        let mut container = podman.start("server", &["--pod=pod"], &RECORD);
        container.wait_for("ready");
        let took = podman.stop(&["pod", "stop", "--time=60", "pod"]);
        assert!(took < SLACK, "{infra:?}: {took:?}");
        assert_eq!(container.status(), Some(7), "{infra:?}");
        assert_eq!(podman.infra_status(), "exited 0", "{infra:?}");
        podman.remove_pod();
    }
}

#[test]
fn a_pod_with_a_shared_pid_namespace_is_stopped_without_waiting_for_the_limit() {
    let podman = Podman::new();
    for infra in INFRAS {
        podman.create_pod(infra, "pid");
        podman.start("server", &["--pod=pod"], &RECORD).wait_for("ready");
        let took = podman.stop(&["pod", "stop", "--time=60", "pod"]);
        assert!(took < SLACK, "{infra:?}: {took:?}");
        assert_eq!(podman.infra_status(), "exited 0", "{infra:?}");
        podman.remove_pod();
    }
}

#[test]
fn an_infra_container_that_waits_leaves_a_shared_pid_namespace_to_the_pre_stop_sleep() {
    let podman = Podman::new();
    podman.create_pod(&["--infra-command=/sexton -P --orphans wait"], "pid");
    let mut container = podman.start("server", &["--pod=pod", "--env=SEXTON_PRE_STOP_SLEEP=1s"], &RECORD);
    container.wait_for("ready");
    let took = podman.stop(&["pod", "stop", "--time=60", "pod"]);
    assert!(took >= SECOND && took < SECOND + SLACK, "{took:?}");
    assert_eq!(container.status(), Some(7));
    assert_eq!(podman.infra_status(), "exited 0");
}

#[test]
fn the_manifest_of_docs_kubernetes_md_plays_and_shares_the_pid_namespace_if_it_says_so() {
    let podman = Podman::new();
    let changes = [
        ("replicas: 2", "replicas: 1"),
        (
            "      terminationGracePeriodSeconds:",
            "      shareProcessNamespace: true\n      terminationGracePeriodSeconds:",
        ),
        ("registry.example/server:1", &podman.image),
        ("[server, --port, \"8080\"]", "[sh, -c, /probe orphans 5 100; exec sleep 1000]"),
    ];
    let manifest = changes.iter().fold(manifest::text(), |manifest, (from, to)| {
        assert_eq!(manifest.matches(from).count(), 1, "{from}: {manifest}");
        manifest.replace(from, to)
    });
    let file = podman.room.folder().join("manifest.yaml");
    fs::write(&file, &manifest).unwrap();
    let file = file.to_str().unwrap();
    podman.podman(&["play", "kube", "--network=none", file]).succeeded();
    let container = "server-pod-0-server";
    podman.wait_for(container, "the infra container, sexton and the command are left", |all| {
        names(all) == ["sexton", "sexton: pause", "sleep"] && all[0].name == "sexton: pause"
    });
    let seen = podman.podman(&["exec", container, "env"]).succeeded();
    for (name, value) in manifest::env(&manifest) {
        assert!(seen.lines().any(|line| line == format!("{name}={value}")), "{name}: {seen}");
    }
    podman.podman(&["play", "kube", "--down", file]).succeeded();
    // It cannot be told of another control group than its default, which it leaves behind.
    let rmdir = ["-c", "find /sys/fs/cgroup -depth -type d -path '*/libpod_parent*' -exec rmdir {} +"];
    podman.room.command("sh").args(rmdir).status().unwrap();
}

/// podman, with storage and settings of its own.
struct Podman {
    room: Room,
    image: String,
}

impl Podman {
    /// A podman whose init is sexton.
    fn new() -> Podman {
        let room = Room::new();
        let path = room.folder().join("sexton");
        Podman::in_room(room, &path)
    }

    fn with_init_path(path: &Path) -> Podman {
        Podman::in_room(Room::new(), path)
    }

    fn in_room(room: Room, init_path: &Path) -> Podman {
        for program in ["podman", "runc"] {
            installed(program, program);
        }
        let image = test_image();
        let (folder, data) = (room.folder(), room.data());
        // podman looks here for the catatonit of its infra containers.
        let helpers = folder.join("helpers");
        fs::create_dir(&helpers).unwrap();
        for copy in [folder.join("sexton"), helpers.join("catatonit")] {
            fs::copy(sexton(), copy).unwrap();
        }
        let containers = format!(
            "[containers]\n\
             netns = 'none'\n\
             # Not the limits of the machine's settings: not everybody may raise them.\n\
             default_ulimits = []\n\
             init_path = {init_path:?}\n\
             [engine]\n\
             runtime = 'runc'\n\
             cgroup_manager = 'cgroupfs'\n\
             events_logger = 'none'\n\
             helper_binaries_dir = [{helpers:?}, '/usr/libexec/podman', '/usr/lib/podman']\n"
        );
        let storage = format!(
            "[storage]\ndriver = 'vfs'\ngraphroot = {:?}\nrunroot = {:?}\n",
            data.join("storage"),
            data.join("run")
        );
        fs::write(folder.join("containers.conf"), containers).unwrap();
        fs::write(folder.join("storage.conf"), storage).unwrap();
        // Whatever its settings say, podman has a cache there.
        let mut mount = room.command("mount");
        mount.args(["-t", "tmpfs", "tmpfs", "/var/lib"]);
        finish(mount).unwrap_or_else(|why| panic!("{why}")).succeeded();
        let podman = Podman { room, image };
        podman.podman(&["load", "--quiet", "--input", archive(from_ref(&podman.image)).to_str().unwrap()]).succeeded();
        podman
    }

    /// A copy of sexton.
    fn sexton(&self) -> PathBuf {
        self.room.folder().join("sexton")
    }

    fn command(&self, args: &[&str]) -> Command {
        let folder = self.room.folder();
        let mut command = self.room.command("podman");
        command.env("CONTAINERS_CONF", folder.join("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"));
        command.env("TMPDIR", folder).arg("--log-level=error").args(args);
        command
    }

    fn podman(&self, args: &[&str]) -> Finished {
        finish(self.command(args)).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The name of a control group that goes with the room.
    fn cgroup(&self) -> String {
        format!("--cgroup-parent=/{}", self.room.name())
    }

    /// `podman run`, to its end.
    fn run(&self, options: &[&str], command: &[&str]) -> Finished {
        let cgroup = self.cgroup();
        let line = [&["run", "--rm", &cgroup, "--entrypoint=[]"], options, &[&self.image], command];
        self.podman(&line.concat())
    }

    /// `podman run`, whose lines and exit status are waited for. With `--init` there is no other
    /// sexton; without, the image's entrypoint is one.
    fn start(&self, name: &str, options: &[&str], command: &[&str]) -> Lines {
        let (name, cgroup) = (format!("--name={name}"), self.cgroup());
        // A container of a pod is in the pod's control group.
        let cgroup: &[&str] = if options.contains(&"--pod=pod") { &[] } else { &[&cgroup] };
        let entrypoint: &[&str] = if options.contains(&"--init") { &["--entrypoint=[]"] } else { &[] };
        let line = [&["run", &name], cgroup, entrypoint, options, &[&self.image], command].concat();
        Lines::of(self.command(&line))
    }

    /// `podman stop` or `podman pod stop`, and how long that took.
    fn stop(&self, line: &[&str]) -> Duration {
        let begin = Instant::now();
        self.podman(line).succeeded();
        begin.elapsed()
    }

    fn wait_for(&self, container: &str, what: &str, is_so: impl Fn(&[Process]) -> bool) {
        let line = [&["exec", container], &processes::LIST[..]].concat();
        processes::wait_for(|| self.podman(&line).succeeded(), what, is_so);
    }

    /// A pod called `pod` that shares these namespaces.
    fn create_pod(&self, infra: &[&str], share: &str) {
        let (image, share) = (format!("--infra-image={}", self.image), format!("--share={share}"));
        let image: &[&str] = if infra.is_empty() { &[] } else { &[&image] };
        let cgroup = self.cgroup();
        let line = [&["pod", "create", "--name=pod", &cgroup, &share], image, infra].concat();
        self.podman(&line).succeeded();
    }

    /// How the infra container is.
    fn infra_status(&self) -> String {
        let id = self.podman(&["pod", "inspect", "--format={{.InfraContainerID}}", "pod"]).succeeded();
        let template = "--format={{.State.Status}} {{.State.ExitCode}}";
        self.podman(&["inspect", template, id.trim()]).succeeded().trim().to_owned()
    }

    fn remove_pod(&self) {
        self.podman(&["pod", "rm", "--force", "--time=0", "pod"]).succeeded();
    }
}
