//! Versions whose memory lies in nodes: guards, losses, rebuilds.
//!
//! Invariant: what a node says reaches the ledger before anything follows from it. Deliberately absent:
//! processes and lines of nodes, see `nodes`; decisions, which the ledger takes.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_ckpt::fetch::Ring;
use mainstay_ckpt::ledger::{Choice, Input, Ledger};
use mainstay_types::event::{Event, Level};
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Node, Rank, Version, exit};

use super::Versions;
use crate::supervisor::config::{Config, Refusal};
use crate::sys;

/// The ledger of a job whose nodes guard each other, if it has any.
pub(super) fn guarded(ledger: Ledger, config: &Config) -> Result<Ledger, Refusal> {
    let Some(domains) = &config.domains else { return Ok(ledger) };
    let ring = Ring::new(domains.nodes, domains.redundancy)
        .map_err(|error| Refusal { code: exit::USAGE, why: error.to_string() })?;
    let node_of = Rank::all(config.n).map(|rank| domains.node_of(rank, config.n)).collect();
    Ok(ledger.guarded_by(ring, node_of))
}

impl Versions {
    /// Has nodes guard a version. One that cannot be guarded has failed to be: the ledger must not wait.
    pub(super) fn guard(&mut self, version: Version, attempt: u32) -> Vec<Event> {
        let ordered = match (&mut self.nodes, self.ledger.record(version)) {
            (Some(nodes), Some(record)) => nodes.guard(record, attempt),
            (None, _) | (_, None) => Err("there are no nodes".to_owned()),
        };
        match ordered {
            Ok(()) => Vec::new(),
            Err(why) => self.input(Input::GuardFailed { version, attempt, why }),
        }
    }

    /// The level at which nodes guard each other.
    pub(crate) fn guard_level(&self) -> Level {
        match self.nodes.as_ref().map(super::super::nodes::Nodes::redundancy) {
            Some(Redundancy::Parity(_)) => Level::Parity,
            Some(Redundancy::Partner | Redundancy::None) | None => Level::Partner,
        }
    }

    /// All nodes hold what they are to hold of a version.
    pub(crate) fn guarded(
        &mut self,
        version: Version,
        attempt: u32,
        bytes: u64,
        took: Duration,
    ) -> Vec<Event> {
        let level = self.guard_level();
        // The ledger has ended a guard during which a copy went bad: that nodes hold it says nothing.
        let counts = self.ledger.guarding() == Some((version, attempt));
        let told = counts.then_some(Event::Guarded { version, level, bytes, took });
        let mut events: Vec<_> = told.into_iter().collect();
        events.extend(self.input(Input::Guarded { version, attempt }));
        events
    }

    pub(crate) fn guard_failed(
        &mut self,
        version: Version,
        attempt: u32,
        why: String,
    ) -> Vec<Event> {
        self.input(Input::GuardFailed { version, attempt, why })
    }

    /// A node is lost.
    pub(crate) fn node_lost(&mut self, node: Node) -> Vec<Event> {
        if let Some(nodes) = &mut self.nodes {
            nodes.give_up();
        }
        self.input(Input::NodeLost { node })
    }

    /// Has nodes get back what is lost of the chosen version.
    pub(crate) fn rebuild(
        &mut self,
        choice: &Choice,
        lost: &BTreeMap<Node, Vec<Rank>>,
    ) -> Vec<Event> {
        // Nodes carry out one order at a time: neither the guard under way nor the one that waits for
        // its end would ever be answered.
        let mut events = Vec::new();
        while let Some((version, attempt)) = self.ledger.guarding() {
            let why = "what is lost is rebuilt first".to_owned();
            events.extend(self.input(Input::GuardFailed { version, attempt, why }));
        }
        let record = self.ledger.record(choice.version);
        let (left, slot) = match record {
            Some(record) => (self.ledger.left(choice.version), record.slot()),
            None => (Vec::new(), None),
        };
        if let (Some(nodes), Some(slot)) = (&mut self.nodes, slot) {
            nodes.rebuild(choice, slot, lost, &left);
        }
        events
    }

    /// A node has its ranks' parts of a version again.
    pub(crate) fn rebuilt(
        &mut self,
        version: Version,
        (node, ranks): (Node, Vec<Rank>),
        bytes: u64,
        took: Duration,
    ) -> Vec<Event> {
        let level = self.guard_level();
        let mut events = vec![Event::Rebuilt { node, version, level, bytes, took }];
        events.extend(self.input(Input::Rebuilt { version, ranks }));
        events
    }

    pub(crate) fn rebuild_failed(&mut self, version: Version, why: String) -> Vec<Event> {
        self.input(Input::RebuildFailed { version, why })
    }

    /// Has nodes hand over what these ranks restore from.
    pub(crate) fn hand(&mut self, choice: &Choice, ranks: &[Rank]) {
        let Some(nodes) = &mut self.nodes else { return };
        for rank in ranks {
            let source = &choice.ranks[rank.index()];
            if let Some(slot) = source.slot {
                nodes.hand(*rank, slot, choice.version, source.late_bytes > 0);
            }
        }
    }

    /// Kills nodes that are stopped for too long, so that nobody waits for bytes of theirs.
    pub(super) fn end_stopped_nodes(&mut self) -> Option<Event> {
        let nodes = self.nodes.as_mut()?;
        let (node, why) = nodes.stopped(sys::now())?;
        nodes.kill(node);
        Some(Event::Note { text: format!("node {node} is killed: {why}") })
    }

    /// The epoch that was to open does not.
    pub(crate) fn forget_opening(&mut self) {
        if let Some(nodes) = &mut self.nodes {
            nodes.forget_opening();
        }
    }
}
