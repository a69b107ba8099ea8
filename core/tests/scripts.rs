//! One connection against a scripted peer, under virtual time. The scripts lie in `scripts/`, one
//! file per behaviour; `scripts/README.md` describes the notation.
//!
//! Every script runs several times, with initial sequence numbers on both sides that make the
//! numbers wrap at different places, or not at all.

mod common;

use common::packet::{Packet, flags_to_string, icmp_error};
use common::{Host, OURS, PEER, pattern_at, small_config};
use mnet_core::config::{
    Config, CongestionAlgorithm, ConnectOptions, EcnMode, Keepalive, ListenOptions, SynCookies,
};
use mnet_core::error::{AcceptError, RecvError, SendError};
use mnet_core::tcp::TcpSetting;
use mnet_core::wire::ecn::Ecn;
use mnet_core::wire::tcp::{AccEcnOption, FastOpenCookie, Flags, TcpOptions};
use mnet_core::{Instant, SocketId};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// The port that scripts listen on or connect to, and the peer's other port.
const SERVICE: u16 = 80;
const PEER_PORT: u16 = 45_000;

/// A script's words, line by line.
struct Line<'a> {
    number: usize,
    words: VecDeque<&'a str>,
}

impl<'a> Line<'a> {
    fn next(&mut self) -> &'a str {
        self.words
            .pop_front()
            .unwrap_or_else(|| panic!("line {}: a word is missing", self.number))
    }

    fn number(&mut self) -> u32 {
        let word = self.next();
        word.parse()
            .unwrap_or_else(|_| panic!("line {}: {word} is not a number", self.number))
    }
}

/// Parses `40ms`, `1s`, `500us`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "min" => Some(Duration::from_secs(60 * number)),
        _ => None,
    }
}

fn flags(text: &str) -> Option<Flags> {
    text.split('+')
        .try_fold(Flags::empty(), |flags, name| match name {
            "NONE" => Some(flags),
            name => Flags::from_name(name).map(|flag| flags | flag),
        })
}

/// What a script says of a segment. `None`: nothing.
#[derive(Default)]
struct Described {
    flags: Flags,
    seq: u32,
    ack: Option<u32>,
    window: Option<u16>,
    data: usize,
    mss: Option<u16>,
    scale: Option<u8>,
    timestamps: Option<(Option<u32>, Option<u32>)>,
    no_timestamps: bool,
    /// Milliseconds by which the echoed timestamp is older than our last one.
    echo_age: u32,
    sack_permitted: bool,
    /// `None`: not mentioned.
    sack: Option<Vec<(u32, u32)>>,
    urgent: u16,
    ecn: Ecn,
    accecn: Option<AccEcnOption>,
    from: Option<u16>,
    /// Fast Open: `None`: not mentioned.
    fast_open: Option<String>,
    time_to_live: Option<u8>,
    traffic_class: Option<u8>,
}

/// The cookie that the peer gives.
const PEER_COOKIE: [u8; 8] = [7; 8];

impl Described {
    /// Where its data lies in the stream.
    fn offset(&self) -> usize {
        let before = u32::from(!self.flags.contains(Flags::SYN));
        self.seq.wrapping_sub(before) as usize & 0xff_ffff
    }
}

fn describe(line: &mut Line<'_>) -> Described {
    let word = line.next();
    let mut described = Described {
        flags: flags(word).unwrap_or_else(|| panic!("line {}: no flags: {word}", line.number)),
        ..Described::default()
    };
    while let Some(word) = line.words.pop_front() {
        match word {
            "seq" => described.seq = line.number(),
            "ack" => described.ack = Some(line.number()),
            "win" => described.window = Some(line.number().try_into().unwrap()),
            "data" => described.data = line.number() as usize,
            "mss" => described.mss = Some(line.number().try_into().unwrap()),
            "scale" => described.scale = Some(line.number().try_into().unwrap()),
            "urg" => described.urgent = line.number().try_into().unwrap(),
            "accecn0" | "accecn1" => {
                let mut option = AccEcnOption {
                    ect1_first: word == "accecn1",
                    ..AccEcnOption::default()
                };
                for field in line.next().split(',').filter(|field| *field != "-") {
                    option.fields[usize::from(option.count)] = field.parse().unwrap();
                    option.count += 1;
                }
                described.accecn = Some(option);
            }
            "ect0" => described.ecn = Ecn::Ect0,
            "ect1" => described.ecn = Ecn::Ect1,
            "ce" => described.ecn = Ecn::Ce,
            "ttl" => described.time_to_live = Some(line.number().try_into().unwrap()),
            "tos" => described.traffic_class = Some(line.number().try_into().unwrap()),
            "from" => described.from = Some(line.number().try_into().unwrap()),
            "sack-ok" => described.sack_permitted = true,
            "fo" => described.fast_open = Some(line.next().into()),
            "no-sack" => described.sack = Some(Vec::new()),
            "sack" => {
                let block = (line.number(), line.number());
                described.sack.get_or_insert_default().push(block);
            }
            "echo-age" => described.echo_age = line.number(),
            "no-ts" => described.no_timestamps = true,
            "ts" => {
                let mut value = || {
                    Some(line.next())
                        .filter(|word| *word != "*")
                        .map(|word| word.parse().unwrap())
                };
                described.timestamps = Some((value(), value()));
            }
            other => panic!("line {}: what is {other}?", line.number),
        }
    }
    described
}

/// What follows `set`: `keepalive IDLE INTERVAL COUNT`, `user-timeout 10s`, `cork on`, `linger off`.
fn setting(line: &mut Line<'_>) -> TcpSetting {
    let (name, value) = (line.next(), line.next());
    let time = || duration(value).unwrap_or_else(|| panic!("{name}: {value} is no time"));
    let optional = || (value != "off").then(time);
    let number = || value.parse().unwrap();
    let code = || value.parse().unwrap();
    match name {
        "nodelay" => TcpSetting::NoDelay(value == "on"),
        "cork" => TcpSetting::Cork(value == "on"),
        "keepalive" => TcpSetting::Keepalive(optional().map(|idle| Keepalive {
            idle,
            interval: duration(line.next()).unwrap(),
            count: u8::try_from(line.number()).unwrap(),
        })),
        "user-timeout" => TcpSetting::UserTimeout(optional()),
        "connect-timeout" => TcpSetting::ConnectTimeout(optional()),
        "linger" => TcpSetting::Linger(optional()),
        "delayed-ack" => TcpSetting::DelayedAck(time()),
        "congestion" => TcpSetting::Congestion(match value {
            "cubic" => CongestionAlgorithm::Cubic,
            "new-reno" => CongestionAlgorithm::NewReno,
            other => panic!("what is {other}?"),
        }),
        "receive-buffer" => TcpSetting::ReceiveBuffer(number()),
        "send-buffer" => TcpSetting::SendBuffer(number()),
        "ttl" => TcpSetting::TimeToLive(code()),
        "dscp" => TcpSetting::Dscp(code()),
        other => panic!("what is {other}?"),
    }
}

struct Script {
    host: Host,
    listener: Option<SocketId>,
    connection: Option<SocketId>,
    our_port: u16,
    peer_port: u16,
    /// The peer's initial sequence number, and ours once it is known.
    peer_isn: u32,
    our_isn: Option<u32>,
    /// The peer's clock at the script's start, if it sends timestamps; what we sent last.
    peer_clock: Option<u32>,
    our_timestamp: u32,
    start: Instant,
    /// The cookie that we have given.
    our_cookie: Option<FastOpenCookie>,
    /// Stream offsets of the calls.
    written: usize,
    read: usize,
    unflushed: bool,
    log: String,
}

impl Script {
    fn new(config: &Config, start: Instant, peer_isn: u32) -> Self {
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

    fn id(&self) -> SocketId {
        self.connection.expect("the script has a connection")
    }

    fn peer_timestamp(&self) -> u32 {
        let elapsed = self.host.now.saturating_since(self.start).as_millis();
        self.peer_clock
            .unwrap_or(0)
            .wrapping_add(u32::try_from(elapsed).unwrap())
    }

    /// `-->`: the peer sends.
    fn peer_sends(&mut self, line: &mut Line<'_>) {
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
    fn cookie(&self, what: &str) -> FastOpenCookie {
        match what {
            "ask" => FastOpenCookie::default(),
            "ours" => self.our_cookie.expect("a cookie of ours"),
            "peers" => PEER_COOKIE.into(),
            "bad" => [9; 8].into(),
            other => panic!("what is {other}?"),
        }
    }

    /// `icmp`: a router complains about a segment with so many bytes of data.
    fn router_complains(&mut self, line: &mut Line<'_>) {
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

    fn flush(&mut self) {
        if self.unflushed {
            self.host.flush();
            self.unflushed = false;
        }
    }

    fn nothing_sent(&mut self, number: usize) {
        self.flush();
        if let Some((at, packet)) = self.host.sent.front() {
            let packet = self.relative(packet);
            panic!("line {number}: unexpected at {at}: {packet}\n{}", self.log);
        }
    }

    fn relative(&self, packet: &Packet) -> Packet {
        let mut packet = packet.clone();
        packet.seq = packet.seq.wrapping_sub(self.our_isn.unwrap_or(0));
        packet.ack = packet.ack.wrapping_sub(self.peer_isn);
        packet
    }

    /// `<--`: the stack has sent exactly this.
    fn stack_sent(&mut self, line: &mut Line<'_>) {
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
    fn call(&mut self, line: &mut Line<'_>) {
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

    fn line(&mut self, line: &mut Line<'_>) {
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
    fn prelude(&mut self, number: usize, words: &[&str]) {
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

    fn run(&mut self, text: &str) {
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

/// The `config` lines of a script.
fn config(text: &str) -> Config {
    let mut config = small_config();
    for line in text.lines() {
        let words: Vec<&str> = line
            .split('#')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let ["config", name, value] = words[..] else {
            continue;
        };
        let number = || value.parse().unwrap();
        match name {
            "ecn" => {
                config.tcp.ecn = match value {
                    "off" => EcnMode::Off,
                    "passive" => EcnMode::Passive,
                    "active" => EcnMode::Active,
                    "accurate" => EcnMode::Accurate,
                    other => panic!("what is config ecn {other}?"),
                }
            }
            "receive-buffer" => config.tcp.receive_buffer = number(),
            "send-buffer" => config.tcp.send_buffer = number(),
            "autotuning" => config.tcp.autotuning = number() == 1,
            "pacing" => config.tcp.pacing = number() == 1,
            "syn-retries" => config.tcp.syn_retries = u8::try_from(number()).unwrap(),
            "connect-timeout" => {
                config.tcp.connect_timeout = Some(Duration::from_millis(number() as u64));
            }
            "ttl" => config.tcp.time_to_live = u8::try_from(number()).unwrap(),
            "dscp" => config.tcp.dscp = u8::try_from(number()).unwrap(),
            "keepalive" => {
                config.tcp.keepalive = Some(Keepalive {
                    idle: Duration::from_millis(number() as u64),
                    ..Keepalive::default()
                });
            }
            "syn-ack-retries" => config.tcp.syn_ack_retries = u8::try_from(number()).unwrap(),
            "syn-cookies" => {
                config.tcp.syn_cookies = match value {
                    "off" => SynCookies::Off,
                    "when-full" => SynCookies::WhenFull,
                    "always" => SynCookies::Always,
                    other => panic!("what is {other}?"),
                }
            }
            "max-half-open" => config.max_half_open = Some(number()),
            "max-connections" => config.max_connections = Some(number()),
            "max-per-peer" => config.max_connections_per_peer = Some(number()),
            "zero-window-timeout" => {
                config.tcp.zero_window_timeout = Some(duration(value).unwrap());
            }
            other => panic!("what is config {other}?"),
        }
    }
    config
}

/// Our initial sequence number grows by one every 4 microseconds: starting the clock later gives
/// any number that is wanted.
fn start_for(text: &str, wanted: u32) -> Instant {
    let base = Instant::from_millis(1_000);
    let mut probe = Script::new(&config(text), base, 0);
    if text.contains("call connect") {
        probe.line(&mut Line {
            number: 0,
            words: ["call", "connect"].into(),
        });
    } else {
        probe.line(&mut Line {
            number: 0,
            words: ["call", "listen", "4"].into(),
        });
        probe.line(&mut Line {
            number: 0,
            words: ["-->", "SYN"].into(),
        });
    }
    probe.flush();
    let (_, packet) = probe.host.sent.front().expect("a SYN").clone();
    base + Duration::from_nanos(u64::from(wanted.wrapping_sub(packet.seq)) * 4_000)
}

/// The numbers of both sides that a script mentions: ours, and the peer's.
fn mentioned(text: &str) -> [BTreeSet<u32>; 2] {
    let mut numbers = [BTreeSet::new(), BTreeSet::new()];
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("");
        let words: Vec<&str> = line.split_whitespace().collect();
        let sender = match words.first() {
            Some(&("<--" | "icmp")) => 0,
            Some(&"-->") => 1,
            _ => continue,
        };
        for (at, word) in words.iter().enumerate() {
            let (side, count) = match *word {
                "seq" => (sender, 1),
                "ack" => (1 - sender, 1),
                "sack" => (1 - sender, 2),
                _ => continue,
            };
            let named = words[at + 1..].iter().take(count);
            numbers[side].extend(named.filter_map(|word| word.parse::<u32>().ok()));
        }
    }
    numbers
}

/// Runs a script with numbers that wrap at different places, and at each number that it mentions:
/// those of SYN, data, FIN, blocks, and the ones behind.
fn run(text: &str) {
    let [ours, theirs] = mentioned(text).map(|numbers| {
        let at = numbers.into_iter().flat_map(|n| [n, n.wrapping_add(1)]);
        let isns: BTreeSet<u32> = at.map(u32::wrapping_neg).chain([0]).collect();
        isns.into_iter().collect::<Vec<u32>>()
    });
    let count = ours.len().max(theirs.len());
    let pairs = (0..count).map(|i| (ours[i % ours.len()], theirs[i % theirs.len()]));
    for (our_isn, peer_isn) in pairs.chain([
        (1_000, 5_000),
        (u32::MAX, u32::MAX),
        (u32::MAX - 1, 0),
        (u32::MAX - 700, u32::MAX - 400),
        (0x7fff_ff00, 0x7fff_fff0),
        (u32::MAX - 8_000, u32::MAX - 9_000),
    ]) {
        // Time that a script spends before a number is chosen makes it differ a little.
        let start = start_for(text, our_isn);
        let mut script = Script::new(&config(text), start, peer_isn);
        script.run(text);
    }
}

macro_rules! scripts {
    ($($name:ident,)+) => {
        $(#[test]
        fn $name() {
            run(include_str!(concat!("scripts/", stringify!($name), ".script")));
        })+

        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

scripts! {
    abort,
    accecn_active,
    accecn_active_falls_back,
    accecn_active_mangled,
    accecn_active_reflected,
    accecn_active_syn_ack_marked,
    accecn_active_syn_lost,
    accecn_asks_for_both_kinds,
    accecn_client_not_counting,
    accecn_field_wiped,
    accecn_marks_on_acks,
    accecn_option_contradicts,
    accecn_option_stripped,
    accecn_passive,
    accecn_passive_classic,
    accecn_passive_other_flags,
    accecn_simultaneous,
    accecn_syn_ack_lost,
    accecn_with_sack,
    ack_of_the_future_and_the_past,
    close_active,
    close_fin_out_of_order,
    close_fin_with_data_and_lost,
    close_numbers_wrap,
    close_orphan,
    close_orphan_gets_data,
    close_orphan_gets_old_data_with_fin,
    close_orphan_in_fin_wait_2,
    close_orphan_zero_window,
    close_passive,
    close_simultaneous,
    close_simultaneous_lost_ack,
    close_simultaneous_lost_fin,
    close_with_unread_data,
    closed_port,
    connect_neighbour_is_silent,
    connect_timeout,
    connect_timeout_is_over_with_the_handshake,
    connect_timeout_of_the_configuration,
    cork_and_keepalive,
    cork_ends_with_shutdown,
    cork_holds_for_200_ms,
    cork_is_no_probe,
    cork_taken_out,
    data_delayed_ack,
    data_in_order_is_acknowledged,
    data_old_and_beyond,
    data_out_of_order,
    data_urgent_in_line,
    data_window_closes_and_opens,
    data_window_scale,
    ecn_active,
    ecn_active_reflected,
    ecn_active_refused,
    ecn_active_syn_lost,
    ecn_loss_after_a_mark,
    ecn_mark_after_timeout,
    ecn_mark_at_the_smallest_window,
    ecn_mark_in_recovery,
    ecn_marks_outside_the_window,
    ecn_not_asked,
    ecn_off,
    ecn_passive,
    ecn_receiver,
    ecn_sender,
    ecn_simultaneous,
    ecn_slow_start_ends,
    ecn_syn_ack_lost,
    ecn_syn_that_is_ecn_capable,
    ecn_timeout_after_a_mark,
    ecn_what_is_not_capable,
    fast_open_active,
    fast_open_active_held_down,
    fast_open_active_lost,
    fast_open_active_not_taken,
    fast_open_active_smaller_mss,
    fast_open_passive,
    fast_open_passive_answers_lost,
    fast_open_passive_bad_cookie,
    fast_open_passive_closed_early,
    fast_open_passive_limit,
    fast_open_passive_off,
    fast_open_passive_old_cookie,
    fast_open_passive_syn_ack_lost,
    fast_open_passive_syn_repeated,
    fast_retransmit,
    fast_retransmit_not_for_other_acks,
    handshake_ack_without_timestamp,
    handshake_active,
    handshake_active_bad_ack,
    handshake_active_lost,
    handshake_active_refused,
    handshake_data_on_last_ack,
    handshake_passive,
    handshake_simultaneous,
    handshake_simultaneous_lost,
    handshake_simultaneous_lost_syn,
    handshake_simultaneous_lost_syn_ack,
    handshake_syn_ack_lost,
    handshake_syn_received_segments,
    handshake_syn_repeated,
    handshake_without_options,
    icmp_about_a_connection_is_noted,
    icmp_about_a_syn,
    icmp_of_others_is_ignored,
    keepalive_after_shutdown,
    keepalive_and_user_timeout,
    keepalive_not_with_data_in_flight,
    keepalive_of_a_listener,
    keepalive_peer_answers,
    keepalive_peer_has_forgotten,
    keepalive_peer_is_gone,
    keepalive_short_user_timeout,
    keepalive_while_connecting,
    linger_off_or_with_time_delivers,
    linger_zero_resets,
    listen_backlog,
    listen_backlog_with_cookies,
    listen_close_resets_unaccepted,
    listen_max_connections,
    listen_max_connections_at_once,
    listen_max_per_peer,
    loss_dsack_undo,
    loss_eifel_after_fast_retransmit,
    loss_eifel_after_timeout,
    loss_fin,
    loss_frto_makes_the_timer_patient,
    loss_frto_real,
    loss_frto_spurious,
    loss_in_a_batch,
    loss_limited_transmit,
    loss_new_reno_partial_acks,
    loss_sack_bad_blocks,
    loss_sack_blocks_in_any_order,
    loss_sack_lost_again,
    loss_sack_reneged,
    loss_sack_reordered_in_time,
    loss_sack_reordering_timer,
    loss_sack_three_segments,
    loss_sack_without_timestamps,
    loss_tail_probe,
    loss_tail_probe_repairs,
    loss_tail_probe_timestamps,
    loss_tail_probe_was_late,
    loss_tail_probe_with_new_data,
    loss_timeout_keeps_blocks,
    neighbour_is_silent_for_a_while,
    neighbour_is_silent_for_ever,
    options_in_any_segment,
    path_mtu_doubted_until_a_timeout,
    path_mtu_lowered_at_once,
    paws,
    paws_after_a_month,
    reset_at_a_closed_window,
    reset_in_and_out_of_the_window,
    reset_in_syn_received_after_connect,
    reset_in_syn_received_after_listen,
    rto_backoff_and_failure,
    rto_karn,
    rto_sends_everything_again,
    sack_active,
    sack_blocks_latest_first,
    sack_blocks_only_where_room_is,
    sack_duplicates,
    sack_duplicates_with_timestamps,
    sack_not_agreed,
    sack_with_timestamps,
    send_buffer_is_bounded,
    send_nagle,
    send_nagle_ends_with_shutdown,
    send_partial_ack_of_a_segment,
    send_restart_after_idle,
    send_segments_and_windows,
    send_silly_window,
    send_window_of_overtaken_segments,
    send_window_override,
    send_window_override_while_peer_sends,
    send_window_shrinks,
    send_zero_window,
    send_zero_window_is_no_loss,
    send_zero_window_timeout,
    send_zero_window_unanswered,
    settings_buffers,
    settings_delayed_ack,
    settings_of_the_configuration,
    settings_ttl_and_dscp,
    syn_cookie_accecn,
    syn_cookie_accecn_other_flags,
    syn_cookie_data_with_the_ack,
    syn_cookie_ecn,
    syn_cookie_expired,
    syn_cookie_not_for_others,
    syn_cookie_options,
    syn_cookie_plain,
    syn_in_a_connection,
    syn_without_timestamps,
    time_wait_assassination,
    time_wait_new_connection_by_number,
    time_wait_new_connection_by_timestamp,
    time_wait_old_segments,
    time_wait_old_syn,
    time_wait_syn_with_and_without_timestamp,
    timestamps_recent_follows_the_left_edge,
    urgent_corner_cases,
    urgent_fin_alone,
    user_timeout_ends_data,
    user_timeout_of_a_closed_window,
    user_timeout_starts_over,
    user_timeout_while_connecting,
}

#[test]
fn every_script_in_the_folder_is_run() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".script") {
            assert!(NAMES.contains(&name), "{name} is not in the list");
        }
    }
}
