//! What a node fetches from others: what it is to hold for them, and what it has lost.
//!
//! The bytes of a node are those of its ranks' parts, one behind the other ([`Layout`]). What it holds for
//! others is a copy of those of the node before it, or parity of all others, as [`Group`] lays it out.
//! Both, and getting its own bytes back, are the same work: pieces of other nodes' bytes, summed up by a
//! [`Combination`] into a place of its own. A [`Fetch`] is the list of these pieces.
//!
//! Invariants: no piece needs bytes of the node that fetches; the inputs of one piece lie on different
//! nodes; pieces of a fetch do not overlap and cover all that was asked for. Deliberately absent: moving
//! bytes and believing them; drivers ask, and compare checksums.

mod layout;
mod ring;

use std::collections::VecDeque;
use std::ops::Range;

use mainstay_types::Node;

pub use layout::{Layout, Of};
pub use ring::Ring;

use crate::erasure::{Code, CodeError, Combination, Group, Held};

/// Most bytes of a piece: what fits the caches of a processor several times.
pub const PIECE_BYTES_MAX: usize = 128 * 1024;

/// Bytes of a piece among so many nodes: any two of them have a window of several, and all windows
/// together should stay small.
#[must_use]
pub fn piece_bytes(nodes: u32) -> usize {
    match nodes {
        0..=8 => PIECE_BYTES_MAX,
        9..=24 => PIECE_BYTES_MAX / 4,
        _ => PIECE_BYTES_MAX / 8,
    }
}

/// Which bytes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its own.
    Own,
    /// What it holds for others.
    Held,
}

/// One input of a piece: bytes of a node, and zeros behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which node has them.
    pub node: Node,
    /// Where there.
    pub place: Place,
    /// From which byte.
    pub at: u64,
    /// How many; the rest of the piece is zeros.
    pub bytes: usize,
}

/// Bytes that come of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which of [`Fetch::sums`].
    pub sum: usize,
    /// Its inputs, in order.
    pub inputs: Vec<Source>,
    /// Where the result goes: in what is held, or in the node's own bytes.
    pub at: u64,
    /// How many bytes.
    pub bytes: usize,
}

/// Bytes that are fetched in the same way.
#[derive(Clone, Debug)]
struct Run {
    sum: usize,
    /// Node, place, first byte, and where its bytes end.
    inputs: Vec<(Node, Place, u64, u64)>,
    at: u64,
    bytes: u64,
}

/// The pieces, in order.
#[derive(Clone, Debug)]
pub struct Fetch {
    sums: Vec<Combination>,
    runs: VecDeque<Run>,
    bytes: u64,
    piece_bytes: usize,
}

fn length(lengths: &[u64], node: Node) -> u64 {
    lengths.get(node.index()).copied().unwrap_or(0)
}

impl Fetch {
    /// Nothing yet, in pieces of so many bytes.
    fn new(piece_bytes: usize) -> Self {
        Self { sums: Vec::new(), runs: VecDeque::new(), bytes: 0, piece_bytes }
    }

    /// The most bytes of a piece.
    #[must_use]
    pub fn piece_bytes(&self) -> usize {
        self.piece_bytes
    }

    /// How pieces come of their inputs.
    #[must_use]
    pub fn sums(&self) -> &[Combination] {
        &self.sums
    }

    /// Bytes of all pieces that are left.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn run(&mut self, run: Run) {
        self.bytes += run.bytes;
        self.runs.push_back(run);
    }

    fn copy(&mut self, (node, place): (Node, Place), range: Range<u64>) {
        if self.sums.is_empty() {
            let same = Code::new(1, 1).and_then(|code| code.rebuilder(&[0], &[0]));
            self.sums.push(same.expect("a code of one shard gives it back"));
        }
        let inputs = vec![(node, place, range.start, range.end)];
        self.run(Run { sum: 0, inputs, at: range.start, bytes: range.end - range.start });
    }

    /// The parity that a member holds: one shard of each of m stripes.
    fn parity(&mut self, group: Group, node: Node, lengths: &[u64]) {
        let (k, segment) = (group.code().data(), segment_bytes(group, lengths));
        for stripe in 0..group.members() {
            let Held::Parity(parity) = group.held(node.index(), stripe) else { continue };
            let data: Vec<_> = (0..k).collect();
            let sum = group.code().rebuilder(&data, &[k + parity]);
            self.sums.push(sum.expect("parity is a sum of all data"));
            let inputs = data.into_iter().map(|shard| {
                let node = node_of(group.holder(stripe, shard));
                let (at, end) = (shard as u64 * segment, length(lengths, node));
                (node, Place::Own, at, end.min(at + segment))
            });
            let (inputs, at) = (inputs.collect(), parity as u64 * segment);
            self.run(Run { sum: self.sums.len() - 1, inputs, at, bytes: segment });
        }
    }

    /// A range of a member's own bytes, segment by segment.
    fn segments(
        &mut self,
        group: Group,
        node: Node,
        lengths: &[u64],
        range: &Range<u64>,
        left: &[Node],
    ) -> Result<(), CodeError> {
        let segment = segment_bytes(group, lengths);
        for own in 0..group.code().data() {
            let first = own as u64 * segment;
            let (from, to) = (range.start.max(first), range.end.min(first + segment));
            if from >= to {
                continue;
            }
            let stripe = group.stripe(node.index(), own);
            let shards: Vec<_> = left
                .iter()
                .map(|other| group.shard(other.index(), stripe))
                .take(group.code().data())
                .collect();
            self.sums.push(group.code().rebuilder(&shards, &[own])?);
            let inputs = shards.iter().zip(left).map(|(_, other)| {
                let (place, start, end) = match group.held(other.index(), stripe) {
                    Held::Segment(i) => {
                        let at = i as u64 * segment;
                        (Place::Own, at, length(lengths, *other).min(at + segment))
                    }
                    Held::Parity(i) => {
                        let at = i as u64 * segment;
                        (Place::Held, at, at + segment)
                    }
                };
                (*other, place, start + (from - first), end)
            });
            let inputs = inputs.collect();
            self.run(Run { sum: self.sums.len() - 1, inputs, at: from, bytes: to - from });
        }
        Ok(())
    }
}

fn segment_bytes(group: Group, lengths: &[u64]) -> u64 {
    group.segment_bytes(lengths.iter().copied().max().unwrap_or(0))
}

fn node_of(member: usize) -> Node {
    Node(u32::try_from(member).expect("groups have at most 255 members"))
}

impl Iterator for Fetch {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let run = loop {
            let run = self.runs.front_mut()?;
            if run.bytes > 0 {
                break run;
            }
            self.runs.pop_front();
        };
        let bytes =
            usize::try_from(run.bytes).map_or(self.piece_bytes, |b| b.min(self.piece_bytes));
        let source = |(node, place, at, end): &mut (Node, Place, u64, u64)| {
            let there = end.saturating_sub(*at).min(bytes as u64);
            let source = Source {
                node: *node,
                place: *place,
                at: *at,
                bytes: there.try_into().unwrap_or(0),
            };
            *at += bytes as u64;
            source
        };
        let inputs = run.inputs.iter_mut().map(source).collect();
        let piece = Piece { sum: run.sum, inputs, at: run.at, bytes };
        run.at += bytes as u64;
        run.bytes -= bytes as u64;
        self.bytes -= bytes as u64;
        Some(piece)
    }
}
