//! `sexton --check [OPTIONS] [TARGET...]`: the health check's own command line. Like the dialect it is chosen
//! by the first argument, under every name.

use std::ffi::{CStr, CString};

use super::settings::{bare, drain_file, duration, without_blanks};
use super::{Request, UsageError, quoted};
use crate::check::{Check, TIMEOUT};
use crate::sys::{Args, Environment};

/// What chooses it.
pub(super) const OPTION: &CStr = c"--check";

/// Wrong usage is not well: Docker knows no other status but 0 and 1.
pub(super) const USAGE_STATUS: u8 = 1;

const DRAIN_FILE: &str = "SEXTON_DRAIN_FILE";
pub(super) const CHECK_TIMEOUT: &str = "SEXTON_CHECK_TIMEOUT";

pub(super) const HELP: &str = "\
Checks the health of this container: exits with 0 if no shutdown has begun and every target answers,
otherwise with 1. It prints what it saw as one line on stdout.

Usage: sexton --check [OPTIONS] [TARGET...]

Targets:
  tcp:PORT, tcp:ADDRESS:PORT     a server accepts a connection
  http://ADDRESS[:PORT]/PATH     GET is answered with a status from 200 to 399
  unix:PATH                      a server accepts a connection

Options:
      --check-timeout DURATION   Limit the whole check; default 2s [env: SEXTON_CHECK_TIMEOUT]
      --live                     Leave out the shutdown, for liveness probes: look at the targets alone
      --drain-file PATH          Look at this file too, if sexton is not PID 1 [env: SEXTON_DRAIN_FILE]
  -h, --help                     Print this help

It takes addresses and no names, and speaks no TLS. In a Dockerfile:
  HEALTHCHECK --interval=1s --retries=1 CMD [\"/sexton\", \"--check\", \"http://127.0.0.1:8080/health\"]";

/// Understands what stands behind `--check`.
// Not a part of its caller, whose pages every start touches.
#[cold]
#[inline(never)]
pub(super) fn parse(args: Args, environment: Environment) -> Result<Request, UsageError> {
    let mut check = Check { targets: Vec::new(), timeout: TIMEOUT, live: false, drain_file: None };
    let variable = |name: &str| environment.get(name).filter(|value| !without_blanks(value).is_empty());
    if let Some(value) = variable(CHECK_TIMEOUT) {
        check.timeout = timeout(CHECK_TIMEOUT, value)?;
    }
    if let Some(value) = variable(DRAIN_FILE) {
        check.drain_file = Some(path(DRAIN_FILE, value)?);
    }
    let mut words = args.iter().map(CStr::to_bytes);
    while let Some(word) = words.next() {
        let (name, joined) = match word.iter().position(|byte| *byte == b'=') {
            Some(end) if word.starts_with(b"--") => (word.get(..end).unwrap_or(word), word.get(end + 1..)),
            _ => (word, None),
        };
        let mut value = |option: &str| {
            let value = joined.or_else(|| words.next());
            value.ok_or_else(|| UsageError(format!("{option} needs a value; sexton --check --help says which")))
        };
        match name {
            b"--check-timeout" => check.timeout = timeout("--check-timeout", value("--check-timeout")?)?,
            b"--drain-file" => check.drain_file = Some(path("--drain-file", value("--drain-file")?)?),
            b"--live" if joined.is_none() => check.live = true,
            b"--help" | b"-h" => return Ok(Request::Print(HELP.into())),
            _ if word.starts_with(b"-") => {
                let word = quoted(word);
                return Err(UsageError(format!(
                    "--check has no option {word}; it takes --check-timeout, --drain-file, --live and targets"
                )));
            }
            _ => check.targets.push(bare(word, &"--check")?.parse().map_err(|what| error("--check", what))?),
        }
    }
    Ok(Request::Check(check))
}

fn error(source: &str, what: String) -> UsageError {
    UsageError(format!("{source}: {what}"))
}

fn timeout(source: &str, value: &[u8]) -> Result<std::time::Duration, UsageError> {
    let timeout = duration(bare(value, &source)?).map_err(|what| error(source, what))?;
    if timeout.is_zero() {
        return Err(error(source, "a check that may take no time is never well; give it some, like 2s".into()));
    }
    Ok(timeout)
}

fn path(source: &str, value: &[u8]) -> Result<CString, UsageError> {
    drain_file(bare(value, &source)?).map_err(|what| error(source, what))
}
