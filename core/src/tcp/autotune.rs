//! How large the buffers of a connection may grow: as large as its path and its user can use.
//!
//! **Receiving** (dynamic right-sizing): the window starts with [`INITIAL_RECEIVE_LIMIT`] and
//! doubles whenever the user has read more than a quarter of it within a round-trip time. So it
//! stays ahead of a sender that doubles its rate each round-trip time, leaves room for what is being
//! repaired, and does not grow for a peer that is slow or a user that does not read. The round-trip
//! time is that of the handshake, or of what we sent since; a path that has become up to four times
//! slower by its queue still gets what it needs.
//!
//! **Sending**: the queue holds what is on its way and a window more, so that acknowledgements find
//! data that can be sent, and the rest stays with the user.
//!
//! Both limits lie below those of the configuration, and the pool's share (`Budget`) below both.

use super::congestion::CongestionControl;
use super::params::{
    AUTOTUNE_ROUND, AUTOTUNE_ROUND_UNKNOWN, INITIAL_RECEIVE_LIMIT, LEAST_SEND_LIMIT,
};
use super::rack::micros;
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::Tcb;
use crate::context::Context;

/// What is known of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The largest window of now, unread bytes included.
    limit: u32,
    /// When the round began, in microseconds, and what the user had read by then.
    began_at: u32,
    began_with: SeqNum,
}

impl Reading {
    pub(super) fn new(rcv_nxt: SeqNum) -> Self {
        Self {
            limit: INITIAL_RECEIVE_LIMIT,
            began_at: 0,
            began_with: rcv_nxt,
        }
    }
}

impl Tcb {
    /// The largest window of now, unread bytes included.
    pub(super) fn receive_limit(&self, shared: &Shared) -> u32 {
        let most = self.settings(shared).receive_buffer;
        if shared.params.autotuning {
            self.reading.limit.min(most)
        } else {
            most
        }
    }

    /// The user has read. Called for each read, so not for each segment.
    pub(super) fn adapt_to_reader(&mut self, shared: &Shared, cx: &mut Context<'_>) {
        let most = self.settings(shared).receive_buffer;
        let Reading {
            limit,
            began_at,
            began_with,
        } = self.reading;
        if limit >= most || !shared.params.autotuning {
            return;
        }
        let now = micros(cx.now);
        let elapsed = now.wrapping_sub(began_at);
        if elapsed < AUTOTUNE_ROUND {
            return;
        }
        let round = match self.rtt.srtt_micros() {
            0 => AUTOTUNE_ROUND_UNKNOWN,
            srtt => srtt.max(AUTOTUNE_ROUND),
        };
        // A round that lasted much longer, for want of data, counts in proportion.
        let rounds = elapsed / round;
        if rounds == 0 {
            return;
        }
        let read_up_to = self.rcv_nxt - self.unread;
        let read = read_up_to.since(began_with) / rounds;
        if read > limit / 4 {
            let wanted = read.saturating_mul(4).max(limit.saturating_mul(2));
            self.reading.limit = wanted.min(most);
            cx.counters.tcp_window_grown += 1;
        }
        self.reading.began_at = now;
        self.reading.began_with = read_up_to;
    }

    /// Most bytes that the send queue may hold now, the pool's share aside.
    pub(super) fn send_limit(&self, shared: &Shared) -> u32 {
        let most = self.settings(shared).send_buffer;
        if !shared.params.autotuning {
            return most;
        }
        let window = self.congestion.window();
        let on_its_way = self.snd_nxt.since(self.snd_una);
        let useful = on_its_way.max(window).saturating_add(window);
        useful.max(LEAST_SEND_LIMIT).min(most)
    }
}

#[cfg(test)]
mod tests {
    use crate::tcp::params::INITIAL_RECEIVE_LIMIT;
    use crate::tcp::testing::{Bench, SMSS};
    use core::time::Duration;

    const RTT: Duration = Duration::from_millis(50);

    /// The limit after some round-trip times in each of which `bytes` arrive and are read.
    fn limit_after(rounds: u32, bytes: u32) -> u32 {
        let mut bench = Bench::new();
        bench.tcb.rtt.sample(RTT);
        bench.read(0);
        for _ in 0..rounds {
            bench.tcb.rcv_nxt += bytes;
            bench.advance(RTT);
            bench.read(0);
        }
        bench.tcb.receive_limit(&bench.shared)
    }

    #[test]
    fn the_window_stays_four_times_ahead_of_the_reader() {
        assert_eq!(limit_after(50, 10_000), INITIAL_RECEIVE_LIMIT);
        assert_eq!(limit_after(1, 16_500), 2 * INITIAL_RECEIVE_LIMIT);
        assert_eq!(limit_after(50, 16_500), 2 * INITIAL_RECEIVE_LIMIT);
        assert_eq!(limit_after(1, 60_000), 240_000);
        assert_eq!(limit_after(50, 900_000), 3_600_000);
        assert_eq!(
            limit_after(50, 2_000_000),
            4 << 20,
            "the configuration's limit"
        );
    }

    #[test]
    fn a_user_that_does_not_read_gets_no_larger_window() {
        let mut bench = Bench::new();
        bench.tcb.rtt.sample(RTT);
        bench.read(0);
        for unread in 1..50 {
            bench.tcb.rcv_nxt += 60_000;
            bench.advance(RTT);
            bench.read(unread * 60_000);
        }
        assert_eq!(
            bench.tcb.receive_limit(&bench.shared),
            INITIAL_RECEIVE_LIMIT
        );
    }

    /// What came within a long time is no reason for a window of a round-trip time.
    #[test]
    fn slow_data_is_measured_by_the_round_trip_time() {
        let mut bench = Bench::new();
        bench.tcb.rtt.sample(RTT);
        bench.read(0);
        for _ in 0..20 {
            bench.tcb.rcv_nxt += 60_000;
            bench.advance(10 * RTT);
            bench.read(0);
        }
        assert_eq!(
            bench.tcb.receive_limit(&bench.shared),
            INITIAL_RECEIVE_LIMIT
        );
    }

    #[test]
    fn the_send_queue_follows_the_congestion_window() {
        let mut bench = Bench::new();
        let limit = |bench: &Bench| bench.tcb.send_limit(&bench.shared);
        assert_eq!(limit(&bench), 128 << 10);
        bench.open_window(1_000);
        assert_eq!(limit(&bench), 2 * 1_000 * u32::from(SMSS));
        bench.open_window(10_000);
        assert_eq!(limit(&bench), 4 << 20);
        bench.shared.params.autotuning = false;
        bench.open_window(10);
        assert_eq!(limit(&bench), 4 << 20);
    }
}
