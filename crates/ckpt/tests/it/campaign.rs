//! The ledger in the model world: everything in small worlds, at random in large ones.

use std::collections::BTreeSet;

use mainstay_ckpt::Ledger;
use mainstay_types::Version;
use mainstay_types::event::Level;

use crate::random::Random;
use crate::script::ledger;
use crate::world::{Action, World};

/// What is left to spend, so that a search ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Budget {
    versions: u32,
    faults: u32,
}

impl Budget {
    fn after(self, action: Action) -> Option<Self> {
        let (versions, faults) = match action {
            Action::Propose => (1, 0),
            Action::RaiseEpoch
            | Action::End(_)
            | Action::Drop
            | Action::WriteFailed
            | Action::CopyBad(..) => (0, 1),
            Action::Keep(_)
            | Action::Capture(_)
            | Action::Written
            | Action::Published
            | Action::Mend(..)
            | Action::Stale(_) => (0, 0),
        };
        Some(Self {
            versions: self.versions.checked_sub(versions)?,
            faults: self.faults.checked_sub(faults)?,
        })
    }
}

/// Every state that the actions lead to, each visited once.
fn explore(n: u32, (keep, slots): (usize, usize), budget: Budget) -> usize {
    let mut seen = BTreeSet::new();
    let mut open = vec![(World::new(n, keep, slots), ledger(n, keep).with_slots(slots), budget)];
    while let Some((world, ledger, budget)) = open.pop() {
        let key = (world.clone(), format!("{ledger:?}"), budget);
        if !seen.insert(key) {
            continue;
        }
        for action in world.actions() {
            let Some(left) = budget.after(action) else {
                continue;
            };
            let (mut world, mut ledger) = (world.clone(), ledger.clone());
            world.act(&mut ledger, action);
            open.push((world, ledger, left));
        }
    }
    seen.len()
}

#[test]
fn every_history_of_three_ranks_and_two_faults() {
    let budget = Budget { versions: 3, faults: 2 };
    for (slots, least) in [(2, 15_000), (1, 4_000)] {
        let states = explore(3, (1, slots), budget);
        assert!(states > least, "{states} with {slots} slots");
    }
}

#[test]
fn every_history_of_one_rank_and_two_faults() {
    for (keep, slots, least) in [(1, 2, 15_000), (2, 2, 15_000), (1, 1, 4_000), (2, 1, 4_000)] {
        let budget = Budget { versions: 5, faults: 2 };
        let states = explore(1, (keep, slots), budget);
        assert!(states > least, "{states} with {slots} slots");
    }
}

fn pick(random: &mut Random, world: &World) -> Action {
    let rank = random.below(world.n.into()) as u32;
    if random.once_in(20) {
        return Action::Stale(rank);
    }
    let actions = world.actions();
    // Faults are rarer than progress, or nothing would ever be committed.
    let is_fault = |action: &Action| {
        matches!(
            action,
            Action::RaiseEpoch
                | Action::End(_)
                | Action::Drop
                | Action::WriteFailed
                | Action::CopyBad(..)
        )
    };
    let faults = random.once_in(12);
    let fitting: Vec<_> = actions.iter().filter(|a| is_fault(a) == faults).collect();
    **fitting.get(random.below(fitting.len().max(1) as u64) as usize).unwrap_or(&&actions[0])
}

#[test]
fn thousands_of_random_histories_of_eight_ranks() {
    let (mut committed, mut pruned, mut fell_back) = (0, 0, 0);
    let (mut mended, mut archived) = (0, 0);
    for seed in 0..6000 {
        let mut random = Random(seed);
        let keep = 1 + random.below(3) as usize;
        let slots = 1 + random.below(2) as usize;
        let mut world = World::new(8, keep, slots);
        let mut ledger = ledger(8, keep).with_slots(slots);
        if random.once_in(2) {
            ledger = ledger.archiving(1 + random.below(4));
        }
        let mut newest = Version(0);
        for _ in 0..150 {
            let action = pick(&mut random, &world);
            world.act(&mut ledger, action);
            let choice = ledger.choose();
            let version = choice.as_ref().map_or(Version(0), |choice| choice.version);
            let from_disk =
                |c: &mainstay_ckpt::Choice| c.ranks.iter().any(|s| s.level == Level::Disk);
            let lower = version < newest || choice.as_ref().is_some_and(from_disk);
            fell_back += usize::from(lower && matches!(action, Action::CopyBad(..)));
            newest = version;
        }
        committed += world.committed.len();
        pruned += world.pruned;
        (mended, archived) = (mended + world.mended, archived + world.archived.len());
    }
    // The histories are worth something only if versions come, go and fail in them.
    let counts = (committed, pruned, fell_back);
    assert!(committed > 4_000 && pruned > 4_000 && fell_back > 1_000, "{counts:?}");
    assert!(mended > 500 && archived > 500, "{mended} {archived}");
}

#[test]
fn a_ledger_survives_a_resume_in_the_middle_of_any_history() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let slots = 1 + random.below(2) as usize;
        let (mut world, mut first) = (World::new(3, 2, slots), ledger(3, 2).with_slots(slots));
        for _ in 0..100 {
            let action = pick(&mut random, &world);
            world.act(&mut first, action);
        }
        // Only what is published reaches the next launch.
        let mut next = Ledger::new(3, Version(1), 2);
        for version in (1..first.next_version().0).map(Version) {
            let published =
                first.record(version).filter(|r| r.disk() == mainstay_ckpt::Disk::Published);
            if published.is_some() {
                let manifest = first.manifest(version, crate::script::identity()).unwrap();
                let effects =
                    crate::script::tell(&mut next, mainstay_ckpt::Input::Adopt(Box::new(manifest)));
                assert_eq!(effects, []);
            }
        }
        assert!(next.newest_restorable() >= first.newest_published());
        let choice = next.choose();
        let sources = choice.iter().flat_map(|choice| &choice.ranks);
        assert!(sources.into_iter().all(|source| source.level == Level::Disk));
    }
}
