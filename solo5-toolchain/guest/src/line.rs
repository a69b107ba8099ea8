//! One message, put together before it is written, so that it takes one system call.

use core::fmt;

/// What ends a message that did not fit.
const CUT: &[u8] = b"(truncated)\n";

/// Room for a message in bytes, the mark of a cut one included.
const CAPACITY: usize = 512;

/// A message of limited length. What does not fit is cut off, and the message says so at its end.
#[derive(Debug)]
pub struct Line {
    bytes: [u8; CAPACITY],
    len: usize,
    cut: bool,
}

impl Line {
    /// The message that `args` describes.
    #[must_use]
    pub fn new(args: fmt::Arguments<'_>) -> Self {
        let mut line = Self {
            bytes: [0; CAPACITY],
            len: 0,
            cut: false,
        };
        // Writing to a line does not fail, and an argument that fails to format ends the message.
        let _ = fmt::write(&mut line, args);
        line
    }

    /// The message's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.cut {
            return Ok(());
        }
        let room = CAPACITY - CUT.len() - self.len;
        let taken = text.len().min(room);
        self.bytes[self.len..][..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        if taken < text.len() {
            self.bytes[self.len..][..CUT.len()].copy_from_slice(CUT);
            self.len += CUT.len();
            self.cut = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_fits_is_kept_as_it_is() {
        let line = Line::new(format_args!("{}-{:#x}\n", "abc", 255));
        assert_eq!(line.as_bytes(), b"abc-0xff\n");
        let longest = "x".repeat(500);
        assert_eq!(
            Line::new(format_args!("{longest}")).as_bytes(),
            longest.as_bytes()
        );
    }

    #[test]
    fn a_longer_message_is_cut_once_and_says_so() {
        let text = "x".repeat(501);
        let line = Line::new(format_args!("{text}{text}"));
        let (kept, mark) = line.as_bytes().split_at(500);
        assert!(kept.iter().all(|&byte| byte == b'x'));
        assert_eq!(mark, b"(truncated)\n");
    }
}
