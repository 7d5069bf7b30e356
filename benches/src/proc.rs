//! What the kernel says about a process (proc(5)).

use std::fs::read_to_string;

/// A field of /proc/PID/status.
pub fn field(pid: i32, name: &str) -> Option<String> {
    field_of(&format!("/proc/{pid}/status"), name)
}

fn field_of(file: &str, name: &str) -> Option<String> {
    let text = read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

fn number(text: Option<String>) -> Option<f64> {
    text?.split_whitespace().next()?.parse().ok()
}

/// How many times it went off its CPU.
pub fn switches(pid: i32) -> Option<f64> {
    let switches = |name| number(field(pid, name));
    Some(switches("voluntary_ctxt_switches")? + switches("nonvoluntary_ctxt_switches")?)
}

/// A field of /proc/PID/smaps_rollup, in kB.
pub fn rollup(pid: i32, name: &str) -> Option<f64> {
    number(field_of(&format!("/proc/{pid}/smaps_rollup"), name))
}

/// The page tables, in kB.
pub fn page_tables(pid: i32) -> Option<f64> {
    number(field(pid, "VmPTE"))
}

/// The page faults of the process itself, also while it is dead and not reaped.
pub fn faults(pid: i32) -> Option<f64> {
    let text = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have blanks in it.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let minor: f64 = fields.nth(7)?.parse().ok()?;
    let major: f64 = fields.nth(1)?.parse().ok()?;
    Some(minor + major)
}

/// The nanoseconds that it has been on a CPU.
pub fn cpu_time(pid: i32) -> Option<f64> {
    number(read_to_string(format!("/proc/{pid}/schedstat")).ok())
}

/// Its children.
pub fn children(pid: i32) -> Vec<i32> {
    let text = read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether it waits for something, with nothing left to do.
pub fn is_idle(pid: i32) -> bool {
    field(pid, "State").is_some_and(|state| state.starts_with('S'))
}

/// How many more processes there may be on this machine.
pub fn room() -> Option<usize> {
    let limit =
        |name: &str| -> Option<usize> { read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse().ok() };
    let load = read_to_string("/proc/loadavg").ok()?;
    let used: usize = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    Some(limit("pid_max")?.min(limit("threads-max")?).saturating_sub(used))
}
