//! The fields of a version, read by ranges.
//!
//! Invariants: no byte is given that was not checked with the chunk that it lies in; what is held is a
//! few chunks, whatever the size of a field; a rank that cannot be read stands in nobody's way who
//! does not ask for it. Deliberately absent: restoring into a program.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use mainstay_ckpt::catalogue::{Apart, Entry, Fault, Reason, Whole};
use mainstay_ckpt::{FieldSpec, Image, Manifest, manifest_name};
use mainstay_types::limits::CRC_CHUNK_BYTES;
use mainstay_types::{Rank, Version};

use super::{Archive, ArchiveError};

/// Chunks that are kept because they may be asked for again.
const KEPT: usize = 32;

/// A version that is read.
#[derive(Debug)]
pub struct Fields {
    archive: Archive,
    manifest: Manifest,
    names: Vec<String>,
    images: Vec<Result<Image, Fault>>,
    kept: VecDeque<(Key, Vec<u8>)>,
}

/// Rank, field and chunk, by their places.
type Key = (Rank, usize, usize);

impl Archive {
    /// Opens a version's fields.
    ///
    /// # Errors
    /// [`ArchiveError::Unusable`] when its manifest is not whole.
    pub fn fields(&self, entry: &Entry) -> Result<Fields, ArchiveError> {
        let Some(manifest) = entry.manifest() else {
            let version = entry.version;
            let name = manifest_name(version);
            let reason = entry.reasons().into_iter().next();
            let reason = reason.unwrap_or(Reason::NoManifest { name });
            return Err(ArchiveError::Unusable { version, reason });
        };
        Ok(Fields {
            archive: self.clone(),
            images: self.images(manifest),
            names: manifest.shard_names().collect(),
            manifest: manifest.clone(),
            kept: VecDeque::new(),
        })
    }
}

impl Fields {
    /// Which version it is.
    #[must_use]
    pub fn version(&self) -> Version {
        self.manifest.version
    }

    /// The last rank.
    #[must_use]
    pub fn last(&self) -> Rank {
        Rank(self.manifest.n().saturating_sub(1))
    }

    /// A rank's image.
    ///
    /// # Errors
    /// [`ArchiveError::Unusable`] when header or table are not whole, [`ArchiveError::Gone`].
    pub fn image(&self, rank: Rank) -> Result<&Image, ArchiveError> {
        self.images[rank.index()].as_ref().map_err(|fault| self.unusable(rank, fault.clone()))
    }

    fn unusable(&self, rank: Rank, fault: Fault) -> ArchiveError {
        let version = self.version();
        if fault == Fault::Missing && !self.archive.is_there(version) {
            return ArchiveError::Gone { version };
        }
        let name = self.names[rank.index()].clone();
        ArchiveError::Unusable { version, reason: Reason::Shard { rank, name, fault } }
    }

    /// The names of all fields, in the order in which ranks have them.
    ///
    /// # Errors
    /// As [`Fields::image`], of any rank.
    pub fn names(&self) -> Result<Vec<String>, ArchiveError> {
        let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
        for rank in Rank::all(self.manifest.n()) {
            for field in &self.image(rank)?.table.fields {
                let name = field.spec.full_name();
                if seen.insert(name.clone()) {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    /// The place of a field in a rank's table, by state and name or, if that is clear, by name alone.
    fn place(image: &Image, name: &str) -> Option<usize> {
        let of = |is: &dyn Fn(&FieldSpec) -> bool| {
            let fields = image.table.fields.iter().enumerate();
            let mut found = fields.filter(|(_, field)| is(&field.spec)).map(|(i, _)| i);
            found.next().filter(|_| found.next().is_none())
        };
        of(&|spec| spec.full_name() == name).or_else(|| of(&|spec| spec.name == name))
    }

    /// A field's part at a rank: its place in the table and what it is.
    ///
    /// # Errors
    /// As [`Fields::image`]; [`ArchiveError::NoField`].
    pub fn part(&self, rank: Rank, name: &str) -> Result<(usize, &FieldSpec), ArchiveError> {
        if rank > self.last() {
            let (version, last) = (self.version(), self.last());
            let field = name.to_owned();
            return Err(ArchiveError::NoRank { version, field, rank, last });
        }
        let image = self.image(rank)?;
        let place = Self::place(image, name).ok_or_else(|| {
            let names = image.table.fields.iter().map(|field| field.spec.full_name());
            let known = names.collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".to_owned() } else { known };
            ArchiveError::NoField { version: self.version(), field: name.to_owned(), known }
        })?;
        Ok((place, &image.table.fields[place].spec))
    }

    /// A field's parts at the ranks that have it.
    ///
    /// # Errors
    /// As [`Fields::image`], of any rank.
    pub fn parts(&self, name: &str) -> Result<Vec<(Rank, &FieldSpec)>, ArchiveError> {
        let mut parts = Vec::new();
        for rank in Rank::all(self.manifest.n()) {
            let image = self.image(rank)?;
            if let Some(place) = Self::place(image, name) {
                parts.push((rank, &image.table.fields[place].spec));
            }
        }
        Ok(parts)
    }

    /// The array that the parts of all ranks make.
    ///
    /// # Errors
    /// As [`Fields::image`]; why they make none.
    pub fn whole(&self, name: &str) -> Result<Result<Whole, Apart>, ArchiveError> {
        Ok(Whole::of(&self.parts(name)?))
    }

    /// Reads bytes of a field's part at a rank.
    ///
    /// # Errors
    /// [`ArchiveError::Unusable`] when a chunk that they lie in is not whole.
    pub fn read(
        &mut self,
        (rank, field): (Rank, usize),
        at: Range<u64>,
        into: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        into.clear();
        let chunk_bytes = CRC_CHUNK_BYTES as u64;
        let mut next = at.start;
        while next < at.end {
            let (chunk, from) = (next / chunk_bytes, (next % chunk_bytes) as usize);
            let place = (rank, field, usize::try_from(chunk).unwrap_or(usize::MAX));
            let bytes = self.chunk(place)?;
            let left = usize::try_from(at.end - next).unwrap_or(usize::MAX);
            let taken = &bytes[from..bytes.len().min(from.saturating_add(left))];
            into.extend_from_slice(taken);
            next += taken.len() as u64;
        }
        Ok(())
    }

    /// A chunk, checked.
    fn chunk(&mut self, key: Key) -> Result<&[u8], ArchiveError> {
        if let Some(i) = self.kept.iter().position(|(kept, _)| *kept == key) {
            return Ok(&self.kept[i].1);
        }
        let (rank, field, chunk) = key;
        let mut bytes = match self.kept.len() < KEPT {
            true => Vec::new(),
            false => self.kept.pop_front().map(|(_, bytes)| bytes).unwrap_or_default(),
        };
        bytes.resize(CRC_CHUNK_BYTES, 0);
        let image = self.image(rank)?;
        let entry = &self.manifest.ranks[rank.index()];
        let shard = self.archive.stored(&self.names[rank.index()], entry);
        let read = shard.and_then(|shard| {
            let read = image.chunk(&shard, (field, chunk), &mut bytes);
            read.map_err(Fault::Damaged)
        });
        let len = read.map_err(|fault| self.unusable(rank, fault))?;
        bytes.truncate(len);
        self.kept.push_back((key, bytes));
        Ok(self.kept.back().map_or(&[], |(_, bytes)| bytes))
    }
}
