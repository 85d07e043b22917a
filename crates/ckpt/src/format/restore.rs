//! The data of an opened image, into a program's fields.
//!
//! Invariant: every chunk handed out was checked in the pass that copied it. Deliberately absent:
//! repair; a bad chunk makes a bad copy, and the ledger knows others. Checks alone are in `verify`.

use mainstay_types::limits::CRC_CHUNK_BYTES;

use super::error::FormatError;
use super::image::Image;
use super::memory::ReadAt;
use crate::kernel::Residency;

impl Image {
    /// Copies a field's data into `into`, checking each chunk as it is copied, and calls
    /// `after_chunk` after each.
    ///
    /// # Errors
    /// [`FormatError::Chunk`] for data that changed, and bytes that cannot be read; `into` then
    /// holds a mixture.
    ///
    /// # Panics
    /// When there is no such field, or `into` has another length than its data.
    pub fn restore<M: ReadAt + ?Sized>(
        &self,
        memory: &M,
        field: usize,
        into: &mut [u8],
        after_chunk: &mut dyn FnMut(),
    ) -> Result<(), FormatError> {
        let entry = &self.table.fields[field];
        let expected = entry.spec.bytes();
        assert_eq!(Some(into.len() as u64), expected, "a field is restored whole");
        let mut at = entry.at;
        for (chunk, (part, crc)) in into.chunks_mut(CRC_CHUNK_BYTES).zip(&entry.crcs).enumerate() {
            let found = memory.read_at(at, part, Residency::Streaming)?;
            if found != *crc {
                return Err(self.bad_chunk(field, chunk, found));
            }
            at += part.len() as u64;
            after_chunk();
        }
        Ok(())
    }

    /// The error of a chunk whose data have another checksum than the table says.
    pub(super) fn bad_chunk(&self, field: usize, chunk: usize, found: u32) -> FormatError {
        let entry = &self.table.fields[field];
        FormatError::Chunk {
            field: entry.spec.full_name(),
            chunk,
            found,
            stored: entry.crcs[chunk],
        }
    }
}
