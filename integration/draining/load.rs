//! Constant load: requests on kept connections, and slow ones each on its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What became of the requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub answered: usize,
    /// No answer, or another one than 200.
    pub lost: usize,
}

impl Add for Count {
    type Output = Count;

    fn add(self, other: Count) -> Count {
        Count { answered: self.answered + other.answered, lost: self.lost + other.lost }
    }
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    answered: AtomicUsize,
    lost: AtomicUsize,
}

/// Clients that ask all the time.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Four that keep their connection, and two whose requests take 300 ms.
    pub fn on(address: &str) -> Load {
        let shared = Arc::new(Shared::default());
        let client = |slow: bool| {
            let (address, shared) = (address.to_owned(), Arc::clone(&shared));
            std::thread::spawn(move || {
                let mut connection = None;
                while !shared.over.load(Ordering::Relaxed) {
                    let status = if slow { get(&address, "/slow") } else { ask(&mut connection, &address, "/") };
                    let count = if status == Some(200) { &shared.answered } else { &shared.lost };
                    count.fetch_add(1, Ordering::Relaxed);
                    // A pause: the load is to be constant, not all that there can be.
                    std::thread::sleep(Duration::from_millis(10));
                }
            })
        };
        let clients = [false, false, false, false, true, true].map(client).into();
        Load { shared, clients }
    }

    /// Waits for so many answers more.
    pub fn wait_for_answers(&self, count: usize) {
        let answered = || self.shared.answered.load(Ordering::Relaxed);
        let wanted = answered() + count;
        crate::harness::wait_until("requests are answered", || answered() >= wanted);
    }

    /// No more; what has begun is waited for.
    pub fn end(self) -> Count {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        let number = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Count { answered: number(&self.shared.answered), lost: number(&self.shared.lost) }
    }
}

/// GET on a connection of its own: the status, if there is an answer.
pub fn get(address: &str, path: &str) -> Option<u16> {
    ask(&mut None, address, path)
}

/// The body of a page that ends with its connection.
pub fn page(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// GET on this connection, or on a new one where there is none. It is kept if the answer was whole.
fn ask(connection: &mut Option<BufReader<TcpStream>>, address: &str, path: &str) -> Option<u16> {
    let mut reader = match connection.take() {
        Some(reader) => reader,
        None => {
            let stream = TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
            stream.set_nodelay(true).ok()?;
            BufReader::new(stream)
        }
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    reader.get_mut().write_all(request.as_bytes()).ok()?;
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut keep) = (0, true);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).ok()? == 0 {
            return None;
        }
        let header = header.trim().to_ascii_lowercase();
        match header.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(("connection", value)) => keep = value.trim() != "close",
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    *connection = keep.then_some(reader);
    Some(status)
}
