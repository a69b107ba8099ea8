//! Console, log messages, panics, and the end (solo5-abi sections 15.2 and 15.3).

use core::ffi::{c_char, c_int};
use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use solo5_abi::constants::EXIT_ABORT;

use crate::line::Line;
use crate::options::Level;
use crate::platform;

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// From now on shows messages up to `level`.
pub(crate) fn set_level(level: Level) {
    LEVEL.store(level as u8, Relaxed);
}

/// Writes a message, which brings its own newline, if `level` is shown.
pub(crate) fn log(level: Level, message: fmt::Arguments<'_>) {
    if level as u8 <= LEVEL.load(Relaxed) {
        write(Line::new(message).as_bytes());
    }
}

/// Writes a message that is shown at every level.
pub(crate) fn write(bytes: &[u8]) {
    // SAFETY: a slice can be read.
    unsafe { platform::write_console(bytes.as_ptr(), bytes.len()) }
}

/// `solo5_console_write`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_console_write(buf: *const c_char, size: usize) {
    // SAFETY: the caller vouches for `size` bytes.
    unsafe { platform::write_console(buf.cast(), size) }
}

/// `solo5_exit`: see `solo5.h`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn solo5_exit(status: c_int) -> ! {
    log(
        Level::Info,
        format_args!("Solo5: solo5_exit({status}) called\n"),
    );
    platform::exit(status)
}

/// `solo5_abort`: see `solo5.h`.
#[unsafe(no_mangle)]
extern "C" fn solo5_abort() -> ! {
    log(Level::Info, format_args!("Solo5: solo5_abort() called\n"));
    platform::exit(EXIT_ABORT)
}

/// Called by a function whose stack frame was overrun. Nothing on the stack can be trusted but
/// that there is one.
#[unsafe(no_mangle)]
extern "C" fn __stack_chk_fail() -> ! {
    write(b"Solo5: ABORT: Stack corruption detected\n");
    platform::abandon(EXIT_ABORT)
}

/// Panics are shown at every level.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info
        .location()
        .map_or(("?", 0), |at| (at.file(), at.line()));
    let text = format_args!("Solo5: ABORT: {file}:{line}: {}\n", info.message());
    write(Line::new(text).as_bytes());
    platform::abandon(EXIT_ABORT)
}
