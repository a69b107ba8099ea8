//! Congestion control: how much may be in flight.
//!
//! Loss recovery (`recovery`) decides what was lost, what to send again, and how much may be in
//! flight until that is repaired; the controller turns acknowledgements and losses into the window
//! of all other times. It sees neither segments nor timers. All amounts are bytes.
//!
//! `cubic` and `new_reno`: the algorithms; `slow_start`: what both do until the first loss.

mod cubic;
mod new_reno;
mod slow_start;

use super::params::{INITIAL_WINDOW_BYTES, INITIAL_WINDOW_SEGMENTS};
use super::seq::SeqNum;
use crate::config::CongestionAlgorithm;
use crate::time::Instant;
use core::time::Duration;
use cubic::Cubic;
use new_reno::NewReno;

/// What a controller is told about an acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    /// When it arrived.
    pub(super) now: Instant,
    /// Bytes that were delivered since the acknowledgement before: acknowledged in order or
    /// selectively, and not before.
    pub(super) acked: u32,
    /// Payload of a full-sized segment.
    pub(super) smss: u32,
    /// The round-trip time that it measures, if it does, in microseconds.
    pub(super) rtt: Option<u32>,
    /// SND.UNA, moved on by it.
    pub(super) snd_una: SeqNum,
    /// SND.NXT.
    pub(super) snd_nxt: SeqNum,
    /// The congestion window was what limited sending. A window that is not used must not grow
    /// (RFC 9438 §5.8, RFC 7661 §1).
    pub(super) limited: bool,
    /// What the window lets go does not go in a burst.
    pub(super) paced: bool,
}

impl Ack {
    /// The round-trip time in microseconds; 0 stands for nothing, so it is at least 1.
    fn rtt_micros(&self) -> Option<u32> {
        self.rtt.map(|rtt| rtt.max(1))
    }
}

/// What a congestion control algorithm is told, and what it answers.
pub(super) trait CongestionControl {
    /// The congestion window (cwnd); at least one segment. During loss recovery, what it starts
    /// from again.
    fn window(&self) -> u32;

    /// The slow start threshold (ssthresh).
    fn ssthresh(&self) -> u32;

    /// Data was acknowledged outside of loss recovery, or in the recovery from a timeout.
    fn on_ack(&mut self, ack: &Ack);

    /// A loss was detected, or congestion was signalled, with `flight` bytes on their way: reduces
    /// ssthresh, and the window to it. Once for each window of data.
    fn on_congestion_event(&mut self, now: Instant, flight: u32, smss: u32);

    /// The peer has echoed a mark, with `flight` bytes on their way: as for a loss, but by less,
    /// since routers mark while the queue is short (RFC 8511 §3). Not to be undone.
    fn on_mark(&mut self, flight: u32, smss: u32);

    /// Loss recovery ends: the window is ssthresh. Recovery may ask for less, `window`, so that
    /// what it ends with is no burst.
    fn on_recovered(&mut self, window: u32);

    /// The retransmission timer expired, with `flight` bytes on their way; `first` unless it had
    /// already expired for the same data, or a mark has reduced the window for it.
    fn on_timeout(&mut self, now: Instant, flight: u32, smss: u32, first: bool);

    /// Nothing was sent for longer than the retransmission timeout.
    fn on_idle(&mut self, now: Instant, smss: u32);

    /// The last reduction had no cause: nothing was lost. The window and ssthresh are again what
    /// they were; the window grows back to that from `window` if that is less (RFC 4015 §3.2: no
    /// burst). Does nothing if there is no reduction to take back.
    fn undo(&mut self, window: u32);
}

/// The controller of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Congestion {
    Cubic(Cubic),
    NewReno(NewReno),
}

impl Congestion {
    /// The state of a new connection; `syn_was_lost` if its SYN or SYN-ACK had to be repeated.
    pub(super) fn new(algorithm: CongestionAlgorithm, smss: u32, syn_was_lost: bool) -> Self {
        match algorithm {
            CongestionAlgorithm::Cubic => Self::Cubic(Cubic::new(smss, syn_was_lost)),
            CongestionAlgorithm::NewReno => Self::NewReno(NewReno::new(smss, syn_was_lost)),
        }
    }

    /// Another algorithm takes over, with the window and threshold as they are. There is nothing
    /// that it could take back.
    pub(super) fn successor(&self, algorithm: CongestionAlgorithm, smss: u32) -> Self {
        if algorithm == self.algorithm() {
            return *self;
        }
        let (cwnd, ssthresh) = (self.window(), self.ssthresh());
        match algorithm {
            CongestionAlgorithm::Cubic => Self::Cubic(Cubic::taking_over(smss, cwnd, ssthresh)),
            CongestionAlgorithm::NewReno => {
                Self::NewReno(NewReno::taking_over(smss, cwnd, ssthresh))
            }
        }
    }

    /// Which algorithm it is.
    pub(super) fn algorithm(&self) -> CongestionAlgorithm {
        match self {
            Self::Cubic(_) => CongestionAlgorithm::Cubic,
            Self::NewReno(_) => CongestionAlgorithm::NewReno,
        }
    }
}

/// The same call to whichever algorithm it is.
macro_rules! delegate {
    ($self:expr, $algorithm:ident => $call:expr) => {
        match $self {
            Congestion::Cubic($algorithm) => $call,
            Congestion::NewReno($algorithm) => $call,
        }
    };
}

impl CongestionControl for Congestion {
    fn window(&self) -> u32 {
        delegate!(self, algorithm => algorithm.window())
    }

    fn ssthresh(&self) -> u32 {
        delegate!(self, algorithm => algorithm.ssthresh())
    }

    fn on_ack(&mut self, ack: &Ack) {
        delegate!(self, algorithm => algorithm.on_ack(ack));
    }

    fn on_congestion_event(&mut self, now: Instant, flight: u32, smss: u32) {
        delegate!(self, algorithm => algorithm.on_congestion_event(now, flight, smss));
    }

    fn on_mark(&mut self, flight: u32, smss: u32) {
        delegate!(self, algorithm => algorithm.on_mark(flight, smss));
    }

    fn on_recovered(&mut self, window: u32) {
        delegate!(self, algorithm => algorithm.on_recovered(window));
    }

    fn on_timeout(&mut self, now: Instant, flight: u32, smss: u32, first: bool) {
        delegate!(self, algorithm => algorithm.on_timeout(now, flight, smss, first));
    }

    fn on_idle(&mut self, now: Instant, smss: u32) {
        delegate!(self, algorithm => algorithm.on_idle(now, smss));
    }

    fn undo(&mut self, window: u32) {
        delegate!(self, algorithm => algorithm.undo(window));
    }
}

/// The initial window (RFC 6928 §2).
fn initial_window(smss: u32) -> u32 {
    (INITIAL_WINDOW_SEGMENTS * smss).min(INITIAL_WINDOW_BYTES.max(2 * smss))
}

/// What a connection starts with: one segment if its SYN or SYN-ACK was lost (RFC 5681 §3.1).
fn starting_window(smss: u32, syn_was_lost: bool) -> u32 {
    if syn_was_lost {
        smss
    } else {
        initial_window(smss)
    }
}

/// A share of a window.
fn share(window: u32, (numerator, denominator): (u64, u64)) -> u32 {
    u32::try_from(u64::from(window) * numerator / denominator).unwrap_or(u32::MAX)
}

/// Whole microseconds, at most 71 minutes of them.
fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_window_is_ten_segments_or_what_rfc_6928_allows() {
        for algorithm in [CongestionAlgorithm::Cubic, CongestionAlgorithm::NewReno] {
            let window = |smss, lost| Congestion::new(algorithm, smss, lost).window();
            assert_eq!(window(1448, false), 14_480);
            assert_eq!(window(536, false), 5_360);
            assert_eq!(window(8_948, false), 17_896);
            assert_eq!(window(1448, true), 1448, "RFC 5681 §3.1");
        }
    }

    #[test]
    fn the_choice_is_the_configuration_s() {
        let of = |algorithm| Congestion::new(algorithm, 1448, false);
        let cubic = of(CongestionAlgorithm::default());
        assert!(matches!(cubic, Congestion::Cubic(_)));
        let reno = of(CongestionAlgorithm::NewReno);
        assert!(matches!(reno, Congestion::NewReno(_)));
    }

    #[test]
    fn another_algorithm_goes_on_with_the_window() {
        let mut reno = Congestion::new(CongestionAlgorithm::NewReno, 1_000, false);
        reno.on_congestion_event(Instant::ZERO, 8_000, 1_000);
        let cubic = reno.successor(CongestionAlgorithm::Cubic, 1_000);
        assert_eq!(cubic.algorithm(), CongestionAlgorithm::Cubic);
        assert_eq!((cubic.window(), cubic.ssthresh()), (4_000, 4_000));
        let mut back = cubic.successor(CongestionAlgorithm::NewReno, 1_000);
        back.undo(20_000);
        assert_eq!((back.window(), back.ssthresh()), (4_000, 4_000));
        assert_eq!(cubic.successor(CongestionAlgorithm::Cubic, 1_000), cubic);
    }

    /// Part of every control block.
    #[test]
    fn a_controller_stays_small() {
        assert!(
            size_of::<Congestion>() <= 128,
            "{}",
            size_of::<Congestion>()
        );
    }
}
