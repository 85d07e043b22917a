//! The well-behaved program: an array that every step changes, a message to a neighbour, a sum over
//! all ranks.
//!
//! Invariants: each step reads what the last one wrote on this rank, on the neighbour and on all
//! ranks, so that a wrong bit anywhere is in the answer soon; the answer depends on the arguments
//! and the number of ranks alone.

use std::hint::black_box;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mainstay::{Comm, Fields, Job, Op, Protected, Result, State};

use crate::rhs;

/// How much work.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Steps of the job.
    pub steps: u64,
    /// Bytes of protected state on each rank; eight at least.
    pub bytes: usize,
    /// Computing beside the real work of a step.
    pub spin: Duration,
}

/// At most this many words of the array change in one step.
const STRIPE_WORDS: usize = 1 << 17;

/// Tag of the message to the neighbour.
const NEIGHBOUR: u32 = 1;

/// The protected state.
#[derive(Debug)]
pub struct Work {
    /// Steps completed.
    pub step: u64,
    /// The sum over all ranks of the last step, mixed into that of the step before.
    pub sum: u64,
    /// The array, and the answer.
    pub words: Vec<u64>,
}

impl State for Work {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step);
        f.value("sum", &mut self.sum);
        f.array("words", &mut self.words);
    }
}

impl Work {
    /// The state at step 0: nearly all zeros, which cost nothing until a step changes them.
    #[must_use]
    pub fn new(rank: usize, bytes: usize) -> Self {
        let mut words = vec![0; (bytes / 8).max(1)];
        words[0] = rank as u64 + 1;
        Self { step: 0, sum: 0, words }
    }

    /// One step without its checkpoint.
    ///
    /// # Errors
    /// An interruption.
    pub fn advance(&mut self, world: &Comm) -> Result<()> {
        let (rank, size) = (world.rank(), world.size());
        let sent = world.isend(&[self.words[0]], (rank + 1) % size, NEIGHBOUR)?;
        let received = world.irecv::<u64>((rank + size - 1) % size, NEIGHBOUR)?.wait()?;
        sent.wait()?;
        let mut total = [self.change(received[0])];
        world.allreduce(&mut total, Op::Sum)?;
        self.sum = rhs::word(self.sum, total[0], self.step);
        self.words[0] ^= self.sum;
        self.step += 1;
        Ok(())
    }

    /// Changes the stripe of this step; gives a sum over it.
    fn change(&mut self, from_neighbour: u64) -> u64 {
        let (salt, step) = (self.sum, self.step);
        let stripe = self.stripe();
        let mut sum = 0_u64;
        for (place, word) in stripe.clone().zip(&mut self.words[stripe]) {
            *word = rhs::word(*word ^ from_neighbour, salt.wrapping_add(place as u64), step);
            sum = sum.wrapping_add(*word);
        }
        sum
    }

    /// The part of the array that this step changes: stripes in turn.
    fn stripe(&self) -> Range<usize> {
        let stripes = self.words.len().div_ceil(STRIPE_WORDS) as u64;
        let start = (self.step % stripes) as usize * STRIPE_WORDS;
        start..(start + STRIPE_WORDS).min(self.words.len())
    }
}

/// Does all the work and finishes with the array.
///
/// # Errors
/// An interruption.
pub fn steps(job: &Job, load: Load) -> Result<()> {
    steps_with(job, load, |_, _| Ok(()))
}

/// As [`steps`], with `fault` called in each step after its work and before its checkpoint; the
/// state's `step` is the number of that step, from 1.
///
/// # Errors
/// An interruption, or what `fault` returns.
pub fn steps_with(
    job: &Job,
    load: Load,
    mut fault: impl FnMut(&Comm, &mut Work) -> Result<()>,
) -> Result<()> {
    let world = job.world();
    let mut work = job.protect("work", || Work::new(job.rank(), load.bytes))?;
    go_on(job, load, &mut work, |work| fault(&world, work))?;
    job.finish(&work.words)
}

/// The steps from `work` to the last.
pub(super) fn go_on(
    job: &Job,
    load: Load,
    work: &mut Protected<Work>,
    mut fault: impl FnMut(&mut Work) -> Result<()>,
) -> Result<()> {
    let world = job.world();
    while work.step < load.steps {
        work.advance(&world)?;
        spin(load.spin);
        fault(work)?;
        job.checkpoint(work)?;
    }
    Ok(())
}

/// The least that each such computation takes, in microseconds, for those who wait for something as
/// slow as a disk to happen in a job of so many steps. Not an argument: those make another job.
const LEAST_SPIN: &str = "PROBE_LEAST_SPIN_US";

fn least_spin() -> Duration {
    static LEAST: OnceLock<Duration> = OnceLock::new();
    let given = || std::env::var(LEAST_SPIN).ok()?.parse().ok();
    *LEAST.get_or_init(|| Duration::from_micros(given().unwrap_or(0)))
}

/// Computes for about this long without a call of Mainstay. Its result goes nowhere.
pub(super) fn spin(time: Duration) {
    let (time, start) = (time.max(least_spin()), Instant::now());
    let mut number = 0;
    while start.elapsed() < time {
        number = (0..100).fold(number, |number, k| black_box(rhs::word(number, 0, k)));
    }
    black_box(number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_cover_the_array_in_turn() {
        let mut work = Work::new(0, (2 * STRIPE_WORDS + 3) * 8);
        let mut next = 0;
        for step in 0..3 {
            work.step = step;
            assert_eq!(work.stripe().start, next);
            next = work.stripe().end;
        }
        assert_eq!(next, work.words.len());
        work.step = 3;
        assert_eq!(work.stripe().start, 0);
        assert_eq!(Work::new(0, 0).words.len(), 1);
    }

    #[test]
    fn a_change_depends_on_every_input() {
        let changed = |rank, step, sum, message| {
            let mut work = Work::new(rank, 64);
            (work.step, work.sum) = (step, sum);
            (work.change(message), work.words)
        };
        let one = changed(0, 1, 2, 3);
        assert_eq!(one, changed(0, 1, 2, 3));
        for other in [changed(1, 1, 2, 3), changed(0, 2, 2, 3), changed(0, 1, 3, 3)] {
            assert_ne!(one, other);
        }
        assert_ne!(one, changed(0, 1, 2, 4));
    }
}
