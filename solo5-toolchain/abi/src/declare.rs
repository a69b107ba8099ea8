//! Devices that a program declares in its code: checked, and made a note, while it is compiled.
//!
//! Everything here can be used in constants. `solo5::manifest!` is the way to do so.

use core::mem::size_of;

use crate::constants::{MAX_DEVICES, MAX_NAME_LEN};
use crate::manifest::{ManifestEntry, is_valid_name};
use crate::note::Mft1NoteStart;

/// A device of a program.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// 1 to 67 ASCII letters and digits.
    pub name: &'static str,
    /// The number of its type, [`TYPE_NET_BASIC`](crate::manifest::TYPE_NET_BASIC) or
    /// [`TYPE_BLOCK_BASIC`](crate::manifest::TYPE_BLOCK_BASIC).
    pub type_raw: u32,
}

/// Why a list of devices is no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The position in the list of the device that it is about.
    pub index: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a device of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is the 64th.
    TooMany,
    /// Its name has no characters.
    NameEmpty,
    /// Its name has more than 67 bytes.
    NameTooLong,
    /// Its name has something else than ASCII letters and digits in it.
    NameNotAlphanumeric,
    /// An earlier one has the same name.
    NameTwice,
}

/// Checks the names of all devices of a program; the first fault.
#[must_use]
pub const fn check(names: &[&str]) -> Option<Fault> {
    if names.len() > MAX_DEVICES {
        return Some(Fault {
            index: MAX_DEVICES,
            problem: Problem::TooMany,
        });
    }
    let mut index = 0;
    while index < names.len() {
        let name = names[index].as_bytes();
        let problem = if name.is_empty() {
            Problem::NameEmpty
        } else if name.len() > MAX_NAME_LEN {
            Problem::NameTooLong
        } else if !is_valid_name(name) {
            Problem::NameNotAlphanumeric
        } else if has(names, index, name) {
            Problem::NameTwice
        } else {
            index += 1;
            continue;
        };
        return Some(Fault { index, problem });
    }
    None
}

/// Whether one of the first `count` names is this one.
const fn has(names: &[&str], count: usize, name: &[u8]) -> bool {
    let mut index = 0;
    while index < count {
        let other = names[index].as_bytes();
        let mut same = 0;
        while other.len() == name.len() && same < name.len() && other[same] == name[same] {
            same += 1;
        }
        if same == name.len() {
            return true;
        }
        index += 1;
    }
    false
}

impl Fault {
    /// What to tell whoever wrote the list that was checked.
    #[must_use]
    pub const fn describe(self, names: &[&str]) -> Text {
        let name = names[self.index];
        match self.problem {
            // Checked together with its text below.
            Problem::TooMany => Text::new(&["more than 63 devices"]),
            Problem::NameEmpty => Text::new(&["the name of a device may not be empty"]),
            Problem::NameTooLong => Text::new(&["name too long, maximum 67"]),
            Problem::NameNotAlphanumeric => Text::new(&["name is not alphanumeric: ", name]),
            Problem::NameTwice => Text::new(&["two devices are named ", name]),
        }
    }
}

const _: () = assert!(MAX_DEVICES == 63 && MAX_NAME_LEN == 67);

/// A short text that is put together in a constant.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Text {
    /// Has room for the longest text above with the longest name.
    const MAX: usize = 128;

    /// The parts one after the other.
    const fn new(parts: &[&str]) -> Self {
        let mut bytes = [0; Self::MAX];
        let (mut len, mut part) = (0, 0);
        while part < parts.len() {
            let from = parts[part].as_bytes();
            let mut index = 0;
            while index < from.len() {
                bytes[len] = from[index];
                len += 1;
                index += 1;
            }
            part += 1;
        }
        Self { bytes, len }
    }

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => "",
        }
    }
}

/// Words of the note with this many devices.
#[must_use]
pub const fn note_words(devices: usize) -> usize {
    (size_of::<Mft1NoteStart>() + (devices + 1) * size_of::<ManifestEntry>()) / size_of::<u32>()
}

/// The MFT1 note of an image with these devices, as it stands in its section; `WORDS` is
/// [`note_words`].
///
/// Words, because the section is aligned to four bytes, and [`ManifestEntry`] is not.
///
/// # Panics
///
/// When [`check`] finds a fault, with its description, or `WORDS` is another number; in a constant
/// that stops compilation.
#[must_use]
#[track_caller]
pub const fn note<const WORDS: usize>(devices: &[Declaration]) -> [u32; WORDS] {
    const START: usize = size_of::<Mft1NoteStart>() / size_of::<u32>();
    const ENTRY: usize = size_of::<ManifestEntry>() / size_of::<u32>();
    let mut names = [""; MAX_DEVICES + 1];
    let mut index = 0;
    while index < devices.len() && index < names.len() {
        names[index] = devices[index].name;
        index += 1;
    }
    let names = names.split_at(index).0;
    if let Some(fault) = check(names) {
        let text = fault.describe(names);
        panic!("{}", text.as_str());
    }
    assert!(WORDS == note_words(devices.len()), "wrong size of the note");

    let mut words = [0; WORDS];
    let start: [u32; START] = zerocopy::transmute!(Mft1NoteStart::new(devices.len() + 1));
    copy(&mut words, 0, &start);
    let reserved: [u32; ENTRY] = zerocopy::transmute!(ManifestEntry::RESERVED);
    copy(&mut words, START, &reserved);
    let mut index = 0;
    while index < devices.len() {
        let Declaration { name, type_raw } = devices[index];
        let entry: [u32; ENTRY] = zerocopy::transmute!(ManifestEntry::declare(name, type_raw));
        index += 1;
        copy(&mut words, START + index * ENTRY, &entry);
    }
    words
}

const fn copy(to: &mut [u32], at: usize, from: &[u32]) {
    let mut index = 0;
    while index < from.len() {
        to[at + index] = from[index];
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use zerocopy::IntoBytes;

    use super::*;
    use crate::manifest::{DeviceType, Manifest, TYPE_BLOCK_BASIC, TYPE_NET_BASIC};
    use crate::note::{NoteKind, find};

    const DEVICES: [Declaration; 2] = [
        Declaration {
            name: "service",
            type_raw: TYPE_NET_BASIC,
        },
        Declaration {
            name: "storage",
            type_raw: TYPE_BLOCK_BASIC,
        },
    ];
    static NOTE: [u32; note_words(2)] = note(&DEVICES);
    static NONE: [u32; note_words(0)] = note(&[]);

    fn devices(note: &[u32]) -> Vec<(String, DeviceType)> {
        let payload = find(note.as_bytes(), NoteKind::Mft1).unwrap().unwrap();
        let entries = Manifest::parse(payload).unwrap().entries();
        let devices = entries.skip(1).map(|entry| {
            let name = str::from_utf8(entry.name_bytes()).unwrap();
            (name.into(), entry.device_type())
        });
        devices.collect()
    }

    #[test]
    fn a_note_made_in_a_constant_is_read_as_any_other() {
        let want = [
            ("service".into(), DeviceType::Net),
            ("storage".into(), DeviceType::Block),
        ];
        assert_eq!(devices(&NOTE), want);
        assert_eq!(devices(&NONE), []);
        // Nothing behind it: the notes of a segment are counted by their lengths.
        assert_eq!(NOTE.as_bytes().len(), 32 + 3 * 104);
    }

    #[track_caller]
    fn refused(names: &[&str], index: usize, problem: Problem, text: &str) {
        let fault = check(names).unwrap();
        assert_eq!(fault, Fault { index, problem });
        assert_eq!(fault.describe(names).as_str(), text);
    }

    #[test]
    fn each_rule_has_its_text() {
        use Problem as P;
        let no_name = "the name of a device may not be empty";
        refused(&["a", ""], 1, P::NameEmpty, no_name);
        let (longest, too_long) = ("x".repeat(67), "x".repeat(68));
        let text = "name too long, maximum 67";
        refused(&[&longest, &too_long], 1, P::NameTooLong, text);
        let text = "name is not alphanumeric: a-b";
        refused(&["a-b"], 0, P::NameNotAlphanumeric, text);
        let long = format!("{}é", "x".repeat(65));
        let text = format!("name is not alphanumeric: {long}");
        refused(&[&long], 0, P::NameNotAlphanumeric, &text);
        let text = format!("two devices are named {longest}");
        refused(&[&longest, "a", &longest], 2, P::NameTwice, &text);
        // A name that another one begins with is another one.
        assert_eq!(check(&["ab", "a", "abc", "b"]), None);
    }

    #[test]
    fn there_are_63_devices_at_most() {
        let names: Vec<String> = (0..64).map(|number| format!("d{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(check(&names[..63]), None);
        refused(&names, 63, Problem::TooMany, "more than 63 devices");
    }

    #[test]
    #[should_panic(expected = "two devices are named service")]
    fn a_note_with_a_fault_is_not_made() {
        let _: [u32; note_words(2)] = note(&[DEVICES[0]; 2]);
    }

    #[test]
    #[should_panic(expected = "more than 63 devices")]
    fn a_note_of_far_too_many_devices_is_not_made() {
        let _: [u32; note_words(100)] = note(&[DEVICES[0]; 100]);
    }
}
