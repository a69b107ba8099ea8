//! The example `dhcp` with dnsmasq.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use mnet_tests::process::Process;
use mnet_tests::tap::Tap;

use crate::Test;
use crate::dhcp::Dnsmasq;
use crate::fixture::{Fixture, HOST};
use crate::ipv6::eventually;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("tells_what_it_was_lent_and_renews_it", tells),
    ("does_not_take_leases_that_are_not_as_wished", refuses),
];

const PATIENCE: Duration = Duration::from_secs(60);

fn start(fixture: &Fixture, test: &str, arguments: &[&str]) -> Result<Process> {
    let directory = fixture.directory(test)?;
    let image = fixture.prefix.build_example("dhcp", &directory)?;
    fixture
        .unikernel(&image)
        .option("--mem=16")
        .option("--net:service=tap0")
        .arguments(arguments)
        .start()
}

fn tells(fixture: &Fixture) -> Result<()> {
    let _tap = Tap::with_address("tap0", HOST, 24)?;
    let options = [
        "--dhcp-option=option:router,10.0.0.1",
        "--dhcp-option=option:dns-server,10.0.0.1,10.0.0.3",
        "--dhcp-option-force=option:bootfile-name,kernel.img",
        "--domain=example.test",
    ];
    let directory = fixture.directory("dhcp-example-server")?;
    let server = Dnsmasq::start_with(&directory, (50, 59), (3, 100), &options)?;
    let arguments = ["--hostname=greeter", "--shortest=1min", "--server=10.0.0.1"];
    let image = start(fixture, "dhcp-example", &arguments)?;
    image.wait_for("dhcp: takes 10.0.0.50/24 of 10.0.0.1 for 120 s\n", PATIENCE)?;
    image.wait_for("dhcp: the address can be used\n", PATIENCE)?;
    let lines = "address 10.0.0.50\nprefix 24\ngateway 10.0.0.1\nserver 10.0.0.1\n\
                 dns 10.0.0.1\ndns 10.0.0.3\ndomain example.test\nboot-file kernel.img\nseconds-left ";
    image.wait_for(lines, PATIENCE)?;
    server.wait_for("greeter")?;
    let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 50), 7));
    let mut told = String::new();
    TcpStream::connect_timeout(&address, PATIENCE)?.read_to_string(&mut told)?;
    ensure!(told.starts_with(lines), "{told}");
    // It is renewed without a word, and served on.
    eventually("a renewal", || {
        let log = server.log();
        ensure!(log.matches("DHCPACK(tap0) 10.0.0.50").count() > 1, "{log}");
        Ok(())
    })?;
    let mut told = String::new();
    TcpStream::connect_timeout(&address, PATIENCE)?.read_to_string(&mut told)?;
    ensure!(told.starts_with(lines), "{told}");
    let text = image.text();
    ensure!(text.matches("dhcp: ").count() == 3, "{text}");
    Ok(())
}

fn refuses(fixture: &Fixture) -> Result<()> {
    let _tap = Tap::with_address("tap0", HOST, 24)?;
    let directory = fixture.directory("dhcp-example-refuse-server")?;
    let server = Dnsmasq::start_with(&directory, (50, 59), (30, 100), &[])?;
    for wish in ["--shortest=1h", "--server=10.0.0.9"] {
        let image = start(fixture, "dhcp-example-refuse", &[wish])?;
        image.wait_for(
            "dhcp: does not take 10.0.0.50/24 of 10.0.0.1 for 120 s\n",
            PATIENCE,
        )?;
        // It goes on asking, and nothing was requested.
        let asked = || server.log().matches("DHCPDISCOVER").count();
        let before = asked();
        eventually("another question", || {
            ensure!(asked() > before, "{}", server.log());
            Ok(())
        })?;
        ensure!(!server.log().contains("DHCPREQUEST"), "{}", server.log());
        let text = image.text();
        ensure!(
            !text.contains("takes 10") && !text.contains("can be used"),
            "{text}"
        );
    }
    Ok(())
}
