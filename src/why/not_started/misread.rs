//! What only a shell understands, in a command that no shell has looked at.
//!
//! A list (`CMD ["server", "--port", "80"]`, `command:` and `args:` of a pod) goes to execve(2) word by
//! word, and so does what sexton is given. People write lines of a shell into it all the same. A command
//! that is there is started with whatever stands behind it, and nothing is known of what was meant; so
//! this is for the one that is not there.

use std::borrow::Cow;
use std::fmt;

use crate::report::Printable;

/// What can be asked about the image.
pub trait Image {
    /// Whether this is a program, by its path or in `PATH`.
    fn has(&self, name: &str) -> bool;
}

/// Where the shell is that Dockerfiles mean.
const SHELL: &str = "/bin/sh";

/// Words of every shell (POSIX, "Shell Command Language") with which people begin a line, and which few
/// images have as programs too.
const SHELL_WORDS: &str = ". : alias case cd command eval exec exit export for if read readonly return set shift \
                           trap ulimit umask unalias unset until wait while { ! source";

/// The same of bash alone.
const BASH_WORDS: &str = "[[ builtin declare function let local mapfile popd pushd readarray shopt typeset";

/// Those that change the shell itself: alone they are of no use.
const CHANGES: &str = ". alias cd export readonly set source trap ulimit umask unalias unset";

/// The rest of a sentence about a command that is not there: that no shell looks at it, and what to write.
pub fn misread(words: &[&[u8]], image: &impl Image) -> Option<String> {
    let words: Vec<Cow<'_, str>> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
    let words: Vec<&str> = words.iter().map(Cow::as_ref).collect();
    let (name, rest) = words.split_first()?;
    let line = Line { words: &words, image };
    by_the_name(name, rest, &line).or_else(|| by_an_operator(name, rest, &line))
}

fn by_the_name(name: &str, rest: &[&str], line: &Line<'_, impl Image>) -> Option<String> {
    let list = |first: Vec<String>| List(first.into_iter().chain(rest.iter().map(|word| (*word).to_owned())).collect());
    if name.starts_with('-') && name.len() > 1 {
        // Only so can it come to such a name: `docker run IMAGE --version`, behind ENTRYPOINT ["/sexton", "--"].
        return Some(
            "what stands behind the -- is the command, so its name comes first, and options of sexton's own come \
             before the --"
                .to_owned(),
        );
    }
    if name.starts_with("[\"") || name.starts_with("['") {
        return Some("it is one word, and no list: write its words one by one".to_owned());
    }
    let trimmed = name.trim_matches(is_blank);
    if trimmed.starts_with(['"', '\'']) && !trimmed.contains(is_blank) {
        let bare = split(trimmed).unwrap_or_else(|| vec![trimmed.trim_matches(['"', '\'']).to_owned()]);
        return Some(format!("the quotes are a part of its name, for no shell takes them away: write {}", list(bare)));
    }
    if trimmed.contains(is_blank) {
        return several_words(trimmed, rest, line);
    }
    if trimmed.len() < name.len() && !trimmed.is_empty() {
        let list = list(vec![trimmed.to_owned()]);
        return Some(format!("no shell takes the blanks or line ends around its name away: write {list}"));
    }
    if is_assignment(name) {
        return Some(assignment(name, rest, line));
    }
    if let Some(sentence) = shell_word(name, rest, line) {
        return Some(sentence);
    }
    if let Some(token) = replaced(name) {
        if let Some(variable) = kubernetes_variable(token) {
            return Some(format!(
                "nobody replaced {token}: Kubernetes does where {variable} is in the container's env"
            ));
        }
        if token == "~" {
            return Some("no shell replaces ~: write the whole path".to_owned());
        }
        return Some(line.in_shell(&format!("no shell replaces {}", Printable(token.as_bytes())), "exec ", None));
    }
    if name.contains(['&', '|', ';', '<', '>', '(', ')']) {
        return Some(line.in_shell("no shell looks at it", "", None));
    }
    if matches!(name, "sh" | SHELL) && rest.first() == Some(&"-c") && !line.image.has(SHELL) {
        let start = "what CMD and ENTRYPOINT have without brackets goes to it";
        return Some(match rest.get(1).and_then(|script| split(script)) {
            Some(words) => format!("{start}: write a list, {}", List(words)),
            None => format!("{start}: this image needs a list, or a shell"),
        });
    }
    None
}

/// One word that should have been several.
fn several_words(name: &str, rest: &[&str], line: &Line<'_, impl Image>) -> Option<String> {
    let words = split(name);
    let first = words.as_ref().and_then(|words| words.first().cloned());
    let first = first.unwrap_or_else(|| name.split(is_blank).next().unwrap_or_default().to_owned());
    let is_of_a_shell = is_assignment(&first) || is_one_of(&first, SHELL_WORDS) || is_one_of(&first, BASH_WORDS);
    // A folder may have a blank in its name.
    let has_options = || name.split(is_blank).any(|word| word.starts_with('-'));
    let is_path = name.contains('/') && (first.contains('/') || !has_options());
    if is_path && !is_of_a_shell && !line.image.has(&first) {
        return None;
    }
    match words {
        Some(words) if !is_of_a_shell && !rest.iter().any(|word| is_operator(word)) => {
            let words = words.into_iter().chain(rest.iter().map(|word| (*word).to_owned()));
            Some(format!("no shell splits it into words: write {}", List(words.collect())))
        }
        _ => Some(line.in_shell("no shell looks at it", "", None)),
    }
}

/// `A=1 server`.
fn assignment(name: &str, rest: &[&str], line: &Line<'_, impl Image>) -> String {
    let start = format!("only a shell takes {} for a variable, and none looks at it", Printable(name.as_bytes()));
    let advice = "use ENV or docker run -e";
    if rest.iter().any(|word| is_operator(word)) {
        return line.in_shell(&start, "", Some(advice));
    }
    if rest.is_empty() || !line.image.has("env") {
        return format!("{start}: {advice}");
    }
    let words = ["env", name].into_iter().chain(rest.iter().copied()).map(str::to_owned);
    format!("{start}: {advice}, or write {}", List(words.collect()))
}

/// A word that a shell has built in.
fn shell_word(name: &str, rest: &[&str], line: &Line<'_, impl Image>) -> Option<String> {
    let start = |shell: &str| format!("{name} is a word of {shell}, and no shell looks at it");
    let has_operators = rest.iter().any(|word| is_operator(word));
    if name == "exec" && !has_operators {
        let rest = List(rest.iter().map(|word| (*word).to_owned()).collect());
        let instead = if rest.0.is_empty() { "leave it out".to_owned() } else { format!("write {rest}") };
        return Some(format!("{}: {instead}", start("the shell")));
    }
    if is_one_of(name, SHELL_WORDS) {
        let instead = match name {
            "cd" => Some("use WORKDIR"),
            "export" => Some("use ENV"),
            _ => None,
        };
        return Some(line.in_shell(&start("the shell"), "", instead));
    }
    is_one_of(name, BASH_WORDS).then(|| start("bash"))
}

/// Operators of a shell among the arguments.
fn by_an_operator(name: &str, rest: &[&str], line: &Line<'_, impl Image>) -> Option<String> {
    let operator = rest.iter().find(|word| is_operator(word))?;
    let start = format!("no shell looks at it, so {} is an argument like any other", Printable(operator.as_bytes()));
    if rest.iter().filter(|word| is_operator(word)).eq([&"&"]) && rest.last() == Some(&"&") {
        // A shell would end at once, and the container with it.
        let words = rest.iter().take(rest.len() - 1).map(|word| (*word).to_owned());
        return Some(format!("{start}: write {}", List(std::iter::once(name.to_owned()).chain(words).collect())));
    }
    Some(line.in_shell(&start, "", None))
}

/// All of the words as a line for a shell.
struct Line<'a, I> {
    words: &'a [&'a str],
    image: &'a I,
}

impl<I: Image> Line<'_, I> {
    /// `start`, and how to have a shell look at the line; or what to use in its place.
    fn in_shell(&self, start: &str, prefix: &str, instead: Option<&str>) -> String {
        if !self.image.has(SHELL) {
            return match instead {
                Some(instead) => format!("{start}: {instead}"),
                None => format!("{start}, and this image has none ({SHELL})"),
            };
        }
        let list = List(vec!["sh".to_owned(), "-c".to_owned(), format!("{prefix}{self}")]);
        let instead = instead.map_or(String::new(), |instead| format!("{instead}, or "));
        format!("{start}: {instead}write {list}")
    }
}

impl<I> fmt::Display for Line<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Words that a shell would take apart want quotes, and how many is more than fits into a sentence.
        let is_plain = |word: &&str| !word.contains(is_blank) && !word.contains(['"', '\'', '\\']);
        if self.words.len() > 1 && !self.words.iter().all(is_plain) {
            return f.write_str("…");
        }
        for (index, word) in self.words.iter().enumerate() {
            let word = if index == 0 && *word == "source" { "." } else { word };
            write!(f, "{}{word}", if index == 0 { "" } else { " " })?;
        }
        let is_incomplete = self.words.first().is_some_and(|first| is_one_of(first, CHANGES))
            && !self.words.iter().any(|word| is_operator(word));
        f.write_str(if is_incomplete { " && …" } else { "" })
    }
}

/// Words as a list of a Dockerfile, unless that is longer than a sentence can bear.
struct List(Vec<String>);

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LIMIT: usize = 300;
        let mut left = LIMIT;
        f.write_str("[")?;
        for (index, word) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            let Some(rest) = left.checked_sub(word.len()) else {
                f.write_str("…")?;
                break;
            };
            left = rest;
            let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
            write!(f, "\"{}\"", Printable(escaped.as_bytes()))?;
        }
        f.write_str("]")
    }
}

/// The words of a line as a shell finds them; `None` if it would do more than that.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('"'), '$' | '`' | '\\') => return None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if is_blank(character) => words.extend(word.take()),
            (None, '$' | '`' | '\\' | '&' | '|' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '#') => return None,
            (None, '~') if word.is_none() => return None,
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn is_one_of(word: &str, words: &str) -> bool {
    words.split(' ').any(|known| known == word)
}

/// `NAME=value` (POSIX, "Name").
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| is_variable(name))
}

fn is_variable(name: &str) -> bool {
    let is_letter = |character: char| character.is_ascii_alphabetic() || character == '_';
    name.starts_with(is_letter) && name.chars().all(|character| is_letter(character) || character.is_ascii_digit())
}

/// A word that joins commands or redirects their output.
fn is_operator(word: &str) -> bool {
    if matches!(word, "&&" | "||" | "|" | "|&" | ";" | ";;" | "&") {
        return true;
    }
    let arrow = word.trim_start_matches(|character: char| character.is_ascii_digit() || character == '&');
    let target = arrow.trim_start_matches(['>', '<']);
    target.len() < arrow.len() && (target.is_empty() || target.starts_with(['&', '/', '.']))
}

/// The first part that a shell would replace.
fn replaced(name: &str) -> Option<&str> {
    if name == "~" || name.starts_with("~/") {
        return name.get(..1);
    }
    let at = name.find(['$', '`', '*', '?'])?;
    let token = name.get(at..)?;
    let Some(variable) = token.strip_prefix('$') else { return token.get(..1) };
    let length = match variable.chars().next() {
        Some('{') => variable.find('}')? + 1,
        Some('(') => variable.find(')')? + 1,
        _ => variable
            .find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
            .unwrap_or(variable.len()),
    };
    (length > 0).then(|| token.get(..=length)).flatten()
}

/// The name in `$(NAME)`, which is how Kubernetes writes it.
fn kubernetes_variable(token: &str) -> Option<&str> {
    let name = token.strip_prefix("$(")?.strip_suffix(')')?;
    (is_variable(name) && !name.contains(|character: char| character.is_ascii_lowercase())).then_some(name)
}
