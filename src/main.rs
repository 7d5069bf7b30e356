//! The program, from its first line to its last.

#![no_main]

use sexton::cli::{self, Request};
use sexton::sys::Start;
use sexton::{report, supervisor};

// `main` itself: blocks every signal, then calls `sexton`.
sexton::c_main!(sexton);

/// Parse, run, and give back the exit status.
fn sexton(start: Start) -> u8 {
    match cli::parse(start.args, start.environment) {
        Ok(Request::Run(config)) => {
            report::init(&config);
            for warning in &config.warnings {
                log::warn!("{warning}");
            }
            supervisor::run(&config, &start)
        }
        Ok(Request::Print(text)) => report::print(&text),
        Err(usage) => report::usage(&usage),
    }
}
