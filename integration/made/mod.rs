//! What the tests of packages and images share.

#[path = "../../tests/built/environment.rs"]
mod environment;

use std::process::{Command, Stdio};

use super::harness::image::busybox;
use super::harness::names::Folder;
use super::harness::{command, run_name};

/// Types a line into bash, in the repository's folder. How long it takes is its own business: it builds things.
pub fn try_typed(line: &str) -> Result<String, String> {
    let mut bash: Command = command("bash");
    bash.args(["-euo", "pipefail", "-c", line]).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    environment::forget_this_build(&mut bash);
    let output = bash.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(stdout.into_owned()) } else { Err(format!("{line}: {stdout}{stderr}")) }
}

/// The same, and it has to succeed.
#[track_caller]
pub fn typed(line: &str) -> String {
    try_typed(line).unwrap_or_else(|why| panic!("{why}"))
}

/// An image, gone with it.
pub struct Image(pub String);

impl Image {
    /// One of this name.
    pub fn named(name: &str) -> Image {
        Image(format!("{}-{name}:{}", run_name(), super::harness::names::random()))
    }

    /// What `docker build` is to be told besides.
    pub fn build(self, options: &str) -> Image {
        typed(&format!("docker build --quiet --label {} --tag {} {options}", run_name(), self.0));
        self
    }

    /// Copies sexton from it into another image, by the two lines of a Dockerfile that everybody needs, and runs that.
    #[track_caller]
    pub fn runs_in_another_one(&self) {
        let folder = Folder::new();
        let dockerfile = format!(
            "FROM scratch\nCOPY busybox /bin/\nCOPY --from={} /sexton /sexton\nENTRYPOINT [\"/sexton\", \"--\"]\n",
            self.0
        );
        std::fs::write(folder.path("Dockerfile"), dockerfile).unwrap();
        std::fs::copy(busybox(), folder.path("busybox")).unwrap();
        let image = Image::named("copied").build(&folder.path(""));
        let line = "/bin/busybox sh -c 'cat /proc/1/comm; exit 7' || echo status $?";
        assert_eq!(typed(&format!("docker run --rm --network none {} {line}", image.0)), "sexton\nstatus 7\n");
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = try_typed(&format!("docker image rm --force {}", self.0));
        // The stages of a build stay behind without a name; they have the label of what they were made from.
        let _ = try_typed(&format!("docker image prune --force --filter label={}", run_name()));
    }
}
