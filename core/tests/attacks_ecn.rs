//! Attacks by marks, by what echoes them, and by what answers the echo (RFC 3168 §7, RFC 9768 §5.3
//! and §8): whoever forges them outside the windows changes nothing, and a peer that lies about
//! them harms its own connection only, and that no further than by one reduction in a round trip.

mod common;

use common::packet::Packet;
use common::{Host, OURS, pattern_at, small_config};
use mnet_core::config::EcnMode;
use mnet_core::wire::ecn::Ecn;
use mnet_core::wire::tcp::{Flags, TcpOptions};
use mnet_core::{Instant, SocketId};
use std::net::SocketAddr;
use std::time::Duration;

const PORT: u16 = 80;
const PEER_PORT: u16 = 1_000;
/// Of the peer: data wraps soon.
const ISN: u32 = u32::MAX - 1_000;
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Our segments' payload.
const SEGMENT: u32 = 1_000;
/// AE, CWR and ECE with the value that says that no mark has come (RFC 9768 §3.2.1).
const UNMARKED: Flags = Flags::AE.union(Flags::ECE);

/// An established connection from the peer, which speaks ECN.
struct Connection {
    host: Host,
    id: SocketId,
    ours: u32,
    /// The flags of ECN in all that the peer sends.
    flags: Flags,
}

impl Connection {
    fn new(mode: EcnMode) -> Self {
        let accurate = mode == EcnMode::Accurate;
        let mut config = small_config();
        config.tcp.ecn = mode;
        config.tcp.pacing = false;
        let mut host = Host::new(&config, 1, Instant::from_millis(5_000));
        let local = SocketAddr::from((OURS, PORT));
        let listener = host.stack.tcp_listen(local, 4).unwrap();
        let asks = Flags::SYN | Flags::ECE | Flags::CWR;
        let asks = if accurate { asks | Flags::AE } else { asks };
        let mut syn = Packet::to_us(PEER_PORT, PORT, asks, ISN, 0);
        syn.options = TcpOptions {
            mss: Some(u16::try_from(SEGMENT).unwrap()),
            ..TcpOptions::default()
        };
        let answers = host.exchange(&syn);
        assert_eq!(answers.len(), 1, "a SYN-ACK");
        host.advance(ROUND_TRIP);
        let mut connection = Self {
            id: listener,
            ours: answers[0].seq.wrapping_add(1),
            flags: if accurate { Flags::CWR } else { Flags::empty() },
            host,
        };
        connection.exchange(Flags::ACK, 0, 0);
        connection.id = connection.host.stack.tcp_accept(listener).unwrap();
        connection.flags = if accurate { UNMARKED } else { Flags::empty() };
        assert_eq!(connection.counter("tcp_ecn_agreed"), 1);
        connection
    }

    fn packet(&self, flags: Flags, seq: u32, ack: u32) -> Packet {
        let (seq, ack) = (
            ISN.wrapping_add(1).wrapping_add(seq),
            self.ours.wrapping_add(ack),
        );
        Packet::to_us(PEER_PORT, PORT, flags | self.flags, seq, ack)
    }

    /// The peer sends a segment without data; returns what we answer.
    fn exchange(&mut self, flags: Flags, seq: u32, ack: u32) -> Vec<Packet> {
        let packet = self.packet(flags, seq, ack);
        self.host.exchange(&packet)
    }

    /// The peer sends data with a mark or without one.
    fn data(&mut self, flags: Flags, at: u32, len: usize, ecn: Ecn) -> Vec<Packet> {
        let mut packet = self.packet(flags | Flags::ACK, at, 0);
        packet.payload = pattern_at(at as usize, len);
        packet.ecn = ecn;
        self.host.exchange(&packet)
    }

    fn write(&mut self, len: usize) -> Vec<Packet> {
        let data = pattern_at(0, len);
        let (now, id) = (self.host.now, self.id);
        assert_eq!(self.host.stack.tcp_send(now, id, &data), Ok(len));
        self.host.flush();
        self.host.take()
    }

    fn counter(&self, name: &str) -> u64 {
        self.host.counter(name)
    }

    fn reductions(&self) -> u64 {
        self.counter("tcp_ecn_reductions")
    }

    /// The peer acknowledges a round trip's data at a time until 60,000 bytes have arrived; how
    /// many round trips that takes.
    fn deliver_all(&mut self, mut acked: u32, mut sent: u32) -> u32 {
        let mut rounds = 0;
        while acked < 60_000 {
            rounds += 1;
            assert!(rounds < 200, "it stalls at {acked} of {sent}");
            self.host.advance(ROUND_TRIP);
            acked = sent;
            for packet in self.exchange(Flags::ACK, 0, acked) {
                let end = packet.seq.wrapping_sub(self.ours);
                sent = sent.max(end + u32::try_from(packet.payload.len()).unwrap());
            }
        }
        rounds
    }
}

/// The bytes of some segments of ours.
fn bytes(packets: &[Packet]) -> u32 {
    let bytes: usize = packets.iter().map(|packet| packet.payload.len()).sum();
    u32::try_from(bytes).unwrap()
}

#[test]
fn row_26_an_echo_outside_the_acceptable_range_changes_nothing() {
    for mode in [EcnMode::Passive, EcnMode::Accurate] {
        let mut connection = Connection::new(mode);
        assert_eq!(bytes(&connection.write(60_000)), 10 * SEGMENT);
        // Of what was never sent, of long ago, and with numbers outside the receive window.
        for (seq, ack) in [
            (0, 10_001),
            (0, 1 << 31),
            (0, 0u32.wrapping_sub(70_000)),
            (100_000, 1_000),
            (1 << 31, 1_000),
            (0u32.wrapping_sub(1), 1_000),
        ] {
            let flags = match mode {
                EcnMode::Accurate => Flags::CWR,
                _ => Flags::ECE,
            };
            let answers = connection.exchange(Flags::ACK | flags, seq, ack);
            assert_eq!(bytes(&answers), 0, "{mode:?} {seq} {ack}");
            assert_eq!(connection.reductions(), 0, "{mode:?} {seq} {ack}");
        }
        // The whole window is still there: slow start goes on with twice as much.
        connection.host.advance(ROUND_TRIP);
        let more = [5_000, 10_000].map(|ack| bytes(&connection.exchange(Flags::ACK, 0, ack)));
        assert_eq!(more, [10_000; 2], "{mode:?}");
    }
}

#[test]
fn row_26_echoes_without_end_reduce_once_in_a_round_trip_and_stop_nothing() {
    let mut connection = Connection::new(EcnMode::Passive);
    let mut sent = bytes(&connection.write(60_000));
    let mut acked = 0;
    let mut rounds = 0;
    while acked < 60_000 {
        rounds += 1;
        assert!(rounds < 100, "it stalls at {acked}");
        connection.host.advance(ROUND_TRIP);
        let before = connection.reductions();
        let end = sent;
        // Each segment of the round trip, and many duplicates: all of them echo a mark.
        while acked < end {
            acked = (acked + SEGMENT).min(end);
            for _ in 0..10 {
                sent += bytes(&connection.exchange(Flags::ACK | Flags::ECE, 0, acked));
            }
        }
        let reductions = connection.reductions() - before;
        assert!(reductions <= 1, "{reductions} in a round trip");
    }
    // Two segments in flight are the least.
    assert!(rounds <= 30, "{rounds} round trips for 60 segments");
    assert_eq!(connection.counter("tcp_timeouts"), 0);
}

#[test]
fn row_26_a_counter_of_marks_that_runs_wild_reduces_once_in_a_round_trip_and_stops_nothing() {
    for step in 1..8 {
        let mut connection = Connection::new(EcnMode::Accurate);
        let mut sent = bytes(&connection.write(60_000));
        let (mut acked, mut rounds, mut ace) = (0, 0, 5u16);
        while acked < 60_000 {
            rounds += 1;
            assert!(rounds < 100, "step {step} stalls at {acked}");
            connection.host.advance(ROUND_TRIP);
            let before = connection.reductions();
            let end = sent;
            while acked < end {
                acked = (acked + SEGMENT).min(end);
                for _ in 0..10 {
                    ace = (ace + step) & 7;
                    connection.flags = Flags::from_bits_truncate(ace * Flags::ECE.bits());
                    sent += bytes(&connection.exchange(Flags::ACK, 0, acked));
                }
            }
            let reductions = connection.reductions() - before;
            assert!(reductions <= 1, "step {step}: {reductions}");
        }
        assert!(rounds <= 30, "step {step}: {rounds} round trips");
        assert_eq!(connection.counter("tcp_timeouts"), 0);
    }
}

/// More marks than packets, marks of nothing, and byte counters from nowhere: the worst that comes
/// of them is a reduction.
#[test]
fn row_26_nonsense_of_accurate_ecn_neither_underflows_nor_stalls() {
    let options = [[1, 0, 1], [0, 0, 0], [0xff_ffff; 3], [1, 0x80_0000, 1]];
    for ace in 0..8u16 {
        for fields in options {
            for ect1_first in [false, true] {
                let mut connection = Connection::new(EcnMode::Accurate);
                let sent = bytes(&connection.write(60_000));
                let mut packet = connection.packet(Flags::ACK, 0, 0);
                let flags = Flags::from_bits_truncate(ace * Flags::ECE.bits());
                packet.flags = Flags::ACK | flags;
                packet.options.accecn = Some(mnet_core::wire::tcp::AccEcnOption {
                    ect1_first,
                    count: 3,
                    fields,
                });
                // Nothing is acknowledged, so nothing can have been marked.
                let mut more = bytes(&connection.host.exchange(&packet));
                packet.ack = packet.ack.wrapping_add(SEGMENT);
                more += bytes(&connection.host.exchange(&packet));
                assert!(connection.reductions() <= 1);
                let rounds = connection.deliver_all(SEGMENT, sent + more);
                assert!(rounds <= 40, "{ace} {fields:?}: {rounds} round trips");
                assert_eq!(connection.counter("tcp_timeouts"), 0);
            }
        }
    }
}

#[test]
fn row_31_marks_outside_the_window_are_not_counted() {
    for mode in [EcnMode::Passive, EcnMode::Accurate] {
        let mut connection = Connection::new(mode);
        connection.data(Flags::empty(), 0, 100, Ecn::Ect0);
        for at in [0, 1_000_000, 1 << 31, 0u32.wrapping_sub(500)] {
            connection.data(Flags::empty(), at, 100, Ecn::Ce);
        }
        assert_eq!(connection.counter("tcp_ecn_marks_received"), 0, "{mode:?}");
        let answer = connection.write(10);
        let echo = answer[0].flags.intersection(UNMARKED | Flags::CWR);
        assert_eq!(echo, connection.flags, "{mode:?}");
    }
}

#[test]
fn row_31_forged_cwr_hides_one_mark_at_most_and_disturbs_no_delivery() {
    let mut connection = Connection::new(EcnMode::Passive);
    let mut at = 0;
    let mut buf = [0; 4_000];
    for round in 0..20 {
        let echoes = |packets: &[Packet]| packets.iter().any(|p| p.flags.contains(Flags::ECE));
        let answers = connection.data(Flags::empty(), at, 1_000, Ecn::Ce);
        assert!(echoes(&answers), "round {round}");
        // Outside the window it ends nothing, nor does it without data.
        connection.data(Flags::CWR, at + 1_000_000, 100, Ecn::NotEct);
        connection.data(Flags::CWR, at.wrapping_sub(200_000), 100, Ecn::NotEct);
        connection.exchange(Flags::ACK | Flags::CWR, at + 1_000, 0);
        let mut answers = connection.data(Flags::empty(), at + 1_000, 1_000, Ecn::Ect0);
        // It may be delayed.
        connection.host.advance(Duration::from_millis(40));
        answers.extend(connection.host.take());
        assert!(echoes(&answers), "round {round}");
        // Inside, with data, it is taken for the peer's; the next mark is echoed again.
        let answers = connection.data(Flags::CWR, at + 2_000, 1_000, Ecn::Ect0);
        assert!(!echoes(&answers));
        assert_eq!(answers.len(), 1, "acknowledged at once");
        let (now, id) = (connection.host.now, connection.id);
        let read = connection.host.stack.tcp_recv(now, id, &mut buf);
        assert_eq!(read, Ok(3_000));
        assert_eq!(buf[..3_000], pattern_at(at as usize, 3_000));
        connection.host.flush();
        connection.host.take();
        at += 3_000;
    }
    assert_eq!(connection.counter("tcp_ecn_marks_received"), 20);
}
