//! The options that only this tender has.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What they say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Wait for a debugger.
    pub(crate) debugger: bool,
    /// Port to wait at.
    pub(crate) port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            debugger: false,
            port: 1234,
        }
    }
}

impl Options {
    /// Reads an option: whether it is one of ours, or what is wrong with it.
    pub(crate) fn read(&mut self, option: &OsStr) -> Result<bool, String> {
        let bytes = option.as_bytes();
        if bytes == b"--gdb" {
            self.debugger = true;
            return Ok(true);
        }
        let Some(port) = bytes.strip_prefix(b"--gdb-port=") else {
            return Ok(false);
        };
        let number = str::from_utf8(port).ok().and_then(|port| port.parse().ok());
        self.port = number.ok_or("Malformed argument to --gdb-port")?;
        Ok(true)
    }
}
