//! Frames that no decent host sends get their counter, and no answer.
//!
//! After each frame come two pings. Frames are handled in order, and what answers them leaves before
//! the next ones are looked at; so whatever the image had to say about the frame has been said when
//! the second ping's answer is there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::{connect, ping, tcp_echo_checked};
use mnet_tests::frame::{self, IP, Link, Segment, TRANSPORT, describe, fix_checksums, flags};
use mnet_tests::packet::PacketSocket;

use crate::Test;
use crate::fixture::{Fixture, GUEST, Machine, SERVICE};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("malformed_frames_are_counted_and_not_answered", malformed),
    (
        "segments_of_no_connection_are_answered_as_rfc_9293_says",
        strays,
    ),
    ("established_connections_survive_a_syn_flood", syn_flood),
];

/// A frame, and the counter that it must move.
struct Case {
    name: &'static str,
    counter: &'static str,
    frame: Vec<u8>,
}

fn malformed(fixture: &Fixture) -> Result<()> {
    let machine = fixture.boot_echo()?;
    let packets = machine.packets()?;
    // So that both sides know each other's hardware address.
    ping(GUEST, 0, 56, Duration::from_secs(5))?;
    let cases: Vec<Case> = ethernet(&machine.link)
        .into_iter()
        .chain(arp(&machine.link))
        .chain(ip(&machine.link))
        .chain(transport(&machine.link))
        .collect();
    for (case, number) in cases.iter().zip(1..) {
        let before = machine.statistic(case.counter)?;
        let answers = exchange(&machine, &packets, &case.frame, number)?;
        ensure!(
            answers.is_empty(),
            "{}: answered with {}",
            case.name,
            describe(&answers[0])
        );
        let after = machine.statistic(case.counter)?;
        ensure!(
            after == before + 1,
            "{}: {} went from {before} to {after}",
            case.name,
            case.counter
        );
    }
    tcp_echo_checked(SERVICE, 1, 1 << 20)?;
    Ok(())
}

/// Sends a frame and then two pings, one after the other; everything that the image sends up to the
/// second answer, except for its questions about our hardware address.
fn exchange(
    machine: &Machine,
    packets: &PacketSocket,
    frame: &[u8],
    number: u16,
) -> Result<Vec<Vec<u8>>> {
    const FIRST_ID: u16 = 0x4d4e;
    while packets.receive(Duration::ZERO)?.is_some() {}
    packets.send(frame)?;
    let mut answers = Vec::new();
    for id in [FIRST_ID, FIRST_ID + 1] {
        packets.send(&machine.link.echo_request(id, number, b"marker"))?;
        let marker = [id.to_be_bytes(), number.to_be_bytes()].concat();
        packets
            .find(Duration::from_secs(5), |answer| {
                let is_marker = answer.get(IP + 9) == Some(&1)
                    && answer.get(TRANSPORT) == Some(&0)
                    && answer.get(TRANSPORT + 4..TRANSPORT + 8) == Some(&marker[..]);
                let is_question = answer.get(12..14) == Some(&[8, 6]) && answer.get(21) == Some(&1);
                if !is_marker && !is_question {
                    answers.push(answer.to_vec());
                }
                is_marker.then_some(())
            })?
            .with_context(|| format!("no answer to the ping after frame {number}"))?;
    }
    Ok(answers)
}

/// The frame with some of its bytes changed, and its checksums right again.
fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    fix_checksums(&mut frame);
    frame
}

/// The frame with some of its bytes changed, and nothing else.
fn spoilt(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

/// The frame with IPv4 options, a multiple of four bytes.
fn with_ip_options(mut frame: Vec<u8>, options: &[u8]) -> Vec<u8> {
    frame.splice(TRANSPORT..TRANSPORT, options.iter().copied());
    let words = u8::try_from(options.len() / 4).expect("options are short");
    frame[IP] += words;
    let total = u16::try_from(frame.len() - IP).expect("the frame is short");
    with(frame, IP + 2, &total.to_be_bytes())
}

fn case(name: &'static str, counter: &'static str, frame: Vec<u8>) -> Case {
    Case {
        name,
        counter,
        frame,
    }
}

fn ethernet(link: &Link) -> Vec<Case> {
    let good = link.udp(9, 7, b"hello");
    let unknown = [link.ethernet(0x88b5), vec![0; 46]].concat();
    vec![
        case("unknown EtherType", "eth_unknown_type", unknown),
        case(
            "802.1Q tag",
            "eth_vlan_unknown",
            [&good[..12], &[0x81, 0, 0, 1], &good[12..]].concat(),
        ),
        case(
            "somebody else's frame",
            "eth_bad_destination",
            spoilt(good.clone(), 0, &[2, 0, 0, 0, 0, 0x99]),
        ),
        case(
            "from a group",
            "eth_bad_source",
            spoilt(good, 6, &[3, 0, 0, 0, 0, 1]),
        ),
    ]
}

fn arp(link: &Link) -> Vec<Case> {
    const OPERATION: usize = 20;
    const SENDER_MAC: usize = 22;
    const SENDER_IP: usize = 28;
    const TARGET_IP: usize = 38;
    let good = link.arp_request();
    let stranger = [2, 0, 0, 0, 0, 0x77];
    let unsolicited = [
        &link.guest_mac,
        &stranger,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2][..],
        &stranger,
        &[10, 0, 0, 0x77],
        &link.guest_mac,
        &link.guest.octets(),
    ]
    .concat();
    vec![
        case("cut short", "arp_malformed", good[..24].to_vec()),
        case(
            "about another kind of hardware",
            "arp_malformed",
            spoilt(good.clone(), 14, &[0, 6]),
        ),
        case(
            "with long hardware addresses",
            "arp_malformed",
            spoilt(good.clone(), 18, &[8]),
        ),
        case(
            "RARP",
            "arp_bad_operation",
            spoilt(good.clone(), OPERATION, &[0, 3]),
        ),
        case(
            "sent by a group",
            "arp_bad_sender",
            spoilt(good.clone(), SENDER_MAC, &[0xff; 6]),
        ),
        case(
            "a stranger's question about somebody else",
            "arp_not_for_us",
            spoilt(
                spoilt(good, SENDER_IP, &[10, 0, 0, 88]),
                TARGET_IP,
                &[10, 0, 0, 99],
            ),
        ),
        case(
            "an answer that nobody asked for",
            "arp_unsolicited",
            unsolicited,
        ),
    ]
}

fn ip(link: &Link) -> Vec<Case> {
    const VERSION_AND_LENGTH: usize = IP;
    const TOTAL_LENGTH: usize = IP + 2;
    const FLAGS: usize = IP + 6;
    const CHECKSUM: usize = IP + 10;
    const SOURCE: usize = IP + 12;
    const DESTINATION: usize = IP + 16;
    let good = || link.udp(9, 7, b"hello");
    let from = |address: Ipv4Addr| with(good(), SOURCE, &address.octets());
    vec![
        case("cut short", "ip_truncated", good()[..IP + 12].to_vec()),
        case(
            "version 6",
            "ip_bad_version",
            with(good(), VERSION_AND_LENGTH, &[0x65]),
        ),
        case(
            "a header of 16 bytes",
            "ip_bad_header_length",
            with(good(), VERSION_AND_LENGTH, &[0x44]),
        ),
        case(
            "a header longer than the packet",
            "ip_bad_header_length",
            spoilt(good(), VERSION_AND_LENGTH, &[0x4f]),
        ),
        case(
            "a length beyond the frame",
            "ip_bad_total_length",
            with(good(), TOTAL_LENGTH, &[0xff, 0xff]),
        ),
        case(
            "a length below the header's",
            "ip_bad_total_length",
            with(good(), TOTAL_LENGTH, &[0, 19]),
        ),
        case(
            "a wrong checksum",
            "ip_bad_checksum",
            spoilt(good(), CHECKSUM, &[0x12, 0x34]),
        ),
        case(
            "the reserved flag",
            "ip_bad_flags",
            with(good(), FLAGS, &[0x80, 0]),
        ),
        case(
            "an option that runs over the end",
            "ip_bad_option",
            with_ip_options(good(), &[7, 39, 4, 0]),
        ),
        case(
            "an option of length zero",
            "ip_bad_option",
            with_ip_options(good(), &[7, 0, 4, 0]),
        ),
        case(
            "loose source routing",
            "ip_source_route_refused",
            with_ip_options(good(), &[0x83, 7, 4, 10, 0, 0, 9, 0]),
        ),
        case(
            "strict source routing",
            "ip_source_route_refused",
            with_ip_options(good(), &[0x89, 7, 4, 10, 0, 0, 9, 0]),
        ),
        case(
            "a first fragment of 13 bytes",
            "ip_fragment_bad_length",
            with(good(), FLAGS, &[0x20, 0]),
        ),
        case(
            "a fragment beyond the longest packet",
            "ip_fragment_too_long",
            with(good(), FLAGS, &[0x1f, 0xff]),
        ),
        case("from loopback", "ip_bad_source", from(Ipv4Addr::LOCALHOST)),
        case("from broadcast", "ip_bad_source", from(Ipv4Addr::BROADCAST)),
        case(
            "from a group",
            "ip_bad_source",
            from(Ipv4Addr::new(224, 0, 0, 1)),
        ),
        case("from the image itself", "ip_bad_source", from(GUEST)),
        case(
            "to somebody else",
            "ip_bad_destination",
            with(good(), DESTINATION, &[10, 0, 0, 99]),
        ),
        case(
            "to one host by broadcast",
            "ip_link_broadcast",
            spoilt(good(), 0, &[0xff; 6]),
        ),
    ]
}

fn transport(link: &Link) -> Vec<Case> {
    let syn_with = |payload: &[u8]| {
        link.tcp(&Segment {
            source: 5000,
            destination: SERVICE.port(),
            seq: 1,
            flags: flags::SYN,
            window: 1000,
            payload: payload.to_vec(),
            ..Segment::default()
        })
    };
    let syn = || syn_with(&[]);
    // The first word of what would be data is made a part of the header.
    let syn_with_option = |option: &[u8]| with(syn_with(option), TRANSPORT + 12, &[0x60]);
    let datagram = || link.udp(9, 7, b"hello");
    let ping = || link.echo_request(1, 1, b"hello");
    let checksum = |frame: Vec<u8>, at| spoilt(frame, TRANSPORT + at, &[0x12, 0x34]);
    let unrelated = {
        let quoted = link.udp(7, 9, b"12345678");
        let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
        message.extend(&quoted[IP..]);
        let sum = frame::checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        link.ipv4(1, &message)
    };
    vec![
        case("ICMP cut short", "icmp_malformed", link.ipv4(1, &[8, 0, 0])),
        case(
            "ICMP with a wrong checksum",
            "icmp_bad_checksum",
            checksum(ping(), 2),
        ),
        case(
            "ICMP of an unknown type",
            "icmp_ignored_type",
            link.ipv4(1, &[42, 0, 0xd5, 0xff, 0, 0, 0, 0]),
        ),
        case(
            "an ICMP error about nothing",
            "icmp_error_unrelated",
            unrelated,
        ),
        case(
            "UDP cut short",
            "udp_malformed",
            link.ipv4(17, &[0, 9, 0, 7]),
        ),
        case(
            "UDP with a length below its header's",
            "udp_malformed",
            spoilt(datagram(), TRANSPORT + 4, &[0, 7]),
        ),
        case(
            "UDP with a length beyond the packet",
            "udp_malformed",
            spoilt(datagram(), TRANSPORT + 4, &[0xff, 0xff]),
        ),
        case(
            "UDP with a wrong checksum",
            "udp_bad_checksum",
            checksum(datagram(), 6),
        ),
        case("TCP cut short", "tcp_malformed", link.ipv4(6, &[0; 12])),
        case(
            "TCP with a header of 16 bytes",
            "tcp_malformed",
            with(syn(), TRANSPORT + 12, &[0x40]),
        ),
        case(
            "TCP with a header longer than the packet",
            "tcp_malformed",
            with(syn(), TRANSPORT + 12, &[0xf0]),
        ),
        case(
            "TCP with an option of length zero",
            "tcp_bad_option",
            syn_with_option(&[2, 0, 5, 180]),
        ),
        case(
            "TCP with an option that runs over the end",
            "tcp_bad_option",
            syn_with_option(&[1, 1, 2, 4]),
        ),
        case(
            "TCP with a wrong checksum",
            "tcp_bad_checksum",
            checksum(syn(), 16),
        ),
    ]
}

/// A segment, and what the image must answer.
struct Stray {
    name: &'static str,
    port: u16,
    flags: u8,
    answer: Option<Segment>,
}

fn strays(fixture: &Fixture) -> Result<()> {
    const CLOSED: u16 = 4444;
    const SEQ: u32 = 1000;
    const ACK: u32 = 77_777;
    const PAYLOAD: &[u8] = b"data";
    let machine = fixture.boot_echo()?;
    let packets = machine.packets()?;
    ping(GUEST, 0, 56, Duration::from_secs(5))?;

    // RFC 9293 §3.10.7.1: with an ACK the reset takes its sequence number from it ...
    let reset = Some(Segment {
        seq: ACK,
        flags: flags::RST,
        ..Segment::default()
    });
    // ... and without one it acknowledges everything in the segment.
    let reset_ack = |length: u32| {
        Some(Segment {
            ack: SEQ + length,
            flags: flags::RST | flags::ACK,
            ..Segment::default()
        })
    };
    let data = u32::try_from(PAYLOAD.len())?;
    let stray = |name, port, flags, answer| Stray {
        name,
        port,
        flags,
        answer,
    };
    let open = SERVICE.port();
    let (fin, syn, rst, ack) = (flags::FIN, flags::SYN, flags::RST, flags::ACK);
    let strays = [
        stray("ACK, closed", CLOSED, ack, reset.clone()),
        stray("SYN ACK, closed", CLOSED, syn | ack, reset.clone()),
        stray("SYN, closed", CLOSED, syn, reset_ack(data + 1)),
        stray("FIN, closed", CLOSED, fin, reset_ack(data + 1)),
        stray("nothing, closed", CLOSED, 0, reset_ack(data)),
        stray("RST, closed", CLOSED, rst, None),
        stray("RST ACK, closed", CLOSED, rst | ack, None),
        // §3.10.7.2, LISTEN.
        stray("ACK, listening", open, ack, reset.clone()),
        stray("SYN ACK, listening", open, syn | ack, reset),
        stray("RST, listening", open, rst, None),
        stray("SYN RST, listening", open, syn | rst, None),
        stray("FIN, listening", open, fin, None),
        stray("nothing, listening", open, 0, None),
    ];
    for (stray, number) in strays.iter().zip(1..) {
        let source = 30_000 + number;
        let frame = machine.link.tcp(&Segment {
            source,
            destination: stray.port,
            seq: SEQ,
            ack: ACK,
            flags: stray.flags,
            window: 1000,
            payload: PAYLOAD.to_vec(),
        });
        let answers = exchange(&machine, &packets, &frame, number)?;
        let parsed: Vec<Segment> = answers
            .iter()
            .filter_map(|answer| frame::parse_tcp(answer, GUEST))
            .collect();
        ensure!(
            parsed.len() == answers.len(),
            "{}: answered with something else than TCP: {}",
            stray.name,
            describe(&answers[0])
        );
        let essence = |segment: &Segment| {
            // Without the ACK bit the field means nothing.
            let ack = if segment.flags & flags::ACK == 0 {
                0
            } else {
                segment.ack
            };
            (segment.seq, ack, segment.flags, segment.payload.len())
        };
        let got: Vec<_> = parsed.iter().map(essence).collect();
        let wanted: Vec<_> = stray.answer.iter().map(essence).collect();
        ensure!(got == wanted, "{}: {got:?}, wanted {wanted:?}", stray.name);
    }
    Ok(())
}

/// SYNs from hosts that do not exist: the backlog fills up and stays bounded, and who is connected
/// notices nothing. What comes on top is answered by cookies.
fn syn_flood(fixture: &Fixture) -> Result<()> {
    /// `BACKLOG` of the echo example.
    const BACKLOG: u64 = 512;
    const SYNS: u16 = 20_000;
    let machine = fixture.boot_echo()?;
    let packets = machine.packets()?;
    let mut client = connect(SERVICE)?;
    for number in 0..SYNS {
        let [_, low] = number.to_be_bytes();
        let stranger = Link {
            host: Ipv4Addr::new(10, 0, 0, 100 + low % 100),
            ..machine.link
        };
        packets.send(&stranger.tcp(&Segment {
            source: 10_000 + number,
            destination: SERVICE.port(),
            seq: number.into(),
            flags: flags::SYN,
            window: 1000,
            ..Segment::default()
        }))?;
        if number % 1000 == 0 {
            echoes(&mut client, &number.to_be_bytes())?;
        }
    }
    echoes(&mut client, b"still there?")?;
    ping(GUEST, 0, 56, Duration::from_secs(5))?;
    let half_open = machine.statistic("half_open")?;
    ensure!(half_open <= BACKLOG, "{half_open} half-open connections");
    let cookies = machine.statistic("tcp_cookies_sent")?;
    ensure!(cookies > 0, "the flood did not reach the backlog");
    Ok(())
}

/// A message comes back on a connection.
fn echoes(client: &mut TcpStream, message: &[u8]) -> Result<()> {
    client.write_all(message)?;
    let mut answer = vec![0; message.len()];
    client.read_exact(&mut answer)?;
    ensure!(answer == message, "{message:?} came back as {answer:?}");
    Ok(())
}
