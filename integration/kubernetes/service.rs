//! A Service in front of one pod.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::cri::{End, Node, PidNamespace};
use super::harness::PATIENCE;

/// For so long after a pod's stop begins do requests come in: until then not every node of the
/// cluster has taken the pod off its list of endpoints.
const LAG: Duration = Duration::from_secs(2);

const ADDRESS: &str = "127.0.0.1:8080";

/// What became of the requests that were sent after the stop began, and of the pod.
#[derive(Debug)]
pub struct Service {
    pub answered: usize,
    pub failed: usize,
    /// From the begin of the stop to the end of the pod.
    pub gone: Duration,
    pub end: End,
}

impl Service {
    /// Stops a pod as the kubelet does, with this `terminationGracePeriodSeconds`, while requests
    /// come in. Its container is a server that takes no request after SIGTERM and
    /// then cleans up for a second.
    pub fn stop_a_pod(env: &[(&str, &str)], limit: Duration) -> Service {
        let node = Node::new();
        let server = include_str!("server");
        let server = node.file("server", server);
        let page = node.file("index.html", "hello\n");
        let pod = node.run_pod(PidNamespace::Container);
        let plan = pod.container("server").mount(&server, "/service/server").mount(&page, "/service/www/index.html");
        let plan = env.iter().fold(plan, |plan, (name, value)| plan.env(name, value));
        let container = plan.start(&["sh", "/service/server", ADDRESS]);
        let (serves, served) = mpsc::channel();
        let stopped = OnceLock::new();
        thread::scope(|scope| {
            let clients = scope.spawn(|| {
                node.room.enter_network();
                wait_for_the_server();
                serves.send(()).unwrap();
                send_requests(&stopped)
            });
            served.recv_timeout(2 * PATIENCE).expect("the server answers");
            let begin = *stopped.get_or_init(Instant::now);
            container.stop(limit);
            pod.stop();
            let gone = begin.elapsed();
            let (answered, failed) = clients.join().unwrap();
            println!("{answered} requests answered and {failed} failed after the stop began; gone after {gone:.1?}");
            Service { answered, failed, gone, end: container.end() }
        })
    }
}

fn wait_for_the_server() {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = request() {
        assert!(Instant::now() < deadline, "the server does not answer: {error}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// One request after the other until the list is up to date. How many of those that were sent
/// after the stop began were answered, and how many failed.
fn send_requests(stopped: &OnceLock<Instant>) -> (usize, usize) {
    let (mut answered, mut failed) = (0, 0);
    loop {
        let stopped = stopped.get();
        if stopped.is_some_and(|stopped| stopped.elapsed() >= LAG) {
            return (answered, failed);
        }
        let result = request();
        if stopped.is_some() {
            *if result.is_ok() { &mut answered } else { &mut failed } += 1;
        }
        // About a hundred in a second.
        thread::sleep(Duration::from_millis(10));
    }
}

fn request() -> io::Result<()> {
    let mut connection = TcpStream::connect(ADDRESS)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let is_good = answer.starts_with("HTTP/1.") && answer.contains(" 200 OK") && answer.ends_with("hello\n");
    if is_good { Ok(()) } else { Err(io::Error::other(answer)) }
}
