//! Versions that a repair looks at: by their manifests, or by a node's copy of one that was lost.
//!
//! A copy is durable before its manifest is published, so one may lie there of a version that never was.
//! Its mark tells, as long as it is there. Where even that is lost, all shards that the copy names must be
//! whole: then it is the version that was under way when all else was lost, and as good as published.
//!
//! Invariant: two copies that differ are no manifest. Deliberately absent: shards.

use std::collections::BTreeMap;

use mainstay_ckpt::catalogue::Fault;
use mainstay_ckpt::{FileName, Manifest, manifest_name, parse_name};
use mainstay_types::Version;

use crate::archive::{Archive, ArchiveError};

/// A version to be repaired.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) manifest: Manifest,
    /// What is wrong with the manifest itself, if this is what a copy says.
    pub(crate) lost: Option<Fault>,
}

/// All that have a manifest, or a copy that can be believed; older ones first.
pub(crate) fn wanted(archive: &Archive) -> Result<Vec<Wanted>, ArchiveError> {
    #[derive(Default)]
    struct Named {
        published: bool,
        aside: bool,
        copies: Vec<String>,
    }
    let mut named: BTreeMap<Version, Named> = BTreeMap::new();
    for name in archive.names()? {
        let Some(what) = parse_name(&name) else { continue };
        let of_version = named.entry(what.version()).or_default();
        match what {
            FileName::Manifest { .. } => of_version.published = true,
            FileName::Aside { .. } => of_version.aside = true,
            FileName::Copy { .. } => of_version.copies.push(name),
            FileName::Shard { .. } | FileName::Guard { .. } | FileName::Archive { .. } => {}
        }
    }
    let of = |(version, named): (Version, Named)| {
        let published = match named.published {
            true => archive.read_manifest(&manifest_name(version), version),
            false => Err(Fault::Missing),
        };
        let fault = match published {
            Ok(manifest) => return Some(Wanted { manifest, lost: None }),
            Err(fault) => fault,
        };
        if named.aside && !named.published {
            return None;
        }
        let copies = named.copies.iter();
        let mut copies = copies.filter_map(|name| archive.read_manifest(name, version).ok());
        let manifest = copies.next()?;
        copies.all(|other| other == manifest).then_some(Wanted { manifest, lost: Some(fault) })
    };
    Ok(named.into_iter().filter_map(of).collect())
}
