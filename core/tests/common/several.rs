//! A host with several interfaces, with or without VLANs, and neighbours on each link that answer
//! questions for their Ethernet addresses. Time is virtual.

use super::v6;
use mnet_core::checksum;
use mnet_core::config::{Ipv6Config, VlanConfig};
use mnet_core::device::InterfaceId;
use mnet_core::wire::ethernet::{EthernetAddress, ether_type};
use mnet_core::wire::ndp::{TargetMessage, solicited_node, target_link_layer};
use mnet_core::{Config, Counters, Instant, InterfaceConfig, Stack};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// Our Ethernet address on a device, by its place.
pub const fn our_hw(device: usize) -> EthernetAddress {
    let [low, ..] = device.to_le_bytes();
    EthernetAddress([2, 1, 0, 0, 0, low])
}

/// The Ethernet address of a neighbour, whichever link it is on.
pub fn hw_of(address: impl Into<IpAddr>) -> EthernetAddress {
    let [a, b, c, d] = match address.into() {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => *v6.octets().last_chunk().unwrap(),
    };
    EthernetAddress([2, 0, a, b, c, d])
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// A frame that the host has sent, its tags taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The device that it left by: the place of its interface.
    pub device: usize,
    /// The words of its 802.1Q tag.
    pub tag: Option<u16>,
    pub to: EthernetAddress,
    pub from: EthernetAddress,
    pub ether_type: u16,
    pub packet: Vec<u8>,
}

impl Sent {
    fn new(device: usize, frame: &[u8]) -> Self {
        let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let (tag, at) = match word(12) {
            ether_type::VLAN => (Some(word(14)), 18),
            _ => (None, 14),
        };
        Self {
            device,
            tag,
            to: EthernetAddress(*frame.first_chunk().unwrap()),
            from: EthernetAddress(*frame[6..].first_chunk().unwrap()),
            ether_type: word(at - 2),
            packet: frame[at..].to_vec(),
        }
    }

    /// Source and destination of its IP header.
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        let at = |from: usize| -> IpAddr {
            match self.ether_type {
                ether_type::IPV4 => {
                    let bytes: [u8; 4] = *self.packet[from..].first_chunk().unwrap();
                    bytes.into()
                }
                _ => {
                    let bytes: [u8; 16] = *self.packet[from..].first_chunk().unwrap();
                    bytes.into()
                }
            }
        };
        match self.ether_type {
            ether_type::IPV4 => (at(12), at(16)),
            ether_type::IPV6 => (at(8), at(24)),
            other => panic!("no IP packet: {other:#x}"),
        }
    }

    /// The transport packet.
    pub fn transport(&self) -> &[u8] {
        let header_len = if self.packet[0] >> 4 == 4 { 20 } else { 40 };
        &self.packet[header_len..]
    }

    /// The IPv4 address that an ARP request asks for.
    fn arp_question(&self) -> Option<Ipv4Addr> {
        let asks = self.ether_type == ether_type::ARP && self.packet[6..8] == [0, 1];
        let target = *self.packet.get(24..)?.first_chunk::<4>()?;
        asks.then(|| target.into())
    }

    /// The address that a neighbour solicitation asks for, unless it is a probe of our own.
    fn nd_question(&self) -> Option<Ipv6Addr> {
        let asks = self.ether_type == ether_type::IPV6
            && self.packet[6] == 58
            && self.packet[40] == 135
            && self.packet[8..24] != [0; 16];
        let (message, _) = TargetMessage::read_from_prefix(self.packet.get(40..)?).ok()?;
        asks.then(|| message.target())
    }
}

/// The host.
pub struct Host {
    pub stack: Stack,
    pub now: Instant,
    /// The interfaces of devices.
    devices: Vec<InterfaceId>,
    /// The same and those of VLANs, as far as they have addresses.
    interfaces: Vec<InterfaceId>,
    /// What was sent and not looked at.
    sent: Vec<Sent>,
    /// Neighbours that do not answer.
    pub silent: Vec<IpAddr>,
    seen: Counters,
}

impl Host {
    pub fn new() -> Self {
        Self::with(&Config {
            memory: 2 << 20,
            ..Config::default()
        })
    }

    pub fn with(config: &Config) -> Self {
        let now = Instant::from_millis(1_000);
        Self {
            stack: Stack::new(config, [42; 32], now).unwrap(),
            now,
            devices: Vec::new(),
            interfaces: Vec::new(),
            sent: Vec::new(),
            silent: Vec::new(),
            seen: Counters::default(),
        }
    }

    /// Adds a device with these addresses.
    pub fn add(&mut self, addresses: &[(&str, u8)]) -> InterfaceId {
        self.add_with_mtu(1_500, addresses)
    }

    pub fn add_with_mtu(&mut self, mtu: usize, addresses: &[(&str, u8)]) -> InterfaceId {
        let config = InterfaceConfig {
            hardware_address: our_hw(self.devices.len()).0,
            mtu,
        };
        let id = self.stack.add_interface(self.now, config).unwrap();
        self.devices.push(id);
        self.give(id, addresses);
        id
    }

    /// Adds a VLAN of an interface with these addresses.
    pub fn add_vlan(
        &mut self,
        parent: InterfaceId,
        config: VlanConfig,
        addresses: &[(&str, u8)],
    ) -> InterfaceId {
        let id = self.stack.add_vlan(self.now, parent, config).unwrap();
        self.give(id, addresses);
        id
    }

    /// Gives an interface addresses, and waits until they are ours.
    pub fn give(&mut self, interface: InterfaceId, addresses: &[(&str, u8)]) {
        self.interfaces.push(interface);
        for (address, prefix_len) in addresses {
            let address = ip(address);
            if address.is_ipv6() {
                let config = Ipv6Config {
                    accept_router_advertisements: false,
                    ..Ipv6Config::default()
                };
                let _ = self.stack.enable_ipv6(self.now, interface, config);
            }
            self.stack
                .add_address(self.now, interface, address, *prefix_len)
                .unwrap();
        }
        self.advance(10);
        self.take();
        self.counted();
    }

    pub fn default_gateway(&mut self, interface: InterfaceId, gateway: &str) {
        let gateway = ip(gateway);
        let everything: IpAddr = match gateway {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        self.stack
            .add_route(everything, 0, gateway, interface)
            .unwrap();
    }

    /// A frame comes in on a device.
    pub fn receive(&mut self, device: usize, frame: &[u8]) {
        self.stack
            .receive_copy(self.now, self.devices[device], frame);
        self.flush();
    }

    /// Collects what the host sends now, and answers its questions.
    pub fn flush(&mut self) {
        self.stack.handle_timeout(self.now);
        for _ in 0..10_000 {
            let Some(frame) = self.stack.transmit(self.now) else {
                return;
            };
            let device = frame.interface.index();
            let device = self
                .devices
                .iter()
                .position(|id| id.index() == device)
                .expect("frames leave by devices");
            let sent = Sent::new(device, &frame.slices.concat());
            drop(frame);
            match self.answer(&sent) {
                Some(answer) => self
                    .stack
                    .receive_copy(self.now, self.devices[device], &answer),
                None => self.sent.push(sent),
            }
        }
        panic!("the stack does not stop sending");
    }

    /// What a neighbour answers to a question of the host; `None`: it is none, or nobody answers.
    fn answer(&self, sent: &Sent) -> Option<Vec<u8>> {
        let ours = |address: IpAddr| {
            self.interfaces
                .iter()
                .any(|id| self.stack.addresses(*id).any(|(a, _)| a == address))
        };
        let answers = |address: IpAddr| !self.silent.contains(&address) && !ours(address);
        if let Some(target) = sent
            .arp_question()
            .filter(|target| answers((*target).into()))
        {
            let (theirs, asker) = (hw_of(target), &sent.packet[8..18]);
            let mut reply = vec![0, 1, 8, 0, 6, 4, 0, 2];
            reply.extend(theirs.0);
            reply.extend(target.octets());
            reply.extend(asker);
            return Some(frame(theirs, sent.from, sent.tag, ether_type::ARP, &reply));
        }
        let target = sent
            .nd_question()
            .filter(|target| answers((*target).into()))?;
        let (IpAddr::V6(asker), _) = sent.addresses() else {
            return None;
        };
        let theirs = hw_of(target);
        // Solicited and overriding.
        let message = TargetMessage::advertisement(target, 0x6000_0000);
        let message = [message.as_bytes(), &target_link_layer(theirs)].concat();
        let message = v6::summed(target, asker, 58, &message);
        let packet = v6::packet(target, asker, 58, 255, &message);
        Some(frame(
            theirs,
            sent.from,
            sent.tag,
            ether_type::IPV6,
            &packet,
        ))
    }

    /// What was sent since the last look.
    pub fn take(&mut self) -> Vec<Sent> {
        self.flush();
        std::mem::take(&mut self.sent)
    }

    /// The only frame that was sent since the last look.
    #[track_caller]
    pub fn one(&mut self) -> Sent {
        let mut sent = self.take();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// Lets so many seconds pass, doing what falls due.
    pub fn advance(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        self.flush();
        for _ in 0..100_000 {
            let Some(next) = self.stack.next_timeout().filter(|next| *next <= end) else {
                self.now = end;
                return self.flush();
            };
            self.now = self.now.max(next);
            self.flush();
        }
        panic!("time does not pass");
    }

    /// The counters that have grown since the last call, without totals.
    pub fn counted(&mut self) -> Vec<(&'static str, u64)> {
        const TOTALS: [&str; 7] = [
            "rx_frames",
            "rx_bytes",
            "tx_frames",
            "tx_bytes",
            "ip_received",
            "ip_sent",
            "arp_received",
        ];
        let now = *self.stack.counters();
        let grown = now
            .iter()
            .zip(self.seen.iter())
            .filter(|((name, new), (_, old))| new != old && !TOTALS.contains(name))
            .map(|((name, new), (_, old))| (name, new - old))
            .collect();
        self.seen = now;
        grown
    }

    #[track_caller]
    pub fn assert_no_frame_lost(&self) {
        let pool = self.stack.pool_frames();
        assert_eq!(pool.free, pool.total);
    }
}

/// A frame, with an 802.1Q tag if one is given.
pub fn frame(
    from: EthernetAddress,
    to: EthernetAddress,
    tag: Option<u16>,
    ether_type: u16,
    packet: &[u8],
) -> Vec<u8> {
    let mut frame = [to.0, from.0].concat();
    if let Some(tag) = tag {
        frame.extend(ether_type::VLAN.to_be_bytes());
        frame.extend(tag.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(packet);
    frame
}

/// An IP packet around a transport packet, whose checksum is put where `protocol` has it.
pub fn packet(source: IpAddr, destination: IpAddr, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let at = if protocol == 6 { 16 } else { 6 };
    let mut transport = transport.to_vec();
    transport[at..at + 2].fill(0);
    let pseudo = checksum::pseudo_header(source, destination, protocol, transport.len());
    let sum = (pseudo + checksum::sum(&transport)).finish();
    transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            super::link::ipv4(from, to, protocol, &transport, |_| {})
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => v6::packet(from, to, protocol, 64, &transport),
        _ => panic!("two families"),
    }
}

/// A UDP datagram.
pub fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(source.port().to_be_bytes());
    datagram.extend(destination.port().to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    packet(source.ip(), destination.ip(), 17, &datagram)
}

/// A TCP segment without options: flags as in the header's byte.
pub fn tcp(
    source: SocketAddr,
    destination: SocketAddr,
    flags: u8,
    (seq, ack): (u32, u32),
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(source.port().to_be_bytes());
    segment.extend(destination.port().to_be_bytes());
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    packet(source.ip(), destination.ip(), 6, &segment)
}

/// The EtherType of the packets of an address's family.
pub fn type_of(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => ether_type::IPV4,
        IpAddr::V6(_) => ether_type::IPV6,
    }
}

/// A question for one of our addresses, to everybody.
pub fn question(asker: IpAddr, target: IpAddr, tag: Option<u16>) -> Vec<u8> {
    let from = hw_of(asker);
    match (asker, target) {
        (IpAddr::V4(asker), IpAddr::V4(target)) => {
            let mut request = vec![0, 1, 8, 0, 6, 4, 0, 1];
            request.extend(from.0);
            request.extend(asker.octets());
            request.extend([0; 6]);
            request.extend(target.octets());
            frame(
                from,
                EthernetAddress::BROADCAST,
                tag,
                ether_type::ARP,
                &request,
            )
        }
        (IpAddr::V6(asker), IpAddr::V6(target)) => {
            let group = solicited_node(target);
            let message = TargetMessage::solicitation(target);
            let option = mnet_core::wire::ndp::source_link_layer(from);
            let message = [message.as_bytes(), &option].concat();
            let message = v6::summed(asker, group, 58, &message);
            let packet = v6::packet(asker, group, 58, 255, &message);
            let to = v6::link_destination(group);
            frame(from, to, tag, ether_type::IPV6, &packet)
        }
        _ => panic!("two families"),
    }
}
