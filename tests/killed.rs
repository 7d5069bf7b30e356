//! What is left when sexton is killed where it is not PID 1: the table of docs/design.md, typed and tried.

mod harness;

use harness::{Folder, Place, Running, Sexton, Status, probe_binary, wait_until};

/// The command, a child of it in its process group, and one in a session of its own. All would go on for
/// ever: no signal ends them but SIGUSR2 and SIGKILL.
const ROLES: [&str; 3] = ["command", "child", "daemon"];

/// This probe as the job.
fn job(probe: &str) -> String {
    let record = format!("{probe} record 12 0");
    format!("sh -c '{record} child & setsid {record} daemon & exec {record} command'")
}

/// What the lines start: one of them in a user namespace.
struct Programs {
    _folder: Folder,
    sexton: String,
    job: String,
}

impl Programs {
    fn new() -> Programs {
        let folder = Folder::new();
        let (sexton, probe) = folder.programs();
        Programs { _folder: folder, sexton, job: job(&probe) }
    }

    /// A line for a shell, in which `sexton` is the one under test and `JOB` the job.
    fn typed(&self, line: &str) -> String {
        let word = |word| match word {
            "sexton" => &self.sexton,
            "JOB" => &self.job,
            word => word,
        };
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}

/// Which of the processes that the job is made of this one is.
fn role(pid: i32) -> Option<&'static str> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let last = line.trim_end_matches('\0').rsplit('\0').next()?;
    ROLES.into_iter().find(|role| *role == last)
}

/// The processes of a job, killed with it.
struct Job(Vec<(&'static str, i32)>);

impl Job {
    /// What was started, once nothing but SIGKILL and SIGUSR2 ends it.
    fn of(run: &mut Running) -> Job {
        for _ in ROLES {
            run.wait_for_line("ready");
        }
        let all = [vec![run.pid], harness::descendants(run.pid)].concat();
        let job: Vec<_> = all.into_iter().filter_map(|pid| Some((role(pid)?, pid))).collect();
        assert_eq!(job.len(), ROLES.len(), "{job:?}");
        Job(job)
    }

    fn pid(&self, role: &str) -> i32 {
        self.0.iter().find(|(known, _)| *known == role).unwrap().1
    }

    fn is_alive(&self, role: &str) -> bool {
        harness::proc_status(self.pid(role), "State").is_some_and(|state| !state.starts_with(['Z', 'X']))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        for (_, pid) in self.0.iter().filter(|(known, pid)| role(*pid) == Some(known)) {
            // It may be gone by now.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::SIGKILL);
        }
    }
}

/// Who gets SIGKILL.
#[derive(Clone, Copy, Debug)]
enum Killed {
    /// Sexton, or what stands in its place, alone.
    Alone,
    /// The whole process group that it was started in, as timeout(1) does it with `-k`.
    Group,
}

/// Has timeout(1) believe that its time is over. It takes that for the end of its own start until it knows the pid of
/// what it started, which may already run by then: it is asleep once it waits for it.
fn time_is_over(timeout: &Running) {
    wait_until("timeout waits", || {
        harness::proc_status(timeout.pid, "State").is_some_and(|state| state.starts_with('S'))
    });
    timeout.send(libc::SIGALRM);
}

/// Starts this line, kills, and looks that these are left and the others are not.
fn leaves(programs: &Programs, line: &str, killed: Killed, expected: &[&str]) {
    let typed = programs.typed(line);
    // It sends SIGTERM when it gets the signal of its clock, and SIGKILL 0.1 s later.
    let timeout = if matches!(killed, Killed::Group) { "timeout -k 0.1 1000 " } else { "" };
    let mut run =
        Sexton::new(Place::Ordinary).binary("/bin/sh").options(["-c", &format!("exec {timeout}{typed}")]).bare();
    let job = Job::of(&mut run);
    match killed {
        Killed::Alone => run.send(libc::SIGKILL),
        Killed::Group => time_is_over(&run),
    }
    let status = run.status();
    assert_eq!(status, Status::Killed(9), "{line}, {killed:?}; on stderr: {}", run.rest_of_stderr());
    let (left, gone): (Vec<&str>, Vec<&str>) = ROLES.into_iter().partition(|role| expected.contains(role));
    for role in gone {
        wait_until(&format!("{line}, {killed:?}: the {role} is gone"), || !job.is_alive(role));
    }
    for role in left {
        assert!(job.is_alive(role), "{line}, {killed:?}: the {role} is gone");
        harness::kill(job.pid(role), libc::SIGUSR1);
        run.wait_for_line("signal 10 ");
    }
}

/// The rows of the table: the line, and who is left in the one case and the other.
fn rows() -> Vec<(String, [Vec<String>; 2])> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/design.md")).unwrap();
    let (_, section) = page.split_once("## What is left when sexton is killed").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap_or((section, ""));
    let names = |cell: &str| match cell.trim() {
        "nobody" => Vec::new(),
        cell => cell.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    let row = |line: &str| {
        let (line, cells) = line.strip_prefix("| `")?.split_once("` |")?;
        let (alone, group) = cells.strip_suffix('|')?.split_once('|')?;
        Some((line.to_owned(), [names(alone), names(group)]))
    };
    section.lines().filter_map(row).collect()
}

#[test]
fn what_is_left_when_sexton_is_killed_is_what_the_table_says() {
    let rows = rows();
    assert_eq!(rows.len(), 7, "{rows:?}");
    let programs = Programs::new();
    for (line, left) in rows {
        for (killed, left) in [Killed::Alone, Killed::Group].into_iter().zip(left) {
            leaves(&programs, &line, killed, &left.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}

#[test]
fn as_pid_1_nobody_is_left_when_sexton_is_killed() {
    let mut run =
        Sexton::new(Place::Init).command(["sh", "-c", &format!("exec {}", job(&probe_binary().to_string_lossy()))]);
    let job = Job::of(&mut run);
    run.send(libc::SIGKILL);
    for role in ROLES {
        wait_until("all are gone", || !job.is_alive(role));
    }
}

/// What timeout(1) gives it is enough for sexton to end all by itself.
#[test]
fn a_grace_period_that_is_shorter_than_the_one_of_timeout_leaves_nobody() {
    let programs = Programs::new();
    let typed = programs.typed("sexton --orphans stop --grace-period 200ms -- JOB");
    let mut run = Sexton::new(Place::Ordinary)
        .binary("/bin/sh")
        .options(["-c", &format!("exec timeout -k 60 1000 {typed}")])
        .bare();
    let job = Job::of(&mut run);
    time_is_over(&run);
    assert_eq!(run.status(), Status::Exited(124));
    for role in ROLES {
        assert!(!job.is_alive(role), "{role}");
    }
}
