//! The engine of versions: which slot, when a version is committed, drained, published, void or
//! pruned, and which one to restore.
//!
//! Each rank has two slots in memory. A version is proposed into a free one, captured by every
//! rank, committed when all parts and late messages are there, then, if it was proposed as durable,
//! drained to disk while the next is captured into the other slot. With a single slot the next is
//! captured over it, once it can be restored without it.
//!
//! Invariants:
//! - a slot is given away only if its version is neither in capture, nor waiting for a drain or being
//!   drained, nor the one that [`Ledger::choose`] would restore; with a single slot the last of
//!   these may go if it is whole on disk, or if there is another that can be restored;
//! - a version number is never used twice, and a void version stays void;
//! - nothing is pruned before enough newer versions are published whole, and no archive is;
//! - after the loss of any nodes within the claim, at a moment when a version is guarded, it or
//!   something newer can be restored: while a guard runs or waits, the newest version that is guarded
//!   keeps its slot, and so does the one that it is for (`docs/protocols/nodes.md`);
//! - what names another epoch or version than the current one changes nothing and is counted.
//!
//! Deliberately absent: when a version is wanted and whether a target holds, which `control`
//! decides; bytes, which ranks and drain move; and repair.

mod capture;
mod choice;
mod disk;
mod guard;
mod input;
mod mend;
mod record;
mod retention;

use std::collections::BTreeMap;

use mainstay_types::{Epoch, Rank, Step, Version};

pub use choice::{Choice, Source};
pub use input::{Effect, Input, Stale, VoidReason};
pub use record::{Disk, Record};

use self::guard::Guards;
use crate::format::manifest::{Identity, Manifest};

/// How many versions lie in memory at once, unless a ledger has [fewer](Ledger::with_slots).
pub const SLOTS: usize = 2;

/// The engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    n: u32,
    keep: usize,
    /// `None` until the first epoch.
    epoch: Option<Epoch>,
    next: Version,
    records: BTreeMap<Version, Record>,
    /// One or two; never empty.
    slots: Vec<Option<Version>>,
    /// Of each so many steps one published version is an archive.
    archive_steps: Option<u64>,
    /// Whether the next version that is published becomes one.
    archive_due: bool,
    capture: Option<Version>,
    draining: Option<Version>,
    waiting: Option<Version>,
    /// The last target of this epoch.
    target: Option<Step>,
    /// The last version committed in this epoch.
    history: Option<Version>,
    any_ended: bool,
    write_failed: bool,
    /// The nodes that versions in memory lie in, if the launcher does not hold them itself.
    guards: Option<Guards>,
    dropped: u64,
}

impl Ledger {
    /// A ledger of `n` ranks whose first version is `next_version`, and which keeps the newest
    /// `keep` versions on disk (at least one).
    #[must_use]
    pub fn new(n: u32, next_version: Version, keep: usize) -> Self {
        Self {
            n,
            keep: keep.max(1),
            epoch: None,
            next: next_version,
            records: BTreeMap::new(),
            slots: vec![None; SLOTS],
            archive_steps: None,
            archive_due: false,
            capture: None,
            draining: None,
            waiting: None,
            target: None,
            history: None,
            any_ended: false,
            write_failed: false,
            guards: None,
            dropped: 0,
        }
    }

    /// The same with another number of slots: one, or [`SLOTS`].
    ///
    /// # Panics
    /// With any other number.
    #[must_use]
    pub fn with_slots(self, slots: usize) -> Self {
        assert!((1..=SLOTS).contains(&slots), "one slot or two");
        Self { slots: vec![None; slots], ..self }
    }

    /// The same, which of each so many steps keeps one published version for good.
    ///
    /// # Panics
    /// When that is every 0 steps.
    #[must_use]
    pub fn archiving(self, steps: u64) -> Self {
        assert!(steps > 0, "an archive every 0 steps");
        Self { archive_steps: Some(steps), ..self }
    }

    /// Takes one input and appends what follows from it.
    pub fn step(&mut self, input: Input, effects: &mut Vec<Effect>) {
        let taken = match input {
            Input::Propose { epoch, step, durable } => self.propose(epoch, step, durable, effects),
            Input::Keep { version } => self.keep_on_disk(version, effects),
            Input::Drop { version, why } => self.drop_target(version, why, effects),
            captured @ Input::Captured { .. } => self.captured(captured, effects),
            late @ Input::Late { .. } => self.late(&late, effects),
            Input::EpochRaised(epoch) => self.epoch_raised(epoch, effects),
            Input::Packed { version, packings } => self.packed(version, packings),
            Input::Written { version } => self.written(version, effects),
            Input::Published { version } => self.published(version, effects),
            Input::WriteFailed { version, why } => self.write_failed(version, why, effects),
            Input::Undone { version } => self.undone(version),
            Input::CopyBad { version, rank, level, why } => {
                self.copy_bad(version, (rank, level), why, effects)
            }
            Input::Adopt(manifest) => self.adopt(*manifest),
            Input::AdoptOther { manifest, fits } => self.adopt_other(*manifest, fits),
            Input::Mended { version, rank, level } => self.mended(version, rank, level),
            Input::ArchiveDue => {
                self.archive_due = true;
                Ok(())
            }
            Input::Archived { version } => self.archived(version),
            Input::RankEnded { rank, step } => self.rank_ended(rank, step, effects),
            Input::Guarded { version, attempt } => self.guarded(version, attempt, effects),
            Input::GuardFailed { version, attempt, why } => {
                self.guard_failed(version, attempt, why, effects)
            }
            Input::NodeLost { node } => self.node_lost(node, effects),
            Input::Rebuilt { version, ranks } => self.rebuilt(version, &ranks),
            Input::Restored { version } => self.restored(version),
            Input::RebuildFailed { version, why } => self.rebuild_failed(version, why, effects),
            Input::NodesWhole => self.nodes_whole(effects),
        };
        if let Err(what) = taken {
            self.dropped += 1;
            effects.push(Effect::Dropped { what });
        }
    }

    /// Whether a version could be proposed now.
    #[must_use]
    pub fn may_propose(&self) -> bool {
        let quiet = self.capture.is_none() && !self.any_ended;
        quiet && self.epoch.is_some() && self.free_slot().is_some()
    }

    /// The newest version with a good copy for every rank; in memory where it can be.
    #[must_use]
    pub fn choose(&self) -> Option<Choice> {
        let newest = self.newest_restorable()?;
        let mut choice = Choice::of(self.records.get(&newest)?)?;
        choice.rebuilds = self.rebuilds(&choice);
        Some(choice)
    }

    /// The version that [`choose`](Ledger::choose) gives.
    #[must_use]
    pub fn newest_restorable(&self) -> Option<Version> {
        let mut newest_first = self.records.values().rev();
        newest_first.find(|r| r.is_restorable()).map(Record::version)
    }

    /// The newest version that a later launch of as many ranks could restore.
    #[must_use]
    pub fn newest_published(&self) -> Option<Version> {
        let mut newest_first = self.records.values().rev();
        newest_first.find(|r| r.fits && r.is_whole_on_disk()).map(Record::version)
    }

    /// The version whose shards the next one may refer to: the newest one on disk, as long as no
    /// copy of it, nor of what it refers to, is known to be bad.
    #[must_use]
    pub fn base(&self) -> Option<Version> {
        let record = self.records.values().rev().find(|r| r.disk == Disk::Published)?;
        let whole = |version| self.records.get(&version).is_some_and(Record::is_whole_on_disk);
        let sound = record.fits && record.n() == self.n && whole(record.version);
        (sound && record.refers_to().into_iter().all(whole)).then_some(record.version)
    }

    /// What is known of a version; `None` when nothing of it is left.
    #[must_use]
    pub fn record(&self, version: Version) -> Option<&Record> {
        self.records.get(&version)
    }

    /// The version in capture.
    #[must_use]
    pub fn capturing(&self) -> Option<&Record> {
        self.records.get(&self.capture?)
    }

    /// Whether a version is being drained or waits for it.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_some() || self.waiting.is_some()
    }

    /// The number that the next version will have.
    #[must_use]
    pub fn next_version(&self) -> Version {
        self.next
    }

    /// How many inputs did not apply.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The manifest of a committed version.
    #[must_use]
    pub fn manifest(&self, version: Version, identity: Identity) -> Option<Manifest> {
        let record = self.records.get(&version).filter(|r| r.committed)?;
        Some(Manifest {
            identity,
            epoch: record.epoch,
            version,
            step: record.step,
            parent: record.parent,
            ranks: record.parts.iter().map(|p| p.entry.clone()).collect(),
            nodes: None,
        })
    }

    /// The version that has to be on disk before another can be captured over it, and is not on its way
    /// there: whoever wants to capture says [`Input::Keep`].
    #[must_use]
    pub fn needs_disk(&self) -> Option<Version> {
        let [Some(version)] = self.slots[..] else {
            return None;
        };
        let can_be = |record: &Record| record.disk == Disk::None;
        let stuck = !self.is_busy(version) && !self.is_free(0);
        (stuck && self.records.get(&version).is_some_and(can_be)).then_some(version)
    }

    fn free_slot(&self) -> Option<usize> {
        // An empty slot first: it costs no copy.
        let slots = 0..self.slots.len();
        let empty = slots.clone().find(|slot| self.slots[*slot].is_none());
        empty.or_else(|| slots.into_iter().find(|slot| self.is_free(*slot)))
    }

    fn is_busy(&self, version: Version) -> bool {
        [self.capture, self.draining, self.waiting].contains(&Some(version))
    }

    fn is_free(&self, slot: usize) -> bool {
        let Some(version) = self.slots[slot] else {
            return true;
        };
        let needed = self.newest_restorable() == Some(version);
        let alone = self.slots.len() == 1;
        let may_go = !needed || alone && self.survives(version);
        !self.is_busy(version) && !self.is_pinned(version) && may_go
    }

    /// Whether something can be restored once the version is in memory no more.
    fn survives(&self, version: Version) -> bool {
        let left = |r: &Record| match r.version == version {
            true => r.is_whole_on_disk(),
            false => r.is_restorable(),
        };
        self.records.values().any(left)
    }

    /// The record in capture, if the input belongs to it.
    fn in_capture(
        &mut self,
        rank: Rank,
        epoch: Epoch,
        version: Version,
    ) -> Result<&mut Record, Stale> {
        if self.epoch != Some(epoch) {
            return Err(Stale::Epoch);
        }
        if rank.0 >= self.n {
            return Err(Stale::Ranks);
        }
        let capture = self.capture.filter(|capture| *capture == version);
        let record = capture.and_then(|version| self.records.get_mut(&version));
        record.ok_or(Stale::Version)
    }
}
