//! What the toolchain reads: images, their notes, and the sources of manifests.

use solo5_abi::constants::LOAD_BASE;
use solo5_abi::manifest::Manifest;
use solo5_elftool::{generate, query, source};
use solo5_tender::image::Image;
use solo5_tender::load::{GuestMemory, Protection};
use std::io;
use std::ops::Range;

/// Guest memory behind the load address. Nothing in front of it belongs to an image.
struct Memory {
    bytes: Vec<u8>,
    protected: u64,
}

/// Bytes of guest memory that can be loaded into: enough for small images.
const MEMORY: usize = 256 << 10;

impl GuestMemory for Memory {
    fn size(&self) -> u64 {
        LOAD_BASE + self.bytes.len() as u64
    }

    fn bytes_mut(&mut self, range: Range<u64>) -> Option<&mut [u8]> {
        assert!(LOAD_BASE <= range.start && range.start <= range.end && range.end <= self.size());
        let start = usize::try_from(range.start - LOAD_BASE).ok()?;
        let end = usize::try_from(range.end - LOAD_BASE).ok()?;
        self.bytes.get_mut(start..end)
    }

    fn protect(&mut self, range: Range<u64>, protection: Protection) -> io::Result<()> {
        assert!(range.start.is_multiple_of(4_096) && range.end.is_multiple_of(4_096));
        assert!(self.protected <= range.start && range.end <= self.size());
        assert!(!(protection.write && protection.execute));
        self.protected = range.end;
        Ok(())
    }
}

/// ELF images: headers, notes, segments.
pub fn elf_image(data: &[u8]) {
    let Ok(image) = Image::parse(data) else {
        return;
    };
    if let Ok(abi) = image.abi() {
        assert!(query::abi_json(abi).contains("solo5.abi"));
    }
    if let Ok(entries) = image.manifest() {
        assert!((1..=64).contains(&entries.len()));
        assert!(query::manifest_json(&entries).contains("solo5.manifest"));
    }
    let mut memory = Memory {
        bytes: vec![0; MEMORY],
        protected: LOAD_BASE,
    };
    if let Ok(loaded) = image.load(&mut memory) {
        let size = memory.size();
        assert!((LOAD_BASE..size).contains(&loaded.entry));
        assert!((LOAD_BASE..=size).contains(&loaded.kernel_end));
        assert_eq!(loaded.kernel_end, memory.protected);
    }
}

/// Manifests as they stand in a note.
pub fn manifest_note(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        for entry in manifest.entries() {
            assert!(entry.name_bytes().len() <= 67);
            assert_eq!(entry.attached, 0);
        }
    }
}

/// Manifests in their JSON source: what is accepted gives a C source, and an error a place.
pub fn manifest_source(data: &[u8]) {
    match source::parse("manifest.json", data) {
        Ok(devices) => {
            assert!(devices.len() <= 63);
            let text = generate::c_source(&devices);
            for device in &devices {
                assert!((1..=67).contains(&device.name.len()));
                assert!(device.name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
                assert!(text.contains(&format!("\"{}\"", device.name)));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
