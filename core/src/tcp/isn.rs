//! What an outsider must not be able to guess: initial sequence numbers (RFC 6528), timestamp
//! offsets (RFC 7323 §5.4) and ephemeral ports (RFC 6056).

use super::params::EPHEMERAL_PORTS;
use super::seq::SeqNum;
use crate::demux::FourTuple;
use crate::rng::Rng;
use crate::time::Instant;

/// RFC 6528 §3: the timer M counts every 4 microseconds.
const ISN_TICK_NANOS: u64 = 4_000;
/// The part of M that a SYN cookie replaces: 2^24 ticks are a period of 67 seconds.
pub(super) const TICKS_PER_PERIOD_BITS: u32 = 24;
/// Size of the counter table of RFC 6056 §3.3.4.
const PORT_COUNTERS: usize = 16;

/// Secrets of this boot, and the counters of the port algorithm.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    sequence: [u8; 16],
    port: [u8; 16],
    port_counters: [u16; PORT_COUNTERS],
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "each takes the part of the hash that it needs"
)]
impl Secrets {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let port_counters = core::array::from_fn(|_| rng.u32() as u16);
        Self {
            sequence: rng.key(),
            port: rng.key(),
            port_counters,
        }
    }

    /// The initial sequence number M + F(4-tuple, secret), and the offset that is added to the
    /// clock in the connection's timestamps. Both grow from one connection of a 4-tuple to the
    /// next, so that segments of the former one are recognised as old.
    /// RFC 9293 §3.4.1 (MUST-8, MUST-9, SHLD-1).
    pub(super) fn initial(&self, key: &FourTuple, now: Instant) -> (SeqNum, u32) {
        let (f, offset) = self.base(key);
        (SeqNum::new(f.wrapping_add(isn_timer(now) as u32)), offset)
    }

    /// F(4-tuple, secret) and the offset.
    pub(super) fn base(&self, key: &FourTuple) -> (u32, u32) {
        let hash = key.hash(&self.sequence);
        (hash as u32, (hash >> 32) as u32)
    }

    /// An ephemeral port for a connection from `key.local` to the remote side of `key`, by the
    /// double-hash algorithm of RFC 6056 §3.3.4: unpredictable from outside, and a port is used
    /// again for the same destination only after all others. `None` if `is_free` likes none.
    pub(super) fn ephemeral_port(
        &mut self,
        key: FourTuple,
        is_free: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let ports = EPHEMERAL_PORTS.end() - EPHEMERAL_PORTS.start();
        let hash = FourTuple {
            local_port: 0,
            ..key
        }
        .hash(&self.port);
        let counter = &mut self.port_counters[(hash >> 32) as usize % PORT_COUNTERS];
        for _ in 0..=ports {
            let port = EPHEMERAL_PORTS.start() + ((hash as u16).wrapping_add(*counter) & ports);
            *counter = counter.wrapping_add(1);
            if is_free(port) {
                return Some(port);
            }
        }
        None
    }
}

/// The timer M, not cut to 32 bits.
pub(super) fn isn_timer(now: Instant) -> u64 {
    now.as_nanos() / ISN_TICK_NANOS
}

/// The clock of the timestamps option: a tick per millisecond (RFC 7323 §5.4).
#[allow(clippy::cast_possible_truncation, reason = "the clock wraps around")]
pub(super) fn timestamp_clock(now: Instant) -> u32 {
    now.as_millis() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use std::collections::BTreeSet;

    fn key(remote_port: u16) -> FourTuple {
        let address = |last| Ipv4Addr::new(10, 0, 0, last).into();
        FourTuple {
            local: address(1),
            remote: address(2),
            local_port: 80,
            remote_port,
        }
    }

    /// RFC 9293 §3.4.1 (MUST-8).
    #[test]
    fn numbers_of_one_tuple_grow_with_time_at_four_microseconds() {
        let secrets = Secrets::new(&mut Rng::new([1; 32]));
        let (first, offset) = secrets.initial(&key(1), Instant::ZERO);
        let (second, same) = secrets.initial(&key(1), Instant::from_millis(1_000));
        assert_eq!((second.since(first), offset), (250_000, same));
    }

    /// RFC 9293 §3.4.1 (MUST-9, SHLD-1).
    #[test]
    fn other_tuples_and_other_boots_have_unrelated_numbers() {
        let boot = |seed| Secrets::new(&mut Rng::new([seed; 32]));
        let numbers: BTreeSet<u32> = (1..=2)
            .flat_map(|seed| {
                (1..=5_000).map(move |port| boot(seed).initial(&key(port), Instant::ZERO).0.get())
            })
            .collect();
        assert!(
            numbers.len() > 9_990,
            "collisions beyond chance: {}",
            numbers.len()
        );
        let high = numbers.iter().filter(|n| **n >= 1 << 31).count();
        assert!(
            (4_700..5_300).contains(&high),
            "{high} of 10000 in the upper half"
        );
    }

    #[test]
    fn ports_do_not_repeat_before_all_were_used_and_stay_in_range() {
        let mut secrets = Secrets::new(&mut Rng::new([3; 32]));
        let ports: BTreeSet<u16> = (0..32_768)
            .filter_map(|_| secrets.ephemeral_port(key(80), |_| true))
            .collect();
        assert_eq!(ports.len(), 32_768);
        assert!(ports.iter().all(|port| EPHEMERAL_PORTS.contains(port)));
        assert_eq!(
            secrets.ephemeral_port(key(80), |port| port == 40_000),
            Some(40_000)
        );
        assert_eq!(secrets.ephemeral_port(key(80), |_| false), None);
    }
}
