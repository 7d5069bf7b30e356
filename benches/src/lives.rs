//! The ways in which people start sexton: without an option, and with those that they use.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::launch::{self, PLACE, Setup};
use crate::measures::ENVIRONMENT;

/// The same state for each: [`launch::pin`] comes first.
pub const PINNED: Setup = Setup { cpu: None, own_proc: true, hold: false, pinned: true };

/// One way.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// For the committed numbers; empty for the one without options.
    pub name: &'static str,
    /// What sexton is called by.
    pub called: &'static str,
    /// What stands before the command.
    pub options: &'static [&'static str],
    /// What is in the environment besides [`ENVIRONMENT`].
    pub variables: &'static [&'static str],
}

const ORDINARY: Life = Life { name: "", called: "sexton", options: &["--"], variables: &[] };

/// All of them, the ordinary one first.
pub const LIVES: [Life; 8] = [
    ORDINARY,
    Life { name: "group", options: &["-g", "--"], ..ORDINARY },
    Life { name: "options", options: &["-e", "143", "-p", "TERM", "--"], ..ORDINARY },
    Life { name: "times", options: &["--pre-stop-sleep=5s", "--grace-period", "25s", "--"], ..ORDINARY },
    Life { name: "tini", called: "tini", options: &["-g", "--"], ..ORDINARY },
    Life {
        name: "variables",
        variables: &["SEXTON_GRACE_PERIOD=25s", "SEXTON_STOP_SIGNALS=TERM,INT", "SEXTON_GROUP=1"],
        ..ORDINARY
    },
    Life { name: "verbose", options: &["-v", "--"], ..ORDINARY },
    Life { name: "stop_orphans", options: &["--orphans", "stop", "--"], ..ORDINARY },
];

impl Life {
    /// The line that starts this command in this way, under [`PLACE`].
    pub fn line<'a>(&self, command: &[&'a str]) -> Vec<&'a str>
    where
        'static: 'a,
    {
        [&[self.path()], self.options, &[COMMAND], command].concat()
    }

    /// Its environment.
    pub fn environment(&self) -> Vec<&'static str> {
        [ENVIRONMENT, self.variables].concat()
    }

    fn path(&self) -> &'static str {
        if self.called == "tini" { TINI } else { SEXTON }
    }
}

const SEXTON: &str = "/mnt/sexton";
const TINI: &str = "/mnt/tini";
const COMMAND: &str = "/mnt/command";

/// Puts sexton, under both of its names, and the command where [`Life::line`] expects them.
///
/// # Errors
///
/// They cannot be written there.
pub fn place(sexton: &[u8], command: &[u8]) -> io::Result<()> {
    for (path, program) in [(SEXTON, sexton), (TINI, sexton), (COMMAND, command)] {
        assert!(path.starts_with(PLACE));
        fs::write(path, program)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Lives it in front of valgrind's callgrind, to whom the options are told; `act` is what happens meanwhile. Returns
/// what callgrind has written.
///
/// # Errors
///
/// valgrind is not installed, or the life does not end with the `wanted` status.
pub fn callgrind(
    life: &Life,
    options: &[&str],
    command: &[&str],
    wanted: i32,
    act: impl FnOnce(&launch::Running) -> io::Result<()>,
) -> io::Result<String> {
    let out = format!("{PLACE}/callgrind");
    let option = format!("--callgrind-out-file={out}");
    let valgrind = ["/usr/bin/valgrind", "--tool=callgrind", &option];
    if !Path::new(valgrind[0]).exists() {
        return Err(io::Error::other("valgrind is not installed: apt-get install valgrind"));
    }
    let line = [&valgrind[..], options, &life.line(command)].concat();
    let running = launch::start(&line, &life.environment(), PINNED)?;
    act(&running)?;
    running.await_death();
    let status = running.reap();
    if status != wanted {
        return Err(io::Error::other(format!("valgrind ends with status {status}, and not {wanted}")));
    }
    fs::read_to_string(&out)
}
