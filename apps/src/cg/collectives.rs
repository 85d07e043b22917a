//! The two collective operations that the algorithm needs, as a trait of a few lines.
//!
//! Invariants an implementation must keep: the order of a sum is a function of the number of ranks
//! alone; every rank receives the same bits; blocks are joined in rank order. Deliberately absent:
//! everything else that a communicator can do.

use super::SolveError;

/// What ranks do together.
pub trait Collectives {
    /// How a call fails; the algorithm's own faults convert into it, so that `?` carries both.
    type Error: From<SolveError>;

    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn ranks(&self) -> usize;

    /// Replaces each value by its sum over the ranks.
    ///
    /// # Errors
    /// If a rank cannot be reached.
    fn sum(&mut self, values: &mut [f64]) -> Result<(), Self::Error>;

    /// Joins the blocks of all ranks into `whole`, in rank order. Blocks may differ in length.
    ///
    /// # Errors
    /// If a rank cannot be reached.
    fn allgather(&mut self, block: &[f64], whole: &mut Vec<f64>) -> Result<(), Self::Error>;
}

/// A single rank that needs nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Collectives for Alone {
    type Error = SolveError;

    fn rank(&self) -> usize {
        0
    }

    fn ranks(&self) -> usize {
        1
    }

    fn sum(&mut self, _values: &mut [f64]) -> Result<(), SolveError> {
        Ok(())
    }

    fn allgather(&mut self, block: &[f64], whole: &mut Vec<f64>) -> Result<(), SolveError> {
        whole.clear();
        whole.extend_from_slice(block);
        Ok(())
    }
}
