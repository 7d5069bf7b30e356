//! The manifest of docs/kubernetes.md, so that what it says is what was tried.

use std::fs;
use std::time::Duration;

/// Its YAML.
pub fn text() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/kubernetes.md");
    let text = fs::read_to_string(path).unwrap();
    let manifest = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    manifest.unwrap_or_else(|| panic!("{path} has no manifest")).to_owned()
}

/// `terminationGracePeriodSeconds`
pub fn limit(manifest: &str) -> Duration {
    let seconds = manifest.lines().find_map(|line| line.trim().strip_prefix("terminationGracePeriodSeconds: "));
    Duration::from_secs(seconds.and_then(|seconds| seconds.parse().ok()).expect("a number of seconds"))
}

/// The names and values of `env`.
pub fn env(manifest: &str) -> Vec<(&str, &str)> {
    manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- {name: ")?.strip_suffix('}')?.split_once(", value: "))
        .collect()
}
