//! The stack's random numbers: ChaCha, seeded once by the owner.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A cryptographically strong generator. The same seed gives the same numbers, so that a recorded
/// run can be replayed; a running system seeds it with entropy.
#[derive(Debug)]
pub(crate) struct Rng(ChaCha12Rng);

impl Rng {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    #[cfg(test)]
    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A key for SipHash.
    pub(crate) fn key(&mut self) -> [u8; 16] {
        let mut key = [0; 16];
        self.0.fill_bytes(&mut key);
        key
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}
