//! Header prediction: the segments that an open connection gets nearly all the time, apart from the
//! steps of §3.10.7.4 (`input`), which would find nothing else to do.
//!
//! It is the next data, the acknowledgement of data that arrived in order, or both; nothing is being
//! repaired, no marks or SACK blocks are told, and no state can change.

use super::rack::micros;
use super::reassembly::QueueId;
use super::scoreboard::Delivered;
use super::segment::Segment;
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{State, Tcb, TcbFlags, seconds};
use super::tick::Tick;
use crate::context::Context;
use crate::pool::Frame;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::Flags;

impl Tcb {
    /// Whether this is such a segment. Its window is newer than all before, whatever it says: its
    /// number is RCV.NXT, and its acknowledgement not before SND.UNA.
    #[inline(always)]
    pub(super) fn is_predicted(&self, segment: &Segment) -> bool {
        let control = Flags::FIN | Flags::SYN | Flags::RST | Flags::ACK | Flags::ECE | Flags::CWR;
        let unusual = TcbFlags::PERSIST | TcbFlags::ORPHAN | TcbFlags::FIN_AHEAD | TcbFlags::ACCECN;
        let recent = match segment.timestamps {
            Some((value, _)) => !SeqNum::new(value).before(SeqNum::new(self.timestamps.recent)),
            None => !self.flags.contains(TcbFlags::TIMESTAMPS),
        };
        self.state == State::Established
            && segment.flags.intersection(control) == Flags::ACK
            && segment.seq == self.rcv_nxt
            && segment.ecn != Ecn::Ce
            && segment.len <= self.rcv_wnd()
            && !segment.has_sack_blocks()
            && self.out_of_order == QueueId::NONE
            && !self.flags.intersects(unusual)
            && recent
            && if segment.ack == self.snd_una {
                segment.len > 0
            } else {
                self.acknowledges_in_order(segment.ack)
            }
    }

    /// Whether an acknowledgement is of data that was sent once, and nothing waits for it but more
    /// of that.
    #[inline(always)]
    fn acknowledges_in_order(&self, ack: SeqNum) -> bool {
        let waiting = TcbFlags::RECOVERY
            | TcbFlags::LOSS_RECOVERY
            | TcbFlags::CWR
            | TcbFlags::ECN_HOLD
            | TcbFlags::DOUBT
            | TcbFlags::MTU_PROBE
            | TcbFlags::MTU_PROBE_LOST
            | TcbFlags::TLP_SENT
            | TcbFlags::FIN_QUEUED;
        let board = &self.send.board;
        ack.after(self.snd_una)
            && !ack.after(self.snd_max)
            && !self.flags.intersects(waiting)
            && board.sacked_out | board.lost_out | board.retrans_out == 0
    }

    /// Takes in what [`Tcb::is_predicted`] has found to be so.
    pub(super) fn predicted(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
        frame: Frame,
    ) {
        // RFC 7323 §4.3 (2).
        if let Some((value, _)) = segment.timestamps
            && segment.seq.before_or_at(self.last_ack_sent)
        {
            self.timestamps.recent = value;
            self.timestamps.recent_at = seconds(cx.now);
        }
        if segment.ack != self.snd_una {
            self.acknowledged_in_order(shared, cx, segment);
        }
        let window = u32::from(segment.window) << self.snd_scale;
        self.snd_wnd = window;
        self.max_snd_wnd = self.max_snd_wnd.max(window);
        self.snd_wl1 = segment.seq;
        self.snd_wl2 = segment.ack;
        self.flags |= TcbFlags::OUTPUT;
        if self.flags.contains(TcbFlags::KEEPALIVE) {
            self.heard(shared, cx.now);
        }
        if segment.len == 0 {
            cx.pool.free(frame);
        } else {
            cx.pool.descriptor_mut(&frame).seq = segment.seq.get();
            self.text_in_order(shared, cx, frame, segment.len);
        }
    }

    /// What is left of `take_acknowledgment` and `acknowledged`.
    #[inline(always)]
    fn acknowledged_in_order(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) {
        let ack = segment.ack;
        let flight = self.flight();
        let rtt = self.measure_rtt(shared, cx, segment);
        let laps = u16::from(ack.laps(self.iss, self.snd_una));
        self.snd_wraps = self.snd_wraps.wrapping_add(laps);
        self.snd_una = ack;
        let mut delivered = Delivered::new(&mut self.rack, micros(cx.now), None, self.recover);
        shared.budget.tx_used -= self.send.acknowledge(cx.pool, ack, &mut delivered);
        let news = delivered.news;
        self.snd_nxt = self.snd_nxt.latest(ack);
        self.snd_sml = self.snd_sml.latest(ack);
        self.recover = self.recover.latest(ack);
        self.dup_acks = 0;
        self.rack.advanced(ack);
        if !self.flags.contains(TcbFlags::TLP_TIMER) {
            // The reordering timer waited for what has arrived.
            self.loss_at = Tick::NEVER;
        }
        self.grow(
            cx,
            flight.saturating_sub(self.flight()),
            flight,
            news.rtt.or(rtt),
        );
        self.send_queue_advanced(shared, cx, true);
        self.schedule_probe(cx.now);
    }
}
