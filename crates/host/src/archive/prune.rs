//! Removing versions that newer ones make superfluous.
//!
//! Invariants: nothing is removed unless whoever removes it has the directory's lock and every version
//! that stays for it was read whole; a manifest goes aside and is synced before its shards go, and
//! the aside goes last, so that whatever is cut short leaves what the next start removes.
//! Deliberately absent: which versions go; `ckpt::catalogue` decides.

use std::collections::BTreeSet;
use std::path::Path;

use mainstay_ckpt::catalogue::{Catalogue, Pruning};
use mainstay_ckpt::{FileName, aside_name, manifest_name, parse_name};
use mainstay_types::Version;

use super::{Archive, ArchiveError, Told};
use crate::directory::{Directory, DirectoryError};

/// Files that go, or went, together.
#[derive(Debug)]
pub struct Removal {
    /// Their version; `None` for files of versions that were never published.
    pub version: Option<Version>,
    /// Their names.
    pub files: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
    /// Why they are not removed after all.
    pub failed: Option<ArchiveError>,
}

/// What pruning came to, or would come to.
#[derive(Debug)]
pub struct Pruned {
    /// What stays and why.
    pub plan: Pruning,
    /// What went, in order.
    pub removals: Vec<Removal>,
}

impl Archive {
    /// Removes all but the newest `keep` recoverable versions of each job; with `dry_run`, only says
    /// what would go.
    ///
    /// # Errors
    /// [`ArchiveError::InUse`] while a job has the directory, and whatever prevents looking at it.
    pub fn prune(
        path: &Path,
        keep: usize,
        dry_run: bool,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Pruned, ArchiveError> {
        let archive = Self::open(path)?;
        let directory = match dry_run {
            true => Directory::look(path)?,
            false => Some(Directory::open(path)?),
        };
        let mut catalogue = archive.look()?;
        let plan = archive.proved(&mut catalogue, keep, tell)?;
        let mut removals = Vec::new();
        for version in &plan.removed {
            let files = catalogue.get(*version).map(|entry| entry.files.clone());
            let files: Vec<String> =
                files.unwrap_or_default().into_iter().map(|f| f.name).collect();
            let bytes = catalogue.get(*version).map_or(0, |entry| entry.bytes());
            removals.push(Removal { version: Some(*version), files, bytes, failed: None });
        }
        let of_removed = |name: &&String| {
            let version = parse_name(name).map(|name| name.version());
            version.is_some_and(|version| plan.removed.contains(&version))
        };
        let files: Vec<String> =
            plan.strays.iter().filter(|name| !of_removed(name)).cloned().collect();
        if !files.is_empty() {
            let listed = catalogue.entries().flat_map(|entry| &entry.files);
            let listed = listed.filter(|file| files.contains(&file.name));
            let bytes = listed.filter_map(|file| file.bytes).sum();
            removals.push(Removal { version: None, files, bytes, failed: None });
        }
        if let Some(directory) = directory.filter(|_| !dry_run) {
            for removal in &mut removals {
                removal.failed = remove(&directory, removal).err().map(Into::into);
            }
        }
        Ok(Pruned { plan, removals })
    }

    /// What can go, after every version that stays for it was read whole.
    fn proved(
        &self,
        catalogue: &mut Catalogue,
        keep: usize,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Pruning, ArchiveError> {
        let mut read = BTreeSet::new();
        loop {
            let plan = catalogue.pruning(keep);
            let next = plan.kept.iter().find(|version| !read.contains(*version)).copied();
            let Some(version) = next.filter(|_| !plan.removed.is_empty()) else {
                return Ok(plan);
            };
            read.insert(version);
            let entry = catalogue.get(version);
            let verified = entry.map(|entry| self.verify(entry, tell)).transpose()?;
            for (rank, fault) in verified.into_iter().flat_map(|verified| verified.bad) {
                catalogue.found_bad(version, rank, &fault);
            }
        }
    }
}

/// Removes files in the order that leaves them known for what they are.
fn remove(directory: &Directory, removal: &Removal) -> Result<(), DirectoryError> {
    let Some(version) = removal.version else {
        return directory.remove(&removal.files);
    };
    let aside = aside_name(version);
    let is_shard = |name: &&String| matches!(parse_name(name), Some(FileName::Shard { .. }));
    let shards: Vec<String> = removal.files.iter().filter(is_shard).cloned().collect();
    directory
        .withdraw(&manifest_name(version), &aside)
        .and_then(|()| directory.remove(&shards))
        .and_then(|()| directory.remove(&[aside]))
}
