//! Draws a graceful shutdown as it happens: `cargo run --example demo`.
//!
//! A server and its replacement run behind a small proxy. The server is stopped while requests come in. That
//! happens twice: once without sexton (under tini, if it is installed), once with sexton. The timeline goes to
//! stdout, and the picture to `demo.svg` in cargo's target folder. The exit status is 0 if no request was lost
//! with sexton, and 1 otherwise; where nobody reads on, as in `… | head -3`, the demo ends quietly.
//!
//! ```text
//! demo [--in docker|namespace|subreaper] [--pre-stop-sleep SECONDS] [--svg FILE]
//! ```
//!
//! The servers run in Docker containers if an engine answers, otherwise in PID namespaces, otherwise as
//! ordinary processes. sexton is the file named by TEST_BINARY; without that variable cargo builds it.

// What is shared with the tests: a name that nobody else uses.
#[allow(dead_code)]
#[path = "../tests/harness/names.rs"]
mod names;
#[path = "demo/picture.rs"]
mod picture;
#[path = "demo/place.rs"]
mod place;
#[path = "demo/program.rs"]
mod program;
#[path = "demo/proxy.rs"]
mod proxy;
#[path = "server.rs"]
mod server;
#[path = "demo/shutdown.rs"]
mod shutdown;
#[path = "demo/timeline.rs"]
mod timeline;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use place::{Init, Kind, Place};
use program::program;
use shutdown::Shutdown;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// `docker stop` sends SIGKILL after 10 seconds unless it is told otherwise.
const LIMIT: Duration = Duration::from_secs(10);
/// Shorter than the limit: sexton says why the server does not stop while somebody still listens.
const GRACE: Duration = Duration::from_secs(8);

struct Options {
    /// Every place that may be tried, the best first.
    places: Vec<Kind>,
    sleep: Duration,
    svg: PathBuf,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
        let mut options = Options {
            places: vec![Kind::Docker, Kind::Namespace, Kind::Subreaper],
            sleep: Duration::from_secs(3),
            svg: target()?.join("demo.svg"),
        };
        let mut arguments = arguments.peekable();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--in" => options.places = vec![value()?.parse()?],
                "--pre-stop-sleep" => options.sleep = Duration::from_secs(value()?.trim_end_matches('s').parse()?),
                "--svg" => options.svg = value()?.into(),
                _ => return Err(format!("{name} is not an option of the demo").into()),
            }
        }
        if options.sleep >= GRACE {
            return Err(format!("the pre-stop sleep must be shorter than {GRACE:?}").into());
        }
        Ok(options)
    }
}

/// cargo's target folder: this program is its debug/examples/demo.
fn target() -> Result<PathBuf, Box<dyn Error>> {
    let itself = std::env::current_exe()?;
    Ok(itself.ancestors().nth(3).ok_or("the demo is not in a target folder")?.to_owned())
}

/// A folder beside the picture for the files of one run, removed with it.
struct Work(PathBuf);

impl Work {
    fn new(sexton: &Path, svg: &Path) -> Result<Work, Box<dyn Error>> {
        let folder = std::path::absolute(svg)?.with_file_name(format!("demo-{}", names::random()));
        let work = Work(folder);
        fs::create_dir(&work.0)?;
        fs::copy(sexton, work.0.join("sexton"))?;
        fs::copy(std::env::current_exe()?, work.0.join("server"))?;
        Ok(work)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The sexton to show.
fn sexton() -> Result<PathBuf, Box<dyn Error>> {
    if let Some(file) = std::env::var_os("TEST_BINARY") {
        return Ok(file.into());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut build = program(cargo);
    build.args(["build", "--release", "--bin", "sexton", "--manifest-path", manifest]);
    build.arg("--target-dir").arg(target()?).current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = build.stdout(Stdio::null()).status().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err("sexton could not be built".into());
    }
    Ok(target()?.join("release/sexton"))
}

fn demo() -> Result<bool, Box<dyn Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let work = Work::new(&sexton()?, &options.svg)?;
    let mut place = find_place(&options.places, &work.0)?;
    timeline::print(&timeline::wrap(&place.describe(), 0))?;
    timeline::print(&timeline::legend())?;
    let mut shutdowns = Vec::new();
    for init in [place.other_init(), Init::Sexton] {
        timeline::print("")?;
        shutdowns.push(Shutdown::watch(&mut place, init, options.sleep, &interrupted)?);
    }
    drop(place);
    let picture = work.0.join("demo.svg");
    fs::write(&picture, picture::draw(&shutdowns))?;
    fs::rename(&picture, &options.svg)?;
    timeline::print("")?;
    conclude(&shutdowns, &options.svg)
}

/// The first place in which a server answers.
fn find_place(kinds: &[Kind], work: &Path) -> Result<Place, Box<dyn Error>> {
    let mut why = String::new();
    for kind in kinds {
        match Place::try_out(*kind, work) {
            Ok(place) => {
                if !why.is_empty() {
                    timeline::print(&timeline::wrap(&why, 0))?;
                }
                return Ok(place);
            }
            Err(error) => why += &format!("{}{kind}: {error}.", if why.is_empty() { "" } else { " " }),
        }
    }
    Err(why.into())
}

fn conclude(shutdowns: &[Shutdown], svg: &Path) -> Result<bool, Box<dyn Error>> {
    for shutdown in shutdowns {
        timeline::print(&timeline::wrap(&shutdown.summary(), 2))?;
    }
    timeline::print(&format!("The picture: {}", svg.display()))?;
    let faults: Vec<String> =
        shutdowns.iter().filter(|one| one.init == Init::Sexton).flat_map(Shutdown::faults).collect();
    if faults.is_empty() {
        timeline::print("good: sexton lost no request")?;
    } else {
        timeline::print(&timeline::wrap(&format!("NOT GOOD with sexton: {}", faults.join("; ")), 2))?;
    }
    Ok(faults.is_empty())
}

fn main() -> ExitCode {
    let name = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    // This program is the server, too, and what starts the server.
    let result = match (name.file_name().and_then(|name| name.to_str()), std::env::args().nth(1).as_deref()) {
        (Some("server"), _) => server::main().map(|()| true).map_err(Box::from),
        (_, Some(place::HOLD)) => place::hold(std::env::args_os().skip(2)),
        (_, Some(place::INSIDE)) => place::inside(std::env::args_os().skip(2)),
        _ => demo(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Status 0, or cargo would say something.
        Err(error) if error.is::<timeline::NobodyReads>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}
