//! How a version comes into a directory and leaves it: which file operation is next.
//!
//! [`Commit`] writes a version and publishes it, [`Removal`] takes files away (a version that is
//! pruned, one that failed, what an earlier launch left), [`Leftovers`] says what may go. Each yields
//! one operation and takes its outcome; the tables are in `docs/protocols/commit.md`.
//!
//! Invariants: a manifest's final name is there only beside shards whose data and names are durable;
//! a mark, the aside, lies beside shards whenever their manifest does not; a step that the next one
//! relies on is made durable between the two; a file is synced once, and a failed sync fails the
//! version; no name is removed that others have made. Deliberately absent: bytes, which the driver
//! writes, and which version; the ledger decides.

mod leftovers;
mod patch;
mod removal;
mod write;

use mainstay_types::Version;

pub use self::leftovers::Leftovers;
pub use self::patch::{PATCH_BYTES, WouldChange, patches};
pub use self::removal::Removal;
pub use self::write::{Commit, Failure, Next};
use crate::format::manifest::Manifest;
use crate::format::name::{archive_name, aside_name, manifest_name};

/// The names of a version's files in one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The manifest's name before it is published, and again while the version is removed.
    pub aside: String,
    /// Its final name.
    pub manifest: String,
    /// The shards, then what nodes hold for others.
    pub parts: Vec<String>,
}

impl Files {
    /// The files of a version with these shards.
    #[must_use]
    pub fn new(version: Version, parts: Vec<String>) -> Self {
        Self { aside: aside_name(version), manifest: manifest_name(version), parts }
    }

    /// The files that a manifest names, and those of the manifest itself.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self::new(manifest.version, manifest.part_names())
    }
}

/// The operations that mark a published version as an archive, the second after the first has made its
/// name or found it there. Only when both are done does a later launch know of it for sure.
#[must_use]
pub fn archive(version: Version) -> [Op; 2] {
    [Op::Create(archive_name(version)), Op::SyncNames]
}

/// What is to be written into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// That of the shard with this number in [`Files::parts`].
    Part(usize),
    /// The manifest.
    Manifest,
}

/// One operation on a directory, or on a store that can do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make a new, empty file. What has the name already stays as it is.
    Create(String),
    /// Write the content of a file that is empty.
    Write(String, Content),
    /// Make the file's data durable, through the descriptor that wrote them.
    Sync(String),
    /// Make all names in the directory durable. A store whose names are durable at once has nothing
    /// to do.
    SyncNames,
    /// Everything lies aside: say so, and wait until it may be published. [`Outcome::Done`] is yes.
    Ask,
    /// Give the manifest its final name, if nothing has it: rename without replacement, or link, or
    /// put if absent.
    Publish {
        /// Where it lies.
        aside: String,
        /// Its final name.
        manifest: String,
    },
    /// Take the final name back: the manifest goes by its name aside again, whatever had that.
    Withdraw {
        /// Its final name.
        manifest: String,
        /// Where it goes.
        aside: String,
    },
    /// Remove a name.
    Remove(String),
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was published, and goes by its name aside, too: of a file system that does not rename
    /// without replacement, or a store that does not rename.
    Copied,
    /// Something has the name, and nothing was done.
    AlreadyExists,
    /// There is no such file, or no directory any more.
    NotFound,
    /// It failed. Whether it was done, or a part of it, is not known.
    Failed(Fault),
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No room: the disk, a quota, the largest file.
    Full,
    /// The device.
    Io,
    /// Nothing can be written there any more.
    ReadOnly,
    /// Whatever else: a refusal, wrong data, the end of the job.
    Other,
}
