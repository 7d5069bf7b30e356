//! The picture: requests over time, and behind them the phases of the shutdown.

use std::fmt::Write;

use crate::place::Init;
use crate::proxy::Fate;
use crate::shutdown::Shutdown;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 20.0;
/// Of the title and the legend.
const TOP: f64 = 84.0;
/// Of one shutdown: its heading, the names of its phases, its bars, its axis.
const PANEL: f64 = 190.0;
const BARS_TOP: f64 = 56.0;
const BARS: f64 = 90.0;
/// The requests of so many seconds make one bar.
const BAR: f64 = 0.25;
/// What is shown before the stop signal, in seconds.
const BEFORE: f64 = 2.0;

const TEXT: &str = "#6e7885";
const SMALL: &str = "font-size=\"12\"";
const DASHED: &str = "1\" stroke-dasharray=\"4 3";
const HEADING: &str = "font-size=\"15\" font-weight=\"600\"";

const FATES: [(Fate, &str, &str, &str); 3] = [
    (Fate::Answered, "answered", "#2a9d8f", "answered by the server that is stopped"),
    (Fate::Elsewhere, "elsewhere", "#8fb4d9", "answered by its replacement"),
    (Fate::Lost, "lost", "#d62828", "lost"),
];

/// An SVG file.
pub fn draw(shutdowns: &[Shutdown]) -> String {
    let height = TOP + shutdowns.len() as f64 * PANEL;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif\" \
         font-size=\"13\" fill=\"{TEXT}\">\n\
         <title>Requests to a server that is stopped</title>\n"
    );
    text(&mut svg, 20.0, 28.0, "font-size=\"17\" font-weight=\"600\"", "A server is stopped while requests come in");
    let mut x = 20.0;
    for (_, _, colour, meaning) in FATES {
        let _ = writeln!(svg, "<rect x=\"{x:.0}\" y=\"43\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
        text(&mut svg, x + 18.0, 53.5, SMALL, meaning);
        x += 50.0 + 6.5 * meaning.len() as f64;
    }
    line(&mut svg, x + 6.0, 42.0, 56.0, DASHED);
    text(&mut svg, x + 18.0, 53.5, SMALL, "the proxy finds it not ready");
    let axis = Axis::of(shutdowns);
    for (index, shutdown) in shutdowns.iter().enumerate() {
        panel(&mut svg, &axis, shutdown, TOP + index as f64 * PANEL);
    }
    svg += "</svg>\n";
    svg
}

/// Both shutdowns have the same one, to be compared.
struct Axis {
    /// In seconds after the stop signal.
    end: f64,
    /// The most requests in a bar.
    most: usize,
}

impl Axis {
    fn of(shutdowns: &[Shutdown]) -> Axis {
        let times = shutdowns.iter().flat_map(|one| one.requests.iter().map(|(time, _)| *time));
        // The last bar would be a part of one.
        let end = ((times.fold(1.0, f64::max) / BAR).floor() * BAR).max(1.0);
        let mut axis = Axis { end, most: 1 };
        let bars = (0..axis.bars()).flat_map(|bar| shutdowns.iter().map(move |one| (bar, one)));
        let most = bars.map(|(bar, one)| FATES.iter().map(|(fate, ..)| axis.count(one, bar, *fate)).sum());
        axis.most = most.max().unwrap_or(1).max(1);
        axis
    }

    fn bars(&self) -> usize {
        ((self.end + BEFORE) / BAR).round() as usize
    }

    fn count(&self, shutdown: &Shutdown, bar: usize, fate: Fate) -> usize {
        let is_in = |time: f64| ((time + BEFORE) / BAR).floor() == bar as f64;
        shutdown.requests.iter().filter(|(time, seen)| *seen == fate && is_in(*time)).count()
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (seconds.clamp(-BEFORE, self.end) + BEFORE) / (self.end + BEFORE) * (WIDTH - LEFT - RIGHT)
    }
}

fn panel(svg: &mut String, axis: &Axis, shutdown: &Shutdown, top: f64) {
    let (lost, all) = (shutdown.count(Fate::Lost), shutdown.requests.len());
    let _ = writeln!(
        svg,
        "<g class=\"shutdown\" data-init=\"{}\" data-requests=\"{all}\" data-lost=\"{lost}\">",
        shutdown.init
    );
    let fate = if lost == 0 { "no request is lost".into() } else { format!("{lost} of {all} requests are lost") };
    text(svg, 20.0, top + 22.0, HEADING, &format!("With {}: {fate}", shutdown.init));

    let (bars, low) = (top + BARS_TOP, top + BARS_TOP + BARS);
    for (name, opacity, from, to) in phases(axis, shutdown) {
        let (from, to) = (axis.x(from), axis.x(to));
        let _ = writeln!(
            svg,
            "<rect class=\"phase\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{TEXT}\" \
             fill-opacity=\"{opacity}\"/>",
            bars - 18.0,
            to - from,
            BARS + 18.0
        );
        // A name that is wider than its phase would run into the next one.
        if to - from > 6.6 * name.len() as f64 {
            text(svg, from + 6.0, bars - 5.0, SMALL, name);
        }
    }
    let width = axis.x(BAR) - axis.x(0.0);
    for bar in 0..axis.bars() {
        let mut bottom = low;
        for (fate, class, colour, _) in FATES {
            let height = axis.count(shutdown, bar, fate) as f64 / axis.most as f64 * (BARS - 8.0);
            if height > 0.0 {
                bottom -= height;
                let x = axis.x(bar as f64 * BAR - BEFORE);
                let _ = writeln!(
                    svg,
                    "<rect class=\"{class}\" x=\"{:.1}\" y=\"{bottom:.1}\" width=\"{:.1}\" height=\"{height:.1}\" \
                     fill=\"{colour}\"/>",
                    x + 1.0,
                    width - 2.0
                );
            }
        }
    }
    for second in (-BEFORE as i32)..=(axis.end as i32) {
        let x = axis.x(f64::from(second));
        let label = if second == 0 { "stop signal".into() } else { format!("{second}s").replace('-', "−") };
        text(svg, x, low + 16.0, "font-size=\"12\" text-anchor=\"middle\"", &label);
    }
    line(svg, axis.x(0.0), bars - 18.0, low, "2");
    if let Some(taken_out) = shutdown.taken_out {
        line(svg, axis.x(taken_out), bars, low, DASHED);
    }
    *svg += "</g>\n";
}

/// The name of each phase, how dark it is, and from when to when.
fn phases(axis: &Axis, shutdown: &Shutdown) -> Vec<(&'static str, f64, f64, f64)> {
    let forwarded = if shutdown.init == Init::Sexton { shutdown.forwarded } else { 0.0 };
    let mut phases = vec![("running", 0.06, -BEFORE, 0.0)];
    if forwarded > 0.0 {
        phases.push(("pre-stop sleep: the server serves on", 0.16, 0.0, forwarded));
    }
    phases.push(("finishes", 0.28, forwarded, shutdown.gone));
    phases.push(("gone", 0.06, shutdown.gone, axis.end));
    phases
}

fn line(svg: &mut String, x: f64, from: f64, to: f64, width: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" y1=\"{from:.1}\" x2=\"{x:.1}\" y2=\"{to:.1}\" stroke=\"{TEXT}\" stroke-width=\"{width}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>");
}
