//! The time from starting a tender to its image's first SYN-ACK.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::frame::{Link, Segment, flags, parse_tcp};
use crate::packet::PacketSocket;
use crate::prefix::Unikernel;
use crate::process::Process;
use crate::tap::Tap;

/// How often a SYN is offered until one is answered, the resolution of the measurement.
const INTERVAL: Duration = Duration::from_micros(100);

/// The client's port. Nobody listens there, so Linux resets what is left of the connection.
const CLIENT_PORT: u16 = 40_000;

/// Starts an image and measures how long its first SYN-ACK takes.
///
/// The clock starts before the tender's process exists. From then on a SYN lies ready every 100
/// microseconds, so that no timer of a client's kernel is part of the result. What is part of it:
/// starting the tender, loading and checking the image, its start-up, and resolving our address.
///
/// # Errors
///
/// When the tender cannot be started, or no SYN-ACK comes within 10 seconds.
pub fn time_to_first_syn_ack(
    unikernel: &Unikernel,
    tap: &Tap,
    link: &Link,
    port: u16,
) -> Result<(Process, Duration)> {
    let socket = PacketSocket::open(tap)?;
    let syn = link.tcp(&Segment {
        source: CLIENT_PORT,
        destination: port,
        seq: 1,
        flags: flags::SYN,
        window: 65_535,
        ..Segment::default()
    });
    let start = Instant::now();
    let process = unikernel.start()?;
    while start.elapsed() < Duration::from_secs(10) {
        socket.send(&syn)?;
        let answered = socket.find(INTERVAL, |frame| {
            let segment = parse_tcp(frame, link.guest)?;
            let wanted = flags::SYN | flags::ACK;
            (segment.flags & wanted == wanted && segment.destination == CLIENT_PORT).then_some(())
        })?;
        if answered.is_some() {
            return Ok((process, start.elapsed()));
        }
    }
    bail!(
        "no SYN-ACK within 10 seconds; the image printed:\n{}",
        process.text()
    )
}
