//! A manifest as bytes and back; `docs/formats/manifest.md` is the table behind it.
//!
//! Invariant: the checksum at the end is judged before any length is believed.

use mainstay_types::limits::{NAME_BYTES_MAX, RANKS_MAX, TEXT_BYTES_MAX};
use mainstay_types::wire::{EARLY_MAX, Early};
use mainstay_types::{
    DecodeError, Epoch, Incarnation, JobId, Rank, Reader, Step, Version, Writer, crc32c,
};

use super::error::FormatError;
use super::manifest::{Identity, InputEntry, Manifest, Program, RankEntry};
use super::nodes::NodeLayout;
use super::{FORMAT, MANIFEST_BYTES_MAX};
use crate::pack::map::Holder;
use crate::pack::{HOLDERS_MAX, PACKED_FORMAT, Packing};

/// The first eight bytes of a manifest.
pub(crate) const MAGIC: &[u8; 8] = b"MSMANIF1";
const ARGS_MAX: usize = 65_536;
const ARG_BYTES_MAX: usize = 131_072;
const INPUTS_MAX: usize = 1024;

impl Manifest {
    /// The manifest as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        // What is neither packed nor in nodes is written as it always was, and read by whoever reads
        // format 1.
        let packed = self.ranks.iter().any(|rank| rank.packing.is_some());
        let newer = packed || self.nodes.is_some();
        w.raw(MAGIC).u32(if newer { PACKED_FORMAT } else { FORMAT });
        self.identity.put(&mut w);
        w.u32(self.epoch.0).u64(self.version.0).u64(self.step.0);
        w.option(self.parent, |w, parent| {
            w.u64(parent.0);
        });
        w.count(self.ranks.len());
        for rank in &self.ranks {
            rank.put(&mut w);
            if newer {
                w.option(rank.packing.as_ref(), put_packing);
            }
        }
        if newer {
            w.option(self.nodes.as_ref(), |w, nodes| nodes.put(w));
        }
        w.u32(crc32c(w.as_slice()));
        w.into_bytes()
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// A wrong checksum, and anything that [`Manifest::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let body = checked_body(bytes)?;
        let mut r = Reader::new(body);
        let unknown = |what, value, at| DecodeError::Unknown { what, value, at };
        if r.raw(8, "manifest magic")? != MAGIC {
            return Err(unknown("manifest magic", 0, 0).into());
        }
        let format = r.u32("manifest format")?;
        if !matches!(format, FORMAT | PACKED_FORMAT) {
            return Err(unknown("manifest format", format.into(), 8).into());
        }
        let identity = Identity::get(&mut r)?;
        let epoch = Epoch(not_last(r.u32("epoch")?, u32::MAX, "epoch")?);
        let version = Version(not_last(r.u64("version")?, u64::MAX, "version")?);
        let step = Step(r.u64("step")?);
        let parent = r.option("parent", |r| Ok(Version(r.u64("parent")?)))?;
        let n = r.count(52, RANKS_MAX as usize, "number of ranks")?;
        if n == 0 {
            return Err(unknown("number of ranks", 0, r.at() - 4).into());
        }
        let newer = format == PACKED_FORMAT;
        let ranks = (0..n).map(|_| {
            let entry = RankEntry::get(&mut r, n)?;
            let packing = if newer { get_packing(&mut r, version)? } else { None };
            Ok(RankEntry { packing, ..entry })
        });
        let ranks = ranks.collect::<Result<Vec<_>, FormatError>>()?;
        let nodes = if newer { r.option("nodes", |r| NodeLayout::get(r, n))? } else { None };
        r.end("manifest")?;
        if newer && nodes.is_none() && ranks.iter().all(|rank| rank.packing.is_none()) {
            // One spelling: without a packed shard and nodes it is of format 1.
            return Err(unknown("manifest format", format.into(), 8).into());
        }
        Ok(Self { identity, epoch, version, step, parent, ranks, nodes })
    }
}

fn checked_body(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let what = "manifest";
    if bytes.len() > MANIFEST_BYTES_MAX {
        let (claimed, limit) = (bytes.len() as u64, MANIFEST_BYTES_MAX as u64);
        let at = 0;
        return Err(DecodeError::TooLong { what, claimed, limit, at });
    }
    let at = bytes.len();
    let end = at.checked_sub(4).ok_or(DecodeError::Short { what, at })?;
    let (body, crc) = bytes.split_at(end);
    let stored = Reader::new(crc).u32(what)?;
    let found = crc32c(body);
    if found != stored {
        return Err(DecodeError::Checksum { what, found, stored });
    }
    Ok(body)
}

impl Identity {
    fn put(&self, w: &mut Writer) {
        w.raw(&self.job.0).u32(self.launch);
        w.text(&self.program.path).raw(&self.program.sha256).u64(self.seed);
        w.count(self.args.len());
        for arg in &self.args {
            w.bytes(arg);
        }
        w.count(self.inputs.len());
        for input in &self.inputs {
            w.text(&input.name).u64(input.bytes).u32(input.crc);
            w.raw(&input.sha256);
        }
    }

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let job = JobId(array(r, "job")?);
        let launch = r.u32("launch")?;
        let program = Program {
            path: r.text(TEXT_BYTES_MAX, "program path")?,
            sha256: array(r, "program digest")?,
        };
        let seed = r.u64("seed")?;
        let count = r.count(4, ARGS_MAX, "number of arguments")?;
        let args = (0..count)
            .map(|_| Ok(r.bytes(ARG_BYTES_MAX, "argument")?.to_vec()))
            .collect::<Result<_, DecodeError>>()?;
        let count = r.count(48, INPUTS_MAX, "number of inputs")?;
        let inputs = (0..count)
            .map(|_| {
                Ok(InputEntry {
                    name: r.text(NAME_BYTES_MAX, "input name")?,
                    bytes: r.u64("input length")?,
                    crc: r.u32("input checksum")?,
                    sha256: array(r, "input digest")?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        Ok(Self { job, launch, program, seed, args, inputs })
    }
}

impl RankEntry {
    fn put(&self, w: &mut Writer) {
        w.u32(self.incarnation.0).u32(self.file_epoch.0);
        w.u64(self.image_bytes).u32(self.table_crc);
        w.u64(self.late_at());
        w.u64(self.late_bytes).u32(self.late_crc);
        put_counters(w, &self.sent);
        put_counters(w, &self.delivered);
        w.count(self.early.len());
        for early in &self.early {
            w.u32(early.peer.0).u64(early.sequence).u32(early.hash);
        }
    }

    fn get(r: &mut Reader<'_>, n: usize) -> Result<Self, FormatError> {
        let incarnation = not_last(r.u32("incarnation")?, u32::MAX, "incarnation")?;
        let file_epoch = not_last(r.u32("epoch of the shard")?, u32::MAX, "epoch of the shard")?;
        let (image_bytes, table_crc) = (r.u64("image length")?, r.u32("table checksum")?);
        let late_at = r.u64("late offset")?;
        let (late_bytes, late_crc) = (r.u64("late length")?, r.u32("late checksum")?);
        let entry = Self {
            incarnation: Incarnation(incarnation),
            file_epoch: Epoch(file_epoch),
            image_bytes,
            table_crc,
            late_bytes,
            late_crc,
            sent: get_counters(r, n)?,
            delivered: get_counters(r, n)?,
            early: get_early(r, n)?,
            packing: None,
        };
        let same = |what, found, expected| {
            let layout = FormatError::Layout { what, found, expected };
            (found == expected).then_some(()).ok_or(layout)
        };
        same("late offset", late_at, entry.late_at())?;
        if late_bytes == 0 {
            same("late checksum", late_crc.into(), 0)?;
        }
        Ok(entry)
    }
}

fn put_packing(w: &mut Writer, packing: &Packing) {
    w.u64(packing.file_bytes).u32(packing.table_crc).count(packing.holders.len());
    for holder in &packing.holders {
        holder.put(w);
    }
}

fn get_packing(r: &mut Reader<'_>, version: Version) -> Result<Option<Packing>, FormatError> {
    let packing = r.option("packing", |r| {
        let (file_bytes, table_crc) = (r.u64("length of the file")?, r.u32("table checksum")?);
        let count = r.count(Holder::BYTES, HOLDERS_MAX, "number of holders")?;
        let holders = (0..count).map(|_| Holder::get(r)).collect::<Result<_, _>>()?;
        Ok(Packing { file_bytes, table_crc, holders })
    })?;
    let holders = packing.iter().flat_map(|packing| &packing.holders);
    match holders.into_iter().find(|holder| holder.version >= version) {
        None => Ok(packing),
        Some(newer) => {
            let (found, expected) = (newer.version.0, version.0);
            Err(FormatError::Layout { what: "holder version", found, expected })
        }
    }
}

/// Versions, epochs and incarnations are followed by others.
fn not_last<T: Copy + Eq + Into<u64>>(
    number: T,
    last: T,
    what: &'static str,
) -> Result<T, FormatError> {
    let (found, expected) = (number.into(), last.into() - 1);
    let layout = FormatError::Layout { what, found, expected };
    (number != last).then_some(number).ok_or(layout)
}

fn put_counters(w: &mut Writer, counts: &[u64]) {
    w.count(counts.iter().filter(|count| **count > 0).count());
    for (rank, count) in (0_u32..).zip(counts) {
        if *count > 0 {
            w.u32(rank).u64(*count);
        }
    }
}

fn get_counters(r: &mut Reader<'_>, n: usize) -> Result<Vec<u64>, DecodeError> {
    let mut counts = vec![0; n];
    let mut least = 0;
    for _ in 0..r.count(12, n, "number of counters")? {
        let at = r.at();
        let (rank, count) = (r.u32("counter rank")?, r.u64("counter")?);
        // One spelling: ranks ascend, and what is zero is left out.
        if rank < least || rank as usize >= n || count == 0 {
            let value = rank.into();
            let what = "counter rank";
            return Err(DecodeError::Unknown { what, value, at });
        }
        counts[rank as usize] = count;
        least = rank + 1;
    }
    Ok(counts)
}

fn get_early(r: &mut Reader<'_>, n: usize) -> Result<Vec<Early>, DecodeError> {
    let count = r.count(16, EARLY_MAX, "number of early messages")?;
    let mut early = Vec::with_capacity(count);
    for _ in 0..count {
        let at = r.at();
        let peer = r.u32("early source")?;
        if peer as usize >= n {
            let (what, value) = ("early source", peer.into());
            return Err(DecodeError::Unknown { what, value, at });
        }
        early.push(Early {
            peer: Rank(peer),
            sequence: r.u64("early number")?,
            hash: r.u32("early hash")?,
        });
    }
    Ok(early)
}

fn array<const N: usize>(r: &mut Reader<'_>, what: &'static str) -> Result<[u8; N], DecodeError> {
    let mut array = [0; N];
    array.copy_from_slice(r.raw(N, what)?);
    Ok(array)
}
