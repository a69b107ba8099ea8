//! Connections come and go by the thousand, and nothing stays behind.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mnet_tests::clients::{connect, reset_on_close};

use crate::Test;
use crate::fixture::{Fixture, Machine, SERVICE};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("ten_thousand_connections_leave_nothing", orderly),
    ("a_thousand_resets_leave_nothing", resets),
];

/// What could leak, as the image and Linux see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    /// Connections, half-open and closing ones included, in the stack.
    connections: u64,
    /// Frames of the pool that are in use.
    frames: u64,
    /// Descriptors of the tender's process.
    descriptors: usize,
    /// Virtual memory of the tender's process, in the kernel's own words.
    memory: String,
}

impl Held {
    fn now(machine: &Machine) -> Result<Self> {
        let statistics = machine.statistics()?;
        let value = |name: &str| statistics.get(name).copied().unwrap_or(u64::MAX);
        let process = format!("/proc/{}", machine.process.pid()?);
        let status = std::fs::read_to_string(format!("{process}/status"))?;
        let memory = status.lines().find(|line| line.starts_with("VmSize"));
        Ok(Self {
            connections: ["connections", "half_open", "time_wait", "orphaned"]
                .iter()
                .map(|name| value(name))
                .fold(0, u64::saturating_add),
            frames: value("frames_total") - value("frames_free"),
            descriptors: std::fs::read_dir(format!("{process}/fd"))?.count(),
            memory: memory.unwrap_or_default().to_owned(),
        })
    }
}

/// Waits until as much is held as before: the last connections may still be closing.
fn settles(machine: &Machine, before: &Held) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let now = Held::now(machine)?;
        if now == *before {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "before: {before:?}\nafter: {now:?}"
        );
        thread::yield_now();
    }
}

fn orderly(fixture: &Fixture) -> Result<()> {
    const CONNECTIONS: u64 = 10_000;
    let machine = fixture.boot_echo()?;
    let accepted = machine.statistic("tcp_passive_opens")?;
    let before = Held::now(&machine)?;
    for number in 0..CONNECTIONS {
        let mut client = connect(SERVICE)?;
        if number % 100 == 0 {
            client.write_all(b"still there?")?;
            let mut answer = [0; 12];
            client.read_exact(&mut answer)?;
            ensure!(&answer == b"still there?", "connection {number}");
        }
    }
    settles(&machine, &before)?;
    let accepted = machine.statistic("tcp_passive_opens")? - accepted;
    ensure!(accepted >= CONNECTIONS, "only {accepted} were accepted");
    Ok(())
}

fn resets(fixture: &Fixture) -> Result<()> {
    let machine = fixture.boot_echo()?;
    let before = Held::now(&machine)?;
    for _ in 0..1000 {
        let mut client = connect(SERVICE)?;
        client.write_all(&[7; 5000])?;
        reset_on_close(&client)?;
    }
    settles(&machine, &before)
}
