//! DHCP with dnsmasq as the server, and conflicts about addresses with Linux.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mnet_tests::clients::{connect, ping, tcp_echo_checked, udp_echo};
use mnet_tests::process::Process;
use mnet_tests::statistics;
use mnet_tests::tap::Tap;

use crate::Test;
use crate::fixture::{Fixture, GUEST, HOST, SERVICE, STATISTICS};
use crate::ipv6::{eventually, ip};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_lease_of_dnsmasq_is_used_and_renewed", is_renewed),
    ("another_server_renews_when_the_first_is_gone", is_rebound),
    (
        "a_server_whose_addresses_are_others_takes_it_back",
        is_taken_back,
    ),
    ("an_address_that_linux_has_is_declined", is_declined),
    (
        "the_gateway_of_a_lease_leads_to_other_networks",
        has_gateway,
    ),
    (
        "a_lease_of_one_address_has_its_gateway_outside",
        has_gateway_outside,
    ),
    ("a_given_address_is_defended_against_linux", is_defended),
];

/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on `tap0`, stopped at the end.
pub(crate) struct Dnsmasq {
    child: Child,
    log: PathBuf,
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dnsmasq {
    /// It lends these addresses, first ones first, without asking the network. `times` are T1 and
    /// T2 in seconds; the lease itself holds for two minutes, the least that it knows.
    fn start(directory: &Path, range: (u8, u8), times: (u32, u32)) -> Result<Self> {
        Self::start_with(directory, range, times, &[])
    }

    pub(crate) fn start_with(
        directory: &Path,
        range: (u8, u8),
        times: (u32, u32),
        arguments: &[&str],
    ) -> Result<Self> {
        let log = directory.join("log");
        let (first, last) = range;
        let child = Command::new("dnsmasq")
            .args([
                "--no-daemon",
                "--conf-file=/dev/null",
                "--port=0",
                "--no-ping",
                "--pid-file=",
                "--no-hosts",
            ])
            .args(["--interface=tap0", "--bind-interfaces", "--log-dhcp"])
            .args([
                "--dhcp-authoritative",
                "--dhcp-sequential-ip",
                "--user=root",
            ])
            .arg(format!(
                "--dhcp-range=10.0.0.{first},10.0.0.{last},255.255.255.0,120"
            ))
            .arg(format!("--dhcp-option-force=option:T1,{}", times.0))
            .arg(format!("--dhcp-option-force=option:T2,{}", times.1))
            .arg(format!(
                "--dhcp-leasefile={}",
                directory.join("leases").display()
            ))
            .arg(format!("--log-facility={}", log.display()))
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("dnsmasq")?;
        let server = Self { child, log };
        server.wait_for("DHCP, IP range")?;
        Ok(server)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn wait_for(&self, text: &str) -> Result<()> {
        eventually(text, || {
            ensure!(self.log().contains(text), "the log: {}", self.log());
            Ok(())
        })
    }
}

/// The echo image that asks for its address, and the device.
fn boot(fixture: &Fixture) -> Result<Process> {
    fixture
        .unikernel(&fixture.echo)
        .option("--mem=8")
        .option("--net:service=tap0")
        .option("--net-mac:service=02:00:00:00:00:02")
        .argument("--ipv4=dhcp")
        .argument(format!("--stats-port={}", STATISTICS.port()))
        .start()
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

/// The image at this address serves: UDP, TCP, and pings.
fn serves(last: u8) -> Result<()> {
    let service = SocketAddrV4::new(address(last), SERVICE.port());
    eventually("the first datagram", || udp_echo(service, 1, 100))?;
    tcp_echo_checked(service, 6, 1 << 20)?;
    ping(address(last), 1, 1_000, PATIENCE)?;
    Ok(())
}

/// One round trip on an open connection.
fn is_alive(connection: &mut TcpStream) -> Result<()> {
    let mut answer = [0; 5];
    connection.write_all(b"alive")?;
    connection.read_exact(&mut answer)?;
    ensure!(&answer == b"alive");
    Ok(())
}

/// A host of another network, which Linux is besides, gets an answer of the image.
fn answers_another_network(last: u8) -> Result<()> {
    ip("address add 192.0.2.1/32 dev lo")?;
    let socket = UdpSocket::bind("192.0.2.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let service = SocketAddrV4::new(address(last), SERVICE.port());
    eventually("an answer to 192.0.2.1", || {
        let mut answer = [0; 16];
        socket.send_to(b"far away", service)?;
        let (len, from) = socket.recv_from(&mut answer)?;
        ensure!(from == service.into() && answer[..len] == *b"far away");
        Ok(())
    })
}

fn statistic(last: u8, name: &str) -> Result<u64> {
    let all = statistics::ask(SocketAddrV4::new(address(last), STATISTICS.port()))?;
    all.get(name)
        .copied()
        .with_context(|| format!("no statistic {name}"))
}

/// Waits until a statistic of the image is at least so much.
fn reaches(last: u8, name: &str, least: u64) -> Result<()> {
    eventually(name, || {
        let value = statistic(last, name)?;
        ensure!(value >= least, "{name} is {value}");
        Ok(())
    })
}

fn tap() -> Result<Tap> {
    Tap::with_address("tap0", HOST, 24)
}

fn is_renewed(fixture: &Fixture) -> Result<()> {
    let _tap = tap()?;
    let server = Dnsmasq::start(&fixture.directory("dhcp-renewed")?, (50, 59), (3, 100))?;
    let begun = Instant::now();
    let image = boot(fixture)?;
    image.wait_for("echo: the address is 10.0.0.50/24\n", PATIENCE)?;
    // The first question is repeated after 3 seconds at least (RFC 2131 section 4.1).
    let questions = 1 + usize::try_from(begun.elapsed().as_secs() / 3)?;
    serves(50)?;
    let mut connection = connect(SocketAddrV4::new(address(50), SERVICE.port()))?;
    is_alive(&mut connection)?;
    reaches(50, "dhcp_leases", 3).with_context(|| server.log())?;
    is_alive(&mut connection)?;
    for (name, expected) in [
        ("dhcp_leases_lost", 0),
        ("dhcp_naks", 0),
        ("dhcp_malformed", 0),
        ("dhcp_refused", 0),
        // Those of the beginning.
        ("arp_probes_sent", 3),
    ] {
        let value = statistic(50, name)?;
        ensure!(value == expected, "{name} is {value}");
    }
    let log = server.log();
    let acknowledged = log.matches("DHCPACK(tap0) 10.0.0.50 02:00:00:00:00:02");
    ensure!(acknowledged.count() >= 3, "{log}");
    // An offer that comes late is asked for twice; but once there is a lease, nobody is looked for.
    let (before, after) = log.split_once("DHCPACK(tap0)").context("no lease")?;
    let asked = before.matches("DHCPDISCOVER(tap0)").count();
    ensure!((1..=questions).contains(&asked), "{log}");
    ensure!(!after.contains("DHCPDISCOVER(tap0)"), "{log}");
    // It is told once, not at each renewal.
    let told = image.text().matches("echo: the address is").count();
    ensure!(told == 1, "{}", image.text());
    Ok(())
}

fn is_rebound(fixture: &Fixture) -> Result<()> {
    let _tap = tap()?;
    let server = Dnsmasq::start(&fixture.directory("dhcp-rebound")?, (50, 59), (3, 9))?;
    let image = boot(fixture)?;
    image.wait_for("echo: the address is 10.0.0.50/24\n", PATIENCE)?;
    serves(50)?;
    let leases = statistic(50, "dhcp_leases")?;
    drop(server);
    // The next server has another address, so that only a question to everybody reaches it, and no
    // memory of the lease.
    ip(&format!("address delete {HOST}/24 dev tap0"))?;
    ip("address add 10.0.0.3/24 dev tap0")?;
    let directory = fixture.directory("dhcp-rebound-other")?;
    let server = Dnsmasq::start(&directory, (50, 59), (60, 100))?;
    reaches(50, "dhcp_leases", leases + 1).with_context(|| server.log())?;
    serves(50)?;
    ensure!(statistic(50, "dhcp_leases_lost")? == 0, "{}", server.log());
    let log = server.log();
    ensure!(log.contains("DHCPACK(tap0) 10.0.0.50"), "{log}");
    ensure!(!log.contains("DHCPDISCOVER"), "{log}");
    Ok(())
}

fn is_taken_back(fixture: &Fixture) -> Result<()> {
    let _tap = tap()?;
    let server = Dnsmasq::start(&fixture.directory("dhcp-before")?, (50, 59), (3, 5))?;
    let image = boot(fixture)?;
    image.wait_for("echo: the address is 10.0.0.50/24\n", PATIENCE)?;
    serves(50)?;
    drop(server);
    let server = Dnsmasq::start(&fixture.directory("dhcp-after")?, (80, 89), (60, 100))?;
    server.wait_for("DHCPNAK(tap0) 10.0.0.50")?;
    image.wait_for("echo: the address is gone\n", PATIENCE)?;
    image.wait_for("echo: the address is 10.0.0.80/24\n", PATIENCE)?;
    serves(80).with_context(|| server.log())?;
    ensure!(statistic(80, "dhcp_naks")? == 1);
    ensure!(statistic(80, "dhcp_leases_lost")? == 1);
    let gone = SocketAddrV4::new(address(50), SERVICE.port());
    ensure!(udp_echo(gone, 1, 10).is_err(), "the old address is gone");
    Ok(())
}

fn is_declined(fixture: &Fixture) -> Result<()> {
    let _tap = tap()?;
    // Linux answers for all its addresses on every interface.
    ip("address add 10.0.0.50/32 dev lo")?;
    let server = Dnsmasq::start(&fixture.directory("dhcp-declined")?, (50, 59), (60, 100))?;
    let image = boot(fixture)?;
    server.wait_for("DHCPDECLINE(tap0) 10.0.0.50")?;
    image.wait_for("echo: the address is 10.0.0.51/24\n", PATIENCE)?;
    serves(51)?;
    for (name, expected) in [("dhcp_declines", 1), ("arp_given_up", 1)] {
        let value = statistic(51, name)?;
        ensure!(value == expected, "{name} is {value}");
    }
    Ok(())
}

fn has_gateway(fixture: &Fixture) -> Result<()> {
    let _tap = tap()?;
    let _server = Dnsmasq::start(&fixture.directory("dhcp-gateway")?, (50, 59), (60, 100))?;
    let image = boot(fixture)?;
    image.wait_for("echo: the address is 10.0.0.50/24\n", PATIENCE)?;
    answers_another_network(50)
}

/// As some clouds do it: nobody shares the network with the address.
fn has_gateway_outside(fixture: &Fixture) -> Result<()> {
    let _tap = tap()?;
    let directory = fixture.directory("dhcp-gateway-outside")?;
    let server = Dnsmasq::start_with(
        &directory,
        (50, 59),
        (3, 100),
        &["--dhcp-option-force=option:netmask,255.255.255.255"],
    )?;
    let image = boot(fixture)?;
    image
        .wait_for("echo: the address is 10.0.0.50/32\n", PATIENCE)
        .with_context(|| server.log())?;
    answers_another_network(50)?;
    serves(50)?;
    // The server is no neighbour either, so a renewal goes by the gateway.
    reaches(50, "dhcp_leases", 2).with_context(|| server.log())
}

/// RFC 5227 §2.4 (c): addresses that the owner gives are defended and kept.
fn is_defended(fixture: &Fixture) -> Result<()> {
    let machine = fixture.boot_echo()?;
    ip(&format!("address add {GUEST}/32 dev tap0"))?;
    // Asking for somebody else says that it is Linux's.
    let asked = Command::new("ping")
        .args(["-c", "1", "-W", "1", "-I", &GUEST.to_string(), "10.0.0.77"])
        .output()?;
    if asked.status.success() {
        bail!("somebody answers at 10.0.0.77");
    }
    ip(&format!("address delete {GUEST}/32 dev tap0"))?;
    eventually("it is defended", || {
        let defended = machine.statistic("arp_defended")?;
        ensure!(defended >= 1, "{}", machine.account());
        Ok(())
    })?;
    ensure!(machine.statistic("arp_given_up")? == 0);
    tcp_echo_checked(SERVICE, 6, 1 << 20)?;
    Ok(())
}
