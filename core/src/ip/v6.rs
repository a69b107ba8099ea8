//! Our IPv6 addresses on an interface: how they come, are probed, age and go (RFC 4862, RFC 7217,
//! RFC 8981).
//!
//! ```text
//!   added, or made of a prefix          nobody objects within a second
//!  ----------------------------> TENTATIVE ---------------------------> ASSIGNED --> gone when its
//!                                    |  somebody has it                              lifetime ends
//!                                    v
//!                            made anew, up to three times, or given up
//! ```

use super::identifier;
use super::selection::{self, Candidate};
use crate::address::{AddressInfo, AddressOrigin, AddressState};
use crate::config::{InterfaceIdentifiers, Ipv6Config};
use crate::error::ConfigError;
use crate::rng::Rng;
use crate::time::{Instant, nanos};
use crate::wire::ethernet::EthernetAddress;
use crate::wire::ndp::PrefixInformation;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

/// Most addresses of one interface, the link-local one included.
const MAX_ADDRESSES: usize = 16;
/// Most of them that routers can cause, so that none of ours is kept out (RFC 4862 §5.5.3; attacks
/// by floods of advertisements: CVE-2010-4669).
const MAX_FROM_ROUTERS: usize = 8;
/// The prefix of link-local addresses (RFC 4291 §2.5.6).
pub(crate) const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
/// Bits of a prefix that an address can be made of: identifiers have 64 (RFC 4291 §2.5.1).
const AUTONOMOUS_PREFIX_LEN: u8 = 64;
/// Between probes, and from the last one until the address is ours: RetransTimer of RFC 4861 §10.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The random delay before the first probe: MAX_RTR_SOLICITATION_DELAY of RFC 4861 §10, as
/// RFC 4862 §5.4.2 asks for.
const MAX_PROBE_DELAY: Duration = Duration::from_secs(1);
/// Identifiers that are tried for a prefix: IDGEN_RETRIES of RFC 7217 §7.
const IDENTIFIER_RETRIES: u8 = 3;
/// What an advertisement cannot take away of an address that has more (RFC 4862 §5.5.3 (e)).
const PROTECTED_LIFETIME: Duration = Duration::from_secs(2 * 3600);
/// TEMP_VALID_LIFETIME and TEMP_PREFERRED_LIFETIME of RFC 8981 §3.8.
const TEMPORARY_VALID: Duration = Duration::from_secs(2 * 24 * 3600);
const TEMPORARY_PREFERRED: Duration = Duration::from_secs(24 * 3600);
/// REGEN_ADVANCE of RFC 8981 §3.8, for one probe a second and three tries.
const REGENERATE_BEFORE: Duration = Duration::from_secs(5);
/// MAX_DESYNC_FACTOR of RFC 8981 §3.8: 0.4 times the preferred lifetime, in seconds.
const MAX_DESYNC_SECONDS: u32 = 24 * 3600 / 10 * 4;

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The owner of the stack gave it.
    Static,
    /// Made by us, of the link-local prefix.
    LinkLocal,
    /// Made by us, of a router's prefix.
    Stable,
    /// Made by us at random, of a router's prefix (RFC 8981). `successor`: another one replaces it
    /// soon.
    Temporary { successor: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be probed `probes_left` times more, next at `at`; ours at `at` when none is left.
    Tentative {
        probes_left: u8,
        at: Instant,
    },
    Assigned,
    /// Somebody else has it: kept, so that it is not made again.
    Duplicate,
}

#[derive(Clone, Copy, Debug)]
struct LocalAddress {
    address: Ipv6Addr,
    prefix_len: u8,
    origin: Origin,
    state: State,
    /// We listen to its solicited-node group.
    listening: bool,
    /// In our probes, so that we know them again when the link echoes them (RFC 7527).
    nonce: [u8; 6],
    /// Conflicts so far (RFC 7217 §6).
    dad_counter: u8,
    preferred_until: Instant,
    valid_until: Instant,
    /// The router that has advertised its prefix last.
    router: Option<Ipv6Addr>,
}

impl LocalAddress {
    fn is_assigned(&self) -> bool {
        self.state == State::Assigned
    }

    fn comes_from_router(&self) -> bool {
        matches!(self.origin, Origin::Stable | Origin::Temporary { .. })
    }

    fn has_prefix(&self, prefix: Ipv6Addr) -> bool {
        self.comes_from_router() && (self.address.to_bits() ^ prefix.to_bits()) >> 64 == 0
    }
}

/// Something that time has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressEvent {
    /// Listen to the address's solicited-node group from now on (RFC 4862 §5.4.2).
    Listen { address: Ipv6Addr },
    /// Ask whether somebody has it.
    Probe { address: Ipv6Addr, nonce: [u8; 6] },
    /// It is ours.
    Assigned { address: Ipv6Addr },
    /// Its lifetime is over: it is ours no more.
    Expired {
        address: Ipv6Addr,
        left: LeftAddress,
    },
}

/// What is to be done about an address that is not ours any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeftAddress {
    pub(crate) prefix_len: u8,
    /// Its group is to be left.
    pub(crate) listening: bool,
}

/// What became of an address that somebody else has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// It is none that is being probed.
    None,
    /// It is not used. Another one may have taken its place. `listening`: its group is to be left.
    GivenUp { listening: bool },
}

/// The addresses of one interface.
#[derive(Debug)]
pub(crate) struct Ipv6Addresses {
    config: Ipv6Config,
    secret: [u8; 16],
    hardware: EthernetAddress,
    interface: u8,
    addresses: heapless::Vec<LocalAddress, MAX_ADDRESSES>,
    /// When the earliest of them has something to do; never later.
    next: Instant,
}

impl Ipv6Addresses {
    /// The addresses of an interface: first of all the link-local one, which is probed.
    pub(crate) fn new(
        config: Ipv6Config,
        hardware: EthernetAddress,
        interface: u8,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let mut this = Self {
            secret: config.secret.unwrap_or_else(|| rng.key()),
            config,
            hardware,
            interface,
            addresses: heapless::Vec::new(),
            next: Instant::FAR_FUTURE,
        };
        if let Some(address) = this.stable(LINK_LOCAL, 0) {
            let local = this.tentative(now, address, Origin::LinkLocal, rng);
            let _ = this.addresses.push(local);
        }
        this
    }

    /// The stable address of a prefix, after so many conflicts; `None` when there is no other.
    fn stable(&self, prefix: Ipv6Addr, dad_counter: u8) -> Option<Ipv6Addr> {
        let identifier = match self.config.identifiers {
            InterfaceIdentifiers::Opaque => identifier::opaque(
                &self.secret,
                prefix,
                self.hardware,
                self.interface,
                dad_counter,
            ),
            InterfaceIdentifiers::Eui64 if dad_counter == 0 => identifier::eui_64(self.hardware),
            InterfaceIdentifiers::Eui64 => return None,
        };
        Some(identifier::address(prefix, identifier))
            .filter(|_| !identifier::is_reserved(identifier))
    }

    fn tentative(
        &mut self,
        now: Instant,
        address: Ipv6Addr,
        origin: Origin,
        rng: &mut Rng,
    ) -> LocalAddress {
        let delay = u64::from(rng.u32()) % nanos(MAX_PROBE_DELAY);
        let at = match self.config.dad_transmits {
            0 => now,
            _ => now + Duration::from_nanos(delay),
        };
        self.next = self.next.min(at);
        let mut nonce = [0; 6];
        rng.fill(&mut nonce);
        LocalAddress {
            address,
            prefix_len: AUTONOMOUS_PREFIX_LEN,
            origin,
            state: State::Tentative {
                probes_left: self.config.dad_transmits,
                at,
            },
            listening: false,
            nonce,
            dad_counter: 0,
            preferred_until: Instant::FAR_FUTURE,
            valid_until: Instant::FAR_FUTURE,
            router: None,
        }
    }

    /// Adds an address that the owner gives. It is ours once it was probed.
    pub(crate) fn add_static(
        &mut self,
        now: Instant,
        address: Ipv6Addr,
        prefix_len: u8,
        rng: &mut Rng,
    ) -> Result<(), ConfigError> {
        let known = self.addresses.iter().any(|local| local.address == address);
        if known || !is_host(address) || !(1..=128).contains(&prefix_len) {
            return Err(ConfigError::BadAddress);
        }
        let local = LocalAddress {
            prefix_len,
            ..self.tentative(now, address, Origin::Static, rng)
        };
        self.addresses.push(local).map_err(|_| ConfigError::TooMany)
    }

    /// What our own addresses are made of.
    pub(crate) fn identifiers(&self) -> InterfaceIdentifiers {
        self.config.identifiers
    }

    /// Whether this is an address of ours, probed and valid.
    pub(crate) fn owns(&self, address: Ipv6Addr) -> bool {
        self.addresses
            .iter()
            .any(|local| local.address == address && local.is_assigned())
    }

    /// Whether this address is ours or about to become so: it is probed.
    pub(crate) fn claims(&self, address: Ipv6Addr) -> bool {
        self.addresses
            .iter()
            .any(|local| local.address == address && local.state != State::Duplicate)
    }

    /// The nonce of our probes of an address, while it is probed.
    pub(crate) fn probing(&self, address: Ipv6Addr) -> Option<[u8; 6]> {
        self.addresses
            .iter()
            .find(|local| {
                local.address == address && matches!(local.state, State::Tentative { .. })
            })
            .map(|local| local.nonce)
    }

    /// Our link-local address, once it is ours.
    pub(crate) fn link_local(&self) -> Option<Ipv6Addr> {
        self.addresses
            .iter()
            .find(|local| local.origin == Origin::LinkLocal && local.is_assigned())
            .map(|local| local.address)
    }

    /// All addresses that are ours, with the lengths of their prefixes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, u8)> {
        let assigned = self.addresses.iter().filter(|local| local.is_assigned());
        assigned.map(|local| (local.address, local.prefix_len))
    }

    /// How many there are, in whatever state.
    pub(crate) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Every address that is listed, with its state and what is left of its lifetimes.
    pub(crate) fn iter_all(&self, now: Instant) -> impl Iterator<Item = AddressInfo> {
        let left = move |until: Instant| Some(until - now).filter(|_| until != Instant::FAR_FUTURE);
        self.addresses.iter().map(move |local| AddressInfo {
            address: local.address.into(),
            prefix_len: local.prefix_len,
            state: match local.state {
                State::Tentative { .. } => AddressState::Tentative,
                State::Assigned if local.preferred_until <= now => AddressState::Deprecated,
                State::Assigned => AddressState::Usable,
                State::Duplicate => AddressState::Duplicate,
            },
            origin: match local.origin {
                Origin::Static => AddressOrigin::Static,
                Origin::LinkLocal => AddressOrigin::LinkLocal,
                Origin::Stable => AddressOrigin::Router,
                Origin::Temporary { .. } => AddressOrigin::Temporary,
            },
            preferred: left(local.preferred_until),
            valid: left(local.valid_until),
        })
    }

    /// Takes out an address that the owner gave: whether it was ours, and whether we listened to its
    /// group.
    pub(crate) fn remove_static(&mut self, address: Ipv6Addr) -> Option<(LeftAddress, bool)> {
        let place = self
            .addresses
            .iter()
            .position(|l| l.address == address && l.origin == Origin::Static)?;
        let local = self.addresses.swap_remove(place);
        let left = LeftAddress {
            prefix_len: local.prefix_len,
            listening: local.listening,
        };
        Some((left, local.is_assigned()))
    }

    /// Whether the owner gave an address of this network.
    pub(crate) fn has_network(&self, (address, prefix_len): (Ipv6Addr, u8)) -> bool {
        self.addresses.iter().any(|local| {
            let differing = local.address.to_bits() ^ address.to_bits();
            local.origin == Origin::Static
                && local.prefix_len == prefix_len
                && differing.leading_zeros() >= u32::from(prefix_len)
        })
    }

    /// The address to send from to a destination (RFC 6724 §5), by way of a router if one is given.
    pub(crate) fn source_for(
        &self,
        now: Instant,
        destination: Ipv6Addr,
        router: Option<IpAddr>,
    ) -> Option<Ipv6Addr> {
        let router = router.and_then(v6_of);
        let candidates = self.addresses.iter().filter(|local| local.is_assigned());
        let candidates = candidates.map(|local| Candidate {
            address: local.address,
            prefix_len: local.prefix_len,
            deprecated: local.preferred_until <= now,
            temporary: matches!(local.origin, Origin::Temporary { .. }),
            of_next_hop: router.is_some() && local.router == router,
        });
        selection::select(candidates, destination)
    }

    /// The router that has advertised the prefix of an address of ours last.
    pub(crate) fn router_of(&self, address: Ipv6Addr) -> Option<Ipv6Addr> {
        let local = self.addresses.iter().find(|l| l.address == address)?;
        local.router
    }

    /// Notes which router advertises the prefix of addresses that were made of it: the first that
    /// does, as long as it `is_router`, so that packets do not go back and forth between several.
    /// Whether packets may take another way now.
    pub(crate) fn note_router(
        &mut self,
        prefix: Ipv6Addr,
        router: Ipv6Addr,
        is_router: impl Fn(Ipv6Addr) -> bool,
    ) -> bool {
        let mut changed = false;
        for local in &mut self.addresses {
            if local.has_prefix(prefix) && !local.router.is_some_and(&is_router) {
                changed |= local.is_assigned() && local.router != Some(router);
                local.router = Some(router);
            }
        }
        changed
    }

    /// Whether a neighbour can have this address, by the addresses that the owner gave.
    pub(crate) fn is_on_link(&self, address: Ipv6Addr) -> bool {
        let given = |local: &&LocalAddress| local.origin == Origin::Static;
        address.is_unicast_link_local()
            || self.addresses.iter().filter(given).any(|local| {
                let differing = local.address.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= u32::from(local.prefix_len)
            })
    }

    /// A router tells of a prefix that addresses may be made of (RFC 4862 §5.5.3).
    /// `false`: there is no room for another address.
    pub(crate) fn prefix_advertised(
        &mut self,
        now: Instant,
        information: &PrefixInformation,
        rng: &mut Rng,
    ) -> bool {
        let prefix = information.prefix();
        let valid = lifetime(information.valid_lifetime.get());
        let preferred = lifetime(information.preferred_lifetime.get());
        if prefix.is_unicast_link_local()
            || prefix.is_multicast()
            || preferred > valid
            || information.prefix_len != AUTONOMOUS_PREFIX_LEN
        {
            return true;
        }
        let (mut known, mut has_temporary) = (false, false);
        for local in &mut self.addresses {
            if local.has_prefix(prefix) {
                refresh(local, now, valid, preferred);
                match local.origin {
                    Origin::Stable => known = true,
                    Origin::Temporary { .. } => has_temporary |= local.preferred_until > now,
                    Origin::Static | Origin::LinkLocal => {}
                }
                let replaced = replaced_at(local).unwrap_or(Instant::FAR_FUTURE);
                self.next = self.next.min(local.valid_until).min(replaced);
            }
        }
        if valid == Duration::ZERO {
            return true;
        }
        let lifetimes = (now + preferred, now + valid);
        let made = known || self.make_stable(now, prefix, 0, lifetimes, rng);
        if made && self.config.temporary_addresses && !has_temporary {
            return self.make_temporary(now, prefix, 0, lifetimes, rng);
        }
        made
    }

    /// Makes the stable address of a prefix. `false`: there is no room.
    fn make_stable(
        &mut self,
        now: Instant,
        prefix: Ipv6Addr,
        conflicts: u8,
        (preferred_until, valid_until): (Instant, Instant),
        rng: &mut Rng,
    ) -> bool {
        let is_new = |address: &Ipv6Addr| self.addresses.iter().all(|l| l.address != *address);
        let found = (conflicts..=IDENTIFIER_RETRIES)
            .find_map(|counter| Some((counter, self.stable(prefix, counter)?)));
        let Some((dad_counter, address)) = found.filter(|(_, address)| is_new(address)) else {
            return true;
        };
        let local = LocalAddress {
            dad_counter,
            preferred_until,
            valid_until,
            ..self.tentative(now, address, Origin::Stable, rng)
        };
        self.push_from_router(local)
    }

    /// Makes a temporary address of a prefix (RFC 8981 §3.4). `false`: there is no room.
    fn make_temporary(
        &mut self,
        now: Instant,
        prefix: Ipv6Addr,
        dad_counter: u8,
        (preferred_until, valid_until): (Instant, Instant),
        rng: &mut Rng,
    ) -> bool {
        let desync = Duration::from_secs(u64::from(rng.u32() % MAX_DESYNC_SECONDS));
        let preferred = TEMPORARY_PREFERRED.saturating_sub(desync);
        let preferred_until = preferred_until.min(now + preferred);
        if preferred_until <= now + REGENERATE_BEFORE {
            // RFC 8981 §3.4 (5): it would be replaced at once.
            return true;
        }
        let mut bytes = [0; 8];
        rng.fill(&mut bytes);
        let identifier = u64::from_be_bytes(bytes);
        if identifier::is_reserved(identifier) {
            return true;
        }
        let address = identifier::address(prefix, identifier);
        let origin = Origin::Temporary { successor: false };
        let local = LocalAddress {
            dad_counter,
            preferred_until,
            valid_until: valid_until.min(now + TEMPORARY_VALID),
            ..self.tentative(now, address, origin, rng)
        };
        self.push_from_router(local)
    }

    fn push_from_router(&mut self, local: LocalAddress) -> bool {
        let others = self
            .addresses
            .iter()
            .filter(|local| local.comes_from_router());
        if others.count() >= MAX_FROM_ROUTERS {
            return false;
        }
        self.next = self.next.min(local.valid_until);
        self.addresses.push(local).is_ok()
    }

    /// Somebody else has or probes an address (RFC 4862 §5.4.3, §5.4.4). What is assigned stays
    /// so: only one that is being probed is given up.
    pub(crate) fn conflict(&mut self, now: Instant, address: Ipv6Addr, rng: &mut Rng) -> Conflict {
        let Some(place) = self.addresses.iter().position(|local| {
            local.address == address && matches!(local.state, State::Tentative { .. })
        }) else {
            return Conflict::None;
        };
        let local = self.addresses[place];
        self.addresses[place].state = State::Duplicate;
        self.addresses[place].listening = false;
        let conflicts = local.dad_counter + 1;
        if conflicts <= IDENTIFIER_RETRIES {
            self.replace_duplicate(now, place, local, conflicts, rng);
        }
        Conflict::GivenUp {
            listening: local.listening,
        }
    }

    /// Makes another address in the place of one that somebody has. Where there is no other, the
    /// duplicate stays, so that it is not made again.
    fn replace_duplicate(
        &mut self,
        now: Instant,
        place: usize,
        local: LocalAddress,
        conflicts: u8,
        rng: &mut Rng,
    ) {
        let lifetimes = (local.preferred_until, local.valid_until);
        match local.origin {
            Origin::Static => {}
            Origin::LinkLocal => {
                if let Some(address) = self.stable(LINK_LOCAL, conflicts) {
                    let next = self.tentative(now, address, Origin::LinkLocal, rng);
                    self.addresses[place] = LocalAddress {
                        dad_counter: conflicts,
                        ..next
                    };
                }
            }
            Origin::Stable => {
                if self.stable(local.address, conflicts).is_some() {
                    self.addresses.swap_remove(place);
                    self.make_stable(now, local.address, conflicts, lifetimes, rng);
                }
            }
            Origin::Temporary { .. } => {
                self.addresses.swap_remove(place);
                self.make_temporary(now, local.address, conflicts, lifetimes, rng);
            }
        }
    }

    /// The group of an address could not be listened to, or the probe of it not sent: the step is
    /// to be taken again.
    pub(crate) fn step_back(&mut self, event: AddressEvent) {
        match event {
            AddressEvent::Listen { address } => {
                if let Some(local) = self.addresses.iter_mut().find(|l| l.address == address) {
                    local.listening = false;
                    if let State::Tentative { at, .. } = &mut local.state {
                        *at = *at + PROBE_INTERVAL;
                    }
                }
            }
            AddressEvent::Probe { address, .. } => {
                if let Some(local) = self.addresses.iter_mut().find(|l| l.address == address)
                    && let State::Tentative { probes_left, .. } = &mut local.state
                {
                    *probes_left = probes_left.saturating_add(1);
                }
            }
            AddressEvent::Assigned { .. } | AddressEvent::Expired { .. } => {}
        }
    }

    /// When [`Ipv6Addresses::next_event`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        Some(self.next).filter(|next| *next != Instant::FAR_FUTURE)
    }

    /// What is due.
    pub(crate) fn next_event(&mut self, now: Instant, rng: &mut Rng) -> Option<AddressEvent> {
        if now < self.next {
            return None;
        }
        if let Some(place) = self
            .addresses
            .iter()
            .position(|local| local.valid_until <= now)
        {
            let LocalAddress {
                address,
                prefix_len,
                listening,
                ..
            } = self.addresses.swap_remove(place);
            let left = LeftAddress {
                prefix_len,
                listening,
            };
            return Some(AddressEvent::Expired { address, left });
        }
        for local in &mut self.addresses {
            match &mut local.state {
                State::Tentative { probes_left, at } if *at <= now => {
                    let address = local.address;
                    if !local.listening {
                        local.listening = true;
                        return Some(AddressEvent::Listen { address });
                    }
                    if *probes_left == 0 {
                        local.state = State::Assigned;
                        return Some(AddressEvent::Assigned { address });
                    }
                    *probes_left -= 1;
                    *at = now + PROBE_INTERVAL;
                    let nonce = local.nonce;
                    return Some(AddressEvent::Probe { address, nonce });
                }
                _ => {}
            }
        }
        self.replace_temporaries(now, rng);
        let deadlines = self.addresses.iter().map(|local| {
            let probe = match local.state {
                State::Tentative { at, .. } => at,
                State::Assigned | State::Duplicate => Instant::FAR_FUTURE,
            };
            let replaced = replaced_at(local).unwrap_or(Instant::FAR_FUTURE);
            probe.min(local.valid_until).min(replaced)
        });
        self.next = deadlines.min().unwrap_or(Instant::FAR_FUTURE);
        if self.next <= now {
            return self.next_event(now, rng);
        }
        None
    }

    /// Temporary addresses that are about to be deprecated get a successor (RFC 8981 §3.4).
    fn replace_temporaries(&mut self, now: Instant, rng: &mut Rng) {
        while let Some(local) = self
            .addresses
            .iter_mut()
            .find(|local| replaced_at(local).is_some_and(|at| at <= now))
        {
            local.origin = Origin::Temporary { successor: true };
            let prefix = local.address;
            // The lifetimes of the prefix: those of its stable address.
            let lifetimes = self
                .addresses
                .iter()
                .find(|local| local.origin == Origin::Stable && local.has_prefix(prefix))
                .map(|local| (local.preferred_until, local.valid_until));
            if let Some(lifetimes) = lifetimes {
                self.make_temporary(now, prefix, 0, lifetimes, rng);
            }
        }
    }
}

/// When a temporary address needs a successor.
fn replaced_at(local: &LocalAddress) -> Option<Instant> {
    match local.origin {
        Origin::Temporary { successor: false } => {
            let before = local.preferred_until.as_nanos();
            let advance = nanos(REGENERATE_BEFORE);
            Some(Instant::from_nanos(before.saturating_sub(advance)))
        }
        _ => None,
    }
}

/// New lifetimes for an address, from an advertisement (RFC 4862 §5.5.3 (e)): nobody can end one
/// early, but for the last two hours. A temporary one only gets shorter (RFC 8981 §3.4 (3)).
fn refresh(local: &mut LocalAddress, now: Instant, valid: Duration, preferred: Duration) {
    let remaining = local.valid_until - now;
    let valid_until = if valid > PROTECTED_LIFETIME || valid > remaining {
        now + valid
    } else if remaining <= PROTECTED_LIFETIME {
        local.valid_until
    } else {
        now + PROTECTED_LIFETIME
    };
    let preferred_until = now + preferred;
    if matches!(local.origin, Origin::Temporary { .. }) {
        local.valid_until = local.valid_until.min(valid_until);
        local.preferred_until = local.preferred_until.min(preferred_until);
    } else {
        local.valid_until = valid_until;
        local.preferred_until = preferred_until;
    }
}

fn v6_of(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

/// A lifetime in seconds, as messages of neighbour discovery have it; all ones stands for ever.
pub(crate) fn lifetime(seconds: u32) -> Duration {
    match seconds {
        u32::MAX => Duration::MAX,
        seconds => Duration::from_secs(u64::from(seconds)),
    }
}

/// Whether one host can have this address: not unspecified, loopback, multicast or IPv4-mapped
/// (RFC 4291 §2.5).
pub(crate) fn is_host(address: Ipv6Addr) -> bool {
    !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_multicast()
        && address.to_ipv4_mapped().is_none()
}

#[cfg(test)]
mod tests;
