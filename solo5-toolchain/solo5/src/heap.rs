//! A heap over memory that its owner grants.
//!
//! It grows from the low end; large blocks of zeroes are cut off at the high end. The latter are
//! apart because memory that is known to be zero need not be touched for them: clearing the tables
//! and frames of a network stack takes longer than all the rest of a start.

use core::alloc::Layout;
use core::fmt;
use core::ptr::{self, NonNull};

use talc::base::Talc;
use talc::base::binning::DefaultBinning;
use talc::source::Manual;

/// How much the heap has at first and grows by at least.
const GRANULE: usize = 16 << 10;
/// Blocks of zeroes of this size and more are cut off at the high end.
const LARGE: usize = 64 << 10;
/// Most blocks that are cut off at a time; further ones come from the heap.
const MAX_CUT_OFF: usize = 32;

/// Memory that is handed out in blocks.
pub struct Heap {
    talc: Talc<Manual, DefaultBinning>,
    /// Where the part that has been handed to `talc` ends.
    end: NonNull<u8>,
    /// Where the blocks of zeroes begin. What lies between the two is free.
    top: *mut u8,
    /// Free memory below this address is still as the owner gave it.
    untouched: usize,
    /// The owner gave memory that is zero.
    zeroed: bool,
    /// The blocks of zeroes, from the top upwards.
    cut_off: [Option<CutOff>; MAX_CUT_OFF],
}

/// A block at the high end.
#[derive(Clone, Copy)]
struct CutOff {
    start: usize,
    size: usize,
    in_use: bool,
}

// SAFETY: the pointers lead into memory that belongs to the heap alone.
unsafe impl Send for Heap {}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.top.addr() - self.end.addr().get();
        f.debug_struct("Heap")
            .field("never_used", &free)
            .finish_non_exhaustive()
    }
}

impl Heap {
    /// A heap over `len` bytes at `base`; `None` if they are too few.
    ///
    /// # Safety
    ///
    /// The memory is readable and writable, and belongs to the heap for as long as it or one of its
    /// blocks is used. It is zero if `zeroed` says so.
    pub unsafe fn new(base: *mut u8, len: usize, zeroed: bool) -> Option<Self> {
        let mut talc = Talc::new(Manual);
        // SAFETY: the caller grants the memory.
        let end = unsafe { talc.claim(base, len.min(GRANULE)) }?;
        let top = base.wrapping_add(len);
        Some(Self {
            talc,
            end,
            top,
            untouched: top.addr(),
            zeroed,
            cut_off: [None; MAX_CUT_OFF],
        })
    }

    /// A block of that size and alignment; null if there is none.
    ///
    /// # Safety
    ///
    /// The layout's size is not 0.
    pub unsafe fn allocate(&mut self, layout: Layout) -> *mut u8 {
        loop {
            // SAFETY: the caller says that the layout has a size.
            if let Some(block) = unsafe { self.talc.allocate(layout) } {
                return block.as_ptr();
            }
            if !self.grow(layout) && !self.reclaim() {
                return ptr::null_mut();
            }
        }
    }

    /// Takes free memory below the top; whether there was any.
    fn grow(&mut self, layout: Layout) -> bool {
        let wanted = layout.size().saturating_add(layout.align()).max(GRANULE);
        let free = self.top.addr() - self.end.addr().get();
        let end = self
            .end
            .as_ptr()
            .wrapping_add(wanted.saturating_add(64).min(free));
        // SAFETY: the end is the one that it gave last; behind it, up to `top`, the memory is the
        // heap's and free.
        let grown = unsafe { self.talc.extend(self.end, end) };
        let has_grown = grown != self.end;
        self.end = grown;
        has_grown
    }

    /// Takes blocks of zeroes that came back while lower ones are in use; whether there was one.
    fn reclaim(&mut self) -> bool {
        let unused = |place: &Option<CutOff>| place.is_some_and(|block| !block.in_use);
        let Some(place) = self.cut_off.iter_mut().find(|place| unused(place)) else {
            return false;
        };
        if let Some(block) = place.take() {
            let base = self.top.with_addr(block.start);
            // SAFETY: the block is the heap's memory, and used for nothing else from now on.
            unsafe { self.talc.claim(base, block.size) };
        }
        true
    }

    /// A block of zeroes; null if there is none.
    ///
    /// # Safety
    ///
    /// The layout's size is not 0.
    pub unsafe fn allocate_zeroed(&mut self, layout: Layout) -> *mut u8 {
        let (block, clear) = if layout.size() < LARGE {
            (ptr::null_mut(), true)
        } else if let Some(block) = self.reuse(layout) {
            (block, true)
        } else {
            self.cut_off(layout)
        };
        let block = if block.is_null() {
            // SAFETY: the caller says that the layout has a size.
            unsafe { self.allocate(layout) }
        } else {
            block
        };
        if clear && !block.is_null() {
            // SAFETY: the block has this size and belongs to nobody else.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    /// A block of zeroes that came back and is large enough.
    fn reuse(&mut self, layout: Layout) -> Option<*mut u8> {
        let block = self.cut_off.iter_mut().flatten().find(|block| {
            !block.in_use
                && block.size >= layout.size()
                && block.start.is_multiple_of(layout.align())
        })?;
        block.in_use = true;
        Some(self.top.with_addr(block.start))
    }

    /// A new block at the high end, null if there is no room; and whether it has to be cleared.
    fn cut_off(&mut self, layout: Layout) -> (*mut u8, bool) {
        let size = layout.size();
        let start = self.top.addr().saturating_sub(size) & !(layout.align() - 1);
        let place = self.cut_off.iter_mut().find(|place| place.is_none());
        let Some(place) = place.filter(|_| start >= self.end.addr().get()) else {
            return (ptr::null_mut(), true);
        };
        *place = Some(CutOff {
            start,
            // With what alignment cost.
            size: self.top.addr() - start,
            in_use: true,
        });
        let is_zero = self.zeroed && start + size <= self.untouched;
        self.top = self.top.with_addr(start);
        self.untouched = self.untouched.min(start);
        (self.top, !is_zero)
    }

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// The block was allocated here with this layout, and nobody uses it any more.
    pub unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
        // Nothing below the top is a block of zeroes, which spares most blocks the search.
        let place = (block >= self.top).then(|| {
            let mut places = self.cut_off.iter_mut().flatten();
            places.find(|place| place.start == block.addr() && place.in_use)
        });
        let Some(place) = place.flatten() else {
            // SAFETY: all other blocks are of this heap.
            unsafe { self.talc.deallocate(block, layout) };
            return;
        };
        place.in_use = false;
        while self.raise() {}
    }

    /// Gives up the block right above the top, if it is there and unused; whether that was so.
    fn raise(&mut self) -> bool {
        let top = self.top.addr();
        let unused = |block: CutOff| !block.in_use && block.start == top;
        let mut places = self.cut_off.iter_mut();
        let block = places.find_map(|place| place.take_if(|block| unused(*block)));
        if let Some(block) = block {
            self.top = self.top.wrapping_add(block.size);
        }
        block.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    /// A heap over `len` bytes, which live as long as the vector.
    fn heap(len: usize, zeroed: bool) -> (Heap, Vec<u8>) {
        let mut memory = vec![0; len];
        // SAFETY: the tests keep the vector as long as the heap and leave it alone.
        let heap = unsafe { Heap::new(memory.as_mut_ptr(), len, zeroed) };
        (heap.unwrap(), memory)
    }

    #[test]
    fn too_little_memory_is_no_heap() {
        let mut memory = [0; 64];
        // SAFETY: the memory outlives the heap.
        assert!(unsafe { Heap::new(memory.as_mut_ptr(), memory.len(), true) }.is_none());
    }

    #[test]
    fn all_memory_can_be_used_and_used_again() {
        let (mut heap, memory) = heap(1 << 20, true);
        for _ in 0..3 {
            // SAFETY: the layouts have sizes, and each block goes back as it came.
            unsafe {
                let large = heap.allocate(layout(900 << 10));
                assert!(memory.as_ptr_range().contains(&large.cast_const()));
                assert!(heap.allocate(layout(200 << 10)).is_null());
                heap.free(large, layout(900 << 10));
            }
        }
    }

    #[test]
    fn blocks_of_zeroes_are_zero_also_when_the_memory_was_used() {
        let (mut heap, _memory) = heap(1 << 20, true);
        let size = 200 << 10;
        // SAFETY: the layouts have sizes, blocks are only used between allocation and return.
        unsafe {
            for _ in 0..3 {
                let block = heap.allocate_zeroed(layout(size));
                let bytes = core::slice::from_raw_parts_mut(block, size);
                assert!(bytes.iter().all(|byte| *byte == 0));
                bytes.fill(0xff);
                heap.free(block, layout(size));
            }
        }
    }

    #[test]
    fn blocks_of_zeroes_that_come_back_out_of_order_are_not_lost() {
        let (mut heap, _memory) = heap(1 << 20, true);
        let size = 300 << 10;
        // SAFETY: the layouts have sizes, and each block goes back once, as it came.
        unsafe {
            for _ in 0..10 {
                let blocks: Vec<_> = (0..3).map(|_| heap.allocate_zeroed(layout(size))).collect();
                assert!(blocks.iter().all(|block| !block.is_null()));
                for block in blocks {
                    heap.free(block, layout(size));
                }
            }
            // What came back serves other blocks as well, which go back to where they came from.
            let kept = heap.allocate_zeroed(layout(size));
            for _ in 0..10 {
                let block = heap.allocate(layout(200 << 10));
                assert!(!block.is_null());
                heap.free(block, layout(200 << 10));
            }
            heap.free(kept, layout(size));
        }
    }

    #[test]
    fn more_large_blocks_than_can_be_cut_off_come_from_the_heap() {
        let (mut heap, _memory) = heap(4 << 20, true);
        // SAFETY: the layouts have sizes, and each block goes back once, as it came.
        unsafe {
            let blocks: Vec<_> = (0..MAX_CUT_OFF + 5)
                .map(|_| heap.allocate_zeroed(layout(LARGE)))
                .collect();
            assert!(blocks.iter().all(|block| !block.is_null()));
            for block in blocks {
                heap.free(block, layout(LARGE));
            }
            let rest = heap.allocate(layout(LARGE));
            assert!(!rest.is_null());
        }
    }
}
