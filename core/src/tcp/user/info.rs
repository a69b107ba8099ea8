//! STATUS (RFC 9293 §3.10.6): what a connection is doing, and which ones there are.

use crate::config::CongestionAlgorithm;
use crate::error::BadHandle;
use crate::socket::{SocketId, SocketKind};
use crate::tcp::congestion::CongestionControl;
use crate::tcp::ecn::EcnFeedback;
use crate::tcp::state::{State, Tcb, TcbFlags};
use crate::tcp::{SeqNum, Tcp};
use core::net::SocketAddr;
use core::time::Duration;

/// A connection at one moment. What was not measured or agreed on yet is zero, `None` or `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// Its state.
    pub state: State,
    /// Both sides send timestamps (RFC 7323 §3).
    pub timestamps: bool,
    /// Both sides understand selective acknowledgements (RFC 2018 §2).
    pub sack: bool,
    /// How congestion marks are told (RFC 3168).
    pub ecn: EcnFeedback,
    /// The shift counts of the peer's and of our windows (RFC 7323 §2).
    pub window_scales: (u8, u8),
    /// SMSS: the payload of a full segment, in bytes.
    pub mss: u16,
    /// The largest packet of the path as far as known, in bytes.
    pub path_mtu: u16,
    /// SRTT and RTTVAR (RFC 6298 §2).
    pub srtt: Duration,
    /// See `srtt`.
    pub rttvar: Duration,
    /// The smallest round-trip time of the last minutes.
    pub min_rtt: Duration,
    /// RTO, with its backoff.
    pub rto: Duration,
    /// How often the retransmission timer expired since the last acknowledgement.
    pub backoff: u8,
    /// What governs the rate of sending.
    pub congestion: CongestionAlgorithm,
    /// cwnd, in bytes.
    pub cwnd: u32,
    /// ssthresh, in bytes; `None` before the first reduction.
    pub ssthresh: Option<u32>,
    /// Losses are being repaired.
    pub in_recovery: bool,
    /// SND.WND: what the peer lets us send, in bytes.
    pub snd_wnd: u32,
    /// RCV.WND: what we let the peer send, in bytes.
    pub rcv_wnd: u32,
    /// Bytes that were sent and are not acknowledged.
    pub in_flight: u32,
    /// Bytes of the send queue that were not sent.
    pub unsent: u32,
    /// Bytes that have arrived and were not read.
    pub unread: u32,
    /// Segments that were sent again.
    pub retransmits: u32,
    /// Bytes of data that the peer has acknowledged.
    pub bytes_delivered: u64,
    /// Bytes of data that have arrived in order.
    pub bytes_received: u64,
}

/// One row of the list of everything that TCP has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpEntry {
    /// Our address; a listener's may be unspecified.
    pub local: SocketAddr,
    /// The peer's; `None` for listeners.
    pub remote: Option<SocketAddr>,
    /// The state; `LISTEN` for listeners.
    pub state: State,
    /// The handle, where there is one: not before a connection is accepted, nor after it was closed.
    pub id: Option<SocketId>,
}

/// Bytes of a stream: `wraps` times all numbers, and those from the first one on to `next`. Neither
/// SYN nor FIN counts.
fn bytes(wraps: u16, isn: SeqNum, next: SeqNum, fin: bool) -> u64 {
    let numbers = u64::from(wraps) << 32 | u64::from(next.get().wrapping_sub(isn.get()));
    numbers.saturating_sub(1 + u64::from(fin))
}

impl Tcb {
    fn info(&self) -> TcpInfo {
        let ssthresh = self.congestion.ssthresh();
        let repairing = TcbFlags::RECOVERY | TcbFlags::LOSS_RECOVERY;
        let micros = |micros: u32| Duration::from_micros(micros.into());
        let fin_received = self.flags.contains(TcbFlags::FIN_RECEIVED);
        let queued = self.send.bytes(self.snd_una);
        // A FIN is no byte of the queue.
        let sent = self.snd_nxt.since(self.snd_una).min(queued);
        TcpInfo {
            state: self.state,
            timestamps: self.flags.contains(TcbFlags::TIMESTAMPS),
            sack: self.flags.contains(TcbFlags::SACK),
            ecn: self.ecn_feedback(),
            window_scales: (self.snd_scale, self.rcv_scale),
            mss: self.smss,
            path_mtu: self.path_mtu(),
            srtt: micros(self.rtt.srtt_micros()),
            rttvar: micros(self.rtt.rttvar_micros()),
            min_rtt: micros(self.rack.min_rtt_micros()),
            rto: self.rtt.rto(),
            backoff: self.rtt.backoff(),
            congestion: self.congestion.algorithm(),
            cwnd: self.cwnd(),
            ssthresh: (ssthresh != u32::MAX).then_some(ssthresh),
            in_recovery: self.flags.intersects(repairing),
            snd_wnd: self.snd_wnd,
            rcv_wnd: self.rcv_wnd(),
            in_flight: self.flight(),
            unsent: queued - sent,
            unread: self.unread,
            retransmits: self.retransmits,
            bytes_delivered: bytes(
                self.snd_wraps,
                self.iss,
                self.snd_una,
                self.fin_acknowledged(),
            ),
            bytes_received: bytes(self.rcv_wraps, self.irs, self.rcv_nxt, fin_received),
        }
    }
}

impl Tcp {
    /// What a connection is doing.
    pub(crate) fn info(&self, id: SocketId) -> Result<TcpInfo, BadHandle> {
        Ok(self.connection(id)?.1.info())
    }

    /// The first entry at `cursor` or behind it, and the cursor behind that one. A cursor is a place
    /// in the tables: listeners, connections, half-open ones, TIME-WAIT.
    pub(crate) fn next_entry(&self, cursor: usize) -> Option<(TcpEntry, usize)> {
        let listeners = self.listeners.places();
        let connections = listeners + self.connections.places();
        let half_open = connections + self.half_open.places();
        let end = half_open + self.time_wait.entries.places();
        (cursor..end).find_map(|place| {
            let entry = if place < listeners {
                self.listener_entry(place)
            } else if place < connections {
                self.connection_entry(place - listeners)
            } else if place < half_open {
                let key = &self.half_open.get(index(place - connections)?)?.key;
                Some(TcpEntry {
                    local: key.local_addr(),
                    remote: Some(key.remote_addr()),
                    state: State::SynReceived,
                    id: None,
                })
            } else {
                let entry = self.time_wait.entries.get(index(place - half_open)?)?;
                Some(TcpEntry {
                    local: entry.key.local_addr(),
                    remote: Some(entry.key.remote_addr()),
                    state: State::TimeWait,
                    id: entry.owner.map(|owner| self.connection_id(owner)),
                })
            };
            Some((entry?, place + 1))
        })
    }

    fn connection_id(&self, index: u32) -> SocketId {
        let generation = self.connections.generation(index);
        SocketId::new(SocketKind::Connection, index, generation)
    }

    fn listener_entry(&self, place: usize) -> Option<TcpEntry> {
        let index = index(place)?;
        let listener = self.listeners.get(index)?;
        let generation = self.listeners.generation(index);
        Some(TcpEntry {
            local: listener.key.local_addr(),
            remote: None,
            state: State::Listen,
            id: Some(SocketId::new(SocketKind::Listener, index, generation)),
        })
    }

    fn connection_entry(&self, place: usize) -> Option<TcpEntry> {
        let index = index(place)?;
        let tcb = self.connections.get(index)?;
        if tcb.state == State::TimeWait {
            // It is in the table of those.
            return None;
        }
        let without_handle = TcbFlags::UNACCEPTED | TcbFlags::ORPHAN;
        let has_handle = !tcb.flags.intersects(without_handle);
        Some(TcpEntry {
            local: tcb.key.local_addr(),
            remote: Some(tcb.key.remote_addr()),
            state: tcb.state,
            id: has_handle.then(|| self.connection_id(index)),
        })
    }
}

fn index(place: usize) -> Option<u32> {
    u32::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_across_the_wrap_of_numbers() {
        let isn = SeqNum::new(u32::MAX - 5);
        assert_eq!(
            bytes(0, isn, isn, false),
            0,
            "before the SYN is acknowledged"
        );
        assert_eq!(bytes(0, isn, isn + 1, false), 0);
        assert_eq!(bytes(0, isn, isn + 101, false), 100);
        assert_eq!(bytes(0, isn, isn + 102, true), 100);
        assert_eq!(bytes(2, isn, isn, false), (2 << 32) - 1);
    }
}
