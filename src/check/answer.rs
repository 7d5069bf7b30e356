//! The status line of an HTTP answer, and nothing else of it (RFC 9112, 4).

use std::time::Duration;

use nix::errno::Errno;

use crate::sys::Connection;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A status line.
    Status {
        /// `200`.
        code: u16,
        /// `OK`, as it came.
        reason: Vec<u8>,
    },
    /// Something else.
    NoHttp,
    /// The connection was closed in the middle of the line.
    Cut,
}

/// The longest status line: a reason is a few words.
const LONGEST: usize = 512;

impl Answer {
    /// Reads until the end of the line.
    pub(super) fn read(connection: &Connection, deadline: Duration) -> Result<Answer, Errno> {
        let mut line = Vec::new();
        loop {
            let mut room = [0; LONGEST];
            let length = connection.receive(&mut room, deadline)?;
            line.extend_from_slice(room.get(..length).unwrap_or_default());
            if let Some(answer) = Answer::of(&line) {
                return Ok(answer);
            }
            if length == 0 {
                return Ok(Answer::Cut);
            }
        }
    }

    /// What these first bytes of an answer are; `None` while more have to come.
    pub fn of(bytes: &[u8]) -> Option<Answer> {
        const BEGINNING: &[u8] = b"HTTP/1.";
        let known = bytes.len().min(BEGINNING.len());
        if bytes.get(..known) != BEGINNING.get(..known) {
            return Some(Answer::NoHttp);
        }
        let Some(end) = bytes.iter().take(LONGEST).position(|byte| *byte == b'\n') else {
            return (bytes.len() >= LONGEST).then_some(Answer::NoHttp);
        };
        let line = bytes.get(..end)?.trim_ascii_end();
        Some(Answer::of_line(line).unwrap_or(Answer::NoHttp))
    }

    /// `HTTP/1.1 200 OK`.
    fn of_line(line: &[u8]) -> Option<Answer> {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let version = words.next()?;
        let code = words.next().filter(|code| code.len() == 3 && code.iter().all(u8::is_ascii_digit))?;
        let code = std::str::from_utf8(code).ok()?.parse().ok()?;
        let reason = words.next().unwrap_or_default().to_vec();
        version.last()?.is_ascii_digit().then_some(Answer::Status { code, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_status_line_counts() {
        let status = |code, reason: &str| Some(Answer::Status { code, reason: reason.into() });
        for (bytes, answer) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", status(200, "OK")),
            ("HTTP/1.0 503 Service Unavailable\n", status(503, "Service Unavailable")),
            ("HTTP/1.1 204\r\n", status(204, "")),
            ("HTTP/1.1 404 \r\n", status(404, "")),
            ("", None),
            ("HT", None),
            ("HTTP/1.1 200 OK", None),
            ("SSH-2.0-OpenSSH", Some(Answer::NoHttp)),
            ("HTTP/2 200\r\n", Some(Answer::NoHttp)),
            ("HTTP/1.1 20 OK\r\n", Some(Answer::NoHttp)),
            ("HTTP/1.1 2000 OK\r\n", Some(Answer::NoHttp)),
            ("HTTP/1.x 200 OK\r\n", Some(Answer::NoHttp)),
            ("HTTP/1.1\r\n", Some(Answer::NoHttp)),
            ("\n", Some(Answer::NoHttp)),
        ] {
            assert_eq!(Answer::of(bytes.as_bytes()), answer, "{bytes:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_no_answer() {
        let line = format!("HTTP/1.1 200 {}", "x".repeat(LONGEST));
        assert_eq!(Answer::of(line.as_bytes()), Some(Answer::NoHttp));
        assert_eq!(Answer::of(format!("{line}\r\n").as_bytes()), Some(Answer::NoHttp));
    }
}
