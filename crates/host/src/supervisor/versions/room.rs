//! Captures that are due and have no arena to go into: counted, and helped where that is possible.
//!
//! A version in memory that is on its way to disk keeps its arena. With a single arena so does the only
//! version that could be restored; it is then written first, whatever `--disk-every` says. Invariant:
//! a write that fails is tried again once a second at most. Deliberately absent: which arena may be
//! overwritten; the ledger decides.

use std::time::Duration;

use mainstay_ckpt::ledger::Input;
use mainstay_types::event::Event;

use super::Versions;

/// The least time between two attempts to write a version that is in the way.
const AGAIN: Duration = Duration::from_secs(1);

/// Waits for an arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Since when a capture waits.
    since: Option<Duration>,
    /// When the version in the way was last handed to the drain.
    asked: Option<Duration>,
    /// How many captures have waited.
    count: u64,
    /// And how long.
    total: Duration,
    /// Whether it was told what arenas take.
    told: bool,
}

impl Room {
    fn waits(&mut self, now: Duration) {
        if self.since.is_none() {
            self.since = Some(now);
            self.count += 1;
        }
    }

    fn waits_no_more(&mut self, now: Duration) {
        if let Some(since) = self.since.take() {
            self.total += now.saturating_sub(since);
        }
    }

    /// The job stood still for so long.
    pub(super) fn suspended(&mut self, paused: Duration) {
        for at in [&mut self.since, &mut self.asked].into_iter().flatten() {
            *at += paused;
        }
    }

    /// How many captures have waited for an arena, and how long in all.
    pub(crate) fn waited(&self) -> (u64, Duration) {
        (self.count, self.total)
    }
}

impl Versions {
    /// How long until a version is due, whether there is an arena for it or not.
    fn wanted_in(&self, now: Duration) -> Option<Duration> {
        let takes = self.directory.is_some() && self.all_ready();
        self.pace.due_in(now).filter(|_| takes)
    }

    /// Whether all arenas are there for the first time.
    pub(crate) fn has_all_arenas_now(&mut self) -> bool {
        self.all_ready() && !std::mem::replace(&mut self.room.told, true)
    }

    /// Looks whether a capture is due that has no arena.
    pub(super) fn make_room(&mut self, now: Duration) -> Vec<Event> {
        let lacks = self.wanted_in(now) == Some(Duration::ZERO) && !self.ledger.may_propose();
        if !lacks {
            self.room.waits_no_more(now);
            return Vec::new();
        }
        self.room.waits(now);
        let may_ask = self.room.asked.is_none_or(|asked| asked.saturating_add(AGAIN) <= now);
        match self.ledger.needs_disk().filter(|_| may_ask) {
            None => Vec::new(),
            Some(version) => {
                self.room.asked = Some(now);
                self.input(Input::Keep { version })
            }
        }
    }

    /// How long until there is something to do for a capture that has no arena.
    pub(crate) fn room_in(&self, now: Duration) -> Option<Duration> {
        if self.ledger.may_propose() {
            return None;
        }
        let wanted = self.wanted_in(now)?;
        match self.room.since {
            None => Some(wanted),
            Some(_) => {
                self.ledger.needs_disk()?;
                let asked = self.room.asked.unwrap_or_default();
                Some(asked.saturating_add(AGAIN).saturating_sub(now))
            }
        }
    }
}
