//! sexton in gVisor, whose kernel is a program: runsc as a runtime of Docker, on the ptrace platform.

mod harness;

use harness::{Docker, Engine, Kind, Plan, use_engine};

fn gvisor() -> &'static Engine {
    use_engine(Kind::Gvisor)
}

core_tests!(Docker(gvisor));

#[test]
fn a_real_time_signal_from_inside_arrives_though_runsc_sends_none() {
    gvisor();
    let mut container = Plan::new().start(["/probe", "record", "15", "7"]);
    container.wait_for_line("ready");
    container.exec(["kill", "-37", "1"]).succeeded();
    container.wait_for_line("signal 37 ");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7);
}

#[test]
fn with_a_real_time_stop_signal_docker_stop_comes_down_to_sigkill() {
    gvisor();
    let mut container = Plan::new().with(["--stop-signal=37"]).start(["/probe", "record", "37", "7"]);
    container.wait_for_line("ready");
    container.stop(&["-t", "1"]);
    assert_eq!(container.status(), 137);
    assert!(!container.logged().0.contains("signal 37"));
}
