//! A flood of SYNs from addresses that never asked for anything, and what a service does meanwhile.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use etherparse::{PacketBuilder, TcpHeader, TcpOptionElement};

use crate::bridge;
use crate::bulk::{Direction, Series, transfer};
use crate::frame::{IP, TRANSPORT, fix_checksums};
use crate::path::Path;
use crate::tap::Tap;

/// SYNs that come in at a steady rate. Ends when dropped.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64>>>,
}

/// How often in a second SYNs are sent.
const TICKS: u32 = 1000;
/// The hardware address that they come from.
const SOURCE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0xf1, 0x0d];

impl Flood {
    /// Starts to send that many SYNs each second to a service, from a device of its own at the
    /// bridge of a path. Their sources are random addresses of 198.18.0.0/15, which is set aside
    /// for such purposes (RFC 2544), and their options those that hosts have.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn start(
        path: &Path,
        mac: [u8; 6],
        service: SocketAddrV4,
        per_second: u32,
        seed: u64,
    ) -> Result<Self> {
        let device: OwnedFd = path.server.within(|| {
            let tap = Tap::new("flood")?;
            let port = tap.occupy()?;
            bridge::add(&path.bridge, &tap)?;
            Ok(port)
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let frame = syn(mac, service)?;
            send(&File::from(device), frame, per_second, seed, &stopped)
        });
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends it; how many SYNs there were.
    ///
    /// # Errors
    ///
    /// When they could not be sent.
    pub fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it runs")?;
        thread.join().expect("the flood does not panic")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A SYN with the options of today's hosts.
fn syn(mac: [u8; 6], service: SocketAddrV4) -> Result<Vec<u8>> {
    let mut header = TcpHeader::new(1, service.port(), 0, 64_240);
    header.syn = true;
    header.set_options(&[
        TcpOptionElement::MaximumSegmentSize(1460),
        TcpOptionElement::SelectiveAcknowledgementPermitted,
        TcpOptionElement::Timestamp(1, 0),
        TcpOptionElement::Noop,
        TcpOptionElement::WindowScale(7),
    ])?;
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(SOURCE_MAC, mac)
        .ipv4([198, 18, 0, 0], service.ip().octets(), 64)
        .tcp_header(header)
        .write(&mut frame, &[])?;
    Ok(frame)
}

fn send(
    mut device: &File,
    mut frame: Vec<u8>,
    per_second: u32,
    seed: u64,
    stop: &AtomicBool,
) -> Result<u64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = start.elapsed().as_nanos() * u128::from(per_second) / 1_000_000_000;
        while u128::from(sent) < due && !stop.load(Ordering::Relaxed) {
            frame[IP + 13] = 18 + random.u8(0..2);
            random.fill(&mut frame[IP + 14..IP + 16]);
            frame[TRANSPORT..TRANSPORT + 2].copy_from_slice(&random.u16(1024..).to_be_bytes());
            random.fill(&mut frame[TRANSPORT + 4..TRANSPORT + 8]);
            fix_checksums(&mut frame);
            device.write_all(&frame).context("a SYN of the flood")?;
            sent += 1;
        }
        thread::sleep(Duration::from_secs(1) / TICKS);
    }
    Ok(sent)
}

/// A transfer, clients that come and go, and a flood in the middle.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The echo service.
    pub service: SocketAddrV4,
    /// The image's hardware address.
    pub mac: [u8; 6],
    /// SYNs per second.
    pub per_second: u32,
    /// Seconds before the flood, with it, and after it.
    pub seconds: [usize; 3],
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Goodput of the transfer before, with, and after the flood, in bits per second.
    pub rates: [f64; 3],
    /// SYNs that were sent, for each second.
    pub syns_per_second: f64,
    /// How long each new client took to connect and get an answer during the flood.
    pub clients: Vec<Duration>,
    /// Why clients failed during it.
    pub failures: Vec<String>,
}

/// Sends a stream to the echo service and back from before the flood until after it; while it lasts,
/// a new client comes every tenth of a second.
///
/// # Errors
///
/// When the transfer fails, or nothing could be sent.
#[allow(clippy::cast_precision_loss, reason = "far fewer SYNs than 2^53")]
pub fn endure(path: &Path, plan: &Plan) -> Result<Outcome> {
    let Plan {
        service, seconds, ..
    } = *plan;
    let [before, during, after] = seconds;
    thread::scope(|scope| {
        let start = Instant::now();
        let stream = path.client.within(|| {
            let intervals = before + during + after;
            let second = Duration::from_secs(1);
            Ok(scope.spawn(move || transfer(service, Direction::Echo, second, intervals)))
        })?;
        let at = |seconds: usize| Duration::from_secs(seconds as u64);
        thread::sleep(at(before).saturating_sub(start.elapsed()));
        let flood = Flood::start(path, plan.mac, service, plan.per_second, 1)?;
        let flood_start = Instant::now();
        let (mut clients, mut failures) = (Vec::new(), Vec::new());
        path.client.within(|| {
            let mut next = start.elapsed();
            while start.elapsed() < at(before + during) {
                match visit(service) {
                    Ok(time) => clients.push(time),
                    Err(error) => failures.push(format!("{error:#}")),
                }
                next += Duration::from_millis(100);
                thread::sleep(next.saturating_sub(start.elapsed()));
            }
            Ok(())
        })?;
        let flood_time = flood_start.elapsed();
        let syns = flood.stop()?;
        let series = stream.join().expect("a transfer does not panic")?;
        Ok(Outcome {
            rates: [
                mean(&series, 0, before),
                mean(&series, before, before + during),
                mean(&series, before + during, before + during + after),
            ],
            syns_per_second: syns as f64 / flood_time.as_secs_f64(),
            clients,
            failures,
        })
    })
}

fn mean(series: &Series, from: usize, to: usize) -> f64 {
    let part = Series {
        interval: series.interval,
        bytes: series.bytes[from..to].to_vec(),
    };
    part.rate(0)
}

/// How long a new client tries.
const PATIENCE: Duration = Duration::from_secs(4);

/// A new client: connects, gets an answer, leaves in order. How long it took to the answer.
fn visit(service: SocketAddrV4) -> Result<Duration> {
    let start = Instant::now();
    let mut stream = TcpStream::connect_timeout(&service.into(), PATIENCE).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    let elapsed = start.elapsed();
    ensure!(&answer == b"hello", "{answer:?}");
    stream.shutdown(Shutdown::Both)?;
    Ok(elapsed)
}

/// Where replies to the flood go: a gateway that drops them, for it forwards nothing.
#[must_use]
pub fn gateway() -> Ipv4Addr {
    crate::path::LINUX
}
