//! Wrong usage is one line on stderr, exit status 125, and nothing is started.

mod harness;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

use harness::{BOTH, Sexton, Status, sexton_binary};
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
    let empty = std::env::temp_dir().join(format!("sexton-empty-{}", std::process::id()));
    std::fs::create_dir_all(&empty).unwrap();
    let mut runner = TestRunner::new(Config { cases: 20_000, failure_persistence: None, ..Config::default() });
    let result = runner.run(&prop::collection::vec(word, 0..7), |words| {
        let args: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
        let output = Command::new(sexton_binary())
            .args(&args)
            .env_clear()
            .env("PATH", &empty)
            .current_dir(&empty)
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
    std::fs::remove_dir(&empty).unwrap();
    let _ = std::io::stdout().flush();
    result.unwrap();
}
