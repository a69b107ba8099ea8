//! The way down: the transport's packet gets its IP and Ethernet headers, in place, in front of it.

use super::{Stack, context, within_frame};
use crate::context::{Outgoing, OutgoingFrame};
use crate::demux::Address;
use crate::device::{InterfaceId, TxChecksum, TxFrame};
use crate::ip::{Destination, Interface, TIME_TO_LIVE, ethernet_group};
use crate::neigh::Resolution;
use crate::pool::{Frame, FrameQueue, HEADROOM};
use crate::time::Instant;
use crate::wire::ethernet::{EthernetAddress, TAGGED_HEADER_LEN, ether_type};
use crate::wire::ipv4::{self, Ipv4Header};
use crate::wire::ipv6::Ipv6Header;
use core::net::{IpAddr, Ipv6Addr};
use zerocopy::IntoBytes;

/// What an IP header says, beside the length.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpFields {
    pub(super) source: Address,
    pub(super) destination: Address,
    pub(super) protocol: u8,
    pub(super) hop_limit: u8,
    pub(super) traffic_class: u8,
}

/// How a packet to a destination leaves.
pub(super) enum Way {
    Direct(Destination),
    /// Its next hop's Ethernet address is being asked for: by this entry of the neighbour cache.
    Waits {
        interface: u8,
        mtu: usize,
        entry: u32,
    },
    /// It does not. The reason was counted.
    None,
}

/// A complete frame's place: the pool's frame, and the bytes within it.
#[derive(Clone, Copy, Debug)]
struct Place {
    interface: u8,
    index: u32,
    start: usize,
    len: usize,
}

impl Stack {
    /// The next frame to send. It stays valid until the next call. Call until it gives `None`
    /// after each batch of received frames, timeouts and calls.
    pub fn transmit(&mut self, now: Instant) -> Option<TxFrame<'_>> {
        self.advance(now);
        if let Some(frame) = self.sent.take() {
            self.pool.free(frame);
        }
        let place = self.next_frame()?;
        let device = self.count_sent(place.interface, place.len)?;
        let bytes = self
            .pool
            .buffer_at(place.index)
            .get(place.start..place.start + place.len)?;
        let mut slices = heapless::Vec::new();
        slices.push(bytes).ok()?;
        Some(TxFrame {
            interface: InterfaceId(device),
            slices,
            checksum: TxChecksum::Complete,
            segment_size: 0,
        })
    }

    /// First what is complete, then questions for Ethernet addresses, then TCP's segments.
    fn next_frame(&mut self) -> Option<Place> {
        loop {
            if let Some(frame) = self.ready.pop_front(&mut self.pool) {
                let descriptor = *self.pool.descriptor(&frame);
                let place = Place {
                    interface: u8::try_from(descriptor.flags).unwrap_or(u8::MAX),
                    index: frame.index(),
                    start: usize::from(descriptor.start),
                    len: usize::from(descriptor.len),
                };
                self.sent = Some(frame);
                return Some(place);
            }
            if !self.links_are_quiet() && (self.send_due_arp() || self.send_due_ipv6()) {
                continue;
            }
            let outgoing = self.tcp.transmit(&mut context!(self))?;
            if let Some(place) = self.place_segment(outgoing) {
                return Some(place);
            }
        }
    }

    /// Puts the headers in front of a segment. `None` if it cannot leave now: it waits for its
    /// neighbour, or was dropped.
    fn place_segment(&mut self, outgoing: Outgoing) -> Option<Place> {
        let Outgoing {
            source,
            destination,
            protocol,
            time_to_live,
            traffic_class,
            ecn,
            payload,
        } = outgoing;
        let fields = IpFields {
            source,
            destination,
            protocol,
            hop_limit: time_to_live,
            traffic_class: traffic_class | ecn.bits(),
        };
        let (index, start, len) = match &payload {
            OutgoingFrame::Owned(frame) => {
                let descriptor = self.pool.descriptor(frame);
                (frame.index(), descriptor.start, descriptor.len)
            }
            OutgoingFrame::Lent { index, start, len } => (*index, *start, *len),
        };
        let (start, len) = (usize::from(start), usize::from(len));
        let header_len = destination.ip_header_len();
        match self.way_to(source, destination) {
            Way::Direct(to) if len + header_len <= to.mtu => {
                if let OutgoingFrame::Owned(frame) = payload {
                    self.sent = Some(frame);
                }
                let at = start.checked_sub(header_len + TAGGED_HEADER_LEN)?;
                let buffer = self.pool.buffer_at_mut(index);
                let (link, ip) = buffer.get_mut(at..start)?.split_at_mut(TAGGED_HEADER_LEN);
                link.copy_from_slice(to.header.room());
                write_ip_header(ip, fields, len);
                self.counters.ip_sent += 1;
                let at = at + TAGGED_HEADER_LEN - to.header.len();
                Some(Place {
                    interface: to.interface,
                    index,
                    start: at,
                    len: len + start - at,
                })
            }
            Way::Waits {
                interface,
                mtu,
                entry,
            } if len + header_len <= mtu => {
                let frame = match payload {
                    OutgoingFrame::Owned(frame) => Some(frame),
                    OutgoingFrame::Lent { .. } => self.copy_of(index, start, len),
                };
                if let Some(frame) = frame {
                    self.wait_for(entry, interface, frame, fields);
                }
                None
            }
            // A router has lowered the MTU of the link (RFC 4861 §4.6.4).
            Way::Direct(Destination { mtu, .. }) | Way::Waits { mtu, .. } => {
                self.counters.ip_too_large += 1;
                self.free_owned(payload);
                self.tcp
                    .link_carries(self.now, destination.ip(), within_frame(mtu));
                None
            }
            Way::None => {
                self.free_owned(payload);
                None
            }
        }
    }

    fn free_owned(&mut self, payload: OutgoingFrame) {
        if let OutgoingFrame::Owned(frame) = payload {
            self.pool.free(frame);
        }
    }

    /// A copy of a transport packet that its owner keeps.
    fn copy_of(&mut self, index: u32, start: usize, len: usize) -> Option<Frame> {
        if self.pool_is_low() {
            self.counters.tx_no_frame += 1;
            return None;
        }
        let frame = self.pool.allocate()?;
        self.pool
            .copy_range(index, start..start + len, &frame, HEADROOM);
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start = within_frame(HEADROOM);
        descriptor.len = within_frame(len);
        Some(frame)
    }

    /// Sends the packet of a transport that its frame's descriptor delimits; the frame goes with
    /// it. In front of the packet there is room for a tagged Ethernet and an IP header: 38 bytes for
    /// IPv4, 58 for IPv6.
    pub(super) fn send_owned(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        frame: Frame,
    ) {
        let fields = IpFields {
            source: source.into(),
            destination: destination.into(),
            protocol,
            hop_limit: TIME_TO_LIVE,
            traffic_class: 0,
        };
        self.send_with(fields, None, frame);
    }

    /// [`Stack::send_owned`] with all fields chosen, over a `link` if the destination alone does not
    /// decide it.
    pub(super) fn send_with(&mut self, fields: IpFields, link: Option<u8>, frame: Frame) {
        let len = usize::from(self.pool.descriptor(&frame).len);
        let header_len = fields.destination.ip_header_len();
        match self.way_over(link, fields.source, fields.destination) {
            Way::Direct(to) if len + header_len <= to.mtu => {
                self.prepend_ip(&frame, fields);
                self.push_ready(to.interface, frame, &to.header);
            }
            Way::Waits {
                interface,
                mtu,
                entry,
            } if len + header_len <= mtu => {
                self.wait_for(entry, interface, frame, fields);
            }
            Way::Direct(_) | Way::Waits { .. } => {
                let mut pieces = FrameQueue::default();
                pieces.push_back(&mut self.pool, frame);
                self.send_in_fragments(fields, link, pieces);
            }
            Way::None => self.pool.free(frame),
        }
    }

    /// Puts the IP header in front of a packet and lets it wait for its neighbour.
    fn wait_for(&mut self, entry: u32, interface: u8, frame: Frame, fields: IpFields) {
        self.prepend_ip(&frame, fields);
        self.queue_for(entry, interface, frame);
    }

    /// Lets a packet wait for its neighbour.
    fn queue_for(&mut self, entry: u32, interface: u8, frame: Frame) {
        self.pool.descriptor_mut(&frame).flags = u16::from(interface);
        let rest = FrameQueue::default();
        self.neighbours
            .queue(entry, frame, rest, &mut self.pool, &mut self.counters);
    }

    fn prepend_ip(&mut self, frame: &Frame, fields: IpFields) {
        let len = usize::from(self.pool.descriptor(frame).len);
        let place = self.make_room(frame, fields.destination.ip_header_len());
        write_ip_header(place, fields, len);
        self.counters.ip_sent += 1;
    }

    /// Sends an IPv6 packet, header included, to a group or a neighbour on the link of an interface.
    pub(super) fn send_on_link(&mut self, id: u8, frame: Frame, destination: Ipv6Addr) {
        if destination.is_multicast() {
            let group = ethernet_group(destination.into());
            let header = self.ethernet_header(id, group, ether_type::IPV6);
            return self.push_ready(id, frame, &header);
        }
        let (pool, counters) = (&mut self.pool, &mut self.counters);
        let address = IpAddr::V6(destination);
        match self
            .neighbours
            .resolve(self.now, id, address, pool, counters)
        {
            Resolution::Known { hardware, .. } => {
                let header = self.ethernet_header(id, hardware, ether_type::IPV6);
                self.push_ready(id, frame, &header);
            }
            Resolution::Asking(entry) => self.queue_for(entry, id, frame),
            Resolution::RateLimited => self.pool.free(frame),
        }
    }

    /// Where a packet goes next that has to leave by a `link`, if the destination alone does not decide
    /// it.
    #[inline(always)]
    pub(super) fn way_over(
        &mut self,
        link: Option<u8>,
        source: Address,
        destination: Address,
    ) -> Way {
        match link {
            None => self.way_to(source, destination),
            Some(_) => self.find_way(source, destination, link),
        }
    }

    /// Where a packet to `destination` goes next.
    #[inline(always)]
    fn way_to(&mut self, source: Address, destination: Address) -> Way {
        match self
            .destinations
            .get(self.now, self.generation(), destination)
        {
            Some(known) => Way::Direct(*known),
            None => self.find_way(source, destination, None),
        }
    }

    /// Under which the destination cache's entries hold.
    fn generation(&self) -> u64 {
        u64::from(self.routes_generation) << 32 | u64::from(self.neighbours.generation())
    }

    /// The slow path of [`Stack::way_to`]; over the link that was `chosen`, for what is of one link's
    /// scope.
    #[cold]
    fn find_way(&mut self, from: Address, to: Address, chosen: Option<u8>) -> Way {
        let pair = (from, to);
        let known = self.destinations.get_for(self.now, self.generation(), pair);
        if let Some(known) = known
            && chosen.is_none_or(|link| link == known.interface)
        {
            return Way::Direct(*known);
        }
        let destination = to.ip();
        let sender = self.sender(from.ip());
        let link = chosen.or(sender.map(|sender| sender.link));
        let Some((id, interface, route)) = self.find_route(destination, link, sender.as_ref())
        else {
            self.counters.ip_no_route += 1;
            return Way::None;
        };
        let mtu = interface.mtu_for(destination);
        let ether_type = ether_type_of(destination);
        if let Some(everybody) = group_address(interface, destination) {
            let header = self.ethernet_header(id, everybody, ether_type);
            return Way::Direct(Destination {
                interface: id,
                mtu,
                header,
            });
        }
        let next_hop = route.map_or(destination, |route| route.next_hop(destination));
        let (pool, counters) = (&mut self.pool, &mut self.counters);
        match self
            .neighbours
            .resolve(self.now, id, next_hop, pool, counters)
        {
            Resolution::Known { hardware, until } => {
                let header = self.ethernet_header(id, hardware, ether_type);
                let known = Destination {
                    interface: id,
                    mtu,
                    header,
                };
                let generation = self.generation();
                if chosen.is_some() {
                    // Another packet between the two need not go this way.
                } else if is_of_one_link(destination) || self.routes.depend_on_sender(destination) {
                    self.destinations.put_for(generation, pair, until, known);
                } else {
                    self.destinations.put(generation, to, until, known);
                }
                Way::Direct(known)
            }
            Resolution::Asking(entry) => Way::Waits {
                interface: id,
                mtu,
                entry,
            },
            Resolution::RateLimited => Way::None,
        }
    }

    /// The largest packet that the path to a destination carries, as far as routers have told, where
    /// the link carries `mtu`.
    pub(super) fn path_mtu(&mut self, destination: IpAddr, mtu: usize) -> usize {
        let learned = [
            self.tcp.path_mtu(self.now, destination),
            self.udp.path_mtu(self.now, destination),
        ];
        learned.into_iter().flatten().fold(mtu, usize::min)
    }
}

/// Whether the same address can stand for different hosts on different links: link-local ones of IPv6
/// and groups.
#[inline(always)]
pub(super) fn is_of_one_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast(),
    }
}

fn ether_type_of(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => ether_type::IPV4,
        IpAddr::V6(_) => ether_type::IPV6,
    }
}

/// The Ethernet address for packets to more than one host of an interface's link; `None` for what
/// is one host.
pub(super) fn group_address(interface: &Interface, destination: IpAddr) -> Option<EthernetAddress> {
    if destination.is_multicast() {
        return Some(ethernet_group(destination));
    }
    let everybody = matches!(destination, IpAddr::V4(v4) if interface.v4.is_broadcast(v4));
    everybody.then_some(EthernetAddress::BROADCAST)
}

/// Writes the header of a packet with `len` bytes of payload, which the MTU has been found to allow,
/// into a place of its length. Both addresses are of one family.
#[inline(always)]
pub(super) fn write_ip_header(place: &mut [u8], fields: IpFields, len: usize) {
    let IpFields {
        source,
        destination,
        protocol,
        hop_limit: hops,
        traffic_class: class,
    } = fields;
    let fits = match (source.v4(), destination.v4()) {
        (Some(source), Some(destination)) => {
            let total = within_frame(ipv4::HEADER_LEN + len);
            Ipv4Header::with_class(class, source, destination, protocol, hops, total)
                .write_to(place)
                .is_ok()
        }
        _ => {
            let (source, destination) = (source.v6(), destination.v6());
            let len = within_frame(len);
            let mut header = Ipv6Header::new(source, destination, protocol, hops, len);
            header.set_traffic_class(class);
            header.write_to(place).is_ok()
        }
    };
    debug_assert!(fits);
}
