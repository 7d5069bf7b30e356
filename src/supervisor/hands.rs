//! What is done: the machine's actions carried out, and told.

use std::fmt;
use std::mem;
use std::time::Duration;

use humantime::format_duration;
use log::kv::Value;
use log::{Level, debug, info, log_enabled, warn};
use nix::errno::Errno;

use super::job::Job;
use crate::config::{Config, Orphans};
use crate::phase::Phase;
use crate::report::{self, Facts, Name};
use crate::shutdown::{Action, Event, Nested};
use crate::signal::{HeldBack, Received, Signal};
use crate::sys::{
    Badge, Change, ChangeKind, Death, GroupStop, NoProc, Process, SendError, Sent, Usage, die_by, each_child,
    kill_orphans, make_mark, own_pid, send, send_held_back, send_to_group, send_to_orphaned_group, set_own_name,
    signal_orphans,
};
use crate::why::amounts::{Count, Rounded, milliseconds};
use crate::why::cost::Cost;
use crate::why::died::{Command, GraceOver, Processes, Sender, Tracer, Unkillable, by};
use crate::why::end::{self, What};
use crate::why::evidence::{self, Evidence};
use crate::why::left::{self, End};
use crate::why::no_stop;
use crate::why::stuck::{StillThere, StopSignal, Why};
use crate::why::told::Told;

/// What carries out the machine's actions.
pub(super) struct Hands<'a> {
    pub config: &'a Config,
    pub command: Command,
    pub job: Job,
    /// What is needed to say why the command died.
    pub evidence: &'a mut Evidence,
    /// How the command ended.
    pub ended: Option<Death>,
    /// It is time to leave.
    pub over: bool,
    /// How far the shutdown is.
    pub phase: Option<Phase>,
    /// The stop signal that went to the whole process group of the command.
    pub group_stop: Option<GroupStop>,
    /// What was learned of the command when it was sent a signal.
    pub learned: Option<Event>,
    /// The command is a sexton with times: SIGKILL for it is for all that it would have cared for.
    pub is_nested: bool,
    /// It is known which sessions are older than the command.
    pub knows_sessions: bool,
    /// What was seen of whoever was told to stop.
    pub told: Told,
    /// A stop signal went to what the command left.
    pub orphans_told: bool,
    /// The grace period is over and all that is left is to be killed.
    pub killing: bool,
}

impl Hands<'_> {
    /// The signal, if it is for the command.
    pub fn for_command(&self, received: Received) -> Option<Received> {
        if !self.job.concerns_command(&received) {
            return None;
        }
        if log_enabled!(Level::Debug) {
            tell_received(received);
        }
        if received.signal == Signal::CONT && self.ended.is_none() {
            self.job.continued(self.command.pid);
        }
        Some(received)
    }

    /// What is done once nothing keeps a signal from the command any more.
    pub fn signal_was_handled(&mut self, received: Received) {
        if self.config.suspend_on_terminal_stop {
            self.job.forwarded(received.signal);
        }
    }

    /// SIGKILL to what escaped it: it is our child by now, for its parent is dead.
    pub fn kill_again(&mut self) {
        if self.killing {
            self.kill_orphans();
        }
    }

    /// What a child's change means to the machine.
    pub fn see(&mut self, change: Change) -> Option<Event> {
        if change.pid != self.command.pid || self.ended.is_some() {
            tell_reaped(self.config, change);
            return None;
        }
        match change.kind {
            ChangeKind::Exited(status) => self.ended = Some(Death::Exited(status)),
            ChangeKind::Killed { signal, .. } => self.ended = Some(Death::Killed(signal)),
            ChangeKind::Dead(death) => {
                if self.config.stop_group_at_exit {
                    self.stop_group();
                }
                self.evidence.look_at_dead(self.command.pid, death);
                return None;
            }
            ChangeKind::Stopped(signal) => return Some(Event::CommandStopped(signal)),
            ChangeKind::Continued => return Some(Event::CommandContinued),
        }
        self.job.ended(self.command.pid);
        end::tell(self.config, self.command, self.evidence, change.kind, change.usage);
        no_stop::tell(self.config, self.command, self.evidence);
        if self.evidence.stop().is_none() {
            self.tell_zombies();
        }
        if self.config.orphans == Orphans::Leave {
            self.tell_left();
        }
        Some(Event::CommandExited)
    }

    /// With `-v`: which processes do not reap their children. No init can do that for them.
    fn tell_zombies(&self) {
        if log_enabled!(Level::Info) {
            evidence::zombies(|zombies| {
                let facts = Facts::of("zombies").and_if("pid", Some(zombies.keeper).filter(|pid| *pid != 0));
                report::tell(Level::Info, format_args!("{zombies}"), &facts.and("zombies", zombies.count));
            });
        }
    }

    /// Who is cut off, or goes on without sexton.
    fn tell_left(&self) {
        let is_good = self.ended == Some(Death::Exited(0));
        left::tell(self.config, self.command, self.evidence, End { is_good, group_stop: self.group_stop });
    }

    pub fn act(&mut self, action: Action, now: Duration) {
        match action {
            Action::ShutdownBegins(received) => self.shutdown_begins(received, now),
            Action::Forward(received) if self.ended.is_some() => self.signal_orphans(&received, None, false),
            Action::ForwardStop(received) if self.ended.is_some() => self.stop_orphans(&received, None),
            Action::Forward(received) => {
                let sent = self.send(&received);
                if self.tell_forwarded(&received, sent) {
                    self.evidence.forwarded(received, false);
                    self.told.also_sent(received.signal);
                }
            }
            Action::ForwardStop(received) => self.forward_stop(received, now),
            Action::PreStop(signal) => {
                if self.send_own(signal, format_args!("before the pre-stop sleep")) {
                    self.evidence.forwarded(by_sexton(signal), false);
                }
            }
            Action::Escalate(signal) if self.ended.is_some() => self.signal_orphans(&by_sexton(signal), None, false),
            Action::Escalate(signal) => {
                let waited = self.evidence.waits().map(|(_, waited)| waited).unwrap_or_default();
                if self.send_own(signal, format_args!("which still runs {} after the stop signal", Rounded(waited))) {
                    self.evidence.escalated(signal);
                }
            }
            Action::StopOrphans(received) => {
                self.enter(Phase::Stop);
                self.stop_orphans(&received, self.group_stop);
                if self.config.grace_period.is_none() {
                    info!("without a grace period sexton waits until all that {} left have ended", self.command);
                }
            }
            Action::Drop(received) => {
                info!(
                    event = "signal_dropped", signal:% = received.signal;
                    "dropped {}: a rewrite says so", received.signal
                );
            }
            Action::Continue => {
                info!("{} is stopped and could not act on the stop signal: continuing it", self.command);
                self.continue_command();
            }
            Action::CommandStopped(signal) => {
                info!(
                    event = "command_stopped", pid = self.command.pid, signal:% = signal;
                    "{} was stopped by {signal}", self.command
                );
                if self.job.command_stopped(self.command.pid, signal) {
                    self.continue_command();
                }
            }
            Action::StillThere => self.tell_still_there(),
            Action::Kill => self.kill(),
            Action::Abandon => {
                self.tell_unkillable();
                self.over = true;
            }
            Action::Exit => {
                // Elsewhere nobody ends with sexton. Where orphans are left, it is told who they are.
                if self.job.is_init && self.config.orphans != Orphans::Leave {
                    left::tell_strangers(self.command, self.evidence);
                }
                self.over = true;
            }
        }
    }

    /// Everybody may see what sexton does: PID 1's name tells it, and so does a file, if that was asked for.
    fn enter(&mut self, phase: Phase) {
        let before = self.phase.replace(phase);
        if self.job.is_init
            && before != Some(phase)
            && let Err(errno) = set_own_name(phase.name())
        {
            warn!("cannot show the shutdown in PID 1's name: {}; sexton --check does not see it", errno.desc());
        }
        if before.is_none()
            && let Some(file) = &self.config.drain_file
            && let Err(errno) = make_mark(file)
        {
            warn!("cannot make {}, which says that the shutdown has begun: {}", Name(file), errno.desc());
        }
    }

    fn shutdown_begins(&mut self, received: Received, now: Duration) {
        self.enter(Phase::Drain);
        let sender = self.evidence.stop_requested(received, now);
        if log_enabled!(Level::Info) {
            self.tell_beginning(received, sender);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_beginning(&self, received: Received, sender: Sender) {
        let sleep = self.config.pre_stop_sleep;
        let held_back = received.held_back();
        let left = held_back.map_or(sleep, |held_back| held_back.left_of(sleep));
        let earlier: &dyn fmt::Display = match held_back {
            Some(held_back) => &format_args!(", a sexton that has held it back for {}", Rounded(held_back.since)),
            None => &"",
        };
        let forwarding: &dyn fmt::Display = if left.is_zero() {
            &""
        } else if left == sleep {
            &format_args!("; sleeping {} before forwarding it", format_duration(sleep))
        } else {
            &format_args!("; sleeping {} more before forwarding it", Rounded(left))
        };
        let facts = by(Facts::of("shutdown_begins").and_shown("signal", &received.signal), Some(&sender));
        let facts = facts.and_if("held_back_ms", held_back.map(|held_back| milliseconds(held_back.since)));
        let facts = facts.and("pre_stop_sleep_ms", milliseconds(sleep));
        let facts = facts.and_if("grace_period_ms", self.config.grace_period.map(milliseconds));
        report::tell(
            Level::Info,
            format_args!("shutdown begins: {} from {sender}{earlier}{forwarding}", received.signal),
            &facts,
        );
        // Before the stop signal is forwarded: their parents may die of it, and then nobody has to reap them.
        self.tell_zombies();
    }

    fn forward_stop(&mut self, received: Received, now: Duration) {
        self.enter(Phase::Stop);
        let (pid, signal) = (self.command.pid, received.signal);
        self.told.note(pid, signal);
        if self.config.group {
            self.group_stop = Some(GroupStop::now(pid));
            if self.config.orphans != Orphans::Leave {
                self.note_children(signal);
            }
        }
        let sent = self.send_stop(&received, now);
        if self.tell_forwarded(&received, sent) {
            self.evidence.forwarded(received, true);
            self.told.sent(self.stop_signal(&received), self.wants_all());
        }
    }

    #[inline(never)]
    fn note_children(&mut self, signal: Signal) {
        each_child(self.command.pid, |child| self.told.note(child.pid, signal));
    }

    /// A stop signal for all that is left, but for those that had it with the command's group.
    fn stop_orphans(&mut self, received: &Received, spared: Option<GroupStop>) {
        if !mem::replace(&mut self.orphans_told, true) {
            self.told.command_is_gone();
        }
        self.signal_orphans(received, spared, true);
        self.told.sent(self.stop_signal(received), self.wants_all());
    }

    /// The stop signal that is sent as this one.
    fn stop_signal(&self, sent: &Received) -> StopSignal {
        // Nobody sent one when the command exited by itself.
        let came = self.evidence.stop().map_or(sent.signal, |sender| sender.received.signal);
        StopSignal { sent: sent.signal, came }
    }

    /// Whether more than the strongest causes will be told.
    fn wants_all(&self) -> bool {
        self.config.grace_period.is_some() || log_enabled!(Level::Info)
    }

    /// Why the command, or what it left, does not stop. To be asked before it is killed.
    fn why(&mut self, left: Option<&Processes>) -> Why {
        match (self.ended, left) {
            (None, _) => self.told.why(self.command.pid, self.config.group),
            (Some(_), Some(left)) => self.told.why_left(left, self.orphans_told),
            (Some(_), None) => Why::default(),
        }
    }

    /// The notice: at level warn if what keeps it will not pass by itself.
    #[inline(never)]
    fn tell_still_there(&mut self) {
        let Some((signal, had_it)) = self.told.had_it() else { return };
        if self.is_nested {
            // It has its own notice, and knows better why.
            return;
        }
        let left = self.ended.and_then(|_| evidence::survivors_besides(self.command));
        let why = self.why(left.map(|left| left.alive).as_ref());
        let told =
            StillThere { command: self.command, command_is_gone: self.ended.is_some(), signal, had_it, why: &why };
        let name = Name(self.command.name);
        let facts = Facts::of("still_there").and("pid", self.command.pid).and_shown("command", &name);
        let facts = facts
            .and_shown("signal", &signal.sent)
            .and("waited_ms", milliseconds(had_it))
            .and_if("grace_period_ms", self.config.grace_period.map(milliseconds));
        let facts = why.facts(facts);
        if why.will_not_mend() {
            report::end(Level::Warn, format_args!("{told}"), &facts);
        } else {
            report::tell(Level::Info, format_args!("{told}"), &facts);
        }
    }

    /// Sends a signal to all that is left, but for those that had it with the command's group.
    fn signal_orphans(&mut self, received: &Received, spared: Option<GroupStop>, is_stop: bool) {
        let signal = received.signal;
        let note = |process: &Process| {
            if is_stop {
                self.told.note(process.pid, signal);
            }
        };
        let sent = signal_orphans(received, spared, note);
        if !is_stop {
            self.told.also_sent(signal);
        }
        match sent {
            Ok(Sent { refused: Some((pid, errno)), .. }) => {
                warn!("cannot send {signal} to pid {pid}, which {} left: {}", self.command, errno.desc());
            }
            Ok(Sent { count: 0, .. }) => debug!("nobody is left to be sent {signal}"),
            Ok(Sent { count, .. }) => {
                info!("sent {signal} to {}, now that {} is gone", Count::processes(count as u64), self.command);
            }
            Err(NoProc) if self.job.is_init => {
                // Without the means to tell one from the other: all that the kernel finds.
                let _ = send(-1, received);
                warn!("there is no usable /proc: sent {signal} to every process, some may get it twice");
            }
            Err(NoProc) => {
                let _ = send_to_orphaned_group(self.command.pid, received);
                warn!("there is no usable /proc: sent {signal} to the process group of {} alone", self.command);
            }
        }
    }

    /// What stopped the command may have stopped its whole process group.
    fn continue_command(&self) {
        let (pid, signal) = (self.command.pid, by_sexton(Signal::CONT));
        let _ = if self.job.shares_group { send(pid, &signal) } else { send_to_group(pid, &signal) };
    }

    /// Returns whether it was sent.
    fn tell_forwarded(&self, received: &Received, sent: Result<(), SendError>) -> bool {
        let (pid, signal) = (self.command.pid, received.signal);
        match sent {
            Ok(()) => {
                let level = if self.evidence.stop().is_some() { Level::Info } else { Level::Debug };
                log::log!(
                    level, event = "signal_forwarded", pid = pid, signal:% = signal;
                    "forwarded {signal} to {}", self.command
                );
            }
            Err(SendError::WithoutValue(errno)) => {
                warn!(
                    event = "signal_forwarded", pid = pid, signal:% = signal;
                    "forwarded {signal} to {} without its value: {}", self.command, errno.desc()
                );
            }
            Err(SendError::Refused(errno)) => self.tell_refused("forward", signal, errno),
        }
        !matches!(sent, Err(SendError::Refused(_)))
    }

    /// Sends the command a signal that the user wants it to have besides those that come. Returns whether it was sent.
    fn send_own(&mut self, signal: Signal, when: fmt::Arguments<'_>) -> bool {
        let pid = self.command.pid;
        match self.send(&by_sexton(signal)) {
            Ok(()) | Err(SendError::WithoutValue(_)) => {
                self.told.also_sent(signal);
                info!(event = "signal_sent", pid = pid, signal:% = signal; "sent {signal} to {}, {when}", self.command);
                true
            }
            Err(SendError::Refused(errno)) => {
                self.tell_refused("send", signal, errno);
                false
            }
        }
    }

    fn tell_refused(&self, what: &str, signal: Signal, errno: Errno) {
        warn!(
            event = "signal_refused", pid = self.command.pid, signal:% = signal;
            "cannot {what} {signal} to {}: {}; if it changed its user, sexton needs CAP_KILL",
            self.command, errno.desc()
        );
    }

    /// The command is dead and not reaped yet, so its group is still its own. Each process of the
    /// group gets the stop signal once: now, unless it had it together with the command.
    fn stop_group(&mut self) {
        if self.group_stop.is_none()
            && let Some(signal) = self.config.rewrites.apply(Signal::TERM)
        {
            self.group_stop = Some(GroupStop::now(self.command.pid));
            info!("{} is dead: {signal} to the rest of its process group", self.command);
            // Refused where there is nobody left, and that is well.
            let _ = send_to_group(self.command.pid, &by_sexton(signal));
        }
    }

    /// A command that is a sexton is told how the signal was held back, so that one stop is one sleep.
    fn send_stop(&mut self, received: &Received, now: Duration) -> Result<(), SendError> {
        let earlier = received.held_back();
        let has_times = self.config.has_times() || earlier.is_some();
        // One that came with a value has no room for ours.
        let badge = if has_times && !received.is_queued() { Badge::of(self.command.pid) } else { None };
        let Some(Badge { kills, escalates }) = badge else { return self.send(received) };
        self.is_nested = true;
        self.learned = Some(Event::CommandIsSexton(Nested { kills, escalates }));
        let since = self.evidence.since_stop(now);
        let is_over = since < self.config.pre_stop_sleep || earlier.is_some_and(|earlier| earlier.is_over);
        send_held_back(self.command.pid, self.config.group, received.signal, HeldBack { since, is_over })
    }

    fn send(&self, received: &Received) -> Result<(), SendError> {
        let pid = self.command.pid;
        // The terminal stopped a whole process group, so who continues us continues all of it.
        let continues = received.signal == Signal::CONT && self.job.has_terminal && !self.job.shares_group;
        if self.config.group || continues { send_to_group(pid, received) } else { send(pid, received) }
    }

    #[cold]
    #[inline(never)]
    fn kill(&mut self) {
        // Seen before anybody is killed, told only afterwards: a log that is slow delays nothing.
        let survivors = evidence::survivors_besides(self.command);
        let waits = self.evidence.waits();
        let why = self.why(survivors.map(|survivors| survivors.alive).as_ref());
        self.evidence.killed();
        let usage = if self.ended.is_none() { Usage::of_living(self.command.pid) } else { None };
        let refused = match self.ended {
            None => self.send(&by_sexton(Signal::KILL)).err(),
            Some(_) => None,
        };
        // Nothing else can be done to it, and waiting would not make it true. When PID 1 exits the
        // kernel itself kills the rest (pid_namespaces(7)).
        let refused = match refused {
            Some(SendError::Refused(errno)) => Some(errno),
            Some(SendError::WithoutValue(_)) | None => None,
        };
        self.over |= refused.is_some();
        self.kill_orphans();
        let sender = self.evidence.stop();
        let told = GraceOver {
            command: self.command,
            command_is_gone: self.ended.is_some(),
            refused,
            grace: self.config.grace_period.unwrap_or_default(),
            signal: sender.map_or(Signal::TERM, |sender| sender.received.signal),
            is_dropped: sender.is_some_and(|sender| self.config.rewrites.apply(sender.received.signal).is_none()),
            sender,
            slept: waits.filter(|_| !self.config.pre_stop_sleep.is_zero()),
            survivors: survivors.as_ref(),
            why: &why,
        };
        let name = Name(self.command.name);
        let alive = survivors.map(|survivors| survivors.alive);
        let names = alive.as_ref().filter(|alive| alive.count > 0).map(Processes::names);
        let tracer = told.held().map(|held| held.tracer);
        let facts = Facts::of("grace_period_over").and("pid", self.command.pid).and_shown("command", &name);
        let facts = by(facts.and_shown("signal", &told.signal), sender.as_ref())
            .and("grace_period_ms", milliseconds(told.grace))
            .and("pre_stop_sleep_ms", milliseconds(self.config.pre_stop_sleep))
            .and_if("waited_ms", waits.map(|(_, waited)| milliseconds(waited)))
            .and_if("survivors", alive.map(|alive| alive.count))
            .and_if("survivor_names", names.as_ref().map(Value::from_display));
        let facts = Cost::of(usage, self.evidence).facts(traced_by(facts, tracer.as_ref()));
        report::end(Level::Warn, format_args!("{told}"), &why.facts(facts));
    }

    #[cold]
    #[inline(never)]
    fn tell_unkillable(&self) {
        let command = self.ended.is_none().then_some(self.command);
        // Of orphans that are to be left nobody was sent SIGKILL.
        let survivors = if self.killing { evidence::survivors(command) } else { evidence::command_alone(self.command) };
        let told = Unkillable { command: self.command, survivors: survivors.as_ref() };
        let name = Name(self.command.name);
        let alive = survivors.map(|survivors| survivors.alive);
        let states = alive.as_ref().filter(|alive| alive.count > 0).map(Processes::states);
        let tracer = survivors.and_then(|survivors| survivors.held).map(|held| held.tracer);
        let facts = Facts::of("unkillable").and("pid", self.command.pid).and_shown("command", &name);
        let facts = facts
            .and("exit_status", self.own_status())
            .and_if("survivors", alive.map(|alive| alive.count))
            .and_if("survivor_names", states.as_ref().map(Value::from_display));
        let facts = traced_by(facts, tracer.as_ref());
        report::end(Level::Error, format_args!("{told}"), &facts);
    }

    /// SIGKILL to all that is left, unless orphans are to be left.
    fn kill_orphans(&mut self) {
        self.killing = self.config.orphans != Orphans::Leave || self.is_nested;
        if self.killing && kill_orphans(self.command.pid, self.knows_sessions).is_err() {
            self.killing = false;
            warn!("there is no usable /proc: processes that {} left may survive", self.command);
        }
    }

    /// The command's end as an exit status. Without an end of its own it was left behind in spite
    /// of SIGKILL.
    fn own_status(&self) -> u8 {
        self.ended.unwrap_or(Death::Killed(Signal::KILL)).status()
    }

    /// Leaves things as they were found, and says how the command ended.
    pub fn leave(&self) -> u8 {
        if self.ended.is_none() {
            // It is left behind, and `see` had no end of it to see.
            self.job.ended(self.command.pid);
        }
        let status = self.own_status();
        if self.config.expected_exits.contains(status)
            || (self.config.ok_after_stop && self.evidence.was_stopped_well(status))
        {
            return 0;
        }
        if let (Some(Death::Killed(signal)), true) = (self.ended, self.config.reraise) {
            die_by(signal);
            if !self.job.is_init && !signal.is_real_time() {
                warn!("cannot die by {signal}: exiting with status {status} instead");
            }
        }
        status
    }
}

// Not a part of the loop, whose stack would hold the facts for good.
#[cold]
#[inline(never)]
fn tell_received(received: Received) {
    let sender = Sender { received, process: None };
    let facts = by(Facts::of("signal_received").and_shown("signal", &received.signal), Some(&sender));
    report::tell(Level::Debug, format_args!("received {} from {sender}", received.signal), &facts);
}

/// And who traces what is dead.
fn traced_by<'a>(facts: Facts<'a>, tracer: Option<&'a Tracer>) -> Facts<'a> {
    let Some(tracer) = tracer else { return facts };
    let name = tracer.process.as_ref().map(Value::from_display);
    facts.and("tracer_pid", tracer.pid).and_if("tracer_command", name)
}

fn by_sexton(signal: Signal) -> Received {
    Received::sent_by(own_pid(), signal)
}

/// Says that an orphan was reaped, if it was and that is asked for.
pub(super) fn tell_reaped(config: &Config, change: Change) {
    if config.warn_on_reap && matches!(change.kind, ChangeKind::Exited(_) | ChangeKind::Killed { .. }) {
        warn!(event = "orphan_reaped", pid = change.pid; "reaped orphan {}: it {}", change.pid, What(change.kind));
    }
}
