//! A program that acts only on what all ranks know.
//!
//! Invariant: a rank writes a line for an agreement only when it was told of it, so that the lines of
//! all ranks tell whether any went on alone.

use mainstay::{Job, Op, Result};

use super::load::{self, Load};

/// As [`load::steps`], with two agreements in each step, on which each rank says on standard output
/// how they ended: `agreed ENTRY STEP OK` and `checked ENTRY STEP SUM`.
///
/// # Errors
/// An interruption.
pub fn agree(job: &Job, load: Load) -> Result<()> {
    let entry = job.restored_version().map_or(0, |version| version + 1);
    load::steps_with(job, load, |world, work| {
        let step = work.step;
        // In turn one rank says no, every fourth step none.
        let turn = (step % 4) as usize;
        let ok = world.agree(turn == 3 || world.rank() != turn)?;
        say(&format!("agreed {entry} {step} {ok}"));
        let sum = world.checked(|world| {
            let mut sum = [work.words[0]];
            world.allreduce(&mut sum, Op::Sum).map(|()| sum[0])
        })?;
        say(&format!("checked {entry} {step} {sum:x}"));
        Ok(())
    })
}

#[allow(clippy::print_stdout, reason = "the program's own output")]
fn say(line: &str) {
    println!("{line}");
}
