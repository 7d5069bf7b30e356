//! The loop: wait for a signal or a deadline, feed the state machine, do what it says.

use std::ffi::CStr;
use std::fmt;
use std::time::Duration;

use humantime::format_duration;
use log::{debug, error, info, trace, warn};

use crate::config::{Config, Orphans, exit_status};
use crate::launch::launch;
use crate::report::Name;
use crate::shutdown::{Action, Event, KILL_TIMEOUT, Machine, Policy};
use crate::signal::{Received, Signal};
use crate::sys::{
    Change, ChangeKind, Inbox, NoProc, Others, Parent, Reaper, Reaping, SendError, Start, Terminal, become_subreaper,
    close_all_but_stderr, die_by, is_one_of_several, leads_session, leave_terminal, leave_working_directory,
    monotonic_now, own_pid, send, send_to_group, send_to_orphaned_group, stop_self, suspend_self,
};

/// Starts the command, stays with it until its end, and returns sexton's exit status.
pub fn run(config: &Config, start: &Start) -> u8 {
    let is_init = own_pid() == 1;
    if !is_init {
        adopt_orphans(config);
    }
    let parent = config.parent_death_signal.and_then(watch_parent);
    let terminal = Terminal::controlling().filter(|_| !config.new_session);
    if config.new_session {
        leave_terminal();
    }
    let in_foreground = terminal.as_ref().filter(|terminal| terminal.is_ours());
    // A pipeline or a script in the foreground of a shell: ^C and ^Z are for all of it, and the
    // others would lose the terminal to a group of the command's own.
    let shares_group = in_foreground.is_some() && !config.group && !leads_session() && is_one_of_several();
    let handed_over = in_foreground.filter(|_| !shares_group);
    let pid = match launch(config, start, !shares_group, handed_over) {
        Ok(pid) => pid,
        Err(refusal) => {
            if let Some(terminal) = handed_over {
                terminal.take_back(None);
            }
            error!("{}", refusal.sentence);
            return config.statuses.in_place_of(refusal.status);
        }
    };
    let job = Job { is_init, has_terminal: terminal.is_some(), handed_over: handed_over.is_some(), shares_group };
    drop(terminal);
    close_all_but_stderr();
    leave_working_directory();
    let command = Command { name: config.command.first().unwrap_or_default(), pid };
    info!("started {command}");

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
            ended: None,
            over: false,
            stop: None,
            group_was_told: false,
            killing: false,
        },
        strangers_left: false,
    };
    if let Some((parent, true)) = parent {
        supervisor.event(Event::Signal(parent.death_notice()));
    }
    supervisor.until_the_end(parent.map(|(parent, _)| parent))
}

pub(crate) fn adopt_orphans(config: &Config) {
    if let Err(errno) = become_subreaper()
        && config.subreaper
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

/// The command, as it is shown to people.
#[derive(Clone, Copy, Debug)]
struct Command {
    name: &'static CStr,
    pid: i32,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", Name(self.name), self.pid)
    }
}

struct Supervisor<'a> {
    machine: Machine,
    hands: Hands<'a>,
    /// There is no child left to wait for, but other processes of the namespace are.
    strangers_left: bool,
}

/// How often sexton looks whether processes are gone that are not its children: those that an
/// engine's exec put into the container, whose end the kernel does not tell PID 1. Only while the
/// command is gone, nobody else is left, and orphans are not to be left.
const STRANGERS: Duration = Duration::from_millis(100);

impl Supervisor<'_> {
    /// Waits and acts until the command is gone. Nothing in here allocates, blocks or polls.
    fn until_the_end(&mut self, parent: Option<Parent>) -> u8 {
        let mut inbox = Inbox::default();
        let mut children_changed = false;
        loop {
            // While children wait to be reaped, signals are only looked for: a storm of deaths
            // delays no signal, and a storm of signals no reaping.
            let timeout = if children_changed { Some(Duration::ZERO) } else { self.time_left() };
            match inbox.wait(timeout) {
                Some(received) if received.is_child_notice() => children_changed = true,
                Some(received) => {
                    // One that a process sent may stand for the kernel's, which merged with it.
                    children_changed |= received.signal == Signal::CHLD;
                    if let Some(received) = parent.map_or(Some(received), |parent| parent.interpret(received)) {
                        self.signal(received);
                    }
                }
                None if self.machine.wake_at().is_some() => self.event(Event::Tick),
                None => {}
            }
            if children_changed || self.strangers_left {
                children_changed = self.reap();
            }
            if self.hands.over {
                return self.hands.leave();
            }
        }
    }

    fn time_left(&self) -> Option<Duration> {
        let left = self.machine.wake_at().map(|moment| moment.saturating_sub(monotonic_now()));
        if self.strangers_left { Some(left.unwrap_or(STRANGERS).min(STRANGERS)) } else { left }
    }

    fn event(&mut self, event: Event) {
        self.machine.handle(event, monotonic_now(), &mut |action| self.hands.act(action));
    }

    fn signal(&mut self, received: Received) {
        debug!("received {} from {}", received.signal, Sender(&received));
        if received.is_our_own(own_pid()) || self.hands.job.has_been_sent_to_command(&received) {
            return;
        }
        if received.signal == Signal::CONT {
            self.hands.job.continued(self.hands.command.pid);
        }
        self.event(Event::Signal(received));
        if self.hands.config.suspend_on_terminal_stop {
            self.hands.job.forwarded(received.signal);
        }
    }

    /// Reaps a batch. Returns whether there may be more.
    fn reap(&mut self) -> bool {
        let reaper = Reaper { announces: self.hands.config.stop_group_at_exit };
        let more = reaper.collect(|change| {
            trace!("process {} {}", change.pid, What(change.kind));
            if let Some(event) = self.hands.see(change) {
                self.machine.handle(event, monotonic_now(), &mut |action| self.hands.act(action));
            }
        });
        if more == Reaping::Nothing && self.hands.killing {
            // What escaped is our child by now: its parent is dead.
            self.hands.kill_others();
        }
        self.strangers_left = false;
        if more == Reaping::NoChildren && self.hands.ended.is_some() {
            self.strangers_left = self.hands.job.is_init && !self.hands.others.none_in_namespace();
            if !self.strangers_left {
                self.event(Event::Alone);
            }
        }
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
    /// How the command ended.
    ended: Option<Ended>,
    /// It is time to leave.
    over: bool,
    /// The first stop signal.
    stop: Option<Received>,
    /// A stop signal went to the whole process group of the command.
    group_was_told: bool,
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
                warn!("reaped orphan {}: it {}", change.pid, What(change.kind));
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
        info!("{} {}", self.command, What(change.kind));
        Some(Event::CommandExited)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ShutdownBegins(received) => self.shutdown_begins(received),
            Action::Forward(received) | Action::ForwardStop(received) if self.ended.is_some() => {
                self.signal_others(&received, None);
            }
            Action::Forward(received) => self.forward(&received),
            Action::ForwardStop(received) => {
                self.group_was_told |= self.config.group;
                self.forward(&received);
            }
            Action::StopOrphans(received) => {
                let spared = self.group_was_told.then_some(self.command.pid);
                self.signal_others(&received, spared);
                if self.config.grace_period.is_none() {
                    info!("without a grace period sexton waits for them for ever");
                }
            }
            Action::Drop(received) => info!("dropped {}: a rewrite says so", received.signal),
            Action::Continue => {
                info!("{} is stopped and could not act on the stop signal: continuing it", self.command);
                self.forward(&by_sexton(Signal::CONT));
            }
            Action::CommandStopped(signal) => {
                info!("{} was stopped by {signal}", self.command);
                if self.job.command_stopped(self.command.pid, signal) {
                    self.forward(&by_sexton(Signal::CONT));
                }
            }
            Action::Kill => self.kill(),
            Action::Abandon => {
                error!(
                    "{} is still there {} after SIGKILL, as in an uninterruptible wait for a disk or a network file \
                     system; leaving it",
                    self.command,
                    format_duration(KILL_TIMEOUT)
                );
                self.over = true;
            }
            Action::Exit => self.over = true,
        }
    }

    fn shutdown_begins(&mut self, received: Received) {
        self.stop = Some(received);
        let sleep = self.config.pre_stop_sleep;
        if sleep.is_zero() {
            info!("shutdown begins: {} from {}", received.signal, Sender(&received));
        } else {
            info!(
                "shutdown begins: {} from {}; sleeping {} before forwarding it",
                received.signal,
                Sender(&received),
                format_duration(sleep)
            );
        }
    }

    /// Sends a signal to all that is left, but for the process group `spared`.
    fn signal_others(&self, received: &Received, spared: Option<i32>) {
        let signal = received.signal;
        match self.others.signal(received, spared) {
            Ok(0) if spared.is_none() => debug!("nobody is left to be sent {signal}"),
            Ok(count) => info!("sent {signal} to {count} processes that {} left", self.command),
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

    fn forward(&self, received: &Received) {
        let signal = received.signal;
        match self.send(received) {
            Ok(()) if self.stop.is_some() => info!("forwarded {signal} to {}", self.command),
            Ok(()) => debug!("forwarded {signal} to {}", self.command),
            Err(SendError::WithoutValue(errno)) => {
                warn!("forwarded {signal} to {} without its value: {}", self.command, errno.desc());
            }
            Err(SendError::Refused(errno)) => {
                warn!(
                    "cannot forward {signal} to {}: {}; if it changed its user, sexton needs CAP_KILL",
                    self.command,
                    errno.desc()
                );
            }
        }
    }

    /// The command is dead and not reaped yet, so its group is still its own. Each process of the
    /// group gets the stop signal once: now, unless it had it together with the command.
    fn stop_group(&mut self) {
        if !self.group_was_told
            && let Some(signal) = self.config.rewrites.apply(Signal::TERM)
        {
            self.group_was_told = true;
            info!("{} is dead: {signal} to the rest of its process group", self.command);
            // Refused where there is nobody left, and that is well.
            let _ = send_to_group(self.command.pid, &by_sexton(signal));
        }
    }

    fn send(&self, received: &Received) -> Result<(), SendError> {
        let pid = self.command.pid;
        if self.config.group { send_to_group(pid, received) } else { send(pid, received) }
    }

    fn kill(&mut self) {
        let grace_period = format_duration(self.config.grace_period.unwrap_or_default());
        let stop = self.stop.map_or(Signal::TERM, |received| received.signal);
        let refused = match self.ended {
            None => self.send(&by_sexton(Signal::KILL)).err(),
            Some(_) => None,
        };
        self.kill_others();
        if let Some(SendError::Refused(errno)) = refused {
            // Nothing else can be done to it, and waiting would not make it true. When PID 1 exits
            // the kernel itself kills the rest (pid_namespaces(7)).
            error!(
                "{} did not stop within {grace_period} of {stop} and cannot be killed: {}; if it changed its user, \
                 sexton needs CAP_KILL; leaving it",
                self.command,
                errno.desc()
            );
            self.over = true;
        } else {
            warn!("{} did not stop within {grace_period} of {stop}; killed with SIGKILL", self.command);
        }
    }

    /// SIGKILL to all that is left, unless orphans are to be left.
    fn kill_others(&mut self) {
        self.killing = self.config.orphans != Orphans::Leave;
        if self.killing && self.others.kill(self.command.pid).is_err() {
            self.killing = false;
            warn!("there is no usable /proc: processes that {} left may survive", self.command);
        }
    }

    /// Leaves things as they were found, and says how the command ended.
    fn leave(&self) -> u8 {
        self.job.ended(self.command.pid);
        // Without an end of its own it was left behind in spite of SIGKILL.
        let ended = self.ended.unwrap_or(Ended::Killed(Signal::KILL));
        let status = match ended {
            Ended::Exited(status) => status,
            Ended::Killed(signal) => exit_status::KILLED_BASE + signal.number() as u8,
        };
        if self.config.expected_exits.contains(status) {
            return 0;
        }
        if let (Some(Ended::Killed(signal)), true) = (self.ended, self.config.reraise) {
            die_by(signal);
        }
        status
    }
}

fn by_sexton(signal: Signal) -> Received {
    Received { signal, code: libc::SI_USER, pid: own_pid(), uid: 0, value: 0 }
}

/// sexton as a part of a terminal's job control.
#[derive(Clone, Copy, Debug)]
struct Job {
    is_init: bool,
    has_terminal: bool,
    /// The command's process group was given the foreground.
    handed_over: bool,
    /// The command is in our own process group.
    shares_group: bool,
}

impl Job {
    /// What the terminal sends goes to a whole process group.
    fn has_been_sent_to_command(&self, received: &Received) -> bool {
        self.shares_group && !received.is_from_process()
    }

    /// The command was stopped. Returns whether it is to go on at once.
    fn command_stopped(&self, command: i32, signal: Signal) -> bool {
        let by_terminal = matches!(signal, Signal::TSTP | Signal::TTIN | Signal::TTOU);
        if !self.has_terminal || !by_terminal {
            return false;
        }
        if self.shares_group {
            // Everybody in the group was sent the same, and stops by itself.
            suspend_self(false);
            return false;
        }
        if signal != Signal::TSTP && self.hand_over(command) {
            // We came into the foreground without being told, as by `fg` for a job that runs.
            return true;
        }
        if self.is_init {
            // Behind PID 1 there is no shell that could ever continue it: without sexton the
            // kernel would not have stopped it at all.
            return signal == Signal::TSTP && self.handed_over;
        }
        // The shell that waits for us must see that its job has stopped.
        suspend_self(true);
        false
    }

    /// sexton forwarded this signal, which a shell sends to stop a job: without a terminal of its
    /// own the command is out of that shell's sight, but sexton is not.
    fn forwarded(&self, signal: Signal) {
        if !self.has_terminal && !self.is_init && matches!(signal, Signal::TSTP | Signal::TTIN | Signal::TTOU) {
            stop_self();
        }
    }

    /// Somebody continues us, and so the command, which needs the terminal if we have it.
    fn continued(&self, command: i32) {
        if self.has_terminal && !self.is_init && !self.shares_group {
            self.hand_over(command);
        }
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

/// Who sent a signal, for people.
struct Sender<'a>(&'a Received);

impl fmt::Display for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            received if !received.is_from_process() => f.write_str("the kernel"),
            Received { pid: 0, .. } => f.write_str("outside the container"),
            Received { pid, uid, .. } => write!(f, "pid {pid}, uid {uid}"),
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
