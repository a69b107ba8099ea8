//! Clocks, and waiting.

use solo5_sys::{solo5_clock_monotonic, solo5_clock_wall, solo5_yield};

use crate::device::HandleSet;

/// Nanoseconds since some fixed point before the unikernel started. Never goes back.
#[must_use]
pub fn clock_monotonic() -> u64 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { solo5_clock_monotonic() }
}

/// Nanoseconds since 1970-01-01 00:00:00 UTC, as the host has it now. May jump either way.
#[must_use]
pub fn clock_wall() -> u64 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { solo5_clock_wall() }
}

/// Waits until [`clock_monotonic`] has reached `deadline` or a network device has a frame to read;
/// the devices that have one.
///
/// With a deadline that has passed (0 is always such) this does not wait, and still reports the
/// devices that are ready. [`u64::MAX`] waits for a frame, however long it takes.
pub fn yield_until(deadline: u64) -> HandleSet {
    let mut ready = 0;
    // SAFETY: `ready` may be written.
    unsafe { solo5_yield(deadline, &mut ready) };
    HandleSet(ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::World;

    #[test]
    fn waiting_takes_until_the_deadline_and_no_longer() {
        let _world = World::new();
        let start = clock_monotonic();
        assert!(yield_until(start + 5).is_empty());
        assert_eq!(clock_monotonic(), start + 5);
        assert!(yield_until(start).is_empty());
        assert_eq!(clock_monotonic(), start + 5);
        assert!(clock_wall() > clock_monotonic());
    }
}
