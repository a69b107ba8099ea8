//! A capture of what both sides of a simulation send and receive, for Wireshark: pcapng with one
//! interface for each side, virtual times in nanoseconds, and the direction of each frame.

use mnet_core::Instant;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A capture that outlives the simulation that fills it.
pub type Recorder = Rc<RefCell<Capture>>;

/// Which way a frame went, as the flags of an enhanced packet block say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    In = 1,
    Out = 2,
}

/// The blocks of a pcapng file.
#[derive(Clone, Debug)]
pub struct Capture(Vec<u8>);

impl Capture {
    /// An empty capture at interfaces with these names.
    pub fn new(names: [&str; 2]) -> Self {
        let mut capture = Self(Vec::new());
        // Section header: byte order, version 1.0, a length that is not known.
        let header = [0x1a2b_3c4d, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes);
        capture.block(0x0a0d_0d0a, header.as_flattened());
        for name in names {
            // Ethernet, whole frames; if_name, and if_tsresol: nanoseconds.
            let mut body = [1u32.to_le_bytes(), 0u32.to_le_bytes()].concat();
            option(&mut body, 2, name.as_bytes());
            option(&mut body, 9, &[9]);
            option(&mut body, 0, &[]);
            capture.block(1, &body);
        }
        capture
    }

    /// Adds a frame that side `interface` has sent or received.
    pub fn record(&mut self, interface: usize, now: Instant, way: Way, frame: &[u8]) {
        let len = u32::try_from(frame.len()).unwrap();
        let [a, b, c, d, e, f, g, h] = now.as_nanos().to_be_bytes();
        let (high, low) = (
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([e, f, g, h]),
        );
        let interface = u32::try_from(interface).unwrap();
        let mut body = [interface, high, low, len, len]
            .map(u32::to_le_bytes)
            .concat();
        body.extend_from_slice(frame);
        pad(&mut body);
        option(&mut body, 2, &(way as u32).to_le_bytes());
        option(&mut body, 0, &[]);
        self.block(6, &body);
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let len = u32::try_from(12 + body.len()).unwrap().to_le_bytes();
        self.0.extend(kind.to_le_bytes());
        self.0.extend(len);
        self.0.extend_from_slice(body);
        self.0.extend(len);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Writes the file, in the directory that cargo has for the output of tests.
    pub fn save(&self, name: &str) -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pcapng"));
        std::fs::write(&path, &self.0).expect("the capture can be written");
        path
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}
