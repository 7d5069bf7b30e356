//! The first instruction of sexton: block every signal, before libc starts up.
//!
//! As PID 1 a signal that has no handler and is not blocked is thrown away by the kernel
//! (pid_namespaces(7)). Blocking in `main` leaves a gap: a static glibc takes some hundred
//! microseconds before it gets there. So the file's entry point (build.rs) is not libc's `_start`
//! but this: one system call, which needs neither stack nor relocation, and on to `_start`.
//!
//! What is linked without it, like the tests of the library, blocks in `main`
//! ([`super::signals`]), and so does sexton on other machines than these two (build.rs).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::signal::SignalSet;

/// No mask that the kernel ever returns: it takes SIGKILL and SIGSTOP out of all of them.
const NOT_BLOCKED_YET: u64 = u64::MAX;

/// What to block.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static ALL: u64 = u64::MAX;

/// The mask that sexton was started with, stored by the first instruction.
static INHERITED: AtomicU64 = AtomicU64::new(NOT_BLOCKED_YET);

/// The signal mask from before the first instruction, if that was ours.
pub(super) fn inherited_mask() -> Option<SignalSet> {
    match INHERITED.load(Ordering::Relaxed) {
        NOT_BLOCKED_YET => None,
        mask => Some(SignalSet::from_bits(mask)),
    }
}

// rt_sigprocmask(SIG_SETMASK, &ALL, &INHERITED, 8). rdx holds what _start is to register with
// atexit(3) (System V ABI, AMD64 supplement, 3.4.1); the kernel clobbers rcx and r11, which hold
// nothing yet.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".globl sexton_start",
    "sexton_start:",
    "mov r8, rdx",
    "mov eax, {rt_sigprocmask}",
    "mov edi, {set_mask}",
    "lea rsi, [rip + {all}]",
    "lea rdx, [rip + {inherited}]",
    "mov r10d, 8",
    "syscall",
    "mov rdx, r8",
    "jmp _start",
    rt_sigprocmask = const libc::SYS_rt_sigprocmask,
    set_mask = const libc::SIG_SETMASK,
    all = sym ALL,
    inherited = sym INHERITED,
);

// The same; here it is x0 that _start wants back.
#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".globl sexton_start",
    "sexton_start:",
    "mov x5, x0",
    "mov x8, {rt_sigprocmask}",
    "mov x0, {set_mask}",
    "adrp x1, {all}",
    "add x1, x1, :lo12:{all}",
    "adrp x2, {inherited}",
    "add x2, x2, :lo12:{inherited}",
    "mov x3, 8",
    "svc 0",
    "mov x0, x5",
    "b _start",
    rt_sigprocmask = const libc::SYS_rt_sigprocmask,
    set_mask = const libc::SIG_SETMASK,
    all = sym ALL,
    inherited = sym INHERITED,
);
