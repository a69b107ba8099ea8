//! The console of a unikernel as a place for messages.

use core::fmt;

use solo5::Console;

/// Text on its way to the console, in pieces of at most 512 bytes that end with a line where they can:
/// each piece is one request to the host. What is left goes with the value.
#[derive(Debug, Default)]
pub struct ConsoleLines {
    text: heapless::Vec<u8, 512>,
}

impl ConsoleLines {
    /// Nothing is written yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: heapless::Vec::new(),
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            Console.write(&self.text);
            self.text.clear();
        }
    }
}

impl fmt::Write for ConsoleLines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.text.push(byte).is_err() {
                self.flush();
                let _ = self.text.push(byte);
            }
            if byte == b'\n' {
                self.flush();
            }
        }
        Ok(())
    }
}

impl Drop for ConsoleLines {
    fn drop(&mut self) {
        self.flush();
    }
}
