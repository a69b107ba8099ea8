//! Output to the console.

use core::fmt;

use solo5_sys::solo5_console_write;

/// The console. Best effort: what the host does not take is lost, and nothing reports it.
///
/// Nothing is buffered: each [`write`](Self::write), and each piece that `write!` is made of, is
/// one request to the host. Format into a buffer first where output must not be torn apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console;

impl Console {
    /// Writes bytes as they are; no newline is added.
    pub fn write(&mut self, bytes: &[u8]) {
        // SAFETY: the bindings read `bytes.len()` bytes of `bytes`.
        unsafe { solo5_console_write(bytes.as_ptr().cast(), bytes.len()) }
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::fmt::Write;

    use super::*;
    use crate::fake::World;

    #[test]
    fn output_arrives_as_it_is() {
        let world = World::new();
        Console.write(b"a\0b\n");
        write!(Console, "{}-{:?}", 1, Some(2)).unwrap();
        assert_eq!(world.console(), b"a\0b\n1-Some(2)");
    }
}
