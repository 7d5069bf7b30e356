//! What was measured.

use crate::contestants::{Contestant, Kind};

/// One contestant's answer to one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// The middle one of all that was measured.
    pub median: f64,
    /// 99 of 100 were not above this.
    pub p99: f64,
}

impl Cell {
    /// Of these numbers; none if there is no number.
    pub fn of(mut numbers: Vec<f64>) -> Option<Cell> {
        numbers.sort_by(f64::total_cmp);
        let at = |share: f64| numbers.get(((numbers.len() as f64 - 1.0) * share).round() as usize).copied();
        Some(Cell { median: at(0.5)?, p99: at(0.99)? })
    }

    /// What it is above this.
    #[must_use]
    pub fn above(self, base: f64) -> Cell {
        Cell { median: self.median - base, p99: self.p99 - base }
    }
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
        }
    }
}

/// What sexton is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// So many times what the best peer needs, at most.
    Ratio(f64),
    /// So much, at most.
    AtMost(f64),
}

/// One question, and the answers to it.
#[derive(Clone, Debug)]
pub struct Row {
    /// A short name for programs.
    pub key: &'static str,
    /// The question.
    pub title: &'static str,
    /// What the numbers are.
    pub unit: Unit,
    /// What sexton is to reach.
    pub goal: Option<Goal>,
    /// An answer for each contestant; some questions are not for all of them.
    pub cells: Vec<Option<Cell>>,
}

/// All questions and answers.
#[derive(Clone, Debug)]
pub struct Table {
    /// Who was asked.
    pub contestants: Vec<Contestant>,
    /// What was asked.
    pub rows: Vec<Row>,
}

impl Table {
    /// The first build of sexton: the one that the goals are for.
    pub fn sexton(&self) -> Option<usize> {
        self.contestants.iter().position(|contestant| contestant.kind == Kind::Sexton)
    }

    /// The first of a kind, and its answer.
    pub fn cell(&self, row: &Row, kind: Kind) -> Option<Cell> {
        row.cells[self.contestants.iter().position(|contestant| contestant.kind == kind)?]
    }

    /// The peer with the lowest number.
    pub fn best_peer(&self, row: &Row) -> Option<(&Contestant, f64)> {
        let answers = self.contestants.iter().zip(&row.cells).filter_map(|(who, cell)| Some((who, (*cell)?.median)));
        answers.filter(|(who, _)| who.kind == Kind::Peer).min_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// How many times what the best peer needs this contestant needs.
    pub fn ratio(&self, row: &Row, contestant: usize) -> Option<f64> {
        let (_, best) = self.best_peer(row)?;
        Some(row.cells[contestant]?.median / best).filter(|ratio| ratio.is_finite())
    }

    /// Whether sexton reaches the goal, if there is one and the question was answered.
    pub fn is_met(&self, row: &Row) -> Option<bool> {
        let sexton = self.sexton()?;
        match row.goal? {
            Goal::Ratio(goal) => self.ratio(row, sexton).map(|ratio| ratio <= goal),
            Goal::AtMost(goal) => row.cells[sexton].map(|cell| cell.median <= goal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_99th_percentile_are_numbers_that_were_measured() {
        assert_eq!(Cell::of(Vec::new()), None);
        assert_eq!(Cell::of(vec![3.0]).unwrap(), Cell { median: 3.0, p99: 3.0 });
        let hundred = (1..=101).rev().map(f64::from).collect();
        assert_eq!(Cell::of(hundred).unwrap(), Cell { median: 51.0, p99: 100.0 });
    }

    #[test]
    fn numbers_are_shown_with_the_digits_that_mean_something() {
        let shown = [(Unit::Time, 1234.0), (Unit::Time, 133_400.0), (Unit::Time, 86e6), (Unit::Size, 1_408_224.0)];
        assert_eq!(shown.map(|(unit, number)| unit.show(number)), ["1.2 µs", "133 µs", "86 ms", "1408.2 kB"]);
        assert_eq!(Unit::Memory.show(31.5), "31.5 kB");
    }
}
