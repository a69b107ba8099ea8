//! The state machine of RFC 2131 §4.4. Messages, time and what becomes of the address go in; what is
//! to be done comes out of [`Client::poll`].
//!
//! ```text
//!          DISCOVER          OFFER (accepted)          ACK            nobody has it
//!   INIT -----------> SELECTING --------> REQUESTING ------> PROBING ---------------> BOUND
//!    ^  \                                    ^  | NAK           | conflict: DECLINE,   |  ^
//!    |   \ an earlier address                |  v               v 10 s                 |  | ACK
//!    |    +------------------> REBOOTING ----+ INIT            INIT                 T1 v  |
//!    |                                                                             RENEWING
//!    |                                                                              T2 |
//!    +------------- NAK, or the lease is over: the address goes ----------------- REBINDING
//! ```

use super::lease::Lease;
use super::{ClientId, DhcpConfig};
use crate::rng::Rng;
use crate::time::{Instant, nanos};
use crate::wire::dhcp::{MAX_WRITTEN, Message, MessageType, Writer, tag};
use crate::wire::ethernet::EthernetAddress;
use bitflags::bitflags;
use core::net::Ipv4Addr;
use core::time::Duration;

/// The first wait for an answer; it doubles with each try, up to sixteen times (RFC 2131 §4.1).
const FIRST_WAIT: Duration = Duration::from_secs(4);
const MAX_DOUBLINGS: u8 = 4;
/// Tries of a REQUEST: a minute in all (RFC 2131 §3.1 (5)).
const REQUEST_TRIES: u8 = 4;
/// The same for an address of an earlier run, before a new one is looked for.
const REBOOT_TRIES: u8 = 2;
/// From a DECLINE to the next attempt (RFC 2131 §3.1 (5)).
const DECLINE_WAIT: Duration = Duration::from_secs(10);
/// Between requests to renew a lease at least (RFC 2131 §4.4.5).
const RENEW_WAIT: Duration = Duration::from_secs(60);
/// How long an offer waits for its owner's word. Servers set addresses aside for about as long.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// How long there is no lease before a link-local address helps out.
const LINK_LOCAL_WAIT: Duration = Duration::from_secs(10);
/// The longest wait after refusals in a row, as a power of two of seconds.
const MAX_RESTART_DOUBLINGS: u8 = 6;
/// The longest message that we ask servers for, headers included.
const MAX_MESSAGE: u16 = 1_280;

/// What a client is about (RFC 2131 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DhcpState {
    /// It begins, now or after a pause.
    Init,
    /// It asks who lends addresses.
    Selecting,
    /// An offer waits for its owner's word.
    Offered,
    /// It asks for the address that it was offered.
    Requesting,
    /// It asks whether it can have the address of an earlier run.
    Rebooting,
    /// The address was lent, and the link is asked whether somebody has it.
    Probing,
    /// It has an address.
    Bound,
    /// It asks its server to lend it for longer.
    Renewing,
    /// It asks every server to.
    Rebinding,
}

/// A message to be sent.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) message: heapless::Vec<u8, MAX_WRITTEN>,
    /// Ours, or 0.0.0.0.
    pub(crate) source: Ipv4Addr,
    /// The server, or everybody.
    pub(crate) destination: Ipv4Addr,
    pub(crate) message_type: MessageType,
}

/// What is to be done.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one at a time, for the call that carries it out"
)]
pub(crate) enum Action {
    Send(Sending),
    /// The address of [`Client::pending`] is to be added, and [`Client::probed`] or
    /// [`Client::conflict`] to be called.
    Probe,
    /// [`Client::lease`] is in force, in the place of [`Client::previous`].
    Apply,
    /// Nothing of [`Client::previous`] holds any longer.
    Withdraw,
    /// The owner is to be asked, and [`Client::answer`] to be called.
    Ask,
    /// No server answers: a link-local address is wanted meanwhile.
    LinkLocal,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    /// It is for somebody else, or nothing that was waited for.
    Ignored,
    /// What it offers cannot be used.
    Refused,
    /// The server takes the address back.
    Nak,
}

bitflags! {
    #[derive(Clone, Copy, Debug)]
    struct Due: u8 {
        const WITHDRAW = 1 << 0;
        const PROBE = 1 << 1;
        const APPLY = 1 << 2;
        const ASK = 1 << 3;
    }
}

/// A client on an interface.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) config: DhcpConfig,
    hardware: EthernetAddress,
    interface: u8,
    state: DhcpState,
    due: Due,
    /// When the state has something to do.
    at: Instant,
    /// When a link-local address is wanted.
    link_local_at: Instant,
    xid: u32,
    /// When this acquisition or renewal began.
    started: Instant,
    /// When a REQUEST was sent last.
    asked: Instant,
    /// The address of the last lease, to be asked for again.
    hint: Option<Ipv4Addr>,
    tries: u8,
    /// Refusals since there was a lease last.
    restarts: u8,
    /// Offered, requested, or lent and being probed.
    pending: Option<Lease>,
    /// It was lent before its owner was asked, to an address of an earlier run.
    lent: bool,
    /// In force.
    lease: Option<Lease>,
    /// What was in force before.
    previous: Option<Lease>,
    /// To be declined, or released: address and server.
    returned: Option<(MessageType, Ipv4Addr, Ipv4Addr)>,
    /// The server and address that the owner has refused last.
    refused: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl Client {
    pub(crate) fn new(
        config: DhcpConfig,
        hardware: EthernetAddress,
        interface: u8,
        now: Instant,
    ) -> Self {
        let link_local_at = match config.link_local {
            true => now + LINK_LOCAL_WAIT,
            false => Instant::FAR_FUTURE,
        };
        Self {
            config,
            hardware,
            interface,
            state: DhcpState::Init,
            due: Due::empty(),
            at: now,
            link_local_at,
            xid: 0,
            started: now,
            asked: now,
            hint: None,
            tries: 0,
            restarts: 0,
            pending: None,
            lent: false,
            lease: None,
            previous: None,
            returned: None,
            refused: None,
        }
    }

    pub(crate) fn state(&self) -> DhcpState {
        self.state
    }

    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    pub(crate) fn previous(&self) -> Option<&Lease> {
        self.previous.as_ref()
    }

    pub(crate) fn pending(&self) -> Option<&Lease> {
        self.pending.as_ref()
    }

    /// When [`Client::poll`] has something to do.
    pub(crate) fn next_timeout(&self) -> Instant {
        if self.due.is_empty() && self.returned.is_none() {
            self.at.min(self.link_local_at)
        } else {
            Instant::ZERO
        }
    }

    /// The next thing to do; `None`: nothing more now.
    pub(crate) fn poll(&mut self, now: Instant, rng: &mut Rng) -> Option<Action> {
        if let Some((message_type, address, server)) = self.returned.take() {
            return Some(Action::Send(self.write(message_type, now, address, server)));
        }
        for (flag, action) in [
            (Due::WITHDRAW, Action::Withdraw),
            (Due::PROBE, Action::Probe),
            (Due::APPLY, Action::Apply),
            (Due::ASK, Action::Ask),
        ] {
            if self.due.contains(flag) {
                self.due.remove(flag);
                return Some(action);
            }
        }
        if self.link_local_at <= now {
            self.link_local_at = Instant::FAR_FUTURE;
            return Some(Action::LinkLocal);
        }
        // Each round changes the state, and none leads back to where it came from.
        while self.at <= now {
            if let Some(sending) = self.time_comes(now, rng) {
                return Some(Action::Send(sending));
            }
            if !self.due.is_empty() || self.returned.is_some() {
                return self.poll(now, rng);
            }
        }
        None
    }

    fn time_comes(&mut self, now: Instant, rng: &mut Rng) -> Option<Sending> {
        let (renewing, expired) = match &self.lease {
            Some(lease) => (now < lease.rebind_at, lease.expires_at <= now),
            None => (false, false),
        };
        if expired {
            self.lose(now);
            return None;
        }
        match self.state {
            DhcpState::Init => {
                self.begin(now, rng);
                self.state = match self.config.previous {
                    Some(_) => DhcpState::Rebooting,
                    None => DhcpState::Selecting,
                };
                None
            }
            DhcpState::Selecting => {
                self.wait_for_answer(now, rng);
                let none = Ipv4Addr::UNSPECIFIED;
                let hint = self.hint.unwrap_or(none);
                Some(self.write(MessageType::Discover, now, hint, none))
            }
            DhcpState::Offered => {
                self.answer(now, false);
                None
            }
            DhcpState::Requesting if self.tries < REQUEST_TRIES => self.request(now, rng),
            DhcpState::Rebooting if self.tries < REBOOT_TRIES => self.request(now, rng),
            DhcpState::Requesting | DhcpState::Rebooting => {
                self.pending = None;
                self.config.previous = None;
                self.state = DhcpState::Init;
                None
            }
            DhcpState::Probing => {
                self.at = Instant::FAR_FUTURE;
                None
            }
            DhcpState::Bound => {
                self.begin(now, rng);
                self.state = DhcpState::Renewing;
                None
            }
            DhcpState::Renewing | DhcpState::Rebinding => {
                let lease = self.lease.as_ref()?;
                let (address, server, end) = match renewing {
                    true => (lease.address, lease.server, lease.rebind_at),
                    false => (lease.address, Ipv4Addr::UNSPECIFIED, lease.expires_at),
                };
                self.state = match renewing {
                    true => DhcpState::Renewing,
                    false => DhcpState::Rebinding,
                };
                self.asked = now;
                // RFC 2131 §4.4.5: after half of what is left.
                self.at = (now + ((end - now) / 2).max(RENEW_WAIT)).min(end);
                Some(self.write(MessageType::Request, now, address, server))
            }
        }
    }

    /// A transaction begins.
    fn begin(&mut self, now: Instant, rng: &mut Rng) {
        self.xid = rng.u32();
        self.started = now;
        self.tries = 0;
        self.at = now;
    }

    /// Asks for the address that is pending, or was ours.
    fn request(&mut self, now: Instant, rng: &mut Rng) -> Option<Sending> {
        let (address, server) = match (&self.pending, self.config.previous) {
            (Some(offer), _) => (offer.address, offer.server),
            (None, previous) => (previous?, Ipv4Addr::UNSPECIFIED),
        };
        self.wait_for_answer(now, rng);
        self.asked = now;
        Some(self.write(MessageType::Request, now, address, server))
    }

    /// RFC 2131 §4.1: 4, 8, 16, 32, 64 s, each more or less a second by chance.
    fn wait_for_answer(&mut self, now: Instant, rng: &mut Rng) {
        let wait = FIRST_WAIT * (1 << self.tries.min(MAX_DOUBLINGS)) - Duration::from_secs(1);
        let jitter = u64::from(rng.u32()) % nanos(Duration::from_secs(2));
        self.at = now + wait + Duration::from_nanos(jitter);
        self.tries = self.tries.saturating_add(1);
    }

    /// A server's message.
    pub(crate) fn message(&mut self, now: Instant, message: &Message<'_>) -> Verdict {
        let header = message.header;
        if header.xid() != self.xid || !header.is_for(self.hardware) {
            return Verdict::Ignored;
        }
        let Some(server) = message.address(tag::SERVER_ID) else {
            return Verdict::Ignored;
        };
        let expected = match self.state {
            DhcpState::Requesting => self.pending.as_ref().map(|offer| offer.server),
            DhcpState::Renewing => self.lease.as_ref().map(|lease| lease.server),
            DhcpState::Selecting | DhcpState::Rebooting | DhcpState::Rebinding => Some(server),
            _ => None,
        };
        if expected != Some(server) {
            return Verdict::Ignored;
        }
        match (self.state, message.message_type) {
            (DhcpState::Selecting, MessageType::Offer) => self.offered(now, message, server),
            (DhcpState::Selecting, _) => Verdict::Ignored,
            (_, MessageType::Ack) => self.acknowledged(now, message, server),
            (_, MessageType::Nak) => {
                self.refuse(now);
                Verdict::Nak
            }
            _ => Verdict::Ignored,
        }
    }

    fn offered(&mut self, now: Instant, message: &Message<'_>, server: Ipv4Addr) -> Verdict {
        let Some(offer) = Lease::new(message, server, now) else {
            return Verdict::Refused;
        };
        if self.refused == Some((server, offer.address)) {
            return Verdict::Ignored;
        }
        self.pending = Some(offer);
        self.lent = false;
        if self.config.ask {
            self.ask(now);
        } else {
            self.want(now);
        }
        Verdict::Taken
    }

    fn ask(&mut self, now: Instant) {
        self.state = DhcpState::Offered;
        self.at = now + ANSWER_WAIT;
        self.due |= Due::ASK;
    }

    /// The pending offer is wanted.
    fn want(&mut self, now: Instant) {
        self.state = DhcpState::Requesting;
        self.tries = 0;
        self.at = now;
    }

    fn acknowledged(&mut self, now: Instant, message: &Message<'_>, server: Ipv4Addr) -> Verdict {
        // The lease counts from when it was asked for (RFC 2131 §4.4.1).
        let lease = Lease::new(message, server, self.asked);
        let Some(lease) = lease.filter(|lease| now < lease.expires_at) else {
            return Verdict::Refused;
        };
        let wanted = match self.state {
            DhcpState::Requesting => self.pending.as_ref().map(|offer| offer.address),
            DhcpState::Rebooting => self.config.previous,
            _ => Some(lease.address),
        };
        if wanted != Some(lease.address) {
            return Verdict::Refused;
        }
        let asked_before = self.state != DhcpState::Rebooting;
        if self.config.ask && !asked_before {
            self.pending = Some(lease);
            self.lent = true;
            self.ask(now);
        } else {
            self.accept(lease);
        }
        Verdict::Taken
    }

    /// The owner has decided about the pending offer. `false`: there is none.
    pub(crate) fn answer(&mut self, now: Instant, accepted: bool) -> bool {
        if self.state != DhcpState::Offered {
            return false;
        }
        self.due.remove(Due::ASK);
        match (accepted, self.lent) {
            (true, false) => self.want(now),
            (true, true) => {
                if let Some(lease) = self.pending.take() {
                    self.accept(lease);
                }
            }
            (false, lent) => {
                if let Some(offer) = self.pending.take() {
                    self.refused = Some((offer.server, offer.address));
                    if lent {
                        self.config.previous = None;
                        self.returned = Some((MessageType::Release, offer.address, offer.server));
                    }
                }
                self.restart(now);
            }
        }
        true
    }

    /// The address is lent, anew or for longer.
    fn accept(&mut self, lease: Lease) {
        match self.lease.take() {
            Some(old) if old.address == lease.address => {
                self.previous = Some(old);
                self.bind(lease);
            }
            old => {
                if old.is_some() {
                    self.previous = old;
                    self.due |= Due::WITHDRAW;
                }
                self.pending = Some(lease);
                self.state = DhcpState::Probing;
                self.at = Instant::FAR_FUTURE;
                self.due |= Due::PROBE;
            }
        }
    }

    fn bind(&mut self, lease: Lease) {
        self.state = DhcpState::Bound;
        self.at = lease.renew_at;
        self.link_local_at = Instant::FAR_FUTURE;
        self.config.previous = None;
        self.hint = Some(lease.address);
        self.lease = Some(lease);
        self.pending = None;
        self.restarts = 0;
        self.due |= Due::APPLY;
    }

    /// Nobody on the link has the pending address.
    pub(crate) fn probed(&mut self, address: Ipv4Addr) {
        if self.state == DhcpState::Probing
            && let Some(lease) = self.pending.take_if(|lease| lease.address == address)
        {
            self.previous = None;
            self.bind(lease);
        }
    }

    /// Somebody on the link has the address that is pending or in force.
    pub(crate) fn conflict(&mut self, now: Instant, address: Ipv4Addr) {
        let pending = self.pending.take_if(|lease| lease.address == address);
        let in_force = self.lease.take_if(|lease| lease.address == address);
        let Some(lost) = pending.or_else(|| in_force.clone()) else {
            return;
        };
        if in_force.is_some() {
            self.previous = in_force;
            self.due |= Due::WITHDRAW;
        }
        self.returned = Some((MessageType::Decline, lost.address, lost.server));
        (self.config.previous, self.hint) = (None, None);
        self.state = DhcpState::Init;
        self.at = now + DECLINE_WAIT;
        self.help_out(now);
    }

    /// There is no room for the pending address, or it is ours on another link. It is given back: to
    /// decline it would say that somebody on the link has it, and servers lend such an address to
    /// nobody for a while (RFC 2131 §3.1 (5), §4.3.3).
    pub(crate) fn give_back(&mut self, now: Instant, address: Ipv4Addr) {
        let Some(lease) = self.pending.take_if(|lease| lease.address == address) else {
            return;
        };
        self.returned = Some((MessageType::Release, lease.address, lease.server));
        (self.config.previous, self.hint) = (None, None);
        self.restart(now);
        self.help_out(now);
    }

    /// The lease is over.
    fn lose(&mut self, now: Instant) {
        if self.lease.is_some() {
            self.previous = self.lease.take();
            self.due |= Due::WITHDRAW;
            self.help_out(now);
        }
        self.state = DhcpState::Init;
        self.at = now;
    }

    /// A server takes the address back.
    fn refuse(&mut self, now: Instant) {
        self.lose(now);
        self.pending = None;
        (self.config.previous, self.hint) = (None, None);
        self.restart(now);
    }

    /// It begins anew: at once the first time, then later and later.
    fn restart(&mut self, now: Instant) {
        let wait = match self.restarts {
            0 => Duration::ZERO,
            n => Duration::from_secs(1 << n.min(MAX_RESTART_DOUBLINGS)),
        };
        self.restarts = self.restarts.saturating_add(1);
        self.state = DhcpState::Init;
        self.at = now + wait;
    }

    fn help_out(&mut self, now: Instant) {
        if self.config.link_local {
            self.link_local_at = now + LINK_LOCAL_WAIT;
        }
    }

    /// It ends: what gives the address back, if it is to be.
    pub(crate) fn stop(&mut self, now: Instant, release: bool) -> Option<Sending> {
        self.previous = self.lease.take();
        let lease = self.previous.as_ref().filter(|_| release)?;
        Some(self.write(MessageType::Release, now, lease.address, lease.server))
    }

    /// RFC 2131 table 5. `address`: the one that it is about; `server`: whom it is for, 0.0.0.0:
    /// everybody.
    fn write(
        &self,
        message_type: MessageType,
        now: Instant,
        address: Ipv4Addr,
        server: Ipv4Addr,
    ) -> Sending {
        let none = Ipv4Addr::UNSPECIFIED;
        let renews = matches!(self.state, DhcpState::Renewing | DhcpState::Rebinding);
        let ours = match message_type {
            MessageType::Release => address,
            MessageType::Request if renews => address,
            _ => none,
        };
        let secs = u16::try_from((now - self.started).as_secs()).unwrap_or(u16::MAX);
        let (hardware, xid) = (self.hardware, self.xid);
        let mut writer = Writer::new(message_type, hardware, xid, secs, ours);
        if ours == none && address != none {
            writer.option(tag::REQUESTED_ADDRESS, &address.octets());
        }
        if server != none && !(message_type == MessageType::Request && renews) {
            writer.option(tag::SERVER_ID, &server.octets());
        }
        self.write_client_id(&mut writer);
        if matches!(message_type, MessageType::Discover | MessageType::Request) {
            writer.option(tag::MAX_MESSAGE_SIZE, &MAX_MESSAGE.to_be_bytes());
            // RFC 3442: before the option for routers.
            let mut list = heapless::Vec::<u8, 64>::new();
            for wanted in USUAL_REQUESTS.iter().chain(&self.config.requests) {
                if !list.contains(wanted) {
                    // There is room for both.
                    let _ = list.push(*wanted);
                }
            }
            writer.option(tag::PARAMETER_REQUEST_LIST, &list);
            if let Some(name) = &self.config.hostname {
                writer.option(tag::HOST_NAME, name.as_bytes());
            }
        }
        let to_server = message_type == MessageType::Release || (ours != none && server != none);
        Sending {
            message: writer.finish(),
            source: ours,
            destination: if to_server {
                server
            } else {
                Ipv4Addr::BROADCAST
            },
            message_type,
        }
    }

    fn write_client_id(&self, writer: &mut Writer) {
        let [a, b, c, d, e, f] = self.hardware.0;
        match &self.config.client_id {
            ClientId::Hardware => writer.option(tag::CLIENT_ID, &[1, a, b, c, d, e, f]),
            // RFC 4361 §6.1: IAID and DUID; RFC 8415 §11.4: of the link-layer address.
            ClientId::Node => {
                let iaid = self.interface.wrapping_add(1);
                let id = [255, 0, 0, 0, iaid, 0, 3, 0, 1, a, b, c, d, e, f];
                writer.option(tag::CLIENT_ID, &id);
            }
            ClientId::Given(id) => writer.option(tag::CLIENT_ID, id),
        }
    }
}

/// What every client asks for.
const USUAL_REQUESTS: [u8; 10] = [
    tag::SUBNET_MASK,
    tag::CLASSLESS_ROUTES,
    tag::ROUTER,
    tag::DNS_SERVER,
    tag::DOMAIN_NAME,
    tag::DOMAIN_SEARCH,
    tag::INTERFACE_MTU,
    tag::NTP_SERVER,
    tag::RENEWAL_TIME,
    tag::REBINDING_TIME,
];
