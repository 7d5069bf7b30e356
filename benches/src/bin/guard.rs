//! `guard [--lower] LIMITS NAME=SEXTON...`: what sexton costs, whatever the machine's speed, against
//! committed numbers that may only fall.
//!
//! Each build runs as PID 1 of a small container's surroundings that are the same on every machine.
//! With `--lower` the file gets the numbers that fell and those that were not in it, and loses those
//! that nobody asks for any more.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sexton_bench::calls::{self, Calls};
use sexton_bench::launch;
use sexton_bench::lives::{self, LIVES, Life, PINNED};
use sexton_bench::measures::settle;
use sexton_bench::proc;

/// What each costs that comes more than once is seen from many: not all of them cost the same.
const MANY: u32 = 100;

/// What is counted, and how.
type Question = fn(&Life) -> io::Result<u64>;

/// Of every life.
const OF_EACH: [(&str, &str, Question); 4] = [
    ("calls", "system calls, the child's before its exec included", calls_of_a_life),
    ("faults", "page faults until it is idle", faults),
    ("instructions", "instructions", instructions),
    ("windows", "parts of the file, of 64 KB, in which they lie", windows),
];

/// Of the ordinary one.
const OF_ONE: [(&str, &str, Question); 4] = [
    ("signals_calls", "system calls for a hundred signals forwarded", calls_of_signals),
    ("orphans_calls", "system calls for a hundred orphans reaped", calls_of_orphans),
    ("wake_ups", "wake-ups in three idle seconds", wake_ups),
    ("size", "bytes of the file, in whole pages", size),
];

/// All questions: the key of each, what is printed, and the life that is asked.
fn questions() -> impl Iterator<Item = (String, String, Question, &'static Life)> {
    // What is said has times in it, and how much there is to be said depends on the machine.
    let of_each = LIVES.iter().filter(|life| life.name != "verbose").flat_map(|life| {
        OF_EACH.map(|(key, title, question)| {
            let key = if life.name.is_empty() { key.to_owned() } else { format!("{}_{key}", life.name) };
            let line = [&[life.called], life.options, life.variables].concat().join(" ");
            (key, format!("{line}: {title}"), question, life)
        })
    });
    // How long the numbers are that it reads in /proc depends on the machine.
    let of_each = of_each.filter(|(key, ..)| key != "stop_orphans_instructions");
    let of_one = OF_ONE.map(|(key, title, question)| (key.to_owned(), title.to_owned(), question, &LIVES[0]));
    of_each.chain(of_one)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("guard: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether no number rose.
fn run() -> io::Result<bool> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let lower = words.first().is_some_and(|word| word == "--lower");
    words.drain(..usize::from(lower));
    let usage = || io::Error::other("guard [--lower] LIMITS NAME=SEXTON...");
    let (file, builds) = words.split_first().ok_or_else(usage)?;
    let file = Path::new(file);
    let text = fs::read_to_string(file)?;
    let mut limits = read(&text)?;
    // The file may not be seen any more once the mounts are our own.
    let builds = builds.iter().map(|build| build.split_once('=').ok_or_else(usage));
    let builds = builds.collect::<io::Result<Vec<_>>>()?;
    let files = builds.iter().map(|(_, path)| read_program(Path::new(path))).collect::<io::Result<Vec<_>>>()?;
    let command = read_program(&std::env::current_exe()?.with_file_name("command"))?;
    launch::pin().map_err(|error| io::Error::other(format!("mounts of its own: {error}: run it as root")))?;
    let mut holds = true;
    for ((name, _), program) in builds.iter().zip(files) {
        lives::place(&program, &command)?;
        for (key, title, question, life) in questions() {
            let number = question(life).map_err(|error| io::Error::other(format!("{name}, {title}: {error}")))?;
            let limit = limits.get_mut(&format!("{name} {key}"));
            let (is_good, word) = verdict(number, limit.as_deref().copied());
            println!("{name:<6} {title:<96} {number:>9}  {word}");
            holds &= is_good || (lower && limit.is_none());
            if limit.is_none_or(|limit| number < *limit) {
                limits.insert(format!("{name} {key}"), number);
            }
        }
    }
    if lower {
        let is_asked = |key: &str| questions().any(|(question, ..)| key == question);
        let is_here = |name: &str| builds.iter().any(|(build, _)| name == *build);
        limits.retain(|line, _| line.split_once(' ').is_some_and(|(name, key)| is_asked(key) || !is_here(name)));
        let comments = text.lines().filter(|line| line.starts_with('#')).map(str::to_owned);
        let numbers = limits.iter().map(|(key, number)| format!("{key} {number}"));
        let lines: Vec<String> = comments.chain(numbers).collect();
        fs::write(file, lines.join("\n") + "\n")?;
    } else if !holds {
        println!("What rose must be made cheaper again. `make guard GUARD=--lower` writes the numbers that fell.");
    }
    Ok(holds)
}

fn verdict(number: u64, limit: Option<u64>) -> (bool, String) {
    match limit {
        None => (false, "has no committed number".into()),
        Some(limit) if number > limit => (false, format!("ROSE from {limit}")),
        Some(limit) if number < limit => (true, format!("fell from {limit}: commit the lower number")),
        Some(_) => (true, "as committed".into()),
    }
}

/// Lines of `BUILD QUESTION NUMBER`.
fn read(text: &str) -> io::Result<BTreeMap<String, u64>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let numbers = lines.map(|line| {
        let (key, number) = line.rsplit_once(' ')?;
        Some((key.to_owned(), number.parse().ok()?))
    });
    numbers.collect::<Option<_>>().ok_or_else(|| io::Error::other("a line of the committed numbers makes no sense"))
}

fn read_program(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// The system calls of a whole life in which so many signals and orphans come.
fn calls(life: &Life, signals: u32, orphans: u32) -> io::Result<Calls> {
    let traced = calls::start(&life.line(&["busy", &orphans.to_string()]), &life.environment(), PINNED)?;
    let running = &traced.running;
    // One at a time, and sexton has done with each before the next one comes: two that come
    // together cost less.
    for orphan in 0..orphans {
        running.await_ready(1 + orphan)?;
        settle(running.pid);
        running.go();
    }
    running.await_ready(1 + orphans)?;
    for signal in 1..=signals {
        settle(running.pid);
        running.send(libc::SIGUSR1);
        running.await_ready(1 + orphans + signal)?;
    }
    settle(running.pid);
    running.send(libc::SIGTERM);
    traced.finish()
}

/// What sexton itself calls for so many signals and orphans, above what it does without them.
fn more_calls(life: &Life, signals: u32, orphans: u32) -> io::Result<u64> {
    let [none, many] = [calls(life, 0, 0)?, calls(life, signals, orphans)?].map(|calls| calls.own.len());
    Ok(many.saturating_sub(none) as u64)
}

fn calls_of_a_life(life: &Life) -> io::Result<u64> {
    let calls = calls::start(&life.line(&["exit"]), &life.environment(), PINNED)?.finish()?;
    Ok((calls.own.len() + calls.child.len()) as u64)
}

fn calls_of_signals(life: &Life) -> io::Result<u64> {
    more_calls(life, MANY, 0)
}

fn calls_of_orphans(life: &Life) -> io::Result<u64> {
    more_calls(life, 0, MANY)
}

fn wake_ups(life: &Life) -> io::Result<u64> {
    let running = launch::start(&life.line(&["wait"]), &life.environment(), PINNED)?;
    running.await_ready(1)?;
    settle(running.pid);
    let switches = || proc::switches(running.pid).ok_or_else(|| io::Error::other("/proc does not tell"));
    let before = switches()?;
    std::thread::sleep(Duration::from_secs(3));
    Ok((switches()? - before) as u64)
}

fn faults(life: &Life) -> io::Result<u64> {
    let running = launch::start(&life.line(&["wait"]), &life.environment(), PINNED)?;
    running.await_ready(1)?;
    settle(running.pid);
    let before = running.shared().faults.load(std::sync::atomic::Ordering::Acquire);
    let faults = proc::faults(running.pid).ok_or_else(|| io::Error::other("/proc does not tell"))?;
    Ok(faults as u64 - before)
}

/// Of the cheapest of some lives: what the clock shows makes a subtraction cost more or less.
fn instructions(life: &Life) -> io::Result<u64> {
    let count = || {
        let told = lives::callgrind(life, &[], &["exit"], 0, |_| Ok(()))?;
        let total = told.lines().find_map(|line| line.strip_prefix("totals:")?.trim().parse().ok());
        total.ok_or_else(|| io::Error::other("callgrind tells no total"))
    };
    let lives = (0..5).map(|_| count()).collect::<io::Result<Vec<u64>>>()?;
    Ok(lives.into_iter().min().unwrap_or_default())
}

/// At each page fault the kernel maps the pages around it, as far as a part of 64 KB goes: another part is another
/// page fault.
fn windows(life: &Life) -> io::Result<u64> {
    let told = lives::callgrind(life, &["--dump-instr=yes", "--compress-pos=no"], &["exit"], 0, |_| Ok(()))?;
    let addresses = told.lines().filter_map(|line| line.strip_prefix("0x")?.split(' ').next());
    let addresses = addresses.filter_map(|address| u64::from_str_radix(address, 16).ok());
    Ok(addresses.map(|address| address >> 16).collect::<std::collections::BTreeSet<_>>().len() as u64)
}

fn size(life: &Life) -> io::Result<u64> {
    // The names of source files that are in it depend on where the sources are.
    const PAGE: u64 = 4096;
    Ok(fs::metadata(life.line(&[])[0])?.len().next_multiple_of(PAGE))
}
