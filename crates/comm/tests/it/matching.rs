//! Matching: no overtaking, checked against a list that is searched from the front.

use mainstay_comm::matching::{Label, Matching};
use mainstay_types::Rank;

use super::random::Random;

const A: Rank = Rank(0);
const B: Rank = Rank(1);

fn label(tag: u32) -> Label {
    Label { context: 0, tag }
}

#[test]
fn the_earliest_message_goes_to_the_earliest_receive() {
    let mut m = Matching::new(2);
    m.post(A, label(1), 10);
    m.post(A, label(2), 11);
    m.post(A, label(1), 12);
    assert!(m.awaits(A) && !m.awaits(B));
    assert_eq!(m.arrive(B, label(1)), None, "another source");
    assert_eq!(m.arrive(A, label(3)), None, "another tag");
    assert_eq!(m.arrive(A, label(1)), Some(10));
    assert_eq!(m.arrive(A, label(1)), Some(12));
    assert_eq!(m.arrive(A, label(1)), None);
    m.keep(A, label(1), 20);
    m.keep(A, label(1), 21);
    assert_eq!(m.has(A, label(1)), Some(20));
    assert_eq!(m.claim(A, label(1)), Some(20));
    m.give_back(A, label(1), 20);
    assert_eq!(m.unexpected().collect::<Vec<_>>(), [20, 21]);
    assert_eq!(m.claim(A, label(1)), Some(20));
    m.clear();
    assert_eq!((m.has(A, label(1)), m.awaits(A)), (None, false));
}

#[test]
fn contexts_are_worlds_of_their_own() {
    let mut m = Matching::new(1);
    let other = Label { context: 1, tag: 1 };
    m.keep(A, other, 1);
    assert_eq!(m.claim(A, label(1)), None);
    assert_eq!(m.claim(A, other), Some(1));
}

/// The rule by its definition: the i-th message of a source and label meets the i-th receive.
#[test]
fn random_orders_pair_message_and_receive_by_their_places() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut m = Matching::new(3);
        let (mut receives, mut messages) = ([[0; 3]; 3], [[0; 3]; 3]);
        for _ in 0..500 {
            let (source, tag) = (random.below(3), random.below(3));
            let (rank, label) = (Rank(source as u32), label(tag as u32));
            let (s, t) = (source as usize, tag as usize);
            let paired = |own: u32, other: u32| (own < other).then_some(own);
            if random.below(2) == 0 {
                let own = messages[s][t];
                let met = m.arrive(rank, label);
                assert_eq!(met, paired(own, receives[s][t]), "seed {seed}");
                if met.is_none() {
                    m.keep(rank, label, own);
                }
                messages[s][t] += 1;
            } else {
                let own = receives[s][t];
                let met = m.claim(rank, label);
                assert_eq!(met, paired(own, messages[s][t]), "seed {seed}");
                if met.is_none() {
                    m.post(rank, label, own);
                }
                receives[s][t] += 1;
            }
        }
    }
}
