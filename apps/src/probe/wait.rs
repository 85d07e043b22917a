//! Programs that keep others waiting: for ever, or for long.

use std::time::Duration;

use mainstay::{Job, Result};

use super::load::{Load, spin, steps_with};

/// Tag of the message that nobody sends.
const NEVER: u32 = 7;

/// After half of the work every rank waits for the next one, and none sends.
///
/// # Errors
/// An interruption.
pub fn deadlock(job: &Job, load: Load) -> Result<()> {
    steps_with(job, load, |world, work| {
        if work.step > load.steps / 2 {
            let next = (world.rank() + 1) % world.size();
            world.recv(&mut [0_u64], next, NEVER)?;
        }
        Ok(())
    })
}

/// In every tenth step each rank computes for `time` between two calls.
///
/// # Errors
/// An interruption.
pub fn long_kernel(job: &Job, load: Load, time: Duration) -> Result<()> {
    steps_with(job, load, |_, work| {
        if work.step % 10 == 5 {
            spin(time);
        }
        Ok(())
    })
}
