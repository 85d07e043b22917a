//! The kernel for every processor, and the twin that the others are compared with.
//!
//! Invariant: the sum is taken over a private copy, so that it is that of the bytes stored even if
//! another process writes the source meanwhile.

use mainstay_types::crc32c_append;

const BLOCK_BYTES: usize = 4096;

/// # Safety
/// As [`copy_crc_raw`](super::copy_crc_raw).
pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize, mut crc: u32) -> u32 {
    let mut block = [0; BLOCK_BYTES];
    let mut at = 0;
    while at < len {
        let part = &mut block[..BLOCK_BYTES.min(len - at)];
        // SAFETY: `at` is below `len`, so it lies within the caller's source.
        let from = unsafe { src.add(at) };
        // SAFETY: `at` is below `len`, so it lies within the caller's destination.
        let to = unsafe { dst.add(at) };
        // SAFETY: `part.len()` bytes are left from `at` in the source; the block is ours.
        unsafe { from.copy_to_nonoverlapping(part.as_mut_ptr(), part.len()) };
        crc = crc32c_append(crc, part);
        // SAFETY: `part.len()` bytes are left from `at` in the destination; the block is ours.
        unsafe { to.copy_from_nonoverlapping(part.as_ptr(), part.len()) };
        at += part.len();
    }
    crc
}
