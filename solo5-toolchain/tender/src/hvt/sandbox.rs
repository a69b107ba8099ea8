//! The box around the tender itself: which descriptors it keeps, which system calls it may make once
//! the guest runs (solo5-abi section 13.1), and where it may create files.
//!
//! A filter of system calls sees descriptors but not paths. So where a core file may be written,
//! Landlock keeps the tender in the directory for it, if the kernel has Landlock.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use kvm_bindings::{kvm_regs, kvm_sregs};
use landlock::{
    ABI, Access, AccessFs, PathBeneath, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError,
};
use seccompiler::{BackendError, BpfProgram, SeccompCmpOp as Op};

use crate::descriptors::STANDARD;
use crate::filter::{Rules, register};
use crate::hvt::core_dump::OPEN_FLAGS;

/// What the filter is made for.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The machine.
    pub vm: i32,
    /// The processor.
    pub vcpu: i32,
    /// Network devices.
    pub net: Vec<i32>,
    /// Block devices.
    pub block: Vec<i32>,
    /// Doorbells of the network ring.
    pub doorbells: Vec<i32>,
    /// Files that frames are recorded in.
    pub captures: Vec<i32>,
    /// The tender prints at the end what it used.
    pub stats: bool,
    /// The directory of core files, if one may be written.
    pub core: Option<i32>,
    /// Descriptors that others than the tender proper need.
    pub others: Vec<i32>,
}

impl Resources {
    /// Everything in use, with the three standard descriptors.
    #[must_use]
    pub fn descriptors(&self) -> BTreeSet<i32> {
        let single = STANDARD.into_iter().chain([self.vm, self.vcpu]);
        let many = self.net.iter().chain(&self.block).chain(&self.doorbells);
        let many = many.chain(&self.captures).chain(&self.others);
        many.chain(&self.core).copied().chain(single).collect()
    }
}

/// Takes all rights to files from this thread, and from those that it starts later, but for creating
/// files in `directory` and writing to them. Files that are open stay so. How much of that the kernel
/// does is in the result: old kernels do nothing.
///
/// # Errors
///
/// The kernel could, but does not.
pub fn confine_files(directory: impl AsFd) -> Result<RestrictionStatus, RulesetError> {
    let rights = AccessFs::MakeReg | AccessFs::WriteFile | AccessFs::Truncate;
    Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .create()?
        .add_rule(PathBeneath::new(directory, rights))?
        .restrict_self()
}

/// Descriptors that a core file can get: the lowest that is free, or that of a doorbell, which is
/// closed before.
fn core_files(resources: &Resources) -> Vec<u64> {
    let used = resources.descriptors();
    let free = (0..).find(|fd| !used.contains(fd));
    let files = resources.doorbells.iter().copied().chain(free);
    files.map(register).collect()
}

/// The kernel's `_IOC`, for KVM.
#[must_use]
pub const fn request(direction: u64, number: u64, size: usize) -> u64 {
    direction << 30 | (size as u64) << 16 | 0xae << 8 | number
}

/// Requests to KVM that are made while a guest runs.
const REQUESTS: [u64; 5] = {
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

/// Compiles the filter, with what `more` lets through. A system call that it does not let through kills the process. There must be
/// no other descriptors: see [`crate::descriptors::close_others`].
///
/// # Errors
///
/// The program is longer than the kernel takes; 63 devices fit.
pub fn filter(
    resources: &Resources,
    more: impl FnOnce(&mut Rules) -> Result<(), BackendError>,
) -> Result<BpfProgram, BackendError> {
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
    for &fd in &resources.captures {
        // The second cuts off what is left of a block when a disk is full.
        for call in [libc::SYS_write, libc::SYS_ftruncate] {
            rules.allow(number(call), &[(0, Op::Eq, register(fd))])?;
        }
    }
    if resources.stats {
        let this = register(libc::RUSAGE_SELF);
        rules.allow(number(libc::SYS_getrusage), &[(0, Op::Eq, this)])?;
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
    // Threads wait for one another, with the clock and the sharing that they like.
    let operation = !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    for wanted in [
        libc::FUTEX_WAIT,
        libc::FUTEX_WAKE,
        libc::FUTEX_WAIT_BITSET,
        libc::FUTEX_WAKE_BITSET,
    ] {
        let operation = Op::MaskedEq(register(operation));
        let condition = (1, operation, register(wanted));
        rules.allow(number(libc::SYS_futex), &[condition])?;
    }
    // Memory that an allocator or a thread that ends gives back.
    let give_back = (2, Op::Eq, register(libc::MADV_DONTNEED));
    rules.allow(number(libc::SYS_madvise), &[give_back])?;
    for call in [
        // Waiting, clocks.
        libc::SYS_ppoll,
        libc::SYS_clock_gettime,
        // Memory, and the end of a thread.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_close,
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
        rules.allow_always(number(libc::SYS_mincore));
        for file in core_files(resources) {
            for call in [libc::SYS_ftruncate, libc::SYS_pwrite64] {
                rules.allow(number(call), &[(0, Op::Eq, file)])?;
            }
        }
    }
    more(&mut rules)?;
    rules.compile()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_filter_for_as_many_devices_as_a_manifest_can_have_fits_the_kernel() {
        for core in [None, Some(5)] {
            let net = Resources {
                net: (100..163).collect(),
                doorbells: vec![7, 8],
                captures: (200..263).collect(),
                stats: true,
                core,
                ..Resources::default()
            };
            assert!(filter(&net, |_| Ok(())).unwrap().len() <= 4096);
            let block = Resources {
                block: (100..163).collect(),
                core,
                ..Resources::default()
            };
            assert!(filter(&block, |_| Ok(())).unwrap().len() <= 4096);
        }
    }

    #[test]
    fn requests_have_the_numbers_of_the_kernel() {
        let want = [0xae80, 0x8090_ae81, 0x4090_ae82, 0x8138_ae83, 0x4138_ae84];
        assert_eq!(REQUESTS, want);
    }

    #[test]
    fn a_core_file_gets_one_of_few_descriptors() {
        let mut resources = Resources {
            vm: 3,
            vcpu: 4,
            net: vec![6],
            core: Some(5),
            ..Resources::default()
        };
        assert_eq!(core_files(&resources), [7]);
        resources.doorbells = vec![7, 8];
        assert_eq!(core_files(&resources), [7, 8, 9]);
    }

    #[test]
    fn files_are_created_in_the_directory_and_nowhere_else() {
        use std::fs::{File, OpenOptions, create_dir_all, remove_dir_all};
        let root = std::env::temp_dir().join(format!("sandbox-test-{}", std::process::id()));
        let inside = root.join("inside");
        create_dir_all(&inside).unwrap();
        let place = root.clone();
        // Of one thread only, so that other tests are not confined.
        let confined = std::thread::spawn(move || {
            let status = confine_files(File::open(&inside).unwrap()).unwrap();
            if status.ruleset != landlock::RulesetStatus::FullyEnforced {
                println!("skipped: Landlock is {:?}", status.ruleset);
                return;
            }
            let create = |path| OpenOptions::new().write(true).create_new(true).open(path);
            let file = create(inside.join("core")).unwrap();
            file.set_len(4096).unwrap();
            for path in [place.join("outside"), inside.join("../outside")] {
                let error = create(path).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            }
            let error = File::open(inside.join("core")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        });
        confined.join().unwrap();
        remove_dir_all(root).unwrap();
    }
}
