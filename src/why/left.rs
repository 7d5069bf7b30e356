//! What a stop cuts off: processes that are left when the command is gone and sexton goes as well.
//!
//! Under any init the shell in front of a server ends at once, and the kernel kills the server in the middle
//! of its work. Where it is known that the command left them it is said so; of who may have come from an
//! engine's exec as well, only that they are there.

use std::fmt;

use log::kv::Value;
use log::{Level, log_enabled};

use super::died::{Command, Processes};
use super::evidence::Evidence;
use crate::config::Config;
use crate::report::{self, Facts, Name};
use crate::signal::Signal;
use crate::sys::{
    Children, Descent, GroupStop, NoProc, Process, children, each_left, each_other, is_machine, none_in_namespace,
    own_pid, pause_a_moment,
};

/// So many are counted: whoever leaves more keeps no exit waiting.
const COUNTED: usize = 100;

/// Who lived by the command, as the end of its pipe does, ends with it, as soon as it has a processor. So
/// whoever runs or is to run is given so many milliseconds to be gone.
const MOMENTS: u32 = 10;

/// Says who is left, if anybody is, now that the command is gone and orphans are to be left.
///
/// With a stop signal it is a warning, else a part of the story. Nobody is looked for when it would not be told.
#[inline(never)]
pub fn tell(config: &Config, command: Command, evidence: &Evidence, end: End) {
    let stop = evidence.stop().map(|sender| sender.received.signal);
    let is_told = match stop {
        Some(_) => log_enabled!(Level::Warn) || config.termination_log.is_some(),
        None => log_enabled!(Level::Info),
    };
    // With its SIGKILL sexton has named who is left.
    if is_told && !evidence.was_killed() && children() != Children::None {
        look(config, command, evidence, end, stop);
    }
}

/// How the command ended.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Its exit status was 0.
    pub is_good: bool,
    /// Its process group got the stop signal.
    pub group_stop: Option<GroupStop>,
}

#[cold]
#[inline(never)]
fn look(config: &Config, command: Command, evidence: &Evidence, end: End, stop: Option<Signal>) {
    let descent = Descent::of(command.pid, evidence.started(), config.new_session);
    let found = find_after_a_moment(|| find(&descent, end.group_stop));
    if found.processes.count == 0 && !found.is_blind {
        return;
    }
    let told = Left {
        command,
        found,
        fate: Fate::of_all(),
        stop: stop.map(|signal| config.rewrites.apply(signal)),
        ended_well: end.is_good,
    };
    let (name, named) = (Name(command.name), Named { found: &told.found, last: ", " });
    let facts = Facts::of("processes_left").and("pid", command.pid).and_shown("command", &name);
    let facts = facts
        .and_if("signal", stop.as_ref().map(Value::from_display))
        .and_if("survivors", told.found.count())
        .and_if("survivor_names", (!told.found.is_blind).then(|| Value::from_display(&named)))
        .and("left_by_command", told.found.is_known)
        .and("runs_on", told.fate == Fate::RunsOn);
    match stop {
        Some(_) => report::end(Level::Warn, format_args!("{told}"), &facts),
        None => report::tell(Level::Info, format_args!("{told}"), &facts),
    }
}

/// As PID 1: says who is there although the command is gone and left nobody: an engine's exec started them.
/// They are not waited for. Nobody would tell of their end, and a server that crashed is to be restarted
/// though somebody looks at it in a shell.
#[inline(never)]
pub fn tell_strangers(command: Command, evidence: &Evidence) {
    // With its SIGKILL sexton has named who is left.
    if log_enabled!(Level::Warn) && !evidence.was_killed() && !none_in_namespace() {
        look_at_strangers(command);
    }
}

#[cold]
#[inline(never)]
fn look_at_strangers(command: Command) {
    let found = find_after_a_moment(find_strangers);
    if found.processes.count == 0 && !found.is_blind {
        // The last of them was about to end.
        return;
    }
    let told = Strangers { command, found, fate: Fate::of_all() };
    let (name, named) = (Name(command.name), Named { found: &told.found, last: ", " });
    let facts = Facts::of("strangers_left").and("pid", command.pid).and_shown("command", &name);
    let facts = facts
        .and_if("survivors", told.found.count())
        .and_if("survivor_names", (!told.found.is_blind).then(|| Value::from_display(&named)));
    // The termination log is for why the command ended, and these have no part in that.
    report::tell(Level::Warn, format_args!("{told}"), &facts);
}

/// Looks until nobody who is found is at work, for some moments at most.
fn find_after_a_moment(find: impl Fn() -> Found) -> Found {
    let mut found = find();
    for _ in 0..MOMENTS {
        if !found.are_running {
            break;
        }
        pause_a_moment();
        found = find();
    }
    found
}

/// Who was found.
#[derive(Clone, Copy, Debug)]
struct Found {
    processes: Processes,
    /// There are more than were counted.
    is_more: bool,
    /// All of them are known to be the command's.
    is_known: bool,
    /// One of them is at work, or is to be.
    are_running: bool,
    /// All of them got the stop signal together with the command.
    had_it: bool,
    /// There is somebody, and nobody can be seen.
    is_blind: bool,
}

impl Default for Found {
    /// Nobody: what is to be said of all is true.
    fn default() -> Found {
        Found {
            processes: Processes::default(),
            is_more: false,
            is_known: true,
            are_running: false,
            had_it: true,
            is_blind: false,
        }
    }
}

impl Found {
    /// How many, if that is known.
    fn count(&self) -> Option<usize> {
        (!self.is_more && !self.is_blind).then_some(self.processes.count)
    }
}

fn find(descent: &Descent, group_stop: Option<GroupStop>) -> Found {
    let mut found = Found { had_it: group_stop.is_some(), ..Found::default() };
    let seen = each_left(descent, |process, is_known| {
        found.is_more = found.processes.count == COUNTED;
        if !found.is_more {
            found.processes.add(process);
            found.is_known &= is_known;
            found.are_running |= process.state == b'R';
            found.had_it &= group_stop.is_some_and(|stop| stop.reached(process));
        }
        !found.is_more
    });
    if seen == Err(NoProc) {
        let is_blind = children() == Children::Alive;
        found = Found { is_blind, are_running: is_blind, is_known: false, had_it: false, ..Found::default() };
    }
    found
}

fn find_strangers() -> Found {
    let mut found = Found::default();
    let seen = each_other(|process| {
        found.is_more = found.processes.count == COUNTED;
        if !found.is_more {
            found.processes.add(process);
            found.are_running |= process.state == b'R';
        }
        !found.is_more
    });
    if seen == Err(NoProc) { Found { is_blind: true, ..Found::default() } } else { found }
}

/// What becomes of who is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// When PID 1 ends the kernel kills all others of its namespace (pid_namespaces(7)).
    IsKilled,
    /// The end of a machine's first process is a panic of the kernel.
    EndsWithMachine,
    RunsOn,
}

impl Fate {
    fn of_all() -> Fate {
        match own_pid() {
            1 if is_machine() => Fate::EndsWithMachine,
            1 => Fate::IsKilled,
            _ => Fate::RunsOn,
        }
    }
}

/// Some processes are left.
#[derive(Clone, Copy, Debug)]
struct Left {
    command: Command,
    found: Found,
    fate: Fate,
    /// The stop signal that came, as it is forwarded, if it is.
    stop: Option<Option<Signal>>,
    ended_well: bool,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Left { command, found, .. } = self;
        let is_one = found.is_blind || found.processes.count == 1;
        let it = if is_one { "it" } else { "they" };
        let s = if is_one { "s" } else { "" };
        write!(f, "{command} is gone")?;
        let named = Named { found, last: " and " };
        if found.is_known {
            write!(f, " and leaves {named}")?;
        } else {
            let is = if is_one { "is" } else { "are" };
            write!(f, ", and {named} {is} still there")?;
        }
        match self.fate {
            Fate::EndsWithMachine => write!(f, ", which end{s} with this machine; ")?,
            Fate::IsKilled => f.write_str(", which the kernel kills now; ")?,
            Fate::RunsOn => write!(f, ", which run{s} on; ")?,
        }
        let has = if is_one { "has" } else { "have" };
        match self.stop {
            Some(Some(signal)) if found.had_it => {
                write!(f, "{it} {has} {signal}, and with --orphans stop sexton waits until {it} {has} finished")
            }
            Some(Some(signal)) => write!(f, "with --orphans stop {it} get{s} {signal} and may finish"),
            // Who tells the command to stop in some way of their own has no signal for others either.
            Some(None) => write!(f, "with --orphans wait sexton waits until {it} {has} finished"),
            None if self.ended_well => {
                write!(f, "with --orphans wait sexton waits until {it} {has} finished")?;
                f.write_str("; a server that makes itself a daemon mostly has an option to stay in the foreground")
            }
            None => {
                write!(f, "with --orphans stop {it} {}, and may finish", if is_one { "is told" } else { "are told" })
            }
        }
    }
}

/// Some processes are there that an engine's exec started.
#[derive(Clone, Copy, Debug)]
struct Strangers {
    command: Command,
    found: Found,
    fate: Fate,
}

impl fmt::Display for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Strangers { command, found, fate } = self;
        let named = Named { found, last: " and " };
        let is_one = found.is_blind || found.processes.count == 1;
        let (was, it) = if is_one { ("was", "it") } else { ("were", "them") };
        write!(f, "{command} is gone, and sexton does not wait for {named}, which {was} started from outside")?;
        f.write_str(" the container, as docker exec does")?;
        match fate {
            Fate::EndsWithMachine => f.write_str(": the machine ends"),
            Fate::IsKilled | Fate::RunsOn => write!(f, ": the kernel kills {it} now"),
        }
    }
}

/// Their names and pids; before the last one stands `last`.
#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    found: &'a Found,
    last: &'static str,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processes = &self.found.processes;
        if self.found.is_blind {
            return f.write_str("a process that cannot be named without a usable /proc");
        }
        let named = processes.first().count();
        let others = processes.count.saturating_sub(named);
        for (index, process) in processes.first().enumerate() {
            let is_last = index + 1 == named && others == 0;
            f.write_str(if index == 0 {
                ""
            } else if is_last {
                self.last
            } else {
                ", "
            })?;
            show(process, f)?;
        }
        match (others, self.found.is_more) {
            (0, _) => Ok(()),
            (1, false) => write!(f, "{}another one", self.last),
            (others, false) => write!(f, "{}{others} others", self.last),
            (others, true) => write!(f, "{}more than {others} others", self.last),
        }
    }
}

fn show(process: &Process, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{process} (pid {})", process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: Command = Command { name: c"npm", pid: 7 };

    fn found(names: &[&str]) -> Found {
        let mut found = Found { had_it: false, ..Found::default() };
        for (pid, name) in (18..).zip(names) {
            found.processes.add(&Process::imagined(pid, b'S', name));
        }
        found
    }

    fn stopped(found: Found) -> Left {
        Left { command: COMMAND, found, fate: Fate::IsKilled, stop: Some(Some(Signal::TERM)), ended_well: false }
    }

    #[test]
    fn who_is_left_is_told_with_what_becomes_of_them_and_the_cure() {
        let node = found(&["node"]);
        let two = found(&["sh", "node"]);
        let cure = "with --orphans stop it gets SIGTERM and may finish";
        for (left, sentence) in [
            (stopped(node), format!(" and leaves node (pid 18), which the kernel kills now; {cure}")),
            (Left { fate: Fate::RunsOn, ..stopped(node) }, format!(" and leaves node (pid 18), which runs on; {cure}")),
            (
                Left { fate: Fate::EndsWithMachine, ..stopped(node) },
                format!(" and leaves node (pid 18), which ends with this machine; {cure}"),
            ),
            (
                stopped(Found { is_known: false, ..node }),
                format!(", and node (pid 18) is still there, which the kernel kills now; {cure}"),
            ),
            (
                stopped(Found { had_it: true, ..two }),
                " and leaves sh (pid 18) and node (pid 19), which the kernel kills now; they have SIGTERM, and with \
                 --orphans stop sexton waits until they have finished"
                    .to_owned(),
            ),
            (
                Left { fate: Fate::RunsOn, ..stopped(Found { is_known: false, ..two }) },
                ", and sh (pid 18) and node (pid 19) are still there, which run on; with --orphans stop they get \
                 SIGTERM and may finish"
                    .to_owned(),
            ),
            (
                Left { stop: Some(None), ..stopped(node) },
                " and leaves node (pid 18), which the kernel kills now; with --orphans wait sexton waits until it has \
                 finished"
                    .to_owned(),
            ),
            (
                Left { stop: None, ended_well: true, ..stopped(node) },
                " and leaves node (pid 18), which the kernel kills now; with --orphans wait sexton waits until it has \
                 finished; a server that makes itself a daemon mostly has an option to stay in the foreground"
                    .to_owned(),
            ),
            (
                Left { stop: None, ..stopped(node) },
                " and leaves node (pid 18), which the kernel kills now; with --orphans stop it is told, and may finish"
                    .to_owned(),
            ),
            (
                stopped(Found { is_blind: true, is_known: false, ..found(&[]) }),
                format!(
                    ", and a process that cannot be named without a usable /proc is still there, which the kernel \
                     kills now; {cure}"
                ),
            ),
        ] {
            assert_eq!(left.to_string(), format!("npm (pid 7) is gone{sentence}"));
        }
    }

    #[test]
    fn who_came_from_outside_is_told_with_what_becomes_of_them() {
        let sh = Strangers { command: COMMAND, found: found(&["sh"]), fate: Fate::IsKilled };
        let from = "started from outside the container, as docker exec does";
        for (told, sentence) in [
            (sh, format!("sh (pid 18), which was {from}: the kernel kills it now")),
            (
                Strangers { found: found(&["sh", "top"]), ..sh },
                format!("sh (pid 18) and top (pid 19), which were {from}: the kernel kills them now"),
            ),
            (
                Strangers { fate: Fate::EndsWithMachine, ..sh },
                format!("sh (pid 18), which was {from}: the machine ends"),
            ),
            (
                Strangers { found: Found { is_blind: true, ..found(&[]) }, ..sh },
                format!(
                    "a process that cannot be named without a usable /proc, which was {from}: the kernel kills it now"
                ),
            ),
        ] {
            assert_eq!(told.to_string(), format!("npm (pid 7) is gone, and sexton does not wait for {sentence}"));
        }
    }

    #[test]
    fn four_are_named_and_the_others_counted() {
        let shown = |found: Found, last| Named { found: &found, last }.to_string();
        let five = found(&["a", "b", "c", "d", "e"]);
        assert_eq!(shown(five, " and "), "a (pid 18), b (pid 19), c (pid 20), d (pid 21) and another one");
        assert_eq!(shown(found(&["a"; 6]), ", "), "a (pid 18), a (pid 19), a (pid 20), a (pid 21), 2 others");
        let more = Found { is_more: true, ..found(&["a"; COUNTED]) };
        assert!(shown(more, " and ").ends_with("a (pid 21) and more than 96 others"));
        assert_eq!(shown(found(&["a\nb"]), " and "), "a\\nb (pid 18)");
    }
}
