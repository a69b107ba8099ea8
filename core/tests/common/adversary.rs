//! A TCP peer that speaks well enough to transfer data and misbehaves at random. It is written
//! without the stack's code: own state, own parsing, own segments.
//!
//! Its bytes are always the true ones of its stream, whatever it does with their numbers: what the
//! stack hands to its user must be those. It checks what it is sent: the bytes, that no more comes
//! than its windows ever allowed, and that nothing is acknowledged that it has not sent.

use super::packet::{frame, set_tcp_checksum};
use super::random::Random;
use super::{OURS, PEER, pattern};
use mnet_core::Instant;
use std::time::Duration;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;
pub const URG: u8 = 32;

/// The byte at an offset of the peer's stream: not those of the stream that it receives.
pub fn peer_byte(offset: usize) -> u8 {
    pattern(offset + 1_000_003)
}

/// An offset as a difference of sequence numbers.
fn wrap(offset: usize) -> u32 {
    u32::try_from(offset & 0xffff_ffff).unwrap()
}

/// A segment that the stack has sent.
#[derive(Clone, Debug)]
pub struct Segment {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    pub scale: Option<u8>,
    pub sack_permitted: bool,
    pub timestamp: Option<u32>,
    pub payload: Vec<u8>,
}

impl Segment {
    /// Reads a TCP frame whose sums are right; `None` for others.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        if frame[12..14] != [8, 0] || frame[23] != 6 {
            return None;
        }
        assert!(
            super::packet::frame_is_sound(frame),
            "lengths and checksums"
        );
        let tcp = &frame[34..];
        let word = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
        let len = usize::from(tcp[12] >> 4) * 4;
        let mut segment = Self {
            seq: word(4),
            ack: word(8),
            flags: tcp[13],
            window: u16::from_be_bytes([tcp[14], tcp[15]]),
            scale: None,
            sack_permitted: false,
            timestamp: None,
            payload: tcp[len..].to_vec(),
        };
        let mut at = 20;
        while at < len && tcp[at] != 0 {
            if tcp[at] == 1 {
                at += 1;
                continue;
            }
            match tcp[at] {
                3 => segment.scale = Some(tcp[at + 2]),
                4 => segment.sack_permitted = true,
                8 => segment.timestamp = Some(word(at + 2)),
                _ => {}
            }
            at += usize::from(tcp[at + 1]);
        }
        Some(segment)
    }
}

/// What the peer's SYN says.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    pub mss: Option<u16>,
    pub scale: Option<u8>,
    pub sack: bool,
    pub timestamps: bool,
}

impl Offer {
    pub fn random(random: &mut Random) -> Self {
        Self {
            mss: random.pick(&[
                None,
                Some(0),
                Some(1),
                Some(8),
                Some(48),
                Some(536),
                Some(1_460),
                Some(1_460),
                Some(9_000),
                Some(65_535),
            ]),
            scale: random.pick(&[
                None,
                Some(0),
                Some(2),
                Some(7),
                Some(14),
                Some(15),
                Some(255),
            ]),
            sack: random.per_mille(700),
            timestamps: random.per_mille(600),
        }
    }
}

/// Who opens the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    Peer,
    Stack,
    Both,
}

/// A segment in the making.
struct Draft {
    flags: u8,
    seq: u32,
    ack: u32,
    window: u16,
    urgent: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
}

/// The peer.
#[derive(Debug)]
pub struct Peer {
    pub random: Random,
    pub offer: Offer,
    pub port: u16,
    pub their_port: u16,
    /// It behaves from now on.
    pub honest: bool,
    /// How often it misbehaves otherwise, in thousandths of its turns.
    mischief: u32,
    /// Its initial sequence number, and the stack's when it is known.
    iss: u32,
    irs: Option<u32>,
    /// Its SYN was acknowledged.
    pub open: bool,

    /// Bytes that it sends, up to which offset it has sent, and what is acknowledged of them; FIN
    /// counts as one more.
    pub len: usize,
    sent: usize,
    pub acked: usize,
    /// Right edge of the stack's window.
    edge: usize,

    /// Bytes of the other stream that have arrived.
    have: Vec<bool>,
    contiguous: usize,
    /// Behind the last number that the stack has used; FIN included.
    their_end: usize,
    /// Where the stack's stream ends.
    pub their_fin: Option<usize>,
    /// What it has acknowledged, and the right edge of the largest window that it announced.
    told: usize,
    granted: usize,
    window: u32,
    shift: u32,
    their_shift: u8,
    /// It sends its FIN when all its data is out.
    finishing: bool,
    opening: Opening,

    /// Both sides sent timestamps; its clock at time zero; the latest timestamp of the stack.
    timestamps: bool,
    clock: u32,
    echo: u32,
    sack: bool,
    /// The stack has reset the connection.
    pub was_reset: bool,
    /// When it acts next.
    pub next_turn: Instant,
    frames: Vec<Vec<u8>>,
}

impl Peer {
    /// A peer that sends `len` bytes.
    pub fn new(
        mut random: Random,
        opening: Opening,
        (port, their_port): (u16, u16),
        len: usize,
    ) -> Self {
        let offer = Offer::random(&mut random);
        let near = random.below_u32(u32::try_from(len).unwrap() + 4);
        Self {
            offer,
            port,
            their_port,
            honest: false,
            mischief: random.pick(&[50, 300, 800]),
            iss: random.pick(&[u32::MAX, 0u32.wrapping_sub(near), (1 << 31) - near, near]),
            irs: None,
            open: false,
            len,
            sent: 0,
            acked: 0,
            edge: 0,
            have: Vec::new(),
            contiguous: 0,
            their_end: 0,
            their_fin: None,
            told: 0,
            granted: 0,
            window: random.pick(&[0, 100, 5_000, 65_535]),
            shift: 0,
            their_shift: 0,
            finishing: false,
            opening,
            timestamps: false,
            clock: random.pick(&[0, u32::MAX - 3_000, (1 << 31) - 3_000]),
            echo: 0,
            sack: false,
            was_reset: false,
            next_turn: Instant::ZERO,
            frames: Vec::new(),
            random,
        }
    }

    /// Everything is sent and acknowledged, and everything has arrived.
    pub fn is_done(&self) -> bool {
        self.acked > self.len && self.their_fin.is_some_and(|fin| self.told > fin)
    }

    /// Bytes of the stack's stream that it has got, or pretended to.
    pub fn received(&self) -> usize {
        self.contiguous
    }

    /// Behind the last byte of its stream that it has sent at least once.
    pub fn sent(&self) -> usize {
        self.sent.min(self.len)
    }

    fn now_stamp(&self, now: Instant) -> u32 {
        let millis = u32::try_from(now.as_millis() & 0xffff_ffff).unwrap();
        self.clock.wrapping_add(millis)
    }

    /// Takes a frame of the stack.
    pub fn receive(&mut self, frame: &[u8]) {
        let Some(segment) = Segment::parse(frame) else {
            return;
        };
        if segment.flags & SYN != 0 {
            self.take_syn(&segment);
        }
        let Some(irs) = self.irs else { return };
        let syn = usize::from(segment.flags & SYN != 0);
        let offset = segment
            .seq
            .wrapping_sub(irs)
            .wrapping_sub(1)
            .wrapping_add(wrap(syn));
        if segment.flags & RST != 0 {
            // Only one that a receiver would believe; afterwards all segments are answered so.
            let place = offset as usize;
            let believed = (self.told..=self.their_end.max(self.told)).contains(&place);
            self.was_reset |= self.open && !self.is_done() && believed;
            return;
        }
        if segment.flags & ACK != 0 {
            self.take_ack(&segment);
        }
        let offset = offset as usize;
        if syn == 1 || (segment.payload.is_empty() && segment.flags & FIN == 0) {
            return;
        }
        let end = offset + segment.payload.len();
        assert!(
            end <= self.granted + 1,
            "beyond every window: {offset} to {end}, {} was allowed",
            self.granted
        );
        for (at, byte) in (offset..).zip(&segment.payload) {
            assert_eq!(*byte, pattern(at), "at {at}");
        }
        self.their_end = self.their_end.max(end);
        if segment.flags & FIN != 0 {
            let before = *self.their_fin.get_or_insert(end);
            assert_eq!(before, end, "a FIN has one place");
            self.their_end = end + 1;
        }
        // Some of it is lost on the way.
        if self.honest || !self.random.per_mille(self.mischief / 4) {
            self.have.resize(self.have.len().max(end), false);
            self.have[offset..end].fill(true);
        }
        self.advance();
    }

    fn advance(&mut self) {
        while self.have.get(self.contiguous) == Some(&true) {
            self.contiguous += 1;
        }
    }

    fn take_syn(&mut self, segment: &Segment) {
        if let Some(irs) = self.irs {
            assert_eq!(
                irs, segment.seq,
                "a connection has one initial sequence number"
            );
        }
        self.irs = Some(segment.seq);
        self.timestamps = self.offer.timestamps && segment.timestamp.is_some();
        self.sack = self.offer.sack && segment.sack_permitted;
        if let (Some(theirs), Some(ours)) = (segment.scale, self.offer.scale) {
            self.their_shift = theirs;
            // RFC 7323 §2.3: more than 14 means 14.
            self.shift = u32::from(ours.min(14));
        }
        self.echo = segment.timestamp.unwrap_or(0);
    }

    fn take_ack(&mut self, segment: &Segment) {
        let acked = segment.ack.wrapping_sub(self.iss) as usize;
        if acked == 0 {
            // The other half of a simultaneous open has not arrived yet.
            return;
        }
        let acked = acked - 1;
        assert!(
            acked <= self.sent,
            "{acked} is acknowledged, {} sent",
            self.sent
        );
        self.open = true;
        self.acked = self.acked.max(acked);
        let shift = if segment.flags & SYN == 0 {
            self.their_shift
        } else {
            0
        };
        let edge = acked + (usize::from(segment.window) << shift);
        self.edge = self.edge.max(edge);
        if let Some(value) = segment.timestamp {
            self.echo = value;
        }
    }
}

/// What it sends.
impl Peer {
    /// Its turn: the frames that it sends now, and when it has the next one.
    pub fn turn(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if !self.open {
            self.open_connection(now);
        } else if self.honest {
            self.window = 60_000;
            self.finishing = true;
            self.behave(now);
        } else if self.random.per_mille(self.mischief) {
            self.misbehave(now);
        } else {
            self.finishing |= self.random.per_mille(30);
            self.behave(now);
        }
        let millis = match (self.honest, self.random.below(20)) {
            (true, _) => 20 + self.random.next() % 100,
            (_, 0) => self.random.next() % 4_000,
            (_, 1..10) => self.random.next() % 4,
            _ => self.random.next() % 200,
        };
        self.next_turn = now + Duration::from_millis(millis);
        std::mem::take(&mut self.frames)
    }

    fn open_connection(&mut self, now: Instant) {
        let acknowledges = self.irs.is_some() && self.opening != Opening::Both;
        if self.irs.is_none() && self.opening != Opening::Peer {
            return;
        }
        let mut options = Vec::new();
        if let Some(mss) = self.offer.mss {
            options.extend([2, 4]);
            options.extend(mss.to_be_bytes());
        }
        if self.offer.sack {
            options.extend([4, 2]);
        }
        if self.offer.timestamps {
            options.extend([8, 10]);
            options.extend(self.now_stamp(now).to_be_bytes());
            options.extend(self.echo.to_be_bytes());
        }
        if let Some(scale) = self.offer.scale {
            options.extend([1, 3, 3, scale]);
        }
        if self.random.per_mille(300) {
            // Unknown ones, experiments, and one that ends the list.
            options.extend(self.random.pick(&[
                [254, 4, 0, 1],
                [253, 2, 1, 1],
                [30, 3, 9, 1],
                [0, 77, 1, 1],
            ]));
        }
        let window = u16::try_from(self.window).unwrap();
        self.granted = self.granted.max(usize::from(window));
        let mut draft = Draft {
            flags: if acknowledges { SYN | ACK } else { SYN },
            seq: self.iss,
            ack: if acknowledges { self.ack_number(0) } else { 0 },
            window,
            urgent: 0,
            options,
            payload: Vec::new(),
        };
        if !self.honest && self.random.per_mille(self.mischief) {
            match self.random.below(5) {
                // Flags that a SYN may have, or not, and data that will be repeated.
                0 => draft.flags |= self.random.pick(&[0x40, 0x80, 0xc0, PSH, URG]),
                1 => {
                    draft.payload = self.bytes(0, 100);
                    self.sent = self.sent.max(draft.payload.len());
                }
                // About something else.
                2 => draft.ack = draft.ack.wrapping_add(1 << 20),
                3 => (draft.flags, draft.seq) = (ACK, self.iss.wrapping_add(1)),
                _ => (draft.flags, draft.seq) = (RST, self.iss.wrapping_sub(1 << 20)),
            }
        }
        self.push(draft);
    }

    /// The number that acknowledges the stack's stream up to `offset`.
    fn ack_number(&self, offset: usize) -> u32 {
        self.irs
            .unwrap_or(0)
            .wrapping_add(1)
            .wrapping_add(wrap(offset))
    }

    fn seq_number(&self, offset: usize) -> u32 {
        self.iss.wrapping_add(1).wrapping_add(wrap(offset))
    }

    fn bytes(&self, offset: usize, len: usize) -> Vec<u8> {
        let end = (offset + len).min(self.len);
        (offset..end).map(peer_byte).collect()
    }

    /// A segment with the bytes from `offset` on, and FIN if `fin` and they reach the end, that
    /// acknowledges what has arrived.
    fn draft(&mut self, now: Instant, offset: usize, len: usize, fin: bool) -> Draft {
        let mut to = self.contiguous.max(self.told);
        if self.their_fin == Some(to) && self.contiguous == to {
            to += 1;
        }
        self.told = to;
        let payload = self.bytes(offset, len);
        let end = offset + payload.len();
        let fin = fin && end == self.len;
        self.sent = self.sent.max(end + usize::from(fin));
        let blocks = self.blocks();
        Draft {
            flags: ACK | if fin { FIN } else { 0 },
            seq: self.seq_number(offset),
            ack: self.ack_number(to),
            window: self.offered(to),
            urgent: 0,
            options: self.options(now, &blocks),
            payload,
        }
    }

    /// The window field with an acknowledgement up to `to`.
    fn offered(&mut self, to: usize) -> u16 {
        let field = u16::try_from((self.window >> self.shift).min(0xffff)).unwrap();
        self.granted = self.granted.max(to + (usize::from(field) << self.shift));
        field
    }

    /// The truth about what has arrived behind holes.
    fn blocks(&self) -> Vec<(u32, u32)> {
        let mut blocks = Vec::new();
        let mut at = self.contiguous;
        while self.sack && at < self.have.len() && blocks.len() < 3 {
            let Some(left) = (at..self.have.len()).find(|i| self.have[*i]) else {
                break;
            };
            let right = (left..self.have.len()).find(|i| !self.have[*i]);
            at = right.unwrap_or(self.have.len());
            blocks.push((self.ack_number(left), self.ack_number(at)));
        }
        blocks
    }

    fn options(&self, now: Instant, blocks: &[(u32, u32)]) -> Vec<u8> {
        let mut options = Vec::new();
        if self.timestamps {
            options.extend([1, 1, 8, 10]);
            options.extend(self.now_stamp(now).to_be_bytes());
            options.extend(self.echo.to_be_bytes());
        }
        if !blocks.is_empty() {
            options.extend([1, 1, 5, u8::try_from(2 + 8 * blocks.len()).unwrap()]);
            for (left, right) in blocks {
                options.extend(left.to_be_bytes());
                options.extend(right.to_be_bytes());
            }
        }
        options
    }

    fn push(&mut self, mut draft: Draft) {
        draft.options.truncate(40);
        draft
            .options
            .resize(draft.options.len().next_multiple_of(4), 0);
        let mut segment = Vec::new();
        segment.extend(self.port.to_be_bytes());
        segment.extend(self.their_port.to_be_bytes());
        segment.extend(draft.seq.to_be_bytes());
        segment.extend(draft.ack.to_be_bytes());
        let words = u8::try_from(5 + draft.options.len() / 4).unwrap();
        segment.extend([words << 4, draft.flags]);
        segment.extend(draft.window.to_be_bytes());
        segment.extend([0, 0]);
        segment.extend(draft.urgent.to_be_bytes());
        segment.extend(draft.options);
        segment.extend(draft.payload);
        set_tcp_checksum(&mut segment, PEER, OURS);
        self.frames.push(frame(PEER, OURS, &segment));
    }

    /// As it should be: the next data, or what is not acknowledged, and an acknowledgement.
    fn behave(&mut self, now: Instant) {
        let again = self.honest || self.random.per_mille(300);
        let mut at = if again {
            self.acked
        } else {
            self.sent.max(self.acked)
        };
        for _ in 0..4 {
            let room = self.edge.saturating_sub(at).min(1_400);
            if room == 0 || at > self.len {
                break;
            }
            let len = 1 + self.random.below(room);
            let fin = self.finishing && at + len > self.len;
            let draft = self.draft(now, at, len, fin);
            let end = at + draft.payload.len() + usize::from(draft.flags & FIN != 0);
            self.push(draft);
            if end == at {
                break;
            }
            at = end;
        }
        if self.frames.is_empty() {
            let at = self.sent.max(self.acked);
            let draft = self.draft(now, at, 0, false);
            self.push(draft);
        }
    }

    /// An offset near what matters: old, next, or about as far as the window goes.
    fn somewhere(&mut self) -> usize {
        let near = self
            .random
            .pick(&[self.acked, self.acked, self.sent, self.edge, self.len]);
        let around = self.random.pick(&[1, 4, 2_000]);
        (near + self.random.below(around)).saturating_sub(self.random.below(around))
    }

    fn misbehave(&mut self, now: Instant) {
        let at = self.sent.max(self.acked);
        match self.random.below(20) {
            // Data with any boundaries: overlapping, old, ahead, beyond the window, with its FIN.
            0..=2 => {
                for _ in 0..self.random.below(8) {
                    let place = self.somewhere().min(self.len);
                    let len = self.random.pick(&[1, 1, 10, 700, 1_400]);
                    let fin = self.random.per_mille(200);
                    let draft = self.draft(now, place, len, fin);
                    self.push(draft);
                }
            }
            // One byte each, every second one, forwards or backwards.
            3 => {
                let first = self.acked + self.random.below(3);
                let mut places: Vec<usize> = (0..40).map(|i| first + 2 * i).collect();
                if self.random.per_mille(500) {
                    places.reverse();
                }
                for place in places {
                    if place < self.len {
                        let draft = self.draft(now, place, 1, false);
                        self.push(draft);
                    }
                }
            }
            // The FIN alone, before the data.
            4 => {
                let draft = self.draft(now, self.len, 0, true);
                self.push(draft);
            }
            5 => self.acknowledge_badly(now),
            6 => {
                // Duplicates.
                for _ in 0..self.random.below(30) {
                    let draft = self.draft(now, at, 0, false);
                    self.push(draft);
                }
            }
            7 => self.lie_about_blocks(now),
            // What has arrived behind holes is thrown away.
            8 => self.have.truncate(self.contiguous),
            // The window: closed, tiny, open, and what was open is taken back.
            9 | 10 => {
                self.window = self.random.pick(&[0, 0, 1, 50, 2_000, 65_535]);
                let draft = self.draft(now, at, 0, false);
                self.push(draft);
            }
            11 => {
                let place = self.somewhere().min(self.len);
                let mut draft = self.draft(now, place, 30, false);
                draft.flags |= URG;
                draft.urgent = self.random.pick(&[0, 1, 29, 30, 31, 65_535]);
                self.push(draft);
            }
            12 | 13 => self.odd_options(now),
            // A clock that goes back, stands far in the future once, or echoes nonsense.
            14 => {
                let (clock, echo) = (self.clock, self.echo);
                match self.random.below(3) {
                    0 => self.clock = clock.wrapping_sub(self.random.below_u32(1 << 30)),
                    1 => self.clock = clock.wrapping_add(self.random.below_u32(1 << 20)),
                    _ => self.echo = self.random.byte().into(),
                }
                let draft = self.draft(now, self.acked.min(self.len), 50, false);
                self.push(draft);
                self.echo = echo;
                let went_back = self.clock.wrapping_sub(clock) > 1 << 31;
                self.clock = if went_back { clock } else { self.clock };
            }
            // A reset in the window, but not where it counts.
            15 => {
                let beyond = self.sent.max(self.len) + 2 + self.random.below(3_000);
                let place = self.random.pick(&[beyond, self.acked.wrapping_sub(1)]);
                let mut draft = self.draft(now, at, 0, false);
                draft.seq = self.seq_number(place);
                draft.flags = self.random.pick(&[RST, RST | ACK, RST | SYN]);
                self.push(draft);
            }
            // A SYN in the connection.
            16 => {
                if self.was_reset || (self.acked > self.len && self.their_fin.is_some()) {
                    // It would ask for a new one.
                    return;
                }
                let mut draft = self.draft(now, at, 0, false);
                draft.seq = self.iss.wrapping_add(self.random.below_u32(5_000));
                draft.flags = self
                    .random
                    .pick(&[SYN, SYN | ACK, SYN | FIN, SYN | ACK | URG]);
                self.push(draft);
            }
            // Without ACK, without anything, with everything but SYN and RST.
            17 => {
                let mut draft = self.draft(now, self.acked.min(self.len), 10, false);
                draft.flags = self
                    .random
                    .pick(&[0, PSH, URG | PSH, 0xc0, FIN, FIN | PSH | URG]);
                self.push(draft);
            }
            // Data behind the end of the stream.
            18 => {
                let mut draft = self.draft(now, at, 0, false);
                if self.acked > self.len {
                    draft.payload = vec![b'x'; 100];
                    let place = self.len + self.random.below(2);
                    draft.seq = self.seq_number(place);
                }
                self.push(draft);
            }
            // Damaged.
            _ => {
                let draft = self.draft(now, self.acked.min(self.len), 10, false);
                self.push(draft);
                if let Some(frame) = self.frames.last_mut() {
                    let place = 34 + self.random.below(frame.len() - 34);
                    frame[place] ^= 1 << self.random.below(8);
                }
            }
        }
    }

    /// Old and very old numbers, one byte at a time, what has not arrived, what was never sent.
    fn acknowledge_badly(&mut self, now: Instant) {
        let at = self.sent.max(self.acked);
        match self.random.below(5) {
            0 => {
                let (from, to) = (self.told, self.contiguous);
                for place in (from..to).take(60) {
                    let mut draft = self.draft(now, at, 0, false);
                    draft.ack = self.ack_number(place);
                    self.push(draft);
                }
            }
            1 => {
                // Optimistic: all that was sent, arrived or not.
                self.have.resize(self.their_end, false);
                self.told = self.told.max(self.their_end);
                let bytes = self.their_fin.unwrap_or(self.told).min(self.told);
                self.have.resize(self.have.len().max(bytes), false);
                self.have[..bytes].fill(true);
                self.advance();
                let draft = self.draft(now, at, 0, false);
                self.push(draft);
            }
            kind => {
                let mut draft = self.draft(now, at, 0, false);
                let beyond = self.their_end + 1 + self.random.below(100_000);
                let far = self.random.below_u32(1 << 31);
                draft.ack = match kind {
                    2 => self.ack_number(beyond),
                    3 => self
                        .ack_number(self.told)
                        .wrapping_sub(self.random.below_u32(70_000)),
                    _ => far | 1 << 31,
                };
                if draft.ack == self.ack_number(beyond) || kind == 4 {
                    // Nobody may believe it; the window that comes with it is not announced.
                    draft.window = 0;
                }
                self.push(draft);
            }
        }
    }

    /// Blocks of nothing, of everything, upside down, old, and of what was not sent.
    fn lie_about_blocks(&mut self, now: Instant) {
        let at = self.sent.max(self.acked);
        let count = 1 + self.random.below(3);
        let blocks: Vec<(u32, u32)> = (0..count)
            .map(|_| {
                let mut edge = || {
                    let place = self.told + self.random.below(self.their_end + 3_000);
                    place.saturating_sub(self.random.below(3_000))
                };
                let (left, right) = (edge(), edge());
                (self.ack_number(left), self.ack_number(right))
            })
            .collect();
        let mut draft = self.draft(now, at, 0, false);
        draft.options = self.options(now, &blocks);
        self.push(draft);
    }

    /// Options where they do not belong, that nobody knows, badly padded or twice.
    fn odd_options(&mut self, now: Instant) {
        let mut draft = self.draft(now, self.acked.min(self.len), 20, false);
        let odd: &[u8] = self.random.pick(&[
            &[2, 4, 0, 8],
            &[3, 3, 14],
            &[4, 2],
            &[1, 1, 1, 1, 1, 1, 1, 1],
            &[0, 1, 2, 3, 4, 5],
            &[254, 6, 1, 2, 3, 4],
            &[69, 4, 0, 0, 69, 4, 0, 0],
            &[5, 2],
            &[5, 9, 0, 0, 0, 0, 0, 0, 0],
            &[8, 3, 1],
            &[2, 0],
            &[7, 1],
            &[19, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]);
        if self.random.per_mille(500) {
            draft.options.extend(odd);
        } else {
            draft.options.splice(0..0, odd.iter().copied());
        }
        self.push(draft);
    }
}
