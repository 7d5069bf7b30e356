//! A program on a terminal, as a person has it: `docker run -it`, `docker exec -it`, or a shell.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Name, PATIENCE, engine};

/// A program on a pseudo-terminal, at whose other end the test sits.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// All that came, and how much of it was waited for already.
    text: String,
    taken: usize,
    /// Of the container, if it is gone with the terminal.
    _name: Option<Name>,
}

impl Terminal {
    /// The `docker` command.
    pub(super) fn new(line: &[String], name: Option<Name>) -> Terminal {
        let mut docker = engine().command();
        docker.args(line);
        Terminal::of(docker, name)
    }

    /// Any program. For a shell start it by `setsid --ctty`, which makes the terminal its own.
    pub fn running(program: Command) -> Terminal {
        Terminal::of(program, None)
    }

    fn of(mut program: Command, name: Option<Name>) -> Terminal {
        let pty = openpty(Some(&size(24, 80)), None).unwrap();
        let keyboard = File::from(pty.master);
        let slave = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = program.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        let mut output = keyboard.try_clone().unwrap();
        let (sender, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // EIO, when nobody has the other end any more, is the end.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keyboard, screen, text: String::new(), taken: 0, _name: name }
    }

    /// Types this; `\x03` is ^C.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for this text to appear behind what was waited for before.
    pub fn wait_for(&mut self, text: &str) {
        assert!(self.appears(text, PATIENCE), "{text:?} did not appear within {PATIENCE:?} behind {:?}", self.text);
    }

    fn appears(&mut self, text: &str, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(position) = self.text[self.taken..].find(text) {
                self.taken += position + text.len();
                return true;
            }
            match self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => panic!("the end came before {text:?}: {:?}", self.text),
            }
        }
    }

    /// Changes the window's size, as the terminal emulator does when a person pulls at its corner,
    /// and waits for this text.
    #[allow(unsafe_code)]
    pub fn resize(&mut self, rows: u16, columns: u16, text: &str) {
        // SAFETY: TIOCSWINSZ reads a winsize (ioctl_tty(2)), and the descriptor is a terminal's.
        let done = unsafe { libc::ioctl(self.keyboard.as_raw_fd(), libc::TIOCSWINSZ, &size(rows, columns)) };
        assert_eq!(done, 0);
        // The kernel tells the foreground of a controlling terminal, which this one is not. And
        // `docker` listens only some time after its start, which nobody can see: it is told again.
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            kill(Pid::from_raw(self.child.id() as i32), Signal::SIGWINCH).unwrap();
            if self.appears(text, Duration::from_millis(200)) {
                return;
            }
        }
        panic!("{text:?} did not appear within {PATIENCE:?} behind {:?}", self.text);
    }

    /// Waits for the end of the `docker` command and returns its exit status.
    pub fn status(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(bytes) = self.screen.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
        assert!(Instant::now() < deadline, "docker did not end within {PATIENCE:?}: {:?}", self.text);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
