//! The `crc32` instruction in three lanes, to hide its latency of three cycles.
//!
//! Invariant: every word is loaded once; the same register is stored and summed.

use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u32, _mm_crc32_u64, _mm_sfence, _mm_stream_si64};

use super::poly::{shift, shift_table};

/// Bytes of a lane.
const LANE_BYTES: usize = 1024;
const BLOCK_BYTES: usize = 3 * LANE_BYTES;
static SHIFT_LANE: [[u32; 256]; 4] = shift_table(LANE_BYTES);

/// # Safety
/// As [`copy_crc_raw`](super::copy_crc_raw), on a processor with SSE 4.2.
#[target_feature(enable = "sse4.2")]
pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize, crc: u32, stream: bool) -> u32 {
    // Non-temporal stores go to aligned words.
    let head = if stream { dst.align_offset(8).min(len) } else { 0 };
    // SAFETY: the first `head` bytes of the caller's memory.
    let mut register = unsafe { words(dst, src, head, !crc) };
    let mut at = head;
    while len - at >= BLOCK_BYTES {
        // SAFETY: a block is left from `at`.
        let to = unsafe { dst.add(at) };
        // SAFETY: a block is left from `at`.
        let from = unsafe { src.add(at) };
        register = if stream {
            // SAFETY: a block is left, and `to` is aligned because `head` and a block are.
            unsafe { block::<true>(to, from, register) }
        } else {
            // SAFETY: a block is left.
            unsafe { block::<false>(to, from, register) }
        };
        at += BLOCK_BYTES;
    }
    if stream {
        // Orders the non-temporal stores before whatever publishes the copy.
        _mm_sfence();
    }
    // SAFETY: at most `len`, within the caller's memory.
    let to = unsafe { dst.add(at) };
    // SAFETY: at most `len`, within the caller's memory.
    let from = unsafe { src.add(at) };
    // SAFETY: `len - at` bytes are left.
    !unsafe { words(to, from, len - at, register) }
}

/// The CRC-32C of an array.
#[target_feature(enable = "sse4.2")]
pub(super) fn sum<const N: usize>(bytes: &[u8; N]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let (halves, rest) = rest.as_chunks::<4>();
    let fold = |sum, word: &[u8; 8]| _mm_crc32_u64(sum, u64::from_le_bytes(*word));
    let mut register = words.iter().fold(u64::from(u32::MAX), fold) as u32;
    for half in halves {
        register = _mm_crc32_u32(register, u32::from_le_bytes(*half));
    }
    for byte in rest {
        register = _mm_crc32_u8(register, *byte);
    }
    !register
}

/// Copies `len` bytes and folds them into a register, word by word.
///
/// # Safety
/// As [`copy_crc_raw`](super::copy_crc_raw), on a processor with SSE 4.2.
#[target_feature(enable = "sse4.2")]
pub(super) unsafe fn words(dst: *mut u8, src: *const u8, len: usize, register: u32) -> u32 {
    let mut register = u64::from(register);
    let mut at = 0;
    while len - at >= 8 {
        // SAFETY: eight bytes are left from `at` in both.
        register = unsafe { word::<false>(dst, src, at, register) };
        at += 8;
    }
    let mut register = register as u32;
    while at < len {
        // SAFETY: a byte is left at `at`.
        let from = unsafe { src.add(at) };
        // SAFETY: a byte is left at `at`.
        let to = unsafe { dst.add(at) };
        // SAFETY: readable by the caller's promise.
        let byte = unsafe { from.read() };
        // SAFETY: writable by the caller's promise.
        unsafe { to.write(byte) };
        register = _mm_crc32_u8(register, byte);
        at += 1;
    }
    register
}

/// # Safety
/// A block is readable at `src` and writable at `dst`, which is a multiple of 8 if `STREAM`.
#[target_feature(enable = "sse4.2")]
unsafe fn block<const STREAM: bool>(dst: *mut u8, src: *const u8, register: u32) -> u32 {
    let (mut a, mut b, mut c) = (u64::from(register), 0, 0);
    for at in (0..LANE_BYTES).step_by(8) {
        // SAFETY: the first lane of the block.
        a = unsafe { word::<STREAM>(dst, src, at, a) };
        // SAFETY: the second lane of the block.
        b = unsafe { word::<STREAM>(dst, src, at + LANE_BYTES, b) };
        // SAFETY: the third lane of the block.
        c = unsafe { word::<STREAM>(dst, src, at + 2 * LANE_BYTES, c) };
    }
    let ab = shift(&SHIFT_LANE, a as u32) ^ b as u32;
    shift(&SHIFT_LANE, ab) ^ c as u32
}

/// # Safety
/// Eight bytes are readable at `src + at` and writable at `dst + at`, which is a multiple of 8 if
/// `STREAM`.
#[inline]
#[target_feature(enable = "sse4.2")]
unsafe fn word<const STREAM: bool>(dst: *mut u8, src: *const u8, at: usize, register: u64) -> u64 {
    // SAFETY: within the caller's source.
    let from = unsafe { src.add(at) }.cast::<u64>();
    // SAFETY: within the caller's destination.
    let to = unsafe { dst.add(at) }.cast::<u64>();
    // SAFETY: eight readable bytes, of any alignment.
    let word = unsafe { from.read_unaligned() };
    if STREAM {
        // SAFETY: eight writable bytes, aligned by the caller's promise; the caller fences.
        unsafe { _mm_stream_si64(to.cast(), word as i64) };
    } else {
        // SAFETY: eight writable bytes, of any alignment.
        unsafe { to.write_unaligned(word) };
    }
    _mm_crc32_u64(register, word)
}
