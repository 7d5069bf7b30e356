//! An idle sexton makes no system call.

mod harness;

use std::time::Duration;

use harness::{BOTH, Sexton, wait_until};

/// tini wakes up once a second.
#[test]
fn in_five_idle_seconds_sexton_never_wakes_up() {
    let mut runs: Vec<_> = BOTH
        .into_iter()
        .flat_map(|place| {
            [(place, &[][..]), (place, &["--grace-period", "9s", "--pre-stop-sleep", "3s", "-p", "HUP", "-vvv"][..])]
        })
        .map(|(place, options)| {
            Sexton::new(place).options(options).stderr(std::process::Stdio::null()).probe(["record", "15", "0"])
        })
        .collect();
    for run in &mut runs {
        run.line();
        wait_until("sexton waits", || harness::is_waiting(run.pid));
    }
    let switches = |pid| {
        let counted = ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"];
        counted.map(|field| harness::proc_status(pid, field).unwrap())
    };
    let before: Vec<_> = runs.iter().map(|run| switches(run.pid)).collect();
    // Not a wait for something to happen: the five seconds are what is tested.
    std::thread::sleep(Duration::from_secs(5));
    for (run, before) in runs.iter().zip(before) {
        assert_eq!(switches(run.pid), before);
        assert!(harness::is_waiting(run.pid));
    }
}
