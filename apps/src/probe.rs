//! Programs that misbehave on purpose, each in one way, to see that a job ends as it should.
//!
//! All of them do the work of [`load`], a well-behaved program, until the moment of their fault.
//!
//! Invariants: without its fault every mode but [`wrong::nondet`] gives bits that depend on its
//! arguments and the number of ranks alone. Deliberately absent: faults from outside (signals,
//! damaged files), which tests inflict themselves or through `--inject`.

pub mod agree;
pub mod calls;
pub mod communicators;
pub mod contract;
pub mod crash;
pub mod input;
pub mod load;
pub mod moves;
pub mod pipeline;
pub mod random;
pub mod spread;
pub mod still;
pub mod wait;
pub mod wrong;
