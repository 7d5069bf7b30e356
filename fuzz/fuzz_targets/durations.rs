//! Any text in the place of a duration.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton_fuzz::growing_at_most;

fuzz_target!(|text: &str| {
    growing_at_most(0, || match sexton::cli::duration(text) {
        Ok(time) => assert!(text.bytes().any(|byte| byte.is_ascii_digit()), "{text:?} is {time:?}"),
        Err(sentence) => assert!(!sentence.contains('\n'), "{sentence:?}"),
    });
});
