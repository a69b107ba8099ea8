//! What a connection sends, and when (RFC 9293 §3.7.4, §3.8.6).
//!
//! A segment with data is built around it: headers go into the room in front of the frame's
//! content, and the checksum continues the sum that was taken when the data was copied in.

use super::accecn;
use super::congestion::CongestionControl;
use super::frto::Frto;
use super::isn::timestamp_clock;
use super::params::CORK_TIME;
use super::rack::micros;
use super::reply::Head;
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{State, Tcb, TcbFlags};
use super::tick::Tick;
use crate::checksum::Sum;
use crate::context::{Context, Outgoing, OutgoingFrame};
use crate::pool::Descriptor;
use crate::time::Instant;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::{Flags, HEADER_LEN, MAX_HEADER_LEN, TcpOptions};
use core::time::Duration;

/// How long at least to wait for a frame when the pool is empty.
const MIN_RETRY: Duration = Duration::from_millis(1);

impl Tcb {
    /// The next segment; `None` when nothing is due, or the pool is empty.
    pub(super) fn next_segment(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
    ) -> Option<Outgoing> {
        match self.state {
            State::Closed | State::Listen | State::TimeWait => return None,
            State::SynReceived if self.answers_early() => {
                if self.flags.contains(TcbFlags::SEND_SYN) {
                    return self.syn_segment(shared, cx);
                }
            }
            State::SynSent | State::SynReceived => return self.syn_segment(shared, cx),
            State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => {}
        }
        if self.path_is_old(&shared.path_mtus) {
            self.look_at_path(shared, cx);
        }
        if self.flags.intersects(TcbFlags::ANY_PROBE) {
            if self.flags.contains(TcbFlags::ACE_ECHO) {
                // Alone, whatever else is to be sent (RFC 9768 §3.2.2.1).
                return self.control_segment(shared, cx, self.snd_max, Flags::ACK);
            }
            if let Some(outgoing) = self.due_probe(shared, cx) {
                return Some(outgoing);
            }
        }
        if !(self.flags.contains(TcbFlags::PACING) && self.must_wait(cx)) {
            // F-RTO sends new data to see what the old is worth (RFC 5682 §3.1 step 2b).
            if self.frto != Frto::SentNew
                && let Some(outgoing) = self.lost_segment(shared, cx)
            {
                return Some(outgoing);
            }
            if let Some(outgoing) = self.data_segment(shared, cx) {
                return Some(outgoing);
            }
        }
        let fin_is_new = self.flags.contains(TcbFlags::FIN_QUEUED) && self.snd_nxt == self.send.end;
        let fin_is_lost = self.flags.contains(TcbFlags::FIN_LOST) && self.send.board.lost_out == 0;
        if fin_is_new || (fin_is_lost && !self.flags.contains(TcbFlags::PERSIST)) {
            return self.fin_segment(shared, cx);
        }
        if self.dup_acks_due > 0 {
            let outgoing = self.control_segment(shared, cx, self.snd_max, Flags::ACK)?;
            self.dup_acks_due = self.dup_acks_due.saturating_sub(1);
            return Some(outgoing);
        }
        if self.flags.contains(TcbFlags::ACK_NOW) {
            let seq = self.snd_max;
            return self.control_segment(shared, cx, seq, Flags::ACK);
        }
        None
    }

    /// A probe that a timer has asked for.
    #[cold]
    fn due_probe(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Option<Outgoing> {
        let due = self.flags.intersection(TcbFlags::ANY_PROBE);
        self.flags.remove(due);
        if due.contains(TcbFlags::TLP_DUE) {
            // What has arrived since the timer expired may have told already (RFC 8985 §7.1).
            let board = &self.send.board;
            if board.sacked_out + board.lost_out == 0
                && let Some(outgoing) = self.loss_probe(shared, cx)
            {
                self.flags |= due.difference(TcbFlags::TLP_DUE);
                return Some(outgoing);
            }
        }
        if due.contains(TcbFlags::PROBE)
            && let Some(outgoing) = self.probe(shared, cx)
        {
            return Some(outgoing);
        }
        if due.contains(TcbFlags::MTU_PROBE_DUE)
            && let Some(outgoing) = self.mtu_probe(shared, cx)
        {
            return Some(outgoing);
        }
        if due.contains(TcbFlags::KEEPALIVE_DUE) && self.flight() == 0 {
            cx.counters.tcp_keepalive_probes += 1;
            // A number that the peer has acknowledged: it must answer (RFC 9293 §3.8.4).
            return self.control_segment(shared, cx, self.snd_max - 1, Flags::ACK);
        }
        None
    }

    /// After a segment: whether [`Tcb::next_segment`] has no more, as far as that shows at a
    /// glance.
    pub(super) fn has_sent_all(&mut self) -> bool {
        let due = TcbFlags::SEND_SYN | TcbFlags::ANY_PROBE | TcbFlags::FIN_LOST | TcbFlags::ACK_NOW;
        let data = self.send.next.is_some() || self.send.board.lost_out > 0;
        if data || self.flags.intersects(due) || self.dup_acks_due > 0 {
            return false;
        }
        // Its data is out, so it was not the congestion window that stopped it.
        self.flags.remove(TcbFlags::CWND_LIMITED | TcbFlags::PUSH);
        !self.flags.contains(TcbFlags::FIN_QUEUED) || self.snd_nxt != self.send.end
    }

    /// SYN in SYN-SENT, SYN-ACK in SYN-RECEIVED.
    /// RFC 9293 §3.7.1 (MUST-14, SHLD-5, MAY-3).
    fn syn_segment(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Option<Outgoing> {
        let answers = self.state == State::SynReceived;
        if !self.flags.contains(TcbFlags::SEND_SYN) {
            if answers && self.flags.contains(TcbFlags::ACK_NOW) {
                return self.control_segment(shared, cx, self.snd_max, Flags::ACK);
            }
            return None;
        }
        let ecn = self.ecn_of_syn(shared, cx);
        let flags = if answers {
            Flags::SYN | Flags::ACK | ecn
        } else {
            Flags::SYN | ecn
        };
        let announced = u16::try_from(self.rcv_wnd()).unwrap_or(u16::MAX);
        let head = Head {
            key: self.key,
            seq: self.iss,
            ack: self.rcv_nxt,
            flags,
            window: announced,
            ip: self.ip_fields(shared),
        };
        // A SYN-ACK only carries what the peer's SYN did.
        let with_timestamps = !answers || self.flags.contains(TcbFlags::TIMESTAMPS);
        let with_sack = !answers || self.flags.contains(TcbFlags::SACK);
        let with_scale = !answers || self.rcv_scale == shared.params.window_scale;
        let recent = if answers { self.timestamps.recent } else { 0 };
        let clock = timestamp_clock(cx.now).wrapping_add(self.timestamps.offset);
        let options = TcpOptions {
            mss: Some(super::announced_mss(self.key.local, self.mtu)),
            window_scale: with_scale.then_some(shared.params.window_scale),
            timestamps: with_timestamps.then_some((clock, recent)),
            sack_permitted: with_sack,
            fast_open: self.fast_open_option(shared, cx),
            ..TcpOptions::default()
        };
        // Also if the pool is empty: then the timer tries again.
        if !self.rtx_at.is_set() {
            self.start_retransmission_timer(cx.now);
        }
        let outgoing = match self.syn_with_data(shared, cx, &head, &options) {
            Some(outgoing) => outgoing,
            None => head.segment(&options, cx)?,
        };
        if self.answers_early() {
            // It acknowledges the data of the SYN.
            self.ack_at = Tick::NEVER;
        }
        self.flags.remove(TcbFlags::SEND_SYN | TcbFlags::ACK_NOW);
        self.last_ack_sent = self.rcv_nxt;
        self.timed_at = micros(cx.now);
        Some(outgoing)
    }

    /// The options of a segment with `len` bytes of data: SACK blocks as far as the segment does
    /// not become larger than a full one. `again`: it was sent before, and goes without what it may
    /// have been lost for.
    /// RFC 9293 §3.7.1 (MUST-65: no MSS here).
    fn options(&mut self, shared: &mut Shared, now: Instant, len: u16, again: bool) -> TcpOptions {
        let mut options = TcpOptions {
            timestamps: self.timestamps_to_send(now),
            ..TcpOptions::default()
        };
        let with_accecn = self.flags.contains(TcbFlags::ACCECN) && !again;
        if with_accecn || self.has_sack_blocks() {
            self.more_options(shared, &mut options, len, with_accecn);
        }
        options
    }

    /// Whether [`Tcb::options`] may give more than the timestamps.
    #[inline(always)]
    fn has_more_options(&self) -> bool {
        self.flags.contains(TcbFlags::ACCECN) || self.has_sack_blocks()
    }

    #[inline(always)]
    fn timestamps_to_send(&self, now: Instant) -> Option<(u32, u32)> {
        self.flags.contains(TcbFlags::TIMESTAMPS).then(|| {
            let clock = timestamp_clock(now).wrapping_add(self.timestamps.offset);
            (clock, self.timestamps.recent)
        })
    }

    /// What comes beside the timestamps, as far as header and segment have room.
    fn more_options(
        &mut self,
        shared: &mut Shared,
        options: &mut TcpOptions,
        len: u16,
        with_accecn: bool,
    ) {
        // What the peer and the path take counts, not what our link does (RFC 6691 §3).
        let segment = usize::from(self.smss.saturating_sub(len));
        let header = MAX_HEADER_LEN - HEADER_LEN - options.len();
        let mut room = segment.min(header);
        if with_accecn {
            let first = if self.has_sack_blocks() {
                accecn::SACK_FIRST
            } else {
                0
            };
            options.accecn = shared
                .accecn
                .get_mut(self.accecn)
                .and_then(|counters| counters.option(room.saturating_sub(first)));
            room = room.min(MAX_HEADER_LEN - HEADER_LEN - options.len());
            room = room.min(segment.saturating_sub(options.accecn_len()));
        }
        if self.has_sack_blocks() {
            options.sack_blocks = self.sack_blocks(shared, room);
        }
    }

    /// A header with the acknowledgement and window of now, and notes that they were sent.
    #[inline(always)]
    fn head(&mut self, shared: &mut Shared, seq: SeqNum, flags: Flags) -> Head {
        let window = self.announce_window(shared);
        self.last_ack_sent = self.rcv_nxt;
        self.ack_at = Tick::NEVER;
        self.flags.remove(TcbFlags::ACK_NOW);
        let mut flags = flags | Flags::ACK;
        if self.flags.intersects(TcbFlags::ECN_ECHO | TcbFlags::ACCECN) {
            flags |= self.ecn_flags(shared);
        }
        Head {
            key: self.key,
            seq,
            ack: self.rcv_nxt,
            flags,
            window,
            ip: self.ip_fields(shared),
        }
    }

    /// Time to live, and traffic class.
    pub(super) fn ip_fields(&self, shared: &Shared) -> (u8, u8) {
        let settings = self.settings(shared);
        (settings.time_to_live, settings.traffic_class)
    }

    /// A segment without data.
    fn control_segment(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        seq: SeqNum,
        flags: Flags,
    ) -> Option<Outgoing> {
        if cx.pool.free_frames() == 0 {
            self.try_again_soon(shared, cx.now);
            return None;
        }
        let head = self.head(shared, seq, flags);
        if self.has_more_options() {
            let options = self.options(shared, cx.now, 0, false);
            return head.segment(&options, cx);
        }
        head.usual_segment(self.timestamps_to_send(cx.now), cx)
    }

    /// The pool is empty, so what is due cannot be built: the timer of delayed acknowledgements
    /// brings it up again.
    fn try_again_soon(&mut self, shared: &Shared, now: Instant) {
        let soon = self.settings(shared).delayed_ack().max(MIN_RETRY);
        self.ack_at = self.ack_at.earlier(Tick::after(now, soon));
    }

    /// The window to announce now, as it stands in the header. The right edge never moves back
    /// (RFC 9293 §3.8.6.2.1) and only moves on by a worthwhile step (§3.8.6.2.2).
    /// RFC 9293 §3.8.6 (SHLD-14, MAY-8).
    fn announce_window(&mut self, shared: &Shared) -> u16 {
        let announced = self.rcv_wnd();
        let limit = self.receive_limit(shared);
        let offer = self.window_offer(shared, limit);
        // Rounding down would take back what was announced (RFC 7323 §2.4), but rounding up must
        // not promise more than the limit, or small segments could move the edge for ever.
        let rounded_up = (announced + (1 << self.rcv_scale) - 1) >> self.rcv_scale;
        let room = limit.saturating_sub(self.unread);
        let fits = rounded_up << self.rcv_scale <= room;
        let at_least = if fits {
            rounded_up
        } else {
            announced >> self.rcv_scale
        };
        let field = (offer >> self.rcv_scale).max(at_least).min(0xffff);
        self.rcv_adv = self
            .rcv_adv
            .latest(self.rcv_nxt + (field << self.rcv_scale));
        u16::try_from(field).unwrap_or(u16::MAX)
    }

    /// RCV.WND to offer, within `limit`: more than before only if it is so much more that it pays.
    #[inline(always)]
    fn window_offer(&self, shared: &Shared, limit: u32) -> u32 {
        let announced = self.rcv_wnd();
        if self.flags.contains(TcbFlags::FIN_RECEIVED) {
            return announced;
        }
        let limit = limit.min(0xffff << self.rcv_scale);
        let step = (limit / 2).min(u32::from(super::announced_mss(self.key.local, self.mtu)));
        let enough = announced.saturating_add(step);
        // No offer is larger than this, and mostly it is not enough.
        if limit.saturating_sub(self.unread) < enough {
            return announced;
        }
        let offer = shared.budget.window(limit, self.unread, announced);
        if offer >= enough { offer } else { announced }
    }

    /// Whether the reader has made so much room that the peer should hear of it at once. Smaller
    /// changes go with the next acknowledgement.
    /// RFC 9293 §3.8.6.2.2 (MUST-39).
    pub(super) fn window_update_is_due(&self, shared: &Shared) -> bool {
        if !matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2
        ) {
            return false;
        }
        let announced = self.rcv_wnd();
        let full = u32::from(super::announced_mss(self.key.local, self.mtu));
        let enough = if announced < 2 * full {
            1
        } else {
            (announced / 2).max(2 * full)
        };
        // No offer is larger than this, and mostly it is not enough.
        let limit = self.receive_limit(shared);
        let most = limit.saturating_sub(self.unread);
        most.saturating_sub(announced) >= enough
            && self.window_offer(shared, limit).saturating_sub(announced) >= enough
    }

    /// The first segment that is taken for lost, as far as the windows allow; the first one of a
    /// recovery whatever the congestion window says (RFC 5681 §3.2, RFC 6675 §5 step 4.3).
    /// RFC 9293 §3.8.6 (MUST-34, SHLD-16).
    fn lost_segment(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Option<Outgoing> {
        let index = self.send.first_lost(cx.pool)?;
        if self.flags.contains(TcbFlags::PERSIST) {
            return None;
        }
        let Descriptor { seq, len, .. } = *cx.pool.descriptor_at(index);
        let (seq, len) = (SeqNum::new(seq), u32::from(len));
        let pipe = self.pipe();
        let usable = (self.snd_una + self.snd_wnd).since(seq);
        let mut sent = len.min(self.smss());
        if sent > usable {
            // The peer has taken window back: sender's silly window avoidance, as for new data.
            if usable == 0 || usable < self.max_snd_wnd / 2 {
                if pipe == 0 {
                    self.start_persist(cx.now);
                }
                return None;
            }
            sent = usable;
        }
        if !self.flags.contains(TcbFlags::RETRANSMIT)
            && pipe > 0
            && sent > self.send_window().saturating_sub(pipe)
        {
            self.flags |= TcbFlags::CWND_LIMITED;
            return None;
        }
        if sent < len && !self.split(shared, cx, index, sent) {
            return None;
        }
        self.flags.remove(TcbFlags::RETRANSMIT);
        Some(self.send_again(shared, cx, index))
    }

    /// Sends a frame once more.
    fn send_again(&mut self, shared: &mut Shared, cx: &mut Context<'_>, index: u32) -> Outgoing {
        // The timed segment may be the one that is sent twice (Karn's rule).
        self.flags.remove(TcbFlags::TIMING);
        let is_last = cx.pool.next_in_queue(index).is_none();
        let len = u32::from(cx.pool.descriptor_at(index).len);
        let stamp = timestamp_clock(cx.now).wrapping_add(self.timestamps.offset);
        let outgoing = self.frame_segment(shared, cx, index, false);
        self.send.sent_again(cx.pool, index);
        self.doubt_sent_again(len, stamp, micros(cx.now));
        if is_last && self.flags.contains(TcbFlags::FIN_QUEUED) {
            // The FIN goes along, for the first time or once more.
            self.flags.remove(TcbFlags::FIN_LOST);
            self.snd_nxt = self.send.end + 1;
            self.snd_max = self.snd_max.latest(self.snd_nxt);
        }
        self.last_sent = Tick::moment(cx.now);
        if !self.rtx_at.is_set() {
            self.start_retransmission_timer(cx.now);
        }
        outgoing
    }

    /// TLP_send_probe (RFC 8985 §7.3): new data, or else the last segment once more, whatever the
    /// congestion window says.
    fn loss_probe(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Option<Outgoing> {
        let in_flight = self.snd_nxt.since(self.snd_una);
        let fresh = self.send.next.filter(|index| {
            let len = u32::from(cx.pool.descriptor_at(*index).len);
            in_flight.saturating_add(len) <= self.snd_wnd && !self.is_held(cx, *index, len)
        });
        let again = if fresh.is_none() {
            let last = self.send.last_sent(cx.pool);
            if last.is_none() && !self.fin_is_under_way() {
                return None;
            }
            last
        } else {
            None
        };
        if let Some(index) = fresh.or(again)
            && !self.fits_segment(shared, cx, index)
        {
            return None;
        }
        // No probe for the probe.
        self.flags |= TcbFlags::TLP_SENT;
        self.flags.set(TcbFlags::TLP_RETRANSMITTED, fresh.is_none());
        let outgoing = match (fresh, again) {
            (Some(index), _) => self.send_next(shared, cx, index),
            (None, Some(index)) => self.send_again(shared, cx, index),
            (None, None) => self.fin_segment(shared, cx)?,
        };
        cx.counters.tcp_loss_probes += 1;
        self.tlp_end = self.snd_nxt;
        Some(outgoing)
    }

    /// New data, as far as the windows allow.
    /// RFC 9293 §3.8.6 (SHLD-15), §3.8.6.2.1 (MUST-38).
    fn data_segment(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Option<Outgoing> {
        let Some(index) = self.send.next else {
            self.flags.remove(TcbFlags::CWND_LIMITED | TcbFlags::PUSH);
            return None;
        };
        if self.flags.contains(TcbFlags::PERSIST) {
            return None;
        }
        let len = u32::from(cx.pool.descriptor_at(index).len);
        let in_flight = self.snd_nxt.since(self.snd_una);
        if self.flight() == 0 && self.has_rested(cx.now) {
            self.congestion.on_idle(cx.now, self.smss());
        }
        let usable = self.snd_wnd.saturating_sub(in_flight);
        let mut sent = len.min(self.smss());
        let pipe = self.pipe();
        if sent > usable {
            // It is the peer's window that limits: cwnd is not in use (RFC 9438 §5.8).
            self.flags.remove(TcbFlags::CWND_LIMITED);
            // Sender's silly window avoidance (RFC 9293 §3.8.6.2.1, condition 3).
            if usable == 0 || usable < self.max_snd_wnd / 2 {
                if in_flight == 0 {
                    self.start_persist(cx.now);
                }
                return None;
            }
            sent = usable;
        }
        if sent > self.send_window().saturating_sub(pipe) && pipe > 0 {
            self.flags |= TcbFlags::CWND_LIMITED;
            return None;
        }
        if self.is_held(cx, index, sent) {
            if self.flags.contains(TcbFlags::CORK) {
                self.hold(cx.now);
            }
            return None;
        }
        if sent < len && !self.split(shared, cx, index, sent) {
            return None;
        }
        if sent > self.cwnd().saturating_sub(pipe) && pipe > 0 {
            cx.counters.tcp_limited_transmits += 1;
        }
        Some(self.send_next(shared, cx, index))
    }

    /// Whether nothing was sent for longer than the retransmission timeout (RFC 5681 §4.1).
    fn has_rested(&self, now: Instant) -> bool {
        let micros = u64::from(self.last_sent.millis_until(now)) * 1_000;
        self.last_sent.is_set() && micros > self.rtt.rto_micros()
    }

    /// Whether the frame `index`, the next one, has to wait for company if `sent` bytes of it can
    /// go.
    pub(super) fn is_held(&self, cx: &Context<'_>, index: u32, sent: u32) -> bool {
        sent < self.smss()
            && !self.snd_nxt.before(self.snd_max)
            && cx.pool.next_in_queue(index).is_none()
            && !self.small_segment_may_go()
    }

    /// Nagle's algorithm with Minshall's change: a small segment waits for the acknowledgement of
    /// the last small one (RFC 9293 §3.7.4), or for the cork to be taken out. What a FIN follows
    /// need not wait for company.
    /// RFC 9293 §3.7.4 (SHLD-7).
    fn small_segment_may_go(&self) -> bool {
        if self
            .flags
            .intersects(TcbFlags::NODELAY | TcbFlags::FIN_QUEUED | TcbFlags::CORK | TcbFlags::PUSH)
        {
            return !self.flags.contains(TcbFlags::CORK)
                || self.flags.intersects(TcbFlags::FIN_QUEUED | TcbFlags::PUSH);
        }
        !self.snd_sml.after(self.snd_una)
    }

    /// The cork holds data back: not for ever.
    #[cold]
    fn hold(&mut self, now: Instant) {
        if !self.flags.contains(TcbFlags::CORK_WAIT) {
            self.flags |= TcbFlags::CORK_WAIT;
            self.idle_at = Tick::after(now, CORK_TIME);
        }
    }

    /// `len` bytes go that were held back, or would have been.
    #[cold]
    fn held_no_more(&mut self, shared: &Shared, now: Instant, len: u16) {
        if u32::from(len) < self.smss() {
            self.flags.remove(TcbFlags::PUSH);
        }
        if self.flags.contains(TcbFlags::CORK_WAIT) {
            self.flags.remove(TcbFlags::CORK_WAIT);
            self.restart_idle_timer(shared, now);
        }
    }

    /// Cuts the frame at SND.NXT behind `bytes` bytes. Fails when the pool is empty.
    pub(super) fn split(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        index: u32,
        bytes: u32,
    ) -> bool {
        let Some(rest) = cx.pool.allocate() else {
            self.try_again_soon(shared, cx.now);
            return false;
        };
        shared.budget.tx_used += 1;
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        self.send.split(cx.pool, index, bytes, rest);
        true
    }

    /// Sends the frame at SND.NXT and moves on.
    pub(super) fn send_next(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        index: u32,
    ) -> Outgoing {
        let Descriptor { seq, len, .. } = *cx.pool.descriptor_at(index);
        let end = SeqNum::new(seq) + u32::from(len);
        let is_last = cx.pool.next_in_queue(index).is_none();
        let is_new = !self.snd_nxt.before(self.snd_max);
        if self.flight() == 0 {
            self.rack.restart();
        }
        let outgoing = self.frame_segment(shared, cx, index, is_new);
        self.send.next = cx.pool.next_in_queue(index);
        self.snd_nxt = if is_last && self.flags.contains(TcbFlags::FIN_QUEUED) {
            end + 1
        } else {
            end
        };
        self.snd_max = self.snd_max.latest(self.snd_nxt);
        if self.flags.intersects(TcbFlags::CORK_WAIT | TcbFlags::PUSH) {
            self.held_no_more(shared, cx.now, len);
        }
        if is_new {
            if u32::from(len) < self.smss() {
                self.snd_sml = end;
            }
            if !self.flags.contains(TcbFlags::TIMING) {
                self.flags |= TcbFlags::TIMING;
                self.flags
                    .set(TcbFlags::FULL_TIMED, u32::from(len) == self.smss());
                self.timed_seq = end;
                self.timed_at = micros(cx.now);
            }
        }
        self.last_sent = Tick::moment(cx.now);
        if !self.rtx_at.is_set() {
            self.start_retransmission_timer(cx.now);
        }
        self.schedule_probe(cx.now);
        outgoing
    }

    /// The segment around a queued frame, headers written in front of the data. `fresh`: for the
    /// first time, and within the window. Only then the packet may be ECN-capable, for the loss of
    /// another one shows no congestion (RFC 3168 §6.1.5, §6.1.6).
    /// RFC 9293 §3.9.1.2 (MUST-60, MUST-61, SHLD-27).
    #[allow(
        clippy::cast_possible_truncation,
        reason = "headers have at most 60 bytes"
    )]
    fn frame_segment(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        index: u32,
        fresh: bool,
    ) -> Outgoing {
        let Descriptor {
            start,
            len,
            sum,
            seq,
            ..
        } = *cx.pool.descriptor_at(index);
        let is_last = cx.pool.next_in_queue(index).is_none();
        let seq = SeqNum::new(seq);
        let mut flags = Flags::ACK;
        if is_last {
            flags |= Flags::PSH;
            flags.set(Flags::FIN, self.flags.contains(TcbFlags::FIN_QUEUED));
        }
        if seq.before(self.snd_max) {
            cx.counters.tcp_retransmits += 1;
            self.retransmits = self.retransmits.saturating_add(1);
        }
        cx.counters.tcp_sent += 1;
        let mut ecn = Ecn::NotEct;
        if fresh && self.flags.intersects(TcbFlags::ECT | TcbFlags::CWR_DUE) {
            ecn = self.ecn_of_fresh_data(&mut flags);
        }
        if self.flags.intersects(TcbFlags::RECOVERY | TcbFlags::CWR) {
            self.prr.sent(u32::from(len));
        }
        if self.flags.contains(TcbFlags::PACING) {
            self.pace(cx.now, u32::from(len));
        }
        cx.pool.descriptor_at_mut(index).time = micros(cx.now);
        let head = self.head(shared, seq, flags);
        let payload = (len, Sum::from_folded(sum));
        let room = &mut cx.pool.buffer_at_mut(index)[..usize::from(start)];
        let header_len = if self.has_more_options() {
            let options = self.options(shared, cx.now, len, !fresh);
            head.emit(&options, payload, room)
        } else {
            head.emit_usual(self.timestamps_to_send(cx.now), payload, room)
        } as u16;
        let payload = OutgoingFrame::Lent {
            index,
            start: start - header_len,
            len: header_len + len,
        };
        Outgoing {
            ecn,
            ..head.outgoing(payload)
        }
    }

    /// A FIN without data, after everything else.
    fn fin_segment(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Option<Outgoing> {
        let outgoing = self.control_segment(shared, cx, self.send.end, Flags::FIN)?;
        if self.send.end.before(self.snd_max) {
            cx.counters.tcp_retransmits += 1;
            self.retransmits = self.retransmits.saturating_add(1);
        }
        self.flags.remove(TcbFlags::FIN_LOST | TcbFlags::TIMING);
        self.snd_nxt = self.send.end + 1;
        self.snd_max = self.snd_max.latest(self.snd_nxt);
        self.last_sent = Tick::moment(cx.now);
        if !self.rtx_at.is_set() {
            self.start_retransmission_timer(cx.now);
        }
        self.schedule_probe(cx.now);
        Some(outgoing)
    }

    /// The persist timer expired: what the window allows, but at least one byte (RFC 9293
    /// §3.8.6.1). A byte beyond the window does not count as sent: SND.NXT stays.
    /// RFC 9293 §3.8.6 (MUST-35, MUST-36, MAY-7).
    fn probe(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Option<Outgoing> {
        let lost = self.send.first_lost(cx.pool);
        let Some(index) = lost.or(self.send.next) else {
            return self.fin_probe(shared, cx);
        };
        let Descriptor { seq, len, .. } = *cx.pool.descriptor_at(index);
        let (seq, len) = (SeqNum::new(seq), u32::from(len));
        let usable = (self.snd_una + self.snd_wnd).since(seq);
        let sent = usable.clamp(1, len.min(self.smss()));
        if sent < len && !self.split(shared, cx, index, sent) {
            return None;
        }
        cx.counters.tcp_zero_window_probes += 1;
        if usable > 0 {
            self.stop_persist();
            return Some(if lost.is_some() {
                self.flags.remove(TcbFlags::RETRANSMIT);
                self.send_again(shared, cx, index)
            } else {
                self.send_next(shared, cx, index)
            });
        }
        let outgoing = self.frame_segment(shared, cx, index, false);
        let with_fin =
            self.flags.contains(TcbFlags::FIN_QUEUED) && cx.pool.next_in_queue(index).is_none();
        self.snd_max = self.snd_max.latest(seq + sent + u32::from(with_fin));
        Some(outgoing)
    }

    /// Only a FIN is left to probe with. It stays lost, so that it goes at once when the window
    /// opens.
    fn fin_probe(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> Option<Outgoing> {
        if !self.fin_is_under_way() {
            return None;
        }
        let outgoing = self.fin_segment(shared, cx)?;
        cx.counters.tcp_zero_window_probes += 1;
        self.flags |= TcbFlags::FIN_LOST;
        Some(outgoing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Limits, TcpConfig};
    use crate::counters::Counters;
    use crate::demux::FourTuple;
    use crate::ip::PathMtus;
    use crate::pool::FramePool;
    use crate::rng::Rng;
    use crate::tcp::fast_open::FastOpen;
    use crate::tcp::params::Params;
    use crate::tcp::reassembly::Reassembly;
    use crate::tcp::reply::Replies;
    use crate::tcp::settings::{Profile, ProfileId, Profiles};
    use crate::tcp::shared::Budget;
    use crate::tcp::state::Agreed;
    use core::net::Ipv4Addr;

    /// Nothing else would bring up a FIN, or the acknowledgement that a peer waits for.
    #[test]
    fn what_an_empty_pool_prevents_is_tried_again() {
        let flags = TcbFlags::FIN_QUEUED | TcbFlags::ACK_NOW;
        tried_again(State::FinWait1, flags, Instant::from_millis(100));
    }

    /// The first SYN waits for the retransmission timer.
    #[test]
    fn a_syn_that_an_empty_pool_prevents_is_tried_again() {
        tried_again(
            State::SynSent,
            TcbFlags::SEND_SYN,
            Instant::from_millis(1_100),
        );
    }

    /// What a connection in this state has to send goes out before `soon` if the pool is empty at
    /// first.
    fn tried_again(state: State, flags: TcbFlags, soon: Instant) {
        let limits = Limits {
            frames: 64,
            frame_size: 1_664,
            reserved_frames: 32,
            connections: 1,
            half_open: 1,
            time_wait: 1,
        };
        let params = Params::new(&TcpConfig::default());
        let address = |last| Ipv4Addr::new(10, 0, 0, last).into();
        let key = FourTuple {
            local: address(1),
            remote: address(2),
            local_port: 80,
            remote_port: 9,
        };
        let agreed = Agreed {
            iss: SeqNum::new(u32::MAX),
            irs: SeqNum::new(7),
            rcv_wnd: 1_000,
            smss: 1_460,
            mtu: 1_500,
            snd_scale: 0,
            rcv_scale: 0,
            timestamps: None,
            sack: true,
            ecn: crate::tcp::ecn::EcnAgreed::default(),
            syn_was_lost: false,
        };
        let settings = Profile::new(&TcpConfig::default()).unwrap();
        let mut tcb = Tcb::new(key, &agreed, ProfileId::DEFAULT, &settings);
        tcb.state = state;
        tcb.flags |= flags;
        let mut shared = Shared {
            params,
            profiles: Profiles::new(settings),
            budget: Budget::new(&limits, 1_460),
            reassembly: Reassembly::new(1, &[1; 16]),
            replies: Replies::new(),
            accecn: crate::tcp::slab::Slab::new(0),
            path_mtus: PathMtus::new([1; 16]),
            journal: crate::log::Journal::default(),
            fast_open: FastOpen::new(&mut Rng::new([1; 32])),
        };
        let (mut rng, mut counters) = (Rng::new([1; 32]), Counters::default());
        let mut empty = FramePool::new(0, 1_664);
        let now = Instant::from_millis(1);
        let mut cx = Context {
            now,
            pool: &mut empty,
            rng: &mut rng,
            counters: &mut counters,
        };
        assert!(tcb.next_segment(&mut shared, &mut cx).is_none());
        let mut pool = FramePool::new(1, 1_664);
        let now = soon;
        let deadline = tcb.deadline(&shared);
        assert!(deadline.is_due(now), "{deadline:?}");
        let mut cx = Context {
            now,
            pool: &mut pool,
            rng: &mut rng,
            counters: &mut counters,
        };
        tcb.timers_expired(&mut shared, &mut cx);
        assert!(tcb.flags.contains(TcbFlags::OUTPUT));
        assert!(tcb.next_segment(&mut shared, &mut cx).is_some());
    }
}
