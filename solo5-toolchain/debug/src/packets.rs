//! What a debugger sends, byte by byte: packets that are whole and have the right sum, and nothing else
//! that could confuse whoever reads them.

use std::collections::VecDeque;

/// Bytes of the longest packet: what gdbstub has room for.
pub const LONGEST_PACKET: usize = 4000;

/// The byte that interrupts the guest.
pub const INTERRUPT: u8 = 3;

/// Asks for a packet again.
pub const AGAIN: &[u8] = b"-";

/// Says that a packet makes no sense.
pub const REFUSAL: &[u8] = b"+$E16#ac";

/// Sorts what a debugger sends.
#[derive(Debug, Default)]
pub struct Packets {
    /// A packet that is not complete.
    packet: Vec<u8>,
    /// What can be read.
    ready: VecDeque<u8>,
}

impl Packets {
    /// Keeps what a debugger can mean: whole packets with the right sum, acknowledgements, and the byte
    /// that interrupts; drops the rest. Whether this is as it should be; otherwise the packet is to be
    /// [asked for again](AGAIN).
    #[must_use]
    pub fn sort(&mut self, byte: u8) -> bool {
        if byte == b'$' {
            self.packet.clear();
            self.packet.push(byte);
            return true;
        }
        if self.packet.is_empty() {
            if matches!(byte, INTERRUPT | b'+') {
                self.ready.push_back(byte);
            }
            return true;
        }
        if self.packet.len() > LONGEST_PACKET {
            self.packet.clear();
            return false;
        }
        self.packet.push(byte);
        let [_, body @ .., b'#', high, low] = &self.packet[..] else {
            return true;
        };
        let right = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        let mut digits = [high, low]
            .map(|&byte| char::from(byte).to_digit(16))
            .into_iter();
        let sum = digits.try_fold(0, |sum, digit| Some(sum * 16 + digit?));
        let is_right = sum == Some(u32::from(right));
        let packet = std::mem::take(&mut self.packet);
        if is_right {
            self.ready.extend(packet);
        }
        is_right
    }

    /// The next byte that can be read, which stays.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.ready.front().copied()
    }

    /// The next byte that can be read.
    pub fn take(&mut self) -> Option<u8> {
        self.ready.pop_front()
    }
}
