//! `/proc/1/fd/1` and `/proc/1/fd/2` are the container's log: what is no descendant of the command's
//! writes there, and log files are links to it.

mod harness;

use std::io::BufRead;
use std::os::fd::AsRawFd;
use std::process::{Command, Output, Stdio};

use harness::{BOTH, Folder, PATIENCE, Place, Running, Sexton, Status, descriptors, full_pipe, log, probe_binary};

/// A shell script in the namespaces of PID 1, as `docker exec` starts it.
fn nsenter(run: &Running, script: &str) -> Command {
    let mut shell = harness::enter(run, "sh");
    shell.args(["-c", script]).stdin(Stdio::null());
    shell
}

fn job(run: &Running, script: &str) -> Output {
    nsenter(run, script).output().expect("nsenter is missing: apt-get install util-linux")
}

#[track_caller]
fn succeeds(run: &Running, script: &str) {
    let done = job(run, script);
    assert!(done.status.success(), "{script}: {done:?}");
    assert_eq!((done.stdout.as_slice(), done.stderr.as_slice()), (&b""[..], &b""[..]), "{script}");
}

/// A sexton as PID 1 whose command is the recorder, which runs by now.
fn recorder(change: impl Fn(Sexton) -> Sexton) -> Running {
    let mut run = change(Sexton::new(Place::Init)).probe(["record", "15", "7"]);
    run.wait_for_line("ready");
    harness::wait_until("sexton waits", || harness::is_waiting(run.pid));
    run
}

#[test]
fn a_job_from_outside_the_command_writes_to_the_stdout_of_pid_1() {
    let mut run = recorder(|sexton| sexton);
    succeeds(&run, "echo a job of cron >/proc/1/fd/1 2>&1");
    assert_eq!(run.line(), "a job of cron");
    run.send(15);
    assert_eq!(run.recorded().signal, 15);
    let (status, stdout, stderr) = run.finish();
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (Status::Exited(7), "", ""));
}

#[test]
fn the_stderr_of_pid_1_is_the_containers_too() {
    let run = recorder(|sexton| sexton);
    succeeds(&run, "echo an error >/proc/1/fd/2");
    run.send(15);
    let (status, _, stderr) = run.finish();
    assert_eq!((status, stderr.as_str()), (Status::Exited(7), "an error\n"));
}

#[test]
fn a_log_file_that_is_a_link_to_the_stdout_of_pid_1_is_the_log() {
    let folder = Folder::new();
    let link = folder.path("app.log");
    std::os::unix::fs::symlink("/proc/1/fd/1", &link).unwrap();
    let mut run = recorder(|sexton| sexton);
    succeeds(&run, &format!("echo one >>{link}; echo two >{link}"));
    assert_eq!((run.line(), run.line()), ("one".into(), "two".into()));
    // And for the command, which has given its own stdout away.
    let script = format!("exec >/dev/null; echo three >>{link}; echo four >{link}; exit 5");
    let (status, stdout, stderr) = Sexton::new(Place::Init).shell(&script).finish();
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (Status::Exited(5), "three\nfour\n", ""));
}

/// It has nothing of the command's any more: another session, no descriptor, PID 1 as its parent.
#[test]
fn an_orphan_writes_to_the_stdout_of_pid_1() {
    let orphan = "until [ \"$(cut -d' ' -f4 /proc/$$/stat)\" = 1 ]; do :; done; echo an orphan >/proc/1/fd/1";
    let script = format!("(setsid sh -c '{}' </dev/null >/dev/null 2>&1 &); read x", orphan.replace('\'', "'\\''"));
    let mut run = Sexton::new(Place::Init).shell(&script);
    assert_eq!(run.line(), "an orphan");
    let (status, _, stderr) = run.finish();
    assert_eq!((status, stderr.as_str()), (Status::Exited(1), ""));
}

#[test]
fn under_every_name_and_without_a_command_the_log_is_there() {
    let probe = probe_binary();
    let command = [probe.to_str().unwrap(), "record", "15", "0"];
    let dialects = ["tini", "dumb-init", "catatonit", "docker-init", "sexton"];
    let by_option = dialects[..3].iter().map(|name| [&["--dialect", name, "--"], &command[..]].concat());
    let cases = by_option.chain([[&["--"], &command[..]].concat(), vec!["--pause"]]);
    for options in cases {
        let mut run = Sexton::new(Place::Init).options(&options).bare();
        if !options.contains(&"--pause") {
            run.wait_for_line("ready");
        }
        harness::wait_until("sexton waits", || harness::is_waiting(run.pid));
        succeeds(&run, "echo a job >/proc/1/fd/1");
        assert_eq!(run.wait_for_line("a job"), "a job", "{options:?}");
        run.send(15);
        assert_eq!(run.status(), Status::Exited(0), "{options:?}");
    }
    // By the name that the file has.
    let folder = Folder::new();
    for name in dialects {
        let path = folder.path(name);
        std::os::unix::fs::symlink(harness::sexton_binary(), &path).unwrap();
        let mut run = Sexton::new(Place::Init).binary(&path).command(command);
        run.wait_for_line("ready");
        harness::wait_until("sexton waits", || harness::is_waiting(run.pid));
        succeeds(&run, "echo a job >/proc/1/fd/1");
        assert_eq!(run.wait_for_line("a job"), "a job", "{name}");
        run.send(15);
        assert_eq!(run.status(), Status::Exited(0), "{name}");
    }
}

/// The job is told, as it is without an init, and nobody else notices: neither sexton, whose stdout
/// it is, nor the command.
#[test]
fn when_nobody_reads_the_log_any_more_a_job_gets_sigpipe_and_sexton_goes_on() {
    let mut run = Sexton::new(Place::Init).options(["-vv"]).shell("trap 'exit 7' TERM; echo ready; read x");
    run.wait_for_line("ready");
    drop(run.stdout.take());
    // A fork of another test may hold the reader's end until its exec.
    harness::wait_until("a job gets SIGPIPE", || {
        let done = job(&run, "echo lost >/proc/1/fd/1");
        std::os::unix::process::ExitStatusExt::signal(&done.status) == Some(libc::SIGPIPE)
    });
    let done = job(&run, "trap '' PIPE; echo lost >/proc/1/fd/1");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && !said.contains("nonexistent"), "{done:?}");
    let stderr = run.stderr.take().unwrap();
    run.send(15);
    assert_eq!(run.status(), Status::Exited(7));
    let said = std::io::read_to_string(stderr).unwrap();
    assert!(said.contains("received SIGTERM") && !said.contains("received SIGPIPE"), "{said}");
}

/// Nobody reads, and the log is full: a job waits, and sexton does not.
#[test]
fn a_full_log_holds_up_the_job_and_not_sexton() {
    let (reader, writer) = full_pipe();
    let run = Sexton::new(Place::Init).stdout(writer).shell("trap 'exit 7' TERM; echo ready >&2; read x");
    let mut run = run;
    let mut said = std::io::BufReader::new(run.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    let mut job = nsenter(&run, "echo x >/proc/1/fd/1").spawn().expect("nsenter");
    harness::wait_until("the job waits for room", || {
        let writers = harness::descendants(job.id() as i32).into_iter().chain([job.id() as i32]);
        let mut calls = writers.map(|pid| std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default());
        calls.any(|call| call.starts_with(&format!("{} 0x1 ", libc::SYS_write)))
    });
    run.send(15);
    assert_eq!(run.status(), Status::Exited(7));
    // The end of PID 1 is the end of all that is in its namespace.
    assert!(!job.wait().unwrap().success());
    drop(reader);
}

/// Where sexton is not PID 1 it is a job, and whoever reads the output of a job waits for its end of file.
#[test]
fn an_ordinary_jobs_output_ends_with_the_job_though_sexton_stays_for_what_it_left() {
    let script = "sleep 1000 >/dev/null 2>&1 </dev/null & echo done";
    let mut run = Sexton::new(Place::Ordinary).options(["--orphans", "wait"]).shell(script);
    assert_eq!(run.line(), "done");
    let stdout = run.stdout.take().unwrap().into_inner();
    assert!(harness::readable(stdout.as_raw_fd(), PATIENCE), "the output of the job does not end");
    assert_eq!(std::io::read_to_string(stdout).unwrap(), "");
    let left = || harness::children(run.pid).iter().map(|pid| harness::proc_status(*pid, "Name")).collect::<Vec<_>>();
    harness::wait_until("the command is reaped", || left() == [Some("sleep".into())]);
    assert_eq!(run.try_status(std::time::Duration::ZERO), None, "sexton waits for the orphan");
    run.send(15);
    assert_eq!(run.status(), Status::Exited(0));
}

/// One that the container has already lost is not replaced by another file.
#[test]
fn without_a_stdout_on_entry_there_is_no_log_and_nothing_in_its_place() {
    let run = Sexton::new(Place::Init).setup(["close=1"]).probe(["record", "15", "7"]);
    harness::wait_until("sexton waits", || harness::is_waiting(run.pid));
    let done = job(&run, "echo x >/proc/1/fd/1");
    assert!(!done.status.success() && String::from_utf8_lossy(&done.stderr).contains("nonexistent"), "{done:?}");
}

/// Under each name, and without a command.
#[test]
fn every_dialect_holds_the_same() {
    let cases: [&[&str]; 5] = [
        &["--dialect", "tini", "--"],
        &["--dialect", "dumb-init", "--"],
        &["--dialect", "dumb-init", "--single-child", "--"],
        &["--dialect", "catatonit", "--"],
        &["--pause"],
    ];
    for place in BOTH {
        for options in cases {
            let mut run = Sexton::new(place).setup(["open=9"]).options(options);
            if !options.contains(&"--pause") {
                run = run.options([probe_binary().to_str().unwrap(), "record", "15", "0"]);
            }
            let mut run = run.bare();
            if !options.contains(&"--pause") {
                run.wait_for_line("ready");
            }
            harness::wait_until("sexton waits", || harness::is_waiting(run.pid));
            assert_eq!(descriptors(run.pid), log(place), "{place:?} {options:?}");
            run.send(15);
            assert_eq!(run.status(), Status::Exited(0), "{place:?} {options:?}");
        }
    }
}

/// The files that sexton reads at its start get the lowest numbers that are free.
#[test]
fn no_file_of_sextons_own_is_left_in_the_place_of_a_closed_stdout_or_stderr() {
    let cases: [(&[&str], &[&str]); 5] = [
        (&["close=1"], &["2"]),
        (&["close=0", "close=1"], &["2"]),
        (&["close=2"], &["1"]),
        (&["close=0", "close=2"], &["1"]),
        (&["close=0", "close=1", "close=2"], &[]),
    ];
    for place in BOTH {
        for (setup, left) in cases {
            let run = Sexton::new(place).setup(setup.iter().copied()).probe(["record", "15", "0"]);
            harness::wait_until("sexton waits", || harness::is_waiting(run.pid));
            let expected: Vec<&str> = left.iter().copied().filter(|number| log(place).contains(number)).collect();
            assert_eq!(descriptors(run.pid), expected, "{place:?} {setup:?}");
        }
    }
}

/// Before Linux 5.9, and under seccomp profiles older than that.
#[test]
fn without_close_range_the_log_is_the_same_and_all_else_is_closed() {
    for place in BOTH {
        for fault in ["deny=38:close_range", "fault=2:1:sexton close_range"] {
            for setup in [&["open=9", "open=33"][..], &["open=9", "close=1"], &["open=9", "close=0", "close=1"]] {
                let words = [&[fault], setup].concat();
                let run = Sexton::new(place).setup(words).probe(["record", "15", "7"]);
                harness::wait_until("sexton waits", || harness::is_waiting(run.pid));
                let keeps_stdout = place == Place::Init && !setup.contains(&"close=1");
                let expected: &[&str] = if keeps_stdout { &["1", "2"] } else { &["2"] };
                assert_eq!(descriptors(run.pid), expected, "{place:?} {fault} {setup:?}");
            }
        }
    }
}
