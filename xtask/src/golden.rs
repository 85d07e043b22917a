//! `cargo xtask golden`: compares the golden files of the formats, or writes them again.
//!
//! Invariant: the codecs' own tests hold the comparison; this command only runs them, with
//! `MAINSTAY_GOLDEN=write` when they are to write. Deliberately absent: writing over a version
//! that was released, which the tests refuse.

use crate::{Failure, workspace};

/// Runs the golden tests of `ckpt` and `observe`. Returns how many runs failed.
///
/// # Errors
/// Arguments other than `--write`, or a cargo that cannot be started.
pub(crate) fn run(arguments: &[String]) -> Result<usize, Failure> {
    let write = match arguments {
        [] => false,
        [only] if only == "--write" => true,
        _ => return Err("usage: cargo xtask golden [--write]".into()),
    };
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--package", "mainstay-ckpt", "--package", "mainstay-observe", "golden"]);
    if write {
        cargo.env("MAINSTAY_GOLDEN", "write");
    }
    Ok(usize::from(!cargo.status()?.success()))
}
