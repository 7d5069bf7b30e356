//! What the command leaves behind shuts down gracefully too, inside the same grace period.

mod harness;
#[path = "harness/json.rs"]
mod json;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use harness::{BOTH, Folder, Place, Running, Sexton, Status, needs, now, probe_binary, sexton_binary, wait_until};

const STOP: [&str; 4] = ["--orphans", "stop", "--grace-period", "20s"];

/// A shell that starts `server` in one of the ways people do; `SERVER` cleans up for 200 ms.
fn start(place: Place, options: &[&str], shell: &str, script: &str) -> Running {
    let server = format!("{} server 200", probe_binary().display());
    let script = script.replace("SERVER", &server).replace("PROBE", probe_binary().to_str().unwrap());
    Sexton::new(place).options(options).command([shell, "-c", &script])
}

/// Stops it and waits until each of `servers` servers has said that it cleaned up, once.
#[track_caller]
fn assert_clean(mut run: Running, what: &str, servers: usize) -> Status {
    for _ in 0..servers {
        run.wait_for_line("ready");
    }
    run.send(15);
    for _ in 0..servers {
        assert_eq!(run.wait_for_line("clean"), "clean 1", "{what}: the stop signal came more than once");
    }
    run.status()
}

#[test]
fn every_form_of_entrypoint_shuts_down_gracefully_and_each_process_is_told_once() {
    let forms: &[(&str, &str, &str, usize)] = &[
        ("shell form", "sh", "SERVER", 1),
        ("a shell with something to do afterwards", "bash", "SERVER; true", 1),
        ("the same with dash", "sh", "SERVER; true", 1),
        ("a pipeline", "sh", "SERVER | (trap '' TERM; cat)", 1),
        ("both ends of a pipeline", "bash", "SERVER | SERVER 1>&2 2>/dev/null | SERVER", 1),
        ("in the background", "sh", "SERVER & wait", 1),
        ("a supervisor with workers", "bash", "SERVER & SERVER & SERVER & wait", 3),
        ("two shells deep", "bash", "bash -c 'SERVER; true'; true", 1),
    ];
    for place in BOTH {
        for (what, shell, script, servers) in forms {
            let options = [&STOP[..], &["--group"]].concat();
            let status = assert_clean(start(place, &options, shell, script), &format!("{place:?}, {what}"), *servers);
            assert!(matches!(status, Status::Exited(0 | 143)), "{place:?}, {what}: {status:?}");
        }
    }
}

/// npm runs the script in a shell and passes SIGTERM on by itself.
#[test]
fn npm_start_shuts_down_gracefully() {
    needs!(NPM);
    let folder = Folder::new();
    let script = format!("{} server 200; true", probe_binary().display());
    let package = format!(r#"{{"name": "server", "version": "1.0.0", "scripts": {{"start": "{script}"}}}}"#);
    std::fs::write(folder.path("package.json"), package).unwrap();
    for (place, group) in BOTH.into_iter().flat_map(|place| [(place, &[][..]), (place, &["--group"])]) {
        let mut run = Sexton::new(place)
            .options(STOP)
            .options(group)
            .setup([format!("cwd={}", folder.0.display())])
            .env("HOME", &folder.0)
            .env("npm_config_update_notifier", "false")
            .command(["npm", "start"]);
        run.wait_for_line("ready");
        run.send(15);
        assert_eq!(run.wait_for_line("clean"), "clean 1", "{place:?}");
        run.status();
    }
}

/// A handler of the stop signal starts one more process and ends: it was not there to be told.
#[test]
fn what_was_started_after_the_group_was_told_is_told_too() {
    for place in BOTH {
        let options = [&STOP[..], &["--group"]].concat();
        let script = "trap 'SERVER & ' TERM; echo armed; while read x; do :; done; exit 5";
        let mut run = start(place, &options, "bash", script);
        run.wait_for_line("armed");
        run.send(15);
        run.wait_for_line("ready");
        drop(run.stdin.take());
        assert_eq!(run.wait_for_line("clean"), "clean 1", "{place:?}");
        assert_eq!(run.status_within(Duration::from_secs(15)), Status::Exited(5), "{place:?}");
    }
}

#[test]
fn without_group_the_orphans_are_told_when_the_command_is_gone() {
    for place in BOTH {
        let status = assert_clean(start(place, &STOP, "bash", "SERVER; true"), "bash", 1);
        assert_eq!(status, Status::Exited(143), "the shell's own end by SIGTERM");
    }
}

#[test]
fn daemons_that_left_the_group_the_session_or_their_user_are_found() {
    needs!(Root);
    for place in BOTH {
        for options in [&STOP[..], &[&STOP[..], &["-g"]].concat()] {
            // The command is the first server; the others are out of its reach.
            let script = "setsid SERVER & (SERVER &) ; (setsid sh -c 'SERVER; true' &); PROBE setuid 65534 server 200 & exec SERVER";
            let run = start(place, options, "bash", script);
            assert_eq!(assert_clean(run, &format!("{place:?} {options:?}"), 5), Status::Exited(0));
        }
    }
}

#[test]
fn orphans_of_a_command_that_exits_by_itself_are_stopped_and_the_status_stays_the_commands() {
    for place in BOTH {
        let mut run = start(place, &STOP, "sh", "setsid SERVER & read x; exit 7");
        run.wait_for_line("ready");
        drop(run.stdin.take());
        assert_eq!(run.wait_for_line("clean"), "clean 1", "{place:?}");
        assert_eq!(run.status(), Status::Exited(7), "{place:?}");
    }
}

#[test]
fn a_stubborn_orphan_is_killed_when_the_grace_period_is_over() {
    for place in BOTH {
        let mut run = start(
            place,
            &["--orphans", "stop", "--grace-period", "700ms"],
            "sh",
            "setsid PROBE ignore 15 & read x; exit 7",
        );
        let orphan = run.wait_for_line("ready");
        let started = now();
        drop(run.stdin.take());
        assert_eq!(run.status(), Status::Exited(7), "{place:?}");
        let took = now() - started;
        assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(4), "{place:?}: {took:?}");
        if place == Place::Ordinary {
            let pid = orphan.strip_prefix("ready ").unwrap().parse().unwrap();
            assert!(!is_alive(pid), "the orphan is still there");
        }
    }
}

fn is_alive(pid: i32) -> bool {
    harness::proc_status(pid, "State").is_some_and(|state| !state.starts_with('Z') && !state.starts_with('X'))
}

#[test]
fn the_orphans_share_the_clock_of_the_command() {
    for place in BOTH {
        let options = ["--orphans", "stop", "--grace-period", "2s", "--pre-stop-sleep", "1s"];
        let mut run = start(place, &options, "sh", "setsid PROBE ignore 15 & exec SERVER");
        run.wait_for_line("ready");
        run.wait_for_line("ready");
        let sent = now();
        run.send(15);
        assert_eq!(run.status(), Status::Exited(0));
        let took = now() - sent;
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(4), "{place:?}: {took:?}");
    }
}

#[test]
fn with_wait_sexton_stays_until_none_is_left() {
    for place in BOTH {
        let mut run = start(place, &["--orphans", "wait"], "sh", "(sleep 0.3; echo last-line) & exit 4");
        assert_eq!(run.line(), "last-line", "{place:?}");
        assert_eq!(run.status(), Status::Exited(4));
    }
}

#[test]
fn with_wait_signals_go_to_what_is_left() {
    for place in BOTH {
        let mut run = start(place, &["--orphans", "wait"], "sh", "PROBE record 15 0 & read x; exit 4");
        run.wait_for_line("ready");
        let command = run.command_pid();
        drop(run.stdin.take());
        wait_until("the command is gone", || !harness::children(run.pid).contains(&command));
        wait_until("sexton waits", || harness::is_waiting(run.pid));
        run.send(libc::SIGHUP);
        assert_eq!(run.recorded().signal, 1, "{place:?}");
        run.send(15);
        assert_eq!(run.recorded().signal, 15, "{place:?}");
        assert_eq!(run.status(), Status::Exited(4));
    }
}

#[test]
fn a_fork_bomb_of_200_does_not_escape() {
    let options = "--orphans stop --grace-period 300ms --";
    let (sexton, probe) = (sexton_binary(), probe_binary());
    let (sexton, probe) = (sexton.display(), probe.display());
    // In a namespace of its own, whose end is the end of whatever escapes: but sexton is not its
    // PID 1 and has to do it all by itself. Another child makes no difference.
    for before in ["", "sleep 1000 &"] {
        let script = format!("sh -c '{before} exec {sexton} {options} {probe} bomb 200'; echo status-$?; read x");
        let mut run = Sexton::new(Place::Init).binary("/bin/sh").options(["-c", &script]).bare();
        run.wait_for_line("ready");
        let started = now();
        assert_eq!(run.wait_for_line("status"), "status-0");
        assert!(now() - started < Duration::from_secs(10), "they ended by themselves, not by sexton");
        let left = harness::descendants(run.pid);
        assert!(left.is_empty(), "{left:?}");
    }
    // They come faster than sexton can look at each.
    let mut run = Sexton::new(Place::Init).options(options.split(' ').take(4)).probe(["bomb", "200"]);
    run.wait_for_line("ready");
    let started = now();
    assert_eq!(run.status(), Status::Exited(0));
    assert!(now() - started < Duration::from_secs(10), "the deadline was held off");
}

#[test]
fn ten_thousand_orphans_are_stopped_and_reaped_in_one_go() {
    for place in BOTH {
        let mut run = Sexton::new(place).options(STOP).probe(["sleepers", "10000"]);
        run.line();
        assert_eq!(run.status(), Status::Exited(3), "{place:?}");
    }
}

/// It is shown as `Z`, as a dead one is.
#[test]
fn a_process_whose_first_thread_has_ended_is_told_and_waited_for() {
    for place in BOTH {
        // A child of the orphan's, too.
        let script =
            "setsid sh -c 'PROBE headless server 200; true' & setsid PROBE headless server 200 & read x; exit 7";
        let mut run = start(place, &[&STOP[..], &["-v"]].concat(), "sh", script);
        for _ in 0..2 {
            run.wait_for_line("ready");
        }
        drop(run.stdin.take());
        for _ in 0..2 {
            assert_eq!(run.wait_for_line("clean"), "clean 1", "{place:?}");
        }
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(7), "{place:?}");
        assert!(!stderr.contains("zombie"), "{place:?}: {stderr}");
    }
}

#[test]
fn a_process_whose_first_thread_has_ended_is_named_when_it_is_killed() {
    for place in BOTH {
        let options = ["--orphans", "stop", "--grace-period", "300ms"];
        let mut run = start(place, &options, "sh", "setsid PROBE headless ignore 15 & read x; exit 7");
        run.wait_for_line("ready");
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(7), "{place:?}");
        assert!(stderr.contains("killed with SIGKILL, 1 process left (probe)"), "{place:?}: {stderr}");
    }
}

#[test]
fn a_stopped_orphan_is_continued_so_that_it_can_act_on_the_stop_signal() {
    for place in BOTH {
        // A child of sexton's, and a child of one.
        let script = "setsid SERVER & setsid sh -c 'SERVER; true' & read x; exit 7";
        let mut run = start(place, &STOP, "sh", script);
        for _ in 0..2 {
            run.wait_for_line("ready");
        }
        let servers: Vec<i32> =
            harness::descendants(run.pid).into_iter().filter(|pid| name_of(*pid).as_deref() == Some("probe")).collect();
        assert_eq!(servers.len(), 2, "{place:?}");
        for server in servers {
            harness::kill(server, libc::SIGSTOP);
            let is_stopped = || harness::proc_status(server, "State").is_some_and(|state| state.starts_with('T'));
            wait_until("it is stopped", is_stopped);
        }
        drop(run.stdin.take());
        for _ in 0..2 {
            assert_eq!(run.wait_for_line("clean"), "clean 1", "{place:?}");
        }
        assert_eq!(run.status(), Status::Exited(7), "{place:?}");
    }
}

fn name_of(pid: i32) -> Option<String> {
    harness::proc_status(pid, "Name")
}

/// No signal is forwarded, so the first kill(2) of sexton's is the one that is to end them.
const KILL_ALONE: [&str; 6] = ["--orphans", "wait", "--grace-period", "300ms", "--rewrite", "TERM:0"];

/// As PID 1 the one kill(2) for all does nothing; elsewhere SIGSTOP reaches both, and SIGKILL the first one alone.
#[test]
fn what_escaped_the_kill_is_killed_when_another_one_is_dead() {
    for (place, setup) in
        [(Place::Init, &["fault=1:3:sexton kill"][..]), (Place::Ordinary, &["beside-init", "fault=4:3:sexton kill"])]
    {
        let script =
            format!("setsid {0} record 10 0 & setsid {0} ignore 15 10 & read x; exit 7", probe_binary().display());
        let mut run = Sexton::new(place).setup(setup.iter().copied()).options(KILL_ALONE).shell(&script);
        for _ in 0..2 {
            run.wait_for_line("ready");
        }
        let command = run.command_pid();
        drop(run.stdin.take());
        wait_until("the command is gone", || !harness::children(run.pid).contains(&command));
        wait_until("sexton waits", || harness::is_waiting(run.pid));
        run.send(15);
        let mut log = BufReader::new(run.stderr.take().unwrap());
        let mut stderr = String::new();
        log.read_line(&mut stderr).unwrap();
        assert!(stderr.contains("killed with SIGKILL, 2 processes left (probe, probe)"), "{place:?}: {stderr}");
        if place == Place::Init {
            // The first one ends by itself.
            run.send(libc::SIGUSR1);
        }
        log.read_to_string(&mut stderr).unwrap();
        assert_eq!(run.status(), Status::Exited(7), "{place:?}: {stderr}");
        assert_eq!(run.traced, ["fault"], "{place:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{place:?}: it was left behind: {stderr}");
    }
}

/// Two orphans are killed one after the other, and the second one would do something when the first one is dead:
/// by then it is stopped. (As PID 1 the kernel kills all in one step.)
#[test]
fn nobody_who_is_to_be_killed_sees_another_one_die_before() {
    let script = "{ setsid sh -c 'echo first >&2; exec sleep 1000' | setsid sh -c 'echo second; read x; echo escaped'; } & \
                  read x; exit 7";
    let mut run = Sexton::new(Place::Ordinary)
        .setup(["beside-init", "hold=1:exit:500:0:sexton kill"])
        .options(KILL_ALONE)
        .shell(script);
    run.wait_for_line("second");
    let command = run.command_pid();
    drop(run.stdin.take());
    wait_until("the command is gone", || !harness::children(run.pid).contains(&command));
    wait_until("sexton waits", || harness::is_waiting(run.pid));
    run.send(15);
    let (status, stdout, stderr) = run.try_finish(Duration::from_secs(20)).expect("it does not end");
    assert_eq!((status, stdout.as_str()), (Status::Exited(7), ""), "{stderr}");
    assert_eq!(run.traced, ["hold"], "{stderr}");
    assert!(stderr.contains("killed with SIGKILL"), "{stderr}");
}

/// As `unshare --pid --fork` without --mount-proc has it: the numbers there are those of others.
#[test]
fn a_proc_of_another_namespace_is_not_believed() {
    let folder = Folder::new();
    let (sexton, probe) = folder.programs();
    let sexton = format!("{sexton} --orphans stop --grace-period 20s -- sh -c");
    let command = format!("{probe} server 200 & read x; exit 7");
    let unshare = ["--map-current-user", "--pid", "--fork", "--kill-child", "sh", "-c"];
    let cases = [
        (format!("exec {sexton} \"$0\""), "sent SIGTERM to every process"),
        (format!("{sexton} \"$0\"; exit $?"), "sent SIGTERM to the process group of sh (pid 3) alone"),
    ];
    for (script, told) in cases {
        let options = [&unshare[..], &[&script, &command]].concat();
        let mut run = Sexton::new(Place::Ordinary).binary("/usr/bin/unshare").options(options).bare();
        run.wait_for_line("ready");
        drop(run.stdin.take());
        assert_eq!(run.wait_for_line("clean"), "clean 1", "{script}");
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(7), "{script}: {stderr}");
        assert!(stderr.contains("there is no usable /proc") && stderr.contains(told), "{script}: {stderr}");
    }
}

/// A script whose own child becomes sexton by exec, with a child that stays in the script's session and process
/// group: those are not sexton's. As `setup` has it they have numbers, or are shown as 0, or as PID 1's.
#[track_caller]
fn assert_the_callers_group_is_spared(place: Place, setup: &[&str], between: &str) {
    let inner = format!(
        "(trap '' TERM; echo child; exec sleep 1000) & {between} \
         exec setsid {} --orphans stop --grace-period 300ms -- sh -c 'read go'",
        sexton_binary().display()
    );
    let outer = format!(
        "sleep 1000 & bystander=$!; sh -c \"{}\"; echo inner-$?; kill -0 $bystander; echo bystander-$?; read x; exit 8",
        inner.replace('$', "\\$")
    );
    let mut run = Sexton::new(place).binary("/bin/sh").setup(setup.iter().copied()).options(["-c", &outer]).bare();
    let what = format!("{place:?} {setup:?} {between}");
    // Only then does the command end: before, SIGTERM would kill the child.
    run.wait_for_line("child");
    let started = now();
    run.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(run.wait_for_line("inner"), "inner-0", "{what}");
    assert!(now() - started < Duration::from_secs(10), "{what}: the child that sexton was given was not killed");
    assert_eq!(run.line(), "bystander-0", "{what}");
    assert_eq!(harness::descendants(run.pid).len(), 1, "{what}: all but the bystander are gone");
    drop(run.stdin.take());
    assert_eq!(run.status(), Status::Exited(8), "{what}");
}

#[test]
fn a_group_in_which_not_everybody_is_sextons_is_not_killed_even_when_a_child_of_sextons_is_in_it() {
    for between in ["", "setsid true;"] {
        assert_the_callers_group_is_spared(Place::Ordinary, &["setsid"], between);
        // The script is PID 1, and leads group 1 or one that is shown as 0: kill(2) takes both for something else.
        assert_the_callers_group_is_spared(Place::Init, &["setsid"], between);
        assert_the_callers_group_is_spared(Place::Init, &[], between);
    }
}

/// What somebody starts in a PID namespace below sexton becomes sexton's when its own parent ends, and is in the
/// session of whoever started it.
#[test]
fn a_session_is_not_killed_because_an_orphan_of_it_came_to_sexton() {
    needs!(Root);
    let options = ["--orphans", "stop", "--grace-period", "300ms"];
    let script = "exec unshare --pid --fork sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done'";
    let mut run = start(Place::Ordinary, &options, "sh", script);
    run.wait_for_line("ready");
    let init = harness::children(run.command_pid())[0];
    let script = format!("nsenter -t {init} -p sh -c 'sleep 1000 & echo $!' >&2; echo entered; read x; exit 9");
    // In a session of its own: the tests are not to die of a failure.
    let mut caller = Sexton::new(Place::Ordinary).binary("/bin/sh").setup(["setsid"]).options(["-c", &script]).bare();
    assert_eq!(caller.line(), "entered");
    wait_until("the orphan is sexton's", || harness::children(init).len() == 2);
    run.send(15);
    run.status();
    wait_until("the namespace is gone", || !is_alive(init));
    drop(caller.stdin.take());
    assert_eq!(caller.status(), Status::Exited(9));
}

/// Somebody whom an engine's exec put into the namespace: no child of PID 1, for its parent is outside.
struct Stranger {
    nsenter: Child,
    stdout: BufReader<ChildStdout>,
}

impl Stranger {
    fn beside(run: &Running, program: &str, args: &[&str]) -> Stranger {
        let mut nsenter = harness::enter(run, program)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter is missing: apt-get install util-linux");
        let stdout = BufReader::new(nsenter.stdout.take().unwrap());
        Stranger { nsenter, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// It says that it is ready, and its pid.
    fn pid(&mut self) -> i32 {
        let line = self.line();
        line.strip_prefix("ready ").and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{line:?}"))
    }

    /// nsenter(1) dies as what it started does.
    #[track_caller]
    fn was_killed(mut self) {
        assert_eq!(self.nsenter.wait().unwrap().signal(), Some(libc::SIGKILL));
    }
}

const OUTSIDE: &str = "started from outside the container, as docker exec does: the kernel kills";

#[test]
fn what_was_put_into_the_namespace_from_outside_is_told_to_stop_and_not_waited_for() {
    // The command is the one that ends with its stdin; the other one is its orphan.
    let mut run = start(Place::Init, &STOP, "sh", "setsid PROBE record 10 0 & read x; exit 7");
    run.wait_for_line("ready");
    let mut stranger = Stranger::beside(&run, probe_binary().to_str().unwrap(), &["record", "1", "0"]);
    let pid = stranger.pid();
    drop(run.stdin.take());
    assert_eq!(run.recorded().signal, libc::SIGTERM);
    let told = stranger.line();
    assert!(told.starts_with("signal 15 "), "{told}");
    // That ends the orphan, and nobody is left who is the command's.
    run.send(libc::SIGUSR1);
    let (status, _, stderr) = run.finish();
    assert_eq!(status, Status::Exited(7));
    let name = format!(") is gone, and sexton does not wait for probe (pid {pid}), which was {OUTSIDE} it now");
    assert!(stderr.contains(&name), "{stderr}");
    stranger.was_killed();
}

/// Somebody looks at a server in a shell, which ignores the stop signal, and runs a program in it.
#[test]
fn a_server_that_crashes_ends_the_container_though_somebody_looks_at_it() {
    let policies: [&[&str]; 4] = [
        &["--orphans", "stop"],
        &["--orphans", "wait"],
        &["--orphans", "stop", "--grace-period", "30s"],
        &["--orphans", "wait", "--grace-period", "30s", "--pre-stop-sleep", "20s"],
    ];
    for options in policies {
        for level in ["warn", "error"] {
            let mut run =
                Sexton::new(Place::Init).options(options).env("SEXTON_LOG", level).shell("echo up; read x; exit 7");
            run.wait_for_line("up");
            let script = format!("trap '' TERM; {} ignore 15; true", probe_binary().display());
            let mut stranger = Stranger::beside(&run, "sh", &["-c", &script]);
            let top = stranger.pid();
            let started = now();
            drop(run.stdin.take());
            let (status, _, stderr) = run.finish();
            assert_eq!(status, Status::Exited(7), "{options:?}");
            assert!(now() - started < Duration::from_secs(10), "{options:?}: it waited for the shell");
            let shell = top - 1;
            let told = format!(
                "sh (pid 2) is gone, and sexton does not wait for sh (pid {shell}) and probe (pid {top}), which were \
                 {OUTSIDE} them now\n"
            );
            assert_eq!(stderr.contains(&told), level == "warn", "{options:?}: {stderr}");
            stranger.was_killed();
        }
    }
}

#[test]
fn who_came_from_outside_is_told_to_programs_as_well() {
    let options = ["--orphans", "wait", "--log-format", "json"];
    let mut run = Sexton::new(Place::Init).options(options).shell("echo up; read x; exit 7");
    run.wait_for_line("up");
    let mut stranger = Stranger::beside(&run, probe_binary().to_str().unwrap(), &["ignore", "15"]);
    let pid = stranger.pid();
    let (status, _, stderr) = run.finish();
    assert_eq!(status, Status::Exited(7));
    let line = json::parse(&stderr);
    json::check(&json::parse(include_str!("../docs/logging.schema.json")), &line);
    assert_eq!(line.get("event").text(), "strangers_left");
    assert_eq!(line.get("level").text(), "warn");
    assert_eq!(line.get("survivors"), &json::Json::Number(1.0));
    assert_eq!(line.get("survivor_names").text(), format!("probe (pid {pid})"));
    stranger.was_killed();
}

#[test]
fn whoever_of_them_ends_by_the_stop_signal_or_was_killed_is_not_named_as_left() {
    // Who is about to end.
    let mut run = start(Place::Init, &STOP, "sh", "echo up; read x; exit 7");
    run.wait_for_line("up");
    let mut stranger = Stranger::beside(&run, "sh", &["-c", "echo ready $$; exec sleep 1000"]);
    stranger.pid();
    drop(run.stdin.take());
    let (status, _, stderr) = run.finish();
    assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""));
    stranger.nsenter.wait().unwrap();

    // Who was named when the grace period was over.
    let options = ["--orphans", "stop", "--grace-period", "300ms"];
    let mut run = start(Place::Init, &options, "sh", "setsid PROBE ignore 15 & read x; exit 7");
    run.wait_for_line("ready");
    let mut stranger = Stranger::beside(&run, probe_binary().to_str().unwrap(), &["ignore", "15"]);
    stranger.pid();
    let (status, _, stderr) = run.finish();
    assert_eq!(status, Status::Exited(7));
    assert!(stderr.contains("2 processes left (probe, probe)") && !stderr.contains(OUTSIDE), "{stderr}");
    stranger.was_killed();
}

/// Its parent ended, so it is a child of PID 1 like a daemon of the command, and the kernel does not tell which.
#[test]
fn an_orphan_of_what_came_from_outside_is_told_and_waited_for_as_a_daemon_of_the_command() {
    let mut run = start(Place::Init, &STOP, "sh", "echo up; read x; exit 7");
    run.wait_for_line("up");
    let script = format!("{} record 10 0 & read x", probe_binary().display());
    let mut stranger = Stranger::beside(&run, "setsid", &["sh", "-c", &script]);
    stranger.pid();
    wait_until("sexton has the orphan for a child", || harness::children(run.pid).len() == 2);
    let command = run.command_pid();
    drop(run.stdin.take());
    assert!(stranger.line().starts_with("signal 15 "));
    wait_until("the command is gone", || !harness::children(run.pid).contains(&command));
    wait_until("sexton waits", || harness::is_waiting(run.pid));
    assert_eq!(harness::children(run.pid).len(), 1);
    run.send(libc::SIGUSR1);
    let (status, _, stderr) = run.finish();
    assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""));
    assert!(stranger.line().starts_with("signal 10 "));
    stranger.nsenter.wait().unwrap();
}

#[test]
fn without_proc_it_is_said_that_there_is_somebody_who_is_not_waited_for() {
    let mut run =
        Sexton::new(Place::Init).setup(["no-proc"]).options(["--orphans", "wait"]).shell("echo up; read x; exit 7");
    run.wait_for_line("up");
    let mut stranger = Stranger::beside(&run, probe_binary().to_str().unwrap(), &["ignore", "15"]);
    stranger.pid();
    drop(run.stdin.take());
    let (status, _, stderr) = run.finish();
    assert_eq!(status, Status::Exited(7));
    let told = "sexton does not wait for a process that cannot be named without a usable /proc, which was";
    assert!(stderr.contains(&format!("{told} {OUTSIDE} it now")), "{stderr}");
    stranger.was_killed();
}

#[test]
fn without_proc_what_can_be_done_is_done_and_said() {
    let mut run = start(Place::Init, &STOP, "sh", "setsid SERVER & read x; exit 7");
    run.wait_for_line("ready");
    drop(run);
    let server = format!("{} server 200", probe_binary().display());
    let mut run =
        Sexton::new(Place::Init).setup(["no-proc"]).options(STOP).shell(&format!("setsid {server} & read x; exit 7"));
    run.wait_for_line("ready");
    drop(run.stdin.take());
    run.wait_for_line("clean");
    let (status, _, stderr) = run.finish();
    assert_eq!(status, Status::Exited(7));
    assert!(stderr.contains("no usable /proc"), "{stderr}");
}

/// The processes of the command's group are told, as long as a child of ours is in it; who left it is not.
#[test]
fn without_proc_an_ordinary_process_tells_the_group_that_the_command_left() {
    let server = format!("{} server 200", probe_binary().display());
    let mut run = Sexton::new(Place::Ordinary)
        .setup(["beside-init", "no-proc"])
        .options(STOP)
        .shell(&format!("{server} & read x; exit 7"));
    run.wait_for_line("ready");
    drop(run.stdin.take());
    assert_eq!(run.wait_for_line("clean"), "clean 1");
    let (status, _, stderr) = run.finish();
    assert_eq!(status, Status::Exited(7));
    assert!(stderr.contains("no usable /proc"), "{stderr}");
}

#[test]
fn waiting_for_orphans_costs_no_polling() {
    for place in BOTH {
        let mut run = start(place, &["--orphans", "stop"], "sh", "setsid PROBE ignore 15 & read x; exit 4");
        run.wait_for_line("ready");
        let command = run.command_pid();
        drop(run.stdin.take());
        wait_until("the command is gone", || !harness::children(run.pid).contains(&command));
        wait_until("sexton waits", || harness::is_waiting(run.pid));
        let before = run.proc_status("voluntary_ctxt_switches");
        // The second is what is tested.
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(run.proc_status("voluntary_ctxt_switches"), before, "{place:?}");
    }
}

#[test]
fn with_die_with_sexton_the_kernel_kills_the_command_when_sexton_is_killed() {
    let mut run = Sexton::new(Place::Ordinary).options(["--die-with-sexton"]).probe(["ignore", "15", "1", "2"]);
    let command = run.line().strip_prefix("ready ").unwrap().parse().unwrap();
    run.send(libc::SIGKILL);
    assert_eq!(run.status(), Status::Killed(9));
    wait_until("the command is dead", || !is_alive(command));

    let mut run = Sexton::new(Place::Ordinary).probe(["record", "15", "0"]);
    let command: i32 = run.line().strip_prefix("ready ").unwrap().parse().unwrap();
    run.send(libc::SIGKILL);
    assert_eq!(run.status(), Status::Killed(9));
    harness::kill(command, libc::SIGUSR1);
    assert_eq!(run.recorded().signal, libc::SIGUSR1, "without it the command goes on");
    harness::kill(command, 15);
}

/// A job as CI runs it: a tool in the foreground, a server in the background, and a daemon. Where the grace period is
/// used up, a busy machine has two seconds more before the runner's next step.
fn ci_job(options: &[&str]) -> Running {
    let options =
        [options, &["--orphans", "stop", "--grace-period", "3s", "--stop-signal", "INT", "--stop-signal", "TERM"]]
            .concat();
    let script =
        "SERVER & setsid SERVER & SERVER; true".replace("SERVER", &format!("{} server 200", probe_binary().display()));
    // A runner makes a process group for each job, and signals it or its leader.
    Sexton::new(Place::Ordinary).setup(["group"]).options(options).command(["bash", "-c", &script])
}

/// How runners cancel: which signals, to whom, and how long they wait.
#[test]
fn after_a_cancelled_job_no_process_is_left_and_its_output_ends() {
    // (what, first signal, to the whole process group of sexton)
    let policies =
        [("GitHub", libc::SIGINT, false), ("GitLab", libc::SIGTERM, true), ("Buildkite", libc::SIGTERM, true)];
    for (who, signal, to_group) in policies {
        for options in [&[][..], &["--group"]] {
            let mut run = ci_job(options);
            for _ in 0..3 {
                run.wait_for_line("ready");
            }
            let left = harness::descendants(run.pid);
            assert!(left.len() >= 4, "{left:?}");
            let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(run.pid))).unwrap();
            assert_eq!(group.as_raw(), run.pid);
            if to_group {
                harness::kill(-run.pid, signal);
            } else {
                run.send(signal);
            }
            // All of it is over before the runner's next step, 5 s later at the earliest.
            run.status_within(Duration::from_secs(5));
            let survivors: Vec<i32> = left.into_iter().filter(|pid| is_alive(*pid)).collect();
            assert!(survivors.is_empty(), "{who} {options:?}: {survivors:?}");
            let stdout = std::io::read_to_string(run.stdout.take().unwrap()).unwrap();
            // A shell that waits for its child does nothing about a SIGINT to itself alone.
            if signal == libc::SIGTERM || !options.is_empty() {
                assert_eq!(stdout.matches("clean 1").count(), 3, "{who} {options:?}: {stdout}");
            }
        }
    }
}

/// Jenkins sends SIGTERM to every process of a job, leaves first.
#[test]
fn after_a_job_whose_every_process_was_told_nothing_is_left() {
    let mut run = ci_job(&[]);
    for _ in 0..3 {
        run.wait_for_line("ready");
    }
    let left = harness::descendants(run.pid);
    for pid in left.iter().rev() {
        // It may have ended by now, as its parent may end it.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::SIGTERM);
    }
    run.send(15);
    run.status_within(Duration::from_secs(5));
    wait_until("the whole job is gone", || !left.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn under_and_over_other_wrappers_everything_is_as_without_sexton() {
    let (sexton, probe) = (sexton_binary(), probe_binary());
    let (sexton, probe) = (sexton.display(), probe.display());
    for (script, expected) in [
        (format!("timeout 20 {sexton} -- {probe} exit 5; echo $?"), "5\n"),
        (format!("{sexton} -- timeout 20 {probe} exit 5; echo $?"), "5\n"),
        (format!("timeout 0.3 {sexton} -- sleep 60; echo $?"), "124\n"),
        (format!("{sexton} -- timeout 0.3 sleep 60; echo $?"), "124\n"),
        (format!("timeout -k 0.2 0.3 {sexton} --die-with-sexton -- {probe} ignore 15 >/dev/null; echo $?"), "137\n"),
        (format!("{sexton} -- {sexton} -- {sexton} -- {probe} exit 5; echo $?"), "5\n"),
        (format!("nohup {sexton} -- {probe} state 2>/dev/null | grep -c '^ignored .*[13579bdf]$'"), "1\n"),
        (format!("setsid -w {sexton} -- {probe} exit 5; echo $?"), "5\n"),
        (format!("seq 20 | xargs -P 4 -n 1 {sexton} -- echo | sort -n | tail -n 1"), "20\n"),
        (format!("printf 'a\\nb\\n' | {sexton} -- cat | {sexton} -- wc -l"), "2\n"),
        (format!("yes | {sexton} -- head -n 1"), "y\n"),
        (format!("{sexton} -- yes | head -n 1"), "y\n"),
        (format!("{sexton} -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null"), "err\n"),
    ] {
        for place in BOTH {
            let (status, stdout, _) = Sexton::new(place).binary("/bin/sh").options(["-c", &script]).bare().finish();
            assert_eq!((status, stdout.as_str()), (Status::Exited(0), expected), "{place:?}: {script}");
        }
    }
}

#[test]
fn when_the_runner_itself_is_killed_nothing_of_its_job_is_left() {
    let script = format!(
        "{0} -p TERM --orphans stop --grace-period 4s -- bash -c '{1} server 100 & setsid {1} server 100 & {1} server 100; true' & wait",
        sexton_binary().display(),
        probe_binary().display()
    );
    let mut runner = Sexton::new(Place::Ordinary).binary("/bin/sh").options(["-c", &script]).bare();
    for _ in 0..3 {
        runner.wait_for_line("ready");
    }
    let left = harness::descendants(runner.pid);
    runner.send(libc::SIGKILL);
    wait_until("the whole job is gone", || !left.iter().any(|pid| is_alive(*pid)));
}
