//! The image of the tests, built once for all of their processes.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::fcntl::{Flock, FlockArg};

use super::run::{docker, finish, installed, try_docker};
use super::{engine, run_name};

/// The image's name without its tag.
pub const REPOSITORY: &str = "sexton-test";

/// What `docker build` gets to see.
const CONTEXT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/integration-context");

/// The image's name. Built if there is none yet with this sexton, this probe and this Dockerfile.
pub fn test_image() -> String {
    static IMAGE: OnceLock<String> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        let image = build();
        // What sexton is to find in its place.
        if engine().kind.has_init() {
            derive(&image, "ENTRYPOINT []\nCMD [\"/probe\", \"record\", \"15\", \"0\"]")
        } else {
            image
        }
    });
    image.clone()
}

/// The test image with instructions of a Dockerfile on top.
pub fn with_instructions(instructions: &str) -> String {
    derive(&test_image(), instructions)
}

fn derive(base: &str, instructions: &str) -> String {
    let _lock = lock();
    let dockerfile = format!("FROM {base}\n{instructions}\n");
    let image = format!("{REPOSITORY}:{}", hash_of(&[dockerfile.as_bytes()]));
    if !exists(&image) {
        let folder = Path::new(CONTEXT).join("derived");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
        docker_build(&image, &folder.join("Dockerfile"), &folder);
    }
    image
}

/// An image of these files and nothing else, built by this Dockerfile.
pub fn made_of(files: &[(&str, PathBuf)], dockerfile: &str) -> String {
    require_engine();
    let _lock = lock();
    let read = |path: &PathBuf| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut contents: Vec<Vec<u8>> = files.iter().map(|(_, path)| read(path)).collect();
    contents.push(dockerfile.into());
    let hash = hash_of(&contents);
    let image = format!("{REPOSITORY}:{hash}");
    if !exists(&image) {
        let folder = Path::new(CONTEXT).join(&hash);
        fs::create_dir_all(&folder).unwrap();
        for (name, path) in files {
            fs::copy(path, folder.join(name)).unwrap();
        }
        fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
        docker_build(&image, &folder.join("Dockerfile"), &folder);
    }
    image
}

/// These images as a file, for engines that take one in from there.
pub fn archive(images: &[String]) -> PathBuf {
    let _lock = lock();
    let file = Path::new(CONTEXT).join(format!("images-{}.tar", hash_of(images)));
    if !file.exists() {
        let part = file.with_extension("part");
        let line = [&["save".to_owned(), format!("--output={}", part.display())], images].concat();
        docker(line).succeeded();
        fs::rename(&part, &file).unwrap();
    }
    file
}

fn build() -> String {
    require_engine();
    let _lock = lock();
    let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile.test");
    let parts = [("sexton", sexton()), ("probe", probe()), ("busybox", busybox())];
    let read = |path: &PathBuf| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut contents: Vec<Vec<u8>> = parts.iter().map(|(_, path)| read(path)).collect();
    contents.push(read(&dockerfile));
    let image = format!("{REPOSITORY}:{}", hash_of(&contents));
    if exists(&image) {
        return image;
    }
    // Images that this folder's earlier builds left behind and that no container uses.
    try_docker(["image", "prune", "--all", "--force", "--filter", &format!("label={}", label())]).ok();
    let _ = fs::remove_dir_all(CONTEXT);
    fs::create_dir_all(CONTEXT).unwrap();
    for (name, path) in &parts {
        fs::copy(path, Path::new(CONTEXT).join(name)).unwrap();
    }
    docker_build(&image, &dockerfile, Path::new(CONTEXT));
    image
}

fn docker_build(image: &str, dockerfile: &Path, context: &Path) {
    let (dockerfile, context) = (dockerfile.to_str().unwrap(), context.to_str().unwrap());
    let (label, run) = (label(), run_name());
    let labels = ["--label", &label, "--label", &run];
    let line = [&["build", "--network=none", "--tag", image, "--file", dockerfile], &labels[..], &[context]].concat();
    docker(line).succeeded();
}

fn exists(image: &str) -> bool {
    docker(["image", "inspect", "--format={{.Id}}", image]).status == Some(0)
}

/// Tells this folder's images from those of another checkout that uses the same engine.
fn label() -> String {
    format!("{REPOSITORY}.checkout={}", hash_of(&[env!("CARGO_MANIFEST_DIR").as_bytes()]))
}

fn hash_of<T: Hash>(things: &[T]) -> String {
    let mut hasher = DefaultHasher::new();
    things.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// One process at a time builds; the others find the image afterwards.
fn lock() -> Flock<File> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("integration.lock");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(&path).unwrap();
    Flock::lock(file, FlockArg::LockExclusive).unwrap_or_else(|(_, errno)| panic!("{}: {errno}", path.display()))
}

/// Fails with a sentence that helps if no engine answers. A test that was skipped proves nothing.
fn require_engine() {
    let why = match try_docker(["version", "--format={{.Server.Version}}"]) {
        Ok(version) if version.status == Some(0) => return,
        Ok(version) => version.stderr,
        Err(why) => why,
    };
    panic!(
        "no Docker engine answers: {}\n\
         These tests drive a real one. Install it (Debian: apt-get install docker.io), start it (systemctl start \
         docker, or dockerd as root), and run the tests as a user who may talk to it (root, or a member of the group \
         docker); DOCKER_HOST names an engine elsewhere.",
        why.trim()
    );
}

/// The sexton under test: the one named by TEST_BINARY (`make integration` names the release
/// build), else the one that cargo built for the tests.
pub fn sexton() -> PathBuf {
    std::env::var_os("TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_sexton").into(), PathBuf::from)
}

/// The tests' own command.
pub fn probe() -> PathBuf {
    example("probe")
}

/// One of examples/. Cargo builds none for a single test, so this asks it to.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // PROFILE/deps/TEST
    let folder = test.ancestors().nth(2).unwrap();
    if let Some(cargo) = std::env::var_os("CARGO") {
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(profile) => profile,
        };
        let mut command = super::command(cargo);
        command.args(["build", "--quiet", "--example", name, "--profile", profile]);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        let built = finish(command).unwrap_or_else(|why| panic!("{why}"));
        built.succeeded();
    }
    let example = folder.join("examples").join(name);
    assert!(example.exists(), "{} is missing: run `cargo build --example {name}` first", example.display());
    example
}

/// A busybox of this machine. That it is static shows when the build runs it.
pub fn busybox() -> PathBuf {
    installed("busybox", "busybox-static")
}
