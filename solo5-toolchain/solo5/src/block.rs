//! Block devices.

use core::mem::MaybeUninit;

use solo5_sys::{
    solo5_block_acquire, solo5_block_info, solo5_block_read, solo5_block_write, solo5_result_t,
};

use crate::device::{AcquireError, Owned};

/// Properties of a block device. They do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Size of the device in bytes, a multiple of `block_size`.
    pub capacity: u64,
    /// Unit of transfer in bytes: a power of two, 512 or more.
    pub block_size: usize,
}

/// Why nothing, or not everything, was transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Offset or length is not a multiple of the block size. The host was not asked.
    #[error("offset and length must be multiples of the block size")]
    Misaligned,
    /// The blocks reach beyond the capacity. The host was not asked.
    #[error("beyond the end of the device")]
    OutOfRange,
    /// The host failed. Blocks before the one that failed were transferred; the others were not.
    #[error("the host could not transfer a block")]
    Host,
}

/// A block device that belongs to the holder of this value.
#[derive(Debug)]
pub struct Block {
    device: Owned,
    info: BlockInfo,
}

impl Block {
    /// Acquires the device that the manifest calls `name`, of type `BLOCK_BASIC`.
    ///
    /// Dropping the value gives the device back.
    ///
    /// # Errors
    ///
    /// See [`AcquireError`].
    pub fn acquire(name: &str) -> Result<Self, AcquireError> {
        let mut info = MaybeUninit::<solo5_block_info>::zeroed();
        let device = Owned::acquire(name, |name, handle| {
            // SAFETY: the name is NUL terminated, and both outputs may be written.
            unsafe { solo5_block_acquire(name, handle, info.as_mut_ptr()) }
        })?;
        // SAFETY: all zeroes is a value of this type, and so is what the bindings made of it.
        let info = unsafe { info.assume_init() };
        let info = BlockInfo {
            capacity: info.capacity,
            block_size: usize::try_from(info.block_size).map_err(|_| AcquireError::NoSuchDevice)?,
        };
        Ok(Self { device, info })
    }

    /// The device's properties.
    #[must_use]
    pub const fn info(&self) -> &BlockInfo {
        &self.info
    }

    /// Fills `buffer`, one or several blocks, from `offset` on. Returns when it is done.
    ///
    /// # Errors
    ///
    /// See [`BlockError`].
    pub fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), BlockError> {
        self.check(offset, buffer.len())?;
        let handle = self.device.handle().raw();
        let blocks = buffer.chunks_exact_mut(self.info.block_size);
        for (block, at) in blocks.zip((offset..).step_by(self.info.block_size)) {
            // SAFETY: the bindings write `block.len()` bytes to `block`.
            let result = unsafe { solo5_block_read(handle, at, block.as_mut_ptr(), block.len()) };
            outcome(result)?;
        }
        Ok(())
    }

    /// Writes `data`, one or several blocks, from `offset` on. Returns when the host has it, which
    /// does not mean that it is on stable storage.
    ///
    /// # Errors
    ///
    /// See [`BlockError`].
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), BlockError> {
        self.check(offset, data.len())?;
        let handle = self.device.handle().raw();
        let blocks = data.chunks_exact(self.info.block_size);
        for (block, at) in blocks.zip((offset..).step_by(self.info.block_size)) {
            // SAFETY: the bindings read `block.len()` bytes of `block`.
            let result = unsafe { solo5_block_write(handle, at, block.as_ptr(), block.len()) };
            outcome(result)?;
        }
        Ok(())
    }

    /// Whether `[offset, offset + len)` are whole blocks of the device.
    fn check(&self, offset: u64, len: usize) -> Result<(), BlockError> {
        let block_size = self.info.block_size as u64;
        let len = len as u64;
        if block_size == 0 || !offset.is_multiple_of(block_size) || !len.is_multiple_of(block_size)
        {
            return Err(BlockError::Misaligned);
        }
        match offset.checked_add(len) {
            Some(end) if end <= self.info.capacity => Ok(()),
            _ => Err(BlockError::OutOfRange),
        }
    }
}

/// What one transfer of the C interface means.
fn outcome(result: solo5_result_t) -> Result<(), BlockError> {
    match result {
        solo5_result_t::SOLO5_R_OK => Ok(()),
        _ => Err(BlockError::Host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::World;

    #[test]
    fn what_was_written_is_read_back_block_by_block() {
        let _world = World::new();
        let mut disk = Block::acquire("storage").unwrap();
        assert_eq!((disk.info().capacity, disk.info().block_size), (4096, 512));
        let mut data = [0; 1024];
        data[..512].fill(1);
        data[512..].fill(2);
        disk.write(512, &data).unwrap();
        let mut back = [9; 2048];
        disk.read(0, &mut back).unwrap();
        assert!(back[..512].iter().all(|&byte| byte == 0));
        assert_eq!(back[512..1536], data);
        assert!(back[1536..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn only_whole_blocks_inside_the_device_are_asked_for() {
        let _world = World::new();
        let mut disk = Block::acquire("storage").unwrap();
        assert_eq!(disk.write(0, &[0; 511]), Err(BlockError::Misaligned));
        assert_eq!(disk.write(0, &[0; 513]), Err(BlockError::Misaligned));
        assert_eq!(disk.read(1, &mut [0; 512]), Err(BlockError::Misaligned));
        assert_eq!(disk.read(4096, &mut [0; 512]), Err(BlockError::OutOfRange));
        assert_eq!(disk.write(3584, &[0; 1024]), Err(BlockError::OutOfRange));
        let last = u64::MAX - 511;
        assert_eq!(disk.read(last, &mut [0; 512]), Err(BlockError::OutOfRange));
        assert_eq!(disk.read(3584, &mut [0; 512]), Ok(()));
    }

    #[test]
    fn a_failing_host_is_an_error_of_its_own() {
        let world = World::new();
        let mut disk = Block::acquire("storage").unwrap();
        world.host_fails();
        assert_eq!(disk.write(0, &[0; 512]), Err(BlockError::Host));
        assert_eq!(disk.read(0, &mut [0; 512]), Err(BlockError::Host));
    }

    #[test]
    fn a_device_has_one_owner_and_a_type() {
        let _world = World::new();
        let _disk = Block::acquire("storage").unwrap();
        assert_eq!(Block::acquire("storage").err(), Some(AcquireError::InUse));
        assert_eq!(
            Block::acquire("service").err(),
            Some(AcquireError::NoSuchDevice)
        );
    }
}
