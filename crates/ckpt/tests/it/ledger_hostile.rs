//! What the ledger keeps when copies rot at the worst moment, one story a test.

use mainstay_ckpt::pack::{Holder, Packing};
use mainstay_ckpt::{Disk, Effect, Input, Ledger, Stale};
use mainstay_types::event::Level;
use mainstay_types::{Epoch, Incarnation, Version};

use crate::ledger_disk::packed;
use crate::script::{bad, commit, dropped, failed, ledger, publish, tell, written};

/// Commits and publishes a version whose first shard refers to those of other versions.
fn refers(l: &mut Ledger, version: u64, to: &[u64]) -> Vec<Effect> {
    commit(l);
    packed(l, version, to);
    publish(l, version)
}

fn published(version: u64, pruned: &[u64]) -> Vec<Effect> {
    let prune = |version: &u64| Effect::Prune { version: Version(*version) };
    let published = Effect::Published { version: Version(version) };
    [published].into_iter().chain(pruned.iter().map(prune)).collect()
}

#[test]
fn a_version_that_refers_to_a_bad_one_does_not_count_as_kept() {
    let mut l = ledger(2, 2);
    for (version, to) in [(1, vec![]), (2, vec![1]), (3, vec![]), (4, vec![3])] {
        assert_eq!(refers(&mut l, version, &to), published(version, &[]), "{version}");
    }
    tell(&mut l, bad(3, 0, Level::Disk));
    assert_eq!(l.base(), None);
    // Nobody has read 4 again yet, but it is made of what is bad: 2 is the other one that is whole.
    assert_eq!(refers(&mut l, 5, &[]), published(5, &[]));
    assert_eq!(refers(&mut l, 6, &[]), published(6, &[4, 3, 2, 1]));
}

#[test]
fn a_version_that_was_written_while_its_base_rotted_makes_none_superfluous() {
    let mut l = ledger(2, 1);
    refers(&mut l, 1, &[]);
    assert_eq!(refers(&mut l, 2, &[]), published(2, &[1]));
    commit(&mut l);
    let holders = vec![Holder {
        version: Version(2),
        epoch: Epoch(1),
        incarnation: Incarnation(0),
        file_bytes: 1,
    }];
    tell(&mut l, bad(2, 1, Level::Disk));
    let packings = vec![Some(Packing { file_bytes: 10, table_crc: 7, holders }), None];
    tell(&mut l, Input::Packed { version: Version(3), packings });
    // 2 is all that there is on disk, if its damage is mended.
    assert_eq!(publish(&mut l, 3), published(3, &[]));
    assert_eq!(refers(&mut l, 4, &[]), published(4, &[3, 2]));
}

#[test]
fn what_is_referred_to_goes_after_what_refers_to_it() {
    let mut l = ledger(2, 1);
    for (version, to) in [(1, vec![]), (2, vec![1]), (3, vec![1, 2])] {
        assert_eq!(refers(&mut l, version, &to), published(version, &[]), "{version}");
    }
    // A launcher may be killed between any two: no manifest is to name a file that is gone.
    assert_eq!(refers(&mut l, 4, &[]), published(4, &[3, 2, 1]));
}

#[test]
fn with_one_slot_a_publication_that_was_undone_is_tried_again() {
    let mut l = ledger(2, 1).with_slots(1);
    commit(&mut l);
    let undone = Input::Undone { version: Version(1) };
    assert_eq!(tell(&mut l, undone.clone()), dropped(Stale::Version), "it is being written");
    tell(&mut l, written(1));
    tell(&mut l, failed(1));
    // Its manifest may be there: nobody writes over it, nor captures over what memory has.
    assert_eq!((l.needs_disk(), l.may_propose()), (None, false));
    assert_eq!(tell(&mut l, undone), []);
    assert_eq!(
        (l.needs_disk(), l.record(Version(1)).unwrap().disk()),
        (Some(Version(1)), Disk::None)
    );
    let again = Effect::Drain { version: Version(1) };
    assert_eq!(tell(&mut l, Input::Keep { version: Version(1) }), [again]);
    let expected =
        [Effect::Published { version: Version(1) }, Effect::DiskAgain { version: Version(1) }];
    assert_eq!(publish(&mut l, 1), expected);
    assert!(l.may_propose());
}
