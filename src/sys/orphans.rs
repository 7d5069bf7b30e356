//! What is done to orphans, and to whatever else sexton is the last to care for: as PID 1 all other
//! processes of the namespace, also those that an engine's exec started; else all descendants.
//!
//! No process that is not one of these is ever sent a signal. A number that `/proc` shows is a target
//! only while it is known whose it is:
//!
//! - A child of ours keeps its pid until we reap it, and nobody is reaped in here.
//! - Any other process is a descendant if its parent is; and it is signalled through a pidfd, once it
//!   was found to be one while the pidfd was open ([`Search::is_ours`], [`Search::send_to`]).
//! - A process group is signalled only when nobody else can be in it ([`may_signal_group`]).
//!
//! No allocation: sexton may be doing this because the container is out of memory.

use nix::errno::Errno;
use nix::unistd::{Pid, getsid};

use super::left::is_machine;
use super::pids::PidSet;
use super::proc::{NoProc, Process, each_process, last_pid, read_process, since_boot};
use super::process::own_pid;
use super::reap::{Children, children};
use super::signals::{SendError, kill, kill_by_pidfd, send, send_to_orphaned_group};
use crate::signal::{Received, Signal};

// Behind all other data (`.cargo/dist.toml`), which so keeps to the one page that is written anyway.
/// Descendants whose number cannot become another process's during the search ([`Search::is_ours`]).
#[unsafe(link_section = ".bss.~marks")]
static DESCENDANTS: PidSet = PidSet::none();
/// Processes that got the signal of this search.
#[unsafe(link_section = ".bss.~marks")]
static SIGNALLED: PidSet = PidSet::none();
/// Process groups that did.
#[unsafe(link_section = ".bss.~marks")]
static SIGNALLED_GROUPS: PidSet = PidSet::none();
/// Process groups in which there is somebody who is not ours.
#[unsafe(link_section = ".bss.~marks")]
static SHARED_GROUPS: PidSet = PidSet::none();
/// Sessions in which we had descendants before the command, and others may have processes.
#[unsafe(link_section = ".bss.~marks")]
static OLD_SESSIONS: PidSet = PidSet::none();

/// The process group of the command got the stop signal together with it, at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupStop {
    group: i32,
    /// Hundredths of a second since boot.
    at: u64,
    /// The last pid there was, to tell who came later in the same hundredth.
    last_pid: i32,
}

impl GroupStop {
    /// Just now.
    pub fn now(group: i32) -> GroupStop {
        GroupStop { group, at: since_boot(), last_pid: last_pid().unwrap_or(i32::MAX) }
    }

    /// Whether this process was in the group by then, and no handler of that very signal started it.
    pub fn reached(&self, process: &Process) -> bool {
        let was_there = process.start < self.at || process.start == self.at && process.pid <= self.last_pid;
        process.group == self.group && was_there
    }
}

/// What became of a signal to all orphans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// So many got it.
    pub count: usize,
    /// One to which it could not be sent, and why.
    pub refused: Option<(i32, Errno)>,
}

/// So many passes at most are made for processes that appear while we look. Each pass signals all
/// it sees, so only what was forked in between is left for the next; and signals wait meanwhile. Where
/// they appear faster than we look ([`NEWCOMERS`]) no pass would be the last.
const PASSES: usize = 10;

/// Shows each process that is ours to care for to `visit`, alive or dead.
///
/// # Errors
///
/// Without a usable `/proc` hardly anybody is shown.
pub fn each_of_ours(visit: impl FnMut(&Process)) -> Result<(), NoProc> {
    Search::begin().pass(visit).map(drop)
}

/// Whether there is none, not even a dead one that its parent did not reap. As PID 1 only:
/// elsewhere the kernel's word that we have no child is enough (wait(2), ECHILD).
pub fn none_in_namespace() -> bool {
    // SAFETY: takes integers. Signal 0 to -1 asks whether anybody could be signalled (kill(2)).
    let asked = unsafe { libc::kill(-1, 0) };
    if asked == -1 {
        return is_init() && Errno::last() == Errno::ESRCH;
    }
    // As the first process of a machine we share the namespace with the kernel's threads, which
    // count for kill(2) and never end.
    is_machine() && sees_nobody()
}

/// Whether `/proc` shows none of them.
fn sees_nobody() -> bool {
    let mut nobody = true;
    Search::begin().pass(|_| nobody = false) == Ok(true) && nobody
}

/// Sends each of them this signal once, those left out that had it with the command's group, and
/// SIGCONT to those that are stopped and could not act on it. Repeats until nobody new is
/// found and nobody is left to whom it could not be sent. Shows each of them to `before`, just before.
///
/// # Errors
///
/// Without a usable `/proc`: then hardly anybody was.
pub fn signal_orphans(
    received: &Received,
    spared: Option<GroupStop>,
    mut before: impl FnMut(&Process),
) -> Result<Sent, NoProc> {
    let search = Search::begin();
    let mut all = Sent { count: 0, refused: None };
    for _ in 0..PASSES {
        let mut found = false;
        all.refused = None;
        let were_all = search.pass_at_last(|process| {
            let had_it = spared.is_some_and(|stop| stop.reached(process));
            if !process.is_zombie() && !had_it && SIGNALLED.insert(process.pid) {
                before(process);
                match search.send_to(process, received) {
                    Ok(()) => {
                        found = true;
                        all.count += 1;
                    }
                    // It may be gone; if it is not, the next pass tries again.
                    Err(SendError::Refused(errno) | SendError::WithoutValue(errno)) => {
                        SIGNALLED.remove(process.pid);
                        all.refused = Some((process.pid, errno));
                    }
                }
                if process.is_stopped() {
                    let go_on = Received { signal: Signal::CONT, code: libc::SI_USER, ..*received };
                    let _ = search.send_to(process, &go_on);
                }
            }
        })?;
        if !were_all || !found && all.refused.is_none() {
            break;
        }
    }
    Ok(all)
}

/// Notes the sessions in which we have descendants before the command is started: children of a shell that
/// became sexton by exec, and theirs. Returns whether that could be done.
pub fn note_old_sessions() -> bool {
    if children() == Children::None {
        return true;
    }
    let search = Search::begin();
    let note = |process: &Process| {
        OLD_SESSIONS.insert(process.session);
    };
    // Twice, for those whose parent has a higher pid.
    search.pass(note) == Ok(true) && search.pass(note) == Ok(true)
}

/// Kills all of them. As PID 1 the kernel does it in one step; elsewhere processes that fork
/// and exit faster than we look may be left, and it is to be called again while there are any.
///
/// `knows_sessions` is what [`note_old_sessions`] returned before the command was started.
///
/// # Errors
///
/// Without a usable `/proc`: then only those were killed that are in the command's process group, if a child of
/// ours is in it.
pub fn kill_orphans(command: i32, knows_sessions: bool) -> Result<(), NoProc> {
    if is_init() {
        // SAFETY: takes integers. All of our namespace but ourselves (kill(2)), and the kernel
        // lets no fork slip through in between.
        unsafe { libc::kill(-1, libc::SIGKILL) };
        return Ok(());
    }
    // What is stopped does not fork, and, unlike what is killed, makes no room for others
    // under a limit on processes. So first all are stopped, then all are killed.
    let stopped = send_uncatchable(Signal::STOP, command, knows_sessions);
    let killed = send_uncatchable(Signal::KILL, command, knows_sessions);
    if killed.is_err() {
        let _ = send_to_orphaned_group(command, &Received::sent_by(own_pid(), Signal::KILL));
    }
    stopped.and(killed)
}

/// Whole process groups at a time where that is safe, which lets no fork slip through and
/// reaches what was replaced by a child of its own since we looked.
fn send_uncatchable(signal: Signal, command: i32, knows_sessions: bool) -> Result<(), NoProc> {
    let ours = own_pid();
    let our_session = getsid(None).ok();
    let search = Search::begin();
    search.find_shared_groups()?;
    for _ in 0..PASSES {
        let mut found = false;
        let were_all = search.pass_at_last(|process| {
            let is_old = |ours: Pid| process.session == ours.as_raw() || OLD_SESSIONS.contains(process.session);
            let is_new = knows_sessions && our_session.is_some_and(|ours| !is_old(ours));
            if may_signal_group(process.group, is_new || process.group == command) {
                if SIGNALLED_GROUPS.insert(process.group) {
                    found |= kill(-process.group, signal).is_ok();
                }
            } else if !process.is_zombie() && SIGNALLED.insert(process.pid) {
                found = true;
                let _ = search.send_to(process, &Received::sent_by(ours, signal));
            }
        })?;
        if !were_all || !found {
            break;
        }
    }
    Ok(())
}

/// Whether all of the process group of one of ours are ours, and will be.
///
/// `began_below_us`: it is the command's own, or in a session that began since the command was started. No
/// process can enter a session, so whoever is in that one descends from who began it, and that was one of
/// ours. Our own session and the old ones may have others in them.
///
/// The command's group can be entered by whoever else is in its session, and what somebody starts in a PID
/// namespace of ours becomes a descendant without leaving its own session. So nobody else may be seen in the
/// group either ([`Search::find_shared_groups`]).
///
/// kill(2) takes 0 and -1 for other things than process groups; 0 is shown for a group that another PID
/// namespace has made.
fn may_signal_group(group: i32, began_below_us: bool) -> bool {
    group > 1 && began_below_us && !SHARED_GROUPS.contains(group)
}

/// A search for those that are ours, in as many passes as it takes.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// When it began, in hundredths of a second since boot.
    began: u64,
}

impl Search {
    fn begin() -> Search {
        [&DESCENDANTS, &SIGNALLED, &SIGNALLED_GROUPS, &SHARED_GROUPS].into_iter().for_each(PidSet::clear);
        Search { began: since_boot() }
    }

    /// Shows each of them, also dead ones, to `visit` in one pass.
    ///
    /// A parent mostly has a lower pid than its children and comes first, so one pass finds all; where pids
    /// have wrapped around, the next pass finds the rest. Returns as [`Search::pass_by`].
    fn pass(self, mut visit: impl FnMut(&Process)) -> Result<bool, NoProc> {
        self.pass_by(|process, is_ours| {
            if is_ours {
                visit(process);
            }
        })
    }

    /// The same, with a second look where the first one fails: what is short, memory or a descriptor, may be there
    /// a moment later, and what is not looked at now is left behind. A process may be shown twice.
    fn pass_at_last(self, mut visit: impl FnMut(&Process)) -> Result<bool, NoProc> {
        self.pass(&mut visit).or_else(|NoProc| self.pass(visit))
    }

    fn find_shared_groups(self) -> Result<(), NoProc> {
        // Whoever is ours is known after one pass.
        self.pass_at_last(|_| {})?;
        let look = || {
            self.pass_by(|process, is_ours| {
                if !is_ours {
                    SHARED_GROUPS.insert(process.group);
                }
            })
        };
        look().or_else(|NoProc| look()).map(drop)
    }

    /// Shows everybody to `visit`, sexton as well, and whether it is one of ours.
    ///
    /// Returns whether that was everybody: not when processes come faster than we look, for `/proc` is in the
    /// order of pids, and the new ones mostly have the highest. Where pids have wrapped around, those that were
    /// there before stand among them: only so many new ones in a row are the end.
    fn pass_by(self, mut visit: impl FnMut(&Process, bool)) -> Result<bool, NoProc> {
        let mut newcomers = 0;
        each_process(|process| {
            let is_ours = process.pid != own_pid() && (is_init() || self.is_ours(process));
            if is_ours && self.keeps_its_pid(process) {
                DESCENDANTS.insert(process.pid);
            }
            visit(process, is_ours);
            newcomers = if process.start > self.began { newcomers + 1 } else { 0 };
            newcomers < NEWCOMERS
        })?;
        Ok(newcomers < NEWCOMERS)
    }

    /// Whether whoever has its number in this search is this process: it is a child of ours, which only we
    /// reap, or was there before the search, and a new owner of the number was not.
    fn keeps_its_pid(self, process: &Process) -> bool {
        process.parent == own_pid() || process.start < self.began
    }

    /// Whether it descends from us: once a descendant, always one, so that it does not matter when.
    ///
    /// What is known of its parent's number may be of another process, which had it before. It is not when both
    /// were there before the search, for a new owner of the number would be younger than its child. So one look
    /// at each process will do, but for the very youngest.
    fn is_ours(self, process: &Process) -> bool {
        if process.parent == own_pid() {
            return true;
        }
        if process.start < self.began {
            DESCENDANTS.contains(process.parent)
        } else {
            self.descends(process, GENERATIONS)
        }
    }

    /// The same for one of the youngest, by a look at its parents.
    ///
    /// Who is seen under the parent's number is the parent if the child has it as its parent before and after:
    /// when the parent ends, its children get another one.
    #[cold]
    fn descends(self, process: &Process, generations: u32) -> bool {
        if process.parent == own_pid() {
            return true;
        }
        let Some(generations) = generations.checked_sub(1) else { return false };
        let Some(parent) = read_process(process.parent) else { return false };
        let parent_is_ours = if parent.start < self.began {
            DESCENDANTS.contains(parent.pid)
        } else {
            self.descends(&parent, generations)
        };
        let is_unchanged = |now: Process| (now.start, now.parent) == (process.start, process.parent);
        parent_is_ours && read_process(process.pid).is_some_and(is_unchanged)
    }

    /// To one of ours. While a pidfd for it is open, its number is looked at once more: if the pidfd's process is
    /// there to be signalled, it has had the number all the time.
    fn send_to(self, process: &Process, received: &Received) -> Result<(), SendError> {
        if process.parent == own_pid() || is_init() {
            return send(process.pid, received);
        }
        let is_ours_still = || {
            read_process(process.pid).is_some_and(|now| {
                let is_the_same = process.start < self.began && now.start == process.start;
                is_the_same || self.descends(&now, GENERATIONS)
            })
        };
        kill_by_pidfd(process.pid, received, is_ours_still).or_else(|errno| {
            // There may be no pidfds (before Linux 5.3, under a seccomp profile), or no descriptor left for it and
            // the look. For the number to be another's, all others would have to be given out between two calls.
            if is_ours_still() { kill(process.pid, received.signal) } else { Err(errno) }.map_err(SendError::Refused)
        })
    }
}

/// So many processes at most that came after the search began are looked at in a pass.
const NEWCOMERS: u32 = 256;

/// So many parents at most are looked at of one of the youngest: a chain of processes that grows while we
/// look is not followed for ever.
const GENERATIONS: u32 = 32;

/// Whether everybody in the namespace is ours.
fn is_init() -> bool {
    own_pid() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_signalled_only_if_it_is_one_and_nobody_else_can_be_in_it() {
        const SHARED: i32 = 4_000_000;
        SHARED_GROUPS.insert(SHARED);
        for (group, began_below_us, may) in [
            (-1, true, false),
            (0, true, false),
            (1, true, false),
            (2, true, true),
            (2, false, false),
            (SHARED, true, false),
            (SHARED + 1, true, true),
        ] {
            assert_eq!(may_signal_group(group, began_below_us), may, "{group} {began_below_us}");
        }
        SHARED_GROUPS.remove(SHARED);
    }
}
