//! Hypercalls, boot information, entry state and network ring of the hvt target on x86_64
//! (solo5-abi sections 10 to 12).
//!
//! A guest makes a hypercall by writing the 32-bit address of the call's structure to the call's
//! port, [`Hypercall::port`]. Results are in the structure when the instruction is done. All structures and
//! buffers are below 4 GiB.

use core::mem::{offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Port of hypercall 0, which does not exist; call `n` has the port `n` higher.
pub const PORT_BASE: u16 = 0x500;

/// The port that wakes the tender's side of the ring. The value written to it means nothing.
pub const PORT_RING: u16 = 0x600;

/// First hypercall number that means nothing.
pub const HYPERCALL_END: u16 = 9;

/// Address of the boot information. The tender passes it in `rdi`.
pub const BOOT_INFO: u64 = 0x1_0000;

/// Guest memory is a multiple of this, in bytes.
pub const MEMORY_STEP: u64 = 2 << 20;

/// The largest size of guest memory in bytes: pointers in hypercalls have 32 bits.
pub const MEMORY_MAX: u64 = 4 << 30;

/// Bytes behind guest memory that a tender sets aside for the ring.
pub const RING_AREA: u64 = 2 << 20;

/// Bytes that a cookie of [`Halt`] points to.
pub const HALT_COOKIE_LEN: usize = 512;

/// Bit of `host_features`: there is a network ring.
pub const FEATURE_RING: u32 = 1;

/// The hypercalls, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Hypercall {
    /// Wall clock: [`Walltime`].
    Walltime = 1,
    /// Console output: [`Puts`].
    Puts = 2,
    /// Waiting for input: [`Poll`].
    Poll = 3,
    /// Writing to a block device: [`BlockIo`].
    BlockWrite = 4,
    /// Reading from a block device: [`BlockIo`].
    BlockRead = 5,
    /// Sending a frame: [`NetIo`].
    NetWrite = 6,
    /// Receiving a frame: [`NetIo`].
    NetRead = 7,
    /// The end: [`Halt`]. Does not return.
    Halt = 8,
}

impl Hypercall {
    /// The call with this number, `None` if there is none.
    #[must_use]
    pub const fn from_raw(raw: u16) -> Option<Self> {
        Some(match raw {
            1 => Self::Walltime,
            2 => Self::Puts,
            3 => Self::Poll,
            4 => Self::BlockWrite,
            5 => Self::BlockRead,
            6 => Self::NetWrite,
            7 => Self::NetRead,
            8 => Self::Halt,
            _ => return None,
        })
    }

    /// The port that it is made with.
    #[must_use]
    pub const fn port(self) -> u16 {
        PORT_BASE + self as u16
    }
}

/// A `solo5_result_t`, as a tender writes it into results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Outcome {
    /// Done.
    Ok = 0,
    /// Nothing is queued.
    Again = 1,
    /// No such device, or not possible with it.
    Invalid = 2,
    /// The host refuses.
    Unspecified = 3,
}

impl Outcome {
    /// What this number means. What no tender should write is a refusal.
    #[must_use]
    pub const fn from_raw(raw: i32) -> Self {
        match raw {
            0 => Self::Ok,
            1 => Self::Again,
            2 => Self::Invalid,
            _ => Self::Unspecified,
        }
    }
}

/// Boot information, at [`BOOT_INFO`]. Read-only for the guest.
///
/// Tenders before Solo5 0.11 leave out the last three fields; at their place is the manifest. Its
/// version looks like [`FEATURE_RING`], and its first name, which is empty, like a ring at address
/// 0: see [`HvtBootInfo::ring`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct HvtBootInfo {
    /// Size of guest memory in bytes. The initial stack pointer is 8 bytes below this address.
    pub mem_size: u64,
    /// End of the highest loaded segment that has bytes in the image file. Informational: it
    /// normally leaves out `.bss`; guests use their own `_end`.
    pub kernel_end: u64,
    /// Frequency of the time stamp counter in Hz.
    pub cpu_cycle_freq: u64,
    /// Address of the NUL-terminated command line.
    pub cmdline: u64,
    /// Address of the manifest: a [`crate::manifest::ManifestHeader`] and its entries.
    pub manifest: u64,
    /// What the tender offers: [`FEATURE_RING`].
    pub host_features: u32,
    /// Zero.
    pub guest_features: u32,
    /// Address of the [`Ring`], or 0.
    pub net_ring: u64,
}

impl HvtBootInfo {
    /// Address of the network ring, if the tender offers one.
    ///
    /// Both fields have to say so, or a guest of today would find a ring under a tender that never
    /// heard of one.
    #[must_use]
    pub const fn ring(&self) -> Option<u64> {
        if self.host_features & FEATURE_RING != 0 && self.net_ring != 0 {
            Some(self.net_ring)
        } else {
            None
        }
    }
}

/// Argument of [`Hypercall::Walltime`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Walltime {
    /// Result: UTC since 1970 in nanoseconds.
    pub nsecs: u64,
}

/// Argument of [`Hypercall::Puts`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Puts {
    /// Address of the text.
    pub data: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// Argument of [`Hypercall::Poll`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Poll {
    /// How long to wait at most, in nanoseconds from now.
    pub timeout_nsecs: u64,
    /// Result: bit `n` is set if the network device with manifest index `n` has input.
    pub ready_set: u64,
    /// Result: how many bits are set.
    pub ret: i32,
    /// Not used.
    pub padding: u32,
}

/// Argument of [`Hypercall::BlockWrite`] and [`Hypercall::BlockRead`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BlockIo {
    /// The device: its manifest index.
    pub handle: u64,
    /// Where on the device, in bytes.
    pub offset: u64,
    /// Address of the buffer.
    pub data: u64,
    /// Length in bytes.
    pub len: u64,
    /// Result: an [`Outcome`].
    pub ret: i32,
    /// Not used.
    pub padding: u32,
}

/// Argument of [`Hypercall::NetWrite`] and [`Hypercall::NetRead`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct NetIo {
    /// The device: its manifest index.
    pub handle: u64,
    /// Address of the buffer.
    pub data: u64,
    /// Length in bytes. A read that succeeds sets it to the length of the frame.
    pub len: u64,
    /// Result: an [`Outcome`].
    pub ret: i32,
    /// Not used.
    pub padding: u32,
}

/// Argument of [`Hypercall::Halt`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Halt {
    /// 0, or the address of [`HALT_COOKIE_LEN`] bytes that start with a [`TrapFrame`].
    pub cookie: u64,
    /// Exit status of the tender.
    pub exit_status: i32,
    /// Not used.
    pub padding: u32,
}

/// What a trap handler knows, as a cookie for [`Halt`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct TrapFrame {
    /// The address that a page fault was about.
    pub cr2: u64,
    /// The processor's error code, 0 for traps without.
    pub error_code: u64,
    /// The instruction.
    pub rip: u64,
    /// Its code segment.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment.
    pub ss: u64,
}

/// The names of the processor's exceptions, as they are printed.
#[must_use]
pub const fn exception_name(vector: u8) -> &'static str {
    match vector {
        0 => "#DE",
        1 => "#DB",
        2 => "#NMI",
        3 => "#BP",
        4 => "#OF",
        5 => "#BR",
        6 => "#UD",
        7 => "#NM",
        8 => "#DF",
        10 => "#TS",
        11 => "#NP",
        12 => "#SS",
        13 => "#GP",
        14 => "#PF",
        16 => "#MF",
        17 => "#AC",
        18 => "#MC",
        19 => "#XM",
        20 => "#VE",
        _ => "unknown",
    }
}

/// Whether the processor pushes an error code for this exception.
#[must_use]
pub const fn has_error_code(vector: u8) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

/// Entries in each direction of the ring; a power of two.
pub const RING_ENTRIES: u32 = 1024;

/// Operation of a [`Submission`]: send a frame. No completion follows.
pub const RING_NET_WRITE: u32 = 1;
/// Operation of a [`Submission`]: receive a frame. A completion follows.
pub const RING_NET_READ: u32 = 2;

/// What the guest writes of the ring's indices.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(64))]
pub struct RingGuestLine {
    /// Submissions made so far, modulo 2^32.
    pub ent_tail: u32,
    /// Completions taken so far, modulo 2^32.
    pub com_head: u32,
    /// Not used.
    pub padding: [u32; 14],
}

/// What the tender writes of the ring's indices.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(64))]
pub struct RingHostLine {
    /// Submissions taken so far, modulo 2^32.
    pub ent_head: u32,
    /// Completions made so far, modulo 2^32.
    pub com_tail: u32,
    /// Not zero if the guest has to write to [`PORT_RING`] after it made a submission.
    pub needs_kick: u32,
    /// Not used.
    pub padding: [u32; 13],
}

/// An order of the guest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Submission {
    /// [`RING_NET_WRITE`] or [`RING_NET_READ`].
    pub operation: u32,
    /// The device: its manifest index.
    pub handle: u32,
    /// Address of the frame or of room for one.
    pub data: u64,
    /// Length in bytes.
    pub len: u32,
    /// Comes back in the completion.
    pub id: u32,
    /// Zero.
    pub reserved: u64,
}

/// What became of a [`RING_NET_READ`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Completion {
    /// The submission's.
    pub id: u32,
    /// An [`Outcome`].
    pub ret: i32,
    /// Length of the frame in bytes.
    pub len: u32,
    /// Zero.
    pub reserved: u32,
}

/// The network ring, 49,280 bytes, shared by all network devices of a guest.
///
/// Indices run freely; an index modulo [`RING_ENTRIES`] is a slot.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ring {
    /// Written by the guest.
    pub guest: RingGuestLine,
    /// Written by the tender.
    pub host: RingHostLine,
    /// Written by the guest.
    pub entries: [Submission; RING_ENTRIES as usize],
    /// Written by the tender.
    pub commits: [Completion; RING_ENTRIES as usize],
}

const _: () = {
    assert!(size_of::<HvtBootInfo>() == 56);
    assert!(offset_of!(HvtBootInfo, cpu_cycle_freq) == 16);
    assert!(offset_of!(HvtBootInfo, cmdline) == 24);
    assert!(offset_of!(HvtBootInfo, manifest) == 32);
    assert!(offset_of!(HvtBootInfo, host_features) == 40);
    assert!(offset_of!(HvtBootInfo, net_ring) == 48);
    assert!(size_of::<Walltime>() == 8);
    assert!(size_of::<Puts>() == 16);
    assert!(size_of::<Poll>() == 24 && offset_of!(Poll, ret) == 16);
    assert!(size_of::<BlockIo>() == 40 && offset_of!(BlockIo, ret) == 32);
    assert!(size_of::<NetIo>() == 32 && offset_of!(NetIo, ret) == 24);
    assert!(size_of::<Halt>() == 16 && offset_of!(Halt, exit_status) == 8);
    assert!(size_of::<TrapFrame>() == 56 && offset_of!(TrapFrame, rip) == 16);
    assert!(size_of::<Submission>() == 32 && offset_of!(Submission, len) == 16);
    assert!(size_of::<Completion>() == 16 && offset_of!(Completion, len) == 8);
    assert!(size_of::<Ring>() == 49_280);
    assert!(offset_of!(Ring, guest.ent_tail) == 0 && offset_of!(Ring, guest.com_head) == 4);
    assert!(offset_of!(Ring, host.ent_head) == 64 && offset_of!(Ring, host.com_tail) == 68);
    assert!(offset_of!(Ring, host.needs_kick) == 72);
    assert!(offset_of!(Ring, entries) == 128 && offset_of!(Ring, commits) == 32_896);
    assert!(size_of::<Ring>() as u64 <= RING_AREA);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ManifestEntry, ManifestHeader};

    #[test]
    fn hypercalls_survive_a_round_trip_and_the_rest_is_unknown() {
        for raw in 0..HYPERCALL_END + 3 {
            match Hypercall::from_raw(raw) {
                Some(call) => assert_eq!(call.port(), PORT_BASE + raw),
                None => assert!(raw == 0 || raw >= HYPERCALL_END),
            }
        }
    }

    #[test]
    fn a_ring_needs_the_feature_and_an_address() {
        let boot = |host_features, net_ring| HvtBootInfo {
            mem_size: 0,
            kernel_end: 0,
            cpu_cycle_freq: 0,
            cmdline: 0,
            manifest: 0,
            host_features,
            guest_features: 0,
            net_ring,
        };
        assert_eq!(boot(1, 0x20_0000).ring(), Some(0x20_0000));
        assert_eq!(boot(3, 0x20_0000).ring(), Some(0x20_0000));
        assert_eq!(boot(0, 0x20_0000).ring(), None);
        assert_eq!(boot(2, 0x20_0000).ring(), None);
        assert_eq!(boot(1, 0).ring(), None);
    }

    /// A tender before 0.11 has the manifest where today's boot information goes on.
    #[test]
    fn a_manifest_behind_an_old_boot_information_is_no_ring() {
        let header = ManifestHeader {
            version: 1,
            entries: 2,
        };
        let mut bytes = [0; 56];
        bytes[40..48].copy_from_slice(header.as_bytes());
        bytes[48..].copy_from_slice(&ManifestEntry::RESERVED.as_bytes()[..8]);
        let boot = HvtBootInfo::read_from_bytes(&bytes).unwrap();
        assert_eq!((boot.host_features, boot.guest_features), (1, 2));
        assert_eq!(boot.ring(), None);
    }

    #[test]
    fn exceptions_have_their_names_and_error_codes() {
        assert_eq!(exception_name(14), "#PF");
        assert_eq!(exception_name(9), "unknown");
        let with: [bool; 32] = core::array::from_fn(|v| has_error_code(u8::try_from(v).unwrap()));
        for vector in [8, 10, 11, 12, 13, 14, 17] {
            assert!(with[vector]);
        }
        for vector in [0, 1, 2, 3, 4, 5, 6, 7, 9, 16, 18, 19, 20] {
            assert!(!with[vector]);
        }
    }
}
