//! The devices that the tender attached: finding them, and checking what is asked of them.

use solo5_abi::manifest::{DeviceType, ManifestEntry};

/// The entries of the manifest that the tender filled in. An entry's index is its handle.
#[derive(Clone, Copy, Debug)]
pub struct Devices<'a>(pub &'a [ManifestEntry]);

impl<'a> Devices<'a> {
    /// The first attached device of type `kind` that is called `name`, and its handle.
    #[must_use]
    pub fn find(self, name: &[u8], kind: DeviceType) -> Option<(u64, &'a ManifestEntry)> {
        (0..)
            .zip(self.0)
            .find(|(_, entry)| is(entry, kind) && entry.name_bytes() == name)
    }

    /// The attached device with this handle, if it is of type `kind`.
    #[must_use]
    pub fn get(self, handle: u64, kind: DeviceType) -> Option<&'a ManifestEntry> {
        let entry = self.0.get(usize::try_from(handle).ok()?)?;
        is(entry, kind).then_some(entry)
    }

    /// The block device with this handle, if `[offset, offset + size)` is one of its blocks.
    #[must_use]
    pub fn block(self, handle: u64, offset: u64, size: usize) -> Option<&'a ManifestEntry> {
        let entry = self.get(handle, DeviceType::Block)?;
        let block_size = u64::from(entry.block_size());
        let last = entry.capacity().checked_sub(block_size)?;
        let valid = block_size != 0
            && size as u64 == block_size
            && offset.is_multiple_of(block_size)
            && offset <= last;
        valid.then_some(entry)
    }
}

/// Whether this is a device of type `kind` that the tender attached.
fn is(entry: &ManifestEntry, kind: DeviceType) -> bool {
    entry.is_attached() && entry.device_type() == kind
}

#[cfg(test)]
mod tests {
    use solo5_abi::manifest::{TYPE_BLOCK_BASIC, TYPE_NET_BASIC};

    use super::*;

    /// Net `service`, block `storage` of 8 blocks, block `service`, and one that is not attached.
    fn entries() -> [ManifestEntry; 5] {
        let mut entries = [
            ManifestEntry::RESERVED,
            ManifestEntry::declare("service", TYPE_NET_BASIC),
            ManifestEntry::declare("storage", TYPE_BLOCK_BASIC),
            ManifestEntry::declare("service", TYPE_BLOCK_BASIC),
            ManifestEntry::declare("absent", TYPE_NET_BASIC),
        ];
        for entry in &mut entries[1..4] {
            entry.attached = 1;
        }
        entries[2].set_capacity(4096);
        entries[2].set_block_size(512);
        entries
    }

    #[test]
    fn devices_are_found_by_exact_name_and_type() {
        let entries = entries();
        let find = |name: &str, kind| Devices(&entries).find(name.as_bytes(), kind);
        let handle = |name, kind| find(name, kind).map(|(handle, _)| handle);
        assert_eq!(handle("service", DeviceType::Net), Some(1));
        assert_eq!(handle("service", DeviceType::Block), Some(3));
        assert_eq!(handle("storage", DeviceType::Block), Some(2));
        assert_eq!(handle("storage", DeviceType::Net), None);
        assert_eq!(handle("servic", DeviceType::Net), None);
        assert_eq!(handle("services", DeviceType::Net), None);
        assert_eq!(handle("absent", DeviceType::Net), None);
        assert_eq!(handle("", DeviceType::Net), None);
    }

    #[test]
    fn a_handle_is_good_for_its_own_type_only() {
        let entries = entries();
        let good = |handle, kind| Devices(&entries).get(handle, kind).is_some();
        assert!(good(1, DeviceType::Net) && !good(1, DeviceType::Block));
        assert!(good(2, DeviceType::Block) && !good(2, DeviceType::Net));
        for handle in [0, 4, 5, 63, 64, u64::MAX] {
            assert!(!good(handle, DeviceType::Net) && !good(handle, DeviceType::Block));
        }
    }

    #[test]
    fn only_single_whole_blocks_of_the_device_are_valid() {
        let entries = entries();
        let valid = |offset, size| Devices(&entries).block(2, offset, size).is_some();
        assert!(valid(0, 512) && valid(512, 512) && valid(3584, 512));
        assert!(!valid(0, 511) && !valid(0, 513) && !valid(0, 1024) && !valid(0, 0));
        assert!(!valid(1, 512) && !valid(511, 512) && !valid(3585, 512));
        assert!(!valid(4096, 512) && !valid(u64::MAX - 511, 512));
        assert!(Devices(&entries).block(1, 0, 512).is_none());
    }

    #[test]
    fn a_device_without_blocks_has_no_valid_request() {
        let mut entries = entries();
        entries[2].set_capacity(511);
        assert!(Devices(&entries).block(2, 0, 512).is_none());
        entries[2].set_block_size(0);
        assert!(Devices(&entries).block(2, 0, 0).is_none());
    }
}
