//! The parsers of `mnet_core::wire`: total, their ranges within the input, and what was parsed
//! comes out again when it is written.

use mnet_core::checksum;
use mnet_core::wire::{
    arp as arp_wire, ethernet as ethernet_wire, icmpv4, ipv4 as ipv4_wire, tcp, udp as udp_wire,
};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

/// Ethernet headers and VLAN tags.
pub fn ethernet(data: &[u8]) {
    let Ok((header, payload)) = ethernet_wire::parse(data) else {
        assert!(data.len() < ethernet_wire::HEADER_LEN);
        return;
    };
    assert_eq!([header.as_bytes(), &data[payload.clone()]].concat(), data);
    let tagged = &data[payload];
    match ethernet_wire::parse_vlan(tagged) {
        Ok((tag, rest)) => {
            assert!(tag.vlan() < 4_096);
            assert_eq!([tag.as_bytes(), &tagged[rest]].concat(), tagged);
        }
        Err(_) => assert!(tagged.len() < ethernet_wire::VLAN_TAG_LEN),
    }
}

/// ARP packets.
pub fn arp(data: &[u8]) {
    if let Ok((operation, packet)) = arp_wire::parse(data) {
        let written = arp_wire::ArpPacket::new(operation, packet.sender(), packet.target());
        assert_eq!(written.as_bytes(), &data[..arp_wire::PACKET_LEN]);
    }
}

/// IPv4 headers, and headers as ICMP quotes them: as they are, and with the checksum made right.
pub fn ipv4(data: &[u8]) {
    ipv4_packet(data);
    let mut summed = data.to_vec();
    let len = summed.first().map_or(0, |byte| usize::from(byte & 0xf) * 4);
    if let Some(header) = summed.get_mut(..len)
        && let Some(field) = header.get_mut(10..12)
    {
        field.fill(0);
        let sum = checksum::sum(header).finish();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        ipv4_packet(&summed);
    }
}

fn ipv4_packet(data: &[u8]) {
    let quoted = ipv4_wire::parse_quoted(data);
    let Ok((header, options, payload)) = ipv4_wire::parse(data) else {
        return;
    };
    let (quoted_header, quoted_payload) = quoted.expect("what is whole can be quoted");
    assert_eq!(
        (quoted_header, quoted_payload.start),
        (header, payload.start)
    );
    assert_eq!(payload.start, ipv4_wire::HEADER_LEN + options.len());
    assert_eq!(payload.end, usize::from(header.total_len.get()));
    assert!(header.fragment_offset() == 0 || header.is_fragment());
    assert_eq!(
        [header.as_bytes(), options].concat(),
        &data[..payload.start]
    );
    // What we would have sent, we write in the same way.
    let ours = header.traffic_class == 0
        && header.identification == U16::ZERO
        && header.flags_and_offset.get() == 0x4000
        && header.checksum.get() != 0xffff
        && options.is_empty();
    if ours {
        let written = ipv4_wire::Ipv4Header::new(
            header.source(),
            header.destination(),
            header.protocol,
            header.time_to_live,
            header.total_len.get(),
        );
        assert_eq!(&written, header);
    }
}

/// ICMP headers.
pub fn icmp(data: &[u8]) {
    use icmpv4::Message;
    let Ok((header, payload)) = icmpv4::parse(data) else {
        assert!(data.len() < icmpv4::HEADER_LEN);
        return;
    };
    assert_eq!([header.as_bytes(), &data[payload]].concat(), data);
    let (first, second) = (header.first.get(), header.second.get());
    match header.message() {
        Message::EchoRequest {
            identifier,
            sequence,
        } => {
            assert_eq!((identifier, sequence), (first, second));
            assert!(!header.is_error_or_unknown());
        }
        Message::EchoReply {
            identifier,
            sequence,
        } => {
            assert_eq!((identifier, sequence), (first, second));
        }
        Message::Unreachable { code, next_hop_mtu } => {
            assert_eq!((code, next_hop_mtu), (header.code, second));
            assert!(header.is_error_or_unknown());
        }
        Message::TimeExceeded { code } | Message::ParameterProblem { code, .. } => {
            assert_eq!(code, header.code);
            assert!(header.is_error_or_unknown());
        }
        Message::Other { message_type, code } => {
            assert_eq!((message_type, code), (header.message_type, header.code));
        }
    }
}

/// UDP headers.
pub fn udp(data: &[u8]) {
    if let Ok((header, payload)) = udp_wire::parse(data) {
        assert_eq!(payload.start, udp_wire::HEADER_LEN);
        assert_eq!(payload.end, usize::from(header.len.get()));
        assert!(payload.end <= data.len());
        assert_ne!(header.destination_port.get(), 0);
        assert_eq!(header.as_bytes(), &data[..udp_wire::HEADER_LEN]);
    }
}

/// TCP headers, options included.
pub fn tcp_header(data: &[u8]) {
    let Ok((header, options, payload)) = tcp::parse(data) else {
        return;
    };
    assert_eq!(payload.start, header.len());
    assert_eq!(payload.end, data.len());
    assert_eq!([header.as_bytes(), options, &data[payload]].concat(), data);
    let mut written = *header;
    written.set_len_and_flags(header.len(), header.flags());
    // All but the three reserved bits.
    assert_eq!(
        written.offset_and_flags.get(),
        header.offset_and_flags.get() & 0xf1ff
    );
    tcp_options(options);
}

/// TCP options.
pub fn tcp_options(data: &[u8]) {
    let Ok(options) = tcp::TcpOptions::parse(data) else {
        return;
    };
    let mut written = [0; 64];
    let len = options.emit(&mut written);
    assert_eq!((len, len % 4), (options.len(), 0));
    assert_eq!(tcp::TcpOptions::parse(&written[..len]), Ok(options.clone()));
    // Where there is less room, whole options are left out.
    for room in (0..len).step_by(4) {
        let len = options.emit(&mut written[..room]);
        assert!(len <= room);
        tcp::TcpOptions::parse(&written[..len]).expect("what is written can be read");
    }
    // The sum of pieces is the sum of the whole, wherever it is cut.
    let cut = data.len() / 3;
    let (a, b) = data.split_at(cut);
    assert_eq!(
        checksum::sum(a).append(checksum::sum(b), cut),
        checksum::sum(data)
    );
}
