//! System calls and kernel structures of the spt target on x86_64 Linux.
//!
//! These are all the system calls that a guest may make; anything else, or one of these with
//! arguments that the tender's filter does not expect, ends the process with `SIGSYS`. The filter
//! compares whole registers: pass every argument sign- or zero-extended to 64 bits.

use core::mem::{offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `read(fd, buf, len)`: one frame from a network device.
pub const SYS_READ: u64 = 0;
/// `write(fd, buf, len)`: to the console (descriptor 1), or one frame to a network device.
pub const SYS_WRITE: u64 = 1;
/// `pread64(fd, buf, len, offset)`: exactly one sector of a block device.
pub const SYS_PREAD64: u64 = 17;
/// `pwrite64(fd, buf, len, offset)`: exactly one sector of a block device.
pub const SYS_PWRITE64: u64 = 18;
/// `arch_prctl(ARCH_SET_FS, base)`: sets the thread pointer.
pub const SYS_ARCH_PRCTL: u64 = 158;
/// `clock_gettime(clock, timespec)` for [`CLOCK_REALTIME`] and [`CLOCK_MONOTONIC`].
pub const SYS_CLOCK_GETTIME: u64 = 228;
/// `exit_group(status)`.
pub const SYS_EXIT_GROUP: u64 = 231;
/// `epoll_pwait(epoll_fd, events, max, timeout, NULL, 0)`.
pub const SYS_EPOLL_PWAIT: u64 = 281;
/// `timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, new, NULL)`.
pub const SYS_TIMERFD_SETTIME: u64 = 286;

/// First argument of `arch_prctl`; the only one that the filter lets through.
pub const ARCH_SET_FS: u64 = 0x1002;

/// UTC since 1970.
pub const CLOCK_REALTIME: u64 = 0;
/// Time since an unspecified origin; never goes back.
pub const CLOCK_MONOTONIC: u64 = 1;

/// Flag of `timerfd_settime`: the time is absolute.
pub const TFD_TIMER_ABSTIME: u64 = 1;

/// The descriptor that guests write console output to.
pub const CONSOLE_FD: u64 = 1;

/// Event bit: input is waiting.
pub const EPOLLIN: u32 = 1;

/// Datum of the timer's events. Those of a network device carry its manifest index.
pub const TIMER_DATUM: u64 = 0xffff_fffe;

/// Error of a call that a signal interrupted, as the kernel returns it.
pub const EINTR: i64 = -4;
/// Error of a read for which nothing is queued, as the kernel returns it.
pub const EAGAIN: i64 = -11;

/// The kernel's `struct epoll_event`, which is packed on x86_64.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C, packed)]
pub struct EpollEvent {
    /// What happened: [`EPOLLIN`] and other bits.
    pub events: u32,
    /// What the descriptor was registered with: a manifest index or [`TIMER_DATUM`].
    pub data: u64,
}

/// The kernel's `struct timespec`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Timespec {
    /// Whole seconds.
    pub tv_sec: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub tv_nsec: i64,
}

/// The kernel's `struct itimerspec`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Itimerspec {
    /// Period of a repeating timer; zero for a timer that fires once.
    pub it_interval: Timespec,
    /// When the timer fires first; zero disarms it.
    pub it_value: Timespec,
}

const _: () = {
    assert!(size_of::<EpollEvent>() == 12);
    assert!(offset_of!(EpollEvent, data) == 4);
    assert!(size_of::<Timespec>() == 16);
    assert!(size_of::<Itimerspec>() == 32);
    assert!(offset_of!(Itimerspec, it_value) == 16);
};
