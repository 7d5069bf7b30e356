//! Replicas of the server: containers in a network of their own, or a service of a swarm.

use crate::harness::{Container, Lines, Plan, docker, names, run_name, wait_until};
use crate::load::get;

/// A network of the test's own, whose addresses are known before a container has one.
pub struct Network {
    name: String,
    prefix: String,
}

impl Network {
    pub fn new() -> Network {
        let name = format!("{}-{}", run_name(), names::random());
        // The engine refuses what overlaps with another network.
        for tries in 0.. {
            let number = u32::from_str_radix(&names::random()[..8], 16).unwrap();
            let prefix = format!("10.{}.{}", 200 + number % 50, number / 50 % 250);
            let subnet = format!("--subnet={prefix}.0/24");
            let made = docker(["network", "create", &subnet, &name]);
            if made.status == Some(0) {
                return Network { name, prefix };
            }
            assert!(tries < 20, "{}", made.stderr);
        }
        unreachable!()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = docker(["network", "rm", &self.name]);
    }
}

/// One of two.
pub struct Replica {
    pub name: &'static str,
    ip: String,
    container: Container,
}

impl Replica {
    pub fn start(
        name: &'static str,
        image: &str,
        network: &Network,
        init: &[&str],
        variables: &[(&str, &str)],
    ) -> Replica {
        let ip = format!("{}.{}", network.prefix, 10 + usize::from(name.as_bytes()[0] - b'a'));
        let plan = Plan::from_image(image.to_owned()).on_network(&network.name, &ip);
        let plan = variables.iter().fold(plan, |plan, (name, value)| plan.env(name, value));
        let container = plan.start([init, &["/server", "0.0.0.0:8080", name]].concat());
        let replica = Replica { name, ip, container };
        replica.wait_until_ready();
        replica
    }

    pub fn address(&self) -> String {
        format!("{}:8080", self.ip)
    }

    pub fn container_name(&self) -> &str {
        self.container.name()
    }

    /// `docker restart`, which stops it first.
    pub fn restart(&self) {
        docker(["restart", "-t", "20", self.container.name()]).succeeded();
    }

    pub fn wait_until_ready(&self) {
        wait_until("the server is ready", || get(&self.address(), "/ready") == Some(200));
    }

    /// A request has reached it: its connection is established.
    pub fn wait_until_busy(&self) {
        let pid = self.container.pid();
        wait_until("a request has begun", || {
            let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
            table.lines().any(|line| line.split_whitespace().nth(3) == Some("01"))
        });
    }
}

/// This machine as a swarm of one, left again in the end.
pub struct Swarm {
    network: String,
}

impl Swarm {
    pub fn new() -> Swarm {
        let state = docker(["info", "--format", "{{.Swarm.LocalNodeState}}"]).succeeded();
        assert_eq!(
            state.trim(),
            "inactive",
            "the engine of this machine is in a swarm already: the test would leave it"
        );
        docker(["swarm", "init", "--advertise-addr=127.0.0.1"]).succeeded();
        let network = format!("{}-{}", run_name(), names::random());
        // So that it is left whatever comes.
        let swarm = Swarm { network };
        docker(["network", "create", "--driver=overlay", "--attachable", &swarm.network]).succeeded();
        swarm
    }

    /// Two replicas of the server, whose name is asked for in DNS: what the virtual IP needs besides (IPVS) not
    /// every kernel has.
    pub fn service(&self, image: &str, init: &[&str], variables: &[(&str, &str)]) -> Service {
        let name = format!("web-{}", &names::random()[..8]);
        let variables: Vec<String> = variables.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
        let mut line = vec!["service", "create", "--no-resolve-image", "--replicas=2", "--endpoint-mode=dnsrr"];
        line.extend(["--stop-grace-period=20s", "--update-order=start-first", "--update-delay=0s", "--name", &name]);
        line.extend(["--network", &self.network]);
        line.extend(variables.iter().map(String::as_str));
        line.push(image);
        line.extend(init);
        line.extend(["/server", "0.0.0.0:8080"]);
        docker(line).succeeded();
        Service(name)
    }

    /// A container in the service's network.
    pub fn client(&self, image: &str, command: &[&str]) -> Lines {
        let network = format!("--network={}", self.network);
        let name = format!("--name={}-{}", run_name(), names::random());
        Lines::follow(&[&["run", "--rm", "--init=false", &network, &name, image], command].concat())
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let _ = docker(["swarm", "leave", "--force"]);
        // The engine keeps this one for the next swarm.
        let _ = docker(["network", "rm", "docker_gwbridge"]);
    }
}

pub struct Service(String);

impl Service {
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Replaces every task, and returns when that is done.
    pub fn update(&self) {
        docker(["service", "update", "--force", "--quiet", &self.0]).succeeded();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = docker(["service", "rm", &self.0]);
    }
}
