//! A rank's shard in stored blocks, while it is written.
//!
//! Invariants: each chunk is checked against the CRC taken from live memory before it is packed; a
//! version refers only to one that the supervisor vouches for and whose maps are at hand, otherwise it
//! is stored whole. Deliberately absent: the blocks themselves, and which codec pays, which
//! `ckpt::pack` has.

use std::collections::BTreeMap;
use std::io::{self, Write};

use mainstay_ckpt::format::memory::ReadAt;
use mainstay_ckpt::pack::tail::{Front, read_map};
use mainstay_ckpt::pack::{Base, Choosing, Codec, Coder, Holder, Map, Packer, Sample, choose};
use mainstay_ckpt::{
    BLOCK_BYTES, FieldEntry, HEADER_BYTES, Image, Kind, Manifest, Packing, RankEntry, Residency,
    manifest_name,
};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Rank, Version, crc32c};

use super::stored::checked;
use crate::directory::{Directory, Spent};
use crate::rank::Shard;
use crate::sys;

/// Blocks of a field that codecs are tried on.
const SAMPLES: u64 = 8;
/// Versions for which a choice holds.
const CHOICE_HOLDS: u32 = 16;

/// How versions are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storing {
    /// How fields are made smaller.
    pub compress: Choosing,
    /// Of so many versions in a row, one is stored whole; the others refer to it for what has not
    /// changed. 1: each is.
    pub full_every: u32,
}

impl Default for Storing {
    /// Each as it is.
    fn default() -> Self {
        Self { compress: Choosing::Plain, full_every: 1 }
    }
}

/// The version that the next one may refer to.
#[derive(Debug)]
pub(super) struct Lineage {
    pub(super) version: Version,
    /// Each rank's map and file, by rank.
    pub(super) ranks: Vec<(Map, Holder)>,
}

impl Lineage {
    /// That of a version of an earlier launch; `None` if its maps cannot be had.
    pub(super) fn load(directory: &Directory, version: Version) -> Option<Self> {
        let limit = mainstay_ckpt::format::MANIFEST_BYTES_MAX as u64;
        let manifest = directory.read(&manifest_name(version), limit).ok()?;
        let manifest = Manifest::decode(&manifest).ok()?;
        let map = |(name, entry): (String, &RankEntry)| {
            let file = directory.open_file(&name).ok()?;
            let (_, map) = read_map(&Shard::new(file.into()).ok()?).ok()?;
            Some((map, holder(version, entry)?))
        };
        let ranks: Option<Vec<_>> = manifest.shard_names().zip(&manifest.ranks).map(map).collect();
        Some(Self { version, ranks: ranks? })
    }

    /// How many versions in a row have referred to older ones.
    pub(super) fn generation(&self) -> u32 {
        self.ranks.iter().map(|(map, _)| map.generation).max().unwrap_or(0)
    }

    pub(super) fn base(&self, rank: usize) -> Option<Base<'_>> {
        self.ranks.get(rank).map(|(map, file)| Base { map, file: *file })
    }
}

/// The file of a rank's packed shard.
pub(super) fn holder(version: Version, entry: &RankEntry) -> Option<Holder> {
    let (epoch, incarnation) = (entry.file_epoch, entry.incarnation);
    let file_bytes = entry.packing.as_ref()?.file_bytes;
    Some(Holder { version, epoch, incarnation, file_bytes })
}

/// Which codec each field is stored by, as long as that holds.
#[derive(Debug, Default)]
pub(super) struct Codecs {
    chosen: BTreeMap<String, (Codec, Version)>,
}

impl Codecs {
    /// Those of the fields of an image, in order.
    pub(super) fn of(
        &mut self,
        memory: &dyn ReadAt,
        image: &Image,
        choosing: Choosing,
        target: Spent,
    ) -> io::Result<Vec<Codec>> {
        let version = image.header.version;
        let fields = image.table.fields.iter();
        let codec = |field: &FieldEntry| match choosing {
            Choosing::Plain => Ok(Codec::Plain),
            Choosing::Always(codec) if codec.takes(field.spec.kind) => Ok(codec),
            Choosing::Always(_) => Ok(Codec::Plain),
            Choosing::Auto if field.spec.bytes().unwrap_or(0) < BLOCK_BYTES as u64 => {
                Ok(Codec::Plain)
            }
            Choosing::Auto => {
                let name = field.spec.full_name();
                if let Some((codec, since)) = self.chosen.get(&name)
                    && version.0 < since.0 + u64::from(CHOICE_HOLDS)
                {
                    return Ok(*codec);
                }
                let samples = samples(memory, field)?;
                let codec = choose(&samples, (target.bytes, target.took));
                // Without a measured target nothing was chosen yet.
                if target.bytes > 0 {
                    self.chosen.insert(name, (codec, version));
                }
                Ok(codec)
            }
        };
        fields.map(codec).collect()
    }
}

/// How codecs do on some blocks of a field.
fn samples(memory: &dyn ReadAt, field: &FieldEntry) -> io::Result<Vec<Sample>> {
    let blocks = field.spec.bytes().unwrap_or(0) / BLOCK_BYTES as u64;
    let count = blocks.min(SAMPLES);
    let mut bytes = vec![0; BLOCK_BYTES * count as usize];
    for (i, block) in (0..count).zip(bytes.chunks_exact_mut(BLOCK_BYTES)) {
        let at = field.at + i * blocks / count * BLOCK_BYTES as u64;
        memory.read_at(at, block, Residency::Cached).map_err(io::Error::other)?;
    }
    let (mut coder, mut out) = (Coder::new(), Vec::new());
    let codecs = [Codec::Lz4, Codec::Zstd, Codec::Pco];
    let tried = codecs.into_iter().filter(|codec| codec.takes(field.spec.kind)).map(|codec| {
        let (mut made, since) = (0, sys::thread_cpu());
        for block in bytes.chunks_exact(BLOCK_BYTES) {
            out.clear();
            let smaller = coder.encode(codec, field.spec.kind, block, &mut out);
            made += if smaller { out.len() } else { block.len() } as u64;
        }
        let took = sys::thread_cpu().saturating_sub(since);
        Sample { codec, given: bytes.len() as u64, made, took }
    });
    Ok(tried.collect())
}

/// Whether the shard of an image is to be packed at all.
pub(super) fn is_packed(storing: Storing, codecs: &[Codec], image: &Image) -> bool {
    let smaller = codecs.iter().any(|codec| *codec != Codec::Plain);
    let rounded = image.table.fields.iter().any(|field| field.spec.bound.is_some());
    storing.full_every > 1 || smaller || rounded
}

/// What is packed.
pub(super) struct Task<'a> {
    pub(super) memory: &'a dyn ReadAt,
    pub(super) image: &'a Image,
    pub(super) entry: &'a RankEntry,
    pub(super) late: Option<&'a [u8]>,
    pub(super) codecs: &'a [Codec],
    pub(super) base: Option<Base<'a>>,
}

impl Task<'_> {
    /// Writes the shard; `go_on` fails once nobody wants it any more.
    pub(super) fn write(
        &self,
        file: &mut impl Write,
        go_on: &dyn Fn() -> io::Result<()>,
    ) -> io::Result<(Packing, Map)> {
        let header = &self.image.header;
        let front = Front {
            rank: header.rank,
            n: header.n,
            version: header.version,
            epoch: header.epoch,
            incarnation: header.incarnation,
        };
        let mut out = Vec::with_capacity(2 * CRC_CHUNK_BYTES);
        let shard_bytes = self.entry.shard_bytes();
        let mut packer = Packer::new(&front, shard_bytes, self.base, &mut out);
        let mut table = self.image.table.clone();
        let mut chunk = vec![0; CRC_CHUNK_BYTES];
        for (i, field) in self.image.table.fields.iter().enumerate() {
            let bytes = field.spec.bytes().unwrap_or(0);
            packer.segment(field.at, bytes, field.spec.kind, field.spec.bound);
            for (number, crc) in field.crcs.iter().enumerate() {
                go_on()?;
                let part = checked(self.memory, field, (number, *crc), &mut chunk)?;
                let mut rounded = false;
                for block in part.chunks_mut(BLOCK_BYTES) {
                    if let Some(decoded) = packer.block(block, self.codecs[i], &mut out) {
                        block.copy_from_slice(decoded);
                        rounded = true;
                    }
                }
                if rounded {
                    // What a reader will get, and so what it has to be checked against.
                    table.fields[i].crcs[number] = crc32c(part);
                }
                file.write_all(&out)?;
                out.clear();
            }
        }
        let encoded = table.encode();
        self.segment(&mut packer, header.table_at, &encoded, &mut out);
        if let Some(late) = self.late {
            self.segment(&mut packer, self.entry.late_at(), late, &mut out);
        }
        let table_crc = crc32c(&encoded);
        let header = mainstay_ckpt::Header { table_crc, ..*header }.encode();
        debug_assert_eq!(header.len(), HEADER_BYTES);
        self.segment(&mut packer, 0, &header, &mut out);
        let packed = packer.finish(table_crc, &mut out);
        file.write_all(&out)?;
        Ok(packed)
    }

    /// Bytes that are no field. They are small and change each time.
    fn segment(&self, packer: &mut Packer<'_>, at: u64, bytes: &[u8], out: &mut Vec<u8>) {
        packer.segment(at, bytes.len() as u64, Kind::Opaque, None);
        for block in bytes.chunks(BLOCK_BYTES) {
            let _as_it_was = packer.block(block, Codec::Plain, out);
        }
    }
}

/// Takes note of how the shards of a version are packed; gives what the next one may refer to.
pub(super) fn lineage(manifest: &Manifest, maps: Vec<Option<Map>>) -> Option<Lineage> {
    let version = manifest.version;
    let rank = |(map, rank): (Option<Map>, Rank)| {
        Some((map?, holder(version, &manifest.ranks[rank.index()])?))
    };
    let ranks = maps.into_iter().zip(Rank::all(manifest.n())).map(rank);
    Some(Lineage { version, ranks: ranks.collect::<Option<_>>()? })
}
