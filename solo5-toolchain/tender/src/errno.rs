//! Host errors as the C library words them.

use std::fmt;
use std::io;

/// Shows an error as `strerror` does, without the number and whatever else Rust appends.
#[derive(Clone, Copy, Debug)]
pub struct Strerror<'a>(pub &'a io::Error);

impl fmt::Display for Strerror<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error ").next().unwrap_or_default())
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
