//! catatonit 0.2, which podman starts as `podman-init` for `podman run --init`.
//!
//! catatonit itself says with 1 that the command is not there or cannot be executed. podman documents
//! 127 and 126 for that (podman-run(1), "Exit Status"), and gives them when it starts the command
//! itself: so does sexton under the name that podman has for its init.

use log::LevelFilter;

use super::Dialect;
use crate::config::{Config, Statuses};

/// catatonit's command line.
pub(super) static CATATONIT: Dialect = COMMON;

/// The same in podman's hands.
pub(super) static PODMAN_INIT: Dialect = Dialect {
    name: "podman-init",
    after_help: "\
Environment variables, besides those above:
  CATATONIT_DEBUG  tells each signal, whatever the value

Exit status, as podman documents it:
  the command's own, or 128 + N when signal N killed it
  127 it was not found, 126 it could not be executed, 1 anything else",
    statuses: Statuses { failed: 1, cannot_execute: 126, not_found: 127 },
    ..COMMON
};

const COMMON: Dialect = Dialect {
    name: "catatonit",
    about: concat!(
        "catatonit (sexton ",
        env!("CARGO_PKG_VERSION"),
        "): a PID 1 for containers, with the options of catatonit."
    ),
    usage: "catatonit [-ghLPV] [--] COMMAND [ARG...]",
    after_help: "\
Environment variables, besides those above:
  CATATONIT_DEBUG  tells each signal, whatever the value

Exit status:
  the command's own, or 128 + N when signal N killed it
  1 anything else",
    // Docker looks for tini's two words in the version of any init.
    version: concat!("tini version 0.2.0_catatonit (sexton ", env!("CARGO_PKG_VERSION"), ")"),
    shorts: Some(&[('g', "group"), ('h', "help"), ('L', "license"), ('P', "pause"), ('V', "version")]),
    longs: &["version"],
    options: &[],
    verbose_step: 0,
    drops_dashes_behind_the_name: true,
    usage_status: 1,
    statuses: Statuses { failed: 1, cannot_execute: 1, not_found: 1 },
    begin: |_, environment| environment.get("CATATONIT_DEBUG").map(|_| LevelFilter::Debug),
    end,
};

/// With `-P` a command is no error to catatonit.
fn end(config: &mut Config) {
    if config.pause && !config.command.is_empty() {
        config.command = config.command.from(config.command.len());
        config.warnings.push("the command is not run: -P asks for a pause".into());
    }
}
