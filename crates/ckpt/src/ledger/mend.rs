//! Copies that were bad and are good again.
//!
//! Invariants: a copy is mended from another of the same part that is not known to be bad, and only
//! then counts again; what is void stays so. Deliberately absent: who finds a bad copy and who writes
//! it anew.

use mainstay_types::event::Level;
use mainstay_types::{Rank, Version};

use super::Ledger;
use super::input::Stale;
use super::record::{Disk, Record};

impl Ledger {
    /// From which level a bad copy can be mended; `None` if there is no good one, or if it is not
    /// known to be bad, or gone.
    #[must_use]
    pub fn mends_from(&self, version: Version, rank: Rank, level: Level) -> Option<Level> {
        let record = self.records.get(&version).filter(|r| r.committed && !r.void)?;
        // Who captured it has memory for it.
        if record.n() != self.n || !record.is_bad(rank, level) || !record.lies_at(level) {
            return None;
        }
        // A packed shard is not the image byte by byte, nor a rounded one what memory held.
        let entry = record.part(rank)?;
        let same = match level {
            Level::Disk => entry.packing.is_none(),
            _ => entry.stored_table_crc() == entry.table_crc,
        };
        if !same {
            return None;
        }
        let good = |other: &Level| record.lies_at(*other) && !record.is_bad(rank, *other);
        [Level::Memory, Level::Disk].into_iter().filter(|other| *other != level).find(good)
    }

    pub(super) fn mended(
        &mut self,
        version: Version,
        rank: Rank,
        level: Level,
    ) -> Result<(), Stale> {
        let record = self.records.get_mut(&version).filter(|r| r.committed && !r.void);
        let record = record.filter(|r| r.lies_at(level)).ok_or(Stale::Version)?;
        let part = record.parts.get_mut(rank.index()).ok_or(Stale::Ranks)?;
        part.bad.remove(&level).then_some(()).ok_or(Stale::Twice)
    }
}

impl Record {
    /// Whether the version has copies at a level, good or bad.
    #[must_use]
    pub fn lies_at(&self, level: Level) -> bool {
        match level {
            Level::Memory => self.committed && self.slot.is_some(),
            Level::Disk => self.disk == Disk::Published,
            // What others hold is not read again.
            Level::Partner | Level::Parity => false,
        }
    }
}
