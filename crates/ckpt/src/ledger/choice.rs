//! Which version to restore, and from where each rank takes its part.
//!
//! Invariant: every rank has a source whose copy is good as far as anybody knows.

use mainstay_types::event::Level;
use mainstay_types::wire::{EARLY_MAX, Early, Restore};
use std::collections::BTreeMap;

use mainstay_types::{Epoch, Incarnation, Node, Rank, Step, Version};

use super::record::Record;
use crate::format::name::shard_name;

/// A version to restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which version.
    pub version: Version,
    /// Its step.
    pub step: Step,
    /// Where each rank's part lies, by rank.
    pub ranks: Vec<Source>,
    /// The nodes that have to get parts of these ranks back from others first: those whose level is
    /// partner or parity.
    pub rebuilds: BTreeMap<Node, Vec<Rank>>,
}

/// Where a rank's part lies, and what its channels must make up for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// At which level.
    pub level: Level,
    /// Which slot, unless the level is disk.
    pub slot: Option<u8>,
    /// The incarnation that captured it, as in the shard's name.
    pub incarnation: Incarnation,
    /// The epoch of the capture, as in the shard's name.
    pub file_epoch: Epoch,
    /// Bytes of the image.
    pub image_bytes: u64,
    /// CRC-32C of its table.
    pub table_crc: u32,
    /// Where the late messages start: in the shard, or 0 in memory, where they lie apart.
    pub late_at: u64,
    /// Bytes of late messages.
    pub late_bytes: u64,
    /// Their CRC-32C.
    pub late_crc: u32,
    /// Messages that each destination has already taken in, by destination.
    pub suppress: Vec<u64>,
    /// Hashes of those among them that were sent after the version, at most [`EARLY_MAX`].
    pub early: Vec<Early>,
}

impl Choice {
    /// How many ranks captured the version. If the job has another number, each of its ranks needs
    /// parts of several; see [`reshape`](crate::reshape).
    #[must_use]
    pub fn n(&self) -> u32 {
        u32::try_from(self.ranks.len()).unwrap_or(u32::MAX)
    }

    /// What a rank is told that restores what a rank of its number captured.
    ///
    /// # Panics
    /// When there is no such rank.
    #[must_use]
    pub fn restore(&self, rank: Rank) -> Restore {
        let source = &self.ranks[rank.index()];
        Restore {
            version: self.version,
            step: self.step,
            level: source.level,
            image_bytes: source.image_bytes,
            table_crc: source.table_crc,
            late_at: source.late_at,
            late_bytes: source.late_bytes,
            late_crc: source.late_crc,
            suppress: source.suppress.clone(),
            early: source.early.clone(),
        }
    }

    /// The name of a rank's shard.
    ///
    /// # Panics
    /// When there is no such rank.
    #[must_use]
    pub fn shard_name(&self, rank: Rank) -> String {
        let source = &self.ranks[rank.index()];
        shard_name(self.version, source.file_epoch, rank, source.incarnation)
    }

    /// The choice of a version, if every rank has a good copy.
    pub(super) fn of(record: &Record) -> Option<Self> {
        if !record.is_restorable() {
            return None;
        }
        let mut early = early_by_sender(record);
        let mut ranks = Vec::with_capacity(record.parts.len());
        for (s, part) in record.parts.iter().enumerate() {
            let level = record.level(part)?;
            let entry = &part.entry;
            let taken = |receiver: &super::record::Part| receiver.entry.delivered[s];
            ranks.push(Source {
                level,
                slot: record.slot.filter(|_| level != Level::Disk),
                incarnation: entry.incarnation,
                file_epoch: entry.file_epoch,
                image_bytes: entry.image_bytes,
                table_crc: match level {
                    Level::Memory | Level::Partner | Level::Parity => entry.table_crc,
                    Level::Disk => entry.stored_table_crc(),
                },
                late_at: match level {
                    Level::Memory | Level::Partner | Level::Parity => 0,
                    Level::Disk => entry.late_at(),
                },
                late_bytes: entry.late_bytes,
                late_crc: entry.late_crc,
                suppress: record.parts.iter().map(taken).collect(),
                early: std::mem::take(&mut early[s]),
            });
        }
        let rebuilds = BTreeMap::new();
        Some(Self { version: record.version, step: record.step, ranks, rebuilds })
    }
}

/// Early messages, which receivers know by source, as their senders need them: by destination.
fn early_by_sender(record: &Record) -> Vec<Vec<Early>> {
    let mut early = vec![Vec::new(); record.parts.len()];
    for (receiver, part) in (0..).map(Rank).zip(&record.parts) {
        for one in &part.entry.early {
            let of_sender: Option<&mut Vec<Early>> = early.get_mut(one.peer.index());
            if let Some(list) = of_sender.filter(|list| list.len() < EARLY_MAX) {
                let peer = receiver;
                list.push(Early { peer, ..*one });
            }
        }
    }
    early
}
