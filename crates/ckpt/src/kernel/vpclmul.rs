//! Folding by carry-less multiplication, four registers of 256 bits at a time.
//!
//! A register holds two polynomials of degree below 128, reflected; folding one forward by d bits
//! multiplies its halves by x^(d+64) and x^d modulo the CRC's polynomial and leaves the remainder
//! of the whole unchanged. The last 128 bits go through the `crc32` instruction.
//!
//! Invariant: every register is loaded once; the same register is stored and summed.
//!
//! # Source
//! Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction",
//! Intel, 2009; the constants come from [`poly`](super::poly).

use std::arch::x86_64::{
    __m128i, __m256i, _mm_clmulepi64_si128, _mm_crc32_u64, _mm_cvtsi32_si128, _mm_cvtsi128_si64,
    _mm_extract_epi64, _mm_set_epi64x, _mm_sfence, _mm_xor_si128, _mm256_castsi256_si128,
    _mm256_clmulepi64_epi128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_set_epi64x,
    _mm256_storeu_si256, _mm256_stream_si256, _mm256_xor_si256, _mm256_zextsi128_si256,
};

use super::poly::fold_factor;
use super::sse42;

const LANES: usize = 4;
const REGISTER_BYTES: usize = 32;
const BLOCK_BYTES: usize = LANES * REGISTER_BYTES;
/// Below this, word by word is as fast.
const LEAST_BYTES: usize = 2 * BLOCK_BYTES;

/// # Safety
/// As [`copy_crc_raw`](super::copy_crc_raw), on a processor with AVX2 and VPCLMULQDQ.
#[target_feature(enable = "avx2,vpclmulqdq,pclmulqdq,sse4.2")]
pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize, crc: u32, stream: bool) -> u32 {
    // Non-temporal stores go to aligned registers.
    let head = if stream { dst.align_offset(REGISTER_BYTES) } else { 0 };
    if len < head + LEAST_BYTES {
        // SAFETY: the caller's promise.
        return !unsafe { sse42::words(dst, src, len, !crc) };
    }
    // SAFETY: `head` is below `len`.
    let mut register = unsafe { sse42::words(dst, src, head, !crc) };
    let body = (len - head) / REGISTER_BYTES * REGISTER_BYTES;
    let (at, tail) = (head, head + body);
    // SAFETY: within the caller's memory.
    let to = unsafe { dst.add(at) };
    // SAFETY: within the caller's memory.
    let from = unsafe { src.add(at) };
    if stream {
        // SAFETY: `body` bytes are left, and `to` is aligned because of the head.
        register = unsafe { registers::<true>(to, from, body, register) };
        // Orders the non-temporal stores before whatever publishes the copy.
        _mm_sfence();
    } else {
        // SAFETY: `body` bytes are left.
        register = unsafe { registers::<false>(to, from, body, register) };
    }
    // SAFETY: at most `len`, within the caller's memory.
    let to = unsafe { dst.add(tail) };
    // SAFETY: at most `len`, within the caller's memory.
    let from = unsafe { src.add(tail) };
    // SAFETY: what the registers left over.
    !unsafe { sse42::words(to, from, len - tail, register) }
}

/// Copies `len` bytes, a multiple of a register and at least a block.
///
/// # Safety
/// As [`copy`]; `dst` is a multiple of a register's bytes if `STREAM`.
#[target_feature(enable = "avx2,vpclmulqdq,pclmulqdq,sse4.2")]
unsafe fn registers<const STREAM: bool>(
    dst: *mut u8,
    src: *const u8,
    len: usize,
    register: u32,
) -> u32 {
    let far = factors(8 * BLOCK_BYTES);
    let mut lanes = [_mm256_zextsi128_si256(_mm_cvtsi32_si128(0)); LANES];
    for (lane, sum) in lanes.iter_mut().enumerate() {
        // SAFETY: the first block.
        *sum = unsafe { load_store::<STREAM>(dst, src, lane * REGISTER_BYTES) };
    }
    // The register enters as a difference of the first four bytes.
    let entry = _mm256_zextsi128_si256(_mm_cvtsi32_si128(register as i32));
    lanes[0] = _mm256_xor_si256(lanes[0], entry);
    let mut at = BLOCK_BYTES;
    while len - at >= BLOCK_BYTES {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            // SAFETY: a block is left from `at`.
            let next = unsafe { load_store::<STREAM>(dst, src, at + lane * REGISTER_BYTES) };
            *sum = fold(*sum, far, next);
        }
        at += BLOCK_BYTES;
    }
    let near = factors(8 * REGISTER_BYTES);
    let [a, b, c, d] = lanes;
    let mut sum = fold(fold(fold(a, near, b), near, c), near, d);
    while at < len {
        // SAFETY: a register is left from `at`.
        let next = unsafe { load_store::<STREAM>(dst, src, at) };
        sum = fold(sum, near, next);
        at += REGISTER_BYTES;
    }
    remainder(sum)
}

/// The register that a sum of 256 bits leaves.
#[target_feature(enable = "avx2,pclmulqdq,sse4.2")]
fn remainder(sum: __m256i) -> u32 {
    let low = _mm256_castsi256_si128(sum);
    let high = _mm256_extracti128_si256::<1>(sum);
    let factors = _mm_set_epi64x(const { fold_factor(128) }, const { fold_factor(128 + 64) });
    let a = _mm_clmulepi64_si128::<0x00>(low, factors);
    let b = _mm_clmulepi64_si128::<0x11>(low, factors);
    let sum: __m128i = _mm_xor_si128(_mm_xor_si128(a, b), high);
    let register = _mm_crc32_u64(0, _mm_cvtsi128_si64(sum) as u64);
    _mm_crc32_u64(register, _mm_extract_epi64::<1>(sum) as u64) as u32
}

/// What multiplies the lower and upper half of each polynomial, to fold it by so many bits.
#[inline]
#[target_feature(enable = "avx2")]
fn factors(bits: usize) -> __m256i {
    const BLOCK: (i64, i64) = both(8 * BLOCK_BYTES);
    const REGISTER: (i64, i64) = both(8 * REGISTER_BYTES);
    let (low, high) = if bits == 8 * BLOCK_BYTES { BLOCK } else { REGISTER };
    _mm256_set_epi64x(high, low, high, low)
}

const fn both(bits: usize) -> (i64, i64) {
    (fold_factor(bits + 64), fold_factor(bits))
}

#[inline]
#[target_feature(enable = "avx2,vpclmulqdq")]
fn fold(sum: __m256i, factors: __m256i, next: __m256i) -> __m256i {
    let a = _mm256_clmulepi64_epi128::<0x00>(sum, factors);
    let b = _mm256_clmulepi64_epi128::<0x11>(sum, factors);
    _mm256_xor_si256(_mm256_xor_si256(a, b), next)
}

/// Loads a register, stores it and hands it on.
///
/// # Safety
/// A register is readable at `src + at` and writable at `dst + at`, which is a multiple of its
/// bytes if `STREAM`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_store<const STREAM: bool>(dst: *mut u8, src: *const u8, at: usize) -> __m256i {
    // SAFETY: within the caller's source.
    let from = unsafe { src.add(at) }.cast::<__m256i>();
    // SAFETY: within the caller's destination.
    let to = unsafe { dst.add(at) }.cast::<__m256i>();
    // SAFETY: readable for a register, of any alignment.
    let value = unsafe { _mm256_loadu_si256(from) };
    if STREAM {
        // SAFETY: writable for a register and aligned by the caller's promise; the caller fences.
        unsafe { _mm256_stream_si256(to, value) };
    } else {
        // SAFETY: writable for a register, of any alignment.
        unsafe { _mm256_storeu_si256(to, value) };
    }
    value
}
