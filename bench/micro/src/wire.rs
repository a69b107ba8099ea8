//! A queue of frames in memory that is allocated once.

/// Bytes of the largest frame: MTU 1500 and the Ethernet header.
pub const FRAME: usize = 1514;
/// Room for the largest batch of the operations, and what answers it.
const SLOTS: usize = 256;

/// Frames on their way, oldest first.
#[derive(Debug)]
pub struct Wire {
    frames: Box<[[u8; FRAME]]>,
    lengths: [usize; SLOTS],
    first: usize,
    len: usize,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            frames: vec![[0; FRAME]; SLOTS].into_boxed_slice(),
            lengths: [0; SLOTS],
            first: 0,
            len: 0,
        }
    }
}

impl Wire {
    /// Appends a frame of `len` bytes and gives its place.
    ///
    /// # Panics
    /// If the queue is full or the frame too long: the operations are sized so that it does not
    /// happen.
    pub fn push(&mut self, len: usize) -> &mut [u8] {
        assert!(self.len < SLOTS, "more frames than a batch can cause");
        let at = (self.first + self.len) % SLOTS;
        self.len += 1;
        self.lengths[at] = len;
        &mut self.frames[at][..len]
    }

    /// Takes the oldest frame.
    pub fn pop(&mut self) -> Option<&[u8]> {
        let at = self.first;
        self.len = self.len.checked_sub(1)?;
        self.first = (at + 1) % SLOTS;
        Some(&self.frames[at][..self.lengths[at]])
    }

    /// Whether no frame is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
