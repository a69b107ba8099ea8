//! The three styles of waiting, on two hosts joined by a cable.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::{Side, World, net, runtime, socket};
use mnet::mnet_core::error::{RecvError, SendError};
use mnet::mnet_core::socket::SocketKind;
use mnet::{
    Config, ConnectFailure, Instant, Interest, Net, Readiness, Runtime, StartError, TcpStream,
};

/// An echo server in readiness style, driven from outside by steps.
struct EchoServer {
    net: Net<Side>,
    listener: mnet::TcpListener<Side>,
    udp: mnet::UdpSocket<Side>,
    clients: Vec<(TcpStream<Side>, Vec<u8>)>,
}

impl EchoServer {
    /// Runs on host 1 whenever host 0 sleeps. The server can be inspected afterwards.
    fn start(world: &Rc<World>) -> Rc<RefCell<Self>> {
        let net = net(world, 1);
        let listener = net.listen(socket(1, 7), 8).unwrap();
        let udp = net.bind(socket(1, 7)).unwrap();
        let server = Rc::new(RefCell::new(Self {
            net,
            listener,
            udp,
            clients: Vec::new(),
        }));
        let (this, clock) = (Rc::clone(&server), Rc::downgrade(world));
        world.peer(move || this.borrow_mut().turn(clock.upgrade().unwrap().now()));
        server
    }

    fn turn(&mut self, now: Instant) -> Option<Instant> {
        self.net.step(now);
        while let Ok(client) = self.listener.try_accept() {
            self.clients.push((client, Vec::new()));
        }
        let mut buffer = [0; 3_000];
        while let Ok(received) = self.udp.try_recv_from(&mut buffer) {
            self.udp
                .try_send_to(&buffer[..received.len], received.remote)
                .unwrap();
        }
        self.clients
            .retain_mut(|(client, rest)| Self::echo(client, rest));
        self.net.step(now)
    }

    /// Whether the client is still there.
    fn echo(client: &TcpStream<Side>, rest: &mut Vec<u8>) -> bool {
        let mut buffer = [0; 3_000];
        loop {
            if !rest.is_empty() {
                match client.try_write(rest) {
                    Ok(taken) => drop(rest.drain(..taken)),
                    Err(error) => return error == SendError::WouldBlock,
                }
                continue;
            }
            match client.try_read(&mut buffer) {
                Ok(0) => return false,
                Ok(len) => rest.extend_from_slice(&buffer[..len]),
                Err(error) => return error == RecvError::WouldBlock,
            }
        }
    }
}

/// Bytes that differ enough to notice a swap.
fn pattern(len: usize) -> Vec<u8> {
    (0_u32..)
        .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .take(len)
        .collect()
}

/// Turns the loop until `condition` holds; the world's deadlock check is the time limit.
fn until(net: &Net<Side>, world: &World, condition: impl Fn() -> bool) {
    let deadline = world.now() + Duration::from_secs(600);
    while !condition() {
        assert!(world.now() < deadline, "it never happened");
        net.poll(&mut [], world.now() + Duration::from_millis(10));
    }
}

#[test]
fn a_blocking_client_gets_everything_back_and_nothing_is_left() {
    let world = World::new();
    let server = EchoServer::start(&world);
    let client = net(&world, 0);
    let frames = client.usage();
    let sent = pattern(300_000);
    let stream = client.connect(socket(1, 7)).unwrap();
    assert_eq!(stream.peer_addr(), Ok(socket(1, 7)));

    let (mut received, mut buffer) = (Vec::new(), [0; 5_000]);
    for chunk in sent.chunks(50_000) {
        stream.write_all(chunk).unwrap();
        let goal = received.len() + chunk.len();
        while received.len() < goal {
            let len = stream.read(&mut buffer).unwrap();
            assert_ne!(len, 0, "the stream ended early");
            received.extend_from_slice(&buffer[..len]);
        }
    }
    stream.shutdown().unwrap();
    assert_eq!(stream.try_write(b"more"), Err(SendError::Shutdown));
    assert_eq!(
        stream.read(&mut buffer),
        Ok(0),
        "the server closes after us"
    );
    assert!(received == sent, "what came back is not what was sent");
    drop(stream);

    until(&client, &world, || {
        server.borrow().net.usage().connections == 0
    });
    until(&client, &world, || {
        let usage = client.usage();
        (usage.connections, usage.time_wait) == (frames.connections, frames.time_wait)
    });
}

#[test]
fn a_port_without_a_listener_refuses() {
    let world = World::new();
    let _server = EchoServer::start(&world);
    let client = net(&world, 0);
    let outcome = client.connect(socket(1, 8)).map(|_| ());
    assert_eq!(outcome, Err(ConnectFailure::Failed(SendError::Refused)));
    assert_eq!(client.usage().connections, 0);
}

#[test]
fn a_silent_peer_makes_connecting_time_out() {
    let world = World::new();
    let client = net(&world, 0);
    let start = world.now();
    let outcome = client.connect(socket(1, 7)).map(|_| ());
    let ConnectFailure::Failed(error) = outcome.unwrap_err() else {
        panic!("it was started");
    };
    // Nobody answers ARP, which may be told as "unreachable".
    assert!(
        matches!(error, SendError::TimedOut | SendError::Unreachable),
        "{error}"
    );
    assert!(world.now() > start + Duration::from_secs(1));
}

#[test]
fn datagrams_come_back_and_are_cut_to_the_buffer() {
    let world = World::new();
    let _server = EchoServer::start(&world);
    let client = net(&world, 0);
    let udp = client.bind(socket(0, 0)).unwrap();
    assert_ne!(udp.local_addr().unwrap().port(), 0);
    for len in [0, 1, 1_400] {
        udp.send_to(&pattern(len), socket(1, 7)).unwrap();
        let mut buffer = [0; 1_000];
        let received = udp.recv_from(&mut buffer).unwrap();
        assert_eq!(received.remote, socket(1, 7));
        assert_eq!((received.len, received.datagram_len), (len.min(1_000), len));
        assert_eq!(buffer[..received.len], pattern(len)[..received.len]);
    }
}

#[test]
fn sending_does_not_sleep_while_its_own_datagrams_fill_the_pool() {
    let world = World::new();
    let _server = EchoServer::start(&world);
    let client = net(&world, 0);
    let udp = client.bind(socket(0, 0)).unwrap();
    udp.send_to(b"hello", socket(1, 7)).unwrap();
    udp.recv_from(&mut [0; 10]).unwrap();
    let sleeps = client.runtime_counters().sleeps;
    while udp.try_send_to(b"x", socket(1, 7)).is_ok() {}
    udp.send_to(b"x", socket(1, 7)).unwrap();
    assert_eq!(client.runtime_counters().sleeps, sleeps);
}

#[test]
fn poll_reports_for_as_long_as_it_lasts_and_keeps_its_deadline() {
    let world = World::new();
    let _server = EchoServer::start(&world);
    let client = net(&world, 0);
    let stream = client.connect(socket(1, 7)).unwrap();
    let interest = |wanted| {
        [Interest {
            socket: stream.id(),
            wanted,
            ready: Readiness::empty(),
        }]
    };

    let mut readable = interest(Readiness::READABLE);
    let deadline = world.now() + Duration::from_millis(123);
    assert_eq!(client.poll(&mut readable, deadline), 0);
    assert_eq!(world.now(), deadline, "neither early nor late");

    assert_eq!(stream.try_write(b"x"), Ok(1));
    for _ in 0..3 {
        assert_eq!(client.poll(&mut readable, Instant::FAR_FUTURE), 1);
        assert_eq!(readable[0].ready, Readiness::READABLE);
    }
    let mut both = interest(Readiness::READABLE | Readiness::WRITABLE);
    assert_eq!(client.poll(&mut both, Instant::ZERO), 1);
    assert_eq!(both[0].ready, Readiness::READABLE | Readiness::WRITABLE);

    assert_eq!(stream.try_read(&mut [0; 10]), Ok(1));
    assert_eq!(client.poll(&mut readable, Instant::ZERO), 0);
    drop(stream);
    assert_eq!(
        client.poll(&mut readable, Instant::FAR_FUTURE),
        1,
        "stale handles do not wait"
    );
    assert_eq!(readable[0].ready, Readiness::ERROR);
}

#[test]
fn an_event_tells_each_growth_once() {
    let world = World::new();
    let _server = EchoServer::start(&world);
    let client = net(&world, 0);
    let stream = client.connect(socket(1, 7)).unwrap();
    let soon = || world.now() + Duration::from_millis(500);
    while client.next_event(soon()).is_some() {}

    assert_eq!(stream.try_write(b"first"), Ok(5));
    let event = client.next_event(Instant::FAR_FUTURE).unwrap();
    assert_eq!(
        (event.socket, event.socket.kind()),
        (stream.id(), SocketKind::Connection)
    );
    assert!(event.readiness.contains(Readiness::READABLE));
    assert_eq!(client.next_event(soon()), None);
    assert_eq!(stream.try_read(&mut [0; 10]), Ok(5));
    assert_eq!(stream.try_write(b"second"), Ok(6));
    assert!(client.next_event(soon()).is_some());
}

#[test]
fn a_non_blocking_write_leaves_with_the_next_turn_and_a_blocking_one_at_once() {
    let world = World::new();
    let _server = EchoServer::start(&world);
    let client = net(&world, 0);
    let stream = client.connect(socket(1, 7)).unwrap();
    while world.waiting(1) > 0 {
        client.poll(&mut [], world.now() + Duration::from_millis(1));
    }
    stream.try_write(b"later").unwrap();
    assert_eq!(world.waiting(1), 0);
    client.flush();
    assert_eq!(world.waiting(1), 1);

    until(&client, &world, || {
        stream.readiness().contains(Readiness::READABLE)
    });
    assert_eq!(stream.try_read(&mut [0; 10]), Ok(5));
    while world.waiting(1) > 0 {
        client.poll(&mut [], world.now() + Duration::from_millis(100));
    }
    stream.write_all(b"now").unwrap();
    assert_eq!(world.waiting(1), 1);
}

#[test]
fn a_lost_segment_is_sent_again_when_its_step_is_due() {
    let world = World::new();
    let server = EchoServer::start(&world);
    let client = net(&world, 0);
    let stream = client.connect(socket(1, 7)).unwrap();
    until(&client, &world, || server.borrow().clients.len() == 1);
    stream.write_all(b"lost").unwrap();
    world.lose_all();
    let start = world.now();
    let mut next = client.step(start);
    assert_eq!(world.waiting(1), 0, "not before its time");
    while world.waiting(1) == 0 {
        let deadline = next.expect("a retransmission is due");
        assert!(
            deadline <= start + Duration::from_secs(3),
            "too late (RFC 6298 (2.4))"
        );
        next = client.step(deadline);
    }
}

#[test]
fn a_batch_is_64_frames_and_one_reading_of_the_clock() {
    let world = World::new();
    let mut host = runtime(&world, 0);
    host.flush();
    let sender = net(&world, 1);
    let udp = sender.bind(socket(1, 9)).unwrap();
    let receiver = host.stack_mut().udp_bind(socket(0, 9)).unwrap();
    udp.try_send_to(b"resolve", socket(0, 9)).unwrap();
    for _ in 0..3 {
        sender.step(world.now());
        host.step(world.now());
    }
    for _ in 0..100 {
        udp.try_send_to(b"x", socket(0, 9)).unwrap();
    }
    sender.flush();
    assert_eq!(world.waiting(0), 100);
    world.clock_readings.set(0);
    assert!(host.turn(Instant::FAR_FUTURE));
    assert_eq!(world.waiting(0), 100 - 64);
    assert_eq!(world.clock_readings.get(), 1);
    host.turn(Instant::FAR_FUTURE);
    assert_eq!((world.waiting(0), world.clock_readings.get()), (0, 2));
    assert_eq!(
        host.counters().sleeps,
        0,
        "there was always something to take in"
    );
    let mut buffer = [0; 10];
    let now = host.now();
    let mut datagrams = 0;
    while host
        .stack_mut()
        .udp_recv_from(now, receiver, &mut buffer)
        .is_ok()
    {
        datagrams += 1;
    }
    assert_eq!(datagrams, 101);
}

#[test]
fn busy_polling_is_bounded_by_its_time_and_by_the_deadline() {
    let world = World::new();
    let mut host: Runtime<Side> = runtime(&world, 0);
    host.flush();
    let next = host.stack().next_timeout().unwrap_or(Instant::FAR_FUTURE);
    assert!(
        next > world.now() + Duration::from_secs(1),
        "a timer would end the wait"
    );
    world.look_time.set(400);
    host.set_busy_poll(Duration::from_micros(50));
    let start = host.read_clock();
    world.looks.set(0);
    assert!(!host.turn(start + Duration::from_millis(1)));
    let looks = world.looks.get();
    assert!(
        (50_000 / 400..50_000 / 400 + 20).contains(&looks),
        "{looks} looks"
    );
    assert_eq!(host.counters().sleeps, 1, "then it slept");

    world.looks.set(0);
    let start = host.read_clock();
    assert!(!host.turn(start + Duration::from_micros(10)));
    assert!(world.looks.get() < 45, "{} looks", world.looks.get());
    assert_eq!(
        host.counters().sleeps,
        1,
        "the deadline came while it looked"
    );
}

#[test]
fn frames_that_the_device_refuses_are_counted() {
    let world = World::new();
    let client = net(&world, 0);
    client.flush();
    let before = client.runtime_counters().device_tx_lost;
    world.unplugged.set(true);
    let _connecting = client.try_connect(socket(1, 7)).unwrap();
    client.flush();
    assert_eq!(client.runtime_counters().device_tx_lost, before + 1);
}

#[test]
fn without_entropy_and_seed_there_is_no_runtime() {
    let world = World::new();
    let side = Side { world, host: 0 };
    let outcome = Runtime::new(&Config::default(), side, None);
    assert_eq!(outcome.map(|_| ()).unwrap_err(), StartError::NoEntropy);
}
