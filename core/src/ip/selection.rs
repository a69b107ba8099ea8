//! Which of our IPv6 addresses a packet leaves from (RFC 6724 §5).

use core::net::Ipv6Addr;

/// The scope of an address, larger numbers reaching farther (RFC 6724 §3.1): that of a group is in
/// it, and unicast addresses are link-local or global.
pub(crate) fn scope(address: Ipv6Addr) -> u8 {
    if address.is_multicast() {
        address.octets()[1] & 0xf
    } else if address.is_unicast_link_local() || address.is_loopback() {
        2
    } else {
        0xe
    }
}

/// The label of the default policy table (RFC 6724 §2.1).
fn label(address: Ipv6Addr) -> u8 {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => 0,
        [0, 0, 0, 0, 0, 0xffff, ..] => 4,
        [0, 0, 0, 0, 0, 0, ..] => 3,
        [0x2002, ..] => 2,
        [0x2001, 0, ..] => 5,
        [0x3ffe, ..] => 12,
        [first, ..] if first & 0xfe00 == 0xfc00 => 13,
        [first, ..] if first & 0xffc0 == 0xfec0 => 11,
        _ => 1,
    }
}

/// An address that a packet could leave from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) address: Ipv6Addr,
    pub(crate) prefix_len: u8,
    pub(crate) deprecated: bool,
    pub(crate) temporary: bool,
    /// The router that the packet would go to has advertised its prefix.
    pub(crate) of_next_hop: bool,
}

impl Candidate {
    /// How well it suits: the rules of RFC 6724 §5 as numbers, the first that differs decides, more
    /// is better. Rule 4 does not apply: there is no home address. Rule 5 is met by all candidates,
    /// which are those of the outgoing interface.
    fn rank(&self, destination: Ipv6Addr) -> (bool, u8, bool, bool, bool, bool, u8) {
        let (ours, theirs) = (scope(self.address), scope(destination));
        // Rule 2: the smallest scope that is large enough, or else the largest.
        let by_scope = if ours < theirs { ours } else { 0x20 - ours };
        let common = (self.address.to_bits() ^ destination.to_bits()).leading_zeros();
        let common = u8::try_from(common).unwrap_or(128).min(self.prefix_len);
        (
            self.address == destination,
            by_scope,
            !self.deprecated,
            // Rule 5.5.
            self.of_next_hop,
            label(self.address) == label(destination),
            self.temporary,
            common,
        )
    }
}

/// The best of the candidates; among equals the first.
pub(crate) fn select(
    candidates: impl Iterator<Item = Candidate>,
    destination: Ipv6Addr,
) -> Option<Ipv6Addr> {
    let mut best: Option<Candidate> = None;
    for candidate in candidates {
        if best.is_none_or(|best| candidate.rank(destination) > best.rank(destination)) {
            best = Some(candidate);
        }
    }
    best.map(|best| best.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(address: &str) -> Candidate {
        Candidate {
            address: address.parse().unwrap(),
            prefix_len: 64,
            deprecated: false,
            temporary: false,
            of_next_hop: false,
        }
    }

    fn selected(candidates: &[Candidate], destination: &str) -> Ipv6Addr {
        let destination = destination.parse().unwrap();
        let selected = select(candidates.iter().copied(), destination).unwrap();
        let reversed = select(candidates.iter().rev().copied(), destination).unwrap();
        assert_eq!(selected, reversed, "the order does not matter");
        selected
    }

    fn check(candidates: &[Candidate], destination: &str, expected: &str) {
        let expected: Ipv6Addr = expected.parse().unwrap();
        assert_eq!(selected(candidates, destination), expected, "{destination}");
    }

    /// RFC 6724 §10.1, its examples without home addresses.
    #[test]
    fn the_examples_of_the_rfc() {
        let pair = |a, b| [candidate(a), candidate(b)];
        check(
            &pair("2001:db8:3::1", "fe80::1"),
            "2001:db8:1::1",
            "2001:db8:3::1",
        );
        check(
            &pair("2001:db8:3::1", "fe80::1"),
            "ff05::1",
            "2001:db8:3::1",
        );
        check(
            &pair("2001:db8:1::1", "2001:db8:2::1"),
            "2001:db8:1::1",
            "2001:db8:1::1",
        );
        check(&pair("2001:db8:3::1", "fe80::1"), "fe80::2", "fe80::1");
        check(
            &pair("2001:db8:1::2", "2001:db8:3::2"),
            "2001:db8:1::1",
            "2001:db8:1::2",
        );
        check(
            &pair("2002:c633:6401::2", "2001:db8:1::2"),
            "2002:c633:6401::1",
            "2002:c633:6401::2",
        );
    }

    #[test]
    fn deprecated_addresses_are_avoided_unless_only_they_reach_so_far() {
        let mut deprecated = candidate("2001:db8:1::2");
        deprecated.deprecated = true;
        check(
            &[deprecated, candidate("2001:db8:3::2")],
            "2001:db8:1::1",
            "2001:db8:3::2",
        );
        check(
            &[deprecated, candidate("fe80::1")],
            "2001:db8:1::1",
            "2001:db8:1::2",
        );
    }

    #[test]
    fn temporary_addresses_go_before_stable_ones() {
        let mut temporary = candidate("2001:db8:1::9999");
        temporary.temporary = true;
        check(
            &[candidate("2001:db8:1::2"), temporary],
            "2001:db8:5::1",
            "2001:db8:1::9999",
        );
    }

    /// RFC 6724 §5, rule 5.5; RFC 8028 §3.
    #[test]
    fn the_prefix_of_the_next_hop_goes_before_a_likely_looking_one() {
        let mut of_next_hop = candidate("fd00:1::2");
        of_next_hop.of_next_hop = true;
        check(
            &[candidate("2001:db8:1::2"), of_next_hop],
            "2001:db8:5::1",
            "fd00:1::2",
        );
    }

    #[test]
    fn unique_local_destinations_get_unique_local_sources() {
        let both = [candidate("2001:db8:1::2"), candidate("fd00:1::2")];
        check(&both, "fd00:2::1", "fd00:1::2");
        check(&both, "2600::1", "2001:db8:1::2");
    }
}
