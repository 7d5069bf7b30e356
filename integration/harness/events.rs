//! What the engine itself says about the time things take.

use std::time::{Duration, UNIX_EPOCH};

use super::Container;
use super::run::{Lines, docker};

/// How long a container took from the stop signal to its end. The engine's events tell, within
/// two bounds: it writes down a signal only after having sent it, and an end only after it came.
#[derive(Clone, Copy, Debug)]
pub struct Shutdown {
    /// When the engine was about to be asked for the signal.
    pub asked: Duration,
    /// The event that says that the signal was sent.
    pub kill: Duration,
    /// The event that says that the container has ended.
    pub die: Duration,
    /// The exit status in that event.
    pub status: i32,
}

impl Shutdown {
    pub(super) fn measure(container: &Container, stop: impl FnOnce(&Container)) -> Shutdown {
        let template = "{{.TimeNano}} {{.Action}} {{.Actor.Attributes.exitCode}}";
        let filter = format!("container={}", container.name.0);
        // `since` has the engine begin with what happened before it was asked.
        let mut events = Lines::follow(&["events", "--since=0", "--filter", &filter, "--format", template]);
        events.wait_for(" start ");
        let asked = now();
        stop(container);
        let kill = events.wait_for(" kill ");
        let die = events.wait_for(" die ");
        let nanoseconds = |line: &str| {
            let number = line.split(' ').next().and_then(|word| word.parse().ok());
            Duration::from_nanos(number.unwrap_or_else(|| panic!("an event without a time: {line:?}")))
        };
        let status = die.rsplit(' ').next().and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("a die event without an exit status: {die:?}"));
        Shutdown { asked, kill: nanoseconds(&kill), die: nanoseconds(&die), status }
    }

    /// Fails unless the shutdown took so long, and not much longer: `slack` is for what the engine
    /// takes to end a container on a busy machine.
    pub fn took(&self, expected: Duration, slack: Duration) {
        assert!(self.die - self.asked >= expected, "less than {expected:?}: {self:?}");
        assert!(self.die.saturating_sub(self.kill) <= expected + slack, "more than {expected:?} + {slack:?}: {self:?}");
    }
}

/// The engine's clock, as the time since 1970.
fn now() -> Duration {
    time(docker(["info", "--format", "{{.SystemTime}}"]).succeeded().trim())
}

/// A time as the engine writes it: RFC 3339, with `Z` or with an offset.
pub fn time(text: &str) -> Duration {
    let parse = || {
        let (local, offset) = match text.strip_suffix('Z') {
            Some(local) => (local, 0),
            None => {
                let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
                let (hours, minutes) = offset.get(1..)?.split_once(':')?;
                let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
                (local, if offset.starts_with('-') { -seconds } else { seconds })
            }
        };
        let time = humantime::parse_rfc3339(&format!("{local}Z")).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let seconds = time.as_secs().checked_add_signed(-offset)?;
        Some(Duration::new(seconds, time.subsec_nanos()))
    };
    parse().unwrap_or_else(|| panic!("{text:?} is no time"))
}
