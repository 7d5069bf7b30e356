//! A server that shuts down gracefully, for the demo and for tests with real load balancers.
//!
//! ```text
//! server ADDRESS:PORT [NAME]
//! ```
//!
//! `/ready` is 200 until it is told that the shutdown has begun: by SIGUSR2 (`--pre-stop-signal USR2`), or by
//! the file that SEXTON_DRAIN_FILE names (`--drain-file`); then it is 503. `/health` is 200 for as long as it
//! answers. `/slow` takes 300 ms, or as many as `/slow/MILLISECONDS` says. All else is 200 with its NAME.
//!
//! At SIGTERM it takes what has connected by then and nothing more, finishes what has begun, closes, and
//! exits with status 0. RUST_LOG=info has it say so.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use log::{debug, info};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGTERM, SIGUSR2};

/// What all connections share.
struct Server {
    name: String,
    /// SIGUSR2 came.
    draining: Arc<AtomicBool>,
    drain_file: Option<PathBuf>,
    connections: Mutex<Connections>,
    ended: Condvar,
}

#[derive(Default)]
struct Connections {
    open: usize,
    /// Those that wait for a request, by a number of their own.
    idle: HashMap<usize, TcpStream>,
    stopping: bool,
}

impl Server {
    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed) && !self.drain_file.as_deref().is_some_and(Path::exists)
    }

    /// Serves one connection to its end.
    fn serve(&self, number: usize, stream: TcpStream) {
        if let Err(error) = self.requests(number, &stream) {
            debug!("connection {number}: {error}");
        }
        let mut connections = self.connections();
        connections.idle.remove(&number);
        connections.open -= 1;
        self.ended.notify_all();
    }

    fn requests(&self, number: usize, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            {
                let mut connections = self.connections();
                // What has been sent already is answered; what comes later is not waited for.
                if connections.stopping && reader.buffer().is_empty() {
                    stream.shutdown(Shutdown::Read)?;
                }
                connections.idle.insert(number, stream.try_clone()?);
            }
            let mut line = String::new();
            let got = reader.read_line(&mut line)?;
            self.connections().idle.remove(&number);
            if got == 0 {
                return Ok(());
            }
            let mut keep = line.contains("HTTP/1.1");
            loop {
                let mut header = String::new();
                if reader.read_line(&mut header)? == 0 {
                    return Ok(());
                }
                let header = header.trim().to_ascii_lowercase();
                if header.is_empty() {
                    break;
                }
                if let Some(value) = header.strip_prefix("connection:") {
                    keep = value.trim() != "close" && (keep || value.trim() == "keep-alive");
                }
            }
            let path = line.split(' ').nth(1).unwrap_or("/");
            let (status, body) = self.answer(path);
            keep &= !self.connections().stopping;
            let connection = if keep { "keep-alive" } else { "close" };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
                body.len()
            );
            (&mut &*stream).write_all(answer.as_bytes())?;
            if !keep {
                return stream.shutdown(Shutdown::Write);
            }
        }
    }

    fn answer(&self, path: &str) -> (&'static str, String) {
        match path {
            "/health" => ("200 OK", "well\n".into()),
            "/ready" if self.is_ready() => ("200 OK", "ready\n".into()),
            "/ready" => ("503 Service Unavailable", "draining\n".into()),
            path => {
                if let Some(rest) = path.strip_prefix("/slow") {
                    let milliseconds = rest.trim_start_matches('/').parse().unwrap_or(300);
                    std::thread::sleep(Duration::from_millis(milliseconds));
                }
                ("200 OK", format!("{}\n", self.name))
            }
        }
    }

    /// Nobody is waited for any more, and what has begun is finished.
    fn stop(&self) {
        let mut connections = self.connections();
        connections.stopping = true;
        for stream in connections.idle.values() {
            let _ = stream.shutdown(Shutdown::Read);
        }
        info!("SIGTERM: no new connections; {} to finish", connections.open);
        while connections.open > 0 {
            connections = self.ended.wait(connections).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

/// Serves until SIGTERM. The demo is this server, too.
pub fn main() -> io::Result<()> {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let (told, wake) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGTERM, wake)?;
    let draining = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGUSR2, Arc::clone(&draining))?;
    let listener = TcpListener::bind(&address)?;
    listener.set_nonblocking(true)?;
    let server = Arc::new(Server {
        name: arguments.next().unwrap_or_else(|| "server".into()),
        draining,
        drain_file: std::env::var_os("SEXTON_DRAIN_FILE").map(PathBuf::from),
        connections: Mutex::default(),
        ended: Condvar::new(),
    });
    println!("ready on {}", listener.local_addr()?);
    let mut stopping = false;
    for number in 0.. {
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break Some(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock && stopping => break None,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let (listens, tells) = (listener.as_fd(), told.as_fd());
                    let mut descriptors =
                        [PollFd::new(listens, PollFlags::POLLIN), PollFd::new(tells, PollFlags::POLLIN)];
                    match poll(&mut descriptors, PollTimeout::NONE) {
                        Ok(_) => stopping = descriptors[1].any() == Some(true),
                        Err(nix::errno::Errno::EINTR) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                // One that was closed before it was taken.
                Err(error) => debug!("accept: {error}"),
            }
        };
        let Some(stream) = stream else { break };
        stream.set_nonblocking(false)?;
        server.connections().open += 1;
        let server = Arc::clone(&server);
        std::thread::spawn(move || server.serve(number, stream));
    }
    drop(listener);
    server.stop();
    info!("all is finished: exit 0");
    Ok(())
}
