//! What the fuzz targets share: memory that does not grow.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::collections::HashMap;

/// Runs `parse` and fails if it leaves more than `most` bytes behind. What it left is freed, so that
/// a long run does not grow by what sexton, which parses once, keeps on purpose.
pub fn growing_at_most(most: usize, parse: impl Fn()) {
    use std::sync::Once;
    // What is set up once, at the first use, is no growth.
    static FIRST: Once = Once::new();
    FIRST.call_once(&parse);
    LIVE.set(Some(HashMap::new()));
    parse();
    let left = LIVE.take().unwrap_or_default();
    let bytes: usize = left.values().map(Layout::size).sum();
    for (place, layout) in left {
        // SAFETY: it was allocated with this layout, was not freed, and whoever leaked it is done.
        unsafe { System.dealloc(place as *mut u8, layout) };
    }
    assert!(bytes <= most, "{bytes} bytes are left behind; at most {most} were to be expected");
}

/// The system's allocator, which notes what is allocated while somebody wants to know.
struct Noting;

#[global_allocator]
static ALLOCATOR: Noting = Noting;

thread_local! {
    static LIVE: RefCell<Option<HashMap<usize, Layout>>> = const { RefCell::new(None) };
}

/// The table's own memory is not noted: it is in use just then.
fn note(change: impl FnOnce(&mut HashMap<usize, Layout>)) {
    let _ = LIVE.try_with(|live| {
        if let Ok(mut live) = live.try_borrow_mut()
            && let Some(live) = live.as_mut()
        {
            change(live);
        }
    });
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's own promise.
        let place = unsafe { System.alloc(layout) };
        note(|live| _ = live.insert(place as usize, layout));
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        note(|live| _ = live.remove(&(place as usize)));
        // SAFETY: the caller's own promise.
        unsafe { System.dealloc(place, layout) }
    }
}
