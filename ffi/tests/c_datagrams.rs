//! UDP sockets of a C program: peers, settings, groups, and datagrams in place.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use std::ffi::c_void;
use std::ptr;
use std::slice;

use common::pair::Pair;
use common::{address, name};
use mnet_ffi::*;

fn error(code: i32) -> &'static str {
    name(code.into())
}

fn info() -> mnet_datagram {
    mnet_datagram {
        size: size_of::<mnet_datagram>(),
        ..mnet_datagram::default()
    }
}

#[test]
fn a_connected_socket_sends_in_place_and_reads_in_place() {
    let pair = Pair::new(0);
    let fd = pair.udp("0.0.0.0:5000");
    let remote = address("10.0.0.2:7");
    let mut room: *mut c_void = ptr::null_mut();
    let reserve = |len, room: &mut *mut c_void| unsafe { mnet_send_reserve(fd, len, room) };
    let commit = |len, to: *const mnet_addr| unsafe { mnet_send_commit(fd, len, to) };
    assert_eq!(error(commit(1, &raw const remote)), "MNET_EINVAL");
    for len in [70_000, usize::MAX, usize::MAX - 100] {
        assert_eq!(error(reserve(len, &mut room)), "MNET_EMSGSIZE", "{len}");
    }
    assert_eq!(reserve(100, &mut room), 0);
    unsafe { slice::from_raw_parts_mut(room.cast::<u8>(), 100) }.fill(b'x');
    // Another length for what is reserved, as wrong as the first ones: it stays.
    for len in [70_000, usize::MAX] {
        assert_eq!(error(reserve(len, &mut room)), "MNET_EMSGSIZE", "{len}");
    }
    assert_eq!(error(commit(5, ptr::null())), "MNET_ENOTCONN");
    assert_eq!(unsafe { mnet_udp_connect(fd, &raw const remote) }, 0);
    assert_eq!(commit(5, ptr::null()), 0);
    let mut data: *const c_void = ptr::null();
    let mut known = info();
    let len = unsafe { mnet_datagram_peek(fd, &raw mut data, &raw mut known) };
    assert_eq!(len, 5, "{}", name(len));
    let bytes = unsafe { slice::from_raw_parts(data.cast::<u8>(), 5) };
    assert_eq!(bytes, b"xxxxx");
    assert_eq!(
        (known.remote, known.local),
        (remote, address("10.0.0.1:5000"))
    );
    assert_eq!(
        (known.interface, known.hop_limit, known.traffic_class),
        (1, 64, 0)
    );
    assert_eq!(mnet_datagram_consume(fd), 0);
    assert_eq!(error(mnet_datagram_consume(fd)), "MNET_EAGAIN");
    // What is reserved goes with the socket.
    assert_eq!(reserve(100, &mut room), 0);
    assert_eq!((mnet_send_cancel(fd), mnet_send_cancel(fd)), (0, 0));
    assert_eq!(reserve(100, &mut room), 0);
    let other = address("10.0.0.3:7");
    assert_eq!(error(commit(1, &raw const other)), "MNET_EISCONN");
    assert_eq!(unsafe { mnet_udp_connect(fd, ptr::null()) }, 0);
    assert_eq!(mnet_close(fd), 0);
    assert_eq!(error(mnet_send_cancel(fd)), "MNET_EBADF");
    let nothing = unsafe { mnet_datagram_peek(fd, ptr::null_mut(), ptr::null_mut()) };
    assert_eq!(name(nothing), "MNET_EINVAL");
}

#[test]
fn messages_carry_what_is_known_and_choose_their_source() {
    let mut pair = Pair::new(0);
    let fd = pair.udp("0.0.0.0:5000");
    let mut message = info();
    message.remote = address("10.0.0.2:7");
    message.local = address("10.0.0.1");
    let send =
        |message: &mnet_datagram| unsafe { mnet_sendmsg(fd, b"hello".as_ptr().cast(), 5, message) };
    assert_eq!(send(&message), 5);
    let mut buffer = [0_u8; 3];
    let mut known = info();
    let receive = |buffer: &mut [u8], known: &mut mnet_datagram| unsafe {
        mnet_recvmsg(fd, buffer.as_mut_ptr().cast(), buffer.len(), known)
    };
    assert_eq!(receive(&mut buffer, &mut known), 5);
    assert_eq!((&buffer, known.remote.port), (b"hel", 7));
    message.local = address("10.0.0.9");
    assert_eq!(name(send(&message)), "MNET_EADDRNOTAVAIL");
    message.interface = 1;
    assert_eq!(name(send(&message)), "MNET_EINVAL");
    known.size = 0;
    assert_eq!(name(receive(&mut buffer, &mut known)), "MNET_EINVAL");
    let none = unsafe { mnet_recvmsg(fd, ptr::null_mut(), 0, ptr::null_mut()) };
    assert_eq!(name(none), "MNET_EINVAL");
    // Where the answer cannot be written, the datagram stays, and so does what the buffer holds.
    let again = mnet_datagram {
        size: size_of::<mnet_datagram>(),
        remote: address("10.0.0.2:7"),
        ..mnet_datagram::default()
    };
    assert_eq!(send(&again), 5);
    let mut ready = mnet_pollfd {
        fd,
        events: MNET_READABLE,
        revents: 0,
    };
    assert_eq!(
        unsafe { mnet_poll(pair.stack, &raw mut ready, 1, 1_000_000_000) },
        1
    );
    let inside = pair.memory[0]
        .start()
        .cast::<mnet_datagram>()
        .wrapping_byte_add(4_096);
    let size = unsafe { inside.cast::<usize>().read() };
    unsafe { inside.cast::<usize>().write(size_of::<mnet_datagram>()) };
    buffer.fill(b'-');
    let refused = receive(&mut buffer, unsafe { &mut *inside });
    unsafe { inside.cast::<usize>().write(size) };
    assert_eq!((name(refused), &buffer), ("MNET_EINVAL", b"---"));
    known = info();
    assert_eq!(receive(&mut buffer, &mut known), 5);
    assert_eq!(&buffer, b"hel");
    let mut last = mnet_udp_error {
        size: size_of::<mnet_udp_error>(),
        error: 7,
        ..mnet_udp_error::default()
    };
    assert_eq!(unsafe { mnet_udp_last_error(fd, &raw mut last) }, 0);
    assert_eq!((last.error, last.remote.family), (0, MNET_AF_NONE));
}

#[test]
fn settings_and_groups_are_checked_and_used() {
    let pair = Pair::new(0);
    let fd = pair.udp("0.0.0.0:5000");
    let broadcast = address("10.0.0.255:9");
    let send = || unsafe { mnet_sendto(fd, b"x".as_ptr().cast(), 1, &raw const broadcast) };
    assert_eq!(name(send()), "MNET_EACCES");
    assert_eq!(mnet_udp_set(fd, MNET_UDP_BROADCAST, 1), 0);
    assert_eq!(send(), 1);
    for (setting, value) in [
        (MNET_UDP_TTL, 9),
        (MNET_UDP_TRAFFIC_CLASS, 255),
        (MNET_UDP_MULTICAST_TTL, 0),
        (MNET_UDP_MULTICAST_INTERFACE, 1),
        (MNET_UDP_MULTICAST_INTERFACE, 0),
        (MNET_UDP_MULTICAST_LOOP, 1),
        (MNET_UDP_RECEIVE_BUFFER, 10_000),
        (MNET_UDP_DONT_FRAGMENT, 1),
    ] {
        assert_eq!(mnet_udp_set(fd, setting, value), 0, "{setting}");
    }
    for (setting, value) in [
        (MNET_UDP_TTL, 0),
        (MNET_UDP_TTL, 256),
        (MNET_UDP_TRAFFIC_CLASS, 256),
        (MNET_UDP_MULTICAST_INTERFACE, 2),
        (MNET_UDP_MULTICAST_LOOP, 2),
        (MNET_UDP_RECEIVE_BUFFER, 0),
        (99, 0),
    ] {
        let status = mnet_udp_set(fd, setting, value);
        assert_eq!(error(status), "MNET_EINVAL", "{setting}");
    }
    let group = address("239.1.2.3");
    let source = address("10.0.0.2");
    let change = |change, with_source: bool, interface| unsafe {
        let source = if with_source {
            &raw const source
        } else {
            ptr::null()
        };
        error(mnet_group(fd, change, &raw const group, source, interface))
    };
    assert_eq!(change(MNET_GROUP_LEAVE, false, 0), "MNET_EADDRNOTAVAIL");
    assert_eq!(change(MNET_GROUP_JOIN, true, 0), "MNET_EINVAL");
    assert_eq!(change(MNET_GROUP_BLOCK, false, 0), "MNET_EINVAL");
    assert_eq!(change(MNET_GROUP_JOIN, false, 9), "MNET_EINVAL");
    assert_eq!(change(MNET_GROUP_JOIN, false, 0), "0");
    assert_eq!(change(MNET_GROUP_JOIN, false, 1), "MNET_EADDRINUSE");
    assert_eq!(change(MNET_GROUP_BLOCK, true, 1), "0");
    assert_eq!(change(MNET_GROUP_UNBLOCK, true, 0), "0");
    assert_eq!(change(MNET_GROUP_JOIN_SOURCE, true, 0), "MNET_EINVAL");
    // What it sends to the group, it hears as a member.
    let to = address("239.1.2.3:5000");
    let sent = unsafe { mnet_sendto(fd, b"loop".as_ptr().cast(), 4, &raw const to) };
    assert_eq!(sent, 4);
    let mut buffer = [0_u8; 9];
    let mut known = info();
    let got = unsafe { mnet_recvmsg(fd, buffer.as_mut_ptr().cast(), 9, &raw mut known) };
    assert_eq!((got, known.local), (4, to));
    assert_eq!(change(MNET_GROUP_LEAVE, false, 0), "0");
    assert_eq!(change(MNET_GROUP_JOIN_SOURCE, true, 0), "0");
    assert_eq!(change(MNET_GROUP_LEAVE_SOURCE, true, 0), "0");
    assert_eq!(change(MNET_GROUP_LEAVE, false, 0), "MNET_EADDRNOTAVAIL");
}

#[test]
fn a_port_is_shared_where_all_agree() {
    let pair = Pair::new(0);
    let local = address("0.0.0.0:6000");
    let shared = || unsafe { mnet_udp_bind_shared(pair.stack, &raw const local) };
    let (first, second) = (shared(), shared());
    assert!(first > 0 && second > 0);
    let alone = unsafe { mnet_udp_bind(pair.stack, &raw const local) };
    assert_eq!(name(alone), "MNET_EADDRINUSE");
    let remote = address("10.0.0.2:7");
    for (fd, expected) in [(first, "0"), (second, "MNET_EADDRINUSE")] {
        let status = unsafe { mnet_udp_connect(fd, &raw const remote) };
        assert_eq!(error(status), expected);
    }
}

#[test]
fn what_became_of_a_datagram_is_told() {
    let pair = Pair::new(0);
    let fd = pair.udp("0.0.0.0:0");
    let send = |len: usize, text| {
        let (bytes, remote) = (vec![7_u8; len], address(text));
        let sent = unsafe { mnet_sendto(fd, bytes.as_ptr().cast(), len, &raw const remote) };
        name(sent)
    };
    assert_eq!(send(1, "192.0.2.1:7"), "MNET_ENETUNREACH");
    assert_eq!(send(65_508, "10.0.0.2:7"), "MNET_EMSGSIZE");
    // In fragments, or not at all.
    let mut buffer = [0_u8; 4_000];
    let mut receive = || {
        let start = buffer.as_mut_ptr().cast();
        unsafe { mnet_recvfrom(fd, start, buffer.len(), ptr::null_mut()) }
    };
    assert_eq!(send(3_000, "10.0.0.2:7"), "0");
    assert_eq!(receive(), 3_000);
    assert_eq!(mnet_udp_set(fd, MNET_UDP_DONT_FRAGMENT, 1), 0);
    assert_eq!(send(3_000, "10.0.0.2:7"), "MNET_EMSGSIZE");
    // Nobody is at port 99.
    assert_eq!(send(1, "10.0.0.2:99"), "0");
    assert_eq!(name(receive()), "MNET_ECONNREFUSED");
    let mut last = mnet_udp_error {
        size: size_of::<mnet_udp_error>(),
        ..mnet_udp_error::default()
    };
    assert_eq!(unsafe { mnet_udp_last_error(fd, &raw mut last) }, 0);
    assert_eq!(
        (error(last.error), last.remote),
        ("MNET_ECONNREFUSED", address("10.0.0.2:99"))
    );
}
