//! Turns this process into the guest: event sources, filter, first instruction (solo5-abi sections
//! 14.2 to 14.6).

use std::arch::asm;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use seccompiler::{BpfProgram, apply_filter};
use solo5_abi::constants::SPT_BOOT_INFO;
use solo5_abi::spt::TIMER_DATUM;

use crate::devices::NetDevice;

/// What a guest waits on.
#[derive(Debug)]
pub struct Events {
    epoll: Epoll,
    timer: TimerFd,
}

impl Events {
    /// An epoll set with a disarmed timer in it.
    ///
    /// # Errors
    ///
    /// Whatever the host says.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER_DATUM))?;
        Ok(Self { epoll, timer })
    }

    /// Lets the input of a network device wake the guest.
    ///
    /// # Errors
    ///
    /// `EPERM` if the descriptor is of a kind that one cannot wait for, and whatever else the host
    /// says.
    pub fn add(&self, device: &NetDevice) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, device.index as u64);
        // SAFETY: descriptors of devices stay open as long as the process lives.
        let fd = unsafe { BorrowedFd::borrow_raw(device.fd) };
        Ok(self.epoll.add(fd, event)?)
    }

    /// Descriptor of the epoll set.
    #[must_use]
    pub fn epoll_fd(&self) -> i32 {
        self.epoll.0.as_raw_fd()
    }

    /// Descriptor of the timer.
    #[must_use]
    pub fn timer_fd(&self) -> i32 {
        self.timer.as_fd().as_raw_fd()
    }
}

/// Shuts the box and runs the guest in it, from `entry` on with its stack at the end of guest
/// memory. There is no way back: the guest ends the process.
///
/// # Errors
///
/// The kernel refuses the filter.
///
/// # Safety
///
/// Guest memory is mapped up to `mem_size` and writable at its end; an image with this entry point
/// is loaded; boot information is in place. Nothing in this process has threads.
pub unsafe fn enter(filter: &BpfProgram, entry: u64, mem_size: u64) -> seccompiler::Error {
    if let Err(error) = apply_filter(filter) {
        return error;
    }
    // SAFETY: the caller vouches for the addresses. From here on only the guest's instructions run.
    // Its stack looks as after a call: a return address, zero, was pushed to an aligned stack.
    // The other registers are cleared to start every run of a guest alike.
    unsafe {
        asm!(
            "mov rsp, rcx",
            "xor ebx, ebx",
            "xor ecx, ecx",
            "xor edx, edx",
            "xor esi, esi",
            "xor ebp, ebp",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "xor r10d, r10d",
            "xor r11d, r11d",
            "xor r12d, r12d",
            "xor r13d, r13d",
            "xor r14d, r14d",
            "xor r15d, r15d",
            "jmp rax",
            in("rax") entry,
            in("rcx") mem_size - 8,
            in("rdi") SPT_BOOT_INFO,
            options(noreturn)
        )
    }
}
