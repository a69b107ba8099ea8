//! TCP headers and options (RFC 9293 §3.1 and §3.2, RFC 7323, RFC 2018, RFC 9768, RFC 7413).

use bitflags::bitflags;
use core::fmt;
use core::ops::Range;
use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Most bytes of a header: a data offset of 15 words.
pub const MAX_HEADER_LEN: usize = 60;

/// The fixed part of a header, as it lies on the wire.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct TcpHeader {
    /// The sender's port.
    pub source_port: U16,
    /// The receiver's port.
    pub destination_port: U16,
    /// SEG.SEQ: the number of the first byte, or of SYN.
    pub sequence: U32,
    /// SEG.ACK: the next number expected, where ACK is set.
    pub acknowledgment: U32,
    /// Data offset (4 bits, in words of 32 bits), reserved (3), flags (9).
    pub offset_and_flags: U16,
    /// SEG.WND, not scaled; unsigned (RFC 9293 §3.1 MUST-1).
    pub window: U16,
    /// Checksum over pseudo-header, header and payload.
    pub checksum: U16,
    /// SEG.UP: the urgent pointer, where URG is set.
    pub urgent: U16,
}

bitflags! {
    /// The flags of a header.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Flags: u16 {
        /// No more data from the sender.
        const FIN = 0x001;
        /// Synchronise sequence numbers.
        const SYN = 0x002;
        /// Reset the connection.
        const RST = 0x004;
        /// Push: hand what has arrived to the reader.
        const PSH = 0x008;
        /// The acknowledgment field counts.
        const ACK = 0x010;
        /// The urgent pointer counts.
        const URG = 0x020;
        /// ECN echo (RFC 3168).
        const ECE = 0x040;
        /// Congestion window reduced (RFC 3168).
        const CWR = 0x080;
        /// Accurate ECN (RFC 9768).
        const AE = 0x100;
    }
}

/// Why a header was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpError {
    /// Shorter than a header.
    Truncated,
    /// A data offset below 5 words or beyond the segment.
    DataOffset,
    /// A port is 0.
    Port,
    /// An option's length is 0 or 1, or runs over the end of the header (RFC 9293 §3.2, MUST-7).
    OptionLength,
}

impl fmt::Display for TcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than a TCP header",
            Self::DataOffset => "bad TCP data offset",
            Self::Port => "TCP port 0",
            Self::OptionLength => "bad TCP option length",
        })
    }
}

impl core::error::Error for TcpError {}

impl TcpHeader {
    /// The flags.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::from_bits_truncate(self.offset_and_flags.get())
    }

    /// Bytes of the header, options included, as the data offset says: 0 to 60.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.offset_and_flags.get() >> 12) * 4
    }

    /// Whether the data offset is 0: no header that [`parse`] accepts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets header length and flags; `len` is a multiple of 4 from 20 to 60.
    pub fn set_len_and_flags(&mut self, len: usize, flags: Flags) {
        let words = u16::try_from(len / 4).unwrap_or(15).min(15);
        self.offset_and_flags = U16::new(words << 12 | flags.bits());
    }
}

/// Splits a segment: its header, its option bytes, and where its payload lies.
///
/// # Errors
/// What is wrong with the header. The checksum is not looked at.
pub fn parse(segment: &[u8]) -> Result<(&TcpHeader, &[u8], Range<usize>), TcpError> {
    let (header, _) = TcpHeader::ref_from_prefix(segment).map_err(|_| TcpError::Truncated)?;
    let len = header.len();
    let options = segment.get(HEADER_LEN..len).ok_or(TcpError::DataOffset)?;
    if header.source_port.get() == 0 || header.destination_port.get() == 0 {
        return Err(TcpError::Port);
    }
    Ok((header, options, len..segment.len()))
}

/// The option kinds that are understood (RFC 9293 §3.2, RFC 7323, RFC 2018, RFC 9768, RFC 7413).
mod kind {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
    pub(super) const ACCECN0: u8 = 172;
    pub(super) const ACCECN1: u8 = 174;
    pub(super) const FAST_OPEN: u8 = 34;
}

/// Most bytes of a Fast Open cookie (RFC 7413 §2).
const MAX_COOKIE_LEN: usize = 16;

/// A Fast Open cookie: an even number of bytes from 4 to 16, or none, which asks for one
/// (RFC 7413 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastOpenCookie {
    len: u8,
    bytes: [u8; MAX_COOKIE_LEN],
}

impl FastOpenCookie {
    /// A cookie with these bytes; `None` if their number is not right.
    #[must_use]
    pub fn new(cookie: &[u8]) -> Option<Self> {
        let len = u8::try_from(cookie.len()).ok()?;
        if !matches!(len, 0 | 4..=16) || !len.is_multiple_of(2) {
            return None;
        }
        let mut bytes = [0; MAX_COOKIE_LEN];
        bytes.get_mut(..cookie.len())?.copy_from_slice(cookie);
        Some(Self { len, bytes })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether it asks for a cookie instead of being one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<[u8; 8]> for FastOpenCookie {
    fn from(cookie: [u8; 8]) -> Self {
        let mut bytes = [0; MAX_COOKIE_LEN];
        bytes[..8].copy_from_slice(&cookie);
        Self { len: 8, bytes }
    }
}

/// Bytes of a timestamps option with the two NOPs that align it, the layout of RFC 7323 appendix A.
pub const ALIGNED_TIMESTAMPS_LEN: usize = 12;

/// Most blocks that a SACK option has room for.
pub const MAX_SACK_BLOCKS: usize = 4;

/// The Accurate ECN option (RFC 9768 §3.2.3): bytes of payload that have arrived, by the ECN field of
/// their packets, 24 bits of each count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccEcnOption {
    /// The order of the fields. Order 1 (kind 174): ECT(1), CE, ECT(0). Otherwise order 0
    /// (kind 172): ECT(0), CE, ECT(1).
    pub ect1_first: bool,
    /// How many fields there are, from the front: 0 to 3.
    pub count: u8,
    /// The fields, of which `count` are there; the others are zero.
    pub fields: [u32; 3],
}

impl AccEcnOption {
    /// Most fields.
    pub const FIELDS: usize = 3;

    /// Reads the option from behind its length. Whole fields that fit are used, and what is left
    /// is padding (§3.2.3).
    fn parse(ect1_first: bool, body: &[u8]) -> Self {
        let mut option = Self {
            ect1_first,
            ..Self::default()
        };
        for (place, &[a, b, c]) in option.fields.iter_mut().zip(body.as_chunks::<3>().0) {
            *place = u32::from_be_bytes([0, a, b, c]);
            option.count += 1;
        }
        option
    }

    fn field(&self, at: usize) -> Option<u32> {
        (at < usize::from(self.count)).then(|| self.fields[at])
    }

    /// EE0B: bytes that came as ECT(0), if the field is there.
    #[must_use]
    pub fn ect0(&self) -> Option<u32> {
        self.field(if self.ect1_first { 2 } else { 0 })
    }

    /// ECEB: bytes that came marked, if the field is there.
    #[must_use]
    pub fn ce(&self) -> Option<u32> {
        self.field(1)
    }

    /// EE1B: bytes that came as ECT(1), if the field is there.
    #[must_use]
    pub fn ect1(&self) -> Option<u32> {
        self.field(if self.ect1_first { 0 } else { 2 })
    }

    /// Bytes of an option with so many fields, aligned to 4 with NOPs in front.
    #[must_use]
    pub const fn aligned_len(count: usize) -> usize {
        (2 + 3 * count).next_multiple_of(4)
    }
}

/// The options of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size (RFC 9293 §3.7.1).
    pub mss: Option<u16>,
    /// Window scale as it was sent; above 14 it means 14 (RFC 7323 §2.3).
    pub window_scale: Option<u8>,
    /// SACK permitted (RFC 2018 §2).
    pub sack_permitted: bool,
    /// SACK blocks, left and right edge (RFC 2018 §3).
    pub sack_blocks: heapless::Vec<(u32, u32), MAX_SACK_BLOCKS>,
    /// Timestamp value and echo reply (RFC 7323 §3.2).
    pub timestamps: Option<(u32, u32)>,
    /// Accurate ECN (RFC 9768 §3.2.3).
    pub accecn: Option<AccEcnOption>,
    /// Fast Open (RFC 7413 §2).
    pub fast_open: Option<FastOpenCookie>,
}

impl TcpOptions {
    /// Reads the options. Unknown ones, and known ones with a length that is not theirs, are
    /// skipped (RFC 9293 §3.2, MUST-6).
    ///
    /// # Errors
    /// [`TcpError::OptionLength`].
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Result<Self, TcpError> {
        // The usual layout of every segment but SYN.
        if let [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10, rest @ ..] = bytes
            && let &[a, b, c, d, e, f, g, h] = rest
        {
            let timestamps = (
                u32::from_be_bytes([a, b, c, d]),
                u32::from_be_bytes([e, f, g, h]),
            );
            return Ok(Self {
                timestamps: Some(timestamps),
                ..Self::default()
            });
        }
        Self::parse_each(bytes)
    }

    /// Reads options in any layout.
    /// RFC 9293 §3.1 (MUST-4, MUST-5, MUST-64, MUST-68).
    #[inline(never)]
    fn parse_each(mut bytes: &[u8]) -> Result<Self, TcpError> {
        let mut options = Self::default();
        while let [kind, rest @ ..] = bytes {
            match *kind {
                kind::END => break,
                kind::NOP => bytes = rest,
                kind => {
                    let len = usize::from(*rest.first().ok_or(TcpError::OptionLength)?);
                    let body = bytes.get(2..len).ok_or(TcpError::OptionLength)?;
                    options.take(kind, body);
                    bytes = &bytes[len..];
                }
            }
        }
        Ok(options)
    }

    fn take(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (kind::MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (kind::WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (kind::SACK_PERMITTED, []) => self.sack_permitted = true,
            (kind::TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                self.timestamps = Some((
                    u32::from_be_bytes([a, b, c, d]),
                    u32::from_be_bytes([e, f, g, h]),
                ));
            }
            (kind::ACCECN0 | kind::ACCECN1, body) => {
                self.accecn = Some(AccEcnOption::parse(kind == kind::ACCECN1, body));
            }
            (kind::SACK, blocks) if blocks.len() % 8 == 0 => {
                self.sack_blocks = blocks
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .take(MAX_SACK_BLOCKS)
                    .map(|&[a, b, c, d, e, f, g, h]| {
                        (
                            u32::from_be_bytes([a, b, c, d]),
                            u32::from_be_bytes([e, f, g, h]),
                        )
                    })
                    .collect();
            }
            (kind::FAST_OPEN, cookie) => {
                self.fast_open = FastOpenCookie::new(cookie).or(self.fast_open);
            }
            _ => {}
        }
    }

    /// Bytes that [`TcpOptions::emit`] writes: a multiple of 4, at most 40 for what fits a header.
    #[must_use]
    #[inline(always)]
    pub fn len(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let timestamps = if self.timestamps.is_some() {
            ALIGNED_TIMESTAMPS_LEN
        } else {
            0
        };
        let scale = if self.window_scale.is_some() { 4 } else { 0 };
        // In front of timestamps it takes the place of padding.
        let permitted = if self.sack_permitted && self.timestamps.is_none() {
            4
        } else {
            0
        };
        let sack = if self.sack_blocks.is_empty() {
            0
        } else {
            4 + 8 * self.sack_blocks.len()
        };
        let fast_open = self.fast_open.map_or(0, |cookie| {
            (2 + cookie.as_bytes().len()).next_multiple_of(4)
        });
        mss + timestamps + scale + permitted + self.accecn_len() + sack + fast_open
    }

    /// Bytes that the Accurate ECN option takes, with its NOPs.
    #[must_use]
    #[inline(always)]
    pub fn accecn_len(&self) -> usize {
        self.accecn.map_or(0, |option| {
            AccEcnOption::aligned_len(usize::from(option.count).min(AccEcnOption::FIELDS))
        })
    }

    /// Whether there is no option.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the options, each aligned to 4 bytes with NOPs in front, and returns their length.
    /// An option for which `out` has no room is left out.
    /// RFC 9293 §3.1 (MUST-68, MUST-69: nothing is left to pad).
    #[allow(
        clippy::cast_possible_truncation,
        reason = "at most 4 blocks of 8 bytes, 3 fields of 3, or 16 of a cookie"
    )]
    #[inline(always)]
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let mut at = 0;
        let mut put = |piece: &[u8]| {
            if let Some(place) = out.get_mut(at..at + piece.len()) {
                place.copy_from_slice(piece);
                at += piece.len();
            }
        };
        if let Some(mss) = self.mss {
            let [a, b] = mss.to_be_bytes();
            put(&[kind::MSS, 4, a, b]);
        }
        if self.sack_permitted && self.timestamps.is_none() {
            put(&[kind::NOP, kind::NOP, kind::SACK_PERMITTED, 2]);
        }
        if let Some((value, echo)) = self.timestamps {
            let mut piece = [
                kind::NOP,
                kind::NOP,
                kind::TIMESTAMPS,
                10,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ];
            if self.sack_permitted {
                piece[..2].copy_from_slice(&[kind::SACK_PERMITTED, 2]);
            }
            piece[4..8].copy_from_slice(&value.to_be_bytes());
            piece[8..12].copy_from_slice(&echo.to_be_bytes());
            put(&piece);
        }
        if let Some(shift) = self.window_scale {
            put(&[kind::NOP, kind::WINDOW_SCALE, 3, shift]);
        }
        if let Some(option) = &self.accecn {
            let count = usize::from(option.count).min(AccEcnOption::FIELDS);
            let mut piece = [kind::NOP; AccEcnOption::aligned_len(AccEcnOption::FIELDS)];
            let (total, len) = (AccEcnOption::aligned_len(count), 2 + 3 * count);
            let place = &mut piece[total - len..total];
            place[0] = if option.ect1_first {
                kind::ACCECN1
            } else {
                kind::ACCECN0
            };
            place[1] = len as u8;
            for (place, field) in place[2..]
                .as_chunks_mut::<3>()
                .0
                .iter_mut()
                .zip(option.fields)
            {
                let [_, a, b, c] = field.to_be_bytes();
                *place = [a, b, c];
            }
            put(&piece[..total]);
        }
        if let Some(cookie) = &self.fast_open {
            let cookie = cookie.as_bytes();
            let len = (2 + cookie.len()).next_multiple_of(4);
            let mut piece = [kind::NOP; 2 + MAX_COOKIE_LEN + 2];
            let at = len - 2 - cookie.len();
            piece[at..at + 2].copy_from_slice(&[kind::FAST_OPEN, 2 + cookie.len() as u8]);
            piece[at + 2..len].copy_from_slice(cookie);
            put(&piece[..len]);
        }
        if !self.sack_blocks.is_empty() {
            let mut piece = [0; 4 + 8 * MAX_SACK_BLOCKS];
            let len = 8 * self.sack_blocks.len();
            piece[..4].copy_from_slice(&[kind::NOP, kind::NOP, kind::SACK, 2 + len as u8]);
            for (place, (left, right)) in piece[4..].chunks_exact_mut(8).zip(&self.sack_blocks) {
                place[..4].copy_from_slice(&left.to_be_bytes());
                place[4..].copy_from_slice(&right.to_be_bytes());
            }
            put(&piece[..4 + len]);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_options() -> TcpOptions {
        TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            sack_blocks: [(0xffff_fff0, 16)].into_iter().collect(),
            timestamps: Some((0x0102_0304, 0xa0b0_c0d0)),
            accecn: None,
            fast_open: None,
        }
    }

    #[test]
    fn fast_open_cookies_of_every_length_survive_and_fit_with_all_options_of_a_syn() {
        for len in [0, 4, 6, 8, 10, 12, 14, 16] {
            let options = TcpOptions {
                sack_blocks: heapless::Vec::new(),
                fast_open: Some(FastOpenCookie::new(&[0xab; 16][..len]).unwrap()),
                ..all_options()
            };
            let mut bytes = [0xee; 40];
            let emitted = options.emit(&mut bytes);
            assert_eq!((emitted, emitted % 4), (options.len(), 0));
            assert_eq!(TcpOptions::parse(&bytes[..emitted]), Ok(options));
        }
        for len in [1, 2, 3, 5, 15, 17, 38] {
            assert_eq!(FastOpenCookie::new(&[0; 38][..len]), None);
            let option = [&[34, 2 + u8::try_from(len).unwrap()][..], &[0; 38][..len]].concat();
            assert_eq!(TcpOptions::parse(&option), Ok(TcpOptions::default()));
        }
    }

    fn accecn(ect1_first: bool, fields: &[u32]) -> AccEcnOption {
        let mut option = AccEcnOption {
            ect1_first,
            count: u8::try_from(fields.len()).unwrap(),
            ..AccEcnOption::default()
        };
        option.fields[..fields.len()].copy_from_slice(fields);
        option
    }

    /// RFC 9768 §3.2.3, figure 4 and table 5.
    #[test]
    fn accurate_ecn_options_have_two_orders_and_four_lengths() {
        let fields = [0x01_0203, 0xff_fffe, 7];
        for count in 0..=3 {
            for (ect1_first, kind) in [(false, 172), (true, 174)] {
                let options = TcpOptions {
                    accecn: Some(accecn(ect1_first, &fields[..count])),
                    ..TcpOptions::default()
                };
                let mut bytes = [0xee; 40];
                let len = options.emit(&mut bytes);
                assert_eq!((len, len % 4), (options.len(), 0));
                let bytes = &bytes[..len];
                assert_eq!(TcpOptions::parse(bytes).as_ref(), Ok(&options));
                let start = bytes.iter().position(|byte| *byte != 1).unwrap();
                assert_eq!(usize::from(bytes[start + 1]), 2 + 3 * count);
                assert_eq!((bytes[start], len - start), (kind, 2 + 3 * count));
            }
        }
        let bytes = [172, 11, 0, 0, 1, 0, 0, 2, 0, 0, 3];
        let option = TcpOptions::parse(&bytes).unwrap().accecn.unwrap();
        let found = (option.ect0(), option.ce(), option.ect1());
        assert_eq!(found, (Some(1), Some(2), Some(3)));
        let bytes = [174, 8, 0, 0, 1, 0, 0, 2];
        let option = TcpOptions::parse(&bytes).unwrap().accecn.unwrap();
        let found = (option.ect0(), option.ce(), option.ect1());
        assert_eq!(found, (None, Some(2), Some(1)));
    }

    /// RFC 9768 §3.2.3: whole fields are used, the rest is padding.
    #[test]
    fn accurate_ecn_options_of_other_lengths_give_the_whole_fields_in_them() {
        for (bytes, fields) in [
            (&[172, 3, 9][..], &[][..]),
            (&[172, 4, 9, 9], &[]),
            (&[172, 7, 0, 0, 1, 9, 9], &[1]),
            (&[172, 13, 0, 0, 1, 0, 0, 2, 0, 0, 3, 9, 9], &[1, 2, 3]),
            (&[172, 14, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 4], &[1, 2, 3]),
        ] {
            let option = TcpOptions::parse(bytes).unwrap().accecn;
            assert_eq!(option, Some(accecn(false, fields)), "{bytes:?}");
        }
        assert_eq!(
            TcpOptions::parse(&[172, 11, 0, 0, 1]),
            Err(TcpError::OptionLength)
        );
    }

    /// RFC 9293 §3.1 (MUST-69: the length is a multiple of 4).
    #[test]
    fn options_survive_emit_and_parse() {
        let options = all_options();
        let mut bytes = [0xee; 40];
        let len = options.emit(&mut bytes);
        assert_eq!((len, len % 4), (options.len(), 0));
        assert_eq!(TcpOptions::parse(&bytes[..len]), Ok(options));
        let none = TcpOptions::default();
        assert_eq!((none.emit(&mut bytes), none.len()), (0, 0));
    }

    #[test]
    fn the_fast_path_for_timestamps_reads_what_the_slow_one_reads() {
        let fast = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let slow = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0];
        assert_eq!(TcpOptions::parse(&fast), TcpOptions::parse(&slow));
        assert_eq!(TcpOptions::parse(&fast).unwrap().timestamps, Some((1, 2)));
    }

    /// RFC 9293 §3.1 (MUST-7).
    #[test]
    fn option_lengths_of_zero_one_and_beyond_the_end_are_refused() {
        for bytes in [
            &[2, 0, 0, 0][..],
            &[2, 1, 0, 0],
            &[254, 0],
            &[8, 10, 1, 1],
            &[3],
            &[1, 1, 1, 5, 3],
        ] {
            assert_eq!(
                TcpOptions::parse(bytes),
                Err(TcpError::OptionLength),
                "{bytes:?}"
            );
        }
    }

    /// RFC 9293 §3.1 (MUST-6, MUST-68).
    #[test]
    fn unknown_options_and_wrong_lengths_of_known_ones_are_skipped() {
        let bytes = [253, 4, 9, 9, 2, 3, 5, 3, 4, 1, 2, 2, 4, 2, 0, 0, 99];
        let options = TcpOptions::parse(&bytes).unwrap();
        assert_eq!(
            options,
            TcpOptions {
                mss: Some(512),
                ..TcpOptions::default()
            }
        );
    }

    /// RFC 9293 §3.1 (MUST-4, MUST-64).
    #[test]
    fn options_need_neither_alignment_nor_an_order() {
        let mut bytes = std::vec![
            8, 10, 0, 0, 0, 7, 0, 0, 0, 8, 3, 3, 5, 1, 4, 2, 1, 2, 4, 5, 180
        ];
        bytes.extend([0, 2, 4, 9, 9]);
        let options = TcpOptions::parse(&bytes).unwrap();
        assert_eq!(
            options,
            TcpOptions {
                mss: Some(1_460),
                window_scale: Some(5),
                sack_permitted: true,
                timestamps: Some((7, 8)),
                ..TcpOptions::default()
            }
        );
    }

    #[test]
    fn headers_with_impossible_fields_are_refused() {
        let mut bytes = [0u8; 24];
        bytes[..4].copy_from_slice(&[0, 80, 4, 0]);
        bytes[12] = 0x50;
        assert_eq!(
            parse(&bytes).map(|(_, options, payload)| (options.len(), payload)),
            Ok((0, 20..24))
        );
        bytes[12] = 0x60;
        assert_eq!(
            parse(&bytes).map(|(_, options, payload)| (options.len(), payload)),
            Ok((4, 24..24))
        );
        for offset in [0x00, 0x40, 0x70, 0xf0] {
            bytes[12] = offset;
            assert_eq!(parse(&bytes), Err(TcpError::DataOffset), "{offset:x}");
        }
        assert_eq!(parse(&bytes[..19]), Err(TcpError::Truncated));
        bytes[12] = 0x50;
        bytes[..2].fill(0);
        assert_eq!(parse(&bytes), Err(TcpError::Port));
    }

    #[test]
    fn length_and_flags_share_their_field() {
        let mut header = TcpHeader::default();
        header.set_len_and_flags(32, Flags::SYN | Flags::ACK | Flags::AE);
        assert_eq!(
            (header.len(), header.flags()),
            (32, Flags::SYN | Flags::ACK | Flags::AE)
        );
        assert_eq!(header.as_bytes()[12..14], [0x81, 0x12]);
    }
}
