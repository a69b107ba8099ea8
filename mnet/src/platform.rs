//! What a place to run must offer: frames, a clock, a way to sleep, entropy.

use core::fmt;

use mnet_core::Instant;
use mnet_core::device::{RxInfo, TxFrame};

/// A network device: one Ethernet interface.
///
/// Both calls return at once. A device that has its own descriptor rings and a device that makes
/// a system call for each frame look the same from here.
pub trait Device {
    /// The Ethernet address of our end. It does not change.
    fn hardware_address(&self) -> [u8; 6];

    /// The largest payload of a frame, in bytes without the Ethernet header. It does not change.
    fn mtu(&self) -> usize;

    /// Takes the next received frame, if there is one, and puts it at the start of `buffer`.
    ///
    /// `buffer` has room for a header and [`Device::mtu`] bytes. `None` means that nothing is
    /// queued now; [`Platform::wait`] wakes when that changes. A device that fails for good is
    /// one on which nothing arrives.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<RxInfo>;

    /// Sends one frame. The bytes can be reused when the call has returned.
    ///
    /// # Errors
    /// [`TransmitError`] when the frame was not taken. It is lost, as on any wire; the protocols
    /// above recover.
    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), TransmitError>;
}

/// The device did not take a frame: its queue is full, or the interface is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmitError;

impl fmt::Display for TransmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the device did not take the frame")
    }
}

impl core::error::Error for TransmitError {}

/// Where a [`Runtime`](crate::Runtime) runs: its clock, its way to sleep, its entropy.
pub trait Platform {
    /// The devices of this platform.
    type Device: Device;

    /// The monotonic clock. It costs a system call in some places, so the runtime reads it once
    /// for each batch of frames, not for each frame.
    fn now(&mut self) -> Instant;

    /// Sleeps until `deadline`, or until a device has a frame to receive, whichever comes first.
    ///
    /// Waking early is allowed. [`Instant::FAR_FUTURE`] means that there is no deadline. The
    /// runtime calls this only with a deadline that was ahead when it last read the clock.
    fn wait(&mut self, devices: &mut [Self::Device], deadline: Instant);

    /// 32 bytes that nobody outside can guess, different at each start.
    ///
    /// # Errors
    /// [`NoEntropy`] where there is no source for them. A platform must not make them up.
    fn entropy(&mut self) -> Result<[u8; 32], NoEntropy>;
}

/// There is no source of randomness that can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntropy;

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no hardware source of randomness (RDSEED or RDRAND), and no seed was given")
    }
}

impl core::error::Error for NoEntropy {}
