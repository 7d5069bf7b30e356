//! The completions, typed into the shells themselves.

mod harness;
mod manual;

use harness::{Terminal, command, installed, names::Folder};

/// A shell that has nobody's settings, and sexton's completions.
struct Shell {
    terminal: Terminal,
    _home: Folder,
}

const TAB: &str = "\t";

impl Shell {
    fn start(program: &str, options: &[&str], lines: &[String]) -> Shell {
        let home = Folder::new();
        let shell = installed(program, program);
        let mut setsid = command(installed("setsid", "util-linux"));
        setsid.args(["--wait", "--ctty"]).arg(shell).args(options);
        setsid.env_clear().env("HOME", &home.0).env("TERM", "dumb").env("PATH", std::env::var_os("PATH").unwrap());
        let mut terminal = Terminal::running(setsid);
        for line in lines {
            terminal.type_in(&format!("{line}\n"));
        }
        // Not as it is typed, for the terminal shows that too.
        terminal.type_in("echo rea''dy\n");
        terminal.wait_for("ready");
        Shell { terminal, _home: home }
    }

    /// Types this and TAB, and waits for the word that it is to become.
    fn completes(&mut self, typed: &str, completed: &str) {
        self.terminal.type_in(&format!("{typed}{TAB}"));
        self.terminal.wait_for(completed);
        // ^U clears the line.
        self.terminal.type_in("\x15");
    }

    fn knows_sexton(&mut self) {
        self.completes("sexton --pre-stop-sl", "--pre-stop-sleep");
        self.completes("sexton --grace-period 9s --orph", "--orphans");
        self.completes("sexton -g --orphans le", "leave");
        self.completes("sexton --stop-signal WIN", "WINCH");
        self.completes("sexton --log-format j", "json");
        self.completes("sexton --dialect dumb", "dumb-init");
    }
}

#[test]
fn bash_completes_options_and_their_values() {
    let script = manual::folder().join("bash/sexton");
    let lines = ["PS1='> '".to_owned(), format!("source {}", script.display())];
    Shell::start("bash", &["--norc", "--noprofile", "-i"], &lines).knows_sexton();
}

#[test]
fn zsh_completes_options_their_values_and_commands() {
    let folder = manual::folder().join("zsh");
    let lines = [
        "PS1='> '; unsetopt zle_bracketed_paste 2>/dev/null".to_owned(),
        format!("fpath=({} $fpath); autoload -Uz compinit && compinit -u -D", folder.display()),
    ];
    let mut zsh = Shell::start("zsh", &["-f", "-i"], &lines);
    zsh.knows_sexton();
    zsh.completes("sexton -g -- busy", "busybox");
}

#[test]
fn fish_completes_options_their_values() {
    let script = manual::folder().join("fish/sexton.fish");
    let lines = [format!("source {}", script.display())];
    Shell::start("fish", &["--no-config", "-i"], &lines).knows_sexton();
}
