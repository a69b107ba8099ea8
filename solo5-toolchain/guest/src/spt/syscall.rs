//! The system calls that a guest may make, with exactly the arguments that the tender's filter
//! lets through (solo5-abi sections 14.5 and 14.6). Anything else ends the process.

use core::arch::asm;
use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::slice;

use solo5_abi::spt::{
    ARCH_SET_FS, CONSOLE_FD, EINTR, EpollEvent, Itimerspec, SYS_ARCH_PRCTL, SYS_CLOCK_GETTIME,
    SYS_EPOLL_PWAIT, SYS_EXIT_GROUP, SYS_PREAD64, SYS_PWRITE64, SYS_READ, SYS_TIMERFD_SETTIME,
    SYS_WRITE, TFD_TIMER_ABSTIME, Timespec,
};

/// Calls the kernel. The result is negative for an error: minus its number.
///
/// # Safety
///
/// The call must not do anything that Rust does not expect, such as writing to memory that is
/// borrowed.
#[inline(always)]
unsafe fn syscall(number: u64, args: [u64; 6]) -> i64 {
    let result;
    // SAFETY: the kernel changes nothing but the registers named here and what the caller allows.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// The number in a register: sign extended to 64 bits, as the filter compares it.
const fn register(number: i32) -> u64 {
    (number as i64).cast_unsigned()
}

/// Ends the process.
pub(crate) fn exit_group(status: c_int) -> ! {
    loop {
        // SAFETY: touches no memory. It does not return; the loop is for the compiler.
        unsafe { syscall(SYS_EXIT_GROUP, [register(status), 0, 0, 0, 0, 0]) };
    }
}

/// Writes to the console: bytes written, or negative.
///
/// # Safety
///
/// As for a C function that reads `size` bytes at `buf`.
pub(super) unsafe fn write_console(buf: *const u8, size: usize) -> i64 {
    let buf = buf.expose_provenance() as u64;
    // SAFETY: the kernel only reads memory.
    unsafe { syscall(SYS_WRITE, [CONSOLE_FD, buf, size as u64, 0, 0, 0]) }
}

/// Writes to a network device: bytes written, or negative.
///
/// # Safety
///
/// As for a C function that reads `size` bytes at `buf`.
pub(super) unsafe fn write(fd: i32, buf: *const u8, size: usize) -> i64 {
    let buf = buf.expose_provenance() as u64;
    // SAFETY: the kernel only reads memory.
    unsafe { syscall(SYS_WRITE, [register(fd), buf, size as u64, 0, 0, 0]) }
}

/// Reads from a network device: bytes read, or negative.
///
/// # Safety
///
/// As for a C function that writes `size` bytes at `buf`.
pub(super) unsafe fn read(fd: i32, buf: *mut u8, size: usize) -> i64 {
    let buf = buf.expose_provenance() as u64;
    // SAFETY: the kernel writes where the caller allows.
    unsafe { syscall(SYS_READ, [register(fd), buf, size as u64, 0, 0, 0]) }
}

/// Writes to a block device at `offset`: bytes written, or negative.
///
/// # Safety
///
/// As for a C function that reads `size` bytes at `buf`.
pub(super) unsafe fn pwrite(fd: i32, buf: *const u8, size: usize, offset: u64) -> i64 {
    let buf = buf.expose_provenance() as u64;
    // SAFETY: the kernel only reads memory.
    unsafe { syscall(SYS_PWRITE64, [register(fd), buf, size as u64, offset, 0, 0]) }
}

/// Reads from a block device at `offset`: bytes read, or negative.
///
/// # Safety
///
/// As for a C function that writes `size` bytes at `buf`.
pub(super) unsafe fn pread(fd: i32, buf: *mut u8, size: usize, offset: u64) -> i64 {
    let buf = buf.expose_provenance() as u64;
    // SAFETY: the kernel writes where the caller allows.
    unsafe { syscall(SYS_PREAD64, [register(fd), buf, size as u64, offset, 0, 0]) }
}

/// Reads a clock, one of the two that a guest may read.
pub(super) fn clock_gettime(clock: u64) -> Timespec {
    let mut time = Timespec::default();
    let to = (&raw mut time).expose_provenance() as u64;
    // SAFETY: the kernel writes to `time`. It knows both clocks, so this cannot fail.
    unsafe { syscall(SYS_CLOCK_GETTIME, [clock, to, 0, 0, 0, 0]) };
    time
}

/// Sets a timer to an absolute time: zero, or negative.
pub(super) fn timerfd_settime(fd: i32, setting: &Itimerspec) -> i64 {
    let setting = (&raw const *setting).expose_provenance() as u64;
    let args = [register(fd), TFD_TIMER_ABSTIME, setting, 0, 0, 0];
    // SAFETY: the kernel only reads memory.
    unsafe { syscall(SYS_TIMERFD_SETTIME, args) }
}

/// Waits for events: without end, or not at all. Starts again when a signal interrupted it, which
/// being stopped and continued counts as. The events, or `None` if the kernel refuses.
pub(super) fn epoll_wait(
    fd: i32,
    events: &mut [MaybeUninit<EpollEvent>],
    wait: bool,
) -> Option<&[EpollEvent]> {
    let to = events.as_mut_ptr().expose_provenance() as u64;
    let timeout = register(if wait { -1 } else { 0 });
    let args = [register(fd), to, events.len() as u64, timeout, 0, 0];
    loop {
        // SAFETY: the kernel writes to `events`.
        let result = unsafe { syscall(SYS_EPOLL_PWAIT, args) };
        if result != EINTR {
            let written = events.get(..usize::try_from(result).ok()?)?;
            // SAFETY: the kernel wrote this many.
            return Some(unsafe { slice::from_raw_parts(written.as_ptr().cast(), written.len()) });
        }
    }
}

/// Sets the thread pointer: zero, or negative when `base` is not a canonical user address.
pub(super) fn set_fs(base: usize) -> i64 {
    // SAFETY: the bindings have no thread-local variables, so nothing of Rust's moves.
    unsafe { syscall(SYS_ARCH_PRCTL, [ARCH_SET_FS, base as u64, 0, 0, 0, 0]) }
}
