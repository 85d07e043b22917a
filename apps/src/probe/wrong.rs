//! Programs whose answer is wrong, to see that a twin tells.
//!
//! Invariants: [`flip`] is right as long as nothing is restored; [`nondet`] never gives the same
//! answer twice; the answer of [`nondet_end`] is right.

use std::time::{SystemTime, UNIX_EPOCH};

use mainstay::{Job, Result};

use super::load::{Load, Work, go_on, steps_with};

/// Whenever state was restored, `rank` changes one bit of it.
///
/// # Errors
/// An interruption.
pub fn flip(job: &Job, load: Load, rank: usize) -> Result<()> {
    let mut work = job.protect("work", || Work::new(job.rank(), load.bytes))?;
    if job.restored_version().is_some() && job.rank() == rank {
        let last = work.words.len() - 1;
        work.words[last] ^= 1;
    }
    go_on(job, load, &mut work, |_| Ok(()))?;
    job.finish(&work.words)
}

/// The answer depends on the time of day.
///
/// # Errors
/// An interruption.
pub fn nondet(job: &Job, load: Load) -> Result<()> {
    steps_with(job, load, |_, work| {
        work.words[0] ^= time_of_day()?;
        Ok(())
    })
}

/// The answer is right, but the ranks exchange the time of day after the last step.
///
/// # Errors
/// An interruption.
pub fn nondet_end(job: &Job, load: Load) -> Result<()> {
    let mut work = job.protect("work", || Work::new(job.rank(), load.bytes))?;
    go_on(job, load, &mut work, |_| Ok(()))?;
    job.world().broadcast(&mut [time_of_day()?], 0)?;
    job.finish(&work.words)
}

fn time_of_day() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::from(now.subsec_nanos()) + now.as_secs())
}
