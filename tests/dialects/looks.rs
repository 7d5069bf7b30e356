//! What can be seen of a program that starts a command, written down as lines to compare.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::harness::{self, Folder, Place, Running, Sexton, Status, Terminal, probe_binary, wait_until};

pub type Words = &'static [&'static str];

/// A peer, or sexton in its place.
#[derive(Clone)]
pub struct Program {
    pub place: Place,
    pub binary: String,
    /// What comes before the arguments of the case.
    pub leading: Vec<String>,
    pub environment: Vec<(&'static str, &'static str)>,
    /// Words for the launcher.
    pub setup: Vec<&'static str>,
}

impl Program {
    fn prepared(&self) -> Sexton {
        let mut sexton = Sexton::new(self.place).binary(&self.binary).options(&self.leading);
        for (name, value) in &self.environment {
            sexton = sexton.env(name, value);
        }
        sexton.setup(self.setup.iter().copied())
    }

    /// With these arguments; `PROBE` stands for the tests' own command.
    fn with(&self, args: Words) -> Sexton {
        self.prepared().options(words(args))
    }

    fn shell(&self, args: Words, script: &str) -> Running {
        self.with(args).options(["sh", "-c", &script.replace("PROBE", &probe())]).bare()
    }

    /// With a recorder as the command.
    fn recorder(&self, args: Words) -> Running {
        let mut run = self.with(args).options(words(&["PROBE", "record", "15", "7"])).bare();
        run.wait_for_line("ready");
        run
    }
}

fn probe() -> String {
    probe_binary().to_str().unwrap().to_owned()
}

fn words(words: Words) -> Vec<String> {
    words.iter().map(|word| word.replace("PROBE", &probe())).collect()
}

fn shown(status: Status) -> String {
    match status {
        Status::Exited(status) => format!("status {status}"),
        Status::Killed(signal) => format!("killed by {signal}"),
    }
}

/// Starts a program and says what it sees of it.
pub type Look = Box<dyn Fn(&Program) -> Vec<String>>;

/// With this variable.
pub fn with(name: &'static str, value: &'static str, look: Look) -> Look {
    Box::new(move |program| {
        let mut program = program.clone();
        program.environment.push((name, value));
        look(&program)
    })
}

/// In a state that the launcher makes.
pub fn in_state(setup: Words, look: Look) -> Look {
    Box::new(move |program| {
        let mut program = program.clone();
        program.setup.extend(setup);
        look(&program)
    })
}

/// The exit status.
pub fn ends(args: Words) -> Look {
    Box::new(move |program| vec![shown(program.with(args).bare().finish().0)])
}

/// The exit status, and what the command wrote on stdout.
pub fn prints(args: Words) -> Look {
    Box::new(move |program| {
        let (status, stdout, _) = program.with(args).bare().finish();
        vec![shown(status), format!("stdout {}", stdout.trim_end().replace('\n', " "))]
    })
}

/// The exit status, and where there is a text.
pub fn tells(args: Words) -> Look {
    Box::new(move |program| {
        let (status, stdout, stderr) = program.with(args).bare().finish();
        let shape = |text: &str| if text.is_empty() { "nothing" } else { "a text" };
        vec![shown(status), format!("stdout {}", shape(&stdout)), format!("stderr {}", shape(&stderr))]
    })
}

/// The exit status, and the first words of the one line on stdout.
pub fn tells_version(args: Words, count: usize) -> Look {
    Box::new(move |program| {
        let (status, stdout, _) = program.with(args).bare().finish();
        let first: Vec<&str> = stdout.split_whitespace().take(count).collect();
        vec![shown(status), format!("stdout {}", first.join(" ")), format!("lines {}", stdout.lines().count())]
    })
}

/// What the command inherits.
pub fn inherits(args: Words) -> Look {
    Box::new(move |program| {
        let (status, stdout, _) = program.with(args).options(words(&["PROBE", "state"])).bare().finish();
        let kept = ["descriptors ", "leads-", "foreground ", "uid ", "cwd ", "no-new-privs "];
        let lines = stdout.lines().filter_map(|line| match line.split_once(' ') {
            Some(("mask", set)) => Some(format!("blocked {}", numbers(set))),
            Some(("ignored", set)) => Some(format!("ignored {}", numbers(set))),
            _ => kept.iter().any(|key| line.starts_with(key)).then(|| line.to_owned()),
        });
        lines.chain([shown(status)]).collect()
    })
}

/// The signals in this set.
fn numbers(set: &str) -> String {
    let set = u64::from_str_radix(set, 16).unwrap();
    let numbers = (1..=64).filter(|signal| set & 1 << (signal - 1) != 0);
    let numbers: Vec<String> = numbers.map(|signal| signal.to_string()).collect();
    if numbers.is_empty() { "nothing".into() } else { numbers.join(" ") }
}

/// With SIGCHLD ignored from the start: whether it takes notice of the command's end.
pub fn ends_without_child_death(args: Words) -> Look {
    Box::new(move |program| {
        let mut program = program.clone();
        program.setup.push("ignore=17");
        let mut run = program.with(args).options(words(&["PROBE", "exit", "3"])).bare();
        let mut status = None;
        wait_until("it ends, or waits without a command", || {
            status = run.try_status(Duration::ZERO);
            status.is_some() || (harness::children(run.pid).is_empty() && waits_for_signals(run.pid))
        });
        // It may have been about to end. One that does not end in time has the status of nobody, like
        // catatonit, which either never ends or says that it could not start the command.
        match status.or_else(|| run.try_status(Duration::from_millis(200))) {
            Some(Status::Exited(3)) => vec!["status 3".into()],
            _ => vec!["not the command's status".into()],
        }
    })
}

/// Whether it has blocked its signals and waits: the start is over. (sigtimedwait(2) unblocks for
/// the time of the wait.)
fn waits_for_signals(pid: i32) -> bool {
    let blocks = || harness::proc_status(pid, "SigBlk").is_some_and(|set| set.starts_with('f'));
    is_quiet(pid) && (blocks() || harness::is_waiting(pid))
}

/// Which of these signals reach the command, and how often.
pub fn forwards(args: Words, signals: Vec<i32>) -> Look {
    Box::new(move |program| {
        let mut run = program.recorder(args);
        let command = run.command_pid();
        let mut lines = Vec::new();
        for signal in &signals {
            run.send(*signal);
            for saw in recorded(&mut run, &[command]) {
                lines.push(format!("sent {signal}, saw {saw}"));
            }
        }
        run.send(15);
        lines.push(shown(run.status()));
        lines
    })
}

/// What a signal with a value carries when it arrives.
pub fn forwards_value(args: Words) -> Look {
    Box::new(move |program| {
        let mut run = program.recorder(args);
        run.queue(libc::SIGUSR1, 42);
        let seen = run.recorded();
        vec![format!("saw {} with value {}", seen.signal, seen.value)]
    })
}

/// Who is stopped after this signal, what the command saw of it, and that all goes on.
pub fn stops(args: Words, signal: i32) -> Look {
    Box::new(move |program| {
        let mut run = program.recorder(args);
        let command = run.command_pid();
        run.send(signal);
        let saw = recorded(&mut run, &[command]);
        let state = |pid| match harness::proc_status(pid, "State") {
            Some(state) if state.starts_with('T') => "stopped",
            _ => "running",
        };
        let mut lines = vec![format!("itself {}", state(run.pid)), format!("command {}", state(command))];
        lines.extend(saw.iter().map(|saw| format!("saw {saw}")));
        run.send(libc::SIGCONT);
        // The kernel would take a SIGTERM first; both are to be seen.
        wait_until("it goes on", || state(run.pid) == "running" && is_quiet(run.pid));
        run.send(15);
        lines.push(shown(run.status()));
        lines
    })
}

/// The signals that were recorded since the last call, once the program and these processes have
/// dealt with all that was sent to them.
fn recorded(run: &mut Running, processes: &[i32]) -> Vec<i32> {
    for pid in [run.pid].iter().chain(processes) {
        wait_until("all signals were dealt with", || is_quiet(*pid));
    }
    let mut seen = Vec::new();
    while has_line(run) {
        seen.push(run.recorded().signal);
    }
    seen
}

fn has_line(run: &Running) -> bool {
    let stdout = run.stdout.as_ref().expect("stdout is a pipe");
    !stdout.buffer().is_empty() || harness::readable(stdout.get_ref().as_raw_fd(), Duration::ZERO)
}

/// Whoever was sent a signal is awake, or has it pending, until it has dealt with it. One that is
/// stopped has done so. Under qemu-user sexton sleeps in its start as well, with signals that it has yet to take.
fn is_quiet(pid: i32) -> bool {
    let status = |field| harness::proc_status(pid, field).unwrap_or_default();
    let state = status("State");
    let sleeps = || state.starts_with('S') && status("ShdPnd").bytes().all(|digit| digit == b'0');
    state.starts_with('T') || (sleeps() && (!harness::is_emulated(pid) || harness::is_waiting(pid)))
}

/// How many of the two processes in the command's process group see a signal.
pub fn forwards_to_group(args: Words) -> Look {
    Box::new(move |program| {
        let mut run = program.shell(args, "PROBE record 15 0 & exec PROBE record 15 0");
        run.wait_for_line("ready");
        run.wait_for_line("ready");
        let main = run.command_pid();
        let other = harness::children(main)[0];
        run.send(libc::SIGUSR1);
        vec![format!("seen by {}", recorded(&mut run, &[main, other]).len())]
    })
}

/// A process that the command leaves in its process group: what it sees when the command exits.
/// Not as PID 1, whose end it does not survive.
pub fn leaves_behind(args: Words) -> Look {
    Box::new(move |program| {
        assert_eq!(program.place, Place::Ordinary);
        let mut run = program.shell(args, "PROBE record 64 0 & exec <&-; wait $!");
        let left = pid_in(&run.wait_for_line("ready"));
        let main = run.command_pid();
        wait_until("the shell waits", || is_quiet(main));
        harness::kill(main, libc::SIGKILL);
        let mut lines = vec![shown(run.status())];
        lines.extend(seen_by_left(&mut run, left));
        lines
    })
}

/// The same, when the command exits because of a stop signal, which its group got as well.
pub fn leaves_behind_after_stop(args: Words) -> Look {
    Box::new(move |program| {
        assert_eq!(program.place, Place::Ordinary);
        let script = "trap 'echo stopping; read x; exit 3' TERM; PROBE record 64 0 & while :; do wait; done";
        let mut run = program.shell(args, script);
        let left = pid_in(&run.wait_for_line("ready"));
        let main = run.command_pid();
        wait_until("the shell waits", || is_quiet(main));
        run.send(libc::SIGTERM);
        let mut lines = Vec::new();
        let mut stopping = false;
        while !stopping || has_line(&run) {
            match run.line() {
                line if line == "stopping" => stopping = true,
                line => lines.push(format!("with the command, {}", line.split(" code").next().unwrap())),
            }
            // What the kernel has not handed over yet would merge with what comes after the end.
            wait_until("all signals were dealt with", || is_quiet(run.pid) && is_quiet(left));
        }
        drop(run.stdin.take());
        lines.push(shown(run.status()));
        lines.extend(seen_by_left(&mut run, left));
        lines
    })
}

/// Of `ready PID`.
fn pid_in(line: &str) -> i32 {
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

/// What it saw, and its end.
fn seen_by_left(run: &mut Running, left: i32) -> Vec<String> {
    wait_until("all signals were dealt with", || is_quiet(left));
    let mut lines = Vec::new();
    while has_line(run) {
        lines.push(format!("left behind, signal {}", run.recorded().signal));
    }
    harness::kill(left, 64);
    lines
}

/// Whether an orphan becomes its child. Not as PID 1, which gets it anyway.
pub fn adopts(args: Words) -> Look {
    Box::new(move |program| {
        assert_eq!(program.place, Place::Ordinary);
        let mut run = program.shell(args, "(PROBE record 64 0 &); echo waiting; read x");
        let lines = [run.line(), run.line()];
        let orphan = pid_in(lines.iter().find(|line| line.starts_with("ready")).unwrap());
        let adopted = harness::children(run.pid).contains(&orphan);
        harness::kill(orphan, 64);
        vec![format!("adopted {adopted}")]
    })
}

/// Which descriptors and which working directory it keeps itself while the command runs.
pub fn keeps(args: Words) -> Look {
    Box::new(move |program| {
        let mut program = program.clone();
        program.setup.extend(["open=9", "cwd=/usr/share"]);
        let run = program.recorder(args);
        wait_until("it waits", || is_quiet(run.pid));
        let names = std::fs::read_dir(format!("/proc/{}/fd", run.pid)).unwrap();
        let mut open: Vec<i32> =
            names.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        open.sort_unstable();
        let directory = std::fs::read_link(format!("/proc/{}/cwd", run.pid)).unwrap();
        vec![format!("descriptors {open:?}"), format!("directory {}", directory.display())]
    })
}

/// Without a command: that the last of these signals ends it, and none of the others.
pub fn pauses(args: Words, signals: Words) -> Look {
    Box::new(move |program| {
        let mut run = program.with(args).bare();
        wait_until("it waits, its signals blocked", || waits_for_signals(run.pid));
        for signal in signals {
            assert_eq!(run.try_status(Duration::ZERO), None, "it ended before {signal}");
            run.send(signal.parse().unwrap());
            if Some(signal) != signals.last() {
                wait_until("the signal was dealt with", || is_quiet(run.pid));
            }
        }
        vec![shown(run.status())]
    })
}

/// Socket activation: whether LISTEN_PID names the command, and NOTIFY_SOCKET is what it was.
pub fn activates(args: Words) -> Look {
    Box::new(move |program| {
        let line = [vec![program.binary.clone()], program.leading.clone(), words(args)].concat().join(" ");
        let script = format!("LISTEN_PID=$$ LISTEN_FDS=1 exec {line} {} accept", probe());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sexton = Sexton::new(program.place).binary("/bin/sh").options(["-c", &script]);
        let mut run = sexton.descriptor(3, listener.into()).bare();
        let stream = std::net::TcpStream::connect(address);
        let status = run.status();
        // A command that it is not for closes the socket without a word. If that happens in the middle of the
        // connection's beginning, nobody ever tells our end of it.
        let mut greeting = String::new();
        let _ = stream.and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.read_to_string(&mut greeting)
        });
        vec![shown(status), format!("greeting {greeting:?}")]
    })
}

/// As the leader of a session with a terminal, as `docker run -it` starts it: who has the
/// foreground, and how often the command sees ^C, the window's new size and a hang-up.
pub fn on_terminal(args: Words) -> Look {
    on_terminal_seen(args, true)
}

/// The same without how often: where the command is in the foreground together with what
/// forwards to it, the kernel may merge the two.
pub fn on_terminal_shared(args: Words) -> Look {
    on_terminal_seen(args, false)
}

fn on_terminal_seen(args: Words, counts: bool) -> Look {
    Box::new(move |program| {
        let mut terminal = Terminal::open();
        // stdout is a pipe: ^C flushes what is on its way to the terminal, and the record with it.
        let sexton = program.with(args).setup(["setsid", "terminal=0"]).stdin(terminal.stdio());
        let mut run = sexton.options(words(&["PROBE", "record", "15", "7"])).bare();
        run.wait_for_line("ready");
        let command = run.command_pid();
        let mut lines = vec![format!("command in the foreground {}", terminal.foreground() == command)];
        terminal.type_keys("\u{3}");
        // It is shown when the signals are sent.
        terminal.wait_for("^C");
        let mut seen = recorded(&mut run, &[command]);
        terminal.resize(50, 132);
        seen.extend(recorded(&mut run, &[command]));
        for (what, signal) in [("^C", libc::SIGINT), ("window", libc::SIGWINCH), ("hang-up", libc::SIGHUP)] {
            let times = seen.iter().filter(|seen| **seen == signal).count();
            lines.push(if counts { format!("{what} seen {times} times") } else { format!("{what} {}", times > 0) });
        }
        run.send(15);
        lines.push(shown(run.status()));
        lines
    })
}

/// On a terminal: a script that names no interpreter, which only the shell can run.
pub fn runs_script_on_terminal(args: Words) -> Look {
    Box::new(move |program| {
        let folder = Folder::new();
        let script = folder.path("script");
        std::fs::write(&script, "read x\necho typed-$x\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut terminal = Terminal::open();
        let mut run = on(&terminal, program.with(args)).options([&script]).bare();
        terminal.type_keys("it\n");
        terminal.wait_for("typed-it");
        vec![shown(run.status())]
    })
}

fn on(terminal: &Terminal, sexton: Sexton) -> Sexton {
    sexton.setup(["setsid", "terminal=0"]).stdin(terminal.stdio()).stdout(terminal.stdio()).stderr(terminal.stdio())
}
