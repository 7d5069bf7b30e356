//! What the probe does as the command under sexton.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::raw;

pub fn number(args: &[OsString], index: usize) -> i32 {
    args.get(index).and_then(|arg| arg.to_str()?.parse().ok()).unwrap_or(0)
}

/// Prints one line at once: Rust's own start-up, which would flush at the end, did not run.
macro_rules! say {
    ($($arg:tt)*) => {{
        let mut stdout = std::io::stdout().lock();
        if writeln!(stdout, $($arg)*).and_then(|()| stdout.flush()).is_err() {
            // Nobody listens any more: the test is over.
            unsafe { libc::_exit(93) };
        }
    }};
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `state [FD]`: everything that a command inherits, one `key value` a line, on stdout or FD.
pub fn state(args: &[OsString]) -> i32 {
    use std::fmt::Write;
    let mut out = String::new();
    let mut line = |key: &str, value: String| writeln!(out, "{key} {value}").unwrap();
    let open: Vec<i32> = (0..64).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0).collect();
    line("mask", format!("{:016x}", raw::mask()));
    let ignored = (1..=64).filter(|signal| raw::is_ignored(*signal));
    line("ignored", format!("{:016x}", ignored.fold(0_u64, |set, signal| set | 1 << (signal - 1))));
    line("descriptors", format!("{open:?}"));
    unsafe {
        line("pid", libc::getpid().to_string());
        line("ppid", libc::getppid().to_string());
        line("leads-group", (libc::getpgrp() == libc::getpid()).to_string());
        line("leads-session", (libc::getsid(0) == libc::getpid()).to_string());
        line("uid", libc::getuid().to_string());
        let tty = libc::open(c"/dev/tty".as_ptr(), libc::O_RDWR);
        line("foreground", (tty >= 0 && libc::tcgetpgrp(tty) == libc::getpgrp()).to_string());
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        line("nofile", format!("{} {}", limit.rlim_cur, limit.rlim_max));
        line("no-new-privs", libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0).to_string());
        line("parent-death-signal", {
            let mut signal = 0;
            libc::prctl(libc::PR_GET_PDEATHSIG, &mut signal, 0, 0, 0);
            signal.to_string()
        });
    }
    line("cwd", std::env::current_dir().map_or_else(|e| e.to_string(), |dir| hex(dir.as_os_str().as_bytes())));
    for arg in args {
        line("arg", hex(arg.as_bytes()));
    }
    for (name, value) in std::env::vars_os() {
        line("env", format!("{}={}", hex(name.as_bytes()), hex(value.as_bytes())));
    }
    let fd = if number(args, 0) > 0 { number(args, 0) } else { 1 };
    unsafe { libc::write(fd, out.as_ptr().cast(), out.len()) };
    0
}

/// `record N STATUS`: says `ready`, then a line for each signal that comes; N ends it with STATUS.
pub fn record(args: &[OsString]) -> i32 {
    raw::set_mask(u64::MAX);
    say!("ready {}", unsafe { libc::getpid() });
    loop {
        let info = raw::wait_for_signal();
        if info.signal == libc::SIGCHLD && info.code > 0 {
            continue;
        }
        let now = monotonic_nanoseconds();
        let (signal, code, pid, uid, value) = (info.signal, info.code, info.pid, info.uid, info.value);
        say!("signal {signal} code {code} pid {pid} uid {uid} value {value} at {now}");
        if info.signal == number(args, 0) {
            return number(args, 1);
        }
    }
}

/// `converse STATUS N...`: sends its parent each of these signals, real-time ones with a value, and waits
/// until it comes back; for `N:M` M is to come. Says so, and exits with STATUS. If it does not come within
/// three seconds, or comes otherwise, says so after an `again` and sends M itself.
pub fn converse(args: &[OsString]) -> i32 {
    raw::set_mask(u64::MAX);
    let parent = unsafe { libc::getppid() };
    for (index, word) in args.iter().enumerate().skip(1) {
        let numbers: Vec<i32> = word.to_str().unwrap().split(':').map(|number| number.parse().unwrap()).collect();
        let (mut sent, expected) = (numbers[0], numbers[numbers.len() - 1]);
        let value = libc::sigval { sival_ptr: (1000 + index) as *mut _ };
        let has_value = sent >= libc::SIGRTMIN();
        loop {
            unsafe { if has_value { libc::sigqueue(parent, sent, value) } else { libc::kill(parent, sent) } };
            match raw::wait_for_signal_within(Duration::from_secs(3)) {
                Some(info) if info.signal == expected && !has_value => break say!("signal {expected}"),
                Some(info) if info.signal == expected && info.code == libc::SI_QUEUE => {
                    break say!("signal {expected}, value {}", info.value);
                }
                other => say!("again, after {:?}", other.map(|info| (info.signal, info.code))),
            }
            sent = expected;
        }
    }
    number(args, 0)
}

/// What the tests' `Instant` counts as well.
fn monotonic_nanoseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// `die N`: dies by signal N, whatever the mask and disposition were.
pub fn die(signal: i32) -> i32 {
    raw::set_ignored(signal, false);
    raw::set_mask(0);
    unsafe { libc::kill(libc::getpid(), signal) };
    98
}

/// `ignore N...`: ignores these signals, says `ready`, and stays.
pub fn ignore(args: &[OsString]) -> i32 {
    for index in 0..args.len() {
        raw::set_ignored(number(args, index), true);
    }
    say!("ready {}", unsafe { libc::getpid() });
    loop {
        unsafe { libc::pause() };
    }
}

/// `orphans COUNT LIFETIME_MS`: leaves so many processes to sexton, says `left`, and ends when
/// its stdin does.
pub fn orphans(count: i32, lifetime: i32) -> i32 {
    if let Err(why) = leave_orphans(count, lifetime) {
        say!("{why}");
        return 97;
    }
    say!("left");
    let _ = std::io::stdin().read(&mut [0]);
    0
}

/// Leaves so many processes to sexton, which end by themselves.
pub fn leave_orphans(count: i32, lifetime: i32) -> Result<(), String> {
    for _ in 0..count {
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            if unsafe { libc::fork() } == 0 && lifetime > 0 {
                unsafe { libc::usleep(lifetime as u32 * 1000) };
            }
            unsafe { libc::_exit(0) };
        }
        if pid < 0 {
            return Err("no process".into());
        }
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    }
    Ok(())
}

/// `zombies COUNT`: makes so many dead children, then dies, so that sexton gets them all at once.
pub fn zombies(count: i32) -> i32 {
    for _ in 0..count {
        match unsafe { libc::fork() } {
            0 => unsafe { libc::_exit(0) },
            pid if pid < 0 => return 97,
            _ => {}
        }
    }
    say!("left");
    0
}

/// `moved WORD...`: leaves a child in its process group, goes to its parent's, and goes on as
/// `probe WORD...`.
pub fn moved(rest: &[OsString]) -> i32 {
    if unsafe { libc::fork() } == 0 {
        loop {
            unsafe { libc::pause() };
        }
    }
    if unsafe { libc::setpgid(0, libc::getpgid(libc::getppid())) } != 0 {
        return 97;
    }
    record(&rest[1..])
}

/// `orphaned PROGRAM...`: executes the program once its parent, a session leader, is dead.
pub fn orphaned(program: &[OsString]) -> i32 {
    unsafe { libc::setsid() };
    orphaned_of(unsafe { libc::getpid() }, program)
}

fn orphaned_of(parent: i32, program: &[OsString]) -> i32 {
    unsafe {
        if libc::fork() > 0 {
            libc::_exit(0);
        }
        while libc::getppid() == parent {
            libc::usleep(100);
        }
    }
    execute(program)
}

/// `leaves-session PROGRAM...`: its child executes the program once the parent has left their session, and
/// lives on.
pub fn leaves_session(program: &[OsString]) -> i32 {
    let mut gate = [0; 2];
    unsafe {
        libc::pipe(gate.as_mut_ptr());
        if libc::fork() == 0 {
            libc::close(gate[1]);
            libc::read(gate[0], (&raw mut gate).cast(), 1);
            libc::close(gate[0]);
            return execute(program);
        }
        if libc::setsid() < 0 {
            eprintln!("probe: setsid: {}", std::io::Error::last_os_error());
        }
        libc::close(gate[1]);
        let mut status = 0;
        libc::wait(&mut status);
        libc::WEXITSTATUS(status)
    }
}

/// `adopts PROGRAM...`: a subreaper that leads its session. In another session, whose leader lives and is
/// younger by more than the kernel counts, somebody starts the program and is dead before it is executed.
pub fn adopts(program: &[OsString]) -> i32 {
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        libc::usleep(50_000);
        if libc::fork() == 0 {
            libc::setsid();
            if libc::fork() == 0 {
                return orphaned_of(libc::getpid(), program);
            }
            libc::wait(std::ptr::null_mut());
            loop {
                libc::pause();
            }
        }
        loop {
            libc::pause();
        }
    }
}

/// `no-reader PROGRAM...`: executes the program with a pipe as its stdout whose other end is closed.
pub fn no_reader(program: &[OsString]) -> i32 {
    let mut ends = [0; 2];
    unsafe {
        libc::pipe(ends.as_mut_ptr());
        libc::dup2(ends[1], libc::STDOUT_FILENO);
        libc::close(ends[0]);
        libc::close(ends[1]);
    }
    execute(program)
}

fn execute(program: &[OsString]) -> i32 {
    let error = std::os::unix::process::CommandExt::exec(std::process::Command::new(&program[0]).args(&program[1..]));
    eprintln!("probe: {error}");
    95
}

/// `held WORD...`: goes on as `probe WORD...` once a child traces it, which ignores SIGTERM and, until its stdin
/// ends, does not let go of it.
pub fn held(rest: &[OsString]) -> i32 {
    let own = unsafe { libc::getpid() };
    let (mut ready, mut gone) = ([0; 2], [0; 1]);
    unsafe {
        libc::pipe(ready.as_mut_ptr());
        // Where Yama lets a process be traced by its parents only.
        libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0);
        if libc::fork() == 0 {
            raw::set_ignored(libc::SIGTERM, true);
            let nothing = std::ptr::null_mut::<libc::c_void>();
            if libc::ptrace(libc::PTRACE_SEIZE, own, nothing, nothing) == 0 {
                libc::write(ready[1], c"1".as_ptr().cast(), 1);
            }
            libc::close(ready[1]);
            let _ = std::io::stdin().read(&mut gone);
            libc::_exit(0);
        }
        libc::close(ready[1]);
    }
    if unsafe { libc::read(ready[0], gone.as_mut_ptr().cast(), 1) } != 1 {
        say!("nobody can trace here");
        return 97;
    }
    crate::run(rest)
}

/// `headless WORD...`: ends its first thread, and goes on in another one as `probe WORD...`.
pub fn headless(rest: &[OsString]) -> i32 {
    let rest = rest.to_vec();
    std::thread::spawn(move || {
        while !std::fs::read_to_string("/proc/self/stat").unwrap().contains(") Z ") {}
        let status = crate::run(&rest);
        unsafe { libc::_exit(status) };
    });
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    97
}

/// `server MS`: as a server does, cleans up for so long when SIGTERM or SIGINT comes, and says so:
/// `clean N` with how often one came.
pub fn server(clean_up: i32) -> i32 {
    raw::set_mask(u64::MAX);
    say!("ready {}", unsafe { libc::getpid() });
    let is_stop = |signal| signal == libc::SIGTERM || signal == libc::SIGINT;
    while !is_stop(raw::wait_for_signal().signal) {}
    unsafe { libc::usleep(clean_up as u32 * 1000) };
    let mut times = 1;
    while (1..=64).any(|signal| is_stop(signal) && raw::pending() & 1 << (signal - 1) != 0) {
        times += u32::from(is_stop(raw::wait_for_signal().signal));
    }
    say!("clean {times}");
    0
}

/// `sleepers COUNT`: leaves so many processes that sleep until a signal ends them, says `left`,
/// and exits with 3.
pub fn sleepers(count: i32) -> i32 {
    for _ in 0..count {
        match unsafe { libc::fork() } {
            0 => loop {
                unsafe { libc::pause() };
            },
            pid if pid < 0 => return 97,
            _ => {}
        }
    }
    say!("left");
    3
}

/// `bomb COUNT`: makes COUNT processes, each of which ignores SIGTERM, leaves its session and, over
/// and over, is replaced by a child of its own; says `ready` and exits with 0. Should sexton not end
/// them, they end after 20 seconds, so that the machine survives the failure.
pub fn bomb(count: i32) -> i32 {
    raw::set_ignored(libc::SIGTERM, true);
    let end = monotonic_nanoseconds() + 20_000_000_000;
    for _ in 0..count {
        if unsafe { libc::fork() } == 0 {
            unsafe { libc::setsid() };
            while monotonic_nanoseconds() < end {
                match unsafe { libc::fork() } {
                    0 => drop(unsafe { libc::usleep(50_000) }),
                    pid if pid > 0 => unsafe { libc::_exit(0) },
                    _ => {}
                }
            }
            unsafe { libc::_exit(0) };
        }
    }
    say!("ready");
    0
}

/// `eat`: takes memory until the kernel ends it, or 256 MiB.
pub fn eat() -> i32 {
    let mut eaten = Vec::new();
    for _ in 0..256 {
        let mut piece = vec![0_u8; 1 << 20];
        // Only a page that is written to takes memory.
        piece.chunks_mut(4096).for_each(|page| page[0] = 1);
        eaten.push(piece);
    }
    96
}

/// `eat-later`: the same, once sexton waits: by then it has looked at the counter of the cgroup.
pub fn eat_later() -> i32 {
    wait_for_ancestors();
    eat()
}

/// Until our parent sleeps, and its parent too: one of them is sexton, and the other one waits for its child.
fn wait_for_ancestors() {
    // State and parent, the first fields behind the name (proc_pid_stat(5)).
    let fields = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        Some((fields.next()? == "S", fields.next()?.parse().ok()?))
    };
    let sleeps = |pid| fields(pid).is_none_or(|(sleeps, _)| sleeps);
    let parent = unsafe { libc::getppid() };
    let grandparent = fields(parent).map_or(0, |(_, parent)| parent);
    while !sleeps(parent) || !sleeps(grandparent) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// `eaten-child STATUS`: has a child that does the same, when sexton waits, and then exits with STATUS.
pub fn eaten_child(status: i32) -> i32 {
    wait_for_ancestors();
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        unsafe { libc::_exit(eat()) };
    }
    let mut child = 0;
    unsafe { libc::waitpid(pid, &mut child, 0) };
    if libc::WIFSIGNALED(child) && libc::WTERMSIG(child) == libc::SIGKILL { status } else { 97 }
}

/// `hoard COUNT`: makes so many dead children, reaps none, says `ready`, and stays.
pub fn hoard(count: i32) -> i32 {
    if let Err(status) = leave_unreaped(count) {
        return status;
    }
    say!("ready {}", unsafe { libc::getpid() });
    loop {
        unsafe { libc::pause() };
    }
}

/// `spin STATUS MS`: uses so much of the processor, says `used MS` with how much it was, and exits with STATUS.
pub fn spin(status: i32, milliseconds: i32) -> i32 {
    let used = || {
        let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut used) };
        used.tv_sec * 1000 + used.tv_nsec / 1_000_000
    };
    while used() < milliseconds.into() {}
    say!("used {}", used());
    status
}

/// `take MIB [SIGNAL...]`: takes so much memory and exits; if there are signals to ignore, ignores them, says
/// `taken` and stays.
pub fn take(mebibytes: i32, signals: &[OsString]) -> i32 {
    let mut taken = vec![0_u8; (mebibytes as usize) << 20];
    taken.chunks_mut(4096).for_each(|page| page[0] = 1);
    std::hint::black_box(&taken);
    for index in 0..signals.len() {
        raw::set_ignored(number(signals, index), true);
    }
    if signals.is_empty() {
        return 0;
    }
    say!("taken");
    loop {
        unsafe { libc::pause() };
    }
}

/// `burn COUNT`: makes so many dead children, reaps none, and uses the processor for ever.
pub fn burn(count: i32) -> i32 {
    if let Err(status) = leave_unreaped(count) {
        return status;
    }
    loop {
        std::hint::spin_loop();
    }
}

fn leave_unreaped(count: i32) -> Result<(), i32> {
    for _ in 0..count {
        match unsafe { libc::fork() } {
            0 => unsafe { libc::_exit(0) },
            pid if pid < 0 => return Err(97),
            pid => unsafe {
                let mut info: libc::siginfo_t = std::mem::zeroed();
                libc::waitid(libc::P_PID, pid as u32, &mut info, libc::WEXITED | libc::WNOWAIT);
            },
        }
    }
    Ok(())
}

/// `accept`: as a socket-activated server does, checks LISTEN_PID and takes one connection from
/// descriptor 3.
pub fn accept() -> i32 {
    let own = unsafe { libc::getpid() };
    if std::env::var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok()) != Some(own) {
        say!("not for us");
        return 1;
    }
    let connection = unsafe { libc::accept(3, std::ptr::null_mut(), std::ptr::null_mut()) };
    unsafe { libc::write(connection, c"hello".as_ptr().cast(), 5) };
    0
}

/// `calls`: tries what a seccomp profile may refuse, with arguments that make each call fail
/// anyway; `NAME ERRNO` a line.
pub fn calls() -> i32 {
    let calls = [
        ("pidfd_open", libc::SYS_pidfd_open),
        ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
        ("clone3", libc::SYS_clone3),
        ("close_range", libc::SYS_close_range),
        ("signalfd4", libc::SYS_signalfd4),
        ("timerfd_create", libc::SYS_timerfd_create),
        ("epoll_create1", libc::SYS_epoll_create1),
    ];
    let told = |name, result: libc::c_long| {
        let errno = if result < 0 { std::io::Error::last_os_error().raw_os_error() } else { None };
        say!("{name} {}", errno.unwrap_or(0));
    };
    for (name, number) in calls {
        told(name, unsafe { libc::syscall(number, -1_isize, -1_isize, -1_isize, -1_isize) });
    }
    told("subreaper", unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1_usize, 0, 0, 0) }.into());
    0
}

/// `setuid UID WORD...`: changes the uid, then goes on as `probe WORD...`.
pub fn setuid(uid: i32, rest: &[OsString]) -> i32 {
    if unsafe { libc::setresuid(uid as u32, uid as u32, uid as u32) } != 0 {
        return 97;
    }
    match rest.first().and_then(|word| word.to_str()) {
        Some("record") => record(&rest[1..]),
        Some("ignore") => ignore(&rest[1..]),
        Some("server") => server(number(rest, 1)),
        _ => 99,
    }
}
