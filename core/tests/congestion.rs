//! Congestion control on a long and fast path: 100 Mbit/s, 100 ms, a queue of one
//! bandwidth-delay product in front of the bottleneck that drops what does not fit.
//!
//! What counts is what arrives: how soon the path is full, whether it stays full, and whether
//! connections share it fairly.

mod common;

use common::bulk::Bulk;
use common::path::Conditions;
use common::world::{CLIENT, SERVER};
use mnet_core::config::{Config, CongestionAlgorithm, EcnMode};
use std::time::Duration;

/// 100 Mbit/s, 50 ms each way, and a queue of 100 Mbit/s for 100 ms. Acknowledgements have a path
/// of their own.
fn long_and_fast(config: &Config) -> Bulk {
    let delay = Conditions::clean(Duration::from_millis(50));
    let data = Conditions {
        rate: Some((100_000_000, 1_250_000)),
        ..delay
    };
    Bulk::with(config, 1, [delay, data])
}

/// At 90 % within five seconds, and from then on. Returns how many frames the queue had no room for.
fn fills_the_path(mut path: Bulk) -> u64 {
    path.connect();
    let seconds: Vec<f64> = (0..30)
        .map(|_| path.run(Duration::from_secs(1))[0])
        .collect();
    assert!(seconds[4] >= 0.9, "{seconds:.2?}");
    // Retransmissions fill holes: what they let through may count in the second after its own.
    for (n, pair) in seconds[4..].windows(2).enumerate() {
        let share = f64::midpoint(pair[0], pair[1]);
        assert!(share >= 0.9, "after {} s: {seconds:.2?}", n + 4);
    }
    let timeouts = path.world.sides[CLIENT].stack.counters().tcp_timeouts;
    assert_eq!(timeouts, 0, "losses are found and repaired without");
    path.world.path[CLIENT].fates.queue_full
}

/// RFC 9293 §3.8.2 (MAY-18).
#[test]
fn one_connection_fills_a_long_and_fast_path_within_five_seconds_and_keeps_it_full() {
    let lost = fills_the_path(long_and_fast(&Bulk::large(CongestionAlgorithm::Cubic)));
    assert!(lost > 0, "the queue was full at least once");
}

#[test]
fn so_does_new_reno_with_a_queue_that_bridges_its_halving() {
    let lost = fills_the_path(long_and_fast(&Bulk::large(CongestionAlgorithm::NewReno)));
    assert!(lost > 0, "the queue was full at least once");
}

/// 16 MiB for everything, and buffers that start small and find out what the path needs. What one
/// connection may hold of the frames ends before the queue is full.
#[test]
fn so_does_one_with_the_default_configuration() {
    fills_the_path(long_and_fast(&Config::default()));
}

/// 5 Mbit/s for the acknowledgements: just enough for them.
#[test]
fn so_does_one_whose_acknowledgements_take_a_thin_way_back() {
    let mut path = long_and_fast(&Config::default());
    path.world.path[SERVER].conditions.rate = Some((5_000_000, 1_250_000));
    fills_the_path(path);
}

/// A burst of a window does not fit a queue of 50 packets; spread over the round-trip time it does.
/// What slow start loses before it knows the path does not count.
#[test]
fn pacing_spares_a_small_queue() {
    let outcome = |pacing| {
        let mut config = Bulk::large(CongestionAlgorithm::Cubic);
        config.tcp.pacing = pacing;
        let mut path = long_and_fast(&config);
        path.world.path[CLIENT].conditions.rate = Some((100_000_000, 50 * 1514));
        path.connect();
        path.run(Duration::from_secs(5));
        let before = path.world.path[CLIENT].fates.queue_full;
        let share = path.run(Duration::from_secs(25))[0];
        (path.world.path[CLIENT].fates.queue_full - before, share)
    };
    let (paced, burst) = (outcome(true), outcome(false));
    assert!(paced.0 * 3 <= burst.0, "{paced:?} {burst:?}");
    assert!(paced.1 >= 0.85 && burst.1 < 0.75, "{paced:?} {burst:?}");
}

/// A user that writes once for each answer waits no longer with pacing than without: an answer of
/// ten segments goes at once, also late in a connection.
#[test]
fn pacing_delays_no_answer_of_an_initial_window() {
    let times = |pacing| {
        let mut config = Bulk::large(CongestionAlgorithm::Cubic);
        config.tcp.pacing = pacing;
        let mut path = long_and_fast(&config);
        let times: Vec<Duration> = (0..50)
            .map(|_| path.answer(10 * 1448, Duration::from_millis(70)))
            .collect();
        let paced = path.world.sides[CLIENT].stack.counters().tcp_paced;
        (times, paced)
    };
    let (paced, burst) = (times(true), times(false));
    assert_eq!(paced, burst);
    assert_eq!(paced.1, 0);
}

/// Jain's index: 1 if all are equal.
fn fairness(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (f64::from(u32::try_from(shares.len()).unwrap()) * squares)
}

/// When the second connection comes: at some of them the queue is full, at others nearly empty.
const JOINS: [u64; 5] = [3_000, 4_400, 5_800, 7_200, 8_600];

/// Jain's index in the 30 seconds after these, of a connection and of one that came later, for each
/// of [`JOINS`].
fn fairness_of_late_comers(config: &Config) -> Vec<f64> {
    let outcome = |join| {
        let mut path = long_and_fast(config);
        path.world.path[CLIENT].conditions.others = 20;
        path.connect();
        path.run(Duration::from_millis(join));
        path.connect();
        path.run(Duration::from_secs(30));
        let shares = path.run(Duration::from_secs(30));
        assert!(shares.iter().sum::<f64>() >= 0.9, "{join}: {shares:.2?}");
        fairness(&shares)
    };
    JOINS.into_iter().map(outcome).collect()
}

fn late_comers_get_their_share(config: &Config) {
    let indices = fairness_of_late_comers(config);
    assert!(indices.iter().all(|index| *index >= 0.9), "{indices:.3?}");
}

#[test]
fn two_connections_share_fairly_with_the_default_configuration() {
    late_comers_get_their_share(&Config::default());
}

#[test]
fn two_connections_share_fairly_with_buffers_that_limit_nothing() {
    late_comers_get_their_share(&Bulk::large(CongestionAlgorithm::Cubic));
}

/// A queue that marks from a third of a bandwidth-delay product on instead of filling up: nothing is
/// lost, nothing is sent again, and the path stays full.
fn marks_instead_of_losses(ecn: EcnMode, algorithm: CongestionAlgorithm) {
    let mut config = Bulk::large(algorithm);
    config.tcp.ecn = ecn;
    marks_instead_of_losses_on(long_and_fast(&config));
}

fn marks_instead_of_losses_on(mut path: Bulk) {
    // Room for what slow start sends until the first mark has come back.
    path.world.path[CLIENT].conditions.rate = Some((100_000_000, 5_000_000));
    path.world.path[CLIENT].conditions.mark = Some(400_000);
    path.connect();
    let shares: Vec<f64> = (0..6)
        .map(|_| path.run(Duration::from_secs(5))[0])
        .collect();
    let fates = path.world.path[CLIENT].fates;
    let counters = *path.world.sides[CLIENT].stack.counters();
    assert_eq!((fates.queue_full, counters.tcp_retransmits), (0, 0));
    assert!(
        shares[1..].iter().all(|share| *share >= 0.9),
        "{shares:.2?}"
    );
    assert!(fates.marked > 0, "the queue marks");
    let reductions = counters.tcp_ecn_reductions;
    // Once in a round trip of 100 ms, at most.
    assert!((1..=300).contains(&reductions), "{reductions}");
    let received = path.world.sides[SERVER]
        .stack
        .counters()
        .tcp_ecn_marks_received;
    assert_eq!(received, fates.marked, "every mark arrives");
}

#[test]
fn marks_take_the_place_of_losses_with_classic_ecn() {
    marks_instead_of_losses(EcnMode::Active, CongestionAlgorithm::Cubic);
}

#[test]
fn marks_take_the_place_of_losses_with_accurate_ecn() {
    marks_instead_of_losses(EcnMode::Accurate, CongestionAlgorithm::Cubic);
}

/// RFC 9768 §3.2.3: the option is no more than a help.
#[test]
fn marks_take_the_place_of_losses_where_a_box_takes_the_accurate_ecn_option_away() {
    let mut config = Bulk::large(CongestionAlgorithm::Cubic);
    config.tcp.ecn = EcnMode::Accurate;
    let mut path = long_and_fast(&config);
    for direction in &mut path.world.path {
        direction.conditions.middlebox.no_accecn_option = true;
    }
    marks_instead_of_losses_on(path);
}

#[test]
fn marks_take_the_place_of_losses_with_new_reno() {
    marks_instead_of_losses(EcnMode::Active, CongestionAlgorithm::NewReno);
}
