//! The value that the stack protector puts between a function's buffers and its return address.

/// What the guard holds until the machine was asked for something better.
///
/// One byte is zero, so that a string that runs over cannot reproduce it.
pub const INITIAL: u64 = 0x5a17_b02d_e963_00c4;

/// A guard from two readings of the time stamp counter. Byte 1 is zero, for the same reason.
#[must_use]
pub const fn from_time_stamps(first: u64, second: u64) -> u64 {
    first.wrapping_add(second << 32) & !0xff00
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_has_a_zero_byte_and_depends_on_both_readings() {
        let guard = from_time_stamps(0x1234_5678_9abc_def0, 0x1111);
        assert_eq!(guard, 0x1234_6789_9abc_00f0);
        assert_ne!(guard, from_time_stamps(0x1234_5678_9abc_def1, 0x1111));
        assert_ne!(guard, from_time_stamps(0x1234_5678_9abc_def0, 0x1112));
        assert_eq!(INITIAL & 0xff00, 0);
    }
}
