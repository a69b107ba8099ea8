//! What is known of name service on a link, and from whom: servers and search domains.
//!
//! The owner of the stack, DHCP and router advertisements (RFC 8106) fill one table. Each has places
//! of its own, so that none can push out what another has said. What DHCP says comes before what
//! routers say (RFC 8106 §5.3.1), and what the owner says before both.

use super::v6::lifetime;
use crate::config::DomainName;
use crate::error::ConfigError;
use crate::time::Instant;
use core::net::IpAddr;

/// Servers that are kept of one origin: RFC 8106 §5.3.1 asks for at least three.
const MAX_SERVERS: usize = 4;
/// Search domains that are kept of one origin: at least three as well.
const MAX_DOMAINS: usize = 3;
/// Who can say something: the variants of [`Origin`].
const ORIGINS: usize = 4;

/// Who has named a DNS server or a search domain. The first is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The owner of the stack.
    Static,
    /// A DHCPv4 server (RFC 2132 §3.8).
    Dhcpv4,
    /// A DHCPv6 server (RFC 3646).
    Dhcpv6,
    /// A router of the link (RFC 8106).
    Router,
}

/// A DNS server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsServer {
    /// Its address. A link-local one is on the link of the interface.
    pub address: IpAddr,
    /// Who has named it.
    pub origin: Origin,
    /// Until when that holds; [`Instant::FAR_FUTURE`]: for ever.
    pub until: Instant,
}

/// A domain in which names are looked up that are not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchDomain<'a> {
    /// Its name.
    pub name: &'a DomainName,
    /// Who has named it.
    pub origin: Origin,
    /// Until when that holds; [`Instant::FAR_FUTURE`]: for ever.
    pub until: Instant,
}

/// Something that holds for a time.
#[derive(Debug)]
struct Entry<T> {
    value: T,
    origin: Origin,
    until: Instant,
}

/// A list in the order of the origins, `share` entries of each at most, none twice of one origin.
#[derive(Debug)]
struct Timed<T, const N: usize> {
    entries: heapless::Vec<Entry<T>, N>,
    share: usize,
    /// Something came or went.
    changed: bool,
}

impl<T: PartialEq, const N: usize> Timed<T, N> {
    fn new(share: usize) -> Self {
        Self {
            entries: heapless::Vec::new(),
            share,
            changed: false,
        }
    }

    /// Adds one, or says anew until when it holds. Where there is no room, the one of the same origin
    /// that ends first goes.
    fn update(&mut self, now: Instant, origin: Origin, value: T, until: Instant) {
        if until <= now {
            return self.remove(|entry| entry.origin == origin && entry.value == value);
        }
        self.expire(now);
        let known = |entry: &&mut Entry<T>| entry.origin == origin && entry.value == value;
        if let Some(entry) = self.entries.iter_mut().find(known) {
            entry.until = until;
            return;
        }
        let same = |entry: &&Entry<T>| entry.origin == origin;
        if self.entries.iter().filter(same).count() >= self.share {
            let ends = self.entries.iter().enumerate();
            let first = ends
                .filter(|(_, entry)| entry.origin == origin)
                .min_by_key(|(_, entry)| entry.until);
            if let Some((place, _)) = first {
                self.entries.remove(place);
            }
        }
        let place = self
            .entries
            .iter()
            .take_while(|e| e.origin <= origin)
            .count();
        self.changed = true;
        // There is room: each origin keeps to its share.
        let _ = self.entries.insert(
            place,
            Entry {
                value,
                origin,
                until,
            },
        );
    }

    /// Forgets what an origin has said.
    fn clear(&mut self, origin: Origin) {
        self.remove(|entry| entry.origin == origin);
    }

    /// Takes out what has ended.
    fn expire(&mut self, now: Instant) {
        self.remove(|entry| entry.until <= now);
    }

    fn remove(&mut self, which: impl Fn(&Entry<T>) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|entry| !which(entry));
        self.changed |= self.entries.len() < before;
    }

    fn next_end(&self) -> Option<Instant> {
        let ends = self.entries.iter().map(|entry| entry.until);
        ends.min().filter(|end| *end != Instant::FAR_FUTURE)
    }

    /// What holds now, each value once: as its first origin has it.
    fn iter(&self, now: Instant) -> impl Iterator<Item = &Entry<T>> {
        let valid = move |entry: &&Entry<T>| entry.until > now;
        let entries = self.entries.iter().enumerate();
        entries
            .filter(move |(place, entry)| {
                let mut before = self.entries.iter().take(*place).filter(valid);
                valid(entry) && !before.any(|other| other.value == entry.value)
            })
            .map(|(_, entry)| entry)
    }
}

/// The servers and domains of an interface.
#[derive(Debug)]
pub(crate) struct Resolvers {
    servers: Timed<IpAddr, { MAX_SERVERS * ORIGINS }>,
    domains: Timed<DomainName, { MAX_DOMAINS * ORIGINS }>,
}

impl Resolvers {
    pub(crate) fn new() -> Self {
        Self {
            servers: Timed::new(MAX_SERVERS),
            domains: Timed::new(MAX_DOMAINS),
        }
    }

    /// A server that the owner names. What is no address of a host is refused, and a fifth one.
    pub(crate) fn add_static(&mut self, address: IpAddr) -> Result<(), ConfigError> {
        let own = |entry: &&Entry<IpAddr>| entry.origin == Origin::Static;
        let is_host = match address {
            IpAddr::V4(v4) => super::is_host(v4),
            IpAddr::V6(v6) => super::v6::is_host(v6),
        };
        if !is_host {
            return Err(ConfigError::BadAddress);
        }
        let mut known = self.servers.entries.iter().filter(own);
        if known.clone().count() >= MAX_SERVERS && !known.any(|e| e.value == address) {
            return Err(ConfigError::TooMany);
        }
        let for_ever = Instant::FAR_FUTURE;
        self.servers
            .update(Instant::ZERO, Origin::Static, address, for_ever);
        Ok(())
    }

    /// Somebody names servers, the first of them to be asked first, until then; at an earlier time they
    /// are taken back.
    pub(crate) fn add_servers(
        &mut self,
        now: Instant,
        origin: Origin,
        until: Instant,
        servers: impl Iterator<Item = IpAddr>,
    ) {
        for server in servers.take(MAX_SERVERS) {
            self.servers.update(now, origin, server, until);
        }
    }

    /// Somebody names search domains in the form of DNS, one behind the other, until then. Names
    /// that are none are passed over.
    pub(crate) fn add_domains(
        &mut self,
        now: Instant,
        origin: Origin,
        until: Instant,
        mut names: &[u8],
    ) {
        let mut left = MAX_DOMAINS;
        while let Some((name, rest)) = take_name(names)
            && left > 0
        {
            names = rest;
            if let Some(name) = name {
                left -= 1;
                self.domains.update(now, origin, name, until);
            }
        }
    }

    /// A router names servers, for so many seconds.
    pub(crate) fn servers_advertised(&mut self, now: Instant, seconds: u32, servers: &[[u8; 16]]) {
        let until = now + lifetime(seconds);
        let servers = servers.iter().map(|server| IpAddr::from(*server));
        self.add_servers(now, Origin::Router, until, servers);
    }

    /// A router names search domains, for so many seconds.
    pub(crate) fn domains_advertised(&mut self, now: Instant, seconds: u32, names: &[u8]) {
        self.add_domains(now, Origin::Router, now + lifetime(seconds), names);
    }

    /// What an origin has said holds no longer.
    pub(crate) fn forget(&mut self, origin: Origin) {
        self.servers.clear(origin);
        self.domains.clear(origin);
    }

    /// Takes out what has ended.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.servers.expire(now);
        self.domains.expire(now);
    }

    /// When [`Resolvers::expire`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let ends = [self.servers.next_end(), self.domains.next_end()];
        ends.into_iter().flatten().min()
    }

    /// Whether [`Resolvers::take_changed`] would say so.
    pub(crate) fn has_changed(&self) -> bool {
        self.servers.changed | self.domains.changed
    }

    /// Whether something came or went since this was asked last.
    pub(crate) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.servers.changed) | core::mem::take(&mut self.domains.changed)
    }

    pub(crate) fn servers(&self, now: Instant) -> impl Iterator<Item = DnsServer> {
        self.servers.iter(now).map(|entry| DnsServer {
            address: entry.value,
            origin: entry.origin,
            until: entry.until,
        })
    }

    pub(crate) fn domains(&self, now: Instant) -> impl Iterator<Item = SearchDomain<'_>> {
        self.domains.iter(now).map(|entry| SearchDomain {
            name: &entry.value,
            origin: entry.origin,
            until: entry.until,
        })
    }
}

/// Takes a name in the form of DNS off the front, without compression (RFC 8106 §5.2, RFC 1035
/// §3.1): the name, or `None` for one that is wrong but ends; and what follows. `None` at the
/// padding, and where a name has no end.
fn take_name(mut bytes: &[u8]) -> Option<(Option<DomainName>, &[u8])> {
    let mut name = Some(DomainName::new());
    if *bytes.first()? == 0 {
        return None;
    }
    loop {
        let (len, rest) = bytes.split_first()?;
        if *len == 0 {
            return Some((name, rest));
        }
        // The two high bits are not 00 in compressed names.
        if *len > 63 {
            return None;
        }
        let (label, rest) = rest.split_at_checked(usize::from(*len))?;
        bytes = rest;
        name = name.and_then(|name| with_label(name, label));
    }
}

/// The name with one more label of letters, digits, hyphens and underscores.
fn with_label(mut name: DomainName, label: &[u8]) -> Option<DomainName> {
    if !name.is_empty() {
        name.push('.').ok()?;
    }
    for byte in label {
        let fits = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        fits.then(|| name.push(char::from(*byte)).ok()).flatten()?;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    #[test]
    fn servers_hold_for_their_lifetime() {
        let mut resolvers = Resolvers::new();
        let [a, b] = [[1; 16], [2; 16]];
        resolvers.servers_advertised(at(0), 100, &[a, b]);
        resolvers.servers_advertised(at(50), 100, &[b]);
        let at_time = |resolvers: &Resolvers, seconds| {
            let servers = resolvers.servers(at(seconds));
            servers.map(|server| server.address).collect::<Vec<_>>()
        };
        assert_eq!(at_time(&resolvers, 99), [IpAddr::from(a), b.into()]);
        assert_eq!(at_time(&resolvers, 149), [IpAddr::from(b)]);
        resolvers.servers_advertised(at(60), 0, &[b]);
        assert_eq!(at_time(&resolvers, 61), [IpAddr::from(a)], "taken back");
    }

    #[test]
    fn what_ends_first_makes_room() {
        let mut resolvers = Resolvers::new();
        for (i, seconds) in [(1, 50), (2, 40), (3, 90), (4, 80), (5, 70)] {
            resolvers.servers_advertised(at(0), seconds, &[[i; 16]]);
        }
        let left = resolvers.servers(at(1)).map(|server| server.address);
        let left: Vec<_> = left.collect();
        assert_eq!(left, [1, 3, 4, 5].map(|i| IpAddr::from([i; 16])));
    }

    #[test]
    fn of_a_long_list_the_first_are_kept() {
        let mut resolvers = Resolvers::new();
        let many = (0..=255).map(|i| IpAddr::from([10, 0, 0, i]));
        resolvers.add_servers(at(0), Origin::Dhcpv4, at(9), many.clone());
        let kept: Vec<_> = resolvers.servers(at(1)).map(|s| s.address).collect();
        assert_eq!(kept, many.take(4).collect::<Vec<_>>());
        resolvers.add_domains(
            at(0),
            Origin::Dhcpv4,
            at(9),
            b"\x01a\0\x01b\0\x01c\0\x01d\0",
        );
        let kept: Vec<_> = resolvers.domains(at(1)).map(|d| d.name.as_str()).collect();
        assert_eq!(kept, ["a", "b", "c"]);
    }

    #[test]
    fn what_comes_and_goes_is_a_change_and_what_is_said_again_is_none() {
        let mut resolvers = Resolvers::new();
        assert!(!resolvers.take_changed());
        resolvers.servers_advertised(at(0), 100, &[[1; 16]]);
        assert!(resolvers.take_changed() && !resolvers.take_changed());
        resolvers.servers_advertised(at(50), 100, &[[1; 16]]);
        assert!(!resolvers.take_changed());
        assert_eq!(resolvers.next_timeout(), Some(at(150)));
        resolvers.expire(at(149));
        assert!(!resolvers.take_changed());
        resolvers.expire(at(150));
        assert!(resolvers.take_changed());
        assert_eq!(resolvers.next_timeout(), None);
        resolvers.domains_advertised(at(0), 100, b"\x03lan\0");
        assert!(resolvers.take_changed());
        resolvers.forget(Origin::Router);
        assert!(resolvers.take_changed());
    }

    /// RFC 8106 §5.3.1.
    #[test]
    fn dhcp_comes_before_routers_and_none_pushes_out_another() {
        let mut resolvers = Resolvers::new();
        let [a, b, given] = [1, 2, 3].map(|i| IpAddr::from([i; 16]));
        for i in 10..60 {
            resolvers.servers_advertised(at(0), 1_000, &[[i; 16], [1; 16]]);
            let names = [1, b'a' + i % 26, 0];
            resolvers.domains_advertised(at(0), 1_000 + u32::from(i), &names);
        }
        resolvers.add_servers(at(0), Origin::Dhcpv6, at(100), [a, b].into_iter());
        resolvers.add_domains(at(0), Origin::Dhcpv6, at(100), b"\x03lan\0");
        resolvers.add_static(given).unwrap();
        let servers: Vec<_> = resolvers.servers(at(1)).collect();
        let origins: Vec<_> = servers.iter().map(|server| server.origin).collect();
        let [Origin::Static, Origin::Dhcpv6, Origin::Dhcpv6, rest @ ..] = &origins[..] else {
            panic!("{origins:?}");
        };
        assert!(rest.len() >= 3 && rest.iter().all(|o| *o == Origin::Router));
        assert_eq!(servers[1].address, a, "once, of the first who named it");
        assert_eq!(servers[0].until, Instant::FAR_FUTURE);
        let domains: Vec<_> = resolvers.domains(at(1)).collect();
        assert_eq!((domains.len(), domains[0].name.as_str()), (4, "lan"));
        // Where DHCP says nothing more, the router's word still holds.
        resolvers.forget(Origin::Dhcpv6);
        let again = resolvers.servers(at(1)).find(|server| server.address == a);
        assert_eq!(again.unwrap().origin, Origin::Router);
    }

    #[test]
    fn the_owner_names_hosts_and_not_more_than_there_is_room_for() {
        let mut resolvers = Resolvers::new();
        for bad in ["0.0.0.0", "224.0.0.1", "ff02::1", "::"] {
            let refused = resolvers.add_static(bad.parse().unwrap());
            assert_eq!(refused, Err(ConfigError::BadAddress), "{bad}");
        }
        for i in 1..=4 {
            resolvers.add_static([10, 0, 0, i].into()).unwrap();
        }
        resolvers.add_static([10, 0, 0, 4].into()).unwrap();
        let refused = resolvers.add_static([10, 0, 0, 5].into());
        assert_eq!(refused, Err(ConfigError::TooMany));
        assert_eq!(resolvers.servers(at(1)).count(), 4);
    }

    #[test]
    fn search_domains_are_read_up_to_the_padding() {
        let mut resolvers = Resolvers::new();
        let names = b"\x07example\x03com\0\x03lan\0\0\0\0\0";
        resolvers.domains_advertised(at(0), 60, names);
        let domains: Vec<&str> = resolvers.domains(at(1)).map(|d| d.name.as_str()).collect();
        assert_eq!(domains, ["example.com", "lan"]);
        assert_eq!(resolvers.domains(at(60)).count(), 0);
    }

    #[test]
    fn names_that_are_none_are_passed_over() {
        for (names, expected) in [
            (&b"\x03a b\0\x02ok\0"[..], 1),
            (b"\xc0\x00\x02ok\0", 0),
            (b"\x09short\0", 0),
            (b"\x02ok", 0),
            (b"\0\x02ok\0", 0),
        ] {
            let mut resolvers = Resolvers::new();
            resolvers.domains_advertised(at(0), 60, names);
            assert_eq!(resolvers.domains(at(1)).count(), expected, "{names:?}");
        }
        let long = [&[63; 64][..], &[63; 64], &[63; 64], &[63; 64], &[0]].concat();
        assert_eq!(
            take_name(&long).unwrap().0,
            None,
            "longer than names can be"
        );
    }
}
