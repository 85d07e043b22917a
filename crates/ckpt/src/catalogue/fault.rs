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
use crate::format::{FORMAT, FORMAT_OF_NODES, manifest_codec};
use crate::kernel::Residency;

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
        "it says that it is of format {format}, and this build reads format {FORMAT} (manifests: up to {FORMAT_OF_NODES}): a newer \
         Mainstay may read it, or the number is damaged"
    )]
    Format {
        /// The number.
        format: u32,
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
            Self::OtherVersion { .. } => "other_version",
            Self::Damaged(_) => "damaged",
        }
    }

    /// Whether a start with `--resume` sees it of a shard before anything is restored.
    #[must_use]
    pub fn is_seen_at_start(&self) -> bool {
        matches!(
            self,
            Self::Missing | Self::NotAFile | Self::Unreadable { .. } | Self::Length { .. }
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
        Err(error) => Err(or_format(error, bytes, manifest_codec::MAGIC, FORMAT_OF_NODES)),
    }
}

/// Whether a shard is as long as it was written.
///
/// # Errors
/// [`Fault::Length`].
pub fn check_length(entry: &RankEntry, bytes: u64) -> Result<(), Fault> {
    let expected = entry.shard_bytes();
    (bytes == expected).then_some(()).ok_or(Fault::Length { bytes, expected })
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
    check_length(&manifest.ranks[rank.index()], memory.bytes())?;
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
fn or_format(error: FormatError, bytes: &[u8], magic: &[u8; 8], newest: u32) -> Fault {
    let number = bytes.strip_prefix(magic).and_then(|rest| rest.first_chunk());
    match number.map(|number| u32::from_le_bytes(*number)) {
        Some(format) if !(FORMAT..=newest).contains(&format) => Fault::Format { format },
        _ => Fault::Damaged(error),
    }
}
