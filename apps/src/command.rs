//! What all programs do with a wrong command line, and how they speak.
//!
//! Invariant: whatever is wrong with a command line is said once, by rank 0, before any rank leaves.
//! Deliberately absent: what the options are, and exit codes of other errors.

use std::fmt::Display;
use std::process::ExitCode;

use mainstay::Error;

/// Exit code for a bad command line.
const BAD_USAGE: u8 = 2;

/// Shows what is wrong with the command line, on rank 0 alone; the code to exit with.
#[must_use]
pub fn refuse(wrong: &clap::Error) -> ExitCode {
    let shown = mainstay::run(|job| {
        if job.rank() == 0 {
            wrong.print()?;
        }
        job.world().barrier()?;
        Err(Error::msg("the command line is wrong"))
    });
    debug_assert!(shown.is_err(), "the closure never finishes");
    ExitCode::from(BAD_USAGE)
}

/// Says something on standard error, in the name of a program.
#[allow(clippy::print_stderr, reason = "the program's own messages")]
pub fn say(program: &str, message: &dyn Display) {
    eprintln!("{program}: {message}");
}
