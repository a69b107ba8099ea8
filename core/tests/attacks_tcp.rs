//! Attacks on TCP: each test is named after the row of SECURITY.md that it answers. What a script
//! shows (resets, SYNs and acknowledgements inside a connection, TIME-WAIT, PAWS) is in `scripts/`; the
//! passive side under load is in `attacks_syn.rs`.

mod common;

use common::packet::{Packet, frame, set_tcp_checksum};
use common::{Host, OURS, PEER, pattern_at, small_config};
use mnet_core::wire::tcp::{Flags, TcpOptions};
use mnet_core::{Instant, SocketId};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const PORT: u16 = 80;

fn host() -> Host {
    host_with_seed(1)
}

fn host_with_seed(seed: u8) -> Host {
    let mut host = Host::new(&small_config(), seed, Instant::from_millis(5_000));
    host.stack
        .tcp_listen(SocketAddr::from((OURS, PORT)), 32)
        .unwrap();
    host
}

/// An established connection: the handle, and the next numbers of the peer and of ours.
struct Connection {
    id: SocketId,
    port: u16,
    peer: u32,
    ours: u32,
}

impl Connection {
    fn packet(&self, flags: Flags, seq: u32, ack: u32) -> Packet {
        Packet::to_us(
            self.port,
            PORT,
            flags,
            self.peer.wrapping_add(seq),
            self.ours.wrapping_add(ack),
        )
    }

    fn data(&self, offset: u32, len: usize) -> Packet {
        self.packet(Flags::ACK, offset, 0)
            .with_payload(&pattern_at(offset as usize, len))
    }
}

/// Opens a connection from a port of the peer, with the given options in its SYN.
fn connect(host: &mut Host, listener: SocketId, port: u16, options: TcpOptions) -> Connection {
    let isn = u32::MAX - 1_000;
    let mut syn = Packet::to_us(port, PORT, Flags::SYN, isn, 0);
    syn.options = options;
    let answers = host.exchange(&syn);
    assert_eq!(answers.len(), 1, "a SYN-ACK");
    let ours = answers[0].seq.wrapping_add(1);
    let mut ack = Packet::to_us(port, PORT, Flags::ACK, isn.wrapping_add(1), ours);
    ack.options.timestamps = syn.options.timestamps;
    host.deliver(&ack);
    host.flush();
    let id = host.stack.tcp_accept(listener).expect("established");
    host.take();
    Connection {
        id,
        port,
        peer: isn.wrapping_add(1),
        ours,
    }
}

fn listening() -> (Host, SocketId) {
    let mut host = Host::new(&small_config(), 1, Instant::from_millis(5_000));
    let listener = host
        .stack
        .tcp_listen(SocketAddr::from((OURS, PORT)), 32)
        .unwrap();
    (host, listener)
}

fn syn(port: u16) -> Packet {
    Packet::to_us(port, PORT, Flags::SYN, 77, 0)
}

#[test]
fn row_5_option_lengths_of_zero_and_one_end_the_parsing() {
    let mut host = host();
    for options in [
        [2, 0, 1, 1],
        [2, 1, 1, 1],
        [8, 0, 0, 0],
        [253, 1, 1, 1],
        [3, 5, 1, 1],
        [1, 1, 1, 2],
    ] {
        let mut segment = syn(1_000).to_segment();
        segment.extend(options);
        segment[12] = 0x60;
        set_tcp_checksum(&mut segment, PEER, OURS);
        host.stack
            .receive_copy(host.now, host.interface, &frame(PEER, OURS, &segment));
        host.flush();
        assert_eq!(host.take(), []);
    }
    assert_eq!(host.counter("tcp_bad_option"), 6);
}

#[test]
fn row_5_and_9_urgent_pointers_beyond_the_segment_mean_nothing() {
    let (mut host, listener) = listening();
    let connection = connect(&mut host, listener, 1_000, TcpOptions::default());
    let mut at = 0;
    for (urgent, len) in [(0, 1), (1, 1), (65_535, 1), (65_535, 0), (2, 100), (100, 2)] {
        let mut packet = connection.data(at, len);
        packet.flags |= Flags::URG;
        packet.urgent = urgent;
        host.deliver(&packet);
        host.flush();
        at += u32::try_from(len).unwrap();
    }
    let mut buf = [0; 500];
    assert_eq!(
        host.stack.tcp_recv(host.now, connection.id, &mut buf),
        Ok(at as usize)
    );
    assert_eq!(buf[..at as usize], pattern_at(0, at as usize));
}

#[test]
fn row_6_initial_sequence_numbers_are_unpredictable_and_grow_per_connection() {
    let isn = |host: &mut Host, port| host.exchange(&syn(port))[0].seq;
    let mut numbers = Vec::new();
    for seed in 1..=40 {
        let mut host = host_with_seed(seed);
        numbers.extend((1..=30).map(|port| isn(&mut host, port)));
    }
    // No two alike, spread over the whole range, and neighbours say nothing about each other.
    let distinct: BTreeSet<u32> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len());
    let count = |bit: u32| numbers.iter().filter(|n| **n >> bit & 1 == 1).count();
    for bit in 0..32 {
        assert!(
            (480..720).contains(&count(bit)),
            "bit {bit}: {}",
            count(bit)
        );
    }
    let close = numbers
        .windows(2)
        .filter(|pair| pair[0].abs_diff(pair[1]) < 1 << 24)
        .count();
    assert!(
        close < 30,
        "{close} of 1200 neighbours are close: 9 would be by chance"
    );
    // The same four-tuple later: larger, by the clock (RFC 6528 §3).
    let mut host = host();
    let first = isn(&mut host, 5);
    host.deliver(&Packet::to_us(5, PORT, Flags::RST, 78, 0));
    host.advance(Duration::from_secs(1));
    host.take();
    assert_eq!(isn(&mut host, 5).wrapping_sub(first), 250_000);
}

#[test]
fn row_11_a_tiny_mss_does_not_make_tiny_segments() {
    for mss in [0, 1, 8, 48, 215] {
        let (mut host, listener) = listening();
        let options = TcpOptions {
            mss: Some(mss),
            timestamps: Some((1, 0)),
            ..TcpOptions::default()
        };
        let connection = connect(&mut host, listener, 1_000, options);
        let data = pattern_at(0, 1_000);
        assert_eq!(
            host.stack.tcp_send(host.now, connection.id, &data),
            Ok(1_000)
        );
        host.flush();
        let sizes: Vec<usize> = host
            .take()
            .iter()
            .map(|packet| packet.payload.len())
            .collect();
        assert_eq!(sizes, [204, 204, 204, 204, 184], "MSS {mss}");
    }
}

/// Segments of one byte behind a hole, every second byte: returns the time for `count` of them and
/// the frames that they hold.
fn smack(count: u32, backwards: bool, step: u32) -> (Duration, usize) {
    let (mut host, listener) = listening();
    let connection = connect(&mut host, listener, 1_000, TcpOptions::default());
    let before = host.stack.pool_frames().free;
    let packets: Vec<Vec<u8>> = (0..count)
        .map(|i| if backwards { count - i } else { i + 1 })
        .map(|i| connection.data(1 + i * step, 1).to_frame())
        .collect();
    let start = std::time::Instant::now();
    for packet in &packets {
        host.stack.receive_copy(host.now, host.interface, packet);
    }
    let took = start.elapsed();
    let held = before - host.stack.pool_frames().free;
    host.flush();
    (took, held)
}

#[test]
fn row_12_segment_smack_costs_the_same_per_segment_and_holds_few_frames() {
    for (backwards, step) in [(false, 2), (true, 2), (false, 1), (true, 1), (false, 7)] {
        let fastest = |count| {
            (0..5)
                .map(|_| smack(count, backwards, step).0)
                .min()
                .unwrap()
        };
        let (short, long) = (fastest(1_000), fastest(8_000));
        // Eight times as many: a list that is walked would make it 64 times as long.
        assert!(long < short * 20, "{short:?} for 1000, {long:?} for 8000");
        let (_, held) = smack(8_000, backwards, step);
        assert!(
            held <= 260,
            "{held} frames, backwards {backwards}, step {step}"
        );
    }
}

#[test]
fn row_12_data_out_of_order_cannot_take_the_memory_from_other_connections() {
    let (mut host, listener) = listening();
    let options = TcpOptions {
        mss: Some(1_460),
        window_scale: Some(7),
        ..TcpOptions::default()
    };
    let greedy: Vec<Connection> = (0..20)
        .map(|i| connect(&mut host, listener, 2_000 + i, options.clone()))
        .collect();
    for i in 0..300 {
        for connection in &greedy {
            host.deliver(&connection.data(1_460 * (i + 1), 1_460));
        }
        host.flush();
        host.take();
    }
    assert!(host.counter("tcp_out_of_order_memory") + host.counter("tcp_out_of_window") > 0);
    let honest = connect(&mut host, listener, 1_000, options);
    let mut buf = [0; 2_000];
    for i in 0..20 {
        host.deliver(&honest.data(i * 400, 400));
        assert_eq!(host.stack.tcp_recv(host.now, honest.id, &mut buf), Ok(400));
        host.flush();
        host.take();
    }
    for connection in greedy.into_iter().chain([honest]) {
        host.stack.tcp_abort(host.now, connection.id).unwrap();
    }
    host.flush();
    host.assert_nothing_held();
}

#[test]
fn row_16_segments_from_our_own_address_are_dropped() {
    let mut host = host();
    let mut land = syn(PORT);
    land.source = OURS;
    host.deliver(&land);
    host.flush();
    assert_eq!(host.take(), []);
    assert_eq!(host.stack.usage().half_open, 0);
}

/// RFC 9293 §3.9.2.3 (MUST-63).
#[test]
fn row_16_syns_from_addresses_that_no_host_has_are_dropped() {
    let mut host = host();
    for source in [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(10, 0, 0, 255),
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(127, 0, 0, 1),
    ] {
        host.deliver(&Packet {
            source,
            ..syn(4_000)
        });
        host.flush();
        assert_eq!(host.take(), [], "{source}");
    }
    assert_eq!(host.stack.usage().half_open, 0);
}

#[test]
fn row_17_only_a_reset_with_the_next_number_ends_a_connection() {
    let (mut host, listener) = listening();
    let connection = connect(&mut host, listener, 1_000, TcpOptions::default());
    // A blind attacker's guesses, a quarter of a window apart: 2^32 / 16384 of them would be
    // needed to hit the window, and none of them ends it.
    for i in (0..u32::MAX).step_by(1 << 24) {
        host.deliver(&connection.packet(Flags::RST, i.max(1), 0));
        host.deliver(&connection.packet(Flags::SYN, i, 0));
    }
    host.flush();
    host.take();
    assert_eq!(
        host.stack.tcp_state(connection.id).unwrap().name(),
        "ESTABLISHED"
    );
    host.deliver(&connection.packet(Flags::RST, 0, 0));
    assert_eq!(
        host.stack.tcp_state(connection.id).unwrap().name(),
        "CLOSED"
    );
}

#[test]
fn row_18_challenge_acks_of_one_connection_say_nothing_about_another() {
    let (mut host, listener) = listening();
    let one = connect(&mut host, listener, 1_000, TcpOptions::default());
    let other = connect(&mut host, listener, 1_001, TcpOptions::default());
    let mut sent = 0;
    for _ in 0..100 {
        sent += host.exchange(&one.packet(Flags::RST, 5, 0)).len();
    }
    assert!((5..=10).contains(&sent), "{sent}: reflection is bounded");
    assert_eq!(
        host.exchange(&other.packet(Flags::RST, 5, 0)).len(),
        1,
        "the other one has its own count"
    );
    host.advance(Duration::from_secs(1));
    assert_eq!(host.exchange(&one.packet(Flags::RST, 5, 0)).len(), 1);
}

#[test]
fn row_26_acknowledgements_of_what_was_not_sent_do_not_open_the_window() {
    let (mut host, listener) = listening();
    let options = TcpOptions {
        mss: Some(1_000),
        ..TcpOptions::default()
    };
    let connection = connect(&mut host, listener, 1_000, options);
    host.stack
        .tcp_send(host.now, connection.id, &pattern_at(0, 60_000))
        .unwrap();
    host.flush();
    assert_eq!(host.take().len(), 10, "the initial window");
    // Optimistic: beyond what was sent.
    for ack in [10_001, 20_000, 60_000] {
        let answers = host.exchange(&connection.packet(Flags::ACK, 0, ack));
        assert!(
            answers.iter().all(|packet| packet.payload.is_empty()),
            "a challenge at most"
        );
    }
    // Divided: a thousand acknowledgements of a byte each open it no further than one of them all.
    let mut segments = 0;
    for ack in 1..=1_000 {
        segments += host.exchange(&connection.packet(Flags::ACK, 0, ack)).len();
    }
    assert_eq!(
        segments, 2,
        "one for the segment acknowledged, one for slow start"
    );
}

#[test]
fn row_26_forged_duplicates_do_not_grow_the_window_without_bound() {
    let (mut host, listener) = listening();
    let options = TcpOptions {
        mss: Some(1_000),
        ..TcpOptions::default()
    };
    let connection = connect(&mut host, listener, 1_000, options);
    host.stack
        .tcp_send(host.now, connection.id, &pattern_at(0, 60_000))
        .unwrap();
    host.flush();
    host.take();
    let mut bytes = 0;
    for _ in 0..1_000 {
        let sent = host.exchange(&connection.packet(Flags::ACK, 0, 0));
        bytes += sent
            .iter()
            .map(|packet| packet.payload.len())
            .sum::<usize>();
    }
    // Duplicates inflate the window (RFC 5681 §3.2); the receiver's own window is the bound.
    assert!(bytes <= 65_535 + 2_000, "{bytes}");
}

#[test]
fn row_27_windows_that_shrink_and_scales_beyond_14_are_survived() {
    let (mut host, listener) = listening();
    let options = TcpOptions {
        mss: Some(1_000),
        window_scale: Some(255),
        ..TcpOptions::default()
    };
    let connection = connect(&mut host, listener, 1_000, options);
    host.stack
        .tcp_send(host.now, connection.id, &pattern_at(0, 60_000))
        .unwrap();
    host.flush();
    host.take();
    let mut acked = 0;
    for (i, window) in [65_535, 1, 0, 40_000, 0, 1, 0, 3, 65_535]
        .into_iter()
        .cycle()
        .take(2_000)
        .enumerate()
    {
        acked = if i % 3 == 0 {
            (acked + 700).min(9_000)
        } else {
            acked
        };
        let mut packet = connection.packet(Flags::ACK, 0, acked);
        packet.window = window;
        host.deliver(&packet);
        host.flush();
        if i % 50 == 0 {
            host.advance(Duration::from_millis(300));
        }
        host.take();
    }
    assert_eq!(
        host.stack.tcp_state(connection.id).unwrap().name(),
        "ESTABLISHED"
    );
    host.stack.tcp_abort(host.now, connection.id).unwrap();
    host.flush();
    host.assert_nothing_held();
}

#[test]
fn row_31_data_with_an_acknowledgement_outside_the_window_is_not_taken() {
    let (mut host, listener) = listening();
    let connection = connect(&mut host, listener, 1_000, TcpOptions::default());
    let mut buf = [0; 100];
    for ack in [1, 1_000, 1 << 31, u32::MAX - 70_000] {
        host.deliver(
            &connection
                .packet(Flags::ACK | Flags::PSH, 0, ack)
                .with_payload(b"forged"),
        );
        assert!(
            host.stack
                .tcp_recv(host.now, connection.id, &mut buf)
                .is_err(),
            "ack {ack}"
        );
    }
    assert_eq!(host.counter("tcp_bad_ack"), 4);
    host.flush();
}

#[test]
fn row_32_timestamps_do_not_tell_the_uptime() {
    let clock = |seed| {
        let mut host = host_with_seed(seed);
        let options = TcpOptions {
            timestamps: Some((1, 0)),
            ..TcpOptions::default()
        };
        let mut value = |port| {
            host.exchange(&Packet {
                options: options.clone(),
                ..syn(port)
            })[0]
                .options
                .timestamps
        };
        [value(1), value(2), value(3)].map(|timestamps| timestamps.unwrap().0)
    };
    let values: BTreeSet<u32> = (1..20).flat_map(clock).map(|value| value >> 16).collect();
    assert!(
        values.len() > 50,
        "57 clocks, each with an offset of its own: {}",
        values.len()
    );
}

#[test]
fn row_25_connections_beyond_the_limit_are_refused_silently_and_counted() {
    let (mut host, listener) = listening();
    let all: Vec<Connection> = (0..64)
        .map(|i| connect(&mut host, listener, 1_000 + i, TcpOptions::default()))
        .collect();
    assert_eq!(host.exchange(&syn(5_000)), []);
    assert_eq!(host.counter("tcp_connections_full"), 1);
    for connection in &all {
        host.stack.tcp_abort(host.now, connection.id).unwrap();
    }
    host.flush();
    host.take();
    assert_eq!(host.exchange(&syn(5_000)).len(), 1);
}

#[test]
fn row_30_time_wait_is_bounded() {
    let (mut host, listener) = listening();
    for i in 0..100 {
        let connection = connect(&mut host, listener, 1_000 + i, TcpOptions::default());
        host.stack.close(host.now, connection.id).unwrap();
        host.flush();
        host.deliver(&connection.packet(Flags::FIN | Flags::ACK, 0, 1));
        host.flush();
        host.take();
    }
    let usage = host.stack.usage();
    assert_eq!((usage.time_wait, usage.connections), (16, 0));
    assert_eq!(host.counter("tcp_time_wait_full"), 84);
    host.advance(Duration::from_secs(61));
    host.assert_nothing_held();
}

#[test]
fn stale_handles_are_errors_and_touch_nobody() {
    let (mut host, listener) = listening();
    let connection = connect(&mut host, listener, 1_000, TcpOptions::default());
    host.stack.tcp_abort(host.now, connection.id).unwrap();
    host.flush();
    host.take();
    let next = connect(&mut host, listener, 1_001, TcpOptions::default());
    assert_eq!(
        next.id.index(),
        connection.id.index(),
        "the place is used again"
    );
    let stale = connection.id;
    assert!(host.stack.tcp_send(host.now, stale, b"x").is_err());
    assert!(host.stack.tcp_recv(host.now, stale, &mut [0; 4]).is_err());
    assert!(host.stack.tcp_recv_slice(stale).is_err());
    assert!(host.stack.tcp_consume(host.now, stale, 1).is_err());
    assert!(host.stack.tcp_shutdown(host.now, stale).is_err());
    assert!(host.stack.tcp_abort(host.now, stale).is_err());
    assert!(host.stack.close(host.now, stale).is_err());
    assert!(host.stack.tcp_accept(stale).is_err());
    assert!(host.stack.tcp_state(stale).is_err());
    host.flush();
    assert_eq!(host.take(), []);
    assert_eq!(host.stack.tcp_state(next.id).unwrap().name(), "ESTABLISHED");
}
