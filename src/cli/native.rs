//! `sexton [OPTIONS] [--] COMMAND [ARG...]`

use std::ffi::{CStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use super::settings::{self, Given, Kind, Setting};
use super::well_formed::by_table;
use super::{Dialect, Request, UsageError};
use crate::config::{Config, Statuses};
use crate::meant;
use crate::report::Printable;
use crate::sys::{Args, Environment};

/// sexton's own command line.
pub(super) static NATIVE: Dialect = Dialect {
    name: "sexton",
    about: "A PID 1 for containers: starts one command, forwards signals to it, reaps\n\
            orphans, and shuts down gracefully in bounded time.",
    usage: "sexton [OPTIONS] [--] COMMAND [ARG...]",
    after_help: AFTER_LONG_HELP,
    // With the commit where dockerd looks for it: without, it warns of an init that it does not know.
    version: concat!("sexton ", env!("CARGO_PKG_VERSION"), " - git.", env!("SEXTON_COMMIT")),
    shorts: None,
    longs: &[],
    options: &[],
    verbose_step: 0,
    drops_dashes_behind_the_name: false,
    usage_status: Statuses::SEXTON.failed,
    statuses: Statuses::SEXTON,
    begin: |_, _| None,
    end: |_| {},
};

/// What reads the options. The inner error is a text to print instead of running anything.
pub(super) type Read = fn(&Dialect, Args, &Config) -> Result<Result<Options, String>, UsageError>;

/// Reads them without clap where that can be done.
pub(super) fn read(dialect: &Dialect, args: Args, defaults: &Config) -> Result<Result<Options, String>, UsageError> {
    match by_table(dialect, args, defaults) {
        Some(options) => options.map(Ok),
        None => by_clap(dialect, args, defaults),
    }
}

/// Understands a command line of this dialect.
#[inline(always)]
pub(super) fn parse_as(
    dialect: &Dialect,
    args: Args,
    environment: Environment,
    read: Read,
) -> Result<Request, UsageError> {
    let mut config = Config::new(args.from(args.len()));
    config.statuses = dialect.statuses;
    let level = (dialect.begin)(&mut config, environment);
    let options = match without_options(args) {
        Some(command) => {
            config.command = command;
            Options::none(config)
        }
        None => match read(dialect, args, &config)? {
            Ok(options) => options,
            Err(text) => return Ok(Request::Print(text)),
        },
    };
    let Options { mut config, mut given, verbose, quiet } = options;
    if dialect.drops_dashes_behind_the_name {
        config.command = without_dashes(args, config.command);
    }
    settings::apply_environment(&mut config, environment, &mut given)?;
    config.log_level = settings::log_level(verbose, quiet, level, environment)?;
    settings::check(&config, &given)?;
    (dialect.end)(&mut config);
    if config.pause && !config.command.is_empty() {
        return Err(UsageError("--pause (SEXTON_PAUSE) runs no command; leave one of the two out".into()));
    }
    if config.command.is_empty() && !config.pause {
        return Err(UsageError(
            "there is no command to run; write it behind the options, as in: sexton -- server --port 80".into(),
        ));
    }
    Ok(Request::Run(config))
}

/// What the command line alone says.
#[derive(Debug)]
pub(super) struct Options {
    pub config: Config,
    pub given: Given,
    pub verbose: u8,
    pub quiet: bool,
}

impl Options {
    /// Of a command line without any.
    pub fn none(config: Config) -> Options {
        Options { config, given: Given::default(), verbose: 0, quiet: false }
    }
}

/// The command of a command line in which no option stands before it, as in every `docker run --init`.
/// To look for options is not worth the while.
fn without_options(args: Args) -> Option<Args> {
    match args.from(1).first()?.to_bytes() {
        b"--" => Some(args.from(2)),
        first if first.starts_with(b"-") && first != b"-" => None,
        _ => Some(args.from(1)),
    }
}

/// `PROGRAM -- ARG...` without the `--`, unless there is one before the program already.
fn without_dashes(args: Args, command: Args) -> Args {
    let before = args.iter().rev().nth(command.len());
    if before == Some(c"--") || command.from(1).first() != Some(c"--") {
        return command;
    }
    let words = command.iter().take(1).chain(command.from(2).iter());
    Args::from_strings(words.map(CStr::to_bytes))
}

/// Any command line. The inner error is a text to print instead of running anything.
// Most starts come without, and keep its stack and its pages untouched.
#[cold]
#[inline(never)]
pub(super) fn by_clap(dialect: &Dialect, args: Args, defaults: &Config) -> Result<Result<Options, String>, UsageError> {
    let matches = match command_line(dialect).try_get_matches_from(args.iter().map(|arg| os(arg.to_bytes()))) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            return Ok(Err(error.render().to_string()));
        }
        Err(error) => return Err(sentence(dialect, &error)),
    };
    if matches.contains_id("dialect") {
        return Err(UsageError("--dialect comes before all other arguments; give it once, as the first".into()));
    }
    if matches.get_flag("check") {
        return Err(UsageError("--check comes before all other arguments; give it as the first".into()));
    }
    if matches.get_flag("version") {
        return Ok(Err(dialect.version.into()));
    }
    if matches.get_flag("license") {
        return Ok(Err(include_str!("../../LICENSE").into()));
    }
    // The command is the end of our own arguments, whose memory exec can use as it is.
    let operands = matches.get_many::<OsString>("COMMAND").map_or(0, |operands| operands.len());
    let mut config = Config { command: args.from(args.len() - operands), ..defaults.clone() };
    config.may_be_termination_log = may_be_termination_log(args, config.command);
    let mut given = Given::default();
    for setting in dialect.settings() {
        if let Some(values) = option_values(&matches, setting) {
            setting.apply_option(&mut config, &mut values.iter().map(|value| value.as_bytes()))?;
            given.by_option(setting);
        }
    }
    let verbose = match matches.get_count("verbose") {
        0 => 0,
        count => count.saturating_add(dialect.verbose_step),
    };
    Ok(Ok(Options { config, given, verbose, quiet: matches.get_flag("quiet") }))
}

/// Whether the command stands where a path for the termination log may have been meant.
pub(super) fn may_be_termination_log(args: Args, command: Args) -> bool {
    let is_path = command.first().is_some_and(|name| name.to_bytes().starts_with(b"/"));
    is_path && args.from((args.len() - command.len()).saturating_sub(1)).first() == Some(c"--termination-log")
}

fn option_values(matches: &clap::ArgMatches, setting: &Setting) -> Option<Vec<OsString>> {
    match setting.kind {
        Kind::Switch => matches.get_flag(setting.long).then(|| vec!["1".into()]),
        Kind::Value | Kind::Optional(_) | Kind::List => {
            Some(matches.get_many::<OsString>(setting.long)?.cloned().collect())
        }
    }
}

/// What clap has to say, in one line.
fn sentence(dialect: &Dialect, error: &clap::Error) -> UsageError {
    let name = dialect.name;
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let option = context(ContextKind::InvalidArg).unwrap_or("an option");
    let what = match error.kind() {
        ErrorKind::UnknownArgument => format!("there is no option {option}; {}", instead(dialect, option)),
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            format!("{option} needs a value; {name} --help says which")
        }
        ErrorKind::TooManyValues => format!("{option} takes no value; give it alone"),
        ErrorKind::ArgumentConflict => format!("{option} is given twice; give it once"),
        kind => format!("{option}: {kind}; {name} --help lists all options"),
    };
    UsageError(Printable(what.as_bytes()).to_string())
}

/// What to give in the place of an unknown option.
fn instead(dialect: &Dialect, option: &str) -> String {
    let others = ["verbose", "quiet", "help", "version", "license", "dialect", "check"];
    let mut known = dialect.settings().map(|setting| setting.long).chain(others);
    let long = option.strip_prefix("--").map(|rest| rest.trim_start_matches('-'));
    if matches!(long, Some("log" | "log-level" | "loglevel")) {
        return "--verbose and --quiet, or SEXTON_LOG, say how much is told".to_owned();
    }
    match long.and_then(|typed| meant::one_of(typed, &mut known)) {
        Some(meant) => format!("did you mean --{meant}?"),
        None => format!("{} --help lists them all", dialect.name),
    }
}

pub(super) fn command_line(dialect: &Dialect) -> Command {
    let mut command = Command::new(dialect.name)
        .about(dialect.about)
        .override_usage(dialect.usage)
        .after_help(format!("{} --help has all options, with their environment variables.", dialect.name))
        .after_long_help(dialect.after_help)
        .disable_version_flag(true)
        .disable_help_flag(true)
        .arg(
            Arg::new("COMMAND")
                .num_args(0..)
                .trailing_var_arg(true)
                .value_parser(clap::value_parser!(OsString))
                .hide(true),
        );
    for setting in dialect.settings() {
        command = command.arg(option(dialect, setting));
    }
    let log = settings::LOG;
    command
        .arg(
            named(dialect, "verbose", Some('v'))
                .action(ArgAction::Count)
                .help_heading(log)
                .help("Tell the story of the shutdown; -vv signals, -vvv reaps too")
                .long_help("Tell the story of the shutdown; -vv signals, -vvv reaps too\n\n[env: SEXTON_LOG=off|error|warn|info|debug|trace]"),
        )
        .arg(
            named(dialect, "quiet", Some('q'))
                .action(ArgAction::SetTrue)
                .overrides_with("quiet")
                .help_heading(log)
                .help("Say only why sexton failed (by default: silent when all is well)"),
        )
        .arg(
            named(dialect, "help", Some('h'))
                .action(ArgAction::Help)
                .help_heading("Other")
                .help("Print this help; --help says more than -h"),
        )
        .arg(
            named(dialect, "version", Some('V'))
                .action(ArgAction::SetTrue)
                .overrides_with("version")
                .help_heading("Other")
                .help("Print the version"),
        )
        .arg(
            named(dialect, "license", Some('l'))
                .action(ArgAction::SetTrue)
                .help_heading("Other")
                .help("Print the license"),
        )
        .arg(
            named(dialect, "check", None)
                .action(ArgAction::SetTrue)
                .overrides_with("check")
                .help_heading("Other")
                .help("Check this container's health (only as the first argument): sexton --check --help"),
        )
        .arg(
            named(dialect, "dialect", None)
                .value_name("NAME")
                .value_parser(clap::value_parser!(OsString))
                .help_heading("Other")
                .help("Speak native, tini, dumb-init or catatonit (only as the first argument)")
                .long_help(
                    "Speak native, tini, dumb-init or catatonit (only as the first argument)\n\n\
                     If you call sexton tini, dumb-init, catatonit, docker-init or podman-init, it\n\
                     speaks that dialect without the option.",
                ),
        )
}

/// An option under the names that the dialect has for it.
fn named(dialect: &Dialect, long: &'static str, short: Option<char>) -> Arg {
    let arg = Arg::new(long).long(long).aliases(dialect.abbreviations(long));
    let arg = arg.hide_short_help(!is_in_short_help(dialect, long));
    match dialect.short(long, short) {
        Some(short) => arg.short(short),
        None => arg,
    }
}

/// What people use: `-h` has no more, so that it fits 24 lines of 80 columns.
const FREQUENT: [&str; 7] = ["grace-period", "pre-stop-sleep", "stop-signal", "orphans", "rewrite", "group", "verbose"];

/// Whether `-h` has this option. Under a peer's name these are the peer's own.
fn is_in_short_help(dialect: &Dialect, long: &str) -> bool {
    let is_frequent = match dialect.shorts {
        None => FREQUENT.contains(&long),
        Some(shorts) => shorts.iter().any(|(_, known)| *known == long),
    };
    is_frequent || matches!(long, "help" | "version")
}

fn option(dialect: &Dialect, setting: &'static Setting) -> Arg {
    let action = match setting.kind {
        Kind::Value | Kind::Optional(_) => ArgAction::Set,
        Kind::List => ArgAction::Append,
        Kind::Switch => ArgAction::SetTrue,
    };
    let mut long_help = setting.help.to_owned();
    let variable = if setting.variable.is_empty() { String::new() } else { format!("[env: {}]", setting.variable) };
    for part in [setting.more, &variable] {
        if !part.is_empty() {
            long_help.push_str("\n\n");
            long_help.push_str(part);
        }
    }
    let mut arg = named(dialect, setting.long, setting.short)
        .action(action)
        .help_heading(setting.heading)
        .help(setting.help)
        .long_help(long_help);
    if setting.kind == Kind::Switch {
        // Given twice it means what it means once.
        arg = arg.overrides_with(setting.long);
    } else {
        arg = arg.value_name(setting.value).value_parser(clap::value_parser!(OsString)).allow_hyphen_values(true);
    }
    if let Kind::Optional(default) = setting.kind {
        arg = arg.num_args(0..=1).require_equals(true).default_missing_value(default);
    }
    arg
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

const AFTER_LONG_HELP: &str = "\
Exit status:
  the command's own   it exited
  128 + N             signal N killed it; 137 when sexton had to
  127                 the command was not found
  126                 it was found and could not be executed
  125                 sexton itself failed: wrong usage, fork refused

Examples:
  ENTRYPOINT [\"/sexton\", \"--\"]
      in a Dockerfile: signals arrive, orphans are reaped
  sexton --pre-stop-sleep 5s --grace-period 25s -- server --port 80
      in Kubernetes: requests go on for 5s, the server then has 20s to finish
  exec sexton -g --stop-signal INT --stop-signal TERM -- make test
      in a CI job: a cancelled job reaches every process of the group";

#[cfg(test)]
#[path = "native_tests.rs"]
pub(in crate::cli) mod tests;
