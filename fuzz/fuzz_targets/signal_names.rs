//! Any text in the place of a signal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::signal::Signal;
use sexton_fuzz::growing_at_most;

fuzz_target!(|text: &str| {
    growing_at_most(0, || {
        if let Ok(signal) = text.parse::<Signal>() {
            assert!((1..=64).contains(&signal.number()), "{text:?}");
            let shown = signal.to_string();
            assert_eq!(shown.strip_prefix("signal ").unwrap_or(&shown).parse(), Ok(signal), "{text:?}");
        }
    });
});
