//! What is to be seen of sexton as the init of a Docker engine: `docker run --init`.
//!
//! The tests of docker.rs hold there as well (SEXTON_TEST_DOCKER=init).

mod harness;

use std::fs;
use std::time::{Duration, Instant};

use harness::{Engine, Kind, Lines, PATIENCE, Plan, Room, docker, finish, image, use_engine};

/// The engine whose `--init-path` is sexton, by the name of docker-init.
fn engine() -> &'static Engine {
    use_engine(Kind::Init)
}

/// What `sexton --version` says behind " - git.".
fn commit() -> String {
    let mut version = crate::harness::command(image::sexton());
    version.arg("--version");
    let version = finish(version).unwrap().succeeded();
    version.trim().split_once(" - git.").expect("a commit").1.to_owned()
}

/// The lines of dockerd's log that are about its init and no mere information.
fn complaints(engine: &Engine) -> Vec<String> {
    let log = engine.log();
    let is_bad = |line: &&str| line.contains("level=warning") || line.contains("level=error");
    let about_init =
        |line: &&str| ["init", "failed to parse", "failed to retrieve"].iter().any(|text| line.contains(text));
    log.lines().filter(is_bad).filter(about_init).map(str::to_owned).collect()
}

/// The line of a listing behind this key, and the next ones.
fn after<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with(key));
    lines[at.unwrap_or_else(|| panic!("no {key:?} in {text}"))..].to_vec()
}

// What the engine says of its init

#[test]
fn docker_info_and_docker_version_show_name_version_and_commit() {
    let engine = engine();
    let commit = commit();
    let info = docker(["info"]).succeeded();
    let init = after(&info, "Init Binary:")[0];
    assert!(init.ends_with("/docker-init"), "{init}");
    assert_eq!(after(&info, "init version:")[0], format!("init version: {commit}"));
    let version = docker(["version"]).succeeded();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: Vec<String> = after(&version, "docker-init:").into_iter().map(words).collect();
    let expected = concat!("Version: 0.19.0 (sexton ", env!("CARGO_PKG_VERSION"), ")");
    assert_eq!(shown[..3], ["docker-init:", expected, &format!("GitCommit: {commit}")]);
    assert_eq!(complaints(engine), [""; 0]);
}

/// dockerd takes the version from an init that says it is tini, and from no other.
#[test]
fn named_in_daemon_json_by_its_own_name_sexton_shows_its_commit_and_runs() {
    let room = Room::new();
    let path = room.folder().join("sexton");
    fs::copy(image::sexton(), &path).unwrap();
    let settings = format!(r#"{{"init-path": {path:?}}}"#);
    let other = Engine::private(Kind::Init, room, &settings, &[]);
    let run = |args: &[&str]| {
        let mut command = other.command();
        command.args(args);
        finish(command).unwrap()
    };
    let info = run(&["info"]).succeeded();
    assert_eq!(after(&info, "Init Binary:")[0], format!("Init Binary: {}", path.display()));
    assert_eq!(after(&info, "init version:")[0], format!("init version: {}", commit()));
    let version = run(&["version"]).succeeded();
    assert!(after(&version, "sexton:")[2].ends_with(&commit()), "{version}");
    assert_eq!(complaints(&other), [""; 0]);

    engine();
    let (image, file) = (image::test_image(), path.with_extension("tar"));
    let file = file.to_str().unwrap();
    docker(["save", "--output", file, &image]).succeeded();
    run(&["load", "--input", file]).succeeded();
    let command = ["sh", "-c", "tr '\\0' ' ' </proc/1/cmdline; exit 7"];
    let line = [&["run", "--init", "--network=none", "--env=SEXTON_LOG=info", &image][..], &command].concat();
    let ended = run(&line);
    assert_eq!(ended.status, Some(7), "{ended:?}");
    assert!(ended.stdout.starts_with("/sbin/docker-init -- sh -c"), "{ended:?}");
    assert!(ended.stderr.contains("sexton: started sh"), "{ended:?}");
}

#[test]
fn with_the_hosts_pid_namespace_the_engine_puts_no_init_into_the_container() {
    engine();
    let state = Plan::new().with(["--pid=host"]).finish(["sh", "-c", "tr '\\0' ' ' </proc/$PPID/cmdline"]);
    assert_eq!(state.status, Some(0), "{state:?}");
    assert!(!state.stdout.contains("docker-init"), "{state:?}");
}

/// The image has a sexton of its own, and both have the container's variables.
#[test]
fn in_front_of_the_images_own_sexton_one_stop_is_one_sleep_and_one_grace_period() {
    engine();
    let plan = || {
        let plan = Plan::new().with(["--entrypoint=/sexton"]);
        plan.env("SEXTON_PRE_STOP_SLEEP", "3s").env("SEXTON_GRACE_PERIOD", "5s")
    };
    let mut container = plan().start(["--", "/probe", "record", "15", "7"]);
    container.wait_for_line("ready");
    let shutdown = container.shutdown(|container| container.stop(&["-t", "30"]));
    assert_eq!(shutdown.status, 7, "it was killed before it heard of the stop");
    let (told, _) = container.wait_for_line_at("signal 15 ");
    let slept = told - shutdown.asked;
    assert!(slept >= Duration::from_secs(3) && slept < Duration::from_secs(6), "{slept:?}");
    assert_eq!(container.logged().1, "");

    let mut container = plan().start(["--", "/probe", "ignore", "15"]);
    container.wait_for_line("ready");
    let shutdown = container.shutdown(|container| container.stop(&["-t", "30"]));
    shutdown.took(Duration::from_secs(5), Duration::from_secs(5));
    let said = container.logged().1;
    assert!(shutdown.status == 137 && said.lines().count() == 1, "{said}");
    assert!(said.contains("/probe (pid ") && said.contains("did not stop within 5s"), "{said}");
}

// What the engine does by itself

#[test]
fn restart_policies_see_the_commands_exit_status() {
    engine();
    let restarts = |policy: &str, status: &str| {
        let container = Plan::new().with([format!("--restart={policy}")]).start(["/probe", "exit", status]);
        // Between two starts it is not running either.
        let deadline = Instant::now() + PATIENCE;
        while container.inspect("{{.State.Status}}") != "exited" {
            assert!(Instant::now() < deadline, "{policy} goes on for ever");
        }
        assert_eq!(container.inspect("{{.State.ExitCode}}"), status);
        container.inspect("{{.RestartCount}}")
    };
    assert_eq!(restarts("on-failure:2", "7"), "2");
    assert_eq!(restarts("on-failure:2", "0"), "0");
}

#[test]
fn what_is_always_restarted_stays_stopped_after_docker_stop() {
    engine();
    let mut container = Plan::new().with(["--restart=always"]).start(["/probe", "record", "15", "7"]);
    container.wait_for_line("ready");
    // As PID 1 itself it could not be ended by any process of the container.
    container.exec(["kill", "-TERM", "1"]);
    // Whoever follows the log is told of an end, at some time, though it goes on.
    let deadline = Instant::now() + PATIENCE;
    while container.logged().0.matches("ready").count() < 2 {
        assert!(Instant::now() < deadline, "it is not restarted");
    }
    container.stop(&["-t", "20"]);
    assert_eq!(container.inspect("{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}"), "exited 7 1");
}

#[test]
fn a_health_probe_that_times_out_leaves_no_zombie() {
    engine();
    // What the probe leaves outlives it, and is sexton's then.
    let probe = "(sleep 2 & sleep 2 & sleep 2 &) ; exec sleep 1000";
    let plan = Plan::new().env("SEXTON_WARN_ON_REAP", "1").with([
        &format!("--health-cmd={probe}"),
        "--health-interval=1s",
        "--health-timeout=1s",
        "--health-retries=1",
    ]);
    let mut container = plan.start(["/probe", "record", "15", "7"]);
    let filter = format!("container={}", container.name());
    let mut events = Lines::follow(&["events", "--since=0", "--filter", &filter, "--filter=event=health_status"]);
    events.wait_for("health_status: unhealthy");
    for _ in 0..3 {
        container.wait_for_line("reaped orphan");
    }
    let children = container.children();
    assert!(children.iter().all(|child| child.state != 'Z'), "{children:?}");
    let probes = container.exec(["sh", "-c", "cat /proc/[0-9]*/stat"]).stdout;
    assert!(!probes.contains(") Z "), "{probes}");
    container.stop(&["-t", "20"]);
    assert_eq!(container.status(), 7);
}

#[test]
fn health_probes_see_their_own_exit_status() {
    engine();
    for (probe, health) in [("/probe exit 0", "healthy"), ("/probe exit 1", "unhealthy")] {
        let plan = Plan::new().with([
            &format!("--health-cmd={probe}"),
            "--health-interval=200ms",
            "--health-timeout=20s",
            "--health-retries=1",
        ]);
        let mut container = plan.start(["/probe", "record", "15", "7"]);
        container.wait_for_line("ready");
        let filter = format!("container={}", container.name());
        let mut events = Lines::follow(&["events", "--since=0", "--filter", &filter, "--filter=event=health_status"]);
        events.wait_for(&format!("health_status: {health}"));
    }
}
