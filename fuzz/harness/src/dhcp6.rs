//! DHCPv6: its parser, and a host that asks and is answered with anything.

use mnet_core::checksum;
use mnet_core::config::{Dhcp6Mode, Ipv6Config};
use mnet_core::wire::dhcp6 as wire;
use mnet_core::wire::ethernet::{EthernetAddress, EthernetHeader, ether_type};
use mnet_core::wire::ipv6::{HEADER_LEN, Ipv6Header, next_header};
use mnet_core::wire::udp::{self, UdpHeader};
use mnet_core::{Config, Instant, InterfaceConfig, Stack};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

const OUR_HW: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const SERVER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The bytes as a Reply. Then as the options of one that a host has asked for, with the right
/// identifiers in front of them.
pub fn dhcp6(data: &[u8]) {
    if let Ok(reply) = wire::parse_reply(data) {
        assert!((3..=130).contains(&reply.server.len()));
        assert!(reply.client.is_empty() || (3..=130).contains(&reply.client.len()));
        assert!(reply.dns_servers.len() * 16 + reply.domains.len() <= data.len());
        assert!(
            reply
                .max_rt
                .is_none_or(|seconds| (60..=86_400).contains(&seconds))
        );
    }
    answered(data);
}

fn answered(options: &[u8]) {
    let mut now = Instant::from_millis(1);
    let config = Config {
        memory: 400 << 10,
        max_connections: Some(4),
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
        dhcp6: Dhcp6Mode::Always,
        accept_router_advertisements: false,
        dad_transmits: 0,
        ..Ipv6Config::default()
    };
    stack.enable_ipv6(now, interface, ipv6).expect("a good MTU");
    let mut question = None;
    while question.is_none() {
        now = stack.next_timeout().expect("it is going to ask").max(now);
        question = next_question(&mut stack, now);
    }
    let (ours, question) = question.expect("just seen");
    let mut message = vec![7];
    message.extend(&question[1..4]);
    message.extend(&question[4..26]);
    message.extend([0, 2, 0, 4, 0, 3, 0, 1]);
    message.extend(&options[..options.len().min(1_300)]);
    let good = wire::parse_reply(&message).is_ok();
    stack.receive_copy(now, interface, &frame(ours, &message));
    let counters = stack.counters();
    let taken = counters.dhcp6_replies + counters.dhcp6_refused;
    assert_eq!(
        (taken, counters.dhcp6_malformed),
        (u64::from(good), u64::from(!good))
    );
    assert!(stack.dns_servers(interface).count() <= 4);
    assert!(stack.search_domains(interface).count() <= 3);
    for domain in stack.search_domains(interface) {
        assert!(!domain.name.is_empty() && !domain.name.ends_with('.'));
    }
    // Whatever it says, the host asks again at a moderate pace.
    let end = now + Duration::from_secs(400);
    let mut asked = 0;
    while let Some(next) = stack.next_timeout().filter(|next| *next <= end) {
        now = now.max(next);
        asked += u32::from(next_question(&mut stack, now).is_some());
    }
    assert!(asked <= 12, "{asked} questions in 400 s");
    let pool = stack.pool_frames();
    assert_eq!(pool.free, pool.total, "a frame is lost");
}

/// What is sent now, if a question is among it: its source, and its bytes behind the UDP header.
fn next_question(stack: &mut Stack, now: Instant) -> Option<(Ipv6Addr, Vec<u8>)> {
    stack.handle_timeout(now);
    let mut question = None;
    while let Some(frame) = stack.transmit(now) {
        let bytes = frame.slices.concat();
        let packet = &bytes[size_of::<EthernetHeader>()..];
        if packet[6] == next_header::UDP {
            let source: [u8; 16] = packet[8..24].try_into().expect("16 bytes");
            let payload = packet[HEADER_LEN + udp::HEADER_LEN..].to_vec();
            question = Some((source.into(), payload));
        }
    }
    question
}

/// A datagram from the server, its checksum right.
fn frame(to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(udp::HEADER_LEN + payload.len()).expect("less than an MTU");
    let mut header = UdpHeader {
        source_port: U16::new(wire::SERVER_PORT),
        destination_port: U16::new(wire::CLIENT_PORT),
        len: U16::new(len),
        checksum: U16::ZERO,
    };
    let (source, destination) = (IpAddr::V6(SERVER), IpAddr::V6(to));
    let pseudo = checksum::pseudo_header(source, destination, next_header::UDP, len.into());
    let sum = pseudo + checksum::sum(header.as_bytes()) + checksum::sum(payload);
    header.checksum = U16::new(udp::stored(sum));
    let ip = Ipv6Header::new(SERVER, to, next_header::UDP, 64, len);
    let ethernet = EthernetHeader {
        destination: OUR_HW,
        source: EthernetAddress([2, 0, 0, 0, 0, 1]),
        ether_type: U16::new(ether_type::IPV6),
    };
    [
        ethernet.as_bytes(),
        ip.as_bytes(),
        header.as_bytes(),
        payload,
    ]
    .concat()
}
