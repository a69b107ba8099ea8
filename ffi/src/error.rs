//! The error codes: constants for C, their names and texts, and how the errors of the stack map
//! to them.

use core::ffi::{CStr, c_char, c_int};

use mnet::StartError;
use mnet::mnet_core::error::{
    AcceptError, BadHandle, BindError, ConfigError, ConnectError, GroupError, ListenError,
    RecvError, RecvFromError, SendError, SendToError, SettingError,
};

/// An argument is wrong: NULL where it must not be, a size or a number out of range, text that
/// does not parse. Nothing was changed.
pub const MNET_EINVAL: c_int = -1;
/// The handle is stale, was never given out, or names another kind of socket. Nothing was
/// changed.
pub const MNET_EBADF: c_int = -2;
/// The call would have to wait, and the socket is non-blocking. mnet_poll() or mnet_events() tell
/// when to try again.
pub const MNET_EAGAIN: c_int = -3;
/// The arena does not hold the smallest workable stack with the limits asked for, or it has no room left
/// for what a call makes.
pub const MNET_ENOMEM: c_int = -4;
/// A limit of the configuration is reached: stacks, interfaces, listeners, connections or sockets.
pub const MNET_ELIMIT: c_int = -5;
/// Another socket has this address and port, or no ephemeral port is free.
pub const MNET_EADDRINUSE: c_int = -6;
/// The address is not one of the stack's own, or not one that a host can have.
pub const MNET_EADDRNOTAVAIL: c_int = -7;
/// The peer refused the connection, or has no socket where a datagram was sent to.
pub const MNET_ECONNREFUSED: c_int = -8;
/// The peer reset the connection. What was not delivered is lost.
pub const MNET_ECONNRESET: c_int = -9;
/// The peer stopped answering.
pub const MNET_ETIMEDOUT: c_int = -10;
/// The network says that the host cannot be reached.
pub const MNET_EHOSTUNREACH: c_int = -11;
/// No route leads to the address.
pub const MNET_ENETUNREACH: c_int = -12;
/// This side of the connection was shut down: nothing more can be written.
pub const MNET_EPIPE: c_int = -13;
/// It does not fit: a datagram into the MTU of the path, or text into a buffer.
pub const MNET_EMSGSIZE: c_int = -14;
/// The manifest has no network device of this name.
pub const MNET_ENODEV: c_int = -15;
/// In use: the device or part of the arena by another stack, or the stack by a call that has not
/// returned.
pub const MNET_EBUSY: c_int = -16;
/// The processor has no random source that can be trusted (RDSEED, RDRAND), and no seed was given.
pub const MNET_ENTROPY: c_int = -17;
/// The address family is not supported.
pub const MNET_EAFNOSUPPORT: c_int = -18;
/// The gateway is not on the network of the address.
pub const MNET_EGATEWAY: c_int = -19;
/// The address of the connection is not ours any more: it was removed, its lease or lifetime is over,
/// or somebody else has it.
pub const MNET_EADDRGONE: c_int = -20;

/// The socket is not set to send broadcasts: MNET_UDP_BROADCAST of mnet_udp_set().
pub const MNET_EACCES: c_int = -21;
/// The socket is connected to another peer.
pub const MNET_EISCONN: c_int = -22;
/// The socket is not connected, and no address was given.
pub const MNET_ENOTCONN: c_int = -23;
/// A datagram ran out of hops on its way, or of the time to be put together.
pub const MNET_EHOPLIMIT: c_int = -24;
/// The calling fiber was asked to end: mnet_cancel().
pub const MNET_ECANCELED: c_int = -25;
/// Nothing could ever end the wait.
pub const MNET_EDEADLK: c_int = -26;

/// One row of the table below.
struct Entry {
    code: c_int,
    name: &'static CStr,
    text: &'static CStr,
}

/// The name of a constant as a C string.
macro_rules! entry {
    ($code:ident, $text:literal) => {
        Entry {
            code: $code,
            name: match CStr::from_bytes_with_nul(concat!(stringify!($code), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            },
            text: $text,
        }
    };
}

/// Every code with its name and its text, in the order of the numbers.
static TABLE: [Entry; 26] = [
    entry!(MNET_EINVAL, c"invalid argument"),
    entry!(MNET_EBADF, c"stale or foreign handle"),
    entry!(MNET_EAGAIN, c"nothing to do now, try again later"),
    entry!(
        MNET_ENOMEM,
        c"the arena, or its part for fibers, is too small"
    ),
    entry!(MNET_ELIMIT, c"a configured limit is reached"),
    entry!(MNET_EADDRINUSE, c"address in use"),
    entry!(
        MNET_EADDRNOTAVAIL,
        c"not an address of this host, or of any"
    ),
    entry!(MNET_ECONNREFUSED, c"connection refused"),
    entry!(MNET_ECONNRESET, c"connection reset by peer"),
    entry!(MNET_ETIMEDOUT, c"connection timed out"),
    entry!(MNET_EHOSTUNREACH, c"host unreachable"),
    entry!(MNET_ENETUNREACH, c"no route to host"),
    entry!(MNET_EPIPE, c"this side of the connection was shut down"),
    entry!(MNET_EMSGSIZE, c"too long"),
    entry!(MNET_ENODEV, c"no such network device in the manifest"),
    entry!(MNET_EBUSY, c"in use"),
    entry!(
        MNET_ENTROPY,
        c"no hardware source of randomness (RDSEED or RDRAND), and no seed was given"
    ),
    entry!(MNET_EAFNOSUPPORT, c"address family not supported"),
    entry!(
        MNET_EGATEWAY,
        c"the gateway is not on a directly connected network"
    ),
    entry!(
        MNET_EADDRGONE,
        c"the address of the connection is not ours any more"
    ),
    entry!(MNET_EACCES, c"broadcasts are not allowed on this socket"),
    entry!(MNET_EISCONN, c"connected to another address"),
    entry!(MNET_ENOTCONN, c"not connected"),
    entry!(MNET_EHOPLIMIT, c"time to live exceeded"),
    entry!(MNET_ECANCELED, c"the fiber is canceled"),
    entry!(MNET_EDEADLK, c"nothing could ever end the wait"),
];

fn lookup(code: c_int) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.code == code)
}

/// The text of an error code, as in "connection reset by peer".
///
/// Any number may be passed: "success" for 0 and above, "unknown error" for a negative number that
/// is no code. Never NULL; the text is static. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_strerror(code: c_int) -> *const c_char {
    match lookup(code) {
        _ if code >= 0 => c"success",
        Some(entry) => entry.text,
        None => c"unknown error",
    }
    .as_ptr()
}

/// The name of an error code, as in "MNET_ECONNRESET".
///
/// Any number may be passed: "0" for 0 and above, "?" for a negative number that is no code.
/// Never NULL; the text is static. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_error_name(code: c_int) -> *const c_char {
    match lookup(code) {
        _ if code >= 0 => c"0",
        Some(entry) => entry.name,
        None => c"?",
    }
    .as_ptr()
}

/// An error on its way to the caller: one of the codes above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Error(c_int);

impl Error {
    pub(crate) const INVALID: Self = Self(MNET_EINVAL);
    pub(crate) const BAD_HANDLE: Self = Self(MNET_EBADF);
    pub(crate) const AGAIN: Self = Self(MNET_EAGAIN);
    pub(crate) const NO_MEMORY: Self = Self(MNET_ENOMEM);
    pub(crate) const LIMIT: Self = Self(MNET_ELIMIT);
    pub(crate) const TOO_LONG: Self = Self(MNET_EMSGSIZE);
    pub(crate) const NO_DEVICE: Self = Self(MNET_ENODEV);
    pub(crate) const BUSY: Self = Self(MNET_EBUSY);
    pub(crate) const ADDRESS: Self = Self(MNET_EADDRNOTAVAIL);
    pub(crate) const FAMILY: Self = Self(MNET_EAFNOSUPPORT);
    pub(crate) const PIPE: Self = Self(MNET_EPIPE);
    pub(crate) const CANCELED: Self = Self(MNET_ECANCELED);
    pub(crate) const DEADLOCK: Self = Self(MNET_EDEADLK);

    /// For functions that return `int`.
    pub(crate) const fn code(self) -> c_int {
        self.0
    }
}

/// What a function returns that only succeeds or fails.
pub(crate) fn status(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => error.code(),
    }
}

/// What a function returns that gives a length, a count or a handle.
pub(crate) fn value(result: Result<i64, Error>) -> i64 {
    result.unwrap_or_else(|error| i64::from(error.code()))
}

/// A length as the header's functions return it. No length in a process exceeds the type.
pub(crate) fn length(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// Maps every variant of the core's errors; a new variant has to be looked at here.
macro_rules! mapping {
    ($($from:ident { $($variant:ident => $code:ident),+ $(,)? })+) => {$(
        impl From<$from> for Error {
            fn from(error: $from) -> Self {
                Self(match error { $($from::$variant => $code),+ })
            }
        }
    )+};
}

mapping! {
    ConfigError {
        MemoryTooSmall => MNET_ENOMEM,
        MtuOutOfRange => MNET_EINVAL,
        BadHardwareAddress => MNET_EINVAL,
        BadAddress => MNET_EADDRNOTAVAIL,
        GatewayUnreachable => MNET_EGATEWAY,
        TooMany => MNET_ELIMIT,
        FamilyDisabled => MNET_EAFNOSUPPORT,
        AlreadyEnabled => MNET_EINVAL,
        NotEnabled => MNET_EINVAL,
        NoSuchAddress => MNET_EADDRNOTAVAIL,
        NoSuchInterface => MNET_EINVAL,
        BadVlan => MNET_EINVAL,
        VlanInUse => MNET_EADDRINUSE,
        HardwareAddressShared => MNET_EADDRINUSE,
        NoSuchRoute => MNET_ENETUNREACH,
        LimitOutOfRange => MNET_EINVAL,
    }
    ListenError {
        AddressNotLocal => MNET_EADDRNOTAVAIL,
        AddressInUse => MNET_EADDRINUSE,
        Invalid => MNET_EINVAL,
        LimitReached => MNET_ELIMIT,
    }
    AcceptError {
        BadHandle => MNET_EBADF,
        WouldBlock => MNET_EAGAIN,
    }
    ConnectError {
        BadHandle => MNET_EBADF,
        Invalid => MNET_EINVAL,
        NoRoute => MNET_ENETUNREACH,
        AddressNotLocal => MNET_EADDRNOTAVAIL,
        AddressInUse => MNET_EADDRINUSE,
        LimitReached => MNET_ELIMIT,
    }
    SettingError {
        BadHandle => MNET_EBADF,
        OutOfRange => MNET_EINVAL,
        LimitReached => MNET_ELIMIT,
    }
    SendError {
        BadHandle => MNET_EBADF,
        WouldBlock => MNET_EAGAIN,
        Shutdown => MNET_EPIPE,
        Reset => MNET_ECONNRESET,
        Refused => MNET_ECONNREFUSED,
        TimedOut => MNET_ETIMEDOUT,
        Unreachable => MNET_EHOSTUNREACH,
        AddressGone => MNET_EADDRGONE,
    }
    RecvError {
        BadHandle => MNET_EBADF,
        WouldBlock => MNET_EAGAIN,
        Reset => MNET_ECONNRESET,
        Refused => MNET_ECONNREFUSED,
        TimedOut => MNET_ETIMEDOUT,
        Unreachable => MNET_EHOSTUNREACH,
        AddressGone => MNET_EADDRGONE,
    }
    BindError {
        AddressNotLocal => MNET_EADDRNOTAVAIL,
        AddressInUse => MNET_EADDRINUSE,
        LimitReached => MNET_ELIMIT,
    }
    GroupError {
        BadHandle => MNET_EBADF,
        Invalid => MNET_EINVAL,
        NoInterface => MNET_ENODEV,
        AlreadyMember => MNET_EADDRINUSE,
        NotMember => MNET_EADDRNOTAVAIL,
        OtherMode => MNET_EINVAL,
        LimitReached => MNET_ELIMIT,
    }
    SendToError {
        BadHandle => MNET_EBADF,
        Invalid => MNET_EINVAL,
        BroadcastNotAllowed => MNET_EACCES,
        NotConnected => MNET_ENOTCONN,
        AlreadyConnected => MNET_EISCONN,
        NothingReserved => MNET_EINVAL,
        MessageTooLong => MNET_EMSGSIZE,
        NoRoute => MNET_ENETUNREACH,
        AddressNotLocal => MNET_EADDRNOTAVAIL,
        WouldBlock => MNET_EAGAIN,
    }
    RecvFromError {
        BadHandle => MNET_EBADF,
        WouldBlock => MNET_EAGAIN,
        Refused => MNET_ECONNREFUSED,
        Unreachable => MNET_EHOSTUNREACH,
        MessageTooLong => MNET_EMSGSIZE,
        TimeExceeded => MNET_EHOPLIMIT,
    }
}

impl From<BadHandle> for Error {
    fn from(BadHandle: BadHandle) -> Self {
        Self::BAD_HANDLE
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => error.into(),
            StartError::NoEntropy => Self(MNET_ENTROPY),
            _ => Self::INVALID,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn the_table_has_every_constant_of_this_file_once_in_order() {
        let declared = include_str!("error.rs")
            .matches("\npub const MNET_E")
            .count();
        assert_eq!(TABLE.len(), declared);
        for (index, entry) in TABLE.iter().enumerate() {
            assert_eq!(
                usize::try_from(-entry.code),
                Ok(index + 1),
                "{:?}",
                entry.name
            );
        }
    }

    #[test]
    fn every_number_has_a_text_and_a_name() {
        // SAFETY: both functions promise static C strings.
        let text = |code| unsafe { CStr::from_ptr(mnet_strerror(code)) };
        // SAFETY: as above.
        let name = |code| unsafe { CStr::from_ptr(mnet_error_name(code)) };
        assert_eq!(text(MNET_ECONNRESET), c"connection reset by peer");
        assert_eq!(name(MNET_ECONNRESET), c"MNET_ECONNRESET");
        assert_eq!((text(0), text(c_int::MAX)), (c"success", c"success"));
        assert_eq!(
            (text(-99), text(c_int::MIN)),
            (c"unknown error", c"unknown error")
        );
        assert_eq!((name(7), name(c_int::MIN)), (c"0", c"?"));
    }
}
