//! `run [SETUP...] -- PROGRAM [ARG...]`: starts a program, as PID 1 of a fresh PID namespace if
//! asked to, in exactly the state that a test wants.
//!
//! Writes `pid N` with the program's pid as the caller sees it, later `status N` with its wait
//! status, to the descriptor named by `report=`. Being single-threaded it may do between fork and
//! exec what a test process may not.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::{raw, tracer};

struct Setup {
    init: bool,
    /// An ordinary process, but in a PID namespace of its own, where it meets nobody else.
    beside_init: bool,
    report: i32,
    /// Its system calls are watched.
    orders: Vec<tracer::Order>,
    steps: Vec<(String, String)>,
}

pub fn run(args: &[OsString]) -> i32 {
    let split = args.iter().position(|arg| arg == "--").expect("run needs -- PROGRAM");
    let mut setup = Setup { init: false, beside_init: false, report: 1, orders: Vec::new(), steps: Vec::new() };
    for word in &args[..split] {
        let word = word.to_str().unwrap();
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "init" => setup.init = true,
            "beside-init" => setup.beside_init = true,
            "report" => setup.report = value.parse().unwrap(),
            _ => match tracer::Order::parse(key, value) {
                Some(order) => setup.orders.push(order),
                None => setup.steps.push((key.into(), value.into())),
            },
        }
    }
    let program: Vec<CString> = args[split + 1..].iter().map(|arg| CString::new(arg.as_bytes()).unwrap()).collect();
    unsafe {
        // Whoever ends the test ends all of it.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        if setup.init || setup.beside_init {
            new_namespace();
        }
        let init = setup.beside_init.then(|| libc::fork());
        if init == Some(0) {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            be_init(setup.report);
        }
        let gate = (!setup.orders.is_empty()).then(tracer::Gate::new);
        let pid = libc::fork();
        if pid == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            if let Some(gate) = gate {
                gate.wait();
            }
            become_program(&setup, &program);
        }
        let tracer = gate.map(|_opens| tracer::Tracer::seize(pid, std::mem::take(&mut setup.orders)));
        report(setup.report, &format!("pid {pid}\n"));
        // What the program shares with its readers must reach end of file when the program ends.
        for descriptor in 0..64 {
            if descriptor != setup.report && descriptor != 2 {
                libc::close(descriptor);
            }
        }
        let mut status = 0;
        match tracer {
            None => while libc::waitpid(pid, &mut status, 0) != pid {},
            Some(mut tracer) => {
                status = tracer.follow();
                report(setup.report, &tracer.report);
            }
        }
        if let Some(init) = init {
            if leaves_somebody(init) {
                report(setup.report, "left\n");
            }
            // The end of the namespace, and nothing of it is left to others to reap.
            libc::kill(init, libc::SIGKILL);
            libc::waitpid(init, std::ptr::null_mut(), 0);
        }
        report(setup.report, &format!("status {status}\n"));
    }
    0
}

/// Whether somebody is left to the first process of the namespace, who is not just about to end.
fn leaves_somebody(init: i32) -> bool {
    let children = || std::fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap_or_default();
    let somebody = || !children().trim().is_empty();
    (0..1000).all(|_| somebody() && unsafe { libc::usleep(1000) } == 0)
}

fn report(descriptor: i32, text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let written = unsafe { libc::write(descriptor, rest.as_ptr().cast(), rest.len()) };
        // Nobody listens any more: the test is over.
        let Some(left) = usize::try_from(written).ok().and_then(|written| rest.get(written..)) else { return };
        rest = left;
    }
}

/// The first process of a namespace in which the program is another one.
unsafe fn be_init(report: i32) -> ! {
    unsafe {
        // The kernel reaps for it.
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        for descriptor in 0..=report {
            libc::close(descriptor);
        }
        loop {
            libc::pause();
        }
    }
}

/// The next fork is PID 1 of a new PID namespace. Without root by way of a user namespace.
unsafe fn new_namespace() {
    unsafe {
        let (uid, gid) = (libc::getuid(), libc::getgid());
        let mut flags = libc::CLONE_NEWPID;
        if uid != 0 {
            flags |= libc::CLONE_NEWUSER;
        }
        if libc::unshare(flags) != 0 {
            eprintln!(
                "probe: no PID namespace can be made here ({}): run the tests as root, or allow user namespaces \
                 (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0)",
                std::io::Error::last_os_error()
            );
            libc::_exit(96);
        }
        if uid != 0 {
            let _ = std::fs::write("/proc/self/setgroups", "deny");
            std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
            std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).unwrap();
        }
    }
}

unsafe fn become_program(setup: &Setup, program: &[CString]) -> ! {
    let mut pointers: Vec<_> = program.iter().map(|arg| arg.as_ptr()).collect();
    pointers.push(std::ptr::null());
    unsafe {
        libc::close(setup.report);
        let has = |key| setup.steps.iter().any(|(known, _)| known == key);
        if setup.init || setup.beside_init {
            // Only here: the launcher keeps its own view of /proc.
            check(libc::unshare(libc::CLONE_NEWNS), "unshare");
            libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            );
            if !has("no-proc") {
                let mounted = libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), 0, std::ptr::null());
                check(mounted, "mounting /proc");
            }
        }
        for (key, value) in &setup.steps {
            let number = value.parse::<i64>().unwrap_or(0);
            match key.as_str() {
                "mask" => drop(raw::set_mask(u64::from_str_radix(value, 16).unwrap())),
                "ignore" => raw::set_ignored(number as i32, true),
                "close" => drop(libc::close(number as i32)),
                // The descriptor exists, whatever it is.
                "open" => check(libc::dup2(libc::open(c"/dev/null".as_ptr(), libc::O_RDWR), number as i32), "dup2"),
                "nofile" => limit(libc::RLIMIT_NOFILE, number as libc::rlim_t),
                "nproc" => limit(libc::RLIMIT_NPROC, number as libc::rlim_t),
                "core" => limit(libc::RLIMIT_CORE, number as libc::rlim_t),
                "sigpending" => limit(libc::RLIMIT_SIGPENDING, number as libc::rlim_t),
                "stack" => limit(libc::RLIMIT_STACK, number as libc::rlim_t),
                "fsize" => limit(libc::RLIMIT_FSIZE, number as libc::rlim_t),
                // The folder of a cgroup; 0 is whoever writes it.
                "cgroup" => std::fs::write(format!("{value}/cgroup.procs"), "0").expect("joining a cgroup"),
                "no-new-privs" => check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs"),
                "uid" => {
                    check(libc::setgid(number as u32), "setgid");
                    check(libc::setuid(number as u32), "setuid");
                }
                // What a root that was given fewer capabilities has: its bounding set decides at exec.
                "no-capability" => {
                    check(libc::prctl(libc::PR_CAPBSET_DROP, number as usize, 0, 0, 0), "PR_CAPBSET_DROP")
                }
                "root" => {
                    check(libc::chroot(CString::new(value.as_str()).unwrap().as_ptr()), "chroot");
                    check(libc::chdir(c"/".as_ptr()), "chdir");
                }
                "cwd" => check(libc::chdir(CString::new(value.as_str()).unwrap().as_ptr()), "chdir"),
                "setsid" => check(libc::setsid(), "setsid"),
                // Makes the terminal behind this descriptor the controlling one.
                "terminal" => check(libc::ioctl(number as i32, libc::TIOCSCTTY, 0), "TIOCSCTTY"),
                "group" => check(libc::setpgid(0, 0), "setpgid"),
                "hide" => {
                    let path = CString::new(value.as_str()).unwrap();
                    let hidden = libc::mount(c"none".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null());
                    check(hidden, "hiding a folder");
                }
                "read-only" => {
                    let path = CString::new(value.as_str()).unwrap();
                    let mounted = libc::mount(
                        c"none".as_ptr(),
                        path.as_ptr(),
                        c"tmpfs".as_ptr(),
                        libc::MS_RDONLY,
                        std::ptr::null(),
                    );
                    check(mounted, "mounting a file system that is read-only");
                }
                // `bind=FROM:TO`: what is to be seen at one place is to be seen at another.
                "bind" => {
                    let (from, to) = value.split_once(':').unwrap();
                    let [from, to] = [from, to].map(|path| CString::new(path).unwrap());
                    let (kind, data) = (std::ptr::null(), std::ptr::null());
                    check(libc::mount(from.as_ptr(), to.as_ptr(), kind, libc::MS_BIND, data), "a bind mount");
                }
                "noexec" => {
                    let path = CString::new(value.as_str()).unwrap();
                    let path = path.as_ptr();
                    let mount = |flags| libc::mount(path, path, std::ptr::null(), flags, std::ptr::null());
                    check(mount(libc::MS_BIND), "mounting a folder onto itself");
                    check(mount(libc::MS_BIND | libc::MS_REMOUNT | libc::MS_NOEXEC), "making it noexec");
                }
                // Who may not trace a process does not see it (proc(5)).
                "hidepid" => {
                    let data = c"hidepid=invisible,gid=12345";
                    let mounted =
                        libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), 0, data.as_ptr().cast());
                    check(mounted, "mounting /proc with hidepid");
                }
                "no-proc" => {
                    let hidden =
                        libc::mount(c"none".as_ptr(), c"/proc".as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null());
                    check(hidden, "hiding /proc");
                }
                other => panic!("unknown setup {other}"),
            }
        }
        unsafe extern "C" {
            static environ: *const *const libc::c_char;
        }
        libc::execve(pointers[0], pointers.as_ptr(), environ);
        libc::_exit(95);
    }
}

fn check(result: i32, what: &str) {
    if result < 0 {
        eprintln!("probe: {what}: {}", std::io::Error::last_os_error());
        unsafe { libc::_exit(94) };
    }
}

fn limit(resource: libc::__rlimit_resource_t, value: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    check(unsafe { libc::setrlimit(resource, &limit) }, "setrlimit");
}
