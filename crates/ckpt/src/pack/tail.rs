//! The first and the last bytes of a packed shard.
//!
//! The first say what it is; the last, written when all blocks are, where its map lies. Invariant: a
//! file that was cut short or lengthened has no tail. Deliberately absent: the map itself.

use mainstay_types::limits::RANKS_MAX;
use mainstay_types::{DecodeError, Epoch, Incarnation, Rank, Reader, Version, Writer, crc32c};

use super::PACKED_FORMAT;
use super::map::Map;
use crate::format::error::FormatError;
use crate::format::memory::{ReadAt, Unreadable};
use crate::format::{PAGE_BYTES, TABLE_BYTES_MAX};
use crate::kernel::Residency;

/// Bytes at the front.
pub const FRONT_BYTES: usize = 40;
/// Bytes at the end.
pub const TAIL_BYTES: usize = 32;
/// The first eight bytes of a packed shard.
pub const MAGIC: [u8; 8] = *b"MSPACKED";

/// What a packed shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    /// The rank that captured it.
    pub rank: Rank,
    /// Number of ranks of the job.
    pub n: u32,
    /// The version it is part of.
    pub version: Version,
    /// The epoch of the capture.
    pub epoch: Epoch,
    /// The incarnation that captured it.
    pub incarnation: Incarnation,
}

impl Front {
    /// As bytes, with their checksum.
    #[must_use]
    pub fn encode(&self) -> [u8; FRONT_BYTES] {
        let mut w = Writer::new();
        w.raw(&MAGIC).u32(PACKED_FORMAT).u32(self.rank.0).u32(self.n);
        w.u64(self.version.0).u32(self.epoch.0).u32(self.incarnation.0);
        w.u32(crc32c(w.as_slice()));
        let mut bytes = [0; FRONT_BYTES];
        bytes.copy_from_slice(w.as_slice());
        bytes
    }

    /// Reads and checks them.
    ///
    /// # Errors
    /// A wrong checksum, magic or format, and a rank that does not exist.
    pub fn decode(bytes: &[u8; FRONT_BYTES]) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let magic = r.raw(8, "magic")?;
        let format = r.u32("format")?;
        let front = Self {
            rank: Rank(r.u32("rank")?),
            n: r.u32("number of ranks")?,
            version: Version(r.u64("version")?),
            epoch: Epoch(r.u32("epoch")?),
            incarnation: Incarnation(r.u32("incarnation")?),
        };
        let (found, stored) = (crc32c(&bytes[..FRONT_BYTES - 4]), r.u32("checksum")?);
        if found != stored {
            return Err(DecodeError::Checksum { what: "front", found, stored }.into());
        }
        let unknown = |what, value: u64, at| DecodeError::Unknown { what, value, at };
        if magic != MAGIC {
            return Err(unknown("magic of a packed shard", 0, 0).into());
        }
        if format != PACKED_FORMAT {
            return Err(unknown("format of a packed shard", format.into(), 8).into());
        }
        if front.n > RANKS_MAX || front.rank.0 >= front.n {
            return Err(unknown("rank", front.rank.0.into(), 12).into());
        }
        Ok(front)
    }
}

/// Where the map lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Its first byte, which is the first behind the blocks.
    pub map_at: u64,
    /// Its bytes.
    pub map_bytes: u32,
    /// Their CRC-32C.
    pub map_crc: u32,
    /// Bytes of the shard that is packed.
    pub shard_bytes: u64,
    /// See [`Map::generation`].
    pub generation: u32,
}

impl Tail {
    /// As bytes, with their checksum.
    #[must_use]
    pub fn encode(&self) -> [u8; TAIL_BYTES] {
        let mut w = Writer::new();
        w.u64(self.map_at).u32(self.map_bytes).u32(self.map_crc);
        w.u64(self.shard_bytes).u32(self.generation);
        w.u32(crc32c(w.as_slice()));
        let mut bytes = [0; TAIL_BYTES];
        bytes.copy_from_slice(w.as_slice());
        bytes
    }

    /// Reads and checks those of a file of so many bytes.
    ///
    /// # Errors
    /// A wrong checksum, or a map that does not end where the tail begins.
    pub fn decode(bytes: &[u8; TAIL_BYTES], file_bytes: u64) -> Result<Self, FormatError> {
        let mut r = Reader::new(bytes);
        let tail = Self {
            map_at: r.u64("place of the map")?,
            map_bytes: r.u32("length of the map")?,
            map_crc: r.u32("checksum of the map")?,
            shard_bytes: r.u64("length of the shard")?,
            generation: r.u32("generation")?,
        };
        let (found, stored) = (crc32c(&bytes[..TAIL_BYTES - 4]), r.u32("checksum")?);
        if found != stored {
            return Err(DecodeError::Checksum { what: "tail", found, stored }.into());
        }
        let end = tail.map_at.checked_add(u64::from(tail.map_bytes) + TAIL_BYTES as u64);
        let (found, expected) = (tail.map_at, file_bytes);
        if tail.map_at < PAGE_BYTES || end != Some(file_bytes) {
            return Err(FormatError::Layout { what: "place of the map", found, expected });
        }
        if u64::from(tail.map_bytes) > TABLE_BYTES_MAX || tail.shard_bytes > i64::MAX as u64 {
            let (what, found) = ("length of the shard", tail.shard_bytes);
            return Err(FormatError::Layout { what, found, expected: TABLE_BYTES_MAX });
        }
        Ok(tail)
    }
}

/// Whether a file says that it is a packed shard.
///
/// # Errors
/// When its first bytes cannot be read.
pub fn is_packed<M: ReadAt + ?Sized>(file: &M) -> Result<bool, Unreadable> {
    let mut magic = [0; MAGIC.len()];
    if file.bytes() < magic.len() as u64 {
        return Ok(false);
    }
    file.read_at(0, &mut magic, Residency::Cached)?;
    Ok(magic == MAGIC)
}

/// Reads front, tail and map of a packed shard.
///
/// # Errors
/// What is wrong with them first, or bytes that cannot be read.
pub fn read_map<M: ReadAt + ?Sized>(file: &M) -> Result<(Front, Map), FormatError> {
    let mut front = [0; FRONT_BYTES];
    file.read_at(0, &mut front, Residency::Cached)?;
    let front = Front::decode(&front)?;
    let mut bytes = [0; TAIL_BYTES];
    let at = file.bytes().saturating_sub(TAIL_BYTES as u64);
    file.read_at(at, &mut bytes, Residency::Cached)?;
    let tail = Tail::decode(&bytes, file.bytes())?;
    let mut bytes = vec![0; tail.map_bytes as usize];
    let found = file.read_at(tail.map_at, &mut bytes, Residency::Cached)?;
    if found != tail.map_crc {
        let stored = tail.map_crc;
        return Err(DecodeError::Checksum { what: "map", found, stored }.into());
    }
    let map = Map::decode(&bytes, (tail.shard_bytes, tail.generation), tail.map_at)?;
    Ok((front, map))
}
