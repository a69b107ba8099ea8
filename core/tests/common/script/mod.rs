//! One connection and the peer that a script describes: what each line does, and what it expects.
//! `words` reads the words.

pub mod words;

use super::packet::{Packet, flags_to_string, icmp_error};
use super::{Host, OURS, PEER, pattern_at};
use mnet_core::config::{Config, ConnectOptions, ListenOptions};
use mnet_core::error::{AcceptError, RecvError, SendError};
use mnet_core::wire::tcp::{FastOpenCookie, Flags, TcpOptions};
use mnet_core::{Instant, SocketId};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use words::{Line, PEER_COOKIE, describe, duration, setting};

/// The port that scripts listen on or connect to, and the peer's other port.
pub const SERVICE: u16 = 80;
pub const PEER_PORT: u16 = 45_000;

pub struct Script {
    pub host: Host,
    pub listener: Option<SocketId>,
    pub connection: Option<SocketId>,
    pub our_port: u16,
    pub peer_port: u16,
    /// The peer's initial sequence number, and ours once it is known.
    pub peer_isn: u32,
    pub our_isn: Option<u32>,
    /// The peer's clock at the script's start, if it sends timestamps; what we sent last.
    pub peer_clock: Option<u32>,
    pub our_timestamp: u32,
    pub start: Instant,
    /// The cookie that we have given.
    pub our_cookie: Option<FastOpenCookie>,
    /// Stream offsets of the calls.
    pub written: usize,
    pub read: usize,
    pub unflushed: bool,
    pub log: String,
}

impl Script {
    pub fn new(config: &Config, start: Instant, peer_isn: u32) -> Self {
        Self {
            host: Host::new(config, 7, start),
            listener: None,
            connection: None,
            our_port: SERVICE,
            peer_port: PEER_PORT,
            peer_isn,
            our_isn: None,
            peer_clock: None,
            our_timestamp: 0,
            our_cookie: None,
            start,
            written: 0,
            read: 0,
            unflushed: false,
            log: String::new(),
        }
    }

    pub fn id(&self) -> SocketId {
        self.connection.expect("the script has a connection")
    }

    pub fn peer_timestamp(&self) -> u32 {
        let elapsed = self.host.now.saturating_since(self.start).as_millis();
        self.peer_clock
            .unwrap_or(0)
            .wrapping_add(u32::try_from(elapsed).unwrap())
    }

    /// `-->`: the peer sends.
    pub fn peer_sends(&mut self, line: &mut Line<'_>) {
        let described = describe(line);
        let ours = self.our_isn.unwrap_or(0);
        let mut packet = Packet::to_us(
            described.from.unwrap_or(self.peer_port),
            self.our_port,
            described.flags,
            self.peer_isn.wrapping_add(described.seq),
            described.ack.map_or(0, |ack| ours.wrapping_add(ack)),
        );
        packet.window = described.window.unwrap_or(65_535);
        packet.urgent = described.urgent;
        packet.ecn = described.ecn;
        packet.payload = pattern_at(described.offset(), described.data);
        if described.timestamps.is_some() && self.peer_clock.is_none() {
            self.peer_clock = described.timestamps.and_then(|(value, _)| value);
        }
        let timestamps = match described.timestamps {
            Some((value, echo)) => Some((
                value.unwrap_or(self.peer_timestamp()),
                echo.unwrap_or(self.our_timestamp),
            )),
            None if self.peer_clock.is_some() && !described.no_timestamps => {
                let echo = self.our_timestamp.wrapping_sub(described.echo_age);
                Some((self.peer_timestamp(), echo))
            }
            None => None,
        };
        packet.options = TcpOptions {
            mss: described.mss,
            window_scale: described.scale,
            timestamps,
            sack_permitted: described.sack_permitted,
            fast_open: described.fast_open.map(|what| self.cookie(&what)),
            sack_blocks: described
                .sack
                .iter()
                .flatten()
                .map(|(left, right)| (ours.wrapping_add(*left), ours.wrapping_add(*right)))
                .collect(),
            accecn: described.accecn,
        };
        let _ = writeln!(
            self.log,
            "{:>4}  {} --> {packet}",
            line.number, self.host.now
        );
        self.host.deliver(&packet);
        self.unflushed = true;
    }

    /// A Fast Open cookie by its name.
    pub fn cookie(&self, what: &str) -> FastOpenCookie {
        match what {
            "ask" => FastOpenCookie::default(),
            "ours" => self.our_cookie.expect("a cookie of ours"),
            "peers" => PEER_COOKIE.into(),
            "bad" => [9; 8].into(),
            other => panic!("what is {other}?"),
        }
    }

    /// `icmp`: a router complains about a segment with so many bytes of data.
    pub fn router_complains(&mut self, line: &mut Line<'_>) {
        let number = line.number;
        let (error, mtu) = match line.next() {
            "too-big" => ((3, 4), u16::try_from(line.number()).unwrap()),
            "host-unreachable" => ((3, 1), 0),
            "protocol-unreachable" => ((3, 2), 0),
            "port-unreachable" => ((3, 3), 0),
            "time-exceeded" => ((11, 0), 0),
            other => panic!("line {number}: what is {other}?"),
        };
        line.words.push_front("ACK");
        let described = describe(line);
        let seq = self.our_isn.unwrap_or(0).wrapping_add(described.seq);
        let mut packet = Packet::to_us(
            self.our_port,
            described.from.unwrap_or(self.peer_port),
            described.flags,
            seq,
            self.peer_isn,
        );
        (packet.source, packet.destination) = (OURS, PEER);
        packet.payload = vec![0; described.data];
        packet.options.timestamps = self.peer_clock.map(|_| (self.our_timestamp, 0));
        let now = self.host.now;
        let _ = writeln!(self.log, "{number:>4}  {now} icmp {error:?} {mtu}: {seq}");
        let frame = icmp_error(&packet.to_frame(), error, mtu);
        let host = &mut self.host;
        host.stack.receive_copy(now, host.interface, &frame);
        self.unflushed = true;
    }

    pub fn flush(&mut self) {
        if self.unflushed {
            self.host.flush();
            self.unflushed = false;
        }
    }

    pub fn nothing_sent(&mut self, number: usize) {
        self.flush();
        if let Some((at, packet)) = self.host.sent.front() {
            let packet = self.relative(packet);
            panic!("line {number}: unexpected at {at}: {packet}\n{}", self.log);
        }
    }

    pub fn relative(&self, packet: &Packet) -> Packet {
        let mut packet = packet.clone();
        packet.seq = packet.seq.wrapping_sub(self.our_isn.unwrap_or(0));
        packet.ack = packet.ack.wrapping_sub(self.peer_isn);
        packet
    }

    /// `<--`: the stack has sent exactly this.
    pub fn stack_sent(&mut self, line: &mut Line<'_>) {
        self.flush();
        let number = line.number;
        let described = describe(line);
        let Some((at, packet)) = self.host.sent.pop_front() else {
            panic!("line {number}: nothing was sent\n{}", self.log);
        };
        if packet.flags.contains(Flags::SYN) && described.seq == 0 {
            self.our_isn = Some(packet.seq);
        }
        if let Some((value, _)) = packet.options.timestamps {
            self.our_timestamp = value;
        }
        let absolute = packet;
        let packet = self.relative(&absolute);
        let _ = writeln!(self.log, "{number:>4}  {at} <-- {packet}");
        let log = &self.log;
        let fail = |what: &str| panic!("line {number}: {what}\n{log}");
        if packet.flags != described.flags {
            fail(&format!("flags {}", flags_to_string(described.flags)));
        }
        if packet.ecn != described.ecn {
            fail(&format!("{:?}", described.ecn));
        }
        if packet.options.accecn != described.accecn {
            let (want, got) = (described.accecn, packet.options.accecn);
            fail(&format!("{want:?}, not {got:?}"));
        }
        // A reset without ACK may answer a segment with a number of the peer's choice.
        if packet.seq != described.seq
            && !(packet.flags == Flags::RST | Flags::ACK && absolute.seq == 0)
        {
            fail(&format!("seq {}", described.seq));
        }
        if packet.flags.contains(Flags::ACK) && Some(packet.ack) != described.ack {
            fail(&format!("ack {:?}", described.ack));
        }
        if packet.payload.len() != described.data {
            fail(&format!("data {}", described.data));
        }
        if packet.payload != pattern_at(described.offset(), described.data) {
            fail("the bytes are not those of the stream");
        }
        if described
            .window
            .is_some_and(|window| window != packet.window)
        {
            fail(&format!("win {:?}", described.window));
        }
        if described
            .time_to_live
            .is_some_and(|ttl| ttl != packet.time_to_live)
            || described
                .traffic_class
                .is_some_and(|class| class != packet.traffic_class)
        {
            fail(&format!(
                "ttl {} tos {}",
                packet.time_to_live, packet.traffic_class
            ));
        }
        if described.mss != packet.options.mss
            && (described.mss.is_some() || described.scale.is_some())
        {
            fail(&format!(
                "mss {:?}, not {:?}",
                described.mss, packet.options.mss
            ));
        }
        if described.scale.is_some() && described.scale != packet.options.window_scale {
            fail(&format!(
                "scale {:?}, not {:?}",
                described.scale, packet.options.window_scale
            ));
        }
        let blocks: Vec<(u32, u32)> = packet
            .options
            .sack_blocks
            .iter()
            .map(|(left, right)| {
                let relative = |edge: &u32| edge.wrapping_sub(self.peer_isn);
                (relative(left), relative(right))
            })
            .collect();
        if described.sack.as_ref().is_some_and(|want| *want != blocks) {
            fail(&format!("sack {:?}, not {blocks:?}", described.sack));
        }
        if let Some(what) = &described.fast_open {
            let got = packet.options.fast_open;
            let right = match what.as_str() {
                "none" => got.is_none(),
                // A new one, to be given back as `ours`.
                "new" => got.is_some_and(|new| !new.is_empty()) && got != self.our_cookie,
                what => got == Some(self.cookie(what)),
            };
            if !right {
                return fail(&format!("fo {what}, not {got:?}"));
            }
            self.our_cookie = got.filter(|_| what == "new").or(self.our_cookie);
        }
        if described.sack_permitted && !packet.options.sack_permitted {
            fail("sack-ok");
        }
        if described.no_timestamps && packet.options.timestamps.is_some() {
            fail("no timestamps");
        }
        if let Some((value, echo)) = described.timestamps {
            let Some((got_value, got_echo)) = packet.options.timestamps else {
                return fail("timestamps");
            };
            if value.is_some_and(|value| value != got_value)
                || echo.is_some_and(|echo| echo != got_echo)
            {
                fail(&format!(
                    "ts {value:?} {echo:?}, not {got_value} {got_echo}"
                ));
            }
        }
    }

    /// `call`: the user does something. A word behind it that names an error expects that.
    pub fn call(&mut self, line: &mut Line<'_>) {
        let number = line.number;
        let _ = writeln!(
            self.log,
            "{number:>4}  {} call {}",
            self.host.now,
            line.words.make_contiguous().join(" ")
        );
        let now = self.host.now;
        self.unflushed = true;
        match line.next() {
            "listen" => {
                let mut options = ListenOptions {
                    backlog: line.number() as usize,
                    ..ListenOptions::default()
                };
                while let Some(word) = line.words.pop_front() {
                    match word {
                        "fast-open" => options.fast_open = line.number() as usize,
                        "max" => options.max_connections = Some(line.number() as usize),
                        other => panic!("line {number}: what is {other}?"),
                    }
                }
                let local = SocketAddr::from((OURS, SERVICE));
                let listener = self.host.stack.tcp_listen_with(local, &options);
                self.listener = Some(listener.expect("listen"));
            }
            "accept" => {
                let listener = self.listener.expect("a listener");
                match (self.host.stack.tcp_accept(listener), line.words.pop_front()) {
                    (Ok(id), None) => self.connection = Some(id),
                    (Err(AcceptError::WouldBlock), Some("would-block")) => {}
                    (got, want) => {
                        panic!("line {number}: accept: {got:?}, not {want:?}\n{}", self.log)
                    }
                }
            }
            "connect" => {
                self.peer_port = SERVICE;
                (self.written, self.read, self.our_isn) = (0, 0, None);
                let mut early_data = Vec::new();
                let mut options = ConnectOptions::default();
                let mut takes = 0;
                while let Some(word) = line.words.pop_front() {
                    match word {
                        "fast-open" => options.fast_open = true,
                        "data" => {
                            takes = line.number() as usize;
                            early_data = pattern_at(0, takes);
                        }
                        "takes" => takes = line.number() as usize,
                        other => panic!("line {number}: what is {other}?"),
                    }
                }
                options.early_data = &early_data;
                let to = SocketAddr::from((PEER, SERVICE));
                let connected = self.host.stack.tcp_connect_with(now, to, &options);
                let (id, taken) = connected.expect("connect");
                assert_eq!(taken, takes, "line {number}: connect\n{}", self.log);
                self.written = taken;
                self.our_port = self.host.stack.local_addr(id).unwrap().port();
                self.connection = Some(id);
            }
            "write" => {
                let len = line.number() as usize;
                let data = pattern_at(self.written, len);
                let got = self.host.stack.tcp_send(now, self.id(), &data);
                let want = match line.words.pop_front() {
                    None => Ok(len),
                    Some("takes") => Ok(line.number() as usize),
                    Some("would-block") => Err(SendError::WouldBlock),
                    Some("shutdown") => Err(SendError::Shutdown),
                    Some("reset") => Err(SendError::Reset),
                    Some("refused") => Err(SendError::Refused),
                    Some("timed-out") => Err(SendError::TimedOut),
                    Some("unreachable") => Err(SendError::Unreachable),
                    Some(other) => panic!("line {number}: what is {other}?"),
                };
                assert_eq!(got, want, "line {number}: write\n{}", self.log);
                self.written += got.unwrap_or(0);
            }
            "read" => {
                let len = line.number() as usize;
                let mut buf = vec![0; len.max(1) + 65_536];
                let buf = if len == 0 {
                    &mut buf[..1]
                } else {
                    &mut buf[..len]
                };
                let got = self.host.stack.tcp_recv(now, self.id(), buf);
                let want = match line.words.pop_front() {
                    None => Ok(len),
                    Some("gets") => Ok(line.number() as usize),
                    Some("would-block") => Err(RecvError::WouldBlock),
                    Some("reset") => Err(RecvError::Reset),
                    Some("refused") => Err(RecvError::Refused),
                    Some("timed-out") => Err(RecvError::TimedOut),
                    Some("unreachable") => Err(RecvError::Unreachable),
                    Some(other) => panic!("line {number}: what is {other}?"),
                };
                assert_eq!(got, want, "line {number}: read\n{}", self.log);
                let got = got.unwrap_or(0);
                assert_eq!(
                    buf[..got],
                    pattern_at(self.read, got),
                    "line {number}: read\n{}",
                    self.log
                );
                self.read += got;
            }
            "shutdown" => self
                .host
                .stack
                .tcp_shutdown(now, self.id())
                .expect("shutdown"),
            "close" => self.host.stack.close(now, self.id()).expect("close"),
            "close-listener" => self
                .host
                .stack
                .close(now, self.listener.unwrap())
                .expect("close"),
            "abort" => self.host.stack.tcp_abort(now, self.id()).expect("abort"),
            "set" => {
                let setting = setting(line);
                self.host
                    .stack
                    .tcp_set(now, self.id(), setting)
                    .unwrap_or_else(|error| panic!("line {number}: {error}"));
            }
            "set-listener" => {
                let setting = setting(line);
                self.host
                    .stack
                    .tcp_set(now, self.listener.expect("a listener"), setting)
                    .unwrap_or_else(|error| panic!("line {number}: {error}"));
            }
            other => panic!("line {number}: what is {other}?"),
        }
    }

    pub fn line(&mut self, line: &mut Line<'_>) {
        let number = line.number;
        match line.next() {
            "-->" => {
                // Consecutive segments are one batch; what was sent before must have been expected.
                if !self.unflushed {
                    self.nothing_sent(number);
                }
                self.peer_sends(line);
            }
            "<--" => self.stack_sent(line),
            "icmp" => {
                self.nothing_sent(number);
                self.router_complains(line);
            }
            "call" => {
                if self.unflushed
                    && self
                        .log
                        .lines()
                        .last()
                        .is_some_and(|last| last.contains("-->"))
                {
                    // The user acts before the batch's answers are sent, as in a program's loop.
                } else {
                    self.nothing_sent(number);
                }
                self.call(line);
            }
            "nothing" => self.nothing_sent(number),
            "state" => {
                self.flush();
                let state = self
                    .host
                    .stack
                    .tcp_state(self.id())
                    .expect("a handle")
                    .to_string();
                assert_eq!(state, line.next(), "line {number}\n{}", self.log);
            }
            "counter" => {
                self.flush();
                let name = line.next();
                assert_eq!(
                    self.host.counter(name),
                    u64::from(line.number()),
                    "line {number}: {name}\n{}",
                    self.log
                );
            }
            "usage" => {
                self.flush();
                let usage = self.host.stack.usage();
                let value = match line.next() {
                    "connections" => usage.connections,
                    "half-open" => usage.half_open,
                    "time-wait" => usage.time_wait,
                    "orphaned" => usage.orphaned,
                    other => panic!("line {number}: what is {other}?"),
                };
                assert_eq!(value, line.number() as usize, "line {number}\n{}", self.log);
            }
            "readiness" => {
                self.flush();
                let readiness = self.host.stack.readiness(self.id()).unwrap();
                let names: Vec<_> = readiness
                    .iter_names()
                    .map(|(name, _)| name.to_lowercase())
                    .collect();
                assert_eq!(
                    names,
                    line.words.make_contiguous(),
                    "line {number}\n{}",
                    self.log
                );
                line.words.clear();
            }
            "neighbours" => {
                self.nothing_sent(number);
                self.host.neighbours_are_silent = match line.next() {
                    "silent" => true,
                    "answer" => false,
                    other => panic!("line {number}: what is {other}?"),
                };
            }
            // The peer starts over with another initial sequence number, relative to its first.
            "peer-isn" => {
                self.nothing_sent(number);
                self.peer_isn = self.peer_isn.wrapping_add(line.number());
            }
            word => match word.strip_prefix('+').and_then(duration) {
                Some(duration) => {
                    self.nothing_sent(number);
                    self.host.advance(duration);
                }
                None => panic!("line {number}: what is {word}?"),
            },
        }
        assert!(line.words.is_empty(), "line {number}: too many words");
    }

    /// The handshake that most scripts start with.
    pub fn prelude(&mut self, number: usize, words: &[&str]) {
        let with_ecn = words.contains(&"ecn");
        let options: Vec<_> = words
            .iter()
            .filter(|word| **word != "ecn")
            .copied()
            .collect();
        let options = options.join(" ");
        let (asks, agrees) = if with_ecn {
            ("+ECE+CWR", Flags::ECE)
        } else {
            ("", Flags::empty())
        };
        let syn = format!("--> SYN{asks} seq 0 {options}");
        let window = words
            .iter()
            .skip_while(|word| **word != "win")
            .nth(1)
            .unwrap_or(&"65535");
        let ack = format!("--> ACK seq 1 ack 1 win {window}");
        let lines = [
            "call listen 4",
            &syn,
            "<-- SYN+ACK seq 0 ack 1",
            &ack,
            "call accept",
            "nothing",
            "state ESTABLISHED",
        ];
        for text in lines {
            if text.starts_with("<--") {
                // Whatever options it has.
                self.flush();
                let (_, packet) = self.host.sent.front().expect("a SYN-ACK").clone();
                self.our_isn = Some(packet.seq);
                let relative = self.relative(&packet);
                assert_eq!((relative.seq, relative.ack), (0, 1));
                assert_eq!(packet.flags, Flags::SYN | Flags::ACK | agrees);
                self.our_timestamp = packet.options.timestamps.map_or(0, |(value, _)| value);
                self.host.sent.clear();
                continue;
            }
            self.line(&mut Line {
                number,
                words: text.split_whitespace().collect(),
            });
        }
    }

    pub fn run(&mut self, text: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or("");
            let mut words: VecDeque<&str> = line.split_whitespace().collect();
            match words.front() {
                None | Some(&"config") => {}
                Some(&"established") => {
                    words.pop_front();
                    self.prelude(number, words.make_contiguous());
                }
                Some(_) => self.line(&mut Line { number, words }),
            }
        }
        self.nothing_sent(text.lines().count());
    }
}
