//! Tests that run in a guest: `cargo solo5 test`.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_io_async::{ErrorType, Write};
use miniz_oxide::inflate::decompress_to_vec;
use upload::archive::{Archive, MAX_FILES, Refused};

solo5::test_main!();

/// Takes a few bytes at a time.
struct Output(Vec<u8>);

impl ErrorType for Output {
    type Error = core::convert::Infallible;
}

impl Write for &mut Output {
    async fn write(&mut self, data: &[u8]) -> Result<usize, Self::Error> {
        let len = data.len().min(7);
        self.0.extend_from_slice(&data[..len]);
        Ok(len)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// A future that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

/// The archive of these files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut output = Output(Vec::new());
    let mut archive = Archive::new(&mut output);
    for (name, content) in files {
        now(archive.begin(name)).unwrap();
        for piece in content.chunks(100_000) {
            now(archive.append(piece)).unwrap();
        }
        now(archive.end()).unwrap();
    }
    assert_eq!(now(archive.finish()), Ok(files.len()));
    output.0
}

/// Bytes that do not get smaller (xorshift).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let bytes = (0..len).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    bytes.collect()
}

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    (0..len)
        .rev()
        .fold(0, |sum, index| sum << 8 | usize::from(bytes[at + index]))
}

/// What the directory of an archive leads to: names and contents. Checks what it says of them.
fn read(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let end = bytes.len() - 22;
    assert_eq!(&bytes[end..end + 4], b"PK\x05\x06");
    let mut at = number(bytes, end + 16, 4);
    assert_eq!(
        at + number(bytes, end + 12, 4),
        end,
        "the directory ends where its end is"
    );
    let mut files = Vec::new();
    for _ in 0..number(bytes, end + 10, 2) {
        assert_eq!(&bytes[at..at + 4], b"PK\x01\x02");
        let [crc, compressed, uncompressed] =
            [16, 20, 24].map(|field| number(bytes, at + field, 4));
        let [name_len, extra_len] = [28, 30].map(|field| number(bytes, at + field, 2));
        let name = String::from_utf8(bytes[at + 46..at + 46 + name_len].to_vec()).unwrap();
        let local = number(bytes, at + 42, 4);
        at += 46 + name_len + extra_len;

        assert_eq!(&bytes[local..local + 4], b"PK\x03\x04");
        let [name_len, extra_len] = [26, 28].map(|field| number(bytes, local + field, 2));
        assert_eq!(&bytes[local + 30..local + 30 + name_len], name.as_bytes());
        let data = local + 30 + name_len + extra_len;
        let content = decompress_to_vec(&bytes[data..data + compressed]);
        let content = content.ok().expect("it is not complete");
        assert_eq!(content.len(), uncompressed);
        assert_eq!(crc32fast::hash(&content) as usize, crc);
        let descriptor = data + compressed;
        assert_eq!(&bytes[descriptor..descriptor + 4], b"PK\x07\x08");
        assert_eq!(number(bytes, descriptor + 4, 4), crc);
        assert_eq!(number(bytes, descriptor + 8, 8), compressed);
        assert_eq!(number(bytes, descriptor + 16, 8), uncompressed);
        files.push((name, content));
    }
    files
}

#[solo5::test]
fn files_come_back_from_an_archive() {
    let noise = noise(1_000_000);
    let zeros = vec![0; 3_000_000];
    let files = [
        ("noise.bin", &noise[..]),
        ("zeros", &zeros),
        ("empty.txt", b""),
    ];
    let bytes = archive(&files);
    assert!(bytes.len() < noise.len() + 50_000, "zeros take no room");
    let wanted = files.map(|(name, content)| (name.to_string(), content.to_vec()));
    assert!(read(&bytes) == wanted, "they differ");
}

/// Whatever waits in the compressor when a file ends is a part of it.
#[solo5::test]
fn files_of_any_length_are_complete() {
    let noise = noise(400_000);
    for len in (0..400_000).step_by(4_001) {
        let content = &noise[..len];
        let files = read(&archive(&[("noise", content)]));
        assert!(files[0].1 == content, "{len} bytes");
    }
}

#[solo5::test]
fn an_archive_without_files_is_one() {
    assert_eq!(archive(&[]).len(), 22);
}

#[solo5::test]
fn names_lead_nowhere_else() {
    let names = ["../../etc/passwd", "C:\\x\\y.txt", "..", "", "a\nb\0c", "/"];
    let files = names.map(|name| (name, &b"x"[..]));
    let got: Vec<String> = read(&archive(&files))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(got, ["passwd", "y.txt", "file", "4-file", "abc", "6-file"]);
}

#[solo5::test]
fn long_names_are_cut_between_letters() {
    let name = "\u{e4}".repeat(150);
    let files = read(&archive(&[(&name, b"x")]));
    assert_eq!(files[0].0, "\u{e4}".repeat(100));
}

#[solo5::test]
fn there_are_not_too_many_files() {
    let mut output = Output(Vec::new());
    let mut archive = Archive::new(&mut output);
    for number in 0..MAX_FILES {
        now(archive.begin(&format!("{number}"))).unwrap();
        now(archive.end()).unwrap();
    }
    assert_eq!(now(archive.begin("one more")), Err(Refused::TooMany));
}
