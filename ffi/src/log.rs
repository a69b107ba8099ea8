//! The log of a stack, for C.
//!
//! The names are C's, as the header has them.
#![allow(non_camel_case_types)]

use alloc::boxed::Box;
use core::ffi::{CStr, c_char, c_int, c_void};

use mnet::log::{Level, LogEvent, Module};

use crate::error::{Error, length, status, value};
use crate::pointer;
use crate::registry;
use crate::types::mnet_stack;

/// A level of the log: something does not work, and somebody has to do something about it.
pub const MNET_LOG_ERROR: u32 = 1;
/// Something is wrong that the stack copes with: somebody else has our address, a gateway is gone.
pub const MNET_LOG_WARN: u32 = 2;
/// What an operator may want to know: addresses, leases and routes come and go, connections fail.
pub const MNET_LOG_INFO: u32 = 3;
/// What helps to find a fault: each connection, each reason for which packets are dropped.
pub const MNET_LOG_DEBUG: u32 = 4;

/// Something that happened in a stack; for the time of the call that gets it. mnet_log_text() makes
/// text of it.
pub struct mnet_log_event(LogEvent);

/// Takes what a stack has to tell.
///
/// - context: as given to mnet_log_set().
/// - level: MNET_LOG_ERROR, MNET_LOG_WARN, MNET_LOG_INFO or MNET_LOG_DEBUG.
/// - module: the part of the stack, as in filters: "tcp"; a static text.
/// - event: what happened; for the call only.
///
/// It is called while the stack waits, polls or steps, by the thread that does so, and must not call
/// functions on the same stack: they answer MNET_EBUSY. mnet_log_text() is not one of them.
pub type mnet_log_function = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        level: u32,
        module: *const c_char,
        event: *const mnet_log_event,
    ),
>;

/// Begins a log on a stack, as mnet_log_console() does: mnet_args.log.
pub type mnet_log_start =
    Option<unsafe extern "C" fn(stack: mnet_stack, filter: *const c_char) -> c_int>;

/// What a log takes of the arena, generously.
const MEMORY: usize = 40 << 10;

/// Bytes of the longest text of an event, its NUL included.
pub const MNET_LOG_TEXT_SIZE: usize = 201;

const fn level_of(level: Level) -> u32 {
    match level {
        Level::Error => MNET_LOG_ERROR,
        Level::Warn => MNET_LOG_WARN,
        Level::Info => MNET_LOG_INFO,
        Level::Debug => MNET_LOG_DEBUG,
    }
}

const fn name_of(module: Module) -> &'static CStr {
    match module {
        Module::Link => c"link",
        Module::Neighbour => c"neighbour",
        Module::Ip => c"ip",
        Module::Icmp => c"icmp",
        Module::Group => c"group",
        Module::Dhcp => c"dhcp",
        Module::Udp => c"udp",
        Module::Tcp => c"tcp",
    }
}

/// Begins to tell a function what the stack has to tell a person: connections that open and end, and
/// why; addresses, leases, routes and neighbours; conflicts; paths that carry less; and what was
/// dropped, by its reason. Warnings and errors, until mnet_log_filter() says otherwise.
///
/// The function takes the place of one that was there. Nobody on the network can make it be called
/// more often than 64 times at once and 16 times in a second: what was dropped comes once a second for
/// each reason, with its number, and connections that come faster are counted. Takes some 26 KiB of
/// the arena while it lasts.
///
/// - function: see mnet_log_function; NULL ends the log.
/// - context: passed to it.
///
/// Returns 0, or MNET_ENOMEM (the arena has no 40 KiB left), MNET_EBADF, MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_log_set(
    stack: mnet_stack,
    function: mnet_log_function,
    context: *mut c_void,
) -> c_int {
    let set = || {
        let Some(function) = function else {
            return registry::with_stack(stack, |opened| {
                opened.runtime.end_log();
                Ok(())
            });
        };
        // First, so that there is room for the new one where there was for the old.
        let filter = registry::with_stack(stack, |opened| {
            let filter = opened.runtime.log_filter().copied();
            opened.runtime.end_log();
            Ok(filter)
        })?;
        registry::with_arena(stack, MEMORY, |opened| {
            let sink = move |event: &LogEvent| {
                let (level, module) = (level_of(event.level), name_of(event.module));
                let event = mnet_log_event(*event);
                // SAFETY: a function of the caller's, with the context that belongs to it.
                unsafe { function(context, level, module.as_ptr(), &raw const event) };
            };
            let filter = filter.unwrap_or_default();
            opened.runtime.set_log(filter, Box::new(sink));
            Ok(())
        })
    };
    status(set())
}

/// Says what the log of a stack tells.
///
/// - filter: "tcp=debug,*=warn": parts of the stack with a level each; * is all that are not named, and
///   what is neither named nor covered by * stays as it is. The parts are link, neighbour, ip, icmp,
///   group, dhcp, udp and tcp; the levels error, warn, info, debug, and off. A level alone is that of
///   *, and a part alone has the level debug.
///
/// Returns 0, or
///   MNET_EINVAL   not a filter, or NULL; or the stack has no log: mnet_log_set() first
///   MNET_EMSGSIZE the text is longer than 65536 bytes
///   MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_log_filter(stack: mnet_stack, filter: *const c_char) -> c_int {
    let set = || {
        // SAFETY: as the header says: NULL, or a string.
        let text = unsafe { pointer::text(filter) }?;
        registry::with_stack(stack, |opened| {
            let old = opened.runtime.log_filter().ok_or(Error::INVALID)?;
            let new = old.changed(text).map_err(|_| Error::INVALID)?;
            opened
                .runtime
                .set_log_filter(new)
                .map_err(|_| Error::INVALID)
        })
    };
    status(set())
}

/// The text of an event, without its level, its part of the stack and a newline:
/// "10.0.0.2:7 with 10.0.0.1:4000 ended: reset by peer".
///
/// - event: what a mnet_log_function got.
/// - buf, size: receives the text and a NUL. MNET_LOG_TEXT_SIZE bytes are enough; what does not fit is
///   left out.
///
/// Returns the length of the text in buf, or MNET_EINVAL (NULL, or size 0). Does not block, and may be
/// called from a mnet_log_function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_log_text(
    event: *const mnet_log_event,
    buf: *mut c_char,
    size: usize,
) -> i64 {
    let text = || {
        // SAFETY: as the header says: NULL, or an event of ours, which is there for the call.
        let event = unsafe { event.as_ref() }.ok_or(Error::INVALID)?;
        // SAFETY: as the header says: NULL, or `size` bytes that may be written.
        let buffer = unsafe { pointer::output(buf.cast(), size) }?;
        let (end, text) = buffer.split_last_mut().ok_or(Error::INVALID)?;
        let len = event.0.render(text);
        match text.get_mut(len) {
            Some(after) => *after = 0,
            None => *end = 0,
        }
        Ok(length(len))
    };
    value(text())
}

/// Begins a log on the console, a line for each event: "info tcp: ...". For programs that have nothing
/// else to do with it; mnet_args.log connects it with the command line.
///
/// - filter: as for mnet_log_filter(); NULL: warnings and errors.
///
/// Returns what mnet_log_set() and mnet_log_filter() return. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_log_console(stack: mnet_stack, filter: *const c_char) -> c_int {
    // SAFETY: a function of ours, which uses no context.
    let set = unsafe { mnet_log_set(stack, Some(write_line), core::ptr::null_mut()) };
    if set < 0 || filter.is_null() {
        return set;
    }
    // SAFETY: a string of the caller's.
    let filtered = unsafe { mnet_log_filter(stack, filter) };
    if filtered < 0 {
        // SAFETY: no function.
        unsafe { mnet_log_set(stack, None, core::ptr::null_mut()) };
    }
    filtered
}

unsafe extern "C" fn write_line(
    _: *mut c_void,
    _: u32,
    _: *const c_char,
    event: *const mnet_log_event,
) {
    // SAFETY: an event of ours, which is there for the call.
    let Some(mnet_log_event(event)) = (unsafe { event.as_ref() }) else {
        return;
    };
    mnet::solo5::log_to_console(event);
}
