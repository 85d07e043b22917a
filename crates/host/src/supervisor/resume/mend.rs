//! What nodes have lost on disk comes back before a job goes on, as far as others hold it.
//!
//! Invariant: of each job, versions are read whole from the newest on until one can be recovered, so that it
//! is taken rather than an older one. Deliberately absent: how bytes come back; see `archive::repair`.

use std::collections::BTreeSet;

use mainstay_ckpt::catalogue::{self, Fault};
use mainstay_ckpt::format::MANIFEST_BYTES_MAX;
use mainstay_ckpt::{FileName, Manifest, parse_name};
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{JobId, Node, Rank};

use crate::archive::{Repaired, repair};
use crate::directory::Directory;
use crate::supervisor::config::Resume;

/// Gets back what can be got back; gives what to tell of it.
pub(super) fn mend(directory: &Directory, resume: Resume) -> Vec<String> {
    let mut notes = Vec::new();
    let mut done: BTreeSet<JobId> = BTreeSet::new();
    let mut manifests = manifests(directory);
    manifests.sort_by_key(|manifest| std::cmp::Reverse(manifest.version));
    for manifest in manifests {
        let job = manifest.identity.job;
        let wanted = resume == Resume::Latest || resume == Resume::Job(job);
        if !wanted || done.contains(&job) {
            continue;
        }
        let Some(repaired) = repair(directory.path(), &manifest, false) else { continue };
        notes.extend(told(&repaired));
        if repaired.is_recoverable() {
            done.insert(job);
        }
    }
    notes
}

fn manifests(directory: &Directory) -> Vec<Manifest> {
    let read = |name: &String| {
        let Some(FileName::Manifest { version }) = parse_name(name) else { return None };
        let bytes = directory.read(name, MANIFEST_BYTES_MAX as u64).ok()?;
        catalogue::read_manifest(version, &bytes).ok()
    };
    directory.names().unwrap_or_default().iter().filter_map(read).collect()
}

fn told(repaired: &Repaired) -> Vec<String> {
    let (version, mut notes) = (repaired.version, Vec::new());
    let source = match repaired.redundancy {
        Redundancy::Parity(_) => "parity",
        Redundancy::None | Redundancy::Partner => "its partner's copy",
    };
    let came_back = |what: bool| {
        let lost = repaired.lost.iter().filter(move |lost| lost.refused.is_none());
        lost.filter(move |lost| lost.rank.is_some() == what).map(|lost| lost.node)
    };
    let shards: BTreeSet<Node> = came_back(true).collect();
    notes.extend(
        shards
            .iter()
            .map(|n| format!("node {n}'s part of version {version} was rebuilt from {source}")),
    );
    let guards: BTreeSet<Node> = came_back(false).collect();
    notes.extend(
        guards.iter().map(|n| format!("what node {n} holds of version {version} was made again")),
    );
    for lost in &repaired.lost {
        if let Some(why) = &lost.refused {
            let (name, fault) = (&lost.name, &lost.fault);
            notes.push(format!("{name} does not come back ({fault}): {why}"));
        }
    }
    notes
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
