//! Memory behind a raw pointer, as images are read from and written into it.
//!
//! Invariant: every access is checked against the length, and no reference to the memory is ever
//! formed, so that another process may own or share it. Deliberately absent: mapping and unmapping.

use std::marker::PhantomData;

use super::{Residency, copy_crc_raw};
use crate::format::memory::{ReadAt, Unreadable, WriteAt, beyond};

/// An arena or a mapped blob.
#[derive(Debug)]
pub struct RawMemory<'a> {
    base: *mut u8,
    len: usize,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> RawMemory<'a> {
    /// The memory of a slice, borrowed for as long as the value lives.
    pub fn of_slice(memory: &'a mut [u8]) -> Self {
        // SAFETY: the borrow keeps the memory valid, exclusive and apart from all other buffers.
        unsafe { Self::new(memory.as_mut_ptr(), memory.len()) }
    }

    /// Memory of `len` bytes at `base`.
    ///
    /// # Safety
    /// For as long as the value lives, the memory stays mapped and readable, and writable if it is
    /// used to write; no other thread of this process touches what a call reads or writes while it
    /// does; and no buffer given to a call lies in it.
    #[must_use]
    pub unsafe fn new(base: *mut u8, len: usize) -> Self {
        Self {
            base,
            len,
            borrowed: PhantomData,
        }
    }

    fn place(&self, at: u64, bytes: usize) -> Option<*mut u8> {
        let at = usize::try_from(at).ok()?;
        let end = at.checked_add(bytes)?;
        // SAFETY: `at` is at most `len`, which `new` was promised to be one piece of memory.
        (end <= self.len).then(|| unsafe { self.base.add(at) })
    }
}

impl ReadAt for RawMemory<'_> {
    fn bytes(&self) -> u64 {
        self.len as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8], hint: Residency) -> Result<u32, Unreadable> {
        let from = self.place(at, into.len());
        let from = from.ok_or_else(|| beyond(at, into.len()))?;
        // SAFETY: `place` has checked the range, and `into` lies outside by the promise to `new`.
        Ok(unsafe { copy_crc_raw(into.as_mut_ptr(), from, into.len(), 0, hint) })
    }
}

impl WriteAt for RawMemory<'_> {
    fn room(&self) -> u64 {
        self.len as u64
    }

    fn write_at(&mut self, at: u64, from: &[u8], hint: Residency) -> u32 {
        let to = self.place(at, from.len());
        let to = to.expect("writers stay within the room");
        // SAFETY: `place` has checked the range, and `from` lies outside by the promise to `new`.
        unsafe { copy_crc_raw(to, from.as_ptr(), from.len(), 0, hint) }
    }
}
