//! Types what a page shows, and compares what comes with what the page says.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use super::blocks::{Block, path, text};

/// A line behind a `$`, with the lines that it continues on, and the output below it.
struct Step {
    command: String,
    shown: String,
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut continues = false;
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (_, Some(step)) if continues => {
                step.command += "\n";
                step.command += line;
                continues = line.ends_with('\\');
            }
            (Some(command), _) => {
                steps.push(Step { command: command.into(), shown: String::new() });
                continues = line.ends_with('\\');
            }
            (None, Some(step)) => {
                step.shown += line;
                step.shown.push('\n');
            }
            (None, None) => panic!("{}: a console block begins with a $", block.place()),
        }
    }
    steps
}

/// Runs the block and panics where it does not do what the page says. With WRITE_PAGES=1 the page gets the
/// output that came.
///
/// `shell` makes a `bash` with the right folder and environment; `tidy` gives what a reader would see for the names
/// that the test has given to things; `again` says whether a command may be typed twice.
pub fn type_it(block: &Block, shell: impl Fn() -> Command, tidy: impl Fn(String) -> String, again: bool) {
    let run = |script: &str| {
        let mut bash = shell();
        // Both outputs in the order in which they came, as on a terminal.
        bash.args(["-c", &format!("exec 2>&1\n{script}")]).stdin(Stdio::null());
        let output = bash.output().expect("bash can be started");
        (output.status, tidy(String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    match block.language.as_str() {
        "sh" => {
            let (status, output) = run(&format!("set -e\n{}", block.text));
            assert!(status.success(), "{}: {status}\n{}\n{output}", block.place(), block.text);
        }
        "console" => {
            let mut anew = String::new();
            let mut differs = String::new();
            for step in steps(block) {
                let (_, mut output) = run(&step.command);
                // A page counts in seconds, and a busy machine may be slower than that now and then.
                for _ in 0..3 {
                    if again && normal(&output) != normal(&step.shown) {
                        output = run(&step.command).1;
                    }
                }
                let is_same = normal(&output) == normal(&step.shown);
                if !is_same {
                    let _ = write!(
                        differs,
                        "{}: $ {}\ncame:\n{output}\nas compared:\n{}\n{}\n",
                        block.place(),
                        step.command,
                        normal(&output),
                        normal(&step.shown)
                    );
                }
                let _ = write!(anew, "$ {}\n{}", step.command, if is_same { &step.shown } else { &output });
            }
            if !differs.is_empty() && std::env::var_os("WRITE_PAGES").is_some() {
                let whole = text(&block.page);
                assert!(whole.contains(&block.text), "{}: changed meanwhile", block.place());
                fs::write(path(&block.page), whole.replacen(&block.text, &anew, 1)).unwrap();
            } else {
                assert!(differs.is_empty(), "{differs}\nWRITE_PAGES=1 writes it into the page");
            }
        }
        other => panic!("{}: no test knows how to run {other:?}; tests/pages/not_typed.in lists those", block.place()),
    }
}

/// The text without what differs from run to run and from machine to machine: pids, uids, measured times, names that
/// Docker makes, which cgroup was looked at and what it used.
pub fn normal(text: &str) -> String {
    text.lines().map(|line| normal_line(line) + "\n").collect()
}

fn normal_line(line: &str) -> String {
    let line = line.trim_end().replace("in sexton's cgroup", "in its cgroup");
    let of_the_cgroup = |clause: &&str| !clause.contains(" of CPU") && !clause.starts_with("this cgroup");
    let line = line.split("; ").filter(of_the_cgroup).collect::<Vec<_>>().join("; ");
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_end_matches(['.', ',', ';', ':', ')']);
        let rest = &word[bare.len()..];
        let last = words.last().map(String::as_str).unwrap_or_default();
        let after_a_time = words.last().is_some_and(|last| is_duration(last) || last == "TIME");
        let measured = is_milliseconds(bare) || is_duration(bare) && ["for", "after", "than", "runs"].contains(&last);
        if ["pid", "uid", "gid"].contains(&last.trim_start_matches('(')) && bare.parse::<u32>().is_ok() {
            words.push(format!("N{rest}"));
        } else if is_duration(bare) && (measured || last == "TIME") {
            if after_a_time {
                words.pop();
            }
            if words.ends_with(&["less".into(), "than".into()]) {
                words.truncate(words.len() - 2);
            }
            words.push(if rest.is_empty() { "TIME".into() } else { format!("TIME{rest}") });
        } else if bare.len() >= 12 && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            words.push(format!("ID{rest}"));
        } else {
            words.push(word.into());
        }
    }
    words.join(" ")
}

fn is_duration(word: &str) -> bool {
    let unit = word.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
    unit.len() < word.len() && ["ms", "s", "m", "h"].contains(&unit)
}

fn is_milliseconds(word: &str) -> bool {
    is_duration(word) && word.ends_with("ms")
}

#[test]
fn what_differs_from_run_to_run_is_not_compared_and_the_rest_is() {
    let same = |one: &str, other: &str| assert_eq!(normal(one), normal(other));
    same("sh (pid 12) ran for 3s 204ms", "sh (pid 7) ran for less than 1ms");
    same(
        "exited with status 0 after 2s 26ms; 0.10s of CPU; this cgroup: memory peak 82 MiB",
        "exited with status 0 after 3s",
    );
    same("SIGTERM from pid 9 (timeout, uid 0); sleeping 1s", "SIGTERM from pid 10 (timeout, uid 1000); sleeping 1s");
    assert_ne!(normal("did not stop within 1s of SIGTERM"), normal("did not stop within 2s of SIGTERM"));
    assert_ne!(normal("exited with status 0 after 1ms"), normal("exited with status 1 after 1ms"));
}
