//! The ledger's exact answers about disk, bad copies and earlier launches, one story a test.

use mainstay_ckpt::pack::{Holder, Packing};
use mainstay_ckpt::{Disk, Effect, Input, Ledger, Stale, VoidReason};
use mainstay_types::event::Level;
use mainstay_types::{Epoch, Incarnation, Rank, Step, Version};

use crate::script::{
    bad, captured, commit, dropped, failed, ledger, old_manifest, propose, proposed, publish,
    published, tell, written,
};

const V1: Version = Version(1);
const V2: Version = Version(2);
const V3: Version = Version(3);

fn void(version: Version, why: VoidReason) -> Effect {
    Effect::Void { version, why }
}

#[test]
fn publication_follows_writing_and_happens_once() {
    let mut l = ledger(2, 1);
    commit(&mut l);
    assert_eq!(tell(&mut l, published(1)), dropped(Stale::Version));
    tell(&mut l, written(1));
    assert_eq!(tell(&mut l, written(1)), dropped(Stale::Version));
    tell(&mut l, published(1));
    assert_eq!(tell(&mut l, published(1)), dropped(Stale::Version));
    assert_eq!(tell(&mut l, failed(1)), dropped(Stale::Version));
}

#[test]
fn a_full_disk_leaves_memory_and_the_next_drain_tries_again() {
    let mut l = ledger(2, 1);
    commit(&mut l);
    commit(&mut l);
    let why = "disk full".to_owned();
    let expected = [
        Effect::MemoryOnly { version: V1, why: why.clone() },
        Effect::Discard { version: V1 },
        Effect::Drain { version: V2 },
    ];
    assert_eq!(tell(&mut l, failed(1)), expected);
    assert_eq!(l.choose().unwrap().version, V2);
    assert!(l.may_propose(), "the first slot is free, drained or not");
    let freed = [Effect::Freed { version: V1 }, proposed(3, 0, 30)];
    assert_eq!(tell(&mut l, propose(1, 30)), freed);
    assert_eq!(l.record(V1), None, "nothing of it is left");
    let again = [Effect::Published { version: V2 }, Effect::DiskAgain { version: V2 }];
    assert_eq!(publish(&mut l, 2), again);
}

#[test]
fn a_failed_publication_leaves_files_that_are_pruned_in_their_time() {
    let mut l = ledger(2, 1);
    commit(&mut l);
    tell(&mut l, written(1));
    let why = "disk full".to_owned();
    assert_eq!(tell(&mut l, failed(1)), [Effect::MemoryOnly { version: V1, why }]);
    assert_eq!(l.record(V1).unwrap().disk(), Disk::Uncertain);
    assert_eq!(l.newest_published(), None);
    commit(&mut l);
    let expected = [
        Effect::Published { version: V2 },
        Effect::DiskAgain { version: V2 },
        Effect::Prune { version: V1 },
    ];
    assert_eq!(publish(&mut l, 2), expected);
    assert_eq!(l.record(V1).unwrap().slot(), Some(0), "still in memory");
}

#[test]
fn bad_copies_lead_down_the_levels_and_then_to_older_versions() {
    let mut l = ledger(2, 2);
    commit(&mut l);
    publish(&mut l, 1);
    commit(&mut l);
    publish(&mut l, 2);
    assert_eq!(tell(&mut l, bad(2, 0, Level::Memory)), []);
    assert_eq!(tell(&mut l, bad(2, 0, Level::Memory)), dropped(Stale::Twice));
    let choice = l.choose().unwrap();
    let levels: Vec<_> = choice.ranks.iter().map(|source| source.level).collect();
    assert_eq!((choice.version, levels), (V2, vec![Level::Disk, Level::Memory]));
    let why = VoidReason::CopyBad { rank: Rank(0), why: "rotten".to_owned() };
    assert_eq!(tell(&mut l, bad(2, 0, Level::Disk)), [void(V2, why.clone())]);
    assert_eq!(tell(&mut l, bad(2, 1, Level::Disk)), dropped(Stale::Version));
    assert_eq!(l.choose().unwrap().version, V1);
    tell(&mut l, bad(1, 0, Level::Disk));
    assert_eq!(l.choose().unwrap().version, V1, "memory is left");
    assert_eq!(tell(&mut l, bad(1, 0, Level::Memory)), [void(V1, why)]);
    assert_eq!(l.choose(), None);
}

#[test]
fn bad_versions_on_disk_do_not_count_as_kept() {
    let mut l = ledger(2, 1);
    commit(&mut l);
    publish(&mut l, 1);
    commit(&mut l);
    tell(&mut l, written(2));
    tell(&mut l, published(2));
    tell(&mut l, bad(2, 0, Level::Disk));
    commit(&mut l);
    let expected = [Effect::Published { version: V3 }, Effect::Prune { version: V2 }];
    assert_eq!(publish(&mut l, 3), expected);
    let mut l = ledger(2, 2);
    for version in 1..=3 {
        commit(&mut l);
        if version == 3 {
            tell(&mut l, bad(2, 0, Level::Disk));
        }
        let effects = publish(&mut l, version);
        let version = Version(version);
        assert_eq!(effects, [Effect::Published { version }], "1 and 3 are kept");
    }
}

#[test]
fn a_bad_copy_cancels_a_waiting_drain_and_frees_the_slot() {
    let mut l = ledger(2, 1);
    commit(&mut l);
    commit(&mut l);
    assert!(!l.may_propose());
    let why = VoidReason::CopyBad { rank: Rank(1), why: "rotten".to_owned() };
    let expected = [Effect::DrainCancelled { version: V2 }, void(V2, why)];
    assert_eq!(tell(&mut l, bad(2, 1, Level::Memory)), expected);
    assert_eq!(l.choose().unwrap().version, V1);
    assert_eq!(tell(&mut l, propose(1, 30)), [proposed(3, 1, 30)]);
}

#[test]
fn a_copy_gone_bad_during_its_drain_is_settled_when_the_drain_ends() {
    for saved in [true, false] {
        let mut l = ledger(2, 1);
        commit(&mut l);
        assert_eq!(tell(&mut l, bad(1, 0, Level::Memory)), []);
        assert_eq!(l.choose(), None);
        if saved {
            publish(&mut l, 1);
            assert_eq!(l.choose().unwrap().ranks[0].level, Level::Disk);
        } else {
            let why = VoidReason::CopyBad { rank: Rank(0), why: "disk full".to_owned() };
            assert_eq!(tell(&mut l, failed(1))[2..], [void(V1, why)]);
        }
    }
}

#[test]
fn versions_of_earlier_launches_are_restored_from_disk() {
    let mut l = Ledger::new(2, V1, 1);
    for version in [5, 7] {
        let manifest = Box::new(old_manifest(version, 2));
        assert_eq!(tell(&mut l, Input::Adopt(manifest)), []);
    }
    let twice = Input::Adopt(Box::new(old_manifest(7, 2)));
    assert_eq!(tell(&mut l, twice), dropped(Stale::Twice));
    let foreign = Input::Adopt(Box::new(old_manifest(8, 3)));
    assert_eq!(tell(&mut l, foreign), dropped(Stale::Ranks));
    let source = &l.choose().unwrap().ranks[1];
    assert_eq!((source.level, source.late_at), (Level::Disk, 8192));
    assert_eq!((l.newest_restorable(), l.next_version()), (Some(Version(7)), Version(8)));
    assert_eq!(l.newest_published(), Some(Version(7)));
    tell(&mut l, bad(7, 0, Level::Disk));
    assert_eq!(l.newest_restorable(), Some(Version(5)));
    tell(&mut l, Input::EpochRaised(Epoch(1)));
    commit(&mut l);
    assert_eq!(l.record(Version(8)).unwrap().parent(), Some(Version(5)));
    let expected = [7, 5].map(|version| Effect::Prune { version: Version(version) });
    assert_eq!(publish(&mut l, 8)[1..], expected);
}

#[test]
fn versions_of_other_numbers_of_ranks_are_chosen_if_they_fit_and_pruned_like_all() {
    let mut l = Ledger::new(2, V1, 2);
    let other =
        |version, n, fits| Input::AdoptOther { manifest: Box::new(old_manifest(version, n)), fits };
    for (version, n, fits) in [(4, 3, true), (5, 3, true), (6, 3, false)] {
        assert_eq!(tell(&mut l, other(version, n, fits)), []);
    }
    assert_eq!(tell(&mut l, other(6, 3, true)), dropped(Stale::Twice));
    assert_eq!(tell(&mut l, other(7, 2, true)), dropped(Stale::Ranks));
    let choice = l.choose().unwrap();
    assert_eq!((choice.version, choice.n()), (Version(5), 3));
    assert!(choice.ranks.iter().all(|source| source.level == Level::Disk));
    assert_eq!((l.newest_published(), l.next_version()), (Some(Version(5)), Version(7)));
    // The part of a rank that this launch does not have.
    let told = tell(&mut l, bad(5, 2, Level::Disk));
    assert!(matches!(&told[..], [Effect::Void { version: Version(5), .. }]), "{told:?}");
    assert_eq!(tell(&mut l, bad(4, 3, Level::Disk)), dropped(Stale::Ranks));
    assert_eq!(l.choose().unwrap().version, Version(4));
    tell(&mut l, Input::EpochRaised(Epoch(1)));
    commit(&mut l);
    assert_eq!(l.choose().map(|choice| choice.n()), Some(2));
    // Version 6 is whole, and counts among the two that are kept; 5 is damaged.
    let expected = [5, 4].map(|version| Effect::Prune { version: Version(version) });
    assert_eq!(publish(&mut l, 7)[1..], expected);
}

#[test]
fn a_version_stays_in_memory_until_it_is_wanted_on_disk() {
    let mut ledger = ledger(2, 2);
    let (first, effects) = commit(&mut ledger);
    assert_eq!(effects[1], Effect::Drain { version: Version(first) });
    publish(&mut ledger, first);
    let propose = Input::Propose { epoch: Epoch(1), step: Step(20), durable: false };
    assert_eq!(tell(&mut ledger, propose), [proposed(2, 1, 20)]);
    let keep = || Input::Keep { version: Version(2) };
    assert_eq!(tell(&mut ledger, keep()), dropped(Stale::Version), "it is not committed");
    tell(&mut ledger, captured(0, 2, &[0, 0], &[0, 0]));
    let committed = Effect::Committed { version: Version(2) };
    assert_eq!(tell(&mut ledger, captured(1, 2, &[0, 0], &[0, 0])), [committed]);
    assert_eq!(ledger.choose().map(|choice| choice.version), Some(Version(2)));
    assert!(!ledger.is_draining() && ledger.may_propose());
    assert_eq!(tell(&mut ledger, keep()), [Effect::Drain { version: Version(2) }]);
    assert_eq!(tell(&mut ledger, keep()), dropped(Stale::Version), "once is enough");
    publish(&mut ledger, 2);
    assert_eq!(ledger.newest_published(), Some(Version(2)));
}

/// Says that the version being drained refers to these.
pub(crate) fn packed(l: &mut Ledger, version: u64, to: &[u64]) {
    let holder = |version: &u64| Holder {
        version: Version(*version),
        epoch: Epoch(1),
        incarnation: Incarnation(0),
        file_bytes: 1,
    };
    let holders = to.iter().map(holder).collect();
    let packing = Packing { file_bytes: 10, table_crc: 7, holders };
    let packings = vec![Some(packing), None];
    assert_eq!(tell(l, Input::Packed { version: Version(version), packings }), []);
}

#[test]
fn what_a_kept_version_refers_to_is_pruned_only_after_it() {
    let mut l = ledger(2, 1);
    assert_eq!(l.base(), None);
    commit(&mut l);
    assert_eq!(publish(&mut l, 1), [Effect::Published { version: V1 }]);
    for (version, to) in [(2, vec![1]), (3, vec![1, 2]), (4, vec![1])] {
        assert_eq!(l.base(), Some(Version(version - 1)));
        commit(&mut l);
        packed(&mut l, version, &to);
        let effects = publish(&mut l, version);
        let mut expected = vec![Effect::Published { version: Version(version) }];
        if version == 4 {
            // 3 is older, and so is 2, to which nobody refers any more.
            expected.extend([V3, V2].map(|version| Effect::Prune { version }));
        }
        assert_eq!(effects, expected, "version {version}");
    }
    // A whole one: all before it go.
    commit(&mut l);
    let expected = [
        Effect::Published { version: Version(5) },
        Effect::Prune { version: Version(4) },
        Effect::Prune { version: V1 },
    ];
    assert_eq!(publish(&mut l, 5), expected);
}

#[test]
fn a_bad_version_is_nobodys_base_and_neither_is_one_that_refers_to_it() {
    let mut l = ledger(2, 2);
    commit(&mut l);
    publish(&mut l, 1);
    commit(&mut l);
    packed(&mut l, 2, &[1]);
    publish(&mut l, 2);
    assert_eq!(l.base(), Some(V2));
    tell(&mut l, bad(1, 1, Level::Disk));
    assert_eq!(l.base(), None, "it refers to what is bad");
    commit(&mut l);
    publish(&mut l, 3);
    assert_eq!(l.base(), Some(V3));
    tell(&mut l, bad(3, 0, Level::Disk));
    assert_eq!(l.base(), None);
}

#[test]
fn a_packed_shard_is_restored_by_the_checksum_that_it_decodes_to() {
    let mut l = ledger(2, 1);
    commit(&mut l);
    packed(&mut l, 1, &[]);
    publish(&mut l, 1);
    assert_eq!(l.choose().unwrap().ranks[0].table_crc, 100, "memory is exact");
    tell(&mut l, bad(1, 0, Level::Memory));
    let choice = l.choose().unwrap();
    let crcs: Vec<_> = choice.ranks.iter().map(|source| source.table_crc).collect();
    assert_eq!(crcs, [7, 101]);
    let twice = Input::Packed { version: V1, packings: vec![None, None] };
    assert_eq!(tell(&mut l, twice), dropped(Stale::Version), "it is drained");
    commit(&mut l);
    let fewer = Input::Packed { version: V2, packings: vec![None] };
    assert_eq!(tell(&mut l, fewer), dropped(Stale::Ranks));
}
