//! Puts the questions. In each round every contestant is asked once, and each round begins with another
//! one. Where time counts, we, the init and the command share one CPU, so that it does not matter
//! how busy the other ones are, nor where the scheduler would have put each of us.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::contestants::{Contestant, Field, Kind};
use crate::launch::{Running, Setup, go_anywhere, now, start, stay_on};
use crate::questions::{self, key_of};
use crate::shared::TO_NOTE;
use crate::table::{Cell, Row, Table, noise};
use crate::ways::{GROUP, PLAIN, STOP_ORPHANS, WAYS, Way};
use crate::{calls, proc};

/// What all programs get to see, and no more.
pub const ENVIRONMENT: &[&str] = &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"];

/// The CPU that time is measured on.
const CPU: usize = 0;

/// How often the questions about one way to start an init are put.
#[derive(Clone, Copy, Debug)]
struct OfAWay {
    life: usize,
    exit: usize,
    signals: usize,
    memory: usize,
}

/// How often each question is put.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    plain: OfAWay,
    ways: OfAWay,
    reaping: usize,
    instances: usize,
    growth: usize,
    shutdown: usize,
    large_shutdown: usize,
}

impl Rounds {
    /// In a few minutes.
    pub const QUICK: Rounds = Rounds {
        plain: OfAWay { life: 200, exit: 100, signals: 15, memory: 21 },
        ways: OfAWay { life: 50, exit: 25, signals: 5, memory: 11 },
        reaping: 5,
        instances: 1,
        growth: 10,
        shutdown: 5,
        large_shutdown: 1,
    };
    /// In a quarter of an hour.
    pub const FULL: Rounds = Rounds {
        plain: OfAWay { life: 2000, exit: 1000, signals: 100, memory: 51 },
        ways: OfAWay { life: 400, exit: 200, signals: 20, memory: 21 },
        reaping: 21,
        instances: 3,
        growth: 100,
        shutdown: 21,
        large_shutdown: 5,
    };
}

const SIGNALS_A_ROUND: usize = 100;
const BURSTS_A_ROUND: usize = 20;
const ORPHANS: usize = 1000;
const FEW: usize = 500;
const BURST: usize = 5000;
const INSTANCES: usize = 200;
const IDLE: Duration = Duration::from_secs(10);

const TIMED: Setup = Setup { cpu: Some(CPU), own_proc: false, hold: false, pinned: false };
const FREE: Setup = Setup { cpu: None, ..TIMED };
const CONTAINED: Setup = Setup { own_proc: true, ..FREE };

/// Puts all questions.
///
/// # Errors
///
/// A contestant does not do what inits do; which one and when is in the text.
pub fn all(field: &Field, rounds: Rounds) -> io::Result<Table> {
    let mut answers = Answers { field, numbers: HashMap::new() };
    answers.way(&PLAIN, rounds.plain)?;
    answers.bursts_of_signals(rounds.plain.signals)?;
    answers.orphans(rounds.reaping)?;
    answers.zombies(rounds.reaping)?;
    answers.storm(rounds.reaping)?;
    answers.idle()?;
    answers.instances(rounds.instances)?;
    answers.size();
    for way in &WAYS {
        answers.way(way, rounds.ways)?;
    }
    answers.growing_starts(rounds.growth)?;
    answers.growing_shutdowns(rounds.shutdown, rounds.large_shutdown)?;
    answers.table()
}

/// For each contestant the numbers of all rounds.
type Numbers = Vec<Vec<f64>>;

struct Answers<'a> {
    field: &'a Field,
    numbers: HashMap<String, Numbers>,
}

impl Answers<'_> {
    /// Asks all contestants once a round. Each answer is as many numbers as there are kinds of them.
    fn ask<const KINDS: usize>(
        &self,
        what: &str,
        rounds: usize,
        mut question: impl FnMut(&Contestant) -> io::Result<Option<[f64; KINDS]>>,
    ) -> io::Result<[Numbers; KINDS]> {
        let answers = self.ask_for_many(what, rounds, |contestant| Ok(question(contestant)?.into_iter().collect()))?;
        Ok(answers)
    }

    /// The same, with any number of such answers a round.
    fn ask_for_many<const KINDS: usize>(
        &self,
        what: &str,
        rounds: usize,
        mut question: impl FnMut(&Contestant) -> io::Result<Vec<[f64; KINDS]>>,
    ) -> io::Result<[Numbers; KINDS]> {
        eprintln!("{what}…");
        let contestants = &self.field.contestants;
        let count = contestants.len();
        let mut numbers = [const { Vec::new() }; KINDS];
        numbers.iter_mut().for_each(|numbers| numbers.resize(count, Vec::new()));
        for round in 0..rounds {
            for place in 0..count {
                // Now forwards, now backwards: nobody always follows the same one, and what it leaves to do.
                let place = if round % 2 == 0 { place } else { count - 1 - place };
                let index = (round + place) % count;
                let answer = question(&contestants[index]);
                let answer = answer.map_err(|error| {
                    io::Error::other(format!("{what}, {}: {error}", contestants[index].column.name))
                })?;
                for answer in answer {
                    for (numbers, number) in numbers.iter_mut().zip(answer) {
                        numbers[index].push(number);
                    }
                }
            }
        }
        Ok(numbers)
    }

    fn add(&mut self, key: impl Into<String>, numbers: Numbers) {
        self.numbers.insert(key.into(), numbers);
    }

    /// What is more than without an init. The command alone keeps its numbers.
    fn overhead(&self, mut numbers: Numbers) -> Numbers {
        let is_bare: Vec<bool> = self.field.contestants.iter().map(|one| one.kind() == Kind::Bare).collect();
        let alone = numbers.iter().zip(&is_bare).find(|(_, is_bare)| **is_bare);
        let alone = alone.and_then(|(numbers, _)| Cell::of(numbers)).map_or(0.0, |cell| cell.median);
        for (numbers, _) in numbers.iter_mut().zip(is_bare).filter(|(_, is_bare)| !is_bare) {
            numbers.iter_mut().for_each(|number| *number -= alone);
        }
        numbers
    }

    /// Fewer and more of something, and how many times as long the more take.
    fn add_growth(&mut self, key: &str, few: Numbers, many: Numbers) {
        let growth = few.iter().zip(&many).map(|(few, many)| {
            let (Some(few), Some(many)) = (Cell::of(few), Cell::of(many)) else { return Vec::new() };
            vec![many.median / few.median]
        });
        let growth = growth.collect();
        self.add(format!("{key} few"), few);
        self.add(format!("{key} many"), many);
        self.add(format!("{key} growth"), growth);
    }

    /// All that was asked, in the order of the questions.
    fn table(mut self) -> io::Result<Table> {
        let contestants = &self.field.contestants;
        let first = |kind: Kind| contestants.iter().position(|contestant| contestant.kind() == kind);
        let (sexton, again) = (first(Kind::Sexton), first(Kind::Again));
        let rows = questions::all().into_iter().map(|question| {
            let numbers = self.numbers.remove(&question.key);
            let numbers = numbers.ok_or_else(|| io::Error::other(format!("nobody asked: {}", question.title)))?;
            let noise = sexton.zip(again).and_then(|(sexton, again)| noise(&numbers[sexton], &numbers[again]));
            let cells = numbers.iter().map(|numbers| Cell::of(numbers)).collect();
            Ok(Row { question, cells, noise })
        });
        let rows = rows.collect::<io::Result<Vec<_>>>()?;
        if let Some(key) = self.numbers.keys().next() {
            return Err(io::Error::other(format!("no table has {key}")));
        }
        Ok(Table { columns: contestants.iter().map(|contestant| contestant.column.clone()).collect(), rows })
    }

    /// Runs something else on the one CPU.
    fn on_one_cpu<T>(&self, run: impl FnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        stay_on(CPU)?;
        let result = run(self);
        go_anywhere()?;
        result
    }

    fn start(&self, contestant: &Contestant, way: &Way, command: &[&str], setup: Setup) -> io::Result<Running> {
        let command = [&[self.field.command.as_str()], command].concat();
        start(&contestant.line(way, &command), &[ENVIRONMENT, way.variables].concat(), setup)
    }

    /// Started, with nothing left to do.
    fn start_waiting(&self, contestant: &Contestant, way: &Way) -> io::Result<Running> {
        let running = self.start(contestant, way, &["wait"], FREE)?;
        running.await_ready(1)?;
        settle(running.pid);
        Ok(running)
    }

    /// All that is asked of every way to start an init.
    fn way(&mut self, way: &Way, rounds: OfAWay) -> io::Result<()> {
        let is_plain = way.key == PLAIN.key;
        let title = |what: &str| format!("{what}, {}", way.title);
        let [start, life] = self.on_one_cpu(|answers| {
            answers.ask(&title("starting"), rounds.life, |contestant| {
                let running = answers.start(contestant, way, &["exit"], TIMED)?;
                let dead = running.await_death();
                let shared = running.shared();
                let [executed, started] = [&shared.executed, &shared.started].map(load);
                exits_with(running, 0)?;
                Ok(Some([(started - executed) as f64, (dead - executed) as f64]))
            })
        })?;
        self.add(key_of("start", way), self.overhead(start));
        if is_plain {
            self.add("life", self.overhead(life));
        }
        for (key, status) in [("exit", 0), ("exit_other", 3)] {
            let [exit] = self.on_one_cpu(|answers| {
                answers.ask(&title(&format!("exiting with {status}")), rounds.exit, |contestant| {
                    let running = answers.start(contestant, way, &["leave", &status.to_string()], TIMED)?;
                    running.await_ready(1)?;
                    settle(running.pid);
                    running.go();
                    let time = running.await_death() - load(&running.shared().happened);
                    exits_with(running, status)?;
                    Ok(Some([time as f64]))
                })
            })?;
            self.add(key_of(key, way), self.overhead(exit));
        }
        let [hops] = self.on_one_cpu(|answers| {
            answers.ask_for_many(&title("forwarding signals"), rounds.signals, |contestant| {
                answers.signals(contestant, way, &[libc::SIGUSR1], SIGNALS_A_ROUND)
            })
        })?;
        self.add(key_of("signal", way), hops);
        let [dirty, resident, faults] = self.ask(&title("memory"), rounds.memory, |contestant| {
            if contestant.kind() == Kind::Bare {
                return Ok(None);
            }
            let running = self.start_waiting(contestant, way)?;
            let numbers = ["Private_Dirty", "Rss"].map(|name| proc::rollup(running.pid, name));
            let [Some(dirty), Some(resident)] = numbers else { return Err(no_proc()) };
            Ok(Some([dirty, resident, faults_of(&running)?]))
        })?;
        self.add(key_of("dirty", way), dirty);
        self.add(key_of("faults", way), faults);
        if is_plain {
            self.add("resident", resident);
        }
        let [faults] = self.ask(&title("page faults of a life"), rounds.memory, |contestant| {
            if contestant.kind() == Kind::Bare {
                return Ok(None);
            }
            let running = self.start(contestant, way, &["signals"], CONTAINED)?;
            running.await_ready(1)?;
            settle(running.pid);
            running.send(libc::SIGTERM);
            running.await_death();
            let faults = faults_of(&running)?;
            exits_with(running, 0)?;
            Ok(Some([faults]))
        })?;
        self.add(key_of("faults_life", way), faults);
        self.system_calls(way)
    }

    fn system_calls(&mut self, way: &Way) -> io::Result<()> {
        let [own, all] = self.ask(&format!("system calls, {}", way.title), 3, |contestant| {
            if contestant.kind() == Kind::Bare {
                return Ok(None);
            }
            let line = contestant.line(way, &[&self.field.command, "exit"]);
            let calls = calls::start(&line, &[ENVIRONMENT, way.variables].concat(), FREE)?.finish()?;
            Ok(Some([calls.own.len() as f64, (calls.own.len() + calls.child.len()) as f64]))
        })?;
        self.add(key_of("calls", way), own);
        if way.key == PLAIN.key {
            self.add("calls_all", all);
        }
        Ok(())
    }

    /// How long it takes from the first of these signals until the command has the last, again and again.
    fn signals(&self, contestant: &Contestant, way: &Way, signals: &[i32], times: usize) -> io::Result<Vec<[f64; 1]>> {
        let running = self.start(contestant, way, &["signals"], TIMED)?;
        running.await_ready(1)?;
        settle(running.pid);
        let mut hops = Vec::with_capacity(times);
        for time in 1..=times {
            let sent = now();
            for signal in signals {
                running.send(*signal);
            }
            running.await_ready(1 + (time * signals.len()) as u32)?;
            hops.push([(load(&running.shared().happened) - sent) as f64]);
        }
        running.send(libc::SIGTERM);
        running.await_death();
        exits_with(running, 0)?;
        Ok(hops)
    }

    fn bursts_of_signals(&mut self, rounds: usize) -> io::Result<()> {
        let [bursts] = self.on_one_cpu(|answers| {
            answers.ask_for_many("eight signals at once", rounds, |contestant| {
                answers.signals(contestant, &PLAIN, &TO_NOTE, BURSTS_A_ROUND)
            })
        })?;
        self.add("signals", bursts);
        Ok(())
    }

    fn orphans(&mut self, rounds: usize) -> io::Result<()> {
        let [cpu] = self.on_one_cpu(|answers| {
            answers.ask("reaping orphans one at a time", rounds, |contestant| {
                if contestant.kind() == Kind::Bare {
                    return Ok(None);
                }
                let running = answers.start(contestant, &PLAIN, &["orphans", &ORPHANS.to_string()], TIMED)?;
                running.await_ready(1)?;
                settle(running.pid);
                let before = proc::cpu_time(running.pid).ok_or_else(no_proc)?;
                running.go();
                running.await_ready(2)?;
                settle(running.pid);
                let after = proc::cpu_time(running.pid).ok_or_else(no_proc)?;
                Ok(Some([(after - before) / ORPHANS as f64]))
            })
        })?;
        self.add("reap_cpu", cpu);
        Ok(())
    }

    /// The time, and the CPU time for each, until so many that are there at once are reaped.
    fn reap_at_once(&self, contestant: &Contestant, count: usize) -> io::Result<[f64; 2]> {
        need_room(count)?;
        let running = self.start(contestant, &PLAIN, &["zombies", &count.to_string()], TIMED)?;
        running.await_ready(1)?;
        settle(running.pid);
        let before = proc::cpu_time(running.pid).ok_or_else(no_proc)?;
        // Only so are there exactly so many, whoever reaps how fast.
        running.send(libc::SIGSTOP);
        running.go();
        running.await_ready(2)?;
        let since = now();
        running.send(libc::SIGCONT);
        running.await_ready(3)?;
        let time = load(&running.shared().happened) - since;
        settle(running.pid);
        let left = proc::children(running.pid).len();
        if left != 1 {
            return Err(io::Error::other(format!("{} zombies are left", left.saturating_sub(1))));
        }
        let after = proc::cpu_time(running.pid).ok_or_else(no_proc)?;
        Ok([time as f64, (after - before) / count as f64])
    }

    fn zombies(&mut self, rounds: usize) -> io::Result<()> {
        let [few, time, cpu] = self.on_one_cpu(|answers| {
            answers.ask("reaping 500 and 5,000 zombies that are there at once", rounds, |contestant| {
                if contestant.kind() == Kind::Bare {
                    return Ok(None);
                }
                let [few, _] = answers.reap_at_once(contestant, FEW)?;
                let [time, cpu] = answers.reap_at_once(contestant, BURST)?;
                Ok(Some([few, time, cpu]))
            })
        })?;
        self.add("burst", time.clone());
        self.add("burst_cpu", cpu);
        self.add_growth("orphans", few, time);
        Ok(())
    }

    fn storm(&mut self, rounds: usize) -> io::Result<()> {
        let [most] = self.ask("a storm of 5,000 orphans", rounds, |contestant| {
            if contestant.kind() == Kind::Bare {
                return Ok(None);
            }
            let running = self.start(contestant, &PLAIN, &["storm", &BURST.to_string()], FREE)?;
            running.await_ready(1)?;
            settle(running.pid);
            running.go();
            let mut most = 0;
            while running.shared().ready.load(Ordering::Acquire) < 2 {
                most = most.max(proc::children(running.pid).len().saturating_sub(1));
            }
            Ok(Some([most as f64]))
        })?;
        self.add("zombies", most);
        Ok(())
    }

    fn idle(&mut self) -> io::Result<()> {
        eprintln!("ten idle seconds…");
        let contestants = &self.field.contestants;
        let inits = contestants.iter().filter(|contestant| contestant.kind() != Kind::Bare);
        let running = inits.map(|contestant| self.start_waiting(contestant, &PLAIN));
        let running = running.collect::<io::Result<Vec<_>>>()?;
        let switches = || running.iter().map(|running| proc::switches(running.pid).ok_or_else(no_proc));
        let before = switches().collect::<io::Result<Vec<_>>>()?;
        std::thread::sleep(IDLE);
        let after = switches().collect::<io::Result<Vec<_>>>()?;
        let mut wake_ups = after.iter().zip(before).map(|(after, before)| vec![after - before]);
        let numbers = contestants.iter().map(|contestant| match contestant.kind() {
            Kind::Bare => Vec::new(),
            _ => wake_ups.next().unwrap_or_default(),
        });
        let numbers = numbers.collect();
        self.add("wake_ups", numbers);
        Ok(())
    }

    fn instances(&mut self, rounds: usize) -> io::Result<()> {
        let [each] = self.ask("memory of 200 instances", rounds, |contestant| {
            if contestant.kind() == Kind::Bare {
                return Ok(None);
            }
            let started = (0..INSTANCES).map(|_| self.start(contestant, &PLAIN, &["wait"], FREE));
            let running = started.collect::<io::Result<Vec<_>>>()?;
            let mut all = 0.0;
            for instance in &running {
                instance.await_ready(1)?;
                settle(instance.pid);
            }
            for instance in &running {
                all += proc::rollup(instance.pid, "Pss").ok_or_else(no_proc)?;
                all += proc::page_tables(instance.pid).ok_or_else(no_proc)?;
            }
            Ok(Some([all / INSTANCES as f64]))
        })?;
        self.add("each_of_200", each);
        Ok(())
    }

    fn size(&mut self) {
        let sizes = self.field.contestants.iter().map(|contestant| contestant.size().into_iter().collect());
        let sizes = sizes.collect();
        self.add("size", sizes);
    }

    /// Starts with ten times as much to look at.
    fn growing_starts(&mut self, rounds: usize) -> io::Result<()> {
        let command = self.field.command.clone();
        let folder = self.field.folder().display().to_string();
        let arguments = |count: usize| -> Vec<String> { (0..count).map(|n| format!("argument-{n:05}")).collect() };
        let variables =
            |count: usize| -> Vec<String> { (0..count).map(|n| format!("VARIABLE_{n:05}=value")).collect() };
        let path = |count: usize| -> Vec<String> {
            let folders: String = (0..count).map(|n| format!("/nowhere/{n:04}:")).collect();
            vec![format!("PATH={folders}{folder}")]
        };
        let none: Vec<String> = Vec::new();
        // The last word says whether the command is looked for.
        let kinds = [
            ("arguments", &GROUP, [(arguments(2000), none.clone()), (arguments(20_000), none.clone())], false),
            ("variables", &GROUP, [(none.clone(), variables(2000)), (none.clone(), variables(20_000))], false),
            ("path", &PLAIN, [(none.clone(), path(300)), (none.clone(), path(3000))], true),
        ];
        for (key, way, sizes, is_looked_for) in &kinds {
            let [few, many] = self.on_one_cpu(|answers| {
                answers.ask(&format!("ten times as much: {key}"), rounds, |contestant| {
                    let is_init = contestant.kind() != Kind::Bare;
                    if *is_looked_for && contestant.kind() == Kind::Floor {
                        return Ok(None);
                    }
                    let word = if *is_looked_for && is_init { "command" } else { &command };
                    let mut times = [0.0; 2];
                    for (time, (words, variables)) in times.iter_mut().zip(sizes) {
                        let words = words.iter().map(String::as_str);
                        let words: Vec<&str> = [word, "exit", "0"].into_iter().chain(words).collect();
                        let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
                        let running = start(&contestant.line(way, &words), &variables, TIMED)?;
                        running.await_death();
                        let shared = running.shared();
                        *time = (load(&shared.started) - load(&shared.executed)) as f64;
                        exits_with(running, 0)?;
                    }
                    Ok(Some(times))
                })
            })?;
            self.add_growth(key, self.overhead(few), self.overhead(many));
        }
        Ok(())
    }

    fn growing_shutdowns(&mut self, rounds: usize, large_rounds: usize) -> io::Result<()> {
        let mut asked = Vec::new();
        for (count, rounds) in [(1000, rounds), (10_000, large_rounds)] {
            let run = |contestant: &Contestant, way: &Way| {
                need_room(count)?;
                let running = self.start(contestant, way, &["children", &count.to_string()], CONTAINED)?;
                running.await_ready(1)?;
                settle(running.pid);
                let since = now();
                running.send(libc::SIGTERM);
                let time = running.await_death() - since;
                exits_with(running, 0)?;
                io::Result::Ok(time as f64)
            };
            let what = format!("stopping with {count} grandchildren");
            let [left] = self.ask(&what, rounds, |contestant| match contestant.kind() {
                Kind::Bare => Ok(None),
                _ => Ok(Some([run(contestant, &PLAIN)?])),
            })?;
            let [stopped] =
                self.ask(&format!("{what}, each told to"), rounds, |contestant| match contestant.kind() {
                    Kind::Sexton | Kind::Again => Ok(Some([run(contestant, &STOP_ORPHANS)?])),
                    _ => Ok(None),
                })?;
            asked.push([left, stopped]);
        }
        let [many_left, many_stopped] = asked.pop().unwrap_or_default();
        let [left, stopped] = asked.pop().unwrap_or_default();
        self.add_growth("left", left, many_left);
        self.add_growth("stopped", stopped, many_stopped);
        Ok(())
    }
}

fn faults_of(running: &Running) -> io::Result<f64> {
    Ok(proc::faults(running.pid).ok_or_else(no_proc)? - load(&running.shared().faults) as f64)
}

fn load(moment: &AtomicU64) -> u64 {
    moment.load(Ordering::Acquire)
}

fn exits_with(running: Running, expected: i32) -> io::Result<()> {
    match running.reap() {
        status if status == expected => Ok(()),
        status => Err(io::Error::other(format!("it ends with status {status}"))),
    }
}

fn no_proc() -> io::Error {
    io::Error::other("/proc does not tell")
}

/// Waits until a process has nothing left to do.
pub fn settle(pid: i32) {
    let mut before = None;
    loop {
        let switches = proc::switches(pid).filter(|_| proc::is_idle(pid));
        if switches.is_none() && proc::field(pid, "State").is_none_or(|state| state.starts_with('Z')) {
            return;
        }
        if switches.is_some() && switches == before {
            return;
        }
        before = switches;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Others on this machine need processes as well, and may have many just now.
fn need_room(count: usize) -> io::Result<()> {
    const RESERVE: usize = 4000;
    let mut room = 0;
    for _ in 0..60 {
        room = proc::room().ok_or_else(no_proc)?;
        if room >= count + RESERVE {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Err(io::Error::other(format!("{count} processes are needed, and there is room for {room} only")))
}
