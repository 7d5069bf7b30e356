//! Any text as the target of a health check, and any bytes as the answer to it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::check::Answer;
use sexton::check::target::Target;
use sexton_fuzz::growing_at_most;

fuzz_target!(|input: &[u8]| {
    growing_at_most(0, || {
        if let Ok(text) = std::str::from_utf8(input) {
            match text.parse::<Target>() {
                Ok(target) => {
                    assert_eq!(target.name, text);
                    // Nobody puts a line of his own into the request.
                    if let Some(request) = target.request() {
                        let lines: Vec<&str> = request.strip_suffix("\r\n\r\n").unwrap().split("\r\n").collect();
                        let is_whole = |line: &&str| !line.contains(['\r', '\n']);
                        assert!(lines.len() == 5 && lines.iter().all(is_whole), "{request:?}");
                        assert_eq!(lines[0].split(' ').count(), 3, "{request:?}");
                    }
                }
                Err(sentence) => assert!(!sentence.contains('\n'), "{sentence:?}"),
            }
        }
        // However it is cut into pieces, an answer is the same, and 512 bytes are enough to know it.
        let whole = Answer::of(input);
        assert!(whole.is_some() || input.len() < 512);
        let first = (0..=input.len()).find_map(|length| Answer::of(&input[..length]));
        assert_eq!(first, whole, "{input:?}");
        if let Some(Answer::Status { code, reason }) = whole {
            assert!(code < 1000 && !reason.contains(&b'\n'), "{code} {reason:?}");
        }
    });
});
