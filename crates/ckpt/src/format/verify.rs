//! Every byte of a shard against what covers it.
//!
//! Invariants: each byte of the file belongs to exactly one [`Part`]; what is wrong is told with the
//! bytes that it lies in, and the rest is looked at all the same; never more than one chunk is held.
//! Deliberately absent: repair, and where the shard lies.

use std::ops::{ControlFlow, Range};

use mainstay_types::limits::CRC_CHUNK_BYTES;

use super::PAGE_BYTES;
use super::error::FormatError;
use super::header::{HEADER_BYTES, Header};
use super::image::{Expected, Image, read_late};
use super::memory::ReadAt;
use crate::kernel::Residency;

/// A part of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first 64 bytes.
    Header,
    /// A chunk of a field, by their places.
    Chunk {
        /// The field's place in the table.
        field: usize,
        /// The chunk's place in the field.
        chunk: usize,
    },
    /// Zeros between other parts.
    Gap,
    /// The table.
    Table,
    /// What was handed in late.
    Late,
    /// What is stored of blocks of a packed shard.
    Stored,
    /// The end: bytes that are missing there, or too many.
    End,
}

impl Part {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Chunk { .. } => "chunk",
            Self::Gap => "gap",
            Self::Table => "table",
            Self::Late => "late",
            Self::Stored => "stored",
            Self::End => "end",
        }
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The part that it lies in.
    pub part: Part,
    /// State and name of the field, if it is one's.
    pub field: Option<String>,
    /// The bytes of the file that are concerned.
    pub at: Range<u64>,
    /// What is wrong.
    pub error: FormatError,
}

/// What a look at a shard comes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// So many more bytes were read.
    Bytes(u64),
    /// Something is wrong.
    Wrong(Finding),
}

/// Whoever is told, and may end the look.
pub type See<'a> = dyn FnMut(Seen) -> ControlFlow<()> + 'a;

impl Image {
    /// Checks every chunk and every gap of the image. What follows the image is not looked at.
    ///
    /// # Errors
    /// The first chunk or gap that is wrong, and bytes that cannot be read.
    pub fn verify<M: ReadAt + ?Sized>(&self, memory: &M) -> Result<(), FormatError> {
        first(|see| self.audit(memory, see))
    }

    /// Reads one chunk of a field, checked as it is read; gives how many bytes of `into` it fills.
    ///
    /// # Errors
    /// [`FormatError::Chunk`] for data that changed, and bytes that cannot be read.
    ///
    /// # Panics
    /// When there is no such field or chunk, or `into` is shorter than a chunk can be.
    pub fn chunk<M: ReadAt + ?Sized>(
        &self,
        memory: &M,
        (field, chunk): (usize, usize),
        into: &mut [u8],
    ) -> Result<usize, FormatError> {
        let entry = &self.table.fields[field];
        let from = chunk as u64 * CRC_CHUNK_BYTES as u64;
        let left = entry.spec.bytes().unwrap_or(0) - from;
        let len = left.min(CRC_CHUNK_BYTES as u64) as usize;
        let found = memory.read_at(entry.at + from, &mut into[..len], Residency::Cached)?;
        match found == entry.crcs[chunk] {
            true => Ok(len),
            false => Err(self.bad_chunk(field, chunk, found)),
        }
    }

    /// Tells of every chunk and every gap that is wrong.
    fn audit<M: ReadAt + ?Sized>(&self, memory: &M, see: &mut See<'_>) -> ControlFlow<()> {
        let bytes = self.table.fields.iter().filter_map(|f| f.spec.bytes());
        let longest = bytes.max().unwrap_or(0).min(CRC_CHUNK_BYTES as u64);
        let mut buffer = vec![0; longest as usize];
        gap(memory, HEADER_BYTES as u64..PAGE_BYTES, see)?;
        let ends = self.table.fields.iter().skip(1).map(|field| field.at);
        let ends = ends.chain([self.header.table_at]);
        for (field, (entry, next)) in self.table.fields.iter().zip(ends).enumerate() {
            let end = entry.at + entry.spec.bytes().unwrap_or(0);
            let mut at = entry.at;
            for (chunk, crc) in entry.crcs.iter().enumerate() {
                let len = (end - at).min(CRC_CHUNK_BYTES as u64);
                let found = memory.read_at(at, &mut buffer[..len as usize], Residency::Cached);
                see(Seen::Bytes(len))?;
                let error = match found {
                    Ok(found) if found == *crc => None,
                    Ok(found) => Some(self.bad_chunk(field, chunk, found)),
                    Err(unreadable) => Some(unreadable.into()),
                };
                if let Some(error) = error {
                    let (part, name) = (Part::Chunk { field, chunk }, entry.spec.full_name());
                    let at = at..at + len;
                    see(Seen::Wrong(Finding { part, field: Some(name), at, error }))?;
                }
                at += len;
            }
            gap(memory, end..next, see)?;
        }
        ControlFlow::Continue(())
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
    first(|see| {
        image.audit(memory, see)?;
        audit_tail(memory, image.image_bytes(), (late_bytes, late_crc), see)
    })
}

/// Tells of everything that is wrong with the shard of `expected`, whose late messages have these
/// bytes and this checksum.
pub fn audit_shard<M: ReadAt + ?Sized>(
    memory: &M,
    expected: &Expected,
    late: (u64, u32),
    see: &mut See<'_>,
) -> ControlFlow<()> {
    match open(memory, expected) {
        Ok(image) => {
            see(Seen::Bytes(HEADER_BYTES as u64 + image.header.table_bytes))?;
            image.audit(memory, see)?;
        }
        // Without a table nobody knows where the fields lie.
        Err(finding) => see(Seen::Wrong(finding))?,
    }
    audit_tail(memory, expected.image_bytes, late, see)
}

/// Tells of everything that is wrong with the image of `expected`, where its late messages lie apart, as
/// in memory. What follows the image is not looked at.
pub fn audit_image<M: ReadAt + ?Sized>(
    memory: &M,
    expected: &Expected,
    see: &mut See<'_>,
) -> ControlFlow<()> {
    match open(memory, expected) {
        Ok(image) => {
            see(Seen::Bytes(HEADER_BYTES as u64 + image.header.table_bytes))?;
            image.audit(memory, see)
        }
        Err(finding) => see(Seen::Wrong(finding)),
    }
}

impl Image {
    /// The bytes of a part of the image, as they should be, from where they are whole.
    ///
    /// # Errors
    /// A part that is damaged there, too, or is none of an image's.
    pub fn part<M: ReadAt + ?Sized>(
        &self,
        memory: &M,
        part: Part,
        at: &Range<u64>,
    ) -> Result<Vec<u8>, FormatError> {
        match part {
            Part::Header => Ok(self.header.encode().to_vec()),
            Part::Gap => Ok(vec![0; (at.end - at.start).min(PAGE_BYTES) as usize]),
            Part::Table => {
                let mut table = vec![0; self.header.table_bytes as usize];
                let found = memory.read_at(self.header.table_at, &mut table, Residency::Cached)?;
                let (what, expected) = ("checksum of the table", self.header.table_crc.into());
                match u64::from(found) == expected {
                    true => Ok(table),
                    false => Err(FormatError::Layout { what, found: found.into(), expected }),
                }
            }
            Part::Chunk { field, chunk } => {
                let mut bytes = vec![0; CRC_CHUNK_BYTES];
                let len = self.chunk(memory, (field, chunk), &mut bytes)?;
                bytes.truncate(len);
                Ok(bytes)
            }
            Part::Late | Part::Stored | Part::End => {
                let (found, expected) = (at.start, self.image_bytes());
                Err(FormatError::Layout { what: "part of the image", found, expected })
            }
        }
    }

    /// Where a part of the image begins.
    #[must_use]
    pub fn part_at(&self, part: Part, at: &Range<u64>) -> u64 {
        match part {
            Part::Header => 0,
            Part::Table => self.header.table_at,
            _ => at.start,
        }
    }
}

/// Opens the image, or tells which part of it prevents that.
fn open<M: ReadAt + ?Sized>(memory: &M, expected: &Expected) -> Result<Image, Finding> {
    let in_part = |part, at, error| Finding { part, field: None, at, error };
    let in_header = |error| in_part(Part::Header, 0..HEADER_BYTES as u64, error);
    let mut bytes = [0; HEADER_BYTES];
    memory.read_at(0, &mut bytes, Residency::Cached).map_err(|e| in_header(e.into()))?;
    let header = Header::decode(&bytes).map_err(in_header)?;
    Image::open_expected(memory, expected).map_err(|error| match error {
        FormatError::Foreign { .. } => in_header(error),
        error => {
            let at = header.table_at..header.table_at.saturating_add(header.table_bytes);
            in_part(Part::Table, at, error)
        }
    })
}

/// Tells what is wrong behind an image: its gap, the late messages, and the length.
fn audit_tail<M: ReadAt + ?Sized>(
    memory: &M,
    image_bytes: u64,
    (late_bytes, late_crc): (u64, u32),
    see: &mut See<'_>,
) -> ControlFlow<()> {
    let late_at = super::late_at(image_bytes, late_bytes);
    let (bytes, end) = (memory.bytes(), late_at.saturating_add(late_bytes).max(image_bytes));
    if bytes != end {
        let error =
            FormatError::Layout { what: "length of the shard", found: bytes, expected: end };
        wrong(Part::End, bytes.min(end)..bytes.max(end), error, see)?;
    }
    if late_bytes == 0 {
        return ControlFlow::Continue(());
    }
    gap(memory, image_bytes..late_at, see)?;
    let late = read_late(memory, late_at, late_bytes, late_crc);
    see(Seen::Bytes(late_bytes))?;
    match late {
        Ok(_) => ControlFlow::Continue(()),
        Err(error) => wrong(Part::Late, late_at..late_at.saturating_add(late_bytes), error, see),
    }
}

/// Tells of the first byte that is not zero in a gap, which is shorter than a page.
fn gap<M: ReadAt + ?Sized>(memory: &M, at: Range<u64>, see: &mut See<'_>) -> ControlFlow<()> {
    let mut gap = [0; PAGE_BYTES as usize];
    let gap = &mut gap[..(at.end - at.start) as usize];
    match memory.read_at(at.start, gap, Residency::Cached) {
        Err(unreadable) => wrong(Part::Gap, at, unreadable.into(), see),
        Ok(_) => match gap.iter().position(|byte| *byte != 0) {
            None => see(Seen::Bytes(at.end - at.start)),
            Some(i) => {
                let first = at.start + i as u64;
                wrong(Part::Gap, first..at.end, FormatError::Gap { at: first }, see)
            }
        },
    }
}

fn wrong(part: Part, at: Range<u64>, error: FormatError, see: &mut See<'_>) -> ControlFlow<()> {
    see(Seen::Wrong(Finding { part, field: None, at, error }))
}

/// What is wrong first.
fn first(look: impl FnOnce(&mut See<'_>) -> ControlFlow<()>) -> Result<(), FormatError> {
    let mut found = Ok(());
    let _ended = look(&mut |seen| match seen {
        Seen::Bytes(_) => ControlFlow::Continue(()),
        Seen::Wrong(finding) => {
            found = Err(finding.error);
            ControlFlow::Break(())
        }
    });
    found
}
