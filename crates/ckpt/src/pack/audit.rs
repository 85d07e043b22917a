//! Every byte of a packed shard's file against what covers it.
//!
//! Invariants: what is stored is judged by its own checksums, so that a file whose stored bytes are
//! whole and whose data are not was written wrongly, and one whose stored bytes are not has changed
//! since; what lies in other files is judged where it is needed. Deliberately absent: decoding, which
//! whoever reads the shard does.

use std::ops::{ControlFlow, Range};

use super::stored::Stored;
use super::tail::FRONT_BYTES;
use crate::format::PAGE_BYTES;
use crate::format::error::FormatError;
use crate::format::memory::ReadAt;
use crate::format::verify::{Finding, Part, See, Seen};
use crate::kernel::Residency;

/// Tells of everything that is wrong with what is stored of a packed shard, in its file and in those
/// that it refers to. Of a plain one there is nothing to tell: its parts are all there is.
pub fn audit_packed<M: ReadAt>(shard: &Stored<M>, see: &mut See<'_>) -> ControlFlow<()> {
    let Stored::Packed(packed) = shard else {
        return ControlFlow::Continue(());
    };
    let mut gap = [0; PAGE_BYTES as usize - FRONT_BYTES];
    let front = FRONT_BYTES as u64..PAGE_BYTES;
    let found = shard.file().read_at(front.start, &mut gap, Residency::Cached);
    let error = match found {
        Err(unreadable) => Some(unreadable.into()),
        Ok(_) => gap.iter().position(|byte| *byte != 0).map(|i| {
            let at = front.start + i as u64;
            FormatError::Gap { at }
        }),
    };
    if let Some(error) = error {
        wrong(front, error, see)?;
    }
    let mut buffer = Vec::new();
    let mut blocks: Vec<_> = packed.map().blocks().map(|(_, _, block)| block).collect();
    blocks.sort_by_key(|block| (block.file, block.at));
    let mut own_end = PAGE_BYTES;
    for block in blocks {
        let at = block.at..block.at + u64::from(block.bytes);
        if block.file == 0 {
            // Blocks are stored one behind the other: no byte is in none.
            if at.start != own_end {
                let (found, expected) = (at.start, own_end);
                let what = "place of a block";
                wrong(at.clone(), FormatError::Layout { what, found, expected }, see)?;
            }
            own_end = at.end;
        }
        if let Err(unreadable) = packed.check(block, &mut buffer) {
            wrong(at, unreadable.into(), see)?;
        }
        see(Seen::Bytes(block.bytes.into()))?;
    }
    ControlFlow::Continue(())
}

fn wrong(at: Range<u64>, error: FormatError, see: &mut See<'_>) -> ControlFlow<()> {
    see(Seen::Wrong(Finding { part: Part::Stored, field: None, at, error }))
}
