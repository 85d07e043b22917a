//! Why a checkpoint directory does not give what was asked of it.
//!
//! Invariant: a message names the directory, version or file and, where there is one, the mend.
//! Deliberately absent: damage that a command is there to report; see
//! [`Fault`](mainstay_ckpt::catalogue::Fault).

use std::io;
use std::path::PathBuf;

use mainstay_ckpt::catalogue::{Apart, Reason};
use mainstay_types::{Rank, Version, exit};

use crate::directory::DirectoryError;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The directory cannot be looked at.
    #[error("{path}: cannot {action}: {source}")]
    Directory {
        /// Its path.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A job has it, and it is to be changed.
    #[error("{path} is in use by process {holder}, whose job prunes by itself; wait for its end")]
    InUse {
        /// Its path.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// There is no version at all.
    #[error("{path} holds no version")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// There is no such version.
    #[error("{path} holds no version {version}; it holds {held}")]
    NoVersion {
        /// The directory.
        path: PathBuf,
        /// The version asked for.
        version: Version,
        /// Those that there are.
        held: String,
    },
    /// The version has no whole copy of what was asked for.
    #[error("version {version} cannot be read: {reason}")]
    Unusable {
        /// Which.
        version: Version,
        /// What is wrong.
        reason: Reason,
    },
    /// A job removed the version meanwhile.
    #[error(
        "version {version} was removed while it was read, as a job goes on in its directory; take \
         a newer one"
    )]
    Gone {
        /// Which.
        version: Version,
    },
    /// There is no such field.
    #[error("version {version} has no field `{field}`; it has {known}")]
    NoField {
        /// Which version.
        version: Version,
        /// The name asked for.
        field: String,
        /// The names that there are.
        known: String,
    },
    /// There is no such rank, or it has no such field.
    #[error("version {version} has no `{field}` of rank {rank}; ranks are 0 to {last}")]
    NoRank {
        /// Which version.
        version: Version,
        /// The field.
        field: String,
        /// The rank asked for.
        rank: Rank,
        /// The last one that there is.
        last: Rank,
    },
    /// The parts of the ranks are not one array.
    #[error(
        "the parts of `{field}` cannot be put together: {why}; name one rank with --rank R (0 to \
         {last})"
    )]
    Apart {
        /// The field.
        field: String,
        /// Why not.
        why: Apart,
        /// The last rank that there is.
        last: Rank,
    },
    /// The output file is there.
    #[error("{path} is there already; give another name, or --force to replace it")]
    Exists {
        /// Its path.
        path: PathBuf,
    },
    /// The output file cannot be written.
    #[error("{path} cannot be written: {source}")]
    Output {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to import.
    #[error("{path} holds no file of VELOC (NAME-RANK-VERSION.dat)")]
    NoVeloc {
        /// The directory.
        path: PathBuf,
    },
    /// Which checkpoint is meant is not clear.
    #[error("{path} holds the checkpoints {known}; name one with --name")]
    Name {
        /// The directory.
        path: PathBuf,
        /// Their names.
        known: String,
    },
    /// Nobody can say of how many ranks the versions are.
    #[error(
        "{path}: the number of ranks is not clear, or above 1024; there have to be files of ranks, or --ranks"
    )]
    Ranks {
        /// The directory.
        path: PathBuf,
    },
    /// Versions would mix with others.
    #[error("{path} holds files of versions already; give a new directory with --out")]
    Holds {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody wanted the end.
    #[error("ended by signal {0}; nothing is written")]
    Signal(i32),
    /// Somebody wanted the end of an import.
    #[error(
        "ended by signal {signal}: {path} holds the {imported} versions that were whole by then, and \
         nothing of others; remove it before another import"
    )]
    Stopped {
        /// Which signal.
        signal: i32,
        /// Our directory.
        path: PathBuf,
        /// Versions that are imported.
        imported: usize,
    },
}

impl ArchiveError {
    /// The exit code of a command that ends with it.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Directory { .. }
            | Self::InUse { .. }
            | Self::Exists { .. }
            | Self::Holds { .. }
            | Self::Output { .. } => exit::DIRECTORY,
            Self::Empty { .. }
            | Self::NoVersion { .. }
            | Self::Unusable { .. }
            | Self::Gone { .. }
            | Self::NoField { .. }
            | Self::NoRank { .. }
            | Self::NoVeloc { .. }
            | Self::Name { .. }
            | Self::Ranks { .. }
            | Self::Apart { .. } => exit::DATA,
            Self::Signal(signal) | Self::Stopped { signal, .. } => exit::of_signal(*signal),
        }
    }
}

impl From<DirectoryError> for ArchiveError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Locked { path, holder } => Self::InUse { path, holder },
            DirectoryError::Io { path, action, source, .. } => {
                Self::Directory { path, action, source }
            }
        }
    }
}
