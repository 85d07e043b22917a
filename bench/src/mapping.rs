//! A resident shared mapping, as an arena or a ring is one, and plain copies into and out of it.
//!
//! Invariant: all pages are there and mapped before anything is timed. Deliberately absent:
//! checksums, and order between processes; whoever shares a mapping keeps order with its words.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// A mapping of a memfd.
pub struct Mapping {
    file: File,
    base: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    /// A mapping of a new memfd of `bytes` bytes, none of them in a page of zeros.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn filled(bytes: usize) -> io::Result<Self> {
        let mapping = Self::zeroed(bytes)?;
        // SAFETY: the mapping was just made, is `bytes` long and writable.
        unsafe { ptr::write_bytes(mapping.base.as_ptr(), 0xA5, bytes) };
        Ok(mapping)
    }

    /// The same, of zeros.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn zeroed(bytes: usize) -> io::Result<Self> {
        let fd = rustix::fs::memfd_create("bench-memory", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&fd, bytes as u64)?;
        Self::shared(fd.into(), bytes)
    }

    /// A mapping of the first `bytes` bytes of a file that is so long.
    ///
    /// # Errors
    /// A shorter file, and whatever the kernel says.
    pub fn shared(file: File, bytes: usize) -> io::Result<Self> {
        if file.metadata()?.len() < bytes as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        let flags = flags | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let base =
            unsafe { rustix::mm::mmap(ptr::null_mut(), bytes, prot, flags, file.as_fd(), 0) }?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { file, base, bytes })
    }

    /// What is mapped, for another process.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The word at this place, a multiple of 8.
    ///
    /// # Panics
    /// Outside of the mapping.
    #[must_use]
    pub fn word(&self, at: usize) -> &AtomicU64 {
        let place = self.place(at, size_of::<AtomicU64>());
        assert!(at.is_multiple_of(align_of::<AtomicU64>()), "a word at {at} is not aligned");
        // SAFETY: the mapping lives as long as `self`, is aligned to a page, and has a word there.
        unsafe { AtomicU64::from_ptr(place.cast()) }
    }

    /// Copies these bytes to a place that nobody else touches meanwhile.
    ///
    /// # Panics
    /// Outside of the mapping.
    pub fn write(&self, at: usize, from: &[u8]) {
        let to = self.place(at, from.len());
        // SAFETY: `place` checked the room, and a private slice does not overlap this mapping.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }

    /// Copies bytes from a place that nobody else touches meanwhile.
    ///
    /// # Panics
    /// Outside of the mapping.
    pub fn read(&self, at: usize, to: &mut [u8]) {
        let from = self.place(at, to.len());
        // SAFETY: `place` checked the room, and a private slice does not overlap this mapping.
        unsafe { ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
    }

    fn place(&self, at: usize, bytes: usize) -> *mut u8 {
        let inside = at.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        assert!(inside, "{bytes} bytes at {at} are outside of {}", self.bytes);
        // SAFETY: the place was just found to lie inside the mapping.
        unsafe { self.base.as_ptr().add(at) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own and nothing borrows from it.
        let _kept_till_exit = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
