//! The exit codes of `mainstay`, as programs and schedulers rely on them.
//!
//! Deliberately absent: how an outcome is chosen; `control` does that.

/// All went as asked.
pub const OK: u8 = 0;
/// The command line was wrong.
pub const USAGE: u8 = 2;
/// The input, or every checkpoint, was unusable (`EX_DATAERR`).
pub const DATA: u8 = 65;
/// A fault of Mainstay's own, or of a program that broke its contract (`EX_SOFTWARE`).
pub const INTERNAL: u8 = 70;
/// The checkpoint directory or an output file could not be used (`EX_CANTCREAT`).
pub const DIRECTORY: u8 = 73;
/// An injection left no receipt.
pub const NOT_INJECTED: u8 = 75;
/// The answer is not the fault-free one, or nothing was proved.
pub const NOT_IDENTICAL: u8 = 76;
/// The time limit of the job was reached; what it has kept can be gone on with. As `timeout` has it.
pub const TIME_LIMIT: u8 = 124;
/// The program exists and cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The program was not found.
pub const NOT_FOUND: u8 = 127;
/// Interrupted by Ctrl-C.
pub const INTERRUPTED: u8 = 130;
/// Standard output was closed by its reader.
pub const STDOUT_CLOSED: u8 = 141;
/// Ended by SIGTERM.
pub const TERMINATED: u8 = 143;

/// The code of a process that a signal ended, as shells give it.
#[must_use]
pub fn of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(INTERNAL)
}
