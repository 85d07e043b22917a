//! The recovery loop: enter the program, and enter it again after each failure until it finishes.
//!
//! Invariant: the program is entered only under an epoch that was opened, and an epoch is
//! acknowledged only after the closure has returned and every handle of its entry is invalid.
//! Deliberately absent: any decision; the supervisor takes them.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use mainstay_host::rank::{Rank, RankError};

use crate::job::Core;
use crate::{Error, Job, Result};

/// Runs `program` on every rank of the job until it has finished.
///
/// The closure is entered once at the start and again after each failure, so it is `Fn`: nothing
/// that it captures changes between entries. Statics, open files and code before `run` are the
/// author's to keep right.
///
/// # Errors
/// The program's own error, which ends the job with this process's exit code; or a reason why the
/// job cannot go on.
///
/// # Panics
/// When the program panics, after the supervisor was told.
///
/// # Examples
/// ```
/// fn main() -> mainstay::Result<()> {
///     mainstay::run(|job| {
///         let world = job.world();
///         let mut sum = [world.rank() as f64 + 1.0];
///         world.allreduce(&mut sum, mainstay::Op::Sum)?;
///         job.finish(&sum)
///     })
/// }
/// ```
pub fn run<F>(program: F) -> Result<()>
where
    F: Fn(&Job) -> Result<()>,
{
    let core = Rc::new(RefCell::new(Core::new(Rank::join()?)));
    loop {
        // Nothing here panics by itself; an injection may, as a rank's own code could.
        let entered = catch_unwind(AssertUnwindSafe(|| core.borrow_mut().enter()));
        entered.unwrap_or_else(|panic| {
            core.borrow_mut().rank.panicked(panic_message(panic.as_ref()));
            resume_unwind(panic)
        })?;
        let job = Job::new(Rc::clone(&core));
        let outcome = catch_unwind(AssertUnwindSafe(|| program(&job)));
        drop(job);
        let mut core = core.borrow_mut();
        core.leave();
        let rank = &mut core.rank;
        if rank.is_finished() {
            return outcome.unwrap_or_else(|panic| resume_unwind(panic));
        }
        if rank.is_interrupted() {
            // Whatever the closure made of the interruption, its entry is over.
            continue;
        }
        match outcome {
            Ok(Ok(())) => {
                rank.finished_early();
                return Err(Error::from(RankError::FinishedEarly));
            }
            Ok(Err(error)) => {
                if matches!(error.rank(), Some(RankError::LauncherGone)) {
                    rank.orphaned();
                }
                rank.failed(&error.to_string());
                return Err(error);
            }
            Err(panic) => {
                rank.panicked(panic_message(panic.as_ref()));
                resume_unwind(panic);
            }
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
