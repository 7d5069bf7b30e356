//! `integration/need` names what a target of the Makefile needs and is not here, in a line to paste.

mod harness;

use std::fs;

use harness::{Folder, command};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// Its exit status and what it says, where these programs are all that there are.
fn need(programs: &[&str], words: &[&str]) -> (Option<i32>, String) {
    let folder = Folder::new();
    for name in programs {
        std::os::unix::fs::symlink(format!("/usr/bin/{name}"), folder.path(name)).unwrap();
    }
    let mut need = command("/bin/bash");
    need.arg(format!("{SOURCE}/integration/need")).args(words);
    let output = need.env("PATH", &folder.0).env("CARGO_HOME", &folder.0).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

const ITS_OWN: &[&str] = &["cat", "dirname", "grep", "id", "sed", "sort", "tr"];

#[test]
fn what_is_missing_is_named_in_one_line_to_paste() {
    let (status, said) = need(ITS_OWN, &["test"]);
    assert_eq!(status, Some(1), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let [named, paste] = lines[..] else { panic!("{said}") };
    assert!(named.starts_with("make test: missing here: cc, static-libc, git, "), "{said}");
    for package in [" binutils", " gcc", " libc6-dev", " npm", " strace", " tini"] {
        assert!(paste.contains("apt-get install --no-install-recommends -y ") && paste.contains(package), "{said}");
    }
    let is_root = nix::unistd::geteuid().is_root();
    assert_eq!(paste.contains("sudo apt-get update && sudo apt-get install"), !is_root, "{said}");
}

#[test]
fn a_target_that_nobody_has_listed_is_an_error() {
    let (status, said) = need(ITS_OWN, &["no-such-target"]);
    assert_eq!((status, said.as_str()), (Some(2), "need: no target is called no-such-target\n"));
}

/// The list and the Makefile know the same names, and nothing is listed twice.
#[test]
fn every_target_of_the_list_is_one_of_the_makefile() {
    let list = fs::read_to_string(format!("{SOURCE}/integration/need")).unwrap();
    let makefile = fs::read_to_string(format!("{SOURCE}/Makefile")).unwrap();
    let (_, table) = list.split_once("<<'TABLE'\n").unwrap();
    let (table, _) = table.split_once("\nTABLE\n").unwrap();
    let is_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    let mut seen = 0;
    for (line, name) in table.lines().flat_map(|line| line.split_whitespace().skip(2).map(move |name| (line, name))) {
        // All targets, the release files of each machine, and what .github/workflows/release.yml does at the end.
        let is_known = ["all", "dist-all", "dist-amd64", "dist-*", "publish"].contains(&name) || is_target(name);
        assert!(is_known, "{name} is no target of the Makefile: {line}");
        seen += 1;
    }
    assert!(seen > 50, "the list has {seen} entries");
    let mut rows: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let all = rows.len();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), all, "a program is listed twice");
}
