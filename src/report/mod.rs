//! What people read: on stderr, one plain line for each thing worth telling.
//!
//! The lines carry no time and no colour: engines add the one and show the other as garbage.

pub mod exec;
pub mod file;
mod limits;
mod path;

use std::ffi::CStr;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use env_logger::{Builder, Target, WriteStyle};
use log::LevelFilter;

use crate::cli::UsageError;
use crate::sys::{write_stderr, write_stdout};

/// The longest line, in bytes: what a pipe takes as a whole or not at all (`PIPE_BUF`, pipe(7)).
const LONGEST_LINE: usize = 4096;

/// Lines that found no room on stderr since the last one that did.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Whether logged lines are written.
static READY: AtomicBool = AtomicBool::new(false);

/// Has everything up to this level logged on stderr from now on.
pub fn init(level: LevelFilter) {
    let logger = Builder::new()
        .filter_level(level)
        .write_style(WriteStyle::Never)
        .target(Target::Pipe(Box::new(Logged)))
        .format(|line, record| writeln!(line, "sexton: {}", record.args()))
        .try_init();
    // It fails only when there is a logger already.
    debug_assert!(logger.is_ok());
    // The first line makes env_logger allocate the buffer that it then keeps: have that happen
    // before the command runs, with a line that nobody sees.
    log::error!("{:1$}", "", LONGEST_LINE);
    READY.store(true, Ordering::Relaxed);
}

/// Says what is wrong with the usage.
pub fn usage(error: &UsageError) {
    let _ = writeln!(Stderr, "sexton: {}", error.0);
}

/// Prints what the user asked for on stdout.
///
/// # Errors
///
/// A sentence about why it cannot be written.
pub fn print(text: &str) -> Result<(), UsageError> {
    let text = format!("{}\n", text.trim_end());
    write_stdout(text.as_bytes()).map_err(|errno| UsageError(format!("cannot write to stdout: {}", errno.desc())))
}

/// stderr, which never blocks: what finds no room is dropped and counted.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let dropped = DROPPED.load(Ordering::Relaxed);
        let mut whole = Line::default();
        if dropped > 0 {
            let _ = writeln!(whole, "sexton: {dropped} lines dropped: stderr was full");
        }
        whole.push(line);
        match write_stderr(whole.bytes()) {
            Ok(()) => DROPPED.store(0, Ordering::Relaxed),
            Err(_) => DROPPED.store(dropped.saturating_add(1), Ordering::Relaxed),
        }
        Ok(line.len())
    }

    /// One line is one write, so that a line is never torn apart by what others write.
    fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
        let mut line = Line::default();
        let _ = line.write_fmt(args);
        self.write(line.bytes()).map(drop)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// [`Stderr`], for the logger.
struct Logged;

impl Write for Logged {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if READY.load(Ordering::Relaxed) { Stderr.write(line) } else { Ok(line.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Room for the longest line, on the stack.
struct Line {
    bytes: [u8; LONGEST_LINE],
    length: usize,
}

impl Default for Line {
    fn default() -> Line {
        Line { bytes: [0; LONGEST_LINE], length: 0 }
    }
}

impl Line {
    /// Appends what fits; a line that does not fit keeps its end of line.
    fn push(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE - self.length;
        let taken = bytes.len().min(room);
        self.bytes[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
        if taken < bytes.len() {
            self.bytes[LONGEST_LINE - 1] = b'\n';
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// A name from the outside, made fit to be read: bytes that are not printable are escaped, so
/// that no name can break a line in two or speak to the terminal.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(pub &'a CStr);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(self.0.to_bytes()).fmt(f)
    }
}

/// Any bytes from the outside, made fit to be read like a [`Name`].
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    f.write_char(character)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_a_line_nor_speak_to_the_terminal() {
        assert_eq!(Name(c"/bin/caf\xc3\xa9").to_string(), "/bin/café");
        assert_eq!(Name(c"a\nb\x1b[31m\x7f").to_string(), "a\\nb\\u{1b}[31m\\u{7f}");
        assert_eq!(Name(c"\xff\xfeok").to_string(), "\\xff\\xfeok");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_still_ends_as_a_line() {
        let mut line = Line::default();
        line.push(&[b'x'; 2 * LONGEST_LINE]);
        assert_eq!(line.bytes().len(), LONGEST_LINE);
        assert_eq!(line.bytes().last(), Some(&b'\n'));
    }
}
