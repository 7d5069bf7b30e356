//! What the run of the command cost: each number is one that somebody else measures too.

use std::fs;

use crate::harness::cgroup::Cgroup;
use crate::harness::needs;
use crate::harness::{self, BOTH, Place, Sexton, Status};
use crate::json::Json;
use crate::{JSON, LIMIT, assert_has, events, probe, run_to_end, sentence};

#[track_caller]
fn number(object: &Json, key: &str) -> u64 {
    let Json::Number(number) = object.get(key) else { panic!("{key} is not there: {object:?}") };
    *number as u64
}

/// Between these, both of them included.
#[track_caller]
fn assert_between(number: u64, least: u64, most: u64) {
    assert!((least..=most).contains(&number), "{number} is not between {least} and {most}");
}

#[test]
fn an_end_without_anything_to_say_reads_nothing() {
    for place in BOTH {
        for words in [&["exit", "0"][..], &["die", "2"]] {
            let mut run = Sexton::new(place).setup(["trace"]).probe(words);
            let (_, _, stderr) = run.try_finish(harness::PATIENCE).unwrap();
            assert_eq!(stderr, "");
            let waited = run.traced.iter().rposition(|call| call == "call sexton rt_sigtimedwait").unwrap();
            assert_eq!(run.traced[waited + 1..], ["call sexton wait4", "call sexton exit_group"], "{words:?}");
        }
    }
}

#[test]
fn the_processor_time_is_that_of_the_command_and_of_whom_it_waited_for() {
    for place in BOTH {
        for (command, processes) in
            [(format!("exec {0} spin 0 150", probe()), 1), (format!("{0} spin 0 100; {0} spin 0 70", probe()), 2)]
        {
            let (_, stdout, stderr) = Sexton::new(place).options(JSON).options(["-v"]).shell(&command).finish();
            let exited = &events(&stderr, "command_exited")[0];
            let told = number(exited, "user_ms") + number(exited, "system_ms");
            let used: u64 =
                stdout.lines().map(|line| line.strip_prefix("used ").unwrap().parse::<u64>().unwrap()).sum();
            assert_eq!(stdout.lines().count(), processes);
            // A shell and the start of each program, on a machine that is busy with other things.
            assert_between(told, used - 5, used + 60);
            let cpu = format!("after {}; 0.{:02}s of CPU", ran(exited), told / 10);
            // Both parts are rounded for themselves.
            let other = format!("after {}; 0.{:02}s of CPU", ran(exited), told.saturating_sub(1) / 10);
            let message = exited.get("message").text();
            assert!(message.contains(&cpu) || message.contains(&other), "{message}");
        }
    }
}

/// As the sentence has it.
fn ran(event: &Json) -> String {
    match number(event, "ran_ms") {
        0 => "less than 1ms".into(),
        milliseconds => humantime::format_duration(std::time::Duration::from_millis(milliseconds)).to_string(),
    }
}

#[test]
fn the_memory_of_the_largest_process_is_told() {
    for place in BOTH {
        for script in ["exec {probe} take 20", "{probe} take 20; exit 0"] {
            let script = script.replace("{probe}", &probe());
            let (_, _, stderr) = Sexton::new(place).options(JSON).options(["-v"]).shell(&script).finish();
            let exited = &events(&stderr, "command_exited")[0];
            assert_between(number(exited, "max_rss_bytes"), 20 << 20, 32 << 20);
        }
    }
}

#[test]
fn the_memory_peak_is_the_cgroups() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(2 * LIMIT);
        let sexton = || Sexton::new(place).setup([cgroup.word()]).options(["-v"]);
        let (_, _, stderr) = sexton().options(JSON).probe(["take", "20"]).finish();
        let exited = &events(&stderr, "command_exited")[0];
        assert_eq!(number(exited, "memory_limit_bytes"), 2 * LIMIT);
        let Some(peak) = cgroup.memory_peak() else {
            assert_eq!(exited.get("memory_peak_bytes"), &Json::Null, "the kernel keeps none");
            continue;
        };
        assert_eq!(number(exited, "memory_peak_bytes"), peak);
        assert_between(peak, 20 << 20, 32 << 20);
        let (_, _, stderr) = sexton().probe(["exit", "0"]).finish();
        let mebibytes = (peak + (1 << 19)) >> 20;
        assert_has(&stderr, &[&format!("s of CPU; this cgroup: memory peak {mebibytes} of 48 MiB\n")]);
    }
}

#[test]
fn without_a_cgroup_in_sight_what_is_known_is_told() {
    let (_, _, stderr) = Sexton::new(Place::Init).setup(["no-proc"]).options(["-v"]).probe(["take", "20"]).finish();
    let told = stderr.lines().last().unwrap();
    let (_, memory) = told.split_once("s of CPU, ").unwrap_or_else(|| panic!("{stderr}"));
    let mebibytes: u64 = memory.strip_suffix(" MiB of memory at most").unwrap().parse().unwrap();
    assert_between(mebibytes, 20, 32);
}

/// What the kernel counted of a cgroup by now: periods in which it was throttled, and for how many milliseconds.
fn throttled(cgroup: &Cgroup) -> (u64, u64) {
    let text = fs::read_to_string(cgroup.path().join("cpu.stat")).unwrap();
    let value = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        value.and_then(|value| value.parse::<u64>().ok())
    };
    let microseconds = value("throttled_usec").or(value("throttled_time").map(|time| time / 1000)).unwrap();
    (value("nr_throttled").unwrap(), microseconds / 1000)
}

/// A processor's twentieth: 5 ms of each 100. Whoever uses 60 ms of it takes more than a second.
const TWENTIETH: u64 = 5_000;

#[test]
fn a_command_that_was_held_back_and_fails_or_is_killed_is_told_so() {
    needs!(Cgroups);
    for place in BOTH {
        for end in ["exit 3", "kill -9 $$", "kill -SEGV $$"] {
            let cgroup = Cgroup::with_cpu(TWENTIETH);
            let script = format!("{} spin 0 60; {end}", probe());
            let sexton = Sexton::new(place).options(JSON).setup(["core=0".into(), cgroup.word()]);
            let (_, _, stderr) = sexton.shell(&script).finish();
            let event = if end == "exit 3" { "command_exited" } else { "command_killed" };
            let event = &events(&stderr, event)[0];
            let (periods, milliseconds) = throttled(&cgroup);
            assert_eq!(event.get("level").text(), "warn");
            let (told_periods, told) = (number(event, "throttled_periods"), number(event, "throttled_ms"));
            assert_between(told_periods, 3, periods);
            assert_between(told, number(event, "ran_ms") / 4, (milliseconds + 1).min(100 * told_periods));
            let message = event.get("message").text();
            let (_, clause) = message.rsplit_once("; ").unwrap();
            let clause = clause.strip_prefix("its CPU limit (0.05 CPU) held this cgroup back for ");
            let time = clause.unwrap_or_else(|| panic!("{message}"));
            assert_eq!(humantime::parse_duration(time).unwrap().as_millis() as u64, told, "{message}");
        }
    }
}

#[test]
fn with_v_the_throttling_is_a_part_of_the_story() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_cpu(TWENTIETH);
        let sexton = Sexton::new(place).options(["-v"]).setup([cgroup.word()]);
        let (_, _, stderr) = sexton.probe(["spin", "0", "60"]).finish();
        let told = stderr.lines().last().unwrap();
        assert_has(told, &[" exited with status 0 after ", "s of CPU; this cgroup: throttled for "]);
        let cgroup = Cgroup::with_cpu(TWENTIETH);
        let sexton = Sexton::new(place).options(["-v"]).setup([cgroup.word()]);
        let (_, _, stderr) = sexton.probe(["spin", "3", "60"]).finish();
        let told = stderr.lines().last().unwrap();
        let parts = [
            " exited with status 3 after ",
            "s of CPU; this cgroup: throttled for ",
            "; its CPU limit (0.05 CPU) held",
        ];
        assert_has(told, &parts);
    }
}

#[test]
fn who_was_not_held_back_or_ended_well_is_not_told_so() {
    needs!(Cgroups);
    for place in BOTH {
        // Both processors and more.
        let wide = Cgroup::with_cpu(1_000_000);
        let (status, _, stderr) = Sexton::new(place).setup([wide.word()]).probe(["spin", "3", "60"]).finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(3), ""), "{place:?}");
        let (_, _, stderr) =
            Sexton::new(place).setup([wide.word()]).shell(&format!("{} spin 0 60; kill -9 $$", probe())).finish();
        assert!(!sentence(&stderr).contains("CPU limit"), "{stderr}");

        let narrow = Cgroup::with_cpu(TWENTIETH);
        let (status, _, stderr) = Sexton::new(place).setup([narrow.word()]).probe(["spin", "0", "60"]).finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?}");
        // As Java ends.
        let script = format!("{} spin 0 60; trap 'exit 143' TERM; echo ready; while :; do read x; done", probe());
        let mut run = Sexton::new(place).setup([narrow.word()]).shell(&script);
        run.wait_for_line("ready");
        run.send(libc::SIGTERM);
        let (status, _, stderr) = run_to_end(run);
        assert_eq!((status, stderr.as_str()), (Status::Exited(143), ""), "{place:?}");
        let sexton = Sexton::new(place).options(["-e", "3"]).setup([narrow.word()]);
        let (status, _, stderr) = sexton.probe(["spin", "3", "60"]).finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?}");
    }
}

#[test]
fn a_command_that_does_not_stop_is_told_with_what_it_cost_so_far() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(2 * LIMIT);
        let script = format!("trap '' TERM; {0} spin 0 100; exec {0} take 20 15", probe());
        let sexton = Sexton::new(place).options(JSON).options(["--grace-period", "300ms"]).setup([cgroup.word()]);
        let mut run = sexton.shell(&script);
        let used: u64 = run.wait_for_line("used ")[5..].parse().unwrap();
        run.wait_for_line("taken");
        run.send(libc::SIGTERM);
        let (status, _, stderr) = run_to_end(run);
        assert_eq!(status, Status::Exited(137));
        let over = &events(&stderr, "grace_period_over")[0];
        // Hundredths of a second, each rounded down.
        assert_between(number(over, "user_ms") + number(over, "system_ms"), used - 40, used + 100);
        assert_between(number(over, "max_rss_bytes"), 20 << 20, 32 << 20);
        assert_eq!(number(over, "memory_limit_bytes"), 2 * LIMIT);
        if let Some(peak) = cgroup.memory_peak() {
            assert_between(number(over, "memory_peak_bytes"), 20 << 20, peak);
        }
    }
}

#[test]
fn every_end_is_told_with_what_it_cost() {
    needs!(Cgroups);
    for place in BOTH {
        let cgroup = Cgroup::with_memory(LIMIT);
        let has = |event: &str, sexton: Sexton, words: &[&str]| {
            let (_, _, stderr) = sexton.options(JSON).setup(["core=0".into(), cgroup.word()]).probe(words).finish();
            let event = &events(&stderr, event)[0];
            for key in ["user_ms", "system_ms", "max_rss_bytes", "memory_limit_bytes"] {
                number(event, key);
            }
            if cgroup.memory_peak().is_some() {
                number(event, "memory_peak_bytes");
            }
        };
        has("command_exited", Sexton::new(place).options(["-v"]), &["exit", "0"]);
        has("command_exited", Sexton::new(place).options(["-v"]), &["exit", "3"]);
        has("command_killed", Sexton::new(place).options(["-v"]), &["die", "2"]);
        has("command_killed", Sexton::new(place), &["die", "11"]);
        has("command_failed_out_of_memory", Sexton::new(place), &["eaten-child", "3"]);
    }
}
