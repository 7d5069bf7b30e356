//! Which name was meant by one that is not known.
//!
//! Whoever is told the wrong name looks in the wrong place. So a name is suggested only when it is what
//! was typed but for a slip of the hand: another word with some letters in common is another word.

/// The one of a few known names that was meant: there is one slip, or two in a long name, or it is the
/// beginning of the name up to a hyphen or underscore. `None` when that is so of two names.
pub fn one_of<'a>(typed: &str, known: &mut dyn Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut nearest = None;
    let mut is_clear = false;
    for name in known {
        let Some(distance) = among_few(typed.as_bytes(), name.as_bytes()) else { continue };
        match nearest {
            Some((least, _)) if distance > least => {}
            Some((least, _)) if distance == least => is_clear = false,
            _ => (nearest, is_clear) = (Some((distance, name)), true),
        }
    }
    nearest.filter(|_| is_clear).map(|(_, name)| name)
}

/// How far one of a few names is from what was typed, if it may have been meant.
fn among_few(typed: &[u8], name: &[u8]) -> Option<usize> {
    /// Two slips leave a name recognisable that is as long as this.
    const LONG: usize = 9;
    /// Further away than any slip.
    const BEGINNING: usize = 3;
    let slips = Slips::between(typed, name);
    let is_slip = match slips.count {
        Some(0) => true,
        // LOGS for LOG, but not LOT.
        Some(1) => {
            slips.is_swap() || slips.keeps_the_first_letter() && slips.shorter() + usize::from(slips.is_missing()) > 3
        }
        Some(_) => slips.keeps_the_first_letter() && slips.shorter() >= LONG,
        None => false,
    };
    if is_slip && slips.keeps_the_digits() {
        return slips.count;
    }
    let is_beginning = typed.len() > 2 && typed.iter().zip(name).all(is_same);
    (is_beginning && matches!(name.get(typed.len()), Some(b'-' | b'_'))).then_some(BEGINNING)
}

/// How far one of many files is from what was typed, if it may have been meant: 0 or 1. Among programs
/// every other word is another program: `start` is not `stat`, nor `reader` `render`, nor `docker`
/// `dockerd`. So a short name has only letters that have changed places.
pub fn among_files(typed: &[u8], name: &[u8]) -> Option<usize> {
    /// A name of this length with a letter too few or too many is no other word, but at its end.
    const SPARSE: usize = 6;
    /// A name of this length with another letter in it is none either.
    const LONG: usize = 8;
    let slips = Slips::between(typed, name);
    let is_slip = match slips.count {
        Some(0) => true,
        Some(1) => {
            let length = if slips.is_missing() { SPARSE } else { LONG };
            let is_typo = slips.keeps_the_first_letter() && slips.shorter() >= length;
            slips.is_swap() || is_typo && !slips.is_a_letter_at_the_end()
        }
        _ => false,
    };
    slips.count.filter(|_| is_slip && slips.keeps_the_digits())
}

/// What lies between two names, of which upper and lower case, hyphens and underscores are no part.
struct Slips<'a> {
    typed: &'a [u8],
    name: &'a [u8],
    /// Letters that are missing, too many, another one, or swapped with their neighbour: two at most.
    count: Option<usize>,
}

impl<'a> Slips<'a> {
    fn between(typed: &'a [u8], name: &'a [u8]) -> Slips<'a> {
        Slips { typed, name, count: slips(typed, name, 2) }
    }

    fn shorter(&self) -> usize {
        self.typed.len().min(self.name.len())
    }

    /// The one slip is a letter too few or too many.
    fn is_missing(&self) -> bool {
        self.typed.len() != self.name.len()
    }

    /// The one slip is that two letters have changed places. In two letters that is another name.
    fn is_swap(&self) -> bool {
        let (typed, name) = behind_the_beginning(self.typed, self.name);
        self.shorter() > 2 && self.count == Some(1) && begins_swapped(typed, name)
    }

    /// One is the beginning of the other, and what follows is no version.
    fn is_a_letter_at_the_end(&self) -> bool {
        let (typed, name) = behind_the_beginning(self.typed, self.name);
        matches!((typed, name), ([letter], []) | ([], [letter]) if letter.is_ascii_alphabetic())
    }

    /// Nobody mistypes that one.
    fn keeps_the_first_letter(&self) -> bool {
        self.typed.first().zip(self.name.first()).is_some_and(is_same)
    }

    /// `server1` is not `server2`; but `python` may be `python3`.
    fn keeps_the_digits(&self) -> bool {
        let digits = |text: &'a [u8]| text.iter().filter(|byte| byte.is_ascii_digit());
        let (typed, name) = (digits(self.typed), digits(self.name));
        typed.clone().eq(name.clone()) || typed.count() == 0 || name.count() == 0
    }
}

/// How many slips lie between the two, if not more than `most` (Damerau and Levenshtein's distance).
fn slips(typed: &[u8], name: &[u8], most: usize) -> Option<usize> {
    let (typed, name) = behind_the_beginning(typed, name);
    if typed.is_empty() && name.is_empty() {
        return Some(0);
    }
    let most = most.checked_sub(1)?;
    let mut least = None;
    for (of_typed, of_name) in [(1, 0), (0, 1), (1, 1), (2, 2)] {
        let (Some(typed_rest), Some(name_rest)) = (typed.get(of_typed..), name.get(of_name..)) else { continue };
        if of_typed < 2 || begins_swapped(typed, name) {
            let count = slips(typed_rest, name_rest, most);
            least = [least, count].into_iter().flatten().min();
        }
    }
    least.map(|count| count + 1)
}

/// Both without what they have in common from the first letter on.
fn behind_the_beginning<'a>(mut typed: &'a [u8], mut name: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    while let ([a, typed_rest @ ..], [b, name_rest @ ..]) = (typed, name)
        && is_same((a, b))
    {
        (typed, name) = (typed_rest, name_rest);
    }
    (typed, name)
}

fn begins_swapped(typed: &[u8], name: &[u8]) -> bool {
    matches!((typed, name), ([a, b, ..], [c, d, ..]) if is_same((a, d)) && is_same((b, c)))
}

fn is_same((one, other): (&u8, &u8)) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    folded(one) == folded(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Damerau and Levenshtein's distance by its definition, of the ends that begin here.
    fn by_definition(typed: &[u8], name: &[u8]) -> usize {
        if typed.is_empty() || name.is_empty() {
            return typed.len() + name.len();
        }
        let substituted = by_definition(&typed[1..], &name[1..]) + usize::from(typed[0] != name[0]);
        let one_less = by_definition(&typed[1..], name).min(by_definition(typed, &name[1..])) + 1;
        let is_swapped = typed.len() > 1 && name.len() > 1 && typed[0] == name[1] && typed[1] == name[0];
        let swapped = if is_swapped { by_definition(&typed[2..], &name[2..]) + 1 } else { usize::MAX };
        substituted.min(one_less).min(swapped)
    }

    proptest! {
        #[test]
        fn slips_are_counted_up_to_two(typed in "[ab1]{0,6}", name in "[ab1]{0,6}") {
            let count = by_definition(typed.as_bytes(), name.as_bytes());
            prop_assert_eq!(slips(typed.as_bytes(), name.as_bytes(), 2), (count <= 2).then_some(count));
        }
    }

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
            assert_eq!(one_of(typed, &mut known.into_iter()), meant, "{typed}");
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
        ] {
            assert_eq!(among_files(typed.as_bytes(), name.as_bytes()), distance, "{typed} {name}");
        }
    }
}
