//! Trees: every rank is reached once, parents and children agree, the order is the documented one.

use mainstay_comm::tree;
use mainstay_types::Rank;

#[test]
fn parents_and_children_agree_and_rank_0_gets_all() {
    for n in 1..=40 {
        let mut reached = vec![0; n as usize];
        for rank in Rank::all(n) {
            for child in tree::children(rank, n) {
                assert_eq!(tree::parent(child), Some(rank), "n={n}");
                reached[child.index()] += 1;
            }
        }
        let once: Vec<_> = (0..n).map(|rank| u32::from(rank > 0)).collect();
        assert_eq!(reached, once, "n={n}");
        assert_eq!(tree::parent(Rank(0)), None);
    }
}

#[test]
fn the_order_of_a_reduction_is_written_down() {
    // What each rank folds, as an expression.
    fn expression(rank: Rank, n: u32) -> String {
        let fold = |acc, child| format!("({acc}+{})", expression(child, n));
        tree::children(rank, n).fold(rank.to_string(), fold)
    }
    assert_eq!(expression(Rank(0), 4), "((0+1)+(2+3))");
    assert_eq!(expression(Rank(0), 7), "(((0+1)+(2+3))+((4+5)+6))");
}

#[test]
fn a_broadcast_from_any_root_reaches_all_once() {
    for n in 1..=17 {
        for root in Rank::all(n) {
            assert_eq!(tree::broadcast_parent(root, root, n), None);
            let mut reached = 1;
            for rank in Rank::all(n) {
                for child in tree::broadcast_children(rank, root, n) {
                    assert_eq!(tree::broadcast_parent(child, root, n), Some(rank));
                    reached += 1;
                }
            }
            assert_eq!(reached, n);
        }
    }
}

#[test]
fn after_a_barrier_every_rank_has_heard_of_every_other() {
    for n in 1..=33_u32 {
        let mut heard: Vec<u64> = (0..n).map(|rank| 1 << rank).collect();
        let rounds = tree::barrier(Rank(0), n).count();
        for round in 0..rounds {
            let before = heard.clone();
            for rank in Rank::all(n) {
                let (to, from) = tree::barrier(rank, n).nth(round).unwrap();
                heard[rank.index()] |= before[from.index()];
                let (_, back) = tree::barrier(to, n).nth(round).unwrap();
                assert_eq!(back, rank, "whom I tell waits for me");
            }
        }
        assert!(heard.iter().all(|heard| heard.count_ones() == n), "n={n}");
    }
}
