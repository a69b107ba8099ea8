//! What a server lends, and what it says beside.

use crate::ip::can_be_address;
use crate::time::Instant;
use crate::wire::dhcp::{Message, Options, tag, take_compressed_name};
use core::net::Ipv4Addr;
use core::time::Duration;

/// Bytes of options that are kept: what fits a message of the longest size that we ask for.
const MAX_OPTIONS: usize = 1_216;
/// Shorter leases are refused: they would end before anything is done with them.
const MIN_LEASE: u32 = 10;
/// Most routes of a lease that are used.
pub(crate) const MAX_ROUTES: usize = 16;
/// Most routers of a lease that are used.
const MAX_ROUTERS: usize = 3;

/// A route of a lease: the prefix, and the router; `None`: they are neighbours.
pub(crate) type LeaseRoute = (Ipv4Addr, u8, Option<Ipv4Addr>);

/// What a DHCP server lends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its network's prefix in bits.
    pub prefix_len: u8,
    /// The server.
    pub server: Ipv4Addr,
    /// How long it is lent; `None`: for ever.
    pub duration: Option<Duration>,
    /// When the server is asked to renew it (T1 of RFC 2131 §4.4.5); far away for ever.
    pub renew_at: Instant,
    /// When every server is asked (T2).
    pub rebind_at: Instant,
    /// When it ends.
    pub expires_at: Instant,
    /// All options of the message, parts of long ones each for itself.
    options: heapless::Vec<u8, MAX_OPTIONS>,
}

impl Lease {
    /// What an OFFER or ACK lends to a client that has asked at `asked`; `None` for what cannot be
    /// used.
    pub(crate) fn new(message: &Message<'_>, server: Ipv4Addr, asked: Instant) -> Option<Self> {
        let address = message.header.your_address();
        let prefix_len = match message.address(tag::SUBNET_MASK) {
            Some(mask) => prefix_len(mask)?,
            None => class(address),
        };
        let seconds = message.number(tag::LEASE_TIME)?;
        if !can_be_address(address, prefix_len) || seconds < MIN_LEASE {
            return None;
        }
        let mut options = heapless::Vec::new();
        for (tag, value) in message.options() {
            let len = u8::try_from(value.len()).ok()?;
            if options.len() + 2 + value.len() > MAX_OPTIONS {
                break;
            }
            options.extend_from_slice(&[tag, len]).ok()?;
            options.extend_from_slice(value).ok()?;
        }
        let mut lease = Self {
            address,
            prefix_len,
            server,
            duration: None,
            renew_at: Instant::FAR_FUTURE,
            rebind_at: Instant::FAR_FUTURE,
            expires_at: Instant::FAR_FUTURE,
            options,
        };
        if seconds != u32::MAX {
            let (renew, rebind) = times(
                seconds,
                message.number(tag::RENEWAL_TIME),
                message.number(tag::REBINDING_TIME),
            );
            let after = |seconds: u32| asked + Duration::from_secs(seconds.into());
            lease.duration = Some(Duration::from_secs(seconds.into()));
            (lease.renew_at, lease.rebind_at) = (after(renew), after(rebind));
            lease.expires_at = after(seconds);
        }
        Some(lease)
    }

    /// All options of the server's message: tag and value. Parts of an option that is longer than
    /// 255 bytes come one by one.
    pub fn options(&self) -> impl Iterator<Item = (u8, &[u8])> {
        Options(&self.options)
    }

    /// Copies an option, its parts joined (RFC 3396); the length, or `None` if it is not there.
    /// What does not fit `buffer` is left out, and the length says so.
    pub fn option(&self, tag: u8, buffer: &mut [u8]) -> Option<usize> {
        let mut len = None;
        for (_, part) in self.options().filter(|(other, _)| *other == tag) {
            let at = len.unwrap_or(0);
            let place = buffer.get_mut(at..).unwrap_or_default();
            for (to, from) in place.iter_mut().zip(part) {
                *to = *from;
            }
            len = Some(at + part.len());
        }
        len
    }

    /// An option, its parts joined; `None` if it is not there, or longer than that.
    fn joined<const N: usize>(&self, tag: u8) -> Option<heapless::Vec<u8, N>> {
        let mut buffer = [0; N];
        let len = self.option(tag, &mut buffer)?;
        heapless::Vec::from_slice(buffer.get(..len)?).ok()
    }

    /// An option that is a list of addresses: its first 64.
    fn addresses(&self, tag: u8) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let mut buffer = [0; 256];
        let len = self.option(tag, &mut buffer).unwrap_or(0).min(256);
        (0..len / 4).map(move |place| {
            let at = 4 * place;
            Ipv4Addr::new(buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3])
        })
    }

    /// The routers, the preferred one first.
    pub fn routers(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        self.addresses(tag::ROUTER)
    }

    /// The DNS servers, the preferred one first.
    pub fn dns_servers(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        self.addresses(tag::DNS_SERVER)
    }

    /// The time servers, the preferred one first.
    pub fn ntp_servers(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        self.addresses(tag::NTP_SERVER)
    }

    /// The MTU of the link, if the server names one.
    #[must_use]
    pub fn mtu(&self) -> Option<u16> {
        let value = self.joined::<2>(tag::INTERFACE_MTU)?;
        value.into_array().ok().map(u16::from_be_bytes)
    }

    /// The domain that the host belongs to, as the server spells it, if it is text.
    #[must_use]
    pub fn domain_name(&self) -> Option<heapless::String<255>> {
        let text = self.joined::<255>(tag::DOMAIN_NAME)?;
        heapless::String::from_utf8(text).ok()
    }

    /// The routes to be used: those of RFC 3442 if there are some, else over the routers. What leads
    /// over a router that is no neighbour is left out. An address with a prefix of 32 bits has no
    /// neighbours by itself: there the routers are made some, by routes of their own.
    pub(crate) fn routes(&self) -> heapless::Vec<LeaseRoute, MAX_ROUTES> {
        let classless = self.joined::<512>(tag::CLASSLESS_ROUTES);
        let mut routes = classless
            .and_then(|list| classless_routes(&list))
            .unwrap_or_else(|| {
                let routers = self.routers().take(MAX_ROUTERS);
                let any = Ipv4Addr::UNSPECIFIED;
                routers.map(|router| (any, 0, Some(router))).collect()
            });
        if self.prefix_len == 32 {
            let routers = routes.iter().filter_map(|(.., router)| *router);
            let routers: heapless::Vec<Ipv4Addr, MAX_ROUTES> = routers.collect();
            for router in routers {
                let neighbour = (router, 32, None);
                let usable = router != self.address && can_be_address(router, 32);
                if usable && !routes.contains(&neighbour) {
                    // Without room for it, what leads over it is left out below.
                    let _ = routes.push(neighbour);
                }
            }
        }
        let on_link: heapless::Vec<LeaseRoute, MAX_ROUTES> = routes
            .iter()
            .filter(|(.., router)| router.is_none())
            .copied()
            .collect();
        routes.retain(|(.., router)| {
            router.is_none_or(|router| {
                let own = (self.address, self.prefix_len);
                let mut networks = on_link.iter().map(|(address, len, _)| (*address, *len));
                let near = is_within(router, own) || networks.any(|n| is_within(router, n));
                near && router != self.address && can_be_address(router, 32)
            })
        });
        routes
    }

    /// The search domains in the form of DNS, one behind the other: those of RFC 3397, else the one
    /// domain.
    pub(crate) fn search_list(&self) -> heapless::Vec<u8, 512> {
        let mut names = heapless::Vec::new();
        if let Some(list) = self.joined::<512>(tag::DOMAIN_SEARCH) {
            let (mut at, mut name) = (0, heapless::Vec::new());
            while take_compressed_name(&list, &mut at, &mut name).is_some()
                && names.extend_from_slice(&name).is_ok()
            {}
        }
        if names.is_empty()
            && let Some(text) = self.joined::<255>(tag::DOMAIN_NAME)
        {
            // Servers may add a NUL, or a dot.
            let end = text.iter().rposition(|byte| !matches!(byte, 0 | b'.'));
            let text = &text[..end.map_or(0, |last| last + 1)];
            for label in text.split(|byte| *byte == b'.') {
                let len = u8::try_from(label.len()).ok().filter(|len| *len <= 63);
                let fits = len.is_some_and(|len| {
                    len > 0 && names.push(len).is_ok() && names.extend_from_slice(label).is_ok()
                });
                if !fits {
                    names.clear();
                    return names;
                }
            }
            if names.push(0).is_err() {
                names.clear();
            }
        }
        names
    }

    /// Whether two leases say the same about DNS.
    pub(crate) fn same_dns(&self, other: &Self) -> bool {
        let of = |lease: &Self, tag: u8| {
            let mut buffer = [0; 512];
            let len = lease.option(tag, &mut buffer);
            (len, buffer)
        };
        [tag::DNS_SERVER, tag::DOMAIN_NAME, tag::DOMAIN_SEARCH]
            .into_iter()
            .all(|tag| of(self, tag) == of(other, tag))
    }
}

/// T1 and T2 in seconds, 0 < T1 < T2 < lease whatever the server says (RFC 2131 §4.4.5).
fn times(lease: u32, renew: Option<u32>, rebind: Option<u32>) -> (u32, u32) {
    let rebind = rebind
        .filter(|rebind| (2..lease).contains(rebind))
        .unwrap_or(lease - lease / 8 - 1);
    let renew = renew
        .filter(|renew| (1..rebind).contains(renew))
        .unwrap_or((lease / 2).min(rebind - 1));
    (renew, rebind)
}

/// The length of a mask without holes.
fn prefix_len(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let len = bits.leading_ones();
    (bits.count_ones() == len).then(|| u8::try_from(len).ok())?
}

/// What an address without a mask had before there were masks (RFC 791 §3.2).
fn class(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

fn is_within(address: Ipv4Addr, (network, len): (Ipv4Addr, u8)) -> bool {
    (address.to_bits() ^ network.to_bits()) & crate::ip::mask(len) == 0
}

/// RFC 3442: width of the prefix, as many bytes of it as that takes, router. `None` if it is not
/// that to the end.
fn classless_routes(mut list: &[u8]) -> Option<heapless::Vec<LeaseRoute, MAX_ROUTES>> {
    let mut routes = heapless::Vec::new();
    while let Some((len, rest)) = list.split_first() {
        if *len > 32 {
            return None;
        }
        let (significant, rest) = rest.split_at_checked(usize::from(len.div_ceil(8)))?;
        let (router, rest) = rest.split_first_chunk::<4>()?;
        list = rest;
        let mut network = [0; 4];
        network[..significant.len()].copy_from_slice(significant);
        let network = u32::from_be_bytes(network) & crate::ip::mask(*len);
        let router = Ipv4Addr::from(*router);
        let router = (!router.is_unspecified()).then_some(router);
        // More than there is room for are left out.
        let _ = routes.push((Ipv4Addr::from_bits(network), *len, router));
    }
    (!routes.is_empty()).then_some(routes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dhcp::{HEADER_LEN, MessageType, Writer, parse};
    use crate::wire::ethernet::EthernetAddress;
    use std::vec::Vec;

    /// An ACK for 10.0.0.50 with these options behind the usual ones.
    fn lease_with(seconds: u32, options: &[u8]) -> Option<Lease> {
        let hardware = EthernetAddress([2, 0, 0, 0, 0, 2]);
        let none = Ipv4Addr::UNSPECIFIED;
        let mut writer = Writer::new(MessageType::Ack, hardware, 1, 0, none);
        writer.option(tag::LEASE_TIME, &seconds.to_be_bytes());
        let mut bytes = writer.finish()[..HEADER_LEN + 9].to_vec();
        bytes.extend(options);
        bytes[0] = 2;
        bytes[16..20].copy_from_slice(&[10, 0, 0, 50]);
        let message = parse(&bytes).unwrap();
        Lease::new(&message, [10, 0, 0, 1].into(), Instant::ZERO)
    }

    fn lease(options: &[u8]) -> Lease {
        let options = [&[1, 4, 255, 255, 255, 0], options].concat();
        lease_with(3_600, &options).unwrap()
    }

    #[test]
    fn times_are_in_order_whatever_the_server_says() {
        let values = [
            0,
            1,
            2,
            3,
            9,
            10,
            11,
            60,
            3_599,
            3_600,
            3_601,
            u32::MAX - 1,
            u32::MAX,
        ];
        for lease in [10, 11, 60, 120, 3_600, u32::MAX - 1] {
            for renew in values {
                for rebind in values {
                    let (t1, t2) = times(lease, Some(renew), Some(rebind));
                    assert!(0 < t1 && t1 < t2 && t2 < lease, "{lease} {renew} {rebind}");
                }
            }
        }
        assert_eq!(times(3_600, None, None), (1_800, 3_149));
        assert_eq!(times(3_600, Some(5), Some(10)), (5, 10));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for (seconds, mask) in [
            (0, [255, 255, 255, 0]),
            (9, [255, 255, 255, 0]),
            (60, [255, 0, 255, 0]),
            (60, [0, 0, 0, 0]),
            (60, [0, 0, 0, 255]),
        ] {
            let option = [&[1, 4], &mask[..]].concat();
            assert_eq!(lease_with(seconds, &option), None, "{seconds} {mask:?}");
        }
        assert_eq!(
            lease_with(60, &[]).map(|l| l.prefix_len),
            Some(8),
            "class A"
        );
        let for_ever = lease_with(u32::MAX, &[]).unwrap();
        assert_eq!(for_ever.duration, None);
        assert_eq!(for_ever.renew_at, Instant::FAR_FUTURE);
    }

    #[test]
    fn parts_of_an_option_are_joined() {
        let lease = lease(&[200, 2, b'a', b'b', 12, 1, b'x', 200, 0, 200, 1, b'c']);
        let mut buffer = [0; 8];
        assert_eq!(lease.option(200, &mut buffer), Some(3));
        assert_eq!(&buffer[..3], b"abc");
        assert_eq!(lease.option(200, &mut buffer[..1]), Some(3));
        assert_eq!(lease.option(201, &mut buffer), None);
    }

    #[test]
    fn routers_that_are_no_neighbours_are_left_out() {
        let routers = [3, 16, 10, 0, 1, 1, 10, 0, 0, 50, 10, 0, 0, 1, 10, 0, 0, 2];
        let any = Ipv4Addr::UNSPECIFIED;
        let expected = [(any, 0, Some([10, 0, 0, 1].into()))];
        assert_eq!(
            lease(&routers).routes(),
            expected,
            "and the first three only"
        );
    }

    /// RFC 3442.
    #[test]
    fn classless_routes_take_the_place_of_routers() {
        let mut options = vec_of(&[3, 4, 10, 0, 0, 1]);
        options.extend([121, 21]);
        options.extend([0, 10, 0, 0, 2]);
        options.extend([24, 192, 168, 7, 10, 0, 0, 3]);
        options.extend([24, 172, 16, 5, 0, 0, 0, 0]);
        let host = |octets: [u8; 4]| Ipv4Addr::from(octets);
        let expected = [
            (host([0; 4]), 0, Some(host([10, 0, 0, 2]))),
            (host([192, 168, 7, 0]), 24, Some(host([10, 0, 0, 3]))),
            (host([172, 16, 5, 0]), 24, None),
        ];
        assert_eq!(lease(&options).routes(), expected);
        // One that is wrong is as none.
        for wrong in [
            &[121, 1, 0][..],
            &[121, 5, 33, 1, 2, 3, 4],
            &[121, 4, 8, 10, 10, 0],
            &[121, 0],
        ] {
            let options = [&[3, 4, 10, 0, 0, 1], wrong].concat();
            assert_eq!(lease(&options).routes().len(), 1, "{wrong:?}");
        }
    }

    fn vec_of(bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    #[test]
    fn the_search_list_goes_before_the_domain() {
        let domain = [&[15, 11], &b"example.com"[..]].concat();
        assert_eq!(lease(&domain).search_list(), b"\x07example\x03com\0");
        let both = [&domain[..], &[119, 5, 3], b"lan\0"].concat();
        assert_eq!(lease(&both).search_list(), b"\x03lan\0");
        for (text, expected) in [
            (&b"lan."[..], &b"\x03lan\0"[..]),
            (b"lan\0", b"\x03lan\0"),
            (b"a..b", b""),
            (b".", b""),
            (b"\0", b""),
        ] {
            let len = u8::try_from(text.len()).unwrap();
            let option = [&[15, len], text].concat();
            assert_eq!(lease(&option).search_list(), expected, "{text:?}");
        }
        assert_eq!(lease(&[]).search_list(), b"");
    }

    #[test]
    fn the_mtu_is_a_number_of_two_bytes() {
        assert_eq!(lease(&[26, 2, 5, 0xdc]).mtu(), Some(1_500));
        assert_eq!(lease(&[26, 1, 5]).mtu(), None);
        assert_eq!(lease(&[26, 3, 5, 0, 0]).mtu(), None);
    }
}
