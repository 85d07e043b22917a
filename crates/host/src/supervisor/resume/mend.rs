//! What nodes have lost on disk comes back before a job goes on, as far as others hold it.
//!
//! Invariant: of each job, versions are read whole from the newest on until one can be recovered, so that it
//! is taken rather than an older one. Deliberately absent: how bytes come back; see `archive::repair`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use mainstay_ckpt::Manifest;
use mainstay_ckpt::catalogue::{self, Fault};
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{JobId, Node, Rank, Version};

use crate::archive::{Archive, Held, Lost, Repaired, Wanted, wanted};
use crate::directory::Directory;
use crate::supervisor::config::Resume;

/// Gets back what can be got back; gives what to tell of it.
pub(super) fn mend(directory: &Directory, resume: Resume) -> Vec<String> {
    let (archive, mut all) = versions(directory);
    let mut notes = Vec::new();
    let mut done: BTreeSet<JobId> = BTreeSet::new();
    let mut recoverable: BTreeMap<Version, bool> = BTreeMap::new();
    all.reverse();
    for wanted in &all {
        let Some(archive) = &archive else { break };
        let job = wanted.manifest.identity.job;
        let meant = resume == Resume::Latest || resume == Resume::Job(job);
        if !meant || done.contains(&job) {
            continue;
        }
        // Those that it refers to come first, from the oldest on.
        let holders = wanted.manifest.refers_to();
        let holders = all.iter().rev().filter(|other| holders.contains(&other.manifest.version));
        for wanted in holders.chain([wanted]) {
            let Entry::Vacant(unread) = recoverable.entry(wanted.manifest.version) else {
                continue;
            };
            // Of a version without nodes nothing is known but that it is not mended here.
            let repaired = archive.repair_one(wanted, false, &mut |_| {});
            unread.insert(repaired.as_ref().is_some_and(Repaired::is_recoverable));
            notes.extend(repaired.as_ref().map(told).into_iter().flatten());
        }
        if recoverable.get(&wanted.manifest.version) == Some(&true) {
            done.insert(job);
        }
    }
    notes
}

/// Manifests that are lost, as copies have them.
pub(super) fn lost_manifests(directory: &Directory) -> Vec<Manifest> {
    let lost = versions(directory).1.into_iter().filter(|wanted| wanted.lost.is_some());
    lost.map(|wanted| wanted.manifest).collect()
}

fn versions(directory: &Directory) -> (Option<Archive>, Vec<Wanted>) {
    let archive = Archive::open(directory.path()).ok();
    let all = archive.as_ref().and_then(|archive| wanted(archive).ok());
    (archive, all.unwrap_or_default())
}

fn told(repaired: &Repaired) -> Vec<String> {
    let version = repaired.version;
    let source = match repaired.redundancy {
        Redundancy::Parity(_) => "parity",
        Redundancy::None | Redundancy::Partner => "its partner's copy",
    };
    let mut notes = BTreeSet::new();
    for Lost { held, name, fault, refused } in &repaired.lost {
        notes.insert(match (held, refused) {
            (_, Some(why)) => format!("{name} does not come back ({fault}): {why}"),
            (Held::Manifest, _) => {
                format!("the manifest of version {version} was put back from a node's copy")
            }
            (Held::Shard(_, node), _) => {
                format!("node {node}'s part of version {version} was rebuilt from {source}")
            }
            (Held::Guard(node), _) => {
                format!("what node {node} holds of version {version} was made again")
            }
            (Held::Copy(node), _) => {
                format!("node {node}'s copy of the manifest of version {version} was made again")
            }
        });
    }
    notes.into_iter().collect()
}

/// Whether shards are lost that others may give back, as far as can be told without reading them.
pub(super) fn may_help(directory: &Directory, manifest: &Manifest) -> bool {
    let Some(layout) = &manifest.nodes else { return false };
    let fault = |rank: &Rank| {
        let file = directory.open_file(&manifest.shard_name(*rank));
        let bytes = file.ok().and_then(|file| Some(file.metadata().ok()?.len()));
        let entry = &manifest.ranks[rank.index()];
        bytes.map_or(Err(Fault::Missing), |bytes| catalogue::check_length(entry, bytes)).is_err()
    };
    let lost: BTreeSet<Node> = Rank::all(manifest.n())
        .filter(fault)
        .map(|rank| layout.node_of(rank, manifest.n()))
        .collect();
    !lost.is_empty() && layout.ring.covers(&lost)
}
