//! A thousand sexton at once, each PID 1 of a namespace with a command, all stopped together.

mod harness;

use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::{PATIENCE, Place, Running, Sexton, Status, is_waiting, proc_status, wait_until};

const COUNT: usize = 1000;
/// A descriptor for each, and some for the test itself.
const DESCRIPTORS: u64 = COUNT as u64 + 200;

fn start() -> Running {
    // Two descriptors less each: nothing is to be said.
    let quiet = Sexton::new(Place::Init).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.probe(["record", "15", "7"])
}

/// What it costs: its share of what it has in memory (Pss), and its page tables, in kB.
fn memory(pid: i32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let kilobytes = |text: &str| text.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    kilobytes(pss) + kilobytes(&proc_status(pid, "VmPTE").unwrap())
}

#[test]
fn a_thousand_sexton_are_small_and_stop_together() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    #[allow(unsafe_code, clippy::undocumented_unsafe_blocks)]
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit)
    };
    limit.rlim_cur = limit.rlim_cur.max(DESCRIPTORS);
    #[allow(unsafe_code, clippy::undocumented_unsafe_blocks)]
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    assert_eq!(raised, 0, "{DESCRIPTORS} descriptors are needed: raise the hard limit (ulimit -Hn)");

    let mut runs: Vec<Running> = (0..COUNT).map(|_| start()).collect();
    for run in &runs {
        let command = run.command_pid();
        wait_until("the command waits for a signal", || is_waiting(command));
        wait_until("sexton waits for a signal", || is_waiting(run.pid));
    }
    let mut memory: Vec<u64> = runs.iter().map(|run| memory(run.pid)).collect();
    let stop = Instant::now();
    for run in &runs {
        run.send(libc::SIGTERM);
    }
    for run in &mut runs {
        assert_eq!(run.status_within(PATIENCE), Status::Exited(7));
    }
    let took = stop.elapsed();
    memory.sort();
    let (typical, most) = (memory[COUNT / 2], memory[COUNT - 1]);
    println!("{COUNT} sexton: {typical} kB each (median), {most} kB at most; stopped together within {took:?}");
    assert!(most <= 500, "{most} kB for one");
    assert!(took < Duration::from_secs(15), "the last one ended after {took:?}");
}
