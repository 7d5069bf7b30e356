//! The programs that are compared.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::names;
use crate::table::Column;
use crate::ways::{WAYS, Way};

/// What a program is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command alone.
    Bare,
    /// The least that an init can be (`floor`).
    Floor,
    /// sexton, in one of its builds.
    Sexton,
    /// A copy of the first build of sexton: what is different between the two is noise.
    Again,
    /// Another init.
    Peer,
}

/// One program.
#[derive(Clone, Debug)]
pub struct Contestant {
    /// What the tables say of it.
    pub column: Column,
    /// The package that a peer is from.
    package: &'static str,
    /// A copy of it, in the same place as those of all others; none for the command alone.
    path: Option<String>,
    /// The same file under the names of peers.
    names: Vec<(&'static str, String)>,
}

impl Contestant {
    /// What it is to us.
    pub fn kind(&self) -> Kind {
        self.column.kind
    }

    /// The command line that runs this command under it.
    pub fn line<'a>(&'a self, way: &Way, command: &[&'a str]) -> Vec<&'a str> {
        let Some(path) = &self.path else { return command.to_vec() };
        let known = self.names.iter().find(|(name, _)| Some(*name) == way.name);
        let (path, options) = match self.kind() {
            Kind::Bare | Kind::Floor => (path, &[][..]),
            Kind::Sexton | Kind::Again => (known.map_or(path, |(_, path)| path), way.of_sexton()),
            Kind::Peer => (path, way.of_peer(self.package)),
        };
        [&[path.as_str()], options, &["--"], command].concat()
    }

    /// The size of its file, in bytes.
    pub fn size(&self) -> Option<f64> {
        fs::metadata(self.path.as_ref()?).ok().map(|file| file.len() as f64)
    }
}

/// The packages of Debian that the peers are in.
const PEERS: [(&str, &str); 4] =
    [("tini-static", "tini"), ("tini", "tini"), ("dumb-init", "dumb-init"), ("catatonit", "catatonit")];

/// All who take part, and the folder with their copies, which goes when this does.
#[derive(Debug)]
pub struct Field {
    /// The contestants, the command alone first.
    pub contestants: Vec<Contestant>,
    /// The command that they run.
    pub command: String,
    /// What is not there, and how to get it.
    pub missing: Vec<String>,
    folder: PathBuf,
}

impl Field {
    /// Copies the builds of sexton, each with its name, the peers that are installed, and our own
    /// programs, which are beside us, into one folder.
    ///
    /// # Errors
    ///
    /// A build of sexton, or one of our own programs, is not there.
    pub fn gather(sextons: &[(String, PathBuf)]) -> io::Result<Field> {
        let folder = std::env::temp_dir().join(format!("sexton-bench-{}", names::random()));
        fs::create_dir(&folder)?;
        let mut field = Field { contestants: Vec::new(), command: String::new(), missing: Vec::new(), folder };
        let ours = std::env::current_exe()?;
        let beside = |name: &str| ours.with_file_name(name);
        field.command = field.copy("command", &beside("command"))?;
        let bare = Column { name: "no init".into(), version: None, kind: Kind::Bare };
        field.contestants.push(Contestant { column: bare, package: "", path: None, names: Vec::new() });
        for (index, (name, path)) in sextons.iter().enumerate() {
            field.add(name, "", Kind::Sexton, path)?;
            if index == 0 {
                field.add(&format!("{name} again"), "", Kind::Again, path)?;
            }
        }
        for (name, package) in PEERS {
            match installed(name) {
                Some(path) => field.add(name, package, Kind::Peer, &path)?,
                None => field.missing.push(format!("{name} is not installed: apt-get install {package}")),
            }
        }
        field.add("floor", "", Kind::Floor, &beside("floor"))?;
        Ok(field)
    }

    fn add(&mut self, name: &str, package: &'static str, kind: Kind, path: &Path) -> io::Result<()> {
        let place = name.replace(' ', "-");
        let path = self.copy(&place, path)?;
        let mut names = Vec::new();
        if matches!(kind, Kind::Sexton | Kind::Again) {
            let folder = self.folder.join(format!("names-of-{place}"));
            fs::create_dir(&folder)?;
            for known in WAYS.iter().filter_map(|way| way.name) {
                let link = folder.join(known);
                fs::hard_link(&path, &link)?;
                names.push((known, utf8(link)?));
            }
        }
        let column = Column { name: name.into(), version: version(package), kind };
        self.contestants.push(Contestant { column, package, path: Some(path), names });
        Ok(())
    }

    /// A fresh copy is in the page cache as a whole, whatever its original is. Until it is on the disk as
    /// well its pages count as dirty in whoever runs it.
    fn copy(&self, name: &str, path: &Path) -> io::Result<String> {
        let copy = self.folder.join(name);
        let made = fs::copy(path, &copy).and_then(|_| fs::File::open(&copy)?.sync_all());
        made.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        utf8(copy)
    }

    /// The folder that the command is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn utf8(path: PathBuf) -> io::Result<String> {
    path.into_os_string().into_string().map_err(|_| io::Error::other("the temporary folder's name is not UTF-8"))
}

impl Drop for Field {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn version(package: &str) -> Option<String> {
    if package.is_empty() {
        return None;
    }
    let query = Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output().ok()?;
    String::from_utf8(query.stdout).ok().filter(|version| query.status.success() && !version.is_empty())
}
