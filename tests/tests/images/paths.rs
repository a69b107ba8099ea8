//! Images across paths that lose, reorder, damage, and limit. How fast they are is for `bench` to
//! say; what is asked here holds on a machine with other things to do.

use std::fs;
use std::net::SocketAddrV4;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::bulk::{Direction, LinuxServices, Series, jain, transfer};
use mnet_tests::clients::tcp_echo_checked;
use mnet_tests::impair::Impairment;
use mnet_tests::path::{IMAGE, LINUX, Path};
use mnet_tests::process::Process;
use mnet_tests::soak;
use mnet_tests::statistics;

use crate::Test;
use crate::fixture::{Fixture, SERVICE, STATISTICS};

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "returns_what_came_over_a_path_that_loses_and_damages",
        returns_over_a_bad_path,
    ),
    (
        "and_linux_slow_down_for_marks_before_anything_is_lost",
        slows_down_for_marks,
    ),
    ("fills_a_path_of_limited_rate", fills_a_path),
    ("leaves_linux_its_share_of_a_path", shares_a_path),
    ("serves_clients_at_random_and_nothing_is_left", soak),
];

/// Bits per second of the limited path, and the part of it that is payload.
const RATE: f64 = 20e6;
const GOODPUT: f64 = RATE * 1448.0 / 1514.0;

/// 20 Mbit/s, 40 ms there and back, and a queue of as much.
fn limited() -> Result<Impairment> {
    "rate=20mbit,delay=20ms,queue=100k".parse()
}

/// The services of the benchmarks at the far end of the path.
fn start_services(fixture: &Fixture, path: &Path) -> Result<Process> {
    let unikernel = fixture
        .unikernel(&fixture.services)
        .option("--mem=64")
        .option("--net:service=tap0")
        .argument(format!("--ipv4={IMAGE}/24"));
    path.server.within(|| unikernel.start())
}

/// What arrives from a service in each of some quarters of a second.
fn receive(path: &Path, host: std::net::Ipv4Addr, quarters: usize) -> Result<Series> {
    let service = SocketAddrV4::new(host, Direction::Receive.port());
    let quarter = Duration::from_millis(250);
    path.client
        .within(|| transfer(service, Direction::Receive, quarter, quarters))
}

/// Several megabytes there and back, each direction with everything that happens on a path.
fn returns_over_a_bad_path(fixture: &Fixture) -> Result<()> {
    let bad = "loss=1%,burst=0.1%/4,reorder=1%/3ms,duplicate=1%,corrupt=0.5%,delay=3ms,jitter=1ms";
    let bad = bad.parse()?;
    let path = Path::new(&bad, &bad, 1)?;
    let unikernel = fixture.echo_unikernel();
    let process = path.server.within(|| unikernel.start())?;
    process.wait_for("listening", Duration::from_secs(10))?;
    let clients: Vec<_> = (0..4)
        .map(|seed| {
            path.client.within(|| {
                Ok(thread::spawn(move || {
                    tcp_echo_checked(SERVICE, seed, 1 << 20)
                }))
            })
        })
        .collect::<Result<_>>()?;
    for (number, client) in clients.into_iter().enumerate() {
        let result = client.join().expect("a client does not panic");
        result.with_context(|| format!("client {number}; the image printed {}", process.text()))?;
    }
    for stats in path.forwarder.stop()? {
        let happened = [
            stats.lost,
            stats.reordered,
            stats.duplicated,
            stats.corrupted,
        ];
        ensure!(happened.iter().all(|count| *count > 0), "{stats}");
    }
    Ok(())
}

/// The queue marks long before it is full, in both directions: classic ECN (RFC 3168), which Linux
/// asks for.
fn slows_down_for_marks(fixture: &Fixture) -> Result<()> {
    let marks = "rate=20mbit,delay=10ms,queue=1m,mark=30k".parse()?;
    let path = Path::new(&marks, &marks, 1)?;
    path.client
        .within(|| fs::write("/proc/sys/net/ipv4/tcp_ecn", "1").context("net.ipv4.tcp_ecn"))?;
    let unikernel = fixture.echo_unikernel();
    let process = path.server.within(|| unikernel.start())?;
    process.wait_for("listening", Duration::from_secs(10))?;
    path.client
        .within(|| tcp_echo_checked(SERVICE, 1, 4 << 20))
        .with_context(|| format!("the image printed {}", process.text()))?;
    let statistics = path.client.within(|| statistics::ask(STATISTICS))?;
    let [forth, back] = path.forwarder.stop()?;
    let counter = |name: &str| statistics.get(name).copied().context(name.to_owned());
    ensure!(forth.marked > 0 && back.marked > 0, "{forth}; {back}");
    ensure!(counter("tcp_ecn_agreed")? == 1);
    let received = counter("tcp_ecn_marks_received")?;
    ensure!(received == forth.marked, "{received} of {forth}");
    let reductions = counter("tcp_ecn_reductions")?;
    ensure!(
        (1..=back.marked).contains(&reductions),
        "{reductions} for {back}"
    );
    let repairs = counter("tcp_fast_retransmits")?;
    ensure!(repairs == 0, "{repairs} recoveries: {forth}; {back}");
    Ok(())
}

fn fills_a_path(fixture: &Fixture) -> Result<()> {
    let path = Path::new(&limited()?, &limited()?, 1)?;
    let _image = start_services(fixture, &path)?;
    let series = receive(&path, IMAGE, 16)?;
    let share = series.rate(8) / GOODPUT;
    ensure!(share > 0.7, "{share:.2} of the rate: {:?}", series.rates());
    Ok(())
}

/// Neither starves: 0.6 is one with ten times as much as the other. More can be asked of minutes,
/// not of seconds: what a connection gets at first is luck, and both give way slowly (RFC 9438).
fn shares_a_path(fixture: &Fixture) -> Result<()> {
    let path = Path::new(&limited()?, &limited()?, 1)?;
    let _image = start_services(fixture, &path)?;
    let _linux = LinuxServices::start(&path.server, LINUX)?;
    let rates = thread::scope(|scope| {
        let flows = [IMAGE, LINUX].map(|host| {
            let path = &path;
            scope.spawn(move || receive(path, host, 24))
        });
        flows.map(|flow| Ok::<_, anyhow::Error>(flow.join().expect("no panic")?.rate(8)))
    });
    let [image, linux] = rates;
    let (image, linux) = (image?, linux?);
    let index = jain(&[image, linux]);
    ensure!(index > 0.6, "{index:.2}: {image:.0} and {linux:.0} bit/s");
    let share = (image + linux) / GOODPUT;
    ensure!(share > 0.7, "{share:.2} of the rate");
    Ok(())
}

/// `cargo xtask soak-linux` for a few seconds.
fn soak(fixture: &Fixture) -> Result<()> {
    let plan = soak::Plan {
        duration: Duration::from_secs(6),
        clients: 12,
        seed: 1,
    };
    let outcome = soak::run(&fixture.prefix, &plan)?;
    let came = |&(_, count): &(&str, u64)| count > 0;
    ensure!(outcome.clients.iter().all(came), "{outcome}");
    Ok(())
}
