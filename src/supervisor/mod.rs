//! The loop: wait for a signal or a deadline, feed the state machine, do what it says.

mod hands;
mod job;
pub mod pause;
mod turn;

#[cfg(test)]
mod model;

use std::time::Duration;

use log::{Level, info, trace, warn};

use self::hands::Hands;
use self::job::Job;
use self::turn::{Looked, Surroundings, Turns};
use crate::config::{Config, Orphans};
use crate::launch::launch;
use crate::report::{self, Facts, Name};
use crate::shutdown::{Action, Event, Machine, NOTICE, Policy};
use crate::signal::{Received, Signal};
use crate::sys::{
    Badge, Inbox, Opened, Parent, Reaper, Reaping, Start, Started, Terminal, become_subreaper, close_all_but_log,
    is_one_of_several, leads_session, leave_terminal, leave_working_directory, monotonic_now, note_old_sessions,
    own_pid, remove_mark, stderr_is_ours,
};
use crate::why::died::Command;
use crate::why::end::What;
use crate::why::evidence::Evidence;
use crate::why::not_started::Refusal;
use crate::why::told::Told;

/// Starts the command, stays with it until its end, and returns sexton's exit status.
#[inline(never)]
pub fn run(config: &Config, start: &Start) -> u8 {
    let is_init = own_pid() == 1;
    if !is_init {
        adopt_orphans(config);
    }
    // As PID 1 everybody is ours, and nobody asks.
    let knows_sessions = !is_init && config.orphans != Orphans::Leave && note_old_sessions();
    let parent = config.parent_death_signal.and_then(watch_parent);
    if let Some(file) = &config.drain_file
        && let Err(errno) = remove_mark(file)
    {
        warn!("cannot remove {}, which says that a shutdown has begun: {}", Name(file), errno.desc());
    }
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
    let gets_foreground = in_foreground.filter(|_| !several);
    let started = match launch(config, start, !shares_group, gets_foreground) {
        Ok(started) => started,
        Err(refusal) => {
            if let Some(terminal) = gets_foreground {
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
        gave_foreground: gets_foreground.is_some(),
        shares_group,
    };
    drop(terminal);
    stay(config, started, job, knows_sessions, parent)
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
fn stay(config: &Config, started: Started, job: Job, knows_sessions: bool, parent: Option<(Parent, bool)>) -> u8 {
    // Where there is only one processor the command has it first: nothing below is urgent.
    std::thread::yield_now();
    let mut opened = Opened::default();
    let mut evidence = Evidence::from_now();
    evidence.count_before(started.pid, &mut opened);
    close_all_but_log(opened, job.is_init);
    supervise(config, started, job, knows_sessions, parent, &mut evidence)
}

/// The rest of [`stay`], whose frame would lie below all that is looked at right behind the start.
#[inline(never)]
fn supervise(
    config: &Config,
    started: Started,
    job: Job,
    knows_sessions: bool,
    parent: Option<(Parent, bool)>,
    evidence: &mut Evidence,
) -> u8 {
    stderr_is_ours();
    leave_working_directory();
    let command = Command { name: config.command.first().unwrap_or_default(), pid: started.pid };
    if let Some(errno) = started.missed.foreground {
        warn!("cannot give {command} the foreground of the terminal ({})", errno.desc());
    }
    if let Some(errno) = started.missed.death_with_sexton {
        warn!("cannot have the kernel kill {command} if sexton is killed ({})", errno.desc());
    }
    info!(event = "command_started", command:% = Name(command.name), pid = command.pid; "started {command}");

    if config.has_times() {
        let escalates = config.escalation.last().is_some();
        Badge { kills: config.grace_period.is_some(), escalates }.put_on();
    }
    let machine = Machine::new(Policy {
        stop_signals: config.stop_signals,
        rewrites: config.rewrites,
        pre_stop_signal: config.pre_stop_signal,
        pre_stop_sleep: config.pre_stop_sleep,
        grace_period: config.grace_period,
        escalation: config.escalation,
        orphans: config.orphans,
        notice_after: NOTICE,
    });
    let hands = Hands {
        config,
        command,
        job,
        evidence,
        ended: None,
        over: false,
        phase: None,
        group_stop: None,
        learned: None,
        is_nested: false,
        knows_sessions,
        told: Told::default(),
        orphans_told: false,
        killing: false,
    };
    let mut turns = Turns::new(
        machine,
        Supervisor {
            hands,
            inbox: Inbox::default(),
            reaper: Reaper::new(command.pid, config.stop_group_at_exit),
            parent: parent.map(|(parent, _)| parent),
        },
    );
    if let Some((parent, true)) = parent {
        turns.event(Event::Signal(parent.death_notice()));
    }
    // Nothing in here allocates, blocks or polls.
    while !turns.surroundings.hands.over {
        turns.turn();
    }
    turns.surroundings.hands.leave()
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

/// The kernel in front of the loop, and sexton's hands behind it.
struct Supervisor<'a> {
    hands: Hands<'a>,
    inbox: Inbox,
    reaper: Reaper,
    parent: Option<Parent>,
}

impl Surroundings for Supervisor<'_> {
    fn now(&self) -> Duration {
        monotonic_now()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Option<Received> {
        let received = self.inbox.wait(timeout)?;
        self.reaper.notice(&received);
        Some(received)
    }

    fn for_command(&mut self, received: Received) -> Option<Received> {
        let received = match &mut self.parent {
            Some(parent) => parent.interpret(received)?,
            None => received,
        };
        self.hands.for_command(received)
    }

    fn signal_was_handled(&mut self, received: Received) {
        self.hands.signal_was_handled(received);
    }

    fn next_change(&mut self) -> Looked {
        match self.reaper.look() {
            Reaping::Change(change) => {
                trace!(event = "process_changed", pid = change.pid; "process {} {}", change.pid, What(change.kind));
                Looked::Change(self.hands.see(change))
            }
            Reaping::Nothing => Looked::Nothing,
            Reaping::NoChildren => Looked::NoChildren,
            Reaping::Refused => Looked::Refused,
        }
    }

    fn kill_again(&mut self) {
        self.hands.kill_again();
    }

    fn command_is_gone(&self) -> bool {
        self.hands.ended.is_some()
    }

    fn act(&mut self, action: Action, now: Duration) {
        self.hands.act(action, now);
    }

    fn learned(&mut self) -> Option<Event> {
        self.hands.learned.take()
    }

    fn is_done(&self) -> bool {
        // With a warning for each orphan, all that are dead by now are told.
        self.hands.over && !self.hands.config.warn_on_reap
    }
}
