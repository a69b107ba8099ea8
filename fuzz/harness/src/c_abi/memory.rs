//! The bytes of an input, and memory that a call is given: wherever it lies, the call must leave what is
//! around it alone.

use std::ffi::c_void;
use std::ptr;

use mnet_ffi::{MNET_AF_INET, MNET_AF_INET6, MNET_AF_NONE, mnet_addr};

/// The input, from which zeros come when it is at its end.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl Input<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_at(N.min(self.0.len()));
        self.0 = rest;
        let mut bytes = [0; N];
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    pub(super) fn byte(&mut self) -> u8 {
        let [byte] = self.bytes();
        byte
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// A number: often one at which something changes.
    pub(super) fn number(&mut self) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        const EDGES: [u64; 24] = [
            0,
            1,
            2,
            3,
            7,
            64,
            255,
            256,
            576,
            1_280,
            1_499,
            1_500,
            4_096,
            65_000,
            65_507,
            65_535,
            1 << 20,
            1 << 30,
            SECOND,
            100 * SECOND,
            1 << 31,
            1 << 32,
            1 << 63,
            u64::MAX,
        ];
        match self.byte() {
            at @ 0..=191 => EDGES[usize::from(at) % EDGES.len()],
            192..=223 => u64::from(self.byte()),
            224..=239 => u64::from(u16::from_le_bytes(self.bytes())),
            _ => u64::from_le_bytes(self.bytes()),
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "the lower half of a number"
    )]
    pub(super) fn number32(&mut self) -> u32 {
        self.number() as u32
    }

    #[allow(clippy::cast_possible_truncation, reason = "a number of an input")]
    pub(super) fn size(&mut self) -> usize {
        self.number() as usize
    }

    /// A few bytes of the input itself.
    pub(super) fn some(&mut self) -> Vec<u8> {
        let len = self.below(64).min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken.to_vec()
    }

    /// An address: mostly one of the hosts here, or a group, or nonsense.
    pub(super) fn address(&mut self) -> mnet_addr {
        let kind = self.byte();
        let mut address = mnet_addr {
            family: MNET_AF_INET,
            port: 7 + u16::from(kind >> 6),
            ..mnet_addr::default()
        };
        let v6 = |address: &mut mnet_addr, first: u16, last: u8| {
            address.family = MNET_AF_INET6;
            address.ip[..2].copy_from_slice(&first.to_be_bytes());
            address.ip[15] = last;
        };
        let host = 1 + (kind >> 4) % 4;
        match kind % 16 {
            0..=7 => address.ip[..4].copy_from_slice(&[10, 0, 0, host]),
            8 => {}
            9 => v6(&mut address, 0, 0),
            10 => {
                v6(&mut address, 0xfe80, host);
                address.zone = self.number32();
            }
            11 => v6(&mut address, 0xfd00, host),
            12 => match self.byte() % 4 {
                0 => address.ip[..4].copy_from_slice(&[239, 1, 2, host]),
                1 => v6(&mut address, 0xff15, host),
                2 => address.ip[..4].copy_from_slice(&[255; 4]),
                _ => address.ip[..4].copy_from_slice(&[10, 0, 0, 255]),
            },
            13 => address.family = MNET_AF_NONE,
            14 => address.port = u16::from_le_bytes(self.bytes()),
            _ => {
                address.family = u16::from(self.byte() % 8);
                address.port = u16::from_le_bytes(self.bytes());
                address.zone = self.number32();
                address.ip = self.bytes();
            }
        }
        address
    }
}

const MARGIN: usize = 32;
const FILL: u8 = 0xa5;

/// Memory for one argument.
pub(super) struct Memory {
    area: Vec<u8>,
    start: usize,
    /// What is passed to the call: NULL, an arena, or the area.
    pointer: *mut u8,
    /// The length that is passed.
    pub(super) len: usize,
    /// Cannot be memory that a call may use.
    pub(super) is_wrong: bool,
}

impl Memory {
    /// Room for `len` bytes; `arena` is where a stack has its own.
    pub(super) fn new(input: &mut Input<'_>, len: usize, arena: Option<*mut u8>) -> Self {
        let how = input.byte();
        // Misaligned by what the upper bits say.
        let start = MARGIN + usize::from(how >> 4);
        let mut area = vec![FILL; start + len + MARGIN];
        let mut memory = Self {
            pointer: area[start..].as_mut_ptr(),
            area,
            start,
            len,
            is_wrong: false,
        };
        match how & 0xf {
            0 => {
                memory.pointer = ptr::null_mut();
                memory.is_wrong = len > 0;
            }
            1 => {
                memory.len = usize::MAX - input.below(64);
                memory.is_wrong = true;
            }
            2 => {
                memory.len = isize::MAX.unsigned_abs() + 1 + input.below(64);
                memory.is_wrong = true;
            }
            3 => {
                if let Some(arena) = arena {
                    memory.pointer = arena;
                    memory.is_wrong = len > 0;
                }
            }
            _ => {}
        }
        memory
    }

    /// The same where the length is not passed.
    pub(super) fn room(input: &mut Input<'_>, len: usize, arena: Option<*mut u8>) -> Self {
        let mut memory = Self::new(input, len, arena);
        if memory.len != len {
            memory.len = len;
            memory.is_wrong = false;
        }
        memory
    }

    /// The same for one value.
    pub(super) fn of<T>(input: &mut Input<'_>, arena: Option<*mut u8>) -> Self {
        Self::room(input, size_of::<T>(), arena)
    }

    /// The same with a value in it.
    pub(super) fn with<T: Copy>(input: &mut Input<'_>, value: T, arena: Option<*mut u8>) -> Self {
        let mut memory = Self::of::<T>(input, arena);
        // SAFETY: the area has room for it.
        unsafe { memory.inside().cast::<T>().write_unaligned(value) };
        memory
    }

    fn inside(&mut self) -> *mut u8 {
        self.area[self.start..].as_mut_ptr()
    }

    pub(super) fn fill(&mut self, bytes: impl IntoIterator<Item = u8>) {
        let end = self.area.len() - MARGIN;
        for (to, from) in self.area[self.start..end].iter_mut().zip(bytes) {
            *to = from;
        }
    }

    /// The same from a place on.
    pub(super) fn fill_after(&mut self, skip: usize, bytes: impl IntoIterator<Item = u8>) {
        let end = self.area.len() - MARGIN;
        let start = (self.start + skip).min(end);
        for (to, from) in self.area[start..end].iter_mut().zip(bytes) {
            *to = from;
        }
    }

    pub(super) fn get<T>(&self) -> *mut T {
        self.pointer.cast()
    }

    pub(super) fn void(&self) -> *mut c_void {
        self.pointer.cast()
    }

    pub(super) fn is_null(&self) -> bool {
        self.pointer.is_null()
    }

    /// An output after a call: `written` bytes of it may have changed, nothing else.
    #[track_caller]
    pub(super) fn check(&self, function: &str, result: i64, written: usize) {
        let inside = if result < 0 { 0 } else { written };
        let end = (self.start + inside).min(self.area.len() - MARGIN);
        let clean = |bytes: &[u8]| bytes.iter().all(|byte| *byte == FILL);
        assert!(
            clean(&self.area[..self.start]) && clean(&self.area[end..]),
            "{function}() = {result} wrote where it must not"
        );
        assert!(
            inside == 0 || !self.is_wrong || self.pointer.is_null(),
            "{function}() took memory that it must not use"
        );
    }

    /// What is in it now.
    pub(super) fn read<T: Copy>(&self) -> T {
        self.read_at(0)
    }

    /// The same of a part.
    pub(super) fn read_at<T: Copy>(&self, at: usize) -> T {
        assert!(at + size_of::<T>() <= self.area.len() - self.start - MARGIN);
        // SAFETY: the area has so many bytes there, and each pattern of them is a value.
        unsafe {
            self.area[self.start + at..]
                .as_ptr()
                .cast::<T>()
                .read_unaligned()
        }
    }
}
