//! The functions of the header, called as C calls them: what they do.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use std::collections::HashSet;
use std::ffi::{CStr, c_void};
use std::ptr;

use common::pair::{Pair, pattern, read, usage, write};
use common::{Memory, World, address, config, manual_config, name, open, pump};
use mnet_ffi::*;

#[test]
fn a_blocking_client_gets_everything_back() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    assert!(fd > 0, "{}", name(fd));
    let sent = pattern(200_000);
    let mut received = Vec::new();
    for chunk in sent.chunks(20_000) {
        assert_eq!(write(fd, chunk), 20_000, "a blocking write takes all");
        let mut buffer = [0; 7_000];
        let goal = received.len() + chunk.len();
        while received.len() < goal {
            let len = read(fd, &mut buffer);
            assert!(len > 0, "{}", name(len));
            received.extend_from_slice(&buffer[..usize::try_from(len).unwrap()]);
        }
    }
    assert!(received == sent);
    assert_eq!(mnet_shutdown(fd, MNET_SHUT_WR), 0);
    assert_eq!(
        mnet_shutdown(fd, MNET_SHUT_WR),
        0,
        "doing it again is harmless"
    );
    assert_eq!(name(write(fd, b"x")), "MNET_EPIPE");
    assert_eq!(read(fd, &mut [0; 9]), 0, "the end of the stream");
    assert_eq!(mnet_close(fd), 0);
    assert!(pair.world.yields() > 0);
}

#[test]
fn names_of_a_connection() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    let mut here = mnet_addr::default();
    let mut there = mnet_addr::default();
    unsafe {
        assert_eq!(mnet_sockname(fd, &raw mut here), 0);
        assert_eq!(mnet_peername(fd, &raw mut there), 0);
        assert_eq!(mnet_sockname(fd, ptr::null_mut()), MNET_EINVAL);
    }
    assert_eq!(there, address("10.0.0.2:7"));
    assert_eq!(
        (here.ip, here.family),
        (address("10.0.0.1").ip, MNET_AF_INET)
    );
    assert_ne!(here.port, 0);
    assert_eq!(mnet_set_nodelay(fd, 1), 0);
    assert!((0..i64::from(u16::MAX)).contains(&mnet_index(fd)));
}

#[test]
fn a_port_without_a_listener_refuses_and_the_handle_is_gone() {
    let pair = Pair::new(0);
    let remote = address("10.0.0.2:8");
    let fd = unsafe { mnet_connect(pair.stack, &raw const remote, ptr::null(), 0) };
    assert_eq!(name(fd), "MNET_ECONNREFUSED");
    assert_eq!(usage(pair.stack).connections, 0);
}

#[test]
fn a_non_blocking_connection_says_again_and_poll_says_when() {
    let pair = Pair::new(0);
    let fd = pair.connect_with(MNET_NONBLOCK);
    assert!(fd > 0);
    assert_eq!(name(write(fd, b"x")), "MNET_EAGAIN", "not connected yet");
    assert_eq!(name(read(fd, &mut [0; 9])), "MNET_EAGAIN");

    let poll = |events, timeout| {
        let mut entries = [
            mnet_pollfd {
                fd: -1,
                events,
                revents: 77,
            },
            mnet_pollfd {
                fd,
                events,
                revents: 77,
            },
        ];
        let count = unsafe { mnet_poll(pair.stack, entries.as_mut_ptr(), 2, timeout) };
        let skipped = if count < 0 { 77 } else { 0 };
        assert_eq!(
            entries[0].revents, skipped,
            "negative entries are skipped, errors write nothing"
        );
        (count, entries[1].revents)
    };
    assert_eq!(poll(MNET_WRITABLE, -1), (1, MNET_WRITABLE));
    assert_eq!(poll(MNET_READABLE, 0), (0, 0));
    let start = mnet_now();
    assert_eq!(poll(MNET_READABLE, 5_000_000), (0, 0));
    assert_eq!(mnet_now(), start + 5_000_000, "neither early nor late");

    assert_eq!(write(fd, b"hello"), 5);
    assert_eq!(poll(MNET_READABLE | MNET_WRITABLE, -1).0, 1);
    for _ in 0..2 {
        assert_eq!(
            poll(MNET_READABLE, -1),
            (1, MNET_READABLE),
            "for as long as it lasts"
        );
    }
    assert_eq!(
        u32::try_from(mnet_readiness(fd)),
        Ok(MNET_READABLE | MNET_WRITABLE)
    );
    assert_eq!(read(fd, &mut [0; 9]), 5);
    assert_eq!(poll(MNET_READABLE, 0), (0, 0));
    assert_eq!(poll(64, 0).0, i64::from(MNET_EINVAL), "an unknown event");

    assert_eq!(mnet_close(fd), 0);
    assert_eq!(
        poll(MNET_READABLE, -1),
        (1, MNET_INVALID),
        "nobody waits for a stale handle"
    );
}

#[test]
fn poll_takes_entries_at_any_alignment() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    let mut bytes = [0_u8; 33];
    let entry = unsafe { bytes.as_mut_ptr().add(1) }.cast::<mnet_pollfd>();
    let writable = mnet_pollfd {
        fd,
        events: MNET_WRITABLE,
        revents: 0,
    };
    unsafe { entry.write_unaligned(writable) };
    assert_eq!(unsafe { mnet_poll(pair.stack, entry, 1, -1) }, 1);
    assert_eq!(unsafe { entry.read_unaligned() }.revents, MNET_WRITABLE);
}

#[test]
fn events_tell_each_growth_once_and_wait_for_room() {
    let pair = Pair::new(MNET_CONFIG_NONBLOCKING);
    let fds = [pair.connect(), pair.connect()];
    let mut event = mnet_event {
        fd: 0,
        ready: 0,
        reserved: 9,
    };
    let mut next = |timeout| {
        let count = unsafe { mnet_events(pair.stack, &raw mut event, 1, timeout) };
        (count == 1).then_some(event)
    };
    // Room for one at a time: both connections become writable.
    let mut connected = HashSet::new();
    while connected.len() < 2 {
        let event = next(-1).unwrap();
        assert!(event.ready & MNET_WRITABLE != 0 && event.reserved == 0);
        connected.insert(event.fd);
    }
    assert_eq!(connected, HashSet::from(fds));
    assert_eq!(next(1_000_000), None);
    assert_eq!(write(fds[1], b"x"), 1);
    let event = next(-1).unwrap();
    assert_eq!(event.fd, fds[1]);
    assert!(event.ready & MNET_READABLE != 0);
    assert_eq!(next(1_000_000), None, "told once");
    let events = |events, max| name(unsafe { mnet_events(pair.stack, events, max, 0) });
    assert_eq!(events(ptr::null_mut(), 1), "MNET_EINVAL");
    assert_eq!(events(&mut event.clone(), 0), "MNET_EINVAL");
}

/// Nothing happens on a socket, and no frame arrives: the end of probing alone wakes the program.
#[test]
fn one_loop_learns_of_sockets_and_of_the_network() {
    let network = mnet_event {
        fd: 0,
        ready: MNET_NETWORK,
        reserved: 0,
    };
    let events = |stack, timeout| {
        let mut events = [mnet_event { fd: 9, ..network }; 4];
        let count = unsafe { mnet_events(stack, events.as_mut_ptr(), 4, timeout) };
        events[..usize::try_from(count).unwrap()].to_vec()
    };
    let changes = |stack| {
        let mut event = mnet_network_event::default();
        match unsafe { mnet_network_events(stack, &raw mut event, 1, 0) } {
            0 => 0,
            _ => event.changes,
        }
    };
    let add = |stack| {
        let addr = address("10.0.0.3");
        let status = unsafe { mnet_add_address(stack, 0, &raw const addr, 24, MNET_ADDRESS_PROBE) };
        assert_eq!(status, 0);
    };
    let poll = |stack, timeout| {
        let mut entry = mnet_pollfd {
            fd: 0,
            events: MNET_NETWORK,
            revents: 9,
        };
        let count = unsafe { mnet_poll(stack, &raw mut entry, 1, timeout) };
        assert_eq!(count, i64::from(entry.revents != 0));
        entry.revents
    };
    let pair = Pair::new(MNET_CONFIG_NONBLOCKING | MNET_CONFIG_NETWORK_EVENTS);
    assert_eq!(events(pair.stack, 0), [network], "of our first address");
    assert_ne!(changes(pair.stack), 0);
    assert_eq!(events(pair.stack, 0), []);
    add(pair.stack);
    assert_eq!(events(pair.stack, -1), [network]);
    // Until it is asked what it is; sockets are told meanwhile.
    let fd = pair.connect();
    assert_eq!(poll(pair.stack, -1), MNET_NETWORK);
    let worked = unsafe { mnet_poll(pair.stack, ptr::null_mut(), 0, 10_000_000) };
    assert_eq!(worked, 0);
    let told = events(pair.stack, 0);
    assert_eq!((told.len(), told[0].fd), (1, fd));
    assert_eq!(events(pair.stack, -1), [network]);
    assert_ne!(changes(pair.stack) & MNET_CHANGE_ADDRESS_USABLE, 0);
    assert_eq!(events(pair.stack, 0), []);
    assert_eq!(poll(pair.stack, 0), 0);
    // Only the network has changes.
    let mut entry = mnet_pollfd {
        fd,
        events: MNET_NETWORK,
        revents: 0,
    };
    let refused = unsafe { mnet_poll(pair.stack, &raw mut entry, 1, 0) };
    assert_eq!(name(refused), "MNET_EINVAL");
    drop(pair);

    // A program that has not asked for it hears of sockets only.
    let pair = Pair::new(MNET_CONFIG_NONBLOCKING);
    add(pair.stack);
    assert_eq!(events(pair.stack, 2_000_000_000), []);
    assert_ne!(changes(pair.stack) & MNET_CHANGE_ADDRESS_USABLE, 0);
}

#[test]
fn peeked_data_stays_until_it_is_consumed() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    assert_eq!(write(fd, b"abcdef"), 6);
    let peek = || {
        let mut data = ptr::null();
        let len = unsafe { mnet_peek(fd, &raw mut data) };
        let len = usize::try_from(len).unwrap();
        unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) }.to_vec()
    };
    assert_eq!(peek(), b"abcdef");
    assert_eq!(peek(), b"abcdef");
    assert_eq!(mnet_consume(fd, 7), MNET_EINVAL, "more than there is");
    assert_eq!(mnet_consume(fd, 0), 0);
    assert_eq!(mnet_consume(fd, 2), 0);
    assert_eq!(peek(), b"cdef");
    assert_eq!(mnet_consume(fd, 4), 0);
    assert_eq!(mnet_set_nonblocking(fd, 1), 0);
    assert_eq!(mnet_consume(fd, 1), MNET_EINVAL);
    let mut data = ptr::null();
    assert_eq!(name(unsafe { mnet_peek(fd, &raw mut data) }), "MNET_EAGAIN");
    assert!(data.is_null(), "outputs are written on success only");
    assert_eq!(
        unsafe { mnet_peek(fd, ptr::null_mut()) },
        i64::from(MNET_EINVAL)
    );
}

#[test]
fn datagrams_come_back_and_their_true_length_is_told() {
    let pair = Pair::new(0);
    let any = address("0.0.0.0:0");
    let udp = unsafe { mnet_udp_bind(pair.stack, &raw const any) };
    let remote = address("10.0.0.2:7");
    let send = |data: &[u8]| unsafe {
        mnet_sendto(udp, data.as_ptr().cast(), data.len(), &raw const remote)
    };
    for len in [0, 1, 1_472, 1_473, 65_507] {
        assert_eq!(send(&pattern(len)), i64::try_from(len).unwrap());
        let mut buffer = [0_u8; 1_000];
        let mut from = mnet_addr::default();
        let received =
            unsafe { mnet_recvfrom(udp, buffer.as_mut_ptr().cast(), 1_000, &raw mut from) };
        assert_eq!(received, i64::try_from(len).unwrap());
        assert_eq!(
            (from, &buffer[..len.min(1_000)]),
            (remote, &pattern(len)[..len.min(1_000)])
        );
    }
    assert_eq!(name(send(&pattern(65_508))), "MNET_EMSGSIZE");
    assert_eq!(send(b"x"), 1);
    let length = unsafe { mnet_recvfrom(udp, ptr::null_mut(), 0, ptr::null_mut()) };
    assert_eq!(length, 1, "no buffer and no address are wanted");
    assert_eq!(
        unsafe { mnet_sendto(udp, ptr::null(), 1, &raw const remote) },
        -1
    );
    assert_eq!(unsafe { mnet_sendto(udp, ptr::null(), 0, ptr::null()) }, -1);
    assert_eq!(mnet_set_nonblocking(udp, 1), 0);
    let nothing = unsafe { mnet_recvfrom(udp, ptr::null_mut(), 0, ptr::null_mut()) };
    assert_eq!(name(nothing), "MNET_EAGAIN");
    assert_eq!(mnet_close(udp), 0);
}

#[test]
fn a_listener_waits_and_its_connections_take_its_mode() {
    let world = World::new();
    let mut memory = [Memory::new(1 << 20), Memory::new(1 << 20)];
    let stack = open(&config(&mut memory[0], 1));
    let client = open(&manual_config(&mut memory[1], 2));
    let local = address("0.0.0.0:80");
    let listener = unsafe { mnet_listen(stack, &raw const local, 4) };
    assert!(listener > 0);
    assert_eq!(
        unsafe { mnet_listen(stack, &raw const local, 4) },
        i64::from(MNET_EADDRINUSE)
    );

    let remote = address("10.0.0.1:80");
    let fds = [0, 1].map(|_| unsafe { mnet_connect(client, &raw const remote, ptr::null(), 0) });
    assert!(fds.iter().all(|fd| *fd > 0));
    world.peer(move |now| pump(client, now));
    let mut peer = mnet_addr::default();
    let first = unsafe { mnet_accept(listener, &raw mut peer) };
    assert!(first > 0, "{}", name(first));
    assert_eq!(peer.ip, address("10.0.0.2").ip);
    assert_eq!(mnet_set_nonblocking(listener, 1), 0);
    let mut second = i64::from(MNET_EAGAIN);
    while second == i64::from(MNET_EAGAIN) {
        let mut entry = mnet_pollfd {
            fd: listener,
            events: MNET_READABLE,
            revents: 0,
        };
        assert_eq!(unsafe { mnet_poll(stack, &raw mut entry, 1, -1) }, 1);
        second = unsafe { mnet_accept(listener, ptr::null_mut()) };
    }
    assert_eq!(
        name(read(second, &mut [0; 1])),
        "MNET_EAGAIN",
        "non-blocking as the listener"
    );
    assert_eq!(
        name(unsafe { mnet_accept(listener, ptr::null_mut()) }),
        "MNET_EAGAIN"
    );

    // The first one is blocking: reading it waits for what the peer says.
    let mut said = false;
    world.peer(move |now| {
        if !said {
            said = true;
            assert_eq!(write(fds[0], b"late"), 4);
        }
        pump(client, now)
    });
    let mut buffer = [0; 9];
    assert_eq!((read(first, &mut buffer), &buffer[..4]), (4, &b"late"[..]));
    assert_eq!((mnet_abort(first), mnet_close(first)), (0, MNET_EBADF));
    world.peer(|_| u64::MAX);
    assert_eq!((mnet_close_stack(stack), mnet_close_stack(client)), (0, 0));
}

#[test]
fn a_peer_that_resets_is_told_apart_from_one_that_has_finished() {
    let world = World::new();
    let mut memory = [Memory::new(1 << 20), Memory::new(1 << 20)];
    let stack = open(&config(&mut memory[0], 1));
    let client = open(&manual_config(&mut memory[1], 2));
    let local = address("0.0.0.0:80");
    let listener = unsafe { mnet_listen(stack, &raw const local, 4) };
    let remote = address("10.0.0.1:80");
    let theirs = [0, 1].map(|_| unsafe { mnet_connect(client, &raw const remote, ptr::null(), 0) });
    world.peer(move |now| pump(client, now));
    let accept = || {
        let mut peer = mnet_addr::default();
        (unsafe { mnet_accept(listener, &raw mut peer) }, peer.port)
    };
    let ours = [accept(), accept()];
    let port = |fd| {
        let mut addr = mnet_addr::default();
        assert_eq!(unsafe { mnet_sockname(fd, &raw mut addr) }, 0);
        addr.port
    };
    let [finishing, resetting] = theirs.map(|fd| {
        let (ours, _) = ours.iter().find(|(_, peer)| *peer == port(fd)).unwrap();
        (fd, *ours)
    });
    let mut said = false;
    world.peer(move |now| {
        if !said {
            said = true;
            assert_eq!(mnet_shutdown(finishing.0, MNET_SHUT_WR), 0);
            assert_eq!(mnet_abort(resetting.0), 0);
        }
        pump(client, now)
    });
    let mut buffer = [0; 9];
    assert_eq!(read(finishing.1, &mut buffer), 0);
    assert_eq!(write(finishing.1, b"answer"), 6);
    assert_eq!(name(read(resetting.1, &mut buffer)), "MNET_ECONNRESET");
    assert_eq!(name(write(resetting.1, b"answer")), "MNET_ECONNRESET");
    world.peer(|_| u64::MAX);
    assert_eq!((mnet_close_stack(stack), mnet_close_stack(client)), (0, 0));
}

#[test]
fn manual_stacks_are_driven_by_their_owner_alone() {
    let world = World::new();
    let mut memory = [Memory::new(1 << 20), Memory::new(1 << 20)];
    let manual = open(&manual_config(&mut memory[0], 2));
    let device = open(&config(&mut memory[1], 1));
    let mut buffer = [0_u8; 1_514];
    let mut out = |stack, len| {
        let start = buffer.as_mut_ptr().cast();
        name(unsafe { mnet_frame_out(stack, 0, start, len) })
    };
    assert_eq!(out(manual, 1_513), "MNET_EMSGSIZE");
    assert_eq!(out(device, 1_514), "MNET_EINVAL");
    let frame_in =
        |stack, frame: *const c_void, len, now| unsafe { mnet_frame_in(stack, now, frame, len) };
    assert_eq!(frame_in(device, buffer.as_ptr().cast(), 60, 0), MNET_EINVAL);
    assert_eq!(frame_in(manual, ptr::null(), 60, 0), MNET_EINVAL);
    assert_eq!(
        frame_in(manual, buffer.as_ptr().cast(), 60, MNET_NEVER),
        MNET_EINVAL
    );
    for len in [0, 1, 60, 1_514] {
        assert_eq!(
            frame_in(manual, buffer.as_ptr().cast(), len, 0),
            0,
            "it looks and drops"
        );
    }
    assert_eq!(
        unsafe { mnet_step(manual, MNET_NEVER, ptr::null_mut()) },
        MNET_EINVAL
    );
    let remote = address("10.0.0.1:7");
    let fd = unsafe { mnet_connect(manual, &raw const remote, ptr::null(), 0) };
    assert!(fd > 0, "it does not wait");
    assert_eq!(mnet_set_nonblocking(fd, 0), 0);
    assert_eq!(name(read(fd, &mut [0; 9])), "MNET_EAGAIN", "and cannot");
    let mut entry = mnet_pollfd {
        fd,
        events: MNET_WRITABLE,
        revents: 0,
    };
    assert_eq!(unsafe { mnet_poll(manual, &raw mut entry, 1, -1) }, 0);
    assert_eq!((world.yields(), world.sent()), (0, 0));
    let len = unsafe { mnet_frame_out(manual, 5, buffer.as_mut_ptr().cast(), buffer.len()) };
    assert!(len >= 42 && buffer[12..14] == [8, 6], "an ARP packet");
    let mut next = 0;
    assert_eq!(unsafe { mnet_step(manual, 5, &raw mut next) }, 0);
    assert!(next > 5 && next < MNET_NEVER, "{next}: ARP asks again");
    assert_eq!((mnet_close_stack(manual), mnet_close_stack(device)), (0, 0));
}

#[test]
fn a_step_moves_frames_and_never_sleeps() {
    let pair = Pair::new(MNET_CONFIG_NONBLOCKING);
    let yields = pair.world.yields();
    let fd = pair.connect();
    let mut next = 0;
    assert_eq!(
        unsafe { mnet_step(pair.stack, mnet_now(), &raw mut next) },
        0
    );
    assert!(pair.world.sent() > 0 && next < MNET_NEVER);
    assert_eq!(pair.world.yields(), yields);
    // Sleeping is the owner's business.
    let mut rounds = 0;
    while u32::try_from(mnet_readiness(fd)).unwrap() & MNET_WRITABLE == 0 {
        rounds += 1;
        assert!(rounds < 100);
        let mut ready = 0;
        unsafe { solo5_sys::solo5_yield(next, &raw mut ready) };
        assert_eq!(
            unsafe { mnet_step(pair.stack, mnet_now(), &raw mut next) },
            0
        );
    }
    assert_eq!(write(fd, b"x"), 1);
}

#[test]
fn counters_have_names_and_values() {
    let pair = Pair::new(0);
    let count = mnet_counter_count();
    let names: Vec<_> = (0..count)
        .map(|i| {
            unsafe { CStr::from_ptr(mnet_counter_name(i)) }
                .to_str()
                .unwrap()
        })
        .collect();
    assert_eq!(
        names.iter().collect::<HashSet<_>>().len(),
        count,
        "no name twice"
    );
    assert!(mnet_counter_name(count).is_null() && mnet_counter_name(usize::MAX).is_null());
    let value = |name: &str| {
        let index = names.iter().position(|n| *n == name).unwrap();
        let mut value = 0;
        assert_eq!(
            unsafe { mnet_counter_value(pair.stack, index, &raw mut value) },
            0
        );
        value
    };
    assert_eq!((value("rx_frames"), value("sleeps")), (0, 0));
    let _fd = pair.connect();
    assert!(value("rx_frames") > 0 && value("sleeps") > 0);
    let read = |index, value| unsafe { mnet_counter_value(pair.stack, index, value) };
    assert_eq!(read(0, ptr::null_mut()), MNET_EINVAL);
    assert_eq!(read(count, &mut 0), MNET_EINVAL);
    assert_eq!(unsafe { mnet_counter_value(-1, 0, &mut 0) }, MNET_EBADF);
}

#[test]
fn random_numbers_fill_the_buffer_and_differ() {
    let pair = Pair::new(0);
    let random = || {
        let mut bytes = [0_u8; 1_001];
        let start = bytes.as_mut_ptr().cast();
        assert_eq!(unsafe { mnet_random(pair.stack, start, 1_000) }, 0);
        assert_eq!(bytes[1_000], 0);
        bytes
    };
    let (first, second) = (random(), random());
    assert_ne!(first, second);
    assert!(first[990..1_000].iter().any(|byte| *byte != 0));
}
