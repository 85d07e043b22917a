//! A program whose answer is made of random numbers.
//!
//! Invariant: the answer depends on the job's seed, the arguments and the number of ranks alone.

use mainstay::rand_core::Rng;
use mainstay::{Job, Result};

use super::load::{self, Load};

/// As [`load::steps`], with random numbers of two streams mixed into the state in each step.
///
/// # Errors
/// An interruption.
pub fn random(job: &Job, load: Load) -> Result<()> {
    load::steps_with(job, load, |_, work| {
        let (mut walk, mut noise) = (job.rng(0), job.rng(1));
        for word in work.words.iter_mut().take(1 + walk.next_u32() as usize % 8) {
            *word ^= noise.next_u64();
        }
        Ok(())
    })
}
