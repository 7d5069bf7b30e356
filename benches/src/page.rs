//! The tables as Markdown, and what they were measured on.

use std::fmt::Write;
use std::fs::read_to_string;
use std::process::Command;

use crate::contestants::Kind;
use crate::questions::{Limit, Section};
use crate::table::{Cell, Column, Row, Table, Unit, Verdict};

/// What a run is worth nothing without.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The day.
    pub date: String,
    /// The kernel.
    pub kernel: String,
    /// The machine.
    pub machine: String,
    /// How many processes wanted a CPU when it began, on the average of a minute.
    pub load: String,
    /// What to type to do it again.
    pub command: String,
}

impl Circumstances {
    /// Those of now.
    pub fn look(command: String) -> Circumstances {
        let text = |file: &str| read_to_string(file).unwrap_or_default();
        let field = |file: &str, name: &str| {
            let text = text(file);
            let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
            line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let cpus = text("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count();
        let memory = field("/proc/meminfo", "MemTotal");
        let memory = memory.split(' ').next().and_then(|kilobytes| kilobytes.parse::<f64>().ok()).unwrap_or(0.0);
        let date = Command::new("date").args(["-u", "+%F"]).output().map(|output| output.stdout).unwrap_or_default();
        Circumstances {
            date: String::from_utf8_lossy(&date).trim().to_owned(),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            machine: format!(
                "{cpus} × {}, {:.0} GiB",
                field("/proc/cpuinfo", "model name"),
                memory / f64::from(1 << 20)
            ),
            load: text("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            command,
        }
    }
}

/// What decides, for people who do not want to know everything.
pub const DECIDING: [&str; 6] = ["start", "start expect", "exit", "signal", "each_of_200", "size"];

/// The rows that decide, beside each peer.
pub fn summary(table: &Table, circumstances: &Circumstances) -> String {
    let is_shown = |column: &Column| column.kind == Kind::Peer;
    let columns: Vec<usize> = table.sexton().into_iter().chain(columns(table, is_shown)).collect();
    let mut page = head(table, &columns, &["to the best peer"]);
    for row in DECIDING.iter().filter_map(|key| table.row(key)) {
        let _ = writeln!(
            page,
            "| {} |{} {} |",
            row.question.title,
            cells(row, &columns, |cell| cell.median),
            beside(table, row)
        );
    }
    let _ = writeln!(page, "\n{}", surroundings(table, circumstances));
    page
}

/// What the words of the tables mean.
const WORDS: &str = "\
A ratio is sexton's number over that of the best peer in the same row. The *noise* is how far from 1 the same ratio gets
for two copies of sexton, which take turns with all others. A ratio, or a limit, that is no farther off than the noise is
*parity*: neither won nor lost, neither held nor missed.
";

/// Everything: what must hold, the medians, how much they scatter, the 99th percentiles.
pub fn whole(table: &Table, circumstances: &Circumstances) -> String {
    let columns: Vec<usize> = columns(table, |column| column.kind != Kind::Bare).collect();
    let mut page = format!("{}\n\n## What must hold\n\n{WORDS}\n{}", surroundings(table, circumstances), limits(table));
    let sections = [
        (Section::Life, "Without options"),
        (Section::Ways, "With options, under another init's name, with variables"),
        (Section::Growth, "Ten times as much"),
    ];
    for (section, title) in sections {
        let _ = write!(page, "\n## {title}\n\n{}", head(table, &columns, &["to the best peer", "noise"]));
        for row in rows_of(table, section) {
            let (title, cells) = (&row.question.title, cells(row, &columns, |cell| cell.median));
            let _ = writeln!(page, "| {title} |{cells} {} | {} |", beside(table, row), noise(row));
        }
    }
    let _ = write!(page, "\n## How much it scatters\n\nBetween these two is the middle half of all rounds:\n\n");
    page += &head(table, &columns, &[]);
    for row in table.rows.iter().filter(|row| row.question.unit == Unit::Time) {
        let range =
            |cell: Cell| format!("{} – {}", row.question.unit.show(cell.low), row.question.unit.show(cell.high));
        let _ = writeln!(page, "| {} |{}", row.question.title, shown(row, &columns, range));
    }
    let _ = write!(page, "\nOf a hundred rounds without options, 99 were not above this:\n\n");
    page += &head(table, &columns, &[]);
    for row in rows_of(table, Section::Life).filter(|row| row.question.unit == Unit::Time) {
        let _ = writeln!(page, "| {} |{}", row.question.title, cells(row, &columns, |cell| cell.p99));
    }
    page
}

/// What must hold, and whether it does.
pub fn limits(table: &Table) -> String {
    let mut page = String::from("| | limit | sexton | the best peer | ratio | noise | |\n| --- |");
    page += &" ---: |".repeat(5);
    page += " --- |\n";
    for row in &table.rows {
        let Some(limit) = row.question.limit else { continue };
        let unit = row.question.unit;
        let limit = match limit {
            Limit::Ratio(limit) => format!("{limit:.2} of the best peer's"),
            Limit::AtMost(limit) => unit.show(limit),
            Limit::MoreThan(_, limit) => format!("{} more than without", unit.show(limit)),
        };
        let sexton = table.cell(row, Kind::Sexton).map(|cell| unit.show(cell.median)).unwrap_or_default();
        let best = table.best_peer(row).filter(|_| unit != Unit::Times);
        let best = best.map(|(peer, best)| format!("{} ({})", unit.show(best), peer.name)).unwrap_or_default();
        let ratio = table.ratio(row).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let verdict = match table.verdict(row) {
            Some(Verdict::Held) => "held",
            Some(Verdict::Parity) => "parity",
            Some(Verdict::Missed) => "**missed**",
            None => "not measured",
        };
        let title = &row.question.title;
        let _ = writeln!(page, "| {title} | ≤ {limit} | {sexton} | {best} | {ratio} | {} | {verdict} |", noise(row));
    }
    page
}

fn rows_of(table: &Table, section: Section) -> impl Iterator<Item = &Row> {
    table.rows.iter().filter(move |row| row.question.section == section)
}

fn surroundings(table: &Table, circumstances: &Circumstances) -> String {
    let Circumstances { date, kernel, machine, command, .. } = circumstances;
    let mut text = format!("{date}, Linux {kernel}, {machine}; `{command}`. Medians.");
    let versions: Vec<_> = table
        .columns
        .iter()
        .filter_map(|column| Some(format!("{} {}", column.name, column.version.as_ref()?)))
        .collect();
    if !versions.is_empty() {
        let _ = write!(text, " {}.", versions.join(", "));
    }
    let alone = |key: &str| Some(Unit::Time.show(table.cell(table.row(key)?, Kind::Bare)?.median));
    if let (Some(start), Some(exit), Some(life)) = (alone("start"), alone("exit"), alone("life")) {
        let _ = write!(text, " Without an init a start takes {start}, an exit {exit}, a whole life {life}.");
    }
    text
}

fn columns(table: &Table, is_shown: impl Fn(&Column) -> bool) -> impl Iterator<Item = usize> {
    (0..table.columns.len()).filter(move |index| is_shown(&table.columns[*index]))
}

fn head(table: &Table, columns: &[usize], more: &[&str]) -> String {
    let names = columns.iter().map(|index| table.columns[*index].name.as_str()).chain(more.iter().copied());
    let names: Vec<&str> = names.collect();
    format!("| | {} |\n| --- |{}\n", names.join(" | "), " ---: |".repeat(names.len()))
}

fn cells(row: &Row, columns: &[usize], number: impl Fn(Cell) -> f64) -> String {
    shown(row, columns, |cell| row.question.unit.show(number(cell)))
}

fn shown(row: &Row, columns: &[usize], show: impl Fn(Cell) -> String) -> String {
    let mut line = String::new();
    for index in columns {
        let _ = write!(line, " {} |", row.cells[*index].map(&show).unwrap_or_default());
    }
    line
}

/// The ratio to the best peer, and whether it is one.
fn beside(table: &Table, row: &Row) -> String {
    match (table.ratio(row), table.beside(row)) {
        (Some(ratio), Some(Verdict::Parity)) => format!("{ratio:.2}, parity"),
        (Some(ratio), _) => format!("{ratio:.2}"),
        _ => String::new(),
    }
}

fn noise(row: &Row) -> String {
    row.noise.map(|noise| format!("±{:.1}%", noise * 100.0)).unwrap_or_default()
}
