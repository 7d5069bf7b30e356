//! sexton in bundles that are run by hand, with the runtimes below the engines: runc and crun.

mod harness;

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::core::{Runtime, Started};
use harness::{Finished, Lines, Room, finish, image};

mod runc {
    crate::core_tests!(super::Bare("runc"));
}

mod crun {
    crate::core_tests!(super::Bare("crun"));
}

/// The runtime of this name.
struct Bare(&'static str);

/// A container of a runtime, which stays in the foreground.
struct Bundle {
    runtime: &'static str,
    id: String,
    run: Lines,
}

/// The room in which all of them run, with the file system that they share.
fn room() -> &'static Room {
    static ROOM: OnceLock<Room> = OnceLock::new();
    ROOM.get_or_init(|| {
        let room = Room::new();
        let root = root(&room);
        fs::create_dir_all(root.join("bin")).unwrap();
        for (from, to) in [(image::sexton(), "sexton"), (image::probe(), "probe"), (image::busybox(), "bin/busybox")] {
            fs::copy(&from, root.join(to)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        let mut install = room.command("chroot");
        install.arg(root).args(["/bin/busybox", "--install", "-s", "/bin"]);
        finish(install).unwrap().succeeded();
        // crun works with cgroup v1 or v2; where the machine has both, it is to see v1 alone.
        if fs::exists(HYBRID).unwrap() {
            let mut unmount = room.command("umount");
            unmount.arg(HYBRID);
            finish(unmount).unwrap().succeeded();
        }
        room
    })
}

/// Where a machine with cgroup v1 has v2 besides.
const HYBRID: &str = "/sys/fs/cgroup/unified";

fn root(room: &Room) -> PathBuf {
    room.folder().join("root")
}

impl Runtime for Bare {
    type Container = Bundle;

    fn start(&self, variables: &[(&str, &str)], command: &[&str]) -> Bundle {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let room = room();
        let id = format!("{}-{}", self.0, COUNTER.fetch_add(1, Ordering::Relaxed));
        let folder = room.folder().join(&id);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("config.json"), configuration(room, &id, variables, command)).unwrap();
        let mut run = room.command(self.0);
        run.args(["run", "--bundle"]).arg(folder).arg(&id);
        Bundle { runtime: self.0, id, run: Lines::of(run) }
    }
}

/// What the OCI's runtime specification asks for at least. No capability is among it.
fn configuration(room: &Room, id: &str, variables: &[(&str, &str)], command: &[&str]) -> String {
    let args: Vec<&str> = ["/sexton", "--"].iter().chain(command).copied().collect();
    let variables = variables.iter().map(|(name, value)| format!("{name}={value}"));
    let env: Vec<String> = ["PATH=/bin".to_owned()].into_iter().chain(variables).collect();
    let (root, cgroup) = (root(room), format!("/{}/{id}", room.name()));
    format!(
        r#"{{"ociVersion": "1.0.2",
            "process": {{"user": {{"uid": 0, "gid": 0}}, "args": {args:?}, "env": {env:?}, "cwd": "/"}},
            "root": {{"path": {root:?}}},
            "mounts": [
                {{"destination": "/proc", "type": "proc", "source": "proc"}},
                {{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}}
            ],
            "linux": {{
                "cgroupsPath": {cgroup:?},
                "namespaces": [{{"type": "pid"}}, {{"type": "mount"}}, {{"type": "network"}}, {{"type": "ipc"}}]
            }}}}"#
    )
}

impl Bundle {
    fn runtime(&self, args: &[&str]) -> Result<Finished, String> {
        let mut command = room().command(self.runtime);
        command.args(args);
        finish(command)
    }
}

impl Started for Bundle {
    fn wait_for_line(&mut self, text: &str) {
        self.run.wait_for(text);
    }

    fn kill(&self, signal: &str) -> Result<(), String> {
        let done = self.runtime(&["kill", &self.id, signal])?;
        if done.status == Some(0) { Ok(()) } else { Err(done.stderr) }
    }

    fn status(&mut self) -> i32 {
        self.run.status().expect("the runtime exits")
    }

    fn logged(&self) -> (String, String) {
        self.run.streams()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.runtime(&["delete", "--force", &self.id]);
    }
}
