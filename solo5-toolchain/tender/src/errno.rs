//! Host errors as the C library words them.

use std::fmt;
use std::io;

/// Shows an error as `strerror` does, without the number that Rust appends.
#[derive(Clone, Copy, Debug)]
pub struct Strerror<'a>(pub &'a io::Error);

impl fmt::Display for Strerror<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let end = match self.0.raw_os_error() {
            Some(_) => text.rfind(" (os error ").unwrap_or(text.len()),
            None => text.len(),
        };
        f.write_str(&text[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_lose_their_number() {
        let error = io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(Strerror(&error).to_string(), "No such file or directory");
        let error = io::Error::other("no (os error) here");
        assert_eq!(Strerror(&error).to_string(), "no (os error) here");
    }
}
