//! On a real pseudo-terminal.

mod harness;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{BOTH, Place, Running, Sexton, Status, Terminal, needs, now, probe_binary, sexton_binary, wait_until};

/// sexton as the leader of a session with a terminal, as `docker run -it` starts it.
fn on_terminal(place: Place, terminal: &Terminal, command: &[&str]) -> Running {
    Sexton::new(place)
        .setup(["setsid", "terminal=0"])
        .env("TERM", "dumb")
        .stdin(terminal.stdio())
        .stdout(terminal.stdio())
        .stderr(terminal.stdio())
        .command(command)
}

#[test]
fn the_command_has_the_foreground_and_control_c_reaches_it_once() {
    for place in BOTH {
        let mut terminal = Terminal::open();
        let mut run = on_terminal(place, &terminal, &[probe_binary().to_str().unwrap(), "record", "15", "7"]);
        terminal.wait_for("ready");
        assert_eq!(terminal.foreground(), run.command_pid());
        for (key, signal) in [("\u{3}", libc::SIGINT), ("\u{1c}", libc::SIGQUIT)] {
            terminal.type_keys(key);
            terminal.wait_for(&format!("signal {signal} code 128 "));
        }
        terminal.resize(50, 132);
        terminal.wait_for("signal 28 code 128 ");
        run.send(15);
        // Had one come twice, it would be recorded before this.
        let between = terminal.wait_for("signal 15 ");
        assert_eq!(between.matches("signal").count(), 1, "{place:?}: {between}");
        assert_eq!(run.status(), Status::Exited(7));
    }
}

#[test]
fn an_interactive_shell_has_job_control_and_control_z_and_fg_work_in_it() {
    for shell in [&["bash", "--norc", "--noprofile", "-i"][..], &["dash", "-i"]] {
        for place in BOTH {
            let mut terminal = Terminal::open();
            let mut run = on_terminal(place, &terminal, shell);
            terminal.type_keys("PS1='pro''mpt> '\n");
            terminal.wait_for("prompt> ");
            // ^C at the prompt ends nothing. bash shows its prompt a moment before it handles the
            // key, and loses what comes in between.
            terminal.type_until("\u{3}", "prompt> ");
            // ^C ends what runs in the foreground.
            terminal.type_keys("cat; echo after-$((40+2))\n");
            terminal.wait_for_foreground("cat");
            terminal.type_keys("\u{3}");
            terminal.wait_for("prompt> ");
            // ^Z and fg, several times in a row.
            terminal.type_keys("cat\n");
            terminal.wait_for_foreground("cat");
            for round in 0..3 {
                terminal.type_keys("\u{1a}");
                terminal.wait_for("Stopped");
                terminal.wait_for("prompt> ");
                terminal.type_keys("fg\n");
                terminal.wait_for_foreground("cat");
                terminal.type_keys(&format!("line-{round}\n"));
                terminal.wait_for(&format!("line-{round}\r\nline-{round}"));
            }
            terminal.type_keys("\u{4}");
            terminal.wait_for("prompt> ");
            terminal.type_keys("stty size\n");
            terminal.wait_for("24 80");
            terminal.resize(50, 132);
            terminal.type_keys("stty size\n");
            terminal.wait_for("50 132");
            terminal.type_keys("exit 5\n");
            assert_eq!(run.status(), Status::Exited(5), "{place:?} {shell:?}");
        }
    }
}

/// Behind PID 1 no shell could ever continue a stopped command: with tini the container hangs.
#[test]
fn as_pid_1_control_z_does_not_hang_the_container() {
    let mut terminal = Terminal::open();
    let mut run = on_terminal(Place::Init, &terminal, &["sleep", "600"]);
    wait_until("the command has the foreground", || terminal.foreground() == run.command_pid());
    let command = run.command_pid();
    for _ in 0..3 {
        terminal.type_keys("\u{1a}");
        terminal.wait_for("^Z");
        wait_until("it runs on", || harness::proc_status(command, "State").is_some_and(|state| state.starts_with('S')));
    }
    terminal.type_keys("\u{3}");
    assert_eq!(run.status(), Status::Exited(130));
}

/// It would stop what is to become the command, and sexton with it, which waits for its exec.
#[test]
fn control_z_before_the_command_is_executed_hangs_nothing() {
    needs!(STRACE);
    let mut terminal = Terminal::open();
    // This is the call by which the child gets the signals that came: a second after the terminal.
    let mut run = Sexton::new(Place::Ordinary)
        .binary("/usr/bin/strace")
        .options(["-f", "-qq", "-o", "/dev/null", "-e", "inject=rt_sigprocmask:delay_enter=1000000"])
        .options(["setsid", "-c", sexton_binary().to_str().unwrap(), "--", "/bin/sh", "-c", "echo it runs"])
        .stdin(terminal.stdio())
        .stdout(terminal.stdio())
        .stderr(terminal.stdio())
        .bare();
    let name = |pid| harness::proc_status(pid, "Name").filter(|name| name.starts_with("sexton"));
    wait_until("sexton's child has the foreground", || {
        let child = terminal.foreground();
        let parent = harness::proc_status(child, "PPid").and_then(|parent| parent.parse().ok()).unwrap_or(0);
        child > 0 && name(child).is_some() && name(child) == name(parent)
    });
    terminal.type_keys("\u{1a}");
    terminal.wait_for("^Z");
    terminal.wait_for("it runs");
    assert_eq!(run.status(), Status::Exited(0));
}

/// An interactive shell that runs sexton as a job.
fn shell_on_terminal(terminal: &mut Terminal, shell: Shell) -> Running {
    let sexton = format!("{} --dialect {}", sexton_binary().display(), shell.dialect);
    let run = Sexton::new(Place::Ordinary)
        .binary(format!("/bin/{}", shell.argv[0]))
        .options(&shell.argv[1..])
        .setup(["setsid", "terminal=0"])
        .env("TERM", "dumb")
        .env("SEXTON", &sexton)
        .stdin(terminal.stdio())
        .stdout(terminal.stdio())
        .stderr(terminal.stdio())
        .bare();
    terminal.type_keys("PS1='pro''mpt> '\n");
    terminal.wait_for("prompt> ");
    run
}

/// Ends the shell by its own means: it has the terminal, and is as it was.
#[track_caller]
fn leave(terminal: &mut Terminal, shell: &mut Running, how: Shell) {
    terminal.type_keys("exit 9\n");
    assert_eq!(shell.status(), Status::Exited(9), "{how:?}");
}

/// Waits until no process of the job runs any more: one that was not stopped yet could still take
/// what is typed next.
#[track_caller]
fn wait_until_stopped(shell: &Running) {
    wait_until("the whole job is stopped", || {
        let job = harness::descendants(shell.pid);
        job.iter().all(|pid| harness::proc_status(*pid, "State").is_none_or(|state| state.starts_with('T')))
    });
}

/// A shell, and the command line that sexton speaks in it. dumb-init's own session has no part in a
/// shell's job control.
#[derive(Clone, Copy, Debug)]
struct Shell {
    argv: &'static [&'static str],
    dialect: &'static str,
}

const BASH: &[&str] = &["bash", "--norc", "--noprofile", "-i"];
const DASH: &[&str] = &["dash", "-i"];

const SHELLS: [Shell; 6] = [
    Shell { argv: BASH, dialect: "native" },
    Shell { argv: DASH, dialect: "native" },
    Shell { argv: BASH, dialect: "tini" },
    Shell { argv: DASH, dialect: "tini" },
    Shell { argv: BASH, dialect: "catatonit" },
    Shell { argv: DASH, dialect: "catatonit" },
];

#[test]
fn control_z_gives_the_prompt_back_and_fg_and_bg_continue_the_command() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        terminal.type_keys("$SEXTON cat\n");
        terminal.wait_for_foreground("cat");
        for round in 0..3 {
            terminal.type_keys(&format!("line-{round}\n"));
            terminal.wait_for(&format!("line-{round}\r\nline-{round}"));
            terminal.type_keys("\u{1a}");
            terminal.wait_for("Stopped");
            terminal.wait_for("prompt> ");
            terminal.type_keys("jobs\n");
            terminal.wait_for("Stopped");
            terminal.wait_for("prompt> ");
            wait_until_stopped(&run);
            terminal.type_keys("fg\n");
            terminal.wait_for_foreground("cat");
        }
        terminal.type_keys("\u{1a}");
        terminal.wait_for("prompt> ");
        // In the background it is stopped as soon as it reads, like any other.
        terminal.type_keys("bg\n");
        terminal.wait_for("prompt> ");
        wait_until("the shell keeps the foreground", || terminal.foreground() == run.pid);
        terminal.type_keys("echo still-$((40+2))\n");
        terminal.wait_for("still-42");
        // It reads, and so it is stopped; a shell that brings it forward at that very moment would see
        // it stop once more.
        wait_until_stopped(&run);
        terminal.type_keys("fg\n");
        terminal.wait_for_foreground("cat");
        terminal.type_keys("last\n");
        terminal.wait_for("last\r\nlast");
        terminal.type_keys("\u{4}");
        terminal.wait_for("prompt> ");
        terminal.type_keys("echo status-$?; exit 9\n");
        terminal.wait_for("status-0");
        assert_eq!(run.status(), Status::Exited(9), "{shell:?}");
    }
}

#[test]
fn in_the_background_the_command_leaves_the_terminal_to_the_shell_and_can_be_brought_forward() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        terminal.type_keys("$SEXTON cat &\n");
        terminal.wait_for("prompt> ");
        assert_eq!(terminal.foreground(), run.pid);
        terminal.type_keys("echo still-$((40+2))\n");
        terminal.wait_for("still-42");
        // It reads, and so it is stopped; a shell that brings it forward at that very moment would see
        // it stop once more.
        wait_until_stopped(&run);
        terminal.type_keys("fg\n");
        terminal.wait_for_foreground("cat");
        terminal.type_keys("hello\n");
        terminal.wait_for("hello\r\nhello");
        terminal.type_keys("\u{3}");
        terminal.wait_for("prompt> ");
        terminal.type_keys("exit 9\n");
        run.status();
    }
}

/// It leads the process group of the pipeline, and reads from the terminal: the pipe is its stdout.
#[test]
fn the_first_of_a_pipeline_shares_the_terminal_with_the_last() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        terminal.type_keys("$SEXTON sleep 600 | sh -c 'read x </dev/tty; echo got-$x; cat'\n");
        let named = |of: i32, name: &str| {
            harness::children(of).into_iter().find(|pid| harness::proc_status(*pid, "Name").as_deref() == Some(name))
        };
        wait_until("the command runs", || {
            named(run.pid, "sexton").is_some_and(|sexton| named(sexton, "sleep").is_some())
        });
        assert_eq!(Some(terminal.foreground()), named(run.pid, "sexton"), "{shell:?}: the pipeline's group has it");
        terminal.type_keys("it\n");
        terminal.wait_for("got-it");
        terminal.type_keys("\u{3}");
        terminal.wait_for("prompt> ");
        leave(&mut terminal, &mut run, shell);
    }
}

#[test]
fn a_job_that_ends_in_the_background_leaves_the_terminal_to_the_shell() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        terminal.type_keys("$SEXTON sleep 600 &\n");
        terminal.wait_for("prompt> ");
        wait_until("the command runs", || !harness::children(harness::children(run.pid)[0]).is_empty());
        let sexton = harness::children(run.pid)[0];
        harness::kill(harness::children(sexton)[0], libc::SIGTERM);
        let is_gone = || harness::proc_status(sexton, "State").is_none_or(|state| state.starts_with('Z'));
        wait_until("sexton is gone", is_gone);
        assert_eq!(terminal.foreground(), run.pid, "{shell:?}");
        terminal.type_keys("echo still-$((40+2))\n");
        terminal.wait_for("still-42");
        terminal.wait_for("prompt> ");
        leave(&mut terminal, &mut run, shell);
    }
}

#[test]
fn a_script_that_ran_sexton_has_the_terminal_again_afterwards() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        // With --group the command leads a group of its own, which has the foreground.
        for option in ["", "-g"] {
            let script = format!("$SEXTON {option} true; $SEXTON {option} nosuch; read x; echo got-$x");
            terminal.type_keys(&format!("sh -c '{script}'\n"));
            terminal.wait_for("sexton: cannot execute nosuch");
            terminal.type_keys("it\n");
            terminal.wait_for("got-it");
            terminal.wait_for("prompt> ");
        }
        terminal.type_keys("exit 9\n");
        run.status();
    }
}

#[test]
fn a_pipeline_shares_the_terminal_and_control_c_reaches_each_process_once() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        let probe = probe_binary();
        let probe = probe.display();
        // The last of them reads from the terminal, as a pager does.
        let pager = "{ trap '' INT; read x </dev/tty; echo got-$x; cat; }";
        terminal.type_keys(&format!("{probe} record 2 0 | $SEXTON {probe} record 15 0 | {pager}\n"));
        // What is typed ahead would be the shell's.
        wait_until("the job has the foreground", || terminal.foreground() != run.pid);
        terminal.type_keys("it\n");
        terminal.wait_for("got-it");
        terminal.wait_for("ready ");
        let command: i32 = terminal.wait_for("\r").trim().parse().unwrap();
        assert_ne!(terminal.foreground(), run.pid);
        terminal.type_keys("\u{3}");
        terminal.wait_for("signal 2 code 128 ");
        harness::kill(command, libc::SIGUSR1);
        let between = terminal.wait_for("signal 10 ");
        assert_eq!(between.matches("signal").count(), 1, "{between}");
        harness::kill(command, 15);
        terminal.wait_for("prompt> ");
        leave(&mut terminal, &mut run, shell);
    }
}

/// What the terminal sends goes to the whole pipeline and is not sexton's to forward; nor does it hold
/// anything off.
#[test]
fn a_terminal_whose_size_never_rests_does_not_hold_off_the_sleep_and_the_grace_period() {
    let mut terminal = Terminal::open();
    let mut run = shell_on_terminal(&mut terminal, SHELLS[0]);
    let probe = probe_binary();
    let times = "--pre-stop-sleep 300ms --grace-period 1s";
    terminal.type_keys(&format!("$SEXTON {times} {} ignore 28 15 | cat; echo en''ded\n", probe.display()));
    terminal.wait_for("ready ");
    let command: i32 = terminal.wait_for("\r").trim().parse().unwrap();
    let sexton: i32 = harness::proc_status(command, "PPid").unwrap().parse().unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for rows in (10..60).cycle() {
                    terminal.resize(rows, 132);
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let sent = now();
        harness::kill(sexton, 15);
        wait_until("SIGKILL", || harness::proc_status(sexton, "State").is_none_or(|state| state.starts_with('Z')));
        let took = now() - sent;
        over.store(true, Ordering::Relaxed);
        assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
    });
    terminal.wait_for("ended");
    terminal.type_until("\n", "prompt> ");
    leave(&mut terminal, &mut run, SHELLS[0]);
}

#[test]
fn in_a_script_control_c_ends_the_script_and_the_command_gets_it_once() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        let probe = probe_binary();
        terminal.type_keys(&format!("sh -c '$SEXTON {} record 15 0; echo goes''-on'\n", probe.display()));
        let ready = terminal.wait_for("ready ");
        assert!(!ready.contains("goes-on"));
        let command: i32 = terminal.wait_for("\r").trim().parse().unwrap();
        terminal.type_keys("\u{3}");
        terminal.wait_for("signal 2 code 128 ");
        harness::kill(command, libc::SIGUSR1);
        let between = terminal.wait_for("signal 10 ");
        assert_eq!(between.matches("signal").count(), 1, "{between}");
        harness::kill(command, 15);
        // The shell may have had its prompt back as soon as the script was dead.
        terminal.type_until("\n", "prompt> ");
        terminal.type_keys("echo the''-end\n");
        let rest = terminal.wait_for("the-end");
        assert!(!rest.contains("goes-on"), "{rest}");
        leave(&mut terminal, &mut run, shell);
    }
}

#[test]
fn control_z_stops_a_whole_pipeline_and_fg_continues_it() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        terminal.type_keys("cat | $SEXTON sed -u s/a/b/ | cat\n");
        wait_until("the pipeline runs", || {
            let name_is = |pid: &i32, name: &str| harness::proc_status(*pid, "Name").as_deref() == Some(name);
            let all = harness::descendants(run.pid);
            all.iter().filter(|pid| name_is(pid, "cat")).count() == 2 && all.iter().any(|pid| name_is(pid, "sed"))
        });
        for round in 0..3 {
            terminal.type_keys(&format!("ax{round}\n"));
            terminal.wait_for(&format!("bx{round}"));
            terminal.type_keys("\u{1a}");
            terminal.wait_for("Stopped");
            terminal.wait_for("prompt> ");
            wait_until_stopped(&run);
            terminal.type_keys("fg\n");
            wait_until("the job has the foreground", || terminal.foreground() != run.pid);
        }
        terminal.type_keys("ay\n");
        terminal.wait_for("by");
        terminal.type_keys("\u{4}");
        terminal.wait_for("prompt> ");
        leave(&mut terminal, &mut run, shell);
    }
}

#[test]
fn when_the_terminal_goes_away_the_command_is_told_and_sexton_ends() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let run = shell_on_terminal(&mut terminal, shell);
        let (reader, writer) = harness::pipe();
        let writer_path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&writer));
        terminal.type_keys(&format!("$SEXTON {} record 1 0 > {writer_path}\n", probe_binary().display()));
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(std::fs::File::from(reader)));
        assert!(lines.next().unwrap().unwrap().starts_with("ready"));
        drop(writer);
        let sexton: Vec<i32> = harness::children(run.pid);
        drop(terminal);
        let told = lines.next().unwrap().unwrap();
        assert!(told.starts_with("signal 1 "), "{shell:?}: {told}");
        wait_until("sexton ends", || {
            sexton.iter().all(|pid| harness::proc_status(*pid, "State").is_none_or(|s| s.starts_with('Z')))
        });
    }
}

#[test]
fn a_program_in_raw_mode_survives_suspend_and_resume() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        // Like an editor: raw mode, ^Z itself restores the terminal and stops, SIGCONT sets it again.
        let editor = "stty raw -echo; trap \"stty raw -echo; echo back\" CONT; echo in; \
                      dd bs=1 count=1 2>/dev/null >/dev/null; stty sane; kill -TSTP $$; \
                      dd bs=1 count=1 2>/dev/null >/dev/null; stty sane; echo out";
        terminal.type_keys(&format!("$SEXTON bash -c '{editor}'\n"));
        terminal.wait_for("\nin\n");
        terminal.type_keys("z");
        terminal.wait_for("Stopped");
        terminal.wait_for("prompt> ");
        terminal.type_keys("fg\n");
        terminal.wait_for("back");
        terminal.type_keys("q");
        terminal.wait_for("out");
        terminal.wait_for("prompt> ");
        leave(&mut terminal, &mut run, shell);
    }
}

/// ^Z stops a whole process group: it is not enough to continue its leader.
#[test]
fn where_no_shell_could_continue_it_a_command_with_children_survives_control_z() {
    // As PID 1, and as the leader of a session: `ssh -t host sexton …`, `docker exec -it`.
    for place in BOTH {
        for options in [&[][..], &["-g"]] {
            let mut terminal = Terminal::open();
            let mut run = Sexton::new(place)
                .options(options)
                .setup(["setsid", "terminal=0"])
                .stdin(terminal.stdio())
                .stdout(terminal.stdio())
                .stderr(terminal.stdio())
                .command(["sh", "-c", "cat; echo bye"]);
            for round in 0..3 {
                terminal.type_keys(&format!("line-{round}\n"));
                terminal.wait_for(&format!("line-{round}\r\nline-{round}"));
                terminal.type_keys("\u{1a}");
                terminal.wait_for("^Z");
            }
            terminal.type_keys("last\n");
            terminal.wait_for("last\r\nlast");
            terminal.type_keys("\u{4}");
            terminal.wait_for("bye");
            assert_eq!(run.status(), Status::Exited(0), "{place:?} {options:?}");
        }
    }
}

#[test]
fn fg_continues_the_children_of_the_command_too() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        terminal.type_keys("$SEXTON sh -c 'cat; echo by''e'\n");
        terminal.wait_for_foreground("sh");
        for round in 0..3 {
            terminal.type_keys(&format!("line-{round}\n"));
            terminal.wait_for(&format!("line-{round}\r\nline-{round}"));
            terminal.type_keys("\u{1a}");
            terminal.wait_for("Stopped");
            terminal.wait_for("prompt> ");
            wait_until_stopped(&run);
            terminal.type_keys("fg\n");
            wait_until("the job has the foreground", || terminal.foreground() != run.pid);
        }
        terminal.type_keys("last\n");
        terminal.wait_for("last\r\nlast");
        terminal.type_keys("\u{4}");
        terminal.wait_for("bye");
        terminal.wait_for("prompt> ");
        leave(&mut terminal, &mut run, shell);
    }
}

#[test]
fn a_command_that_suspends_itself_gives_the_prompt_back() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        terminal.type_keys("$SEXTON sh -c 'kill -STOP $$; echo goes''-on'\n");
        terminal.wait_for("Stopped");
        terminal.wait_for("prompt> ");
        terminal.type_keys("fg\n");
        terminal.wait_for("goes-on");
        terminal.wait_for("prompt> ");
        leave(&mut terminal, &mut run, shell);
    }
}

#[test]
fn in_the_background_of_a_script_it_leaves_the_terminal_to_the_script() {
    for option in ["", "-g"] {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, SHELLS[0]);
        let script = format!("$SEXTON {option} sleep 600 & echo rea''dy; read x; echo got-$x; kill $!; wait");
        terminal.type_keys(&format!("bash -c \"{}\"\n", script.replace('$', "\\$")));
        terminal.wait_for("ready");
        terminal.type_keys("it\n");
        terminal.wait_for("got-it");
        terminal.wait_for("prompt> ");
        terminal.type_keys("exit 9\n");
        assert_eq!(run.status(), Status::Exited(9), "{option}");
    }
}

#[test]
fn with_group_a_command_of_a_script_may_read_and_the_script_after_it() {
    let mut terminal = Terminal::open();
    let mut run = shell_on_terminal(&mut terminal, SHELLS[0]);
    terminal.type_keys("sh -c '$SEXTON -g sh -c \"read y; echo first-\\$y\"; read x; echo second-$x'\n");
    wait_until("the job has the foreground", || terminal.foreground() != run.pid);
    terminal.type_keys("one\n");
    terminal.wait_for("first-one");
    terminal.type_keys("two\n");
    terminal.wait_for("second-two");
    terminal.wait_for("prompt> ");
    terminal.type_keys("exit 9\n");
    assert_eq!(run.status(), Status::Exited(9));
}

#[test]
fn while_orphans_are_waited_for_control_c_reaches_them() {
    for shell in SHELLS {
        let mut terminal = Terminal::open();
        let mut run = shell_on_terminal(&mut terminal, shell);
        terminal.type_keys(&format!(
            "$SEXTON --orphans wait -- sh -c 'setsid {} record 2 0 & exit 0'\n",
            probe_binary().display()
        ));
        terminal.wait_for("ready");
        terminal.type_until("\u{3}", "signal 2 ");
        terminal.wait_for("prompt> ");
        leave(&mut terminal, &mut run, shell);
    }
}

/// The log driver of `docker run -t` is stuck: nobody reads the terminal any more.
#[test]
fn a_terminal_that_nobody_reads_does_not_keep_the_stop_signal_out() {
    for place in BOTH {
        let stuck = Terminal::open();
        let mut run = Sexton::new(place).options(["-vv"]).stderr(stuck.stdio()).probe(["record", "15", "7"]);
        run.line();
        for _ in 0..1000 {
            run.send(libc::SIGUSR1);
            assert_eq!(run.recorded().signal, libc::SIGUSR1);
        }
        run.send(15);
        assert_eq!(run.recorded().signal, 15);
        assert_eq!(run.status(), Status::Exited(7), "{place:?}");
    }
}
