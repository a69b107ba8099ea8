//! The receiver's side of selective acknowledgement: what arrived behind holes (RFC 2018) and what
//! arrived twice (RFC 2883).

use super::isn::timestamp_clock;
use super::reply::{Head, NO_BLOCKS, REPLY_BLOCKS, Reply};
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{Tcb, TcbFlags};
use crate::context::Context;
use crate::wire::tcp::{
    ALIGNED_TIMESTAMPS_LEN, Flags, HEADER_LEN, MAX_HEADER_LEN, MAX_SACK_BLOCKS,
};

/// The blocks of one segment, in the order in which they are sent.
pub(super) type Blocks = heapless::Vec<(u32, u32), MAX_SACK_BLOCKS>;

/// Blocks that fit a header beside the timestamps, if there are any (RFC 2018 §3: four or three).
fn blocks_in_header(timestamps: bool) -> usize {
    let taken = if timestamps {
        ALIGNED_TIMESTAMPS_LEN
    } else {
        0
    };
    ((MAX_HEADER_LEN - HEADER_LEN - taken - 4) / 8).min(MAX_SACK_BLOCKS)
}

impl Tcb {
    /// Notes that `start..end` has arrived before, for the next acknowledgement (RFC 2883 §4).
    /// Duplicates of one batch that join are reported together, and otherwise each with an
    /// acknowledgement of its own.
    pub(super) fn arrived_twice(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        start: SeqNum,
        end: SeqNum,
    ) {
        if !self.flags.contains(TcbFlags::SACK) || !start.before(end) {
            return;
        }
        cx.counters.tcp_dsack_sent += 1;
        let (left, right) = self.duplicate;
        if left != right && right == start {
            self.duplicate = (left, end);
        } else {
            if left != right {
                self.report_duplicate(shared, cx);
            }
            self.duplicate = (start, end);
        }
    }

    /// Queues an acknowledgement for a duplicate that waits to be reported, as another one follows
    /// in the same batch. Where many replies wait it is left out: a hint is lost.
    #[cold]
    fn report_duplicate(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        if !shared.replies.has_room_to_spare() {
            return;
        }
        // The second block is the one that the duplicate lies in, if it lies behind a hole (§4).
        let blocks = self.sack_blocks(shared, 4 + 8 * REPLY_BLOCKS);
        let mut sack = NO_BLOCKS;
        for (place, block) in sack.iter_mut().zip(blocks) {
            *place = block;
        }
        let timestamps = self.flags.contains(TcbFlags::TIMESTAMPS).then(|| {
            let clock = timestamp_clock(cx.now).wrapping_add(self.timestamps.offset);
            (clock, self.timestamps.recent)
        });
        let mut flags = Flags::ACK;
        if self.flags.intersects(TcbFlags::ECN_ECHO | TcbFlags::ACCECN) {
            flags |= self.ecn_flags(shared);
        }
        let head = Head {
            key: self.key,
            seq: self.snd_max,
            ack: self.rcv_nxt,
            flags,
            window: u16::try_from(self.rcv_wnd() >> self.rcv_scale).unwrap_or(u16::MAX),
            ip: self.ip_fields(shared),
        };
        let reply = Reply {
            head,
            timestamps,
            syn: None,
            sack,
        };
        shared.replies.push(cx, reply);
    }

    /// Whether the next acknowledgement has blocks to report.
    pub(super) fn has_sack_blocks(&self) -> bool {
        let (left, right) = self.duplicate;
        self.flags.contains(TcbFlags::SACK)
            && (self.out_of_order != super::reassembly::QueueId::NONE || left != right)
    }

    /// The blocks to report in a segment that has `room` bytes for them beside its payload and
    /// other options: a duplicate first (RFC 2883 §4), then what was received last (RFC 2018 §4).
    pub(super) fn sack_blocks(&mut self, shared: &Shared, room: usize) -> Blocks {
        let mut blocks = Blocks::new();
        if !self.has_sack_blocks() {
            return blocks;
        }
        let most = blocks_in_header(self.flags.contains(TcbFlags::TIMESTAMPS))
            .min(room.saturating_sub(4) / 8);
        let (left, right) = self.duplicate;
        if left != right && most > 0 {
            // Cannot fail: there is room.
            let _ = blocks.push((left.get(), right.get()));
            self.duplicate = (right, right);
        }
        let mut ranges = [<(SeqNum, SeqNum)>::default(); MAX_SACK_BLOCKS];
        let count = shared
            .reassembly
            .latest(self.out_of_order, &mut ranges[..most - blocks.len()]);
        for (left, right) in &ranges[..count] {
            let _ = blocks.push((left.get(), right.get()));
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_blocks_fit_beside_timestamps_and_four_without() {
        assert_eq!((blocks_in_header(true), blocks_in_header(false)), (3, 4));
    }
}
