//! GF(2⁸) as storage has it: polynomials over two elements modulo x⁸ + x⁴ + x³ + x² + 1. A sum is the
//! exclusive or.
//!
//! Deliberately absent: speed; vectors are the kernels' affair.
//!
//! # Source
//! J. S. Plank: A Tutorial on Reed-Solomon Coding for Fault-Tolerance in RAID-like Systems. Software:
//! Practice and Experience 27(9), 1997.

/// The modulus without its highest term.
const MODULUS: u8 = 0x1D;

/// The product of two elements.
#[must_use]
pub const fn product(a: u8, b: u8) -> u8 {
    let (mut sum, mut a, mut b) = (0, a, b);
    while b != 0 {
        if b & 1 == 1 {
            sum ^= a;
        }
        a = if a & 0x80 == 0 { a << 1 } else { (a << 1) ^ MODULUS };
        b >>= 1;
    }
    sum
}

/// What multiplies `a` to one; 0 for 0, which has none.
#[must_use]
pub const fn inverse(a: u8) -> u8 {
    // The others are a group of 255, so it is the 254th power: all squares of squares but a itself.
    let (mut power, mut result, mut bit) = (a, 1, 1);
    while bit < 8 {
        power = product(power, power);
        result = product(result, power);
        bit += 1;
    }
    result
}
