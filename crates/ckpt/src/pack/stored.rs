//! A shard as its readers want it, however it is stored.
//!
//! Invariants: what is stored of a block is checked before it is decoded; memory for one block is all
//! that a file can make a reader take beside its map; what is wrong is told with the file that it
//! lies in, which may be that of an older version. Deliberately absent: opening files.

use std::cell::RefCell;

use mainstay_types::{Rank, crc32c};

use super::BLOCK_BYTES;
use super::codec::{Codec, Coder};
use super::map::{Block, Holder, Map, Segment};
use super::tail::{is_packed, read_map};
use crate::format::error::FormatError;
use crate::format::memory::{ReadAt, Unreadable, beyond};
use crate::kernel::Residency;

/// A shard's file.
#[derive(Debug)]
pub enum Stored<M> {
    /// The shard itself.
    Plain(M),
    /// A packed one.
    Packed(Box<Unpacked<M>>),
}

impl<M: ReadAt> Stored<M> {
    /// Opens a shard, and through `open` the other files that it refers to.
    ///
    /// # Errors
    /// What is wrong with its map; [`FormatError::Holder`] if another file cannot be had.
    pub fn open(
        file: M,
        mut open: impl FnMut(&str) -> Result<M, String>,
    ) -> Result<Self, FormatError> {
        if !is_packed(&file)? {
            return Ok(Self::Plain(file));
        }
        let (front, map) = read_map(&file)?;
        let mut holders = Vec::with_capacity(map.holders.len());
        for holder in &map.holders {
            let name = holder.name(front.rank);
            let opened = open(&name).and_then(|file| match file.bytes() == holder.file_bytes {
                true => Ok(file),
                false => {
                    let (bytes, expected) = (file.bytes(), holder.file_bytes);
                    Err(format!("it has {bytes} bytes where {expected} were written"))
                }
            });
            holders.push(opened.map_err(|why| FormatError::Holder { name, why })?);
        }
        let work = RefCell::default();
        let rank = front.rank;
        Ok(Self::Packed(Box::new(Unpacked { map, rank, file, holders, work })))
    }

    /// The map, if it is packed.
    #[must_use]
    pub fn map(&self) -> Option<&Map> {
        match self {
            Self::Plain(_) => None,
            Self::Packed(packed) => Some(&packed.map),
        }
    }

    /// The file as it lies there.
    #[must_use]
    pub fn file(&self) -> &M {
        match self {
            Self::Plain(file) => file,
            Self::Packed(packed) => &packed.file,
        }
    }
}

impl<M: ReadAt> ReadAt for Stored<M> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Plain(file) => file.bytes(),
            Self::Packed(packed) => packed.map.shard_bytes,
        }
    }

    fn read_at(&self, at: u64, into: &mut [u8], hint: Residency) -> Result<u32, Unreadable> {
        match self {
            Self::Plain(file) => file.read_at(at, into, hint),
            Self::Packed(packed) => {
                packed.fill(at, into)?;
                Ok(crc32c(into))
            }
        }
    }
}

/// The bytes of a packed shard.
#[derive(Debug)]
pub struct Unpacked<M> {
    map: Map,
    rank: Rank,
    file: M,
    holders: Vec<M>,
    work: RefCell<Work>,
}

/// Memory for one block.
#[derive(Debug, Default)]
struct Work {
    coder: Coder,
    stored: Vec<u8>,
    decoded: Vec<u8>,
    /// Where the block begins in the shard that lies in `decoded`.
    held: Option<u64>,
}

impl<M: ReadAt> Unpacked<M> {
    fn fill(&self, at: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        let end = at.checked_add(into.len() as u64).filter(|end| *end <= self.map.shard_bytes);
        let end = end.ok_or_else(|| beyond(at, into.len()))?;
        let mut work = self.work.borrow_mut();
        let mut next = at;
        let mut segment = self.map.segments.partition_point(|segment| segment.end() <= at);
        while next < end {
            let into = &mut into[(next - at) as usize..];
            let Some(found) = self.map.segments.get(segment) else {
                into.fill(0);
                break;
            };
            if next < found.at {
                let zeros = (found.at.min(end) - next) as usize;
                into[..zeros].fill(0);
                next += zeros as u64;
                continue;
            }
            let most = (found.end().min(end) - next) as usize;
            next += self.piece(found, next, &mut into[..most], &mut work)? as u64;
            if next == found.end() {
                segment += 1;
            }
        }
        Ok(())
    }

    /// Fills the start of `into`, which lies within a segment; gives how much of it.
    fn piece(
        &self,
        segment: &Segment,
        at: u64,
        into: &mut [u8],
        work: &mut Work,
    ) -> Result<usize, Unreadable> {
        let from = (at - segment.at) as usize;
        let (i, skip) = (from / BLOCK_BYTES, from % BLOCK_BYTES);
        let block = &segment.blocks[i];
        let bytes = segment.block_bytes(i);
        if block.codec == Codec::Plain {
            let run = plain_run(segment, i, skip + into.len()).saturating_sub(skip).min(into.len());
            let into = &mut into[..run];
            let read = self.file(block).read_at(block.at + skip as u64, into, Residency::Cached);
            read.map_err(|error| self.told(block, &error.to_string(), (at, run)))?;
            return Ok(run);
        }
        let length = (bytes - skip).min(into.len());
        let start = at - skip as u64;
        if length == bytes {
            self.decode(segment, block, (start, &mut into[..bytes]), work)?;
        } else {
            if work.held != Some(start) {
                work.held = None;
                let mut decoded = std::mem::take(&mut work.decoded);
                decoded.resize(bytes, 0);
                let done = self.decode(segment, block, (start, &mut decoded), work);
                work.decoded = decoded;
                done?;
                work.held = Some(start);
            }
            into[..length].copy_from_slice(&work.decoded[skip..skip + length]);
        }
        Ok(length)
    }

    fn decode(
        &self,
        segment: &Segment,
        block: &Block,
        (at, into): (u64, &mut [u8]),
        work: &mut Work,
    ) -> Result<(), Unreadable> {
        let bytes = into.len();
        let told = |why: &str| self.told(block, why, (at, bytes));
        work.stored.resize(block.bytes as usize, 0);
        let found = self.file(block).read_at(block.at, &mut work.stored, Residency::Cached);
        let found = found.map_err(|error| told(&error.to_string()))?;
        if found != block.crc {
            return Err(told(&bad_stored(block, found)));
        }
        let decoded = work.coder.decode(block.codec, segment.kind, &work.stored, into);
        decoded.map_err(|why| told(&format!("{} at {}: {why}", block.codec.name(), block.at)))
    }

    fn file(&self, block: &Block) -> &M {
        match usize::from(block.file).checked_sub(1) {
            None => &self.file,
            Some(holder) => &self.holders[holder],
        }
    }

    /// An error that names the file, if it is another's.
    fn told(&self, block: &Block, why: &str, (at, bytes): (u64, usize)) -> Unreadable {
        let why = match usize::from(block.file).checked_sub(1) {
            None => why.to_owned(),
            Some(holder) => {
                let name = self.map.holders.get(holder).map(|holder| holder.name(self.rank));
                format!("{}, which it refers to: {why}", name.unwrap_or_default())
            }
        };
        Unreadable { at, bytes: bytes as u64, why }
    }

    pub(super) fn map(&self) -> &Map {
        &self.map
    }

    /// What is wrong with what is stored of a block, without decoding it.
    pub(super) fn check(&self, block: &Block, into: &mut Vec<u8>) -> Result<(), Unreadable> {
        into.resize(block.bytes as usize, 0);
        let told = |why: &str| self.told(block, why, (block.at, block.bytes as usize));
        let found = self.file(block).read_at(block.at, into, Residency::Cached);
        let found = found.map_err(|error| told(&error.to_string()))?;
        (found == block.crc).then_some(()).ok_or_else(|| told(&bad_stored(block, found)))
    }
}

/// The holders of a packed shard, by name; none of a plain one.
#[must_use]
pub fn holder_names(map: &Map, rank: Rank) -> Vec<String> {
    map.holders.iter().map(|holder: &Holder| holder.name(rank)).collect()
}

fn bad_stored(block: &Block, found: u32) -> String {
    let (at, stored) = (block.at, block.crc);
    format!("the block stored at {at} has checksum {found:#010x} where {stored:#010x} was written")
}

/// Bytes from the start of a block on that lie behind each other in one file, up to `most`.
fn plain_run(segment: &Segment, first: usize, most: usize) -> usize {
    let start = segment.blocks[first];
    let mut bytes = 0;
    for (i, block) in segment.blocks.iter().enumerate().skip(first) {
        let follows = block.at == start.at + bytes as u64;
        let alike = (block.codec, block.file) == (Codec::Plain, start.file);
        if bytes >= most || !alike || !follows {
            break;
        }
        bytes += segment.block_bytes(i);
    }
    bytes
}
