//! IPv6 (RFC 8200): interfaces that speak it, packets on their way up, and what time brings.
//!
//! - `dhcp6`: questions to DHCPv6 servers; `icmp`: echo and errors; `neighbours`: solicitations and advertisements of neighbours, and the
//!   probing of our addresses; `routers`: solicitations, advertisements and redirects of routers;
//!   `listeners`: reports of the groups that we listen to.

mod dhcp6;
mod icmp;
mod listeners;
mod neighbours;
mod routers;

use super::receive::Packet;
use super::{Stack, context, within_frame};
use crate::config::{InterfaceIdentifiers, Ipv6Config};
use crate::context::Incoming;
use crate::device::InterfaceId;
use crate::dhcp6::Dhcp6;
use crate::error::ConfigError;
use crate::ip::{Interface, Ipv6, Prefix, Route, Solicitation, identifier, v6};
use crate::pool::{Frame, FrameQueue, HEADROOM};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::ecn::Ecn;
use crate::wire::icmpv6::message_type;
use crate::wire::ipv6::{self, ExtensionError, Ipv6Error, UpperLayer, next_header};
use core::net::Ipv6Addr;

/// What an ICMPv6 message has to be checked for beyond itself.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    hop_limit: u8,
    /// It came with a fragment header, which neighbour discovery refuses (RFC 6980).
    fragmented: bool,
    /// It has the Router Alert option, which multicast listener messages must have (RFC 3810 §6.2).
    router_alert: bool,
}

impl Stack {
    /// Lets an interface speak IPv6. It makes itself a link-local address, asks whether somebody
    /// has it (RFC 4862 §5.4), and then asks routers for more.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::MtuOutOfRange`] if the interface's MTU is
    /// below 1280 (RFC 8200 §5); [`ConfigError::AlreadyEnabled`];
    /// [`ConfigError::HardwareAddressShared`] for EUI-64 identifiers, if another interface with the
    /// same Ethernet address has them, as VLANs of one parent would: both would have the same
    /// link-local address.
    pub fn enable_ipv6(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        config: Ipv6Config,
    ) -> Result<(), ConfigError> {
        self.advance(now);
        let entry = self.interface(interface)?;
        if entry.mtu < ipv6::MIN_MTU {
            return Err(ConfigError::MtuOutOfRange);
        }
        if entry.v6.is_some() {
            return Err(ConfigError::AlreadyEnabled);
        }
        let hardware = entry.hardware;
        let eui_64 = InterfaceIdentifiers::Eui64;
        let same_address = |other: &Interface| {
            let v6 = other.v6.as_ref();
            other.hardware == hardware && v6.is_some_and(|v6| v6.addresses.identifiers() == eui_64)
        };
        if config.identifiers == eui_64 && self.interfaces.iter().any(same_address) {
            return Err(ConfigError::HardwareAddressShared);
        }
        let entry = self
            .interfaces
            .get_mut(interface.index())
            .ok_or(ConfigError::NoSuchInterface)?;
        let accepts_routers = config.accept_router_advertisements;
        let rng = &mut self.rng;
        let uuid = *self.dhcp6_uuid.get_or_insert_with(|| match &config.secret {
            Some(secret) => identifier::uuid(secret),
            None => rng.key(),
        });
        self.ipv6_due = Instant::ZERO;
        entry.v6 = Some(Ipv6 {
            addresses: v6::Ipv6Addresses::new(config, hardware, interface.0, self.now, rng),
            mtu: usize::MAX,
            accepts_routers,
            solicitation: Solicitation::new(),
            dhcp6: Dhcp6::new(config.dhcp6, uuid),
        });
        Ok(())
    }

    /// [`Stack::add_address`] for IPv6.
    pub(super) fn add_ipv6_address(
        &mut self,
        interface: InterfaceId,
        address: Ipv6Addr,
        prefix_len: u8,
    ) -> Result<(), ConfigError> {
        if self.interfaces.iter().any(|i| {
            let v6 = i.v6.as_ref();
            v6.is_some_and(|v6| v6.addresses.claims(address))
        }) {
            return Err(ConfigError::BadAddress);
        }
        let prefix = Prefix::new(address.into(), prefix_len).ok_or(ConfigError::BadAddress)?;
        let entry = self
            .interfaces
            .get_mut(interface.index())
            .ok_or(ConfigError::NoSuchInterface)?;
        let v6 = entry.v6.as_mut().ok_or(ConfigError::FamilyDisabled)?;
        let route = Route::new(prefix, None, interface.0);
        if !self.routes.has_room_for(&route) {
            return Err(ConfigError::TooMany);
        }
        v6.addresses
            .add_static(self.now, address, prefix_len, &mut self.rng)?;
        self.ipv6_due = Instant::ZERO;
        self.routes.add(route)?;
        self.routes_changed();
        Ok(())
    }

    fn ipv6(&self, id: u8) -> Option<&Ipv6> {
        self.interfaces.get(usize::from(id))?.v6.as_ref()
    }

    /// The same, to change, and what chance decides with.
    fn ipv6_and_rng(&mut self, id: u8) -> Option<(&mut Ipv6, &mut Rng)> {
        let interface = self.interfaces.get_mut(usize::from(id))?;
        Some((interface.v6.as_mut()?, &mut self.rng))
    }

    pub(super) fn receive_ipv6(
        &mut self,
        id: u8,
        frame: Frame,
        link_unicast: bool,
        verified: bool,
    ) {
        self.counters.ip_received += 1;
        let Some(interface) = self.interfaces.get(usize::from(id)) else {
            return self.discard(frame, |c| &mut c.rx_no_interface);
        };
        let Some(v6) = &interface.v6 else {
            return self.discard(frame, |c| &mut c.ip_family_disabled);
        };
        let content = self.pool.content(&frame);
        let (header, payload) = match ipv6::parse(content) {
            Ok(parts) => parts,
            Err(error) => return self.discard_ipv6(frame, error),
        };
        let (source, destination) = (header.source(), header.destination());
        let ecn = Ecn::of_class(header.traffic_class());
        let hop_limit = header.hop_limit;
        let plausible = source.is_unspecified() || v6::is_host(source);
        if !plausible || self.owns(source.into()) {
            return self.discard(frame, |c| &mut c.ip_bad_source);
        }
        let to_us = v6.addresses.owns(destination);
        // Groups of less than a link's scope are on no link (RFC 4291 §2.7).
        let to_group = destination.is_multicast()
            && destination.octets()[1] & 0xf > 1
            && interface.groups.listens_to(destination.into());
        if !to_us && !to_group {
            return self.discard(frame, |c| &mut c.ip_bad_destination);
        }
        if to_us && !link_unicast {
            return self.discard(frame, |c| &mut c.ip_link_broadcast);
        }
        let mtu = interface.mtu_of(true);
        let layer = match header.next_header {
            // Nothing to walk along.
            protocol @ (next_header::TCP | next_header::UDP | next_header::ICMPV6) => {
                Ok(UpperLayer {
                    protocol,
                    start: payload.start,
                    named_at: 0,
                    fragment: None,
                    router_alert: false,
                })
            }
            _ => ipv6::upper_layer(&content[..payload.end]),
        };
        let start = self.pool.descriptor(&frame).start;
        let packet = Packet {
            interface: id,
            source: source.into(),
            destination: destination.into(),
            to_us,
            start,
            len: within_frame(payload.end),
            verified,
        };
        let layer = match layer {
            Ok(layer) => layer,
            Err(error) => return self.extension_refused(frame, packet, error),
        };
        if let Some(fragment) = layer.fragment
            && !fragment.is_atomic()
        {
            return self.fragment_arrives_v6(frame, packet, (layer.start, fragment, ecn));
        }
        let arrival = Arrival {
            hop_limit,
            fragmented: layer.fragment.is_some(),
            router_alert: layer.router_alert,
        };
        self.deliver_ipv6(frame, packet, layer, arrival, (mtu, ecn));
    }

    /// Hands a packet to its transport. `mtu` is the interface's.
    #[inline(always)]
    fn deliver_ipv6(
        &mut self,
        frame: Frame,
        packet: Packet,
        layer: UpperLayer,
        arrival: Arrival,
        (mtu, ecn): (usize, Ecn),
    ) {
        let from_nobody = packet.source.is_unspecified();
        if from_nobody && layer.protocol != next_header::ICMPV6 {
            return self.discard(frame, |c| &mut c.ip_bad_source);
        }
        let descriptor = self.pool.descriptor_mut(&frame);
        let upper = within_frame(layer.start);
        descriptor.start = packet.start + upper;
        descriptor.len = packet.len - upper;
        match layer.protocol {
            next_header::TCP if packet.to_us => {
                let incoming = Incoming {
                    frame,
                    source: packet.source,
                    destination: packet.destination,
                    checksum_verified: packet.verified,
                    mtu,
                    ecn,
                };
                self.tcp.receive(&mut context!(self), incoming);
            }
            next_header::UDP => self.receive_udp(frame, FrameQueue::default(), packet),
            next_header::ICMPV6 => self.receive_icmpv6(frame, packet, arrival),
            next_header::TCP => self.discard(frame, |c| &mut c.ip_broadcast_refused),
            next_header::NONE => self.discard(frame, |c| &mut c.ip_no_payload),
            _ => {
                self.counters.ip_unknown_protocol += 1;
                let error = ExtensionError::Problem {
                    code: ipv6::UNKNOWN_NEXT_HEADER,
                    pointer: u32::from(within_frame(layer.named_at)),
                    even_multicast: false,
                };
                self.report_problem(frame, packet, error);
            }
        }
    }

    /// Hands up a packet that was put together from fragments, whose headers are in `frame`: if there
    /// is a `rest`, as far as packets of more than a frame are taken.
    #[cold]
    pub(super) fn deliver_reassembled_ipv6(
        &mut self,
        frame: Frame,
        mut rest: FrameQueue,
        packet: Packet,
        ecn: Ecn,
    ) {
        let content = self.pool.content(&frame);
        let hop_limit = ipv6::parse_quoted(content).map_or(0, |header| header.hop_limit);
        let layer = match ipv6::upper_layer(content) {
            // RFC 8200 §4.1: once at most.
            Ok(layer) if layer.fragment.is_some() => Err(ExtensionError::TooMany),
            other => other,
        };
        let layer = match layer {
            Ok(layer) => layer,
            Err(error) => {
                rest.clear(&mut self.pool);
                return self.extension_refused(frame, packet, error);
            }
        };
        if !rest.is_empty() {
            self.strip(&frame, layer.start);
            return self.deliver_long(frame, rest, packet, layer.protocol);
        }
        let arrival = Arrival {
            hop_limit,
            fragmented: true,
            router_alert: layer.router_alert,
        };
        let interface = self.interfaces.get(usize::from(packet.interface));
        let mtu = interface.map_or(0, |interface| interface.mtu_of(true));
        self.deliver_ipv6(frame, packet, layer, arrival, (mtu, ecn));
    }

    #[cold]
    fn discard_ipv6(&mut self, frame: Frame, error: Ipv6Error) {
        self.discard(frame, |c| match error {
            Ipv6Error::Truncated => &mut c.ip_truncated,
            Ipv6Error::Version => &mut c.ip_bad_version,
            Ipv6Error::PayloadLength => &mut c.ip_bad_total_length,
        });
    }

    /// An extension header that ends the packet's way (RFC 8200 §4).
    #[cold]
    pub(super) fn extension_refused(
        &mut self,
        frame: Frame,
        packet: Packet,
        error: ExtensionError,
    ) {
        self.counters.ip_bad_extension += 1;
        self.report_problem(frame, packet, error);
    }

    /// Tells the sender of a problem, where it is to be told.
    pub(super) fn report_problem(&mut self, frame: Frame, packet: Packet, error: ExtensionError) {
        match error {
            ExtensionError::Problem {
                code,
                pointer,
                even_multicast,
            } if packet.to_us || even_multicast => {
                let kind = message_type::PARAMETER_PROBLEM;
                self.send_icmpv6_error(frame, packet, (kind, code, pointer));
            }
            _ => self.pool.free(frame),
        }
    }

    /// What is due on any interface, one message at a time. Whether there may be more.
    pub(super) fn send_due_ipv6(&mut self) -> bool {
        for id in 0..self.interfaces.len() {
            let Ok(id) = u8::try_from(id) else {
                return false;
            };
            let reported = self.report_groups(id);
            if reported
                || self.ipv6(id).is_some()
                    && (self.address_event(id) || self.solicit_routers(id) || self.ask_dhcp6(id))
            {
                return true;
            }
        }
        for interface in &mut self.interfaces {
            interface.resolvers.expire(self.now);
        }
        if self.routes.next_timeout().is_some_and(|at| at <= self.now) && self.see_to_routes() {
            return true;
        }
        self.ipv6_due = self.next_ipv6_event().unwrap_or(Instant::FAR_FUTURE);
        false
    }

    /// When [`Stack::send_due_ipv6`] has something to do.
    pub(super) fn next_ipv6_timeout(&self) -> Option<Instant> {
        let event = match self.ipv6_due {
            Instant::ZERO => self.next_ipv6_event(),
            Instant::FAR_FUTURE => None,
            at => Some(at),
        };
        event.into_iter().chain(self.routes.next_timeout()).min()
    }

    /// When an interface has something to do for IPv6, for its groups, or with what it knows of DNS.
    fn next_ipv6_event(&self) -> Option<Instant> {
        let interfaces = self.interfaces.iter().filter_map(|i| i.v6.as_ref());
        let timeouts = interfaces.flat_map(|v6| {
            let solicitation = v6.solicitation.next_timeout();
            let addresses = v6.addresses.next_timeout();
            let dhcp6 = v6.dhcp6.next_timeout();
            let soonest = solicitation.into_iter().chain(addresses);
            soonest.chain(dhcp6)
        });
        let resolvers = self.interfaces.iter();
        let resolvers = resolvers.filter_map(|i| i.resolvers.next_timeout());
        let groups = self.interfaces.iter();
        let groups = groups.filter_map(|i| i.groups.next_timeout());
        timeouts.chain(resolvers).chain(groups).min()
    }

    /// A frame for a message of the link, with room in front of it; `None` if there is none.
    fn message_frame(&mut self, parts: &[&[u8]]) -> Option<Frame> {
        let Some(frame) = self.pool.allocate() else {
            self.counters.tx_no_frame += 1;
            return None;
        };
        let mut at = HEADROOM;
        let buffer = self.pool.buffer_mut(&frame);
        for part in parts {
            // Messages are short, and frames have room for the least MTU of IPv6.
            if let Some(place) = buffer.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
                at += part.len();
            }
        }
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start = within_frame(HEADROOM);
        descriptor.len = within_frame(at - HEADROOM);
        Some(frame)
    }
}
