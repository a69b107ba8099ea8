//! An archive of files in the format that Linux unpacks into its first file system: cpio, `newc`.

use std::collections::BTreeSet;
use std::path::Path;

/// An archive under construction.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    count: usize,
}

impl Archive {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a folder, if it is not there.
    pub(crate) fn directory(&mut self, name: &str) {
        if self.folders.insert(name.to_owned()) {
            self.entry(name, 0o040_755, &[]);
        }
    }

    /// Adds a file that everybody may execute.
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, 0o100_755, content);
    }

    /// Adds a file by its absolute path, with the folders that it is in.
    pub(crate) fn file_in_folders(&mut self, path: &Path, content: &[u8]) {
        let name = path.to_string_lossy();
        let name = name.trim_start_matches('/');
        for (end, _) in name.match_indices('/') {
            self.directory(&name[..end]);
        }
        self.file(name, content);
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: usize, content: &[u8]) {
        self.count += 1;
        let links = 1;
        // Number, mode, owner, group, links, time, length, device and its numbers, length of the
        // name with its NUL, no checksum.
        let fields = [
            self.count,
            mode,
            0,
            0,
            links,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    /// Headers and contents start at multiples of four.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_folders_are_there_once() {
        let mut archive = Archive::new();
        archive.directory("bin");
        archive.file_in_folders(Path::new("/bin/deep/a"), b"abc");
        archive.file_in_folders(Path::new("/bin/deep/b"), b"");
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("070701").count(), 5);
        assert_eq!(text.matches("bin/deep\0").count(), 1);
        assert_eq!(bytes.len() % 4, 0);
        let at = text.find("bin/deep/a\0").unwrap();
        let content = (at + "bin/deep/a\0".len()).next_multiple_of(4);
        assert_eq!(bytes[content..content + 3], *b"abc");
        assert_eq!((at - 110) % 4, 0, "the header");
    }
}
