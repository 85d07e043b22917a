//! Conjugate gradients with the Jacobi preconditioner, for one or several right-hand sides.
//!
//! Each rank owns a block of rows. An iteration exchanges the search direction p by one allgather
//! and sums twice over the ranks: pᵀAp, then rᵀz and rᵀr together. [`Cg`] is the state that must
//! survive a failure; [`Solver`] is what a rank computes again whenever it enters; one call of
//! [`Solver::step`] is one step of the job.
//!
//! Invariants: every rank holds the same scalars, bit for bit, since each comes out of a sum over
//! ranks; hence all ranks take the same branch and fail alike. Deliberately absent: messages (they
//! come through [`Collectives`]), checkpoints, and preconditioners that need communication.
//!
//! # Source
//! Y. Saad, *Iterative Methods for Sparse Linear Systems*, 2nd edition, algorithm 9.1.

mod collectives;
mod fault;
mod job;
mod solver;
mod state;

pub use collectives::{Alone, Collectives};
pub use fault::SolveError;
pub use job::World;
pub use solver::{Options, Solver};
pub use state::Cg;

#[cfg(test)]
mod tests;
