//! The same work with few and with many connections: what a packet costs must not depend on how
//! many there are.

use crate::mnet::Mnet;
use crate::peer::{Connection, Flags, Peer};
use crate::wire::Wire;
use crate::{Family, Service, Subject};
use std::net::Ipv4Addr;

/// So many connections are few.
pub const FEW: usize = 10;
/// So many are many.
pub const MANY: usize = 100_000;
/// Connections from one address: its ports from 1,024 on.
const OF_ONE_ADDRESS: usize = 60_000;
/// Bytes of a request and of its answer.
const REQUEST: usize = 64;
/// By how much one request's connection lies behind the last one's: a prime, so that all have
/// their turn, and none is the last one's neighbour.
const STRIDE: usize = 7_919;

/// Opens so many connections to mnet, and exchanges so many requests and answers of 64 bytes, each
/// on another connection and acknowledged there.
///
/// # Panics
/// If the stack does not do what is expected of it.
pub fn round_trips(connections: usize, times: usize) {
    let mut subject = Mnet::for_connections(connections, Service::Echo);
    let (mut peer, mut to, mut from) = (Peer::new(Family::V4), Wire::default(), Wire::default());
    let mut now = 1_000_000;
    let mut turn = |peer: &mut Peer, to: &mut Wire| {
        now += 50;
        subject.measured_turn(now, to, &mut from);
        peer.take(&mut from, to, 0);
    };
    let mut all: Vec<Connection> = Vec::with_capacity(connections);
    for number in 0..connections {
        let host = u8::try_from(2 + number / OF_ONE_ADDRESS).expect("few addresses");
        let port = u16::try_from(1_024 + number % OF_ONE_ADDRESS).expect("a port");
        peer.syn_from(&mut to, Ipv4Addr::new(10, 0, 0, host).into(), port);
        turn(&mut peer, &mut to);
        // The first time, the stack asks for the address, and answers then.
        while !to.is_empty() {
            turn(&mut peer, &mut to);
        }
        peer.segment(&mut to, Flags::ACK, 0);
        turn(&mut peer, &mut to);
        all.push(peer.connection());
    }
    for round in 0..times {
        let connection = &mut all[round * STRIDE % connections];
        peer.switch(connection);
        let before = peer.received;
        peer.segment(&mut to, Flags::PUSH, REQUEST);
        turn(&mut peer, &mut to);
        assert_eq!(peer.received, before + REQUEST);
        // It comes in with the next request, or it would be long in coming.
        peer.segment(&mut to, Flags::ACK, 0);
        peer.switch(connection);
    }
}
