//! Wrong usage is one line on stderr, exit status 125, and nothing is started.

mod harness;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

use harness::{BOTH, Folder, Sexton, Status, sexton_binary};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn wrong_usage_never_starts_the_command() {
    /// Options, variables, and what the sentence must name.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Case<'_>] = &[
        (&["--grace-period", "soon"], &[], "--grace-period"),
        (&["--nope"], &[], "--nope"),
        (&["--grace-period", "5", "--pre-stop-sleep", "5"], &[], "--pre-stop-sleep"),
        (&["-r", "HUP:INT", "-r", "HUP:QUIT"], &[], "--rewrite"),
        (&[], &[("SEXTON_GRACE_PERIOD", "soon")], "SEXTON_GRACE_PERIOD"),
        (&[], &[("SEXTON_STOP_SIGNALS", "TERM,FOO")], "SEXTON_STOP_SIGNALS"),
        (&[], &[("SEXTON_LOG", "loud")], "SEXTON_LOG"),
    ];
    for place in BOTH {
        for (options, environment, named) in cases {
            let mut sexton = Sexton::new(place).options(*options);
            for (name, value) in *environment {
                sexton = sexton.env(name, value);
            }
            let (status, stdout, stderr) = sexton.shell("echo started").finish();
            assert_eq!(status, Status::Exited(125), "{options:?}: {stderr}");
            assert_eq!(stdout, "", "{options:?}: the command was started");
            assert!(stderr.starts_with("sexton: ") && stderr.contains(named), "{options:?}: {stderr}");
            assert_eq!(stderr.matches('\n').count(), 1, "{options:?}: {stderr:?} is not one line");
        }
    }
}

#[test]
fn no_command_at_all_is_wrong_usage() {
    for options in [&[][..], &["--"], &["-v"]] {
        for place in BOTH {
            let (status, _, stderr) = Sexton::new(place).options(options).bare().finish();
            assert_eq!(status, Status::Exited(125));
            assert!(stderr.starts_with("sexton: there is no command to run"), "{stderr}");
        }
    }
}

#[test]
fn an_unknown_variable_is_a_warning_and_the_command_runs() {
    for place in BOTH {
        let (status, stdout, stderr) = Sexton::new(place).env("SEXTON_GRACE", "5").shell("echo started").finish();
        assert_eq!((status, stdout.as_str()), (Status::Exited(0), "started\n"));
        assert_eq!(
            stderr,
            "sexton: the variable SEXTON_GRACE means nothing to sexton; did you mean SEXTON_GRACE_PERIOD?\n"
        );
    }
}

#[test]
fn the_variables_of_a_kubernetes_service_called_sexton_are_no_warning() {
    for place in BOTH {
        let mut sexton = Sexton::new(place);
        for (name, value) in [
            ("SEXTON_SERVICE_HOST", "10.0.0.1"),
            ("SEXTON_SERVICE_PORT", "80"),
            ("SEXTON_SERVICE_PORT_HTTP", "80"),
            ("SEXTON_PORT", "tcp://10.0.0.1:80"),
            ("SEXTON_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("SEXTON_PORT_80_TCP_PROTO", "tcp"),
            ("SEXTON_PORT_80_TCP_PORT", "80"),
            ("SEXTON_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("SEXTON_API_SERVICE_HOST", "fd00::1"),
            ("SEXTON_API_PORT_53_UDP_ADDR", "fd00::1"),
            // Dockerfiles keep in it which one they fetch.
            ("SEXTON_VERSION", "v1.0.0"),
        ] {
            sexton = sexton.env(name, value);
        }
        let (status, stdout, stderr) = sexton.shell("echo started").finish();
        assert_eq!((status, stdout.as_str(), stderr.as_str()), (Status::Exited(0), "started\n", ""), "{place:?}");
    }
}

/// What a file leaves around a value.
#[test]
fn a_value_may_come_with_blanks_and_a_windows_line_end_and_not_in_quotes() {
    for place in BOTH {
        let sexton =
            Sexton::new(place).env("SEXTON_GRACE_PERIOD", " 100ms\r").env("SEXTON_STOP_SIGNALS", "INT, QUIT\r\n");
        let mut run = sexton.env("SEXTON_GROUP", "\r").probe(["ignore", "3"]);
        run.wait_for_line("ready");
        run.send(libc::SIGQUIT);
        assert_eq!(run.status(), Status::Exited(137), "{place:?}");

        let (status, stdout, stderr) =
            Sexton::new(place).env("SEXTON_GRACE_PERIOD", "\"8s\"").shell("echo started").finish();
        assert_eq!((status, stdout.as_str()), (Status::Exited(125), ""));
        assert_eq!(
            stderr,
            "sexton: SEXTON_GRACE_PERIOD: \"8s\" has quotes around it, which nobody took away (docker run --env-file keeps \
             them); write it without\n"
        );
        let sexton = Sexton::new(place).options(["--grace-period", "100ms ", "-e", "7\r"]);
        assert_eq!(sexton.probe(["exit", "7"]).finish().0, Status::Exited(0));
    }
}

/// What somebody typed.
#[derive(Clone, Copy, Debug)]
enum Typed {
    Option,
    Variable,
    Signal,
    /// In PATH.
    Command,
    /// By its whole path.
    Path,
    Interpreter,
}

/// What was typed, and what may have been meant: as nothing, where it is not clear.
const SUGGESTIONS: &[(Typed, &str, &str)] = &[
    (Typed::Option, "--gruop", "--group"),
    (Typed::Option, "--grop", "--group"),
    (Typed::Option, "--Group", "--group"),
    (Typed::Option, "--grace-perod=5", "--grace-period"),
    (Typed::Option, "--grace_period=5", "--grace-period"),
    (Typed::Option, "--grace", "--grace-period"),
    (Typed::Option, "--stop-signals", "--stop-signal"),
    (Typed::Option, "--parent_death_signal", "--parent-death-signal"),
    (Typed::Option, "--hlep", "--help"),
    (Typed::Option, "--versoin", "--version"),
    (Typed::Option, "--orphan", "--orphans"),
    (Typed::Option, "--chekc", "--check"),
    (Typed::Option, "---h", ""),
    (Typed::Option, "---help", "--help"),
    (Typed::Option, "--nope", ""),
    (Typed::Option, "--ver", ""),
    (Typed::Option, "--sub", ""),
    (Typed::Option, "--period", ""),
    (Typed::Option, "--die", "--die-with-sexton"),
    (Typed::Option, "--sexton", ""),
    (Typed::Option, "--timeout", ""),
    (Typed::Option, "--log-level", ""),
    (Typed::Option, "--g", ""),
    (Typed::Option, "-X", ""),
    (Typed::Variable, "SEXTON_GRACE", "SEXTON_GRACE_PERIOD"),
    (Typed::Variable, "SEXTON_STOP_SIGNAL", "SEXTON_STOP_SIGNALS"),
    (Typed::Variable, "SEXTON_PRESTOP_SLEEP", "SEXTON_PRE_STOP_SLEEP"),
    (Typed::Variable, "SEXTON_PRE_STOP", ""),
    (Typed::Variable, "SEXTON_LOGS", "SEXTON_LOG"),
    (Typed::Variable, "SEXTON_CHECK_TIMOUT", "SEXTON_CHECK_TIMEOUT"),
    (Typed::Variable, "SEXTON_LOG_LEVEL", "SEXTON_LOG"),
    (Typed::Variable, "SEXTON_QUIET", "SEXTON_LOG=error"),
    (Typed::Variable, "SEXTON_VERBOSE", "SEXTON_LOG=info"),
    (Typed::Variable, "SEXTON_DIALECT", ""),
    (Typed::Variable, "SEXTON_HOME", ""),
    (Typed::Variable, "SEXTON_GROUPED_BY", ""),
    (Typed::Variable, "SEXTON_STOP_TIMEOUT", ""),
    (Typed::Variable, "SEXTON_TERM", ""),
    (Typed::Variable, "SEXTON_LOT", ""),
    (Typed::Variable, "SEXTON_", ""),
    (Typed::Signal, "SIGTREM", "SIGTERM"),
    (Typed::Signal, "trem", "SIGTERM"),
    (Typed::Signal, "SIGABORT", "SIGABRT"),
    (Typed::Signal, "CHILD", "SIGCHLD"),
    (Typed::Signal, "INTR", "SIGINT"),
    (Typed::Signal, "WINC", "SIGWINCH"),
    (Typed::Signal, "USR3", ""),
    (Typed::Signal, "SIGUSR", ""),
    (Typed::Signal, "SIGFOO", ""),
    (Typed::Signal, "SIGNAL", ""),
    (Typed::Signal, "STERM", ""),
    (Typed::Signal, "65", ""),
    (Typed::Signal, "RTMIN+31", ""),
    (Typed::Command, "srever", "FOLDER/server"),
    (Typed::Command, "server2", "FOLDER/server"),
    (Typed::Command, "Server", "FOLDER/server"),
    (Typed::Command, "entry-point.sh", "FOLDER/entrypoint.sh"),
    (Typed::Command, "entrypoint_sh", "FOLDER/entrypoint.sh"),
    (Typed::Command, "docker", ""),
    (Typed::Command, "python", "FOLDER/python3"),
    (Typed::Command, "python2", ""),
    (Typed::Command, "ndoe", "FOLDER/node"),
    (Typed::Command, "nosuch", ""),
    (Typed::Command, "start", ""),
    (Typed::Command, "tree", ""),
    (Typed::Command, "bash", ""),
    (Typed::Command, "worker1", ""),
    (Typed::Command, "worker-a", ""),
    (Typed::Command, "sl", ""),
    (Typed::Command, "reader", ""),
    (Typed::Path, "FOLDER/sevrer", "FOLDER/server"),
    (Typed::Path, "FOLDER/nosuch", ""),
    (Typed::Path, "FOLDER/releaes/x", "FOLDER/release"),
    (Typed::Path, "FOLDER/relate/x", ""),
    (Typed::Path, "/usr/local/sbin/true", "/usr/bin/true"),
    (Typed::Path, "FOLDER/true", ""),
    (Typed::Interpreter, "FOLDER/ndoe", "FOLDER/node"),
    (Typed::Interpreter, "FOLDER/bash", ""),
    (Typed::Interpreter, "/usr/local/sbin/true", "/usr/bin/true"),
    (Typed::Interpreter, "/opt/bin/true", ""),
];

#[test]
fn what_was_meant_is_suggested_where_it_is_clear_and_nothing_where_it_is_not() {
    let folder = Folder::new();
    for name in [
        "server",
        "entrypoint.sh",
        "python3",
        "node",
        "touch",
        "stat",
        "true_",
        "dash",
        "ash",
        "ls",
        "dockerd",
        "render",
    ] {
        folder.file(name, "");
    }
    // Nobody knows which of two.
    for name in ["worker-b", "worker-c", "worker2"] {
        folder.file(name, "");
    }
    std::fs::create_dir(folder.path("release")).unwrap();
    let own = folder.0.to_str().unwrap();
    for (index, (kind, typed, meant)) in SUGGESTIONS.iter().enumerate() {
        let (typed, meant) = (typed.replace("FOLDER", own), meant.replace("FOLDER", own));
        for place in BOTH {
            let sexton = Sexton::new(place);
            let run = match kind {
                Typed::Option => sexton.options([&typed]).shell("exit 0"),
                Typed::Variable => sexton.env(&typed, "1").shell("exit 0"),
                Typed::Signal => sexton.options(["--stop-signal", &typed]).shell("exit 0"),
                Typed::Command => sexton.env("PATH", own).command([&typed]),
                Typed::Path => sexton.command([&typed]),
                Typed::Interpreter => {
                    sexton.command([folder.file(&format!("script-of-{index}"), format!("#!{typed}\n"))])
                }
            };
            let (_, _, stderr) = run.finish();
            assert!(
                stderr.starts_with("sexton: ") && stderr.matches('\n').count() == 1,
                "{kind:?} {typed}: {stderr:?}"
            );
            let suggested = stderr.trim_end().split_once("did you mean ").map_or("", |(_, name)| name);
            assert_eq!(suggested.trim_end_matches('?'), meant, "{kind:?} {typed}, {place:?}: {stderr}");
            assert!(!stderr.contains("nearest"), "{stderr}");
        }
    }
    let told = |sexton: Sexton| sexton.shell("exit 0").finish().2;
    assert_eq!(
        told(Sexton::new(BOTH[0]).env("SEXTON_DIALECT", "tini")),
        "sexton: the variable SEXTON_DIALECT means nothing to sexton; --dialect is an argument alone, and the first\n"
    );
    assert_eq!(
        told(Sexton::new(BOTH[0]).options(["--log-level=debug"])),
        "sexton: there is no option --log-level; --verbose and --quiet, or SEXTON_LOG, say how much is told\n"
    );
}

#[test]
fn help_version_and_license_go_to_stdout() {
    for (option, beginning) in
        [("-h", "A PID 1"), ("--help", "A PID 1"), ("--version", "sexton "), ("-l", "MIT License")]
    {
        let (status, stdout, stderr) = Sexton::new(BOTH[1]).options([option]).bare().finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{option}");
        assert!(stdout.starts_with(beginning), "{option}: {stdout}");
    }
}

#[test]
fn help_that_cannot_be_written_is_an_error_and_no_panic() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (status, _, stderr) = Sexton::new(BOTH[1]).options(["--help"]).stdout(full).bare().finish();
    assert_eq!(status, Status::Exited(125));
    assert!(stderr.starts_with("sexton: cannot write to stdout"), "{stderr}");
    let run = Sexton::new(BOTH[1]).setup(["close=1"]).options(["--help"]).bare();
    let (status, _, stderr) = run.finish();
    assert_eq!(status, Status::Exited(125), "{stderr}");
}

/// The real binary, 20,000 times: it ends, with a status of the table, and never by a panic.
/// `PATH` names an empty folder and no word has a slash, so no command is ever found.
#[test]
fn twenty_thousand_random_argument_lists_never_panic_nor_hang() {
    // Fewer where each start takes long (integration/foreign).
    let cases = std::env::var("ARGUMENT_LISTS").map_or(20_000, |count| count.parse().unwrap());
    let words: Vec<&[u8]> = vec![
        b"--",
        b"-",
        b"-g",
        b"-s",
        b"-w",
        b"-v",
        b"-vvv",
        b"-q",
        b"-p",
        b"-e",
        b"-r",
        b"TERM",
        b"HUP:INT",
        b"1:2",
        b"30",
        b"5s",
        b"--grace-period",
        b"--grace-period=9",
        b"--pre-stop-sleep=1",
        b"--stop-signal",
        b"--rewrite=HUP:none",
        b"--help",
        b"-h",
        b"--version",
        b"-l",
        b"true",
        b"ls",
        b"",
        b"-x",
        b"--nope",
        b"--group",
        b"--group=",
        b"-p=9",
        b"-e143",
        b"\xff\xfe",
        b"--reraise",
    ];
    let word = prop_oneof![
        4 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(1_u8..=255, 0..12).prop_map(|bytes| bytes.into_iter().filter(|b| *b != b'/').collect()),
    ];
    let empty = Folder::new();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&prop::collection::vec(word, 0..7), |words| {
        let args: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
        let output = harness::command(sexton_binary())
            .args(&args)
            .env_clear()
            .env("PATH", &empty.0)
            .current_dir(&empty.0)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        prop_assert!(matches!(code, Some(0 | 125 | 126 | 127)), "{args:?}: {:?} {stderr}", output.status);
        prop_assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        prop_assert_eq!(stderr.is_empty(), code == Some(0), "{:?}: {}", args, stderr);
        if code == Some(125) {
            prop_assert_eq!(stderr.matches('\n').count(), 1, "{:?}: {}", args, stderr);
        }
        Ok(())
    });
    let _ = std::io::stdout().flush();
    result.unwrap();
}
