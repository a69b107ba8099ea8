//! Fibers as C uses them: turns, waiting, the end, cancellation, memory, and what is refused.
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
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

use common::fibers::{SIZE, go, join, none, spawn};
use common::{EchoServer, Memory, World, address, config, manual_config, name, open, pump};
use mnet_ffi::*;

const MS: u64 = 1_000_000;
const MS_I: i64 = 1_000_000;

/// A stack on the device with memory for many fibers, and an echo server at 10.0.0.2:7 on the other end
/// of the cable.
struct Pair {
    world: World,
    stack: mnet_stack,
    server: mnet_stack,
    /// Outlives both stacks.
    _memory: [Memory; 2],
}

impl Pair {
    fn new(flags: u32) -> Self {
        Self::with_fibers(flags, 64)
    }

    fn with_fibers(flags: u32, fibers: usize) -> Self {
        let world = World::new();
        let mut memory = [Memory::new((4 << 20) + fibers * SIZE), Memory::new(4 << 20)];
        let server = open(&manual_config(&mut memory[1], 2));
        let mut echo = EchoServer::new(server, 2);
        world.peer(move |now| echo.turn(now));
        let mut config = config(&mut memory[0], 1);
        config.flags = flags;
        config.fiber_memory = fibers * SIZE;
        Self {
            world,
            stack: open(&config),
            server,
            _memory: memory,
        }
    }

    fn connect(&self) -> mnet_fd {
        connect(self.stack)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.world.peer(|_| u64::MAX);
        if !std::thread::panicking() {
            assert_eq!(name(mnet_cancel_all(self.stack, -1).into()), "0");
            assert_eq!(
                (mnet_close_stack(self.stack), mnet_close_stack(self.server)),
                (0, 0)
            );
        }
    }
}

fn connect(stack: mnet_stack) -> mnet_fd {
    let remote = address("10.0.0.2:7");
    unsafe { mnet_connect(stack, &raw const remote, ptr::null(), 0) }
}

fn write(fd: mnet_fd, data: &[u8]) -> i64 {
    unsafe { mnet_write(fd, data.as_ptr().cast(), data.len()) }
}

fn read(fd: mnet_fd, buffer: &mut [u8]) -> i64 {
    unsafe { mnet_read(fd, buffer.as_mut_ptr().cast(), buffer.len()) }
}

/// Sends `data` and reads as much; what came back.
fn exchange(fd: mnet_fd, data: &[u8]) -> Vec<u8> {
    assert_eq!(write(fd, data), data.len() as i64);
    let mut back = Vec::new();
    let mut buffer = [0; 512];
    while back.len() < data.len() {
        let len = read(fd, &mut buffer);
        assert!(len > 0, "{}", name(len));
        back.extend_from_slice(&buffer[..len as usize]);
    }
    back
}

/// What fibers of a test write down.
type Log = Rc<RefCell<Vec<String>>>;

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.borrow_mut())
}

#[test]
fn fibers_take_turns_and_join_gives_their_results() {
    let pair = Pair::new(0);
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
    let pair = Pair::new(0);
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
    let pair = Pair::new(0);
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
    let pair = Pair::new(0);
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
    let pair = Pair::new(0);
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
    let pair = Pair::new(0);
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
fn cancellation_ends_every_kind_of_waiting() {
    let pair = Pair::new(0);
    let stack = pair.stack;
    let fd = pair.connect();
    let local = address("10.0.0.1:80");
    let listener = unsafe { mnet_listen(stack, &raw const local, 4) };
    let udp = unsafe { mnet_udp_bind(stack, &raw const local) };
    let channel = unsafe { mnet_channel_open(stack, 8, 1, ptr::null_mut(), 0) };
    let endless = go(stack, move || while mnet_sleep(stack, 1_000 * MS) == 0 {});
    let waits: Vec<Box<dyn FnOnce() -> i64>> = vec![
        Box::new(move || read(fd, &mut [0; 9])),
        Box::new(move || unsafe { mnet_accept(listener, ptr::null_mut()) }),
        Box::new(move || unsafe { mnet_recvfrom(udp, ptr::null_mut(), 0, ptr::null_mut()) }),
        Box::new(move || unsafe { mnet_poll(stack, ptr::null_mut(), 0, -1) }),
        Box::new(move || mnet_sleep(stack, u64::MAX).into()),
        Box::new(move || unsafe { mnet_join(endless, ptr::null_mut(), -1) }.into()),
        Box::new(move || {
            let mut item = 0_u64;
            unsafe { mnet_channel_receive(channel, (&raw mut item).cast(), -1) }.into()
        }),
        Box::new(move || {
            // Nobody answers there.
            let remote = address("10.0.0.99:9");
            unsafe { mnet_connect(stack, &raw const remote, ptr::null(), 0) }
        }),
    ];
    let fibers: Vec<_> = waits
        .into_iter()
        .map(|wait| {
            spawn(stack, move || {
                assert_eq!(mnet_canceled(), 0);
                let code = wait();
                assert_eq!(mnet_canceled(), 1);
                // And so does every further wait.
                assert_eq!(mnet_yield(stack), MNET_ECANCELED);
                code as usize
            })
        })
        .collect();
    assert_eq!(mnet_sleep(stack, 20 * MS), 0);
    for fiber in &fibers {
        assert_eq!(mnet_cancel(*fiber), 0);
    }
    for fiber in fibers {
        assert_eq!(join(fiber) as i64, i64::from(MNET_ECANCELED));
    }
    mnet_cancel(endless);
    join(endless);
    // Calls that do not wait work as ever.
    assert_eq!(exchange(fd, b"still there"), b"still there");
}

#[test]
fn fibers_that_have_not_begun_begin_and_those_that_have_ended_stay_so() {
    let pair = Pair::new(0);
    let stack = pair.stack;
    let began = Rc::new(Cell::new(false));
    let fiber = spawn(stack, {
        let began = began.clone();
        move || {
            began.set(true);
            mnet_sleep(stack, MS).cast_unsigned() as usize
        }
    });
    assert_eq!(mnet_cancel(fiber), 0);
    assert_eq!(join(fiber) as u32, MNET_ECANCELED.cast_unsigned());
    assert!(began.get(), "it gives back what its argument stands for");

    let fiber = spawn(stack, || 5);
    assert_eq!(mnet_yield(stack), 0);
    assert_eq!(mnet_cancel(fiber), 0);
    assert_eq!(join(fiber), 5);
    assert_eq!(mnet_cancel(fiber), MNET_EBADF);
}

#[test]
fn a_fiber_may_cancel_itself() {
    let pair = Pair::new(0);
    let stack = pair.stack;
    let fd = pair.connect();
    let fiber = go(stack, move || {
        assert_eq!(mnet_cancel(mnet_self()), 0);
        assert_eq!(mnet_canceled(), 1);
        assert_eq!(write(fd, b"no need to wait"), 15);
        assert_eq!(mnet_sleep(stack, MS), MNET_ECANCELED);
    });
    join(fiber);
}

#[test]
fn a_fiber_that_ignores_its_cancellation_does_not_keep_the_others_from_running() {
    let pair = Pair::new(0);
    let stack = pair.stack;
    let stop = Rc::new(Cell::new(false));
    let stubborn = go(stack, {
        let stop = stop.clone();
        move || {
            while !stop.get() {
                mnet_sleep(stack, 1_000 * MS);
            }
        }
    });
    assert_eq!(mnet_cancel(stubborn), 0);
    let polite = spawn(stack, move || {
        (0..100).filter(|_| mnet_yield(stack) == 0).count()
    });
    assert_eq!(join(polite), 100);
    stop.set(true);
    join(stubborn);
}

#[test]
fn handlers_run_in_reverse_when_a_fiber_ends_however_that_is() {
    let pair = Pair::new(0);
    let stack = pair.stack;
    static TOLD: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
    extern "C" fn tell(arg: *mut c_void) {
        TOLD.lock().unwrap().push(arg.addr());
    }
    extern "C" fn tell_later(arg: *mut c_void) {
        // A handler may wait, and cancellation does not disturb it.
        let stack = mnet_stack::try_from(arg.addr()).unwrap();
        assert_eq!(mnet_sleep(stack, MS), 0);
        TOLD.lock().unwrap().push(99);
    }
    let push = |number: usize| mnet_cleanup_push(Some(tell), ptr::without_provenance_mut(number));
    for cancel in [false, true] {
        let fiber = go(stack, move || {
            assert_eq!(push(1), 0);
            let arg = ptr::without_provenance_mut(usize::try_from(stack).unwrap());
            assert_eq!(mnet_cleanup_push(Some(tell_later), arg), 0);
            assert_eq!((push(2), push(3), push(4)), (0, 0, 0));
            unsafe {
                assert_eq!(mnet_cleanup_pop(0), 0);
                assert_eq!(mnet_cleanup_pop(1), 0);
            }
            assert_eq!(*TOLD.lock().unwrap(), [3]);
            mnet_sleep(stack, 5 * MS);
        });
        assert_eq!(mnet_yield(stack), 0);
        if cancel {
            assert_eq!(mnet_cancel(fiber), 0);
        }
        join(fiber);
        assert_eq!(std::mem::take(&mut *TOLD.lock().unwrap()), [3, 2, 99, 1]);
    }
    let fiber = go(stack, move || {
        for number in 0..MNET_CLEANUP_MAX as usize {
            assert_eq!(push(number), 0);
        }
        assert_eq!(push(100), MNET_ELIMIT);
        assert_eq!(mnet_cleanup_push(None, ptr::null_mut()), MNET_EINVAL);
        for _ in 0..MNET_CLEANUP_MAX {
            assert_eq!(unsafe { mnet_cleanup_pop(0) }, 0);
        }
        assert_eq!(unsafe { mnet_cleanup_pop(1) }, MNET_EINVAL);
    });
    join(fiber);
    assert!(TOLD.lock().unwrap().is_empty());
    assert_eq!(push(1), MNET_EINVAL, "the program is no fiber");
    assert_eq!(unsafe { mnet_cleanup_pop(1) }, MNET_EINVAL);
}

#[test]
fn handles_are_stale_after_joining_and_name_nothing_else() {
    let pair = Pair::new(0);
    let stack = pair.stack;
    let channel = unsafe { mnet_channel_open(stack, 8, 1, ptr::null_mut(), 0) };
    let living = go(stack, move || {
        mnet_sleep(stack, 100 * MS);
    });
    let stale = spawn(stack, || 0);
    join(stale);
    let fd = pair.connect();
    for wrong in [
        0,
        -1,
        1,
        i64::MAX,
        i64::MIN,
        stale,
        fd,
        stack,
        channel,
        living ^ 8 << 3,
    ] {
        assert_eq!(unsafe { mnet_join(wrong, ptr::null_mut(), 0) }, MNET_EBADF);
        assert_eq!(
            (mnet_detach(wrong), mnet_cancel(wrong)),
            (MNET_EBADF, MNET_EBADF)
        );
    }
    for wrong in [-9, 1, i64::MAX, stale, fd, stack, living] {
        assert_eq!(mnet_channel_finish(wrong), MNET_EBADF, "{wrong:#x}");
        assert_eq!(mnet_channel_count(wrong), i64::from(MNET_EBADF));
        let status = unsafe { mnet_channel_send(wrong, ptr::null(), 0) };
        assert_eq!(status, MNET_EBADF);
    }
    for wrong in [living, stale, channel] {
        assert_eq!(name(read(wrong, &mut [0; 9])), "MNET_EBADF");
        assert_eq!(mnet_close(wrong), MNET_EBADF);
        assert_eq!(mnet_close_stack(wrong), MNET_EBADF);
        assert_eq!(mnet_yield(wrong), MNET_EBADF);
        assert_eq!(mnet_cancel_all(wrong, 0), MNET_EBADF);
    }
    assert_eq!(mnet_channel_close(channel), 0);
    assert_eq!(mnet_channel_close(channel), MNET_EBADF);
    assert_eq!((mnet_channel_close(0), mnet_channel_close(-5)), (0, 0));
}

#[test]
fn who_joins_second_hears_that_it_is_gone_and_nobody_joins_what_was_let_go() {
    let pair = Pair::new(0);
    let stack = pair.stack;
    let sleeper = || {
        go(stack, move || {
            mnet_sleep(stack, 10 * MS);
        })
    };
    let joiner = |fiber| {
        spawn(
            stack,
            move || unsafe { mnet_join(fiber, ptr::null_mut(), -1) } as usize,
        )
    };
    let fiber = sleeper();
    let (first, second) = (joiner(fiber), joiner(fiber));
    assert_eq!(join(first) as i32, 0);
    assert_eq!(join(second) as i32, MNET_EBADF);

    let fiber = sleeper();
    let waiting = joiner(fiber);
    assert_eq!(mnet_yield(stack), 0);
    assert_eq!((mnet_detach(fiber), mnet_detach(fiber)), (0, MNET_EINVAL));
    assert_eq!(join(waiting) as i32, MNET_EINVAL);
    assert_eq!(unsafe { mnet_join(fiber, ptr::null_mut(), 0) }, MNET_EINVAL);
    assert_eq!(mnet_sleep(stack, 20 * MS), 0);
    assert_eq!(mnet_detach(fiber), MNET_EBADF, "it has ended");

    let fiber = spawn(stack, || 0);
    assert_eq!(mnet_yield(stack), 0);
    assert_eq!((mnet_detach(fiber), mnet_detach(fiber)), (0, MNET_EBADF));
}

#[test]
fn memory_that_cannot_be_makes_no_channel() {
    let pair = Pair::new(0);
    let mut memory = [0_u8; 1_000];
    let start: *mut c_void = memory.as_mut_ptr().cast();
    let most = isize::MAX.unsigned_abs();
    for (place, size) in [
        (start, MNET_CHANNEL_OVERHEAD + 7),
        (start, most + 1),
        (start, usize::MAX),
        (ptr::null_mut(), 1_000),
    ] {
        let channel = unsafe { mnet_channel_open(pair.stack, 8, 1, place, size) };
        assert_eq!(name(channel), "MNET_EINVAL", "{size}");
    }
    let channel = unsafe { mnet_channel_open(pair.stack, 8, 1, start, memory.len()) };
    assert_eq!(mnet_channel_close(channel), 0);
}

#[test]
fn the_memory_of_a_channel_is_taken_until_it_is_closed() {
    let pair = Pair::new(0);
    let mut memory = [0_u64; 125];
    let start: *mut c_void = memory.as_mut_ptr().cast();
    let open = |stack| unsafe { mnet_channel_open(stack, 8, 1, start, 1_000) };
    let channel = open(pair.stack);
    assert_eq!(unsafe { mnet_channel_send(channel, start, 0) }, 0);
    assert_eq!(name(open(pair.stack)), "MNET_EBUSY");
    assert_eq!(name(open(pair.server)), "MNET_EBUSY");
    assert_eq!(mnet_channel_count(channel), 1);
    assert_eq!(mnet_channel_close(channel), 0);
    let again = open(pair.server);
    assert!(again > 0, "{}", name(again));
    assert_eq!(mnet_channel_close(again), 0);
}

#[test]
fn waiting_for_what_cannot_come_is_a_deadlock() {
    let pair = Pair::new(0);
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
fn a_stack_with_living_fibers_is_not_closed() {
    let world = World::new();
    let mut memory = Memory::new((1 << 20) + 4 * SIZE);
    let mut config = config(&mut memory, 1);
    config.fiber_memory = 4 * SIZE;
    let stack = open(&config);
    assert_eq!(mnet_cancel_all(stack, -1), 0, "there is nobody");
    let living = go(stack, move || while mnet_sleep(stack, 1_000 * MS) == 0 {});
    let closing = spawn(stack, move || mnet_close_stack(stack) as usize);
    assert_eq!(join(closing) as i32, MNET_EBUSY);
    assert_eq!(mnet_close_stack(stack), MNET_EBUSY);
    let ended = spawn(stack, || 3);
    // A fiber that cancels all others does not mean itself.
    let canceller = spawn(stack, move || mnet_cancel_all(stack, -1) as usize);
    assert_eq!(join(canceller), 0);
    join(living);
    let channel = unsafe { mnet_channel_open(stack, 8, 1, ptr::null_mut(), 0) };
    assert_eq!(mnet_close_stack(stack), 0, "with a result and a channel");
    assert_eq!(unsafe { mnet_join(ended, ptr::null_mut(), 0) }, MNET_EBADF);
    assert_eq!(mnet_channel_count(channel), i64::from(MNET_EBADF));
    // The same arena, and what the old handles named is not there.
    let again = open(&config);
    let other = spawn(again, || 4);
    assert_eq!(unsafe { mnet_join(ended, ptr::null_mut(), 0) }, MNET_EBADF);
    assert_eq!(join(other), 4);
    assert_eq!(mnet_close_stack(again), 0);
    drop(world);
}

#[test]
fn memory_comes_from_the_caller_or_from_what_was_set_aside() {
    let pair = Pair::with_fibers(0, 2);
    let stack = pair.stack;
    let start = |memory: *mut c_void, size| unsafe {
        mnet_spawn(stack, Some(none), ptr::null_mut(), memory, size)
    };
    for (size, wanted) in [
        (1, "MNET_EINVAL"),
        (MNET_FIBER_SIZE_MIN - 1, "MNET_EINVAL"),
        (usize::MAX, "MNET_EINVAL"),
        (2 * SIZE, "MNET_ENOMEM"),
    ] {
        assert_eq!(name(start(ptr::null_mut(), size)), wanted, "{size}");
    }
    assert_eq!(
        name(unsafe { mnet_spawn(stack, None, ptr::null_mut(), ptr::null_mut(), 0) }),
        "MNET_EINVAL"
    );
    // A heap of two fibers' memory holds one, a little less than two, and many small ones.
    for _ in 0..100 {
        let first = start(ptr::null_mut(), SIZE);
        assert!(first > 0, "{}", name(first));
        assert_eq!(name(start(ptr::null_mut(), SIZE)), "MNET_ENOMEM");
        join(first);
    }
    let mut own = vec![0_u8; 3 * SIZE];
    let here = own[SIZE..].as_mut_ptr().cast::<c_void>();
    for shift in [0, 1, 7, 15] {
        let place = here.wrapping_byte_add(shift);
        let fiber = start(place, SIZE);
        assert!(fiber > 0, "{}", name(fiber));
        assert_eq!(
            name(start(place, SIZE)),
            "MNET_EBUSY",
            "somebody lives there"
        );
        join(fiber);
    }
    assert_eq!(name(start(here, 0)), "MNET_EINVAL");
    assert_eq!(name(start(here, MNET_FIBER_SIZE_MIN - 1)), "MNET_EINVAL");
    let outside = |part: &[u8]| part.iter().all(|byte| *byte == 0);
    assert!(outside(&own[..SIZE]) && outside(&own[2 * SIZE + 16..]));
}

#[test]
fn without_memory_of_its_own_a_stack_has_fibers_of_the_caller() {
    let _world = World::new();
    let mut memory = Memory::new(1 << 20);
    let stack = open(&config(&mut memory, 1));
    assert_eq!(
        name(unsafe { mnet_spawn(stack, Some(none), ptr::null_mut(), ptr::null_mut(), 0) }),
        "MNET_ENOMEM"
    );
    let inside = memory.start();
    let refused = unsafe { mnet_spawn(stack, Some(none), ptr::null_mut(), inside, SIZE) };
    assert_eq!(
        name(refused),
        "MNET_EINVAL",
        "an arena is no memory of the caller"
    );
    let mut own = vec![0_u8; SIZE];
    let fiber = unsafe {
        mnet_spawn(
            stack,
            Some(none),
            ptr::null_mut(),
            own.as_mut_ptr().cast(),
            SIZE,
        )
    };
    join(fiber);
    assert_eq!(mnet_close_stack(stack), 0);
}

#[test]
fn a_call_from_within_a_call_is_still_refused() {
    let pair = Pair::new(0);
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
    let pair = Pair::new(0);
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
    let pair = Pair::new(0);
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
    let pair = Pair::new(0);
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
    let pair = Pair::new(0);
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

#[test]
fn a_fiber_that_waits_for_another_stack_is_canceled_from_there() {
    let pair = Pair::new(0);
    let mut memory = Memory::new((1 << 20) + 4 * SIZE);
    let mut config = manual_config(&mut memory, 9);
    config.fiber_memory = 4 * SIZE;
    let (stack, other) = (pair.stack, open(&config));
    let outer = spawn(other, move || {
        let outer = mnet_self();
        let inner = go(stack, move || {
            assert_eq!((mnet_cancel(outer), mnet_cancel(outer)), (0, 0));
        });
        // As a program it waits to the end, as a fiber of its own stack it is canceled.
        assert_eq!(unsafe { mnet_join(inner, ptr::null_mut(), -1) }, 0);
        mnet_canceled() as usize
    });
    let step = || assert_eq!(unsafe { mnet_step(other, 0, ptr::null_mut()) }, 0);
    step();
    // It has ended, and is not run again.
    step();
    assert_eq!(join(outer), 1);
    step();
    assert_eq!(mnet_close_stack(other), 0);
}

#[test]
fn usage_counts_the_fibers_that_live() {
    let pair = Pair::new(0);
    let stack = pair.stack;
    let living = || {
        let mut usage = mnet_usage::default();
        let size = size_of::<mnet_usage>();
        assert_eq!(unsafe { mnet_usage(stack, &raw mut usage, size) }, 0);
        usage.fibers
    };
    assert_eq!(living(), 0);
    let (one, two) = (spawn(stack, || 0), spawn(stack, || 0));
    assert_eq!(living(), 2);
    join(one);
    assert_eq!(living(), 0, "both have run");
    join(two);
}
