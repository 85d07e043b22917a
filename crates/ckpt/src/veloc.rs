//! The files of VELOC, as far as they are read to be imported: names, headers, and which versions are whole.
//!
//! A rank's part of a version is `NAME-RANK-VERSION.dat`: the number of regions, then of each its id and
//! its bytes, then the data of all, without gaps; `docs/formats/veloc.md` has it byte by byte. Invariants:
//! a header that decodes fits the length of its file exactly; a version that is called whole has a file of
//! every rank. Deliberately absent: reading, VELOC's aggregated and erasure-coded files, and any
//! guess at what a region's bytes mean.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_types::limits::{FIELDS_MAX, RANKS_MAX};
use mainstay_types::{Rank, Version};

mod field;

pub use self::field::{Fields, Mapping, MappingError, ShapeError};

/// Bytes before the regions of a header.
pub const COUNT_BYTES: usize = 8;
/// Bytes of a region in a header.
pub const REGION_BYTES: usize = 12;

/// A file of VELOC, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VelocName {
    /// The checkpoint's name.
    pub name: String,
    /// The rank it is of; `None` of a file that holds several ranks' parts or their parity.
    pub rank: Option<u32>,
    /// The version.
    pub version: u32,
}

/// What a file's name says, if VELOC gives such names.
#[must_use]
pub fn parse_veloc_name(file: &str) -> Option<VelocName> {
    let (rest, version) = file.strip_suffix(".dat")?.rsplit_once('-')?;
    let (name, rank) = rest.rsplit_once('-')?;
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let rank = match rank {
        "ec" | "agg" => None,
        rank => Some(number(rank)?),
    };
    // VELOC's names have at most 127 bytes.
    let is_name = (1..128).contains(&name.len()) && name.chars().all(is_of_name);
    is_name.then(|| Some(VelocName { name: name.to_owned(), rank, version: number(version)? }))?
}

/// A number as C's `int` is printed: one spelling, and no sign.
fn number(text: &str) -> Option<u32> {
    let number = text.parse::<u32>().ok().filter(|n| i32::try_from(*n).is_ok())?;
    (number.to_string() == text).then_some(number)
}

/// The name of a rank's part.
#[must_use]
pub fn veloc_name(name: &str, rank: Rank, version: Version) -> String {
    format!("{name}-{rank}-{version}.dat")
}

/// Why a version is not imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Ranks have no file.
    #[error("it has no file of rank {first}{}", more(.others))]
    Missing {
        /// The first of them.
        first: u32,
        /// How many others.
        others: u32,
    },
    /// It has files of ranks that the job does not have.
    #[error("it has a file of rank {rank}, and the job has ranks 0 to {last}: give --ranks")]
    Beyond {
        /// The highest rank with a file.
        rank: u32,
        /// The last one of the job.
        last: u32,
    },
    /// There are only files of several ranks.
    #[error("it is aggregated or coded; have VELOC write one file a rank (aggregated = false)")]
    Aggregated,
}

fn more(others: &u32) -> String {
    if *others == 0 { String::new() } else { format!(" and of {others} more") }
}

/// Versions of one checkpoint, and which of them have all ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Number of ranks.
    pub ranks: u32,
    /// Each version, and why it cannot be whole.
    pub versions: BTreeMap<Version, Result<(), Refusal>>,
}

/// The names of checkpoints among files.
pub fn names<'a>(files: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    files.into_iter().filter_map(parse_veloc_name).map(|file| file.name).collect()
}

impl Versions {
    /// The versions of `name` among files. VELOC records the number of ranks nowhere: without `ranks`, it is
    /// one more than the highest rank that any version has a file of. `None` beyond
    /// [`RANKS_MAX`], or if no rank has a file.
    pub fn among<'a>(
        files: impl IntoIterator<Item = &'a str>,
        name: &str,
        ranks: Option<u32>,
    ) -> Option<Self> {
        let mut found: BTreeMap<Version, BTreeSet<u32>> = BTreeMap::new();
        for file in files.into_iter().filter_map(parse_veloc_name).filter(|f| f.name == name) {
            found.entry(Version(file.version.into())).or_default().extend(file.rank);
        }
        let last = found.values().filter_map(BTreeSet::last).max();
        let ranks = ranks.or_else(|| last?.checked_add(1))?;
        if ranks == 0 || ranks > RANKS_MAX {
            return None;
        }
        let judged = |there: &BTreeSet<u32>| match (there.last(), ranks - 1) {
            (None, _) => Err(Refusal::Aggregated),
            (Some(&rank), last) if rank > last => Err(Refusal::Beyond { rank, last }),
            (Some(_), _) => match (0..ranks).find(|rank| !there.contains(rank)) {
                None => Ok(()),
                Some(first) => {
                    let missing = ranks - u32::try_from(there.len()).unwrap_or(ranks);
                    Err(Refusal::Missing { first, others: missing.saturating_sub(1) })
                }
            },
        };
        let versions = found.iter().map(|(version, there)| (*version, judged(there))).collect();
        Some(Self { ranks, versions })
    }
}

/// What is wrong with a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VelocError {
    /// The file ends within it.
    #[error("it is cut short in its header: {bytes} bytes, and the header has {needed}")]
    Short {
        /// Bytes of the file.
        bytes: u64,
        /// Bytes of the header.
        needed: u64,
    },
    /// There are too many regions, or none.
    #[error("it claims {count} regions; 1 to {most} can be imported")]
    Count {
        /// How many.
        count: u64,
        /// The most.
        most: usize,
    },
    /// Ids do not ascend.
    #[error("region {id} follows region {before}: VELOC writes ids in ascending order")]
    Order {
        /// An id.
        before: i32,
        /// The one behind it.
        id: i32,
    },
    /// The file has another length than its header says.
    #[error("it has {bytes} bytes, and its header says {expected}")]
    Length {
        /// Bytes of the file.
        bytes: u64,
        /// Bytes by its header.
        expected: u64,
    },
}

/// A region of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The program's number for it.
    pub id: i32,
    /// Where its data begin in the file.
    pub at: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How many bytes the header of a file has that begins so.
///
/// # Errors
/// [`VelocError::Count`].
pub fn header_bytes(start: [u8; COUNT_BYTES]) -> Result<usize, VelocError> {
    let count = u64::from_le_bytes(start);
    match usize::try_from(count) {
        Ok(count @ 1..=FIELDS_MAX) => Ok(COUNT_BYTES + count * REGION_BYTES),
        _ => Err(VelocError::Count { count, most: FIELDS_MAX }),
    }
}

/// The regions of a file of `bytes` bytes with this header.
///
/// # Errors
/// Whatever VELOC does not write.
pub fn regions(header: &[u8], bytes: u64) -> Result<Vec<Region>, VelocError> {
    let (length, short) = (header.len() as u64, |needed| VelocError::Short { bytes, needed });
    let start = header.first_chunk().ok_or(short(COUNT_BYTES as u64))?;
    let needed = header_bytes(*start)? as u64;
    if length < needed || bytes < needed {
        return Err(short(needed));
    }
    let (entries, _) = header[COUNT_BYTES..needed as usize].as_chunks::<REGION_BYTES>();
    let mut found: Vec<Region> = Vec::with_capacity(entries.len());
    let mut at = needed;
    for &[a, b, c, d, ref size @ ..] in entries {
        let id = i32::from_le_bytes([a, b, c, d]);
        if let Some(Region { id: before, .. }) = found.last().copied().filter(|r| r.id >= id) {
            return Err(VelocError::Order { before, id });
        }
        let size = u64::from_le_bytes(*size);
        found.push(Region { id, at, bytes: size });
        at = at.saturating_add(size);
    }
    if at != bytes {
        return Err(VelocError::Length { bytes, expected: at });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(regions: &[(i32, u64)]) -> Vec<u8> {
        let mut bytes = (regions.len() as u64).to_le_bytes().to_vec();
        for (id, size) in regions {
            bytes.extend(id.to_le_bytes());
            bytes.extend(size.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn names_are_those_that_veloc_gives() {
        let parsed = parse_veloc_name("heat_2.x-3-12.dat").unwrap();
        assert_eq!((parsed.name.as_str(), parsed.rank, parsed.version), ("heat_2.x", Some(3), 12));
        assert_eq!(parse_veloc_name("heat-agg-1.dat").unwrap().rank, None);
        for bad in [
            "heat-3-12.dat.chksum",
            "heat-3-12",
            "heat-03-12.dat",
            "heat-3-+1.dat",
            "heat--1-2.dat",
            "-3-12.dat",
            "he at-3-12.dat",
            "heat-3-2147483648.dat",
            "3-12.dat",
        ] {
            assert_eq!(parse_veloc_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_versions_of_all_ranks_are_whole() {
        let files = ["a-0-1.dat", "a-1-1.dat", "a-0-2.dat", "a-agg-3.dat", "b-7-1.dat"];
        let found = Versions::among(files, "a", None).unwrap();
        assert_eq!(found.ranks, 2);
        let expected = [
            (Version(1), Ok(())),
            (Version(2), Err(Refusal::Missing { first: 1, others: 0 })),
            (Version(3), Err(Refusal::Aggregated)),
        ];
        assert_eq!(found.versions, expected.into());
        let found = Versions::among(files, "a", Some(1)).unwrap();
        assert_eq!(found.versions[&Version(1)], Err(Refusal::Beyond { rank: 1, last: 0 }));
        assert_eq!(found.versions[&Version(2)], Ok(()));
        let found = Versions::among(files, "a", Some(4)).unwrap();
        assert_eq!(found.versions[&Version(2)], Err(Refusal::Missing { first: 1, others: 2 }));
        assert_eq!(Versions::among(["a-1024-1.dat"], "a", None), None);
        assert_eq!(Versions::among(["a-agg-1.dat"], "a", None), None);
        assert_eq!(names(files).len(), 2);
    }

    #[test]
    fn a_header_fits_its_file_or_is_refused() {
        let whole = header(&[(-1, 16), (0, 0), (7, 5)]);
        let at = whole.len() as u64;
        let found = regions(&whole, at + 21).unwrap();
        let expected = [(-1, at, 16), (0, at + 16, 0), (7, at + 16, 5)];
        assert_eq!(found, expected.map(|(id, at, bytes)| Region { id, at, bytes }));
        for length in 0..whole.len() {
            let cut = regions(&whole[..length], length as u64);
            assert!(matches!(cut, Err(VelocError::Short { .. })), "{length}: {cut:?}");
        }
        for bytes in [at, at + 20, at + 22] {
            let expected = at + 21;
            assert_eq!(regions(&whole, bytes), Err(VelocError::Length { bytes, expected }));
        }
        let order = regions(&header(&[(3, 1), (3, 1)]), 34);
        assert_eq!(order, Err(VelocError::Order { before: 3, id: 3 }));
        let huge = regions(&header(&[(0, u64::MAX), (1, u64::MAX)]), 32);
        assert!(matches!(huge, Err(VelocError::Length { .. })));
        for count in [0, 4097, u64::MAX] {
            assert!(matches!(header_bytes(count.to_le_bytes()), Err(VelocError::Count { .. })));
        }
        // Any flipped bit of a count or a size makes the length another.
        for bit in (0..64).chain(96..160) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(regions(&flipped, at + 21).is_err(), "bit {bit}");
        }
    }
}
