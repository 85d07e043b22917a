//! A resident shared mapping, as an arena is one, and a plain copy out of it.
//!
//! Invariant: all pages are there and mapped before anything is timed. Deliberately absent:
//! checksums.

use std::io;
use std::ptr::{self, NonNull};

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// A mapping of a memfd of its own.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    /// A mapping of `bytes` bytes, none of them in a page of zeros.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub(crate) fn filled(bytes: usize) -> io::Result<Self> {
        let fd = rustix::fs::memfd_create("bench-source", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&fd, bytes as u64)?;
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { rustix::mm::mmap(ptr::null_mut(), bytes, prot, flags, &fd, 0) }?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        // SAFETY: the mapping was just made, is `bytes` long and writable.
        unsafe { ptr::write_bytes(base.as_ptr(), 0xA5, bytes) };
        Ok(Self { base, bytes })
    }

    /// Copies all of it with the C library's `memcpy`.
    pub(crate) fn copy_to(&self, to: &mut [u8]) {
        assert_eq!(to.len(), self.bytes, "a copy fills its destination");
        // SAFETY: both are so long, and a private slice does not overlap this mapping.
        unsafe { ptr::copy_nonoverlapping(self.base.as_ptr(), to.as_mut_ptr(), self.bytes) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own and nothing borrows from it.
        let _kept_till_exit = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
