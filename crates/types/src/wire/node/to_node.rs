//! What a launcher says to a node.
//!
//! Deliberately absent: bytes of versions, which lie in descriptors.

use super::{Order, Redundancy, get_ids, put_ids, unknown};
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::{NODES_MAX, RANKS_MAX};
use crate::wire::{flag, slot};
use crate::{Node, Rank, Version};

/// What a launcher says to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToNode {
    /// The first message.
    Begin {
        /// Which node it is.
        node: Node,
        /// How many there are.
        nodes: u32,
        /// How many ranks the job has.
        ranks: u32,
        /// How nodes guard each other.
        redundancy: Redundancy,
    },
    /// A line to another node, or to the launcher's drain; the descriptors are a socket and a window. It
    /// takes the place of an older one.
    Link {
        /// Whose the other end is; `None` is the drain.
        peer: Option<Node>,
        /// Whether the first half of the window is for what this node asks for.
        first: bool,
    },
    /// The rank needs an arena for the slot.
    Arena {
        /// Whose.
        rank: Rank,
        /// Which of its slots.
        slot: u8,
        /// At least so many bytes.
        bytes: u64,
    },
    /// A rank's late messages; the descriptor is their memory.
    Late {
        /// Whose.
        rank: Rank,
        /// Of which version.
        version: Version,
        /// How many bytes.
        bytes: u64,
    },
    /// Fetch what you hold of this version for others.
    Guard(Order),
    /// Get back what these ranks of yours had of this version.
    Rebuild {
        /// The version.
        order: Order,
        /// Which ranks.
        ranks: Vec<Rank>,
        /// The nodes whose own parts and whose redundancy are whole.
        left: Vec<Node>,
    },
    /// Hand over what a rank restores from.
    Hand {
        /// The answer names it.
        number: u64,
        /// Whose.
        rank: Rank,
        /// Its slot.
        slot: u8,
        /// Which version.
        version: Version,
        /// Whether it has late messages.
        late: bool,
    },
    /// What you hold of this version beside arenas may go.
    Freed {
        /// Which version.
        version: Version,
    },
}

impl ToNode {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Begin { node, nodes, ranks, redundancy } => {
                w.u8(0).u32(node.0).u32(*nodes).u32(*ranks);
                redundancy.put(&mut w);
            }
            Self::Link { peer, first } => {
                w.u8(1).option(*peer, |w, node| {
                    w.u32(node.0);
                });
                w.u8(u8::from(*first));
            }
            Self::Arena { rank, slot, bytes } => {
                w.u8(2).u32(rank.0).u8(*slot).u64(*bytes);
            }
            Self::Late { rank, version, bytes } => {
                w.u8(3).u32(rank.0).u64(version.0).u64(*bytes);
            }
            Self::Guard(order) => {
                w.u8(4);
                order.put(&mut w);
            }
            Self::Rebuild { order, ranks, left } => {
                w.u8(5);
                order.put(&mut w);
                put_ids(&mut w, ranks.iter().map(|rank| rank.0));
                put_ids(&mut w, left.iter().map(|node| node.0));
            }
            Self::Hand { number, rank, slot, version, late } => {
                w.u8(6).u64(*number).u32(rank.0).u8(*slot).u64(version.0).u8(u8::from(*late));
            }
            Self::Freed { version } => {
                w.u8(7).u64(version.0);
            }
        }
        w.into_bytes()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Anything that [`ToNode::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("message kind")? {
            0 => Self::Begin {
                node: Node(r.u32("node")?),
                nodes: r.u32("nodes")?,
                ranks: r.u32("ranks")?,
                redundancy: Redundancy::get(&mut r)?,
            },
            1 => Self::Link {
                peer: r.option("peer", |r| Ok(Node(r.u32("peer")?)))?,
                first: flag(&mut r)?,
            },
            2 => Self::Arena {
                rank: Rank(r.u32("rank")?),
                slot: slot(&mut r)?,
                bytes: r.u64("arena bytes")?,
            },
            3 => Self::Late {
                rank: Rank(r.u32("rank")?),
                version: Version(r.u64("version")?),
                bytes: r.u64("late bytes")?,
            },
            4 => Self::Guard(Order::get(&mut r)?),
            5 => Self::Rebuild {
                order: Order::get(&mut r)?,
                ranks: get_ids(&mut r, RANKS_MAX as usize)?.map(Rank).collect(),
                left: get_ids(&mut r, NODES_MAX as usize)?.map(Node).collect(),
            },
            6 => Self::Hand {
                number: r.u64("number")?,
                rank: Rank(r.u32("rank")?),
                slot: slot(&mut r)?,
                version: Version(r.u64("version")?),
                late: flag(&mut r)?,
            },
            7 => Self::Freed { version: Version(r.u64("version")?) },
            other => return Err(unknown(other)),
        };
        r.end("message")?;
        Ok(message)
    }
}
