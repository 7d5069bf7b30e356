//! dumb-init 1.2.5: a session for the command, and every signal to all of its process group.

use log::LevelFilter;

use super::Dialect;
use super::settings::{Kind, PROCESSES, SIGNALS, Setting, signal, split_rewrite};
use crate::config::{Config, Statuses};
use crate::signal::Signal;
use crate::sys::Environment;

/// dumb-init's command line.
pub(super) static DUMB_INIT: Dialect = Dialect {
    name: "dumb-init",
    about: concat!(
        "dumb-init (sexton ",
        env!("CARGO_PKG_VERSION"),
        "): a PID 1 for containers, with the options of dumb-init."
    ),
    usage: "dumb-init [OPTIONS] [--] COMMAND [ARG...]",
    after_help: "\
Environment variables, besides those above:
  DUMB_INIT_DEBUG=1   as -v
  DUMB_INIT_SETSID=0  as -c

Exit status:
  the command's own, or 128 + N when signal N killed it
  2 it could not be started, 1 anything else",
    version: concat!("dumb-init v1.2.5 (sexton ", env!("CARGO_PKG_VERSION"), ")"),
    shorts: Some(&[('c', "single-child"), ('r', "rewrite"), ('v', "verbose"), ('h', "help"), ('V', "version")]),
    longs: &["single-child", "rewrite", "verbose", "help", "version"],
    options: &OPTIONS,
    // It tells each signal.
    verbose_step: 1,
    drops_dashes_behind_the_name: false,
    usage_status: 1,
    statuses: Statuses { failed: 1, cannot_execute: 2, not_found: 2 },
    begin,
    end: |_| {},
};

static OPTIONS: [Setting; 2] = [
    Setting {
        long: "single-child",
        short: None,
        variable: "",
        value: "",
        kind: Kind::Switch,
        heading: PROCESSES,
        help: "No session of its own; signals go to the main process only",
        more: "",
        apply: |config, _| {
            single_child(config);
            Ok(())
        },
    },
    Setting {
        long: "rewrite",
        short: None,
        variable: "SEXTON_REWRITE",
        value: "FROM:TO",
        kind: Kind::List,
        heading: SIGNALS,
        help: "Forward TO in place of FROM; FROM:none drops it",
        more: "Give it once for each FROM; 0 means none.\n\
               A signal is a number or a name with or without SIG. The last one for a signal\n\
               counts.",
        apply: |config, values| {
            for value in values {
                let (from, to) = split_rewrite(value)?;
                // SIGKILL and SIGSTOP never arrive, and a rule for them does no harm.
                config.rewrites.set(signal(from)?, to);
            }
            Ok(())
        },
    },
];

fn begin(config: &mut Config, environment: Environment) -> Option<LevelFilter> {
    config.suspend_on_terminal_stop = true;
    if environment.get("DUMB_INIT_SETSID") == Some(b"0") {
        single_child(config);
    } else {
        config.new_session = true;
        config.group = true;
        config.stop_group_at_exit = true;
        // The process group of a new session is an orphaned one, for which the kernel drops these
        // three (setpgid(2)): only SIGSTOP stops it.
        for stop in TERMINAL_STOPS {
            config.rewrites.set(stop, Some(Signal::STOP));
        }
    }
    (environment.get("DUMB_INIT_DEBUG") == Some(b"1")).then_some(LevelFilter::Debug)
}

const TERMINAL_STOPS: [Signal; 3] = [Signal::TSTP, Signal::TTIN, Signal::TTOU];

/// Comes before the rewrites are read: those that the user asks for stay.
fn single_child(config: &mut Config) {
    config.new_session = false;
    config.group = false;
    config.stop_group_at_exit = false;
    for stop in TERMINAL_STOPS {
        config.rewrites.set(stop, Some(stop));
    }
}
