//! What all connections share: the configuration, the budget of frames, the data out of
//! order, and the queue of segments that belong to no connection.

use super::accecn::AccEcn;
use super::fast_open::FastOpen;
use super::params::{MIN_WINDOW_SEGMENTS, Params};
use super::reassembly::Reassembly;
use super::reply::Replies;
use super::settings::Profiles;
use super::slab::Slab;
use crate::config::Limits;
use crate::ip::PathMtus;
use crate::log::Journal;
use crate::pool::FramePool;

/// Lent to a connection for the time of a call.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) params: Params,
    pub(super) profiles: Profiles,
    pub(super) budget: Budget,
    pub(super) reassembly: Reassembly,
    pub(super) replies: Replies,
    /// Counters of connections that use Accurate ECN; empty if none may.
    pub(super) accecn: Slab<AccEcn>,
    /// Here because TCP can tell whether a message about the path is true; UDP asks too.
    pub(super) path_mtus: PathMtus,
    pub(super) fast_open: FastOpen,
    /// Connections that open and end, for whoever keeps a log.
    pub(super) journal: Journal,
}

/// Who may hold how many frames.
///
/// What the pool has beyond its reserve is shared with UDP and with packets that wait for a
/// neighbour:
///
/// | who | frames beyond the reserve |
/// |---|---|
/// | packets that wait for a neighbour | set aside, as many as there may be of them |
/// | receive queues of UDP | always an eighth; up to a quarter if TCP has not taken them |
/// | TCP | the rest |
///
/// TCP's part is cut in two halves, for data received and for data to send, so that neither direction can starve the other: a server that must write before it reads
/// on always can. Within a half, a connection may take as much as is left by all others (a dynamic
/// threshold): one connection gets half of it, many get equal shares, and some always stays free
/// for those that come later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Frames in receive queues, in order or not.
    pub(super) rx_used: usize,
    rx_max: usize,
    /// Frames in send queues.
    pub(super) tx_used: usize,
    tx_max: usize,
    limits: Limits,
    /// What the maxima are for: frames in the receive queues of UDP.
    datagrams: usize,
    /// Few connections are left: as of the last timer.
    pub(super) few_connections: bool,
    /// Bytes of all windows that are open: data that may come.
    pub(super) promised: u64,
    /// The payload of a full frame.
    frame_payload: u32,
}

/// Frames that a connection may queue to send as long as there are any.
const MIN_SEND_FRAMES: usize = 2;

impl Budget {
    pub(super) fn new(limits: &Limits, frame_payload: u32) -> Self {
        let half = limits.tcp_frames(0) / 2;
        Self {
            rx_used: 0,
            rx_max: half,
            tx_used: 0,
            tx_max: half,
            limits: *limits,
            datagrams: limits.least_datagrams(),
            few_connections: false,
            promised: 0,
            frame_payload: frame_payload.max(1),
        }
    }

    /// The receive queues of UDP hold this many frames. Returns whether TCP may have more than
    /// before.
    #[inline]
    pub(super) fn set_datagrams(&mut self, frames: usize) -> bool {
        // Up to here they are not TCP's in any case.
        let frames = frames.max(self.limits.least_datagrams());
        if frames == self.datagrams {
            return false;
        }
        let fewer = frames < self.datagrams;
        self.datagrams = frames;
        let half = self.limits.tcp_frames(frames) / 2;
        (self.rx_max, self.tx_max) = (half, half);
        fewer
    }

    /// Whether a received frame with data in order may be kept.
    pub(super) fn may_keep(&self, pool: &FramePool) -> bool {
        self.rx_used < self.rx_max && pool.free_frames() >= self.limits.reserved_frames / 2
    }

    /// Whether a received frame with data out of order may be kept: the last eighth is for data
    /// that can be read at once.
    pub(super) fn may_keep_out_of_order(&self, pool: &FramePool) -> bool {
        self.rx_used < self.rx_max - self.rx_max / 8
            && pool.free_frames() >= self.limits.reserved_frames
    }

    /// Whether a connection with `own` frames in its send queue may add one.
    pub(super) fn may_queue_to_send(&self, own: usize) -> bool {
        let left = self.tx_max.saturating_sub(self.tx_used);
        left > 0 && (own < MIN_SEND_FRAMES || own < left)
    }

    /// Whether there is room for those that were refused.
    pub(super) fn has_send_room(&self) -> bool {
        self.tx_used < self.tx_max
    }

    /// Whether connections, or frames to send with, are so short that those who hold them without
    /// need must let go.
    pub(super) fn is_short(&self) -> bool {
        self.few_connections || self.tx_used > self.tx_max - self.tx_max / 8
    }

    /// Whether a frame can be had for data to send.
    pub(super) fn may_allocate(&self, pool: &FramePool) -> bool {
        pool.free_frames() > self.limits.reserved_frames
    }

    /// The window that a connection with nothing unread always gets.
    pub(super) fn least_window(&self) -> u32 {
        MIN_WINDOW_SEGMENTS * self.frame_payload
    }

    /// The window that a connection may announce, which holds `unread` bytes and has announced
    /// `announced` bytes so far, within its own limit.
    pub(super) fn window(&self, limit: u32, unread: u32, announced: u32) -> u32 {
        let room = limit.saturating_sub(unread);
        let frames = self.rx_max.saturating_sub(self.rx_used) as u64;
        let others = self.promised.saturating_sub(u64::from(announced));
        let left = (frames * u64::from(self.frame_payload)).saturating_sub(others);
        let share = u32::try_from(left / 2)
            .unwrap_or(u32::MAX)
            .saturating_sub(unread);
        let least = if unread == 0 { self.least_window() } else { 0 };
        room.min(share.max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        let limits = Limits {
            // 64 for the reserve, 128 that wait for neighbours, 161 datagrams; the rest is TCP's.
            frames: 1_353,
            frame_size: 1_664,
            reserved_frames: 64,
            connections: 256,
            half_open: 256,
            time_wait: 256,
        };
        Budget::new(&limits, 1_000)
    }

    #[test]
    fn one_connection_gets_half_and_many_get_equal_shares() {
        let mut budget = budget();
        assert_eq!(budget.window(1 << 30, 0, 0), 250_000);
        assert_eq!(
            budget.window(10_000, 4_000, 0),
            6_000,
            "its own limit comes first"
        );
        let mut windows = [0u32; 100];
        for _ in 0..1_000 {
            for window in &mut windows {
                let offer = budget.window(1 << 30, 0, *window);
                budget.promised = budget.promised - u64::from(*window) + u64::from(offer);
                *window = offer;
            }
        }
        let (min, max) = (windows.iter().min().unwrap(), windows.iter().max().unwrap());
        assert!(*max - *min <= 2_000 && *min >= 2_000, "{min} {max}");
        assert!(
            budget.promised <= 500_000,
            "no more is promised than there is"
        );
    }

    #[test]
    fn with_nothing_left_only_those_with_nothing_unread_get_the_minimum() {
        let mut budget = budget();
        budget.rx_used = 500;
        assert_eq!(
            (budget.window(1 << 20, 0, 0), budget.window(1 << 20, 1, 0)),
            (2_000, 0)
        );
    }

    #[test]
    fn senders_share_their_half() {
        let mut budget = budget();
        assert!(budget.may_queue_to_send(499) && !budget.may_queue_to_send(500));
        budget.tx_used = 400;
        assert!(budget.may_queue_to_send(99) && !budget.may_queue_to_send(100));
        budget.tx_used = 499;
        assert!(budget.may_queue_to_send(1) && !budget.may_queue_to_send(2));
        budget.tx_used = 500;
        assert!(!budget.may_queue_to_send(0) && !budget.has_send_room());
    }

    #[test]
    fn datagrams_are_at_the_cost_of_tcp_only_beyond_their_eighth() {
        let mut budget = budget();
        assert!(!budget.set_datagrams(161));
        assert_eq!((budget.rx_max, budget.tx_max), (500, 500));
        assert!(!budget.set_datagrams(261));
        assert_eq!((budget.rx_max, budget.tx_max), (450, 450));
        budget.rx_used = 470;
        assert_eq!(budget.window(1 << 20, 1, 0), 0, "no promise is added");
        assert!(budget.set_datagrams(0), "there is more than before");
        assert_eq!((budget.rx_max, budget.tx_max), (500, 500));
    }
}
