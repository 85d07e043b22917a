//! Fault-tolerant parallel programs: ranks that pass messages, protected state, and recovery that
//! the program's author hardly writes.
//!
//! A program is a closure that every rank runs. When a rank dies, calls of the others return an
//! error that `?` carries out; [`run`] then enters the closure again with the state of the newest
//! version that all ranks can restore. A computation that is a function of its input, its rank and
//! messages received by named source and tag ends with the same bits as without the failure.
//!
//! This crate is thin: it gives types to what `mainstay-host` does. Started without a launcher, a
//! program runs as one unprotected rank, so that it can be debugged like any other.
//!
//! The tutorial, as compiled and run by the tests:
#![doc = include_str!("../../../docs/handbook/src/tutorial.md")]

mod comm;
mod error;
mod input;
mod job;
mod plain;
mod protected;
mod random;
mod run;
mod state;

pub use chacha20::{ChaCha8Rng, rand_core};
pub use comm::{Any, Comm, Op, Pending, Reducible, Request, Source, Status, Tag, ValueError};
pub use error::{Error, Result};
pub use input::Input;
pub use job::Job;
pub use plain::Plain;
pub use protected::{Captured, Initial, Protected};
pub use run::run;
pub use state::{Array, Dimension, Fields, State, Value};

/// The Rust of the handbook's other pages: compiled and run by the tests, shown nowhere else.
#[cfg(doctest)]
mod handbook {
    #[doc = include_str!("../../../docs/handbook/src/programming-guide.md")]
    mod programming_guide {}
    #[doc = include_str!("../../../docs/handbook/src/from-mpi.md")]
    mod from_mpi {}
    #[doc = include_str!("../../../docs/handbook/src/determinism.md")]
    mod determinism {}
    #[doc = include_str!("../../../docs/handbook/src/another-number-of-ranks.md")]
    mod another_number_of_ranks {}
}
