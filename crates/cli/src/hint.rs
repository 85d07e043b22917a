//! The command that goes on from what a failed job has kept.
//!
//! Invariant: it can be pasted into a shell. Deliberately absent: whether anything is kept.

use std::ffi::OsString;

use mainstay_host::supervisor::Outcome;
use mainstay_types::{Cause, exit};

use crate::{args, quote};

/// How a failed job can be resumed. After a refusal of its input, before which no rank has failed,
/// the same words would come to the same.
pub(crate) fn hint(options: &args::Run, outcome: &Outcome) -> Option<String> {
    let refusals = [exit::DATA, exit::NOT_FOUND, exit::NOT_EXECUTABLE];
    let refused = refusals.contains(&outcome.summary.exit) && outcome.summary.failures.is_empty();
    if outcome.summary.exit == exit::OK || refused {
        return None;
    }
    let kept = outcome.kept.as_ref()?;
    let (version, step) = outcome.resumable?;
    let mut words: Vec<OsString> =
        ["mainstay", "run", "-n", &options.n.to_string()].map(OsString::from).into();
    if options.seed != 0 {
        words.extend(["--seed".into(), options.seed.to_string().into()]);
    }
    match options.ckpt_dir {
        Some(_) => {
            words.extend(["--ckpt-dir".into(), kept.clone().into_os_string(), "--resume".into()]);
        }
        None => words.push(format!("--resume={}", outcome.job).into()),
    }
    words.extend(options.program.iter().cloned());
    let command = quote::line(&words);
    let last = outcome.summary.failures.last().map(|failure| failure.cause);
    let bug = is_bug(outcome.summary.exit, &outcome.why, last);
    let then = if bug { "debug this build from there" } else { "go on from it" };
    Some(format!("version {version} (step {step}) is kept; {then} with: {command}"))
}

/// Whether the program ended the job, and would again: its last failure was its own and gave the job its
/// code, or its ranks wait for each other for ever.
fn is_bug(code: u8, why: &str, last: Option<Cause>) -> bool {
    let own = match last {
        // Rust's own code for a panic, or that of an abort.
        Some(Cause::Panic) => code == 101 || code == exit::of_signal(6),
        Some(Cause::FinishedEarly) => code == exit::INTERNAL,
        Some(Cause::Exit(status)) => status == i32::from(code),
        Some(Cause::Signal(signal)) => code == exit::of_signal(signal),
        _ => false,
    };
    own && last.is_some_and(Cause::is_of_program) || why.starts_with("deadlock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_what_gave_the_job_its_code() {
        for (code, why, last, bug) in [
            (101, "", Some(Cause::Panic), true),
            (139, "", Some(Cause::Signal(11)), true),
            (7, "", Some(Cause::Exit(7)), true),
            (70, "", Some(Cause::FinishedEarly), true),
            (70, "deadlock: rank 0 waits", None, true),
            // It was recovered from, and something else ended the job.
            (130, "", Some(Cause::Panic), false),
            (124, "", Some(Cause::Exit(7)), false),
            (70, "no process", None, false),
            (137, "", Some(Cause::Signal(9)), false),
        ] {
            assert_eq!(is_bug(code, why, last), bug, "{code} {why} {last:?}");
        }
    }
}
