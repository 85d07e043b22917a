//! Reading the pieces of a part.
//!
//! A checksum covers a chunk, so a piece of a chunk needs all of it: it is read aside, checked, and
//! the piece is taken from there. A chunk that belongs into the field as a whole is read to its place
//! and checked on the way. Invariants: each chunk is read once for a part, since pieces come in the
//! order of the image; no byte is handed out that no checksum covered. Deliberately absent: repair.

use mainstay_types::limits::CRC_CHUNK_BYTES;

use super::assembly::Part;
use crate::format::error::FormatError;
use crate::format::memory::ReadAt;
use crate::format::table::FieldEntry;
use crate::kernel::Residency;

const CHUNK: u64 = CRC_CHUNK_BYTES as u64;

impl Part {
    /// Reads this part's pieces into the field `into`, out of the image in `memory` whose table has
    /// `entry` for them. `aside` is memory to be used again; `after_chunk` is called after each
    /// chunk. Gives the bytes that were read.
    ///
    /// # Errors
    /// [`FormatError::Chunk`] for data that changed, and bytes that cannot be read; `into` then
    /// holds a mixture.
    ///
    /// # Panics
    /// When `entry` is another field's, or `into` has another length than was planned.
    pub fn copy<M: ReadAt + ?Sized>(
        &self,
        (memory, entry): (&M, &FieldEntry),
        into: &mut [u8],
        aside: &mut Vec<u8>,
        after_chunk: &mut dyn FnMut(),
    ) -> Result<u64, FormatError> {
        let total = entry.spec.bytes().expect("a table's fields fit a file");
        let mut chunks = Chunks { memory, entry, total, aside, held: None, read: 0, after_chunk };
        self.each(&mut |piece| {
            let into = &mut into[piece.into as usize..][..piece.bytes as usize];
            chunks.give(piece.at - entry.at, into)
        })?;
        Ok(chunks.read)
    }
}

/// The chunks of one field of an image.
struct Chunks<'a, M: ReadAt + ?Sized> {
    memory: &'a M,
    entry: &'a FieldEntry,
    /// Bytes of the field.
    total: u64,
    aside: &'a mut Vec<u8>,
    /// The chunk that lies aside.
    held: Option<u64>,
    read: u64,
    after_chunk: &'a mut dyn FnMut(),
}

impl<M: ReadAt + ?Sized> Chunks<'_, M> {
    /// Fills `into` with the data from `at` on.
    fn give(&mut self, mut at: u64, mut into: &mut [u8]) -> Result<(), FormatError> {
        while !into.is_empty() {
            let chunk = at / CHUNK;
            let start = chunk * CHUNK;
            let length = (self.total - start).min(CHUNK);
            let count = (start + length - at).min(into.len() as u64);
            let (now, rest) = into.split_at_mut(count as usize);
            if count == length {
                let found =
                    self.memory.read_at(self.entry.at + start, now, Residency::Streaming)?;
                self.checked(chunk, length, found)?;
            } else {
                self.hold(chunk, start, length)?;
                now.copy_from_slice(&self.aside[(at - start) as usize..][..count as usize]);
            }
            at += count;
            into = rest;
        }
        Ok(())
    }

    fn hold(&mut self, chunk: u64, start: u64, length: u64) -> Result<(), FormatError> {
        if self.held == Some(chunk) {
            return Ok(());
        }
        self.held = None;
        self.aside.resize(length as usize, 0);
        let found = self.memory.read_at(self.entry.at + start, self.aside, Residency::Cached)?;
        self.checked(chunk, length, found)?;
        self.held = Some(chunk);
        Ok(())
    }

    fn checked(&mut self, chunk: u64, length: u64, found: u32) -> Result<(), FormatError> {
        self.read += length;
        let chunk = chunk as usize;
        let stored = self.entry.crcs[chunk];
        if found != stored {
            let field = self.entry.spec.full_name();
            return Err(FormatError::Chunk { field, chunk, found, stored });
        }
        (self.after_chunk)();
        Ok(())
    }
}
