//! What only a shell understands, in a command that no shell has looked at.
//!
//! A list (`CMD ["server", "--port", "80"]`, `command:` and `args:` of a pod) goes to execve(2) word by
//! word, and so does what sexton is given. People write lines of a shell into it all the same. A command
//! that is there is started with whatever stands behind it, and nothing is known of what was meant; so
//! this is for the one that is not there.

use std::fmt;

use crate::report::Printable;

/// The image that the command is started in.
pub trait Image {
    /// Whether this is a program, by its path or in `PATH`.
    fn has(&self, name: &[u8]) -> bool;
}

/// The shell that Dockerfiles mean.
const SHELL: &[u8] = b"/bin/sh";

/// Words of every shell (POSIX, "Shell Command Language") with which people begin a line, and which few
/// images have as programs too.
const SHELL_WORDS: &str = ". : alias case cd command eval exec exit export for if read readonly return set shift \
                           trap ulimit umask unalias unset until wait while { ! source";

/// The same of bash alone.
const BASH_WORDS: &str = "[[ builtin declare function let local mapfile popd pushd readarray shopt typeset";

/// Those that change the shell itself: alone they are of no use.
const CHANGES: &str = ". alias cd export readonly set source trap ulimit umask unalias unset";

/// The rest of a sentence about a command that is not there: that no shell looks at it, and what to write.
pub fn misread(words: &[&[u8]], image: &dyn Image) -> Option<String> {
    let (name, rest) = words.split_first()?;
    let has_operators = rest.iter().any(is_operator);
    let line = Line { words, has_operators, image };
    line.by_its_name(name, rest).or_else(|| line.by_an_operator(rest))
}

/// A command, as a line for a shell.
struct Line<'a> {
    words: &'a [&'a [u8]],
    /// Operators of a shell are among the arguments.
    has_operators: bool,
    image: &'a dyn Image,
}

impl Line<'_> {
    fn by_its_name(&self, name: &[u8], rest: &[&[u8]]) -> Option<String> {
        if name.len() > 1 && name.starts_with(b"-") {
            // Only so can it come to such a name: `docker run IMAGE --version`, behind ENTRYPOINT ["/sexton", "--"].
            let told = "what stands behind the -- is the command, so its name comes first, and options of sexton's own \
                        come before the --";
            return Some(told.to_owned());
        }
        if name.starts_with(b"[\"") || name.starts_with(b"['") {
            return Some("it is one word, and no list: write its words one by one".to_owned());
        }
        let bare = name.trim_ascii();
        if bare.iter().any(u8::is_ascii_whitespace) {
            return self.several_words(bare, rest);
        }
        if matches!(bare, [b'"' | b'\'', ..]) {
            let unquoted: Vec<u8> = bare.iter().copied().filter(|byte| !matches!(byte, b'"' | b'\'')).collect();
            let start = "the quotes are a part of its name, for no shell takes them away: write ";
            return Some(format!("{start}{}", List(&[&[&unquoted[..]], rest].concat())));
        }
        if bare.len() < name.len() && !bare.is_empty() {
            let start = "no shell takes the blanks or line ends around its name away: write ";
            return Some(format!("{start}{}", List(&[&[bare], rest].concat())));
        }
        if is_assignment(name) {
            return Some(self.assignment(name));
        }
        self.shell_word(name, rest).or_else(|| self.replaced(name)).or_else(|| {
            if name.iter().any(|byte| b"&|;<>()".contains(byte)) {
                return Some(self.in_shell("no shell looks at it", ""));
            }
            self.without_brackets(name, rest)
        })
    }

    /// One word that should have been several.
    fn several_words(&self, name: &[u8], rest: &[&[u8]]) -> Option<String> {
        let words = split(name);
        if let Some([quoted]) = words.as_deref()
            && quoted.len() < name.len()
        {
            return self.several_words(quoted, rest);
        }
        let mut literal = name.split(u8::is_ascii_whitespace);
        let first = words.as_ref().and_then(|words| words.first().map(Vec::as_slice)).or(literal.next())?;
        let is_of_a_shell = is_assignment(first) || is_one_of(first, SHELL_WORDS) || is_one_of(first, BASH_WORDS);
        // A folder may have a blank in its name.
        let may_be_path =
            name.contains(&b'/') && (first.contains(&b'/') || !literal.any(|word| word.starts_with(b"-")));
        if may_be_path && !is_of_a_shell && !self.image.has(first) {
            return None;
        }
        match words {
            Some(words) if !is_of_a_shell && !self.has_operators => {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).chain(rest.iter().copied()).collect();
                Some(format!("no shell splits it into words: write {}", List(&words)))
            }
            _ => Some(self.in_shell("no shell looks at it", "")),
        }
    }

    /// `A=1 server`.
    fn assignment(&self, name: &[u8]) -> String {
        let name = Printable(name);
        let told = format!("only a shell takes {name} for a variable, and none looks at it: use ENV or docker run -e");
        if self.has_operators || self.words.len() < 2 || !self.image.has(b"env") {
            return told;
        }
        format!("{told}, or write {}", List(&[&[&b"env"[..]], self.words].concat()))
    }

    /// A word that a shell has built in.
    fn shell_word(&self, name: &[u8], rest: &[&[u8]]) -> Option<String> {
        let is_of_every_shell = is_one_of(name, SHELL_WORDS);
        if !is_of_every_shell && !is_one_of(name, BASH_WORDS) {
            return None;
        }
        let shell = if is_of_every_shell { "the shell" } else { "bash" };
        let start = format!("{} is a word of {shell}, and no shell looks at it", Printable(name));
        Some(match (name, rest) {
            _ if !is_of_every_shell => start,
            (b"exec", []) => format!("{start}: leave it out"),
            (b"exec", _) if !self.has_operators => format!("{start}: write {}", List(rest)),
            (b"cd" | b"export", _) => {
                let start = format!("{start}: use {}", if name == b"cd" { "WORKDIR" } else { "ENV" });
                let has_shell = self.image.has(SHELL);
                if has_shell { format!("{start}, or write {}", self.for_shell("")) } else { start }
            }
            _ => self.in_shell(&start, ""),
        })
    }

    /// Operators of a shell among the arguments.
    fn by_an_operator(&self, rest: &[&[u8]]) -> Option<String> {
        let operator = rest.iter().find(|word| is_operator(word))?;
        let start = format!("no shell looks at it, so {} is an argument like any other", Printable(operator));
        match self.words {
            // A shell would end at once, and the container with it.
            [words @ .., b"&"] if !words.iter().skip(1).any(is_operator) => {
                Some(format!("{start}: write {}", List(words)))
            }
            _ => Some(self.in_shell(&start, "")),
        }
    }

    /// Something that a shell would replace.
    fn replaced(&self, name: &[u8]) -> Option<String> {
        if matches!(name, [b'~'] | [b'~', b'/', ..]) {
            return Some("no shell replaces ~: write the whole path".to_owned());
        }
        let at = name.iter().position(|byte| b"$`*?".contains(byte))?;
        let token = token(name.get(at..)?)?;
        let shown = Printable(token);
        if let Some(variable) = token.strip_prefix(b"$(").and_then(|token| token.strip_suffix(b")"))
            && is_variable(variable)
            && !variable.iter().any(u8::is_ascii_lowercase)
        {
            let variable = Printable(variable);
            return Some(format!(
                "nobody replaced {shown}: Kubernetes does where {variable} is in the container's env"
            ));
        }
        Some(self.in_shell(&format!("no shell replaces {shown}"), "exec "))
    }

    /// What the engine makes of a CMD or an ENTRYPOINT that is no list.
    fn without_brackets(&self, name: &[u8], rest: &[&[u8]]) -> Option<String> {
        let ([b"-c", script, ..], b"sh" | SHELL) = (rest, name) else { return None };
        if self.image.has(SHELL) {
            return None;
        }
        let start = "what CMD and ENTRYPOINT have without brackets goes to it";
        Some(match split(script) {
            Some(words) => {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                format!("{start}: write a list, {}", List(&words))
            }
            None => format!("{start}: this image needs a list, or a shell"),
        })
    }

    /// `start`, and how to have a shell look at it, if there is one.
    fn in_shell(&self, start: &str, prefix: &str) -> String {
        if self.image.has(SHELL) {
            format!("{start}: write {}", self.for_shell(prefix))
        } else {
            format!("{start}, and this image has none (/bin/sh)")
        }
    }

    fn for_shell(&self, prefix: &str) -> String {
        let is_plain = |word: &&[u8]| !word.iter().any(|byte| b" \t\r\n\"'\\".contains(byte));
        let line = if self.words.len() > 1 && !self.words.iter().all(is_plain) {
            // Words that a shell would take apart want quotes, and how many is more than fits into a sentence.
            "…".as_bytes().to_vec()
        } else {
            let words = self.words.join(&b' ');
            // Not every shell has the other word for it.
            let words = words.strip_prefix(b"source ").map_or(words.clone(), |rest| [b". ", rest].concat());
            let is_incomplete = !self.has_operators && self.words.first().is_some_and(|name| is_one_of(name, CHANGES));
            [prefix.as_bytes(), &words, if is_incomplete { " && …".as_bytes() } else { b"" }].concat()
        };
        List(&[b"sh", b"-c", &line]).to_string()
    }
}

/// Words as a list of a Dockerfile, unless that is longer than a sentence can bear.
struct List<'a>(&'a [&'a [u8]]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LIMIT: usize = 300;
        let mut left = LIMIT;
        let mut separator = "[";
        for word in self.0 {
            f.write_str(separator)?;
            separator = ", ";
            let Some(rest) = left.checked_sub(word.len()) else {
                f.write_str("…")?;
                break;
            };
            left = rest;
            f.write_str("\"")?;
            for part in word.split_inclusive(|byte| matches!(byte, b'"' | b'\\')) {
                match part {
                    [part @ .., last @ (b'"' | b'\\')] => write!(f, "{}\\{}", Printable(part), char::from(*last))?,
                    part => Printable(part).fmt(f)?,
                }
            }
            f.write_str("\"")?;
        }
        f.write_str("]")
    }
}

/// The words of a line as a shell finds them; `None` if it would do more than that.
fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    for byte in line.iter().copied() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(b'"'), b'$' | b'`' | b'\\') => return None,
            (Some(_), _) => word.get_or_insert_default().push(byte),
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, _) if byte.is_ascii_whitespace() => words.extend(word.take()),
            (None, _) if b"$`\\&|;<>()*?#".contains(&byte) || (byte == b'~' && word.is_none()) => return None,
            (None, _) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn is_one_of(word: &[u8], words: &str) -> bool {
    words.split(' ').any(|known| known.as_bytes() == word)
}

/// `NAME=value` (POSIX, "Name").
fn is_assignment(word: &[u8]) -> bool {
    word.split(|byte| *byte == b'=').next().is_some_and(|name| name.len() < word.len() && is_variable(name))
}

fn is_variable(name: &[u8]) -> bool {
    !name.first().is_none_or(u8::is_ascii_digit) && name.iter().all(is_of_a_variable)
}

fn is_of_a_variable(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

/// A word that joins commands or redirects their output.
fn is_operator(word: &&[u8]) -> bool {
    if matches!(*word, b"&&" | b"||" | b"|" | b"|&" | b";" | b";;" | b"&") {
        return true;
    }
    let mut rest = word.iter().skip_while(|byte| byte.is_ascii_digit() || **byte == b'&').peekable();
    let is_arrow = |byte: &&u8| matches!(byte, b'<' | b'>');
    rest.peek().is_some_and(is_arrow) && matches!(rest.find(|byte| !is_arrow(byte)), None | Some(b'&' | b'/' | b'.'))
}

/// What a shell would replace, of a text that begins with it.
fn token(text: &[u8]) -> Option<&[u8]> {
    let length = match text {
        [b'$', b'{', ..] => text.iter().position(|byte| *byte == b'}')? + 1,
        [b'$', b'(', ..] => text.iter().position(|byte| *byte == b')')? + 1,
        [b'$', variable @ ..] => match variable.iter().take_while(|byte| is_of_a_variable(byte)).count() {
            0 => return None,
            length => length + 1,
        },
        _ => 1,
    };
    text.get(..length)
}
