//! Writes the man page and the completions into a folder, from the same table as the help:
//! `cargo run --example manual -- FOLDER`, or `make manual`.
//!
//! sexton itself has none of this, so it costs the file nothing.

use std::fs;
use std::io;
use std::path::Path;

use clap::builder::PossibleValuesParser;
use clap::{Command, ValueHint};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use sexton::cli::manual;
use sexton::signal::Signal;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).expect("name the folder to write into");
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    fs::write(folder.join("sexton.1"), man_page()?)?;
    // Each under the name by which its shell finds it.
    for (shell, name) in [(Shell::Bash, "sexton"), (Shell::Zsh, "_sexton"), (Shell::Fish, "sexton.fish")] {
        let folder = folder.join(shell.to_string());
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), completions(shell))?;
    }
    Ok(())
}

fn man_page() -> io::Result<String> {
    let command = manual::command();
    let behind = command.get_after_long_help().expect("--help ends with a list").to_string();
    let (statuses, examples) = behind.split_once("Examples:\n").expect("which has two parts");
    let statuses = statuses.strip_prefix("Exit status:\n").expect("the first are the exit statuses");
    // What has one line of help in `--help` has it here.
    let command = command.mut_args(|arg| match (arg.get_long_help(), arg.get_help().cloned()) {
        (None, Some(help)) => arg.long_help(help),
        _ => arg,
    });
    let page = Man::new(command)
        .title("SEXTON")
        .date(std::env::var("MANUAL_DATE").unwrap_or_default())
        .source(concat!("sexton ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut out = Vec::new();
    page.render_title(&mut out)?;
    Roff::new().control("SH", ["NAME"]).text([roman("sexton - a PID 1 for containers")]).to_writer(&mut out)?;
    let usages = ["sexton [OPTIONS] [--] COMMAND [ARG...]", "sexton --check [OPTIONS] [TARGET...]"];
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]).text([roman(usages[0])]).control("br", []).text([roman(usages[1])]);
    synopsis.to_writer(&mut out)?;
    page.render_description_section(&mut out)?;
    page.render_options_section(&mut out)?;
    for (title, text) in [("HEALTH CHECK", manual::CHECK), ("EXIT STATUS", statuses), ("EXAMPLES", examples)] {
        let mut section = Roff::new();
        section.control("SH", [title]).control("EX", []);
        section.text([roman(text.trim_end())]).control("EE", []).to_writer(&mut out)?;
    }
    Ok(tidied(&String::from_utf8(out).expect("the help is UTF-8")))
}

/// As `mandoc -Tlint` wants it: what each of the sections brings along stands once, at the beginning; where lines
/// are filled, none is empty (that is `.sp`) or long. A sentence that ends a line in the help ends one here too.
fn tidied(page: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut is_example = false;
    for line in page.lines() {
        is_example = line == ".EX" || is_example && line != ".EE";
        let is_text = |line: &str| !line.is_empty() && !line.starts_with('.');
        if line.contains(r".ds Aq") && lines.iter().any(|known| known == line) {
            continue;
        } else if is_example {
            lines.push(line.to_owned());
        } else if line.is_empty() {
            lines.push(".sp".to_owned());
        } else if is_text(line) {
            if lines.last().is_some_and(|last| is_text(last) && last.ends_with('.')) {
                lines.push(".br".to_owned());
            }
            push_words(&mut lines, line);
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n") + "\n"
}

/// Adds a text in lines of at most 80 bytes. None begins as a request does.
fn push_words(lines: &mut Vec<String>, text: &str) {
    let mut line = String::new();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > 80 && !word.starts_with(['.', '\'']) {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let mut command = with_values(manual::command());
    if shell == Shell::Zsh {
        // In zsh's own list a colon ends the value's name.
        let escaped = [("rewrite", r"FROM\:TO"), ("escalate", r"DURATION\:SIGNAL")];
        for (option, name) in escaped {
            command = command.mut_arg(option, |arg| arg.value_name(name));
        }
    }
    generate(shell, &mut command, "sexton", &mut script);
    script
}

/// What may stand behind an option, so that the shells know it too.
fn with_values(command: Command) -> Command {
    let signals: Vec<&'static str> = Signal::names().filter_map(|name| name.strip_prefix("SIG")).collect();
    let one_of = |command: Command, option: &str, values: &[&'static str]| {
        command.mut_arg(option, |arg| arg.value_parser(PossibleValuesParser::new(values)))
    };
    let mut command = one_of(command, "orphans", &["leave", "wait", "stop"]);
    command = one_of(command, "log-format", &["text", "json"]);
    command = one_of(command, "dialect", &["native", "tini", "dumb-init", "catatonit"]);
    command = one_of(command, "parent-death-signal", &signals);
    let catchable: Vec<&'static str> = signals.into_iter().filter(|name| !matches!(*name, "KILL" | "STOP")).collect();
    for option in ["stop-signal", "pre-stop-signal"] {
        command = one_of(command, option, &catchable);
    }
    for option in ["drain-file", "termination-log"] {
        command = command.mut_arg(option, |arg| arg.value_hint(ValueHint::FilePath));
    }
    command.mut_arg("COMMAND", |arg| arg.value_hint(ValueHint::CommandWithArguments))
}
