//! The box: which system calls an spt guest may make (solo5-abi section 14.6).

use std::collections::BTreeSet;

use seccompiler::{BackendError, BpfProgram, SeccompCmpOp as Op};
use solo5_abi::spt;

use crate::descriptors::STANDARD;
use crate::devices::{BlockDevice, NetDevice};
use crate::filter::{Rules, register};

/// What the filter is made for.
#[derive(Clone, Copy, Debug)]
pub struct Resources<'a> {
    /// The epoll set.
    pub epoll_fd: i32,
    /// The timer.
    pub timer_fd: i32,
    /// All network devices.
    pub net: &'a [NetDevice],
    /// All block devices.
    pub block: &'a [BlockDevice],
}

impl Resources<'_> {
    /// Everything in use, with the three standard descriptors.
    #[must_use]
    pub fn descriptors(&self) -> BTreeSet<i32> {
        let events = [self.epoll_fd, self.timer_fd];
        let net = self.net.iter().map(|device| device.fd);
        let block = self.block.iter().map(|device| device.fd);
        STANDARD
            .into_iter()
            .chain(events)
            .chain(net)
            .chain(block)
            .collect()
    }
}

/// Compiles the filter. A system call that it does not let through kills the process.
///
/// Arguments are compared as whole 64-bit registers.
///
/// # Errors
///
/// The program is longer than the kernel takes; 63 devices fit.
pub fn filter(resources: Resources<'_>) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::of_registers();
    // Frames first: rules are tried in order.
    for device in resources.net {
        for number in [spt::SYS_READ, spt::SYS_WRITE] {
            rules.allow(number, &[(0, Op::Eq, register(device.fd))])?;
        }
    }
    rules.allow(spt::SYS_WRITE, &[(0, Op::Eq, spt::CONSOLE_FD)])?;
    for device in resources.block {
        let sector_size = u64::from(device.sector_size);
        let last = device.capacity.saturating_sub(sector_size);
        for number in [spt::SYS_PREAD64, spt::SYS_PWRITE64] {
            let fd = (0, Op::Eq, register(device.fd));
            rules.allow(number, &[fd, (2, Op::Eq, sector_size), (3, Op::Le, last)])?;
        }
    }
    rules.allow(
        spt::SYS_EPOLL_PWAIT,
        &[(0, Op::Eq, register(resources.epoll_fd))],
    )?;
    rules.allow(
        spt::SYS_TIMERFD_SETTIME,
        &[(0, Op::Eq, register(resources.timer_fd))],
    )?;
    for clock in [spt::CLOCK_MONOTONIC, spt::CLOCK_REALTIME] {
        rules.allow(spt::SYS_CLOCK_GETTIME, &[(0, Op::Eq, clock)])?;
    }
    rules.allow(spt::SYS_ARCH_PRCTL, &[(0, Op::Eq, spt::ARCH_SET_FS)])?;
    rules.allow_always(spt::SYS_EXIT_GROUP);
    rules.compile()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_for_as_many_devices_as_a_manifest_can_have_fits_the_kernel() {
        let net: Vec<_> = (1..64)
            .map(|index| NetDevice {
                index,
                fd: 100,
                ..NetDevice::default()
            })
            .collect();
        let device = |fd| BlockDevice {
            index: 1,
            fd,
            sector_size: 512,
            capacity: 1 << 40,
            ..BlockDevice::default()
        };
        let block: Vec<_> = (100..163).map(device).collect();
        let resources = Resources {
            epoll_fd: 3,
            timer_fd: 4,
            net: &net,
            block: &[],
        };
        assert!(filter(resources).unwrap().len() <= 4096);
        let resources = Resources {
            net: &[],
            block: &block,
            ..resources
        };
        assert!(filter(resources).unwrap().len() <= 4096);
    }
}
