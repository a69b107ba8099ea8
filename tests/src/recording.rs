//! Reading what a tender has recorded (`--net-pcap`).

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};

/// A frame that passed between a guest and its network.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When, since 1970, by the host's clock.
    pub at: Duration,
    /// Whether the guest sent it; it received it otherwise.
    pub sent: bool,
    /// From the Ethernet header on.
    pub frame: Vec<u8>,
}

/// All frames of a recording, in their order. One that is still being written ends with the last
/// complete frame.
///
/// # Errors
///
/// When the file is not there, or is no recording.
pub fn read(path: &Path) -> Result<Vec<Recorded>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut reader = PcapNgReader::new(BufReader::new(file))?;
    let mut frames = Vec::new();
    while let Some(Ok(block)) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block else {
            continue;
        };
        // The two lowest bits of the flags: 1 inbound, 2 outbound.
        let sent = packet
            .options
            .iter()
            .any(|option| matches!(option, EnhancedPacketOption::Flags(flags) if flags & 3 == 2));
        frames.push(Recorded {
            at: packet.timestamp,
            sent,
            frame: packet.data.into_owned(),
        });
    }
    Ok(frames)
}
