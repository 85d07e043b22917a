//! Boards: what is wrong on one is noticed, and what ranks do differently is said.

use std::sync::atomic::Ordering::SeqCst;

use mainstay_comm::board::board;
use mainstay_host::endpoint::{CommError, Endpoint, Fold, Group};
use mainstay_host::shm::Area;
use mainstay_types::Rank;

use super::world::{World, all, text};

const A: Rank = Rank(0);
const B: Rank = Rank(1);

fn allreduce(e: &mut Endpoint, block: &mut [u8]) -> Result<(), CommError> {
    let combine = &mut |low: &mut [u8], high: &[u8]| {
        low.iter_mut().zip(high).for_each(|(low, high)| *low ^= high);
    };
    e.allreduce(&all(e, 0), block, &mut Fold { element_bytes: 1, combine })
}

/// Rank A takes part alone and gives up; then `harm` changes what it shows; what rank B says.
fn shown_and_harmed(harm: impl FnOnce(&World, usize)) -> Result<(), CommError> {
    let world = World::with_boards(2);
    let (mut a, mut b) = (world.joined(A, 1, None), world.joined(B, 1, None));
    a.set_patience(Some(std::time::Duration::ZERO));
    assert_eq!(allreduce(&mut a, &mut text(1, 40)), Err(CommError::Timeout));
    harm(&world, board(0, false).unwrap());
    let mut block = text(2, 40);
    let result = allreduce(&mut b, &mut block);
    if result.is_ok() {
        let expected: Vec<_> = text(1, 40).iter().zip(text(2, 40)).map(|(a, b)| a ^ b).collect();
        assert_eq!(block, expected);
    }
    result
}

#[test]
fn every_flipped_bit_of_what_a_rank_shows_is_noticed() {
    assert_eq!(shown_and_harmed(|_, _| {}), Ok(()));
    // One entry of a table and the block.
    for bit in 0..(16 + 40) * 8 {
        let result = shown_and_harmed(|world, board| {
            let area = Area { rank: A, board, round: 0 };
            let mut byte = [0];
            world.segment.area_out(area, bit / 8, &mut byte, 0);
            byte[0] ^= 1 << (bit % 8);
            world.segment.area_in(area, bit / 8, &byte, 0);
        });
        let corrupt = matches!(result, Err(CommError::Corrupt { peer: A, .. }));
        assert!(corrupt, "bit {bit}: {result:?}");
    }
    // Colour, kind and their sum.
    for bit in 0..64 {
        let result = shown_and_harmed(|world, board| {
            world.segment.board(A, board).0[2].fetch_xor(1 << bit, SeqCst);
        });
        let corrupt = matches!(result, Err(CommError::Corrupt { peer: A, .. }));
        assert!(corrupt, "bit {bit}: {result:?}");
    }
}

#[test]
fn ranks_in_different_collectives_are_told() {
    let results = World::with_boards(2).run(|e| match e.rank() {
        A => e.barrier(&all(e, 0)),
        _ => allreduce(e, &mut [1, 2, 3]),
    });
    let (barrier, reduction) = ("a barrier", "an allreduce");
    assert_eq!(
        results,
        [
            Err(CommError::Unmatched { peer: B, theirs: reduction, ours: barrier }),
            Err(CommError::Unmatched { peer: A, theirs: barrier, ours: reduction }),
        ]
    );
}

#[test]
fn blocks_that_differ_in_length_are_told_to_both() {
    let results = World::with_boards(2).run(|e| allreduce(e, &mut vec![1; 8 << e.rank().0]));
    let unequal = |peer, expected, found| Err(CommError::Unequal { peer, expected, found });
    assert_eq!(results, [unequal(B, 8, 16), unequal(A, 16, 8)]);
}

/// Long enough to be cut into segments, of whole elements.
#[test]
#[should_panic(expected = "100001 bytes in elements of 8")]
fn a_block_of_less_than_whole_elements_is_not_cut() {
    let world = World::with_boards(2);
    let mut a = world.joined(A, 1, None);
    let combine = &mut |_: &mut [u8], _: &[u8]| {};
    let block = &mut text(1, 100_001);
    let _never = a.allreduce(&all(&a, 0), block, &mut Fold { element_bytes: 8, combine });
}

/// Rank A shows the front of a block that claims to be longer than what it shows, by an entry whose
/// sums are right.
#[test]
fn a_front_that_is_not_full_is_noticed() {
    let world = World::with_boards(2);
    let (mut a, mut b) = (world.joined(A, 1, None), world.joined(B, 1, None));
    a.set_patience(Some(std::time::Duration::ZERO));
    assert_eq!(a.allgather(&all(&a, 0), &text(1, 40)), Err(CommError::Timeout));
    let area = Area { rank: A, board: board(0, false).unwrap(), round: 0 };
    // The table has one entry, and behind it lie the length of the block and its front.
    let (at, shown) = (16, 8 + 30);
    let mut part = vec![0; shown];
    world.segment.area_out(area, at, &mut part, 0);
    let (place, crc) = (at as u64 | (shown as u64) << 32, u64::from(mainstay_types::crc32c(&part)));
    let sum = mainstay_comm::mix::mixed([place, crc, 0]) << 32;
    let entry = u128::from(place) | u128::from(crc | sum) << 64;
    world.segment.area_in(area, 0, &entry.to_le_bytes(), 0);
    let result = b.allgather(&all(&b, 0), &text(2, 40));
    assert!(matches!(result, Err(CommError::Corrupt { peer: A, .. })), "{result:?}");
}

/// Every rank is in the world, in one of two halves and in one of two others; all are used in turn,
/// on boards and, by numbers beyond them, by messages.
#[test]
fn groups_do_not_mix() {
    for number in [1, 3, 100] {
        World::with_boards(4).run(|e| {
            let me = e.rank();
            let group = |number: u32, ranks: [u32; 2]| {
                Group::new(number, ranks.map(Rank).into_iter().collect(), me).unwrap()
            };
            let rows = if me.0 < 2 { [1, 0] } else { [2, 3] };
            let columns = [me.0 % 2, me.0 % 2 + 2];
            let (rows, columns) = (group(number, rows), group(number + 1, columns));
            for round in 0..200_u8 {
                let mine = [me.0 as u8, round];
                let row = e.allgather(&rows, &mine).unwrap();
                let expected = rows.ranks().iter().map(|rank| vec![rank.0 as u8, round]);
                assert_eq!(row, expected.collect::<Vec<_>>());
                let mut other = vec![9];
                let root = Rank(u32::from(round % 2));
                if columns.me() == root {
                    other = vec![columns.ranks()[root.index()].0 as u8];
                }
                e.broadcast(&columns, root, &mut other).unwrap();
                assert_eq!(other, [columns.at(root).0 as u8]);
                if round % 3 == 0 {
                    e.barrier(&all(e, 0)).unwrap();
                }
                let blocks = e.alltoall(&columns, &[&mine, &mine[..1]]).unwrap();
                let bytes = if columns.me() == A { 2 } else { 1 };
                assert!(blocks.iter().all(|block| block.len() == bytes));
            }
        });
    }
}

#[test]
fn a_rank_outside_has_no_group() {
    assert!(Group::new(1, [A].into_iter().collect(), B).is_none());
    let group = Group::new(1, [Rank(3), A].into_iter().collect(), A).unwrap();
    assert_eq!((group.me(), group.n(), group.at(A)), (B, 2, Rank(3)));
    assert_eq!((group.place(A), group.place(Rank(3)), group.place(B)), (Some(B), Some(A), None));
}
