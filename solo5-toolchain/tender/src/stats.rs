//! `--stats`: what is counted while a guest runs, and how it is printed at the end.
//!
//! Counters are atomic, so that whoever ends the tender can print them: the guest's end, or the
//! handler of a signal. For that reason printing takes no memory and no locks.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// What went through a network device.
#[derive(Debug, Default)]
pub struct NetCounters {
    /// Frames that the guest received, and their bytes.
    pub frames_in: Counter,
    /// See `frames_in`.
    pub bytes_in: Counter,
    /// Frames that the guest sent, and their bytes.
    pub frames_out: Counter,
    /// See `frames_out`.
    pub bytes_out: Counter,
    /// Frames of the guest that the host did not take.
    pub refused: Counter,
    /// Reads that found nothing: EAGAIN.
    pub empty: Counter,
    /// Reads that failed.
    pub failed: Counter,
}

impl NetCounters {
    /// A frame that the guest received.
    pub fn received(&self, len: usize) {
        self.frames_in.one();
        self.bytes_in.add(len as u64);
    }

    /// A frame that the guest sent.
    pub fn sent(&self, len: usize) {
        self.frames_out.one();
        self.bytes_out.add(len as u64);
    }
}

impl fmt::Display for NetCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            frames_in,
            bytes_in,
            frames_out,
            bytes_out,
            refused,
            empty,
            failed,
        } = self;
        write!(
            f,
            "in {frames_in} frames {bytes_in} bytes, out {frames_out} frames {bytes_out} bytes, \
             refused {refused}, empty reads {empty}, failed reads {failed}"
        )
    }
}

/// What went through a block device.
#[derive(Debug, Default)]
pub struct BlockCounters {
    /// Requests to read, and bytes that were read.
    pub reads: Counter,
    /// See `reads`.
    pub bytes_read: Counter,
    /// Requests to write, and bytes that were written.
    pub writes: Counter,
    /// See `writes`.
    pub bytes_written: Counter,
    /// Requests that the host could not carry out.
    pub failed: Counter,
}

impl fmt::Display for BlockCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reads,
            bytes_read,
            writes,
            bytes_written,
            failed,
        } = self;
        write!(
            f,
            "{reads} reads {bytes_read} bytes, {writes} writes {bytes_written} bytes, \
             failed {failed}"
        )
    }
}

/// Shows a duration in seconds and milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(time) = self;
        write!(f, "{}.{:03} s", time.as_secs(), time.subsec_millis())
    }
}

/// What the host says that a process used.
#[derive(Clone, Copy, Debug)]
pub struct Usage(libc::rusage);

impl Usage {
    /// What this process used so far.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mut usage = Self::default();
        // SAFETY: the kernel fills the structure in.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage.0) };
        usage
    }

    /// What the kernel said about another.
    #[must_use]
    pub const fn of(usage: libc::rusage) -> Self {
        Self(usage)
    }
}

impl Default for Usage {
    fn default() -> Self {
        // SAFETY: all fields are integers, which may be zero.
        Self(unsafe { std::mem::zeroed() })
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: libc::timeval| {
            let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
            let micros = u64::try_from(time.tv_usec).unwrap_or(0);
            Seconds(Duration::from_secs(seconds) + Duration::from_micros(micros))
        };
        let Self(usage) = self;
        write!(
            f,
            "processor {} user {} system, {} KiB resident at most, page faults {}, \
             gave the processor away {} times, lost it {} times",
            time(usage.ru_utime),
            time(usage.ru_stime),
            usage.ru_maxrss,
            usage.ru_minflt.saturating_add(usage.ru_majflt),
            usage.ru_nvcsw,
            usage.ru_nivcsw
        )
    }
}

/// Standard error, for lines that are printed where there may be no memory to be had: each line is
/// one write, and the part of a line that does not fit is left out.
#[derive(Debug)]
pub struct Lines {
    bytes: [u8; 400],
    len: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            bytes: [0; 400],
            len: 0,
        }
    }
}

impl Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            let last = self.bytes.len() - 1;
            if byte == b'\n' || self.len < last {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
            if byte == b'\n' {
                // SAFETY: so many bytes are there.
                unsafe { libc::write(2, self.bytes.as_ptr().cast(), self.len) };
                self.len = 0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_shown_in_words() {
        let net = NetCounters::default();
        net.received(60);
        net.received(1514);
        net.sent(42);
        net.empty.one();
        assert_eq!(
            net.to_string(),
            "in 2 frames 1574 bytes, out 1 frames 42 bytes, refused 0, empty reads 1, \
             failed reads 0"
        );
        assert_eq!(
            Seconds(Duration::from_micros(1_002_999)).to_string(),
            "1.002 s"
        );
        assert!(
            Usage::of_this_process()
                .to_string()
                .contains(" KiB resident at most")
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let mut lines = Lines::default();
        lines.write_str(&"x".repeat(1000)).unwrap();
        assert_eq!(lines.len, 399);
        lines.write_str("\n").unwrap();
        assert_eq!(lines.len, 0);
    }
}
