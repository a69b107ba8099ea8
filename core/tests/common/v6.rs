//! A host that speaks IPv6 on a link, and the frames that others send to it. Time is virtual.

use super::hardware_address;
use super::link::ethernet;
use mnet_core::checksum;
use mnet_core::config::Ipv6Config;
use mnet_core::device::InterfaceId;
use mnet_core::wire::ethernet::{self as eth, EthernetAddress, ether_type};
use mnet_core::wire::icmpv6::Icmpv6Header;
use mnet_core::wire::ipv6::{self, Ipv6Header, UpperLayer, next_header};
use mnet_core::wire::ndp::{TargetMessage, source_link_layer, target_link_layer};
use mnet_core::{Config, Counters, Instant, InterfaceConfig, Stack};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use zerocopy::IntoBytes;

/// Our Ethernet address, and a static address of ours.
pub const OUR_HW: EthernetAddress = EthernetAddress(hardware_address(Ipv4Addr::new(10, 0, 0, 2)));
pub const OURS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// A neighbour.
pub const PEER_HW: EthernetAddress = EthernetAddress(hardware_address(Ipv4Addr::new(10, 0, 0, 1)));
pub const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub const PEER_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// A router, and a host behind it.
pub const ROUTER_HW: EthernetAddress =
    EthernetAddress(hardware_address(Ipv4Addr::new(10, 0, 0, 254)));
pub const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
pub const REMOTE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 7);

/// A stack with one interface that speaks IPv6.
pub struct Host {
    pub stack: Stack,
    pub now: Instant,
    pub interface: InterfaceId,
    seen: Counters,
}

impl Host {
    /// Nothing has happened yet: not even the first probe.
    pub fn fresh(config: Ipv6Config) -> Self {
        Self::fresh_on(&Config::default(), config)
    }

    fn fresh_on(limits: &Config, config: Ipv6Config) -> Self {
        let now = Instant::from_millis(1_000);
        let mut stack = Stack::new(limits, [42; 32], now).unwrap();
        let interface = InterfaceConfig {
            hardware_address: OUR_HW.0,
            mtu: limits.max_mtu,
        };
        let interface = stack.add_interface(now, interface).unwrap();
        stack.enable_ipv6(now, interface, config).unwrap();
        Self {
            stack,
            now,
            interface,
            seen: Counters::default(),
        }
    }

    /// The link-local address and [`OURS`] are assigned, and no router has answered.
    pub fn new() -> Self {
        Self::with(Ipv6Config::default())
    }

    pub fn with(config: Ipv6Config) -> Self {
        Self::on(&Config::default(), config)
    }

    /// The same in a stack of this configuration.
    pub fn on(limits: &Config, config: Ipv6Config) -> Self {
        let mut host = Self::fresh_on(limits, config);
        let (now, interface) = (host.now, host.interface);
        host.stack
            .add_address(now, interface, OURS.into(), 64)
            .unwrap();
        host.run(60);
        host.counted();
        host
    }

    /// Our link-local address.
    pub fn link_local(&self) -> Ipv6Addr {
        self.ours()
            .into_iter()
            .find(|address| address.is_unicast_link_local())
            .expect("a link-local address")
    }

    /// All our addresses.
    pub fn ours(&self) -> Vec<Ipv6Addr> {
        let addresses = self.stack.addresses(self.interface);
        addresses
            .filter_map(|(address, _)| match address {
                IpAddr::V4(_) => None,
                IpAddr::V6(address) => Some(address),
            })
            .collect()
    }

    /// Lets so many seconds pass, doing what falls due; what the host sends.
    pub fn run(&mut self, seconds: u64) -> Vec<Vec<u8>> {
        let end = self.now + Duration::from_secs(seconds);
        let mut sent = self.transmit();
        while let Some(next) = self.stack.next_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            sent.extend(self.transmit());
        }
        self.now = end;
        sent
    }

    /// What the host sends now.
    pub fn transmit(&mut self) -> Vec<Vec<u8>> {
        self.stack.handle_timeout(self.now);
        let mut frames = Vec::new();
        while let Some(frame) = self.stack.transmit(self.now) {
            frames.push(frame.slices.concat());
            assert!(frames.len() < 10_000, "the stack does not stop sending");
        }
        frames
    }

    /// A frame goes in; what the host sends then.
    pub fn receive(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.stack.receive_copy(self.now, self.interface, frame);
        self.transmit()
    }

    /// The counters that have grown since the last call, without totals.
    pub fn counted(&mut self) -> Vec<(&'static str, u64)> {
        const TOTALS: [&str; 8] = [
            "rx_frames",
            "rx_bytes",
            "tx_frames",
            "tx_bytes",
            "ip_received",
            "ip_sent",
            "icmp_received",
            "nd_received",
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

/// A packet, its headers beside the addresses as given.
pub fn packet(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next: u8,
    hops: u8,
    payload: &[u8],
) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let header = Ipv6Header::new(source, destination, next, hops, len);
    [header.as_bytes(), payload].concat()
}

/// The Ethernet address that packets to an address go to: a group's, or ours.
pub fn link_destination(destination: Ipv6Addr) -> EthernetAddress {
    if destination.is_multicast() {
        let [.., a, b, c, d] = destination.octets();
        EthernetAddress([0x33, 0x33, a, b, c, d])
    } else {
        OUR_HW
    }
}

/// A packet in its frame.
pub fn frame(from: EthernetAddress, destination: Ipv6Addr, packet: &[u8]) -> Vec<u8> {
    ethernet(
        from,
        link_destination(destination),
        ether_type::IPV6,
        packet,
    )
}

/// A message with its checksum.
pub fn summed(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, message: &[u8]) -> Vec<u8> {
    let at = if protocol == next_header::ICMPV6 {
        2
    } else {
        6
    };
    let mut message = message.to_vec();
    message[at..at + 2].fill(0);
    let (source, destination) = (source.into(), destination.into());
    let pseudo = checksum::pseudo_header(source, destination, protocol, message.len());
    let sum = (pseudo + checksum::sum(&message)).finish();
    message[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    message
}

/// An ICMPv6 message in its frame.
pub fn icmp(
    from: EthernetAddress,
    (source, destination, hops): (Ipv6Addr, Ipv6Addr, u8),
    message: &[u8],
) -> Vec<u8> {
    let message = summed(source, destination, next_header::ICMPV6, message);
    let packet = packet(source, destination, next_header::ICMPV6, hops, &message);
    frame(from, destination, &packet)
}

pub fn echo_request(source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let header = Icmpv6Header::new(128, 0, 0x0007_0001);
    let message = [header.as_bytes(), payload].concat();
    icmp(PEER_HW, (source, destination, 64), &message)
}

pub fn solicitation(
    from: EthernetAddress,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    target: Ipv6Addr,
    options: &[u8],
) -> Vec<u8> {
    let message = [TargetMessage::solicitation(target).as_bytes(), options].concat();
    icmp(from, (source, destination, 255), &message)
}

pub fn advertisement(
    from: EthernetAddress,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    (target, flags): (Ipv6Addr, u32),
) -> Vec<u8> {
    let message = TargetMessage::advertisement(target, flags);
    let message = [message.as_bytes(), &target_link_layer(from)].concat();
    icmp(from, (source, destination, 255), &message)
}

/// A router advertisement with this lifetime, and options.
pub fn router(from: (EthernetAddress, Ipv6Addr), lifetime: u16, options: &[u8]) -> Vec<u8> {
    router_with_flags(from, (0, lifetime), options)
}

pub fn router_with_flags(
    (from, source): (EthernetAddress, Ipv6Addr),
    (flags, lifetime): (u8, u16),
    options: &[u8],
) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, flags];
    message.extend(lifetime.to_be_bytes());
    message.extend([0; 8]);
    message.extend(source_link_layer(from));
    message.extend(options);
    let everybody = "ff02::1".parse().unwrap();
    icmp(from, (source, everybody, 255), &message)
}

/// A prefix information option: on-link and for addresses.
pub fn prefix(prefix: &str, valid: u32, preferred: u32) -> Vec<u8> {
    let mut option = vec![3, 4, 64, 0xc0];
    option.extend(valid.to_be_bytes());
    option.extend(preferred.to_be_bytes());
    option.extend([0; 4]);
    option.extend(prefix.parse::<Ipv6Addr>().unwrap().octets());
    option
}

/// A frame that the host has sent.
#[derive(Debug)]
pub struct Sent<'a> {
    pub to: EthernetAddress,
    pub ip: Ipv6Header,
    pub layer: UpperLayer,
    /// What lies behind the extension headers, its checksum checked.
    pub payload: &'a [u8],
}

/// Reads a frame of the host's.
#[track_caller]
pub fn parse(bytes: &[u8]) -> Sent<'_> {
    let (header, content) = eth::parse(bytes).unwrap();
    assert_eq!(
        (header.source, header.ether_type.get()),
        (OUR_HW, ether_type::IPV6)
    );
    let content = &bytes[content];
    let (ip, payload) = ipv6::parse(content).unwrap();
    assert_eq!(payload.end, content.len(), "nothing behind the packet");
    let layer = ipv6::upper_layer(content).unwrap();
    let payload = &content[layer.start..payload.end];
    let (source, destination) = (ip.source().into(), ip.destination().into());
    let pseudo = checksum::pseudo_header(source, destination, layer.protocol, payload.len());
    assert!((pseudo + checksum::sum(payload)).is_valid(), "checksum");
    Sent {
        to: header.destination,
        ip: *ip,
        layer,
        payload,
    }
}
