//! Fragments that wait for the others of their packet (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! Fragments stay in the frames that they came in, in order, so a packet that is complete is a chain
//! of frames. Whoever sends fragments can only bind so much:
//!
//! - all together hold a fixed share of the pool at most, and nothing while the pool is short;
//! - a packet has at most [`MAX_FRAGMENTS`] of them, so that small ones do not hold more memory than
//!   large ones;
//! - a source, of IPv6 a network of 64 bits, has a quarter of the packets and of the frames. Beyond
//!   that its own oldest packet gives way, else the one that nothing was added to for longest. So
//!   what arrives without a pause gets through a flood of fragments that are never complete
//!   (FragmentSmack, CVE-2018-5391).
//!
//! What overlaps, ends in two places or has too many pieces is nobody's honest packet: all of it is
//! dropped, and what still comes of it until its time is over (RFC 5722, RFC 8200 §4.5; for IPv4 as
//! well). Only the same piece twice is no offence: the network does that.

use crate::counters::Counters;
use crate::demux::Address;
use crate::pool::{Frame, FramePool, FrameQueue};
use crate::time::Instant;
use crate::wire::ecn::Ecn;
use alloc::boxed::Box;
use alloc::vec;
use core::hash::Hasher;
use core::net::Ipv4Addr;
use core::time::Duration;
use siphasher::sip::SipHasher13;

/// Fragments of one packet: one of 65,535 bytes fits in pieces of 516 bytes.
const MAX_FRAGMENTS: usize = 128;
/// How long a packet may take to be complete, counted from the first fragment that arrives. IPv4: as
/// Linux has it, RFC 1122 §3.3.2 asks for 60 to 120 s; IPv6: RFC 8200 §4.5.
const IPV4_LIFETIME: Duration = Duration::from_secs(30);
const IPV6_LIFETIME: Duration = Duration::from_secs(60);
/// The part of everything that one source may have.
const SOURCE_SHARE: usize = 4;
/// Frames that a source may have where a quarter is less: a packet of any size, in usual pieces.
const SOURCE_MIN_FRAMES: usize = 64;

/// Which packet a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketId {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) identification: u32,
    /// 0 for IPv6, where it is not part of the key.
    pub(crate) protocol: u8,
    pub(crate) interface: u8,
}

/// A fragment beside its frame, whose descriptor delimits the piece of the packet's payload; `sum`
/// is where the IP header starts in its buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// Where the piece belongs, in bytes.
    pub(crate) offset: usize,
    /// It is not the last one.
    pub(crate) more: bool,
    pub(crate) ecn: Ecn,
}

/// A packet that is complete.
#[derive(Debug)]
pub(crate) struct Whole {
    /// The first fragment.
    pub(crate) first: Frame,
    /// The others, in order.
    pub(crate) rest: FrameQueue,
    /// Bytes of all of them.
    pub(crate) len: usize,
    pub(crate) ecn: Ecn,
}

#[derive(Debug)]
struct Place {
    id: PacketId,
    /// Keyed hash of the source, or of its network.
    source: u32,
    /// The fragments by their offsets, which are the descriptors' `seq`.
    pieces: FrameQueue,
    /// Bytes that are here.
    received: usize,
    /// Bytes that there are, once the last fragment is here.
    end: Option<usize>,
    until: Instant,
    /// The table's count when it was last added to.
    touched: u32,
    /// The ECN fields that were seen: a bit for each.
    ecn: u8,
    /// Everything of it is dropped.
    condemned: bool,
}

impl Place {
    fn new(id: PacketId, source: u32, until: Instant) -> Self {
        Self {
            id,
            source,
            pieces: FrameQueue::default(),
            received: 0,
            end: None,
            until,
            touched: 0,
            ecn: 0,
            condemned: false,
        }
    }
}

/// Why a fragment does not join the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Duplicate,
    Overlap,
    BadEnd,
    TooMany,
    NoRoom,
}

/// All packets that are not complete.
#[derive(Debug)]
pub(crate) struct Reassembly {
    key: [u8; 16],
    /// A keyed hash of each place's packet, apart so that it is found fast; 0: free.
    tags: Box<[u32]>,
    places: Box<[Place]>,
    used: usize,
    /// Frames of all packets, and the most of them.
    held: usize,
    max_held: usize,
    /// Frames that must stay free in the pool.
    reserved: usize,
    count: u32,
    /// No packet's time is over before.
    next: Instant,
}

impl Reassembly {
    /// A table of `capacity` packets, the only allocation. All together hold `max_held` frames at
    /// most, and none of the last `reserved` free ones.
    pub(crate) fn new(key: [u8; 16], capacity: usize, max_held: usize, reserved: usize) -> Self {
        let nobody = Ipv4Addr::UNSPECIFIED.into();
        let nothing = PacketId {
            source: nobody,
            destination: nobody,
            identification: 0,
            protocol: 0,
            interface: 0,
        };
        Self {
            key,
            tags: vec![0; capacity].into_boxed_slice(),
            places: (0..capacity)
                .map(|_| Place::new(nothing, 0, Instant::ZERO))
                .collect(),
            used: 0,
            held: 0,
            max_held,
            reserved,
            count: 0,
            next: Instant::FAR_FUTURE,
        }
    }

    /// Frames of all packets.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// When [`Reassembly::next_expired`] has something to do, or [`Instant::FAR_FUTURE`].
    #[inline]
    pub(crate) fn next_timeout(&self) -> Instant {
        self.next
    }

    /// Takes in a fragment that is not empty, ends within the largest packet and, unless it is the
    /// last, has a multiple of 8 bytes. Gives the packet if that completes it.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        id: PacketId,
        fragment: Fragment,
        frame: Frame,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) -> Option<Whole> {
        let tag = self.hash(|hasher| {
            hasher.write(&id.source.v6().octets());
            hasher.write(&id.destination.v6().octets());
            hasher.write_u32(id.identification);
            hasher.write_u16(u16::from_be_bytes([id.protocol, id.interface]));
        });
        let found = (0..self.tags.len())
            .find(|place| self.tags[*place] == tag && self.places[*place].id == id);
        let at = match found {
            Some(at) => at,
            None => self.start(now, id, tag, pool, counters),
        };
        self.count = self.count.wrapping_add(1);
        self.places[at].touched = self.count;
        if self.places[at].condemned {
            pool.free(frame);
            counters.ip_fragment_condemned += 1;
            return None;
        }
        let before = match self.place_for(at, fragment, &frame, pool, counters) {
            Ok(before) => before,
            Err(refusal) => {
                pool.free(frame);
                self.refuse(at, refusal, pool, counters);
                return None;
            }
        };
        let place = &mut self.places[at];
        let descriptor = pool.descriptor_mut(&frame);
        let len = usize::from(descriptor.len);
        descriptor.seq = u32::try_from(fragment.offset).unwrap_or(u32::MAX);
        match before {
            Some(before) => place.pieces.insert_after(pool, before, frame),
            None => place.pieces.push_front(pool, frame),
        }
        self.held += 1;
        place.received += len;
        place.ecn |= 1 << fragment.ecn.bits();
        if !fragment.more {
            place.end = Some(fragment.offset + len);
        }
        if place.end != Some(place.received) {
            return None;
        }
        self.finish(at, pool, counters)
    }

    /// Behind which piece of a packet a fragment belongs; `None`: in front of all.
    fn place_for(
        &mut self,
        at: usize,
        fragment: Fragment,
        frame: &Frame,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) -> Result<Option<u32>, Refusal> {
        let Fragment { offset, more, .. } = fragment;
        let place = &self.places[at];
        let end = offset + pool.content(frame).len();
        let ends = |index: u32| {
            let piece = pool.descriptor_at(index);
            (
                piece.seq as usize,
                piece.seq as usize + usize::from(piece.len),
            )
        };
        // Mostly it is the next one.
        let (mut before, mut behind) = (place.pieces.last(), None);
        if before.is_some_and(|last| ends(last).0 > offset) {
            (before, behind) = (None, place.pieces.first());
            while let Some(next) = behind
                && ends(next).0 <= offset
            {
                (before, behind) = (behind, pool.next_in_queue(next));
            }
        }
        if let Some(before) = before
            && ends(before) == (offset, end)
            && (place.end == Some(end)) != more
            && pool.content_at(before) == pool.content(frame)
        {
            return Err(Refusal::Duplicate);
        }
        if before.is_some_and(|before| ends(before).1 > offset)
            || behind.is_some_and(|behind| ends(behind).0 < end)
        {
            return Err(Refusal::Overlap);
        }
        let beyond = match place.end {
            Some(known) => end >= known || !more,
            None => !more && behind.is_some(),
        };
        if beyond {
            return Err(Refusal::BadEnd);
        }
        if place.pieces.len() >= MAX_FRAGMENTS {
            return Err(Refusal::TooMany);
        }
        let room = self.make_room(at, pool, counters);
        if room {
            Ok(before)
        } else {
            Err(Refusal::NoRoom)
        }
    }

    /// Makes sure that one more frame may be held for the packet at `at`.
    fn make_room(&mut self, at: usize, pool: &mut FramePool, counters: &mut Counters) -> bool {
        let source = self.places[at].source;
        let share = (self.max_held / SOURCE_SHARE).max(SOURCE_MIN_FRAMES);
        loop {
            let own = self
                .active()
                .filter(|place| self.places[*place].source == source);
            let own: usize = own.map(|place| self.places[place].pieces.len()).sum();
            let victim = if own >= share {
                self.oldest(|index, place| {
                    index != at && place.source == source && !place.pieces.is_empty()
                })
            } else if self.held >= self.max_held || pool.free_frames() < self.reserved {
                self.oldest(|index, place| index != at && !place.pieces.is_empty())
            } else {
                return true;
            };
            match victim {
                Some(victim) => self.evict(victim, pool, counters),
                None => return false,
            }
        }
    }

    /// A place for another packet: a free one, or that of a packet that gives way.
    fn start(
        &mut self,
        now: Instant,
        id: PacketId,
        tag: u32,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) -> usize {
        let source = self.hash(|hasher| hasher.write(&id.source.site().v6().octets()));
        let own = self
            .active()
            .filter(|place| self.places[*place].source == source);
        let share = (self.tags.len() / SOURCE_SHARE).max(1);
        let victim = if own.count() >= share {
            self.oldest(|_, place| place.source == source)
        } else if self.used == self.tags.len() {
            self.oldest(|_, _| true)
        } else {
            None
        };
        if let Some(victim) = victim {
            self.evict(victim, pool, counters);
        }
        let at = self.tags.iter().position(|tag| *tag == 0).unwrap_or(0);
        let lifetime = if id.source.is_ipv4() {
            IPV4_LIFETIME
        } else {
            IPV6_LIFETIME
        };
        let until = now + lifetime;
        self.next = self.next.min(until);
        self.used += 1;
        self.tags[at] = tag;
        self.places[at] = Place::new(id, source, until);
        at
    }

    /// The packet at `at` is complete, and leaves.
    fn finish(
        &mut self,
        at: usize,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) -> Option<Whole> {
        let place = &mut self.places[at];
        let mut rest = core::mem::take(&mut place.pieces);
        let (len, seen) = (place.received, place.ecn);
        self.held -= rest.len();
        self.release(at);
        let first = rest.pop_front(pool)?;
        pool.descriptor_mut(&first).seq = 0;
        // RFC 3168 §5.3: a mark is kept, and cannot be on a packet that was not capable of it.
        let has = |ecn: Ecn| seen & 1 << ecn.bits() != 0;
        let ecn = match (has(Ecn::Ce), has(Ecn::NotEct)) {
            (true, true) => {
                counters.ip_fragment_bad_ecn += 1 + rest.len() as u64;
                pool.free(first);
                rest.clear(pool);
                return None;
            }
            (true, false) => Ecn::Ce,
            (false, true) => Ecn::NotEct,
            (false, false) if has(Ecn::Ect1) => Ecn::Ect1,
            (false, false) => Ecn::Ect0,
        };
        counters.ip_reassembled += 1;
        Some(Whole {
            first,
            rest,
            len,
            ecn,
        })
    }

    /// Counts a fragment that was dropped, and drops the others of its packet, but for a duplicate.
    fn refuse(
        &mut self,
        at: usize,
        refusal: Refusal,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) {
        let counter = match refusal {
            Refusal::Duplicate => {
                counters.ip_fragment_duplicate += 1;
                return;
            }
            Refusal::Overlap => &mut counters.ip_fragment_overlap,
            Refusal::BadEnd => &mut counters.ip_fragment_bad_end,
            Refusal::TooMany => &mut counters.ip_fragment_too_many,
            Refusal::NoRoom => &mut counters.ip_fragment_no_room,
        };
        let place = &mut self.places[at];
        place.condemned = true;
        *counter += 1 + place.pieces.len() as u64;
        self.held -= place.pieces.len();
        place.pieces.clear(pool);
    }

    /// The next packet whose time is over and whose first fragment is here: that one, for its sender
    /// is to be told (RFC 792, RFC 8200 §4.5). All others are freed.
    pub(crate) fn next_expired(
        &mut self,
        now: Instant,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) -> Option<Frame> {
        if now < self.next {
            return None;
        }
        while let Some(at) = self.first_over(now) {
            let mut pieces = core::mem::take(&mut self.places[at].pieces);
            self.held -= pieces.len();
            counters.ip_fragment_expired += pieces.len() as u64;
            self.release(at);
            let first = pieces.pop_front(pool);
            pieces.clear(pool);
            if let Some(first) = first {
                if pool.descriptor(&first).seq == 0 {
                    return Some(first);
                }
                pool.free(first);
            }
        }
        let times = self.active().map(|place| self.places[place].until);
        self.next = times.min().unwrap_or(Instant::FAR_FUTURE);
        None
    }

    fn first_over(&self, now: Instant) -> Option<usize> {
        self.active().find(|at| self.places[*at].until <= now)
    }

    /// A packet gives way.
    fn evict(&mut self, at: usize, pool: &mut FramePool, counters: &mut Counters) {
        let pieces = &mut self.places[at].pieces;
        self.held -= pieces.len();
        counters.ip_fragment_evicted += pieces.len() as u64;
        pieces.clear(pool);
        self.release(at);
    }

    /// Forgets a packet whose fragments are elsewhere.
    fn release(&mut self, at: usize) {
        self.tags[at] = 0;
        self.used -= 1;
        if self.used == 0 {
            self.next = Instant::FAR_FUTURE;
        }
    }

    /// The places that are taken.
    fn active(&self) -> impl Iterator<Item = usize> {
        let tags = self.tags.iter().enumerate();
        tags.filter(|(_, tag)| **tag != 0).map(|(place, _)| place)
    }

    /// The packet that was not added to for longest, of those that `may` go.
    fn oldest(&self, may: impl Fn(usize, &Place) -> bool) -> Option<usize> {
        let candidates = self.active().filter(|at| may(*at, &self.places[*at]));
        candidates.max_by_key(|at| self.count.wrapping_sub(self.places[*at].touched))
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "any part of the hash will do"
    )]
    fn hash(&self, write: impl FnOnce(&mut SipHasher13)) -> u32 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        write(&mut hasher);
        (hasher.finish() as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Frames of the pool, those for fragments, and those that stay free.
    const FRAMES: usize = 600;
    const HELD: usize = 400;
    const RESERVED: usize = 100;
    const CAPACITY: usize = 32;

    struct Bench {
        reassembly: Reassembly,
        pool: FramePool,
        counters: Counters,
        now: Instant,
    }

    fn id(source: u32, identification: u32) -> PacketId {
        PacketId {
            source: Ipv4Addr::from_bits(0x0a00_0000 + source).into(),
            destination: Ipv4Addr::new(10, 0, 0, 2).into(),
            identification,
            protocol: 17,
            interface: 0,
        }
    }

    /// The packet's byte at an offset.
    fn byte(offset: usize) -> u8 {
        (offset % 251).to_le_bytes()[0]
    }

    impl Bench {
        fn new() -> Self {
            Self {
                reassembly: Reassembly::new([7; 16], CAPACITY, HELD, RESERVED),
                pool: FramePool::new(FRAMES, 256),
                counters: Counters::default(),
                now: Instant::from_millis(1_000),
            }
        }

        fn add_with(&mut self, id: PacketId, fragment: Fragment, data: &[u8]) -> Option<Whole> {
            let frame = self.pool.allocate().unwrap();
            self.pool.buffer_mut(&frame)[20..20 + data.len()].copy_from_slice(data);
            let descriptor = self.pool.descriptor_mut(&frame);
            descriptor.start = 20;
            descriptor.len = data.len().try_into().unwrap();
            let (pool, counters) = (&mut self.pool, &mut self.counters);
            self.reassembly
                .add(self.now, id, fragment, frame, pool, counters)
        }

        /// A piece of a packet arrives; the packet, if it is complete.
        fn add(&mut self, id: PacketId, offset: usize, len: usize, more: bool) -> Option<Vec<u8>> {
            let data: Vec<u8> = (offset..offset + len).map(byte).collect();
            let fragment = Fragment {
                offset,
                more,
                ecn: Ecn::NotEct,
            };
            let whole = self.add_with(id, fragment, &data)?;
            Some(self.take(whole))
        }

        fn take(&mut self, whole: Whole) -> Vec<u8> {
            let Whole {
                first,
                mut rest,
                len,
                ..
            } = whole;
            let mut bytes = self.pool.content(&first).to_vec();
            self.pool.free(first);
            while let Some(frame) = rest.pop_front(&mut self.pool) {
                bytes.extend(self.pool.content(&frame));
                self.pool.free(frame);
            }
            assert_eq!(bytes.len(), len);
            bytes
        }

        fn expire(&mut self) -> usize {
            let mut told = 0;
            while let Some(first) =
                self.reassembly
                    .next_expired(self.now, &mut self.pool, &mut self.counters)
            {
                self.pool.free(first);
                told += 1;
            }
            told
        }

        #[track_caller]
        fn assert_empty(&self) {
            assert_eq!(
                (self.pool.free_frames(), self.reassembly.held()),
                (FRAMES, 0)
            );
        }
    }

    fn whole(len: usize) -> Vec<u8> {
        (0..len).map(byte).collect()
    }

    #[test]
    fn pieces_in_every_order_make_the_packet() {
        let pieces = [(0, 8, true), (8, 16, true), (24, 8, true), (32, 3, false)];
        for order in 0..256usize {
            let mut bench = Bench::new();
            let order: Vec<usize> = (0..4).map(|place| order >> (2 * place) & 3).collect();
            if (0..4).any(|piece| !order.contains(&piece)) {
                continue;
            }
            for piece in &order[..3] {
                let (offset, len, more) = pieces[*piece];
                assert_eq!(bench.add(id(1, 1), offset, len, more), None);
            }
            let (offset, len, more) = pieces[order[3]];
            assert_eq!(bench.add(id(1, 1), offset, len, more), Some(whole(35)));
            bench.assert_empty();
            assert_eq!(bench.reassembly.next_timeout(), Instant::FAR_FUTURE);
        }
    }

    #[test]
    fn only_pieces_of_the_same_packet_come_together() {
        let mut bench = Bench::new();
        let of = id(1, 1);
        bench.add(of, 0, 8, true);
        let others = [
            id(2, 1),
            id(1, 2),
            PacketId { protocol: 1, ..of },
            PacketId { interface: 1, ..of },
            PacketId {
                destination: Ipv4Addr::new(10, 0, 0, 3).into(),
                ..of
            },
        ];
        for other in others {
            assert_eq!(bench.add(other, 8, 8, false), None);
        }
        assert_eq!(bench.add(of, 8, 8, false), Some(whole(16)));
        assert_eq!(bench.reassembly.held(), 5);
    }

    /// RFC 5722, RFC 8200 §4.5.
    #[test]
    fn an_overlap_ends_the_packet_and_what_still_comes_of_it() {
        let overlaps = [
            (8, 8),
            (8, 32),
            (16, 8),
            (24, 8),
            (16, 24),
            (32, 8),
            (8, 64),
        ];
        for (offset, len) in overlaps {
            let mut bench = Bench::new();
            for (offset, len) in [(16, 16), (40, 8)] {
                assert_eq!(bench.add(id(1, 1), offset, len, true), None);
            }
            let fits = [(8, 8), (32, 8)].contains(&(offset, len));
            assert_eq!(bench.add(id(1, 1), offset, len, true), None);
            assert_eq!(bench.counters.ip_fragment_overlap, if fits { 0 } else { 3 });
            if fits {
                continue;
            }
            bench.assert_empty();
            for (offset, len, more) in [(0, 16, true), (32, 8, true), (48, 8, false)] {
                assert_eq!(bench.add(id(1, 1), offset, len, more), None);
            }
            assert_eq!(bench.counters.ip_fragment_condemned, 3);
            bench.now = bench.now + IPV4_LIFETIME;
            assert_eq!(bench.expire(), 0);
            assert_eq!(
                bench.add(id(1, 1), 0, 8, false),
                Some(whole(8)),
                "forgotten"
            );
        }
    }

    #[test]
    fn the_same_piece_twice_is_dropped_alone_and_the_same_place_with_other_bytes_is_not() {
        let mut bench = Bench::new();
        for (offset, more) in [(0, true), (16, false), (0, true), (16, false)] {
            assert_eq!(bench.add(id(1, 1), offset, 8, more), None);
        }
        assert_eq!(bench.counters.ip_fragment_duplicate, 2);
        assert_eq!(bench.add(id(1, 1), 8, 8, true), Some(whole(24)));
        bench.add(id(1, 2), 0, 8, true);
        let fragment = Fragment {
            offset: 0,
            more: true,
            ecn: Ecn::NotEct,
        };
        assert!(bench.add_with(id(1, 2), fragment, &[9; 8]).is_none());
        assert_eq!(bench.counters.ip_fragment_overlap, 2);
        bench.assert_empty();
    }

    #[test]
    fn a_packet_ends_in_one_place() {
        let lies: [&[(usize, usize, bool)]; 6] = [
            &[(16, 8, false), (24, 8, false)],
            &[(16, 8, false), (8, 8, false)],
            &[(16, 8, false), (24, 8, true)],
            &[(16, 8, true), (8, 8, false)],
            &[(16, 8, false), (0, 24, true)],
            &[(16, 8, false), (16, 8, true)],
        ];
        for pieces in lies {
            let mut bench = Bench::new();
            for (offset, len, more) in pieces {
                assert_eq!(bench.add(id(1, 1), *offset, *len, *more), None);
            }
            let counters = &bench.counters;
            let refused = counters.ip_fragment_bad_end + counters.ip_fragment_overlap;
            assert_eq!(refused, 2, "{pieces:?}");
            bench.assert_empty();
        }
    }

    #[test]
    fn small_pieces_do_not_bind_more_frames_than_a_packet_may_have() {
        let mut bench = Bench::new();
        bench.reassembly.max_held = 1_000;
        for piece in 0..200 {
            bench.add(id(1, 1), piece * 16, 8, true);
            assert!(bench.reassembly.held() <= MAX_FRAGMENTS);
        }
        assert_eq!(
            bench.counters.ip_fragment_too_many,
            MAX_FRAGMENTS as u64 + 1
        );
        bench.assert_empty();
    }

    /// RFC 791 §3.2, RFC 8200 §4.5.
    #[test]
    fn what_is_not_complete_in_time_goes_and_the_first_fragment_tells_whom_to_inform() {
        let mut bench = Bench::new();
        let v6 = PacketId {
            source: core::net::IpAddr::from([
                0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            ])
            .into(),
            protocol: 0,
            ..id(1, 1)
        };
        bench.add(id(1, 1), 0, 8, true);
        bench.add(id(1, 2), 8, 8, true);
        bench.add(v6, 8, 8, true);
        bench.now = bench.now + Duration::from_secs(20);
        bench.add(id(1, 1), 8, 8, true);
        bench.add(v6, 0, 8, true);
        bench.now = bench.now + Duration::from_millis(9_999);
        assert_eq!((bench.expire(), bench.reassembly.held()), (0, 5));
        bench.now = bench.now + Duration::from_millis(1);
        assert_eq!(bench.reassembly.next_timeout(), bench.now);
        assert_eq!((bench.expire(), bench.counters.ip_fragment_expired), (1, 3));
        bench.now = bench.now + Duration::from_secs(30);
        assert_eq!(bench.reassembly.next_timeout(), bench.now);
        assert_eq!((bench.expire(), bench.counters.ip_fragment_expired), (1, 5));
        bench.assert_empty();
        assert_eq!(bench.reassembly.next_timeout(), Instant::FAR_FUTURE);
    }

    #[test]
    fn a_source_pushes_out_its_own_packets_before_those_of_others() {
        let mut bench = Bench::new();
        bench.add(id(1, 1), 0, 8, true);
        for identification in 0..1_000 {
            bench.add(id(2, identification), 0, 8, true);
        }
        assert_eq!(bench.add(id(1, 1), 8, 8, false), Some(whole(16)));
        assert_eq!(bench.reassembly.used, CAPACITY / SOURCE_SHARE);
        // The same by frames: each packet has as many as it may.
        bench.add(id(1, 2), 0, 8, true);
        for identification in 0..20 {
            for piece in 0..90 {
                bench.add(id(3, identification), piece * 8, 8, true);
            }
        }
        let of_others = CAPACITY / SOURCE_SHARE;
        assert!(bench.reassembly.held() <= HELD / SOURCE_SHARE + of_others + 1);
        assert_eq!(bench.add(id(1, 2), 8, 8, false), Some(whole(16)));
    }

    /// FragmentSmack, CVE-2018-5391.
    #[test]
    fn packets_that_arrive_without_a_pause_get_through_a_flood_from_everywhere() {
        let mut bench = Bench::new();
        let mut stranger = 100;
        for identification in 0..50 {
            for piece in 0..45 {
                for _ in 0..20 {
                    stranger += 1;
                    bench.add(id(stranger, 1), 0, 8, true);
                    assert!(bench.reassembly.held() <= HELD);
                }
                let last = piece == 44;
                let done = bench.add(id(1, identification), piece * 200, 200, !last);
                assert_eq!(done.is_some(), last, "{identification} {piece}");
            }
        }
        assert!(bench.counters.ip_fragment_evicted > 40_000);
    }

    #[test]
    fn nothing_is_kept_while_the_pool_is_short() {
        let mut bench = Bench::new();
        let others: Vec<Frame> = (0..FRAMES - RESERVED - 1)
            .map(|_| bench.pool.allocate().unwrap())
            .collect();
        bench.add(id(1, 1), 0, 8, true);
        assert_eq!(bench.pool.free_frames(), RESERVED);
        bench.add(id(1, 2), 0, 8, true);
        assert_eq!(
            (bench.pool.free_frames(), bench.counters.ip_fragment_evicted),
            (RESERVED, 1)
        );
        bench.add(id(1, 2), 8, 8, true);
        assert_eq!(bench.counters.ip_fragment_no_room, 2);
        for frame in others {
            bench.pool.free(frame);
        }
        bench.assert_empty();
    }

    /// RFC 3168 §5.3.
    #[test]
    fn a_mark_of_congestion_on_one_fragment_is_one_on_the_packet() {
        use Ecn::{Ce, Ect0, Ect1, NotEct};
        let cases = [
            ([Ect0, Ect0], Some(Ect0)),
            ([Ect0, Ce], Some(Ce)),
            ([Ce, Ect1], Some(Ce)),
            ([Ect1, Ect1], Some(Ect1)),
            ([NotEct, Ect0], Some(NotEct)),
            ([NotEct, NotEct], Some(NotEct)),
            ([NotEct, Ce], None),
            ([Ce, NotEct], None),
        ];
        for ([first, second], expected) in cases {
            let mut bench = Bench::new();
            let mut add = |offset, more, ecn| {
                let fragment = Fragment { offset, more, ecn };
                bench.add_with(id(1, 1), fragment, &[0; 8])
            };
            assert!(add(0, true, first).is_none());
            let whole = add(8, false, second);
            assert_eq!(whole.as_ref().map(|whole| whole.ecn), expected);
            match whole {
                Some(whole) => drop(bench.take(whole)),
                None => assert_eq!(bench.counters.ip_fragment_bad_ecn, 2),
            }
            bench.assert_empty();
        }
    }
}
