//! Datagrams and pings in fragments, both ways, between the echo image and Linux.

use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::{self, udp_echo};

use crate::Test;
use crate::fixture::{Fixture, GUEST, Machine, SERVICE};
use crate::ipv6::{self, boot, eventually, ip};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("come_and_go_over_a_link_of_1500_bytes", |fixture| {
        exchange(fixture, 1500)
    }),
    ("come_and_go_over_a_link_of_1280_bytes", |fixture| {
        exchange(fixture, 1280)
    }),
];

/// Bytes of headers in front of the data of a ping or a datagram.
const IPV4_HEADERS: usize = 28;
const IPV6_HEADERS: usize = 48;
/// The most that a datagram, or a ping, can carry over either family.
const LONGEST_IPV4: usize = 65_535 - IPV4_HEADERS;
const LONGEST_IPV6: usize = 65_535 - 8;
/// What nothing of all this may move.
const FAULTS: [&str; 12] = [
    "ip_fragment_bad_length",
    "ip_fragment_too_long",
    "ip_fragment_tiny",
    "ip_fragment_duplicate",
    "ip_fragment_overlap",
    "ip_fragment_bad_end",
    "ip_fragment_too_many",
    "ip_fragment_no_room",
    "ip_fragment_condemned",
    "icmp_bad_checksum",
    "udp_bad_checksum",
    "ip_bad_extension",
];

/// Sizes around the ends of one, two and three packets, and some that take many.
fn sizes(mtu: usize, headers: usize, longest: usize) -> Vec<usize> {
    let one = mtu - headers;
    let piece = (mtu - (headers - 8)) / 8 * 8;
    let mut sizes = vec![0, one - 1, one, one + 1];
    for pieces in [2, 3] {
        sizes.extend([-1, 0, 1].map(|off| (pieces * piece).saturating_add_signed(off) - 8));
    }
    sizes.extend([8_000, 9_000, 30_000, 32_000, 60_000, longest - 1, longest]);
    sizes
}

fn exchange(fixture: &Fixture, mtu: usize) -> Result<()> {
    let machine = boot(fixture, &format!("{}/64", ipv6::GUEST))?;
    // Of Linux alone: the image goes on to send what its device carries, 1500 bytes.
    ip(&format!("link set tap0 mtu {mtu}"))?;
    eventually("the first ping", || {
        ipv6::ping(&ipv6::GUEST.to_string(), 56)
    })?;
    pass(mtu).with_context(|| machine.account())?;
    intact(&machine).with_context(|| machine.account())
}

fn pass(mtu: usize) -> Result<()> {
    for (number, size) in (0..).zip(sizes(mtu, IPV4_HEADERS, LONGEST_IPV4)) {
        clients::ping(GUEST, number, size, Duration::from_secs(10))?;
        udp_echo(SERVICE, number.into(), size)?;
    }
    let service: SocketAddr = SocketAddrV6::new(ipv6::GUEST, SERVICE.port(), 0, 0).into();
    for (number, size) in (0..).zip(sizes(mtu, IPV6_HEADERS, LONGEST_IPV6)) {
        ipv6::ping(&ipv6::GUEST.to_string(), size)?;
        udp_echo(service, number, size)?;
    }
    Ok(())
}

/// Packets have come in fragments and left in fragments, and none was at fault.
fn intact(machine: &Machine) -> Result<()> {
    for name in FAULTS {
        ensure!(machine.statistic(name)? == 0, "{name}");
    }
    for name in ["ip_reassembled", "ip_fragmented"] {
        let count = machine.statistic(name)?;
        ensure!(count >= 40, "{name}: {count}");
    }
    Ok(())
}
