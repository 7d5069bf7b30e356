//! The termination log: what Kubernetes shows of a container that ended
//! (`kubectl describe pod`, terminationMessagePath).

use std::ffi::CString;
use std::fmt::{self, Write};
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
    if let Err(refused) = try_append(path, record, format) {
        let path = super::Name(path);
        warn!(
            event = "termination_log_failed", path:% = path;
            "cannot write to the termination log {path}: {refused}"
        );
    }
}

/// Why nothing was added.
enum Refused {
    /// So many bytes are there already.
    Full(usize),
    /// By open(2).
    Open(Errno),
    /// By write(2).
    Write(Errno),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Refused::Full(size) => {
                return write!(f, "it has {size} bytes already, and {LONGEST} are read of it");
            }
            // What the kernel says of these means little to a reader.
            Refused::Open(Errno::ENXIO) => "a pipe that nobody reads, a socket, or a device that is not there",
            Refused::Open(Errno::ELOOP) => "it is a symbolic link, which is not followed, or its folders are a circle",
            Refused::Write(Errno::EFBIG) => "a limit on the size of files is reached (ulimit -f)",
            Refused::Open(errno) | Refused::Write(errno) => errno.desc(),
        };
        f.write_str(why)
    }
}

fn try_append(path: &CString, record: &Record<'_>, format: LogFormat) -> Result<(), Refused> {
    let file = Appended::open(path).map_err(Refused::Open)?;
    let mut line = Line::default();
    line.set_limit(LONGEST.saturating_sub(file.size()));
    // An object that is cut to fewer bytes than its first keys take is none.
    const SHORTEST: usize = 160;
    if line.limit() < SHORTEST {
        return Err(Refused::Full(file.size()));
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
    file.write(line.bytes()).map_err(Refused::Write)
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
