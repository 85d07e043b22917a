//! The ends of nodes: killed, reaped, or left where something holds them.
//!
//! Invariant: no wait for a process is without an end. Deliberately absent: what the loss of a node means.

use std::os::fd::AsFd;
use std::time::Duration;

use mainstay_types::Node;
use rustix::process::{Pid, Signal};

use super::{Member, Nodes};
use crate::procfs;
use crate::sys::{self, Guardian};

/// The end of a process that was killed is waited for so long.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

impl Nodes {
    /// Kills a node, which is then found to be gone.
    pub(crate) fn kill(&self, node: Node) {
        if let Some(member) = self.members.get(node.index()) {
            member.kill();
        }
    }

    /// Ends the process of a node; whether it is gone. One that the kernel, or a debugger, does not let
    /// go runs no more, and nobody listens to it: it is not waited for.
    pub(super) fn end(&mut self, node: Node, guardian: &mut Guardian) -> bool {
        let member = &mut self.members[node.index()];
        if member.ended {
            return true;
        }
        let pid = member.spawned.child.id();
        // Its group is its own; before it is reaped its number cannot be another's.
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            let _gone = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        sys::wait_readable([member.spawned.pidfd.as_fd()].into_iter(), ENDS_WITHIN);
        member.ended = !matches!(member.spawned.child.try_wait(), Ok(None));
        if member.ended {
            guardian.remove(pid);
        }
        member.ended
    }

    /// Ends all; those that are still there.
    pub(crate) fn end_all(&mut self, guardian: &mut Guardian) -> Vec<u32> {
        for member in &self.members {
            member.kill();
        }
        let mut stay = Vec::new();
        for node in Node::all(self.domains.nodes) {
            if self.members.get(node.index()).is_some() && !self.end(node, guardian) {
                stay.extend(self.pid(node));
            }
        }
        self.members.clear();
        stay
    }

    /// Kills all, as nobody reads of them any more.
    pub(crate) fn kill_all(&self) {
        self.members.iter().for_each(Member::kill);
    }

    /// The node that has been stopped for too long, and why it is killed.
    pub(crate) fn stopped(&mut self, now: Duration) -> Option<(Node, String)> {
        for (node, member) in (0..).map(Node).zip(&mut self.members) {
            let state = procfs::stat(member.spawned.child.id()).map(|stat| stat.state);
            let since = match state {
                Some('T') => *member.stopped.get_or_insert(now),
                _ => {
                    member.stopped = None;
                    continue;
                }
            };
            if now.saturating_sub(since) >= self.lost_after {
                return Some((node, "it was stopped for longer than --lost-after".to_owned()));
            }
        }
        None
    }
}
