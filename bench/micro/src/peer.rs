//! The other end: a client that says what Linux would say, and checks what it gets.

use crate::Family;
use crate::neighbour;
use crate::wire::Wire;
use mnet_core::checksum;
use std::net::IpAddr;

/// The Ethernet address of the stack.
pub const SERVER_HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const PEER_HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 2];

pub(crate) const ETHERNET: usize = 14;
const TCP: usize = 20;

/// Flags of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// FIN and ACK.
    pub const FIN: Self = Self(0x11);
    /// SYN alone.
    pub const SYN: Self = Self(0x02);
    /// ACK alone.
    pub const ACK: Self = Self(0x10);
    /// PSH and ACK.
    pub const PUSH: Self = Self(0x18);
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    address: IpAddr,
    port: u16,
    next: u32,
    expected: u32,
    /// The stack's last timestamp, if it uses them.
    echo: Option<u32>,
}

/// One connection after the other, from a new port each time; or, with [`Peer::switch`], many.
#[derive(Debug)]
pub struct Peer {
    family: Family,
    connection: Connection,
    clock: u32,
    payload: Vec<u8>,
    /// Bytes that the stack has sent on this connection.
    pub received: usize,
    /// Whether the stack has closed.
    pub finished: bool,
}

impl Peer {
    /// Nobody has connected yet.
    #[must_use]
    pub fn new(family: Family) -> Self {
        Self {
            family,
            connection: Connection {
                address: family.peer(),
                port: 32_767,
                next: 0,
                expected: 0,
                echo: None,
            },
            clock: 1,
            payload: (0..=255).cycle().take(family.mss()).collect(),
            received: 0,
            finished: false,
        }
    }

    /// A SYN from the next port, with the options of Linux.
    pub fn syn(&mut self, wire: &mut Wire) {
        let port = self.connection.port.checked_add(1).unwrap_or(32_768);
        self.syn_from(wire, self.family.peer(), port);
    }

    /// A SYN from this address and port, with the options of Linux.
    pub fn syn_from(&mut self, wire: &mut Wire, address: IpAddr, port: u16) {
        self.connection = Connection {
            address,
            port,
            next: u32::from(port) << 8,
            expected: 0,
            echo: None,
        };
        (self.received, self.finished) = (0, false);
        let [a, b, c, d] = self.clock.to_be_bytes();
        #[rustfmt::skip]
        let mut options = [2, 4, 0, 0, 4, 2, 8, 10, a, b, c, d, 0, 0, 0, 0, 1, 3, 3, 7];
        let mss = u16::try_from(self.family.mss() + 12).expect("a frame");
        options[2..4].copy_from_slice(&mss.to_be_bytes());
        self.emit(wire, Flags::SYN, &options, 0);
        self.connection.next += 1;
    }

    /// Goes on with another connection; the present one is left in its place.
    pub fn switch(&mut self, other: &mut Connection) {
        core::mem::swap(&mut self.connection, other);
    }

    /// The present connection.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// A segment with `len` bytes of data and the newest acknowledgement.
    pub fn segment(&mut self, wire: &mut Wire, flags: Flags, len: usize) {
        match self.connection.echo {
            Some(echo) => {
                let [a, b, c, d] = self.clock.to_be_bytes();
                let [e, f, g, h] = echo.to_be_bytes();
                self.emit(wire, flags, &[1, 1, 8, 10, a, b, c, d, e, f, g, h], len);
            }
            None => self.emit(wire, flags, &[], len),
        }
        let len = u32::try_from(len).expect("at most MSS");
        let taken = len + u32::from(flags == Flags::FIN);
        self.connection.next = self.connection.next.wrapping_add(taken);
    }

    /// Takes what the stack has sent; answers its questions for neighbours. `ack_every`: how many data
    /// segments one acknowledgement answers; 0: none is sent.
    ///
    /// # Panics
    /// If a frame is not what a correct stack sends here.
    pub fn take(&mut self, from: &mut Wire, to: &mut Wire, ack_every: usize) {
        let mut unacknowledged = 0;
        while let Some(frame) = from.pop() {
            match frame[12..14] {
                [8, 6] => neighbour::arp_reply(frame[38..42].try_into().expect("4 bytes"), to),
                // Of IPv6, what is no TCP segment is of the link: questions and reports.
                [0x86, 0xdd] if frame[20] != 6 => neighbour::advertise(frame, to),
                [8, 0] | [0x86, 0xdd] => {
                    unacknowledged += usize::from(self.take_segment(&frame[ETHERNET..]));
                }
                _ => panic!("neither ARP nor IP"),
            }
            if ack_every > 0 && unacknowledged == ack_every {
                self.segment(to, Flags::ACK, 0);
                unacknowledged = 0;
            }
        }
        if ack_every > 0 && unacknowledged > 0 {
            self.segment(to, Flags::ACK, 0);
        }
        self.clock = self.clock.wrapping_add(1);
    }

    /// Whether the segment had data.
    fn take_segment(&mut self, packet: &[u8]) -> bool {
        let (ip, tcp) = packet.split_at(self.family.header());
        let connection = &mut self.connection;
        let server = self.family.server().ip();
        let sum = checksum::pseudo_header(server, connection.address, 6, tcp.len());
        assert!(self.family == Family::V6 || checksum::sum(ip).is_valid());
        assert!((sum + checksum::sum(tcp)).is_valid());
        let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().expect("4 bytes"));
        let header = usize::from(tcp[12] >> 4) * 4;
        let (flags, len) = (tcp[13], tcp.len() - header);
        assert_eq!(flags & 4, 0, "a reset");
        if flags & 2 != 0 {
            connection.expected = number(4).wrapping_add(1);
            connection.echo = timestamp(&tcp[TCP..header]);
            return false;
        }
        if connection.echo.is_some() {
            connection.echo = timestamp(&tcp[TCP..header]);
        }
        if len > 0 || flags & 1 != 0 {
            assert_eq!(
                number(4),
                connection.expected,
                "in order, and nothing twice"
            );
        }
        let ends = u32::try_from(len).expect("a frame") + u32::from(flags & 1);
        connection.expected = connection.expected.wrapping_add(ends);
        self.received += len;
        self.finished |= flags & 1 != 0;
        len > 0
    }

    fn emit(&self, wire: &mut Wire, flags: Flags, options: &[u8], len: usize) {
        let segment = TCP + options.len() + len;
        let (header, server) = (self.family.header(), self.family.server());
        let frame = wire.push(ETHERNET + header + segment);
        frame.fill(0);
        frame[..6].copy_from_slice(&SERVER_HARDWARE);
        frame[6..12].copy_from_slice(&PEER_HARDWARE);
        let (ethernet, packet) = frame.split_at_mut(ETHERNET);
        let (ip, tcp) = packet.split_at_mut(header);
        let connection = &self.connection;
        self.family
            .write_header(ethernet, ip, (connection.address, server.ip()), segment);
        tcp[..2].copy_from_slice(&connection.port.to_be_bytes());
        tcp[2..4].copy_from_slice(&server.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&connection.next.to_be_bytes());
        if flags != Flags::SYN {
            tcp[8..12].copy_from_slice(&connection.expected.to_be_bytes());
        }
        tcp[12] = u8::try_from((TCP + options.len()) / 4).expect("a header") << 4;
        tcp[13] = flags.0;
        tcp[14..16].copy_from_slice(&0xf000u16.to_be_bytes());
        tcp[TCP..TCP + options.len()].copy_from_slice(options);
        tcp[TCP + options.len()..].copy_from_slice(&self.payload[..len]);
        let pseudo = checksum::pseudo_header(connection.address, server.ip(), 6, segment);
        let sum = pseudo + checksum::sum(tcp);
        tcp[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    }
}

/// The value of the timestamps option, if there is one.
fn timestamp(mut options: &[u8]) -> Option<u32> {
    loop {
        match *options {
            [8, 10, a, b, c, d, ..] => return Some(u32::from_be_bytes([a, b, c, d])),
            [] | [0, ..] => return None,
            [1, ..] => options = &options[1..],
            [_, len, ..] => options = &options[usize::from(len)..],
            [_] => return None,
        }
    }
}
