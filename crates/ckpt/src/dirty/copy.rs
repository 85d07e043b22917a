//! Carrying out what was decided of a chunk.
//!
//! Invariant: the checksum returned is that of the chunk as it lies in the image afterwards, if what was
//! held was held. Deliberately absent: the decision.

use super::Decision;
use crate::format::memory::WriteAt;
use crate::kernel::{Residency, crc_replaced};

/// What was done.
pub(crate) struct Done {
    pub(crate) crc: u32,
    pub(crate) bytes: u64,
    /// Whether the chunk had changed though it was said to be held.
    pub(crate) missed: bool,
}

/// Brings the chunk at an offset of the image up to `chunk`. `held` is its checksum there.
pub(crate) fn copy<M: WriteAt + ?Sized>(
    memory: &mut M,
    (at, hint): (u64, Residency),
    chunk: &[u8],
    decision: &Decision,
    held: Option<u32>,
) -> Done {
    let bytes = chunk.len() as u64;
    match (decision, held) {
        (Decision::Keep, Some(crc)) => Done { crc, bytes: 0, missed: false },
        (Decision::Compare, Some(held)) if mainstay_types::crc32c(chunk) == held => {
            Done { crc: held, bytes: 0, missed: false }
        }
        (Decision::Parts(parts), Some(held)) => {
            let (mut crc, mut bytes) = (held, 0);
            for part in parts {
                let (from, after) = (&chunk[part.clone()], chunk.len() - part.end);
                let place = at + part.start as u64;
                let old = memory.sum_at(place, from.len());
                let new = memory.write_at(place, from, Residency::Cached);
                crc = crc_replaced(crc, old, new, after);
                bytes += from.len() as u64;
            }
            Done { crc, bytes, missed: false }
        }
        (Decision::Again | Decision::Compare, Some(held)) => {
            let crc = memory.write_at(at, chunk, hint);
            Done { crc, bytes, missed: crc != held }
        }
        (_, None) | (Decision::Whole, Some(_)) => {
            let crc = memory.write_at(at, chunk, hint);
            Done { crc, bytes, missed: false }
        }
    }
}
