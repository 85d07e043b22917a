//! A checkpoint directory as its reader sees it: what it holds, without the job that wrote it.
//!
//! Invariants: a look takes no lock, makes nothing and changes nothing, so that it can stand beside a
//! job; nothing that could block is opened; a version is judged from files that were all there at
//! once, or is called changing. [`Archive::prune`] and [`Import`] alone change a directory, as the one who has
//! its lock. Deliberately absent: what the findings mean; `ckpt::catalogue` decides that.

mod diff;
mod error;
mod extract;
mod fields;
mod file;
mod import;
mod prune;
mod repair;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mainstay_ckpt::catalogue::{self, Catalogue, Entry, Fault, Listed};
use mainstay_ckpt::format::MANIFEST_BYTES_MAX;
use mainstay_ckpt::{FileName, Image, Manifest, RankEntry, Stored, manifest_name, parse_name};
use mainstay_types::{Rank, Version};

pub use self::diff::{FieldDiff, Outcome, Place, Side, diff};
pub use self::error::ArchiveError;
use self::extract::Tell;
pub use self::extract::{Extracted, Request, extract};
pub use self::fields::Fields;
use self::file::ShardFile;
pub use self::import::{Import, Imported};
pub use self::prune::{Pruned, Removal};
pub use self::repair::{Held, Lost, Repaired};
pub(crate) use self::repair::{UNTIL_WHOLE, Wanted, wanted};
pub use self::verify::{Damage, Told, Verified};
use crate::directory::{LOCK, located, node_names};

/// How often versions are looked at again that changed meanwhile.
const LOOKS: u32 = 8;

/// A directory to read.
#[derive(Clone, Debug)]
pub struct Archive {
    path: PathBuf,
}

impl Archive {
    /// The directory at `path`.
    ///
    /// # Errors
    /// [`ArchiveError::Directory`] when there is none.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let is_dir = fs::metadata(path).and_then(|data| match data.is_dir() {
            true => Ok(()),
            false => Err(io::ErrorKind::NotADirectory.into()),
        });
        let archive = Self { path: path.to_owned() };
        is_dir.map_err(|source| archive.failed("look at the checkpoint directory", source))?;
        Ok(archive)
    }

    /// Its path, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, action: &'static str, source: io::Error) -> ArchiveError {
        ArchiveError::Directory { path: self.path.clone(), action, source }
    }

    /// The names in it, sorted.
    fn names(&self) -> Result<Vec<String>, ArchiveError> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                match node_names(&self.path, &name)? {
                    Some(inside) => names.extend(inside),
                    None => names.push(name),
                }
            }
            names.retain(|name| name != LOCK);
            names.sort();
            Ok(names)
        };
        list().map_err(|source| self.failed("list the directory", source))
    }

    /// What the directory holds. Of a version, all is looked at but the data and what came late.
    ///
    /// # Errors
    /// [`ArchiveError::Directory`] when its names cannot be had.
    pub fn look(&self) -> Result<Catalogue, ArchiveError> {
        let (mut listed, mut others) = catalogue::by_version(&self.names()?);
        let mut entries = BTreeMap::new();
        let mut stale: BTreeSet<Version> = listed.keys().copied().collect();
        for _ in 0..LOOKS {
            for version in std::mem::take(&mut stale) {
                entries.remove(&version);
                if let Some(names) = listed.get(&version) {
                    entries.insert(version, self.entry(version, names));
                }
            }
            // A number is never used again, so a version whose names are the same is the same.
            let (now, others_now) = catalogue::by_version(&self.names()?);
            let both = now.keys().chain(listed.keys());
            stale = both.filter(|v| now.get(v) != listed.get(v)).copied().collect();
            (listed, others) = (now, others_now);
            if stale.is_empty() {
                break;
            }
        }
        for version in stale {
            entries.remove(&version);
            if let Some(names) = listed.get(&version) {
                let entry = self.entry(version, names);
                entries.insert(version, Entry { changing: true, ..entry });
            }
        }
        Ok(Catalogue::new(entries.into_values(), others))
    }

    /// The version that these names are of.
    fn entry(&self, version: Version, names: &[String]) -> Entry {
        let listed = |name: &String| {
            let data = fs::metadata(self.path.join(name)).ok().filter(fs::Metadata::is_file);
            Listed { name: name.clone(), bytes: data.map(|data| data.len()) }
        };
        let published = names.contains(&manifest_name(version));
        let manifest = published.then(|| self.read_manifest(&manifest_name(version), version));
        let of_copy = |name: &String| {
            let is_copy = matches!(parse_name(name), Some(FileName::Copy { .. }));
            is_copy && self.read_manifest(name, version).is_ok()
        };
        let copied = !matches!(manifest, Some(Ok(_))) && names.iter().any(of_copy);
        let files = names.iter().map(listed).collect();
        let entry = Entry::new(version, files, manifest, |manifest, rank, name| {
            let shard = self.stored(name, &manifest.ranks[rank.index()])?;
            catalogue::open_shard(&shard, manifest, rank).map(drop)
        });
        Entry { copied, ..entry }
    }

    fn read_manifest(&self, name: &str, version: Version) -> Result<Manifest, Fault> {
        let file = self.shard(name)?;
        catalogue::read_manifest(version, &file.all(MANIFEST_BYTES_MAX as u64)?)
    }

    /// A shard, with the files that it refers to.
    fn stored(&self, name: &str, entry: &RankEntry) -> Result<Stored<ShardFile>, Fault> {
        let open = |name: &str| self.shard(name).map_err(|fault| fault.to_string());
        catalogue::open_stored(self.shard(name)?, entry, open)
    }

    fn shard(&self, name: &str) -> Result<ShardFile, Fault> {
        ShardFile::open(&self.path.join(located(&self.path, name)))
    }

    /// Header and table of each rank's shard, or why they cannot be had.
    #[must_use]
    pub fn images(&self, manifest: &Manifest) -> Vec<Result<Image, Fault>> {
        let names = Rank::all(manifest.n()).zip(manifest.shard_names());
        let image = |(rank, name): (Rank, String)| {
            let shard = self.stored(&name, &manifest.ranks[rank.index()])?;
            catalogue::open_shard(&shard, manifest, rank)
        };
        names.map(image).collect()
    }

    /// The version asked for, or the newest that can be recovered, or else the newest.
    ///
    /// # Errors
    /// [`ArchiveError::NoVersion`], [`ArchiveError::Empty`].
    pub fn find<'a>(
        &self,
        catalogue: &'a Catalogue,
        version: Option<Version>,
    ) -> Result<&'a Entry, ArchiveError> {
        let newest = || {
            let whole = catalogue.entries().rev().find(|entry| entry.is_recoverable());
            whole.or_else(|| catalogue.entries().next_back())
        };
        let path = self.path.clone();
        let Some(version) = version else {
            return newest().ok_or(ArchiveError::Empty { path });
        };
        let Some(last) = catalogue.entries().next_back() else {
            return Err(ArchiveError::Empty { path });
        };
        catalogue.get(version).ok_or_else(|| {
            let first = catalogue.entries().next().map_or(last.version, |entry| entry.version);
            let held = match catalogue.entries().count() {
                1 => format!("version {first}"),
                count => format!("{count} versions from {first} to {}", last.version),
            };
            ArchiveError::NoVersion { path, version, held }
        })
    }

    /// Whether the manifest of a version is still there.
    fn is_there(&self, version: Version) -> bool {
        self.path.join(manifest_name(version)).exists()
    }
}
