//! Received data: in order for the reader, and behind holes until those are filled.
//!
//! Both stay in the frames in which they came. Small pieces that follow each other are moved
//! together, so that one-byte segments cannot pin the pool (of two neighbouring frames in order,
//! the second one's data never fits into the first).
//!
//! Data behind holes is kept as ranges, each a queue of frames without holes. A connection has at
//! most [`MAX_RANGES`] of them, in a block that it holds only while there are any; the number of
//! blocks bounds them for the whole stack. So the work for a segment is bounded too, whatever an
//! attacker sends (CVE-2018-5390).

use super::params::MAX_RANGES;
use super::seq::SeqNum;
use crate::pool::{Descriptor, Frame, FramePool, FrameQueue};
use alloc::boxed::Box;

/// A connection's block of ranges, if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockId(u32);

impl BlockId {
    /// No data is out of order.
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// Why data out of order was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// All of it is there already.
    Duplicate,
    /// The connection has as many ranges as it may have, or all blocks are in use.
    TooManyRanges,
}

/// Data without holes.
#[derive(Debug)]
struct Range {
    start: SeqNum,
    end: SeqNum,
    frames: FrameQueue,
    /// The block's clock when data last arrived for it.
    touched: u32,
}

#[derive(Debug)]
struct Block {
    /// In order, apart from each other.
    ranges: heapless::Vec<Range, MAX_RANGES>,
    /// Counts the frames that came.
    clock: u32,
    next_free: u32,
}

/// All blocks of the stack.
#[derive(Debug)]
pub(super) struct Reassembly {
    blocks: Box<[Block]>,
    first_free: u32,
}

impl Reassembly {
    pub(super) fn new(blocks: usize) -> Self {
        let count = u32::try_from(blocks).unwrap_or(u32::MAX - 1);
        let blocks = (0..count).map(|i| Block {
            ranges: heapless::Vec::new(),
            clock: 0,
            next_free: if i + 1 == count { u32::MAX } else { i + 1 },
        });
        Self {
            blocks: blocks.collect(),
            first_free: if count == 0 { u32::MAX } else { 0 },
        }
    }

    /// Frames that the block holds.
    pub(super) fn frames(&self, id: BlockId) -> usize {
        self.blocks.get(id.0 as usize).map_or(0, |block| {
            block.ranges.iter().map(|range| range.frames.len()).sum()
        })
    }

    fn allocate(&mut self, id: &mut BlockId) -> bool {
        if *id == BlockId::NONE {
            let Some(block) = self.blocks.get(self.first_free as usize) else {
                return false;
            };
            *id = BlockId(self.first_free);
            self.first_free = block.next_free;
        }
        true
    }

    /// The ranges as SACK blocks (RFC 2018 §4): that of the latest frame first, then the others
    /// from the latest change to the oldest, as many as `out` has room for. Returns how many.
    pub(super) fn latest(&self, id: BlockId, out: &mut [(SeqNum, SeqNum)]) -> usize {
        let Some(block) = self.blocks.get(id.0 as usize) else {
            return 0;
        };
        let mut count = 0;
        let mut before = None;
        for place in out {
            // `touched` is unique: ages are compared, so the clock may wrap.
            let age = |range: &Range| block.clock.wrapping_sub(range.touched);
            let latest = block
                .ranges
                .iter()
                .filter(|range| before.is_none_or(|before| age(range) > before))
                .min_by_key(|range| age(range));
            let Some(range) = latest else { break };
            *place = (range.start, range.end);
            before = Some(age(range));
            count += 1;
        }
        count
    }

    /// The part of `start..end` that has arrived before: the first piece without a hole. Counts as
    /// a change of the range that it lies in.
    pub(super) fn duplicate(
        &mut self,
        id: BlockId,
        start: SeqNum,
        end: SeqNum,
    ) -> Option<(SeqNum, SeqNum)> {
        let block = self.blocks.get_mut(id.0 as usize)?;
        let range = block
            .ranges
            .iter_mut()
            .find(|range| range.end.after(start))
            .filter(|range| range.start.before(end))?;
        block.clock = block.clock.wrapping_add(1);
        range.touched = block.clock;
        let right = if end.before(range.end) {
            end
        } else {
            range.end
        };
        Some((start.latest(range.start), right))
    }

    fn release_if_empty(&mut self, id: &mut BlockId) {
        if let Some(block) = self.blocks.get_mut(id.0 as usize)
            && block.ranges.is_empty()
        {
            block.next_free = self.first_free;
            self.first_free = id.0;
            *id = BlockId::NONE;
        }
    }

    /// Keeps a frame with data behind a hole; its descriptor says which. The change in the number
    /// of frames held is added to `held`.
    pub(super) fn insert(
        &mut self,
        id: &mut BlockId,
        pool: &mut FramePool,
        frame: Frame,
        held: &mut usize,
    ) -> Result<(), Refused> {
        if !self.allocate(id) {
            pool.free(frame);
            return Err(Refused::TooManyRanges);
        }
        let result = match self.blocks.get_mut(id.0 as usize) {
            Some(block) => block.insert(pool, frame, held),
            None => {
                pool.free(frame);
                Ok(())
            }
        };
        self.release_if_empty(id);
        result
    }

    /// Moves what follows `rcv_nxt` without a hole behind `received`, and returns its length.
    /// Frames that turn out to be old are freed and taken off `held`.
    pub(super) fn take_in_order(
        &mut self,
        id: &mut BlockId,
        pool: &mut FramePool,
        rcv_nxt: SeqNum,
        received: &mut FrameQueue,
        held: &mut usize,
    ) -> u32 {
        let mut next = rcv_nxt;
        let Some(block) = self.blocks.get_mut(id.0 as usize) else {
            return 0;
        };
        while let Some(range) = block.ranges.first_mut()
            && range.start.before_or_at(next)
        {
            // What was received twice goes.
            while let Some(frame) = range.frames.pop_front(pool) {
                let descriptor = pool.descriptor_mut(&frame);
                let skip = next.since(SeqNum::new(descriptor.seq));
                if skip >= u32::from(descriptor.len) {
                    pool.free(frame);
                    *held -= 1;
                    continue;
                }
                trim_front(descriptor, skip);
                range.frames.push_front(pool, frame);
                break;
            }
            next = next.latest(range.end);
            received.append(pool, &mut range.frames);
            block.ranges.remove(0);
        }
        self.release_if_empty(id);
        next.since(rcv_nxt)
    }

    /// Gives all frames and the block back, and returns how many frames there were.
    pub(super) fn clear(&mut self, id: &mut BlockId, pool: &mut FramePool) -> usize {
        let Some(block) = self.blocks.get_mut(id.0 as usize) else {
            return 0;
        };
        let mut freed = 0;
        for range in &mut block.ranges {
            freed += range.frames.len();
            range.frames.clear(pool);
        }
        block.ranges.clear();
        self.release_if_empty(id);
        freed
    }
}

/// Drops bytes at the front; the caller has checked that there are more.
#[allow(
    clippy::cast_possible_truncation,
    reason = "less than the frame's length"
)]
pub(super) fn trim_front(descriptor: &mut Descriptor, bytes: u32) {
    descriptor.start += bytes as u16;
    descriptor.len -= bytes as u16;
    descriptor.seq = descriptor.seq.wrapping_add(bytes);
}

/// Drops bytes at the end; the caller has checked that there are more.
#[allow(
    clippy::cast_possible_truncation,
    reason = "less than the frame's length"
)]
fn trim_back(descriptor: &mut Descriptor, bytes: u32) {
    descriptor.len -= bytes as u16;
}

/// Appends a frame's data to a queue: behind the last frame's data if it fits there, otherwise the
/// frame itself. Returns how many frames more the queue has.
#[inline]
pub(super) fn push_or_merge(queue: &mut FrameQueue, pool: &mut FramePool, frame: Frame) -> usize {
    if let Some(last) = queue.last() {
        let Descriptor { start, len, .. } = *pool.descriptor_at(last);
        let end = usize::from(start) + usize::from(len);
        let more = pool.descriptor(&frame).len;
        if end + usize::from(more) <= pool.frame_size() {
            pool.copy_between(&frame, last, end);
            pool.descriptor_at_mut(last).len += more;
            pool.free(frame);
            return 0;
        }
    }
    queue.push_back(pool, frame);
    1
}

/// The same at the front, into the room that the headers of the first frame have left.
fn push_front_or_merge(queue: &mut FrameQueue, pool: &mut FramePool, frame: Frame) -> usize {
    if let Some(first) = queue.first() {
        let room = pool.descriptor_at(first).start;
        let Descriptor { len, seq, .. } = *pool.descriptor(&frame);
        if len <= room {
            pool.copy_between(&frame, first, usize::from(room - len));
            let descriptor = pool.descriptor_at_mut(first);
            descriptor.start -= len;
            descriptor.len += len;
            descriptor.seq = seq;
            pool.free(frame);
            return 0;
        }
    }
    queue.push_front(pool, frame);
    1
}

impl Block {
    fn insert(
        &mut self,
        pool: &mut FramePool,
        frame: Frame,
        held: &mut usize,
    ) -> Result<(), Refused> {
        self.clock = self.clock.wrapping_add(1);
        let touched = self.clock;
        let descriptor = pool.descriptor_mut(&frame);
        let mut start = SeqNum::new(descriptor.seq);
        let mut end = start + u32::from(descriptor.len);
        // The first range that ends at or behind the new data's start. Mostly there is none, or
        // it is the last one.
        let mut at = self.ranges.len();
        while let Some(range) = at.checked_sub(1).and_then(|i| self.ranges.get(i))
            && start.before_or_at(range.end)
        {
            at -= 1;
        }
        if let Some(range) = self.ranges.get(at)
            && range.start.before_or_at(start)
        {
            // It starts inside this range or at its end.
            let known = range.end.since(start);
            if known >= u32::from(descriptor.len) {
                pool.free(frame);
                return Err(Refused::Duplicate);
            }
            trim_front(descriptor, known);
            start += known;
        }
        // Ranges that it covers whole go; one that it overlaps at the end keeps its own data.
        let behind = |ranges: &[Range]| {
            ranges
                .iter()
                .position(|range| !range.end.before_or_at(start))
        };
        let next = behind(&self.ranges).unwrap_or(self.ranges.len());
        while let Some(range) = self.ranges.get_mut(next)
            && range.end.before_or_at(end)
        {
            *held -= range.frames.len();
            range.frames.clear(pool);
            self.ranges.remove(next);
        }
        if let Some(range) = self.ranges.get(next)
            && range.start.before(end)
        {
            let known = end.since(range.start);
            trim_back(pool.descriptor_mut(&frame), known);
            end = range.start;
        }
        let joins_previous = next
            .checked_sub(1)
            .is_some_and(|i| self.ranges[i].end == start);
        let joins_next = self
            .ranges
            .get(next)
            .is_some_and(|range| range.start == end);
        match (joins_previous, joins_next) {
            (true, false) => {
                let range = &mut self.ranges[next - 1];
                range.end = end;
                range.touched = touched;
                *held += push_or_merge(&mut range.frames, pool, frame);
            }
            (true, true) => {
                let mut following = self.ranges.remove(next);
                let range = &mut self.ranges[next - 1];
                *held += push_or_merge(&mut range.frames, pool, frame);
                range.end = following.end;
                range.touched = touched;
                range.frames.append(pool, &mut following.frames);
            }
            (false, true) => {
                let range = &mut self.ranges[next];
                range.start = start;
                range.touched = touched;
                *held += push_front_or_merge(&mut range.frames, pool, frame);
            }
            (false, false) => {
                if self.ranges.is_full() {
                    pool.free(frame);
                    return Err(Refused::TooManyRanges);
                }
                let mut frames = FrameQueue::default();
                frames.push_back(pool, frame);
                *held += 1;
                // Cannot fail: there is room.
                let _ = self.ranges.insert(
                    next,
                    Range {
                        start,
                        end,
                        frames,
                        touched,
                    },
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::vec;
    use std::vec::Vec;

    const FRAME: usize = 256;
    /// Where received data starts in a frame.
    const START: u16 = 66;

    /// A frame with the stream's bytes from `offset`; the byte at offset n is n % 251.
    fn frame(pool: &mut FramePool, base: SeqNum, offset: u32, len: u16) -> Frame {
        let frame = pool.allocate().unwrap();
        *pool.descriptor_mut(&frame) = Descriptor {
            start: START,
            len,
            seq: (base + offset).get(),
            ..Descriptor::default()
        };
        for (i, byte) in pool.content_mut(&frame).iter_mut().enumerate() {
            *byte = u8::try_from((offset as usize + i) % 251).unwrap();
        }
        frame
    }

    fn drain(queue: &mut FrameQueue, pool: &mut FramePool) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(frame) = queue.pop_front(pool) {
            bytes.extend_from_slice(pool.content(&frame));
            pool.free(frame);
        }
        bytes
    }

    /// Random segments of a stream, against a plain array of "have it" marks.
    #[test]
    fn delivers_exactly_what_a_plain_array_would() {
        for seed in 0..40u8 {
            let mut rng = Rng::new([seed; 32]);
            let mut pool = FramePool::new(128, FRAME);
            let mut reassembly = Reassembly::new(1);
            let mut id = BlockId::NONE;
            let mut held = 0;
            let base = SeqNum::new(0u32.wrapping_sub(rng.u32() % 4_000));
            let mut have = vec![false; 4_400];
            let mut rcv_nxt = 0u32;
            let mut received = FrameQueue::default();
            let mut bytes = Vec::new();
            while rcv_nxt < 4_000 {
                let offset = rcv_nxt.saturating_sub(20) + rng.u32() % 220;
                let len = u16::try_from(1 + rng.u32() % 120).unwrap();
                let piece = frame(&mut pool, base, offset, len);
                if offset <= rcv_nxt {
                    // In order: what the input code does.
                    pool.free(piece);
                    let end = offset + u32::from(len);
                    if end > rcv_nxt {
                        let rest = u16::try_from(end - rcv_nxt).unwrap();
                        let piece = frame(&mut pool, base, rcv_nxt, rest);
                        held += push_or_merge(&mut received, &mut pool, piece);
                        have[rcv_nxt as usize..end as usize].fill(true);
                        rcv_nxt = end;
                        rcv_nxt += reassembly.take_in_order(
                            &mut id,
                            &mut pool,
                            base + rcv_nxt,
                            &mut received,
                            &mut held,
                        );
                    }
                } else {
                    let range = offset as usize..offset as usize + usize::from(len);
                    match reassembly.insert(&mut id, &mut pool, piece, &mut held) {
                        Ok(()) => have[range].fill(true),
                        Err(Refused::Duplicate) => assert!(have[range].iter().all(|have| *have)),
                        Err(Refused::TooManyRanges) => {}
                    }
                }
                assert_eq!(held, received.len() + reassembly.frames(id));
                assert_eq!(held, pool.frames() - pool.free_frames(), "no frame is lost");
                let known = rcv_nxt as usize;
                assert!(
                    have[known - known.min(200)..known].iter().all(|have| *have) && !have[known],
                    "seed {seed}"
                );
                if rng.u32().is_multiple_of(4) {
                    held -= received.len();
                    bytes.extend(drain(&mut received, &mut pool));
                }
            }
            bytes.extend(drain(&mut received, &mut pool));
            assert_eq!(bytes.len(), rcv_nxt as usize);
            assert!(
                bytes
                    .iter()
                    .enumerate()
                    .all(|(i, byte)| usize::from(*byte) == i % 251)
            );
            reassembly.clear(&mut id, &mut pool);
            assert_eq!((pool.free_frames(), id), (pool.frames(), BlockId::NONE));
        }
    }

    #[test]
    fn one_byte_segments_share_frames_in_either_direction() {
        for backwards in [false, true] {
            let mut pool = FramePool::new(64, FRAME);
            let mut reassembly = Reassembly::new(1);
            let (mut id, mut held) = (BlockId::NONE, 0);
            for i in 0..1_000 {
                let offset = if backwards { 1_000 - i } else { 1 + i };
                let piece = frame(&mut pool, SeqNum::new(0), offset, 1);
                assert_eq!(
                    reassembly.insert(&mut id, &mut pool, piece, &mut held),
                    Ok(())
                );
            }
            assert_eq!(held, reassembly.frames(id));
            assert!(held <= 16, "{held}");
            assert_eq!(reassembly.clear(&mut id, &mut pool), held);
        }
    }

    #[test]
    fn holes_and_blocks_are_bounded() {
        let mut pool = FramePool::new(64, FRAME);
        let mut reassembly = Reassembly::new(1);
        let (mut id, mut other, mut held) = (BlockId::NONE, BlockId::NONE, 0);
        let mut insert = |id: &mut BlockId, pool: &mut FramePool, offset| {
            let piece = frame(pool, SeqNum::new(u32::MAX - 20), offset, 1);
            reassembly.insert(id, pool, piece, &mut held)
        };
        for i in 0..u32::try_from(MAX_RANGES).unwrap() {
            assert_eq!(insert(&mut id, &mut pool, 1 + 2 * i), Ok(()));
        }
        assert_eq!(
            insert(&mut id, &mut pool, 1_001),
            Err(Refused::TooManyRanges)
        );
        assert_eq!(insert(&mut id, &mut pool, 1), Err(Refused::Duplicate));
        assert_eq!(
            insert(&mut other, &mut pool, 1),
            Err(Refused::TooManyRanges)
        );
        assert_eq!(
            insert(&mut id, &mut pool, 2),
            Ok(()),
            "filling a hole is always possible"
        );
        assert_eq!(pool.frames() - pool.free_frames(), held);
        reassembly.clear(&mut id, &mut pool);
        assert_eq!(pool.free_frames(), pool.frames());
    }
}
