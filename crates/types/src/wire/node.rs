//! Messages between a launcher and its nodes, and between two nodes.
//!
//! A node is a process that alone holds the arenas of its ranks and, for other nodes, copies or parity.
//! One message is one datagram; descriptors travel beside it. `docs/protocols/nodes.md` has the tables.
//! Invariant: `decode(encode(m)) == m`, and any other input is an error. Deliberately absent: bytes of
//! versions, which lie in arenas and windows.

mod from_node;
mod talk;
mod to_node;

use super::slot;
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::{NODES_MAX, RANKS_MAX};
use crate::{Rank, Version};

pub use from_node::FromNode;
pub use talk::{Talk, What};
pub use to_node::ToNode;

/// How a node's versions are guarded by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redundancy {
    /// Not at all.
    None,
    /// The next node holds a copy.
    Partner,
    /// All nodes hold parity of each other: any so many of them may be lost.
    Parity(u8),
}

/// A rank's part of a version, as its node has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose.
    pub rank: Rank,
    /// In which arena.
    pub slot: u8,
    /// Bytes of the image, from the arena's start.
    pub image_bytes: u64,
    /// Bytes of late messages.
    pub late_bytes: u64,
}

/// What lies on the nodes of a version: the base of a guard and of a rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which version.
    pub version: Version,
    /// Answers name it; one that names another is of an order that was given up.
    pub attempt: u32,
    /// The parts of the node that is told, by rank.
    pub parts: Vec<Part>,
    /// Bytes of all parts of each node.
    pub lengths: Vec<u64>,
}

impl Redundancy {
    fn put(self, w: &mut Writer) {
        let (kind, parity) = match self {
            Self::None => (0, 0),
            Self::Partner => (1, 0),
            Self::Parity(parity) => (2, parity),
        };
        w.u8(kind).u8(parity);
    }

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = r.at();
        match (r.u8("redundancy")?, r.u8("parity")?) {
            (0, 0) => Ok(Self::None),
            (1, 0) => Ok(Self::Partner),
            (2, parity @ 1..) => Ok(Self::Parity(parity)),
            (kind, _) => {
                Err(DecodeError::Unknown { what: "redundancy", value: u64::from(kind), at })
            }
        }
    }
}

impl Order {
    fn put(&self, w: &mut Writer) {
        w.u64(self.version.0).u32(self.attempt).count(self.parts.len());
        for part in &self.parts {
            w.u32(part.rank.0).u8(part.slot).u64(part.image_bytes).u64(part.late_bytes);
        }
        w.u64s(&self.lengths);
    }

    fn get(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (version, attempt) = (Version(r.u64("version")?), r.u32("attempt")?);
        let count = r.count(21, RANKS_MAX as usize, "parts")?;
        let part = |_| {
            Ok(Part {
                rank: Rank(r.u32("rank")?),
                slot: slot(r)?,
                image_bytes: r.u64("image bytes")?,
                late_bytes: r.u64("late bytes")?,
            })
        };
        let parts = (0..count).map(part).collect::<Result<_, DecodeError>>()?;
        Ok(Self { version, attempt, parts, lengths: r.u64s(NODES_MAX as usize, "lengths")? })
    }
}

fn put_ids(w: &mut Writer, ids: impl ExactSizeIterator<Item = u32>) {
    w.count(ids.len());
    for id in ids {
        w.u32(id);
    }
}

fn get_ids(
    r: &mut Reader<'_>,
    at_most: usize,
) -> Result<impl Iterator<Item = u32> + use<>, DecodeError> {
    let count = r.count(4, at_most, "ids")?;
    let ids = (0..count).map(|_| r.u32("id")).collect::<Result<Vec<_>, _>>()?;
    Ok(ids.into_iter())
}

fn unknown(kind: u8) -> DecodeError {
    DecodeError::Unknown { what: "message kind", value: u64::from(kind), at: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    fn order() -> Order {
        let part = Part { rank: Rank(3), slot: 1, image_bytes: 5, late_bytes: 6 };
        Order { version: Version(7), attempt: 8, parts: vec![part], lengths: vec![9, 10] }
    }

    fn to_nodes() -> Vec<ToNode> {
        let (rank, version) = (Rank(4), Version(5));
        let begin = |redundancy| ToNode::Begin { node: Node(1), nodes: 2, ranks: 3, redundancy };
        vec![
            begin(Redundancy::None),
            begin(Redundancy::Partner),
            begin(Redundancy::Parity(2)),
            ToNode::Link { peer: Some(Node(3)), first: true },
            ToNode::Link { peer: None, first: false },
            ToNode::Arena { rank, slot: 1, bytes: 6 },
            ToNode::Late { rank, version, bytes: 6 },
            ToNode::Guard(order()),
            ToNode::Rebuild { order: order(), ranks: vec![rank], left: vec![Node(0), Node(2)] },
            ToNode::Hand { number: 1, rank, slot: 0, version, late: true },
            ToNode::Freed { version },
        ]
    }

    fn from_nodes() -> Vec<FromNode> {
        let (rank, version, why) = (Rank(4), Version(5), "full".to_owned());
        vec![
            FromNode::Arena { rank, slot: 1, bytes: 6 },
            FromNode::NoArena { rank, slot: 0, why: why.clone() },
            FromNode::Guarded { version, attempt: 1, bytes: 2 },
            FromNode::Rebuilt { version, attempt: 1, bytes: 2 },
            FromNode::Failed { version, attempt: 1, peer: None, why: why.clone() },
            FromNode::Failed { version, attempt: 1, peer: Some(Node(3)), why: why.clone() },
            FromNode::Handed { number: 1, bytes: 2, late: Some(3) },
            FromNode::Handed { number: 1, bytes: 2, late: None },
            FromNode::Lacks { number: 1, why },
        ]
    }

    fn talks() -> Vec<Talk> {
        let whats = [What::Own, What::Held, What::Image(Rank(3), 1), What::Late(Rank(4))];
        let ask = |what| {
            let (number, place, version) = (1, 1, Version(2));
            Talk::Ask { number, place, version, what, at: 3, bytes: 4 }
        };
        let others =
            [Talk::Data { number: 1, crc: 2 }, Talk::Lacks { number: 1, why: "no".into() }];
        whats.into_iter().map(ask).chain(others).collect()
    }

    /// Whatever is read has one encoding; cut short or changed it is another message, or none.
    fn check<M: Clone + PartialEq + std::fmt::Debug>(
        messages: Vec<M>,
        encode: impl Fn(&M) -> Vec<u8>,
        decode: impl Fn(&[u8]) -> Result<M, DecodeError>,
    ) {
        for message in messages {
            let bytes = encode(&message);
            assert_eq!(decode(&bytes), Ok(message.clone()));
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_err(), "{message:?} cut at {end}");
            }
            for i in 0..bytes.len() * 8 {
                let mut other = bytes.clone();
                other[i / 8] ^= 1 << (i % 8);
                if let Ok(read) = decode(&other) {
                    assert_eq!(encode(&read), other, "{message:?} with bit {i} flipped");
                    assert_ne!(read, message);
                }
            }
        }
    }

    #[test]
    fn every_message_is_read_back_and_no_other_is() {
        check(to_nodes(), ToNode::encode, ToNode::decode);
        check(from_nodes(), FromNode::encode, FromNode::decode);
        check(talks(), Talk::encode, Talk::decode);
    }
}
