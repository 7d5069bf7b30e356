//! What `make release` made: each package is installed, run and removed; each archive holds the very file that
//! SHA256SUMS names.

mod harness;
mod made;

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use harness::names::Folder;
use made::{Image, try_typed, typed};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A machine that a release has files for.
struct Machine {
    /// Docker's name of it, with a hyphen.
    name: &'static str,
    /// Docker's again: system, architecture and perhaps variant.
    platform: &'static str,
    target: &'static str,
    debian: &'static str,
    rpm: &'static str,
}

/// Those of packaging/machines.
fn machines() -> Vec<Machine> {
    let table = include_str!("../packaging/machines");
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let [name, platform, target, debian, _, _, _, _, rpm] =
            row.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
        Machine { name, platform, target, debian, rpm }
    })
    .collect()
}

/// target/manual is written by one test and read by another.
static MANUAL: Mutex<()> = Mutex::new(());

/// dist/, with all that a release has.
fn dist(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(name);
    assert!(path.exists(), "{} is missing: make release", path.display());
    path.to_str().unwrap().to_owned()
}

fn sum(path: &str) -> String {
    typed(&format!("sha256sum {path} | cut -d ' ' -f 1")).trim().to_owned()
}

/// The file of this name that a release has for a machine.
fn raw(machine: &str) -> String {
    dist(&format!("sexton-linux-{machine}"))
}

#[test]
fn the_sums_are_those_of_all_files_and_there_is_no_other_file() {
    typed("cd dist && sha256sum --check --strict --quiet SHA256SUMS");
    let listed = typed("cd dist && cut -c 67- SHA256SUMS");
    assert_eq!(listed, typed("cd dist && ls | grep -v SHA256SUMS"));
    let mut expected = Vec::new();
    for Machine { name, debian, rpm, .. } in machines() {
        expected.extend([
            format!("sexton-linux-{name}"),
            format!("sexton-linux-{name}.cdx.json"),
            format!("sexton-{VERSION}-linux-{name}.tar.gz"),
            format!("sexton-{VERSION}-1.{rpm}.rpm"),
            format!("sexton_{VERSION}-1_{debian}.deb"),
        ]);
    }
    expected.push(format!("sexton-{VERSION}-image.tar"));
    expected.sort();
    let mut listed: Vec<_> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, expected);
}

#[test]
fn an_archive_has_the_file_its_man_page_its_completions_and_the_license() {
    for Machine { name: machine, .. } in machines() {
        let folder = Folder::new();
        let name = format!("sexton-{VERSION}-linux-{machine}");
        typed(&format!("tar -C {} -xzf {}", folder.path(""), dist(&format!("{name}.tar.gz"))));
        let mut files: Vec<_> = typed(&format!("cd {}/{name} && find . -type f", folder.path("")))
            .lines()
            .map(|line| line.trim_start_matches("./").to_owned())
            .collect();
        files.sort();
        let completions = ["completions/_sexton", "completions/sexton", "completions/sexton.fish"];
        let others = ["CHANGELOG.md", "LICENSE", "README.md"];
        assert_eq!(files, [&others[..], &completions, &["sexton", "sexton.1"]].concat(), "{machine}");
        assert_eq!(sum(&folder.path(&format!("{name}/sexton"))), sum(&raw(machine)));
    }
}

/// `cargo binstall` makes the names by what Cargo.toml says.
#[test]
fn what_cargo_binstall_would_take_is_there() {
    let manifest = typed("cat Cargo.toml");
    let overrides: Vec<_> = manifest.split("\n[package.metadata.binstall.overrides.").skip(1).collect();
    let machines = machines();
    assert_eq!(overrides.len(), machines.len());
    for (said, Machine { name, target, .. }) in overrides.iter().zip(machines) {
        let value = |key: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))).unwrap();
            line.trim_end_matches('"').replace("{ version }", VERSION).replace("{ bin }", "sexton")
        };
        let archive = format!("sexton-{VERSION}-linux-{name}.tar.gz");
        assert!(said.starts_with(&format!("{target}]")), "{said}");
        assert_eq!(value("pkg-url"), format!("{{ repo }}/releases/download/v{VERSION}/{archive}"));
        let files = typed(&format!("tar -tzf {}", dist(&archive)));
        assert!(files.lines().any(|file| file == value("bin-dir")), "{archive} has {files}");
    }
}

/// The programs of a bare Debian, unpacked once.
static DEBIAN: LazyLock<PathBuf> = LazyLock::new(|| PathBuf::from(typed("integration/debian").trim()));

/// What is seen of sexton when it is installed. Both kinds of packages have it.
const LOOK: &str = "sexton --version; readlink -f /usr/bin/docker-init; docker-init --version; \
    test -s /usr/share/bash-completion/completions/sexton && test -s /usr/share/fish/vendor_completions.d/sexton.fish; \
    sexton -- sh -c 'exit 7' || echo status $?";

fn seen(output: &str) {
    let lines: Vec<_> = output.lines().collect();
    let lines = &lines[lines.len() - 4..];
    assert!(lines[0].starts_with(&format!("sexton {VERSION} - git.")), "{output}");
    assert_eq!(lines[1], "/usr/bin/sexton", "{output}");
    assert!(lines[2].starts_with("tini version ") && lines[2].contains("(sexton "), "{output}");
    assert_eq!(lines[3], "status 7", "{output}");
}

#[test]
fn the_debian_package_is_installed_runs_is_docker_init_and_is_removed_again() {
    let debian = Image::named("debian");
    typed(&format!("docker import {} {} >/dev/null", DEBIAN.display(), debian.0));
    let deb = dist(&format!("sexton_{VERSION}-1_amd64.deb"));
    let run = |script: &str| {
        let folder = Folder::new();
        std::fs::write(folder.path("script"), script).unwrap();
        typed(&format!(
            "docker run --rm --network none --volume {deb}:/sexton.deb:ro --volume {}:/script:ro {} sh -eu /script",
            folder.path("script"),
            debian.0
        ))
    };
    // Debian's images leave out man pages and most of the documentation.
    let install = "rm -f /etc/dpkg/dpkg.cfg.d/*; dpkg -i /sexton.deb >/dev/null; test -s /usr/share/man/man1/sexton.1.gz; \
        test -s /usr/share/doc/sexton/copyright";
    let remove = "dpkg -P sexton >/dev/null";
    seen(&run(&format!("{install}\n{LOOK}")));
    let gone = run(&format!(
        "find / -xdev -type f -o -type l | sort >/before\n{install}\n{remove}\n\
         find / -xdev -type f -o -type l | sort >/after\ncomm -13 /before /after"
    ));
    // The package manager's own notes stay.
    let rest: Vec<_> = gone.lines().filter(|path| !path.starts_with("/var/") && *path != "/after").collect();
    assert_eq!(rest, [""; 0]);
    // Docker's own package has a link there, and keeps it.
    let kept = run(&format!(
        "ln -s tini-static /usr/bin/docker-init\n{install}\nreadlink /usr/bin/docker-init\n{remove}\nreadlink /usr/bin/docker-init"
    ));
    assert_eq!(kept, "tini-static\ntini-static\n");
}

/// Into a root of its own, for there is no distribution of RPM's here: it has /bin/sh and update-alternatives, which
/// the package's scripts want, and no database that would know of them.
#[test]
fn the_rpm_package_is_installed_into_a_root_runs_is_docker_init_and_is_removed_again() {
    let root = Folder::new();
    let path = root.path("");
    typed(&format!("tar -C {path} -xf {}", DEBIAN.display()));
    let rpm = dist(&format!("sexton-{VERSION}-1.x86_64.rpm"));
    typed(&format!("rpm --root {path} --install --nodeps --ignoresize {rpm}"));
    assert!(root.0.join("usr/share/man/man1/sexton.1").exists());
    assert_eq!(sum(&root.path("usr/bin/sexton")), sum(&raw("amd64")));
    seen(&typed(&format!("chroot {path} sh -euc '{}'", LOOK.replace('\'', "'\\''"))));
    assert_eq!(typed(&format!("rpm --root {path} --query sexton")).trim(), format!("sexton-{VERSION}-1.x86_64"));
    typed(&format!("rpm --root {path} --erase --nodeps sexton"));
    for gone in ["usr/bin/sexton", "usr/share/man/man1/sexton.1", "usr/bin/docker-init", "etc/alternatives/docker-init"]
    {
        assert!(root.0.join(gone).symlink_metadata().is_err(), "{gone} is still there");
    }
}

#[test]
fn each_package_has_the_very_file_of_its_machine() {
    for Machine { name: machine, debian, rpm, .. } in machines() {
        let folder = Folder::new();
        let deb = dist(&format!("sexton_{VERSION}-1_{debian}.deb"));
        typed(&format!("dpkg-deb --extract {deb} {}", folder.path("deb")));
        assert_eq!(sum(&folder.path("deb/usr/bin/sexton")), sum(&raw(machine)));
        assert_eq!(typed(&format!("dpkg-deb --field {deb} Architecture")).trim(), debian);
        let file = dist(&format!("sexton-{VERSION}-1.{rpm}.rpm"));
        let in_it = typed(&format!(
            "rpm --query --package --queryformat '%{{ARCH}}\\n[%{{FILEDIGESTS}} %{{FILENAMES}}\\n]' {file}"
        ));
        assert_eq!(in_it.lines().next(), Some(rpm));
        assert!(in_it.contains(&format!("{} /usr/bin/sexton\n", sum(&raw(machine)))), "{in_it}");
    }
}

#[test]
fn the_image_has_the_file_of_each_machine_and_a_build_copies_it_from_there() {
    let archive = dist(&format!("sexton-{VERSION}-image.tar"));
    for Machine { name: machine, platform, .. } in machines() {
        let folder = Folder::new();
        let words: Vec<_> = platform.split('/').collect();
        let (arch, variant) = (words[1], words.get(2).copied().unwrap_or_default());
        let wanted = if variant.is_empty() { String::new() } else { format!("--override-variant {variant}") };
        typed(&format!(
            "skopeo copy --quiet --override-arch {arch} {wanted} oci-archive:{archive} dir:{}",
            folder.path("image")
        ));
        let image = folder.path("image");
        typed(&format!(
            "cd {image} && tar -xzf $(jq -r '.layers[0].digest' manifest.json | cut -d : -f 2) && \
             jq -e '.architecture == \"{arch}\" and (.variant // \"\") == \"{variant}\" and .config.Entrypoint == [\"/sexton\", \"--\"]' \
             $(jq -r .config.digest manifest.json | cut -d : -f 2)"
        ));
        assert_eq!(sum(&format!("{image}/sexton")), sum(&raw(machine)));
    }

    let sexton = Image::named("released");
    typed(&format!("skopeo copy --quiet oci-archive:{archive} docker-daemon:{}", sexton.0));
    sexton.runs_in_another_one();
}

#[test]
fn the_sbom_names_the_crates_that_are_in_the_file_and_none_of_the_tests() {
    for Machine { name: machine, .. } in machines() {
        let sbom = dist(&format!("sexton-linux-{machine}.cdx.json"));
        let names = typed(&format!("jq -r '.components[].name' {sbom}"));
        let names: Vec<_> = names.lines().collect();
        for there in ["clap", "humantime", "libc", "log", "nix"] {
            assert!(names.contains(&there), "{there} is not in {names:?}");
        }
        for not_there in ["proptest", "clap_mangen", "signal-hook"] {
            assert!(!names.contains(&not_there), "{not_there} is in {names:?}");
        }
        let hash = typed(&format!("jq -r '.metadata.component.hashes[0].content' {sbom}"));
        assert_eq!(hash.trim(), sum(&raw(machine)));
        let format = typed(&format!("jq -r '.bomFormat + \" \" + .metadata.component.version' {sbom}"));
        assert_eq!(format.trim(), format!("CycloneDX {VERSION}"));
    }
}

/// In a copy of the repository, with the files that are built already.
#[test]
fn packed_once_more_elsewhere_it_is_the_same_to_the_byte() {
    let _alone = MANUAL.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let copy = folder.path("a-folder-with-another-name");
    typed(&format!(
        "git clone --quiet . {copy} && cp Cargo.toml Cargo.lock {copy} && cp -r packaging CHANGELOG.md README.md {copy} && \
         mkdir -p {copy}/dist {copy}/target/dist && \
         cp dist/sexton-linux-* {copy}/dist && cp -r target/manual {copy}/target && \
         cp --parents target/dist/*-linux-musl*/release/sexton {copy}"
    ));
    typed(&format!("cd {copy} && packaging/release"));
    assert_eq!(typed(&format!("cat {copy}/dist/SHA256SUMS")), typed("cat dist/SHA256SUMS"));
}

#[test]
fn make_install_puts_each_file_where_it_is_looked_for() {
    let _alone = MANUAL.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    typed(&format!("make install DESTDIR={} PREFIX=/usr", folder.path("root")));
    let installed =
        typed(&format!("cd {}/root && find . -type f -printf '%m %P\\n' | LC_ALL=C sort -k 2", folder.path("")));
    let expected = [
        "755 usr/bin/sexton",
        "644 usr/share/bash-completion/completions/sexton",
        "644 usr/share/doc/sexton/CHANGELOG.md",
        "644 usr/share/doc/sexton/LICENSE",
        "644 usr/share/doc/sexton/README.md",
        "644 usr/share/fish/vendor_completions.d/sexton.fish",
        "644 usr/share/man/man1/sexton.1",
        "644 usr/share/zsh/site-functions/_sexton",
    ];
    assert_eq!(installed.lines().collect::<Vec<_>>(), expected);
    assert!(typed(&format!("{} --version", folder.path("root/usr/bin/sexton"))).starts_with("sexton "));
}

/// A copy of what is committed, with a tag of this message and the built files.
fn tagged(message: &str) -> Folder {
    let folder = Folder::new();
    let copy = folder.path("copy");
    std::fs::write(folder.path("message"), message).unwrap();
    typed(&format!(
        "git clone --quiet . {copy} && cp -r dist packaging {copy} && cd {copy} && \
         git -c user.name=test -c user.email=test@test tag --file {} v{VERSION}",
        folder.path("message")
    ));
    folder
}

#[test]
fn what_was_built_is_compared_with_the_sums_in_the_tags_message() {
    let sums = typed("cat dist/SHA256SUMS");
    let compare = |folder: &Folder, tag: &str| {
        try_typed(&format!("cd {}/copy && packaging/compare-with-tag {tag}", folder.path("")))
    };
    let tag = format!("v{VERSION}");
    let promised = tagged(&format!("sexton {VERSION}\n\n{sums}"));
    assert_eq!(
        compare(&promised, &tag).unwrap(),
        format!("all {} files are those that {tag} promises\n", sums.lines().count())
    );
    assert!(compare(&promised, "v99").unwrap_err().contains("v99 is no tag with a message"));
    // Its first digit is another one.
    let first = if sums.starts_with('0') { "1" } else { "0" };
    let others = tagged(&format!("sexton {VERSION}\n\n{first}{}", &sums[1..]));
    assert!(compare(&others, &tag).unwrap_err().contains("promises other files"));
    let fewer = tagged(&format!("sexton {VERSION}\n\n{}", sums.lines().next().unwrap()));
    assert!(compare(&fewer, &tag).unwrap_err().contains("promises other files"));
    let none = tagged("sexton");
    assert!(compare(&none, &tag).unwrap_err().contains("has no sums"));
}

#[test]
fn what_is_published_is_what_was_built() {
    let said = typed(&format!("DRY_RUN=1 packaging/publish release v{VERSION}"));
    assert!(said.contains("+ gh release create") && said.contains("--draft"), "{said}");
    for file in typed("cut -c 67- dist/SHA256SUMS").lines().chain(["SHA256SUMS"]) {
        assert!(said.contains(&format!(" dist/{file}")), "{file}: {said}");
    }
    let said = typed("DRY_RUN=1 packaging/publish image registry.test/sexton");
    let archive = format!("oci-archive:dist/sexton-{VERSION}-image.tar");
    assert_eq!(said, format!("+ skopeo copy --all {archive} docker://registry.test/sexton:{VERSION}\n"));
}

/// They cannot be run here. So each step is one line, and what that line starts is a script that can be.
#[test]
fn the_workflows_are_valid_and_each_step_is_a_line_that_starts_a_script_of_the_repository() {
    typed("integration/workflows");
    let mut scripts = 0;
    for workflow in ["ci", "release"] {
        let text = typed(&format!("cat .github/workflows/{workflow}.yml"));
        for line in text.lines().filter_map(|line| line.trim_start().split_once("run: ")) {
            let word = line.1.split(' ').next().unwrap();
            assert!(!line.1.starts_with(['|', '>']), "{workflow}: a step of more than one line");
            if word.contains('/') {
                typed(&format!("test -x {word}"));
                scripts += 1;
            }
        }
    }
    assert!(scripts >= 8, "{scripts} scripts");
}

#[test]
fn a_release_of_another_version_than_the_sources_is_refused() {
    let refused = try_typed("packaging/release 99.0.0").unwrap_err();
    assert!(refused.contains(&format!("Cargo.toml has version {VERSION}, and not 99.0.0")), "{refused}");
}
