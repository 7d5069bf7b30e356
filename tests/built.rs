//! Whoever builds sexton, in whichever way, gets a static file or a sentence that says what to type.

mod harness;

use std::path::{Path, PathBuf};
use std::process::Output;

use harness::{Folder, command, needs};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Types a line in a shell, in this folder, as somebody who has never built sexton. With --locked cargo
/// takes the crates that it has. Without optimisation: most of the time goes into compiling, and it
/// changes nothing.
fn typed(folder: &Path, line: &str) -> Output {
    let mut shell = command("sh");
    shell.args(["-c", line]).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_") && name != "CARGO_HOME" || name.contains("RUSTFLAGS") {
            shell.env_remove(name.as_ref());
        }
    }
    // It stays for the next time.
    shell.env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
    shell.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "none");
    shell.output().unwrap()
}

/// Beside what cargo builds for the tests.
fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("built")
}

/// What the refusal wants to be put in front of the command.
fn what_to_type(refused: &Output) -> String {
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{text}");
    assert!(text.contains("error: sexton would not be a static file"), "{text}");
    let (_, rest) = text.split_once("in front of the command: ").unwrap_or_else(|| panic!("{text}"));
    let (flags, opt_out) = rest.split_once(". If you want a dynamic file all the same: ").unwrap();
    assert!(opt_out.starts_with("ALLOW_DYNAMIC_SEXTON=1\n"), "{opt_out}");
    flags.to_owned()
}

#[track_caller]
fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whether the file asks for a loader.
fn is_dynamic(file: &Path) -> bool {
    let readelf = command("readelf").args(["--wide", "--program-headers"]).arg(file).output();
    let readelf = readelf.expect("readelf is missing: apt-get install binutils");
    succeeded(&readelf);
    String::from_utf8_lossy(&readelf.stdout).contains("INTERP")
}

/// RUSTFLAGS replaces what .cargo/config.toml says, and every packager has some.
#[test]
fn a_build_with_rustflags_of_ones_own_is_refused_and_what_the_sentence_says_makes_it_static() {
    let (source, build) = (Path::new(SOURCE), "cargo build --locked --bin sexton");
    let flags = what_to_type(&typed(source, &format!("RUSTFLAGS='--cfg some=\"thing\"' {build}")));
    assert_eq!(flags, "RUSTFLAGS='--cfg some=\"thing\" -C target-feature=+crt-static'");
    succeeded(&typed(source, &format!("{flags} {build}")));
    assert!(!is_dynamic(&target().join("debug/sexton")));
}

/// cargo reads the settings of the folder that it installs from.
#[test]
fn cargo_install_from_a_folder_makes_a_static_file_wherever_it_is_typed() {
    let folder = Folder::new();
    succeeded(&typed(&folder.0, &format!("cargo install --locked --debug --root {} --path {SOURCE}", folder.path(""))));
    assert!(!is_dynamic(&folder.0.join("bin/sexton")));
}

/// cargo reads no settings of a repository, nor of a package from a registry.
#[test]
fn cargo_install_from_a_repository_is_refused_unless_it_is_meant_to_be_dynamic() {
    needs!(GIT);
    let folder = Folder::new();
    let root = folder.path("");
    // A home of its own, with the usual crates: a checkout would stay in the usual one. And not below
    // sexton's source, for where the home is, and above it, cargo looks for settings.
    let usual = std::env::var_os("CARGO_HOME")
        .map_or_else(|| Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cargo"), PathBuf::from);
    let home = folder.0.join("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::symlink(usual.join("registry"), home.join("registry")).unwrap();
    // It may say where crates come from.
    let _ = std::fs::copy(usual.join("config.toml"), home.join("config.toml"));
    let repository = folder.path("repository");
    let commit = format!(
        "mkdir {repository} && git ls-files --cached --others --exclude-standard | xargs cp --parents -t {repository} && \
         cd {repository} && git init -q && git add -A && git -c user.name=test -c user.email=test@test commit -qm test"
    );
    succeeded(&typed(Path::new(SOURCE), &commit));
    let typed = |before: &str| {
        let variables = format!("CARGO_HOME={} CARGO_TARGET_DIR={}", home.display(), folder.path("target"));
        let install = format!("cargo install --locked --debug --root {root} --git file://{repository} sexton");
        typed(&folder.0, &format!("export {variables}; {before} {install}"))
    };
    // Without a network it takes two: the repository is fetched, the list of crates cannot be.
    typed("CARGO_NET_OFFLINE=false CARGO_NET_RETRY=0 CARGO_HTTP_PROXY=127.0.0.1:1");
    for before in ["", "ALLOW_DYNAMIC_SEXTON=0"] {
        assert_eq!(what_to_type(&typed(before)), "RUSTFLAGS='-C target-feature=+crt-static'");
    }
    succeeded(&typed("ALLOW_DYNAMIC_SEXTON=1"));
    assert!(is_dynamic(&folder.0.join("bin/sexton")));
}

/// What `cargo package` makes is all that a build needs, without git.
#[test]
fn the_package_of_the_crate_builds_alone_is_static_and_knows_its_commit() {
    needs!(GIT);
    let folder = Folder::new();
    let source = Path::new(SOURCE);
    succeeded(&typed(source, "cargo package --locked --allow-dirty --no-verify --quiet"));
    let unpack = format!("tar -C {} -xzf {}/package/sexton-{VERSION}.crate", folder.path(""), target().display());
    succeeded(&typed(source, &unpack));
    let crate_ = folder.0.join(format!("sexton-{VERSION}"));
    for left_out in ["tests", "integration", "docs", "benches", "fuzz", "Makefile"] {
        assert!(!crate_.join(left_out).exists(), "{left_out} is in the package");
    }
    // Not where the other tests build theirs.
    let target = target().join("crate");
    succeeded(&typed(&crate_, &format!("CARGO_TARGET_DIR={} cargo build --locked --bin sexton", target.display())));
    assert!(!is_dynamic(&target.join("debug/sexton")));
    let commit = typed(source, "git rev-parse HEAD");
    let commit = String::from_utf8_lossy(&commit.stdout);
    let version = command(target.join("debug/sexton")).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    assert_eq!(version.trim_end(), format!("sexton {VERSION} - git.{}", &commit[..7]));
}

/// An entry that is not there is one of the linker's choice: the file would crash at its first instruction.
#[test]
fn only_a_machine_that_has_a_first_instruction_of_ours_starts_at_it() {
    let folder = Folder::new();
    let script = folder.path("build-script");
    succeeded(&typed(Path::new(SOURCE), &format!("rustc --edition 2024 -o {script} build.rs")));
    for (machine, ours) in [("x86_64", true), ("aarch64", true), ("riscv64", false), ("s390x", false)] {
        let line = format!("CARGO_CFG_TARGET_ARCH={machine} CARGO_CFG_TARGET_FEATURE=crt-static {script}");
        let output = typed(Path::new(SOURCE), &line);
        succeeded(&output);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.contains("--entry=sexton_start"), ours, "{machine}: {said}");
        assert!(!said.contains("rustc-cfg=refused"), "{machine}: {said}");
    }
    let first = std::fs::read_to_string(format!("{SOURCE}/src/sys/first.rs")).unwrap();
    assert_eq!(first.matches("\"sexton_start:\"").count(), 2, "build.rs knows of two machines");
}
