//! The exact operations of a commit, of what undoes it, and of removals.

use mainstay_ckpt::{Commit, Content, Fault, Files, Leftovers, Next, Op, Outcome, Removal};
use mainstay_types::Version;

const FAULTS: [Fault; 4] = [Fault::Full, Fault::Io, Fault::ReadOnly, Fault::Other];

fn files() -> Files {
    Files::new(Version(1), vec!["s0".to_owned(), "s1".to_owned()])
}

/// An operation in a few letters.
fn word(op: &Op) -> String {
    let short = |name: &str| name.trim_start_matches("v00000001.").to_owned();
    match op {
        Op::Create(name) => format!("create {}", short(name)),
        Op::Write(name, Content::Part(i)) => format!("write {} part {i}", short(name)),
        Op::Write(name, Content::Manifest) => format!("write {}", short(name)),
        Op::Sync(name) => format!("sync {}", short(name)),
        Op::SyncNames => "sync names".to_owned(),
        Op::Ask => "ask".to_owned(),
        Op::Publish { .. } => "publish".to_owned(),
        Op::Withdraw { .. } => "withdraw".to_owned(),
        Op::Remove(name) => format!("remove {}", short(name)),
    }
}

/// Runs a commit with outcomes by the operations' numbers; gives its operations and reports.
fn run(mut outcome: impl FnMut(usize, &Op) -> Outcome) -> (Vec<Op>, Vec<Next>) {
    let (mut commit, mut ops, mut told) = (Commit::new(files()), Vec::new(), Vec::new());
    while let Some(next) = commit.next() {
        match next {
            Next::Do(op) => {
                assert_eq!(commit.next(), Some(Next::Do(op.clone())), "it stays until it is done");
                commit.done(outcome(ops.len(), &op));
                ops.push(op);
            }
            told_now => told.push(told_now),
        }
        assert!(ops.len() < 40, "it comes to no end");
    }
    commit.done(Outcome::Done);
    assert_eq!(commit.next(), None, "the end is the end");
    (ops, told)
}

fn words(ops: &[Op]) -> Vec<String> {
    ops.iter().map(word).collect()
}

const WRITTEN: [&str; 13] = [
    "create manifest.aside",
    "sync names",
    "create s0",
    "write s0 part 0",
    "sync s0",
    "create s1",
    "write s1 part 1",
    "sync s1",
    "write manifest.aside",
    "sync manifest.aside",
    "sync names",
    "ask",
    "publish",
];

/// Whether nothing is left of a version that failed.
fn clean(told: &[Next]) -> bool {
    match told {
        [Next::Failed(failure)] => failure.clean,
        other => panic!("{other:?} is no failure"),
    }
}

#[test]
fn a_version_is_written_behind_a_mark_and_published_last() {
    let (ops, told) = run(|_, _| Outcome::Done);
    assert_eq!(words(&ops[..13]), WRITTEN);
    assert_eq!((words(&ops[13..]), told), (vec!["sync names".to_owned()], vec![Next::Published]));
}

#[test]
fn a_second_name_goes_once_the_first_is_durable_and_nobody_waits_for_that() {
    for last in [Outcome::Done, Outcome::NotFound, Outcome::Failed(Fault::Io)] {
        let (ops, told) = run(|_, op| match op {
            Op::Publish { .. } => Outcome::Copied,
            Op::Remove(_) => last,
            _ => Outcome::Done,
        });
        assert_eq!(words(&ops[13..]), ["sync names", "remove manifest.aside"]);
        assert_eq!(told, [Next::Published]);
    }
}

#[test]
fn what_failed_is_undone_as_far_as_it_came() {
    let tail = ["sync names", "remove manifest.aside"];
    let cases: [(usize, &[&str]); 9] = [
        (0, &[]),
        (1, &[]),
        (2, &["remove s0"]),
        (4, &["remove s0"]),
        (5, &["remove s0", "remove s1"]),
        (9, &["remove s0", "remove s1"]),
        (11, &["remove s0", "remove s1"]),
        (12, &["withdraw", "sync names", "remove s0", "remove s1"]),
        (13, &["withdraw", "sync names", "remove s0", "remove s1"]),
    ];
    for (at, undone) in cases {
        let fails = |i, _: &Op| if i == at { Outcome::Failed(Fault::Io) } else { Outcome::Done };
        let (ops, told) = run(fails);
        let tail = if undone.is_empty() { &tail[1..] } else { &tail[..] };
        assert_eq!(words(&ops[at + 1..]), [undone, tail].concat(), "after {:?}", ops[at]);
        assert!(clean(&told));
    }
}

#[test]
fn what_others_have_made_is_not_removed() {
    let cases: [(usize, &[&str]); 3] = [
        (0, &[]),
        (5, &["remove s0", "sync names", "remove manifest.aside"]),
        // Somebody has published: the shards may be those that it names.
        (12, &[]),
    ];
    for (at, undone) in cases {
        let exists = |i, _: &Op| if i == at { Outcome::AlreadyExists } else { Outcome::Done };
        let (ops, told) = run(exists);
        assert_eq!(words(&ops[at + 1..]), undone, "after {:?}", ops[at]);
        assert_eq!(clean(&told), at != 12);
    }
}

#[test]
fn what_may_be_published_for_good_keeps_its_shards() {
    for not_done in [13, 14] {
        let (ops, told) = run(|i, _| match i {
            12 => Outcome::Failed(Fault::Io),
            _ if i == not_done => Outcome::Failed(Fault::Io),
            _ => Outcome::Done,
        });
        assert!(!words(&ops).iter().any(|op| op.starts_with("remove")));
        assert!(!clean(&told));
    }
}

#[test]
fn a_mark_stays_while_a_shard_may() {
    let (ops, told) = run(|i, op| match op {
        Op::Remove(name) if name == "s0" => Outcome::Failed(Fault::Other),
        _ if i == 6 => Outcome::Failed(Fault::Full),
        _ => Outcome::Done,
    });
    assert_eq!(words(&ops[7..]), ["remove s0", "remove s1", "sync names"]);
    assert!(!clean(&told));
}

#[test]
fn where_nothing_can_be_changed_nothing_is_tried() {
    for at in 0..14 {
        let fails = |i, _: &Op| match i == at {
            true => Outcome::Failed(Fault::ReadOnly),
            false => Outcome::Done,
        };
        let (ops, told) = run(fails);
        assert_eq!((ops.len(), clean(&told)), (at + 1, false));
    }
}

/// Every operation fails in every way, and in what undoes it another one.
#[test]
fn a_failed_sync_is_final_and_nothing_is_told_as_published_behind_a_failure() {
    let mut outcomes = vec![Outcome::AlreadyExists, Outcome::NotFound];
    outcomes.extend(FAULTS.map(Outcome::Failed));
    let mut runs = 0;
    for first in 0..14 {
        for second in first + 1..22 {
            for (a, b) in outcomes.iter().flat_map(|a| outcomes.iter().map(move |b| (*a, *b))) {
                let (ops, told) = run(|i, _| match i {
                    _ if i == first => a,
                    _ if i == second => b,
                    _ => Outcome::Done,
                });
                runs += 1;
                clean(&told);
                let failed = &ops[first];
                let after = &ops[first + 1..];
                if let Op::Sync(name) = failed {
                    assert!(!after.contains(failed), "{name} is synced again");
                }
                let goes_on = |op: &Op| {
                    matches!(op, Op::Create(_) | Op::Write(..) | Op::Ask | Op::Publish { .. })
                };
                assert!(!after.iter().any(goes_on), "{failed:?} failed, and {after:?} came");
            }
        }
    }
    assert!(runs > 5000, "{runs} runs");
}

/// Runs a removal; gives its operations, and whether all is gone.
fn all(mut removal: Removal, outcome: impl Fn(&Op) -> Outcome) -> (Vec<String>, bool) {
    let mut ops = Vec::new();
    while let Some(op) = removal.next() {
        removal.done(outcome(&op));
        ops.push(op);
    }
    removal.done(Outcome::Failed(Fault::Io));
    (words(&ops), removal.is_clean())
}

#[test]
fn a_removal_makes_durable_what_it_relies_on() {
    let whole = ["withdraw", "sync names", "remove s0", "remove s1", "sync names"];
    let whole = [&whole[..], &["remove manifest.aside"]].concat();
    let pruned = all(Removal::prune(&files()), |_| Outcome::Done);
    assert_eq!(pruned, (words_of(&whole), true));
    let gone = all(Removal::prune(&files()), |op| match op {
        Op::SyncNames => Outcome::Done,
        _ => Outcome::NotFound,
    });
    assert_eq!(gone, (words_of(&whole), true), "what is gone is as good as removed");
    let names = ["v00000001.manifest.aside", "v00000001.e1.r0.i0.shard", "v00000002.manifest"];
    let left =
        |names: &[&'static str]| Removal::of_leftovers(&Leftovers::among(names.iter().copied()));
    let cleaned = all(left(&names), |_| Outcome::Done);
    let order = ["sync names", "remove e1.r0.i0.shard", "sync names", "remove manifest.aside"];
    assert_eq!(cleaned, (words_of(&order), true));
    // Without leftovers, what is seen is made durable all the same.
    assert_eq!(all(left(&names[2..]), |_| Outcome::Done), (words_of(&["sync names"]), true));
    let unsynced = all(left(&names), |_| Outcome::Failed(Fault::Io));
    assert_eq!(unsynced, (words_of(&["sync names"]), false), "nothing is removed on trust");
}

fn words_of(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
