//! Lines as JSON objects (RFC 8259), for log collectors; `docs/logging.md` has the keys.

use std::fmt::{self, Write};
use std::time::SystemTime;

use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};

use super::Line;
use crate::sys::unix_time;

/// The longest message and the longest of all other values, in bytes: together with the keys that
/// there are, they fit into a line.
const LONGEST_MESSAGE: usize = 2048;
const LONGEST_VALUE: usize = 512;

/// Writes the record as one object and an end of line. What finds no room is cut in a value, or
/// left out with its key, so that what is there always is an object.
pub(super) fn write(line: &mut Line, record: &Record<'_>) {
    let event = record.key_values().get(Key::from("event"));
    object(line, level(record.level()), event.unwrap_or_else(|| Value::from("note")), record.args(), |json| {
        let _ = record.key_values().visit(json);
    });
}

/// The line that tells how many others found no room.
pub(super) fn write_dropped(line: &mut Line, count: u64, message: &dyn fmt::Display) {
    object(line, "warn", Value::from("lines_dropped"), message, |json| json.pair("lines", &Value::from(count)));
}

fn object(
    line: &mut Line,
    level: &str,
    event: Value<'_>,
    message: &dyn fmt::Display,
    more: impl FnOnce(&mut Json<'_>),
) {
    let limit = line.limit();
    // The end of the object always finds room.
    line.set_limit(limit.saturating_sub(2));
    let mut json = Json { line, is_first: true };
    json.raw("{");
    // Not SystemTime::now, which panics where a seccomp profile refuses the clock.
    let time = SystemTime::UNIX_EPOCH.checked_add(unix_time()).unwrap_or(SystemTime::UNIX_EPOCH);
    let time = humantime::format_rfc3339_millis(time);
    json.pair("time", &Value::from_display(&time));
    json.pair("level", &Value::from(level));
    json.pair("event", &event);
    json.text_pair("message", message, LONGEST_MESSAGE);
    more(&mut json);
    line.set_limit(limit);
    line.push(b"}\n");
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// An object that is being written.
struct Json<'a> {
    line: &'a mut Line,
    is_first: bool,
}

impl Json<'_> {
    /// All of it or nothing.
    fn raw(&mut self, text: &str) -> bool {
        self.line.push_whole(text.as_bytes())
    }

    fn pair(&mut self, key: &str, value: &Value<'_>) {
        self.entry(key, |json| value.visit(ValueWriter(json)).is_ok());
    }

    fn text_pair(&mut self, key: &str, text: &dyn fmt::Display, longest: usize) {
        self.entry(key, |json| json.string(text, longest));
    }

    /// A key with what `value` writes; neither of them when it finds no room.
    fn entry(&mut self, key: &str, value: impl FnOnce(&mut Self) -> bool) {
        let beginning = self.line.length();
        let separator = if self.is_first { "\"" } else { ",\"" };
        if self.raw(separator) && self.raw(key) && self.raw("\":") && value(self) {
            self.is_first = false;
        } else {
            self.line.truncate(beginning);
        }
    }

    /// A string of at most so many bytes, cut where it is longer.
    fn string(&mut self, text: &dyn fmt::Display, longest: usize) -> bool {
        if !self.raw("\"") {
            return false;
        }
        let limit = self.line.limit();
        self.line.set_limit(limit.saturating_sub(1).min(self.line.length() + longest));
        // An error means that it was cut.
        let _ = write!(Escaped(self.line), "{text}");
        self.line.set_limit(limit);
        self.raw("\"")
    }
}

/// Characters as a JSON string may hold them.
struct Escaped<'a>(&'a mut Line);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| self.write_char(character))
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        let mut room = [0; 6];
        let escaped: &[u8] = match character {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\n' => b"\\n",
            '\r' => b"\\r",
            '\t' => b"\\t",
            control @ ('\0'..'\x20' | '\x7f'..='\u{9f}') => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digit = |number| DIGITS.get(number & 0xf).copied().unwrap_or_default();
                let code = control as usize;
                room = [b'\\', b'u', b'0', b'0', digit(code >> 4), digit(code)];
                &room
            }
            other => other.encode_utf8(&mut room).as_bytes(),
        };
        if self.0.push_whole(escaped) { Ok(()) } else { Err(fmt::Error) }
    }
}

impl<'kvs> VisitSource<'kvs> for Json<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        if key.as_str() != "event" {
            self.pair(key.as_str(), &value);
        }
        Ok(())
    }
}

/// Writes a value. Its error means that there is no room, or nothing to be written.
struct ValueWriter<'a, 'b>(&'a mut Json<'b>);

impl ValueWriter<'_, '_> {
    fn put(&mut self, text: &dyn fmt::Display) -> Result<(), kv::Error> {
        if self.0.string(text, LONGEST_VALUE) { Ok(()) } else { Err(no_room()) }
    }

    fn put_raw(&mut self, text: fmt::Arguments<'_>) -> Result<(), kv::Error> {
        let mut number = Line::default();
        let _ = number.write_fmt(text);
        if self.0.line.push_whole(number.bytes()) { Ok(()) } else { Err(no_room()) }
    }
}

fn no_room() -> kv::Error {
    kv::Error::msg("no room")
}

impl<'v> VisitValue<'v> for ValueWriter<'_, '_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.put(&value)
    }

    /// A fact that is not known has no key.
    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Err(kv::Error::msg("nothing"))
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.put_raw(format_args!("{value}"))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.put_raw(format_args!("{value}"))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.put_raw(format_args!("{value}"))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.put(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Name, Printable};
    use proptest::prelude::*;

    fn line(record: &Record<'_>, limit: usize) -> String {
        let mut line = Line::default();
        line.set_limit(limit);
        write(&mut line, record);
        String::from_utf8(line.bytes().to_vec()).expect("it is UTF-8")
    }

    /// Skips a string and returns what is behind it.
    fn after_string(text: &str) -> &str {
        let mut rest = text.strip_prefix('"').expect("a string").chars();
        loop {
            match rest.next().expect("the string ends") {
                '"' => return rest.as_str(),
                '\\' => match rest.next() {
                    Some('"' | '\\' | 'n' | 'r' | 't') => {}
                    Some('u') => assert!(rest.by_ref().take(4).all(|digit| digit.is_ascii_hexdigit())),
                    other => panic!("no escape: {other:?}"),
                },
                character => assert!(!character.is_control(), "{character:?}"),
            }
        }
    }

    /// Panics unless it is one flat object of strings, numbers and truth values, in one line.
    fn check(line: &str) {
        let mut rest = line.strip_prefix('{').expect("an object");
        loop {
            rest = after_string(rest).strip_prefix(':').expect("a value");
            rest = match rest.as_bytes()[0] {
                b'"' => after_string(rest),
                _ => {
                    let end = rest.find([',', '}']).expect("the value ends");
                    let value = &rest[..end];
                    assert!(value.parse::<i128>().is_ok() || ["true", "false"].contains(&value), "{value}");
                    &rest[end..]
                }
            };
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => return assert_eq!(rest, "}\n"),
            }
        }
    }

    #[test]
    fn a_record_is_one_object_and_what_is_unknown_has_no_key() {
        let name = Name(c"/bin/\xff\"x\"");
        let absent: Option<u64> = None;
        let facts: [(&str, Value<'_>); 5] = [
            ("event", "command_killed".into()),
            ("pid", 7.into()),
            ("command", Value::from_display(&name)),
            ("core_dumped", true.into()),
            ("oom_kills", log::kv::ToValue::to_value(&absent)),
        ];
        let shown = line(
            &Record::builder().args(format_args!("a \"b\"\n")).level(Level::Warn).key_values(&&facts[..]).build(),
            4096,
        );
        check(&shown);
        let (time, rest) = shown.split_once(r#"Z","#).unwrap();
        assert_eq!(time.len(), r#"{"time":"2026-01-01T00:00:00.000"#.len(), "{time}");
        assert_eq!(
            rest,
            concat!(
                r#""level":"warn","event":"command_killed","message":"a \"b\"\n","pid":7,"#,
                r#""command":"/bin/\\xff\"x\"","core_dumped":true}"#,
                "\n"
            )
        );
    }

    proptest! {
        #[test]
        fn whatever_is_told_and_however_little_room_there_is_it_is_json(
            message in ".{0,3000}",
            value in prop::collection::vec(any::<u8>(), 0..1500),
            limit in 160_usize..4096,
        ) {
            let shown = Printable(&value).to_string();
            let facts: [(&str, Value<'_>); 3] =
                [("command", Value::from_display(&shown)), ("pid", 1.into()), ("raw", message.as_str().into())];
            let text = line(
                &Record::builder().args(format_args!("{message}")).level(Level::Info).key_values(&&facts[..]).build(),
                limit,
            );
            prop_assert!(text.len() <= limit);
            check(&text);
        }
    }
}
