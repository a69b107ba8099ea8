//! What the routers of a link say of name service: servers and search domains (RFC 8106).

use super::v6::lifetime;
use crate::config::DomainName;
use crate::time::Instant;
use core::net::Ipv6Addr;

/// Servers that are kept: RFC 8106 §5.3.1 asks for at least three.
const MAX_SERVERS: usize = 4;
/// Search domains that are kept.
const MAX_DOMAINS: usize = 4;
/// A list without doubles whose entries have lifetimes; the one that ends first makes room.
#[derive(Debug)]
struct Timed<T, const N: usize>(heapless::Vec<(T, Instant), N>);

impl<T: PartialEq, const N: usize> Timed<T, N> {
    fn update(&mut self, now: Instant, value: T, until: Instant) {
        self.0
            .retain(|(known, known_until)| *known != value && *known_until > now);
        if until <= now {
            return;
        }
        if self.0.is_full() {
            let first = self
                .0
                .iter()
                .enumerate()
                .min_by_key(|(_, (_, until))| *until);
            if let Some((place, _)) = first {
                self.0.remove(place);
            }
        }
        // There is room now.
        let _ = self.0.push((value, until));
    }

    fn iter(&self, now: Instant) -> impl Iterator<Item = &T> {
        let valid = self.0.iter().filter(move |(_, until)| *until > now);
        valid.map(|(value, _)| value)
    }
}

/// The servers and domains of an interface.
#[derive(Debug)]
pub(crate) struct Resolvers {
    servers: Timed<Ipv6Addr, MAX_SERVERS>,
    domains: Timed<DomainName, MAX_DOMAINS>,
}

impl Resolvers {
    pub(crate) fn new() -> Self {
        Self {
            servers: Timed(heapless::Vec::new()),
            domains: Timed(heapless::Vec::new()),
        }
    }

    /// A router names servers, for so many seconds.
    pub(crate) fn servers_advertised(&mut self, now: Instant, seconds: u32, servers: &[[u8; 16]]) {
        for server in servers {
            let until = now + lifetime(seconds);
            self.servers.update(now, (*server).into(), until);
        }
    }

    /// A router names search domains, for so many seconds. Names that are none are passed over.
    pub(crate) fn domains_advertised(&mut self, now: Instant, seconds: u32, mut names: &[u8]) {
        while let Some((name, rest)) = take_name(names) {
            names = rest;
            if let Some(name) = name {
                self.domains.update(now, name, now + lifetime(seconds));
            }
        }
    }

    pub(crate) fn servers(&self, now: Instant) -> impl Iterator<Item = Ipv6Addr> {
        self.servers.iter(now).copied()
    }

    pub(crate) fn domains(&self, now: Instant) -> impl Iterator<Item = &DomainName> {
        self.domains.iter(now)
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
            resolvers.servers(at(seconds)).collect::<Vec<Ipv6Addr>>()
        };
        assert_eq!(at_time(&resolvers, 99), [Ipv6Addr::from(a), b.into()]);
        assert_eq!(at_time(&resolvers, 149), [Ipv6Addr::from(b)]);
        resolvers.servers_advertised(at(60), 0, &[b]);
        assert_eq!(at_time(&resolvers, 61), [Ipv6Addr::from(a)], "taken back");
    }

    #[test]
    fn what_ends_first_makes_room() {
        let mut resolvers = Resolvers::new();
        for (i, seconds) in [(1, 50), (2, 40), (3, 90), (4, 80), (5, 70)] {
            resolvers.servers_advertised(at(0), seconds, &[[i; 16]]);
        }
        let left: Vec<u8> = resolvers.servers(at(1)).map(|s| s.octets()[0]).collect();
        assert_eq!(left, [1, 3, 4, 5]);
    }

    #[test]
    fn search_domains_are_read_up_to_the_padding() {
        let mut resolvers = Resolvers::new();
        let names = b"\x07example\x03com\0\x03lan\0\0\0\0\0";
        resolvers.domains_advertised(at(0), 60, names);
        let domains: Vec<&str> = resolvers.domains(at(1)).map(|name| name.as_str()).collect();
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
