//! Fibers as C uses them: turns, waiting, sockets, other stacks.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes and lengths of a test, some of them on their way through a pointer"
)]

mod common;

use std::cell::{Cell, RefCell};
use std::ptr;
use std::rc::Rc;

use common::fibers::{SIZE, go, join, none, spawn};
use common::pair::{Pair, exchange, read, write};
use common::{Memory, World, address, config, manual_config, name, open, pump};
use mnet_ffi::*;

const MS: u64 = 1_000_000;
const MS_I: i64 = 1_000_000;

fn connect(stack: mnet_stack) -> mnet_fd {
    let remote = address("10.0.0.2:7");
    unsafe { mnet_connect(stack, &raw const remote, ptr::null(), 0) }
}

/// What fibers of a test write down.
type Log = Rc<RefCell<Vec<String>>>;

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.borrow_mut())
}

#[test]
fn fibers_take_turns_and_join_gives_their_results() {
    let pair = Pair::with_fibers(0, 64);
    let log = Log::default();
    let fibers: Vec<_> = (1..=3_usize)
        .map(|number| {
            let (log, stack) = (log.clone(), pair.stack);
            spawn(stack, move || {
                for round in 0..2 {
                    log.borrow_mut().push(format!("{number}.{round}"));
                    assert_eq!(mnet_yield(stack), 0);
                }
                number * 10
            })
        })
        .collect();
    assert!(log.borrow().is_empty(), "nobody runs before somebody waits");
    let results: Vec<_> = fibers.iter().map(|fiber| join(*fiber)).collect();
    assert_eq!(results, [10, 20, 30]);
    assert_eq!(taken(&log), ["1.0", "2.0", "3.0", "1.1", "2.1", "3.1"]);
}

#[test]
fn a_fiber_knows_itself_and_the_program_is_none() {
    let pair = Pair::with_fibers(0, 64);
    assert_eq!(mnet_self(), 0);
    let seen = Rc::new(Cell::new(0));
    let fiber = go(pair.stack, {
        let seen = seen.clone();
        move || seen.set(mnet_self())
    });
    join(fiber);
    assert_eq!(seen.get(), fiber);
    assert_eq!(mnet_self(), 0);
}

#[test]
fn calls_that_wait_let_the_others_run() {
    let pair = Pair::with_fibers(0, 64);
    let log = Log::default();
    let stack = pair.stack;
    let sleeper = go(stack, {
        let log = log.clone();
        move || {
            assert_eq!(mnet_sleep(stack, 500 * MS), 0);
            log.borrow_mut().push("awake".into());
        }
    });
    let clients: Vec<_> = (0..5_u8)
        .map(|number| {
            let log = log.clone();
            go(stack, move || {
                let fd = connect(stack);
                assert!(fd > 0, "{}", name(fd));
                for round in 0..3 {
                    let data = vec![number * 16 + round; 3_000];
                    assert!(exchange(fd, &data) == data);
                }
                log.borrow_mut().push(format!("served {number}"));
                mnet_close(fd);
            })
        })
        .collect();
    for client in clients {
        join(client);
    }
    let served = taken(&log);
    assert_eq!(served.len(), 5, "{served:?}: nobody waits for the sleeper");
    join(sleeper);
    assert_eq!(taken(&log), ["awake"]);
}

#[test]
fn a_server_has_a_fiber_for_each_client() {
    const CLIENTS: usize = 200;
    /// Each block has some bytes of the heap's around it.
    const FIBERS: usize = CLIENTS * (SIZE + 64) + 4_096;
    let world = World::new();
    let mut memory = [
        Memory::new((8 << 20) + FIBERS),
        Memory::new((8 << 20) + FIBERS),
    ];
    let mut config = config(&mut memory[0], 1);
    config.fiber_memory = FIBERS;
    let server = open(&config);
    let mut config = manual_config(&mut memory[1], 2);
    config.fiber_memory = FIBERS;
    let clients = open(&config);
    let done = Rc::new(Cell::new(0));
    // The clients are fibers as well, of a stack that is driven from outside.
    for number in 0..CLIENTS {
        let done = done.clone();
        let fiber = go(clients, move || {
            let remote = address("10.0.0.1:7");
            let fd = unsafe { mnet_connect(clients, &raw const remote, ptr::null(), 0) };
            assert!(fd > 0, "{}", name(fd));
            assert_eq!(mnet_set_nonblocking(fd, 0), 0);
            let data = vec![number as u8; 5_000];
            assert!(exchange(fd, &data) == data);
            assert_eq!(mnet_shutdown(fd, MNET_SHUT_WR), 0);
            assert_eq!(read(fd, &mut [0; 9]), 0, "the server has closed");
            mnet_close(fd);
            done.set(done.get() + 1);
        });
        assert_eq!(mnet_detach(fiber), 0);
    }
    world.peer(move |now| pump(clients, now));
    let local = address("10.0.0.1:7");
    let listener = unsafe { mnet_listen(server, &raw const local, 512) };
    for _ in 0..CLIENTS {
        let fd = unsafe { mnet_accept(listener, ptr::null_mut()) };
        assert!(fd > 0, "{}", name(fd));
        let fiber = go(server, move || {
            let mut buffer = [0; 700];
            loop {
                let len = read(fd, &mut buffer);
                if len <= 0 {
                    assert_eq!(len, 0);
                    break;
                }
                assert_eq!(write(fd, &buffer[..len as usize]), len);
            }
            assert_eq!(mnet_close(fd), 0);
        });
        assert_eq!(mnet_detach(fiber), 0);
    }
    for _ in 0..10_000 {
        if done.get() == CLIENTS {
            break;
        }
        assert_eq!(mnet_sleep(server, MS), 0);
    }
    assert_eq!(done.get(), CLIENTS);
    assert_eq!(mnet_cancel_all(server, -1), 0);
    world.peer(|_| u64::MAX);
    assert_eq!(
        (mnet_close_stack(server), mnet_close_stack(clients)),
        (0, 0)
    );
}

#[test]
fn sleepers_wake_in_the_order_of_their_times() {
    let pair = Pair::with_fibers(0, 64);
    let (log, stack) = (Log::default(), pair.stack);
    pair.world.peer(|_| u64::MAX);
    let start = mnet_now();
    let fibers: Vec<_> = [30, 10, 20, 10]
        .into_iter()
        .map(|ms| {
            let log = log.clone();
            go(stack, move || {
                assert_eq!(mnet_sleep(stack, ms * MS), 0);
                log.borrow_mut()
                    .push(format!("{ms} at {}", (mnet_now() - start) / MS));
            })
        })
        .collect();
    for fiber in fibers {
        join(fiber);
    }
    assert_eq!(
        taken(&log),
        ["10 at 10", "10 at 10", "20 at 20", "30 at 30"]
    );
}

#[test]
fn waiting_for_a_fiber_has_a_time() {
    let pair = Pair::with_fibers(0, 64);
    let stack = pair.stack;
    let fiber = spawn(stack, move || {
        mnet_sleep(stack, 100 * MS);
        7
    });
    let mut result = ptr::null_mut();
    let start = mnet_now();
    assert_eq!(unsafe { mnet_join(fiber, &raw mut result, 0) }, MNET_EAGAIN);
    assert_eq!(mnet_now(), start);
    let status = unsafe { mnet_join(fiber, &raw mut result, 30 * MS_I) };
    assert_eq!((status, result), (MNET_EAGAIN, ptr::null_mut()));
    assert_eq!((mnet_now() - start) / MS, 30);
    assert_eq!(join(fiber), 7);
    assert_eq!((mnet_now() - start) / MS, 100);
}

#[test]
fn a_socket_that_may_wait_for_so_long_only_says_so_in_a_fiber_too() {
    let pair = Pair::with_fibers(0, 64);
    let stack = pair.stack;
    let fiber = go(stack, move || {
        let fd = connect(stack);
        assert_eq!(mnet_set_timeout(fd, MNET_READABLE, 50 * MS), 0);
        let start = mnet_now();
        assert_eq!(name(read(fd, &mut [0; 9])), "MNET_EAGAIN");
        assert_eq!((mnet_now() - start) / MS, 50);
        mnet_close(fd);
    });
    join(fiber);
}

#[test]
fn waiting_for_what_cannot_come_is_a_deadlock() {
    let pair = Pair::with_fibers(0, 64);
    let stack = pair.stack;
    let itself = spawn(stack, move || unsafe {
        mnet_join(mnet_self(), ptr::null_mut(), -1) as usize
    });
    assert_eq!(join(itself) as i32, MNET_EDEADLK);

    let channel = unsafe { mnet_channel_open(stack, 0, 1, ptr::null_mut(), 0) };
    let receive = move |time| unsafe { mnet_channel_receive(channel, ptr::null_mut(), time) };
    let stuck = spawn(stack, move || receive(-1) as usize);
    let joiner = go(stack, move || {
        unsafe { mnet_join(stuck, ptr::null_mut(), -1) };
    });
    assert_eq!(
        unsafe { mnet_join(joiner, ptr::null_mut(), -1) },
        MNET_EDEADLK
    );
    assert_eq!(receive(-1), MNET_EDEADLK);
    // With a time it is none, and neither while a fiber waits for the network or for a time.
    assert_eq!(receive(10 * MS_I), MNET_EAGAIN);
    let savior = go(stack, move || {
        mnet_sleep(stack, 10 * MS);
        assert_eq!(unsafe { mnet_channel_send(channel, ptr::null(), 0) }, 0);
    });
    assert_eq!(unsafe { mnet_join(joiner, ptr::null_mut(), -1) }, 0);
    join(savior);
    let fd = pair.connect();
    let listening = go(stack, move || {
        assert_eq!(read(fd, &mut [0; 5]), 5);
        assert_eq!(unsafe { mnet_channel_send(channel, ptr::null(), 0) }, 0);
    });
    assert_eq!(write(fd, b"hello"), 5);
    assert_eq!(receive(-1), 0);
    join(listening);
}

#[test]
fn a_call_from_within_a_call_is_still_refused() {
    let pair = Pair::with_fibers(0, 64);
    let stack = pair.stack;
    let (seen, server) = (Rc::new(Cell::new(0)), pair.server);
    let fiber = go(stack, move || {
        mnet_sleep(stack, 5 * MS);
    });
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    pair.world.peer({
        let counter = counter.clone();
        move |now| {
            // Whoever turned the loop sleeps, with the stack entered.
            assert_eq!(mnet_yield(stack), MNET_EBUSY);
            assert_eq!(mnet_cancel(fiber), MNET_EBUSY);
            assert_eq!(unsafe { mnet_join(fiber, ptr::null_mut(), 0) }, MNET_EBUSY);
            let spawned =
                unsafe { mnet_spawn(stack, Some(none), ptr::null_mut(), ptr::null_mut(), SIZE) };
            assert_eq!(name(spawned), "MNET_EBUSY");
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            pump(server, now)
        }
    });
    join(fiber);
    assert!(counter.load(std::sync::atomic::Ordering::Relaxed) > 0);
    seen.set(1);
}

#[test]
fn who_waits_for_a_socket_that_is_closed_hears_of_it() {
    let pair = Pair::with_fibers(0, 64);
    let stack = pair.stack;
    let (fd, other) = (pair.connect(), pair.connect());
    let waiting = spawn(stack, move || read(fd, &mut [0; 9]) as usize);
    let switched = spawn(stack, move || read(other, &mut [0; 9]) as usize);
    assert_eq!(mnet_yield(stack), 0);
    assert_eq!(mnet_close(fd), 0);
    assert_eq!(mnet_set_nonblocking(other, 1), 0);
    assert_eq!(name(join(waiting) as i64), "MNET_EBADF");
    assert_eq!(name(join(switched) as i64), "MNET_EAGAIN");
}

#[test]
fn who_polls_a_socket_that_is_closed_hears_of_it_at_once() {
    let pair = Pair::with_fibers(0, 64);
    let stack = pair.stack;
    let local = address("10.0.0.1:80");
    let udp = unsafe { mnet_udp_bind(stack, &raw const local) };
    let fiber = spawn(stack, move || {
        let (events, revents) = (MNET_READABLE, 0);
        let fd = udp;
        let mut entry = mnet_pollfd {
            fd,
            events,
            revents,
        };
        assert_eq!(unsafe { mnet_poll(stack, &raw mut entry, 1, -1) }, 1);
        entry.revents as usize
    });
    let closer = go(stack, move || {
        assert_eq!(mnet_sleep(stack, 20 * MS), 0);
        assert_eq!(mnet_close(udp), 0);
    });
    let start = mnet_now();
    assert_eq!(join(fiber), MNET_INVALID as usize);
    assert_eq!((mnet_now() - start) / MS, 20);
    join(closer);
}

#[test]
fn events_are_for_those_who_ask_and_for_sockets_that_do_not_wait() {
    let pair = Pair::with_fibers(0, 64);
    let stack = pair.stack;
    let (blocking, free) = (pair.connect(), pair.connect());
    assert_eq!(mnet_set_nonblocking(free, 1), 0);
    let mut events = [mnet_event {
        fd: 0,
        ready: 0,
        reserved: 0,
    }; 8];
    let mut ask = |time: i64| {
        let count = unsafe { mnet_events(stack, events.as_mut_ptr(), 8, time) };
        let count = usize::try_from(count).unwrap();
        events[..count]
            .iter()
            .map(|event| event.fd)
            .collect::<Vec<_>>()
    };
    let reader = go(stack, move || {
        assert_eq!(exchange(blocking, b"for the fiber"), b"for the fiber");
    });
    ask(0);
    assert_eq!(write(free, b"for the program"), 15);
    // What comes while somebody else waits is kept.
    join(reader);
    assert_eq!(mnet_sleep(stack, 20 * MS), 0);
    assert_eq!(ask(0), [free]);
    assert_eq!(ask(10 * MS_I), []);
    let mut buffer = [0; 20];
    assert_eq!(read(free, &mut buffer), 15);

    // A fiber may ask as well, and only it waits.
    let asking = go(stack, move || {
        let mut event = mnet_event {
            fd: 0,
            ready: 0,
            reserved: 0,
        };
        assert_eq!(unsafe { mnet_events(stack, &raw mut event, 1, -1) }, 1);
        assert_eq!(
            (event.fd, event.ready & MNET_READABLE),
            (free, MNET_READABLE)
        );
        let mut entry = mnet_pollfd {
            fd: blocking,
            events: MNET_READABLE,
            revents: 0,
        };
        assert_eq!(unsafe { mnet_poll(stack, &raw mut entry, 1, 10 * MS_I) }, 0);
        assert_eq!(write(blocking, b"x"), 1);
        assert_eq!(unsafe { mnet_poll(stack, &raw mut entry, 1, -1) }, 1);
    });
    assert_eq!(mnet_yield(stack), 0);
    assert_eq!(write(free, b"again"), 5);
    join(asking);
}

#[test]
fn a_manual_stack_runs_its_fibers_when_it_is_driven() {
    let _world = World::new();
    let mut memory = Memory::new((1 << 20) + 4 * SIZE);
    let mut config = manual_config(&mut memory, 1);
    config.fiber_memory = 4 * SIZE;
    let stack = open(&config);
    let log = Log::default();
    let fiber = spawn(stack, {
        let log = log.clone();
        move || {
            log.borrow_mut().push("begun".into());
            assert_eq!(mnet_yield(stack), 0);
            log.borrow_mut().push("again".into());
            assert_eq!(mnet_sleep(stack, 7 * MS), 0);
            log.borrow_mut().push("awake".into());
            3
        }
    });
    let step = |now| {
        let mut next = 0;
        assert_eq!(unsafe { mnet_step(stack, now, &raw mut next) }, 0);
        next
    };
    assert_eq!(step(10 * MS), 10 * MS, "it is ready still");
    assert_eq!(taken(&log), ["begun"]);
    assert_eq!(step(10 * MS), 17 * MS);
    assert_eq!(taken(&log), ["again"]);
    assert_eq!(step(16 * MS), 17 * MS);
    assert!(log.borrow().is_empty());
    assert_eq!(
        unsafe { mnet_join(fiber, ptr::null_mut(), -1) },
        MNET_EAGAIN
    );
    assert_eq!(mnet_sleep(stack, MS), MNET_EAGAIN);
    assert!(step(17 * MS) > 17 * MS);
    assert_eq!(taken(&log), ["awake"]);
    assert_eq!(join(fiber), 3);
    assert_eq!(mnet_close_stack(stack), 0);
}

#[test]
fn a_fiber_waits_for_another_stack_as_a_program_does() {
    let pair = Pair::with_fibers(0, 64);
    let mut memory = Memory::new((1 << 20) + 4 * SIZE);
    let mut config = manual_config(&mut memory, 9);
    config.fiber_memory = 4 * SIZE;
    let (stack, other) = (pair.stack, open(&config));
    let log = Log::default();
    let outer = go(other, {
        let log = log.clone();
        move || {
            // Runs the fibers of `stack`, inside a fiber of `other`.
            let inner = go(stack, {
                let log = log.clone();
                move || {
                    assert_ne!(mnet_self(), 0);
                    // The fiber that waits for us cannot wait for `other`, so nobody can.
                    assert_eq!(mnet_yield(other), MNET_EBUSY);
                    let fd = connect(stack);
                    assert_eq!(exchange(fd, b"nested"), b"nested");
                    log.borrow_mut().push("inner".into());
                }
            });
            let me = mnet_self();
            assert_eq!(unsafe { mnet_join(inner, ptr::null_mut(), -1) }, 0);
            assert_eq!(mnet_self(), me);
            log.borrow_mut().push("outer".into());
        }
    });
    assert_eq!(unsafe { mnet_step(other, 0, ptr::null_mut()) }, 0);
    assert_eq!(taken(&log), ["inner", "outer"]);
    join(outer);
    assert_eq!(mnet_close_stack(other), 0);
}
