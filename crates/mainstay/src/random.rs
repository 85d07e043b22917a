//! Random numbers that a recovery gives again.
//!
//! There is no generator to save: one is made from what is known after a restore as before it.
//! Invariant: the numbers are a function of seed, rank, step and stream alone. Deliberately absent:
//! distributions; the generator is one of `rand_core`, so those of `rand` and its companions fit.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::SeedableRng;

use crate::Job;

impl Job {
    /// A generator of random numbers, the same after a recovery as before it: its key is the job's
    /// seed (`mainstay run --seed`), this rank, the current [`step`](Job::step) and `stream`. Other
    /// ranks, steps and streams have other, independent numbers.
    ///
    /// A step's numbers begin anew with each call, so draw once a step from a stream, and name
    /// another where a step needs another generator. Numbers belong to the step in which they are
    /// drawn: those drawn before a [`checkpoint`](Job::checkpoint) are drawn again if the job goes
    /// back to an earlier one, those drawn behind it are those of the next step. Draw behind
    /// [`protect`](Job::protect): before it, an entry that goes on from a version has that
    /// version's step where the first had 0. A generator that is kept over a `checkpoint` is no
    /// part of a version and goes on where it should go back.
    ///
    /// # Source
    /// ChaCha with 8 rounds: D. J. Bernstein, *ChaCha, a variant of Salsa20*, 2008. The key is seed,
    /// rank, step and stream, each as a little-endian `u64`; nonce and first block are 0.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// use mainstay::rand_core::Rng;
    /// const DARTS: u64 = 0;
    /// let mut rng = job.rng(DARTS);
    /// let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    /// let (x, y) = (uniform(), uniform());
    /// assert!((0.0..1.0).contains(&x) && x != y);
    /// # job.finish([x, y]) }) }
    /// ```
    #[must_use]
    pub fn rng(&self, stream: u64) -> ChaCha8Rng {
        let seed = self.handle.any_time().map_or(0, |core| core.rank.seed());
        generator(seed, self.rank() as u64, self.step(), stream)
    }
}

fn generator(seed: u64, rank: u64, step: u64, stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (place, word) in key.chunks_exact_mut(8).zip([seed, rank, step, stream]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use chacha20::rand_core::Rng;

    use super::*;

    #[test]
    fn the_numbers_never_change() {
        // Key and nonce of zeros: the published key stream of eight rounds, 3e00ef2f895f40d6…
        let mut rng = generator(0, 0, 0, 0);
        assert_eq!(rng.next_u64(), u64::from_le_bytes(*b"\x3e\x00\xef\x2f\x89\x5f\x40\xd6"));
        let mut rng = generator(1, 2, 3, 4);
        assert_eq!(
            [rng.next_u64(), rng.next_u64()],
            [1_223_844_302_487_303_164, 6_368_864_477_575_460_494]
        );
    }

    #[test]
    fn every_part_of_the_key_makes_other_numbers() {
        let draw = |key: [u64; 4]| {
            let mut rng = generator(key[0], key[1], key[2], key[3]);
            [rng.next_u64(), rng.next_u64()]
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut ones = 0;
        for key in (0..4_u64.pow(4)).map(|k| [k / 64, k / 16 % 4, k / 4 % 4, k % 4]) {
            assert_eq!(draw(key), draw(key));
            let words = draw(key);
            ones += words[0].count_ones();
            assert!(seen.insert(words), "{key:?}");
        }
        // 256 words of 64 bits; five standard deviations of their sum.
        assert!(ones.abs_diff(256 * 32) < 5 * 64, "{ones}");
    }

    #[test]
    fn a_step_has_its_numbers_however_often_they_are_drawn() {
        crate::run(|job| {
            let mut drawn = Vec::new();
            for step in 0..3 {
                assert_eq!(job.step(), step);
                assert_eq!(job.rng(7).next_u64(), job.rng(7).next_u64());
                assert_eq!(job.rng(7), generator(0, 0, step, 7));
                drawn.push(job.rng(7).next_u64());
                job.tick()?;
            }
            assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2]);
            job.finish([0_u8])
        })
        .unwrap();
    }
}
