//! Signals, and the end of the process from anywhere.

use std::io;
use std::sync::OnceLock;

use super::Report;

/// The messages of SIGINT and SIGTERM, ready to be written.
static MESSAGES: OnceLock<[String; 2]> = OnceLock::new();

/// What is printed at the end of the process, if that was asked for.
static REPORT: OnceLock<Report> = OnceLock::new();

/// From now on [`end`] prints this report.
pub(super) fn report_at_end(report: Report) {
    REPORT.get_or_init(|| report);
}

/// Writes to standard error and ends the process, all its threads, at once. Nothing else is done that
/// takes locks or memory: this can be called by a handler of signals.
pub(super) fn end(message: &str) -> ! {
    // SAFETY: a string can be read.
    unsafe { libc::write(2, message.as_ptr().cast(), message.len()) };
    if let Some(report) = REPORT.get() {
        report.print();
    }
    // SAFETY: ending the process needs nothing.
    unsafe { libc::_exit(1) }
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
