//! Reading a version whole, and telling of every byte that is not as it was written.
//!
//! Invariant: a damaged part does not hide another. Deliberately absent: the checks, which are
//! `ckpt`'s.

use std::ops::{ControlFlow, Range};

use mainstay_ckpt::catalogue::{self, Entry, Fault};
use mainstay_ckpt::format::verify::{Finding, Part, Seen, audit_shard};
use mainstay_ckpt::pack::audit_packed;
use mainstay_ckpt::{Expected, FormatError, ReadAt};
use mainstay_types::{Rank, Version};

use super::{Archive, ArchiveError};

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Whose shard it is; `None` of what nodes hold for others and of copies of the manifest.
    pub rank: Option<Rank>,
    /// The file's name.
    pub name: String,
    /// The part of the file, its bytes, and the field that they are of; `None` if the file as such
    /// cannot be read.
    pub place: Option<(Part, Range<u64>, Option<String>)>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is told while a version is read.
#[derive(Debug)]
pub enum Told {
    /// So many more bytes were read.
    Bytes(u64),
    /// Something is wrong.
    Damage(Damage),
}

/// What reading a version came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which.
    pub version: Version,
    /// How much is wrong.
    pub damages: u64,
    /// What is wrong first at each rank that has something.
    pub bad: Vec<(Rank, Fault)>,
}

impl Archive {
    /// Reads all shards of a version, what nodes hold for each other and copies of the manifest, and tells
    /// of what is wrong with them.
    ///
    /// # Errors
    /// [`ArchiveError::Gone`] when a job removes the version meanwhile.
    pub fn verify(
        &self,
        entry: &Entry,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Verified, ArchiveError> {
        let version = entry.version;
        let mut verified = Verified { version, damages: 0, bad: Vec::new() };
        let Some(manifest) = entry.manifest() else {
            return Ok(verified);
        };
        for (copy, of_rank) in entry.copies.iter().zip(&manifest.ranks) {
            let mut first = None;
            let mut damage = |place, fault: Fault, tell: &mut dyn FnMut(Told)| {
                verified.damages += 1;
                first.get_or_insert(fault.clone());
                let (rank, name) = (Some(copy.rank), copy.name.clone());
                tell(Told::Damage(Damage { rank, name, place, fault }));
            };
            match self.stored(&copy.name, of_rank) {
                // Its own files or those that it refers to, which go after it.
                Err(_) if !self.is_there(version) => {
                    return Err(ArchiveError::Gone { version });
                }
                Err(fault) => damage(None, fault, tell),
                Ok(shard) => {
                    let expected = Expected::of(manifest, copy.rank);
                    let late = (of_rank.late_bytes, of_rank.late_crc);
                    let mut see = |seen| {
                        match seen {
                            Seen::Bytes(bytes) => tell(Told::Bytes(bytes)),
                            Seen::Wrong(Finding { part, field, at, error }) => {
                                let fault = fault_of(part, error, &shard);
                                damage(Some((part, at, field)), fault, tell);
                            }
                        }
                        ControlFlow::Continue(())
                    };
                    let _to_the_end = audit_packed(&shard, &mut see);
                    let _to_the_end = audit_shard(&shard, &expected, late, &mut see);
                }
            }
            verified.bad.extend(first.map(|fault| (copy.rank, fault)));
        }
        for lost in self.lost_spares(manifest, &mut |bytes| tell(Told::Bytes(bytes))) {
            if lost.fault == Fault::Missing && !self.is_there(version) {
                return Err(ArchiveError::Gone { version });
            }
            verified.damages += 1;
            let (name, fault) = (lost.name, lost.fault);
            tell(Told::Damage(Damage { rank: None, name, place: None, fault }));
        }
        Ok(verified)
    }
}

/// What is wrong, in the words of a look.
pub(super) fn fault_of<M: ReadAt>(part: Part, error: FormatError, shard: &M) -> Fault {
    match (part, error) {
        (Part::End, FormatError::Layout { found: bytes, expected, .. }) => {
            Fault::Length { bytes, expected }
        }
        (Part::Header, error) => catalogue::of_image(error, shard),
        (_, error) => Fault::Damaged(error),
    }
}
