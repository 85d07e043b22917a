//! Blocking messages: every size, every order.

use std::time::Duration;

use mainstay_host::endpoint::CommError;
use mainstay_types::Rank;
use mainstay_types::limits::{CHUNK_BYTES, RING_BYTES_MIN};

use super::world::{World, all, ranks, text};

const A: Rank = Rank(0);
const B: Rank = Rank(1);

/// Sizes around every border: lines, chunks, the ring, and up to a mebibyte.
fn sizes() -> Vec<usize> {
    let mut sizes: Vec<usize> = (0..200).collect();
    for border in [4096, CHUNK_BYTES / 2, CHUNK_BYTES, RING_BYTES_MIN, 1 << 20] {
        sizes.extend([border - 65, border - 1, border, border + 1, border + 65]);
    }
    sizes
}

#[test]
fn every_size_arrives_over_the_end_of_the_ring() {
    ranks(2, |e| {
        for (i, bytes) in sizes().into_iter().enumerate() {
            let message = text(i as u64, bytes);
            if e.rank() == A {
                e.send(B, 0, 7, &message).unwrap();
            } else if i % 2 == 0 {
                let mut buffer = vec![0xAA; bytes + 3];
                assert_eq!(e.recv_into(A, 0, 7, &mut buffer), Ok(bytes));
                assert_eq!(buffer[..bytes], message);
                assert_eq!(buffer[bytes..], [0xAA; 3], "no byte beyond the message");
            } else {
                assert_eq!(e.recv_vec(A, 0, 7), Ok(message));
            }
        }
    });
}

#[test]
fn a_rank_sends_to_itself_even_more_than_its_ring_holds() {
    ranks(1, |e| {
        for (i, bytes) in [0, 5, 300_000, 1_000_000].into_iter().enumerate() {
            let message = text(i as u64, bytes);
            e.send(A, 3, 1, &message).unwrap();
            assert_eq!(e.recv_vec(A, 3, 1), Ok(message));
        }
    });
}

#[test]
fn two_large_sends_that_cross_both_end() {
    ranks(2, |e| {
        let peer = Rank(1 - e.rank().0);
        for round in 0..4 {
            let mine = text(round * 2 + u64::from(e.rank().0), 700_000);
            e.send(peer, 0, 0, &mine).unwrap();
            let theirs = text(round * 2 + u64::from(peer.0), 700_000);
            assert_eq!(e.recv_vec(peer, 0, 0), Ok(theirs));
        }
    });
}

#[test]
fn a_ring_of_large_sends_ends() {
    const N: u32 = 5;
    ranks(N, |e| {
        let me = e.rank().0;
        let (right, left) = (Rank((me + 1) % N), Rank((me + N - 1) % N));
        e.send(right, 0, 0, &text(me.into(), 500_000)).unwrap();
        assert_eq!(e.recv_vec(left, 0, 0), Ok(text(left.0.into(), 500_000)));
        let mut buffer = vec![0; 500_000];
        let mine = text(me.into(), 400_000);
        let got = e.send_recv((right, &mine), (left, &mut buffer), 0, 1);
        assert_eq!(got, Ok(400_000));
        assert_eq!(buffer[..400_000], text(left.0.into(), 400_000));
    });
}

#[test]
fn messages_of_one_label_do_not_overtake_and_labels_do_not_mix() {
    ranks(2, |e| {
        if e.rank() == A {
            for i in 0..300_u32 {
                let (context, tag) = (i % 2, i % 3);
                e.send(B, context, tag, &i.to_le_bytes()).unwrap();
            }
        } else {
            for context in [1, 0] {
                for tag in [2, 0, 1] {
                    let mine = |i: &u32| i % 2 == context && i % 3 == tag;
                    for i in (0..300).filter(mine) {
                        let got = e.recv_vec(A, context, tag).unwrap();
                        assert_eq!(got, i.to_le_bytes());
                    }
                }
            }
        }
    });
}

#[test]
fn many_more_ranks_than_processors_exchange_all_to_all() {
    const N: u32 = 9;
    ranks(N, |e| {
        for round in 0..20_u64 {
            for peer in Rank::all(N) {
                let bytes = (peer.0 as usize * 7919) % 3000;
                e.send(peer, 0, 5, &text(round, bytes)).unwrap();
            }
            for peer in Rank::all(N).rev() {
                let bytes = (e.rank().0 as usize * 7919) % 3000;
                assert_eq!(e.recv_vec(peer, 0, 5), Ok(text(round, bytes)));
            }
        }
    });
}

#[test]
fn a_message_too_long_stays_for_a_call_with_room() {
    ranks(2, |e| {
        if e.rank() == A {
            e.send(B, 0, 1, &text(1, 100)).unwrap();
            e.send(B, 0, 2, &[]).unwrap();
            e.send(B, 0, 1, &text(2, 100_000)).unwrap();
        } else {
            let mut small = [0; 10];
            let long = |needed| Err(CommError::Truncated { from: A, tag: 1, needed, room: 10 });
            // Once from the ring, once from the unexpected messages.
            assert_eq!(e.recv_into(A, 0, 1, &mut small), long(100));
            assert_eq!(e.recv_vec(A, 0, 2), Ok(vec![]));
            assert_eq!(e.recv_into(A, 0, 1, &mut small), long(100));
            assert_eq!(e.recv_vec(A, 0, 1), Ok(text(1, 100)));
            assert_eq!(e.recv_into(A, 0, 1, &mut small), long(100_000));
            assert_eq!(e.recv_vec(A, 0, 1), Ok(text(2, 100_000)));
        }
    });
}

#[test]
fn a_receive_out_of_patience_takes_nothing() {
    let world = World::new(2);
    let mut b = world.joined(B, 1, None);
    b.set_patience(Some(Duration::from_millis(1)));
    assert_eq!(b.recv_vec(A, 0, 0), Err(CommError::Timeout));
    let mut a = world.joined(A, 1, None);
    a.set_patience(Some(Duration::from_millis(1)));
    // The first half of a message is here when the receive gives up.
    let message = text(9, RING_BYTES_MIN * 2);
    assert_eq!(a.send(B, 0, 0, &message), Err(CommError::Timeout));
    let mut buffer = vec![0; message.len()];
    assert_eq!(b.recv_into(A, 0, 0, &mut buffer), Err(CommError::Timeout));
    // The rest was queued and goes out while the sender waits for something else.
    while a.outstanding() > 0 {
        a.progress().unwrap();
        b.progress().unwrap();
    }
    assert_eq!(b.recv_vec(A, 0, 0), Ok(message));
}

#[test]
fn a_send_out_of_patience_before_it_began_never_happens() {
    let world = World::new(2);
    let mut a = world.joined(A, 1, None);
    a.set_patience(Some(Duration::from_millis(1)));
    let big = text(1, RING_BYTES_MIN * 2);
    assert_eq!(a.send(B, 0, 0, &big), Err(CommError::Timeout));
    assert_eq!(a.send(B, 0, 1, b"withdrawn"), Err(CommError::Timeout));
    let mut b = world.joined(B, 1, None);
    b.set_patience(Some(Duration::from_millis(1)));
    while a.outstanding() > 0 {
        a.progress().unwrap();
        b.progress().unwrap();
    }
    a.send(B, 0, 2, b"next").unwrap();
    assert_eq!(b.recv_vec(A, 0, 2), Ok(b"next".to_vec()));
    assert_eq!(b.recv_vec(A, 0, 0), Ok(big));
    assert_eq!(b.recv_vec(A, 0, 1), Err(CommError::Timeout));
}

#[test]
fn both_ends_hash_the_same_messages_whatever_the_order_of_arrival() {
    let hashes = |swap: bool| {
        ranks(3, move |e| {
            match e.rank() {
                Rank(2) => {
                    let order = if swap { [B, A] } else { [A, B] };
                    for from in order {
                        e.recv_vec(from, 0, 0).unwrap();
                    }
                }
                _ => e.send(Rank(2), 0, 0, &text(1, 40_000)).unwrap(),
            }
            e.take_hash()
        })
    };
    let (one, other) = (hashes(false), hashes(true));
    assert_eq!(one, other);
    assert!(one.iter().all(|hash| *hash != 0));
}

#[test]
fn ranks_that_do_not_exist_are_refused() {
    ranks(1, |e| {
        let none = Err(CommError::NoSuchRank { rank: B, n: 1 });
        assert_eq!(e.send(B, 0, 0, &[]), none);
        assert_eq!(e.broadcast(&all(e, 0), B, &mut []), none);
    });
}
