//! Congestion control: how much may be in flight.
//!
//! Loss recovery (`recovery`) decides what was lost, what to send again, and how much may be in
//! flight until that is repaired; the controller turns acknowledgements and losses into the window
//! of all other times. It sees neither segments nor timers. All amounts are bytes.

mod new_reno;

pub(super) use new_reno::NewReno;

use super::seq::SeqNum;
use crate::time::Instant;
use core::time::Duration;

/// What a controller is told about an acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    /// When it arrived.
    pub(super) now: Instant,
    /// Bytes that were delivered since the acknowledgement before: acknowledged in order or
    /// selectively, and not before.
    pub(super) acked: u32,
    /// What was on its way before it came.
    pub(super) flight: u32,
    /// Payload of a full-sized segment.
    pub(super) smss: u32,
    /// The round-trip time that it measures, if it does.
    pub(super) rtt: Option<Duration>,
    /// SND.UNA, moved on by it.
    pub(super) snd_una: SeqNum,
    /// SND.NXT.
    pub(super) snd_nxt: SeqNum,
    /// The congestion window was what limited sending. A window that is not used must not grow
    /// (RFC 9438 §5.8, RFC 7661 §1).
    pub(super) limited: bool,
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

    /// Loss recovery ends: the window is ssthresh. Recovery may ask for less, `window`, so that
    /// what it ends with is no burst.
    fn on_recovered(&mut self, window: u32);

    /// The retransmission timer expired, with `flight` bytes on their way; `first` unless it had
    /// already expired for the same data.
    fn on_timeout(&mut self, now: Instant, flight: u32, smss: u32, first: bool);

    /// Nothing was sent for longer than the retransmission timeout.
    fn on_idle(&mut self, now: Instant, smss: u32);

    /// The last reduction had no cause: nothing was lost. The window and ssthresh are again what
    /// they were; the window grows back to that from `window` if that is less (RFC 4015 §3.2: no
    /// burst). Does nothing if there is no reduction to take back.
    fn undo(&mut self, window: u32);
}

/// The initial window (RFC 6928 §2).
fn initial_window(smss: u32) -> u32 {
    use super::params::{INITIAL_WINDOW_BYTES, INITIAL_WINDOW_SEGMENTS};
    (INITIAL_WINDOW_SEGMENTS * smss).min(INITIAL_WINDOW_BYTES.max(2 * smss))
}
