//! Bulk transfers that are measured as they go, and Linux's side of them.
//!
//! The services are those of `bench/image`: one port takes whatever comes, one sends without end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

use crate::clients::{connect, reset_on_close};
use crate::namespace::Network;
use crate::tap::check;

/// The port of the service that takes whatever comes.
pub const DISCARD: u16 = 5001;
/// The port of the service that sends without end.
pub const SOURCE: u16 = 5002;
/// The port of the service that sends back what comes.
pub const ECHO: u16 = 5003;

/// Which way the data goes, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the service to us.
    Receive,
    /// From us to the service.
    Send,
    /// From us to the service and back.
    Echo,
}

impl Direction {
    /// The port of the service for it.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Receive => SOURCE,
            Self::Send => DISCARD,
            Self::Echo => ECHO,
        }
    }
}

/// How many bytes arrived in each interval of a transfer.
#[derive(Clone, Debug)]
pub struct Series {
    /// The length of an interval.
    pub interval: Duration,
    /// Bytes that arrived in it, here; for [`Direction::Send`], that were acknowledged.
    pub bytes: Vec<u64>,
}

impl Series {
    /// Bits per second in the intervals from `from` on, all together.
    #[must_use]
    pub fn rate(&self, from: usize) -> f64 {
        let bytes = self.bytes.get(from..).unwrap_or_default();
        rate(bytes.iter().sum(), self.interval, bytes.len())
    }

    /// Bits per second in each interval.
    #[must_use]
    pub fn rates(&self) -> Vec<f64> {
        let rates = self.bytes.iter().map(|b| rate(*b, self.interval, 1));
        rates.collect()
    }
}

#[allow(clippy::cast_precision_loss, reason = "far fewer bytes than 2^53")]
fn rate(bytes: u64, interval: Duration, intervals: usize) -> f64 {
    bytes as f64 * 8.0 / (interval.as_secs_f64() * intervals.max(1) as f64)
}

/// Jain's fairness index of some rates: 1 when all are equal, 1/n when one has everything.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a few rates")]
pub fn jain(rates: &[f64]) -> f64 {
    let sum: f64 = rates.iter().sum();
    let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
    if squares > 0.0 {
        sum * sum / (squares * rates.len() as f64)
    } else {
        0.0
    }
}

/// Moves bytes over a new connection to a service for that many intervals, and says how many
/// arrived in each. Time starts with the connection. Ends it with a reset.
///
/// # Errors
///
/// When the connection cannot be made, or fails.
pub fn transfer(
    service: SocketAddrV4,
    direction: Direction,
    interval: Duration,
    intervals: usize,
) -> Result<Series> {
    let mut stream = connect(service)?;
    use_cubic(&stream)?;
    stream.set_nonblocking(true)?;
    // Whoever ends it has seen enough; what is still on its way is of no interest.
    reset_on_close(&stream)?;

    let (reads, writes) = (
        direction != Direction::Send,
        direction != Direction::Receive,
    );
    let mut events = PollFlags::empty();
    events.set(PollFlags::POLLIN, reads);
    events.set(PollFlags::POLLOUT, writes);
    let mut buffer = vec![0; 256 * 1024];
    let start = Instant::now();
    let (mut received, mut sent, mut before) = (0, 0, 0);
    let mut bytes = Vec::with_capacity(intervals);
    for end in (1..).take(intervals).map(|n| interval * n) {
        loop {
            let left = end.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            let (mut read, mut written) = (0, 0);
            if reads {
                read = moved(stream.read(&mut buffer))?;
            }
            if writes {
                written = moved(stream.write(&buffer))?;
            }
            (received, sent) = (received + read, sent + written);
            if read + written == 0 {
                let mut fds = [PollFd::new(stream.as_fd(), events)];
                let wait = left + Duration::from_micros(999);
                let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
                poll(&mut fds, wait)?;
            }
        }
        let arrived = if reads {
            received
        } else {
            sent - unacknowledged(&stream)?
        };
        bytes.push(arrived - before);
        before = arrived;
    }
    Ok(Series { interval, bytes })
}

/// What a call has moved; 0 if it would have had to wait.
fn moved(result: std::io::Result<usize>) -> Result<u64> {
    match result {
        Ok(0) => bail!("the service closed the connection"),
        Ok(size) => Ok(size.try_into()?),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error).context("a bulk transfer"),
    }
}

/// Bytes in the send queue, unsent or unacknowledged.
fn unacknowledged(stream: &TcpStream) -> Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: the request (`SIOCOUTQ`) writes one integer, which outlives the call.
    let asked = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    check(asked).context("SIOCOUTQ")?;
    Ok(count.try_into()?)
}

/// The congestion control that is compared, whatever the machine's default is.
fn use_cubic(stream: &TcpStream) -> Result<()> {
    setsockopt(stream, sockopt::TcpCongestion, &"cubic".into()).context("cubic")
}

/// Linux's own TCP behind the same two services. Dropping it stops listening; connections end with
/// their clients.
#[derive(Debug)]
pub struct LinuxServices(Vec<Arc<TcpListener>>);

impl LinuxServices {
    /// Starts to listen on an address of that network.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn start(network: &Network, address: Ipv4Addr) -> Result<Self> {
        let serve = |port, service: fn(TcpStream)| -> Result<Arc<TcpListener>> {
            let listener = network.within(|| Ok(Arc::new(TcpListener::bind((address, port))?)))?;
            let accepting = Arc::clone(&listener);
            thread::spawn(move || {
                while let Ok((stream, _)) = accepting.accept() {
                    thread::spawn(move || service(stream));
                }
            });
            Ok(listener)
        };
        Ok(Self(vec![serve(DISCARD, discard)?, serve(SOURCE, source)?]))
    }
}

impl Drop for LinuxServices {
    fn drop(&mut self) {
        for listener in &self.0 {
            // SAFETY: the call takes two integers; the descriptor is open.
            unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
        }
    }
}

/// How long a service waits for a client that has gone without a word.
const PATIENCE: Duration = Duration::from_secs(30);

fn discard(mut stream: TcpStream) {
    let mut buffer = vec![0; 256 * 1024];
    let _ = stream.set_read_timeout(Some(PATIENCE));
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

fn source(mut stream: TcpStream) {
    let buffer = vec![0; 256 * 1024];
    let _ = stream.set_write_timeout(Some(PATIENCE));
    if use_cubic(&stream).is_ok() {
        while stream.write_all(&buffer).is_ok() {}
    }
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jain_s_index_is_one_for_equals_and_falls_with_inequality() {
        assert!((jain(&[5.0, 5.0, 5.0]) - 1.0).abs() < 1e-9);
        assert!((jain(&[5.0, 0.0]) - 0.5).abs() < 1e-9);
        assert!((jain(&[2.0, 1.0]) - 0.9).abs() < 1e-9);
        assert!(jain(&[0.0]).abs() < 1e-9);
    }
}
