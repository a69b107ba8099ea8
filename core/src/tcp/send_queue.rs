//! Data to send: queued in frames that are sent as segments, kept until they are acknowledged.
//!
//! `write` fills a frame up to the segment size before it starts another one, behind room for the
//! headers, and sums while it copies. A segment goes to the wire in place, so nothing is copied
//! again, also when it has to be repeated. SND.NXT always lies at the start of a frame; where the
//! window ends inside one, that frame is cut in two first.

use super::reassembly::trim_front;
use super::scoreboard::{Delivered, Scoreboard};
use super::seq::SeqNum;
use crate::checksum::{self, Sum};
use crate::pool::{Descriptor, Frame, FramePool, FrameQueue, HEADROOM};

/// A connection's queue.
#[derive(Debug)]
pub(super) struct SendQueue {
    pub(super) frames: FrameQueue,
    /// The frame at SND.NXT; `None` when everything was sent.
    pub(super) next: Option<u32>,
    /// The number behind the last byte: that of FIN.
    pub(super) end: SeqNum,
    /// What became of the frames that were sent.
    pub(super) board: Scoreboard,
}

impl SendQueue {
    pub(super) fn new(start: SeqNum) -> Self {
        Self {
            frames: FrameQueue::default(),
            next: None,
            end: start,
            board: Scoreboard::new(),
        }
    }

    /// Bytes in the queue, sent or not.
    pub(super) fn bytes(&self, snd_una: SeqNum) -> u32 {
        self.end.since(snd_una)
    }

    /// Appends data to the last frame, which was not sent yet, up to `smss` bytes; returns how
    /// much fitted.
    /// RFC 9293 §3.9.1.2 (MAY-16, SHLD-28).
    pub(super) fn fill_last(
        &mut self,
        pool: &mut FramePool,
        snd_max: SeqNum,
        smss: u16,
        data: &[u8],
    ) -> usize {
        let Some(last) = self.frames.last() else {
            return 0;
        };
        let Descriptor {
            start, len, seq, ..
        } = *pool.descriptor_at(last);
        if SeqNum::new(seq).before(snd_max) || len >= smss {
            return 0;
        }
        let at = usize::from(start) + usize::from(len);
        let place = at..(at + usize::from(smss - len)).min(pool.frame_size());
        let copied = place.len().min(data.len());
        let sum = checksum::copy_and_sum(&mut pool.buffer_at_mut(last)[place], &data[..copied]);
        self.appended(pool, last, copied, sum);
        copied
    }

    /// Starts a new frame at the end, still empty.
    pub(super) fn push_empty(&mut self, pool: &mut FramePool, frame: Frame) {
        let index = frame.index();
        *pool.descriptor_mut(&frame) = empty_at(self.end);
        self.frames.push_back(pool, frame);
        self.next = self.next.or(Some(index));
    }

    #[allow(clippy::cast_possible_truncation, reason = "at most a frame")]
    fn appended(&mut self, pool: &mut FramePool, index: u32, bytes: usize, sum: Sum) {
        let descriptor = pool.descriptor_at_mut(index);
        let so_far = usize::from(descriptor.len);
        descriptor.sum = Sum::from_folded(descriptor.sum)
            .append(sum, so_far)
            .folded();
        descriptor.len += bytes as u16;
        self.end += bytes as u32;
    }

    /// Drops what was acknowledged and returns how many frames that freed.
    pub(super) fn acknowledge(
        &mut self,
        pool: &mut FramePool,
        snd_una: SeqNum,
        delivered: &mut Delivered<'_>,
    ) -> usize {
        let mut freed = 0;
        while let Some(first) = self.frames.first() {
            let whole = *pool.descriptor_at(first);
            let Descriptor {
                len, seq, start, ..
            } = whole;
            let acknowledged = snd_una.since(SeqNum::new(seq));
            if acknowledged == 0 {
                break;
            }
            if acknowledged < u32::from(len) {
                self.board
                    .acknowledged_partly(&whole, acknowledged, delivered);
                let at = usize::from(start);
                let gone = checksum::sum(&pool.buffer_at(first)[at..at + acknowledged as usize]);
                let descriptor = pool.descriptor_at_mut(first);
                let rest = Sum::from_folded(descriptor.sum).without(gone).folded();
                descriptor.sum = if acknowledged % 2 == 1 {
                    rest.swap_bytes()
                } else {
                    rest
                };
                trim_front(descriptor, acknowledged);
                break;
            }
            let next = pool.next_in_queue(first);
            if self.next == Some(first) {
                self.next = next;
            }
            self.board.acknowledged(first, &whole, next, delivered);
            if let Some(frame) = self.frames.pop_front(pool) {
                pool.free(frame);
                freed += 1;
            }
        }
        freed
    }

    /// Cuts the frame at `index` behind `bytes` bytes (fewer than it has) and puts the rest into
    /// `rest`, behind it. Not for a frame that is `SACKED`.
    #[allow(clippy::cast_possible_truncation, reason = "at most a frame")]
    pub(super) fn split(&mut self, pool: &mut FramePool, index: u32, bytes: u16, rest: Frame) {
        let Descriptor {
            start,
            len,
            seq,
            flags,
            time,
            ..
        } = *pool.descriptor_at(index);
        let seq = SeqNum::new(seq);
        *pool.descriptor_mut(&rest) = Descriptor {
            flags,
            time,
            ..empty_at(seq + u32::from(bytes))
        };
        let cut = usize::from(start + bytes);
        pool.copy_range(index, cut..usize::from(start + len), &rest, HEADROOM);
        let rest_sum = {
            let descriptor = pool.descriptor_mut(&rest);
            descriptor.len = len - bytes;
            checksum::sum(pool.content(&rest))
        };
        pool.descriptor_mut(&rest).sum = rest_sum.folded();
        let head_sum = checksum::sum(&pool.buffer_at(index)[usize::from(start)..cut]);
        let descriptor = pool.descriptor_at_mut(index);
        descriptor.len = bytes;
        descriptor.sum = head_sum.folded();
        self.frames.insert_after(pool, index, rest);
    }

    /// Fills the frame at `index`, which was not sent yet, up to `size` bytes with what is behind it.
    /// Returns how many frames that freed.
    #[allow(clippy::cast_possible_truncation, reason = "at most a frame")]
    pub(super) fn fill_from_behind(
        &mut self,
        pool: &mut FramePool,
        index: u32,
        size: u16,
    ) -> usize {
        let mut freed = 0;
        while let Some(next) = pool.next_in_queue(index) {
            let Descriptor {
                start, len, sum, ..
            } = *pool.descriptor_at(index);
            let end = usize::from(start) + usize::from(len);
            let room = usize::from(size.saturating_sub(len)).min(pool.frame_size() - end);
            let behind = *pool.descriptor_at(next);
            let moved = room.min(usize::from(behind.len));
            if moved == 0 {
                break;
            }
            let from = usize::from(behind.start);
            pool.copy_within(next, from..from + moved, index, end);
            let moved_sum = checksum::sum(&pool.buffer_at(index)[end..end + moved]);
            let descriptor = pool.descriptor_at_mut(index);
            descriptor.sum = Sum::from_folded(sum)
                .append(moved_sum, usize::from(len))
                .folded();
            descriptor.len += moved as u16;
            if moved < usize::from(behind.len) {
                trim_front(pool.descriptor_at_mut(next), moved as u32);
                let rest = checksum::sum(pool.content_at(next)).folded();
                pool.descriptor_at_mut(next).sum = rest;
            } else if let Some(frame) = self.frames.remove_after(pool, index) {
                pool.free(frame);
                freed += 1;
            }
        }
        freed
    }

    /// Gives all frames back and returns how many there were.
    pub(super) fn clear(&mut self, pool: &mut FramePool) -> usize {
        let freed = self.frames.len();
        self.frames.clear(pool);
        self.next = None;
        self.board = Scoreboard::new();
        freed
    }
}

#[allow(clippy::cast_possible_truncation, reason = "HEADROOM is 128")]
fn empty_at(seq: SeqNum) -> Descriptor {
    Descriptor {
        start: HEADROOM as u16,
        seq: seq.get(),
        ..Descriptor::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::rack::Rack;
    use std::vec::Vec;

    const SMSS: u16 = 100;

    fn write(queue: &mut SendQueue, pool: &mut FramePool, snd_max: SeqNum, mut data: &[u8]) {
        while !data.is_empty() {
            let copied = queue.fill_last(pool, snd_max, SMSS, data);
            if copied == 0 {
                let frame = pool.allocate().unwrap();
                queue.push_empty(pool, frame);
            }
            data = &data[copied..];
        }
    }

    /// Lengths of the frames, after checking their numbers and sums, and all their bytes.
    fn look(queue: &SendQueue, pool: &FramePool, from: SeqNum) -> (Vec<u16>, Vec<u8>) {
        let (mut lengths, mut bytes) = (Vec::new(), Vec::new());
        let mut seq = from;
        let mut at = queue.frames.first();
        while let Some(index) = at {
            let descriptor = *pool.descriptor_at(index);
            assert_eq!(descriptor.seq, seq.get());
            let sum = checksum::sum(pool.content_at(index)).folded();
            assert!(
                sum == descriptor.sum
                    || sum.is_multiple_of(0xffff) && descriptor.sum.is_multiple_of(0xffff)
            );
            seq += u32::from(descriptor.len);
            lengths.push(descriptor.len);
            bytes.extend_from_slice(pool.content_at(index));
            at = pool.next_in_queue(index);
        }
        assert_eq!(seq, queue.end);
        (lengths, bytes)
    }

    fn data(len: usize) -> Vec<u8> {
        (0..len)
            .map(|i| u8::try_from(i * 7 % 253).unwrap())
            .collect()
    }

    #[test]
    fn writes_fill_frames_to_the_segment_size() {
        let mut pool = FramePool::new(8, 256);
        let start = SeqNum::new(u32::MAX - 30);
        let mut queue = SendQueue::new(start);
        let bytes = data(250);
        for piece in bytes.chunks(7) {
            write(&mut queue, &mut pool, start, piece);
        }
        assert_eq!(
            look(&queue, &pool, start),
            ([100, 100, 50].into(), bytes.clone())
        );
        assert_eq!(queue.bytes(start), 250);
        // The last frame was sent: what follows starts a new one.
        write(&mut queue, &mut pool, start + 250, &bytes[..3]);
        assert_eq!(look(&queue, &pool, start).0, [100, 100, 50, 3]);
    }

    #[test]
    fn acknowledgements_free_frames_and_trim_the_first() {
        let start = SeqNum::new(u32::MAX - 30);
        for step in [1, 33, 100, 101, 250] {
            let mut pool = FramePool::new(8, 256);
            let mut queue = SendQueue::new(start);
            let bytes = data(250);
            write(&mut queue, &mut pool, start, &bytes);
            let mut freed = 0;
            let mut rack = Rack::new(start);
            let delivered = &mut Delivered::new(&mut rack, 0, None, start);
            for acknowledged in (step..=250).step_by(step as usize) {
                freed += queue.acknowledge(&mut pool, start + acknowledged, delivered);
                let (_, left) = look(&queue, &pool, start + acknowledged);
                assert_eq!(left, bytes[acknowledged as usize..]);
            }
            freed += queue.acknowledge(&mut pool, start + 250, delivered);
            assert_eq!((freed, pool.free_frames(), queue.next), (3, 8, None));
        }
    }

    #[test]
    fn a_frame_can_be_filled_from_those_behind_it() {
        for size in 1..=220 {
            let mut pool = FramePool::new(8, 512);
            let start = SeqNum::new(u32::MAX - 30);
            let mut queue = SendQueue::new(start);
            let bytes = data(250);
            write(&mut queue, &mut pool, start, &bytes);
            let first = queue.frames.first().unwrap();
            let freed = queue.fill_from_behind(&mut pool, first, size);
            let (lengths, left) = look(&queue, &pool, start);
            assert_eq!(left, bytes);
            assert_eq!(
                (lengths[0], freed),
                (size.max(SMSS), usize::from(size / 100).max(1) - 1)
            );
            assert_eq!(pool.free_frames(), 5 + freed);
        }
    }

    #[test]
    fn a_frame_can_be_cut_anywhere() {
        for cut in 1..SMSS {
            let mut pool = FramePool::new(4, 256);
            let start = SeqNum::new(5);
            let mut queue = SendQueue::new(start);
            let bytes = data(150);
            write(&mut queue, &mut pool, start, &bytes);
            let first = queue.frames.first().unwrap();
            let rest = pool.allocate().unwrap();
            queue.split(&mut pool, first, cut, rest);
            assert_eq!(
                look(&queue, &pool, start),
                ([cut, SMSS - cut, 50].into(), bytes)
            );
            assert_eq!(queue.clear(&mut pool), 3);
            assert_eq!(pool.free_frames(), 4);
        }
    }
}
