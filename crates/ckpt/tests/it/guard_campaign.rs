//! Histories of nodes that guard each other, at random: nodes are lost at any moment, copies rot, and
//! guards, rebuilds and drains fail.
//!
//! Invariant: after a loss within the claim, what was guarded or something newer can be restored.

use mainstay_ckpt::{Choice, Disk, Effect, Input, Stale};
use mainstay_types::event::Level;
use mainstay_types::wire::node::Redundancy;
use mainstay_types::{Incarnation, Node, Rank, Version};

use crate::guard_world::{Memory, Seen, World};
use crate::random::Random;

impl World {
    fn propose(&mut self, durable: bool) {
        let may = self.ledger.may_propose();
        let step = self.step.next();
        let effects = self.tell(Input::Propose { epoch: self.epoch, step, durable });
        let busy = Effect::Dropped { what: Stale::Busy };
        assert_eq!(effects.contains(&busy), !may);
        self.step = step;
    }

    fn capture(&mut self) {
        let Some((version, _)) = self.target else { return };
        let step = self.ledger.record(version).unwrap().step();
        let n = self.ranks as usize;
        for rank in Rank::all(self.ranks) {
            self.tell(Input::Captured {
                rank,
                epoch: self.epoch,
                version,
                step,
                incarnation: Incarnation(0),
                image_bytes: 4100,
                table_crc: 0,
                blocked: std::time::Duration::ZERO,
                sent: vec![0; n],
                delivered: vec![0; n],
                early: vec![],
                any_chooses: false,
            });
        }
        assert!(self.memory.contains_key(&version));
    }

    /// The guard under way ends, well or not.
    fn end_guard(&mut self, well: bool) {
        let Some((version, attempt)) = self.running.take() else { return };
        if well {
            self.seen.guarded += 1;
            let memory = self.memory.get_mut(&version).unwrap();
            memory.held = (0..self.nodes).collect();
            self.tell(Input::Guarded { version, attempt });
        } else {
            self.seen.guard_failed += 1;
            let why = String::new();
            let effects = self.tell(Input::GuardFailed { version, attempt, why });
            assert!(matches!(effects[0], Effect::Unguarded { .. }));
        }
        // A second answer to the same order counts for nothing.
        let effects = self.tell(Input::Guarded { version, attempt });
        assert_eq!(effects, [Effect::Dropped { what: Stale::Version }]);
    }

    fn lose(&mut self, node: u32) {
        let safe = self.newest_covered(Some(node));
        let partly = |memory: &Memory| memory.held.len() < self.nodes as usize;
        let before = safe.and_then(|safe| self.memory.get(&safe));
        self.seen.lost_covered += u32::from(safe.is_some());
        self.seen.lost_twice += u32::from(before.is_some_and(partly));
        self.seen.lost_in_guard += u32::from(self.running.is_some() && safe.is_some());
        let cancelled = self.running.take();
        self.waiting = None;
        for memory in self.memory.values_mut() {
            memory.held.remove(&node);
            let ranks = (0..self.ranks).filter(|rank| rank % self.nodes == node);
            for rank in ranks {
                memory.bad.insert(rank);
                memory.rebuilt.remove(&rank);
            }
        }
        self.tell(Input::NodeLost { node: Node(node) });
        assert!(self.newest_restorable() >= safe, "{safe:?} was guarded");
        assert!(self.ledger.newest_restorable() >= safe, "{safe:?} was guarded");
        if let Some((version, attempt)) = cancelled {
            let effects = self.tell(Input::Guarded { version, attempt });
            assert_eq!(effects, [Effect::Dropped { what: Stale::Version }]);
        }
        (self.down, self.target) = (true, None);
    }

    fn rot(&mut self, version: Version, rank: u32) {
        let Some(memory) = self.memory.get_mut(&version) else { return };
        if !memory.bad.insert(rank) {
            return;
        }
        let again = memory.rebuilt.contains(&rank);
        if again {
            memory.held.clear();
        }
        let safe = self.newest_covered(None);
        self.seen.rotten_rebuilt += u32::from(safe == Some(version));
        let was = self.running;
        let (rank, level, why) = (Rank(rank), Level::Memory, String::new());
        self.tell(Input::CopyBad { version, rank, level, why });
        assert!(self.ledger.newest_restorable() >= safe, "{safe:?} was guarded");
        if let Some((spoiled, attempt)) = was.filter(|(running, _)| *running == version) {
            self.seen.guard_spoiled += 1;
            let effects = self.tell(Input::Guarded { version: spoiled, attempt });
            assert_eq!(effects, [Effect::Dropped { what: Stale::Version }]);
        }
    }

    fn rot_file(&mut self, version: Version, rank: u32) {
        if self.published.contains(&version) && self.rotten_files.insert((version, rank)) {
            let (rank, level, why) = (Rank(rank), Level::Disk, String::new());
            self.tell(Input::CopyBad { version, rank, level, why });
        }
    }

    fn drain(&mut self, well: bool) {
        let Some(version) = self.draining else { return };
        let written = self.ledger.record(version).map(|record| record.disk());
        let whole = self.memory.get(&version).is_some_and(|memory| memory.bad.is_empty());
        // Of what a lost node had nothing can be written.
        if !well || (written == Some(Disk::Draining) && !whole) {
            self.draining = None;
            self.tell(Input::WriteFailed { version, why: String::new() });
        } else if written == Some(Disk::Draining) {
            self.tell(Input::Written { version });
        } else {
            self.draining = None;
            self.published.insert(version);
            self.tell(Input::Published { version });
        }
    }

    /// One thing on the way to the next epoch.
    fn recover(&mut self, well: bool) {
        let choice = self.ledger.choose();
        let first = choice.as_ref().and_then(|choice| choice.rebuilds.iter().next());
        let Some((node, ranks)) = first else { return self.open() };
        let (node, ranks, version) =
            (*node, ranks.clone(), choice.as_ref().map(|c: &Choice| c.version).unwrap());
        let memory = self.memory.get_mut(&version).unwrap();
        if well {
            self.seen.rebuilt += 1;
            let lost = |rank: &u32| rank % self.nodes == node.0;
            let back: Vec<_> = memory.bad.iter().copied().filter(lost).collect();
            memory.bad.retain(|rank| !lost(rank));
            memory.rebuilt.extend(&back);
            assert_eq!(back, ranks.iter().map(|rank| rank.0).collect::<Vec<_>>());
            assert_eq!(self.tell(Input::Rebuilt { version, ranks }), []);
        } else {
            self.seen.rebuild_failed += 1;
            memory.held.clear();
            self.tell(Input::RebuildFailed { version, why: String::new() });
        }
    }

    fn open(&mut self) {
        self.epoch = self.epoch.next();
        self.target = None;
        self.tell(Input::EpochRaised(self.epoch));
        let newest = self.newest_restorable();
        let effects = self.tell(Input::NodesWhole);
        let lacks = newest
            .and_then(|newest| self.memory.get(&newest))
            .is_some_and(|memory| memory.bad.is_empty() && memory.held.len() < self.nodes as usize);
        if lacks {
            assert!(self.running.is_some(), "{newest:?} is not guarded: {effects:?}");
        }
        // In every other epoch all ranks come as far as to find it good.
        if let Some(version) = newest.filter(|_| self.epoch.0.is_multiple_of(2)) {
            assert_eq!(self.tell(Input::Restored { version }), []);
            if let Some(memory) = self.memory.get_mut(&version) {
                memory.rebuilt.clear();
            }
        }
        self.down = false;
    }

    fn act(&mut self, random: &mut Random) {
        let well = !random.once_in(8);
        let (rank, node) = (random.below(self.ranks.into()), random.below(self.nodes.into()));
        let (rank, node) = (rank as u32, node as u32);
        let some = |versions: Vec<Version>, random: &mut Random| {
            let i = random.below(versions.len().max(1) as u64) as usize;
            versions.get(i).copied()
        };
        match random.below(if self.down { 30 } else { 60 }) {
            0 | 1 => self.lose(node),
            2 => {
                let version = some(self.memory.keys().copied().collect(), random);
                version.into_iter().for_each(|version| self.rot(version, rank));
            }
            3 => {
                let version = some(self.published.iter().copied().collect(), random);
                version.into_iter().for_each(|version| self.rot_file(version, rank));
            }
            4..=7 => self.drain(well),
            8..=10 => self.end_guard(well),
            11..=29 if self.down => self.recover(well),
            11 => self.down = true,
            12..=25 => self.end_guard(well),
            26..=35 => self.drain(well),
            36..=47 if self.target.is_none() => self.propose(random.once_in(3)),
            _ => self.capture(),
        }
        self.check();
    }

    /// Whatever is under way ends, and a version can be captured.
    fn end(&mut self) {
        while self.down {
            self.recover(true);
        }
        while self.running.is_some() {
            self.end_guard(false);
        }
        while self.draining.is_some() {
            self.drain(false);
        }
        self.capture();
        self.end_guard(false);
        self.drain(false);
        self.check();
        assert!(self.ledger.may_propose());
    }
}

fn histories(redundancy: Redundancy, nodes: std::ops::RangeInclusive<u32>, seeds: u64) {
    let mut all = Seen::default();
    for seed in 0..seeds {
        let mut random = Random(seed);
        let many = u64::from(nodes.end() - nodes.start() + 1);
        let count = nodes.start() + random.below(many) as u32;
        // Some nodes have several ranks, and some none.
        let ranks = 1 + random.below(2 * u64::from(count)) as u32;
        let mut world = World::new(count, ranks, redundancy);
        for _ in 0..200 {
            world.act(&mut random);
        }
        world.end();
        let seen = world.seen;
        all.guarded += seen.guarded;
        all.guard_failed += seen.guard_failed;
        all.guard_spoiled += seen.guard_spoiled;
        all.lost_covered += seen.lost_covered;
        all.lost_in_guard += seen.lost_in_guard;
        all.lost_twice += seen.lost_twice;
        all.rebuilt += seen.rebuilt;
        all.rebuild_failed += seen.rebuild_failed;
        all.rotten_rebuilt += seen.rotten_rebuilt;
        all.voided += seen.voided;
    }
    // The histories are worth something only if all of that happens in them.
    let Seen { guarded, guard_failed, guard_spoiled, lost_covered, lost_in_guard, .. } = all;
    let least = guarded.min(guard_failed).min(lost_covered).min(lost_in_guard).min(all.rebuilt);
    let least = least.min(all.rebuild_failed).min(all.rotten_rebuilt).min(all.voided);
    assert!(least > seeds as u32 / 10 && guard_spoiled > 50, "{all:?}");
    let twice = redundancy != Redundancy::Parity(1);
    assert!(!twice || all.lost_twice > seeds as u32 / 20, "{all:?}");
}

#[test]
fn thousands_of_histories_of_partners() {
    histories(Redundancy::Partner, 2..=6, 3000);
}

#[test]
fn thousands_of_histories_of_single_parity() {
    histories(Redundancy::Parity(1), 2..=6, 3000);
}

#[test]
fn thousands_of_histories_of_double_parity() {
    histories(Redundancy::Parity(2), 3..=6, 3000);
}
