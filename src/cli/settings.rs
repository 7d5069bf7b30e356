//! The options, each with its environment variable and its meaning, in one table.

use std::ffi::CString;
use std::fmt;
use std::time::Duration;

use humantime::format_duration;
use log::LevelFilter;

use super::check::CHECK_TIMEOUT;
use super::{UsageError, quoted};
use crate::config::{Config, Escalation, LogFormat, Orphans};
use crate::meant;
use crate::report::Printable;
use crate::signal::{Signal, SignalSet};
use crate::sys::Environment;

/// What begins the name of each of our environment variables.
pub(super) const PREFIX: &str = "SEXTON_";

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One value.
    Value,
    /// A value each time it is given; in the environment, values with commas between them.
    List,
    /// One value or none, and then this one stands for it. On the command line only with a `=`:
    /// else it would take the command for its value.
    Optional(&'static str),
    /// Nothing: it is given or not; in the environment, yes or no.
    Switch,
}

/// Where a value comes from, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Option(&'static str),
    Variable(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Option(name) => write!(f, "--{name}"),
            Source::Variable(name) => f.write_str(name),
        }
    }
}

/// One option.
#[derive(Debug)]
pub(super) struct Setting {
    pub long: &'static str,
    pub short: Option<char>,
    pub variable: &'static str,
    /// What the value is called in the help.
    pub value: &'static str,
    pub kind: Kind,
    pub heading: &'static str,
    /// One line.
    pub help: &'static str,
    /// What `--help` says beyond that line.
    pub more: &'static str,
    /// Takes over the values, one at the least; the error is the rest of a sentence.
    pub apply: fn(&mut Config, &[&str]) -> Result<(), String>,
}

const SHUTDOWN: &str = "Shutdown";
pub(super) const SIGNALS: &str = "Signals";
pub(super) const PROCESSES: &str = "Processes and exit status";
pub(super) const LOG: &str = "What is said on stderr";

/// Where Kubernetes looks unless a pod says otherwise (terminationMessagePath).
const TERMINATION_LOG: &str = "/dev/termination-log";

/// All of them but those that say how much is logged, which work together ([`log_level`]).
pub(super) static SETTINGS: [Setting; 19] = [
    Setting {
        long: "grace-period",
        short: None,
        variable: "SEXTON_GRACE_PERIOD",
        value: "DURATION",
        kind: Kind::Value,
        heading: SHUTDOWN,
        help: "Send SIGKILL this long after the stop signal",
        more: "Unset or 0: never.\n\
               The pre-stop sleep counts against it. Set it a little below the limit of your\n\
               orchestrator (Docker: 10s, Kubernetes: terminationGracePeriodSeconds), so that\n\
               sexton can still say what happened.",
        apply: |config, values| {
            config.grace_period = Some(one(values, duration)?).filter(|period| !period.is_zero());
            Ok(())
        },
    },
    Setting {
        long: "pre-stop-sleep",
        short: None,
        variable: "SEXTON_PRE_STOP_SLEEP",
        value: "DURATION",
        kind: Kind::Value,
        heading: SHUTDOWN,
        help: "Wait before forwarding the stop signal",
        more: "Like a Kubernetes preStop hook that sleeps, it gives load balancers the time to\n\
               stop sending requests before the command stops taking them. A second stop\n\
               signal ends the sleep. It must be shorter than the grace period.",
        apply: |config, values| {
            config.pre_stop_sleep = one(values, duration)?;
            Ok(())
        },
    },
    Setting {
        long: "pre-stop-signal",
        short: None,
        variable: "SEXTON_PRE_STOP_SIGNAL",
        value: "SIGNAL",
        kind: Kind::Value,
        heading: SHUTDOWN,
        help: "Send the command SIGNAL when the shutdown begins, before the pre-stop sleep",
        more: "Use it for a server that at this signal says it is not ready, or takes no new jobs. It\n\
               needs --pre-stop-sleep, and must not be the signal that is forwarded afterwards.",
        apply: |config, values| {
            config.pre_stop_signal = Some(one(values, catchable)?);
            Ok(())
        },
    },
    Setting {
        long: "drain-file",
        short: None,
        variable: "SEXTON_DRAIN_FILE",
        value: "PATH",
        kind: Kind::Value,
        heading: SHUTDOWN,
        help: "Make this file when the shutdown begins, and remove it at the start",
        more: "Use it for a server, a proxy or a probe that looks whether the file exists.",
        apply: |config, values| {
            config.drain_file = Some(one(values, drain_file)?);
            Ok(())
        },
    },
    Setting {
        long: "escalate",
        short: None,
        variable: "SEXTON_ESCALATE",
        value: "DURATION:SIGNAL",
        kind: Kind::List,
        heading: SHUTDOWN,
        help: "Send SIGNAL this long after the stop signal was forwarded (repeatable, ascending)",
        more: "For PostgreSQL give 10s:INT and 20s:QUIT; for a thread dump of a JVM or of Go, 8s:QUIT.\n\
               Each has to come before the grace period is over, if there is one.",
        apply: |config, values| {
            config.escalation = Escalation::default();
            for value in values {
                let (after, signal) = escalation_step(value)?;
                if !config.escalation.push(after, signal) {
                    return Err(format!(
                        "{value:?} does not come later than the one before it, or is one too many; give {} at most, \
                         ascending, like 10s:INT and 20s:QUIT",
                        Escalation::MOST
                    ));
                }
            }
            Ok(())
        },
    },
    Setting {
        long: "stop-signal",
        short: None,
        variable: "SEXTON_STOP_SIGNALS",
        value: "SIGNAL",
        kind: Kind::List,
        heading: SHUTDOWN,
        help: "What starts the shutdown (default: SIGTERM)",
        more: "Give it once for each signal.\n\
               Name the signal that your engine sends, as STOPSIGNAL does in a Dockerfile.",
        apply: |config, values| {
            config.stop_signals = SignalSet::EMPTY;
            for value in values {
                config.stop_signals = config.stop_signals.with(catchable(value)?);
            }
            Ok(())
        },
    },
    Setting {
        long: "orphans",
        short: None,
        variable: "SEXTON_ORPHANS",
        value: "POLICY",
        kind: Kind::Value,
        heading: SHUTDOWN,
        help: "Leave, wait for, or stop what is left behind",
        more: "leave (the default): exit at once; as PID 1 the kernel kills the rest.\n\
               wait: stay until none is left; signals go to them.\n\
               stop: send them the stop signal, and SIGKILL when the grace period is over. When\n\
               the command exits by itself, they have a grace period of their own.",
        apply: |config, values| {
            config.orphans = one(values, orphans)?;
            Ok(())
        },
    },
    Setting {
        long: "rewrite",
        short: Some('r'),
        variable: "SEXTON_REWRITE",
        value: "FROM:TO",
        kind: Kind::List,
        heading: SIGNALS,
        help: "Forward TO in place of FROM; FROM:none drops it",
        more: "Give it once for each FROM; 0 means none.\n\
               A signal is a name with or without SIG, a number, RTMIN+n (34 + n) or RTMAX-n\n\
               (64 - n).",
        apply: |config, values| {
            let mut rewritten = SignalSet::EMPTY;
            for value in values {
                let (from, to) = rewrite(value)?;
                if rewritten.contains(from) {
                    return Err(format!("{from} is rewritten twice; say once what becomes of it"));
                }
                rewritten = rewritten.with(from);
                config.rewrites.set(from, to);
            }
            Ok(())
        },
    },
    Setting {
        long: "group",
        short: Some('g'),
        variable: "SEXTON_GROUP",
        value: "",
        kind: Kind::Switch,
        heading: SIGNALS,
        help: "Forward to the command's process group",
        more: "",
        apply: |config, values| {
            config.group = one(values, switch)?;
            Ok(())
        },
    },
    Setting {
        long: "parent-death-signal",
        short: Some('p'),
        variable: "SEXTON_PARENT_DEATH_SIGNAL",
        value: "SIGNAL",
        kind: Kind::Value,
        heading: SIGNALS,
        help: "Act as on SIGNAL when the parent dies",
        more: "If the parent was certainly dead before sexton started, that counts too. The end of\n\
               one of the parent's threads does not. sexton as PID 1 cannot see its parent, which is\n\
               outside the PID namespace. There the kernel itself sends SIGNAL, also when a thread\n\
               of the parent ends.",
        apply: |config, values| {
            config.parent_death_signal = Some(one(values, signal)?);
            Ok(())
        },
    },
    Setting {
        long: "die-with-sexton",
        short: None,
        variable: "SEXTON_DIE_WITH_SEXTON",
        value: "",
        kind: Kind::Switch,
        heading: PROCESSES,
        help: "Have the kernel kill the command if sexton itself is killed",
        more: "If sexton is PID 1, the kernel kills everything in the container anyway. Otherwise it\n\
               kills the command alone, and not what the command has started. A command that\n\
               changes its user undoes it.",
        apply: |config, values| {
            config.die_with_sexton = one(values, switch)?;
            Ok(())
        },
    },
    Setting {
        long: "subreaper",
        short: Some('s'),
        variable: "SEXTON_SUBREAPER",
        value: "",
        kind: Kind::Switch,
        heading: PROCESSES,
        help: "Warn if sexton cannot become a subreaper",
        more: "It tries to become one in any case, unless it is PID 1.",
        apply: |config, values| {
            config.subreaper = one(values, switch)?;
            Ok(())
        },
    },
    Setting {
        long: "warn-on-reap",
        short: Some('w'),
        variable: "SEXTON_WARN_ON_REAP",
        value: "",
        kind: Kind::Switch,
        heading: PROCESSES,
        help: "Warn of each orphan that is reaped",
        more: "",
        apply: |config, values| {
            config.warn_on_reap = one(values, switch)?;
            Ok(())
        },
    },
    Setting {
        long: "expect-exit",
        short: Some('e'),
        variable: "SEXTON_EXPECT_EXIT",
        value: "CODE",
        kind: Kind::List,
        heading: PROCESSES,
        help: "Exit 0 when the command exits with CODE (repeatable)",
        more: "128 + N stands for an end by signal N. With 143, it is a good end when SIGTERM\n\
               ends a Java server.",
        apply: |config, values| {
            for value in values {
                let code = value.parse::<u8>();
                config.expected_exits.insert(code.map_err(|_| format!("{value:?} is no exit status; give 0 to 255"))?);
            }
            Ok(())
        },
    },
    Setting {
        long: "reraise",
        short: None,
        variable: "SEXTON_RERAISE",
        value: "",
        kind: Kind::Switch,
        heading: PROCESSES,
        help: "Die by the signal that killed the command (not as PID 1)",
        more: "The parent then sees the signal itself and not the status 128 + N.",
        apply: |config, values| {
            config.reraise = one(values, switch)?;
            Ok(())
        },
    },
    Setting {
        long: "pause",
        short: Some('P'),
        variable: "SEXTON_PAUSE",
        value: "",
        kind: Kind::Switch,
        heading: PROCESSES,
        help: "Run no command: reap orphans until SIGINT or SIGTERM, then exit 0",
        more: "Use it for the container that holds the namespaces of a pod. With --orphans wait it stays\n\
               until its PID namespace is empty, so that the pod's containers can take their time.",
        apply: |config, values| {
            config.pause = one(values, switch)?;
            Ok(())
        },
    },
    Setting {
        long: "ok-after-stop",
        short: None,
        variable: "SEXTON_OK_AFTER_STOP",
        value: "",
        kind: Kind::Switch,
        heading: PROCESSES,
        help: "Exit 0 when the stop signal ended the command",
        more: "That includes a step of --escalate, and an exit with 128 + N, as Java exits. It\n\
               never applies after SIGKILL, or if the command failed in another way.",
        apply: |config, values| {
            config.ok_after_stop = one(values, switch)?;
            Ok(())
        },
    },
    Setting {
        long: "log-format",
        short: None,
        variable: "SEXTON_LOG_FORMAT",
        value: "FORMAT",
        kind: Kind::Value,
        heading: LOG,
        help: "text (default), or json: one object a line",
        more: "docs/logging.md lists the keys.",
        apply: |config, values| {
            config.log_format = one(values, log_format)?;
            Ok(())
        },
    },
    Setting {
        long: "termination-log",
        short: None,
        variable: "SEXTON_TERMINATION_LOG",
        value: "PATH",
        kind: Kind::Optional(TERMINATION_LOG),
        heading: LOG,
        help: "Write an abnormal end there as well; default /dev/termination-log",
        more: "Kubernetes shows it (kubectl describe pod). sexton adds it to what the command wrote\n\
               there, up to 4096 bytes in all.",
        apply: |config, values| {
            config.termination_log = Some(one(values, termination_log)?);
            Ok(())
        },
    },
];

impl Setting {
    /// Takes over what the option was given.
    pub fn apply_option(&self, config: &mut Config, values: &mut dyn Iterator<Item = &[u8]>) -> Result<(), UsageError> {
        self.apply(config, values, Source::Option(self.long))
    }

    /// Takes over what the variable holds. An empty one counts as unset: Compose files and
    /// manifests set variables to nothing when they mean none.
    fn apply_variable(&self, config: &mut Config, value: &[u8]) -> Result<bool, UsageError> {
        let source = Source::Variable(self.variable);
        let value = bare(value, &source)?;
        if value.is_empty() {
            return Ok(false);
        }
        match self.kind {
            Kind::List => self.apply(config, &mut value.as_bytes().split(|byte| *byte == b','), source)?,
            Kind::Value | Kind::Optional(_) | Kind::Switch => {
                self.apply(config, &mut std::iter::once(value.as_bytes()), source)?;
            }
        }
        Ok(true)
    }

    #[inline(never)]
    fn apply(
        &self,
        config: &mut Config,
        values: &mut dyn Iterator<Item = &[u8]>,
        source: Source,
    ) -> Result<(), UsageError> {
        // Without an allocation, as long as there are no more than people give.
        let (mut few, mut many, mut count) = ([""; FEW], Vec::new(), 0);
        for value in values {
            let value = bare(value, &source)?;
            match few.get_mut(count) {
                Some(free) => *free = value,
                None if many.is_empty() => many.extend(few.into_iter().chain([value])),
                None => many.push(value),
            }
            count += 1;
        }
        let values = if many.is_empty() { few.get(..count).unwrap_or_default() } else { &many };
        (self.apply)(config, values).map_err(|what| refused(format_args!("{source}: {what}")))
    }
}

/// So many values of one option, as a rule.
const FEW: usize = 16;

/// A value without the blanks and the line end around it, which come along from files: of a line of
/// `docker run --env-file` all that stands behind the `=` is the value.
pub(super) fn bare<'a>(value: &'a [u8], source: &dyn fmt::Display) -> Result<&'a str, UsageError> {
    let text = std::str::from_utf8(without_blanks(value))
        .map_err(|_| refused(format_args!("{source}: {} is not valid UTF-8", quoted(value))))?;
    if text.len() > 1 && text.starts_with(is_quote) && text.ends_with(is_quote) {
        let text = Printable(text.as_bytes());
        return Err(refused(format_args!(
            "{source}: {text} has quotes around it, which nobody took away (docker run --env-file keeps them); write \
             it without"
        )));
    }
    Ok(text)
}

/// What is left between blanks and line ends.
pub(super) fn without_blanks(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

/// Those of shells and files, and those that pages and word processors make of them.
fn is_quote(character: char) -> bool {
    matches!(character, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’')
}

/// Where the options of the table were given, each as the bit of its place there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    by_option: u32,
    by_variable: u32,
}

impl Given {
    /// Notes that the option came from the command line.
    pub fn by_option(&mut self, setting: &Setting) {
        self.by_option |= bit(setting.long);
    }

    fn source(self, long: &'static str) -> Source {
        match SETTINGS.iter().find(|setting| setting.long == long) {
            Some(setting) if self.by_variable & bit(long) != 0 => Source::Variable(setting.variable),
            _ => Source::Option(long),
        }
    }
}

/// The bit of this option; none if a peer alone has it.
fn bit(long: &str) -> u32 {
    SETTINGS.iter().position(|setting| setting.long == long).map_or(0, |place| 1 << place)
}

/// Takes over every variable whose option was not given, and warns of those that are unknown.
pub(super) fn apply_environment(
    config: &mut Config,
    environment: Environment,
    given: &mut Given,
) -> Result<(), UsageError> {
    for (name, value) in environment.variables().filter(|(name, _)| name.starts_with(PREFIX.as_bytes())) {
        if name == LOG_VARIABLE.as_bytes() || name == CHECK_TIMEOUT.as_bytes() {
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.variable.as_bytes() == name) else {
            config.warnings.extend(unknown_variable(name));
            continue;
        };
        // Of a name that is there twice the first one counts, as for getenv(3).
        let bit = bit(setting.long);
        if (given.by_option | given.by_variable) & bit == 0 && setting.apply_variable(config, value)? {
            given.by_variable |= bit;
        }
    }
    Ok(())
}

/// Checks what only the settings together can get wrong.
pub(super) fn check(config: &Config, given: &Given) -> Result<(), UsageError> {
    check_pre_stop_signal(config, given)?;
    let Some(grace_period) = config.grace_period else { return Ok(()) };
    let Some(left) = grace_period.checked_sub(config.pre_stop_sleep).filter(|left| !left.is_zero()) else {
        return Err(refused(format_args!(
            "{} ({}) must be shorter than {} ({}): the command would be killed before it sees the stop signal",
            given.source("pre-stop-sleep"),
            format_duration(config.pre_stop_sleep),
            given.source("grace-period"),
            format_duration(grace_period),
        )));
    };
    match config.escalation.last() {
        Some((after, signal)) if after >= left => Err(refused(format_args!(
            "{}: {}:{signal} comes too late: {} ({}) ends {} after the stop signal is forwarded",
            given.source("escalate"),
            format_duration(after),
            given.source("grace-period"),
            format_duration(grace_period),
            format_duration(left),
        ))),
        _ => Ok(()),
    }
}

/// Wrong usage, in this sentence.
// Not a part of its callers, whose pages most starts touch.
#[cold]
#[inline(never)]
pub(super) fn refused(sentence: fmt::Arguments<'_>) -> UsageError {
    UsageError(sentence.to_string())
}

fn check_pre_stop_signal(config: &Config, given: &Given) -> Result<(), UsageError> {
    let Some(signal) = config.pre_stop_signal else { return Ok(()) };
    let source = given.source("pre-stop-signal");
    if config.pre_stop_sleep.is_zero() {
        return Err(refused(format_args!(
            "{source} needs {}: without a sleep the stop signal comes at the same moment",
            Source::Option("pre-stop-sleep")
        )));
    }
    if config.stop_signals.iter().any(|stop| config.rewrites.apply(stop) == Some(signal)) {
        return Err(refused(format_args!(
            "{source}: {signal} is what the command is sent at the end of the sleep; give another signal"
        )));
    }
    Ok(())
}

/// The variable that says how much is logged.
pub(super) const LOG_VARIABLE: &str = "SEXTON_LOG";

/// How much is said: what `-v` and `-q` say, else the variable, else warnings. A peer's variable
/// (`level`) beats `-v`, as it does for the peer, and is beaten by our own.
pub(super) fn log_level(
    verbose: u8,
    quiet: bool,
    level: Option<LevelFilter>,
    environment: Environment,
) -> Result<LevelFilter, UsageError> {
    let verbose = if level.is_some() { 0 } else { verbose };
    match (quiet, verbose) {
        (true, 0) => return Ok(LevelFilter::Error),
        (true, _) => return Err(UsageError("--quiet and --verbose contradict each other; give one of them".into())),
        (false, 0) => {}
        (false, 1) => return Ok(LevelFilter::Info),
        (false, 2) => return Ok(LevelFilter::Debug),
        (false, _) => return Ok(LevelFilter::Trace),
    }
    match bare(environment.get(LOG_VARIABLE).unwrap_or_default(), &LOG_VARIABLE)? {
        "" => Ok(level.unwrap_or(LevelFilter::Warn)),
        value => value.parse().map_err(|_| {
            refused(format_args!("{LOG_VARIABLE}: {value:?} is no level; give off, error, warn, info, debug or trace"))
        }),
    }
}

/// What is wrong with a variable that begins like ours and is none; nothing if somebody else made it.
fn unknown_variable(name: &[u8]) -> Option<String> {
    let shown = String::from_utf8_lossy(name);
    let own = shown.strip_prefix(PREFIX)?;
    if is_of_a_service(own) || own == "VERSION" {
        return None;
    }
    let known = SETTINGS.iter().map(|setting| setting.variable).chain([LOG_VARIABLE, CHECK_TIMEOUT]);
    let mut known = known.filter_map(|known| known.strip_prefix(PREFIX));
    let advice = match own {
        "QUIET" => "; did you mean SEXTON_LOG=error?".to_owned(),
        "VERBOSE" => "; did you mean SEXTON_LOG=info?".to_owned(),
        "LOG_LEVEL" | "LOGLEVEL" | "VERBOSITY" => "; did you mean SEXTON_LOG?".to_owned(),
        "DIALECT" => "; --dialect is an argument alone, and the first".to_owned(),
        _ => match meant::one_of(own, &mut known) {
            Some(meant) => format!("; did you mean {PREFIX}{meant}?"),
            None => String::new(),
        },
    };
    Some(format!("the variable {} means nothing to sexton{advice}", Printable(name)))
}

/// Whether the rest of a variable's name is one that Kubernetes makes: for each Service of the namespace,
/// so for one that is called `sexton` or `sexton-api` too, in each container that is started after it
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>). None of
/// our own names ends like that.
fn is_of_a_service(own: &str) -> bool {
    let words: Vec<&str> = own.split('_').collect();
    let is_port = |number: &str, protocol| number.parse::<u16>().is_ok() && ["TCP", "UDP", "SCTP"].contains(protocol);
    match words.as_slice() {
        [.., "SERVICE", "HOST"] | [.., "PORT"] => true,
        [.., "PORT", number, protocol] | [.., "PORT", number, protocol, "PROTO" | "ADDR"]
            if is_port(number, protocol) =>
        {
            true
        }
        // A port of the Service with a name.
        words => words.windows(2).any(|pair| pair == ["SERVICE", "PORT"]),
    }
}

/// The single value of an option.
fn one<T>(values: &[&str], parse: fn(&str) -> Result<T, String>) -> Result<T, String> {
    parse(values.last().copied().unwrap_or_default())
}

/// A duration with units has no more bytes, and no more digits in a row: humantime (2.4.0) panics when
/// the parts come to 2^64 seconds, as `18446744073709551615s 1000ms` do. Five times 9,999,999,999 years do not.
const LONGEST_DURATION: usize = 64;
const MOST_DIGITS: usize = 10;

/// `30`, `30s`, `500ms`, `1m30s`: plain digits are seconds.
///
/// # Errors
///
/// The rest of a sentence.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok().map(Duration::from_secs)
    } else {
        let mut numbers = text.split(|character: char| !character.is_ascii_digit());
        let is_short = text.len() <= LONGEST_DURATION && numbers.all(|digits| digits.len() <= MOST_DIGITS);
        is_short.then(|| humantime::parse_duration(text).ok()).flatten()
    };
    parsed.ok_or_else(|| format!("{text:?} is no duration; write it like 30, 30s, 500ms or 1m30s"))
}

/// A signal by its name or number.
pub(super) fn signal(text: &str) -> Result<Signal, String> {
    text.parse().map_err(|_| {
        let is_whole = text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("SIG"));
        let typed = if is_whole { text.get(3..).unwrap_or_default() } else { text };
        match meant::one_of(typed, &mut Signal::names().filter_map(|name| name.strip_prefix("SIG"))) {
            Some(meant) => format!("{text:?} is no signal; did you mean SIG{meant}?"),
            None => format!(
                "{text:?} is no signal; give a name like TERM or SIGTERM, a number from 1 to 64, RTMIN+n or RTMAX-n"
            ),
        }
    })
}

/// `10s:INT`.
fn escalation_step(text: &str) -> Result<(Duration, Signal), String> {
    let (after, name) =
        text.split_once(':').ok_or_else(|| format!("{text:?} is no step; write it DURATION:SIGNAL, like 10s:INT"))?;
    let after = duration(after.trim())?;
    if after.is_zero() {
        return Err(format!("{text:?} comes with the stop signal; give it some time, or rewrite the stop signal"));
    }
    match signal(name.trim())? {
        Signal::KILL => Err(format!("{text:?}: SIGKILL is what --grace-period sends; set that")),
        Signal::STOP => Err(format!("{text:?}: a command that is stopped does not end; give another signal")),
        signal => Ok((after, signal)),
    }
}

/// A signal that sexton can receive.
fn catchable(text: &str) -> Result<Signal, String> {
    let signal = signal(text)?;
    if signal.is_uncatchable() {
        return Err(format!("no process ever receives {signal}; give a signal that can be caught"));
    }
    Ok(signal)
}

fn rewrite(text: &str) -> Result<(Signal, Option<Signal>), String> {
    let (from, to) = split_rewrite(text)?;
    Ok((catchable(from)?, to))
}

/// `FROM:TO`, the first not looked at yet.
pub(super) fn split_rewrite(text: &str) -> Result<(&str, Option<Signal>), String> {
    let Some((from, to)) = text.split_once(':') else {
        return Err(format!("{text:?} is no rewrite; write it like HUP:QUIT, or HUP:none to drop SIGHUP"));
    };
    let to = if to == "0" || to.eq_ignore_ascii_case("none") { None } else { Some(signal(to)?) };
    Ok((from, to))
}

fn orphans(text: &str) -> Result<Orphans, String> {
    let known = [("leave", Orphans::Leave), ("wait", Orphans::Wait), ("stop", Orphans::Stop)];
    one_of(text, &known).ok_or_else(|| format!("{text:?} is no policy; give leave, wait or stop"))
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    let known = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    one_of(text, &known).ok_or_else(|| format!("{text:?} is no format; give text or json"))
}

/// The path of a drain file.
pub(super) fn drain_file(text: &str) -> Result<CString, String> {
    absolute_path(text, "/tmp/drain")
}

fn termination_log(text: &str) -> Result<CString, String> {
    absolute_path(text, TERMINATION_LOG)
}

/// sexton leaves its working directory, so there is nothing that a relative path could start from.
fn absolute_path(text: &str, example: &str) -> Result<CString, String> {
    let path = CString::new(text).ok().filter(|_| text.starts_with('/'));
    path.ok_or_else(|| format!("{text:?} is no absolute path; write it like {example}"))
}

fn switch(text: &str) -> Result<bool, String> {
    let yes = ["1", "true", "yes", "on"].map(|word| (word, true));
    let no = ["0", "false", "no", "off"].map(|word| (word, false));
    one_of(text, &yes)
        .or_else(|| one_of(text, &no))
        .ok_or_else(|| format!("{text:?} is neither yes nor no; give 1 or 0"))
}

/// What the word stands for, in capital letters or small ones.
fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Option<T> {
    known.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, meaning)| *meaning)
}
