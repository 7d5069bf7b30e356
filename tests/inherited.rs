//! The command starts with exactly what sexton was given.

mod harness;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use harness::{BOTH, Place, Sexton, Status, needs, probe_binary};

type State = BTreeMap<String, Vec<String>>;

fn parse(text: &str) -> State {
    let mut state = State::new();
    for line in text.lines() {
        let (key, value) = line.split_once(' ').unwrap_or_else(|| panic!("not a line of the probe's: {line:?}"));
        state.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    state
}

/// What the probe sees when it is started in a state, without sexton and as its command.
fn without_and_with(place: Place, change: impl Fn(Sexton) -> Sexton) -> (State, State) {
    let without = change(Sexton::new(place).binary(probe_binary()).options(["state"])).bare().finish();
    assert_eq!(without.0, Status::Exited(0), "{place:?}: {}", without.2);
    let with = change(Sexton::new(place)).probe(["state"]).finish();
    assert_eq!(with.0, Status::Exited(0), "{place:?}: {}", with.2);
    assert_eq!(with.2, "", "{place:?}: nothing is said");
    (parse(&without.1), parse(&with.1))
}

/// All that must not change. What must: the pids, and the command leads a process group.
fn assert_same(place: Place, what: &str, (mut without, mut with): (State, State)) {
    for state in [&mut without, &mut with] {
        // The parent-death signal belongs to a process and its parent: fork(2) clears it.
        for key in ["pid", "ppid", "leads-group", "leads-session", "parent-death-signal"] {
            state.remove(key);
        }
    }
    assert_eq!(with, without, "{place:?}, {what}");
}

#[test]
fn the_command_inherits_everything_unchanged() {
    let cases: &[(&str, &[&str])] = &[
        ("as it comes", &[]),
        ("everything blocked", &["mask=ffffffffffffffff"]),
        ("one signal blocked", &["mask=0000000000004000"]),
        ("libc's own two blocked", &["mask=0000000180000000"]),
        ("SIGPIPE ignored", &["ignore=13"]),
        ("SIGHUP ignored, as nohup does", &["ignore=1"]),
        ("SIGCHLD ignored", &["ignore=17"]),
        ("SIGTERM and SIGINT ignored", &["ignore=15", "ignore=2"]),
        ("all real-time signals ignored", &["ignore=32", "ignore=33", "ignore=34", "ignore=50", "ignore=64"]),
        ("stdin closed", &["close=0"]),
        ("stderr closed", &["close=2"]),
        ("stdin and stderr closed", &["close=0", "close=2"]),
        ("descriptor 9 open", &["open=9"]),
        ("descriptors 3 and 63 open", &["open=3", "open=63"]),
        ("three descriptors at most", &["nofile=3"]),
        ("no new privileges", &["no-new-privs"]),
        ("no /proc", &["no-proc"]),
        ("another working directory", &["cwd=/usr/share"]),
        ("a session of its own", &["setsid"]),
    ];
    for place in BOTH {
        for (what, setup) in cases {
            if place == Place::Ordinary && setup.contains(&"no-proc") {
                continue; // it would take /proc from the whole machine
            }
            assert_same(place, what, without_and_with(place, |sexton| sexton.setup(setup.iter().copied())));
        }
    }
}

#[test]
fn another_user_and_what_it_may_not_stay_as_they_were() {
    needs!(Root);
    let folder = harness::Folder::new();
    let (sexton, probe) = folder.programs();
    for place in BOTH {
        for setup in [&["uid=65534"][..], &["uid=65534", "no-new-privs"]] {
            let state = |binary: &str, options: &[&str]| {
                let run = Sexton::new(place).setup(setup.iter().copied()).binary(binary).options(options).bare();
                let (status, stdout, stderr) = run.finish();
                assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?}");
                parse(&stdout)
            };
            let states = (state(&probe, &["state"]), state(&sexton, &["--", &probe, "state"]));
            assert_same(place, "uid 65534", states);
        }
    }
}

/// The probe reports on descriptor 9 where 1 is closed.
#[test]
fn a_closed_stdout_stays_closed() {
    for place in BOTH {
        for closed in [&["close=1"][..], &["close=0", "close=1", "close=2"]] {
            let (reader, writer) = harness::pipe();
            let setup = closed.iter().map(|word| (*word).to_owned());
            let sexton = Sexton::new(place).setup(setup).descriptor(9, writer);
            let mut run = sexton.probe(["state", "9"]);
            assert_eq!(run.status(), Status::Exited(0));
            let text = std::io::read_to_string(std::fs::File::from(reader)).unwrap();
            let expected = match closed.len() {
                1 => "[0, 2, 9]",
                _ => "[9]",
            };
            assert_eq!(parse(&text)["descriptors"], [expected], "{place:?} {closed:?}");
        }
    }
}

#[test]
fn arguments_and_environment_are_bytes() {
    let odd = || OsString::from_vec(vec![b'a', 0xff, 0xfe, b'\n', 0x80]);
    for place in BOTH {
        let run = Sexton::new(place).env("ODD", odd()).env("EMPTY", "").command([
            probe_binary().into_os_string(),
            "state".into(),
            odd(),
            OsString::new(),
            "--".into(),
            "-g".into(),
        ]);
        let (status, stdout, stderr) = run.finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""));
        let state = parse(&stdout);
        assert_eq!(state["arg"], ["61fffe0a80", "", "2d2d", "2d67"]);
        assert!(state["env"].contains(&"4f4444=61fffe0a80".to_owned()), "{state:?}");
        assert!(state["env"].contains(&"454d505459=".to_owned()), "{state:?}");
    }
}

#[test]
fn sextons_own_variables_reach_the_command_as_well() {
    let (_, stdout, _) =
        Sexton::new(Place::Init).env("SEXTON_GRACE_PERIOD", "9").shell("echo $SEXTON_GRACE_PERIOD").finish();
    assert_eq!(stdout, "9\n");
}

#[test]
fn without_path_the_command_is_found_where_docker_would_look() {
    for place in BOTH {
        let (status, stdout, _) = Sexton::new(place).no_env("PATH").shell("echo found").finish();
        assert_eq!((status, stdout.as_str()), (Status::Exited(0), "found\n"), "{place:?}");
    }
}

#[test]
fn the_command_leads_a_process_group_of_its_own() {
    for place in BOTH {
        let (_, stdout, _) = Sexton::new(place).probe(["state"]).finish();
        assert_eq!(parse(&stdout)["leads-group"], ["true"], "{place:?}");
    }
}

#[test]
fn once_the_command_runs_sexton_holds_its_log_alone_and_no_directory() {
    for place in BOTH {
        let mut run = Sexton::new(place).setup(["open=9", "open=33", "cwd=/usr/share"]).probe(["record", "15", "0"]);
        run.line();
        harness::wait_until("sexton closes what it does not need", || {
            harness::descriptors(run.pid) == harness::log(place)
        });
        harness::wait_until("sexton leaves its working directory", || {
            std::fs::read_link(format!("/proc/{}/cwd", run.pid)).unwrap().as_os_str() == "/"
        });
        run.send(15);
        assert_eq!(run.status(), Status::Exited(0));
    }
}

/// Nothing says which are open then, so all that the limit allows are closed.
#[test]
fn without_close_range_and_without_proc_sexton_holds_its_log_alone() {
    let setup = ["no-proc", "open=9", "open=33", "deny=38:close_range"];
    let mut run = Sexton::new(Place::Init).setup(setup).probe(["record", "15", "0"]);
    run.line();
    harness::wait_until("sexton closes what it does not need", || {
        harness::descriptors(run.pid) == harness::log(Place::Init)
    });
    run.send(15);
    assert_eq!(run.status(), Status::Exited(0));
}

/// A reader of a job's output must not have to wait for sexton.
#[test]
fn an_ordinary_commands_stdout_ends_when_the_command_closes_it() {
    let mut run = Sexton::new(Place::Ordinary).shell("exec >&-; read x");
    let stdout = run.stdout.take().unwrap().into_inner();
    assert!(harness::readable(std::os::fd::AsRawFd::as_raw_fd(&stdout), harness::PATIENCE));
    assert_eq!(std::io::read_to_string(stdout).unwrap(), "");
    drop(run.stdin.take());
    run.status();
}

#[test]
fn socket_activation_reaches_the_command() {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    for place in BOTH {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // The launcher's fork decides the pid that LISTEN_PID must name: `exec` keeps it.
        let sexton = harness::sexton_binary();
        let script =
            format!("LISTEN_PID=$$ LISTEN_FDS=1 exec {} -- {} accept", sexton.display(), probe_binary().display());
        let mut run =
            Sexton::new(place).binary("/bin/sh").options(["-c", &script]).descriptor(3, OwnedFd::from(listener)).bare();
        let mut greeting = String::new();
        std::net::TcpStream::connect(address).unwrap().read_to_string(&mut greeting).unwrap();
        assert_eq!(greeting, "hello", "{place:?}");
        assert_eq!(run.status(), Status::Exited(0));
    }
}

/// Without sexton the variables name the command, whatever its pid is.
#[test]
fn each_variable_by_which_systemd_names_the_process_that_it_started_names_the_command() {
    for place in BOTH {
        // `exec` keeps the pid, so they name sexton.
        let script = format!(
            "LISTEN_PID=$$ LISTEN_PIDFDID=4711 LISTEN_FDS=1 WATCHDOG_PID=$$ WATCHDOG_USEC=5000000 SYSTEMD_EXEC_PID=$$ \
             MAINPID=$$ MANAGERPID=$PPID exec {} -- sh -c 'echo $$ $PPID; exec env'",
            harness::sexton_binary().display()
        );
        let (status, stdout, stderr) = Sexton::new(place).binary("/bin/sh").options(["-c", &script]).bare().finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?}");
        let (command, sexton) = stdout.lines().next().and_then(|line| line.split_once(' ')).unwrap();
        let value = |name: &str| stdout.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        for name in ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"] {
            assert_eq!(value(name), Some(command), "{place:?} {name}: {stdout}");
        }
        // It is the inode number of sexton's pidfd: sd_listen_fds(3) takes no sockets where it is another's.
        assert_eq!(value("LISTEN_PIDFDID"), None, "{place:?}");
        // What reads this one means to send a signal to sexton.
        assert_eq!(value("MAINPID"), Some(sexton), "{place:?}");
        assert_eq!((value("LISTEN_FDS"), value("WATCHDOG_USEC")), (Some("1"), Some("5000000")), "{place:?}");
    }
}
