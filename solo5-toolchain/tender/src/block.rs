//! Attaches files and block devices (solo5-abi section 9.2).

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use thiserror::Error;

use crate::errno::Strerror;

/// An attached file or block device.
#[derive(Debug)]
pub struct BlockFile {
    /// Open for reading and writing.
    pub fd: OwnedFd,
    /// Its size in bytes.
    pub capacity: u64,
}

/// Why a file cannot be attached.
#[derive(Debug, Error)]
pub enum BlockError {
    /// The host refuses to open it for reading and writing.
    #[error("Could not open block device: {}: {}", .0.to_string_lossy(), Strerror(.1))]
    Open(OsString, io::Error),
    /// It has no size, such as a pipe.
    #[error("{}: Could not determine capacity: {}", .0.to_string_lossy(), Strerror(.1))]
    Capacity(OsString, io::Error),
}

/// Attaches a file or a block device.
///
/// # Errors
///
/// It cannot be opened for reading and writing, or has no size.
pub fn attach(path: &OsStr) -> Result<BlockFile, BlockError> {
    let mut file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(path)
        .map_err(|error| BlockError::Open(path.into(), error))?;
    let capacity = file
        .seek(SeekFrom::End(0))
        .map_err(|error| BlockError::Capacity(path.into(), error))?;
    Ok(BlockFile {
        fd: file.into(),
        capacity,
    })
}
