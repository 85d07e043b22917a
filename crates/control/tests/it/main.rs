//! Tests of the engines of `control` through their public inputs and effects.

mod agreement;
mod cause;
mod documents;
mod evidence;
mod exhaustive;
mod interval;
mod late;
mod pace;
mod random;
mod script;
#[cfg(loom)]
mod target_loom;
mod world;
