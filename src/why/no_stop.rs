//! The stop signal was none: the engine sent the one that its image names, sexton knows another one, and what
//! was configured for the shutdown did not apply.

use std::fmt;
use std::time::Duration;

use humantime::format_duration;
use log::{Level, log_enabled};

use super::amounts::{Rounded, milliseconds};
use super::died::{Command, Sender, by};
use super::evidence::Evidence;
use crate::config::{Config, Orphans};
use crate::report::{self, Facts, Name};
use crate::signal::{Short, Signal, SignalSet};
use crate::sys::{is_descendant, monotonic_now, own_pid};

/// What images and engines stop containers with (docs/docker.md, "Stop signals").
const STOPS: SignalSet = SignalSet::of(Signal::TERM)
    .with(Signal::QUIT)
    .with(Signal::INT)
    .with(Signal::USR1)
    .with(Signal::WINCH)
    .with(Signal::PWR)
    .with(Signal::RTMIN_3);

/// So soon after it the command is taken to have ended because of it: as long as `docker stop` waits.
const SOON: Duration = Duration::from_secs(10);

/// Says that a signal from outside was no stop signal, if the command ended soon after it and a stop signal
/// would have made a difference.
#[inline(never)]
pub fn tell(config: &Config, command: Command, evidence: &Evidence) {
    let makes_a_difference = Missed::of(config).count() > 0 || config.orphans != Orphans::Leave;
    if makes_a_difference && evidence.stop().is_none() && log_enabled!(Level::Warn) {
        look(config, command, evidence);
    }
}

#[cold]
#[inline(never)]
fn look(config: &Config, command: Command, evidence: &Evidence) {
    let now = monotonic_now();
    let latest = evidence
        .forwarded_signals()
        .filter(|(sender, then)| now.saturating_sub(*then) <= SOON && is_from_outside(sender))
        .max_by_key(|(_, then)| *then);
    let Some((sender, then)) = latest else { return };
    let Some(signal) = came_as(config, sender.received.signal) else { return };
    let told = NoStop { command, signal, sender, ago: now.saturating_sub(*then), config };
    let (name, setting) = (Name(command.name), Setting(signal, config.stop_signals));
    let facts = Facts::of("not_a_stop_signal").and("pid", command.pid).and_shown("command", &name);
    let facts = by(facts.and_shown("signal", &signal), Some(sender))
        .and("ended_after_ms", milliseconds(told.ago))
        .and("pre_stop_sleep_ms", milliseconds(config.pre_stop_sleep))
        .and_if("grace_period_ms", config.grace_period.map(milliseconds))
        .and_shown("setting", &setting);
    report::tell(Level::Warn, format_args!("{told}"), &facts);
}

/// Whether it came from where engines are, and not from what sexton runs.
///
/// As PID 1 that is outside of the container. Elsewhere it is whoever does not descend from sexton: a service
/// manager, another init, the shell that started us.
fn is_from_outside(sender: &Sender) -> bool {
    let received = sender.received;
    received.is_from_process()
        && match received.pid {
            0 => true,
            _ if own_pid() == 1 => false,
            _ => sender.process.is_some_and(|process| is_descendant(&process) == Some(false)),
        }
}

/// Which of the signals that stop containers it came as, before the rewrites; `None`: none, or one of several.
fn came_as(config: &Config, forwarded: Signal) -> Option<Signal> {
    let mut all = STOPS.iter().filter(|signal| {
        let is_deaths = config.parent_death_signal == Some(*signal);
        !config.stop_signals.contains(*signal) && !is_deaths && config.rewrites.apply(*signal) == Some(forwarded)
    });
    let first = all.next();
    first.filter(|_| all.next().is_none())
}

/// The stop signal was none.
#[derive(Clone, Copy, Debug)]
struct NoStop<'a> {
    command: Command,
    signal: Signal,
    sender: &'a Sender,
    ago: Duration,
    config: &'a Config,
}

impl fmt::Display for NoStop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoStop { command, signal, sender, config, .. } = self;
        let ago = Rounded(self.ago);
        write!(f, "{command} ended {ago} after {signal} from {sender}, and {signal} is no stop signal here: ")?;
        let missed = Missed::of(config);
        if missed.count() > 0 {
            write!(f, "{missed} did not apply")?;
        }
        let policy = match config.orphans {
            Orphans::Leave => None,
            Orphans::Wait => Some("wait"),
            Orphans::Stop => Some("stop"),
        };
        if let Some(policy) = policy {
            let and = if missed.count() > 0 { ", and " } else { "" };
            write!(f, "{and}--orphans {policy} takes this for the command's own end")?;
        }
        let setting = Setting(*signal, config.stop_signals);
        write!(f, "; {setting} makes it one")?;
        // What was said as an option beats the variable.
        if config.stop_signals != SignalSet::of(Signal::TERM) {
            write!(f, ", or one more --stop-signal {}", Short(*signal))?;
        }
        Ok(())
    }
}

/// A part of the shutdown that only a stop signal begins.
#[derive(Clone, Copy, Debug)]
enum Part {
    Sleep(Duration),
    PreStopSignal,
    DrainFile,
    Escalation,
    Grace(Duration),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Sleep(sleep) => write!(f, "the pre-stop sleep ({})", format_duration(*sleep)),
            Part::PreStopSignal => f.write_str("--pre-stop-signal"),
            Part::DrainFile => f.write_str("--drain-file"),
            Part::Escalation => f.write_str("--escalate"),
            Part::Grace(grace) => write!(f, "the grace period ({})", format_duration(*grace)),
        }
    }
}

/// What was configured, and did not apply.
#[derive(Clone, Copy, Debug)]
struct Missed([Option<Part>; 5]);

impl Missed {
    fn of(config: &Config) -> Missed {
        // Where orphans are to be stopped, the command's own end begins these.
        let not_by_the_end = config.orphans != Orphans::Stop;
        Missed([
            (!config.pre_stop_sleep.is_zero()).then_some(Part::Sleep(config.pre_stop_sleep)),
            config.pre_stop_signal.map(|_| Part::PreStopSignal),
            config.drain_file.as_ref().map(|_| Part::DrainFile),
            config.escalation.last().map(|_| Part::Escalation).filter(|_| not_by_the_end),
            config.grace_period.map(Part::Grace).filter(|_| not_by_the_end),
        ])
    }

    fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().flatten().enumerate() {
            let is_last = index + 1 == self.count();
            f.write_str(if index == 0 {
                ""
            } else if is_last {
                " and "
            } else {
                ", "
            })?;
            part.fmt(f)?;
        }
        Ok(())
    }
}

/// The variable that makes this signal a stop signal besides the others.
#[derive(Clone, Copy, Debug)]
struct Setting(Signal, SignalSet);

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SEXTON_STOP_SIGNALS={}", Short(self.0))?;
        self.1.iter().try_for_each(|signal| write!(f, ",{}", Short(signal)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Received;
    use crate::sys::Args;

    const COMMAND: Command = Command { name: c"nginx", pid: 7 };

    fn config() -> Config {
        Config::new(Args::from_strings(["nginx"]))
    }

    fn told(signal: Signal, change: impl FnOnce(&mut Config)) -> String {
        let mut config = config();
        change(&mut config);
        let sender = Sender { received: Received::sent_by(0, signal), process: None };
        NoStop { command: COMMAND, signal, sender: &sender, ago: Duration::from_millis(12), config: &config }
            .to_string()
    }

    #[test]
    fn what_did_not_apply_is_told_with_the_setting() {
        let (sleep, grace) = (Duration::from_secs(5), Duration::from_secs(25));
        let beginning =
            "nginx (pid 7) ended 12ms after SIGQUIT from outside the container, and SIGQUIT is no stop signal here: ";
        let setting = "; SEXTON_STOP_SIGNALS=QUIT,TERM makes it one";
        let both = |config: &mut Config| {
            config.pre_stop_sleep = sleep;
            config.grace_period = Some(grace);
        };
        let with = |change: &dyn Fn(&mut Config)| told(Signal::QUIT, |config| change(config));
        for (sentence, what) in [
            (with(&both), "the pre-stop sleep (5s) and the grace period (25s) did not apply"),
            (with(&|config| config.pre_stop_sleep = sleep), "the pre-stop sleep (5s) did not apply"),
            (with(&|config| config.grace_period = Some(grace)), "the grace period (25s) did not apply"),
            (with(&|config| config.orphans = Orphans::Stop), "--orphans stop takes this for the command's own end"),
            (
                with(&|config| {
                    both(config);
                    config.orphans = Orphans::Stop;
                }),
                "the pre-stop sleep (5s) did not apply, and --orphans stop takes this for the command's own end",
            ),
            (
                with(&|config| {
                    config.grace_period = Some(grace);
                    config.orphans = Orphans::Wait;
                }),
                "the grace period (25s) did not apply, and --orphans wait takes this for the command's own end",
            ),
            (
                with(&|config| {
                    both(config);
                    config.pre_stop_signal = Some(Signal::USR2);
                    config.drain_file = Some(c"/tmp/drain".into());
                    config.escalation.push(sleep, Signal::INT);
                }),
                "the pre-stop sleep (5s), --pre-stop-signal, --drain-file, --escalate and the grace period (25s) did not \
                 apply",
            ),
        ] {
            assert_eq!(sentence, format!("{beginning}{what}{setting}"));
        }
        let sentence = told(Signal::RTMIN_3, |config| {
            config.grace_period = Some(grace);
            config.stop_signals = SignalSet::of(Signal::HUP).with(Signal::INT);
        });
        let setting = "; SEXTON_STOP_SIGNALS=RTMIN+3,HUP,INT makes it one, or one more --stop-signal RTMIN+3";
        assert!(sentence.contains("12ms after SIGRTMIN+3 from") && sentence.ends_with(setting), "{sentence}");
    }

    #[test]
    fn a_rewritten_signal_is_told_as_it_came_unless_that_is_not_known() {
        let mut config = config();
        assert_eq!(came_as(&config, Signal::QUIT), Some(Signal::QUIT));
        assert_eq!(came_as(&config, Signal::TERM), None, "it is a stop signal");
        assert_eq!(came_as(&config, Signal::HUP), None, "nobody stops containers by it");
        config.rewrites.set(Signal::QUIT, Some(Signal::TERM));
        assert_eq!(came_as(&config, Signal::TERM), Some(Signal::QUIT));
        config.rewrites.set(Signal::QUIT, Some(Signal::INT));
        assert_eq!(came_as(&config, Signal::INT), None, "it came as SIGQUIT or as SIGINT");
        config.rewrites.set(Signal::QUIT, None);
        assert_eq!(came_as(&config, Signal::QUIT), None, "it was dropped");
        config.stop_signals = SignalSet::of(Signal::QUIT);
        assert_eq!(came_as(&config, Signal::TERM), Some(Signal::TERM), "of which the image knows nothing");
        config.parent_death_signal = Some(Signal::TERM);
        assert_eq!(came_as(&config, Signal::TERM), None, "the parent's death comes as it");
    }
}
