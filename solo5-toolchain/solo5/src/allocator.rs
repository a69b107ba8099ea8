//! The global allocator: a heap over the memory that Solo5 reports.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use spin::Mutex;

use crate::heap::Heap;

/// What is left to the stack, which grows down from the end of the same memory: this much, or a
/// quarter of the memory if that is less.
const STACK: usize = 1 << 20;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(Mutex::new(None));

/// Without a heap until [`take`].
struct Allocator(Mutex<Option<Heap>>);

/// Takes the memory over, but for the room of the stack at its end.
///
/// # Safety
///
/// This is the memory of [`StartInfo`](crate::StartInfo), and nobody else uses it.
pub(crate) unsafe fn take(memory: NonNull<[u8]>) {
    let len = memory.len() - STACK.min(memory.len() / 4);
    // SAFETY: the caller grants the memory, which is zero at the start.
    let heap = unsafe { Heap::new(memory.cast().as_ptr(), len, true) };
    *ALLOCATOR.0.lock() = heap;
}

impl Allocator {
    fn with(&self, allocate: impl FnOnce(&mut Heap) -> *mut u8) -> *mut u8 {
        self.0.lock().as_mut().map_or(ptr::null_mut(), allocate)
    }
}

// SAFETY: `Heap` hands out blocks of its memory that do not overlap.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: a global allocator is never asked for a block of size 0.
        self.with(|heap| unsafe { heap.allocate(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: a global allocator is never asked for a block of size 0.
        self.with(|heap| unsafe { heap.allocate_zeroed(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(heap) = self.0.lock().as_mut() {
            // SAFETY: the caller gives back what it got.
            unsafe { heap.free(block, layout) };
        }
    }
}
