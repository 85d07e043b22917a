//! One mapped memfd: the only place that turns shared memory into words and copies.
//!
//! Invariants: the descriptor's size is sealed and at least as long as the mapping; offsets are
//! checked at each access; shared bytes are copied by raw pointer, and no reference to them is
//! ever formed. Deliberately absent: meaning.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};

use mainstay_ckpt::kernel::{Residency, copy_crc_raw};
use mainstay_comm::layout::LINE_BYTES;
use rustix::fs::{self, MemfdFlags, SealFlags};
use rustix::mm::{self, Advice, MapFlags, MprotectFlags, ProtFlags};

use super::large;

/// Whether a mapping may be written at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    ReadWrite,
}

/// A mapping of a whole memfd.
#[derive(Debug)]
pub(super) struct Memory {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Memory {}
// SAFETY: threads of one process share words only, which are atomics. Raw copies are a rank's, whose
// endpoint and arenas stay on one thread, and of arenas that nobody writes while they are drained;
// between processes their order is that of the rings' protocol.
unsafe impl Sync for Memory {}

/// A new memfd of `bytes` zero bytes that can neither grow nor shrink.
pub(super) fn create(name: &str, bytes: usize) -> io::Result<OwnedFd> {
    let fd = fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    fs::ftruncate(&fd, bytes as u64)?;
    fs::fcntl_add_seals(&fd, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(fd)
}

/// Checks that a received descriptor has at least `seals` and exactly `bytes`.
pub(super) fn check(fd: impl AsFd, seals: SealFlags, bytes: u64) -> io::Result<()> {
    let found = fs::fcntl_get_seals(&fd)?;
    if !found.contains(seals) {
        return Err(invalid(format!("seals {found:?} where {seals:?} are needed")));
    }
    let size = u64::try_from(fs::fstat(&fd)?.st_size).unwrap_or(0);
    if size != bytes {
        return Err(invalid(format!("{size} bytes where {bytes} are expected")));
    }
    Ok(())
}

pub(super) fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Memory {
    /// Maps the first `bytes` of a memfd whose size is sealed. `bytes` is not 0.
    pub(super) fn map(fd: impl AsFd, bytes: usize, access: Access) -> io::Result<Self> {
        check(&fd, SealFlags::SHRINK, bytes as u64)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        unsafe { Self::map_at(ptr::null_mut(), MapFlags::SHARED, (fd, bytes, access)) }
    }

    /// As [`Memory::map`], in a place for large pages if it is long enough. To be written, it is
    /// faulted in; in large pages if the memfd has no pages yet.
    pub(super) fn map_large(fd: impl AsFd, bytes: usize, access: Access) -> io::Result<Self> {
        let fresh = fs::fstat(&fd)?.st_blocks == 0;
        let memory = match bytes < large::LARGE_BYTES_MIN {
            true => Self::map(fd, bytes, access)?,
            false => {
                check(&fd, SealFlags::SHRINK, bytes as u64)?;
                let place = large::reserve(bytes)?;
                let flags = MapFlags::SHARED | MapFlags::FIXED;
                // SAFETY: what is replaced was reserved for this, and nothing lies there.
                unsafe { Self::map_at(place, flags, (fd, bytes, access)) }?
            }
        };
        if access == Access::ReadWrite {
            // SAFETY: the range is the shared mapping just made.
            unsafe { large::fault_in(memory.base, bytes, fresh) };
        }
        Ok(memory)
    }

    /// # Safety
    /// With `FIXED`, the place is the caller's, and nothing lies there.
    unsafe fn map_at(
        place: *mut u8,
        flags: MapFlags,
        (fd, bytes, access): (impl AsFd, usize, Access),
    ) -> io::Result<Self> {
        let prot = match access {
            Access::Read => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: the caller's promise.
        let base = unsafe { mm::mmap(place.cast(), bytes, prot, flags, fd, 0) }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| invalid("a mapping at address 0"))?;
        let memory = Self { base, bytes };
        // SAFETY: the range is the mapping just made; the advice concerns children only.
        unsafe { mm::madvise(base.as_ptr().cast(), bytes, Advice::LinuxDontFork) }?;
        Ok(memory)
    }

    /// Bytes mapped.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the mapping starts.
    pub(super) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Gives up write access outside the parts listed, each (start, length) in whole pages.
    pub(super) fn keep_writable(&self, parts: &[(usize, usize)]) -> io::Result<()> {
        self.protect((0, self.bytes), MprotectFlags::READ)?;
        for part in parts {
            self.protect(*part, MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
        Ok(())
    }

    fn protect(&self, (at, bytes): (usize, usize), flags: MprotectFlags) -> io::Result<()> {
        let start = self.at(at, bytes);
        // SAFETY: the range lies in this mapping; whoever narrows access also stops writing there.
        unsafe { mm::mprotect(start.cast(), bytes, flags) }?;
        Ok(())
    }

    /// Where a line at an offset lies.
    pub(super) fn place(&self, at: usize) -> *mut u8 {
        assert!(at.is_multiple_of(LINE_BYTES), "line at {at}");
        self.at(at, LINE_BYTES)
    }

    /// The 64-bit word at an offset.
    #[inline]
    pub(super) fn word64(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8), "word at {at}");
        let word = self.at(at, 8).cast();
        // SAFETY: aligned, inside the mapping, and accessed by all processes as an atomic only;
        // a word in pages that are mapped read-only is only loaded.
        unsafe { AtomicU64::from_ptr(word) }
    }

    /// The 64-bit words of the line at an offset.
    #[inline]
    pub(super) fn words(&self, at: usize) -> &[AtomicU64; LINE_BYTES / 8] {
        assert!(at.is_multiple_of(8), "words at {at}");
        let line = self.at(at, LINE_BYTES).cast();
        // SAFETY: aligned, inside the mapping, and accessed by all processes as atomics only; words in
        // pages that are mapped read-only are only loaded.
        unsafe { &*line }
    }

    /// The 32-bit word at an offset.
    #[inline]
    pub(super) fn word32(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4), "word at {at}");
        let word = self.at(at, 4).cast();
        // SAFETY: as for 64 bits.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// Stores a line at an offset, without a sum: it carries its own.
    #[inline]
    pub(super) fn put_line(&self, at: usize, line: &[u8; LINE_BYTES]) {
        let to = self.at(at, LINE_BYTES);
        // SAFETY: `to` has room for a line; the shared range is not the private array.
        unsafe { ptr::copy_nonoverlapping(line.as_ptr(), to, LINE_BYTES) };
    }

    /// Loads a line from an offset.
    #[inline]
    pub(super) fn line(&self, at: usize) -> [u8; LINE_BYTES] {
        let mut line = [0; LINE_BYTES];
        let from = self.at(at, LINE_BYTES);
        // SAFETY: `from` has a line; the shared range is not the private array.
        unsafe { ptr::copy_nonoverlapping(from, line.as_mut_ptr(), LINE_BYTES) };
        line
    }

    /// Asks the processor to fetch the line at an offset, which is read soon.
    #[inline]
    pub(super) fn fetch(&self, at: usize) {
        let line = self.at(at, 1);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 has the instruction, which changes nothing and faults at no address.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }

    /// Copies `from` to an offset.
    #[inline]
    pub(super) fn put(&self, at: usize, from: &[u8]) {
        let to = self.at(at, from.len());
        // SAFETY: `to` has room for `from`; the shared range is not the private slice.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }

    /// Copies from an offset into `to`.
    #[inline]
    pub(super) fn get(&self, at: usize, to: &mut [u8]) {
        let from = self.at(at, to.len());
        // SAFETY: `from` has so many bytes; the shared range is not the private slice.
        unsafe { ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
    }

    /// Copies `from` to an offset; the CRC-32C of `crc`'s bytes followed by these.
    #[inline]
    pub(super) fn copy_in(&self, at: usize, from: &[u8], crc: u32, hint: Residency) -> u32 {
        let to = self.at(at, from.len());
        // SAFETY: `to` has room for `from`; the shared range is not the private slice.
        unsafe { copy_crc_raw(to, from.as_ptr(), from.len(), crc, hint) }
    }

    /// Copies to an offset of another mapping; the CRC-32C of `crc`'s bytes followed by these.
    ///
    /// # Panics
    /// When the other is this one, as the two could overlap.
    pub(super) fn copy_across(
        &self,
        at: usize,
        (to, there): (&Self, usize),
        bytes: usize,
        crc: u32,
        hint: Residency,
    ) -> u32 {
        assert!(!ptr::eq(self, to), "a copy within one mapping");
        let (from, to) = (self.at(at, bytes), to.at(there, bytes));
        // SAFETY: both have so many bytes, and two mappings of one process do not overlap.
        unsafe { copy_crc_raw(to, from, bytes, crc, hint) }
    }

    /// Copies from an offset into `to`; the CRC-32C of `crc`'s bytes followed by these.
    #[inline]
    pub(super) fn copy_out(&self, at: usize, to: &mut [u8], crc: u32, hint: Residency) -> u32 {
        let from = self.at(at, to.len());
        // SAFETY: `from` has so many bytes; the shared range is not the private slice.
        unsafe { copy_crc_raw(to.as_mut_ptr(), from, to.len(), crc, hint) }
    }

    /// The address of `bytes` bytes at an offset.
    #[inline]
    fn at(&self, at: usize, bytes: usize) -> *mut u8 {
        let inside = at.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        assert!(inside, "{bytes} bytes at {at} of {}", self.bytes);
        // SAFETY: the offset lies inside the mapping or at its end.
        unsafe { self.base.as_ptr().add(at) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and what borrowed it is gone.
        let unmapped = unsafe { mm::munmap(self.base.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "a mapping is unmapped once");
    }
}
