//! What the tests were started with, and who else runs them, makes no difference to them.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

mod harness;
mod yet_to_run;

use std::time::{Duration, SystemTime};

use harness::{BOTH, Folder, Place, Sexton, Status, needs, probe_binary, raw, unique};

/// Of what `probe state` prints, what the program has of signals.
fn signals(state: &str) -> Vec<&str> {
    state.lines().filter(|line| line.starts_with("mask ") || line.starts_with("ignored ")).collect()
}

#[test]
fn a_program_starts_with_no_signal_blocked_or_ignored_whatever_the_tests_were_started_with() {
    // As `nohup` and the `&` of a script do it, and then some. Not SIGCHLD: nobody could wait for a child.
    let ignored: Vec<i32> = (1..=64).filter(|signal| *signal != libc::SIGCHLD && !raw::is_ignored(*signal)).collect();
    ignored.iter().for_each(|signal| raw::set_ignored(*signal, true));
    let mask = raw::set_mask(u64::MAX);

    let plain = harness::command(probe_binary()).arg("state").output().unwrap();
    assert_eq!(
        signals(&String::from_utf8(plain.stdout).unwrap()),
        ["mask 0000000000000000", "ignored 0000000000000000"]
    );
    for place in BOTH {
        let (status, stdout, stderr) = Sexton::new(place).binary(probe_binary()).options(["state"]).bare().finish();
        assert_eq!(status, Status::Exited(0), "{place:?}: {stderr}");
        assert_eq!(signals(&stdout), ["mask 0000000000000000", "ignored 0000000000000000"], "{place:?}");
    }

    raw::set_mask(mask);
    ignored.iter().for_each(|signal| raw::set_ignored(*signal, false));
}

/// The next test runs it as a process of its own.
#[test]
fn a_name_is_made() {
    println!("pid {}, name {}", std::process::id(), unique());
}

#[test]
fn processes_of_one_pid_make_different_names() {
    let run = || {
        let itself = Sexton::new(Place::Init).binary(std::env::current_exe().unwrap());
        let (status, stdout, stderr) = itself.options(["--exact", "--nocapture", "a_name_is_made"]).bare().finish();
        assert_eq!(status, Status::Exited(0), "{stderr}");
        let line = stdout.lines().find_map(|line| line.strip_prefix("pid 1, name "));
        line.unwrap_or_else(|| panic!("it is not PID 1 of its namespace: {stdout}")).to_owned()
    };
    assert_ne!(run(), run());
}

/// The next test runs it as a process of its own.
#[test]
fn it_needs_what_this_machine_may_not_have() {
    if let Ok(program) = std::env::var("NEEDED") {
        needs!(Program(program.leak(), "a-package"));
        println!("it has run");
    }
}

#[test]
fn a_test_that_is_left_out_is_counted_and_named_and_with_test_all_it_fails() {
    let folder = Folder::new();
    let run = |needed: &str, test_all: bool| {
        let mut itself = harness::command(std::env::current_exe().unwrap());
        itself.args(["--exact", "--nocapture", "it_needs_what_this_machine_may_not_have"]);
        itself.env("NEEDED", needed).env("LEFT_OUT", &folder.0).env_remove("TEST_ALL");
        let output = if test_all { itself.env("TEST_ALL", "1").output() } else { itself.output() }.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap().contains("it has run"))
    };
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    assert_eq!(run("no-such-program", true), (false, false), "TEST_ALL");
    assert_eq!(yet_to_run::closing(&folder.0, hour_ago), "closing: no test was left out");
    assert_eq!(run("no-such-program", false), (true, false));
    let named = "closing: 1 test was left out; without a-package: hermetic::it_needs_what_this_machine_may_not_have";
    assert_eq!(yet_to_run::closing(&folder.0, hour_ago), named);
    let later = SystemTime::now() + Duration::from_secs(3600);
    assert_eq!(yet_to_run::closing(&folder.0, later), "closing: no test was left out", "it was before");
    assert_eq!(run("sh", false), (true, true));
    assert_eq!(yet_to_run::closing(&folder.0, hour_ago), "closing: no test was left out", "it has run");
}
