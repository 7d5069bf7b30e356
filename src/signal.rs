//! Signals as numbers and names, without any system call.
//!
//! nix's `Signal` knows 1 to 31 only; sexton forwards 1 to 64.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The first real-time signal that a program may use, as engines and shells count.
///
/// The kernel's range starts at 32; glibc keeps 32 and 33 for its threads, musl 34 as well
/// (signal(7)). Docker, Kubernetes and systemd all mean 34 + n by `RTMIN+n`.
const RTMIN: u8 = 34;

/// The last signal there is on Linux (signal(7), `_NSIG`).
const RTMAX: u8 = 64;

/// One of the signals 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

#[allow(missing_docs)] // signal(7) documents them better than a line here could
impl Signal {
    pub const HUP: Signal = Signal(libc::SIGHUP as u8);
    pub const INT: Signal = Signal(libc::SIGINT as u8);
    pub const QUIT: Signal = Signal(libc::SIGQUIT as u8);
    pub const KILL: Signal = Signal(libc::SIGKILL as u8);
    pub const USR1: Signal = Signal(libc::SIGUSR1 as u8);
    pub const USR2: Signal = Signal(libc::SIGUSR2 as u8);
    pub const WINCH: Signal = Signal(libc::SIGWINCH as u8);
    pub const PWR: Signal = Signal(libc::SIGPWR as u8);
    /// What has systemd power off, as PID 1 of a container (systemd(1)).
    pub const RTMIN_3: Signal = Signal(RTMIN + 3);
    pub const PIPE: Signal = Signal(libc::SIGPIPE as u8);
    pub const TERM: Signal = Signal(libc::SIGTERM as u8);
    pub const CHLD: Signal = Signal(libc::SIGCHLD as u8);
    pub const CONT: Signal = Signal(libc::SIGCONT as u8);
    pub const STOP: Signal = Signal(libc::SIGSTOP as u8);
    pub const TSTP: Signal = Signal(libc::SIGTSTP as u8);
    pub const TTIN: Signal = Signal(libc::SIGTTIN as u8);
    pub const TTOU: Signal = Signal(libc::SIGTTOU as u8);
    pub const XCPU: Signal = Signal(libc::SIGXCPU as u8);
    pub const XFSZ: Signal = Signal(libc::SIGXFSZ as u8);
    pub const VTALRM: Signal = Signal(libc::SIGVTALRM as u8);
}

impl Signal {
    /// The signal with this number, if it is one (1 to 64).
    pub const fn new(number: i32) -> Option<Signal> {
        if number >= 1 && number <= RTMAX as i32 { Some(Signal(number as u8)) } else { None }
    }

    /// Its number, 1 to 64.
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// Every signal, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Signal> {
        (1..=RTMAX).map(Signal)
    }

    /// The names of those that have one of their own, `SIGTERM` and so on.
    pub fn names() -> impl Iterator<Item = &'static str> {
        nix::sys::signal::Signal::iterator().map(nix::sys::signal::Signal::as_str)
    }

    /// Whether the kernel queues it instead of merging it with one that is pending (signal(7)).
    pub fn is_real_time(self) -> bool {
        self.number() >= 32
    }

    /// Whether it is one of those by which a terminal stops a job (termios(3)).
    pub fn is_terminal_stop(self) -> bool {
        matches!(self, Signal::TSTP | Signal::TTIN | Signal::TTOU)
    }

    /// Whether it does nothing to a process that has no handler for it (signal(7), "Ign" and "Cont").
    pub fn is_ignored_by_default(self) -> bool {
        matches!(self.number(), libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH)
    }

    /// Whether the kernel never lets a process catch it (SIGKILL, SIGSTOP).
    pub fn is_uncatchable(self) -> bool {
        self == Signal::KILL || self == Signal::STOP
    }
}

impl fmt::Display for Signal {
    /// `SIGTERM`, `SIGRTMIN+3`, and `signal 32` for the two that have no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self.0, 32 | 33) { "signal " } else { "SIG" })?;
        Short(*self).fmt(f)
    }
}

/// A signal as people write it in options: `TERM`, `RTMIN+3`, `32`.
#[derive(Clone, Copy, Debug)]
pub struct Short(pub Signal);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Signal(RTMIN) => f.write_str("RTMIN"),
            Signal(RTMAX) => f.write_str("RTMAX"),
            Signal(number) if number > RTMIN => write!(f, "RTMIN+{}", number - RTMIN),
            signal => match nix::sys::signal::Signal::try_from(signal.number()) {
                Ok(known) => f.write_str(known.as_str().strip_prefix("SIG").unwrap_or(known.as_str())),
                Err(_) => write!(f, "{}", signal.0),
            },
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text names no signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSignal;

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Accepts `15`, `TERM`, `SIGTERM`, `RTMIN+3`, `SIGRTMAX-2`, in either case.
    fn from_str(text: &str) -> Result<Signal, UnknownSignal> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().and_then(Signal::new).ok_or(UnknownSignal);
        }
        // As nix has it: SIG and the name in capital letters.
        let name = text.split_at_checked(3).filter(|(start, _)| start.eq_ignore_ascii_case("SIG"));
        let name = name.map_or(text, |(_, name)| name);
        let mut room = *b"SIG.............";
        let whole = room.get_mut(..3 + name.len()).ok_or(UnknownSignal)?;
        if let Some(place) = whole.get_mut(3..) {
            place.copy_from_slice(name.as_bytes());
        }
        whole.make_ascii_uppercase();
        let whole = std::str::from_utf8(whole).map_err(|_| UnknownSignal)?;
        let name = whole.get(3..).unwrap_or_default();
        if let Some(offset) = name.strip_prefix("RTMIN") {
            return real_time(i32::from(RTMIN), offset, '+');
        }
        if let Some(offset) = name.strip_prefix("RTMAX") {
            return real_time(i32::from(RTMAX), offset, '-');
        }
        match name {
            // Names that other systems or older headers use (signal(7)).
            "CLD" => Ok(Signal::CHLD),
            "IOT" => Ok(Signal(libc::SIGABRT as u8)),
            "POLL" => Ok(Signal(libc::SIGIO as u8)),
            _ => nix::sys::signal::Signal::from_str(whole).map(|known| Signal(known as u8)).map_err(|_| UnknownSignal),
        }
    }
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`, none of them outside RTMIN..=RTMAX.
fn real_time(base: i32, offset: &str, sign: char) -> Result<Signal, UnknownSignal> {
    let offset = match offset.strip_prefix(sign) {
        None if offset.is_empty() => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u8>().map_err(|_| UnknownSignal)?
        }
        _ => return Err(UnknownSignal),
    };
    let number = if sign == '+' { base + i32::from(offset) } else { base - i32::from(offset) };
    if number < i32::from(RTMIN) {
        return Err(UnknownSignal);
    }
    Signal::new(number).ok_or(UnknownSignal)
}

/// A set of signals in the kernel's own form: bit n - 1 stands for signal n.
///
/// libc's `sigset_t` functions refuse 32 and 33; the kernel does not.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: SignalSet = SignalSet(0);
    /// All 64.
    pub const ALL: SignalSet = SignalSet(u64::MAX);

    /// The set with these bits.
    pub const fn from_bits(bits: u64) -> SignalSet {
        SignalSet(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set of this one signal.
    pub const fn of(signal: Signal) -> SignalSet {
        SignalSet(1 << (signal.0 - 1))
    }

    /// This set and that signal.
    #[must_use]
    pub const fn with(self, signal: Signal) -> SignalSet {
        SignalSet(self.0 | Self::of(signal).0)
    }

    /// Whether the signal is in the set.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & Self::of(signal).0 != 0
    }

    /// Whether no signal is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Every signal that is not in the set.
    #[must_use]
    pub const fn complement(self) -> SignalSet {
        SignalSet(!self.0)
    }

    /// The signals in the set, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::all().filter(move |signal| self.contains(*signal))
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What is forwarded in place of each signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rewrites {
    /// Indexed by signal number; 0 drops the signal.
    to: [u8; RTMAX as usize + 1],
}

impl Rewrites {
    /// Every signal is forwarded as itself.
    pub fn none() -> Rewrites {
        Rewrites { to: std::array::from_fn(|number| number as u8) }
    }

    /// Forwards `to` in place of `from` from now on; `None` drops it.
    pub fn set(&mut self, from: Signal, to: Option<Signal>) {
        if let Some(place) = self.to.get_mut(from.0 as usize) {
            *place = to.map_or(0, |signal| signal.0);
        }
    }

    /// What to forward for this signal; `None` when it is to be dropped.
    pub fn apply(&self, signal: Signal) -> Option<Signal> {
        Signal::new(i32::from(*self.to.get(signal.0 as usize)?))
    }
}

impl Default for Rewrites {
    fn default() -> Rewrites {
        Rewrites::none()
    }
}

impl fmt::Debug for Rewrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = Signal::all().filter(|s| self.apply(*s) != Some(*s));
        f.debug_map().entries(changed.map(|s| (s, self.apply(s)))).finish()
    }
}

/// A signal as sexton received it, with what the kernel says of where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Received {
    /// Which signal.
    pub signal: Signal,
    /// `si_code` of sigaction(2): who made it; or [`Received::HELD_BACK`].
    pub code: i32,
    /// The sender's pid in our PID namespace; 0 for the kernel and for a sender outside it. In the kernel's
    /// SIGCHLD it is the child's.
    pub pid: i32,
    /// The sender's real uid; 0 for the kernel.
    pub uid: u32,
    /// The value that came with sigqueue(3).
    pub value: u64,
}

/// How a sexton in front of us, whose command we are, held a stop signal back before it forwarded it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldBack {
    /// How long ago the signal came to the first of those in front of us.
    pub since: Duration,
    /// Somebody insisted on the signal, so nobody is to hold it back any longer.
    pub is_over: bool,
}

impl HeldBack {
    /// So much of a sleep is left.
    pub fn left_of(self, sleep: Duration) -> Duration {
        if self.is_over { Duration::ZERO } else { sleep.saturating_sub(self.since) }
    }

    /// As the value of a signal: milliseconds, and the highest bit of 32. There is no more room between a sexton
    /// for 32 bits and one for 64.
    pub(crate) fn to_value(self) -> u64 {
        let milliseconds = u32::try_from(self.since.as_millis()).unwrap_or(u32::MAX);
        u64::from(milliseconds.min(u32::MAX >> 1) | u32::from(self.is_over) << 31)
    }

    pub(crate) fn from_value(value: u64) -> HeldBack {
        let value = value as u32;
        HeldBack { since: Duration::from_millis(u64::from(value & u32::MAX >> 1)), is_over: value >> 31 != 0 }
    }
}

impl Received {
    /// In the place of a code: kill(2) by a sexton, which says with the value how it held the signal back.
    /// No code of the kernel's, and none that a process gets past [`crate::sys::Inbox`].
    pub const HELD_BACK: i32 = i32::MIN;

    /// How a sexton in front of us held it back, if it did.
    pub fn held_back(&self) -> Option<HeldBack> {
        (self.code == Received::HELD_BACK).then(|| HeldBack::from_value(self.value))
    }

    /// One that the process with this pid sent by kill(2), or sexton does in its place.
    pub const fn sent_by(pid: i32, signal: Signal) -> Received {
        Received { signal, code: libc::SI_USER, pid, uid: 0, value: 0 }
    }

    /// Whether a process queued it with a value (sigqueue(3)).
    pub fn is_queued(&self) -> bool {
        self.code == libc::SI_QUEUE
    }

    /// Whether a process sent it on purpose, not the kernel (sigaction(2): `si_code <= 0`).
    pub fn is_from_process(&self) -> bool {
        self.code <= 0
    }

    /// Whether the kernel may have had no room to note who sent it.
    ///
    /// Where RLIMIT_SIGPENDING is used up it still delivers a real-time signal that kill(2) sends, as if
    /// pid 0 and uid 0 had sent it (`__send_signal_locked` of kernel/signal.c). That is what one looks like
    /// that root sent from outside our PID namespace: nothing tells the two apart.
    pub fn may_be_nameless(&self) -> bool {
        self.signal.is_real_time() && self.code == libc::SI_USER && self.pid == 0 && self.uid == 0
    }

    /// The child that changed, in the kernel's own SIGCHLD.
    pub fn child(&self) -> Option<i32> {
        (self.signal == Signal::CHLD && !self.is_from_process() && self.pid > 0).then_some(self.pid)
    }

    /// Its exit status, or the signal that killed or stopped it: `si_status`, which shares its place with the
    /// value.
    pub fn child_status(&self) -> i32 {
        // An int at the beginning of a number that may be larger.
        let [a, b, c, d, ..] = self.value.to_ne_bytes();
        i32::from_ne_bytes([a, b, c, d])
    }

    /// Whether it was raised for sexton itself and is none of the command's business.
    ///
    /// A write to a closed stderr raises SIGPIPE, one past RLIMIT_FSIZE raises SIGXFSZ; both
    /// carry our own pid. SIGXCPU from the kernel is about the processor time of sexton. All
    /// other signals of the kernel are forwarded: the terminal's (^C, hang-up, window size), and
    /// an alarm(2) that was set before sexton was executed, which the command would have got.
    pub fn is_our_own(&self, own_pid: i32) -> bool {
        if self.is_from_process() {
            self.pid == own_pid && matches!(self.code, libc::SI_USER | libc::SI_TKILL)
        } else {
            matches!(self.signal, Signal::CHLD | Signal::PIPE | Signal::XCPU | Signal::XFSZ)
        }
    }

    /// The same signal from the same sender under another number.
    #[must_use]
    pub fn rewritten(self, signal: Signal) -> Received {
        Received { signal, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_is_parsed_back_from_the_name_it_is_shown_by() {
        for signal in Signal::all() {
            let shown = signal.to_string();
            let name = shown.strip_prefix("signal ").unwrap_or(&shown);
            assert_eq!(name.parse(), Ok(signal), "{shown}");
            let short = Short(signal).to_string();
            assert_eq!(short.parse(), Ok(signal), "{shown}");
            assert!(shown.ends_with(&short) && !short.starts_with("SIG"), "{shown}, {short}");
            assert_eq!(signal.number().to_string().parse(), Ok(signal));
        }
    }

    #[test]
    fn names_are_accepted_with_and_without_sig_and_in_either_case() {
        for text in ["TERM", "SIGTERM", "term", "sigterm", "SigTerm", "15", "015"] {
            assert_eq!(text.parse(), Ok(Signal::TERM), "{text}");
        }
        assert_eq!("IOT".parse::<Signal>().map(Signal::number), Ok(libc::SIGABRT));
        assert_eq!("POLL".parse::<Signal>().map(Signal::number), Ok(libc::SIGIO));
        assert_eq!("CLD".parse(), Ok(Signal::CHLD));
    }

    #[test]
    fn real_time_signals_count_from_34_and_down_from_64() {
        for (text, number) in [
            ("RTMIN", 34),
            ("RTMIN+0", 34),
            ("SIGRTMIN+3", 37),
            ("rtmin+30", 64),
            ("RTMAX", 64),
            ("SIGRTMAX-14", 50),
            ("RTMAX-30", 34),
        ] {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in [
            "",
            "0",
            "65",
            "-1",
            "+15",
            "SIG",
            "SIGSIGTERM",
            "TERMX",
            "RTMIN+31",
            "RTMAX-31",
            "RTMIN-1",
            "RTMAX+1",
            "RTMIN+",
            "RTMIN+-1",
            "RTMIN++1",
            "99999999999999999999",
            "TERM ",
            " TERM",
            "SIG15",
            "é",
        ] {
            assert_eq!(text.parse::<Signal>(), Err(UnknownSignal), "{text:?}");
        }
    }

    #[test]
    fn a_value_says_how_long_a_signal_was_held_back_and_if_that_is_over() {
        for since in [0, 1, 1_500, u64::from(u32::MAX >> 1)].map(Duration::from_millis) {
            for is_over in [false, true] {
                let held_back = HeldBack { since, is_over };
                assert_eq!(HeldBack::from_value(held_back.to_value()), held_back);
            }
        }
        let long = HeldBack { since: Duration::MAX, is_over: false };
        assert_eq!(HeldBack::from_value(long.to_value()).since, Duration::from_millis(u64::from(u32::MAX >> 1)));
    }

    #[test]
    fn of_a_sleep_is_left_what_nobody_in_front_of_us_slept_for_and_nothing_once_it_is_over() {
        let [one, two, three] = [1, 2, 3].map(Duration::from_secs);
        let held_back = |since, is_over| HeldBack { since, is_over };
        assert_eq!(held_back(one, false).left_of(three), two);
        assert_eq!(held_back(three, false).left_of(three), Duration::ZERO);
        assert_eq!(held_back(three, false).left_of(one), Duration::ZERO);
        assert_eq!(held_back(one, true).left_of(three), Duration::ZERO);
        assert_eq!(HeldBack::default().left_of(three), three);
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set = SignalSet::EMPTY.with(Signal::TERM).with(Signal(32)).with(Signal(64));
        assert_eq!(set.iter().map(Signal::number).collect::<Vec<_>>(), [15, 32, 64]);
        assert_eq!(set.complement().iter().count(), 61);
        assert!(!set.is_empty());
        assert!(SignalSet::EMPTY.is_empty());
        assert_eq!(SignalSet::ALL.iter().count(), 64);
    }

    #[test]
    fn rewrites_start_as_identity_and_change_only_what_is_set() {
        let mut rewrites = Rewrites::none();
        assert!(Signal::all().all(|s| rewrites.apply(s) == Some(s)));
        rewrites.set(Signal::TERM, Some(Signal::QUIT));
        rewrites.set(Signal::HUP, None);
        assert_eq!(rewrites.apply(Signal::TERM), Some(Signal::QUIT));
        assert_eq!(rewrites.apply(Signal::HUP), None);
        assert_eq!(Signal::all().filter(|s| rewrites.apply(*s) == Some(*s)).count(), 62);
    }

    #[test]
    fn only_what_was_raised_for_sexton_itself_is_kept_from_the_command() {
        let received = |signal, code, pid| Received { signal, code, pid, uid: 0, value: 0 };
        let own = 7;
        assert!(received(Signal::PIPE, libc::SI_USER, own).is_our_own(own));
        assert!(received(Signal::CHLD, libc::CLD_EXITED, 9).is_our_own(own));
        assert!(received(Signal::XCPU, libc::SI_KERNEL, 0).is_our_own(own));
        assert!(!received(Signal::PIPE, libc::SI_USER, 9).is_our_own(own));
        assert!(!received(Signal::CHLD, libc::SI_USER, 9).is_our_own(own));
        assert!(!received(Signal::XCPU, libc::SI_USER, 0).is_our_own(own));
        assert!(!received(Signal::INT, libc::SI_KERNEL, 0).is_our_own(own));
        assert!(!received(Signal(libc::SIGALRM as u8), libc::SI_KERNEL, 0).is_our_own(own));
    }
}
