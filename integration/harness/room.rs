//! A place for an engine of the tests' own, where nothing can be left behind.
//!
//! It has its own processes (a PID namespace), mounts, /run and network. Its PID 1 is a shell that
//! waits for the end of a pipe from the test: when the test ends, in whatever way, the shell kills
//! all that is in the room, and clears away the cgroups and files with the room's name.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use super::{PATIENCE, children, command, names};

/// What PID 1 of a room does: `sh -c KEEPER keeper NAME FOLDER`.
const KEEPER: &str = r#"
set -e
mount -t tmpfs tmpfs /run
# podman keeps its locks there, under one name for all that root runs.
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs "$2/data"
busybox ip link set lo up
echo ready
set +e
cat >/dev/null
cd /
# The processes are gone some time after this, and their cgroups and mounts are busy until then.
kill -s KILL -- -1 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} + 2>/dev/null
    grep -o " $2[^ ]*" /proc/mounts | sort -r | xargs -r umount 2>/dev/null
    rm -rf --one-file-system "$2" 2>/dev/null
    left=$(find /sys/fs/cgroup -type d -path "*/$1*" 2>/dev/null)
    [ -n "$left" ] || [ -e "$2" ] || exit 0
    sleep 0.1
done
exit 1
"#;

/// What the names of all begin with that this run of the tests makes: the check for what is left
/// knows it by that (SEXTON_TEST_RUN is the name of a run of several test files).
pub fn run_name() -> String {
    std::env::var("SEXTON_TEST_RUN").unwrap_or_else(|_| "sexton-test".into())
}

/// See above.
pub struct Room {
    keeper: Child,
    /// PID 1 of the room, as the test sees it.
    init: i32,
    /// nsenter, which waits for the daemon that it has started in the room.
    daemons: Vec<Child>,
    name: String,
    folder: PathBuf,
}

impl Room {
    /// An empty room.
    pub fn new() -> Room {
        let name = format!("{}-{}", run_name(), names::random());
        // Not in the folder of the build: the path of a socket has 107 bytes at most (unix(7)).
        // Cleared away by the keeper, which outlives us.
        #[allow(clippy::disallowed_methods)]
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir(&folder).unwrap();
        fs::create_dir(folder.join("data")).unwrap();
        let mut keeper = command("unshare");
        keeper.args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", KEEPER, "keeper", &name]);
        keeper.arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        // What ends the tests as a group, ^C or timeout(1), is not to end who clears up behind them.
        keeper.process_group(0);
        let mut keeper = keeper.spawn().expect("unshare (Debian: util-linux) can be started");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "no namespaces can be made: these tests need root, and busybox (busybox-static)");
        let init = children(Path::new("/proc"), keeper.id() as i32)[0].pid;
        Room { keeper, init, daemons: Vec::new(), name, folder }
    }

    /// A name that nothing outside of the room has. Whatever cgroup begins with it is cleared away.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A folder that both sides see. Keep paths of sockets short.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder in memory that only the room sees.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The root of all files as the room sees them.
    pub fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.init).into()
    }

    /// A command in the room.
    pub fn command(&self, program: &str) -> Command {
        let mut command = command("nsenter");
        command.arg(format!("--target={}", self.init)).args(["--mount", "--net", "--pid", "--", program]);
        command
    }

    /// Takes the calling thread to the network of the room.
    pub fn enter_network(&self) {
        let network = File::open(format!("/proc/{}/ns/net", self.init)).unwrap();
        setns(network, CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// Starts a daemon in the room, which logs to `NAME.log` in the folder, and waits until this
    /// command succeeds outside of the room.
    pub fn daemon(&mut self, name: &str, args: &[&str], ready: impl Fn() -> Command) {
        let path = self.log_path(name);
        let log = File::create(&path).unwrap();
        let mut daemon = self.command(name);
        daemon.args(args).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.daemons.push(daemon.spawn().expect("nsenter (Debian: util-linux) can be started"));
        let deadline = Instant::now() + PATIENCE;
        while !ready().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success() {
            let ended = self.daemons.last_mut().unwrap().try_wait().unwrap();
            let too_late = Instant::now() > deadline;
            assert!(ended.is_none() && !too_late, "{name} does not answer ({ended:?}):\n{}", self.log(name));
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the daemon has logged so far.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_path(name)).unwrap()
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let ended = self.keeper.wait();
        for daemon in &mut self.daemons {
            let _ = daemon.wait();
        }
        if !std::thread::panicking() {
            assert!(ended.unwrap().success(), "cgroups or files of {} are left", self.name);
        }
    }
}
