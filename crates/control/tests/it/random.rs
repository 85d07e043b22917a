//! Thousands of jobs of 8 ranks under random faults and schedules, each from its seed.
//!
//! The exhaustive walk is complete and small; this one is neither. Each job has its own slow ranks,
//! so that some messages stay unread for long while the others run ahead.

use mainstay_control::recovery::{Config, Policy};

use crate::world::{Faults, Move, World};

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

const N: u32 = 8;

/// Runs one job to its end and gives back the world and how many things happened.
fn run(seed: u64, policy: Policy, max_restarts: u32, stops: u32) -> (World, u32) {
    let random = &mut Random(seed);
    let mut draw = |bound| u32::try_from(random.below(bound)).expect("small");
    // One rank at least is never struck before it has joined, or the job may run unprotected.
    let faults = Faults {
        kills: draw(5),
        suspects: draw(3),
        torn: draw(3),
        stops,
        within: N as usize,
        alike: false,
    };
    let config = Config { n: N, policy, max_restarts };
    let haste = 4 + random.below(60);
    let slow = random.next();
    let mut world = World::new(config, faults);
    for happened in 0..20_000 {
        if random.below(16) == 0 {
            world.refuse_the_past();
        }
        let (mischief, honest): (Vec<_>, Vec<_>) =
            world.moves().into_iter().partition(|chosen| chosen.is_fault());
        let moves = match (mischief.is_empty(), honest.is_empty()) {
            (true, true) => return (world, happened),
            (false, false) if random.below(haste) > 0 => honest,
            (false, true) if world.end.is_some() => return (world, happened),
            (false, _) => mischief,
            (true, false) => honest,
        };
        let mut pick = || moves[usize::try_from(random.below(moves.len() as u64)).expect("few")];
        let mut chosen = pick();
        // A slow rank's move is put off, most of the time.
        for _ in 0..4 {
            if let Move::Rank(r, _) | Move::Read(r) | Move::Reap(r) = chosen
                && slow >> r & 1 == 1
            {
                chosen = pick();
            }
        }
        world.make(chosen);
    }
    panic!("seed {seed}: no end in sight: {world:#?}");
}

#[test]
fn jobs_with_budget_always_finish() {
    let (mut failures, mut happened) = (0, 0);
    for seed in 0..4_000 {
        let policy = [Policy::Rollback, Policy::Restart][usize::from(seed % 4 == 3)];
        let (world, moves) = run(seed, policy, 99, 0);
        assert_eq!(world.end, Some(0), "seed {seed}");
        failures += world.failures;
        happened += moves;
    }
    assert!(failures > 5_000, "only {failures} failures in {happened} moves");
}

#[test]
fn jobs_without_budget_end_with_their_failure() {
    let mut given_up = 0;
    for seed in 10_000..11_500 {
        let policy = [Policy::Rollback, Policy::Restart, Policy::Abort][(seed % 3) as usize];
        let (world, _) = run(seed, policy, 1, 0);
        assert!(matches!(world.end, Some(0 | 137)), "seed {seed}: {:?}", world.end);
        given_up += u32::from(world.end == Some(137));
    }
    assert!(given_up > 300, "only {given_up} were given up");
}

#[test]
fn stopped_jobs_end_with_the_signal_or_were_finished() {
    let mut stopped = 0;
    for seed in 20_000..21_000 {
        let (world, _) = run(seed, Policy::Rollback, 99, 1 + u32::from(seed % 5 == 0));
        assert!(matches!(world.end, Some(0 | 130)), "seed {seed}: {:?}", world.end);
        stopped += u32::from(world.end == Some(130));
    }
    assert!(stopped > 500, "only {stopped} were stopped");
}
