//! A node: a process that alone holds the arenas of its ranks, and copies or parity of others.
//!
//! On one machine it stands for a failure domain: once it is killed, nothing of its memory is left but
//! what other nodes hold. Its launcher decides; it makes arenas, answers others' questions for bytes, and
//! carries out one order at a time. `docs/protocols/nodes.md` has the messages.
//!
//! Invariants: it ends when its launcher's line does; nothing that another process says makes it panic or
//! wait. Deliberately absent: any decision, clocks, files.

pub(crate) mod link;
mod store;
mod task;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mainstay_ckpt::ReadAt;
use mainstay_ckpt::fetch::{Layout, Ring};
use mainstay_types::wire::node::{FromNode, Order, Redundancy, Talk, ToNode, What};
use mainstay_types::{Node, Rank, Version};
use rustix::event::{PollFd, PollFlags, poll};

use self::link::{End, Link};
use self::store::{Rebuilt, Store};
use self::task::{Broken, Target, Task};
use crate::shm::Blob;
use crate::socket::Connection;

/// A node's whole life; ends with its launcher's line.
///
/// # Errors
/// The line is none, or the launcher says what no launcher says.
pub fn serve(line: OwnedFd) -> io::Result<()> {
    rustix::thread::set_name(c"mainstay-node")?;
    rustix::io::ioctl_fionbio(&line, true)?;
    let mut node = Server::new(Connection::of(line));
    while node.turn()? {}
    Ok(())
}

struct Server {
    line: Connection,
    me: Node,
    nodes: u32,
    ring: Option<Ring>,
    store: Store,
    links: BTreeMap<Node, Link>,
    drain: Option<Link>,
    task: Option<Task>,
    /// Questions of nodes that were told of a version before this one was, by node and place.
    early: BTreeMap<(Node, u8), Talk>,
    /// The number of the last question.
    number: u32,
}

/// What a descriptor belongs to.
#[derive(Clone, Copy)]
enum Source {
    Line,
    Drain,
    Peer(Node),
}

impl Server {
    fn new(line: Connection) -> Self {
        Self {
            line,
            me: Node(0),
            nodes: 0,
            ring: None,
            store: Store::default(),
            links: BTreeMap::new(),
            drain: None,
            task: None,
            early: BTreeMap::new(),
            number: 0,
        }
    }

    /// Waits for something and handles it; whether there is more to come.
    fn turn(&mut self) -> io::Result<bool> {
        let peers = self.links.iter().map(|(node, link)| (Source::Peer(*node), link.as_fd()));
        let drain = self.drain.iter().map(|link| (Source::Drain, link.as_fd()));
        let all = [(Source::Line, self.line.as_fd())].into_iter().chain(drain).chain(peers);
        let (sources, fds): (Vec<_>, Vec<BorrowedFd<'_>>) = all.unzip();
        let mut fds: Vec<_> =
            fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        // An interrupted wait is a short one.
        let _interrupted = poll(&mut fds, None);
        let ready: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (source, _) in sources.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            match source {
                Source::Line => {
                    if !self.hear()? {
                        return Ok(false);
                    }
                }
                Source::Drain => {
                    if self.serve_drain().is_err() {
                        self.drain = None;
                    }
                }
                Source::Peer(node) => self.talk_with(node),
            }
        }
        Ok(true)
    }

    /// Takes what the launcher says; whether its line is open.
    fn hear(&mut self) -> io::Result<bool> {
        loop {
            let (bytes, fds) = match self.line.receive() {
                Ok(message) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                return Ok(false);
            }
            let message = ToNode::decode(&bytes).map_err(io::Error::other)?;
            self.obey(message, fds)?;
        }
    }

    fn say(&self, message: &FromNode, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.line.send(&message.encode(), fds)
    }

    fn obey(&mut self, message: ToNode, fds: Vec<OwnedFd>) -> io::Result<()> {
        let mut fds = fds.into_iter();
        match message {
            ToNode::Begin { node, nodes, redundancy, .. } => {
                (self.me, self.nodes) = (node, nodes);
                let redundant = redundancy != Redundancy::None;
                let ring = redundant.then(|| Ring::new(nodes, redundancy)).transpose();
                self.ring = ring.map_err(io::Error::other)?;
                Ok(())
            }
            ToNode::Link { peer, first } => {
                let (Some(socket), Some(window)) = (fds.next(), fds.next()) else {
                    return Err(io::Error::other("a line without its descriptors"));
                };
                let link = Link::of(End { socket, window }, first, self.nodes)?;
                match peer {
                    Some(node) => {
                        self.early.retain(|(of, _), _| *of != node);
                        self.links.insert(node, link);
                    }
                    None => self.drain = Some(link),
                }
                Ok(())
            }
            ToNode::Arena { rank, slot, bytes } => match self.store.arena(rank, slot, bytes) {
                Ok(arena) => {
                    let message = FromNode::Arena { rank, slot, bytes: arena.bytes() };
                    self.line.send(&message.encode(), &[arena.as_fd()])
                }
                Err(why) => self.say(&FromNode::NoArena { rank, slot, why }, &[]),
            },
            ToNode::Late { rank, version, bytes } => {
                let blob = fds.next().map(|fd| Blob::open(fd, bytes));
                let blob =
                    blob.ok_or_else(|| io::Error::other("late messages without memory"))??;
                self.store.keep_late(version, rank, blob);
                Ok(())
            }
            ToNode::Guard(order) => {
                let guard = self.guard(&order);
                self.begin(&order, guard)
            }
            ToNode::Rebuild { order, ranks, left } => {
                let rebuild = self.rebuild(&order, &ranks, &left).map(Some);
                self.begin(&order, rebuild)
            }
            ToNode::Hand { number, rank, slot, version, late } => {
                self.hand(number, (rank, slot), late.then_some(version))
            }
            ToNode::Freed { version } => {
                self.store.free(version);
                if self.task.as_ref().is_some_and(|task| task.version == version) {
                    self.task = None;
                }
                Ok(())
            }
        }
    }

    fn hand(
        &self,
        number: u64,
        (rank, slot): (Rank, u8),
        late_of: Option<Version>,
    ) -> io::Result<()> {
        let lacks = |why: String| self.say(&FromNode::Lacks { number, why }, &[]);
        let Some(arena) = self.store.slot(rank, slot) else {
            return lacks(format!("node {} has no arena {slot} of rank {rank}", self.me));
        };
        let late = late_of.map(|version| self.store.late(version, rank));
        match late {
            None => {
                let message = FromNode::Handed { number, bytes: arena.bytes(), late: None };
                self.say(&message, &[arena.as_fd()])
            }
            Some(None) => lacks(format!("node {} has no late messages of rank {rank}", self.me)),
            Some(Some(blob)) => {
                let late = Some(blob.len() as u64);
                let message = FromNode::Handed { number, bytes: arena.bytes(), late };
                self.say(&message, &[arena.as_fd(), blob.as_fd()])
            }
        }
    }

    /// What is to be fetched to hold it; `None` if it is held.
    fn guard(&mut self, order: &Order) -> Result<Option<Task>, String> {
        let ring = self.ring.ok_or("the nodes of this job do not guard each other")?;
        self.lay_out(order.version, Layout::new(&order.parts));
        if self.store.holds(order.version) {
            return Ok(None);
        }
        let bytes = usize::try_from(ring.held_bytes(self.me, &order.lengths));
        let held = self.store.room(bytes.map_err(|error| error.to_string())?)?;
        let fetch = ring.guard(self.me, &order.lengths);
        Ok(Some(Task::new(order, fetch, Target::Held(held))))
    }

    fn rebuild(&mut self, order: &Order, ranks: &[Rank], left: &[Node]) -> Result<Task, String> {
        let ring = self.ring.ok_or("the nodes of this job do not guard each other")?;
        let layout = Layout::new(&order.parts);
        let ranges: Vec<_> = ranks.iter().filter_map(|rank| layout.range(*rank)).collect();
        let fetch = ring.rebuild(self.me, &order.lengths, &ranges, left);
        let fetch = fetch.map_err(|error| error.to_string())?;
        self.lay_out(order.version, layout.clone());
        let rebuilt = Rebuilt::new(&mut self.store, layout, &order.parts, ranks)?;
        Ok(Task::new(order, fetch, Target::Own(rebuilt)))
    }

    /// Knows of a version from now on, and answers whoever knew of it earlier.
    fn lay_out(&mut self, version: Version, layout: Layout) {
        self.store.lay_out(version, layout);
        let of = |talk: &Talk| matches!(talk, Talk::Ask { version: of, .. } if *of == version);
        for ((node, _), talk) in self.early.extract_if(.., |_, talk| of(talk)) {
            if let Some(link) = self.links.get(&node) {
                // A line that has failed is found out when it is listened to.
                let _failed = answer(&self.store, link, &talk);
            }
        }
    }

    /// Begins with an order, and gives up an older one.
    fn begin(&mut self, order: &Order, task: Result<Option<Task>, String>) -> io::Result<()> {
        self.task = None;
        let (version, attempt) = (order.version, order.attempt);
        match task {
            Err(why) => self.say(&FromNode::Failed { version, attempt, peer: None, why }, &[]),
            Ok(None) => self.say(&FromNode::Guarded { version, attempt, bytes: 0 }, &[]),
            Ok(Some(task)) => {
                self.task = Some(task);
                self.go_on()
            }
        }
    }

    /// Goes on with the order, to its end if all is there.
    fn go_on(&mut self) -> io::Result<()> {
        let Some(task) = &mut self.task else { return Ok(()) };
        match task.advance(&self.links, &mut self.number) {
            Ok(false) => Ok(()),
            Ok(true) => self.finish(),
            Err(why) => self.fail(why),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        let Some(task) = self.task.take() else { return Ok(()) };
        let (version, attempt, bytes) = (task.version, task.attempt, task.bytes);
        let message = match task.finish(&mut self.store) {
            Ok(true) => FromNode::Guarded { version, attempt, bytes },
            Ok(false) => FromNode::Rebuilt { version, attempt, bytes },
            Err(why) => FromNode::Failed { version, attempt, peer: None, why },
        };
        self.say(&message, &[])
    }

    fn fail(&mut self, Broken { peer, why }: Broken) -> io::Result<()> {
        let Some(Task { version, attempt, .. }) = self.task.take() else { return Ok(()) };
        self.say(&FromNode::Failed { version, attempt, peer, why }, &[])
    }

    /// Answers questions of the launcher's drain.
    fn serve_drain(&mut self) -> io::Result<()> {
        let Some(link) = &self.drain else { return Ok(()) };
        while let Some(talk) = link.receive()? {
            answer(&self.store, link, &talk)?;
        }
        Ok(())
    }

    /// Another node's questions and answers. One that is gone is missed when it is needed.
    fn talk_with(&mut self, node: Node) {
        loop {
            let Some(link) = self.links.get(&node) else { return };
            let done = match link.receive() {
                Ok(None) => return,
                Ok(Some(talk @ Talk::Ask { place, version, what: What::Own, .. }))
                    if !self.store.knows(version) =>
                {
                    self.early.insert((node, place), talk);
                    Ok(())
                }
                Ok(Some(talk @ Talk::Ask { .. })) => {
                    answer(&self.store, link, &talk).map_err(|e| e.to_string())
                }
                Ok(Some(talk)) => match &mut self.task {
                    Some(task) => match task.answer(node, link, &talk) {
                        Ok(false) => Ok(()),
                        Ok(true) => self.go_on().map_err(|error| error.to_string()),
                        Err(why) => self.fail(why).map_err(|error| error.to_string()),
                    },
                    None => Ok(()),
                },
                Err(error) => Err(error.to_string()),
            };
            if let Err(why) = done {
                self.links.remove(&node);
                // The launcher's line tells by itself when it is gone.
                let _told = self.fail(Broken::line(node, why));
                return;
            }
        }
    }
}

/// Answers a question for bytes.
fn answer(store: &Store, link: &Link, talk: &Talk) -> io::Result<()> {
    let &Talk::Ask { number, place, version, what, at, bytes } = talk else { return Ok(()) };
    let mut room = link.room(place, bytes)?;
    let message = match store.put(version, what, at, &mut room) {
        Ok(()) => Talk::Data { number, crc: room.crc() },
        Err(why) => Talk::Lacks { number, why },
    };
    link.send(&message)
}
