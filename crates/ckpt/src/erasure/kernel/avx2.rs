//! Two look-ups of 32 bytes at a time: a byte's product is that of its lower half plus that of its upper.
//!
//! # Source
//! J. S. Plank, K. M. Greenan, E. L. Miller: Screaming Fast Galois Field Arithmetic Using Intel SIMD
//! Instructions. FAST 2013.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_load_si128, _mm256_and_si256, _mm256_broadcastsi128_si256,
    _mm256_loadu_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srli_epi64, _mm256_storeu_si256, _mm256_xor_si256,
};

use super::Part;
use crate::erasure::factor::Factor;

const REGISTER_BYTES: usize = 32;
/// Registers of each output at a time.
const WIDTH: usize = 2;
const STEP: usize = WIDTH * REGISTER_BYTES;

type Wide = [__m256i; WIDTH];

/// Sums up whole steps; gives their bytes.
///
/// # Safety
/// As [`Part::run`], with AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn run(part: &Part<'_>) -> usize {
    match *part.outputs {
        [a] if part.factors_of(0).iter().all(|factor| factor.value == 1) => {
            // SAFETY: the caller's promise.
            unsafe { plain(part, a) }
        }
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

/// The sum of all inputs as they are.
///
/// # Safety
/// As [`run`].
#[target_feature(enable = "avx2")]
unsafe fn plain(part: &Part<'_>, output: *mut u8) {
    for at in steps(part) {
        // SAFETY: a whole step within the part.
        let mut sum = unsafe { begun(part, output, at) };
        for input in part.inputs {
            // SAFETY: a whole step within the part.
            sum = plus(sum, unsafe { load(*input, at) });
        }
        // SAFETY: a whole step within the part.
        unsafe { store(output, at, sum) };
    }
}

/// # Safety
/// As [`run`].
#[target_feature(enable = "avx2")]
unsafe fn sums<const M: usize>(part: &Part<'_>, outputs: [*mut u8; M]) {
    let lower = _mm256_set1_epi8(15);
    for at in steps(part) {
        let mut sums = [[_mm256_setzero_si256(); WIDTH]; M];
        for (sum, output) in sums.iter_mut().zip(outputs) {
            // SAFETY: a whole step within the part.
            *sum = unsafe { begun(part, output, at) };
        }
        for (i, input) in part.inputs.iter().enumerate() {
            // SAFETY: a whole step within the part.
            let bytes = unsafe { load(*input, at) };
            let low = bytes.map(|bytes| _mm256_and_si256(bytes, lower));
            let high = bytes.map(|bytes| _mm256_and_si256(_mm256_srli_epi64::<4>(bytes), lower));
            for (o, sum) in sums.iter_mut().enumerate() {
                let factor = &part.factors[o * part.stride + i];
                let (of_low, of_high) = (table(&factor.low), table(&factor.high));
                *sum = plus(*sum, low.map(|half| _mm256_shuffle_epi8(of_low, half)));
                *sum = plus(*sum, high.map(|half| _mm256_shuffle_epi8(of_high, half)));
            }
        }
        for (sum, output) in sums.into_iter().zip(outputs) {
            // SAFETY: a whole step within the part.
            unsafe { store(output, at, sum) };
        }
    }
}

fn steps(part: &Part<'_>) -> impl Iterator<Item = usize> {
    (part.at..part.at + part.bytes / STEP * STEP).step_by(STEP)
}

/// What an output holds already.
///
/// # Safety
/// `output` is readable for a step behind `at`, if it holds anything.
#[target_feature(enable = "avx2")]
unsafe fn begun(part: &Part<'_>, output: *mut u8, at: usize) -> Wide {
    match part.adds {
        // SAFETY: the caller's promise.
        true => unsafe { load(output, at) },
        false => [_mm256_setzero_si256(); WIDTH],
    }
}

#[target_feature(enable = "avx2")]
fn plus(a: Wide, b: Wide) -> Wide {
    [_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])]
}

#[target_feature(enable = "avx2")]
fn table(products: &[u8; 16]) -> __m256i {
    const { assert!(align_of::<Factor>() >= align_of::<__m128i>()) };
    // SAFETY: 16 bytes, at a multiple of 16 in an aligned factor.
    _mm256_broadcastsi128_si256(unsafe { _mm_load_si128(products.as_ptr().cast()) })
}

/// # Safety
/// `from` is readable for a step behind `at`.
#[target_feature(enable = "avx2")]
unsafe fn load(from: *const u8, at: usize) -> Wide {
    // SAFETY: the caller's promise.
    let first = unsafe { from.add(at) };
    // SAFETY: the caller's promise.
    let second = unsafe { from.add(at + REGISTER_BYTES) };
    // SAFETY: the caller's promise.
    let first = unsafe { _mm256_loadu_si256(first.cast()) };
    // SAFETY: the caller's promise.
    let second = unsafe { _mm256_loadu_si256(second.cast()) };
    [first, second]
}

/// # Safety
/// `to` is writable for a step behind `at`.
#[target_feature(enable = "avx2")]
unsafe fn store(to: *mut u8, at: usize, values: Wide) {
    for (i, value) in values.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        let to = unsafe { to.add(at + i * REGISTER_BYTES) };
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_si256(to.cast(), value) };
    }
}
