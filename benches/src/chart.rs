//! The table as a picture: how much of what the best peer needs sexton needs.
//!
//! The colours are in the middle between light and dark, so it is read on either.

use std::fmt::Write;

use crate::contestants::Kind;
use crate::page::Circumstances;
use crate::questions::Limit;
use crate::table::{Row, Table, Verdict};

/// What is drawn, in this order, and what it is called there.
const BARS: [(&str, &str); 11] = [
    ("start", "start"),
    ("start expect", "start, -e 143 -p TERM"),
    ("exit", "exit, status 0"),
    ("exit_other", "exit, status 3"),
    ("signal", "forwarding a signal"),
    ("reap_cpu", "reaping an orphan (CPU time)"),
    ("burst", "reaping 5,000 at once"),
    ("dirty", "memory of its own"),
    ("each_of_200", "memory, each of 200"),
    ("faults", "page faults"),
    ("calls", "system calls"),
];

const WIDTH: f64 = 860.0;
const LEFT: f64 = 225.0;
/// So long is what the best peer needs.
const ONE: f64 = 280.0;
/// What is longer is cut off here.
const MOST: f64 = 1.3;
const TOP: f64 = 84.0;
const STEP: f64 = 30.0;
const BAR: f64 = 14.0;

const TEXT: &str = "#6e7885";
const GOOD: &str = "#2a9d8f";
const BAD: &str = "#d1783a";
/// Within the noise of the best peer.
const EVEN: &str = "#8a94a0";

/// An SVG file.
pub fn of(table: &Table, circumstances: &Circumstances) -> String {
    let bars: Vec<(&Row, &str)> = BARS
        .iter()
        .filter_map(|(key, name)| Some((table.row(key)?, *name)))
        .filter(|(row, _)| table.ratio(row).is_some())
        .collect();
    let bottom = TOP + bars.len() as f64 * STEP;
    let height = bottom + 46.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif\" \
         font-size=\"13\" fill=\"{TEXT}\">\n\
         <title>What sexton needs of what the best of the other inits needs</title>\n"
    );
    let name = table.sexton().map_or("sexton", |sexton| table.columns[sexton].name.as_str());
    text(
        &mut svg,
        20.0,
        28.0,
        "font-size=\"17\" font-weight=\"600\"",
        &format!("What {name} costs, beside the best of the other inits"),
    );
    let peers: Vec<_> = table.columns.iter().filter(|column| column.kind == Kind::Peer).collect();
    let peers: Vec<_> = peers.iter().map(|peer| peer.name.as_str()).collect();
    text(&mut svg, 20.0, 48.0, "", &format!("{}; shorter is better", peers.join(", ")));
    for (index, (row, name)) in bars.iter().enumerate() {
        bar(&mut svg, table, row, name, TOP + (index as f64 + 0.5) * STEP);
    }
    let one = LEFT + ONE;
    let _ = writeln!(
        svg,
        "<line x1=\"{one}\" y1=\"{:.0}\" x2=\"{one}\" y2=\"{bottom:.0}\" stroke=\"{TEXT}\" stroke-width=\"1.5\"/>",
        TOP - 6.0
    );
    text(&mut svg, one, TOP - 11.0, "text-anchor=\"middle\" font-weight=\"600\"", "best peer = 1");
    legend(&mut svg, bottom + 28.0, circumstances);
    svg += "</svg>\n";
    svg
}

fn bar(svg: &mut String, table: &Table, row: &Row, name: &str, middle: f64) {
    let Some(sexton) = table.sexton() else { return };
    let (Some(cell), Some(ratio)) = (row.cells[sexton], table.ratio(row)) else { return };
    let Some((peer, best)) = table.best_peer(row) else { return };
    let baseline = middle + 4.5;
    text(svg, LEFT - 12.0, baseline, "text-anchor=\"end\"", name);
    let end = LEFT + ratio.clamp(0.0, MOST) * ONE;
    let colour = match table.beside(row) {
        Some(Verdict::Held) => GOOD,
        Some(Verdict::Missed) => BAD,
        _ => EVEN,
    };
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"3\" fill=\"{colour}\"/>",
        middle - BAR / 2.0,
        end - LEFT
    );
    let limit = match row.question.limit {
        Some(Limit::Ratio(limit)) => Some(limit),
        Some(Limit::AtMost(limit)) => Some(limit / best),
        Some(Limit::MoreThan(..)) | None => None,
    };
    if let Some(limit) = limit.filter(|limit| *limit < MOST) {
        let x = LEFT + limit * ONE;
        let (from, to) = (middle - BAR / 2.0 - 3.0, middle + BAR / 2.0 + 3.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{from:.1}\" x2=\"{x:.1}\" y2=\"{to:.1}\" stroke=\"{TEXT}\" stroke-width=\"2\" stroke-dasharray=\"2 2\"/>"
        );
    }
    if let Some(floor) = table.cell(row, Kind::Floor) {
        let x = LEFT + (floor.median / best).clamp(0.0, MOST) * ONE;
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"4\" fill=\"#ffffff\" stroke=\"{TEXT}\" stroke-width=\"1.5\"/>"
        );
    }
    if ratio > MOST {
        // It goes on beyond: a gap in the bar says so.
        let (x, top, low) = (end - 16.0, middle - BAR / 2.0 - 1.0, middle + BAR / 2.0 + 1.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1} {low:.1} L{:.1} {top:.1}\" stroke=\"#ffffff\" stroke-width=\"3\"/>",
            x - 3.0,
            x + 3.0
        );
    }
    let right = LEFT + MOST * ONE + 48.0;
    let attributes = format!("text-anchor=\"end\" font-weight=\"600\" fill=\"{colour}\"");
    text(svg, right, baseline, &attributes, &format!("{ratio:.2}"));
    let numbers = format!("{}, {} {}", row.question.unit.show(cell.median), peer.name, row.question.unit.show(best));
    text(svg, right + 14.0, baseline, "font-size=\"12\"", &numbers);
}

fn legend(svg: &mut String, baseline: f64, circumstances: &Circumstances) {
    let middle = baseline - 4.5;
    let _ = writeln!(
        svg,
        "<circle cx=\"26\" cy=\"{middle:.1}\" r=\"4\" fill=\"#ffffff\" stroke=\"{TEXT}\" stroke-width=\"1.5\"/>\n\
         <line x1=\"246\" y1=\"{:.1}\" x2=\"246\" y2=\"{:.1}\" stroke=\"{TEXT}\" stroke-width=\"2\" stroke-dasharray=\"2 2\"/>",
        middle - 8.0,
        middle + 8.0
    );
    text(svg, 36.0, baseline, "font-size=\"12\"", "the floor: no libc, no options");
    text(svg, 254.0, baseline, "font-size=\"12\"", "the limit");
    let made = format!("{}, Linux {}", circumstances.date, circumstances.kernel);
    text(svg, WIDTH - 20.0, baseline, "font-size=\"12\" text-anchor=\"end\"", &made);
}

fn text(svg: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>");
}
