//! A machine in QEMU's software emulation, with sexton as /sbin/init of its initramfs.

// The tests' own names and starts, which it shares, do to the kernel what a test must.
#![allow(dead_code, unsafe_code, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

#[path = "../../tests/harness/names.rs"]
mod names;
#[path = "../../tests/harness/start.rs"]
mod start;

use start::command;

/// What a test waits for at most. Long: emulated machines are slow, and several may run at once.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// The kernel of a Debian release, for a kind of machine.
#[derive(Clone, Copy)]
pub struct Kernel {
    pub release: &'static str,
    pub kind: &'static Kind,
}

/// How Docker, Debian and QEMU name the same.
pub struct Kind {
    docker: &'static str,
    debian: &'static str,
    qemu: &'static [&'static str],
    console: &'static str,
    /// Lines of the core table; docs/testing.md, "Kernels", has the reasons.
    left_out: &'static [&'static str],
}

impl Kind {
    /// The core table without what is left out: a test in a line, after its file.
    pub fn table(&self) -> Vec<&'static str> {
        include_str!("core").lines().filter(|line| !self.left_out.contains(line)).collect()
    }
}

pub const X86_64: Kind = Kind {
    docker: "amd64",
    debian: "amd64",
    qemu: &["qemu-system-x86_64", "-cpu", "max"],
    console: "ttyS0",
    left_out: &[],
};
pub const AARCH64: Kind = Kind {
    docker: "arm64",
    debian: "arm64",
    qemu: &["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72"],
    console: "ttyAMA0",
    left_out: &[],
};
pub const PPC64LE: Kind = Kind {
    docker: "ppc64le",
    debian: "ppc64el",
    qemu: &["qemu-system-ppc64", "-machine", "pseries"],
    console: "hvc0",
    left_out: &["why_it_died causes::the_memory_that_lacks_is_that_of_a_cgroup_around_it"],
};
pub const RISCV64: Kind = Kind {
    docker: "riscv64",
    debian: "riscv64",
    qemu: &["qemu-system-riscv64", "-machine", "virt"],
    console: "ttyS0",
    left_out: &[],
};
pub const S390X: Kind = Kind {
    docker: "s390x",
    debian: "s390x",
    qemu: &["qemu-system-s390x", "-machine", "s390-ccw-virtio", "-cpu", "max"],
    console: "sclp0",
    left_out: &[],
};
pub const ARM_V7: Kind = Kind {
    docker: "arm-v7",
    debian: "armhf",
    qemu: &["qemu-system-arm", "-machine", "virt", "-cpu", "cortex-a15"],
    console: "ttyAMA0",
    left_out: &[],
};

/// A machine that runs, until it is dropped.
pub struct Machine {
    qemu: Child,
    console: Receiver<Vec<u8>>,
    /// All that came, as text as well, and how much of it was waited for already.
    bytes: Vec<u8>,
    text: String,
    taken: usize,
    folder: PathBuf,
}

impl Machine {
    /// Boots the kernel; `settings` go on its command line, and to sexton whatever the kernel does
    /// not know: variables, and behind a `--` the arguments.
    pub fn boot(kernel: Kernel, settings: &str) -> Machine {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(names::unique());
        let cache = fetch(kernel);
        lay_out(&folder.join("root"), &cache, kernel.kind);
        pack(&folder);

        let (program, options) = kernel.kind.qemu.split_first().unwrap();
        let mut qemu = command(program);
        qemu.args(options).args(["-accel", "tcg", "-smp", "2", "-m", "1024", "-nodefaults", "-no-user-config"]);
        // A kernel that panics reboots at once, and that ends QEMU.
        qemu.args(["-display", "none", "-serial", "stdio", "-no-reboot", "-kernel"]).arg(cache.join("vmlinuz"));
        qemu.arg("-initrd").arg(folder.join("initramfs"));
        qemu.arg("-monitor").arg(format!("unix:{},server,nowait", folder.join("monitor").display()));
        let console = kernel.kind.console;
        qemu.arg("-append").arg(format!("console={console} loglevel=1 panic=-1 rdinit=/sbin/init {settings}"));
        let started = qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut qemu = started
            .unwrap_or_else(|error| panic!("{program}: {error}; `integration/need kernels` says what to install"));

        let mut output = qemu.stdout.take().unwrap();
        let (sender, console) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Machine { qemu, console, bytes: Vec::new(), text: String::new(), taken: 0, folder }
    }

    /// Waits for this text behind what was waited for before, and returns the line so far.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text[self.taken..].find(text) {
                let end = self.taken + at + text.len();
                let line = self.text[..end].lines().next_back().unwrap_or_default().to_owned();
                self.taken = end;
                return line;
            }
            assert!(self.more(deadline), "the machine is off, and did not say {text:?}, but:\n{}", self.text);
        }
    }

    /// The same for each of these, in any order: the kernel's own words overtake what programs write.
    #[track_caller]
    pub fn wait_for_each(&mut self, texts: &[&str]) {
        let begin = self.taken;
        let ends = texts.iter().map(|text| {
            self.taken = begin;
            self.wait_for(text);
            self.taken
        });
        self.taken = ends.max().unwrap_or(begin);
    }

    /// Types this on the serial line.
    pub fn type_keys(&mut self, keys: &str) {
        let keyboard = self.qemu.stdin.as_mut().unwrap();
        keyboard.write_all(keys.as_bytes()).and_then(|()| keyboard.flush()).unwrap();
    }

    /// Presses the three keys on the machine's keyboard.
    pub fn press_ctrl_alt_del(&self) {
        let mut monitor = UnixStream::connect(self.folder.join("monitor")).unwrap();
        monitor.write_all(b"sendkey ctrl-alt-delete\n").unwrap();
        // QEMU takes the command when it has shown its prompt again.
        let _ = monitor.shutdown(std::net::Shutdown::Write);
        let _ = monitor.read_to_end(&mut Vec::new());
    }

    /// Waits until the machine is off, and returns all that it said.
    #[track_caller]
    pub fn off(mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        while self.more(deadline) {}
        std::mem::take(&mut self.text)
    }

    /// Reads on. Returns whether the machine still runs.
    #[track_caller]
    fn more(&mut self, deadline: Instant) -> bool {
        match self.console.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(bytes) => {
                self.bytes.extend(bytes.iter().filter(|byte| **byte != b'\r'));
                // All of it anew, for a letter may have come in two parts.
                self.text = String::from_utf8_lossy(&self.bytes).into_owned();
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => panic!("nothing more within {PATIENCE:?} behind:\n{}", self.text),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of integration/kernels.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/kernels")
}

fn fetch(kernel: Kernel) -> PathBuf {
    let fetched = command(scripts().join("fetch"))
        .args([kernel.release, kernel.kind.debian])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(fetched.status.success(), "the kernel of {} cannot be fetched: see above", kernel.release);
    String::from_utf8(fetched.stdout).unwrap().trim().into()
}

/// All files of the machine.
fn lay_out(root: &Path, cache: &Path, kind: &Kind) {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kernels/guest").join(kind.docker);
    assert!(guest.join("sexton").exists(), "{} has no tests for the machine: run `make kernels`", guest.display());
    for folder in ["bin", "sbin", "proc", "sys", "dev", "tmp", "t/deps", "t/examples"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let copy = |from: &Path, to: &str| {
        fs::copy(from, root.join(to)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    copy(&guest.join("sexton"), "sbin/init");
    copy(&guest.join("probe"), "t/examples/probe");
    for program in ["busybox", "bash"] {
        copy(&cache.join(program), &format!("bin/{program}"));
    }
    for script in ["memory", "mounts", "table"] {
        copy(&scripts().join(script), script);
    }
    fs::write(root.join("core"), kind.table().join("\n") + "\n").unwrap();
    for test in fs::read_dir(guest.join("tests")).unwrap() {
        let test = test.unwrap();
        copy(&test.path(), &format!("t/deps/{}", test.file_name().display()));
    }
}

/// Puts the files into the archive that the kernel unpacks (cpio(5), "New ASCII Format").
fn pack(folder: &Path) {
    let script = "cd root && find . | cpio --quiet --create --format newc >../initramfs";
    let packed = command("sh").args(["-c", script]).current_dir(folder).status().unwrap();
    assert!(packed.success(), "the initramfs cannot be made; Debian: apt-get install cpio");
}
