//! A block device of Solo5 for the database ekv, which is made for flash memory: pages that are erased
//! as a whole, and then written in parts.

use alloc::string::String;
use alloc::{format, vec};

use ekv::config::{ERASE_VALUE, MAX_PAGE_COUNT, PAGE_SIZE};
use ekv::flash::{Flash, PageID};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use solo5::{Block, BlockError};

/// A database on a disk. One thread, so no lock is needed.
pub type Database = ekv::Database<Disk, NoopRawMutex>;

/// A disk whose blocks are no larger than a page.
pub struct Disk {
    block: Block,
    block_size: usize,
    pages: usize,
}

impl Disk {
    /// # Errors
    /// Its blocks are too large, or there are too few.
    pub fn new(block: Block) -> Result<Self, String> {
        let info = *block.info();
        if !PAGE_SIZE.is_multiple_of(info.block_size) {
            return Err(format!("blocks of {} bytes are too large", info.block_size));
        }
        let pages = usize::try_from(info.capacity / PAGE_SIZE as u64).unwrap_or(MAX_PAGE_COUNT);
        // What a database of this kind needs to move its data about.
        if pages < 64 {
            return Err(format!("a disk of {} bytes is too small", info.capacity));
        }
        Ok(Self {
            block,
            block_size: info.block_size,
            pages: pages.min(MAX_PAGE_COUNT),
        })
    }

    /// Whether nothing was ever written to it: it is one value throughout. Looks at all of it, since a
    /// database begins at any page.
    ///
    /// # Errors
    /// The host could not read it.
    pub fn is_blank(&mut self) -> Result<bool, BlockError> {
        let mut page = vec![0; PAGE_SIZE];
        for place in 0..self.pages {
            self.block.read((place * PAGE_SIZE) as u64, &mut page)?;
            let blank = |value: u8| page.iter().all(|byte| *byte == value);
            if !blank(0) && !blank(ERASE_VALUE) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where a page begins.
    fn start(page: PageID) -> u64 {
        (page.index() * PAGE_SIZE) as u64
    }

    /// The blocks that a part of a page lies in: their place in the page, and their bytes.
    fn around(&self, offset: usize, len: usize) -> (usize, usize) {
        let first = offset - offset % self.block_size;
        let end = (offset + len).next_multiple_of(self.block_size);
        (first, end - first)
    }
}

impl Flash for Disk {
    type Error = BlockError;

    fn page_count(&self) -> usize {
        self.pages
    }

    async fn erase(&mut self, page: PageID) -> Result<(), BlockError> {
        self.block
            .write(Self::start(page), &[ERASE_VALUE; PAGE_SIZE])
    }

    async fn read(
        &mut self,
        page: PageID,
        offset: usize,
        data: &mut [u8],
    ) -> Result<(), BlockError> {
        let (first, len) = self.around(offset, data.len());
        let mut blocks = [0; PAGE_SIZE];
        let blocks = &mut blocks[..len];
        self.block.read(Self::start(page) + first as u64, blocks)?;
        data.copy_from_slice(&blocks[offset - first..][..data.len()]);
        Ok(())
    }

    /// The rest of a block is written again as it was. A disk writes a block whole or not at all, and
    /// one that does not leaves the bytes that are the same as they were: what ekv asks for holds.
    async fn write(&mut self, page: PageID, offset: usize, data: &[u8]) -> Result<(), BlockError> {
        let (first, len) = self.around(offset, data.len());
        let mut blocks = [0; PAGE_SIZE];
        let blocks = &mut blocks[..len];
        let start = Self::start(page) + first as u64;
        self.block.read(start, blocks)?;
        blocks[offset - first..][..data.len()].copy_from_slice(data);
        self.block.write(start, blocks)
    }
}

/// Opens the database of a disk. A blank disk gets an empty one; on a disk with something else nothing
/// is touched.
///
/// # Errors
/// There is something else on the disk, or the host fails.
pub async fn open(mut disk: Disk, random: u32) -> Result<Database, String> {
    let blank = disk.is_blank().map_err(|error| format!("{error}"))?;
    let mut config = ekv::Config::default();
    config.random_seed = random;
    let database = Database::new(disk, config);
    if blank {
        let formatted = database.format().await;
        formatted.map_err(|error| format!("the disk cannot be formatted: {error:?}"))?;
    }
    match database.mount().await {
        Ok(()) => Ok(database),
        Err(error) => Err(format!("there is no database on the disk: {error:?}")),
    }
}
