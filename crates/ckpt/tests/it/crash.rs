//! The order of a commit's operations, proved on a file system that fails and loses power.
//!
//! Each test prints how much it has tried, and fails if that was less than it is meant to be.

use mainstay_ckpt::{Op, Outcome};

use crate::crash_world::{Count, End, Trouble, World};
use crate::random::Random;

const TROUBLES: [Trouble; 5] = [
    Trouble::Full,
    Trouble::Io { done: false },
    Trouble::Io { done: true },
    Trouble::Broken,
    Trouble::ReadOnly,
];

/// Commits versions, of which `keep` are kept.
fn commits(world: &mut World, versions: usize, keep: usize) -> Result<(), End> {
    (0..versions).try_for_each(|_| world.version(keep))
}

/// How a run ended, in which no start ever found what it must not.
fn right(run: Result<(), End>, what: &str) -> bool {
    match run {
        Ok(()) => true,
        Err(End::Killed) => false,
        Err(End::Wrong(why)) => panic!("{what}: {why}"),
    }
}

#[expect(clippy::print_stdout, reason = "how much was tried is what one wants to know")]
fn tell(what: &str, count: Count, floor: u64) {
    let Count { points, images, distinct, cleaning } = count;
    println!(
        "{what}: {points} moments of a crash, {images} states of the disk ({distinct} distinct), \
         {cleaning} within a clean-up"
    );
    assert!(images >= floor, "{what}: only {images} states were tried");
    assert!(cleaning >= floor / 100, "{what}: only {cleaning} states within a clean-up");
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.points += more.points;
        self.images += more.images;
        self.distinct += more.distinct;
        self.cleaning += more.cleaning;
    }
}

/// The operations of a run without faults.
fn operations(links: bool, versions: usize, keep: usize) -> Vec<Op> {
    let mut world = World::new(links);
    world.crashes_from = usize::MAX;
    assert!(right(commits(&mut world, versions, keep), "no fault"));
    world.trace
}

#[test]
fn after_every_crash_a_start_finds_the_newest_version_whole() {
    let mut count = Count::default();
    for links in [false, true] {
        let mut world = World::new(links);
        assert!(right(commits(&mut world, 5, 2), "no fault"));
        count += world.count;
    }
    tell("five versions", count, 5000);
}

#[test]
fn every_sync_is_needed() {
    for links in [false, true] {
        for (at, op) in operations(links, 3, 1).iter().enumerate() {
            if !matches!(op, Op::Sync(_) | Op::SyncNames) {
                continue;
            }
            let mut world = World::new(links);
            world.lie = Some(at);
            let run = commits(&mut world, 3, 1);
            assert!(
                matches!(run, Err(End::Wrong(_))),
                "nothing tells that {op:?} ({at}) is not done"
            );
        }
    }
}

#[test]
fn whatever_fails_no_start_finds_another_version_or_other_bytes() {
    let mut count = Count::default();
    for links in [false, true] {
        let last = operations(links, 3, 1).len();
        for (at, trouble) in (0..last).flat_map(|at| TROUBLES.map(|trouble| (at, trouble))) {
            let mut world = World::new(links);
            (world.troubles, world.crashes_from) = (vec![(at, trouble)], at);
            let what = format!("{trouble:?} at {at}, links {links}");
            assert!(right(commits(&mut world, 3, 1), &what));
            count += world.count;
        }
    }
    tell("a fault at each operation of three versions", count, 100_000);
}

#[test]
fn what_fails_while_a_failure_is_undone_loses_nothing_either() {
    let mut count = Count::default();
    for (at, then) in
        (0..operations(false, 3, 1).len()).flat_map(|at| [1, 2, 3, 5].map(|t| (at, t)))
    {
        for done in [false, true] {
            let first = Trouble::Io { done: at % 2 == 0 };
            let troubles = vec![(at, first), (at + then, Trouble::Io { done })];
            let what = format!("{troubles:?}");
            let mut world = World::new(then % 2 == 0);
            (world.troubles, world.samples) = (troubles, (8, true));
            world.crashes_from = at + then;
            assert!(right(commits(&mut world, 3, 1), &what));
            count += world.count;
        }
    }
    tell("two faults in three versions", count, 50_000);
}

#[test]
fn a_launcher_killed_at_any_operation_leaves_what_the_next_one_brings_to_its_end() {
    let mut count = Count::default();
    for links in [false, true] {
        let mut needed = 0;
        for at in 0..operations(links, 3, 1).len() {
            let run = |lie: Option<usize>| {
                let mut world = World::new(links);
                (world.kill, world.crashes_from) = (Some(at), at);
                assert!(!right(commits(&mut world, 3, 1), "no fault"), "it is killed at {at}");
                (world.kill, world.lie) = (None, lie.map(|lie| at + lie));
                let ended = world.launch().and_then(|()| world.version(1));
                (ended, world.count)
            };
            let (ended, seen) = run(None);
            assert!(right(ended, &format!("killed at {at}, links {links}")));
            count += seen;
            // The first operation of a launch makes durable what it sees.
            needed += usize::from(matches!(run(Some(0)).0, Err(End::Wrong(_))));
        }
        assert!(needed >= 3, "that is needed after {needed} kills only");
    }
    tell("a kill at each operation of three versions", count, 5000);
}

/// A job of several launches that ends in whatever way, with whatever goes wrong.
fn lives(seed: u64) -> Count {
    let mut random = Random(seed);
    let mut world = World::new(random.once_in(2));
    (world.random, world.samples) = (Random(random.next()), (6, true));
    for _ in 0..4 {
        let from = world.trace.len();
        let somewhen = |random: &mut Random| from + random.below(60) as usize;
        let trouble = TROUBLES[random.below(TROUBLES.len() as u64) as usize];
        world.troubles.extend(random.once_in(2).then(|| (somewhen(&mut random), trouble)));
        world.kill = Some(somewhen(&mut random));
        let run = world.launch().and_then(|()| commits(&mut world, 3, 2));
        right(run, &format!("seed {seed}"));
        (world.troubles, world.kill) = (Vec::new(), None);
        if random.once_in(2) {
            right(world.crash_somehow(), &format!("seed {seed}, a crash"));
        }
    }
    world.count
}

#[test]
fn jobs_of_many_launches_lose_no_version_that_was_published() {
    let mut count = Count::default();
    for seed in 0..300 {
        count += lives(seed);
    }
    tell("300 jobs of four launches and more", count, 100_000);
}

#[test]
fn the_model_tears_blocks_and_loses_names() {
    use crate::crash_disk::Disk;
    use std::collections::BTreeSet;
    let mut disk = Disk::default();
    assert_eq!(disk.create("a"), Outcome::Done);
    assert_eq!(disk.create("a"), Outcome::AlreadyExists);
    assert_eq!(disk.sync(None, false), Outcome::Done);
    disk.write("a", &[7; 5000]);
    let states = |disk: &Disk| {
        let mut states = BTreeSet::new();
        let all = disk.crash((0, false), &mut Random(3), &mut |image| {
            states.insert(image.into_iter().map(|(n, c)| (n, c.to_vec())).collect::<Vec<_>>());
            Ok(())
        });
        assert_eq!(all, Ok(()));
        states
    };
    let found = states(&disk);
    let has = |content: Vec<u8>| found.contains(&vec![("a".to_owned(), content)]);
    assert!(has(vec![]) && has(vec![0; 5000]) && has(vec![7; 5000]));
    assert!(has([vec![7; 4096], vec![0; 904]].concat()), "a block without the next");
    let torn = found.iter().any(|files| {
        let content = &files[0].1;
        content.len() == 5000 && content[..4096].contains(&7) && content[..4096].contains(&0xA5)
    });
    assert!(torn, "no block is torn");
    assert_eq!(disk.sync(Some("a"), true), Outcome::Done);
    assert_eq!(disk.sync(Some("a"), false), Outcome::Done);
    assert_eq!(states(&disk).len(), found.len(), "a second sync mends nothing");
    assert_eq!(disk.rename("a", "b", false), Outcome::Done);
    let names: BTreeSet<_> = states(&disk).iter().map(|files| files[0].0.clone()).collect();
    assert_eq!(names.len(), 2, "renamed or not");
}
