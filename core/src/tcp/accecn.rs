//! Accurate ECN (RFC 9768): each segment tells how many marks have come, not only that one has.
//!
//! | rule | here |
//! |---|---|
//! | §3.1.1 to §3.1.5 the handshake | `ecn` |
//! | §3.2.2.1 the ACK of the SYN-ACK | [`handshake_ace`], [`Tcb::take_handshake_ace`] |
//! | §3.2.2.2, §3.2.2.5.2, appendix A.2 the ACE field | [`Tcb::take_accurate_echo`], [`marked_packets`] |
//! | §3.2.2.3, §3.2.2.4, §3.2.3.2.4 mangled and zeroed fields | the same |
//! | §3.2.2.5.1 when to send an ACK | [`Tcb::count_mark`] |
//! | §3.2.3.3 when to send the option | [`AccEcn::option`] |
//!
//! A batch of received frames is one event: a change of marks in it, or several of them, are told by
//! one ACK at its end, as §3.2.2.5.1 allows for the sake of speed. The option's count of bytes
//! makes up for a field that wraps within a batch.
//!
//! What is answered to marks is the same as with classic ECN: one reduction in a round trip,
//! however many marks. Accurate ECN is only feedback; a congestion control that needs it (L4S) is
//! not built. CWR is not sent, and SYN, pure ACKs and retransmissions are not ECN-capable.
//!
//! Left out, as the RFC allows: remembering peers whose path drops the option or the SYN (§3.1.4.1),
//! finding out that ACKs with the option get lost (§3.2.3.2.2), looking for continuous marks
//! (§3.2.2.3), and the field in segments from TIME-WAIT, where the peer has nothing to send.

use super::segment::Segment;
use super::seq::SeqNum;
use super::shared::Shared;
use super::slab::Slab;
use super::state::{Tcb, TcbFlags};
use crate::config::EcnMode;
use crate::context::Context;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::{AccEcnOption, Flags};
use bitflags::bitflags;

/// AE, CWR and ECE: the ACE field.
pub(super) const ACE: Flags = Flags::AE.union(Flags::CWR).union(Flags::ECE);
/// What r.cep and s.cep start with (§3.2.1).
pub(super) const INITIAL_CEP: u8 = 5;
/// The byte counters' bits on the wire.
const COUNTER: u32 = 0xff_ffff;
/// Segments that one ACK acknowledges on average, in eighths, from which on a jump is no sign of
/// lost ACKs: the peer acknowledges whole batches, or the path thins its ACKs out.
const MANY: u8 = 8 * 8;
/// Marks after which an ACK is sent, with and without data to acknowledge (§3.2.2.5.1).
const MARKS_WITH_DATA: u8 = 2;
const MARKS_WITHOUT_DATA: u8 = 3;
/// ACKs, and with them the first data, of a client that carry the option to test the path
/// (§3.2.3.2.1).
const TESTS: u8 = 2;
/// Option bytes that two SACK blocks need: they come first (§3.2.3.3).
pub(super) const SACK_FIRST: usize = 20;

bitflags! {
    /// What is known of the peer and of the path.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Known: u8 {
        /// The first ACE field of the peer's was seen.
        const COUNTED = 1 << 0;
        /// The first option of the peer's was seen.
        const OPTION = 1 << 1;
        /// It was zeroed on the way: options are ignored.
        const NO_OPTION = 1 << 2;
        /// The field was zero: marks are not believed.
        const DEAF = 1 << 3;
        /// s.cep has moved since the last option that counted marked bytes.
        const MOVED = 1 << 4;
        /// The last packet that came was marked.
        const MARKED = 1 << 5;
    }

    /// Byte counters.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Counters: u8 {
        const ECT0 = 1 << 0;
        const CE = 1 << 1;
        const ECT1 = 1 << 2;
    }
}

/// A connection's counters (§3.2). The packet counters wrap at 256 where only their low three bits
/// go on the wire, and the byte counters where only their low 24 bits do.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccEcn {
    r_ceb: u32,
    r_e0b: u32,
    r_e1b: u32,
    s_ceb: u32,
    r_cep: u8,
    s_cep: u8,
    /// Marks since the last segment that we sent.
    unsent_marks: u8,
    /// Counters that have ever changed, and that have since the last option.
    changed: Counters,
    news: Counters,
    /// Segments that an ACK acknowledges on average, in eighths.
    acked: u8,
    /// Options that are still due to test the path.
    tests: u8,
    known: Known,
    /// The ECN field of the SYN-ACK, for the ACK of it.
    pub(super) syn_ack: Ecn,
}

/// A place for the counters of each connection that may use them.
pub(super) fn counters(mode: EcnMode, connections: usize) -> Slab<AccEcn> {
    Slab::new(if mode == EcnMode::Accurate {
        connections
    } else {
        0
    })
}

/// The low three bits of a counter as flags.
pub(super) fn ace(counter: u8) -> Flags {
    let bits = u16::from(counter & 7) * Flags::ECE.bits();
    Flags::from_bits_truncate(bits)
}

/// The flags as a number.
#[allow(clippy::cast_possible_truncation, reason = "three bits")]
fn number(flags: Flags) -> u8 {
    (flags.intersection(ACE).bits() / Flags::ECE.bits()) as u8
}

/// How a SYN-ACK tells the ECN field of the SYN, and the ACK of it that of the SYN-ACK (tables 2
/// and 3).
pub(super) fn handshake_ace(ecn: Ecn) -> Flags {
    ace(match ecn {
        Ecn::NotEct => 0b010,
        Ecn::Ect1 => 0b011,
        Ecn::Ect0 => 0b100,
        Ecn::Ce => 0b110,
    })
}

/// What such flags tell; `None` for values that are not in use (table 4).
pub(super) fn handshake_ecn(flags: Flags) -> Option<Ecn> {
    match number(flags) {
        0b010 => Some(Ecn::NotEct),
        0b011 => Some(Ecn::Ect1),
        0b100 => Some(Ecn::Ect0),
        0b110 => Some(Ecn::Ce),
        _ => None,
    }
}

/// The option before anything has come: a test of the path (§3.2.3.2.1).
pub(super) fn initial_option() -> AccEcnOption {
    AccEcnOption {
        ect1_first: false,
        count: 3,
        fields: [1, 0, 1],
    }
}

/// How many of `packets` segments, which an ACK acknowledges, were marked (§3.2.2.5.2, appendix
/// A.2), if the field has moved on by `delta` and the option's count of marked bytes by `bytes`.
/// `smss`: of a full segment. `usual`: an ACK usually acknowledges so many.
fn marked_packets(delta: u8, packets: u32, bytes: Option<u32>, smss: u32, usual: bool) -> u32 {
    let delta = u32::from(delta);
    if packets < 8 {
        return delta;
    }
    // The most that leave the field as it is.
    let safest = packets - (packets.wrapping_sub(delta) & 7);
    match bytes {
        Some(bytes) if bytes > delta * smss => safest,
        Some(_) => delta,
        None if usual => delta,
        None => safest,
    }
}

impl AccEcn {
    pub(super) fn new() -> Self {
        Self {
            r_ceb: 0,
            r_e0b: 1,
            r_e1b: 1,
            s_ceb: 0,
            r_cep: INITIAL_CEP,
            s_cep: INITIAL_CEP,
            unsent_marks: 0,
            changed: Counters::empty(),
            news: Counters::empty(),
            acked: 0,
            tests: 0,
            known: Known::empty(),
            syn_ack: Ecn::NotEct,
        }
    }

    /// The SYN-ACK has come, or the SYN that has crossed ours, of which neither option nor mark
    /// counts.
    pub(super) fn peer_agrees(&mut self, segment: &Segment) {
        self.tests = TESTS;
        self.syn_ack = segment.ecn;
        if !segment.flags.contains(Flags::ACK) {
            return;
        }
        if segment.ecn == Ecn::Ce {
            // Once, however many SYN-ACKs are marked.
            self.r_cep = INITIAL_CEP + 1;
        }
        if let Some(option) = &segment.accecn {
            self.look_at_option(option);
        }
    }

    /// The ACE field of a segment that goes now.
    pub(super) fn next_ace(&mut self) -> Flags {
        self.unsent_marks = 0;
        ace(self.r_cep)
    }

    /// The field that means no change, for a segment that has none.
    pub(super) fn unchanged_ace(&self) -> Flags {
        ace(self.s_cep)
    }

    /// Counts what has come with `len` bytes of payload.
    fn count(&mut self, ecn: Ecn, len: u32) {
        if len == 0 {
            return;
        }
        let (counter, which) = match ecn {
            Ecn::NotEct => return,
            Ecn::Ect0 => (&mut self.r_e0b, Counters::ECT0),
            Ecn::Ect1 => (&mut self.r_e1b, Counters::ECT1),
            Ecn::Ce => (&mut self.r_ceb, Counters::CE),
        };
        *counter = counter.wrapping_add(len) & COUNTER;
        self.changed |= which;
        self.news |= which;
    }

    /// The option for a segment with `room` bytes for it: a field for every counter that has ever
    /// changed, if one has changed since the last option and there is room; or else at least those
    /// that have changed since (§3.2.3.3).
    pub(super) fn option(&mut self, room: usize) -> Option<AccEcnOption> {
        let test = self.tests > 0;
        if self.news.is_empty() && !test {
            return None;
        }
        let ect1_first = !test
            && !self.changed.contains(Counters::ECT0)
            && self.changed.contains(Counters::ECT1);
        let order = if ect1_first {
            [Counters::ECT1, Counters::CE, Counters::ECT0]
        } else {
            [Counters::ECT0, Counters::CE, Counters::ECT1]
        };
        let up_to = |counters: Counters| {
            order
                .iter()
                .rposition(|counter| counters.contains(*counter))
                .map_or(0, |last| last + 1)
        };
        let wanted = if test { 3 } else { up_to(self.changed) };
        let count = [wanted, up_to(self.news)]
            .into_iter()
            .find(|count| AccEcnOption::aligned_len(*count) <= room)?;
        self.news = Counters::empty();
        self.tests = self.tests.saturating_sub(1);
        let mut option = AccEcnOption {
            ect1_first,
            count: u8::try_from(count).unwrap_or(0),
            ..AccEcnOption::default()
        };
        for (field, counter) in option.fields.iter_mut().zip(order).take(count) {
            *field = match counter {
                Counters::ECT0 => self.r_e0b,
                Counters::CE => self.r_ceb,
                _ => self.r_e1b,
            };
        }
        Some(option)
    }

    /// Takes the peer's option: by how much its count of marked bytes has grown; `None` if options
    /// are not to be relied on.
    fn look_at_option(&mut self, option: &AccEcnOption) -> Option<u32> {
        if !self.known.contains(Known::OPTION) {
            self.known |= Known::OPTION;
            // Neither count starts at zero, so somebody has wiped them (§3.2.3.2.4).
            let zeroed = option.ect0() == Some(0) || option.ect1() == Some(0);
            self.known.set(Known::NO_OPTION, zeroed);
        }
        if self.known.contains(Known::NO_OPTION) {
            return None;
        }
        let Some(ceb) = option.ce() else {
            // A counter that has changed is never left out.
            return Some(0);
        };
        let grown = ceb.wrapping_sub(self.s_ceb) & COUNTER;
        if grown > COUNTER / 2 {
            // An older segment's.
            return Some(0);
        }
        self.s_ceb = ceb;
        Some(grown)
    }

    /// An ACK acknowledges `packets` segments.
    fn note_acked(&mut self, packets: u32) {
        let packets = u8::try_from(packets.min(31)).unwrap_or(31);
        let old = self.acked - self.acked / 8;
        self.acked = old.saturating_add(packets);
    }
}

impl Tcb {
    /// An acceptable segment has come: counts it, and sees to it that the peer hears of marks soon
    /// (§3.2.2.5.1).
    #[cold]
    pub(super) fn count_mark(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) {
        let Some(counters) = shared.accecn.get_mut(self.accecn) else {
            return;
        };
        let marked = segment.ecn == Ecn::Ce;
        counters.count(segment.ecn, segment.len);
        let first = marked && !counters.known.contains(Known::MARKED);
        counters.known.set(Known::MARKED, marked);
        if !marked {
            return;
        }
        cx.counters.tcp_ecn_marks_received += 1;
        counters.r_cep = counters.r_cep.wrapping_add(1);
        counters.unsent_marks = counters.unsent_marks.saturating_add(1);
        let most = if segment.len > 0 || self.rcv_nxt != self.last_ack_sent {
            MARKS_WITH_DATA
        } else {
            MARKS_WITHOUT_DATA
        };
        if (first && segment.len > 0) || counters.unsent_marks >= most {
            self.flags |= TcbFlags::ACK_NOW | TcbFlags::OUTPUT;
        }
    }

    /// The SYN-ACK tells in `flags` what became of our SYN's ECN field, which said that it is not ECN-capable. A value that is not in use means unchanged
    /// (§3.1.3).
    pub(super) fn take_syn_ace(&mut self, cx: &mut Context<'_>, flags: Flags) {
        self.flags |= TcbFlags::ACE_ECHO;
        self.take_reflected(cx, handshake_ecn(flags).unwrap_or_default());
    }

    /// What became of the ECN field of our SYN or SYN-ACK. Any change is somebody's mistake
    /// (§3.2.2.3); a mark still asks for an answer.
    fn take_reflected(&mut self, cx: &mut Context<'_>, ecn: Ecn) {
        if ecn != Ecn::NotEct {
            self.stop_ect(cx);
        }
        if ecn == Ecn::Ce {
            self.mark_echoed(cx, self.snd_una);
        }
    }

    /// Our packets are not ECN-capable any more: the path or the peer does not handle marks right.
    fn stop_ect(&mut self, cx: &mut Context<'_>) {
        if self.flags.contains(TcbFlags::ECT) {
            self.flags.remove(TcbFlags::ECT);
            cx.counters.tcp_ecn_stopped += 1;
        }
    }

    /// The first segment that a listener's connection gets, if it is a pure ACK (§3.2.2.1,
    /// table 4).
    fn take_handshake_ace(&mut self, counters: &mut AccEcn, cx: &mut Context<'_>, flags: Flags) {
        if number(flags) == 0 {
            // Note 1: the peer does not count.
            counters.known |= Known::DEAF;
            self.stop_ect(cx);
            return;
        }
        let ecn = handshake_ecn(flags).unwrap_or_default();
        if ecn == Ecn::Ce {
            counters.s_cep = INITIAL_CEP + 1;
        }
        self.take_reflected(cx, ecn);
    }

    /// An acknowledgement that no other one has overtaken (appendix A.1).
    #[cold]
    pub(super) fn take_accurate_echo(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) {
        let Some(counters) = shared.accecn.get_mut(self.accecn) else {
            return;
        };
        let option = segment.accecn.as_ref();
        let bytes = option.and_then(|option| counters.look_at_option(option));
        if self.flags.contains(TcbFlags::ACE_FIRST) {
            self.flags.remove(TcbFlags::ACE_FIRST);
            if segment.seq_len() == 0 && segment.sack_blocks().is_empty() {
                return self.take_handshake_ace(counters, cx, segment.flags);
            }
        }
        let ace = number(segment.flags);
        if !counters.known.contains(Known::COUNTED) {
            counters.known |= Known::COUNTED;
            if ace == 0 {
                // §3.2.2.4: somebody wipes the field.
                counters.known |= Known::DEAF;
                self.stop_ect(cx);
                return;
            }
        }
        let delta = ace.wrapping_sub(counters.s_cep) & 7;
        counters.s_cep = counters.s_cep.wrapping_add(delta);
        let smss = u32::from(self.smss);
        let acked = segment.ack.since(self.snd_una);
        let packets = acked
            .saturating_sub(self.send.board.sacked_out)
            .div_ceil(smss);
        if packets > 0 {
            counters.note_acked(packets);
        }
        // Where options come, the next one makes up for what the field does not say.
        let usual = counters.acked >= MANY
            || (counters.known & (Known::OPTION | Known::NO_OPTION)) == Known::OPTION;
        let mut marked = marked_packets(delta, packets, bytes, smss, usual);
        if let Some(bytes) = bytes {
            let moved = delta > 0 || counters.known.contains(Known::MOVED);
            counters.known.remove(Known::MOVED);
            if bytes > 0 && !moved {
                if packets < 8 {
                    // §3.2.3.2.5: one of the two was changed on the way.
                    self.stop_ect(cx);
                }
                marked = marked.max(1);
            }
        } else if delta > 0 {
            counters.known |= Known::MOVED;
        }
        if marked > 0 && !counters.known.contains(Known::DEAF) {
            self.mark_echoed(cx, segment.ack);
        }
    }

    /// The peer repeats its SYN-ACK, so our ACK was lost or is late: the next pure ACK tells of this
    /// one (§3.2.2.1).
    pub(super) fn reflect_again(&mut self, shared: &mut Shared, segment: &Segment) {
        let confirms = handshake_ecn(segment.flags).is_some();
        if let Some(counters) = shared.accecn.get_mut(self.accecn)
            && segment.flags.contains(Flags::ACK)
            && segment.seq == self.irs
            && self.snd_una == self.iss + 1
            && confirms
        {
            counters.syn_ack = segment.ecn;
            self.flags |= TcbFlags::ACE_ECHO;
        }
    }

    /// The flags of a segment that goes now.
    #[cold]
    pub(super) fn accurate_flags(&mut self, shared: &mut Shared) -> Flags {
        // Before anything else: while it is there, a segment is due.
        let echo = self.flags.contains(TcbFlags::ACE_ECHO);
        self.flags.remove(TcbFlags::ACE_ECHO);
        let Some(counters) = shared.accecn.get_mut(self.accecn) else {
            return ace(INITIAL_CEP);
        };
        if echo {
            return handshake_ace(counters.syn_ack);
        }
        counters.next_ace()
    }
}

/// Whether an acknowledgement is as new as any other: it moves SND.UNA, or its segment is not older
/// than the one that the window was taken from.
pub(super) fn is_not_overtaken(ack: SeqNum, snd_una: SeqNum, window_is_newer: bool) -> bool {
    ack.after(snd_una) || (ack == snd_una && window_is_newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9768 tables 2 to 4.
    #[test]
    fn the_handshake_reflects_each_value_of_the_field() {
        for (ecn, flags) in [
            (Ecn::NotEct, Flags::CWR),
            (Ecn::Ect1, Flags::CWR | Flags::ECE),
            (Ecn::Ect0, Flags::AE),
            (Ecn::Ce, Flags::AE | Flags::CWR),
        ] {
            assert_eq!(handshake_ace(ecn), flags);
            assert_eq!(handshake_ecn(flags | Flags::ACK), Some(ecn));
        }
        for unused in [0b000, 0b001, 0b101, 0b111] {
            assert_eq!(handshake_ecn(ace(unused)), None);
        }
        let numbers: std::vec::Vec<u8> = (0..20).map(|n| number(ace(n) | Flags::PSH)).collect();
        assert_eq!(numbers[..10], [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]);
    }

    /// What tells of the SYN-ACK goes once, whatever has become of the counters.
    #[test]
    fn an_echo_is_due_once() {
        let mut bench = crate::tcp::testing::Bench::new();
        bench.tcb.flags |= TcbFlags::ACCECN | TcbFlags::ACE_ECHO;
        assert!(bench.shared.accecn.get(bench.tcb.accecn).is_none());
        let sent = |bench: &mut crate::tcp::testing::Bench| {
            bench.with(|tcb, shared, cx| tcb.next_segment(shared, cx).is_some())
        };
        assert_eq!([sent(&mut bench), sent(&mut bench)], [true, false]);
    }

    /// RFC 9768 appendix A.2.
    #[test]
    fn a_field_that_may_have_wrapped_is_read_with_care() {
        let marked = |delta, packets, bytes| marked_packets(delta, packets, bytes, 1_000, false);
        assert_eq!([marked(0, 7, None), marked(3, 7, None)], [0, 3]);
        assert_eq!([marked(0, 8, None), marked(0, 15, None)], [8, 8]);
        assert_eq!([marked(3, 20, None), marked(4, 20, None)], [19, 20]);
        // The option knows better.
        assert_eq!([marked(0, 20, Some(0)), marked(3, 20, Some(2_500))], [0, 3]);
        assert_eq!(
            [marked(0, 20, Some(1)), marked(3, 20, Some(9_000))],
            [16, 19]
        );
        // As does experience.
        assert_eq!(marked_packets(0, 20, None, 1_000, true), 0);
    }

    /// RFC 9768 §3.2.3.3: the recommended simple scheme.
    #[test]
    fn the_option_has_every_counter_that_has_changed_as_far_as_there_is_room() {
        let mut counters = AccEcn::new();
        assert_eq!(counters.option(40), None, "nothing has come");
        counters.count(Ecn::NotEct, 100);
        counters.count(Ecn::Ce, 0);
        assert_eq!(counters.option(40), None, "nothing that counts");
        counters.count(Ecn::Ect0, 100);
        let fields = |option: Option<AccEcnOption>| {
            option.map(|option| (option.ect0(), option.ce(), option.ect1()))
        };
        assert_eq!(fields(counters.option(40)), Some((Some(101), None, None)));
        assert_eq!(counters.option(40), None, "no news");
        counters.count(Ecn::Ce, 50);
        assert_eq!(counters.option(4), None, "rather nothing than half of it");
        assert_eq!(
            fields(counters.option(8)),
            Some((Some(101), Some(50), None))
        );
        counters.count(Ecn::Ect1, 7);
        assert_eq!(counters.option(11), None);
        assert_eq!(
            fields(counters.option(12)),
            Some((Some(101), Some(50), Some(8)))
        );
        counters.count(Ecn::Ect0, 1);
        assert_eq!(
            fields(counters.option(8)),
            Some((Some(102), None, None)),
            "only what has changed"
        );
        // A sender of ECT(1) alone gets the other order.
        let mut counters = AccEcn::new();
        counters.count(Ecn::Ect1, COUNTER);
        let option = counters.option(8).unwrap();
        assert_eq!((option.ect1_first, option.count), (true, 1));
        assert_eq!(option.ect1(), Some(0), "24 bits");
    }

    /// RFC 9768 §3.2.3.2.4.
    #[test]
    fn options_that_were_wiped_are_ignored() {
        let option = |fields| AccEcnOption {
            ect1_first: false,
            count: 3,
            fields,
        };
        let mut counters = AccEcn::new();
        assert_eq!(counters.look_at_option(&option([9, 5, 1])), Some(5));
        assert_eq!(
            counters.look_at_option(&option([0, 9, 0])),
            Some(4),
            "later"
        );
        assert_eq!(
            counters.look_at_option(&option([0, 8, 0])),
            Some(0),
            "older"
        );
        for wiped in [[0, 0, 1], [1, 0, 0]] {
            let mut counters = AccEcn::new();
            assert_eq!(counters.look_at_option(&option(wiped)), None);
            assert_eq!(counters.look_at_option(&option([1, 5, 1])), None);
        }
        // Without those fields there is nothing to test; 24 bits wrap.
        let mut counters = AccEcn::new();
        counters.s_ceb = COUNTER;
        let empty = AccEcnOption::default();
        assert_eq!(counters.look_at_option(&empty), Some(0));
        assert_eq!(counters.look_at_option(&option([1, 1, 1])), Some(2));
    }
}
