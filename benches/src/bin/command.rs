//! What the inits are made to run. It says through [`shared`] memory when it started and what
//! happened to it:
//!
//! - `exit`: exits at once.
//! - `leave STATUS`: exits with this status once it is told to.
//! - `wait`: does nothing until it is killed.
//! - `signals`: notes each signal of those that ask for nothing but a note, and exits at SIGTERM or SIGQUIT.
//! - `orphans N`: leaves N dead children to the init, each when the last one is reaped.
//! - `storm N`: the same without waiting.
//! - `busy N`: leaves a dead child to the init each time that it is told to go on, N of them, then
//!   `signals`.
//! - `zombies N`: the same once it is told to, then waits until the last one is reaped.
//! - `children N`: has N children that do nothing, and exits at SIGTERM.

#![no_std]
#![no_main]
#![allow(unsafe_code)]

#[path = "../bare.rs"]
mod bare;
#[path = "../shared.rs"]
mod shared;

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use bare::{ALL_SIGNALS, call, set_mask, wait_signal};
use shared::Shared;
use syscalls::Sysno;

const TERMINATE: i32 = 15;
const QUIT: i32 = 3;
const TO_STOP: u64 = 1 << (TERMINATE - 1) | 1 << (QUIT - 1);

#[unsafe(no_mangle)]
fn program(args: &'static [*const u8]) -> i32 {
    let started = now();
    let shared = shared_memory();
    shared.started.store(started, Ordering::Relaxed);
    let Some(&[_, word]) = args.get(..2) else { return 99 };
    let is = |known: &str| bytes(word).eq(known.bytes());
    let count = args.get(2).map_or(0, |text| number(*text));
    if is("exit") {
        return 0;
    }
    if is("leave") {
        say_ready(shared);
        wait_go(shared, 1);
        shared.happened.store(now(), Ordering::Relaxed);
        return count as i32;
    } else if is("wait") {
        say_ready(shared);
        wait_for_ever();
    } else if is("signals") {
        set_mask(ALL_SIGNALS);
        note_signals(shared);
    } else if is("orphans") {
        say_ready(shared);
        wait_go(shared, 1);
        for _ in 0..count {
            await_reaping(dead_child_of_init());
        }
        say_reaped(shared);
    } else if is("busy") {
        set_mask(ALL_SIGNALS);
        for orphan in 1..=count {
            say_ready(shared);
            wait_go(shared, orphan);
            await_reaping(dead_child_of_init());
        }
        note_signals(shared);
    } else if is("storm") {
        say_ready(shared);
        wait_go(shared, 1);
        await_reaping(dead_children_of_init(count));
        say_reaped(shared);
    } else if is("zombies") {
        say_ready(shared);
        wait_go(shared, 1);
        let last = dead_children_of_init(count);
        say_ready(shared);
        await_reaping(last);
        say_reaped(shared);
    } else if is("children") {
        for _ in 0..count {
            // With memory of their own: the kernel takes a walk through all processes whenever one of
            // many that share it ends.
            if child(CHILD_CHANGED, Sysno::pause) < 0 {
                return 98;
            }
        }
        set_mask(ALL_SIGNALS);
        say_ready(shared);
        wait_signal(TO_STOP);
    } else {
        return 99;
    }
    0
}

/// Until it is told to stop.
fn note_signals(shared: &Shared) {
    say_ready(shared);
    loop {
        let signal = wait_signal(shared::NOTED | TO_STOP);
        if matches!(signal, TERMINATE | QUIT) {
            return;
        }
        if signal > 0 {
            shared.happened.store(now(), Ordering::Relaxed);
            say_ready(shared);
        }
    }
}

fn say_reaped(shared: &Shared) -> ! {
    shared.happened.store(now(), Ordering::Relaxed);
    say_ready(shared);
    wait_for_ever()
}

fn wait_for_ever() -> ! {
    loop {
        call!(pause);
    }
}

/// Returns the pid of the last one.
fn dead_children_of_init(count: u32) -> isize {
    (0..count).fold(0, |_, _| dead_child_of_init())
}

/// What tells the parent of the end, in the flags of clone(2).
const CHILD_CHANGED: usize = 17;
const CLONE_VM: usize = 0x100;
const CLONE_VFORK: usize = 0x4000;
const CLONE_PARENT: usize = 0x8000;

/// It is the init's child, and dead, by the time we go on: to the init an orphan like any other.
fn dead_child_of_init() -> isize {
    let pid = child(CLONE_VM | CLONE_VFORK | CLONE_PARENT, Sysno::exit);
    if pid < 0 { bare::exit(98) } else { pid }
}

/// A child in our memory that makes one system call over and over, and so needs no stack.
fn child(flags: usize, call: Sysno) -> isize {
    let pid: isize;
    // SAFETY: the child writes no memory and does not return.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "3:",
            "mov rax, r12",
            "xor edi, edi",
            "syscall",
            "jmp 3b",
            "2:",
            inlateout("rax") Sysno::clone as isize => pid,
            inlateout("rdi") flags => _,
            in("rsi") 0_usize,
            in("rdx") 0_usize,
            in("r10") 0_usize,
            in("r8") 0_usize,
            in("r12") call as usize,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    pid
}

/// Looks again and again whether there is a process with this number, and lets others run meanwhile.
fn await_reaping(pid: isize) {
    const NO_SUCH_PROCESS: isize = -3;
    while call!(kill, pid, 0) != NO_SUCH_PROCESS {
        let pause = [0_u64, 10_000];
        call!(nanosleep, &raw const pause, 0);
    }
}

fn now() -> u64 {
    const MONOTONIC: usize = 1;
    let mut time = [0_u64; 2];
    call!(clock_gettime, MONOTONIC, &raw mut time);
    time[0] * 1_000_000_000 + time[1]
}

fn shared_memory() -> &'static Shared {
    const READ_WRITE: usize = 3;
    const SHARED: usize = 1;
    let mapped = call!(mmap, 0, shared::SIZE, READ_WRITE, SHARED, shared::DESCRIPTOR, 0);
    if mapped < 0 {
        bare::exit(97);
    }
    // SAFETY: the descriptor has SIZE bytes, more than a Shared; all its fields are atomic.
    unsafe { &*(mapped as *const Shared) }
}

fn say_ready(shared: &Shared) {
    const WAKE: usize = 1;
    shared.ready.fetch_add(1, Ordering::Release);
    call!(futex, shared.ready.as_ptr(), WAKE, 1, 0);
}

/// Waits until we were told to go on so many times.
fn wait_go(shared: &Shared, times: u32) {
    const WAIT: usize = 0;
    let go: &AtomicU32 = &shared.go;
    loop {
        let told = go.load(Ordering::Acquire);
        if told >= times {
            return;
        }
        call!(futex, go.as_ptr(), WAIT, told, 0);
    }
}

/// The bytes of an argument, up to the NUL at its end.
fn bytes(text: *const u8) -> impl Iterator<Item = u8> {
    let mut next = text;
    core::iter::from_fn(move || {
        // SAFETY: an argument ends in a NUL byte, and we go no further.
        let byte = unsafe { next.read() };
        // SAFETY: as above.
        next = unsafe { next.add(usize::from(byte != 0)) };
        (byte != 0).then_some(byte)
    })
}

fn number(text: *const u8) -> u32 {
    bytes(text).fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}
