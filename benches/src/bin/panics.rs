//! `panics FILE TABLE ROOT`: which functions of a program that has its symbols may panic, of those that
//! can be reached from one of its functions, beside a table that says of each why it does not.
//!
//! Reachable is what a function names: what it calls or jumps to, what it takes the address of, and what
//! pointers are in the data that it takes the address of, up to the next piece of data that anybody
//! names. So more is taken to be reachable than is, never less, but for an address that is computed.
//! It reads what objdump(1) and readelf(1) print.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::io;
use std::process::{Command, ExitCode};

/// What ends in a panic, or in an abort for want of memory.
const PANICS: [&str; 12] = [
    "core::panicking::",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::result::unwrap_failed",
    "core::slice::index::slice_index_fail",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::str::slice_error_fail",
    "core::cell::panic_already",
    "alloc::raw_vec::handle_error",
    "alloc::raw_vec::capacity_overflow",
    "alloc::alloc::handle_alloc_error",
    "std::panicking::",
];

/// Nothing that a piece of data points to is further away from its beginning.
const LONGEST_DATA: u64 = 4096;

fn main() -> ExitCode {
    match run() {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            wrong.iter().for_each(|line| eprintln!("panics: {line}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("panics: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns what is not as the table has it.
fn run() -> io::Result<Vec<String>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [file, table, root] = words.as_slice() else {
        return Err(io::Error::other("panics FILE TABLE ROOT"));
    };
    let program = Program::read(file)?;
    let reached = program.reach(root)?;
    let may_panic = program.panics_of(&reached);
    println!("{} functions can be reached from {root}, {} of them may panic", program.count(&reached), may_panic.len());
    let text = std::fs::read_to_string(table)?;
    // `| \`function\` | why |`
    let known: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut wrong = Vec::new();
    for (function, how) in &may_panic {
        if !known.contains(function.as_str()) {
            wrong.push(format!("`{function}` may panic, and {table} does not say why it does not: {how}"));
        }
    }
    for function in known.iter().filter(|function| !may_panic.contains_key(**function)) {
        // Many of them at once: something is no longer seen.
        wrong.push(format!("`{function}` may not panic any more, or is called otherwise: {table} has it all the same"));
    }
    Ok(wrong)
}

/// The functions of a program by their addresses, and what each names.
struct Program {
    functions: BTreeMap<u64, String>,
    named: HashMap<u64, HashSet<u64>>,
    /// Each address of data that anybody names.
    data: BTreeSet<u64>,
    /// What points where.
    pointers: BTreeMap<u64, u64>,
}

impl Program {
    fn read(file: &str) -> io::Result<Program> {
        let mut program = Program {
            functions: BTreeMap::new(),
            named: HashMap::new(),
            data: BTreeSet::new(),
            pointers: pointers(&print("readelf", &["--relocs", "--wide", file])?),
        };
        let listing = print("objdump", &["--disassemble", "--demangle", "--no-show-raw-insn", file])?;
        for line in listing.lines() {
            if let Some((address, name)) = function_of(line) {
                program.functions.insert(address, name);
            }
        }
        let mut current = None;
        for line in listing.lines() {
            if let Some((address, _)) = function_of(line) {
                current = Some(address);
            } else if let (Some(current), Some(address)) = (current, named_by(line)) {
                program.name(current, address);
            }
        }
        if program.pointers.is_empty() {
            return Err(io::Error::other(format!(
                "{file} has no relocations: build it without an address of its own, or what vtables call is not seen"
            )));
        }
        program.data.extend(program.pointers.values());
        if program.functions.len() < 1000 {
            return Err(io::Error::other(format!("{file} has no symbols, or none that objdump shows")));
        }
        Ok(program)
    }

    fn name(&mut self, function: u64, address: u64) {
        self.named.entry(function).or_default().insert(address);
        if self.function_at(address).is_none() {
            self.data.insert(address);
        }
    }

    /// The function that has this address in it.
    fn function_at(&self, address: u64) -> Option<u64> {
        let (_, last) = (self.functions.first_key_value()?, self.functions.last_key_value()?);
        let (function, _) = self.functions.range(..=address).next_back()?;
        (address <= *last.0).then_some(*function)
    }

    /// Each address that can be reached, and the one that names it; for the root itself.
    fn reach(&self, root: &str) -> io::Result<HashMap<u64, u64>> {
        let roots = self.functions.iter().filter(|(_, name)| name.ends_with(root)).map(|(address, _)| *address);
        let mut queue: VecDeque<u64> = roots.collect();
        if queue.is_empty() {
            return Err(io::Error::other(format!("there is no function {root}")));
        }
        let mut seen: HashMap<u64, u64> = queue.iter().map(|address| (*address, *address)).collect();
        while let Some(address) = queue.pop_front() {
            let more: Vec<u64> = match self.function_at(address) {
                Some(function) if self.is_panic(function) => Vec::new(),
                Some(function) if function != address => vec![function],
                Some(function) => self.named.get(&function).into_iter().flatten().copied().collect(),
                None => {
                    let next = self.data.range(address + 1..).next().copied().unwrap_or(u64::MAX);
                    let end = next.min(address + LONGEST_DATA);
                    self.pointers.range(address..end).map(|(_, target)| *target).collect()
                }
            };
            for named in more {
                if let Entry::Vacant(place) = seen.entry(named) {
                    place.insert(address);
                    queue.push_back(named);
                }
            }
        }
        Ok(seen)
    }

    fn count(&self, reached: &HashMap<u64, u64>) -> usize {
        reached.keys().filter(|address| self.functions.contains_key(address)).count()
    }

    /// The functions between the root and this one.
    fn way(&self, mut address: u64, reached: &HashMap<u64, u64>) -> String {
        let mut way = Vec::new();
        while let Some(from) = reached.get(&address).filter(|from| **from != address) {
            address = *from;
            way.extend(self.functions.get(&address).map(String::as_str));
        }
        way.join(", from ")
    }

    fn is_panic(&self, function: u64) -> bool {
        PANICS.iter().any(|panic| self.functions[&function].starts_with(panic))
    }

    /// The functions that call what panics: how, and how they are reached.
    fn panics_of(&self, reached: &HashMap<u64, u64>) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for (address, name) in self.functions.iter().filter(|(address, _)| reached.contains_key(address)) {
            let named = self.named.get(address).into_iter().flatten().filter_map(|address| self.function_at(*address));
            let panics: BTreeSet<&str> = named
                .filter(|function| self.is_panic(*function))
                .map(|panic| self.functions[&panic].as_str())
                .collect();
            if !panics.is_empty() && !self.is_panic(*address) {
                let panics: Vec<&str> = panics.into_iter().collect();
                found.insert(
                    name.clone(),
                    format!("{}; called from {}", panics.join(", "), self.way(*address, reached)),
                );
            }
        }
        found
    }
}

/// `0000000000059280 <name>:`
fn function_of(line: &str) -> Option<(u64, String)> {
    let (address, name) = line.strip_suffix(">:")?.split_once(" <")?;
    Some((u64::from_str_radix(address, 16).ok()?, without_hash(name)))
}

/// `59280: call 5a000 <name+0x10>` and `lea    0x1234(%rip),%rdi        # 14e000 <name>`: the last
/// address before a name.
fn named_by(line: &str) -> Option<u64> {
    let (_, instruction) = line.split_once(":\t")?;
    let (before, _) = instruction.split_once(" <")?;
    u64::from_str_radix(before.rsplit([' ', '\t']).next()?, 16).ok()
}

/// `0000000000144130  0000000000000008 R_X86_64_RELATIVE   14e000`
fn pointers(relocations: &str) -> BTreeMap<u64, u64> {
    let pointer = |line: &str| {
        let mut words = line.split_whitespace();
        let place = u64::from_str_radix(words.next()?, 16).ok()?;
        let kind = words.nth(1)?;
        let target = u64::from_str_radix(words.next()?, 16).ok()?;
        kind.ends_with("_RELATIVE").then_some((place, target))
    };
    relocations.lines().filter_map(pointer).collect()
}

/// `path::function::h0123456789abcdef` and `path[0123456789abcdef]::function` as `path::function`.
fn without_hash(name: &str) -> String {
    let name = name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(name, |(name, _)| name);
    let mut rest = name;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        let is_hash = after
            .get(..17)
            .is_some_and(|hash| hash.ends_with(']') && hash[..16].chars().all(|c| c.is_ascii_hexdigit()));
        if !is_hash {
            out.push('[');
        }
        rest = if is_hash { &after[17..] } else { after };
    }
    // A backtick or a bar would end the cell of the table.
    (out + rest).replace('|', "!")
}

fn print(program: &str, args: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(args).env("LC_ALL", "C").output();
    let output = output.map_err(|error| io::Error::other(format!("{program}: {error}: apt-get install binutils")))?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
