//! `sexton --check`: a health check for images without a shell, beside PID 1 as an engine runs it.

mod harness;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use std::os::fd::AsRawFd;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

use harness::{Folder, Place, Running, Sexton, command, enter, full_pipe, sexton_binary, wait_until};

fn check(args: &[&str]) -> (i32, String, String) {
    said(command(sexton_binary()).arg("--check").args(args).env_clear().output().unwrap())
}

fn said(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("no signal ends a check"), text(output.stdout), text(output.stderr))
}

/// Beside this PID 1, as `docker exec` would run it.
fn check_beside(run: &Running, args: &[&str]) -> (i32, String, String) {
    let mut check = enter(run, sexton_binary());
    check.arg("--check").args(args).env_remove("SEXTON_DRAIN_FILE");
    said(check.output().unwrap())
}

/// Answers each connection with these bytes, and says by a line of its own name what was asked.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn beside_pid_1_it_tells_whether_a_shutdown_has_begun() {
    for name in ["sexton", "tini", "docker-init", "an-init"] {
        let folder = Folder::new();
        let binary = folder.path(name);
        fs::copy(sexton_binary(), &binary).unwrap();
        // A link is the same file, as a COPY of one binary to two places is not.
        let linked = folder.path("check");
        fs::hard_link(&binary, &linked).unwrap();
        let mut run =
            Sexton::new(Place::Init).binary(&binary).env("SEXTON_PRE_STOP_SLEEP", "1h").probe(["record", "10", "7"]);
        run.line();
        let beside =
            |run: &Running, args: &[&str]| said(enter(run, &linked).arg("--check").args(args).output().unwrap());
        assert_eq!(beside(&run, &[]), (0, "running: no shutdown has begun\n".into(), String::new()), "{name}");
        run.send(15);
        wait_until("the drain", || {
            fs::read_to_string(format!("/proc/{}/comm", run.pid)).is_ok_and(|name| name == "sexton: drain\n")
        });
        assert_eq!(beside(&run, &[]), (1, "draining: the shutdown has begun\n".into(), String::new()), "{name}");
        // A restart of a container that is shutting down helps nobody.
        assert_eq!(beside(&run, &["--live"]), (0, "running\n".into(), String::new()), "{name}");
        let well = server("HTTP/1.1 200 OK\r\n\r\n");
        let url = format!("http://{well}/health");
        assert_eq!(beside(&run, &[&url]).0, 1, "{name}");
        assert_eq!(beside(&run, &["--live", &url]).0, 0, "{name}");
        run.send(10);
        assert_eq!(run.status(), harness::Status::Exited(7));
    }
}

#[test]
fn beside_a_pid_1_that_is_no_sexton_only_a_file_tells() {
    let folder = Folder::new();
    let file = folder.path("drain");
    let mut run = Sexton::new(Place::Init).binary("/bin/sh").options(["-c", "echo ready; read x"]).bare();
    assert_eq!(run.line(), "ready");
    let (status, line, _) = check_beside(&run, &[]);
    assert_eq!(status, 1);
    assert!(line.starts_with("cannot see whether a shutdown has begun: PID 1 is sh, not sexton; give"), "{line}");
    assert_eq!(check_beside(&run, &["--drain-file", &file]).0, 0);
    fs::write(&file, "").unwrap();
    let draining = format!("draining: the shutdown has begun ({file} is there)\n");
    assert_eq!(check_beside(&run, &["--drain-file", &file]), (1, draining, String::new()));
}

/// A folder that is read-only, or a command that removed the file.
#[test]
fn beside_pid_1_its_name_tells_the_shutdown_when_there_is_no_drain_file() {
    let folder = Folder::new();
    let file = folder.path("no/such/folder");
    let mut run = Sexton::new(Place::Init)
        .env("SEXTON_DRAIN_FILE", &file)
        .env("SEXTON_PRE_STOP_SLEEP", "1h")
        .probe(["record", "10", "7"]);
    run.line();
    assert_eq!(check_beside(&run, &["--drain-file", &file]).0, 0);
    run.send(15);
    let draining = (1, "draining: the shutdown has begun\n".into(), String::new());
    wait_until("the drain", || check_beside(&run, &["--drain-file", &file]) == draining);
}

#[test]
fn the_drain_file_of_the_environment_is_the_one_that_is_looked_at() {
    let folder = Folder::new();
    let file = folder.path("drain");
    let check = || {
        let mut check = command(sexton_binary());
        said(check.arg("--check").env("SEXTON_DRAIN_FILE", &file).output().unwrap())
    };
    assert_eq!(check(), (0, "running: no shutdown has begun\n".into(), String::new()));
    // A sexton that is not PID 1 makes it.
    let mut run = Sexton::new(Place::Ordinary)
        .env("SEXTON_DRAIN_FILE", &file)
        .env("SEXTON_PRE_STOP_SLEEP", "1h")
        .probe(["record", "10", "7"]);
    run.line();
    run.send(15);
    wait_until("the drain", || check().0 == 1);
}

#[test]
fn a_target_is_well_when_it_answers_and_all_of_them_have_to() {
    let (well, ill) = (server("HTTP/1.1 204 No Content\r\n\r\n"), server("HTTP/1.0 503 Service Unavailable\r\n\r\n"));
    let moved = server("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n");
    let folder = Folder::new();
    let socket = folder.path("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let port = well.split_once(':').unwrap().1;
    for (targets, status, seen) in [
        (vec![format!("http://{well}/health")], 0, ": 204 No Content after "),
        (vec![format!("http://{moved}")], 0, ": 302 Found after "),
        (vec![format!("http://{ill}/health")], 1, ": 503 Service Unavailable after "),
        (vec![format!("tcp:{ill}")], 0, ": connected after "),
        (vec![format!("tcp:{port}")], 0, ": connected after "),
        (vec![format!("unix:{socket}")], 0, ": connected after "),
        (vec![format!("tcp:{closed}")], 1, ": connection refused"),
        (vec![format!("http://{closed}/")], 1, ": connection refused"),
        (vec![format!("unix:{socket}-none")], 1, ": no such file or directory"),
        (vec![format!("tcp:{well}"), format!("http://{ill}/")], 1, ": 503 Service Unavailable after "),
        (vec![format!("http://{ill}/"), format!("tcp:{well}")], 1, ": 503 Service Unavailable after "),
        (vec![format!("tcp:{well}"), format!("http://{well}/a")], 0, "; http://"),
    ] {
        let args: Vec<&str> = ["--live"].into_iter().chain(targets.iter().map(String::as_str)).collect();
        let (code, line, stderr) = check(&args);
        assert_eq!((code, stderr.as_str()), (status, ""), "{targets:?}: {line}");
        assert!(line.contains(seen) && line.lines().count() == 1, "{targets:?}: {line}");
    }
}

#[test]
fn a_hostile_or_slow_server_does_not_hold_it_beyond_its_time() {
    const TIMEOUT: &str = "--check-timeout=700ms";
    let at_most = Duration::from_secs(4);
    // Each writes this, byte by byte, for as long as it is listened to.
    for (bytes, pause, seen) in [
        ("", 0, "no answer within 700ms"),
        ("HTTP/1.1 20", 0, "no answer within 700ms"),
        ("HTTP/1.1 200 OK and so on and on and on and on and on", 50, "no answer within 700ms"),
        ("SSH-2.0-x\r\n", 0, "does not speak HTTP"),
        ("\0\u{1}\u{2}garbage", 0, "does not speak HTTP"),
        ("HTTP/1.1 503 \u{1b}[2J\rrunning\n", 0, ": 503 "),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for byte in bytes.bytes() {
                if stream.write_all(&[byte]).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(pause));
            }
            // Until the check is done with us.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        });
        let begun = Instant::now();
        let (status, line, _) = check(&["--live", TIMEOUT, &url]);
        assert_eq!(status, 1, "{line}");
        assert!(line.contains(seen), "{bytes:?}: {line}");
        let text = line.strip_suffix('\n').unwrap();
        assert!(!text.contains(char::is_control), "{bytes:?}: {text:?}");
        assert!(begun.elapsed() < at_most, "{bytes:?}");
        serving.join().unwrap();
    }
    // A header without an end is not read at all, and neither is a line without one.
    let endless = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = endless.local_addr().unwrap();
    for (beginning, status) in [("HTTP/1.1 200 OK\r\nX: ", 0), ("HTTP/1.1 200 ", 1)] {
        let listener = endless.try_clone().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(beginning.as_bytes());
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        assert_eq!(check(&["--live", TIMEOUT, &format!("http://{address}/")]).0, status, "{beginning}");
        serving.join().unwrap();
    }
    // A connection that is closed in the middle of the line.
    let cut = server("HTTP/1.1 2");
    assert!(check(&["--live", &format!("http://{cut}/")]).1.contains("closed before the status line"));
}

#[test]
fn a_stdout_that_nobody_reads_does_not_hold_it_and_the_status_tells() {
    let (_reader, full) = full_pipe();
    let address = server("HTTP/1.1 200 OK\r\n\r\n");
    for (target, expected) in [(format!("http://{address}/"), 0), ("unix:/no/such/socket".to_owned(), 1)] {
        let mut check = command(sexton_binary());
        check.args(["--check", "--live", &target]).env_clear().stdout(full.try_clone().unwrap());
        let mut check = check.spawn().unwrap();
        let mut status = None;
        wait_until("the check ends", || {
            status = check.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.and_then(|status| status.code()), Some(expected), "{target}");
    }
}

#[test]
fn a_socket_whose_backlog_is_full_is_waited_for_no_longer_than_the_time() {
    let folder = Folder::new();
    let path = folder.path("full");
    let listener = UnixListener::bind(&path).unwrap();
    let mut waiting = Vec::new();
    let address = UnixAddr::new(path.as_str()).unwrap();
    loop {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let client = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        if socket::connect(client.as_raw_fd(), &address).is_err() {
            break;
        }
        waiting.push(client);
        assert!(waiting.len() < 10_000);
    }
    let (status, line, _) = check(&["--live", "--check-timeout=300ms", &format!("unix:{path}")]);
    assert_eq!(status, 1);
    assert!(line.contains("no connection within 300ms"), "{line}");
    drop(listener);
}

#[test]
fn it_asks_as_a_browser_would_and_reads_no_more_than_it_needs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        String::from_utf8(asked).unwrap()
    });
    assert_eq!(check(&["--live", &format!("http://{address}/ready?deep=1")]).0, 0);
    let asked = asked.join().unwrap();
    let mut lines = asked.lines();
    assert_eq!(lines.next(), Some("GET /ready?deep=1 HTTP/1.1"));
    assert_eq!(lines.next(), Some(format!("Host: {address}").as_str()));
    assert!(asked.contains("\r\nConnection: close\r\n"), "{asked}");
}

#[test]
fn wrong_usage_is_not_well_and_says_what_to_type() {
    for (args, sentence) in [
        (
            &["--nope"][..],
            "--check has no option \"--nope\"; it takes --check-timeout, --drain-file, --live and targets",
        ),
        (&["--live=1"], "--check has no option"),
        (&["--check-timeout"], "--check-timeout needs a value"),
        (&["--check-timeout", "soon"], "\"soon\" is no duration"),
        (&["--check-timeout", "0"], "a check that may take no time is never well"),
        (&["--drain-file", "x"], "is no absolute path"),
        (&["localhost:80"], "\"localhost:80\" is no target; give tcp:PORT"),
        (&["http://localhost/"], "a check looks up no names: give 127.0.0.1 or [::1]"),
        (&["https://127.0.0.1/"], "speaks no TLS"),
    ] {
        let (status, stdout, stderr) = check(args);
        assert_eq!((status, stdout.as_str()), (1, ""), "{args:?}: {stderr}");
        assert!(stderr.starts_with("sexton: ") && stderr.contains(sentence), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let (status, stdout, _) = check(&["--help"]);
    assert!(status == 0 && stdout.contains("tcp:PORT") && stdout.contains("--live"), "{stdout}");
    // Not first it is no mode, and never runs a command.
    let (status, stdout, stderr) =
        Sexton::new(Place::Ordinary).options(["-v", "--check"]).shell("echo started").finish();
    assert_eq!((status, stdout.as_str()), (harness::Status::Exited(125), ""));
    assert!(stderr.contains("--check comes before all other arguments"), "{stderr}");
}

/// As sexton's own: else it would look for another file than the one that sexton makes.
#[test]
fn its_values_may_come_with_blanks_and_a_line_end_and_not_in_quotes() {
    let with = |variables: &[(&str, &str)]| {
        let variables = variables.iter().copied();
        said(command(sexton_binary()).arg("--check").env_clear().envs(variables).output().unwrap())
    };
    let folder = Folder::new();
    let file = folder.path("drain");
    fs::write(&file, "").unwrap();
    let draining = with(&[("SEXTON_DRAIN_FILE", &file)]);
    assert_eq!(draining.0, 1, "{draining:?}");
    assert_eq!(with(&[("SEXTON_DRAIN_FILE", &format!(" {file}\r\n"))]), draining);
    assert_eq!(check(&["--drain-file", &format!("{file}\r")]), draining);
    let (status, _, stderr) = with(&[("SEXTON_CHECK_TIMEOUT", "\"2s\"")]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("sexton: SEXTON_CHECK_TIMEOUT: \"2s\" has quotes around it"), "{stderr}");
    assert_eq!(with(&[("SEXTON_CHECK_TIMEOUT", " \r"), ("SEXTON_DRAIN_FILE", &file)]), draining);
}

/// Docker closes the pipe of a check that took too long, and other engines end it by a signal.
#[test]
fn nobody_who_listens_and_a_signal_do_what_they_do_to_any_program() {
    let mut check = command(sexton_binary()).args(["--check", "--live"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(check.stdout.take());
    let status = check.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{status:?}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut check = command(sexton_binary()).args(["--check", "--live", "--check-timeout=1h", &url]).spawn().unwrap();
    let (_stream, _): (TcpStream, _) = listener.accept().unwrap();
    harness::kill(check.id() as i32, 15);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(check.wait().unwrap().signal(), Some(15));
}
