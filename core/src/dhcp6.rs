//! DHCPv6 for a host that makes its addresses itself (RFC 8415 §6.1, §18.2.6): when to ask servers for
//! the rest, and what of a Reply to believe.
//!
//! ```text
//!  asked for by a router,         delay up to 1 s,
//!  or by the owner               then ever more seldom
//!  ------------------> ASKING <--------------------------+
//!                        |  Reply                        |  the refresh time is over, or the
//!                        v                               |  link's prefixes have changed
//!                      INFORMED -------------------------+
//! ```
//!
//! Leases of addresses (the M flag of routers) are not asked for: where it is set, the rest is asked
//! for, which servers with leases tell as well.

use crate::config::Dhcp6Mode;
use crate::rng::Rng;
use crate::time::{Instant, nanos};
use crate::wire::dhcp6::{DuidUuid, InformationRequest, Reply};
use core::net::Ipv6Addr;
use core::time::Duration;
use zerocopy::IntoBytes;

/// INF_MAX_DELAY of RFC 8415 §7.6: before the first message of an exchange, at most.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// INF_TIMEOUT: until the second one.
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// INF_MAX_RT: between later ones at most, unless a server says otherwise.
const MAX_RT: Duration = Duration::from_secs(3_600);
/// IRT_DEFAULT and IRT_MINIMUM of RFC 8415 §7.6, in seconds.
const DEFAULT_REFRESH: u32 = 86_400;
const LEAST_REFRESH: u32 = 600;
/// Between two exchanges that routers cause, at least (RFC 8415 §14.1): whatever is advertised, this
/// host is not made to flood its link.
const BETWEEN_EXCHANGES: Duration = Duration::from_secs(30);

/// What was learned of a Reply, beside the lists in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is not for us, or we have not asked.
    NotOurs,
    /// The server cannot help (RFC 8415 §21.13): we go on asking.
    Refused,
    /// It holds until then.
    Informed { until: Instant },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has asked for it.
    Idle,
    /// An exchange begins at its time.
    Delayed,
    /// Sent at least once, since then.
    Asking { since: Instant },
    /// Answered.
    Informed,
}

/// The client of one interface.
#[derive(Debug)]
pub(crate) struct Dhcp6 {
    mode: Dhcp6Mode,
    duid: DuidUuid,
    state: State,
    /// When there is something to do.
    at: Instant,
    /// RT of RFC 8415 §15: the time before `at`.
    timeout: Duration,
    max_rt: Duration,
    transaction: [u8; 3],
    /// The router whose flag we follow.
    router: Option<Ipv6Addr>,
    /// No exchange that a router causes begins before.
    not_before: Instant,
}

impl Dhcp6 {
    pub(crate) fn new(mode: Dhcp6Mode, uuid: [u8; 16]) -> Self {
        Self {
            mode,
            duid: DuidUuid::new(uuid),
            state: State::Idle,
            at: Instant::FAR_FUTURE,
            timeout: Duration::ZERO,
            max_rt: MAX_RT,
            transaction: [0; 3],
            router: None,
            not_before: Instant::ZERO,
        }
    }

    /// The interface has an address to ask from.
    pub(crate) fn link_is_up(&mut self, now: Instant, rng: &mut Rng) {
        if self.mode == Dhcp6Mode::Always && self.state == State::Idle {
            self.begin(now, rng);
        }
    }

    /// A router has advertised itself, with or without the flags M or O (RFC 4861 §4.2).
    /// `prefix_is_new`: it tells of a prefix that the link did not have (RFC 8415 §18.2.12).
    ///
    /// Only the router whose flag was seen first can take the wish back, so that one that says
    /// nothing of DHCP does not contradict another.
    pub(crate) fn router_says(
        &mut self,
        now: Instant,
        router: Ipv6Addr,
        wanted: bool,
        prefix_is_new: bool,
        rng: &mut Rng,
    ) {
        if self.mode == Dhcp6Mode::Never {
            return;
        }
        if self.mode == Dhcp6Mode::FollowRouters {
            match (wanted, self.router) {
                (true, None) => {
                    self.router = Some(router);
                    return self.begin(now.max(self.not_before), rng);
                }
                (false, Some(known)) if known == router => {
                    // What was learned holds for its time.
                    self.router = None;
                    self.state = State::Idle;
                    self.at = Instant::FAR_FUTURE;
                    return;
                }
                (_, None) => return,
                (_, Some(_)) => {}
            }
        }
        if prefix_is_new && self.state == State::Informed {
            self.begin(now.max(self.not_before), rng);
        }
    }

    /// Begins an exchange after a random delay, so that the hosts of a link that had a power cut do
    /// not all ask at once.
    fn begin(&mut self, now: Instant, rng: &mut Rng) {
        let delay = u64::from(rng.u32()) % nanos(MAX_DELAY);
        self.state = State::Delayed;
        self.at = now + Duration::from_nanos(delay);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        Some(self.at).filter(|at| *at != Instant::FAR_FUTURE)
    }

    /// The message to send now, if one is due.
    pub(crate) fn take(&mut self, now: Instant, rng: &mut Rng) -> Option<InformationRequest> {
        if now < self.at {
            return None;
        }
        let since = match self.state {
            State::Idle => return None,
            State::Informed => {
                self.begin(now, rng);
                return None;
            }
            State::Delayed => {
                let [a, b, c, _] = rng.u32().to_be_bytes();
                self.transaction = [a, b, c];
                self.timeout = Duration::ZERO;
                self.state = State::Asking { since: now };
                self.not_before = now + BETWEEN_EXCHANGES;
                now
            }
            State::Asking { since } => since,
        };
        // RFC 8415 §15.
        self.timeout = match self.timeout {
            Duration::ZERO => jittered(FIRST_TIMEOUT, rng),
            previous => {
                let doubled = previous + jittered(previous, rng);
                if doubled > self.max_rt {
                    jittered(self.max_rt, rng)
                } else {
                    doubled
                }
            }
        };
        self.at = now + self.timeout;
        let elapsed = u16::try_from((now - since).as_millis() / 10).unwrap_or(u16::MAX);
        Some(InformationRequest::new(
            self.transaction,
            self.duid,
            elapsed,
        ))
    }

    /// Whether servers are or were asked: what comes from them is for nobody else.
    pub(crate) fn is_active(&self) -> bool {
        self.state != State::Idle
    }

    /// A Reply has come (RFC 8415 §16.10, §18.2.10.4).
    pub(crate) fn reply(&mut self, now: Instant, reply: &Reply<'_>) -> Outcome {
        let ours = matches!(self.state, State::Asking { .. })
            && reply.transaction == self.transaction
            && reply.client == self.duid.as_bytes();
        if !ours {
            return Outcome::NotOurs;
        }
        // Whatever else it says (RFC 8415 §18.2.10).
        if let Some(seconds) = reply.max_rt {
            self.max_rt = Duration::from_secs(seconds.into());
        }
        if reply.status != 0 {
            return Outcome::Refused;
        }
        self.state = State::Informed;
        let refresh = match reply.refresh.unwrap_or(DEFAULT_REFRESH) {
            u32::MAX => {
                self.at = Instant::FAR_FUTURE;
                return Outcome::Informed {
                    until: Instant::FAR_FUTURE,
                };
            }
            seconds => Duration::from_secs(seconds.max(LEAST_REFRESH).into()),
        };
        self.at = now + refresh;
        // Twice the time, so that what is known stays while a server is away for a while.
        Outcome::Informed {
            until: self.at + refresh,
        }
    }
}

/// The time, more or less a tenth of it by chance (RFC 8415 §15).
fn jittered(time: Duration, rng: &mut Rng) -> Duration {
    let tenth = time / 10;
    let by = u64::from(rng.u32()) * 1_000 % nanos(2 * tenth).max(1);
    time - tenth + Duration::from_nanos(by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const OTHER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

    fn client(mode: Dhcp6Mode) -> (Dhcp6, Rng) {
        (Dhcp6::new(mode, [7; 16]), Rng::new([1; 32]))
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    /// The next message, and when.
    fn next(client: &mut Dhcp6, rng: &mut Rng) -> Option<(Instant, InformationRequest)> {
        for _ in 0..2 {
            let at = client.next_timeout()?;
            if let Some(message) = client.take(at, rng) {
                return Some((at, message));
            }
        }
        None
    }

    /// RFC 8415 §15, §18.2.6.
    #[test]
    fn questions_become_seldom_and_stay_one_exchange() {
        let (mut client, mut rng) = client(Dhcp6Mode::FollowRouters);
        assert_eq!(client.next_timeout(), None);
        client.router_says(at(5), ROUTER, true, false, &mut rng);
        let mut sent = Vec::new();
        while sent.len() < 16 {
            sent.push(next(&mut client, &mut rng).unwrap());
        }
        assert!(sent[0].0 - at(5) < MAX_DELAY);
        let transactions: Vec<_> = sent
            .iter()
            .map(|(_, m)| m.as_bytes()[1..4].to_vec())
            .collect();
        assert!(transactions.iter().all(|t| *t == transactions[0]));
        let gaps: Vec<_> = sent.windows(2).map(|w| w[1].0 - w[0].0).collect();
        assert!((Duration::from_millis(900)..Duration::from_millis(1_100)).contains(&gaps[0]));
        for pair in gaps.windows(2) {
            let doubles = pair[1] >= pair[0] * 19 / 10 && pair[1] <= pair[0] * 21 / 10;
            let at_most =
                (Duration::from_secs(3_240)..Duration::from_secs(3_960)).contains(&pair[1]);
            assert!(doubles || at_most, "{gaps:?}");
        }
        let elapsed =
            |i: usize| u16::from_be_bytes(*sent[i].1.as_bytes()[30..].first_chunk().unwrap());
        assert_eq!(elapsed(0), 0);
        assert_eq!(
            u128::from(elapsed(3)),
            (sent[3].0 - sent[0].0).as_millis() / 10
        );
        assert_eq!(elapsed(15), u16::MAX);
    }

    #[test]
    fn an_answer_ends_the_exchange_until_its_refresh_time() {
        for (said, refresh) in [
            (None, Some(86_400)),
            (Some(0), Some(600)),
            (Some(599), Some(600)),
            (Some(7_200), Some(7_200)),
            (Some(u32::MAX - 1), Some(4_294_967_294)),
            (Some(u32::MAX), None),
        ] {
            let (mut client, mut rng) = client(Dhcp6Mode::Always);
            client.link_is_up(at(0), &mut rng);
            let (now, first) = next(&mut client, &mut rng).unwrap();
            let duid = client.duid;
            let reply = Reply {
                transaction: client.transaction,
                client: duid.as_bytes(),
                ..reply_of(said)
            };
            let outcome = client.reply(now, &reply);
            let again = next(&mut client, &mut rng);
            match refresh {
                None => {
                    assert_eq!(
                        outcome,
                        Outcome::Informed {
                            until: Instant::FAR_FUTURE
                        }
                    );
                    assert!(again.is_none());
                }
                Some(seconds) => {
                    let until = now + Duration::from_secs(2 * seconds);
                    assert_eq!(outcome, Outcome::Informed { until });
                    let (time, message) = again.unwrap();
                    let waited = time - now;
                    let refresh = Duration::from_secs(seconds);
                    assert!(waited >= refresh && waited < refresh + MAX_DELAY);
                    assert_ne!(message.as_bytes()[1..4], first.as_bytes()[1..4]);
                }
            }
        }
    }

    fn reply_of(refresh: Option<u32>) -> Reply<'static> {
        Reply {
            transaction: [0; 3],
            client: &[],
            server: &[0, 1, 2],
            status: 0,
            dns_servers: &[],
            domains: &[],
            refresh,
            max_rt: None,
        }
    }

    #[test]
    fn a_server_that_cannot_help_is_asked_again_at_its_pace() {
        let (mut client, mut rng) = client(Dhcp6Mode::Always);
        client.link_is_up(at(0), &mut rng);
        let (mut now, _) = next(&mut client, &mut rng).unwrap();
        let duid = client.duid;
        let refused = Reply {
            transaction: client.transaction,
            client: duid.as_bytes(),
            status: 1,
            max_rt: Some(60),
            ..reply_of(None)
        };
        assert_eq!(client.reply(now, &refused), Outcome::Refused);
        for _ in 0..20 {
            let (time, _) = next(&mut client, &mut rng).unwrap();
            assert!(time - now <= Duration::from_secs(66), "{:?}", time - now);
            now = time;
        }
    }

    /// RFC 8415 §16.10.
    #[test]
    fn answers_to_others_are_not_ours() {
        let (mut client, mut rng) = client(Dhcp6Mode::Always);
        client.link_is_up(at(0), &mut rng);
        let early = Reply {
            client: &[0],
            ..reply_of(None)
        };
        assert_eq!(
            client.reply(at(0), &early),
            Outcome::NotOurs,
            "not asked yet"
        );
        let (now, _) = next(&mut client, &mut rng).unwrap();
        let (transaction, duid) = (client.transaction, client.duid);
        let [a, b, c] = transaction;
        let id = duid.as_bytes();
        for (transaction, client_id) in [
            ([a, b, c ^ 1], id),
            (transaction, &id[..17]),
            (transaction, &[]),
            (transaction, &[id, &[0]].concat()),
        ] {
            let reply = Reply {
                transaction,
                client: client_id,
                ..reply_of(None)
            };
            assert_eq!(client.reply(now, &reply), Outcome::NotOurs);
        }
        let reply = Reply {
            transaction,
            client: id,
            ..reply_of(None)
        };
        assert_ne!(client.reply(now, &reply), Outcome::NotOurs);
        assert_eq!(client.reply(now, &reply), Outcome::NotOurs, "once");
    }

    #[test]
    fn routers_decide_and_contradict_only_themselves() {
        let (mut client, mut rng) = client(Dhcp6Mode::FollowRouters);
        client.link_is_up(at(0), &mut rng);
        client.router_says(at(0), OTHER, false, true, &mut rng);
        assert_eq!(client.next_timeout(), None);
        client.router_says(at(1), ROUTER, true, true, &mut rng);
        let first = next(&mut client, &mut rng).unwrap().0;
        client.router_says(at(3), OTHER, false, false, &mut rng);
        client.router_says(at(3), OTHER, true, false, &mut rng);
        assert!(matches!(client.state, State::Asking { .. }));
        client.router_says(at(4), ROUTER, false, false, &mut rng);
        assert_eq!(client.next_timeout(), None);
        // It changes its mind: again, but not at any pace.
        for second in 5..20 {
            let wanted = second % 2 == 1;
            client.router_says(at(second), ROUTER, wanted, false, &mut rng);
            assert!(
                client
                    .next_timeout()
                    .is_none_or(|at| at >= first + Duration::from_secs(28))
            );
        }
        let (mut never, mut rng) = self::client(Dhcp6Mode::Never);
        never.link_is_up(at(0), &mut rng);
        never.router_says(at(0), ROUTER, true, true, &mut rng);
        assert_eq!(never.next_timeout(), None);
    }

    /// RFC 8415 §18.2.12, §14.1.
    #[test]
    fn a_new_prefix_is_a_reason_to_ask_again_but_a_flood_of_them_is_one() {
        let (mut client, mut rng) = client(Dhcp6Mode::FollowRouters);
        client.router_says(at(0), ROUTER, true, true, &mut rng);
        let mut questions = 0;
        for tenth in 0..3_000 {
            let now = Instant::from_millis(tenth * 100);
            client.router_says(now, ROUTER, true, true, &mut rng);
            if client.take(now, &mut rng).is_some() {
                questions += 1;
                let (transaction, duid) = (client.transaction, client.duid);
                let reply = Reply {
                    transaction,
                    client: duid.as_bytes(),
                    ..reply_of(None)
                };
                assert_ne!(client.reply(now, &reply), Outcome::NotOurs);
            }
        }
        assert!((9..=11).contains(&questions), "{questions} in 300 s");
    }
}
