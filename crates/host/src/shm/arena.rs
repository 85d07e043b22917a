//! A checkpoint arena: memory of the supervisor's that one rank writes and the supervisor reads.
//!
//! Invariants: its size is sealed; its pages are faulted in when it is made, so the first capture
//! is as fast as any; bytes are copied in and out with their CRC and never borrowed, as the other
//! side may write them. Deliberately absent: formats and slots.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::memory::{self, Access, Memory};

/// A mapping of an arena.
#[derive(Debug)]
pub struct Arena {
    fd: OwnedFd,
    memory: Memory,
}

impl Arena {
    /// Makes an arena of at least `bytes` and faults its pages in: the supervisor's side.
    ///
    /// # Errors
    /// Whatever the kernel says, such as too little memory.
    pub fn create(bytes: usize) -> io::Result<Self> {
        let bytes = bytes
            .max(1)
            .checked_next_multiple_of(mainstay_comm::layout::PAGE_BYTES)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let fd = memory::create("mainstay-arena", bytes)?;
        let memory = Memory::map(&fd, bytes, Access::ReadWrite, true)?;
        Ok(Self { fd, memory })
    }

    /// Maps a received arena of `bytes` bytes, writable: the rank's side.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it has another size or could be resized.
    pub fn open(fd: OwnedFd, bytes: u64) -> io::Result<Self> {
        let bytes = usize::try_from(bytes).map_err(memory::invalid)?;
        let memory = Memory::map(&fd, bytes, Access::ReadWrite, true)?;
        Ok(Self { fd, memory })
    }

    /// Its capacity.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Copies `from` to an offset; the CRC-32C of the bytes summed in `crc` followed by these.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn copy_in(&self, at: usize, from: &[u8], crc: u32) -> u32 {
        self.memory.copy_in(at, from, crc)
    }

    /// Copies from an offset into `to`; the CRC-32C of the bytes summed in `crc` followed by these.
    ///
    /// # Panics
    /// When the arena has not so many bytes there.
    pub fn copy_out(&self, at: usize, to: &mut [u8], crc: u32) -> u32 {
        self.memory.copy_out(at, to, crc)
    }
}

impl AsFd for Arena {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
