//! Which descriptors a process of the tender's keeps once a guest runs.

use std::collections::BTreeSet;
use std::io;

/// Standard input, console, messages.
pub const STANDARD: [i32; 3] = [0, 1, 2];

/// Closes all descriptors but these: what this process was started with by accident, and what it
/// needed at start only.
///
/// # Safety
///
/// Nobody uses any other descriptor from now on, not even to close it.
///
/// # Errors
///
/// The kernel is older than 5.9.
pub unsafe fn close_others(used: &BTreeSet<i32>) -> io::Result<()> {
    let mut first = 0;
    let used = used.iter().copied().map(i64::from);
    // The last of them is followed by all others that there can be.
    for used in used.chain([i64::from(u32::MAX) + 1]) {
        if first < used {
            // SAFETY: the caller vouches for the descriptors.
            let result = unsafe { libc::syscall(libc::SYS_close_range, first, used - 1, 0) };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        first = used + 1;
    }
    Ok(())
}
