//! The seed of a stack, from the processor's random source and from timing.
//!
//! The processor's source (RDSEED, RDRAND) is required: without it [`seed`] refuses. Clock
//! readings are mixed in on top, so that two starts from the same snapshot of a machine, or on a
//! processor whose source is worse than it claims, still differ. Mixing can only add: the mixer is
//! a pseudo-random function keyed with everything that came before, so the result is as good as
//! the best of its inputs.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::platform::NoEntropy;

/// Words taken from each hardware source. RDRAND promises fewer fresh bits than it returns, so
/// this is far more than the 256 bits that are needed.
const WORDS: usize = 64;

/// How often a source may answer "not now" for one word.
const RETRIES: usize = 1_000;

/// How many pairs of a clock reading and the work between two readings are mixed in.
const TIMINGS: usize = 32;

/// Makes a seed from the processor's random source, mixed with `clock` readings.
///
/// `clock` is any counter that advances: monotonic time, wall-clock time, processor cycles, or a
/// combination of them. It is read some thirty times.
///
/// # Errors
/// [`NoEntropy`] if the processor has neither RDSEED nor RDRAND, or if what it has does not
/// answer or repeats itself.
pub fn seed(mut clock: impl FnMut() -> u64) -> Result<[u8; 32], NoEntropy> {
    let mut mixer = Mixer::new();
    hardware::absorb_into(&mut mixer)?;
    for _ in 0..TIMINGS {
        // Each absorption takes a little time that differs from run to run.
        mixer.absorb(clock());
    }
    Ok(mixer.state)
}

/// A chain of ChaCha20 keys: each input is folded into the key, and the key is replaced by output
/// of the cipher under it.
struct Mixer {
    state: [u8; 32],
}

impl Mixer {
    fn new() -> Self {
        Self { state: [0; 32] }
    }

    fn absorb(&mut self, word: u64) {
        for (byte, input) in self.state.iter_mut().zip(word.to_le_bytes()) {
            *byte ^= input;
        }
        ChaCha20Rng::from_seed(self.state).fill_bytes(&mut self.state);
    }
}

/// The processor's instructions.
#[cfg(target_arch = "x86_64")]
mod hardware {
    use core::arch::x86_64::{__cpuid, __cpuid_count, _rdrand64_step, _rdseed64_step};

    use super::{Mixer, NoEntropy, RETRIES, WORDS};

    /// Mixes in [`WORDS`] words of every source that the processor has; at least one must work.
    pub(super) fn absorb_into(mixer: &mut Mixer) -> Result<(), NoEntropy> {
        let highest_leaf = __cpuid(0).eax;
        let has_rdrand = highest_leaf >= 1 && __cpuid(1).ecx & (1 << 30) != 0;
        let has_rdseed = highest_leaf >= 7 && __cpuid_count(7, 0).ebx & (1 << 18) != 0;
        let mut sources = 0;
        // SAFETY: CPUID has just said that the processor has the instruction.
        if has_rdseed && absorb_words(mixer, |word| unsafe { rdseed(word) }) {
            sources += 1;
        }
        // SAFETY: CPUID has just said so of this instruction, too.
        if has_rdrand && absorb_words(mixer, |word| unsafe { rdrand(word) }) {
            sources += 1;
        }
        if sources == 0 { Err(NoEntropy) } else { Ok(()) }
    }

    /// # Safety
    /// The processor has RDSEED.
    #[target_feature(enable = "rdseed")]
    unsafe fn rdseed(word: &mut u64) -> bool {
        _rdseed64_step(word) == 1
    }

    /// # Safety
    /// The processor has RDRAND.
    #[target_feature(enable = "rdrand")]
    unsafe fn rdrand(word: &mut u64) -> bool {
        _rdrand64_step(word) == 1
    }

    /// Mixes in the words of one source. False if the source is not to be trusted: it stopped
    /// answering, or gave the same word twice in a row, as broken ones are known to do.
    pub(super) fn absorb_words(
        mixer: &mut Mixer,
        mut source: impl FnMut(&mut u64) -> bool,
    ) -> bool {
        let mut previous = None;
        for _ in 0..WORDS {
            let mut word = 0;
            if !(0..RETRIES).any(|_| {
                let answered = source(&mut word);
                if !answered {
                    core::hint::spin_loop();
                }
                answered
            }) {
                return false;
            }
            if previous == Some(word) {
                return false;
            }
            previous = Some(word);
            mixer.absorb(word);
        }
        true
    }
}

/// Other processors: no source is known here yet, so a seed must be given.
#[cfg(not(target_arch = "x86_64"))]
mod hardware {
    pub(super) fn absorb_into(_: &mut super::Mixer) -> Result<(), super::NoEntropy> {
        Err(super::NoEntropy)
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn every_input_changes_the_seed() {
        let mix = |words: &[u64]| {
            let mut mixer = Mixer::new();
            words.iter().for_each(|word| mixer.absorb(*word));
            mixer.state
        };
        assert_eq!(mix(&[1, 2, 3]), mix(&[1, 2, 3]));
        assert_ne!(mix(&[1, 2, 3]), mix(&[1, 2, 4]));
        assert_ne!(mix(&[1, 2, 3]), mix(&[0, 2, 3]));
        assert_ne!(mix(&[1, 2]), mix(&[2, 1]));
        assert_ne!(mix(&[1]), mix(&[1, 0]));
    }

    #[test]
    fn a_source_that_repeats_itself_is_refused() {
        let stuck = |word: &mut u64| {
            *word = u64::MAX;
            true
        };
        assert!(!hardware::absorb_words(&mut Mixer::new(), stuck));
    }

    #[test]
    fn a_source_that_stops_answering_is_given_up() {
        let mut asked = 0_usize;
        assert!(!hardware::absorb_words(&mut Mixer::new(), |word| {
            asked += 1;
            *word = 7;
            asked == 1
        }));
        assert_eq!(asked, 1 + RETRIES);
    }

    #[test]
    fn a_source_that_answers_is_used() {
        let mut next = 0_u64;
        let mut mixer = Mixer::new();
        assert!(hardware::absorb_words(&mut mixer, |word| {
            next += 1;
            *word = next;
            true
        }));
        assert_eq!(next, 64);
        assert_ne!(mixer.state, [0; 32]);
    }
}
