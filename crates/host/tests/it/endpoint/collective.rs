//! Collectives: the bits of a serial fold in the documented order, for any number of ranks.

use mainstay_host::endpoint::{CommError, Fold};
use mainstay_types::Rank;

use super::world::{all, both_ways, text};

/// `lower = lower + higher`, which depends on the order for floats.
fn add(lower: &mut [u8], higher: &[u8]) {
    assert_eq!(lower.len(), higher.len());
    for (low, high) in lower.chunks_exact_mut(8).zip(higher.chunks_exact(8)) {
        let sum = value(low) + value(high);
        low.copy_from_slice(&sum.to_le_bytes());
    }
}

fn add_all(add: &mut dyn FnMut(&mut [u8], &[u8])) -> Fold<'_> {
    Fold { element_bytes: 8, combine: add }
}

fn value(bytes: &[u8]) -> f64 {
    f64::from_le_bytes(bytes.try_into().unwrap())
}

/// A rank's block: values of very different size, so that every order has its own bits.
fn block(rank: u32, elements: usize) -> Vec<u8> {
    let element = |i: usize| {
        let seed = text(u64::from(rank) * 1_000_003 + i as u64, 8);
        let unit = f64::from(u32::from_le_bytes(seed[..4].try_into().unwrap())) / 4e9;
        unit * 10_f64.powi(i32::from(seed[4] % 40) - 20)
    };
    (0..elements).flat_map(|i| element(i).to_le_bytes()).collect()
}

/// The documented order: `acc(r) = acc(r) + acc(r + 2^k)`, k ascending, one rank after the other.
fn serial(n: u32, elements: usize) -> Vec<u8> {
    let mut acc: Vec<_> = (0..n).map(|rank| block(rank, elements)).collect();
    let mut step = 1;
    while step < n as usize {
        for low in (0..n as usize).step_by(2 * step) {
            if low + step < n as usize {
                let high = acc[low + step].clone();
                add(&mut acc[low], &high);
            }
        }
        step *= 2;
    }
    acc.swap_remove(0)
}

#[test]
fn reductions_have_the_bits_of_the_serial_fold() {
    for n in 1..=9 {
        let long = if n % 4 == 3 { 70_001 } else { 9_000 };
        for elements in [0, 1, 17, 5000, long] {
            let expected = serial(n, elements);
            both_ways(n, |e| {
                let mut mine = block(e.rank().0, elements);
                e.allreduce(&all(e, 0), &mut mine, &mut add_all(&mut add)).unwrap();
                assert_eq!(mine, expected, "allreduce n={n} of {elements}");
                for root in [Rank(0), Rank(n - 1)] {
                    let mut mine = block(e.rank().0, elements);
                    e.reduce(&all(e, 0), root, &mut mine, &mut add_all(&mut add)).unwrap();
                    if e.rank() == root {
                        assert_eq!(mine, expected, "reduce n={n} of {elements}");
                    }
                }
            });
        }
    }
}

#[test]
fn a_broadcast_reaches_all_from_any_root() {
    for n in [1, 2, 3, 6, 8] {
        both_ways(n, |e| {
            for root in Rank::all(n) {
                for bytes in [0, 3, 100_000] {
                    let expected = text(root.0.into(), bytes);
                    let mut mine = vec![0; bytes];
                    if e.rank() == root {
                        mine.clone_from(&expected);
                    }
                    e.broadcast(&all(e, 1), root, &mut mine).unwrap();
                    assert_eq!(mine, expected);
                }
            }
        });
    }
}

#[test]
fn gathers_keep_rank_order_and_lengths_may_differ() {
    for n in [1, 2, 5] {
        both_ways(n, |e| {
            let part = |rank: u32| text(rank.into(), (rank as usize * 40_000) % 90_000);
            let expected: Vec<_> = (0..n).map(part).collect();
            let mine = part(e.rank().0);
            assert_eq!(e.allgather(&all(e, 0), &mine), Ok(expected.clone()));
            let root = Rank(n / 2);
            let gathered = e.gather(&all(e, 0), root, &mine).unwrap();
            assert_eq!(gathered, (e.rank() == root).then_some(expected));
        });
    }
}

#[test]
fn nobody_leaves_a_barrier_before_all_have_entered() {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    for n in [1, 2, 3, 4, 7] {
        let entered = AtomicU32::new(0);
        both_ways(n, |e| {
            for round in 1..=50 {
                entered.fetch_add(1, SeqCst);
                e.barrier(&all(e, 0)).unwrap();
                assert!(entered.load(SeqCst) >= round * n);
                e.barrier(&all(e, 0)).unwrap();
            }
        });
    }
}

#[test]
fn collectives_do_not_mix_with_messages_or_other_contexts() {
    both_ways(3, |e| {
        let next = Rank((e.rank().0 + 1) % 3);
        let before = Rank((e.rank().0 + 2) % 3);
        for tag in 0..8 {
            e.send(next, 0, tag, b"p2p").unwrap();
        }
        let mut sum = 1_f64.to_le_bytes();
        e.allreduce(&all(e, 0), &mut sum, &mut add_all(&mut add)).unwrap();
        e.barrier(&all(e, 7)).unwrap();
        assert_eq!(value(&sum), 3.0);
        for tag in 0..8 {
            assert_eq!(e.recv_vec(before, 0, tag), Ok(b"p2p".to_vec()));
        }
    });
}

#[test]
fn blocks_that_differ_in_length_are_refused() {
    let results = both_ways(2, |e| {
        let bytes = if e.rank() == Rank(0) { 8 } else { 16 };
        e.broadcast(&all(e, 0), Rank(0), &mut vec![0; bytes])
    });
    let unequal = CommError::Unequal { peer: Rank(0), expected: 16, found: 8 };
    assert_eq!(results, [[Ok(()), Err(unequal.clone())], [Ok(()), Err(unequal)]]);
}

#[test]
fn prefixes_fold_from_rank_0_up() {
    for n in 1..=6 {
        for elements in [0, 1, 17, 9000] {
            both_ways(n, |e| {
                let (mut prefix, mut below) = (block(0, elements), None);
                for rank in 1..=e.rank().0 {
                    below = Some(prefix.clone());
                    add(&mut prefix, &block(rank, elements));
                }
                let mut mine = block(e.rank().0, elements);
                let mut before = vec![7; mine.len()];
                e.scan(&all(e, 0), &mut mine, &mut before, &mut add_all(&mut add)).unwrap();
                assert_eq!(mine, prefix, "n={n} of {elements}");
                assert_eq!(before, below.unwrap_or_else(|| vec![7; mine.len()]));
            });
        }
    }
}

#[test]
fn blocks_go_where_they_belong_whatever_their_lengths() {
    let between = |from: u32, to: u32| {
        let bytes = [0, 3, 70_000, 300_000][((from * 3 + to) % 4) as usize];
        text(u64::from(from * 100 + to), bytes)
    };
    for n in 1..=5 {
        both_ways(n, |e| {
            let me = e.rank().0;
            let mine: Vec<_> = (0..n).map(|to| between(me, to)).collect();
            let mine: Vec<&[u8]> = mine.iter().map(Vec::as_slice).collect();
            let got = e.alltoall(&all(e, 2), &mine).unwrap();
            assert!((0..n).zip(&got).all(|(from, bytes)| *bytes == between(from, me)));
            for root in Rank::all(n) {
                let blocks = if root.0 == me { &mine[..] } else { &[] };
                assert_eq!(e.scatter(&all(e, 2), root, blocks).unwrap(), between(root.0, me));
            }
            e.barrier(&all(e, 2)).unwrap();
        });
    }
    both_ways(1, |e| {
        assert_eq!(e.alltoall(&all(e, 0), &[]), Err(CommError::Blocks { found: 0, n: 1 }));
    });
}
