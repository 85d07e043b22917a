//! One field of a version as a file of its own.
//!
//! Invariants: every byte was checked with its chunk as it was read; the file appears whole, under
//! its name, or not at all; without being told to, no file is replaced. Deliberately absent:
//! conversion; elements are given as they lie in memory.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mainstay_ckpt::catalogue::Whole;
use mainstay_ckpt::format::kind::Kind;
use mainstay_ckpt::npy;
use mainstay_types::Rank;
use mainstay_types::limits::CRC_CHUNK_BYTES;

use super::{ArchiveError, Fields};
use crate::publish::{self, Draft};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The field, by state and name.
    pub field: &'a str,
    /// One rank's part; otherwise those of all, put together.
    pub rank: Option<Rank>,
    /// Whether the bytes come without a header.
    pub raw: bool,
    /// Whether a file may be replaced.
    pub force: bool,
    /// Where they go.
    pub file: &'a Path,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// State and name of the field.
    pub field: String,
    /// What its elements are.
    pub kind: Kind,
    /// Bytes of one.
    pub element_bytes: u32,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Whoever is told of bytes that were read, and may end it.
pub(super) type Tell<'a> = dyn FnMut(u64) -> ControlFlow<i32> + 'a;

/// A field's part that is copied: from where to where.
struct Copying<'a> {
    source: (Rank, usize),
    /// Bytes of an element.
    element_bytes: u64,
    /// How many there are.
    count: u64,
    /// Where elements of the whole begin in the file.
    data_at: u64,
    whole: Option<&'a Whole>,
}

/// Writes a field into a file.
///
/// # Errors
/// Whatever is wrong with the version, the request, or the place of the file.
pub fn extract(
    fields: &mut Fields,
    request: &Request<'_>,
    tell: &mut Tell<'_>,
) -> Result<Extracted, ArchiveError> {
    let path = || request.file.to_owned();
    let output = |source| ArchiveError::Output { path: path(), source };
    if !request.force && std::fs::symlink_metadata(request.file).is_ok() {
        return Err(ArchiveError::Exists { path: path() });
    }
    publish::check(request.file).map_err(output)?;
    let ranks: Vec<Rank> = match request.rank {
        Some(rank) => vec![rank],
        None => fields.parts(request.field)?.into_iter().map(|(rank, _)| rank).collect(),
    };
    let first = ranks.first().copied().unwrap_or(Rank(0));
    let (_, spec) = fields.part(first, request.field)?;
    let (field, kind, element_bytes) = (spec.full_name(), spec.kind, spec.element_bytes);
    // Alone, a rank's part has the shape of its block where all of them make a grid.
    let whole = match fields.whole(&field) {
        Ok(Ok(whole)) => Some(whole),
        Ok(Err(why)) if ranks.len() > 1 => {
            return Err(ArchiveError::Apart { field, why, last: fields.last() });
        }
        Err(error) if ranks.len() > 1 => return Err(error),
        Ok(Err(_)) | Err(_) => None,
    };
    let shape = match (&whole, ranks.as_slice()) {
        (Some(whole), [rank]) if request.rank.is_some() => {
            let block = whole.blocks().iter().find(|block| block.rank == *rank);
            block.map_or_else(|| vec![spec_count(fields, *rank, &field)], |b| b.extent.clone())
        }
        (Some(whole), _) => whole.shape.clone(),
        (None, _) => vec![spec_count(fields, first, &field)],
    };
    let header = if request.raw { Vec::new() } else { npy::header(kind, element_bytes, &shape) };
    let mut draft = publish::draft(request.file).map_err(output)?;
    draft.write_all(&header).map_err(output)?;
    let mut bytes = header.len() as u64;
    for rank in &ranks {
        let (place, spec) = fields.part(*rank, &field)?;
        let copying = Copying {
            source: (*rank, place),
            element_bytes: element_bytes.into(),
            count: spec.count,
            data_at: header.len() as u64,
            whole: whole.as_ref().filter(|_| request.rank.is_none()),
        };
        bytes += spec.bytes().unwrap_or(0);
        copying.run(fields, &draft, request.file, tell)?;
    }
    let aside = draft.end().map_err(output)?;
    let published = if request.force { aside.publish() } else { aside.publish_new() };
    match published {
        Ok(()) => Ok(Extracted { field, kind, element_bytes, shape, bytes }),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(ArchiveError::Exists { path: path() })
        }
        Err(error) => Err(output(error)),
    }
}

/// How many elements a rank's part has, which was looked up before.
fn spec_count(fields: &Fields, rank: Rank, field: &str) -> u64 {
    fields.part(rank, field).map_or(0, |(_, spec)| spec.count)
}

impl Copying<'_> {
    fn run(
        &self,
        fields: &mut Fields,
        draft: &Draft,
        path: &Path,
        tell: &mut Tell<'_>,
    ) -> Result<(), ArchiveError> {
        let output = |source| ArchiveError::Output { path: PathBuf::from(path), source };
        let block = self
            .whole
            .map(|whole| (whole, whole.blocks().iter().find(|block| block.rank == self.source.0)));
        let step = (CRC_CHUNK_BYTES as u64 / self.element_bytes).max(1);
        let (mut from, mut buffer) = (0, Vec::new());
        while from < self.count {
            let to = self.count.min(from.saturating_add(step));
            let at = from * self.element_bytes..to * self.element_bytes;
            fields.read(self.source, at, &mut buffer)?;
            match block {
                None => {
                    let at = self.data_at + from * self.element_bytes;
                    draft.write_at(at, &buffer).map_err(output)?;
                }
                Some((_, None)) => {}
                Some((whole, Some(block))) => {
                    for run in whole.runs(block, from..to) {
                        let start = ((run.local - from) * self.element_bytes) as usize;
                        let len = (run.count * self.element_bytes) as usize;
                        let at = self.data_at + run.global * self.element_bytes;
                        draft.write_at(at, &buffer[start..start + len]).map_err(output)?;
                    }
                }
            }
            if let ControlFlow::Break(signal) = tell(buffer.len() as u64) {
                return Err(ArchiveError::Signal(signal));
            }
            from = to;
        }
        Ok(())
    }
}
