//! Nodes as part of a run: started with it, listened to, lost and replaced.
//!
//! Invariant: with a node all its ranks are ended, before another takes its place. Deliberately absent:
//! what is done about it, which `control` and `ckpt` decide as for any death of a rank.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use mainstay_control::Input;
use mainstay_types::event::Event;
use mainstay_types::wire::ToRank;
use mainstay_types::wire::node::FromNode;
use mainstay_types::{Node, Rank, exit};

use super::nodes::{Answer, Nodes, Of};
use super::{Config, Supervisor};
use crate::sys;

/// Messages of one node that are taken in one turn.
const MESSAGES_AT_ONCE: usize = 64;

impl Supervisor<'_> {
    /// Starts the nodes of a job that has any.
    pub(super) fn start_nodes(&mut self) {
        let Some(domains) = self.plan.config.domains.clone() else { return };
        if self.versions.path().is_none() {
            return;
        }
        let Config { n, lost_after, .. } = self.plan.config;
        match Nodes::start(domains, n, lost_after, &mut self.guardian) {
            Ok(nodes) => {
                self.versions.nodes = Some(nodes);
                let count = self.plan.config.domains.as_ref().map_or(0, |domains| domains.nodes);
                for node in Node::all(count) {
                    self.node_is_up(node);
                }
            }
            Err(error) => self.no_node(&error),
        }
    }

    fn node_is_up(&mut self, node: Node) {
        let Some(nodes) = &self.versions.nodes else { return };
        let (pid, ranks) = (nodes.pid(node).unwrap_or(0), nodes.ranks(node).collect());
        self.tell(&Event::NodeUp { node, pid, ranks });
    }

    fn no_node(&mut self, error: &std::io::Error) {
        let why = format!("a node cannot be started: {error}; {}", sys::mend(error));
        self.feed(Input::GiveUp { code: exit::INTERNAL, why });
    }

    /// A node has something to say, or has ended.
    pub(super) fn hear_node(&mut self, node: Node) {
        for _ in 0..MESSAGES_AT_ONCE {
            let Some(nodes) = &self.versions.nodes else { return };
            match nodes.hear(node) {
                Ok(None) => return,
                Ok(Some((message, fds))) => self.node_says(node, message, fds),
                Err(why) => return self.lose_node(node, why),
            }
        }
    }

    fn node_says(&mut self, node: Node, message: FromNode, fds: Vec<OwnedFd>) {
        let Some(nodes) = &mut self.versions.nodes else { return };
        match message {
            FromNode::Arena { rank, slot, bytes } => {
                nodes.has_arena(node, (rank, slot), bytes);
                if self.waits_for_arena(node, (rank, slot), Some(bytes))
                    && let Some(fd) = fds.first()
                {
                    self.answer_with(rank, &ToRank::Arena { slot, bytes }, &[fd.as_fd()]);
                }
            }
            FromNode::NoArena { rank, slot, why } => {
                if self.waits_for_arena(node, (rank, slot), None) {
                    self.answer(rank, &ToRank::Refused { why });
                }
            }
            message => {
                let answer = nodes.answer(node, message, fds);
                self.node_answers(answer);
            }
        }
    }

    /// Whether this rank of the node waits for the arena, in the incarnation that asked for it.
    fn waits_for_arena(
        &mut self,
        node: Node,
        (rank, slot): (Rank, u8),
        bytes: Option<u64>,
    ) -> bool {
        let member = self.members.get(rank.index());
        let (Some(nodes), Some(member)) = (&mut self.versions.nodes, member) else { return false };
        nodes.node_of(rank) == node && nodes.awaited((rank, slot), member.incarnation, bytes)
    }

    fn node_answers(&mut self, answer: Answer) {
        match answer {
            Answer::Nothing => {}
            Answer::Guarded { version, attempt, bytes, took } => {
                let events = self.versions.guarded(version, attempt, bytes, took);
                self.committed(events);
            }
            Answer::Rebuilt { version, node, bytes, took } => {
                let ranks = self.rebuilding(node);
                let events = self.versions.rebuilt(version, (node, ranks), bytes, took);
                self.tell_all(events);
                self.rebuilt(node);
            }
            Answer::Failed { of: Of::Guard, version, attempt, why, .. } => {
                let events = self.versions.guard_failed(version, attempt, why);
                self.tell_all(events);
            }
            // The epoch opens otherwise once that node is known to be lost.
            Answer::Failed { of: Of::Rebuild, peer: Some(_), .. } => {}
            Answer::Failed { of: Of::Rebuild, version, why, .. } => {
                self.note(format!("version {version} cannot be rebuilt: {why}"));
                let events = self.versions.rebuild_failed(version, why);
                self.tell_all(events);
                self.open_otherwise();
            }
            Answer::Handed { rank, fds } => self.handed(rank, fds),
            Answer::Lacks { rank, why } => self.lacks(rank, &why),
        }
    }

    /// A node is lost: its ranks with it, and all that it had in memory. Another takes its place.
    fn lose_node(&mut self, node: Node, why: String) {
        if self.end.is_some() || self.recovery.only_waits_for_the_dead() {
            return self.close_nodes();
        }
        let Some(nodes) = &self.versions.nodes else { return };
        let ranks: Vec<_> = nodes.ranks(node).collect();
        for rank in ranks {
            let member = &self.members[rank.index()];
            // One that was started since has nothing of it.
            if nodes.has_memory(rank, member.incarnation)
                && let Some(process) = &member.process
            {
                process.kill();
            }
        }
        self.tell(&Event::NodeLost { node, why });
        let events = self.versions.node_lost(node);
        self.tell_all(events);
        let Some(nodes) = &mut self.versions.nodes else { return };
        match nodes.replace(node, &mut self.guardian) {
            Ok(()) => {
                self.node_is_up(node);
                // An epoch may wait for what the lost one was to hand over.
                self.open_otherwise();
            }
            Err(error) => {
                self.close_nodes();
                self.no_node(&error);
            }
        }
    }

    /// Ends the nodes.
    pub(super) fn close_nodes(&mut self) {
        let Some(mut nodes) = self.versions.nodes.take() else { return };
        let stay = nodes.end_all(&mut self.guardian);
        if !stay.is_empty() {
            let pids: Vec<_> = stay.iter().map(u32::to_string).collect();
            self.note(format!(
                "left behind: processes of nodes that were killed and are still there: {}",
                pids.join(", ")
            ));
        }
    }

    /// Kills nodes that are stopped, or do not answer.
    pub(super) fn look_at_nodes(&mut self, now: Duration) {
        let Some(nodes) = &mut self.versions.nodes else { return };
        if let Some((node, why)) = nodes.overdue(now) {
            nodes.kill(node);
            self.note(format!("node {node} is killed: {why}"));
        } else if !nodes.owe_an_opening() {
            // Nobody would answer: an order has failed, or what it was for is void.
            self.open_otherwise();
        }
    }
}
