//! Versions that are kept for good: when one is due by the clock, and their marks in the directory.
//!
//! Invariant: the wall clock has a say in how many there are, never in which version is newer.
//! Deliberately absent: which version becomes one; the ledger decides.

use std::time::{Duration, SystemTime};

use mainstay_ckpt::archive_name;
use mainstay_ckpt::ledger::{Input, Ledger};
use mainstay_control::target::Period;
use mainstay_types::Version;
use mainstay_types::event::Event;

use super::Versions;
use crate::directory::Directory;
use crate::supervisor::config::Config;
use crate::supervisor::storage::KeepEvery;
use crate::sys;

/// A ledger for what is to be kept.
pub(super) fn ledger(config: &Config, next: Version) -> Ledger {
    let storage = &config.storage;
    let ledger = Ledger::new(config.n, next, storage.keep);
    let ledger = ledger.with_slots(usize::from(storage.arenas));
    match storage.keep_every {
        Some(KeepEvery::Steps(steps)) => ledger.archiving(steps),
        Some(KeepEvery::Period(_)) | None => ledger,
    }
}

/// Tells the ledger of the archives that are there; gives the period that runs, if time counts.
pub(super) fn adopt(
    config: &Config,
    ledger: &mut Ledger,
    directory: Option<&Directory>,
    archived: &[Version],
) -> Option<Period> {
    for version in archived {
        // Those of other jobs it does not know.
        ledger.step(Input::Archived { version: *version }, &mut Vec::new());
    }
    let Some(KeepEvery::Period(every)) = config.storage.keep_every else {
        return None;
    };
    let newest = archived.iter().rev().find(|version| {
        let record = ledger.record(**version);
        record.is_some_and(|record| record.is_archived())
    });
    let age = newest.and_then(|version| Some(age(directory?, *version)));
    Some(Period::new(every, sys::now(), age))
}

/// How old a mark is. If the clock was set back, it is new; if nobody knows, it is, too.
fn age(directory: &Directory, version: Version) -> Duration {
    let mark = directory.open_file(&archive_name(version)).ok();
    let made = mark.and_then(|mark| mark.metadata().ok()?.modified().ok());
    made.and_then(|made| SystemTime::now().duration_since(made).ok()).unwrap_or_default()
}

/// What to say of an archive without a mark.
pub(super) fn unmarked(version: Version, why: &str) -> Event {
    Event::Note {
        text: format!(
            "version {version} is kept for good by this run alone: its mark cannot be written: {why}"
        ),
    }
}

impl Versions {
    /// Tells the ledger if a period has passed, of which the version that is now published becomes the
    /// archive.
    pub(super) fn archive_if_due(&mut self, now: Duration) -> Vec<Event> {
        match self.period.is_some_and(|period| period.is_over(now)) {
            true => self.input(Input::ArchiveDue),
            false => Vec::new(),
        }
    }

    /// Marks a version that is kept for good.
    pub(super) fn archive(&mut self, version: Version) {
        if let Some(period) = &mut self.period {
            period.begins(sys::now());
        }
        if let Some(checkpoint) = self.told.get_mut(&version) {
            checkpoint.archived = true;
        }
        if let Some(drain) = self.writer.drain() {
            drain.archive(version);
        }
    }
}
