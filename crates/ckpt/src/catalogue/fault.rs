//! Why a manifest or a shard cannot be used, in words that a person can act on.
//!
//! Invariant: what a newer Mainstay may have written is told from what is damaged, as far as the
//! bytes allow. Deliberately absent: what follows for the version; see [`Entry`](super::Entry).

use mainstay_types::{Rank, Version};

use crate::format::error::FormatError;
use crate::format::header::{self, HEADER_BYTES};
use crate::format::image::{Expected, Image};
use crate::format::manifest::{Manifest, RankEntry};
use crate::format::memory::ReadAt;
use crate::format::{FORMAT, manifest_codec};
use crate::kernel::Residency;
use crate::pack::{PACKED_FORMAT, Stored, tail};

/// What is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is none.
    #[error("it is missing")]
    Missing,
    /// A directory, a pipe, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// The system does not give its bytes.
    #[error("it cannot be read: {why}")]
    Unreadable {
        /// What the system said.
        why: String,
    },
    /// It was cut short, or something was appended.
    #[error("it has {bytes} bytes where {expected} were written")]
    Length {
        /// Bytes that it has.
        bytes: u64,
        /// Bytes that the manifest tells of.
        expected: u64,
    },
    /// The format number is not this build's.
    #[error(
        "it says that it is of format {format}, and this build reads format {reads}: a newer \
         Mainstay may read it, or the number is damaged"
    )]
    Format {
        /// The number.
        format: u32,
        /// The newest that this build reads of such files.
        reads: u32,
    },
    /// Another file that it refers to cannot be had.
    #[error("{name}, which it refers to: {why}")]
    Holder {
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
    /// A whole manifest under another's name.
    #[error("it says version {says}")]
    OtherVersion {
        /// The version that it is of.
        says: Version,
    },
    /// Bytes that are not as they were written.
    #[error(transparent)]
    Damaged(FormatError),
}

impl Fault {
    /// The name in `--json`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NotAFile => "not_a_file",
            Self::Unreadable { .. } => "unreadable",
            Self::Length { .. } => "length",
            Self::Format { .. } => "format",
            Self::Holder { .. } => "holder",
            Self::OtherVersion { .. } => "other_version",
            Self::Damaged(_) => "damaged",
        }
    }

    /// Whether a start with `--resume` sees it of a shard before anything is restored.
    #[must_use]
    pub fn is_seen_at_start(&self) -> bool {
        matches!(
            self,
            Self::Missing
                | Self::NotAFile
                | Self::Unreadable { .. }
                | Self::Length { .. }
                | Self::Holder { .. }
        )
    }
}

/// Reads the manifest that lies under the name of `version`.
///
/// # Errors
/// Why it is no manifest of that version.
pub fn read_manifest(version: Version, bytes: &[u8]) -> Result<Manifest, Fault> {
    match Manifest::decode(bytes) {
        Ok(manifest) if manifest.version == version => Ok(manifest),
        Ok(manifest) => Err(Fault::OtherVersion { says: manifest.version }),
        Err(error) => Err(or_format(error, bytes, manifest_codec::MAGIC, PACKED_FORMAT)),
    }
}

/// Whether a shard is as long as it was written.
///
/// # Errors
/// [`Fault::Length`].
pub fn check_length(entry: &RankEntry, bytes: u64) -> Result<(), Fault> {
    let expected = entry.file_bytes();
    (bytes == expected).then_some(()).ok_or(Fault::Length { bytes, expected })
}

/// Opens a rank's shard, whose file has the length that was written, and through `open` the files
/// that it refers to.
///
/// # Errors
/// What is wrong first.
pub fn open_stored<M: ReadAt>(
    file: M,
    entry: &RankEntry,
    open: impl FnMut(&str) -> Result<M, String>,
) -> Result<Stored<M>, Fault> {
    check_length(entry, file.bytes())?;
    let mut head = [0; 12];
    let _short = file.read_at(0, &mut head, Residency::Cached);
    let stored = Stored::open(file, open);
    let stored = stored.map_err(|error| or_format(error, &head, &tail::MAGIC, PACKED_FORMAT))?;
    match (stored.map().is_some(), entry.packing.is_some()) {
        (false, true) => Err(Fault::Damaged(FormatError::Foreign {
            what: "form",
            found: 0,
            expected: PACKED_FORMAT.into(),
        })),
        (true, false) => Err(Fault::Damaged(FormatError::Foreign {
            what: "form",
            found: PACKED_FORMAT.into(),
            expected: 0,
        })),
        _ => Ok(stored),
    }
}

/// Checks length, header and table of a rank's shard; gives its image. Its data are not looked at.
///
/// # Errors
/// What is wrong first.
///
/// # Panics
/// When the manifest has no such rank.
pub fn open_shard<M: ReadAt + ?Sized>(
    memory: &M,
    manifest: &Manifest,
    rank: Rank,
) -> Result<Image, Fault> {
    let (bytes, expected) = (memory.bytes(), manifest.ranks[rank.index()].shard_bytes());
    if bytes != expected {
        return Err(Fault::Length { bytes, expected });
    }
    Image::open_expected(memory, &Expected::of(manifest, rank))
        .map_err(|error| of_image(error, memory))
}

/// The fault behind an error of an image.
pub fn of_image<M: ReadAt + ?Sized>(error: FormatError, memory: &M) -> Fault {
    let mut head = [0; HEADER_BYTES];
    let _short = memory.read_at(0, &mut head, Residency::Cached);
    or_format(error, &head, &header::MAGIC, FORMAT)
}

/// An error of bytes that may be of another format.
fn or_format(error: FormatError, bytes: &[u8], magic: &[u8; 8], reads: u32) -> Fault {
    let number = bytes.strip_prefix(magic).and_then(|rest| rest.first_chunk());
    match number.map(|number| u32::from_le_bytes(*number)) {
        Some(format) if format == 0 || format > reads => Fault::Format { format, reads },
        _ => match error {
            FormatError::Holder { name, why } => Fault::Holder { name, why },
            error => Fault::Damaged(error),
        },
    }
}
