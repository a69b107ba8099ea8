//! Segments that belong to no connection, and how any segment without data is built.
//!
//! Resets, the acknowledgements of TIME-WAIT and SYN-ACKs with cookies answer what has just arrived;
//! they wait in a short queue until the batch is over.

use super::params::REPLY_QUEUE;
use super::seq::SeqNum;
use crate::checksum::{self, Sum};
use crate::context::{Context, Outgoing, OutgoingFrame};
use crate::demux::FourTuple;
use crate::ip::TIME_TO_LIVE;
use crate::pool::HEADROOM;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::{
    ALIGNED_TIMESTAMPS_LEN, Flags, HEADER_LEN, MAX_HEADER_LEN, TcpHeader, TcpOptions,
};
use alloc::boxed::Box;
use alloc::vec;
use zerocopy::IntoBytes;

/// The protocol number of TCP.
pub(super) const PROTOCOL: u8 = 6;

/// The fields of the IP header where no connection says otherwise.
pub(super) const DEFAULT_IP_FIELDS: (u8, u8) = (TIME_TO_LIVE, 0);

/// What the header of a segment says, options aside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) key: FourTuple,
    pub(super) seq: SeqNum,
    pub(super) ack: SeqNum,
    pub(super) flags: Flags,
    /// As it goes on the wire.
    pub(super) window: u16,
    /// Time to live, and traffic class with the ECN bits.
    pub(super) ip: (u8, u8),
}

impl Head {
    /// Writes header and options, checksum included, so that they end at the end of `out`, and
    /// returns their length. `payload` is length and sum of what follows.
    /// RFC 9293 §3.1 (MUST-2).
    pub(super) fn emit(&self, options: &TcpOptions, payload: (u16, Sum), out: &mut [u8]) -> usize {
        self.write(options, payload, out)
    }

    /// [`Head::emit`] for the options that most segments have.
    #[inline(always)]
    pub(super) fn emit_usual(
        &self,
        timestamps: Option<(u32, u32)>,
        payload: (u16, Sum),
        out: &mut [u8],
    ) -> usize {
        // Apart, so that all lengths are known when this is compiled.
        match timestamps {
            Some(_) => {
                let options = TcpOptions {
                    timestamps,
                    ..TcpOptions::default()
                };
                self.write(&options, payload, out)
            }
            None => self.write(&TcpOptions::default(), payload, out),
        }
    }

    #[inline(always)]
    fn write(&self, options: &TcpOptions, payload: (u16, Sum), out: &mut [u8]) -> usize {
        let options_len = options.len();
        let len = HEADER_LEN + options_len;
        let Some(at) = out.len().checked_sub(len) else {
            return 0;
        };
        let place = &mut out[at..];
        let mut header = TcpHeader {
            source_port: self.key.local_port.into(),
            destination_port: self.key.remote_port.into(),
            sequence: self.seq.get().into(),
            acknowledgment: if self.flags.contains(Flags::ACK) {
                self.ack.get()
            } else {
                0
            }
            .into(),
            window: self.window.into(),
            ..TcpHeader::default()
        };
        header.set_len_and_flags(len, self.flags);
        options.emit(&mut place[HEADER_LEN..]);
        let (payload_len, payload_sum) = payload;
        let total = len + usize::from(payload_len);
        let sum = self.pseudo_header(total)
            + checksum::sum_header::<HEADER_LEN>(zerocopy::transmute_ref!(&header))
            + sum_options(&place[HEADER_LEN..])
            + payload_sum;
        header.checksum = sum.finish().into();
        place[..HEADER_LEN].copy_from_slice(header.as_bytes());
        len
    }

    /// The sum of the pseudo header (RFC 9293 §3.1) for a segment of `len` bytes: of what it adds up,
    /// the families only have in different places.
    #[inline]
    fn pseudo_header(&self, len: usize) -> Sum {
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        self.key.local.sum()
            + self.key.remote.sum()
            + Sum::word(u16::from(PROTOCOL))
            + Sum::word(len)
    }

    /// A segment without payload in a frame of its own; `None` when the pool is empty.
    pub(super) fn segment(&self, options: &TcpOptions, cx: &mut Context<'_>) -> Option<Outgoing> {
        self.build(cx, |place| self.emit(options, (0, Sum::ZERO), place))
    }

    /// [`Head::segment`] for the options that most segments have.
    pub(super) fn usual_segment(
        &self,
        timestamps: Option<(u32, u32)>,
        cx: &mut Context<'_>,
    ) -> Option<Outgoing> {
        self.build(cx, |place| {
            self.emit_usual(timestamps, (0, Sum::ZERO), place)
        })
    }

    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a header has at most 60 bytes"
    )]
    fn build(
        &self,
        cx: &mut Context<'_>,
        emit: impl FnOnce(&mut [u8]) -> usize,
    ) -> Option<Outgoing> {
        let frame = cx.pool.allocate()?;
        let place = &mut cx.pool.buffer_mut(&frame)[HEADROOM - MAX_HEADER_LEN..HEADROOM];
        let len = emit(place);
        let descriptor = cx.pool.descriptor_mut(&frame);
        descriptor.start = (HEADROOM - len) as u16;
        descriptor.len = len as u16;
        cx.counters.tcp_sent += 1;
        Some(self.outgoing(OutgoingFrame::Owned(frame)))
    }

    pub(super) fn outgoing(&self, payload: OutgoingFrame) -> Outgoing {
        Outgoing {
            source: self.key.local,
            destination: self.key.remote,
            protocol: PROTOCOL,
            time_to_live: self.ip.0,
            traffic_class: self.ip.1,
            ecn: Ecn::NotEct,
            payload,
        }
    }
}

/// The sum of a header's options: none, timestamps, or others.
#[inline]
fn sum_options(options: &[u8]) -> Sum {
    if options.is_empty() {
        return Sum::ZERO;
    }
    match <&[u8; ALIGNED_TIMESTAMPS_LEN]>::try_from(options) {
        Ok(timestamps) => checksum::sum_header(timestamps),
        Err(_) => checksum::sum(options),
    }
}

/// SACK blocks of a segment that waits: a duplicate, and the block that it lies in.
pub(super) const REPLY_BLOCKS: usize = 2;
/// No SACK blocks.
pub(super) const NO_BLOCKS: [(u32, u32); REPLY_BLOCKS] = [(0, 0); REPLY_BLOCKS];

/// A segment that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) head: Head,
    pub(super) timestamps: Option<(u32, u32)>,
    /// Of a SYN-ACK.
    pub(super) syn: Option<SynOptions>,
    /// SACK blocks; those without bytes are none.
    pub(super) sack: [(u32, u32); REPLY_BLOCKS],
}

/// What only a SYN-ACK says.
#[derive(Clone, Copy, Debug)]
pub(super) struct SynOptions {
    pub(super) mss: u16,
    pub(super) window_scale: Option<u8>,
    pub(super) sack_permitted: bool,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Replies {
    ring: Box<[Option<Reply>]>,
    first: usize,
    len: usize,
}

impl Replies {
    pub(super) fn new() -> Self {
        Self {
            ring: vec![None; REPLY_QUEUE].into_boxed_slice(),
            first: 0,
            len: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether what can be done without may be queued.
    pub(super) fn has_room_to_spare(&self) -> bool {
        self.len < self.ring.len() / 2
    }

    /// Queues a segment; drops and counts it when the queue is full.
    pub(super) fn push(&mut self, cx: &mut Context<'_>, reply: Reply) {
        if self.len == self.ring.len() {
            cx.counters.tcp_reply_queue_full += 1;
            return;
        }
        let at = (self.first + self.len) % self.ring.len();
        self.ring[at] = Some(reply);
        self.len += 1;
    }

    /// Builds the next segment; `None` when none waits or the pool is empty.
    pub(super) fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Outgoing> {
        if self.is_empty() {
            return None;
        }
        let reply = self.ring[self.first]?;
        let options = TcpOptions {
            timestamps: reply.timestamps,
            mss: reply.syn.map(|syn| syn.mss),
            window_scale: reply.syn.and_then(|syn| syn.window_scale),
            sack_permitted: reply.syn.is_some_and(|syn| syn.sack_permitted),
            sack_blocks: reply
                .sack
                .into_iter()
                .filter(|(left, right)| left != right)
                .collect(),
            ..TcpOptions::default()
        };
        let outgoing = reply.head.segment(&options, cx)?;
        if reply.head.flags.contains(Flags::RST) {
            cx.counters.tcp_resets_sent += 1;
        }
        self.ring[self.first] = None;
        self.first = (self.first + 1) % self.ring.len();
        self.len -= 1;
        Some(outgoing)
    }
}
