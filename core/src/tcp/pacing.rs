//! Pacing: a congestion window is not sent in one burst but spread over the round-trip time, so
//! that it does not have to fit the queue of the bottleneck.
//!
//! The rate is a little more than the window for each round-trip time, so that the window and not
//! the pacing limits: twice as much in slow start, which doubles the window in that time, 1.2
//! times otherwise. Practice has these numbers; no RFC does.
//!
//! `pace_at` is when the next segment is due. Each segment moves it on by the time that the
//! segment takes at the rate. Sending stops while that lies ahead and goes on with the next tick
//! of the timing wheel; what was due by then goes at once. So a burst is what the rate carries in a
//! tick, or what an initial window carries (RFC 6928) after a pause of as long: an answer of ten
//! segments never waits.
//!
//! A path whose round-trip time is a few ticks is not paced: all of its window is a burst of
//! a tick or two, and there is no time to spread it over.

use super::congestion::CongestionControl;
use super::params::{INITIAL_WINDOW_SEGMENTS, PACING_CREDIT, PACING_MIN_RTT};
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{Tcb, TcbFlags};
use super::tick::Tick;
use crate::context::Context;
use crate::time::{Instant, nanos};
use core::time::Duration;

/// Nanoseconds of a unit of `pace_at`, which wraps after 18 minutes: while anything is on its way,
/// something is sent at least every minute, and only then it is looked at.
const UNIT: u64 = 256;

/// An instant or a duration, given in nanoseconds, in units of `pace_at`.
#[allow(clippy::cast_possible_truncation, reason = "it wraps")]
fn units(nanos: u64) -> u32 {
    (nanos / UNIT) as u32
}

impl Tcb {
    /// A round-trip time was measured, in microseconds: whether the path is long enough to pace.
    pub(super) fn decide_pacing(&mut self, shared: &Shared, rtt: u32) {
        let paces = shared.params.pacing && self.rack.path_rtt(rtt) >= PACING_MIN_RTT;
        self.flags.set(TcbFlags::PACING, paces);
    }

    /// The time that `bytes` take at the rate of now, in units of `pace_at`.
    fn pacing_interval(&self, bytes: u32) -> u32 {
        let cwnd = u64::from(self.congestion.window().max(1));
        let (numerator, denominator) = if self.congestion.window() < self.congestion.ssthresh() {
            (1, 2)
        } else {
            (5, 6)
        };
        let srtt = u64::from(self.rtt.srtt_micros()) * 1_000;
        units(u64::from(bytes) * srtt / cwnd * numerator / denominator)
    }

    /// Whether data that could go now has to wait for its time. The timer then brings it up.
    #[cold]
    pub(super) fn must_wait(&mut self, cx: &mut Context<'_>) -> bool {
        let waited = self.pace_wait.is_set();
        self.pace_wait = Tick::NEVER;
        let nothing_waits = self.send.next.is_none() && self.send.board.lost_out == 0;
        // The first segment of a repair goes at once. With nothing on its way `pace_at` says
        // nothing.
        if nothing_waits || self.flags.contains(TcbFlags::RETRANSMIT) || self.pipe() == 0 {
            return false;
        }
        let now = SeqNum::new(units(cx.now.as_nanos()));
        let ahead = SeqNum::new(self.pace_at).since(now);
        if ahead == 0 {
            return false;
        }
        let ahead = Duration::from_nanos((u64::from(ahead) + 1) * UNIT);
        self.pace_wait = Tick::after(cx.now, ahead);
        if !waited {
            cx.counters.tcp_paced += 1;
        }
        true
    }

    /// A segment with `bytes` of data goes.
    #[cold]
    pub(super) fn pace(&mut self, now: Instant, bytes: u32) {
        let now = units(now.as_nanos());
        let burst = self.pacing_interval((INITIAL_WINDOW_SEGMENTS - 1) * self.smss());
        let earliest = SeqNum::new(now.wrapping_sub(burst.max(units(nanos(PACING_CREDIT)))));
        let from = if self.pipe() == 0 {
            earliest
        } else {
            SeqNum::new(self.pace_at).latest(earliest)
        };
        self.pace_at = from.get().wrapping_add(self.pacing_interval(bytes));
    }

    /// The time has come for what waits.
    pub(super) fn pacing_expired(&mut self, now: Instant) {
        if self.pace_wait.is_due(now) {
            self.pace_wait = Tick::NEVER;
            self.flags |= TcbFlags::OUTPUT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::testing::{Bench, SMSS};

    const MSS: u32 = SMSS as u32;

    /// A connection on a path of 100 ms with a window of 100 segments, `on_its_way` of them sent.
    fn bench(on_its_way: u32) -> Bench {
        let mut bench = Bench::new();
        let rtt = Duration::from_millis(100);
        bench.tcb.rtt.sample(rtt);
        bench.tcb.decide_pacing(&bench.shared, 100_000);
        bench.open_window(100);
        on_the_way(&mut bench, on_its_way);
        bench
    }

    fn on_the_way(bench: &mut Bench, segments: u32) {
        let tcb = &mut bench.tcb;
        tcb.snd_nxt = tcb.snd_una + segments * MSS;
        tcb.snd_max = tcb.snd_nxt;
        tcb.send.end = tcb.snd_una + 1_000 * MSS;
        // Data waits.
        let frame = bench.pool.allocate().unwrap();
        tcb.send.next = Some(frame.index());
    }

    /// Sends until it has to wait; returns how many segments went.
    fn burst(bench: &mut Bench) -> u32 {
        (0..1_000)
            .find(|_| {
                if bench.with(|tcb, _, cx| tcb.must_wait(cx)) {
                    return true;
                }
                bench.tcb.pace(bench.now, MSS);
                bench.tcb.snd_nxt += MSS;
                bench.tcb.snd_max += MSS;
                false
            })
            .unwrap()
    }

    #[test]
    fn a_new_flight_begins_with_an_initial_window_and_goes_on_at_the_rate() {
        let mut bench = bench(0);
        let first = burst(&mut bench);
        assert!((10..=11).contains(&first), "{first}");
        // Twice the window in a round-trip time: two segments in a millisecond.
        let mut sent = 0;
        for _ in 0..20 {
            bench.advance(Duration::from_millis(1));
            sent += burst(&mut bench);
        }
        assert!((39..=40).contains(&sent), "{sent}");
    }

    #[test]
    fn at_the_deadline_it_goes_on() {
        let mut bench = bench(0);
        burst(&mut bench);
        let expires = |bench: &mut Bench| {
            bench.tcb.flags.remove(TcbFlags::OUTPUT);
            bench.tcb.pacing_expired(bench.now);
            bench.tcb.flags.contains(TcbFlags::OUTPUT)
        };
        assert!(!expires(&mut bench));
        bench.advance(Duration::from_millis(1));
        assert!(expires(&mut bench));
        assert!(!expires(&mut bench), "once");
        assert!((1..=3).contains(&burst(&mut bench)));
    }

    /// The clock of `pace_at` wraps every 18 minutes: what it said before a long pause is void.
    #[test]
    fn after_any_pause_a_flight_begins_at_once() {
        for minutes in 0..40 {
            let mut bench = bench(0);
            burst(&mut bench);
            let tcb = &mut bench.tcb;
            tcb.snd_una = tcb.snd_nxt;
            bench.advance(Duration::from_secs(60 * minutes) + Duration::from_millis(1));
            on_the_way(&mut bench, 0);
            assert!(burst(&mut bench) >= 10, "{minutes}");
        }
    }

    #[test]
    fn a_short_path_is_not_paced() {
        let mut bench = bench(0);
        for (micros, paces) in [(100, false), (3_999, false), (4_000, true)] {
            bench.tcb.decide_pacing(&bench.shared, micros);
            assert_eq!(
                bench.tcb.flags.contains(TcbFlags::PACING),
                paces,
                "{micros}"
            );
        }
        bench.shared.params.pacing = false;
        bench.tcb.decide_pacing(&bench.shared, 1_000_000);
        assert!(!bench.tcb.flags.contains(TcbFlags::PACING));
    }
}
