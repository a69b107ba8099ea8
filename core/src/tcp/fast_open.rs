//! Fast Open (RFC 7413): data in the SYN, for peers that have shown before that an address is
//! theirs.
//!
//! | rule | here |
//! |---|---|
//! | §4.1.2 cookies: a keyed hash of the client's address, keys that change | [`FastOpen::cookie`], [`FastOpen::check`] |
//! | §4.1.3 what a client remembers of a server; §4.1.3.1 and paths that drop such SYNs | [`FastOpen::known`], [`FastOpen::learned`], [`FastOpen::failed`] |
//! | §4.2.1 client: the SYN; data that was not acknowledged goes as any other | `Tcb::syn_with_data`, `Tcb::syn_acknowledged` |
//! | §4.2.2 server: data goes up and answers go out before the handshake is complete | `Tcp::fast_open_syn`, `Tcb::answers_early` |
//! | §5.1 a limit of such connections, which resets do not empty | `Listener::may_fast_open` |
//!
//! While a handshake is not complete, only the SYN-ACK is sent again, three times by default, and
//! a FIN waits. A client's SYN that is lost goes again without data and option, and its server is
//! not tried that way for an hour, then two, up to a day. A SYN with FIN is dropped as everywhere.

use super::rack::micros;
use super::reply::Head;
use super::scoreboard::Delivered;
use super::segment::Segment;
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{State, Tcb, TcbFlags};
use super::tick::Tick;
use crate::checksum::Sum;
use crate::context::{Context, Outgoing, OutgoingFrame};
use crate::demux::{Address, FourTuple};
use crate::pool::{Descriptor, Frame};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::tcp::{FastOpenCookie, TcpOptions};
use alloc::vec::Vec;
use core::time::Duration;

/// How long a server's key makes new cookies; as long again they are accepted.
const KEY_LIFETIME: Duration = Duration::from_secs(4 * 3600);
/// Servers that a client remembers.
const SERVERS: usize = 32;
/// How long a server is not tried after a SYN was lost; doubled up to `1 << MAX_DOUBLINGS` times
/// that.
const HOLD_DOWN: Duration = Duration::from_secs(3600);
const MAX_DOUBLINGS: u8 = 4;

/// What a client knows of a server.
#[derive(Clone, Copy, Debug)]
struct Server {
    address: Address,
    /// Empty: none yet.
    cookie: FastOpenCookie,
    mss: u16,
    /// Losses in a row.
    failures: u8,
    /// Not before.
    hold_until: Instant,
    /// When it was looked at last, in calls.
    used: u32,
}

/// What a client may put into its SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Empty: asks for one, and data has to wait.
    pub(super) cookie: FastOpenCookie,
    pub(super) mss: Option<u16>,
}

/// What a server makes of a client's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Good,
    /// Made with the key before this one: good, and to be replaced.
    Old,
    Bad,
}

/// The keys of our listeners and the servers of our connections.
#[derive(Debug)]
pub(super) struct FastOpen {
    keys: [[u8; 16]; 2],
    /// When the first key was made.
    since: Option<Instant>,
    servers: Vec<Server>,
    calls: u32,
    /// The option of the SYN that is being looked at.
    pub(super) arrived: Option<FastOpenCookie>,
}

impl FastOpen {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            keys: [rng.key(), rng.key()],
            since: None,
            servers: Vec::with_capacity(SERVERS),
            calls: 0,
            arrived: None,
        }
    }

    fn rotate(&mut self, cx: &mut Context<'_>) {
        let since = *self.since.get_or_insert(cx.now);
        let age = cx.now.saturating_since(since);
        if age >= KEY_LIFETIME {
            let old = if age >= 2 * KEY_LIFETIME {
                cx.rng.key()
            } else {
                self.keys[0]
            };
            self.keys = [cx.rng.key(), old];
            self.since = Some(cx.now);
        }
    }

    /// The cookie of a client, for one of our addresses.
    pub(super) fn cookie(&mut self, cx: &mut Context<'_>, key: &FourTuple) -> FastOpenCookie {
        self.rotate(cx);
        cookie_with(&self.keys[0], key)
    }

    /// Whether a cookie is that of the client that sends it.
    pub(super) fn check(
        &mut self,
        cx: &mut Context<'_>,
        key: &FourTuple,
        cookie: FastOpenCookie,
    ) -> Check {
        self.rotate(cx);
        if cookie == cookie_with(&self.keys[0], key) {
            Check::Good
        } else if cookie == cookie_with(&self.keys[1], key) {
            Check::Old
        } else {
            Check::Bad
        }
    }

    fn server(&mut self, address: Address) -> Option<&mut Server> {
        self.calls = self.calls.wrapping_add(1);
        let calls = self.calls;
        let server = self.servers.iter_mut().find(|s| s.address == address)?;
        server.used = calls;
        Some(server)
    }

    /// What may be put into a SYN to a server; `None`: nothing, the last one was lost.
    pub(super) fn known(&mut self, now: Instant, address: Address) -> Option<Known> {
        let Some(server) = self.server(address) else {
            return Some(Known {
                cookie: FastOpenCookie::default(),
                mss: None,
            });
        };
        if now < server.hold_until {
            return None;
        }
        Some(Known {
            cookie: server.cookie,
            mss: Some(server.mss),
        })
    }

    /// The entry of a server; the one that was used longest ago makes room.
    fn entry(&mut self, address: Address) -> Option<&mut Server> {
        if self.server(address).is_none() {
            let new = Server {
                address,
                cookie: FastOpenCookie::default(),
                mss: 0,
                failures: 0,
                hold_until: Instant::ZERO,
                used: self.calls,
            };
            if self.servers.len() < SERVERS {
                self.servers.push(new);
            } else {
                let calls = self.calls;
                let oldest = self
                    .servers
                    .iter_mut()
                    .max_by_key(|server| calls.wrapping_sub(server.used));
                if let Some(oldest) = oldest {
                    *oldest = new;
                }
            }
        }
        self.server(address)
    }

    /// A server has answered: with its MSS, perhaps with a cookie, perhaps having taken our data.
    pub(super) fn learned(
        &mut self,
        address: Address,
        mss: u16,
        cookie: Option<FastOpenCookie>,
        took_data: bool,
    ) {
        let cookie = cookie.filter(|cookie| !cookie.is_empty());
        if cookie.is_none() && !took_data {
            return;
        }
        if let Some(server) = self.entry(address) {
            server.mss = mss;
            server.cookie = cookie.unwrap_or(server.cookie);
            if took_data {
                server.failures = 0;
            }
        }
    }

    /// A SYN with the option got no answer.
    pub(super) fn failed(&mut self, now: Instant, address: Address) {
        if let Some(server) = self.entry(address) {
            let wait = HOLD_DOWN * (1 << server.failures.min(MAX_DOUBLINGS));
            server.failures = server.failures.saturating_add(1);
            server.hold_until = now + wait;
        }
    }
}

impl Tcb {
    /// The Fast Open option of a SYN-ACK: a cookie that replaces one of the key before (RFC 7413
    /// §4.1.2). Of a SYN: the cookie that the server gave us, or a question for one; a SYN that goes
    /// again because the first was lost has none (§4.2.1, §4.1.3.1).
    pub(super) fn fast_open_option(
        &self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
    ) -> Option<FastOpenCookie> {
        if self.answers_early() {
            let replaced = self.flags.contains(TcbFlags::NEW_COOKIE);
            return replaced.then(|| shared.fast_open.cookie(cx, &self.key));
        }
        if self.state != State::SynSent
            || !self.flags.contains(TcbFlags::FAST_OPEN)
            || self.flags.contains(TcbFlags::SYN_LOST)
        {
            return None;
        }
        let known = shared.fast_open.known(cx.now, self.key.remote)?;
        Some(known.cookie)
    }

    /// A SYN with the first data behind it, if there is some and the server has given us a cookie.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "headers have at most 60 bytes"
    )]
    pub(super) fn syn_with_data(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        head: &Head,
        options: &TcpOptions,
    ) -> Option<Outgoing> {
        if self.state != State::SynSent {
            return None;
        }
        options.fast_open.filter(|cookie| !cookie.is_empty())?;
        let index = self.send.next?;
        let taken = options.len() as u16 - self.option_bytes();
        let room = self.smss.saturating_sub(taken);
        let len = cx.pool.descriptor_at(index).len;
        if room == 0 || (len > room && !self.split(shared, cx, index, u32::from(room))) {
            return None;
        }
        let descriptor = cx.pool.descriptor_at_mut(index);
        descriptor.time = micros(cx.now);
        let Descriptor {
            start, len, sum, ..
        } = *descriptor;
        let place = &mut cx.pool.buffer_at_mut(index)[..usize::from(start)];
        let header_len = head.emit(options, (len, Sum::from_folded(sum)), place) as u16;
        self.snd_max = self.iss + 1 + u32::from(len);
        cx.counters.tcp_sent += 1;
        cx.counters.tcp_fast_opens_sent += 1;
        let payload = OutgoingFrame::Lent {
            index,
            start: start - header_len,
            len: header_len + len,
        };
        Some(head.outgoing(payload))
    }

    /// Takes the number up to which the peer has our SYN, and what came with it: ISS + 1 at least
    /// and SND.MAX at most, which the caller has checked.
    pub(super) fn syn_acknowledged(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        ack: SeqNum,
    ) {
        self.snd_una = ack;
        if self.snd_max == self.iss + 1 || self.answers_early() {
            return;
        }
        if ack.after(self.iss + 1) {
            cx.counters.tcp_fast_opens_taken += 1;
        }
        let mut delivered = Delivered::new(&mut self.rack, micros(cx.now), None, self.recover);
        shared.budget.tx_used -= self.send.acknowledge(cx.pool, ack, &mut delivered);
        // What the peer has not taken goes as any other data (RFC 7413 §4.2.1), in segments of the
        // size that it has said by now. Without a free frame it stays as large as it was.
        while let Some(index) = self.send.next
            && cx.pool.descriptor_at(index).len > self.smss
            && self.split(shared, cx, index, self.smss())
        {
            let Some(rest) = cx.pool.next_in_queue(index) else {
                break;
            };
            self.send.next = Some(rest);
        }
        self.send.next = self.send.frames.first();
    }

    /// Whether a segment acknowledges our SYN, or that and some of what came with it.
    pub(super) fn acknowledges_syn(&self, segment: &Segment) -> bool {
        segment.ack.after(self.iss) && segment.ack.before_or_at(self.snd_max)
    }

    /// Takes the data of the SYN, as much as the window holds: the rest comes again.
    pub(super) fn data_with_syn(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        frame: Frame,
    ) {
        let window = u16::try_from(self.rcv_wnd()).unwrap_or(u16::MAX);
        let descriptor = cx.pool.descriptor_mut(&frame);
        descriptor.len = descriptor.len.min(window);
        descriptor.seq = self.rcv_nxt.get();
        let len = u32::from(descriptor.len);
        self.text_in_order(shared, cx, frame, len);
    }

    /// The handshake of a connection is complete that may have sent data before.
    pub(super) fn established_early(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) {
        if !self.flags.intersects(TcbFlags::SYN_LOST | TcbFlags::TIMING) {
            self.rtt.sample_micros(self.since_timed(cx));
        } else if self.retries > 0 {
            // RFC 6298 §5.7 is about the timer: a SYN that came twice alone changes nothing.
            self.rtt.syn_was_lost();
        }
        self.state = State::Established;
        self.note_opened(shared, cx.now);
        self.retries = 0;
        self.rtx_at = Tick::NEVER;
        self.stalled_since = Tick::NEVER;
        self.flags |= TcbFlags::EVENT | TcbFlags::OUTPUT;
        self.flags
            .remove(TcbFlags::SEND_SYN | TcbFlags::UNREACHABLE);
        self.take_window(segment);
        self.restart_idle_timer(shared, cx.now);
        if self.flags.contains(TcbFlags::FIN_HELD) {
            self.flags.remove(TcbFlags::FIN_HELD);
            self.queue_fin();
        }
        if self.flight() > 0 {
            self.start_retransmission_timer(cx.now);
            self.schedule_probe(cx.now);
        }
    }
}

/// 8 bytes that only we can compute.
fn cookie_with(secret: &[u8; 16], key: &FourTuple) -> FastOpenCookie {
    let addresses = FourTuple {
        local_port: 0,
        remote_port: 0,
        ..*key
    };
    FastOpenCookie::from(addresses.hash(secret).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;
    use crate::pool::FramePool;
    use core::net::{IpAddr, Ipv4Addr};

    fn address(last: u8) -> Address {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)).into()
    }

    fn key(last: u8, port: u16) -> FourTuple {
        FourTuple {
            local: address(1),
            remote: address(last),
            local_port: 80,
            remote_port: port,
        }
    }

    fn new() -> (FastOpen, Rng) {
        let mut rng = Rng::new([3; 32]);
        (FastOpen::new(&mut rng), rng)
    }

    /// RFC 7413 §4.1.2: the server's cookie is that of the address, whatever the port, and old
    /// ones end with their key.
    #[test]
    fn a_cookie_is_good_for_one_or_two_lifetimes_of_the_key() {
        let (mut fast_open, mut rng) = new();
        let (mut pool, mut counters) = (FramePool::new(0, 64), Counters::default());
        macro_rules! at {
            ($hours:expr) => {
                &mut Context {
                    now: Instant::from_millis($hours * 3_600_000 + 1),
                    pool: &mut pool,
                    rng: &mut rng,
                    counters: &mut counters,
                }
            };
        }
        let cookie = fast_open.cookie(at!(0), &key(2, 1_000));
        assert_eq!(fast_open.check(at!(3), &key(2, 7), cookie), Check::Good);
        assert_eq!(fast_open.check(at!(3), &key(3, 7), cookie), Check::Bad);
        assert_eq!(fast_open.check(at!(4), &key(2, 7), cookie), Check::Old);
        assert_eq!(fast_open.check(at!(7), &key(2, 7), cookie), Check::Old);
        assert_eq!(fast_open.check(at!(8), &key(2, 7), cookie), Check::Bad);
        let cookie = fast_open.cookie(at!(8), &key(2, 1_000));
        assert_eq!(fast_open.check(at!(99), &key(2, 7), cookie), Check::Bad);
    }

    #[test]
    fn a_client_remembers_the_servers_that_it_used_last() {
        let (mut fast_open, _) = new();
        let cookie = |n: u8| Some(FastOpenCookie::from([n; 8]));
        let known = |fast_open: &mut FastOpen, n| {
            let known = fast_open.known(Instant::ZERO, address(n)).unwrap();
            (!known.cookie.is_empty()).then_some(known.cookie)
        };
        for n in 0..40 {
            fast_open.learned(address(n), 1_400, cookie(n), false);
            // The first one is used all the time.
            assert_eq!(known(&mut fast_open, 0), cookie(0));
        }
        assert_eq!(fast_open.servers.len(), SERVERS);
        let kept = (0..40).filter(|n| known(&mut fast_open, *n).is_some());
        assert!(kept.eq([0].into_iter().chain(9..40)));
    }

    /// RFC 7413 §4.1.3.1: where a SYN with data was lost, others go without for a while.
    #[test]
    fn a_server_that_cannot_be_reached_so_is_left_alone_for_longer_each_time() {
        let (mut fast_open, _) = new();
        let hour = |n: u64| Instant::from_millis(n * 3_600_000);
        let server = address(9);
        fast_open.failed(hour(0), server);
        assert_eq!(fast_open.known(hour(0), server), None);
        assert!(fast_open.known(hour(1), server).is_some());
        fast_open.failed(hour(1), server);
        assert_eq!(fast_open.known(hour(2), server), None);
        assert!(fast_open.known(hour(3), server).is_some());
        fast_open.learned(server, 1_000, Some(FastOpenCookie::from([1; 8])), true);
        fast_open.failed(hour(3), server);
        assert!(
            fast_open.known(hour(4), server).is_some(),
            "it has worked since"
        );
        for days in [25, 40] {
            let now = hour(3 + days * 24);
            assert!(fast_open.known(now, server).is_some(), "{days} days later");
        }
    }
}
