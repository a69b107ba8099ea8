//! Neighbour solicitations and advertisements (RFC 4861 §7), and the probing of our own addresses
//! (RFC 4862 §5.4, RFC 7527).
//!
//! The neighbour cache is ARP's, with its caution: nobody gets an entry by advertising itself
//! unasked, and an advertisement that contradicts what is known makes us ask the owner known so
//! far, whatever its Override flag says. That is stricter than RFC 4861 §7.2.5: a neighbour that
//! really moved is found within seconds instead of at once, and a forged one not at all.

use super::super::Stack;
use super::super::receive::Packet;
use super::Arrival;
use crate::address::NetworkChanges;
use crate::ip::{ALL_NODES, ALL_ROUTERS, Sender, v6::AddressEvent, v6::Conflict};
use crate::neigh::{Evidence, Learned};
use crate::pool::Frame;
use crate::time::Instant;
use crate::wire::ethernet::{EthernetAddress, ether_type};
use crate::wire::icmpv6::{Icmpv6Header, message_type};
use crate::wire::ndp::{self, NdpOption, TargetMessage, advertisement_flags, solicited_node};
use core::net::{IpAddr, Ipv6Addr};
use zerocopy::{FromBytes, IntoBytes};

/// What became of what a message says about a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// No neighbour can have that address.
    Stranger,
    /// The neighbour is not known, or known to be elsewhere: it is asked.
    Doubted,
    /// It is known.
    Believed,
}

impl Stack {
    /// A message of neighbour discovery: only one from this link is believed, and it is never a
    /// fragment (RFC 4861 §6.1, §7.1, §8.1, RFC 6980).
    pub(super) fn receive_discovery(
        &mut self,
        frame: Frame,
        packet: Packet,
        arrival: Arrival,
        header: Icmpv6Header,
    ) {
        self.counters.nd_received += 1;
        let from_link = arrival.hop_limit == ndp::HOP_LIMIT && !arrival.fragmented;
        if !from_link || header.code != 0 {
            return self.discard(frame, |c| &mut c.nd_malformed);
        }
        let handled = match header.message_type {
            message_type::NEIGHBOUR_SOLICITATION => self.solicitation_arrives(&frame, packet),
            message_type::NEIGHBOUR_ADVERTISEMENT => self.advertisement_arrives(&frame, packet),
            message_type::ROUTER_ADVERTISEMENT => self.router_arrives(&frame, packet),
            message_type::REDIRECT => self.redirect_arrives(&frame, packet),
            // Router solicitations are for routers.
            _ => {
                return self.discard(frame, |c| &mut c.icmp_ignored_type);
            }
        };
        match handled {
            Some(()) => self.pool.free(frame),
            None => self.discard(frame, |c| &mut c.nd_malformed),
        }
    }

    /// RFC 4861 §7.2.3. `None`: malformed (§7.1.1).
    fn solicitation_arrives(&mut self, frame: &Frame, packet: Packet) -> Option<()> {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination)
        else {
            return None;
        };
        let content = self.pool.content(frame);
        let (message, options) = TargetMessage::ref_from_prefix(content).ok()?;
        ndp::check_options(options).ok()?;
        let target = message.target();
        let (mut hardware, mut nonce) = (None, None);
        for option in ndp::options(options) {
            match option {
                NdpOption::SourceLinkLayer(address) => hardware = Some(address),
                NdpOption::Nonce(bytes) => nonce = bytes.first_chunk::<6>().copied(),
                _ => {}
            }
        }
        let probes = source.is_unspecified();
        if target.is_multicast()
            || (probes && (destination != solicited_node(target) || hardware.is_some()))
        {
            return None;
        }
        let addresses = &self.ipv6(packet.interface)?.addresses;
        if !addresses.owns(target) {
            match addresses.probing(target) {
                // Somebody else probes it as well, unless it is our own probe that comes back.
                Some(ours) if probes && nonce != Some(ours) => {
                    self.conflict(packet.interface, target);
                    let unknown = EthernetAddress::default();
                    self.note_conflict(packet.interface, target.into(), unknown);
                }
                Some(_) => {}
                None => self.counters.nd_not_for_us += 1,
            }
            return Some(());
        }
        if let Some(hardware) = hardware
            && self.learn_neighbour(packet.interface, (hardware, source), Evidence::RequestToUs)
                == Belief::Stranger
        {
            return Some(());
        }
        let solicited = if probes {
            0
        } else {
            advertisement_flags::SOLICITED
        };
        let to = if probes { ALL_NODES } else { source };
        self.send_advertisement(
            packet.interface,
            (target, to),
            solicited | advertisement_flags::OVERRIDE,
        );
        Some(())
    }

    /// RFC 4861 §7.2.5. `None`: malformed (§7.1.2).
    fn advertisement_arrives(&mut self, frame: &Frame, packet: Packet) -> Option<()> {
        let content = self.pool.content(frame);
        let (message, options) = TargetMessage::ref_from_prefix(content).ok()?;
        ndp::check_options(options).ok()?;
        let (message, target) = (*message, message.target());
        let solicited = message.has(advertisement_flags::SOLICITED);
        if target.is_multicast() || (solicited && !packet.to_us) || packet.source.is_multicast() {
            return None;
        }
        let hardware = ndp::options(options).find_map(|option| match option {
            NdpOption::TargetLinkLayer(address) => Some(address),
            _ => None,
        });
        let id = packet.interface;
        let addresses = &self.ipv6(id)?.addresses;
        if addresses.owns(target) {
            // We keep it: it was asked for before it was used.
            self.note_conflict(id, target.into(), hardware.unwrap_or_default());
            self.counters.nd_conflict += 1;
            self.changed(id, NetworkChanges::ADDRESS_CONFLICT);
            return Some(());
        }
        if addresses.probing(target).is_some() {
            self.conflict(id, target);
            self.note_conflict(id, target.into(), hardware.unwrap_or_default());
            return Some(());
        }
        let evidence = if solicited {
            Evidence::Reply
        } else {
            Evidence::Overheard
        };
        let believed = match hardware {
            Some(hardware) => {
                self.learn_neighbour(id, (hardware, target), evidence) == Belief::Believed
            }
            // It may be left out where the address was asked for by unicast (§4.4).
            None => solicited && self.neighbours.confirm_known(self.now, id, target.into()),
        };
        if believed
            && !message.has(advertisement_flags::ROUTER)
            && self.routes.withdraw_router(target.into(), id)
        {
            self.routes_changed();
        }
        Some(())
    }

    /// Takes in what a message says about a neighbour, and sends what waited for it.
    pub(super) fn learn_neighbour(
        &mut self,
        id: u8,
        (hardware, address): (EthernetAddress, Ipv6Addr),
        evidence: Evidence,
    ) -> Belief {
        if !hardware.is_station() || !self.is_neighbour(id, address) {
            self.counters.nd_bad_sender += 1;
            return Belief::Stranger;
        }
        let learned = self.neighbours.learn(
            self.now,
            id,
            (hardware, address.into()),
            evidence,
            &mut self.pool,
            &mut self.counters,
        );
        match learned {
            Learned::Resolved(waiting) => {
                self.note_neighbour(id, address.into(), hardware);
                self.release(id, hardware, ether_type::IPV6, waiting);
            }
            Learned::Confirmed => {}
            Learned::Contested => {
                self.counters.neighbour_contested += 1;
                return Belief::Doubted;
            }
            Learned::Unknown => {
                self.counters.nd_unsolicited += 1;
                return Belief::Doubted;
            }
        }
        if evidence == Evidence::Reply {
            self.gateway_answers(address.into(), id, true);
        }
        Belief::Believed
    }

    /// Whether a host on the link of an interface can have this address.
    fn is_neighbour(&self, id: u8, address: Ipv6Addr) -> bool {
        let on_link = |route: &crate::ip::Route| route.gateway.is_none() && route.interface == id;
        let sender = Sender {
            link: id,
            router: None,
        };
        crate::ip::v6::is_host(address)
            && !self.owns(address.into())
            && (address.is_unicast_link_local()
                || self
                    .routes
                    .lookup_from(&sender, address.into())
                    .is_some_and(on_link)
                || self.routes.is_gateway(address.into(), id))
    }

    /// Asks for the link-layer address of a neighbour: everybody in its group, or itself whether
    /// what is known still holds.
    pub(in crate::stack) fn solicit_neighbour(
        &mut self,
        id: u8,
        target: Ipv6Addr,
        known: Option<EthernetAddress>,
    ) {
        let now = self.now;
        let source = self
            .ipv6(id)
            .and_then(|v6| v6.addresses.source_for(now, target, None));
        let Some(source) = source else {
            return;
        };
        let to = match known {
            Some(_) => target,
            None => solicited_node(target),
        };
        let option = ndp::source_link_layer(self.hardware(id));
        let message = TargetMessage::solicitation(target);
        self.counters.nd_solicitations_sent += 1;
        let fields = (source, to, ndp::HOP_LIMIT);
        self.send_link_message(id, fields, &[], &[message.as_bytes(), &option]);
    }

    fn send_advertisement(&mut self, id: u8, (target, to): (Ipv6Addr, Ipv6Addr), flags: u32) {
        if self.pool_is_low() {
            self.counters.tx_no_frame += 1;
            return;
        }
        let option = ndp::target_link_layer(self.hardware(id));
        let message = TargetMessage::advertisement(target, flags);
        self.counters.nd_advertisements_sent += 1;
        let fields = (target, to, ndp::HOP_LIMIT);
        self.send_link_message(id, fields, &[], &[message.as_bytes(), &option]);
    }

    /// An address that we probe is somebody else's.
    fn conflict(&mut self, id: u8, address: Ipv6Addr) {
        let now = self.now;
        self.ipv6_due = Instant::ZERO;
        let Some((v6, rng)) = self.ipv6_and_rng(id) else {
            return;
        };
        if let Conflict::GivenUp { listening } = v6.addresses.conflict(now, address, rng) {
            if listening {
                self.leave_solicited(id, address);
            }
            self.counters.nd_duplicate_address += 1;
            self.changed(id, NetworkChanges::ADDRESS_CONFLICT);
        }
    }

    /// Takes away an address that the owner gave.
    pub(in crate::stack) fn drop_ipv6_address(&mut self, id: u8, address: Ipv6Addr) {
        self.ipv6_due = Instant::ZERO;
        let Some((v6, _)) = self.ipv6_and_rng(id) else {
            return;
        };
        if let Some((left, used)) = v6.addresses.remove_static(address) {
            if left.listening {
                self.leave_solicited(id, address);
            }
            self.address_gone(id, (address.into(), left.prefix_len), used);
        }
    }

    /// An address does not need its group any more.
    fn leave_solicited(&mut self, id: u8, address: Ipv6Addr) {
        let now = self.now;
        if let Some((groups, _)) = self.groups_and_rng(id) {
            groups.leave(now, solicited_node(address).into());
        }
    }

    /// Takes the next step with one of our addresses on an interface. Whether there was one to take.
    pub(super) fn address_event(&mut self, id: u8) -> bool {
        let now = self.now;
        let Some((v6, rng)) = self.ipv6_and_rng(id) else {
            return false;
        };
        let Some(event) = v6.addresses.next_event(now, rng) else {
            return false;
        };
        match event {
            AddressEvent::Listen { address } => {
                let group = solicited_node(address).into();
                let interface = &mut self.interfaces[usize::from(id)];
                if !interface.groups.join(now, group)
                    && let Some(v6) = &mut interface.v6
                {
                    v6.addresses.step_back(event);
                    self.counters.nd_limit += 1;
                }
            }
            AddressEvent::Probe { address, nonce } => {
                let message = TargetMessage::solicitation(address);
                let to = solicited_node(address);
                let fields = (Ipv6Addr::UNSPECIFIED, to, ndp::HOP_LIMIT);
                let parts = [message.as_bytes(), &ndp::nonce(nonce)];
                if self.send_link_message(id, fields, &[], &parts) {
                    self.counters.nd_solicitations_sent += 1;
                } else if let Some(v6) = self.interfaces[usize::from(id)].v6.as_mut() {
                    v6.addresses.step_back(event);
                }
            }
            AddressEvent::Assigned { address } => {
                if address.is_unicast_link_local() {
                    let is_first = v6.addresses.link_local() == Some(address);
                    if v6.accepts_routers && is_first {
                        v6.solicitation.start(now);
                    }
                    v6.dhcp6.link_is_up(now, rng);
                    if is_first && let Some((groups, _)) = self.groups_and_rng(id) {
                        groups.report_again(now);
                    }
                } else {
                    // So that routers need not ask when the first packet for it comes (RFC 9131 §3).
                    self.send_advertisement(id, (address, ALL_ROUTERS), 0);
                }
                self.changed(id, NetworkChanges::ADDRESS_USABLE);
                self.routes_changed();
            }
            AddressEvent::Expired { address, left } => {
                if left.listening {
                    self.leave_solicited(id, address);
                }
                self.address_gone(id, (address.into(), left.prefix_len), true);
            }
        }
        true
    }
}
