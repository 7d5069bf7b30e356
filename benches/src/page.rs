//! The table as Markdown, and what it was measured on.

use std::fmt::Write;
use std::fs::read_to_string;
use std::process::Command;

use crate::contestants::Kind;
use crate::table::{Cell, Goal, Row, Table, Unit};

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

/// Everything, with the 99th percentiles.
pub fn whole(table: &Table, circumstances: &Circumstances) -> String {
    let mut page = short(table, circumstances);
    let late = |row: &Row| row.unit == Unit::Time && row.cells.iter().flatten().any(|cell| cell.p99 > cell.median);
    page += "\nOf a hundred, 99 were not above this:\n\n";
    page += &head(table, &[]);
    for row in table.rows.iter().filter(|row| late(row)) {
        let _ = writeln!(page, "| {} |{}", row.title, cells(table, row, |cell| cell.p99));
    }
    page
}

/// The table of medians, with what must be known of it.
pub fn short(table: &Table, circumstances: &Circumstances) -> String {
    let mut page = head(table, &["to the best peer", "goal"]);
    for row in &table.rows {
        let ratio = table.sexton().and_then(|sexton| table.ratio(row, sexton));
        let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} |{} {ratio} | {} |",
            row.title,
            cells(table, row, |cell| cell.median),
            goal(table, row)
        );
    }
    let Circumstances { date, kernel, machine, command, .. } = circumstances;
    let _ = write!(page, "\n{date}, Linux {kernel}, {machine}; `{command}`. Medians.");
    let versions: Vec<_> = table
        .contestants
        .iter()
        .filter_map(|contestant| Some(format!("{} {}", contestant.name, contestant.version.as_ref()?)))
        .collect();
    if !versions.is_empty() {
        let _ = write!(page, " {}.", versions.join(", "));
    }
    let alone = |key: &str| {
        let row = table.rows.iter().find(|row| row.key == key)?;
        Some(Unit::Time.show(table.cell(row, Kind::Bare)?.median))
    };
    if let (Some(start), Some(exit), Some(life)) = (alone("start"), alone("exit"), alone("life")) {
        let _ = write!(page, " Without an init a start takes {start}, an exit {exit}, a whole life {life}.");
    }
    page.push('\n');
    page
}

fn columns(table: &Table) -> impl Iterator<Item = usize> {
    (0..table.contestants.len()).filter(|index| table.contestants[*index].kind != Kind::Bare)
}

fn head(table: &Table, more: &[&str]) -> String {
    let names = columns(table).map(|index| table.contestants[index].name.as_str()).chain(more.iter().copied());
    let names: Vec<&str> = names.collect();
    format!("| | {} |\n| --- |{}\n", names.join(" | "), " ---: |".repeat(names.len()))
}

fn cells(table: &Table, row: &Row, number: impl Fn(Cell) -> f64) -> String {
    let mut line = String::new();
    for index in columns(table) {
        let shown = row.cells[index].map(|cell| row.unit.show(number(cell))).unwrap_or_default();
        let _ = write!(line, " {shown} |");
    }
    line
}

fn goal(table: &Table, row: &Row) -> String {
    let goal = match row.goal {
        Some(Goal::Ratio(goal)) => format!("{goal:.2}"),
        Some(Goal::AtMost(goal)) => row.unit.show(goal),
        None => return String::new(),
    };
    match table.is_met(row) {
        Some(true) => format!("≤ {goal} ✓"),
        Some(false) => format!("≤ {goal} **missed**"),
        None => format!("≤ {goal}"),
    }
}
