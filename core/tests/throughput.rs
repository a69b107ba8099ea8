//! How much of a path one connection uses: all of a clean one, and of a lossy one what the theory
//! of its congestion control says.

mod common;

use common::bulk::{Bulk, PAYLOAD_SHARE};
use common::path::Conditions;
use mnet_core::config::CongestionAlgorithm;
use std::time::Duration;

/// A clean path of any rate and delay, with a queue of one bandwidth-delay product, or a few
/// frames where that is less: from the sixth second on it is full.
#[test]
fn a_clean_path_is_filled_at_every_rate_and_delay() {
    for (rate, millis) in [
        (1_000_000, 5),
        (1_000_000, 150),
        (10_000_000, 1),
        (10_000_000, 40),
        (100_000_000, 10),
        (100_000_000, 50),
        (1_000_000_000, 1),
    ] {
        let delay = Conditions::clean(Duration::from_millis(millis));
        let product = usize::try_from(rate / 8 * 2 * millis / 1_000).unwrap();
        let data = Conditions {
            rate: Some((rate, product.max(30_000))),
            ..delay
        };
        let mut bulk = Bulk::new(CongestionAlgorithm::Cubic, 1, [delay, data]);
        bulk.connect();
        bulk.run(Duration::from_secs(5));
        let share = bulk.run(Duration::from_secs(5))[0];
        println!("{rate} bit/s, {millis} ms: {share:.3}");
        assert!(share > 0.95, "{rate} bit/s, {millis} ms: {share:.3}");
    }
}

/// Segments in a round trip that theory allows at a loss of `p`: the larger of Reno's (Mathis et
/// al. 1997, every segment acknowledged at once or every second one: we take 1.22, the former) and
/// CUBIC's (RFC 9438 §5.1, with C = 0.4 and beta = 0.7).
fn theory(rtt: f64, p: f64) -> f64 {
    let reno = (1.5 / p).sqrt();
    let cubic = (0.4f64 * 3.7 / (4.0 * 0.3)).powf(0.25) * rtt.powf(0.75) / p.powf(0.75);
    reno.max(cubic)
}

/// Random loss on an otherwise fast path, the median of five seeds. Theory leaves timeouts out, and
/// losses of what was sent again: these take their share where a window is a few segments.
#[test]
fn a_lossy_path_carries_what_theory_says() {
    for (per_mille, millis, least) in [
        (1, 10, 0.9),
        (1, 50, 0.9),
        (10, 10, 0.8),
        (10, 50, 0.8),
        (30, 10, 0.65),
        (50, 25, 0.65),
    ] {
        let delay = Conditions::clean(Duration::from_millis(millis));
        let data = Conditions {
            loss: per_mille,
            rate: Some((100_000_000, 1_250_000)),
            ..delay
        };
        let duration = Duration::from_secs(20);
        let mut rates: Vec<f64> = (1..=5)
            .map(|seed| {
                let mut bulk = Bulk::new(CongestionAlgorithm::Cubic, seed, [delay, data]);
                bulk.connect();
                // Past slow start.
                bulk.run_bytes(Duration::from_secs(2));
                bulk.run_bytes(duration)[0] as f64 / duration.as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        let rtt = 2.0 * Duration::from_millis(millis).as_secs_f64();
        let bound = theory(rtt, f64::from(per_mille) / 1_000.0) * 1448.0 / rtt;
        let bound = bound.min(12_500_000.0 * PAYLOAD_SHARE);
        let share = rates[2] / bound;
        println!("{per_mille} per mille, {millis} ms: {rates:.0?} of {bound:.0}: {share:.2}");
        assert!(
            share >= least,
            "{per_mille} per mille, {millis} ms: {share:.2}"
        );
    }
}
