//! Fault, bug or decision: what the end of a process says about the job.
//!
//! Invariants: every ending has exactly one verdict; a rank that Mainstay killed is judged by why
//! it was killed only if that kill is what ended it, else by its own ending; behind a wrapper it is
//! the program that is judged, as far as its end is known. Deliberately absent: counting and
//! retrying, which are the budget's and the recovery's.

use mainstay_types::cause::signal_name;
use mainstay_types::{Cause, exit};

/// SIGKILL, the only signal by which Mainstay fences.
const SIGKILL: i32 = 9;
/// SIGABRT, by which a panic ends a program built with `panic = "abort"`.
const SIGABRT: i32 = 6;
/// The code with which Rust ends a process whose main thread panicked.
const PANICKED: i32 = 101;
/// The code with which Rust ends a process whose `main` returned an error.
const FAILED: i32 = 1;

/// How a process ended, as `wait` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It exited with this code.
    Exit(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether a core was dumped.
        core: bool,
    },
}

/// Why Mainstay killed a rank before it could be declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FenceReason {
    /// It was stopped for longer than `--lost-after`.
    Stopped,
    /// It made no progress for longer than its deadline.
    NoProgress,
    /// It did nothing wrong: the policy starts all ranks again, or the job ends.
    Collateral,
}

impl FenceReason {
    /// The reason for people, to follow "killed because".
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Stopped => "it was stopped for longer than --lost-after",
            Self::NoProgress => "it made no progress within its deadline",
            Self::Collateral => "all ranks are ended together",
        }
    }
}

/// What else is known of an ending, beside the status of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// The message of its `Panicked`, if it sent one.
    pub panicked: Option<String>,
    /// The message of its `Failed`, if it sent one.
    pub failed: Option<String>,
    /// Whether it sent `FinishedEarly`.
    pub finished_early: bool,
    /// Why it was killed by Mainstay, if it was.
    pub fenced: Option<FenceReason>,
    /// Whether the kernel counted an out-of-memory kill for it.
    pub oom: bool,
    /// Whether it had said hello.
    pub joined: bool,
}

/// What an ending means for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Something outside the program ended it: it is worth a restart.
    Fault,
    /// Probably the program's own doing: retried once, then given up.
    Bug,
    /// The job ends with this code; a retry would change nothing.
    Decision {
        /// The job's exit code.
        code: u8,
    },
    /// Mainstay ended it for the sake of the others: no failure at all.
    Collateral,
}

/// The judgement of one ending.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// Why, in the words of the `cause` key.
    pub cause: Cause,
    /// What follows.
    pub class: Class,
    /// The exit code of the job, should it be given up for this.
    pub code: u8,
    /// What happened, to follow the rank's name in a sentence.
    pub detail: String,
}

/// How the processes of a rank ended: the one that was started and, if another one joined, that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endings {
    /// The process that was started: the program or a wrapper around it.
    pub started: Ending,
    /// The program behind a wrapper; `None` without a wrapper.
    pub program: Option<Program>,
}

/// A program that ran behind a wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// How it ended, if that can be known of a process that is no child of ours.
    pub ending: Option<Ending>,
    /// Whether the wrapper ended first, so that the program was ended for that.
    pub outlived_wrapper: bool,
}

/// The ending to judge a rank by: its program's, whatever a wrapper makes of it.
///
/// # Shape
/// A wrapper that ends before its program takes the program with it: its own ending counts. Else
/// the program's does. Is that unknown, a wrapper's code that is not 0 is taken for the program's,
/// and a shell's 128 + N for signal N. A wrapper that ends with 0, or that was killed, says nothing:
/// then the last words count, and a program without any is taken for killed.
#[must_use]
pub fn ending_of(endings: Endings, hints: &Hints) -> Ending {
    let ending = match (endings.started, endings.program) {
        (started, None | Some(Program { outlived_wrapper: true, .. })) => started,
        (_, Some(Program { ending: Some(ending), .. })) => ending,
        (Ending::Exit(code @ 129..=159), _) => Ending::Signal { signal: code - 128, core: false },
        (Ending::Exit(0) | Ending::Signal { .. }, _) => last_words(hints),
        (Ending::Exit(code), _) => Ending::Exit(code),
    };
    match ending {
        // Somebody caught the panic on its way out of `mainstay::run`.
        Ending::Exit(0) if hints.panicked.is_some() => Ending::Exit(PANICKED),
        ending => ending,
    }
}

/// The ending that a program's last words announce.
fn last_words(hints: &Hints) -> Ending {
    if hints.panicked.is_some() {
        Ending::Exit(PANICKED)
    } else if hints.failed.is_some() {
        Ending::Exit(FAILED)
    } else if hints.finished_early {
        Ending::Exit(0)
    } else {
        Ending::Signal { signal: SIGKILL, core: false }
    }
}

/// Judges the end of a process.
///
/// # Shape
/// In this order: a kill of ours by its reason; an out-of-memory kill; a panic; a closure that
/// returned without `finish`; then exit codes and signals by themselves.
#[must_use]
pub fn classify(ending: Ending, hints: &Hints) -> Verdict {
    match ending {
        Ending::Signal { signal, core } => of_signal(signal, core, hints),
        Ending::Exit(code) => of_exit(code, hints),
    }
}

fn of_signal(signal: i32, core: bool, hints: &Hints) -> Verdict {
    let code = exit::of_signal(signal);
    let verdict = |cause, class, detail| Verdict { cause, class, code, detail };
    if let (SIGKILL, Some(reason)) = (signal, hints.fenced) {
        let (cause, class) = match reason {
            FenceReason::Stopped => (Cause::Stopped, Class::Fault),
            FenceReason::NoProgress => (Cause::NoProgress, Class::Fault),
            FenceReason::Collateral => (Cause::Signal(SIGKILL), Class::Collateral),
        };
        let detail = format!("was killed because {}", reason.sentence());
        return verdict(cause, class, detail);
    }
    if signal == SIGKILL && hints.oom {
        let detail = "was killed by the kernel for want of memory; it would be again at this size";
        return verdict(Cause::Oom, Class::Decision { code }, detail.to_owned());
    }
    if let (SIGABRT, Some(message)) = (signal, &hints.panicked) {
        return verdict(Cause::Panic, Class::Bug, format!("panicked: {message}"));
    }
    let by_itself = Cause::Signal(signal).is_of_program();
    let class = if by_itself { Class::Bug } else { Class::Fault };
    let dumped = if core { ", core dumped" } else { "" };
    let detail = format!("was ended by {} (signal {signal}{dumped})", signal_name(signal));
    verdict(Cause::Signal(signal), class, detail)
}

fn of_exit(status: i32, hints: &Hints) -> Verdict {
    let decision =
        |cause, code, detail| Verdict { cause, class: Class::Decision { code }, code, detail };
    // Exit statuses are eight bits wide; anything else would be a fault of the caller.
    let code = u8::try_from(status).unwrap_or(exit::INTERNAL);
    if let (true, Some(message)) = (status != 0, &hints.panicked) {
        return Verdict {
            cause: Cause::Panic,
            class: Class::Bug,
            code,
            detail: format!("panicked: {message}"),
        };
    }
    if hints.finished_early {
        let detail = "returned from its closure without calling finish".to_owned();
        return decision(Cause::FinishedEarly, exit::INTERNAL, detail);
    }
    if status == 0 {
        let detail = if hints.joined {
            "exited with code 0 before the job was finished"
        } else {
            "exited with code 0 without joining the job"
        };
        return decision(Cause::FinishedEarly, exit::INTERNAL, detail.to_owned());
    }
    let detail = match &hints.failed {
        Some(message) => format!("failed with code {status}: {message}"),
        None => format!("exited with code {status}"),
    };
    decision(Cause::Exit(status), code, detail)
}
