//! Nodes as the launcher has them: their processes, lines, and what was asked of them.
//!
//! Invariants: descriptors of arenas pass through this process and are closed at once; of a node that is
//! lost nothing is kept but its number; a node that does not answer in time is lost. Deliberately absent:
//! which version is guarded or rebuilt, which `ckpt::ledger` decides; what a node does, see `crate::node`.

mod ends;
mod orders;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io};

use mainstay_ckpt::NodeLayout;
use mainstay_ckpt::fetch::Ring;
use mainstay_types::limits::NODES_MAX;
use mainstay_types::wire::node::{FromNode, Redundancy, ToNode};
use mainstay_types::{Incarnation, Node, Rank, exit};
use rustix::process::Signal;

pub(crate) use self::orders::{Answer, Of};
use crate::node::link::{self, End, Link};
use crate::socket::Connection;
use crate::supervisor::config::Refusal;
use crate::supervisor::drain::Remote;
use crate::sys::{self, Guardian, Spawned};

/// What a job is asked to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    /// How many nodes.
    pub nodes: u32,
    /// How they guard each other's memory.
    pub redundancy: Redundancy,
    /// What starts a node: a program that calls [`crate::node::serve`] with its standard input.
    pub command: Vec<OsString>,
}

impl Domains {
    /// Whether a job of `n` ranks can have them.
    pub(crate) fn check(&self, n: u32) -> Result<(), Refusal> {
        let why = match (self.nodes, Ring::new(self.nodes, self.redundancy)) {
            (0, _) => "a job has at least 1 node".to_owned(),
            (nodes, _) if nodes > n => {
                format!("{nodes} nodes are more than the {n} ranks that they are to hold")
            }
            (nodes, _) if nodes > NODES_MAX => {
                format!("{nodes} nodes are more than the {NODES_MAX} that one machine may run")
            }
            (nodes, Err(_)) => format!(
                "{nodes} nodes are too few for redundancy {}: give more with --virtual-nodes",
                redundancy_name(self.redundancy)
            ),
            (_, Ok(_)) => return Ok(()),
        };
        Err(Refusal { code: exit::USAGE, why })
    }

    /// Memory of all windows between nodes, and between nodes and the drain.
    pub(crate) fn window_bytes(&self) -> u64 {
        let nodes = u64::from(self.nodes);
        nodes * (nodes + 1) / 2 * link::window_bytes(self.nodes) as u64
    }

    /// The node of a rank: each has as many as any other, or one more, one behind the other.
    ///
    /// # Panics
    /// When the rank is none of the `n`.
    #[must_use]
    pub fn node_of(&self, rank: Rank, n: u32) -> Node {
        let place = u64::from(rank.0) * u64::from(self.nodes) / u64::from(n.max(1));
        Node(u32::try_from(place).expect("less than there are nodes"))
    }
}

impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, survives) = (self.nodes, self.redundancy);
        match survives {
            Redundancy::None => {
                write!(f, "{nodes}, not guarded: what one has in memory is lost with it")
            }
            Redundancy::Partner => write!(f, "{nodes}, each guarded by a copy at the next"),
            Redundancy::Parity(m) => {
                write!(f, "{nodes}, guarded by parity against the loss of {m}")
            }
        }
    }
}

/// As it is written on the command line.
fn redundancy_name(redundancy: Redundancy) -> String {
    match redundancy {
        Redundancy::None => "none".to_owned(),
        Redundancy::Partner => "partner".to_owned(),
        Redundancy::Parity(parity) => format!("parity:{parity}"),
    }
}

/// One node.
#[derive(Debug)]
struct Member {
    spawned: Spawned,
    line: Connection,
    drain: Arc<Remote>,
    /// Since when it is stopped.
    stopped: Option<Duration>,
    /// It was killed and reaped.
    ended: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Nodes {
    domains: Domains,
    n: u32,
    /// One that is stopped for so long is killed.
    lost_after: Duration,
    members: Vec<Member>,
    /// Ranks that wait for an arena of so many bytes, each with its incarnation, and since when.
    arenas: BTreeMap<(Rank, u8), (Incarnation, u64, Duration)>,
    /// Bytes of the arenas of each rank, as far as they were asked for.
    sizes: BTreeMap<Rank, [Option<u64>; 2]>,
    /// The incarnations that have memory of their nodes.
    holders: BTreeMap<Rank, Incarnation>,
    orders: orders::Orders,
}

impl Nodes {
    /// Starts them.
    pub(crate) fn start(
        domains: Domains,
        n: u32,
        lost_after: Duration,
        guardian: &mut Guardian,
    ) -> io::Result<Self> {
        let members = Vec::new();
        let (arenas, holders) = (BTreeMap::new(), BTreeMap::new());
        let (sizes, orders) = (BTreeMap::new(), orders::Orders::default());
        let mut nodes = Self { domains, n, lost_after, members, arenas, sizes, holders, orders };
        for node in Node::all(nodes.domains.nodes) {
            let member = nodes.spawn(node, guardian)?;
            nodes.members.push(member);
            for peer in Node::all(node.0) {
                nodes.link(node, peer)?;
            }
        }
        Ok(nodes)
    }

    /// Starts another process in the place of one that is lost.
    pub(crate) fn replace(&mut self, node: Node, guardian: &mut Guardian) -> io::Result<()> {
        self.end(node, guardian);
        self.members[node.index()] = self.spawn(node, guardian)?;
        for peer in Node::all(self.domains.nodes).filter(|peer| *peer != node) {
            self.link(node, peer)?;
        }
        // What was asked of the one before is asked of this one, which has its own time to answer.
        let lost: Vec<_> = self.ranks(node).collect();
        self.sizes.retain(|rank, _| !lost.contains(rank));
        let now = sys::now();
        let asked = self.arenas.iter_mut().filter(|((rank, _), _)| lost.contains(rank));
        let mut again = Vec::new();
        for (&(rank, slot), (_, bytes, since)) in asked {
            *since = now;
            again.push(ToNode::Arena { rank, slot, bytes: *bytes });
        }
        again.iter().for_each(|message| self.say(node, message, &[]));
        Ok(())
    }

    fn spawn(&self, node: Node, guardian: &mut Guardian) -> io::Result<Member> {
        let (ours, theirs) = Connection::pair()?;
        let spawned = sys::spawn_with_line(&self.domains.command, theirs.into_fd())?;
        guardian.add(spawned.child.id())?;
        let (one, other) = link::ends(self.domains.nodes)?;
        let ours_to_drain = Link::of(one, true, self.domains.nodes)?;
        let drain = Remote { node, link: Mutex::new((ours_to_drain, 0)), failed: Mutex::new(None) };
        let member =
            Member { spawned, line: ours, drain: Arc::new(drain), stopped: None, ended: false };
        let Domains { nodes, redundancy, .. } = self.domains;
        member.say(&ToNode::Begin { node, nodes, ranks: self.n, redundancy }, &[])?;
        member.link(None, false, &other)?;
        Ok(member)
    }

    /// A new line between two.
    fn link(&self, one: Node, other: Node) -> io::Result<()> {
        let (first, second) = link::ends(self.domains.nodes)?;
        // One that is gone is found out by its line.
        let _gone = self.members[one.index()].link(Some(other), true, &first);
        let _gone = self.members[other.index()].link(Some(one), false, &second);
        Ok(())
    }

    /// How nodes guard each other on disk.
    pub(crate) fn layout(&self) -> Option<NodeLayout> {
        let ring = Ring::new(self.domains.nodes, self.domains.redundancy).ok()?;
        Some(NodeLayout::new(ring))
    }

    pub(crate) fn redundancy(&self) -> Redundancy {
        self.domains.redundancy
    }

    pub(crate) fn node_of(&self, rank: Rank) -> Node {
        self.domains.node_of(rank, self.n)
    }

    /// The ranks of a node.
    pub(crate) fn ranks(&self, node: Node) -> impl Iterator<Item = Rank> + '_ {
        Rank::all(self.n).filter(move |rank| self.node_of(*rank) == node)
    }

    pub(crate) fn pid(&self, node: Node) -> Option<u32> {
        self.members.get(node.index()).map(|member| member.spawned.child.id())
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.members.iter().map(|member| member.spawned.child.id())
    }

    /// The line over which the drain reads of a rank's node.
    pub(crate) fn remote(&self, rank: Rank) -> Option<Arc<Remote>> {
        let member = self.members.get(self.node_of(rank).index())?;
        Some(Arc::clone(&member.drain))
    }

    /// Descriptors that become readable when a node says something, or ends.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.members.iter().map(|member| member.line.as_fd())
    }

    /// The next message of a node; `None` if there is none.
    ///
    /// # Errors
    /// Why the node is as good as gone.
    pub(crate) fn hear(&self, node: Node) -> Result<Option<(FromNode, Vec<OwnedFd>)>, String> {
        match self.members[node.index()].line.receive() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(ENDED.to_owned()),
            Err(error) => Err(format!("its line failed: {error}")),
            Ok((bytes, _)) if bytes.is_empty() => Err(ENDED.to_owned()),
            Ok((bytes, fds)) => match FromNode::decode(&bytes) {
                Ok(message) => Ok(Some((message, fds))),
                Err(error) => Err(format!("it speaks nonsense: {error}")),
            },
        }
    }

    fn say(&self, node: Node, message: &ToNode, fds: &[BorrowedFd<'_>]) {
        let member = &self.members[node.index()];
        if member.say(message, fds).is_err() {
            // It is gone, or so far behind that its line is full; the end of its line tells.
            member.kill();
        }
    }

    /// Asks for a rank's arena.
    pub(crate) fn arena(&mut self, (rank, incarnation): (Rank, Incarnation), slot: u8, bytes: u64) {
        self.arenas.insert((rank, slot), (incarnation, bytes, sys::now()));
        self.say(self.node_of(rank), &ToNode::Arena { rank, slot, bytes }, &[]);
    }

    /// Bytes of a rank's arenas.
    pub(crate) fn arena_bytes(&self, rank: Rank) -> [Option<u64>; 2] {
        self.sizes.get(&rank).copied().unwrap_or_default()
    }

    /// A node says that the arena of a slot has so many bytes.
    pub(crate) fn has_arena(&mut self, node: Node, (rank, slot): (Rank, u8), bytes: u64) {
        if rank.0 >= self.n || self.node_of(rank) != node {
            return;
        }
        if let Some(size) = self.sizes.entry(rank).or_default().get_mut(usize::from(slot)) {
            *size = Some(bytes);
        }
    }

    /// Whether this incarnation waits for the arena that has come, or for the reason why none has: then
    /// it has no `bytes`.
    pub(crate) fn awaited(
        &mut self,
        (rank, slot): (Rank, u8),
        incarnation: Incarnation,
        bytes: Option<u64>,
    ) -> bool {
        // A smaller one is the answer to an incarnation before; the larger one takes its place.
        let asked = self.arenas.get(&(rank, slot)).map(|(_, asked, _)| *asked);
        if bytes.zip(asked).is_some_and(|(bytes, asked)| bytes < asked) {
            return false;
        }
        let asked = self.arenas.remove(&(rank, slot));
        let same = asked.is_some_and(|(asked, ..)| asked == incarnation);
        if same {
            self.holders.insert(rank, incarnation);
        }
        same
    }

    /// This incarnation is given memory of its node.
    pub(crate) fn holds(&mut self, rank: Rank, incarnation: Incarnation) {
        self.holders.insert(rank, incarnation);
    }

    /// Whether this incarnation has memory of its node, and so ends with that.
    pub(crate) fn has_memory(&self, rank: Rank, incarnation: Incarnation) -> bool {
        self.holders.get(&rank) == Some(&incarnation)
    }

    /// The node that has been stopped, or has not answered, for too long, and why it is killed.
    pub(crate) fn overdue(&mut self, now: Duration) -> Option<(Node, String)> {
        if let Some(stopped) = self.stopped(now) {
            return Some(stopped);
        }
        let late = |since: Duration| now.saturating_sub(since) > ANSWERS_WITHIN;
        let arena = self.arenas.iter().find(|(_, (.., since))| late(*since));
        let node = arena.map(|((rank, _), _)| self.node_of(*rank));
        let node = node.or_else(|| self.orders.overdue(now));
        let node = node.or_else(|| self.orders.late_hand(now).map(|rank| self.node_of(rank)));
        node.map(|node| (node, "it did not answer in time".to_owned()))
    }

    /// The job stood still for so long.
    pub(crate) fn suspended(&mut self, paused: Duration) {
        for (.., since) in self.arenas.values_mut() {
            *since += paused;
        }
        for since in self.members.iter_mut().filter_map(|member| member.stopped.as_mut()) {
            *since += paused;
        }
        self.orders.suspended(paused);
    }
}

const ENDED: &str = "its process ended";
/// A question that needs no more than memory is answered within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

impl Member {
    fn say(&self, message: &ToNode, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.line.send(&message.encode(), fds)
    }

    fn link(&self, peer: Option<Node>, first: bool, end: &End) -> io::Result<()> {
        self.say(&ToNode::Link { peer, first }, &[end.socket.as_fd(), end.window.as_fd()])
    }

    fn kill(&self) {
        // A process that has just ended cannot be signalled, and needs not be.
        let _gone = rustix::process::pidfd_send_signal(&self.spawned.pidfd, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_spread_evenly_and_in_order() {
        for (nodes, n) in [(1, 1), (2, 5), (3, 7), (4, 4), (64, 1024), (63, 1000)] {
            let domains = Domains { nodes, redundancy: Redundancy::None, command: Vec::new() };
            let of: Vec<_> = Rank::all(n).map(|rank| domains.node_of(rank, n)).collect();
            assert!(of.is_sorted());
            let counts: Vec<_> =
                Node::all(nodes).map(|node| of.iter().filter(|of| **of == node).count()).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(*least > 0 && most - least <= 1, "{nodes} {n} {counts:?}");
        }
    }
}
