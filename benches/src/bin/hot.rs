//! `hot SCRIPT SEXTON`: writes into the linker script what the lives of sexton run, by its names.
//!
//! What every start runs lies together in the file then. SEXTON is a build that has its symbols.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::process::ExitCode;

use sexton_bench::launch::{self, Running};
use sexton_bench::lives::{self, LIVES, Life};
use sexton_bench::measures::settle;

const BEGIN: &str = "    /* Written by `make hot`: what the start and the end of every command run, */\n";
const FAILS: &str = "    /* what the end of a command that fails runs besides, */\n";
const THEN: &str = "    /* what the options that people use run besides, */\n";
const LAST: &str = "    /* and what lines on stderr, signals and orphans run. */\n";

/// Lives that do more than to start and to end.
const RARE: [&str; 2] = ["verbose", "stop_orphans"];

const END: &str = "    /* The end of what `make hot` writes. */\n";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hot: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [script, sexton] = words.as_slice() else { return Err(io::Error::other("hot SCRIPT SEXTON")) };
    let text = fs::read_to_string(script)?;
    let marks = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marks.ok_or_else(|| io::Error::other(format!("{script} has no place for it")))?;
    let script_file = fs::File::options().write(true).open(script)?;
    let sexton = fs::read(sexton)?;
    let command = fs::read(std::env::current_exe()?.with_file_name("command"))?;
    launch::pin().map_err(|error| io::Error::other(format!("mounts of its own: {error}: run it as root")))?;
    lives::place(&sexton, &command)?;
    let [ordinary, others @ ..] = &LIVES;
    let (rare, usual): (Vec<&Life>, Vec<&Life>) = others.iter().partition(|life| RARE.contains(&life.name));
    let exits = |lives: &[&Life]| {
        let mut names = BTreeSet::new();
        for life in lives {
            names_of(life, &["exit"], 0, |_| Ok(()), &mut names)?;
        }
        io::Result::Ok(names)
    };
    let mut every = exits(&[ordinary])?;
    // callgrind does not name the last one, from which nothing returns.
    every.extend(pattern("_Exit"));
    let mut fails = BTreeSet::new();
    names_of(ordinary, &["leave", "3"], 3, leaves, &mut fails)?;
    let mut rest = exits(&rare)?;
    names_of(ordinary, &["busy", "1"], 0, signals, &mut rest)?;
    let (mut known, mut lines) = (BTreeSet::new(), String::new());
    for (title, names) in [(BEGIN, every), (FAILS, fails), (THEN, exits(&usual)?), (LAST, rest)] {
        let new: Vec<&String> = names.difference(&known).collect();
        println!("{} functions", new.len());
        lines.push_str(title);
        lines.extend(new.iter().map(|pattern| format!("    {pattern}\n")));
        known.extend(names);
    }
    let text = [before, &lines, END, after].concat();
    // Opened before the mounts changed, for it may lie where something else is now.
    script_file.set_len(0)?;
    io::Write::write_all(&mut &script_file, text.as_bytes())
}

/// The command exits when it is told to.
fn leaves(running: &Running) -> io::Result<()> {
    running.await_ready(1)?;
    running.go();
    Ok(())
}

/// A signal, an orphan, and a stop signal.
fn signals(running: &Running) -> io::Result<()> {
    running.await_ready(1)?;
    settle(running.pid);
    running.go();
    running.await_ready(2)?;
    settle(running.pid);
    running.send(libc::SIGUSR1);
    running.await_ready(3)?;
    settle(running.pid);
    running.send(libc::SIGTERM);
    Ok(())
}

/// The sections of the functions that this life runs, as patterns.
fn names_of(
    life: &Life,
    command: &[&str],
    status: i32,
    act: impl FnOnce(&Running) -> io::Result<()>,
    names: &mut BTreeSet<String>,
) -> io::Result<()> {
    let told = lives::callgrind(life, &["--demangle=no"], command, status, act)?;
    let functions = told.lines().filter_map(|line| line.strip_prefix("fn=").or(line.strip_prefix("cfn=")));
    // The name follows the number where that comes up first.
    names.extend(functions.filter_map(|function| function.split_once(") ")).filter_map(|(_, name)| pattern(name)));
    Ok(())
}

/// A pattern for the section of this function: hashes in its name are another compiler's otherwise, and the number behind
/// a name that several functions have is another one after the next change of the source. Of libc it is the whole file,
/// which has the function's name and little else in it.
fn pattern(name: &str) -> Option<String> {
    let name = name.split('\'').next()?.split(".llvm.").next()?;
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix('.').unwrap_or(name);
    let Some(mangled) = name.strip_prefix("_R") else {
        let is_name =
            !name.starts_with(char::is_numeric) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        return is_name.then(|| format!("*libc.a:{name}.lo(.text .text.*)"));
    };
    let mut pattern = String::from("*(.text.*_R");
    let mut rest = mangled;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        pattern.push(letter);
        // Of a crate, `Cs` and its hash; of what was named before, `B` and where that was.
        let is_hash = letter == 'C' && rest.starts_with('s') || letter == 'B';
        let length =
            rest.find('_').filter(|length| is_hash && rest[..*length].chars().all(|c| c.is_ascii_alphanumeric()));
        if let Some(length) = length {
            if letter == 'C' {
                pattern.push('s');
            }
            pattern.push_str("*_");
            rest = &rest[length + 1..];
        }
    }
    if let Some(crate_at) = of_which_crate(&pattern) {
        pattern.truncate(crate_at);
    }
    pattern.push_str("*)");
    Some(pattern)
}

/// Where the crate begins for which a generic function of another one was made: the last part of its name. Of several
/// that want the same one the compiler takes any.
fn of_which_crate(pattern: &str) -> Option<usize> {
    let begin = pattern.rfind("Cs*_")?;
    let name = &pattern[begin + "Cs*_".len()..];
    let letters = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let length: usize = name[..name.len() - letters.len()].parse().ok()?;
    (letters.len() == length).then_some(begin)
}
