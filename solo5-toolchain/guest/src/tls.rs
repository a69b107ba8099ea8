//! The layout of a block of thread-local storage on x86_64 (solo5-abi section 15.4).
//!
//! From low to high addresses: the initialised variables, the zeroed ones, and one word, which the
//! thread pointer points to and which holds its own address. The linker scripts round the sizes up
//! so that the word follows the variables directly.

/// Sizes of what thread-local storage consists of.
#[derive(Clone, Copy, Debug)]
pub struct Tls {
    /// Bytes of initialised variables.
    pub data: usize,
    /// Bytes of zeroed variables.
    pub bss: usize,
}

impl Tls {
    /// Bytes of a block.
    #[must_use]
    pub const fn size(self) -> usize {
        self.data + self.bss + size_of::<usize>()
    }

    /// The thread pointer that belongs to the block at `block`.
    #[must_use]
    pub const fn thread_pointer(self, block: usize) -> usize {
        block.wrapping_add(self.data + self.bss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_pointer_is_the_last_word_of_the_block() {
        let tls = Tls {
            data: 4096,
            bss: 64,
        };
        assert_eq!(tls.size(), 4168);
        assert_eq!(tls.thread_pointer(0x20_0000) + 8, 0x20_0000 + tls.size());
        let none = Tls { data: 0, bss: 0 };
        assert_eq!((none.size(), none.thread_pointer(0x1000)), (8, 0x1000));
    }
}
