//! Tests of the engines of `control` through their public inputs and effects.

mod cause;
