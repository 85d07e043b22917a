//! From the commit of a version to its publication, and what is done about bad copies.
//!
//! Invariants: one version is drained at a time and one waits at most, since there are two slots
//! and neither a waiting nor a drained version gives its slot away; a file that may be published
//! is removed only when enough newer versions are published whole, and none that stays refers to it;
//! that of an archive never.

use std::collections::BTreeSet;

use mainstay_types::event::Level;
use mainstay_types::{Rank, Version};

use super::Ledger;
use super::input::{Effect, Stale, VoidReason};
use super::record::{Disk, Record};
use crate::catalogue::independent;
use crate::format::manifest::Manifest;
use crate::pack::Packing;

impl Ledger {
    /// Drains a version, at once or when the drain under way has ended.
    pub(super) fn queue_drain(&mut self, version: Version, effects: &mut Vec<Effect>) {
        if self.draining.is_none() {
            self.draining = Some(version);
            self.set_disk(version, Disk::Draining);
            effects.push(Effect::Drain { version });
        } else {
            assert!(self.waiting.is_none(), "two slots never hold two waiting");
            self.waiting = Some(version);
            self.set_disk(version, Disk::Waiting);
        }
    }

    /// Drains the newest version, which was to stay in memory.
    pub(super) fn keep_on_disk(
        &mut self,
        version: Version,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        let newest = self.newest_restorable().filter(|newest| *newest == version);
        let record = newest.and_then(|newest| self.records.get_mut(&newest));
        // What could not be written may be tried again.
        let in_memory = |r: &&mut Record| r.slot.is_some() && r.disk == Disk::None;
        let record = record.filter(in_memory).ok_or(Stale::Version)?;
        record.durable = true;
        self.queue_drain(version, effects);
        Ok(())
    }

    fn next_drain(&mut self, effects: &mut Vec<Effect>) {
        self.draining = None;
        if let Some(version) = self.waiting.take() {
            self.queue_drain(version, effects);
        }
    }

    fn set_disk(&mut self, version: Version, disk: Disk) {
        if let Some(record) = self.records.get_mut(&version) {
            record.disk = disk;
        }
    }

    fn is_draining_as(&self, version: Version, disk: Disk) -> Result<(), Stale> {
        let state = self.records.get(&version).map(|record| record.disk);
        let fits = self.draining == Some(version) && state == Some(disk);
        fits.then_some(()).ok_or(Stale::Version)
    }

    pub(super) fn packed(
        &mut self,
        version: Version,
        packings: Vec<Option<Packing>>,
    ) -> Result<(), Stale> {
        self.is_draining_as(version, Disk::Draining)?;
        let record = self.records.get_mut(&version).ok_or(Stale::Version)?;
        if packings.len() != record.parts.len() {
            return Err(Stale::Ranks);
        }
        for (part, packing) in record.parts.iter_mut().zip(packings) {
            part.entry.packing = packing;
        }
        Ok(())
    }

    pub(super) fn written(
        &mut self,
        version: Version,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        self.is_draining_as(version, Disk::Draining)?;
        self.set_disk(version, Disk::Written);
        effects.push(Effect::Publish { version });
        Ok(())
    }

    pub(super) fn published(
        &mut self,
        version: Version,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        self.is_draining_as(version, Disk::Written)?;
        self.set_disk(version, Disk::Published);
        self.archive(version, effects);
        effects.push(Effect::Published { version });
        if std::mem::take(&mut self.write_failed) {
            effects.push(Effect::DiskAgain { version });
        }
        self.prune(effects);
        self.next_drain(effects);
        Ok(())
    }

    pub(super) fn write_failed(
        &mut self,
        version: Version,
        why: String,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        let was_written = self.is_draining_as(version, Disk::Written).is_ok();
        if !was_written {
            self.is_draining_as(version, Disk::Draining)?;
        }
        self.write_failed = true;
        let reason = why.clone();
        effects.push(Effect::MemoryOnly { version, why });
        if was_written {
            // The manifest may be there: whoever reads the directory may rely on its files.
            self.set_disk(version, Disk::Uncertain);
        } else {
            self.set_disk(version, Disk::None);
            effects.push(Effect::Discard { version });
        }
        self.draining = None;
        self.void_if_lost(version, reason, effects);
        self.next_drain(effects);
        Ok(())
    }

    /// A publication that failed has left nothing: the version can be written again.
    pub(super) fn undone(&mut self, version: Version) -> Result<(), Stale> {
        let record = self.records.get_mut(&version).filter(|r| r.disk == Disk::Uncertain);
        record.ok_or(Stale::Version)?.disk = Disk::None;
        self.forget(version);
        Ok(())
    }

    pub(super) fn copy_bad(
        &mut self,
        version: Version,
        (rank, level): (Rank, Level),
        why: String,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        let record = self.records.get_mut(&version);
        let record = record.filter(|r| r.committed && !r.void);
        if rank.0 >= record.as_ref().map_or(self.n, |record| record.n()) {
            return Err(Stale::Ranks);
        }
        let record = record.ok_or(Stale::Version)?;
        let there = match level {
            Level::Memory => record.slot.is_some(),
            Level::Partner | Level::Parity => false,
            Level::Disk => record.disk == Disk::Published,
        };
        if !there {
            return Err(Stale::Version);
        }
        let part = &mut record.parts[rank.index()];
        if !part.bad.insert(level) {
            return Err(Stale::Twice);
        }
        if level == Level::Memory && part.rebuilt {
            // What others hold gives no better one.
            record.held.clear();
        }
        self.cancel_drain(version, effects);
        self.recount(version);
        self.void_if_lost(version, why.clone(), effects);
        if level == Level::Memory {
            self.spoil_guard(version, why, effects);
        }
        Ok(())
    }

    /// Takes a version of which a copy is bad from the queue: its drain would only find what is known.
    pub(super) fn cancel_drain(&mut self, version: Version, effects: &mut Vec<Effect>) {
        if self.waiting == Some(version) {
            self.waiting = None;
            self.set_disk(version, Disk::None);
            effects.push(Effect::DrainCancelled { version });
        }
    }

    /// Voids a version of which a rank has no good copy, and will get none from a drain.
    pub(super) fn void_if_lost(
        &mut self,
        version: Version,
        why: String,
        effects: &mut Vec<Effect>,
    ) {
        if self.draining == Some(version) {
            return;
        }
        let rank = self.records.get(&version).and_then(Record::bad_rank);
        if let Some(rank) = rank {
            self.void(version, VoidReason::CopyBad { rank, why }, effects);
        }
    }

    /// Removes what is older than the newest versions that are to be kept, the newest first: a version
    /// goes before what it refers to, so that no manifest ever names a file that is gone.
    fn prune(&mut self, effects: &mut Vec<Effect>) {
        let whole = || self.records.values().rev().filter(|r| self.is_sound_on_disk(r));
        let Some(oldest_kept) = whole().nth(self.keep - 1).map(Record::version) else {
            return;
        };
        let files: Vec<_> = whole().map(|r| (r.version, r.refers_to())).collect();
        let apart = independent(&files, self.keep);
        // What a version that stays refers to stays with it.
        let stays = |version: &Version| *version >= oldest_kept || Some(*version) == apart;
        let kept = self.records.iter().filter(|(version, r)| stays(version) || r.archived);
        let held: BTreeSet<Version> = kept.flat_map(|(_, record)| record.refers_to()).collect();
        let stays = |version: &Version| stays(version) || held.contains(version);
        let older = self.records.iter().filter(|(version, _)| !stays(version));
        let gone = older.filter(|(_, r)| matches!(r.disk, Disk::Published | Disk::Uncertain));
        let gone = gone.filter(|(_, r)| !r.archived);
        let gone: Vec<Version> = gone.map(|(version, _)| *version).collect();
        for version in gone.into_iter().rev() {
            self.set_disk(version, Disk::None);
            effects.push(Effect::Prune { version });
            self.forget(version);
        }
    }

    /// Whether a later launch could restore a version for all that is known: neither its own files nor
    /// those that it refers to are bad.
    pub(super) fn is_sound_on_disk(&self, record: &Record) -> bool {
        let whole = |version| self.records.get(&version).is_none_or(Record::is_whole_on_disk);
        record.is_whole_on_disk() && record.refers_to().into_iter().all(whole)
    }

    pub(super) fn adopt(&mut self, manifest: Manifest) -> Result<(), Stale> {
        if manifest.n() != self.n {
            return Err(Stale::Ranks);
        }
        self.insert(Record::of_manifest(manifest))
    }

    pub(super) fn adopt_other(&mut self, manifest: Manifest, fits: bool) -> Result<(), Stale> {
        if manifest.n() == self.n {
            return Err(Stale::Ranks);
        }
        self.insert(Record { fits, ..Record::of_manifest(manifest) })
    }

    fn insert(&mut self, record: Record) -> Result<(), Stale> {
        let version = record.version;
        if self.records.contains_key(&version) {
            return Err(Stale::Twice);
        }
        self.next = self.next.max(version.next());
        self.records.insert(version, record);
        Ok(())
    }
}
