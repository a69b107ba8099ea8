//! The tools that an administrator looks at a network with: traceroute and ndisc6.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::process::Process;

use crate::Test;
use crate::fixture::{Fixture, GUEST};
use crate::ipv6::{self, boot, eventually, ping};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("traceroute_ends_at_the_image", traceroute),
    ("ndisc6_is_told_the_hardware_address", ndisc6),
];

/// What a command prints; it must succeed.
fn printed(program: &str, arguments: &[&str]) -> Result<String> {
    let run = Process::start(Command::new(program).args(arguments))?;
    let run = run.wait(Duration::from_secs(60))?;
    ensure!(
        run.status.success(),
        "{program} {arguments:?}: {}",
        run.text
    );
    Ok(run.text)
}

/// With datagrams to closed ports, which are answered by "port unreachable", with echo requests, and
/// with SYNs: to an open port and to a closed one.
fn traceroute(fixture: &Fixture) -> Result<()> {
    let machine = boot(fixture, &format!("{}/64", ipv6::GUEST))?;
    let hosts = [GUEST.to_string(), ipv6::GUEST.to_string()];
    eventually("the first ping", || ping(&hosts[1], 56))?;
    for host in &hosts {
        for way in [
            &["-q", "1"][..],
            &["-I"],
            &["-T", "-p", "7"],
            &["-T", "-p", "9"],
        ] {
            let mut arguments = vec!["-n", "-m", "3", "-w", "10"];
            arguments.extend(way);
            arguments.push(host);
            let text = printed("traceroute", &arguments)?;
            let hops: Vec<&str> = text.lines().skip(1).collect();
            ensure!(
                hops.len() == 1 && hops[0].split_whitespace().nth(1) == Some(host),
                "{arguments:?}: {text}\n{}",
                machine.account()
            );
        }
    }
    Ok(())
}

/// Neighbour solicitations that no kernel has sent: to the group, and to the address itself.
fn ndisc6(fixture: &Fixture) -> Result<()> {
    let machine = boot(fixture, &format!("{}/64", ipv6::GUEST))?;
    let guest = ipv6::GUEST.to_string();
    eventually("the first ping", || ping(&guest, 56))?;
    let answer = printed("ndisc6", &["-q", &guest, "tap0"]).with_context(|| machine.account())?;
    ensure!(answer.trim() == "02:00:00:00:00:02", "{answer}");
    Ok(())
}
