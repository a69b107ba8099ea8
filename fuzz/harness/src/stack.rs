//! The whole stack, fed with frames.
//!
//! `stack_raw` feeds bytes as they come. `stack_frames` plays a peer that follows the protocol
//! until the input tells it not to: the input is a list of operations, and each segment is built
//! from what the connection is really waiting for, then spoiled as the input says, and summed
//! again. So the fuzzer starts deep inside the state machines.

use crate::packets::{self, OURS, PEER, PEER_HW, Segment, TRANSPORT_START};
use mnet_core::checksum;
use mnet_core::config::{CongestionAlgorithm, Keepalive, ListenOptions, SynCookies, VlanConfig};
use mnet_core::device::InterfaceId;
use mnet_core::route::NextHop;
use mnet_core::socket::SocketKind;
use mnet_core::tcp::TcpSetting;
use mnet_core::udp::{GroupChange, UdpSetting};
use mnet_core::wire::arp::Operation;
use mnet_core::wire::ethernet::EthernetAddress;
use mnet_core::wire::ipv4::{self, protocol};
use mnet_core::wire::tcp::{self, FastOpenCookie, Flags};
use mnet_core::{Config, Instant, InterfaceConfig, SocketId, Stack};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The listener's port.
const PORT: u16 = 80;
/// The UDP socket's port.
const UDP_PORT: u16 = 53;
/// Connections that the peer plays.
const PEERS: usize = 4;
/// A host behind the gateway.
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
/// Most operations of an input: what comes behind is ignored.
const MAX_OPERATIONS: usize = 200;
/// Most frames that one operation may cause: all that the send buffers hold, and some.
const MAX_OUTPUT: usize = 4_096;
/// Most steps until everything has ended.
const MAX_STEPS: usize = 20_000;

/// The input, read from the front; behind its end there are zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.0 {
            [byte, rest @ ..] => {
                self.0 = rest;
                *byte
            }
            [] => 0,
        }
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Mostly zero, sometimes near it, sometimes anything: what is added to a right value.
    fn offset(&mut self) -> u32 {
        match self.byte() {
            byte @ 0x00..=0x7f => u32::from(byte & 1),
            byte @ 0x80..=0xbf => u32::from(byte & 0x3f),
            byte @ 0xc0..=0xdf => 0u32.wrapping_sub(u32::from(byte & 0x1f)),
            0xe0..=0xef => u32::from(self.word()),
            _ => u32::from(self.word()) << 16 | u32::from(self.word()),
        }
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

/// One of the settings of a connection, in or out of its range.
fn setting(len: usize) -> TcpSetting {
    let on = len.is_multiple_of(2);
    let millis = Duration::from_millis((len as u64).wrapping_mul(97) % 40_000);
    let keepalive = Keepalive {
        idle: millis,
        interval: millis / 2,
        count: 3,
    };
    match len / 2 % 11 {
        0 => TcpSetting::NoDelay(on),
        1 => TcpSetting::Cork(on),
        2 => TcpSetting::Keepalive(on.then_some(keepalive)),
        3 => TcpSetting::UserTimeout(on.then_some(millis)),
        4 => TcpSetting::ConnectTimeout(on.then_some(millis)),
        5 => TcpSetting::Linger(on.then_some(Duration::ZERO)),
        6 => TcpSetting::DelayedAck(millis / 64),
        7 if on => TcpSetting::Congestion(CongestionAlgorithm::NewReno),
        7 => TcpSetting::Congestion(CongestionAlgorithm::Cubic),
        8 => TcpSetting::ReceiveBuffer(len * 64),
        9 => TcpSetting::SendBuffer(len * 64),
        _ => TcpSetting::Dscp(u8::try_from(len % 80).unwrap_or(0)),
    }
}

/// The Fast Open option of a SYN, with an MSS, padded.
fn fast_open_option(cookie: Option<FastOpenCookie>) -> Vec<u8> {
    let options = tcp::TcpOptions {
        mss: Some(1_460),
        fast_open: Some(cookie.unwrap_or_default()),
        ..tcp::TcpOptions::default()
    };
    let mut bytes = vec![0; options.len()];
    options.emit(&mut bytes);
    bytes
}

/// The far end of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    local_port: u16,
    remote_port: u16,
    /// What the peer sends next, and what it expects.
    snd_nxt: u32,
    rcv_nxt: u32,
    /// Whether its SYN had timestamps, so that its segments must have them too.
    timestamps: bool,
    socket: Option<SocketId>,
}

/// MSS 1460 and window scale 7.
const SYN_OPTIONS: [u8; 8] = [2, 4, 5, 180, 1, 3, 3, 7];
/// The same with timestamps.
const SYN_OPTIONS_WITH_TIMESTAMPS: [u8; 20] = [
    2, 4, 5, 180, 1, 3, 3, 7, 1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0,
];
/// Timestamps alone.
const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 1];

struct World {
    stack: Stack,
    interface: InterfaceId,
    /// The second device, if there is one.
    second: Option<InterfaceId>,
    now: Instant,
    peers: [Peer; PEERS],
    listener: Option<SocketId>,
    udp: Option<SocketId>,
    /// Connections of the listener that may start with data.
    fast_open: usize,
    /// The cookie that the stack has given last.
    cookie: Option<FastOpenCookie>,
    /// The last frame that went in, and the last that came out.
    last_in: Vec<u8>,
    last_out: Vec<u8>,
}

/// Bits of an input's first byte: SYNs are always answered with cookies; the listener takes data
/// with a SYN (Fast Open); there are a VLAN and a second device.
const COOKIES: u8 = 1;
const FAST_OPEN: u8 = 2;
const LINKS: u8 = 4;
/// The VLAN, our addresses there and on the second device.
const VLAN: u16 = 5;
const OURS_IN_VLAN: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 2);
const OURS_ON_SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 6, 2);
/// An 802.1Q tag in front of an EtherType.
const TAG: [u8; 2] = [0x81, 0];

fn config(features: u8) -> Config {
    let mut config = Config {
        memory: 400 << 10,
        max_connections: Some(8),
        max_half_open: Some(4),
        max_time_wait: Some(4),
        max_listeners: 2,
        max_udp_sockets: 2,
        ..Config::default()
    };
    config.tcp.receive_buffer = 64 << 10;
    config.tcp.send_buffer = 64 << 10;
    if features & COOKIES != 0 {
        config.tcp.syn_cookies = SynCookies::Always;
    }
    config
}

impl World {
    fn new(features: u8) -> Self {
        let now = Instant::from_millis(1);
        let mut stack =
            Stack::new(&config(features), [7; 32], now).expect("the configuration is right");
        let hardware_address = packets::OUR_HW.0;
        let interface = stack
            .add_interface(
                now,
                InterfaceConfig {
                    hardware_address,
                    mtu: 1500,
                },
            )
            .expect("there is room for an interface");
        stack
            .add_address(now, interface, OURS.into(), 24)
            .expect("a good address");
        stack
            .add_route(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, PEER.into(), interface)
            .expect("a good gateway");
        let second = (features & LINKS != 0).then(|| Self::add_links(&mut stack, interface, now));
        let mut world = Self {
            stack,
            interface,
            second,
            now,
            peers: Default::default(),
            listener: None,
            udp: None,
            fast_open: if features & FAST_OPEN == 0 { 0 } else { 2 },
            cookie: None,
            last_in: Vec::new(),
            last_out: Vec::new(),
        };
        for (number, peer) in (0..).zip(&mut world.peers) {
            // The sequence numbers wrap early.
            let snd_nxt = 0xffff_fff0 + u32::from(number);
            *peer = Peer {
                local_port: PORT,
                remote_port: 1_000 + number,
                snd_nxt,
                ..*peer
            };
        }
        world.receive(packets::arp(Operation::Request, (PEER_HW, PEER), OURS));
        world.open();
        world
    }

    /// A VLAN of the device, and a second device with a default gateway of its own.
    fn add_links(stack: &mut Stack, first: InterfaceId, now: Instant) -> InterfaceId {
        let vlan = stack.add_vlan(now, first, VlanConfig::new(VLAN));
        let vlan = vlan.expect("there is room for a VLAN");
        let hardware_address = packets::OUR_HW.0;
        let mtu = 1_280;
        let config = InterfaceConfig {
            hardware_address,
            mtu,
        };
        let second = stack.add_interface(now, config).expect("there is room");
        for (interface, address) in [(vlan, OURS_IN_VLAN), (second, OURS_ON_SECOND)] {
            stack
                .add_address(now, interface, address.into(), 24)
                .expect("a good address");
            let [a, b, c, _] = address.octets();
            let gateway = NextHop::Gateway {
                interface,
                address: IpAddr::from([a, b, c, 1]),
            };
            stack
                .add_route_with(Ipv4Addr::UNSPECIFIED.into(), 0, gateway, 1)
                .expect("a good gateway");
        }
        second
    }

    /// The last frame again: for another address of ours, with tags, or on the second device.
    fn on_another_link(&mut self, input: &mut Input<'_>) {
        let (choice, control) = (input.byte(), input.word());
        let mut frame = self.last_in.clone();
        let ours = [OURS, OURS_IN_VLAN, OURS_ON_SECOND][usize::from(choice >> 4) % 3];
        if frame.len() >= 34 && frame[12..14] == [8, 0] {
            frame[30..34].copy_from_slice(&ours.octets());
            packets::fix_checksums(&mut frame);
        }
        if frame.len() >= 42 && frame[12..14] == [8, 6] {
            frame[38..42].copy_from_slice(&ours.octets());
        }
        for _ in 0..choice & 3 {
            if frame.len() >= 12 {
                let control = if choice & 8 == 0 { VLAN } else { control };
                frame.splice(12..12, TAG.into_iter().chain(control.to_be_bytes()));
            }
        }
        let interface = self.second.filter(|_| choice & 4 != 0);
        let interface = interface.unwrap_or(self.interface);
        self.stack.receive_copy(self.now, interface, &frame);
        self.transmit();
    }

    fn open(&mut self) {
        let options = ListenOptions {
            backlog: 4,
            fast_open: self.fast_open,
            ..ListenOptions::default()
        };
        let local = SocketAddr::from((OURS, PORT));
        let listener = self.stack.tcp_listen_with(local, &options);
        self.listener = self.listener.or(listener.ok());
        let udp = self
            .stack
            .udp_bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, UDP_PORT)));
        self.udp = self.udp.or(udp.ok());
    }

    fn receive(&mut self, frame: Vec<u8>) {
        self.stack.receive_copy(self.now, self.interface, &frame);
        self.last_in = frame;
        self.transmit();
    }

    /// Takes what the stack sends, and checks it.
    fn transmit(&mut self) {
        self.stack.handle_timeout(self.now);
        let mut count = 0;
        while self.take_frame() {
            count += 1;
            assert!(count <= MAX_OUTPUT, "the stack does not stop sending");
            self.note_sent();
        }
        while let Some(event) = self.stack.poll_event() {
            count += 1;
            assert!(
                count <= 2 * MAX_OUTPUT,
                "the stack does not stop raising events"
            );
            assert_eq!(self.stack.readiness(event.socket), Ok(event.readiness));
        }
        if let Some(due) = self.stack.next_timeout() {
            assert!(
                due > self.now,
                "what was due at {due} has not been done at {}",
                self.now
            );
        }
    }

    /// Takes the next frame that the stack sends, if there is one.
    fn take_frame(&mut self) -> bool {
        let Some(frame) = self.stack.transmit(self.now) else {
            return false;
        };
        self.last_out.clear();
        for slice in &frame.slices {
            self.last_out.extend_from_slice(slice);
        }
        true
    }

    /// Checks a frame that was sent, and lets the peer learn from it.
    fn note_sent(&mut self) {
        if self.last_out[12..14] == TAG {
            assert_eq!(self.last_out[14..16], VLAN.to_be_bytes());
            self.last_out.drain(12..16);
        }
        let frame = &self.last_out;
        assert!(frame.len() <= 1_514, "{} bytes", frame.len());
        if frame[12..14] != [8, 0] {
            return;
        }
        let (header, options, payload) = ipv4::parse(&frame[14..]).expect("we send good packets");
        let ours = [OURS, OURS_IN_VLAN, OURS_ON_SECOND];
        assert!(ours.contains(&header.source()));
        assert_eq!(payload.end + 14, frame.len());
        if header.protocol == protocol::IGMP {
            assert!(ipv4::has_router_alert(options));
            assert!(checksum::sum(&frame[14..][payload]).is_valid());
            return;
        }
        assert!(options.is_empty());
        if header.is_fragment() {
            // Of datagrams only; all but the last end on a multiple of eight. The whole is not here.
            assert_eq!(header.protocol, protocol::UDP);
            assert!(!header.more_fragments() || payload.len() % 8 == 0);
            return;
        }
        let transport = &frame[TRANSPORT_START..];
        let pseudo = checksum::pseudo_header(
            header.source().into(),
            header.destination().into(),
            header.protocol,
            transport.len(),
        );
        match header.protocol {
            protocol::ICMP => assert!(checksum::sum(transport).is_valid()),
            _ => assert!((pseudo + checksum::sum(transport)).is_valid()),
        }
        if header.protocol != protocol::TCP {
            return;
        }
        let (header, options, payload) = tcp::parse(transport).expect("we send good segments");
        let options = tcp::TcpOptions::parse(options).expect("we send good options");
        self.cookie = options.fast_open.or(self.cookie);
        let (local, remote) = (header.source_port.get(), header.destination_port.get());
        let flags = header.flags();
        for peer in &mut self.peers {
            if peer.remote_port != remote {
                continue;
            }
            if flags.contains(Flags::SYN) {
                peer.local_port = local;
                peer.rcv_nxt = header.sequence.get();
            }
            if peer.local_port == local && header.sequence.get() == peer.rcv_nxt {
                let len = u32::try_from(payload.len()).expect("a segment");
                let marks = (flags & (Flags::SYN | Flags::FIN)).iter().count();
                peer.rcv_nxt = peer
                    .rcv_nxt
                    .wrapping_add(len + u32::try_from(marks).expect("two"));
            }
        }
    }

    /// A segment from a peer: the right one, plus what the input says.
    fn segment(&mut self, input: &mut Input<'_>) {
        let index = usize::from(input.byte()) % PEERS;
        let peer = self.peers[index];
        let flags = match input.byte() {
            0..=0x3f => Flags::ACK,
            0x40..=0x5f => Flags::ACK | Flags::PSH,
            0x60..=0x7f => Flags::SYN,
            0x80..=0x8f => Flags::ACK | Flags::FIN,
            0x90..=0x97 => Flags::RST,
            0x98..=0x9f => Flags::SYN | Flags::ACK,
            _ => Flags::from_bits_truncate(input.word()),
        };
        let sequence = peer.snd_nxt.wrapping_add(input.offset());
        let acknowledgment = peer.rcv_nxt.wrapping_add(input.offset());
        let window = match input.byte() {
            0 => 0xffff,
            byte @ 1..=0x7f => u16::from(byte) * 256,
            _ => input.word(),
        };
        let choice = input.byte();
        let syn = flags.contains(Flags::SYN);
        if syn {
            self.peers[index].timestamps = (0x40..0x80).contains(&choice);
        }
        let timestamps = self.peers[index].timestamps;
        let options: &[u8] = match choice {
            0..=0x7f if syn && timestamps => &SYN_OPTIONS_WITH_TIMESTAMPS,
            0..=0x7f if syn => &SYN_OPTIONS,
            0..=0x7f if timestamps => &TIMESTAMPS,
            0..=0x7f => &[],
            0x80..=0x9f => &TIMESTAMPS,
            0xa0..=0xaf => &[2, 4, 0, 8],
            // A question for a cookie, or the one that was given.
            0xb0..=0xb7 => &fast_open_option(None),
            0xb8..=0xbf => &fast_open_option(self.cookie),
            _ => &input.bytes(20),
        };
        let payload = match input.byte() {
            0 => Vec::new(),
            byte @ 1..=0xbf => vec![byte; usize::from(byte)],
            byte => vec![byte; 1_400],
        };
        let segment = Segment {
            source_port: peer.remote_port,
            destination_port: peer.local_port,
            sequence,
            acknowledgment,
            flags,
            window,
            options,
            payload: &payload,
        };
        let len = u32::try_from(payload.len()).expect("a segment");
        let marks = (flags & (Flags::SYN | Flags::FIN)).iter().count();
        let end = sequence.wrapping_add(len + u32::try_from(marks).expect("two"));
        if sequence == peer.snd_nxt {
            self.peers[index].snd_nxt = end;
        }
        let source = if index < PEERS / 2 { PEER } else { REMOTE };
        self.receive(segment.frame(source));
    }

    /// The last frame again, with some bytes changed, its checksums right or not.
    fn mutate(&mut self, input: &mut Input<'_>) {
        let mut frame = self.last_in.clone();
        let count = input.byte();
        for _ in 0..=count % 8 {
            let (at, value) = (input.word(), input.byte());
            let len = frame.len().max(1);
            if let Some(byte) = frame.get_mut(usize::from(at) % len) {
                *byte ^= value;
            }
        }
        if count & 0x10 != 0 {
            frame.truncate(usize::from(input.word()) % 1_600);
        }
        if count & 0x20 == 0 {
            packets::fix_checksums(&mut frame);
        }
        self.receive(frame);
    }

    /// An ICMP error about the last frame that was sent.
    fn error(&mut self, input: &mut Input<'_>) {
        let (message_type, code, rest) = (input.byte(), input.byte(), input.word());
        let [c, d] = rest.to_be_bytes();
        let mut quoted = self.last_out.get(14..).unwrap_or_default().to_vec();
        let (cut, at, value) = (input.byte(), input.byte(), input.byte());
        quoted.truncate(20 + usize::from(cut));
        if let Some(byte) = quoted.get_mut(usize::from(at)) {
            *byte ^= value;
        }
        let types = [3, 3, 3, 11, 12, 8, 0, message_type];
        let message_type = types[usize::from(message_type) % types.len()];
        self.receive(packets::icmp(
            message_type,
            code % 20,
            [0, 0, c, d],
            &quoted,
        ));
    }

    fn arp(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let operation = if choice & 1 == 0 {
            Operation::Request
        } else {
            Operation::Reply
        };
        let hardware = EthernetAddress([2, 0, 0, 0, 0, input.byte()]);
        let sender = Ipv4Addr::new(10, 0, 0, input.byte());
        let target = Ipv4Addr::new(10, 0, 0, if choice & 2 == 0 { 2 } else { input.byte() });
        self.receive(packets::arp(operation, (hardware, sender), target));
    }

    /// A call of a user.
    fn call(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let index = usize::from(input.byte()) % PEERS;
        let len = usize::from(input.word());
        let now = self.now;
        let data = vec![0x5a; len];
        let mut buffer = vec![0; len];
        let stack = &mut self.stack;
        if let (16, Some(listener)) = (choice % 20, self.listener) {
            // The next of the peer's own connections is accepted in this place.
            if let Ok(id) = stack.tcp_accept(listener) {
                let remote = stack.remote_addr(id).expect("a connection has a peer");
                let peer = self
                    .peers
                    .iter_mut()
                    .find(|peer| peer.remote_port == remote.port());
                match peer {
                    Some(peer) if peer.socket.is_none() => peer.socket = Some(id),
                    _ => stack.tcp_abort(now, id).expect("it was just accepted"),
                }
            }
            return self.transmit();
        }
        let socket = self.peers[index].socket;
        match (choice % 20, socket) {
            (0..=3, Some(id)) => {
                if let Ok(sent) = stack.tcp_send(now, id, &data) {
                    assert!(sent <= len);
                }
            }
            (4..=6, Some(id)) => {
                if let Ok(received) = stack.tcp_recv(now, id, &mut buffer) {
                    assert!(received <= len);
                }
            }
            (7, Some(id)) => {
                let available = stack.tcp_recv_slice(id).map_or(0, <[u8]>::len);
                let _ = stack.tcp_consume(now, id, available.min(len));
            }
            (8, Some(id)) => {
                let _ = stack.tcp_shutdown(now, id);
            }
            (9, Some(id)) => {
                let _ = stack.tcp_set(now, id, setting(len));
            }
            (10, Some(id)) => {
                stack.close(now, id).expect("the handle is alive");
                assert!(stack.tcp_recv(now, id, &mut buffer).is_err());
                self.peers[index].socket = None;
            }
            (11, Some(id)) => {
                stack.tcp_abort(now, id).expect("the handle is alive");
                self.peers[index].socket = None;
            }
            (12..=13, None) => {
                let address = if index < PEERS / 2 { PEER } else { REMOTE };
                let remote = SocketAddr::from((address, self.peers[index].remote_port));
                self.peers[index].socket = stack.tcp_connect(now, remote, None).ok();
            }
            (14, _) => {
                if let Some(id) = self.udp {
                    let port = u16::try_from(len % 9).expect("small");
                    let to = SocketAddr::from((REMOTE, 1 + port));
                    let _ = stack.udp_send_to(now, id, &data[..len % 2_000], to);
                }
            }
            (15, _) => {
                if let Some(id) = self.udp
                    && let Ok(received) = stack.udp_recv_from(now, id, &mut buffer)
                {
                    assert!(received.len <= len && received.len <= received.datagram_len);
                }
            }
            (17, _) => {
                if let Some(id) = self.listener.take() {
                    stack.close(now, id).expect("the handle is alive");
                }
            }
            (18, _) => {
                if let Some(id) = self.udp.take() {
                    stack.close(now, id).expect("the handle is alive");
                }
            }
            (19, _) => self.open(),
            _ => {}
        }
        self.transmit();
    }

    /// A call of the user of the UDP socket: peers, groups, and datagrams that are not copied.
    fn udp_call(&mut self, input: &mut Input<'_>) {
        let (choice, number) = (input.byte(), input.byte());
        let len = usize::from(input.word()) % 2_000;
        let (now, stack) = (self.now, &mut self.stack);
        let Some(id) = self.udp else {
            return;
        };
        let host = Ipv4Addr::new(10, 0, 0, number % 4);
        let group = Ipv4Addr::new(224 + number % 16, 0, 0, 1 + number / 16);
        let address = if choice & 0x80 == 0 { host } else { group };
        let to = SocketAddr::from((address, UDP_PORT + u16::from(number & 1)));
        match choice % 8 {
            0 => {
                let peer = (choice & 0x40 == 0).then_some(to);
                if stack.udp_connect(now, id, peer).is_ok() && peer.is_some() {
                    // To the peer, if its hardware address is known or can be asked for.
                    let _ = stack.udp_send(now, id, &[1; 7]);
                }
            }
            1 => {
                let _ = stack.udp_join(now, id, group.into(), None);
            }
            2 => {
                let _ = stack.udp_leave(now, id, group.into(), None);
            }
            3 => {
                let source = host.into();
                let change = match len % 4 {
                    0 => GroupChange::Block(source),
                    1 => GroupChange::Unblock(source),
                    2 => GroupChange::JoinSource(source),
                    _ => GroupChange::LeaveSource(source),
                };
                let _ = stack.udp_group(now, id, change, group.into(), Some(self.interface));
            }
            4 => {
                let mut offered = None;
                let sent = stack.udp_send_with(now, id, len, Some(to), |place| {
                    offered = Some(place.len());
                    place.fill(0x5a);
                    len / 2
                });
                assert_eq!(offered, sent.is_ok().then_some(len));
            }
            5 => {
                let known = stack.udp_peek(now, id).map(|shown| {
                    assert!(shown.data.len() <= shown.info.datagram_len);
                    shown.info.remote
                });
                // An error is told once; behind it there may be a datagram.
                let again = stack.udp_peek(now, id).map(|shown| shown.info.remote);
                assert!(known.is_err() || known == again, "looking changes nothing");
                assert_eq!(stack.udp_consume(now, id).is_ok(), again.is_ok());
            }
            6 => {
                let room = stack.udp_reserve(now, id, len).map(|place| place.len());
                assert!(room.is_err() || room == Ok(len));
                if choice & 0x40 == 0 {
                    let _ = stack.udp_commit(now, id, len.min(usize::from(number)), Some(to));
                }
            }
            _ => {
                let setting = match number % 6 {
                    0 => UdpSetting::MulticastLoop(len % 2 == 0),
                    1 => UdpSetting::MulticastTimeToLive(choice),
                    2 => UdpSetting::Broadcast(len % 2 == 0),
                    3 => UdpSetting::DontFragment(len % 2 == 0),
                    4 => UdpSetting::ReceiveBuffer(len),
                    _ => UdpSetting::TimeToLive(choice),
                };
                let _ = stack.udp_set(now, id, setting);
            }
        }
        self.transmit();
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            0..=0x6f => self.segment(input),
            0x70..=0x7f => self.mutate(input),
            0x80..=0xbf => self.call(input),
            0xc0..=0xc7 => self.error(input),
            0xc8..=0xcf => self.arp(input),
            0xd0..=0xd7 => {
                let (port, len) = (input.byte(), input.word());
                let port = if port < 0xc0 {
                    UDP_PORT
                } else {
                    u16::from(port)
                };
                let payload = vec![port.to_be_bytes()[1]; usize::from(len % 1_472)];
                self.receive(packets::udp((REMOTE, port), port, &payload));
            }
            0xd8..=0xdb => {
                let len = usize::from(input.byte());
                let bytes = input.bytes(len);
                self.receive(bytes);
            }
            0xdc..=0xdf => self.udp_call(input),
            0xe0..=0xef => {
                self.now = self.now + Duration::from_millis(u64::from(input.word()));
                self.transmit();
            }
            0xf0..=0xf7 if self.second.is_some() => self.on_another_link(input),
            _ => {
                if let Some(due) = self.stack.next_timeout() {
                    self.now = self.now.max(due);
                }
                self.transmit();
            }
        }
    }

    /// Takes away the routes over gateways: where there is another way, one that does not answer is
    /// asked again every minute.
    fn forget_gateways(&mut self) {
        let routes: Vec<_> = self.stack.routes().collect();
        for route in routes {
            if let NextHop::Gateway { .. } = route.next_hop {
                self.stack
                    .remove_route_by(route.destination, route.prefix_len, route.next_hop)
                    .expect("the route is ours");
            }
        }
    }

    /// Closes everything and lets time pass: nothing may be left.
    fn finish(mut self) {
        for id in self.peers.iter_mut().filter_map(|peer| peer.socket.take()) {
            assert_eq!(id.kind(), SocketKind::Connection);
            self.stack.close(self.now, id).expect("the handle is alive");
        }
        for id in self.listener.take().into_iter().chain(self.udp.take()) {
            self.stack.close(self.now, id).expect("the handle is alive");
        }
        self.transmit();
        if self.second.is_some() {
            self.forget_gateways();
        }
        let mut steps = 0;
        while let Some(due) = self.stack.next_timeout() {
            steps += 1;
            assert!(
                steps < MAX_STEPS,
                "timers without an end: {:?}",
                self.stack.usage()
            );
            self.now = self.now.max(due);
            self.transmit();
        }
        let (pool, usage) = (self.stack.pool_frames(), self.stack.usage());
        assert_eq!(pool.free, pool.total, "frames were lost: {usage:?}");
        let left = [
            usage.connections,
            usage.half_open,
            usage.time_wait,
            usage.udp_sockets,
        ];
        assert_eq!(left, [0; 4], "{usage:?}");
    }
}

/// A peer that follows the protocol as far as the input lets it.
pub fn stack_frames(data: &[u8]) {
    let mut input = Input(data);
    let mut world = World::new(input.byte());
    for _ in 0..MAX_OPERATIONS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.finish();
}

/// Frames as they come: two bytes of length, then the frame, its checksums made right if the top
/// bit of the length is set.
pub fn stack_raw(data: &[u8]) {
    let mut input = Input(data);
    let mut world = World::new(0);
    for _ in 0..MAX_OPERATIONS {
        if input.is_empty() {
            break;
        }
        let word = input.word();
        let mut frame = input.bytes(usize::from(word & 0x7fff) % 2_048);
        if word & 0x8000 != 0 {
            packets::fix_checksums(&mut frame);
        }
        world.receive(frame);
    }
    world.finish();
}
