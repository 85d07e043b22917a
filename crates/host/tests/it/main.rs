//! Tests of the real world behind the engines, through its public faces.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod endpoint;
mod shm;
