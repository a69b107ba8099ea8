//! A host with a DHCP client under virtual time, and a server that says what a test wants.

use super::link::{ALL, OUR_HW, PEER, PEER_HW, REMOTE, arp, ethernet, parse_sent_arp, udp};
use mnet_core::address::NetworkChanges;
use mnet_core::dhcp::{DhcpConfig, DhcpState};
use mnet_core::wire::arp::Operation;
use mnet_core::wire::dhcp::{HEADER_LEN, Options};
use mnet_core::wire::ethernet::{EthernetAddress, ether_type};
use mnet_core::{Config, Instant, InterfaceConfig, Stack};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The server, which is the router and the DNS server as well, and what it lends.
pub const SERVER: Ipv4Addr = PEER;
pub const LENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);
pub const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

pub const DISCOVER: u8 = 1;
pub const OFFER: u8 = 2;
pub const REQUEST: u8 = 3;
pub const DECLINE: u8 = 4;
pub const ACK: u8 = 5;
pub const NAK: u8 = 6;
pub const RELEASE: u8 = 7;

/// A message of the client.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    pub kind: u8,
    pub xid: u32,
    pub secs: u16,
    pub ciaddr: Ipv4Addr,
    pub options: BTreeMap<u8, Vec<u8>>,
    /// The addresses of IP and Ethernet.
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub to: EthernetAddress,
}

impl Asked {
    pub fn address(&self, tag: u8) -> Option<Ipv4Addr> {
        let value: [u8; 4] = self.options.get(&tag)?.clone().try_into().ok()?;
        Some(value.into())
    }
}

pub struct Host {
    pub stack: Stack,
    pub interface: mnet_core::device::InterfaceId,
    pub now: Instant,
    /// Everything sent that is no message of the client.
    pub others: Vec<Vec<u8>>,
}

impl Host {
    pub fn new(config: DhcpConfig) -> Self {
        Self::seeded(config, 42)
    }

    pub fn seeded(config: DhcpConfig, seed: u8) -> Self {
        let now = Instant::from_millis(1_000);
        let mut stack = Stack::new(&Config::default(), [seed; 32], now).unwrap();
        let interface = InterfaceConfig {
            hardware_address: OUR_HW.0,
            mtu: 1500,
        };
        let interface = stack.add_interface(now, interface).unwrap();
        stack.dhcp_start(now, interface, config).unwrap();
        Self {
            stack,
            interface,
            now,
            others: Vec::new(),
        }
    }

    /// A host whose lease of an hour, or so long, is in force.
    pub fn bound(config: DhcpConfig, options: &[u8]) -> Self {
        let mut host = Self::new(config);
        host.obtain(options);
        host
    }

    pub fn obtain(&mut self, options: &[u8]) {
        let discover = self.only();
        assert_eq!(discover.kind, DISCOVER);
        self.answer(&discover, OFFER, LENT, options);
        let request = self.only();
        assert_eq!(request.kind, REQUEST);
        self.answer(&request, ACK, LENT, options);
        self.run(2_000);
        assert_eq!(self.state(), DhcpState::Bound);
        self.changes();
        self.others.clear();
    }

    /// What the client sends now: one message.
    #[track_caller]
    pub fn only(&mut self) -> Asked {
        let asked = self.transmit();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }

    pub fn transmit(&mut self) -> Vec<Asked> {
        self.stack.handle_timeout(self.now);
        let (mut asked, mut arp_questions) = (Vec::new(), Vec::new());
        let mut count = 0;
        while let Some(frame) = self.stack.transmit(self.now) {
            let frame = frame.slices.concat();
            count += 1;
            assert!(count < 10_000, "the stack does not stop sending");
            match parse(self.now, &frame) {
                Some(message) => asked.push(message),
                None => {
                    arp_questions.extend((frame[12..14] == [8, 6]).then(|| frame.clone()));
                    self.others.push(frame);
                }
            }
        }
        // The server is a neighbour that answers.
        let mut answered = false;
        for question in arp_questions {
            let (_, _, question) = parse_sent_arp(&question);
            if question.target().1 == SERVER {
                let (server, us) = ((PEER_HW, SERVER), question.sender());
                self.receive(&arp(PEER_HW, OUR_HW, Operation::Reply, server, us));
                answered = true;
            }
        }
        if answered {
            asked.extend(self.transmit());
        }
        asked
    }

    /// Lets time pass; what the client has sent.
    pub fn run(&mut self, millis: u64) -> Vec<Asked> {
        let end = self.now + Duration::from_millis(millis);
        let mut asked = self.transmit();
        let mut steps = 0;
        while let Some(next) = self.stack.next_timeout().filter(|next| *next <= end) {
            steps += 1;
            assert!(steps < 100_000, "the loop spins");
            self.now = self.now.max(next);
            asked.extend(self.transmit());
        }
        self.now = end;
        asked.extend(self.transmit());
        asked
    }

    pub fn receive(&mut self, frame: &[u8]) {
        self.stack.receive_copy(self.now, self.interface, frame);
    }

    /// The server's answer, in the usual form.
    pub fn answer(&mut self, asked: &Asked, kind: u8, yours: Ipv4Addr, options: &[u8]) {
        self.receive(&reply(asked, kind, yours, SERVER, &usual(options), yours));
    }

    pub fn state(&self) -> DhcpState {
        self.stack.dhcp_state(self.interface).expect("a client")
    }

    pub fn addresses(&self) -> Vec<IpAddr> {
        let all = self.stack.addresses(self.interface);
        all.map(|(address, _)| address).collect()
    }

    pub fn changes(&mut self) -> NetworkChanges {
        let event = self.stack.poll_network_event();
        event.map_or(NetworkChanges::empty(), |event| event.changes)
    }

    #[track_caller]
    pub fn counter(&self, name: &str) -> u64 {
        let mut counters = self.stack.counters().iter();
        counters.find(|(other, _)| *other == name).expect(name).1
    }

    pub fn is_routed(&mut self) -> bool {
        let remote = SocketAddr::from((REMOTE, 80));
        self.stack.tcp_connect(self.now, remote, None).is_ok()
    }

    pub fn assert_no_frame_lost(&self) {
        let pool = self.stack.pool_frames();
        assert_eq!(pool.free, pool.total);
    }
}

/// A frame of the client's, if it is one of its messages.
pub fn parse(at: Instant, frame: &[u8]) -> Option<Asked> {
    let ports = frame.get(34..38);
    if frame[12..14] != [8, 0] || frame[23] != 17 || ports != Some(&[0, 68, 0, 67]) {
        return None;
    }
    let sent = super::link::parse_sent(frame);
    let (_, message) = sent.udp();
    assert!(message.len() >= 300, "as long as BOOTP has it");
    assert_eq!(message[..4], [1, 1, 6, 0]);
    assert_eq!(message[10..12], [0, 0], "the broadcast flag is not needed");
    assert_eq!(message[28..34], OUR_HW.0);
    assert_eq!(message[236..240], [99, 130, 83, 99]);
    let options: BTreeMap<u8, Vec<u8>> = Options(&message[HEADER_LEN..])
        .map(|(tag, value)| (tag, value.to_vec()))
        .collect();
    let four = |at: usize| <[u8; 4]>::try_from(&message[at..at + 4]).unwrap();
    Some(Asked {
        at,
        kind: options[&53][0],
        xid: u32::from_be_bytes(four(4)),
        secs: u16::from_be_bytes([message[8], message[9]]),
        ciaddr: four(12).into(),
        options,
        source: sent.ip.source(),
        destination: sent.ip.destination(),
        to: sent.ethernet.destination,
    })
}

/// Mask, router and DNS server, an hour; and `options` before them, where the first counts.
pub fn usual(options: &[u8]) -> Vec<u8> {
    let mut all = options.to_vec();
    all.extend([1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1, 6, 4, 10, 0, 0, 1]);
    all.extend([51, 4, 0, 0, 0x0e, 0x10]);
    all
}

/// A server's message in its frame, to `destination`.
pub fn reply(
    asked: &Asked,
    kind: u8,
    yours: Ipv4Addr,
    server: Ipv4Addr,
    options: &[u8],
    destination: Ipv4Addr,
) -> Vec<u8> {
    let mut message = vec![0; HEADER_LEN];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&asked.xid.to_be_bytes());
    message[16..20].copy_from_slice(&yours.octets());
    message[28..34].copy_from_slice(&OUR_HW.0);
    message[236..240].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, kind, 54, 4]);
    message.extend(server.octets());
    message.extend(options);
    message.push(255);
    in_frame(&message, destination)
}

pub fn in_frame(message: &[u8], destination: Ipv4Addr) -> Vec<u8> {
    let from = SocketAddr::from((SERVER, 67));
    let packet = udp(from, SocketAddr::from((destination, 68)), message);
    let to = if destination.is_broadcast() {
        ALL
    } else {
        OUR_HW
    };
    ethernet(PEER_HW, to, ether_type::IPV4, &packet)
}

/// Option 51.
pub fn lease(seconds: u32) -> Vec<u8> {
    [&[51, 4], &seconds.to_be_bytes()[..]].concat()
}

pub fn seconds(from: Instant, to: Instant) -> f64 {
    (to - from).as_secs_f64()
}
