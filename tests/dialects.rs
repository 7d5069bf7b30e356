//! Under the name of a peer sexton does what the peer does: the same cases are looked at with the
//! peer itself and with sexton in its place. docs/dialects.md lists what is different on purpose.

mod harness;

#[path = "dialects/cases.rs"]
mod cases;
#[path = "dialects/looks.rs"]
mod looks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cases::Case;
use harness::{BOTH, Place, Sexton, Status, sexton_binary};
use looks::Program;

/// A folder with sexton under another name.
struct Renamed {
    folder: PathBuf,
    binary: PathBuf,
}

impl Renamed {
    fn as_name(name: &str) -> Renamed {
        let folder = std::env::temp_dir().join(format!("sexton-as-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let binary = folder.join(name);
        std::os::unix::fs::symlink(std::fs::canonicalize(sexton_binary()).unwrap(), &binary).unwrap();
        Renamed { folder, binary }
    }
}

impl Drop for Renamed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Debian's package of the peer.
fn peer_binary(name: &str) -> String {
    let path = format!("/usr/bin/{name}");
    assert!(Path::new(&path).exists(), "{path} is missing: apt-get install tini dumb-init catatonit");
    path
}

/// What only the one and what only the other was seen to do, over all places.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    peer: BTreeSet<String>,
    sexton: BTreeSet<String>,
}

/// The rows of the table in docs/dialects.md, by dialect and case: of the two columns that tell
/// what is done, the parts in backquotes are what is seen.
fn listed() -> BTreeMap<(String, String), Difference> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dialects.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [dialect, case, peer, sexton, why] = cells[..] else { panic!("not five columns: {line}") };
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        assert!(!why.is_empty(), "no reason is given: {line}");
        let difference =
            Difference { peer: quoted(peer).into_iter().collect(), sexton: quoted(sexton).into_iter().collect() };
        let key = (quoted(dialect).concat(), quoted(case).concat());
        assert!(rows.insert(key, difference).is_none(), "listed twice: {line}");
    }
    rows
}

/// Looks at each case with the peer, with sexton under the peer's name, and with `--dialect`.
fn compare(dialect: &str, cases: Vec<Case>) {
    let listed = listed();
    let renamed = Renamed::as_name(dialect);
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for Case { name, places, look } in cases {
        assert!(names.insert(name), "two cases of {dialect} are called {name}");
        let mut difference = Difference::default();
        for place in places {
            let program = |binary: String, leading: &[&str]| Program {
                place: *place,
                binary,
                leading: leading.iter().map(|word| (*word).to_owned()).collect(),
                environment: Vec::new(),
                setup: Vec::new(),
            };
            let peer = look(&program(peer_binary(dialect), &[]));
            let sexton = look(&program(renamed.binary.display().to_string(), &[]));
            let by_option = look(&program(sexton_binary().display().to_string(), &["--dialect", dialect]));
            if sexton != by_option {
                wrong.push(format!("{name}, {place:?}: {sexton:?}, but with --dialect {by_option:?}"));
            }
            difference.peer.extend(peer.iter().filter(|line| !sexton.contains(line)).cloned());
            difference.sexton.extend(sexton.iter().filter(|line| !peer.contains(line)).cloned());
            if difference == Difference::default() && peer != sexton {
                // The same lines, but not in the same order or not as often.
                difference.peer.extend(peer);
                difference.sexton.extend(sexton);
            }
        }
        let key = (dialect.to_owned(), name.to_owned());
        let expected = listed.get(&key);
        if expected.unwrap_or(&Difference::default()) != &difference {
            wrong.push(format!("{name}: {difference:?}, but docs/dialects.md lists {expected:?}"));
        }
    }
    for (of, name) in listed.keys() {
        if of == dialect && !names.contains(name.as_str()) {
            wrong.push(format!("{name}: docs/dialects.md lists it, and there is no such case"));
        }
    }
    assert!(wrong.is_empty(), "{dialect}:\n{}", wrong.join("\n"));
}

#[test]
fn as_tini_sexton_does_what_tini_does() {
    compare("tini", cases::tini());
}

#[test]
fn as_dumb_init_sexton_does_what_dumb_init_does() {
    compare("dumb-init", cases::dumb_init());
}

#[test]
fn as_catatonit_sexton_does_what_catatonit_does() {
    compare("catatonit", cases::catatonit());
}
