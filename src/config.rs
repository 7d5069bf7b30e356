//! What sexton was asked to do, whichever command line it was said in.

use std::ffi::CString;
use std::time::Duration;

use crate::exit_status;
use crate::signal::{Rewrites, Signal, SignalSet};
use crate::sys::Args;

/// Everything the supervisor needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The command and its arguments, as they stand in sexton's own argument vector.
    pub command: Args,
    /// From the stop signal to SIGKILL; `None`: sexton itself never kills.
    pub grace_period: Option<Duration>,
    /// From the stop signal to its forwarding.
    pub pre_stop_sleep: Duration,
    /// What the command is sent when the shutdown begins, before the pre-stop sleep.
    pub pre_stop_signal: Option<Signal>,
    /// What it is sent after the stop signal, if it is still there.
    pub escalation: Escalation,
    /// A file that is there while a shutdown goes on.
    pub drain_file: Option<CString>,
    /// Which signals start the shutdown.
    pub stop_signals: SignalSet,
    /// What is forwarded in place of each signal.
    pub rewrites: Rewrites,
    /// Forward to the command's process group, not to the main process alone.
    pub group: bool,
    /// The user asked for a subreaper by name, so it is worth a word when the kernel refuses.
    pub subreaper: bool,
    /// The signal to act on when our parent dies.
    pub parent_death_signal: Option<Signal>,
    /// Exit statuses of the command that become 0.
    pub expected_exits: ExitStatuses,
    /// One warning for each orphan reaped.
    pub warn_on_reap: bool,
    /// Die by the signal that the command died of, so that our parent sees it (not as PID 1).
    pub reraise: bool,
    /// No command: sexton reaps orphans until a stop signal comes.
    pub pause: bool,
    /// The command leads a session of its own, not only a process group, and gets the terminal
    /// that is sexton's stdin as its controlling terminal.
    pub new_session: bool,
    /// When the command is gone, what is left of its process group gets SIGTERM, unless the stop
    /// signal has been forwarded to it before.
    pub stop_group_at_exit: bool,
    /// sexton stops itself after forwarding SIGTSTP, SIGTTIN or SIGTTOU.
    pub suspend_on_terminal_stop: bool,
    /// sexton's exit status when the command could not be started.
    pub statuses: Statuses,
    /// What becomes of the processes that are left when the command has exited.
    pub orphans: Orphans,
    /// Have the kernel kill the command if sexton itself is killed.
    pub die_with_sexton: bool,
    /// Exit with 0 when the command was ended by the stop signal that was forwarded to it.
    pub ok_after_stop: bool,
    /// Where an abnormal end is told as well.
    pub termination_log: Option<CString>,
    /// How lines on stderr are written.
    pub log_format: LogFormat,
    /// How much is said on stderr.
    pub log_level: log::LevelFilter,
    /// What was odd, though no reason to refuse: said before the command starts.
    pub warnings: Vec<String>,
    /// The command stands where a path for the termination log may have been meant.
    pub may_be_termination_log: bool,
}

impl Config {
    /// Whether a shutdown takes its time.
    pub fn has_times(&self) -> bool {
        !self.pre_stop_sleep.is_zero() || self.grace_period.is_some() || self.escalation.last().is_some()
    }

    /// The defaults, for this command.
    pub fn new(command: Args) -> Config {
        Config {
            command,
            grace_period: None,
            pre_stop_sleep: Duration::ZERO,
            pre_stop_signal: None,
            escalation: Escalation::default(),
            drain_file: None,
            stop_signals: SignalSet::of(Signal::TERM),
            rewrites: Rewrites::none(),
            group: false,
            subreaper: false,
            parent_death_signal: None,
            expected_exits: ExitStatuses::default(),
            warn_on_reap: false,
            reraise: false,
            pause: false,
            new_session: false,
            stop_group_at_exit: false,
            suspend_on_terminal_stop: false,
            statuses: Statuses::SEXTON,
            orphans: Orphans::Leave,
            die_with_sexton: false,
            ok_after_stop: false,
            termination_log: None,
            log_format: LogFormat::Text,
            log_level: log::LevelFilter::Warn,
            warnings: Vec::new(),
            may_be_termination_log: false,
        }
    }
}

/// What becomes of the processes that are left when the command has exited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// sexton exits at once; as PID 1 the kernel kills them.
    #[default]
    Leave,
    /// sexton stays until none is left; signals go to them.
    Wait,
    /// They are sent the stop signal, and killed when the grace period is over.
    Stop,
}

/// How lines on stderr are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `sexton: ` and a sentence.
    #[default]
    Text,
    /// A JSON object with the sentence and its facts.
    Json,
}

/// Signals that are sent in turn, each so long after the stop signal was forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Escalation([Option<(Duration, Signal)>; Escalation::MOST]);

impl Escalation {
    /// So many steps at most.
    pub const MOST: usize = 8;

    /// Adds a step. Returns whether it is later than all others, and there was room for it.
    pub fn push(&mut self, after: Duration, signal: Signal) -> bool {
        let ascends = self.last().is_none_or(|(last, _)| last < after);
        match self.0.iter_mut().find(|step| step.is_none()) {
            Some(free) if ascends => {
                *free = Some((after, signal));
                true
            }
            _ => false,
        }
    }

    /// The step with this number, from 0.
    pub fn step(&self, number: usize) -> Option<(Duration, Signal)> {
        *self.0.get(number)?
    }

    /// The last step.
    pub fn last(&self) -> Option<(Duration, Signal)> {
        self.0.iter().rev().find_map(|step| *step)
    }
}

/// A set of exit statuses, 0 to 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitStatuses([u64; 4]);

impl ExitStatuses {
    /// Adds one.
    pub fn insert(&mut self, status: u8) {
        if let Some(word) = self.0.get_mut(usize::from(status / 64)) {
            *word |= 1 << (status % 64);
        }
    }

    /// Whether it is in the set.
    pub fn contains(self, status: u8) -> bool {
        self.0.get(usize::from(status / 64)).is_some_and(|word| word & (1 << (status % 64)) != 0)
    }
}

/// The exit statuses for a command that could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// sexton itself failed.
    pub failed: u8,
    /// The command was found and could not be executed.
    pub cannot_execute: u8,
    /// The command was not found.
    pub not_found: u8,
}

impl Statuses {
    /// sexton's own.
    pub const SEXTON: Statuses = Statuses {
        failed: exit_status::SEXTON_FAILED,
        cannot_execute: exit_status::CANNOT_EXECUTE,
        not_found: exit_status::NOT_FOUND,
    };

    /// What to exit with where sexton's own table ([`exit_status`]) says `status`.
    pub fn in_place_of(self, status: u8) -> u8 {
        match status {
            exit_status::SEXTON_FAILED => self.failed,
            exit_status::CANNOT_EXECUTE => self.cannot_execute,
            exit_status::NOT_FOUND => self.not_found,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_exit_statuses_holds_just_what_was_inserted() {
        let mut set = ExitStatuses::default();
        for status in [0, 63, 64, 143, 255] {
            assert!(!set.contains(status));
            set.insert(status);
        }
        let held: Vec<u8> = (0..=255).filter(|s| set.contains(*s)).collect();
        assert_eq!(held, [0, 63, 64, 143, 255]);
    }
}
