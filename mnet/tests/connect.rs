//! Connections with all choices: Fast Open and our own end, on two hosts joined by a cable.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::rc::Rc;

use common::{Side, World, address, follow, net, socket};
use mnet::mnet_core::error::ConnectError;
use mnet::{
    ConnectFailure, ConnectOptions, Fault, ListenOptions, Net, TcpFailure, TcpListener, aio,
};

const REQUEST: &[u8] = b"a request";

/// Two hosts; host 1 listens, takes Fast Open, and takes part whenever host 0 sleeps.
fn hosts() -> (Rc<World>, Net<Side>, Net<Side>, TcpListener<Side>) {
    let world = World::new();
    let (client, server) = (net(&world, 0), net(&world, 1));
    let options = ListenOptions {
        fast_open: 4,
        ..ListenOptions::default()
    };
    let listener = server.listen_with(socket(1, 7), &options).unwrap();
    follow(&world, &server);
    (world, client, server, listener)
}

fn early(data: &[u8]) -> ConnectOptions<'_> {
    ConnectOptions {
        fast_open: true,
        early_data: data,
        ..ConnectOptions::default()
    }
}

/// What the server's next connection has received, as soon as it has it.
fn received(server: &Net<Side>, client: &Net<Side>, listener: &TcpListener<Side>) -> Vec<u8> {
    // What the client has queued arrives.
    client.flush();
    server.step(server.now());
    let stream = listener.try_accept().unwrap();
    let mut buffer = [0; 4_096];
    let len = stream.try_read(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

#[test]
fn data_goes_with_the_syn_of_the_second_connection() {
    let (_world, client, server, listener) = hosts();
    // The first asks for a cookie; its data follows the handshake.
    for with_syn in [0, 1] {
        let (_stream, taken) = client.connect_with(socket(1, 7), &early(REQUEST)).unwrap();
        assert_eq!(taken, REQUEST.len());
        assert_eq!(received(&server, &client, &listener), REQUEST);
        assert_eq!(client.counters().tcp_fast_opens_sent, with_syn);
        assert_eq!(server.counters().tcp_fast_opens_accepted, with_syn);
    }
}

#[test]
fn what_one_segment_does_not_carry_is_left_to_the_caller() {
    let (_world, client, server, listener) = hosts();
    let data = [7; 2_000];
    for _ in 0..2 {
        let (stream, taken) = client.connect_with(socket(1, 7), &early(&data)).unwrap();
        assert!((500..1_461).contains(&taken), "{taken}");
        stream.write_all(&data[taken..]).unwrap();
        assert_eq!(received(&server, &client, &listener), data);
    }
}

#[test]
fn tasks_have_it_too() {
    let (_world, client, server, listener) = hosts();
    for with_syn in [0, 1] {
        let connected = client.block_on(async {
            aio::TcpStream::connect_with(&client, socket(1, 7), &early(REQUEST)).await
        });
        let (_stream, taken) = connected.unwrap();
        assert_eq!(taken, REQUEST.len());
        assert_eq!(received(&server, &client, &listener), REQUEST);
        assert_eq!(client.counters().tcp_fast_opens_sent, with_syn);
    }
    let refused = client.block_on(async {
        aio::TcpStream::connect_with(&client, socket(1, 8), &early(REQUEST)).await
    });
    assert_eq!(refused.map(drop), Err(TcpFailure::Refused));
    assert_eq!(TcpFailure::Refused.fault(), Fault::Peer);
}

#[test]
fn our_own_end_can_be_chosen() {
    let (_world, client, _server, _listener) = hosts();
    let from = |local| ConnectOptions {
        local: Some(local),
        ..ConnectOptions::default()
    };
    let (stream, taken) = client
        .connect_with(socket(1, 7), &from(socket(0, 4_000)))
        .unwrap();
    assert_eq!((stream.local_addr(), taken), (Ok(socket(0, 4_000)), 0));
    let foreign = client.connect_with(socket(1, 7), &from(socket(7, 0)));
    let why = ConnectFailure::NotStarted(ConnectError::AddressNotLocal);
    assert_eq!(foreign.map(drop), Err(why));
    let any_port = client.connect_with(socket(1, 7), &from(socket(0, 0)));
    let local = any_port.unwrap().0.local_addr().unwrap();
    assert!(local.ip() == address(0) && local.port() != 0);
}
