//! Received data: in order for the reader, and behind holes until those are filled.
//!
//! Both stay in the frames in which they came. Small pieces that follow each other are moved
//! together, so that one-byte segments cannot pin the pool (of two neighbouring frames in order,
//! the second one's data never fits into the first).
//!
//! Data behind holes is kept as ranges (`ranges`), each a queue of frames without holes. The whole
//! stack has a fixed number of them, of which a connection may have as many as are left for all
//! others, and [`MAX_RANGES`] at most. The work for a segment is bounded whatever an attacker sends
//! (CVE-2018-5390).

use super::params::{MAX_RANGES, MIN_RANGES};
use super::ranges::{List, Path, Ranges};
use super::seq::SeqNum;
use crate::pool::{Descriptor, Frame, FramePool, FrameQueue};
use alloc::boxed::Box;

/// A connection's data behind holes, if it has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueId(u32);

impl QueueId {
    /// No data is out of order.
    pub(super) const NONE: Self = Self(u32::MAX);
}

/// Why data out of order was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// All of it is there already.
    Duplicate,
    /// The connection has as many ranges as it may have, or the stack has none left.
    TooManyRanges,
}

/// One connection's data behind holes.
#[derive(Debug)]
struct Queue {
    list: List,
    /// In all its ranges.
    frames: usize,
    next_free: u32,
}

/// All data behind holes.
#[derive(Debug)]
pub(super) struct Reassembly {
    queues: Box<[Queue]>,
    first_free: u32,
    ranges: Ranges,
}

/// Bytes of tables for each range.
pub(crate) const RANGE_BYTES: usize = size_of::<super::ranges::Range>() + size_of::<Queue>();

impl Reassembly {
    /// Room for `ranges` ranges, which as many connections may have. `secret` is of this boot.
    pub(super) fn new(ranges: usize, secret: &[u8; 16]) -> Self {
        let count = u32::try_from(ranges).unwrap_or(u32::MAX - 1);
        let queue = |i| Queue {
            list: List::EMPTY,
            frames: 0,
            next_free: if i + 1 == count { u32::MAX } else { i + 1 },
        };
        Self {
            queues: (0..count).map(queue).collect(),
            first_free: if count == 0 { u32::MAX } else { 0 },
            ranges: Ranges::new(ranges, secret),
        }
    }

    /// Frames that the connection holds here.
    pub(super) fn frames(&self, id: QueueId) -> usize {
        self.queue(id).map_or(0, |queue| queue.frames)
    }

    fn queue(&self, id: QueueId) -> Option<&Queue> {
        self.queues.get(id.0 as usize)
    }

    fn allocate(&mut self, id: &mut QueueId) -> bool {
        if *id == QueueId::NONE {
            let Some(queue) = self.queues.get(self.first_free as usize) else {
                return false;
            };
            *id = QueueId(self.first_free);
            self.first_free = queue.next_free;
        }
        true
    }

    fn release_if_empty(&mut self, id: &mut QueueId) {
        if let Some(queue) = self.queues.get_mut(id.0 as usize)
            && queue.list.len() == 0
        {
            queue.next_free = self.first_free;
            self.first_free = id.0;
            *id = QueueId::NONE;
        }
    }

    /// The ranges as SACK blocks (RFC 2018 §4): that of the latest frame first, then the others
    /// from the latest change to the oldest, as many as `out` has room for. Returns how many.
    pub(super) fn latest(&self, id: QueueId, out: &mut [(SeqNum, SeqNum)]) -> usize {
        let Some(queue) = self.queue(id) else {
            return 0;
        };
        let mut count = 0;
        for (place, range) in out.iter_mut().zip(self.ranges.latest(&queue.list)) {
            *place = (range.start, range.end);
            count += 1;
        }
        count
    }

    /// The part of `start..end` that has arrived before, the first piece without a hole, and the
    /// place of the range that it lies in.
    pub(super) fn duplicate(
        &self,
        id: QueueId,
        start: SeqNum,
        end: SeqNum,
    ) -> Option<(u32, (SeqNum, SeqNum))> {
        let Self { queues, ranges, .. } = self;
        let list = &queues.get(id.0 as usize)?.list;
        let path = ranges.path(list, start);
        let inside = |index: &u32| ranges.get(*index).is_some_and(|r| r.end.after(start));
        let index = path
            .at()
            .filter(inside)
            .or_else(|| ranges.behind(list, &path))?;
        let range = ranges.get(index)?;
        if !range.start.before(end) {
            return None;
        }
        let right = if end.before(range.end) {
            end
        } else {
            range.end
        };
        let left = start.latest(range.start);
        Some((index, (left, right)))
    }

    /// Some of a range has arrived again, which counts as a change of it.
    pub(super) fn touch(&mut self, id: QueueId, range: u32) {
        if let Some(queue) = self.queues.get_mut(id.0 as usize) {
            self.ranges.touch(&mut queue.list, range);
        }
    }

    /// Keeps a frame with data behind a hole; its descriptor says which. The change in the number
    /// of frames held is added to `held`.
    pub(super) fn insert(
        &mut self,
        id: &mut QueueId,
        pool: &mut FramePool,
        frame: Frame,
        held: &mut usize,
    ) -> Result<(), Refused> {
        if !self.allocate(id) {
            pool.free(frame);
            return Err(Refused::TooManyRanges);
        }
        let result = match self.queues.get_mut(id.0 as usize) {
            Some(queue) => {
                *held -= queue.frames;
                let result = queue.insert(&mut self.ranges, pool, frame);
                *held += queue.frames;
                result
            }
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
        id: &mut QueueId,
        pool: &mut FramePool,
        rcv_nxt: SeqNum,
        received: &mut FrameQueue,
        held: &mut usize,
    ) -> u32 {
        let mut next = rcv_nxt;
        let Some(queue) = self.queues.get_mut(id.0 as usize) else {
            return 0;
        };
        let list = &mut queue.list;
        while let Some(first) = self.ranges.behind(list, &Path::START)
            && let Some(range) = self.ranges.get(first)
            && range.start.before_or_at(next)
            && let Some((end, mut frames)) = self.ranges.remove_behind(list, &Path::START)
        {
            queue.frames -= frames.len();
            // What was received twice goes.
            while let Some(frame) = frames.pop_front(pool) {
                let descriptor = pool.descriptor_mut(&frame);
                let skip = next.since(SeqNum::new(descriptor.seq));
                if skip >= u32::from(descriptor.len) {
                    pool.free(frame);
                    *held -= 1;
                    continue;
                }
                trim_front(descriptor, skip);
                frames.push_front(pool, frame);
                break;
            }
            next = next.latest(end);
            received.append(pool, &mut frames);
        }
        self.release_if_empty(id);
        next.since(rcv_nxt)
    }

    /// Gives all frames and ranges back, and returns how many frames there were.
    pub(super) fn clear(&mut self, id: &mut QueueId, pool: &mut FramePool) -> usize {
        let Some(queue) = self.queues.get_mut(id.0 as usize) else {
            return 0;
        };
        let freed = queue.frames;
        queue.frames = 0;
        while let Some((_, mut frames)) = self.ranges.remove_behind(&mut queue.list, &Path::START) {
            frames.clear(pool);
        }
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

impl Queue {
    fn insert(
        &mut self,
        ranges: &mut Ranges,
        pool: &mut FramePool,
        frame: Frame,
    ) -> Result<(), Refused> {
        let descriptor = pool.descriptor_mut(&frame);
        let mut start = SeqNum::new(descriptor.seq);
        let mut end = start + u32::from(descriptor.len);
        if let Some(newest) = self.continues_newest(ranges, (start, end)) {
            self.append(ranges, pool, frame, newest, end);
            return Ok(());
        }
        let path = ranges.path(&self.list, start);
        let mut joins_previous = None;
        if let Some(index) = path.at()
            && let Some(range) = ranges.get(index)
            && start.before_or_at(range.end)
        {
            // It starts inside this range or at its end.
            let known = range.end.since(start);
            if known >= u32::from(descriptor.len) {
                pool.free(frame);
                return Err(Refused::Duplicate);
            }
            trim_front(descriptor, known);
            start += known;
            joins_previous = Some(index);
        }
        // Ranges that it covers whole go; one that it overlaps at the end keeps its own data.
        let mut following = ranges.behind(&self.list, &path);
        while let Some(range) = following.and_then(|index| ranges.get(index))
            && range.end.before_or_at(end)
            && let Some((_, mut frames)) = ranges.remove_behind(&mut self.list, &path)
        {
            self.frames -= frames.len();
            frames.clear(pool);
            following = ranges.behind(&self.list, &path);
        }
        let mut joins_next = None;
        if let Some(index) = following
            && let Some(range) = ranges.get(index)
            && range.start.before_or_at(end)
        {
            let known = end.since(range.start);
            trim_back(pool.descriptor_mut(&frame), known);
            end = range.start;
            joins_next = Some(index);
        }
        match (joins_previous, joins_next) {
            (Some(index), None) => self.append(ranges, pool, frame, index, end),
            (Some(index), Some(_)) => {
                self.append(ranges, pool, frame, index, end);
                if let Some((end, mut frames)) = ranges.remove_behind(&mut self.list, &path)
                    && let Some(range) = ranges.get_mut(index)
                {
                    range.end = end;
                    range.frames.append(pool, &mut frames);
                }
            }
            (None, Some(index)) => {
                if let Some(range) = ranges.get_mut(index) {
                    range.start = start;
                    self.frames += push_front_or_merge(&mut range.frames, pool, frame);
                }
                ranges.touch(&mut self.list, index);
            }
            (None, None) => {
                let own = self.list.len();
                let allowed = own < MIN_RANGES || (own < MAX_RANGES && own < ranges.free());
                let added = allowed.then(|| ranges.insert(&mut self.list, &path, (start, end)));
                let Some(range) = added.flatten().and_then(|index| ranges.get_mut(index)) else {
                    pool.free(frame);
                    return Err(Refused::TooManyRanges);
                };
                range.frames.push_back(pool, frame);
                self.frames += 1;
            }
        }
        Ok(())
    }

    /// The range that grew last, if `start..end` continues it and nothing else: mostly it does.
    fn continues_newest(&self, ranges: &Ranges, (start, end): (SeqNum, SeqNum)) -> Option<u32> {
        let newest = self.list.newest()?;
        let apart = |index| {
            ranges
                .get(index)
                .is_some_and(|range| range.start.after(end))
        };
        let continues =
            ranges.get(newest)?.end == start && ranges.following(newest).is_none_or(apart);
        continues.then_some(newest)
    }

    /// Appends a frame, which ends at `end`, to the range that ends where it starts.
    fn append(
        &mut self,
        ranges: &mut Ranges,
        pool: &mut FramePool,
        frame: Frame,
        index: u32,
        end: SeqNum,
    ) {
        if let Some(range) = ranges.get_mut(index) {
            range.end = end;
            self.frames += push_or_merge(&mut range.frames, pool, frame);
        }
        ranges.touch(&mut self.list, index);
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
    /// Of all connections together.
    const RANGES: usize = 64;

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
            let mut reassembly = Reassembly::new(RANGES, &[seed; 16]);
            let mut id = QueueId::NONE;
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
            assert_eq!((pool.free_frames(), id), (pool.frames(), QueueId::NONE));
        }
    }

    #[test]
    fn one_byte_segments_share_frames_in_either_direction() {
        for backwards in [false, true] {
            let mut pool = FramePool::new(64, FRAME);
            let mut reassembly = Reassembly::new(1, &[1; 16]);
            let (mut id, mut held) = (QueueId::NONE, 0);
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

    /// One connection gets half of the ranges, and every other one still gets some.
    #[test]
    fn holes_are_bounded_for_each_connection_and_for_all() {
        let mut pool = FramePool::new(4_000, FRAME);
        let mut reassembly = Reassembly::new(3_000, &[1; 16]);
        let mut held = 0;
        let mut fill = |id: &mut QueueId, pool: &mut FramePool| {
            let mut holes = 0;
            let refused = loop {
                let base = SeqNum::new(u32::MAX - 20);
                let piece = frame(pool, base, 1 + 2 * holes, 1);
                match reassembly.insert(id, pool, piece, &mut held) {
                    Ok(()) => holes += 1,
                    Err(refused) => break refused,
                }
            };
            assert_eq!(refused, Refused::TooManyRanges);
            let mut again = |offset, pool: &mut FramePool| {
                let piece = frame(pool, SeqNum::new(u32::MAX - 20), offset, 1);
                reassembly.insert(id, pool, piece, &mut held)
            };
            assert_eq!(again(1, pool), Err(Refused::Duplicate));
            assert_eq!(again(2, pool), Ok(()), "filling a hole is always possible");
            holes
        };
        let mut ids = [QueueId::NONE; 11];
        let counts: Vec<u32> = ids.iter_mut().map(|id| fill(id, &mut pool)).collect();
        assert_eq!(counts[..3], [MAX_RANGES, 989, 495], "{counts:?}");
        assert_eq!(counts[10], MIN_RANGES, "{counts:?}");
        let freed: usize = ids
            .iter_mut()
            .map(|id| reassembly.clear(id, &mut pool))
            .sum();
        assert_eq!((freed, pool.free_frames()), (held, pool.frames()));
        assert_eq!(
            (reassembly.ranges.free(), ids),
            (3_000, [QueueId::NONE; 11])
        );
    }

    /// RFC 2018 §4: the block of the latest segment first, then the others as they changed.
    #[test]
    fn blocks_come_from_the_latest_change_to_the_oldest() {
        let mut pool = FramePool::new(64, FRAME);
        let mut reassembly = Reassembly::new(RANGES, &[1; 16]);
        let (mut id, mut held) = (QueueId::NONE, 0);
        let base = SeqNum::new(u32::MAX - 500);
        for offset in [100, 300, 500, 700, 110] {
            let piece = frame(&mut pool, base, offset, 10);
            reassembly
                .insert(&mut id, &mut pool, piece, &mut held)
                .unwrap();
        }
        let (range, _) = reassembly.duplicate(id, base + 295, base + 305).unwrap();
        reassembly.touch(id, range);
        let mut out = [<(SeqNum, SeqNum)>::default(); 3];
        assert_eq!(reassembly.latest(id, &mut out), 3);
        let block = |left, right| (base + left, base + right);
        assert_eq!(out, [block(300, 310), block(100, 120), block(700, 710)]);
        assert_eq!(reassembly.clear(&mut id, &mut pool), held);
    }
}
