//! A flood of SYNs against an image that serves. `bench` floods longer, faster, and says how fast
//! the image stays; here it has to stay alive and reachable, on a machine with other things to do.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mnet_tests::flood::{Plan, endure, gateway};
use mnet_tests::path::{IMAGE, Path};
use mnet_tests::statistics;

use crate::Test;
use crate::fixture::{Fixture, GUEST_MAC, SERVICE, STATISTICS};

pub(crate) const TESTS: &[(&str, Test)] =
    &[("serves_old_and_new_clients_under_a_flood_of_syns", serves)];

/// 30,000 spoofed SYNs: more than half-open connections have room for, by far.
fn serves(fixture: &Fixture) -> Result<()> {
    let limited = "rate=20mbit,delay=2ms,queue=50k".parse()?;
    let path = Path::new(&limited, &limited, 1)?;
    let unikernel = fixture
        .echo_unikernel()
        .argument(format!("--ipv4-gateway={}", gateway()));
    let process = path.server.within(|| unikernel.start())?;
    process.wait_for("listening", Duration::from_secs(10))?;
    ensure!(
        SERVICE.ip() == &IMAGE,
        "the fixture's address is the path's"
    );

    let size = || statistics::memory(process.pid()?, "VmSize");
    let before = size()?;
    let plan = Plan {
        service: SERVICE,
        mac: GUEST_MAC,
        per_second: 10_000,
        seconds: [2, 3, 1],
    };
    let outcome = endure(&path, &plan)?;
    let statistics = || path.client.within(|| statistics::ask(STATISTICS));
    let account = statistics::text(&statistics()?);
    let [quiet, flooded, _] = outcome.rates;
    ensure!(flooded > quiet / 2.0, "{outcome:?}; {account}");
    ensure!(outcome.failures.is_empty(), "{outcome:?}; {account}");
    ensure!(!outcome.clients.is_empty(), "{outcome:?}; {account}");
    ensure!(size()? == before, "the image's memory has grown");

    // Half-open connections answer a few times and are forgotten; nobody else has come to stay.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let now = statistics()?;
        let value = |name: &str| now.get(name).copied().unwrap_or(u64::MAX);
        if value("connections") + value("orphaned") == 0 {
            let half_open = value("half_open");
            ensure!(half_open < 4096, "{half_open} half-open connections");
            return Ok(());
        }
        let text = statistics::text(&now);
        ensure!(Instant::now() < deadline, "connections are left: {text}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
