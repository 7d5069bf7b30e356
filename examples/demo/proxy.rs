//! A proxy as small as can be, and the load that comes through it.
//!
//! It asks the server for `/ready` once a second. As soon as the answer is not 200 it sends all requests to the
//! replacement. It does not try a request again that was lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// From one look at `/ready` to the next.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);
/// From one request to the next.
const REQUEST_EVERY: Duration = Duration::from_millis(50);
/// Long enough to be under way when the server is stopped.
const REQUEST: &str = "/slow/100";
/// What a client has.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The server that is stopped has answered.
    Answered,
    /// Its replacement has answered.
    Elsewhere,
    Lost,
}

#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub ended: Instant,
    pub fate: Fate,
}

pub enum News {
    /// The proxy has found the server ready.
    Checked,
    /// The proxy sends all requests elsewhere from now on.
    TakenOut {
        at: Instant,
        why: String,
    },
    Request(Request),
}

pub struct Proxy {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    pub fn start(server: String, replacement: String, news: Sender<News>) -> Proxy {
        let over = Arc::new(AtomicBool::new(false));
        let is_in = Arc::new(AtomicBool::new(true));
        let checks = {
            let (over, is_in, server, news) = (Arc::clone(&over), Arc::clone(&is_in), server.clone(), news.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let next = Instant::now() + CHECK_EVERY;
                    let heard = match get(&server, "/ready", CHECK_EVERY) {
                        Ok(()) => news.send(News::Checked),
                        Err(why) => {
                            is_in.store(false, Ordering::Relaxed);
                            let _ = news.send(News::TakenOut { at: Instant::now(), why });
                            break;
                        }
                    };
                    if heard.is_err() {
                        break;
                    }
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            })
        };
        let load = {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                let mut requests = Vec::new();
                let mut next = Instant::now();
                while !over.load(Ordering::Relaxed) {
                    let elsewhere = !is_in.load(Ordering::Relaxed);
                    let address = if elsewhere { replacement.clone() } else { server.clone() };
                    let news = news.clone();
                    requests.push(std::thread::spawn(move || {
                        let fate = match (get(&address, REQUEST, PATIENCE), elsewhere) {
                            (Ok(()), true) => Fate::Elsewhere,
                            (Ok(()), false) => Fate::Answered,
                            (Err(_), _) => Fate::Lost,
                        };
                        let _ = news.send(News::Request(Request { ended: Instant::now(), fate }));
                    }));
                    next += REQUEST_EVERY;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                for request in requests {
                    let _ = request.join();
                }
            })
        };
        Proxy { over, threads: vec![checks, load] }
    }

    /// No more requests. Those that are under way are waited for.
    pub fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// GET on a connection of its own. An answer other than 200, or a part of one, is an error.
pub fn get(address: &str, path: &str, patience: Duration) -> Result<(), String> {
    let ask = || -> std::io::Result<String> {
        let address = address.parse().map_err(std::io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "the connection is refused".to_owned(),
        std::io::ErrorKind::ConnectionReset => "the connection is reset".to_owned(),
        _ => error.to_string(),
    })?;
    match answer.strip_prefix("HTTP/1.1 ").map(|rest| &rest[..rest.len().min(3)]) {
        Some("200") if answer.ends_with('\n') => Ok(()),
        Some(status) => Err(format!("{path} answers {status}")),
        None => Err("the connection ends without an answer".into()),
    }
}
