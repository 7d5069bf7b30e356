//! Whoever builds sexton, in whichever way, gets a static file or a sentence that says what to type.

mod harness;
#[path = "built/typed.rs"]
mod typed;

use std::path::{Path, PathBuf};
use std::process::Output;

use harness::{Folder, command, needs};
use typed::{is_dynamic, succeeded, target, typed};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");

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

/// RUSTFLAGS replaces what .cargo/config.toml says, and every packager has some.
#[test]
fn a_build_with_rustflags_of_ones_own_is_refused_and_what_the_sentence_says_makes_it_static() {
    let (source, build) = (Path::new(SOURCE), "cargo build --locked --bin sexton");
    let flags = what_to_type(&typed(source, &format!("RUSTFLAGS='--cfg some=\"thing\"' {build}")));
    assert_eq!(flags, "RUSTFLAGS='--cfg some=\"thing\" -C target-feature=+crt-static'");
    succeeded(&typed(source, &format!("{flags} {build}")));
    assert!(!is_dynamic(&target().join("debug/sexton")));
}

/// Flags that cargo has from elsewhere come before ours: these are what the compiler of a musl distribution begins
/// with. With a target named, the file is not where it usually is.
#[test]
fn flags_and_a_target_from_cargos_own_variables_make_no_dynamic_file() {
    let host = typed::host();
    let name = host.to_uppercase().replace('-', "_");
    let dynamic = "'-C target-feature=-crt-static'";
    let variables = format!("CARGO_BUILD_RUSTFLAGS={dynamic} CARGO_TARGET_{name}_RUSTFLAGS={dynamic}");
    let build = format!("{variables} CARGO_BUILD_TARGET={host} cargo build --locked --bin sexton");
    succeeded(&typed(Path::new(SOURCE), &build));
    assert!(!is_dynamic(&target().join(&host).join("debug/sexton")));
}

#[test]
fn a_linker_that_is_not_there_is_named() {
    let output = typed(Path::new(SOURCE), "cargo rustc --locked --bin sexton -- -C linker=no-such-linker");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("error: linker `no-such-linker` not found"), "{text}");
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
fn cargo_install_from_a_repository_or_a_registry_is_refused_unless_it_is_meant_to_be_dynamic() {
    needs!(GIT);
    let folder = Folder::new();
    let root = folder.path("");
    // A home of its own, with the usual crates: a checkout would stay in the usual one. And not below
    // sexton's source, for where the home is, and above it, cargo looks for settings.
    let usual = usual_home();
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
    let home = a_registry(&folder);
    // The crates that this needs are built.
    let variables = format!("CARGO_HOME={home} CARGO_TARGET_DIR={}", folder.path("target"));
    let install = format!("{variables} cargo install --debug --root {root} sexton");
    assert_eq!(what_to_type(&self::typed(&folder.0, &install)), "RUSTFLAGS='-C target-feature=+crt-static'");
    succeeded(&typed("ALLOW_DYNAMIC_SEXTON=1"));
    assert!(is_dynamic(&folder.0.join("bin/sexton")));
}

/// A home for cargo in which the registry is a folder: the usual crates, and sexton.
fn a_registry(folder: &Folder) -> String {
    let (crates, home) = (folder.path("crates"), folder.path("home-with-a-registry"));
    let lines = format!(
        "mkdir {crates} {home}
         cargo package --locked --allow-dirty --no-verify --quiet
         tar -C {crates} -xzf {}/package/sexton-{VERSION}.crate
         cp -r $CARGO_HOME/registry/src/*/* {crates}
         for crate in {crates}/*; do echo '{{\"files\": {{}}, \"package\": null}}' >$crate/.cargo-checksum.json; done",
        target().display()
    );
    succeeded(&typed(Path::new(SOURCE), &format!("set -e; export CARGO_HOME={}; {lines}", usual_home().display())));
    let settings = format!("[source.crates-io]\nreplace-with = 'folder'\n[source.folder]\ndirectory = '{crates}'\n");
    std::fs::write(format!("{home}/config.toml"), settings).unwrap();
    // What only the tests need may not be here.
    let manifest = format!("{crates}/sexton-{VERSION}/Cargo.toml");
    let sections = std::fs::read_to_string(&manifest).unwrap();
    let sections = sections.split("\n[").filter(|section| !section.starts_with("dev-dependencies"));
    std::fs::write(manifest, sections.collect::<Vec<_>>().join("\n[")).unwrap();
    home
}

/// Where cargo keeps the crates that it has.
fn usual_home() -> PathBuf {
    std::env::var_os("CARGO_HOME")
        .map_or_else(|| Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cargo"), PathBuf::from)
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
    // What a machine says of all builds does not take ours away.
    let dynamic = "rustflags = ['-C', 'target-feature=-crt-static']";
    let settings = format!("[build]\n{dynamic}\n[target.'cfg(target_os = \"linux\")']\n{dynamic}\n");
    std::fs::create_dir(folder.0.join(".cargo")).unwrap();
    std::fs::write(folder.0.join(".cargo/config.toml"), settings).unwrap();
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
    let with_ours = ["x86_64", "aarch64", "riscv64", "s390x", "arm", "x86", "powerpc64 CARGO_CFG_TARGET_ENDIAN=little"];
    let without = ["powerpc64 CARGO_CFG_TARGET_ENDIAN=big", "loongarch64"];
    for (machine, ours) in with_ours.map(|machine| (machine, true)).into_iter().chain(without.map(|it| (it, false))) {
        let line = format!("CARGO_CFG_TARGET_FEATURE=crt-static CARGO_CFG_TARGET_ARCH={machine} {script}");
        let output = typed(Path::new(SOURCE), &line);
        succeeded(&output);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.contains("--entry=sexton_start"), ours, "{machine}: {said}");
        assert!(!said.contains("rustc-cfg=refused"), "{machine}: {said}");
    }
    let first = std::fs::read_to_string(format!("{SOURCE}/src/sys/first.rs")).unwrap();
    assert_eq!(first.matches("\"sexton_start:\"").count(), with_ours.len(), "build.rs knows of so many");
}

/// What a linker of another kind is told is what it knows. `integration/toolchains.rs` links with each.
#[test]
fn a_linker_in_the_place_of_a_compiler_is_told_in_its_own_words() {
    let folder = Folder::new();
    let script = folder.path("build-script");
    succeeded(&typed(Path::new(SOURCE), &format!("rustc --edition 2024 -o {script} build.rs")));
    let musl = "CARGO_CFG_TARGET_ARCH=x86_64 CARGO_CFG_TARGET_ENV=musl CARGO_CFG_TARGET_FEATURE=crt-static";
    let options = ["--entry=sexton_start", "-Bstatic", "--no-dynamic-linker"];
    for (linker, prefix) in [
        ("", "-Wl,"),
        ("RUSTC_LINKER=musl-gcc", "-Wl,"),
        ("RUSTC_LINKER=/usr/bin/clang CARGO_ENCODED_RUSTFLAGS=-Clinker=cc", "-Wl,"),
        ("RUSTC_LINKER=rust-lld", ""),
        ("RUSTC_LINKER=musl-gcc CARGO_ENCODED_RUSTFLAGS=-Clinker=/usr/bin/ld.lld", ""),
    ] {
        let output = typed(Path::new(SOURCE), &format!("{musl} {linker} {script}"));
        succeeded(&output);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let told: Vec<_> =
            said.lines().filter_map(|line| line.strip_prefix("cargo::rustc-link-arg-bin=sexton=")).collect();
        assert_eq!(told, options.map(|option| format!("{prefix}{option}")), "{linker}");
    }
}
