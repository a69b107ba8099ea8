//! The frame pool: every packet of the stack lives in a frame from here.
//!
//! One allocation, made when the stack is created, holds all frames. A [`Frame`] is an owned
//! handle: it cannot be copied, so a frame has one owner at a time, and giving it back consumes
//! it. Frames carry a descriptor beside their bytes ([`Descriptor`]: where the content starts and
//! how long it is), which each layer adjusts as it strips or prepends headers; the bytes stay put.
//!
//! A frame that is dropped instead of being freed is lost to the pool until the stack ends: the
//! tests compare [`FramePool::free_frames`] with the start value.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

/// Room kept in front of what TCP and UDP write: Ethernet (14) with a VLAN tag (4), IPv6 with room
/// for extension headers or IPv4 (40), TCP with full options (60), rounded up to cache lines.
pub const HEADROOM: usize = 128;

/// "No frame" in the pool's links.
const NONE: u32 = u32::MAX;

/// An owned frame of a [`FramePool`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a frame that is not freed is lost to the pool"]
pub struct Frame(u32);

impl Frame {
    /// The frame's place in its pool, for links and for views of frames that stay with their owner.
    pub(crate) fn index(&self) -> u32 {
        self.0
    }
}

/// What a frame's owner knows about its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Offset of the first byte of content.
    pub start: u16,
    /// Bytes of content.
    pub len: u16,
    /// Ones' complement sum of the content, where its owner keeps it (TCP's send queue), folded.
    pub sum: u16,
    /// For the owner's use: what became of the segment, in TCP's send queue.
    pub flags: u16,
    /// For the owner's use: the sequence number of the first byte in TCP's queues; the offset of a
    /// fragment that waits for others; elsewhere, how many frames behind this one in its queue are
    /// of the same packet.
    pub seq: u32,
    /// For the owner's use: when it was sent last, in microseconds, in TCP's send queue.
    pub time: u32,
    /// For the owner's use: another frame of the same queue.
    pub link: u32,
}

#[derive(Clone, Copy, Debug)]
struct Meta {
    next: u32,
    descriptor: Descriptor,
}

/// Bytes of a pool beside each frame.
pub(crate) const META_BYTES: usize = size_of::<Meta>();

/// A fixed number of frames of one size.
#[derive(Debug)]
pub struct FramePool {
    bytes: Box<[u8]>,
    meta: Box<[Meta]>,
    frame_size: usize,
    first_free: u32,
    free: usize,
    lowest_free: usize,
}

impl FramePool {
    /// A pool of `frames` frames of `frame_size` bytes each. The only allocation it ever makes.
    ///
    /// `frame_size` is at most 65,535 and `frames` below 2^32 - 1; the stack's configuration
    /// checks both.
    #[must_use]
    pub fn new(frames: usize, frame_size: usize) -> Self {
        let count = u32::try_from(frames).unwrap_or(NONE - 1).min(NONE - 1);
        let meta: Box<[Meta]> = (0..count)
            .map(|i| Meta {
                next: if i + 1 == count { NONE } else { i + 1 },
                descriptor: Descriptor::default(),
            })
            .collect();
        Self {
            bytes: vec![0; meta.len() * frame_size].into_boxed_slice(),
            frame_size,
            first_free: if count == 0 { NONE } else { 0 },
            free: meta.len(),
            lowest_free: meta.len(),
            meta,
        }
    }

    /// Takes a frame with an empty descriptor; `None` when the pool is empty.
    pub fn allocate(&mut self) -> Option<Frame> {
        let index = self.first_free;
        let meta = self.meta.get_mut(index as usize)?;
        self.first_free = meta.next;
        meta.next = NONE;
        meta.descriptor = Descriptor::default();
        self.free -= 1;
        self.lowest_free = self.lowest_free.min(self.free);
        Some(Frame(index))
    }

    /// Gives a frame back.
    pub fn free(&mut self, frame: Frame) {
        self.meta[frame.0 as usize].next = self.first_free;
        self.first_free = frame.0;
        self.free += 1;
    }

    /// Frames that can be allocated now.
    #[must_use]
    pub fn free_frames(&self) -> usize {
        self.free
    }

    /// The fewest frames that were ever free.
    #[must_use]
    pub fn lowest_free_frames(&self) -> usize {
        self.lowest_free
    }

    /// Frames in all.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.meta.len()
    }

    /// Bytes in each frame.
    #[must_use]
    pub fn frame_size(&self) -> usize {
        self.frame_size
    }

    /// The frame's descriptor.
    #[must_use]
    pub fn descriptor(&self, frame: &Frame) -> &Descriptor {
        &self.meta[frame.0 as usize].descriptor
    }

    /// The frame's descriptor, to change.
    pub fn descriptor_mut(&mut self, frame: &Frame) -> &mut Descriptor {
        &mut self.meta[frame.0 as usize].descriptor
    }

    /// All bytes of the frame, whatever its descriptor says.
    #[must_use]
    pub fn buffer(&self, frame: &Frame) -> &[u8] {
        let at = frame.0 as usize * self.frame_size;
        &self.bytes[at..at + self.frame_size]
    }

    /// All bytes of the frame, to change.
    pub fn buffer_mut(&mut self, frame: &Frame) -> &mut [u8] {
        let at = frame.0 as usize * self.frame_size;
        &mut self.bytes[at..at + self.frame_size]
    }

    /// The content, as the descriptor delimits it.
    #[must_use]
    #[inline(always)]
    pub fn content(&self, frame: &Frame) -> &[u8] {
        let Descriptor { start, len, .. } = *self.descriptor(frame);
        let at = usize::from(start);
        &self.buffer(frame)[at..at + usize::from(len)]
    }

    /// The descriptor of a frame that is known by its place: one that is in a queue.
    pub(crate) fn descriptor_at(&self, index: u32) -> &Descriptor {
        &self.meta[index as usize].descriptor
    }

    /// The same, to change.
    pub(crate) fn descriptor_at_mut(&mut self, index: u32) -> &mut Descriptor {
        &mut self.meta[index as usize].descriptor
    }

    /// All bytes of a frame that is known by its place.
    pub(crate) fn buffer_at(&self, index: u32) -> &[u8] {
        let at = index as usize * self.frame_size;
        &self.bytes[at..at + self.frame_size]
    }

    /// The same, to change.
    pub(crate) fn buffer_at_mut(&mut self, index: u32) -> &mut [u8] {
        let at = index as usize * self.frame_size;
        &mut self.bytes[at..at + self.frame_size]
    }

    /// The content of a frame that is known by its place.
    pub(crate) fn content_at(&self, index: u32) -> &[u8] {
        let Descriptor { start, len, .. } = *self.descriptor_at(index);
        let at = usize::from(start);
        &self.buffer_at(index)[at..at + usize::from(len)]
    }

    /// Copies a range of one frame's bytes to `at` of another frame, which is not the same.
    pub(crate) fn copy_range(&mut self, from: u32, range: Range<usize>, to: &Frame, at: usize) {
        let from = from as usize * self.frame_size;
        let to = to.0 as usize * self.frame_size;
        debug_assert!(range.end <= self.frame_size && at + range.len() <= self.frame_size);
        self.bytes
            .copy_within(from + range.start..from + range.end, to + at);
    }

    /// Copies a range of one frame's bytes to `at` of another one, both known by their places.
    pub(crate) fn copy_within(&mut self, from: u32, range: Range<usize>, to: u32, at: usize) {
        self.copy_range(from, range, &Frame(to), at);
    }

    /// Copies the content of `from` to `at` of the frame at `to`, which is not the same.
    pub(crate) fn copy_between(&mut self, from: &Frame, to: u32, at: usize) {
        let Descriptor { start, len, .. } = *self.descriptor(from);
        let start = usize::from(start);
        self.copy_range(from.0, start..start + usize::from(len), &Frame(to), at);
    }

    /// The frame behind `index` in its queue.
    pub(crate) fn next_in_queue(&self, index: u32) -> Option<u32> {
        Some(self.meta[index as usize].next).filter(|next| *next != NONE)
    }

    /// The content, to change.
    pub fn content_mut(&mut self, frame: &Frame) -> &mut [u8] {
        let Descriptor { start, len, .. } = *self.descriptor(frame);
        let at = usize::from(start);
        &mut self.buffer_mut(frame)[at..at + usize::from(len)]
    }
}

/// A queue of frames, linked through the pool: no memory of its own beyond three words.
#[derive(Debug, PartialEq, Eq)]
pub struct FrameQueue {
    first: u32,
    last: u32,
    len: u32,
}

impl Default for FrameQueue {
    fn default() -> Self {
        Self {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }
}

impl FrameQueue {
    /// Frames in the queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a frame.
    pub fn push_back(&mut self, pool: &mut FramePool, frame: Frame) {
        let index = frame.0;
        pool.meta[index as usize].next = NONE;
        match self.last {
            NONE => self.first = index,
            last => pool.meta[last as usize].next = index,
        }
        self.last = index;
        self.len += 1;
    }

    /// Takes the first frame.
    pub fn pop_front(&mut self, pool: &mut FramePool) -> Option<Frame> {
        if self.first == NONE {
            return None;
        }
        let index = self.first;
        self.first = pool.meta[index as usize].next;
        if self.first == NONE {
            self.last = NONE;
        }
        self.len -= 1;
        Some(Frame(index))
    }

    /// The place of the first frame.
    pub(crate) fn first(&self) -> Option<u32> {
        Some(self.first).filter(|first| *first != NONE)
    }

    /// The place of the last frame.
    pub(crate) fn last(&self) -> Option<u32> {
        Some(self.last).filter(|last| *last != NONE)
    }

    /// Puts a frame in front of the others.
    pub(crate) fn push_front(&mut self, pool: &mut FramePool, frame: Frame) {
        let index = frame.0;
        pool.meta[index as usize].next = self.first;
        if self.first == NONE {
            self.last = index;
        }
        self.first = index;
        self.len += 1;
    }

    /// Puts a frame behind the one at `after`, which is in this queue.
    pub(crate) fn insert_after(&mut self, pool: &mut FramePool, after: u32, frame: Frame) {
        let index = frame.0;
        pool.meta[index as usize].next = pool.meta[after as usize].next;
        pool.meta[after as usize].next = index;
        if self.last == after {
            self.last = index;
        }
        self.len += 1;
    }

    /// Takes the frame behind the one at `after`.
    pub(crate) fn remove_after(&mut self, pool: &mut FramePool, after: u32) -> Option<Frame> {
        let index = pool.next_in_queue(after)?;
        pool.meta[after as usize].next = pool.meta[index as usize].next;
        if self.last == index {
            self.last = after;
        }
        self.len -= 1;
        Some(Frame(index))
    }

    /// Takes the first `count` frames, or all if they are fewer.
    pub(crate) fn split_front(&mut self, pool: &mut FramePool, count: usize) -> Self {
        let mut front = Self::default();
        while front.len() < count
            && let Some(frame) = self.pop_front(pool)
        {
            front.push_back(pool, frame);
        }
        front
    }

    /// Moves all frames of `other` behind those of this queue.
    pub(crate) fn append(&mut self, pool: &mut FramePool, other: &mut Self) {
        if other.first == NONE {
            return;
        }
        match self.last {
            NONE => self.first = other.first,
            last => pool.meta[last as usize].next = other.first,
        }
        self.last = other.last;
        self.len += other.len;
        *other = Self::default();
    }

    /// Gives every frame back to the pool.
    pub fn clear(&mut self, pool: &mut FramePool) {
        while let Some(frame) = self.pop_front(pool) {
            pool.free(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_comes_back() {
        let mut pool = FramePool::new(3, 256);
        let mut queue = FrameQueue::default();
        while let Some(frame) = pool.allocate() {
            queue.push_back(&mut pool, frame);
        }
        assert_eq!(
            (queue.len(), pool.free_frames(), pool.lowest_free_frames()),
            (3, 0, 0)
        );
        queue.clear(&mut pool);
        assert_eq!((queue.len(), pool.free_frames()), (0, 3));
    }

    #[test]
    fn queues_grow_at_both_ends_and_in_the_middle() {
        let mut pool = FramePool::new(6, 64);
        let mut frames: std::vec::Vec<_> = (0..6)
            .map(|i| {
                let frame = pool.allocate().unwrap();
                pool.descriptor_mut(&frame).seq = i;
                frame
            })
            .collect();
        let mut take = |seq: usize| {
            frames.remove(
                frames
                    .iter()
                    .position(|f| f.index() as usize == seq)
                    .unwrap(),
            )
        };
        let (mut a, mut b) = (FrameQueue::default(), FrameQueue::default());
        a.push_front(&mut pool, take(1));
        a.push_front(&mut pool, take(0));
        let last = a.last().unwrap();
        a.insert_after(&mut pool, last, take(3));
        a.insert_after(&mut pool, last, take(2));
        b.append(&mut pool, &mut FrameQueue::default());
        b.push_back(&mut pool, take(4));
        a.append(&mut pool, &mut b);
        a.push_back(&mut pool, take(5));
        assert_eq!((a.len(), b.len(), b.first(), b.last()), (6, 0, None, None));
        let mut order = std::vec::Vec::new();
        let mut at = a.first();
        while let Some(index) = at {
            order.push(pool.descriptor_at(index).seq);
            at = pool.next_in_queue(index);
        }
        assert_eq!(order, [0, 1, 2, 3, 4, 5]);
        a.clear(&mut pool);
        assert_eq!(pool.free_frames(), 6);
    }

    #[test]
    fn frames_do_not_overlap_and_keep_their_order() {
        let mut pool = FramePool::new(2, 4);
        let (a, b) = (pool.allocate().unwrap(), pool.allocate().unwrap());
        pool.buffer_mut(&a).fill(1);
        pool.buffer_mut(&b).fill(2);
        assert_eq!(
            (pool.buffer(&a), pool.buffer(&b)),
            (&[1u8; 4][..], &[2u8; 4][..])
        );
        let mut queue = FrameQueue::default();
        queue.push_back(&mut pool, b);
        queue.push_back(&mut pool, a);
        let first = queue.pop_front(&mut pool).unwrap();
        assert_eq!(pool.buffer(&first), &[2u8; 4][..]);
        pool.free(first);
        queue.clear(&mut pool);
    }
}
