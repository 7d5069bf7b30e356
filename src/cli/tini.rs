//! tini 0.19, which Docker starts as `docker-init` for `docker run --init`.

use log::LevelFilter;

use super::Dialect;
use crate::config::{Config, Statuses};
use crate::sys::Environment;

/// tini's command line.
pub(super) static TINI: Dialect = Dialect {
    name: "tini",
    about: concat!("tini (sexton ", env!("CARGO_PKG_VERSION"), "): a PID 1 for containers, with the options of tini."),
    usage: "tini [OPTIONS] PROGRAM -- [ARGS] | --version",
    after_help: "\
Environment variables, besides those above:
  TINI_SUBREAPER           as -s, whatever the value
  TINI_KILL_PROCESS_GROUP  as -g, whatever the value
  TINI_VERBOSITY           0 to 4; 1, warnings, is the default

Exit status:
  the command's own, or 128 + N when signal N killed it
  127 it was not found, 126 it could not be executed, 1 anything else",
    // dockerd takes it apart: at the " - ", and behind it at the "." that follows "git".
    version: concat!("tini version 0.19.0 (sexton ", env!("CARGO_PKG_VERSION"), ") - git.", env!("SEXTON_COMMIT")),
    shorts: Some(&[
        ('p', "parent-death-signal"),
        ('s', "subreaper"),
        ('v', "verbose"),
        ('w', "warn-on-reap"),
        ('g', "group"),
        ('e', "expect-exit"),
        ('l', "license"),
        ('h', "help"),
    ]),
    longs: &[],
    options: &[],
    verbose_step: 0,
    // Its usage says `PROGRAM -- [ARGS]`.
    drops_dashes_behind_the_name: true,
    usage_status: 1,
    statuses: Statuses { failed: 1, cannot_execute: 126, not_found: 127 },
    begin,
    end: |_| {},
};

fn begin(config: &mut Config, environment: Environment) -> Option<LevelFilter> {
    // That they are there is enough.
    config.subreaper = environment.get("TINI_SUBREAPER").is_some();
    config.group = environment.get("TINI_KILL_PROCESS_GROUP").is_some();
    environment.get("TINI_VERBOSITY").map(|value| match leading_number(value) {
        0 => LevelFilter::Error,
        1 => LevelFilter::Warn,
        2 => LevelFilter::Info,
        3 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    })
}

/// As atoi(3) reads it: what is no number is 0.
fn leading_number(text: &[u8]) -> i32 {
    let text = text.trim_ascii_start();
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = text.iter().skip(sign).take_while(|byte| byte.is_ascii_digit()).count();
    let number = text.get(..sign + digits).and_then(|number| std::str::from_utf8(number).ok());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
