//! The termination log: what Kubernetes shows of a container that ended
//! (`kubectl describe pod`, terminationMessagePath).

use std::ffi::CString;
use std::fmt::Write;
use std::sync::OnceLock;

use log::kv::{self, Key, Value, VisitSource};
use log::{Record, warn};
use nix::errno::Errno;

use super::{Line, json};
use crate::config::LogFormat;
use crate::sys::Appended;

/// So much of the file the kubelet reads, whoever wrote it.
const LONGEST: usize = 4096;

/// Which file, if any.
static PATH: OnceLock<CString> = OnceLock::new();

/// Has [`append`] write to this file.
pub(super) fn init(path: Option<&CString>) {
    if let Some(path) = path {
        let _ = PATH.set(path.clone());
    }
}

/// Adds the record to the termination log, if there is to be one.
pub(super) fn append(record: &Record<'_>, format: LogFormat) {
    let Some(path) = PATH.get() else { return };
    if let Err(errno) = try_append(path, record, format) {
        let why = match errno {
            // What open(2) and write(2) say of these means little to a reader.
            Errno::ENXIO => "nobody reads this pipe",
            Errno::EFBIG => "it is full (4096 bytes)",
            Errno::ELOOP => "it is a symbolic link, which is not followed",
            errno => errno.desc(),
        };
        let path = super::Name(path);
        warn!(event = "termination_log_failed", path:% = path; "cannot write to the termination log {path}: {why}");
    }
}

fn try_append(path: &CString, record: &Record<'_>, format: LogFormat) -> Result<(), Errno> {
    let file = Appended::open(path)?;
    let mut line = Line::default();
    line.set_limit(LONGEST.saturating_sub(file.size()));
    // An object that is cut to fewer bytes than its first keys take is none.
    const SHORTEST: usize = 160;
    if line.limit() < SHORTEST {
        return Err(Errno::EFBIG);
    }
    if !file.ends_in_a_line() {
        line.push(b"\n");
    }
    match format {
        LogFormat::Json => json::write(&mut line, record),
        LogFormat::Text => {
            let _ = writeln!(line, "sexton: {}", record.args());
            let mut facts = Facts { line: &mut line, is_first: true };
            let _ = record.key_values().visit(&mut facts);
            if !facts.is_first {
                line.push(b"\n");
            }
        }
    }
    file.write(line.bytes())
}

/// `key=value` with blanks between them.
struct Facts<'a> {
    line: &'a mut Line,
    is_first: bool,
}

impl<'kvs> VisitSource<'kvs> for Facts<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let mut pair = Line::default();
        let separator = if self.is_first { "sexton: " } else { " " };
        let _ = write!(pair, "{separator}{key}={value}");
        if self.line.push_whole(pair.bytes()) {
            self.is_first = false;
        }
        Ok(())
    }
}
