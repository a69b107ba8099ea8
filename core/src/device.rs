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

/// What passed an interface since it was added. The frames of a VLAN count there and on its parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes of the frames received, Ethernet headers and tags included.
    pub rx_bytes: u64,
    /// Those of them that the link layer dropped: not for us, malformed, or of a kind or a VLAN that
    /// nobody here speaks. The stack's counters that begin with `eth_` say why.
    pub rx_dropped: u64,
    /// Frames given to the device.
    pub tx_frames: u64,
    /// Bytes of the frames given to the device.
    pub tx_bytes: u64,
}

/// What makes an interface one of a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanInfo {
    /// The interface whose device carries its frames.
    pub parent: InterfaceId,
    /// The VLAN identifier: 1 to 4094.
    pub id: u16,
    /// The priority in the tags of what we send: 0 to 7.
    pub priority: u8,
}

/// An interface as its owner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// The interface.
    pub id: InterfaceId,
    /// Our Ethernet address there.
    pub hardware_address: [u8; 6],
    /// Largest IP packet, in bytes.
    pub mtu: usize,
    /// `None`: it has a device of its own.
    pub vlan: Option<VlanInfo>,
    /// What passed it.
    pub counters: LinkCounters,
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
