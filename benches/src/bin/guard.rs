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
use sexton_bench::launch::{self, PLACE, Setup};
use sexton_bench::measures::{ENVIRONMENT, settle};
use sexton_bench::proc;

const PINNED: Setup = Setup { cpu: None, own_proc: true, hold: false, pinned: true };

/// What each costs that comes more than once is seen from many: not all of them cost the same.
const MANY: u32 = 100;

/// What is counted, and how.
type Question = fn(&Build) -> io::Result<u64>;
const QUESTIONS: [(&str, &str, Question); 7] = [
    ("calls", "system calls of a life, the child's before its exec included", calls_of_a_life),
    ("signals_calls", "system calls for a hundred signals forwarded", calls_of_signals),
    ("orphans_calls", "system calls for a hundred orphans reaped", calls_of_orphans),
    ("wake_ups", "wake-ups in three idle seconds", wake_ups),
    ("faults", "page faults until it is idle", faults),
    ("instructions", "instructions of a life", instructions),
    ("size", "bytes of the file, in whole pages", size),
];

struct Build {
    sexton: String,
    command: String,
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
        let build = Build { sexton: place("sexton", &program)?, command: place("command", &command)? };
        for (key, title, question) in QUESTIONS {
            let number = question(&build).map_err(|error| io::Error::other(format!("{name}, {title}: {error}")))?;
            let limit = limits.get_mut(&format!("{name} {key}"));
            let (is_good, word) = verdict(number, limit.as_deref().copied());
            println!("{name:<6} {title:<62} {number:>9}  {word}");
            holds &= is_good || (lower && limit.is_none());
            if limit.is_none_or(|limit| number < *limit) {
                limits.insert(format!("{name} {key}"), number);
            }
        }
    }
    if lower {
        let is_asked = |key: &str| QUESTIONS.iter().any(|(question, ..)| key == *question);
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

fn place(name: &str, program: &[u8]) -> io::Result<String> {
    use std::os::unix::fs::PermissionsExt;
    let path = format!("{PLACE}/{name}");
    fs::write(&path, program)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

impl Build {
    fn line<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        [&[self.sexton.as_str(), "--", self.command.as_str()], command].concat()
    }

    /// The system calls of a whole life in which so many signals and orphans come.
    fn calls(&self, signals: u32, orphans: u32) -> io::Result<Calls> {
        let traced = calls::start(&self.line(&["busy", &orphans.to_string()]), ENVIRONMENT, PINNED)?;
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
    fn more_calls(&self, signals: u32, orphans: u32) -> io::Result<u64> {
        let [none, many] = [self.calls(0, 0)?, self.calls(signals, orphans)?].map(|calls| calls.own.len());
        Ok(many.saturating_sub(none) as u64)
    }
}

fn calls_of_a_life(build: &Build) -> io::Result<u64> {
    let calls = calls::start(&build.line(&["exit"]), ENVIRONMENT, PINNED)?.finish()?;
    Ok((calls.own.len() + calls.child.len()) as u64)
}

fn calls_of_signals(build: &Build) -> io::Result<u64> {
    build.more_calls(MANY, 0)
}

fn calls_of_orphans(build: &Build) -> io::Result<u64> {
    build.more_calls(0, MANY)
}

fn wake_ups(build: &Build) -> io::Result<u64> {
    let running = launch::start(&build.line(&["wait"]), ENVIRONMENT, PINNED)?;
    running.await_ready(1)?;
    settle(running.pid);
    let switches = || proc::switches(running.pid).ok_or_else(|| io::Error::other("/proc does not tell"));
    let before = switches()?;
    std::thread::sleep(Duration::from_secs(3));
    Ok((switches()? - before) as u64)
}

fn faults(build: &Build) -> io::Result<u64> {
    let running = launch::start(&build.line(&["wait"]), ENVIRONMENT, PINNED)?;
    running.await_ready(1)?;
    settle(running.pid);
    let before = running.shared().faults.load(std::sync::atomic::Ordering::Acquire);
    let faults = proc::faults(running.pid).ok_or_else(|| io::Error::other("/proc does not tell"))?;
    Ok(faults as u64 - before)
}

/// Of the cheapest of some lives: what the clock shows makes a subtraction cost more or less.
fn instructions(build: &Build) -> io::Result<u64> {
    let lives = (0..5).map(|_| instructions_of_a_life(build)).collect::<io::Result<Vec<_>>>()?;
    Ok(lives.into_iter().min().unwrap_or_default())
}

fn instructions_of_a_life(build: &Build) -> io::Result<u64> {
    let out = format!("{PLACE}/callgrind");
    let option = format!("--callgrind-out-file={out}");
    let valgrind = ["/usr/bin/valgrind", "--tool=callgrind", &option];
    if !Path::new(valgrind[0]).exists() {
        return Err(io::Error::other("valgrind is not installed: apt-get install valgrind"));
    }
    let line = [&valgrind[..], &build.line(&["exit"])].concat();
    let running = launch::start(&line, ENVIRONMENT, PINNED)?;
    running.await_death();
    let status = running.reap();
    let text = fs::read_to_string(&out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:")?.trim().parse().ok());
    total.filter(|_| status == 0).ok_or_else(|| io::Error::other(format!("valgrind ends with status {status}")))
}

fn size(build: &Build) -> io::Result<u64> {
    // The names of source files that are in it depend on where the sources are.
    const PAGE: u64 = 4096;
    Ok(fs::metadata(&build.sexton)?.len().next_multiple_of(PAGE))
}
