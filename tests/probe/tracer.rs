//! Watches the system calls that sexton makes and, where it is told to, has one of them fail or
//! holds sexton at one of them.
//!
//! strace(1) injects faults as well, but into all that it follows: with `-f` into the command too,
//! without it not into the calls that sexton's child makes before it has executed the command. So
//! this follows sexton and that child, the child only up to its exec.
//!
//! A call is named by who makes it, what it is, and what it is about: `sexton openat /dev/tty`,
//! `child setpgid`. Names do not depend on the machine: no pids, no descriptors, no paths of it.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use syscalls::Sysno;

/// What to do, as the launcher's words say it.
pub enum Order {
    /// `trace`: report each call as `call NAME`.
    Trace,
    /// `deny=ERRNO:SYSTEM-CALL`: it fails each time.
    Deny(i64, String),
    /// `fault=K:ERRNO:NAME`: the K-th call of this name fails. Reports `fault`.
    Fault(u32, i64, String),
    /// `hold=K:EDGE:MS:SIGNAL:NAME`: when the K-th call of this name begins (EDGE `enter`) or ends (`exit`),
    /// sends sexton the signal and holds whoever makes the call for a while. Reports `hold`.
    Hold { nth: u32, enter: bool, time: Duration, signal: i32, name: String },
    /// `mourn=NAME`: when the first call of this name begins, holds who makes it until its child is dead.
    Mourn(String),
}

impl Order {
    pub fn parse(key: &str, value: &str) -> Option<Order> {
        let mut words = value.splitn(if key == "hold" { 5 } else { 3 }, ':');
        let mut word = || words.next().expect("an order has all its parts");
        let number = |word: &str| word.parse().expect("a number");
        Some(match key {
            "trace" => Order::Trace,
            "deny" => {
                let (errno, name) = value.split_once(':').expect("deny=ERRNO:SYSTEM-CALL");
                Order::Deny(errno.parse().unwrap(), name.into())
            }
            "fault" => Order::Fault(number(word()), number(word()).into(), word().into()),
            "hold" => Order::Hold {
                nth: number(word()),
                enter: word() == "enter",
                time: Duration::from_millis(number(word()).into()),
                signal: number(word()) as i32,
                name: word().into(),
            },
            "mourn" => Order::Mourn(value.into()),
            _ => return None,
        })
    }
}

/// What keeps a program from its start until it is followed.
pub struct Gate(OwnedFd, OwnedFd);

impl Gate {
    pub fn new() -> Gate {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        Gate(reader, writer)
    }

    /// In the child: waits until the gate is dropped in the parent.
    pub fn wait(self) {
        drop(self.1);
        let _ = nix::unistd::read(&self.0, &mut [0]);
    }
}

/// Someone who is followed.
struct Tracee {
    role: &'static str,
    /// It is in this call.
    call: Option<Call>,
}

struct Call {
    name: String,
    nth: u32,
    /// It is not made, but ends with this.
    errno: Option<i64>,
}

const BRK: &str = "sexton brk";

pub struct Tracer {
    sexton: Pid,
    orders: Vec<Order>,
    tracees: HashMap<Pid, Tracee>,
    /// How often each call was made.
    counts: HashMap<String, u32>,
    /// The program has been executed, so what is called from now on is its own.
    begun: bool,
    /// What brk(2) returned last.
    end_of_data: i64,
    /// What is to be reported.
    pub report: String,
}

impl Tracer {
    /// To follow this process, which waits at its gate.
    pub fn seize(pid: i32, orders: Vec<Order>) -> Tracer {
        let sexton = Pid::from_raw(pid);
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(sexton, options).expect("ptrace(2): as root, or with kernel.yama.ptrace_scope at most 1");
        let tracees = HashMap::from([(sexton, Tracee { role: "sexton", call: None })]);
        Tracer { sexton, orders, tracees, counts: HashMap::new(), begun: false, end_of_data: 0, report: String::new() }
    }

    /// Follows it to its end and returns its wait status.
    pub fn follow(&mut self) -> i32 {
        loop {
            let mut status = 0;
            // Not nix's waitpid, which refuses statuses with a real-time signal in them.
            let pid = Pid::from_raw(unsafe { libc::waitpid(-1, &mut status, libc::__WALL) });
            if libc::WIFSTOPPED(status) {
                self.stopped(pid, libc::WSTOPSIG(status), status >> 16);
            } else if pid == self.sexton {
                return status;
            } else if pid.as_raw() < 0 {
                panic!("sexton is lost");
            }
        }
    }

    /// Whatever goes wrong in here: the tracee was killed in the meantime, and its end will be told.
    fn stopped(&mut self, pid: Pid, signal: i32, event: i32) {
        const SYSTEM_CALL: i32 = libc::SIGTRAP | 0x80;
        let goes_on = match (signal, event) {
            (SYSTEM_CALL, _) => {
                if self.begun {
                    self.system_call(pid);
                }
                ptrace::syscall(pid, None)
            }
            (_, libc::PTRACE_EVENT_EXEC) if pid == self.sexton => {
                self.begun = true;
                ptrace::syscall(pid, None)
            }
            // The command is none of our business.
            (_, libc::PTRACE_EVENT_EXEC) => {
                self.tracees.remove(&pid);
                ptrace::detach(pid, None)
            }
            // A new child, unless it is a stop that stays.
            (_, libc::PTRACE_EVENT_STOP) if signal == libc::SIGTRAP => {
                self.tracees.entry(pid).or_insert(Tracee { role: "child", call: None });
                ptrace::syscall(pid, None)
            }
            (_, libc::PTRACE_EVENT_STOP) => {
                unsafe { libc::ptrace(libc::PTRACE_LISTEN, pid.as_raw(), 0, 0) };
                return;
            }
            // PID 1 would be protected from it as long as it is traced, and stumble again and again.
            (libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE, 0) => ptrace::detach(pid, None),
            (_, 0) => {
                // A signal on its way to the process. nix knows no real-time signals.
                unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid.as_raw(), 0, signal) };
                return;
            }
            _ => ptrace::syscall(pid, None),
        };
        let _ = goes_on;
    }

    /// A call begins or ends.
    fn system_call(&mut self, pid: Pid) {
        let Some(info) = syscall_info(pid) else { return };
        let Some(tracee) = self.tracees.get_mut(&pid) else { return };
        if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            let (number, args) = unsafe { (info.u.entry.nr, info.u.entry.args) };
            let Some(call) = Sysno::new(number as usize) else { return };
            let mut name = format!("{} {}", tracee.role, call.name());
            if let Some(about) = about(pid, call, args) {
                write!(name, " {about}").unwrap();
            } else if call == Sysno::brk && args[0] == (self.end_of_data as u64).next_multiple_of(4096) {
                name.push_str(" to the end of the page");
            }
            let nth = self.counts.entry(name.clone()).or_insert(0);
            *nth += 1;
            let mut call_made = Call { name, nth: *nth, errno: None };
            self.begins(pid, call.name(), &mut call_made);
            let is_mourning = |order: &Order| matches!(order, Order::Mourn(name) if *name == call_made.name);
            let mourns = call_made.nth == 1 && self.orders.iter().any(is_mourning);
            self.tracees.get_mut(&pid).unwrap().call = Some(call_made);
            if mourns {
                self.mourn(pid);
            }
        } else if let Some(call) = tracee.call.take() {
            match call.errno {
                // It returns the end of the data, and when it fails the old one (brk(2), "NOTES").
                Some(_) if call.name == BRK => set_result(pid, self.end_of_data),
                Some(errno) => set_result(pid, -errno),
                None if call.name.starts_with(BRK) => self.end_of_data = unsafe { info.u.exit.sval },
                None => {}
            }
            self.hold(&call, false);
        }
    }

    fn begins(&mut self, pid: Pid, system_call: &str, call: &mut Call) {
        for order in &self.orders {
            match order {
                Order::Trace => writeln!(self.report, "call {}", call.name).unwrap(),
                Order::Deny(errno, name) if name == system_call => call.errno = Some(*errno),
                Order::Fault(nth, errno, name) if *nth == call.nth && *name == call.name => {
                    call.errno = Some(*errno);
                    self.report.push_str("fault\n");
                }
                _ => {}
            }
        }
        if call.errno.is_some() {
            do_not_call(pid);
        }
        self.hold(call, true);
    }

    /// Whoever else is followed goes on, its child among them.
    fn mourn(&mut self, pid: Pid) {
        while !has_dead_child(pid) {
            let mut status = 0;
            let other = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::WNOHANG) };
            if other > 0 && libc::WIFSTOPPED(status) {
                self.stopped(Pid::from_raw(other), libc::WSTOPSIG(status), status >> 16);
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.report.push_str("mourn\n");
    }

    fn hold(&mut self, call: &Call, is_enter: bool) {
        for order in &self.orders {
            if let Order::Hold { nth, enter, time, signal, name } = order
                && (*enter, *nth, name) == (is_enter, call.nth, &call.name)
            {
                unsafe { libc::kill(self.sexton.as_raw(), *signal) };
                self.report.push_str("hold\n");
                // The delay is what is tested.
                std::thread::sleep(*time);
            }
        }
    }
}

fn has_dead_child(pid: Pid) -> bool {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let stat = |child: &str| std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    children
        .split_whitespace()
        .any(|child| stat(child).rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}

/// nix's function of this name tells the kernel that its buffer has no room.
fn syscall_info(pid: Pid) -> Option<libc::ptrace_syscall_info> {
    let mut info = std::mem::MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of_val(&info);
    let got = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid.as_raw(), size, info.as_mut_ptr()) };
    (got > 0).then(|| unsafe { info.assume_init() })
}

/// What the call is about, where that tells one call site from another.
fn about(pid: Pid, call: Sysno, args: [u64; 6]) -> Option<String> {
    let descriptor = |number: u64| {
        let link = std::fs::read_link(format!("/proc/{pid}/fd/{number}"));
        let target = link.map_or("a closed descriptor".into(), |target| target.to_string_lossy().into_owned());
        // By the time it opens files sexton has closed its own stdin and stdout, and takes their numbers.
        let is_file = !target.starts_with("/dev/") && target.starts_with('/');
        match number {
            2 => "stderr".into(),
            0 if !is_file => "stdin".into(),
            1 if !is_file => "stdout".into(),
            _ => named(&target),
        }
    };
    // By its name: not every machine has all of them.
    match call.name() {
        "open" | "unlink" | "readlink" | "stat" | "lstat" | "access" | "statfs" => Some(named(&text(pid, args[0]))),
        "openat" | "unlinkat" | "newfstatat" | "faccessat" | "faccessat2" | "statx" | "readlinkat" => {
            let path = text(pid, args[1]);
            Some(if path.is_empty() { descriptor(args[0]) } else { named(&path) })
        }
        "getxattr" => Some(named(&text(pid, args[0]))),
        "read" | "write" | "close" | "fstat" | "pread64" | "getdents64" => Some(descriptor(args[0])),
        "lseek" | "pwritev2" | "fcntl" | "dup2" => Some(descriptor(args[0])),
        "ioctl" => {
            let request = match args[1] as libc::Ioctl {
                libc::TCGETS => "TCGETS",
                libc::TIOCGPGRP => "TIOCGPGRP",
                libc::TIOCSPGRP => "TIOCSPGRP",
                libc::TIOCSCTTY => "TIOCSCTTY",
                libc::TIOCNOTTY => "TIOCNOTTY",
                _ => "",
            };
            Some(format!("{request} {}", descriptor(args[0])))
        }
        "prctl" => Some(match args[0] as i32 {
            libc::PR_SET_PDEATHSIG => "PR_SET_PDEATHSIG".into(),
            libc::PR_SET_CHILD_SUBREAPER => "PR_SET_CHILD_SUBREAPER".into(),
            libc::PR_SET_NAME => "PR_SET_NAME".into(),
            option => option.to_string(),
        }),
        // It asks, and cannot fail.
        "getpgid" | "getsid" => Some(if args[0] == 0 { "its own" } else { "another's" }.into()),
        "brk" if args[0] == 0 => Some("NULL".into()),
        _ => None,
    }
}

/// A path without what is the machine's: pids, and where cgroups and the tests' files are.
fn named(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').map(|part| if part.parse::<u32>().is_ok() { "PID" } else { part }).collect();
    match parts[..] {
        ["", "sys", "fs", "cgroup", ..] => "a file of the cgroup".into(),
        [.., "drain"] => "the drain file".into(),
        ["", "proc" | "dev", ..] => parts.join("/").replace("/dev/pts/PID", "the terminal"),
        _ => "a file".into(),
    }
}

/// The C string at this address of the tracee.
fn text(pid: Pid, address: u64) -> String {
    let mut bytes = [0; 256];
    let read = File::open(format!("/proc/{pid}/mem")).and_then(|memory| memory.read_at(&mut bytes, address));
    let bytes = &bytes[..read.unwrap_or(0)];
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(target_arch = "x86_64")]
fn do_not_call(pid: Pid) {
    // No system call has this number.
    set_register(pid, libc::ORIG_RAX, -1);
}

#[cfg(target_arch = "x86_64")]
fn set_result(pid: Pid, result: i64) {
    set_register(pid, libc::RAX, result);
}

#[cfg(target_arch = "x86_64")]
fn set_register(pid: Pid, register: libc::c_int, value: i64) {
    let _ = ptrace::write_user(pid, (register as usize * size_of::<u64>()) as ptrace::AddressType, value);
}

#[cfg(not(target_arch = "x86_64"))]
fn do_not_call(_: Pid) {
    panic!("faults can be injected on x86_64 alone");
}

#[cfg(not(target_arch = "x86_64"))]
fn set_result(_: Pid, _: i64) {}
