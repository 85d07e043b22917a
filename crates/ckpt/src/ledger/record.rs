//! What is known of one version.
//!
//! Invariants: a committed record has every part; a copy that is bad stays bad until it is mended; a
//! void record is never restorable again. Deliberately absent: other versions, which slots are shared with.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_types::event::Level;
use mainstay_types::{Epoch, Node, Rank, Step, Version};

use super::input::VoidReason;
use crate::format::manifest::{Manifest, RankEntry};

/// How far a version has come on its way to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Nothing of it is there.
    None,
    /// It waits for another drain to end.
    Waiting,
    /// It is being written.
    Draining,
    /// It lies aside and is being published.
    Written,
    /// Its manifest is published.
    Published,
    /// Publication failed, so that its manifest may or may not be there. It is not restored from.
    Uncertain,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts, not one state")]
pub struct Record {
    pub(super) version: Version,
    pub(super) step: Step,
    pub(super) epoch: Epoch,
    pub(super) parent: Option<Version>,
    /// The slot that holds its copies in memory; `None` once it was given away.
    pub(super) slot: Option<u8>,
    pub(super) disk: Disk,
    pub(super) durable: bool,
    pub(super) committed: bool,
    pub(super) void: bool,
    /// Whether the ranks of this launch can be given it: all that they captured themselves.
    pub(super) fits: bool,
    /// Whether it is kept on disk for good.
    pub(super) archived: bool,
    pub(super) blocked_max: Duration,
    /// Nodes that hold what they are to hold of it for others, once it is guarded.
    pub(super) held: BTreeSet<Node>,
    /// The level from which lost copies in memory can be got back.
    pub(super) covered: Option<Level>,
    pub(super) parts: Vec<Part>,
}

/// A rank's part of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts, not one state")]
pub(super) struct Part {
    pub(super) captured: bool,
    /// Whether it has to hand in what came late, and has not. Known once all are captured.
    pub(super) lacks_late: bool,
    /// Whether there are late messages among that.
    pub(super) has_late: bool,
    pub(super) late: Option<(u64, u32)>,
    /// The levels whose copy is torn, missing or rotten.
    pub(super) bad: BTreeSet<Level>,
    /// Whether its copy in memory was rebuilt from what others hold: if that is bad, another would be.
    pub(super) rebuilt: bool,
    pub(super) entry: RankEntry,
}

impl Record {
    /// The version of an earlier launch.
    pub(super) fn of_manifest(manifest: Manifest) -> Self {
        let part = |entry: RankEntry| Part {
            captured: true,
            late: Some((entry.late_bytes, entry.late_crc)),
            entry,
            ..Part::default()
        };
        Self {
            version: manifest.version,
            step: manifest.step,
            epoch: manifest.epoch,
            parent: manifest.parent,
            slot: None,
            disk: Disk::Published,
            durable: true,
            committed: true,
            void: false,
            fits: true,
            archived: false,
            blocked_max: Duration::ZERO,
            held: BTreeSet::new(),
            covered: None,
            parts: manifest.ranks.into_iter().map(part).collect(),
        }
    }

    /// How many ranks captured it, which is not the number of this launch for a version of an
    /// earlier one that is put together.
    #[must_use]
    pub fn n(&self) -> u32 {
        u32::try_from(self.parts.len()).unwrap_or(u32::MAX)
    }

    /// The version's number.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The step of its capture.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The epoch of its capture.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The version before it in the job's history.
    #[must_use]
    pub fn parent(&self) -> Option<Version> {
        self.parent
    }

    /// The slot that holds it, while it is in memory.
    #[must_use]
    pub fn slot(&self) -> Option<u8> {
        self.slot
    }

    /// How far it has come on its way to disk.
    #[must_use]
    pub fn disk(&self) -> Disk {
        self.disk
    }

    /// Whether it was to be drained from the start, and not to stay in memory.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Whether it is kept on disk for good.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        self.archived
    }

    /// Whether every part and every late message was there.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.committed
    }

    /// The longest time that a rank was blocked; zero for versions of earlier launches.
    #[must_use]
    pub fn blocked_max(&self) -> Duration {
        self.blocked_max
    }

    /// A rank's part: lengths, checksums, counters, and through
    /// [`late_at`](RankEntry::late_at) and [`shard_name`](RankEntry::shard_name) its place on
    /// disk. `None` until the rank has captured it.
    #[must_use]
    pub fn part(&self, rank: Rank) -> Option<&RankEntry> {
        let part = self.parts.get(rank.index())?;
        part.captured.then_some(&part.entry)
    }

    /// Bytes over all ranks, late messages included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let each = |part: &Part| part.entry.image_bytes.saturating_add(part.entry.late_bytes);
        self.parts.iter().map(each).fold(0, u64::saturating_add)
    }

    /// The ranks whose part or late messages are not there yet.
    pub fn waits_for(&self) -> impl Iterator<Item = Rank> + '_ {
        let parts = (0..).map(Rank).zip(&self.parts);
        let missing = parts.filter(|(_, part)| !part.captured || part.lacks_late);
        missing.map(|(rank, _)| rank)
    }

    /// Whether every rank has a good copy.
    #[must_use]
    pub fn is_restorable(&self) -> bool {
        self.committed && !self.void && self.fits && self.bad_rank().is_none()
    }

    /// The level from which copies in memory that are lost can be got back; `None` if it is not guarded,
    /// or too much is lost.
    #[must_use]
    pub fn covered(&self) -> Option<Level> {
        self.covered
    }

    /// Its slot is given away, and what nodes hold of it with that.
    pub(super) fn leaves_memory(&mut self) {
        (self.slot, self.covered) = (None, None);
        self.held.clear();
    }

    /// Whether the copy of a rank's part at this level is known to be bad.
    #[must_use]
    pub fn is_bad(&self, rank: Rank, level: Level) -> bool {
        self.parts.get(rank.index()).is_some_and(|part| part.bad.contains(&level))
    }

    /// The older versions whose files its own refer to.
    #[must_use]
    pub fn refers_to(&self) -> BTreeSet<Version> {
        self.parts.iter().flat_map(|part| part.entry.refers_to()).collect()
    }

    /// Whether its copy on disk has fields that were rounded within their bounds.
    #[must_use]
    pub fn is_rounded_on_disk(&self) -> bool {
        self.parts.iter().any(|part| part.entry.stored_table_crc() != part.entry.table_crc)
    }

    /// The first rank without a good copy.
    pub(super) fn bad_rank(&self) -> Option<Rank> {
        let mut parts = (0..).map(Rank).zip(&self.parts);
        let bad = parts.find(|(_, part)| self.level(part).is_none());
        bad.map(|(rank, _)| rank)
    }

    /// Where the part's best copy lies.
    pub(super) fn level(&self, part: &Part) -> Option<Level> {
        if self.slot.is_some() && !part.bad.contains(&Level::Memory) {
            Some(Level::Memory)
        } else if self.slot.is_some() && self.covered.is_some() {
            self.covered
        } else if self.disk == Disk::Published && !part.bad.contains(&Level::Disk) {
            Some(Level::Disk)
        } else {
            None
        }
    }

    /// Whether a later launch could restore it.
    pub(super) fn is_whole_on_disk(&self) -> bool {
        let mut parts = self.parts.iter();
        let published = self.disk == Disk::Published && !self.void;
        published && !parts.any(|part| part.bad.contains(&Level::Disk))
    }

    /// Notes late messages, and whether they fit what the counters say once those are known.
    pub(super) fn late(&mut self, rank: Rank, bytes: u64, crc: u32) -> Result<(), VoidReason> {
        let all = self.all_captured();
        let part = &mut self.parts[rank.index()];
        part.late = Some((bytes, crc));
        (part.entry.late_bytes, part.entry.late_crc) = (bytes, if bytes == 0 { 0 } else { crc });
        if all {
            // Without late messages it may still hand in what it chose.
            let needed = part.has_late;
            part.lacks_late = false;
            fits(rank, needed, bytes)?;
        }
        Ok(())
    }

    pub(super) fn all_captured(&self) -> bool {
        self.parts.iter().all(|part| part.captured)
    }

    /// Finds, once all are captured, who has late messages: a rank that had not taken in, at its
    /// capture, all that its peers had sent it at theirs. If any rank chooses, all hand in their
    /// choices.
    pub(super) fn find_late(&mut self, any_chooses: bool) -> Result<(), VoidReason> {
        for d in 0..self.parts.len() {
            let delivered = &self.parts[d].entry.delivered;
            let mut pairs = self.parts.iter().zip(delivered);
            let needed = pairs.any(|(source, taken)| *taken < source.entry.sent[d]);
            match self.parts[d].late {
                None => {
                    self.parts[d].has_late = needed;
                    self.parts[d].lacks_late = needed || any_chooses;
                }
                Some((bytes, _)) => fits(rank_of(d), needed, bytes)?,
            }
        }
        Ok(())
    }

    pub(super) fn is_complete(&self) -> bool {
        self.waits_for().next().is_none()
    }
}

fn rank_of(index: usize) -> Rank {
    Rank(u32::try_from(index).expect("ranks are below RANKS_MAX"))
}

/// Without late messages a rank may hand in what it chose, so any number of bytes fits.
fn fits(rank: Rank, needed: bool, bytes: u64) -> Result<(), VoidReason> {
    match (needed, bytes) {
        (true, 0) => {
            let why = "its late messages are missing";
            Err(VoidReason::Contradiction { rank, why })
        }
        (true, 1..) | (false, _) => Ok(()),
    }
}
