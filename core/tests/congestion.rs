//! Congestion control on a long and fast path: 100 Mbit/s, 100 ms, a queue of one
//! bandwidth-delay product in front of the bottleneck that drops what does not fit.
//!
//! What counts is what arrives: how soon the path is full, whether it stays full, and whether
//! connections share it fairly.

mod common;

use common::bulk::Bulk;
use common::path::Conditions;
use common::world::CLIENT;
use mnet_core::config::CongestionAlgorithm;
use std::time::Duration;

/// 100 Mbit/s, 50 ms each way, and a queue of 100 Mbit/s for 100 ms. Acknowledgements have a path
/// of their own.
fn long_and_fast(algorithm: CongestionAlgorithm) -> Bulk {
    let delay = Conditions::clean(Duration::from_millis(50));
    let data = Conditions {
        rate: Some((100_000_000, 1_250_000)),
        ..delay
    };
    Bulk::new(algorithm, 1, [delay, data])
}

/// At 90 % within five seconds, and from then on.
fn fills_the_path(algorithm: CongestionAlgorithm) {
    let mut path = long_and_fast(algorithm);
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
    assert!(
        path.world.path[CLIENT].fates.queue_full > 0,
        "the queue was full at least once"
    );
    let timeouts = path.world.sides[CLIENT].stack.counters().tcp_timeouts;
    assert_eq!(timeouts, 0, "losses are found and repaired without");
}

#[test]
fn one_connection_fills_a_long_and_fast_path_within_five_seconds_and_keeps_it_full() {
    fills_the_path(CongestionAlgorithm::Cubic);
}

#[test]
fn so_does_new_reno_with_a_queue_that_bridges_its_halving() {
    fills_the_path(CongestionAlgorithm::NewReno);
}

/// Jain's index: 1 if all are equal.
fn fairness(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (f64::from(u32::try_from(shares.len()).unwrap()) * squares)
}

#[test]
fn two_connections_share_fairly_though_one_came_later() {
    let mut path = long_and_fast(CongestionAlgorithm::Cubic);
    path.connect();
    path.run(Duration::from_secs(5));
    path.connect();
    path.run(Duration::from_secs(30));
    let shares = path.run(Duration::from_secs(30));
    let index = fairness(&shares);
    assert!(index >= 0.9, "{index:.3}: {shares:.2?}");
    assert!(shares.iter().sum::<f64>() >= 0.9, "{shares:.2?}");
}
