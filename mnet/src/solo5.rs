//! The platform of a Solo5 unikernel.

use ::solo5::{Net, clock_monotonic, clock_wall, yield_until};
use mnet_core::Instant;
use mnet_core::device::{RxInfo, TxFrame};
use mnet_core::log::LogEvent;

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

/// Writes an event of the log to the console, as a line: `info tcp: ...`. For
/// [`Runtime::set_log`](crate::Runtime::set_log).
pub fn log_to_console(event: &LogEvent) {
    let mut line = [0; 240];
    let mut len = 0;
    for part in [event.level.name(), " ", event.module.name(), ": "] {
        line[len..len + part.len()].copy_from_slice(part.as_bytes());
        len += part.len();
    }
    let end = line.len() - 1;
    len += event.render(&mut line[len..end]);
    line[len] = b'\n';
    ::solo5::Console.write(&line[..=len]);
}

/// The console as the place where the crate `log` writes to, a line for each record: the logger of a
/// unikernel, in which nothing else is.
#[cfg(feature = "log")]
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsoleLogger;

#[cfg(feature = "log")]
impl ConsoleLogger {
    /// Makes it the logger of the program, for records up to a level.
    ///
    /// # Errors
    /// There is one already.
    pub fn begin(level: ::log::LevelFilter) -> Result<(), ::log::SetLoggerError> {
        ::log::set_logger(&Self)?;
        ::log::set_max_level(level);
        Ok(())
    }
}

#[cfg(feature = "log")]
impl ::log::Log for ConsoleLogger {
    fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &::log::Record<'_>) {
        use core::fmt::Write;
        let level = match record.level() {
            ::log::Level::Error => "error",
            ::log::Level::Warn => "warn",
            ::log::Level::Info => "info",
            ::log::Level::Debug => "debug",
            ::log::Level::Trace => "trace",
        };
        let mut console = mnet_cli::ConsoleLines::new();
        // The console takes everything.
        let _ = writeln!(console, "{level} {}: {}", record.target(), record.args());
    }

    fn flush(&self) {}
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
