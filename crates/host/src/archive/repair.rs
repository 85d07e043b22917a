//! Getting back what was lost of a version from what nodes hold for each other.
//!
//! Invariants: a file takes its name only after it was read back and found to be what the manifest says; a
//! file that is whole is not touched; what cannot be got back is left as it is. Whoever repairs has the
//! directory's lock. Deliberately absent: which bytes are needed, which `ckpt::fetch` says.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use mainstay_ckpt::catalogue::Fault;
use mainstay_ckpt::fetch::{Fetch, Ring};
use mainstay_ckpt::format::verify::{Seen, audit_shard};
use mainstay_ckpt::{Expected, Manifest, NodeLayout, ReadAt};
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Node, Rank, Version, crc32c_append};

use super::file::ShardFile;
use super::verify::fault_of;
use super::{Archive, ArchiveError};
use crate::directory::Directory;
use crate::guard::Sources;

/// What a file is called until it is whole.
const UNTIL_WHOLE: &str = ".mend";

/// A file of a version that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// In whose directory it lies.
    pub node: Node,
    /// The rank whose shard it is; `None` for what the node holds for others.
    pub rank: Option<Rank>,
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
    /// Whether all ranks' shards are whole now, or would be.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        self.lost.iter().all(|lost| lost.rank.is_none() || lost.refused.is_none())
    }

    /// Whether every file is whole now, or would be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost.iter().all(|lost| lost.refused.is_none())
    }
}

impl Archive {
    /// Gets back what was lost of one version or of all that have nodes; with `dry_run`, only says what
    /// would come back. Every file of them is read.
    ///
    /// # Errors
    /// [`ArchiveError::InUse`] while a job has the directory, and whatever prevents looking at it.
    pub fn repair(
        path: &Path,
        version: Option<Version>,
        dry_run: bool,
    ) -> Result<Vec<Repaired>, ArchiveError> {
        let archive = Self::open(path)?;
        let _locked = match dry_run {
            true => Directory::look(path)?,
            false => Some(Directory::open(path)?),
        };
        let catalogue = archive.look()?;
        if version.is_some() {
            archive.find(&catalogue, version)?;
        }
        let wanted = catalogue.entries().filter(|entry| version.is_none_or(|v| v == entry.version));
        let manifests = wanted.filter_map(|entry| entry.manifest());
        Ok(manifests.filter_map(|manifest| repair(path, manifest, dry_run)).collect())
    }
}

/// Gets back what can be got back of a version in a directory that is locked; `None` if it has no nodes.
pub(crate) fn repair(directory: &Path, manifest: &Manifest, dry_run: bool) -> Option<Repaired> {
    let layout = manifest.nodes.as_ref()?;
    let redundancy = layout.ring.redundancy();
    let mut lost = lost(directory, manifest, layout);
    let (ring, lengths) = (layout.ring, manifest.node_lengths());
    let left = left(ring, &lost);
    let mut bad_shards = false;
    for lost in &mut lost {
        let fetch = match lost.rank {
            Some(rank) => {
                let of_rank = manifest.node_ranges(lost.node).into_iter().find(|(r, _)| *r == rank);
                let ranges: Vec<_> = of_rank.into_iter().map(|(_, range)| range).collect();
                ring.rebuild(lost.node, &lengths, &ranges, &left)
                    .map_err(|error| format!("{} are whole: {error}", nodes(left.len())))
            }
            // Shards come first, so that all that can be whole are by now.
            None if bad_shards => Err("shards that it is made of are lost".to_owned()),
            None => Ok(ring.guard(lost.node, &lengths)),
        };
        let done = fetch.and_then(|fetch| match dry_run {
            true => Ok(()),
            false => rebuild(directory, manifest, lost, fetch),
        });
        lost.refused = done.err();
        bad_shards |= lost.refused.is_some();
    }
    Some(Repaired { version: manifest.version, redundancy, lost })
}

fn nodes(count: usize) -> String {
    if count == 1 { "1 other node".to_owned() } else { format!("{count} other nodes") }
}

/// All that is not as it was written: shards by rank, then guard files by node.
fn lost(directory: &Path, manifest: &Manifest, layout: &NodeLayout) -> Vec<Lost> {
    let of_shard = |rank: Rank| {
        let (node, name) = (layout.node_of(rank, manifest.n()), manifest.shard_name(rank));
        let fault = check_shard(&directory.join(&name), manifest, rank).err()?;
        Some(Lost { node, rank: Some(rank), name, fault, refused: None })
    };
    let of_guard = |(node, name): (Node, String)| {
        let fault = check_guard(&directory.join(&name), manifest, node).err()?;
        Some(Lost { node, rank: None, name, fault, refused: None })
    };
    let shards = Rank::all(manifest.n()).filter_map(of_shard);
    shards.chain(manifest.guard_names().filter_map(of_guard)).collect()
}

/// The nodes whose bytes can be relied on to rebuild others.
fn left(ring: Ring, lost: &[Lost]) -> Vec<Node> {
    // A copy needs nothing else of the node that holds it; parity takes its segments, too.
    let matters = |lost: &&Lost| lost.rank.is_none() || ring.redundancy() != Redundancy::Partner;
    let bad: BTreeSet<Node> = lost.iter().filter(matters).map(|lost| lost.node).collect();
    (0..ring.nodes()).map(Node).filter(|node| !bad.contains(node)).collect()
}

fn check_shard(path: &Path, manifest: &Manifest, rank: Rank) -> Result<(), Fault> {
    let shard = ShardFile::open(path)?;
    let entry = &manifest.ranks[rank.index()];
    let mut found = Ok(());
    let late = (entry.late_bytes, entry.late_crc);
    let _first = audit_shard(&shard, &Expected::of(manifest, rank), late, &mut |seen| match seen {
        Seen::Bytes(_) => ControlFlow::Continue(()),
        Seen::Wrong(wrong) => {
            found = Err(fault_of(wrong.part, wrong.error, &shard));
            ControlFlow::Break(())
        }
    });
    found
}

fn check_guard(path: &Path, manifest: &Manifest, node: Node) -> Result<(), Fault> {
    let Some(layout) = &manifest.nodes else { return Ok(()) };
    let unreadable = |error: io::Error| Fault::Unreadable { why: error.to_string() };
    let bytes = ShardFile::open(path)?.bytes();
    let expected = layout.ring.held_bytes(node, &manifest.node_lengths());
    if bytes != expected {
        return Err(Fault::Length { bytes, expected });
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut crc, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            count => crc = crc32c_append(crc, &buffer[..count]),
        }
    }
    let stored = layout.guard_crcs.get(node.index()).copied().unwrap_or(0);
    let what = "what a node holds for others";
    let wrong = mainstay_types::DecodeError::Checksum { what, found: crc, stored };
    if crc == stored { Ok(()) } else { Err(Fault::Damaged(wrong.into())) }
}

/// Writes a file anew beside its name, reads it back, and gives it its name.
fn rebuild(directory: &Path, manifest: &Manifest, lost: &Lost, fetch: Fetch) -> Result<(), String> {
    let path = directory.join(&lost.name);
    let aside = directory.join(format!("{}{UNTIL_WHOLE}", lost.name));
    let write = || -> io::Result<()> {
        let above = path.parent().unwrap_or(directory);
        if !above.exists() {
            DirBuilder::new().mode(0o700).create(above)?;
        }
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&aside)?;
        let mut out = BufWriter::new(file);
        Sources::new(directory, manifest).carry_out(fetch, &mut |bytes| out.write_all(bytes))?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        if let Some(rank) = lost.rank {
            // Without the zeros up to the next page.
            file.set_len(manifest.ranks[rank.index()].shard_bytes())?;
        }
        file.sync_all()
    };
    let whole = write().map_err(|error| error.to_string()).and_then(|()| {
        let checked = match lost.rank {
            Some(rank) => check_shard(&aside, manifest, rank),
            None => check_guard(&aside, manifest, lost.node),
        };
        checked.map_err(|fault| format!("what came of it is not what was written: {fault}"))
    });
    let named = whole.and_then(|()| {
        let sync = |path: &Path| File::open(path).and_then(|d| d.sync_all());
        let above = path.parent().unwrap_or(directory);
        let named = fs::rename(&aside, &path).and_then(|()| sync(above));
        named.and_then(|()| sync(directory)).map_err(|error| error.to_string())
    });
    if named.is_err() {
        // What is left under this name is no file of a version, and the next repair replaces it.
        let _left = fs::remove_file(&aside);
    }
    named
}
