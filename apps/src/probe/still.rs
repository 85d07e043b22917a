//! State of which most never changes, beside a smooth field that may be rounded on disk.
//!
//! Invariants: `still` is a function of the rank and never changes; what `smooth` has to be after any
//! step is a function of that step, so that the answer tells how far it is from that.

use mainstay::{Fields, Job, Op, Result, State};

use super::load;
use crate::rhs;

/// How much state, and how exact.
#[derive(Debug, Clone, Copy)]
pub struct Still {
    /// Steps of the job.
    pub steps: u64,
    /// Bytes on each rank that never change.
    pub bytes: usize,
    /// Numbers on each rank that all change in each step.
    pub numbers: usize,
    /// How far they may be, on disk, from what they are.
    pub bound: Option<f64>,
    /// Computing beside the real work of a step.
    pub spin: std::time::Duration,
}

struct Work {
    step: u64,
    still: Vec<u64>,
    smooth: Vec<f64>,
    bound: Option<f64>,
}

impl State for Work {
    fn fields(&mut self, f: &mut Fields<'_>) {
        f.value("step", &mut self.step);
        f.array("still", &mut self.still);
        let smooth = f.array("smooth", &mut self.smooth);
        if let Some(bound) = self.bound {
            smooth.lossy(bound);
        }
    }
}

/// What number `i` is after `step`.
fn value(i: usize, step: u64) -> f64 {
    (i as f64 / 700.0).sin() + step as f64 / 64.0
}

/// Does the steps, and finishes with all of the state; reports how far the smooth field ends from what
/// it is without any rounding.
///
/// # Errors
/// An interruption, or a bound that is none.
pub fn still(job: &Job, size: Still) -> Result<()> {
    let world = job.world();
    let mut work = job.protect("work", || Work {
        step: 0,
        still: (0..size.bytes as u64 / 8).map(|i| rhs::word(i, job.rank() as u64, 1)).collect(),
        smooth: (0..size.numbers).map(|i| value(i, 0)).collect(),
        bound: size.bound,
    })?;
    while work.step < size.steps {
        let mut turns = [1_u64];
        world.allreduce(&mut turns, Op::Sum)?;
        for number in &mut work.smooth {
            // A 64th is exact, and so is what is added: without rounding nothing is lost.
            *number += 1.0 / 64.0;
        }
        load::spin(size.spin);
        work.step += 1;
        job.checkpoint(&mut work)?;
    }
    let off = |(i, number): (usize, &f64)| (number - value(i, work.step)).abs();
    let mut largest = [work.smooth.iter().enumerate().map(off).fold(0.0, f64::max)];
    world.allreduce(&mut largest, Op::Max)?;
    job.report("off by", format_args!("{:e}", largest[0]))?;
    let smooth = work.smooth.iter().map(|number| number.to_bits());
    job.finish(work.still.iter().copied().chain(smooth).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_adds_what_the_next_value_has_more() {
        for i in [0, 1, 700, 9999] {
            assert!((value(i, 8) - value(i, 7) - 1.0 / 64.0).abs() < 1e-14);
        }
    }
}
