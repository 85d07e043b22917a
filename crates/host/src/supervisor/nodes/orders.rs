//! What nodes were told to do and have not done yet: a guard, rebuilds, and descriptors to hand over.
//!
//! Invariant: an answer counts only for the order that is under way; whoever does not answer in time is
//! named. Deliberately absent: what follows from an answer; the ledger and the opening know.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use mainstay_ckpt::fetch::Layout;
use mainstay_ckpt::ledger::{Choice, Record};
use mainstay_types::wire::node::{FromNode, Order, Part, ToNode};
use mainstay_types::{Node, Rank, Version};

use super::{ANSWERS_WITHIN, Nodes};
use crate::shm::Blob;
use crate::sys;

/// The slowest that nodes are expected to be, bytes a second.
const SLOWEST: u64 = 50 << 20;

/// What an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Guard,
    Rebuild,
}

/// What an answer came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is of an order that was given up, or not the last one needed.
    Nothing,
    /// All nodes hold what they are to hold: bytes over all, and the time since the order.
    Guarded { version: Version, attempt: u32, bytes: u64, took: Duration },
    /// The ranks of this node have their parts back.
    Rebuilt { version: Version, node: Node, bytes: u64, took: Duration },
    /// An order has failed. If a node's line failed, that node is killed, and found to be lost.
    Failed { of: Of, version: Version, attempt: u32, peer: Option<Node>, why: String },
    /// A rank's descriptors.
    Handed { rank: Rank, fds: Vec<OwnedFd> },
    /// There are none.
    Lacks { rank: Rank, why: String },
}

/// An order under way.
#[derive(Debug)]
struct Current {
    of: Of,
    version: Version,
    attempt: u32,
    awaited: BTreeSet<Node>,
    bytes: u64,
    since: Duration,
    due: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Orders {
    current: Option<Current>,
    /// Descriptors asked for: of which rank, and since when.
    hands: BTreeMap<u64, (Rank, Duration)>,
    last_hand: u64,
    last_rebuild: u32,
}

impl Orders {
    /// The first node that has not answered in time.
    pub(super) fn overdue(&self, now: Duration) -> Option<Node> {
        let current = self.current.as_ref().filter(|current| now > current.due)?;
        current.awaited.first().copied()
    }

    /// The first rank whose descriptors were not handed over in time.
    pub(super) fn late_hand(&self, now: Duration) -> Option<Rank> {
        let late = |since: Duration| now.saturating_sub(since) > ANSWERS_WITHIN;
        self.hands.values().find(|(_, since)| late(*since)).map(|(rank, _)| *rank)
    }

    pub(super) fn suspended(&mut self, paused: Duration) {
        if let Some(current) = &mut self.current {
            current.since += paused;
            current.due += paused;
        }
        for (_, since) in self.hands.values_mut() {
            *since += paused;
        }
    }
}

/// Parts of a version, by node.
fn parts_of(nodes: &Nodes, parts: impl Iterator<Item = (Rank, Part)>) -> Vec<Vec<Part>> {
    let mut by_node = vec![Vec::new(); nodes.domains.nodes as usize];
    for (rank, part) in parts {
        by_node[nodes.node_of(rank).index()].push(part);
    }
    by_node
}

impl Nodes {
    /// Has every node fetch what it is to hold of a version.
    pub(crate) fn guard(&mut self, record: &Record, attempt: u32) -> Result<(), String> {
        let slot = record.slot().ok_or("it has no memory any more")?;
        let part = |rank| {
            let entry = record.part(rank)?;
            let (image_bytes, late_bytes) = (entry.image_bytes, entry.late_bytes);
            Some((rank, Part { rank, slot, image_bytes, late_bytes }))
        };
        let parts = parts_of(self, Rank::all(self.n).filter_map(part));
        let lengths: Vec<_> = parts.iter().map(|parts| Layout::new(parts).bytes()).collect();
        let version = record.version();
        self.begin(
            Of::Guard,
            (version, attempt),
            Node::all(self.domains.nodes).collect(),
            &lengths,
        );
        for (node, parts) in Node::all(self.domains.nodes).zip(parts) {
            let order = Order { version, attempt, parts, lengths: lengths.clone() };
            self.say(node, &ToNode::Guard(order), &[]);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        of: Of,
        (version, attempt): (Version, u32),
        awaited: BTreeSet<Node>,
        lengths: &[u64],
    ) {
        let since = sys::now();
        let all: u64 = lengths.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes));
        let due = since + ANSWERS_WITHIN + Duration::from_secs(all / SLOWEST);
        let bytes = 0;
        self.orders.current = Some(Current { of, version, attempt, awaited, bytes, since, due });
    }

    /// Has these nodes get back what their ranks had of the chosen version, from those that are left.
    pub(crate) fn rebuild(
        &mut self,
        choice: &Choice,
        slot: u8,
        lost: &BTreeMap<Node, Vec<Rank>>,
        left: &[Node],
    ) {
        let part = |(rank, source): (Rank, &mainstay_ckpt::Source)| {
            let (image_bytes, late_bytes) = (source.image_bytes, source.late_bytes);
            (rank, Part { rank, slot, image_bytes, late_bytes })
        };
        let parts = parts_of(self, (0..).map(Rank).zip(&choice.ranks).map(part));
        let lengths: Vec<_> = parts.iter().map(|parts| Layout::new(parts).bytes()).collect();
        // Beyond any attempt of a guard, so that no answer to one is taken for one to the other.
        self.orders.last_rebuild += 1;
        let (version, attempt) = (choice.version, u32::MAX - self.orders.last_rebuild);
        self.begin(Of::Rebuild, (version, attempt), lost.keys().copied().collect(), &lengths);
        for (node, ranks) in lost {
            let parts = parts[node.index()].clone();
            let order = Order { version, attempt, parts, lengths: lengths.clone() };
            let (ranks, left) = (ranks.clone(), left.to_vec());
            self.say(*node, &ToNode::Rebuild { order, ranks, left }, &[]);
        }
    }

    /// Asks for what a rank restores from.
    pub(crate) fn hand(&mut self, rank: Rank, slot: u8, version: Version, late: bool) {
        self.orders.last_hand += 1;
        let number = self.orders.last_hand;
        self.orders.hands.insert(number, (rank, sys::now()));
        self.say(self.node_of(rank), &ToNode::Hand { number, rank, slot, version, late }, &[]);
    }

    /// The epoch that was to open does not: nobody waits for descriptors or for a rebuild any more.
    pub(crate) fn forget_opening(&mut self) {
        self.orders.hands.clear();
        self.orders.current.take_if(|current| current.of == Of::Rebuild);
    }

    /// Whether an answer is to come that an epoch may wait for.
    pub(crate) fn owe_an_opening(&self) -> bool {
        let rebuilds = |current: &Current| current.of == Of::Rebuild;
        self.orders.current.as_ref().is_some_and(rebuilds) || !self.orders.hands.is_empty()
    }

    /// Gives late messages of a rank to its node.
    pub(crate) fn keep_late(&self, rank: Rank, version: Version, blob: &Blob) {
        let message = ToNode::Late { rank, version, bytes: blob.len() as u64 };
        self.say(self.node_of(rank), &message, &[blob.as_fd()]);
    }

    /// Nothing of a version is needed any more but what lies in arenas of others.
    pub(crate) fn freed(&mut self, version: Version) {
        if self.orders.current.as_ref().is_some_and(|current| current.version == version) {
            self.orders.current = None;
        }
        for node in Node::all(self.domains.nodes) {
            self.say(node, &ToNode::Freed { version }, &[]);
        }
    }

    /// The order under way cannot come to its end.
    pub(crate) fn give_up(&mut self) {
        self.orders.current = None;
        self.orders.hands.clear();
    }

    /// What an answer of a node comes to.
    pub(crate) fn answer(&mut self, node: Node, message: FromNode, fds: Vec<OwnedFd>) -> Answer {
        match message {
            FromNode::Guarded { version, attempt, bytes } => {
                self.done(node, Of::Guard, (version, attempt), bytes)
            }
            FromNode::Rebuilt { version, attempt, bytes } => {
                self.done(node, Of::Rebuild, (version, attempt), bytes)
            }
            FromNode::Failed { version, attempt, peer, why } => {
                let same = |c: &mut Current| c.version == version && c.attempt == attempt;
                match self.orders.current.take_if(same) {
                    None => Answer::Nothing,
                    Some(Current { of, .. }) => {
                        if let Some(peer) = peer {
                            // Whatever is the matter with it: if it lives, another takes its place.
                            self.kill(peer);
                        }
                        let why = format!("node {node}: {why}");
                        Answer::Failed { of, version, attempt, peer, why }
                    }
                }
            }
            FromNode::Handed { number, late, .. } => match self.orders.hands.remove(&number) {
                Some((rank, _)) if fds.len() == 1 + usize::from(late.is_some()) => {
                    Answer::Handed { rank, fds }
                }
                Some((rank, _)) => {
                    Answer::Lacks { rank, why: "its descriptors did not arrive".to_owned() }
                }
                None => Answer::Nothing,
            },
            FromNode::Lacks { number, why } => match self.orders.hands.remove(&number) {
                Some((rank, _)) => Answer::Lacks { rank, why },
                None => Answer::Nothing,
            },
            FromNode::Arena { .. } | FromNode::NoArena { .. } => Answer::Nothing,
        }
    }

    fn done(
        &mut self,
        node: Node,
        of: Of,
        (version, attempt): (Version, u32),
        bytes: u64,
    ) -> Answer {
        let same = |c: &&mut Current| (c.of, c.version, c.attempt) == (of, version, attempt);
        let Some(current) = self.orders.current.as_mut().filter(same) else {
            return Answer::Nothing;
        };
        if !current.awaited.remove(&node) {
            return Answer::Nothing;
        }
        current.bytes = current.bytes.saturating_add(bytes);
        let (all, last) = (current.bytes, current.awaited.is_empty());
        let took = sys::now().saturating_sub(current.since);
        if last {
            self.orders.current = None;
        }
        match of {
            Of::Guard if last => Answer::Guarded { version, attempt, bytes: all, took },
            Of::Guard => Answer::Nothing,
            Of::Rebuild => Answer::Rebuilt { version, node, bytes, took },
        }
    }
}
