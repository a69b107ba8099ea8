//! Many connections share a pool that is small for them: all make progress, nothing deadlocks,
//! nothing is lost.

mod common;

use common::{pattern, pattern_at, stack};
use mnet_core::config::Config;
use mnet_core::device::InterfaceId;
use mnet_core::error::{RecvError, SendError};
use mnet_core::{Instant, Readiness, SocketId, Stack};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PORT: u16 = 7;
/// One-way delay of the link.
const DELAY: Duration = Duration::from_micros(50);

/// The usual echo server: reads a buffer, writes it back, reads on when it is written.
struct Echo {
    pending: Vec<u8>,
    ended: bool,
}

struct Client {
    id: SocketId,
    sent: usize,
    received: usize,
    done: bool,
}

/// A link that delivers everything in order, in batches of at most 64 frames.
#[derive(Default)]
struct Link {
    frames: VecDeque<(Instant, Vec<u8>)>,
}

fn transmit(stack: &mut Stack, now: Instant, link: &mut Link) {
    while let Some(frame) = stack.transmit(now) {
        link.frames.push_back((now + DELAY, frame.slices.concat()));
    }
}

fn receive(stack: &mut Stack, interface: InterfaceId, now: Instant, link: &mut Link) {
    for _ in 0..64 {
        if link.frames.front().is_none_or(|(at, _)| *at > now) {
            break;
        }
        let Some((_, bytes)) = link.frames.pop_front() else {
            break;
        };
        stack.receive_copy(now, interface, &bytes);
    }
}

/// Serves until all clients have sent `each` bytes and got them back; returns the virtual time it
/// took and the server.
fn echo(clients: usize, each: usize, server_memory: usize) -> (Duration, Stack) {
    let start = Instant::from_millis(1_000);
    let mut now = start;
    let config = Config {
        memory: server_memory,
        ..Config::default()
    };
    let (mut server, server_interface) = stack(&config, 1, now, SERVER);
    let (mut client, client_interface) = stack(
        &Config {
            memory: 64 << 20,
            ..Config::default()
        },
        2,
        now,
        CLIENT,
    );
    let address = SocketAddr::from((SERVER, PORT));
    let listener = server.tcp_listen(address, clients).unwrap();
    let mut users: Vec<Client> = (0..clients)
        .map(|_| Client {
            id: client.tcp_connect(now, address, None).unwrap(),
            sent: 0,
            received: 0,
            done: false,
        })
        .collect();
    let mut echoes: BTreeMap<usize, (SocketId, Echo)> = BTreeMap::new();
    let (mut to_server, mut to_client) = (Link::default(), Link::default());
    let mut left = clients;
    while left > 0 {
        receive(&mut server, server_interface, now, &mut to_server);
        receive(&mut client, client_interface, now, &mut to_client);
        server.handle_timeout(now);
        client.handle_timeout(now);
        // The server only ever acts on events, as programs do.
        let mut due: Vec<SocketId> = std::iter::from_fn(|| server.poll_event())
            .map(|event| event.socket)
            .collect();
        while let Ok(id) = server.tcp_accept(listener) {
            echoes.insert(
                id.index(),
                (
                    id,
                    Echo {
                        pending: Vec::new(),
                        ended: false,
                    },
                ),
            );
            due.push(id);
        }
        for id in due {
            let Some((current, echo)) = echoes
                .get_mut(&id.index())
                .filter(|(current, _)| *current == id)
            else {
                continue;
            };
            if serve(&mut server, now, *current, echo) {
                server.close(now, id).unwrap();
                echoes.remove(&id.index());
            }
        }
        for user in users.iter_mut().filter(|user| !user.done) {
            if client.readiness(user.id).unwrap().is_empty() {
                continue;
            }
            left -= usize::from(work(&mut client, now, user, each));
        }
        while client.poll_event().is_some() {}
        transmit(&mut server, now, &mut to_client);
        transmit(&mut client, now, &mut to_server);
        let arrivals = [to_server.frames.front(), to_client.frames.front()];
        let arrivals = arrivals.into_iter().flatten().map(|(at, _)| *at);
        let timers = [server.next_timeout(), client.next_timeout()]
            .into_iter()
            .flatten();
        if left > 0 {
            let next = arrivals
                .chain(timers)
                .min()
                .expect("something happens: no deadlock");
            now = now.max(next);
        }
        assert!(
            now < start + Duration::from_secs(600),
            "{left} clients are stuck"
        );
    }
    (now.saturating_since(start), server)
}

/// Echoes what can be echoed; `true` at the end of the stream.
fn serve(server: &mut Stack, now: Instant, id: SocketId, echo: &mut Echo) -> bool {
    loop {
        if echo.pending.is_empty() {
            if echo.ended {
                return true;
            }
            let mut buf = vec![0; 16 << 10];
            match server.tcp_recv(now, id, &mut buf) {
                Ok(0) => echo.ended = true,
                Ok(len) => echo.pending = buf[..len].to_vec(),
                Err(RecvError::WouldBlock) => return false,
                Err(error) => panic!("recv: {error}"),
            }
        } else {
            match server.tcp_send(now, id, &echo.pending) {
                Ok(len) => drop(echo.pending.drain(..len)),
                Err(SendError::WouldBlock) => return false,
                Err(error) => panic!("send: {error}"),
            }
        }
    }
}

/// Writes and reads what is possible; `true` when the client is done.
fn work(client: &mut Stack, now: Instant, user: &mut Client, each: usize) -> bool {
    if client
        .readiness(user.id)
        .unwrap()
        .contains(Readiness::ERROR)
    {
        panic!("a connection failed at {} of {each}", user.received);
    }
    while user.sent < each {
        match client.tcp_send(
            now,
            user.id,
            &pattern_at(user.sent, (each - user.sent).min(8 << 10)),
        ) {
            Ok(len) => user.sent += len,
            Err(SendError::WouldBlock) => break,
            Err(error) => panic!("send: {error}"),
        }
        if user.sent == each {
            client.tcp_shutdown(now, user.id).unwrap();
        }
    }
    let mut buf = vec![0; 32 << 10];
    loop {
        match client.tcp_recv(now, user.id, &mut buf) {
            Ok(0) => {
                assert_eq!(user.received, each);
                client.close(now, user.id).unwrap();
                user.done = true;
                return true;
            }
            Ok(len) => {
                assert!(
                    buf[..len]
                        .iter()
                        .enumerate()
                        .all(|(i, byte)| *byte == pattern(user.received + i))
                );
                user.received += len;
            }
            Err(RecvError::WouldBlock) => return false,
            Err(error) => panic!("recv: {error}"),
        }
    }
}

#[test]
fn a_server_with_little_memory_serves_many_clients() {
    for (clients, each, memory) in [
        (1, 4 << 20, 4 << 20),
        (256, 100 << 10, 4 << 20),
        (200, 60 << 10, 1 << 20),
    ] {
        let (took, server) = echo(clients, each, memory);
        let counters = server.counters();
        eprintln!(
            "{clients} x {each} bytes in {memory}: {took:?}, {} of {} frames at least free, {} drops, {} sent again",
            server.pool_frames().lowest_free,
            server.pool_frames().total,
            counters.tcp_receive_memory + counters.tcp_out_of_order_memory + counters.rx_no_frame,
            counters.tcp_retransmits,
        );
        assert_eq!(counters.rx_no_frame, 0, "the reserve holds");
        // The link has no bandwidth limit, so time is round trips and timeouts.
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
}
