//! The code blocks of README.md and docs/, and the list of those that no test types.

use std::fs;
use std::path::{Path, PathBuf};

/// Pages that are typed from top to bottom with a Docker engine of the tests' own (`integration/pages.rs`). All others
/// need no engine (`tests/pages.rs`).
pub const WITH_AN_ENGINE: [&str; 4] = ["README.md", "docs/docker.md", "docs/draining.md", "docs/migrating.md"];

/// Blocks that are not typed: the page, words by which the block is known, and why.
///
/// A block that is neither typed nor here fails the test. So does an entry without a block.
pub const NOT_TYPED: &[(&str, &str, &str)] = &include!("not_typed.in");

/// A block between two fences.
#[derive(Clone, Debug)]
pub struct Block {
    /// As in `docs/docker.md`.
    pub page: String,
    /// Of the first line of its text, counted from 0.
    pub line: usize,
    /// What stands behind the fence: `sh`, `console`, `dockerfile`, `yaml`, or nothing.
    pub language: String,
    pub text: String,
}

impl Block {
    /// Why it is not typed, if it is not.
    pub fn reason(&self) -> Option<&'static str> {
        let listed = NOT_TYPED.iter().find(|(page, words, _)| *page == self.page && self.text.contains(words));
        listed.map(|(_, _, reason)| *reason)
    }

    pub fn place(&self) -> String {
        format!("{}:{}", self.page, self.line + 1)
    }
}

/// A file of the repository.
pub fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(page)
}

pub fn text(page: &str) -> String {
    let path = path(page);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README.md and all of docs/.
pub fn pages() -> Vec<String> {
    let docs = fs::read_dir(path("docs")).unwrap();
    let docs = docs.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let mut pages: Vec<String> = docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    pages.push("README.md".into());
    pages.sort();
    pages
}

pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (line, text) in text(page).lines().enumerate() {
        match text.trim_start().strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                let language = language.trim().to_owned();
                blocks.push(Block { page: page.into(), line: line + 1, language, text: String::new() });
            }
            None if open => {
                let block = blocks.last_mut().unwrap();
                block.text += text;
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "{page} has a fence that nothing closes");
    blocks
}

pub fn all_blocks() -> Vec<Block> {
    pages().iter().flat_map(|page| blocks(page)).collect()
}
