//! Right-hand sides made from random numbers that depend on (seed, system, row) alone.
//!
//! A counter-based generator has no state to save: a rank computes the numbers of its own rows,
//! again after every recovery, and gets the same bits for any division of the rows.
//!
//! # Source
//! The mixing is SplitMix64 (G. Steele, D. Lea, C. Flood, *Fast Splittable Pseudorandom Number
//! Generators*, OOPSLA 2014): output number k of the generator seeded with s is `mix(s + k·γ)`.
//! Here `key` is output number system + 1 of the generator seeded with `seed`, and the word of a row
//! is output number row + 1 of the generator seeded with `key`.

/// γ of SplitMix64: 2⁶⁴ divided by the golden ratio, made odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Output number `k` of SplitMix64 seeded with `seed`.
fn splitmix64(seed: u64, k: u64) -> u64 {
    let mut z = seed.wrapping_add(GAMMA.wrapping_mul(k));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 64 random bits for one row of one system.
#[must_use]
pub fn word(seed: u64, system: u64, row: u64) -> u64 {
    let key = splitmix64(seed, system.wrapping_add(1));
    splitmix64(key, row.wrapping_add(1))
}

/// A number in [-1, 1) for one row of one system: the upper 53 bits of the word, scaled.
#[must_use]
pub fn uniform(seed: u64, system: u64, row: u64) -> f64 {
    // Both steps are exact: 53 bits fit a double, and the rest scales by powers of two.
    let unit = (word(seed, system, row) >> 11) as f64 / (1_u64 << 53) as f64;
    2.0 * unit - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_its_published_numbers() {
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (k, number) in (1..).zip(published) {
            assert_eq!(splitmix64(1_234_567, k), number);
        }
    }

    #[test]
    fn numbers_are_in_range_centred_and_differ_by_every_key() {
        let numbers: Vec<f64> = (0..10_000).map(|row| uniform(1, 1, row)).collect();
        assert!(numbers.iter().all(|x| (-1.0..1.0).contains(x)));
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.02, "{mean}");
        let one = word(1, 1, 1);
        assert!(one != word(2, 1, 1) && one != word(1, 2, 1) && one != word(1, 1, 2));
        assert_ne!(word(1, 2, 3), word(1, 3, 2));
    }

    #[test]
    fn the_numbers_never_change() {
        // Published results depend on them: a change here changes every digest.
        assert_eq!(word(1, 1, 0), splitmix64(splitmix64(1, 2), 1));
        assert_eq!(word(1, 1, 0), 8_614_008_028_692_990_056);
        assert_eq!(uniform(1, 1, 0).to_bits(), 13_812_797_113_831_704_688);
    }
}
