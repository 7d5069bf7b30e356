//! Every signal arrives.

mod harness;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{BOTH, Place, Sexton, Status, needs, now, wait_until};

/// All that can be caught.
fn catchable() -> impl Iterator<Item = i32> {
    (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal))
}

#[test]
fn every_signal_from_1_to_64_arrives_once() {
    for place in BOTH {
        for options in [&[][..], &["--group"], &["--grace-period", "1h"]] {
            let mut run = Sexton::new(place).options(options).probe(["record", "15", "7"]);
            run.line();
            for signal in catchable().filter(|signal| *signal != 15).chain([15]) {
                run.send(signal);
                let seen = run.recorded();
                assert_eq!((seen.signal, seen.value), (signal, 0), "{place:?} {options:?}");
            }
            assert_eq!(run.status(), Status::Exited(7));
        }
    }
}

#[test]
fn a_signal_arrives_with_its_value_and_its_sender() {
    // A pointer's size is what there is room for.
    let value = if harness::is_32_bit(harness::sexton_binary()) { 0x1234_5678 } else { 0x1234_5678_9abc_u64 as usize };
    for place in BOTH {
        for options in [&[][..], &["--group"]] {
            let mut run = Sexton::new(place).options(options).probe(["record", "15", "7"]);
            run.line();
            // An older kernel has no means to send a value to a process group.
            let is_told = options.is_empty() || harness::linux() >= (6, 9);
            for signal in catchable().filter(|signal| *signal != 15).chain([15]) {
                if signal == 15 {
                    wait_until("sexton has its log alone open, whatever it opened for the signals", || {
                        harness::descriptors(run.pid) == harness::log(place)
                    });
                }
                run.queue(signal, value + signal as usize);
                let seen = run.recorded();
                assert_eq!(seen.signal, signal, "{place:?} {options:?}");
                if !is_told {
                    continue;
                }
                // From outside the namespaces: pid 0, and our own uid, which is root in there.
                let (sender, uid) = match place {
                    Place::Init => (0, 0),
                    Place::Ordinary => (std::process::id() as i32, nix::unistd::getuid().as_raw() as i32),
                };
                assert_eq!(
                    (seen.code, seen.value, seen.pid, seen.uid),
                    (libc::SI_QUEUE, value + signal as usize, sender, uid),
                    "{place:?} {options:?}"
                );
            }
            let (status, _, stderr) = run.finish();
            assert_eq!(status, Status::Exited(7));
            assert_eq!(stderr.contains("SIGTERM to ") && stderr.contains("without its value"), !is_told, "{stderr}");
        }
    }
}

#[test]
fn queued_real_time_signals_keep_their_order_and_none_is_lost() {
    for place in BOTH {
        let mut run = Sexton::new(place).probe(["record", "15", "0"]);
        run.line();
        for value in 0..1000 {
            run.queue(40, value);
        }
        for value in 0..1000 {
            let seen = run.recorded();
            assert_eq!((seen.signal, seen.value), (40, value), "{place:?}");
        }
        run.send(15);
        assert_eq!(run.status(), Status::Exited(0));
    }
}

#[test]
fn a_rewritten_signal_arrives_as_the_other_one_and_a_dropped_one_does_not() {
    for place in BOTH {
        let options = ["-r", "HUP:QUIT", "-r", "USR1:none", "--rewrite", "RTMIN+3:RTMAX"];
        let mut run = Sexton::new(place).options(options).probe(["record", "15", "0"]);
        run.line();
        run.send(libc::SIGHUP);
        assert_eq!(run.recorded().signal, libc::SIGQUIT);
        run.queue(37, 5);
        let seen = run.recorded();
        assert_eq!((seen.signal, seen.value), (64, 5));
        run.send(libc::SIGUSR1);
        run.send(libc::SIGUSR2);
        assert_eq!(run.recorded().signal, libc::SIGUSR2, "SIGUSR1 was to be dropped");
        run.send(15);
        assert_eq!(run.recorded().signal, 15);
        assert_eq!(run.status(), Status::Exited(0));
    }
}

#[test]
fn with_group_every_process_of_the_commands_group_gets_the_signal_once() {
    for place in BOTH {
        let probe = harness::probe_binary();
        // The shell is in the group as well, and must outlive the signal.
        let script = format!("trap : USR1 40; {0} record 15 0 & {0} record 15 0", probe.display());
        let mut run = Sexton::new(place).options(["-g"]).shell(&script);
        run.wait_for_line("ready");
        run.wait_for_line("ready");
        run.send(libc::SIGUSR1);
        assert_eq!((run.recorded().signal, run.recorded().signal), (10, 10), "{place:?}");
        run.send(libc::SIGWINCH);
        assert_eq!((run.recorded().signal, run.recorded().signal), (28, 28), "{place:?}");
        // A group can be given a value since Linux 6.9; before, both get the signal without it.
        run.queue(40, 7);
        let (one, other) = (run.recorded(), run.recorded());
        assert_eq!((one.signal, other.signal), (40, 40), "{place:?}");
        assert!(one.value == other.value && [0, 7].contains(&one.value), "{place:?}: {one:?} {other:?}");
    }
}

/// It left somebody in its old group, which is not empty therefore.
#[test]
fn with_group_a_command_that_went_to_another_group_gets_the_signal_too() {
    for place in BOTH {
        let mut run = Sexton::new(place).options(["-g"]).probe(["moved", "record", "15", "7"]);
        run.wait_for_line("ready");
        run.send(libc::SIGUSR1);
        assert_eq!(run.recorded().signal, libc::SIGUSR1, "{place:?}");
        for signal in [libc::SIGUSR2, 15] {
            run.queue(signal, 23);
            let seen = run.recorded();
            let value = if harness::linux() >= (6, 9) { 23 } else { seen.value };
            assert_eq!((seen.signal, seen.value), (signal, value), "{place:?}");
        }
        assert_eq!(run.status(), Status::Exited(7));
    }
}

#[test]
fn without_group_the_main_process_alone_gets_the_signal() {
    for place in BOTH {
        let probe = harness::probe_binary();
        let script = format!("{0} record 15 0 & exec {0} record 15 0", probe.display());
        let mut run = Sexton::new(place).shell(&script);
        run.wait_for_line("ready");
        run.wait_for_line("ready");
        run.send(libc::SIGUSR1);
        run.send(libc::SIGUSR2);
        assert_eq!((run.recorded().signal, run.recorded().signal), (10, 12), "{place:?}: both of the main process");
    }
}

/// The kernel hands over the lowest number first: SIGUSR1 (10) and SIGUSR2 (12) without end would
/// keep SIGTERM (15) out.
#[test]
fn a_flood_of_signals_does_not_keep_another_one_out() {
    for place in BOTH {
        let mut run = Sexton::new(place).stdout(std::process::Stdio::null()).probe(["ignore", "10", "12"]);
        wait_until("the command ignores SIGUSR1 and SIGUSR2", || {
            // Others may be ignored as well: a shell's job in the background is started so.
            let ignored = harness::proc_status(run.command_pid(), "SigIgn");
            ignored.is_some_and(|mask| u64::from_str_radix(&mask, 16).is_ok_and(|mask| mask & 0xa00 == 0xa00))
        });
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for signal in [nix::sys::signal::SIGUSR1, nix::sys::signal::SIGUSR2] {
                let (over, pid) = (&over, run.pid);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        // It may have ended already.
                        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
                    }
                });
            }
            run.send(libc::SIGTERM);
            let status = run.try_status(Duration::from_secs(10));
            over.store(true, Ordering::Relaxed);
            assert_eq!(status, Some(Status::Exited(143)), "{place:?}");
        });
    }
}

#[test]
fn a_refused_forward_is_a_warning_and_sexton_stays() {
    needs!(Root);
    for place in BOTH {
        const CAP_KILL: &str = "no-capability=5";
        let mut run = Sexton::new(place).setup([CAP_KILL]).probe(["setuid", "65534", "record", "15", "9"]);
        let command: i32 = if place == Place::Init {
            run.line();
            run.command_pid()
        } else {
            run.line().strip_prefix("ready ").unwrap().parse().unwrap()
        };
        run.send(libc::SIGUSR1);
        let mut stderr = std::io::BufReader::new(run.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        assert!(line.starts_with("sexton: cannot forward SIGUSR1 to ") && line.contains("CAP_KILL"), "{line}");
        // Both still run; the command can be reached by who may.
        harness::kill(command, 15);
        assert_eq!(run.recorded().signal, 15);
        assert_eq!(run.status(), Status::Exited(9), "{place:?}");
    }
}

/// Writing to a closed pipe raises SIGPIPE in sexton, which is blocked and so pending.
#[test]
fn what_the_kernel_raises_for_sextons_own_log_is_not_forwarded() {
    for place in BOTH {
        let (reader, writer) = harness::pipe();
        drop(reader);
        let mut run = Sexton::new(place).options(["-vv"]).stderr(writer).probe(["record", "15", "0"]);
        run.line();
        for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGHUP, 15] {
            run.send(signal);
            assert_eq!(run.recorded().signal, signal, "{place:?}");
        }
        assert_eq!(run.status(), Status::Exited(0));
    }
}

#[test]
fn a_signal_takes_less_than_100_ms_in_a_quiet_time() {
    for place in BOTH {
        let mut run = Sexton::new(place).probe(["record", "15", "0"]);
        run.line();
        let mut delays = Vec::new();
        for _ in 0..100 {
            let sent = now();
            run.send(libc::SIGUSR1);
            delays.push(run.recorded().at - sent);
        }
        delays.sort();
        assert!(delays[50] < Duration::from_millis(100), "{place:?}: median {:?}, worst {:?}", delays[50], delays[99]);
    }
}
