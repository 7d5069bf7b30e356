//! How the command ended: a story while all is well, else why.

use std::fmt;
use std::time::Duration;

use log::{Level, log_enabled};

use super::amounts::{Rounded, milliseconds};
use super::cost::Cost;
use super::died::{Command, FailedOutOfMemory, Killed, by};
use super::evidence::{Evidence, Forwarding};
use crate::config::Config;
use crate::report::{self, Facts, Name};
use crate::signal::Signal;
use crate::sys::{ChangeKind, Death, Usage};

/// Tells how the command ended, which is reaped by now, with what its run cost.
#[inline(never)]
pub fn tell(config: &Config, command: Command, evidence: &mut Evidence, kind: ChangeKind, usage: Option<Usage>) {
    let death = match kind {
        ChangeKind::Exited(status) => Death::Exited(status),
        ChangeKind::Killed { signal, .. } => Death::Killed(signal),
        ChangeKind::Dead(_) | ChangeKind::Stopped(_) | ChangeKind::Continued => return,
    };
    let end = End { command, kind, status: death.status(), usage };
    evidence.look_at_rest(death);
    let is_declared_good = config.expected_exits.contains(end.status);
    match kind {
        ChangeKind::Exited(0) => end.as_story(evidence),
        ChangeKind::Exited(_) if is_declared_good => end.as_story(evidence),
        ChangeKind::Exited(_) if evidence.memory().has_killed() => end.failed_out_of_memory(evidence),
        ChangeKind::Exited(status) if evidence.was_stopped_well(status) => end.as_story(evidence),
        ChangeKind::Exited(_) => end.failed(evidence),
        ChangeKind::Killed { signal, core_dumped } => {
            // A lack of memory is nothing that anybody declares good, though SIGKILL may be.
            let is_good = is_declared_good && (signal != Signal::KILL || !evidence.memory().has_killed());
            if is_good || evidence.is_expected(signal) {
                end.as_story(evidence);
            } else {
                end.killed(evidence, signal, core_dumped);
            }
        }
        ChangeKind::Dead(_) | ChangeKind::Stopped(_) | ChangeKind::Continued => {}
    }
}

/// What is told of every end.
struct End {
    command: Command,
    kind: ChangeKind,
    /// As it is shown to whoever started sexton, if nothing changes it.
    status: u8,
    usage: Option<Usage>,
}

impl End {
    #[inline(never)]
    fn as_story(&self, evidence: &Evidence) {
        // What is not told is not looked for, not even on the clock.
        if log_enabled!(Level::Info) {
            self.tell_story(evidence.ran(), &Cost::of(self.usage, evidence));
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_story(&self, ran: Duration, cost: &Cost) {
        let command = self.command;
        let (name, signal) = (Name(command.name), self.signal());
        let facts = self.facts(&name, &signal, ran);
        let sentence = format_args!("{command} {} after {}{cost}", What(self.kind), Rounded(ran));
        report::tell(Level::Info, sentence, &cost.facts(facts));
    }

    /// A status that is not 0: only who was held back has something to say for itself.
    #[inline(never)]
    fn failed(&self, evidence: &Evidence) {
        match Cost::of_held_back(self.usage, evidence) {
            Some(cost) => self.tell_held_back(evidence.ran(), &cost),
            None => self.as_story(evidence),
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_held_back(&self, ran: Duration, cost: &Cost) {
        let command = self.command;
        let Some(held_back) = cost.held_back(ran) else { return };
        let (name, signal) = (Name(command.name), self.signal());
        let facts = cost.facts(self.facts(&name, &signal, ran));
        let (what, ran) = (What(self.kind), Rounded(ran));
        let cost: &dyn fmt::Display = if log_enabled!(Level::Info) { cost } else { &"" };
        report::end(Level::Warn, format_args!("{command} {what} after {ran}{cost}; {held_back}"), &facts);
    }

    #[cold]
    #[inline(never)]
    fn failed_out_of_memory(&self, evidence: &Evidence) {
        let (command, status, ran, memory) = (self.command, self.status, evidence.ran(), evidence.memory());
        let cost = Cost::of(self.usage, evidence);
        let failed = FailedOutOfMemory { command, status, ran, memory, cost };
        let name = Name(command.name);
        let facts = facts_of("command_failed_out_of_memory", self, &name, ran);
        report::end(Level::Warn, format_args!("{failed}"), &cost.facts(memory.facts(facts)));
    }

    #[cold]
    #[inline(never)]
    fn killed(&self, evidence: &Evidence, signal: Signal, core_dumped: bool) {
        let (command, ran, memory) = (self.command, evidence.ran(), evidence.memory());
        let (forwarding, cpu_limit) = (evidence.forwarding(signal), evidence.cpu_limit());
        let cost = Cost::of(self.usage, evidence);
        let killed = Killed { command, signal, core_dumped, ran, forwarding, memory, cpu_limit, cost };
        let (sender, ago) = match &forwarding {
            Forwarding::Last(sender, ago) => (Some(sender), Some(milliseconds(*ago))),
            Forwarding::Once | Forwarding::PreStop | Forwarding::Never => (None, None),
        };
        let (name, killed_by) = (Name(command.name), Some(signal));
        let facts = by(memory.facts(self.facts(&name, &killed_by, ran)), sender).and_if("forwarded_before_ms", ago);
        let facts = facts.and_if("cpu_limit_ms", cpu_limit.map(|reached| milliseconds(reached.limit)));
        report::end(Level::Warn, format_args!("{killed}"), &cost.facts(facts));
    }

    fn signal(&self) -> Option<Signal> {
        if let ChangeKind::Killed { signal, .. } = self.kind { Some(signal) } else { None }
    }

    fn facts<'a>(&self, name: &'a Name<'a>, signal: &'a Option<Signal>, ran: Duration) -> Facts<'a> {
        match (self.kind, signal) {
            (ChangeKind::Killed { core_dumped, .. }, Some(signal)) => {
                facts_of("command_killed", self, name, ran).and_shown("signal", signal).and("core_dumped", core_dumped)
            }
            _ => facts_of("command_exited", self, name, ran),
        }
    }
}

fn facts_of<'a>(event: &'static str, end: &End, name: &'a Name<'a>, ran: Duration) -> Facts<'a> {
    let facts = Facts::of(event).and("pid", end.command.pid).and_shown("command", name);
    facts.and("exit_status", end.status).and("ran_ms", milliseconds(ran))
}

/// What happened to a process, as the end of a sentence.
#[derive(Clone, Copy, Debug)]
pub struct What(pub ChangeKind);

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ChangeKind::Exited(status) => write!(f, "exited with status {status}"),
            ChangeKind::Killed { signal, core_dumped: false } => write!(f, "was killed by {signal}"),
            ChangeKind::Killed { signal, core_dumped: true } => write!(f, "was killed by {signal}, core dumped"),
            ChangeKind::Stopped(signal) => write!(f, "was stopped by {signal}"),
            ChangeKind::Continued => f.write_str("goes on"),
            ChangeKind::Dead(_) => f.write_str("is dead"),
        }
    }
}
