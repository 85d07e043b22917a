//! Opening an epoch: nobody touches shared memory, so channels are emptied, a version is chosen
//! once, and every rank is told.
//!
//! Where nodes hold the memory, they give it back and hand it over first, while the epoch may be raised
//! again. Invariant: a rank gets its descriptors or its copy counts as bad and another choice is made.
//! Deliberately absent: whether the epoch may open; `control` decided that.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use mainstay_ckpt::ledger::Choice;
use mainstay_comm::layout::Status;
use mainstay_control::Input;
use mainstay_types::event::Level;
use mainstay_types::wire::{Reshape, ToRank};
use mainstay_types::{Epoch, Node, Rank, Step, Version};

use super::Supervisor;
use super::versions::Source;
use crate::sys;

/// What each rank restores from, as far as it is there.
type Sources = BTreeMap<Rank, Vec<Source>>;

/// An epoch that opens once nodes have given back and handed over what ranks restore from.
#[derive(Debug)]
pub(super) struct Opening {
    epoch: Epoch,
    choice: Choice,
    /// Nodes that rebuild parts.
    rebuilding: BTreeSet<Node>,
    sources: Sources,
}

impl Supervisor<'_> {
    pub(super) fn open(&mut self, epoch: Epoch) {
        let (choice, sources) = match self.choose() {
            Ok(chosen) => chosen,
            Err(why) => return self.feed(Input::NoVersion { why }),
        };
        match choice {
            Some(choice) if sources.len() < choice.ranks.len().min(self.members.len()) => {
                self.ask_nodes(Opening { epoch, choice, rebuilding: BTreeSet::new(), sources });
            }
            choice => self.tell_open(epoch, choice, sources),
        }
    }

    /// Has nodes rebuild what is lost; once nothing is, hand over what ranks restore from.
    fn ask_nodes(&mut self, mut opening: Opening) {
        let lost = opening.choice.rebuilds.clone();
        if lost.is_empty() {
            let lacking: Vec<_> = Rank::all(self.plan.config.n)
                .filter(|rank| !opening.sources.contains_key(rank))
                .collect();
            self.versions.hand(&opening.choice, &lacking);
        } else {
            opening.rebuilding = lost.keys().copied().collect();
            let events = self.versions.rebuild(&opening.choice, &lost);
            self.tell_all(events);
        }
        self.opening = Some(opening);
    }

    /// The ranks whose parts a node rebuilds.
    pub(super) fn rebuilding(&self, node: Node) -> Vec<Rank> {
        let rebuilds = self.opening.as_ref().map(|opening| &opening.choice.rebuilds);
        rebuilds.and_then(|rebuilds| rebuilds.get(&node)).cloned().unwrap_or_default()
    }

    /// A node has rebuilt its part of a version.
    pub(super) fn rebuilt(&mut self, node: Node) {
        let Some(opening) = &mut self.opening else { return };
        opening.rebuilding.remove(&node);
        if opening.rebuilding.is_empty() {
            let epoch = opening.epoch;
            self.opening = None;
            self.open(epoch);
        }
    }

    /// What an epoch was to open with cannot be had, which the ledger knows by now.
    pub(super) fn open_otherwise(&mut self) {
        if let Some(Opening { epoch, .. }) = self.opening.take() {
            // What was asked for belongs to another choice.
            self.versions.forget_opening();
            self.open(epoch);
        }
    }

    /// A node has handed over what a rank restores from.
    pub(super) fn handed(&mut self, rank: Rank, fds: Vec<OwnedFd>) {
        let Some(opening) = &mut self.opening else { return };
        if let Some(nodes) = &mut self.versions.nodes {
            nodes.holds(rank, self.members[rank.index()].incarnation);
        }
        opening.sources.insert(rank, fds.into_iter().map(Source::Handed).collect());
        if opening.sources.len() < self.members.len() {
            return;
        }
        if let Some(Opening { epoch, choice, sources, .. }) = self.opening.take() {
            self.tell_open(epoch, Some(choice), sources);
        }
    }

    /// A node has not got what a rank is to restore from.
    pub(super) fn lacks(&mut self, rank: Rank, why: &str) {
        let Some(Opening { choice, .. }) = &self.opening else { return };
        let (version, level) = (choice.version, Level::Memory);
        self.bad(version, (rank, level), why);
        self.open_otherwise();
    }

    /// An epoch was raised while another was to open: ranks that wait for that are told.
    pub(super) fn opening_is_over(&mut self, epoch: Epoch) {
        if self.opening.take().is_some() {
            self.versions.forget_opening();
            for rank in Rank::all(self.plan.config.n) {
                self.answer(rank, &ToRank::Raised { epoch });
            }
        }
    }

    fn tell_open(&mut self, epoch: Epoch, choice: Option<Choice>, mut sources: Sources) {
        self.segment.reset_channels();
        let step = choice.as_ref().map_or(Step(0), |choice| choice.step);
        // Until a rank has taken its state over, its step is the version's.
        for rank in Rank::all(self.plan.config.n) {
            self.segment.status(rank, Status::Step).store(step.0, Ordering::SeqCst);
        }
        let incarnations: Vec<u32> =
            self.recovery.incarnations().into_iter().map(|incarnation| incarnation.0).collect();
        let n = self.plan.config.n;
        for rank in Rank::all(n) {
            let sources = sources.remove(&rank).unwrap_or_default();
            let incarnations = incarnations.clone();
            let message = match &choice {
                Some(choice) if choice.n() != n => {
                    let (version, step, ranks) = (choice.version, choice.step, choice.n());
                    let reshape = Reshape { version, step, ranks };
                    ToRank::OpenReshaped { epoch, incarnations, reshape }
                }
                choice => {
                    let restore = choice.as_ref().map(|choice| choice.restore(rank));
                    ToRank::Open { epoch, incarnations, restore }
                }
            };
            let fds: Vec<BorrowedFd<'_>> = sources.iter().map(Source::as_fd).collect();
            self.answer_with(rank, &message, &fds);
        }
        let now = sys::now();
        self.faults.start(now);
        let events = self.versions.opened(now);
        self.tell_all(events);
        let version = choice.map(|choice| choice.version);
        self.feed(Input::Opened { epoch, version, step });
    }

    /// A version whose descriptors could all be had, with those that this process has: all but what
    /// lies in nodes.
    fn choose(&mut self) -> Result<(Option<Choice>, Sources), String> {
        loop {
            let Some(choice) = self.versions.choose()?.cloned() else {
                return Ok((None, BTreeMap::new()));
            };
            let mut sources = BTreeMap::new();
            let mut bad = None;
            for rank in Rank::all(self.plan.config.n) {
                match self.versions.sources(&choice, rank) {
                    Ok(Some(found)) => drop(sources.insert(rank, found)),
                    Ok(None) => {}
                    Err(why) => {
                        bad = Some((rank, why));
                        break;
                    }
                }
            }
            let Some((rank, why)) = bad else {
                return Ok((Some(choice), sources));
            };
            // Of a version of other ranks it is the directory or the manifest, and so any part.
            let rank = self.versions.bad_part(rank, rank);
            let level = choice.ranks[rank.index()].level;
            self.bad(choice.version, (rank, level), &why);
        }
    }

    /// A copy is bad: a person is told, and the ledger.
    fn bad(&mut self, version: Version, (rank, level): (Rank, Level), why: &str) {
        if let Some(text) = self.versions.news_of(version, (rank, level), why) {
            self.note(text);
        }
        let events = self.versions.copy_bad(rank, version, level, why);
        self.tell_all(events);
    }
}

impl Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Arena(memory) => memory.fd.as_fd(),
            Self::Late(blob) => blob.as_fd(),
            Self::Handed(fd) => fd.as_fd(),
            Self::Shard(file) | Self::Directory(file) | Self::Manifest(file) => file.as_fd(),
        }
    }
}
