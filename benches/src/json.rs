//! The tables for programs: raw numbers in nanoseconds, kB and bytes. What is written here is read again
//! to make the pages of it.

use std::io;

use serde_json::{Map, Value, json};

use crate::contestants::Kind;
use crate::page::Circumstances;
use crate::questions::{self, Limit, Question, Section};
use crate::table::{Cell, Column, Row, Table, Unit, Verdict};

const KINDS: [(&str, Kind); 5] = [
    ("bare", Kind::Bare),
    ("floor", Kind::Floor),
    ("sexton", Kind::Sexton),
    ("sexton again", Kind::Again),
    ("peer", Kind::Peer),
];

/// All of it.
pub fn of(table: &Table, circumstances: &Circumstances) -> String {
    let rows: Vec<Value> = table.rows.iter().map(|row| row_of(table, row)).collect();
    let columns = table.columns.iter().map(|column| {
        let kind = KINDS.iter().find(|(_, kind)| *kind == column.kind).map(|(word, _)| *word);
        json!({ "name": column.name, "kind": kind, "version": column.version })
    });
    let page = json!({
        "date": circumstances.date,
        "kernel": circumstances.kernel,
        "machine": circumstances.machine,
        "load": circumstances.load,
        "command": circumstances.command,
        "contestants": columns.collect::<Vec<_>>(),
        "rows": rows,
    });
    format!("{page:#}\n")
}

fn row_of(table: &Table, row: &Row) -> Value {
    let Question { key, title, section, unit, limit } = &row.question;
    let cells = table.columns.iter().zip(&row.cells).filter_map(|(column, cell)| {
        let Cell { median, p99, low, high } = (*cell)?;
        Some((column.name.clone(), json!({ "median": median, "p99": p99, "low": low, "high": high })))
    });
    let verdict = |verdict: Option<Verdict>, words: [&'static str; 3]| {
        verdict.map(|verdict| match verdict {
            Verdict::Held => words[0],
            Verdict::Parity => words[1],
            Verdict::Missed => words[2],
        })
    };
    json!({
        "key": key,
        "title": title,
        "section": match section {
            Section::Life => "life",
            Section::Ways => "ways",
            Section::Growth => "growth",
        },
        "unit": match unit {
            Unit::Time => "ns",
            Unit::Memory => "kB",
            Unit::Size => "bytes",
            Unit::Number => "",
            Unit::Times => "times",
        },
        "numbers": cells.collect::<Map<_, _>>(),
        "noise": row.noise,
        "best_peer": table.best_peer(row).map(|(peer, _)| peer.name.clone()),
        "ratio": table.ratio(row),
        "beside_the_best_peer": verdict(table.beside(row), ["ahead", "parity", "behind"]),
        "limit": match limit {
            Some(Limit::Ratio(limit)) => json!({ "ratio": limit }),
            Some(Limit::AtMost(limit)) => json!({ "at_most": limit }),
            Some(Limit::MoreThan(other, limit)) => json!({ "more_than": other, "by": limit }),
            None => Value::Null,
        },
        "verdict": verdict(table.verdict(row), ["held", "parity", "missed"]),
    })
}

/// What was written, if it has the answers to the questions of today.
///
/// # Errors
///
/// It was written with other questions, or is no such file.
pub fn read(text: &str) -> io::Result<(Table, Circumstances)> {
    let page: Value = serde_json::from_str(text)?;
    let columns = list(&page, "contestants")?.iter().map(|column| {
        let kind = KINDS.iter().find(|(word, _)| column["kind"] == *word).ok_or_else(|| no("kind"))?.1;
        let version = column["version"].as_str().map(str::to_owned);
        Ok(Column { name: word(column, "name")?, version, kind })
    });
    let columns = columns.collect::<io::Result<Vec<_>>>()?;
    let questions = questions::all();
    let written = list(&page, "rows")?;
    let keys: Vec<_> = written.iter().map(|row| row["key"].as_str().unwrap_or_default()).collect();
    if let Some(question) = questions.iter().find(|question| !keys.contains(&question.key.as_str())) {
        return Err(io::Error::other(format!("nobody has measured {} yet: {}", question.key, question.title)));
    }
    if let Some(key) = keys.iter().find(|key| !questions.iter().any(|question| question.key == **key)) {
        return Err(io::Error::other(format!("nobody asks for {key} any more")));
    }
    let rows = questions.into_iter().map(|question| {
        let row = written.iter().find(|row| row["key"] == question.key).ok_or_else(|| no("row"))?;
        let cells = columns.iter().map(|column| {
            let numbers = row["numbers"].get(&column.name)?;
            let number = |name: &str| numbers[name].as_f64();
            Some(Cell { median: number("median")?, p99: number("p99")?, low: number("low")?, high: number("high")? })
        });
        Ok(Row { cells: cells.collect(), noise: row["noise"].as_f64(), question })
    });
    let rows = rows.collect::<io::Result<Vec<_>>>()?;
    let circumstances = Circumstances {
        date: word(&page, "date")?,
        kernel: word(&page, "kernel")?,
        machine: word(&page, "machine")?,
        load: word(&page, "load")?,
        command: word(&page, "command")?,
    };
    Ok((Table { columns, rows }, circumstances))
}

fn no(name: &str) -> io::Error {
    io::Error::other(format!("there is no such {name}"))
}

fn list<'a>(value: &'a Value, name: &str) -> io::Result<&'a Vec<Value>> {
    value[name].as_array().ok_or_else(|| no(name))
}

fn word(value: &Value, name: &str) -> io::Result<String> {
    value[name].as_str().map(str::to_owned).ok_or_else(|| no(name))
}
