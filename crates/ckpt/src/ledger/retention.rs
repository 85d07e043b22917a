//! Which published versions are archives: kept on disk for good, beside the newest.
//!
//! By steps, the steps of a job are divided into periods of so many, and the first version of each that
//! is published becomes its archive; the first period, before so many steps are done, has none. That
//! follows from the versions that are there, so another launch of the job decides the same. By time,
//! whoever has a clock says when one is due. Invariants: what is an archive stays one; a period whose
//! archive is damaged gets another. Deliberately absent: clocks, and the mark by which a later launch
//! knows an archive.

use mainstay_types::{Step, Version};

use super::Ledger;
use super::input::{Effect, Stale};
use super::record::{Disk, Record};

impl Ledger {
    /// Makes a version an archive that was just published, if one is due.
    pub(super) fn archive(&mut self, version: Version, effects: &mut Vec<Effect>) {
        let Some(record) = self.records.get(&version).filter(|r| !r.archived) else {
            return;
        };
        let is_first = self.archive_steps.is_some_and(|steps| self.is_first(record.step, steps));
        if !(is_first || self.archive_due) {
            return;
        }
        self.archive_due = false;
        if let Some(record) = self.records.get_mut(&version) {
            record.archived = true;
        }
        effects.push(Effect::Archive { version });
    }

    /// Whether the period of a step has no archive that is whole.
    fn is_first(&self, step: Step, steps: u64) -> bool {
        let period = step.0 / steps;
        let is_of_it =
            |r: &Record| r.archived && r.is_whole_on_disk() && r.step.0 / steps == period;
        period > 0 && !self.records.values().any(is_of_it)
    }

    /// A version of an earlier launch is marked as an archive.
    pub(super) fn archived(&mut self, version: Version) -> Result<(), Stale> {
        let record = self.records.get_mut(&version).filter(|r| r.disk == Disk::Published);
        record.ok_or(Stale::Version)?.archived = true;
        Ok(())
    }
}
