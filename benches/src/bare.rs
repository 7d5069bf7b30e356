//! A program without libc and without Rust's start-up: x86_64 only, single-threaded.
#![allow(unsafe_code)]

use core::arch::global_asm;
use core::slice;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the benchmark's own programs are written for x86_64");

/// Whatever is not in this set waits until it is asked for.
pub const ALL_SIGNALS: u64 = u64::MAX;

// The kernel leaves the vectors at the stack pointer (System V ABI, AMD64 supplement, 3.4.1).
global_asm!(".globl _start", "_start:", "mov rdi, rsp", "and rsp, -16", "call {enter}", enter = sym enter);

unsafe extern "Rust" {
    /// The program. Gets its arguments, behind which there is a null and then the environment.
    safe fn program(args: &'static [*const u8]) -> i32;
}

extern "C" fn enter(stack: *const usize) -> ! {
    // SAFETY: the number of arguments is the first word on the stack.
    let count = unsafe { stack.read() };
    // SAFETY: the argument vector is behind it.
    let args = unsafe { stack.add(1) };
    // SAFETY: so many pointers are there, for as long as the process lives.
    let args = unsafe { slice::from_raw_parts(args.cast(), count) };
    exit(program(args))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(99)
}

/// A system call that only reads and writes memory which outlives it.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: the pointers among the arguments are valid for the call (see each use).
        unsafe { syscalls::raw_syscall!(syscalls::Sysno::$number $(, $argument)*) as isize }
    };
}
pub(crate) use call;

/// Ends the process.
pub fn exit(status: i32) -> ! {
    loop {
        call!(exit_group, status);
    }
}

/// Sets the signal mask and returns the one before.
pub fn set_mask(mask: u64) -> u64 {
    const SET_MASK: usize = 2;
    let mut old = 0_u64;
    call!(rt_sigprocmask, SET_MASK, &raw const mask, &raw mut old, size_of::<u64>());
    old
}

/// Waits for one of these signals.
pub fn wait_signal(set: u64) -> i32 {
    call!(rt_sigtimedwait, &raw const set, 0, 0, size_of::<u64>()) as i32
}
