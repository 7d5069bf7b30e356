//! A signal that comes while the start is held up, at whichever of its system calls, is never lost.
//!
//! Whoever makes the call, sexton or its child before the exec, is held where the call begins or where
//! it ends (tests/probe/tracer.rs), the signal is sent, and a moment passes in which all others go on.

mod harness;

use std::collections::BTreeMap;

use harness::{PATIENCE, Place, Sexton, Status};

const SIGNAL: i32 = libc::SIGTERM;
const HELD_MS: u32 = 2;

/// Everything is blocked from the start, so the command finds even what comes before it can ask.
fn sexton(place: Place, options: &[&str]) -> Sexton {
    let beside = if place == Place::Ordinary { &["beside-init"][..] } else { &[] };
    Sexton::new(place).setup(["mask=ffffffffffffffff"]).setup(beside.iter().copied()).options(options)
}

/// The calls of the start: up to the first wait for a signal.
fn calls(place: Place, options: &[&str]) -> Vec<String> {
    let mut run = sexton(place, options).setup(["trace"]).probe(["exit", "7"]);
    assert_eq!(run.try_finish(PATIENCE).unwrap().0, Status::Exited(7));
    let calls = run.traced.iter().filter_map(|line| line.strip_prefix("call "));
    let start: Vec<String> = calls.take_while(|name| *name != "sexton rt_sigtimedwait").map(str::to_owned).collect();
    assert!(start.iter().any(|name| name == "child execve"), "{start:?}");
    start
}

fn never_lost(place: Place, options: &[&str]) {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for (index, name) in calls(place, options).into_iter().enumerate() {
        let nth = *counts.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        for edge in ["enter", "exit"] {
            // An exec that went well does not end in sexton's child. And the first call blocks the signals:
            // what comes before is the kernel's to throw away, or to kill an ordinary process with.
            if (edge == "exit" && name == "child execve") || (edge == "enter" && index == 0) {
                continue;
            }
            let order = format!("hold={nth}:{edge}:{HELD_MS}:{SIGNAL}:{name}");
            let mut run = sexton(place, options).setup([order.as_str()]).probe(["record", "15", "7"]);
            let (status, stdout, stderr) = run.try_finish(PATIENCE).unwrap_or_else(|| panic!("{order}: lost"));
            assert_eq!(run.traced, ["hold"], "{order}: sexton was not held");
            assert_eq!(status, Status::Exited(7), "{order}: {stdout} {stderr}");
            assert_eq!(stdout.matches("signal 15 ").count(), 1, "{order}: {stdout}");
        }
    }
}

#[test]
fn as_pid_1_a_signal_at_any_call_of_the_start_is_never_lost() {
    never_lost(Place::Init, &[]);
}

#[test]
fn as_an_ordinary_process_a_signal_at_any_call_of_the_start_is_never_lost() {
    never_lost(Place::Ordinary, &["-p", "HUP"]);
}

#[test]
fn with_group_a_signal_at_any_call_of_the_start_is_never_lost() {
    never_lost(Place::Init, &["-g"]);
}

#[test]
fn with_all_that_is_said_a_signal_at_any_call_of_the_start_is_never_lost() {
    never_lost(Place::Init, &["-vvv"]);
}
