//! A command for the tests, and the process that starts sexton for them.
//!
//! It has the C `main` and no Rust start-up, so that what it sees of the signals and descriptors
//! it was given is what sexton gave it. It is one static file, so it runs in an image made FROM
//! scratch. `probe help` lists what it does; each part is one word on the command line.

#![no_main]
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]
// What it starts is to have what it has itself.
#![allow(clippy::disallowed_methods)]
#![allow(missing_docs)]

mod command;
mod first;
mod launcher;
mod raw;
mod storm;
mod stuck;
mod tracer;

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let args: Vec<OsString> = (1..argc as usize)
        .map(|index| OsString::from_vec(unsafe { CStr::from_ptr(*argv.add(index)) }.to_bytes().to_vec()))
        .collect();
    run(&args)
}

/// Does what the words say.
fn run(args: &[OsString]) -> i32 {
    let (word, rest) = match args.split_first() {
        Some((word, rest)) => (word.to_string_lossy().into_owned(), rest),
        None => (String::new(), &[][..]),
    };
    match word.as_str() {
        "run" => launcher::run(rest),
        "first-process" => first::first_process(rest),
        "state" => command::state(rest),
        "record" => command::record(rest),
        "converse" => command::converse(rest),
        "exit" => command::number(rest, 0),
        "die" => command::die(command::number(rest, 0)),
        "ignore" => command::ignore(rest),
        "orphans" => command::orphans(command::number(rest, 0), command::number(rest, 1)),
        "zombies" => command::zombies(command::number(rest, 0)),
        "moved" => command::moved(rest),
        "orphaned" => command::orphaned(rest),
        "leaves-session" => command::leaves_session(rest),
        "adopts" => command::adopts(rest),
        "no-reader" => command::no_reader(rest),
        "held" => command::held(rest),
        "headless" => command::headless(rest),
        "server" => command::server(command::number(rest, 0)),
        "storm" => storm::storm(rest),
        "starve" => storm::starve(),
        "flood" => storm::flood(rest),
        "sleepers" => command::sleepers(command::number(rest, 0)),
        "bomb" => command::bomb(command::number(rest, 0)),
        "eat" => command::eat(),
        "eat-later" => command::eat_later(),
        "eaten-child" => command::eaten_child(command::number(rest, 0)),
        "hoard" => command::hoard(command::number(rest, 0)),
        "spin" => command::spin(command::number(rest, 0), command::number(rest, 1)),
        "take" => command::take(command::number(rest, 0), &rest[1..]),
        "burn" => command::burn(command::number(rest, 0)),
        "accept" => command::accept(),
        "calls" => command::calls(),
        "block" => stuck::block(rest),
        "drain" => stuck::drain(rest),
        "vfork" => stuck::vfork(),
        "traced" => stuck::traced(),
        "namespace" => stuck::namespace(rest),
        "setuid" => command::setuid(command::number(rest, 0), &rest[1..]),
        other => {
            eprintln!(
                "probe: unknown word {other:?}: run first-process state record converse exit die ignore orphans zombies orphaned leaves-session adopts no-reader held headless server storm starve flood sleepers bomb eat eat-later eaten-child hoard burn spin take accept calls block drain vfork traced namespace setuid"
            );
            99
        }
    }
}
