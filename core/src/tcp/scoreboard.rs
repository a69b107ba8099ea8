//! What became of the segments that were sent (RFC 2018 §5, RFC 6675 §2): marks on the frames of
//! the send queue, and counts of them.
//!
//! | mark | the segment |
//! |---|---|
//! | `SACKED` | has arrived behind a hole; the peer may still drop it (RFC 2018 §8), so it is kept |
//! | `LOST` | is taken for lost, and was not sent again since |
//! | `RETRANSMITTED` | was sent more than once |
//!
//! Blocks that add to the highest one are found at once. For others the queue is walked from its
//! front, a run of `SACKED` frames in one step; what one acknowledgement may cost is bounded
//! ([`MAX_STEPS`]), whatever its blocks say (CVE-2019-11477, CVE-2019-11478).

use super::rack::Rack;
use super::send_queue::SendQueue;
use super::seq::SeqNum;
use crate::context::Context;
use crate::pool::{Descriptor, FramePool};
use crate::wire::tcp::MAX_SACK_BLOCKS;
use bitflags::bitflags;

/// Steps along the send queue that one acknowledgement may cost for its blocks, and as many for
/// finding losses. What is left out comes with a later one: peers repeat blocks (RFC 2018 §4).
pub(super) const MAX_STEPS: u32 = 1_024;

/// "No frame".
const NONE: u32 = u32::MAX;

bitflags! {
    /// The marks, in a frame's [`Descriptor::flags`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Marks: u16 {
        const SACKED = 1 << 0;
        const LOST = 1 << 1;
        const RETRANSMITTED = 1 << 2;
    }
}

impl Marks {
    pub(super) fn of(descriptor: &Descriptor) -> Self {
        Self::from_bits_truncate(descriptor.flags)
    }
}

/// The number behind a frame's last byte.
pub(super) fn end_of(descriptor: &Descriptor) -> SeqNum {
    SeqNum::new(descriptor.seq) + u32::from(descriptor.len)
}

/// What an acknowledgement has delivered: gathered frame by frame.
#[derive(Debug)]
pub(super) struct Delivered<'a> {
    rack: &'a mut Rack,
    /// When it arrived, in microseconds.
    now: u32,
    /// How long ago the segment was sent whose timestamp it echoes, in milliseconds.
    echo_age: Option<u32>,
    /// Only what ends here or before counts as `original`.
    recover: SeqNum,
    pub(super) news: News,
}

/// The sums of [`Delivered`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// Bytes that had not been acknowledged in either way.
    pub(super) bytes: u32,
    /// Those of them that are acknowledged selectively.
    pub(super) sacked: u32,
    /// Some of it was sent once, and before the last loss was detected: not all of that was lost.
    pub(super) original: bool,
    /// Some of it was sent more than once.
    pub(super) retransmitted: bool,
    /// The first segment on its way was sent more than once, and is acknowledged in order.
    pub(super) first_retransmitted: bool,
    /// The round-trip time of the last segment that was sent once, in microseconds.
    pub(super) rtt: Option<u32>,
}

impl<'a> Delivered<'a> {
    pub(super) fn new(
        rack: &'a mut Rack,
        now: u32,
        echo_age: Option<u32>,
        recover: SeqNum,
    ) -> Self {
        Self {
            rack,
            now,
            echo_age,
            recover,
            news: News::default(),
        }
    }

    /// A frame has arrived as a whole that was not known to have.
    /// `echo_age`: how long ago the copy was sent that has, in milliseconds, if that is known.
    fn frame(&mut self, descriptor: &Descriptor, echo_age: Option<u32>) {
        self.news.bytes += u32::from(descriptor.len);
        if Marks::of(descriptor).contains(Marks::RETRANSMITTED) {
            self.news.retransmitted = true;
        } else {
            self.news.original |= !end_of(descriptor).after(self.recover);
            self.news.rtt = Some(self.now.wrapping_sub(descriptor.time));
        }
        self.rack.delivered(descriptor, self.now, echo_age);
    }
}

/// The counts, and where to look first.
#[derive(Debug)]
pub(super) struct Scoreboard {
    /// Bytes that are `SACKED`.
    pub(super) sacked_out: u32,
    /// Segments that are `SACKED`.
    pub(super) sacked_segments: u32,
    /// Bytes that are `LOST`.
    pub(super) lost_out: u32,
    /// Bytes that were sent more than once and are neither `SACKED` nor `LOST`.
    pub(super) retrans_out: u32,
    /// The highest frame that is `SACKED`, while there is one, and the number behind it.
    high_frame: u32,
    high_sacked: SeqNum,
    /// From here up to `high_sacked` everything is `SACKED`.
    high_left: SeqNum,
    /// No frame in front of this one is `LOST`.
    lost_from: u32,
    /// Where the search for losses goes on that was cut off; otherwise at the front.
    search_from: u32,
}

impl Scoreboard {
    pub(super) fn new() -> Self {
        Self {
            sacked_out: 0,
            sacked_segments: 0,
            lost_out: 0,
            retrans_out: 0,
            high_frame: NONE,
            high_sacked: SeqNum::new(0),
            high_left: SeqNum::new(0),
            lost_from: NONE,
            search_from: NONE,
        }
    }

    /// `bytes` of a frame with these marks are acknowledged in order.
    fn forget(&mut self, marks: Marks, bytes: u32) {
        if marks.contains(Marks::SACKED) {
            self.sacked_out -= bytes;
        } else if marks.contains(Marks::LOST) {
            self.lost_out -= bytes;
        } else if marks.contains(Marks::RETRANSMITTED) {
            self.retrans_out -= bytes;
        }
    }

    /// The front of the queue was acknowledged in order up to `bytes` of its first frame.
    pub(super) fn acknowledged_partly(
        &mut self,
        descriptor: &Descriptor,
        bytes: u32,
        delivered: &mut Delivered<'_>,
    ) {
        let marks = Marks::of(descriptor);
        self.forget(marks, bytes);
        if !marks.contains(Marks::SACKED) {
            delivered.news.bytes += bytes;
        }
    }

    /// The first frame, `index`, was acknowledged in order, and `next` is behind it.
    pub(super) fn acknowledged(
        &mut self,
        index: u32,
        descriptor: &Descriptor,
        next: Option<u32>,
        delivered: &mut Delivered<'_>,
    ) {
        let marks = Marks::of(descriptor);
        self.forget(marks, u32::from(descriptor.len));
        if marks.contains(Marks::SACKED) {
            self.sacked_segments -= 1;
        } else {
            // What is echoed is the timestamp of the segment that filled the hole (RFC 7323 §4.3).
            let echo_age = delivered.echo_age.take();
            delivered.frame(descriptor, echo_age);
        }
        let next = next.unwrap_or(NONE);
        for hint in [&mut self.lost_from, &mut self.search_from] {
            if *hint == index {
                *hint = next;
            }
        }
    }

    /// Sums that the scoreboard must have, counted anew; for tests.
    #[cfg(test)]
    fn recount(&self, queue: &SendQueue, pool: &FramePool) -> [u32; 4] {
        let mut counts = [0; 4];
        let mut at = queue.frames.first();
        while let Some(index) = at {
            let descriptor = pool.descriptor_at(index);
            let (marks, len) = (Marks::of(descriptor), u32::from(descriptor.len));
            if marks.contains(Marks::SACKED) {
                counts[0] += len;
                counts[1] += 1;
            } else if marks.contains(Marks::LOST) {
                counts[2] += len;
            } else if marks.contains(Marks::RETRANSMITTED) {
                counts[3] += len;
            }
            at = pool.next_in_queue(index);
        }
        counts
    }
}

/// Where the edges of a block may lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    pub(super) snd_una: SeqNum,
    pub(super) snd_nxt: SeqNum,
    pub(super) snd_max: SeqNum,
    /// How far back a report of a duplicate is believed.
    pub(super) oldest: SeqNum,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// Data behind a hole.
    Sacked,
    /// Data that arrived twice (RFC 2883 §4).
    Twice,
    /// Of a segment that was overtaken: nothing that is not known.
    Old,
    /// Nonsense, or a lie.
    Bad,
}

/// Sorts by insertion: for a handful, where a general sort is thousands of bytes of code.
fn sort_few<T>(items: &mut [T], before: impl Fn(&T, &T) -> bool) {
    for end in 1..items.len() {
        let mut at = end;
        while let Some([left, right]) = at.checked_sub(1).and_then(|l| items.get_mut(l..=at)) {
            if !before(right, left) {
                break;
            }
            core::mem::swap(left, right);
            at -= 1;
        }
    }
}

/// Tells what a block is: `first` of its segment or not, with the one behind it.
fn classify(
    block: (SeqNum, SeqNum),
    first: bool,
    following: Option<(SeqNum, SeqNum)>,
    ack: SeqNum,
    edges: &Edges,
) -> Block {
    let (left, right) = block;
    if !left.before(right) || right.after(edges.snd_max) || left.before(edges.oldest) {
        return Block::Bad;
    }
    let inside = |(outer_left, outer_right): (SeqNum, SeqNum)| {
        !left.before(outer_left) && !right.after(outer_right)
    };
    if first && (!right.after(ack) || following.is_some_and(inside)) {
        return Block::Twice;
    }
    if !right.after(edges.snd_una) {
        return Block::Old;
    }
    // What starts at SND.UNA would have been acknowledged in order.
    if left.after(edges.snd_una) {
        Block::Sacked
    } else {
        Block::Bad
    }
}

/// The last frame of the run of `SACKED` frames that starts at `index`. The way there is noted in
/// the first one, so that each frame of a run is passed once.
fn run_end(pool: &mut FramePool, index: u32) -> u32 {
    let mut last = pool.descriptor_at(index).link;
    while let Some(next) = pool.next_in_queue(last)
        && Marks::of(pool.descriptor_at(next)).contains(Marks::SACKED)
    {
        last = pool.descriptor_at(next).link;
    }
    pool.descriptor_at_mut(index).link = last;
    last
}

impl SendQueue {
    /// Takes the blocks of a segment that acknowledges `ack` (RFC 2018 §5, with checks in the spirit
    /// of RFC 5961), and returns what it reports to have arrived twice.
    pub(super) fn take_blocks(
        &mut self,
        cx: &mut Context<'_>,
        blocks: &[(SeqNum, SeqNum)],
        ack: SeqNum,
        edges: &Edges,
        delivered: &mut Delivered<'_>,
    ) -> Option<(SeqNum, SeqNum)> {
        let mut twice = None;
        let mut sacked = heapless::Vec::<(SeqNum, SeqNum), MAX_SACK_BLOCKS>::new();
        for (at, block) in blocks.iter().enumerate() {
            match classify(*block, at == 0, blocks.get(at + 1).copied(), ack, edges) {
                Block::Twice => twice = Some(*block),
                Block::Old => {}
                Block::Bad => cx.counters.tcp_sack_bad += 1,
                Block::Sacked => {
                    // What probed a closed window does not count as sent.
                    let right = if block.1.after(edges.snd_nxt) {
                        edges.snd_nxt
                    } else {
                        block.1
                    };
                    // Cannot fail: a segment has no more.
                    let _ = sacked.push((block.0, right));
                }
            }
        }
        // In the order of the stream: what one acknowledgement reports was not reordered by the
        // order of its blocks, which is that of their age (RFC 2018 §4). But first what lies behind
        // the highest that is known: it is new, and found at once, while the way to a block that
        // repeats old news among many holes may take all steps.
        let board = &self.board;
        let (any, high_left) = (board.sacked_out > 0, board.high_left);
        let place = |(left, _): &(SeqNum, SeqNum)| {
            let repeats = any && left.before(high_left);
            (repeats, left.since(edges.snd_una))
        };
        sort_few(&mut sacked, |a, b| place(a) < place(b));
        let mut steps = MAX_STEPS;
        for block in sacked {
            if !self.sack(cx.pool, block, &mut steps, delivered) {
                cx.counters.tcp_scan_limited += 1;
                break;
            }
        }
        twice
    }

    /// Marks what a block covers as `SACKED`; the caller has checked the block: it lies between
    /// SND.UNA and SND.NXT. `false` when `steps` did not suffice.
    pub(super) fn sack(
        &mut self,
        pool: &mut FramePool,
        (left, right): (SeqNum, SeqNum),
        steps: &mut u32,
        delivered: &mut Delivered<'_>,
    ) -> bool {
        // A block that extends the highest one, or is a part of it, needs no walk to its start.
        let board = &self.board;
        let known = board.sacked_out > 0 && !left.before(board.high_left);
        if known && !right.after(board.high_sacked) {
            return true;
        }
        let apart = board.sacked_out > 0 && !left.before(board.high_sacked);
        let high_sacked = (board.sacked_out > 0).then_some(board.high_sacked);
        let mut at = if known {
            pool.next_in_queue(board.high_frame)
        } else {
            self.frames.first()
        };
        while let Some(index) = at.filter(|index| Some(*index) != self.next) {
            let descriptor = *pool.descriptor_at(index);
            let (seq, end) = (SeqNum::new(descriptor.seq), end_of(&descriptor));
            if !seq.before(right) {
                break;
            }
            if *steps == 0 {
                // What lies in front of the last frame that was reached is not known.
                self.board.high_left = self.board.high_sacked;
                return false;
            }
            *steps -= 1;
            if Marks::of(&descriptor).contains(Marks::SACKED) {
                let last = run_end(pool, index);
                at = pool.next_in_queue(last);
                continue;
            }
            if !seq.before(left) && !end.after(right) {
                delivered.frame(&descriptor, None);
                delivered.news.sacked += u32::from(descriptor.len);
                self.mark_sacked(pool, index);
            }
            at = pool.next_in_queue(index);
        }
        let board = &mut self.board;
        let is_highest = high_sacked.is_none_or(|before| board.high_sacked.after(before));
        if board.sacked_out > 0 && is_highest && (!known || apart) {
            board.high_left = left;
        }
        true
    }

    fn mark_sacked(&mut self, pool: &mut FramePool, index: u32) {
        let descriptor = pool.descriptor_at_mut(index);
        let (marks, len) = (Marks::of(descriptor), u32::from(descriptor.len));
        let end = end_of(descriptor);
        descriptor.flags = (marks | Marks::SACKED).difference(Marks::LOST).bits();
        descriptor.link = index;
        let board = &mut self.board;
        board.forget(marks, len);
        if board.sacked_out == 0 || end.after(board.high_sacked) {
            (board.high_frame, board.high_sacked) = (index, end);
        }
        board.sacked_out += len;
        board.sacked_segments += 1;
    }

    /// Takes a frame for lost that is on its way.
    pub(super) fn mark_lost(&mut self, pool: &mut FramePool, index: u32) {
        let descriptor = *pool.descriptor_at(index);
        let (marks, len) = (Marks::of(&descriptor), u32::from(descriptor.len));
        if marks.intersects(Marks::LOST | Marks::SACKED) {
            return;
        }
        pool.descriptor_at_mut(index).flags = (marks | Marks::LOST).bits();
        let board = &mut self.board;
        board.forget(marks, len);
        let seq = SeqNum::new(descriptor.seq);
        let first_of_all = board.lost_out == 0
            || board.lost_from == NONE
            || seq.before(SeqNum::new(pool.descriptor_at(board.lost_from).seq));
        if first_of_all {
            board.lost_from = index;
        }
        board.lost_out += len;
    }

    /// The first frame that is `LOST`.
    pub(super) fn first_lost(&mut self, pool: &mut FramePool) -> Option<u32> {
        if self.board.lost_out == 0 {
            return None;
        }
        let mut at = Some(self.board.lost_from)
            .filter(|index| *index != NONE)
            .or(self.frames.first());
        while let Some(index) = at {
            let marks = Marks::of(pool.descriptor_at(index));
            if marks.contains(Marks::LOST) {
                self.board.lost_from = index;
                return Some(index);
            }
            let last = if marks.contains(Marks::SACKED) {
                run_end(pool, index)
            } else {
                index
            };
            at = pool.next_in_queue(last);
        }
        None
    }

    /// The last frame that was sent. Walks the queue, unless everything was sent.
    pub(super) fn last_sent(&self, pool: &FramePool) -> Option<u32> {
        let Some(next) = self.next else {
            return self.frames.last();
        };
        let mut at = self.frames.first().filter(|first| *first != next)?;
        while let Some(following) = pool.next_in_queue(at).filter(|index| *index != next) {
            at = following;
        }
        Some(at)
    }

    /// A frame that was sent before goes again.
    pub(super) fn sent_again(&mut self, pool: &mut FramePool, index: u32) {
        let descriptor = pool.descriptor_at_mut(index);
        let (marks, len) = (Marks::of(descriptor), u32::from(descriptor.len));
        if marks.contains(Marks::SACKED) {
            return;
        }
        descriptor.flags = (marks | Marks::RETRANSMITTED)
            .difference(Marks::LOST)
            .bits();
        self.board.forget(marks, len);
        self.board.retrans_out += len;
    }

    /// What is taken for lost is on its way after all.
    pub(super) fn nothing_is_lost(&mut self, pool: &mut FramePool) {
        while let Some(index) = self.first_lost(pool) {
            let descriptor = pool.descriptor_at_mut(index);
            let (marks, len) = (Marks::of(descriptor), u32::from(descriptor.len));
            descriptor.flags = marks.difference(Marks::LOST).bits();
            self.board.lost_out -= len;
            if marks.contains(Marks::RETRANSMITTED) {
                self.board.retrans_out += len;
            }
        }
    }

    /// Calls `is_lost` for the frames on their way, in order, and marks those for which it says so.
    /// It ends the search with `None`. Returns whether there is one, and whether the search went
    /// to its end; otherwise the next one goes on where this one stopped, after `steps` steps.
    pub(super) fn find_lost(
        &mut self,
        pool: &mut FramePool,
        mut steps: u32,
        mut is_lost: impl FnMut(&Descriptor) -> Option<bool>,
    ) -> (bool, bool) {
        let mut found = false;
        let mut at = Some(self.board.search_from)
            .filter(|index| *index != NONE)
            .or(self.frames.first());
        self.board.search_from = NONE;
        while let Some(index) = at.filter(|index| Some(*index) != self.next) {
            if steps == 0 {
                self.board.search_from = index;
                return (found, false);
            }
            steps -= 1;
            let descriptor = *pool.descriptor_at(index);
            let marks = Marks::of(&descriptor);
            let mut last = index;
            if marks.contains(Marks::SACKED) {
                last = run_end(pool, index);
            } else if !marks.contains(Marks::LOST) {
                match is_lost(&descriptor) {
                    Some(true) => {
                        self.mark_lost(pool, index);
                        found = true;
                    }
                    Some(false) => {}
                    None => break,
                }
            }
            at = pool.next_in_queue(last);
        }
        (found, true)
    }

    /// The same for all frames on their way, from the first one on, whatever a search before this one
    /// has left out. Returns whether there is one.
    pub(super) fn find_all_lost(
        &mut self,
        pool: &mut FramePool,
        is_lost: impl Fn(&Descriptor) -> bool,
    ) -> bool {
        self.board.search_from = NONE;
        self.find_lost(pool, u32::MAX, |segment| Some(is_lost(segment)))
            .0
    }

    /// The peer has dropped what it had acknowledged selectively: all of it is
    /// to be sent again (RFC 2018 §8).
    pub(super) fn reneged(&mut self, pool: &mut FramePool) {
        self.board = Scoreboard::new();
        let mut at = self.frames.first();
        while let Some(index) = at.filter(|index| Some(*index) != self.next) {
            let descriptor = pool.descriptor_at_mut(index);
            let marks = Marks::of(descriptor).intersection(Marks::RETRANSMITTED);
            descriptor.flags = (marks | Marks::LOST).bits();
            self.board.lost_out += u32::from(descriptor.len);
            at = pool.next_in_queue(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;
    use crate::rng::Rng;
    use crate::time::Instant;
    use std::vec::Vec;

    const SMSS: u16 = 10;

    /// A queue of `count` sent frames of [`SMSS`] bytes, and one that was not sent.
    fn queue(pool: &mut FramePool, start: SeqNum, count: u32) -> SendQueue {
        let mut queue = SendQueue::new(start);
        let bytes = [7; SMSS as usize];
        for _ in 0..=count {
            let frame = pool.allocate().unwrap();
            queue.push_empty(pool, frame);
            queue.fill_last(pool, start, SMSS, &bytes);
        }
        queue.next = queue.frames.last();
        queue
    }

    fn board(queue: &SendQueue) -> [u32; 4] {
        let board = &queue.board;
        [
            board.sacked_out,
            board.sacked_segments,
            board.lost_out,
            board.retrans_out,
        ]
    }

    /// What a plain array knows of a segment.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Plain {
        sacked: bool,
        lost: bool,
        again: bool,
    }

    fn marks(queue: &SendQueue, pool: &FramePool) -> Vec<Plain> {
        let mut plain = Vec::new();
        let mut at = queue.frames.first();
        while let Some(index) = at.filter(|index| Some(*index) != queue.next) {
            let marks = Marks::of(pool.descriptor_at(index));
            plain.push(Plain {
                sacked: marks.contains(Marks::SACKED),
                lost: marks.contains(Marks::LOST),
                again: marks.contains(Marks::RETRANSMITTED),
            });
            at = pool.next_in_queue(index);
        }
        plain
    }

    #[test]
    fn a_few_are_sorted_whatever_their_order() {
        for order in 0..256_u32 {
            let mut few = [order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6];
            let mut sorted = few;
            sorted.sort_unstable();
            sort_few(&mut few, |a, b| a < b);
            assert_eq!(few, sorted);
        }
        sort_few(&mut [0; 0], |a, b| a < b);
    }

    /// Random blocks, losses, retransmissions and acknowledgements, against a plain array.
    #[test]
    fn marks_and_counts_are_those_of_a_plain_array() {
        const SEGMENTS: u32 = 40;
        let len = u32::from(SMSS);
        for seed in 0..60u8 {
            let mut rng = Rng::new([seed; 32]);
            let mut pool = FramePool::new(SEGMENTS as usize + 1, 256);
            let start = SeqNum::new(0u32.wrapping_sub(rng.u32() % (SEGMENTS * len)));
            let mut queue = queue(&mut pool, start, SEGMENTS);
            let mut plain = std::vec![Plain::default(); SEGMENTS as usize];
            let mut acked = 0u32;
            let mut rack = Rack::new(start);
            while acked < SEGMENTS {
                let mut delivered = Delivered::new(&mut rack, 0, None, start);
                let from = acked + rng.u32() % (SEGMENTS - acked);
                let to = from + 1 + rng.u32() % 6.min(SEGMENTS - from);
                let mut arrived = 0;
                match rng.u32() % 5 {
                    0 | 1 => {
                        // A block that cuts the segments at its ends covers less.
                        let (cut, mut steps) = (rng.u32() % 2, 1_000);
                        let block = (start + from * len + cut, start + to * len - cut);
                        if block.0.before(block.1) {
                            assert!(queue.sack(&mut pool, block, &mut steps, &mut delivered));
                            for segment in &mut plain
                                [(from + cut) as usize..(to - cut).max(from + cut) as usize]
                            {
                                arrived += u32::from(!segment.sacked) * len;
                                segment.lost = false;
                                segment.sacked = true;
                            }
                        }
                    }
                    2 => {
                        let found = queue.find_lost(&mut pool, 1_000, |segment| {
                            let offset = SeqNum::new(segment.seq).since(start) / len;
                            Some((from..to).contains(&offset))
                        });
                        let mut any = false;
                        for segment in &mut plain[from as usize..to as usize] {
                            any |= !segment.sacked && !segment.lost;
                            segment.lost |= !segment.sacked;
                        }
                        assert_eq!(found, (any, true));
                    }
                    3 => {
                        let first = plain[acked as usize..].iter_mut().find(|s| s.lost);
                        let index = queue.first_lost(&mut pool);
                        assert_eq!(index.is_some(), first.is_some());
                        if let (Some(index), Some(segment)) = (index, first) {
                            queue.sent_again(&mut pool, index);
                            (segment.lost, segment.again) = (false, true);
                        }
                    }
                    _ if rng.u32().is_multiple_of(4) => {
                        arrived = len
                            * u32::try_from(
                                plain[acked as usize..to as usize]
                                    .iter()
                                    .filter(|s| !s.sacked)
                                    .count(),
                            )
                            .unwrap();
                        acked = to;
                        queue.acknowledge(&mut pool, start + acked * len, &mut delivered);
                    }
                    _ => {
                        queue.nothing_is_lost(&mut pool);
                        plain.iter_mut().for_each(|segment| segment.lost = false);
                    }
                }
                assert_eq!(delivered.news.bytes, arrived, "seed {seed}");
                assert_eq!(marks(&queue, &pool), plain[acked as usize..], "seed {seed}");
                assert_eq!(
                    board(&queue),
                    queue.board.recount(&queue, &pool),
                    "seed {seed}"
                );
            }
            queue.clear(&mut pool);
        }
    }

    /// CVE-2019-11478: blocks that make every second segment a hole. What one acknowledgement costs
    /// stays the same, and what it leaves out the next ones do.
    #[test]
    fn the_work_for_an_acknowledgement_is_bounded() {
        const SEGMENTS: u32 = 8_000;
        let len = u32::from(SMSS);
        let mut pool = FramePool::new(SEGMENTS as usize + 1, 256);
        let start = SeqNum::new(u32::MAX - 40_000);
        let mut queue = queue(&mut pool, start, SEGMENTS);
        let mut rack = Rack::new(start);
        let delivered = &mut Delivered::new(&mut rack, 0, None, start);
        let block = |i: u32| (start + i * len, start + (i + 1) * len);
        // Upwards each block is found at once.
        for i in (1..SEGMENTS).step_by(2) {
            let mut steps = MAX_STEPS;
            assert!(queue.sack(&mut pool, block(i), &mut steps, delivered));
            assert!(MAX_STEPS - steps <= 3, "{i}");
        }
        assert_eq!(queue.board.sacked_segments, SEGMENTS / 2);
        // A block far behind many holes is not.
        let mut steps = MAX_STEPS;
        assert!(!queue.sack(&mut pool, block(SEGMENTS - 2), &mut steps, delivered));
        assert_eq!(steps, 0);
        // Searches for losses go on where they stopped.
        let mut searches = 0;
        loop {
            searches += 1;
            let mut seen = 0;
            let (_, complete) = queue.find_lost(&mut pool, MAX_STEPS, |_| {
                seen += 1;
                Some(true)
            });
            assert!(seen <= MAX_STEPS);
            if complete {
                break;
            }
        }
        assert_eq!(searches, SEGMENTS.div_ceil(MAX_STEPS));
        assert_eq!(queue.board.lost_out, SEGMENTS / 2 * len);
        queue.clear(&mut pool);
    }

    /// A timeout is about the first segment above all.
    #[test]
    fn a_search_of_everything_starts_at_the_front_also_after_one_that_was_cut_off() {
        const SEGMENTS: u32 = 20;
        let mut pool = FramePool::new(SEGMENTS as usize + 1, 256);
        let start = SeqNum::new(u32::MAX - 40);
        let mut queue = queue(&mut pool, start, SEGMENTS);
        let (found, complete) = queue.find_lost(&mut pool, 5, |_| Some(false));
        assert_eq!((found, complete), (false, false));
        assert!(queue.find_all_lost(&mut pool, |segment| SeqNum::new(segment.seq) == start));
        assert_eq!(queue.first_lost(&mut pool), queue.frames.first());
        assert!(queue.find_all_lost(&mut pool, |_| true));
        assert_eq!(queue.board.lost_out, SEGMENTS * u32::from(SMSS));
        queue.clear(&mut pool);
    }

    #[test]
    fn a_run_of_arrived_segments_is_one_step() {
        const SEGMENTS: u32 = 3_000;
        let len = u32::from(SMSS);
        for upwards in [true, false] {
            let mut pool = FramePool::new(SEGMENTS as usize + 1, 256);
            let start = SeqNum::new(u32::MAX - 9_000);
            let mut queue = queue(&mut pool, start, SEGMENTS);
            let mut rack = Rack::new(start);
            let delivered = &mut Delivered::new(&mut rack, 0, None, start);
            for i in 1..SEGMENTS {
                let i = if upwards { i } else { SEGMENTS - i };
                let block = (start + i * len, start + (i + 1) * len);
                // Downwards each is in front of the others: it takes the way from the first frame.
                assert!(queue.sack(&mut pool, block, &mut { u32::MAX }, delivered));
            }
            let mut steps = 0;
            let (_, complete) = queue.find_lost(&mut pool, 3, |_| {
                steps += 1;
                Some(false)
            });
            assert_eq!((steps, complete), (1, true));
            queue.clear(&mut pool);
        }
    }

    #[test]
    fn blocks_are_told_apart() {
        let una = SeqNum::new(u32::MAX - 99);
        let edges = Edges {
            snd_una: una,
            snd_nxt: una + 1_000,
            snd_max: una + 1_000,
            oldest: una - 500,
        };
        let classify = |left: (u32, u32), first, following: Option<(u32, u32)>, ack: SeqNum| {
            let block = |(l, r): (u32, u32)| (una + l, una + r);
            classify(block(left), first, following.map(block), ack, &edges)
        };
        assert_eq!(classify((1, 1_000), true, None, una), Block::Sacked);
        assert_eq!(classify((1, 1_001), true, None, una), Block::Bad);
        assert_eq!(classify((0, 10), true, None, una), Block::Bad);
        assert_eq!(classify((10, 10), true, None, una), Block::Bad);
        assert_eq!(classify((11, 10), true, None, una), Block::Bad);
        assert_eq!(classify((10, 0x8000_000a), true, None, una), Block::Bad);
        assert_eq!(classify((10, 20), true, Some((5, 30)), una), Block::Twice);
        assert_eq!(classify((10, 20), false, Some((5, 30)), una), Block::Sacked);
        assert_eq!(classify((10, 20), true, Some((15, 30)), una), Block::Sacked);
        let before = 0u32.wrapping_sub(100);
        assert_eq!(
            classify((before, before + 50), true, None, una),
            Block::Twice
        );
        assert_eq!(
            classify((before, before + 50), false, None, una),
            Block::Old
        );
        // The segment is older than another one that has arrived.
        assert_eq!(
            classify((before, before + 50), true, None, una - 100),
            Block::Old
        );
        let ancient = 0u32.wrapping_sub(501);
        assert_eq!(classify((ancient, before), true, None, una), Block::Bad);
    }

    #[test]
    fn bad_blocks_are_counted_and_do_nothing() {
        let mut pool = FramePool::new(5, 256);
        let start = SeqNum::new(u32::MAX - 5);
        let mut queue = queue(&mut pool, start, 4);
        let (mut rng, mut counters) = (Rng::new([1; 32]), Counters::default());
        let mut rack = Rack::new(start);
        let mut delivered = Delivered::new(&mut rack, 0, None, start);
        let edges = Edges {
            snd_una: start,
            snd_nxt: start + 40,
            snd_max: start + 40,
            oldest: start - 100,
        };
        let mut cx = Context {
            now: Instant::ZERO,
            pool: &mut pool,
            rng: &mut rng,
            counters: &mut counters,
        };
        let blocks = [
            (start + 10, start + 41),
            (start, start + 10),
            (start + 30, start + 20),
        ];
        let twice = queue.take_blocks(&mut cx, &blocks, start, &edges, &mut delivered);
        assert_eq!((twice, delivered.news.bytes), (None, 0));
        assert_eq!(board(&queue), [0; 4]);
        assert_eq!(counters.tcp_sack_bad, 3);
        queue.clear(&mut pool);
    }

    /// A peer with thousands of holes repeats what it has said before. What is new counts though the
    /// steps do not suffice to find out that the rest is not.
    #[test]
    fn news_do_not_wait_for_what_is_repeated() {
        const SEGMENTS: u32 = 6_000;
        let len = u32::from(SMSS);
        let mut pool = FramePool::new(SEGMENTS as usize + 1, 256);
        let start = SeqNum::new(u32::MAX - 30_000);
        let mut queue = queue(&mut pool, start, SEGMENTS);
        let (mut rng, mut counters) = (Rng::new([1; 32]), Counters::default());
        let mut rack = Rack::new(start);
        let end = start + SEGMENTS * len;
        let edges = Edges {
            snd_una: start,
            snd_nxt: end,
            snd_max: end,
            oldest: start - 100,
        };
        let block = |i: u32| (start + i * len, start + (i + 1) * len);
        for i in (5..SEGMENTS).step_by(2) {
            let mut delivered = Delivered::new(&mut rack, 0, None, start);
            let mut cx = Context {
                now: Instant::ZERO,
                pool: &mut pool,
                rng: &mut rng,
                counters: &mut counters,
            };
            let blocks = [block(i), block(i - 2), block(i - 4)];
            queue.take_blocks(&mut cx, &blocks, start, &edges, &mut delivered);
            let new = if i == 5 { 3 } else { 1 };
            assert_eq!(delivered.news.sacked, new * len, "{i}");
        }
        assert!(counters.tcp_scan_limited > 0, "the steps did not suffice");
        queue.clear(&mut pool);
    }
}
