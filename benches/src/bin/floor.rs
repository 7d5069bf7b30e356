//! The least that an init can do and still be one: `floor -- COMMAND` starts the command, forwards
//! every signal, reaps every orphan and exits with the command's status. No libc, no options, no
//! word when something fails: a mark of what is possible, not a program to use.

#![no_std]
#![no_main]
#![allow(unsafe_code)]

#[path = "../bare.rs"]
mod bare;

use core::arch::asm;

use bare::{ALL_SIGNALS, call, set_mask, wait_signal};

const CHILD_CHANGED: i32 = 17;
const ANYBODY: isize = -1;
const NO_HANG: usize = 1;
const ALL_KINDS: usize = 0x4000_0000;

#[unsafe(no_mangle)]
fn program(args: &'static [*const u8]) -> i32 {
    let inherited = set_mask(ALL_SIGNALS);
    let Some(&[_, _, command]) = args.get(..3) else { return 125 };
    // SAFETY: one null is between the two vectors.
    let environment = unsafe { args.as_ptr().add(args.len() + 1) };
    let pid = spawn(command, &args[2..], environment, inherited);
    loop {
        let signal = wait_signal(ALL_SIGNALS);
        if signal != CHILD_CHANGED {
            call!(kill, pid, signal);
            continue;
        }
        let mut status = 0_i32;
        loop {
            let reaped = call!(wait4, ANYBODY, &raw mut status, NO_HANG | ALL_KINDS, 0);
            if reaped == pid {
                return if status & 0x7f == 0 { status >> 8 & 0xff } else { 128 + (status & 0x7f) };
            }
            if reaped <= 0 {
                break;
            }
        }
    }
}

/// The child runs in our memory and on our stack while we are suspended (CLONE_VM | CLONE_VFORK), so
/// it keeps to the registers.
fn spawn(path: *const u8, args: &[*const u8], environment: *const *const u8, mask: u64) -> isize {
    let pid: isize;
    // SAFETY: the child makes three system calls, writes no memory, and does not return; the vectors
    // are those that we were started with, each with its null at the end.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, {sigprocmask}",
            "mov edi, 2",
            "mov rsi, r12",
            "xor edx, edx",
            "mov r10d, 8",
            "syscall",
            "mov eax, {execve}",
            "mov rdi, r13",
            "mov rsi, r14",
            "mov rdx, r15",
            "syscall",
            "mov eax, {exit}",
            "mov edi, 127",
            "syscall",
            "2:",
            sigprocmask = const 14,
            execve = const 59,
            exit = const 60,
            inlateout("rax") 56_isize => pid,
            inlateout("rdi") 0x4100 | 17_usize => _,
            inlateout("rsi") 0_usize => _,
            inlateout("rdx") 0_usize => _,
            inlateout("r10") 0_usize => _,
            in("r8") 0_usize,
            in("r12") &raw const mask,
            in("r13") path,
            in("r14") args.as_ptr(),
            in("r15") environment,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    pid
}
