//! Getting back what was lost of a version from what nodes hold for each other.
//!
//! Invariants: a file takes its name only after it was read back and found to be what the manifest says; a
//! file that is whole is not touched; what cannot be got back is left as it is. A manifest that was lost is
//! believed from a node's copy only if nothing says that its version was never published, and comes back
//! only when all shards that it names are whole. Whoever repairs has the directory's lock. Deliberately
//! absent: which bytes are needed, which `ckpt::fetch` says.

mod file;
mod manifest;

use std::collections::BTreeSet;
use std::path::Path;

use mainstay_ckpt::catalogue::{Entry, Fault, Standing};
use mainstay_ckpt::fetch::Ring;
use mainstay_ckpt::{Manifest, NodeLayout, manifest_name};
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Node, Rank, Version};

pub(crate) use self::manifest::{Wanted, wanted};
use super::{Archive, ArchiveError};
use crate::directory::Directory;

/// What a file is called until it is whole.
pub(crate) const UNTIL_WHOLE: &str = ".mend";

/// What a file of a version holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The manifest, in the directory itself.
    Manifest,
    /// A rank's shard, in the directory of this node.
    Shard(Rank, Node),
    /// What this node holds for others.
    Guard(Node),
    /// A copy of the manifest, in the directory of this node.
    Copy(Node),
}

impl Held {
    /// The name in `--json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Shard(..) => "shard",
            Self::Guard(_) => "guard",
            Self::Copy(_) => "copy",
        }
    }

    /// The node in whose directory it lies.
    #[must_use]
    pub fn node(self) -> Option<Node> {
        match self {
            Self::Manifest => None,
            Self::Shard(_, node) | Self::Guard(node) | Self::Copy(node) => Some(node),
        }
    }

    /// The rank whose shard it is.
    #[must_use]
    pub fn rank(self) -> Option<Rank> {
        match self {
            Self::Shard(rank, _) => Some(rank),
            Self::Manifest | Self::Guard(_) | Self::Copy(_) => None,
        }
    }

    /// Whether no rank can be restored without it.
    fn is_needed(self) -> bool {
        matches!(self, Self::Manifest | Self::Shard(..))
    }
}

/// A file of a version that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What it holds.
    pub held: Held,
    /// Its name, with the node's directory.
    pub name: String,
    /// What is wrong with it.
    pub fault: Fault,
    /// Why it was not got back, or cannot be.
    pub refused: Option<String>,
}

/// What repairing a version came to, or would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Which.
    pub version: Version,
    /// How its nodes guard each other.
    pub redundancy: Redundancy,
    /// What was lost.
    pub lost: Vec<Lost>,
}

impl Repaired {
    /// Whether the manifest and all ranks' shards are whole now, or would be.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        self.lost.iter().all(|lost| !lost.held.is_needed() || lost.refused.is_none())
    }

    /// Whether every file is whole now, or would be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost.iter().all(|lost| lost.refused.is_none())
    }
}

impl Archive {
    /// Gets back what was lost of one version or of all that have nodes; with `dry_run`, only says what
    /// would come back. Every file of them is read; `tell` hears how many bytes more were.
    ///
    /// # Errors
    /// [`ArchiveError::InUse`] while a job has the directory, and whatever prevents looking at it.
    pub fn repair(
        path: &Path,
        version: Option<Version>,
        dry_run: bool,
        tell: &mut dyn FnMut(u64),
    ) -> Result<Vec<Repaired>, ArchiveError> {
        let archive = Self::open(path)?;
        let _locked = match dry_run {
            true => Directory::look(path)?,
            false => Some(Directory::open(path)?),
        };
        if version.is_some() {
            archive.find(&archive.look()?, version)?;
        }
        let is_meant = |found: Version| version.is_none_or(|version| version == found);
        let mut repaired: Vec<Repaired> = Vec::new();
        let all = wanted(&archive)?;
        for entry in archive.look()?.entries().filter(|entry| is_meant(entry.version)) {
            if !all.iter().any(|wanted| wanted.manifest.version == entry.version) {
                repaired.extend(without_manifest(entry));
            }
        }
        // Older ones first: newer ones may refer to them.
        for wanted in all.iter().filter(|wanted| is_meant(wanted.manifest.version)) {
            repaired.extend(archive.repair_one(wanted, dry_run, tell));
        }
        repaired.sort_by_key(|repaired| repaired.version);
        Ok(repaired)
    }

    /// Gets back what can be got back of a version in a directory that is locked; `None` if it has no
    /// nodes.
    pub(crate) fn repair_one(
        &self,
        wanted: &Wanted,
        dry_run: bool,
        tell: &mut dyn FnMut(u64),
    ) -> Option<Repaired> {
        let manifest = &wanted.manifest;
        let layout = manifest.nodes.as_ref()?;
        let (ring, lengths) = (layout.ring, manifest.node_lengths());
        let mut lost = self.lost(manifest, layout, tell);
        let left = left(ring, &lost);
        let mut bad_shards = false;
        for lost in &mut lost {
            let done = match lost.held {
                _ if matches!(lost.fault, Fault::Holder { .. }) => {
                    Err("repair the version that has it first".to_owned())
                }
                Held::Shard(rank, node) => {
                    let ranges = manifest.node_ranges(node).into_iter();
                    let ranges: Vec<_> =
                        ranges.filter(|(r, _)| *r == rank).map(|(_, range)| range).collect();
                    let fetch = ring.rebuild(node, &lengths, &ranges, &left);
                    let fetch =
                        fetch.map_err(|error| format!("{} are whole: {error}", nodes(left.len())));
                    fetch.and_then(|fetch| self.rebuild(manifest, lost, fetch, dry_run))
                }
                // Shards come first, so that all that can be whole are by now.
                Held::Guard(_) if bad_shards => {
                    Err("shards that it is made of are lost".to_owned())
                }
                Held::Guard(node) => {
                    self.rebuild(manifest, lost, ring.guard(node, &lengths), dry_run)
                }
                Held::Copy(_) | Held::Manifest => self.put_manifest(manifest, &lost.name, dry_run),
            };
            bad_shards |= done.is_err() && lost.held.is_needed();
            lost.refused = done.err();
        }
        if let Some(fault) = &wanted.lost {
            let name = manifest_name(manifest.version);
            let done = match bad_shards {
                true => Err("shards that it names are lost".to_owned()),
                false => self.put_manifest(manifest, &name, dry_run),
            };
            let (fault, refused) = (fault.clone(), done.err());
            lost.push(Lost { held: Held::Manifest, name, fault, refused });
        }
        Some(Repaired { version: manifest.version, redundancy: ring.redundancy(), lost })
    }

    /// All that is not as it was written: shards by rank, guard files by node, then copies.
    fn lost(
        &self,
        manifest: &Manifest,
        layout: &NodeLayout,
        tell: &mut dyn FnMut(u64),
    ) -> Vec<Lost> {
        let n = manifest.n();
        let of_shard = |rank: Rank| {
            let name = manifest.shard_name(rank);
            let fault = self.check_shard(&name, manifest, rank, tell).err()?;
            let held = Held::Shard(rank, layout.node_of(rank, n));
            Some(Lost { held, name, fault, refused: None })
        };
        let mut lost: Vec<_> = Rank::all(n).filter_map(of_shard).collect();
        lost.extend(self.lost_spares(manifest, tell));
        lost
    }

    /// The same of what nodes hold for others, and of copies of the manifest.
    pub(super) fn lost_spares(&self, manifest: &Manifest, tell: &mut dyn FnMut(u64)) -> Vec<Lost> {
        let lost = |held, name, found: Result<(), Fault>| {
            Some(Lost { held, name, fault: found.err()?, refused: None })
        };
        let guards = manifest.guard_names().filter_map(|(node, name)| {
            let found = self.check_guard(&name, manifest, node, tell);
            lost(Held::Guard(node), name, found)
        });
        let copies = manifest.copy_names().filter_map(|(node, name)| {
            let found = self.check_copy(&name, manifest);
            lost(Held::Copy(node), name, found)
        });
        guards.chain(copies).collect()
    }
}

/// A version of which nobody has the manifest, unless it was never published.
fn without_manifest(entry: &Entry) -> Option<Repaired> {
    let fault = match (&entry.manifest, entry.standing) {
        (Some(Err(fault)), _) => fault.clone(),
        (None, Standing::Orphaned) => Fault::Missing,
        _ => return None,
    };
    let (version, name) = (entry.version, manifest_name(entry.version));
    let refused = Some("no node has a copy that can be believed".to_owned());
    let lost = vec![Lost { held: Held::Manifest, name, fault, refused }];
    Some(Repaired { version, redundancy: Redundancy::None, lost })
}

fn nodes(count: usize) -> String {
    if count == 1 { "1 other node".to_owned() } else { format!("{count} other nodes") }
}

/// The nodes whose bytes can be relied on to rebuild others.
fn left(ring: Ring, lost: &[Lost]) -> Vec<Node> {
    // A copy needs nothing else of the node that holds it; parity takes its segments, too.
    let matters = |lost: &&Lost| match lost.held {
        Held::Guard(_) => true,
        Held::Shard(..) => ring.redundancy() != Redundancy::Partner,
        Held::Manifest | Held::Copy(_) => false,
    };
    let bad: BTreeSet<Node> = lost.iter().filter(matters).filter_map(|l| l.held.node()).collect();
    (0..ring.nodes()).map(Node).filter(|node| !bad.contains(node)).collect()
}
