//! Writing to a connection through the calls: when a writer that was refused is told to go on.

mod common;

use common::packet::Packet;
use common::{Host, OURS};
use mnet_core::config::Config;
use mnet_core::wire::tcp::{Flags, TcpOptions};
use mnet_core::{Instant, Readiness, SocketId};
use std::net::SocketAddr;
use std::time::Duration;

const MSS: u16 = 1460;

/// A writer that writes whatever is taken, but only when it is told that it can.
struct Writer {
    host: Host,
    id: SocketId,
    /// SND.UNA and SND.NXT as the peer sees them.
    acknowledged: u32,
    sent: u32,
}

/// The peer's initial sequence number.
const PEER_ISS: u32 = u32::MAX - 3;

/// What the peer says: everything up to `ack` has arrived, and these blocks.
fn ack(ack: u32, sack: &[(u32, u32)]) -> Packet {
    let mut packet = Packet::to_us(4_000, 80, Flags::ACK, PEER_ISS.wrapping_add(1), ack);
    packet.window = 60_000;
    packet.options.sack_blocks = sack.iter().copied().collect();
    packet
}

impl Writer {
    fn new() -> Self {
        let mut host = Host::new(&Config::default(), 1, Instant::from_millis(1_000));
        let local = SocketAddr::from((OURS, 80));
        let listener = host.stack.tcp_listen(local, 4).unwrap();
        let mut syn = Packet::to_us(4_000, 80, Flags::SYN, PEER_ISS, 0);
        syn.options = TcpOptions {
            mss: Some(MSS),
            window_scale: Some(10),
            sack_permitted: true,
            ..TcpOptions::default()
        };
        let first = host.exchange(&syn)[0].seq.wrapping_add(1);
        host.exchange(&ack(first, &[]));
        let id = host.stack.tcp_accept(listener).unwrap();
        Self {
            host,
            id,
            acknowledged: first,
            sent: first,
        }
    }

    /// Everything that was sent has arrived, as a batch of acknowledgements tells: one of them opens
    /// the window by eight segments at most.
    fn acknowledge(&mut self) {
        while self.acknowledged != self.sent {
            let left = self.sent.wrapping_sub(self.acknowledged);
            self.acknowledged = self.acknowledged.wrapping_add(left.min(2 * u32::from(MSS)));
            self.host.deliver(&ack(self.acknowledged, &[]));
        }
    }

    /// Whether an event says that there is room.
    fn is_told(&mut self) -> bool {
        let mut told = false;
        while let Some(event) = self.host.stack.poll_event() {
            told |= event.readiness.contains(Readiness::WRITABLE);
        }
        told
    }

    /// Writes until it is refused, and sees what is sent.
    fn write(&mut self) {
        let now = self.host.now;
        while self.host.stack.tcp_send(now, self.id, &[7; 65_536]).is_ok() {}
        self.see();
    }

    fn see(&mut self) {
        self.host.flush();
        for packet in self.host.take() {
            let len = u32::try_from(packet.payload.len()).unwrap();
            self.sent = packet.seq.wrapping_add(len);
        }
    }
}

/// The limit of the send queue follows the congestion window. Of two acknowledgements in a batch,
/// the first makes room and the second takes it back; the writer is told when there is some again.
#[test]
fn a_writer_whose_room_shrinks_before_it_looks_is_told_later() {
    let mut writer = Writer::new();
    writer.write();
    for _ in 0..5 {
        writer.host.advance(Duration::from_millis(1));
        writer.acknowledge();
        assert!(writer.is_told());
        writer.write();
    }
    let segments = |n: u32| n * u32::from(MSS);
    let flight = writer.sent.wrapping_sub(writer.acknowledged);
    assert!(flight > segments(300), "a large window: {flight}");
    writer.host.advance(Duration::from_millis(1));
    let partial = writer.acknowledged.wrapping_add(segments(16));
    let block = (
        partial.wrapping_add(segments(1)),
        partial.wrapping_add(segments(21)),
    );
    writer.host.deliver(&ack(partial, &[]));
    writer.host.deliver(&ack(partial, &[block]));
    assert!(!writer.is_told(), "there is no room");
    writer.see();
    writer.acknowledge();
    assert!(writer.is_told());
}
