//! `--check`: a health check for images without a shell, which the engine runs beside PID 1.
//!
//! It is well while no shutdown has begun and every target answers. What it saw is one line on stdout,
//! where `docker inspect` shows it.

mod answer;
pub mod target;

use std::ffi::{CStr, CString};
use std::fmt::Write;
use std::time::Duration;

use nix::errno::Errno;

#[doc(hidden)] // for fuzz/
pub use self::answer::Answer;
use self::target::Target;
use crate::phase::Phase;
use crate::report::Printable;
use crate::sys::{Connection, exists, has_our_file, monotonic_now, process};
use crate::why::amounts::Rounded;

/// How long a check takes at most, unless it is told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// What is to be checked.
#[derive(Clone, Debug)]
pub struct Check {
    /// All of these have to answer.
    pub targets: Vec<Target>,
    /// How long all of it may take.
    pub timeout: Duration,
    /// Whether the shutdown is left out.
    pub live: bool,
    /// The file that is there while a shutdown goes on.
    pub drain_file: Option<CString>,
}

/// What a check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// All is well.
    pub is_well: bool,
    /// Why, in one line.
    pub line: String,
}

impl Seen {
    fn of(is_well: bool, line: impl Into<String>) -> Seen {
        Seen { is_well, line: line.into() }
    }
}

/// Looks at the shutdown, then at each target, until something is not well or the time is over.
pub fn run(check: &Check) -> Seen {
    let deadline = monotonic_now().saturating_add(check.timeout);
    let state = if check.live { Seen::of(true, "running") } else { shutdown(check.drain_file.as_deref()) };
    if !state.is_well || check.targets.is_empty() {
        return state;
    }
    let mut all = Seen::of(true, "");
    for target in &check.targets {
        let seen = look_at(target, deadline, check.timeout);
        if !seen.is_well {
            return seen;
        }
        let separator = if all.line.is_empty() { "" } else { "; " };
        let _ = write!(all.line, "{separator}{}", seen.line);
    }
    all
}

/// Whether a shutdown has begun, by PID 1's name and by the file that is there while one goes on: either of
/// them tells it, for the file may be one that could not be made.
fn shutdown(drain_file: Option<&CStr>) -> Seen {
    const DRAINING: &str = "draining: the shutdown has begun";
    const RUNNING: &str = "running: no shutdown has begun";
    let init = process(INIT);
    if init.as_ref().is_some_and(|init| Phase::of(init.name()).is_some()) {
        return Seen::of(false, DRAINING);
    }
    if let Some(file) = drain_file {
        match exists(file) {
            Ok(true) => return Seen::of(false, format!("{DRAINING} ({} is there)", Printable(file.to_bytes()))),
            Ok(false) => return Seen::of(true, RUNNING),
            Err(errno) => {
                let file = Printable(file.to_bytes());
                return Seen::of(false, format!("cannot see whether {file} is there: {}", in_a_sentence(errno)));
            }
        }
    }
    let Some(init) = init else {
        return Seen::of(false, "cannot see whether a shutdown has begun: /proc does not show PID 1 to this user");
    };
    let name = init.name();
    // Under a peer's name PID 1 has that name, and any name when it was given one.
    if USUAL_NAMES.contains(&name) || has_our_file(INIT) {
        return Seen::of(true, RUNNING);
    }
    Seen::of(
        false,
        format!(
            "cannot see whether a shutdown has begun: PID 1 is {}, not sexton; give sexton and the check the same \
             --drain-file (SEXTON_DRAIN_FILE), or the check --live",
            Printable(name)
        ),
    )
}

const INIT: i32 = 1;

/// What a PID 1 that is sexton is mostly called. Not `catatonit`: so podman calls PID 1 of a pod whose containers
/// share a PID namespace, and its check of one of them would be told of nobody's shutdown.
const USUAL_NAMES: [&[u8]; 6] = [b"sexton", b"tini", b"tini-static", b"docker-init", b"dumb-init", b"podman-init"];

fn look_at(target: &Target, deadline: Duration, timeout: Duration) -> Seen {
    let begun = monotonic_now();
    let name = &target.name;
    let connection = match connect(target, deadline) {
        Ok(connection) => connection,
        Err(Errno::ETIMEDOUT) if monotonic_now() >= deadline => {
            return Seen::of(false, format!("{name}: no connection within {}", Rounded(timeout)));
        }
        Err(errno) => return Seen::of(false, format!("{name}: {}", in_a_sentence(errno))),
    };
    let Some(request) = target.request() else {
        let took = monotonic_now().saturating_sub(begun);
        return Seen::of(true, format!("{name}: connected after {}", Rounded(took)));
    };
    let answer = connection.send(request.as_bytes(), deadline).and_then(|()| Answer::read(&connection, deadline));
    let took = monotonic_now().saturating_sub(begun);
    match answer {
        Ok(Answer::Status { code, reason }) => {
            let blank = if reason.is_empty() { "" } else { " " };
            let line = format!("{name}: {code}{blank}{} after {}", Printable(&reason), Rounded(took));
            Seen::of((200..400).contains(&code), line)
        }
        Ok(Answer::NoHttp) => Seen::of(false, format!("{name}: what answers does not speak HTTP")),
        Ok(Answer::Cut) => Seen::of(false, format!("{name}: the connection was closed before the status line")),
        Err(Errno::ETIMEDOUT) => Seen::of(false, format!("{name}: no answer within {}", Rounded(timeout))),
        Err(errno) => Seen::of(false, format!("{name}: {}", in_a_sentence(errno))),
    }
}

/// Connects to the first of the target's addresses that somebody listens on.
fn connect(target: &Target, deadline: Duration) -> Result<Connection, Errno> {
    let mut refused = Errno::EADDRNOTAVAIL;
    for (index, address) in target.addresses.iter().enumerate() {
        match Connection::to(address, deadline) {
            Ok(connection) => return Ok(connection),
            // The first address is the one that most people mean.
            Err(errno) if index == 0 => refused = errno,
            Err(_) => {}
        }
    }
    Err(refused)
}

/// As the kernel calls it, but with a small letter.
fn in_a_sentence(errno: Errno) -> String {
    let text = errno.desc();
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Address;

    /// Of nobody there and nobody who listens, in either order.
    #[test]
    fn of_addresses_that_all_refuse_the_first_ones_reason_is_told() {
        let reasons = [(c"/no/such/socket", Errno::ENOENT), (c"/dev/null", Errno::ECONNREFUSED)];
        for [first, second] in [reasons, [reasons[1], reasons[0]]] {
            let mut target: Target = "unix:/of-no-meaning".parse().unwrap();
            target.addresses = [first, second].map(|(path, _)| Address::Unix(path.to_owned())).into();
            let deadline = monotonic_now() + Duration::from_secs(10);
            assert_eq!(connect(&target, deadline).err(), Some(first.1));
        }
    }
}
