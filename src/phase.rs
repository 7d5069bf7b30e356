//! The phases of a shutdown, as PID 1's name tells them to everybody in the container.
//!
//! The name works with a read-only root and for every user, and leaves nothing behind after a restart.
//! The kernel keeps 15 bytes of it (`TASK_COMM_LEN`, prctl(2)).

use std::ffi::CStr;

/// What sexton is doing, once the shutdown has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the stop signal to its forwarding.
    Drain,
    /// From the forwarding to the end.
    Stop,
}

impl Phase {
    /// What `/proc/1/comm` says then.
    pub const fn name(self) -> &'static CStr {
        match self {
            Phase::Drain => c"sexton: drain",
            Phase::Stop => c"sexton: stop",
        }
    }

    /// The phase of a process with this name.
    pub fn of(name: &[u8]) -> Option<Phase> {
        [Phase::Drain, Phase::Stop].into_iter().find(|phase| phase.name().to_bytes() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_told_by_its_name_and_the_kernel_keeps_all_of_it() {
        for phase in [Phase::Drain, Phase::Stop] {
            assert_eq!(Phase::of(phase.name().to_bytes()), Some(phase));
            assert!(phase.name().count_bytes() <= 15, "{phase:?}");
        }
        for name in ["sexton", "sexton: ", "sexton: drain ", "tini", ""] {
            assert_eq!(Phase::of(name.as_bytes()), None, "{name}");
        }
    }
}
