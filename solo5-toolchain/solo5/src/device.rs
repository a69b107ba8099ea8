//! What network and block devices have in common: names, handles, and belonging to one owner.

use core::ffi::{CStr, c_char};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use solo5_sys::{solo5_handle_set_t, solo5_handle_t, solo5_result_t};

/// Longest device name in bytes.
const MAX_NAME_LEN: usize = 67;

/// Handles are bits of a [`solo5_handle_set_t`].
const MAX_HANDLES: u64 = solo5_handle_set_t::BITS as u64;

/// The devices that have an owner, one bit each.
static OWNED: AtomicU64 = AtomicU64::new(0);

/// Identifies a device: its position in the manifest, 1 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(solo5_handle_t);

impl Handle {
    /// The number that the C interface uses, below 64.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    const fn bit(self) -> u64 {
        1 << self.0
    }
}

/// A set of devices.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct HandleSet(pub(crate) solo5_handle_set_t);

impl HandleSet {
    /// Whether `handle` is in the set.
    #[must_use]
    pub const fn contains(self, handle: Handle) -> bool {
        self.0 & handle.bit() != 0
    }

    /// Whether no device is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for HandleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = (0..MAX_HANDLES).filter(|bit| self.0 >> bit & 1 == 1);
        f.debug_set().entries(members).finish()
    }
}

/// Why a device could not be acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// The manifest has no device of this name and type: add it there, or correct the name.
    #[error("no such device in the manifest")]
    NoSuchDevice,
    /// The device has an owner already: pass that value on instead.
    #[error("the device is in use")]
    InUse,
}

/// A device that belongs to the holder of this value, and to nobody when it is dropped.
#[derive(Debug)]
pub(crate) struct Owned(Handle);

impl Owned {
    /// Looks a device up with `lookup`, one of the C interface's acquire functions, and takes it.
    ///
    /// `lookup` is given the name, NUL terminated.
    pub(crate) fn acquire(
        name: &str,
        lookup: impl FnOnce(*const c_char, &mut solo5_handle_t) -> solo5_result_t,
    ) -> Result<Self, AcquireError> {
        // No manifest has a longer name, and none with a NUL.
        let mut buffer = [0; MAX_NAME_LEN + 1];
        buffer
            .get_mut(..name.len())
            .filter(|_| name.len() <= MAX_NAME_LEN)
            .ok_or(AcquireError::NoSuchDevice)?
            .copy_from_slice(name.as_bytes());
        let c_name = CStr::from_bytes_until_nul(&buffer).map_err(|_| AcquireError::NoSuchDevice)?;
        if c_name.count_bytes() != name.len() {
            return Err(AcquireError::NoSuchDevice);
        }

        let mut handle = 0;
        if lookup(c_name.as_ptr(), &mut handle) != solo5_result_t::SOLO5_R_OK
            || handle >= MAX_HANDLES
        {
            return Err(AcquireError::NoSuchDevice);
        }
        let handle = Handle(handle);
        if OWNED.fetch_or(handle.bit(), Ordering::Relaxed) & handle.bit() != 0 {
            return Err(AcquireError::InUse);
        }
        Ok(Self(handle))
    }

    pub(crate) const fn handle(&self) -> Handle {
        self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        OWNED.fetch_and(!self.0.bit(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;

    use super::*;

    /// The name that an acquire function would see, if it is called at all.
    fn name_passed_on(name: &str) -> Option<String> {
        let mut seen = None;
        let result = Owned::acquire(name, |c_name, _| {
            // SAFETY: `acquire` passes on the pointer of a `CStr`.
            let c_name = unsafe { CStr::from_ptr(c_name) };
            seen = c_name.to_str().ok().map(String::from);
            solo5_result_t::SOLO5_R_EINVAL
        });
        assert_eq!(result.err(), Some(AcquireError::NoSuchDevice));
        seen
    }

    #[test]
    fn names_up_to_67_bytes_without_nul_reach_the_bindings() {
        let longest = "x".repeat(67);
        assert_eq!(name_passed_on("service"), Some("service".into()));
        assert_eq!(name_passed_on(&longest), Some(longest));
        assert_eq!(name_passed_on(&"x".repeat(68)), None);
        assert_eq!(name_passed_on("ser\0vice"), None);
        assert_eq!(name_passed_on("service\0"), None);
    }

    #[test]
    fn a_handle_that_is_no_bit_of_a_set_is_refused() {
        let result = Owned::acquire("service", |_, handle| {
            *handle = 64;
            solo5_result_t::SOLO5_R_OK
        });
        assert_eq!(result.err(), Some(AcquireError::NoSuchDevice));
    }

    #[test]
    fn sets_know_their_members() {
        let set = HandleSet(0b1010);
        assert!(set.contains(Handle(1)) && set.contains(Handle(3)));
        assert!(!set.contains(Handle(0)) && !set.contains(Handle(63)));
        assert!(!set.is_empty() && HandleSet::default().is_empty());
        assert_eq!(format!("{set:?}"), "{1, 3}");
    }
}
