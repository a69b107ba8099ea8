//! Tasks, timers and the loop that runs them, on two hosts joined by a cable, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use common::{Side, World, net, socket};
use embassy_futures::join::join;
use embassy_futures::select::{Either, select};
use mnet::Net;
use mnet::aio::{TcpListener, TcpStream, UdpSocket};
use mnet::tasks::{Elapsed, yield_now};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Lets the tasks of host 1 run whenever host 0 sleeps.
fn run_tasks_of_peer(world: &Rc<World>, peer: &Net<Side>) {
    let (clock, peer) = (Rc::downgrade(world), peer.clone());
    world.peer(move || peer.step_tasks(clock.upgrade().unwrap().now()));
}

/// Two hosts; host 1 runs its tasks.
fn two_hosts() -> (Rc<World>, Net<Side>, Net<Side>) {
    let world = World::new();
    let (here, there) = (net(&world, 0), net(&world, 1));
    run_tasks_of_peer(&world, &there);
    (world, here, there)
}

/// Counts how often a future is polled.
struct Counted<F>(F, Rc<Cell<usize>>);

impl<F: Future + Unpin> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.set(self.1.get() + 1);
        Pin::new(&mut self.0).poll(cx)
    }
}

/// A future that is never ready, and says when it is dropped.
fn pending_until_dropped(dropped: &Rc<Cell<usize>>) -> impl Future<Output = ()> + use<> {
    struct Guard(Rc<Cell<usize>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let guard = Guard(Rc::clone(dropped));
    async move {
        let _guard = guard;
        std::future::pending().await
    }
}

#[test]
fn sleepers_wake_in_the_order_of_their_time_neither_early_nor_late() {
    let (world, net, _) = two_hosts();
    let start = world.now();
    let log = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = [30, 10, 20, 10, 0]
        .into_iter()
        .enumerate()
        .map(|(place, millis)| {
            let (net, log, world) = (net.clone(), Rc::clone(&log), Rc::clone(&world));
            net.clone().spawn(async move {
                net.sleep(ms(millis)).await;
                log.borrow_mut().push((place, world.now() - start));
            })
        })
        .collect();
    net.block_on(async {
        for task in tasks {
            task.await;
        }
    });
    let expected = [(4, 0), (1, 10), (3, 10), (2, 20), (0, 30)].map(|(p, t)| (p, ms(t)));
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_deadline_that_has_passed_does_not_wait() {
    let (world, net, _) = two_hosts();
    let start = world.now();
    net.block_on(async {
        net.sleep_until(start).await;
        net.sleep(Duration::ZERO).await;
    });
    assert_eq!(world.now(), start);
    assert_eq!(net.runtime_counters().sleeps, 0);
}

#[test]
#[should_panic(expected = "both hosts would sleep for ever")]
fn a_sleep_that_was_dropped_wakes_nobody() {
    let (world, net, _) = two_hosts();
    let start = world.now();
    net.block_on(async {
        let first = select(net.sleep(ms(1)), net.sleep(ms(100))).await;
        assert!(matches!(first, Either::First(())));
    });
    assert_eq!(world.now(), start + ms(1));
    // Nothing is due any more: the cable's check is what ends this.
    net.block_on(std::future::pending::<()>());
}

#[test]
fn a_timeout_drops_what_was_too_slow_and_counts_what_was_not() {
    let (world, net, _) = two_hosts();
    let start = world.now();
    let dropped = Rc::default();
    let outcome = net.block_on(net.timeout(ms(50), pending_until_dropped(&dropped)));
    assert_eq!((outcome, dropped.get()), (Err(Elapsed), 1));
    assert_eq!(world.now(), start + ms(50));
    // Both are due at the same time.
    let outcome = net.block_on(net.timeout(ms(50), net.sleep(ms(50))));
    assert_eq!(outcome, Ok(()));
}

#[test]
fn dropping_a_handle_cancels_and_detaching_does_not() {
    let (_, net, _) = two_hosts();
    let dropped = Rc::default();
    let done = Rc::new(Cell::new(false));
    let task = net.spawn(pending_until_dropped(&dropped));
    let detached = {
        let (net, done) = (net.clone(), Rc::clone(&done));
        async move {
            net.sleep(ms(5)).await;
            done.set(true);
        }
    };
    net.spawn(detached).detach();
    net.block_on(yield_now());
    assert_eq!(dropped.get(), 0);
    drop(task);
    net.block_on(net.sleep(ms(10)));
    assert_eq!(dropped.get(), 1);
    assert!(done.get());
}

#[test]
fn cancelling_waits_until_the_future_is_gone_and_gives_what_was_done() {
    let (_, net, _) = two_hosts();
    let dropped = Rc::default();
    let endless = net.spawn(pending_until_dropped(&dropped));
    let finished = net.spawn(async { 7 });
    net.block_on(async {
        yield_now().await;
        assert!(finished.is_finished() && !endless.is_finished());
        assert_eq!(finished.cancel().await, Some(7));
        assert_eq!(endless.cancel().await, None);
        assert_eq!(dropped.get(), 1);
    });
}

#[test]
fn tasks_start_tasks_and_hand_results_back() {
    let (_, net, _) = two_hosts();
    let sum = {
        let net = net.clone();
        net.clone().spawn(async move {
            let tasks: Vec<_> = (0..10_000_u64)
                .map(|number| net.spawn(async move { number }))
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await;
            }
            sum
        })
    };
    assert_eq!(net.block_on(sum), 9_999 * 10_000 / 2);
}

#[test]
fn the_end_of_run_cancels_every_task_and_closes_its_sockets() {
    let (_, net, _) = two_hosts();
    let dropped = Rc::default();
    let udp = UdpSocket::bind(&net, socket(0, 9)).unwrap();
    net.spawn(async move { udp.recv_from(&mut []).await.map(drop) })
        .detach();
    net.spawn(pending_until_dropped(&dropped)).detach();
    // One that never ran.
    let late = pending_until_dropped(&dropped);
    net.run(async {
        yield_now().await;
        net.spawn(late).detach();
    });
    assert_eq!(dropped.get(), 2);
    assert_eq!(net.usage().udp_sockets, 0);
    // The runtime is as good as new.
    assert_eq!(net.run(net.spawn(async { 1 })), 1);
}

#[test]
fn tasks_without_a_socket_end_with_the_runtime() {
    let (world, net, _) = two_hosts();
    let dropped = Rc::default();
    net.spawn(pending_until_dropped(&dropped)).detach();
    net.block_on(yield_now());
    drop(net);
    assert_eq!(dropped.get(), 1);
    drop(world);
}

#[test]
fn what_was_queued_is_sent_before_block_on_returns() {
    let (world, net, _) = two_hosts();
    let udp = UdpSocket::bind(&net, socket(0, 9)).unwrap();
    net.flush();
    world.lose_all();
    net.block_on(udp.send_to(b"x", socket(1, 9))).unwrap();
    // The question for the neighbour's address.
    assert_eq!(world.waiting(1), 1);
}

#[test]
fn a_task_that_is_always_ready_lets_frames_and_others_in() {
    let (world, here, there) = two_hosts();
    let received = Rc::new(Cell::new(0));
    let udp = UdpSocket::bind(&here, socket(0, 9)).unwrap();
    let count = Rc::clone(&received);
    here.spawn(async move {
        while udp.recv_from(&mut [0; 10]).await.is_ok() {
            count.set(count.get() + 1);
        }
    })
    .detach();
    let sender = UdpSocket::bind(&there, socket(1, 9)).unwrap();
    there
        .spawn(async move {
            // Few enough for the queue of a neighbour who is asked for his address.
            for _ in 0..3 {
                sender.send_to(b"x", socket(0, 9)).await.unwrap();
            }
        })
        .detach();
    let sleeps = here.runtime_counters().sleeps;
    here.block_on(async {
        let mut rounds = 0;
        while received.get() < 3 {
            // The peer has to be moved by hand: nobody sleeps here.
            there.step_tasks(world.now());
            yield_now().await;
            rounds += 1;
            assert!(rounds < 1_000, "no frame came in");
        }
    });
    assert_eq!(here.runtime_counters().sleeps, sleeps);
}

#[test]
fn a_flood_of_frames_lets_tasks_run_after_each_batch() {
    let (world, here, there) = two_hosts();
    let udp = UdpSocket::bind(&here, socket(0, 9)).unwrap();
    let sender = UdpSocket::bind(&there, socket(1, 9)).unwrap();
    here.block_on(async {
        // The neighbours get to know each other.
        there.block_on(async { sender.send_to(b"hello", socket(0, 9)).await.unwrap() });
        udp.recv_from(&mut [0; 10]).await.unwrap();
        for _ in 0..640 {
            sender.socket().try_send_to(b"x", socket(0, 9)).unwrap();
        }
        there.flush();
        assert_eq!(world.waiting(0), 640);
        let mut rounds = 0;
        while world.waiting(0) > 0 {
            yield_now().await;
            rounds += 1;
        }
        assert_eq!(rounds, 10, "64 frames at a time");
    });
}

#[test]
fn an_event_polls_the_tasks_of_its_socket_and_no_other() {
    let (_, here, there) = two_hosts();
    let listener = TcpListener::bind(&there, socket(1, 7), 100).unwrap();
    let server = there.clone();
    there
        .spawn(async move {
            let mut streams = Vec::new();
            for _ in 0..100 {
                streams.push(listener.accept().await.unwrap());
            }
            server.sleep(ms(100)).await;
            streams[42].write_all(b"x").await.unwrap();
            // The others stay open.
            std::future::pending::<()>().await;
        })
        .detach();
    let polls = here.block_on(async {
        let mut polls = Vec::new();
        for place in 0..100 {
            let stream = TcpStream::connect(&here, socket(1, 7)).await.unwrap();
            let count = Rc::new(Cell::new(0));
            polls.push(Rc::clone(&count));
            let reads = async move { assert_eq!(stream.read(&mut [0; 9]).await, Ok(1), "{place}") };
            here.spawn(Counted(Box::pin(reads), count)).detach();
        }
        here.sleep(ms(50)).await;
        polls.iter().for_each(|count| assert_eq!(count.take(), 1));
        here.sleep(ms(100)).await;
        polls
    });
    let polled: Vec<_> = (0..100).filter(|place| polls[*place].get() > 0).collect();
    assert_eq!(polled, [42]);
    assert_eq!(polls[42].get(), 1);
    here.run(async {});
}

#[test]
fn combinators_of_other_crates_work() {
    use futures_lite::future::{or, zip};
    let (world, net, _) = two_hosts();
    let start = world.now();
    net.block_on(async {
        join(net.sleep(ms(10)), net.sleep(ms(20))).await;
        zip(net.sleep(ms(10)), net.sleep(ms(20))).await;
        or(net.sleep(ms(10)), net.sleep(ms(20))).await;
    });
    assert_eq!(world.now(), start + ms(50));
}

#[test]
fn a_waker_may_be_used_on_another_thread() {
    let (_, net, _) = two_hosts();
    let task = net.spawn(async {
        let mut started = false;
        poll_fn(|cx| {
            if started {
                return Poll::Ready(());
            }
            started = true;
            let waker = cx.waker().clone();
            std::thread::spawn(move || waker.wake()).join().unwrap();
            Poll::Pending
        })
        .await;
    });
    net.block_on(task);
}

#[test]
fn waiting_inside_a_task_lets_the_others_run() {
    let (_, net, _) = two_hosts();
    let inner = net.clone();
    let other = net.spawn(async { 5 });
    let outer = net.spawn(async move { inner.block_on(other) });
    assert_eq!(net.block_on(outer), 5);
}
