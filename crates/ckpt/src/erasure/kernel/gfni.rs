//! A matrix of bits times 64 bytes at a time: one instruction a product.
//!
//! # Source
//! Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, `GF2P8AFFINEQB`. Its matrix makes
//! it work for any modulus; `GF2P8MULB` has another one than storage.

use std::arch::x86_64::{
    __m512i, _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::Part;

const REGISTER_BYTES: usize = 64;
/// Registers of each output at a time.
const WIDTH: usize = 2;
const STEP: usize = WIDTH * REGISTER_BYTES;

type Wide = [__m512i; WIDTH];

/// Sums up whole steps; gives their bytes.
///
/// # Safety
/// As [`Part::run`], with GFNI and AVX-512.
#[target_feature(enable = "gfni,avx512f")]
pub(super) unsafe fn run(part: &Part<'_>) -> usize {
    match *part.outputs {
        // SAFETY: the caller's promise.
        [a] => unsafe { sums(part, [a]) },
        // SAFETY: the caller's promise.
        [a, b] => unsafe { sums(part, [a, b]) },
        // SAFETY: the caller's promise.
        [a, b, c] => unsafe { sums(part, [a, b, c]) },
        // SAFETY: the caller's promise.
        [a, b, c, d] => unsafe { sums(part, [a, b, c, d]) },
        _ => return 0,
    }
    part.bytes / STEP * STEP
}

/// # Safety
/// As [`run`].
#[target_feature(enable = "gfni,avx512f")]
unsafe fn sums<const M: usize>(part: &Part<'_>, outputs: [*mut u8; M]) {
    for at in (part.at..part.at + part.bytes / STEP * STEP).step_by(STEP) {
        let mut sums = [[_mm512_setzero_si512(); WIDTH]; M];
        if part.adds {
            for (sum, output) in sums.iter_mut().zip(outputs) {
                // SAFETY: a whole step within the part.
                *sum = unsafe { load(output, at) };
            }
        }
        for (i, input) in part.inputs.iter().enumerate() {
            // SAFETY: a whole step within the part.
            let bytes = unsafe { load(*input, at) };
            for (o, sum) in sums.iter_mut().enumerate() {
                let matrix = part.factors[o * part.stride + i].matrix;
                let matrix = _mm512_set1_epi64(matrix.cast_signed());
                for (sum, bytes) in sum.iter_mut().zip(bytes) {
                    let product = _mm512_gf2p8affine_epi64_epi8::<0>(bytes, matrix);
                    *sum = _mm512_xor_si512(*sum, product);
                }
            }
        }
        for (sum, output) in sums.into_iter().zip(outputs) {
            // SAFETY: a whole step within the part.
            unsafe { store(output, at, sum) };
        }
    }
}

/// # Safety
/// `from` is readable for a step behind `at`.
#[target_feature(enable = "gfni,avx512f")]
unsafe fn load(from: *const u8, at: usize) -> Wide {
    // SAFETY: the caller's promise.
    let first = unsafe { from.add(at) };
    // SAFETY: the caller's promise.
    let second = unsafe { from.add(at + REGISTER_BYTES) };
    // SAFETY: the caller's promise.
    let first = unsafe { _mm512_loadu_si512(first.cast()) };
    // SAFETY: the caller's promise.
    let second = unsafe { _mm512_loadu_si512(second.cast()) };
    [first, second]
}

/// # Safety
/// `to` is writable for a step behind `at`.
#[target_feature(enable = "gfni,avx512f")]
unsafe fn store(to: *mut u8, at: usize, values: Wide) {
    for (i, value) in values.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        let to = unsafe { to.add(at + i * REGISTER_BYTES) };
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(to.cast(), value) };
    }
}
