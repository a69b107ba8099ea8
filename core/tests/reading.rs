//! Reading from a connection through the calls, where a script's `read` does not reach.

mod common;

use common::packet::Packet;
use common::{Host, OURS, small_config};
use mnet_core::Instant;
use mnet_core::error::RecvError;
use mnet_core::wire::tcp::Flags;
use std::net::SocketAddr;

#[test]
fn reading_into_an_empty_buffer_neither_waits_nor_takes_anything() {
    let mut host = Host::new(&small_config(), 1, Instant::from_millis(1_000));
    let listener = host
        .stack
        .tcp_listen(SocketAddr::from((OURS, 80)), 4)
        .unwrap();
    let peer = u32::MAX - 3;
    let ours = host.exchange(&Packet::to_us(4_000, 80, Flags::SYN, peer, 0))[0]
        .seq
        .wrapping_add(1);
    let packet = |offset: u32, payload: &[u8]| {
        let mut packet = Packet::to_us(4_000, 80, Flags::ACK, peer.wrapping_add(offset), ours);
        packet.payload = payload.to_vec();
        packet
    };
    host.exchange(&packet(1, b""));
    let id = host.stack.tcp_accept(listener).unwrap();
    let now = host.now;
    assert_eq!(host.stack.tcp_recv(now, id, &mut []), Ok(0));
    assert_eq!(
        host.stack.tcp_recv(now, id, &mut [0]),
        Err(RecvError::WouldBlock)
    );
    host.exchange(&packet(1, b"abc"));
    assert_eq!(host.stack.tcp_recv(now, id, &mut []), Ok(0));
    let mut buffer = [0; 8];
    assert_eq!(host.stack.tcp_recv(now, id, &mut buffer), Ok(3));
    assert_eq!(&buffer[..3], b"abc");
}
