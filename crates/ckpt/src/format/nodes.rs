//! What a manifest tells of nodes: which rank's shard lies in which node's directory, and what
//! each node's directory holds for others.
//!
//! Invariants: all of it follows from the number of nodes, how they guard each other and the lengths of
//! the shards, so that nothing in a manifest can contradict it. Deliberately absent: which nodes are lost,
//! and how bytes come back; see [`fetch`](crate::fetch).

use std::ops::Range;

use mainstay_types::limits::NODES_MAX;
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{DecodeError, Node, Rank, Reader, Writer};

use super::align;
use super::manifest::Manifest;
use super::name::{copy_name, guard_name, in_node};
use crate::fetch::Ring;

/// What a file beside the manifest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartFile {
    /// The shard of the rank with this number.
    Shard(usize),
    /// What this node holds for others.
    Guard(Node),
    /// The manifest's bytes.
    Copy,
}

/// The nodes of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLayout {
    /// They, and how they guard each other.
    pub ring: Ring,
    /// The CRC-32C of each node's guard file; 0 without any.
    pub guard_crcs: Vec<u32>,
}

impl NodeLayout {
    /// Of a version whose guard files are not written yet.
    #[must_use]
    pub fn new(ring: Ring) -> Self {
        Self { ring, guard_crcs: vec![0; ring.nodes() as usize] }
    }

    /// The node of a rank of `n`: each has as many as any other, or one more, one behind the other.
    #[must_use]
    pub fn node_of(&self, rank: Rank, n: u32) -> Node {
        let place = u64::from(rank.0) * u64::from(self.ring.nodes()) / u64::from(n.max(1));
        Node(u32::try_from(place).unwrap_or(u32::MAX))
    }

    /// Whether nodes hold anything for others.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.ring.redundancy() != Redundancy::None
    }

    pub(super) fn put(&self, w: &mut Writer) {
        let (kind, parity) = match self.ring.redundancy() {
            Redundancy::None => (0, 0),
            Redundancy::Partner => (1, 0),
            Redundancy::Parity(parity) => (2, parity),
        };
        w.u8(kind).u8(parity).count(self.guard_crcs.len());
        for crc in &self.guard_crcs {
            w.u32(*crc);
        }
    }

    pub(super) fn get(r: &mut Reader<'_>, n: usize) -> Result<Self, DecodeError> {
        let at = r.at();
        let unknown = |what, value| DecodeError::Unknown { what, value, at };
        let redundancy = match (r.u8("redundancy")?, r.u8("parity")?) {
            (0, 0) => Redundancy::None,
            (1, 0) => Redundancy::Partner,
            (2, parity @ 1..) => Redundancy::Parity(parity),
            (kind, _) => return Err(unknown("redundancy", kind.into())),
        };
        let nodes = r.count(4, n.min(NODES_MAX as usize), "number of nodes")?;
        let ring = u32::try_from(nodes).ok().filter(|nodes| *nodes > 0);
        let ring = ring.and_then(|nodes| Ring::new(nodes, redundancy).ok());
        let ring = ring.ok_or_else(|| unknown("number of nodes", nodes as u64))?;
        let guard_crcs: Vec<u32> =
            (0..nodes).map(|_| r.u32("guard checksum")).collect::<Result<_, _>>()?;
        if let Some(crc) = guard_crcs.iter().find(|crc| **crc != 0)
            && redundancy == Redundancy::None
        {
            return Err(unknown("guard checksum", (*crc).into()));
        }
        Ok(Self { ring, guard_crcs })
    }
}

impl Manifest {
    /// The name of a rank's shard, with its node's directory if there are nodes.
    ///
    /// # Panics
    /// When there is no such rank.
    #[must_use]
    pub fn shard_name(&self, rank: Rank) -> String {
        let name = self.ranks[rank.index()].shard_name(self.version, rank);
        match &self.nodes {
            None => name,
            Some(layout) => in_node(layout.node_of(rank, self.n()), &name),
        }
    }

    /// The names of the guard files, by node; none if nodes hold nothing for others.
    pub fn guard_names(&self) -> impl Iterator<Item = (Node, String)> + '_ {
        let layout = self.nodes.as_ref().filter(|layout| layout.is_guarded());
        let nodes = 0..layout.map_or(0, |layout| layout.ring.nodes());
        nodes.map(|node| {
            (Node(node), in_node(Node(node), &guard_name(self.version, self.epoch, Node(node))))
        })
    }

    /// The names of the manifest's copies, by node: in as many nodes as may be lost, and one more. Whatever
    /// loss leaves all shards to be had leaves one of them.
    pub fn copy_names(&self) -> impl Iterator<Item = (Node, String)> + '_ {
        let ring = self.nodes.as_ref().map(|layout| layout.ring);
        let copies = ring.map_or(0, |ring| match ring.redundancy() {
            Redundancy::None => 1,
            // No two nodes next to each other may be lost.
            Redundancy::Partner => ring.nodes().min(2),
            Redundancy::Parity(parity) => ring.nodes().min(u32::from(parity) + 1),
        });
        (0..copies).map(|node| (Node(node), in_node(Node(node), &copy_name(self.version))))
    }

    /// The names of all files beside the manifest, as [`part`](Self::part) numbers them.
    #[must_use]
    pub fn part_names(&self) -> Vec<String> {
        let guards = self.guard_names().map(|(_, name)| name);
        self.shard_names().chain(guards).chain(self.copy_names().map(|(_, name)| name)).collect()
    }

    /// What the file with this number holds: shards by rank, then guard files by node, then copies of the
    /// manifest, which tell the checksums of all before them.
    #[must_use]
    pub fn part(&self, number: usize) -> PartFile {
        let guards = self.guard_names().count();
        match number.checked_sub(self.ranks.len()) {
            None => PartFile::Shard(number),
            Some(guard) if guard < guards => {
                PartFile::Guard(Node(u32::try_from(guard).unwrap_or(u32::MAX)))
            }
            Some(_) => PartFile::Copy,
        }
    }

    /// Where the shards of a node's ranks lie in its bytes, each padded with zeros to whole pages.
    #[must_use]
    pub fn node_ranges(&self, node: Node) -> Vec<(Rank, Range<u64>)> {
        let Some(layout) = &self.nodes else { return Vec::new() };
        let mut at: u64 = 0;
        let of_node = Rank::all(self.n()).filter(|rank| layout.node_of(*rank, self.n()) == node);
        let range = |rank: Rank| {
            let bytes = self.ranks[rank.index()].file_bytes();
            let (from, to) = (at, at.saturating_add(align(bytes).unwrap_or(u64::MAX)));
            at = to;
            (rank, from..to)
        };
        of_node.map(range).collect()
    }

    /// How many bytes of its own each node has.
    #[must_use]
    pub fn node_lengths(&self) -> Vec<u64> {
        let nodes = 0..self.nodes.as_ref().map_or(0, |layout| layout.ring.nodes());
        let length = |node| self.node_ranges(Node(node)).last().map_or(0, |(_, range)| range.end);
        nodes.map(length).collect()
    }
}
