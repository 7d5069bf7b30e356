//! The loop: wait for a signal or a deadline, feed the state machine, do what it says.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use humantime::format_duration;
use log::kv::Value;
use log::{Level, debug, info, log_enabled, trace, warn};

use crate::config::{Config, Orphans, exit_status};
use crate::evidence::{self, Evidence};
use crate::launch::launch;
use crate::report::death::{
    Command, FailedOutOfMemory, GraceOver, Killed, OutOfMemory, Processes, Rounded, Sender, Unkillable,
};
use crate::report::exec::Refusal;
use crate::report::{self, Facts, Name};
use crate::shutdown::{Action, Event, Machine, Policy};
use crate::signal::{Received, Signal};
use crate::sys::{
    Change, ChangeKind, GroupTold, Inbox, NoProc, Others, Parent, Reaper, Reaping, SendError, Start, Started, Terminal,
    Told, become_subreaper, close_all_but_stderr, die_by, is_one_of_several, leads_session, leave_terminal,
    leave_working_directory, monotonic_now, own_pid, send, send_to_group, send_to_orphaned_group, stop_self,
    suspend_self, unblock_stderr,
};

/// Starts the command, stays with it until its end, and returns sexton's exit status.
#[inline(never)]
pub fn run(config: &Config, start: &Start) -> u8 {
    let is_init = own_pid() == 1;
    if !is_init {
        adopt_orphans(config);
    }
    let parent = config.parent_death_signal.and_then(watch_parent);
    let terminal = Terminal::controlling().filter(|_| !config.new_session);
    if config.new_session
        && let Err(errno) = leave_terminal()
    {
        warn!("cannot let go of the terminal for the command's own session ({})", errno.desc());
    }
    let in_foreground = terminal.as_ref().filter(|terminal| terminal.is_ours());
    // A pipeline or a script in the foreground of a shell: ^C and ^Z are for all of it, and the
    // others would lose the terminal to a group of the command's own.
    let several = in_foreground.is_some() && !leads_session() && is_one_of_several();
    let shares_group = several && !config.group;
    let handed_over = in_foreground.filter(|_| !several);
    let started = match launch(config, start, !shares_group, handed_over) {
        Ok(started) => started,
        Err(refusal) => {
            if let Some(terminal) = handed_over {
                terminal.take_back(None);
            }
            // It may have got the number of a stderr that is closed.
            drop(terminal);
            return not_started(config, &refusal);
        }
    };
    let job = Job {
        own_pid: own_pid(),
        is_init,
        has_terminal: terminal.is_some(),
        handed_over: handed_over.is_some(),
        shares_group,
    };
    drop(terminal);
    stay(config, started, job, parent)
}

/// Says why there is no command. Returns sexton's exit status.
#[cold]
#[inline(never)]
fn not_started(config: &Config, refusal: &Refusal) -> u8 {
    let name = Name(config.command.first().unwrap_or_default());
    let facts = Facts::of("command_not_started").and_shown("command", &name);
    let status = config.statuses.in_place_of(refusal.status);
    let facts = facts.and("exit_status", status);
    report::end(Level::Error, format_args!("{}", refusal.sentence), &facts);
    status
}

/// Stays with the command that was started until its end. Returns sexton's exit status.
///
/// What may panic from here on is in docs/panics.md.
// Not a part of its caller, whose stack the start needs for other things.
#[inline(never)]
fn stay(config: &Config, started: Started, job: Job, parent: Option<(Parent, bool)>) -> u8 {
    // It opens files, and leaves them to be closed with all others.
    let mut evidence = Evidence::new();
    close_all_but_stderr();
    unblock_stderr();
    leave_working_directory();
    let command = Command { name: config.command.first().unwrap_or_default(), pid: started.pid };
    if let Some(errno) = started.missed.foreground {
        warn!("cannot give {command} the foreground of the terminal ({})", errno.desc());
    }
    if let Some(errno) = started.missed.death_with_sexton {
        warn!("cannot have the kernel kill {command} if sexton is killed ({})", errno.desc());
    }
    info!(event = "command_started", command:% = Name(command.name), pid = command.pid; "started {command}");

    let mut supervisor = Supervisor {
        machine: Machine::new(Policy {
            stop_signals: config.stop_signals,
            rewrites: config.rewrites,
            pre_stop_sleep: config.pre_stop_sleep,
            grace_period: config.grace_period,
            orphans: config.orphans,
        }),
        hands: Hands {
            config,
            command,
            job,
            others: Others::of_us(),
            evidence: &mut evidence,
            ended: None,
            over: false,
            stop: None,
            group_was_told: None,
            killing: false,
        },
        looks_again: false,
    };
    if let Some((parent, true)) = parent {
        supervisor.event(Event::Signal(parent.death_notice()));
    }
    supervisor.until_the_end(parent.map(|(parent, _)| parent))
}

pub(crate) fn adopt_orphans(config: &Config) {
    // Without being asked to it is only a try, but who is to care for orphans needs it.
    if let Err(errno) = become_subreaper()
        && (config.subreaper || config.orphans != Orphans::Leave)
    {
        warn!("cannot become a subreaper ({}): orphans go to PID 1, not to sexton", errno.desc());
    }
}

/// The parent to watch, and whether it is dead already.
pub(crate) fn watch_parent(signal: Signal) -> Option<(Parent, bool)> {
    match Parent::watch(signal) {
        Ok(watched) => Some(watched),
        Err(errno) => {
            warn!("cannot watch the parent process ({}): its death will go unnoticed", errno.desc());
            None
        }
    }
}

struct Supervisor<'a> {
    machine: Machine,
    hands: Hands<'a>,
    /// Somebody is left of whose end the kernel may not tell.
    looks_again: bool,
}

/// How often sexton looks whether processes are gone that are not its children: those that an
/// engine's exec put into the container, whose end the kernel does not tell PID 1. Only while the
/// command is gone, nobody else is left, and orphans are not to be left. And so after a look for dead
/// children that was refused: the notice of their death was taken by then, and does not come again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// So many batches are reaped at a deadline: all 32,768 pids that most machines have.
const BATCHES: u32 = 256;

impl Supervisor<'_> {
    /// Waits and acts until the command is gone. Nothing in here allocates, blocks or polls.
    fn until_the_end(&mut self, mut parent: Option<Parent>) -> u8 {
        let mut inbox = Inbox::default();
        let mut children_changed = false;
        loop {
            // While children wait to be reaped, signals are only looked for: a storm of deaths
            // delays no signal, and a storm of signals no reaping.
            let timeout = if children_changed { Some(Duration::ZERO) } else { self.time_left() };
            let received = inbox.wait(timeout);
            // Whoever is dead by then did not outlive a deadline, whatever signals came before the
            // kernel's word of it, and however many others are dead as well.
            if self.machine.wake_at().is_some_and(|moment| moment <= monotonic_now()) {
                children_changed = (0..BATCHES).all(|_| self.reap());
            }
            match received {
                Some(received) => {
                    // One that a process sent may stand for the kernel's, which merged with it.
                    children_changed |= received.signal == Signal::CHLD;
                    let meant = match &mut parent {
                        Some(parent) => parent.interpret(received),
                        None => Some(received),
                    };
                    if let Some(received) = meant.filter(|received| self.hands.job.concerns_command(received)) {
                        self.signal(received);
                    }
                }
                None if self.machine.wake_at().is_some() => self.event(Event::Tick),
                None => {}
            }
            if children_changed || self.looks_again {
                children_changed = self.reap();
            }
            if self.hands.over {
                return self.hands.leave();
            }
        }
    }

    fn time_left(&self) -> Option<Duration> {
        let left = self.machine.wake_at().map(|moment| moment.saturating_sub(monotonic_now()));
        if self.looks_again { Some(left.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)) } else { left }
    }

    fn event(&mut self, event: Event) {
        self.machine.handle(event, monotonic_now(), &mut |action| self.hands.act(action));
    }

    fn signal(&mut self, received: Received) {
        let sender = Sender { received, process: None };
        debug!(
            event = "signal_received", signal:% = received.signal, sender_pid = received.pid,
            sender_uid = received.uid;
            "received {} from {sender}", received.signal
        );
        if received.signal == Signal::CONT && self.hands.ended.is_none() {
            self.hands.job.continued(self.hands.command.pid);
        }
        let had_stop = self.hands.stop.is_some();
        self.event(Event::Signal(received));
        if self.hands.stop.is_some() && !had_stop {
            // Only now: nothing keeps the signal from the command.
            self.hands.tell_zombies();
        }
        if self.hands.config.suspend_on_terminal_stop {
            self.hands.job.forwarded(received.signal);
        }
    }

    /// Reaps a batch. Returns whether there may be more.
    fn reap(&mut self) -> bool {
        let reaper = Reaper { announces: self.hands.config.stop_group_at_exit };
        let more = reaper.collect(|change| {
            trace!(event = "process_changed", pid = change.pid; "process {} {}", change.pid, What(change.kind));
            if let Some(event) = self.hands.see(change) {
                self.event(event);
            }
            // Whoever else is dead by now is nobody's concern any more.
            if self.hands.over && !self.hands.config.warn_on_reap {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        if more == Reaping::Nothing && self.hands.killing {
            // What escaped is our child by now: its parent is dead.
            self.hands.kill_others();
        }
        self.looks_again = match more {
            Reaping::NoChildren if self.hands.ended.is_some() => {
                let strangers_left = self.hands.job.is_init && !self.hands.others.none_in_namespace();
                if !strangers_left {
                    self.event(Event::Alone);
                }
                strangers_left
            }
            // The command is our child, and we have not reaped it.
            Reaping::NoChildren | Reaping::Refused => true,
            Reaping::More | Reaping::Nothing => false,
        };
        more == Reaping::More
    }
}

/// What carries out the machine's actions.
struct Hands<'a> {
    config: &'a Config,
    command: Command,
    job: Job,
    /// The processes that are left when the command is gone.
    others: Others,
    /// What is needed to say why the command died.
    evidence: &'a mut Evidence,
    /// How the command ended.
    ended: Option<Ended>,
    /// It is time to leave.
    over: bool,
    /// The first stop signal.
    stop: Option<Received>,
    /// A stop signal went to the whole process group of the command.
    group_was_told: Option<GroupTold>,
    /// The grace period is over and all that is left is to be killed.
    killing: bool,
}

/// How the supervision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Exited(u8),
    Killed(Signal),
}

impl Hands<'_> {
    /// What a child's change means to the machine.
    fn see(&mut self, change: Change) -> Option<Event> {
        if change.pid != self.command.pid || self.ended.is_some() {
            if self.config.warn_on_reap && matches!(change.kind, ChangeKind::Exited(_) | ChangeKind::Killed { .. }) {
                warn!(
                    event = "orphan_reaped", pid = change.pid;
                    "reaped orphan {}: it {}", change.pid, What(change.kind)
                );
            }
            return None;
        }
        match change.kind {
            ChangeKind::Exited(status) => self.ended = Some(Ended::Exited(status)),
            ChangeKind::Killed { signal, .. } => self.ended = Some(Ended::Killed(signal)),
            ChangeKind::Dead => {
                self.stop_group();
                return None;
            }
            ChangeKind::Stopped(signal) => return Some(Event::CommandStopped(signal)),
            ChangeKind::Continued => return Some(Event::CommandContinued),
        }
        self.job.ended(self.command.pid);
        self.tell_end(change.kind);
        self.tell_zombies();
        Some(Event::CommandExited)
    }

    /// Says how the command ended: only a story when all is well, else why.
    fn tell_end(&self, kind: ChangeKind) {
        let (command, ran) = (self.command, self.evidence.ran());
        let name = Name(command.name);
        let facts = |event| {
            let facts = Facts::of(event).and("pid", command.pid).and_shown("command", &name);
            facts.and("exit_status", self.own_status()).and("ran_ms", milliseconds(ran))
        };
        let as_story = |facts| {
            report::tell(Level::Info, format_args!("{command} {} after {}", What(kind), Rounded(ran)), &facts);
        };
        match kind {
            ChangeKind::Exited(0) => as_story(facts("command_exited")),
            ChangeKind::Exited(status) => match self.evidence.memory() {
                memory @ OutOfMemory::Yes { before, after, limit } => {
                    let failed = FailedOutOfMemory { command, status, ran, before, after, limit };
                    let facts = memory.facts(facts("command_failed_out_of_memory"));
                    report::end(Level::Warn, format_args!("{failed}"), &facts);
                }
                _ => as_story(facts("command_exited")),
            },
            ChangeKind::Killed { signal, core_dumped } => {
                let facts = facts("command_killed").and_shown("signal", &signal).and("core_dumped", core_dumped);
                if self.evidence.is_expected(signal) {
                    return as_story(facts);
                }
                let (memory, forwarded) = (self.evidence.memory(), self.evidence.last_forwarded(signal));
                let killed = Killed { command, signal, core_dumped, ran, forwarded, memory };
                let sender = forwarded.map(|(sender, _)| sender);
                let facts = by(memory.facts(facts), sender.as_ref());
                report::end(Level::Warn, format_args!("{killed}"), &facts);
            }
            ChangeKind::Dead | ChangeKind::Stopped(_) | ChangeKind::Continued => {}
        }
    }

    /// With `-v`: which processes do not reap their children. No init can do that for them.
    fn tell_zombies(&self) {
        if log_enabled!(Level::Info) {
            evidence::zombies(self.others, |zombies| {
                info!(event = "zombies", pid = zombies.parent, zombies = zombies.count; "{zombies}");
            });
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ShutdownBegins(received) => self.shutdown_begins(received),
            Action::Forward(received) | Action::ForwardStop(received) if self.ended.is_some() => {
                self.signal_others(&received, None);
            }
            Action::Forward(received) => {
                if self.forward(&received) {
                    self.evidence.forwarded(received, false);
                }
            }
            Action::ForwardStop(received) => {
                if self.config.group {
                    self.group_was_told = Some(GroupTold::now(self.command.pid));
                }
                if self.forward(&received) {
                    self.evidence.forwarded(received, true);
                }
            }
            Action::StopOrphans(received) => {
                self.signal_others(&received, self.group_was_told);
                if self.config.grace_period.is_none() {
                    info!("without a grace period sexton waits as long as any of them is left");
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
            Action::Kill => self.kill(),
            Action::Abandon => {
                self.tell_unkillable();
                self.over = true;
            }
            Action::Exit => self.over = true,
        }
    }

    fn shutdown_begins(&mut self, received: Received) {
        self.stop = Some(received);
        let sender = self.evidence.stop_requested(received);
        let sleep = self.config.pre_stop_sleep;
        let forwarding: &dyn fmt::Display = if sleep.is_zero() {
            &""
        } else {
            &format_args!("; sleeping {} before forwarding it", format_duration(sleep))
        };
        let facts = by(Facts::of("shutdown_begins").and_shown("signal", &received.signal), Some(&sender));
        let facts = facts.and("pre_stop_sleep_ms", milliseconds(sleep));
        let facts = facts.and_if("grace_period_ms", self.config.grace_period.map(milliseconds));
        report::tell(
            Level::Info,
            format_args!("shutdown begins: {} from {sender}{forwarding}", received.signal),
            &facts,
        );
    }

    /// Sends a signal to all that is left, but for those that had it with the command's group.
    fn signal_others(&self, received: &Received, spared: Option<GroupTold>) {
        let signal = received.signal;
        match self.others.signal(received, spared) {
            Ok(Told { refused: Some((pid, errno)), .. }) => {
                warn!("cannot send {signal} to pid {pid}, which {} left: {}", self.command, errno.desc());
            }
            Ok(Told { sent: 0, .. }) => debug!("nobody is left to be sent {signal}"),
            Ok(Told { sent, .. }) => info!("sent {signal} to {sent} processes that {} left", self.command),
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
    fn forward(&self, received: &Received) -> bool {
        let (pid, signal) = (self.command.pid, received.signal);
        let sent = self.send(received);
        match sent {
            Ok(()) => {
                let level = if self.stop.is_some() { Level::Info } else { Level::Debug };
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
            Err(SendError::Refused(errno)) => {
                warn!(
                    event = "signal_refused", pid = pid, signal:% = signal;
                    "cannot forward {signal} to {}: {}; if it changed its user, sexton needs CAP_KILL",
                    self.command, errno.desc()
                );
            }
        }
        !matches!(sent, Err(SendError::Refused(_)))
    }

    /// The command is dead and not reaped yet, so its group is still its own. Each process of the
    /// group gets the stop signal once: now, unless it had it together with the command.
    fn stop_group(&mut self) {
        if self.group_was_told.is_none()
            && let Some(signal) = self.config.rewrites.apply(Signal::TERM)
        {
            self.group_was_told = Some(GroupTold::now(self.command.pid));
            info!("{} is dead: {signal} to the rest of its process group", self.command);
            // Refused where there is nobody left, and that is well.
            let _ = send_to_group(self.command.pid, &by_sexton(signal));
        }
    }

    fn send(&self, received: &Received) -> Result<(), SendError> {
        let pid = self.command.pid;
        // The terminal stopped a whole process group, so who continues us continues all of it.
        let continues = received.signal == Signal::CONT && self.job.has_terminal && !self.job.shares_group;
        if self.config.group || continues { send_to_group(pid, received) } else { send(pid, received) }
    }

    fn kill(&mut self) {
        // Seen before anybody is killed, told only afterwards: a log that is slow delays nothing.
        let survivors = evidence::alive_besides(self.others, self.command);
        let waits = self.evidence.waits();
        self.evidence.killed();
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
        self.kill_others();
        let sender = self.evidence.stop();
        let told = GraceOver {
            command: self.command,
            command_is_gone: self.ended.is_some(),
            refused,
            grace: self.config.grace_period.unwrap_or_default(),
            signal: self.stop.map_or(Signal::TERM, |received| received.signal),
            sender,
            slept: waits.filter(|_| !self.config.pre_stop_sleep.is_zero()),
            survivors: survivors.as_ref(),
        };
        let name = Name(self.command.name);
        let names = survivors.as_ref().filter(|survivors| survivors.count > 0).map(Processes::names);
        let facts = Facts::of("grace_period_over").and("pid", self.command.pid).and_shown("command", &name);
        let facts = by(facts.and_shown("signal", &told.signal), sender.as_ref())
            .and("grace_period_ms", milliseconds(told.grace))
            .and("pre_stop_sleep_ms", milliseconds(self.config.pre_stop_sleep))
            .and_if("waited_ms", waits.map(|(_, waited)| milliseconds(waited)))
            .and_if("survivors", survivors.map(|survivors| survivors.count))
            .and_if("survivor_names", names.as_ref().map(Value::from_display));
        report::end(Level::Warn, format_args!("{told}"), &facts);
    }

    fn tell_unkillable(&self) {
        let command = self.ended.is_none().then_some(self.command);
        let processes = evidence::alive(self.others, command);
        let told = Unkillable { command: self.command, processes: processes.as_ref() };
        let name = Name(self.command.name);
        let states = processes.as_ref().map(Processes::states);
        let facts = Facts::of("unkillable").and("pid", self.command.pid).and_shown("command", &name);
        let facts = facts
            .and("exit_status", self.own_status())
            .and_if("survivors", processes.map(|processes| processes.count))
            .and_if("survivor_names", states.as_ref().map(Value::from_display));
        report::end(Level::Error, format_args!("{told}"), &facts);
    }

    /// SIGKILL to all that is left, unless orphans are to be left.
    fn kill_others(&mut self) {
        self.killing = self.config.orphans != Orphans::Leave;
        if self.killing && self.others.kill(self.command.pid).is_err() {
            self.killing = false;
            warn!("there is no usable /proc: processes that {} left may survive", self.command);
        }
    }

    /// The command's end as an exit status. Without an end of its own it was left behind in spite
    /// of SIGKILL.
    fn own_status(&self) -> u8 {
        match self.ended.unwrap_or(Ended::Killed(Signal::KILL)) {
            Ended::Exited(status) => status,
            Ended::Killed(signal) => exit_status::KILLED_BASE + signal.number() as u8,
        }
    }

    /// Whether this status says that a stop signal ended the command, be it that the command exits
    /// with it by itself, as shells and Java do. SIGKILL is never a good end.
    fn was_stopped_well(&self, status: u8) -> bool {
        let signal = status.checked_sub(exit_status::KILLED_BASE).and_then(|number| Signal::new(i32::from(number)));
        signal.is_some_and(|signal| signal != Signal::KILL && self.evidence.is_wanted(signal))
    }

    /// Leaves things as they were found, and says how the command ended.
    fn leave(&self) -> u8 {
        if self.ended.is_none() {
            // It is left behind, and `see` had no end of it to see.
            self.job.ended(self.command.pid);
        }
        let status = self.own_status();
        if self.config.expected_exits.contains(status) || (self.config.ok_after_stop && self.was_stopped_well(status)) {
            return 0;
        }
        if let (Some(Ended::Killed(signal)), true) = (self.ended, self.config.reraise) {
            die_by(signal);
            if !self.job.is_init && !signal.is_real_time() {
                warn!("cannot die by {signal}: exiting with status {status} instead");
            }
        }
        status
    }
}

/// And who sent the signal.
fn by<'a>(facts: Facts<'a>, sender: Option<&'a Sender>) -> Facts<'a> {
    let Some(sender) = sender else { return facts };
    let facts = facts.and("sender_pid", sender.received.pid).and("sender_uid", sender.received.uid);
    facts.and_if("sender_command", sender.process.as_ref().map(Value::from_display))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn by_sexton(signal: Signal) -> Received {
    Received::sent_by(own_pid(), signal)
}

/// sexton as a part of a terminal's job control.
#[derive(Clone, Copy, Debug)]
struct Job {
    own_pid: i32,
    is_init: bool,
    has_terminal: bool,
    /// The command's process group was given the foreground.
    handed_over: bool,
    /// The command is in our own process group.
    shares_group: bool,
}

impl Job {
    /// Whether it is meant for the command. What is not goes without a word: to say that a write
    /// raised SIGPIPE would be the next such write.
    fn concerns_command(&self, received: &Received) -> bool {
        // What the terminal sends goes to a whole process group.
        let has_been_sent = self.shares_group && !received.is_from_process();
        !has_been_sent && !received.is_our_own(self.own_pid)
    }

    /// The command was stopped. Returns whether it is to go on at once.
    fn command_stopped(&self, command: i32, signal: Signal) -> bool {
        // SIGSTOP is how some programs with the terminal to themselves suspend themselves.
        let by_terminal = signal.is_terminal_stop()
            || signal == Signal::STOP && self.handed_over && !self.is_init && Job::holds_terminal(command);
        if !self.has_terminal || !by_terminal {
            return false;
        }
        if self.shares_group {
            // Everybody in the group was sent the same, and stops by itself.
            suspend_self(false);
            return false;
        }
        let reads_or_writes = matches!(signal, Signal::TTIN | Signal::TTOU);
        if reads_or_writes && self.hand_over(command) {
            // We came into the foreground without being told, as by `fg` for a job that runs.
            return true;
        }
        // The shell that waits for us must see that its job has stopped. Behind PID 1, and wherever
        // sexton leads the session, there is no shell that could ever continue it: without sexton
        // the kernel would not have stopped it at all.
        let suspended = !self.is_init && suspend_self(true);
        !suspended && self.handed_over && !reads_or_writes
    }

    /// sexton forwarded this signal, which a shell sends to stop a job: without a terminal of its
    /// own the command is out of that shell's sight, but sexton is not.
    fn forwarded(&self, signal: Signal) {
        if !self.has_terminal && !self.is_init && signal.is_terminal_stop() {
            stop_self();
        }
    }

    /// Somebody continues us, and so the command, which needs the terminal if we have it.
    fn continued(&self, command: i32) {
        if self.has_terminal && !self.is_init && !self.shares_group {
            self.hand_over(command);
        }
    }

    fn holds_terminal(command: i32) -> bool {
        Terminal::controlling().is_some_and(|terminal| terminal.is_held_by(command))
    }

    fn hand_over(&self, command: i32) -> bool {
        Terminal::controlling().is_some_and(|terminal| terminal.is_ours() && terminal.hand_to(command).is_ok())
    }

    /// The command is gone: whoever goes on after us needs the terminal.
    fn ended(&self, command: i32) {
        if self.has_terminal
            && !self.is_init
            && !self.shares_group
            && let Some(terminal) = Terminal::controlling()
        {
            terminal.take_back(Some(command));
        }
    }
}

/// What happened to a process, as the end of a sentence.
pub(crate) struct What(pub ChangeKind);

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ChangeKind::Exited(status) => write!(f, "exited with status {status}"),
            ChangeKind::Killed { signal, core_dumped: false } => write!(f, "was killed by {signal}"),
            ChangeKind::Killed { signal, core_dumped: true } => write!(f, "was killed by {signal}, core dumped"),
            ChangeKind::Stopped(signal) => write!(f, "was stopped by {signal}"),
            ChangeKind::Continued => f.write_str("goes on"),
            ChangeKind::Dead => f.write_str("is dead"),
        }
    }
}

#[cfg(test)]
#[path = "supervisor_model.rs"]
mod model;
