//! A factor in the forms that kernels multiply by.
//!
//! Invariant: all forms are of one element. Deliberately absent: what is multiplied.

use super::field::product;

/// What each byte of an input is multiplied by on its way into an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(32))]
pub(super) struct Factor {
    /// Its products with the values of a byte's lower half.
    pub(super) low: [u8; 16],
    /// Its products with the values of a byte's upper half.
    pub(super) high: [u8; 16],
    /// The map that it is, as a matrix of bits in the order of `gf2p8affineqb`.
    pub(super) matrix: u64,
    pub(super) value: u8,
}

impl Factor {
    pub(super) const fn of(value: u8) -> Self {
        let (mut low, mut high, mut i) = ([0; 16], [0; 16], 0);
        while i < 16 {
            low[i] = product(value, i as u8);
            high[i] = product(value, (i as u8) << 4);
            i += 1;
        }
        Self { low, high, matrix: matrix(value), value }
    }

    pub(super) fn times(&self, byte: u8) -> u8 {
        self.low[usize::from(byte & 15)] ^ self.high[usize::from(byte >> 4)]
    }
}

/// Byte 7 − i has the bits of the other element whose sum is bit i of the product.
const fn matrix(value: u8) -> u64 {
    let (mut matrix, mut column) = (0, 0);
    while column < 8 {
        let product = product(value, 1 << column);
        let mut bit = 0;
        while bit < 8 {
            matrix |= (product as u64 >> bit & 1) << (8 * (7 - bit) + column);
            bit += 1;
        }
        column += 1;
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `gf2p8affineqb` does with a byte, by its manual.
    fn affine(matrix: u64, byte: u8) -> u8 {
        (0..8).fold(0, |sum, bit| {
            let row = matrix.to_le_bytes()[7 - bit];
            sum | ((row & byte).count_ones() as u8 & 1) << bit
        })
    }

    #[test]
    fn all_forms_are_of_one_element() {
        for value in 0..=255 {
            let factor = Factor::of(value);
            for byte in 0..=255 {
                let expected = product(value, byte);
                assert_eq!((factor.times(byte), affine(factor.matrix, byte)), (expected, expected));
            }
        }
    }
}
