//! Why a rank failed: the words of the `cause` key and of every diagnosis.
//!
//! Deliberately absent: what is done about it; `control` decides.

use std::fmt;

/// Why an incarnation of a rank ended or was declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A signal ended it.
    Signal(i32),
    /// It called `exit` with a code other than 0 before the job was finished.
    Exit(i32),
    /// Its program panicked.
    Panic,
    /// It was stopped (state `T`) for longer than `--lost-after`, then fenced.
    Stopped,
    /// It made no progress for longer than its deadline, then was fenced.
    NoProgress,
    /// The kernel ended it for want of memory.
    Oom,
    /// It exited with 0, or its closure returned `Ok`, before `finish`.
    FinishedEarly,
}

impl Cause {
    /// Whether the program brought it upon itself: it panicked, exited, returned too early, or got one of
    /// ILL, TRAP, ABRT, BUS, FPE, SEGV, PIPE, ALRM, XCPU, XFSZ, SYS. All other signals come from outside.
    #[must_use]
    pub fn is_of_program(self) -> bool {
        match self {
            Self::Panic | Self::Exit(_) | Self::FinishedEarly => true,
            Self::Signal(signal) => {
                matches!(signal, 4 | 5 | 6 | 7 | 8 | 11 | 13 | 14 | 24 | 25 | 31)
            }
            Self::Stopped | Self::NoProgress | Self::Oom => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => write!(f, "signal:{signal}"),
            Self::Exit(code) => write!(f, "exit:{code}"),
            Self::Panic => f.write_str("panic"),
            Self::Stopped => f.write_str("stopped"),
            Self::NoProgress => f.write_str("no_progress"),
            Self::Oom => f.write_str("oom"),
            Self::FinishedEarly => f.write_str("finished_early"),
        }
    }
}

/// The usual name of a signal, for people.
#[must_use]
pub fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        31 => "SIGSYS",
        _ => "a signal",
    }
}
