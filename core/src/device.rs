//! Frames at the boundary to a device: descriptors, not only bytes.
//!
//! A device without offload sees complete frames in one slice: every field but the bytes has its
//! plain value. The others are for devices that finish checksums or segment large frames.

/// Most slices a frame consists of.
pub const MAX_SLICES: usize = 4;

/// State of the transport checksum of a frame to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TxChecksum {
    /// Complete: send the frame as it is.
    #[default]
    Complete,
    /// The device sums from `start` to the end and stores the result at `start + offset`.
    Partial {
        /// Where the sum starts, bytes from the frame's first byte.
        start: u16,
        /// Where the result goes, bytes from `start`.
        offset: u16,
    },
}

/// A frame for the device to send, Ethernet header first.
#[derive(Clone, Debug)]
pub struct TxFrame<'a> {
    /// The interface whose device sends it.
    pub interface: InterfaceId,
    /// The bytes, in order; one slice unless the device takes more.
    pub slices: heapless::Vec<&'a [u8], MAX_SLICES>,
    /// State of the transport checksum.
    pub checksum: TxChecksum,
    /// TCP payload per segment of a frame to be segmented by the device; 0: an ordinary frame.
    pub segment_size: u16,
}

/// What the device says about a received frame's checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RxChecksum {
    /// Nothing was checked: the stack checks.
    #[default]
    Unknown,
    /// The transport checksum was verified, or the frame never crossed a wire.
    Verified,
}

/// A received frame's description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxInfo {
    /// Bytes of the frame, Ethernet header first.
    pub len: usize,
    /// What the device says about the checksums.
    pub checksum: RxChecksum,
    /// TCP payload per original segment of a frame that the device coalesced; 0: as on the wire.
    pub segment_size: u16,
}

/// An interface of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceId(pub(crate) u8);

impl InterfaceId {
    /// The place in the order in which the interfaces were added, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
