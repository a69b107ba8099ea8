//! Recordings of what passes one end of a path, for Wireshark and tcpdump.

use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file of frames in the classic format of libpcap, with nanoseconds.
#[derive(Debug)]
pub(super) struct Capture(BufWriter<File>);

/// The first word of a file with times in nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;

impl Capture {
    /// Starts a file; one that is there is replaced.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        let version = [2_u16.to_ne_bytes(), 4_u16.to_ne_bytes()].concat();
        file.write_all(&MAGIC.to_ne_bytes())?;
        file.write_all(&version)?;
        for word in [0, 0, u32::from(u16::MAX) + 32, ETHERNET] {
            file.write_all(&word.to_ne_bytes())?;
        }
        Ok(Self(file))
    }

    /// Adds a frame, with the time of the call.
    pub(super) fn add(&mut self, frame: &[u8]) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let seconds = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        for word in [seconds, now.subsec_nanos(), len, len] {
            self.0.write_all(&word.to_ne_bytes())?;
        }
        self.0.write_all(frame)
    }

    /// Writes what is still in memory.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_has_a_header_and_each_frame_with_its_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        let mut capture = Capture::create(&path).unwrap();
        capture.add(&[7; 60]).unwrap();
        capture.add(&[8; 100]).unwrap();
        capture.flush().unwrap();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file.len(), 24 + 16 + 60 + 16 + 100);
        let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(20)), (MAGIC, ETHERNET));
        assert_eq!((word(24 + 8), word(24 + 12)), (60, 60));
        assert_eq!((word(100 + 8), &file[116..]), (100, &[8; 100][..]));
    }
}
