//! The words of a script: numbers, times, flags, descriptions of segments, settings.

use mnet_core::config::{CongestionAlgorithm, Keepalive};
use mnet_core::tcp::TcpSetting;
use mnet_core::wire::ecn::Ecn;
use mnet_core::wire::tcp::{AccEcnOption, Flags};
use std::collections::VecDeque;
use std::time::Duration;

/// A script's words, line by line.
pub struct Line<'a> {
    pub number: usize,
    pub words: VecDeque<&'a str>,
}

impl<'a> Line<'a> {
    pub fn next(&mut self) -> &'a str {
        self.words
            .pop_front()
            .unwrap_or_else(|| panic!("line {}: a word is missing", self.number))
    }

    pub fn number(&mut self) -> u32 {
        let word = self.next();
        word.parse()
            .unwrap_or_else(|_| panic!("line {}: {word} is not a number", self.number))
    }
}

/// Parses `40ms`, `1s`, `500us`.
pub fn duration(text: &str) -> Option<Duration> {
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

pub fn flags(text: &str) -> Option<Flags> {
    text.split('+')
        .try_fold(Flags::empty(), |flags, name| match name {
            "NONE" => Some(flags),
            name => Flags::from_name(name).map(|flag| flags | flag),
        })
}

/// What a script says of a segment. `None`: nothing.
#[derive(Default)]
pub struct Described {
    pub flags: Flags,
    pub seq: u32,
    pub ack: Option<u32>,
    pub window: Option<u16>,
    pub data: usize,
    pub mss: Option<u16>,
    pub scale: Option<u8>,
    pub timestamps: Option<(Option<u32>, Option<u32>)>,
    pub no_timestamps: bool,
    /// Milliseconds by which the echoed timestamp is older than our last one.
    pub echo_age: u32,
    pub sack_permitted: bool,
    /// `None`: not mentioned.
    pub sack: Option<Vec<(u32, u32)>>,
    pub urgent: u16,
    pub ecn: Ecn,
    pub accecn: Option<AccEcnOption>,
    pub from: Option<u16>,
    /// Fast Open: `None`: not mentioned.
    pub fast_open: Option<String>,
    pub time_to_live: Option<u8>,
    pub traffic_class: Option<u8>,
}

/// The cookie that the peer gives.
pub const PEER_COOKIE: [u8; 8] = [7; 8];

impl Described {
    /// Where its data lies in the stream.
    pub fn offset(&self) -> usize {
        let before = u32::from(!self.flags.contains(Flags::SYN));
        self.seq.wrapping_sub(before) as usize & 0xff_ffff
    }
}

pub fn describe(line: &mut Line<'_>) -> Described {
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
pub fn setting(line: &mut Line<'_>) -> TcpSetting {
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
