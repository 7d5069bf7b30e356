//! `sexton [OPTIONS] [--] COMMAND [ARG...]`

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use super::settings::{self, Given, Kind, SETTINGS, Setting};
use super::{Request, UsageError};
use crate::config::Config;
use crate::sys::{Args, Environment};

/// Understands sexton's own command line.
pub(super) fn parse(args: Args, environment: Environment) -> Result<Request, UsageError> {
    let mut given = Given::default();
    let (mut config, verbose, quiet) = match without_options(args) {
        Some(command) => (Config::new(command), 0, false),
        None => {
            let matches = match command_line().try_get_matches_from(args.iter().map(|arg| os(arg.to_bytes()))) {
                Ok(matches) => matches,
                Err(error) => return not_a_run(&error),
            };
            if matches.get_flag("license") {
                return Ok(Request::Print(include_str!("../../LICENSE").into()));
            }
            // The command is the end of our own arguments, whose memory exec can use as it is.
            let operands = matches.get_many::<OsString>("COMMAND").map_or(0, |operands| operands.len());
            let mut config = Config::new(args.from(args.len() - operands));
            for setting in &SETTINGS {
                if let Some(values) = option_values(&matches, setting) {
                    let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
                    setting.apply_option(&mut config, &values)?;
                    given.by_option(setting);
                }
            }
            (config, matches.get_count("verbose"), matches.get_flag("quiet"))
        }
    };
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

/// The command, when no option stands before it, as in every `docker run --init`. Building clap's
/// command line only to find that out would cost a fifth of the whole start (docs/design.md).
fn without_options(args: Args) -> Option<Args> {
    match args.from(1).first()?.to_bytes() {
        b"--" => Some(args.from(2)),
        b"-" => Some(args.from(1)),
        first if first.starts_with(b"-") => None,
        _ => Some(args.from(1)),
    }
}

fn option_values(matches: &clap::ArgMatches, setting: &Setting) -> Option<Vec<OsString>> {
    match setting.kind {
        Kind::Switch => matches.get_flag(setting.long).then(|| vec!["1".into()]),
        Kind::Value | Kind::List => Some(matches.get_many::<OsString>(setting.long)?.cloned().collect()),
    }
}

/// Help and version are errors to clap; what is really wrong becomes one sentence.
fn not_a_run(error: &clap::Error) -> Result<Request, UsageError> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Ok(Request::Print(error.render().to_string()));
    }
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
    Err(UsageError(what))
}

fn command_line() -> Command {
    let mut command = Command::new("sexton")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A PID 1 for containers: starts one command, forwards signals to it, reaps orphans,\nand shuts down gracefully in bounded time.")
        .override_usage("sexton [OPTIONS] [--] COMMAND [ARG...]")
        .after_help("Each option has an environment variable. More: sexton --help")
        .after_long_help(AFTER_LONG_HELP)
        .disable_version_flag(true)
        .no_binary_name(false)
        .arg(
            Arg::new("COMMAND")
                .num_args(0..)
                .trailing_var_arg(true)
                .value_parser(clap::value_parser!(OsString))
                .help("What to run, with its arguments: bytes, passed on as they are"),
        );
    for setting in &SETTINGS {
        command = command.arg(option(setting));
    }
    let log = "What is said on stderr";
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
        Kind::Value => ArgAction::Set,
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
    if let Some(short) = setting.short {
        arg = arg.short(short);
    }
    arg
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(OsStr::from_bytes(bytes).as_bytes().to_vec())
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
