//! Any command line in any dialect, with any environment.
//!
//! The input has an argument a line, the first of them the name that sexton is called by; behind
//! an empty line, a variable a line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::cli::{Parsed, Request, UsageError, parse, parse_by_clap};
use sexton::sys::{Args, Environment};
use sexton_fuzz::growing_at_most;

/// All that was understood; the command's words in place of where they lie.
fn told(args: Args, parsed: Parsed) -> String {
    match parsed.request {
        Ok(Request::Run(mut config)) => {
            let command: Vec<_> = std::mem::replace(&mut config.command, args.from(args.len())).iter().collect();
            format!("{command:?} {config:?}")
        }
        other => format!("{other:?} {}", parsed.usage_status),
    }
}

fuzz_target!(|input: &[u8]| {
    let end = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let (args, variables) = input.split_at(end);
    let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (args, variables) = (lines(args), lines(variables.strip_prefix(b"\n\n").unwrap_or_default()));
    // The vectors that execve(2) wants live on, and tini's dialect may make a second one.
    let words = args.len() + variables.len() + 2;
    let parse_both = || {
        let (args, environment) =
            (Args::from_strings(args.clone()), Environment::from_strings(variables.clone()));
        [parse(args, environment), parse_by_clap(args, environment)].map(|parsed| told(args, parsed))
    };
    let [quick, by_clap] = parse_both();
    assert_eq!(quick, by_clap);
    growing_at_most(2 * (2 * input.len() + 64 * words), || {
        let args = Args::from_strings(args.clone());
        let environment = Environment::from_strings(variables.clone());
        let parsed = parse(args, environment);
        match parsed.request {
            Ok(Request::Run(config)) => assert!(config.pause || !config.command.is_empty()),
            Ok(Request::Print(text)) => assert!(!text.is_empty()),
            Ok(Request::Check(_)) => {}
            Err(UsageError(sentence)) => {
                assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence:?}");
                assert!([1, 125].contains(&parsed.usage_status));
            }
        }
    });
});
