//! Any bytes in the place of a program that the kernel refused to execute.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::why::not_started::file::{FirstLine, HEAD, Kind, libc_of};
use sexton_fuzz::growing_at_most;

fuzz_target!(|file: &[u8]| {
    growing_at_most(0, || match Kind::of(file) {
        Kind::Elf(Ok(elf)) => {
            assert!(!elf.target.to_string().is_empty());
            let rest = file.get(HEAD..).unwrap_or_default();
            let (place, length) = elf.loader(rest).unwrap_or_default();
            let loader = usize::try_from(place).ok().and_then(|place| file.get(place..)).unwrap_or_default();
            let _ = libc_of(&loader[..loader.len().min(length as usize)]);
        }
        Kind::Script(FirstLine::Interpreter(name)) => {
            assert!(!name.is_empty() && name.len() < HEAD);
            assert!(!name.iter().any(|byte| b" \t\n\0".contains(byte)), "{}", name.escape_ascii());
        }
        Kind::Empty => assert!(file.is_empty()),
        Kind::Elf(Err(_)) | Kind::Script(_) | Kind::Text | Kind::Binary(_) => {}
    });
});
