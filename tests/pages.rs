//! What a page counts is what there is.

use std::fs;
use std::path::Path;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The number that stands before this word.
#[track_caller]
fn number_before(page: &str, words: &str) -> usize {
    let text = text(page).split_whitespace().collect::<Vec<_>>().join(" ");
    let (before, _) = text.split_once(words).unwrap_or_else(|| panic!("{page} no longer says {words:?}"));
    let number = before.trim_end().rsplit(' ').next().unwrap();
    number.parse().unwrap_or_else(|_| panic!("{page} has no number before {words:?}, but {number:?}"))
}

#[test]
fn testing_md_counts_what_the_others_list() {
    let panics = text("docs/panics.md").lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(number_before("docs/testing.md", "functions why"), panics, "docs/panics.md");

    // The page's other numbered list has the four promises, which are written in bold.
    let is_invariant = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit()) && !line.contains("**");
    let invariants = text("docs/design.md").lines().filter(is_invariant).count();
    assert_eq!(number_before("docs/testing.md", "invariants of"), invariants, "docs/design.md");

    let lives = text("tests/faults/scenarios.rs").matches(" Scenario::new(").count();
    assert_eq!(number_before("docs/testing.md", "lives of sexton"), lives, "tests/faults/scenarios.rs");
}
