//! One version as its files tell of it.
//!
//! A version has copies, one for each rank and place, and a copy has a state; a version can be
//! recovered if it was published and every rank has a copy that is whole. Invariant: whatever
//! prevents that is among the reasons, each with the file that it lies in. Deliberately absent: which
//! version is better than another; see [`Catalogue`](super::Catalogue).

use std::collections::BTreeSet;
use std::fmt;

use mainstay_types::{Rank, Version};

use super::fault::Fault;
use crate::format::manifest::Manifest;
use crate::format::name::{FileName, archive_name, manifest_name, parse_name};

/// How far a version has come, or how far it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its manifest is there.
    Published,
    /// It was never published, or is being removed.
    Aside,
    /// Shards without a manifest: it was published once.
    Orphaned,
}

impl Standing {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Aside => "aside",
            Self::Orphaned => "orphaned",
        }
    }
}

/// A copy of a rank's part of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardCopy {
    /// Whose part.
    pub rank: Rank,
    /// The file's name.
    pub name: String,
    /// Whether it is whole, as far as was looked.
    pub state: Result<(), Fault>,
}

/// A file in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its bytes; `None` if they cannot be told.
    pub bytes: Option<u64>,
}

/// What prevents that a version is recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was never published, or is being removed.
    Unpublished,
    /// Its shards have no manifest.
    NoManifest {
        /// The name of the manifest that is missing.
        name: String,
    },
    /// Its files come or go while they are looked at.
    Changing,
    /// Its manifest cannot be used.
    Manifest {
        /// The manifest's name.
        name: String,
        /// Why not.
        fault: Fault,
    },
    /// A rank has no whole copy.
    Shard {
        /// Which rank.
        rank: Rank,
        /// The file's name.
        name: String,
        /// What is wrong with it.
        fault: Fault,
    },
}

impl Reason {
    /// The name in `--json`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unpublished => "unpublished",
            Self::NoManifest { .. } => "no_manifest",
            Self::Changing => "changing",
            Self::Manifest { fault, .. } | Self::Shard { fault, .. } => fault.code(),
        }
    }

    /// The rank that has no copy for it, if it is one's.
    #[must_use]
    pub fn rank(&self) -> Option<Rank> {
        match self {
            Self::Shard { rank, .. } => Some(*rank),
            _ => None,
        }
    }

    /// The file that it lies in, if it is one's.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Manifest { name, .. } | Self::Shard { name, .. } | Self::NoManifest { name } => {
                Some(name)
            }
            Self::Unpublished | Self::Changing => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpublished => f.write_str("it was never published, or is being removed"),
            Self::NoManifest { name } => write!(f, "{name} is missing: put it back to use it"),
            Self::Changing => f.write_str("a job writes or removes it at this moment"),
            Self::Manifest { name, fault } => write!(f, "{name}: {fault}"),
            Self::Shard { rank, name, fault } => write!(f, "rank {rank}: {name}: {fault}"),
        }
    }
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub version: Version,
    /// How far it has come.
    pub standing: Standing,
    /// Its manifest, if it has one, or why that cannot be used.
    pub manifest: Option<Result<Manifest, Fault>>,
    /// The copies of all ranks that its manifest tells of, by rank.
    pub copies: Vec<ShardCopy>,
    /// All its files that are there, also those that its manifest does not name.
    pub files: Vec<Listed>,
    /// Whether its files come or go while they are looked at.
    pub changing: bool,
    /// Whether a node has a copy of a manifest that is lost.
    pub copied: bool,
}

impl Entry {
    /// The version that these files belong to. `manifest` is what was read under its manifest's
    /// name, and `look` says what a look at a rank's shard comes to.
    #[must_use]
    pub fn new(
        version: Version,
        files: Vec<Listed>,
        manifest: Option<Result<Manifest, Fault>>,
        mut look: impl FnMut(&Manifest, Rank, &str) -> Result<(), Fault>,
    ) -> Self {
        let has =
            |wanted: FileName| files.iter().any(|file| parse_name(&file.name) == Some(wanted));
        let standing = match (&manifest, has(FileName::Aside { version })) {
            (Some(_), _) => Standing::Published,
            (None, true) => Standing::Aside,
            (None, false) => Standing::Orphaned,
        };
        let mut copies = Vec::new();
        if let Some(Ok(manifest)) = &manifest {
            for (rank, name) in Rank::all(manifest.n()).zip(manifest.shard_names()) {
                let state = look(manifest, rank, &name);
                copies.push(ShardCopy { rank, name, state });
            }
        }
        Self { version, standing, manifest, copies, files, changing: false, copied: false }
    }

    /// Its manifest, if that is whole.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()?.as_ref().ok()
    }

    /// Bytes of all its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.bytes).fold(0, u64::saturating_add)
    }

    /// Whether it is kept for good.
    #[must_use]
    pub fn is_archived(&self) -> bool {
        let mark = archive_name(self.version);
        self.files.iter().any(|file| file.name == mark)
    }

    /// What prevents that it is recovered; nothing if it can be.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let name = || manifest_name(self.version);
        let whole = match (&self.manifest, self.standing) {
            (Some(Err(fault)), _) => Some(Reason::Manifest { name: name(), fault: fault.clone() }),
            (_, Standing::Aside) => Some(Reason::Unpublished),
            (_, Standing::Orphaned) => Some(Reason::NoManifest { name: name() }),
            (_, Standing::Published) => None,
        };
        let changing = self.changing.then_some(Reason::Changing);
        let shards = self.copies.iter().filter_map(|copy| {
            let fault = copy.state.as_ref().err()?.clone();
            let has_other = self.copies.iter().any(|c| c.rank == copy.rank && c.state.is_ok());
            let name = copy.name.clone();
            (!has_other).then_some(Reason::Shard { rank: copy.rank, name, fault })
        });
        changing.into_iter().chain(whole).chain(shards).collect()
    }

    /// Whether it can be recovered, as far as was looked.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        self.reasons().is_empty()
    }

    /// Whether what other nodes hold may give back all that prevents its recovery. Whether they do, reading
    /// it tells.
    #[must_use]
    pub fn may_be_repaired(&self) -> bool {
        if self.copied {
            let of_manifest =
                |r: &Reason| matches!(r, Reason::NoManifest { .. } | Reason::Manifest { .. });
            return self.reasons().iter().all(of_manifest);
        }
        let Some((manifest, layout)) = self.manifest().and_then(|m| Some((m, m.nodes.as_ref()?)))
        else {
            return false;
        };
        let lost = self.reasons().into_iter().map(|reason| match reason {
            Reason::Shard { rank, .. } => Some(layout.node_of(rank, manifest.n())),
            _ => None,
        });
        let lost: Option<BTreeSet<_>> = lost.collect();
        lost.is_some_and(|lost| !lost.is_empty() && layout.ring.covers(&lost))
    }

    /// Whether a start with `--resume` takes it for whole before anything is restored.
    #[must_use]
    pub fn looks_whole(&self) -> bool {
        let seen = |copy: &ShardCopy| matches!(&copy.state, Err(f) if f.is_seen_at_start());
        self.manifest().is_some() && !self.copies.iter().any(seen)
    }

    /// Shards of this version that are there and that its manifest does not name.
    pub fn unnamed(&self) -> impl Iterator<Item = &str> {
        let named = |name: &str| self.copies.iter().any(|copy| copy.name == name);
        let shards = self.files.iter().map(|file| file.name.as_str());
        let shards = shards.filter(|name| matches!(parse_name(name), Some(FileName::Shard { .. })));
        shards.filter(move |name| self.manifest().is_some() && !named(name))
    }
}
