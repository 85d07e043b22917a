//! Versions in memory that other nodes guard by copies or parity, and the loss of nodes.
//!
//! One version is guarded at a time, and the newest committed one waits. Invariants: a guard counts only by
//! the answer to the order that is under way, and only if no copy went bad since; what is rebuilt and bad
//! again is not rebuilt again; see [`Ledger`] for slots. Deliberately absent: who moves bytes, and which; see [`fetch`](crate::fetch).

use std::collections::{BTreeMap, BTreeSet};

use mainstay_types::event::Level;
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Node, Rank, Version};

use super::input::{Effect, Stale, VoidReason};
use super::record::Record;
use super::{Choice, Ledger};
use crate::fetch::Ring;

/// What the ledger knows of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guards {
    ring: Ring,
    /// The node of each rank, by rank.
    node_of: Vec<Node>,
    running: Option<(Version, u32)>,
    waiting: Option<Version>,
    /// The number of the last order.
    attempt: u32,
}

impl Guards {
    fn level(&self) -> Option<Level> {
        match self.ring.redundancy() {
            Redundancy::None => None,
            Redundancy::Partner => Some(Level::Partner),
            Redundancy::Parity(_) => Some(Level::Parity),
        }
    }

    fn of(&self, index: usize) -> Option<Node> {
        self.node_of.get(index).copied()
    }

    /// Nodes of which a part, or what they are to hold for others, is not there.
    fn lost(&self, record: &Record) -> BTreeSet<Node> {
        let bad = |(i, part): (usize, &super::record::Part)| {
            self.of(i).filter(|_| part.bad.contains(&Level::Memory))
        };
        let parts = record.parts.iter().enumerate().filter_map(bad);
        let nodes = Node::all(self.ring.nodes());
        parts.chain(nodes.filter(|node| !record.held.contains(node))).collect()
    }
}

impl Ledger {
    /// The same, with versions in memory that lie in nodes; `node_of` gives the node of each rank.
    #[must_use]
    pub fn guarded_by(self, ring: Ring, node_of: Vec<Node>) -> Self {
        let guards = Guards { ring, node_of, running: None, waiting: None, attempt: 0 };
        Self { guards: Some(guards), ..self }
    }

    /// The nodes that have all that was theirs of a version, own parts and what they hold for others.
    #[must_use]
    pub fn left(&self, version: Version) -> Vec<Node> {
        let (Some(guards), Some(record)) = (&self.guards, self.records.get(&version)) else {
            return Vec::new();
        };
        let lost = guards.lost(record);
        Node::all(guards.ring.nodes()).filter(|node| !lost.contains(node)).collect()
    }

    /// The version that is being guarded, with the number of the order.
    #[must_use]
    pub fn guarding(&self) -> Option<(Version, u32)> {
        self.guards.as_ref()?.running
    }

    /// Whether a slot is kept for the sake of guards.
    pub(super) fn is_pinned(&self, version: Version) -> bool {
        let Some(guards) = &self.guards else { return false };
        let under_way = [guards.running.map(|(version, _)| version), guards.waiting];
        let newest = || {
            let covered = |record: &&Record| record.slot.is_some() && record.covered.is_some();
            self.records.values().rev().find(covered).map(Record::version)
        };
        let any = under_way.iter().any(Option::is_some);
        under_way.contains(&Some(version)) || any && newest() == Some(version)
    }

    /// What the choice needs of other nodes first.
    pub(super) fn rebuilds(&self, choice: &Choice) -> BTreeMap<Node, Vec<Rank>> {
        let mut rebuilds = BTreeMap::new();
        for (rank, source) in (0..).map(Rank).zip(&choice.ranks) {
            let guarded = matches!(source.level, Level::Partner | Level::Parity);
            let node = self.guards.as_ref().filter(|_| guarded).and_then(|g| g.of(rank.index()));
            if let Some(node) = node {
                rebuilds.entry(node).or_insert_with(Vec::new).push(rank);
            }
        }
        rebuilds
    }

    /// Has a version guarded, at once or when the guard under way has ended.
    pub(super) fn queue_guard(&mut self, version: Version, effects: &mut Vec<Effect>) {
        let Some(guards) = self.guards.as_mut().filter(|guards| guards.level().is_some()) else {
            return;
        };
        if guards.running.is_some() {
            guards.waiting = Some(version);
            return;
        }
        guards.attempt += 1;
        let attempt = guards.attempt;
        guards.running = Some((version, attempt));
        effects.push(Effect::Guard { version, attempt });
    }

    fn next_guard(&mut self, effects: &mut Vec<Effect>) {
        let Some(guards) = &mut self.guards else { return };
        guards.running = None;
        if let Some(version) = guards.waiting.take() {
            self.queue_guard(version, effects);
        }
    }

    /// The version is void, or a copy of it is bad: the guard comes to nothing.
    pub(super) fn drop_guard(&mut self, version: Version, effects: &mut Vec<Effect>) {
        let Some(guards) = &mut self.guards else { return };
        guards.waiting = guards.waiting.filter(|waiting| *waiting != version);
        if guards.running.is_some_and(|(running, _)| running == version) {
            self.next_guard(effects);
        }
    }

    /// A copy went bad during the guard or before it: whether the others fetched it good nobody knows.
    pub(super) fn spoil_guard(&mut self, version: Version, why: String, effects: &mut Vec<Effect>) {
        let Some(guards) = &self.guards else { return };
        let runs = guards.running.is_some_and(|(running, _)| running == version);
        if runs || guards.waiting == Some(version) {
            effects.push(Effect::Unguarded { version, why });
            self.drop_guard(version, effects);
        }
    }

    /// Finds out anew whether what is lost of a version can be got back.
    pub(super) fn recount(&mut self, version: Version) {
        let (Some(guards), Some(record)) = (&self.guards, self.records.get_mut(&version)) else {
            return;
        };
        let guarded = !record.held.is_empty() && guards.ring.covers(&guards.lost(record));
        record.covered = guards.level().filter(|_| guarded && record.slot.is_some());
    }

    fn is_guarding(&self, version: Version, attempt: u32) -> Result<(), Stale> {
        let same = self.guarding() == Some((version, attempt));
        same.then_some(()).ok_or(Stale::Version)
    }

    pub(super) fn guarded(
        &mut self,
        version: Version,
        attempt: u32,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        self.is_guarding(version, attempt)?;
        let nodes = self.guards.as_ref().map_or(0, |guards| guards.ring.nodes());
        if let Some(record) = self.records.get_mut(&version) {
            record.held = Node::all(nodes).collect();
        }
        self.recount(version);
        self.next_guard(effects);
        Ok(())
    }

    pub(super) fn guard_failed(
        &mut self,
        version: Version,
        attempt: u32,
        why: String,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        self.is_guarding(version, attempt)?;
        effects.push(Effect::Unguarded { version, why });
        self.next_guard(effects);
        Ok(())
    }

    pub(super) fn node_lost(&mut self, node: Node, effects: &mut Vec<Effect>) -> Result<(), Stale> {
        let guards = self.guards.as_mut().ok_or(Stale::Version)?;
        if node.0 >= guards.ring.nodes() {
            return Err(Stale::Version);
        }
        (guards.running, guards.waiting) = (None, None);
        let lost: Vec<_> = guards.node_of.iter().map(|of| *of == node).collect();
        if let Some(version) = self.capture {
            self.void(version, VoidReason::NodeLost(node), effects);
        }
        let in_memory = self.slots.iter().copied().flatten().collect::<BTreeSet<_>>();
        for version in in_memory {
            let Some(record) = self.records.get_mut(&version) else { continue };
            record.held.remove(&node);
            for (part, _) in record.parts.iter_mut().zip(&lost).filter(|(_, lost)| **lost) {
                part.bad.insert(Level::Memory);
                part.rebuilt = false;
            }
            let any = record.parts.iter().any(|part| part.bad.contains(&Level::Memory));
            if any {
                self.cancel_drain(version, effects);
            }
            self.recount(version);
            self.void_if_lost(version, format!("node {node} is lost"), effects);
        }
        Ok(())
    }

    pub(super) fn rebuilt(&mut self, version: Version, ranks: &[Rank]) -> Result<(), Stale> {
        let record = self.records.get_mut(&version).filter(|record| record.covered.is_some());
        let record = record.ok_or(Stale::Version)?;
        for rank in ranks {
            let part = record.parts.get_mut(rank.index()).ok_or(Stale::Ranks)?;
            part.rebuilt |= part.bad.remove(&Level::Memory);
        }
        self.recount(version);
        Ok(())
    }

    /// What was rebuilt was good, and may be rebuilt again should it rot.
    pub(super) fn restored(&mut self, version: Version) -> Result<(), Stale> {
        let record = self.records.get_mut(&version).ok_or(Stale::Version)?;
        record.parts.iter_mut().for_each(|part| part.rebuilt = false);
        Ok(())
    }

    pub(super) fn rebuild_failed(
        &mut self,
        version: Version,
        why: String,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Stale> {
        let record = self.records.get_mut(&version).filter(|record| record.covered.is_some());
        record.ok_or(Stale::Version)?.held.clear();
        self.recount(version);
        self.void_if_lost(version, why, effects);
        Ok(())
    }

    /// All nodes are there: the version that the job goes on from is guarded again, if not all of them
    /// hold what they are to hold of it.
    pub(super) fn nodes_whole(&mut self, effects: &mut Vec<Effect>) -> Result<(), Stale> {
        let guards = self.guards.as_ref().ok_or(Stale::Version)?;
        let lacks = |record: &&Record| {
            let whole = record.parts.iter().all(|part| !part.bad.contains(&Level::Memory));
            record.slot.is_some() && whole && record.held.len() < guards.ring.nodes() as usize
        };
        let newest = self.newest_restorable().and_then(|newest| self.records.get(&newest));
        let version = newest.filter(lacks).map(Record::version);
        if let Some(version) = version.filter(|_| guards.running.is_none()) {
            self.queue_guard(version, effects);
        }
        Ok(())
    }
}
