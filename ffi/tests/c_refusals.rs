//! What the functions of the header answer to arguments and calls that no decent program makes: handles,
//! configurations, structures, buffers and calls from within calls.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use std::collections::HashSet;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};

use common::pair::{Pair, read, write};
use common::{Memory, World, address, config, manual_config, name, open, pump};
use mnet_ffi::*;

#[test]
fn connecting_from_and_to_the_wrong_places() {
    let pair = Pair::new(0);
    let connect = |remote: &str, local: Option<&str>| {
        let remote = address(remote);
        let local = local.map(address);
        let local = local.as_ref().map_or(ptr::null(), ptr::from_ref);
        name(unsafe { mnet_connect(pair.stack, &raw const remote, local, 0) })
    };
    assert_eq!(connect("0.0.0.0:7", None), "MNET_EINVAL");
    assert_eq!(connect("10.0.0.2", None), "MNET_EINVAL", "port 0");
    assert_eq!(connect("192.168.1.1:7", None), "MNET_ENETUNREACH");
    assert_eq!(
        connect("10.0.0.2:7", Some("10.0.0.9:1000")),
        "MNET_EADDRNOTAVAIL"
    );
    assert_eq!(name(pair.connect_with(2)), "MNET_EINVAL", "an unknown flag");
    let mut six = address("10.0.0.2:7");
    six.family = MNET_AF_INET6;
    let fd = unsafe { mnet_connect(pair.stack, &raw const six, ptr::null(), 0) };
    assert_eq!(name(fd), "MNET_ENETUNREACH");
}

#[test]
fn poll_without_entries_and_with_impossible_ones() {
    let pair = Pair::new(0);
    let poll = |fds: *mut mnet_pollfd, count| name(unsafe { mnet_poll(pair.stack, fds, count, 0) });
    assert_eq!(poll(ptr::null_mut(), 0), "0");
    assert_eq!(poll(ptr::null_mut(), 1), "MNET_EINVAL");
    let mut entry = mnet_pollfd {
        fd: 1,
        events: 0,
        revents: 0,
    };
    assert_eq!(poll(&raw mut entry, usize::MAX), "MNET_EINVAL");
    assert_eq!(poll(&raw mut entry, usize::MAX / 16), "MNET_EINVAL");
    let start = mnet_now();
    assert_eq!(
        unsafe { mnet_poll(pair.stack, ptr::null_mut(), 0, 1_000) },
        0
    );
    assert_eq!(mnet_now(), start + 1_000, "it waits");
}

#[test]
fn handles_that_are_not_good_are_refused_everywhere() {
    let pair = Pair::new(0);
    let local = address("0.0.0.0:80");
    let listener = unsafe { mnet_listen(pair.stack, &raw const local, 4) };
    let udp = unsafe { mnet_udp_bind(pair.stack, &raw const local) };
    let closed = pair.connect();
    assert_eq!((mnet_close(closed), mnet_close(closed)), (0, MNET_EBADF));
    let reused = pair.connect();
    assert_ne!(reused, closed);

    let invented = [
        i64::MAX,
        i64::MIN,
        1 << 62,
        (7 << 58) | 2,
        3,
        1 << 40,
        0,
        -1,
        -3,
    ];
    let every = |fd: mnet_fd| {
        let mut addr = mnet_addr::default();
        let mut data = ptr::null();
        let mut buffer = [0_u8; 4];
        let start = buffer.as_mut_ptr().cast::<c_void>();
        unsafe {
            [
                mnet_read(fd, start, 4),
                mnet_write(fd, start, 4),
                mnet_peek(fd, &raw mut data),
                i64::from(mnet_consume(fd, 0)),
                i64::from(mnet_consume(fd, 1)),
                i64::from(mnet_shutdown(fd, MNET_SHUT_WR)),
                i64::from(mnet_abort(fd)),
                i64::from(mnet_set_nodelay(fd, 1)),
                i64::from(mnet_peername(fd, &raw mut addr)),
            ]
        }
    };
    for fd in invented.into_iter().chain([closed]) {
        assert_eq!(every(fd), [i64::from(MNET_EBADF); 9], "{fd:#x}");
        unsafe {
            let mut addr = mnet_addr::default();
            assert_eq!(mnet_accept(fd, ptr::null_mut()), i64::from(MNET_EBADF));
            assert_eq!(mnet_recvfrom(fd, ptr::null_mut(), 0, ptr::null_mut()), -2);
            assert_eq!(mnet_sendto(fd, ptr::null(), 0, &raw const local), -2);
            assert_eq!(mnet_sockname(fd, &raw mut addr), MNET_EBADF);
        }
        assert_eq!(mnet_set_nonblocking(fd, 1), MNET_EBADF);
        assert_eq!((mnet_index(fd), mnet_readiness(fd)), (-2, MNET_EBADF));
        assert_eq!(mnet_close(fd), if fd <= 0 { 0 } else { MNET_EBADF });
    }
    // Sockets of another kind.
    assert_eq!(every(udp)[..3], [-2; 3]);
    assert_eq!(every(listener)[..3], [-2; 3]);
    assert_eq!(unsafe { mnet_accept(reused, ptr::null_mut()) }, -2);
    assert_eq!(
        unsafe { mnet_recvfrom(listener, ptr::null_mut(), 0, ptr::null_mut()) },
        -2
    );
    // And nothing of this harmed the good one.
    assert_eq!((write(reused, b"still"), read(reused, &mut [0; 9])), (5, 5));
}

#[test]
fn handles_of_a_closed_stack_stay_stale_in_the_next_one() {
    let _world = World::new();
    let mut memory = Memory::new(1 << 20);
    let local = address("10.0.0.1:7");
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let stack = open(&config(&mut memory, 1));
        let fd = unsafe { mnet_listen(stack, &raw const local, 1) };
        assert!(
            fd > 0 && seen.insert(fd) && seen.insert(stack),
            "a number was used twice"
        );
        assert_eq!(mnet_close_stack(stack), 0);
        assert_eq!(
            (mnet_close_stack(stack), mnet_close(fd)),
            (MNET_EBADF, MNET_EBADF)
        );
    }
    let stack = open(&config(&mut memory, 1));
    for old in seen {
        assert_eq!(mnet_close(old), MNET_EBADF);
        assert_eq!(
            name(unsafe { mnet_listen(old, &raw const local, 1) }),
            "MNET_EBADF"
        );
    }
    assert_eq!(mnet_close_stack(stack), 0);
    assert_eq!(
        (mnet_close_stack(0), mnet_close_stack(-5)),
        (0, 0),
        "none is harmless"
    );
}

#[test]
fn a_call_from_within_a_call_is_told_that_the_stack_is_busy() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    static SEEN: AtomicI64 = AtomicI64::new(0);
    let (stack, server) = (pair.stack, pair.server);
    pair.world.peer(move |now| {
        // The owner of `stack` sleeps inside mnet_read.
        let codes = [
            write(fd, b"x"),
            i64::from(mnet_close_stack(stack)),
            i64::from(unsafe { mnet_step(stack, now, ptr::null_mut()) }),
        ];
        assert_eq!(codes, [i64::from(MNET_EBUSY); 3]);
        SEEN.fetch_add(1, Ordering::Relaxed);
        // The other stack is free; its answer wakes the sleeper.
        let next = pump(server, now);
        if SEEN.load(Ordering::Relaxed) == 3 {
            now
        } else {
            next.min(now + 1_000_000)
        }
    });
    assert_eq!(mnet_set_nonblocking(fd, 0), 0);
    let mut entry = mnet_pollfd {
        fd,
        events: MNET_READABLE,
        revents: 0,
    };
    assert_eq!(unsafe { mnet_poll(stack, &raw mut entry, 1, 2_500_000) }, 0);
    assert!(SEEN.load(Ordering::Relaxed) >= 2);
}

#[test]
fn configurations_that_cannot_work_are_refused_by_name() {
    let _world = World::new();
    let mut memory = Memory::new(1 << 20);
    let mut refused = |wanted: &str, change: &dyn Fn(&mut mnet_config)| {
        let mut config = config(&mut memory, 1);
        change(&mut config);
        let stack = unsafe { mnet_open(&raw const config) };
        assert_eq!(name(stack), wanted);
    };
    refused("MNET_EINVAL", &|c| c.size = 0);
    let first_version = std::mem::offset_of!(mnet_config, tcp_keepalive_idle_ns);
    refused("MNET_EINVAL", &|c| c.size = first_version - 1);
    refused("MNET_EINVAL", &|c| c.size = usize::MAX);
    refused("MNET_EINVAL", &|c| c.arena = ptr::null_mut());
    refused("MNET_ENOMEM", &|c| c.arena_size = 0);
    refused("MNET_ENOMEM", &|c| c.arena_size = 100_000);
    refused("MNET_EINVAL", &|c| c.arena_size = usize::MAX);
    refused("MNET_EINVAL", &|c| c.device = ptr::null());
    refused("MNET_ENODEV", &|c| c.device = c"other".as_ptr());
    refused("MNET_ENODEV", &|c| c.device = c"".as_ptr());
    static LONG: [u8; 80] = [b'x'; 80];
    refused("MNET_ENODEV", &|c| c.device = LONG.as_ptr().cast());
    refused("MNET_EADDRNOTAVAIL", &|c| c.address = address("224.0.0.1"));
    refused("MNET_EADDRNOTAVAIL", &|c| c.address = address("0.0.0.0"));
    refused("MNET_EAFNOSUPPORT", &|c| c.address.family = MNET_AF_INET6);
    refused("MNET_EINVAL", &|c| c.address.zone = 1);
    refused("MNET_EGATEWAY", &|c| c.gateway = address("10.0.1.1"));
    refused("MNET_EGATEWAY", &|c| c.gateway = address("10.0.0.1"));
    refused("MNET_EINVAL", &|c| c.prefix_len = 33);
    refused("MNET_EINVAL", &|c| c.prefix_len = 0);
    refused("MNET_EINVAL", &|c| c.prefix_len = 256 + 24);
    refused("MNET_EINVAL", &|c| {
        c.flags = MNET_CONFIG_NO_MTU_PROBING << 1
    });
    refused("MNET_EINVAL", &|c| c.reserved = [1, 0]);
    refused("MNET_EINVAL", &|c| c.seed_len = 31);
    refused("MNET_EINVAL", &|c| c.seed = ptr::null());
    refused("MNET_EINVAL", &|c| c.mtu = 1_500);
    refused("MNET_EINVAL", &|c| c.tcp_send_buffer = 1);
    refused("MNET_ENOMEM", &|c| c.max_connections = 1 << 20);
    refused("MNET_ENOMEM", &|c| c.max_listeners = 1 << 20);
    refused("MNET_EINVAL", &|c| c.max_udp_sockets = 1 << 21);
    let manual = |c: &mut mnet_config| c.flags = MNET_CONFIG_MANUAL;
    refused("MNET_EINVAL", &manual);
    refused("MNET_EINVAL", &|c| {
        manual(c);
        c.hardware_address = [1, 0, 0, 0, 0, 1];
    });
    refused("MNET_EINVAL", &|c| {
        manual(c);
        c.hardware_address = [2, 0, 0, 0, 0, 1];
        c.mtu = 575;
    });
    assert_eq!(name(unsafe { mnet_open(ptr::null()) }), "MNET_EINVAL");
    // Every refusal gave device and arena back.
    let stack = open(&config(&mut memory, 1));
    assert_eq!(mnet_close_stack(stack), 0);
}

#[test]
fn structures_of_older_and_newer_callers_are_understood() {
    #[repr(C)]
    struct Newer {
        known: mnet_config,
        more: [u64; 4],
    }
    let _world = World::new();
    let mut memory = Memory::new(1 << 20);
    let mut newer = Newer {
        known: config(&mut memory, 1),
        more: [9; 4],
    };
    newer.known.size = size_of::<Newer>();
    let pointer = (&raw const newer).cast::<mnet_config>();
    assert_eq!(
        name(unsafe { mnet_open(pointer) }),
        "MNET_EINVAL",
        "asks for the unknown"
    );
    newer.more = [0; 4];
    let pointer = (&raw const newer).cast::<mnet_config>();
    let stack = unsafe { mnet_open(pointer) };
    assert!(stack > 0);

    let mut newer = Newer {
        more: [9; 4],
        ..newer
    };
    let pointer = (&raw mut newer).cast::<mnet_config>();
    assert_eq!(
        unsafe { mnet_config_default(pointer, size_of::<Newer>()) },
        0
    );
    assert_eq!((newer.known.size, newer.more), (size_of::<Newer>(), [0; 4]));
    assert_eq!(unsafe { mnet_config_default(pointer, 8) }, MNET_EINVAL);
    assert_eq!(
        unsafe { mnet_config_default(ptr::null_mut(), 200) },
        MNET_EINVAL
    );

    let mut both = [mnet_usage::default(); 2];
    both[1].frames = 9;
    let older = size_of::<u64>();
    assert_eq!(unsafe { mnet_usage(stack, both.as_mut_ptr(), older) }, 0);
    assert!(
        both[0].frames > 0 && both[0].frames_free == 0,
        "only one member was asked for"
    );
    assert_eq!(
        unsafe { mnet_usage(stack, both.as_mut_ptr(), size_of_val(&both)) },
        0
    );
    assert!(both[0].frames_free > 0 && both[1].frames == 0);
    assert_eq!(
        unsafe { mnet_usage(stack, ptr::null_mut(), 8) },
        MNET_EINVAL
    );
    assert_eq!(mnet_close_stack(stack), 0);
}

#[test]
fn device_and_arena_belong_to_one_stack_at_a_time() {
    let _world = World::new();
    let mut memory = [Memory::new(1 << 20), Memory::new(1 << 20)];
    let first = open(&config(&mut memory[0], 1));
    let mut second = config(&mut memory[1], 2);
    assert_eq!(
        name(unsafe { mnet_open(&raw const second) }),
        "MNET_EBUSY",
        "the device"
    );
    let mut manual = manual_config(&mut memory[0], 2);
    assert_eq!(
        name(unsafe { mnet_open(&raw const manual) }),
        "MNET_EBUSY",
        "the arena"
    );
    manual.arena = unsafe { manual.arena.byte_add(manual.arena_size / 2) };
    manual.arena_size /= 2;
    assert_eq!(
        name(unsafe { mnet_open(&raw const manual) }),
        "MNET_EBUSY",
        "half the arena"
    );
    assert_eq!(mnet_close_stack(first), 0);
    second.arena = memory[0].start();
    let again = open(&second);
    assert_eq!(mnet_close_stack(again), 0);
}

#[test]
fn eight_stacks_can_be_open() {
    let _world = World::new();
    let mut memory: Vec<Memory> = (0..9).map(|_| Memory::new(512 << 10)).collect();
    let (last, first) = memory.split_last_mut().unwrap();
    let stacks: Vec<_> = first
        .iter_mut()
        .map(|memory| open(&manual_config(memory, 1)))
        .collect();
    let ninth = manual_config(last, 1);
    assert_eq!(name(unsafe { mnet_open(&raw const ninth) }), "MNET_ELIMIT");
    let local = address("10.0.0.1:7");
    let fds: HashSet<_> = stacks
        .iter()
        .map(|stack| unsafe { mnet_listen(*stack, &raw const local, 1) })
        .collect();
    assert_eq!(fds.len(), 8, "handles of different stacks differ");
    assert!(stacks.into_iter().all(|stack| mnet_close_stack(stack) == 0));
}

#[test]
fn buffers_inside_an_arena_are_refused() {
    let mut pair = Pair::new(0);
    let fd = pair.connect();
    assert_eq!(write(fd, b"abc"), 3);
    let start = pair.memory[0].start();
    let end = start.wrapping_byte_add(pair.memory[0].len());
    let before = start.wrapping_byte_sub(1);
    let inside = start.wrapping_byte_add(1_000);
    let local = address("10.0.0.1:9");
    unsafe {
        for place in [start, inside, end.wrapping_byte_sub(1)] {
            assert_eq!(mnet_read(fd, place, 3), i64::from(MNET_EINVAL));
            assert_eq!(mnet_random(pair.stack, place, 3), MNET_EINVAL);
            assert_eq!(mnet_sockname(fd, place.cast()), MNET_EINVAL);
            assert_eq!(
                mnet_poll(pair.stack, place.cast(), 1, 0),
                i64::from(MNET_EINVAL)
            );
            assert_eq!(
                mnet_events(pair.stack, place.cast(), 1, 0),
                i64::from(MNET_EINVAL)
            );
            assert_eq!(mnet_peek(fd, place.cast()), i64::from(MNET_EINVAL));
            assert_eq!(
                mnet_sendto(fd, place, 3, &raw const local),
                i64::from(MNET_EINVAL)
            );
        }
        // One that reaches into the arena, around it, or around the end of all memory.
        assert_eq!(mnet_read(fd, before, 2), i64::from(MNET_EINVAL));
        assert_eq!(mnet_read(fd, before, 1 << 30), i64::from(MNET_EINVAL));
        assert_eq!(mnet_read(fd, inside, usize::MAX), i64::from(MNET_EINVAL));
        assert_eq!(mnet_read(fd, end, usize::MAX), i64::from(MNET_EINVAL));
        assert_eq!(mnet_read(fd, ptr::null_mut(), 3), i64::from(MNET_EINVAL));
        assert_eq!(mnet_write(fd, ptr::null(), 3), i64::from(MNET_EINVAL));
        assert_eq!(mnet_write(fd, end, usize::MAX), i64::from(MNET_EINVAL));
        assert_eq!(mnet_write(fd, inside, usize::MAX), i64::from(MNET_EINVAL));
        // Writing from there is allowed, for the sake of mnet_peek().
        assert_eq!(mnet_write(fd, inside, 3), 3);
    }
    let mut buffer = [0; 9];
    assert_eq!(
        (read(fd, &mut buffer), &buffer[..3]),
        (3, &b"abc"[..]),
        "nothing was taken"
    );
}
