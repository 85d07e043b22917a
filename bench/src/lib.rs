//! What the measured programs of this package share with the suites that run them.
//!
//! Invariant: nothing here belongs to one suite. Deliberately absent: a stable interface; the
//! package is not published.

pub mod batches;
pub mod case;
pub mod held;
pub mod mapping;
