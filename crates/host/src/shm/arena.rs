//! A checkpoint arena: memory that one rank writes and its supervisor owns and reads.
//!
//! Invariants: its size is sealed; the rank faults its pages in when it maps it, so the first
//! capture is as fast as any and the supervisor never waits for the kernel to clear pages; bytes
//! are copied in and out with their CRC and never borrowed, as the other side may change them.
//! Deliberately absent: formats and slots.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mainstay_ckpt::format::memory::{ReadAt, Unreadable, WriteAt};
use mainstay_ckpt::kernel::Residency;
use mainstay_comm::layout::PAGE_BYTES;

use super::memory::{self, Access, Memory};

/// Memory for an arena of at least `bytes`, and how many there are. Nothing is mapped yet.
///
/// # Errors
/// Whatever the kernel says, such as too many descriptors.
pub fn allocate_arena(bytes: u64) -> io::Result<(OwnedFd, u64)> {
    let bytes = usize::try_from(bytes.max(1)).map_err(memory::invalid)?;
    let bytes = bytes.checked_next_multiple_of(PAGE_BYTES).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((memory::create("mainstay-arena", bytes)?, bytes as u64))
}

/// Memory of `bytes` bytes for a window, through which two processes hand each other pieces.
///
/// # Errors
/// Whatever the kernel says, such as too many descriptors.
pub fn allocate_window(bytes: usize) -> io::Result<OwnedFd> {
    memory::create("mainstay-window", bytes)
}

/// A mapping of an arena, or of a window.
#[derive(Debug)]
pub struct Arena {
    fd: OwnedFd,
    memory: Memory,
}

impl Arena {
    /// Maps an arena of `bytes` bytes to write it, with its pages faulted in: the rank's side.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it has another size or could be resized.
    pub fn writable(fd: OwnedFd, bytes: u64) -> io::Result<Self> {
        Self::map(fd, bytes, Access::ReadWrite)
    }

    /// Maps an arena to read it: the side of the supervisor's drain.
    ///
    /// # Errors
    /// As [`Arena::writable`].
    pub fn readable(fd: OwnedFd, bytes: u64) -> io::Result<Self> {
        Self::map(fd, bytes, Access::Read)
    }

    fn map(fd: OwnedFd, bytes: u64, access: Access) -> io::Result<Self> {
        let bytes = usize::try_from(bytes).map_err(memory::invalid)?;
        let memory = Memory::map_large(&fd, bytes, access)?;
        Ok(Self { fd, memory })
    }
}

impl Arena {
    /// Copies bytes to an offset of another mapping; gives the CRC-32C of `crc`'s bytes followed by these.
    ///
    /// # Errors
    /// [`Unreadable`] when there are not so many here.
    ///
    /// # Panics
    /// When they do not fit there.
    pub fn copy_to(
        &self,
        at: u64,
        (to, there): (&Self, u64),
        bytes: usize,
        crc: u32,
    ) -> Result<u32, Unreadable> {
        self.check(at, bytes)?;
        let there = (&to.memory, offset(there));
        Ok(self.memory.copy_across(offset(at), there, bytes, crc, Residency::Cached))
    }

    /// Copies bytes to an offset; gives the CRC-32C of `crc`'s bytes followed by these.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn put(&self, at: u64, bytes: &[u8], crc: u32) -> u32 {
        self.memory.copy_in(offset(at), bytes, crc, Residency::Cached)
    }

    fn check(&self, at: u64, bytes: usize) -> Result<(), Unreadable> {
        let end = at.checked_add(bytes as u64);
        if end.is_none_or(|end| end > self.bytes()) {
            let (bytes, why) = (bytes as u64, "they lie beyond the arena".to_owned());
            return Err(Unreadable { at, bytes, why });
        }
        Ok(())
    }
}

impl AsFd for Arena {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl ReadAt for Arena {
    fn bytes(&self) -> u64 {
        self.memory.bytes() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8], hint: Residency) -> Result<u32, Unreadable> {
        self.check(at, into.len())?;
        Ok(self.memory.copy_out(offset(at), into, 0, hint))
    }
}

/// Through a shared reference, as the mapping is shared memory anyway.
impl WriteAt for &Arena {
    fn room(&self) -> u64 {
        self.memory.bytes() as u64
    }

    fn write_at(&mut self, at: u64, from: &[u8], hint: Residency) -> u32 {
        self.memory.copy_in(offset(at), from, 0, hint)
    }

    fn sum_at(&self, at: u64, bytes: usize) -> u32 {
        // Shared bytes are never borrowed: they are summed as they are copied, to a place that stays
        // in the nearest cache.
        let mut piece = [0; PAGE_BYTES];
        let mut sum = 0;
        for start in (0..bytes).step_by(PAGE_BYTES) {
            let piece = &mut piece[..(bytes - start).min(PAGE_BYTES)];
            sum = self.memory.copy_out(offset(at) + start, piece, sum, Residency::Cached);
        }
        sum
    }
}

fn offset(at: u64) -> usize {
    usize::try_from(at).expect("offsets lie within a mapping")
}
