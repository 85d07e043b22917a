//! The ledger's exact answers from the wish for a version to its commit, one story a test.

use std::time::Duration;

use mainstay_ckpt::{Effect, Input, Ledger, Stale, VoidReason};
use mainstay_types::event::Level;
use mainstay_types::wire::{EARLY_MAX, Early};
use mainstay_types::{Epoch, Incarnation, Rank, Step, Version};

use crate::script::{
    bad, captured, commit, dropped, failed, identity, late, ledger, propose, proposed, publish,
    published, tell, with_early, written,
};

const V1: Version = Version(1);
const V2: Version = Version(2);
const V3: Version = Version(3);

fn void(version: Version, why: VoidReason) -> Effect {
    Effect::Void { version, why }
}

#[test]
fn a_version_goes_from_wish_to_disk() {
    let mut l = ledger(2, 1);
    assert_eq!(tell(&mut l, propose(1, 10)), [proposed(1, 0, 10)]);
    assert_eq!((l.may_propose(), l.choose()), (false, None));
    assert_eq!(tell(&mut l, captured(0, 1, &[0, 3], &[0, 2])), []);
    let waits: Vec<_> = l.capturing().unwrap().waits_for().collect();
    assert_eq!(waits, [Rank(1)]);
    let effects = tell(&mut l, captured(1, 1, &[3, 0], &[2, 0]));
    assert_eq!(effects, [], "each lacks the third message of the other");
    let waits: Vec<_> = l.capturing().unwrap().waits_for().collect();
    assert_eq!(waits, [Rank(0), Rank(1)]);
    assert_eq!(tell(&mut l, late(1, 1, 80)), []);
    let committed = [Effect::Committed { version: V1 }, Effect::Drain { version: V1 }];
    assert_eq!(tell(&mut l, late(0, 1, 40)), committed);
    let record = l.record(V1).unwrap();
    assert_eq!((record.bytes(), record.slot()), (10_120, Some(0)));
    assert_eq!(record.blocked_max(), Duration::from_millis(1));
    assert_eq!(tell(&mut l, written(1)), [Effect::Publish { version: V1 }]);
    assert_eq!(tell(&mut l, published(1)), [Effect::Published { version: V1 }]);
    assert_eq!(l.newest_published(), Some(V1));
    assert!(l.may_propose() && !l.is_draining());
}

#[test]
fn a_rank_that_has_taken_in_all_owes_no_late_messages() {
    let mut l = ledger(2, 1);
    tell(&mut l, propose(1, 10));
    tell(&mut l, captured(0, 1, &[1, 5], &[1, 0]));
    // It may say so all the same.
    assert_eq!(tell(&mut l, late(0, 1, 0)), []);
    let effects = tell(&mut l, captured(1, 1, &[0, 0], &[7, 0]));
    assert_eq!(effects[0], Effect::Committed { version: V1 });
}

#[test]
fn a_choice_says_where_all_is_and_what_channels_make_up_for() {
    let mut l = ledger(2, 1);
    tell(&mut l, propose(1, 10));
    tell(&mut l, with_early(captured(0, 1, &[0, 5], &[0, 9]), &[(1, 8), (1, 9)]));
    tell(&mut l, captured(1, 1, &[7, 0], &[4, 0]));
    tell(&mut l, late(1, 1, 50));
    publish(&mut l, 1);
    let choice = l.choose().unwrap();
    assert_eq!((choice.version, choice.step), (V1, Step(10)));
    let (zero, one) = (&choice.ranks[0], &choice.ranks[1]);
    assert_eq!((zero.level, zero.slot), (Level::Memory, Some(0)));
    assert_eq!((one.late_at, one.late_bytes, one.late_crc), (0, 50, 9));
    assert_eq!((&zero.suppress, &one.suppress), (&vec![0, 4], &vec![9, 0]));
    let early = |sequence| Early { peer: Rank(0), sequence, hash: 7 };
    assert_eq!((&zero.early, &one.early), (&vec![], &vec![early(8), early(9)]));
    tell(&mut l, bad(1, 1, Level::Memory));
    let choice = l.choose().unwrap();
    let one = &choice.ranks[1];
    assert_eq!(choice.ranks[0].level, Level::Memory);
    assert_eq!((one.level, one.slot, one.late_at), (Level::Disk, None, 8192));
    assert_eq!(choice.shard_name(Rank(1)), "v00000001.e1.r1.i1.shard");
    let restore = choice.restore(Rank(1));
    assert_eq!((restore.version, restore.level), (V1, Level::Disk));
    assert_eq!((restore.image_bytes, restore.table_crc), (5000, 101));
    assert_eq!((restore.late_at, restore.suppress), (8192, vec![9, 0]));
}

#[test]
fn early_hashes_are_bounded_as_the_wire_is() {
    let mut l = ledger(3, 1);
    tell(&mut l, propose(1, 10));
    let many: Vec<_> = (1..=1000).map(|i| (2, i)).collect();
    let none = [0; 3];
    tell(&mut l, with_early(captured(0, 1, &none, &none), &many));
    tell(&mut l, with_early(captured(1, 1, &none, &none), &many));
    tell(&mut l, with_early(captured(2, 1, &none, &none), &[(9, 1)]));
    let choice = l.choose().unwrap();
    assert_eq!(choice.ranks[2].early.len(), EARLY_MAX);
}

#[test]
fn slots_alternate_and_the_newest_version_keeps_its_own() {
    let mut l = ledger(2, 1);
    assert_eq!(commit(&mut l).1[1], Effect::Drain { version: V1 });
    assert!(l.may_propose(), "the other slot is empty");
    let (_, effects) = commit(&mut l);
    assert_eq!(effects, [Effect::Committed { version: V2 }], "it waits");
    assert!(!l.may_propose(), "one is drained, the other is the newest");
    assert_eq!(tell(&mut l, propose(1, 99)), dropped(Stale::Busy));
    let next = [Effect::Published { version: V1 }, Effect::Drain { version: V2 }];
    assert_eq!(publish(&mut l, 1), next);
    let freed = [Effect::Freed { version: V1 }, proposed(3, 0, 30)];
    assert_eq!(tell(&mut l, propose(1, 30)), freed);
    assert_eq!(l.record(V1).unwrap().slot(), None);
    assert_eq!(l.choose().unwrap().version, V2);
    let next = [Effect::Published { version: V2 }, Effect::Prune { version: V1 }];
    assert_eq!(publish(&mut l, 2), next);
    assert_eq!(l.record(V1), None);
}

#[test]
fn an_epoch_voids_what_is_in_capture_and_nothing_else() {
    let mut l = ledger(2, 1);
    commit(&mut l);
    tell(&mut l, propose(1, 20));
    tell(&mut l, captured(0, 2, &[0, 0], &[0, 0]));
    let why = VoidReason::EpochRaised(Epoch(2));
    let voided = [void(V2, why)];
    assert_eq!(tell(&mut l, Input::EpochRaised(Epoch(2))), voided);
    let stale = captured(1, 2, &[0, 0], &[0, 0]);
    assert_eq!(tell(&mut l, stale), dropped(Stale::Epoch));
    assert_eq!(tell(&mut l, propose(1, 30)), dropped(Stale::Epoch));
    let again = Input::EpochRaised(Epoch(2));
    assert_eq!(tell(&mut l, again), dropped(Stale::Epoch));
    assert_eq!(l.choose().unwrap().version, V1);
    assert_eq!(publish(&mut l, 1), [Effect::Published { version: V1 }]);
    // Targets may start again below those of the last epoch; numbers may not.
    assert_eq!(tell(&mut l, propose(2, 20)), [proposed(3, 1, 20)]);
    assert_eq!(l.record(V3).unwrap().parent(), Some(V1));
    assert_eq!(l.dropped(), 3);
}

#[test]
fn a_target_that_does_not_hold_costs_a_number_and_no_slot() {
    let mut l = ledger(2, 1);
    tell(&mut l, propose(1, 10));
    tell(&mut l, captured(0, 1, &[0, 0], &[0, 0]));
    let drop = |version| Input::Drop { version, why: VoidReason::Missed };
    assert_eq!(tell(&mut l, drop(V1)), [void(V1, VoidReason::Missed)]);
    assert_eq!(tell(&mut l, drop(V1)), dropped(Stale::Version));
    assert_eq!(tell(&mut l, propose(1, 10)), dropped(Stale::Target));
    assert_eq!(tell(&mut l, propose(1, 11)), [proposed(2, 0, 11)]);
    let stale = captured(1, 1, &[0, 0], &[0, 0]);
    assert_eq!(tell(&mut l, stale), dropped(Stale::Version));
}

#[test]
fn a_rank_that_ended_before_the_step_voids_the_version() {
    let ended = |rank, step| Input::RankEnded { rank: Rank(rank), step: Step(step) };
    let mut l = ledger(2, 1);
    tell(&mut l, propose(1, 10));
    let why = VoidReason::RankEnded { rank: Rank(1), step: Step(9) };
    assert_eq!(tell(&mut l, ended(1, 9)), [void(V1, why)]);
    assert!(!l.may_propose());
    assert_eq!(tell(&mut l, propose(1, 20)), dropped(Stale::Busy));
    assert_eq!(tell(&mut l, ended(2, 9)), dropped(Stale::Ranks));
    tell(&mut l, Input::EpochRaised(Epoch(2)));
    assert!(l.may_propose());
    // At the step itself, its part is on the way or there.
    let mut l = ledger(2, 1);
    tell(&mut l, propose(1, 10));
    assert_eq!(tell(&mut l, ended(1, 10)), []);
    tell(&mut l, captured(1, 1, &[0, 0], &[0, 0]));
    assert_eq!(tell(&mut l, ended(1, 10)), []);
    let effects = tell(&mut l, captured(0, 1, &[0, 0], &[0, 0]));
    assert_eq!(effects[0], Effect::Committed { version: V1 });
}

#[test]
fn contradictions_void_the_version_and_name_the_rank() {
    let contradicts = |inputs: &[Input], rank, text: &str| {
        let mut l = ledger(2, 1);
        tell(&mut l, propose(1, 10));
        let effects: Vec<_> = inputs.iter().flat_map(|i| tell(&mut l, i.clone())).collect();
        let [Effect::Void { version: V1, why: VoidReason::Contradiction { rank: found, why } }] =
            effects.as_slice()
        else {
            panic!("{effects:?}");
        };
        assert_eq!((*found, *why), (Rank(rank), text));
        assert!(l.may_propose());
    };
    let none = [0, 0];
    let mut other_step = captured(0, 1, &none, &none);
    if let Input::Captured { step, .. } = &mut other_step {
        *step = Step(11);
    }
    contradicts(&[other_step], 0, "it captured at another step");
    let channels = "it counts another number of channels";
    contradicts(&[captured(1, 1, &[0], &none)], 1, channels);
    contradicts(&[captured(1, 1, &none, &[0; 3])], 1, channels);
    let (zero, one) = (captured(0, 1, &[0, 1], &none), captured(1, 1, &none, &none));
    let missing = "its late messages are missing";
    contradicts(&[zero.clone(), one.clone(), late(1, 1, 0)], 1, missing);
    contradicts(&[late(1, 1, 0), zero.clone(), one.clone()], 1, missing);
}

/// Where ranks choose among messages, all hand in what they chose, late messages or none.
#[test]
fn choices_are_waited_for_from_everybody() {
    let none = [0, 0];
    let chooses = |rank| {
        let mut part = captured(rank, 1, &none, &none);
        if let Input::Captured { any_chooses, .. } = &mut part {
            *any_chooses = true;
        }
        part
    };
    let mut l = ledger(2, 1);
    tell(&mut l, propose(1, 10));
    // What counts is what is seen with the last part.
    assert_eq!(tell(&mut l, captured(0, 1, &none, &none)), []);
    assert_eq!(tell(&mut l, chooses(1)), []);
    assert_eq!(tell(&mut l, late(0, 1, 5)), []);
    let committed = tell(&mut l, late(1, 1, 0));
    assert!(committed.contains(&Effect::Committed { version: Version(1) }), "{committed:?}");
}

#[test]
fn what_is_said_twice_or_by_nobody_is_dropped() {
    let mut l = ledger(2, 1);
    assert_eq!(tell(&mut l, late(0, 1, 0)), dropped(Stale::Version));
    tell(&mut l, propose(1, 10));
    assert_eq!(tell(&mut l, propose(1, 20)), dropped(Stale::Busy));
    let part = captured(0, 1, &[0, 0], &[0, 0]);
    assert_eq!(tell(&mut l, part.clone()), []);
    assert_eq!(tell(&mut l, part), dropped(Stale::Twice));
    assert_eq!(tell(&mut l, late(0, 1, 0)), []);
    assert_eq!(tell(&mut l, late(0, 1, 0)), dropped(Stale::Twice));
    let nobody = captured(2, 1, &[0, 0], &[0, 0]);
    assert_eq!(tell(&mut l, nobody), dropped(Stale::Ranks));
    for input in [written(1), published(1), failed(1)] {
        assert_eq!(tell(&mut l, input), dropped(Stale::Version));
    }
    for level in [Level::Memory, Level::Disk] {
        assert_eq!(tell(&mut l, bad(1, 0, level)), dropped(Stale::Version));
        assert_eq!(tell(&mut l, bad(1, 2, level)), dropped(Stale::Ranks));
    }
    let mut l = Ledger::new(1, V1, 1);
    assert!(!l.may_propose(), "there is no epoch yet");
    assert_eq!(tell(&mut l, propose(0, 1)), dropped(Stale::Epoch));
}

#[test]
fn a_manifest_says_what_was_committed() {
    let mut l = ledger(2, 1);
    tell(&mut l, propose(1, 10));
    tell(&mut l, captured(0, 1, &[0, 2], &[0, 0]));
    assert_eq!(l.manifest(V1, identity()), None, "not committed yet");
    assert_eq!(l.record(V1).unwrap().part(Rank(1)), None);
    tell(&mut l, captured(1, 1, &[0, 0], &[1, 0]));
    tell(&mut l, late(1, 1, 33));
    let manifest = l.manifest(V1, identity()).unwrap();
    assert_eq!((manifest.step, manifest.epoch), (Step(10), Epoch(1)));
    let part = &manifest.ranks[1];
    assert_eq!(Some(part), l.record(V1).unwrap().part(Rank(1)));
    assert_eq!(part.incarnation, Incarnation(1));
    assert_eq!((part.late_at(), part.late_bytes, part.late_crc), (8192, 33, 9));
    assert_eq!((&part.sent, &part.delivered), (&vec![0, 0], &vec![1, 0]));
    let mut resumed = Ledger::new(2, V1, 1);
    assert_eq!(tell(&mut resumed, Input::Adopt(Box::new(manifest.clone()))), []);
    assert_eq!(resumed.manifest(V1, identity()), Some(manifest));
}
