//! A long storm around sexton as PID 1: nothing grows, nothing is lost, nothing is late.
//!
//! SOAK_SECONDS says how long (`make soak`: an hour). In rounds: processes that an engine's exec would put
//! into the namespace leave orphans that end at once or later, by themselves, by a signal, or out of
//! memory, that stop and go on; meanwhile all signals come at random. Then sexton comes to rest and is looked at.

mod harness;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::cgroup::Cgroup;
use harness::{PATIENCE, Place, Running, Sexton, Status, children, needs, now, probe_binary, wait_until};

/// Ends the command; all others may come at any time.
const LAST: i32 = 64;
const STORMS: u32 = 2;
/// Two minutes with all that is around it are the limit in `make test`.
const SHORT: u64 = 90;
const ROUND: Duration = Duration::from_secs(8);
const MEMORY: u64 = 24 << 20;

/// What sexton says of the orphans that it reaps (`--warn-on-reap`).
#[derive(Default)]
struct Told {
    reaped: AtomicU64,
    /// They were killed by SIGKILL, and not because of their pid.
    out_of_memory: AtomicU64,
    wrong: AtomicU64,
}

impl Told {
    fn read(&self, line: &str) {
        let Some((pid, end)) = line.strip_prefix("sexton: reaped orphan ").and_then(|rest| rest.split_once(": it "))
        else {
            eprintln!("{line}");
            self.wrong.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let pid: usize = pid.parse().unwrap();
        // The rule of tests/probe/storm.rs.
        let expected = match pid % 8 {
            3 => format!("was killed by {}", ["SIGKILL", "SIGUSR1", "SIGTERM", "SIGRTMIN+6"][pid / 8 % 4]),
            _ => format!("exited with status {}", pid % 251),
        };
        if end == expected {
            self.reaped.fetch_add(1, Ordering::Relaxed);
        } else if end == "was killed by SIGKILL" {
            self.out_of_memory.fetch_add(1, Ordering::Relaxed);
        } else {
            eprintln!("{line}: expected was: {expected}");
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all(&self) -> u64 {
        [&self.reaped, &self.out_of_memory, &self.wrong].map(|count| count.load(Ordering::Relaxed)).iter().sum()
    }
}

/// Puts a process into the namespace of sexton, as `docker exec` does.
fn enter(run: &Running, cgroup: &Cgroup, words: &str) -> Child {
    let (pid, probe) = (run.pid, probe_binary());
    let script = format!(
        "echo 0 > {} && exec nsenter --target {pid} --pid --mount -- {} {words}",
        cgroup.procs().display(),
        probe.display()
    );
    let mut enter = harness::command("sh");
    enter.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped());
    enter.spawn().expect("sh and nsenter (util-linux) are there")
}

fn join(mut child: Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status} {line:?}");
    line
}

/// Sends the signal and returns how long it takes to the command. Not of SIGCHLD: it may merge with the
/// kernel's own, and comes at any time, or not.
fn delay(run: &mut Running, signal: i32, value: usize) -> Option<Duration> {
    let sent = now();
    run.queue(signal, value);
    if signal == libc::SIGCHLD {
        return None;
    }
    loop {
        let seen = run.recorded();
        if seen.signal != libc::SIGCHLD {
            assert_eq!((seen.signal, seen.value), (signal, value));
            return Some(seen.at.saturating_sub(sent));
        }
    }
}

/// What sexton has of memory, in all its kinds, and its descriptors. Not `Private_Dirty`: pages of its file
/// count there as well, for as long as the kernel has not written a fresh one to the disk.
fn holdings(pid: i32) -> String {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let own = rollup.lines().find(|line| line.starts_with("Anonymous"));
    let sizes = ["VmData", "VmStk", "VmPTE"].map(|field| harness::proc_status(pid, field).unwrap());
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    format!("{:?} {sizes:?} {descriptors} descriptors", own.unwrap())
}

#[test]
fn in_a_storm_as_pid_1_nothing_grows_nothing_is_lost_and_nothing_is_late() {
    needs!(Cgroups);
    let seconds = std::env::var("SOAK_SECONDS").map_or(SHORT, |seconds| seconds.parse().unwrap());
    let starving = Cgroup::with_memory(MEMORY);
    let entered = Cgroup::with_memory(1 << 30);
    let mut run =
        Sexton::new(Place::Init).options(["-w", "--stop-signal", "64"]).probe(["record", &LAST.to_string(), "7"]);
    run.wait_for_line("ready");
    let told = Arc::new(Told::default());
    let (reader, stderr) = (Arc::clone(&told), BufReader::new(run.stderr.take().unwrap()));
    let reader = std::thread::spawn(move || stderr.lines().for_each(|line| reader.read(&line.unwrap())));

    let (begin, mut sent, mut delays) = (Instant::now(), 0, Vec::new());
    let (mut made, mut starved, mut usual) = (0, 0, None);
    let signals: Vec<i32> = (1..LAST).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)).collect();
    while begin.elapsed() < Duration::from_secs(seconds) {
        let round = Instant::now();
        let seed = |index: u32| 2 * (made as u32 + index) + 1;
        let words = |index| format!("storm {} {}", ROUND.as_millis(), seed(index));
        let storms: Vec<Child> = (0..STORMS).map(|index| enter(&run, &entered, &words(index))).collect();
        let mut hungry = Vec::new();
        while round.elapsed() < ROUND {
            // Far apart in their numbers, so that each is once the lower and once the higher one.
            // The hour's delays must fit into memory.
            std::thread::sleep(Duration::from_micros(500));
            sent += 1;
            delays.extend(delay(&mut run, signals[sent * 37 % signals.len()], sent));
            if round.elapsed().as_secs() > hungry.len() as u64 {
                hungry.push(enter(&run, &starving, "starve"));
            }
        }
        for storm in storms {
            let line = join(storm);
            made += line.trim().strip_prefix("made ").and_then(|count| count.parse::<u64>().ok()).expect(&line);
        }
        for child in hungry {
            join(child);
            starved += 1;
        }
        // At rest: the command is the only child, and no zombie.
        wait_until("all are reaped", || children(run.pid).len() == 1 && told.all() == made + starved);
        wait_until("sexton waits", || harness::is_waiting(run.pid));
        let now = holdings(run.pid);
        // The first round warms up.
        assert_eq!(*usual.get_or_insert(now.clone()), now, "after {:?}", begin.elapsed());
    }
    run.send(LAST);
    assert_eq!(run.status_within(PATIENCE), Status::Exited(7));
    reader.join().unwrap();
    assert_eq!(told.wrong.load(Ordering::Relaxed), 0, "orphans that ended otherwise, or lines that are none");
    assert_eq!(starving.oom_kills(), starved);
    // Of some their pid would have said the same.
    assert!((1..=starved).contains(&told.out_of_memory.load(Ordering::Relaxed)));
    delays.sort();
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    println!(
        "{seconds} s: {made} orphans and {starved} out of memory reaped; {} signals, delay {:?} (median), {:?} (p99), \
         {:?} (longest); at rest {}",
        delays.len(),
        at(50),
        at(99),
        at(100),
        usual.unwrap()
    );
    assert!(made > 1000, "that was no storm");
    assert!(at(99) < Duration::from_millis(100), "99 % of the signals within {:?}", at(99));
}
