//! TCP (RFC 9293): all connections and listeners of a stack.
//!
//! TCP takes segments and gives segments; it never names an interface or a route.
//!
//! - `state`: the control block; `input`: segment arrival,
//!   and `predicted`, what mostly arrives; `output`: what is sent and when;
//!   `timers`: what time brings.
//! - `sack`: what has arrived behind holes, for the peer; `scoreboard`: what the peer says of that.
//! - `rack`, `recovery`, `prr`: which segments are lost, and how they are repaired; `frto`: whether
//!   they were lost at all; `congestion`: how much may be on its way; `ecn` and `accecn`: marks
//!   instead of losses.
//! - `pmtu`: how large segments may be on their path.
//! - `pacing`: that it does not go in bursts; `autotune`: how large buffers may grow.
//! - `send_queue` and `reassembly`: data, in the frames of the pool; `ranges`: the order of what
//!   waits behind holes.
//! - `passive`, `listener`, `half_open`, `syn_cookie`, `peers`: connections before they are
//!   connections, and who may have one; `fast_open`: data in the SYN; `time_wait`: afterwards.
//! - `user`: the calls of the user; `settings`: what the user may choose.
//! - `rtt`, `seq`, `tick`, `isn`, `params`: arithmetic and constants.
//!
//! A connection's functions leave what they want from their surroundings in its flags;
//! `Tcp::settle` then brings the lists, the timing wheel and the tables up to date. No cost in
//! here depends on the number of connections, but for closing a listener: it ends those that wait
//! there.
//!
//! What is not used is not negotiated.

mod accecn;
mod address_gone;
mod autotune;
mod congestion;
mod ecn;
mod fast_open;
mod footprint;
mod frto;
mod half_open;
mod input;
mod isn;
mod list;
mod listener;
mod output;
mod pacing;
mod params;
mod passive;
mod peers;
mod pmtu;
mod predicted;
mod prr;
mod rack;
mod ranges;
mod reassembly;
mod recovery;
mod reply;
mod rtt;
mod sack;
mod scoreboard;
mod segment;
mod send_queue;
mod seq;
mod settings;
mod shared;
mod slab;
mod state;
mod syn_cookie;
#[cfg(test)]
mod testing;
mod tick;
mod time_wait;
mod timers;
mod user;

pub use ecn::EcnFeedback;
pub(crate) use footprint::{CONNECTION_BYTES, HALF_OPEN_BYTES, LISTENER_BYTES, TIME_WAIT_BYTES};
pub(crate) use reassembly::RANGE_BYTES;
pub use settings::{TcpSetting, TcpSettings};
pub use state::State;
pub use user::{TcpEntry, TcpInfo};

use crate::checksum;
use crate::config::{Limits, TcpConfig};
use crate::context::{Context, IcmpError, Incoming, Outgoing};
use crate::demux::{Address, Demux, FourTuple};
use crate::error::ConfigError;
use crate::ip::PathMtus;
use crate::log::{Change, Journal};
use crate::pool::{Frame, HEADROOM};
use crate::rng::Rng;
use crate::socket::{Event, Readiness, SocketId, SocketKind, unspecified_like};
use crate::time::Instant;
use crate::timer_wheel::TimerWheel;
use crate::wire::tcp::{self as wire, ALIGNED_TIMESTAMPS_LEN, Flags, HEADER_LEN, TcpOptions};
use core::net::Ipv4Addr;
use core::time::Duration;
use fast_open::FastOpen;
use half_open::HalfOpen;
use isn::Secrets;
use list::{IndexList, Links};
use listener::Listener;
use params::{BURST, DEFAULT_MSS_V4, DEFAULT_MSS_V6, MIN_MSS, Params};
use peers::Peers;
use reassembly::Reassembly;
use reply::{PROTOCOL, Replies};
use segment::Segment;
use seq::SeqNum;
use settings::{Profile, Profiles};
use shared::{Budget, Shared};
use slab::Slab;
use state::{Failure, Tcb, TcbFlags};
use syn_cookie::SynCookies;
use tick::Tick;
use time_wait::{TimeWait, TimeWaitTable};

/// The MSS that we announce: what fits the interface's MTU without options (RFC 6691 §2).
/// RFC 9293 §3.7.1 (MUST-67).
fn announced_mss(local: Address, mtu: u16) -> u16 {
    let headers = local.ip_header_len() + HEADER_LEN;
    mtu.saturating_sub(u16::try_from(headers).unwrap_or(60))
        .max(MIN_MSS)
}

/// The MSS of a peer that announces none (RFC 9293 §3.7.1, MUST-15).
fn default_mss(local: Address) -> u16 {
    if local.is_ipv4() {
        DEFAULT_MSS_V4
    } else {
        DEFAULT_MSS_V6
    }
}

/// SMSS: the payload of a full segment to a peer that announced `theirs` (RFC 9293 §3.7.1).
/// RFC 9293 §3.7.1 (MUST-16).
fn effective_mss(local: Address, theirs: Option<u16>, mtu: u16, timestamps: bool) -> u16 {
    let ours = announced_mss(local, mtu);
    let mss = theirs.unwrap_or(default_mss(local)).max(MIN_MSS).min(ours);
    let options = if timestamps {
        ALIGNED_TIMESTAMPS_LEN
    } else {
        0
    };
    mss - u16::try_from(options).unwrap_or(0)
}

/// Whether every value of a configuration is within its range.
pub(crate) fn is_in_range(config: &TcpConfig) -> bool {
    // R2: RFC 9293 §3.8.3 (SHLD-11).
    let user_timeout = config.user_timeout >= Duration::from_secs(100);
    user_timeout && Profile::new(config).is_ok()
}

/// What a reference in the demultiplexer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Connection(u32),
    HalfOpen(u32),
    TimeWait(u32),
    Listener(u32),
}

impl Entry {
    const INDEX: u32 = (1 << 30) - 1;

    fn to_bits(self) -> u32 {
        match self {
            Self::Connection(index) => index,
            Self::HalfOpen(index) => 1 << 30 | index,
            Self::TimeWait(index) => 2 << 30 | index,
            Self::Listener(index) => 3 << 30 | index,
        }
    }

    fn from_bits(bits: u32) -> Self {
        let index = bits & Self::INDEX;
        match bits >> 30 {
            0 => Self::Connection(index),
            1 => Self::HalfOpen(index),
            2 => Self::TimeWait(index),
            _ => Self::Listener(index),
        }
    }
}

/// How many of each table are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateCounts {
    /// Connections with a control block, those that wait to be accepted and orphans included.
    pub(crate) connections: usize,
    pub(crate) half_open: usize,
    pub(crate) time_wait: usize,
    /// Connections whose handle is closed and that TCP is still closing.
    pub(crate) orphaned: usize,
    /// Timers that run, TIME-WAIT aside.
    pub(crate) timers: usize,
}

/// All of TCP's state.
#[derive(Debug)]
pub(crate) struct Tcp {
    shared: Shared,
    connections: Slab<Tcb>,
    half_open: Slab<HalfOpen>,
    /// Lists the half-open connections of each listener.
    half_open_links: Links,
    time_wait: TimeWaitTable,
    listeners: Slab<Listener>,
    demux: Demux,
    demux_secret: [u8; 16],
    /// The key that was hashed last, and its hash: opening and closing a connection asks for it
    /// several times.
    hashed: (FourTuple, u64),
    /// The listener that was found last, and for what; nothing for port 0.
    listened: (Address, u16, u32),
    /// The connection whose segment came last: often the next one's too.
    latest: u32,
    secrets: Secrets,
    cookies: SynCookies,
    /// Where connections of a peer are limited.
    peers: Option<Peers>,
    /// Connections, then half-open ones.
    wheel: TimerWheel,
    /// Those with something to send: connections, then half-open ones.
    ready: IndexList,
    /// Segments that the first one in `ready` has sent in its turn.
    burst: u8,
    /// Those whose readiness has grown: connections, then listeners.
    events: IndexList,
    /// Connections that wait for memory to write.
    starved: IndexList,
    /// Where the half-open ones start in `wheel` and `ready`, and the listeners in `events`.
    first_half_open: u32,
    /// Connections without a handle, in the order in which they lost it.
    orphaned: IndexList,
    orphans: usize,
}

impl Tcp {
    /// Allocates all tables.
    pub(crate) fn new(
        config: &TcpConfig,
        limits: &Limits,
        max_listeners: usize,
        max_per_peer: Option<usize>,
        rng: &mut Rng,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        let Limits {
            connections,
            half_open,
            time_wait,
            frame_size,
            ..
        } = *limits;
        let demux_secret = rng.key();
        let nothing = FourTuple::listener(Ipv4Addr::UNSPECIFIED.into(), 0);
        let payload = frame_size.saturating_sub(HEADROOM + 40);
        let profile = Profile::new(config).map_err(|_| ConfigError::LimitOutOfRange)?;
        Ok(Self {
            shared: Shared {
                params: Params::new(config),
                profiles: Profiles::new(profile),
                budget: Budget::new(limits, u32::try_from(payload).unwrap_or(u32::MAX)),
                // No more ranges than frames of received data.
                reassembly: Reassembly::new(limits.tcp_frames(0) / 2, &demux_secret),
                replies: Replies::new(),
                accecn: accecn::counters(config.ecn, connections),
                path_mtus: PathMtus::new(rng.key()),
                fast_open: FastOpen::new(rng),
                journal: Journal::default(),
            },
            connections: Slab::new(connections),
            half_open: Slab::new(half_open),
            half_open_links: Links::new(half_open),
            time_wait: TimeWaitTable::new(time_wait),
            listeners: Slab::new(max_listeners),
            demux: Demux::new(connections + half_open + time_wait + max_listeners),
            demux_secret,
            hashed: (nothing, nothing.hash(&demux_secret)),
            listened: (nothing.local, 0, 0),
            latest: u32::MAX,
            secrets: Secrets::new(rng),
            cookies: SynCookies::new(rng),
            peers: max_per_peer.map(|max| Peers::new(max, connections, rng)),
            wheel: TimerWheel::new(connections + half_open, now),
            ready: IndexList::new(connections + half_open),
            burst: 0,
            events: IndexList::new(connections + max_listeners),
            starved: IndexList::new(connections),
            first_half_open: u32::try_from(connections).unwrap_or(u32::MAX),
            orphaned: IndexList::new(connections),
            orphans: 0,
        })
    }

    /// How much of the tables is in use.
    pub(crate) fn state_counts(&self) -> StateCounts {
        StateCounts {
            connections: self.connections.used(),
            half_open: self.half_open.used(),
            time_wait: self.time_wait.entries.used(),
            orphaned: self.orphans,
            timers: self.wheel.scheduled(),
        }
    }

    /// The hash of a key.
    fn hash(&mut self, key: &FourTuple) -> u64 {
        if self.hashed.0 != *key {
            self.hashed = (*key, key.hash(&self.demux_secret));
        }
        self.hashed.1
    }

    fn find(&self, key: &FourTuple) -> Option<Entry> {
        self.find_hashed(key.hash(&self.demux_secret), key)
    }

    fn find_hashed(&self, hash: u64, key: &FourTuple) -> Option<Entry> {
        let found = self.demux.find(hash, |bits| {
            let candidate = match Entry::from_bits(bits) {
                Entry::Connection(index) => self.connections.get(index).map(|tcb| &tcb.key),
                Entry::HalfOpen(index) => self.half_open.get(index).map(|half_open| &half_open.key),
                Entry::TimeWait(index) => self.time_wait.entries.get(index).map(|entry| &entry.key),
                Entry::Listener(index) => self.listeners.get(index).map(|listener| &listener.key),
            };
            candidate == Some(key)
        });
        found.map(Entry::from_bits)
    }

    /// [`Tcp::find`], with a look at the connection of the last segment first.
    fn find_for_segment(&mut self, key: &FourTuple) -> Option<Entry> {
        if let Some(tcb) = self.connections.get(self.latest)
            && tcb.key == *key
            && tcb.flags.contains(TcbFlags::IN_DEMUX)
        {
            return Some(Entry::Connection(self.latest));
        }
        let hash = self.hash(key);
        let found = self.find_hashed(hash, key);
        if let Some(Entry::Connection(index)) = found {
            self.latest = index;
        }
        found
    }

    /// The listener for an address and port: one bound to the address, or else to all of them.
    fn find_listener(&self, local: Address, port: u16) -> Option<u32> {
        let any = unspecified_like(local.ip()).into();
        [local, any].into_iter().find_map(|address| {
            match self.find(&FourTuple::listener(address, port)) {
                Some(Entry::Listener(index)) => Some(index),
                _ => None,
            }
        })
    }

    /// [`Tcp::find_listener`], with a look at the last one first.
    fn listener_for_segment(&mut self, local: Address, port: u16) -> Option<u32> {
        if (self.listened.0, self.listened.1) == (local, port) {
            return Some(self.listened.2);
        }
        let found = self.find_listener(local, port)?;
        self.listened = (local, port, found);
        Some(found)
    }

    /// There is a listener more, or one less.
    fn listeners_changed(&mut self) {
        self.listened.1 = 0;
    }

    fn enter(&mut self, key: &FourTuple, entry: Entry) {
        let hash = self.hash(key);
        let entered = self.demux.insert(hash, entry.to_bits());
        debug_assert!(entered, "the table is sized for all entries");
    }

    fn leave(&mut self, key: &FourTuple, entry: Entry) {
        let hash = self.hash(key);
        self.demux.remove(hash, entry.to_bits());
    }

    /// Takes a segment from IP: keeps its frame or frees it. Inlined, because the caller knows the
    /// family of the addresses.
    #[inline(always)]
    pub(crate) fn receive(&mut self, cx: &mut Context<'_>, packet: Incoming) {
        let Incoming {
            frame,
            source,
            destination,
            checksum_verified,
            mtu,
            ecn,
        } = packet;
        cx.counters.tcp_received += 1;
        let content = cx.pool.content(&frame);
        let (header, options, payload) = match wire::parse(content) {
            Ok(parts) => parts,
            Err(_) => {
                cx.counters.tcp_malformed += 1;
                cx.pool.free(frame);
                return;
            }
        };
        // RFC 9293 §3.1 (MUST-3).
        if !checksum_verified {
            let pseudo = checksum::pseudo_header(source, destination, PROTOCOL, content.len());
            if !(pseudo + checksum::sum(content)).is_valid() {
                cx.counters.tcp_bad_checksum += 1;
                cx.pool.free(frame);
                return;
            }
        }
        let Ok(options) = TcpOptions::parse(options) else {
            cx.counters.tcp_bad_option += 1;
            cx.pool.free(frame);
            return;
        };
        let key = FourTuple {
            local: destination.into(),
            remote: source.into(),
            local_port: header.destination_port.get(),
            remote_port: header.source_port.get(),
        };
        let segment = Segment::new(header, &options, payload.len(), ecn);
        if segment.flags.contains(Flags::SYN) {
            self.shared.fast_open.arrived = options.fast_open;
        }
        let descriptor = cx.pool.descriptor_mut(&frame);
        descriptor.start += u16::try_from(payload.start).unwrap_or(0);
        descriptor.len = u16::try_from(payload.len()).unwrap_or(0);
        if source == destination {
            // Nobody but an attacker sends us segments from our own address (land).
            cx.counters.tcp_from_ourselves += 1;
            cx.pool.free(frame);
            return;
        }
        self.dispatch(cx, key, segment, frame, mtu);
        self.wake_starved();
    }

    fn dispatch(
        &mut self,
        cx: &mut Context<'_>,
        key: FourTuple,
        segment: Segment,
        frame: Frame,
        mtu: usize,
    ) {
        match self.find_for_segment(&key) {
            Some(Entry::Connection(index)) => {
                let Some(tcb) = self.connections.get_mut(index) else {
                    return cx.pool.free(frame);
                };
                tcb.segment_arrives(&mut self.shared, cx, &segment, frame);
                self.settle(cx, index);
            }
            Some(Entry::HalfOpen(index)) => self.half_open_segment(cx, index, segment, frame),
            Some(Entry::TimeWait(index)) => {
                let Some(entry) = self.time_wait.entries.get_mut(index) else {
                    return cx.pool.free(frame);
                };
                match entry.segment_arrives(cx, &mut self.shared, &segment) {
                    time_wait::Step::Stay => cx.pool.free(frame),
                    time_wait::Step::Restart => {
                        let ends_at = Tick::after(cx.now, self.shared.params.time_wait);
                        self.time_wait.restart(index, ends_at);
                        cx.pool.free(frame);
                    }
                    time_wait::Step::NewConnection => {
                        self.listener_segment(cx, key, segment, frame, mtu, Some(index));
                    }
                }
            }
            Some(Entry::Listener(_)) | None => {
                self.listener_segment(cx, key, segment, frame, mtu, None)
            }
        }
    }

    fn end_time_wait(&mut self, index: u32) {
        let Some(TimeWait { key, owner, .. }) = self.time_wait.remove(index) else {
            return;
        };
        self.leave(&key, Entry::TimeWait(index));
        if let Some(tcb) = owner.and_then(|owner| self.connections.get_mut(owner)) {
            tcb.state = State::Closed;
        }
    }

    /// Brings everything around a connection up to date with what it says of itself.
    fn settle(&mut self, cx: &mut Context<'_>, index: u32) {
        let Some(tcb) = self.connections.get_mut(index) else {
            return;
        };
        if tcb.flags.contains(TcbFlags::FAST_OPEN)
            && !matches!(tcb.state, State::SynSent | State::SynReceived)
        {
            tcb.flags.remove(TcbFlags::FAST_OPEN);
            if tcb.flags.contains(TcbFlags::PASSIVE) {
                let (listener, reset) = (tcb.listener, tcb.failure == Some(Failure::Refused));
                self.fast_open_over(listener, reset);
                return self.settle(cx, index);
            }
        }
        if matches!(tcb.state, State::Closed | State::TimeWait)
            && tcb.flags.contains(TcbFlags::IN_DEMUX)
        {
            self.detach(cx, index);
            // It is not in the demultiplexer any more, if it is still there.
            return self.settle(cx, index);
        }
        tcb.settle_promise(&mut self.shared);
        if tcb.flags.contains(TcbFlags::OUTPUT) {
            tcb.flags.remove(TcbFlags::OUTPUT);
            if tcb.flags.contains(TcbFlags::IN_DEMUX) {
                self.ready.push_back(index);
            }
        }
        if tcb.flags.contains(TcbFlags::EVENT) {
            tcb.flags.remove(TcbFlags::EVENT);
            // Before it is accepted nobody knows its handle, afterwards nobody has it.
            if !tcb
                .flags
                .intersects(TcbFlags::UNACCEPTED | TcbFlags::ORPHAN)
            {
                self.events.push_back(index);
            }
        }
        if tcb.flags.contains(TcbFlags::STARVED) {
            self.starved.push_back(index);
        }
        let deadline = tcb.deadline(&self.shared);
        if let Some(tick) = deadline.number()
            && tcb.flags.contains(TcbFlags::IN_DEMUX)
        {
            self.wheel.schedule_no_later(index, tick, cx.now);
        }
    }

    /// A connection has ended: what remains is TIME-WAIT, and what the user may still read or ask.
    #[cold]
    fn detach(&mut self, cx: &mut Context<'_>, index: u32) {
        let Some(tcb) = self.connections.get_mut(index) else {
            return;
        };
        let key = tcb.key;
        let how = tcb.end();
        self.shared
            .journal
            .note(cx.now, || Change::Ended { key, how });
        let orphan = tcb.flags.contains(TcbFlags::ORPHAN);
        let passive = tcb
            .flags
            .contains(TcbFlags::PASSIVE)
            .then_some(tcb.listener);
        tcb.stop_timers();
        self.shared
            .accecn
            .remove(core::mem::replace(&mut tcb.accecn, u32::MAX));
        self.shared.budget.tx_used -= tcb.send.clear(cx.pool);
        self.shared.budget.rx_used -= self.shared.reassembly.clear(&mut tcb.out_of_order, cx.pool);
        if tcb.failure.is_some() || orphan {
            // RFC 9293 §3.10.7.4, RST: all queues are flushed.
            self.shared.budget.rx_used -= tcb.received.len();
            tcb.received.clear(cx.pool);
            tcb.unread = 0;
        }
        let remembered = tcb.state == State::TimeWait;
        let ends_at = Tick::after(cx.now, self.shared.params.time_wait);
        let entry = remembered.then(|| TimeWait::new(tcb, (!orphan).then_some(index), ends_at));
        tcb.flags
            .remove(TcbFlags::IN_DEMUX | TcbFlags::STARVED | TcbFlags::SEND_BLOCKED);
        tcb.settle_promise(&mut self.shared);
        self.wheel.cancel(index);
        self.ready.remove(index);
        self.starved.remove(index);
        self.leave(&key, Entry::Connection(index));
        if let Some(listener) = passive {
            self.passive_ended(listener, key.remote);
        }
        if let Some(entry) = entry {
            if self.time_wait.entries.is_full()
                && let Some(oldest) = self.time_wait.oldest()
            {
                cx.counters.tcp_time_wait_full += 1;
                self.end_time_wait(oldest);
            }
            // The FIN that brought it here is to be acknowledged.
            entry.acknowledge(cx, &mut self.shared);
            if let Some(place) = self.time_wait.insert(entry) {
                self.enter(&key, Entry::TimeWait(place));
            }
        }
        if orphan {
            self.orphans -= 1;
            self.orphaned.remove(index);
            self.events.remove(index);
            self.remove_connection(index);
        }
    }

    /// Takes a control block out of its place.
    fn remove_connection(&mut self, index: u32) -> Option<Tcb> {
        let tcb = self.connections.remove(index)?;
        self.shared.profiles.release(tcb.profile);
        Some(tcb)
    }

    /// Notes how many frames the receive queues of UDP hold, whenever that changes.
    #[inline]
    pub(crate) fn set_datagrams(&mut self, frames: usize) {
        if self.shared.budget.set_datagrams(frames) {
            self.wake_starved();
        }
    }

    /// Announces memory to writers that were refused for want of it, oldest first.
    #[inline(always)]
    fn wake_starved(&mut self) {
        if self.starved.first().is_some() {
            self.wake_some_starved();
        }
    }

    #[cold]
    fn wake_some_starved(&mut self) {
        while self.shared.budget.has_send_room()
            && let Some(index) = self.starved.pop_front()
        {
            if let Some(tcb) = self.connections.get_mut(index) {
                tcb.flags.remove(TcbFlags::STARVED | TcbFlags::SEND_BLOCKED);
                self.events.push_back(index);
            }
        }
    }

    /// Does everything whose time has come.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        self.shared.budget.few_connections = self.connections.is_nearly_full();
        while let Some(user) = self.wheel.expire(cx.now) {
            if let Some(index) = user.checked_sub(self.first_half_open) {
                let Some(half_open) = self.half_open.get_mut(index) else {
                    continue;
                };
                if !half_open.retransmit_at.is_due(cx.now) {
                    if let Some(tick) = half_open.retransmit_at.number() {
                        self.wheel.schedule(user, tick, cx.now);
                    }
                    continue;
                }
                match half_open.timer(&self.shared.params) {
                    half_open::Step::SendSynAck => {
                        cx.counters.tcp_retransmits += 1;
                        self.ready.push_back(user);
                    }
                    _ => {
                        cx.counters.tcp_half_open_timeouts += 1;
                        self.forget_half_open(index);
                    }
                }
            } else if let Some(tcb) = self.connections.get_mut(user) {
                tcb.timers_expired(&mut self.shared, cx);
                self.settle(cx, user);
            }
        }
        while let Some(end) = self.time_wait.next_end()
            && end.is_due(cx.now)
            && let Some(oldest) = self.time_wait.oldest()
        {
            self.end_time_wait(oldest);
        }
        self.wake_starved();
    }

    /// When [`Tcp::handle_timeout`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let time_wait = self.time_wait.next_end().and_then(Tick::number);
        let time_wait = time_wait.map(|tick| self.wheel.instant(tick));
        match (self.wheel.next_expiry(), time_wait) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The next segment to send; `None` when nothing is due or no frame is free.
    pub(crate) fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Outgoing> {
        if let Some(outgoing) = self.shared.replies.transmit(cx) {
            return Some(outgoing);
        }
        while let Some(user) = self.ready.first() {
            let outgoing = match user.checked_sub(self.first_half_open) {
                Some(index) => self.transmit_syn_ack(cx, index),
                None => self.transmit_connection(cx, user),
            };
            if outgoing.is_none() {
                self.ready.remove(user);
                self.burst = 0;
                continue;
            }
            self.burst += 1;
            if self.ready.first() != Some(user) {
                // It was its last one.
                self.burst = 0;
            } else if self.burst >= BURST {
                // The next one's turn.
                self.burst = 0;
                self.ready.remove(user);
                self.ready.push_back(user);
            }
            return outgoing;
        }
        None
    }

    fn transmit_connection(&mut self, cx: &mut Context<'_>, index: u32) -> Option<Outgoing> {
        let tcb = self.connections.get_mut(index)?;
        let outgoing = tcb.next_segment(&mut self.shared, cx);
        tcb.flags.remove(TcbFlags::OUTPUT);
        tcb.settle_promise(&mut self.shared);
        if tcb.has_sent_all() {
            self.ready.remove(index);
        }
        let deadline = tcb.deadline(&self.shared);
        if let Some(tick) = deadline.number() {
            self.wheel.schedule_no_later(index, tick, cx.now);
        }
        outgoing
    }

    fn transmit_syn_ack(&mut self, cx: &mut Context<'_>, index: u32) -> Option<Outgoing> {
        let half_open = self.half_open.get_mut(index)?;
        let profile = self.listeners.get(half_open.listener).map(|l| l.profile);
        let cookie = half_open
            .wants_cookie()
            .then(|| self.shared.fast_open.cookie(cx, &half_open.key));
        let settings = self.shared.profiles.get(profile.unwrap_or_default());
        let outgoing = half_open.syn_ack(cx, settings, cookie);
        let user = self.first_half_open + index;
        if let Some(tick) = half_open.retransmit_at.number() {
            self.wheel.schedule(user, tick, cx.now);
        }
        // One is enough.
        self.ready.remove(user);
        outgoing
    }

    /// The network reports an error about a segment of ours (RFC 5927 §4.1, RFC 5461).
    ///
    /// Only a segment that is on its way is believed to have caused one, and only a connection that
    /// is not open yet ends by it; others note the reason and go on trying.
    /// RFC 9293 §3.9.2.2 (MUST-56, SHLD-25).
    pub(crate) fn icmp_error(
        &mut self,
        cx: &mut Context<'_>,
        local: core::net::SocketAddr,
        remote: core::net::SocketAddr,
        seq: u32,
        error: IcmpError,
    ) {
        let key = FourTuple::new(local, remote);
        let Some(Entry::Connection(index)) = self.find(&key) else {
            cx.counters.icmp_error_unrelated += 1;
            return;
        };
        let Some(tcb) = self.connections.get_mut(index) else {
            return;
        };
        let seq = SeqNum::new(seq);
        if seq.before(tcb.snd_una) || !seq.before(tcb.snd_max) {
            cx.counters.icmp_error_unrelated += 1;
            return;
        }
        cx.counters.icmp_error_delivered += 1;
        match error {
            IcmpError::PortUnreachable | IcmpError::ProtocolUnreachable
                if tcb.state == State::SynSent =>
            {
                tcb.fail(Failure::Refused);
            }
            IcmpError::Unreachable
            | IcmpError::PortUnreachable
            | IcmpError::ProtocolUnreachable => {
                tcb.flags |= TcbFlags::UNREACHABLE;
            }
            IcmpError::FragmentationNeeded { mtu } => {
                tcb.packet_too_big(&mut self.shared, cx, seq, mtu);
            }
            // Transient by nature.
            IcmpError::TimeExceeded | IcmpError::ParameterProblem => {}
        }
        self.settle(cx, index);
    }

    /// Where connections that open and end are written down.
    pub(crate) fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    pub(crate) fn journal_mut(&mut self) -> &mut Journal {
        &mut self.shared.journal
    }

    /// How often path MTUs were learned, and the latest of them.
    pub(crate) fn latest_path(&self) -> (u32, Option<(core::net::IpAddr, u16)>) {
        let paths = &self.shared.path_mtus;
        (paths.generation(), paths.latest())
    }

    /// The largest packet that the path to an address carries, if that is known.
    pub(crate) fn path_mtu(&mut self, now: Instant, address: core::net::IpAddr) -> Option<usize> {
        self.shared.path_mtus.get(now, address).map(usize::from)
    }

    /// The link to an address carries less than a segment that was just to be sent: connections adopt
    /// that when they look next.
    pub(crate) fn link_carries(&mut self, now: Instant, address: core::net::IpAddr, mtu: u16) {
        self.shared.path_mtus.lower(now, address, mtu);
    }

    /// The next hop of a segment that starts with `seq` does not answer. What is not open yet fails:
    /// there is no sense in waiting for more of the same; what is open notes the reason and goes on
    /// trying (RFC 1122 §4.2.3.9, RFC 5461 §4).
    pub(crate) fn neighbour_failed(
        &mut self,
        cx: &mut Context<'_>,
        local: core::net::SocketAddr,
        remote: core::net::SocketAddr,
        seq: u32,
    ) {
        let Some(Entry::Connection(index)) = self.find(&FourTuple::new(local, remote)) else {
            return;
        };
        let Some(tcb) = self.connections.get_mut(index) else {
            return;
        };
        if tcb.state == State::SynSent && tcb.iss == SeqNum::new(seq) {
            cx.counters.tcp_neighbour_failed += 1;
            tcb.fail(Failure::Unreachable);
        } else {
            tcb.flags |= TcbFlags::UNREACHABLE;
        }
        self.settle(cx, index);
    }

    /// Takes the next socket whose readiness has grown.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        while let Some(user) = self.events.pop_front() {
            let socket = match user.checked_sub(self.first_half_open) {
                Some(index) => SocketId::new(
                    SocketKind::Listener,
                    index,
                    self.listeners.generation(index),
                ),
                None => SocketId::new(
                    SocketKind::Connection,
                    user,
                    self.connections.generation(user),
                ),
            };
            if let Ok(readiness) = self.readiness(socket) {
                if !readiness.contains(Readiness::WRITABLE) {
                    self.keep_blocked(user);
                }
                if !readiness.is_empty() {
                    return Some(Event { socket, readiness });
                }
            }
        }
        None
    }

    /// Puts a socket that exists at the end of the list of events, unless it is there.
    pub(crate) fn put_event(&mut self, id: SocketId) {
        let place = u32::try_from(id.index()).unwrap_or(u32::MAX);
        self.events.push_back(match id.kind() {
            SocketKind::Listener => self.first_half_open + place,
            _ => place,
        });
    }

    /// The event of a connection finds no room for its writer. There may have been some when it was
    /// noticed: the limit of the queue shrinks with the window. Then the writer still waits.
    fn keep_blocked(&mut self, index: u32) {
        if let Some(tcb) = self.connections.get_mut(index)
            && tcb.can_send()
            && tcb.flags.contains(TcbFlags::IN_DEMUX)
        {
            tcb.flags |= TcbFlags::SEND_BLOCKED;
            if tcb.send.frames.is_empty() {
                // No acknowledgement of its own will tell.
                tcb.flags |= TcbFlags::STARVED;
                self.starved.push_back(index);
            }
        }
    }
}
