//! What is asserted of every parser, whatever bytes it is given.
//!
//! One function a target. Each takes bytes, asserts, and says whether anything in them was
//! accepted. The programs in `fuzz_targets` give them to libFuzzer; `tests/corpus.rs` runs all of
//! them over `corpus/` on stable. Invariants: nothing is asserted that only holds for input of
//! our own making; a checksum is no shelter, so what carries one is also tried with it corrected.
//! Deliberately absent: libFuzzer itself, except in the programs, and any `unsafe`.

mod image;
mod manifest;
mod matrix;
mod messages;
mod packed;
mod raster;
mod ring;
mod source;
mod text;
mod trace;
mod veloc;
mod wire;

pub use image::{image, plan};
pub use manifest::manifest;
pub use matrix::{matrix, vector};
pub use messages::messages;
pub use packed::packed;
pub use raster::raster;
pub use ring::ring;
pub use text::{inject, names};
pub use trace::{page, tape};
pub use veloc::veloc;
pub use wire::{frame, wire};

/// A target's name and its function.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// Every target, under the name of its program and its corpus.
pub const TARGETS: &[Target] = &[
    ("frame", frame),
    ("image", image),
    ("inject", inject),
    ("manifest", manifest),
    ("matrix", matrix),
    ("messages", messages),
    ("names", names),
    ("packed", packed),
    ("page", page),
    ("plan", plan),
    ("raster", raster),
    ("ring", ring),
    ("tape", tape),
    ("vector", vector),
    ("veloc", veloc),
    ("wire", wire),
];
