//! Settings of sockets, time limits of calls, and what can be learnt, on two hosts joined by a cable.

mod common;

use std::rc::Rc;
use std::time::Duration;

use common::{World, follow, net, socket};
use mnet::mnet_core::error::{AcceptError, RecvError, RecvFromError, SendError, SettingError};
use mnet::{CongestionAlgorithm, ConnectFailure, Keepalive, ListenOptions, Net, State, TcpSetting};

const SECOND: Duration = Duration::from_secs(1);

/// A server that listens, and a client that is connected to it.
fn connected(
    world: &Rc<World>,
) -> (
    Net<common::Side>,
    Net<common::Side>,
    mnet::TcpStream<common::Side>,
) {
    let (client, server) = (net(world, 0), net(world, 1));
    let listener = server.listen(socket(1, 7), 8).unwrap();
    // It listens for as long as the test runs.
    std::mem::forget(listener);
    follow(world, &server);
    let stream = client.connect(socket(1, 7)).unwrap();
    (client, server, stream)
}

#[test]
fn settings_can_be_read_back_and_are_refused_out_of_range() {
    let world = World::new();
    let (_client, _server, stream) = connected(&world);
    let keepalive = Keepalive {
        idle: 60 * SECOND,
        ..Keepalive::default()
    };
    stream.set_nodelay(true).unwrap();
    stream.set_cork(true).unwrap();
    stream.set_keepalive(Some(keepalive)).unwrap();
    stream.set_user_timeout(Some(30 * SECOND)).unwrap();
    stream.set_linger(Some(SECOND)).unwrap();
    stream.set_delayed_ack(Duration::ZERO).unwrap();
    stream.set_congestion(CongestionAlgorithm::NewReno).unwrap();
    stream.set_receive_buffer(8_192).unwrap();
    stream.set_send_buffer(9_000).unwrap();
    stream.set_time_to_live(3).unwrap();
    stream.set_dscp(8).unwrap();
    let settings = stream.settings().unwrap();
    assert!(settings.nodelay && settings.cork);
    assert_eq!(settings.keepalive, Some(keepalive));
    assert_eq!(settings.user_timeout, Some(30 * SECOND));
    assert_eq!(settings.linger, Some(SECOND));
    assert_eq!(settings.delayed_ack, Duration::ZERO);
    assert_eq!(settings.congestion, CongestionAlgorithm::NewReno);
    assert_eq!(
        (settings.receive_buffer, settings.send_buffer),
        (8_192, 9_000)
    );
    assert_eq!((settings.time_to_live, settings.dscp), (3, 8));
    assert_eq!(stream.set_dscp(64), Err(SettingError::OutOfRange));
    assert_eq!(
        stream.set(TcpSetting::TimeToLive(0)),
        Err(SettingError::OutOfRange)
    );
    assert_eq!(stream.settings(), Ok(settings));
}

#[test]
fn a_listener_has_a_limit_of_its_own_and_hands_settings_on() {
    let world = World::new();
    let (client, server) = (net(&world, 0), net(&world, 1));
    let options = ListenOptions {
        max_connections: Some(1),
        ..ListenOptions::default()
    };
    let listener = server.listen_with(socket(1, 7), &options).unwrap();
    listener.set_time_to_live(5).unwrap();
    follow(&world, &server);
    let _first = client.connect(socket(1, 7)).unwrap();
    let second = client.connect_timeout(socket(1, 7), 5 * SECOND).map(|_| ());
    assert_eq!(second, Err(ConnectFailure::Failed(SendError::TimedOut)));
    let accepted = listener.try_accept().unwrap();
    assert_eq!(accepted.settings().unwrap().time_to_live, 5);
}

#[test]
fn calls_that_wait_give_up_when_their_time_is_over() {
    let world = World::new();
    let (client, _server, stream) = connected(&world);
    stream.set_read_timeout(Some(2 * SECOND));
    let start = world.now();
    assert_eq!(stream.read(&mut [0; 9]), Err(RecvError::WouldBlock));
    assert_eq!(world.now(), start + 2 * SECOND);

    let listener = client.listen(socket(0, 80), 1).unwrap();
    listener.set_accept_timeout(Some(SECOND));
    let start = world.now();
    assert_eq!(listener.accept().map(|_| ()), Err(AcceptError::WouldBlock));
    assert_eq!(world.now(), start + SECOND);

    let udp = client.bind(socket(0, 53)).unwrap();
    udp.set_read_timeout(Some(SECOND));
    assert_eq!(udp.recv_from(&mut [0; 9]), Err(RecvFromError::WouldBlock));

    // Nobody reads what is written.
    world.peer(|| None);
    world.unplugged.set(true);
    stream.set_send_buffer(4_096).unwrap();
    stream.set_write_timeout(Some(SECOND));
    let start = world.now();
    assert_eq!(stream.write_all(&[0; 9_000]), Err(SendError::WouldBlock));
    assert_eq!(world.now(), start + SECOND);
}

#[test]
fn connecting_has_a_limit_and_a_silent_neighbour_is_unreachable() {
    let world = World::new();
    let (client, _server, _stream) = connected(&world);
    let start = world.now();
    // Nobody has this address.
    let failure = client.connect(socket(41, 7)).map(|_| ());
    let unreachable = Err(ConnectFailure::Failed(SendError::Unreachable));
    assert_eq!(failure, unreachable);
    assert_eq!((world.now() - start).as_secs(), 3);
    // The neighbour is known and its network is gone.
    world.unplugged.set(true);
    let start = world.now();
    let failure = client.connect_timeout(socket(1, 7), SECOND).map(|_| ());
    assert_eq!(failure, Err(ConnectFailure::Failed(SendError::TimedOut)));
    assert_eq!((world.now() - start).as_secs(), 1);
}

#[test]
fn closing_waits_for_delivery_if_asked_to() {
    let world = World::new();
    let (client, _server, stream) = connected(&world);
    stream.set_linger(Some(5 * SECOND)).unwrap();
    stream.write_all(b"everything").unwrap();
    assert_eq!(stream.close(), Ok(()));

    let stream = client.connect(socket(1, 7)).unwrap();
    stream.set_linger(Some(5 * SECOND)).unwrap();
    world.unplugged.set(true);
    stream.write_all(b"nothing").unwrap();
    let start = world.now();
    assert_eq!(stream.close(), Err(SendError::WouldBlock));
    assert_eq!(world.now(), start + 5 * SECOND);
}

#[test]
fn a_connection_tells_what_it_does_and_the_list_has_all() {
    let world = World::new();
    let (client, server, stream) = connected(&world);
    stream.write_all(&[0; 3_000]).unwrap();
    client.poll(&mut [], world.now() + SECOND);
    let info = stream.info().unwrap();
    assert_eq!(info.state, State::Established);
    assert_eq!((info.bytes_delivered, info.in_flight), (3_000, 0));
    let (local, remote) = stream.peers().unwrap();
    assert_eq!((local.ip(), remote), (socket(0, 0).ip(), socket(1, 7)));
    let entries: Vec<_> = client.tcp_entries().collect();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].local, entries[0].remote), (local, Some(remote)));
    assert_eq!(entries[0].id, Some(stream.id()));
    let states: Vec<_> = server.tcp_entries().map(|entry| entry.state).collect();
    assert_eq!(states, [State::Listen, State::Established]);
}
