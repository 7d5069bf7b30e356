//! sexton as PID 1 of real containers: what a Docker engine does to it, and what one sees of it.
//!
//! `cargo test --test docker` runs them with the engine of this machine, where sexton is the image's
//! ENTRYPOINT. With SEXTON_TEST_DOCKER=init the engine is one of the tests' own, and sexton its init;
//! with `eperm` or `enosys` its seccomp profile besides refuses the calls that sexton can do without.

mod harness;

use std::time::{Duration, Instant};

use harness::core::has_fresh_signals;
use harness::{CALLS, Docker, Kind, Plan, docker, engine, with_instructions};
use nix::sys::signal::Signal;

const SECOND: Duration = Duration::from_secs(1);

/// What an engine on a busy machine may need to notice and write down that a container has ended.
const SLACK: Duration = Duration::from_secs(5);

/// Records every signal, and exits with this status on this signal.
fn record(signal: i32, status: i32) -> [String; 4] {
    ["/probe".into(), "record".into(), signal.to_string(), status.to_string()]
}

/// Does nothing about signals. A signal that the engine sends before it says `ready` may find runc
/// on its way to becoming sexton, and is lost.
const SLEEP: [&str; 3] = ["sh", "-c", "echo ready; exec sleep 1000"];

core_tests!(Docker(engine));

// Stopping

#[test]
fn docker_stop_is_forwarded_and_the_exit_status_is_the_commands() {
    let mut container = Plan::new().start(record(15, 7));
    container.wait_for_line("ready");
    container.stop(&[]);
    assert_eq!(container.status(), 7);
    let (stdout, stderr) = container.logged();
    assert!(stdout.contains("signal 15 "), "{stdout}");
    assert_eq!(stderr, "", "all was well, so sexton says nothing");
}

#[test]
fn the_commands_default_is_the_images_cmd() {
    let mut container = Plan::new().start([""; 0]);
    container.wait_for_line("ready");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 0);
}

#[test]
fn docker_stop_with_a_time_limit_ends_a_command_that_does_not_know_sigterm() {
    // As PID 1 itself, sleep would not even notice SIGTERM.
    let mut container = Plan::new().start(SLEEP);
    container.wait_for_line("ready");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 143);
}

#[test]
fn without_a_grace_period_the_time_limit_of_docker_stop_is_the_limit() {
    let mut container = Plan::new().start(["/probe", "ignore", "15"]);
    container.wait_for_line("ready");
    container.shutdown(|container| container.stop(&["-t", "1"])).took(SECOND, SLACK);
    assert_eq!(container.status(), 137);
    assert_eq!(container.logged().1, "", "sexton killed nobody");
}

#[test]
fn docker_stop_reaches_a_command_that_is_stopped() {
    let mut container = Plan::new().env("SEXTON_LOG", "info").start(["sh", "-c", "kill -STOP $$"]);
    container.wait_for_line("was stopped by SIGSTOP");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 143);
}

#[test]
fn a_container_that_was_stopped_starts_again() {
    let mut container = Plan::new().start(record(15, 7));
    container.wait_for_line("ready");
    container.restart();
    container.wait_for_line("signal 15 ");
    container.wait_for_line("ready");
    container.stop(&[]);
    assert_eq!(container.status(), 7);
}

#[test]
fn the_stop_signal_of_docker_run_is_forwarded() {
    for (name, number) in [("SIGQUIT", 3), ("SIGRTMIN+3", 37)] {
        let mut container = Plan::new().with(["--stop-signal", name]).start(record(number, 7));
        container.wait_for_line("ready");
        container.stop(&["-t", "20"]);
        assert_eq!(container.status(), 7, "{name}");
    }
}

#[test]
fn the_stop_signal_of_the_image_is_forwarded() {
    for (name, number) in [("SIGQUIT", 3), ("SIGRTMIN+3", 37), ("37", 37)] {
        let image = with_instructions(&format!("STOPSIGNAL {name}"));
        let mut container = Plan::from_image(image).start(record(number, 7));
        container.wait_for_line("ready");
        container.stop(&["-t", "20"]);
        assert_eq!(container.status(), 7, "{name}");
    }
}

#[test]
fn a_stop_signal_that_sexton_knows_starts_the_shutdown() {
    for (engines, ours, number) in [("SIGQUIT", "QUIT", 3), ("SIGRTMIN+3", "RTMIN+3", 37), ("37", "37", 37)] {
        let plan = Plan::new().with(["--stop-signal", engines]).env("SEXTON_STOP_SIGNALS", ours);
        let mut container = plan.env("SEXTON_PRE_STOP_SLEEP", "1s").start(record(number, 7));
        container.wait_for_line("ready");
        container.shutdown(|container| container.stop(&["-t", "20"])).took(SECOND, SLACK);
        assert_eq!(container.status(), 7, "{engines}");
    }
}

#[test]
fn a_stop_signal_that_sexton_does_not_know_is_forwarded_without_a_sleep() {
    let plan = Plan::new().with(["--stop-signal", "SIGQUIT"]).env("SEXTON_PRE_STOP_SLEEP", "1h");
    let mut container = plan.start(record(3, 7));
    container.wait_for_line("ready");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7);
}

// Signals

#[test]
fn what_comes_while_sexton_itself_is_stopped_arrives_afterwards() {
    // SIGSTOP from outside its PID namespace stops even a PID 1 (pid_namespaces(7)).
    let mut container = Plan::new().start(record(15, 7));
    container.wait_for_line("ready");
    for signal in ["STOP", "USR1", "64", "CONT"] {
        container.kill(signal);
    }
    // The lowest number comes first (signal(7)).
    for number in [10, 18, 64] {
        container.wait_for_line(&format!("signal {number} "));
    }
    container.stop(&[]);
    assert_eq!(container.status(), 7);
}

#[test]
fn a_signal_to_docker_run_in_the_foreground_reaches_the_command() {
    let (mut run, _name) = Plan::new().foreground(record(15, 7));
    run.wait_for("ready");
    run.send(Signal::SIGHUP);
    run.wait_for("signal 1 ");
    run.send(Signal::SIGTERM);
    run.wait_for("signal 15 ");
    assert_eq!(run.status(), Some(7));
}

#[test]
fn a_rewrite_given_as_a_variable_is_followed() {
    let mut container = Plan::new().env("SEXTON_REWRITE", "TERM:QUIT,HUP:none").start(record(3, 7));
    container.wait_for_line("ready");
    container.kill("HUP");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7);
    assert!(!container.logged().0.contains("signal 1 "));
}

// The terminal

#[test]
fn control_c_reaches_the_command() {
    let mut terminal = Plan::new().terminal(record(2, 7));
    terminal.wait_for("ready");
    terminal.type_in("\x03");
    // 128 is SI_KERNEL: straight from the terminal, whose foreground is the command's.
    terminal.wait_for("signal 2 code 128 ");
    assert_eq!(terminal.status(), Some(7));
}

#[test]
fn control_c_ends_a_command_that_does_not_know_it() {
    let mut terminal = Plan::new().terminal(["sh", "-c", "echo re''ady; exec sleep 1000"]);
    terminal.wait_for("ready");
    terminal.type_in("\x03");
    assert_eq!(terminal.status(), Some(130));
}

#[test]
fn control_z_does_not_hang_the_container() {
    let script = "echo re''ady; while read -r line; do echo \"got <$line>\"; done; exit 3";
    let mut terminal = Plan::new().env("SEXTON_LOG", "info").terminal(["sh", "-c", script]);
    terminal.wait_for("ready");
    terminal.type_in("\x1a");
    terminal.wait_for("was stopped by SIGTSTP");
    terminal.type_in("on\n");
    terminal.wait_for("got <on>");
    terminal.type_in("\x04");
    assert_eq!(terminal.status(), Some(3));
}

#[test]
fn an_interactive_shell_has_its_job_control() {
    let mut terminal = Plan::new().terminal(["sh"]);
    // What is typed is shown as well; the quotes tell it from what is printed.
    terminal.wait_for("# ");
    terminal.type_in("sh -c 'echo fir''st; exec sleep 1000'\n");
    terminal.wait_for("\nfirst");
    terminal.type_in("\x03");
    terminal.wait_for("# ");
    terminal.type_in("sh -c 'echo sec''ond; read -r line; echo \"got <$line>\"'\n");
    terminal.wait_for("\nsecond");
    terminal.type_in("\x1a");
    terminal.wait_for("Stopped");
    terminal.type_in("fg\n");
    terminal.wait_for("\nsh -c");
    terminal.type_in("on\n");
    terminal.wait_for("got <on>");
    terminal.type_in("exit 5\n");
    assert_eq!(terminal.status(), Some(5));
}

#[test]
fn a_change_of_the_windows_size_reaches_the_command() {
    // `docker` itself sets the size once, after the start.
    let trap = "size=$(stty size); echo \"now $size\"; [ \"$size\" != '33 111' ] || exit 7";
    let script = "trap \"$0\" WINCH; echo ready; while :; do sleep 0.1; done";
    let mut terminal = Plan::new().terminal(["sh", "-c", script, trap]);
    terminal.wait_for("ready");
    terminal.resize(33, 111, "now 33 111");
    assert_eq!(terminal.status(), Some(7));
}

#[test]
fn docker_stop_ends_a_command_on_a_terminal() {
    let mut container = Plan::new().with(["--interactive", "--tty"]).start(record(15, 7));
    container.wait_for_line("ready");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7);
}

// Orphans

/// The server's own log proves that it cleaned up, and that it was told once.
#[test]
fn with_orphans_stop_every_form_of_entrypoint_shuts_down_gracefully() {
    const SERVER: &str = "/probe server 500";
    let forms = [
        ("shell form", SERVER.to_owned(), 1),
        ("a shell with something to do afterwards", format!("{SERVER}; true"), 1),
        ("a pipeline", format!("{SERVER} | (trap '' TERM; cat)"), 1),
        ("in the background", format!("{SERVER} & wait"), 1),
        ("a supervisor with workers", format!("{SERVER} & {SERVER} & {SERVER} & wait"), 3),
        ("a daemon in a session of its own", format!("setsid {SERVER} & {SERVER}"), 2),
    ];
    for group in ["0", "1"] {
        for (what, script, servers) in &forms {
            let plan =
                Plan::new().env("SEXTON_ORPHANS", "stop").env("SEXTON_GRACE_PERIOD", "15s").env("SEXTON_GROUP", group);
            let mut container = plan.start(["sh", "-c", script]);
            for _ in 0..*servers {
                container.wait_for_line("ready");
            }
            container.stop(&["-t", "20"]);
            let status = container.status();
            assert!(matches!(status, 0 | 143), "{what}: {status}");
            let (stdout, stderr) = container.logged();
            assert_eq!(stdout.matches("clean 1\n").count(), *servers, "{what}, group {group}: {stdout} {stderr}");
        }
    }
}

// What a stop cuts off

#[test]
fn what_a_stop_cuts_off_is_named_with_the_cure() {
    let mut container = Plan::new().start(["sh", "-c", "/probe server 20000; true"]);
    container.wait_for_line("ready");
    container.shutdown(|container| container.stop(&["-t", "20"])).took(Duration::ZERO, SLACK);
    let said = container.logged().1;
    let told = "which the kernel kills now; with --orphans stop it gets SIGTERM and may finish\n";
    assert!(said.starts_with("sexton: sh (pid ") && said.contains(") is gone and leaves probe (pid "), "{said}");
    assert!(said.ends_with(told) && said.lines().count() == 1, "{said}");
}

/// What it runs has a session of its own, and its parent is outside of the container.
#[test]
fn nothing_is_said_of_what_docker_exec_runs() {
    for level in ["warn", "info"] {
        let mut container = Plan::new().env("SEXTON_LOG", level).start(record(15, 7));
        container.wait_for_line("ready");
        // The shell, and below it a process in yet another session, which both write to the container's log.
        let script = "{ setsid /probe record 1 0; true; } >/proc/1/fd/2 2>&1";
        docker(["exec", "--detach", container.name(), "sh", "-c", script]).succeeded();
        container.wait_for_line("ready");
        container.stop(&["-t", "20"]);
        assert_eq!(container.status(), 7);
        let said = container.logged().1;
        assert!(!said.contains("is gone") && !said.contains("still there"), "{said}");
    }
}

/// Nobody knows any more that an exec left it, so it is not said that the command did.
#[test]
fn of_an_orphan_of_docker_exec_it_is_said_that_it_is_there() {
    let mut container = Plan::new().start(record(15, 7));
    container.wait_for_line("ready");
    let script = "/probe record 1 0 </dev/null >/proc/1/fd/2 2>&1 &";
    container.exec(["sh", "-c", script]).succeeded();
    container.wait_for_line("ready");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7);
    let said = container.logged().1;
    let line = said.lines().find(|line| line.contains("is gone")).unwrap_or_else(|| panic!("{said}"));
    assert!(
        line.contains(") is gone, and probe (pid ") && line.contains(") is still there, which the kernel"),
        "{line}"
    );
}

// A stop signal that is none

#[test]
fn a_stop_signal_that_sexton_does_not_know_is_told_with_the_setting() {
    let image = || with_instructions("STOPSIGNAL SIGQUIT");
    let told = "and SIGQUIT is no stop signal here: the pre-stop sleep (2s) and the grace period (1h) did not apply; \
                SEXTON_STOP_SIGNALS=QUIT,TERM makes it one\n";
    let stops: [fn(&harness::Container); 2] =
        [|container| container.stop(&["-t", "20"]), |container| container.kill("QUIT")];
    for stop in stops {
        let plan = Plan::from_image(image()).env("SEXTON_PRE_STOP_SLEEP", "2s").env("SEXTON_GRACE_PERIOD", "1h");
        let mut container = plan.start(record(3, 7));
        container.wait_for_line("ready");
        stop(&container);
        assert_eq!(container.status(), 7);
        let said = container.logged().1;
        assert!(said.contains(" after SIGQUIT from outside the container, ") && said.ends_with(told), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let plan = Plan::from_image(image()).env("SEXTON_PRE_STOP_SLEEP", "1s").env("SEXTON_STOP_SIGNALS", "QUIT,TERM");
    let mut container = plan.start(record(3, 7));
    container.wait_for_line("ready");
    container.shutdown(|container| container.stop(&["-t", "20"])).took(SECOND, SLACK);
    assert_eq!((container.status(), container.logged().1.as_str()), (7, ""));
}

#[test]
fn nothing_is_said_of_signals_that_docker_exec_sends() {
    let mut container = Plan::new().env("SEXTON_GRACE_PERIOD", "1h").start(record(3, 7));
    container.wait_for_line("ready");
    // It ends with the container.
    container.exec(["sh", "-c", "kill -QUIT 1"]);
    assert_eq!(container.status(), 7);
    assert_eq!(container.logged().1, "");
}

// The peers' names

#[test]
fn under_a_peers_name_its_command_line_is_understood_and_the_shutdown_is_the_same() {
    let entrypoints: [(&str, &[&str]); 5] = [
        ("/bin/tini", &["-g", "-v", "--"]),
        ("/bin/dumb-init", &["--"]),
        ("/bin/dumb-init", &["--single-child"]),
        ("/bin/catatonit", &["-g", "--"]),
        ("/sexton", &["--dialect", "tini", "-w", "--"]),
    ];
    for (entrypoint, options) in entrypoints {
        let plan = Plan::new().with(["--entrypoint", entrypoint]).env("SEXTON_PRE_STOP_SLEEP", "500ms");
        let command: Vec<String> = options.iter().map(|option| (*option).to_owned()).chain(record(15, 7)).collect();
        let mut container = plan.start(&command);
        container.wait_for_line("ready");
        container.shutdown(|container| container.stop(&["-t", "20"])).took(SECOND / 2, SLACK);
        assert_eq!(container.status(), 7, "{entrypoint} {options:?}");
        let (stdout, _) = container.logged();
        assert_eq!(stdout.matches("signal 15 ").count(), 1, "{entrypoint} {options:?}: {stdout}");
    }
}

#[test]
fn under_a_peers_name_the_exit_statuses_are_the_peers() {
    for (entrypoint, command, status) in [
        ("/bin/tini", &["--", "missing"][..], 127),
        ("/bin/tini", &["-Z", "true"], 1),
        ("/bin/tini", &["-e", "143", "--", "/probe", "die", "15"], 0),
        ("/bin/dumb-init", &["/probe", "exit", "9"], 9),
        ("/bin/catatonit", &["--", "missing"], 1),
    ] {
        let run = Plan::new().with(["--entrypoint", entrypoint]).finish(command);
        assert_eq!(run.status, Some(status), "{entrypoint} {command:?}: {run:?}");
    }
}

// Exit statuses

/// The core table asks `docker wait`.
#[test]
fn docker_run_exits_with_the_commands_status() {
    let cases: [(&[&str], i32, &str); 4] = [
        (&["sh", "-c", "exit 7"], 7, ""),
        (&["/missing"], 127, "/missing"),
        // The engine puts it there, and it is not executable.
        (&["/etc/hosts"], 126, "it is not executable"),
        (&["sh", "-c", "kill -KILL $$"], 137, "was killed by SIGKILL, which sexton did not send"),
    ];
    for (command, status, said) in cases {
        let run = Plan::new().finish(command);
        assert_eq!(run.status, Some(status), "{run:?}");
        assert!(run.stderr.contains(said) && run.stderr.is_empty() == said.is_empty(), "{run:?}");
    }
}

#[test]
fn docker_kill_ends_the_container_with_137() {
    let mut container = Plan::new().start(record(15, 7));
    container.wait_for_line("ready");
    container.kill("KILL");
    assert_eq!(container.status(), 137);
}

#[test]
fn an_expected_exit_is_a_success() {
    let mut container = Plan::new().env("SEXTON_EXPECT_EXIT", "143").start(SLEEP);
    container.wait_for_line("ready");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 0);
}

/// The exit status of wrong usage: as `docker-init` sexton has tini's.
fn wrong_usage() -> i32 {
    if engine().kind.has_init() { 1 } else { 125 }
}

#[test]
fn a_wrong_variable_is_named_and_nothing_is_started() {
    for (name, value, said) in [
        ("SEXTON_GRACE_PERIOD", "soon", "SEXTON_GRACE_PERIOD"),
        ("SEXTON_STOP_SIGNALS", "SIGNOTHING", "SEXTON_STOP_SIGNALS"),
        ("SEXTON_REWRITE", "HUP", "SEXTON_REWRITE"),
    ] {
        let run = Plan::new().env(name, value).finish(["echo", "started"]);
        assert_eq!((run.status, run.stdout.as_str()), (Some(wrong_usage()), ""), "{run:?}");
        assert!(run.stderr.starts_with("sexton: ") && run.stderr.contains(said), "{run:?}");
    }
}

/// A line of `--env-file` is taken as it is.
#[test]
fn an_env_file_with_windows_line_ends_does_and_quotes_in_it_are_refused() {
    let folder = harness::names::Folder::named(&format!("{}-{}", harness::run_name(), harness::names::random()));
    let file = folder.path("variables");
    let with_file = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Plan::new().with(["--env-file", &file])
    };
    let run = with_file("SEXTON_EXPECT_EXIT=143, 7\r\nSEXTON_LOG= info\r\n").finish(["sh", "-c", "exit 7"]);
    let refused = with_file("SEXTON_GRACE_PERIOD=\"8s\"\n").finish(["echo", "started"]);
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stderr.contains("exited with status 7"), "{run:?}");
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(wrong_usage()), ""), "{refused:?}");
    assert!(refused.stderr.contains("SEXTON_GRACE_PERIOD: \"8s\" has quotes around it"), "{refused:?}");
}

/// Arguments of `docker run` take the place of the image's CMD.
#[test]
fn what_only_a_shell_or_sexton_itself_understands_is_told_when_it_stands_for_the_command() {
    for (command, said) in [
        (&["--version"][..], "; what stands behind the -- is the command"),
        (&["sh -c ls"], "; no shell splits it into words: write [\"sh\", \"-c\", \"ls\"]"),
        (&["exec", "sh"], "; exec is a word of the shell, and no shell looks at it: write [\"sh\"]"),
    ] {
        let run = Plan::new().finish(command);
        assert_eq!(run.status, Some(127), "{run:?}");
        assert!(run.stderr.contains(said), "{run:?}");
    }
}

#[test]
fn a_pre_stop_sleep_that_leaves_no_grace_is_refused() {
    let plan = Plan::new().env("SEXTON_GRACE_PERIOD", "5s").env("SEXTON_PRE_STOP_SLEEP", "5s");
    let run = plan.finish(["echo", "started"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(wrong_usage()), ""), "{run:?}");
    assert!(run.stderr.contains("SEXTON_PRE_STOP_SLEEP"), "{run:?}");
}

#[test]
fn an_unknown_variable_is_a_warning() {
    let run = Plan::new().env("SEXTON_GRACE", "5s").finish(["echo", "started"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), "started\n"), "{run:?}");
    assert!(run.stderr.contains("SEXTON_GRACE_PERIOD"), "{run:?}");
}

// Orphans

#[test]
fn orphans_of_docker_exec_are_reaped() {
    const COUNT: usize = 200;
    let mut container = Plan::new().env("SEXTON_WARN_ON_REAP", "1").start(record(15, 7));
    container.wait_for_line("ready");
    let exec = container.exec(["/probe", "orphans", &COUNT.to_string(), "0"]);
    assert_eq!(exec.status, Some(0), "{exec:?}");
    for _ in 0..COUNT {
        container.wait_for_line("reaped orphan");
    }
    let left = container.children();
    assert_eq!(left.len(), 1, "only the command is left: {left:?}");
    assert_ne!(left[0].state, 'Z');
    container.stop(&[]);
    assert_eq!(container.status(), 7);
}

/// Somebody looks at a server in an interactive shell, which ignores SIGTERM, and the server crashes: it is to be
/// restarted.
#[test]
fn a_shell_of_docker_exec_does_not_hold_a_container_whose_command_is_gone() {
    for policy in ["stop", "wait"] {
        let mut container = Plan::new().env("SEXTON_ORPHANS", policy).start(record(10, 7));
        container.wait_for_line("ready");
        let mut terminal = container.exec_on_terminal("sh");
        terminal.wait_for("# ");
        // What is typed is shown as well; the quotes tell it from what is printed.
        terminal.type_in("echo pi''d $$\n");
        terminal.wait_for("\npid ");
        let asked = Instant::now();
        let _ = container.exec(["sh", "-c", "kill -USR1 $(pidof probe)"]);
        assert_eq!(container.status(), 7, "{policy}");
        assert!(asked.elapsed() < SLACK, "{policy}: it waited for the shell");
        let said = container.logged().1;
        let told = "which was started from outside the container, as docker exec does: the kernel kills it now\n";
        assert!(said.starts_with("sexton: /probe (pid "), "{said}");
        assert!(said.contains(") is gone, and sexton does not wait for sh (pid ") && said.ends_with(told), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        terminal.status();
    }
}

#[test]
fn an_orphan_of_docker_exec_lives_on_and_is_reaped_at_its_end() {
    let mut container = Plan::new().env("SEXTON_WARN_ON_REAP", "1").start(record(15, 7));
    container.wait_for_line("ready");
    let exec = container.exec(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
    let orphan = exec.succeeded().trim().to_owned();
    assert_eq!(container.children().len(), 2, "the command and the orphan");
    container.exec(["kill", &orphan]).succeeded();
    container.wait_for_line(&format!("reaped orphan {orphan}: it was killed by SIGTERM"));
    assert_eq!(container.children().len(), 1, "the command");
}

#[test]
fn with_the_hosts_pid_namespace_orphans_of_the_command_are_reaped_by_sexton() {
    let script = "(/probe exit 5 &); exec /probe record 15 7";
    // The engine puts no init of its own there.
    let plan = Plan::new().with(["--pid=host", "--entrypoint=/sexton"]).env("SEXTON_WARN_ON_REAP", "1");
    let mut container = plan.start(["--", "sh", "-c", script]);
    // sexton is not PID 1 here: as a subreaper, unless it may not be one, it gets them all the same.
    container.wait_for_line(if let Kind::Refusing(_) = engine().kind { "ready" } else { "it exited with status 5" });
    assert_eq!(container.children().len(), 1, "the command");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7);
}

// The container's log

#[test]
fn a_job_of_docker_exec_and_its_orphan_write_to_the_containers_log() {
    let mut container = Plan::new().start(record(15, 7));
    container.wait_for_line("ready");
    container.exec(["sh", "-c", "echo a job >/proc/1/fd/1; echo an error >/proc/1/fd/2"]).succeeded();
    container.wait_for_line("a job");
    let orphan = "until [ $(cut -d ' ' -f 4 /proc/$$/stat) = 1 ]; do :; done; echo an orphan >/proc/1/fd/1 2>&1";
    let script = "setsid sh -c \"$0\" </dev/null >/dev/null 2>&1 &";
    container.exec(["sh", "-c", script, orphan]).succeeded();
    container.wait_for_line("an orphan");
    container.stop(&[]);
    assert_eq!(container.status(), 7);
    let (stdout, stderr) = container.logged();
    assert!(stdout.contains("a job\n") && stdout.contains("an orphan\n"), "{stdout}");
    assert_eq!(stderr, "an error\n");
}

/// `crond` gives its jobs descriptors of its own, and mails what they say.
#[test]
fn a_job_of_a_cron_writes_to_the_containers_log() {
    const CRON: &str = "mkdir -p /var/spool/cron/crontabs; echo root:x:0:0::/:/bin/sh >/etc/passwd; \
                        echo '* * * * * echo a job of cron >/proc/1/fd/1 2>&1' >/var/spool/cron/crontabs/root; \
                        echo ready; exec crond -f -L /dev/null >/dev/null 2>&1";
    let mut container = Plan::new().start(["sh", "-c", CRON]);
    container.wait_for_line("ready");
    // It starts a job at the begin of a minute.
    container.wait_for_line("a job of cron");
    container.stop(&[]);
}

#[test]
fn a_log_file_that_is_a_link_to_proc_1_fd_1_is_the_containers_log() {
    let image =
        with_instructions(r#"RUN ["/bin/sh", "-c", "mkdir -p /var/log && ln -s /proc/1/fd/1 /var/log/app.log"]"#);
    for user in ["0", "65534"] {
        let mut container =
            Plan::from_image(image.clone()).with(["--user", user]).start(["sh", "-c", "read x; exit 9"]);
        let _ = &mut container;
        let script = "exec >/dev/null 2>&1; echo of the command >>/var/log/app.log; exec /probe record 15 7";
        let mut container = Plan::from_image(image.clone()).with(["--user", user]).start(["sh", "-c", script]);
        container.wait_for_line("of the command");
        container.exec_as(user, ["sh", "-c", "echo of a job >>/var/log/app.log"]).succeeded();
        container.wait_for_line("of a job");
        container.stop(&[]);
        assert_eq!(container.status(), 7, "user {user}");
    }
}

#[test]
fn under_a_peers_name_the_containers_log_is_there_too() {
    for (entrypoint, options) in [
        ("/bin/tini", &["--"][..]),
        ("/bin/dumb-init", &["--"]),
        ("/bin/catatonit", &["--"]),
        ("/sexton", &["--pause"]),
    ] {
        let command: Vec<String> = match options {
            ["--pause"] => vec!["--pause".into()],
            _ => options.iter().map(|option| (*option).to_owned()).chain(record(15, 0)).collect(),
        };
        let mut container = Plan::new().with(["--entrypoint", entrypoint]).start(&command);
        if options != ["--pause"] {
            container.wait_for_line("ready");
        }
        container.exec(["sh", "-c", "echo a job >/proc/1/fd/1"]).succeeded();
        container.wait_for_line("a job");
        container.stop(&[]);
        assert_eq!(container.status(), 0, "{entrypoint}");
    }
}

/// A job is told by SIGPIPE, as it is without an init; sexton, whose stdout it is, goes on.
#[test]
fn when_nobody_reads_pid_1s_stdout_a_job_is_told_so_and_the_container_goes_on() {
    let script = "trap 'exit 7' TERM; echo ready >&2; while :; do sleep 0.1; done";
    let plan = Plan::new().with(["--init=false", "--entrypoint=/probe"]);
    let mut container = plan.start(["no-reader", "/sexton", "--", "sh", "-c", script]);
    container.wait_for_line("ready");
    assert_eq!(container.exec(["sh", "-c", "echo lost >/proc/1/fd/1"]).status, Some(128 + libc::SIGPIPE));
    let told = container.exec(["sh", "-c", "trap '' PIPE; echo lost >/proc/1/fd/1"]);
    assert!(told.status == Some(1) && told.stderr.contains("Broken pipe"), "{told:?}");
    assert_eq!(container.inspect("{{.State.Running}}"), "true");
    container.stop(&[]);
    assert_eq!(container.status(), 7);
    assert_eq!(container.logged().1, "ready\n");
}

// Hardened containers

/// Starts a container with these options, stops it, and expects that all goes well and in silence.
fn stops_well_with(options: &[&str]) {
    let mut container = Plan::new().with(options.iter().copied()).start(record(15, 7));
    container.wait_for_line("ready");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7, "{options:?}");
    assert_eq!(container.logged().1, "", "{options:?}");
}

/// More than runc itself needs for starting PID 1: it has one thread or so for each processor.
const PIDS_LIMIT: &str = "--pids-limit=64";

/// A shell script that uses up the last process of the container: the inner shell dies of the one
/// it cannot have, and its own place is taken afterwards.
const FILL: &str = "sh -c 'while :; do sleep 1000 & done' 2>/dev/null; sleep 1000 &";

#[test]
fn a_read_only_file_system_is_enough() {
    let mut container = Plan::new().with(["--read-only"]).start(record(15, 7));
    container.wait_for_line("ready");
    assert_eq!(container.exec(["touch", "/file"]).status, Some(1), "it is read-only");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7);
}

#[test]
fn no_capability_is_needed() {
    stops_well_with(&["--cap-drop=ALL"]);
}

#[test]
fn no_new_privileges_are_needed() {
    stops_well_with(&["--security-opt=no-new-privileges"]);
}

#[test]
fn a_user_without_a_name_is_enough() {
    stops_well_with(&["--user=65534"]);
}

#[test]
fn little_memory_is_enough() {
    stops_well_with(&["--memory=32m"]);
    // The least that the engine allows.
    stops_well_with(&["--memory=6m"]);
}

#[test]
fn a_limit_on_processes_is_no_obstacle() {
    stops_well_with(&[PIDS_LIMIT]);
}

#[test]
fn everything_hardened_at_once_is_enough() {
    let hardened = [
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--user=65534:65534",
        PIDS_LIMIT,
        "--memory=6m",
    ];
    let state = Plan::new().with(hardened).finish(["/probe", "state"]);
    assert_eq!((state.status, state.stderr.as_str()), (Some(0), ""), "{state:?}");
    assert!(has_fresh_signals(&state.stdout), "{state:?}");
    for line in ["no-new-privs 1", "uid 65534"] {
        assert!(state.stdout.lines().any(|known| known == line), "{line}: {state:?}");
    }
    stops_well_with(&hardened);
}

#[test]
fn a_container_that_is_full_of_processes_still_stops() {
    let command = format!("{FILL} exec /probe record 15 7");
    let mut container = Plan::new().with([PIDS_LIMIT]).start(["sh", "-c", &command]);
    container.wait_for_line("ready");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7);
}

#[test]
fn a_limit_on_processes_that_leaves_no_room_for_the_command_is_said() {
    // The limit holds for runc too, which needs some for itself before it becomes PID 1. So it is
    // a second sexton that finds the container full.
    let run = Plan::new().with([PIDS_LIMIT]).finish(["sh", "-c", &format!("{FILL} exec /sexton -- echo started")]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(125), ""), "{run:?}");
    assert!(run.stderr.contains("--pids-limit"), "{run:?}");
}

#[test]
fn a_lack_of_memory_is_told_whoever_is_killed_for_it() {
    for (command, status, told) in [
        (&["/probe", "eat"][..], 137, "was killed by SIGKILL, which sexton did not send; in "),
        (&["/probe", "eaten-child", "3"], 3, "exited with status 3; in "),
    ] {
        let engine_knows = || {
            let container = Plan::new().with(["--memory=16m", "--memory-swap=16m"]).start(command);
            assert_eq!(container.status(), status, "{command:?}");
            let said = container.logged().1;
            assert!(
                said.contains(told)
                    && said.contains("killed 1 process for lack of memory while it ran (limit 16 MiB, "),
                "{command:?}: {said}"
            );
            container.inspect("{{.State.OOMKilled}}") == "true"
        };
        // What the engine says depends on which of two messages comes first: the lack of memory or the end.
        assert!((0..10).any(|_| engine_knows()), "{command:?}: never OOMKilled");
    }
}

/// In this run of the tests (SEXTON_TEST_DOCKER): all others then show what that means for sexton.
#[test]
fn what_the_seccomp_profile_is_to_refuse_is_refused() {
    let calls = Plan::new().finish(["/probe", "calls"]).succeeded();
    let refused = |call: &str| {
        let errno = calls.lines().find_map(|line| line.strip_prefix(call)?.strip_prefix(' ')?.parse().ok());
        let errno: i32 = errno.unwrap_or_else(|| panic!("no {call}: {calls}"));
        [libc::EPERM, libc::ENOSYS].contains(&errno).then_some(errno)
    };
    let expected = if let Kind::Refusing(errno) = engine().kind { Some(errno) } else { None };
    assert_eq!(refused("subreaper"), expected, "{calls}");
    for call in CALLS {
        // Which of them Docker's own profile refuses depends on its version.
        assert!(expected.is_none() || refused(call) == expected, "{call}: {calls}");
    }
}

/// Enough for a command to change its user, and not enough for sexton to signal it afterwards.
const WITHOUT_KILL: [&str; 3] = ["--cap-drop=ALL", "--cap-add=SETUID", "--cap-add=SETGID"];

#[test]
fn a_refused_forward_is_a_warning_and_the_container_stays_up() {
    let mut container = Plan::new().with(WITHOUT_KILL).start(["/probe", "setuid", "65534", "record", "15", "7"]);
    container.wait_for_line("ready");
    for signal in ["USR1", "TERM"] {
        container.kill(signal);
        container.wait_for_line(&format!("cannot forward SIG{signal} to /probe"));
    }
    assert_eq!(container.inspect("{{.State.Running}}"), "true");
    // Whoever may signal the command still ends it, and sexton with it.
    container.exec_as("65534", ["kill", "-TERM", "-1"]);
    assert_eq!(container.status(), 7);
}

#[test]
fn a_command_that_sexton_may_not_kill_ends_with_the_container() {
    let plan = Plan::new().with(WITHOUT_KILL).env("SEXTON_GRACE_PERIOD", "1s");
    let mut container = plan.start(["/probe", "setuid", "65534", "ignore", "15"]);
    container.wait_for_line("ready");
    let shutdown = container.shutdown(|container| container.stop(&["-t", "20"]));
    shutdown.took(SECOND, SLACK);
    assert_eq!(shutdown.status, 137);
    let said = container.logged().1;
    assert!(said.contains("did not stop within 1s of SIGTERM and cannot be killed: Operation not permitted"), "{said}");
    assert!(!said.contains("killed with SIGKILL"), "{said}");
}

// The shutdown by the engine's clock

#[test]
fn the_pre_stop_sleep_is_between_the_stop_signal_and_the_command() {
    let mut container = Plan::new().env("SEXTON_PRE_STOP_SLEEP", "1s").start(record(15, 7));
    container.wait_for_line("ready");
    let shutdown = container.shutdown(|container| container.stop(&["-t", "30"]));
    shutdown.took(SECOND, SLACK);
    assert_eq!(shutdown.status, 7);
    let (forwarded, _) = container.wait_for_line_at("signal 15 ");
    assert!(forwarded - shutdown.asked >= SECOND, "forwarded at {forwarded:?}: {shutdown:?}");
    assert_eq!(container.logged().1, "", "all was well, so sexton says nothing");
}

#[test]
fn the_command_serves_requests_during_the_pre_stop_sleep() {
    let plan = Plan::new().env("SEXTON_PRE_STOP_SLEEP", "2s").env("SEXTON_LOG", "info");
    let mut container = plan.start(["sh", "-c", "echo hello >/index.html; exec httpd -f -v -p 8080 -h /"]);
    container.wait_for_line("started");
    // It retries until the server listens.
    let request = ["sh", "-c", "until wget -q -O - http://127.0.0.1:8080/; do :; done 2>/dev/null"];
    assert_eq!(container.exec(request).succeeded(), "hello\n");
    container.kill("TERM");
    container.wait_for_line("sleeping 2s before forwarding it");
    assert_eq!(container.exec(request).succeeded(), "hello\n");
    container.wait_for_line("forwarded SIGTERM");
    assert_eq!(container.status(), 143);
}

#[test]
fn a_command_that_exits_during_the_sleep_ends_the_container_at_once() {
    let mut container = Plan::new().env("SEXTON_PRE_STOP_SLEEP", "1h").env("SEXTON_LOG", "info").start(record(10, 7));
    container.wait_for_line("ready");
    let shutdown = container.shutdown(|container| {
        container.kill("TERM");
        // Any other signal is forwarded at once, and it ends this command.
        container.kill("USR1");
    });
    shutdown.took(Duration::ZERO, SLACK);
    assert_eq!(shutdown.status, 7);
    container.wait_for_line("sleeping 1h before forwarding it");
    assert!(!container.logged().0.contains("signal 15 "), "the sleep was not over");
}

#[test]
fn a_second_stop_signal_ends_the_sleep() {
    let mut container = Plan::new().env("SEXTON_PRE_STOP_SLEEP", "1h").env("SEXTON_LOG", "info").start(record(15, 7));
    container.wait_for_line("ready");
    container.kill("TERM");
    container.wait_for_line("sleeping 1h before forwarding it");
    container.kill("TERM");
    assert_eq!(container.status(), 7);
}

#[test]
fn the_grace_period_ends_with_a_kill_and_one_sentence() {
    let mut container = Plan::new().env("SEXTON_GRACE_PERIOD", "2s").start(["/probe", "ignore", "15"]);
    container.wait_for_line("ready");
    let shutdown = container.shutdown(|container| container.stop(&["-t", "30"]));
    shutdown.took(2 * SECOND, SLACK);
    assert_eq!(shutdown.status, 137);
    let said = container.logged().1;
    for part in ["did not stop within 2s of SIGTERM: it ignores SIGTERM (", "; killed with SIGKILL; SIGTERM came from "]
    {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn the_pre_stop_sleep_counts_against_the_grace_period() {
    let plan = Plan::new().env("SEXTON_GRACE_PERIOD", "7s").env("SEXTON_PRE_STOP_SLEEP", "6s");
    let mut container = plan.start(["/probe", "ignore", "15"]);
    container.wait_for_line("ready");
    let shutdown = container.shutdown(|container| container.stop(&["-t", "30"]));
    // One after the other they would be 13s.
    shutdown.took(7 * SECOND, SLACK);
    assert_eq!(shutdown.status, 137);
}

#[test]
fn a_command_that_stops_within_its_grace_period_is_not_killed() {
    let mut container = Plan::new().env("SEXTON_GRACE_PERIOD", "1h").start(record(15, 7));
    container.wait_for_line("ready");
    let shutdown = container.shutdown(|container| container.stop(&["-t", "20"]));
    shutdown.took(Duration::ZERO, SLACK);
    assert_eq!(shutdown.status, 7);
}

#[test]
fn the_time_limit_of_docker_stop_cuts_a_pre_stop_sleep_short() {
    // The engine's clock is running by the time PID 1 gets the signal; sexton cannot stop it.
    let mut container = Plan::new().env("SEXTON_PRE_STOP_SLEEP", "1h").start(record(15, 7));
    container.wait_for_line("ready");
    container.shutdown(|container| container.stop(&["-t", "1"])).took(SECOND, SLACK);
    assert_eq!(container.status(), 137);
}
