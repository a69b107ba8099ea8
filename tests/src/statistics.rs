//! What an image has in use, as the echo example tells it (`--stats-port`), and what the host sees.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

/// All values, by name.
pub type Statistics = BTreeMap<String, u64>;

/// How often a question is repeated: datagrams may be lost.
const TRIES: usize = 20;

/// Asks the service for what is in use and for all counters.
///
/// # Errors
///
/// When nothing comes for ten seconds, or something that cannot be read.
pub fn ask(service: SocketAddrV4) -> Result<Statistics> {
    for _ in 0..TRIES {
        // A socket for each question, so that a late answer to the one before is none to this.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(service)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.send(b"?")?;
        if let Some(statistics) = answer(&socket)? {
            return Ok(statistics);
        }
    }
    bail!("no statistics from {service}")
}

/// The answer, which takes several datagrams. `None` when one is missing.
fn answer(socket: &UdpSocket) -> Result<Option<Statistics>> {
    let mut statistics = Statistics::new();
    let mut datagram = [0; 2000];
    while !statistics.contains_key("end") {
        let Ok(length) = socket.recv(&mut datagram) else {
            return Ok(None);
        };
        for line in std::str::from_utf8(&datagram[..length])?.lines() {
            let (name, value) = line.split_once(' ').context("a line without a value")?;
            statistics.insert(name.to_owned(), value.parse()?);
        }
    }
    let complete = statistics.remove("end") == u64::try_from(statistics.len()).ok();
    Ok(complete.then_some(statistics))
}

/// Those that are not zero, in a line.
#[must_use]
pub fn text(statistics: &Statistics) -> String {
    let values = statistics.iter().filter(|(_, value)| **value != 0);
    let values: Vec<_> = values
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    values.join(", ")
}

/// One of a process's lines in `/proc/PID/status`, such as `VmRSS`, in KiB.
///
/// # Errors
///
/// When the process or the line is not there.
pub fn memory(pid: Pid, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("no {name}"))?;
    let number = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    number.parse().with_context(|| line.to_owned())
}
