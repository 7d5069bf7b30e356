use std::time::Duration;

use log::LevelFilter;
use proptest::prelude::*;

use super::super::{catatonit::CATATONIT, catatonit::PODMAN_INIT, dumb_init::DUMB_INIT, tini::TINI};
use super::*;
use crate::cli::settings::duration;
use crate::config::LogFormat;
use crate::signal::{Signal, SignalSet};

pub(in crate::cli) static DIALECTS: [&Dialect; 5] = [&NATIVE, &TINI, &DUMB_INIT, &CATATONIT, &PODMAN_INIT];

fn parse(args: Args, environment: Environment) -> Result<Request, UsageError> {
    parse_as(&NATIVE, args, environment, read)
}

fn parse_with(args: &[&str], environment: &[&str]) -> Result<Request, UsageError> {
    let args = Args::from_strings(["sexton"].iter().chain(args).copied());
    parse(args, Environment::from_strings(environment.iter().copied()))
}

fn config(args: &[&str], environment: &[&str]) -> Config {
    match parse_with(args, environment) {
        Ok(Request::Run(config)) => config,
        other => panic!("{args:?} {environment:?}: {other:?}"),
    }
}

fn error(args: &[&str], environment: &[&str]) -> String {
    match parse_with(args, environment) {
        Err(UsageError(sentence)) => sentence,
        Ok(other) => panic!("{args:?} {environment:?}: {other:?}"),
    }
}

fn printed(args: &[&str]) -> String {
    match parse_with(args, &[]) {
        Ok(Request::Print(text)) => text,
        other => panic!("{args:?}: {other:?}"),
    }
}

fn command(config: &Config) -> Vec<&'static str> {
    config.command.iter().map(|arg| arg.to_str().unwrap()).collect()
}

#[test]
fn options_end_at_the_first_operand() {
    assert_eq!(command(&config(&["ls", "-g", "--", "-v"], &[])), ["ls", "-g", "--", "-v"]);
    assert_eq!(command(&config(&["--", "ls", "--", "-v"], &[])), ["ls", "--", "-v"]);
    assert_eq!(command(&config(&["-g", "ls", "--", "-v"], &[])), ["ls", "--", "-v"]);
    assert_eq!(command(&config(&["-g", "--", "ls", "--", "--help"], &[])), ["ls", "--", "--help"]);
    assert_eq!(command(&config(&["-g", "--", "-weird", "x"], &[])), ["-weird", "x"]);
    assert_eq!(command(&config(&["--", "--", "x"], &[])), ["--", "x"]);
    assert_eq!(command(&config(&["-g", "--", "--", "x"], &[])), ["--", "x"]);
    assert_eq!(command(&config(&["-"], &[])), ["-"]);
    assert_eq!(command(&config(&["", "x"], &[])), ["", "x"]);
}

#[test]
fn the_defaults_change_nothing_and_never_kill() {
    let config = config(&["true"], &[]);
    assert_eq!(config.grace_period, None);
    assert_eq!(config.pre_stop_sleep, Duration::ZERO);
    assert_eq!(config.stop_signals, SignalSet::of(Signal::TERM));
    assert!(Signal::all().all(|signal| config.rewrites.apply(signal) == Some(signal)));
    assert!(!config.group && !config.warn_on_reap && !config.reraise && !config.subreaper);
    assert_eq!(config.parent_death_signal, None);
    assert!((0..=255).all(|status| !config.expected_exits.contains(status)));
    assert_eq!(config.log_level, LevelFilter::Warn);
    assert!(config.warnings.is_empty());
}

#[test]
fn durations_are_seconds_or_have_units() {
    for (text, milliseconds) in [
        ("30", 30_000),
        ("30s", 30_000),
        ("500ms", 500),
        ("1m30s", 90_000),
        ("2h", 7_200_000),
        ("0", 0),
        ("007", 7_000),
    ] {
        let expected = Some(Duration::from_millis(milliseconds)).filter(|period| !period.is_zero());
        assert_eq!(config(&["--grace-period", text, "x"], &[]).grace_period, expected, "{text}");
        assert_eq!(config(&["x"], &[&format!("SEXTON_GRACE_PERIOD={text}")]).grace_period, expected, "{text}");
    }
    for text in
        ["x", "-1", "1.5.5", "30 parsecs", "s", "99999999999999999999", "99999999999999999999s", "", "1e3", "+3"]
    {
        let sentence = error(&["--pre-stop-sleep", text, "x"], &[]);
        assert!(sentence.starts_with(&format!("--pre-stop-sleep: {text:?} is no duration")), "{sentence}");
    }
}

#[test]
fn no_sum_of_a_duration_s_parts_is_too_much_for_what_reads_them() {
    for text in [
        "18446744073709551615s 1000ms",
        "0000000018446744073709551615s00.0ms 1000ms",
        "584542046090y 1000ms",
        "12345678901s",
        &"1s ".repeat(30),
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
    let most = "9999999999y9999999999y9999999999y9999999999y9999999999y 1000ms";
    assert_eq!(duration(most).unwrap().as_secs() / 31_557_600, 49_999_999_995);
    assert_eq!(duration("0000000001s").unwrap(), Duration::from_secs(1));
}

#[test]
fn a_grace_period_of_zero_is_none_even_with_a_pre_stop_sleep() {
    let config = config(&["--grace-period=0", "--pre-stop-sleep=5", "x"], &[]);
    assert_eq!((config.grace_period, config.pre_stop_sleep), (None, Duration::from_secs(5)));
}

#[test]
fn a_pre_stop_sleep_that_is_not_shorter_than_the_grace_period_is_an_error() {
    for (sleep, grace) in [("5", "5"), ("6s", "5s"), ("5001ms", "5s")] {
        let both = error(&["--pre-stop-sleep", sleep, "--grace-period", grace, "x"], &[]);
        assert!(both.contains("--pre-stop-sleep") && both.contains("--grace-period"), "{both}");
        let mixed = error(&["--pre-stop-sleep", sleep, "x"], &[&format!("SEXTON_GRACE_PERIOD={grace}")]);
        assert!(mixed.contains("--pre-stop-sleep") && mixed.contains("SEXTON_GRACE_PERIOD"), "{mixed}");
        let other = error(&["--grace-period", grace, "x"], &[&format!("SEXTON_PRE_STOP_SLEEP={sleep}")]);
        assert!(other.contains("SEXTON_PRE_STOP_SLEEP") && other.contains("--grace-period"), "{other}");
    }
    config(&["--pre-stop-sleep", "4999ms", "--grace-period", "5", "x"], &[]);
}

#[test]
fn every_policy_and_every_format_has_its_word() {
    use crate::config::Orphans;
    for (word, orphans) in [("leave", Orphans::Leave), ("Wait", Orphans::Wait), ("STOP", Orphans::Stop)] {
        assert_eq!(config(&["--orphans", word, "x"], &[]).orphans, orphans);
    }
    for (word, format) in [("text", LogFormat::Text), ("JSON", LogFormat::Json)] {
        assert_eq!(config(&["--log-format", word, "x"], &[]).log_format, format);
    }
}

#[test]
fn stop_signals_given_replace_the_default() {
    let expected = SignalSet::of(Signal::INT).with(Signal::QUIT);
    assert_eq!(config(&["--stop-signal", "INT", "--stop-signal=SIGQUIT", "x"], &[]).stop_signals, expected);
    assert_eq!(config(&["x"], &["SEXTON_STOP_SIGNALS=int,3"]).stop_signals, expected);
    assert_eq!(config(&["--stop-signal", "37", "x"], &[]).stop_signals, SignalSet::of("RTMIN+3".parse().unwrap()));
}

#[test]
fn a_signal_that_cannot_be_received_is_refused_where_it_would_have_to_be() {
    assert!(error(&["--stop-signal", "KILL", "x"], &[]).contains("SIGKILL"));
    assert!(error(&["--rewrite", "STOP:TERM", "x"], &[]).contains("SIGSTOP"));
    assert_eq!(config(&["--rewrite", "TERM:KILL", "x"], &[]).rewrites.apply(Signal::TERM), Some(Signal::KILL));
}

#[test]
fn rewrites_take_names_numbers_and_none() {
    let config = config(&["-r", "1:QUIT", "--rewrite", "SIGUSR1:0", "-rUSR2:none", "-r", "RTMIN+1:RTMAX-1", "x"], &[]);
    let applied = |name: &str| config.rewrites.apply(name.parse().unwrap());
    assert_eq!(applied("HUP"), Some(Signal::QUIT));
    assert_eq!(applied("USR1"), None);
    assert_eq!(applied("USR2"), None);
    assert_eq!(applied("35"), Signal::new(63));
    assert_eq!(applied("TERM"), Some(Signal::TERM));
}

#[test]
fn two_rewrites_of_one_signal_are_an_error() {
    let sentence = error(&["-r", "HUP:INT", "-r", "1:QUIT", "x"], &[]);
    assert!(sentence.contains("--rewrite") && sentence.contains("SIGHUP") && sentence.contains("twice"), "{sentence}");
    let sentence = error(&["x"], &["SEXTON_REWRITE=HUP:INT,HUP:INT"]);
    assert!(sentence.starts_with("SEXTON_REWRITE: "), "{sentence}");
}

#[test]
fn a_flag_beats_its_variable() {
    let config = config(
        &["--grace-period", "9", "-r", "HUP:INT", "-v", "x"],
        &["SEXTON_GRACE_PERIOD=5", "SEXTON_REWRITE=USR1:USR2", "SEXTON_LOG=off", "SEXTON_GROUP=yes"],
    );
    assert_eq!(config.grace_period, Some(Duration::from_secs(9)));
    assert_eq!(config.rewrites.apply(Signal::USR1), Some(Signal::USR1));
    assert_eq!(config.log_level, LevelFilter::Info);
    assert!(config.group);
}

#[test]
fn the_value_of_a_variable_that_a_flag_beats_does_not_matter() {
    assert_eq!(
        config(&["--grace-period", "9", "x"], &["SEXTON_GRACE_PERIOD=junk"]).grace_period,
        Some(Duration::from_secs(9))
    );
}

#[test]
fn every_option_can_be_set_by_its_variable() {
    let config = config(
        &["x"],
        &[
            "SEXTON_GRACE_PERIOD=20",
            "SEXTON_PRE_STOP_SLEEP=5s",
            "SEXTON_STOP_SIGNALS=QUIT",
            "SEXTON_REWRITE=TERM:INT",
            "SEXTON_GROUP=1",
            "SEXTON_PARENT_DEATH_SIGNAL=HUP",
            "SEXTON_SUBREAPER=true",
            "SEXTON_WARN_ON_REAP=on",
            "SEXTON_EXPECT_EXIT=143,7",
            "SEXTON_RERAISE=yes",
            "SEXTON_ORPHANS=stop",
            "SEXTON_DIE_WITH_SEXTON=yes",
            "SEXTON_OK_AFTER_STOP=yes",
            "SEXTON_LOG_FORMAT=json",
            "SEXTON_TERMINATION_LOG=/run/end",
            "SEXTON_LOG=trace",
        ],
    );
    assert_eq!((config.orphans, config.die_with_sexton), (crate::config::Orphans::Stop, true));
    assert!(config.ok_after_stop);
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.termination_log.as_deref(), Some(c"/run/end"));
    assert_eq!(config.grace_period, Some(Duration::from_secs(20)));
    assert_eq!(config.pre_stop_sleep, Duration::from_secs(5));
    assert_eq!(config.stop_signals, SignalSet::of(Signal::QUIT));
    assert_eq!(config.rewrites.apply(Signal::TERM), Some(Signal::INT));
    assert!(config.group && config.subreaper && config.warn_on_reap && config.reraise);
    assert_eq!(config.parent_death_signal, Some(Signal::HUP));
    assert!(config.expected_exits.contains(143) && config.expected_exits.contains(7));
    assert_eq!(config.log_level, LevelFilter::Trace);
    assert!(config.warnings.is_empty());
}

#[test]
fn the_termination_log_takes_its_path_only_behind_an_equals_sign() {
    let path = |args: &[&str]| {
        let config = config(args, &[]);
        (config.termination_log.clone(), command(&config))
    };
    let standard = Some(c"/dev/termination-log".to_owned());
    assert_eq!(path(&["--termination-log", "/bin/true", "x"]), (standard.clone(), vec!["/bin/true", "x"]));
    assert_eq!(path(&["--termination-log", "--", "x"]), (standard.clone(), vec!["x"]));
    assert_eq!(path(&["--termination-log", "-g", "x"]), (standard, vec!["x"]));
    assert_eq!(path(&["--termination-log=/a", "x"]), (Some(c"/a".to_owned()), vec!["x"]));
    assert_eq!(path(&["x"]).0, None);
}

#[test]
fn a_variable_that_is_empty_counts_as_unset() {
    for setting in &settings::SETTINGS {
        config(&["x"], &[&format!("{}=", setting.variable)]);
    }
    assert_eq!(config(&["x"], &["SEXTON_LOG="]).log_level, LevelFilter::Warn);
}

/// What the files leave around a value.
const BLANKS: [&str; 6] = [" ", "\t", "\r", "\n", "\r\n", " \t\r\n "];

/// Every option with a value that it takes, and one that makes a difference.
fn every_value() -> impl Iterator<Item = (&'static settings::Setting, &'static str)> {
    settings::SETTINGS.iter().map(|setting| {
        let value = match setting.value {
            "DURATION" => "8s",
            "SIGNAL" => "INT",
            "POLICY" => "stop",
            "FROM:TO" => "HUP:QUIT",
            "CODE" => "143",
            "DURATION:SIGNAL" => "10s:INT",
            "FORMAT" => "json",
            "PATH" => "/run/end",
            "" => "yes",
            other => panic!("{other}: give a value for it"),
        };
        (setting, value)
    })
}

fn shown(args: &[&str], environment: &[&str]) -> String {
    let config = Config { command: Args::from_strings([""; 0]), ..config(args, environment) };
    format!("{config:?}")
}

#[test]
fn blanks_and_a_line_end_around_a_value_do_not_matter_whatever_it_is_for() {
    for (setting, value) in every_value() {
        let command = if setting.long == "pause" { &[][..] } else { &["x"] };
        // What the option needs besides.
        let sleep = if setting.long == "pre-stop-signal" { &["SEXTON_PRE_STOP_SLEEP=1s"][..] } else { &[] };
        let by_option = |value: &str| {
            let option = format!("--{}={value}", setting.long);
            shown(&[&[option.as_str()], command].concat(), sleep)
        };
        let by_variable = |value: &str| {
            let variable = format!("{}={value}", setting.variable);
            shown(command, &[&[variable.as_str()], sleep].concat())
        };
        for (before, after) in BLANKS.iter().flat_map(|blanks| [(blanks, &""), (&"", blanks), (blanks, blanks)]) {
            let around = format!("{before}{value}{after}");
            assert_eq!(by_variable(&around), by_variable(value), "{}={around:?}", setting.variable);
            if setting.kind != Kind::Switch {
                assert_eq!(by_option(&around), by_option(value), "--{}={around:?}", setting.long);
            }
        }
        if command == ["x"] {
            assert_eq!(by_variable(" \r\n"), by_variable(""), "{}: nothing but blanks is nothing", setting.variable);
            assert_ne!(by_variable(value), by_variable(""), "{}: it makes a difference", setting.variable);
        }
    }
    assert_eq!(config(&["x"], &["SEXTON_LOG= info\r"]).log_level, LevelFilter::Info);
    assert_eq!(config(&["x"], &["SEXTON_LOG=\r\n"]).log_level, LevelFilter::Warn);
}

#[test]
fn blanks_behind_the_commas_of_a_list_do_not_matter() {
    for (with, without) in [
        ("SEXTON_STOP_SIGNALS=INT, QUIT\r", "SEXTON_STOP_SIGNALS=INT,QUIT"),
        ("SEXTON_STOP_SIGNALS= INT ,\tQUIT", "SEXTON_STOP_SIGNALS=INT,QUIT"),
        ("SEXTON_REWRITE=HUP:QUIT, TERM:INT ", "SEXTON_REWRITE=HUP:QUIT,TERM:INT"),
        ("SEXTON_EXPECT_EXIT=143, 7", "SEXTON_EXPECT_EXIT=143,7"),
    ] {
        assert_eq!(shown(&["x"], &[with]), shown(&["x"], &[without]), "{with:?}");
    }
    assert!(error(&["x"], &["SEXTON_STOP_SIGNALS=INT, "]).contains("\"\" is no signal"));
}

#[test]
fn quotes_around_a_value_are_refused_whatever_it_is_for() {
    let rest = "has quotes around it, which nobody took away (docker run --env-file keeps them); write it without";
    let variables = every_value().map(|(setting, value)| (setting.variable, value));
    for (variable, value) in variables.chain([("SEXTON_LOG", "info")]) {
        for quoted in [format!("\"{value}\""), format!("'{value}'"), format!("“{value}”"), "\"\"".into()] {
            assert_eq!(
                error(&["x"], &[&format!("{variable}={quoted}\r")]),
                format!("{variable}: {quoted} {rest}"),
                "{variable}"
            );
        }
    }
    for (setting, value) in every_value().filter(|(setting, _)| setting.kind != Kind::Switch) {
        let long = setting.long;
        assert_eq!(error(&[&format!("--{long}=\"{value}\""), "x"], &[]), format!("--{long}: \"{value}\" {rest}"));
    }
    for list in ["\"INT,QUIT\"", "\"INT\",\"QUIT\"", "INT, \"QUIT\"", "'INT',QUIT"] {
        let sentence = error(&["x"], &[&format!("SEXTON_STOP_SIGNALS={list}")]);
        assert!(sentence.ends_with(rest), "{list}: {sentence}");
    }
    // Half of a pair may be meant: a file may be called so.
    assert_eq!(config(&["--termination-log=/a\"", "x"], &[]).termination_log.as_deref(), Some(c"/a\""));
}

/// The suggestions themselves: tests/usage.rs.
#[test]
fn an_unknown_variable_is_a_warning() {
    assert_eq!(config(&["x"], &["SEXTON_HOME=1"]).warnings, ["the variable SEXTON_HOME means nothing to sexton"]);
    assert_eq!(config(&["x"], &["SEXTON_=1"]).warnings, ["the variable SEXTON_ means nothing to sexton"]);
    let forged = config(&["x"], &["SEXTON_\n\u{7}=1"]).warnings;
    assert_eq!(forged, ["the variable SEXTON_\\n\\u{7} means nothing to sexton"]);
}

#[test]
fn what_kubernetes_sets_for_a_service_of_our_name_is_no_mistake() {
    for service in ["SEXTON", "SEXTON_API", "SEXTON_API_2", "SEXTON_PORT", "SEXTON_LOG"] {
        for made in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "SERVICE_PORT_HTTP_ALT",
            "SERVICE_PORT_80",
            "PORT",
            "PORT_80_TCP",
            "PORT_80_TCP_PROTO",
            "PORT_80_TCP_PORT",
            "PORT_80_TCP_ADDR",
            "PORT_53_UDP",
            "PORT_53_UDP_ADDR",
            "PORT_65535_SCTP_PROTO",
        ] {
            let variable = format!("{service}_{made}=x");
            assert_eq!(config(&["x"], &[&variable]).warnings, [""; 0], "{variable}");
        }
    }
    for none in
        ["SERVICE", "HOST", "PORTS", "PORT_80", "PORT_X_TCP", "PORT_80_HTTP", "PORT_80_TCP_NAME", "PORT_65536_TCP"]
    {
        assert_eq!(config(&["x"], &[&format!("SEXTON_{none}=x")]).warnings.len(), 1, "{none}");
    }
}

#[test]
fn a_path_behind_the_termination_log_is_the_command_and_doubted() {
    let doubted = |args: &[&str]| config(args, &[]).may_be_termination_log;
    assert!(doubted(&["--termination-log", "/tmp/x", "server"]));
    assert!(doubted(&["-g", "--termination-log", "/tmp/x"]));
    for args in [
        &["/tmp/x"][..],
        &["--termination-log", "server"],
        &["--termination-log", "./server"],
        &["--termination-log", "--", "/tmp/x"],
        &["--termination-log=/a", "/tmp/x"],
        &["--termination-log", "-g", "/tmp/x"],
    ] {
        assert!(!doubted(args), "{args:?}");
    }
    // Before the dashes behind its name are dropped.
    let args = Args::from_strings(["tini", "--termination-log", "/tmp/x", "--", "server"]);
    let parsed = parse_as(&TINI, args, Environment::from_strings([""]), read);
    assert!(matches!(&parsed, Ok(Request::Run(config)) if config.may_be_termination_log), "{parsed:?}");
}

#[test]
fn wrong_values_are_sentences_that_name_the_option_or_the_variable() {
    for (args, environment, beginning) in [
        (&["--grace-period", "soon", "x"][..], &[][..], "--grace-period: \"soon\" is no duration"),
        (&["x"], &["SEXTON_GRACE_PERIOD=soon"], "SEXTON_GRACE_PERIOD: \"soon\" is no duration"),
        (&["--stop-signal", "SIGFOO", "x"], &[], "--stop-signal: \"SIGFOO\" is no signal"),
        (&["x"], &["SEXTON_STOP_SIGNALS=TERM,,INT"], "SEXTON_STOP_SIGNALS: \"\" is no signal"),
        (&["-r", "HUP", "x"], &[], "--rewrite: \"HUP\" is no rewrite"),
        (&["-r", "HUP:FOO", "x"], &[], "--rewrite: \"FOO\" is no signal"),
        (&["-r", ":TERM", "x"], &[], "--rewrite: \"\" is no signal"),
        (&["-e", "256", "x"], &[], "--expect-exit: \"256\" is no exit status"),
        (&["-e", "-1", "x"], &[], "--expect-exit: \"-1\" is no exit status"),
        (&["x"], &["SEXTON_GROUP=maybe"], "SEXTON_GROUP: \"maybe\" is neither yes nor no"),
        (&["x"], &["SEXTON_LOG=loud"], "SEXTON_LOG: \"loud\" is no level"),
        (&["--log-format", "xml", "x"], &[], "--log-format: \"xml\" is no format"),
        (&["--termination-log=end", "x"], &[], "--termination-log: \"end\" is no absolute path"),
        (&["x"], &["SEXTON_TERMINATION_LOG=yes"], "SEXTON_TERMINATION_LOG: \"yes\" is no absolute path"),
        (&["-q", "-v", "x"], &[], "--quiet and --verbose contradict each other"),
        (&["-p", "65", "x"], &[], "--parent-death-signal: \"65\" is no signal"),
        (&["--gruop", "x"], &[], "there is no option --gruop; did you mean --group?"),
        (&["-X", "x"], &[], "there is no option -X"),
        (&["--grace-period"], &[], "--grace-period <DURATION> needs a value"),
        (&["--group=1", "x"], &[], "--group takes no value"),
        (&["--grace-period=1", "--grace-period=2", "x"], &[], "--grace-period <DURATION> is given twice"),
        (&[], &[], "there is no command to run"),
        (&["--"], &[], "there is no command to run"),
        (&["-g"], &[], "there is no command to run"),
    ] {
        let sentence = error(args, environment);
        assert!(sentence.starts_with(beginning), "{args:?} {environment:?}: {sentence}");
        assert!(!sentence.contains('\n'), "{sentence:?} has more than one line");
    }
}

#[test]
fn a_value_that_is_no_utf8_is_a_sentence_too() {
    let args = Args::from_strings([&b"sexton"[..], b"--grace-period", b"\xff", b"x"]);
    let error = parse(args, Environment::from_strings([""])).unwrap_err();
    assert_eq!(error.0, r#"--grace-period: "\xFF" is not valid UTF-8"#);
    let environment = Environment::from_strings([&b"SEXTON_LOG=\xff"[..]]);
    let error = parse(Args::from_strings(["sexton", "x"]), environment).unwrap_err();
    assert!(error.0.starts_with("SEXTON_LOG: "), "{}", error.0);
}

#[test]
fn verbose_and_quiet_choose_the_level() {
    for (args, level) in [
        (&["-v", "x"][..], LevelFilter::Info),
        (&["-v", "-v", "x"], LevelFilter::Debug),
        (&["-vvv", "x"], LevelFilter::Trace),
        (&["-vvvvvv", "x"], LevelFilter::Trace),
        (&["--quiet", "x"], LevelFilter::Error),
        (&["-q", "-q", "x"], LevelFilter::Error),
    ] {
        assert_eq!(config(args, &["SEXTON_LOG=warn"]).log_level, level, "{args:?}");
    }
    assert_eq!(config(&["x"], &["SEXTON_LOG=OFF"]).log_level, LevelFilter::Off);
}

#[test]
fn switches_may_be_given_twice() {
    assert!(config(&["-gg", "-s", "-s", "x"], &[]).group);
}

#[test]
fn the_short_help_fits_80_columns_and_24_lines_and_the_long_one_ends_with_examples() {
    let short = printed(&["-h"]);
    // The prompt takes the last line.
    assert!(short.trim_end().lines().count() < 24, "{} lines: {short}", short.lines().count());
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
    assert!(short.contains("-V, --version"), "{short}");
    let long = printed(&["--help"]);
    for setting in &settings::SETTINGS {
        let is_there = short.contains(&format!("--{}", setting.long));
        assert_eq!(is_there, super::FREQUENT.contains(&setting.long), "{}", setting.long);
        assert!(long.contains(&format!("[env: {}]", setting.variable)), "{}", setting.variable);
    }
    let end = &long[long.find("Exit status:").unwrap()..];
    assert_eq!(end[end.find("Examples:").unwrap()..].matches("\n  ").count(), 6, "three examples of two lines");
    assert!(long.lines().all(|line| line.chars().count() <= 120), "{long}");
}

#[test]
fn version_and_license_are_printed_and_nothing_is_run() {
    let version = concat!("sexton ", env!("CARGO_PKG_VERSION"), " - git.", env!("SEXTON_COMMIT"));
    assert_eq!(printed(&["--version"]).trim(), version);
    assert_eq!(printed(&["-V"]), printed(&["--version"]));
    assert!(printed(&["-l"]).starts_with("MIT License"));
    assert!(printed(&["--license", "true"]).contains("WITHOUT WARRANTY"));
    assert_eq!(command(&config(&["x", "--version"], &[])), ["x", "--version"]);
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"--",
        b"-",
        b"-g",
        b"-s",
        b"-w",
        b"-v",
        b"-vv",
        b"-q",
        b"-p",
        b"-e",
        b"-r",
        b"TERM",
        b"HUP:INT",
        b"1:2",
        b"30",
        b"5s",
        b"--grace-period",
        b"--grace-period=9",
        b"--pre-stop-sleep=1",
        b"--stop-signal",
        b"--rewrite=HUP:none",
        b"--help",
        b"-h",
        b"--version",
        b"-l",
        b"true",
        b"ls",
        b"",
        b"-x",
        b"--nope",
        b"--group",
        b"--group=",
        b"-p=9",
        b"-e143",
        b"--termination-log",
        b"--termination-log=/a",
        b"--log-format=json",
    ];
    prop_oneof![
        4 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(1_u8..=255, 0..12),
    ]
}

#[test]
fn clap_is_not_asked_where_no_option_stands_before_the_command() {
    let command = |words: &[&str]| {
        let args = Args::from_strings(std::iter::once("sexton").chain(words.iter().copied()));
        without_options(args).map(|command| command.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(command(&["--", "server", "-v"]).unwrap(), ["server", "-v"]);
    assert_eq!(command(&["--", "--"]).unwrap(), ["--"]);
    assert_eq!(command(&["server", "--", "-v"]).unwrap(), ["server", "--", "-v"]);
    assert_eq!(command(&["-", "x"]).unwrap(), ["-", "x"]);
    assert_eq!(command(&[""]).unwrap(), [""]);
    for words in [&[][..], &["-v", "server"], &["--group", "server"], &["-v", "--", "server"]] {
        assert_eq!(command(words), None, "{words:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// The way around clap is a shortcut, not a second opinion.
    #[test]
    fn the_short_way_and_claps_agree_wherever_the_short_way_is_taken(words in prop::collection::vec(word(), 0..6)) {
        let args = Args::from_strings(std::iter::once(b"sexton".to_vec()).chain(words));
        for dialect in DIALECTS {
            let defaults = Config::new(args.from(args.len()));
            if let Some(command) = without_options(args) {
                let short = Options::none(Config { command, ..defaults.clone() });
                let long = by_clap(dialect, args, &defaults).unwrap().unwrap();
                prop_assert!(short.config.command.iter().eq(long.config.command.iter()), "{:?}", long.config.command);
                prop_assert_eq!(format!("{short:?}"), format!("{long:?}"));
            }
        }
    }

    #[test]
    fn no_command_line_and_no_environment_makes_it_panic(
        words in prop::collection::vec(word(), 0..8),
        variables in prop::collection::vec(("[A-Z_]{0,8}|GRACE_PERIOD|REWRITE|LOG|STOP_SIGNALS|EXPECT_EXIT", prop::collection::vec(1_u8..=255, 0..12)), 0..3),
    ) {
        let args = Args::from_strings(std::iter::once(b"sexton".to_vec()).chain(words));
        let variables = variables.into_iter().map(|(name, value)| [b"SEXTON_", name.as_bytes(), b"=", &value].concat());
        let environment = Environment::from_strings(variables);
        for dialect in DIALECTS {
            if let Err(UsageError(sentence)) = parse_as(dialect, args, environment, read) {
                prop_assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence:?}");
            }
        }
    }
}

#[test]
fn an_unknown_option_cannot_break_the_line() {
    assert_eq!(error(&["-\u{7}\n", "x"], &[]), "there is no option -\\u{7}; sexton --help lists them all");
    assert_eq!(error(&["--a\nb", "x"], &[]), "there is no option --a\\nb; sexton --help lists them all");
}
