//! DHCP: the parser of servers' messages, and a client that a hostile server answers.

use mnet_core::dhcp::DhcpConfig;
use mnet_core::wire::dhcp::{self as wire, HEADER_LEN, Options};
use mnet_core::wire::ethernet::{EthernetAddress, EthernetHeader, ether_type};
use mnet_core::wire::ipv4::{self, Ipv4Header, protocol};
use mnet_core::wire::udp::UdpHeader;
use mnet_core::{Config, Instant, InterfaceConfig, Stack};
use std::net::Ipv4Addr;
use std::time::Duration;
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

const OUR_HW: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const SERVER_HW: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
/// Most answers of an input, and frames that one answer and its time may cause.
const MAX_ANSWERS: usize = 64;
const MAX_OUTPUT: usize = 500;

/// First the bytes as a message. Then a client that they answer: each answer starts with a byte for
/// its kind and whether the owner wants it, one for the last byte of the address, one for the time
/// that passes before, and a length of its options. What a question of the client has to find in an
/// answer is filled in.
pub fn dhcp(data: &[u8]) {
    parse(data);
    let mut now = Instant::from_millis(1);
    let config = Config {
        memory: 400 << 10,
        max_connections: Some(4),
        max_udp_sockets: 1,
        ..Config::default()
    };
    let mut stack = Stack::new(&config, [7; 32], now).expect("the configuration is right");
    let interface = InterfaceConfig {
        hardware_address: OUR_HW.0,
        mtu: 1500,
    };
    let interface = stack.add_interface(now, interface).expect("there is room");
    let Some((features, mut rest)) = data.split_first() else {
        return;
    };
    let config = DhcpConfig {
        ask: features & 1 != 0,
        adopt_mtu: features & 2 != 0,
        link_local: features & 4 != 0,
        previous: (features & 8 != 0).then_some(Ipv4Addr::new(10, 0, 0, 50)),
        ..DhcpConfig::default()
    };
    stack.dhcp_start(now, interface, config).expect("the first");
    let mut xid = output(&mut stack, now);
    for _ in 0..MAX_ANSWERS {
        let Some((&[kind, last, time, len], behind)) = rest.split_first_chunk::<4>() else {
            break;
        };
        let (options, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        now = now + Duration::from_millis(1 << (time % 32));
        stack.handle_timeout(now);
        xid = output(&mut stack, now).or(xid);
        let frame = answer(xid.unwrap_or_default(), OUR_HW.0, kind & 0xf, last, options);
        stack.receive_copy(now, interface, &frame);
        if stack.dhcp_next_offer().is_some() {
            let decided = stack.dhcp_answer(now, interface, kind & 0x80 == 0);
            decided.expect("an offer waits");
        }
        stack.handle_timeout(now);
        xid = output(&mut stack, now).or(xid);
        while stack.poll_network_event().is_some() {}
        if let Some(lease) = stack.dhcp_lease(interface) {
            assert!(lease.renew_at <= lease.rebind_at && lease.rebind_at <= lease.expires_at);
            assert!(now <= lease.expires_at, "it is over");
            let ours = stack.addresses(interface).next();
            assert!(ours.is_some(), "a lease without its address");
        }
        assert!(stack.dns_servers(interface).count() <= 4);
        assert!(stack.search_domains(interface).count() <= 3);
    }
    stack
        .dhcp_stop(now, interface, true)
        .expect("it was started");
    output(&mut stack, now);
    stack.handle_timeout(now + Duration::from_secs(3_600));
    output(&mut stack, now + Duration::from_secs(3_600));
    assert_eq!(
        stack.address_list(interface).count(),
        0,
        "an address is left"
    );
    assert_eq!(stack.dns_servers(interface).count(), 0);
    let pool = stack.pool_frames();
    assert_eq!(pool.free, pool.total, "frames are left");
}

fn parse(data: &[u8]) {
    let Ok(message) = wire::parse(data) else {
        return;
    };
    let bytes: usize = message.options().map(|(_, value)| value.len() + 2).sum();
    assert!(bytes <= data.len());
    for (tag, list) in message.options() {
        assert_ne!(tag, wire::tag::PAD);
        let (mut at, mut name, mut count) = (0, wire::Name::new(), 0);
        while wire::take_compressed_name(list, &mut at, &mut name).is_some() {
            count += 1;
            assert!(count <= list.len() && name.last() == Some(&0));
        }
    }
}

/// What the client sends is right; the transaction of its last question.
fn output(stack: &mut Stack, now: Instant) -> Option<[u8; 4]> {
    let (mut xid, mut frames) = (None, 0);
    while let Some(frame) = stack.transmit(now) {
        frames += 1;
        assert!(frames < MAX_OUTPUT, "it does not stop sending");
        let frame = frame.slices.concat();
        if frame[12..14] != [8, 0] {
            continue;
        }
        let (_, _, payload) = ipv4::parse(&frame[14..]).expect("a packet of ours");
        let message = frame.get(14 + payload.start + 8..).expect("a datagram");
        assert!((300..=wire::MAX_WRITTEN).contains(&message.len()));
        assert!(Options(&message[HEADER_LEN..]).any(|(tag, _)| tag == 53));
        xid = message[4..8].try_into().ok();
    }
    xid
}

/// A server's message to the client with this hardware address, about 10.0.0.`last`.
pub(crate) fn answer(
    xid: [u8; 4],
    hardware: [u8; 6],
    kind: u8,
    last: u8,
    options: &[u8],
) -> Vec<u8> {
    let ours = [10, 0, 0, last];
    let mut message = vec![0; HEADER_LEN];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&xid);
    message[16..20].copy_from_slice(&ours);
    message[28..34].copy_from_slice(&hardware);
    message[236..240].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, kind, 54, 4]);
    message.extend(SERVER.octets());
    message.extend(options);
    let len = u16::try_from(8 + message.len()).expect("short");
    let udp = UdpHeader {
        source_port: U16::new(wire::SERVER_PORT),
        destination_port: U16::new(wire::CLIENT_PORT),
        len: U16::new(len),
        checksum: U16::ZERO,
    };
    let ip = Ipv4Header::new(SERVER, ours.into(), protocol::UDP, 64, 20 + len);
    let ethernet = EthernetHeader {
        destination: EthernetAddress(hardware),
        source: SERVER_HW,
        ether_type: U16::new(ether_type::IPV4),
    };
    [ethernet.as_bytes(), ip.as_bytes(), udp.as_bytes(), &message].concat()
}
