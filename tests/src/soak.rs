//! Clients that come and go at random across a path that changes, for as long as one likes.
//!
//! Whole transfers, half-closes, aborts, slow readers, clients that say nothing, connections to
//! ports where nobody listens: all at once, over losses, reordering, duplicates, damage and
//! bottlenecks. Every byte that comes back is checked, and at the end nothing may be left.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, socket};
use std::os::fd::AsRawFd;

use crate::clients::{Pattern, connect, reset_on_close, tcp_echo_checked};
use crate::impair::{Impairment, Side, Stats};
use crate::path::{IMAGE, Path};
use crate::prefix::{Prefix, Unikernel};
use crate::process::Process;
use crate::statistics::{self, Statistics};

/// How long, how many, and where chance starts.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// For how long new clients come.
    pub duration: Duration,
    /// Clients at the same time.
    pub clients: u64,
    /// What chance starts from. Threads and a real clock are part of it, so a seed repeats the
    /// plan, not the run.
    pub seed: u64,
}

/// What happened.
#[derive(Debug)]
pub struct Outcome {
    /// How often each kind of client came, by name.
    pub clients: Vec<(&'static str, u64)>,
    /// Bytes that came back and were right.
    pub bytes: u64,
    /// The path, there and back.
    pub path: [Stats; 2],
    /// The image's statistics at the end.
    pub statistics: Statistics,
}

const SERVICE: SocketAddrV4 = SocketAddrV4::new(IMAGE, 7);
const STATISTICS: SocketAddrV4 = SocketAddrV4::new(IMAGE, 8);
/// Nobody listens there.
const CLOSED: SocketAddrV4 = SocketAddrV4::new(IMAGE, 4444);
/// How often the path changes.
const CHANGE: Duration = Duration::from_secs(5);
/// How long what is left may take to close: more than a TIME-WAIT, and than a FIN is repeated.
const SETTLING: Duration = Duration::from_secs(150);

/// Ports of clients that reset their connections. The path may have lost the reset, and then the
/// image cannot know.
type Ghosts = Mutex<BTreeSet<u16>>;

/// A kind of client.
type Client = fn(&mut Rng, &Ghosts) -> Result<u64>;

/// All kinds; each returns how many bytes came back and were right.
const CLIENTS: &[(&str, Client)] = &[
    ("whole transfer", whole),
    ("small transfer", small),
    ("abort", abort),
    ("abort before reading", abort_at_once),
    ("slow reader", slow_reader),
    ("silent", silent),
    ("close at once", close_at_once),
    ("refused", refused),
];

/// Builds the echo image with the installation, and lets clients at it.
///
/// # Errors
///
/// With the first thing that went wrong: a wrong byte, a connection that failed, something that was
/// left at the end.
pub fn run(prefix: &Prefix, plan: &Plan) -> Result<Outcome> {
    let echo = prefix.build_example("echo", &prefix.root().with_extension("soak"))?;
    let path = Path::new(&Impairment::default(), &Impairment::default(), plan.seed)?;
    let unikernel = Unikernel::new(prefix, &echo)
        .option("--mem=16")
        .option("--net:service=tap0")
        .argument(format!("--ipv4={IMAGE}/24"))
        .argument(format!("--stats-port={}", STATISTICS.port()));
    let image = path.server.within(|| unikernel.start())?;
    image.wait_for("listening", Duration::from_secs(10))?;

    let before = Held::now(&path, &image)?;
    let ghosts = Ghosts::default();
    let (clients, bytes) = serve(&path, plan, &ghosts)
        .with_context(|| format!("the image printed:\n{}", image.text()))?;
    for side in [Side::Forth, Side::Back] {
        path.forwarder.set(side, Impairment::default());
    }
    path.client.within(|| {
        let ghosts = ghosts.lock().expect("no client panics");
        ghosts.iter().try_for_each(|port| exorcise(*port))
    })?;
    before.settle(&path, &image)?;
    let statistics = path.client.within(|| statistics::ask(STATISTICS))?;
    Ok(Outcome {
        clients,
        bytes,
        path: path.forwarder.stop()?,
        statistics,
    })
}

/// Lets clients come until time is up; how many of each kind did, and how many bytes were right.
fn serve(path: &Path, plan: &Plan, ghosts: &Ghosts) -> Result<(Vec<(&'static str, u64)>, u64)> {
    let counts: Vec<AtomicU64> = CLIENTS.iter().map(|_| AtomicU64::new(0)).collect();
    let (bytes, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let failure: Mutex<Option<anyhow::Error>> = Mutex::default();
    let mut seeds = Rng::with_seed(plan.seed);
    thread::scope(|scope| -> Result<()> {
        for number in 0..plan.clients {
            let mut rng = Rng::with_seed(seeds.u64(..));
            let (counts, bytes, stop, failure) = (&counts, &bytes, &stop, &failure);
            let work = move || {
                while !stop.load(Ordering::Relaxed) {
                    let kind = rng.usize(..CLIENTS.len());
                    let (name, client) = CLIENTS[kind];
                    match client(&mut rng, ghosts) {
                        Ok(right) => {
                            counts[kind].fetch_add(1, Ordering::Relaxed);
                            bytes.fetch_add(right, Ordering::Relaxed);
                        }
                        Err(error) => {
                            stop.store(true, Ordering::Relaxed);
                            let error = error.context(format!("client {number}, {name}"));
                            let mut first = failure.lock().expect("no client panics");
                            first.get_or_insert(error);
                        }
                    }
                }
            };
            path.client.within(|| Ok(scope.spawn(work)))?;
        }
        let (start, mut changed) = (Instant::now(), None::<Instant>);
        while start.elapsed() < plan.duration && !stop.load(Ordering::Relaxed) {
            if changed.is_none_or(|at| at.elapsed() >= CHANGE) {
                path.forwarder.set(Side::Forth, weather(&mut seeds));
                path.forwarder.set(Side::Back, weather(&mut seeds));
                changed = Some(Instant::now());
            }
            thread::sleep(Duration::from_millis(100));
        }
        stop.store(true, Ordering::Relaxed);
        Ok(())
    })?;
    if let Some(error) = failure.into_inner().expect("no client panics") {
        return Err(error);
    }
    let counts = CLIENTS.iter().zip(&counts);
    let counts = counts.map(|((name, _), count)| (*name, count.load(Ordering::Relaxed)));
    Ok((counts.collect(), bytes.load(Ordering::Relaxed)))
}

/// What the path does for a while.
fn weather(rng: &mut Rng) -> Impairment {
    let mut some = |chance: f64, most: f64| {
        let value = rng.f64() * most;
        if rng.f64() < chance { value } else { 0.0 }
    };
    let mut weather = Impairment {
        loss: some(0.7, 0.03),
        burst: some(0.3, 0.002),
        burst_length: 1.0 + some(1.0, 5.0),
        duplicate: some(0.5, 0.02),
        corrupt: some(0.5, 0.01),
        reorder: some(0.5, 0.03),
        reorder_by: Duration::from_secs_f64(some(1.0, 0.01)),
        delay: Duration::from_secs_f64(some(0.8, 0.02)),
        jitter: Duration::from_secs_f64(some(0.5, 0.005)),
        ..Impairment::default()
    };
    if rng.bool() {
        weather.rate = Some(rng.u64(10_000_000..200_000_000));
        weather.queue = rng.u64(30_000..500_000);
        weather.mark = rng.bool().then_some(weather.queue / 3);
    }
    weather
}

/// A length between 1 and `most`, small ones as likely as large ones.
fn length(rng: &mut Rng, most: u64) -> u64 {
    let bits = rng.u32(0..=most.ilog2());
    rng.u64(1..=(2 << bits)).min(most)
}

fn whole(rng: &mut Rng, _: &Ghosts) -> Result<u64> {
    let bytes = length(rng, 1 << 20);
    tcp_echo_checked(SERVICE, rng.u64(..), bytes)?;
    Ok(bytes)
}

/// Several questions and answers over one connection, then a half-close and the rest.
fn small(rng: &mut Rng, _: &Ghosts) -> Result<u64> {
    let mut stream = connect(SERVICE)?;
    let seed = rng.u64(..);
    let (mut sent, mut expected) = (Pattern::new(seed), Pattern::new(seed));
    let mut total = 0;
    for _ in 0..rng.u32(1..10) {
        let size = length(rng, 1 << 14);
        send(&mut stream, &mut sent, size)?;
        receive(&mut stream, &mut expected, size)?;
        total += size;
    }
    let size = length(rng, 1 << 14);
    send(&mut stream, &mut sent, size)?;
    stream.shutdown(Shutdown::Write)?;
    receive(&mut stream, &mut expected, size)?;
    ensure!(stream.read(&mut [0])? == 0, "more comes than was sent");
    Ok(total + size)
}

fn abort(rng: &mut Rng, ghosts: &Ghosts) -> Result<u64> {
    let mut stream = connect(SERVICE)?;
    let seed = rng.u64(..);
    let size = length(rng, 1 << 16);
    send(&mut stream, &mut Pattern::new(seed), size)?;
    let read = rng.u64(0..=size);
    receive(&mut stream, &mut Pattern::new(seed), read)?;
    reset(&stream, ghosts)?;
    Ok(read)
}

/// Goes while as much as fits is on its way.
fn abort_at_once(rng: &mut Rng, ghosts: &Ghosts) -> Result<u64> {
    let stream = connect(SERVICE)?;
    stream.set_nonblocking(true)?;
    let size = usize::try_from(length(rng, 1 << 20))?;
    match (&stream).write(&vec![7; size]) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error).context("writing"),
    }
    reset(&stream, ghosts)?;
    Ok(0)
}

/// Sends more than it reads for a while, so that windows close.
fn slow_reader(rng: &mut Rng, _: &Ghosts) -> Result<u64> {
    let mut stream = connect(SERVICE)?;
    let seed = rng.u64(..);
    let size = length(rng, 1 << 18);
    let mut sending = stream.try_clone()?;
    let sender = thread::spawn(move || -> Result<()> {
        send(&mut sending, &mut Pattern::new(seed), size)?;
        Ok(sending.shutdown(Shutdown::Write)?)
    });
    let mut expected = Pattern::new(seed);
    let mut left = size;
    let result = loop {
        if left == 0 {
            break Ok(());
        }
        let part = left.min(rng.u64(1..=16) << 10);
        if let Err(error) = receive(&mut stream, &mut expected, part) {
            let _ = stream.shutdown(Shutdown::Both);
            break Err(error);
        }
        left -= part;
        thread::sleep(Duration::from_millis(rng.u64(0..50)));
    };
    sender.join().expect("a sender does not panic")?;
    result?;
    Ok(size)
}

fn silent(rng: &mut Rng, ghosts: &Ghosts) -> Result<u64> {
    let stream = connect(SERVICE)?;
    thread::sleep(Duration::from_millis(rng.u64(0..2000)));
    if rng.bool() {
        reset(&stream, ghosts)?;
    }
    Ok(0)
}

fn close_at_once(_: &mut Rng, _: &Ghosts) -> Result<u64> {
    connect(SERVICE)?;
    Ok(0)
}

fn refused(_: &mut Rng, _: &Ghosts) -> Result<u64> {
    let Err(error) = connect(CLOSED) else {
        bail!("a connection to a closed port");
    };
    let kind = error.downcast_ref().map(std::io::Error::kind);
    if kind == Some(ErrorKind::ConnectionRefused) {
        return Ok(0);
    }
    Err(error)
}

/// Closing it sends RST, which may get lost.
fn reset(stream: &TcpStream, ghosts: &Ghosts) -> Result<()> {
    let port = stream.local_addr()?.port();
    ghosts.lock().expect("no client panics").insert(port);
    Ok(reset_on_close(stream)?)
}

/// Brings the image to notice that a client is gone whose reset was lost: its host starts anew from
/// the same port, and resets what the image answers about the old connection (RFC 9293 §3.5.1,
/// figure 9).
fn exorcise(port: u16) -> Result<()> {
    let kind = (
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
    );
    let socket = socket(kind.0, kind.1, kind.2, None)?;
    match bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port)) {
        Ok(()) => {}
        // A later client had that port, and so the old connection is gone.
        Err(Errno::EADDRINUSE) => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("port {port}")),
    }
    nix::sys::socket::connect(socket.as_raw_fd(), &SockaddrIn::from(SERVICE))
        .with_context(|| format!("once more from port {port}"))?;
    // It has nothing to say, and leaves as it came.
    TcpStream::from(socket).shutdown(Shutdown::Write)?;
    Ok(())
}

/// Sends the next bytes of a pattern, in whole words: both sides count in the same steps.
fn send(stream: &mut TcpStream, pattern: &mut Pattern, size: u64) -> Result<()> {
    let mut buffer = vec![0; usize::try_from(size)?];
    pattern.fill(&mut buffer);
    stream.write_all(&buffer).context("sending")
}

fn receive(stream: &mut TcpStream, pattern: &mut Pattern, size: u64) -> Result<()> {
    let size = usize::try_from(size)?;
    let (mut expected, mut got) = (vec![0; size], vec![0; size]);
    pattern.fill(&mut expected);
    stream.read_exact(&mut got).context("receiving")?;
    ensure!(got == expected, "other bytes than were sent came back");
    Ok(())
}

/// What could leak.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    connections: u64,
    frames: u64,
    /// Of the tender's process, in KiB.
    memory: u64,
    descriptors: usize,
}

impl Held {
    fn now(path: &Path, image: &Process) -> Result<Self> {
        let statistics = path.client.within(|| statistics::ask(STATISTICS))?;
        let value = |name: &str| statistics.get(name).copied().context(name.to_owned());
        let mut connections = 0;
        for name in ["connections", "half_open", "time_wait", "orphaned"] {
            connections += value(name)?;
        }
        let pid = image.pid()?;
        Ok(Self {
            connections,
            frames: value("frames_total")? - value("frames_free")?,
            memory: statistics::memory(pid, "VmSize")?,
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        })
    }

    /// Waits until no more is held than this.
    fn settle(&self, path: &Path, image: &Process) -> Result<()> {
        let start = Instant::now();
        loop {
            let now = Self::now(path, image)?;
            let at_most = Self {
                frames: now.frames.min(self.frames),
                ..self.clone()
            };
            if now == at_most {
                return Ok(());
            }
            ensure!(
                start.elapsed() < SETTLING,
                "left at the end: {now:?}; at the start there was {self:?}"
            );
            thread::sleep(Duration::from_millis(200));
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.clients.iter().map(|(_, count)| count).sum();
        writeln!(
            f,
            "{total} clients, {} bytes came back, all right",
            self.bytes
        )?;
        for (name, count) in &self.clients {
            writeln!(f, "  {name}: {count}")?;
        }
        writeln!(f, "path there: {}", self.path[0])?;
        writeln!(f, "path back: {}", self.path[1])?;
        write!(f, "image: {}", statistics::text(&self.statistics))
    }
}
