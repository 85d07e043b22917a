//! Matching: no overtaking, checked against lists that are searched from the front.

use mainstay_comm::matching::{Label, Matching, Wanted};
use mainstay_types::Rank;

use super::random::Random;

const A: Rank = Rank(0);
const B: Rank = Rank(1);

fn label(tag: u32) -> Label {
    Label { context: 0, tag }
}

fn exactly(source: Rank, tag: u32) -> Wanted {
    Wanted::exactly(source, label(tag))
}

#[test]
fn the_earliest_message_goes_to_the_earliest_receive() {
    let mut m = Matching::new(2);
    m.post(exactly(A, 1), 10);
    m.post(exactly(A, 2), 11);
    m.post(exactly(A, 1), 12);
    assert!(m.awaits(A) && !m.awaits(B));
    assert_eq!(m.arrive(B, label(1)), None, "another source");
    assert_eq!(m.arrive(A, label(3)), None, "another tag");
    assert_eq!(m.arrive(A, label(1)), Some(10));
    assert_eq!(m.arrive(A, label(1)), Some(12));
    assert_eq!(m.arrive(A, label(1)), None);
    m.keep(A, label(1), 20);
    m.keep(A, label(1), 21);
    assert_eq!(m.has(&exactly(A, 1)), Some(20));
    assert_eq!(m.claim(&exactly(A, 1)), Some(20));
    m.give_back(A, label(1), 20);
    assert_eq!(m.unexpected().collect::<Vec<_>>(), [20, 21]);
    assert_eq!(m.claim(&exactly(A, 1)), Some(20));
    m.clear();
    assert_eq!((m.has(&exactly(A, 1)), m.awaits(A)), (None, false));
}

#[test]
fn contexts_are_worlds_of_their_own() {
    let mut m = Matching::new(1);
    let other = Label { context: 1, tag: 1 };
    m.keep(A, other, 1);
    assert_eq!(m.claim(&exactly(A, 1)), None);
    assert_eq!(m.claim(&Wanted::exactly(A, other)), Some(1));
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
                let met = m.claim(&Wanted::exactly(rank, label));
                assert_eq!(met, paired(own, messages[s][t]), "seed {seed}");
                if met.is_none() {
                    m.post(Wanted::exactly(rank, label), own);
                }
                receives[s][t] += 1;
            }
        }
    }
}

#[test]
fn a_wildcard_and_a_name_take_turns_as_they_were_posted() {
    let mut m = Matching::new(2);
    let any = Wanted { source: None, context: 0, tag: None };
    m.post(exactly(A, 1), 10);
    m.post(any, 11);
    m.post(exactly(A, 1), 12);
    assert!(m.awaits(A) && m.awaits(B), "anyone's may be it");
    assert_eq!(m.arrive(A, label(1)), Some(10));
    assert_eq!(m.arrive(A, label(1)), Some(11));
    assert_eq!(m.arrive(A, label(1)), Some(12));
    m.post(any, 13);
    m.post(exactly(B, 2), 14);
    assert_eq!(m.arrive(B, label(2)), Some(13), "posted before the one that names it");
    assert!(m.cancel(14) && !m.cancel(14) && !m.awaits(B));
    assert_eq!(m.arrive(B, label(2)), None);
}

#[test]
fn a_wildcard_takes_what_came_first_from_anyone() {
    let mut m = Matching::new(2);
    let any = |tag| Wanted { source: None, context: 0, tag };
    for (source, tag, id) in [(B, 7, 20), (A, 1, 21), (A, 7, 22), (B, 1, 23)] {
        m.keep(source, label(tag), id);
    }
    assert_eq!(m.has(&any(Some(1))), Some(21));
    assert_eq!(m.claim(&any(None)), Some(20));
    m.give_back(B, label(7), 20);
    assert_eq!(m.claim(&any(None)), Some(20), "what a receive gave back is the first again");
    let of_b = Wanted { source: Some(B), context: 0, tag: None };
    assert_eq!(m.claim(&of_b), Some(23));
    assert_eq!((m.claim(&any(Some(7))), m.claim(&any(Some(7)))), (Some(22), None));
    let elsewhere = Wanted { source: None, context: 2, tag: None };
    assert_eq!(m.claim(&elsewhere), None);
}

/// The rule by its definition: two lists, each searched from the front.
#[test]
fn random_wildcards_meet_what_a_search_from_the_front_finds() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut m = Matching::new(3);
        let mut posted: Vec<(Wanted, u32)> = Vec::new();
        let mut kept: Vec<(Rank, Label, u32)> = Vec::new();
        for id in 0..400 {
            let (rank, label) = (Rank(random.below(3) as u32), label(random.below(3) as u32));
            if random.below(2) == 0 {
                let at = posted.iter().position(|(wanted, _)| wanted.matches(rank, label));
                let expected = at.map(|at| posted.remove(at).1);
                assert_eq!(m.arrive(rank, label), expected, "seed {seed}");
                if expected.is_none() {
                    m.keep(rank, label, id);
                    kept.push((rank, label, id));
                }
            } else {
                let mut wanted = Wanted::exactly(rank, label);
                wanted.source = wanted.source.filter(|_| random.below(3) > 0);
                wanted.tag = wanted.tag.filter(|_| random.below(3) > 0);
                let at = kept.iter().position(|(rank, label, _)| wanted.matches(*rank, *label));
                let expected = at.map(|at| kept.remove(at).2);
                assert_eq!(m.claim(&wanted), expected, "seed {seed}");
                if expected.is_none() {
                    m.post(wanted, id);
                    posted.push((wanted, id));
                }
            }
        }
    }
}
