//! The echo image over IPv6, against Linux: given addresses, link-local ones, those of a router's
//! prefix, and an address that somebody has.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mnet_tests::clients::{tcp_echo_checked, udp_echo};
use mnet_tests::tap::Tap;

use crate::Test;
use crate::fixture::{self, Fixture, Machine, SERVICE};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("serves_a_given_address", serves_a_given_address),
    (
        "serves_its_link_local_address",
        serves_its_link_local_address,
    ),
    ("takes_an_address_of_a_routers_prefix", takes_a_prefix),
    ("gives_up_an_address_that_somebody_has", gives_up_an_address),
];

/// The address of the Linux end, and the image's.
const HOST: &str = "2001:db8::1";
pub(crate) const GUEST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// What becomes of the image's Ethernet address, 02:00:00:00:00:02.
const GUEST_EUI_64: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 2);
/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    ensure!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The image with this `--ipv6`; the Linux end has [`HOST`].
pub(crate) fn boot(fixture: &Fixture, ipv6: &str) -> Result<Machine> {
    let unikernel = fixture.echo_unikernel().argument(format!("--ipv6={ipv6}"));
    let machine = fixture.boot(&unikernel)?;
    ip(&format!("address add {HOST}/64 dev tap0 nodad"))?;
    Ok(machine)
}

/// `tap0` with the addresses of both families that the examples' clients have.
pub(crate) fn dual_tap() -> Result<Tap> {
    let tap = Tap::with_address("tap0", fixture::HOST, 24)?;
    ip(&format!("address add {HOST}/64 dev tap0 nodad"))?;
    Ok(tap)
}

/// Tries until it works, and what came of it then; says why the last try did not.
pub(crate) fn eventually<T>(what: &str, attempt: impl FnMut() -> Result<T>) -> Result<T> {
    within(PATIENCE, what, attempt)
}

/// The same, for so long.
pub(crate) fn within<T>(
    time: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + time;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => return Err(error).context(what.to_owned()),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// One answered ping with so many bytes.
pub(crate) fn ping(host: &str, size: usize) -> Result<()> {
    let size = size.to_string();
    let output = Command::new("ping")
        .args(["-6", "-c", "1", "-W", "2", "-s", &size, host])
        .output()?;
    ensure!(
        output.status.success(),
        "ping -s {size} {host}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

/// TCP and UDP, pings of all sizes that fit.
fn exchange(service: SocketAddrV6, host: &str) -> Result<()> {
    eventually("the first ping", || ping(host, 56))?;
    for size in [0, 1, 1000, 1452] {
        ping(host, size)?;
    }
    tcp_echo_checked(service, 6, 16 << 20)?;
    for size in [0, 1, 700, 1452] {
        udp_echo(service, 6, size)?;
    }
    Ok(())
}

fn serves_a_given_address(fixture: &Fixture) -> Result<()> {
    let machine = boot(fixture, &format!("{GUEST}/64"))?;
    let service = SocketAddrV6::new(GUEST, SERVICE.port(), 0, 0);
    exchange(service, &GUEST.to_string()).with_context(|| machine.account())?;
    // A port that nobody has.
    let closed = SocketAddrV6::new(GUEST, 9, 0, 0);
    ensure!(
        std::net::TcpStream::connect(closed).is_err(),
        "nobody listens there"
    );
    for bad in [
        "icmp_bad_checksum",
        "tcp_bad_checksum",
        "udp_bad_checksum",
        "nd_malformed",
    ] {
        ensure!(machine.statistic(bad)? == 0, "{bad}");
    }
    Ok(())
}

fn serves_its_link_local_address(fixture: &Fixture) -> Result<()> {
    let machine = boot(fixture, "eui64")?;
    let zone = u32::try_from(machine.tap.index()?)?;
    let service = SocketAddrV6::new(GUEST_EUI_64, SERVICE.port(), 0, zone);
    exchange(service, &format!("{GUEST_EUI_64}%tap0")).with_context(|| machine.account())
}

/// A daemon, stopped at the end.
pub(crate) struct Daemon(pub(crate) Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks the link-local address, from an address that the route answers from the prefix's.
fn answers_from_where_it_was_asked(interface: i32) -> Result<()> {
    let socket = std::net::UdpSocket::bind("[2001:db8:0:5::1]:0")?;
    let zone = u32::try_from(interface)?;
    // Connected: what comes from elsewhere is not heard.
    socket.connect(SocketAddrV6::new(GUEST_EUI_64, SERVICE.port(), 0, zone))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    eventually("an answer of the address that was asked", || {
        socket.send(b"where are you?")?;
        let mut answer = [0; 20];
        let length = socket.recv(&mut answer)?;
        ensure!(&answer[..length] == b"where are you?", "{answer:?}");
        Ok(())
    })
}

fn takes_a_prefix(fixture: &Fixture) -> Result<()> {
    let directory = fixture.directory("radvd")?;
    let configuration = directory.join("radvd.conf");
    std::fs::write(
        &configuration,
        "interface tap0 {\n AdvSendAdvert on;\n MinRtrAdvInterval 3;\n MaxRtrAdvInterval 4;\n \
         AdvLinkMTU 1400;\n RDNSS 2001:db8::53 {};\n prefix 2001:db8:0:5::/64 {};\n};\n",
    )?;
    let machine = boot(fixture, "eui64")?;
    // Routers must forward, or the daemon says that it is none.
    std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    ip("address add 2001:db8:0:5::1/64 dev tap0 nodad")?;
    let pid_file = directory.join("radvd.pid");
    let radvd = Command::new("radvd")
        .args(["--nodaemon", "--logmethod=stderr", "--config"])
        .arg(&configuration)
        .arg("--pidfile")
        .arg(&pid_file)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("radvd")?;
    let _radvd = Daemon(radvd);
    let mut segments = GUEST_EUI_64.segments();
    segments[..4].copy_from_slice(&[0x2001, 0xdb8, 0, 5]);
    let address = Ipv6Addr::from(segments);
    let service = SocketAddrV6::new(address, SERVICE.port(), 0, 0);
    let result = (|| {
        eventually("the first ping", || ping(&address.to_string(), 56))?;
        tcp_echo_checked(service, 7, 1 << 20)?;
        let advertisements = machine.statistic("nd_router_advertisements")?;
        ensure!(
            advertisements > 0,
            "the daemon's advertisements are taken in"
        );
        answers_from_where_it_was_asked(machine.tap.index()?)
    })();
    result.with_context(|| machine.account())
}

/// RFC 4862 §5.4 with Linux as the one who has the address.
fn gives_up_an_address(fixture: &Fixture) -> Result<()> {
    // Before the image starts to probe: it boots in milliseconds.
    let unikernel = fixture
        .echo_unikernel()
        .argument(format!("--ipv6={HOST}/64"));
    let machine = fixture.boot_after(&unikernel, |_| {
        ip(&format!("address add {HOST}/64 dev tap0 nodad"))
    })?;
    eventually("the conflict is noticed", || {
        match machine.statistic("nd_duplicate_address")? {
            1 => Ok(()),
            _ => bail!("not yet: {}", machine.account()),
        }
    })
}
