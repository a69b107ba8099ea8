//! A control block with what it needs around it, for unit tests.

use super::congestion::{Ack, Congestion, CongestionControl};
use super::ecn::EcnAgreed;
use super::fast_open::FastOpen;
use super::params::Params;
use super::reassembly::Reassembly;
use super::reply::Replies;
use super::seq::SeqNum;
use super::settings::{Profile, ProfileId, Profiles};
use super::shared::{Budget, Shared};
use super::state::{Agreed, State, Tcb};
use crate::config::{CongestionAlgorithm, Limits, TcpConfig};
use crate::context::Context;
use crate::counters::Counters;
use crate::demux::FourTuple;
use crate::ip::PathMtus;
use crate::pool::FramePool;
use crate::rng::Rng;
use crate::time::Instant;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

/// Payload of a full segment.
pub(super) const SMSS: u16 = 1_460;

/// An open connection.
pub(super) struct Bench {
    pub(super) tcb: Tcb,
    pub(super) shared: Shared,
    pub(super) pool: FramePool,
    pub(super) counters: Counters,
    pub(super) now: Instant,
    rng: Rng,
}

impl Bench {
    pub(super) fn new() -> Self {
        let frames = 64;
        let limits = Limits {
            frames,
            frame_size: 1_664,
            reserved_frames: 8,
            connections: 1,
            half_open: 1,
            time_wait: 1,
        };
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let key = FourTuple {
            local: address(1).into(),
            remote: address(2).into(),
            local_port: 80,
            remote_port: 9,
        };
        let agreed = Agreed {
            iss: SeqNum::new(u32::MAX),
            irs: SeqNum::new(7),
            rcv_wnd: 1_000,
            smss: SMSS,
            mtu: 1_500,
            snd_scale: 0,
            rcv_scale: 0,
            timestamps: None,
            sack: true,
            syn_was_lost: false,
            ecn: EcnAgreed::default(),
        };
        let params = Params::new(&TcpConfig::default());
        let settings = Profile::new(&TcpConfig::default()).unwrap();
        let mut tcb = Tcb::new(key, &agreed, ProfileId::DEFAULT, &settings);
        tcb.state = State::Established;
        Self {
            tcb,
            shared: Shared {
                accecn: crate::tcp::slab::Slab::new(0),
                params,
                profiles: Profiles::new(settings),
                budget: Budget::new(&limits, 1_460),
                reassembly: Reassembly::new(1, &[1; 16]),
                replies: Replies::new(),
                path_mtus: PathMtus::new([1; 16]),
                journal: crate::log::Journal::default(),
                fast_open: FastOpen::new(&mut Rng::new([2; 32])),
            },
            pool: FramePool::new(frames, 1_664),
            counters: Counters::default(),
            now: Instant::from_millis(1_000),
            rng: Rng::new([1; 32]),
        }
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
    }

    /// Calls a function of the connection.
    pub(super) fn with<R>(
        &mut self,
        call: impl FnOnce(&mut Tcb, &mut Shared, &mut Context<'_>) -> R,
    ) -> R {
        let mut cx = Context {
            now: self.now,
            pool: &mut self.pool,
            rng: &mut self.rng,
            counters: &mut self.counters,
        };
        call(&mut self.tcb, &mut self.shared, &mut cx)
    }

    /// The user has read all but `unread` bytes.
    pub(super) fn read(&mut self, unread: u32) {
        self.tcb.unread = unread;
        self.with(|tcb, shared, cx| tcb.adapt_to_reader(shared, cx));
    }

    /// A congestion window of so many segments.
    pub(super) fn open_window(&mut self, segments: u32) {
        let smss = u32::from(SMSS);
        let mut congestion = Congestion::new(CongestionAlgorithm::NewReno, smss, false);
        while congestion.window() < segments * smss {
            congestion.on_ack(&Ack {
                now: self.now,
                acked: smss,
                smss,
                rtt: None,
                snd_una: SeqNum::new(0),
                snd_nxt: SeqNum::new(0),
                limited: true,
                paced: false,
            });
        }
        self.tcb.congestion = congestion;
    }
}
