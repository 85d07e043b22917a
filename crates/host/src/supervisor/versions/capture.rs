//! A version from its target to its commit in memory.
//!
//! Invariant: a target is published before it is known to hold, and withdrawn if it does not.
//! Deliberately absent: whether and when; the ledger and the pace decide.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use mainstay_ckpt::ledger::{Effect, Input, VoidReason};
use mainstay_comm::layout::{Control, Status};
use mainstay_control::target::Due;
use mainstay_control::target::words::Target;
use mainstay_types::event::{Checkpoint, Event, Level, VersionState};
use mainstay_types::wire::Early;
use mainstay_types::{Epoch, Incarnation, Rank, Step, Tracked, Version};

use super::Versions;
use crate::shm::{Blob, Segment};
use crate::supervisor::Supervisor;
use crate::supervisor::member::ArenaMemory;
use crate::sys;

/// Most targets that are tried in one turn while ranks run away from them.
const TRIES: usize = 8;

/// A rank's part of a version, as it said.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) rank: Rank,
    pub(crate) incarnation: Incarnation,
    pub(crate) epoch: Epoch,
    pub(crate) version: Version,
    pub(crate) step: Step,
    pub(crate) image_bytes: u64,
    pub(crate) table_crc: u32,
    pub(crate) blocked: Duration,
    pub(crate) sent: Vec<u64>,
    pub(crate) delivered: Vec<u64>,
    pub(crate) early: Vec<Early>,
    pub(crate) any_chooses: bool,
    pub(crate) tracked: Option<Tracked>,
}

impl Versions {
    /// Proposes a target if one is due.
    pub(crate) fn propose(&mut self, now: Duration, segment: &Segment) -> Vec<Event> {
        self.scrub(now);
        self.pace.look(now, &steps(segment, self.n));
        let mut events = self.make_room(now);
        for _ in 0..TRIES {
            if self.due_in(now) != Some(Duration::ZERO) {
                break;
            }
            let steps = steps(segment, self.n);
            let Some(Due { step, durable, why }) = self.pace.due(now, &steps) else {
                break;
            };
            self.why = why;
            let mut effects = Vec::new();
            self.ledger.step(Input::Propose { epoch: self.epoch, step, durable }, &mut effects);
            let proposed = effects.iter().find_map(|effect| match effect {
                Effect::Proposed { version, slot, .. } => Some((*version, *slot)),
                _ => None,
            });
            events.extend(self.apply(effects));
            let Some((version, slot)) = proposed else {
                self.pace.dropped();
                break;
            };
            let target = target(segment);
            target.publish(version, slot, step);
            if Target::holds(step, words(segment, self.n)) {
                self.pace.held();
                events.push(Event::Target { version, step });
                break;
            }
            target.withdraw();
            self.pace.void();
            events.extend(self.input(Input::Drop { version, why: VoidReason::Missed }));
        }
        events
    }

    /// A rank has captured its part.
    pub(crate) fn captured(
        &mut self,
        capture: Capture,
        arenas: &[Option<ArenaMemory>; 2],
    ) -> Vec<Event> {
        let current = self.ledger.capturing().filter(|record| record.version() == capture.version);
        let counts = current.is_some();
        if let Some(slot) = current.and_then(|record| record.slot())
            && let Some(arena) = &arenas[usize::from(slot)]
        {
            let memory = self.memory.entry(capture.version).or_default();
            memory.arenas.insert(capture.rank, arena.clone());
        }
        let tracked = capture.tracked.filter(|_| counts);
        let mut events = tracked
            .map(|tracked| self.tracked(capture.rank, capture.version, &tracked))
            .unwrap_or_default();
        events.extend(self.input(Input::Captured {
            rank: capture.rank,
            epoch: capture.epoch,
            version: capture.version,
            step: capture.step,
            incarnation: capture.incarnation,
            image_bytes: capture.image_bytes,
            table_crc: capture.table_crc,
            blocked: without(self.pause, sys::now(), capture.blocked),
            sent: capture.sent,
            delivered: capture.delivered,
            early: capture.early,
            any_chooses: capture.any_chooses,
        }));
        events
    }

    /// A rank has handed in its late messages.
    pub(crate) fn late(
        &mut self,
        rank: Rank,
        epoch: Epoch,
        version: Version,
        blob: Blob,
        crc: u32,
    ) -> Vec<Event> {
        let bytes = blob.len() as u64;
        if self.ledger.capturing().is_some_and(|record| record.version() == version) {
            let memory = self.memory.entry(version).or_default();
            match &self.nodes {
                Some(nodes) => nodes.keep_late(rank, version, &blob),
                None => drop(memory.lates.insert(rank, Arc::new(blob))),
            }
        }
        self.input(Input::Late { rank, epoch, version, bytes, crc })
    }

    /// A rank is in `finish`.
    pub(crate) fn finishing(&mut self, segment: &Segment, rank: Rank, step: Step) -> Vec<Event> {
        if self.pace.finishing(step) {
            self.withdraw(segment);
        }
        self.input(Input::RankEnded { rank, step })
    }

    /// Withdraws the target.
    pub(crate) fn withdraw(&self, segment: &Segment) {
        target(segment).withdraw();
    }

    pub(super) fn committed(&mut self, version: Version) -> Option<Event> {
        let now = sys::now();
        let record = self.ledger.record(version)?;
        let memory = self.memory.entry(version).or_default();
        memory.committed_at = Some(now);
        let copied = memory.copied;
        let checkpoint = Checkpoint {
            version,
            step: record.step(),
            level: Level::Memory,
            bytes: record.bytes(),
            blocked_max: record.blocked_max(),
            copied,
            durable: None,
            drain_cpu: None,
            why: self.why.name(),
            archived: false,
            state: VersionState::Committed,
        };
        self.commits.push((now, record.is_durable()));
        self.arrived(version, Level::Memory);
        self.pace.committed(now, checkpoint.blocked_max);
        self.told.insert(version, checkpoint.clone());
        Some(Event::Checkpoint(checkpoint))
    }
}

/// A time that has ended, without the pause in it. It is told of some time later, but nothing began
/// during the pause: what would have begun before its end began before the pause.
fn without(pause: Option<(Duration, Duration)>, now: Duration, time: Duration) -> Duration {
    let Some((from, until)) = pause else { return time };
    let began_before = now.saturating_sub(time) < until;
    let paused = until.saturating_sub(from);
    time.checked_sub(paused).filter(|_| began_before).unwrap_or(time)
}

fn target(segment: &Segment) -> Target<&AtomicU64> {
    Target {
        step: segment.control(Control::Target),
        version: segment.control(Control::TargetVersion),
        slot: segment.control(Control::TargetSlot),
    }
}

/// The steps of all ranks.
fn steps(segment: &Segment, n: u32) -> Vec<Step> {
    let load = |word: &AtomicU64| Step(word.load(std::sync::atomic::Ordering::SeqCst));
    words(segment, n).map(load).collect()
}

fn words(segment: &Segment, n: u32) -> impl Iterator<Item = &AtomicU64> {
    Rank::all(n).map(|rank| segment.status(rank, Status::Step))
}

impl Supervisor<'_> {
    /// Proposes a target if one is due, and looks at the version that is being written.
    pub(in crate::supervisor) fn propose(&mut self, now: Duration) {
        let mut events = self.versions.look_at_drain(now);
        events.extend(self.versions.propose(now, &self.segment));
        self.committed(events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_for_what_it_interrupted() {
        let s = Duration::from_secs;
        let pause = Some((s(10), s(40)));
        for (pause, now, time, without_it) in [
            (None, s(50), s(45), s(45)),
            (pause, s(41), s(32), s(2)),
            (pause, s(40), s(30), s(0)),
            (pause, s(49), s(33), s(3)),
            // What was over before, and what began after it.
            (pause, s(40), s(1), s(1)),
            (pause, s(60), s(19), s(19)),
        ] {
            assert_eq!(without(pause, now, time), without_it, "{now:?} {time:?}");
        }
    }
}
