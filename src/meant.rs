//! Which name was meant by one that is not known.
//!
//! Whoever is told the wrong name looks in the wrong place. So a name is suggested only when it is what
//! was typed but for a slip of the hand: another word with some letters in common is another word.

/// The one of a few known names that was meant: there is one slip, or two in a long name, or it is the
/// beginning of the name up to a hyphen or underscore. `None` when that is so of two names.
pub fn one_of<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut nearest = None;
    let mut is_clear = false;
    for name in known {
        let Some(distance) = among_few(typed, name) else { continue };
        match nearest {
            Some((least, _)) if distance > least => {}
            Some((least, _)) if distance == least => is_clear = false,
            _ => (nearest, is_clear) = (Some((distance, name)), true),
        }
    }
    nearest.filter(|_| is_clear).map(|(_, name)| name)
}

/// How far one of a few names is from what was typed, if it may have been meant.
fn among_few(typed: &str, name: &str) -> Option<usize> {
    /// Two slips leave a name recognisable that is as long as this.
    const LONG: usize = 9;
    /// Further away than any slip.
    const BEGINNING: usize = 3;
    let slips = Slips::between(typed, name);
    let is_slip = match slips.count {
        0 => true,
        // LOGS for LOG, but not LOT.
        1 => slips.is_swap() || slips.keeps_the_first_letter() && slips.shorter() + usize::from(slips.is_missing()) > 3,
        2 => slips.keeps_the_first_letter() && slips.shorter() >= LONG,
        _ => false,
    };
    if is_slip && slips.keeps_the_digits() {
        return Some(slips.count);
    }
    let rest = slips.name.strip_prefix(&slips.typed);
    (typed.len() > 2 && rest.is_some_and(|rest| rest.starts_with('-'))).then_some(BEGINNING)
}

/// How far one of many files is from what was typed, if it may have been meant: 0 or 1. Among programs
/// every other word is another program: `start` is not `stat`, nor `reader` `render`, nor `docker`
/// `dockerd`. So a short name has only letters that have changed places.
pub fn among_files(typed: &str, name: &str) -> Option<usize> {
    /// A name of this length with a letter too few or too many is no other word, but at its end.
    const SPARSE: usize = 6;
    /// A name of this length with another letter in it is none either.
    const LONG: usize = 8;
    if typed.len().abs_diff(name.len()) > 1 {
        return None;
    }
    let slips = Slips::between(typed, name);
    let is_typo = || {
        let length = if slips.is_missing() { SPARSE } else { LONG };
        slips.keeps_the_first_letter() && slips.shorter() >= length && !slips.is_a_letter_at_the_end()
    };
    let is_slip = match slips.count {
        0 => true,
        1 => slips.is_swap() || is_typo(),
        _ => false,
    };
    (is_slip && slips.keeps_the_digits()).then_some(slips.count)
}

/// What lies between two names, of which upper and lower case, hyphens and underscores are no part.
struct Slips {
    typed: String,
    name: String,
    /// Letters that are missing, too many, another one, or swapped with their neighbour.
    count: usize,
}

impl Slips {
    fn between(typed: &str, name: &str) -> Slips {
        let folded = |text: &str| text.to_ascii_lowercase().replace('_', "-");
        let (typed, name) = (folded(typed), folded(name));
        let count = strsim::osa_distance(&typed, &name);
        Slips { typed, name, count }
    }

    fn shorter(&self) -> usize {
        self.typed.chars().count().min(self.name.chars().count())
    }

    /// The one slip is a letter too few or too many.
    fn is_missing(&self) -> bool {
        self.typed.chars().count() != self.name.chars().count()
    }

    /// The one slip is that two letters have changed places. In two letters that is another name.
    fn is_swap(&self) -> bool {
        let sorted = |text: &str| {
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        self.shorter() > 2 && sorted(&self.typed) == sorted(&self.name)
    }

    /// One is the beginning of the other, and what follows is no version.
    fn is_a_letter_at_the_end(&self) -> bool {
        let rest = self.typed.strip_prefix(&self.name).or(self.name.strip_prefix(&self.typed));
        rest.is_some_and(|rest| rest.chars().any(char::is_alphabetic))
    }

    /// Nobody mistypes that one.
    fn keeps_the_first_letter(&self) -> bool {
        self.typed.chars().next() == self.name.chars().next()
    }

    /// `server1` is not `server2`; but `python` may be `python3`.
    fn keeps_the_digits(&self) -> bool {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let (typed, name) = (digits(&self.typed), digits(&self.name));
        typed == name || typed.is_empty() || name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_few_names_the_one_is_meant_that_is_a_slip_away() {
        let known = ["grace-period", "group", "log", "log-format", "verbose", "version", "usr1", "usr2"];
        for (typed, meant) in [
            ("gruop", Some("group")),
            ("grop", Some("group")),
            ("groups", Some("group")),
            ("gropu", Some("group")),
            ("roup", None),
            ("gorpu", None),
            ("GROUP", Some("group")),
            ("grace_period", Some("grace-period")),
            ("grave-perod", Some("grace-period")),
            ("grave-prod", None),
            ("grace", Some("grace-period")),
            ("gra", None),
            ("period", None),
            ("ver", None),
            ("versoin", Some("version")),
            ("logs", Some("log")),
            ("lo", None),
            ("lot", None),
            ("olg", Some("log")),
            ("usr3", None),
            ("usr", None),
            ("rus1", None),
            ("", None),
            ("-h", None),
        ] {
            assert_eq!(one_of(typed, known), meant, "{typed}");
        }
    }

    #[test]
    fn a_file_is_meant_when_no_other_program_may_be() {
        for (typed, name, distance) in [
            ("server", "sevrer", Some(1)),
            ("server2", "server", Some(1)),
            ("server", "serverr", None),
            ("docker", "dockerd", None),
            ("reader", "render", None),
            ("entrypiint.sh", "entrypoint.sh", Some(1)),
            ("server1", "server2", None),
            ("Server", "server", Some(0)),
            ("docker_entrypoint.sh", "docker-entrypoint.sh", Some(0)),
            ("nosuch", "touch", None),
            ("start", "stat", None),
            ("tree", "true", None),
            ("bash", "dash", None),
            ("bash", "ash", None),
            ("ndoe", "node", Some(1)),
            ("onde", "node", Some(1)),
            ("sl", "ls", None),
            ("python", "python3", Some(1)),
            ("python2", "python3", None),
            ("éa", "aé", None),
        ] {
            assert_eq!(among_files(typed, name), distance, "{typed} {name}");
        }
    }
}
