//! `--pause`: there is no command, only orphans to reap, as in the container that holds the
//! namespaces of a pod.

use std::ops::ControlFlow;

use log::{info, warn};

use super::hands::What;
use super::{LOOK_AGAIN, adopt_orphans, watch_parent};
use crate::config::{Config, Orphans};
use crate::signal::Signal;
use crate::sys::{ChangeKind, Inbox, Others, Reaper, Reaping, close_all_but_stderr, leave_working_directory, own_pid};

/// Reaps until SIGINT, SIGTERM or another stop signal comes, and then, unless orphans are to be left,
/// until nobody is left or one more comes. Returns sexton's exit status.
#[cold]
#[inline(never)]
pub fn run(config: &Config) -> u8 {
    if own_pid() != 1 {
        adopt_orphans(config);
    }
    let mut parent = config.parent_death_signal.and_then(watch_parent);
    close_all_but_stderr();
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
        let mut left = reap(config);
        while left == Reaping::More {
            left = reap(config);
        }
        // Those that an engine put here are not our children; their end is only seen by looking.
        if ending && left == Reaping::NoChildren && (own_pid() != 1 || Others::of_us().none_in_namespace()) {
            return 0;
        }
        next = inbox.wait(ending.then_some(LOOK_AGAIN)).and_then(|received| match &mut parent {
            Some((parent, _)) => parent.interpret(received),
            None => Some(received),
        });
    }
}

fn reap(config: &Config) -> Reaping {
    Reaper::default().collect(|change| {
        if config.warn_on_reap && matches!(change.kind, ChangeKind::Exited(_) | ChangeKind::Killed { .. }) {
            warn!("reaped orphan {}: it {}", change.pid, What(change.kind));
        }
        ControlFlow::Continue(())
    })
}
