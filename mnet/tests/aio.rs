//! The sockets of tasks, and what cancelling their calls means, on two hosts joined by a cable.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{Side, World, net, socket};
use mnet::aio::{TcpListener, TcpStream, UdpSocket};
use mnet::tasks::yield_now;
use mnet::{Fault, Net, TcpFailure, UdpFailure};

const MS: Duration = Duration::from_millis(1);

/// Two hosts; host 1 runs its tasks whenever host 0 sleeps.
fn two_hosts() -> (Rc<World>, Net<Side>, Net<Side>) {
    let world = World::new();
    let (here, there) = (net(&world, 0), net(&world, 1));
    let (clock, peer) = (Rc::downgrade(&world), there.clone());
    world.peer(move || peer.step_tasks(clock.upgrade().unwrap().now()));
    (world, here, there)
}

/// Starts a task on host 1 that serves one connection.
fn serve_one<F: Future<Output = ()> + 'static>(
    there: &Net<Side>,
    serve: impl FnOnce(TcpStream<Side>) -> F + 'static,
) {
    let listener = TcpListener::bind(there, socket(1, 7), 1).unwrap();
    let serve = async move { serve(listener.accept().await.unwrap()).await };
    there.spawn(serve).detach();
}

/// Starts an echo server on host 1, a task for each client.
fn serve_echo(there: &Net<Side>) {
    let listener = TcpListener::bind(there, socket(1, 7), 64).unwrap();
    let net = there.clone();
    let serve = async move {
        while let Ok(stream) = listener.accept().await {
            net.spawn(echo(stream)).detach();
        }
    };
    there.spawn(serve).detach();
}

async fn echo(stream: TcpStream<Side>) {
    let mut buffer = [0; 3_000];
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

/// Bytes that differ enough to notice a swap.
fn pattern(seed: u32, len: usize) -> Vec<u8> {
    (seed..)
        .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .take(len)
        .collect()
}

async fn read_all(stream: &TcpStream<Side>) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 2_000]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return all,
            len => all.extend_from_slice(&buffer[..len]),
        }
    }
}

/// Polls once and drops the future: whether it was done.
fn try_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn a_task_for_each_client_gives_everybody_everything_back() {
    let (_, here, there) = two_hosts();
    serve_echo(&there);
    let clients: Vec<_> = (0..20)
        .map(|seed| {
            let net = here.clone();
            here.spawn(async move {
                let stream = TcpStream::connect(&net, socket(1, 7)).await.unwrap();
                assert_eq!(stream.socket().peer_addr(), Ok(socket(1, 7)));
                let sent = pattern(seed, 60_000);
                let (reader, writer) = stream.into_split();
                let copy = sent.clone();
                let writing = net.spawn(async move {
                    writer.write_all(&copy).await.unwrap();
                    writer.stream().shutdown().unwrap();
                });
                assert!(read_all(reader.stream()).await == sent, "client {seed}");
                writing.await;
            })
        })
        .collect();
    here.block_on(async {
        for client in clients {
            client.await;
        }
        here.sleep(MS * 1_000).await;
    });
    assert_eq!(
        (here.usage().connections, there.usage().connections),
        (0, 0)
    );
}

#[test]
fn two_tasks_share_a_listener() {
    let (_, here, there) = two_hosts();
    let listener = Rc::new(TcpListener::bind(&there, socket(1, 7), 8).unwrap());
    let served = Rc::new(Cell::new(0));
    for _ in 0..2 {
        let (listener, served) = (Rc::clone(&listener), Rc::clone(&served));
        there
            .spawn(async move {
                let stream = listener.accept().await.unwrap();
                stream.write_all(b"welcome").await.unwrap();
                served.set(served.get() + 1);
            })
            .detach();
    }
    drop(listener);
    here.block_on(async {
        for _ in 0..2 {
            let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
            assert_eq!(read_all(&stream).await, b"welcome");
        }
    });
    assert_eq!(served.get(), 2);
}

#[test]
fn errors_say_whose_fault_it_is() {
    let (_, here, there) = two_hosts();
    serve_one(&there, |stream| async move { stream.abort() });
    here.block_on(async {
        let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
        let error = stream.read(&mut [0]).await.unwrap_err();
        assert_eq!((error, error.fault()), (TcpFailure::Reset, Fault::Peer));
        assert_eq!(stream.write(b"x").await, Err(TcpFailure::Reset));

        let refused = TcpStream::connect(&here, socket(1, 8)).await.unwrap_err();
        assert_eq!(
            (refused, refused.fault()),
            (TcpFailure::Refused, Fault::Peer)
        );

        let silent = TcpStream::connect(&here, socket(9, 8)).await.unwrap_err();
        assert_eq!(silent.fault(), Fault::Network);

        let nowhere = TcpStream::connect(&here, "192.0.2.1:7".parse().unwrap()).await;
        assert_eq!(nowhere.unwrap_err(), TcpFailure::NoRoute);

        let udp = UdpSocket::bind(&here, socket(0, 0)).unwrap();
        let long = udp.send_to(&[0; 70_000], socket(1, 7)).await.unwrap_err();
        assert_eq!(
            (long, long.fault()),
            (UdpFailure::MessageTooLong, Fault::Caller)
        );
        udp.send_to(b"x", socket(1, 99)).await.unwrap();
        let refused = udp.recv_from(&mut [0]).await.unwrap_err();
        assert_eq!(
            (refused, refused.fault()),
            (UdpFailure::Refused, Fault::Peer)
        );
    });
    assert_eq!(here.usage().connections, 0);
}

#[test]
fn a_cancelled_accept_loses_no_connection() {
    let (_, here, there) = two_hosts();
    let listener = TcpListener::bind(&here, socket(0, 7), 8).unwrap();
    let net = there.clone();
    there
        .spawn(async move {
            let stream = TcpStream::connect(&net, socket(0, 7)).await.unwrap();
            assert_eq!(read_all(&stream).await, b"served");
        })
        .detach();
    here.block_on(async {
        assert!(try_once(listener.accept()).is_none());
        assert!(
            here.timeout(Duration::ZERO, listener.accept())
                .await
                .is_err()
        );
        listener.readable().await;
        let stream = listener.accept().await.unwrap();
        stream.write_all(b"served").await.unwrap();
        stream.close().await.unwrap();
    });
}

#[test]
fn a_cancelled_connect_leaves_nothing() {
    let (world, here, _there) = two_hosts();
    here.block_on(async {
        let connect = TcpStream::connect(&here, socket(9, 7));
        assert!(here.timeout(MS * 100, connect).await.is_err());
        assert_eq!(here.usage().connections, 0);
        let frames = world.waiting(1);
        here.sleep(MS * 10_000).await;
        assert_eq!(world.waiting(1), frames, "it goes on trying");
    });
}

#[test]
fn cancelled_reads_take_nothing() {
    let (_, here, there) = two_hosts();
    let sent = pattern(3, 30_000);
    let (copy, net) = (sent.clone(), there.clone());
    serve_one(&there, |stream| async move {
        for piece in copy.chunks(1_000) {
            stream.write_all(piece).await.unwrap();
            net.sleep(MS * 3).await;
        }
    });
    let (received, cancelled) = here.block_on(async {
        let mut stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
        let (mut all, mut cancelled, mut buffer) = (Vec::new(), [0; 3], [0; 700]);
        for round in 0.. {
            // Each way of reading in turn.
            let len = match round % 3 {
                0 => here.timeout(MS, stream.read(&mut buffer)).await,
                1 => {
                    let look = |data: &[u8]| {
                        let used = data.len().min(300);
                        all.extend_from_slice(&data[..used]);
                        (used, used)
                    };
                    match here.timeout(MS, stream.read_with(look)).await {
                        Ok(outcome) if outcome.unwrap() > 0 => continue,
                        other => other,
                    }
                }
                _ => match here.timeout(MS, stream.fill_buf()).await {
                    Ok(data) => {
                        let used = data.unwrap().len().min(500);
                        buffer[..used].copy_from_slice(&data.unwrap()[..used]);
                        stream.consume(used);
                        Ok(Ok(used))
                    }
                    Err(elapsed) => Err(elapsed),
                },
            };
            match len {
                Ok(Ok(0)) => break,
                Ok(Ok(len)) => all.extend_from_slice(&buffer[..len]),
                Ok(Err(error)) => panic!("{error}"),
                Err(_) => cancelled[round % 3] += 1,
            }
        }
        (all, cancelled)
    });
    assert!(received == sent, "{} bytes, or others", received.len());
    assert!(cancelled.iter().all(|count| *count > 0), "{cancelled:?}");
}

#[test]
fn a_cancelled_write_queues_nothing_and_a_cancelled_write_all_a_part() {
    let (_, here, there) = two_hosts();
    let (done, result) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(Vec::new())));
    let (go, out, net) = (Rc::clone(&done), Rc::clone(&result), there.clone());
    serve_one(&there, |stream| async move {
        while !go.get() {
            net.sleep(MS * 100).await;
        }
        out.set(read_all(&stream).await);
    });
    let data = pattern(5, 20_000_000);
    let taken = here.block_on(async {
        let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
        let mut taken = 0;
        while let Ok(len) = here.timeout(MS * 1_000, stream.write(&data[taken..])).await {
            taken += len.unwrap();
        }
        assert!(try_once(stream.write(&data[taken..])).is_none());
        done.set(true);
        stream.writable().await;
        assert!(try_once(stream.write_all(&data[taken..])).is_none());
        stream.close().await.unwrap();
        here.sleep(MS * 100).await;
        taken
    });
    let received = result.take();
    assert!(received.len() > taken, "nothing of write_all was sent");
    assert!(received.len() < data.len());
    assert!(received == data[..received.len()]);
}

#[test]
fn read_with_shows_what_was_not_used_again_and_the_end_as_nothing() {
    let (_, here, there) = two_hosts();
    serve_one(&there, |stream| async move {
        stream.write_all(b"first second").await.unwrap();
    });
    here.block_on(async {
        let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
        let look = |used| move |data: &[u8]| (used, data.to_vec());
        assert_eq!(stream.read_with(look(0)).await.unwrap(), b"first second");
        assert_eq!(stream.read_with(look(6)).await.unwrap(), b"first second");
        assert_eq!(stream.read_with(look(99)).await.unwrap(), b"second");
        assert_eq!(stream.read_with(look(0)).await.unwrap(), b"");
        assert_eq!(stream.read_with(look(9)).await.unwrap(), b"");
    });
}

#[test]
fn what_was_read_ahead_comes_first_for_every_way_of_reading() {
    let (_, here, there) = two_hosts();
    serve_one(&there, |stream| async move {
        stream.write_all(b"abcdef").await.unwrap();
    });
    here.block_on(async {
        let mut stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
        assert_eq!(stream.fill_buf().await.unwrap(), b"abcdef");
        stream.consume(1);
        let mut buffer = [0; 2];
        assert_eq!(stream.read(&mut buffer).await, Ok(2));
        assert_eq!(&buffer, b"bc");
        let seen = stream.read_with(|data| (1, data.to_vec())).await.unwrap();
        assert_eq!(seen, b"def");
        assert!(try_once(stream.readable()).is_some());
        assert_eq!(stream.fill_buf().await.unwrap(), b"ef");
        stream.consume(99);
        assert_eq!(stream.fill_buf().await.unwrap(), b"", "the end");
    });
}

#[test]
fn close_waits_for_the_peer_and_a_timeout_ends_the_waiting() {
    let (world, here, there) = two_hosts();
    serve_one(&there, |stream| async move {
        read_all(&stream).await;
        std::future::pending().await
    });
    here.block_on(async {
        let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        stream.close().await.unwrap();
        there.step_tasks(world.now());
        here.run(async {});
    });
    there.run(async {});

    let (world, here, there) = two_hosts();
    serve_one(
        &there,
        |stream| async move { read_all(&stream).await.clear() },
    );
    here.block_on(async {
        let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
        world.unplugged.set(true);
        stream.write_all(b"x").await.unwrap();
        assert!(here.timeout(MS * 1_000, stream.close()).await.is_err());
        // It goes on in the background.
        assert_eq!((here.usage().connections, here.usage().orphaned), (1, 1));
        world.unplugged.set(false);
        here.sleep(MS * 60_000).await;
        assert_eq!(here.usage().orphaned, 0);
    });
    assert_eq!(there.usage().connections, 0);
}

#[test]
fn dropped_streams_close_with_the_task_that_has_them() {
    let (_, here, there) = two_hosts();
    serve_echo(&there);
    here.block_on(async {
        let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
        let reading = here.spawn(async move { stream.read(&mut [0]).await });
        here.sleep(MS).await;
        assert_eq!(there.usage().connections, 1);
        drop(reading);
        here.sleep(MS * 1_000).await;
        assert_eq!(
            (here.usage().connections, there.usage().connections),
            (0, 0)
        );
    });
}

#[test]
fn datagrams_come_back_and_a_cancelled_receive_loses_none() {
    let (_, here, there) = two_hosts();
    let (server, net) = (
        UdpSocket::bind(&there, socket(1, 7)).unwrap(),
        there.clone(),
    );
    there
        .spawn(async move {
            let mut buffer = [0; 2_000];
            while let Ok(received) = server.recv_from(&mut buffer).await {
                net.sleep(MS * 2).await;
                let data = &buffer[..received.len];
                server.send_to(data, received.remote).await.unwrap();
            }
        })
        .detach();
    here.block_on(async {
        let udp = UdpSocket::bind(&here, socket(0, 0)).unwrap();
        let mut buffer = [0; 1_000];
        for len in [0, 1, 1_400] {
            let sent = pattern(1, len);
            udp.send_to(&sent, socket(1, 7)).await.unwrap();
            assert!(here.timeout(MS, udp.recv_from(&mut buffer)).await.is_err());
            udp.readable().await;
            let received = udp.recv_from(&mut buffer).await.unwrap();
            assert_eq!(
                (received.datagram_len, received.remote),
                (len, socket(1, 7))
            );
            assert_eq!(buffer[..received.len], sent[..received.len]);
        }
    });
}

#[test]
fn datagrams_are_written_and_read_in_place_and_only_the_peer_is_heard() {
    let (_, here, there) = two_hosts();
    let server = UdpSocket::bind(&there, socket(1, 7)).unwrap();
    let stranger = UdpSocket::bind(&there, socket(1, 8)).unwrap();
    there
        .spawn(async move {
            let (len, remote) = server
                .recv_with(|datagram| (datagram.data.len(), datagram.info.remote))
                .await
                .unwrap();
            stranger.send_to(b"not asked", remote).await.unwrap();
            let write = |place: &mut [u8]| {
                place[..len].fill(b'!');
                len
            };
            server.send_with(100, Some(remote), write).await.unwrap();
        })
        .detach();
    here.block_on(async {
        let udp = UdpSocket::bind(&here, socket(0, 0)).unwrap();
        assert_eq!(udp.send(b"x").await, Err(UdpFailure::NotConnected));
        udp.connect(socket(1, 7)).unwrap();
        udp.send(b"question").await.unwrap();
        let mut buffer = [0; 100];
        assert_eq!(udp.recv(&mut buffer).await, Ok(8));
        assert_eq!(&buffer[..8], b"!!!!!!!!");
    });
}

#[test]
fn a_sender_waits_for_free_frames() {
    let (_, here, there) = two_hosts();
    let received = Rc::new(Cell::new(0));
    let (count, server) = (
        Rc::clone(&received),
        UdpSocket::bind(&there, socket(1, 7)).unwrap(),
    );
    there
        .spawn(async move {
            while server.recv_from(&mut [0; 10]).await.is_ok() {
                count.set(count.get() + 1);
            }
        })
        .detach();
    here.block_on(async {
        let udp = UdpSocket::bind(&here, socket(0, 0)).unwrap();
        udp.send_to(b"hello", socket(1, 7)).await.unwrap();
        here.sleep(MS * 10).await;
        assert_eq!(received.take(), 1);
        let mut waited = 0;
        for _ in 0..10_000 {
            if let Some(sent) = try_once(udp.send_to(b"x", socket(1, 7))) {
                sent.unwrap();
            } else {
                waited += 1;
                udp.send_to(b"x", socket(1, 7)).await.unwrap();
            }
        }
        assert!(waited > 0, "10,000 datagrams fit 4 MiB");
        here.sleep(MS * 10).await;
        assert!(received.get() > 0);
    });
}

/// The traits of other crates, used as a program would that knows nothing of this one.
mod traits {
    use super::*;

    async fn echo_some<S>(mut stream: S) -> Result<usize, S::Error>
    where
        S: embedded_io_async::BufRead + embedded_io_async::Write,
    {
        let mut total = 0;
        loop {
            let len = stream.fill_buf().await?.len();
            if len == 0 {
                return Ok(total);
            }
            let mut buffer = [0; 100];
            let len = stream.read(&mut buffer).await?;
            stream.write_all(&buffer[..len]).await?;
            stream.flush().await?;
            total += len;
        }
    }

    /// Asks `question` of an echo server and wants it back.
    async fn ask<S>(mut stream: S, question: &[u8])
    where
        S: embedded_io_async::Read + embedded_io_async::Write,
    {
        stream.write_all(question).await.unwrap();
        let mut answer = vec![0; question.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, question);
    }

    #[test]
    fn embedded_io_async_reads_ahead_and_writes() {
        let (_, here, there) = two_hosts();
        serve_one(&there, |stream| async move {
            assert_eq!(echo_some(stream).await.unwrap(), 5_000);
        });
        here.block_on(async {
            let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
            // Two borrowed readers and writers of one stream.
            ask(&stream, &pattern(0, 2_000)).await;
            ask(stream, &pattern(0, 3_000)).await;
            here.sleep(MS * 100).await;
        });
        assert_eq!(there.usage().connections, 0);
    }

    #[test]
    fn embedded_io_of_blocking_sockets() {
        use embedded_io::{Error, ErrorKind, Read, Write};
        let (_, here, there) = two_hosts();
        serve_one(&there, echo);
        let mut stream = here.connect(socket(1, 7)).unwrap();
        Write::write_all(&mut stream, b"hello").unwrap();
        let mut answer = [0; 5];
        Read::read_exact(&mut stream, &mut answer).unwrap();
        assert_eq!(&answer, b"hello");
        stream.set_read_timeout(Some(MS));
        let error = Read::read(&mut stream, &mut answer).unwrap_err();
        assert_eq!(
            (error, error.kind()),
            (TcpFailure::TimeOver, ErrorKind::TimedOut)
        );
    }

    #[test]
    fn embedded_nal_connects() {
        async fn client<N: embedded_nal_async::TcpConnect>(net: &N) {
            ask(net.connect(socket(1, 7)).await.unwrap(), b"question").await;
        }
        let (_, here, there) = two_hosts();
        serve_echo(&there);
        here.block_on(client(&here));
    }

    #[test]
    fn embedded_nal_exchanges_datagrams() {
        use embedded_nal_async::{ConnectedUdp, UdpStack, UnconnectedUdp};

        async fn serve<N: UdpStack>(net: N) {
            let any = "0.0.0.0:7".parse().unwrap();
            let mut udp = net.bind_multiple(any).await.unwrap();
            let mut buffer = [0; 3];
            let (len, local, remote) = udp.receive_into(&mut buffer).await.unwrap();
            assert_eq!((len, local), (8, socket(1, 7)));
            udp.send(local, remote, &buffer).await.unwrap();
        }

        async fn ask<N: UdpStack>(net: &N) {
            let (local, mut udp) = net.connect(socket(1, 7)).await.unwrap();
            assert_ne!(local.port(), 0);
            udp.send(b"question").await.unwrap();
            let mut buffer = [0; 10];
            assert_eq!(udp.receive_into(&mut buffer).await.unwrap(), 3);
            assert_eq!(&buffer[..3], b"que");
        }

        let (_, here, there) = two_hosts();
        there.spawn(serve(there.clone())).detach();
        here.block_on(ask(&here));
    }

    #[test]
    fn edge_nal_binds_accepts_splits_and_closes() {
        use edge_nal::{Close, Readable, TcpAccept, TcpBind, TcpConnect, TcpShutdown, TcpSplit};
        use embedded_io_async::{Error, ErrorKind, Read, Write};

        async fn server<N: TcpBind>(net: N) {
            let acceptor = net.bind(socket(1, 7)).await.unwrap();
            let (peer, mut stream) = acceptor.accept().await.unwrap();
            assert_eq!(peer.ip(), common::address(0));
            stream.readable().await.unwrap();
            let (mut reader, mut writer) = stream.split();
            let mut buffer = [0; 100];
            reader.readable().await.unwrap();
            while let len @ 1.. = reader.read(&mut buffer).await.unwrap() {
                writer.write_all(&buffer[..len]).await.unwrap();
            }
            drop((reader, writer));
            stream.close(Close::Both).await.unwrap();
        }

        async fn client<N: TcpConnect>(net: &N) {
            let mut stream = net.connect(socket(1, 7)).await.unwrap();
            ask(&mut stream, b"question").await;
            stream.close(Close::Write).await.unwrap();
            stream.close(Close::Read).await.unwrap();
            stream.abort().await.unwrap();
            let error = stream.read(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotConnected);
        }

        let (_, here, there) = two_hosts();
        let serving = there.spawn(server(there.clone()));
        here.block_on(client(&here));
        here.block_on(here.sleep(MS));
        assert!(serving.is_finished());
    }

    #[test]
    fn edge_nal_exchanges_datagrams() {
        use edge_nal::{Readable, UdpBind, UdpConnect, UdpReceive, UdpSend, UdpSplit};

        async fn serve<N: UdpBind>(net: N) {
            let mut udp = net.bind(socket(1, 7)).await.unwrap();
            let (mut receiver, mut sender) = udp.split();
            let mut buffer = [0; 10];
            receiver.readable().await.unwrap();
            let (len, remote) = receiver.receive(&mut buffer).await.unwrap();
            sender.send(remote, &buffer[..len]).await.unwrap();
        }

        async fn ask<N: UdpConnect>(net: &N) {
            let any = "0.0.0.0:0".parse().unwrap();
            let mut udp = net.connect(any, socket(1, 7)).await.unwrap();
            // Of a connected socket, the destination is of no interest.
            udp.send(socket(9, 9), b"hello").await.unwrap();
            let mut buffer = [0; 10];
            let received = udp.receive(&mut buffer).await.unwrap();
            assert_eq!((received, &buffer[..5]), ((5, socket(1, 7)), &b"hello"[..]));
        }

        let (_, here, there) = two_hosts();
        there.spawn(serve(there.clone())).detach();
        here.block_on(ask(&here));
    }

    #[test]
    fn edge_nal_joins_groups() {
        use edge_nal::{MulticastV4, UdpBind, UdpReceive, UdpSend, UdpSplitMulticast};
        use embedded_io_async::{Error, ErrorKind};
        use std::net::{IpAddr, Ipv4Addr};

        const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

        async fn hear<N: UdpBind>(net: N) {
            let mut udp = net.bind("0.0.0.0:7".parse().unwrap()).await.unwrap();
            let IpAddr::V4(ours) = common::address(1) else {
                panic!("no address of IPv4");
            };
            let (mut receiver, mut sender, mut groups, _) = udp.split_multicast();
            let error = groups.join_v4(GROUP, GROUP).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
            groups.join_v4(GROUP, ours).await.unwrap();
            let (len, remote) = receiver.receive(&mut [0; 10]).await.unwrap();
            groups.leave_v4(GROUP, ours).await.unwrap();
            sender.send(remote, &[b'!'; 10][..len]).await.unwrap();
        }

        async fn speak<N: UdpBind>(net: &N) {
            let mut udp = net.bind(socket(0, 0)).await.unwrap();
            udp.send((GROUP, 7).into(), b"hello").await.unwrap();
            let mut buffer = [0; 10];
            let received = udp.receive(&mut buffer).await.unwrap();
            assert_eq!((received, &buffer[..5]), ((5, socket(1, 7)), &b"!!!!!"[..]));
        }

        let (_, here, there) = two_hosts();
        there.spawn(hear(there.clone())).detach();
        here.block_on(async {
            here.sleep(MS).await;
            speak(&here).await;
        });
    }
}

/// Keeps the futures of this crate usable in a list.
#[test]
fn futures_can_be_boxed_and_kept_in_a_list() {
    let (_, here, there) = two_hosts();
    serve_echo(&there);
    here.block_on(async {
        let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
        let futures: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![
            Box::pin(stream.readable()),
            Box::pin(here.sleep(MS)),
            Box::pin(yield_now()),
        ];
        let mut futures = futures.into_iter();
        // The first is dropped while it waits, and the others are done.
        assert!(try_once(futures.next().unwrap()).is_none());
        for future in futures {
            future.await;
        }
    });
}
