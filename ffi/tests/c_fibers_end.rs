//! The end of fibers, and what they leave: cancellation, handlers, handles, memory.
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

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

use common::fibers::{SIZE, go, join, none, spawn};
use common::pair::{Pair, exchange, read, write};
use common::{Memory, World, address, config, manual_config, name, open};
use mnet_ffi::*;

const MS: u64 = 1_000_000;

#[test]
fn cancellation_ends_every_kind_of_waiting() {
    let pair = Pair::with_fibers(0, 64);
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
    let pair = Pair::with_fibers(0, 64);
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
    let pair = Pair::with_fibers(0, 64);
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
    let pair = Pair::with_fibers(0, 64);
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
    let pair = Pair::with_fibers(0, 64);
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
    let pair = Pair::with_fibers(0, 64);
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
    let pair = Pair::with_fibers(0, 64);
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
    let pair = Pair::with_fibers(0, 64);
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
    let pair = Pair::with_fibers(0, 64);
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
fn a_fiber_that_waits_for_another_stack_is_canceled_from_there() {
    let pair = Pair::with_fibers(0, 64);
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
    let pair = Pair::with_fibers(0, 64);
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
