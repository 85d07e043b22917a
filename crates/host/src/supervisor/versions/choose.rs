//! The version that an epoch opens with, and what each rank needs to restore it.
//!
//! Invariant: what a rank is given belongs to the version chosen last. Deliberately absent: the
//! choice, which the ledger makes, and which parts of a version of other ranks make up a rank's;
//! each rank plans that when it knows its fields.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mainstay_ckpt::ledger::{Choice, Input};
use mainstay_ckpt::manifest_name;
use mainstay_types::event::Level;
use mainstay_types::{Rank, Version};

use super::Versions;
use crate::shm::Blob;
use crate::supervisor::member::ArenaMemory;
use crate::supervisor::resume;

impl Versions {
    /// The version that a rank was given, and from where.
    pub(crate) fn restored_from(&self, rank: Rank) -> (Option<Version>, Option<Level>) {
        let choice = self.choice.as_ref();
        let source = choice.and_then(|choice| {
            let source = choice.ranks.get(rank.index());
            source.filter(|_| choice.n() == self.n)
        });
        // What ranks of another number captured lies on disk alone.
        let level = choice.map(|_| source.map_or(Level::Disk, |source| source.level));
        (choice.map(|choice| choice.version), level)
    }

    /// The part of the chosen version that is bad when this rank says that it is `part`: its own, or,
    /// of a version of another number of ranks, one that there is.
    pub(crate) fn bad_part(&self, rank: Rank, part: Rank) -> Rank {
        match &self.choice {
            Some(choice) if choice.n() != self.n => Rank(part.0.min(choice.n().saturating_sub(1))),
            Some(_) | None => rank,
        }
    }

    /// What to say of a copy that turned out to be bad; `None` if it is known, as several ranks may read
    /// one part.
    pub(crate) fn news_of(
        &self,
        version: Version,
        (part, level): (Rank, Level),
        why: &str,
    ) -> Option<String> {
        let known = self.ledger.record(version).is_some_and(|record| record.is_bad(part, level));
        let place = match level {
            Level::Memory => "in memory",
            Level::Partner => "at its partner",
            Level::Parity => "in parity",
            Level::Disk => "on disk",
        };
        let text = || format!("version {version} of rank {part} {place} is unusable: {why}");
        (!known).then(text)
    }

    /// The version to open with; `None` is the start of the job.
    pub(crate) fn choose(&mut self) -> Result<Option<&Choice>, String> {
        if let Some(was) = &self.resumed {
            resume::check_program(was, self.program.as_deref())?;
            // Only now: a refusal that comes to nothing must be met again.
            self.resumed = None;
        }
        self.choice = self.ledger.choose();
        // Nothing was committed in this launch yet: whatever there is comes from an earlier one.
        let nothing_else = self.identity.launch > 1 && self.told.is_empty();
        if nothing_else && self.choice.is_none() {
            let path = self.path().map_or_else(String::new, |path| path.display().to_string());
            return Err(format!(
                "no version in {path} can be restored: every one is damaged; start without --resume"
            ));
        }
        Ok(self.choice.as_ref())
    }

    /// All ranks have the state that was chosen; what to say of it if an earlier launch wrote it.
    pub(crate) fn restored(&mut self) -> Option<String> {
        let choice = self.choice.as_ref()?;
        let version = choice.version;
        if self.nodes.is_some() {
            // Nothing follows from it now.
            self.ledger.step(Input::Restored { version }, &mut Vec::new());
        }
        let told = self.resumed_from == Some(version);
        let record = self.ledger.record(version)?;
        let from_disk = choice.ranks.iter().any(|source| source.level == Level::Disk);
        let rounded = match from_disk && record.is_rounded_on_disk() {
            true => {
                "; its copy on disk has fields within the bounds that the program gives them, so \
                     the job does not end with the bits that it would have ended with"
            }
            false => "",
        };
        if self.identity.launch == 1 || !self.told.is_empty() || told {
            return (!rounded.is_empty() && !told)
                .then(|| format!("the job goes on from version {version} on disk{rounded}"));
        }
        let (step, ranks, n) = (record.step(), record.n(), self.n);
        self.resumed_from = Some(version);
        let ranks = match ranks == n {
            true => String::new(),
            false => format!(" of {ranks} ranks, put together for {n}"),
        };
        Some(format!(
            "resumed: the job goes on from version {version}{ranks} (step {step}) on disk, with the \
             options of this command, not of the earlier one{rounded}"
        ))
    }

    /// The descriptors that a rank needs to restore the chosen version; `None` if a node has them.
    pub(crate) fn sources(
        &self,
        choice: &Choice,
        rank: Rank,
    ) -> Result<Option<Vec<Source>>, String> {
        if choice.n() != self.n {
            let directory = self.directory.as_ref().ok_or("there is no directory")?;
            let manifest = directory.open_file(&manifest_name(choice.version));
            let manifest = manifest.map_err(|error| error.to_string())?;
            let directory = File::open(directory.path()).map_err(|error| error.to_string())?;
            return Ok(Some(vec![Source::Directory(directory), Source::Manifest(manifest)]));
        }
        let source = &choice.ranks[rank.index()];
        match source.level {
            Level::Memory | Level::Partner | Level::Parity if self.nodes.is_some() => Ok(None),
            Level::Partner | Level::Parity => Err("there are no nodes".to_owned()),
            Level::Memory => {
                let memory = self.memory.get(&choice.version).ok_or("its memory is gone")?;
                let arena = memory.arenas.get(&rank).ok_or("its arena is gone")?;
                let mut sources = vec![Source::Arena(arena.clone())];
                sources.extend(memory.lates.get(&rank).cloned().map(Source::Late));
                Ok(Some(sources))
            }
            Level::Disk => {
                let directory = self.directory.as_ref().ok_or("there is no directory")?;
                let name = choice.shard_name(rank);
                let open = || directory.open_file(&name).map_err(|error| error.to_string());
                let folder = File::open(directory.path()).map_err(|error| error.to_string())?;
                Ok(Some(vec![Source::Shard(open()?), Source::Directory(folder)]))
            }
        }
    }
}

/// A descriptor for a rank that restores.
#[derive(Debug)]
pub(crate) enum Source {
    Arena(ArenaMemory),
    Late(Arc<Blob>),
    /// What a node has handed over, to be given on and closed.
    Handed(OwnedFd),
    Shard(File),
    /// For a rank that opens shards of several ranks itself, by the names in the manifest.
    Directory(File),
    Manifest(File),
}
