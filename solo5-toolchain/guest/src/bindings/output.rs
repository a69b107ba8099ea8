//! Console, log messages, panics, and the end (solo5-abi sections 15.2 and 15.3).

use core::ffi::{c_char, c_int};
use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use solo5_abi::constants::EXIT_ABORT;
use solo5_abi::spt::EINTR;

use super::syscall;
use crate::line::Line;
use crate::options::Level;

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// From now on shows messages up to `level`.
pub(super) fn set_level(level: Level) {
    LEVEL.store(level as u8, Relaxed);
}

/// Writes a message, which brings its own newline, if `level` is shown.
pub(super) fn log(level: Level, message: fmt::Arguments<'_>) {
    if level as u8 <= LEVEL.load(Relaxed) {
        write(Line::new(message).as_bytes());
    }
}

fn write(bytes: &[u8]) {
    // SAFETY: a slice can be read.
    unsafe { solo5_console_write(bytes.as_ptr().cast(), bytes.len()) }
}

/// `solo5_console_write`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_console_write(buf: *const c_char, size: usize) {
    let mut buf = buf.cast::<u8>();
    let mut left = size;
    while left > 0 {
        // SAFETY: the caller vouches for `size` bytes; `left` of them are left at `buf`.
        match unsafe { syscall::write_console(buf, left) } {
            EINTR => {}
            written => match usize::try_from(written) {
                // A pipe may take less than all.
                Ok(written) if (1..=left).contains(&written) => {
                    buf = buf.wrapping_add(written);
                    left -= written;
                }
                // The rest is lost, as documented.
                _ => return,
            },
        }
    }
}

/// `solo5_exit`: see `solo5.h`.
#[unsafe(no_mangle)]
pub(super) extern "C" fn solo5_exit(status: c_int) -> ! {
    log(
        Level::Info,
        format_args!("Solo5: solo5_exit({status}) called\n"),
    );
    syscall::exit_group(status)
}

/// `solo5_abort`: see `solo5.h`.
#[unsafe(no_mangle)]
extern "C" fn solo5_abort() -> ! {
    log(Level::Info, format_args!("Solo5: solo5_abort() called\n"));
    syscall::exit_group(EXIT_ABORT)
}

/// Called by a function whose stack frame was overrun. Nothing on the stack can be trusted but
/// that there is one.
#[unsafe(no_mangle)]
extern "C" fn __stack_chk_fail() -> ! {
    write(b"Solo5: ABORT: Stack corruption detected\n");
    syscall::exit_group(EXIT_ABORT)
}

/// Panics are shown at every level.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info
        .location()
        .map_or(("?", 0), |at| (at.file(), at.line()));
    let text = format_args!("Solo5: ABORT: {file}:{line}: {}\n", info.message());
    write(Line::new(text).as_bytes());
    syscall::exit_group(EXIT_ABORT)
}
