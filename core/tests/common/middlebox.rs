//! What boxes on a path do to explicit congestion notification: mark, and spoil.

use super::packet::{checksum, set_tcp_checksum};
use super::random::Random;
use std::net::Ipv4Addr;

/// The kinds of the Accurate ECN option (RFC 9768 §3.2.3).
const ACCECN: [u8; 2] = [172, 174];

/// What happens to the frames of a direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Middlebox {
    /// ECN-capable packets that are marked, in thousandths, whatever the queue is.
    pub mark: u32,
    /// The ECN field of every packet is cleared.
    pub bleach: bool,
    /// The Accurate ECN option is overwritten with padding.
    pub no_accecn_option: bool,
    /// AE, CWR and ECE are cleared in every segment without SYN.
    pub no_ecn_flags: bool,
}

impl Middlebox {
    /// Passes a frame on; whether it was marked.
    pub fn pass(&self, frame: &mut [u8], random: &mut Random) -> bool {
        if frame[12..14] != [8, 0] {
            return false;
        }
        if self.bleach && frame[15] & 3 != 0 {
            set_ecn(frame, 0);
        }
        if (self.no_accecn_option || self.no_ecn_flags) && frame[23] == 6 {
            self.change_segment(frame);
        }
        let is_capable = frame[15] & 3 != 0;
        let marked = self.mark > 0 && is_capable && random.per_mille(self.mark);
        if marked {
            set_ecn(frame, 3);
        }
        marked
    }

    fn change_segment(&self, frame: &mut [u8]) {
        let address =
            |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
        let (source, destination) = (address(26), address(30));
        let segment = &mut frame[34..];
        if self.no_ecn_flags && segment[13] & 2 == 0 {
            segment[12] &= !1;
            segment[13] &= !0xc0;
        }
        if self.no_accecn_option {
            let end = usize::from(segment[12] >> 4) * 4;
            pad_options(&mut segment[20..end]);
        }
        set_tcp_checksum(segment, source, destination);
    }
}

fn pad_options(options: &mut [u8]) {
    let mut at = 0;
    while let Some(kind) = options.get(at).copied().filter(|kind| *kind != 0) {
        let len = if kind == 1 {
            1
        } else {
            usize::from(options[at + 1])
        };
        if ACCECN.contains(&kind) {
            options[at..at + len].fill(1);
        }
        at += len;
    }
}

/// Changes the ECN field of an IPv4 packet in its frame.
pub fn set_ecn(frame: &mut [u8], ecn: u8) {
    frame[15] = frame[15] & !3 | ecn;
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..34], 0).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
}
