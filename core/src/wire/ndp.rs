//! Messages of neighbour discovery (RFC 4861 §4) and their options.
//!
//! A message is a structure with the fixed part, ICMPv6 header included, followed by options.

use super::ethernet::EthernetAddress;
use super::icmpv6::{Icmpv6Header, message_type};
use core::fmt;
use core::net::Ipv6Addr;
use zerocopy::byteorder::network_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The hop limit of every message: one that a router has forwarded has less (RFC 4861 §6.1).
pub const HOP_LIMIT: u8 = 255;
/// Options of one message that are looked at.
pub const MAX_OPTIONS: usize = 32;

/// Kinds of options.
mod kind {
    pub(super) const SOURCE_LINK_LAYER: u8 = 1;
    pub(super) const TARGET_LINK_LAYER: u8 = 2;
    pub(super) const PREFIX_INFORMATION: u8 = 3;
    pub(super) const MTU: u8 = 5;
    pub(super) const NONCE: u8 = 14;
    pub(super) const ROUTE_INFORMATION: u8 = 24;
    pub(super) const RDNSS: u8 = 25;
    pub(super) const DNSSL: u8 = 31;
}

/// The fixed part of a neighbour solicitation, of a neighbour advertisement and, with the
/// destination behind it, of a redirect.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct TargetMessage {
    /// Type, code and checksum; of an advertisement the flags.
    pub header: Icmpv6Header,
    /// The address that the message is about.
    pub target: [u8; 16],
}

/// Flags of a neighbour advertisement, in the header's value (RFC 4861 §4.4).
pub mod advertisement_flags {
    /// The sender is a router.
    pub const ROUTER: u32 = 1 << 31;
    /// It answers a solicitation.
    pub const SOLICITED: u32 = 1 << 30;
    /// What is known of the address is to be replaced.
    pub const OVERRIDE: u32 = 1 << 29;
}

impl TargetMessage {
    /// A neighbour solicitation, its checksum still to be taken.
    #[must_use]
    pub fn solicitation(target: Ipv6Addr) -> Self {
        Self {
            header: Icmpv6Header::new(message_type::NEIGHBOUR_SOLICITATION, 0, 0),
            target: target.octets(),
        }
    }

    /// A neighbour advertisement with [`advertisement_flags`], its checksum still to be taken.
    #[must_use]
    pub fn advertisement(target: Ipv6Addr, flags: u32) -> Self {
        Self {
            header: Icmpv6Header::new(message_type::NEIGHBOUR_ADVERTISEMENT, 0, flags),
            target: target.octets(),
        }
    }

    /// The address that the message is about.
    #[must_use]
    pub fn target(&self) -> Ipv6Addr {
        self.target.into()
    }

    /// Whether a flag of an advertisement is set.
    #[must_use]
    pub fn has(&self, flag: u32) -> bool {
        self.header.value.get() & flag != 0
    }
}

/// The fixed part of a router advertisement (RFC 4861 §4.2).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct RouterAdvertisement {
    /// Type, code and checksum; hop limit, flags and router lifetime.
    pub header: Icmpv6Header,
    /// Milliseconds for which a neighbour counts as reachable; 0: not said.
    pub reachable_time: U32,
    /// Milliseconds between solicitations; 0: not said.
    pub retrans_timer: U32,
}

/// How much a router or a route is preferred (RFC 4191 §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preference {
    /// Only where there is no other.
    Low,
    /// The usual case. The reserved value counts as this one for routers.
    #[default]
    Medium,
    /// Before others.
    High,
}

impl Preference {
    /// From the two bits in `flags`; `None` for the reserved value.
    fn from_flags(flags: u8) -> Option<Self> {
        match flags >> 3 & 3 {
            0 => Some(Self::Medium),
            1 => Some(Self::High),
            3 => Some(Self::Low),
            _ => None,
        }
    }
}

impl RouterAdvertisement {
    /// Cur Hop Limit; 0: not said.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.header.value.as_bytes()[0]
    }

    /// The M flag: addresses are to be had by DHCPv6.
    #[must_use]
    pub fn managed(&self) -> bool {
        self.header.value.as_bytes()[1] & 0x80 != 0
    }

    /// The O flag: other information is to be had by DHCPv6.
    #[must_use]
    pub fn other_configuration(&self) -> bool {
        self.header.value.as_bytes()[1] & 0x40 != 0
    }

    /// Preference as a default router.
    #[must_use]
    pub fn preference(&self) -> Preference {
        Preference::from_flags(self.header.value.as_bytes()[1]).unwrap_or_default()
    }

    /// Seconds for which the sender is a default router; 0: it is none.
    #[must_use]
    pub fn router_lifetime(&self) -> u16 {
        let [_, _, a, b] = self.header.value.to_bytes();
        u16::from_be_bytes([a, b])
    }
}

/// A prefix information option (RFC 4861 §4.6.2).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct PrefixInformation {
    /// 3, and 4 units of 8 bytes.
    pub kind_and_len: [u8; 2],
    /// Bits of the prefix.
    pub prefix_len: u8,
    /// L and A.
    pub flags: u8,
    /// Seconds for which the prefix is on-link, and addresses made from it are valid.
    pub valid_lifetime: U32,
    /// Seconds for which addresses made from it are preferred.
    pub preferred_lifetime: U32,
    /// Zero.
    pub reserved: U32,
    /// The prefix.
    pub prefix: [u8; 16],
}

impl PrefixInformation {
    /// The L flag: hosts with this prefix are neighbours.
    #[must_use]
    pub fn on_link(&self) -> bool {
        self.flags & 0x80 != 0
    }

    /// The A flag: addresses may be made from it (RFC 4862 §5.5.3).
    #[must_use]
    pub fn autonomous(&self) -> bool {
        self.flags & 0x40 != 0
    }

    /// The prefix as an address.
    #[must_use]
    pub fn prefix(&self) -> Ipv6Addr {
        self.prefix.into()
    }
}

/// An option, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdpOption<'a> {
    /// The sender's link-layer address.
    SourceLinkLayer(EthernetAddress),
    /// The target's link-layer address.
    TargetLinkLayer(EthernetAddress),
    /// A prefix of the link.
    Prefix(&'a PrefixInformation),
    /// The MTU of the link.
    Mtu(u32),
    /// What makes a probe recognisable to its own sender (RFC 7527).
    Nonce(&'a [u8]),
    /// A route over the sender (RFC 4191 §2.3). A reserved preference is not reported.
    Route {
        /// First address of the route's network.
        network: Ipv6Addr,
        /// Bits of its prefix, up to 128.
        prefix_len: u8,
        /// How much it is preferred.
        preference: Preference,
        /// Seconds; `u32::MAX`: for ever.
        lifetime: u32,
    },
    /// Recursive DNS servers (RFC 8106 §5.1).
    Rdnss {
        /// Seconds; `u32::MAX`: for ever; 0: not any more.
        lifetime: u32,
        /// Addresses of 16 bytes each.
        servers: &'a [[u8; 16]],
    },
    /// Search domains (RFC 8106 §5.2), as names in the form of DNS, one behind the other.
    Dnssl {
        /// Seconds; `u32::MAX`: for ever; 0: not any more.
        lifetime: u32,
        /// The names, padded with zeros.
        names: &'a [u8],
    },
}

/// A message that has an option of length zero, or one beyond its end: to be dropped
/// (RFC 4861 §6.1.1 and following).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BadOption;

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad length of an option of neighbour discovery")
    }
}

impl core::error::Error for BadOption {}

/// Checks the lengths of all options, once; then [`options`] gives those that are known.
///
/// # Errors
/// [`BadOption`], also for more than [`MAX_OPTIONS`].
pub fn check_options(mut bytes: &[u8]) -> Result<(), BadOption> {
    for _ in 0..MAX_OPTIONS {
        let len = match bytes {
            [] => return Ok(()),
            [_, units, ..] => usize::from(*units) * 8,
            [_] => return Err(BadOption),
        };
        if len == 0 {
            return Err(BadOption);
        }
        bytes = bytes.get(len..).ok_or(BadOption)?;
    }
    if bytes.is_empty() {
        Ok(())
    } else {
        Err(BadOption)
    }
}

/// The options that are known and well-formed; others are passed over (RFC 4861 §4.6).
pub fn options(bytes: &[u8]) -> impl Iterator<Item = NdpOption<'_>> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        loop {
            let [_, units, ..] = rest else { return None };
            let len = usize::from(*units) * 8;
            if len == 0 || len > rest.len() {
                return None;
            }
            let (option, behind) = rest.split_at(len);
            rest = behind;
            if let Some(option) = parse_option(option) {
                return Some(option);
            }
        }
    })
}

/// One option, which has as many bytes as it says, at least 8.
fn parse_option(option: &[u8]) -> Option<NdpOption<'_>> {
    let word = |at: usize| {
        let bytes = option.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes))
    };
    let hardware = || Some(EthernetAddress(*option.get(2..)?.first_chunk::<6>()?));
    Some(match *option.first()? {
        kind::SOURCE_LINK_LAYER => NdpOption::SourceLinkLayer(hardware()?),
        kind::TARGET_LINK_LAYER => NdpOption::TargetLinkLayer(hardware()?),
        kind::PREFIX_INFORMATION => {
            let prefix = PrefixInformation::ref_from_bytes(option).ok()?;
            if prefix.prefix_len > 128 {
                return None;
            }
            NdpOption::Prefix(prefix)
        }
        kind::MTU => NdpOption::Mtu(word(4)?),
        kind::NONCE => NdpOption::Nonce(option.get(2..)?),
        kind::ROUTE_INFORMATION => {
            let (prefix_len, flags) = (*option.get(2)?, *option.get(3)?);
            let mut network = [0; 16];
            let given = option.get(8..)?;
            // RFC 4191 §2.3: as many bytes of the prefix as its length makes necessary.
            if prefix_len > 128 || given.len() * 8 < usize::from(prefix_len) {
                return None;
            }
            let given = given.get(..16).unwrap_or(given);
            network[..given.len()].copy_from_slice(given);
            NdpOption::Route {
                network: network.into(),
                prefix_len,
                preference: Preference::from_flags(flags)?,
                lifetime: word(4)?,
            }
        }
        kind::RDNSS => NdpOption::Rdnss {
            lifetime: word(4)?,
            servers: <[[u8; 16]]>::ref_from_bytes(option.get(8..)?)
                .ok()
                .filter(|servers| !servers.is_empty())?,
        },
        kind::DNSSL => NdpOption::Dnssl {
            lifetime: word(4)?,
            names: option.get(8..)?,
        },
        _ => return None,
    })
}

/// Bytes of a link-layer address option for Ethernet, and of the MTU option.
pub const LINK_LAYER_OPTION_LEN: usize = 8;
/// Bytes of a nonce option with a nonce of 6 bytes, the least that RFC 3971 §5.3.2 allows.
pub const NONCE_OPTION_LEN: usize = 8;

/// The option with our link-layer address as source of a solicitation.
#[must_use]
pub fn source_link_layer(address: EthernetAddress) -> [u8; LINK_LAYER_OPTION_LEN] {
    option(kind::SOURCE_LINK_LAYER, address.0)
}

/// The option with our link-layer address as target of an advertisement.
#[must_use]
pub fn target_link_layer(address: EthernetAddress) -> [u8; LINK_LAYER_OPTION_LEN] {
    option(kind::TARGET_LINK_LAYER, address.0)
}

/// The option with a nonce.
#[must_use]
pub fn nonce(nonce: [u8; 6]) -> [u8; NONCE_OPTION_LEN] {
    option(kind::NONCE, nonce)
}

fn option(kind: u8, content: [u8; 6]) -> [u8; 8] {
    let mut option = [0; 8];
    (option[0], option[1]) = (kind, 1);
    option[2..].copy_from_slice(&content);
    option
}

/// The second address of a redirect: whose packets are to take another way (RFC 4861 §4.5).
#[must_use]
pub fn redirect_destination(message: &[u8]) -> Option<(Ipv6Addr, &[u8])> {
    let rest = message.get(size_of::<TargetMessage>()..)?;
    let (destination, options) = rest.split_first_chunk::<16>()?;
    Some(((*destination).into(), options))
}

/// The group that a solicitation of an address goes to (RFC 4291 §2.7.1).
#[must_use]
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const HW: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 7]);

    #[test]
    fn messages_are_written_as_rfc_4861_draws_them() {
        let target: Ipv6Addr = "2001:db8::5".parse().unwrap();
        let solicitation = TargetMessage::solicitation(target);
        assert_eq!(solicitation.as_bytes()[..8], [135, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(solicitation.as_bytes()[8..], target.octets());
        let flags = advertisement_flags::SOLICITED | advertisement_flags::OVERRIDE;
        let advertisement = TargetMessage::advertisement(target, flags);
        assert_eq!(advertisement.as_bytes()[..8], [136, 0, 0, 0, 0x60, 0, 0, 0]);
        assert!(advertisement.has(advertisement_flags::OVERRIDE));
        assert!(!advertisement.has(advertisement_flags::ROUTER));
        assert_eq!(source_link_layer(HW), [1, 1, 2, 0, 0, 0, 0, 7]);
        assert_eq!(target_link_layer(HW), [2, 1, 2, 0, 0, 0, 0, 7]);
        assert_eq!(nonce([9; 6]), [14, 1, 9, 9, 9, 9, 9, 9]);
    }

    #[test]
    fn a_router_advertisement_is_read() {
        let bytes = [
            134, 0, 0, 0, 64, 0xc8, 7, 8, 0, 0, 0x75, 0x30, 0, 0, 3, 0xe8,
        ];
        let ra = RouterAdvertisement::ref_from_bytes(&bytes).unwrap();
        assert_eq!((ra.hop_limit(), ra.router_lifetime()), (64, 0x0708));
        assert!(ra.managed() && ra.other_configuration());
        assert_eq!(ra.preference(), Preference::High);
        assert_eq!(
            (ra.reachable_time.get(), ra.retrans_timer.get()),
            (30_000, 1_000)
        );
    }

    #[test]
    fn options_are_read_and_unknown_ones_passed_over() {
        let mut prefix = PrefixInformation {
            kind_and_len: [3, 4],
            prefix_len: 64,
            flags: 0xc0,
            valid_lifetime: U32::new(7_200),
            preferred_lifetime: U32::new(3_600),
            ..PrefixInformation::default()
        };
        prefix.prefix[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        let mut bytes: Vec<u8> = Vec::new();
        bytes.extend(source_link_layer(HW));
        bytes.extend([99, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(prefix.as_bytes());
        bytes.extend([5, 1, 0, 0, 0, 0, 5, 0xdc]);
        bytes.extend([24, 2, 48, 0x08, 0, 0, 0, 60, 0x20, 1, 0xd, 0xb8, 0, 7, 0, 0]);
        bytes.extend([25, 3, 0, 0, 0, 0, 0, 9]);
        bytes.extend([5; 16]);
        bytes.extend([31, 2, 0, 0, 0, 0, 0, 8, 1, b'a', 0, 0, 0, 0, 0, 0]);
        check_options(&bytes).unwrap();
        let seen: Vec<_> = options(&bytes).collect();
        assert_eq!(
            seen,
            [
                NdpOption::SourceLinkLayer(HW),
                NdpOption::Prefix(&prefix),
                NdpOption::Mtu(1500),
                NdpOption::Route {
                    network: "2001:db8:7::".parse().unwrap(),
                    prefix_len: 48,
                    preference: Preference::High,
                    lifetime: 60,
                },
                NdpOption::Rdnss {
                    lifetime: 9,
                    servers: &[[5; 16]],
                },
                NdpOption::Dnssl {
                    lifetime: 8,
                    names: &[1, b'a', 0, 0, 0, 0, 0, 0],
                },
            ]
        );
        assert!(prefix.on_link() && prefix.autonomous());
    }

    #[test]
    fn options_of_a_wrong_length_condemn_the_message() {
        for bad in [
            &[1, 0, 0, 0, 0, 0, 0, 0][..],
            &[1],
            &[1, 2, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(check_options(bad), Err(BadOption), "{bad:?}");
        }
        let many = [1, 1, 0, 0, 0, 0, 0, 0].repeat(MAX_OPTIONS + 1);
        assert_eq!(check_options(&many), Err(BadOption));
        assert_eq!(check_options(&many[8..]), Ok(()));
    }

    #[test]
    fn options_with_impossible_content_are_passed_over() {
        for bad in [
            // A prefix of 129 bits, and a prefix option of the wrong size.
            &[[3, 4, 129, 0].as_slice(), &[0; 28]].concat()[..],
            &[3, 1, 64, 0, 0, 0, 0, 0],
            // A route of 64 bits without any of them, and with the reserved preference.
            &[24, 1, 64, 0, 0, 0, 0, 60],
            &[24, 1, 0, 0x10, 0, 0, 0, 60],
            // No server, and half of one.
            &[25, 1, 0, 0, 0, 0, 0, 9],
            &[25, 2, 0, 0, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8],
        ] {
            check_options(bad).unwrap();
            assert_eq!(options(bad).next(), None, "{bad:?}");
        }
    }

    #[test]
    fn the_solicited_node_group_has_the_last_three_bytes() {
        let group = solicited_node("2001:db8::1234:5678".parse().unwrap());
        assert_eq!(group, "ff02::1:ff34:5678".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn a_redirect_has_two_addresses() {
        let target = TargetMessage::solicitation("fe80::9".parse().unwrap());
        let destination: Ipv6Addr = "2001:db8::9".parse().unwrap();
        let bytes = [target.as_bytes(), &destination.octets(), &[7; 8]].concat();
        assert_eq!(
            redirect_destination(&bytes),
            Some((destination, &[7; 8][..]))
        );
        assert_eq!(redirect_destination(&bytes[..39]), None);
    }
}
