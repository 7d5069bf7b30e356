//! The questions. In each round every contestant is asked once, and each round begins with another
//! one. Where time counts, we, the init and the command share one CPU, so that it does not matter
//! how busy the other ones are, nor where the scheduler would have put each of us.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::calls;
use crate::contestants::{Contestant, Field, Kind};
use crate::launch::{Running, Setup, go_anywhere, now, start, stay_on};
use crate::proc;
use crate::table::{Cell, Goal, Row, Table, Unit};

/// What all programs get to see, and no more.
pub const ENVIRONMENT: &[&str] = &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"];

/// The CPU that time is measured on.
const CPU: usize = 0;

/// How often each question is put.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    life: usize,
    signals: usize,
    reaping: usize,
    memory: usize,
    shutdown: usize,
    large_shutdown: usize,
}

impl Rounds {
    /// In less than two minutes.
    pub const QUICK: Rounds = Rounds { life: 300, signals: 15, reaping: 5, memory: 9, shutdown: 5, large_shutdown: 1 };
    /// In less than ten minutes.
    pub const FULL: Rounds =
        Rounds { life: 2000, signals: 100, reaping: 21, memory: 51, shutdown: 21, large_shutdown: 5 };
}

const SIGNALS_A_ROUND: usize = 100;
const ORPHANS: usize = 1000;
const BURST: usize = 5000;
const INSTANCES: usize = 200;
const IDLE: Duration = Duration::from_secs(10);

/// Puts all questions.
///
/// # Errors
///
/// A contestant does not do what inits do; which one and when is in the text.
pub fn all(field: &Field, rounds: Rounds) -> io::Result<Table> {
    let mut questions = Questions { field, rows: Vec::new() };
    questions.life(rounds.life)?;
    questions.signals(rounds.signals)?;
    questions.orphans(rounds.reaping)?;
    questions.burst(rounds.reaping)?;
    questions.storm(rounds.reaping)?;
    questions.idle()?;
    questions.memory(rounds.memory)?;
    questions.instances()?;
    questions.system_calls()?;
    questions.size();
    questions.shutdown(rounds.shutdown, 1000, ["shutdown_1000", "stopped_1000"])?;
    questions.shutdown(rounds.large_shutdown, 10_000, ["shutdown_10000", "stopped_10000"])?;
    questions.growth();
    Ok(Table { contestants: field.contestants.clone(), rows: questions.rows })
}

struct Questions<'a> {
    field: &'a Field,
    rows: Vec<Row>,
}

/// For each contestant the numbers of all rounds.
type Numbers = Vec<Vec<f64>>;

impl Questions<'_> {
    /// Asks all contestants once a round. Each answer is as many numbers as there are kinds of them.
    fn ask<const KINDS: usize>(
        &self,
        what: &str,
        rounds: usize,
        mut question: impl FnMut(&Contestant) -> io::Result<Option<[f64; KINDS]>>,
    ) -> io::Result<[Numbers; KINDS]> {
        eprintln!("{what}…");
        let count = self.field.contestants.len();
        let mut numbers = [const { Vec::new() }; KINDS];
        numbers.iter_mut().for_each(|numbers| numbers.resize(count, Vec::new()));
        for round in 0..rounds {
            for place in 0..count {
                // Now forwards, now backwards: nobody always follows the same one, and what it leaves to do.
                let place = if round % 2 == 0 { place } else { count - 1 - place };
                let index = (round + place) % count;
                let contestant = &self.field.contestants[index];
                let answer = question(contestant);
                let answer =
                    answer.map_err(|error| io::Error::other(format!("{what}, {}: {error}", contestant.name)))?;
                for (numbers, number) in numbers.iter_mut().zip(answer.into_iter().flatten()) {
                    numbers[index].push(number);
                }
            }
        }
        Ok(numbers)
    }

    fn add(&mut self, key: &'static str, title: &'static str, unit: Unit, goal: Option<Goal>, numbers: Numbers) {
        let cells = numbers.into_iter().map(Cell::of).collect();
        self.rows.push(Row { key, title, unit, goal, cells });
    }

    /// What is more than without an init. The command alone keeps its number.
    fn add_overhead(&mut self, key: &'static str, title: &'static str, goal: Option<Goal>, numbers: Numbers) {
        self.add(key, title, Unit::Time, goal, numbers);
        let Some(row) = self.rows.last_mut() else { return };
        let is_bare = |index: usize| self.field.contestants[index].kind == Kind::Bare;
        let alone = (0..row.cells.len()).find(|index| is_bare(*index)).and_then(|index| row.cells[index]);
        for (index, cell) in row.cells.iter_mut().enumerate().filter(|(index, _)| !is_bare(*index)) {
            *cell = cell.map(|cell| cell.above(alone.map_or(0.0, |alone| alone.median)));
            debug_assert!(!is_bare(index));
        }
    }

    /// Runs something else on the one CPU.
    fn on_one_cpu<T>(&self, run: impl FnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        stay_on(CPU)?;
        let result = run(self);
        go_anywhere()?;
        result
    }

    fn start(&self, contestant: &Contestant, command: &[&str], setup: Setup) -> io::Result<Running> {
        let command = [&[self.field.command.as_str()], command].concat();
        start(&contestant.line(&command), ENVIRONMENT, setup)
    }

    fn life(&mut self, rounds: usize) -> io::Result<()> {
        let setup = Setup { cpu: Some(CPU), ..Setup::default() };
        let [start, life] = self.on_one_cpu(|questions| {
            questions.ask("starting", rounds, |contestant| {
                let running = questions.start(contestant, &["exit"], setup)?;
                let dead = running.await_death();
                let shared = running.shared();
                let [executed, started] = [&shared.executed, &shared.started].map(load);
                exits_with(running, 0)?;
                Ok(Some([(started - executed) as f64, (dead - executed) as f64]))
            })
        })?;
        let [exit] = self.on_one_cpu(|questions| {
            questions.ask("exiting", rounds, |contestant| {
                let running = questions.start(contestant, &["leave"], setup)?;
                running.await_ready(1)?;
                settle(running.pid);
                running.go();
                let time = running.await_death() - load(&running.shared().happened);
                exits_with(running, 0)?;
                Ok(Some([time as f64]))
            })
        })?;
        self.add_overhead(
            "start",
            "start overhead: exec of the init to the command's first instruction",
            ratio(0.35),
            start,
        );
        self.add_overhead(
            "exit",
            "exit overhead: the command's last instruction to the end of the init",
            ratio(0.65),
            exit,
        );
        self.add_overhead("life", "whole life of a command that exits at once, overhead", None, life);
        Ok(())
    }

    fn signals(&mut self, rounds: usize) -> io::Result<()> {
        let setup = Setup { cpu: Some(CPU), ..Setup::default() };
        let count = self.field.contestants.len();
        let mut hops: Numbers = vec![Vec::new(); count];
        self.on_one_cpu(|questions| {
            questions.ask("forwarding signals", rounds, |contestant| {
                let running = questions.start(contestant, &["signals"], setup)?;
                running.await_ready(1)?;
                settle(running.pid);
                let mut times = Vec::with_capacity(SIGNALS_A_ROUND);
                for ready in 2..2 + SIGNALS_A_ROUND as u32 {
                    let sent = now();
                    running.send(libc::SIGUSR1);
                    running.await_ready(ready)?;
                    times.push((load(&running.shared().happened) - sent) as f64);
                }
                running.send(libc::SIGTERM);
                running.await_death();
                exits_with(running, 0)?;
                let index = questions.field.contestants.iter().position(|other| other.name == contestant.name);
                hops[index.unwrap_or(0)].extend(times);
                Ok(None::<[f64; 0]>)
            })
        })?;
        self.add("signal", "a signal: from kill(2) at the init to the command", Unit::Time, ratio(1.0), hops);
        Ok(())
    }

    fn orphans(&mut self, rounds: usize) -> io::Result<()> {
        let setup = Setup { cpu: Some(CPU), ..Setup::default() };
        let [cpu] = self.on_one_cpu(|questions| {
            questions.ask("reaping orphans one at a time", rounds, |contestant| {
                if contestant.kind == Kind::Bare {
                    return Ok(None);
                }
                let running = questions.start(contestant, &["orphans", &ORPHANS.to_string()], setup)?;
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
        self.add("reap_cpu", "CPU time for each orphan, one at a time", Unit::Time, ratio(1.0), cpu);
        Ok(())
    }

    fn burst(&mut self, rounds: usize) -> io::Result<()> {
        let setup = Setup { cpu: Some(CPU), ..Setup::default() };
        let [time, cpu] = self.on_one_cpu(|questions| {
            questions.ask("reaping 5,000 zombies that are there at once", rounds, |contestant| {
                if contestant.kind == Kind::Bare {
                    return Ok(None);
                }
                need_room(BURST)?;
                let running = questions.start(contestant, &["zombies", &BURST.to_string()], setup)?;
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
                Ok(Some([time as f64, (after - before) / BURST as f64]))
            })
        })?;
        self.add("burst", "5,000 zombies at once: until all are reaped", Unit::Time, ratio(1.0), time);
        self.add("burst_cpu", "5,000 zombies at once: CPU time for each", Unit::Time, None, cpu);
        Ok(())
    }

    fn storm(&mut self, rounds: usize) -> io::Result<()> {
        let [most] = self.ask("a storm of 5,000 orphans", rounds, |contestant| {
            if contestant.kind == Kind::Bare {
                return Ok(None);
            }
            let running = self.start(contestant, &["storm", &BURST.to_string()], Setup::default())?;
            running.await_ready(1)?;
            settle(running.pid);
            running.go();
            let mut most = 0;
            while running.shared().ready.load(Ordering::Acquire) < 2 {
                most = most.max(proc::children(running.pid).len().saturating_sub(1));
            }
            Ok(Some([most as f64]))
        })?;
        self.add("zombies", "5,000 orphans as fast as can be: most zombies at once", Unit::Number, None, most);
        Ok(())
    }

    fn idle(&mut self) -> io::Result<()> {
        eprintln!("ten idle seconds…");
        let contestants = &self.field.contestants;
        let inits = contestants.iter().filter(|contestant| contestant.kind != Kind::Bare);
        let running = inits.map(|contestant| self.start_waiting(contestant)).collect::<io::Result<Vec<_>>>()?;
        let switches = || running.iter().map(|running| proc::switches(running.pid).ok_or_else(no_proc));
        let before = switches().collect::<io::Result<Vec<_>>>()?;
        std::thread::sleep(IDLE);
        let after = switches().collect::<io::Result<Vec<_>>>()?;
        let mut wake_ups = after.iter().zip(before).map(|(after, before)| vec![after - before]);
        let numbers = contestants.iter().map(|contestant| match contestant.kind {
            Kind::Bare => Vec::new(),
            _ => wake_ups.next().unwrap_or_default(),
        });
        let numbers = numbers.collect();
        self.add("wake_ups", "wake-ups in 10 idle seconds", Unit::Number, Some(Goal::AtMost(0.0)), numbers);
        Ok(())
    }

    fn memory(&mut self, rounds: usize) -> io::Result<()> {
        let [dirty, resident, faults] = self.ask("memory", rounds, |contestant| {
            if contestant.kind == Kind::Bare {
                return Ok(None);
            }
            let running = self.start_waiting(contestant)?;
            let numbers = ["Private_Dirty", "Rss"].map(|name| proc::rollup(running.pid, name));
            let [Some(dirty), Some(resident)] = numbers else { return Err(no_proc()) };
            let faults = proc::faults(running.pid).ok_or_else(no_proc)? - load(&running.shared().faults) as f64;
            Ok(Some([dirty, resident, faults]))
        })?;
        self.add("dirty", "memory of its own (dirty)", Unit::Memory, ratio(0.67), dirty);
        self.add("resident", "resident memory", Unit::Memory, None, resident);
        self.add("faults", "page faults until it is idle", Unit::Number, Some(Goal::AtMost(20.0)), faults);
        Ok(())
    }

    fn instances(&mut self) -> io::Result<()> {
        let [each] = self.ask("memory of 200 instances", 1, |contestant| {
            if contestant.kind == Kind::Bare {
                return Ok(None);
            }
            let started = (0..INSTANCES).map(|_| self.start(contestant, &["wait"], Setup::default()));
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
        self.add("each_of_200", "memory and page tables, each of 200 instances", Unit::Memory, ratio(0.75), each);
        Ok(())
    }

    fn system_calls(&mut self) -> io::Result<()> {
        let [own, all] = self.ask("system calls", 3, |contestant| {
            if contestant.kind == Kind::Bare {
                return Ok(None);
            }
            let line = contestant.line(&[&self.field.command, "exit"]);
            let calls = calls::start(&line, ENVIRONMENT, Setup::default())?.finish()?;
            Ok(Some([calls.own.len() as f64, (calls.own.len() + calls.child.len()) as f64]))
        })?;
        self.add("calls", "system calls of a whole life", Unit::Number, Some(Goal::AtMost(22.0)), own);
        self.add("calls_all", "the same with those of the child before its exec", Unit::Number, None, all);
        Ok(())
    }

    fn size(&mut self) {
        let sizes = self.field.contestants.iter().map(|contestant| contestant.size().into_iter().collect());
        let sizes = sizes.collect();
        self.add("size", "size of the file", Unit::Size, None, sizes);
    }

    fn shutdown(&mut self, rounds: usize, count: usize, [key, stopped_key]: [&'static str; 2]) -> io::Result<()> {
        let setup = Setup { own_proc: true, ..Setup::default() };
        let number = count.to_string();
        let run = |line: &[&str], environment: &[&str]| {
            need_room(count)?;
            let running = start(line, environment, setup)?;
            running.await_ready(1)?;
            settle(running.pid);
            let since = now();
            running.send(libc::SIGTERM);
            let time = running.await_death() - since;
            exits_with(running, 0)?;
            io::Result::Ok(time as f64)
        };
        let command = [self.field.command.as_str(), "children", &number];
        let stopping = [ENVIRONMENT, &["SEXTON_ORPHANS=stop"]].concat();
        let [left, stopped] = self.ask(&format!("stopping with {count} grandchildren"), rounds, |contestant| {
            if contestant.kind == Kind::Bare {
                return Ok(None);
            }
            let line = contestant.line(&command);
            let stopped = match contestant.kind {
                Kind::Sexton => run(&line, &stopping)?,
                _ => f64::NAN,
            };
            Ok(Some([run(&line, ENVIRONMENT)?, stopped]))
        })?;
        let [title, stopped_title] = match count {
            1000 => ["SIGTERM with 1,000 grandchildren: to the end", "the same, each told to stop (--orphans stop)"],
            _ => ["SIGTERM with 10,000 grandchildren: to the end", "the same, each told to stop (--orphans stop)"],
        };
        self.add(key, title, Unit::Time, None, left);
        let stopped =
            stopped.into_iter().map(|numbers| numbers.into_iter().filter(|number| !number.is_nan()).collect());
        self.add(stopped_key, stopped_title, Unit::Time, None, stopped.collect());
        Ok(())
    }

    /// Each of ten times as many that are told to stop must not take longer than each of fewer.
    fn growth(&mut self) {
        let medians = |key: &str| -> Vec<Option<f64>> {
            let row = self.rows.iter().find(|row| row.key == key);
            row.into_iter().flat_map(|row| &row.cells).map(|cell| cell.map(|cell| cell.median)).collect()
        };
        let growths = medians("stopped_1000").into_iter().zip(medians("stopped_10000"));
        let growths = growths.map(|(few, many)| few.zip(many).map(|(few, many)| many / few).into_iter().collect());
        let growths = growths.collect();
        self.add(
            "growth",
            "so many times as long as with 1,000 (linear: 10)",
            Unit::Number,
            Some(Goal::AtMost(12.0)),
            growths,
        );
    }

    /// Started, with nothing left to do.
    fn start_waiting(&self, contestant: &Contestant) -> io::Result<Running> {
        let running = self.start(contestant, &["wait"], Setup::default())?;
        running.await_ready(1)?;
        settle(running.pid);
        Ok(running)
    }
}

#[allow(clippy::unnecessary_wraps)]
fn ratio(goal: f64) -> Option<Goal> {
    Some(Goal::Ratio(goal))
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
