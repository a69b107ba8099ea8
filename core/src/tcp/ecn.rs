//! Explicit congestion notification (RFC 3168, RFC 9768): a congested router marks packets instead of
//! dropping them, the receiver echoes the mark, and the sender slows down without having lost
//! anything (RFC 9293 §3.8.2 SHLD-8).
//!
//! | rule | here |
//! |---|---|
//! | §6.1.1, RFC 9768 §3.1: who asks, who agrees, when to stop asking | [`syn_flags`], [`agrees_in_listen`], [`Tcb::take_ecn_of_syn`] |
//! | §6.1.2 one reduction for each window; CWR on the next new data | [`Tcb::mark_echoed`], [`Tcb::window_reduced`] |
//! | §6.1.3 ECE until CWR | [`Tcb::take_ecn_of_data`] |
//! | §6.1.4 to §6.1.6 no ECT on SYN, ACK, retransmission, probe | `output`: only fresh data |
//!
//! What Accurate ECN does instead of ECE and CWR is `accecn`'s.
//!
//! A mark is answered by less of a reduction than a loss (RFC 8511), spread over a round trip by
//! proportional rate reduction (RFC 9937) as a loss is, and never taken back: a mark is no guess.
//! Losses within that round trip are repaired without a further reduction, and marks within a
//! recovery do not add to it. What echoes a mark does not open the window. No mark makes it smaller
//! than two segments, and the retransmission timer is not used to send still less (§6.1.2, last
//! paragraphs): a mark that comes then changes nothing.
//!
//! A reset in answer to a SYN that asks is a refusal; the SYN is not sent again without asking
//! (§6.1.1.1, a MAY).

use super::accecn::{self, ACE, AccEcn};
use super::congestion::CongestionControl;
use super::frto::Frto;
use super::prr::Prr;
use super::segment::Segment;
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{State, Tcb, TcbFlags};
use crate::config::EcnMode;
use crate::context::Context;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::{AccEcnOption, Flags};

/// How a connection tells its sender of marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnFeedback {
    /// Not at all: one side does not want ECN, and packets are not ECN-capable.
    #[default]
    None,
    /// ECE and CWR (RFC 3168): once for each round trip.
    Classic,
    /// A counter in every segment (RFC 9768).
    Accurate,
}

/// What the handshake agrees on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EcnAgreed {
    pub(super) feedback: EcnFeedback,
    /// We may send packets that are ECN-capable: no SYN has gone either way that said otherwise.
    pub(super) ect: bool,
    /// The ECN field of the last SYN, which Accurate ECN reflects.
    syn: Ecn,
    /// SYN-ACKs sent.
    answers: u8,
}

/// SYNs that ask for ECN before one that does not, and SYN-ACKs that agree to Accurate ECN before
/// one that does not: a middlebox may drop those (RFC 3168 §6.1.1.1, RFC 9768 §3.1.4.1 and
/// §3.2.3.2.2).
pub(super) const TRIES: u8 = 2;

/// ECE and CWR: an ECN-setup SYN (RFC 3168 §6.1.1).
const SETUP: Flags = Flags::ECE.union(Flags::CWR);

/// The flags that ask for ECN in a SYN that goes after `lost` others.
pub(super) fn syn_flags(mode: EcnMode, lost: u8) -> Flags {
    if lost >= TRIES {
        return Flags::empty();
    }
    match mode {
        EcnMode::Off | EcnMode::Passive => Flags::empty(),
        EcnMode::Active => SETUP,
        EcnMode::Accurate => ACE,
    }
}

/// What a SYN asks for, as far as it is spoken here: the left side of RFC 9768 table 2. Flags that
/// mean nothing yet ask for Accurate ECN (§3.1.3).
///
/// One that asks for classic ECN and whose packet says that it is ECN-capable comes from a path or a
/// host that sets bits at random: such a SYN never is (RFC 3168 §6.1.1). Accurate ECN reflects what
/// came.
fn asked(mode: EcnMode, segment: &Segment) -> EcnFeedback {
    let flags = segment.flags.intersection(ACE);
    let classic = match mode {
        EcnMode::Off => false,
        EcnMode::Passive | EcnMode::Active => flags.contains(SETUP),
        EcnMode::Accurate if !flags.is_empty() && flags != SETUP => return EcnFeedback::Accurate,
        EcnMode::Accurate => flags == SETUP,
    };
    if classic && segment.ecn == Ecn::NotEct {
        EcnFeedback::Classic
    } else {
        EcnFeedback::None
    }
}

/// What a SYN-ACK agrees to: the right side of RFC 9768 table 2. All flags, or both of classic ECN,
/// are our own, reflected by a host that knows nothing of them (RFC 3168 §6.1.1). AE and ECE
/// alone mean nothing yet, which is Accurate ECN (RFC 9768 §3.1.3).
fn agreed(mode: EcnMode, flags: Flags) -> EcnFeedback {
    match mode {
        EcnMode::Off | EcnMode::Passive => EcnFeedback::None,
        EcnMode::Active if flags.intersection(SETUP) == Flags::ECE => EcnFeedback::Classic,
        EcnMode::Active => EcnFeedback::None,
        EcnMode::Accurate => match flags.intersection(ACE) {
            Flags::ECE => EcnFeedback::Classic,
            flags if flags.is_empty() || flags == ACE => EcnFeedback::None,
            _ => EcnFeedback::Accurate,
        },
    }
}

/// What a listener agrees to when this SYN arrives.
pub(super) fn agrees_in_listen(mode: EcnMode, segment: &Segment) -> EcnAgreed {
    let feedback = asked(mode, segment);
    EcnAgreed {
        feedback,
        ect: feedback != EcnFeedback::None,
        syn: segment.ecn,
        answers: 0,
    }
}

/// Whether a listener that answers this SYN with a cookie agrees to classic ECN: for Accurate ECN a
/// cookie has no room, so the SYN is read as by a host that does not know it. Flags that mean
/// nothing yet ask for nothing then.
pub(super) fn agrees_in_cookie(mode: EcnMode, segment: &Segment) -> bool {
    let mode = match mode {
        EcnMode::Off => EcnMode::Off,
        EcnMode::Passive | EcnMode::Active | EcnMode::Accurate => EcnMode::Passive,
    };
    asked(mode, segment) == EcnFeedback::Classic
}

impl EcnAgreed {
    /// Classic ECN, which both sides use.
    pub(super) fn classic() -> Self {
        Self {
            feedback: EcnFeedback::Classic,
            ect: true,
            ..Self::default()
        }
    }

    /// The same SYN arrives again. A peer that has stopped asking may not know what was agreed: it
    /// gets its marks echoed, but our packets are not ECN-capable (RFC 3168 §6.1.1, RFC 9768
    /// §3.1.5). `false`: it asks for the other kind now, and nobody could know any more what was
    /// agreed: the connection must be reset.
    #[must_use]
    pub(super) fn repeated(&mut self, mode: EcnMode, segment: &Segment) -> bool {
        self.syn = segment.ecn;
        match asked(mode, segment) {
            EcnFeedback::None => self.ect = false,
            asked => return self.feedback == asked || self.feedback == EcnFeedback::None,
        }
        true
    }

    /// The flags and the option of a SYN-ACK that goes now, after `lost` that the peer did not
    /// answer in time.
    pub(super) fn answer(&mut self, lost: u8) -> (Flags, Option<AccEcnOption>) {
        let first = self.answers == 0;
        self.answers = self.answers.saturating_add(1);
        match self.feedback {
            EcnFeedback::Classic if self.ect => (Flags::ECE, None),
            EcnFeedback::Accurate if lost < TRIES => {
                let option = first.then(accecn::initial_option);
                (accecn::handshake_ace(self.syn), option)
            }
            EcnFeedback::Accurate => {
                self.ect = false;
                (Flags::empty(), None)
            }
            EcnFeedback::Classic | EcnFeedback::None => (Flags::empty(), None),
        }
    }

    /// The flags of another segment: with Accurate ECN, that no mark has come (RFC 9768 §3.2.1).
    pub(super) fn unmarked(self) -> Flags {
        if self.feedback == EcnFeedback::Accurate {
            accecn::ace(accecn::INITIAL_CEP)
        } else {
            Flags::empty()
        }
    }

    /// The same as flags of a control block.
    pub(super) fn tcb_flags(self) -> TcbFlags {
        let mut flags = match self.feedback {
            EcnFeedback::None => TcbFlags::empty(),
            EcnFeedback::Classic => TcbFlags::ECN,
            EcnFeedback::Accurate => TcbFlags::ACCECN | TcbFlags::ACE_FIRST,
        };
        flags.set(TcbFlags::ECT, self.ect);
        flags
    }
}

impl Tcb {
    /// What was agreed.
    pub(super) fn ecn_feedback(&self) -> EcnFeedback {
        if self.flags.contains(TcbFlags::ACCECN) {
            EcnFeedback::Accurate
        } else if self.flags.contains(TcbFlags::ECN) {
            EcnFeedback::Classic
        } else {
            EcnFeedback::None
        }
    }

    /// The flags of our SYN or, when SYNs have crossed, SYN-ACK.
    pub(super) fn ecn_of_syn(&self, shared: &Shared, cx: &mut Context<'_>) -> Flags {
        let mode = shared.params.ecn;
        if self.state == State::SynReceived {
            return match self.ecn_feedback() {
                EcnFeedback::None => Flags::empty(),
                EcnFeedback::Classic => Flags::ECE,
                EcnFeedback::Accurate => {
                    let counters = shared.accecn.get(self.accecn);
                    accecn::handshake_ace(counters.map_or(Ecn::NotEct, |it| it.syn_ack))
                }
            };
        }
        if self.retries >= TRIES && !syn_flags(mode, 0).is_empty() {
            cx.counters.tcp_ecn_fallbacks += 1;
        }
        syn_flags(mode, self.retries)
    }

    /// The handshake has agreed on what the flags say.
    pub(super) fn opened_with_ecn(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        let feedback = self.ecn_feedback();
        cx.counters.tcp_ecn_agreed += u64::from(feedback != EcnFeedback::None);
        if feedback == EcnFeedback::Accurate {
            cx.counters.tcp_ecn_accurate += 1;
            // There are as many places as connections.
            self.accecn = shared.accecn.insert(AccEcn::new()).unwrap_or(u32::MAX);
        }
    }

    /// Takes the peer's answer to our SYN, or its SYN that has crossed ours.
    pub(super) fn take_ecn_of_syn(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) {
        let mode = shared.params.ecn;
        let answers = segment.flags.contains(Flags::ACK);
        let feedback = if syn_flags(mode, 0).is_empty() {
            EcnFeedback::None
        } else if answers {
            agreed(mode, segment.flags)
        } else {
            asked(mode, segment)
        };
        match feedback {
            EcnFeedback::None => return,
            EcnFeedback::Classic => {
                self.flags |= TcbFlags::ECN;
                // Not if one of our SYNs did not ask: the peer may have answered that one.
                self.flags.set(TcbFlags::ECT, self.retries < TRIES);
            }
            EcnFeedback::Accurate => {
                self.flags |= TcbFlags::ACCECN | TcbFlags::ECT;
                self.flags.set(TcbFlags::ACE_FIRST, !answers);
            }
        }
        self.opened_with_ecn(shared, cx);
        if let Some(counters) = shared.accecn.get_mut(self.accecn) {
            counters.peer_agrees(segment);
        }
    }

    /// The peer's SYN-ACK after SYNs that have crossed: what its flags are replaced by, since they
    /// tell nothing of marks.
    pub(super) fn unchanged_echo(&self, shared: &Shared) -> Flags {
        let counters = shared.accecn.get(self.accecn);
        counters.map_or(Flags::empty(), AccEcn::unchanged_ace)
    }

    /// An acknowledgement that is not older than others may tell of marks.
    pub(super) fn take_echo(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) {
        if self.flags.contains(TcbFlags::ACCECN) {
            self.take_accurate_echo(shared, cx, segment);
        } else if segment.flags.contains(Flags::ECE) {
            self.mark_echoed(cx, segment.ack);
        }
    }

    /// The flags of a segment that goes now, of a connection that has something to say of marks.
    pub(super) fn ecn_flags(&mut self, shared: &mut Shared) -> Flags {
        if self.flags.contains(TcbFlags::ACCECN) {
            self.accurate_flags(shared)
        } else {
            Flags::ECE
        }
    }

    /// An acceptable segment has come: its mark is echoed until the peer says that it has slowed
    /// down (RFC 3168 §6.1.3). Only data counts, since nothing else may be ECN-capable.
    pub(super) fn take_ecn_of_data(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) {
        if self.flags.contains(TcbFlags::ACCECN) {
            return self.count_mark(shared, cx, segment);
        }
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
        let (load, smss) = (self.load(), self.smss());
        self.congestion.on_mark(load, smss);
        self.window_reduced();
        if self.flight() > 0 {
            self.prr = Prr::new(self.snd_nxt.since(self.snd_una));
            self.recovery_window = self.pipe();
            self.flags |= TcbFlags::CWR;
        }
    }

    /// The window was reduced, for whatever reason: marks of what was sent until now ask for
    /// nothing more, and the peer learns of it (RFC 3168 §6.1.2).
    pub(super) fn window_reduced(&mut self) {
        if self.flags.intersects(TcbFlags::ECN | TcbFlags::ACCECN) {
            self.flags |= TcbFlags::ECN_HOLD;
            // Accurate ECN has no CWR (RFC 9768 §3.1.5).
            let due = self.flags.contains(TcbFlags::ECN);
            self.flags.set(TcbFlags::CWR_DUE, due);
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
    use crate::tcp::testing::{Bench, SMSS};
    use crate::wire::tcp::{TcpHeader, TcpOptions};

    fn syn(flags: Flags, ecn: Ecn) -> Segment {
        let mut header = TcpHeader::default();
        header.set_len_and_flags(20, flags | Flags::SYN);
        Segment::new(&header, &TcpOptions::default(), 0, ecn)
    }

    const MODES: [EcnMode; 4] = [
        EcnMode::Off,
        EcnMode::Passive,
        EcnMode::Active,
        EcnMode::Accurate,
    ];
    use EcnFeedback::{Accurate, Classic, None as Nothing};

    /// RFC 9438 §4.6: the acknowledgements of a batch have emptied the network before the one that
    /// echoes a mark is looked at. RFC 8511 §3.1: to 4/5 with NewReno.
    #[test]
    fn a_mark_at_the_end_of_a_batch_reduces_the_window_not_what_is_left_in_flight() {
        for (limited, of) in [(true, 10), (false, 3)] {
            let mut bench = Bench::new();
            bench.open_window(10);
            bench.tcb.flags |= TcbFlags::ECN;
            bench.tcb.flags.set(TcbFlags::CWND_LIMITED, limited);
            bench.tcb.snd_nxt = bench.tcb.snd_una + 3 * u32::from(SMSS);
            bench.tcb.snd_max = bench.tcb.snd_nxt;
            let ack = bench.tcb.snd_una;
            bench.with(|tcb, _, cx| tcb.mark_echoed(cx, ack));
            let expected = of * u32::from(SMSS) * 4 / 5;
            assert_eq!(bench.tcb.congestion.ssthresh(), expected, "{limited}");
        }
    }

    /// RFC 3168 §6.1.1, RFC 9768 table 2 and §3.1.3.
    #[test]
    fn a_listener_agrees_to_what_it_is_asked_for_and_willing_to_do() {
        let agrees =
            |flags, ecn| MODES.map(|mode| agrees_in_listen(mode, &syn(flags, ecn)).feedback);
        let classic = [Nothing, Classic, Classic, Classic];
        assert_eq!(agrees(SETUP, Ecn::NotEct), classic);
        // The nonce's bit, which is Accurate ECN's now, changes nothing for the others.
        let accurate = [Nothing, Classic, Classic, Accurate];
        assert_eq!(agrees(ACE, Ecn::NotEct), accurate);
        assert_eq!(agrees(Flags::empty(), Ecn::NotEct), [Nothing; 4]);
        for (flags, reserved) in [
            (Flags::ECE, Nothing),
            (Flags::CWR, Nothing),
            (Flags::AE, Nothing),
            (Flags::AE | Flags::ECE, Nothing),
            (Flags::AE | Flags::CWR, Nothing),
        ] {
            let wanted = [Nothing, reserved, reserved, Accurate];
            assert_eq!(agrees(flags, Ecn::NotEct), wanted, "{flags:?}");
        }
        for ecn in [Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
            assert_eq!(agrees(SETUP, ecn), [Nothing; 4], "a SYN is never {ecn:?}");
            assert_eq!(agrees(ACE, ecn), [Nothing, Nothing, Nothing, Accurate]);
        }
    }

    /// RFC 3168 §6.1.1, RFC 9768 table 2 and §3.1.3.
    #[test]
    fn an_answer_is_taken_for_what_was_asked() {
        let answered = |mode| [0, 1, 2, 3, 4, 5, 6, 7].map(|n| agreed(mode, accecn::ace(n)));
        assert_eq!(answered(EcnMode::Off), [Nothing; 8]);
        assert_eq!(answered(EcnMode::Passive), [Nothing; 8]);
        let (n, c, a) = (Nothing, Classic, Accurate);
        assert_eq!(answered(EcnMode::Active), [n, c, n, n, n, c, n, n]);
        assert_eq!(answered(EcnMode::Accurate), [n, c, a, a, a, a, a, n]);
    }

    /// RFC 3168 §6.1.1.1, RFC 9768 §3.1.4.1.
    #[test]
    fn a_syn_asks_twice_and_only_if_that_is_wanted() {
        let flags = |mode| [0, 1, 2, 5].map(|lost| syn_flags(mode, lost));
        let none = Flags::empty();
        assert_eq!(flags(EcnMode::Off), [none; 4]);
        assert_eq!(flags(EcnMode::Passive), [none; 4]);
        assert_eq!(flags(EcnMode::Active), [SETUP, SETUP, none, none]);
        assert_eq!(flags(EcnMode::Accurate), [ACE, ACE, none, none]);
    }

    /// RFC 3168 §6.1.1: whoever has received a SYN that does not ask does not set ECT.
    #[test]
    fn a_repeated_syn_that_does_not_ask_any_more_leaves_only_the_echo() {
        let mode = EcnMode::Passive;
        let mut agreed = agrees_in_listen(mode, &syn(SETUP, Ecn::NotEct));
        assert_eq!(agreed.answer(0), (Flags::ECE, None));
        assert!(agreed.repeated(mode, &syn(SETUP, Ecn::NotEct)));
        assert_eq!(agreed.tcb_flags(), TcbFlags::ECN | TcbFlags::ECT);
        assert!(agreed.repeated(mode, &syn(Flags::empty(), Ecn::NotEct)));
        assert_eq!(agreed.tcb_flags(), TcbFlags::ECN);
        assert_eq!(agreed.answer(0), (Flags::empty(), None));
        assert!(agreed.repeated(mode, &syn(SETUP, Ecn::NotEct)));
        assert_eq!(agreed.tcb_flags(), TcbFlags::ECN, "never again");
        let mut none = agrees_in_listen(mode, &syn(Flags::empty(), Ecn::NotEct));
        assert!(none.repeated(mode, &syn(SETUP, Ecn::NotEct)));
        assert_eq!(none.tcb_flags(), TcbFlags::empty());
    }

    /// RFC 9768 §3.1.5 and §3.2.3.2.2.
    #[test]
    fn answers_that_agree_to_accurate_ecn_reflect_the_last_syn_and_end_after_two_lost() {
        let mode = EcnMode::Accurate;
        let mut agreed = agrees_in_listen(mode, &syn(ACE, Ecn::Ect0));
        let option = accecn::initial_option();
        assert_eq!(agreed.answer(0), (Flags::AE, Some(option)));
        assert!(agreed.repeated(mode, &syn(ACE, Ecn::Ce)));
        assert_eq!(agreed.answer(0), (Flags::AE | Flags::CWR, None));
        assert_eq!(agreed.answer(1), (Flags::AE | Flags::CWR, None));
        assert!(
            agreed
                .tcb_flags()
                .contains(TcbFlags::ACCECN | TcbFlags::ECT)
        );
        assert_eq!(agreed.answer(2), (Flags::empty(), None));
        assert!(agreed.tcb_flags().contains(TcbFlags::ACCECN));
        assert!(!agreed.tcb_flags().contains(TcbFlags::ECT));
    }

    /// RFC 9768 §3.1.5.
    #[test]
    fn a_peer_that_asks_for_one_kind_and_then_for_the_other_is_found_out() {
        let mode = EcnMode::Accurate;
        let mut agreed = agrees_in_listen(mode, &syn(ACE, Ecn::NotEct));
        assert!(agreed.repeated(mode, &syn(Flags::empty(), Ecn::NotEct)));
        assert!(!agreed.repeated(mode, &syn(SETUP, Ecn::NotEct)));
        let mut agreed = agrees_in_listen(mode, &syn(SETUP, Ecn::NotEct));
        assert!(!agreed.repeated(mode, &syn(ACE, Ecn::NotEct)));
        // Who does not know the difference sees none.
        let mode = EcnMode::Passive;
        let mut agreed = agrees_in_listen(mode, &syn(ACE, Ecn::NotEct));
        assert!(agreed.repeated(mode, &syn(SETUP, Ecn::NotEct)));
    }
}
