//! From the proposal of a version to its commit in memory, or to its end.
//!
//! Invariant: at most one version is in capture, and it commits only in the epoch of its proposal.

use mainstay_types::{Epoch, Rank, Step, Version};

use super::Ledger;
use super::input::{Effect, Input, Stale, VoidReason};
use super::record::{Disk, Part, Record};
use crate::format::manifest::RankEntry;

impl Ledger {
    pub(super) fn propose(
        &mut self,
        epoch: Epoch,
        step: Step,
        durable: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        if self.epoch != Some(epoch) {
            return Err(Stale::Epoch);
        }
        if self.capture.is_some() || self.any_ended {
            return Err(Stale::Busy);
        }
        if self.target.is_some_and(|last| step <= last) {
            return Err(Stale::Target);
        }
        let free = self.free_slot().ok_or(Stale::Busy)?;
        let slot = u8::try_from(free).expect("there are two slots");
        self.free(free, effects);
        let version = self.next;
        let parent = self.history.or_else(|| self.newest_restorable());
        let record = Record {
            version,
            step,
            epoch,
            parent,
            slot: Some(slot),
            disk: Disk::None,
            durable,
            committed: false,
            void: false,
            fits: true,
            archived: false,
            blocked_max: std::time::Duration::ZERO,
            held: std::collections::BTreeSet::new(),
            covered: None,
            parts: vec![Part::default(); self.n as usize],
        };
        self.records.insert(version, record);
        self.slots[free] = Some(version);
        (self.next, self.capture, self.target) = (version.next(), Some(version), Some(step));
        effects.push(Effect::Proposed { version, slot, step });
        Ok(())
    }

    /// Gives a slot away.
    fn free(&mut self, slot: usize, effects: &mut Vec<Effect>) {
        let Some(version) = self.slots[slot].take() else {
            return;
        };
        if let Some(record) = self.records.get_mut(&version) {
            record.leaves_memory();
        }
        effects.push(Effect::Freed { version });
        self.forget(version);
    }

    /// Takes a record off the books when nothing of it is left.
    pub(super) fn forget(&mut self, version: Version) {
        let left = |record: &Record| record.slot.is_some() || record.disk != Disk::None;
        if self.records.get(&version).is_some_and(|r| !left(r)) {
            self.records.remove(&version);
        }
    }

    pub(super) fn captured(
        &mut self,
        input: Input,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        let Input::Captured {
            rank,
            epoch,
            version,
            step,
            incarnation,
            image_bytes,
            table_crc,
            blocked,
            sent,
            delivered,
            early,
            any_chooses,
        } = input
        else {
            return Ok(());
        };
        let n = self.n as usize;
        let record = self.in_capture(rank, epoch, version)?;
        let part = &mut record.parts[rank.index()];
        if part.captured {
            return Err(Stale::Twice);
        }
        let contradiction = if step != record.step {
            Some("it captured at another step")
        } else if sent.len() != n || delivered.len() != n {
            Some("it counts another number of channels")
        } else {
            None
        };
        if let Some(why) = contradiction {
            self.void(version, VoidReason::Contradiction { rank, why }, effects);
            return Ok(());
        }
        part.captured = true;
        part.entry = RankEntry {
            incarnation,
            file_epoch: epoch,
            image_bytes,
            table_crc,
            sent,
            delivered,
            early,
            ..part.entry.clone()
        };
        record.blocked_max = record.blocked_max.max(blocked);
        let fits = if record.all_captured() { record.find_late(any_chooses) } else { Ok(()) };
        self.settle(version, fits, effects);
        Ok(())
    }

    pub(super) fn late(&mut self, input: &Input, effects: &mut Vec<Effect>) -> Result<(), Stale> {
        let &Input::Late { rank, epoch, version, bytes, crc } = input else {
            return Ok(());
        };
        let record = self.in_capture(rank, epoch, version)?;
        if record.parts[rank.index()].late.is_some() {
            return Err(Stale::Twice);
        }
        let fits = record.late(rank, bytes, crc);
        self.settle(version, fits, effects);
        Ok(())
    }

    /// Commits the version in capture if it is complete, voids it if it contradicts itself.
    pub(super) fn settle(
        &mut self,
        version: Version,
        fits: Result<(), VoidReason>,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(why) = fits {
            self.void(version, why, effects);
            return;
        }
        let Some(record) = self.records.get_mut(&version) else {
            return;
        };
        if !record.is_complete() {
            return;
        }
        record.committed = true;
        let durable = record.durable;
        (self.capture, self.history) = (None, Some(version));
        effects.push(Effect::Committed { version });
        if durable {
            self.queue_drain(version, effects);
        }
        self.queue_guard(version, effects);
    }

    pub(super) fn drop_target(
        &mut self,
        version: Version,
        why: VoidReason,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        if self.capture != Some(version) {
            return Err(Stale::Version);
        }
        self.void(version, why, effects);
        Ok(())
    }

    pub(super) fn epoch_raised(
        &mut self,
        epoch: Epoch,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        if self.epoch.is_some_and(|current| epoch <= current) {
            return Err(Stale::Epoch);
        }
        self.epoch = Some(epoch);
        (self.target, self.history, self.any_ended) = (None, None, false);
        if let Some(version) = self.capture {
            self.void(version, VoidReason::EpochRaised(epoch), effects);
        }
        Ok(())
    }

    pub(super) fn rank_ended(
        &mut self,
        rank: Rank,
        step: Step,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        if rank.0 >= self.n {
            return Err(Stale::Ranks);
        }
        // Every later target would be above this rank's last step.
        self.any_ended = true;
        let lacking =
            self.capturing().filter(|record| record.part(rank).is_none() && step < record.step);
        if let Some(version) = lacking.map(Record::version) {
            self.void(version, VoidReason::RankEnded { rank, step }, effects);
        }
        Ok(())
    }

    /// Ends a version for good. Files that it has on disk are pruned in their time.
    pub(super) fn void(&mut self, version: Version, why: VoidReason, effects: &mut Vec<Effect>) {
        if self.capture == Some(version) {
            self.capture = None;
        }
        self.cancel_drain(version, effects);
        for slot in self.slots.iter_mut().filter(|slot| **slot == Some(version)) {
            *slot = None;
        }
        if let Some(record) = self.records.get_mut(&version) {
            record.void = true;
            record.leaves_memory();
        }
        effects.push(Effect::Void { version, why });
        self.forget(version);
        self.drop_guard(version, effects);
    }
}
