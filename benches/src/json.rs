//! The table for programs: raw numbers in nanoseconds, kB and bytes.

use serde_json::{Map, Value, json};

use crate::page::Circumstances;
use crate::table::{Goal, Table, Unit};

/// All of it.
pub fn of(table: &Table, circumstances: &Circumstances) -> String {
    let rows = table.rows.iter().map(|row| {
        let cells = table.contestants.iter().zip(&row.cells).filter_map(|(contestant, cell)| {
            let cell = (*cell)?;
            Some((contestant.name.clone(), json!({ "median": cell.median, "p99": cell.p99 })))
        });
        let goal = match row.goal {
            Some(Goal::Ratio(goal)) => json!({ "ratio": goal }),
            Some(Goal::AtMost(goal)) => json!({ "at_most": goal }),
            None => Value::Null,
        };
        json!({
            "key": row.key,
            "title": row.title,
            "unit": match row.unit {
                Unit::Time => "ns",
                Unit::Memory => "kB",
                Unit::Size => "bytes",
                Unit::Number => "",
            },
            "numbers": cells.collect::<Map<_, _>>(),
            "best_peer": table.best_peer(row).map(|(peer, _)| peer.name.clone()),
            "ratio": table.sexton().and_then(|sexton| table.ratio(row, sexton)),
            "goal": goal,
            "met": table.is_met(row),
        })
    });
    let rows = rows.collect();
    let versions = table
        .contestants
        .iter()
        .filter_map(|contestant| Some((contestant.name.clone(), Value::from(contestant.version.clone()?))));
    let page = json!({
        "date": circumstances.date,
        "kernel": circumstances.kernel,
        "machine": circumstances.machine,
        "load": circumstances.load,
        "command": circumstances.command,
        "versions": versions.collect::<Map<_, _>>(),
        "rows": Value::Array(rows),
    });
    format!("{page:#}\n")
}
