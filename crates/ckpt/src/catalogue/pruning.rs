//! Which versions can go.
//!
//! Invariants: of each job as many recoverable versions stay as were asked for, and at least one;
//! nothing goes that is newer than the oldest of them; while there are fewer, nothing of the job
//! goes at all. What cannot be told whose it is stays, and so does what lost its manifest, which
//! somebody may put back. Deliberately absent: removing, whose order [`commit`](crate::commit) has.

use std::collections::BTreeSet;

use mainstay_types::Version;

use super::{Catalogue, Entry, Standing, newest_first};
use crate::commit::Leftovers;

/// What stays and what goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruning {
    /// The versions that make the others superfluous, the newest first.
    pub kept: Vec<Version>,
    /// Published versions that can go, the oldest first.
    pub removed: Vec<Version>,
    /// Files of versions that were never published.
    pub leftovers: Leftovers,
    /// Versions that stay because nobody can tell whether they are wanted.
    pub left: Vec<Version>,
}

impl Catalogue {
    /// What can go if the newest `keep` recoverable versions of each job stay.
    #[must_use]
    pub fn pruning(&self, keep: usize) -> Pruning {
        let mut pruning = Pruning::default();
        let mut removed = BTreeSet::new();
        for job in newest_first(self.of_jobs().map(|(entry, job)| (entry.version, job))) {
            let of_job: Vec<&Entry> =
                self.of_jobs().filter(|(_, j)| *j == job).map(|(entry, _)| entry).collect();
            let whole = of_job.iter().rev().filter(|entry| entry.is_recoverable());
            let kept: Vec<Version> = whole.take(keep.max(1)).map(|entry| entry.version).collect();
            if let Some(oldest) = kept.last().filter(|_| kept.len() == keep.max(1)) {
                removed.extend(of_job.iter().map(|entry| entry.version).filter(|v| v < oldest));
            }
            pruning.kept.extend(kept);
        }
        pruning.kept.sort_by_key(|version| std::cmp::Reverse(*version));
        let others = self.entries().filter(|entry| !removed.contains(&entry.version));
        let names = others.flat_map(|entry| &entry.files).map(|file| file.name.as_str());
        pruning.leftovers = Leftovers::among(names);
        pruning.removed = removed.into_iter().collect();
        let is_left = |entry: &&Entry| match entry.standing {
            Standing::Published => entry.manifest().is_none(),
            Standing::Orphaned => true,
            Standing::Aside => false,
        };
        pruning.left = self.entries().filter(is_left).map(|entry| entry.version).collect();
        pruning
    }
}
