//! Signals, and the end of the process from anywhere.

use std::io;
use std::sync::OnceLock;

/// The messages of SIGINT and SIGTERM, ready to be written.
static MESSAGES: OnceLock<[String; 2]> = OnceLock::new();

/// Writes to standard error and ends the process, all its threads, at once. Nothing else is done:
/// this can be called by a handler of signals.
pub(super) fn end(message: &str) -> ! {
    // SAFETY: a string can be read; ending the process needs nothing.
    unsafe {
        libc::write(2, message.as_ptr().cast(), message.len());
        libc::_exit(1)
    }
}

extern "C" fn handler(signal: libc::c_int) {
    // Set before the handler is.
    let Some([interrupt, terminate]) = MESSAGES.get() else {
        end("");
    };
    end(if signal == libc::SIGINT {
        interrupt
    } else {
        terminate
    })
}

/// From now on SIGINT and SIGTERM end the process with a message and status 1.
pub(super) fn handle(program: &str) -> io::Result<()> {
    let message = |signal| format!("{program}: Exiting on signal {signal}\n");
    MESSAGES.get_or_init(|| [message(libc::SIGINT), message(libc::SIGTERM)]);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: all fields of `sigaction` may be zero.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        // SAFETY: the set and the action are ours; the handler does only what handlers may.
        let result = unsafe {
            libc::sigfillset(&raw mut action.sa_mask);
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
