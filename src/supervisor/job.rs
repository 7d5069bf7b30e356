//! The terminal's job control: whose a signal is, who stops with whom, who has the foreground.

use crate::signal::{Received, Signal};
use crate::sys::{Terminal, stop_self, suspend_self};

/// sexton as a part of a terminal's job control.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub own_pid: i32,
    pub is_init: bool,
    pub has_terminal: bool,
    /// The command's process group was given the foreground.
    pub gave_foreground: bool,
    /// The command is in our own process group.
    pub shares_group: bool,
}

impl Job {
    /// Whether it is meant for the command. What is not goes without a word: to say that a write
    /// raised SIGPIPE would be the next such write.
    pub fn concerns_command(&self, received: &Received) -> bool {
        // What the terminal sends goes to a whole process group.
        let has_been_sent = self.shares_group && !received.is_from_process();
        !has_been_sent && !received.is_our_own(self.own_pid)
    }

    /// The command was stopped. Returns whether it is to go on at once.
    pub fn command_stopped(&self, command: i32, signal: Signal) -> bool {
        // SIGSTOP is how some programs with the terminal to themselves suspend themselves.
        let by_terminal = signal.is_terminal_stop()
            || signal == Signal::STOP && self.gave_foreground && !self.is_init && Job::holds_terminal(command);
        if !self.has_terminal || !by_terminal {
            return false;
        }
        if self.shares_group {
            // Everybody in the group was sent the same, and stops by itself.
            suspend_self(false);
            return false;
        }
        let reads_or_writes = matches!(signal, Signal::TTIN | Signal::TTOU);
        if reads_or_writes && self.give_foreground(command) {
            // We came into the foreground without being told, as by `fg` for a job that runs.
            return true;
        }
        // The shell that waits for us must see that its job has stopped. Behind PID 1, and wherever
        // sexton leads the session, there is no shell that could ever continue it: without sexton
        // the kernel would not have stopped it at all.
        let suspended = !self.is_init && suspend_self(true);
        !suspended && self.gave_foreground && !reads_or_writes
    }

    /// sexton forwarded this signal, which a shell sends to stop a job: without a terminal of its
    /// own the command is out of that shell's sight, but sexton is not.
    pub fn forwarded(&self, signal: Signal) {
        if !self.has_terminal && !self.is_init && signal.is_terminal_stop() {
            stop_self();
        }
    }

    /// Somebody continues us, and so the command, which needs the terminal if we have it.
    pub fn continued(&self, command: i32) {
        if self.has_terminal && !self.is_init && !self.shares_group {
            self.give_foreground(command);
        }
    }

    fn holds_terminal(command: i32) -> bool {
        Terminal::controlling().is_some_and(|terminal| terminal.is_held_by(command))
    }

    fn give_foreground(&self, command: i32) -> bool {
        Terminal::controlling()
            .is_some_and(|terminal| terminal.is_ours() && terminal.give_foreground_to(command).is_ok())
    }

    /// The command is gone: whoever goes on after us needs the terminal.
    pub fn ended(&self, command: i32) {
        if self.has_terminal
            && !self.is_init
            && !self.shares_group
            && let Some(terminal) = Terminal::controlling()
        {
            terminal.take_back(Some(command));
        }
    }
}
