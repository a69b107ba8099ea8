//! Address conflict detection (RFC 5227) and link-local addresses (RFC 3927): how an IPv4 address
//! becomes ours, is announced and defended, and is given up.
//!
//! ```text
//!          added            nobody answers three probes
//!   -----------------> PROBED -----------------------> USED: announced twice, defended
//!     |                  | somebody has it              | somebody uses it, and it is not kept
//!     |                  v                              v
//!     |              DUPLICATE <------------------------+
//!     +-- without probing: USED at once
//! ```

use super::v4::{Ipv4Addresses, LocalAddress};
use crate::address::{AddressOptions, AddressOrigin, OnConflict, Probing};
use crate::error::ConfigError;
use crate::rng::Rng;
use crate::time::{Instant, nanos};
use crate::wire::ethernet::EthernetAddress;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

/// The random delay before the first probe: PROBE_WAIT of RFC 5227 §1.1.
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// Probes: PROBE_NUM.
const PROBE_NUM: u8 = 3;
/// Between probes: PROBE_MIN to PROBE_MAX, by chance.
const PROBE_MIN: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(2);
/// From the last probe on until the address is ours: ANNOUNCE_WAIT.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
/// The same for [`Probing::Brief`].
const BRIEF_INTERVAL: Duration = Duration::from_millis(100);
const BRIEF_WAIT: Duration = Duration::from_millis(200);
/// Announcements of a new address: ANNOUNCE_NUM.
const ANNOUNCE_NUM: u8 = 2;
/// Between announcements: ANNOUNCE_INTERVAL.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// Conflicts on an interface after which new addresses are tried at most every
/// RATE_LIMIT_INTERVAL: MAX_CONFLICTS.
const MAX_CONFLICTS: u8 = 10;
const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);
/// Between defences of an address: DEFEND_INTERVAL.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// An address that is not used: to be probed, being probed, or somebody else's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) address: Ipv4Addr,
    pub(super) prefix_len: u8,
    pub(super) origin: AddressOrigin,
    options: AddressOptions,
    /// Somebody else has it: nothing more is done.
    pub(super) duplicate: bool,
    probes_left: u8,
    /// When the next probe is due; when the address is ours, if none is left.
    at: Instant,
}

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ipv4Event {
    /// Ask whether somebody has it.
    Probe(Ipv4Addr),
    /// Say that it is ours.
    Announce(Ipv4Addr),
    /// Nobody has objected: it is ours from now on.
    Assigned(Ipv4Addr),
}

/// What a conflict means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The address is kept; `defended`: an announcement says so.
    Kept { defended: bool },
    /// It is not ours, or not any more if it was `used`.
    Lost { origin: AddressOrigin, used: bool },
}

/// The candidates for a link-local address, in an order that is the same after every start (RFC 3927
/// §2.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkLocal(u64);

impl LinkLocal {
    fn new(hardware: EthernetAddress) -> Self {
        let [a, b, c, d, e, f] = hardware.0;
        Self(u64::from_be_bytes([0x39, 0x27, a, b, c, d, e, f]))
    }

    /// The next one: 169.254.1.0 to 169.254.254.255.
    fn next(&mut self) -> Ipv4Addr {
        // splitmix64: neighbouring hardware addresses give unrelated numbers.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let offset = u32::try_from((mixed >> 32) % (254 * 256)).unwrap_or(0);
        Ipv4Addr::from_bits(LINK_LOCAL.to_bits() + 256 + offset)
    }
}

/// 169.254/16 (RFC 3927 §2.1).
const LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 0);
const LINK_LOCAL_PREFIX_LEN: u8 = 16;

impl Ipv4Addresses {
    /// Takes in an address, to be used at once or to be probed.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        (address, prefix_len): (Ipv4Addr, u8),
        origin: AddressOrigin,
        options: AddressOptions,
        rng: &mut Rng,
    ) -> Result<(), ConfigError> {
        let again = self.tentative.iter().position(|c| c.address == address);
        let again = again.filter(|place| self.tentative[*place].duplicate);
        if !LocalAddress::can_be(address, prefix_len) || (self.claims(address) && again.is_none()) {
            return Err(ConfigError::BadAddress);
        }
        if let Some(place) = again {
            self.tentative.swap_remove(place);
        } else if self.is_full() {
            return Err(ConfigError::TooMany);
        }
        let mut candidate = Candidate {
            address,
            prefix_len,
            origin,
            options,
            duplicate: false,
            probes_left: PROBE_NUM,
            at: now,
        };
        if options.probing == Probing::Off {
            self.assign(now, candidate);
            return Ok(());
        }
        if options.probing == Probing::Full {
            candidate.at = now + random(rng, PROBE_WAIT);
        }
        if self.conflicts >= MAX_CONFLICTS
            && let Some(last) = self.probed_at
        {
            candidate.at = candidate.at.max(last + RATE_LIMIT_INTERVAL);
        }
        self.probed_at = Some(candidate.at);
        // There is room: counted above.
        let _ = self.tentative.push(candidate);
        Ok(())
    }

    /// An address is ours, and is to be announced.
    fn assign(&mut self, now: Instant, candidate: Candidate) {
        let local = LocalAddress::new(candidate.address, candidate.prefix_len);
        let _ = self.addresses.push(LocalAddress {
            origin: candidate.origin,
            on_conflict: candidate.options.on_conflict,
            announcements_left: ANNOUNCE_NUM,
            announce_at: now,
            ..local
        });
    }

    /// Whether an address is ours, or listed as one that was to become so.
    pub(crate) fn claims(&self, address: Ipv4Addr) -> bool {
        self.owns(address) || self.tentative.iter().any(|c| c.address == address)
    }

    /// Whether an address is being probed.
    pub(crate) fn is_probing(&self, address: Ipv4Addr) -> bool {
        let mut candidates = self.tentative.iter();
        candidates.any(|candidate| candidate.address == address && !candidate.duplicate)
    }

    /// When [`Ipv4Addresses::next_event`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let probes = self.tentative.iter().filter(|c| !c.duplicate).map(|c| c.at);
        let announcing = self.addresses.iter().filter(|a| a.announcements_left > 0);
        probes.chain(announcing.map(|a| a.announce_at)).min()
    }

    /// What is due.
    pub(crate) fn next_event(&mut self, now: Instant, rng: &mut Rng) -> Option<Ipv4Event> {
        if let Some(local) = self
            .addresses
            .iter_mut()
            .find(|local| local.announcements_left > 0 && local.announce_at <= now)
        {
            local.announcements_left -= 1;
            local.announce_at = now + ANNOUNCE_INTERVAL;
            return Some(Ipv4Event::Announce(local.address));
        }
        let place = self
            .tentative
            .iter()
            .position(|candidate| !candidate.duplicate && candidate.at <= now)?;
        let candidate = &mut self.tentative[place];
        if candidate.probes_left == 0 {
            let candidate = self.tentative.swap_remove(place);
            self.assign(now, candidate);
            return Some(Ipv4Event::Assigned(candidate.address));
        }
        candidate.probes_left -= 1;
        let last = candidate.probes_left == 0;
        let wait = match (candidate.options.probing, last) {
            (Probing::Full, false) => PROBE_MIN + random(rng, PROBE_MAX - PROBE_MIN),
            (Probing::Full, true) => ANNOUNCE_WAIT,
            (_, false) => BRIEF_INTERVAL,
            (_, true) => BRIEF_WAIT,
        };
        candidate.at = now + wait;
        Some(Ipv4Event::Probe(candidate.address))
    }

    /// A probe could not be sent: it is to be sent later.
    pub(crate) fn probe_again(&mut self, address: Ipv4Addr) {
        if let Some(candidate) = self.tentative.iter_mut().find(|c| c.address == address) {
            candidate.probes_left = candidate.probes_left.saturating_add(1);
        }
    }

    /// Somebody else has an address that is ours or being probed (RFC 5227 §2.1.1, §2.4); `None`: it
    /// is neither. What is lost stays listed as a duplicate if the owner gave it.
    pub(crate) fn conflict(&mut self, now: Instant, address: Ipv4Addr) -> Option<Conflict> {
        let place = self.addresses.iter().position(|a| a.address == address);
        if let Some(local) = place.and_then(|place| self.addresses.get_mut(place)) {
            let recent = local.defended.is_some_and(|at| now - at < DEFEND_INTERVAL);
            let given_up = match local.on_conflict {
                OnConflict::Keep => false,
                OnConflict::DefendOnce => recent,
                OnConflict::GiveUp => true,
            };
            if !given_up {
                if !recent {
                    local.defended = Some(now);
                    local.announcements_left = local.announcements_left.max(1);
                    local.announce_at = now;
                }
                return Some(Conflict::Kept { defended: !recent });
            }
        } else if !self.is_probing(address) {
            return None;
        }
        self.conflicts = self.conflicts.saturating_add(1);
        let (prefix_len, origin) = self.take(address)?;
        if origin == AddressOrigin::Static {
            // In the place of what was just taken out.
            let _ = self.tentative.push(Candidate {
                address,
                prefix_len,
                origin,
                options: AddressOptions::default(),
                duplicate: true,
                probes_left: 0,
                at: now,
            });
        }
        let used = place.is_some();
        Some(Conflict::Lost { origin, used })
    }

    /// Takes an address out, whatever its state: the length of its prefix, and where it came from.
    pub(crate) fn take(&mut self, address: Ipv4Addr) -> Option<(u8, AddressOrigin)> {
        if let Some(place) = self.addresses.iter().position(|a| a.address == address) {
            // The order decides which one is the first, to send from.
            let local = self.addresses.remove(place);
            return Some((local.prefix_len, local.origin));
        }
        let place = self.tentative.iter().position(|c| c.address == address)?;
        let candidate = self.tentative.swap_remove(place);
        Some((candidate.prefix_len, candidate.origin))
    }

    /// Begins to look for a link-local address, or for another one after a conflict. It is probed,
    /// defended once, and then another one is tried (RFC 3927 §2.2, §2.5). The prefix.
    pub(crate) fn try_link_local(
        &mut self,
        now: Instant,
        hardware: EthernetAddress,
        rng: &mut Rng,
    ) -> Result<(Ipv4Addr, u8), ConfigError> {
        let mut candidates = self.link_local.unwrap_or_else(|| LinkLocal::new(hardware));
        let mut address = candidates.next();
        while self.claims(address) {
            address = candidates.next();
        }
        let options = AddressOptions {
            probing: Probing::Full,
            on_conflict: OnConflict::DefendOnce,
        };
        let network = (address, LINK_LOCAL_PREFIX_LEN);
        self.add(now, network, AddressOrigin::LinkLocal, options, rng)?;
        self.link_local = Some(candidates);
        Ok(network)
    }

    /// Whether a link-local address is wanted.
    pub(crate) fn wants_link_local(&self) -> bool {
        self.link_local.is_some()
    }

    /// Ends that: the address, if there is one or about to be.
    pub(crate) fn end_link_local(&mut self) -> Option<Ipv4Addr> {
        self.link_local = None;
        let listed = self
            .iter_all()
            .find(|listed| listed.origin == AddressOrigin::LinkLocal);
        match listed?.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

/// A time below `most`, by chance.
fn random(rng: &mut Rng, most: Duration) -> Duration {
    Duration::from_nanos(u64::from(rng.u32()) % nanos(most).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// One address, taken in this way at time 1 s.
    struct Lab(Ipv4Addresses, Rng);

    impl Lab {
        fn new(probing: Probing, on_conflict: OnConflict, seed: u8) -> Self {
            let mut lab = Self(Ipv4Addresses::default(), Rng::new([seed; 32]));
            let options = AddressOptions {
                probing,
                on_conflict,
            };
            lab.add(at(1_000), ADDRESS, options).unwrap();
            lab
        }

        fn add(
            &mut self,
            now: Instant,
            address: Ipv4Addr,
            options: AddressOptions,
        ) -> Result<(), ConfigError> {
            let (network, origin) = ((address, 24), AddressOrigin::Static);
            self.0.add(now, network, origin, options, &mut self.1)
        }

        /// What happens, with the times in milliseconds, until nothing more does or `until`.
        fn run(&mut self, until: u64) -> Vec<(u64, Ipv4Event)> {
            let mut events = Vec::new();
            while let Some(due) = self.0.next_timeout().filter(|due| *due <= at(until)) {
                while let Some(event) = self.0.next_event(due, &mut self.1) {
                    events.push((due.as_millis(), event));
                }
            }
            events
        }

        fn conflict(&mut self, millis: u64) -> Option<Conflict> {
            self.0.conflict(at(millis), ADDRESS)
        }
    }

    const LOST_IN_USE: Option<Conflict> = Some(Conflict::Lost {
        origin: AddressOrigin::Static,
        used: true,
    });
    const ANNOUNCE: Ipv4Event = Ipv4Event::Announce(ADDRESS);
    const DEFENDED: Option<Conflict> = Some(Conflict::Kept { defended: true });
    const IGNORED: Option<Conflict> = Some(Conflict::Kept { defended: false });

    #[test]
    fn without_probing_an_address_is_ours_at_once_and_announced_twice() {
        let mut lab = Lab::new(Probing::Off, OnConflict::Keep, 1);
        assert!(lab.0.owns(ADDRESS) && !lab.0.is_probing(ADDRESS));
        assert_eq!(lab.run(60_000), [(1_000, ANNOUNCE), (3_000, ANNOUNCE)]);
        assert_eq!(lab.0.next_timeout(), None);
    }

    /// RFC 5227 §1.1, §2.1.1.
    #[test]
    fn three_probes_with_random_spacing_come_first() {
        let mut first_delays = Vec::new();
        for seed in 0..40 {
            let mut lab = Lab::new(Probing::Full, OnConflict::Keep, seed);
            assert!(lab.0.is_probing(ADDRESS) && !lab.0.owns(ADDRESS));
            let events = lab.run(60_000);
            let [p1, p2, p3, assigned, a1, a2] = events[..] else {
                panic!("{events:?}");
            };
            let probe = Ipv4Event::Probe(ADDRESS);
            assert_eq!([p1.1, p2.1, p3.1], [probe; 3]);
            assert_eq!(assigned.1, Ipv4Event::Assigned(ADDRESS));
            assert_eq!([a1.1, a2.1], [ANNOUNCE; 2]);
            assert!((1_000..2_000).contains(&p1.0), "{events:?}");
            for gap in [p2.0 - p1.0, p3.0 - p2.0] {
                assert!((999..=2_000).contains(&gap), "{events:?}");
            }
            assert!((1_999..=2_000).contains(&(assigned.0 - p3.0)), "{events:?}");
            assert_eq!((a1.0, a2.0 - a1.0), (assigned.0, 2_000));
            first_delays.push(p1.0);
        }
        first_delays.sort_unstable();
        first_delays.dedup();
        assert!(first_delays.len() > 30, "by chance");
    }

    #[test]
    fn the_brief_way_takes_less_than_half_a_second() {
        let mut lab = Lab::new(Probing::Brief, OnConflict::Keep, 1);
        let events = lab.run(1_500);
        let probe = Ipv4Event::Probe(ADDRESS);
        let expected = [
            (1_000, probe),
            (1_100, probe),
            (1_200, probe),
            (1_400, Ipv4Event::Assigned(ADDRESS)),
            (1_400, ANNOUNCE),
        ];
        assert_eq!(events, expected);
    }

    #[test]
    fn a_conflict_while_it_is_probed_means_that_it_is_never_ours() {
        let mut lab = Lab::new(Probing::Full, OnConflict::Keep, 1);
        lab.run(2_500);
        let lost = Conflict::Lost {
            origin: AddressOrigin::Static,
            used: false,
        };
        assert_eq!(lab.conflict(2_500), Some(lost));
        assert_eq!(lab.run(100_000), []);
        assert!(!lab.0.owns(ADDRESS) && lab.0.claims(ADDRESS));
        assert_eq!(lab.conflict(3_000), None, "it is none of ours any more");
        // It stays listed, and may be tried again.
        let options = AddressOptions::default();
        lab.add(at(200_000), ADDRESS, options).unwrap();
        assert!(lab.0.owns(ADDRESS));
        let again = lab.add(at(200_000), ADDRESS, options);
        assert_eq!(again, Err(ConfigError::BadAddress));
    }

    /// RFC 5227 §2.4 (c).
    #[test]
    fn a_kept_address_is_defended_at_most_every_ten_seconds() {
        let mut lab = Lab::new(Probing::Off, OnConflict::Keep, 1);
        lab.run(5_000);
        assert_eq!(lab.conflict(10_000), DEFENDED);
        assert_eq!(lab.run(19_000), [(10_000, ANNOUNCE)]);
        assert_eq!(lab.conflict(19_999), IGNORED);
        assert_eq!(lab.conflict(20_000), DEFENDED);
        assert!(lab.0.owns(ADDRESS));
        assert_eq!(lab.0.conflict(at(40_000), [10, 0, 0, 3].into()), None);
    }

    /// RFC 5227 §2.4 (b).
    #[test]
    fn an_address_that_is_defended_once_goes_with_the_second_conflict_in_ten_seconds() {
        let mut lab = Lab::new(Probing::Off, OnConflict::DefendOnce, 1);
        assert_eq!(lab.conflict(10_000), DEFENDED);
        assert_eq!(lab.conflict(20_000), DEFENDED);
        assert_eq!(lab.conflict(29_999), LOST_IN_USE);
        assert!(!lab.0.owns(ADDRESS));
    }

    /// RFC 5227 §2.4 (a).
    #[test]
    fn an_address_may_be_given_up_at_once() {
        let mut lab = Lab::new(Probing::Off, OnConflict::GiveUp, 1);
        assert_eq!(lab.conflict(10_000), LOST_IN_USE);
    }

    /// RFC 5227 §2.1.1: MAX_CONFLICTS.
    #[test]
    fn after_ten_conflicts_an_address_is_tried_once_in_a_minute() {
        let mut lab = Lab::new(Probing::Full, OnConflict::Keep, 1);
        let options = AddressOptions {
            probing: Probing::Full,
            on_conflict: OnConflict::Keep,
        };
        let mut now = 1_000;
        for conflicts in 0..13 {
            let first_probe = lab.0.next_timeout().unwrap().as_millis();
            let waited = first_probe - now;
            match conflicts {
                0..10 => assert!(waited < 1_000, "{conflicts}: {waited} ms"),
                _ => assert!(
                    (60_000..61_000).contains(&waited),
                    "{conflicts}: {waited} ms"
                ),
            }
            now = first_probe;
            assert!(lab.conflict(now).is_some());
            lab.add(at(now), ADDRESS, options).unwrap();
        }
    }

    /// RFC 3927 §2.1.
    #[test]
    fn link_local_candidates_are_the_same_after_every_start_and_lie_within_their_range() {
        let mut all = std::collections::BTreeSet::new();
        for last in 0..=255 {
            let hardware = EthernetAddress([2, 0, 0, 0, 0, last]);
            let (mut candidates, mut again) = (LinkLocal::new(hardware), LinkLocal::new(hardware));
            for _ in 0..20 {
                let address = candidates.next();
                assert_eq!(address, again.next());
                let [a, b, c, _] = address.octets();
                assert!((a, b) == (169, 254) && (1..=254).contains(&c), "{address}");
                all.insert(address);
            }
        }
        assert!(all.len() > 4_700, "{} of 5,120 differ", all.len());
    }
}
