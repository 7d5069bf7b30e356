//! The cases of each dialect: a name, where it is looked at, and what is looked at.

use crate::harness::{BOTH, Place};
use crate::looks::{
    Look, activates, adopts, ends, ends_without_child_death, forwards, forwards_to_group, forwards_value, in_state,
    inherits, keeps, leaves_behind, leaves_behind_after_stop, on_terminal, on_terminal_shared, pauses, prints,
    runs_script_on_terminal, stops, tells, tells_version, with,
};

pub struct Case {
    pub name: &'static str,
    pub places: &'static [Place],
    pub look: Look,
}

fn both(name: &'static str, look: Look) -> Case {
    Case { name, places: &BOTH, look }
}

/// Only as PID 1: a peer that is none would be killed.
fn as_init(name: &'static str, look: Look) -> Case {
    Case { name, places: &[Place::Init], look }
}

/// Only as an ordinary process.
fn as_ordinary(name: &'static str, look: Look) -> Case {
    Case { name, places: &[Place::Ordinary], look }
}

/// 1 to 31 without those that the peers leave to the kernel (those of a fault, and the two that
/// cannot be caught), without SIGCHLD and the terminal's, which have cases of their own, and
/// without SIGTERM, which ends the case.
const ORDINARY: [i32; 16] = [1, 2, 3, 10, 12, 13, 14, 16, 18, 23, 24, 25, 26, 27, 28, 30];
/// Those of a fault: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS.
const FAULTS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];
const TERMINAL_STOPS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// What starts a command whatever the options: the same for all of them.
fn starts() -> Vec<Case> {
    vec![
        both("exit-0", ends(&["--", "PROBE", "exit", "0"])),
        both("exit-7", ends(&["--", "PROBE", "exit", "7"])),
        both("exit-255", ends(&["--", "PROBE", "exit", "255"])),
        both("killed-by-term", ends(&["--", "PROBE", "die", "15"])),
        both("killed-by-kill", ends(&["--", "PROBE", "die", "9"])),
        both("killed-by-segv", ends(&["--", "PROBE", "die", "11"])),
        both("killed-by-real-time", ends(&["--", "PROBE", "die", "40"])),
        both("not-found", tells(&["nosuchcommand"])),
        both("path-not-found", tells(&["--", "/no/such/command"])),
        both("not-executable", tells(&["--", "/etc/passwd"])),
        both("directory", tells(&["--", "/etc"])),
        both("no-command", tells(&[])),
        both("only-dashes", tells(&["--"])),
        both("unknown-short-option", tells(&["-x", "PROBE", "exit", "0"])),
        both("unknown-long-option", tells(&["--no-such-option", "PROBE", "exit", "0"])),
        both("words-kept-behind-dashes", prints(&["--", "echo", "-g", "--", "-h", "a"])),
        both("dashes-behind-the-name", prints(&["echo", "--", "-a", "b"])),
        both("dashes-among-the-words", prints(&["echo", "a", "--", "b"])),
        both("option-among-the-words", prints(&["echo", "a", "-g"])),
        both("empty-word", prints(&["--", "PROBE", "exit", ""])),
        both("inherits", inherits(&["--"])),
        both("inherits-mask", in_state(&["mask=0000000000004000"], inherits(&["--"]))),
        both("inherits-ignored", in_state(&["ignore=1", "ignore=13"], inherits(&["--"]))),
        both("ignored-child-death", ends_without_child_death(&["--"])),
        both("inherits-descriptors", in_state(&["open=9", "open=33"], inherits(&["--"]))),
        both("inherits-directory", in_state(&["cwd=/usr/share", "no-new-privs"], inherits(&["--"]))),
        both("closed-stdin", in_state(&["close=0"], ends(&["--", "PROBE", "exit", "3"]))),
        both("keeps", keeps(&["--"])),
        both("forwards", forwards(&["--"], ORDINARY.to_vec())),
        as_init("forwards-faults", forwards(&["--"], FAULTS.to_vec())),
        both("forwards-to-group-by-default", forwards_to_group(&["--"])),
        both("forwards-value", forwards_value(&["--"])),
        both("stops-at-tstp", stops(&["--"], libc::SIGTSTP)),
        both("stops-at-ttin", stops(&["--"], libc::SIGTTIN)),
        both("stops-at-ttou", stops(&["--"], libc::SIGTTOU)),
        as_ordinary("adopts", adopts(&["--"])),
        as_ordinary("leaves-behind", leaves_behind(&["--"])),
        as_ordinary("leaves-behind-after-stop", leaves_behind_after_stop(&["--"])),
        both("activates", activates(&["--"])),
        both("on-terminal", on_terminal(&["--"])),
        both("script-on-terminal", runs_script_on_terminal(&["--"])),
    ]
}

pub fn tini() -> Vec<Case> {
    let mut cases = starts();
    cases.extend([
        both("help", tells(&["-h"])),
        both("help-wins", tells(&["-g", "-hx"])),
        both("long-help", tells(&["--help"])),
        both("license", tells(&["-l"])),
        both("version", tells_version(&["--version"], 3)),
        both("version-and-more", ends(&["--version", "-g"])),
        both("forwards-real-time", forwards(&["--"], (34..=64).collect())),
        as_init("forwards-32-and-33", forwards(&["--"], vec![32, 33])),
        both("forwards-terminal-stops", forwards(&["--"], TERMINAL_STOPS.to_vec())),
        both("group", forwards_to_group(&["-g", "--"])),
        both("group-by-variable", with("TINI_KILL_PROCESS_GROUP", "", forwards_to_group(&["--"]))),
        both("group-by-variable-0", with("TINI_KILL_PROCESS_GROUP", "0", forwards_to_group(&["--"]))),
        as_ordinary("subreaper", adopts(&["-s", "--"])),
        as_ordinary("subreaper-by-variable", with("TINI_SUBREAPER", "", adopts(&["--"]))),
        both("switches-together", ends(&["-gsw", "PROBE", "exit", "3"])),
        both("expect-exit", ends(&["-e", "7", "--", "PROBE", "exit", "7"])),
        both("expect-exit-attached", ends(&["-ge7", "PROBE", "exit", "7"])),
        both("expect-exit-other", ends(&["-e", "7", "-e9", "--", "PROBE", "exit", "8"])),
        both("expect-exit-second", ends(&["-e", "7", "-e9", "--", "PROBE", "exit", "9"])),
        both("expect-exit-143", ends(&["-e", "143", "--", "PROBE", "die", "15"])),
        both("expect-exit-256", tells(&["-e", "256", "--", "PROBE", "exit", "0"])),
        both("expect-exit-word", tells(&["-e", "7x", "--", "PROBE", "exit", "0"])),
        both("expect-exit-missing", tells(&["-e"])),
        both("parent-death-signal", ends(&["-p", "SIGTERM", "--", "PROBE", "exit", "3"])),
        both("parent-death-signal-attached", ends(&["-pSIGKILL", "PROBE", "exit", "3"])),
        both("parent-death-signal-short-name", ends(&["-p", "TERM", "--", "PROBE", "exit", "3"])),
        both("parent-death-signal-unknown", tells(&["-p", "SIGNOSUCH", "--", "PROBE", "exit", "3"])),
        as_init("silent", tells(&["--", "PROBE", "exit", "3"])),
        as_ordinary("silent-as-ordinary-process", tells(&["--", "PROBE", "exit", "3"])),
        as_init("verbose", tells(&["-v", "--", "PROBE", "exit", "3"])),
        as_init("verbosity-2", with("TINI_VERBOSITY", "2", tells(&["--", "PROBE", "exit", "3"]))),
        as_init("verbosity-beats-the-option", with("TINI_VERBOSITY", "1", tells(&["-vvv", "PROBE", "exit", "3"]))),
        as_init("verbosity-empty", with("TINI_VERBOSITY", "", tells(&["-vvv", "PROBE", "exit", "3"]))),
        as_init("verbosity-negative", with("TINI_VERBOSITY", "-1", tells(&["PROBE", "exit", "3"]))),
        as_init("verbosity-0", with("TINI_VERBOSITY", "0", tells(&["nosuchcommand"]))),
        both("keeps-in-group-mode", keeps(&["-g", "--"])),
    ]);
    cases
}

pub fn dumb_init() -> Vec<Case> {
    let mut cases = starts();
    cases.extend([
        both("help", tells(&["-h"])),
        both("long-help", tells(&["--help"])),
        both("version", tells_version(&["-V"], 2)),
        both("long-version", tells_version(&["--version"], 2)),
        both("short-version", tells_version(&["--vers"], 2)),
        both(
            "rewrites",
            forwards(&["-r", "1:3", "--rewrite", "10:0", "--rewrite=12:15", "--rew", "2:28"], vec![1, 2, 10]),
        ),
        both("rewrites-attached", forwards(&["-r1:3", "--"], vec![1])),
        both("rewrites-twice", forwards(&["-r", "1:3", "-r", "1:2"], vec![1])),
        both("rewrites-uncatchable", forwards(&["-r", "9:1", "-r", "19:1"], vec![1])),
        both("rewrites-trailing-junk", ends(&["-r", "1:2x", "PROBE", "exit", "3"])),
        both("rewrites-names", ends(&["-r", "HUP:INT", "PROBE", "exit", "3"])),
        both("rewrites-real-time", ends(&["-r", "40:41", "PROBE", "exit", "3"])),
        both("rewrites-half", tells(&["-r", "15", "PROBE", "exit", "3"])),
        both("rewrites-nothing", tells(&["-r", "15:", "PROBE", "exit", "3"])),
        both("rewrites-too-high", tells(&["-r", "15:99", "PROBE", "exit", "3"])),
        both("rewrites-0", tells(&["-r", "0:15", "PROBE", "exit", "3"])),
        both("rewrites-negative", tells(&["-r", "15:-1", "PROBE", "exit", "3"])),
        both("rewrites-missing", tells(&["-r"])),
        both("rewrites-terminal-stop", stops(&["-r", "20:10"], libc::SIGTSTP)),
        both("single-child-with-value", tells(&["--single-child=1", "PROBE", "exit", "3"])),
        both("single-child-group", forwards_to_group(&["-c", "--"])),
        both("single-child-long", forwards_to_group(&["--single"])),
        both("single-child-inherits", inherits(&["-c"])),
        both("single-child-forwards", forwards(&["-c"], ORDINARY.to_vec())),
        both("single-child-stops-at-tstp", stops(&["-c"], libc::SIGTSTP)),
        both("single-child-stops-at-ttin", stops(&["-c"], libc::SIGTTIN)),
        both("single-child-stops-at-ttou", stops(&["-c"], libc::SIGTTOU)),
        both("single-child-on-terminal", on_terminal_shared(&["-c"])),
        as_ordinary("single-child-leaves-behind", leaves_behind(&["-c"])),
        both("setsid-0", with("DUMB_INIT_SETSID", "0", forwards_to_group(&["--"]))),
        both("setsid-1", with("DUMB_INIT_SETSID", "1", forwards_to_group(&["--"]))),
        both("setsid-00", with("DUMB_INIT_SETSID", "00", forwards_to_group(&["--"]))),
        both("setsid-empty", with("DUMB_INIT_SETSID", "", forwards_to_group(&["--"]))),
        as_ordinary("leaves-behind-rewritten", leaves_behind(&["-r", "15:10"])),
        as_ordinary("leaves-behind-dropped", leaves_behind(&["-r", "15:0"])),
        both("verbose", tells(&["-v", "PROBE", "exit", "3"])),
        both("verbose-long", tells(&["--verbose", "PROBE", "exit", "3"])),
        both("silent", tells(&["PROBE", "exit", "3"])),
        both("debug-1", with("DUMB_INIT_DEBUG", "1", tells(&["PROBE", "exit", "3"]))),
        both("debug-0", with("DUMB_INIT_DEBUG", "0", tells(&["PROBE", "exit", "3"]))),
        both("debug-true", with("DUMB_INIT_DEBUG", "true", tells(&["PROBE", "exit", "3"]))),
    ]);
    cases
}

pub fn catatonit() -> Vec<Case> {
    let mut cases = starts();
    cases.extend([
        both("help", tells(&["-h"])),
        both("long-help", tells(&["--help"])),
        both("license", tells(&["-L"])),
        both("version", tells_version(&["-V"], 2)),
        both("long-version", tells_version(&["--version"], 2)),
        both("short-version", tells_version(&["--ver"], 2)),
        both("version-and-more", tells_version(&["-gV", "PROBE"], 2)),
        both("group", forwards_to_group(&["-g", "--"])),
        both("forwards-real-time", forwards(&["--"], (34..=64).collect())),
        as_init("forwards-32-and-33", forwards(&["--"], vec![32, 33])),
        both("forwards-terminal-stops", forwards(&["--"], TERMINAL_STOPS.to_vec())),
        both("pauses-until-term", pauses(&["-P"], &["1", "3", "10", "17", "40", "15"])),
        both("pauses-until-int", pauses(&["-P"], &["18", "20", "2"])),
        both("pauses-with-a-command", pauses(&["-P", "--", "PROBE", "exit", "3"], &["15"])),
        both("pauses-with-group", pauses(&["-gP"], &["2"])),
        both("silent", tells(&["--", "PROBE", "exit", "3"])),
        both("debug", with("CATATONIT_DEBUG", "1", tells(&["--", "PROBE", "exit", "3"]))),
        both("debug-0", with("CATATONIT_DEBUG", "0", tells(&["--", "PROBE", "exit", "3"]))),
        both("debug-empty", with("CATATONIT_DEBUG", "", tells(&["--", "PROBE", "exit", "3"]))),
    ]);
    cases
}

/// As podman calls it: what its exit statuses depend on.
pub fn podman_init() -> Vec<Case> {
    vec![
        both("exit-7", ends(&["--", "PROBE", "exit", "7"])),
        both("killed-by-term", ends(&["--", "PROBE", "die", "15"])),
        both("not-found", tells(&["--", "nosuchcommand"])),
        both("path-not-found", tells(&["--", "/no/such/command"])),
        both("not-executable", tells(&["--", "/etc/passwd"])),
        both("directory", tells(&["--", "/etc"])),
        both("no-command", tells(&["--"])),
        both("unknown-long-option", tells(&["--no-such-option", "PROBE", "exit", "0"])),
        both("group", forwards_to_group(&["-g", "--"])),
        both("pauses-until-term", pauses(&["-P"], &["1", "15"])),
    ]
}
