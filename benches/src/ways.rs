//! The ways in which an init is started: people use options.

/// One way: what sexton gets, and what gives each peer the same, as far as it can do that.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// A short name for programs.
    pub key: &'static str,
    /// How sexton is called, as Markdown.
    pub title: &'static str,
    /// The name that sexton is called by, if not its own.
    pub name: Option<&'static str>,
    /// What is in the environment of everybody, besides [`ENVIRONMENT`](crate::measures::ENVIRONMENT).
    pub variables: &'static [&'static str],
    /// Whether this way has the limits of an ordinary start.
    pub is_held: bool,
    sexton: &'static [&'static str],
    tini: &'static [&'static str],
    dumb_init: &'static [&'static str],
    catatonit: &'static [&'static str],
}

/// Without anything.
pub const PLAIN: Way = Way {
    key: "plain",
    title: "`sexton --`",
    name: None,
    variables: &[],
    is_held: true,
    sexton: &[],
    tini: &[],
    dumb_init: &[],
    catatonit: &[],
};

/// To the whole process group.
pub const GROUP: Way = Way { key: "group", title: "`-g`", sexton: &["-g"], tini: &["-g"], catatonit: &["-g"], ..PLAIN };

/// What the command leaves is stopped too, which no peer does.
pub const STOP_ORPHANS: Way =
    Way { key: "orphans", title: "`--orphans stop`", is_held: false, sexton: &["--orphans", "stop"], ..PLAIN };

/// All but [`PLAIN`]. dumb-init signals the group unless it is told not to.
pub const WAYS: [Way; 7] = [
    GROUP,
    Way {
        key: "expect",
        title: "`-e 143 -p TERM`",
        sexton: &["-e", "143", "-p", "TERM"],
        tini: &["-e", "143", "-p", "SIGTERM"],
        ..PLAIN
    },
    Way {
        key: "tini",
        title: "`tini -g -e 143 -p SIGTERM`",
        name: Some("tini"),
        sexton: &["-g", "-e", "143", "-p", "SIGTERM"],
        tini: &["-g", "-e", "143", "-p", "SIGTERM"],
        catatonit: &["-g"],
        ..PLAIN
    },
    Way {
        key: "dumb-init",
        title: "`dumb-init -c -r 15:3`",
        name: Some("dumb-init"),
        sexton: &["-c", "-r", "15:3"],
        dumb_init: &["-c", "-r", "15:3"],
        ..PLAIN
    },
    Way {
        key: "variables",
        title: "three variables",
        variables: &["SEXTON_GRACE_PERIOD=8s", "SEXTON_EXPECT_EXIT=143", "SEXTON_GROUP=1"],
        tini: &["-g"],
        catatonit: &["-g"],
        ..PLAIN
    },
    Way { key: "verbose", title: "`-v`", is_held: false, sexton: &["-v"], tini: &["-v"], dumb_init: &["-v"], ..PLAIN },
    STOP_ORPHANS,
];

impl Way {
    /// What sexton gets before its `--`.
    pub fn of_sexton(&self) -> &'static [&'static str] {
        self.sexton
    }

    /// What the peer from this package gets before its `--`.
    pub fn of_peer(&self, package: &str) -> &'static [&'static str] {
        match package {
            "tini" => self.tini,
            "dumb-init" => self.dumb_init,
            _ => self.catatonit,
        }
    }
}
