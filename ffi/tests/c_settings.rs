//! What a C program can choose for its connections and learn of them, and how long its calls wait.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use std::ffi::{CStr, c_char};
use std::ptr;

use common::pair::{Pair, read, write};
use common::{Memory, World, address, manual_config, name, open};
use mnet_ffi::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

fn settings(fd: mnet_fd) -> mnet_tcp_settings {
    let mut settings = mnet_tcp_settings::default();
    let size = size_of::<mnet_tcp_settings>();
    assert_eq!(unsafe { mnet_tcp_settings(fd, &raw mut settings, size) }, 0);
    settings
}

fn info(fd: mnet_fd) -> mnet_tcp_info {
    let mut info = mnet_tcp_info::default();
    let size = size_of::<mnet_tcp_info>();
    assert_eq!(unsafe { mnet_tcp_info(fd, &raw mut info, size) }, 0);
    info
}

fn text(text: *const c_char) -> &'static str {
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

fn error(code: i32) -> &'static str {
    name(i64::from(code))
}

#[test]
fn every_setting_is_what_was_set() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    let defaults = mnet_tcp_settings {
        linger_ns: -1,
        delayed_ack_ns: 40 * MS,
        receive_buffer: 4 << 20,
        send_buffer: 4 << 20,
        congestion: MNET_CONGESTION_CUBIC,
        ttl: 64,
        ..mnet_tcp_settings::default()
    };
    assert_eq!(settings(fd), defaults);
    for status in [
        mnet_set_nodelay(fd, 1),
        mnet_set_cork(fd, 1),
        mnet_set_keepalive(fd, 1, 10 * SECOND, 2 * SECOND, 3),
        mnet_set_user_timeout(fd, 30 * SECOND),
        mnet_set_linger(fd, 0),
        mnet_set_delayed_ack(fd, 5 * MS),
        mnet_set_congestion(fd, MNET_CONGESTION_NEW_RENO),
        mnet_set_receive_buffer(fd, 8_192),
        mnet_set_send_buffer(fd, 16_384),
        mnet_set_ttl(fd, 9),
        mnet_set_dscp(fd, 46),
    ] {
        assert_eq!(status, 0);
    }
    let all = mnet_tcp_settings {
        keepalive_idle_ns: 10 * SECOND,
        keepalive_interval_ns: 2 * SECOND,
        user_timeout_ns: 30 * SECOND,
        connect_timeout_ns: 0,
        linger_ns: 0,
        delayed_ack_ns: 5 * MS,
        receive_buffer: 8_192,
        send_buffer: 16_384,
        keepalive_count: 3,
        congestion: MNET_CONGESTION_NEW_RENO,
        ttl: 9,
        dscp: 46,
        nodelay: 1,
        cork: 1,
    };
    assert_eq!(settings(fd), all);
    // Zero stands for the defaults of RFC 9293 and practice.
    assert_eq!(mnet_set_keepalive(fd, 1, 0, 0, 0), 0);
    let now = settings(fd);
    assert_eq!(
        (
            now.keepalive_idle_ns,
            now.keepalive_interval_ns,
            now.keepalive_count
        ),
        (7_200 * SECOND, 75 * SECOND, 9)
    );
    assert_eq!(mnet_set_keepalive(fd, 0, 1, 1, 1_000), 0);
    assert_eq!(settings(fd).keepalive_idle_ns, 0);
}

#[test]
fn what_is_out_of_range_or_no_connection_is_refused_and_changes_nothing() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    let before = settings(fd);
    for status in [
        mnet_set_keepalive(fd, 1, SECOND - MS, 0, 0),
        mnet_set_keepalive(fd, 1, 0, 0, 256),
        mnet_set_user_timeout(fd, MS),
        mnet_set_user_timeout(fd, u64::MAX),
        mnet_set_linger(fd, i64::MAX),
        mnet_set_delayed_ack(fd, 501 * MS),
        mnet_set_congestion(fd, MNET_CONGESTION_DEFAULT),
        mnet_set_congestion(fd, 99),
        mnet_set_receive_buffer(fd, usize::MAX),
        mnet_set_send_buffer(fd, 0),
        mnet_set_ttl(fd, 0),
        mnet_set_ttl(fd, 256),
        mnet_set_dscp(fd, 64),
        mnet_set_timeout(fd, 0, SECOND),
        mnet_set_timeout(fd, MNET_ERROR, SECOND),
        mnet_set_timeout(fd, MNET_READABLE, u64::MAX),
        unsafe { mnet_tcp_settings(fd, ptr::null_mut(), 8) },
        unsafe { mnet_tcp_info(fd, ptr::null_mut(), 8) },
    ] {
        assert_eq!(error(status), "MNET_EINVAL");
    }
    assert_eq!(settings(fd), before);
    let local = address("10.0.0.1:53");
    let udp = unsafe { mnet_udp_bind(pair.stack, &raw const local) };
    assert_eq!(mnet_close(fd), 0);
    let mut info = mnet_tcp_info::default();
    for stale in [fd, udp, 0, -7, i64::MAX] {
        assert_eq!(error(mnet_set_cork(stale, 1)), "MNET_EBADF");
        let status = unsafe { mnet_tcp_info(stale, &raw mut info, 8) };
        assert_eq!(error(status), "MNET_EBADF");
        let status = unsafe { mnet_peers(stale, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(error(status), "MNET_EBADF");
    }
    assert_eq!(info, mnet_tcp_info::default(), "written only on success");
}

#[test]
fn a_listener_hands_its_settings_on() {
    let pair = Pair::new(0);
    let local = address("10.0.0.1:8");
    let listener = unsafe { mnet_listen(pair.stack, &raw const local, 4) };
    assert_eq!(mnet_set_keepalive(listener, 1, 5 * SECOND, SECOND, 2), 0);
    assert_eq!(mnet_set_ttl(listener, 7), 0);
    let fd = unsafe { mnet_connect(pair.server, &raw const local, ptr::null(), 0) };
    assert!(fd > 0);
    let accepted = unsafe { mnet_accept(listener, ptr::null_mut()) };
    assert!(accepted > 0, "{}", name(accepted));
    let inherited = settings(accepted);
    assert_eq!(
        (inherited.keepalive_idle_ns, inherited.ttl),
        (5 * SECOND, 7)
    );
    assert_eq!(settings(fd).ttl, 64);
}

#[test]
fn the_configuration_gives_the_defaults_of_connections() {
    let pair = Pair::with(|config| {
        config.tcp_keepalive_idle_ns = 60 * SECOND;
        config.tcp_keepalive_count = 4;
        config.tcp_connect_timeout_ns = 2 * SECOND;
        config.tcp_delayed_ack_ns = 10 * MS;
        config.tcp_congestion = MNET_CONGESTION_NEW_RENO;
        config.tcp_ttl = 30;
        config.tcp_dscp = 10;
        config.tcp_ecn = MNET_ECN_ACTIVE;
    });
    let fd = pair.connect();
    let now = settings(fd);
    assert_eq!(now.keepalive_idle_ns, 60 * SECOND);
    assert_eq!(now.keepalive_interval_ns, 75 * SECOND);
    assert_eq!(now.keepalive_count, 4);
    assert_eq!(now.connect_timeout_ns, 2 * SECOND);
    assert_eq!(now.delayed_ack_ns, 10 * MS);
    assert_eq!(now.congestion, MNET_CONGESTION_NEW_RENO);
    assert_eq!((now.ttl, now.dscp), (30, 10));
    assert_ne!(info(fd).flags & MNET_TCP_HAS_ECN, 0, "both sides speak it");
}

#[test]
fn accurate_ecn_is_spoken_where_both_sides_know_it() {
    let pair = Pair::with(|config| config.tcp_ecn = MNET_ECN_ACCURATE);
    // The other side answers classic requests only.
    assert_eq!(info(pair.connect()).flags & MNET_TCP_HAS_ACCURATE_ECN, 0);
    drop(pair);
    let both = Pair::of(
        |config| config.tcp_ecn = MNET_ECN_ACCURATE,
        |config| config.tcp_ecn = MNET_ECN_ACCURATE,
    );
    let wanted = MNET_TCP_HAS_ACCURATE_ECN | MNET_TCP_HAS_ECN;
    assert_eq!(info(both.connect()).flags & wanted, wanted);
}

/// RFC 4987 §3.6: with cookies alone, no half-open connection is ever remembered.
#[test]
fn a_server_with_cookies_and_a_limit_for_each_peer() {
    let pair = Pair::of(
        |config| config.flags = MNET_CONFIG_NO_AUTOTUNING | MNET_CONFIG_NO_PACING,
        |config| {
            config.tcp_syn_cookies = MNET_SYN_COOKIES_ALWAYS;
            config.max_connections_per_peer = 2;
        },
    );
    let first = pair.connect();
    let second = pair.connect();
    assert_eq!(write(first, b"ping"), 4);
    assert_eq!(read(first, &mut [0; 9]), 4);
    // The third one is too many for this peer: its SYNs are ignored.
    let remote = address("10.0.0.2:7");
    let third =
        unsafe { mnet_connect_timeout(pair.stack, &raw const remote, ptr::null(), 0, 5 * SECOND) };
    assert_eq!(name(third), "MNET_ETIMEDOUT");
    assert!(info(second).state == MNET_TCP_ESTABLISHED);
    // Without autotuning the whole buffer is announced, as far as memory allows.
    assert!(info(first).rcv_wnd > 1 << 17, "{}", info(first).rcv_wnd);
}

#[test]
fn a_configuration_out_of_range_is_refused() {
    let _world = World::new();
    let mut memory = Memory::new(2 << 20);
    let refused: [fn(&mut mnet_config); 11] = [
        |config| config.tcp_keepalive_idle_ns = 1,
        |config| config.tcp_user_timeout_ns = SECOND,
        |config| config.tcp_delayed_ack_ns = SECOND,
        |config| config.tcp_congestion = 3,
        |config| config.tcp_ecn = 5,
        |config| config.tcp_syn_cookies = 4,
        |config| config.tcp_syn_retries = 256,
        |config| config.tcp_syn_ack_retries = 256,
        |config| config.tcp_ttl = 256,
        |config| config.tcp_dscp = 64,
        |config| config.reserved2 = 1,
    ];
    for change in refused {
        let mut config = manual_config(&mut memory, 1);
        change(&mut config);
        assert_eq!(name(unsafe { mnet_open(&raw const config) }), "MNET_EINVAL");
    }
    // A program that was compiled before these members existed.
    let mut config = manual_config(&mut memory, 1);
    config.size = std::mem::offset_of!(mnet_config, tcp_keepalive_idle_ns);
    config.tcp_ttl = 999;
    let stack = open(&config);
    assert_eq!(mnet_close_stack(stack), 0);
}

#[test]
fn a_snapshot_and_both_ends_of_a_connection() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    assert_eq!(write(fd, &[7; 5_000]), 5_000);
    let mut buffer = [0; 5_000];
    let mut got = 0;
    while got < 5_000 {
        got += read(fd, &mut buffer);
    }
    let now = info(fd);
    assert_eq!(text(mnet_tcp_state_name(now.state)), "ESTABLISHED");
    assert_eq!(text(mnet_congestion_name(now.congestion)), "cubic");
    assert_eq!(now.flags & MNET_TCP_HAS_SACK, MNET_TCP_HAS_SACK);
    assert_eq!((now.bytes_delivered, now.bytes_received), (5_000, 5_000));
    assert_eq!((now.in_flight, now.unsent, now.unread), (0, 0, 0));
    assert_eq!((now.path_mtu, now.ssthresh), (1_500, u32::MAX));
    assert!(now.rto_ns >= 200 * MS && now.cwnd >= 10 * now.mss);

    // An older program's structure is filled as far as it goes.
    let mut old = mnet_tcp_info {
        rttvar_ns: 77,
        ..mnet_tcp_info::default()
    };
    assert_eq!(unsafe { mnet_tcp_info(fd, &raw mut old, 8) }, 0);
    assert_eq!((old.srtt_ns, old.rttvar_ns), (now.srtt_ns, 77));

    let (mut local, mut remote) = (mnet_addr::default(), mnet_addr::default());
    assert_eq!(
        unsafe { mnet_peers(fd, &raw mut local, &raw mut remote) },
        0
    );
    assert_eq!(remote, address("10.0.0.2:7"));
    assert_eq!(local.ip, address("10.0.0.1").ip);
    assert_eq!(text(mnet_tcp_state_name(99)), "?");
    assert_eq!(text(mnet_congestion_name(0)), "?");
}

#[test]
fn the_list_goes_on_where_it_stopped() {
    let pair = Pair::new(0);
    let clients: Vec<mnet_fd> = (0..5).map(|_| pair.connect()).collect();
    let mut listed = Vec::new();
    let mut cursor = 0;
    loop {
        let mut entries = [mnet_tcp_entry::default(); 2];
        let (place, entries_start) = (&raw mut cursor, entries.as_mut_ptr());
        let count = unsafe { mnet_tcp_list(pair.stack, place, entries_start, 2) };
        let count = usize::try_from(count).expect("no error");
        listed.extend_from_slice(&entries[..count]);
        if count == 0 {
            break;
        }
    }
    assert_eq!(listed.len(), 5);
    for (entry, fd) in listed.iter().zip(&clients) {
        assert_eq!((entry.fd, entry.state), (*fd, MNET_TCP_ESTABLISHED));
        assert_eq!(entry.remote, address("10.0.0.2:7"));
    }
    let mut entry = mnet_tcp_entry::default();
    let mut list = |stack, max| {
        let mut cursor = 0;
        name(unsafe { mnet_tcp_list(stack, &raw mut cursor, &raw mut entry, max) })
    };
    assert_eq!(list(pair.stack, 0), "MNET_EINVAL");
    assert_eq!(list(-1, 1), "MNET_EBADF");
    // The other side's, with its listener.
    let mut cursor = 0;
    let count = unsafe { mnet_tcp_list(pair.server, &raw mut cursor, &raw mut entry, 1) };
    assert_eq!((count, entry.state), (1, MNET_TCP_LISTEN));
    assert_eq!(entry.remote.family, MNET_AF_NONE);
}

#[test]
fn calls_wait_no_longer_than_said() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    assert_eq!(mnet_set_timeout(fd, MNET_READABLE, 250 * MS), 0);
    let start = mnet_now();
    assert_eq!(name(read(fd, &mut [0; 9])), "MNET_EAGAIN");
    assert_eq!(mnet_now(), start + 250 * MS, "neither early nor late");
    let mut data = ptr::null();
    assert_eq!(name(unsafe { mnet_peek(fd, &raw mut data) }), "MNET_EAGAIN");
    // The connection is as good as before.
    assert_eq!(write(fd, b"hello"), 5);
    assert_eq!(read(fd, &mut [0; 9]), 5);

    let local = address("10.0.0.1:80");
    let listener = unsafe { mnet_listen(pair.stack, &raw const local, 1) };
    assert_eq!(mnet_set_timeout(listener, MNET_READABLE, SECOND), 0);
    let start = mnet_now();
    let accepted = unsafe { mnet_accept(listener, ptr::null_mut()) };
    assert_eq!(name(accepted), "MNET_EAGAIN");
    assert_eq!(mnet_now(), start + SECOND);

    let udp = unsafe { mnet_udp_bind(pair.stack, &raw const local) };
    assert_eq!(mnet_set_timeout(udp, MNET_READABLE, 1), 0);
    let start = mnet_now();
    let mut buffer = [0_u8; 9];
    let got = unsafe { mnet_recvfrom(udp, buffer.as_mut_ptr().cast(), 9, ptr::null_mut()) };
    assert_eq!(name(got), "MNET_EAGAIN");
    assert_eq!(mnet_now(), start + MS, "rounded up to a millisecond");

    // Nobody takes what is written: the part that found room is told.
    pair.unplug();
    assert_eq!(mnet_set_send_buffer(fd, 4_096), 0);
    assert_eq!(mnet_set_timeout(fd, MNET_WRITABLE, 300 * MS), 0);
    let start = mnet_now();
    assert_eq!(write(fd, &[1; 10_000]), 4_096);
    assert_eq!(mnet_now(), start + 300 * MS);
    assert_eq!(name(write(fd, &[1; 10_000])), "MNET_EAGAIN");
    // Zero waits for ever again; here, until the connection has failed.
    assert_eq!(mnet_set_timeout(fd, MNET_READABLE | MNET_WRITABLE, 0), 0);
    assert_eq!(mnet_set_user_timeout(fd, 10 * SECOND), 0);
    assert_eq!(name(read(fd, &mut [0; 9])), "MNET_ETIMEDOUT");
}

#[test]
fn connecting_takes_no_longer_than_said() {
    let pair = Pair::new(0);
    // The neighbour is known, then silent: nobody says that it cannot be reached.
    let fd = pair.connect();
    pair.unplug();
    let remote = address("10.0.0.2:7");
    let connect = |flags, time| unsafe {
        mnet_connect_timeout(pair.stack, &raw const remote, ptr::null(), flags, time)
    };
    let start = mnet_now();
    assert_eq!(name(connect(0, 1_500 * MS)), "MNET_ETIMEDOUT");
    let took = mnet_now() - start;
    assert!((1_500 * MS..1_503 * MS).contains(&took), "{took}");
    assert_eq!(name(connect(0, u64::MAX)), "MNET_EINVAL");
    let pending = connect(MNET_NONBLOCK, 200 * MS);
    assert!(pending > 0);
    unsafe { mnet_poll(pair.stack, ptr::null_mut(), 0, 203 * 1_000_000) };
    assert_eq!(name(write(pending, b"")), "MNET_ETIMEDOUT");
    assert_eq!((mnet_close(pending), mnet_close(fd)), (0, 0));
}

/// RFC 1122 §2.4: it took 63 seconds, and said that the peer did not answer.
#[test]
fn connecting_to_a_silent_neighbour_fails_after_three_seconds_as_unreachable() {
    let pair = Pair::new(0);
    let remote = address("10.0.0.77:7");
    let start = mnet_now();
    let fd = unsafe { mnet_connect(pair.stack, &raw const remote, ptr::null(), 0) };
    assert_eq!(name(fd), "MNET_EHOSTUNREACH");
    let took = mnet_now() - start;
    assert!((3 * SECOND..3_100 * MS).contains(&took), "{took}");
}

#[test]
fn closing_lingers_as_long_as_said() {
    let pair = Pair::new(0);
    // Delivered in time: the echo server's end acknowledges at once.
    let fd = pair.connect();
    assert_eq!(mnet_set_linger(fd, 5_000_000_000), 0);
    assert_eq!(write(fd, &[3; 100]), 100);
    assert_eq!(read(fd, &mut [0; 200]), 100);
    let start = mnet_now();
    assert_eq!(mnet_close(fd), 0);
    assert!(mnet_now() - start < SECOND);
    assert_eq!(error(mnet_close(fd)), "MNET_EBADF");

    // Not delivered: the time is over, and it goes on in the background.
    let fd = pair.connect();
    let hasty = pair.connect();
    pair.unplug();
    assert_eq!(mnet_set_linger(fd, 2_000_000_000), 0);
    assert_eq!(write(fd, b"?"), 1);
    let start = mnet_now();
    assert_eq!(error(mnet_close(fd)), "MNET_EAGAIN");
    assert_eq!(mnet_now(), start + 2 * SECOND);
    assert_eq!(
        error(mnet_close(fd)),
        "MNET_EBADF",
        "the handle is gone all the same"
    );

    // Zero resets, non-blocking sockets do not wait.
    assert_eq!(mnet_set_linger(hasty, 2_000_000_000), 0);
    assert_eq!(write(hasty, b"?"), 1);
    assert_eq!(mnet_set_nonblocking(hasty, 1), 0);
    let start = mnet_now();
    assert_eq!(mnet_close(hasty), 0);
    assert_eq!(mnet_now(), start);
}

#[test]
fn a_peer_that_is_gone_is_noticed_by_probes() {
    let pair = Pair::new(0);
    let fd = pair.connect();
    assert_eq!(mnet_set_keepalive(fd, 1, 10 * SECOND, SECOND, 3), 0);
    // It answers for a while.
    assert_eq!(mnet_set_timeout(fd, MNET_READABLE, 60 * SECOND), 0);
    assert_eq!(name(read(fd, &mut [0; 9])), "MNET_EAGAIN");
    pair.unplug();
    let start = mnet_now();
    assert_eq!(name(read(fd, &mut [0; 9])), "MNET_ETIMEDOUT");
    assert!(mnet_now() - start < 15 * SECOND);
}

/// The value of a counter.
fn counter(stack: mnet_stack, wanted: &str) -> u64 {
    (0..mnet_counter_count())
        .find(|index| {
            let name = unsafe { CStr::from_ptr(mnet_counter_name(*index)) };
            name.to_str() == Ok(wanted)
        })
        .map(|index| {
            let mut value = 0;
            assert_eq!(
                unsafe { mnet_counter_value(stack, index, &raw mut value) },
                0
            );
            value
        })
        .expect("a counter of that name")
}

/// RFC 7413: the first connection brings the cookie, the second one's data goes with its SYN.
#[test]
fn data_goes_with_the_syn_to_a_server_that_is_known() {
    let pair = Pair::new(0);
    let remote = address("10.0.0.2:7");
    for round in 0..2 {
        let mut taken = 0;
        let connection = unsafe {
            let (data, nowhere) = (c"hello".as_ptr().cast(), ptr::null());
            let remote = &raw const remote;
            mnet_connect_early(pair.stack, remote, nowhere, 0, 0, data, 5, &raw mut taken)
        };
        assert!(connection > 0, "{}", name(connection));
        assert_eq!(taken, 5);
        let mut got = [0; 16];
        assert_eq!((read(connection, &mut got), &got[..5]), (5, &b"hello"[..]));
        assert_eq!(counter(pair.server, "tcp_fast_opens_accepted"), round);
        assert_eq!(counter(pair.stack, "tcp_fast_opens_taken"), round);
    }
}

#[test]
fn choices_of_listeners_are_checked() {
    let pair = Pair::new(0);
    let local = address("10.0.0.1:8");
    let good = mnet_listen_options {
        size: size_of::<mnet_listen_options>(),
        backlog: 1,
        max_connections: 1,
        fast_open: 0,
    };
    let listen = |options: *const mnet_listen_options| {
        name(unsafe { mnet_listen_with(pair.stack, &raw const local, options) })
    };
    assert_eq!(listen(ptr::null()), "MNET_EINVAL");
    assert_eq!(
        listen(&mnet_listen_options { backlog: 0, ..good }),
        "MNET_EINVAL"
    );
    assert_eq!(
        listen(&mnet_listen_options { size: 8, ..good }),
        "MNET_EINVAL"
    );
    let connection = unsafe {
        let (remote, nothing) = (&raw const local, ptr::null());
        mnet_connect_early(
            pair.stack,
            remote,
            ptr::null(),
            0,
            0,
            nothing,
            0,
            ptr::null_mut(),
        )
    };
    assert_eq!(name(connection), "MNET_EINVAL");
    assert!(unsafe { mnet_listen_with(pair.stack, &raw const local, &raw const good) } > 0);
}
