//! Immutable bytes in a sealed memfd: inputs, late messages, results.
//!
//! Invariant: a blob that can be read as a slice is sealed against every change, so the slice is
//! as constant as any other. Deliberately absent: what the bytes mean.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, MemfdFlags, SealFlags};

use super::memory::{self, Access, Memory};

const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK);

/// A sealed descriptor and its bytes, mapped read-only.
#[derive(Debug)]
pub struct Blob {
    fd: OwnedFd,
    memory: Option<Memory>,
}

impl Blob {
    /// Copies the parts, one behind the other, into a new blob.
    ///
    /// # Errors
    /// Whatever the kernel says, such as too little memory.
    pub fn create(name: &str, parts: &[&[u8]]) -> io::Result<Self> {
        let fd = fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut bytes = 0;
        for part in parts {
            write_all(&fd, part)?;
            bytes += part.len() as u64;
        }
        fs::fcntl_add_seals(&fd, SEALS | SealFlags::SEAL)?;
        Self::open(fd, bytes)
    }

    /// Maps a received blob of `bytes` bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it has another size or could still change.
    pub fn open(fd: OwnedFd, bytes: u64) -> io::Result<Self> {
        memory::check(&fd, SEALS, bytes)?;
        let bytes = usize::try_from(bytes).map_err(memory::invalid)?;
        let memory = match bytes {
            0 => None,
            _ => Some(Memory::map(&fd, bytes, Access::Read)?),
        };
        Ok(Self { fd, memory })
    }

    /// CRC-32C of the bytes.
    #[must_use]
    pub fn crc(&self) -> u32 {
        mainstay_types::crc32c(self)
    }
}

impl AsFd for Blob {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let Some(memory) = &self.memory else {
            return &[];
        };
        // SAFETY: the mapping lives as long as `self`, and its file is sealed against writing.
        unsafe { std::slice::from_raw_parts(memory.base(), memory.bytes()) }
    }
}

fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
