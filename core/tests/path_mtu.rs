//! Paths that carry less than the links at their ends, with routers that say so and with such that
//! do not. Data flows without end; what counts is that it goes on.

mod common;

use common::bulk::Bulk;
use common::path::Conditions;
use common::world::{ADDRESSES, CLIENT, SERVER};
use mnet_core::Config;
use mnet_core::Counters;
use mnet_core::config::TcpConfig;
use std::net::SocketAddr;
use std::time::Duration;

/// The longest time without a byte: the smallest retransmission timeout, and a round trip.
const ONE_TIMEOUT: Duration = Duration::from_millis(300);

/// 20 Mbit/s, 20 ms each way.
fn path(mtu: usize, icmp: bool) -> Bulk {
    let delay = Conditions::clean(Duration::from_millis(20));
    let data = Conditions {
        rate: Some((20_000_000, 200_000)),
        mtu,
        icmp,
        ..delay
    };
    let mut path = Bulk::with(&Config::default(), 1, [delay, data]);
    path.connect();
    path
}

fn counters(path: &Bulk) -> &Counters {
    path.world.sides[CLIENT].stack.counters()
}

fn set_mtu(path: &mut Bulk, mtu: usize, icmp: bool) {
    let conditions = &mut path.world.path[CLIENT].conditions;
    (conditions.mtu, conditions.icmp) = (mtu, icmp);
}

/// The longest time in which nothing arrives, to 10 ms, while `duration` passes.
fn longest_stall(path: &mut Bulk, duration: Duration) -> Duration {
    const STEP: Duration = Duration::from_millis(10);
    let (mut longest, mut stall) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..duration.as_millis() / STEP.as_millis() {
        stall = match path.run_bytes(STEP)[0] {
            0 => stall + STEP,
            _ => Duration::ZERO,
        };
        longest = longest.max(stall);
    }
    longest
}

fn share(path: &mut Bulk) -> f64 {
    path.run(Duration::from_secs(5))[0]
}

/// RFC 1191 §6.5: the first full segments are too large. They go again at once, without a timeout
/// and without a smaller window.
#[test]
fn a_router_s_word_is_believed_at_once_before_full_segments_have_arrived() {
    let mut path = path(1400, true);
    let stall = longest_stall(&mut path, Duration::from_secs(2));
    assert!(stall < ONE_TIMEOUT, "{stall:?}");
    let counters = *counters(&path);
    assert_eq!(counters.tcp_path_mtu_lowered, 1);
    assert_eq!((counters.tcp_timeouts, counters.tcp_black_holes), (0, 0));
    assert!(share(&mut path) > 0.85);
}

/// RFC 5927 §7.2: once full segments have arrived, it takes a timeout to believe.
#[test]
fn a_path_that_becomes_smaller_stalls_for_one_timeout_at_most() {
    for mtu in [1400, 1280, 1000, 600] {
        let mut path = path(1500, true);
        path.run(Duration::from_secs(3));
        set_mtu(&mut path, mtu, true);
        let stall = longest_stall(&mut path, Duration::from_secs(3));
        assert!(
            stall <= ONE_TIMEOUT + Duration::from_millis(100),
            "{mtu}: {stall:?}"
        );
        let counters = *counters(&path);
        assert_eq!(counters.tcp_path_mtu_lowered, 1, "{mtu}");
        assert_eq!(counters.tcp_black_holes, 0, "{mtu}");
        assert!(share(&mut path) > 0.7, "{mtu}");
    }
}

/// The same where small segments, which pass, lie between the full ones: their acknowledgements tell
/// of the loss, and the word is believed as soon as that is known. Sent again as they were, the full
/// ones would not pass either.
#[test]
fn a_path_that_becomes_smaller_stalls_for_a_round_trip_where_small_segments_pass() {
    let round_trip = Duration::from_millis(40);
    let config = Config {
        tcp: TcpConfig {
            nodelay: true,
            ..TcpConfig::default()
        },
        ..Config::default()
    };
    for mtu in [1400, 1280, 1000] {
        let clean = Conditions::clean(round_trip / 2);
        let mut path = Bulk::with(&config, 1, [clean, clean]);
        let pause = Duration::from_millis(5);
        path.answer(1, pause);
        path.write_regularly(2_000, pause, Duration::from_secs(3));
        set_mtu(&mut path, mtu, true);
        let stall = path.write_regularly(2_000, pause, Duration::from_secs(2));
        assert!(stall <= round_trip * 2, "{mtu}: {stall:?}");
        let counters = *counters(&path);
        assert_eq!(counters.tcp_path_mtu_lowered, 1, "{mtu}");
        assert_eq!(
            (counters.tcp_timeouts, counters.tcp_fast_retransmits),
            (0, 0),
            "{mtu}"
        );
    }
}

/// RFC 4821 §7.7: nobody says why full segments do not arrive.
#[test]
fn a_black_hole_is_found_and_the_largest_size_that_passes_searched() {
    for (mtu, least) in [(1400, 0.85), (1280, 0.75), (1100, 0.7), (800, 0.5)] {
        for late in [false, true] {
            let mut path = path(if late { 1500 } else { mtu }, false);
            path.run(Duration::from_secs(3));
            set_mtu(&mut path, mtu, false);
            path.run(Duration::from_secs(15));
            let found = *counters(&path);
            assert!((1..=2).contains(&found.tcp_black_holes), "{mtu} {late}");
            assert!(found.tcp_mtu_probes_lost > 0, "{mtu} {late}");
            let reductions = found.tcp_fast_retransmits;
            let too_big = path.world.path[CLIENT].fates.too_big;
            let share = share(&mut path);
            assert!(share > least, "{mtu} {late}: {share:.2}");
            let after = counters(&path);
            assert_eq!(
                path.world.path[CLIENT].fates.too_big, too_big,
                "the search is over"
            );
            assert_eq!(after.tcp_black_holes, found.tcp_black_holes);
            // Only the queue of the bottleneck has reduced the window since.
            assert!(after.tcp_fast_retransmits - reductions <= 3);
        }
    }
}

/// An outage looks the same: afterwards the first probe shows that full segments pass.
#[test]
fn after_an_outage_segments_are_full_again() {
    let mut path = path(1500, false);
    path.run(Duration::from_secs(3));
    path.world.path[CLIENT].conditions.down = true;
    path.run(Duration::from_secs(2));
    path.world.path[CLIENT].conditions.down = false;
    path.run(Duration::from_secs(8));
    let counters = *counters(&path);
    assert!(counters.tcp_black_holes >= 1);
    assert_eq!(
        (counters.tcp_path_mtu_raised, counters.tcp_mtu_probes_lost),
        (1, 0)
    );
    assert!(share(&mut path) > 0.85);
}

/// RFC 1191 §6.3: after ten minutes a larger size is tried, by a probe that costs nothing.
#[test]
fn a_path_that_carries_more_again_is_used_after_ten_minutes() {
    let delay = Conditions::clean(Duration::from_millis(20));
    let data = Conditions {
        rate: Some((400_000, 50_000)),
        mtu: 1300,
        ..delay
    };
    let mut path = Bulk::with(&Config::default(), 1, [delay, data]);
    path.world.path[CLIENT].conditions.icmp = true;
    path.connect();
    path.run(Duration::from_secs(590));
    assert_eq!(counters(&path).tcp_mtu_probes, 0);
    set_mtu(&mut path, 1500, true);
    path.run(Duration::from_secs(40));
    let counters = *counters(&path);
    assert_eq!(
        (counters.tcp_mtu_probes, counters.tcp_path_mtu_raised),
        (1, 1)
    );
}

/// What one connection has learned, those to the same address know, and UDP too.
#[test]
fn what_was_learned_holds_for_the_destination() {
    let mut path = path(1400, true);
    path.run(Duration::from_secs(1));
    let too_big = path.world.path[CLIENT].fates.too_big;
    path.connect();
    path.run(Duration::from_secs(2));
    assert_eq!(path.world.path[CLIENT].fates.too_big, too_big);
    assert_eq!(counters(&path).tcp_path_mtu_lowered, 1);
    let now = path.world.clock(CLIENT);
    let stack = &mut path.world.sides[CLIENT].stack;
    let local = SocketAddr::from((ADDRESSES[CLIENT], 99));
    let id = stack.udp_bind(local).unwrap();
    let mut send = |to: [u8; 4], len| {
        let to = SocketAddr::from((to, 9));
        let before = stack.counters().ip_fragments_sent;
        let result = stack.udp_send_to(now, id, &vec![0; len], to);
        result.map(|()| stack.counters().ip_fragments_sent - before)
    };
    let server = ADDRESSES[SERVER].octets();
    assert_eq!(send(server, 1400 - 28), Ok(0));
    assert_eq!(send(server, 1401 - 28), Ok(2));
    let mut other = server;
    other[3] = 77;
    assert_eq!(send(other, 1401 - 28), Ok(0));
}

/// RFC 5927 §7: who can guess a sequence number in flight cannot make segments smaller while full
/// ones arrive.
#[test]
fn a_lie_about_the_path_is_doubted_while_full_segments_arrive() {
    let mut path = path(1500, false);
    path.run(Duration::from_secs(2));
    // One packet is lost, and a message says that it was too big.
    set_mtu(&mut path, 1000, true);
    path.world.transmit();
    let mut lied = false;
    for _ in 0..1_000 {
        path.run_bytes(Duration::from_micros(200));
        if path.world.path[CLIENT].fates.too_big > 0 {
            lied = true;
            break;
        }
    }
    set_mtu(&mut path, 1500, false);
    assert!(lied);
    path.run(Duration::from_secs(5));
    let counters = counters(&path);
    assert!(counters.tcp_path_mtu_doubted > 0);
    assert_eq!(counters.tcp_path_mtu_lowered, 0);
}
