//! The sockets of a stack.

use crate::config::{Config, Limits};
use crate::context::{Context, IcmpError};
use crate::demux::Demux;
use crate::error::{BadHandle, BindError, RecvFromError};
use crate::ip::PathMtus;
use crate::pool::{Frame, FramePool, FrameQueue};
use crate::rng::Rng;
use crate::socket::{Event, Readiness, SocketId, SocketKind, unspecified_like};
use crate::time::Instant;
use crate::wire::{ipv4, ipv6};
use alloc::boxed::Box;
use core::hash::Hasher;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use siphasher::sip::SipHasher13;

/// Destinations that a socket remembers, so that only ICMP errors about them reach it.
const REMEMBERED: usize = 4;
/// The range of ephemeral ports: RFC 6056 §3.2 asks for as many as there can be.
const FIRST_EPHEMERAL: u16 = 1_024;
/// How many random ports are tried before ports in a row are.
const RANDOM_TRIES: u32 = 16;

#[derive(Debug)]
struct Socket {
    local: (IpAddr, u16),
    /// Datagrams, oldest first: the descriptor delimits the payload, `flags` is the sender's port,
    /// `sum` the place of the IP header, which has its address, and `link` the interface.
    queue: FrameQueue,
    /// An ICMP error that has not been reported.
    error: Option<RecvFromError>,
    /// The latest destinations, and which of them is replaced next.
    sent_to: [(IpAddr, u16); REMEMBERED],
    next_sent_to: usize,
    /// A send was refused for want of a frame.
    blocked: bool,
}

#[derive(Debug)]
struct Place {
    socket: Option<Socket>,
    generation: u32,
    /// Whether the place is in the ring of events.
    has_event: bool,
}

/// A datagram taken from a queue. The caller frees the frame.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) frame: Frame,
    pub(crate) remote: SocketAddr,
    /// The interface that it came by.
    pub(crate) interface: u8,
}

/// All sockets.
#[derive(Debug)]
pub(crate) struct Udp {
    places: Box<[Place]>,
    /// The free places are the first ones here, the next to be taken last.
    free: Box<[u32]>,
    demux: Demux,
    key: [u8; 16],
    /// What errors about datagrams have told. TCP, which asks for a number that is hard to guess,
    /// does not believe it.
    path_mtus: PathMtus,
    used: usize,
    /// Places with an event to report: a ring with room for each of them once.
    events: Box<[u32]>,
    first_event: usize,
    event_count: usize,
    /// Sockets whose last send was refused.
    blocked: usize,
    /// Frames in one queue, and in all of them.
    max_queue: usize,
    max_queued: usize,
    queued: usize,
    reserved: usize,
}

impl Udp {
    pub(crate) fn new(config: &Config, limits: &Limits, rng: &mut Rng) -> Self {
        let count = config.max_udp_sockets;
        let key = rng.key();
        Self {
            places: (0..count)
                .map(|_| Place {
                    socket: None,
                    generation: 0,
                    has_event: false,
                })
                .collect(),
            free: (0..u32::try_from(count).unwrap_or(u32::MAX))
                .rev()
                .collect(),
            demux: Demux::new(count),
            key,
            path_mtus: PathMtus::new(key),
            used: 0,
            events: (0..count).map(|_| 0).collect(),
            first_event: 0,
            event_count: 0,
            blocked: 0,
            max_queue: (config.udp_receive_buffer / limits.frame_size).max(1),
            max_queued: limits.most_datagrams(),
            queued: 0,
            reserved: limits.reserved_frames,
        }
    }

    /// Sockets that exist.
    pub(crate) fn sockets(&self) -> usize {
        self.used
    }

    /// Frames in all receive queues.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    fn hash(&self, address: IpAddr, port: u16) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        match address {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()),
        }
        hasher.write_u16(port);
        hasher.finish()
    }

    fn find(&self, address: IpAddr, port: u16) -> Option<u32> {
        self.demux.find(self.hash(address, port), |index| {
            self.places[index as usize]
                .socket
                .as_ref()
                .is_some_and(|socket| socket.local == (address, port))
        })
    }

    /// The socket for a datagram to this address and port: one bound to the address goes first.
    fn receiver(&self, address: IpAddr, port: u16) -> Option<u32> {
        self.find(address, port)
            .or_else(|| self.find(unspecified_like(address), port))
    }

    fn index_of(&self, id: SocketId) -> Result<u32, BadHandle> {
        let place = self.places.get(id.index()).ok_or(BadHandle)?;
        let matches = id.kind() == SocketKind::Udp
            && place.socket.is_some()
            && place.generation == id.generation();
        if matches {
            u32::try_from(id.index()).map_err(|_| BadHandle)
        } else {
            Err(BadHandle)
        }
    }

    fn socket(&self, id: SocketId) -> Result<&Socket, BadHandle> {
        let index = self.index_of(id)?;
        self.places[index as usize].socket.as_ref().ok_or(BadHandle)
    }

    fn socket_mut(&mut self, id: SocketId) -> Result<&mut Socket, BadHandle> {
        let index = self.index_of(id)?;
        self.places[index as usize].socket.as_mut().ok_or(BadHandle)
    }

    /// Creates a socket; port 0 asks for a random free one. The caller has checked the address.
    pub(crate) fn bind(
        &mut self,
        address: IpAddr,
        port: u16,
        rng: &mut Rng,
    ) -> Result<SocketId, BindError> {
        let free = self.places.len() - self.used;
        let last = free.checked_sub(1).ok_or(BindError::LimitReached)?;
        let index = self.free[last];
        let port = match port {
            0 => self
                .ephemeral_port(address, rng)
                .ok_or(BindError::AddressInUse)?,
            port if self.find(address, port).is_some() => return Err(BindError::AddressInUse),
            port => port,
        };
        if !self.demux.insert(self.hash(address, port), index) {
            return Err(BindError::LimitReached);
        }
        let place = &mut self.places[index as usize];
        place.socket = Some(Socket {
            local: (address, port),
            queue: FrameQueue::default(),
            error: None,
            sent_to: [(unspecified_like(address), 0); REMEMBERED],
            next_sent_to: 0,
            blocked: false,
        });
        self.used += 1;
        Ok(SocketId::new(SocketKind::Udp, index, place.generation))
    }

    /// A random port (RFC 6056 §3.3.1) that no socket has on any address.
    fn ephemeral_port(&self, address: IpAddr, rng: &mut Rng) -> Option<u16> {
        let span = u32::from(u16::MAX - FIRST_EPHEMERAL) + 1;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "below the span of 16-bit ports"
        )]
        let port = |offset: u32| FIRST_EPHEMERAL + (offset % span) as u16;
        let any = unspecified_like(address);
        let is_free =
            |port: &u16| self.find(address, *port).is_none() && self.find(any, *port).is_none();
        let random = (0..RANDOM_TRIES)
            .map(|_| port(rng.u32() % span))
            .find(is_free);
        // Of so many ports in a row, one must be free if any is: no socket has two.
        let start = rng.u32() % span;
        let enough = u32::try_from(self.used).map_or(span, |used| span.min(used + 1));
        let mut row = (start..start + enough).map(port);
        random.or_else(|| row.find(is_free))
    }

    /// Closes a socket and frees what waits in it.
    pub(crate) fn close(&mut self, id: SocketId, pool: &mut FramePool) -> Result<(), BadHandle> {
        let index = self.index_of(id)?;
        let place = &mut self.places[index as usize];
        let mut socket = place.socket.take().ok_or(BadHandle)?;
        place.generation = place.generation.wrapping_add(1);
        self.queued -= socket.queue.len();
        self.blocked -= usize::from(socket.blocked);
        socket.queue.clear(pool);
        self.demux
            .remove(self.hash(socket.local.0, socket.local.1), index);
        self.free[self.places.len() - self.used] = index;
        self.used -= 1;
        Ok(())
    }

    pub(crate) fn local_addr(&self, id: SocketId) -> Result<SocketAddr, BadHandle> {
        self.socket(id).map(|socket| SocketAddr::from(socket.local))
    }

    /// Takes in a datagram: `frame`'s descriptor delimits the payload, and the packet's IP header
    /// starts at `header` in its buffer. Says whether a socket has the port; if not, the frame
    /// comes back.
    pub(crate) fn receive(
        &mut self,
        cx: &mut Context<'_>,
        frame: Frame,
        (interface, header, source_port): (u8, u16, u16),
        (destination, port): (IpAddr, u16),
    ) -> Result<(), Frame> {
        let Some(index) = self.receiver(destination, port) else {
            return Err(frame);
        };
        let Some(socket) = &mut self.places[index as usize].socket else {
            return Err(frame);
        };
        if socket.queue.len() >= self.max_queue {
            cx.counters.udp_queue_full += 1;
            cx.pool.free(frame);
            return Ok(());
        }
        if self.queued >= self.max_queued || cx.pool.free_frames() < self.reserved {
            cx.counters.udp_pool_low += 1;
            cx.pool.free(frame);
            return Ok(());
        }
        let descriptor = cx.pool.descriptor_mut(&frame);
        descriptor.sum = header;
        descriptor.link = u32::from(interface);
        descriptor.flags = source_port;
        socket.queue.push_back(cx.pool, frame);
        self.queued += 1;
        if socket.queue.len() == 1 {
            self.raise(index);
        }
        Ok(())
    }

    /// The next datagram, or the error that an earlier one caused.
    pub(crate) fn receive_from(
        &mut self,
        id: SocketId,
        pool: &mut FramePool,
    ) -> Result<Received, RecvFromError> {
        let socket = self
            .socket_mut(id)
            .map_err(|BadHandle| RecvFromError::BadHandle)?;
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let frame = socket
            .queue
            .pop_front(pool)
            .ok_or(RecvFromError::WouldBlock)?;
        self.queued -= 1;
        let descriptor = pool.descriptor(&frame);
        let header = pool.buffer(&frame).get(usize::from(descriptor.sum)..);
        let address = source_of(header.unwrap_or_default());
        Ok(Received {
            remote: SocketAddr::new(address, descriptor.flags),
            interface: u8::try_from(descriptor.link).unwrap_or(u8::MAX),
            frame,
        })
    }

    /// Notes that a datagram was sent.
    pub(crate) fn sent(&mut self, id: SocketId, address: IpAddr, port: u16) {
        if let Ok(socket) = self.socket_mut(id)
            && !socket.sent_to.contains(&(address, port))
        {
            socket.sent_to[socket.next_sent_to % REMEMBERED] = (address, port);
            socket.next_sent_to = (socket.next_sent_to + 1) % REMEMBERED;
        }
    }

    /// Notes that a send was refused for want of a frame: an event follows when there is one.
    pub(crate) fn block(&mut self, id: SocketId) {
        if let Ok(socket) = self.socket_mut(id)
            && !socket.blocked
        {
            socket.blocked = true;
            self.blocked += 1;
        }
    }

    /// The largest packet that the path to an address carries, as far as datagrams have found out.
    pub(crate) fn path_mtu(&mut self, now: Instant, address: IpAddr) -> Option<usize> {
        self.path_mtus.get(now, address).map(usize::from)
    }

    /// An ICMP error about a datagram from `local` to `remote`: whether a socket sent such a one.
    pub(crate) fn icmp_error(
        &mut self,
        cx: &mut Context<'_>,
        local: (IpAddr, u16),
        remote: (IpAddr, u16),
        error: IcmpError,
    ) -> bool {
        let Some(index) = self.receiver(local.0, local.1) else {
            return false;
        };
        let Some(socket) = &mut self.places[index as usize].socket else {
            return false;
        };
        if !socket.sent_to.contains(&remote) {
            return false;
        }
        socket.error = match error {
            IcmpError::PortUnreachable | IcmpError::ProtocolUnreachable => {
                Some(RecvFromError::Refused)
            }
            IcmpError::Unreachable => Some(RecvFromError::Unreachable),
            // RFC 8085 §3.2: the next datagram of that size is refused.
            IcmpError::FragmentationNeeded { mtu } => {
                let known = self.path_mtus.get(cx.now, remote.0);
                if known.is_none_or(|known| mtu < known) {
                    self.path_mtus.lower(cx.now, remote.0, mtu);
                    cx.counters.udp_path_mtu_lowered += 1;
                }
                return true;
            }
            // Passing troubles of the network, not of the peer.
            IcmpError::TimeExceeded | IcmpError::ParameterProblem => return true,
        };
        self.raise(index);
        true
    }

    fn raise(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        if !place.has_event {
            place.has_event = true;
            let at = (self.first_event + self.event_count) % self.events.len();
            self.events[at] = index;
            self.event_count += 1;
        }
    }

    pub(crate) fn poll_event(&mut self, pool: &FramePool) -> Option<Event> {
        if self.blocked > 0 && pool.free_frames() > self.reserved {
            self.unblock();
        }
        while self.event_count > 0 {
            let index = self.events[self.first_event];
            self.first_event = (self.first_event + 1) % self.events.len();
            self.event_count -= 1;
            let place = &mut self.places[index as usize];
            place.has_event = false;
            let id = SocketId::new(SocketKind::Udp, index, place.generation);
            if let Ok(readiness) = self.readiness(id, pool) {
                return Some(Event {
                    socket: id,
                    readiness,
                });
            }
        }
        None
    }

    /// Raises an event for every socket whose last send was refused.
    fn unblock(&mut self) {
        self.blocked = 0;
        for index in 0..self.places.len() {
            if let Some(socket) = &mut self.places[index].socket
                && core::mem::take(&mut socket.blocked)
                && let Ok(index) = u32::try_from(index)
            {
                self.raise(index);
            }
        }
    }

    pub(crate) fn readiness(&self, id: SocketId, pool: &FramePool) -> Result<Readiness, BadHandle> {
        let socket = self.socket(id)?;
        let mut readiness = Readiness::empty();
        readiness.set(
            Readiness::READABLE,
            !socket.queue.is_empty() || socket.error.is_some(),
        );
        readiness.set(Readiness::WRITABLE, pool.free_frames() > self.reserved);
        readiness.set(Readiness::ERROR, socket.error.is_some());
        Ok(readiness)
    }
}

/// The source address of a packet that IP has accepted.
fn source_of(packet: &[u8]) -> IpAddr {
    match ipv6::parse(packet) {
        Ok((header, _)) => header.source().into(),
        Err(_) => ipv4::parse_quoted(packet).map_or(Ipv4Addr::UNSPECIFIED.into(), |(header, _)| {
            header.source().into()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;
    use crate::time::Instant;
    use zerocopy::IntoBytes;

    const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const PEER: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 4_000);

    /// A packet from the peer with a payload of one byte.
    fn ipv4_packet(payload: u8) -> std::vec::Vec<u8> {
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let header = ipv4::Ipv4Header::new(address, Ipv4Addr::BROADCAST, 17, 64, 21);
        [header.as_bytes(), &[payload]].concat()
    }

    struct Bench {
        udp: Udp,
        pool: FramePool,
        rng: Rng,
        counters: Counters,
    }

    impl Bench {
        fn new() -> Self {
            let config = Config {
                max_udp_sockets: 4,
                udp_receive_buffer: 1_000,
                ..Config::default()
            };
            let limits = Limits {
                frames: 40,
                frame_size: 256,
                reserved_frames: 8,
                connections: 1,
                half_open: 1,
                time_wait: 1,
            };
            let mut rng = Rng::new([1; 32]);
            let udp = Udp::new(&config, &limits, &mut rng);
            Self {
                udp,
                pool: FramePool::new(40, 256),
                rng,
                counters: Counters::default(),
            }
        }

        fn bind(&mut self, address: IpAddr, port: u16) -> Result<SocketId, BindError> {
            self.udp.bind(address, port, &mut self.rng)
        }

        /// A datagram of one byte arrives; whether a socket has its port.
        fn receive(&mut self, to: (IpAddr, u16), mark: u8) -> bool {
            let frame = self.pool.allocate().unwrap();
            let packet = ipv4_packet(mark);
            let descriptor = self.pool.descriptor_mut(&frame);
            (descriptor.start, descriptor.len) = (20, 1);
            self.pool.buffer_mut(&frame)[..packet.len()].copy_from_slice(&packet);
            let mut cx = Context {
                now: Instant::ZERO,
                pool: &mut self.pool,
                rng: &mut self.rng,
                counters: &mut self.counters,
            };
            match self.udp.receive(&mut cx, frame, (0, 0, PEER.1), to) {
                Ok(()) => true,
                Err(frame) => {
                    self.pool.free(frame);
                    false
                }
            }
        }

        /// An error about a datagram from port 53; whether it is ours.
        fn error(&mut self, remote: (IpAddr, u16), error: IcmpError) -> bool {
            let mut cx = Context {
                now: Instant::ZERO,
                pool: &mut self.pool,
                rng: &mut self.rng,
                counters: &mut self.counters,
            };
            self.udp.icmp_error(&mut cx, (OURS, 53), remote, error)
        }

        fn read(&mut self, id: SocketId) -> Result<(u8, SocketAddr), RecvFromError> {
            let Received { frame, remote, .. } = self.udp.receive_from(id, &mut self.pool)?;
            let mark = self.pool.content(&frame)[0];
            self.pool.free(frame);
            Ok((mark, remote))
        }

        fn events(&mut self) -> std::vec::Vec<Event> {
            core::iter::from_fn(|| self.udp.poll_event(&self.pool)).collect()
        }
    }

    #[test]
    fn a_socket_bound_to_the_address_goes_before_one_bound_to_any() {
        let mut bench = Bench::new();
        let any = bench.bind(ANY, 53).unwrap();
        let ours = bench.bind(OURS, 53).unwrap();
        assert!(bench.receive((OURS, 53), 1));
        assert!(bench.receive((Ipv4Addr::BROADCAST.into(), 53), 2));
        assert!(!bench.receive((OURS, 54), 3));
        assert_eq!(bench.read(ours), Ok((1, SocketAddr::from(PEER))));
        assert_eq!(bench.read(any), Ok((2, SocketAddr::from(PEER))));
        assert_eq!(bench.read(any), Err(RecvFromError::WouldBlock));
        assert_eq!(bench.pool.free_frames(), 40);
    }

    #[test]
    fn an_address_and_port_belong_to_one_socket() {
        let mut bench = Bench::new();
        let id = bench.bind(OURS, 53).unwrap();
        assert_eq!(bench.bind(OURS, 53), Err(BindError::AddressInUse));
        bench.udp.close(id, &mut bench.pool).unwrap();
        bench.bind(OURS, 53).unwrap();
        for _ in 0..3 {
            bench.bind(ANY, 0).unwrap();
        }
        assert_eq!(bench.bind(ANY, 99), Err(BindError::LimitReached));
        assert_eq!(bench.udp.sockets(), 4);
    }

    #[test]
    fn places_are_taken_again_in_any_order_and_old_handles_stay_dead() {
        let mut bench = Bench::new();
        let mut ids: std::vec::Vec<_> = (1..=4).map(|n| bench.bind(ANY, n).unwrap()).collect();
        for closed in [2, 0, 3, 1] {
            let old = ids[closed];
            bench.udp.close(old, &mut bench.pool).unwrap();
            let port = bench.bind(ANY, 0).unwrap();
            assert_eq!(bench.bind(ANY, 99), Err(BindError::LimitReached));
            assert_eq!(bench.udp.local_addr(old), Err(BadHandle));
            ids[closed] = port;
        }
        for id in [ids[3], ids[0], ids[1], ids[2]] {
            bench.udp.close(id, &mut bench.pool).unwrap();
        }
        for n in 1..=4 {
            bench.bind(ANY, n).unwrap();
        }
        assert_eq!(bench.udp.sockets(), 4);
    }

    /// All ports but two are taken: the random tries mostly find none of them.
    #[test]
    fn the_last_ephemeral_ports_are_found() {
        let config = Config {
            memory: 64 << 20,
            max_udp_sockets: 1 << 16,
            ..Config::default()
        };
        let limits = Limits::derive(&config).unwrap();
        let mut rng = Rng::new([1; 32]);
        let mut udp = Udp::new(&config, &limits, &mut rng);
        let left = [FIRST_EPHEMERAL, 40_000];
        for port in (FIRST_EPHEMERAL..=u16::MAX).filter(|port| !left.contains(port)) {
            udp.bind(ANY, port, &mut rng).unwrap();
        }
        let mut found = [0, 0];
        for port in &mut found {
            let id = udp.bind(OURS, 0, &mut rng).unwrap();
            *port = udp.local_addr(id).unwrap().port();
        }
        found.sort_unstable();
        assert_eq!(found, left);
        assert_eq!(udp.bind(OURS, 0, &mut rng), Err(BindError::AddressInUse));
    }

    #[test]
    fn ephemeral_ports_are_spread_over_the_range() {
        let mut bench = Bench::new();
        let mut ports = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let id = bench.bind(ANY, 0).unwrap();
            ports.insert(bench.udp.local_addr(id).unwrap().port());
            bench.udp.close(id, &mut bench.pool).unwrap();
        }
        assert!(ports.len() > 190, "{}", ports.len());
        assert!(*ports.first().unwrap() >= FIRST_EPHEMERAL);
        assert!(*ports.last().unwrap() > 50_000);
    }

    #[test]
    fn the_queue_is_bounded_and_what_it_holds_comes_back_on_close() {
        let mut bench = Bench::new();
        let id = bench.bind(ANY, 53).unwrap();
        for mark in 0..5 {
            assert!(bench.receive((OURS, 53), mark));
        }
        assert_eq!(
            (bench.counters.udp_queue_full, bench.pool.free_frames()),
            (2, 37)
        );
        assert_eq!(bench.read(id).unwrap().0, 0, "the oldest ones stay");
        bench.udp.close(id, &mut bench.pool).unwrap();
        assert_eq!((bench.pool.free_frames(), bench.udp.queued), (40, 0));
        assert_eq!(bench.read(id), Err(RecvFromError::BadHandle));
        assert_eq!(bench.udp.close(id, &mut bench.pool), Err(BadHandle));
    }

    #[test]
    fn datagrams_do_not_take_the_reserve_of_the_pool() {
        let mut bench = Bench::new();
        bench.bind(ANY, 53).unwrap();
        let others: std::vec::Vec<_> = (0..32).map(|_| bench.pool.allocate().unwrap()).collect();
        assert!(bench.receive((OURS, 53), 0));
        assert_eq!(
            (bench.counters.udp_pool_low, bench.pool.free_frames()),
            (1, 8)
        );
        for frame in others {
            bench.pool.free(frame);
        }
    }

    #[test]
    fn one_event_announces_that_a_queue_is_no_longer_empty() {
        let mut bench = Bench::new();
        let id = bench.bind(ANY, 53).unwrap();
        assert_eq!(bench.events(), []);
        bench.receive((OURS, 53), 0);
        bench.receive((OURS, 53), 1);
        let readiness = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(
            bench.events(),
            [Event {
                socket: id,
                readiness
            }]
        );
        bench.receive((OURS, 53), 2);
        assert_eq!(bench.events(), []);
        for _ in 0..3 {
            bench.read(id).unwrap();
        }
        bench.receive((OURS, 53), 3);
        assert_eq!(bench.events().len(), 1);
        bench.read(id).unwrap();
        bench.receive((OURS, 53), 4);
        bench.udp.close(id, &mut bench.pool).unwrap();
        assert_eq!(bench.events(), [], "a closed socket has no events");
    }

    #[test]
    fn a_refused_sender_hears_when_frames_are_free_again() {
        let mut bench = Bench::new();
        let id = bench.bind(ANY, 53).unwrap();
        let others: std::vec::Vec<_> = (0..32).map(|_| bench.pool.allocate().unwrap()).collect();
        assert_eq!(bench.udp.readiness(id, &bench.pool), Ok(Readiness::empty()));
        bench.udp.block(id);
        assert_eq!(bench.events(), []);
        for frame in others {
            bench.pool.free(frame);
        }
        assert_eq!(
            bench.events(),
            [Event {
                socket: id,
                readiness: Readiness::WRITABLE
            }]
        );
        assert_eq!(bench.events(), []);
    }

    #[test]
    fn icmp_errors_reach_only_who_sent_to_that_destination() {
        let mut bench = Bench::new();
        let id = bench.bind(ANY, 53).unwrap();
        assert!(
            !bench.error(PEER, IcmpError::PortUnreachable),
            "nothing was sent"
        );
        bench.udp.sent(id, PEER.0, PEER.1);
        assert!(
            !bench.error((PEER.0, 1), IcmpError::PortUnreachable),
            "another port"
        );
        assert!(
            !bench.error((OURS, PEER.1), IcmpError::PortUnreachable),
            "another host"
        );
        assert!(bench.error(PEER, IcmpError::TimeExceeded));
        assert!(bench.error(PEER, IcmpError::PortUnreachable));
        let readiness = Readiness::READABLE | Readiness::WRITABLE | Readiness::ERROR;
        assert_eq!(
            bench.events(),
            [Event {
                socket: id,
                readiness
            }]
        );
        assert_eq!(bench.read(id), Err(RecvFromError::Refused));
        assert_eq!(
            bench.read(id),
            Err(RecvFromError::WouldBlock),
            "reported once"
        );
        for port in 1..=4 {
            bench.udp.sent(id, PEER.0, port);
        }
        assert!(!bench.error(PEER, IcmpError::Unreachable), "forgotten");
        assert!(bench.error((PEER.0, 4), IcmpError::Unreachable));
        assert_eq!(bench.read(id), Err(RecvFromError::Unreachable));
    }
}
