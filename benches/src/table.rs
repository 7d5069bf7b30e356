//! What was measured.

use crate::contestants::Kind;
use crate::questions::{Limit, Question};

/// One contestant's answer to one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// The middle one of all that was measured.
    pub median: f64,
    /// 99 of 100 were not above this.
    pub p99: f64,
    /// A quarter was below this.
    pub low: f64,
    /// A quarter was above this.
    pub high: f64,
}

impl Cell {
    /// Of these numbers; none if there is no number.
    pub fn of(numbers: &[f64]) -> Option<Cell> {
        let at = |share| quantile(numbers, share);
        Some(Cell { median: at(0.5)?, p99: at(0.99)?, low: at(0.25)?, high: at(0.75)? })
    }
}

/// The number that this share of all is not above.
fn quantile(numbers: &[f64], share: f64) -> Option<f64> {
    let mut numbers = numbers.to_vec();
    let index = ((numbers.len().checked_sub(1)? as f64) * share).round() as usize;
    let (_, number, _) = numbers.select_nth_unstable_by(index, f64::total_cmp);
    Some(*number)
}

/// From so many rounds on it is chance that is looked at, and not the few numbers themselves.
const ENOUGH: usize = 10;
const MOST_PIECES: usize = 100;
const DRAWS: usize = 500;

/// How far from 1 the ratio of two contestants gets that are the same program: the share by which a
/// ratio of this question may be wrong.
///
/// The run is cut into up to 100 pieces, and so many of them are drawn at random, again and again: the
/// noise is what 95 of 100 of the ratios of such runs keep to. With less than ten rounds it is the ratio
/// of those two that are farthest apart.
pub fn noise(one: &[f64], other: &[f64]) -> Option<f64> {
    let count = one.len().min(other.len());
    let off = |ratio: f64| (ratio.is_finite() && ratio > 0.0).then(|| ratio.max(1.0 / ratio) - 1.0);
    if count < ENOUGH {
        let ratios = one.iter().flat_map(|one| other.iter().filter_map(move |other| off(other / one)));
        return ratios.max_by(f64::total_cmp);
    }
    let pieces = count.min(MOST_PIECES);
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        // xorshift64.
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let piece = (chance % pieces as u64) as usize;
        piece * count / pieces..(piece + 1) * count / pieces
    };
    let mut ratios = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let drawn: Vec<_> = (0..pieces).map(|_| draw()).collect();
        let middle = |numbers: &[f64]| {
            let numbers: Vec<f64> = drawn.iter().flat_map(|piece| &numbers[piece.clone()]).copied().collect();
            quantile(&numbers, 0.5)
        };
        ratios.push(off(middle(other)? / middle(one)?)?);
    }
    quantile(&ratios, 0.95)
}

/// What its numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds, shown as microseconds or milliseconds.
    Time,
    /// kB of memory.
    Memory,
    /// Bytes of a file.
    Size,
    /// Things.
    Number,
    /// So many times another number of the same contestant.
    Times,
}

impl Unit {
    /// The number as people read it.
    pub fn show(self, number: f64) -> String {
        match self {
            Unit::Time if number.abs() < 9_950.0 => format!("{:.1} µs", number / 1e3),
            Unit::Time if number.abs() < 9_950_000.0 => format!("{:.0} µs", number / 1e3),
            Unit::Time => format!("{:.0} ms", number / 1e6),
            Unit::Memory if number.fract() != 0.0 => format!("{number:.1} kB"),
            Unit::Memory => format!("{number:.0} kB"),
            Unit::Size => format!("{:.1} kB", number / 1e3),
            Unit::Number => format!("{number:.0}"),
            Unit::Times => format!("{number:.1}×"),
        }
    }
}

/// Who was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What the tables call it.
    pub name: String,
    /// Its version, if a package manager knows one.
    pub version: Option<String>,
    /// What it is to us.
    pub kind: Kind,
}

/// One question, and the answers to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The question.
    pub question: Question,
    /// An answer for each contestant; some questions are not for all of them.
    pub cells: Vec<Option<Cell>>,
    /// The share by which a ratio may be wrong, of sexton beside a copy of itself ([`noise`]).
    pub noise: Option<f64>,
}

/// All questions and answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Who was asked.
    pub columns: Vec<Column>,
    /// What was asked.
    pub rows: Vec<Row>,
}

/// Whether a limit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Held,
    /// It does not.
    Missed,
    /// The number is nearer to the limit than the noise lets anybody tell.
    Parity,
}

impl Verdict {
    /// Of a number that may be wrong by a share, and the most that it may be.
    fn of(number: f64, limit: f64, noise: f64) -> Verdict {
        let certain = 1.0 + noise;
        if number <= limit / certain {
            Verdict::Held
        } else if number > limit * certain {
            Verdict::Missed
        } else {
            Verdict::Parity
        }
    }
}

impl Table {
    /// The row with this key.
    pub fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.question.key == key)
    }

    fn first(&self, kind: Kind) -> Option<usize> {
        self.columns.iter().position(|column| column.kind == kind)
    }

    /// The first build of sexton: the one that the limits are for.
    pub fn sexton(&self) -> Option<usize> {
        self.first(Kind::Sexton)
    }

    /// The answer of the first of a kind.
    pub fn cell(&self, row: &Row, kind: Kind) -> Option<Cell> {
        row.cells[self.first(kind)?]
    }

    /// The peer with the lowest number.
    pub fn best_peer(&self, row: &Row) -> Option<(&Column, f64)> {
        let answers = self.columns.iter().zip(&row.cells).filter_map(|(who, cell)| Some((who, (*cell)?.median)));
        answers.filter(|(who, _)| who.kind == Kind::Peer).min_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// How many times what the best peer needs sexton needs.
    pub fn ratio(&self, row: &Row) -> Option<f64> {
        if row.question.unit == Unit::Times {
            return None;
        }
        let (_, best) = self.best_peer(row)?;
        Some(row.cells[self.sexton()?]?.median / best).filter(|ratio| ratio.is_finite())
    }

    /// Whether sexton needs less than the best peer ([`Verdict::Held`]) or more.
    pub fn beside(&self, row: &Row) -> Option<Verdict> {
        self.ratio(row).map(|ratio| match ratio {
            1.0 => Verdict::Parity,
            ratio => Verdict::of(ratio, 1.0, row.noise.unwrap_or(0.0)),
        })
    }

    /// Whether sexton keeps to the limit, if there is one and the question was answered.
    pub fn verdict(&self, row: &Row) -> Option<Verdict> {
        let number = row.cells[self.sexton()?]?.median;
        let noise = row.noise.unwrap_or(0.0);
        Some(match row.question.limit? {
            Limit::Ratio(limit) => Verdict::of(self.ratio(row)?, limit, noise),
            Limit::AtMost(limit) => Verdict::of(number, limit, noise),
            Limit::MoreThan(other, limit) => {
                Verdict::of(number, self.cell(self.row(other)?, Kind::Sexton)?.median + limit, noise)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_numbers_that_were_measured() {
        assert_eq!(Cell::of(&[]), None);
        assert_eq!(Cell::of(&[3.0]).unwrap(), Cell { median: 3.0, p99: 3.0, low: 3.0, high: 3.0 });
        let hundred: Vec<f64> = (1..=101).rev().map(f64::from).collect();
        assert_eq!(Cell::of(&hundred).unwrap(), Cell { median: 51.0, p99: 100.0, low: 26.0, high: 76.0 });
    }

    #[test]
    fn numbers_are_shown_with_the_digits_that_mean_something() {
        let shown = [(Unit::Time, 1234.0), (Unit::Time, 133_400.0), (Unit::Time, 86e6), (Unit::Size, 1_408_224.0)];
        assert_eq!(shown.map(|(unit, number)| unit.show(number)), ["1.2 µs", "133 µs", "86 ms", "1408.2 kB"]);
        assert_eq!(Unit::Memory.show(31.5), "31.5 kB");
    }

    #[test]
    fn what_never_differs_has_no_noise_and_what_scatters_has_some() {
        assert_eq!(noise(&[], &[]), None);
        assert_eq!(noise(&[0.0], &[0.0]), None);
        assert_eq!(noise(&[8.0; 30], &[8.0; 30]), Some(0.0));
        assert!((noise(&[10.0, 11.0], &[10.0, 12.0]).unwrap() - 0.2).abs() < 1e-9, "the two that are farthest apart");
        let scattered = |by: f64| (0..200).map(|n| 100.0 + by * f64::from(n * 37 % 100)).collect::<Vec<_>>();
        let (calm, wild) = (scattered(0.01), scattered(1.0));
        let shifted: Vec<f64> = wild.iter().rev().copied().collect();
        assert!(noise(&calm, &calm.iter().rev().copied().collect::<Vec<_>>()).unwrap() < 0.01);
        assert!((0.01..0.5).contains(&noise(&wild, &shifted).unwrap()));
        let dearer: Vec<f64> = calm.iter().map(|number| number * 1.1).collect();
        assert!(noise(&calm, &dearer).unwrap() > 0.09, "a copy that is always slower is noise too");
    }

    #[test]
    fn within_the_noise_a_limit_is_neither_held_nor_missed() {
        assert_eq!(Verdict::of(22.0, 22.0, 0.0), Verdict::Held);
        assert_eq!(Verdict::of(0.0, 0.0, 0.0), Verdict::Held);
        assert_eq!(Verdict::of(23.0, 22.0, 0.0), Verdict::Missed);
        assert_eq!(
            [0.9, 0.98, 1.02, 1.1].map(|ratio| Verdict::of(ratio, 1.0, 0.05)),
            [Verdict::Held, Verdict::Parity, Verdict::Parity, Verdict::Missed]
        );
    }
}
