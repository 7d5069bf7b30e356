//! Starts the real sexton, as PID 1 of a fresh PID namespace and as an ordinary process.
//!
//! Which sexton: the one named by the variable TEST_BINARY (`make test` names the release build),
//! else the one that cargo built for the tests.

// Each test file uses a part of it; and it does to the kernel what a test must.
#![allow(dead_code, unused_imports, unsafe_code)]
#![allow(clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub mod cgroup;
mod names;
pub mod needs;
mod start;

pub use names::{Folder, unique};
pub(crate) use needs::needs;
pub use start::{command, raw};

/// What a test waits for at most, for anything that should happen at once. Long, because the
/// machine may be busy with other tests; whoever waits so long has found a hang.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where sexton runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As PID 1 of a fresh PID namespace, with its own /proc.
    Init,
    /// As an ordinary process.
    Ordinary,
}

pub const BOTH: [Place; 2] = [Place::Init, Place::Ordinary];

impl Place {
    /// The uid that sexton sees as its own: without root, the namespace has one user, its root.
    pub fn uid(self) -> u32 {
        if self == Place::Init { 0 } else { unsafe { libc::getuid() } }
    }
}

/// The sexton under test.
pub fn sexton_binary() -> PathBuf {
    std::env::var_os("TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_sexton").into(), PathBuf::from)
}

/// The tests' own command (tests/probe).
pub fn probe_binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let probe = test.parent().unwrap().parent().unwrap().join("examples/probe");
    assert!(probe.exists(), "{} is missing: run `cargo build --example probe` first", probe.display());
    probe
}

/// A sexton to be started.
pub struct Sexton {
    place: Place,
    binary: PathBuf,
    setup: Vec<String>,
    options: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
    descriptors: Vec<(i32, OwnedFd)>,
}

impl Sexton {
    pub fn new(place: Place) -> Sexton {
        Sexton {
            place,
            binary: sexton_binary(),
            setup: Vec::new(),
            options: Vec::new(),
            environment: vec![("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into())],
            stdin: Stdio::piped(),
            stdout: Stdio::piped(),
            stderr: Stdio::piped(),
            descriptors: Vec::new(),
        }
    }

    /// Another program in the place of sexton, to compare with.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Sexton {
        self.binary = path.into();
        self
    }

    /// Words for the launcher (tests/probe/launcher.rs).
    pub fn setup<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Sexton {
        self.setup.extend(words.into_iter().map(Into::into));
        self
    }

    /// sexton's own options.
    pub fn options<S: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = S>) -> Sexton {
        self.options.extend(options.into_iter().map(|option| option.as_ref().to_owned()));
        self
    }

    /// The environment is empty but for PATH and what is set here.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Sexton {
        self.environment.retain(|(known, _)| known != name.as_ref());
        self.environment.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    pub fn no_env(mut self, name: &str) -> Sexton {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Sexton {
        self.stdin = stdin.into();
        self
    }

    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Sexton {
        self.stdout = stdout.into();
        self
    }

    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Sexton {
        self.stderr = stderr.into();
        self
    }

    /// Gives sexton this descriptor under this number.
    pub fn descriptor(mut self, number: i32, descriptor: OwnedFd) -> Sexton {
        self.descriptors.push((number, descriptor));
        self
    }

    /// Starts sexton with the probe as the command.
    pub fn probe<S: AsRef<OsStr>>(self, words: impl IntoIterator<Item = S>) -> Running {
        let mut command = vec![probe_binary().into_os_string()];
        command.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self.command(command)
    }

    /// Starts sexton with a shell script as the command.
    pub fn shell(self, script: &str) -> Running {
        self.command(["sh", "-c", script])
    }

    /// Starts sexton with this command.
    pub fn command<S: AsRef<OsStr>>(mut self, command: impl IntoIterator<Item = S>) -> Running {
        self.options.push("--".into());
        self.options.extend(command.into_iter().map(|arg| arg.as_ref().to_owned()));
        self.bare()
    }

    /// Starts sexton with its options alone.
    pub fn bare(self) -> Running {
        let (reader, writer) = pipe();
        // A number that neither the launcher nor the program uses for anything else.
        const REPORT: i32 = 60;
        let mut launcher = command(probe_binary());
        launcher.arg("run").arg(format!("report={REPORT}"));
        if self.place == Place::Init {
            launcher.arg("init");
        }
        launcher.args(&self.setup).arg("--").arg(&self.binary).args(&self.options);
        launcher.env_clear().envs(self.environment).stdin(self.stdin).stdout(self.stdout).stderr(self.stderr);
        let mut wanted: Vec<(i32, i32)> = self.descriptors.iter().map(|(to, from)| (from.as_raw_fd(), *to)).collect();
        wanted.push((writer.as_raw_fd(), REPORT));
        unsafe {
            launcher.pre_exec(move || {
                // Whatever else this process has open is none of the program's business.
                libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
                // Away from the numbers that are wanted: one of them may be in the place of another.
                for (from, _) in &mut wanted {
                    *from = libc::fcntl(*from, libc::F_DUPFD_CLOEXEC, 100);
                }
                for (from, to) in &wanted {
                    if libc::dup2(*from, *to) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                    libc::fcntl(*to, libc::F_SETFD, 0);
                }
                Ok(())
            });
        }
        let mut launcher = launcher.spawn().expect("the probe can be started");
        drop(writer);
        drop(self.descriptors);
        let mut report = BufReader::new(File::from(reader));
        let mut line = String::new();
        report.read_line(&mut line).unwrap();
        let Some(pid) = line.trim().strip_prefix("pid ") else {
            let mut why = String::new();
            if let Some(stderr) = &mut launcher.stderr {
                let _ = stderr.read_to_string(&mut why);
            }
            panic!("the launcher could not start sexton: {line:?} {why}");
        };
        let pid = pid.parse().unwrap();
        let stdin = launcher.stdin.take();
        let stdout = launcher.stdout.take().map(BufReader::new);
        let stderr = launcher.stderr.take();
        Running { launcher, report, pid, stdin, stdout, stderr, traced: Vec::new(), ended: false, others: Vec::new() }
    }
}

/// A running sexton. Killed when dropped.
pub struct Running {
    launcher: Child,
    report: BufReader<File>,
    /// sexton's pid, as the test sees it.
    pub pid: i32,
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<BufReader<ChildStdout>>,
    pub stderr: Option<ChildStderr>,
    /// What the launcher saw of sexton's system calls (tests/probe/tracer.rs), complete at the end.
    pub traced: Vec<String>,
    /// The launcher has reaped sexton: its pid may be somebody else's.
    ended: bool,
    /// Who is not below sexton, or will not be, and ends with the test all the same.
    others: Vec<OwnedFd>,
}

impl Running {
    /// These end with the test, wherever they are by then.
    pub fn ends_too(&mut self, pids: impl IntoIterator<Item = i32>) {
        self.others.extend(pids.into_iter().filter_map(pidfd));
    }

    /// Whoever is below sexton now ends with the test, though sexton itself may be gone before.
    pub fn ends_all_below(&mut self) {
        self.ends_too(descendants(self.pid));
    }

    /// Sends sexton a signal.
    pub fn send(&self, signal: i32) {
        kill(self.pid, signal);
    }

    /// Sends sexton a signal with a value.
    pub fn queue(&self, signal: i32, value: usize) {
        let value = libc::sigval { sival_ptr: value as *mut _ };
        assert_eq!(unsafe { libc::sigqueue(self.pid, signal, value) }, 0);
    }

    /// Sends sexton a signal with these parts of a siginfo_t (rt_sigqueueinfo(2)).
    pub fn forge(&self, signal: i32, errno: i32, code: i32, value: u64) {
        let low = |number: i32| u64::from(number as u32);
        let mut info = [0_u64; 16];
        (info[0], info[1], info[3]) = (low(signal) | low(errno) << 32, low(code), value);
        let sent = unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, self.pid, signal, info.as_ptr()) };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    }

    /// The next line of the command's stdout.
    pub fn line(&mut self) -> String {
        let stdout = self.stdout.as_mut().expect("stdout is a pipe");
        wait_readable(stdout.buffer().is_empty(), stdout.get_ref().as_raw_fd());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the command said no more: {line:?}; stderr: {}", self.rest_of_stderr());
        line.trim_end().to_owned()
    }

    /// Reads lines until this one comes.
    pub fn wait_for_line(&mut self, beginning: &str) -> String {
        loop {
            let line = self.line();
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// What is on stderr by now.
    pub fn rest_of_stderr(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = &mut self.stderr {
            unsafe { libc::fcntl(stderr.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }

    /// The next line of a `probe record`.
    pub fn recorded(&mut self) -> Recorded {
        let line = self.line();
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| -> i64 { words[index].parse().unwrap_or_else(|_| panic!("no record: {line:?}")) };
        assert_eq!((words.len(), words[0]), (12, "signal"), "{line:?}");
        Recorded {
            signal: number(1) as i32,
            code: number(3) as i32,
            pid: number(5) as i32,
            uid: number(7) as i32,
            value: number(9) as usize,
            at: Duration::from_nanos(number(11) as u64),
        }
    }

    /// Waits for the end of sexton.
    pub fn status(&mut self) -> Status {
        self.status_within(PATIENCE)
    }

    /// Waits so long for the end of sexton.
    pub fn status_within(&mut self, patience: Duration) -> Status {
        let status = self.try_status(patience);
        status.unwrap_or_else(|| panic!("sexton did not end within {patience:?}; stderr: {}", self.rest_of_stderr()))
    }

    /// The end of sexton, if it comes within this time.
    pub fn try_status(&mut self, patience: Duration) -> Option<Status> {
        if self.report.buffer().is_empty() && !readable(self.report.get_ref().as_raw_fd(), patience) {
            return None;
        }
        self.ended = true;
        let mut line = String::new();
        // What was traced comes with the status, all in one go.
        while self.report.read_line(&mut line).unwrap() > 0 && !line.starts_with("status ") {
            self.traced.push(line.trim_end().to_owned());
            line.clear();
        }
        let status = line.trim().strip_prefix("status ").and_then(|status| status.parse().ok());
        let status: i32 = status.unwrap_or_else(|| panic!("the launcher reports no status: {line:?}"));
        Some(if libc::WIFSIGNALED(status) {
            Status::Killed(libc::WTERMSIG(status))
        } else {
            Status::Exited(libc::WEXITSTATUS(status))
        })
    }

    /// Waits for the end and returns the status, stdout and stderr.
    pub fn finish(mut self) -> (Status, String, String) {
        self.try_finish(PATIENCE).unwrap_or_else(|| panic!("sexton did not end within {PATIENCE:?}"))
    }

    /// The status, stdout and stderr, if sexton and all that write to these end within this time.
    pub fn try_finish(&mut self, patience: Duration) -> Option<(Status, String, String)> {
        drop(self.stdin.take());
        // Read both, so that neither can fill up.
        let stderr = self.stderr.take().map(read_all);
        let stdout = self.stdout.take().map(read_all);
        let status = self.try_status(patience)?;
        let text = |reader: Option<mpsc::Receiver<String>>| match reader {
            Some(reader) => reader.recv_timeout(patience).ok(),
            None => Some(String::new()),
        };
        Some((status, text(stdout)?, text(stderr)?))
    }

    /// The pid of the command, as the test sees it.
    pub fn command_pid(&self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(pid) = children(self.pid).first() {
                return *pid;
            }
            std::thread::yield_now();
        }
        panic!("sexton has no child");
    }

    /// A field of /proc/PID/status of sexton.
    pub fn proc_status(&self, field: &str) -> String {
        proc_status(self.pid, field).unwrap_or_default()
    }
}

/// Reads to the end, in a thread of its own.
fn read_all(mut source: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = source.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// A hold on a process, if it is there.
fn pidfd(pid: i32) -> Option<OwnedFd> {
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

impl Drop for Running {
    fn drop(&mut self) {
        // The launcher's death kills sexton, and a dead PID 1 all that it left; what an ordinary
        // sexton would leave must be found before. A pid may be somebody else's by then, a pidfd is not.
        let left = if self.ended { Vec::new() } else { descendants(self.pid) };
        let left: Vec<OwnedFd> = left.into_iter().filter_map(pidfd).collect();
        let _ = self.launcher.kill();
        for process in left.iter().chain(&self.others) {
            let no_info = std::ptr::null::<libc::siginfo_t>();
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), libc::SIGKILL, no_info, 0) };
        }
        let _ = self.launcher.wait();
    }
}

/// What a `probe record` saw of a signal.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    pub signal: i32,
    pub code: i32,
    pub pid: i32,
    pub uid: i32,
    pub value: usize,
    /// When, on the clock of [`now`].
    pub at: Duration,
}

/// CLOCK_MONOTONIC, which all processes share.
pub fn now() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Exited(i32),
    Killed(i32),
}

/// The version of the kernel, its first two numbers.
pub fn linux() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// A program in the PID namespace of a [`Place::Init`], as an engine's exec puts it there.
pub fn enter(init: &Running, program: impl AsRef<OsStr>) -> Command {
    let mut nsenter = command("nsenter");
    nsenter.args(["--target", &init.pid.to_string(), "--pid", "--mount"]);
    // Its owner may do the same as root may; what the launcher mapped stays as it is.
    if unsafe { libc::getuid() } != 0 {
        nsenter.args(["--user", "--preserve-credentials"]);
    }
    nsenter.arg("--").arg(program);
    nsenter
}

/// Sends a signal to a process, which must be there.
#[track_caller]
pub fn kill(pid: i32, signal: i32) {
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "kill({pid}, {signal})");
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) else { return Vec::new() };
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The children of a process, and theirs, and so on.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut all = children(pid);
    let mut index = 0;
    while let Some(pid) = all.get(index) {
        all.extend(children(*pid));
        index += 1;
    }
    all
}

/// The numbers of the descriptors that a process holds.
pub fn descriptors(pid: i32) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut open: Vec<_> = open.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    open.sort();
    open
}

/// What a sexton holds while its command runs, and nothing else: as PID 1 its stdout is the container's
/// log, elsewhere a job's output ends with the job.
pub fn log(place: Place) -> &'static [&'static str] {
    if place == Place::Init { &["1", "2"] } else { &["2"] }
}

/// A field of /proc/PID/status.
pub fn proc_status(pid: i32, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::trim));
    line.map(str::to_owned)
}

/// Waits until this holds; looks again every millisecond, for what has no event to wait for.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "did not come within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Folder {
    /// One in cargo's target folder, which is on a disk.
    pub fn in_target() -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique());
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Folder(path)
    }

    /// A file that may be executed.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.file_with_mode(name, content, 0o755)
    }

    pub fn file_with_mode(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        settle(&path);
        path
    }

    /// Copies of sexton and of the probe, for another user, and for root of a user namespace.
    pub fn programs(&self) -> (String, String) {
        (self.copy("sexton", sexton_binary()), self.copy("probe", probe_binary()))
    }

    /// A copy of a program, for another user: the clone may be in somebody's home, which is closed.
    pub fn copy(&self, name: &str, program: PathBuf) -> String {
        let path = self.path(name);
        std::fs::copy(program, &path).unwrap();
        settle(&path);
        path
    }
}

/// Waits until nobody has the file open for writing. We have closed it, but the fork of another
/// test may have come before that, and then execve(2) answers ETXTBSY for a moment. A lease for
/// reading is not given until then (fcntl(2)).
pub fn settle(path: &str) {
    let file = File::open(path).unwrap();
    wait_until("the file is closed", || {
        let given = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
        given == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::EAGAIN)
    });
}

/// A pipe, both ends close-on-exec.
pub fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) }
}

/// A pipe that nobody reads and that takes no more byte.
pub fn full_pipe() -> (OwnedFd, OwnedFd) {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::io::Write;
    let (reader, writer) = pipe();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let mut file = File::from(writer.try_clone().unwrap());
    while file.write(&[b'.'; 4096]).is_ok() {}
    while file.write(b".").is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    (reader, writer)
}

fn wait_readable(must_wait: bool, descriptor: i32) {
    assert!(!must_wait || readable(descriptor, PATIENCE), "the command said nothing within {PATIENCE:?}");
}

/// Whether the descriptor can be read (or has ended) within this time.
pub fn readable(descriptor: i32, patience: Duration) -> bool {
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    unsafe { libc::poll(&mut poll, 1, patience.as_millis() as i32) > 0 }
}

/// Whether this is a program for 32 bits, as the tests may be told to run one (elf(5)).
pub fn is_32_bit(program: PathBuf) -> bool {
    let mut beginning = [0; 5];
    File::open(program).and_then(|mut file| file.read_exact(&mut beginning)).unwrap();
    beginning == *b"\x7fELF\x01"
}

/// Whether the process sleeps in its wait for a signal: it has done all there was to do.
pub fn is_waiting(pid: i32) -> bool {
    let sleeps = || proc_status(pid, "State").is_some_and(|state| state.starts_with('S'));
    let syscall = || std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    // The second is what a program for 32 bits makes, rt_sigtimedwait_time64: a number that no other call has.
    let numbers = [libc::SYS_rt_sigtimedwait, 421].map(|number| number.to_string());
    // A mere look for signals is the same system call, but does not sleep.
    sleeps() && syscall().split(' ').next().is_some_and(|call| numbers.iter().any(|number| number == call)) && sleeps()
}

/// Whether qemu-user runs the program.
pub fn is_emulated(pid: i32) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("qemu-"))
}

/// A pseudo-terminal: what a person has in front of them.
pub struct Terminal {
    master: File,
    slave: OwnedFd,
    /// All that was shown and not yet looked for.
    shown: String,
}

impl Terminal {
    pub fn open() -> Terminal {
        let (mut master, mut slave) = (0, 0);
        let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        assert_eq!(
            unsafe { libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null(), &size) },
            0,
            "no pty: is /dev/pts mounted?"
        );
        for descriptor in [master, slave] {
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        unsafe {
            Terminal { master: File::from_raw_fd(master), slave: OwnedFd::from_raw_fd(slave), shown: String::new() }
        }
    }

    /// Its descriptor for a program's stdin, stdout or stderr.
    pub fn stdio(&self) -> Stdio {
        self.slave.try_clone().unwrap().into()
    }

    pub fn type_keys(&mut self, keys: &str) {
        use std::io::Write;
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        assert_eq!(unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &size) }, 0);
    }

    /// What is shown and was not looked for, when nobody writes any more.
    pub fn rest(&mut self) -> String {
        while readable(self.master.as_raw_fd(), Duration::ZERO) {
            let mut bytes = [0; 4096];
            let Ok(length) = self.master.read(&mut bytes) else { break };
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        std::mem::take(&mut self.shown)
    }

    /// The foreground process group, as the test sees it.
    pub fn foreground(&self) -> i32 {
        unsafe { libc::tcgetpgrp(self.master.as_raw_fd()) }
    }

    /// Waits until this program leads the foreground and waits for input: before that, a shell's
    /// child may still ignore what the keys send.
    #[track_caller]
    pub fn wait_for_foreground(&self, program: &str) {
        wait_until(&format!("{program} has the foreground and reads"), || {
            let leader = self.foreground();
            let is = |field, value: &str| proc_status(leader, field).is_some_and(|seen| seen.starts_with(value));
            is("Name", program) && is("State", "S")
        });
    }

    /// Types these keys, again every second, until this text is shown.
    #[track_caller]
    pub fn type_until(&mut self, keys: &str, text: &str) {
        let mut tries = 0;
        loop {
            self.type_keys(keys);
            if self.wait_for_within(text, Duration::from_secs(1)).is_some() {
                return;
            }
            tries += 1;
            assert!(tries < 30, "{text:?} is not shown after {keys:?}, but: {:?}", self.shown);
        }
    }

    /// Reads on until this text is shown, and forgets all up to its end.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let seen = self.wait_for_within(text, PATIENCE);
        seen.unwrap_or_else(|| panic!("{text:?} is not shown, but: {:?}", self.shown))
    }

    fn wait_for_within(&mut self, text: &str, patience: Duration) -> Option<String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return Some(std::mem::replace(&mut self.shown, rest));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !readable(self.master.as_raw_fd(), left) {
                return None;
            }
            let mut bytes = [0; 4096];
            let length = self
                .master
                .read(&mut bytes)
                .unwrap_or_else(|e| panic!("{e}; {text:?} is not shown, but: {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    }
}
