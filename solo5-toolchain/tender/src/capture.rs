//! `--net-pcap`: what a guest sent and received, in files that Wireshark opens (pcapng, times in
//! nanoseconds).
//!
//! Each frame is one write to the file, made before the tender goes on: nothing waits in memory, so
//! however a tender ends, at most the frame that is being written is cut off. A file that cannot be
//! written to any more is given up, with one message; the guest goes on.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};

use crate::errno::Strerror;

/// The longest frame that is passed on where frames are recorded: longer than any interface's.
pub const LONGEST_FRAME: usize = 128 << 10;

/// Which way a frame went, as the guest sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The guest received it.
    In,
    /// The guest sent it.
    Out,
}

impl Direction {
    /// The lowest bits of a packet's flags.
    const fn flags(self) -> u32 {
        match self {
            Self::In => 1,
            Self::Out => 2,
        }
    }
}

/// A file of frames, of one device or of several.
#[derive(Debug)]
pub struct CaptureFile {
    path: OsString,
    /// Whose messages are printed.
    program: String,
    file: File,
    /// Makes blocks, which are then taken out of its vector.
    blocks: Blocks,
    /// Bytes of complete blocks.
    complete: u64,
    broken: bool,
}

/// A writer into memory.
struct Blocks(PcapNgWriter<Vec<u8>>);

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blocks")
    }
}

impl CaptureFile {
    /// Starts a file; one that is there is replaced. It may be a pipe, such as one that Wireshark
    /// reads from. `program` stands in front of messages.
    ///
    /// # Errors
    ///
    /// Whatever the host says.
    pub fn create(path: &OsStr, program: &str) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            // What a guest's peers say is nobody else's.
            .mode(0o600)
            .custom_flags(libc::O_NOCTTY)
            .open(path)?;
        let application = format!("{program} {}", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            options: vec![SectionHeaderOption::UserApplication(application.into())],
            ..SectionHeaderBlock::default()
        };
        let blocks = PcapNgWriter::with_section_header(Vec::new(), section);
        let mut capture = Self {
            path: path.into(),
            program: program.into(),
            file,
            blocks: Blocks(blocks.map_err(io::Error::other)?),
            complete: 0,
            broken: false,
        };
        capture.write_blocks()?;
        Ok(capture)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &OsStr {
        &self.path
    }

    /// Its descriptor.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Adds an interface with the guest's address; its number in the file.
    ///
    /// # Errors
    ///
    /// Whatever the host says.
    pub fn add_interface(&mut self, name: &str, mac: [u8; 6]) -> io::Result<u32> {
        const NANOSECONDS: u8 = 9;
        let number = self.blocks.0.interfaces().len();
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(name.to_owned().into()),
                InterfaceDescriptionOption::IfMacAddr(mac.to_vec().into()),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        let written = self.blocks.0.write_pcapng_block(block);
        written.map_err(io::Error::other)?;
        self.write_blocks()?;
        u32::try_from(number).map_err(io::Error::other)
    }

    /// Adds a frame that was seen now.
    fn add(&mut self, interface: u32, direction: Direction, frame: &[u8]) {
        if self.broken {
            return;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let block = EnhancedPacketBlock {
            interface_id: interface,
            timestamp: now.unwrap_or_default(),
            original_len: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(frame),
            options: vec![EnhancedPacketOption::Flags(direction.flags())],
        };
        let made = self.blocks.0.write_pcapng_block(block);
        let result = made
            .map_err(io::Error::other)
            .and_then(|_| self.write_blocks());
        if let Err(error) = result {
            self.give_up(&error);
        }
    }

    /// Writes the blocks that were made to the file.
    fn write_blocks(&mut self) -> io::Result<()> {
        let bytes = self.blocks.0.get_mut();
        let result = self.file.write_all(bytes);
        if result.is_ok() {
            self.complete += bytes.len() as u64;
        }
        bytes.clear();
        result
    }

    /// Ends the recording after an error. Blocks that are complete stay.
    fn give_up(&mut self, error: &io::Error) {
        self.broken = true;
        // A pipe keeps what it has.
        let _ = self.file.set_len(self.complete);
        let (program, path) = (&self.program, self.path.to_string_lossy());
        let error = Strerror(error);
        let line = format!("{program}: net-pcap: {path}: {error}; nothing more is recorded\n");
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Lets writes fail that would otherwise end the process: to a file that is longer than this process
/// may make one, or to a pipe that nobody reads.
pub fn ignore_signals() {
    set_signals(libc::SIG_IGN);
}

/// The opposite of [`ignore_signals`].
pub fn restore_signals() {
    set_signals(libc::SIG_DFL);
}

fn set_signals(action: libc::sighandler_t) {
    for signal in [libc::SIGXFSZ, libc::SIGPIPE] {
        // SAFETY: neither action runs code of this process.
        unsafe { libc::signal(signal, action) };
    }
}

/// Records the frames of one device.
#[derive(Clone, Debug)]
pub struct Recorder {
    file: Arc<Mutex<CaptureFile>>,
    interface: u32,
}

impl Recorder {
    /// A recorder for the interface with this number in the file.
    #[must_use]
    pub const fn new(file: Arc<Mutex<CaptureFile>>, interface: u32) -> Self {
        Self { file, interface }
    }

    /// Adds a frame that passes now.
    pub fn record(&self, direction: Direction, frame: &[u8]) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.add(self.interface, direction, frame);
    }

    /// Descriptor of the file.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.fd()
    }
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    fn recorder(path: &OsStr, names: &[&str]) -> Vec<Recorder> {
        let mut file = CaptureFile::create(path, "test").unwrap();
        let add = |(number, name): (usize, &&str)| {
            let mac = [2, 0, 0, 0, 0, u8::try_from(number).unwrap()];
            file.add_interface(name, mac).unwrap()
        };
        let numbers: Vec<_> = names.iter().enumerate().map(add).collect();
        let file = Arc::new(Mutex::new(file));
        let recorder = |number| Recorder::new(Arc::clone(&file), number);
        numbers.into_iter().map(recorder).collect()
    }

    #[test]
    fn frames_of_two_devices_are_read_back_with_name_address_direction_and_time() {
        let path = std::env::temp_dir().join(format!("capture-{}", std::process::id()));
        let recorders = recorder(path.as_os_str(), &["service", "other"]);
        let start = SystemTime::now();
        recorders[1].record(Direction::In, &[7; 61]);
        recorders[0].record(Direction::Out, &[8; 9014]);
        // Nothing waits in memory: the file is read while it is still written to.
        let mut reader = PcapNgReader::new(File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut seen = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                let flags = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Flags(flags) => Some(*flags),
                    _ => None,
                });
                let at = SystemTime::UNIX_EPOCH + packet.timestamp;
                assert!(at >= start && at <= SystemTime::now());
                assert_eq!(packet.original_len as usize, packet.data.len());
                let frame = (packet.data.len(), packet.data[0]);
                seen.push((packet.interface_id, flags, frame));
            }
        }
        assert_eq!(seen, [(1, Some(1), (61, 7)), (0, Some(2), (9014, 8))]);
        for (number, name) in ["service", "other"].iter().enumerate() {
            let options = &reader.interfaces()[number].options;
            let number = u8::try_from(number).unwrap();
            for wanted in [
                InterfaceDescriptionOption::IfName((*name).into()),
                InterfaceDescriptionOption::IfMacAddr(vec![2, 0, 0, 0, 0, number].into()),
                InterfaceDescriptionOption::IfTsResol(9),
            ] {
                assert!(options.contains(&wanted), "{options:?}");
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_to_ends_at_its_last_whole_block() {
        let full = CaptureFile::create(OsStr::new("/dev/full"), "test").unwrap_err();
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));

        let path = std::env::temp_dir().join(format!("capture-limit-{}", std::process::id()));
        let mut file = CaptureFile::create(path.as_os_str(), "test").unwrap();
        let number = file.add_interface("service", [2; 6]).unwrap();
        file.add(number, Direction::In, &[1; 100]);
        let whole = std::fs::metadata(&path).unwrap().len();
        // What a disk that fills up leaves behind: part of a block.
        file.file.write_all(&[0; 10]).unwrap();
        file.give_up(&io::Error::from_raw_os_error(libc::ENOSPC));
        file.add(number, Direction::In, &[1; 100]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), whole);
        std::fs::remove_file(&path).unwrap();
    }
}
