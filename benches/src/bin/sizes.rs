//! `sizes FILE PAGE [--write]`: how much machine code of a program that has its symbols is of each crate, beside
//! the table that a page has of it, or into that table.
//!
//! A function of the standard library that is made for a type of another crate counts as that crate's. What the
//! compiler puts into the functions of its callers counts as theirs.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, ExitCode};

use sexton_bench::published;

/// Whose code it is, and by which crates of the file one knows it.
const ROWS: [(&str, &[&str]); 5] = [
    ("sexton", &["sexton"]),
    ("clap", &["clap", "clap_builder", "clap_lex", "anstyle"]),
    ("humantime", &["humantime"]),
    ("nix", &["nix"]),
    ("log", &["log"]),
];
const STANDARD_LIBRARY: &str = "the standard library";
const LIBC: &str = "the C library";

/// A change of a crate's code that a page need not tell: a tenth, or this many bytes.
const SLACK: u64 = 1024;

fn main() -> ExitCode {
    match run() {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            wrong.iter().for_each(|line| eprintln!("sizes: {line}; make sizes writes it anew"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("sizes: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns what is not as the table has it.
fn run() -> io::Result<Vec<String>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (file, page, write) = match words.as_slice() {
        [file, page] => (file, page, false),
        [file, page, word] if word == "--write" => (file, page, true),
        _ => return Err(io::Error::other("sizes FILE PAGE [--write]")),
    };
    let sizes = sizes(&symbols(file)?);
    if sizes.values().sum::<u64>() < 100_000 {
        return Err(io::Error::other(format!("{file} has no symbols, or none that nm shows")));
    }
    let text = std::fs::read_to_string(page)?;
    let marks = published::marks_of("sizes", "make sizes");
    let no_place = || io::Error::other(format!("{page} has no place for it"));
    if write {
        std::fs::write(page, published::put(&text, &marks, &written(&sizes)).ok_or_else(no_place)?)?;
        return Ok(Vec::new());
    }
    let [_, table, _] = published::split(&text, &marks).ok_or_else(no_place)?;
    Ok(compare(&sizes, table).into_iter().map(|line| format!("{page}: {line}")).collect())
}

/// What nm(1) prints.
fn symbols(file: &str) -> io::Result<String> {
    let output = Command::new("nm").args(["--print-size", "--demangle", "--defined-only", file]).output();
    let output = output.map_err(|error| io::Error::other(format!("nm: {error}: apt-get install binutils")))?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The bytes of each owner's functions.
fn sizes(symbols: &str) -> BTreeMap<&'static str, u64> {
    // Functions with several names count once.
    let functions: BTreeMap<&str, (u64, &str)> = symbols.lines().filter_map(function).collect();
    let mut sizes = BTreeMap::new();
    for (size, name) in functions.into_values() {
        *sizes.entry(owner(name)).or_default() += size;
    }
    sizes
}

/// `0000000000059280 00000000000000c8 t name`
fn function(line: &str) -> Option<(&str, (u64, &str))> {
    let mut words = line.splitn(4, ' ');
    let (address, size, kind, name) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let size = u64::from_str_radix(size, 16).ok()?;
    ["t", "T", "w", "W", "i"].contains(&kind).then_some((address, (size, name)))
}

/// The first crate of ours that the name has in it, else whose a function without one is.
fn owner(name: &str) -> &'static str {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let parts = name.split("::").filter_map(|path| path.rsplit(|c| !is_part(c)).next());
    let crates = ["core", "alloc", "std", "hashbrown"];
    let mut is_rust = name.contains("__rust") || name.contains("rust_eh_personality");
    for part in parts {
        if let Some((row, _)) = ROWS.iter().find(|(_, names)| names.contains(&part)) {
            return row;
        }
        is_rust |= crates.contains(&part);
    }
    if is_rust || name.contains("::") { STANDARD_LIBRARY } else { LIBC }
}

fn rows() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(row, _)| *row).chain([STANDARD_LIBRARY, LIBC])
}

fn written(sizes: &BTreeMap<&'static str, u64>) -> String {
    let mut table = String::from("| code of | KiB |\n| --- | ---: |");
    for row in rows() {
        let kibibytes = sizes.get(row).map_or(0.0, |bytes| *bytes as f64 / 1024.0);
        table.push_str(&format!("\n| {row} | {kibibytes:.1} |"));
    }
    table + "\n"
}

/// What differs by more than a page need not tell.
fn compare(sizes: &BTreeMap<&'static str, u64>, table: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows() {
        let is = sizes.get(row).copied().unwrap_or(0);
        let line = table.lines().find_map(|line| line.strip_prefix(&format!("| {row} | ")));
        let told = line.and_then(|line| line.trim_end_matches(" |").parse::<f64>().ok());
        let Some(told) = told else {
            wrong.push(format!("there is no row for {row}"));
            continue;
        };
        let told = (told * 1024.0) as u64;
        if is.abs_diff(told) > SLACK.max(told / 10) {
            wrong.push(format!("{row} has {is} bytes of code, and not {told}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_belongs_to_the_crate_that_it_is_made_for() {
        for (name, expected) in [
            ("sexton::supervisor::stay", "sexton"),
            ("<sexton::signal::Signal as core::fmt::Display>::fmt", "sexton"),
            ("core::ptr::drop_in_place::<clap_builder::builder::arg::Arg>", "clap"),
            ("<&mut nix::sys::signal::SigSet as core::fmt::Debug>::fmt", "nix"),
            ("<log::NopLogger as log::Log>::log", "log"),
            ("core::fmt::write", STANDARD_LIBRARY),
            ("__rust_alloc", STANDARD_LIBRARY),
            ("memcpy", LIBC),
            ("catalog", LIBC),
        ] {
            assert_eq!(owner(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_written_is_as_it_is_read() {
        let symbols = "\
0000000000001000 0000000000000800 t sexton::main
0000000000001000 0000000000000800 t sexton::main_by_another_name
0000000000003000 0000000000004000 T memcpy
0000000000009000 0000000000000010 r sexton::DATA
                 U nothing";
        let sizes = sizes(symbols);
        assert_eq!(sizes, BTreeMap::from([("sexton", 2048), (LIBC, 16384)]));
        assert_eq!(compare(&sizes, &written(&sizes)), [""; 0]);
        let less = BTreeMap::from([("sexton", 2048), (LIBC, 12000)]);
        assert_eq!(compare(&less, &written(&sizes)), ["the C library has 12000 bytes of code, and not 16384"]);
        assert_eq!(compare(&sizes, "").len(), ROWS.len() + 2);
    }
}
