//! Removing versions that newer ones make superfluous.
//!
//! Invariants: nothing is removed unless whoever removes it has the directory's lock and every version
//! that stays for it was read whole. Deliberately absent: which versions go, which `ckpt::catalogue`
//! decides, and in which order their files do, which `ckpt::commit` decides.

use std::collections::BTreeSet;
use std::path::Path;

use mainstay_ckpt::catalogue::{Catalogue, Pruning};
use mainstay_ckpt::{FileName, Files, Leftovers, parse_name};
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
    /// Removes all but the newest `keep` recoverable versions of each job and its archives, unless these
    /// are to go, too; with `dry_run`, only says what would go.
    ///
    /// # Errors
    /// [`ArchiveError::InUse`] while a job has the directory, and whatever prevents looking at it.
    pub fn prune(
        path: &Path,
        (keep, archives_too): (usize, bool),
        dry_run: bool,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Pruned, ArchiveError> {
        let archive = Self::open(path)?;
        let directory = match dry_run {
            true => Directory::look(path)?,
            false => Some(Directory::open(path)?),
        };
        let mut catalogue = archive.look()?;
        let plan = archive.proved(&mut catalogue, (keep, archives_too), tell)?;
        let mut removals = Vec::new();
        // The newest first: a version goes before what it refers to.
        for version in plan.removed.iter().rev() {
            let files = catalogue.get(*version).map(|entry| entry.files.clone());
            let files: Vec<String> =
                files.unwrap_or_default().into_iter().map(|f| f.name).collect();
            let bytes = catalogue.get(*version).map_or(0, |entry| entry.bytes());
            removals.push(Removal { version: Some(*version), files, bytes, failed: None });
        }
        let Leftovers { files, marks, .. } = &plan.leftovers;
        let files = [&files[..], marks].concat();
        if !files.is_empty() {
            let listed = catalogue.entries().flat_map(|entry| &entry.files);
            let listed = listed.filter(|file| files.contains(&file.name));
            let bytes = listed.filter_map(|file| file.bytes).sum();
            removals.push(Removal { version: None, files, bytes, failed: None });
        }
        if let Some(directory) = directory.filter(|_| !dry_run) {
            for removal in &mut removals {
                let removed = remove(&directory, removal, &plan.leftovers);
                removal.failed = removed.err().map(Into::into);
            }
        }
        Ok(Pruned { plan, removals })
    }

    /// What can go, after every version that stays for it was read whole.
    fn proved(
        &self,
        catalogue: &mut Catalogue,
        (keep, archives_too): (usize, bool),
        tell: &mut dyn FnMut(Told),
    ) -> Result<Pruning, ArchiveError> {
        let mut read = BTreeSet::new();
        loop {
            let plan = match archives_too {
                true => catalogue.pruning_archives_too(keep),
                false => catalogue.pruning(keep),
            };
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

fn remove(
    directory: &Directory,
    removal: &Removal,
    leftovers: &Leftovers,
) -> Result<(), DirectoryError> {
    let Some(version) = removal.version else {
        return directory.clean(leftovers);
    };
    let goes = |name: &&String| {
        let what = parse_name(name);
        !matches!(what, None | Some(FileName::Manifest { .. } | FileName::Aside { .. }))
    };
    let shards = removal.files.iter().filter(goes).cloned().collect();
    directory.prune(&Files::new(version, shards))
}
