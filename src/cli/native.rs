//! `sexton [OPTIONS] [--] COMMAND [ARG...]`

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use super::settings::{self, Given, Kind, SETTINGS, Setting};
use super::{Request, UsageError};
use crate::config::Config;
use crate::report::Printable;
use crate::sys::{Args, Environment};

/// Understands sexton's own command line.
pub(super) fn parse(args: Args, environment: Environment) -> Result<Request, UsageError> {
    let options = match without_options(args) {
        Some(options) => options,
        None => match by_clap(args)? {
            Ok(options) => options,
            Err(text) => return Ok(Request::Print(text)),
        },
    };
    let Options { mut config, mut given, verbose, quiet } = options;
    settings::apply_environment(&mut config, environment, &mut given)?;
    config.log_level = settings::log_level(verbose, quiet, environment)?;
    settings::check(&config, &given)?;
    if config.command.is_empty() {
        return Err(UsageError(
            "there is no command to run; write it behind the options, as in: sexton -- server --port 80".into(),
        ));
    }
    Ok(Request::Run(config))
}

/// What the command line alone says.
#[derive(Debug)]
struct Options {
    config: Config,
    given: Given,
    verbose: u8,
    quiet: bool,
}

/// A command line in which no option stands before the command, as in every `docker run --init`.
/// Building clap's command line only to find that out would cost a fifth of the whole start.
fn without_options(args: Args) -> Option<Options> {
    let command = match args.from(1).first()?.to_bytes() {
        b"--" => args.from(2),
        first if first.starts_with(b"-") && first != b"-" => return None,
        _ => args.from(1),
    };
    Some(Options { config: Config::new(command), given: Given::default(), verbose: 0, quiet: false })
}

/// Any command line. The inner error is a text to print instead of running anything.
fn by_clap(args: Args) -> Result<Result<Options, String>, UsageError> {
    let matches = match command_line().try_get_matches_from(args.iter().map(|arg| os(arg.to_bytes()))) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Err(error.render().to_string()));
        }
        Err(error) => return Err(sentence(&error)),
    };
    if matches.get_flag("license") {
        return Ok(Err(include_str!("../../LICENSE").into()));
    }
    // The command is the end of our own arguments, whose memory exec can use as it is.
    let operands = matches.get_many::<OsString>("COMMAND").map_or(0, |operands| operands.len());
    let mut config = Config::new(args.from(args.len() - operands));
    let mut given = Given::default();
    for setting in &SETTINGS {
        if let Some(values) = option_values(&matches, setting) {
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            setting.apply_option(&mut config, &values)?;
            given.by_option(setting);
        }
    }
    Ok(Ok(Options { config, given, verbose: matches.get_count("verbose"), quiet: matches.get_flag("quiet") }))
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
fn sentence(error: &clap::Error) -> UsageError {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(ContextValue::Strings(texts)) => texts.first().map(String::as_str),
        _ => None,
    };
    let option = context(ContextKind::InvalidArg).unwrap_or("an option");
    let what = match error.kind() {
        ErrorKind::UnknownArgument => match context(ContextKind::SuggestedArg) {
            Some(suggestion) => format!("there is no option {option}; did you mean {suggestion}?"),
            None => format!("there is no option {option}; sexton --help lists them all"),
        },
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            format!("{option} needs a value; sexton --help says which")
        }
        ErrorKind::TooManyValues => format!("{option} takes no value; give it alone"),
        ErrorKind::ArgumentConflict => format!("{option} is given twice; give it once"),
        kind => format!("{option}: {kind}; sexton --help lists all options"),
    };
    UsageError(Printable(what.as_bytes()).to_string())
}

fn command_line() -> Command {
    let mut command = Command::new("sexton")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A PID 1 for containers: starts one command, forwards signals to it, reaps orphans,\nand shuts down gracefully in bounded time.")
        .override_usage("sexton [OPTIONS] [--] COMMAND [ARG...]")
        .after_help("Each option has an environment variable. More: sexton --help")
        .after_long_help(AFTER_LONG_HELP)
        .disable_version_flag(true)
        .disable_help_flag(true)
        .arg(
            Arg::new("COMMAND")
                .num_args(0..)
                .trailing_var_arg(true)
                .value_parser(clap::value_parser!(OsString))
                .hide(true),
        );
    for setting in &SETTINGS {
        command = command.arg(option(setting));
    }
    let log = settings::LOG;
    command
        .arg(
            Arg::new("verbose")
                .short('v')
                .long("verbose")
                .action(ArgAction::Count)
                .help_heading(log)
                .help("Tell the story of the shutdown; -vv each signal, -vvv each reap")
                .long_help("Tell the story of the shutdown; -vv each signal, -vvv each reap\n\n[env: SEXTON_LOG=off|error|warn|info|debug|trace]"),
        )
        .arg(
            Arg::new("quiet")
                .short('q')
                .long("quiet")
                .action(ArgAction::SetTrue)
                .overrides_with("quiet")
                .help_heading(log)
                .help("Say only why sexton failed (by default: silent when all is well)"),
        )
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .action(ArgAction::Help)
                .help_heading("Other")
                .help("Print this help; --help says more than -h"),
        )
        .arg(Arg::new("version").long("version").action(ArgAction::Version).help_heading("Other").help("Print the version"))
        .arg(
            Arg::new("license")
                .short('l')
                .long("license")
                .action(ArgAction::SetTrue)
                .help_heading("Other")
                .help("Print the license"),
        )
}

fn option(setting: &'static Setting) -> Arg {
    let action = match setting.kind {
        Kind::Value | Kind::Optional(_) => ArgAction::Set,
        Kind::List => ArgAction::Append,
        Kind::Switch => ArgAction::SetTrue,
    };
    let mut long_help = setting.help.to_owned();
    for part in [setting.more, &format!("[env: {}]", setting.variable)] {
        if !part.is_empty() {
            long_help.push_str("\n\n");
            long_help.push_str(part);
        }
    }
    let mut arg = Arg::new(setting.long)
        .long(setting.long)
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
    if let Some(short) = setting.short {
        arg = arg.short(short);
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
  sexton -g --stop-signal INT --stop-signal TERM -- make test
      in a CI job: a cancelled job reaches every process of the group";

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
