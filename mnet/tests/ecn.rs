//! Classic ECN with Linux' own TCP (RFC 3168), across a TAP device whose cable marks: Linux as
//! client of a server here, and as server of a client here.
//!
//! Everything happens in a network namespace of this process. Where none can be made the test says
//! so and passes.

mod namespace;

use mnet::mnet_core::device::{RxInfo, TxFrame};
use mnet::mnet_core::error::{RecvError, SendError};
use mnet::tap::{Tap, TapDevice};
use mnet::{Config, Device, EcnMode, Instant, NoEntropy, Platform, Runtime, SocketId};
use mnet::{TransmitError, mnet_core::tcp::EcnFeedback};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Generous: a loaded machine is slow, a hanging test is still found.
const PATIENCE: Duration = Duration::from_secs(60);
/// One in so many ECN-capable packets is marked.
const EVERY: u64 = 50;
const BYTES: usize = 3 << 20;
const OURS: &str = "10.0.0.2";
const LINUX: &str = "10.0.0.1";
const PORT: u16 = 7;

/// ECN-capable packets that came by, and those of them that were marked.
#[derive(Debug, Default)]
struct Way {
    capable: AtomicU64,
    marked: AtomicU64,
}

impl Way {
    /// Marks a frame if it is its turn.
    fn pass(&self, frame: &mut [u8]) {
        let is_ipv4 = frame.get(12..14) == Some(&[8, 0]) && frame.len() >= 34;
        if !is_ipv4 || !matches!(frame[15] & 3, 1 | 2) {
            return;
        }
        let seen = self.capable.fetch_add(1, Ordering::Relaxed) + 1;
        if !seen.is_multiple_of(EVERY) {
            return;
        }
        self.marked.fetch_add(1, Ordering::Relaxed);
        frame[15] |= 3;
        frame[24..26].fill(0);
        let words = frame[14..34].chunks_exact(2);
        let mut sum: u32 = words
            .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let sum = !u16::try_from(sum).unwrap();
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }

    fn marked(&self) -> u64 {
        self.marked.load(Ordering::Relaxed)
    }
}

/// A TAP device at the end of a cable that marks.
struct Cable {
    device: TapDevice,
    /// To us, and from us.
    ways: Arc<[Way; 2]>,
}

impl Device for Cable {
    fn hardware_address(&self) -> [u8; 6] {
        self.device.hardware_address()
    }

    fn mtu(&self) -> usize {
        self.device.mtu()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<RxInfo> {
        let info = self.device.receive(buffer)?;
        self.ways[0].pass(&mut buffer[..info.len]);
        Some(info)
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), TransmitError> {
        let mut bytes = frame.slices.concat();
        self.ways[1].pass(&mut bytes);
        self.device.transmit(&TxFrame {
            slices: [bytes.as_slice()].into_iter().collect(),
            ..*frame
        })
    }
}

/// The TAP platform with such a device.
#[derive(Default)]
struct Host(Tap);

impl Platform for Host {
    type Device = Cable;

    fn now(&mut self) -> Instant {
        self.0.now()
    }

    fn wait(&mut self, _: &mut [Cable], deadline: Instant) {
        let left = deadline.saturating_since(self.0.now());
        thread::sleep(left.min(Duration::from_micros(100)));
    }

    fn entropy(&mut self) -> Result<[u8; 32], NoEntropy> {
        self.0.entropy()
    }
}

/// A stack of ours on `tap0`, and what passes its cable.
struct Ours {
    runtime: Runtime<Host>,
    ways: Arc<[Way; 2]>,
}

impl Ours {
    fn new(mode: EcnMode) -> Self {
        let mut config = Config::default();
        config.tcp.ecn = mode;
        let mut runtime = Runtime::new(&config, Host::default(), None).unwrap();
        let ways = Arc::new([Way::default(), Way::default()]);
        let device = TapDevice::open("tap0").unwrap();
        let ways_of_cable = Arc::clone(&ways);
        let interface = runtime
            .attach(Cable {
                device,
                ways: ways_of_cable,
            })
            .unwrap();
        let now = runtime.now();
        let address = OURS.parse().unwrap();
        let stack = runtime.stack_mut();
        stack.add_address(now, interface, address, 24).unwrap();
        Self { runtime, ways }
    }

    fn turn(&mut self) {
        let soon = self.runtime.now() + Duration::from_millis(1);
        self.runtime.turn(soon);
        while self.runtime.stack_mut().poll_event().is_some() {}
    }

    /// Sends back what comes on a connection, until the peer has ended it.
    fn echo(&mut self, id: SocketId) {
        let mut waiting = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        let mut ended = false;
        while !(ended && waiting.is_empty()) {
            self.turn();
            let now = self.runtime.now();
            let stack = self.runtime.stack_mut();
            if waiting.is_empty() {
                match stack.tcp_recv(now, id, &mut buffer) {
                    Ok(0) => ended = true,
                    Ok(len) => waiting.extend(&buffer[..len]),
                    Err(RecvError::WouldBlock) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            match stack.tcp_send(now, id, &waiting) {
                Ok(len) => drop(waiting.drain(..len)),
                Err(SendError::WouldBlock) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// Sends what Linux is to send back, reads that, and closes.
    fn ask(&mut self, id: SocketId) {
        let data = pattern();
        let (mut sent, mut answer) = (0, Vec::<u8>::new());
        let mut buffer = vec![0; 64 << 10];
        let mut ended = false;
        while !ended {
            self.turn();
            let now = self.runtime.now();
            let stack = self.runtime.stack_mut();
            if sent < data.len() {
                sent += stack.tcp_send(now, id, &data[sent..]).unwrap_or(0);
                if sent == data.len() {
                    stack.tcp_shutdown(now, id).unwrap();
                }
            }
            match stack.tcp_recv(now, id, &mut buffer) {
                Ok(0) => ended = true,
                Ok(len) => answer.extend(&buffer[..len]),
                Err(RecvError::WouldBlock) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(
            answer == data,
            "{} of {BYTES} bytes, or others",
            answer.len()
        );
    }

    fn close(&mut self, id: SocketId) {
        let now = self.runtime.now();
        self.runtime.stack_mut().close(now, id).unwrap();
        self.turn();
    }

    /// What the stack and Linux say about the marks of a transfer of [`BYTES`] there and back.
    /// `before`: Linux' counters at its start.
    fn check(&self, before: &BTreeMap<String, u64>) {
        let counters = self.runtime.stack().counters();
        let [to_us, to_linux] = &*self.ways;
        let after = linux_counters();
        let linux = |name: &str| after[name] - before[name];
        println!(
            "marked {} to us, {} to Linux; reductions {} here; retransmissions {} here, {} there",
            to_us.marked(),
            to_linux.marked(),
            counters.tcp_ecn_reductions,
            counters.tcp_retransmits,
            linux("Tcp:RetransSegs"),
        );
        assert_eq!(counters.tcp_ecn_agreed, 1);
        // 3 MiB are more than 2,000 packets.
        assert!(to_us.marked() >= 40 && to_linux.marked() >= 40);
        assert_eq!(counters.tcp_ecn_marks_received, to_us.marked());
        assert_eq!(linux("IpExt:InCEPkts"), to_linux.marked());
        // Linux echoes our marks, and believes our echoes of its own.
        assert!(counters.tcp_ecn_reductions >= 10);
        assert!(counters.tcp_ecn_reductions <= to_linux.marked());
        assert!(linux("TcpExt:TCPDeliveredCE") >= 10);
        // Nobody takes a mark for a loss.
        assert_eq!(counters.tcp_fast_retransmits, 0);
        assert_eq!(linux("TcpExt:TCPFastRetrans"), 0);
    }
}

/// The bytes of a transfer.
fn pattern() -> Vec<u8> {
    (0..BYTES)
        .map(|i| (i.wrapping_mul(31) ^ (i >> 9)).to_le_bytes()[0])
        .collect()
}

/// Linux' counters in this thread's network, as `Tcp:RetransSegs`.
fn linux_counters() -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    for file in ["netstat", "snmp"] {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks_exact(2) {
            let mut names = pair[0].split_whitespace();
            let mut values = pair[1].split_whitespace();
            let kind = names.next().unwrap();
            assert_eq!(values.next(), Some(kind));
            for (name, value) in names.zip(values) {
                // Some are negative by nature; none that is of interest here.
                counters.insert(format!("{kind}{name}"), value.parse().unwrap_or(0));
            }
        }
    }
    counters
}

/// A thread of Linux' side stays in the namespace of the one that makes it.
fn linux_asks() -> JoinHandle<()> {
    thread::spawn(|| {
        let ours = SocketAddr::new(OURS.parse().unwrap(), PORT);
        let mut stream = TcpStream::connect_timeout(&ours, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut sender = stream.try_clone().unwrap();
        let writer = thread::spawn(move || {
            sender.write_all(&pattern()).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        let mut answer = Vec::with_capacity(BYTES);
        stream.read_to_end(&mut answer).unwrap();
        writer.join().unwrap();
        assert!(answer == pattern(), "{} bytes, or others", answer.len());
    })
}

fn linux_answers(listener: TcpListener) -> JoinHandle<()> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let len = stream.read(&mut buffer).unwrap();
            if len == 0 {
                return stream.shutdown(Shutdown::Write).unwrap();
            }
            stream.write_all(&buffer[..len]).unwrap();
        }
    })
}

#[test]
fn linux_and_we_answer_marks_without_losing_anything() {
    if let Err(reason) = namespace::enter() {
        println!("skipped: {reason}");
        return;
    }
    if let Err(error) = fs::write("/proc/sys/net/ipv4/tcp_ecn", "1") {
        println!("skipped: net.ipv4.tcp_ecn: {error}");
        return;
    }

    // Linux asks for ECN.
    let mut ours = Ours::new(EcnMode::Passive);
    let before = linux_counters();
    let local = SocketAddr::new(OURS.parse().unwrap(), PORT);
    let listener = ours.runtime.stack_mut().tcp_listen(local, 4).unwrap();
    let client = linux_asks();
    let id = loop {
        ours.turn();
        if let Ok(id) = ours.runtime.stack_mut().tcp_accept(listener) {
            break id;
        }
        assert!(!client.is_finished(), "it did not connect");
    };
    ours.echo(id);
    ours.close(id);
    while !client.is_finished() {
        ours.turn();
    }
    client.join().unwrap();
    ours.check(&before);
    drop(ours);

    // We do.
    let mut ours = Ours::new(EcnMode::Active);
    let before = linux_counters();
    let listener = TcpListener::bind((LINUX, PORT)).unwrap();
    let server = linux_answers(listener);
    let remote = SocketAddr::new(LINUX.parse().unwrap(), PORT);
    let now = ours.runtime.now();
    let id = ours.runtime.stack_mut().tcp_connect(now, remote, None);
    let id = id.unwrap();
    ours.ask(id);
    let info = ours.runtime.stack().tcp_info(id);
    assert_eq!(info.unwrap().ecn, EcnFeedback::Classic);
    ours.close(id);
    while !server.is_finished() {
        ours.turn();
    }
    server.join().unwrap();
    ours.check(&before);
}
