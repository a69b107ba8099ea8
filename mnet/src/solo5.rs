//! The platform of a Solo5 unikernel.

use ::solo5::{Net, clock_monotonic, clock_wall, yield_until};
use mnet_core::Instant;
use mnet_core::device::{RxInfo, TxFrame};

use crate::entropy;
use crate::platform::{Device, NoEntropy, Platform, TransmitError};

/// The clocks of Solo5 and its way to sleep. A value without content.
///
/// [`Instant`]s are nanoseconds of `solo5_clock_monotonic`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Solo5;

impl Platform for Solo5 {
    type Device = NetDevice;

    fn now(&mut self) -> Instant {
        Instant::from_nanos(clock_monotonic())
    }

    fn wait(&mut self, _devices: &mut [NetDevice], deadline: Instant) {
        // All devices wake a Solo5 guest; which one it was shows when they are read.
        yield_until(deadline.as_nanos());
    }

    fn entropy(&mut self) -> Result<[u8; 32], NoEntropy> {
        entropy::seed(|| clock_wall().rotate_left(32) ^ clock_monotonic() ^ cycles())
    }
}

/// The processor's cycle counter, where there is one.
fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction, and Solo5 does not forbid it.
    let cycles = unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    let cycles = 0;
    cycles
}

/// A network device of the manifest.
#[derive(Debug)]
pub struct NetDevice(Net);

impl NetDevice {
    /// Takes over an acquired device.
    #[must_use]
    pub fn new(net: Net) -> Self {
        Self(net)
    }
}

impl Device for NetDevice {
    fn hardware_address(&self) -> [u8; 6] {
        self.0.info().mac
    }

    fn mtu(&self) -> usize {
        self.0.info().mtu
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<RxInfo> {
        // A host that fails is one on which nothing arrives.
        let len = self.0.read(buffer).ok().flatten()?;
        Some(RxInfo {
            len,
            ..RxInfo::default()
        })
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), TransmitError> {
        // Solo5 takes one buffer; the stack gives such frames to a device without offloads.
        let [bytes] = frame.slices.as_slice() else {
            return Err(TransmitError);
        };
        self.0.write(bytes).map_err(|_| TransmitError)
    }
}
