//! `bench [--quick | --full] [--publish] --out DIRECTORY NAME=SEXTON...`: sexton beside its peers.
//!
//! Prints the table, and writes bench.md, bench.json and bench.svg into a directory. The goals are
//! for the first build of sexton. With `--publish` the repository's README and docs/ get them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sexton_bench::contestants::Field;
use sexton_bench::measures::{self, Rounds};
use sexton_bench::page::{self, Circumstances};
use sexton_bench::{chart, json, launch};

/// Where the README has the table.
const BEGIN: &str = "<!-- bench: `make bench BENCH='--full --publish'` writes from here -->\n";
const END: &str = "<!-- bench: to here -->\n";

struct Arguments {
    rounds: Rounds,
    publish: bool,
    out: PathBuf,
    sextons: Vec<(String, PathBuf)>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let arguments = Arguments::parse()?;
    let is_full = std::env::args().any(|word| word == "--full");
    let command = if is_full { "make bench BENCH=--full" } else { "make bench" };
    let circumstances = Circumstances::look(command.into());
    if circumstances.load.parse().is_ok_and(|load: f64| load > 0.5) {
        eprintln!("The load is {}: times will be too long, ratios too near to 1.", circumstances.load);
    }
    let field = Field::gather(&arguments.sextons)?;
    for missing in &field.missing {
        eprintln!("{missing}");
    }
    if let Err(error) = launch::go_first() {
        eprintln!("No priority above others is given ({error}): times will be as the machine is busy.");
    }
    let table = measures::all(&field, arguments.rounds)?;
    let whole = page::whole(&table, &circumstances);
    println!("{whole}");
    fs::create_dir_all(&arguments.out)?;
    write(&arguments.out.join("bench.md"), &whole)?;
    write(&arguments.out.join("bench.json"), &json::of(&table, &circumstances))?;
    write(&arguments.out.join("bench.svg"), &chart::of(&table, &circumstances))?;
    if arguments.publish {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        write(&root.join("docs/bench.json"), &json::of(&table, &circumstances))?;
        write(&root.join("docs/bench.svg"), &chart::of(&table, &circumstances))?;
        publish(&root.join("README.md"), &page::short(&table, &circumstances))?;
    }
    Ok(())
}

impl Arguments {
    fn parse() -> io::Result<Arguments> {
        let mut arguments =
            Arguments { rounds: Rounds::QUICK, publish: false, out: PathBuf::new(), sextons: Vec::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match (word.as_str(), word.split_once('=')) {
                ("--quick", _) => arguments.rounds = Rounds::QUICK,
                ("--full", _) => arguments.rounds = Rounds::FULL,
                ("--publish", _) => arguments.publish = true,
                ("--out", _) => arguments.out = words.next().unwrap_or_default().into(),
                (_, Some((name, path))) if !name.starts_with('-') => {
                    arguments.sextons.push((name.into(), path.into()));
                }
                _ => return Err(io::Error::other(format!("what is {word}?"))),
            }
        }
        if arguments.out.as_os_str().is_empty() || arguments.sextons.is_empty() {
            return Err(io::Error::other("bench [--quick | --full] [--publish] --out DIRECTORY NAME=SEXTON..."));
        }
        Ok(arguments)
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

fn publish(readme: &Path, page: &str) -> io::Result<()> {
    let text = fs::read_to_string(readme)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(io::Error::other(format!("{} has no place for the table: {BEGIN}{END}", readme.display())));
    };
    let chart = "![What sexton costs, beside the best of the other inits](docs/bench.svg)";
    write(readme, &format!("{before}{BEGIN}\n{chart}\n\n{page}\n{END}{after}"))
}
