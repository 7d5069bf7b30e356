//! `--pause`: there is no command, only orphans to reap, as in the container that holds the
//! namespaces of a pod.

use std::ffi::CStr;
use std::time::Duration;

use log::{debug, info};

use super::hands::tell_reaped;
use super::turn::{BATCH, POLL_INTERVAL};
use super::{adopt_orphans, watch_parent};
use crate::config::{Config, Orphans};
use crate::signal::Signal;
use crate::sys::{
    Inbox, Opened, Reaper, Reaping, close_all_but_log, leave_working_directory, none_in_namespace, own_pid,
    set_own_name,
};

/// What PID 1 of a pod is called.
const NAME: &CStr = c"sexton: pause";

/// Reaps until SIGINT, SIGTERM or another stop signal comes, and then, unless orphans are to be left,
/// until nobody is left or one more comes. Returns sexton's exit status.
#[cold]
#[inline(never)]
pub fn run(config: &Config) -> u8 {
    if own_pid() != 1 {
        adopt_orphans(config);
    }
    // A check in another container of the pod must not take us for the sexton that runs its command.
    if own_pid() == 1
        && let Err(errno) = set_own_name(NAME)
    {
        debug!("cannot be called {NAME:?}: {}", errno.desc());
    }
    let mut parent = config.parent_death_signal.and_then(watch_parent);
    close_all_but_log(Opened::default(), own_pid() == 1);
    leave_working_directory();
    // Nothing is forwarded, so SIGKILL can only be what the death of the parent stands for.
    let end = config.stop_signals.with(Signal::INT).with(Signal::TERM).with(Signal::KILL);
    let mut next = parent.filter(|(_, is_dead)| *is_dead).map(|(parent, _)| parent.death_notice());
    let mut inbox = Inbox::default();
    let mut ending = false;
    loop {
        if let Some(received) = next
            && end.contains(received.signal)
        {
            info!("the pause ends: {}", received.signal);
            if ending || config.orphans == Orphans::Leave {
                return 0;
            }
            ending = true;
        }
        let left = reap(config);
        // Those that an engine put here are not our children; their end is only seen by looking.
        if ending && left == Some(Reaping::NoChildren) && (own_pid() != 1 || none_in_namespace()) {
            return 0;
        }
        let timeout = match left {
            // A storm of deaths delays no signal.
            None => Some(Duration::ZERO),
            Some(_) => ending.then_some(POLL_INTERVAL),
        };
        next = inbox.wait(timeout).and_then(|received| match &mut parent {
            Some((parent, _)) => parent.interpret(received),
            None => Some(received),
        });
    }
}

/// Reaps a batch of those that are dead. Returns what came after the last of them, none when there may be
/// more.
fn reap(config: &Config) -> Option<Reaping> {
    let mut reaper = Reaper::default();
    for _ in 0..BATCH {
        match reaper.look() {
            Reaping::Change(change) => tell_reaped(config, change),
            end => return Some(end),
        }
    }
    None
}
