//! What is asked: every row of the tables in its order, and what must hold of it.

use crate::table::Unit;
use crate::ways::{WAYS, Way};

/// The table that a question is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What an ordinary life costs, without options.
    Life,
    /// The same in the other ways to start an init.
    Ways,
    /// Ten times as much of something.
    Growth,
}

/// What must hold of sexton.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// So many times what the best peer needs, at most.
    Ratio(f64),
    /// So much, at most.
    AtMost(f64),
    /// So much more than in the row with this key, at most.
    MoreThan(&'static str, f64),
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// A short name for programs.
    pub key: String,
    /// The question, as Markdown.
    pub title: String,
    /// Where it is shown.
    pub section: Section,
    /// What its numbers are.
    pub unit: Unit,
    /// What must hold.
    pub limit: Option<Limit>,
}

/// What is asked of every way to start an init: key, title, unit, the limit without options, and the
/// limit of a way that has those of an ordinary start.
type Quantity = (&'static str, &'static str, &'static str, Unit, Option<Limit>, Option<Limit>);
const QUANTITIES: [Quantity; 8] = [
    (
        "start",
        "start overhead: exec of the init to the command's first instruction",
        "start",
        Unit::Time,
        Some(Limit::Ratio(0.25)),
        Some(Limit::Ratio(0.25)),
    ),
    (
        "exit",
        "exit overhead, status 0: the command's last instruction to the end of the init",
        "exit, status 0",
        Unit::Time,
        Some(Limit::Ratio(0.56)),
        None,
    ),
    ("exit_other", "exit overhead, status 3", "exit, status 3", Unit::Time, Some(Limit::Ratio(0.80)), None),
    (
        "signal",
        "a signal: from kill(2) at the init to the command",
        "a signal",
        Unit::Time,
        Some(Limit::Ratio(1.06)),
        None,
    ),
    ("dirty", "memory of its own (dirty)", "memory of its own", Unit::Memory, Some(Limit::Ratio(0.50)), None),
    (
        "faults",
        "page faults until it is idle",
        "page faults",
        Unit::Number,
        Some(Limit::Ratio(0.40)),
        Some(Limit::Ratio(0.40)),
    ),
    ("faults_life", "page faults of a life that SIGTERM ends", "page faults of a life", Unit::Number, None, None),
    (
        "calls",
        "system calls of a whole life",
        "system calls",
        Unit::Number,
        Some(Limit::AtMost(22.0)),
        Some(Limit::AtMost(22.0)),
    ),
];

/// What is asked of the ordinary way alone.
type Ordinary = (&'static str, &'static str, Unit, Option<Limit>);
const ORDINARY: [Ordinary; 11] = [
    ("life", "whole life of a command that exits at once, overhead", Unit::Time, None),
    ("signals", "eight signals at once: until the command has the last", Unit::Time, None),
    ("reap_cpu", "CPU time for each orphan, one at a time", Unit::Time, Some(Limit::Ratio(1.0))),
    ("burst", "5,000 zombies at once: until all are reaped", Unit::Time, Some(Limit::Ratio(1.0))),
    ("burst_cpu", "5,000 zombies at once: CPU time for each", Unit::Time, None),
    ("zombies", "5,000 orphans in quick succession: most zombies at once", Unit::Number, None),
    ("wake_ups", "wake-ups in 10 idle seconds", Unit::Number, Some(Limit::AtMost(0.0))),
    ("resident", "resident memory", Unit::Memory, None),
    ("each_of_200", "memory and page tables, each of 200 instances", Unit::Memory, Some(Limit::Ratio(0.57))),
    ("calls_all", "system calls, with those of the child before its exec", Unit::Number, None),
    ("size", "size of the file", Unit::Size, Some(Limit::AtMost(330_000.0))),
];

/// What may be ten times as much: key, the question with the fewer, the question with the more, how many
/// times as long that takes, and the most that may be. What the kernel does by itself has no limit.
type Growing = (&'static str, &'static str, &'static str, &'static str, Option<f64>);
const GROWING: [Growing; 6] = [
    (
        "arguments",
        "start with 2,000 arguments, `-g`",
        "start with 20,000 arguments, `-g`",
        "ten times the arguments",
        Some(12.0),
    ),
    (
        "variables",
        "start with 2,000 variables, `-g`",
        "start with 20,000 variables, `-g`",
        "ten times the variables",
        Some(12.0),
    ),
    (
        "path",
        "start with 300 folders in PATH",
        "start with 3,000 folders in PATH",
        "ten times the folders in PATH",
        Some(12.0),
    ),
    (
        "orphans",
        "500 zombies at once: until all are reaped",
        "5,000 zombies at once: until all are reaped",
        "ten times the zombies",
        Some(12.0),
    ),
    (
        "left",
        "SIGTERM with 1,000 grandchildren: to the end",
        "SIGTERM with 10,000 grandchildren: to the end",
        "ten times the grandchildren",
        None,
    ),
    (
        "stopped",
        "1,000 grandchildren, each told to stop (`--orphans stop`)",
        "10,000 grandchildren, each told to stop (`--orphans stop`)",
        "ten times the grandchildren, each told to stop",
        Some(12.0),
    ),
];

/// The key of a question about one way.
pub fn key_of(quantity: &str, way: &Way) -> String {
    if way.key == "plain" { quantity.into() } else { format!("{quantity} {}", way.key) }
}

/// All questions, as the tables have them.
pub fn all() -> Vec<Question> {
    let mut questions = Vec::new();
    let mut add = |key: String, title: String, section, unit, limit| {
        questions.push(Question { key, title, section, unit, limit });
    };
    for (key, title, _, unit, limit, _) in QUANTITIES {
        add(key.into(), title.into(), Section::Life, unit, limit);
    }
    for (key, title, unit, limit) in ORDINARY {
        add(key.into(), title.into(), Section::Life, unit, limit);
    }
    for (quantity, _, title, unit, _, held) in QUANTITIES {
        for way in &WAYS {
            let limit = match quantity {
                "faults_life" if !way.is_held => Some(Limit::MoreThan("faults_life", 20.0)),
                _ => held.filter(|_| way.is_held),
            };
            add(key_of(quantity, way), format!("{title}: {}", way.title), Section::Ways, unit, limit);
        }
    }
    for (key, few, many, growth, limit) in GROWING {
        add(format!("{key} few"), few.into(), Section::Growth, Unit::Time, None);
        add(format!("{key} many"), many.into(), Section::Growth, Unit::Time, None);
        let title = format!("{growth}: how many times as long");
        add(format!("{key} growth"), title, Section::Growth, Unit::Times, limit.map(Limit::AtMost));
    }
    questions
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_question_has_a_key_of_its_own() {
        let questions = all();
        let keys: BTreeSet<&str> = questions.iter().map(|question| question.key.as_str()).collect();
        assert_eq!(keys.len(), questions.len());
    }
}
