//! Under the name of a peer sexton does what the peer does: the same cases are looked at with the
//! peer itself and with sexton in its place. docs/dialects.md lists what is different on purpose.

mod harness;

#[path = "dialects/cases.rs"]
mod cases;
#[path = "dialects/looks.rs"]
mod looks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cases::Case;
use harness::{BOTH, Folder, Place, Sexton, Status, needs, probe_binary, sexton_binary, wait_until};
use looks::Program;

/// sexton under another name.
struct Renamed {
    binary: PathBuf,
    _folder: Folder,
}

impl Renamed {
    fn as_name(name: &str) -> Renamed {
        let folder = Folder::new();
        let binary = folder.0.join(name);
        std::os::unix::fs::symlink(std::fs::canonicalize(sexton_binary()).unwrap(), &binary).unwrap();
        Renamed { binary, _folder: folder }
    }
}

/// Debian's package of the peer.
fn peer_binary(name: &str) -> String {
    let path = format!("/usr/bin/{name}");
    assert!(Path::new(&path).exists(), "{path} is missing: apt-get install tini dumb-init catatonit");
    path
}

/// What only the one and what only the other was seen to do, over all places.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    peer: BTreeSet<String>,
    sexton: BTreeSet<String>,
}

/// The rows of the table in docs/dialects.md, by dialect and case: of the two columns that tell
/// what is done, the parts in backquotes are what is seen.
fn listed() -> BTreeMap<(String, String), Difference> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dialects.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [dialect, case, peer, sexton, why] = cells[..] else { panic!("not five columns: {line}") };
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        assert!(!why.is_empty(), "no reason is given: {line}");
        let difference =
            Difference { peer: quoted(peer).into_iter().collect(), sexton: quoted(sexton).into_iter().collect() };
        let key = (quoted(dialect).concat(), quoted(case).concat());
        assert!(rows.insert(key, difference).is_none(), "listed twice: {line}");
    }
    rows
}

/// The cases that are not looked at: integration/foreign names those that show qemu-user, not sexton.
fn left_out() -> BTreeSet<String> {
    let named: BTreeSet<_> =
        std::env::var("LEFT_OUT_CASES").iter().flat_map(|names| names.split_whitespace().map(str::to_owned)).collect();
    let all = [cases::tini(), cases::dumb_init(), cases::catatonit(), cases::podman_init()];
    let known: BTreeSet<_> = all.iter().flatten().map(|case| case.name.to_owned()).collect();
    assert!(named.is_subset(&known), "LEFT_OUT_CASES: {:?}", named.difference(&known));
    named
}

/// Looks at each case with the peer, with sexton under the name of the dialect, and with `--dialect`.
fn compare(dialect: &str, peer: &str, cases: Vec<Case>) {
    let (listed, left_out) = (listed(), left_out());
    let renamed = Renamed::as_name(dialect);
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for Case { name, places, look } in cases {
        assert!(names.insert(name), "two cases of {dialect} are called {name}");
        if left_out.contains(name) {
            println!("{dialect}: {name} is left out");
            continue;
        }
        let mut difference = Difference::default();
        for place in places {
            let program = |binary: String, leading: &[&str]| Program {
                place: *place,
                binary,
                leading: leading.iter().map(|word| (*word).to_owned()).collect(),
                environment: Vec::new(),
                setup: Vec::new(),
            };
            let peer = look(&program(peer_binary(peer), &[]));
            let sexton = look(&program(renamed.binary.display().to_string(), &[]));
            let by_option = look(&program(sexton_binary().display().to_string(), &["--dialect", dialect]));
            if sexton != by_option {
                wrong.push(format!("{name}, {place:?}: {sexton:?}, but with --dialect {by_option:?}"));
            }
            difference.peer.extend(peer.iter().filter(|line| !sexton.contains(line)).cloned());
            difference.sexton.extend(sexton.iter().filter(|line| !peer.contains(line)).cloned());
            if difference == Difference::default() && peer != sexton {
                // The same lines, but not in the same order or not as often.
                difference.peer.extend(peer);
                difference.sexton.extend(sexton);
            }
        }
        let key = (dialect.to_owned(), name.to_owned());
        let expected = listed.get(&key);
        if expected.unwrap_or(&Difference::default()) != &difference {
            wrong.push(format!("{name}: {difference:?}, but docs/dialects.md lists {expected:?}"));
        }
    }
    for (of, name) in listed.keys() {
        if of == dialect && !names.contains(name.as_str()) {
            wrong.push(format!("{name}: docs/dialects.md lists it, and there is no such case"));
        }
    }
    assert!(wrong.is_empty(), "{dialect}:\n{}", wrong.join("\n"));
}

#[test]
fn as_tini_sexton_does_what_tini_does() {
    needs!(TINI);
    compare("tini", "tini", cases::tini());
}

#[test]
fn as_dumb_init_sexton_does_what_dumb_init_does() {
    needs!(DUMB_INIT);
    compare("dumb-init", "dumb-init", cases::dumb_init());
}

#[test]
fn as_catatonit_sexton_does_what_catatonit_does() {
    needs!(CATATONIT);
    compare("catatonit", "catatonit", cases::catatonit());
}

#[test]
fn as_podman_init_sexton_does_what_catatonit_does_but_for_a_command_that_cannot_be_started() {
    needs!(CATATONIT);
    compare("podman-init", "catatonit", cases::podman_init());
}

const DIALECTS: [&str; 3] = ["tini", "dumb-init", "catatonit"];

/// sexton under this name.
fn called(place: Place, renamed: &Renamed) -> Sexton {
    Sexton::new(place).binary(&renamed.binary)
}

#[test]
fn every_name_of_a_peer_chooses_its_dialect() {
    for (name, beginning) in [
        ("tini", "tini version 0.19.0 "),
        ("tini-static", "tini version 0.19.0 "),
        ("docker-init", "tini version 0.19.0 "),
        ("dumb-init", "dumb-init v1.2.5 "),
        ("catatonit", "tini version 0.2.0_catatonit "),
        ("podman-init", "tini version 0.2.0_catatonit "),
        ("sexton", "sexton "),
        ("init", "sexton "),
        ("my-tini", "sexton "),
    ] {
        let renamed = Renamed::as_name(name);
        let (status, stdout, stderr) = called(Place::Ordinary, &renamed).options(["--version"]).bare().finish();
        assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{name}");
        assert!(stdout.starts_with(beginning), "{name}: {stdout}");
    }
}

#[test]
fn dialect_must_name_one_and_come_first() {
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--dialect", "init", "true"], 125, "--dialect: \"init\" is none"),
        (&["--dialect=", "true"], 125, "--dialect: \"\" is none"),
        (&["--dialect"], 125, "--dialect: \"\" is none"),
        (&["-g", "--dialect", "tini", "true"], 125, "--dialect comes before"),
        (&["--dialect", "tini", "--dialect", "tini", "true"], 1, "--dialect comes before"),
        (&["--dialect", "podman-init", "nosuchcommand"], 127, "cannot execute nosuchcommand: "),
        (&["--dialect=dumb-init", "-g", "true"], 1, "there is no option -g"),
        (&["--dialect=tini"], 1, "there is no command"),
    ];
    for (options, expected, beginning) in cases {
        let (status, _, stderr) = Sexton::new(Place::Ordinary).options(*options).bare().finish();
        assert_eq!(status, Status::Exited(*expected), "{options:?}: {stderr}");
        assert!(stderr.starts_with(&format!("sexton: {beginning}")), "{options:?}: {stderr}");
    }
    let renamed = Renamed::as_name("tini");
    let (status, stdout, _) =
        called(Place::Ordinary, &renamed).options(["--dialect=native", "--version"]).bare().finish();
    assert_eq!(status, Status::Exited(0));
    assert!(stdout.starts_with("sexton "), "the option beats the name: {stdout}");
}

/// As dockerd does it: what is before the first " - " without "tini version ", and what is behind
/// the "." of the second part.
#[test]
fn dockerd_understands_the_version() {
    let renamed = Renamed::as_name("docker-init");
    let (status, stdout, _) = called(Place::Ordinary, &renamed).options(["--version"]).bare().finish();
    assert_eq!(status, Status::Exited(0));
    assert_eq!(stdout.matches('\n').count(), 1, "{stdout}");
    let parts: Vec<&str> = stdout.trim().split(" - ").collect();
    let [version, commit] = parts[..] else { panic!("not two parts: {stdout}") };
    assert!(version.strip_prefix("tini version ").is_some_and(|version| version.contains("sexton")), "{version}");
    let commit = commit.strip_prefix("git.").unwrap();
    assert!(commit.len() == 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{commit}");
}

#[test]
fn sextons_own_variables_and_options_work_in_every_dialect() {
    for name in DIALECTS {
        let renamed = Renamed::as_name(name);
        for place in BOTH {
            let by_variable = called(place, &renamed).env("SEXTON_GRACE_PERIOD", "100ms");
            let by_option = called(place, &renamed).options(["--grace-period", "100ms"]);
            for sexton in [by_variable, by_option] {
                let mut run = sexton.probe(["ignore", "15"]);
                run.wait_for_line("ready");
                run.send(libc::SIGTERM);
                assert_eq!(run.status(), Status::Exited(137), "{name}, {place:?}");
            }
        }
        let (_, _, stderr) = called(Place::Init, &renamed).env("SEXTON_LOG", "info").probe(["exit", "0"]).finish();
        assert!(stderr.starts_with("sexton: started "), "{name}: {stderr}");
    }
}

#[test]
fn wrong_usage_is_one_sentence_and_the_peers_status() {
    let cases: &[(&str, &[&str])] = &[
        ("tini", &["-r", "HUP:INT"]),
        ("tini", &["-p", "NOSUCH"]),
        ("tini", &["-e", "256"]),
        ("dumb-init", &["-g"]),
        ("dumb-init", &["-r", "1"]),
        ("dumb-init", &["--rewrite", "0:1"]),
        ("dumb-init", &["-c", "-x"]),
        ("catatonit", &["-v"]),
        ("catatonit", &["-l"]),
        ("catatonit", &["--grace-period", "soon"]),
    ];
    for place in BOTH {
        for (name, options) in cases {
            let renamed = Renamed::as_name(name);
            let (status, stdout, stderr) = called(place, &renamed).options(*options).shell("echo started").finish();
            assert_eq!(status, Status::Exited(1), "{name} {options:?}: {stderr}");
            assert_eq!(stdout, "", "{name} {options:?}: the command was started");
            assert!(stderr.starts_with("sexton: "), "{name} {options:?}: {stderr}");
            assert_eq!(stderr.matches('\n').count(), 1, "{name} {options:?}: {stderr:?} is not one line");
        }
    }
}

/// dumb-init itself reads memory that is not its table, so there is nothing to compare with.
#[test]
fn as_dumb_init_real_time_signals_arrive() {
    let renamed = Renamed::as_name("dumb-init");
    for place in BOTH {
        for options in [&[][..], &["-c"]] {
            let mut run = called(place, &renamed).options(options).probe(["record", "15", "7"]);
            run.wait_for_line("ready");
            for signal in 32..=64 {
                run.send(signal);
                assert_eq!(run.recorded().signal, signal, "{place:?} {options:?}");
            }
            run.send(15);
            assert_eq!(run.status(), Status::Exited(7));
        }
    }
}

/// In a storm of other deaths too the rest of the group is told before the command is reaped.
#[test]
fn as_dumb_init_the_rest_of_the_group_is_told_among_many_deaths() {
    let renamed = Renamed::as_name("dumb-init");
    let probe = probe_binary();
    let script = format!(
        "{0} record 15 0 & read x; for n in 1 2 3 4 5 6 7 8 9 10; do {0} zombies 20 > /dev/null & done; exit 5",
        probe.display()
    );
    for _ in 0..10 {
        let mut run = called(Place::Ordinary, &renamed).shell(&script);
        run.wait_for_line("ready");
        drop(run.stdin.take());
        assert_eq!(run.recorded().signal, 15);
        assert_eq!(run.status(), Status::Exited(5));
    }
}

#[test]
fn notify_socket_is_untouched_in_every_dialect() {
    for name in DIALECTS {
        let renamed = Renamed::as_name(name);
        for place in BOTH {
            let (_, stdout, _) =
                called(place, &renamed).env("NOTIFY_SOCKET", "/run/notify").shell("echo $NOTIFY_SOCKET").finish();
            assert_eq!(stdout, "/run/notify\n", "{name}, {place:?}");
        }
    }
}

#[test]
fn a_pause_ends_well_with_a_stop_signal_and_with_nothing_else() {
    for place in BOTH {
        for (signal, options) in [(2, &["--pause"][..]), (15, &["-P"]), (3, &["--pause", "--stop-signal=QUIT"])] {
            let mut run = Sexton::new(place).options(options).bare();
            wait_until("it waits", || harness::is_waiting(run.pid));
            for other in [1, 10, 17, 18, 28, 40, 64] {
                run.send(other);
            }
            wait_until("all were taken", || {
                harness::is_waiting(run.pid) && run.proc_status("ShdPnd") == "0".repeat(16)
            });
            assert_eq!(run.try_status(std::time::Duration::ZERO), None);
            run.send(signal);
            assert_eq!(run.status(), Status::Exited(0), "{place:?} {options:?}");
        }
    }
}

#[test]
fn a_pause_reaps_and_holds_its_log_alone() {
    // A child that the shell leaves to what it becomes.
    let script = format!("{} record 15 0 & exec {} --pause", probe_binary().display(), sexton_binary().display());
    for place in BOTH {
        let sexton = Sexton::new(place).binary("/bin/sh").options(["-c", &script]).setup(["open=9", "cwd=/usr/share"]);
        let mut run = sexton.bare();
        run.wait_for_line("ready");
        let child = run.command_pid();
        wait_until("the pause began", || harness::is_waiting(run.pid));
        harness::kill(child, 15);
        wait_until("it was reaped", || harness::children(run.pid).is_empty());
        assert_eq!(harness::descriptors(run.pid), harness::log(place), "{place:?}");
        assert_eq!(std::fs::read_link(format!("/proc/{}/cwd", run.pid)).unwrap(), Path::new("/"));
        run.send(15);
        assert_eq!(run.status(), Status::Exited(0));
    }
}

#[test]
fn a_pause_that_waits_ends_with_the_last_of_the_others_or_at_a_second_stop_signal() {
    let (probe, sexton) = (probe_binary(), sexton_binary());
    let script = format!("{} record 10 0 & exec {} -P --orphans wait", probe.display(), sexton.display());
    for place in BOTH {
        for is_asked_again in [false, true] {
            let mut run = Sexton::new(place).binary("/bin/sh").options(["-c", &script]).bare();
            run.wait_for_line("ready");
            let child = run.command_pid();
            wait_until("the pause began", || harness::is_waiting(run.pid));
            run.send(15);
            wait_until("it was taken", || harness::is_waiting(run.pid) && run.proc_status("ShdPnd") == "0".repeat(16));
            assert_eq!(run.try_status(std::time::Duration::ZERO), None);
            if is_asked_again {
                run.send(15);
            } else {
                harness::kill(child, 10);
            }
            assert_eq!(run.status(), Status::Exited(0), "{place:?}");
            if is_asked_again && place == Place::Ordinary {
                harness::kill(child, 9);
            }
        }
    }
}

#[test]
fn a_pause_with_a_command_is_wrong_usage() {
    for place in BOTH {
        let (status, stdout, stderr) = Sexton::new(place).options(["--pause"]).shell("echo started").finish();
        assert_eq!((status, stdout.as_str()), (Status::Exited(125), ""));
        assert_eq!(stderr, "sexton: --pause (SEXTON_PAUSE) runs no command; leave one of the two out\n");
    }
}

#[test]
fn a_pause_ends_when_the_parent_dies_if_it_was_asked_to() {
    let script = format!("{} -p TERM --pause & echo $!; wait", sexton_binary().display());
    let mut run = Sexton::new(Place::Ordinary).binary("/bin/sh").options(["-c", &script]).bare();
    let pause: i32 = run.line().parse().unwrap();
    wait_until("the pause began", || harness::is_waiting(pause));
    run.send(libc::SIGKILL);
    wait_until("it ended", || harness::proc_status(pause, "State").is_none_or(|state| state.starts_with('Z')));
}

/// As PID 1 of a container the parent is outside the namespace, and no news of it is good news.
#[test]
fn a_parent_outside_the_namespace_does_not_count_as_dead() {
    let run = Sexton::new(Place::Init).options(["-p", "KILL"]).probe(["exit", "3"]);
    assert_eq!(run.finish().0, Status::Exited(3));
}
