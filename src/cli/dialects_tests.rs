use super::*;

fn config(args: &[&str], environment: &[&str]) -> Config {
    let parsed =
        parse(Args::from_strings(args.iter().copied()), Environment::from_strings(environment.iter().copied()));
    match parsed.request {
        Ok(Request::Run(config)) => config,
        other => panic!("{args:?} {environment:?}: {other:?}"),
    }
}

fn command(args: &[&str]) -> Vec<&'static str> {
    config(args, &[]).command.iter().map(|word| word.to_str().unwrap()).collect()
}

#[test]
fn the_last_part_of_the_name_or_the_first_option_chooses() {
    for (args, name) in [
        (&["/sbin/docker-init", "--"][..], "tini"),
        (&["tini-static"], "tini"),
        (&["./a/../dumb-init"], "dumb-init"),
        (&["/run/podman-init"], "podman-init"),
        (&["/usr/bin/catatonit"], "catatonit"),
        (&["/dumb-init/init"], "sexton"),
        (&["tini/"], "sexton"),
        (&[], "sexton"),
        (&["sexton", "--dialect", "catatonit", "-g"], "catatonit"),
        (&["tini", "--dialect=native"], "sexton"),
    ] {
        let (dialect, _) = choose(Args::from_strings(args.iter().copied())).ok().unwrap();
        assert_eq!(dialect.name, name, "{args:?}");
    }
}

#[test]
fn every_dialect_has_a_help_and_no_option_twice() {
    for name in ["native", "tini", "dumb-init", "catatonit", "podman-init"] {
        for option in ["-h", "--help"] {
            let args = Args::from_strings(["sexton", "--dialect", name, option]);
            match parse(args, Environment::from_strings([""])).request {
                Ok(Request::Print(text)) => {
                    assert!(text.contains("Usage: "), "{text}");
                    let (lines, columns) = if option == "-h" { (23, 80) } else { (usize::MAX, 120) };
                    assert!(text.trim_end().lines().count() <= lines, "{text}");
                    assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn the_words_of_the_command_are_its_own_but_for_dashes_behind_its_name() {
    assert_eq!(command(&["tini", "ls", "--", "-l"]), ["ls", "-l"]);
    assert_eq!(command(&["tini", "-g", "ls", "--", "-l", "--"]), ["ls", "-l", "--"]);
    assert_eq!(command(&["tini", "--", "ls", "--", "-l"]), ["ls", "--", "-l"]);
    assert_eq!(command(&["tini", "-g", "--", "ls", "--", "-l"]), ["ls", "--", "-l"]);
    assert_eq!(command(&["tini", "ls", "-l"]), ["ls", "-l"]);
    assert_eq!(command(&["catatonit", "ls", "--"]), ["ls"]);
    assert_eq!(command(&["dumb-init", "ls", "--", "-l"]), ["ls", "--", "-l"]);
    assert_eq!(command(&["sexton", "ls", "--", "-l"]), ["ls", "--", "-l"]);
}

#[test]
fn tinis_variables_count_by_being_there() {
    let config = |environment: &[&str]| config(&["tini", "-v", "x"], environment);
    assert!(config(&["TINI_KILL_PROCESS_GROUP="]).group);
    assert!(config(&["TINI_SUBREAPER=0"]).subreaper);
    assert!(!config(&["TINI_KILL_PROCESS_GROUP=1", "SEXTON_GROUP=0"]).group, "sexton's own is the stronger one");
    for (value, level) in [
        ("", LevelFilter::Error),
        ("0", LevelFilter::Error),
        ("1", LevelFilter::Warn),
        ("x", LevelFilter::Error),
        (" 2x", LevelFilter::Info),
        ("+3", LevelFilter::Debug),
        ("-1", LevelFilter::Trace),
        ("99", LevelFilter::Trace),
    ] {
        assert_eq!(config(&[&format!("TINI_VERBOSITY={value}")]).log_level, level, "{value:?}");
    }
    assert_eq!(config(&["TINI_VERBOSITY=0", "SEXTON_LOG=warn"]).log_level, LevelFilter::Warn);
    assert_eq!(config(&[]).log_level, LevelFilter::Info);
}

#[test]
fn dumb_init_stops_its_session_with_sigstop_unless_told_otherwise() {
    use crate::signal::Signal;
    let rewritten = |args: &[&str], environment: &[&str]| config(args, environment).rewrites.apply(Signal::TSTP);
    assert_eq!(rewritten(&["dumb-init", "x"], &[]), Some(Signal::STOP));
    assert_eq!(rewritten(&["dumb-init", "-r", "20:0", "x"], &[]), None);
    assert_eq!(rewritten(&["dumb-init", "-r", "20:15", "x"], &[]), Some(Signal::TERM));
    assert_eq!(rewritten(&["dumb-init", "x"], &["SEXTON_REWRITE=TSTP:HUP"]), Some(Signal::HUP));
    assert_eq!(rewritten(&["dumb-init", "-c", "x"], &[]), Some(Signal::TSTP));
    assert_eq!(rewritten(&["dumb-init", "-r", "20:15", "-c", "x"], &[]), Some(Signal::TERM));
    assert_eq!(rewritten(&["dumb-init", "x"], &["DUMB_INIT_SETSID=0"]), Some(Signal::TSTP));
}

#[test]
fn dumb_inits_variable_for_debugging_counts_only_as_1() {
    let level = |environment: &[&str]| config(&["dumb-init", "x"], environment).log_level;
    assert_eq!(level(&["DUMB_INIT_DEBUG=1"]), LevelFilter::Debug);
    for value in ["", "0", "2", "11", "yes"] {
        assert_eq!(level(&[&format!("DUMB_INIT_DEBUG={value}")]), level(&[]), "{value:?}");
    }
    assert_ne!(level(&[]), LevelFilter::Debug);
}

#[test]
fn long_options_of_a_peer_may_be_cut_short_where_the_peer_allows_it() {
    assert!(!config(&["dumb-init", "--s", "x"], &[]).new_session);
    assert_eq!(config(&["dumb-init", "--verb", "x"], &[]).log_level, LevelFilter::Debug);
    for args in [&["dumb-init", "--ver", "x"][..], &["tini", "--vers"], &["sexton", "--gr", "x"]] {
        let args = Args::from_strings(args.iter().copied());
        assert!(parse(args, Environment::from_strings([""])).request.is_err());
    }
}

#[test]
fn sextons_own_long_options_work_under_every_name() {
    for name in ["sexton", "tini", "dumb-init", "catatonit"] {
        let config = config(&[name, "--grace-period", "9", "--rewrite=1:2", "x"], &[]);
        assert_eq!(config.grace_period.map(|period| period.as_secs()), Some(9), "{name}");
        assert_eq!(config.rewrites.apply(crate::signal::Signal::HUP), crate::signal::Signal::new(2), "{name}");
    }
}

#[test]
fn a_pause_of_catatonit_takes_no_notice_of_a_command() {
    for name in ["catatonit", "podman-init"] {
        let config = config(&[name, "-P", "true"], &[]);
        assert!(config.pause && config.command.is_empty() && config.warnings.len() == 1);
    }
}
