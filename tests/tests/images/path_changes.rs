//! The echo image behind a router of Linux, whose route to the client carries less from one moment
//! on, while data flows: what is too long then is told about (RFC 1191, RFC 8201) and goes again.
//!
//! ```text
//!   client: 10.9.0.2 in ==== out 10.9.0.1 :router: 10.0.0.1 tap0 ==== 10.0.0.2, the image
//! ```
//!
//! How long that takes is read from the tender's recording of what the guest sent and received.
//! Only the route's MTU changes: with a device's, the other direction loses packets as well, which
//! are Linux's to send again.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use mnet_tests::clients::{Pattern, udp_echo};
use mnet_tests::namespace::Network;
use mnet_tests::recording::{self, Recorded};
use mnet_tests::statistics;

use crate::Test;
use crate::fixture::{Fixture, SERVICE, STATISTICS};
use crate::interfaces::ip_in;
use crate::ipv6::eventually;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("stall_a_connection_for_one_timeout_at_most", |fixture| {
        follows(fixture, SERVICE.into())
    }),
    (
        "stall_a_connection_for_one_timeout_at_most_over_ipv6",
        |fixture| follows(fixture, "[2001:db8::2]:7".parse()?),
    ),
];

/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the route carries, one after the other.
const STEPS: [u16; 2] = [1_400, 1_280];

/// What goes there and back.
const BYTES: usize = 24 << 20;

/// The least retransmission timeout (RFC 6298 §2.4). The image's are shorter, but so may be the
/// turns that it gets on a loaded machine.
const ONE_TIMEOUT: Duration = Duration::from_secs(1);

fn follows(fixture: &Fixture, service: SocketAddr) -> Result<()> {
    let (router, client) = (Network::new()?, Network::new()?);
    set_up(&router, &client)?;
    let directory = fixture.directory("path_changes")?;
    let file = directory.join(if service.is_ipv4() { "4" } else { "6" });
    let unikernel = fixture
        .echo_unikernel()
        .option(format!("--net-pcap:service={}", file.display()))
        .argument("--ipv4-gateway=10.0.0.1")
        .argument("--ipv6=2001:db8::2/64")
        .argument("--ipv6-gateway=2001:db8::1");
    let process = router.within(|| unikernel.start())?;
    process.wait_for("listening", PATIENCE)?;
    let seen = client.within(|| {
        eventually("the first datagram", || udp_echo(service, 1, 1))?;
        echo(&router, service)?;
        statistics::ask(STATISTICS)
    })?;
    let text = statistics::text(&seen);
    ensure!(seen["tcp_path_mtu_lowered"] == 2, "{text}");
    ensure!(seen["tcp_black_holes"] == 0, "{text}");
    let recorded = recording::read(&file)?;
    for mtu in STEPS {
        let stall = stall(&recorded, mtu).with_context(|| format!("{mtu}: {text}"))?;
        ensure!(stall <= ONE_TIMEOUT, "{mtu}: {stall:?}: {text}");
    }
    Ok(())
}

fn set_up(router: &Network, client: &Network) -> Result<()> {
    ip_in(
        router,
        &format!(
            "tuntap add dev tap0 mode tap
             link set tap0 up
             address add 10.0.0.1/24 dev tap0
             address add 2001:db8::1/64 dev tap0 nodad
             link add out type veth peer name in netns {}
             link set out up
             address add 10.9.0.1/24 dev out
             address add 2001:db8:9::1/64 dev out nodad",
            client.path().display()
        ),
    )?;
    ip_in(
        client,
        "link set in up
         address add 10.9.0.2/24 dev in
         address add 2001:db8:9::2/64 dev in nodad
         route add default via 10.9.0.1
         route add default via 2001:db8:9::1",
    )?;
    router.within(|| {
        for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(Path::new("/proc/sys/net").join(file), "1").context(file)?;
        }
        Ok(())
    })
}

/// Sends all bytes and reads them again; the route's MTU changes on the way.
fn echo(router: &Network, service: SocketAddr) -> Result<()> {
    let mut stream = mnet_tests::clients::connect(service)?;
    let mut sending = stream.try_clone()?;
    let mut data = vec![0; BYTES];
    Pattern::new(1).fill(&mut data);
    let sent = data.clone();
    let writer = thread::spawn(move || {
        sending.write_all(&sent)?;
        sending.shutdown(std::net::Shutdown::Write)
    });
    let mut got = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut steps = STEPS.into_iter();
    let mut next_step = BYTES / 4;
    loop {
        let len = stream.read(&mut buffer).context("reading")?;
        if len == 0 {
            break;
        }
        got.extend_from_slice(&buffer[..len]);
        if got.len() >= next_step
            && let Some(mtu) = steps.next()
        {
            let route = if service.is_ipv4() {
                "10.9.0.2/32"
            } else {
                "2001:db8:9::2/128"
            };
            ip_in(router, &format!("route replace {route} dev out mtu {mtu}"))?;
            next_step += BYTES / 4;
        }
    }
    writer.join().expect("no panic")?;
    ensure!(
        got == data,
        "{} of {} bytes came back right",
        got.len(),
        data.len()
    );
    Ok(())
}

/// The time from when the image sent the first segment that was said to be too large, until it sent
/// those bytes again in a packet of at most `mtu` bytes.
fn stall(recorded: &[Recorded], mtu: u16) -> Result<Duration> {
    let told = recorded
        .iter()
        .position(|entry| !entry.sent && too_big(&entry.frame, mtu).is_some());
    let told = told.context("no router says so")?;
    let seq = too_big(&recorded[told].frame, mtu).context("found")?;
    let sent_by = |entries: &mut dyn Iterator<Item = &Recorded>, most: usize| {
        entries
            .filter(|entry| entry.sent)
            .find(|entry| carries(&entry.frame, seq, most))
            .map(|entry| entry.at)
    };
    let first = sent_by(&mut recorded[..told].iter().rev(), usize::MAX);
    let again = sent_by(&mut recorded[told..].iter(), mtu.into());
    let first = first.context("the segment was never sent")?;
    let again = again.context("the bytes were never sent again")?;
    again.checked_sub(first).context("time goes on")
}

/// The sequence number in a message that a segment is larger than `mtu`.
fn too_big(frame: &[u8], mtu: u16) -> Option<u32> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (says, quoted) = match packet.transport? {
        // Next-Hop MTU in the lower half of the second word (RFC 1191 §4).
        TransportSlice::Icmpv4(icmp) if (icmp.type_u8(), icmp.code_u8()) == (3, 4) => {
            let [_, _, high, low] = icmp.bytes5to8();
            (u32::from(u16::from_be_bytes([high, low])), icmp.payload())
        }
        // RFC 4443 §3.2.
        TransportSlice::Icmpv6(icmp) if icmp.type_u8() == 2 => {
            (u32::from_be_bytes(icmp.bytes5to8()), icmp.payload())
        }
        _ => return None,
    };
    let header = match quoted.first()? >> 4 {
        4 => usize::from(quoted[0] & 15) * 4,
        _ => 40,
    };
    let number = quoted.get(header + 4..header + 8)?;
    (says == u32::from(mtu)).then(|| u32::from_be_bytes(number.try_into().expect("four bytes")))
}

/// Whether a packet of at most `most` bytes carries the byte of this number from the service.
fn carries(frame: &[u8], seq: u32, most: usize) -> bool {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
        return false;
    };
    let len = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => usize::from(ip.header().total_len()),
        Some(NetSlice::Ipv6(ip)) => 40 + usize::from(ip.header().payload_length()),
        _ => return false,
    };
    match packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let offset = seq.wrapping_sub(tcp.sequence_number());
            tcp.source_port() == SERVICE.port()
                && len <= most
                && usize::try_from(offset).is_ok_and(|offset| offset < tcp.payload().len())
        }
        _ => false,
    }
}
