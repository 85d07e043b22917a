//! What must not part ranks that are in one collective: some by messages, others over a board.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mainstay_comm::board::board;
use mainstay_comm::layout::Status;
use mainstay_host::endpoint::{CommError, Endpoint, Fold};
use mainstay_types::Rank;

use super::cuts::{V, late_of, resume};
use super::world::{World, all, both_ways, text};

const A: Rank = Rank(0);
const B: Rank = Rank(1);

fn xor(e: &mut Endpoint, block: &mut [u8], element_bytes: usize) -> Result<(), CommError> {
    let combine = &mut |low: &mut [u8], high: &[u8]| {
        low.iter_mut().zip(high).for_each(|(low, high)| *low ^= high);
    };
    e.allreduce(&all(e, 0), block, &mut Fold { element_bytes, combine })
}

/// Elements of which an area does not hold one for each rank.
#[test]
fn elements_of_any_size_are_folded() {
    for (n, element, count) in [(2, 140_000, 4), (4, 131_072, 4), (3, 300_000, 1), (2, 100_000, 5)]
    {
        let [boards, messages] = both_ways(n, |e| {
            let mut block = text(u64::from(e.rank().0), element * count);
            xor(e, &mut block, element).map(|()| block)
        });
        assert!(boards == messages, "n={n} element={element}");
    }
}

/// Every word of a line, not those with a sum of their own alone.
#[test]
fn every_flipped_bit_of_a_line_is_noticed() {
    for word in [0, 1, 2, 3] {
        for bit in 0..64 {
            let world = World::with_boards(2);
            let (mut a, mut b) = (world.joined(A, 1, None), world.joined(B, 1, None));
            a.set_patience(Some(Duration::ZERO));
            assert_eq!(xor(&mut a, &mut text(1, 40), 1), Err(CommError::Timeout));
            world.segment.board(A, board(0, false).unwrap()).0[word].fetch_xor(1 << bit, SeqCst);
            b.set_patience(Some(Duration::ZERO));
            let result = xor(&mut b, &mut text(2, 40), 1);
            let told = matches!(result, Err(CommError::Corrupt { peer: A, .. }));
            // A count of 0 is that of a rank that has not come; a higher one changes nothing.
            let harmless = word == 0 && (result.is_ok() || bit == 0);
            assert!(told || harmless, "word {word} bit {bit}: {result:?}");
        }
    }
}

/// It would go by messages alone, and take the broadcast for the sum.
#[test]
fn a_count_too_high_is_not_taken_for_a_restored_rank() {
    let world = World::with_boards(2);
    let line = || world.segment.board(A, board(0, false).unwrap());
    std::thread::scope(|scope| {
        let b = scope.spawn(|| {
            let mut b = world.joined(B, 1, None);
            // B comes first, and sees a count of A that A never stored.
            line().0[0].fetch_or(1 << 40, SeqCst);
            let mut block = [1_u8; 8];
            let sum = xor(&mut b, &mut block, 1);
            (sum, block)
        });
        while world.segment.board(B, board(0, false).unwrap()).0[0].load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        let mut a = world.joined(A, 1, None);
        let mut block = [2_u8; 8];
        let a_sum = xor(&mut a, &mut block, 1);
        let mut other = [9_u8; 8];
        let group = all(&a, 0);
        let a_cast = a.broadcast(&group, A, &mut other);
        let (b_sum, b_block) = b.join().unwrap();
        assert!(matches!(b_sum, Err(CommError::Corrupt { peer: A, .. })), "{b_sum:?} {b_block:?}");
        assert_eq!((a_sum, block, a_cast), (Ok(()), [3; 8], Ok(())));
    });
}

/// Such as that of an audit with a directory; a barrier crosses its cut.
#[test]
fn a_version_made_by_messages_is_resumed_over_boards() {
    let by_messages = World::new(2);
    by_messages.target(1);
    let saved: Vec<_> = std::thread::scope(|scope| {
        let world = &by_messages;
        let run = |rank: Rank| {
            scope.spawn(move || {
                let mut e = world.joined(rank, 1, None);
                let group = all(&e, 0);
                let early = (rank == A).then(|| e.cut(V).unwrap());
                e.barrier(&group).unwrap();
                let cut = early.unwrap_or_else(|| e.cut(V).unwrap());
                while world.segment.status(B, Status::CapVersion).load(SeqCst) == 0 {
                    std::thread::yield_now();
                }
                let late = late_of(&mut e);
                (cut, late)
            })
        };
        [run(A), run(B)].map(|rank| rank.join().unwrap()).into_iter().collect()
    });
    let world = World::with_boards(2);
    let both = std::thread::scope(|scope| {
        let (world, saved) = (&world, &saved);
        let run = |rank: Rank| {
            scope.spawn(move || {
                let mut e = world.joined(rank, 1, Some(resume(rank, saved)));
                e.set_patience(Some(Duration::from_secs(10)));
                let group = all(&e, 0);
                // A makes the barrier again, B has it behind it; both sum then.
                let again = if rank == A { e.barrier(&group) } else { Ok(()) };
                let mut block = [1 + rank.0 as u8; 8];
                (again, xor(&mut e, &mut block, 1), block[0])
            })
        };
        [run(A), run(B)].map(|rank| rank.join().unwrap())
    });
    assert_eq!(both, [(Ok(()), Ok(()), 3), (Ok(()), Ok(()), 3)]);
}
