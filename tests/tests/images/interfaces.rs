//! Images with several interfaces: two gateways of Linux, a VLAN between two images, and MTUs small and
//! large.
//!
//! ```text
//!   network of the tender
//!     image == service == tap0 ---- moved to ----> network "left":  10.0.0.1, clients 198.51.100.7
//!           == backend == tap1 ---- moved to ----> network "right": 10.1.0.1, clients 198.51.100.7
//! ```
//!
//! The two networks know nothing of each other, and each has clients with the same foreign address,
//! which only its gateway knows a way to.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::{tcp_echo_checked, udp_echo};
use mnet_tests::namespace::Network;
use mnet_tests::prefix::Unikernel;
use mnet_tests::process::Process;
use mnet_tests::tap::Tap;

use crate::Test;
use crate::fixture::Fixture;
use crate::ipv6::{eventually, ip};

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "answer_by_the_gateway_that_the_question_came_from",
        answers_by_the_right_gateway,
    ),
    ("speak_in_a_vlan_with_each_other", speaks_in_vlans),
    ("have_mtus_from_1280_to_9000", has_all_mtus),
    ("proxy_from_one_network_to_another", proxies),
];

/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Clients of the proxy at a time.
const CLIENTS: u64 = 8;

/// The two networks and what runs between them.
struct Sides {
    left: Network,
    right: Network,
    image: Process,
}

/// What `ip` is told in a network, one command a line.
pub(crate) fn ip_in(network: &Network, commands: &str) -> Result<()> {
    network.within(|| {
        let lines = commands.lines().map(str::trim);
        lines.filter(|line| !line.is_empty()).try_for_each(ip)
    })
}

/// Starts an image on two TAP devices, and moves the hosts' ends of them into networks of their own.
fn start(unikernel: &Unikernel, ready: &str, mtu: u32) -> Result<Sides> {
    let (left, right) = (Network::new()?, Network::new()?);
    for name in ["tap0", "tap1"] {
        Tap::new(name)?;
        ip(&format!("link set {name} mtu {mtu}"))?;
    }
    let unikernel = unikernel
        .clone()
        .option("--mem=16")
        .option("--net:service=tap0")
        .option("--net:backend=tap1");
    // A device that is down takes no frames, and the image announces its addresses.
    for name in ["tap0", "tap1"] {
        ip(&format!("link set {name} up"))?;
    }
    let image = unikernel.start()?;
    image.wait_for(ready, PATIENCE)?;
    for (name, network) in [("tap0", &left), ("tap1", &right)] {
        // As a gateway asks: from its address on that link, whoever the packet is from.
        let file = "/proc/sys/net/ipv4/conf/all/arp_announce";
        network.within(|| std::fs::write(file, "2").context(file))?;
        ip(&format!(
            "link set {name} netns {}",
            network.path().display()
        ))?;
        ip_in(network, &format!("link set {name} up"))?;
    }
    Ok(Sides { left, right, image })
}

/// The image of these tests.
fn interfaces_image(fixture: &Fixture, test: &str) -> Result<PathBuf> {
    let directory = fixture.directory(test)?;
    fixture
        .prefix
        .build_image("tests/images/interfaces", "interfaces", &directory)
}

/// TCP and UDP with everything checked.
fn exchange(service: SocketAddr, bytes: u64, datagram: usize) -> Result<()> {
    eventually("the first datagram", || udp_echo(service, 1, 1))?;
    tcp_echo_checked(service, 2, bytes)?;
    for size in [0, 1, 1000, datagram] {
        udp_echo(service, 3, size)?;
    }
    Ok(())
}

fn answers_by_the_right_gateway(fixture: &Fixture) -> Result<()> {
    let image = interfaces_image(fixture, "gateways")?;
    let unikernel = fixture.unikernel(&image).arguments([
        "address=1,10.0.0.2/24",
        "address=1,2001:db8:a::2/64",
        "address=2,10.1.0.2/24",
        "address=2,2001:db8:b::2/64",
        "gateway=1,10.0.0.1",
        "gateway=2,10.1.0.1",
        "gateway=1,2001:db8:a::1",
        "gateway=2,2001:db8:b::1",
    ]);
    let sides = start(&unikernel, "listening", 1_500)?;
    for (network, tap, v4, v6) in [
        (&sides.left, "tap0", "10.0.0", "2001:db8:a"),
        (&sides.right, "tap1", "10.1.0", "2001:db8:b"),
    ] {
        // The same clients on both sides.
        ip_in(
            network,
            &format!(
                "address add 198.51.100.7/32 dev lo
                 address add 2001:db8:c::7/128 dev lo nodad
                 address add {v4}.1/24 dev {tap} noprefixroute
                 address add {v6}::1/64 dev {tap} nodad noprefixroute
                 route add {v4}.0/24 dev {tap} src 198.51.100.7
                 route add {v6}::/64 dev {tap} src 2001:db8:c::7"
            ),
        )?;
    }
    let talk = |network: &Network, services: [&str; 2]| {
        network.within(|| {
            for service in services {
                exchange(service.parse()?, 1 << 20, 1_400).with_context(|| service.to_owned())?;
            }
            Ok(())
        })
    };
    let (left, right) = (
        ["10.0.0.2:7", "[2001:db8:a::2]:7"],
        ["10.1.0.2:7", "[2001:db8:b::2]:7"],
    );
    // One after the other, and both at once.
    talk(&sides.left, left)?;
    talk(&sides.right, right)?;
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| talk(&sides.left, left));
        let other = talk(&sides.right, right);
        (one.join().expect("no panic"), other)
    });
    one.and(other)
        .with_context(|| format!("the image printed {}", sides.image.text()))?;
    // An address is answered for on its own link only.
    let stranger = sides.left.within(|| {
        ip("address add 10.1.0.9/24 dev tap0")?;
        Ok(udp_echo("10.1.0.2:7".parse::<SocketAddr>()?, 4, 1))
    })?;
    ensure!(stranger.is_err(), "the right side's address, on the left");
    Ok(())
}

/// The proxy and an echo service, both images, with a bridge between them. They have no address there
/// but in a VLAN: in the same one they meet, in two they do not.
fn speaks_in_vlans(fixture: &Fixture) -> Result<()> {
    let service = interfaces_image(fixture, "vlans")?;
    let directory = fixture.directory("vlans-proxy")?;
    let proxy = fixture.prefix.build_example("two-interfaces", &directory)?;
    for (vlan, meets) in [(5, true), (6, false)] {
        let network = Network::new()?;
        ip_in(
            &network,
            "link add br0 type bridge
             link set br0 up",
        )?;
        for name in ["tap0", "tap1", "tap2", "tap3"] {
            ip_in(
                &network,
                &format!("tuntap add dev {name} mode tap\nlink set {name} up"),
            )?;
        }
        ip_in(
            &network,
            "link set tap1 master br0
             link set tap2 master br0
             address add 10.0.0.1/24 dev tap0",
        )?;
        let service = fixture
            .unikernel(&service)
            .option("--mem=16")
            .option("--net:service=tap2")
            .option("--net:backend=tap3")
            .argument("vlan=1,5,3,0")
            .argument("address=3,10.1.0.9/24");
        let proxy = fixture
            .unikernel(&proxy)
            .option("--mem=16")
            .option("--net:service=tap0")
            .option("--net:backend=tap1")
            .argument("--ipv4=10.0.0.2/24")
            .argument("--ipv4:backend=10.1.0.2/24")
            .argument(format!("--vlan:backend={vlan}"))
            .argument("--target=10.1.0.9:7");
        let images = network.within(|| Ok([service.start()?, proxy.start()?]))?;
        images[0].wait_for("listening", PATIENCE)?;
        images[1].wait_for("10.0.0.2:80 leads to 10.1.0.9:7", PATIENCE)?;
        // Full segments: four bytes longer on the wire than without a tag.
        let address: SocketAddr = "10.0.0.2:80".parse()?;
        let talked = network.within(|| Ok(tcp_echo_checked(address, 2, 4 << 20)))?;
        if meets {
            talked.context("in one VLAN")?;
        } else {
            ensure!(talked.is_err(), "VLAN 6 is not VLAN 5");
        }
    }
    Ok(())
}

fn has_all_mtus(fixture: &Fixture) -> Result<()> {
    let image = interfaces_image(fixture, "mtus")?;
    let unikernel = fixture
        .unikernel(&image)
        .argument("address=1,10.0.0.2/24")
        .argument("address=1,2001:db8:a::2/64");
    for mtu in [1_280u32, 1_400, 1_500, 9_000] {
        let sides = start(&unikernel, "listening", mtu)?;
        ip_in(
            &sides.left,
            "address add 10.0.0.1/24 dev tap0
             address add 2001:db8:a::1/64 dev tap0 nodad",
        )?;
        let largest = usize::try_from(mtu)?;
        let result = sides.left.within(|| {
            exchange("10.0.0.2:7".parse()?, 8 << 20, largest - 28)?;
            exchange("[2001:db8:a::2]:7".parse()?, 8 << 20, largest - 48)
        });
        result.with_context(|| format!("MTU {mtu}; the image printed {}", sides.image.text()))?;
        drop(sides);
    }
    Ok(())
}

/// The example `two-interfaces`, with clients and target behind gateways.
fn proxies(fixture: &Fixture) -> Result<()> {
    let directory = fixture.directory("two-interfaces")?;
    let image = fixture.prefix.build_example("two-interfaces", &directory)?;
    let unikernel = fixture
        .unikernel(&image)
        .argument("--ipv4=10.0.0.2/24")
        .argument("--ipv4-gateway=10.0.0.1")
        .argument("--ipv4:backend=10.1.0.2/24")
        .argument("--ipv4-gateway:backend=10.1.0.1")
        .argument("--target=203.0.113.9:8000");
    let ready = "two-interfaces: 10.0.0.2:80 leads to 203.0.113.9:8000";
    let sides = start(&unikernel, ready, 1_500)?;
    ip_in(
        &sides.left,
        "address add 10.0.0.1/24 dev tap0 noprefixroute
         address add 198.51.100.7/32 dev lo
         route add 10.0.0.0/24 dev tap0 src 198.51.100.7",
    )?;
    ip_in(
        &sides.right,
        "address add 10.1.0.1/24 dev tap1
         address add 203.0.113.9/32 dev lo",
    )?;
    let target = sides
        .right
        .within(|| Ok(TcpListener::bind("203.0.113.9:8000")?))?;
    let incoming = target.try_clone()?;
    let server = thread::spawn(move || serve(&incoming, CLIENTS));
    let result = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let left = &sides.left;
                scope.spawn(move || {
                    left.within(|| {
                        let service: SocketAddr = "10.0.0.2:80".parse()?;
                        tcp_echo_checked(service, seed, 1 << 20)
                    })
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().expect("no panic").map(|_| ()))
    });
    result.with_context(|| format!("the image printed {}", sides.image.text()))?;
    server.join().expect("no panic");
    gives_up_whoever_is_gone(&sides, &target)?;
    // Nothing of the backend's network but the target can be reached.
    let through = sides.left.within(|| {
        ip("route add 10.1.0.0/24 via 10.0.0.2")?;
        Ok(udp_echo("10.1.0.1:9".parse::<SocketAddr>()?, 1, 1))
    })?;
    ensure!(through.is_err(), "packets are not passed on");
    Ok(())
}

/// A client that has said all, and then is gone without having read its answer: its server is told,
/// though it has nothing more to say, or the proxy would keep both for ever.
fn gives_up_whoever_is_gone(sides: &Sides, target: &TcpListener) -> Result<()> {
    let client = sides.left.within(|| {
        let mut client = TcpStream::connect_timeout(&"10.0.0.2:80".parse()?, PATIENCE)?;
        client.set_read_timeout(Some(PATIENCE))?;
        client.write_all(b"all")?;
        client.shutdown(Shutdown::Write)?;
        Ok(client)
    })?;
    let (mut server, _) = target.accept()?;
    server.set_read_timeout(Some(PATIENCE))?;
    let mut said = String::new();
    server.read_to_string(&mut said)?;
    ensure!(said == "all", "{said}");
    server.write_all(b"x")?;
    ensure!(client.peek(&mut [0])? == 1, "the answer has come");
    // With what was not read, so this is a reset.
    drop(client);
    eventually("the end of the other connection", || {
        server.take_error()?.context("it is still there")
    })?;
    Ok(())
}

/// Returns what each of so many clients sends.
fn serve(listener: &TcpListener, clients: u64) {
    let count = usize::try_from(clients).unwrap_or(0);
    for client in listener.incoming().take(count).map_while(Result::ok) {
        thread::spawn(move || {
            let mut from = client.try_clone()?;
            let mut to = client;
            std::io::copy(&mut from, &mut to)?;
            to.shutdown(Shutdown::Write)
        });
    }
}
