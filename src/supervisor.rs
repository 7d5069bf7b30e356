//! The loop: wait for a signal or a deadline, feed the state machine, do what it says.

use std::ffi::CStr;
use std::fmt;
use std::time::Duration;

use humantime::format_duration;
use log::{debug, error, info, trace, warn};

use crate::config::{Config, exit_status};
use crate::launch::launch;
use crate::report::Name;
use crate::shutdown::{Action, Event, KILL_TIMEOUT, Machine, Policy};
use crate::signal::{Received, Signal};
use crate::sys::{
    Change, ChangeKind, Inbox, Parent, Reaper, Reaping, SendError, Start, Terminal, become_subreaper,
    close_all_but_stderr, die_by, leave_terminal, leave_working_directory, monotonic_now, own_pid, send, send_to_group,
    stop_self, suspend_self,
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
    let pid = match launch(config, start, in_foreground) {
        Ok(pid) => pid,
        Err(refusal) => {
            if let Some(terminal) = in_foreground {
                terminal.take_back(None);
            }
            error!("{}", refusal.sentence);
            return config.statuses.in_place_of(refusal.status);
        }
    };
    let job = Job { is_init, has_terminal: terminal.is_some(), handed_over: in_foreground.is_some() };
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
        }),
        hands: Hands { config, command, job, ended: None, stop_signal: None, stop_forwarded: false },
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
}

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
            if children_changed {
                children_changed = self.reap();
            }
            if let Some(status) = self.hands.ended {
                return self.hands.leave(status);
            }
        }
    }

    fn time_left(&self) -> Option<Duration> {
        self.machine.wake_at().map(|moment| moment.saturating_sub(monotonic_now()))
    }

    fn event(&mut self, event: Event) {
        self.machine.handle(event, monotonic_now(), &mut |action| self.hands.act(action));
    }

    fn signal(&mut self, received: Received) {
        debug!("received {} from {}", received.signal, Sender(&received));
        if received.is_our_own(own_pid()) {
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
        more == Reaping::More
    }
}

/// What carries out the machine's actions.
struct Hands<'a> {
    config: &'a Config,
    command: Command,
    job: Job,
    /// How the command ended, and that it is time to leave.
    ended: Option<Ended>,
    /// The first stop signal.
    stop_signal: Option<Received>,
    /// The command has got it.
    stop_forwarded: bool,
}

/// How the supervision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Exited(u8),
    Killed(Signal),
    /// SIGKILL did not help.
    Abandoned,
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
            Action::Forward(received) => {
                self.forward(&received);
                let stop = self.stop_signal.and_then(|stop| self.config.rewrites.apply(stop.signal));
                self.stop_forwarded |= stop == Some(received.signal);
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
                self.ended = Some(Ended::Abandoned);
            }
            // `see` has taken down how it ended.
            Action::Exit => {}
        }
    }

    fn shutdown_begins(&mut self, received: Received) {
        self.stop_signal = Some(received);
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

    fn forward(&self, received: &Received) {
        let pid = self.command.pid;
        let sent = if self.config.group { send_to_group(pid, received) } else { send(pid, received) };
        let signal = received.signal;
        match sent {
            Ok(()) if self.stop_signal.is_some() => info!("forwarded {signal} to {}", self.command),
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
        if !self.stop_forwarded
            && let Some(signal) = self.config.rewrites.apply(Signal::TERM)
        {
            self.stop_forwarded = true;
            info!("{} is dead: {signal} to the rest of its process group", self.command);
            // Refused where there is nobody left, and that is well.
            let _ = send_to_group(self.command.pid, &by_sexton(signal));
        }
    }

    fn kill(&mut self) {
        warn!(
            "{} did not stop within {} of {}; killed with SIGKILL",
            self.command,
            format_duration(self.config.grace_period.unwrap_or_default()),
            self.stop_signal.map_or(Signal::TERM, |received| received.signal)
        );
        self.forward(&by_sexton(Signal::KILL));
    }

    /// Leaves things as they were found, and says how the command ended.
    fn leave(&self, ended: Ended) -> u8 {
        self.job.ended(self.command.pid);
        let status = match ended {
            Ended::Exited(status) => status,
            Ended::Killed(signal) => exit_status::KILLED_BASE + signal.number() as u8,
            Ended::Abandoned => exit_status::KILLED_BASE + Signal::KILL.number() as u8,
        };
        if self.config.expected_exits.contains(status) {
            return 0;
        }
        if let (Ended::Killed(signal), true) = (ended, self.config.reraise) {
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
}

impl Job {
    /// The command was stopped. Returns whether it is to go on at once.
    fn command_stopped(&self, command: i32, signal: Signal) -> bool {
        let by_terminal = matches!(signal, Signal::TSTP | Signal::TTIN | Signal::TTOU);
        if !self.has_terminal || !by_terminal {
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
        if self.has_terminal && !self.is_init {
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
