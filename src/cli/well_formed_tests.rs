use proptest::prelude::*;

use super::super::native::{by_clap, tests::DIALECTS};
use super::super::settings::SETTINGS;
use super::*;

fn args(words: &[Vec<u8>]) -> Args {
    Args::from_strings(std::iter::once(b"sexton".to_vec()).chain(words.iter().cloned()))
}

/// What the table makes of it, if it can be read so, and what clap makes of it, told in full.
fn both(dialect: &Dialect, args: Args) -> (Option<String>, String) {
    let mut defaults = Config::new(args.from(args.len()));
    // What the peer's variables come to must not be lost.
    defaults.subreaper = true;
    let told = |options: Result<Options, UsageError>| {
        let command = options.as_ref().map(|options| options.config.command.iter().collect::<Vec<_>>());
        format!("{command:?} {options:?}")
    };
    let by_clap = match by_clap(dialect, args, &defaults) {
        Ok(Ok(options)) => told(Ok(options)),
        Ok(Err(text)) => text,
        Err(error) => told(Err(error)),
    };
    (by_table(dialect, args, &defaults).map(told), by_clap)
}

/// An option of this dialect's in one of the ways in which it can be written.
fn option(dialect: &'static Dialect) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let values: Vec<&[u8]> = vec![
        b"TERM",
        b"sigint",
        b"9",
        b"1:2",
        b"HUP:none",
        b"20:0",
        b"30",
        b"5s",
        b"1m 3s",
        b"143",
        b"stop",
        b"json",
        b"/a",
        b"",
        b"-1",
        b"--",
        b"=3",
        b"10s:INT",
        b"20s:QUIT",
        b"wrong",
        b"\xff",
        b"x",
        b" 7 ",
        b"\"5s\"",
    ];
    let settings: Vec<&Setting> = dialect.settings().collect();
    let others = vec![
        "-v",
        "-vv",
        "-q",
        "--verbose",
        "--quiet",
        "-vg",
        "-gs",
        "-h",
        "--help",
        "-V",
        "--version",
        "-l",
        "--nope",
        "-x",
        "--check",
        "--dialect=tini",
        "--gr",
        "--verb",
        "-",
        "-\u{e9}",
        "--group=1",
        "--=",
        "-=",
    ];
    let ways = (prop::sample::select((0..settings.len()).collect::<Vec<_>>()), prop::sample::select(values), 0..5_u8);
    let written = ways.prop_map(move |(place, value, way)| {
        let setting = settings[place];
        let long = format!("--{}", setting.long).into_bytes();
        let short = dialect.short(setting.long, setting.short).map(|short| format!("-{short}").into_bytes());
        let takes_none = setting.kind == Kind::Switch;
        match (way, short) {
            (0, _) | (1, None) => vec![[&long[..], b"=", value].concat()],
            (1, Some(short)) if !takes_none => vec![[&short[..], value].concat()],
            (1 | 2, Some(short)) if takes_none => vec![short],
            (2, Some(short)) => vec![short, value.to_vec()],
            _ if takes_none || setting.kind == Kind::Optional("/dev/termination-log") => vec![long],
            _ => vec![long, value.to_vec()],
        }
    });
    prop_oneof![
        6 => written,
        1 => prop::sample::select(others).prop_map(|word| vec![word.as_bytes().to_vec()]),
    ]
}

/// A command line for the dialect of this number.
fn line(number: usize) -> impl Strategy<Value = (usize, Vec<Vec<u8>>)> {
    let dialect = DIALECTS[number];
    let rest = prop::sample::select(vec![
        vec!["server", "-v"],
        vec!["--", "server"],
        vec!["--", "--"],
        vec!["/server", "--", "-g"],
        vec!["-"],
        vec![""],
        vec!["--"],
        vec![],
    ]);
    (prop::collection::vec(option(dialect), 0..5), rest).prop_map(move |(options, rest)| {
        let rest = rest.into_iter().map(|word: &str| word.as_bytes().to_vec());
        (number, options.into_iter().flatten().chain(rest).collect())
    })
}

fn any_line() -> impl Strategy<Value = (usize, Vec<Vec<u8>>)> {
    let lines: Vec<_> = (0..DIALECTS.len()).map(|number| line(number).boxed()).collect();
    prop::strategy::Union::new(lines)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// One table, read in two ways: wherever the quick way has an answer, it is clap's.
    #[test]
    fn the_table_alone_and_clap_come_to_the_same((number, words) in any_line()) {
        let dialect = DIALECTS[number];
        if let (Some(by_table), by_clap) = both(dialect, args(&words)) {
            prop_assert_eq!(by_table, by_clap, "{}: {:?}", dialect.name, words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>());
        }
    }
}

/// What people write.
#[test]
fn clap_is_not_asked_where_all_is_written_as_the_table_has_it() {
    for setting in &SETTINGS {
        let long = format!("--{}", setting.long);
        for dialect in DIALECTS {
            let value = match (setting.long, dialect.name) {
                ("grace-period" | "pre-stop-sleep", _) => "5s",
                ("drain-file" | "termination-log", _) => "/a",
                ("escalate", _) => "5s:INT",
                ("orphans", _) => "stop",
                ("rewrite", _) => "HUP:TERM",
                ("expect-exit", _) => "143",
                ("log-format", _) => "json",
                _ => "QUIT",
            };
            let mut ways = vec![];
            match setting.kind {
                Kind::Switch => ways.push(vec![long.clone()]),
                Kind::Optional(_) => ways.extend([vec![long.clone()], vec![format!("{long}={value}")]]),
                Kind::Value | Kind::List => {
                    ways.extend([vec![format!("{long}={value}")], vec![long.clone(), value.into()]]);
                }
            }
            if let Some(short) = dialect.short(setting.long, setting.short) {
                match setting.kind {
                    Kind::Switch => ways.push(vec![format!("-v{short}{short}")]),
                    _ => ways.extend([vec![format!("-{short}{value}")], vec![format!("-{short}"), value.into()]]),
                }
            }
            for way in ways {
                let words: Vec<Vec<u8>> =
                    way.iter().map(|word| word.clone().into_bytes()).chain([b"x".to_vec()]).collect();
                // The peers' own letters may be none of theirs.
                if dialect.shorts.is_some() && way[0].starts_with("-v") && dialect.short("verbose", None).is_none() {
                    continue;
                }
                let (by_table, by_clap) = both(dialect, args(&words));
                assert_eq!(by_table.unwrap_or_else(|| panic!("{}: {way:?}", dialect.name)), by_clap, "{way:?}");
            }
        }
    }
}

#[test]
fn each_option_of_a_dialect_has_a_bit() {
    for dialect in DIALECTS {
        assert!(dialect.settings().count() <= 32);
    }
}

#[test]
fn more_values_than_usual_are_all_there() {
    let words: Vec<Vec<u8>> = (0..60).map(|code| format!("-e{code}").into_bytes()).chain([b"x".to_vec()]).collect();
    let args = args(&words);
    let options = by_table(&super::super::native::NATIVE, args, &Config::new(args)).unwrap().unwrap();
    assert!((0..60).all(|code| options.config.expected_exits.contains(code)));
    assert!(!options.config.expected_exits.contains(60));
}
