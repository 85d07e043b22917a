//! Mixing words: sums that are cheap, for what is too short for a CRC to pay.
//!
//! Deliberately absent: any claim against a malicious writer.

/// The finalizer of splitmix64: a bijection in which each bit of the input turns about half of the
/// output.
///
/// # Source
/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[inline]
#[must_use]
pub fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A sum over words that depends on their order.
#[inline]
#[must_use]
pub fn mixed<const N: usize>(words: [u64; N]) -> u64 {
    words.into_iter().fold(0, |sum, word| mix(sum ^ word))
}

#[cfg(test)]
mod tests {
    use super::mixed;

    #[test]
    fn every_bit_and_the_order_count() {
        let sum = mixed([1, 2, 3]);
        assert_ne!(sum, mixed([2, 1, 3]));
        for word in 0..3 {
            for bit in 0..64 {
                let mut words = [1, 2, 3];
                words[word] ^= 1 << bit;
                assert_ne!(sum, mixed(words), "bit {bit} of word {word}");
            }
        }
    }
}
