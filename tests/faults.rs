//! Every system call that sexton makes fails once at each place where it is made, with each errno
//! that it can have, and nothing comes of it but what docs/faults.md says.
//!
//! The places are found by watching sexton (tests/probe/tracer.rs) in the scenarios of
//! `faults/scenarios.rs`; what each call can fail with is in `faults/errnos.rs`. `make faults` writes
//! what is seen to docs/faults.md, `make test` compares.

#[path = "faults/errnos.rs"]
mod errnos;
mod harness;
#[path = "faults/scenarios.rs"]
mod scenarios;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::{Folder, Status};
use nix::errno::Errno;
use scenarios::{Life, Scenario, scenarios};

/// What a fault may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// As without it: the same status, and the same words by the command and by sexton.
    Same,
    /// The same, and sexton says more.
    Warned,
    /// The same, but sexton says less, or knows less of what it says.
    LessSaid,
    /// Status 125, 126 or 127 with a reason, and the command was not started.
    NotStarted,
}

/// A fault: the so-manyth call of this name fails.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    name: String,
    nth: usize,
    errno: Errno,
}

/// So long nothing takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

/// Places in a loop over all processes or all of a file are all alike: the first calls and the last
/// are tried.
const FIRST: usize = 2;

/// But for these, which each search of `/proc` makes once: every search has its own purpose.
const ONCE_A_SEARCH: [&str; 3] = ["sexton readlink /proc/self", "sexton openat /proc", "sexton getdents64 /proc"];

/// So often a life without a fault must be the same, for a difference to mean something.
const REPEATS: usize = 2;

fn judge(usual: &Life, seen: &Life) -> Result<Outcome, String> {
    let warned = seen.lines.iter().any(|line| !usual.lines.contains(line));
    let exit_status = |status| match status {
        Status::Exited(status) => status,
        // `--reraise`, and a warning if it cannot be done.
        Status::Killed(signal) if warned => 128 + signal,
        Status::Killed(signal) => -signal,
    };
    // What the command may have to do without if sexton says so: a signal until it is sent again
    // (`probe converse`), the foreground, the kernel's promise of --die-with-sexton.
    let may_miss = ["again", "foreground", "parent-death-signal"];
    let said = |life: &Life| -> Vec<String> {
        let lines = life.stdout.lines().filter(|line| !(warned && may_miss.iter().any(|word| line.starts_with(word))));
        lines.map(str::to_owned).collect()
    };
    if exit_status(seen.status) == exit_status(usual.status) && said(seen) == said(usual) {
        let missing = usual.lines.iter().any(|line| !seen.lines.contains(line));
        return Ok(match seen.lines == usual.lines {
            true => Outcome::Same,
            false if missing => Outcome::LessSaid,
            false => Outcome::Warned,
        });
    }
    // dumb-init's own are 1 and 2.
    let refused = matches!(seen.status, Status::Exited(1 | 2 | 125..=127));
    if refused && seen.stdout.is_empty() && !seen.lines.is_empty() {
        return Ok(Outcome::NotStarted);
    }
    Err(format!("usually {usual:#?}\nnow {seen:#?}"))
}

/// The faults of a scenario, from what it calls when nothing fails.
///
/// Without `all` two errnos for each place, other ones for the next place of the same name: the places are
/// many, and alike.
fn faults(calls: &[String], is_first: bool, all: bool, turns: &mut BTreeMap<String, usize>) -> Vec<Fault> {
    let mut counts: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
    for (index, name) in calls.iter().enumerate() {
        counts.entry(name).or_default().push(index);
    }
    // What libc does before it calls `main` is the same each time.
    let main = calls.iter().position(|name| name == "sexton rt_sigaction").unwrap_or(0);
    let mut faults = Vec::new();
    for (name, places) in counts {
        let errnos = errnos::of(name);
        let turn = turns.entry(name.clone()).or_default();
        for (index, place) in places.iter().enumerate() {
            let is_in_a_loop = index >= FIRST && index + 1 < places.len() && !ONCE_A_SEARCH.contains(&name.as_str());
            if is_in_a_loop || (!is_first && *place < main) {
                continue;
            }
            let taken = if all { errnos.len() } else { errnos.len().min(2) };
            for errno in errnos.iter().cycle().skip(*turn).take(taken) {
                faults.push(Fault { name: name.clone(), nth: index + 1, errno: *errno });
            }
            *turn = (*turn + taken) % errnos.len().max(1);
        }
    }
    faults
}

/// What comes of this fault, and what was said other than usual; none if the call was not made this time.
fn outcome(scenario: &Scenario, usual: &Life, fault: &Fault) -> Result<Option<(Outcome, String)>, String> {
    let Fault { name, nth, errno } = fault;
    let order = format!("fault={nth}:{}:{name}", *errno as i32);
    let told = |why: String| format!("{}: {errno:?} for call {nth} of `{name}`: {why}", scenario.name);
    let Some((seen, traced)) = scenario.run(&[order], PATIENCE) else {
        return Err(told("a hang, or a command that was left behind".into()));
    };
    // Orphans of a process that is no subreaper are out of its sight, and it says so.
    let may_leave = seen.lines.iter().any(|line| line.contains("cannot become a subreaper"));
    if !may_leave && traced.iter().any(|line| line == "left") {
        return Err(told("the command, or what it left, was left behind".into()));
    }
    if !traced.iter().any(|line| line == "fault") {
        return Ok(None);
    }
    let outcome = judge(usual, &seen).map_err(told)?;
    let only = |these: &Life, those: &Life| -> Vec<String> {
        these.lines.iter().filter(|line| !those.lines.contains(line)).cloned().collect()
    };
    let difference = format!("{}: not {:?}, but {:?}", scenario.name, only(usual, &seen), only(&seen, usual));
    Ok(Some((outcome, difference)))
}

#[derive(Default)]
struct Seen {
    outcomes: BTreeMap<String, BTreeMap<Outcome, BTreeSet<String>>>,
    /// Where an errno of a call first had an outcome.
    examples: BTreeMap<(String, Outcome, String), String>,
    tried: usize,
    wrong: Vec<String>,
}

fn try_faults(all: bool) -> Seen {
    let folder = Folder::new();
    let scenarios = scenarios(&folder);
    let (mut work, mut turns) = (Vec::new(), BTreeMap::new());
    for (index, scenario) in scenarios.iter().enumerate() {
        let (usual, traced) = scenario.run(&["trace".into()], PATIENCE).expect("without a fault there is no hang");
        let calls: Vec<String> =
            traced.iter().filter_map(|line| line.strip_prefix("call ")).map(str::to_owned).collect();
        assert!(!calls.is_empty(), "{}: nothing was traced", scenario.name);
        for _ in 0..REPEATS {
            let again = scenario.run(&["trace".into()], PATIENCE).expect("nor a second time");
            assert_eq!(again.0, usual, "{}: it is not the same each time", scenario.name);
        }
        let faults = faults(&calls, index == 0, all, &mut turns);
        work.extend(faults.into_iter().map(|fault| (scenario, usual.clone(), fault)));
    }
    let (next, seen) = (AtomicUsize::new(0), Mutex::new(Seen::default()));
    let work_off = || {
        while let Some((scenario, usual, fault)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = outcome(scenario, usual, fault);
            let mut seen = seen.lock().unwrap();
            seen.tried += 1;
            match outcome {
                Ok(Some((outcome, difference))) => {
                    let errno = format!("{:?}", fault.errno);
                    seen.examples.entry((fault.name.clone(), outcome, errno.clone())).or_insert(difference);
                    seen.outcomes.entry(fault.name.clone()).or_default().entry(outcome).or_default().insert(errno);
                }
                Ok(None) => {}
                Err(why) => seen.wrong.push(why),
            }
        }
    };
    std::thread::scope(|scope| {
        // Most of a life is a wait, for a deadline or for each other.
        for _ in 0..6 * std::thread::available_parallelism().map_or(2, |count| count.get()) {
            scope.spawn(work_off);
        }
    });
    seen.into_inner().unwrap()
}

const OUTCOMES: [Outcome; 4] = [Outcome::Same, Outcome::Warned, Outcome::LessSaid, Outcome::NotStarted];

/// A row for each name of a call, and its cells.
type Table = BTreeMap<String, [String; OUTCOMES.len()]>;

fn row(name: &str, outcomes: &BTreeMap<Outcome, BTreeSet<String>>) -> (String, [String; OUTCOMES.len()]) {
    let mut words = name.splitn(3, ' ');
    let (who, call) = (words.next().unwrap(), words.next().unwrap());
    let about = words.next().map_or(String::new(), |about| format!(", {about}"));
    let cell = |outcome| match outcomes.get(&outcome) {
        Some(seen) if seen.len() == errnos::of(name).len() => "all".to_owned(),
        Some(errnos) => errnos.iter().cloned().collect::<Vec<_>>().join(" "),
        None => String::new(),
    };
    (format!("| {who} | `{call}`{about}"), OUTCOMES.map(cell))
}

fn table(seen: &Seen) -> Table {
    seen.outcomes.iter().map(|(name, outcomes)| row(name, outcomes)).collect()
}

fn written(table: &Table) -> String {
    let mut text = "| who | call | same result | and a warning | less said | not started |\n\
         | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (call, cells) in table {
        writeln!(text, "{call} | {} |", cells.join(" | ")).unwrap();
    }
    text
}

fn read(text: &str) -> Table {
    let row = |line: &str| {
        let mut cells = line.trim_end_matches('|').rsplitn(OUTCOMES.len() + 1, '|').map(str::trim);
        let mut row = OUTCOMES.map(|_| cells.next().unwrap().to_owned());
        row.reverse();
        (cells.next().unwrap().to_owned(), row)
    };
    text.lines().skip(2).map(row).collect()
}

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
const END: &str = "<!-- the end of what `make faults` writes -->\n";

/// What comes before the table of this file.
fn begin() -> String {
    let which = if errnos::is_release_file() { "the release file" } else { "the plain build" };
    format!("<!-- {which}, written by `make faults` -->\n")
}

#[test]
fn each_system_call_may_fail_and_nothing_comes_of_it_but_what_the_table_says() {
    let writes = std::env::var_os("WRITE_FAULTS").is_some();
    let seen = try_faults(writes);
    eprintln!("{} faults tried", seen.tried);
    assert!(seen.wrong.is_empty(), "{} of {}:\n{}", seen.wrong.len(), seen.tried, seen.wrong.join("\n\n"));
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let begin = begin();
    let (before, rest) = document.split_once(&begin).unwrap();
    let (known, after) = rest.split_once(END).unwrap();
    if writes {
        let table = written(&table(&seen));
        return std::fs::write(DOCUMENT, [before, &begin, &table, END, after].concat()).unwrap();
    }
    let known = read(known);
    let mut wrong: Vec<String> = Vec::new();
    for (name, outcomes) in &seen.outcomes {
        let (call, _) = row(name, outcomes);
        let cells = match known.get(&call) {
            // The table is of release builds.
            None if errnos::is_debug_build() && call.contains("`fcntl`") => {
                assert!(outcomes.keys().all(|outcome| *outcome == Outcome::Same), "{call}");
                continue;
            }
            cells => cells.cloned().unwrap_or_default(),
        };
        for (outcome, errno) in outcomes.iter().flat_map(|(outcome, errnos)| errnos.iter().map(move |e| (outcome, e))) {
            let cell = &cells[OUTCOMES.iter().position(|known| known == outcome).unwrap()];
            if cell != "all" && !cell.split(' ').any(|known| known == errno) {
                let example = &seen.examples[&(name.clone(), *outcome, errno.clone())];
                wrong.push(format!("{call}: {errno} is {outcome:?} in {example}"));
            }
        }
    }
    let seen = table(&seen);
    wrong.extend(known.keys().filter(|call| !seen.contains_key(*call)).map(|call| format!("{call}: is not called")));
    assert!(
        wrong.is_empty(),
        "docs/faults.md is not what is seen, `make faults` writes it anew:\n{}",
        wrong.join("\n")
    );
}
