//! Where things are in the memory of a guest (solo5-abi sections 2.3 and 15.1).

use core::fmt;

use solo5_abi::constants::{MIN_FREE_MEMORY, PAGE_SIZE};

/// The borders of a guest's memory, from low to high addresses.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Where the image starts, with its code.
    pub text: u64,
    /// Where its read-only data starts.
    pub rodata: u64,
    /// Where its data starts.
    pub data: u64,
    /// Where it ends.
    pub end: u64,
    /// Where memory ends; its size.
    pub size: u64,
}

/// The image leaves less than 512 KiB for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotEnoughMemory;

impl Memory {
    /// The application's memory: address and size in bytes. The stack is inside, at its end.
    ///
    /// # Errors
    ///
    /// It would have less than 512 KiB.
    pub fn heap(&self) -> Result<(usize, usize), NotEnoughMemory> {
        let start = self.end.checked_next_multiple_of(PAGE_SIZE);
        let start = start.ok_or(NotEnoughMemory)?;
        let size = self.size.checked_sub(start).ok_or(NotEnoughMemory)?;
        if size < MIN_FREE_MEMORY {
            return Err(NotEnoughMemory);
        }
        // There is not more memory than addresses.
        let as_usize = |value| usize::try_from(value).map_err(|_| NotEnoughMemory);
        Ok((as_usize(start)?, as_usize(size)?))
    }
}

/// The memory map as it is printed at start, a line for each part.
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heap = self.end.saturating_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1);
        let parts = [
            ("reserved", 0, self.text),
            ("text", self.text, self.rodata),
            ("rodata", self.rodata, self.data),
            ("data", self.data, self.end),
        ];
        let megabytes = self.size >> 20;
        writeln!(f, "Solo5: Memory map: {megabytes} MB addressable:")?;
        for (name, start, end) in parts {
            let last = end.saturating_sub(1);
            writeln!(f, "Solo5: {name:>10} @ ({start:#x} - {last:#x})")?;
        }
        let size = self.size;
        writeln!(f, "Solo5:       heap >= {heap:#x} < stack < {size:#x}")
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    const MEMORY: Memory = Memory {
        text: 0x10_0000,
        rodata: 0x10_3000,
        data: 0x10_5000,
        end: 0x10_8000,
        size: 0x20_0000,
    };

    #[test]
    fn the_heap_starts_on_the_page_behind_the_image_and_takes_the_rest() {
        assert_eq!(MEMORY.heap(), Ok((0x10_8000, 0xf_8000)));
        let end = 0x10_8001;
        assert_eq!(Memory { end, ..MEMORY }.heap(), Ok((0x10_9000, 0xf_7000)));
    }

    #[test]
    fn less_than_512_kib_is_not_enough() {
        let size = 0x10_8000 + 0x8_0000;
        assert_eq!(Memory { size, ..MEMORY }.heap(), Ok((0x10_8000, 0x8_0000)));
        for size in [size - 1, 0x10_8000, 0x10_0000, 0] {
            assert_eq!(Memory { size, ..MEMORY }.heap(), Err(NotEnoughMemory));
        }
        let end = u64::MAX;
        assert_eq!(Memory { end, ..MEMORY }.heap(), Err(NotEnoughMemory));
    }

    #[test]
    fn the_map_is_printed_as_documented() {
        assert_eq!(
            MEMORY.to_string(),
            "Solo5: Memory map: 2 MB addressable:\n\
             Solo5:   reserved @ (0x0 - 0xfffff)\n\
             Solo5:       text @ (0x100000 - 0x102fff)\n\
             Solo5:     rodata @ (0x103000 - 0x104fff)\n\
             Solo5:       data @ (0x105000 - 0x107fff)\n\
             Solo5:       heap >= 0x108000 < stack < 0x200000\n"
        );
    }
}
