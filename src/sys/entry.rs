//! The C `main`, and the argument and environment vectors as the kernel laid them out.
//!
//! Rust's own start-up ignores SIGPIPE and re-opens closed descriptors 0, 1 and 2 before `main`
//! (library/std/src/rt.rs), and the command would inherit both. So it does not run.

use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::slice;

use super::process::ask_own_pid;
use super::signals::Inherited;

/// What sexton was started with.
#[derive(Debug)]
pub struct Start {
    /// The argument vector.
    pub args: Args,
    /// The environment.
    pub environment: Environment,
    /// The signal state that the command must get back.
    pub inherited: Inherited,
}

/// Defines the C `main`, which calls a `fn(Start) -> u8` and exits with its result.
#[macro_export]
macro_rules! c_main {
    ($run:path) => {
        /// Called by the C start-up code with the vectors of execve(2).
        // SAFETY: no other `main` is linked in: the crate is `no_main`.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn main(
            argc: ::std::ffi::c_int,
            argv: *const *const ::std::ffi::c_char,
            envp: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: these are the arguments of the C `main`.
            #[allow(unsafe_code)]
            let start = unsafe { $crate::sys::start(argc, argv, envp) };
            $crate::sys::exit($run(start))
        }
    };
}

/// Ends sexton with this status, at once: libc has nothing to flush, and a way through its exit(3) is
/// pages that nobody else needs.
pub fn exit(status: u8) -> ! {
    // SAFETY: takes an integer, and does not return.
    unsafe { libc::_exit(c_int::from(status)) }
}

/// Makes sure that every signal is blocked, then looks at what sexton was started with.
///
/// The blocking comes before everything else ([`super::first`]): what is sent from then on stays
/// pending until it is asked for.
///
/// # Safety
///
/// To be called once, with the arguments of the C `main`.
#[inline(always)]
pub unsafe fn start(argc: c_int, argv: *const *const c_char, envp: *const *const c_char) -> Start {
    let inherited = Inherited::take_over();
    ask_own_pid();
    // SAFETY: argv has `argc` entries and a null behind them (execve(2)), and lives as long as
    // the process does. The null is counted in.
    let args = unsafe { slice::from_raw_parts(argv, argc as usize + 1) };
    let mut end = envp;
    // SAFETY: envp ends in a null pointer (execve(2)), and we stop there.
    while !unsafe { end.read() }.is_null() {
        // SAFETY: it was not the null at the end, so there is another pointer behind it.
        end = unsafe { end.add(1) };
    }
    // SAFETY: both point into the same vector, `end` not before `envp`.
    let entries = unsafe { end.offset_from_unsigned(envp) };
    // SAFETY: `entries` pointers and a null were just seen there; it lives as long as the process.
    let environment = unsafe { slice::from_raw_parts(envp, entries + 1) };
    Start { args: Args(Vector(args)), environment: Environment(Vector(environment)), inherited }
}

/// Pointers to C strings, the last of them null. All live as long as the process does.
#[derive(Clone, Copy)]
struct Vector(&'static [*const c_char]);

impl Vector {
    fn iter(self) -> impl DoubleEndedIterator<Item = &'static CStr> + Clone {
        let strings = self.0.split_last().map_or(&[][..], |(_, strings)| strings);
        // SAFETY: all pointers but the last are valid C strings that are never freed.
        strings.iter().map(|pointer| unsafe { CStr::from_ptr(*pointer) })
    }

    fn from_strings<S: Into<Vec<u8>>>(strings: impl IntoIterator<Item = S>) -> Vector {
        let mut pointers: Vec<*const c_char> = strings
            .into_iter()
            .map(|string| {
                let mut bytes = string.into();
                bytes.retain(|byte| *byte != 0);
                bytes.push(0);
                bytes.leak().as_ptr().cast()
            })
            .collect();
        pointers.push(std::ptr::null());
        Vector(pointers.leak())
    }
}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// An argument vector, or the rest of one: bytes, not UTF-8, exactly as they were given.
#[derive(Clone, Copy, Debug)]
pub struct Args(Vector);

impl Args {
    /// The arguments in their order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'static CStr> + Clone {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.0.0.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The arguments from this one on; none when there are not so many.
    #[must_use]
    pub fn from(self, index: usize) -> Args {
        Args(Vector(self.0.0.get(index.min(self.len())..).unwrap_or(self.0.0)))
    }

    /// The first argument.
    pub fn first(self) -> Option<&'static CStr> {
        self.iter().next()
    }

    /// These strings as arguments, up to the first NUL byte in each. They are never freed:
    /// execve(2) wants vectors that live on.
    pub fn from_strings<S: Into<Vec<u8>>>(strings: impl IntoIterator<Item = S>) -> Args {
        Args(Vector::from_strings(strings))
    }

    /// For execve(2): the pointers, a null behind them.
    pub(super) fn as_ptr(self) -> *const *const c_char {
        self.0.0.as_ptr()
    }
}

/// The environment, exactly as it was given, entries without a `=` included.
#[derive(Clone, Copy, Debug)]
pub struct Environment(Vector);

impl Environment {
    /// Every entry, `NAME=value` as a rule.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'static CStr> + Clone {
        self.0.iter()
    }

    /// Each name with its value, as bytes; entries without a `=` are left out.
    pub fn variables(self) -> impl Iterator<Item = (&'static [u8], &'static [u8])> + Clone {
        self.iter().filter_map(|entry| {
            let entry = entry.to_bytes();
            let equals = entry.iter().position(|byte| *byte == b'=')?;
            Some((entry.get(..equals)?, entry.get(equals + 1..)?))
        })
    }

    /// The value of the first entry with this name, as getenv(3) finds it.
    pub fn get(self, name: &str) -> Option<&'static [u8]> {
        self.variables().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
    }

    /// These entries as an environment. They are never freed.
    pub fn from_strings<S: Into<Vec<u8>>>(strings: impl IntoIterator<Item = S>) -> Environment {
        Environment(Vector::from_strings(strings))
    }

    /// For execve(2): the pointers, a null behind them.
    pub(super) fn pointers(self) -> &'static [*const c_char] {
        self.0.0
    }
}
