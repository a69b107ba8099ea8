//! The neighbour cache: a bounded table with the reachability states of RFC 4861 §7.3, applied to
//! ARP.
//!
//! ```text
//!             packet to send            any answer
//!   (absent) ----------------> INCOMPLETE ----------> REACHABLE <---------+
//!       ^                          | 3 requests           | 30 s           | answer
//!       |        no answer         |                      v                |
//!       +<-------------------------+                    STALE --------> PROBE
//!       ^                                                     packet       |
//!       +------------------------------------------------------------------+ 5 requests
//! ```
//!
//! - Nobody gets an entry by talking unasked, but who asks for one of our addresses does: an
//!   answer to it is about to follow.
//! - While a neighbour is probed, its known address stays in use.
//! - A claim that contradicts a complete entry does not change it: the owner known so far is asked
//!   first, and everybody only when it does not answer. So a forged packet alone cannot take a
//!   neighbour's traffic away, and a host that really moved is found within seconds.
//! - Unanswered questions are few ([`MAX_INCOMPLETE`]) and new ones limited in rate, so that
//!   spoofed sources can make us neither store nor broadcast much. They never push out a complete
//!   entry.

use super::list::{Linked, Links, List};
use crate::bucket::{Bucket, Rate};
use crate::counters::Counters;
use crate::demux::Demux;
use crate::pool::{Frame, FramePool, FrameQueue};
use crate::time::Instant;
use crate::wire::ethernet::EthernetAddress;
use alloc::boxed::Box;
use core::hash::Hasher;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use siphasher::sip::SipHasher13;

/// Most neighbours that are asked for at a time without being known.
const MAX_INCOMPLETE: usize = 64;
/// Packets that wait for one neighbour (RFC 1122 §2.3.2.2 asks for at least one). Those in fragments
/// take half of all frames that may wait, at most.
const MAX_PENDING: usize = 8;
/// Between requests to one destination: RFC 1122 §2.3.2.1 asks for at most one per second.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// Broadcast requests before an unknown neighbour is given up.
const REQUESTS: u8 = 3;
/// Unicast requests to a known neighbour (the polls of RFC 1122 §2.3.2.1), before broadcasts.
const UNICAST_PROBES: u8 = 2;
/// How long an answer is trusted: REACHABLE_TIME of RFC 4861 §10.
const REACHABLE_TIME: Duration = Duration::from_secs(30);
/// How long an entry that nothing confirmed may still be used while it is probed.
const STALE_LIFETIME: Duration = Duration::from_secs(600);
/// Between probes that contradicting claims may cause for one neighbour.
const CONTEST_INTERVAL: Duration = Duration::from_secs(5);
/// New questions: this many at once, and in the long run one per interval.
const QUESTIONS: Rate = Rate::new(128, Duration::from_millis(2));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The place is free.
    Free,
    /// Asked for `attempts` times; nothing is known.
    Incomplete { attempts: u8 },
    /// Known; reachable until the deadline, stale from then on.
    Known,
    /// Known, and asked `attempts` times whether that still holds.
    Probe { attempts: u8 },
}

#[derive(Debug)]
struct Entry {
    state: State,
    interface: u8,
    address: IpAddr,
    hardware: EthernetAddress,
    /// When the neighbour last proved that it is there.
    confirmed: Instant,
    /// When the next request is due, for those that are asked for.
    deadline: Instant,
    /// When a contradicting claim last caused a probe.
    contested: Option<Instant>,
    pending: FrameQueue,
    /// In the list by use: complete entries. In that by age: incomplete ones.
    by_use: Links,
    /// In one of the lists by deadline: incomplete and probed entries.
    by_deadline: Links,
}

struct ByUse<'a>(&'a mut [Entry]);
struct ByDeadline<'a>(&'a mut [Entry]);

impl Linked for ByUse<'_> {
    fn links(&mut self, index: u32) -> &mut Links {
        &mut self.0[index as usize].by_use
    }
}

impl Linked for ByDeadline<'_> {
    fn links(&mut self, index: u32) -> &mut Links {
        &mut self.0[index as usize].by_deadline
    }
}

/// What is known of the way to a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Its Ethernet address. Until the given time it need not be asked for again, as long as
    /// [`Neighbours::generation`] stays the same.
    Known {
        hardware: EthernetAddress,
        until: Instant,
    },
    /// It is being asked for: a packet may wait in [`Neighbours::queue`] of this entry.
    Asking(u32),
    /// Not known, and too many questions are open.
    RateLimited,
}

/// What an ARP packet says about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// It answered.
    Reply,
    /// It asked for one of our addresses.
    RequestToUs,
    /// It told everybody (RFC 5227 §3), or asked for somebody else.
    Overheard,
}

/// What became of an [`Evidence`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// The neighbour is known now: these packets waited for it.
    Resolved(FrameQueue),
    /// It agrees with what is known.
    Confirmed,
    /// It contradicts what is known: the neighbour is probed.
    Contested,
    /// The neighbour is none of ours.
    Unknown,
}

/// A request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) interface: u8,
    pub(crate) address: IpAddr,
    /// Whom to ask; `None`: everybody.
    pub(crate) hardware: Option<EthernetAddress>,
}

/// What has come to be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask.
    Ask(Request),
    /// It did not answer, and was forgotten.
    Lost { interface: u8, address: IpAddr },
}

/// The cache of all interfaces.
#[derive(Debug)]
pub(crate) struct Neighbours {
    entries: Box<[Entry]>,
    demux: Demux,
    key: [u8; 16],
    free: List,
    /// Complete entries, most recently used first.
    by_use: List,
    /// Incomplete entries, next deadline first: every request is followed by the same wait.
    incomplete: List,
    /// The same, those that were asked for first in front.
    by_age: List,
    /// Probed entries, next deadline first.
    probing: List,
    pending: usize,
    max_pending: usize,
    questions: Bucket,
    generation: u32,
    /// Packets whose neighbour did not answer: to be reported, then freed.
    undeliverable: FrameQueue,
}

impl Neighbours {
    /// An empty cache with room for `capacity` neighbours, more than [`MAX_INCOMPLETE`]; the least
    /// recently used complete one makes room. `key` keys the hash; at most `max_pending` packets
    /// wait in all queues.
    pub(crate) fn new(key: [u8; 16], capacity: usize, max_pending: usize) -> Self {
        let entry = || Entry {
            state: State::Free,
            interface: 0,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            hardware: EthernetAddress::default(),
            confirmed: Instant::ZERO,
            deadline: Instant::ZERO,
            contested: None,
            pending: FrameQueue::default(),
            by_use: Links::default(),
            by_deadline: Links::default(),
        };
        let mut entries: Box<[Entry]> = (0..capacity).map(|_| entry()).collect();
        let mut free = List::default();
        for index in (0u32..).take(capacity) {
            free.push_back(index, &mut ByUse(&mut entries));
        }
        Self {
            entries,
            demux: Demux::new(capacity),
            key,
            free,
            by_use: List::default(),
            incomplete: List::default(),
            by_age: List::default(),
            probing: List::default(),
            pending: 0,
            max_pending,
            questions: Bucket::full(&QUESTIONS, Instant::ZERO),
            generation: 0,
            undeliverable: FrameQueue::default(),
        }
    }

    /// Changes whenever an address that [`Resolution::Known`] gave may no longer hold.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// When [`Neighbours::next_request`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let deadline = |index: u32| self.entries[index as usize].deadline;
        let incomplete = self.incomplete.first().map(deadline);
        let probing = self.probing.first().map(deadline);
        incomplete.into_iter().chain(probing).min()
    }

    /// Whether nobody is being asked, so that neither [`Neighbours::next_request`] nor
    /// [`Neighbours::take_undeliverable`] has anything.
    #[inline]
    pub(crate) fn are_quiet(&self) -> bool {
        self.incomplete.first().is_none()
            && self.probing.first().is_none()
            && self.undeliverable.is_empty()
    }

    fn hash(&self, interface: u8, address: IpAddr) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        match address {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()),
        }
        hasher.write_u8(interface);
        hasher.finish()
    }

    fn find(&self, interface: u8, address: IpAddr) -> Option<u32> {
        self.demux.find(self.hash(interface, address), |index| {
            let entry = &self.entries[index as usize];
            entry.address == address && entry.interface == interface
        })
    }

    /// Where to send a packet for `address`, a unicast address on the link of `interface`.
    pub(crate) fn resolve(
        &mut self,
        now: Instant,
        interface: u8,
        address: IpAddr,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) -> Resolution {
        if let Some(index) = self.find(interface, address) {
            let entry = &self.entries[index as usize];
            let age = now.saturating_since(entry.confirmed);
            match entry.state {
                State::Incomplete { .. } => return Resolution::Asking(index),
                State::Known if age >= STALE_LIFETIME => self.remove(index, pool, counters),
                State::Known | State::Probe { .. } => {
                    let known = Resolution::Known {
                        hardware: entry.hardware,
                        until: if age < REACHABLE_TIME {
                            entry.confirmed + REACHABLE_TIME
                        } else {
                            now + REQUEST_INTERVAL
                        },
                    };
                    if age >= REACHABLE_TIME {
                        self.probe(now, index);
                    }
                    self.touch(index);
                    return known;
                }
                State::Free => {}
            }
        }
        if !self.take_token(now) {
            counters.neighbour_rate_limited += 1;
            return Resolution::RateLimited;
        }
        if self.incomplete.len() >= MAX_INCOMPLETE
            && let Some(oldest) = self.by_age.first()
        {
            counters.neighbour_evicted += 1;
            self.remove(oldest, pool, counters);
        }
        match self.create(interface, address, pool, counters) {
            Some(index) => {
                let entry = &mut self.entries[index as usize];
                entry.state = State::Incomplete { attempts: 0 };
                entry.deadline = now;
                self.incomplete
                    .push_front(index, &mut ByDeadline(&mut self.entries));
                self.by_age.push_back(index, &mut ByUse(&mut self.entries));
                Resolution::Asking(index)
            }
            None => Resolution::RateLimited,
        }
    }

    /// Lets a packet wait for the neighbour of [`Resolution::Asking`], with the `rest` of its
    /// fragments: all or none. The oldest ones give way.
    pub(crate) fn queue(
        &mut self,
        index: u32,
        frame: Frame,
        mut rest: FrameQueue,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) {
        let frames = 1 + rest.len();
        let most = if rest.is_empty() {
            self.max_pending
        } else {
            self.max_pending / 2
        };
        let asked = self
            .entries
            .get(index as usize)
            .is_some_and(|entry| matches!(entry.state, State::Incomplete { .. }));
        if asked && frames <= most {
            if self.packets(index, pool) >= MAX_PENDING {
                self.drop_oldest(index, pool, counters);
            }
            while self.pending + frames > self.max_pending
                && let Some(victim) = self.gives_way_to(index)
            {
                self.drop_oldest(victim, pool, counters);
            }
        }
        if !asked || frames > most || self.pending + frames > self.max_pending {
            pool.free(frame);
            rest.clear(pool);
            counters.neighbour_pending_dropped += frames as u64;
            return;
        }
        pool.descriptor_mut(&frame).seq = u32::try_from(rest.len()).unwrap_or(0);
        let pending = &mut self.entries[index as usize].pending;
        pending.push_back(pool, frame);
        pending.append(pool, &mut rest);
        self.pending += frames;
    }

    /// Whose oldest packet gives way to one for the neighbour of `index`.
    fn gives_way_to(&self, index: u32) -> Option<u32> {
        let candidates = self.by_age.first().into_iter().chain([index]);
        candidates
            .into_iter()
            .find(|index| !self.entries[*index as usize].pending.is_empty())
    }

    /// Packets that wait for a neighbour.
    fn packets(&self, index: u32, pool: &FramePool) -> usize {
        let mut packets = 0;
        let mut at = self.entries[index as usize].pending.first();
        while let Some(first) = at {
            packets += 1;
            at = pool.next_in_queue(first);
            for _ in 0..pool.descriptor_at(first).seq {
                at = at.and_then(|frame| pool.next_in_queue(frame));
            }
        }
        packets
    }

    /// Drops the packet that waits for a neighbour longest.
    fn drop_oldest(&mut self, index: u32, pool: &mut FramePool, counters: &mut Counters) {
        let pending = &mut self.entries[index as usize].pending;
        let Some(frame) = pending.pop_front(pool) else {
            return;
        };
        let fragments = pool.descriptor(&frame).seq as usize;
        pool.free(frame);
        let mut rest = pending.split_front(pool, fragments);
        let frames = 1 + rest.len();
        rest.clear(pool);
        self.pending -= frames;
        counters.neighbour_pending_dropped += frames as u64;
    }

    /// Takes in what a packet says about its sender, a station with a host's address that is on
    /// the link of `interface` and not ours.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        interface: u8,
        (hardware, address): (EthernetAddress, IpAddr),
        evidence: Evidence,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) -> Learned {
        let Some(index) = self.find(interface, address) else {
            if evidence != Evidence::RequestToUs {
                return Learned::Unknown;
            }
            if let Some(index) = self.create(interface, address, pool, counters) {
                self.by_use.push_front(index, &mut ByUse(&mut self.entries));
                self.confirm(now, index, hardware);
            }
            return Learned::Confirmed;
        };
        let entry = &mut self.entries[index as usize];
        match entry.state {
            State::Free => Learned::Unknown,
            State::Incomplete { .. } => {
                let waiting = core::mem::take(&mut entry.pending);
                self.pending -= waiting.len();
                self.incomplete
                    .remove(index, &mut ByDeadline(&mut self.entries));
                self.by_age.remove(index, &mut ByUse(&mut self.entries));
                self.by_use.push_front(index, &mut ByUse(&mut self.entries));
                self.confirm(now, index, hardware);
                Learned::Resolved(waiting)
            }
            State::Known | State::Probe { .. } if entry.hardware == hardware => {
                if evidence != Evidence::Overheard {
                    self.stop_probing(index);
                    self.confirm(now, index, hardware);
                }
                Learned::Confirmed
            }
            // The owner known so far was asked and did not answer.
            State::Probe { attempts }
                if attempts > UNICAST_PROBES && evidence == Evidence::Reply =>
            {
                self.stop_probing(index);
                self.confirm(now, index, hardware);
                self.generation = self.generation.wrapping_add(1);
                Learned::Confirmed
            }
            State::Known | State::Probe { .. } => {
                let recent = entry
                    .contested
                    .is_some_and(|at| now - at < CONTEST_INTERVAL);
                if !recent {
                    entry.contested = Some(now);
                    self.probe(now, index);
                }
                Learned::Contested
            }
        }
    }

    /// Takes the next packet that could not be sent because its neighbour did not answer: a report
    /// to its sender is due (RFC 1122 §2.4). Drained after [`Neighbours::next_request`].
    pub(crate) fn take_undeliverable(&mut self, pool: &mut FramePool) -> Option<Frame> {
        self.undeliverable.pop_front(pool)
    }

    /// A neighbour that was asked by unicast has answered without saying its address again. Whether
    /// it is known.
    pub(crate) fn confirm_known(&mut self, now: Instant, interface: u8, address: IpAddr) -> bool {
        let Some(index) = self.find(interface, address) else {
            return false;
        };
        let entry = &self.entries[index as usize];
        let hardware = entry.hardware;
        let known = matches!(entry.state, State::Known | State::Probe { .. });
        if known {
            self.stop_probing(index);
            self.confirm(now, index, hardware);
        }
        known
    }

    /// The next request that is due, or the next neighbour that did not answer its last one.
    pub(crate) fn next_request(
        &mut self,
        now: Instant,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) -> Option<Due> {
        if let Some(index) = self.first_due(now) {
            let entry = &mut self.entries[index as usize];
            let (interface, address) = (entry.interface, entry.address);
            match &mut entry.state {
                State::Incomplete { attempts } if *attempts < REQUESTS => {
                    *attempts += 1;
                    entry.deadline = now + REQUEST_INTERVAL;
                    self.incomplete
                        .remove(index, &mut ByDeadline(&mut self.entries));
                    self.incomplete
                        .push_back(index, &mut ByDeadline(&mut self.entries));
                    return Some(Due::Ask(Request {
                        interface,
                        address,
                        hardware: None,
                    }));
                }
                State::Probe { attempts } if *attempts < UNICAST_PROBES + REQUESTS => {
                    *attempts += 1;
                    let hardware = (*attempts <= UNICAST_PROBES).then_some(entry.hardware);
                    entry.deadline = now + REQUEST_INTERVAL;
                    self.probing
                        .remove(index, &mut ByDeadline(&mut self.entries));
                    self.probing
                        .push_back(index, &mut ByDeadline(&mut self.entries));
                    return Some(Due::Ask(Request {
                        interface,
                        address,
                        hardware,
                    }));
                }
                _ => {
                    counters.neighbour_failed += 1;
                    let mut waiting = core::mem::take(&mut entry.pending);
                    self.pending -= waiting.len();
                    counters.neighbour_pending_expired += waiting.len() as u64;
                    while let Some(frame) = waiting.pop_front(pool) {
                        self.undeliverable.push_back(pool, frame);
                    }
                    self.remove(index, pool, counters);
                    return Some(Due::Lost { interface, address });
                }
            }
        }
        None
    }

    fn first_due(&self, now: Instant) -> Option<u32> {
        let due = |index: &u32| self.entries[*index as usize].deadline <= now;
        self.incomplete
            .first()
            .filter(due)
            .or_else(|| self.probing.first().filter(due))
    }

    /// Starts to probe a complete entry, unless that is under way.
    fn probe(&mut self, now: Instant, index: u32) {
        let entry = &mut self.entries[index as usize];
        if entry.state == State::Known {
            entry.state = State::Probe { attempts: 0 };
            entry.deadline = now;
            self.probing
                .push_front(index, &mut ByDeadline(&mut self.entries));
        }
    }

    fn stop_probing(&mut self, index: u32) {
        if matches!(self.entries[index as usize].state, State::Probe { .. }) {
            self.probing
                .remove(index, &mut ByDeadline(&mut self.entries));
        }
    }

    /// The neighbour has this address, as of now. The entry is in no list by deadline.
    fn confirm(&mut self, now: Instant, index: u32, hardware: EthernetAddress) {
        let entry = &mut self.entries[index as usize];
        entry.state = State::Known;
        entry.hardware = hardware;
        entry.confirmed = now;
    }

    fn touch(&mut self, index: u32) {
        if self.by_use.first() != Some(index) {
            self.by_use.remove(index, &mut ByUse(&mut self.entries));
            self.by_use.push_front(index, &mut ByUse(&mut self.entries));
        }
    }

    /// Takes a place, that of the least recently used complete entry if need be. The entry comes
    /// back in no list and without a state: the caller gives it both.
    fn create(
        &mut self,
        interface: u8,
        address: IpAddr,
        pool: &mut FramePool,
        counters: &mut Counters,
    ) -> Option<u32> {
        if self.free.first().is_none()
            && let Some(oldest) = self.by_use.last()
        {
            counters.neighbour_evicted += 1;
            self.remove(oldest, pool, counters);
        }
        let index = self.free.first()?;
        if !self.demux.insert(self.hash(interface, address), index) {
            return None;
        }
        self.free.remove(index, &mut ByUse(&mut self.entries));
        let entry = &mut self.entries[index as usize];
        entry.interface = interface;
        entry.address = address;
        entry.contested = None;
        Some(index)
    }

    /// Forgets an entry, with the packets that wait for it.
    fn remove(&mut self, index: u32, pool: &mut FramePool, counters: &mut Counters) {
        let entry = &mut self.entries[index as usize];
        let (interface, address) = (entry.interface, entry.address);
        self.pending -= entry.pending.len();
        counters.neighbour_pending_expired += entry.pending.len() as u64;
        entry.pending.clear(pool);
        match core::mem::replace(&mut entry.state, State::Free) {
            State::Free => return,
            State::Incomplete { .. } => {
                self.incomplete
                    .remove(index, &mut ByDeadline(&mut self.entries));
                self.by_age.remove(index, &mut ByUse(&mut self.entries));
            }
            State::Known => self.by_use.remove(index, &mut ByUse(&mut self.entries)),
            State::Probe { .. } => {
                self.probing
                    .remove(index, &mut ByDeadline(&mut self.entries));
                self.by_use.remove(index, &mut ByUse(&mut self.entries));
            }
        }
        self.generation = self.generation.wrapping_add(1);
        self.demux.remove(self.hash(interface, address), index);
        self.free.push_front(index, &mut ByUse(&mut self.entries));
    }

    /// Whether a new question may be asked now.
    fn take_token(&mut self, now: Instant) -> bool {
        self.questions.refill(now, &QUESTIONS);
        let granted = !self.questions.is_empty();
        self.questions.take(1);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HW_A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xa]);
    const HW_B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xb]);
    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

    const CAPACITY: usize = 200;

    struct Bench {
        neighbours: Neighbours,
        pool: FramePool,
        counters: Counters,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                neighbours: Neighbours::new([7; 16], CAPACITY, 32),
                pool: FramePool::new(64, 256),
                counters: Counters::default(),
                now: Instant::from_millis(1_000),
            }
        }

        fn resolve(&mut self, address: IpAddr) -> Resolution {
            self.neighbours
                .resolve(self.now, 0, address, &mut self.pool, &mut self.counters)
        }

        /// Sends a packet of one byte, if it has to wait.
        fn send(&mut self, address: IpAddr, mark: u8) -> Resolution {
            let resolution = self.resolve(address);
            if let Resolution::Asking(index) = resolution {
                let frame = self.pool.allocate().unwrap();
                self.pool.buffer_mut(&frame)[0] = mark;
                let (rest, pool) = (FrameQueue::default(), &mut self.pool);
                self.neighbours
                    .queue(index, frame, rest, pool, &mut self.counters);
            }
            resolution
        }

        fn learn(&mut self, hardware: EthernetAddress, evidence: Evidence) -> Learned {
            let sender = (hardware, ADDRESS);
            let (pool, counters) = (&mut self.pool, &mut self.counters);
            self.neighbours
                .learn(self.now, 0, sender, evidence, pool, counters)
        }

        fn request(&mut self) -> Option<Request> {
            let due = core::iter::from_fn(|| {
                self.neighbours
                    .next_request(self.now, &mut self.pool, &mut self.counters)
            });
            let request = due.into_iter().find_map(|due| match due {
                Due::Ask(request) => Some(request),
                Due::Lost { .. } => None,
            });
            while let Some(frame) = self.neighbours.take_undeliverable(&mut self.pool) {
                self.pool.free(frame);
            }
            request
        }

        fn advance(&mut self, seconds: u64) {
            self.now = self.now + Duration::from_secs(seconds);
        }

        #[track_caller]
        fn assert_known(&mut self, hardware: EthernetAddress) {
            match self.resolve(ADDRESS) {
                Resolution::Known {
                    hardware: known, ..
                } => assert_eq!(known, hardware),
                other => panic!("not known: {other:?}"),
            }
        }

        #[track_caller]
        fn assert_request(&mut self, hardware: Option<EthernetAddress>) {
            let expected = Request {
                interface: 0,
                address: ADDRESS,
                hardware,
            };
            assert_eq!(self.request(), Some(expected));
            assert_eq!(self.request(), None, "one request at a time");
        }
    }

    fn host(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a01_0000 + number).into()
    }

    #[test]
    fn packets_wait_for_the_answer_and_leave_in_order() {
        let mut bench = Bench::new();
        for mark in 0..3 {
            bench.send(ADDRESS, mark);
        }
        bench.assert_request(None);
        let Learned::Resolved(mut waiting) = bench.learn(HW_A, Evidence::Reply) else {
            panic!("the answer resolves");
        };
        for mark in 0..3 {
            let frame = waiting.pop_front(&mut bench.pool).unwrap();
            assert_eq!(bench.pool.buffer(&frame)[0], mark);
            bench.pool.free(frame);
        }
        bench.assert_known(HW_A);
        assert_eq!(
            (bench.neighbours.pending, bench.neighbours.next_timeout()),
            (0, None)
        );
    }

    #[test]
    fn the_oldest_of_too_many_waiting_packets_is_dropped() {
        let mut bench = Bench::new();
        for mark in 0..10 {
            bench.send(ADDRESS, mark);
        }
        assert_eq!(
            (
                bench.neighbours.pending,
                bench.counters.neighbour_pending_dropped
            ),
            (8, 2)
        );
        let Learned::Resolved(mut waiting) = bench.learn(HW_A, Evidence::Reply) else {
            panic!("the answer resolves");
        };
        let first = waiting.pop_front(&mut bench.pool).unwrap();
        assert_eq!(bench.pool.buffer(&first)[0], 2);
        bench.pool.free(first);
        waiting.clear(&mut bench.pool);
        assert_eq!(bench.pool.free_frames(), 64);
    }

    #[test]
    fn a_silent_neighbour_is_asked_three_times_once_a_second_and_then_given_up() {
        let mut bench = Bench::new();
        bench.send(ADDRESS, 1);
        for _ in 0..3 {
            bench.assert_request(None);
            assert_eq!(
                bench.neighbours.next_timeout(),
                Some(bench.now + REQUEST_INTERVAL)
            );
            bench.advance(1);
        }
        assert_eq!(bench.request(), None);
        assert_eq!(
            (
                bench.counters.neighbour_failed,
                bench.counters.neighbour_pending_expired
            ),
            (1, 1)
        );
        assert_eq!(
            (bench.pool.free_frames(), bench.neighbours.next_timeout()),
            (64, None)
        );
        assert!(
            matches!(bench.resolve(ADDRESS), Resolution::Asking(_)),
            "a later packet asks again"
        );
    }

    #[test]
    fn nobody_gets_an_entry_without_being_asked_or_asking_for_us() {
        let mut bench = Bench::new();
        assert_eq!(bench.learn(HW_A, Evidence::Reply), Learned::Unknown);
        assert_eq!(bench.learn(HW_A, Evidence::Overheard), Learned::Unknown);
        assert_eq!(bench.neighbours.by_use.len(), 0);
        assert_eq!(bench.learn(HW_A, Evidence::RequestToUs), Learned::Confirmed);
        bench.assert_known(HW_A);
    }

    #[test]
    fn a_stale_neighbour_is_used_and_polled_by_unicast_first() {
        let mut bench = Bench::new();
        bench.learn(HW_A, Evidence::RequestToUs);
        bench.advance(29);
        bench.assert_known(HW_A);
        assert_eq!(bench.request(), None, "still reachable");
        bench.advance(1);
        bench.assert_known(HW_A);
        for asked in [Some(HW_A), Some(HW_A), None, None, None] {
            bench.assert_request(asked);
            bench.assert_known(HW_A);
            bench.advance(1);
        }
        let generation = bench.neighbours.generation();
        assert_eq!(bench.request(), None);
        assert_eq!(bench.counters.neighbour_failed, 1);
        assert_ne!(
            bench.neighbours.generation(),
            generation,
            "whoever remembers it must ask again"
        );
        assert!(matches!(bench.resolve(ADDRESS), Resolution::Asking(_)));
    }

    #[test]
    fn an_answer_to_a_probe_makes_the_neighbour_reachable_again() {
        let mut bench = Bench::new();
        bench.learn(HW_A, Evidence::RequestToUs);
        bench.advance(40);
        bench.assert_known(HW_A);
        bench.assert_request(Some(HW_A));
        assert_eq!(bench.learn(HW_A, Evidence::Reply), Learned::Confirmed);
        bench.advance(20);
        bench.assert_known(HW_A);
        assert_eq!(
            (bench.request(), bench.neighbours.next_timeout()),
            (None, None)
        );
    }

    #[test]
    fn an_entry_that_nothing_confirmed_for_ten_minutes_is_forgotten() {
        let mut bench = Bench::new();
        bench.learn(HW_A, Evidence::RequestToUs);
        bench.advance(600);
        assert!(matches!(bench.resolve(ADDRESS), Resolution::Asking(_)));
    }

    #[test]
    fn a_contradicting_claim_changes_nothing_while_the_owner_answers() {
        let mut bench = Bench::new();
        bench.learn(HW_A, Evidence::RequestToUs);
        for evidence in [Evidence::RequestToUs, Evidence::Reply, Evidence::Overheard] {
            assert_eq!(bench.learn(HW_B, evidence), Learned::Contested);
            bench.assert_known(HW_A);
        }
        bench.assert_request(Some(HW_A));
        assert_eq!(bench.learn(HW_A, Evidence::Reply), Learned::Confirmed);
        assert_eq!(bench.learn(HW_B, Evidence::Overheard), Learned::Contested);
        assert_eq!(
            bench.request(),
            None,
            "claims cause at most a probe every 5 s"
        );
        bench.assert_known(HW_A);
    }

    #[test]
    fn a_host_that_moved_is_found_by_asking_everybody() {
        let mut bench = Bench::new();
        bench.learn(HW_A, Evidence::RequestToUs);
        assert_eq!(bench.learn(HW_B, Evidence::Overheard), Learned::Contested);
        for asked in [Some(HW_A), Some(HW_A), None] {
            bench.assert_request(asked);
            bench.advance(1);
        }
        let generation = bench.neighbours.generation();
        assert_eq!(bench.learn(HW_B, Evidence::Reply), Learned::Confirmed);
        assert_ne!(bench.neighbours.generation(), generation);
        bench.assert_known(HW_B);
    }

    #[test]
    fn interfaces_have_neighbours_of_their_own() {
        let mut bench = Bench::new();
        bench.learn(HW_A, Evidence::RequestToUs);
        let other =
            bench
                .neighbours
                .resolve(bench.now, 1, ADDRESS, &mut bench.pool, &mut bench.counters);
        assert!(matches!(other, Resolution::Asking(_)));
    }

    #[test]
    fn questions_are_bounded_in_number_and_rate_and_push_out_no_known_neighbour() {
        let mut bench = Bench::new();
        bench.learn(HW_A, Evidence::RequestToUs);
        for number in 0..100_000 {
            bench.send(host(number), 0);
            if number % 1_000 == 0 {
                bench.now = bench.now + Duration::from_millis(5);
            }
        }
        assert_eq!(bench.neighbours.incomplete.len(), MAX_INCOMPLETE);
        assert!(bench.neighbours.pending <= 32);
        assert!(bench.counters.neighbour_rate_limited > 99_000);
        let mut requests = 0;
        while bench.request().is_some() {
            requests += 1;
        }
        assert_eq!(requests, MAX_INCOMPLETE);
        bench.assert_known(HW_A);
        bench.advance(10);
        while bench.request().is_some() {}
        bench.advance(10);
        while bench.request().is_some() {}
        bench.advance(10);
        assert_eq!(bench.request(), None);
        bench.advance(10);
        assert_eq!(bench.request(), None);
        assert_eq!(
            (bench.pool.free_frames(), bench.neighbours.pending),
            (64, 0)
        );
    }

    #[test]
    fn the_least_recently_used_neighbour_makes_room() {
        let mut bench = Bench::new();
        bench.learn(HW_A, Evidence::RequestToUs);
        for number in 0..10_000 {
            bench.neighbours.learn(
                bench.now,
                0,
                (HW_B, host(number)),
                Evidence::RequestToUs,
                &mut bench.pool,
                &mut bench.counters,
            );
            if number % 100 == 0 {
                bench.assert_known(HW_A);
            }
        }
        bench.assert_known(HW_A);
        assert_eq!(bench.neighbours.by_use.len(), CAPACITY);
        assert_eq!(bench.counters.neighbour_evicted, 10_001 - CAPACITY as u64);
        assert_eq!(bench.neighbours.find(0, host(0)), None);
        assert!(bench.neighbours.find(0, host(9_999)).is_some());
    }
}
