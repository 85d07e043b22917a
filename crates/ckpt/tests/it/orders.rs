//! Every order in which a capture's messages can arrive, with every disturbance at every place.
//!
//! The expectation is computed apart from the ledger, from the list alone: the version commits at
//! the first prefix that holds all parts and all late messages that the counters call for, unless
//! something that ends it comes first.

use mainstay_ckpt::{Effect, Input, VoidReason};
use mainstay_types::{Epoch, Rank, Step, Version};

use crate::script::{captured, late, ledger, propose, tell};

const V1: Version = Version(1);

/// One thing that may arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// A rank's part.
    Part(u32),
    /// A rank's late messages.
    Late(u32),
    /// A newer epoch.
    Epoch,
    /// The target is dropped.
    Drop,
    /// A rank ended before the step, or at it.
    Ended(u32, u64),
    /// A message of an older epoch, or of another version.
    Stale,
}

/// Whether each of the ranks has late messages.
type Pattern = [bool; 3];

impl Arrival {
    fn input(self, pattern: Pattern) -> Input {
        match self {
            Self::Part(rank) => {
                // The next rank has sent one message, which this rank has not taken in.
                let mut sent = [0; 3];
                let to = (rank + 2) % 3;
                sent[to as usize] = u64::from(pattern[to as usize]);
                captured(rank, 1, &sent, &[0; 3])
            }
            Self::Late(rank) => late(rank, 1, if pattern[rank as usize] { 40 } else { 0 }),
            Self::Epoch => Input::EpochRaised(Epoch(2)),
            Self::Drop => Input::Drop { version: V1, why: VoidReason::Missed },
            Self::Ended(rank, step) => Input::RankEnded { rank: Rank(rank), step: Step(step) },
            Self::Stale => captured(0, 9, &[0; 3], &[0; 3]),
        }
    }
}

/// Where in the list the version commits (`true`) or ends (`false`), if it does either.
fn expected(list: &[Arrival], pattern: Pattern) -> Option<(usize, bool)> {
    let (mut parts, mut lates) = ([false; 3], [false; 3]);
    for (i, arrival) in list.iter().enumerate() {
        match *arrival {
            Arrival::Part(rank) => parts[rank as usize] = true,
            Arrival::Late(rank) => lates[rank as usize] = true,
            Arrival::Epoch | Arrival::Drop => return Some((i, false)),
            Arrival::Ended(rank, step) if step < 10 && !parts[rank as usize] => {
                return Some((i, false));
            }
            Arrival::Ended(..) | Arrival::Stale => {}
        }
        let complete = (0..3).all(|r| parts[r] && (lates[r] || !pattern[r]));
        if complete {
            return Some((i, true));
        }
    }
    None
}

fn check(list: &[Arrival], pattern: Pattern) {
    let mut ledger = ledger(3, 1);
    tell(&mut ledger, propose(1, 10));
    let mut ends = Vec::new();
    for (i, arrival) in list.iter().enumerate() {
        for effect in tell(&mut ledger, arrival.input(pattern)) {
            match effect {
                Effect::Committed { version: V1 } => ends.push((i, true)),
                Effect::Void { version: V1, .. } => ends.push((i, false)),
                Effect::Drain { version: V1 } | Effect::Dropped { .. } => {}
                other => panic!("{list:?} {pattern:?}: {other:?}"),
            }
        }
        let committed = ends.first().is_some_and(|(_, committed)| *committed);
        let chosen = ledger.choose().map(|choice| choice.version);
        assert_eq!(chosen, committed.then_some(V1), "{list:?} {pattern:?}");
    }
    let expected: Vec<_> = expected(list, pattern).into_iter().collect();
    assert_eq!(ends, expected, "{list:?} {pattern:?}");
}

/// Calls `each` with every order of the list.
fn permute(list: &mut Vec<Arrival>, from: usize, each: &mut dyn FnMut(&[Arrival])) {
    if from == list.len() {
        each(list);
        return;
    }
    for i in from..list.len() {
        list.swap(from, i);
        permute(list, from + 1, each);
        list.swap(from, i);
    }
}

fn patterns() -> impl Iterator<Item = Pattern> {
    (0..8).map(|bits| [bits & 1 > 0, bits & 2 > 0, bits & 4 > 0])
}

/// The parts, the late messages called for, and those that say that there are none.
fn arrivals(pattern: Pattern, spoken: Pattern) -> Vec<Arrival> {
    let lates = (0..3).filter(|r| pattern[*r as usize] || spoken[*r as usize]);
    let parts = (0..3).map(Arrival::Part);
    parts.chain(lates.map(Arrival::Late)).collect()
}

const DISTURBANCES: [Arrival; 9] = [
    Arrival::Epoch,
    Arrival::Drop,
    Arrival::Stale,
    Arrival::Ended(0, 9),
    Arrival::Ended(1, 9),
    Arrival::Ended(2, 9),
    Arrival::Ended(0, 10),
    Arrival::Ended(1, 10),
    Arrival::Ended(2, 10),
];

#[test]
fn every_order_of_parts_and_late_messages_commits_at_the_last_of_them() {
    let mut orders = 0;
    for pattern in patterns() {
        for spoken in patterns() {
            permute(&mut arrivals(pattern, spoken), 0, &mut |list| {
                check(list, pattern);
                orders += 1;
            });
        }
    }
    assert!(orders > 16_000, "{orders}");
}

#[test]
fn every_disturbance_at_every_place_of_every_order() {
    let mut orders = 0;
    for pattern in patterns() {
        for disturbance in DISTURBANCES {
            let mut list = arrivals(pattern, [false; 3]);
            list.push(disturbance);
            permute(&mut list, 0, &mut |list| {
                check(list, pattern);
                orders += 1;
            });
        }
    }
    assert!(orders > 60_000, "{orders}");
}

#[test]
fn every_pair_of_disturbances_at_every_place_of_every_order() {
    let mut orders = 0;
    for pattern in patterns().filter(|p| p.iter().filter(|late| **late).count() <= 2) {
        for (i, first) in DISTURBANCES.iter().enumerate() {
            for second in &DISTURBANCES[i + 1..] {
                let mut list = arrivals(pattern, [false; 3]);
                list.extend([*first, *second]);
                permute(&mut list, 0, &mut |list| {
                    check(list, pattern);
                    orders += 1;
                });
            }
        }
    }
    assert!(orders > 600_000, "{orders}");
}
