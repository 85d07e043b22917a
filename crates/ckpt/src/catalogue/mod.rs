//! What a checkpoint directory holds, as its names and manifests tell of it, without the job.
//!
//! A start with `--resume` and the tools decide by the same rules, which stand here. Invariants: every
//! version that any name tells of has an entry; no entry is called recoverable that a start would
//! not take for whole; nothing that may be the last copy of anything is among what can go.
//! Deliberately absent: reading files, which `host` does, and whether the data of a version are whole:
//! that takes reading them, see [`audit_shard`](crate::format::verify::audit_shard).

mod blocks;
mod entry;
mod fault;
mod pruning;

use std::collections::BTreeMap;

use mainstay_types::{JobId, Rank, Version};

pub use self::blocks::{Apart, Block, Run, Whole};
pub use self::entry::{Entry, Listed, Reason, ShardCopy, Standing};
pub use self::fault::{Fault, check_length, of_image, open_shard, open_stored, read_manifest};
pub use self::pruning::{Pruning, independent};
use crate::format::name::parse_name;

/// The names of a directory by the version that they belong to, and those that belong to none.
#[must_use]
pub fn by_version(names: &[String]) -> (BTreeMap<Version, Vec<String>>, Vec<String>) {
    let (mut versions, mut others) = (BTreeMap::<_, Vec<String>>::new(), Vec::new());
    for name in names {
        match parse_name(name) {
            Some(parsed) => versions.entry(parsed.version()).or_default().push(name.clone()),
            None => others.push(name.clone()),
        }
    }
    (versions, others)
}

/// The jobs that these versions are of, the one with the newest version first.
#[must_use]
pub fn newest_first(versions: impl IntoIterator<Item = (Version, JobId)>) -> Vec<JobId> {
    let mut sorted: Vec<_> = versions.into_iter().collect();
    sorted.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let mut jobs: Vec<JobId> = Vec::new();
    for (_, job) in sorted {
        if !jobs.contains(&job) {
            jobs.push(job);
        }
    }
    jobs
}

/// A directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    entries: BTreeMap<Version, Entry>,
    /// Names that are no file of a version.
    pub others: Vec<String>,
}

impl Catalogue {
    /// Of the versions found, and of what else lies there.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = Entry>, others: Vec<String>) -> Self {
        let entries = entries.into_iter().map(|entry| (entry.version, entry)).collect();
        Self { entries, others }
    }

    /// All versions, the oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.values()
    }

    /// One version.
    #[must_use]
    pub fn get(&self, version: Version) -> Option<&Entry> {
        self.entries.get(&version)
    }

    /// Takes note that a copy is not whole after all.
    pub fn found_bad(&mut self, version: Version, rank: Rank, fault: &Fault) {
        let copies = self.entries.get_mut(&version).map(|entry| &mut entry.copies);
        for copy in copies.into_iter().flatten().filter(|copy| copy.rank == rank) {
            copy.state = Err(fault.clone());
        }
    }

    /// The versions whose manifests are whole, with their jobs.
    fn of_jobs(&self) -> impl Iterator<Item = (&Entry, JobId)> {
        self.entries().filter_map(|entry| Some((entry, entry.manifest()?.identity.job)))
    }

    /// Which version a start with `--resume` takes, given the command line of its job: of the newest
    /// job that has a version which looks whole, the newest that can be recovered, after repair if need be.
    #[must_use]
    pub fn resumed(&self) -> Option<&Entry> {
        let of = |job: JobId| self.of_jobs().filter(move |(_, j)| *j == job).map(|(e, _)| e);
        let jobs = newest_first(self.of_jobs().map(|(entry, job)| (entry.version, job)));
        let job = jobs
            .into_iter()
            .find(|job| of(*job).any(|entry| entry.looks_whole() || entry.may_be_repaired()))?;
        of(job).filter(|entry| entry.is_recoverable() || entry.may_be_repaired()).last()
    }
}
