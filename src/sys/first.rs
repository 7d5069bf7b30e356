//! The first instruction of sexton: block every signal, before libc starts up.
//!
//! As PID 1 a signal that has no handler and is not blocked is thrown away by the kernel
//! (pid_namespaces(7)). Blocking in `main` leaves a gap: a static glibc takes some hundred
//! microseconds before it gets there. So the file's entry point (build.rs) is not libc's `_start`
//! but this: one system call, which needs neither stack nor relocation, and on to `_start`.
//!
//! What is linked without it, like the tests of the library, blocks in `main`
//! ([`super::signals`]), and so does sexton on machines for which nothing is written here (build.rs).
//!
//! At that moment the kernel has set the stack pointer and the program counter, and little else: each
//! machine's part says what libc's `_start` expects to find.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::signal::SignalSet;

/// No mask that the kernel ever returns: it takes SIGKILL and SIGSTOP out of all of them.
const NOT_BLOCKED_YET: u64 = u64::MAX;

/// The mask that sexton was started with, stored by the first instruction.
static INHERITED: AtomicU64 = AtomicU64::new(NOT_BLOCKED_YET);

/// The signal mask from before the first instruction, if that was ours.
pub(super) fn inherited_mask() -> Option<SignalSet> {
    match INHERITED.load(Ordering::Relaxed) {
        NOT_BLOCKED_YET => None,
        mask => Some(SignalSet::from_bits(mask)),
    }
}

/// The entry point: these lines of a machine's own, with the operands of the one system call.
#[allow(unused_macros, reason = "there are machines for which nothing is written here")]
macro_rules! first_instruction {
    ($($line:literal,)+ $(options($option:ident),)?) => {
        /// What to block.
        static ALL: u64 = u64::MAX;

        std::arch::global_asm!(
            ".globl sexton_start",
            $($line,)+
            rt_sigprocmask = const libc::SYS_rt_sigprocmask,
            set_mask = const libc::SIG_SETMASK,
            all = sym ALL,
            inherited = sym INHERITED,
            $(options($option),)?
        );
    };
}

// rt_sigprocmask(SIG_SETMASK, &ALL, &INHERITED, 8). rdx holds what _start is to register with
// atexit(3) (System V ABI, AMD64 supplement, 3.4.1); the kernel clobbers rcx and r11, which hold
// nothing yet.
#[cfg(target_arch = "x86_64")]
first_instruction!(
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
);

// The same; here it is x0 that _start wants back.
#[cfg(target_arch = "aarch64")]
first_instruction!(
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
);

// The same; here it is a0 (RISC-V ELF psABI, "Process Initialization" of the Linux part). The global pointer is not
// set yet, so the linker must not make addresses relative to it.
#[cfg(target_arch = "riscv64")]
first_instruction!(
    "sexton_start:",
    ".option push",
    ".option norelax",
    "mv t0, a0",
    "li a7, {rt_sigprocmask}",
    "li a0, {set_mask}",
    "lla a1, {all}",
    "lla a2, {inherited}",
    "li a3, 8",
    "ecall",
    "mv a0, t0",
    "tail _start",
    ".option pop",
);

// Here the address of what is called is in r12, and the data lies around what is called the TOC (64-bit ELF V2 ABI,
// 2.3.2 and 3.3.1). `_start` looks at r3 to r7 to learn how it was started; the system call changes no register from
// r14 on (Documentation/arch/powerpc/syscall64-abi.rst of Linux), and they hold nothing yet.
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
first_instruction!(
    ".type sexton_start, @function",
    "sexton_start:",
    "addis 2, 12, .TOC.-sexton_start@ha",
    "addi 2, 2, .TOC.-sexton_start@l",
    "mr 14, 3",
    "mr 15, 4",
    "mr 16, 5",
    "mr 17, 6",
    "mr 18, 7",
    "li 0, {rt_sigprocmask}",
    "li 3, {set_mask}",
    "addis 4, 2, {all}@toc@ha",
    "addi 4, 4, {all}@toc@l",
    "addis 5, 2, {inherited}@toc@ha",
    "addi 5, 5, {inherited}@toc@l",
    "li 6, 8",
    "sc",
    "mr 3, 14",
    "mr 4, 15",
    "mr 5, 16",
    "mr 6, 17",
    "mr 7, 18",
    "addis 12, 2, _start@toc@ha",
    "addi 12, 12, _start@toc@l",
    "mtctr 12",
    "bctr",
);

// Here it is r14 that _start wants (s390x ELF ABI, "Process Initialization"), and the system call changes r2 alone.
#[cfg(target_arch = "s390x")]
first_instruction!(
    "sexton_start:",
    "lghi %r2, {set_mask}",
    "larl %r3, {all}",
    "larl %r4, {inherited}",
    "lghi %r5, 8",
    "svc {rt_sigprocmask}",
    "jg _start",
);

// Here it is r0 (what Linux calls the EABI). libc may be in Thumb code: the linker sees to that.
#[cfg(target_arch = "arm")]
first_instruction!(
    ".arm",
    ".type sexton_start, %function",
    "sexton_start:",
    "mov r4, r0",
    "mov r7, #{rt_sigprocmask}",
    "mov r0, #{set_mask}",
    "ldr r1, 4f",
    "2: add r1, pc, r1",
    "ldr r2, 5f",
    "3: add r2, pc, r2",
    "mov r3, #8",
    "svc 0",
    "mov r0, r4",
    "b _start",
    "4: .word {all} - (2b + 8)",
    "5: .word {inherited} - (3b + 8)",
);

// Here it is edx (System V ABI, i386 supplement, 2.3.1). The kernel's stack has room below its pointer.
#[cfg(target_arch = "x86")]
first_instruction!(
    "sexton_start:",
    "movl %edx, %edi",
    "calll 2f",
    "2: popl %ebp",
    "movl ${rt_sigprocmask}, %eax",
    "movl ${set_mask}, %ebx",
    "leal {all}-2b(%ebp), %ecx",
    "leal {inherited}-2b(%ebp), %edx",
    "movl $8, %esi",
    "int $0x80",
    "movl %edi, %edx",
    "jmp _start",
    options(att_syntax),
);
