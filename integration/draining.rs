//! No request is lost while replicas are replaced: behind real load balancers, with real engines.
//!
//! `cargo test --test draining -- --nocapture`, as root, prints how many are lost in each way. DRAIN_RUNS says
//! how often the way that loses none is tried (20).

mod harness;

#[path = "draining/balancer.rs"]
mod balancer;
#[path = "draining/load.rs"]
mod load;
#[path = "draining/replicas.rs"]
mod replicas;

use std::path::PathBuf;
use std::time::Duration;

use balancer::{Haproxy, Nginx};
use harness::image::{busybox, example, made_of, sexton};
use harness::{Lines, Plan, docker, installed};
use load::{Count, Load};
use nix::sys::signal::Signal;
use replicas::{Network, Replica};

/// What the replicas' server is told of the shutdown, and when.
struct Way {
    name: &'static str,
    /// What stands before the server.
    init: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

/// How much longer the sleep is than the load balancer needs to see the drain: half a second and one check.
const SLEEP: (&str, &str) = ("SEXTON_PRE_STOP_SLEEP", "2s");

const WAYS: [Way; 4] = [
    Way { name: "tini", init: &["/tini", "--"], variables: &[] },
    Way { name: "sexton without a sleep", init: &["/sexton", "--"], variables: &[] },
    Way { name: "sexton with a sleep alone", init: &["/sexton", "--"], variables: &[SLEEP] },
    Way {
        name: "sexton with sleep and drain",
        init: &["/sexton", "--"],
        variables: &[SLEEP, ("SEXTON_PRE_STOP_SIGNAL", "USR2")],
    },
];

const DOCKERFILE: &str = "FROM scratch\nCOPY sexton tini server /\n";

fn files() -> [(&'static str, PathBuf); 3] {
    [("sexton", sexton()), ("tini", installed("tini-static", "tini")), ("server", example("server"))]
}

fn image() -> String {
    made_of(&files(), DOCKERFILE)
}

fn runs() -> usize {
    std::env::var("DRAIN_RUNS").map_or(20, |runs| runs.parse().expect("DRAIN_RUNS is a number"))
}

/// Replaces both replicas, one after the other, under load. Returns what the load counted.
fn roll(replicas: &[Replica], address: &str, is_up: impl Fn(&str) -> bool) -> Count {
    let load = Load::on(address);
    load.wait_for_answers(20);
    for replica in replicas {
        replica.restart();
        replica.wait_until_ready();
        harness::wait_until("the load balancer sends requests to it again", || is_up(replica.name));
        load.wait_for_answers(20);
    }
    load.end()
}

fn compare(balancer: &str, roll: impl Fn(&Way) -> Count) {
    for (number, way) in WAYS.iter().enumerate() {
        let is_last = number + 1 == WAYS.len();
        let times = if is_last { runs() } else { 1 };
        let mut all = Count::default();
        for _ in 0..times {
            let count = roll(way);
            if is_last {
                assert_eq!(count.lost, 0, "{balancer}: {}: {count:?}", way.name);
            }
            all = all + count;
        }
        println!(
            "\nlost: {balancer}: {}: {} of {} requests lost in {times} runs",
            way.name,
            all.lost,
            all.lost + all.answered
        );
    }
}

#[test]
fn behind_haproxy_with_active_checks_sleep_and_drain_lose_no_request() {
    let image = image();
    compare("haproxy", |way| {
        let network = Network::new();
        let replicas = ["a", "b"].map(|name| Replica::start(name, &image, &network, way.init, way.variables));
        let haproxy = Haproxy::before(&replicas);
        roll(&replicas, &haproxy.address, |name| haproxy.is_up(name))
    });
}

/// nginx looks at nothing but the requests that fail, and tries the next server.
#[test]
fn behind_nginx_with_passive_checks_sleep_and_drain_lose_no_request() {
    let image = image();
    compare("nginx", |way| {
        let network = Network::new();
        let replicas = ["a", "b"].map(|name| Replica::start(name, &image, &network, way.init, way.variables));
        let nginx = Nginx::before(&replicas);
        roll(&replicas, &nginx.address, |_| true)
    });
}

/// In an image with nothing but sexton and the server.
#[test]
fn dockers_own_health_check_turns_before_the_container_ends() {
    let files = [("sexton", sexton()), ("server", example("server"))];
    let image = made_of(
        &files,
        "FROM scratch\nCOPY sexton server /\n\
         ENTRYPOINT [\"/sexton\", \"--\"]\nCMD [\"/server\", \"127.0.0.1:8080\"]\n\
         HEALTHCHECK --interval=1s --retries=1 CMD [\"/sexton\", \"--check\", \"http://127.0.0.1:8080/health\"]\n",
    );
    let mut container = Plan::from_image(image).env("SEXTON_PRE_STOP_SLEEP", "5s").start([""; 0]);
    container.wait_for_line("ready on ");
    let filter = format!("container={}", container.name());
    let mut events = Lines::follow(&["events", "--since=0", "--filter", &filter, "--format", "[{{.Action}}]"]);
    events.wait_for("health_status: healthy");
    container.stop(&["-t", "30"]);
    events.wait_for("health_status: unhealthy");
    events.wait_for("[die]");
    let seen = events.streams().0;
    let place = |what: &str| seen.find(what).unwrap_or_else(|| panic!("no {what}: {seen}"));
    assert!(place("health_status: unhealthy") < place("[die]"), "{seen}");
    let log = container.inspect("{{range .State.Health.Log}}{{.ExitCode}} {{.Output}}{{end}}");
    assert!(log.contains("0 http://127.0.0.1:8080/health: 200 OK after "), "{log}");
    assert!(log.contains("1 draining: the shutdown has begun"), "{log}");
    assert_eq!(container.status(), 0);
}

/// One machine is a swarm, too: the engine takes a task out of its lists before it stops it.
#[test]
fn docker_swarm_replaces_tasks_without_a_lost_request() {
    let swarm = replicas::Swarm::new();
    // A task that has a health check is found in DNS once it is healthy, not as soon as it is started.
    let check =
        "HEALTHCHECK --interval=1s --retries=1 CMD [\"/sexton\", \"--check\", \"http://127.0.0.1:8080/health\"]";
    let image = made_of(&files(), &format!("{DOCKERFILE}{check}\n"));
    let client = made_of(&[("busybox", busybox())], "FROM scratch\nCOPY busybox /\nENTRYPOINT [\"/busybox\"]\n");
    for way in &WAYS {
        let service = swarm.service(&image, way.init, way.variables);
        // A new connection for each, to whom the engine's DNS names: as many as there are in a second or so.
        let script = "trap exit TERM; while :; do if timeout 5 /busybox wget -q -O /dev/null http://SERVICE:8080/; \
                      then echo answered; else echo lost; fi; done";
        let mut requests = swarm.client(&client, &["sh", "-c", &script.replace("SERVICE", service.name())]);
        requests.wait_for("answered");
        service.update();
        requests.wait_for("answered");
        // docker run hands it on.
        requests.send(Signal::SIGTERM);
        requests.status();
        let (said, _) = requests.streams();
        // Those from before the service had a name.
        let first = said.find("answered").unwrap_or_default();
        let (lost, answered) = (said[first..].matches("lost").count(), said.matches("answered").count());
        println!("\nlost: Docker Swarm: {}: {lost} of {} requests lost in 1 run", way.name, lost + answered);
        if way.variables.contains(&SLEEP) {
            assert_eq!(lost, 0, "{}", way.name);
        }
    }
}

#[test]
fn the_slow_request_that_has_begun_is_finished() {
    let image = image();
    let network = Network::new();
    let replica = Replica::start("a", &image, &network, &["/sexton", "--"], &[]);
    let address = replica.address();
    let slow = std::thread::spawn(move || load::get(&address, "/slow/1500"));
    replica.wait_until_busy();
    let begun = std::time::Instant::now();
    docker(["stop", "-t", "20", replica.container_name()]).succeeded();
    assert_eq!(slow.join().unwrap(), Some(200));
    assert!(begun.elapsed() < Duration::from_secs(15));
}
