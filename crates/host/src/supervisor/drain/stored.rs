//! A rank's part of a version, plain or packed.
//!
//! Invariant: no byte is written that was not checked against the CRC taken from live memory.
//! Deliberately absent: the order of files, which `ckpt::commit` decides.

use std::fs::File;
use std::io::{self, Write};

use mainstay_ckpt::format::memory::ReadAt;
use mainstay_ckpt::pack::{Base, Map};
use mainstay_ckpt::{FieldEntry, Image, Manifest, PartFile, RankEntry, Residency};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Node, Version, crc32c_append};

use super::pack::{self, Lineage};
use super::{Worker, WriteTask, zeros};
use crate::directory::{Direct, Spent, Staging};
use crate::guard::Sources;

/// A version while it is written.
pub(super) struct Writing<'a> {
    pub(super) task: &'a WriteTask,
    /// With what is known of shards that are written.
    pub(super) manifest: Manifest,
    pub(super) maps: Vec<Option<Map>>,
    /// What writing and syncing took.
    pub(super) spent: Spent,
}

impl Worker {
    /// Makes sure that what is known of the version that may be referred to is what is meant.
    pub(super) fn find_base(&mut self, base: Option<Version>) {
        let wanted = base.filter(|_| self.storing.full_every > 1);
        if self.lineage.as_ref().map(|lineage| lineage.version) != wanted {
            // One of an earlier launch, or none that is sound.
            self.lineage = wanted.and_then(|version| Lineage::load(&self.directory, version));
        }
    }

    /// The shard that a rank's may refer to, unless it is time for a whole version.
    fn base(&self, rank: usize) -> Option<Base<'_>> {
        let lineage = self.lineage.as_ref();
        let fits =
            |lineage: &&Lineage| lineage.generation().saturating_add(1) < self.storing.full_every;
        lineage.filter(fits)?.base(rank)
    }

    /// Writes a rank's image and its late messages as they are.
    pub(super) fn plain(
        &self,
        task: &WriteTask,
        i: usize,
        file: &mut impl Write,
    ) -> io::Result<()> {
        let missing = || io::Error::other("it has no arena");
        let part = task.parts.get(i).ok_or_else(missing)?;
        let entry = task.manifest.ranks.get(i).ok_or_else(missing)?;
        let memory = part.image()?;
        let image = opened(&*memory, entry)?;
        self.image(&*memory, &image, file)?;
        plain_late(part.late(entry)?.as_deref(), entry, file)
    }

    /// Writes the file with this number.
    pub(super) fn fill(
        &mut self,
        writing: &mut Writing<'_>,
        number: usize,
        file: &mut File,
        staging: &mut Option<Staging>,
    ) -> io::Result<()> {
        let staging = match staging {
            Some(staging) => staging,
            none => none.insert(Staging::new()?),
        };
        match writing.manifest.part(number) {
            PartFile::Shard(rank) => self.part(writing, rank, Direct::new(file, staging)),
            PartFile::Guard(node) => self.guard(writing, node, Direct::new(file, staging)),
            PartFile::Copy => file.write_all(&writing.manifest.encode()),
        }
    }

    /// Writes what a node holds for others, from the shards that were written before it.
    fn guard(&self, writing: &mut Writing<'_>, node: Node, mut file: Direct<'_>) -> io::Result<()> {
        let ring = writing.manifest.nodes.as_ref().map(|nodes| nodes.ring);
        let ring = ring.ok_or_else(|| io::Error::other("there are no nodes"))?;
        let fetch = ring.guard(node, &writing.manifest.node_lengths());
        let mut crc = 0;
        Sources::new(self.directory.path(), &writing.manifest).carry_out(fetch, &mut |bytes| {
            self.go_on()?;
            crc = crc32c_append(crc, bytes);
            file.write_all(bytes)
        })?;
        writing.spent.add(file.finish()?);
        if let Some(layout) = &mut writing.manifest.nodes {
            layout.guard_crcs[node.index()] = crc;
        }
        Ok(())
    }

    /// Writes a rank's image and its late messages.
    fn part(
        &mut self,
        writing: &mut Writing<'_>,
        i: usize,
        mut file: Direct<'_>,
    ) -> io::Result<()> {
        let missing = || io::Error::other("it has no arena");
        let part = writing.task.parts.get(i).ok_or_else(missing)?;
        let entry = writing.manifest.ranks.get_mut(i).ok_or_else(missing)?;
        let late = part.late(entry)?;
        let late = late.as_deref();
        let memory = part.image()?;
        let memory = &*memory;
        let image = opened(memory, entry)?;
        let codecs = self.codecs.of(memory, &image, self.storing.compress, self.target)?;
        if pack::is_packed(self.storing, &codecs, &image) {
            let (image, codecs, base) = (&image, &codecs[..], self.base(i));
            let task = pack::Task { memory, image, entry, late, codecs, base };
            let (packing, map) = task.write(&mut file, &|| self.go_on())?;
            entry.packing = Some(packing);
            writing.maps.push(Some(map));
        } else {
            self.image(memory, &image, &mut file)?;
            plain_late(late, entry, &mut file)?;
            writing.maps.push(None);
        }
        writing.spent.add(file.finish()?);
        Ok(())
    }
}

/// The image that was captured, if the memory holds it.
fn opened(memory: &dyn ReadAt, entry: &RankEntry) -> io::Result<Image> {
    let image = Image::open(memory).map_err(io::Error::other)?;
    match image.header.table_crc == entry.table_crc {
        true => Ok(image),
        false => Err(io::Error::other("the arena holds another image than was captured")),
    }
}

/// Writes late messages behind a plain image.
fn plain_late(late: Option<&[u8]>, entry: &RankEntry, file: &mut impl Write) -> io::Result<()> {
    let Some(late) = late else { return Ok(()) };
    zeros(file, entry.image_bytes, entry.late_at())?;
    file.write_all(late)
}

/// Reads a chunk of a field and checks it against the CRC taken from live memory.
pub(super) fn checked<'a>(
    memory: &dyn ReadAt,
    field: &FieldEntry,
    (chunk, stored): (usize, u32),
    buffer: &'a mut [u8],
) -> io::Result<&'a mut [u8]> {
    let from = chunk as u64 * CRC_CHUNK_BYTES as u64;
    let left = field.spec.bytes().unwrap_or(0).saturating_sub(from);
    let len = usize::try_from(left).map_or(CRC_CHUNK_BYTES, |left| left.min(CRC_CHUNK_BYTES));
    let part = &mut buffer[..len];
    let found = memory.read_at(field.at + from, part, Residency::Cached);
    if found.map_err(io::Error::other)? != stored {
        let name = field.spec.full_name();
        return Err(io::Error::other(format!(
            "chunk {chunk} of {name} changed in the arena after its capture"
        )));
    }
    Ok(part)
}
