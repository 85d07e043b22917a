//! Tests of the engines of `control` through their public inputs and effects.

mod cause;
#[cfg(loom)]
mod target_loom;
