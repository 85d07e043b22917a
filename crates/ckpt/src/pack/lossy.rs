//! Floating-point numbers that may come back a little different, because their field says so.
//!
//! A number becomes the multiple of a step, twice the bound, that is next to it; the multiples are
//! stored by pco, which takes them for the smooth sequence that they are. Invariants: nothing is
//! stored so before it was decoded again and every element was found within the bound; blocks with
//! infinite numbers, NaN, or numbers too large for their step are not stored so at all. Deliberately
//! absent: relative bounds.

use super::numbers::{Bytes, get_numbers, put_numbers};
use crate::format::kind::Kind;

/// How far an element may be from what it was: finite and above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound(u64);

impl Bound {
    /// The bound of this value, if it is one.
    #[must_use]
    pub fn new(bound: f64) -> Option<Self> {
        let bound = Self::unchecked(bound);
        bound.is_one().then_some(bound)
    }

    /// What a program asks for, whatever it is; a field with one that is none is refused by name.
    #[must_use]
    pub fn unchecked(bound: f64) -> Self {
        Self(bound.to_bits())
    }

    /// Whether it is one: finite, above zero, and so is twice of it.
    #[must_use]
    pub fn is_one(self) -> bool {
        let bound = self.value();
        bound.is_finite() && bound > 0.0 && (2.0 * bound).is_finite()
    }

    /// Its value.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.value(), f)
    }
}

/// The largest multiple: beyond it, not every whole number is an f64.
const MOST: f64 = 9_007_199_254_740_991.0;
/// Bytes of the step.
const STEP: usize = 8;

/// Appends a block's multiples to `out`, behind their step; false if there are none for it.
#[must_use]
pub fn compress(kind: Kind, bound: Bound, block: &[u8], out: &mut Vec<u8>) -> bool {
    let step = 2.0 * bound.value();
    let multiples: Option<Vec<i64>> = match kind {
        Kind::F32 => block.chunks_exact(4).map(|b| multiple(f32::get(b).into(), step)).collect(),
        Kind::F64 => block.chunks_exact(8).map(|b| multiple(f64::get(b), step)).collect(),
        _ => None,
    };
    let Some(multiples) = multiples else { return false };
    out.extend_from_slice(&step.to_le_bytes());
    put_numbers(&multiples, out)
}

fn multiple(number: f64, step: f64) -> Option<i64> {
    let multiple = (number / step).round();
    // NaN compares to nothing. Minus zero would come back without its sign: within any bound.
    (multiple.abs() <= MOST).then_some(multiple as i64)
}

/// Fills `into` with what the multiples are.
///
/// # Errors
/// What is wrong with the stored bytes, in words.
pub fn decompress(kind: Kind, stored: &[u8], into: &mut [u8]) -> Result<(), String> {
    let Some((step, stored)) = stored.split_at_checked(STEP) else {
        return Err("its step is cut short".to_owned());
    };
    let step = f64::get(step);
    if !(step.is_finite() && step > 0.0) {
        return Err(format!("its step is {step}"));
    }
    let bytes = match kind {
        Kind::F32 => 4,
        Kind::F64 => 8,
        _ => return Err(format!("{} cannot be rounded", kind.name())),
    };
    if !into.len().is_multiple_of(bytes) {
        return Err(format!("{} bytes are no whole numbers", into.len()));
    }
    let multiples = get_numbers::<i64>(stored, into.len() / bytes)?;
    for (multiple, into) in multiples.into_iter().zip(into.chunks_exact_mut(bytes)) {
        let number = multiple as f64 * step;
        match kind {
            Kind::F32 => (number as f32).put(into),
            _ => number.put(into),
        }
    }
    Ok(())
}

/// Whether every element of `decoded` is within the bound of that of `block`.
#[must_use]
pub fn within(kind: Kind, bound: Bound, block: &[u8], decoded: &[u8]) -> bool {
    let bound = bound.value();
    let near = |a: f64, b: f64| (a - b).abs() <= bound;
    match kind {
        Kind::F32 => {
            let pairs = block.chunks_exact(4).zip(decoded.chunks_exact(4));
            pairs.into_iter().all(|(a, b)| near(f32::get(a).into(), f32::get(b).into()))
        }
        Kind::F64 => {
            let pairs = block.chunks_exact(8).zip(decoded.chunks_exact(8));
            pairs.into_iter().all(|(a, b)| near(f64::get(a), f64::get(b)))
        }
        _ => false,
    }
}
