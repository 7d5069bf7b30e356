//! Command lines whose every option is written as the table has it: nearly all of them.
//!
//! They are understood from the table alone, without an allocation. Whatever else there may be is left to
//! clap: abbreviations, values that begin with a dash, requests for a text, and everything that is wrong. Both
//! come to the same, which tests and the fuzz target `command_line` see to.

use super::native::{Options, may_be_termination_log};
use super::settings::{Kind, Setting};
use super::{Dialect, UsageError};
use crate::config::Config;
use crate::sys::Args;

/// Understands a command line, or leaves it to clap (`None`).
// Most starts come without options, and keep its stack and its pages untouched.
#[cold]
#[inline(never)]
pub(super) fn by_table(dialect: &Dialect, args: Args, defaults: &Config) -> Option<Result<Options, UsageError>> {
    let mut options = Options::none(defaults.clone());
    let mut given = 0_u32;
    let mut words = Words::of(dialect, args);
    options.config.command = loop {
        match words.next()? {
            Word::Option(option) => {
                let is_again = given & option.bit() != 0;
                if is_again && matches!(option.setting.kind, Kind::Value | Kind::Optional(_)) {
                    return None;
                }
                given |= option.bit();
            }
            Word::Verbose => options.verbose = options.verbose.saturating_add(1),
            Word::Quiet => options.quiet = true,
            Word::Command(command) => break command,
        }
    };
    if options.verbose > 0 {
        options.verbose = options.verbose.saturating_add(dialect.verbose_step);
    }
    options.config.may_be_termination_log = may_be_termination_log(args, options.config.command);
    Some(apply(dialect, args, given, options))
}

/// Takes over what is given, in the order of the table.
fn apply(dialect: &Dialect, args: Args, given: u32, mut options: Options) -> Result<Options, UsageError> {
    for (index, setting) in dialect.settings().enumerate() {
        let bit = Found { index, setting, value: b"" }.bit();
        if given & bit == 0 {
            continue;
        }
        let mut words = Words::of(dialect, args);
        let mut values = std::iter::from_fn(|| {
            loop {
                match words.next()? {
                    Word::Option(option) if option.index == index => return Some(option.value),
                    Word::Command(_) => return None,
                    _ => {}
                }
            }
        });
        match setting.kind {
            // Given twice it means what it means once.
            Kind::Switch => setting.apply_option(&mut options.config, &mut std::iter::once(&b"1"[..]))?,
            _ => setting.apply_option(&mut options.config, &mut values)?,
        }
        options.given.by_option(setting);
    }
    Ok(options)
}

/// What stands on the command line.
enum Word {
    Option(Found),
    Verbose,
    Quiet,
    /// The options are over.
    Command(Args),
}

/// An option, and where it stands in the dialect's table.
#[derive(Clone, Copy)]
struct Found {
    index: usize,
    setting: &'static Setting,
    /// Empty for a switch.
    value: &'static [u8],
}

impl Found {
    fn bit(&self) -> u32 {
        1 << self.index
    }
}

/// A command line, from option to option.
struct Words<'a> {
    dialect: &'a Dialect,
    rest: Args,
    /// What is left of a word of short options.
    shorts: &'static [u8],
}

impl Words<'_> {
    fn of(dialect: &Dialect, args: Args) -> Words<'_> {
        Words { dialect, rest: args.from(1), shorts: b"" }
    }

    /// The next one; `None`: it is for clap to say what that is.
    fn next(&mut self) -> Option<Word> {
        if let Some((short, rest)) = self.shorts.split_first() {
            self.shorts = rest;
            return self.short(*short);
        }
        let Some(word) = self.rest.first() else { return Some(Word::Command(self.rest)) };
        let word = word.to_bytes();
        if word == b"--" {
            return Some(Word::Command(self.rest.from(1)));
        }
        if !word.starts_with(b"-") || word == b"-" {
            return Some(Word::Command(self.rest));
        }
        self.rest = self.rest.from(1);
        if let Some(long) = word.strip_prefix(b"--") {
            return self.long(long);
        }
        let (short, rest) = word.split_at_checked(1).map(|(_, shorts)| shorts)?.split_first()?;
        self.shorts = rest;
        self.short(*short)
    }

    fn long(&mut self, word: &'static [u8]) -> Option<Word> {
        let equals = word.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals {
            Some(equals) => (word.get(..equals)?, Some(word.get(equals + 1..).filter(|value| !value.is_empty())?)),
            None => (word, None),
        };
        match (name, value) {
            (b"verbose", None) => Some(Word::Verbose),
            (b"quiet", None) => Some(Word::Quiet),
            _ => self.option(|setting, _| setting.long.as_bytes() == name, value),
        }
    }

    fn short(&mut self, short: u8) -> Option<Word> {
        let short = char::from(short);
        let is_for = |long, in_table| self.dialect.short(long, in_table) == Some(short);
        if is_for("verbose", Some('v')) {
            return Some(Word::Verbose);
        }
        if is_for("quiet", Some('q')) {
            return Some(Word::Quiet);
        }
        self.option(|setting, dialect| dialect.short(setting.long, setting.short) == Some(short), None)
    }

    /// The option that is meant, with its value.
    fn option(&mut self, is_meant: impl Fn(&Setting, &Dialect) -> bool, value: Option<&'static [u8]>) -> Option<Word> {
        let (index, setting) = self.dialect.settings().enumerate().find(|(_, known)| is_meant(known, self.dialect))?;
        let value = match (setting.kind, value) {
            (Kind::Switch, None) => b"",
            (Kind::Switch, Some(_)) => return None,
            (Kind::Optional(usual), None) => usual.as_bytes(),
            (_, Some(value)) => value,
            (Kind::Value | Kind::List, None) => self.value()?,
        };
        Some(Word::Option(Found { index, setting, value }))
    }

    /// What stands behind the option: the rest of the word, or the next one.
    fn value(&mut self) -> Option<&'static [u8]> {
        if !self.shorts.is_empty() {
            let value = std::mem::take(&mut self.shorts);
            return Some(value).filter(|value| !value.starts_with(b"="));
        }
        let value = self.rest.first()?.to_bytes();
        self.rest = self.rest.from(1);
        Some(value).filter(|value| !value.starts_with(b"-") && !value.is_empty())
    }
}

#[cfg(test)]
#[path = "well_formed_tests.rs"]
mod tests;
