//! The calls of the user (RFC 9293 §3.10.1 to §3.10.6), on listeners and connections.

mod info;
mod settings;

pub use info::{TcpEntry, TcpInfo};

use super::ecn::{EcnAgreed, EcnFeedback};
use super::listener::{self, Listener};
use super::params::MIN_MSS;
use super::seq::SeqNum;
use super::settings::ProfileId;
use super::slab::Slab;
use super::state::{Agreed, Failure, State, Tcb, TcbFlags, Timestamps};
use super::tick::Tick;
use super::{Entry, Tcp};
use crate::config::{ConnectOptions, ListenOptions};
use crate::context::Context;
use crate::demux::FourTuple;
use crate::error::{AcceptError, BadHandle, ConnectError, ListenError, RecvError, SendError};
use crate::pool::FramePool;
use crate::socket::{Readiness, SocketId, SocketKind};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

impl From<Failure> for SendError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Reset => Self::Reset,
            Failure::Refused => Self::Refused,
            Failure::TimedOut => Self::TimedOut,
            Failure::Unreachable => Self::Unreachable,
            Failure::AddressGone => Self::AddressGone,
        }
    }
}

impl From<Failure> for RecvError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Reset => Self::Reset,
            Failure::Refused => Self::Refused,
            Failure::TimedOut => Self::TimedOut,
            Failure::Unreachable => Self::Unreachable,
            Failure::AddressGone => Self::AddressGone,
        }
    }
}

/// What a handle names in the table of its kind.
fn named<T>(places: &Slab<T>, kind: SocketKind, id: SocketId) -> Result<(u32, &T), BadHandle> {
    let index = u32::try_from(id.index()).map_err(|_| BadHandle)?;
    let current = id.kind() == kind && places.generation(index) == id.generation();
    let value = places.get(index).filter(|_| current).ok_or(BadHandle)?;
    Ok((index, value))
}

impl Tcp {
    /// The connection that a handle names.
    fn connection(&self, id: SocketId) -> Result<(u32, &Tcb), BadHandle> {
        named(&self.connections, SocketKind::Connection, id)
    }

    fn connection_mut(&mut self, id: SocketId) -> Result<(u32, &mut Tcb), BadHandle> {
        let (index, _) = self.connection(id)?;
        let tcb = self.connections.get_mut(index).ok_or(BadHandle)?;
        Ok((index, tcb))
    }

    /// The listener that a handle names.
    fn listener(&self, id: SocketId) -> Result<(u32, &Listener), BadHandle> {
        named(&self.listeners, SocketKind::Listener, id)
    }

    /// OPEN, passive. Address 0.0.0.0 or :: stands for all of ours.
    /// RFC 9293 §3.9.1.1 (MUST-41, MUST-42).
    pub(crate) fn listen(
        &mut self,
        local: SocketAddr,
        options: &ListenOptions,
    ) -> Result<SocketId, ListenError> {
        if local.port() == 0 || options.backlog == 0 || options.max_connections == Some(0) {
            return Err(ListenError::Invalid);
        }
        let key = FourTuple::listener(local.ip().into(), local.port());
        if self.find(&key).is_some() {
            return Err(ListenError::AddressInUse);
        }
        let listener = Listener::new(key, options);
        let index = self
            .listeners
            .insert(listener)
            .ok_or(ListenError::LimitReached)?;
        self.shared.profiles.retain(ProfileId::DEFAULT);
        self.enter(&key, Entry::Listener(index));
        self.listeners_changed();
        Ok(SocketId::new(
            SocketKind::Listener,
            index,
            self.listeners.generation(index),
        ))
    }

    /// Appends a connection to its listener's queue.
    pub(super) fn queue_for_accept(&mut self, listener_index: u32, connection: u32) {
        let Some(listener) = self.listeners.get_mut(listener_index) else {
            return;
        };
        listener.complete += 1;
        match listener.last {
            listener::NONE => listener.first = connection,
            last => {
                if let Some(tcb) = self.connections.get_mut(last) {
                    tcb.next_unaccepted = connection;
                }
            }
        }
        listener.last = connection;
        self.events.push_back(self.first_half_open + listener_index);
    }

    /// Takes the first connection out of a listener's queue.
    fn take_unaccepted(&mut self, listener_index: u32) -> Option<u32> {
        let listener = self.listeners.get_mut(listener_index)?;
        let index = listener.first;
        let tcb = self.connections.get_mut(index)?;
        listener.first = tcb.next_unaccepted;
        listener.complete -= 1;
        if listener.first == listener::NONE {
            listener.last = listener::NONE;
        }
        tcb.next_unaccepted = listener::NONE;
        tcb.flags.remove(TcbFlags::UNACCEPTED);
        Some(index)
    }

    /// Takes a connection that waits.
    pub(crate) fn accept(&mut self, id: SocketId) -> Result<SocketId, AcceptError> {
        let (index, _) = self
            .listener(id)
            .map_err(|BadHandle| AcceptError::BadHandle)?;
        let connection = self.take_unaccepted(index).ok_or(AcceptError::WouldBlock)?;
        // What happened so far was announced to nobody.
        self.events.push_back(connection);
        Ok(SocketId::new(
            SocketKind::Connection,
            connection,
            self.connections.generation(connection),
        ))
    }

    /// OPEN, active. The stack has chosen the local address and checked both; `mtu` is that of the
    /// way to the remote one. Returns how much of the early data was taken, too.
    pub(crate) fn connect(
        &mut self,
        cx: &mut Context<'_>,
        local: IpAddr,
        local_port: Option<u16>,
        remote: SocketAddr,
        mtu: usize,
        options: &ConnectOptions<'_>,
    ) -> Result<(SocketId, usize), ConnectError> {
        let same_family = local.is_ipv4() == remote.is_ipv4();
        if remote.port() == 0 || local_port == Some(0) || local == remote.ip() || !same_family {
            return Err(ConnectError::Invalid);
        }
        self.make_room(cx);
        if self.connections.is_full() {
            return Err(ConnectError::LimitReached);
        }
        let base = FourTuple {
            local: local.into(),
            remote: remote.ip().into(),
            local_port: 0,
            remote_port: remote.port(),
        };
        let local_port = match local_port {
            Some(port) => Some(port).filter(|port| {
                self.find(&FourTuple {
                    local_port: *port,
                    ..base
                })
                .is_none()
            }),
            None => self.ephemeral_port(base),
        };
        let key = FourTuple {
            local_port: local_port.ok_or(ConnectError::AddressInUse)?,
            ..base
        };
        let (iss, offset) = self.secrets.initial(&key, cx.now);
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        let window = self
            .shared
            .budget
            .window(self.shared.params.receive_buffer, 0, 0);
        let known = options
            .fast_open
            .then(|| self.shared.fast_open.known(cx.now, base.remote))
            .flatten();
        let mss = known.and_then(|known| known.mss);
        let agreed = Agreed {
            iss,
            irs: SeqNum::new(0),
            rcv_wnd: window.min(0xffff),
            smss: super::effective_mss(base.local, mss, mtu, true).max(MIN_MSS),
            mtu,
            snd_scale: 0,
            rcv_scale: 0,
            timestamps: Some(Timestamps {
                recent: 0,
                recent_at: 0,
                offset,
            }),
            sack: true,
            ecn: EcnAgreed::default(),
            syn_was_lost: false,
        };
        let profile = ProfileId::DEFAULT;
        let mut tcb = Tcb::new(key, &agreed, profile, self.shared.profiles.get(profile));
        tcb.state = State::SynSent;
        tcb.snd_una = iss;
        tcb.flags |= TcbFlags::SEND_SYN | TcbFlags::OUTPUT;
        tcb.flags.set(TcbFlags::FAST_OPEN, known.is_some());
        let index = self
            .connections
            .insert(tcb)
            .ok_or(ConnectError::LimitReached)?;
        self.shared.profiles.retain(profile);
        self.enter(&key, Entry::Connection(index));
        cx.counters.tcp_active_opens += 1;
        let taken = self.queue_early_data(cx, index, options.early_data);
        self.settle(cx, index);
        let id = SocketId::new(
            SocketKind::Connection,
            index,
            self.connections.generation(index),
        );
        Ok((id, taken))
    }

    /// Queues what one segment carries of the data that a connection starts with.
    fn queue_early_data(&mut self, cx: &mut Context<'_>, index: u32, data: &[u8]) -> usize {
        let budget = &mut self.shared.budget;
        let Some(tcb) = self.connections.get_mut(index).filter(|_| !data.is_empty()) else {
            return 0;
        };
        if !budget.may_queue_to_send(0) || !budget.may_allocate(cx.pool) {
            return 0;
        }
        let Some(frame) = cx.pool.allocate() else {
            return 0;
        };
        budget.tx_used += 1;
        tcb.progress_at = Tick::moment(cx.now);
        tcb.send.push_empty(cx.pool, frame);
        tcb.send.fill_last(cx.pool, tcb.snd_max, tcb.smss, data)
    }

    fn ephemeral_port(&mut self, base: FourTuple) -> Option<u16> {
        // The algorithm needs its counters while it asks for ports in use: it works on a copy.
        let mut secrets = core::mem::take(&mut self.secrets);
        let port = secrets.ephemeral_port(base, |port| {
            self.find(&FourTuple {
                local_port: port,
                ..base
            })
            .is_none()
                && self.find_listener(base.local, port).is_none()
        });
        self.secrets = secrets;
        port
    }

    /// SEND: takes as much as there is room for, at least one byte.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        data: &[u8],
    ) -> Result<usize, SendError> {
        let (index, _) = self
            .connection(id)
            .map_err(|BadHandle| SendError::BadHandle)?;
        let tcb = self
            .connections
            .get_mut(index)
            .ok_or(SendError::BadHandle)?;
        if let Some(failure) = tcb.failure {
            return Err(failure.into());
        }
        match tcb.state {
            _ if tcb.can_send() => {}
            State::SynSent | State::SynReceived
                if !tcb
                    .flags
                    .intersects(TcbFlags::FIN_QUEUED | TcbFlags::FIN_HELD) =>
            {
                tcb.flags |= TcbFlags::SEND_BLOCKED;
                return Err(SendError::WouldBlock);
            }
            _ => return Err(SendError::Shutdown),
        }
        let shared = &mut self.shared;
        if tcb.send.frames.is_empty() {
            tcb.progress_at = Tick::moment(cx.now);
        }
        let limit = tcb.send_limit(shared);
        let mut taken = 0;
        let mut out_of_memory = false;
        while let Some(rest) = data.get(taken..).filter(|rest| !rest.is_empty()) {
            let room = limit.saturating_sub(tcb.send.bytes(tcb.snd_una)) as usize;
            let rest = &rest[..rest.len().min(room)];
            if rest.is_empty() {
                break;
            }
            let copied = tcb.send.fill_last(cx.pool, tcb.snd_max, tcb.smss, rest);
            taken += copied;
            if copied > 0 {
                continue;
            }
            let allowed = shared.budget.may_queue_to_send(tcb.send.frames.len())
                && shared.budget.may_allocate(cx.pool);
            let Some(frame) = allowed.then(|| cx.pool.allocate()).flatten() else {
                out_of_memory = true;
                break;
            };
            shared.budget.tx_used += 1;
            tcb.send.push_empty(cx.pool, frame);
        }
        if taken < data.len() {
            tcb.flags |= TcbFlags::SEND_BLOCKED;
            // Its own acknowledgements announce room, unless it has nothing under way.
            if out_of_memory && tcb.send.frames.is_empty() {
                tcb.flags |= TcbFlags::STARVED;
            }
        }
        if taken > 0 {
            tcb.flags |= TcbFlags::OUTPUT;
        }
        self.settle(cx, index);
        if taken == 0 && !data.is_empty() {
            Err(SendError::WouldBlock)
        } else {
            Ok(taken)
        }
    }

    /// What a read finds when nothing is queued.
    fn nothing_to_read(tcb: &Tcb) -> Result<(), RecvError> {
        if let Some(failure) = tcb.failure {
            return Err(failure.into());
        }
        let ended = tcb.flags.contains(TcbFlags::FIN_RECEIVED) || tcb.state == State::Closed;
        if ended {
            Ok(())
        } else {
            Err(RecvError::WouldBlock)
        }
    }

    /// RECEIVE: copies what is there; 0 is the end of the stream.
    pub(crate) fn recv(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        buf: &mut [u8],
    ) -> Result<usize, RecvError> {
        let (index, _) = self
            .connection(id)
            .map_err(|BadHandle| RecvError::BadHandle)?;
        let tcb = self
            .connections
            .get_mut(index)
            .ok_or(RecvError::BadHandle)?;
        if buf.is_empty() && tcb.failure.is_none() {
            return Ok(0);
        }
        if tcb.unread == 0 {
            return Self::nothing_to_read(tcb).map(|()| 0);
        }
        let mut copied = 0;
        while copied < buf.len()
            && let Some(first) = tcb.received.first()
        {
            let content = cx.pool.content_at(first);
            let len = content.len().min(buf.len() - copied);
            buf[copied..copied + len].copy_from_slice(&content[..len]);
            copied += len;
            Self::consume_front(tcb, cx.pool, &mut self.shared.budget.rx_used, len);
        }
        self.after_read(cx, index);
        Ok(copied)
    }

    /// The first piece of what is there, in place; empty at the end of the stream.
    pub(crate) fn recv_slice<'p>(
        &self,
        pool: &'p FramePool,
        id: SocketId,
    ) -> Result<&'p [u8], RecvError> {
        let (_, tcb) = self
            .connection(id)
            .map_err(|BadHandle| RecvError::BadHandle)?;
        match tcb.received.first() {
            Some(first) => Ok(pool.content_at(first)),
            None => Self::nothing_to_read(tcb).map(|()| &[][..]),
        }
    }

    /// Takes `n` bytes off the front; at most what is there.
    pub(crate) fn consume(
        &mut self,
        cx: &mut Context<'_>,
        id: SocketId,
        n: usize,
    ) -> Result<(), RecvError> {
        let (index, _) = self
            .connection(id)
            .map_err(|BadHandle| RecvError::BadHandle)?;
        let tcb = self
            .connections
            .get_mut(index)
            .ok_or(RecvError::BadHandle)?;
        let mut left = n;
        while left > 0
            && let Some(first) = tcb.received.first()
        {
            let len = usize::from(cx.pool.descriptor_at(first).len).min(left);
            left -= len;
            Self::consume_front(tcb, cx.pool, &mut self.shared.budget.rx_used, len);
        }
        self.after_read(cx, index);
        Ok(())
    }

    /// Takes `len` bytes off the first frame, which has as many.
    #[allow(clippy::cast_possible_truncation, reason = "at most a frame")]
    fn consume_front(tcb: &mut Tcb, pool: &mut FramePool, rx_used: &mut usize, len: usize) {
        let Some(first) = tcb.received.first() else {
            return;
        };
        let descriptor = pool.descriptor_at_mut(first);
        tcb.unread -= len as u32;
        if len < usize::from(descriptor.len) {
            super::reassembly::trim_front(descriptor, len as u32);
        } else if let Some(frame) = tcb.received.pop_front(pool) {
            pool.free(frame);
            *rx_used -= 1;
        }
    }

    /// Tells the peer of the room that reading has made, if it is worth a segment.
    fn after_read(&mut self, cx: &mut Context<'_>, index: u32) {
        let Some(tcb) = self.connections.get_mut(index) else {
            return;
        };
        tcb.adapt_to_reader(&self.shared, cx);
        // An acknowledgement that is due anyway says it as well.
        if !tcb.flags.contains(TcbFlags::ACK_NOW) && tcb.window_update_is_due(&self.shared) {
            tcb.flags |= TcbFlags::ACK_NOW | TcbFlags::OUTPUT;
            self.settle(cx, index);
        }
    }

    /// CLOSE of RFC 9293: nothing more will be sent; what comes can still be read.
    pub(crate) fn shutdown(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), SendError> {
        let (index, tcb) = self
            .connection_mut(id)
            .map_err(|BadHandle| SendError::BadHandle)?;
        if let Some(failure) = tcb.failure {
            return Err(failure.into());
        }
        tcb.queue_fin();
        self.settle(cx, index);
        Ok(())
    }

    /// Gives a handle back. A connection ends by itself from here: with a FIN after the queued
    /// data, or with a reset if there is data that will never be read (RFC 9293 §3.6.1, RFC 2525
    /// §2.17) or the user does not want to linger. A listener's connections that wait are reset.
    /// RFC 9293 §3.6.1 (MAY-1).
    pub(crate) fn close(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), BadHandle> {
        if id.kind() == SocketKind::Listener {
            return self.close_listener(cx, id);
        }
        let (index, tcb) = self.connection(id)?;
        let abort = tcb.settings(&self.shared).linger() == Some(Duration::ZERO);
        self.abandon(cx, index, abort);
        Ok(())
    }

    /// ABORT: the connection ends with a reset, the handle is given back.
    pub(crate) fn abort(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), BadHandle> {
        let (index, _) = self.connection(id)?;
        self.abandon(cx, index, true);
        Ok(())
    }

    /// Nobody has a handle to the connection any more.
    fn abandon(&mut self, cx: &mut Context<'_>, index: u32, abort: bool) {
        self.connections.retire_handles(index);
        let Some(tcb) = self
            .connections
            .get_mut(index)
            .filter(|tcb| tcb.flags.contains(TcbFlags::IN_DEMUX))
        else {
            return self.release(cx, index);
        };
        let unread = tcb.unread > 0;
        tcb.flags |= TcbFlags::ORPHAN;
        let ended = TcbFlags::SEND_BLOCKED
            | TcbFlags::STARVED
            | TcbFlags::EVENT
            | TcbFlags::KEEPALIVE
            | TcbFlags::KEEPALIVE_DUE
            | TcbFlags::CORK_WAIT;
        tcb.flags.remove(ended);
        tcb.idle_at = Tick::NEVER;
        self.orphans += 1;
        self.orphaned.push_back(index);
        match tcb.state {
            State::SynSent => tcb.state = State::Closed,
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
                if abort || unread =>
            {
                tcb.send_reset(&mut self.shared, cx);
                tcb.state = State::Closed;
            }
            _ => {
                tcb.queue_fin();
                if tcb.state == State::FinWait2 {
                    tcb.idle_at = Tick::after(cx.now, self.shared.params.fin_wait_2);
                }
            }
        }
        self.starved.remove(index);
        self.events.remove(index);
        self.settle(cx, index);
    }

    /// Frees a control block that only its handle kept.
    fn release(&mut self, cx: &mut Context<'_>, index: u32) {
        self.events.remove(index);
        let Some(mut tcb) = self.remove_connection(index) else {
            return;
        };
        self.shared.budget.rx_used -= tcb.received.len();
        tcb.received.clear(cx.pool);
        if tcb.state == State::TimeWait
            && let Some(Entry::TimeWait(place)) = self.find(&tcb.key)
            && let Some(entry) = self.time_wait.entries.get_mut(place)
            && entry.owner == Some(index)
        {
            entry.owner = None;
        }
    }

    fn close_listener(&mut self, cx: &mut Context<'_>, id: SocketId) -> Result<(), BadHandle> {
        let (index, listener) = self.listener(id)?;
        let (key, profile) = (listener.key, listener.profile);
        while let Some(connection) = self.take_unaccepted(index) {
            self.abandon(cx, connection, true);
        }
        while let Some(place) = self
            .listeners
            .get(index)
            .and_then(|listener| listener.half_open_list.first())
        {
            self.forget_half_open(place);
        }
        self.leave(&key, Entry::Listener(index));
        self.listeners_changed();
        self.events.remove(self.first_half_open + index);
        self.listeners.remove(index);
        self.shared.profiles.release(profile);
        Ok(())
    }

    /// What the user can do with a socket without waiting.
    pub(crate) fn readiness(&self, id: SocketId) -> Result<Readiness, BadHandle> {
        if id.kind() == SocketKind::Listener {
            let (_, listener) = self.listener(id)?;
            let waiting = listener.complete > 0;
            return Ok(if waiting {
                Readiness::READABLE
            } else {
                Readiness::empty()
            });
        }
        let (_, tcb) = self.connection(id)?;
        Ok(tcb.readiness(&self.shared))
    }

    /// STATUS: our address; a listener's may be unspecified.
    pub(crate) fn local_addr(&self, id: SocketId) -> Result<SocketAddr, BadHandle> {
        if id.kind() == SocketKind::Listener {
            return Ok(self.listener(id)?.1.key.local_addr());
        }
        Ok(self.connection(id)?.1.key.local_addr())
    }

    /// STATUS: the peer's address.
    pub(crate) fn remote_addr(&self, id: SocketId) -> Result<SocketAddr, BadHandle> {
        Ok(self.connection(id)?.1.key.remote_addr())
    }

    /// STATUS: how marks are fed back. Settled once the connection is established.
    pub(crate) fn ecn_feedback(&self, id: SocketId) -> Result<EcnFeedback, BadHandle> {
        Ok(self.connection(id)?.1.ecn_feedback())
    }

    /// STATUS: the state.
    pub(crate) fn state(&self, id: SocketId) -> Result<State, BadHandle> {
        if id.kind() == SocketKind::Listener {
            return self.listener(id).map(|_| State::Listen);
        }
        Ok(self.connection(id)?.1.state)
    }
}

impl Tcb {
    /// This side sends no more: a FIN follows what is queued.
    pub(super) fn queue_fin(&mut self) {
        if self.flags.contains(TcbFlags::FIN_QUEUED) {
            return;
        }
        if self.answers_early() {
            self.flags |= TcbFlags::FIN_HELD;
            return;
        }
        self.state = match self.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            // After the handshake.
            other => other,
        };
        self.flags |= TcbFlags::FIN_QUEUED | TcbFlags::OUTPUT;
    }
}
