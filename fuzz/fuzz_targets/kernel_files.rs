//! Any text in the place of what the kernel writes in /proc and in a cgroup, the same for every file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::sys::parsers::{cgroup_in, oom_kills, parse_stat, parse_system_call, status_of};
use sexton_fuzz::growing_at_most;

fuzz_target!(|input: &[u8]| {
    growing_at_most(0, || {
        let _ = parse_stat(input);
        // As the files are read: what is no UTF-8 becomes U+FFFD.
        let text = String::from_utf8_lossy(input);
        let _ = text.lines().find_map(oom_kills);
        let _ = text.lines().find_map(parse_system_call);
        let _ = status_of(&text);
        for controller in ["memory", "pids"] {
            if let Some(cgroup) = cgroup_in(&text, &text, controller) {
                // From our own up to where the hierarchy is mounted, and not beyond.
                let directories: Vec<_> = cgroup.directories().collect();
                assert!(directories.windows(2).all(|pair| pair[0].starts_with(pair[1])), "{directories:?}");
            }
        }
    });
});
