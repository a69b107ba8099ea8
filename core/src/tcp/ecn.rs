//! Explicit congestion notification (RFC 3168): a congested router marks packets instead of
//! dropping them, the receiver echoes the mark, and the sender slows down without having lost
//! anything.
//!
//! | rule | here |
//! |---|---|
//! | §6.1.1 who asks, who agrees, when to stop asking | [`syn_flags`], [`agrees_in_listen`], [`Tcb::take_ecn_of_syn`] |
//! | §6.1.2 one reduction for each window; CWR on the next new data | [`Tcb::mark_echoed`], [`Tcb::window_reduced`] |
//! | §6.1.3 ECE until CWR | [`Tcb::take_ecn_of_data`] |
//! | §6.1.4 to §6.1.6 no ECT on SYN, ACK, retransmission, probe | `output`: only fresh data |
//!
//! A mark is answered by less of a reduction than a loss (RFC 8511), spread over a round trip by
//! proportional rate reduction (RFC 9937) as a loss is, and never taken back: a mark is no guess.
//! Losses within that round trip are repaired without a further reduction, and marks within a
//! recovery do not add to it. The window never falls below two segments: the retransmission timer
//! is not used to send still less (§6.1.2, last paragraphs), and a mark that comes then changes
//! nothing.
//!
//! A reset in answer to a SYN that asks is a refusal; the SYN is not sent again without asking
//! (§6.1.1.1, a MAY).

use super::congestion::CongestionControl;
use super::frto::Frto;
use super::prr::Prr;
use super::segment::Segment;
use super::seq::SeqNum;
use super::state::{Tcb, TcbFlags};
use crate::config::EcnMode;
use crate::context::Context;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::Flags;

/// How a connection tells its sender of marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnFeedback {
    /// Not at all: one side does not want ECN, and packets are not ECN-capable.
    #[default]
    None,
    /// ECE and CWR (RFC 3168): once for each round trip.
    Classic,
}

/// What the handshake agrees on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EcnAgreed {
    pub(super) feedback: EcnFeedback,
    /// We may send packets that are ECN-capable: no SYN has gone either way that said otherwise.
    pub(super) ect: bool,
}

/// SYNs that ask for ECN before one that does not: a middlebox may drop those that ask
/// (RFC 3168 §6.1.1.1).
pub(super) const ASKING_SYNS: u8 = 2;

/// ECE and CWR: an ECN-setup SYN (RFC 3168 §6.1.1).
const SETUP: Flags = Flags::ECE.union(Flags::CWR);

/// The flags that ask for ECN in a SYN that goes after `lost` others.
pub(super) fn syn_flags(mode: EcnMode, lost: u8) -> Flags {
    match mode {
        EcnMode::Active if lost < ASKING_SYNS => SETUP,
        EcnMode::Off | EcnMode::Passive | EcnMode::Active => Flags::empty(),
    }
}

/// Whether a SYN asks for ECN. One whose packet says that it is ECN-capable comes from a path or a
/// host that sets bits at random: a SYN never is (RFC 3168 §6.1.1).
fn asks(segment: &Segment) -> bool {
    segment.flags.contains(SETUP) && segment.ecn == Ecn::NotEct
}

/// What a listener agrees to when this SYN arrives.
pub(super) fn agrees_in_listen(mode: EcnMode, segment: &Segment) -> EcnAgreed {
    let wanted = mode != EcnMode::Off && asks(segment);
    EcnAgreed {
        feedback: if wanted {
            EcnFeedback::Classic
        } else {
            EcnFeedback::None
        },
        ect: wanted,
    }
}

impl EcnAgreed {
    /// The same SYN arrives again. A peer that has stopped asking may not know what was agreed: it
    /// gets its marks echoed, but our packets are not ECN-capable (RFC 3168 §6.1.1).
    pub(super) fn repeated(&mut self, segment: &Segment) {
        self.ect &= asks(segment);
    }

    /// The flags of a SYN-ACK.
    pub(super) fn syn_ack_flags(self) -> Flags {
        match self.feedback {
            EcnFeedback::Classic if self.ect => Flags::ECE,
            EcnFeedback::Classic | EcnFeedback::None => Flags::empty(),
        }
    }

    /// The same as flags of a control block.
    pub(super) fn tcb_flags(self) -> TcbFlags {
        let mut flags = TcbFlags::empty();
        flags.set(TcbFlags::ECN, self.feedback == EcnFeedback::Classic);
        flags.set(TcbFlags::ECT, self.ect);
        flags
    }
}

impl Tcb {
    /// What was agreed.
    pub(super) fn ecn_feedback(&self) -> EcnFeedback {
        if self.flags.contains(TcbFlags::ECN) {
            EcnFeedback::Classic
        } else {
            EcnFeedback::None
        }
    }

    /// Takes the peer's answer to our SYN, or its SYN that has crossed ours. An answer with both
    /// flags is our own SYN's, reflected by a host that knows nothing of them (RFC 3168 §6.1.1).
    pub(super) fn take_ecn_of_syn(
        &mut self,
        cx: &mut Context<'_>,
        mode: EcnMode,
        segment: &Segment,
    ) {
        let agreed = if segment.flags.contains(Flags::ACK) {
            segment.flags.intersection(SETUP) == Flags::ECE
        } else {
            asks(segment)
        };
        if mode == EcnMode::Active && agreed {
            cx.counters.tcp_ecn_agreed += 1;
            self.flags |= TcbFlags::ECN;
            // Not if one of our SYNs did not ask: the peer may have answered that one.
            self.flags.set(TcbFlags::ECT, self.retries < ASKING_SYNS);
        }
    }

    /// An acceptable segment has come: its mark is echoed until the peer says that it has slowed
    /// down (RFC 3168 §6.1.3). Only data counts, since nothing else may be ECN-capable.
    pub(super) fn take_ecn_of_data(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        if segment.len == 0 || !self.flags.contains(TcbFlags::ECN) {
            return;
        }
        if segment.flags.contains(Flags::CWR) {
            self.flags.remove(TcbFlags::ECN_ECHO);
            // The peer's window may hold just this segment.
            self.flags |= TcbFlags::ACK_NOW;
        }
        if segment.ecn == Ecn::Ce {
            cx.counters.tcp_ecn_marks_received += 1;
            if !self.flags.contains(TcbFlags::ECN_ECHO) {
                self.flags |= TcbFlags::ECN_ECHO | TcbFlags::ACK_NOW;
            }
        }
    }

    /// What a segment with data that was never sent says: that it is ECN-capable, and with CWR
    /// that the window was reduced (RFC 3168 §6.1.2).
    pub(super) fn ecn_of_fresh_data(&mut self, flags: &mut Flags) -> Ecn {
        if self.flags.contains(TcbFlags::CWR_DUE) {
            self.flags.remove(TcbFlags::CWR_DUE);
            *flags |= Flags::CWR;
        }
        if self.flags.contains(TcbFlags::ECT) {
            Ecn::Ect0
        } else {
            Ecn::NotEct
        }
    }

    /// The acknowledgement `ack`, which is not older than others that came, echoes a mark.
    pub(super) fn mark_echoed(&mut self, cx: &mut Context<'_>, ack: SeqNum) {
        if self.flags.contains(TcbFlags::ECN_HOLD) && !ack.after(self.cwr_end) {
            // What was marked was sent before the reduction. If that was for a loss which turns out
            // to be none, it still had a cause now.
            self.flags.remove(TcbFlags::DOUBT);
            self.frto = Frto::Off;
            return;
        }
        cx.counters.tcp_ecn_reductions += 1;
        let (flight, smss) = (self.flight(), self.smss());
        self.congestion.on_mark(flight, smss);
        self.window_reduced();
        if flight > 0 {
            self.prr = Prr::new(self.snd_nxt.since(self.snd_una));
            self.recovery_window = self.pipe();
            self.flags |= TcbFlags::CWR;
        }
    }

    /// The window was reduced, for whatever reason: marks of what was sent until now ask for
    /// nothing more, and the peer learns of it (RFC 3168 §6.1.2).
    pub(super) fn window_reduced(&mut self) {
        if self.flags.contains(TcbFlags::ECN) {
            self.flags |= TcbFlags::ECN_HOLD | TcbFlags::CWR_DUE;
            self.cwr_end = self.snd_max;
        }
    }

    /// SND.UNA may have moved, after a reduction: it counts up to `cwr_end`. Marks of that last
    /// byte are still held back, for CWR goes behind it.
    pub(super) fn ecn_acknowledged(&mut self) {
        if !self.snd_una.before(self.cwr_end) {
            self.flags.remove(TcbFlags::CWR);
        }
        if self.snd_una.after(self.cwr_end) {
            self.flags.remove(TcbFlags::ECN_HOLD);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::{TcpHeader, TcpOptions};

    fn syn(flags: Flags, ecn: Ecn) -> Segment {
        let mut header = TcpHeader::default();
        header.set_len_and_flags(20, flags | Flags::SYN);
        Segment::new(&header, &TcpOptions::default(), 0, ecn)
    }

    /// RFC 3168 §6.1.1.
    #[test]
    fn only_who_is_asked_and_willing_agrees() {
        let modes = [EcnMode::Off, EcnMode::Passive, EcnMode::Active];
        let agrees = |flags, ecn| modes.map(|mode| agrees_in_listen(mode, &syn(flags, ecn)).ect);
        assert_eq!(agrees(SETUP, Ecn::NotEct), [false, true, true]);
        // The nonce's bit, which is Accurate ECN's now, changes nothing.
        assert_eq!(agrees(SETUP | Flags::AE, Ecn::NotEct), [false, true, true]);
        for flags in [Flags::empty(), Flags::ECE, Flags::CWR, Flags::AE] {
            assert_eq!(agrees(flags, Ecn::NotEct), [false; 3], "{flags:?}");
        }
        for ecn in [Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
            assert_eq!(agrees(SETUP, ecn), [false; 3], "a SYN is never {ecn:?}");
        }
    }

    /// RFC 3168 §6.1.1.1.
    #[test]
    fn a_syn_asks_twice_and_only_if_that_is_wanted() {
        let asked = |mode| [0, 1, 2, 5].map(|lost| !syn_flags(mode, lost).is_empty());
        assert_eq!(asked(EcnMode::Active), [true, true, false, false]);
        assert_eq!(asked(EcnMode::Passive), [false; 4]);
        assert_eq!(asked(EcnMode::Off), [false; 4]);
        assert_eq!(syn_flags(EcnMode::Active, 0), Flags::ECE | Flags::CWR);
    }

    /// RFC 3168 §6.1.1: whoever has received a SYN that does not ask does not set ECT.
    #[test]
    fn a_repeated_syn_that_does_not_ask_any_more_leaves_only_the_echo() {
        let mut agreed = agrees_in_listen(EcnMode::Passive, &syn(SETUP, Ecn::NotEct));
        assert_eq!(agreed.syn_ack_flags(), Flags::ECE);
        agreed.repeated(&syn(SETUP, Ecn::NotEct));
        assert_eq!(agreed.tcb_flags(), TcbFlags::ECN | TcbFlags::ECT);
        agreed.repeated(&syn(Flags::empty(), Ecn::NotEct));
        assert_eq!(agreed.tcb_flags(), TcbFlags::ECN);
        assert_eq!(agreed.syn_ack_flags(), Flags::empty());
        agreed.repeated(&syn(SETUP, Ecn::NotEct));
        assert_eq!(agreed.tcb_flags(), TcbFlags::ECN, "never again");
        let mut none = agrees_in_listen(EcnMode::Passive, &syn(Flags::empty(), Ecn::NotEct));
        none.repeated(&syn(SETUP, Ecn::NotEct));
        assert_eq!(none.tcb_flags(), TcbFlags::empty());
    }
}
