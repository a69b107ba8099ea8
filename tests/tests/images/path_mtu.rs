//! The echo image across a path that carries 1400 bytes where the links at its ends carry 1500:
//! with a router that says so, and with one that swallows what is too long.
//!
//! Linux, at the other end, is always told: what it does otherwise is its own business.

use std::fs;
use std::net::{SocketAddr, SocketAddrV6};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::tcp_echo_checked;
use mnet_tests::path::Path;
use mnet_tests::statistics;

use crate::Test;
use crate::fixture::{Fixture, SERVICE, STATISTICS};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("is_learned_from_a_router", |fixture| {
        learned(fixture, SERVICE.into())
    }),
    ("is_learned_from_a_router_over_ipv6", |fixture| {
        learned(fixture, service_v6())
    }),
    ("is_found_where_no_router_says_it", |fixture| {
        found(fixture, SERVICE.into())
    }),
    ("is_found_where_no_router_says_it_over_ipv6", |fixture| {
        found(fixture, service_v6())
    }),
];

const BYTES: u64 = 2 << 20;

/// The image's address over IPv6; Linux has the one before.
fn service_v6() -> SocketAddr {
    let guest = "2001:db8::2".parse().expect("an address");
    SocketAddrV6::new(guest, SERVICE.port(), 0, 0).into()
}

/// Gives Linux an address over IPv6.
fn speak_ipv6() -> Result<()> {
    let file = "/proc/sys/net/ipv6/conf/wan/disable_ipv6";
    fs::write(file, "0").with_context(|| format!("cannot write {file}"))?;
    let arguments = ["address", "add", "2001:db8::1/64", "dev", "wan", "nodad"];
    let status = Command::new("ip").args(arguments).status()?;
    ensure!(status.success(), "ip {arguments:?}");
    Ok(())
}

/// Bytes there and back over a connection, with `back` on the way from the image. Returns the image's
/// statistics, and how many frames were too long on that way.
///
/// It is the first connection: to later ones Linux, which has learned the path MTU itself, announces
/// a smaller MSS.
fn exchange(
    fixture: &Fixture,
    service: SocketAddr,
    back: &str,
) -> Result<(statistics::Statistics, u64)> {
    let path = Path::new(
        &"delay=5ms,mtu=1400,icmp".parse()?,
        &format!("delay=5ms,{back}").parse()?,
        1,
    )?;
    path.client.within(speak_ipv6)?;
    let unikernel = fixture
        .echo_unikernel()
        .argument("--ipv6=2001:db8::2/64".to_owned());
    let process = path.server.within(|| unikernel.start())?;
    process.wait_for("listening", Duration::from_secs(10))?;
    let seen = path.client.within(|| {
        tcp_echo_checked(service, 1, BYTES)?;
        statistics::ask(STATISTICS)
    });
    let seen = seen.with_context(|| format!("the image printed {}", process.text()))?;
    let [_, back] = path.forwarder.stop()?;
    Ok((seen, back.too_long))
}

/// RFC 1191 §6.5, RFC 8201 §4: believed at once.
fn learned(fixture: &Fixture, service: SocketAddr) -> Result<()> {
    let (seen, too_long) = exchange(fixture, service, "mtu=1400,icmp")?;
    let text = statistics::text(&seen);
    ensure!(seen["tcp_path_mtu_lowered"] == 1, "{text}");
    ensure!(seen["tcp_black_holes"] == 0, "{text}");
    // What was on its way when the first message came.
    ensure!((1..=32).contains(&too_long), "{too_long}: {text}");
    Ok(())
}

/// RFC 4821 §7.7 and §7.3: smaller segments arrive, and probes find out how large they may be.
fn found(fixture: &Fixture, service: SocketAddr) -> Result<()> {
    let (seen, too_long) = exchange(fixture, service, "mtu=1400")?;
    let text = statistics::text(&seen);
    ensure!(seen["tcp_path_mtu_lowered"] == 0, "{text}");
    ensure!(seen["tcp_black_holes"] >= 1, "{text}");
    ensure!(seen["tcp_mtu_probes_lost"] >= 1, "{text}");
    ensure!(seen["tcp_path_mtu_raised"] >= 1, "{text}");
    ensure!(too_long >= 3, "{too_long}: {text}");
    Ok(())
}
