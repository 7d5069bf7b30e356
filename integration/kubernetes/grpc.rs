//! One call of gRPC over a Unix socket.
//!
//! curl speaks HTTP/2, and of protocol buffers nine calls need no more than this. The crate that has
//! the whole of the CRI (k8s-cri 0.11, with tonic) takes 110 s of processor time to build, for 93
//! crates and protoc, in a package of its own because of its procedural macros.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A message to send: its fields by their numbers in the .proto file.
#[derive(Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    pub fn number(mut self, field: u64, number: i64) -> Message {
        self.varint(field << 3);
        self.varint(number as u64);
        self
    }

    pub fn text(self, field: u64, text: &str) -> Message {
        self.bytes(field, text.as_bytes())
    }

    pub fn message(self, field: u64, message: Message) -> Message {
        self.bytes(field, &message.0)
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Message {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

/// A message that came. A field that is not in it has its default value, as in proto3.
#[derive(Debug, Default)]
pub struct Reply(Vec<(u64, Value)>);

#[derive(Debug)]
enum Value {
    Number(i64),
    Bytes(Vec<u8>),
}

impl Reply {
    /// `None` if this is no message of numbers, texts and messages.
    fn parse(mut bytes: &[u8]) -> Option<Reply> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = take_varint(&mut bytes)?;
            let value = match key & 7 {
                0 => Value::Number(take_varint(&mut bytes)? as i64),
                2 => {
                    let length = take_varint(&mut bytes)?;
                    let (value, rest) = bytes.split_at_checked(length as usize)?;
                    bytes = rest;
                    Value::Bytes(value.to_vec())
                }
                _ => return None,
            };
            fields.push((key >> 3, value));
        }
        Some(Reply(fields))
    }

    pub fn number(&self, field: u64) -> i64 {
        self.find(field).map_or(0, |value| match value {
            Value::Number(number) => *number,
            Value::Bytes(_) => panic!("field {field} is no number: {self:?}"),
        })
    }

    pub fn text(&self, field: u64) -> String {
        String::from_utf8_lossy(self.bytes(field)).into_owned()
    }

    pub fn message(&self, field: u64) -> Reply {
        Reply::parse(self.bytes(field)).unwrap_or_else(|| panic!("field {field} is no message: {self:?}"))
    }

    fn bytes(&self, field: u64) -> &[u8] {
        self.find(field).map_or(&[], |value| match value {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => panic!("field {field} is a number: {self:?}"),
        })
    }

    fn find(&self, field: u64) -> Option<&Value> {
        self.0.iter().find(|(number, _)| *number == field).map(|(_, value)| value)
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// How a call failed, in the server's words.
#[derive(Debug)]
pub struct Refused {
    pub method: String,
    /// What curl saw: the status codes of HTTP and of gRPC, and `grpc-message`.
    pub headers: String,
}

impl Refused {
    /// Whether gRPC's status code is DEADLINE_EXCEEDED.
    pub fn is_deadline_exceeded(&self) -> bool {
        header(&self.headers, "grpc-status") == Some("4")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} failed:\n{}", self.method, self.headers.trim())
    }
}

/// Calls a method and waits for the answer, at most so long.
pub fn call(socket: &Path, method: &str, message: Message, patience: Duration) -> Result<Reply, Refused> {
    let mut curl = crate::harness::command("curl");
    curl.args(["--silent", "--show-error", "--http2-prior-knowledge", "--dump-header", "/dev/stderr"]);
    curl.arg("--max-time").arg(patience.as_secs().to_string()).arg("--unix-socket").arg(socket);
    curl.args(["--header", "content-type: application/grpc", "--header", "te: trailers", "--data-binary", "@-"]);
    curl.arg(format!("http://localhost/{method}"));
    let child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("curl cannot be started (Debian: apt-get install curl)");
    // A message is sent behind a byte for "not compressed" and its length.
    let length = (message.0.len() as u32).to_be_bytes();
    let framed = [&[0][..], &length, &message.0].concat();
    child.stdin.take().unwrap().write_all(&framed).unwrap();
    let output = child.wait_with_output().unwrap();
    let headers = String::from_utf8_lossy(&output.stderr).into_owned();
    let reply = output.stdout.get(5..).and_then(Reply::parse);
    match (header(&headers, "grpc-status"), reply) {
        (Some("0"), Some(reply)) if output.status.success() => Ok(reply),
        _ => Err(Refused { method: method.to_owned(), headers }),
    }
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    headers.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}
