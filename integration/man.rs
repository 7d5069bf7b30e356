//! The man page has all that the help has, and those who check man pages find nothing wrong with it.

mod harness;
mod manual;

use std::fs;

use harness::{command, finish, installed};

fn page() -> String {
    manual::folder().join("sexton.1").to_str().unwrap().to_owned()
}

fn rendered() -> String {
    let mut mandoc = command(installed("mandoc", "mandoc"));
    mandoc.args(["-Tutf8", "-Owidth=200", &page()]);
    // Bold is a letter, a backspace and the letter again.
    let text = finish(mandoc).unwrap().succeeded();
    let mut plain = String::new();
    for character in text.chars() {
        if character == '\u{8}' {
            plain.pop();
        } else {
            plain.push(character);
        }
    }
    plain
}

#[test]
fn mandoc_finds_nothing_wrong() {
    let mut mandoc = command(installed("mandoc", "mandoc"));
    mandoc.args(["-Tlint", &page()]);
    let found = finish(mandoc).unwrap();
    assert_eq!((found.status, found.stdout.as_str(), found.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn groff_warns_of_nothing() {
    let mut groff = command(installed("groff", "groff"));
    groff.args(["-ww", "-man", "-Tutf8", "-z", &page()]);
    let found = finish(groff).unwrap();
    assert_eq!((found.status, found.stdout.as_str(), found.stderr.as_str()), (Some(0), "", ""));
}

/// Word for word, however the lines are broken.
#[test]
fn the_page_has_every_sentence_of_the_help() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = words(&rendered());
    let sexton = std::env::var_os("TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_sexton").into());
    for options in [&["--help"][..], &["--check", "--help"]] {
        let mut help = command(&sexton);
        help.args(options);
        let help = finish(help).unwrap().succeeded();
        let (mut lines, mut options) = (0, 0);
        for line in help.lines().map(words).filter(|line| !line.is_empty()) {
            // The page writes the value of an option in its own way, and headings in capitals.
            if line.starts_with('-') && !line.contains("  ") {
                let name = line.trim_start_matches(|first| first != '-').split([' ', '[', '.', ',']).next().unwrap();
                assert!(page.contains(name), "{line:?} is not in the page");
                options += 1;
            } else if !line.ends_with(':') && !line.starts_with("Usage:") {
                assert!(page.contains(&line), "{line:?} is not in the page: {page}");
                lines += 1;
            }
        }
        assert!(lines > 5 && options > 3, "{lines} lines and {options} options are no help");
    }
}

#[test]
fn the_page_has_the_sections_that_people_look_for_and_a_date() {
    let source = fs::read_to_string(page()).unwrap();
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "SHUTDOWN", "HEALTH CHECK", "EXIT STATUS", "EXAMPLES"] {
        let heading = if section.contains(' ') { format!(".SH \"{section}\"") } else { format!(".SH {section}") };
        assert!(source.lines().any(|line| line == heading), "{section}");
    }
    assert!(source.contains(".TH SEXTON 1 2026-01-01 "), "{source}");
}
