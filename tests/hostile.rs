//! What a hostile command, or a hostile caller, cannot do to sexton: the promises of SECURITY.md.

mod harness;

use std::fs;
use std::path::Path;

use harness::{BOTH, Folder, Place, Sexton, Status, needs};

/// That sexton said one line and nothing else: no control character, no mark that hides text.
#[track_caller]
fn assert_one_plain_line(stderr: &str) {
    let line = stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no whole line: {stderr:?}"));
    assert!(line.starts_with("sexton: "), "{stderr:?}");
    let forged = |character: char| character.is_control() || ('\u{200b}'..='\u{206f}').contains(&character);
    assert!(!line.contains(forged), "{stderr:?}");
}

#[test]
fn every_test_that_security_md_names_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(folder.join("tests")).unwrap().map(|entry| entry.unwrap().path());
    let sources: String = files.filter(|file| file.is_file()).map(|file| fs::read_to_string(file).unwrap()).collect();
    let security = fs::read_to_string(folder.join("SECURITY.md")).unwrap();
    let code = security.split('`').skip(1).step_by(2);
    let names: Vec<&str> = code.filter(|code| code.matches('_').count() > 2 && !code.contains(' ')).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(sources.contains(&format!("fn {name}()")), "there is no test {name}");
    }
}

// ---- The command ----

#[test]
fn as_pid_1_sexton_can_neither_be_killed_nor_stopped_by_its_command() {
    let run = Sexton::new(Place::Init).shell("kill -KILL 1; kill -STOP 1; exit 5");
    let (status, _, stderr) = run.finish();
    assert_eq!((status, stderr.as_str()), (Status::Exited(5), ""));
}

/// So whoever takes sexton over gains nothing by it.
#[test]
fn sexton_has_no_right_that_its_command_has_not() {
    let script = "rights() { grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/$1/status; }; \
                  [ \"$(rights $PPID)\" = \"$(rights $$)\" ] && echo the same";
    // CAP_SYS_ADMIN is dropped.
    for setup in [&[][..], &["no-capability=21"], &["no-new-privs"]] {
        for place in BOTH {
            // An ordinary user's process has none that it could be without.
            let setup = if place.uid() == 0 { setup } else { &[] };
            let (status, stdout, _) = Sexton::new(place).setup(setup.iter().copied()).shell(script).finish();
            assert_eq!((status, stdout.as_str()), (Status::Exited(0), "the same\n"), "{place:?} {setup:?}");
        }
    }
}

#[test]
fn a_command_that_became_another_user_cannot_signal_sexton_nor_read_its_memory() {
    needs!(Root);
    let script = "kill -USR1 $PPID 2>/dev/null || echo no signal; cat /proc/$PPID/environ 2>/dev/null || echo no environment; \
                  : 2>/dev/null <>/proc/$PPID/mem || echo no memory";
    for place in BOTH {
        let command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", script];
        let (_, stdout, stderr) = Sexton::new(place).command(command).finish();
        assert_eq!((stdout.as_str(), stderr.as_str()), ("no signal\nno environment\nno memory\n", ""), "{place:?}");
    }
}

#[test]
fn a_name_of_a_process_forges_no_line_of_the_log() {
    for place in BOTH {
        for name in [r"\033[2J\nsexton: x", r"\342\200\256neddih", r"\342\200\250line", r"\377\376\r\t"] {
            let rename = format!("printf '{name}' >/proc/$$/comm; trap '' TERM");
            let child = format!("sh -c \"{}; echo ready; while :; do sleep 1; done\"", rename.replace('$', "\\$"));
            let script = format!("{rename}; {child} & wait; wait");
            let mut run = Sexton::new(place).options(["--grace-period", "300ms", "--orphans", "stop"]).shell(&script);
            run.wait_for_line("ready");
            run.send(libc::SIGTERM);
            let (status, _, stderr) = run.finish();
            assert_eq!(status, Status::Exited(137));
            assert_one_plain_line(&stderr);
        }
    }
}

#[test]
fn a_forged_proc_hangs_nobody() {
    let script = "mount -t tmpfs forged /proc && cd /proc && ln -s 1 self && mkdir 2 1 && mkfifo loadavg 1/stat 2/stat \
                  && mkdir -p self/fd && trap '' TERM && echo ready && while :; do sleep 1; done";
    for options in [&["--orphans", "stop"][..], &["--orphans", "wait", "--group"], &["-vvv"]] {
        let run = Sexton::new(Place::Init).options(["--grace-period", "300ms"]).options(options);
        let mut run = run.shell(script);
        run.wait_for_line("ready");
        run.send(libc::SIGTERM);
        assert_eq!(run.status(), Status::Exited(137), "{options:?}");
    }
}

#[test]
fn a_symbolic_link_in_the_place_of_the_termination_log_is_not_followed() {
    for place in BOTH {
        let folder = Folder::new();
        let (log, victim) = (folder.path("log"), folder.path("victim"));
        fs::write(&victim, "as it was").unwrap();
        let script = format!("ln -s {victim} {log}; kill -SEGV $$");
        let run = Sexton::new(place).options([format!("--termination-log={log}")]).setup(["core=0"]).shell(&script);
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(139));
        assert!(stderr.contains("it is a symbolic link, which is not followed"), "{stderr}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
    }
}

#[test]
fn signal_32_of_the_command_is_not_taken_for_the_death_of_the_parent() {
    for place in BOTH {
        let run = Sexton::new(place).options(["-p", "TERM", "-v"]).shell("kill -32 $PPID; kill -32 $PPID; exit 4");
        let (status, _, stderr) = run.finish();
        assert_eq!(status, Status::Exited(4), "{place:?}: {stderr}");
        assert!(!stderr.contains("shutdown begins"), "{place:?}: {stderr}");
    }
}

// ---- The caller ----

#[test]
fn variables_of_the_loader_and_of_libc_do_not_touch_sexton() {
    for place in BOTH {
        let mut run = Sexton::new(place);
        for name in ["LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_DEBUG", "GCONV_PATH", "LOCPATH", "MALLOC_TRACE"] {
            run = run.env(name, "/nonexistent/evil.so");
        }
        run = run.env("GLIBC_TUNABLES", format!("glibc.malloc.check=3:{}=1", "x".repeat(5000)));
        let (status, _, stderr) = run.probe(["exit", "7"]).finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(7), ""), "{place:?}");
    }
}

#[test]
fn a_huge_environment_reaches_the_command_whole() {
    let value = "x".repeat(100_000);
    for place in BOTH {
        let mut run = Sexton::new(place);
        for index in 0..15 {
            run = run.env(format!("HUGE_{index}"), &value);
        }
        let script =
            "for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do eval \"echo \\${#HUGE_$i}\"; done | sort | uniq -c";
        let (status, stdout, stderr) = run.shell(script).finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{place:?}");
        assert_eq!(stdout.split_whitespace().collect::<Vec<_>>(), ["15", "100000"], "{place:?}");
    }
}

#[test]
fn a_huge_or_forged_setting_is_one_plain_line() {
    for place in BOTH {
        for value in ["9".repeat(100_000), "1s\nsexton: all is well\u{202e}\u{1b}[2J".into()] {
            let (status, _, stderr) = Sexton::new(place).env("SEXTON_GRACE_PERIOD", &value).shell("exit 3").finish();
            assert_eq!(status, Status::Exited(125), "{place:?}");
            assert_one_plain_line(&stderr);
            assert!(stderr.len() <= 8192, "{} bytes", stderr.len());
        }
    }
}
