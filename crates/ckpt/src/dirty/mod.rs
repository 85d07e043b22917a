//! What of a capture's fields has to be copied, given what each slot holds and what was written since.
//!
//! A slot *holds* a block of a field when the bytes in its arena are those of the program's memory, but
//! for writes that were told of since: [`Held::changed`] takes a block away from every slot,
//! [`Held::put`] gives one slot a chunk back, with its checksum. So a capture that was cut short, a
//! version that went void and a slot that was passed over need no case of their own.
//!
//! Invariants: whatever is not known to be held is copied; one slot's memory is never taken for
//! another's; each chunk that is held is copied all the same once in [`AGAIN`] captures of its slot, and
//! its checksum compared. Deliberately absent: how writes are noticed, memory, and what a restore did:
//! whoever restores says [`Held::forget`].

mod blocks;
mod copy;
mod worth;

use std::ops::Range;

use mainstay_types::limits::CRC_CHUNK_BYTES;

use crate::format::plan::Plan;

pub use self::blocks::Blocks;
pub use self::worth::{PAUSE_MAX, Worth};

pub(crate) use self::copy::copy;

/// Bytes of a block, the unit in which writes are told of. Blocks lie as pages do, wherever in one the
/// field begins; where pages are larger, one is several blocks.
pub const BLOCK_BYTES: usize = 4096;
/// Blocks that a chunk has a part of, at most. A block that lies in two counts in each.
const CHUNK_BLOCKS: usize = CRC_CHUNK_BYTES / BLOCK_BYTES + 1;
/// Of so many captures of a slot, one copies a chunk though it is held: what memory has flipped in an
/// arena does not stay there for good, and a write that went unnoticed is.
pub const AGAIN: u64 = 64;

/// What is to be done with a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: the slot holds it.
    Keep,
    /// These bytes of it are copied, and the checksum follows them.
    Parts(Vec<Range<usize>>),
    /// All of it is copied.
    Whole,
    /// All of it is copied, and its checksum is to be the one that is known.
    Again,
    /// Its checksum is to be the one that is known; it is copied if not.
    Compare,
}

/// One field in one slot.
#[derive(Clone, Debug)]
struct Field {
    /// Of each chunk, if all of it is held but for what is stale.
    crcs: Vec<Option<u32>>,
    /// Blocks that were written since they were copied.
    stale: Blocks,
}

impl Field {
    fn empty(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let chunks = bytes.div_ceil(CRC_CHUNK_BYTES);
        Self { crcs: vec![None; chunks], stale: Blocks::none(chunks * CHUNK_BLOCKS) }
    }
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Which memory it is; `None` holds nothing.
    memory: Option<u64>,
    fields: Vec<Field>,
    /// Captures into it so far.
    turn: u64,
}

/// What the slots of a rank hold.
#[derive(Clone, Debug)]
pub struct Held {
    slots: Vec<Slot>,
    /// Offset and length of each field in all of them.
    layout: Vec<(u64, u64)>,
    /// Bytes of its first block that lie before each field.
    skews: Vec<usize>,
    compares: bool,
    copied_bytes: u64,
    missed: u64,
}

impl Held {
    /// Of a rank with so many slots. If it `compares`, every chunk that is held is compared with memory
    /// at each capture.
    #[must_use]
    pub fn new(slots: u8, compares: bool) -> Self {
        let slots = vec![Slot::default(); usize::from(slots)];
        let (layout, skews) = (Vec::new(), Vec::new());
        Self { slots, layout, skews, compares, copied_bytes: 0, missed: 0 }
    }

    /// Nothing is known of any slot any more.
    pub fn forget(&mut self) {
        for slot in &mut self.slots {
            slot.memory = None;
        }
    }

    /// A capture into a slot begins. `memory` names what it lies in: another number is other memory.
    ///
    /// # Panics
    /// When there is no such slot.
    pub fn begin(&mut self, slot: u8, memory: u64, plan: &Plan) {
        let fields = 0..plan.fields().len();
        let same = fields.len() == self.layout.len()
            && fields.clone().all(|i| self.layout[i] == (plan.at(i), plan.field_bytes(i)));
        if !same {
            self.forget();
            self.layout = fields.map(|i| (plan.at(i), plan.field_bytes(i))).collect();
            self.skews = vec![0; self.layout.len()];
        }
        let slot = &mut self.slots[usize::from(slot)];
        slot.turn += 1;
        if slot.memory != Some(memory) {
            slot.memory = Some(memory);
            slot.fields = self.layout.iter().map(|(_, bytes)| Field::empty(*bytes)).collect();
        }
        (self.copied_bytes, self.missed) = (0, 0);
    }

    /// A field lies at this address. Another place in a page makes other blocks, of which nothing is known.
    ///
    /// # Panics
    /// When there is no such field.
    pub fn lies_at(&mut self, field: usize, address: usize) {
        let skew = address % BLOCK_BYTES;
        if std::mem::replace(&mut self.skews[field], skew) != skew {
            self.changed_all(field);
        }
    }

    /// These bytes of a field may have been written since the last time that was asked.
    ///
    /// # Panics
    /// When there is no such field.
    pub fn changed(&mut self, field: usize, bytes: Range<usize>) {
        let (skew, end) = (self.skews[field], bytes.end.min(self.field_bytes(field)));
        for chunk in bytes.start / CRC_CHUNK_BYTES..end.div_ceil(CRC_CHUNK_BYTES) {
            let first = chunk * CRC_CHUNK_BYTES;
            let from = bytes.start.saturating_sub(first) + skew;
            let to = (end - first).min(CRC_CHUNK_BYTES) + skew;
            let blocks = from / BLOCK_BYTES..to.div_ceil(BLOCK_BYTES);
            let at = chunk * CHUNK_BLOCKS;
            for field in self.slots.iter_mut().filter_map(|slot| slot.fields.get_mut(field)) {
                field.stale.add(at + blocks.start..at + blocks.end);
            }
        }
    }

    /// Nothing is known of a field: all of it may have been written.
    pub fn changed_all(&mut self, field: usize) {
        for slot in &mut self.slots {
            if let Some(field) = slot.fields.get_mut(field) {
                field.crcs.fill(None);
            }
        }
    }

    /// What a capture does with a chunk.
    ///
    /// # Panics
    /// When there is no such slot, field or chunk.
    #[must_use]
    pub fn decide(&self, slot: u8, field: usize, chunk: usize) -> Decision {
        let slot = &self.slots[usize::from(slot)];
        let bytes = self.chunk_bytes(field, chunk);
        let (field, skew) = (&slot.fields[field], self.skews[field]);
        if field.crcs[chunk].is_none() {
            return Decision::Whole;
        }
        let blocks = chunk * CHUNK_BLOCKS..(chunk + 1) * CHUNK_BLOCKS;
        let stale = field.stale.count(blocks.clone());
        let again = (slot.turn + chunk as u64).is_multiple_of(AGAIN);
        match (stale, again) {
            (0, true) => Decision::Again,
            (0, false) if self.compares => Decision::Compare,
            (0, false) => Decision::Keep,
            // A streaming copy of all is as fast as stores into the caches of half of it.
            (_, true) => Decision::Whole,
            (stale, false) if stale * 2 > bytes.div_ceil(BLOCK_BYTES) => Decision::Whole,
            (..) => {
                let first = blocks.start;
                let runs = field.stale.runs(blocks);
                let at = |block: usize| ((block - first) * BLOCK_BYTES).saturating_sub(skew);
                let part = |run: Range<usize>| at(run.start)..at(run.end).min(bytes);
                Decision::Parts(runs.map(part).collect())
            }
        }
    }

    /// The checksum of a chunk that a slot holds but for what is stale.
    #[must_use]
    pub fn crc(&self, slot: u8, field: usize, chunk: usize) -> Option<u32> {
        *self.slots.get(usize::from(slot))?.fields.get(field)?.crcs.get(chunk)?
    }

    /// A slot now holds a chunk, of which so many bytes were copied; `missed` if they had to differ from
    /// what was held and were said not to.
    ///
    /// # Panics
    /// When there is no such slot, field or chunk.
    pub fn put(
        &mut self,
        (slot, field, chunk): (u8, usize, usize),
        crc: u32,
        bytes: u64,
        missed: bool,
    ) {
        let field = &mut self.slots[usize::from(slot)].fields[field];
        field.crcs[chunk] = Some(crc);
        field.stale.remove(chunk * CHUNK_BLOCKS..(chunk + 1) * CHUNK_BLOCKS);
        self.copied_bytes += bytes;
        self.missed += u64::from(missed);
    }

    /// Bytes copied by the capture that began last.
    #[must_use]
    pub fn copied_bytes(&self) -> u64 {
        self.copied_bytes
    }

    /// Chunks that had changed in that capture though nobody had said so. There is no such: a number
    /// above 0 means that memory, or the way of noticing writes, cannot be trusted.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// How many chunks a field has.
    ///
    /// # Panics
    /// When there is no such field.
    #[must_use]
    pub fn chunks(&self, field: usize) -> usize {
        self.field_bytes(field).div_ceil(CRC_CHUNK_BYTES)
    }

    fn field_bytes(&self, field: usize) -> usize {
        usize::try_from(self.layout[field].1).unwrap_or(usize::MAX)
    }

    fn chunk_bytes(&self, field: usize, chunk: usize) -> usize {
        (self.field_bytes(field) - chunk * CRC_CHUNK_BYTES).min(CRC_CHUNK_BYTES)
    }
}
