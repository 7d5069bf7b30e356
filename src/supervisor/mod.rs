//! The loop: wait for a signal or a deadline, feed the state machine, do what it says.

mod hands;
mod job;
pub mod pause;

#[cfg(test)]
mod model;

use std::ops::ControlFlow;
use std::time::Duration;

use log::{Level, debug, info, trace, warn};

use self::hands::{Hands, What};
use self::job::Job;
use crate::config::{Config, Orphans};
use crate::launch::launch;
use crate::report::{self, Facts, Name};
use crate::shutdown::{Event, Machine, Policy};
use crate::signal::{Received, Signal};
use crate::sys::{
    Inbox, Others, Parent, Reaper, Reaping, Start, Started, Terminal, become_subreaper, close_all_but_stderr,
    is_one_of_several, leads_session, leave_terminal, leave_working_directory, monotonic_now, own_pid, unblock_stderr,
};
use crate::why::died::{Command, Sender};
use crate::why::evidence::Evidence;
use crate::why::not_started::Refusal;

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
