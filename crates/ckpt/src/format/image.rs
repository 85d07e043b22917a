//! Writing an image in one pass over the fields, and reading it back in one.
//!
//! Invariants: the header is written last, so that a capture cut short leaves no image; every
//! byte restored was checked in the pass that copied it. Deliberately absent: whose memory it is,
//! which [`ReadAt`] and [`WriteAt`] hide, and when it may be overwritten, which the ledger decides.

use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{DecodeError, Epoch, Incarnation, Rank, Step, Version};

use super::error::FormatError;
use super::header::{HEADER_BYTES, Header, image_bytes_of};
use super::manifest::Manifest;
use super::memory::{ReadAt, Unreadable, WriteAt};
use super::message::{Late, decode_late, messages_bytes};
use super::plan::Plan;
use super::table::{Cut, FieldEntry, Table};
use super::{PAGE_BYTES, TABLE_BYTES_MAX, align};
use crate::dirty::{self, Held};
use crate::kernel::Residency;

const ZEROS: [u8; PAGE_BYTES as usize] = [0; PAGE_BYTES as usize];

/// What a finished capture tells the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Bytes of the image.
    pub image_bytes: u64,
    /// CRC-32C of its table.
    pub table_crc: u32,
}

/// Writes one image. Dropped before [`finish`](ImageWriter::finish), it leaves none.
#[derive(Debug)]
pub struct ImageWriter<'a, M: WriteAt + ?Sized> {
    memory: &'a mut M,
    plan: &'a Plan,
    hint: Residency,
    table: Table,
}

impl<'a, M: WriteAt + ?Sized> ImageWriter<'a, M> {
    /// Begins an image of the planned fields and the cut, and takes away the header of the image
    /// that was there before.
    ///
    /// # Errors
    /// [`FormatError::NoRoom`] when the image will not fit, before anything is written;
    /// [`DecodeError::TooLong`] when the messages of the cut exceed a table.
    pub fn new(
        memory: &'a mut M,
        plan: &'a Plan,
        cut: Cut,
        hint: Residency,
    ) -> Result<Self, FormatError> {
        let n = u32::try_from(cut.sent.len()).unwrap_or(u32::MAX);
        let messages = messages_bytes(&cut.unexpected);
        let table_bytes = plan.table_bytes(n, messages);
        if table_bytes > TABLE_BYTES_MAX {
            return Err(FormatError::Decode(DecodeError::TooLong {
                what: "table",
                claimed: table_bytes,
                limit: TABLE_BYTES_MAX,
                at: 0,
            }));
        }
        let (needed, room) = (plan.image_bytes(n, messages), memory.room());
        if needed > room {
            return Err(FormatError::NoRoom { needed, room });
        }
        memory.write_at(0, &ZEROS, Residency::Cached);
        let fields = Vec::with_capacity(plan.fields().len());
        Ok(Self { memory, plan, hint, table: Table { fields, cut } })
    }

    /// Copies the next field, and calls `after_chunk` after each of its chunks.
    ///
    /// # Panics
    /// When all planned fields are written, or the length is not the planned one.
    pub fn field(&mut self, bytes: &[u8], after_chunk: &mut dyn FnMut()) {
        self.put(bytes, after_chunk, |memory, (at, hint), _, chunk| {
            memory.write_at(at, chunk, hint)
        });
    }

    /// As [`field`](ImageWriter::field), of a slot that may hold some of the field from an earlier
    /// capture: only what it does not hold is copied.
    ///
    /// # Panics
    /// As there; and when no capture into the slot [began](Held::begin) with this plan.
    pub fn field_held(
        &mut self,
        bytes: &[u8],
        (held, slot): (&mut Held, u8),
        after_chunk: &mut dyn FnMut(),
    ) {
        let field = self.table.fields.len();
        self.put(bytes, after_chunk, |memory, place, i, chunk| {
            let decision = held.decide(slot, field, i);
            let known = held.crc(slot, field, i);
            let done = dirty::copy(memory, place, chunk, &decision, known);
            held.put((slot, field, i), done.crc, done.bytes, done.missed);
            done.crc
        });
    }

    fn put(
        &mut self,
        bytes: &[u8],
        after_chunk: &mut dyn FnMut(),
        mut copy: impl FnMut(&mut M, (u64, Residency), usize, &[u8]) -> u32,
    ) {
        let i = self.table.fields.len();
        let at = self.plan.at(i);
        let planned = self.plan.field_bytes(i);
        assert_eq!(bytes.len() as u64, planned, "a field is as long as planned");
        let mut crcs = Vec::with_capacity(bytes.len().div_ceil(CRC_CHUNK_BYTES));
        let mut end = at;
        for (n, chunk) in bytes.chunks(CRC_CHUNK_BYTES).enumerate() {
            crcs.push(copy(self.memory, (end, self.hint), n, chunk));
            end += chunk.len() as u64;
            after_chunk();
        }
        let next = align(end).expect("the plan bounds the image");
        let gap = usize::try_from(next - end).expect("a gap is below a page");
        self.memory.write_at(end, &ZEROS[..gap], Residency::Cached);
        let spec = self.plan.fields()[i].clone();
        self.table.fields.push(FieldEntry { spec, at, crcs });
    }

    /// Writes the table, then the header. Table place, length and checksum of `header` are filled
    /// in here.
    ///
    /// # Panics
    /// When fields are missing, or `header.n` is not the number of the cut's channels.
    pub fn finish(self, header: Header) -> Captured {
        let planned = self.plan.fields().len();
        assert_eq!(self.table.fields.len(), planned, "every field is written");
        let n = header.n as usize;
        let cut = (self.table.cut.sent.len(), self.table.cut.delivered.len());
        assert_eq!(cut, (n, n), "a cut has one channel for each rank");
        let table = self.table.encode();
        let table_at = self.plan.table_at();
        let table_crc = self.memory.write_at(table_at, &table, Residency::Cached);
        let header = Header { table_at, table_bytes: table.len() as u64, table_crc, ..header };
        let bytes = header.encode();
        self.memory.write_at(0, &bytes, Residency::Cached);
        Captured { image_bytes: table_at + table.len() as u64, table_crc }
    }
}

impl Header {
    /// A header to [`finish`](ImageWriter::finish) an image with.
    #[must_use]
    pub fn of(rank: Rank, n: u32, epoch: Epoch, incarnation: Incarnation) -> Self {
        Self {
            rank,
            n,
            epoch,
            incarnation,
            version: Version(0),
            step: Step(0),
            table_at: PAGE_BYTES,
            table_bytes: 0,
            table_crc: 0,
        }
    }

    /// The same header for a version at a step.
    #[must_use]
    pub fn at(self, version: Version, step: Step) -> Self {
        Self { version, step, ..self }
    }
}

/// Which image a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whose.
    pub rank: Rank,
    /// Number of ranks.
    pub n: u32,
    /// Of which version.
    pub version: Version,
    /// Bytes of the image.
    pub image_bytes: u64,
    /// CRC-32C of its table.
    pub table_crc: u32,
}

impl Expected {
    /// That of a rank in a version.
    ///
    /// # Panics
    /// When the version has no such rank.
    #[must_use]
    pub fn of(manifest: &Manifest, rank: Rank) -> Self {
        let entry = &manifest.ranks[rank.index()];
        let (image_bytes, table_crc) = (entry.image_bytes, entry.stored_table_crc());
        Self { rank, n: manifest.n(), version: manifest.version, image_bytes, table_crc }
    }
}

/// An image whose header and table were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its header.
    pub header: Header,
    /// Its table.
    pub table: Table,
}

impl Image {
    /// Reads and checks header and table.
    ///
    /// # Errors
    /// Whatever is wrong with them, or bytes that cannot be read.
    pub fn open<M: ReadAt + ?Sized>(memory: &M) -> Result<Self, FormatError> {
        let mut bytes = [0; HEADER_BYTES];
        memory.read_at(0, &mut bytes, Residency::Cached)?;
        let header = Header::decode(&bytes)?;
        let end = image_bytes_of(&header).unwrap_or(u64::MAX);
        if end > memory.bytes() {
            return Err(FormatError::Unreadable(Unreadable {
                at: header.table_at,
                bytes: header.table_bytes,
                why: format!("the image is cut short at {}", memory.bytes()),
            }));
        }
        let len = usize::try_from(header.table_bytes).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        let found = memory.read_at(header.table_at, &mut bytes, Residency::Cached)?;
        if found != header.table_crc {
            return Err(FormatError::Decode(DecodeError::Checksum {
                what: "table",
                found,
                stored: header.table_crc,
            }));
        }
        let table = Table::decode(&bytes, header.n, header.table_at)?;
        Ok(Self { header, table })
    }

    /// Opens the image, and requires that it is the one expected.
    ///
    /// # Errors
    /// As [`Image::open`]; [`FormatError::Foreign`] names what differs.
    pub fn open_expected<M: ReadAt + ?Sized>(
        memory: &M,
        expected: &Expected,
    ) -> Result<Self, FormatError> {
        let image = Self::open(memory)?;
        let header = &image.header;
        for (what, found, expected) in [
            ("rank", header.rank.0.into(), expected.rank.0.into()),
            ("number of ranks", header.n.into(), expected.n.into()),
            ("version", header.version.0, expected.version.0),
            ("length", image.image_bytes(), expected.image_bytes),
            ("table checksum", header.table_crc.into(), expected.table_crc.into()),
        ] {
            if found != expected {
                return Err(FormatError::Foreign { what, found, expected });
            }
        }
        Ok(image)
    }

    /// Bytes of the image.
    #[must_use]
    pub fn image_bytes(&self) -> u64 {
        image_bytes_of(&self.header).unwrap_or(u64::MAX)
    }
}

/// Reads what a rank handed in late for a version.
///
/// # Errors
/// A checksum other than `crc`, or bytes that are not messages.
pub fn read_late<M: ReadAt + ?Sized>(
    memory: &M,
    at: u64,
    bytes: u64,
    crc: u32,
) -> Result<Late, FormatError> {
    if bytes == 0 {
        return Ok(Late::default());
    }
    if at.checked_add(bytes).is_none_or(|end| end > memory.bytes()) {
        let why = format!("the late messages are cut short at {}", memory.bytes());
        return Err(Unreadable { at, bytes, why }.into());
    }
    let mut blob = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    let found = memory.read_at(at, &mut blob, Residency::Cached)?;
    if found != crc {
        return Err(FormatError::Decode(DecodeError::Checksum {
            what: "late messages",
            found,
            stored: crc,
        }));
    }
    Ok(decode_late(&blob)?)
}
