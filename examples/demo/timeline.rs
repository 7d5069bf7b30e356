//! What is printed: 80 columns of plain text.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use crate::proxy::Fate;

const COLUMNS: usize = 80;
/// The time and who speaks.
const MARGIN: usize = 20;

/// Whoever read our stdout has gone, as `head -3` does.
#[derive(Debug)]
pub struct NobodyReads;

impl fmt::Display for NobodyReads {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("nobody reads on")
    }
}

impl Error for NobodyReads {}

/// Prints a line. Not by `println!`, which panics where nobody reads.
pub fn print(line: &str) -> Result<(), Box<dyn Error>> {
    writeln!(io::stdout(), "{line}").map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => NobodyReads.into(),
        _ => format!("stdout: {error}").into(),
    })
}

/// Breaks a text into lines, which are indented from the second one on.
pub fn wrap(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or("", String::as_str);
        if line.chars().count() + 1 + word.chars().count() > COLUMNS && !line.trim().is_empty() {
            lines.push(" ".repeat(indent) + word);
        } else if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// One event. The time is counted from the stop signal.
pub fn line(seconds: f64, who: &str, what: &str) -> String {
    let head = format!("{seconds:>8.2}  {who:<width$}", width = MARGIN - 10);
    // The head has more than one blank in a row, which is not to be broken.
    let body = wrap(&format!("{}{what}", "#".repeat(MARGIN)), MARGIN);
    head + &body[MARGIN..]
}

pub fn letter(fate: Fate) -> char {
    match fate {
        Fate::Answered => 'o',
        Fate::Elsewhere => '+',
        Fate::Lost => 'X',
    }
}

pub fn legend() -> String {
    "One letter is one request: o answered by the server that is stopped,\n\
     + answered by its replacement, X lost."
        .into()
}

/// In seconds, with a sign.
pub fn seconds(from: std::time::Instant, to: std::time::Instant) -> f64 {
    to.checked_duration_since(from)
        .map_or_else(|| -from.saturating_duration_since(to).as_secs_f64(), |time: Duration| time.as_secs_f64())
}
