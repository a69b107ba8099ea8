//! Output to the console.

use core::fmt::{self, Write};

use solo5_sys::solo5_console_write;

/// The console. Best effort: what the host does not take is lost, and nothing reports it.
///
/// Nothing is buffered: each [`write`](Self::write), and each piece that `write!` is made of, is
/// one request to the host. [`print!`](crate::print!) and [`println!`](crate::println!) gather the
/// pieces.
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

/// Prints to the console, in the manner of `format!`.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {
        $crate::print(::core::format_args!($($argument)*))
    };
}

/// Prints to the console, in the manner of `format!`, with a newline at the end.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::print(::core::format_args!("{}\n", ::core::format_args!($($argument)*)))
    };
}

/// Prints to the console, with one request to the host for each 256 bytes: what [`print!`] does.
///
/// [`print!`]: crate::print!
pub fn print(text: fmt::Arguments<'_>) {
    let mut buffer = Buffer {
        bytes: [0; 256],
        len: 0,
    };
    // Only a value that refuses to be printed is an error here; what came before it is printed.
    let _ = buffer.write_fmt(text);
    buffer.flush();
}

/// Prints where and why a program panicked, as Rust's own panic handler does.
pub fn print_panic(info: &core::panic::PanicInfo<'_>) {
    match info.location() {
        Some(place) => println!("panicked at {place}:\n{}", info.message()),
        None => println!("panicked:\n{}", info.message()),
    }
}

/// Gathers pieces of text.
struct Buffer {
    bytes: [u8; 256],
    len: usize,
}

impl Buffer {
    fn flush(&mut self) {
        Console.write(self.bytes.get(..self.len).unwrap_or_default());
        self.len = 0;
    }
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let bytes = text.as_bytes();
        if self.bytes.len() - self.len < bytes.len() {
            self.flush();
        }
        match self.bytes.get_mut(self.len..self.len + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            // Longer than the buffer.
            None => Console.write(bytes),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::World;

    #[test]
    fn output_arrives_as_it_is() {
        let world = World::new();
        Console.write(b"a\0b\n");
        write!(Console, "{}-{:?}", 1, Some(2)).unwrap();
        assert_eq!(world.console(), b"a\0b\n1-Some(2)");
    }

    #[test]
    fn pieces_become_one_request() {
        let world = World::new();
        println!("{}-{:?}", 1, Some(2));
        print!("x");
        assert_eq!(world.requests(), [&b"1-Some(2)\n"[..], b"x"]);
    }

    #[test]
    fn long_output_is_complete() {
        let world = World::new();
        let long = "long ".repeat(100);
        println!("{long}{}{long}", "y".repeat(250));
        let text = std::format!("{long}{}{long}\n", "y".repeat(250));
        assert_eq!(world.console(), text.as_bytes());
    }
}
