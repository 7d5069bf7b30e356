//! Each reason for which a command cannot be started, with a real file: what sexton says, and
//! its exit status.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

use std::ffi::CString;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

mod harness;

use harness::{BOTH, Folder, Place, Sexton, Status, needs, probe_binary, sexton_binary};

impl Folder {
    fn folder(&self, name: &str) -> String {
        fs::create_dir(self.path(name)).unwrap();
        self.path(name)
    }

    fn link(&self, name: &str, target: &str) -> String {
        symlink(target, self.path(name)).unwrap();
        self.path(name)
    }
}

/// What sexton says, without its name and the end of the line, and its status.
#[track_caller]
fn refusal_of<S: AsRef<std::ffi::OsStr>>(sexton: Sexton, command: impl IntoIterator<Item = S>) -> (String, i32) {
    let (status, stdout, stderr) = sexton.command(command).finish();
    assert_eq!(stdout, "", "nothing runs");
    let Status::Exited(status) = status else { panic!("{status:?}: {stderr}") };
    let sentence = stderr.strip_prefix("sexton: ").and_then(|line| line.strip_suffix('\n'));
    let sentence = sentence.unwrap_or_else(|| panic!("no line of sexton's: {stderr:?}"));
    assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
    (sentence.to_owned(), status)
}

/// As PID 1 and as an ordinary process, sexton says this of the command.
#[track_caller]
fn expect(command: &str, status: i32, sentence: &str) {
    for place in BOTH {
        let refusal = refusal_of(Sexton::new(place), [command, "argument"]);
        // Without root the namespace is a user namespace too, in which we are root.
        let is_mapped = place == Place::Init && !root();
        let sentence = if is_mapped { sentence.replace(&owner(), "uid 0, gid 0") } else { sentence.to_owned() };
        assert_eq!(refusal, (format!("cannot execute {sentence}"), status), "{place:?}");
    }
}

fn root() -> bool {
    unsafe { libc::geteuid() == 0 }
}

/// Whose the files of the test are.
fn owner() -> String {
    format!("uid {}, gid {}", unsafe { libc::geteuid() }, unsafe { libc::getegid() })
}

/// The mode and owner of what this test makes.
fn mode(bits: &str) -> String {
    format!("({bits}, {})", owner())
}

// ---- The way to the file ----

#[test]
fn a_command_that_is_nowhere_in_path_is_not_found() {
    let folder = Folder::new();
    let path = format!("{}:/nonexistent", folder.path(""));
    for place in BOTH {
        let refusal = refusal_of(Sexton::new(place).env("PATH", &path), ["server"]);
        assert_eq!(refusal, (format!("cannot execute server: there is no such file in PATH={path}"), 127));
        // One folder alone, and one that is a file.
        let refusal = refusal_of(Sexton::new(place).env("PATH", "/etc/passwd"), ["server"]);
        assert_eq!(refusal, ("cannot execute server: there is no such file in PATH=/etc/passwd".into(), 127));
    }
}

#[test]
fn a_command_with_a_near_match_in_path_is_given_it() {
    let folder = Folder::new();
    let server = folder.file("server", "");
    folder.file_with_mode("serverr", "", 0o644);
    let path = folder.path("");
    let path = path.trim_end_matches('/');
    for (name, hint) in [
        ("srever", format!("; did you mean {server}?")),
        ("server2", format!("; did you mean {server}?")),
        ("serverrr", String::new()),
        ("sv", String::new()),
        ("something", String::new()),
    ] {
        let refusal = refusal_of(Sexton::new(Place::Init).env("PATH", path), [name]);
        assert_eq!(refusal, (format!("cannot execute {name}: there is no such file in PATH={path}{hint}"), 127));
    }
}

#[test]
fn a_command_in_the_working_directory_is_told_from_one_in_path() {
    let folder = Folder::new();
    folder.file("server", "");
    let sexton = Sexton::new(Place::Init).env("PATH", "/nonexistent").setup([format!("cwd={}", folder.path(""))]);
    let expected = "cannot execute server: there is no such file in PATH=/nonexistent; did you mean ./server?";
    assert_eq!(refusal_of(sexton, ["server"]), (expected.into(), 127));
}

#[test]
fn a_folder_of_path_that_may_not_be_searched_hides_nothing_that_is_known() {
    needs!(Root);
    let folder = Folder::new();
    let closed = folder.folder("closed");
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let copy = folder.copy("sexton", sexton_binary());
    let path = format!("{closed}:/nonexistent");
    let sexton = Sexton::new(Place::Ordinary).binary(&copy).env("PATH", &path).setup(["uid=4711"]);
    let why = format!("uid 4711 may not search the directory {closed} {}", mode("rwx------, 0700"));
    let expected =
        format!("cannot execute server: there is no such file in PATH={path}, as far as that may be searched: {why}");
    assert_eq!(refusal_of(sexton, ["server"]), (expected, 127));

    let sexton = Sexton::new(Place::Ordinary).binary(copy).setup(["uid=4711"]);
    let expected = format!("cannot execute {closed}/x: {why}");
    assert_eq!(refusal_of(sexton, [format!("{closed}/x")]), (expected, 126));
}

#[test]
fn what_is_found_in_path_and_lacks_its_interpreter_is_not_called_not_found() {
    let folder = Folder::new();
    let script = folder.file("entrypoint", "#!/nonexistent/bash\n");
    let path = format!("/nonexistent:{}:/etc", folder.0.to_str().unwrap());
    let expected =
        format!("cannot execute {script}: its interpreter \"/nonexistent/bash\" does not exist in this image");
    for place in BOTH {
        assert_eq!(refusal_of(Sexton::new(place).env("PATH", &path), ["entrypoint"]), (expected.clone(), 127));
    }
}

#[test]
fn a_file_or_a_folder_above_it_that_is_missing_is_named() {
    let folder = Folder::new();
    let own = folder.0.to_str().unwrap();
    let server = folder.file("server", "");
    folder.folder("release");
    expect(&folder.path("xyz"), 127, &format!("{own}/xyz: there is no such file"));
    expect(&folder.path("sevrer"), 127, &format!("{own}/sevrer: there is no such file; did you mean {server}?"));
    expect(&folder.path("a/b/c"), 127, &format!("{own}/a/b/c: there is no directory {own}/a"));
    let hint = format!("there is no directory {own}/relaese; did you mean {own}/release?");
    expect(&folder.path("relaese/c"), 127, &format!("{own}/relaese/c: {hint}"));

    let sexton = Sexton::new(Place::Init).setup([format!("cwd={own}")]);
    let expected = format!("cannot execute ./xyz: there is no such file (the working directory is {own})");
    assert_eq!(refusal_of(sexton, ["./xyz"]), (expected, 127));
}

#[test]
fn an_empty_name_is_called_empty() {
    expect("", 127, ": its name is empty");
}

#[test]
fn a_path_that_goes_through_a_file_is_shown_where() {
    let folder = Folder::new();
    let file = folder.file("file", "");
    expect(&format!("{file}/x/y"), 126, &format!("{file}/x/y: {file} is a file, not a directory"));
    expect(&format!("{file}/"), 126, &format!("{file}/: {file} is a file, not a directory"));
}

#[test]
fn a_symbolic_link_is_followed_to_where_it_dangles() {
    let folder = Folder::new();
    let link = folder.link("link", "/nonexistent/server");
    expect(&link, 127, &format!("{link}: it is a symbolic link to /nonexistent/server, which does not exist"));
    let first = folder.link("first", "link");
    let chain = "it is a symbolic link to link: it is a symbolic link to /nonexistent/server, which does not exist";
    expect(&first, 127, &format!("{first}: {chain}"));
    let below = format!("{link}/x");
    expect(&below, 127, &format!("{below}: {link} is a symbolic link to /nonexistent/server, which does not exist"));
}

#[test]
fn a_loop_of_symbolic_links_is_called_one() {
    let folder = Folder::new();
    let a = folder.link("a", "b");
    folder.link("b", "a");
    expect(&a, 126, &format!("{a}: it is a symbolic link to b, which leads in a circle"));
}

#[test]
fn a_name_that_is_too_long_is_measured() {
    let folder = Folder::new();
    let own = folder.0.to_str().unwrap();
    let long = format!("{own}/{}", "x".repeat(256));
    expect(&long, 126, &format!("{long}: its name has a part of 256 bytes, and 255 is the most"));
    let longer = format!("{own}/{}", "x/".repeat(3000));
    let (sentence, status) = refusal_of(Sexton::new(Place::Init), [&longer]);
    assert_eq!(status, 126);
    assert!(sentence.ends_with(&format!("…: its name is {} bytes long, and 4095 is the most", longer.len())));
}

#[test]
fn a_name_with_control_characters_stays_on_its_line() {
    expect("/nonexistent/a\n\x1b[31m", 127, "/nonexistent/a\\n\\u{1b}[31m: there is no directory /nonexistent");
}

// ---- What only a shell understands ----

/// Each with the end of the sentence. `server`, `env` and `exex` are in PATH, `/bin/sh` is there.
const MISREAD: &[(&[&str], &str)] = &[
    // One word.
    (&["sh -c ls"], r#"no shell splits it into words: write ["sh", "-c", "ls"]"#),
    (&["/bin/sh -c ls"], r#"no shell splits it into words: write ["/bin/sh", "-c", "ls"]"#),
    (&["/bin/sh -c /app/run"], r#"no shell splits it into words: write ["/bin/sh", "-c", "/app/run"]"#),
    (&["server --port 80"], r#"no shell splits it into words: write ["server", "--port", "80"]"#),
    (&["server  --port", "8 0"], r#"no shell splits it into words: write ["server", "--port", "8 0"]"#),
    (&["server --config /etc/x"], r#"no shell splits it into words: write ["server", "--config", "/etc/x"]"#),
    (&["nothing --config /etc/x"], r#"no shell splits it into words: write ["nothing", "--config", "/etc/x"]"#),
    (&["bash -c 'echo $HOME; ls'"], r#"no shell splits it into words: write ["bash", "-c", "echo $HOME; ls"]"#),
    (&[r#"sh -c "a \" b""#], r#"no shell looks at it: write ["sh", "-c", "sh -c \"a \\\" b\""]"#),
    (&["server && other"], r#"no shell looks at it: write ["sh", "-c", "server && other"]"#),
    (&["cd /app && server"], r#"no shell looks at it: write ["sh", "-c", "cd /app && server"]"#),
    (&["A=1 server"], r#"no shell looks at it: write ["sh", "-c", "A=1 server"]"#),
    (&["exec server --port $PORT"], r#"no shell looks at it: write ["sh", "-c", "exec server --port $PORT"]"#),
    (&["server >/log"], r#"no shell looks at it: write ["sh", "-c", "server >/log"]"#),
    (
        &["while true; do /bin/true; done"],
        r#"no shell looks at it: write ["sh", "-c", "while true; do /bin/true; done"]"#,
    ),
    (&["server\r"], r#"no shell takes the blanks or line ends around its name away: write ["server"]"#),
    (&[" server", "-x"], r#"no shell takes the blanks or line ends around its name away: write ["server", "-x"]"#),
    (&[r#"["server", "-x"]"#], "it is one word, and no list: write its words one by one"),
    (&["'/bin/sh -c ls'"], r#"no shell splits it into words: write ["/bin/sh", "-c", "ls"]"#),
    // A word that a shell has built in, and no other program's name.
    (&["exec", "server", "-x"], r#"exec is a word of the shell, and no shell looks at it: write ["server", "-x"]"#),
    (&["exec"], "exec is a word of the shell, and no shell looks at it: leave it out"),
    (
        &["exec", "server", "&&", "x"],
        r#"exec is a word of the shell, and no shell looks at it: write ["sh", "-c", "exec server && x"]"#,
    ),
    (
        &["export", "A=1"],
        r#"export is a word of the shell, and no shell looks at it: use ENV, or write ["sh", "-c", "export A=1 && …"]"#,
    ),
    (
        &["cd", "/app", "&&", "server"],
        r#"cd is a word of the shell, and no shell looks at it: use WORKDIR, or write ["sh", "-c", "cd /app && server"]"#,
    ),
    (
        &["source", "/env.sh"],
        r#"source is a word of the shell, and no shell looks at it: write ["sh", "-c", ". /env.sh && …"]"#,
    ),
    (&[".", "/env.sh"], r#". is a word of the shell, and no shell looks at it: write ["sh", "-c", ". /env.sh && …"]"#),
    (
        &["ulimit", "-n", "99"],
        r#"ulimit is a word of the shell, and no shell looks at it: write ["sh", "-c", "ulimit -n 99 && …"]"#,
    ),
    (
        &["set", "-e", ";", "server"],
        r#"set is a word of the shell, and no shell looks at it: write ["sh", "-c", "set -e ; server"]"#,
    ),
    (&["if", "[ -f x ]"], r#"if is a word of the shell, and no shell looks at it: write ["sh", "-c", "…"]"#),
    (&["shopt", "-s", "x"], "shopt is a word of bash, and no shell looks at it"),
    // Operators among the arguments.
    (&["a", "&&", "b"], r#"no shell looks at it, so && is an argument like any other: write ["sh", "-c", "a && b"]"#),
    (&["a", "|", "b"], r#"no shell looks at it, so | is an argument like any other: write ["sh", "-c", "a | b"]"#),
    (&["a", ";", "b"], r#"no shell looks at it, so ; is an argument like any other: write ["sh", "-c", "a ; b"]"#),
    (&["a", "2>&1"], r#"no shell looks at it, so 2>&1 is an argument like any other: write ["sh", "-c", "a 2>&1"]"#),
    (&["a", ">>/l"], r#"no shell looks at it, so >>/l is an argument like any other: write ["sh", "-c", "a >>/l"]"#),
    (&["a", "-x", "&"], r#"no shell looks at it, so & is an argument like any other: write ["a", "-x"]"#),
    (&["a", "&", "b"], r#"no shell looks at it, so & is an argument like any other: write ["sh", "-c", "a & b"]"#),
    (&["a", "b c", "||", "d"], r#"no shell looks at it, so || is an argument like any other: write ["sh", "-c", "…"]"#),
    (&["server&"], r#"no shell looks at it: write ["sh", "-c", "server&"]"#),
    (&["(server)"], r#"no shell looks at it: write ["sh", "-c", "(server)"]"#),
    // What a shell would replace.
    (&["$APP"], r#"no shell replaces $APP: write ["sh", "-c", "exec $APP"]"#),
    (&["${APP}", "-x"], r#"no shell replaces ${APP}: write ["sh", "-c", "exec ${APP} -x"]"#),
    (&["$HOME/bin/server"], r#"no shell replaces $HOME: write ["sh", "-c", "exec $HOME/bin/server"]"#),
    (&["$(which server)"], r#"no shell looks at it: write ["sh", "-c", "$(which server)"]"#),
    (&["$(app)"], r#"no shell replaces $(app): write ["sh", "-c", "exec $(app)"]"#),
    (&["$(APP_NAME)"], "nobody replaced $(APP_NAME): Kubernetes does where APP_NAME is in the container's env"),
    (&["~/server"], "no shell replaces ~: write the whole path"),
    (&["/app/*.run"], r#"no shell replaces *: write ["sh", "-c", "exec /app/*.run"]"#),
    // Variables.
    (
        &["A=1", "server"],
        r#"only a shell takes A=1 for a variable, and none looks at it: use ENV or docker run -e, or write ["env", "A=1", "server"]"#,
    ),
    (
        &["DIR=/a/b", "server", "-x"],
        r#"only a shell takes DIR=/a/b for a variable, and none looks at it: use ENV or docker run -e, or write ["env", "DIR=/a/b", "server", "-x"]"#,
    ),
    (&["A=1"], "only a shell takes A=1 for a variable, and none looks at it: use ENV or docker run -e"),
    // Quotes.
    (&["\"server\""], r#"the quotes are a part of its name, for no shell takes them away: write ["server"]"#),
    (&["'server'", "x"], r#"the quotes are a part of its name, for no shell takes them away: write ["server", "x"]"#),
    (&["\"/app/run\""], r#"the quotes are a part of its name, for no shell takes them away: write ["/app/run"]"#),
    // An option in the command's place.
    (
        &["--version"],
        "what stands behind the -- is the command, so its name comes first, and options of sexton's own come before the --",
    ),
    (
        &["-c", "ls"],
        "what stands behind the -- is the command, so its name comes first, and options of sexton's own come before the --",
    ),
];

#[test]
fn what_only_a_shell_understands_is_told_with_what_to_write_and_never_as_another_program() {
    let folder = Folder::new();
    for name in ["server", "env", "exex", "ulimits", "dash", "sh", "exporter", "verion", "sources", "shopts"] {
        folder.file(name, "");
    }
    let path = folder.0.to_str().unwrap();
    for (words, expected) in MISREAD {
        for place in BOTH {
            let (sentence, status) = refusal_of(Sexton::new(place).env("PATH", path), *words);
            let is_path = words[0].contains('/');
            let named = words[0].replace('\r', "\\r");
            let start = match words[0] {
                "." => format!("cannot execute {path}/.: it is a directory; "),
                name if name.contains('/') => format!("cannot execute {named}: there is no such file; "),
                _ => format!("cannot execute {named}: there is no such file in PATH={path}; "),
            };
            assert_eq!(sentence, format!("{start}{expected}"), "{place:?}");
            assert_eq!(status, if words[0] == "." { 126 } else { 127 }, "{is_path}");
        }
    }
}

#[test]
fn without_a_shell_in_the_image_none_is_recommended() {
    for (words, expected) in [
        (&["server && b"][..], "no shell looks at it, and this image has none (/bin/sh)"),
        (&["cd", "/app"], "cd is a word of the shell, and no shell looks at it: use WORKDIR"),
        (&["$APP"], "no shell replaces $APP, and this image has none (/bin/sh)"),
        (&["A=1", "server"], "only a shell takes A=1 for a variable, and none looks at it: use ENV or docker run -e"),
        // What CMD is without brackets.
        (
            &["/bin/sh", "-c", "server --port '8 0'"],
            r#"what CMD and ENTRYPOINT have without brackets goes to it: write a list, ["server", "--port", "8 0"]"#,
        ),
        (
            &["/bin/sh", "-c", "server | tee log"],
            "what CMD and ENTRYPOINT have without brackets goes to it: this image needs a list, or a shell",
        ),
    ] {
        let folder = Folder::new();
        let (sentence, status) = refusal_of(image(&folder, &["bin/server"]).env("PATH", "/bin"), words);
        assert!(sentence.ends_with(&format!("; {expected}")), "{words:?}: {sentence}");
        assert_eq!(status, 127);
    }
}

/// Whoever writes it may want just that.
#[test]
fn of_a_command_that_was_started_nothing_is_said_whatever_its_arguments_are() {
    let folder = Folder::new();
    folder.file("server", "#!/bin/sh\nprintf '%s ' \"$@\"\n");
    folder.file("A=1", "#!/bin/sh\nprintf '%s ' \"$@\"\n");
    folder.file("a b", "#!/bin/sh\nprintf '%s ' \"$@\"\n");
    folder.file("$APP", "#!/bin/sh\nprintf '%s ' \"$@\"\n");
    let path = format!("{}:/usr/bin:/bin", folder.0.to_str().unwrap());
    for words in [
        &["server", "&"][..],
        &["server", "&&", "b"],
        &["server", "$PORT", ">", "/log", "*"],
        &["A=1", "server"],
        &["a b", "c"],
        &["$APP", "x"],
        &["find", "/bin/sh", "-exec", "echo", "-n", ";"],
    ] {
        for place in BOTH {
            let (status, stdout, stderr) = Sexton::new(place).env("PATH", &path).command(words).finish();
            assert_eq!((status, stderr.as_str()), (Status::Exited(0), ""), "{words:?}");
            let expected = if words[0] == "find" { String::new() } else { words[1..].join(" ") + " " };
            assert_eq!(stdout, expected);
        }
    }
}

/// A reason of its own is the reason; a name with blanks may be one.
#[test]
fn what_is_wrong_with_a_file_is_not_blamed_on_a_shell() {
    let folder = Folder::new();
    let own = folder.0.to_str().unwrap();
    let script = folder.file("script", "#!/nonexistent/sh\n");
    for arguments in [&["&&", "b"][..], &["&"]] {
        let words = [&[script.as_str()], arguments].concat();
        let (sentence, _) = refusal_of(Sexton::new(Place::Init), words);
        assert_eq!(
            sentence,
            format!("cannot execute {script}: its interpreter \"/nonexistent/sh\" does not exist in this image")
        );
    }
    expect(&format!("{own}/My App/run"), 127, &format!("{own}/My App/run: there is no directory {own}/My App"));
    expect("My App/run", 127, "My App/run: there is no directory My App");
}

#[test]
fn the_path_of_the_termination_log_wants_an_equals_sign() {
    let folder = Folder::new();
    let plain = folder.file_with_mode("log", "", 0o644);
    let missing = folder.path("missing");
    folder.file("missinh", "");
    let hint =
        |path: &str| format!("; if it was to be the termination log, the path wants a =: --termination-log={path}");
    for (path, why, status) in [
        (&missing, "there is no such file".to_owned(), 127),
        // Whoever runs the tests, in the namespace it is root.
        (&plain, "it is not executable (rw-r--r--, 0644, uid 0, gid 0): chmod +x".to_owned(), 126),
        (&folder.folder("folder"), "it is a directory".to_owned(), 126),
    ] {
        // A /dev of its own, in which no termination log can be made.
        let sexton = Sexton::new(Place::Init).setup(["hide=/dev"]).options(["--termination-log", path, "server"]);
        let (status_seen, stdout, stderr) = sexton.bare().finish();
        assert_eq!((status_seen, stdout.as_str()), (Status::Exited(status), ""), "{stderr}");
        let line = format!("sexton: cannot execute {path}: {why}{}\n", hint(path));
        assert!(stderr.starts_with(&line), "{stderr}\n{line}");
    }
    // Explicit, or not a path of a log.
    let sexton = Sexton::new(Place::Init).setup(["hide=/dev"]).options(["--termination-log", "--", &missing]);
    let (_, _, stderr) = sexton.bare().finish();
    assert!(!stderr.contains("--termination-log="), "{stderr}");
}

// ---- Whether it may be executed ----

#[test]
fn a_file_that_is_not_executable_is_shown_with_its_mode() {
    let folder = Folder::new();
    let file = folder.file_with_mode("file", "#!/bin/sh\n", 0o644);
    expect(&file, 126, &format!("{file}: it is not executable {}: chmod +x", mode("rw-r--r--, 0644")));
}

#[test]
fn a_file_that_others_alone_may_execute_is_shown_with_who_asks() {
    needs!(Root);
    let folder = Folder::new();
    let copy = folder.copy("sexton", sexton_binary());
    let file = folder.file_with_mode("file", "#!/bin/sh\n", 0o700);
    for place in BOTH {
        let sexton = Sexton::new(place).binary(&copy).setup(["uid=4711"]);
        let expected =
            format!("cannot execute {file}: uid 4711 may not execute it {}: chmod a+rx", mode("rwx------, 0700"));
        assert_eq!(refusal_of(sexton, [&file]), (expected, 126));
    }
    // Executable, but not to be looked at.
    let file = folder.file_with_mode("script", "#!/nonexistent/sh\n", 0o711);
    let sexton = Sexton::new(Place::Init).binary(&copy).setup(["uid=4711"]);
    let expected = format!(
        "cannot execute {file}: its interpreter or loader does not exist in this image; uid 4711 may not read it to \
         say more {}",
        mode("rwx--x--x, 0711")
    );
    assert_eq!(refusal_of(sexton, [&file]), (expected, 127));
}

#[test]
fn a_folder_is_called_a_directory_and_a_pipe_is_not_waited_for() {
    let folder = Folder::new();
    let own = folder.0.to_str().unwrap();
    expect(own, 126, &format!("{own}: it is a directory"));
    let pipe = CString::new(folder.path("pipe")).unwrap();
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o777) }, 0);
    let pipe = pipe.to_str().unwrap();
    expect(pipe, 126, &format!("{pipe}: it is a named pipe"));
    expect("/dev/null", 126, "/dev/null: it is a device");
}

#[test]
fn a_noexec_mount_is_named() {
    let folder = Folder::new();
    let mount = folder.folder("data");
    let file = folder.file("data/file", "#!/bin/sh\n");
    let reason = "is mounted noexec: mount it with exec, or put the file elsewhere";
    let sexton = || Sexton::new(Place::Init).setup([format!("noexec={mount}")]);
    assert_eq!(refusal_of(sexton(), [&file]), (format!("cannot execute {file}: {mount} {reason}"), 126));
    let sexton = sexton().setup(["no-proc"]);
    assert_eq!(refusal_of(sexton, [&file]), (format!("cannot execute {file}: its file system {reason}"), 126));
}

#[test]
fn file_capabilities_that_the_container_may_not_give_are_named() {
    needs!(Root);
    let folder = Folder::new();
    let file = folder.copy("ping", probe_binary());
    // Version 2 and the effective bit; permitted: CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYSLOG.
    let data: Vec<u8> =
        [0x0200_0001_u32, 1 << 12 | 1 << 13, 0, 1 << 2, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = CString::new(file.as_str()).unwrap();
    let name = c"security.capability";
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), data.as_ptr().cast(), data.len(), 0) };
    assert_eq!(set, 0, "the file system of {file} has no file capabilities");
    for place in BOTH {
        let expected = format!(
            "cannot execute {file}: its file capabilities (net_raw, syslog) are not allowed here: add them to the container \
             (--cap-add), or remove them from the file (setcap -r)"
        );
        assert_eq!(
            refusal_of(Sexton::new(place).setup(["no-capability=13", "no-capability=34"]), [&file]),
            (expected, 126)
        );
    }
}

#[test]
fn a_file_that_is_being_written_is_not_blamed() {
    let folder = Folder::new();
    let file = folder.file("file", "#!/bin/sh\n");
    let writer = OpenOptions::new().append(true).open(&file).unwrap();
    expect(&file, 126, &format!("{file}: somebody has it open for writing: close it before it is executed"));
    drop(writer);
}

// ---- Scripts ----

#[test]
fn a_script_without_its_interpreter_is_told_which() {
    let folder = Folder::new();
    let script = folder.file("script", "#!/nonexistent/bash -e\n");
    expect(&script, 127, &format!("{script}: its interpreter \"/nonexistent/bash\" does not exist in this image"));
    let script = folder.file("relative", "#! bash\n");
    expect(&script, 127, &format!("{script}: its interpreter \"bash\" does not exist in this image"));
}

#[test]
fn a_script_with_windows_line_endings_is_called_that() {
    let folder = Folder::new();
    let script = folder.file("script", "#!/bin/sh\r\necho hello\r\n");
    let reason = "its first line ends in a carriage return (\"#!/bin/sh\\r\"): saved with Windows line endings";
    expect(&script, 127, &format!("{script}: {reason}, convert it with dos2unix"));
}

#[test]
fn a_script_whose_interpreter_cannot_be_executed_is_told_why() {
    let folder = Folder::new();
    let interpreter = folder.file_with_mode("interpreter", "", 0o644);
    let script = folder.file("script", format!("#!{interpreter}\n"));
    let why = format!("it is not executable {}: chmod +x", mode("rw-r--r--, 0644"));
    expect(&script, 126, &format!("{script}: its interpreter \"{interpreter}\" cannot be executed: {why}"));
    let script = folder.file("of-a-folder", "#!/tmp\n");
    expect(&script, 126, &format!("{script}: its interpreter \"/tmp\" cannot be executed: it is a directory"));

    let text = folder.file("text", "hello\n");
    let script = folder.file("of-a-text", format!("#!{text}\n"));
    let why = "it is a text without a #! line";
    expect(&script, 126, &format!("{script}: its interpreter \"{text}\" cannot be executed: {why}"));

    let dangling = folder.link("dangling", "nothing");
    let script = folder.file("of-a-link", format!("#!{dangling}\n"));
    let why = "it is a symbolic link to nothing, which does not exist";
    expect(&script, 127, &format!("{script}: its interpreter \"{dangling}\" cannot be executed: {why}"));
}

#[test]
fn a_script_that_is_its_own_interpreter_ends_somewhere() {
    let folder = Folder::new();
    let path = folder.path("script");
    let script = folder.file("script", format!("#!{path}\n"));
    let reason = "its interpreter is a script as well, and so on: the kernel follows five";
    expect(&script, 126, &format!("{script}: {reason}"));
}

#[test]
fn a_first_line_without_a_name_or_without_an_end_is_no_text_for_the_shell() {
    let folder = Folder::new();
    let script = folder.file("nothing", "#!\necho hello\n");
    expect(&script, 126, &format!("{script}: its first line, #!, names no interpreter"));
    let script = folder.file("long", format!("#!/{}\necho hello\n", "x".repeat(300)));
    expect(&script, 126, &format!("{script}: its first line is too long: the kernel reads 256 bytes of it"));
}

#[test]
fn a_text_without_an_interpreter_is_run_by_the_shell_with_its_arguments() {
    let folder = Folder::new();
    for (name, content) in [
        ("plain", "echo \"$0 $1 $#\"\n".to_owned()),
        ("blank", "\n\necho \"$0 $1 $#\"\n".to_owned()),
        ("with-an-archive", "echo \"$0 $1 $#\"; exit\n\0\x01\x7fELF".to_owned()),
    ] {
        let script = folder.file(name, content);
        for place in BOTH {
            let (status, stdout, stderr) = Sexton::new(place).command([&script, "a b"]).finish();
            assert_eq!((status, stdout, stderr.as_str()), (Status::Exited(0), format!("{script} a b 1\n"), ""));
        }
        let by_name = Sexton::new(Place::Init).env("PATH", &folder.0).command([name, "a b"]).finish();
        assert_eq!(by_name, (Status::Exited(0), format!("{script} a b 1\n"), String::new()));
    }
}

#[test]
fn a_text_without_an_interpreter_in_an_image_without_a_shell_is_told_so() {
    let folder = Folder::new();
    folder.file("script", "echo hello\n");
    let reason = "it has no #! line, and cannot execute /bin/sh: there is no directory /bin";
    let refusal = refusal_of(image(&folder, &[]), ["/script"]);
    assert_eq!(refusal, (format!("cannot execute /script: {reason}"), 127));
}

// ---- Binaries ----

/// What an ELF header says.
struct Elf {
    machine: u16,
    is_64: bool,
    is_big_endian: bool,
    kind: u16,
    loader: Option<Vec<u8>>,
}

impl Elf {
    /// For the machine of this test.
    fn own() -> Elf {
        let probe = fs::read(probe_binary()).unwrap();
        let machine = u16::from_ne_bytes([probe[18], probe[19]]);
        Elf { machine, is_64: true, is_big_endian: cfg!(target_endian = "big"), kind: 2, loader: None }
    }

    fn number(&self, value: u64, length: usize) -> Vec<u8> {
        let mut bytes = value.to_le_bytes().to_vec();
        bytes.resize(length, 0);
        if self.is_big_endian {
            bytes.reverse();
        }
        bytes
    }

    /// A header, one program header, and the name of the loader.
    fn bytes(&self) -> Vec<u8> {
        let (header, entry, word) = if self.is_64 { (64, 56, 8) } else { (52, 32, 4) };
        let loader = self.loader.clone().unwrap_or_default();
        let mut bytes = b"\x7fELF".to_vec();
        bytes.extend([if self.is_64 { 2 } else { 1 }, if self.is_big_endian { 2 } else { 1 }, 1]);
        bytes.resize(16, 0);
        let mut put = |value: usize, length| bytes.extend(self.number(value as u64, length));
        put(self.kind.into(), 2);
        put(self.machine.into(), 2);
        put(1, 4);
        put(0, word); // entry
        put(header, word); // program headers
        put(0, word); // section headers
        put(0, 4);
        put(header, 2);
        put(entry, 2);
        put(1, 2);
        put(0, 6);
        put(if self.loader.is_some() { 3 } else { 1 }, 4);
        if self.is_64 {
            put(0, 4);
        }
        put(header + entry, word);
        put(0, 2 * word); // addresses
        put(loader.len(), word);
        bytes.resize(header + entry, 0);
        bytes.extend(loader);
        bytes
    }
}

fn own_machine() -> &'static str {
    std::env::consts::ARCH
}

#[test]
fn a_program_without_its_loader_is_told_which_libc_it_wants() {
    let folder = Folder::new();
    for (loader, libc) in [
        ("/nonexistent/ld-linux-x86-64.so.2", " of glibc"),
        ("/nonexistent/ld-musl-aarch64.so.1", " of musl"),
        ("/nonexistent/ld", ""),
    ] {
        let mut elf = Elf::own();
        elf.loader = Some([loader.as_bytes(), b"\0"].concat());
        let file = folder.file("server", elf.bytes());
        for place in BOTH {
            let (sentence, status) = refusal_of(Sexton::new(place), [&file]);
            let start = format!("cannot execute {file}: it needs the loader {loader}{libc}, which this image ");
            assert!(sentence.starts_with(&start), "{sentence}");
            assert!(sentence.contains("lacks"), "{sentence}");
            assert_eq!(status, 127);
        }
    }
}

/// An image of its own: a root directory with nothing but sexton and these files.
fn image(folder: &Folder, files: &[&str]) -> Sexton {
    for file in files {
        fs::create_dir_all(Path::new(&folder.path(file)).parent().unwrap()).unwrap();
        folder.file(file, "");
    }
    folder.copy("sexton", sexton_binary());
    Sexton::new(Place::Init).binary("/sexton").setup([format!("root={}", folder.path(""))])
}

#[test]
fn a_program_without_its_loader_is_told_what_libc_the_image_has() {
    let advice = "build it statically, or use the kind of image that it was built for";
    for (loader, files, expected) in [
        ("/lib64/ld-linux-x86-64.so.2", &["lib/ld-musl-x86_64.so.1"][..], "of glibc, which this image (musl) lacks"),
        ("/lib/ld-musl-x86_64.so.1", &["lib64/ld-linux-x86-64.so.2"], "of musl, which this image (glibc) lacks"),
        ("/lib64/ld-linux-x86-64.so.2", &[], "of glibc, which this image lacks"),
        ("/lib64/ld-linux-x86-64.so.2", &["lib/ld-linux.so.2"], "of glibc, which this image lacks"),
    ] {
        let folder = Folder::new();
        let elf = Elf { loader: Some([loader.as_bytes(), b"\0"].concat()), ..Elf::own() };
        folder.file("server", elf.bytes());
        let expected = format!("cannot execute /server: it needs the loader {loader} {expected}: {advice}");
        assert_eq!(refusal_of(image(&folder, files), ["/server"]), (expected, 127));
    }
}

#[test]
fn a_program_of_the_host_fails_without_its_loader_in_an_image_from_scratch() {
    let folder = Folder::new();
    let shell = fs::read("/bin/sh").unwrap();
    folder.file("sh", &shell);
    let (sentence, status) = refusal_of(image(&folder, &[]), ["/sh"]);
    assert!(sentence.starts_with("cannot execute /sh: it needs the loader /lib"), "{sentence}");
    assert_eq!(status, 127);
}

#[test]
fn a_32_bit_program_without_its_loader_is_told_both() {
    if own_machine() != "x86_64" {
        return;
    }
    let folder = Folder::new();
    let loader = Some(b"/nonexistent/ld-linux.so.2\0".to_vec());
    let file = folder.file("server", Elf { machine: 3, is_64: false, is_big_endian: false, kind: 2, loader }.bytes());
    let (sentence, status) = refusal_of(Sexton::new(Place::Init), [&file]);
    let foreign = format!("cannot execute {file}: it is built for i386 (32-bit), this machine is x86_64");
    // A kernel with IA32 emulation looks for the loader, one without it does not.
    if status == 126 {
        assert_eq!(sentence, foreign);
    } else {
        let missing = format!("{foreign}, and it needs the loader /nonexistent/ld-linux.so.2 of glibc, which ");
        assert!(sentence.starts_with(&missing), "{sentence}");
        assert_eq!(status, 127);
    }
}

#[test]
fn a_loader_that_is_no_program_is_told_from_one_that_is_missing() {
    let folder = Folder::new();
    let mut elf = Elf::own();
    let loader = folder.file("loader", "x".repeat(1000));
    elf.loader = Some([loader.as_bytes(), b"\0"].concat());
    let file = folder.file("server", elf.bytes());
    expect(&file, 126, &format!("{file}: its loader {loader} cannot be used: it is a text without a #! line"));
    folder.file_with_mode("loader", "", 0o600);
    let why = format!("it is not executable {}: chmod +x", mode("rw-------, 0600"));
    expect(&file, 126, &format!("{file}: its loader {loader} cannot be used: {why}"));
}

#[test]
fn a_program_for_another_machine_is_told_for_which() {
    let folder = Folder::new();
    let own = own_machine();
    for (machine, is_64, is_big_endian, name) in [
        (183, true, false, "aarch64"),
        (62, true, false, "x86_64"),
        (40, false, false, "arm (32-bit)"),
        (22, true, true, "s390x"),
        (21, true, true, "ppc64 (big-endian)"),
        (21, true, false, "ppc64le"),
        (243, true, false, "riscv64"),
        (9999, false, true, "ELF machine 9999 (32-bit, big-endian)"),
    ] {
        if name == own {
            continue;
        }
        let elf = Elf { machine, is_64, is_big_endian, ..Elf::own() };
        let file = folder.file("server", elf.bytes());
        expect(&file, 126, &format!("{file}: it is built for {name}, this machine is {own}"));
    }
    // A whole program, that only says that it is for another machine.
    let mut probe = fs::read(probe_binary()).unwrap();
    let at = if cfg!(target_endian = "big") { 19 } else { 18 };
    probe[at] = if own == "aarch64" { 62 } else { 183 };
    let file = folder.file("probe", probe);
    let other = if own == "aarch64" { "x86_64" } else { "aarch64" };
    expect(&file, 126, &format!("{file}: it is built for {other}, this machine is {own}"));
}

#[test]
fn a_truncated_program_is_called_truncated() {
    let folder = Folder::new();
    let probe = fs::read(probe_binary()).unwrap();
    let reason = "it is a truncated ELF file: copy or download it once more";
    for length in [4, 20, 63, 64, 100] {
        let file = folder.file("server", &probe[..length]);
        expect(&file, 126, &format!("{file}: {reason}"));
    }
    // The loader's name is behind the end.
    let mut elf = Elf::own();
    elf.loader = Some(b"/lib64/ld-linux-x86-64.so.2\0".to_vec());
    let bytes = elf.bytes();
    let file = folder.file("server", &bytes[..bytes.len() - 5]);
    expect(&file, 126, &format!("{file}: {reason}"));
}

#[test]
fn a_corrupt_program_and_an_object_file_are_told_apart() {
    let folder = Folder::new();
    let file = folder.file("server", Elf { kind: 1, ..Elf::own() }.bytes());
    let reason = "it is an ELF file, but not a program: an object file, or a core dump";
    expect(&file, 126, &format!("{file}: {reason}"));

    let mut bytes = Elf::own().bytes();
    bytes[54] = 1;
    let file = folder.file("server", bytes);
    expect(&file, 126, &format!("{file}: it is a corrupt ELF file: its header makes no sense"));

    let endless = Elf { loader: Some(b"/lib/ld".to_vec()), ..Elf::own() };
    let file = folder.file("server", endless.bytes());
    expect(&file, 126, &format!("{file}: it is a corrupt ELF file: the name of its loader has no end"));
}

#[test]
fn neither_an_empty_file_nor_a_binary_is_given_to_the_shell() {
    let folder = Folder::new();
    let file = folder.file("server", "");
    expect(&file, 126, &format!("{file}: it is empty"));
    let file = folder.file("server", b"MZ\x90\0\x03\0\0\0echo hello\n");
    expect(&file, 126, &format!("{file}: it is a Windows program, not a program for Linux"));
    let file = folder.file("server", b"\x1f\x8b\x08\x20echo hello\necho hello\n");
    expect(&file, 126, &format!("{file}: it is a gzip archive, not a program for Linux"));
    let file = folder.file("server", b"\x01\x02\x03\necho hello\n");
    expect(&file, 126, &format!("{file}: it is neither a program nor a text"));
}

#[test]
fn hostile_files_are_refused_with_one_line() {
    let folder = Folder::new();
    let mut elf = Elf::own();
    elf.loader = Some(b"/nonexistent/\n\x1b[31m\xff\0".to_vec());
    let file = folder.file("server", elf.bytes());
    let (sentence, _) = refusal_of(Sexton::new(Place::Init), [&file]);
    assert!(sentence.contains("/nonexistent/\\n\\u{1b}[31m\\xff"), "{sentence}");
    let file = folder.file("server", b"#!/nonexistent/\x1b[31m\x07\n");
    let (sentence, _) = refusal_of(Sexton::new(Place::Init), [&file]);
    assert!(sentence.contains("/nonexistent/\\u{1b}[31m\\u{7}"), "{sentence}");
    // Every field of the header at its largest.
    for byte in 16..64 {
        let mut bytes = Elf::own().bytes();
        bytes[byte] = 0xff;
        let file = folder.file("server", bytes);
        let (status, _, stderr) = Sexton::new(Place::Ordinary).command([&file]).finish();
        if status != Status::Exited(139) {
            assert_eq!(status, Status::Exited(126), "byte {byte}: {stderr}");
        }
    }
}

// ---- Limits ----

#[test]
fn arguments_that_are_too_long_are_measured() {
    // The interpreter and the name of the script come on top of what sexton itself was given.
    let folder = Folder::new();
    let mut deep = folder.0.clone();
    while deep.as_os_str().len() < 3500 {
        deep.push("x".repeat(200));
        fs::create_dir(&deep).unwrap();
    }
    let script = PathBuf::from(folder.file(deep.join("script").to_str().unwrap(), "#!/bin/sh\n"));
    const LIMIT: usize = 256 * 1024;
    for place in BOTH {
        let words: Vec<_> = ["x".repeat(LIMIT / 3), "y".repeat(LIMIT / 3), "z".repeat(LIMIT / 3 - 6000)].into();
        let sexton = Sexton::new(place).setup([format!("stack={}", 4 * LIMIT)]);
        let command = [script.as_os_str().to_owned()].into_iter().chain(words.iter().map(Into::into));
        let (sentence, status) = refusal_of(sexton, command);
        assert_eq!(status, 126, "{sentence}");
        let arguments: usize = words.iter().map(|word| word.len() + 9).sum::<usize>() + script.as_os_str().len() + 9;
        let environment = "PATH=/usr/sbin:/usr/bin:/sbin:/bin".len() + 9;
        let expected = format!(
            ": its arguments ({arguments} bytes) and environment ({environment} bytes) are too much: the kernel takes \
             {LIMIT} bytes: a quarter of the stack's limit (ulimit -s)"
        );
        assert!(sentence.ends_with(&expected), "{sentence}");
    }
}

#[test]
fn a_limit_on_the_processes_of_a_user_is_named_with_its_number() {
    needs!(Root);
    let folder = Folder::new();
    let copy = folder.copy("sexton", sexton_binary());
    for (place, uid) in BOTH.into_iter().zip([54321, 54322]) {
        let sexton = Sexton::new(place).binary(&copy).setup(["nproc=1".into(), format!("uid={uid}")]);
        let expected = format!(
            "cannot start a process: uid {uid} has all the processes that it may have (RLIMIT_NPROC 1, 1 in sight): \
             raise the limit (ulimit -u, --ulimit nproc=N)"
        );
        assert_eq!(refusal_of(sexton, ["true"]), (expected, 125));
        // Without /proc nothing can be counted, and sexton does not say that it is so.
        if place == Place::Init {
            let sexton = Sexton::new(place).binary(&copy).setup(["no-proc", "nproc=1", "uid=54323"]);
            let expected = "cannot start a process: none of the limits on processes that can be seen from here is \
                            reached: it may be RLIMIT_NPROC (1 for uid 54323, with 0 in sight), the pids.max of a \
                            cgroup around this container";
            assert_eq!(refusal_of(sexton, ["true"]), (expected.into(), 125));
        }
    }
}

/// A cgroup of the test's own for the number of processes.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(parent: &Path, name: &str) -> Cgroup {
        let path = parent.join(name);
        fs::create_dir(&path).unwrap_or_else(|error| {
            panic!(
                "this test makes a cgroup with the pids controller, in version 1 ({V1}) or in version 2 ({V2}, with \
                 pids in cgroup.subtree_control), writable: {} cannot be made: {error}",
                path.display()
            )
        });
        Cgroup(path)
    }

    /// Where the controller is.
    fn parent() -> PathBuf {
        if Path::new(V1).join("cgroup.procs").exists() {
            return V1.into();
        }
        let _ = fs::write(Path::new(V2).join("cgroup.subtree_control"), "+pids");
        V2.into()
    }

    fn limit(&self, max: &str) {
        fs::write(self.0.join("pids.max"), max).unwrap_or_else(|error| {
            panic!("{} has no pids controller (cgroup.subtree_control of its parent): {error}", self.0.display())
        });
    }
}

const V1: &str = "/sys/fs/cgroup/pids";
const V2: &str = "/sys/fs/cgroup";

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_cgroup_with_too_many_processes_is_named_with_its_numbers() {
    needs!(Cgroups);
    let outer = Cgroup::new(&Cgroup::parent(), &harness::unique());
    for place in BOTH {
        // The limit is the cgroup's own, or that of the one above it.
        for above in [false, true] {
            let inner = Cgroup::new(&outer.0, if above { "a" } else { "b" });
            let limited = if above { &outer } else { &inner };
            limited.limit("1");
            let sexton = Sexton::new(place).setup([format!("cgroup={}", inner.0.display())]);
            let expected = format!(
                "cannot start a process: its cgroup has all the processes that it may have (pids.current 1, pids.max 1 \
                 in {}): raise the limit (--pids-limit)",
                limited.0.display()
            );
            assert_eq!(refusal_of(sexton, ["true"]), (expected, 125), "{place:?}, above: {above}");

            // What cannot be seen is not claimed.
            if place == Place::Init {
                let cgroup = format!("cgroup={}", inner.0.display());
                let sexton = Sexton::new(place).setup([&cgroup, "hide=/sys/fs/cgroup"]);
                let (sentence, status) = refusal_of(sexton, ["true"]);
                let start = "cannot start a process: none of the limits on processes that can be seen from here is \
                             reached: it may be the pids.max of a cgroup around this container, kernel.threads-max (";
                assert!(sentence.starts_with(start) && sentence.contains("), kernel.pid_max ("), "{sentence}");
                assert_eq!(status, 125);
            }
            limited.limit("max");
        }
    }
}

#[test]
fn the_files_of_the_tests_can_be_executed() {
    // Or else every test above would be about noexec.
    let folder = Folder::new();
    let file = folder.file("file", "#!/bin/sh\nexit 7\n");
    assert_eq!(Sexton::new(Place::Init).command([&file]).finish().0, Status::Exited(7));
}
