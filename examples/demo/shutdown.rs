//! One shutdown under load, from a while before the stop signal to a while after the end.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, TryRecvError, channel};
use std::time::{Duration, Instant};

use crate::LIMIT;
use crate::place::{Init, Place, Server};
use crate::proxy::{self, CHECK_EVERY, Fate, News, Proxy, Request};
use crate::timeline::{self, letter, seconds};

/// So many checks by the proxy come before the stop signal.
const CHECKS_BEFORE: usize = 3;
/// The load goes on for so long after sexton's pre-stop sleep, and for a second after the end.
const AFTER: Duration = Duration::from_secs(2);
const SECOND: Duration = Duration::from_secs(1);
/// The slow request begins so long before the server gets the stop signal, and takes a second.
const SLOW_BEFORE: Duration = Duration::from_millis(500);

/// What was seen. All times are in seconds after the stop signal.
pub struct Shutdown {
    pub init: Init,
    pub requests: Vec<(f64, Fate)>,
    /// The stop signal was forwarded to the server.
    pub forwarded: f64,
    /// The proxy took the server out.
    pub taken_out: Option<f64>,
    /// The server and its init are gone.
    pub gone: f64,
    status: i32,
    slow_was_answered: bool,
}

impl Shutdown {
    pub fn count(&self, fate: Fate) -> usize {
        self.requests.iter().filter(|(_, seen)| *seen == fate).count()
    }

    pub fn summary(&self) -> String {
        let lost = match self.count(Fate::Lost) {
            0 => "none".into(),
            lost => lost.to_string(),
        };
        format!(
            "{}: {} requests, {lost} lost; gone {:.1}s after the stop signal, status {}",
            self.init,
            self.requests.len(),
            self.gone,
            self.status
        )
    }

    /// What ought to be otherwise.
    pub fn faults(&self) -> Vec<String> {
        let faults = [
            (self.count(Fate::Lost) > 0, "it lost requests"),
            (self.count(Fate::Answered) == 0, "the server answered nothing"),
            (self.count(Fate::Elsewhere) == 0, "the replacement answered nothing"),
            (!self.slow_was_answered, "the slow request was not answered"),
            (self.gone > LIMIT.as_secs_f64(), "it took too long"),
            (self.status != 0, "its exit status is not 0"),
        ];
        faults.into_iter().filter(|(is_so, _)| *is_so).map(|(_, fault)| fault.to_owned()).collect()
    }

    /// Starts a server and its replacement, stops the server, and prints what happens.
    pub fn watch(
        place: &mut Place,
        init: Init,
        sleep: Duration,
        interrupted: &AtomicBool,
    ) -> Result<Shutdown, Box<dyn Error>> {
        timeline::print(&format!("With {init}:"))?;
        timeline::print(" seconds")?;
        let server = place.start(init, sleep)?;
        let replacement = place.start(init, sleep)?;
        let (sender, news) = channel();
        let proxy = Proxy::start(server.address.clone(), replacement.address.clone(), sender);
        let until_forwarded = if init == Init::Sexton { sleep } else { Duration::ZERO };
        let mut watch = Watch {
            server,
            stop_how: place.stop_how(),
            until_forwarded,
            load: sleep + AFTER,
            requests: Vec::new(),
            shown: 0,
            sent: false,
            stop: None,
            forwarded: None,
            taken_out: None,
            gone: None,
            slow: None,
        };
        let mut checks = 0;
        let status = loop {
            if interrupted.load(Ordering::Relaxed) {
                return Err("interrupted".into());
            }
            match news.recv_timeout(Duration::from_millis(10)) {
                Ok(News::Checked) if watch.stop.is_none() => {
                    checks += 1;
                    if checks == CHECKS_BEFORE {
                        // Halfway between two checks, so that each run shows the same.
                        watch.stop = Some(Instant::now() + CHECK_EVERY / 2);
                    }
                }
                Ok(News::Checked) | Err(RecvTimeoutError::Timeout) => {}
                Ok(News::Request(request)) => watch.requests.push(request),
                Ok(News::TakenOut { at, why }) => watch.taken_out(at, &why)?,
                Err(RecvTimeoutError::Disconnected) => return Err("the proxy has ended by itself".into()),
            }
            if let Some(status) = watch.go_on()? {
                break status;
            }
        };
        proxy.end();
        while let Ok(News::Request(request)) = news.try_recv() {
            watch.requests.push(request);
        }
        watch.result(init, status)
    }
}

/// A shutdown that is under way.
struct Watch {
    server: Server,
    stop_how: String,
    /// From the stop signal to its forwarding.
    until_forwarded: Duration,
    /// The load goes on for so long after the stop signal.
    load: Duration,
    requests: Vec<Request>,
    /// So many of them have been printed.
    shown: usize,
    /// The stop signal was sent.
    sent: bool,
    /// When it is stopped; the zero of all times that are printed.
    stop: Option<Instant>,
    forwarded: Option<Instant>,
    taken_out: Option<Instant>,
    gone: Option<(Instant, i32)>,
    slow: Option<std::thread::JoinHandle<Result<(), String>>>,
}

impl Watch {
    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop <= Instant::now())
    }

    fn say(&self, at: Instant, who: &str, what: &str) -> Result<(), Box<dyn Error>> {
        let zero = self.stop.unwrap_or(at);
        timeline::print(&timeline::line(seconds(zero, at), who, what))
    }

    fn taken_out(&mut self, at: Instant, why: &str) -> Result<(), Box<dyn Error>> {
        if !self.is_stopped() {
            return Err(format!("the proxy takes the server out before it is stopped: {why}").into());
        }
        self.say(at, "proxy", &format!("{why}: the replacement gets all requests"))?;
        self.taken_out = Some(at);
        Ok(())
    }

    /// Does and prints what is due; at the end of it all the status.
    fn go_on(&mut self) -> Result<Option<i32>, Box<dyn Error>> {
        let Some(stop) = self.stop else { return Ok(None) };
        let now = Instant::now();
        let forwarding = stop + self.until_forwarded;
        if self.slow.is_none() && now >= forwarding - SLOW_BEFORE {
            let address = self.server.address.clone();
            if now >= stop {
                self.say(now, "client", "asks for what takes a second")?;
            }
            self.slow = Some(std::thread::spawn(move || proxy::get(&address, "/slow/1000", LIMIT)));
        }
        if now < stop {
            return Ok(None);
        }
        if !self.sent {
            self.sent = true;
            self.stop = Some(now);
            // Two seconds of those before are enough to see.
            self.requests.retain(|request| request.ended >= now - 2 * SECOND);
            for until in [now - SECOND, now] {
                self.show_requests(until)?;
            }
            self.say(now, "demo", &self.stop_how)?;
            self.server.stop()?;
        }
        self.show_lines()?;
        let stop = self.stop.unwrap_or(now);
        let elapsed = now - stop;
        // A little later than the second is over: the answers of its end are under way to us.
        let second = Duration::from_secs((elapsed.saturating_sub(Duration::from_millis(30))).as_secs());
        if second > Duration::ZERO {
            self.show_requests(stop + second)?;
        }
        match self.gone {
            Some((gone, status)) if now > gone + SECOND && elapsed > self.load => {
                self.show_requests(now)?;
                Ok(Some(status))
            }
            None if elapsed > LIMIT + LIMIT => Err("the server is still there".into()),
            _ => Ok(None),
        }
    }

    /// Those that ended before this moment and have not been printed.
    fn show_requests(&mut self, until: Instant) -> Result<(), Box<dyn Error>> {
        self.requests.sort_by_key(|request| request.ended);
        let row: Vec<char> = self.requests[self.shown..]
            .iter()
            .take_while(|request| request.ended < until)
            .map(|request| letter(request.fate))
            .collect();
        self.shown += row.len();
        for part in row.chunks(60) {
            self.say(until, "requests", &part.iter().collect::<String>())?;
        }
        Ok(())
    }

    /// What the server and its init have said.
    fn show_lines(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            match self.server.lines.try_recv() {
                Ok((at, line)) => match line.strip_prefix("sexton: ") {
                    Some(line) => {
                        if line.starts_with("forwarded SIGTERM") {
                            self.forwarded.get_or_insert(at);
                        }
                        self.say(at, "sexton", line)?;
                    }
                    // Without the logger's time.
                    None => self.say(at, "server", line.split_once("] ").map_or(&*line, |(_, line)| line))?,
                },
                Err(TryRecvError::Disconnected) if self.gone.is_none() => {
                    let status = self.server.status().unwrap_or(-1);
                    let now = Instant::now();
                    self.gone = Some((now, status));
                    self.say(now, "demo", &format!("it is gone; status {status}"))?;
                }
                Err(_) => return Ok(()),
            }
        }
    }

    fn result(mut self, init: Init, status: i32) -> Result<Shutdown, Box<dyn Error>> {
        let stop = self.stop.ok_or("it was not stopped")?;
        let (gone, _) = self.gone.ok_or("it is not gone")?;
        let slow = self.slow.take().and_then(|slow| slow.join().ok());
        let since = |at: Instant| seconds(stop, at);
        Ok(Shutdown {
            init,
            requests: self.requests.iter().map(|request| (since(request.ended), request.fate)).collect(),
            forwarded: self.forwarded.map_or(0.0, since),
            taken_out: self.taken_out.map(since),
            gone: since(gone),
            status,
            slow_was_answered: slow.is_some_and(|slow| slow.is_ok()),
        })
    }
}
