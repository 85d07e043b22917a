//! A model of the memory and files that a ledger manages, which checks every answer.
//!
//! The model is told the same inputs as the ledger and carries the effects out as harshly as the
//! protocol allows: a slot is rubbish from the moment it is proposed, files are gone from the moment
//! they are discarded or pruned. Deliberately absent: late messages, which `orders` covers.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_ckpt::{Disk, Effect, Input, Ledger, VoidReason};
use mainstay_types::event::Level;
use mainstay_types::{Epoch, Rank, Step, Version};

use crate::script::tell;

/// What a model can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Propose,
    /// A version that was to stay in memory is wanted on disk.
    Keep(Version),
    Capture(u32),
    Drop,
    RaiseEpoch,
    End(u32),
    Written,
    Published,
    WriteFailed,
    CopyBad(Version, u32, Level),
    /// A bad copy is written anew from a good one.
    Mend(Version, u32, Level),
    /// A part of the version before the last, as if it had been long on its way.
    Stale(u32),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct World {
    pub(crate) n: u32,
    keep: usize,
    pub(crate) epoch: Epoch,
    step: Step,
    /// What each rank's slots hold.
    memory: Vec<Vec<Option<Version>>>,
    target: Option<(Version, u8, Step)>,
    captured: BTreeSet<u32>,
    pub(crate) committed: BTreeSet<Version>,
    void: BTreeSet<Version>,
    draining: Option<(Version, u8)>,
    /// The newest version, if it was to stay in memory and is whole there.
    spare: Option<Version>,
    /// Whether the drain lies aside and is being published.
    publishing: bool,
    /// Versions with files that the ledger may not forget; whether they are published.
    files: BTreeMap<Version, bool>,
    bad: BTreeSet<(Version, u32, Level)>,
    highest: Version,
    pub(crate) pruned: usize,
    pub(crate) mended: usize,
    /// Versions that are kept for good.
    pub(crate) archived: BTreeSet<Version>,
}

impl World {
    pub(crate) fn new(n: u32, keep: usize, slots: usize) -> Self {
        Self {
            n,
            keep,
            epoch: Epoch(1),
            step: Step(0),
            memory: vec![vec![None; slots]; n as usize],
            target: None,
            captured: BTreeSet::new(),
            committed: BTreeSet::new(),
            void: BTreeSet::new(),
            draining: None,
            spare: None,
            publishing: false,
            files: BTreeMap::new(),
            bad: BTreeSet::new(),
            highest: Version(0),
            pruned: 0,
            mended: 0,
            archived: BTreeSet::new(),
        }
    }

    /// Everything that could happen now.
    pub(crate) fn actions(&self) -> Vec<Action> {
        let mut actions = vec![Action::Propose, Action::RaiseEpoch];
        actions.extend(self.spare.map(Action::Keep));
        if self.target.is_some() {
            let waiting = (0..self.n).filter(|rank| !self.captured.contains(rank));
            actions.extend(waiting.map(Action::Capture));
            actions.extend((0..self.n).map(Action::End));
            actions.push(Action::Drop);
        }
        if self.draining.is_some() {
            let next = if self.publishing { Action::Published } else { Action::Written };
            actions.extend([next, Action::WriteFailed]);
        }
        for (version, rank, level) in &self.bad {
            if self.committed.contains(version) && self.holds(*version, *rank, other(*level)) {
                let there = self.lies_at(*version, *rank, *level);
                actions.extend(there.then_some(Action::Mend(*version, *rank, *level)));
            }
        }
        for version in &self.committed {
            for rank in 0..self.n {
                let levels = [Level::Memory, Level::Disk];
                let held = levels.into_iter().filter(|l| self.holds(*version, rank, *l));
                actions.extend(held.map(|level| Action::CopyBad(*version, rank, level)));
            }
        }
        actions
    }

    /// Whether a rank has a good copy at that level.
    fn holds(&self, version: Version, rank: u32, level: Level) -> bool {
        let there = self.lies_at(version, rank, level);
        there && !self.bad.contains(&(version, rank, level))
    }

    /// Whether there is a copy of a rank's part at that level, good or bad.
    fn lies_at(&self, version: Version, rank: u32, level: Level) -> bool {
        match level {
            Level::Memory => self.memory[rank as usize].contains(&Some(version)),
            Level::Disk => self.files.get(&version) == Some(&true),
            // There are no nodes here; see `guard_world`.
            Level::Partner | Level::Parity => false,
        }
    }

    fn is_whole(&self, version: Version) -> bool {
        let held = |rank, level| self.holds(version, rank, level);
        (0..self.n).all(|rank| held(rank, Level::Memory) || held(rank, Level::Disk))
    }

    /// Does one thing to the ledger and checks what it answers.
    pub(crate) fn act(&mut self, ledger: &mut Ledger, action: Action) {
        let before = ledger.clone();
        if let Action::Mend(version, rank, level) = action {
            let from = ledger.mends_from(version, Rank(rank), level);
            assert_eq!(from, Some(other(level)), "{version} of {rank} at {level:?}");
        }
        let input = self.input(action);
        let effects = tell(ledger, input);
        for effect in &effects {
            self.carry_out(&before, effect);
        }
        if let Action::CopyBad(version, rank, level) = action {
            assert!(!matches!(effects.as_slice(), [Effect::Dropped { .. }]));
            self.bad.insert((version, rank, level));
        }
        if let Action::Mend(version, rank, level) = action {
            assert_eq!(effects, [], "nothing follows from it");
            assert!(self.bad.remove(&(version, rank, level)));
            self.mended += 1;
        }
        if let Action::Stale(_) = action {
            assert!(matches!(effects.as_slice(), [Effect::Dropped { .. }]));
            let (mut a, mut b) = (format!("{before:?}"), format!("{ledger:?}"));
            a.truncate(a.find("dropped").unwrap());
            b.truncate(b.find("dropped").unwrap());
            assert_eq!(a, b, "a stale input changes nothing");
        }
        self.check(ledger);
    }

    fn input(&mut self, action: Action) -> Input {
        let (version, slot, step) = self.target.unwrap_or_default();
        let drained = self.draining.map_or(Version(0), |(version, _)| version);
        match action {
            Action::Propose => {
                self.step = self.step.next();
                let durable = is_durable(self.step);
                Input::Propose { epoch: self.epoch, step: self.step, durable }
            }
            Action::Keep(version) => {
                self.spare = None;
                Input::Keep { version }
            }
            Action::Capture(rank) => {
                self.captured.insert(rank);
                self.memory[rank as usize][usize::from(slot)] = Some(version);
                self.part(rank, self.epoch, version, step)
            }
            Action::Stale(rank) => self.part(rank, self.epoch, Version(0), step),
            Action::Drop => Input::Drop { version, why: VoidReason::Missed },
            Action::RaiseEpoch => {
                self.epoch = self.epoch.next();
                Input::EpochRaised(self.epoch)
            }
            Action::End(rank) => Input::RankEnded { rank: Rank(rank), step: Step(step.0 - 1) },
            Action::Written => {
                self.publishing = true;
                Input::Written { version: drained }
            }
            Action::Published => {
                self.files.insert(drained, true);
                (self.draining, self.publishing) = (None, false);
                Input::Published { version: drained }
            }
            Action::WriteFailed => {
                (self.draining, self.publishing) = (None, false);
                Input::WriteFailed { version: drained, why: String::new() }
            }
            Action::Mend(version, rank, level) => {
                Input::Mended { version, rank: Rank(rank), level }
            }
            Action::CopyBad(version, rank, level) => {
                Input::CopyBad { version, rank: Rank(rank), level, why: String::new() }
            }
        }
    }

    fn part(&self, rank: u32, epoch: Epoch, version: Version, step: Step) -> Input {
        Input::Captured {
            rank: Rank(rank),
            epoch,
            version,
            step,
            incarnation: mainstay_types::Incarnation(0),
            image_bytes: 4100,
            table_crc: 0,
            blocked: std::time::Duration::ZERO,
            sent: vec![0; self.n as usize],
            delivered: vec![0; self.n as usize],
            early: vec![],
            any_chooses: false,
        }
    }

    fn carry_out(&mut self, before: &Ledger, effect: &Effect) {
        match *effect {
            Effect::Proposed { version, slot, step } => self.overwrite(before, version, slot, step),
            Effect::Committed { version } => {
                let parts = self.captured.len() as u32;
                assert_eq!((Some(version), parts), (self.target.map(|t| t.0), self.n));
                assert!(!self.void.contains(&version));
                self.committed.insert(version);
                let spare = self.target.is_some_and(|(.., step)| !is_durable(step));
                self.spare = spare.then_some(version);
                self.target = None;
            }
            Effect::Void { version, .. } => {
                assert!(self.void.insert(version), "{version} is void once");
                self.committed.remove(&version);
                self.spare = self.spare.filter(|spare| *spare != version);
                self.target = self.target.filter(|target| target.0 != version);
            }
            Effect::Drain { version } => {
                assert!(self.draining.is_none() && self.committed.contains(&version));
                let slot = before.record(version).and_then(|record| record.slot());
                self.draining = Some((version, slot.unwrap()));
                self.files.insert(version, false);
            }
            Effect::Discard { version } => {
                assert_eq!(self.files.remove(&version), Some(false), "never published");
            }
            Effect::Prune { version } => self.prune(version),
            Effect::Archive { version } => {
                assert_eq!(self.files.get(&version), Some(&true), "it is published");
                assert!(self.archived.insert(version));
            }
            Effect::DrainCancelled { version } => {
                assert_ne!(self.draining.map(|(v, _)| v), Some(version));
            }
            Effect::Guard { .. } | Effect::Unguarded { .. } => {
                panic!("there are no nodes: {effect:?}");
            }
            Effect::Freed { .. }
            | Effect::Publish { .. }
            | Effect::Published { .. }
            | Effect::MemoryOnly { .. }
            | Effect::DiskAgain { .. }
            | Effect::Dropped { .. } => {}
        }
    }

    /// A proposal makes the slot rubbish at once, in every rank.
    fn overwrite(&mut self, before: &Ledger, version: Version, slot: u8, step: Step) {
        assert!(version > self.highest, "a number is used once");
        self.highest = version;
        let restorable = before.newest_restorable();
        for slots in &mut self.memory {
            let lost = slots[usize::from(slot)].take();
            let needed = lost.is_some() && lost == restorable && slots.len() > 1;
            assert!(!needed, "{lost:?} is what a failure would restore");
        }
        // With one slot it may be, if it is on disk or an older one is there.
        let left = self.committed.iter().any(|version| self.is_whole(*version));
        assert!(left || restorable.is_none(), "nothing is left that a failure could restore");
        assert_ne!(self.draining.map(|(_, slot)| slot), Some(slot), "still drained");
        self.captured.clear();
        self.target = Some((version, slot, step));
    }

    fn prune(&mut self, version: Version) {
        assert!(self.files.remove(&version).is_some());
        assert!(!self.archived.contains(&version), "{version} is kept for good");
        let whole = |v: &Version| (0..self.n).all(|rank| self.holds(*v, rank, Level::Disk));
        let newer = self.files.keys().filter(|v| **v > version && whole(v));
        assert!(newer.count() >= self.keep, "{version} is pruned too early");
        self.pruned += 1;
    }

    /// What the ledger would restore is the newest version that is whole, and is where it says.
    fn check(&self, ledger: &Ledger) {
        let whole = self.committed.iter().rev().find(|v| self.is_whole(**v));
        let choice = ledger.choose();
        assert_eq!(choice.as_ref().map(|c| c.version), whole.copied());
        for (rank, source) in (0..).zip(choice.iter().flat_map(|c| &c.ranks)) {
            let version = whole.copied();
            let best = self.holds(version.unwrap(), rank, Level::Memory);
            assert_eq!(source.level == Level::Memory, best);
            if let Some(slot) = source.slot {
                assert_eq!(self.memory[rank as usize][usize::from(slot)], version);
            }
        }
        if let Some((version, slot)) = self.draining {
            // What is drained is still there to be drained.
            let slots = self.memory.iter().map(|slots| slots[usize::from(slot)]);
            assert!(slots.into_iter().all(|held| held == Some(version)));
            let disk = ledger.record(version).unwrap().disk();
            let expected = if self.publishing { Disk::Written } else { Disk::Draining };
            assert_eq!(disk, expected);
        }
        if let Some(stuck) = ledger.needs_disk() {
            assert!(!ledger.may_propose() && self.draining.is_none() && self.target.is_none());
            assert_eq!(Some(&stuck), whole, "it is what a failure would restore");
        }
        let target = ledger.capturing().map(|record| record.version());
        assert_eq!(target, self.target.map(|(version, ..)| version));
    }
}

/// Every third version is to stay in memory.
fn is_durable(step: Step) -> bool {
    !step.0.is_multiple_of(3)
}

fn other(level: Level) -> Level {
    match level {
        Level::Memory | Level::Partner | Level::Parity => Level::Disk,
        Level::Disk => Level::Memory,
    }
}
