//! Has the linker start sexton at its own first instruction (src/sys/first.rs), says why a file that
//! would not be static is refused (src/main.rs), and tells the program the commit that it was built from.

use std::path::Path;
use std::process::Command;

/// What stands for the commit where there is no git checkout, as in a source archive.
const NO_COMMIT: &str = "0000000";

/// The machines that src/sys/first.rs has a first instruction for. Elsewhere it is libc's.
const OWN_ENTRY: [&str; 7] = ["x86_64", "aarch64", "riscv64", "powerpc64", "s390x", "arm", "x86"];

/// Whoever wants a file that is not static says so here. Not with a name of our own variables: sexton
/// warns of those that it does not know.
const OPT_OUT: &str = "ALLOW_DYNAMIC_SEXTON";

/// Names the commit where there is no git checkout, as in the build of an image (Dockerfile).
const COMMIT: &str = "SOURCE_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Cargo does not see what the release files are linked with.
    println!("cargo::rerun-if-changed=.cargo/hot.ld");
    println!("cargo::rerun-if-env-changed={OPT_OUT}");
    println!("cargo::rustc-check-cfg=cfg(refused_as_dynamic)");
    let encoded = variable("CARGO_ENCODED_RUSTFLAGS");
    let flags: Vec<_> = encoded.split('\u{1f}').filter(|flag| !flag.is_empty()).collect();
    let is_static = variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    tell_linker(&flags, is_static);
    if !is_static && matches!(variable(OPT_OUT).as_str(), "" | "0") {
        println!("cargo::rustc-cfg=refused_as_dynamic");
        println!("cargo::rustc-env=SEXTON_REFUSED={}", refusal(&flags));
    }
    println!("cargo::rustc-env=SEXTON_COMMIT={}", commit().unwrap_or_else(|| NO_COMMIT.into()));
}

/// What the linker is told of the program.
fn tell_linker(flags: &[&str], is_static: bool) {
    let mut options = Vec::new();
    let machine = variable("CARGO_CFG_TARGET_ARCH");
    // Big-endian powerpc64 has another calling convention.
    let is_other = machine == "powerpc64" && variable("CARGO_CFG_TARGET_ENDIAN") != "little";
    if OWN_ENTRY.contains(&machine.as_str()) && !is_other {
        options.push("--entry=sexton_start");
    }
    if is_static {
        // rustc's libraries end in -Bdynamic, which mold 1.10 takes for the end of -static: what it links then crashes.
        options.push("-Bstatic");
    }
    if is_static && variable("CARGO_CFG_TARGET_ENV") == "musl" {
        // musl-gcc names the loader in any case. lld and mold write the name down, and the file crashes.
        options.push("--no-dynamic-linker");
    }
    // A linker may stand where a C compiler is usual, and knows no -Wl.
    let prefix = if linker(flags).ends_with("ld") { "" } else { "-Wl," };
    for option in options {
        println!("cargo::rustc-link-arg-bin=sexton={prefix}{option}");
    }
}

/// The name of what links, as in `musl-gcc`, or `ld` for `ld.lld`; nothing if it is the usual one.
fn linker(flags: &[&str]) -> String {
    let target = variable("TARGET").to_uppercase().replace('-', "_");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_{target}_LINKER");
    let chosen = |flag: &&str| flag.trim_start_matches("-C").strip_prefix("linker=").map(str::to_owned);
    let linker = flags.iter().rev().find_map(chosen).unwrap_or_else(|| variable("RUSTC_LINKER"));
    Path::new(&linker).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is wrong with a file that is not static, and what to type. The flags are those of this build.
fn refusal(flags: &[&str]) -> String {
    let flags = [flags, &["-C target-feature=+crt-static"]].concat().join(" ").replace('\'', "'\\''");
    format!(
        "sexton would not be a static file: it would not start in an image without a loader, and as PID 1 would lose \
         the signals that come while the loader is at work. The flags in .cargo/config.toml make it static, but \
         RUSTFLAGS replaces them, and `cargo install` from elsewhere does not read them. Put this in front of the \
         command: RUSTFLAGS='{flags}'. If you want a dynamic file all the same: {OPT_OUT}=1"
    )
}

/// The value of a variable; nothing if it is unset.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// The first seven digits of the commit: dockerd takes no more from `docker-init --version`.
fn commit() -> Option<String> {
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let commit = Some(variable(COMMIT)).filter(|commit| !commit.is_empty()).or_else(checked_out).or_else(packaged)?;
    (commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| commit[..7].to_owned())
}

/// The commit of a package that `cargo package` made.
fn packaged() -> Option<String> {
    let info = std::fs::read_to_string(Path::new(&source()).join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = info.split_once("\"sha1\": \"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// The commit of a git checkout.
fn checked_out() -> Option<String> {
    // A checkout of something else around us says nothing about sexton.
    let top = Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if top != Path::new(&source()).canonicalize().ok()? {
        return None;
    }
    // git appends to this file whenever another commit is checked out.
    let log = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "HEAD"])
}

#[allow(clippy::disallowed_methods)] // those of the tests are meant
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).current_dir(source()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// The folder of Cargo.toml.
fn source() -> String {
    std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".into())
}
