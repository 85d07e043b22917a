//! What the versions of a run took, and what was found of them, for the summary.
//!
//! Deliberately absent: how long they took; see [`Advice`](super::Advice).

use std::time::Duration;

/// What versions took of memory and disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// How many arenas each rank had.
    pub arenas: u8,
    /// Bytes of all arenas.
    pub arenas_bytes: u64,
    /// How many captures were due and waited for an arena.
    pub waits: u64,
    /// How long they waited, in all.
    pub waited: Duration,
    /// Versions on disk at the end that are not kept for good.
    pub kept: usize,
    /// Their bytes.
    pub kept_bytes: u64,
    /// Versions on disk that are kept for good.
    pub archived: usize,
    /// Their bytes.
    pub archived_bytes: u64,
    /// What reading copies again came to.
    pub scrubbed: Scrubbed,
}

/// What reading copies again came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Copies that were read whole: each is a rank's part of a version, in memory or on disk.
    pub copies: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Processor time of that.
    pub cpu: Duration,
    /// Copies of which something was not as it was written.
    pub damaged: u64,
    /// Those among them that were mended from another.
    pub mended: u64,
}
