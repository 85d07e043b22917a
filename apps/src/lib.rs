//! Real programs on the Mainstay runtime, as a library that their binaries share.
//!
//! `cg` solves A·x = b for a real sparse matrix: [`mtx`] and [`vector`] read the input, [`sparse`]
//! holds the matrix and divides it among ranks, [`rhs`] makes right-hand sides, [`cg`] iterates.
//! `heat` lets the numbers of a raster spread: [`raster`] reads it, [`heat`] computes, [`picture`]
//! draws. `pi-farm` gives tasks to whoever asks first; see [`farm`]. `probe` misbehaves on purpose;
//! its modes are in [`probe`].
//!
//! Invariants: a result is a function of the input, the options and the number of ranks alone, that
//! of `heat` of the first two; every sum has one order, but in a farm that is not asked for one.
//! What the binaries say to a person is in [`command`]. Deliberately absent: files written, options and
//! exit codes, which are the binaries' business.

pub mod cg;
pub mod command;
pub mod farm;
pub mod heat;
pub mod input_error;
pub mod lines;
pub mod mtx;
pub mod picture;
pub mod probe;
pub mod raster;
pub mod rhs;
mod source;
pub mod sparse;
pub mod vector;

pub use input_error::InputError;

#[cfg(test)]
mod testing;
