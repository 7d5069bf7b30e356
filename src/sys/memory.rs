//! When there is no memory.

use std::alloc::{GlobalAlloc, Layout, System};

use super::output::write_stderr;
use crate::exit_status;

const MESSAGE: &[u8] =
    b"sexton: out of memory before the command was started: the memory limit, or ulimit -v, is too low\n";

/// libc's allocator, which ends sexton with a sentence and status 125 when it has no memory to give.
///
/// Rust's own way is to abort, without a word in the release files. No command is left alone by
/// either: whatever is allocated is allocated before the command runs (docs/design.md).
#[derive(Debug)]
pub struct Allocator;

// SAFETY: it hands on what libc's allocator returns, and does not return where that returns null.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one that is asked for.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; `pointer` came from the same allocator.
        given(unsafe { System.realloc(pointer, layout, size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn given(pointer: *mut u8) -> *mut u8 {
    if pointer.is_null() {
        let _ = write_stderr(MESSAGE);
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(exit_status::SEXTON_FAILED.into()) }
    }
    pointer
}
