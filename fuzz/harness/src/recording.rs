//! A recording of frames in memory, read back.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};

use nix::sys::memfd::{MFdFlags, memfd_create};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use solo5_tender::capture::{CaptureFile, Direction, Recorder};

/// A frame that passed: which way, how long, and a hash of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    direction: Direction,
    len: usize,
    hash: u64,
}

impl Passed {
    pub(crate) fn new(direction: Direction, frame: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        frame.hash(&mut hasher);
        Self {
            direction,
            len: frame.len(),
            hash: hasher.finish(),
        }
    }

    pub(crate) fn is(&self, direction: Direction) -> bool {
        self.direction == direction
    }
}

/// A file of frames.
pub(crate) struct Recording(File);

impl Recording {
    /// An empty one, and a recorder for one device.
    pub(crate) fn new() -> (Self, Recorder) {
        let file = memfd_create(c"recording", MFdFlags::MFD_CLOEXEC).expect("memory");
        let file = File::from(file);
        let path = OsString::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let mut capture = CaptureFile::create(&path, "fuzz").expect("a file");
        let number = capture.add_interface("service", [2; 6]).expect("a file");
        let recorder = Recorder::new(Arc::new(Mutex::new(capture)), number);
        (Self(file), recorder)
    }

    /// What is in it; all of it can be read.
    pub(crate) fn frames(mut self) -> Vec<Passed> {
        self.0.seek(SeekFrom::Start(0)).expect("a file");
        let mut reader = PcapNgReader::new(self.0).expect("a section");
        let mut frames = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.expect("a whole block") {
                let direction = match &packet.options[..] {
                    [EnhancedPacketOption::Flags(1)] => Direction::In,
                    [EnhancedPacketOption::Flags(2)] => Direction::Out,
                    other => panic!("{other:?}"),
                };
                frames.push(Passed::new(direction, &packet.data));
            }
        }
        frames
    }
}
