//! What people read: on stderr, one line for each thing worth telling.
//!
//! Text carries no time and no colour: engines add the one and show the other as garbage. As JSON
//! (`json`) a line carries its facts as well, as the key-value pairs of its record. An abnormal end
//! also goes to the termination log (`termination`).

mod json;
mod termination;

use std::ffi::CStr;
use std::fmt::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use log::kv::Value;
use log::{Level, Log, Metadata, Record};

use crate::config::{Config, LogFormat};
use crate::sys::{write_stderr, write_stdout, write_stdout_at_once};

/// The longest line, in bytes: what a pipe takes as a whole or not at all (`PIPE_BUF`, pipe(7)).
const LONGEST_LINE: usize = 4096;

/// The longest line that tells of dropped ones.
const DROPPED_LINE: usize = 256;

/// Lines that found no room on stderr since the last one that did.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How lines are written; text until [`init`].
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

fn format() -> LogFormat {
    FORMAT.get().copied().unwrap_or_default()
}

/// Has everything up to the configured level logged on stderr from now on.
pub fn init(config: &Config) {
    // First of all: a page that is read before it is written costs two page faults.
    log::set_max_level(config.log_level);
    let _ = FORMAT.set(config.log_format);
    termination::init(config.termination_log.as_ref());
    // It fails only when there is a logger already.
    let is_first = log::set_logger(&Logger).is_ok();
    debug_assert!(is_first);
}

/// Writes each record as a line, which is put together on the stack: nothing is allocated while the
/// command runs.
struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let mut line = Line::default();
        put(&mut line, record, format());
        write_line(&line);
    }

    fn flush(&self) {}
}

/// Writes the record into an empty line.
#[inline(always)]
fn put(line: &mut Line, record: &Record<'_>, format: LogFormat) {
    match format {
        LogFormat::Text => drop(writeln!(line, "sexton: {}", record.args())),
        LogFormat::Json => {
            // Room in the same write for the line that tells of dropped ones.
            line.set_limit(LONGEST_LINE - DROPPED_LINE);
            json::write(line, record);
        }
    }
}

/// What is known of an event, for those who read with programs.
#[derive(Debug)]
pub struct Facts<'a> {
    pairs: [(&'static str, Value<'a>); Facts::MOST],
    count: usize,
}

impl<'a> Facts<'a> {
    const MOST: usize = 48;

    /// Of this event.
    pub fn of(event: &'a str) -> Facts<'a> {
        let nothing = || ("", Value::null());
        Facts { pairs: std::array::from_fn(|_| nothing()), count: 0 }.and("event", event)
    }

    /// And this one.
    #[must_use]
    pub fn and(mut self, key: &'static str, value: impl Into<Value<'a>>) -> Facts<'a> {
        debug_assert!(self.count < Facts::MOST);
        if let Some(free) = self.pairs.get_mut(self.count) {
            *free = (key, value.into());
            self.count += 1;
        }
        self
    }

    /// And this one, if it is known.
    #[must_use]
    pub fn and_if(self, key: &'static str, value: Option<impl Into<Value<'a>>>) -> Facts<'a> {
        match value {
            Some(value) => self.and(key, value),
            None => self,
        }
    }

    /// And this one, as it is shown to people.
    #[must_use]
    pub fn and_shown(self, key: &'static str, value: &'a impl fmt::Display) -> Facts<'a> {
        self.and(key, Value::from_display(value))
    }

    fn pairs(&self) -> &[(&'static str, Value<'a>)] {
        self.pairs.get(..self.count).unwrap_or_default()
    }
}

/// Tells of an event on stderr, if the level is told.
pub fn tell(level: Level, sentence: fmt::Arguments<'_>, facts: &Facts<'_>) {
    if level <= log::max_level() {
        let pairs = facts.pairs();
        log::logger()
            .log(&Record::builder().args(sentence).level(level).target(module_path!()).key_values(&pairs).build());
    }
}

/// Tells of an abnormal end: on stderr, and in the termination log whatever the level is.
pub fn end(level: Level, sentence: fmt::Arguments<'_>, facts: &Facts<'_>) {
    tell(level, sentence, facts);
    let pairs = facts.pairs();
    termination::append(&Record::builder().args(sentence).level(level).key_values(&pairs).build(), format());
}

/// Says what is wrong with the usage.
// Not a part of `main`, whose stack would hold the line for good.
#[inline(never)]
#[cold]
pub fn usage(sentence: &str) {
    let mut line = Line::default();
    let _ = writeln!(line, "sexton: {sentence}");
    write_line(&line);
}

/// Prints what the user asked for on stdout.
///
/// # Errors
///
/// A sentence about why it cannot be written.
#[cold]
pub fn print(text: &str) -> Result<(), String> {
    let mut text = text.trim_end().to_owned();
    text.push('\n');
    write_stdout(text.as_bytes()).map_err(|errno| format!("cannot write to stdout: {}", errno.desc()))
}

/// Prints what a check saw on stdout, unless that has no room: its time is limited, and its status says the same.
#[cold]
pub fn print_at_once(mut line: String) {
    line.push('\n');
    let _ = write_stdout_at_once(line.as_bytes());
}

/// Writes a line to stderr in one go, so that it is never torn apart by what others write, and
/// without waiting: what finds no room is dropped and counted.
fn write_line(line: &Line) {
    let dropped = DROPPED.load(Ordering::Relaxed);
    let mut whole = Line::default();
    if dropped > 0 {
        let plural = if dropped == 1 { "" } else { "s" };
        let message = format_args!("{dropped} line{plural} dropped, which stderr did not take");
        match format() {
            LogFormat::Text => drop(writeln!(whole, "sexton: {message}")),
            LogFormat::Json => json::write_dropped(&mut whole, dropped, &message),
        }
    }
    whole.push(line.bytes());
    match write_stderr(whole.bytes()) {
        Ok(()) => DROPPED.store(0, Ordering::Relaxed),
        Err(_) => DROPPED.store(dropped.saturating_add(1), Ordering::Relaxed),
    }
}

/// Room for the longest line, on the stack.
struct Line {
    bytes: [u8; LONGEST_LINE],
    length: usize,
    /// So long it may become.
    limit: usize,
}

impl Default for Line {
    fn default() -> Line {
        Line { bytes: [0; LONGEST_LINE], length: 0, limit: LONGEST_LINE }
    }
}

impl Line {
    /// Appends what fits; a line that does not fit keeps its end of line.
    fn push(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.limit.saturating_sub(self.length));
        for (room, byte) in self.bytes.iter_mut().skip(self.length).zip(bytes.iter().take(taken)) {
            *room = *byte;
        }
        self.length += taken;
        if taken < bytes.len()
            && let Some(last) = self.length.checked_sub(1).and_then(|last| self.bytes.get_mut(last))
        {
            *last = b'\n';
        }
    }

    /// Appends all of it, or nothing when it does not fit.
    fn push_whole(&mut self, bytes: &[u8]) -> bool {
        let fits = self.length + bytes.len() <= self.limit;
        if fits {
            self.push(bytes);
        }
        fits
    }

    fn limit(&self) -> usize {
        self.limit
    }

    fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(LONGEST_LINE);
    }

    fn length(&self) -> usize {
        self.length
    }

    fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
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

/// What changes how the text around it looks: direction marks, line separators, blanks of no width.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Any bytes from the outside, made fit to be read like a [`Name`].
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || is_invisible(character) {
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

    #[test]
    fn the_longest_object_has_room_beside_the_line_that_tells_of_dropped_ones() {
        let (text, most) = ("x".repeat(LONGEST_LINE), u64::MAX);
        let pairs: Vec<_> = (0..Facts::MOST).map(|number| (format!("key{number}"), text.as_str())).collect();
        let (mut object, mut told) = (Line::default(), Line::default());
        put(&mut object, &Record::builder().args(format_args!("{text}")).key_values(&pairs).build(), LogFormat::Json);
        assert!(object.bytes().len() > LONGEST_LINE / 2);
        json::write_dropped(&mut told, most, &format_args!("{most} lines dropped, which stderr did not take"));
        assert!(told.bytes().len() + object.bytes().len() <= LONGEST_LINE);
    }
}
