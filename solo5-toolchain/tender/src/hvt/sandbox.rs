//! The box around the tender itself: which system calls it may make once the guest runs (solo5-abi
//! section 13.1).

use kvm_bindings::{kvm_regs, kvm_sregs};
use seccompiler::{BackendError, BpfProgram, SeccompCmpOp as Op};

use crate::filter::{Rules, register};
use crate::hvt::core_dump::OPEN_FLAGS;

/// What the filter is made for.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The processor.
    pub vcpu: i32,
    /// Network devices.
    pub net: Vec<i32>,
    /// Block devices.
    pub block: Vec<i32>,
    /// Doorbells of the network ring.
    pub doorbells: Vec<i32>,
    /// The directory of core files, if one may be written.
    pub core: Option<i32>,
}

/// Requests to KVM that are made while a guest runs.
const REQUESTS: [u64; 5] = {
    /// The kernel's `_IOC`, for KVM.
    const fn request(direction: u64, number: u64, size: usize) -> u64 {
        direction << 30 | (size as u64) << 16 | 0xae << 8 | number
    }
    const WRITE: u64 = 1;
    const READ: u64 = 2;
    [
        request(0, 0x80, 0),                          // KVM_RUN
        request(READ, 0x81, size_of::<kvm_regs>()),   // KVM_GET_REGS
        request(WRITE, 0x82, size_of::<kvm_regs>()),  // KVM_SET_REGS
        request(READ, 0x83, size_of::<kvm_sregs>()),  // KVM_GET_SREGS
        request(WRITE, 0x84, size_of::<kvm_sregs>()), // KVM_SET_SREGS
    ]
};

/// A system call's number as the filter wants it.
fn number(number: libc::c_long) -> u64 {
    number.cast_unsigned()
}

/// Compiles the filter. A system call that it does not let through kills the process.
///
/// # Errors
///
/// The program is longer than the kernel takes; 63 devices fit.
pub fn filter(resources: &Resources) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::of_words();
    let vcpu = register(resources.vcpu);
    for request in REQUESTS {
        rules.allow(
            number(libc::SYS_ioctl),
            &[(0, Op::Eq, vcpu), (1, Op::Eq, request)],
        )?;
    }
    let both = resources.net.iter().chain(&resources.doorbells);
    for &fd in both {
        for call in [libc::SYS_read, libc::SYS_write] {
            rules.allow(number(call), &[(0, Op::Eq, register(fd))])?;
        }
    }
    for fd in [1, 2] {
        rules.allow(number(libc::SYS_write), &[(0, Op::Eq, fd)])?;
    }
    for &fd in &resources.block {
        for call in [libc::SYS_pread64, libc::SYS_pwrite64] {
            rules.allow(number(call), &[(0, Op::Eq, register(fd))])?;
        }
    }
    let executable = u64::from(libc::PROT_EXEC.cast_unsigned());
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let not_executable = (2, Op::MaskedEq(executable), 0);
        if call == libc::SYS_mmap {
            // Memory only, no files.
            let anonymous = u64::from(libc::MAP_ANONYMOUS.cast_unsigned());
            let anonymous = (3, Op::MaskedEq(anonymous), anonymous);
            rules.allow(number(call), &[not_executable, anonymous])?;
        } else {
            rules.allow(number(call), &[not_executable])?;
        }
    }
    // A debug build of the standard library looks at a descriptor before it closes it.
    let look = u64::from(libc::F_GETFD.cast_unsigned());
    rules.allow(number(libc::SYS_fcntl), &[(1, Op::Eq, look)])?;
    for call in [
        // Waiting, clocks.
        libc::SYS_ppoll,
        libc::SYS_clock_gettime,
        // Memory, and the end of a thread.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_madvise,
        libc::SYS_close,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ] {
        rules.allow_always(number(call));
    }
    if let Some(directory) = resources.core {
        rules.allow(
            number(libc::SYS_openat),
            &[
                (0, Op::Eq, register(directory)),
                (2, Op::Eq, register(OPEN_FLAGS)),
            ],
        )?;
        // The descriptor of a core file is not known yet.
        for call in [libc::SYS_mincore, libc::SYS_ftruncate, libc::SYS_pwrite64] {
            rules.allow_always(number(call));
        }
    }
    rules.compile()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_for_as_many_devices_as_a_manifest_can_have_fits_the_kernel() {
        for core in [None, Some(5)] {
            let net = Resources {
                net: (100..163).collect(),
                doorbells: vec![7, 8],
                core,
                ..Resources::default()
            };
            assert!(filter(&net).unwrap().len() <= 4096);
            let block = Resources {
                block: (100..163).collect(),
                core,
                ..Resources::default()
            };
            assert!(filter(&block).unwrap().len() <= 4096);
        }
    }

    #[test]
    fn requests_have_the_numbers_of_the_kernel() {
        let want = [0xae80, 0x8090_ae81, 0x4090_ae82, 0x8138_ae83, 0x4138_ae84];
        assert_eq!(REQUESTS, want);
    }
}
