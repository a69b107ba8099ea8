//! The sockets of a stack.

use super::datagrams::{copy_of_all, received, rest_of, sender_of};
use super::members::{GroupChange, Members};
use super::recent::Recent;
use super::settings::{UdpOptions, UdpSetting, UdpSettings};
use crate::config::{Config, Limits};
use crate::context::{Context, IcmpError};
use crate::demux::{Demux, FourTuple};
use crate::error::{BadHandle, BindError, ConnectError, GroupError, RecvFromError, SettingError};
use crate::ip::{Filter, PathMtus};
use crate::pool::{Frame, FramePool, FrameQueue};
use crate::rng::Rng;
use crate::socket::{Event, Readiness, SocketId, SocketKind, unspecified_like};
use crate::time::Instant;
use alloc::boxed::Box;
use core::hash::Hasher;
use core::net::{IpAddr, SocketAddr};
use siphasher::sip::SipHasher13;

/// Destinations that a socket remembers, so that only ICMP errors about them reach it. What routers say
/// of path MTUs is no such error: see [`Recent`].
const REMEMBERED: usize = 4;
/// The range of ephemeral ports: RFC 6056 §3.2 asks for as many as there can be.
const FIRST_EPHEMERAL: u16 = 1_024;
/// How many random ports are tried before ports in a row are.
const RANDOM_TRIES: u32 = 16;
/// Most sockets without a peer that share an address and a port.
const MAX_SHARING: usize = 16;

/// What a socket is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// The link that the address is on, if it is one of a link's scope.
    pub(crate) link: Option<u8>,
}

impl Peer {
    fn is(&self, (address, port): (IpAddr, u16)) -> bool {
        self.address == address && self.port == port
    }
}

/// What the network has said of a datagram that a socket sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpError {
    /// The error, as reading from the socket reports it.
    pub error: RecvFromError,
    /// Where the datagram was sent to.
    pub remote: SocketAddr,
    /// With [`RecvFromError::MessageTooLong`]: the largest packet that the path carries, in bytes,
    /// IP header included. Otherwise 0.
    pub mtu: u16,
}

#[derive(Debug)]
pub(super) struct Socket {
    /// What it was bound to.
    bound: IpAddr,
    port: u16,
    /// The address that it has now: connecting decides it where it was bound to all of ours.
    local: IpAddr,
    peer: Option<Peer>,
    /// Others may have the same address and port.
    reuse: bool,
    /// When it was bound: the larger, the later.
    serial: u32,
    /// Datagrams, oldest first: the descriptor delimits the payload, `flags` is the sender's port,
    /// `sum` the place of the IP header, which has its address, `link` the interface, and `seq` how
    /// many frames behind it go on with the datagram.
    queue: FrameQueue,
    /// The ICMP error that was heard of last, and whether reading has still to report it.
    error: Option<UdpError>,
    error_is_new: bool,
    /// The latest destinations, and which of them is replaced next.
    sent_to: [(IpAddr, u16); REMEMBERED],
    next_sent_to: usize,
    /// The frames for want of which a send was refused, until an event has said that there are as
    /// many; 0: none was.
    blocked: usize,
    settings: UdpSettings,
    /// A frame that the user writes a datagram into.
    reserved: Option<Frame>,
}

#[derive(Debug)]
struct Place {
    socket: Option<Socket>,
    generation: u32,
    /// Whether the place is in the ring of events.
    has_event: bool,
}

/// Bytes for a socket, with all its tables.
pub(crate) const SOCKET_BYTES: usize =
    size_of::<Place>() + 2 * Demux::ENTRY_BYTES + 2 * size_of::<u32>();

/// A datagram that waits in a queue, or was taken from one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Bytes of it, in all its frames.
    pub(crate) len: usize,
    pub(crate) remote: SocketAddr,
    /// The interface that it came by.
    pub(crate) interface: u8,
    /// What its IP header says.
    pub(crate) destination: IpAddr,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: u8,
}

/// Where a datagram came from and where to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) interface: u8,
    /// Where in the frame's buffer its IP header starts.
    pub(crate) header: u16,
    pub(crate) source: (IpAddr, u16),
    pub(crate) destination: (IpAddr, u16),
    /// To one of our addresses, and not to a broadcast or a group.
    pub(crate) to_us: bool,
}

/// All sockets.
#[derive(Debug)]
pub(crate) struct Udp {
    places: Box<[Place]>,
    /// The free places are the first ones here, the next to be taken last.
    free: Box<[u32]>,
    /// Every socket, by what it was bound to.
    demux: Demux,
    /// Those with a peer, by all four parts.
    peers: Demux,
    connected: usize,
    key: [u8; 16],
    /// What errors about datagrams have told. TCP, which asks for a number that is hard to guess,
    /// does not believe it.
    path_mtus: PathMtus,
    recent: Recent,
    members: Members,
    used: usize,
    serial: u32,
    /// Places with an event to report: a ring with room for each of them once.
    events: Box<[u32]>,
    first_event: usize,
    event_count: usize,
    /// The fewest frames that a refused sender needs for which no event is in the ring, and which
    /// sender is looked at first when there are as many: the one that found them taken by others.
    needed: usize,
    first_blocked: usize,
    defaults: UdpSettings,
    frame_size: usize,
    /// Frames in all queues together.
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
            peers: Demux::new(count),
            connected: 0,
            key,
            path_mtus: PathMtus::new(key),
            recent: Recent::new(),
            members: Members::new(config.max_group_memberships),
            used: 0,
            serial: 0,
            events: (0..count).map(|_| 0).collect(),
            first_event: 0,
            event_count: 0,
            needed: usize::MAX,
            first_blocked: 0,
            defaults: UdpSettings::new(config),
            frame_size: limits.frame_size,
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

    fn peer_hash(&self, local: (IpAddr, u16), remote: (IpAddr, u16)) -> u64 {
        FourTuple::new(local.into(), remote.into()).hash(&self.key)
    }

    fn at(&self, index: u32) -> Option<&Socket> {
        self.places.get(index as usize)?.socket.as_ref()
    }

    /// Shows every socket that was bound to an address and port, until one is the right one.
    fn find(
        &self,
        (address, port): (IpAddr, u16),
        mut is_it: impl FnMut(u32, &Socket) -> bool,
    ) -> Option<u32> {
        self.demux.find(self.hash(address, port), |index| {
            self.at(index).is_some_and(|socket| {
                (socket.bound, socket.port) == (address, port) && is_it(index, socket)
            })
        })
    }

    fn is_bound(&self, address: IpAddr, port: u16) -> bool {
        self.find((address, port), |_, _| true).is_some()
    }

    /// Sockets without a peer that share an address and port.
    fn sharing(&self, bound: (IpAddr, u16)) -> usize {
        let mut count = 0;
        self.find(bound, |_, socket| {
            count += usize::from(socket.peer.is_none());
            false
        });
        count
    }

    /// The socket that is connected from `local` to `remote`, over this link.
    fn find_connected(
        &self,
        local: (IpAddr, u16),
        remote: (IpAddr, u16),
        link: Option<u8>,
    ) -> Option<u32> {
        if self.connected == 0 {
            return None;
        }
        self.peers.find(self.peer_hash(local, remote), |index| {
            self.at(index).is_some_and(|socket| {
                let here = |peer: Peer| {
                    peer.is(remote)
                        && peer
                            .link
                            .is_none_or(|on| link.is_none_or(|link| on == link))
                };
                (socket.local, socket.port) == local && socket.peer.is_some_and(here)
            })
        })
    }

    /// The socket without a peer that was bound last to an address and port.
    fn find_latest(&self, bound: (IpAddr, u16)) -> Option<u32> {
        let mut latest: Option<(u32, u32)> = None;
        self.find(bound, |index, socket| {
            if socket.peer.is_none() && latest.is_none_or(|(serial, _)| serial < socket.serial) {
                latest = Some((socket.serial, index));
            }
            false
        });
        latest.map(|(_, index)| index)
    }

    /// The socket for a datagram to one of our addresses: one connected to its sender goes first,
    /// then one bound to the address.
    fn receiver(&self, arrival: &Arrival) -> Option<u32> {
        let (address, port) = arrival.destination;
        self.find_connected(arrival.destination, arrival.source, Some(arrival.interface))
            .or_else(|| self.find_latest((address, port)))
            .or_else(|| self.find_latest((unspecified_like(address), port)))
    }

    /// The sockets for a datagram to a broadcast or a group: those bound to all of our addresses, and
    /// of a group the members that want what its sender says.
    fn receivers(&self, arrival: &Arrival) -> heapless::Vec<u32, { MAX_SHARING + 1 }> {
        let (address, port) = arrival.destination;
        let mut receivers = heapless::Vec::new();
        self.find((unspecified_like(address), port), |index, socket| {
            let (interface, source) = (arrival.interface, arrival.source.0);
            let wants = socket.peer.is_none_or(|peer| peer.is(arrival.source))
                && (!address.is_multicast()
                    || self.members.wants(index, interface, address, source));
            // Few share a port, and fewer still have the sender as their peer.
            wants && receivers.push(index).is_err()
        });
        receivers
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
        options: UdpOptions,
        rng: &mut Rng,
    ) -> Result<SocketId, BindError> {
        let free = self.places.len() - self.used;
        let last = free.checked_sub(1).ok_or(BindError::LimitReached)?;
        let index = self.free[last];
        let port = match port {
            0 => self
                .ephemeral_port(address, rng)
                .ok_or(BindError::AddressInUse)?,
            port => {
                let alone = |_, socket: &Socket| !(options.reuse && socket.reuse);
                if self.find((address, port), alone).is_some() {
                    return Err(BindError::AddressInUse);
                }
                if options.reuse && self.sharing((address, port)) >= MAX_SHARING {
                    return Err(BindError::LimitReached);
                }
                port
            }
        };
        if !self.demux.insert(self.hash(address, port), index) {
            return Err(BindError::LimitReached);
        }
        self.serial = self.serial.wrapping_add(1);
        let place = &mut self.places[index as usize];
        place.socket = Some(Socket {
            bound: address,
            port,
            local: address,
            peer: None,
            reuse: options.reuse,
            serial: self.serial,
            queue: FrameQueue::default(),
            error: None,
            error_is_new: false,
            sent_to: [(unspecified_like(address), 0); REMEMBERED],
            next_sent_to: 0,
            blocked: 0,
            settings: self.defaults,
            reserved: None,
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
        let is_free = |port: &u16| !self.is_bound(address, *port) && !self.is_bound(any, *port);
        let random = (0..RANDOM_TRIES)
            .map(|_| port(rng.u32() % span))
            .find(is_free);
        // Of so many ports in a row, one must be free if any is: no socket has two.
        let start = rng.u32() % span;
        let enough = u32::try_from(self.used).map_or(span, |used| span.min(used + 1));
        let mut row = (start..start + enough).map(port);
        random.or_else(|| row.find(is_free))
    }

    /// Connects a socket to a peer, from an address of ours; or with `None` to nobody any more. What
    /// waits in its queue from others is dropped.
    pub(crate) fn connect(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        peer: Option<(Peer, IpAddr)>,
    ) -> Result<(), ConnectError> {
        let index = self
            .index_of(id)
            .map_err(|BadHandle| ConnectError::BadHandle)?;
        let Some(socket) = self.at(index) else {
            return Err(ConnectError::BadHandle);
        };
        let (bound, port, old) = (socket.bound, socket.port, socket.peer);
        match peer {
            Some((peer, local)) => {
                let remote = (peer.address, peer.port);
                let other = self.find_connected((local, port), remote, peer.link);
                if other.is_some_and(|other| other != index) {
                    return Err(ConnectError::AddressInUse);
                }
            }
            None if old.is_some() && self.sharing((bound, port)) >= MAX_SHARING => {
                return Err(ConnectError::LimitReached);
            }
            None => {}
        }
        self.forget_peer(index);
        if let Some((peer, local)) = peer {
            let hash = self.peer_hash((local, port), (peer.address, peer.port));
            if !self.peers.insert(hash, index) {
                return Err(ConnectError::LimitReached);
            }
            self.connected += 1;
        }
        let Some(socket) = &mut self.places[index as usize].socket else {
            return Err(ConnectError::BadHandle);
        };
        socket.local = peer.map_or(bound, |(_, local)| local);
        socket.peer = peer.map(|(peer, _)| peer);
        socket.error = None;
        socket.error_is_new = false;
        if let Some(peer) = socket.peer {
            // Errors about what it sent to others are not the peer's.
            socket.sent_to = [(unspecified_like(bound), 0); REMEMBERED];
            let mut waiting = core::mem::take(&mut socket.queue);
            while let Some(frame) = waiting.pop_front(cx.pool) {
                let mut rest = rest_of(cx.pool, &frame, &mut waiting);
                if peer.is(sender_of(cx.pool, frame.index())) {
                    socket.queue.push_back(cx.pool, frame);
                    socket.queue.append(cx.pool, &mut rest);
                } else {
                    cx.counters.udp_not_from_peer += 1;
                    self.queued -= 1 + rest.len();
                    cx.pool.free(frame);
                    rest.clear(cx.pool);
                }
            }
        }
        Ok(())
    }

    /// Takes a socket out of the table of peers.
    fn forget_peer(&mut self, index: u32) {
        let Some(socket) = self.at(index) else {
            return;
        };
        if let Some(peer) = socket.peer {
            let local = (socket.local, socket.port);
            let hash = self.peer_hash(local, (peer.address, peer.port));
            self.peers.remove(hash, index);
            self.connected -= 1;
        }
    }

    /// Closes a socket and frees what waits in it.
    pub(crate) fn close(&mut self, id: SocketId, pool: &mut FramePool) -> Result<(), BadHandle> {
        let index = self.index_of(id)?;
        self.forget_peer(index);
        let place = &mut self.places[index as usize];
        let mut socket = place.socket.take().ok_or(BadHandle)?;
        place.generation = place.generation.wrapping_add(1);
        self.queued -= socket.queue.len();
        socket.queue.clear(pool);
        if let Some(frame) = socket.reserved {
            pool.free(frame);
        }
        self.demux
            .remove(self.hash(socket.bound, socket.port), index);
        self.free[self.places.len() - self.used] = index;
        self.used -= 1;
        Ok(())
    }

    pub(crate) fn local_addr(&self, id: SocketId) -> Result<SocketAddr, BadHandle> {
        self.socket(id)
            .map(|socket| SocketAddr::new(socket.local, socket.port))
    }

    /// Changes what a socket wants of a group.
    pub(crate) fn change_group(
        &mut self,
        id: SocketId,
        interface: u8,
        group: IpAddr,
        change: GroupChange,
    ) -> Result<(), GroupError> {
        let index = self
            .index_of(id)
            .map_err(|BadHandle| GroupError::BadHandle)?;
        self.members.change(index, interface, group, change)
    }

    /// The interface on which a socket is in a group.
    pub(crate) fn interface_of(
        &self,
        id: SocketId,
        group: IpAddr,
    ) -> Result<Option<u8>, BadHandle> {
        let index = self.index_of(id)?;
        Ok(self.members.interface_of(index, group))
    }

    /// What all sockets together want of a group.
    pub(crate) fn wanted_of(&self, interface: u8, group: IpAddr) -> Filter {
        self.members.union(interface, group)
    }

    /// Ends one of the memberships of a socket; which one it was.
    pub(crate) fn leave_one_group(&mut self, id: SocketId) -> Option<(u8, IpAddr)> {
        let index = self.index_of(id).ok()?;
        self.members.take_one_of(index)
    }

    /// The address that a socket was bound to.
    pub(crate) fn bound_to(&self, id: SocketId) -> Result<IpAddr, BadHandle> {
        self.socket(id).map(|socket| socket.bound)
    }

    /// What a socket is connected to.
    pub(crate) fn peer(&self, id: SocketId) -> Result<Option<Peer>, BadHandle> {
        self.socket(id).map(|socket| socket.peer)
    }

    pub(crate) fn settings(&self, id: SocketId) -> Result<UdpSettings, BadHandle> {
        self.socket(id).map(|socket| socket.settings)
    }

    pub(crate) fn set(&mut self, id: SocketId, setting: UdpSetting) -> Result<(), SettingError> {
        let socket = self
            .socket_mut(id)
            .map_err(|BadHandle| SettingError::BadHandle)?;
        socket.settings.set(setting)
    }

    /// The frame that the user of a socket writes into, to be taken or put back.
    pub(crate) fn reserved_mut(&mut self, id: SocketId) -> Result<&mut Option<Frame>, BadHandle> {
        self.socket_mut(id).map(|socket| &mut socket.reserved)
    }

    /// Takes in a datagram: `frame`'s descriptor delimits the payload, or its beginning if there is a
    /// `rest`, and the packet's IP header starts at `header` in its buffer. Says whether a socket
    /// wants it; if not, the frame comes back, without the rest.
    pub(crate) fn receive(
        &mut self,
        cx: &mut Context<'_>,
        frame: Frame,
        mut rest: FrameQueue,
        arrival: &Arrival,
    ) -> Result<(), Frame> {
        let descriptor = cx.pool.descriptor_mut(&frame);
        descriptor.sum = arrival.header;
        descriptor.link = u32::from(arrival.interface);
        descriptor.flags = arrival.source.1;
        if arrival.to_us {
            return match self.receiver(arrival) {
                Some(index) => {
                    self.enqueue(cx, index, frame, rest);
                    Ok(())
                }
                None => {
                    rest.clear(cx.pool);
                    Err(frame)
                }
            };
        }
        let receivers = self.receivers(arrival);
        let Some((last, others)) = receivers.split_last() else {
            rest.clear(cx.pool);
            return Err(frame);
        };
        for index in others {
            match copy_of_all(cx.pool, &frame, &rest, self.reserved) {
                Some((copy, rest)) => self.enqueue(cx, *index, copy, rest),
                None => cx.counters.udp_pool_low += 1,
            }
        }
        self.enqueue(cx, *last, frame, rest);
        Ok(())
    }

    /// Puts a datagram into a socket's queue, if there is room for all of its frames.
    fn enqueue(&mut self, cx: &mut Context<'_>, index: u32, frame: Frame, mut rest: FrameQueue) {
        let frames = 1 + rest.len();
        let reason = match &self.places[index as usize].socket {
            Some(socket) => {
                let waiting = socket.queue.len() * self.frame_size;
                let all = waiting + frames * self.frame_size;
                if waiting > 0 && all > socket.settings.receive_buffer {
                    Some(&mut cx.counters.udp_queue_full)
                } else if self.queued + frames > self.max_queued
                    || cx.pool.free_frames() < self.reserved
                {
                    Some(&mut cx.counters.udp_pool_low)
                } else {
                    None
                }
            }
            None => Some(&mut cx.counters.udp_no_socket),
        };
        let (None, Some(socket)) = (&reason, &mut self.places[index as usize].socket) else {
            if let Some(reason) = reason {
                *reason += 1;
            }
            cx.pool.free(frame);
            return rest.clear(cx.pool);
        };
        cx.pool.descriptor_mut(&frame).seq = u32::try_from(rest.len()).unwrap_or(0);
        let was_empty = socket.queue.is_empty();
        socket.queue.push_back(cx.pool, frame);
        socket.queue.append(cx.pool, &mut rest);
        self.queued += frames;
        if was_empty {
            self.raise(index);
        }
    }

    /// The next datagram, which stays in the queue, or the error that an earlier one caused.
    pub(crate) fn peek(
        &mut self,
        id: SocketId,
        pool: &FramePool,
    ) -> Result<(u32, Received), RecvFromError> {
        let socket = self
            .socket_mut(id)
            .map_err(|BadHandle| RecvFromError::BadHandle)?;
        if let Some(report) = socket.error.filter(|_| socket.error_is_new) {
            socket.error_is_new = false;
            return Err(report.error);
        }
        let index = socket.queue.first().ok_or(RecvFromError::WouldBlock)?;
        Ok((index, received(pool, index)))
    }

    /// Takes the next datagram out of the queue: its first frame, and those that go on with it, if it
    /// came in fragments. The caller frees them.
    pub(crate) fn take(
        &mut self,
        id: SocketId,
        pool: &mut FramePool,
    ) -> Result<(Frame, FrameQueue), RecvFromError> {
        let socket = self
            .socket_mut(id)
            .map_err(|BadHandle| RecvFromError::BadHandle)?;
        let frame = socket
            .queue
            .pop_front(pool)
            .ok_or(RecvFromError::WouldBlock)?;
        let rest = rest_of(pool, &frame, &mut socket.queue);
        self.queued -= 1 + rest.len();
        Ok((frame, rest))
    }

    /// The ICMP error that a socket has heard of last.
    pub(crate) fn last_error(&self, id: SocketId) -> Result<Option<UdpError>, BadHandle> {
        self.socket(id).map(|socket| socket.error)
    }

    /// Notes that a datagram was sent from an address of ours; `is_large` if it is more than every path
    /// carries.
    pub(crate) fn sent(
        &mut self,
        now: Instant,
        id: SocketId,
        ours: IpAddr,
        remote: (IpAddr, u16),
        is_large: bool,
    ) {
        let Ok(index) = self.index_of(id) else {
            return;
        };
        let Some(socket) = &mut self.places[index as usize].socket else {
            return;
        };
        if socket.peer.is_some() {
            return;
        }
        if !socket.sent_to.contains(&remote) {
            socket.sent_to[socket.next_sent_to % REMEMBERED] = remote;
            socket.next_sent_to = (socket.next_sent_to + 1) % REMEMBERED;
        }
        if is_large {
            let local = (ours, socket.port);
            self.recent.note(self.peer_hash(local, remote), index, now);
        }
    }

    /// Notes that a send was refused for want of so many frames: an event follows when there are as
    /// many.
    pub(crate) fn block(&mut self, id: SocketId, frames: usize) {
        if let Ok(socket) = self.socket_mut(id) {
            let frames = frames.max(1);
            socket.blocked = frames;
            self.needed = self.needed.min(frames);
        }
    }

    /// The largest packet that the path to an address carries, as far as datagrams have found out.
    pub(crate) fn path_mtu(&mut self, now: Instant, address: IpAddr) -> Option<usize> {
        self.path_mtus.get(now, address).map(usize::from)
    }

    /// How often path MTUs were learned, and the latest of them.
    pub(crate) fn latest_path(&self) -> (u32, Option<(IpAddr, u16)>) {
        (self.path_mtus.generation(), self.path_mtus.latest())
    }

    /// The socket that has sent from `local` to `remote`.
    fn sender(&self, local: (IpAddr, u16), remote: (IpAddr, u16)) -> Option<u32> {
        let has_sent = |_, socket: &Socket| {
            socket.peer.is_none() && remote.1 != 0 && socket.sent_to.contains(&remote)
        };
        self.find_connected(local, remote, None)
            .or_else(|| self.find(local, has_sent))
            .or_else(|| self.find((unspecified_like(local.0), local.1), has_sent))
    }

    /// The socket that has lately sent from `local` to `remote` what a path may not carry.
    fn sender_of_large(
        &self,
        now: Instant,
        local: (IpAddr, u16),
        remote: (IpAddr, u16),
    ) -> Option<u32> {
        let is_still_open = |index: &u32| {
            self.at(*index).is_some_and(|socket| {
                let bound = [local.0, unspecified_like(local.0)].contains(&socket.bound);
                bound && socket.port == local.1 && socket.peer.is_none()
            })
        };
        self.find_connected(local, remote, None).or_else(|| {
            let hash = self.peer_hash(local, remote);
            self.recent.sender(hash, now).filter(is_still_open)
        })
    }

    /// An ICMP error about a datagram from `local` to `remote`: whether a socket sent such a one.
    pub(crate) fn icmp_error(
        &mut self,
        cx: &mut Context<'_>,
        local: (IpAddr, u16),
        remote: (IpAddr, u16),
        error: IcmpError,
    ) -> bool {
        let sender = match error {
            IcmpError::FragmentationNeeded { .. } => self.sender_of_large(cx.now, local, remote),
            _ => self.sender(local, remote),
        };
        let Some(index) = sender else {
            return false;
        };
        let Some(socket) = &mut self.places[index as usize].socket else {
            return false;
        };
        let mtu = match error {
            IcmpError::FragmentationNeeded { mtu } => mtu,
            _ => 0,
        };
        let error = match error {
            IcmpError::PortUnreachable | IcmpError::ProtocolUnreachable => RecvFromError::Refused,
            IcmpError::Unreachable => RecvFromError::Unreachable,
            IcmpError::TimeExceeded => RecvFromError::TimeExceeded,
            // RFC 8085 §3.2.
            IcmpError::FragmentationNeeded { .. } => {
                let known = self.path_mtus.get(cx.now, remote.0);
                if known.is_none_or(|known| mtu < known) {
                    self.path_mtus.lower(cx.now, remote.0, mtu);
                    cx.counters.udp_path_mtu_lowered += 1;
                }
                if !socket.settings.dont_fragment {
                    return true;
                }
                RecvFromError::MessageTooLong
            }
            IcmpError::ParameterProblem => return true,
        };
        socket.error = Some(UdpError {
            error,
            remote: remote.into(),
            mtu,
        });
        socket.error_is_new = true;
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

    /// Raises an event for a socket that exists, as for a sender that was refused: it may not have
    /// heard of the last one, so that it waits until there are frames.
    pub(crate) fn repeat_event(&mut self, id: SocketId) {
        if let Ok(socket) = self.socket_mut(id) {
            socket.blocked = socket.blocked.max(1);
        }
        self.raise(u32::try_from(id.index()).unwrap_or(u32::MAX));
    }

    pub(crate) fn poll_event(&mut self, pool: &FramePool) -> Option<Event> {
        self.unblock(pool);
        while self.event_count > 0 {
            if let Some(event) = self.take_event(pool) {
                self.told(&event);
                if !event.readiness.is_empty() {
                    return Some(event);
                }
            }
        }
        None
    }

    /// Shows each event once. Those stay for which `keep` says so: to their sockets, nobody was told.
    pub(crate) fn sift_events(&mut self, pool: &FramePool, keep: &mut dyn FnMut(Event) -> bool) {
        self.unblock(pool);
        for _ in 0..self.event_count {
            let index = self.events[self.first_event];
            if let Some(event) = self.take_event(pool) {
                if !event.readiness.is_empty() && keep(event) {
                    self.raise(index);
                } else {
                    self.told(&event);
                }
            }
        }
    }

    /// Takes the first out of the ring, which is not empty: what its socket can do now, if that exists.
    fn take_event(&mut self, pool: &FramePool) -> Option<Event> {
        let index = self.events[self.first_event];
        self.first_event = (self.first_event + 1) % self.events.len();
        self.event_count -= 1;
        let place = &mut self.places[index as usize];
        place.has_event = false;
        let socket = SocketId::new(SocketKind::Udp, index, place.generation);
        let readiness = self.readiness(socket, pool).ok()?;
        Some(Event { socket, readiness })
    }

    /// Raises an event for every socket whose last send was refused for want of frames that are free
    /// now.
    fn unblock(&mut self, pool: &FramePool) {
        let free = pool.free_frames().saturating_sub(self.reserved);
        if free >= self.needed {
            self.unblock_for(free);
        }
    }

    #[cold]
    fn unblock_for(&mut self, free: usize) {
        self.needed = usize::MAX;
        let count = self.places.len();
        for index in (self.first_blocked..count).chain(0..self.first_blocked) {
            let Some(socket) = &self.places[index].socket else {
                continue;
            };
            if socket.blocked > free {
                self.needed = self.needed.min(socket.blocked);
            } else if socket.blocked > 0
                && let Ok(index) = u32::try_from(index)
            {
                self.raise(index);
            }
        }
    }

    /// The event of a socket is handed out. A sender that was refused has its answer if there are
    /// frames for it now. Others may have taken those for which it was raised: then it still waits.
    fn told(&mut self, event: &Event) {
        let index = event.socket.index();
        let Some(socket) = &mut self.places[index].socket else {
            return;
        };
        if event.readiness.contains(Readiness::WRITABLE) {
            socket.blocked = 0;
        } else if socket.blocked > 0 {
            self.needed = self.needed.min(socket.blocked);
            self.first_blocked = index;
        }
    }

    pub(crate) fn readiness(&self, id: SocketId, pool: &FramePool) -> Result<Readiness, BadHandle> {
        let socket = self.socket(id)?;
        let mut readiness = Readiness::empty();
        readiness.set(
            Readiness::READABLE,
            !socket.queue.is_empty() || socket.error_is_new,
        );
        let needed = self.reserved + socket.blocked.max(1);
        readiness.set(Readiness::WRITABLE, pool.free_frames() >= needed);
        readiness.set(Readiness::ERROR, socket.error_is_new);
        Ok(readiness)
    }
}

#[cfg(test)]
mod tests;
