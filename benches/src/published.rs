//! Where people find the tables: between two marks, in whichever page has them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::page::Circumstances;
use crate::table::Table;
use crate::{chart, json, page};

/// What makes all of it.
pub const COMMAND: &str = "make bench FULL=1 PUBLISH=1";

/// What has a place in some page.
const PARTS: [&str; 2] = ["summary", "tables"];

fn marks(part: &str) -> [String; 2] {
    marks_of(&format!("bench {part}"), COMMAND)
}

/// The lines before and behind what this command writes into a page.
pub fn marks_of(what: &str, command: &str) -> [String; 2] {
    [format!("<!-- {what}: `{command}` writes from here -->\n"), format!("<!-- {what}: to here -->\n")]
}

/// The files that a run writes, with what they are to have in them.
///
/// # Errors
///
/// A page cannot be read, or no page has a place for something.
pub fn files(root: &Path, table: &Table, circumstances: &Circumstances) -> io::Result<Vec<(PathBuf, String)>> {
    let docs = root.join("docs");
    let mut files = vec![
        (docs.join("bench.json"), json::of(table, circumstances)),
        (docs.join("bench.svg"), chart::of(table, circumstances)),
    ];
    let mut pages: Vec<PathBuf> = vec![root.join("README.md")];
    let in_docs = fs::read_dir(&docs)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    pages.extend(in_docs.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let mut missing = PARTS.to_vec();
    for path in pages {
        let mut text = fs::read_to_string(&path)?;
        let place = if path.starts_with(&docs) { "" } else { "docs/" };
        let is_there = |part: &str| text.contains(&marks(part)[0]);
        let parts: Vec<&str> = PARTS.into_iter().filter(|part| is_there(part)).collect();
        for part in &parts {
            let written = match *part {
                "summary" => page::summary(table, circumstances),
                _ => page::whole(table, circumstances),
            };
            let written =
                format!("![What sexton costs, beside the best of the other inits]({place}bench.svg)\n\n{written}");
            text = put(&text, &marks(part), &written).ok_or_else(|| {
                io::Error::other(format!("{}: no line ends what begins with {}", path.display(), marks(part)[0]))
            })?;
            missing.retain(|missing| missing != part);
        }
        if !parts.is_empty() {
            files.push((path, text));
        }
    }
    match missing.first() {
        Some(part) => {
            let [begin, end] = marks(part);
            Err(io::Error::other(format!("no page has a place for the {part}:\n{begin}{end}")))
        }
        None => Ok(files),
    }
}

/// What is before, between and behind the marks.
pub fn split<'a>(text: &'a str, [begin, end]: &[String; 2]) -> Option<[&'a str; 3]> {
    let (before, rest) = text.split_once(begin)?;
    let (between, after) = rest.split_once(end)?;
    Some([before, between, after])
}

/// The page with this between the marks.
pub fn put(text: &str, marks: &[String; 2], written: &str) -> Option<String> {
    let [before, _, after] = split(text, marks)?;
    let [begin, end] = marks;
    Some(format!("{before}{begin}\n{written}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    fn last_run() -> (Table, Circumstances) {
        let text = fs::read_to_string(root().join("docs/bench.json")).unwrap();
        json::read(&text).unwrap_or_else(|error| panic!("docs/bench.json: {error}. {COMMAND} measures"))
    }

    #[test]
    fn what_is_published_is_what_the_last_run_measured_as_the_questions_and_limits_are_today() {
        let (table, circumstances) = last_run();
        for (path, text) in files(&root(), &table, &circumstances).unwrap() {
            let published = fs::read_to_string(&path).unwrap();
            assert!(
                published == text,
                "{} differs from what is made of docs/bench.json: `make bench AGAIN=1` writes it anew, `{COMMAND}` \
                 measures anew",
                path.display()
            );
        }
    }

    #[test]
    fn every_question_was_answered_for_sexton_and_its_copy() {
        let (table, _) = last_run();
        assert_eq!(table.rows.len(), questions::all().len());
        let sexton = table.sexton().unwrap();
        for row in &table.rows {
            assert!(row.cells[sexton].is_some(), "{}", row.question.title);
            assert!(row.noise.is_some() || row.question.key == "wake_ups", "{}", row.question.title);
        }
    }

    #[test]
    fn a_file_that_has_other_rows_than_are_asked_for_is_refused() {
        let text = fs::read_to_string(root().join("docs/bench.json")).unwrap();
        let refused = |from: &str, to: &str| json::read(&text.replace(from, to)).unwrap_err().to_string();
        assert_eq!(
            refused("\"key\": \"wake_ups\"", "\"key\": \"naps\""),
            "nobody has measured wake_ups yet: wake-ups in 10 idle seconds"
        );
    }

    #[test]
    fn what_is_put_into_a_page_takes_the_place_of_what_was_there() {
        let [begin, end] = marks("tables");
        let page = format!("before\n{begin}old\n{end}after\n");
        assert_eq!(put(&page, &marks("tables"), "new").unwrap(), format!("before\n{begin}\nnew\n{end}after\n"));
        assert_eq!(put("before\n", &marks("tables"), "new"), None);
    }
}
