//! The map of a packed shard: where each of its blocks is stored.
//!
//! Invariants: a map that decodes has ascending segments that do not overlap, within the shard; every
//! block lies within the file that it is in, and takes no more bytes there than it has. Deliberately
//! absent: what the bytes mean; to a map, image and messages are bytes.

use mainstay_types::{DecodeError, Epoch, Incarnation, Rank, Reader, Version, Writer};

use super::codec::Codec;
use super::lossy::Bound;
use super::{BLOCK_BYTES, HOLDERS_MAX};
use crate::format::error::FormatError;
use crate::format::kind::Kind;
use crate::format::name::shard_name;
use crate::format::{PAGE_BYTES, TABLE_BYTES_MAX};

/// Most segments: a field each, the header, the table and what came late.
const SEGMENTS_MAX: usize = mainstay_types::limits::FIELDS_MAX + 3;
/// Bytes of a block's entry.
const ENTRY_BYTES: usize = 34;

/// A file of an older version that stored blocks lie in, of the same rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Whose shard it is.
    pub version: Version,
    /// The epoch in its name.
    pub epoch: Epoch,
    /// The incarnation in its name.
    pub incarnation: Incarnation,
    /// Its bytes.
    pub file_bytes: u64,
}

impl Holder {
    /// The file's name, of a rank's holder.
    #[must_use]
    pub fn name(&self, rank: Rank) -> String {
        shard_name(self.version, self.epoch, rank, self.incarnation)
    }

    pub(crate) fn put(&self, w: &mut Writer) {
        w.u64(self.version.0).u32(self.epoch.0).u32(self.incarnation.0).u64(self.file_bytes);
    }

    pub(crate) fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: Version(r.u64("holder version")?),
            epoch: Epoch(r.u32("holder epoch")?),
            incarnation: Incarnation(r.u32("holder incarnation")?),
            file_bytes: r.u64("holder length")?,
        })
    }

    /// Bytes of one in a list.
    pub(crate) const BYTES: usize = 24;
}

/// Where a block is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// XXH3-128 of its bytes as they were captured.
    pub hash: u128,
    /// How it is stored.
    pub codec: Codec,
    /// In which file: 0 is the shard itself, then the holders.
    pub file: u8,
    /// From which byte of that on.
    pub at: u64,
    /// In how many bytes.
    pub bytes: u32,
    /// Their CRC-32C.
    pub crc: u32,
}

/// Bytes of the shard that belong together: header, table, a field, or what came late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where they begin in the shard.
    pub at: u64,
    /// How many there are, one at least.
    pub bytes: u64,
    /// What elements they are of.
    pub kind: Kind,
    /// How far elements may be from what was captured; `None` is not at all.
    pub bound: Option<Bound>,
    /// Their blocks, of [`BLOCK_BYTES`] each; the last may be shorter.
    pub blocks: Vec<Block>,
}

impl Segment {
    /// The first byte behind it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.at + self.bytes
    }

    /// Bytes of the block of this number.
    #[must_use]
    pub fn block_bytes(&self, block: usize) -> usize {
        let from = block as u64 * BLOCK_BYTES as u64;
        usize::try_from(self.bytes.saturating_sub(from)).map_or(BLOCK_BYTES, |b| b.min(BLOCK_BYTES))
    }
}

/// Where everything of a shard is stored. What is in no segment is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// Bytes of the shard that is packed.
    pub shard_bytes: u64,
    /// How many versions in a row refer to older ones; 0 if this one does not.
    pub generation: u32,
    /// The other files that blocks lie in, each of which has one at least.
    pub holders: Vec<Holder>,
    /// Its bytes, in order.
    pub segments: Vec<Segment>,
}

impl Map {
    /// The map as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.count(self.holders.len());
        for holder in &self.holders {
            holder.put(&mut w);
        }
        w.count(self.segments.len());
        for segment in &self.segments {
            w.u64(segment.at).u64(segment.bytes).u8(segment.kind.code());
            w.u64(segment.bound.map_or(0, |bound| bound.value().to_bits()));
            for block in &segment.blocks {
                w.raw(&block.hash.to_le_bytes()).u8(block.codec.code()).u8(block.file);
                w.u64(block.at).u32(block.bytes).u32(block.crc);
            }
        }
        w.into_bytes()
    }

    /// Reads the map of a file in which blocks may lie up to `end`.
    ///
    /// # Errors
    /// Anything that [`Map::encode`] does not write.
    pub fn decode(
        bytes: &[u8],
        (shard_bytes, generation): (u64, u32),
        end: u64,
    ) -> Result<Self, FormatError> {
        if bytes.len() as u64 > TABLE_BYTES_MAX {
            let (claimed, limit) = (bytes.len() as u64, TABLE_BYTES_MAX);
            return Err(DecodeError::TooLong { what: "map", claimed, limit, at: 0 }.into());
        }
        let mut r = Reader::new(bytes);
        let count = r.count(Holder::BYTES, HOLDERS_MAX, "number of holders")?;
        let holders = (0..count).map(|_| Holder::get(&mut r)).collect::<Result<Vec<_>, _>>()?;
        let count = r.count(25 + ENTRY_BYTES, SEGMENTS_MAX, "number of segments")?;
        let mut map = Self { shard_bytes, generation, holders, segments: Vec::new() };
        let mut least = 0;
        for _ in 0..count {
            let segment = get_segment(&mut r, least, shard_bytes)?;
            least = segment.end();
            map.segments.push(segment);
        }
        r.end("map")?;
        map.check(end)?;
        Ok(map)
    }

    /// Whether every block lies in its file, and every holder has one.
    fn check(&self, end: u64) -> Result<(), FormatError> {
        let layout = |what, found, expected| Err(FormatError::Layout { what, found, expected });
        let mut used = vec![false; self.holders.len() + 1];
        for segment in &self.segments {
            for (i, block) in segment.blocks.iter().enumerate() {
                let file = usize::from(block.file);
                let room = match file.checked_sub(1) {
                    None => end,
                    Some(holder) => match self.holders.get(holder) {
                        Some(holder) => holder.file_bytes,
                        None => {
                            return layout(
                                "file of a block",
                                file as u64,
                                self.holders.len() as u64,
                            );
                        }
                    },
                };
                used[file] = true;
                let block_end = block.at.checked_add(block.bytes.into());
                if block.at < PAGE_BYTES || block_end.is_none_or(|end| end > room) {
                    return layout("place of a block", block.at, room);
                }
                let (bytes, most) = (u64::from(block.bytes), segment.block_bytes(i) as u64);
                let fits = match block.codec {
                    Codec::Plain => bytes == most,
                    _ => bytes > 0 && bytes < most,
                };
                if !fits {
                    return layout("stored length of a block", bytes, most);
                }
                let rounds = block.codec == Codec::Rounded && segment.bound.is_none();
                if rounds || !block.codec.takes(segment.kind) {
                    return layout("codec of a block", block.codec.code().into(), 0);
                }
            }
        }
        match used.iter().skip(1).position(|used| !used) {
            Some(idle) => layout("blocks of a holder", 0, idle as u64 + 1),
            None if (self.generation == 0) != self.holders.is_empty() => {
                layout("generation", self.generation.into(), self.holders.len() as u64)
            }
            None => Ok(()),
        }
    }

    /// All blocks with the place of their segment, in order.
    pub fn blocks(&self) -> impl Iterator<Item = (&Segment, usize, &Block)> {
        let of = |segment| move |(i, block)| (segment, i, block);
        self.segments.iter().flat_map(move |s| s.blocks.iter().enumerate().map(of(s)))
    }
}

fn get_segment(r: &mut Reader<'_>, least: u64, most: u64) -> Result<Segment, FormatError> {
    let (at, bytes) = (r.u64("segment offset")?, r.u64("segment length")?);
    let end = at.checked_add(bytes).filter(|end| *end <= most);
    if at < least || bytes == 0 || end.is_none() {
        return Err(FormatError::Layout { what: "segment offset", found: at, expected: least });
    }
    let place = r.at();
    let code = r.u8("segment kind")?;
    let unknown = |what, value, at| DecodeError::Unknown { what, value, at };
    let kind = Kind::from_code(code).ok_or(unknown("segment kind", code.into(), place))?;
    let place = r.at();
    let bound = match r.u64("bound")? {
        0 => None,
        bits => {
            let bound = Bound::new(f64::from_bits(bits));
            Some(bound.ok_or(unknown("bound", bits, place))?)
        }
    };
    if bound.is_some() && !Codec::Rounded.takes(kind) {
        return Err(unknown("bound", code.into(), place).into());
    }
    let count = bytes.div_ceil(BLOCK_BYTES as u64);
    // The blocks have to be there before memory is taken for them.
    if count > (r.left() / ENTRY_BYTES) as u64 {
        return Err(DecodeError::Short { what: "blocks", at: r.at() }.into());
    }
    let blocks = (0..count).map(|_| get_block(r)).collect::<Result<_, DecodeError>>()?;
    Ok(Segment { at, bytes, kind, bound, blocks })
}

fn get_block(r: &mut Reader<'_>) -> Result<Block, DecodeError> {
    let mut hash = [0; 16];
    hash.copy_from_slice(r.raw(16, "hash of a block")?);
    let at = r.at();
    let code = r.u8("codec")?;
    let unknown = DecodeError::Unknown { what: "codec", value: code.into(), at };
    Ok(Block {
        hash: u128::from_le_bytes(hash),
        codec: Codec::from_code(code).ok_or(unknown)?,
        file: r.u8("file of a block")?,
        at: r.u64("place of a block")?,
        bytes: r.u32("stored length of a block")?,
        crc: r.u32("stored checksum of a block")?,
    })
}
