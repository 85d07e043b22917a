//! Tests of the engines of `control` through their public inputs and effects.

mod cause;
mod exhaustive;
mod random;
mod script;
#[cfg(loom)]
mod target_loom;
mod world;
