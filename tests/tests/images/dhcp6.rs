//! DHCPv6 without leases, with a real server: dnsmasq, which is the link's router as well.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::Test;
use crate::fixture::Fixture;
use crate::ipv6::{Daemon, boot, eventually, ip};

pub(crate) const TESTS: &[(&str, Test)] = &[(
    "learns_servers_and_domains_where_the_router_has_the_o_flag",
    learns_servers_and_domains,
)];

fn learns_servers_and_domains(fixture: &Fixture) -> Result<()> {
    let log = fixture.directory("dhcp6")?.join("dnsmasq.log");
    let machine = boot(fixture, "eui64")?;
    std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    ip("address add 2001:db8:0:5::1/64 dev tap0 nodad")?;
    let dnsmasq = Command::new("dnsmasq")
        .args(["--no-daemon", "--conf-file=/dev/null", "--user=root"])
        // No DNS, no file of leases, nothing of the machine's.
        .args(["--port=0", "--leasefile-ro", "--pid-file=", "--no-hosts"])
        .args(["--interface=tap0", "--enable-ra", "--ra-param=tap0,4,1800"])
        .arg("--dhcp-range=::,constructor:tap0,ra-stateless,64,2h")
        .arg("--dhcp-option=option6:dns-server,[2001:db8::53],[fe80::53]")
        .arg("--dhcp-option=option6:domain-search,example.org,lan")
        .arg("--dhcp-option=option6:information-refresh-time,1200")
        .arg("--log-dhcp")
        .arg(format!("--log-facility={}", log.display()))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("dnsmasq")?;
    let _dnsmasq = Daemon(dnsmasq);
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let result = eventually("the answer of the server", || {
        let statistics = machine.statistics()?;
        let value = |name: &str| statistics.get(name).copied();
        ensure!(value("dhcp6_replies") == Some(1), "{}", machine.account());
        // Of DHCP, so for twice the refresh time, in seconds.
        for name in [
            "dns_server_2001:db8::53",
            "dns_server_fe80::53%1",
            "search_domain_example.org",
            "search_domain_lan",
        ] {
            let left = value(name).with_context(|| name.to_owned())?;
            ensure!((2_300..=2_400).contains(&left), "{name}: {left}");
        }
        for bad in ["dhcp6_malformed", "dhcp6_unmatched", "dhcp6_refused"] {
            ensure!(value(bad) == Some(0), "{bad}");
        }
        ensure!(
            said().contains("DHCPINFORMATION-REQUEST"),
            "the server was asked"
        );
        Ok(())
    });
    result.with_context(said)
}
