//! Connections that peers ask for: from the SYN to the listener's queue, and who may have one.
//!
//! `listener` has the table of limits. A SYN passes them first, then becomes a half-open connection
//! (`half_open`), or is answered with a cookie (`syn_cookie`) and forgotten.

use super::ecn::{self, EcnAgreed, EcnFeedback};
use super::fast_open::Check;
use super::half_open::{self, HalfOpen, Initial};
use super::listener::{self, Listener};
use super::params::MAX_WINDOW_SCALE;
use super::reply::{Head, NO_BLOCKS, Reply, SynOptions};
use super::segment::Segment;
use super::seq::SeqNum;
use super::settings::ProfileId;
use super::state::{Agreed, State, Tcb, TcbFlags, Timestamps, seconds};
use super::syn_cookie::Kept;
use super::{Entry, Tcp};
use crate::config::SynCookies as When;
use crate::context::Context;
use crate::counters::Counters;
use crate::demux::{Address, FourTuple};
use crate::pool::Frame;
use crate::wire::tcp::Flags;

/// How a SYN is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Not at all: a counter says why.
    Ignore,
    /// With a cookie.
    Cookie,
    /// With what a half-open connection says, and a Fast Open cookie if one is offered.
    HalfOpen { offer: bool },
    /// By a connection that takes the data of the SYN at once.
    FastOpen { new_cookie: bool },
}

/// A SYN that a listener takes.
#[derive(Clone, Copy, Debug)]
struct Syn<'a> {
    key: FourTuple,
    index: u32,
    segment: &'a Segment,
    mtu: u16,
    /// A number that ours must exceed.
    after: Option<SeqNum>,
}

impl Tcp {
    /// RFC 9293 §3.10.7.1 and §3.10.7.2: a segment for no connection, which may be a SYN for a
    /// listener, or acknowledge a cookie. `time_wait`: the entry that a SYN wants to replace.
    pub(super) fn listener_segment(
        &mut self,
        cx: &mut Context<'_>,
        key: FourTuple,
        segment: Segment,
        frame: Frame,
        mtu: usize,
        time_wait: Option<u32>,
    ) {
        if segment.flags.contains(Flags::RST) {
            cx.counters.tcp_stray_reset += 1;
            return cx.pool.free(frame);
        }
        let listener = self.listener_for_segment(key.local, key.local_port);
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        let flags = segment
            .flags
            .intersection(Flags::SYN | Flags::ACK | Flags::FIN);
        match listener {
            Some(index) if flags == Flags::SYN => {
                let syn = Syn {
                    key,
                    index,
                    segment: &segment,
                    mtu,
                    after: None,
                };
                self.syn(cx, syn, frame, time_wait);
            }
            Some(index)
                if flags.intersection(Flags::SYN | Flags::ACK) == Flags::ACK
                    && self.has_sent_cookies(cx, index) =>
            {
                self.cookie_segment(cx, key, index, segment, frame, mtu);
            }
            Some(_) if !flags.contains(Flags::ACK) => {
                // Neither a request nor an answer to anything: SYN with FIN, or nothing at all.
                cx.counters.tcp_no_ack += 1;
                cx.pool.free(frame);
            }
            _ => {
                cx.counters.tcp_no_connection += 1;
                self.shared.replies.push(cx, segment.reset(key));
                cx.pool.free(frame);
            }
        }
    }

    /// A SYN for a listener (RFC 9293 §3.10.7.2, third step).
    fn syn(
        &mut self,
        cx: &mut Context<'_>,
        mut syn: Syn<'_>,
        frame: Frame,
        time_wait: Option<u32>,
    ) {
        let Syn {
            key,
            index,
            segment,
            mtu,
            ..
        } = syn;
        let answer = self.answer_to_syn(cx, index, &key, segment);
        if answer == Answer::Ignore {
            return cx.pool.free(frame);
        }
        // RFC 9293 §3.6.1, MAY-2: beyond every number of the former connection.
        syn.after = time_wait
            .and_then(|place| self.time_wait.entries.get(place))
            .map(|entry| entry.snd_nxt);
        let cookie = (answer == Answer::Cookie).then(|| self.cookie(cx, &key, index, segment, mtu));
        if let (Some(cookie), Some(after)) = (&cookie, syn.after)
            && !cookie.head.seq.after(after)
        {
            // A cookie's number cannot be chosen: TIME-WAIT goes on.
            cx.counters.tcp_time_wait_kept += 1;
            return cx.pool.free(frame);
        }
        if let Some(place) = time_wait {
            cx.counters.tcp_time_wait_reused += 1;
            self.end_time_wait(place);
        }
        let Some(cookie) = cookie else {
            if let Answer::FastOpen { new_cookie } = answer {
                return self.fast_open_syn(cx, &syn, frame, new_cookie);
            }
            cx.pool.free(frame);
            let offer = matches!(answer, Answer::HalfOpen { offer: true });
            return self.half_open_syn(cx, &syn, offer);
        };
        cx.pool.free(frame);
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.cookie_sent = Some(self.cookies.period(cx.rng, cx.now));
        }
        cx.counters.tcp_cookies_sent += 1;
        self.shared.replies.push(cx, cookie);
    }

    /// Passes the limits, in the order of the table in `listener`.
    fn answer_to_syn(
        &mut self,
        cx: &mut Context<'_>,
        index: u32,
        key: &FourTuple,
        segment: &Segment,
    ) -> Answer {
        let remote = key.remote;
        let Some(listener) = self.listeners.get(index) else {
            return Answer::Ignore;
        };
        let mut ignore = |counter: fn(&mut Counters) -> &mut u64| {
            *counter(cx.counters) += 1;
            Answer::Ignore
        };
        if !listener.has_room() {
            return ignore(|c| &mut c.tcp_backlog_full);
        }
        if !listener.may_connect() {
            return ignore(|c| &mut c.tcp_listener_full);
        }
        if !self.peer_may_connect(remote) {
            return ignore(|c| &mut c.tcp_peer_full);
        }
        if self.connections.is_full() && self.orphaned.first().is_none() {
            return ignore(|c| &mut c.tcp_connections_full);
        }
        let wants_fast_open = listener.fast_open_max > 0 && self.shared.fast_open.arrived.is_some();
        let share_is_full = !listener.has_room_for_half_open();
        let full = share_is_full || self.half_open.is_full();
        if wants_fast_open && let Some(answer) = self.fast_open_answer(cx, index, key, segment) {
            return answer;
        }
        let mut ignore = |counter: fn(&mut Counters) -> &mut u64| {
            *counter(cx.counters) += 1;
            Answer::Ignore
        };
        match self.shared.params.syn_cookies {
            When::Always => Answer::Cookie,
            When::WhenFull if full => Answer::Cookie,
            When::Off if share_is_full => ignore(|c| &mut c.tcp_backlog_full),
            When::Off if full => ignore(|c| &mut c.tcp_half_open_full),
            When::WhenFull | When::Off => Answer::HalfOpen {
                offer: wants_fast_open,
            },
        }
    }

    /// Whether a SYN with the Fast Open option is a connection at once (RFC 7413 §4.2.2).
    fn fast_open_answer(
        &mut self,
        cx: &mut Context<'_>,
        index: u32,
        key: &FourTuple,
        segment: &Segment,
    ) -> Option<Answer> {
        let cookie = self.shared.fast_open.arrived?;
        if cookie.is_empty() {
            return None;
        }
        let check = self.shared.fast_open.check(cx, key, cookie);
        if check == Check::Bad {
            cx.counters.tcp_fast_open_bad_cookie += 1;
            return None;
        }
        if segment.len == 0 {
            return None;
        }
        let listener = self.listeners.get_mut(index)?;
        if !listener.may_fast_open(seconds(cx.now))
            || self.connections.is_full()
            || !self.shared.budget.may_keep(cx.pool)
        {
            cx.counters.tcp_fast_open_limited += 1;
            return None;
        }
        Some(Answer::FastOpen {
            new_cookie: check == Check::Old,
        })
    }

    /// Our initial number for a connection, and the offset of its timestamps.
    fn initial_numbers(&self, cx: &Context<'_>, syn: &Syn<'_>) -> (SeqNum, u32) {
        let (iss, offset) = self.secrets.initial(&syn.key, cx.now);
        match syn.after {
            Some(after) if !iss.after(after) => (after + 0x1_0000, offset),
            _ => (iss, offset),
        }
    }

    /// A connection of which nothing is known but its SYN, with data, and that its peer was at this
    /// address before (RFC 7413 §4.2.2).
    fn fast_open_syn(
        &mut self,
        cx: &mut Context<'_>,
        syn: &Syn<'_>,
        frame: Frame,
        new_cookie: bool,
    ) {
        let (iss, offset) = self.initial_numbers(cx, syn);
        let Syn {
            key,
            index,
            segment,
            mtu,
            ..
        } = *syn;
        let params = &self.shared.params;
        let ours = params.window_scale;
        let (snd_scale, rcv_scale) = segment
            .window_scale
            .map_or((0, 0), |theirs| (theirs.min(MAX_WINDOW_SCALE), ours));
        let with_timestamps = segment.timestamps.is_some();
        let agreed = Agreed {
            iss,
            irs: segment.seq,
            rcv_wnd: u32::from(self.initial_window()),
            smss: super::effective_mss(key.local, segment.mss, mtu, with_timestamps),
            mtu,
            snd_scale,
            rcv_scale,
            timestamps: segment.timestamps.map(|(value, _)| Timestamps {
                recent: value,
                recent_at: seconds(cx.now),
                offset,
            }),
            sack: segment.sack_permitted,
            ecn: early_ecn(ecn::agrees_in_listen(params.ecn, segment)),
            syn_was_lost: false,
        };
        let profile = self.profile_of(index);
        let mut tcb = Tcb::new(key, &agreed, profile, self.shared.profiles.get(profile));
        tcb.state = State::SynReceived;
        // The window of a SYN is not scaled.
        tcb.snd_wnd = u32::from(segment.window);
        tcb.max_snd_wnd = tcb.snd_wnd;
        tcb.snd_wl1 = segment.seq;
        tcb.flags |= TcbFlags::FAST_OPEN | TcbFlags::SEND_SYN | TcbFlags::OUTPUT;
        tcb.flags.set(TcbFlags::NEW_COOKIE, new_cookie);
        let Some(place) = self.enter_connection(cx, tcb, index, None) else {
            return cx.pool.free(frame);
        };
        cx.counters.tcp_passive_opens += 1;
        cx.counters.tcp_fast_opens_accepted += 1;
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.fast_open += 1;
        }
        if let Some(tcb) = self.connections.get_mut(place) {
            tcb.data_with_syn(&mut self.shared, cx, frame);
            self.settle(cx, place);
        }
    }

    /// A connection that has started with data is established, or has ended.
    pub(super) fn fast_open_over(&mut self, reference: u32, reset: bool) {
        if let Some(listener) = self.referred(reference) {
            listener.fast_open_over(reset);
        }
    }

    fn peer_may_connect(&self, remote: Address) -> bool {
        let peers = self.peers.as_ref();
        peers.is_none_or(|peers| peers.may_connect(remote))
    }

    /// Remembers a SYN and has the SYN-ACK sent, with a Fast Open cookie if that is offered.
    fn half_open_syn(&mut self, cx: &mut Context<'_>, syn: &Syn<'_>, offer: bool) {
        let (iss, timestamp_offset) = self.initial_numbers(cx, syn);
        let Syn {
            key,
            index,
            segment,
            mtu,
            ..
        } = *syn;
        let initial = Initial {
            iss,
            timestamp_offset,
            window: self.initial_window(),
        };
        let params = &self.shared.params;
        let mut half_open = HalfOpen::new(key, index, segment, &initial, mtu, params, cx.now);
        if offer {
            half_open.offer_cookie();
        }
        if let Some(place) = self.half_open.insert(half_open) {
            if let Some(listener) = self.listeners.get_mut(index) {
                listener.half_open += 1;
                self.half_open_links
                    .push_back(&mut listener.half_open_list, place);
            }
            cx.counters.tcp_passive_opens += 1;
            self.enter(&key, Entry::HalfOpen(place));
            self.ready.push_back(self.first_half_open + place);
        }
    }

    /// The window of a SYN-ACK. All that are half-open share what one could get: they may all start
    /// to send at once, yet none of them has anything reserved.
    fn initial_window(&self) -> u16 {
        let budget = &self.shared.budget;
        let one = budget.window(self.shared.params.receive_buffer, 0, 0);
        let sharing = u32::try_from(self.half_open.used())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        u16::try_from((one / sharing).max(budget.least_window()).min(one)).unwrap_or(u16::MAX)
    }

    /// The window of a SYN-ACK with a cookie: known without remembering it.
    fn cookie_window(&self) -> u16 {
        u16::try_from(self.shared.budget.least_window()).unwrap_or(u16::MAX)
    }

    /// The SYN-ACK with a cookie. It is sent once, and as long as a SYN-ACK is without one.
    fn cookie(
        &mut self,
        cx: &mut Context<'_>,
        key: &FourTuple,
        index: u32,
        segment: &Segment,
        mtu: u16,
    ) -> Reply {
        let settings = self.shared.profiles.get(self.profile_of(index));
        let ip = (settings.time_to_live, settings.traffic_class);
        let timestamps = segment.timestamps.map(|(value, _)| value);
        let ecn = ecn::agrees_in_cookie(self.shared.params.ecn, segment);
        let kept = Kept {
            mss: segment.mss.unwrap_or(super::default_mss(key.local)),
            timestamps: timestamps.is_some(),
            window_scale: segment.window_scale.filter(|_| timestamps.is_some()),
            sack: segment.sack_permitted && timestamps.is_some(),
            ecn: timestamps.is_some() && ecn,
        };
        let numbers = self
            .cookies
            .encode(cx.rng, cx.now, &self.secrets, key, segment.seq, &kept);
        let head = Head {
            key: *key,
            seq: numbers.iss,
            ack: segment.seq + 1,
            flags: Flags::SYN | Flags::ACK | agreed_ecn(&kept).answer(0).0,
            window: self.cookie_window(),
            ip,
        };
        let ours = self.shared.params.window_scale;
        Reply {
            sack: NO_BLOCKS,
            head,
            timestamps: timestamps.map(|value| (numbers.timestamp, value)),
            syn: Some(SynOptions {
                mss: super::announced_mss(key.local, mtu),
                window_scale: kept.window_scale.map(|_| ours),
                sack_permitted: kept.sack,
            }),
        }
    }

    /// The settings of a listener's connections.
    fn profile_of(&self, index: u32) -> ProfileId {
        let listener = self.listeners.get(index);
        listener
            .map(|listener| listener.profile)
            .unwrap_or_default()
    }

    /// Whether an acknowledgement may be that of a cookie: the listener has sent one that is still
    /// good.
    fn has_sent_cookies(&mut self, cx: &mut Context<'_>, index: u32) -> bool {
        let sent = self.listeners.get(index).and_then(|l| l.cookie_sent);
        sent.is_some_and(|sent| self.cookies.period(cx.rng, cx.now) <= sent + 1)
    }

    /// A segment for a listener that acknowledges something: a cookie, or nothing that was sent.
    fn cookie_segment(
        &mut self,
        cx: &mut Context<'_>,
        key: FourTuple,
        index: u32,
        segment: Segment,
        frame: Frame,
        mtu: u16,
    ) {
        let period = self.cookies.period(cx.rng, cx.now);
        let kept = self
            .cookies
            .decode(cx.rng, cx.now, &self.secrets, &key, &segment);
        let listener = self.listeners.get_mut(index);
        let Some(kept) = kept else {
            cx.counters.tcp_cookies_failed += 1;
            let ignored = listener.and_then(|listener| listener.cookie_ignored);
            if ignored.is_none_or(|ignored| period > ignored + 1) {
                self.shared.replies.push(cx, segment.reset(key));
            }
            return cx.pool.free(frame);
        };
        if let Some(listener) = listener
            && !listener.has_room()
        {
            listener.cookie_ignored = Some(period);
        }
        let params = &self.shared.params;
        let scales = kept
            .window_scale
            .map(|theirs| (theirs, params.window_scale));
        let (snd_scale, rcv_scale) = scales.unwrap_or((0, 0));
        let (_, offset) = self.secrets.base(&key);
        let agreed = Agreed {
            iss: segment.ack - 1,
            irs: segment.seq - 1,
            rcv_wnd: u32::from(self.cookie_window()),
            smss: super::effective_mss(key.local, Some(kept.mss), mtu, kept.timestamps),
            mtu,
            snd_scale,
            rcv_scale,
            timestamps: segment.timestamps.map(|(value, _)| Timestamps {
                recent: value,
                recent_at: seconds(cx.now),
                offset,
            }),
            sack: kept.sack,
            ecn: agreed_ecn(&kept),
            syn_was_lost: false,
        };
        let profile = self.profile_of(index);
        let settings = self.shared.profiles.get(profile);
        let mut tcb = Tcb::new(key, &agreed, profile, settings);
        tcb.state = State::Established;
        tcb.take_window(&segment);
        tcb.restart_idle_timer(&self.shared, cx.now);
        if self.open(cx, tcb, index, None, segment, frame) {
            cx.counters.tcp_passive_opens += 1;
            cx.counters.tcp_cookies_accepted += 1;
        }
    }

    /// A segment for a half-open connection.
    pub(super) fn half_open_segment(
        &mut self,
        cx: &mut Context<'_>,
        place: u32,
        segment: Segment,
        frame: Frame,
    ) {
        let Some(half_open) = self.half_open.get_mut(place) else {
            return cx.pool.free(frame);
        };
        match half_open.segment_arrives(cx, &mut self.shared, &segment) {
            half_open::Step::Stay => cx.pool.free(frame),
            half_open::Step::SendSynAck => {
                self.ready.push_back(self.first_half_open + place);
                cx.pool.free(frame);
            }
            half_open::Step::Forget => {
                self.forget_half_open(place);
                cx.pool.free(frame);
            }
            half_open::Step::Open => {
                let index = half_open.listener;
                let listener = self.listeners.get(index);
                let profile = listener.map(|l| l.profile).unwrap_or_default();
                let tcb = half_open.open(&self.shared, profile, &segment, cx.now);
                self.open(cx, tcb, index, Some(place), segment, frame);
            }
        }
    }

    /// The handshake of `tcb` is complete: puts it into its listener's queue, if the limits allow,
    /// and hands it the segment that completed it. `half_open`: the place that it had. Returns
    /// whether it is a connection now.
    fn open(
        &mut self,
        cx: &mut Context<'_>,
        tcb: Tcb,
        index: u32,
        half_open: Option<u32>,
        segment: Segment,
        frame: Frame,
    ) -> bool {
        let key = tcb.key;
        let Some(listener) = self.listeners.get(index) else {
            cx.pool.free(frame);
            return false;
        };
        if !listener.has_room() {
            // The peer repeats itself, or our SYN-ACK does.
            cx.counters.tcp_backlog_full += 1;
            cx.pool.free(frame);
            return false;
        }
        let listener_is_full = !listener.may_connect();
        if listener_is_full || !self.peer_may_connect(key.remote) {
            if listener_is_full {
                cx.counters.tcp_listener_full += 1;
            } else {
                cx.counters.tcp_peer_full += 1;
            }
            self.shared.replies.push(cx, segment.reset(key));
            if let Some(place) = half_open {
                self.forget_half_open(place);
            }
            cx.pool.free(frame);
            return false;
        }
        self.make_room(cx);
        let Some(place) = self.enter_connection(cx, tcb, index, half_open) else {
            cx.pool.free(frame);
            return false;
        };
        if let Some(tcb) = self.connections.get_mut(place) {
            tcb.note_opened(&mut self.shared, cx.now);
            tcb.segment_arrives(&mut self.shared, cx, &segment, frame);
            self.settle(cx, place);
        }
        true
    }

    /// Enters a connection into all tables and its listener's queue, in place of a half-open one
    /// if it was one.
    fn enter_connection(
        &mut self,
        cx: &mut Context<'_>,
        mut tcb: Tcb,
        index: u32,
        half_open: Option<u32>,
    ) -> Option<u32> {
        let (key, profile) = (tcb.key, tcb.profile);
        let generation = self.listeners.generation(index);
        tcb.listener = listener::reference(index, generation);
        tcb.flags |= TcbFlags::UNACCEPTED | TcbFlags::PASSIVE;
        let Some(place) = self.connections.insert(tcb) else {
            cx.counters.tcp_connections_full += 1;
            return None;
        };
        self.shared.profiles.retain(profile);
        let new = Entry::Connection(place);
        if let Some(half_open) = half_open {
            self.remove_half_open(half_open);
            let old = Entry::HalfOpen(half_open);
            let hash = self.hash(&key);
            self.demux.replace(hash, old.to_bits(), new.to_bits());
        } else {
            self.enter(&key, new);
        }
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.connections += 1;
        }
        if let Some(peers) = &mut self.peers {
            peers.add(key.remote);
        }
        self.queue_for_accept(index, place);
        if let Some(tcb) = self.connections.get_mut(place) {
            tcb.opened_with_ecn(&mut self.shared, cx);
        }
        Some(place)
    }

    /// When all places for connections are taken, the one goes whose user has closed it longest
    /// ago: TCP would only finish what nobody waits for. Only whoever has completed a handshake, or
    /// our own user, can make this happen.
    pub(super) fn make_room(&mut self, cx: &mut Context<'_>) {
        if self.connections.is_full()
            && let Some(oldest) = self.orphaned.first()
            && let Some(tcb) = self.connections.get_mut(oldest)
        {
            cx.counters.tcp_orphans_reaped += 1;
            tcb.send_reset(&mut self.shared, cx);
            tcb.state = State::Closed;
            self.settle(cx, oldest);
        }
    }

    /// A connection that a listener has brought has ended.
    pub(super) fn passive_ended(&mut self, reference: u32, remote: Address) {
        if let Some(listener) = self.referred(reference) {
            // A reference has only a part of the generation: this may be a later listener.
            listener.connections = listener.connections.saturating_sub(1);
        }
        if let Some(peers) = &mut self.peers {
            peers.remove(remote);
        }
    }

    /// The listener that a connection refers to, if it is still there.
    fn referred(&mut self, reference: u32) -> Option<&mut Listener> {
        let index = listener::index_of(reference);
        let generation = self.listeners.generation(index);
        self.listeners
            .get_mut(index)
            .filter(|_| listener::reference(index, generation) == reference)
    }

    /// Takes a half-open connection out of everything but the demultiplexer.
    fn remove_half_open(&mut self, place: u32) -> Option<FourTuple> {
        let half_open = self.half_open.remove(place)?;
        self.wheel.cancel(self.first_half_open + place);
        self.ready.remove(self.first_half_open + place);
        if let Some(listener) = self.listeners.get_mut(half_open.listener) {
            listener.half_open -= 1;
            self.half_open_links
                .remove(&mut listener.half_open_list, place);
        }
        Some(half_open.key)
    }

    pub(super) fn forget_half_open(&mut self, place: u32) {
        if let Some(key) = self.remove_half_open(place) {
            self.leave(&key, Entry::HalfOpen(place));
        }
    }
}

/// What a cookie's connection has agreed on: there is no room to keep more, so whoever asks for
/// Accurate ECN gets classic ECN (RFC 9768 table 2).
fn agreed_ecn(kept: &Kept) -> EcnAgreed {
    if kept.ecn {
        EcnAgreed::classic()
    } else {
        EcnAgreed::default()
    }
}

/// What a connection agrees on that starts with data: not Accurate ECN, whose handshake lives in
/// half-open connections.
fn early_ecn(agreed: EcnAgreed) -> EcnAgreed {
    match agreed.feedback {
        EcnFeedback::None | EcnFeedback::Classic => agreed,
        EcnFeedback::Accurate => EcnAgreed::default(),
    }
}
