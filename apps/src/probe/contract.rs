//! Programs that break, or strain, the contract between a program and Mainstay.
//!
//! Invariants: each breaks one clause and keeps the others.

use std::process::Command;

use mainstay::{Comm, Job, Op, Result};

use super::load::{Load, Work, go_on, spin, steps, steps_with};

/// Returns `Ok` half-way, without `finish`.
///
/// # Errors
/// An interruption.
pub fn early(job: &Job, load: Load) -> Result<()> {
    let mut work = job.protect("work", || Work::new(job.rank(), load.bytes))?;
    let half = Load { steps: load.steps / 2, ..load };
    go_on(job, half, &mut work, |_| Ok(()))
}

/// Takes an interruption for the end, and returns `Ok`.
///
/// # Errors
/// Any error but an interruption.
pub fn swallow(job: &Job, load: Load) -> Result<()> {
    match steps(job, load) {
        Err(error) if error.is_interrupted() => Ok(()),
        other => other,
    }
}

/// Does the work without protecting any of it: each entry begins at the start.
///
/// # Errors
/// An interruption.
pub fn unprotected(job: &Job, load: Load) -> Result<()> {
    let world = job.world();
    let mut work = Work::new(job.rank(), load.bytes);
    while work.step < load.steps {
        work.advance(&world)?;
        spin(load.spin);
        job.tick()?;
    }
    job.finish(&work.words)
}

/// The last rank completes one step more than the others.
///
/// # Errors
/// An interruption.
pub fn unequal(job: &Job, load: Load) -> Result<()> {
    let mut work = job.protect("work", || Work::new(job.rank(), load.bytes))?;
    go_on(job, load, &mut work, |_| Ok(()))?;
    if job.rank() + 1 == job.size() {
        job.checkpoint(&mut work)?;
    }
    job.finish(&work.words)
}

/// Counts steps before it has its state, then does the work.
///
/// # Errors
/// An interruption.
pub fn tick_first(job: &Job, load: Load) -> Result<()> {
    for _ in 0..20 {
        spin(load.spin);
        job.tick()?;
    }
    steps(job, load)
}

/// Receives in the work what was sent before it, which only a request can.
///
/// # Errors
/// That a request is outstanding.
pub fn crosses(job: &Job, load: Load) -> Result<()> {
    let _never_waited_for = job.world().irecv::<u64>(job.rank(), 98)?;
    steps(job, load)
}

/// A value that talks to other ranks when it is dropped, also while an interruption unwinds.
struct Chatty(Comm);

impl Drop for Chatty {
    fn drop(&mut self) {
        let (rank, size) = (self.0.rank(), self.0.size());
        let mut one = [1_u64];
        // Nobody can act on a failure here.
        let _ = self.0.send(&one, (rank + 1) % size, 99);
        let _ = self.0.allreduce(&mut one, Op::Sum);
        let _ = self.0.barrier();
    }
}

/// Communicates in `Drop`, at the end of the work and in an interrupted entry.
///
/// # Errors
/// An interruption.
pub fn drop_comm(job: &Job, load: Load) -> Result<()> {
    let mut work = job.protect("work", || Work::new(job.rank(), load.bytes))?;
    let chatty = Chatty(job.world());
    go_on(job, load, &mut work, |_| Ok(()))?;
    // The message to the next rank stays unreceived: the job may finish all the same.
    drop(chatty);
    job.finish(&work.words)
}

/// What a forking rank leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offspring {
    /// A child of the rank.
    Child,
    /// A child whose parent is gone already.
    Grandchild,
}

/// Every rank starts a process that sleeps for 1,000 seconds, in its first step, and leaves it.
///
/// # Errors
/// An interruption, or a process that cannot be started.
#[allow(clippy::zombie_processes, reason = "leaving the child is the fault to show")]
pub fn fork(job: &Job, load: Load, offspring: Offspring) -> Result<()> {
    steps_with(job, load, |_, work| {
        if work.step == 1 {
            match offspring {
                Offspring::Child => drop(Command::new("sleep").arg("1000").spawn()?),
                Offspring::Grandchild => {
                    Command::new("sh").args(["-c", "sleep 1000 &"]).status()?;
                }
            }
        }
        Ok(())
    })
}
