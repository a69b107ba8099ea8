//! The stack: interfaces, addresses, routes and sockets, driven by frames, calls and time.

mod addresses;
mod arp;
mod dhcp;
mod fragmentation;
mod groups;
mod icmp;
mod ipv6;
mod links;
mod reassembly;
mod receive;
mod resolvers;
mod routing;
mod transmit;
mod udp;
mod udp_user;
mod user;

pub(crate) use dhcp::DhcpClient;
pub use udp_user::{UdpDatagram, UdpReceived};

use crate::config::{Config, Limits, neighbours, reassembled_packets};
use crate::counters::Counters;
use crate::device::{InterfaceId, RxChecksum, RxInfo};
use crate::error::ConfigError;
use crate::ip::{Destinations, IcmpLimit, Identifications, Interface, Reassembly, Routes};
use crate::log::{Change, Journal, Missed, Module};
use crate::neigh::Neighbours;
use crate::pool::{Frame, FramePool, FrameQueue, HEADROOM};
use crate::rng::Rng;
use crate::tcp::Tcp;
use crate::time::Instant;
use crate::udp::Udp;
use crate::wire::ethernet::TAGGED_HEADER_LEN;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Where a received frame starts in its buffer: the IP header comes to lie on a multiple of 4,
/// and there is room in front of it for the headers of an ICMP error that quotes it.
const RX_OFFSET: usize = HEADROOM - TAGGED_HEADER_LEN;

/// The state of the frame pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Frames in all.
    pub total: usize,
    /// Frames that hold nothing: free, or staged for the next received frame.
    pub free: usize,
    /// The fewest frames that the pool ever had left.
    pub lowest_free: usize,
}

/// How much of the tables is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// TCP connections, those included that finish closing without a handle.
    pub connections: usize,
    /// Half-open TCP connections of the listeners.
    pub half_open: usize,
    /// Remembered TIME-WAIT states.
    pub time_wait: usize,
    /// The connections whose handle was closed.
    pub orphaned: usize,
    /// UDP sockets.
    pub udp_sockets: usize,
}

/// The protocols of a host, as one state machine.
///
/// Frames and calls go in, with the time; frames and events come out. Nothing else happens: the
/// stack reads no clock, knows no device, calls nobody back, and after [`Stack::new`] it allocates
/// nothing. The same calls with the same seed have the same results.
///
/// # Calling order
/// A loop around a stack repeats:
///
/// 1. for each frame that the device has: [`receive_buffer`](Stack::receive_buffer), read into
///    it, [`receive`](Stack::receive); as many as are there, so that they are acknowledged
///    together;
/// 2. [`handle_timeout`](Stack::handle_timeout);
/// 3. [`poll_event`](Stack::poll_event) until it gives `None`, and the calls that the events are
///    a reason for;
/// 4. [`transmit`](Stack::transmit) until it gives `None`, sending each frame;
/// 5. wait for a frame, or until [`next_timeout`](Stack::next_timeout).
///
/// Step 4 is due after every batch of inputs: replies, acknowledgements and questions for Ethernet
/// addresses are made there.
///
/// Time never goes back; an earlier `now` counts as the latest one seen.
///
/// # What is not built
/// Packets to our own addresses find no route.
#[derive(Debug)]
pub struct Stack {
    now: Instant,
    pool: FramePool,
    rng: Rng,
    counters: Counters,
    limits: Limits,
    max_mtu: usize,
    min_path_mtu: usize,
    /// The frame that the next received frame is read into.
    staged: Option<Frame>,
    /// The frame given out by the last `transmit`, to be freed by the next one.
    sent: Option<Frame>,
    /// Complete frames to be sent; `flags` of the descriptor is the interface.
    ready: FrameQueue,
    /// As many as the configuration allows have room.
    interfaces: Vec<Interface>,
    max_interfaces: usize,
    routes: Routes,
    /// Changes with the routes and our addresses.
    routes_generation: u32,
    destinations: Destinations,
    neighbours: Neighbours,
    /// When an interface has something to do with its IPv4 addresses; not known if it is
    /// [`Instant::ZERO`].
    ipv4_due: Instant,
    /// An offer of a DHCP server may wait for its owner's word.
    offers_wait: bool,
    /// When an interface has something to do for IPv6, for its groups, or with what it knows of DNS;
    /// not known if it is [`Instant::ZERO`].
    ipv6_due: Instant,
    icmp_limit: IcmpLimit,
    /// What DHCPv6 servers know us by, on all interfaces (RFC 8415 §11).
    dhcp6_uuid: Option<[u8; 16]>,
    reassembly: Reassembly,
    identifications: Identifications,
    udp: Udp,
    tcp: Tcp,
    /// Neighbours and conflicts, for whoever keeps a log.
    journal: Journal,
}

/// An offset or a length within a frame, which has at most 65,535 bytes.
fn within_frame(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// The resources of `$stack` as a [`Context`](crate::context::Context), leaving its other fields free.
macro_rules! context {
    ($stack:expr) => {
        $crate::context::Context {
            now: $stack.now,
            pool: &mut $stack.pool,
            rng: &mut $stack.rng,
            counters: &mut $stack.counters,
        }
    };
}
use context;

impl Stack {
    /// A stack without interfaces. All its memory is allocated here.
    ///
    /// `seed` makes sequence numbers, ports and hash keys unpredictable: it must be fresh entropy
    /// for every start outside of tests, or the stack can be attacked from off the path
    /// (RFC 6528, RFC 6056).
    ///
    /// # Errors
    /// What [`Limits::derive`] refuses.
    pub fn new(config: &Config, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        let limits = Limits::derive(config)?;
        let mut rng = Rng::new(seed);
        let max_pending = limits.waiting_frames();
        Ok(Self {
            now,
            pool: FramePool::new(limits.frames, limits.frame_size),
            counters: Counters::default(),
            max_mtu: config.max_mtu,
            min_path_mtu: config.min_path_mtu,
            staged: None,
            sent: None,
            ready: FrameQueue::default(),
            interfaces: Vec::with_capacity(config.max_interfaces),
            max_interfaces: config.max_interfaces,
            routes: Routes::default(),
            routes_generation: 0,
            destinations: Destinations::new(),
            neighbours: Neighbours::new(rng.key(), neighbours(config), max_pending),
            ipv4_due: Instant::FAR_FUTURE,
            offers_wait: false,
            ipv6_due: Instant::FAR_FUTURE,
            icmp_limit: IcmpLimit::new(rng.key()),
            dhcp6_uuid: None,
            reassembly: Reassembly::new(
                rng.key(),
                reassembled_packets(config),
                limits.most_fragments(),
                limits.reserved_frames,
            ),
            identifications: Identifications::new(rng.key()),
            udp: Udp::new(config, &limits, &mut rng),
            tcp: Tcp::new(
                &config.tcp,
                &limits,
                config.max_listeners,
                config.max_connections_per_peer,
                &mut rng,
                now,
            )?,
            limits,
            rng,
            journal: Journal::default(),
        })
    }

    /// Room for the next received frame: at least the largest MTU and a tagged Ethernet header.
    /// Read into it from the start, then call [`Stack::receive`]; until then it is the same frame.
    ///
    /// `None` when no frame is free, which is counted: leave the packet with the device, and come
    /// back after [`Stack::transmit`] and after the users have read.
    pub fn receive_buffer(&mut self) -> Option<&mut [u8]> {
        if self.staged.is_none() {
            self.staged = self.pool.allocate();
        }
        match &self.staged {
            Some(frame) => self.pool.buffer_mut(frame).get_mut(RX_OFFSET..),
            None => {
                self.counters.rx_no_frame += 1;
                None
            }
        }
    }

    /// Takes in the frame that was read into [`Stack::receive_buffer`]. Without a call of that
    /// since the last frame there is none, and nothing happens.
    pub fn receive(&mut self, now: Instant, interface: InterfaceId, info: RxInfo) {
        self.advance(now);
        let Some(frame) = self.staged.take() else {
            return;
        };
        self.counters.rx_frames += 1;
        self.counters.rx_bytes = self.counters.rx_bytes.wrapping_add(info.len as u64);
        let room = self.pool.frame_size() - RX_OFFSET;
        match u16::try_from(info.len) {
            Ok(len) if info.len <= room => {
                let descriptor = self.pool.descriptor_mut(&frame);
                descriptor.start = within_frame(RX_OFFSET);
                descriptor.len = len;
                let verified = info.checksum == RxChecksum::Verified;
                self.receive_frame(interface, frame, verified);
            }
            _ => self.discard_on_link(interface.0, frame, |counters| &mut counters.rx_oversize),
        }
    }

    /// Takes in a frame from the caller's own buffer: one copy more than [`Stack::receive`].
    /// Without a free frame it is dropped and counted.
    pub fn receive_copy(&mut self, now: Instant, interface: InterfaceId, frame: &[u8]) {
        let Some(buffer) = self.receive_buffer() else {
            return;
        };
        if let Some(place) = buffer.get_mut(..frame.len()) {
            place.copy_from_slice(frame);
        }
        self.receive(
            now,
            interface,
            RxInfo {
                len: frame.len(),
                ..RxInfo::default()
            },
        );
    }

    /// Does what is due by now. Call [`Stack::transmit`] afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        // Whoever waits for a neighbour that does not answer must hear of it before the next sleep.
        while !self.links_are_quiet() && self.send_due_arp() {}
        if self.reassembly.next_timeout() <= self.now {
            self.expire_fragments();
        }
        self.tcp.handle_timeout(&mut context!(self));
    }

    /// When to call [`Stack::handle_timeout`] and [`Stack::transmit`] again, if no frame comes
    /// before; `None`: nothing is going to happen by itself. May be in the past.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.links_are_idle() {
            return self.tcp.next_timeout();
        }
        let addresses = self.next_ipv4_timeout();
        let addresses = addresses.into_iter().chain(self.next_ipv6_timeout());
        let addresses = addresses.chain(self.next_fragment_timeout());
        let neighbours = self.neighbours.next_timeout();
        addresses
            .chain(neighbours)
            .chain(self.tcp.next_timeout())
            .min()
    }

    /// Whether the protocols of the links themselves, those of addresses, neighbours, routers and
    /// groups, have nothing to do now. This is asked for each frame.
    #[inline(always)]
    fn links_are_quiet(&self) -> bool {
        let due = self.routes.next_timeout().unwrap_or(Instant::FAR_FUTURE);
        self.now < due.min(self.ipv6_due).min(self.ipv4_due) && self.neighbours.are_quiet()
    }

    /// Whether they have nothing to do at any time.
    #[inline(always)]
    fn links_are_idle(&self) -> bool {
        self.ipv6_due.min(self.ipv4_due) == Instant::FAR_FUTURE
            && self.routes.next_timeout().is_none()
            && self.reassembly.next_timeout() == Instant::FAR_FUTURE
            && self.neighbours.are_quiet()
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The state of the frame pool.
    #[must_use]
    pub fn pool_frames(&self) -> PoolStats {
        let held = usize::from(self.staged.is_some()) + usize::from(self.sent.is_some());
        PoolStats {
            total: self.pool.frames(),
            free: self.pool.free_frames() + held,
            lowest_free: self.pool.lowest_free_frames(),
        }
    }

    /// The limits that follow from the configuration.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How much of the tables is in use.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let tcp = self.tcp.state_counts();
        Usage {
            connections: tcp.connections,
            half_open: tcp.half_open,
            time_wait: tcp.time_wait,
            orphaned: tcp.orphaned,
            udp_sockets: self.udp.sockets(),
        }
    }

    /// Fills `bytes` with numbers from the stack's generator, for its owner's use.
    pub fn random(&mut self, bytes: &mut [u8]) {
        self.rng.fill(bytes);
    }

    /// Begins or ends the journals that an observer reads. Beginning allocates.
    pub(crate) fn keep_journal(&mut self, keep: bool) {
        self.journal.keep(keep);
        self.tcp.journal_mut().keep(keep);
    }

    /// Whether there is a change in them.
    pub(crate) fn has_changes(&self) -> bool {
        self.journal.has_changes() || self.tcp.journal().has_changes()
    }

    /// Whether changes were too many for one of them.
    pub(crate) fn has_missed(&self) -> bool {
        self.journal.has_missed() || self.tcp.journal().has_missed()
    }

    /// Takes a change out of them.
    pub(crate) fn take_change(&mut self) -> Option<(Instant, Change)> {
        // What others do on the link is not to wait behind connections.
        let own = self.journal.take();
        own.or_else(|| self.tcp.journal_mut().take())
    }

    /// How many changes were too many for each of them.
    pub(crate) fn take_missed(&mut self) -> [(Module, Missed); 2] {
        [
            (Module::Neighbour, self.journal.take_missed()),
            (Module::Tcp, self.tcp.journal_mut().take_missed()),
        ]
    }

    /// A number that changes with addresses and routes.
    pub(crate) fn routes_generation(&self) -> u32 {
        self.routes_generation
    }

    /// What TCP and UDP have learned of paths: how often, and the latest that carries less.
    pub(crate) fn latest_paths(&self) -> [(u32, Option<(IpAddr, u16)>); 2] {
        [self.tcp.latest_path(), self.udp.latest_path()]
    }

    /// Takes a header of `len` bytes off a frame's content.
    fn strip(&mut self, frame: &Frame, len: usize) {
        let descriptor = self.pool.descriptor_mut(frame);
        let len = within_frame(len).min(descriptor.len);
        descriptor.start += len;
        descriptor.len -= len;
    }

    /// Puts a header in front of a frame's content, where there is room for it.
    fn prepend(&mut self, frame: &Frame, header: &[u8]) {
        self.make_room(frame, header.len()).copy_from_slice(header);
    }

    /// Room for a header of `len` bytes in front of a frame's content, and part of it from now on.
    fn make_room(&mut self, frame: &Frame, len: usize) -> &mut [u8] {
        let descriptor = self.pool.descriptor_mut(frame);
        let more = within_frame(len);
        debug_assert!(descriptor.start >= more);
        descriptor.start = descriptor.start.saturating_sub(more);
        descriptor.len += more;
        &mut self.pool.content_mut(frame)[..len]
    }

    /// Time never goes back.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Whether this is an address of ours on any interface.
    fn owns(&self, address: IpAddr) -> bool {
        self.interfaces
            .iter()
            .any(|interface| interface.owns(address))
    }

    /// Frees a frame and counts why.
    fn discard(&mut self, frame: Frame, reason: impl FnOnce(&mut Counters) -> &mut u64) {
        self.pool.free(frame);
        *reason(&mut self.counters) += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Filter, Level, Observer};
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn that_there_was_no_frame_to_receive_into_is_told() {
        let config = Config {
            memory: 1 << 20,
            ..Config::default()
        };
        let now = Instant::from_millis(5);
        let mut stack = Stack::new(&config, [1; 32], now).unwrap();
        let mut log = Observer::new(&mut stack, now, Filter::all(Some(Level::Debug)));
        let frames: Vec<_> = core::iter::from_fn(|| stack.pool.allocate()).collect();
        assert!(stack.receive_buffer().is_none());
        assert!(log.is_behind(&stack));
        log.observe(&mut stack, now);
        assert_eq!(log.next(), None);
        let due = log.next_timeout().unwrap();
        log.observe(&mut stack, due);
        let told = log.next().map(|event| event.to_string());
        assert_eq!(told.as_deref(), Some("rx_no_frame: 1 more"));
        assert_eq!(log.next_timeout(), None);
        for frame in frames {
            stack.pool.free(frame);
        }
    }
}
