//! `/proc/PID/status` (proc_pid_status(5)): what a process does with signals, and who traces it.

use super::file::Opened;
use super::proc::{Path, shows_our_namespace};
use crate::signal::SignalSet;

/// What a process does with signals.
///
/// The state, what is blocked and a part of what is pending are those of its first thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// `R`, `S`, `D`, `T`, `t`, `Z`…
    pub state: u8,
    /// Who traces it (ptrace(2)): 0 is nobody, or somebody outside of our PID namespace.
    pub tracer: i32,
    /// It is PID 1 of a PID namespace below ours (since Linux 4.1).
    pub is_inner_init: bool,
    /// How many threads it has.
    pub threads: u32,
    /// Signals that it has not taken yet.
    pub pending: SignalSet,
    /// Signals that it takes only later.
    pub blocked: SignalSet,
    /// Signals that the kernel throws away.
    pub ignored: SignalSet,
    /// Signals for which it has a handler.
    pub caught: SignalSet,
    /// How often it left the processor, by itself and not: as long as it waits the number stays.
    pub switches: u64,
}

impl Status {
    /// Of which nothing was read yet.
    pub const NOTHING: Status = Status {
        state: 0,
        tracer: 0,
        is_inner_init: false,
        threads: 0,
        pending: SignalSet::EMPTY,
        blocked: SignalSet::EMPTY,
        ignored: SignalSet::EMPTY,
        caught: SignalSet::EMPTY,
        switches: 0,
    };

    /// The process with this pid, if it is there and can be seen.
    // Not a part of its caller, whose stack would hold the page of text for longer.
    #[inline(never)]
    pub fn of(pid: i32) -> Option<Status> {
        let path = Path::of(format_args!("/proc/{pid}/status"))?;
        let mut status = Status::NOTHING;
        Opened::default().find_line(path.c_str()?, |line| status.read(line))?;
        (pid > 0 && shows_our_namespace()).then_some(status)
    }

    /// Takes one line. Something after the last one.
    fn read(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once(':')?;
        let value = value.trim();
        let set = || u64::from_str_radix(value, 16).map_or(SignalSet::EMPTY, SignalSet::from_bits);
        match key {
            "State" => self.state = value.bytes().next().unwrap_or_default(),
            "TracerPid" => self.tracer = value.parse().unwrap_or_default(),
            // Its pid in our namespace, in the one below, and so on.
            "NSpid" => {
                let mut pids = value.split_ascii_whitespace();
                self.is_inner_init = pids.next().is_some() && pids.next_back() == Some("1");
            }
            "Threads" => self.threads = value.parse().unwrap_or_default(),
            "SigPnd" | "ShdPnd" => self.pending = SignalSet::from_bits(self.pending.bits() | set().bits()),
            "SigBlk" => self.blocked = set(),
            "SigIgn" => self.ignored = set(),
            "SigCgt" => self.caught = set(),
            "voluntary_ctxt_switches" | "nonvoluntary_ctxt_switches" => {
                self.switches = self.switches.saturating_add(value.parse().unwrap_or_default());
                return key.starts_with('n').then_some(());
            }
            _ => {}
        }
        None
    }
}

/// What these lines say, for fuzz/.
pub fn status_of(text: &str) -> Option<Status> {
    let mut status = Status::NOTHING;
    text.lines().find_map(|line| status.read(line)).map(|()| status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;

    const TEXT: &str = "Name:\tserver\nState:\tD (disk sleep)\nPid:\t7\nPPid:\t1\nTracerPid:\t12\nNSpid:\t7\t3\t1\n\
                        Threads:\t4\nSigQ:\t1/100\nSigPnd:\t0000000000000001\nShdPnd:\t0000000000004000\n\
                        SigBlk:\t0000000000000002\nSigIgn:\t8000000000001000\nSigCgt:\t0000000000000200\n\
                        CapInh:\t0000000000000000\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n";

    #[test]
    fn what_a_process_does_with_signals_is_read() {
        let status = status_of(TEXT).unwrap();
        let set = |numbers: &[i32]| {
            numbers.iter().fold(SignalSet::EMPTY, |set, number| set.with(Signal::new(*number).unwrap()))
        };
        assert_eq!((status.state, status.tracer, status.threads, status.switches), (b'D', 12, 4, 42));
        assert_eq!(status.pending, set(&[1, 15]), "its own and its process's");
        assert_eq!(status.blocked, set(&[2]));
        assert_eq!(status.ignored, set(&[13, 64]));
        assert_eq!(status.caught, set(&[10]));
        assert!(status.is_inner_init);
    }

    #[test]
    fn who_is_pid_1_in_our_namespace_or_not_at_all_in_another_is_no_inner_init() {
        for pids in ["1", "7", "7\t3", "1\t2", "7\t11", ""] {
            let text = TEXT.replace("7\t3\t1", pids);
            assert!(!status_of(&text).unwrap().is_inner_init, "{pids:?}");
        }
        assert!(!status_of(&TEXT.replace("NSpid:\t7\t3\t1\n", "")).unwrap().is_inner_init, "before Linux 4.1");
    }

    #[test]
    fn our_own_status_is_read_from_the_real_file() {
        let status = Status::of(super::super::own_pid()).unwrap();
        assert!(status.threads >= 1 && status.switches > 0, "{status:?}");
        assert_eq!(Status::of(0), None);
        assert_eq!(Status::of(-1), None);
    }
}
