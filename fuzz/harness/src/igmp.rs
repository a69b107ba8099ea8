//! Groups: the parsers of queries, and a host whose sockets join and leave while it is asked anything.
//!
//! Beside the stack there is a list of what each socket wants. What the stack allows, what its sockets
//! hear, and what it tells a querier in the end must agree with that.

use crate::ipv6::build;
use crate::packets::{self, OUR_HW, OURS, PEER, PEER_HW, TRANSPORT_START};
use mnet_core::checksum;
use mnet_core::config::Ipv6Config;
use mnet_core::device::InterfaceId;
use mnet_core::error::GroupError;
use mnet_core::udp::{GroupChange, UdpOptions};
use mnet_core::wire::ethernet::{EthernetAddress, EthernetHeader, ether_type};
use mnet_core::wire::igmp as wire;
use mnet_core::wire::ipv4::{self, Ipv4Header, protocol};
use mnet_core::wire::ipv6::{self as ip6, next_header};
use mnet_core::wire::membership::Query;
use mnet_core::wire::mld;
use mnet_core::{Config, Instant, InterfaceConfig, SocketId, Stack};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

/// The port of all sockets.
const PORT: u16 = 5_353;
/// Sockets, the first half of them for IPv4.
const SOCKETS: usize = 4;
const OURS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Most operations of an input.
const MAX_OPERATIONS: usize = 150;
/// Most frames that one operation may cause.
const MAX_OUTPUT: usize = 500;
/// Sources that the stack keeps for an interface: a group that needs more listens to everybody, until
/// something is changed in it.
const MAX_SOURCES: usize = 32;
/// Until a querier of an older version is forgotten, and all is said.
const QUIET: Duration = Duration::from_secs(300);

/// The bytes as a query, of either family and with its checksum made right; then as operations.
pub fn igmp(data: &[u8]) {
    let _ = wire::parse_query(data);
    if let Ok(query) = wire::parse_query(&summed(data)) {
        check_query(&query, data.len() - 8, 4);
    }
    if let Some(query) = mld::parse_query(data) {
        check_query(&query, data.len() - 24, 16);
    }
    let mut world = World::new();
    let mut rest = data;
    for _ in 0..MAX_OPERATIONS {
        let Some((&[operation, a, b, c], behind)) = rest.split_first_chunk::<4>() else {
            break;
        };
        rest = behind;
        world.step(operation, [a, b, c], &mut rest);
    }
    world.finish();
}

fn check_query(query: &Query<'_>, behind: usize, address_len: usize) {
    let sources = query.sources();
    assert!(sources.len() == 0 || sources.len() * address_len + 4 <= behind);
    assert!(query.group.is_none_or(|group| group.is_multicast()));
    assert!(query.group.is_some() || sources.len() == 0);
    assert!(query.robustness <= 7);
    // The largest value of the longer code, in milliseconds; the shorter one has less.
    assert!(query.max_response_delay <= Duration::from_millis(0x1fff << 10));
}

/// A message with the checksum of IGMP.
fn summed(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    if message.len() >= 4 {
        message[2..4].fill(0);
        let sum = checksum::sum(&message).finish();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// A group: everybody's, or one of more than an interface has room for. Two and two of the IPv4 ones
/// have the same Ethernet address.
fn group(ipv6: bool, number: u8) -> IpAddr {
    match (ipv6, number % 48) {
        (false, 0) => ALL_HOSTS.into(),
        (false, number) => Ipv4Addr::new(239, (number & 1) << 7, 2, number / 2).into(),
        (true, 0) => ALL_NODES.into(),
        (true, number) => Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 1, number.into()).into(),
    }
}

/// A host of the link that is not us: more of them than a socket can name.
fn source(ipv6: bool, number: u8) -> IpAddr {
    let number = 3 + number % 40;
    if ipv6 {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into()).into()
    } else {
        Ipv4Addr::new(10, 0, 0, number).into()
    }
}

fn is_everybody(group: IpAddr) -> bool {
    group == IpAddr::V4(ALL_HOSTS) || group == IpAddr::V6(ALL_NODES)
}

/// What a socket wants of a group.
#[derive(Clone, Debug, Default)]
struct Wish {
    exclude: bool,
    sources: BTreeSet<IpAddr>,
}

#[derive(Debug, Default)]
struct Wishes {
    of: BTreeMap<(usize, IpAddr), Wish>,
    /// Each source that was ever named for a group.
    named: BTreeSet<(IpAddr, IpAddr)>,
}

impl Wishes {
    fn wants(&self, socket: usize, group: IpAddr, source: IpAddr) -> bool {
        match self.of.get(&(socket, group)) {
            Some(wish) => wish.sources.contains(&source) != wish.exclude,
            None => is_everybody(group),
        }
    }

    /// What must come of a change, but for limits.
    fn check(&self, socket: usize, group: IpAddr, change: GroupChange) -> Result<(), GroupError> {
        use GroupChange::{Block, Join, JoinSource, Leave, LeaveSource, Unblock};
        if is_everybody(group) && !matches!(change, Join | Leave) {
            return Err(GroupError::Invalid);
        }
        let Some(wish) = self.of.get(&(socket, group)) else {
            return match change {
                Join | JoinSource(_) => Ok(()),
                _ => Err(GroupError::NotMember),
            };
        };
        let (exclude, source, add) = match change {
            Join => return Err(GroupError::AlreadyMember),
            Leave => return Ok(()),
            Block(source) => (true, source, true),
            Unblock(source) => (true, source, false),
            JoinSource(source) => (false, source, true),
            LeaveSource(source) => (false, source, false),
        };
        match (wish.exclude == exclude, wish.sources.contains(&source), add) {
            (false, ..) => Err(GroupError::OtherMode),
            (_, true, true) => Err(GroupError::AlreadyMember),
            (_, false, false) => Err(GroupError::NotMember),
            _ => Ok(()),
        }
    }

    /// Takes in a change that was allowed.
    fn apply(&mut self, socket: usize, group: IpAddr, change: GroupChange) {
        use GroupChange::{Block, Join, JoinSource, Leave, LeaveSource, Unblock};
        if let Block(source) | JoinSource(source) = change {
            self.named.insert((group, source));
        }
        let key = (socket, group);
        let wish = self.of.entry(key).or_default();
        match change {
            Join => wish.exclude = true,
            Block(source) | JoinSource(source) => _ = wish.sources.insert(source),
            Unblock(source) | LeaveSource(source) => _ = wish.sources.remove(&source),
            Leave => *wish = Wish::default(),
        }
        if !wish.exclude && wish.sources.is_empty() {
            self.of.remove(&key);
        }
    }

    /// Groups that a querier hears of.
    fn groups(&self, ipv6: bool) -> BTreeSet<IpAddr> {
        let groups = self.of.keys().map(|(_, group)| *group);
        groups
            .filter(|group| group.is_ipv6() == ipv6 && !is_everybody(*group))
            .collect()
    }

    /// What all sockets together want (RFC 3376 §3.2).
    fn union(&self, group: IpAddr) -> Wish {
        let of_group = || self.of.iter().filter(|((_, g), _)| *g == group);
        let wishes = || of_group().map(|(_, wish)| wish);
        let included: BTreeSet<IpAddr> = wishes()
            .filter(|wish| !wish.exclude)
            .flat_map(|wish| wish.sources.clone())
            .collect();
        let mut excluding = wishes().filter(|wish| wish.exclude);
        let Some(first) = excluding.next() else {
            return Wish {
                exclude: false,
                sources: included,
            };
        };
        let all = excluding.fold(first.sources.clone(), |all, wish| &all & &wish.sources);
        Wish {
            exclude: true,
            sources: &all - &included,
        }
    }
}

/// A record of a report: its type, and what it is about.
type Record = (u8, IpAddr, BTreeSet<IpAddr>);

struct World {
    stack: Stack,
    interface: InterfaceId,
    now: Instant,
    sockets: [SocketId; SOCKETS],
    wishes: Wishes,
    /// What was reported by version 3 or MLD version 2 since somebody looked.
    records: Vec<Record>,
}

fn open(stack: &mut Stack, number: usize) -> SocketId {
    let any: IpAddr = if is_v6(number) {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    stack
        .udp_bind_with(SocketAddr::new(any, PORT), UdpOptions { reuse: true })
        .expect("there is room")
}

/// Whether a socket is one of IPv6.
fn is_v6(socket: usize) -> bool {
    socket >= SOCKETS / 2
}

impl World {
    fn new() -> Self {
        let now = Instant::from_millis(1);
        let config = Config {
            memory: 400 << 10,
            max_connections: Some(4),
            max_udp_sockets: SOCKETS,
            ..Config::default()
        };
        let mut stack = Stack::new(&config, [7; 32], now).expect("the configuration is right");
        let interface = InterfaceConfig {
            hardware_address: OUR_HW.0,
            mtu: 1500,
        };
        let interface = stack.add_interface(now, interface).expect("there is room");
        stack
            .add_address(now, interface, OURS.into(), 24)
            .expect("a good address");
        let ipv6 = Ipv6Config {
            accept_router_advertisements: false,
            dad_transmits: 0,
            ..Ipv6Config::default()
        };
        stack.enable_ipv6(now, interface, ipv6).expect("a good MTU");
        stack
            .add_address(now, interface, OURS_V6.into(), 64)
            .expect("a good address");
        let sockets = std::array::from_fn(|number| open(&mut stack, number));
        let mut world = Self {
            stack,
            interface,
            now,
            sockets,
            wishes: Wishes::default(),
            records: Vec::new(),
        };
        world.transmit();
        world
    }

    fn step(&mut self, operation: u8, [a, b, c]: [u8; 3], rest: &mut &[u8]) {
        let mut take = |len: usize| {
            let (taken, behind) = rest.split_at(len.min(rest.len()));
            *rest = behind;
            taken
        };
        match operation % 8 {
            // Most of them are changes, so that there is something to ask for.
            0..=2 => self.change(usize::from(operation >> 3) % SOCKETS, a, b, c),
            3 => {
                let content = take(usize::from(c));
                self.query_v4(operation, a, b, content);
            }
            4 => {
                let content = take(usize::from(c));
                self.query_v6(operation, a, b, content);
            }
            5 => self.datagram(operation & 8 != 0, a, b),
            6 => self.send(usize::from(operation >> 3) % SOCKETS, a),
            _ if operation & 0xf8 == 0xf8 => {
                let number = usize::from(a) % SOCKETS;
                let closed = self.stack.close(self.now, self.sockets[number]);
                closed.expect("the handle is alive");
                self.wishes.of.retain(|(socket, _), _| *socket != number);
                self.sockets[number] = open(&mut self.stack, number);
            }
            _ => {
                let millis = u64::from(u16::from_be_bytes([a, b]));
                self.pass(Duration::from_millis(millis));
            }
        }
        self.transmit();
    }

    fn change(&mut self, socket: usize, kind: u8, group_number: u8, source_number: u8) {
        let group = group(is_v6(socket), group_number);
        let source = source(is_v6(socket), source_number);
        let change = match kind % 6 {
            0 => GroupChange::Join,
            1 => GroupChange::Leave,
            2 => GroupChange::Block(source),
            3 => GroupChange::Unblock(source),
            4 => GroupChange::JoinSource(source),
            _ => GroupChange::LeaveSource(source),
        };
        let id = self.sockets[socket];
        let interface = (kind & 0x80 != 0).then_some(self.interface);
        let result = match change {
            GroupChange::Join => self.stack.udp_join(self.now, id, group, interface),
            GroupChange::Leave => self.stack.udp_leave(self.now, id, group, interface),
            _ => self.stack.udp_group(self.now, id, change, group, interface),
        };
        let expected = self.wishes.check(socket, group, change);
        if result == Err(GroupError::LimitReached) {
            // A limit is no reason to refuse what gives room back.
            let adds = matches!(
                change,
                GroupChange::Join | GroupChange::Block(_) | GroupChange::JoinSource(_)
            );
            assert!(adds, "{change:?}");
            return;
        }
        assert_eq!(result, expected, "{change:?} of {group}");
        if result.is_ok() {
            self.wishes.apply(socket, group, change);
        }
    }

    /// A query, or something near one: `flags` say what is not as it should be.
    fn query_v4(&mut self, flags: u8, code: u8, number: u8, content: &[u8]) {
        let asked = match group(false, number) {
            IpAddr::V4(v4) if number < 200 && v4 != ALL_HOSTS => v4,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let to = if asked.is_unspecified() || flags & 0x80 != 0 {
            ALL_HOSTS
        } else {
            asked
        };
        let kind = if flags & 0x40 == 0 { 0x11 } else { 0x22 };
        let head = wire::Message::new(kind, asked);
        let mut message = [head.as_bytes(), content].concat();
        message[1] = code;
        let message = summed(&message);
        let len = u16::try_from(message.len()).expect("short");
        let ttl = if flags & 0x20 == 0 { 1 } else { 2 };
        let ends = (PEER, to);
        let packet = if flags & 0x10 == 0 {
            let header = Ipv4Header::with_router_alert(0xc0, ends, protocol::IGMP, ttl, len);
            [&header[..], &message].concat()
        } else {
            let header = Ipv4Header::new(PEER, to, protocol::IGMP, ttl, 20 + len);
            [header.as_bytes(), &message].concat()
        };
        self.receive(&to_group(to, &packet));
    }

    fn query_v6(&mut self, flags: u8, code: u8, number: u8, content: &[u8]) {
        let asked = match group(true, number) {
            IpAddr::V6(v6) if number < 200 && v6 != ALL_NODES => v6,
            _ => Ipv6Addr::UNSPECIFIED,
        };
        let to = if asked.is_unspecified() || flags & 0x80 != 0 {
            ALL_NODES
        } else {
            asked
        };
        let kind = if flags & 0x40 == 0 { 130 } else { 143 };
        let mut message = vec![kind, 0, 0, 0, code, 0, 0, 0];
        message.extend(asked.octets());
        message.extend(content);
        let hops = if flags & 0x20 == 0 { 1 } else { 2 };
        let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let frame = if flags & 0x10 == 0 {
            let content = [&mld::ROUTER_ALERT[..], &message].concat();
            build(source, to, (0, hops), &content)
        } else {
            build(source, to, (next_header::ICMPV6, hops), &message)
        };
        self.receive(&frame);
    }

    /// A datagram from the link to a group: heard by those who want it.
    fn datagram(&mut self, ipv6: bool, group_number: u8, source_number: u8) {
        const PAYLOAD: &[u8] = b"from the link";
        let (group, source) = (group(ipv6, group_number), source(ipv6, source_number));
        let frame = match (group, source) {
            (IpAddr::V4(to), IpAddr::V4(from)) => {
                let mut frame = packets::udp((from, 9), PORT, PAYLOAD);
                frame[..6].copy_from_slice(&group_hw(to).0);
                frame[TRANSPORT_START - 4..TRANSPORT_START].copy_from_slice(&to.octets());
                packets::fix_checksums(&mut frame);
                frame
            }
            (IpAddr::V6(to), IpAddr::V6(from)) => {
                let len = u16::try_from(8 + PAYLOAD.len()).expect("short");
                let mut datagram = [9, PORT, len, 0].map(u16::to_be_bytes).concat();
                datagram.extend(PAYLOAD);
                build(from, to, (next_header::UDP, 1), &datagram)
            }
            _ => unreachable!("of one family"),
        };
        self.receive(&frame);
        self.check_heard(group, Some(source), PAYLOAD);
    }

    /// A datagram of a socket's own to a group: heard here as well.
    fn send(&mut self, socket: usize, group_number: u8) {
        const PAYLOAD: &[u8] = b"from here";
        let group = group(is_v6(socket), group_number);
        let to = SocketAddr::new(group, PORT);
        let id = self.sockets[socket];
        let sent = self.stack.udp_send_to(self.now, id, PAYLOAD, to);
        sent.expect("there is an address, and room");
        self.check_heard(group, None, PAYLOAD);
    }

    /// Each socket has one copy of what came from `source`, or from us, if it wants that.
    fn check_heard(&mut self, group: IpAddr, source: Option<IpAddr>, payload: &[u8]) {
        let from = source.unwrap_or(OURS.into());
        for (number, id) in self.sockets.into_iter().enumerate() {
            let wanted = group.is_ipv6() == is_v6(number) && self.wishes.wants(number, group, from);
            let shown = self.stack.udp_peek(self.now, id);
            let heard = shown.is_ok_and(|datagram| {
                assert_eq!((datagram.info.destination, datagram.data), (group, payload));
                source.is_none_or(|source| datagram.info.remote.ip() == source)
            });
            assert_eq!(heard, wanted, "socket {number}: {group} from {source:?}");
            if heard {
                let consumed = self.stack.udp_consume(self.now, id);
                consumed.expect("it was just shown");
            }
            assert!(self.stack.udp_peek(self.now, id).is_err(), "one copy");
        }
    }

    fn receive(&mut self, frame: &[u8]) {
        self.stack.receive_copy(self.now, self.interface, frame);
    }

    /// Lets time pass.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        for step in 0.. {
            assert!(step < MAX_OUTPUT, "timers without an end");
            self.transmit();
            match self.stack.next_timeout().filter(|next| *next <= end) {
                Some(next) => self.now = self.now.max(next),
                None => break,
            }
        }
        self.now = end;
    }

    /// Takes what is sent, and checks it.
    fn transmit(&mut self) {
        self.stack.handle_timeout(self.now);
        while self.stack.poll_event().is_some() {}
        let mut count = 0;
        while let Some(frame) = self.stack.transmit(self.now) {
            let frame = frame.slices.concat();
            count += 1;
            assert!(count < MAX_OUTPUT, "the stack does not stop sending");
            assert!(frame.len() <= 1_514);
            self.records.extend(reported(&frame));
        }
        let due = self.stack.next_timeout();
        assert!(due.is_none_or(|due| due > self.now), "something is overdue");
    }

    /// Asks for everything; the records of the answer.
    fn ask(&mut self) -> Vec<Record> {
        self.pass(QUIET);
        self.records.clear();
        self.query_v4(0, 10, 255, &[2, 125, 0, 0]);
        self.query_v6(0, 1, 255, &[2, 125, 0, 0]);
        self.pass(Duration::from_secs(5));
        std::mem::take(&mut self.records)
    }

    /// The answer to a general query is what the sockets want, and nothing when they are closed.
    fn finish(mut self) {
        let mut told = BTreeMap::new();
        for (kind, group, sources) in self.ask() {
            assert!(matches!(kind, 1 | 2), "{group}: nothing has changed");
            let twice = told.insert(group, (kind == 2, sources));
            assert!(twice.is_none(), "{group}: told twice");
        }
        let [v4, v6] = [false, true].map(|ipv6| self.wishes.groups(ipv6));
        let all = &v4 | &v6;
        let told_of = told.keys().copied();
        let others: BTreeSet<IpAddr> = told_of.filter(|group| !is_solicited(*group)).collect();
        assert_eq!(others, all);
        for group in &all {
            let wish = self.wishes.union(*group);
            let (exclude, listed) = &told[group];
            if self.wishes.named.len() <= MAX_SOURCES {
                let told = (*exclude, listed);
                assert_eq!(told, (wish.exclude, &wish.sources), "{group}");
            } else {
                // It may listen to more, never to less.
                assert!(*exclude || !wish.exclude, "{group}");
            }
        }
        for id in self.sockets {
            self.stack.close(self.now, id).expect("the handle is alive");
        }
        self.wishes.of.clear();
        let left = self.ask();
        let left: Vec<_> = left.iter().filter(|(_, g, _)| !is_solicited(*g)).collect();
        assert!(left.is_empty(), "{left:?}");
        let pool = self.stack.pool_frames();
        assert_eq!(pool.free, pool.total, "a frame is lost");
    }
}

/// Whether it is the group that an IPv6 address needs.
fn is_solicited(group: IpAddr) -> bool {
    matches!(group, IpAddr::V6(v6) if v6.segments()[..6] == [0xff02, 0, 0, 0, 0, 1])
}

fn group_hw(group: Ipv4Addr) -> EthernetAddress {
    let [_, a, b, c] = group.octets();
    EthernetAddress([1, 0, 0x5e, a & 0x7f, b, c])
}

fn to_group(group: Ipv4Addr, packet: &[u8]) -> Vec<u8> {
    let header = EthernetHeader {
        destination: group_hw(group),
        source: PEER_HW,
        ether_type: U16::new(ether_type::IPV4),
    };
    [header.as_bytes(), packet].concat()
}

/// Checks a report that was sent; its records, if it has any. Of other frames, none.
fn reported(frame: &[u8]) -> Vec<Record> {
    let packet = &frame[size_of::<EthernetHeader>()..];
    let (message, address_len) = match u16::from_be_bytes([frame[12], frame[13]]) {
        ether_type::IPV4 => {
            let (header, options, payload) = ipv4::parse(packet).expect("we send good packets");
            if header.protocol != protocol::IGMP {
                return Vec::new();
            }
            let message = &packet[payload];
            assert!(ipv4::has_router_alert(options));
            assert_eq!((header.time_to_live, header.source()), (1, OURS));
            assert_eq!(frame[..6], group_hw(header.destination()).0);
            assert!(checksum::sum(message).is_valid());
            (message, 4)
        }
        ether_type::IPV6 => {
            let (header, payload) = ip6::parse(packet).expect("we send good packets");
            let layer = ip6::upper_layer(&packet[..payload.end]).expect("good headers");
            let message = &packet[layer.start..payload.end];
            if layer.protocol != next_header::ICMPV6 || !matches!(message[0], 131 | 132 | 143) {
                return Vec::new();
            }
            assert_eq!(header.next_header, 0, "hop-by-hop options: Router Alert");
            assert_eq!(header.hop_limit, 1);
            (message, 16)
        }
        _ => return Vec::new(),
    };
    match (address_len, message[0]) {
        (4, 0x22) | (16, 143) => records(message, address_len),
        (4, 0x12 | 0x16 | 0x17) => {
            assert_eq!(message.len(), 8);
            Vec::new()
        }
        (16, 131 | 132) => {
            assert_eq!(message.len(), 24);
            Vec::new()
        }
        (_, kind) => panic!("message of type {kind}"),
    }
}

fn records(message: &[u8], address_len: usize) -> Vec<Record> {
    let address = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes).expect("16 bytes")),
    };
    let count = u16::from_be_bytes([message[6], message[7]]);
    let mut rest = &message[8..];
    let mut records = Vec::new();
    for _ in 0..count {
        let (head, behind) = rest.split_at(4);
        let (group, behind) = behind.split_at(address_len);
        let sources = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (sources, behind) = behind.split_at(sources * address_len);
        rest = behind;
        assert!((1..=6).contains(&head[0]) && head[1] == 0);
        let group = address(group);
        assert!(group.is_multicast() && !is_everybody(group));
        let list: Vec<_> = sources.chunks_exact(address_len).map(address).collect();
        let set: BTreeSet<IpAddr> = list.iter().copied().collect();
        assert_eq!(set.len(), list.len(), "a source twice");
        // Only a change to listening to nobody, or to everybody, goes without sources (RFC 3376 §5.1).
        assert!(!set.is_empty() || matches!(head[0], 2..=4), "{group}");
        records.push((head[0], group, set));
    }
    assert!(count > 0 && rest.is_empty());
    records
}
