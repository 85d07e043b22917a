//! Which versions can go.
//!
//! Invariants: of each job as many recoverable versions stay as were asked for, and at least one;
//! nothing goes that is newer than the oldest of them, and no archive unless that is asked for; while
//! there are fewer, nothing of the job goes at all; a version whose files another refers to stays as long
//! as that. What cannot be told whose it is stays, and so does what lost its manifest, which
//! somebody may put back. Deliberately absent: removing, whose order [`commit`](crate::commit) has.

use std::collections::BTreeSet;

use mainstay_types::Version;

use super::{Catalogue, Entry, Standing, newest_first};
use crate::commit::Leftovers;
use crate::format::manifest::Manifest;

/// What stays and what goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruning {
    /// The versions that make the others superfluous, the newest first.
    pub kept: Vec<Version>,
    /// Archives that stay beside them, the oldest first.
    pub archived: Vec<Version>,
    /// Published versions that can go, the oldest first.
    pub removed: Vec<Version>,
    /// Versions that stay because others that stay refer to their files, the oldest first.
    pub held: Vec<Version>,
    /// Files of versions that were never published.
    pub leftovers: Leftovers,
    /// Versions that stay because nobody can tell whether they are wanted.
    pub left: Vec<Version>,
}

/// The version to be kept beside the newest `keep` of these, which are in the order from the newest,
/// each with those that it refers to: the newest that shares no file with the newest of all. With
/// several versions kept, one damaged file is never to be the end of all; `None` if one of them is
/// such a version, or none is.
#[must_use]
pub fn independent(whole: &[(Version, BTreeSet<Version>)], keep: usize) -> Option<Version> {
    let (newest, refers) = whole.first()?;
    let mut files = refers.clone();
    files.insert(*newest);
    let is_apart = |(version, refers): &&(Version, BTreeSet<Version>)| {
        !files.contains(version) && files.is_disjoint(refers)
    };
    let place = whole.iter().position(|one| is_apart(&one))?;
    (keep > 1 && place >= keep).then(|| whole[place].0)
}

impl Catalogue {
    /// What can go if the newest `keep` recoverable versions of each job stay, and all archives.
    #[must_use]
    pub fn pruning(&self, keep: usize) -> Pruning {
        self.pruning_if(keep, |entry| !entry.is_archived())
    }

    /// What can go if the newest `keep` recoverable versions of each job stay.
    #[must_use]
    pub fn pruning_archives_too(&self, keep: usize) -> Pruning {
        self.pruning_if(keep, |_| true)
    }

    fn pruning_if(&self, keep: usize, may_go: impl Fn(&Entry) -> bool) -> Pruning {
        let mut pruning = Pruning::default();
        let mut removed = BTreeSet::new();
        for job in newest_first(self.of_jobs().map(|(entry, job)| (entry.version, job))) {
            let of_job: Vec<&Entry> =
                self.of_jobs().filter(|(_, j)| *j == job).map(|(entry, _)| entry).collect();
            let whole = of_job.iter().rev().filter(|entry| entry.is_recoverable());
            let kept: Vec<Version> = whole.take(keep.max(1)).map(|entry| entry.version).collect();
            let files = of_job.iter().rev().filter(|entry| entry.is_recoverable());
            let refers = |entry: &&&Entry| entry.manifest().map(Manifest::refers_to);
            let files: Vec<_> =
                files.map(|e| (e.version, refers(&e).unwrap_or_default())).collect();
            let apart = independent(&files, keep.max(1));
            if let Some(oldest) = kept.last().filter(|_| kept.len() == keep.max(1)) {
                let older = of_job.iter().filter(|entry| entry.version < *oldest);
                let older = older.filter(|e| may_go(e)).map(|entry| entry.version);
                removed.extend(older.filter(|version| Some(*version) != apart));
            }
            let stays = |e: &&&Entry| e.is_archived() && !removed.contains(&e.version);
            let archived = of_job.iter().filter(stays).map(|entry| entry.version);
            pruning.archived.extend(archived.filter(|version| !kept.contains(version)));
            pruning.kept.extend(kept.into_iter().chain(apart));
        }
        // What a version that stays refers to stays with it.
        let stays = self.entries().filter(|entry| !removed.contains(&entry.version));
        let held: BTreeSet<Version> =
            stays.filter_map(Entry::manifest).flat_map(Manifest::refers_to).collect();
        removed.retain(|version| !held.contains(version));
        pruning.held = held.into_iter().filter(|v| !pruning.kept.contains(v)).collect();
        pruning.kept.sort_by_key(|version| std::cmp::Reverse(*version));
        pruning.archived.sort_unstable();
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
