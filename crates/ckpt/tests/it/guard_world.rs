//! A model of nodes that hold the memory of their ranks and guard that of others, at random.
//!
//! The model knows which bytes are there: each rank's copy in its node, and what each node holds for
//! others, and compares every answer of the ledger with what can be had; `guard_campaign` acts on it. Deliberately absent: late messages and messages between ranks.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_ckpt::fetch::Ring;
use mainstay_ckpt::{Effect, Input, Ledger};
use mainstay_types::event::Level;
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Epoch, Node, Rank, Step, Version};

use crate::script::{ledger, tell};

/// What lies in memory of a version.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    pub(crate) slot: u8,
    pub(crate) bad: BTreeSet<u32>,
    /// Ranks whose part was rebuilt, and that nobody has found good since.
    pub(crate) rebuilt: BTreeSet<u32>,
    pub(crate) held: BTreeSet<u32>,
}

/// What happened, over all histories.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    pub(crate) guarded: u32,
    pub(crate) guard_failed: u32,
    pub(crate) guard_spoiled: u32,
    pub(crate) lost_covered: u32,
    pub(crate) lost_in_guard: u32,
    pub(crate) lost_twice: u32,
    pub(crate) rebuilt: u32,
    pub(crate) rebuild_failed: u32,
    pub(crate) rotten_rebuilt: u32,
    pub(crate) voided: u32,
}

pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) redundancy: Redundancy,
    pub(crate) ranks: u32,
    pub(crate) nodes: u32,
    pub(crate) epoch: Epoch,
    pub(crate) step: Step,
    /// The version in capture, and its slot.
    pub(crate) target: Option<(Version, u8)>,
    pub(crate) memory: BTreeMap<Version, Memory>,
    pub(crate) published: BTreeSet<Version>,
    pub(crate) rotten_files: BTreeSet<(Version, u32)>,
    pub(crate) draining: Option<Version>,
    pub(crate) running: Option<(Version, u32)>,
    pub(crate) waiting: Option<Version>,
    /// Whether the epoch has ended and the next has not begun.
    pub(crate) down: bool,
    pub(crate) seen: Seen,
}

impl World {
    pub(crate) fn new(nodes: u32, ranks: u32, redundancy: Redundancy) -> Self {
        let ring = Ring::new(nodes, redundancy).unwrap();
        let node_of = (0..ranks).map(|rank| Node(rank % nodes)).collect();
        Self {
            ledger: ledger(ranks, 1).guarded_by(ring, node_of),
            redundancy,
            ranks,
            nodes,
            epoch: Epoch(1),
            step: Step(0),
            target: None,
            memory: BTreeMap::new(),
            published: BTreeSet::new(),
            rotten_files: BTreeSet::new(),
            draining: None,
            running: None,
            waiting: None,
            down: false,
            seen: Seen::default(),
        }
    }

    /// The claim, in other words than the code's.
    pub(crate) fn is_within(&self, lost: &BTreeSet<u32>) -> bool {
        match self.redundancy {
            Redundancy::None => lost.is_empty(),
            Redundancy::Partner => !(0..self.nodes)
                .any(|node| lost.contains(&node) && lost.contains(&((node + 1) % self.nodes))),
            Redundancy::Parity(parity) => lost.len() <= usize::from(parity),
        }
    }

    pub(crate) fn level(&self) -> Level {
        match self.redundancy {
            Redundancy::Partner => Level::Partner,
            _ => Level::Parity,
        }
    }

    /// Whether others give back what is lost of a version, or would if this node went as well.
    pub(crate) fn is_covered(&self, version: Version, and: Option<u32>) -> bool {
        let Some(memory) = self.memory.get(&version) else { return false };
        if memory.held.is_empty() {
            return false;
        }
        let mut lost: BTreeSet<_> = memory.bad.iter().map(|rank| rank % self.nodes).collect();
        lost.extend((0..self.nodes).filter(|node| !memory.held.contains(node)));
        lost.extend(and);
        self.is_within(&lost)
    }

    pub(crate) fn newest_covered(&self, and: Option<u32>) -> Option<Version> {
        self.memory.keys().rev().copied().find(|version| self.is_covered(*version, and))
    }

    pub(crate) fn from(&self, version: Version, rank: u32) -> Option<Level> {
        let memory = self.memory.get(&version);
        if memory.is_some_and(|memory| !memory.bad.contains(&rank)) {
            Some(Level::Memory)
        } else if self.is_covered(version, None) {
            Some(self.level())
        } else {
            let there = self.published.contains(&version);
            (there && !self.rotten_files.contains(&(version, rank))).then_some(Level::Disk)
        }
    }

    pub(crate) fn newest_restorable(&self) -> Option<Version> {
        let versions: BTreeSet<_> = self.memory.keys().chain(&self.published).copied().collect();
        let target = self.target.map(|(version, _)| version);
        let mut newest_first = versions.into_iter().rev().filter(|v| Some(*v) != target);
        newest_first.find(|v| (0..self.ranks).all(|rank| self.from(*v, rank).is_some()))
    }

    pub(crate) fn tell(&mut self, input: Input) -> Vec<Effect> {
        let before = (self.newest_restorable(), self.newest_covered(None));
        let effects = tell(&mut self.ledger, input);
        for effect in &effects {
            self.carry_out(effect, before);
        }
        effects
    }

    pub(crate) fn carry_out(
        &mut self,
        effect: &Effect,
        before: (Option<Version>, Option<Version>),
    ) {
        match *effect {
            Effect::Proposed { version, slot, .. } => {
                let inside = self.memory.values().any(|memory| memory.slot == slot);
                assert!(!inside, "the slot of {version} was not freed");
                self.target = Some((version, slot));
            }
            Effect::Freed { version } => {
                let under_way = self.running.is_some() || self.waiting.is_some();
                assert_ne!(Some(version), before.0, "a failure would restore it");
                assert_ne!(Some(version), self.draining);
                assert_ne!(Some(version), self.running.map(|(running, _)| running));
                assert_ne!(Some(version), self.waiting);
                assert!(!under_way || Some(version) != before.1, "the only guarded one");
                self.memory.remove(&version);
            }
            Effect::Void { version, .. } => {
                self.seen.voided += 1;
                assert_ne!(Some(version), self.draining);
                self.memory.remove(&version);
                self.target = self.target.filter(|(target, _)| *target != version);
                self.waiting = self.waiting.filter(|waiting| *waiting != version);
                self.running = self.running.filter(|(running, _)| *running != version);
            }
            Effect::Committed { version } => {
                let (target, slot) = self.target.take().unwrap();
                assert_eq!(target, version);
                self.memory.insert(version, Memory { slot, ..Memory::default() });
                if self.running.is_some() {
                    self.waiting = Some(version);
                }
            }
            Effect::Guard { version, attempt } => {
                assert_eq!(self.running, None, "one at a time");
                assert!(self.memory[&version].bad.is_empty(), "{version} is not whole");
                self.running = Some((version, attempt));
                self.waiting = self.waiting.filter(|waiting| *waiting != version);
            }
            Effect::Drain { version } => {
                assert_eq!(self.draining, None);
                assert!(self.memory[&version].bad.is_empty(), "{version} is not whole");
                self.draining = Some(version);
            }
            Effect::Prune { version } => {
                self.published.remove(&version);
            }
            Effect::Unguarded { version, .. } => {
                self.running = self.running.filter(|(running, _)| *running != version);
                self.waiting = self.waiting.filter(|waiting| *waiting != version);
            }
            _ => {}
        }
    }

    /// What the ledger would restore is the newest that can be had, from where it can be had.
    pub(crate) fn check(&self) {
        let choice = self.ledger.choose();
        assert_eq!(choice.as_ref().map(|choice| choice.version), self.newest_restorable());
        let mut rebuilds: BTreeMap<Node, Vec<Rank>> = BTreeMap::new();
        for (rank, source) in (0..).zip(choice.iter().flat_map(|choice| &choice.ranks)) {
            let version = choice.as_ref().map(|choice| choice.version).unwrap();
            assert_eq!(Some(source.level), self.from(version, rank));
            let slot = self.memory.get(&version).map(|memory| memory.slot);
            assert_eq!(source.slot, slot.filter(|_| source.level != Level::Disk));
            if source.level == self.level() {
                rebuilds.entry(Node(rank % self.nodes)).or_default().push(Rank(rank));
            }
        }
        assert_eq!(choice.map(|choice| choice.rebuilds).unwrap_or_default(), rebuilds);
        assert_eq!(self.ledger.guarding(), self.running);
        let idle = self.target.is_none() && self.running.is_none() && self.waiting.is_none();
        if idle && !self.ledger.is_draining() {
            assert!(self.ledger.may_propose(), "nothing is under way");
        }
    }
}
