//! Addresses as people write them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::str::FromStr;

/// A number in decimal digits and nothing else: no sign, no space.
pub fn parse_number<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Whether the same IPv6 address can be on several links, and so needs a zone.
#[must_use]
pub fn is_of_one_link(ip: Ipv6Addr) -> bool {
    ip.is_unicast_link_local() || ip.is_multicast()
}

/// An address of either family with an optional port: `10.0.0.2`, `10.0.0.2:7`, `2001:db8::2`,
/// `[2001:db8::2]:7` (RFC 3986 §3.2.2), `fe80::2%1`. Without a port it is 0.
#[must_use]
pub fn parse_address(text: &str) -> Option<SocketAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            Some(port) => parse_number(port)?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        return parse_v6(ip, port);
    }
    if text.bytes().filter(|byte| *byte == b':').count() > 1 {
        return parse_v6(text, 0);
    }
    let (ip, port) = match text.split_once(':') {
        Some((ip, port)) => (ip, parse_number(port)?),
        None => (text, 0),
    };
    let ip = Ipv4Addr::from_str(ip).ok()?;
    Some(SocketAddr::new(ip.into(), port))
}

/// An IPv6 address with an optional zone: `fe80::1%1`.
fn parse_v6(text: &str, port: u16) -> Option<SocketAddr> {
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, parse_number(zone)?),
        None => (text, 0),
    };
    let ip = Ipv6Addr::from_str(ip).ok()?;
    if zone != 0 && !is_of_one_link(ip) {
        return None;
    }
    Some(SocketAddrV6::new(ip, port, 0, zone).into())
}

/// An address with the length of its network's prefix: `10.0.0.2/24`, `2001:db8::2/64`. The length
/// is 1 to 32, or 1 to 128.
#[must_use]
pub fn parse_prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, len) = text.split_once('/')?;
    let ip = IpAddr::from_str(ip).ok()?;
    let len: u8 = parse_number(len)?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    (1..=most).contains(&len).then_some((ip, len))
}
