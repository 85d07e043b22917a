//! Packing a shard, block by block.
//!
//! Invariants: a block refers to the base only if as many bytes with the same 128-bit hash lie at the
//! same place there, captured with the same bound; a reference is resolved as it is written, so it
//! names the file that has the bytes. Deliberately absent: files; stored bytes are appended to memory
//! that the caller empties into one.

use mainstay_types::crc32c;
use xxhash_rust::xxh3::xxh3_128;

use super::codec::{Codec, Coder};
use super::lossy::Bound;
use super::map::{Block, Holder, Map, Segment};
use super::tail::{Front, TAIL_BYTES, Tail};
use super::{BLOCK_BYTES, HOLDERS_MAX};
use crate::format::PAGE_BYTES;
use crate::format::kind::Kind;

/// The shard of the same rank that may be referred to, and the file that it is.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Its map.
    pub map: &'a Map,
    /// Its file.
    pub file: Holder,
}

/// What a manifest says of a packed shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// CRC-32C of the image's table as it decodes: that of the capture, unless a field was rounded.
    pub table_crc: u32,
    /// The other files that it refers to.
    pub holders: Vec<Holder>,
}

/// A shard that is being packed.
#[derive(Debug)]
pub struct Packer<'a> {
    base: Option<Base<'a>>,
    map: Map,
    /// Where the next stored byte goes.
    at: u64,
    coder: Coder,
    /// The segment whose blocks are added.
    segment: usize,
    /// What the last block decodes to, if that is not what it was.
    rounded: Vec<u8>,
    /// What was made of a block and is not stored again.
    aside: Vec<u8>,
}

impl<'a> Packer<'a> {
    /// Begins a shard of so many bytes; appends the first bytes of its file to `out`.
    #[must_use]
    pub fn new(front: &Front, shard_bytes: u64, base: Option<Base<'a>>, out: &mut Vec<u8>) -> Self {
        let end = out.len() + PAGE_BYTES as usize;
        out.extend_from_slice(&front.encode());
        out.resize(end, 0);
        let map = Map { shard_bytes, ..Map::default() };
        let (rounded, aside) = (Vec::new(), Vec::new());
        Self { base, map, at: PAGE_BYTES, coder: Coder::new(), segment: 0, rounded, aside }
    }

    /// Begins a segment, in any order: the next blocks are its bytes. One without bytes is none.
    pub fn segment(&mut self, at: u64, bytes: u64, kind: Kind, bound: Option<Bound>) {
        if bytes > 0 {
            let blocks = Vec::with_capacity(bytes.div_ceil(BLOCK_BYTES as u64) as usize);
            self.segment = self.map.segments.partition_point(|segment| segment.at < at);
            self.map.segments.insert(self.segment, Segment { at, bytes, kind, bound, blocks });
        }
    }

    /// Adds the next block of the segment; appends what is stored of it to `out`, if anything. Gives
    /// what it decodes to, if the segment's bound let that be something else.
    ///
    /// # Panics
    /// Without a segment.
    pub fn block(&mut self, bytes: &[u8], codec: Codec, out: &mut Vec<u8>) -> Option<&[u8]> {
        let segment = &self.map.segments[self.segment];
        let (kind, bound) = (segment.kind, segment.bound);
        let hash = xxh3_128(bytes);
        if let Some(block) = self.known(hash, bytes.len()) {
            self.push(block);
            let bound = bound.filter(|_| block.codec == Codec::Rounded)?;
            // Rounded again, as the caller has to know what a reader will get; it is the same.
            self.aside.clear();
            let into = (&mut self.aside, &mut self.rounded);
            return self.coder.round(kind, bound, bytes, into).then_some(&self.rounded[..]);
        }
        let start = out.len();
        let mut used = Codec::Plain;
        if let Some(bound) = bound
            && self.coder.round(kind, bound, bytes, (out, &mut self.rounded))
        {
            used = Codec::Rounded;
        } else if codec.takes(kind) && self.coder.encode(codec, kind, bytes, out) {
            used = codec;
        } else {
            out.extend_from_slice(bytes);
        }
        let stored = &out[start..];
        let (at, crc) = (self.at, crc32c(stored));
        let length = u32::try_from(stored.len()).expect("a block is short");
        self.at += u64::from(length);
        self.push(Block { hash, codec: used, file: 0, at, bytes: length, crc });
        (used == Codec::Rounded).then_some(&self.rounded[..])
    }

    fn push(&mut self, block: Block) {
        self.map.segments[self.segment].blocks.push(block);
    }

    /// The block of the base at the place of the next one, as this shard refers to it, if it is equal.
    fn known(&mut self, hash: u128, bytes: usize) -> Option<Block> {
        let base = self.base?;
        let segment = &self.map.segments[self.segment];
        let next = segment.blocks.len();
        let i = base.map.segments.binary_search_by_key(&segment.at, |s| s.at).ok()?;
        let theirs = &base.map.segments[i];
        let same = (theirs.kind, theirs.bound) == (segment.kind, segment.bound);
        let block = theirs.blocks.get(next).filter(|_| same)?;
        if block.hash != hash || theirs.block_bytes(next) != bytes {
            return None;
        }
        let holder = match usize::from(block.file).checked_sub(1) {
            None => base.file,
            Some(holder) => *base.map.holders.get(holder)?,
        };
        let file = self.file_of(holder)?;
        Some(Block { file, ..*block })
    }

    /// The number by which blocks name this holder; `None` if there are too many.
    fn file_of(&mut self, holder: Holder) -> Option<u8> {
        let holders = &mut self.map.holders;
        let place = holders.iter().position(|known| *known == holder);
        let place = place.or_else(|| {
            (holders.len() < HOLDERS_MAX).then(|| {
                holders.push(holder);
                holders.len() - 1
            })
        })?;
        u8::try_from(place + 1).ok()
    }

    /// How many bytes of blocks are stored in this file so far.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.at - PAGE_BYTES
    }

    /// Ends the shard: appends map and tail to `out`. `table_crc` is that of the table as it decodes.
    ///
    /// # Panics
    /// When its map has more bytes than a table may, which fields of an image exclude.
    #[must_use]
    pub fn finish(mut self, table_crc: u32, out: &mut Vec<u8>) -> (Packing, Map) {
        if !self.map.holders.is_empty() {
            let before = self.base.map_or(0, |base| base.map.generation);
            self.map.generation = before.saturating_add(1);
        }
        let bytes = self.map.encode();
        let tail = Tail {
            map_at: self.at,
            map_bytes: u32::try_from(bytes.len()).expect("a map is shorter than its table"),
            map_crc: crc32c(&bytes),
            shard_bytes: self.map.shard_bytes,
            generation: self.map.generation,
        };
        out.extend_from_slice(&bytes);
        out.extend_from_slice(&tail.encode());
        let file_bytes = self.at + (bytes.len() + TAIL_BYTES) as u64;
        let holders = self.map.holders.clone();
        (Packing { file_bytes, table_crc, holders }, self.map)
    }
}
