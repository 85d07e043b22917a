//! The data of an opened image: into a program's fields, or only checked.
//!
//! Invariant: every chunk handed out was checked in the pass that copied it. Deliberately absent:
//! repair; a bad chunk makes a bad copy, and the ledger knows others.

use mainstay_types::limits::CRC_CHUNK_BYTES;

use super::PAGE_BYTES;
use super::error::FormatError;
use super::header::HEADER_BYTES;
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

    /// Checks every chunk and every gap of the image. What follows the image is not looked at.
    ///
    /// # Errors
    /// The first chunk or gap that is wrong, and bytes that cannot be read.
    pub fn verify<M: ReadAt + ?Sized>(&self, memory: &M) -> Result<(), FormatError> {
        let bytes = self.table.fields.iter().filter_map(|f| f.spec.bytes());
        let longest = bytes.max().unwrap_or(0).min(CRC_CHUNK_BYTES as u64);
        let mut buffer = vec![0; longest as usize];
        verify_gap(memory, HEADER_BYTES as u64, PAGE_BYTES)?;
        let ends = self.table.fields.iter().skip(1).map(|field| field.at);
        let ends = ends.chain([self.header.table_at]);
        for (field, (entry, next)) in self.table.fields.iter().zip(ends).enumerate() {
            let end = entry.at + entry.spec.bytes().unwrap_or(0);
            let mut at = entry.at;
            for (chunk, crc) in entry.crcs.iter().enumerate() {
                let len = (end - at).min(CRC_CHUNK_BYTES as u64) as usize;
                let found = memory.read_at(at, &mut buffer[..len], Residency::Cached)?;
                if found != *crc {
                    return Err(self.bad_chunk(field, chunk, found));
                }
                at += len as u64;
            }
            verify_gap(memory, end, next)?;
        }
        Ok(())
    }

    fn bad_chunk(&self, field: usize, chunk: usize, found: u32) -> FormatError {
        let entry = &self.table.fields[field];
        FormatError::Chunk {
            field: entry.spec.full_name(),
            chunk,
            found,
            stored: entry.crcs[chunk],
        }
    }
}

/// Requires that the bytes `from..to`, fewer than a page, are zero.
///
/// # Errors
/// [`FormatError::Gap`] names the first that is not.
pub(crate) fn verify_gap<M: ReadAt + ?Sized>(
    memory: &M,
    from: u64,
    to: u64,
) -> Result<(), FormatError> {
    let mut gap = [0; PAGE_BYTES as usize];
    let gap = &mut gap[..(to - from) as usize];
    memory.read_at(from, gap, Residency::Cached)?;
    match gap.iter().position(|byte| *byte != 0) {
        None => Ok(()),
        Some(i) => Err(FormatError::Gap { at: from + i as u64 }),
    }
}

/// Checks a whole shard: its image, the gap behind it, its late messages, and that nothing
/// follows. The image has to be opened already.
///
/// # Errors
/// Whatever is wrong first.
pub fn verify_shard<M: ReadAt + ?Sized>(
    memory: &M,
    image: &Image,
    late_bytes: u64,
    late_crc: u32,
) -> Result<(), FormatError> {
    image.verify(memory)?;
    let image_bytes = image.image_bytes();
    let late_at = super::late_at(image_bytes, late_bytes);
    let end = late_at.saturating_add(late_bytes).max(image_bytes);
    if memory.bytes() != end {
        return Err(FormatError::Layout {
            what: "length of the shard",
            found: memory.bytes(),
            expected: end,
        });
    }
    if late_bytes > 0 {
        verify_gap(memory, image_bytes, late_at)?;
    }
    super::image::read_late(memory, late_at, late_bytes, late_crc)?;
    Ok(())
}
