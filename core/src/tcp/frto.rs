//! Reductions that had no cause: how they are found out and taken back.
//!
//! | finding | by |
//! |---|---|
//! | F-RTO (RFC 5682): after a timeout, segments arrive that were sent once, before it | two acknowledgements |
//! | Eifel (RFC 3522): the first copy of what was sent again has arrived | timestamps |
//! | DSACK (RFC 3708): everything that was sent again has arrived twice | the peer's reports |
//!
//! The answer is that of RFC 4015: window and threshold are again what they were, and after a
//! timeout the next measurement seeds the estimator of round-trip times anew.

use super::congestion::CongestionControl;
use super::scoreboard::News;
use super::seq::SeqNum;
use super::state::{Tcb, TcbFlags};
use crate::context::Context;

/// The steps of RFC 5682 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frto {
    /// No timeout is in doubt.
    Off,
    /// Step 2: the first segment was sent again, its acknowledgement is missing.
    Retransmitted,
    /// Step 3: new data was sent instead of old; the next acknowledgement tells.
    SentNew,
}

/// What was done because of a loss, until it turns out to have had no cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    /// SND.UNA when the loss was detected.
    from: SeqNum,
    /// Bytes that were sent again since then and were not reported as duplicates.
    sent_again: u32,
    /// The timestamp of the first segment that was sent again, and when that was, in microseconds.
    stamp: u32,
    first_at: u32,
}

impl Doubt {
    pub(super) fn new(snd_una: SeqNum) -> Self {
        Self {
            from: snd_una,
            sent_again: 0,
            stamp: 0,
            first_at: 0,
        }
    }
}

impl Tcb {
    /// A loss was detected: whether that is true will show.
    pub(super) fn start_doubting(&mut self) {
        self.doubt = Doubt::new(self.snd_una);
        self.flags |= TcbFlags::DOUBT;
    }

    /// The loss is repaired: reports of duplicates come before the acknowledgement of what is sent
    /// from now on. Without SACK there are none.
    pub(super) fn doubt_fades(&mut self) {
        if self.flags.contains(TcbFlags::SACK) {
            self.recover = self.snd_max;
        }
    }

    /// Nothing is being repaired. A duplicate that is reported later is of the network's making.
    pub(super) fn doubt_ends(&mut self) {
        if self.snd_una.after(self.recover) {
            self.flags.remove(TcbFlags::DOUBT);
        }
    }

    /// `bytes` were sent again at `at`, in microseconds, with the clock of the timestamps at `stamp`.
    pub(super) fn doubt_sent_again(&mut self, bytes: u32, stamp: u32, at: u32) {
        if self.doubt.sent_again == 0 {
            self.doubt.stamp = stamp;
            self.doubt.first_at = at;
        }
        self.doubt.sent_again = self.doubt.sent_again.saturating_add(bytes);
    }

    /// Whether a segment that was last sent at `at` was sent again since the loss was detected: an
    /// earlier repair says nothing about this one.
    pub(super) fn was_repaired_in_doubt(&self, at: u32) -> bool {
        self.doubt.sent_again > 0 && !SeqNum::new(at).before(SeqNum::new(self.doubt.first_at))
    }

    /// Whether everything that was sent again is now reported to have arrived twice
    /// (RFC 3708 §2).
    pub(super) fn all_was_duplicate(&mut self, left: SeqNum, right: SeqNum) -> bool {
        if !self.flags.contains(TcbFlags::DOUBT)
            || left.before(self.doubt.from)
            || self.doubt.sent_again == 0
        {
            return false;
        }
        let bytes = right.since(left);
        self.doubt.sent_again = self.doubt.sent_again.saturating_sub(bytes);
        self.doubt.sent_again == 0
    }

    /// Whether an acknowledgement that echoes the timestamp `echo` is for the first copy of a
    /// segment that was sent again (RFC 3522 §3.2).
    pub(super) fn first_copy_arrived(&self, news: &News, echo: Option<u32>) -> bool {
        let repairing = TcbFlags::RECOVERY | TcbFlags::LOSS_RECOVERY;
        self.flags.contains(TcbFlags::DOUBT | TcbFlags::TIMESTAMPS)
            && self.flags.intersects(repairing)
            && news.first_retransmitted
            && self.doubt.sent_again > 0
            && echo.is_some_and(|echo| SeqNum::new(echo).before(SeqNum::new(self.doubt.stamp)))
    }

    /// The next step of F-RTO after an acknowledgement; `advances`: SND.UNA has moved. Returns
    /// whether the timeout had no cause.
    pub(super) fn frto_step(&mut self, cx: &Context<'_>, news: &News, advances: bool) -> bool {
        match self.frto {
            Frto::Off => {}
            Frto::Retransmitted if advances => {
                // Step 2: if everything is acknowledged, or nothing new can be sent, F-RTO cannot
                // tell.
                let may_send = self.snd_una.before(self.recover) && self.new_data_fits(cx);
                self.frto = if may_send { Frto::SentNew } else { Frto::Off };
            }
            // Without SACK a duplicate here means that segments are missing (§2.1 step 2a).
            Frto::Retransmitted => {
                if !self.flags.contains(TcbFlags::SACK) {
                    self.frto = Frto::Off;
                }
            }
            Frto::SentNew => {
                self.frto = Frto::Off;
                return news.original;
            }
        }
        false
    }

    /// Whether data that was never sent waits and fits the peer's window.
    fn new_data_fits(&self, cx: &Context<'_>) -> bool {
        let in_flight = self.snd_nxt.since(self.snd_una);
        self.send.next.is_some_and(|index| {
            let len = u32::from(cx.pool.descriptor_at(index).len);
            in_flight.saturating_add(len) <= self.snd_wnd && !self.is_held(cx, index, len)
        })
    }

    /// The last reduction had no cause: everything is as before it (RFC 4015 §3). `acked` bytes
    /// have just been acknowledged in order.
    pub(super) fn undo(&mut self, cx: &mut Context<'_>, acked: u32) {
        self.send.nothing_is_lost(cx.pool);
        if self.flags.contains(TcbFlags::LOSS_RECOVERY) {
            self.flags |= TcbFlags::SPURIOUS_TIMEOUT;
        }
        if self.flags.contains(TcbFlags::RECOVERY) {
            self.rack.saw_reordering();
        }
        let repaired = TcbFlags::RECOVERY
            | TcbFlags::LOSS_RECOVERY
            | TcbFlags::PARTIAL_ACKED
            | TcbFlags::RETRANSMIT
            | TcbFlags::FIN_LOST
            | TcbFlags::DOUBT
            | TcbFlags::CWR_DUE
            | TcbFlags::ECN_HOLD;
        self.flags.remove(repaired);
        self.frto = Frto::Off;
        self.dup_acks = 0;
        self.recover = self.snd_una;
        // RFC 4015 §3.2 step 7: no burst.
        let burst = acked.min(super::params::INITIAL_WINDOW_SEGMENTS * self.smss());
        let window = self.pipe().saturating_add(burst.max(self.smss()));
        self.congestion.undo(window);
        self.flags |= TcbFlags::OUTPUT;
    }
}
