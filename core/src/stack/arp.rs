//! ARP (RFC 826) with conflict detection and announcements (RFC 5227).

use super::{Stack, within_frame};
use crate::ip::{is_host, v6};
use crate::log::Change;
use crate::neigh::{Due, Evidence, Learned, Request};
use crate::pool::{Frame, FrameQueue, HEADROOM};
use crate::wire::arp::{self, ArpError, ArpPacket, Operation};
use crate::wire::ethernet::{EthernetAddress, ether_type};
use core::net::{IpAddr, Ipv4Addr};
use zerocopy::IntoBytes;

impl Stack {
    #[inline(never)]
    pub(super) fn receive_arp(&mut self, id: u8, frame: Frame) {
        self.counters.arp_received += 1;
        let (operation, packet) = match arp::parse(self.pool.content(&frame)) {
            Ok((operation, packet)) => (operation, *packet),
            Err(ArpError::Truncated | ArpError::AddressTypes) => {
                return self.discard(frame, |c| &mut c.arp_malformed);
            }
            Err(ArpError::Operation) => return self.discard(frame, |c| &mut c.arp_bad_operation),
        };
        let Some(interface) = self.interfaces.get(usize::from(id)) else {
            return self.discard(frame, |c| &mut c.rx_no_interface);
        };
        let (sender_hardware, sender) = packet.sender();
        let (_, target) = packet.target();
        if !sender_hardware.is_station() || sender_hardware == interface.hardware {
            return self.discard(frame, |c| &mut c.arp_bad_sender);
        }
        // Whoever has or probes an address that we probe (RFC 5227 §2.1.1).
        let claimed = match (sender.is_unspecified(), operation) {
            (true, Operation::Request) => target,
            _ => sender,
        };
        if interface.v4.is_probing(claimed) && self.ipv4_conflict(id, claimed) {
            self.note_conflict(id, claimed.into(), sender_hardware);
            return self.discard(frame, |c| &mut c.arp_conflict);
        }
        let Some(interface) = self.interfaces.get(usize::from(id)) else {
            return self.discard(frame, |c| &mut c.rx_no_interface);
        };
        let asks_for_us = operation == Operation::Request && interface.v4.owns(target);
        if sender.is_unspecified() {
            // A probe (RFC 5227 §2.1.1): to be answered, but it says nothing about its sender.
            if asks_for_us {
                self.send_arp_reply(id, frame, packet);
            } else {
                self.discard(frame, |c| &mut c.arp_not_for_us);
            }
            return;
        }
        if interface.v4.owns(sender) {
            self.ipv4_conflict(id, sender);
            self.note_conflict(id, sender.into(), sender_hardware);
            return self.discard(frame, |c| &mut c.arp_conflict);
        }
        let network = &interface.v4;
        let on_link =
            network.is_on_link(sender) || self.routes.is_neighbour(IpAddr::V4(sender), id);
        if !is_host(sender) || !on_link || network.is_broadcast(sender) {
            return self.discard(frame, |c| &mut c.arp_bad_sender);
        }
        let evidence = match operation {
            Operation::Request if asks_for_us => Evidence::RequestToUs,
            Operation::Request => Evidence::Overheard,
            // A reply that is not for one of our addresses was not asked for by us.
            Operation::Reply if interface.v4.owns(target) => Evidence::Reply,
            Operation::Reply => Evidence::Overheard,
        };
        let learned = self.neighbours.learn(
            self.now,
            id,
            (sender_hardware, sender.into()),
            evidence,
            &mut self.pool,
            &mut self.counters,
        );
        match learned {
            Learned::Resolved(waiting) => {
                self.note_neighbour(id, sender.into(), sender_hardware);
                self.release(id, sender_hardware, ether_type::IPV4, waiting);
            }
            Learned::Confirmed => {}
            Learned::Contested => self.counters.neighbour_contested += 1,
            Learned::Unknown if operation == Operation::Reply => {
                return self.discard(frame, |c| &mut c.arp_unsolicited);
            }
            Learned::Unknown => return self.discard(frame, |c| &mut c.arp_not_for_us),
        }
        if evidence == Evidence::Reply {
            self.gateway_answers(sender.into(), id, true);
        }
        if asks_for_us {
            self.send_arp_reply(id, frame, packet);
        } else {
            self.pool.free(frame);
        }
    }

    /// Somebody says that an address of ours is theirs.
    #[cold]
    pub(super) fn note_conflict(&mut self, interface: u8, address: IpAddr, by: EthernetAddress) {
        let hardware = by.0;
        self.journal.note(self.now, || Change::Conflict {
            interface,
            address,
            hardware,
        });
    }

    /// A neighbour is known now.
    #[cold]
    pub(super) fn note_neighbour(&mut self, interface: u8, address: IpAddr, at: EthernetAddress) {
        let hardware = at.0;
        self.journal.note(self.now, || Change::Neighbour {
            interface,
            address,
            hardware,
        });
    }

    /// Sends what waited for a neighbour.
    pub(super) fn release(
        &mut self,
        id: u8,
        hardware: EthernetAddress,
        ether_type: u16,
        mut waiting: FrameQueue,
    ) {
        let header = self.ethernet_header(id, hardware, ether_type);
        while let Some(packet) = waiting.pop_front(&mut self.pool) {
            self.push_ready(id, packet, &header);
        }
    }

    /// Answers a request for one of our addresses, in the frame that it came in.
    fn send_arp_reply(&mut self, id: u8, frame: Frame, request: ArpPacket) {
        if self.pool_is_low() {
            return self.discard(frame, |c| &mut c.tx_no_frame);
        }
        let (hardware, sender) = request.sender();
        let (_, target) = request.target();
        let us = self.hardware(id);
        let reply = ArpPacket::new(Operation::Reply, (us, target), (hardware, sender));
        self.counters.arp_replies_sent += 1;
        self.push_arp(id, frame, hardware, &reply);
    }

    /// Makes the next ARP request that is due: for an address of ours, or a question for a neighbour.
    /// Whether there may be more.
    pub(super) fn send_due_arp(&mut self) -> bool {
        if self.send_due_ipv4() {
            return true;
        }
        let due = self
            .neighbours
            .next_request(self.now, &mut self.pool, &mut self.counters);
        while let Some(frame) = self.neighbours.take_undeliverable(&mut self.pool) {
            self.report_undeliverable(frame);
        }
        let Request {
            interface: id,
            address,
            hardware,
        } = match due {
            Some(Due::Ask(request)) => request,
            Some(Due::Lost { interface, address }) => {
                self.gateway_answers(address, interface, false);
                return true;
            }
            None => return false,
        };
        let address = match address {
            IpAddr::V4(address) => address,
            IpAddr::V6(address) => {
                self.solicit_neighbour(id, address, hardware);
                return true;
            }
        };
        if let Some(interface) = self.interfaces.get(usize::from(id))
            && let Some(source) = interface.v4.source_for(address, false)
        {
            let sender = (interface.hardware, source);
            let target = (EthernetAddress::default(), address);
            let request = ArpPacket::new(Operation::Request, sender, target);
            self.send_arp_request(id, hardware, &request);
        }
        true
    }

    /// Whether there was a frame for it.
    pub(super) fn send_arp_request(
        &mut self,
        id: u8,
        to: Option<EthernetAddress>,
        request: &ArpPacket,
    ) -> bool {
        let Some(frame) = self.pool.allocate() else {
            self.counters.tx_no_frame += 1;
            return false;
        };
        self.counters.arp_requests_sent += 1;
        self.push_arp(id, frame, to.unwrap_or(EthernetAddress::BROADCAST), request);
        true
    }

    fn push_arp(&mut self, id: u8, frame: Frame, to: EthernetAddress, packet: &ArpPacket) {
        // So that conflicts are noticed where two links are joined (RFC 3927 §2.5).
        let to = match packet.sender().1.is_link_local() {
            true => EthernetAddress::BROADCAST,
            false => to,
        };
        let header = self.ethernet_header(id, to, ether_type::ARP);
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start = within_frame(HEADROOM);
        descriptor.len = within_frame(arp::PACKET_LEN);
        self.pool
            .content_mut(&frame)
            .copy_from_slice(packet.as_bytes());
        self.push_ready(id, frame, &header);
    }

    /// Whether replies must be dropped, because too few frames are left to take in what helps.
    pub(super) fn pool_is_low(&self) -> bool {
        self.pool.free_frames() < self.limits.reserved_frames / 2
    }

    /// Whether an address is one that a packet could be sent to: a host that is not us.
    pub(super) fn is_peer(&self, address: IpAddr) -> bool {
        let can_be = match address {
            IpAddr::V4(v4) => is_host(v4) && !self.is_broadcast(v4),
            IpAddr::V6(v6) => v6::is_host(v6),
        };
        can_be && !self.owns(address)
    }

    /// Whether everybody on a network of ours is meant.
    pub(super) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        self.interfaces
            .iter()
            .any(|interface| interface.v4.is_broadcast(address))
    }
}
