//! The pages that need a Docker engine, typed from top to bottom.
//!
//! A page is one session. Its Dockerfiles are built, its Compose files are read by Compose, its commands run in one
//! folder, in their order, and what comes is compared with what the page shows. The engine is one of the tests' own, so
//! that images may have the names that the pages give them. It pulls nothing: base images are stand-ins that hold
//! busybox.

mod harness;

#[path = "../tests/pages/blocks.rs"]
#[allow(dead_code, reason = "the other test file uses all of it")]
mod blocks;
#[path = "../tests/pages/typed.rs"]
mod typed;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use blocks::{Block, WITH_AN_ENGINE, blocks};
use harness::names::Folder;
use harness::{Engine, Kind, Room, command, finish, image};

/// What the pages build on.
const BASES: [&str; 3] = ["debian:12-slim", "alpine:3", "nginx:1.27"];

/// Only busybox, with a name for each of its programs.
const BASE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
                    RUN [\"/bin/mkdir\", \"-p\", \"/var/log\", \"/tmp\", \"/sbin\", \"/usr/local/bin\"]\n";

/// Stands for the repository's own Dockerfile, which takes an image with a compiler. `integration/image.rs` builds that.
const SEXTON: &str = "FROM scratch\nCOPY sexton /sexton\n";

struct Session {
    engine: Engine,
    folder: Folder,
}

impl Session {
    fn new() -> Session {
        let room = Room::new();
        let init = room.folder().join("docker-init");
        fs::copy(image::sexton(), &init).unwrap();
        let engine = Engine::private(Kind::Init, room, "{}", &[format!("--init-path={}", init.display())]);
        let folder = Folder::new();
        let here = |name: &str| folder.0.join(name);
        fs::create_dir(here("dist")).unwrap();
        fs::copy(image::sexton(), here("sexton")).unwrap();
        fs::copy(image::sexton(), here("dist/sexton-linux-amd64")).unwrap();
        fs::copy(image::example("server"), here("server")).unwrap();
        fs::copy(image::busybox(), here("busybox")).unwrap();
        script(&here("entrypoint.sh"), "#!/bin/sh\nserver 0.0.0.0:8080\n");
        fs::create_dir(here("bin")).unwrap();
        // The plugin, where only the older program of the same name is there.
        script(
            &here("bin/docker"),
            "#!/bin/sh\nPATH=${PATH#*:}\n\
             if [ \"$1\" = compose ] && ! docker compose version >/dev/null 2>&1; then shift; exec docker-compose \"$@\"; fi\n\
             exec docker \"$@\"\n",
        );
        let session = Session { engine, folder };
        session.write("Dockerfile", BASE);
        for base in BASES {
            session.build(base);
        }
        session.write("Dockerfile", SEXTON);
        session.build("sexton");
        session
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.0.join(name), text).unwrap();
    }

    fn build(&self, image: &str) {
        let mut build = self.engine.command();
        build.args(["build", "--tag", image, "."]).current_dir(&self.folder.0);
        finish(build).unwrap().succeeded();
    }

    fn shell(&self) -> Command {
        let mut bash = command("bash");
        for (name, value) in self.engine.command().get_envs() {
            match value {
                Some(value) => bash.env(name, value),
                None => bash.env_remove(name),
            };
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEXTON_")) {
            bash.env_remove(name);
        }
        bash.current_dir(&self.folder.0).env("PATH", self.path()).env("LC_ALL", "C");
        bash
    }

    /// First the folder's own programs.
    fn path(&self) -> String {
        let here = self.folder.0.display();
        format!("{here}/bin:{here}:{}", std::env::var("PATH").unwrap())
    }

    fn type_it(&self, block: &Block) {
        match block.language.as_str() {
            "dockerfile" => {
                // Some blocks are lines to add to a Dockerfile.
                let is_whole = block.text.contains("FROM ");
                let first = if is_whole { "" } else { "FROM debian:12-slim\n" };
                self.write("Dockerfile", &format!("{first}{}", block.text));
                self.build("page");
            }
            "yaml" if !block.text.contains("services:") => {}
            "yaml" => {
                self.write("compose.yaml", &block.text);
                let mut config = self.shell();
                config.args(["-c", "docker compose config"]);
                let shown = finish(config).unwrap().succeeded();
                assert!(shown.contains("stop_grace_period"), "{}: {shown}", block.place());
            }
            _ => {
                let tidy = |output: String| output.replace(&self.path(), "/usr/local/bin:/usr/bin:/bin");
                typed::type_it(block, || self.shell(), tidy, false);
            }
        }
    }
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_pages_about_docker_do_what_they_show() {
    for page in WITH_AN_ENGINE {
        let session = Session::new();
        let typed: Vec<Block> = blocks(page).into_iter().filter(|block| block.reason().is_none()).collect();
        assert!(!typed.is_empty(), "{page}");
        for block in &typed {
            session.type_it(block);
        }
    }
}
