//! What the kubelet does with a pod, by the Container Runtime Interface: api.proto of
//! k8s.io/cri-api, version v1, whose field numbers are the numbers here.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::grpc::{Message, Refused, Reply, call};
use super::harness::image::{archive, test_image, with_instructions};
use super::harness::{Lines, PATIENCE, Room, finish, installed};

/// A node of a cluster: a containerd, and what the kubelet keeps in files.
pub struct Node {
    pub room: Room,
    socket: PathBuf,
    image: String,
}

impl Node {
    /// A containerd that makes its sandboxes from the test image with sexton in pause mode.
    pub fn new() -> Node {
        for program in ["containerd", "curl", "runc"] {
            installed(program, program);
        }
        let image = test_image();
        let sandbox = with_instructions("ENTRYPOINT [\"/sexton\", \"-P\"]\nCMD []");
        let archive = archive(&[image.clone(), sandbox.clone()]);
        let mut room = Room::new();
        let (folder, data) = (room.folder().to_owned(), room.data());
        let socket = folder.join("containerd.sock");
        let config = format!(
            "version = 2\n\
             root = {:?}\n\
             [grpc]\n\
             address = {socket:?}\n\
             [plugins.'io.containerd.grpc.v1.cri']\n\
             sandbox_image = 'docker.io/library/{sandbox}'\n\
             # Without CAP_SYS_RESOURCE nobody may lower it, and runc gives up.\n\
             restrict_oom_score_adj = true\n\
             [plugins.'io.containerd.grpc.v1.cri'.containerd]\n\
             snapshotter = 'native'\n",
            data.join("containerd"),
        );
        let config_file = folder.join("config.toml");
        fs::write(&config_file, config).unwrap();
        let ctr = || {
            let mut ctr = crate::harness::command("ctr");
            ctr.arg("--address").arg(&socket).arg("--namespace=k8s.io");
            ctr
        };
        room.daemon("containerd", &["--config", config_file.to_str().unwrap()], || {
            let mut version = ctr();
            version.arg("version");
            version
        });
        let mut import = ctr();
        import.args(["images", "import", "--snapshotter=native"]).arg(archive);
        finish(import).unwrap_or_else(|why| panic!("{why}")).succeeded();
        fs::create_dir(folder.join(LOGS)).unwrap();
        Node { room, socket, image: format!("docker.io/library/{image}") }
    }

    fn call(&self, method: &str, message: Message) -> Reply {
        self.try_call(method, message).unwrap_or_else(|refused| panic!("{refused}"))
    }

    fn try_call(&self, method: &str, message: Message) -> Result<Reply, Refused> {
        call(&self.socket, &format!("runtime.v1.RuntimeService/{method}"), message, PATIENCE)
    }

    /// A file of the node, for [`Plan::mount`].
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.room.folder().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// RunPodSandbox. The pod has the node's network, as with `hostNetwork: true`.
    pub fn run_pod(&self, pids: PidNamespace) -> Pod<'_> {
        let metadata = Message::default().text(1, "pod").text(2, "uid").text(3, "default");
        let security = Message::default().message(1, pids.options());
        let linux = Message::default().text(1, &format!("/{}", self.room.name())).message(2, security);
        let config = Message::default()
            .message(1, metadata)
            .text(3, self.room.folder().join(LOGS).to_str().unwrap())
            .message(8, linux);
        let reply = self.call("RunPodSandbox", Message::default().message(1, config.clone()));
        Pod { node: self, id: reply.text(1), config, pids }
    }
}

/// The folder of the containers' logs in the room's.
const LOGS: &str = "pod-logs";

/// Who shares a PID namespace, with the numbers of `NamespaceMode`.
#[derive(Clone, Copy)]
pub enum PidNamespace {
    /// `shareProcessNamespace: true`: the sandbox's process is PID 1 for all containers.
    Pod = 0,
    Container = 1,
}

impl PidNamespace {
    fn options(self) -> Message {
        const NODE: i64 = 2;
        Message::default().number(1, NODE).number(2, self as i64)
    }
}

/// A sandbox that runs.
pub struct Pod<'a> {
    node: &'a Node,
    id: String,
    config: Message,
    pids: PidNamespace,
}

impl<'a> Pod<'a> {
    /// The container of a pod's manifest.
    pub fn container(&'a self, name: &'a str) -> Plan<'a> {
        let config = Message::default()
            .message(1, Message::default().text(1, name))
            .message(2, Message::default().text(1, &self.node.image))
            .text(11, name);
        Plan { pod: self, name, config, memory: None }
    }

    /// StopPodSandbox
    pub fn stop(&self) {
        self.node.call("StopPodSandbox", Message::default().text(1, &self.id));
    }

    /// Whether PodSandboxStatus says so.
    pub fn is_ready(&self) -> bool {
        const READY: i64 = 0;
        self.node.call("PodSandboxStatus", Message::default().text(1, &self.id)).message(1).number(3) == READY
    }

    /// RemovePodSandbox
    pub fn remove(&self) {
        self.node.call("RemovePodSandbox", Message::default().text(1, &self.id));
    }
}

/// A container to be made.
pub struct Plan<'a> {
    pod: &'a Pod<'a>,
    name: &'a str,
    config: Message,
    memory: Option<i64>,
}

impl<'a> Plan<'a> {
    /// `command:` instead of the image's entrypoint, which is sexton.
    pub fn command(mut self, words: &[&str]) -> Self {
        self.config = words.iter().fold(self.config, |config, word| config.text(3, word));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.config = self.config.message(6, Message::default().text(1, name).text(2, value));
        self
    }

    /// A volume: a file of the node at a path of the container.
    pub fn mount(mut self, node: &Path, container: &str) -> Self {
        let mount = Message::default().text(1, container).text(2, node.to_str().unwrap());
        self.config = self.config.message(7, mount);
        self
    }

    /// `resources.limits.memory`
    pub fn memory(mut self, bytes: i64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// CreateContainer and StartContainer, with `args:`.
    pub fn start(self, args: &[&str]) -> Container<'a> {
        let config = args.iter().fold(self.config, |config, word| config.text(4, word));
        let security = Message::default().message(3, self.pod.pids.options());
        let linux = Message::default().message(2, security);
        let linux = match self.memory {
            Some(bytes) => linux.message(1, Message::default().number(4, bytes)),
            None => linux,
        };
        let request = Message::default()
            .text(1, &self.pod.id)
            .message(2, config.message(15, linux))
            .message(3, self.pod.config.clone());
        let node = self.pod.node;
        let id = node.call("CreateContainer", request).text(1);
        node.call("StartContainer", Message::default().text(1, &id));
        let path = node.room.folder().join(LOGS).join(self.name);
        let mut tail = crate::harness::command("tail");
        tail.args(["--follow", "--lines=+1"]).arg(&path);
        Container { node, id, lines: Lines::of(tail), log: path }
    }
}

/// A container that was started.
pub struct Container<'a> {
    node: &'a Node,
    id: String,
    lines: Lines,
    log: PathBuf,
}

/// What ContainerStatus says of a container that has ended.
#[derive(Debug)]
pub struct End {
    pub status: i64,
    pub reason: String,
}

impl Container<'_> {
    /// Waits for a line of stdout or stderr that contains this text and returns it.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        self.lines.wait_for(text)
    }

    /// ExecSync, as for `exec:` probes: the exit status and stdout.
    pub fn exec(&self, timeout: Duration, command: &[&str]) -> Result<(i64, String), Refused> {
        let message = Message::default().text(1, &self.id).number(3, timeout.as_secs() as i64);
        let message = command.iter().fold(message, |message, word| message.text(2, word));
        let reply = self.node.try_call("ExecSync", message)?;
        Ok((reply.number(3), reply.text(1)))
    }

    /// StopContainer, which returns when the container has ended; how long that took.
    pub fn stop(&self, timeout: Duration) -> Duration {
        self.stopping(timeout)()
    }

    /// The same, for another thread to do.
    pub fn stopping(&self, timeout: Duration) -> impl FnOnce() -> Duration + Send + use<'_> {
        let (node, id) = (self.node, self.id.clone());
        move || {
            let begin = Instant::now();
            let message = Message::default().text(1, &id).number(2, timeout.as_secs() as i64);
            node.call("StopContainer", message);
            begin.elapsed()
        }
    }

    /// Waits for the end as the kubelet does, which asks again and again.
    pub fn end(&self) -> End {
        const EXITED: i64 = 2;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.node.call("ContainerStatus", Message::default().text(1, &self.id)).message(1);
            if status.number(3) == EXITED {
                return End { status: status.number(7), reason: status.text(10) };
            }
            assert!(Instant::now() < deadline, "no end within {PATIENCE:?}: {status:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the container wrote so far: each line with a time and the stream's name. All of it once
    /// the container has ended.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}
