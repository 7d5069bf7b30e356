//! The program, from its first line to its last.

#![no_main]

// Here and not in build.rs, which the library's users run as well: tests, fuzz targets, documentation.
#[cfg(all(refused_as_dynamic, not(clippy)))]
compile_error!(env!("SEXTON_REFUSED"));

use sexton::check::{self, Check};
use sexton::cli::{self, Request, UsageError};
use sexton::config::Config;
use sexton::signal::Signal;
use sexton::sys::{Allocator, Start};
use sexton::{report, supervisor};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// `main` itself: blocks every signal, then calls `sexton`.
sexton::c_main!(sexton);

/// Parse, run, and give back the exit status.
fn sexton(start: Start) -> u8 {
    let parsed = cli::parse(start.args, start.environment);
    let done = match parsed.request {
        Ok(Request::Run(config)) => Ok(run(&config, &start)),
        Ok(Request::Print(text)) => report::print(&text).map(|()| 0),
        Ok(Request::Check(check)) => Ok(checked(&check, &start)),
        Err(UsageError(sentence)) => Err(sentence),
    };
    done.unwrap_or_else(|sentence| {
        report::usage(&sentence);
        parsed.usage_status
    })
}

fn run(config: &Config, start: &Start) -> u8 {
    report::init(config);
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    if config.pause { supervisor::pause::run(config) } else { supervisor::run(config, start) }
}

/// The health check: no command, and no PID 1.
// Not a part of its caller, whose pages every start touches.
#[cold]
#[inline(never)]
fn checked(check: &Check, start: &Start) -> u8 {
    // Whoever runs it may want to end it; but a pipe that nobody reads is no reason to die.
    start.inherited.give_back_but(Signal::PIPE);
    let seen = check::run(check);
    report::print_at_once(seen.line);
    u8::from(!seen.is_well)
}
