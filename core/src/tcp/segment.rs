//! A received segment: header and options as the state machine wants them.

use super::reply::{DEFAULT_IP_FIELDS, Head, NO_BLOCKS, Reply};
use super::seq::SeqNum;
use crate::demux::FourTuple;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::{AccEcnOption, Flags, MAX_SACK_BLOCKS, TcpHeader, TcpOptions};

/// SEG.*: a segment without its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) seq: SeqNum,
    pub(super) ack: SeqNum,
    pub(super) flags: Flags,
    /// As it stands in the header, not scaled.
    pub(super) window: u16,
    /// Bytes of payload.
    pub(super) len: u32,
    pub(super) mss: Option<u16>,
    pub(super) window_scale: Option<u8>,
    pub(super) timestamps: Option<(u32, u32)>,
    pub(super) sack_permitted: bool,
    /// The ECN field of the packet in which it came.
    pub(super) ecn: Ecn,
    pub(super) accecn: Option<AccEcnOption>,
    /// SACK blocks as they were sent: left and right edge, of which `sack_len` count.
    sack: [(SeqNum, SeqNum); MAX_SACK_BLOCKS],
    sack_len: u8,
}

impl Segment {
    pub(super) fn new(header: &TcpHeader, options: &TcpOptions, payload: usize, ecn: Ecn) -> Self {
        let mut sack = [<(SeqNum, SeqNum)>::default(); MAX_SACK_BLOCKS];
        if !options.sack_blocks.is_empty() {
            for (place, (left, right)) in sack.iter_mut().zip(&options.sack_blocks) {
                *place = (SeqNum::new(*left), SeqNum::new(*right));
            }
        }
        Self {
            seq: SeqNum::new(header.sequence.get()),
            ack: SeqNum::new(header.acknowledgment.get()),
            flags: header.flags(),
            window: header.window.get(),
            len: u32::try_from(payload).unwrap_or(0),
            mss: options.mss,
            window_scale: options.window_scale,
            timestamps: options.timestamps,
            sack_permitted: options.sack_permitted,
            ecn,
            accecn: options.accecn,
            sack,
            sack_len: u8::try_from(options.sack_blocks.len()).unwrap_or(0),
        }
    }

    /// The SACK blocks, unchecked (RFC 2018 §3).
    pub(super) fn sack_blocks(&self) -> &[(SeqNum, SeqNum)] {
        self.sack.get(..usize::from(self.sack_len)).unwrap_or(&[])
    }

    /// Whether there are any.
    #[inline]
    pub(super) fn has_sack_blocks(&self) -> bool {
        self.sack_len > 0
    }

    /// SEG.LEN: payload, SYN and FIN.
    pub(super) fn seq_len(&self) -> u32 {
        self.len
            + u32::from(self.flags.contains(Flags::SYN))
            + u32::from(self.flags.contains(Flags::FIN))
    }

    /// The reset that answers a segment which belongs to no connection (RFC 9293 §3.10.7.1).
    pub(super) fn reset(&self, key: FourTuple) -> Reply {
        let head = if self.flags.contains(Flags::ACK) {
            Head {
                key,
                seq: self.ack,
                ack: SeqNum::default(),
                flags: Flags::RST,
                window: 0,
                ip: DEFAULT_IP_FIELDS,
            }
        } else {
            let ack = self.seq + self.seq_len();
            Head {
                key,
                seq: SeqNum::default(),
                ack,
                flags: Flags::RST | Flags::ACK,
                window: 0,
                ip: DEFAULT_IP_FIELDS,
            }
        };
        Reply {
            sack: NO_BLOCKS,
            head,
            timestamps: None,
            syn: None,
        }
    }
}
