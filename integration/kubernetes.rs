//! sexton in the pods of Kubernetes: what a kubelet does to it through containerd's CRI.
//!
//! `cargo test --test kubernetes`, as root; what is missing is named by what fails.

mod harness;

#[path = "kubernetes/cri.rs"]
mod cri;
#[path = "kubernetes/grpc.rs"]
mod grpc;
#[path = "kubernetes/service.rs"]
mod service;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use cri::{Container, Node, PidNamespace};
use harness::processes::{self, Process, names};
use harness::{PATIENCE, manifest};
use service::Service;

const SECOND: Duration = Duration::from_secs(1);

/// What containerd on a busy machine may need to see that a container has ended; far from [`LIMIT`].
const SLACK: Duration = Duration::from_secs(20);

/// `terminationGracePeriodSeconds`, unless a test is about it: no test waits for its end.
const LIMIT: Duration = PATIENCE;

/// The command says `ready`, and exits with 7 on SIGTERM.
const RECORD: [&str; 4] = ["/probe", "record", "15", "7"];

// Stopping a container

#[test]
fn a_stopped_container_has_the_exit_status_of_the_command() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    let mut container = pod.container("server").start(&RECORD);
    container.wait_for_line("ready");
    assert!(container.stop(LIMIT) < SLACK);
    assert_eq!(container.end().status, 7);
    let log = container.log();
    assert!(log.contains("signal 15 ") && !log.contains("sexton: "), "all was well, so sexton says nothing: {log}");
}

#[test]
fn the_command_serves_on_during_the_pre_stop_sleep_and_has_sigterm_after_it() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    let plan = pod.container("server").env("SEXTON_PRE_STOP_SLEEP", "1s").env("SEXTON_LOG", "info");
    let mut container = plan.start(&RECORD);
    container.wait_for_line("ready");
    let took = container.stop(LIMIT);
    assert!(took >= SECOND && took < SECOND + SLACK, "{took:?}");
    assert_eq!(container.end().status, 7);
    let log = container.log();
    for line in ["sleeping 1s before forwarding it", "forwarded SIGTERM to /probe", "signal 15 "] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn a_command_that_does_not_stop_is_killed_before_the_kubelet_does_and_sexton_says_so() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    let plan = pod.container("server").env("SEXTON_GRACE_PERIOD", "1s");
    let mut container = plan.start(&["/probe", "ignore", "15"]);
    container.wait_for_line("ready");
    let took = container.stop(LIMIT);
    assert!(took >= SECOND && took < SECOND + SLACK, "{took:?}");
    assert_eq!(container.end().status, 137);
    container.wait_for_line("did not stop within 1s of SIGTERM: it ignores SIGTERM (");
}

#[test]
fn without_a_grace_period_the_kubelets_limit_is_the_limit() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    let mut container = pod.container("server").start(&["/probe", "ignore", "15"]);
    container.wait_for_line("ready");
    let took = container.stop(SECOND);
    assert!(took >= SECOND && took < SECOND + SLACK, "{took:?}");
    assert_eq!(container.end().status, 137);
    assert!(!container.log().contains("sexton: "), "sexton killed nobody");
}

#[test]
fn a_stop_without_any_time_is_a_sigkill_that_nobody_hears_of() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    let mut container = pod.container("server").env("SEXTON_PRE_STOP_SLEEP", "1h").start(&RECORD);
    container.wait_for_line("ready");
    assert!(container.stop(Duration::ZERO) < SLACK);
    assert_eq!(container.end().status, 137);
    assert!(!container.log().contains("signal 15 "));
}

#[test]
fn a_stopped_sandbox_takes_its_containers_along() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    let mut container = pod.container("server").env("SEXTON_PRE_STOP_SLEEP", "1h").start(&RECORD);
    container.wait_for_line("ready");
    assert!(pod.is_ready());
    let begin = Instant::now();
    pod.stop();
    assert!(begin.elapsed() < SLACK, "the sandbox did not leave at once: {:?}", begin.elapsed());
    assert!(!pod.is_ready());
    assert_eq!(container.end().status, 137);
    pod.remove();
}

// Probes

#[test]
fn a_probe_has_the_exit_status_of_its_command() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    let mut container = pod.container("server").start(&RECORD);
    container.wait_for_line("ready");
    for (script, expected) in [("echo fine", (0, "fine\n")), ("echo broken; exit 1", (1, "broken\n"))] {
        let (status, stdout) = container.exec(LIMIT, &["sh", "-c", script]).unwrap();
        assert_eq!((status, stdout.as_str()), expected);
    }
}

#[test]
fn a_probe_that_timed_out_leaves_no_zombie() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    let mut with_sexton = pod.container("with-sexton").start(&RECORD);
    let mut alone = pod.container("alone").command(&RECORD).start(&[]);
    for container in [&mut with_sexton, &mut alone] {
        container.wait_for_line("ready");
        // The child must not hold the probe's stdout, or this containerd waits for it beyond any limit.
        let probe = "sleep 1000 >/dev/null 2>&1 & wait";
        let refused = container.exec(SECOND, &["sh", "-c", probe]).unwrap_err();
        assert!(refused.is_deadline_exceeded(), "{refused}");
        // containerd kills the shell alone, so its child goes to PID 1, and is ended here.
        wait_for(container, "the shell is gone", |all| !all.iter().any(|process| process.name == "sh"));
        let killed = container.exec(LIMIT, &["killall", "sleep"]).unwrap();
        assert_eq!(killed.0, 0, "{killed:?}");
    }
    wait_for(&with_sexton, "nothing but sexton and the command is left", |all| names(all) == ["probe", "sexton"]);
    // Had sexton not reaped it, this is what would have been seen.
    wait_for(&alone, "a PID 1 that reaps nothing has a zombie", |all| {
        all.iter().any(|process| process.name == "sleep" && process.state == 'Z')
    });
}

#[test]
fn a_readiness_probe_turns_false_during_the_pre_stop_sleep_and_a_liveness_probe_stays_true() {
    let node = Node::new();
    for (name, pids) in [("alone", PidNamespace::Container), ("shared", PidNamespace::Pod)] {
        let pod = node.run_pod(pids);
        let mut plan = pod.container(name).env("SEXTON_PRE_STOP_SLEEP", "1h");
        if matches!(pids, PidNamespace::Pod) {
            // PID 1 is the sandbox's sexton, which knows nothing of this container's shutdown.
            plan = plan.env("SEXTON_DRAIN_FILE", "/drain");
        }
        let mut container = plan.start(&RECORD);
        container.wait_for_line("ready");
        let readiness = || container.exec(LIMIT, &["/sexton", "--check"]).unwrap();
        let liveness = || container.exec(LIMIT, &["/sexton", "--check", "--live"]).unwrap();
        assert_eq!(readiness(), (0, "running: no shutdown has begun\n".into()));
        assert_eq!(liveness(), (0, "running\n".into()));
        if matches!(pids, PidNamespace::Pod) {
            let (status, line) = container.exec(LIMIT, &["env", "-i", "/sexton", "--check"]).unwrap();
            assert!(status == 1 && line.contains("PID 1 is sexton: pause, not"), "{line}");
        }
        thread::scope(|scope| {
            let stop = container.stopping(LIMIT);
            let stopping = scope.spawn(stop);
            // As a kubelet does, one probe after the other.
            let begin = Instant::now();
            while readiness().0 == 0 {
                assert!(begin.elapsed() < SLACK, "the probe is still well");
                thread::sleep(Duration::from_millis(100));
            }
            println!("a probe turned false {:.1?} after the stop began", begin.elapsed());
            let (status, line) = readiness();
            assert!(status == 1 && line.starts_with("draining: the shutdown has begun"), "{line}");
            assert_eq!(liveness(), (0, "running\n".into()));
            assert!(!container.log().contains("signal 15 "), "the command serves on: {}", container.log());
            // A second stop signal ends the sleep.
            let pid =
                container.exec(LIMIT, &["sh", "-c", "pidof sexton | tr ' ' '\\n' | sort -n | tail -n 1"]).unwrap().1;
            assert_eq!(container.exec(LIMIT, &["kill", pid.trim()]).unwrap().0, 0);
            stopping.join().unwrap();
        });
        assert_eq!(container.end().status, 7);
        pod.stop();
        pod.remove();
    }
}

// Memory

#[test]
fn a_command_that_was_killed_for_lack_of_memory_is_reported_as_that_by_both() {
    is_reported_as_killed_for_lack_of_memory(&["/probe", "eat"], 137);
}

#[test]
fn a_child_that_was_killed_for_lack_of_memory_leaves_the_command_its_exit_status() {
    is_reported_as_killed_for_lack_of_memory(&["/probe", "eaten-child", "7"], 7);
}

/// By sexton every time. containerd hears of it by an event of its own, and calls the end an error where that one
/// comes after the end's.
fn is_reported_as_killed_for_lack_of_memory(command: &[&str], status: i64) {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    let is_called_so = (0..5).any(|attempt| {
        let name = format!("server-{attempt}");
        let mut container = pod.container(&name).memory(32 << 20).start(command);
        let end = container.end();
        assert_eq!(end.status, status);
        container.wait_for_line("the kernel killed 1 process for lack of memory while it ran (limit 32 MiB, ");
        assert!(["OOMKilled", "Error"].contains(&end.reason.as_str()), "{}", end.reason);
        end.reason == "OOMKilled"
    });
    assert!(is_called_so, "containerd never heard of it");
}

#[test]
fn the_termination_message_says_why_the_command_was_killed() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Container);
    // The kubelet makes an empty file, and mounts it at terminationMessagePath.
    let message = node.file("termination-message", "");
    let plan = pod.container("server").mount(&message, "/dev/termination-log");
    let plan = plan.env("SEXTON_TERMINATION_LOG", "/dev/termination-log");
    let plan = plan.env("SEXTON_PRE_STOP_SLEEP", "1s").env("SEXTON_GRACE_PERIOD", "2s");
    let mut container = plan.start(&["/probe", "ignore", "15"]);
    container.wait_for_line("ready");
    container.stop(LIMIT);
    assert_eq!(container.end().status, 137);
    let said = fs::read_to_string(message).unwrap();
    for part in [
        "sexton: /probe (pid ",
        "did not stop within 2s of SIGTERM: it ignores SIGTERM (",
        "; killed with SIGKILL; SIGTERM came from outside the container",
        "was held back for 1s",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

// shareProcessNamespace: true

#[test]
fn in_a_shared_pid_namespace_the_sandbox_reaps_the_orphans_of_all_containers() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Pod);
    let leave = "/probe orphans 5 100 && exec sleep 1000";
    let mut with_sexton = pod.container("with-sexton").start(&["sh", "-c", leave]);
    let mut alone = pod.container("alone").command(&["sh", "-c", leave]).start(&[]);
    for container in [&mut with_sexton, &mut alone] {
        container.wait_for_line("left");
    }
    wait_for(&with_sexton, "the sandbox's sexton, the container's, and the two commands are left", |all| {
        names(all) == ["sexton", "sexton: pause", "sleep", "sleep"] && all[0].pid == 1 && all[0].name == "sexton: pause"
    });
}

#[test]
fn in_a_shared_pid_namespace_a_container_is_stopped_like_any_other() {
    let node = Node::new();
    let pod = node.run_pod(PidNamespace::Pod);
    let plan = pod.container("server").env("SEXTON_PRE_STOP_SLEEP", "1s").env("SEXTON_ORPHANS", "stop");
    let script = "/probe orphans 1 1000000 </dev/null; exec /probe record 15 7";
    let mut container = plan.start(&["sh", "-c", script]);
    container.wait_for_line("ready");
    let took = container.stop(LIMIT);
    assert!(took >= SECOND && took < SECOND + SLACK, "{took:?}");
    assert_eq!(container.end().status, 7);
    let log = container.log();
    assert!(!log.contains("sexton: "), "all was well, so sexton says nothing: {log}");
}

// What it is all for: a Service that still sends requests to a pod that is being stopped

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

#[test]
fn without_a_pre_stop_sleep_requests_fail() {
    let outcome = Service::stop_a_pod(&[], DEFAULT_LIMIT);
    assert!(outcome.failed > 0, "{outcome:?}");
    assert_eq!(outcome.end.status, 0, "{outcome:?}");
}

#[test]
fn with_a_pre_stop_sleep_of_3s_no_request_fails_and_the_pod_is_gone_in_time() {
    let outcome = Service::stop_a_pod(&[("SEXTON_PRE_STOP_SLEEP", "3s")], DEFAULT_LIMIT);
    no_request_failed(&outcome, DEFAULT_LIMIT);
}

#[test]
fn the_manifest_of_docs_kubernetes_md_loses_no_request() {
    let manifest = manifest::text();
    let (env, limit) = (manifest::env(&manifest), manifest::limit(&manifest));
    assert!(env.iter().any(|(name, _)| *name == "SEXTON_PRE_STOP_SLEEP"), "{manifest}");
    let outcome = Service::stop_a_pod(&env, limit);
    no_request_failed(&outcome, limit);
}

/// Of some two hundred; fewer on a busy machine.
fn no_request_failed(outcome: &Service, limit: Duration) {
    assert!(outcome.failed == 0 && outcome.answered >= 10, "{outcome:?}");
    assert!(outcome.gone < limit, "{outcome:?}");
    assert_eq!(outcome.end.status, 0, "{outcome:?}");
}

fn wait_for(container: &Container, what: &str, is_so: impl Fn(&[Process]) -> bool) {
    let list = || {
        let (status, stdout) = container.exec(LIMIT, &processes::LIST).unwrap();
        assert_eq!(status, 0, "{stdout}");
        stdout
    };
    processes::wait_for(list, what, is_so);
}
