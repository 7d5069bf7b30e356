//! The demo ends well, ends badly when requests are lost, and leaves nothing behind.

mod harness;

use std::fs::DirEntry;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};

use harness::{Folder, command, needs, probe_binary, sexton_binary, unique};

/// Runs the demo in this place. None of its processes is there afterwards.
fn demo(place: &str, svg: &str, more: &[&str]) -> Output {
    demo_to(Stdio::piped(), place, svg, more)
}

/// The same, with this as stdout.
fn demo_to(stdout: Stdio, place: &str, svg: &str, more: &[&str]) -> Output {
    let program = probe_binary().with_file_name("demo");
    assert!(program.exists(), "{} is missing: run `cargo build --example demo` first", program.display());
    let mut demo = command(program);
    let mark = unique();
    demo.args(["--in", place, "--svg", svg]).args(more).env("TEST_BINARY", sexton_binary()).env("DEMO_MARK", &mark);
    let output = demo.stdin(Stdio::null()).stdout(stdout).output().unwrap();
    let has_mark = |process: &DirEntry| {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|part| part == mark.as_bytes())
    };
    let left: Vec<_> = std::fs::read_dir("/proc").unwrap().flatten().filter(has_mark).collect();
    assert!(left.is_empty(), "{left:?}");
    output
}

/// What the picture says of a shutdown: the init, the requests, those that were lost.
fn shutdowns(svg: &str) -> Vec<(String, usize, usize)> {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let groups = document.descendants().filter(|node| node.attribute("class") == Some("shutdown"));
    groups
        .map(|group| {
            let count = |name| group.attribute(name).unwrap().parse().unwrap();
            let bars = |class| group.children().filter(move |node| node.attribute("class") == Some(class)).count();
            assert!(bars("answered") > 0 && bars("elsewhere") > 0, "{svg}");
            assert_eq!(bars("lost") > 0, count("data-lost") > 0, "{svg}");
            // Running, the pre-stop sleep (with sexton only), the end, nobody there.
            let init = group.attribute("data-init").unwrap().to_owned();
            assert_eq!(bars("phase"), if init == "sexton" { 4 } else { 3 }, "{svg}");
            (init, count("data-requests"), count("data-lost"))
        })
        .collect()
}

/// All that is above the first shutdown: it depends on nothing that is measured.
fn heading(svg: &str) -> &str {
    svg.split_once("<g ").unwrap_or_else(|| panic!("no shutdown: {svg}")).0
}

fn shows_that_sexton_loses_nothing(place: &str, where_it_is: &str) -> String {
    let folder = Folder::new();
    let file = folder.path("demo.svg");
    let output = demo(place, &file, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(where_it_is), "{text}");
    assert_eq!(text.lines().last(), Some("good: sexton lost no request"), "{text}");
    let too_long = text.lines().find(|line| line.chars().count() > 80 && !line.starts_with("The picture: "));
    assert_eq!(too_long, None, "wider than a terminal");
    for moment in ["shutdown begins: SIGTERM", "/ready answers 503", "forwarded SIGTERM", "it is gone; status 0"] {
        assert!(text.contains(moment), "{moment}: {text}");
    }

    let files = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(files.collect::<Vec<_>>(), ["demo.svg"], "what it leaves");
    let svg = std::fs::read_to_string(file).unwrap();
    let seen = shutdowns(&svg);
    assert_eq!(seen.len(), 2, "{svg}");
    assert!(["tini", "no init"].contains(&seen[0].0.as_str()), "{seen:?}");
    assert_eq!((&*seen[1].0, seen[1].2), ("sexton", 0), "{seen:?}");
    let shown = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/demo.svg")).unwrap();
    assert_eq!(heading(&shown), heading(&svg), "`make demo-picture` writes docs/demo.svg");
    text
}

#[test]
fn in_docker_no_request_is_lost_and_no_container_and_no_image_is_left() {
    needs!(Docker);
    let text = shows_that_sexton_loses_nothing("docker", "in Docker containers");
    let image = text.split(|it: char| !it.is_alphanumeric() && it != '-').find(|word| word.starts_with("sexton-demo-"));
    let image = image.unwrap_or_else(|| panic!("it names no image: {text}"));
    for what in [&["images", "--quiet", image][..], &["ps", "--all", "--quiet", "--filter", &format!("name={image}")]] {
        let output = command("docker").args(what).output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{what:?}: {output:?}");
    }
}

#[test]
fn in_a_pid_namespace_no_request_is_lost() {
    shows_that_sexton_loses_nothing("namespace", "in PID namespaces");
}

#[test]
fn as_a_subreaper_no_request_is_lost() {
    shows_that_sexton_loses_nothing("subreaper", "as ordinary processes, and sexton is a subreaper");
}

#[test]
fn without_an_engine_and_without_a_namespace_it_says_why_and_goes_on() {
    needs!(Root);
    // Root without CAP_DAC_OVERRIDE may not enter somebody's closed home, in which the clone may be.
    let folder = Folder::new();
    let (demo, sexton) = (probe_binary().with_file_name("demo"), sexton_binary());
    let (demo, sexton) = (folder.copy("demo", demo), folder.copy("sexton", sexton));
    let mut setpriv = command("setpriv");
    setpriv.args(["--bounding-set=-all", "--inh-caps=-all", &demo, "--svg", &folder.path("demo.svg")]);
    setpriv.env("TEST_BINARY", sexton);
    let output = setpriv.env("DOCKER_HOST", "unix:///nonexistent").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(output.status.success(), "{text}");
    assert!(text.starts_with("No Docker container: "), "{text}");
    let why = "No PID namespace: the server does not start (demo: unshare: Operation not permitted). \
               The servers run as ordinary processes, and sexton is a subreaper.";
    assert!(text.contains(why), "{text}");
}

/// `cargo run --example demo | head -3`
#[test]
fn when_nobody_reads_on_it_ends_quietly_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let ended = |writer| demo_to(writer, "subreaper", &folder.path("demo.svg"), &[]);
    let output = std::thread::scope(|scope| {
        let demo = scope.spawn(move || ended(Stdio::from(writer)));
        let mut lines = BufReader::new(reader).lines();
        for _ in 0..3 {
            lines.next().unwrap().unwrap();
        }
        drop(lines);
        demo.join().unwrap()
    });
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The whole difference is the pre-stop sleep.
#[test]
fn without_the_pre_stop_sleep_requests_are_lost_and_the_demo_says_so() {
    let folder = Folder::new();
    let output = demo("subreaper", &folder.path("demo.svg"), &["--pre-stop-sleep", "0s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.lines().last().unwrap().starts_with("NOT GOOD with sexton: it lost requests"), "{text}");
}

/// The page that shows it says as much.
#[test]
fn the_picture_in_docs_shows_requests_lost_without_sexton_and_none_lost_with_it() {
    let svg = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/demo.svg")).unwrap();
    let seen = shutdowns(&svg);
    let [(other, _, lost), (sexton, requests, 0)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((&**other, &**sexton), ("tini", "sexton"));
    assert!(*lost > 0 && *requests > 100, "{seen:?}");
}
