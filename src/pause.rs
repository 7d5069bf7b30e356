//! `--pause`: there is no command, only orphans to reap, as in the container that holds the
//! namespaces of a pod.

use log::{info, warn};

use crate::config::Config;
use crate::signal::Signal;
use crate::supervisor::{What, adopt_orphans, watch_parent};
use crate::sys::{ChangeKind, Inbox, Reaper, Reaping, close_all_but_stderr, leave_working_directory, own_pid};

/// Reaps until SIGINT, SIGTERM or another stop signal comes. Returns sexton's exit status.
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
    loop {
        if let Some(received) = next
            && end.contains(received.signal)
        {
            info!("the pause ends: {}", received.signal);
            return 0;
        }
        while reap(config) == Reaping::More {}
        next = inbox.wait(None).and_then(|received| match &mut parent {
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
    })
}
