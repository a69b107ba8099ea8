//! Congestion control: how much may be in flight.
//!
//! Loss recovery (`recovery`) decides what was lost and what to send again; the controller only
//! turns acknowledgements and losses into a window. A connection has one of them; there is one
//! algorithm so far.

mod new_reno;

pub(super) use new_reno::NewReno;

/// What a congestion control algorithm is told, and what it answers. All amounts are bytes.
pub(super) trait CongestionControl {
    /// The congestion window (cwnd).
    fn window(&self) -> u32;

    /// The slow start threshold (ssthresh).
    fn ssthresh(&self) -> u32;

    /// `acked` bytes were acknowledged outside of loss recovery, while the window was in use.
    fn on_ack(&mut self, acked: u32, smss: u32);

    /// A loss was detected by duplicate acknowledgements, with `flight` bytes on their way.
    fn on_fast_retransmit(&mut self, flight: u32, smss: u32);

    /// One more duplicate acknowledgement during recovery: a segment has left the network.
    fn on_dup_ack(&mut self, smss: u32);

    /// An acknowledgement of `acked` bytes during recovery that does not end it.
    fn on_partial_ack(&mut self, acked: u32, smss: u32);

    /// Everything that was on its way when the loss was detected is acknowledged.
    fn on_recovered(&mut self, flight: u32, smss: u32);

    /// The retransmission timer expired, with `flight` bytes on their way; `first` unless it had
    /// already expired for the same data.
    fn on_timeout(&mut self, flight: u32, smss: u32, first: bool);

    /// Nothing was sent for longer than the retransmission timeout.
    fn on_idle(&mut self, smss: u32);
}
