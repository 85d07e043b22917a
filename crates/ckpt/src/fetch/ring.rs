//! Which node holds what for which, and what of it each has to fetch.
//!
//! Invariant: whatever is lost within the claim ([`Ring::covers`]), a fetch gives it back. Deliberately
//! absent: which nodes are lost.

use std::collections::BTreeSet;
use std::ops::Range;

use mainstay_types::Node;
use mainstay_types::wire::node::Redundancy;

use super::{Fetch, Place, length, piece_bytes};
use crate::erasure::{Code, CodeError, Group};

/// The nodes of a job and how they guard each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    nodes: u32,
    redundancy: Redundancy,
}

impl Ring {
    /// So many nodes.
    ///
    /// # Errors
    /// Too few of them for what is asked.
    pub fn new(nodes: u32, redundancy: Redundancy) -> Result<Self, CodeError> {
        let ring = Self { nodes, redundancy };
        match redundancy {
            Redundancy::None => {}
            Redundancy::Partner => {
                Code::new(nodes.saturating_sub(1) as usize, 1)?;
            }
            Redundancy::Parity(_) => drop(ring.group()?),
        }
        Ok(ring)
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(self) -> u32 {
        self.nodes
    }

    /// How they guard each other.
    #[must_use]
    pub fn redundancy(self) -> Redundancy {
        self.redundancy
    }

    /// Whether all that these nodes had can be got back, if what they hold for others is lost as well.
    #[must_use]
    pub fn covers(self, lost: &BTreeSet<Node>) -> bool {
        match self.redundancy {
            Redundancy::None => lost.is_empty(),
            Redundancy::Partner => lost.iter().all(|node| !lost.contains(&self.after(*node, 1))),
            Redundancy::Parity(parity) => lost.len() <= usize::from(parity),
        }
    }

    fn group(self) -> Result<Group, CodeError> {
        let parity = match self.redundancy {
            Redundancy::Parity(parity) => usize::from(parity),
            Redundancy::None | Redundancy::Partner => 0,
        };
        Ok(Group::new(Code::new((self.nodes as usize).saturating_sub(parity), parity)?))
    }

    fn after(self, node: Node, places: u32) -> Node {
        Node((node.0 + places) % self.nodes)
    }

    /// How many bytes a node holds for others, if nodes have so many of their own.
    #[must_use]
    pub fn held_bytes(self, node: Node, lengths: &[u64]) -> u64 {
        match self.redundancy {
            Redundancy::None => 0,
            Redundancy::Partner => length(lengths, self.after(node, self.nodes - 1)),
            Redundancy::Parity(parity) => self.group().map_or(0, |group| {
                u64::from(parity) * group.segment_bytes(lengths.iter().copied().max().unwrap_or(0))
            }),
        }
    }

    /// What a node is to hold for others.
    #[must_use]
    pub fn guard(self, node: Node, lengths: &[u64]) -> Fetch {
        let mut fetch = Fetch::new(piece_bytes(self.nodes));
        match self.redundancy {
            Redundancy::None => {}
            Redundancy::Partner => {
                let ward = self.after(node, self.nodes - 1);
                fetch.copy((ward, Place::Own), 0..length(lengths, ward));
            }
            Redundancy::Parity(_) => {
                if let Ok(group) = self.group() {
                    fetch.parity(group, node, lengths);
                }
            }
        }
        fetch
    }

    /// Ranges of a node's own bytes, from nodes that have all of theirs.
    ///
    /// # Errors
    /// Too few of them are left.
    pub fn rebuild(
        self,
        node: Node,
        lengths: &[u64],
        ranges: &[Range<u64>],
        left: &[Node],
    ) -> Result<Fetch, CodeError> {
        let other = |other: &Node| *other != node && other.0 < self.nodes;
        let left: Vec<_> = left.iter().copied().filter(other).collect();
        let mut fetch = Fetch::new(piece_bytes(self.nodes));
        match self.redundancy {
            Redundancy::None => return Err(CodeError::TooFew { left: 0, needed: 1 }),
            Redundancy::Partner => {
                let partner = self.after(node, 1);
                if !left.contains(&partner) {
                    return Err(CodeError::TooFew { left: 0, needed: 1 });
                }
                for range in ranges {
                    fetch.copy((partner, Place::Held), range.clone());
                }
            }
            Redundancy::Parity(_) => {
                let group = self.group()?;
                for range in ranges {
                    fetch.segments(group, node, lengths, range, &left)?;
                }
            }
        }
        Ok(fetch)
    }
}
