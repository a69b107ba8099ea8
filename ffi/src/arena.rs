//! The memory that callers grant.
//!
//! Every open stack has an arena of its own, and everything that the stack allocates comes from
//! there: when the stack is closed the arena is the caller's again, whole. The core allocates only
//! while a stack is opened, so an allocation belongs to the stack that is being opened.
//!
//! In `libmnet.a` [`ArenaAllocator`] is the global allocator. Host programs keep their own; there
//! an arena is only kept account of.

use core::alloc::{GlobalAlloc, Layout};
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use solo5::heap::Heap;
use spin::Mutex;

use crate::error::Error;
use crate::registry::MAX_STACKS;

/// The memory of one stack.
struct Arena {
    heap: Heap,
    /// The addresses that it covers.
    range: Range<usize>,
    /// The end of the caller's memory: what lies behind `range` is for fibers, whose stacks and buffers
    /// are no insides of ours.
    end: usize,
}

/// All arenas, by the slot of their stack.
struct Arenas {
    slots: [Option<Arena>; MAX_STACKS],
    /// The slot of the stack that is being opened.
    current: Option<usize>,
}

/// Never locked while calling anything but the heaps below.
static ARENAS: Mutex<Arenas> = Mutex::new(Arenas {
    slots: [const { None }; MAX_STACKS],
    current: None,
});

/// No arena reaches below or above these addresses: the quick answer for buffers that lie elsewhere,
/// as nearly all do.
static LOWEST: AtomicUsize = AtomicUsize::new(usize::MAX);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

/// An arena that is in use. Dropping the value gives the memory back to the caller of
/// `mnet_open`; nothing that was allocated from it may exist any more.
#[derive(Debug)]
pub(crate) struct Claim {
    slot: usize,
}

impl Claim {
    /// Takes memory at `base` for the stack in `slot`: as many bytes as the end of `sizes` says, of which
    /// the allocations of the stack get as many as the start says.
    ///
    /// # Safety
    /// The memory is readable and writable, and nobody else uses it until the claim is dropped. It
    /// is zero if `zeroed` says so.
    pub(crate) unsafe fn new(
        slot: usize,
        base: *mut u8,
        sizes: Range<usize>,
        zeroed: bool,
    ) -> Result<Self, Error> {
        let start = base.addr();
        let end = start.checked_add(sizes.end).ok_or(Error::INVALID)?;
        if base.is_null() || sizes.end > isize::MAX.unsigned_abs() || sizes.start > sizes.end {
            return Err(Error::INVALID);
        }
        let len = sizes.start;
        let mut arenas = ARENAS.lock();
        let mut others = arenas.slots.iter().flatten();
        if others.any(|other| other.range.start < end && start < other.end) {
            return Err(Error::BUSY);
        }
        let place = arenas.slots.get_mut(slot).ok_or(Error::LIMIT)?;
        // SAFETY: the caller grants the memory for as long as the claim lives, and the arena is
        // forgotten when the claim is dropped.
        let heap = unsafe { Heap::new(base, len, zeroed) }.ok_or(Error::NO_MEMORY)?;
        let range = start..start + len;
        *place = Some(Arena { heap, range, end });
        LOWEST.fetch_min(start, Ordering::Relaxed);
        HIGHEST.fetch_max(start + len, Ordering::Relaxed);
        Ok(Self { slot })
    }

    /// Lets `open` allocate from this arena. What it calls out to may use another stack, which allocates
    /// from its own meanwhile.
    pub(crate) fn provide<T>(&self, open: impl FnOnce() -> T) -> T {
        let before = ARENAS.lock().current.replace(self.slot);
        let result = open();
        ARENAS.lock().current = before;
        result
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(place) = ARENAS.lock().slots.get_mut(self.slot) {
            *place = None;
        }
    }
}

impl Arenas {
    /// A block from the arena of the stack that is being opened; null if there is none.
    fn current(&mut self, allocate: impl FnOnce(&mut Arena) -> *mut u8) -> *mut u8 {
        self.current
            .and_then(|slot| self.slots.get_mut(slot)?.as_mut())
            .map_or(ptr::null_mut(), allocate)
    }

    fn overlaps(&self, range: &Range<usize>) -> bool {
        self.slots
            .iter()
            .flatten()
            .any(|arena| arena.range.start < range.end && range.start < arena.range.end)
    }
}

/// Whether any of these bytes belongs to an open stack.
pub(crate) fn overlaps(start: *const u8, len: usize) -> bool {
    let start = start.addr();
    let end = start.saturating_add(len);
    if end <= LOWEST.load(Ordering::Relaxed) || start >= HIGHEST.load(Ordering::Relaxed) {
        return false;
    }
    len > 0 && ARENAS.lock().overlaps(&(start..end))
}

/// The global allocator of `libmnet.a`: allocates from the arena of the stack that is being
/// opened, and from nowhere at other times.
#[derive(Debug)]
pub struct ArenaAllocator;

impl ArenaAllocator {
    /// Whether `pointer` lies in the arena of an open stack.
    #[must_use]
    pub fn owns(pointer: *const u8) -> bool {
        overlaps(pointer, 1)
    }

    /// Whether a stack is being opened.
    #[must_use]
    pub fn is_providing() -> bool {
        ARENAS.lock().current.is_some()
    }
}

// SAFETY: each block comes from a heap that is found again by the block's address, and the heaps
// keep blocks apart. Nothing here unwinds.
unsafe impl GlobalAlloc for ArenaAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: a global allocator is never asked for a block of size 0.
        ARENAS
            .lock()
            .current(|arena| unsafe { arena.heap.allocate(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: a global allocator is never asked for a block of size 0.
        ARENAS
            .lock()
            .current(|arena| unsafe { arena.heap.allocate_zeroed(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let mut arenas = ARENAS.lock();
        let owner = arenas
            .slots
            .iter_mut()
            .flatten()
            .find(|arena| arena.range.contains(&block.addr()));
        if let Some(arena) = owner {
            // SAFETY: the block lies in this arena, so it was allocated there, and the caller says
            // that it has this layout.
            unsafe { arena.heap.free(block, layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// The slots are shared by all tests of this file.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

    #[test]
    fn an_arena_is_whole_again_after_the_claim() {
        let _turn = TURN.lock();
        let mut memory = std::vec![0_u8; 64 << 10];
        let layout = Layout::from_size_align(40 << 10, 64).unwrap();
        for _ in 0..3 {
            // SAFETY: the memory outlives the claim and is not touched meanwhile.
            let claim =
                unsafe { Claim::new(0, memory.as_mut_ptr(), memory.len()..memory.len(), false) }
                    .unwrap();
            // SAFETY: the layout has a size; the block is given up with the claim.
            let block = claim.provide(|| unsafe { ArenaAllocator.alloc(layout) });
            assert!(ArenaAllocator::owns(block) && block.addr() % 64 == 0);
            drop(claim);
            assert!(!ArenaAllocator::owns(block));
        }
    }

    #[test]
    fn more_than_the_arena_has_is_refused_and_freed_blocks_are_used_again() {
        let _turn = TURN.lock();
        let mut memory = std::vec![0_u8; 64 << 10];
        // SAFETY: the memory outlives the claim and is not touched meanwhile.
        let claim =
            unsafe { Claim::new(0, memory.as_mut_ptr(), memory.len()..memory.len(), false) }
                .unwrap();
        let layout = Layout::from_size_align(40 << 10, 8).unwrap();
        claim.provide(|| {
            for _ in 0..100 {
                // SAFETY: the layout has a size, and the block is freed with the same one.
                unsafe {
                    let block = ArenaAllocator.alloc(layout);
                    assert!(!block.is_null());
                    assert!(ArenaAllocator.alloc(layout).is_null());
                    ArenaAllocator.dealloc(block, layout);
                }
            }
        });
        // SAFETY: the layout has a size. Outside of an opening there is no memory.
        assert!(unsafe { ArenaAllocator.alloc(layout) }.is_null());
    }

    #[test]
    fn arenas_may_touch_but_not_overlap() {
        let _turn = TURN.lock();
        let mut memory = std::vec![0_u8; 64 << 10];
        let (low, high) = memory.split_at_mut(32 << 10);
        // SAFETY: the memory outlives the claims and is not touched meanwhile.
        let first =
            unsafe { Claim::new(0, low.as_mut_ptr(), low.len()..low.len(), false) }.unwrap();
        // SAFETY: as above.
        let again = unsafe { Claim::new(1, low.as_mut_ptr(), low.len()..low.len(), false) };
        assert_eq!(again.err(), Some(Error::BUSY));
        // SAFETY: as above.
        let reaching = unsafe { Claim::new(1, low.as_mut_ptr().add(100), 8..8, false) };
        assert_eq!(reaching.err(), Some(Error::BUSY));
        // SAFETY: as above.
        let second = unsafe { Claim::new(1, high.as_mut_ptr(), high.len()..high.len(), false) };
        assert!(second.is_ok());
        drop((first, second));
        // SAFETY: as above.
        let small = unsafe { Claim::new(0, low.as_mut_ptr(), 64..64, false) };
        assert_eq!(small.err(), Some(Error::NO_MEMORY));
        // SAFETY: refused before it is used.
        let wrapping = unsafe { Claim::new(0, low.as_mut_ptr(), usize::MAX..usize::MAX, false) };
        assert_eq!(wrapping.err(), Some(Error::INVALID));
    }

    #[test]
    fn zeroes_are_made_unless_the_caller_says_that_they_are_there() {
        let _turn = TURN.lock();
        let layout = Layout::from_size_align(100 << 10, 4_096).unwrap();
        for zeroed in [false, true] {
            // Not zero at all, which shows whether anybody looks.
            let mut memory = std::vec![7_u8; 400 << 10];
            // SAFETY: the memory outlives the claim and is not touched meanwhile.
            let claim =
                unsafe { Claim::new(0, memory.as_mut_ptr(), memory.len()..memory.len(), zeroed) }
                    .unwrap();
            claim.provide(|| {
                // SAFETY: the layouts have a size, blocks are freed with their own, and read only
                // while they are allocated.
                unsafe {
                    let first = ArenaAllocator.alloc_zeroed(layout);
                    let second = ArenaAllocator.alloc_zeroed(layout);
                    assert!(second < first && second.addr().is_multiple_of(4_096));
                    let as_given = if zeroed { 7 } else { 0 };
                    for at in [0, 50_000, layout.size() - 1] {
                        assert_eq!(second.add(at).read(), as_given);
                    }
                    second.write_bytes(9, layout.size());
                    ArenaAllocator.dealloc(second, layout);
                    let again = ArenaAllocator.alloc_zeroed(layout);
                    assert_eq!(again, second);
                    assert_eq!(
                        again.add(layout.size() - 1).read(),
                        0,
                        "it was used meanwhile"
                    );
                    // Small blocks are always cleared, and the heap grows up to the large ones.
                    let small = Layout::from_size_align(1_000, 8).unwrap();
                    let block = ArenaAllocator.alloc_zeroed(small);
                    assert_eq!((block.read(), block.add(999).read()), (0, 0));
                    let rest = Layout::from_size_align(150 << 10, 8).unwrap();
                    assert!(!ArenaAllocator.alloc(rest).is_null());
                    assert!(ArenaAllocator.alloc(rest).is_null());
                    assert!(ArenaAllocator.alloc_zeroed(layout).is_null());
                }
            });
        }
    }
}
