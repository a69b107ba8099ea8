//! TCP's constants, each with its source, and the configuration in the units that TCP counts in.

use super::tick::Tick;
use crate::config::{EcnMode, SynCookies, TcpConfig};
use crate::time::nanos;
use core::time::Duration;

/// Retransmission timeout before the first measurement (RFC 6298 §2.1).
pub(super) const INITIAL_RTO: Duration = Duration::from_secs(1);
/// Retransmission timeout for data when the handshake had to be repeated and nothing was measured
/// (RFC 6298 §5.7).
pub(super) const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);
/// By how much the retransmission timeout exceeds the smoothed round-trip time, at least: the
/// smallest timeout. RFC 6298 §2.4 says 1 s, for clocks as coarse as those of its
/// time; Linux and FreeBSD use less, and so does every peer that we meet.
pub(super) const MIN_RTO: Duration = Duration::from_millis(200);
/// Largest retransmission timeout, and distance of zero-window probes (RFC 6298 §2.5: at least
/// 60 s).
pub(super) const MAX_RTO: Duration = Duration::from_secs(60);

/// Duplicate acknowledgements that start a fast retransmit (RFC 5681 §3.2).
pub(super) const DUP_ACK_THRESHOLD: u8 = 3;
/// Duplicate acknowledgements that let new segments go, one each (RFC 3042 §2).
pub(super) const LIMITED_TRANSMIT: u8 = 2;

/// For how long the smallest round-trip time is remembered, in microseconds: 5 minutes. Routes
/// change (RFC 8985 §6.2 step 1 leaves the filter open).
pub(super) const MIN_RTT_WINDOW: u32 = 300_000_000;
/// Recoveries after which a widened reordering window narrows again (RFC 8985 §6.2 step 4).
pub(super) const REORDERING_PERSIST: u8 = 16;
/// TLP.max_ack_delay (RFC 8985 §5.3): how long a peer may delay the acknowledgement of less than
/// two full segments.
pub(super) const TLP_MAX_ACK_DELAY: u32 = 200_000;
/// What is added to a probe timeout, for deadlines are rounded to ticks of the timing wheel: two of
/// them.
pub(super) const TLP_MARGIN: u32 = 2_000;
/// The probe timeout before the first measurement (RFC 8985 §7.2).
pub(super) const TLP_WITHOUT_RTT: u32 = 1_000_000;

/// Initial window in segments, and the bytes that it shall not exceed if segments are large
/// (RFC 6928 §2).
pub(super) const INITIAL_WINDOW_SEGMENTS: u32 = 10;
pub(super) const INITIAL_WINDOW_BYTES: u32 = 14_600;
/// L, the segments by which one acknowledgement opens the window in slow start. RFC 3465 §2.3 says
/// 2; RFC 9406 §4.3 says 8 where the sender does not pace, which suits peers that acknowledge a
/// whole burst at once, as mnet does.
pub(super) const SLOW_START_LIMIT: u32 = 8;

/// HyStart++ (RFC 9406 §4.3): a rise of the round-trip time by this part of it, within these bounds
/// in microseconds, is a queue;
pub(super) const MIN_RTT_DIVISOR: u32 = 8;
pub(super) const MIN_RTT_THRESH: u32 = 4_000;
pub(super) const MAX_RTT_THRESH: u32 = 16_000;
/// so many samples make a round's minimum;
pub(super) const N_RTT_SAMPLE: u8 = 8;
/// and conservative slow start grows by this part for so many rounds.
pub(super) const CSS_GROWTH_DIVISOR: u32 = 4;
pub(super) const CSS_ROUNDS: u8 = 5;

/// A path is paced if its smallest round-trip time is at least so many microseconds: four ticks of the
/// timing wheel.
pub(super) const PACING_MIN_RTT: u32 = 4_000;
/// How far output may fall behind its pace and catch up at once: a tick of the timing wheel, and as
/// much that its owner may be late.
pub(super) const PACING_CREDIT: Duration = Duration::from_millis(2);

/// The sizes that a path is tried with which swallows full segments: a payload that RFC 4821 §7.2
/// recommends, and a packet that every path carries (RFC 9293 §3.7.1), options included.
pub(super) const BASE_MSS: u16 = 1_024;
pub(super) const SMALLEST_MTU: u16 = 576;
/// After how long a larger size is tried (RFC 1191 §6.3, RFC 8899 §5.1.1).
pub(super) const MTU_RAISE_AFTER: Duration = crate::ip::PATH_MTU_LIFETIME;
/// The search for the largest size ends when it is known to so many bytes.
pub(super) const MTU_SEARCH_STEP: u16 = 8;

/// What a connection's receive window starts with, in bytes, when it grows by itself.
pub(super) const INITIAL_RECEIVE_LIMIT: u32 = 64 << 10;
/// The shortest time over which the reader is measured, in microseconds. On a path shorter than
/// that the window is larger than it needs to be, which costs little and lets both sides work in
/// large batches.
pub(super) const AUTOTUNE_ROUND: u32 = 10_000;
/// The same when the round-trip time is not known, because the handshake had to be repeated.
pub(super) const AUTOTUNE_ROUND_UNKNOWN: u32 = 100_000;
/// What a connection may queue to send however small its congestion window is, in bytes.
pub(super) const LEAST_SEND_LIMIT: u32 = 128 << 10;

/// Segments at a connection's start that are acknowledged at once, so that the peer's window opens
/// quickly.
pub(super) const QUICK_ACKS: u8 = 16;
/// Full-sized segments after which an acknowledgement waits no longer (RFC 9293 §3.8.6.3, SHLD-19).
pub(super) const ACK_EVERY: u32 = 2;

/// Smallest segment that is sent, whatever the peer announces: smaller ones cost more than they
/// carry (CVE-2019-11479). No network has an MTU that small (RFC 791 asks for 576 of hosts).
pub(super) const MIN_MSS: u16 = 216;
/// What the peer takes if it does not say (RFC 9293 §3.7.1, MUST-15).
pub(super) const DEFAULT_MSS_V4: u16 = 536;
pub(super) const DEFAULT_MSS_V6: u16 = 1220;
/// Largest window scale (RFC 7323 §2.3).
pub(super) const MAX_WINDOW_SCALE: u8 = 14;
/// Segments that the smallest window holds: what a connection with nothing unread may always get.
pub(super) const MIN_WINDOW_SEGMENTS: u32 = 2;

/// How long a timestamp of the peer stays valid for PAWS on an idle connection (RFC 7323 §5.5).
pub(super) const PAWS_IDLE_SECONDS: u32 = 24 * 24 * 3600;

/// Challenge ACKs, and answers to empty segments outside the window, that a connection sends in a
/// second (RFC 5961 §7): at least so many, and up to twice as many, by chance. The count is the
/// connection's own: one shared by all would tell an attacker about other connections
/// (CVE-2016-5696).
pub(super) const CHALLENGE_ACKS_PER_SECOND: u8 = 5;

/// Ranges behind holes that a connection may have while as many are left for all others; what would
/// make more of them is dropped. A window of 1 MiB of which every second segment is lost has 360.
pub(super) const MAX_RANGES: u32 = 1_024;
/// Those that it may have as long as there are any.
pub(super) const MIN_RANGES: u32 = 4;
/// Frames with data behind holes that a connection may hold beyond twice what its window would
/// fill: so few bytes in a frame are no accident.
pub(super) const OUT_OF_ORDER_SLACK: usize = 32;

/// Segments without a connection of their own (resets, answers from TIME-WAIT) that wait to be
/// sent. Each is an answer, so the next batch's are no worse for what is dropped.
pub(super) const REPLY_QUEUE: usize = 256;

/// Segments that one connection sends before it is the next one's turn.
pub(super) const BURST: u8 = 16;

/// How long a cork holds data back (practice: what Linux does).
pub(super) const CORK_TIME: Duration = Duration::from_millis(200);

/// Ephemeral ports (RFC 6056 §3.2 asks for a large range); below lie the usual ports of services.
pub(super) const EPHEMERAL_PORTS: core::ops::RangeInclusive<u16> = 32_768..=65_535;

/// The configuration, in nanoseconds and bytes.
#[derive(Clone, Debug)]
pub(super) struct Params {
    pub(super) receive_buffer: u32,
    pub(super) ecn: EcnMode,
    pub(super) autotuning: bool,
    pub(super) pacing: bool,
    pub(super) mtu_probing: bool,
    pub(super) time_wait: Duration,
    pub(super) fin_wait_2: Duration,
    pub(super) syn_retries: u8,
    pub(super) syn_ack_retries: u8,
    pub(super) syn_cookies: SynCookies,
    pub(super) zero_window_timeout: Option<Duration>,
    pub(super) user_timeout: Duration,
    /// The window scale that we announce: the smallest that lets 16 bits say `receive_buffer`.
    pub(super) window_scale: u8,
}

impl Params {
    pub(super) fn new(config: &TcpConfig) -> Self {
        let receive_buffer = u32::try_from(config.receive_buffer).unwrap_or(1 << 30);
        let window_scale = (0..MAX_WINDOW_SCALE).find(|shift| 0xffff << shift >= receive_buffer);
        Self {
            receive_buffer,
            ecn: config.ecn,
            autotuning: config.autotuning,
            pacing: config.pacing,
            mtu_probing: config.mtu_probing,
            time_wait: Duration::from_nanos(nanos(config.time_wait)),
            fin_wait_2: config.fin_wait_2,
            syn_retries: config.syn_retries,
            syn_ack_retries: config.syn_ack_retries,
            syn_cookies: config.syn_cookies,
            zero_window_timeout: config
                .zero_window_timeout
                .map(|timeout| timeout.min(Tick::FARTHEST)),
            user_timeout: config.user_timeout.min(Tick::FARTHEST),
            window_scale: window_scale.unwrap_or(MAX_WINDOW_SCALE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_scale_is_the_smallest_that_fits_the_buffer() {
        let scale = |receive_buffer| {
            Params::new(&TcpConfig {
                receive_buffer,
                ..TcpConfig::default()
            })
            .window_scale
        };
        assert_eq!([scale(4_096), scale(65_535), scale(65_536)], [0, 0, 1]);
        assert_eq!([scale(1 << 20), scale(1 << 30)], [5, 14]);
    }
}
