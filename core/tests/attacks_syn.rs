//! Attacks on the passive side: floods of SYNs, peers that hold connections without using them,
//! forged cookies, amplification. Each test is named after the row of SECURITY.md that it answers.

mod common;

use common::packet::Packet;
use common::{Host, OURS, PEER, pattern_at, small_config};
use mnet_core::config::{Config, SynCookies};
use mnet_core::error::{ListenError, SendError};
use mnet_core::wire::tcp::{Flags, TcpOptions};
use mnet_core::{Instant, ListenOptions, SocketId};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const PORT: u16 = 80;
/// Bytes of an IPv4 header.
const IP_HEADER: usize = 20;

fn host(config: &Config) -> (Host, SocketId) {
    let mut host = Host::new(config, 1, Instant::from_millis(5_000));
    let local = SocketAddr::from((OURS, PORT));
    let listener = host.stack.tcp_listen(local, 32).unwrap();
    (host, listener)
}

fn cookies(when: SynCookies) -> Config {
    let mut config = small_config();
    config.tcp.syn_cookies = when;
    config
}

fn syn_options() -> TcpOptions {
    TcpOptions {
        mss: Some(1_460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some((1_000, 0)),
        ..TcpOptions::default()
    }
}

/// The SYN of a real client.
fn syn(source: Ipv4Addr, port: u16, isn: u32) -> Packet {
    Packet {
        source,
        options: syn_options(),
        ..Packet::to_us(port, PORT, Flags::SYN, isn, 0)
    }
}

/// A SYN whose sender never looks at the answer.
fn spoofed(number: u32) -> Packet {
    let [_, b, c, d] = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
    let source = Ipv4Addr::new(198, 18 + b % 2, c, d);
    let port = 1 + (u16::from_be_bytes([b, c]) % 30_000);
    syn(source, port, number.wrapping_mul(77))
}

/// A host whose gateway is the peer.
fn host_with_gateway(when: SynCookies) -> (Host, SocketId) {
    let (mut host, listener) = host(&cookies(when));
    let any = Ipv4Addr::UNSPECIFIED.into();
    host.stack
        .add_route(any, 0, PEER.into(), host.interface)
        .unwrap();
    // So the gateway's hardware address is known.
    host.exchange(&Packet::to_us(1, 9, Flags::SYN, 0, 0));
    (host, listener)
}

/// Sends spoofed SYNs in one batch, and forgets the answers on their way to nobody.
fn flood(host: &mut Host, numbers: std::ops::Range<u32>) {
    numbers.for_each(|number| host.deliver(&spoofed(number)));
    host.stack.handle_timeout(host.now);
    let mut answers = 0;
    while host.stack.transmit(host.now).is_some() {
        answers += 1;
        assert!(answers <= 300, "more than a batch can cause");
    }
}

/// A client that has completed its handshake.
struct Client {
    source: Ipv4Addr,
    port: u16,
    /// The next numbers of the client and of the stack, and the stack's last timestamp.
    seq: u32,
    ack: u32,
    echo: u32,
}

impl Client {
    /// Sends a SYN and answers the SYN-ACK; `None` if there is none.
    fn connect(host: &mut Host, source: Ipv4Addr, port: u16, window: u16) -> Option<Self> {
        let isn = u32::MAX - 50;
        let answers = host.exchange(&syn(source, port, isn));
        let [syn_ack] = &answers[..] else {
            return None;
        };
        assert_eq!(syn_ack.flags, Flags::SYN | Flags::ACK);
        let client = Self {
            source,
            port,
            seq: isn.wrapping_add(1),
            ack: syn_ack.seq.wrapping_add(1),
            echo: syn_ack.options.timestamps?.0,
        };
        let ack = Packet {
            window,
            ..client.packet(Flags::ACK)
        };
        assert_eq!(host.exchange(&ack), []);
        Some(client)
    }

    fn packet(&self, flags: Flags) -> Packet {
        Packet {
            source: self.source,
            options: TcpOptions {
                timestamps: Some((2_000, self.echo)),
                ..TcpOptions::default()
            },
            ..Packet::to_us(self.port, PORT, flags, self.seq, self.ack)
        }
    }

    /// Sends a request of 100 bytes; the program echoes it.
    #[track_caller]
    fn round_trip(&mut self, host: &mut Host, id: SocketId) {
        let request = self.packet(Flags::ACK).with_payload(&pattern_at(0, 100));
        host.deliver(&request);
        let mut buffer = [0; 200];
        assert_eq!(host.stack.tcp_recv(host.now, id, &mut buffer), Ok(100));
        assert_eq!(host.stack.tcp_send(host.now, id, &buffer[..100]), Ok(100));
        host.flush();
        self.seq = self.seq.wrapping_add(100);
        let answers = host.take();
        let answer = answers
            .iter()
            .find(|packet| packet.destination_port == self.port && !packet.payload.is_empty())
            .expect("an answer");
        assert_eq!((answer.ack, answer.seq), (self.seq, self.ack));
        assert_eq!(answer.payload, pattern_at(0, 100));
        self.ack = self.ack.wrapping_add(100);
        self.echo = answer.options.timestamps.unwrap().0;
        host.deliver(&self.packet(Flags::ACK));
    }

    /// Both sides close.
    fn finish(&mut self, host: &mut Host, id: SocketId) {
        host.deliver(&self.packet(Flags::FIN | Flags::ACK));
        self.seq = self.seq.wrapping_add(1);
        host.stack.close(host.now, id).unwrap();
        host.flush();
        host.take();
        self.ack = self.ack.wrapping_add(1);
        host.deliver(&self.packet(Flags::ACK));
        host.flush();
        host.take();
    }
}

#[test]
fn row_25_a_syn_flood_hurts_neither_those_who_are_connected_nor_those_who_connect() {
    let (mut host, listener) = host_with_gateway(SynCookies::WhenFull);
    let mut old = Client::connect(&mut host, PEER, 40_000, 65_535).unwrap();
    let old_id = host.stack.tcp_accept(listener).unwrap();
    let mut lowest_free = usize::MAX;
    let mut accepted = 0;
    // 100,000 in a second, as batches of a device.
    for round in 0..2_000u32 {
        flood(&mut host, round * 50..(round + 1) * 50);
        host.now = host.now + Duration::from_micros(500);
        lowest_free = lowest_free.min(host.stack.pool_frames().free);
        if round % 20 == 19 {
            old.round_trip(&mut host, old_id);
            let port = 50_000 + u16::try_from(round).unwrap();
            let mut client =
                Client::connect(&mut host, PEER, port, 500).expect("a SYN-ACK in the flood");
            let id = host
                .stack
                .tcp_accept(listener)
                .expect("connected by the cookie");
            client.round_trip(&mut host, id);
            client.finish(&mut host, id);
            accepted += 1;
        }
    }
    assert_eq!(host.counter("tcp_cookies_accepted"), accepted);
    assert!(host.counter("tcp_cookies_sent") > 99_000);
    // Neither frames nor places went to the flood.
    let usage = host.stack.usage();
    assert_eq!((usage.connections, usage.orphaned), (1, 0));
    assert!(usage.half_open <= 32, "{}", usage.half_open);
    let total = host.stack.pool_frames().total;
    assert!(total - lowest_free < 20, "{lowest_free} of {total} frames");
    old.round_trip(&mut host, old_id);
    old.finish(&mut host, old_id);
    for _ in 0..240 {
        flood(&mut host, 0..0);
        host.now = host.now + Duration::from_millis(500);
    }
    host.assert_nothing_held();
}

#[test]
fn row_25_without_cookies_a_flood_still_leaks_nothing() {
    let (mut host, listener) = host_with_gateway(SynCookies::Off);
    let mut old = Client::connect(&mut host, PEER, 40_000, 65_535).unwrap();
    let old_id = host.stack.tcp_accept(listener).unwrap();
    for round in 0..200u32 {
        flood(&mut host, round * 50..(round + 1) * 50);
        old.round_trip(&mut host, old_id);
    }
    assert_eq!(host.counter("tcp_cookies_sent"), 0);
    assert_eq!(host.stack.usage().half_open, 32);
    assert!(host.counter("tcp_backlog_full") > 9_000);
    old.finish(&mut host, old_id);
    for _ in 0..240 {
        flood(&mut host, 0..0);
        host.now = host.now + Duration::from_millis(500);
    }
    host.assert_nothing_held();
}

/// A flood of one listener fills the table of half-open connections; another one, whose backlog is
/// empty, sends cookies.
#[test]
fn row_25_a_flooded_listener_takes_nothing_from_another_one() {
    let (mut host, _) = host_with_gateway(SynCookies::WhenFull);
    let local = SocketAddr::from((OURS, PORT + 1));
    let other = host.stack.tcp_listen(local, 4).unwrap();
    flood(&mut host, 0..100);
    assert_eq!(host.stack.usage().half_open, host.stack.limits().half_open);
    let mut request = syn(PEER, 9, 7);
    request.destination_port = PORT + 1;
    let answers = host.exchange(&request);
    let mut ack = Packet::to_us(9, PORT + 1, Flags::ACK, 8, answers[0].seq.wrapping_add(1));
    ack.options.timestamps = Some((9, answers[0].options.timestamps.unwrap().0));
    host.deliver(&ack);
    assert!(host.stack.tcp_accept(other).is_ok());
    // Closing it ends what waited there, and nothing else.
    host.stack.close(host.now, other).unwrap();
    assert_eq!(host.stack.usage().half_open, host.stack.limits().half_open);
}

#[test]
fn closing_a_listener_ends_its_own_half_open_connections_only() {
    let (mut host, listener) = host(&small_config());
    let local = SocketAddr::from((OURS, PORT + 1));
    let other = host.stack.tcp_listen(local, 32).unwrap();
    for port in 1..=20 {
        let mut request = syn(PEER, port, 7);
        request.destination_port += port % 2;
        host.deliver(&request);
    }
    assert_eq!(host.stack.usage().half_open, 20);
    host.stack.close(host.now, listener).unwrap();
    assert_eq!(host.stack.usage().half_open, 10);
    host.stack.close(host.now, other).unwrap();
    host.flush();
    assert_eq!(host.take(), [], "no SYN-ACK that was still due");
    host.assert_nothing_held();
}

#[test]
fn row_41_nobody_is_sent_much_more_than_was_sent_in_his_name() {
    for (when, most) in [(SynCookies::WhenFull, 4), (SynCookies::Always, 1)] {
        for options in [TcpOptions::default(), syn_options()] {
            let (mut host, _) = host(&cookies(when));
            let mut request = syn(PEER, 9, 7);
            request.options = options;
            let sent = IP_HEADER + request.to_segment().len();
            host.deliver(&request);
            host.flush();
            host.advance(Duration::from_secs(300));
            let answers = host.take();
            assert_eq!(answers.len(), most, "{when:?}");
            for answer in answers {
                let got = IP_HEADER + answer.to_segment().len();
                assert!(
                    got <= sent + 4,
                    "{got} bytes for {sent}: at most an MSS option more"
                );
            }
        }
    }
    // What is for nobody is answered once, with a bare header.
    let (mut host, _) = host(&small_config());
    for flags in [Flags::SYN, Flags::ACK, Flags::ACK | Flags::FIN] {
        let mut request = Packet::to_us(9, 99, flags, 7, 8);
        request.payload = pattern_at(0, 500);
        let answers = host.exchange(&request);
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].to_segment().len(), 20);
        host.advance(Duration::from_secs(300));
        assert_eq!(host.take(), []);
    }
}

#[test]
fn row_6_and_25_acknowledgements_that_are_guessed_open_nothing() {
    let (mut host, listener) = host(&cookies(SynCookies::Always));
    let mut state = 1u64;
    let mut random = || {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        u32::try_from(state >> 32).unwrap()
    };
    for round in 0..1_000 {
        // Cookies are out, so acknowledgements are looked at.
        let known = host.exchange(&syn(PEER, 9, 7))[0].clone();
        for _ in 0..50 {
            let [a, b, ..] = random().to_be_bytes();
            let port = u16::from_be_bytes([a, b]).max(1);
            let mut forged = Packet::to_us(port, PORT, Flags::ACK, random(), random());
            // Some know a cookie of their own, and try near it.
            if round % 2 == 0 {
                forged.ack = known.seq.wrapping_add(1 + random() % 1_000);
            }
            forged.options.timestamps = (round % 3 == 0).then(|| (random(), random()));
            host.deliver(&forged);
        }
        host.flush();
        let answers = host.take();
        assert!(answers.iter().all(|answer| answer.flags == Flags::RST));
    }
    assert_eq!(host.counter("tcp_cookies_failed"), 50_000);
    assert_eq!(host.counter("tcp_cookies_accepted"), 0);
    assert!(host.stack.tcp_accept(listener).is_err());
    host.assert_nothing_held();
}

/// The acknowledgement of a cookie that finds the backlog full is as good as lost. What the peer sends behind it
/// is no error: once there is room, the repetition of its first segment opens the connection.
#[test]
fn a_client_with_a_cookie_outlives_a_full_backlog() {
    let mut host = Host::new(&cookies(SynCookies::Always), 1, Instant::from_millis(5_000));
    let local = SocketAddr::from((OURS, PORT));
    let listener = host.stack.tcp_listen(local, 1).unwrap();
    let answer = host.exchange(&syn(PEER, 2, 0)).remove(0);
    let late = Client {
        source: PEER,
        port: 2,
        seq: 1,
        ack: answer.seq.wrapping_add(1),
        echo: answer.options.timestamps.unwrap().0,
    };
    Client::connect(&mut host, PEER, 1, 500).unwrap();
    let first = late.packet(Flags::ACK).with_payload(&pattern_at(0, 100));
    let mut second = first.clone().with_payload(&pattern_at(100, 100));
    second.seq += 100;
    for packet in [&late.packet(Flags::ACK), &first, &second] {
        assert_eq!(host.exchange(packet), []);
    }
    assert!(host.stack.tcp_accept(listener).is_ok());
    assert_eq!(host.exchange(&second), []);
    host.deliver(&first);
    let id = host.stack.tcp_accept(listener).unwrap();
    let mut buffer = [0; 200];
    assert_eq!(host.stack.tcp_recv(host.now, id, &mut buffer), Ok(100));
    assert_eq!(host.counter("tcp_backlog_full"), 2);
    assert_eq!(host.counter("tcp_cookies_failed"), 2);
    // Later on such a segment is for nothing again.
    host.advance(Duration::from_secs(135));
    host.take();
    let mut stray = late.packet(Flags::ACK);
    stray.source_port = 3;
    assert_eq!(host.exchange(&stray)[0].flags, Flags::RST);
}

/// As unpredictable as other initial sequence numbers.
#[test]
fn row_6_the_numbers_of_cookies_have_no_pattern() {
    let (mut host, _) = host(&cookies(SynCookies::Always));
    let numbers: Vec<u32> = (1..=1_200)
        .map(|port| host.exchange(&syn(PEER, port, 7))[0].seq)
        .collect();
    let distinct: BTreeSet<u32> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len());
    for bit in 0..32 {
        let ones = numbers.iter().filter(|n| **n >> bit & 1 == 1).count();
        assert!((480..720).contains(&ones), "bit {bit}: {ones}");
    }
    let close = numbers
        .windows(2)
        .filter(|pair| pair[0].wrapping_sub(pair[1]).wrapping_add(1 << 24) < 1 << 25)
        .count();
    assert!(
        close < 30,
        "{close} of 1200 neighbours are close: 9 would be by chance"
    );
    // Another SYN of the same four-tuple has another number too.
    let again = host.exchange(&syn(PEER, 1, 8))[0].seq;
    assert_ne!(again, numbers[0]);
}

/// RFC 9293 §3.6.1 (MAY-2), RFC 6191 §2: a SYN ends TIME-WAIT only if our number lies beyond all of
/// the old connection. A cookie's number cannot be chosen, so sometimes TIME-WAIT has to go on.
#[test]
fn a_cookie_never_answers_with_a_number_of_the_old_connection() {
    let (mut host, listener) = host(&cookies(SynCookies::Always));
    let (mut replaced, mut kept) = (0, 0);
    for port in 1..=60 {
        let mut client = Client::connect(&mut host, PEER, port, 500).unwrap();
        let id = host.stack.tcp_accept(listener).unwrap();
        // We close first: TIME-WAIT is ours.
        host.stack.close(host.now, id).unwrap();
        host.flush();
        host.take();
        client.ack = client.ack.wrapping_add(1);
        let snd_nxt = client.ack;
        host.exchange(&client.packet(Flags::FIN | Flags::ACK));
        let waiting = host.stack.usage().time_wait;
        let mut again = syn(PEER, port, client.seq.wrapping_add(100_000));
        again.options.timestamps = Some((3_000, 0));
        match &host.exchange(&again)[..] {
            [] => {
                kept += 1;
                assert_eq!(host.stack.usage().time_wait, waiting);
            }
            [syn_ack] => {
                replaced += 1;
                assert_eq!(syn_ack.flags, Flags::SYN | Flags::ACK);
                let ahead = syn_ack.seq.wrapping_sub(snd_nxt);
                assert!(ahead < 1 << 31, "beyond the old numbers");
                assert_eq!(host.stack.usage().time_wait, waiting - 1);
            }
            more => panic!("{more:?}"),
        }
    }
    assert!(replaced > 15 && kept > 15, "{replaced} {kept}");
    assert_eq!(host.counter("tcp_time_wait_kept"), kept);
    assert_eq!(host.counter("tcp_half_open_full"), 0);
    assert_eq!(host.counter("tcp_time_wait_reused"), replaced);
}

/// Connections whose peers take nothing and answer every probe: Naptha, sockstress (CVE-2008-4609).
fn hold(host: &mut Host, listener: SocketId, count: u16) -> Vec<(Client, SocketId)> {
    (0..count)
        .map(|port| {
            let client = Client::connect(host, PEER, 1_000 + port, 0).unwrap();
            let id = host.stack.tcp_accept(listener).unwrap();
            assert_eq!(host.stack.tcp_send(host.now, id, &[7; 1_000]), Ok(1_000));
            (client, id)
        })
        .collect()
}

/// Lets time pass; those who hold connections answer what they are sent with a closed window.
fn pass(host: &mut Host, holders: &[(Client, SocketId)], time: Duration) {
    let end = host.now + time;
    while host.now < end {
        host.advance(Duration::from_secs(5));
        for sent in host.take() {
            let holder = holders
                .iter()
                .find(|(client, _)| client.port == sent.destination_port);
            if let Some((client, _)) = holder
                && !sent.flags.contains(Flags::RST)
            {
                host.deliver(&Packet {
                    window: 0,
                    ..client.packet(Flags::ACK)
                });
            }
        }
        host.flush();
    }
}

#[test]
fn row_25_who_keeps_the_window_closed_is_reaped_when_connections_are_short() {
    let config = Config {
        max_connections: Some(16),
        ..small_config()
    };
    let (mut host, listener) = host(&config);
    let holders = hold(&mut host, listener, 16);
    assert!(
        Client::connect(&mut host, OURS_OTHER, 9, 500).is_none(),
        "no place is left"
    );
    assert_eq!(host.counter("tcp_connections_full"), 1);
    // The user timeout, and a minute until the last probe.
    pass(&mut host, &holders, Duration::from_secs(290));
    assert_eq!(host.counter("tcp_zero_window_reaped"), 0);
    pass(&mut host, &holders, Duration::from_secs(80));
    let reaped = host.counter("tcp_zero_window_reaped");
    assert!(reaped >= 2, "{reaped}");
    let failed = holders
        .iter()
        .filter(|(_, id)| host.stack.tcp_send(host.now, *id, &[1]) == Err(SendError::TimedOut))
        .map(|(_, id)| *id)
        .collect::<Vec<_>>();
    assert_eq!(failed.len() as u64, reaped);
    for id in failed {
        host.stack.close(host.now, id).unwrap();
    }
    let client = Client::connect(&mut host, OURS_OTHER, 9, 500);
    assert!(client.is_some(), "there is a place again");
}

/// Another host of the link.
const OURS_OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);

/// RFC 9293 §3.8.6.1 (MUST-37): a peer may keep its window closed for ever while nothing is short.
#[test]
fn a_closed_window_is_borne_while_nothing_is_short() {
    let (mut host, listener) = host(&small_config());
    let holders = hold(&mut host, listener, 5);
    pass(&mut host, &holders, Duration::from_secs(2_000));
    assert_eq!(host.counter("tcp_zero_window_reaped"), 0);
    assert_eq!(host.stack.usage().connections, 5);
}

#[test]
fn row_25_connections_without_a_user_give_way_to_those_who_connect() {
    let config = Config {
        max_connections: Some(8),
        ..small_config()
    };
    let (mut host, listener) = host(&config);
    let holders = hold(&mut host, listener, 8);
    for (_, id) in &holders {
        host.stack.close(host.now, *id).unwrap();
    }
    host.flush();
    host.take();
    assert_eq!(host.stack.usage().orphaned, 8);
    // A SYN alone ends nothing: anyone can send it.
    let answers = host.exchange(&syn(OURS_OTHER, 9, 7));
    assert_eq!(answers.len(), 1);
    assert_eq!(host.stack.usage().orphaned, 8);
    let mut ack = Packet::to_us(9, PORT, Flags::ACK, 8, answers[0].seq.wrapping_add(1));
    ack.source = OURS_OTHER;
    ack.options.timestamps = Some((2_000, answers[0].options.timestamps.unwrap().0));
    let answers = host.exchange(&ack);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(
        (answers[0].flags, answers[0].destination_port),
        (Flags::RST | Flags::ACK, 1_000),
        "the oldest"
    );
    assert!(host.stack.tcp_accept(listener).is_ok());
    assert_eq!(host.stack.usage().orphaned, 7);
    assert_eq!(host.counter("tcp_orphans_reaped"), 1);
    // So does a connection of our own.
    let to = SocketAddr::from((PEER, 5_000));
    assert!(host.stack.tcp_connect(host.now, to, None).is_ok());
    assert_eq!(host.stack.usage().orphaned, 6);
}

#[test]
fn row_25_one_peer_address_gets_only_its_share() {
    let config = Config {
        max_connections_per_peer: Some(10),
        ..small_config()
    };
    let (mut host, listener) = host(&config);
    let connect = |host: &mut Host, source, port| {
        let client = Client::connect(host, source, port, 500);
        client.map(|client| (client, host.stack.tcp_accept(listener).unwrap()))
    };
    let held: Vec<_> = (1..=20)
        .filter_map(|port| connect(&mut host, PEER, port))
        .collect();
    assert_eq!(held.len(), 10);
    assert_eq!(host.counter("tcp_peer_full"), 10);
    assert!(
        connect(&mut host, OURS_OTHER, 1).is_some(),
        "another one has its own"
    );
    for (mut client, id) in held {
        client.finish(&mut host, id);
    }
    assert!(connect(&mut host, PEER, 99).is_some(), "those have ended");
}

#[test]
fn a_listener_needs_room_for_one_connection() {
    let (mut host, _) = host(&small_config());
    let local = SocketAddr::from((OURS, 81));
    for (backlog, max_connections) in [(0, None), (4, Some(0))] {
        let options = ListenOptions {
            backlog,
            max_connections,
            ..ListenOptions::default()
        };
        let got = host.stack.tcp_listen_with(local, &options);
        assert_eq!(got, Err(ListenError::Invalid));
    }
}
