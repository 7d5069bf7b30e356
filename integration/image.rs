//! What goes into an image: the repository's own Dockerfile and its context, and the image of a release.

mod harness;
mod made;

use harness::names::Folder;
use made::{Image, typed};

/// The paths of all files in an image.
fn files(image: &Image) -> Vec<String> {
    let list =
        typed(&format!("id=$(docker create {} x); docker export $id | tar --list; docker rm $id >/dev/null", image.0));
    // The engine adds mount points and empty files of its own.
    let of_the_engine =
        |path: &&str| ["dev/", "proc/", "sys/", "etc/", ".dockerenv"].iter().any(|own| path.starts_with(own));
    list.lines().filter(|path| !path.ends_with('/') && !of_the_engine(path)).map(str::to_owned).collect()
}

/// An image's own list of the bytes of its layers.
fn size(image: &Image) -> u64 {
    typed(&format!("docker image inspect --format '{{{{.Size}}}}' {}", image.0)).trim().parse().unwrap()
}

#[test]
fn a_build_in_the_repository_sends_what_is_compiled_and_the_release_files_and_nothing_else() {
    let folder = Folder::new();
    let dockerfile = folder.path("Dockerfile");
    std::fs::write(&dockerfile, "FROM scratch\nCOPY . /\n").unwrap();
    let image = Image::named("context").build(&format!("--file {dockerfile} ."));
    let files = files(&image);
    let is_wanted = |path: &&String| {
        ["src/", "dist/sexton-linux-"].iter().any(|folder| path.starts_with(folder))
            || ["Cargo.toml", "Cargo.lock", "LICENSE", "build.rs", ".cargo/config.toml"].contains(&path.as_str())
    };
    let unwanted: Vec<_> = files.iter().filter(|path| !is_wanted(path)).collect();
    assert!(unwanted.is_empty(), "{unwanted:?}");
    assert!(files.iter().any(|path| path == "src/main.rs"), "{files:?}");
    assert!(size(&image) < 6_000_000, "{} bytes", size(&image));
}

/// A bare Debian with this machine's Rust and crates stands for the image of Rust.
#[test]
fn the_dockerfile_makes_an_image_of_one_static_file_that_another_build_copies_from() {
    let rust = Image::named("rust");
    let folder = Folder::new();
    // Quickly built rather than quick.
    typed(&format!(
        "tar -C {root} -xf $(integration/debian) && mkdir {root}/rust && \
         (cd $(rustc --print sysroot) && cp -a --parents bin/cargo bin/rustc lib/*.so* \
            lib/rustlib/*-linux-gnu {root}/rust) && \
         cargo vendor --quiet --locked {root}/crates >/dev/null && \
         printf '%s\\n' '[source.crates-io]' 'replace-with = \"here\"' '[source.here]' 'directory = \"/crates\"' \
            >{root}/rust/config.toml && \
         tar -C {root} -c . | docker import --change 'LABEL {run}=' --change 'ENV PATH=/rust/bin:/usr/bin:/bin CARGO_HOME=/rust \
            CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0' - {image} >/dev/null",
        root = folder.0.display(),
        image = rust.0,
        run = harness::run_name()
    ));
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let arguments = format!("--network none --build-arg RUST={} --build-arg SOURCE_COMMIT={commit}", rust.0);
    let sexton = Image::named("sexton").build(&format!("{arguments} ."));
    assert_eq!(files(&sexton), ["sexton"]);
    let version = typed(&format!("docker run --rm --network none --entrypoint /sexton {} --version", sexton.0));
    assert_eq!(version.trim(), concat!("sexton ", env!("CARGO_PKG_VERSION"), " - git.0123456"));

    sexton.runs_in_another_one();
}
