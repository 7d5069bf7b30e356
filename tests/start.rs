//! The start: what may go wrong, and that no signal is lost in it.

mod harness;

use std::time::{Duration, Instant};

use harness::{BOTH, Folder, Place, Sexton, Status, needs, now, probe_binary, sexton_binary};

/// A cheap source of delays that differ.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// As an ordinary process: either it comes before `main` blocks it and kills sexton, as it kills
/// any process, or it reaches the command.
#[test]
fn a_signal_sent_at_any_moment_of_the_start_is_never_lost() {
    let mut random = Random(0x5eed);
    let mut reached = 0;
    for attempt in 0..2000 {
        let mut run = Sexton::new(Place::Ordinary).probe(["record", "15", "7"]);
        spin(Duration::from_micros(random.below(2500)));
        run.send(15);
        match run.status() {
            // 143: before the command could take it; 7: it took it.
            Status::Exited(143 | 7) => reached += 1,
            Status::Killed(15) => {}
            other => panic!("try {attempt}: {other:?}"),
        }
    }
    assert!(reached > 100, "only {reached} of the signals came after the start of main");
}

/// As PID 1: the kernel drops what comes before sexton's first instruction blocks it. From then
/// on, which is when the mask of sexton is full, nothing is lost.
#[test]
fn as_pid_1_a_signal_sent_from_the_first_moment_on_is_never_lost() {
    // As the kernel shows it: at most 15 bytes.
    let file = harness::sexton_binary().file_name().unwrap().to_str().unwrap().to_owned();
    let name = &file[..file.len().min(15)];
    let mut random = Random(0xbead);
    let mut during_start = 0;
    // Half of the longest wait, in microseconds; it goes to where the start of this sexton is.
    let mut middle = 1250;
    // The faster sexton starts, the more tries it takes to get in between.
    let mut attempt = 0;
    while attempt < 2000 || (during_start <= 20 && attempt < 10_000) {
        attempt += 1;
        let mut run = Sexton::new(Place::Init).probe(["record", "15", "7"]);
        spin(Duration::from_micros(random.below(2 * middle)));
        // All but SIGKILL and SIGSTOP, which the kernel takes out. Read in this order: before the
        // exec it is the mask of fork(3), which blocks everything for a moment as well.
        let blocked = run.proc_status("Name") == name && run.proc_status("SigBlk") == "fffffffffffbfeff";
        let has_command = !harness::children(run.pid).is_empty();
        run.send(15);
        if has_command {
            middle = middle.saturating_sub(10).max(50);
        } else if !blocked {
            middle += 10;
        }
        if blocked {
            during_start += u32::from(!has_command);
            assert!(matches!(run.status(), Status::Exited(143 | 7)), "try {attempt}");
        } else {
            let mut status = None;
            harness::wait_until("a later signal arrives", || {
                status = run.try_status(Duration::from_millis(5));
                // It may be gone by now, its status on the way.
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(run.pid), nix::sys::signal::SIGTERM);
                status.is_some()
            });
            assert!(matches!(status, Some(Status::Exited(143 | 7))), "try {attempt}: {status:?}");
        }
    }
    assert!(during_start > 20, "only {during_start} signals came between the first moment and the command");
}

/// tini -g, catatonit -g and dumb-init lose one that comes between fork and setpgid.
#[test]
fn with_group_a_signal_sent_at_any_moment_of_the_start_is_never_lost() {
    let mut random = Random(0xfeed);
    for attempt in 0..1000 {
        let mut run = Sexton::new(Place::Ordinary).options(["-g"]).probe(["record", "15", "7"]);
        spin(Duration::from_micros(random.below(2500)));
        run.send(15);
        let status = run.status();
        assert!(matches!(status, Status::Exited(143 | 7) | Status::Killed(15)), "try {attempt}: {status:?}");
    }
}

#[test]
fn a_command_that_does_not_exist_is_127() {
    for place in BOTH {
        for command in ["nosuchcommand", "/no/such/command", "./nosuch", ""] {
            let (status, _, stderr) = Sexton::new(place).command([command]).finish();
            assert_eq!(status, Status::Exited(127), "{place:?} {command:?}: {stderr}");
            assert!(stderr.starts_with("sexton: cannot execute"), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
    }
}

#[test]
fn a_command_that_cannot_be_executed_is_126() {
    for place in BOTH {
        for command in ["/etc/passwd", "/etc"] {
            let (status, _, stderr) = Sexton::new(place).command([command]).finish();
            assert_eq!(status, Status::Exited(126), "{place:?} {command:?}: {stderr}");
            assert!(stderr.starts_with("sexton: cannot execute /etc"), "{stderr}");
        }
    }
}

/// tini ends with status 1 and leaves the command alone.
#[test]
fn a_closed_stdin_does_not_matter() {
    for place in BOTH {
        let mut run = Sexton::new(place).setup(["close=0"]).probe(["exit", "6"]);
        assert_eq!(run.status(), Status::Exited(6), "{place:?}");
    }
}

#[test]
fn three_descriptors_are_enough() {
    for place in BOTH {
        let (status, _, stderr) = Sexton::new(place).setup(["nofile=3"]).probe(["exit", "6"]).finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(6), ""), "{place:?}");
    }
}

#[test]
fn when_no_more_process_may_be_made_the_status_is_125_and_says_so() {
    needs!(Root);
    let folder = Folder::new();
    let copy = folder.copy("sexton", sexton_binary());
    for place in BOTH {
        let sexton = Sexton::new(place).binary(&copy).setup(["uid=65534", "nproc=1"]);
        let (status, _, stderr) = sexton.probe(["exit", "6"]).finish();
        assert_eq!(status, Status::Exited(125), "{place:?}");
        assert!(stderr.starts_with("sexton: cannot start a process"), "{stderr}");
    }
}

#[test]
fn without_proc_everything_works() {
    let mut run = Sexton::new(Place::Init).setup(["no-proc"]).probe(["record", "15", "7"]);
    run.line();
    run.send(libc::SIGHUP);
    assert_eq!(run.recorded().signal, 1);
    run.send(15);
    assert_eq!(run.status(), Status::Exited(7));
}

#[test]
fn sexton_under_sexton_passes_everything_on() {
    for place in BOTH {
        let (sexton, probe) = (sexton_binary(), probe_binary());
        let words: [&std::ffi::OsStr; 6] =
            [sexton.as_os_str(), "--".as_ref(), probe.as_os_str(), "record".as_ref(), "15".as_ref(), "7".as_ref()];
        let mut run = Sexton::new(place).command(words);
        run.line();
        let sent = now();
        run.send(libc::SIGHUP);
        let seen = run.recorded();
        assert!(seen.signal == 1 && seen.at > sent);
        run.send(15);
        assert_eq!(run.status(), Status::Exited(7), "{place:?}");
    }
}

/// libc's own start-up comes second: it takes some hundred microseconds, in which PID 1 would
/// lose what is sent to it.
#[test]
fn the_first_system_call_of_sexton_blocks_every_signal() {
    needs!(STRACE);
    let trace = harness::command("strace").args(["-e", "trace=all"]).arg(sexton_binary()).arg("true").output();
    let trace = trace.expect("strace is missing: apt-get install strace");
    let text = String::from_utf8_lossy(&trace.stderr).into_owned();
    let calls = text.lines().skip_while(|line| !line.starts_with("execve(")).skip(1);
    // What strace says of a program for 32 bits.
    let mut calls = calls.filter(|line| !line.ends_with("runs in 32 bit mode. ]"));
    assert!(calls.next().is_some_and(|call| call.starts_with("rt_sigprocmask(SIG_SETMASK, ~[], ")), "{text}");
}
