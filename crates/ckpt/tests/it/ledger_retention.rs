//! The ledger's exact answers about archives, a single slot, and copies that are mended.

use mainstay_ckpt::{Disk, Effect, Input, Ledger, Stale, VoidReason};
use mainstay_types::event::Level;
use mainstay_types::{Epoch, Rank, Step, Version};

use crate::script::{
    bad, captured, commit, dropped, failed, ledger, old_manifest, propose, proposed, publish, tell,
    written,
};

const V1: Version = Version(1);
const V2: Version = Version(2);
const V3: Version = Version(3);

/// What follows beside the word that it is published.
fn beside(mut effects: Vec<Effect>) -> Vec<Effect> {
    effects.retain(|effect| !matches!(effect, Effect::Published { .. }));
    effects
}

fn void(version: Version, why: VoidReason) -> Effect {
    Effect::Void { version, why }
}

#[test]
fn one_version_of_each_period_of_steps_is_kept_for_good() {
    // The version v is captured at step 10 v; a period has 30 steps.
    let mut l = ledger(2, 1).archiving(30);
    let archive = |version| Effect::Archive { version: Version(version) };
    let prune = |version| Effect::Prune { version: Version(version) };
    let gone: [&[Effect]; 8] = [
        &[],
        &[prune(1)],
        &[archive(3), prune(2)],
        &[],
        &[prune(4)],
        &[archive(6), prune(5)],
        &[],
        &[prune(7)],
    ];
    for (version, expected) in (1..).zip(gone) {
        commit(&mut l);
        assert_eq!(beside(publish(&mut l, version)), *expected, "version {version}");
    }
    assert!(l.record(V3).unwrap().is_archived() && !l.record(Version(8)).unwrap().is_archived());
}

#[test]
fn a_damaged_archive_stays_and_its_period_gets_another() {
    let mut l = ledger(2, 1).archiving(30);
    for version in 1..=3 {
        commit(&mut l);
        publish(&mut l, version);
    }
    tell(&mut l, bad(3, 0, Level::Disk));
    commit(&mut l);
    let v4 = Version(4);
    assert_eq!(
        publish(&mut l, 4),
        [Effect::Archive { version: v4 }, Effect::Published { version: v4 }]
    );
    assert_eq!(l.record(V3).unwrap().disk(), Disk::Published, "somebody may mend it");
}

#[test]
fn an_archive_that_is_due_by_time_is_the_next_version_that_is_published() {
    let mut l = ledger(2, 1);
    commit(&mut l);
    assert_eq!(tell(&mut l, Input::ArchiveDue), []);
    tell(&mut l, written(1));
    tell(&mut l, failed(1));
    commit(&mut l);
    assert!(publish(&mut l, 2).contains(&Effect::Archive { version: V2 }));
    commit(&mut l);
    assert_eq!(publish(&mut l, 3), [Effect::Published { version: V3 }], "once, and 2 stays");
}

#[test]
fn archives_of_an_earlier_launch_are_known_by_their_marks() {
    let mut l = Ledger::new(2, V1, 1).archiving(30);
    tell(&mut l, Input::EpochRaised(Epoch(1)));
    for version in [3, 4] {
        tell(&mut l, Input::Adopt(Box::new(old_manifest(version, 2))));
    }
    assert_eq!(tell(&mut l, Input::Archived { version: V3 }), []);
    assert_eq!(tell(&mut l, Input::Archived { version: V2 }), dropped(Stale::Version));
    commit(&mut l);
    let expected =
        [Effect::Published { version: Version(5) }, Effect::Prune { version: Version(4) }];
    assert_eq!(publish(&mut l, 5), expected, "the period of 5 has one already");
    // A launch without archives of its own keeps those that there are.
    let mut l = Ledger::new(2, V1, 1);
    tell(&mut l, Input::EpochRaised(Epoch(1)));
    tell(&mut l, Input::Adopt(Box::new(old_manifest(3, 2))));
    tell(&mut l, Input::Archived { version: V3 });
    commit(&mut l);
    assert_eq!(publish(&mut l, 4), [Effect::Published { version: Version(4) }]);
}

#[test]
fn with_one_slot_a_version_is_overwritten_once_it_is_on_disk() {
    let mut l = ledger(2, 2).with_slots(1);
    commit(&mut l);
    assert!(!l.may_propose() && l.needs_disk().is_none(), "it is drained");
    assert_eq!(tell(&mut l, propose(1, 20)), dropped(Stale::Busy));
    publish(&mut l, 1);
    let freed = [Effect::Freed { version: V1 }, proposed(2, 0, 20)];
    assert_eq!(tell(&mut l, propose(1, 20)), freed);
    let choice = l.choose().unwrap();
    assert_eq!((choice.version, choice.ranks[0].level), (V1, Level::Disk), "a failure goes there");
    let why = VoidReason::EpochRaised(Epoch(2));
    assert_eq!(tell(&mut l, Input::EpochRaised(Epoch(2))), [void(V2, why)]);
    assert!(l.may_propose());
}

#[test]
fn with_one_slot_the_only_version_that_can_be_restored_is_written_first() {
    let mut l = ledger(2, 2).with_slots(1);
    let memory = |epoch: u32, step: u64| Input::Propose {
        epoch: Epoch(epoch),
        step: Step(step),
        durable: false,
    };
    tell(&mut l, memory(1, 10));
    for rank in 0..2 {
        tell(&mut l, captured(rank, 1, &[0, 0], &[0, 0]));
    }
    assert_eq!((l.may_propose(), l.needs_disk()), (false, Some(V1)));
    assert_eq!(tell(&mut l, Input::Keep { version: V1 }), [Effect::Drain { version: V1 }]);
    assert_eq!(l.needs_disk(), None);
    tell(&mut l, failed(1));
    assert_eq!(l.needs_disk(), Some(V1), "and again");
    assert_eq!(tell(&mut l, Input::Keep { version: V1 }), [Effect::Drain { version: V1 }]);
    publish(&mut l, 1);
    // What is newer may stay in memory: the older one is there.
    tell(&mut l, memory(1, 20));
    for rank in 0..2 {
        tell(&mut l, captured(rank, 2, &[0, 0], &[0, 0]));
    }
    assert!(l.may_propose());
    let freed = [Effect::Freed { version: V2 }, proposed(3, 0, 30)];
    assert_eq!(tell(&mut l, memory(1, 30)), freed);
    assert_eq!(l.choose().unwrap().version, V1);
}

#[test]
fn a_bad_copy_counts_again_once_it_is_mended() {
    let mut l = ledger(2, 1);
    let mended = |level| Input::Mended { version: V1, rank: Rank(0), level };
    commit(&mut l);
    publish(&mut l, 1);
    assert_eq!(l.mends_from(V1, Rank(0), Level::Memory), None, "it is not bad");
    tell(&mut l, bad(1, 0, Level::Memory));
    assert_eq!(l.mends_from(V1, Rank(0), Level::Memory), Some(Level::Disk));
    assert_eq!(l.choose().unwrap().ranks[0].level, Level::Disk);
    assert_eq!(tell(&mut l, mended(Level::Memory)), []);
    assert_eq!(tell(&mut l, mended(Level::Memory)), dropped(Stale::Twice));
    assert_eq!(l.choose().unwrap().ranks[0].level, Level::Memory);
    tell(&mut l, bad(1, 0, Level::Disk));
    assert_eq!(l.newest_published(), None);
    assert_eq!(l.mends_from(V1, Rank(0), Level::Disk), Some(Level::Memory));
    assert_eq!(tell(&mut l, mended(Level::Disk)), []);
    assert_eq!(l.newest_published(), Some(V1));
    for level in [Level::Memory, Level::Disk] {
        tell(&mut l, bad(1, 0, level));
    }
    assert_eq!(l.mends_from(V1, Rank(0), Level::Disk), None, "no good one is left");
    assert_eq!(tell(&mut l, mended(Level::Disk)), dropped(Stale::Version), "it is void");
}
