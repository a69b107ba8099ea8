//! Page tables: those that other tenders' guests know (solo5-abi section 10.2), and those of guests
//! in ring 3, which the guest can neither see nor change.

use std::ops::Range;

use solo5_abi::constants::{LOAD_BASE, PAGE_SIZE};
use solo5_abi::hvt::BOOT_INFO;

use crate::load::Protection;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// Set from the start, so that the processor need not write to the tables.
const ACCESSED_AND_DIRTY: u64 = 3 << 5;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;

/// Bytes that an entry of a page directory covers.
const LARGE_PAGE: u64 = 2 << 20;
/// Bytes that an entry of a page directory pointer table covers.
const DIRECTORY: u64 = 1 << 30;

const TABLE_SIZE: usize = 4096;

type Table = [u64; 512];

/// Page tables under construction, to be put at one address in one piece.
#[derive(Debug)]
pub struct Tables {
    at: u64,
    tables: Vec<Table>,
}

/// What code in ring 3 may do with a page.
fn user_flags(protection: Protection) -> u64 {
    let Protection {
        read,
        write,
        execute,
    } = protection;
    let mut flags = USER | ACCESSED_AND_DIRTY;
    // What can be executed can be read as well: the processor knows no other way.
    if read || write || execute {
        flags |= PRESENT;
    }
    if write {
        flags |= WRITE;
    }
    if !execute {
        flags |= NO_EXECUTE;
    }
    flags
}

const DATA: Protection = Protection {
    read: true,
    write: true,
    execute: false,
};

const READ_ONLY: Protection = Protection {
    read: true,
    write: false,
    execute: false,
};

/// What a guest in ring 3 has, from low to high addresses.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// The end of boot information and what belongs to it.
    pub boot_end: u64,
    /// Segments of the image: whole pages in ascending order.
    pub segments: &'a [(Range<u64>, Protection)],
    /// End of guest memory.
    pub size: u64,
    /// The ring, behind guest memory.
    pub ring: Option<u64>,
    /// A page that must not be touched.
    pub guard: Option<u64>,
}

impl Layout<'_> {
    /// What the guest may do with the page at this address; `None` if it must not be there.
    fn page(&self, address: u64) -> Option<Protection> {
        if address < BOOT_INFO || Some(address) == self.guard {
            return None;
        }
        if address < LOAD_BASE {
            return (address < self.boot_end).then_some(READ_ONLY);
        }
        if address >= self.size {
            let ring = self.ring?;
            return (address < ring + solo5_abi::hvt::RING_AREA).then_some(DATA);
        }
        let behind = self
            .segments
            .partition_point(|(pages, _)| pages.end <= address);
        match self.segments.get(behind) {
            Some((pages, protection)) if pages.contains(&address) => Some(*protection),
            _ => Some(DATA),
        }
    }

    /// Whether all pages from `start` on, as many as a large page has, are the same.
    fn is_uniform(&self, start: u64) -> bool {
        let range = start..start + LARGE_PAGE;
        start >= LARGE_PAGE
            && !self.guard.is_some_and(|guard| range.contains(&guard))
            && !self
                .segments
                .iter()
                .any(|(pages, _)| pages.start < range.end && range.start < pages.end)
    }
}

impl Tables {
    /// No pages. The tables will be at this address.
    #[must_use]
    pub fn new(at: u64) -> Self {
        Self {
            at,
            tables: vec![[0; 512]],
        }
    }

    /// The tables of a guest in ring 3: its memory at its own address, as `layout` says.
    #[must_use]
    pub fn of_guest(at: u64, layout: Layout<'_>) -> Self {
        let mut tables = Self::new(at);
        let ring_end = layout.ring.map(|ring| ring + solo5_abi::hvt::RING_AREA);
        let end = ring_end.unwrap_or(layout.size).max(layout.size);
        let mut large = 0;
        while large < end {
            if layout.is_uniform(large) {
                let flags = user_flags(DATA) | LARGE;
                *tables.directory_entry(large) = large | flags;
            } else {
                for page in (large..large + LARGE_PAGE).step_by(TABLE_SIZE) {
                    if let Some(protection) = layout.page(page) {
                        tables.map(page, page, user_flags(protection), USER);
                    }
                }
            }
            large += LARGE_PAGE;
        }
        tables
    }

    /// Maps a page that only the tender's own code in the machine uses.
    pub fn map_supervisor(&mut self, virtual_address: u64, address: u64, protection: Protection) {
        let flags = user_flags(protection) & !USER;
        self.map(virtual_address, address, flags, 0);
    }

    /// Maps a page; `user` is [`USER`] or 0 for the tables on the way.
    fn map(&mut self, virtual_address: u64, address: u64, flags: u64, user: u64) {
        let entry = *self.directory_entry(virtual_address);
        let table = if entry & PRESENT == 0 {
            let table = self.add();
            let way = PRESENT | WRITE | user | ACCESSED_AND_DIRTY;
            *self.directory_entry(virtual_address) = self.address(table) | way;
            table
        } else {
            self.index(entry)
        };
        let slot = index_in(virtual_address, PAGE_SIZE);
        self.tables[table][slot] = address | flags;
    }

    /// The entry of the page directory for this address. Directories are made as needed; user code
    /// may pass through them, as the last table decides.
    fn directory_entry(&mut self, virtual_address: u64) -> &mut u64 {
        let mut table = 0;
        for covered in [512 * DIRECTORY, DIRECTORY] {
            let slot = index_in(virtual_address, covered);
            if self.tables[table][slot] & PRESENT == 0 {
                let next = self.add();
                let way = PRESENT | WRITE | USER | ACCESSED_AND_DIRTY;
                self.tables[table][slot] = self.address(next) | way;
            }
            table = self.index(self.tables[table][slot]);
        }
        let slot = index_in(virtual_address, LARGE_PAGE);
        &mut self.tables[table][slot]
    }

    fn add(&mut self) -> usize {
        self.tables.push([0; 512]);
        self.tables.len() - 1
    }

    fn address(&self, table: usize) -> u64 {
        self.at + (table * TABLE_SIZE) as u64
    }

    fn index(&self, entry: u64) -> usize {
        let offset = (entry & !NO_EXECUTE & !(PAGE_SIZE - 1)) - self.at;
        usize::try_from(offset).unwrap_or(0) / TABLE_SIZE
    }

    /// The tables as they go into memory. The first one is the root.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let words = self.tables.iter().flatten();
        words.flat_map(|entry| entry.to_le_bytes()).collect()
    }
}

/// The slot for an address in a table whose entries cover so many bytes each.
fn index_in(address: u64, covered: u64) -> usize {
    usize::try_from(address / covered % 512).unwrap_or(0)
}

/// Where the page tables of guests in ring 0 are.
pub const RING0_ROOT: u64 = 0x2000;

/// The tables of a guest in ring 0, to be put at [`RING0_ROOT`]: memory up to `end` at its own
/// address, without the first 64 KiB, read-only up to the image.
#[must_use]
pub fn ring0_tables(end: u64) -> Vec<u8> {
    const DIRECTORY_POINTERS: u64 = RING0_ROOT + 0x1000;
    const DIRECTORIES: u64 = RING0_ROOT + 0x2000;
    const FIRST_TABLE: u64 = RING0_ROOT + 0x6000;
    let mut words = vec![0u64; 7 * 512];
    words[0] = DIRECTORY_POINTERS | PRESENT | WRITE;
    for number in 0..4 {
        let directory = DIRECTORIES + number * PAGE_SIZE;
        words[512 + index_in(number, 1)] = directory | PRESENT | WRITE;
    }
    for large in (0..end).step_by(2 << 20) {
        let at = 2 * 512 + usize::try_from(large / LARGE_PAGE).unwrap_or(0);
        words[at] = if large == 0 {
            FIRST_TABLE | PRESENT | WRITE
        } else {
            large | PRESENT | WRITE | LARGE
        };
    }
    for page in (BOOT_INFO..LARGE_PAGE).step_by(TABLE_SIZE) {
        let flags = if page < LOAD_BASE {
            PRESENT
        } else {
            PRESENT | WRITE
        };
        words[6 * 512 + index_in(page, PAGE_SIZE)] = page | flags;
    }
    words.into_iter().flat_map(u64::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks tables as a processor does: the physical address and the flags of all levels together.
    fn walk(tables: &[u8], at: u64, address: u64) -> Option<(u64, u64)> {
        let entry = |table: u64, covered: u64| {
            let offset = usize::try_from(table - at).unwrap() + 8 * index_in(address, covered);
            u64::from_le_bytes(tables[offset..offset + 8].try_into().unwrap())
        };
        let mut table = at;
        let mut rights = USER | WRITE;
        let mut no_execute = 0;
        for covered in [512 * DIRECTORY, DIRECTORY, LARGE_PAGE, PAGE_SIZE] {
            let entry = entry(table, covered);
            if entry & PRESENT == 0 {
                return None;
            }
            rights &= entry;
            no_execute |= entry & NO_EXECUTE;
            table = entry & 0x000f_ffff_ffff_f000;
            if entry & LARGE != 0 || covered == PAGE_SIZE {
                return Some((table + address % covered, rights | no_execute));
            }
        }
        None
    }

    const TEXT: Protection = Protection {
        read: false,
        write: false,
        execute: true,
    };

    #[test]
    fn a_guest_in_ring_3_gets_what_its_segments_say_and_nothing_else() {
        const AT: u64 = 0x1_0000_0000;
        let segments = [
            (0x10_0000..0x10_3000, TEXT),
            (0x10_3000..0x10_4000, READ_ONLY),
            (0x10_4000..0x10_5000, DATA),
            (0x60_0000..0x60_1000, READ_ONLY),
        ];
        let layout = Layout {
            boot_end: 0x1_3000,
            segments: &segments,
            size: 0x100_0000,
            ring: Some(0x100_0000),
            guard: Some(0xff_8000),
        };
        let mut tables = Tables::of_guest(AT, layout);
        tables.map_supervisor(AT + 0x5000_0000, AT, READ_ONLY);
        let bytes = tables.bytes();
        let at = |address| walk(&bytes, AT, address);
        for absent in [
            0,
            8,
            0xf000,
            0x1_3000,
            0xf_ffff,
            0xff_8000,
            0xff_8fff,
            0x120_0000,
            1 << 40,
        ] {
            assert_eq!(at(absent), None, "{absent:#x}");
        }
        let (text, read, data) = (USER, USER | NO_EXECUTE, USER | WRITE | NO_EXECUTE);
        for (address, flags) in [
            (0x1_0000, read),
            (0x1_2fff, read),
            (0x10_0000, text),
            (0x10_2fff, text),
            (0x10_3000, read),
            (0x10_4000, data),
            (0x10_5000, data),
            (0x40_0000, data),
            (0x60_0000, read),
            (0x60_1000, data),
            (0x7f_ffff, data),
            (0xff_7fff, data),
            (0xff_9000, data),
            (0xff_fff8, data),
            (0x100_0000, data),
            (0x11f_ffff, data),
        ] {
            assert_eq!(at(address), Some((address, flags)), "{address:#x}");
        }
        assert_eq!(at(AT + 0x5000_0000), Some((AT, NO_EXECUTE)));
        assert_eq!(at(AT), None);
        // The heap has large pages: root, two levels for each of two areas, and four last tables.
        assert_eq!(bytes.len() / TABLE_SIZE, 1 + 1 + 2 + 4);
    }

    #[test]
    fn a_guest_in_ring_0_gets_what_upstream_gives_it() {
        let bytes = ring0_tables(0x60_0000);
        let at = |address| walk(&bytes, RING0_ROOT, address);
        for absent in [0, 0xffff, 0x60_0000, 1 << 32] {
            assert_eq!(at(absent), None, "{absent:#x}");
        }
        for (address, flags) in [
            (0x1_0000, 0),
            (0xf_ffff, 0),
            (0x10_0000, WRITE),
            (0x1f_ffff, WRITE),
            (0x20_0000, WRITE),
            (0x5f_ffff, WRITE),
        ] {
            assert_eq!(at(address), Some((address, flags)), "{address:#x}");
        }
        assert_eq!(ring0_tables(1 << 32).len(), bytes.len());
    }
}
