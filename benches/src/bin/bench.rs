//! `bench [--quick | --full] [--publish] --out DIRECTORY NAME=SEXTON...`: sexton beside its peers.
//! `bench --again`: the published pages once more, of the numbers in docs/bench.json.
//!
//! Prints the tables, and writes bench.md, bench.json and bench.svg into a directory. The limits are
//! for the first build of sexton. With `--publish` the repository's README and docs/ get them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sexton_bench::contestants::Field;
use sexton_bench::measures::{self, Rounds};
use sexton_bench::page::{self, Circumstances};
use sexton_bench::table::Table;
use sexton_bench::{chart, json, launch, published};

struct Arguments {
    rounds: Rounds,
    is_full: bool,
    publish: bool,
    again: bool,
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if arguments.again {
        let (table, circumstances) = json::read(&fs::read_to_string(root.join("docs/bench.json"))?)?;
        return publish(&root, &table, &circumstances);
    }
    let command = if arguments.is_full { "make bench FULL=1" } else { "make bench" };
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
        publish(&root, &table, &circumstances)?;
    }
    Ok(())
}

impl Arguments {
    fn parse() -> io::Result<Arguments> {
        let mut arguments = Arguments {
            rounds: Rounds::QUICK,
            is_full: false,
            publish: false,
            again: false,
            out: PathBuf::new(),
            sextons: Vec::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match (word.as_str(), word.split_once('=')) {
                ("--quick", _) => (arguments.rounds, arguments.is_full) = (Rounds::QUICK, false),
                ("--full", _) => (arguments.rounds, arguments.is_full) = (Rounds::FULL, true),
                ("--publish", _) => arguments.publish = true,
                ("--again", _) => arguments.again = true,
                ("--out", _) => arguments.out = words.next().unwrap_or_default().into(),
                (_, Some((name, path))) if !name.starts_with('-') => {
                    arguments.sextons.push((name.into(), path.into()));
                }
                _ => return Err(io::Error::other(format!("what is {word}?"))),
            }
        }
        if !arguments.again && (arguments.out.as_os_str().is_empty() || arguments.sextons.is_empty()) {
            return Err(io::Error::other(
                "bench --again, or bench [--quick | --full] [--publish] --out DIRECTORY NAME=SEXTON...",
            ));
        }
        Ok(arguments)
    }
}

fn publish(root: &Path, table: &Table, circumstances: &Circumstances) -> io::Result<()> {
    published::files(root, table, circumstances)?.iter().try_for_each(|(path, text)| {
        eprintln!("writes {}", path.strip_prefix(root).unwrap_or(path).display());
        write(path, text)
    })
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}
