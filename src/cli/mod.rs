//! The command line. Nothing outside this folder knows that options exist.
//!
//! [`settings`] is the table of all options with their environment variables. [`native`] is
//! sexton's own command line and how any of them is understood, [`well_formed`] its quick way for nearly all
//! of them; [`tini`], [`dumb_init`] and
//! [`catatonit`] say what is different under a peer's name. The peers' short options mean what
//! they mean to the peer; sexton's long options and variables work under every name.

mod catatonit;
mod check;
mod dumb_init;
mod native;
mod settings;
mod tini;
mod well_formed;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use log::LevelFilter;
use settings::Setting;
#[doc(hidden)] // for fuzz/
pub use settings::duration;

/// What the man page and the completions are made of (examples/manual.rs).
#[doc(hidden)]
pub mod manual {
    /// sexton's own command line.
    pub fn command() -> clap::Command {
        super::native::command_line(&super::native::NATIVE)
    }

    /// The help of `--check`, which is a command line of its own.
    pub const CHECK: &str = super::check::HELP;
}

use crate::check::Check;
use crate::config::{Config, Statuses};
use crate::sys::{Args, Environment};

/// What the user asked for.
#[derive(Clone, Debug)]
// The large one is the usual one, which allocates nothing.
#[allow(clippy::large_enum_variant)]
pub enum Request {
    /// Run a command, or pause.
    Run(Config),
    /// Print this text on stdout: help, version, license.
    Print(String),
    /// Check the health of this container.
    Check(Check),
}

/// Why nothing was started: one sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

/// What a command line comes to.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What the user asked for; or a sentence that names the option or variable that is wrong.
    pub request: Result<Request, UsageError>,
    /// The exit status of wrong usage.
    pub usage_status: u8,
}

/// Understands a command line (its first argument the name that sexton was called by) and an
/// environment.
#[inline(never)]
pub fn parse(args: Args, environment: Environment) -> Parsed {
    parse_with(args, environment, native::read)
}

/// The same without the quick way, which is to make no difference.
#[doc(hidden)] // for fuzz/
pub fn parse_by_clap(args: Args, environment: Environment) -> Parsed {
    parse_with(args, environment, native::by_clap)
}

#[inline(always)]
fn parse_with(args: Args, environment: Environment, read: native::Read) -> Parsed {
    if args.from(1).first() == Some(check::OPTION) {
        return Parsed { request: check::parse(args.from(2), environment), usage_status: check::USAGE_STATUS };
    }
    match choose(args) {
        Ok((dialect, args)) => {
            Parsed { request: native::parse_as(dialect, args, environment, read), usage_status: dialect.usage_status }
        }
        Err(error) => Parsed { request: Err(error), usage_status: native::NATIVE.usage_status },
    }
}

/// One command line: where it differs from the others.
struct Dialect {
    /// The name it goes by.
    name: &'static str,
    /// The first lines of its help.
    about: &'static str,
    /// How its help sums up the usage.
    usage: &'static str,
    /// The last lines of `--help`.
    after_help: &'static str,
    /// What `--version` prints.
    version: &'static str,
    /// Its short options with the long ones they stand for; `None`: those of the table.
    shorts: Option<&'static [(char, &'static str)]>,
    /// The peer's long options, which may be cut short as long as they stay different
    /// (getopt_long(3)).
    longs: &'static [&'static str],
    /// Options that it has besides the table's, or in the place of one of the same name.
    options: &'static [Setting],
    /// `-v` once is as good as so many more.
    verbose_step: u8,
    /// A `--` right behind the command's name belongs to the command line, not to the command.
    drops_dashes_behind_the_name: bool,
    /// The exit status of wrong usage.
    usage_status: u8,
    /// The exit statuses when the command cannot be started.
    statuses: Statuses,
    /// Sets what it does by default and by the peer's variables, before any option is looked at.
    /// Returns how much is said if one of them tells.
    begin: fn(&mut Config, Environment) -> Option<LevelFilter>,
    /// Makes good what the options come to together.
    end: fn(&mut Config),
}

impl Dialect {
    /// The short option that stands for this long one.
    fn short(&self, long: &str, in_table: Option<char>) -> Option<char> {
        match self.shorts {
            None => in_table,
            Some(shorts) => shorts.iter().find(|(_, known)| *known == long).map(|(short, _)| *short),
        }
    }

    /// The options of its own, then those of the table that it does not replace.
    fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        let own = self.options;
        let table = settings::SETTINGS.iter().filter(|setting| own.iter().all(|option| option.long != setting.long));
        own.iter().chain(table)
    }

    /// The ways in which one of the peer's long options may be cut short.
    fn abbreviations(&self, long: &'static str) -> impl Iterator<Item = &'static str> {
        let longs = self.longs;
        let is_clear = move |short: &&str| longs.iter().all(|other| *other == long || !other.starts_with(*short));
        let lengths = if longs.contains(&long) { 1..long.len() } else { 0..0 };
        lengths.filter_map(|length| long.get(..length)).filter(is_clear)
    }
}

/// The dialect, and the arguments with a name before them.
fn choose(args: Args) -> Result<(&'static Dialect, Args), UsageError> {
    const OPTION: &[u8] = b"--dialect";
    let first = args.from(1).first().unwrap_or_default();
    let (name, rest) = if first.to_bytes() == OPTION {
        (args.from(2).first().unwrap_or_default().to_bytes(), args.from(2))
    } else if let Some(name) = first.to_bytes().strip_prefix(OPTION).and_then(|rest| rest.strip_prefix(b"=")) {
        (name, args.from(1))
    } else {
        let path = args.first().unwrap_or_default().to_bytes();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        return Ok((by_name(name).unwrap_or(&native::NATIVE), args));
    };
    match by_name(settings::without_blanks(name)) {
        Some(dialect) => Ok((dialect, rest)),
        None => {
            let name = quoted(name);
            Err(settings::refused(format_args!("--dialect: {name} is none; give native, tini, dumb-init or catatonit")))
        }
    }
}

/// The dialect of a program of this name.
fn by_name(name: &[u8]) -> Option<&'static Dialect> {
    match name {
        b"native" | b"sexton" => Some(&native::NATIVE),
        b"tini" | b"tini-static" | b"docker-init" => Some(&tini::TINI),
        b"dumb-init" => Some(&dumb_init::DUMB_INIT),
        b"catatonit" => Some(&catatonit::CATATONIT),
        b"podman-init" => Some(&catatonit::PODMAN_INIT),
        _ => None,
    }
}

/// For messages: the bytes as text, with what is not printable escaped.
fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", OsStr::from_bytes(bytes))
}

#[cfg(test)]
#[path = "dialects_tests.rs"]
mod tests;
