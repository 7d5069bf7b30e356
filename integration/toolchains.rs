//! The linkers that people have make a static sexton that starts at its own first instruction, and what is set for
//! other builds is nothing to the release files. `tests/built.rs` has what needs nothing but Rust and a linker.

mod harness;
#[path = "../tests/built/typed.rs"]
mod typed;

use std::path::Path;

use harness::names::Folder;
use harness::{command, installed};
use typed::{host, is_dynamic, succeeded, target, typed};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// The linker's name in the file, and what makes rustc take it.
const LINKERS: [(&str, &[&str]); 6] = [
    ("GNU", &["link-arg=-fuse-ld=bfd"]),
    ("LLD", &["link-arg=-fuse-ld=lld"]),
    // Not the one that may come with the compiler.
    ("Debian LLD", &["linker=clang", "link-arg=--ld-path=ld.lld"]),
    ("mold", &["link-arg=-fuse-ld=mold"]),
    ("mold", &["linker=clang", "link-arg=-fuse-ld=mold"]),
    ("GNU", &["linker=clang"]),
];

#[test]
fn each_linker_makes_a_static_file_that_starts_at_its_first_instruction() {
    for (program, package) in [("ld.lld", "lld"), ("mold", "mold"), ("clang", "clang"), ("strace", "strace")] {
        installed(program, package);
    }
    for (name, flags) in LINKERS {
        let flags: String = flags.iter().map(|flag| format!(" -C {flag}")).collect();
        // Only the program itself is built with these flags, so that it takes a second.
        succeeded(&typed(Path::new(SOURCE), &format!("cargo rustc --locked --bin sexton --{flags}")));
        let file = target().join("debug/sexton");
        let linked_by = command("readelf").args(["--string-dump=.comment"]).arg(&file).output().unwrap();
        // GNU ld leaves no name.
        let linked_by = String::from_utf8_lossy(&linked_by.stdout).into_owned();
        let is_gnu = !linked_by.contains("LLD") && !linked_by.contains("mold");
        assert!(if name == "GNU" { is_gnu } else { linked_by.contains(name) }, "{flags}: {linked_by}");
        assert!(!is_dynamic(&file), "{flags}");
        let ended = command(&file).args(["--", "sh", "-c", "exit 7"]).output().unwrap();
        assert_eq!(ended.status.code(), Some(7), "{flags}: {ended:?}");
        let trace = command("strace").arg(&file).arg("--version").output().unwrap();
        let trace = String::from_utf8_lossy(&trace.stderr).into_owned();
        let first = trace.lines().nth(1).unwrap_or_default();
        assert!(first.starts_with("rt_sigprocmask(SIG_SETMASK, ~[], "), "{flags}: {trace}");
    }
}

/// A machine's setting for all builds: the build scripts of the crates are linked by it too.
#[test]
fn with_mold_for_all_builds_the_build_scripts_run() {
    installed("mold", "mold");
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", host().to_uppercase().replace('-', "_"));
    let build = format!("{variable}='-C link-arg=-fuse-ld=mold' cargo build --locked --package libc");
    succeeded(&typed(Path::new(SOURCE), &build));
}

/// What build.rs tells of is so: without the option, musl-gcc has lld and mold make a file that crashes.
#[test]
fn musl_gcc_with_lld_or_mold_needs_to_be_told_that_there_is_no_loader() {
    for (program, package) in [("ld.lld", "lld"), ("mold", "mold"), ("musl-gcc", "musl-tools")] {
        installed(program, package);
    }
    let folder = Folder::new();
    for linker in ["lld", "mold"] {
        for (option, needs_a_loader) in [("", true), ("-Wl,--no-dynamic-linker", false)] {
            let file = folder.0.join("program");
            let compile = format!("musl-gcc -static -no-pie -fuse-ld={linker} {option} -x c -o {} -", file.display());
            succeeded(&typed(&folder.0, &format!("echo 'int main(void) {{ return 7; }}' | {compile}")));
            assert_eq!(is_dynamic(&file), needs_a_loader, "{linker} {option}");
            if !needs_a_loader {
                assert_eq!(command(&file).status().unwrap().code(), Some(7), "{linker}");
            }
        }
    }
}

#[test]
fn the_release_file_has_the_same_bytes_whatever_the_environment_says_of_flags_linkers_and_folders() {
    installed("mold", "mold");
    let folder = Folder::new();
    let sums = || std::fs::read_to_string(format!("{SOURCE}/dist/SHA256SUMS")).unwrap();
    // CARGO_TARGET_DIR is set in any case (tests/built/typed.rs).
    let variable =
        format!("CARGO_TARGET_{}_RUSTFLAGS", host().replace("-gnu", "-musl").to_uppercase().replace('-', "_"));
    let plain = typed(Path::new(SOURCE), "env -u CARGO_TARGET_DIR make dist");
    succeeded(&plain);
    let before = sums();
    let flags = "'-C link-arg=-fuse-ld=mold'";
    let variables = format!("RUSTFLAGS={flags} {variable}={flags} CARGO_TARGET_DIR={}", folder.path("target"));
    let output = typed(Path::new(SOURCE), &format!("{variables} make dist"));
    succeeded(&output);
    assert_eq!(sums(), before);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let sentence = said.lines().find(|line| line.contains("These variables do not count: "));
    let sentence = sentence.unwrap_or_else(|| panic!("{said}"));
    for name in ["RUSTFLAGS", &variable, "CARGO_TARGET_DIR"] {
        assert!(sentence.split(' ').any(|word| word == name), "{sentence}");
    }
}
