//! Amounts as people read them: times, sizes, how many there are.

use std::fmt;
use std::time::Duration;

use humantime::format_duration;

/// Whole milliseconds, to the nearest one, but for what is less than one of them: so much is told as a
/// fact, and in a sentence of the same.
pub fn milliseconds(duration: Duration) -> u64 {
    if duration < Duration::from_millis(1) {
        return 0;
    }
    let nearest = duration.saturating_add(Duration::from_micros(500));
    u64::try_from(nearest.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time, no more exact than people want to know it.
#[derive(Clone, Copy, Debug)]
pub struct Rounded(pub Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A sleep of 300ms, of which our own clock sees a little less, is 300ms.
        let milliseconds = milliseconds(self.0);
        let shown = match milliseconds {
            0 => return f.write_str("less than 1ms"),
            1..10_000 => Duration::from_millis(milliseconds),
            // Tenths of a second.
            10_000..60_000 => Duration::from_millis(milliseconds / 100 * 100),
            _ => Duration::from_secs(milliseconds / 1000),
        };
        format_duration(shown).fmt(f)
    }
}

/// A number of bytes, in the largest unit that shows it exactly.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

/// The units of bytes, the largest first.
const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.into_iter().find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{} {name}", self.0.checked_div(unit).unwrap_or_default()),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// A number of bytes that nobody chose, in the unit that shows it with two or three digits.
#[derive(Clone, Copy, Debug)]
pub struct About(pub u64);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| self.0 >= *unit) else {
            return write!(f, "{} bytes", self.0);
        };
        // To the nearest one: of ten the tenths are too many.
        let tenths = self.0.saturating_mul(10).saturating_add(unit / 2).checked_div(unit).unwrap_or_default();
        let whole = self.0.saturating_add(unit / 2).checked_div(unit).unwrap_or_default();
        if tenths < 100 && tenths % 10 != 0 {
            write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
        } else {
            write!(f, "{whole} {name}")
        }
    }
}

impl About {
    /// The number alone, where this reads well in the unit in which the other one is shown.
    pub fn in_unit_of(self, other: Bytes) -> Option<u64> {
        let unit =
            UNITS.into_iter().map(|(unit, _)| unit).find(|unit| other.0 >= *unit && other.0.is_multiple_of(*unit));
        let number = self.0.saturating_add(unit? / 2).checked_div(unit?)?;
        (number >= 10).then_some(number)
    }
}

/// A length of time in seconds and parts of them, as processor time is told.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        match milliseconds {
            0..1_000 => write!(f, "0.{:02}s", milliseconds / 10),
            1_000..60_000 if milliseconds % 1_000 < 100 => write!(f, "{}s", milliseconds / 1_000),
            1_000..60_000 => write!(f, "{}.{}s", milliseconds / 1_000, milliseconds / 100 % 10),
            _ => Rounded(self.0).fmt(f),
        }
    }
}

/// How many of something.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    count: u64,
    one: &'static str,
    many: &'static str,
}

impl Count {
    /// So many processes.
    pub fn processes(count: u64) -> Count {
        Count { count, one: "process", many: "processes" }
    }

    /// So often.
    pub fn times(count: u64) -> Count {
        Count { count, one: "time", many: "times" }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, if self.count == 1 { self.one } else { self.many })
    }
}

/// So many thousandths, as `0.5`, `1.25` or `2`.
#[derive(Clone, Copy, Debug)]
pub struct Thousandths(pub u64);

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        match rest {
            0 => write!(f, "{whole}"),
            _ if rest % 100 == 0 => write!(f, "{whole}.{}", rest / 100),
            _ if rest % 10 == 0 => write!(f, "{whole}.{:02}", rest / 10),
            _ => write!(f, "{whole}.{rest:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_sizes_and_numbers_read_well() {
        for (microseconds, shown) in [
            (999, "less than 1ms"),
            (1_000, "1ms"),
            (3_499, "3ms"),
            (3_500, "4ms"),
            (12_000, "12ms"),
            (61_999_000, "1m 1s"),
            (12_345_000, "12s 300ms"),
        ] {
            assert_eq!(Rounded(Duration::from_micros(microseconds)).to_string(), shown);
        }
        for (bytes, shown) in [(0, "0 bytes"), (1 << 29, "512 MiB"), (3 << 30, "3 GiB"), (4097, "4097 bytes")] {
            assert_eq!(Bytes(bytes).to_string(), shown);
        }
        for (bytes, shown) in [
            (1023, "1023 bytes"),
            (24 << 20, "24 MiB"),
            ((24 << 20) - 1, "24 MiB"),
            (5_400_000, "5.1 MiB"),
            (10_400_000, "9.9 MiB"),
            (10_480_000, "10 MiB"),
            (1_600 << 20, "1.6 GiB"),
            (600 << 20, "600 MiB"),
            (u64::MAX, "17179869183 GiB"),
        ] {
            assert_eq!(About(bytes).to_string(), shown);
        }
        for (peak, limit, shown) in [
            (61_u64 << 20, 64_u64 << 20, Some(61)),
            (614 << 20, 1 << 30, None),
            (9 << 20, 64 << 20, None),
            (12 << 30, 16 << 30, Some(12)),
            (99_999, 100_001, None),
        ] {
            assert_eq!(About(peak).in_unit_of(Bytes(limit)), shown);
        }
        for (milliseconds, shown) in [
            (4, "0.00s"),
            (20, "0.02s"),
            (999, "0.99s"),
            (3_000, "3s"),
            (3_140, "3.1s"),
            (12_340, "12.3s"),
            (59_999, "59.9s"),
            (302_000, "5m 2s"),
        ] {
            assert_eq!(Seconds(Duration::from_millis(milliseconds)).to_string(), shown);
        }
        for (count, shown) in [(0, "0 processes"), (1, "1 process"), (2, "2 processes")] {
            assert_eq!(Count::processes(count).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn a_time_in_a_sentence_and_as_a_fact_are_one_number(microseconds in 0_u64..10_000_000) {
            let time = Duration::from_micros(microseconds);
            let shown = Rounded(time).to_string();
            match milliseconds(time) {
                0 => prop_assert_eq!(shown, "less than 1ms"),
                number => prop_assert_eq!(humantime::parse_duration(&shown), Ok(Duration::from_millis(number))),
            }
        }
    }
}
