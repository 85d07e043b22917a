//! What a job keeps of its versions, where, and what that may cost: options that belong together.
//!
//! Deliberately absent: what follows from them; `ckpt::ledger` and `versions` have that.

use std::time::Duration;

use mainstay_types::{Tracking, duration};

use super::config::mib;
use crate::sys::Watcher;

/// Of what one version is kept for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepEvery {
    /// Of so many steps each.
    Steps(u64),
    /// Of so much time each.
    Period(Duration),
}

/// The most that all arenas may take together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryLimit {
    /// So many bytes.
    Bytes(u64),
    /// This share of the memory that is available at the start, above 0 and at most 1.
    Share(f64),
}

/// What is kept of versions, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Storage {
    /// How many of the newest versions stay on disk.
    pub keep: usize,
    /// Of what one more stays there for good.
    pub keep_every: Option<KeepEvery>,
    /// How many arenas each rank has: one or two.
    pub arenas: u8,
    /// The most that they may take together.
    pub limit: Option<MemoryLimit>,
    /// How often each copy is read and compared with its checksums.
    pub scrub_every: Option<Duration>,
    /// Whether captures copy only what was written.
    pub tracking: Tracking,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            keep: 2,
            keep_every: None,
            arenas: 2,
            limit: None,
            scrub_every: None,
            tracking: Tracking::Off,
        }
    }
}

impl Storage {
    /// What stays on disk, for people.
    pub(super) fn retention(&self) -> String {
        let newest = match self.keep {
            1 => "the newest version".to_owned(),
            keep => format!("the newest {keep} versions"),
        };
        match self.keep_every {
            None => newest,
            Some(KeepEvery::Steps(steps)) => {
                format!("{newest}, and one of each {steps} steps for good")
            }
            Some(KeepEvery::Period(every)) => {
                format!("{newest}, and one each {} for good", duration::format(every))
            }
        }
    }

    /// How often copies are read again, for people.
    pub(super) fn scrub(&self) -> String {
        self.scrub_every.map_or("never".to_owned(), |every| {
            format!("each copy once in {}, with 1 MiB of memory", duration::format(every))
        })
    }

    /// What captures copy, for people.
    pub(super) fn copying(&self) -> String {
        let what = match self.tracking {
            Tracking::Off => return "all of the protected state".to_owned(),
            Tracking::Auto => "what was written, of fields from 8 MiB where it pays",
            Tracking::On => "what was written, of fields from 1 MiB",
            Tracking::Check => "what was written, of fields from 16 KiB, the rest compared",
        };
        match Watcher::open() {
            Ok(_) => what.to_owned(),
            Err(why) => format!("all of the protected state: {why}"),
        }
    }

    /// Why captures cannot be what they must be.
    pub(super) fn refusal(&self) -> Option<String> {
        if !matches!(self.tracking, Tracking::On | Tracking::Check) {
            return None;
        }
        let why = Watcher::open().err()?;
        let name = self.tracking.name();
        Some(format!("--track-writes {name} cannot be had: {why}; give `auto`, or leave it out"))
    }

    /// The limit on arenas in bytes, of what is available.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of bytes is no exact number"
    )]
    pub(super) fn limit_bytes(&self, available: Option<u64>) -> Option<u64> {
        match self.limit? {
            MemoryLimit::Bytes(bytes) => Some(bytes),
            MemoryLimit::Share(share) => available.map(|bytes| (bytes as f64 * share) as u64),
        }
    }

    /// What versions take of memory, for people, with the limit in bytes if there is one.
    pub(super) fn memory(&self, limit: Option<u64>) -> String {
        let arenas = match self.arenas {
            1 => "1 time the protected state: a capture waits until the version before is on disk",
            _ => "2 times the protected state",
        };
        match limit {
            None => arenas.to_owned(),
            Some(limit) => format!("{arenas}; at most {}", mib(limit)),
        }
    }
}
