//! Every order of events of small jobs, with a fault at every transition.
//!
//! A depth-first walk over all states of the world. It checks, beside what the world asserts, that
//! every path without further faults comes to an end (no state without a move but the ended ones,
//! and no cycle), and with which exit code. Deliberately absent: walks that differ by the names of
//! the ranks alone.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use mainstay_control::recovery::{Config, Policy};

use crate::world::{Faults, World};

/// What a walk has found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// States seen, and whether all that follows them was walked.
    seen: BTreeMap<u128, bool>,
    /// Exit codes of the ends.
    codes: BTreeSet<u8>,
}

impl Walk {
    fn all(world: &World) -> Self {
        let mut walk = Self::default();
        walk.from(world);
        walk
    }

    fn from(&mut self, world: &World) {
        let key = fingerprint(world);
        if let Some(through) = self.seen.get(&key) {
            assert!(through, "the world goes round in circles: {world:#?}");
            return;
        }
        self.seen.insert(key, false);
        if key.is_multiple_of(8) {
            world.refuse_the_past();
        }
        let moves = world.moves();
        if moves.iter().all(|chosen| chosen.is_fault()) {
            assert!(world.end.is_some(), "a hang: {world:#?}");
        }
        if let Some(code) = world.end {
            self.codes.insert(code);
        }
        for chosen in moves {
            let mut next = world.clone();
            next.make(chosen);
            self.from(&next);
        }
        self.seen.insert(key, true);
    }
}

/// 128 bits of a state: no two of some million states share them.
fn fingerprint(world: &World) -> u128 {
    let mut bits = Bits(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    world.hash(&mut bits);
    bits.0 ^ bits.0 >> 61
}

/// Multiplies and adds eight bytes at a time.
struct Bits(u128);

impl Hasher for Bits {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        const ODD: u128 = 0xda94_2042_e4dd_58b5_9e37_79b9_7f4a_7c15;
        let mixed = (self.0 ^ u128::from(word)).wrapping_mul(ODD);
        self.0 = mixed ^ mixed >> 57;
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        u64::try_from(self.0 >> 64).unwrap_or_default()
    }
}

fn job(n: u32, policy: Policy, max_restarts: u32) -> Config {
    Config { n, policy, max_restarts }
}

fn faults(kills: u32, suspects: u32, torn: u32, stops: u32) -> Faults {
    Faults { kills, suspects, torn, stops, within: 1, alike: true }
}

/// Walks everything and checks how many states there were at least and which ends they had.
fn walk(job: Config, faults: Faults, states: usize, codes: &[u8]) {
    let walk = Walk::all(&World::new(job, faults));
    let seen = walk.seen.len();
    assert!(seen >= states, "only {seen} states");
    assert_eq!(walk.codes, BTreeSet::from_iter(codes.iter().copied()));
}

/// Whether to walk the millions of states for which an unoptimised build takes minutes.
const WIDE: bool = !cfg!(debug_assertions);

#[test]
fn rollback_survives_kills_at_every_transition() {
    let three = job(3, Policy::Rollback, 3);
    walk(three, faults(2, 0, 0, 0), 34_000, &[0]);
    walk(three, faults(1, 1, 0, 0), 45_000, &[0]);
    if WIDE {
        let patient = job(3, Policy::Rollback, 4);
        walk(patient, faults(3, 0, 0, 0), 270_000, &[0, 137]);
        walk(patient, faults(1, 1, 1, 0), 670_000, &[0]);
        walk(three, faults(2, 0, 1, 0), 510_000, &[0]);
        let four = job(4, Policy::Rollback, 3);
        walk(four, faults(2, 0, 0, 0), 880_000, &[0]);
    }
}

#[test]
fn restart_survives_kills_at_every_transition() {
    let three = job(3, Policy::Restart, 3);
    walk(three, faults(2, 0, 0, 0), 12_000, &[0]);
    walk(three, faults(1, 1, 0, 0), 18_000, &[0]);
    if WIDE {
        let patient = job(3, Policy::Restart, 4);
        walk(patient, faults(3, 0, 0, 0), 75_000, &[0, 137]);
        walk(patient, faults(1, 1, 1, 0), 290_000, &[0]);
        walk(three, faults(2, 0, 1, 0), 200_000, &[0]);
        let four = job(4, Policy::Restart, 3);
        walk(four, faults(2, 0, 0, 0), 97_000, &[0]);
    }
}

#[test]
fn torn_copies_are_survived_with_and_without_kills() {
    for policy in [Policy::Rollback, Policy::Restart] {
        // 137 when both were struck before either had joined.
        walk(job(2, policy, 4), faults(1, 1, 1, 0), 14_000, &[0, 137]);
        walk(job(3, policy, 3), faults(0, 0, 1, 0), 7_000, &[0]);
    }
}

#[test]
fn a_job_beyond_its_budget_or_stopped_ends_with_the_right_code() {
    for policy in [Policy::Rollback, Policy::Restart] {
        walk(job(2, policy, 3), faults(3, 0, 0, 0), 6_000, &[0, 137]);
        walk(job(2, policy, 1), faults(2, 1, 0, 1), 20_000, &[0, 130, 137]);
        if WIDE {
            walk(job(3, policy, 1), faults(2, 0, 0, 1), 93_000, &[0, 130, 137]);
            walk(job(2, policy, 4), faults(2, 1, 1, 1), 340_000, &[0, 130, 137]);
        }
    }
    walk(job(3, Policy::Rollback, 3), faults(0, 0, 0, 2), 10_000, &[0, 130]);
}

#[test]
fn abort_ends_with_the_first_failure() {
    let three = job(3, Policy::Abort, 3);
    walk(three, faults(2, 0, 0, 0), 5_000, &[0, 137]);
    walk(three, faults(1, 1, 0, 0), 12_000, &[0, 137]);
    walk(job(2, Policy::Abort, 3), faults(1, 1, 1, 1), 12_000, &[0, 130, 137]);
}
