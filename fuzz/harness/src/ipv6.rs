//! IPv6: its parsers, and a stack that is fed with packets of it.

use mnet_core::checksum;
use mnet_core::config::Ipv6Config;
use mnet_core::wire::ethernet::{EthernetAddress, EthernetHeader, ether_type};
use mnet_core::wire::ipv6::{self as wire, ExtensionError, next_header};
use mnet_core::wire::{mld, ndp as ndp_wire};
use mnet_core::{Config, Instant, InterfaceConfig, Stack};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, IntoBytes};

/// IPv6 headers, and the extension headers behind them.
pub fn ipv6(data: &[u8]) {
    let Ok((header, payload)) = wire::parse(data) else {
        return;
    };
    assert_eq!(payload.start, wire::HEADER_LEN);
    assert!(payload.end <= data.len());
    let mut written = wire::Ipv6Header::new(
        header.source(),
        header.destination(),
        header.next_header,
        header.hop_limit,
        header.payload_len.get(),
    );
    written.set_traffic_class(header.traffic_class());
    // All but the flow label.
    assert_eq!(written.as_bytes()[4..], header.as_bytes()[4..]);
    assert_eq!(written.as_bytes()[0], header.as_bytes()[0]);
    let packet = &data[..payload.end];
    match wire::upper_layer(packet) {
        Ok(layer) => {
            assert!((wire::HEADER_LEN..=packet.len()).contains(&layer.start));
            assert_eq!(layer.start % 8, 0);
            assert_eq!(
                packet[layer.named_at], layer.protocol,
                "the field that names it"
            );
        }
        Err(ExtensionError::Problem { pointer, .. }) => {
            assert!(
                (pointer as usize) < packet.len(),
                "it points into the packet"
            );
        }
        Err(_) => {}
    }
    let _ = wire::carries_icmp_error(packet);
}

/// Messages of neighbour discovery and of multicast listeners, and the options of the former.
pub fn ndp(data: &[u8]) {
    let _ = mld::parse_query(data);
    if let Ok((message, options)) = ndp_wire::TargetMessage::ref_from_prefix(data) {
        assert!(ndp_wire::solicited_node(message.target()).is_multicast());
        options_of(options);
    }
    if let Some((_, options)) = ndp_wire::redirect_destination(data) {
        options_of(options);
    }
    if let Ok((message, options)) = ndp_wire::RouterAdvertisement::ref_from_prefix(data) {
        let _ = (
            message.preference(),
            message.router_lifetime(),
            message.hop_limit(),
        );
        options_of(options);
    }
}

fn options_of(bytes: &[u8]) {
    let known = ndp_wire::options(bytes).count();
    if ndp_wire::check_options(bytes).is_ok() {
        assert!(known <= ndp_wire::MAX_OPTIONS);
        assert_eq!(bytes.len() % 8, 0);
    }
}

const OUR_HW: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const OURS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// Most packets of an input.
const MAX_PACKETS: usize = 64;
/// Most frames that one packet and its time may cause.
const MAX_OUTPUT: usize = 2_000;

/// A stack, and packets to it. Each packet of the input starts with a byte for its source, one for
/// its destination, one for its next header, its hop limit and the time that passes before, and a
/// length; addresses are those that matter, checksums are made right.
pub fn stack_ipv6(data: &[u8]) {
    let mut now = Instant::from_millis(1);
    let config = Config {
        memory: 400 << 10,
        max_connections: Some(8),
        max_udp_sockets: 2,
        ..Config::default()
    };
    let mut stack = Stack::new(&config, [7; 32], now).expect("the configuration is right");
    let interface = InterfaceConfig {
        hardware_address: OUR_HW.0,
        mtu: 1500,
    };
    let interface = stack.add_interface(now, interface).expect("there is room");
    let ipv6 = Ipv6Config {
        temporary_addresses: true,
        secret: Some([1; 16]),
        ..Ipv6Config::default()
    };
    stack.enable_ipv6(now, interface, ipv6).expect("a good MTU");
    stack
        .add_address(now, interface, OURS.into(), 64)
        .expect("a good address");
    let any = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    stack.tcp_listen(any(80), 4).expect("there is room");
    let udp = stack.udp_bind(any(53)).expect("there is room");
    let mut rest = data;
    for _ in 0..MAX_PACKETS {
        let Some((&[source, destination, next, hops, time, len], behind)) =
            rest.split_first_chunk::<6>()
        else {
            break;
        };
        let (content, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        let wait = Duration::from_millis(1 << (time & 0xf) | u64::from(time >> 4));
        now = run(&mut stack, now, now + wait);
        let ours = stack
            .addresses(interface)
            .find_map(|(address, _)| match address {
                std::net::IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(v6),
                _ => None,
            });
        let ours = ours.unwrap_or(OURS);
        let destination = match destination % 6 {
            0 => ours,
            1 => OURS,
            2 => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
            3 => ndp_wire::solicited_node(ours),
            4 => ndp_wire::solicited_node(OURS),
            _ => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16),
        };
        let source = match source % 6 {
            0 => Ipv6Addr::UNSPECIFIED,
            1 => OURS,
            2 => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, u16::from(source)),
            3 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(source)),
            _ => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(source)),
        };
        let next = [58, 17, 6, 0, 43, 44, 60, 59, next][usize::from(next % 9)];
        let hops = [255, 1, 64, hops][usize::from(hops % 4)];
        let frame = build(source, destination, (next, hops), content);
        stack.receive_copy(now, interface, &frame);
        let mut buffer = [0; 64];
        while stack.udp_recv_from(now, udp, &mut buffer).is_ok() {}
        assert!(stack.addresses(interface).count() <= 16);
        assert!(stack.dns_servers(interface).count() <= 8);
    }
    // Everything that waits for an answer is given up at last.
    run(&mut stack, now, now + Duration::from_secs(600));
    let usage = stack.usage();
    if usage.connections + usage.half_open == 0 {
        let pool = stack.pool_frames();
        assert_eq!(pool.free, pool.total, "a frame is lost");
    }
}

/// Lets time pass up to `end`, and throws away what is sent.
fn run(stack: &mut Stack, mut now: Instant, end: Instant) -> Instant {
    for _ in 0..MAX_OUTPUT {
        stack.handle_timeout(now);
        while stack.poll_event().is_some() {}
        let mut sent = 0;
        while stack.transmit(now).is_some() {
            sent += 1;
            assert!(sent < MAX_OUTPUT, "the stack does not stop sending");
        }
        match stack.next_timeout().filter(|next| *next <= end) {
            Some(next) => now = now.max(next),
            None => break,
        }
    }
    end
}

/// A frame whose checksum is right, wherever it is.
pub(crate) fn build(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    (next, hops): (u8, u8),
    content: &[u8],
) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("one byte of length");
    let header = wire::Ipv6Header::new(source, destination, next, hops, len);
    let mut packet = [header.as_bytes(), content].concat();
    if let Ok(layer) = wire::upper_layer(&packet) {
        let at = match layer.protocol {
            next_header::ICMPV6 => 2,
            next_header::UDP => 6,
            next_header::TCP => 16,
            _ => usize::MAX - 1,
        };
        let message = &mut packet[layer.start..];
        if let Some(field) = message.get_mut(at..at.saturating_add(2)) {
            field.fill(0);
            let (source, destination) = (source.into(), destination.into());
            let protocol = layer.protocol;
            let pseudo = checksum::pseudo_header(source, destination, protocol, message.len());
            let sum = (pseudo + checksum::sum(message)).finish();
            message[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
    }
    let destination = if destination.is_multicast() {
        let [.., a, b, c, d] = destination.octets();
        EthernetAddress([0x33, 0x33, a, b, c, d])
    } else {
        OUR_HW
    };
    let header = EthernetHeader {
        destination,
        source: EthernetAddress([2, 0, 0, 0, 0, 1]),
        ether_type: U16::new(ether_type::IPV6),
    };
    [header.as_bytes(), &packet].concat()
}
