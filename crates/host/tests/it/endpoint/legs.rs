//! Nonblocking collectives as messages: their order, the cut, and what a restore makes of them.

use mainstay_host::endpoint::{CommError, Endpoint, Leg, Purpose, RequestId};
use mainstay_types::Rank;

use super::cuts::{V, late_of, pair, restored};
use super::world::{World, all, ranks, text};

/// Starts to exchange blocks with the other of two ranks: the receive, then the send.
fn exchange(e: &mut Endpoint, purpose: Purpose, block: &[u8]) -> [RequestId; 2] {
    let (group, peer) = (all(e, 0), Rank(1 - e.rank().0));
    let receive = Leg::Receive(peer, purpose, Box::new(Vec::new()));
    let legs = [receive, Leg::Send(peer, purpose, block)];
    e.start(&group, legs).unwrap().try_into().unwrap()
}

fn finish(e: &mut Endpoint, [receive, send]: [RequestId; 2]) -> Vec<u8> {
    let block = e.wait(receive).unwrap();
    e.wait(send).unwrap();
    block
}

#[test]
fn collectives_of_one_kind_belong_together_in_whatever_order_they_are_waited_for() {
    ranks(2, |e| {
        let me = u64::from(e.rank().0);
        // Some of them longer than a ring, so that they are under way for long.
        let block = |rank: u64, k: u64| text(rank * 100 + k, 1 + (k as usize % 3) * 150_000);
        let started: Vec<_> = (0..9).map(|k| exchange(e, Purpose::Gather, &block(me, k))).collect();
        let other = exchange(e, Purpose::Exchange, b"of another kind");
        e.barrier(&all(e, 0)).unwrap();
        let order = |turn: u64| if me == 0 { turn } else { 8 - turn };
        for k in (0..9).map(order) {
            assert!(finish(e, started[k as usize]) == block(1 - me, k), "{k}");
        }
        assert_eq!(finish(e, other), b"of another kind");
        assert_eq!(e.outstanding(), 0);
    });
}

#[test]
fn one_under_way_is_outstanding_at_a_cut_and_a_place_must_exist() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    let started =
        [exchange(&mut a, Purpose::Reduce, b"a"), exchange(&mut b, Purpose::Reduce, b"b")];
    assert_eq!(a.cut(V), Err(CommError::Outstanding { count: 2 }));
    assert_eq!(finish(&mut a, started[0]), b"b");
    assert_eq!(finish(&mut b, started[1]), b"a");
    let nowhere = [Leg::Send(Rank(2), Purpose::Reduce, b"")];
    let group = all(&a, 0);
    assert_eq!(a.start(&group, nowhere), Err(CommError::NoSuchRank { rank: Rank(2), n: 2 }));
    assert!(a.cut(V).is_ok());
}

/// Rank 0 is in two collectives before its capture, rank 1 in the same ones behind its own.
#[test]
fn those_that_cross_a_cut_are_paired_alike_after_a_restore() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    let b_cut = b.cut(V).unwrap();
    let before = [b"a1", b"a2"].map(|block| exchange(&mut a, Purpose::Gather, block));
    let behind = [b"b1", b"b2"].map(|block| exchange(&mut b, Purpose::Gather, block));
    assert_eq!(finish(&mut b, behind[1]), b"a2");
    assert_eq!(finish(&mut b, behind[0]), b"a1");
    assert_eq!(before.map(|started| finish(&mut a, started)), [b"b1", b"b2"]);
    let a_cut = a.cut(V).unwrap();
    assert_eq!(a_cut.early.len(), 2);
    let saved = [(a_cut, late_of(&mut a)), (b_cut, late_of(&mut b))];
    assert_eq!(saved[1].1.messages.len(), 2);

    let mut again = restored(&world, &saved);
    // Rank 1 repeats its part, waits in the other order, and what it sends is known already.
    let behind = [b"b1", b"b2"].map(|block| exchange(&mut again[1], Purpose::Gather, block));
    assert!(world.segment.rings_at_rest());
    assert_eq!(behind.map(|started| finish(&mut again[1], started)), [b"a1", b"a2"]);
    let next = [0, 1].map(|rank| exchange(&mut again[rank], Purpose::Gather, &[rank as u8]));
    assert_eq!(finish(&mut again[0], next[0]), [1]);
    assert_eq!(finish(&mut again[1], next[1]), [0]);
}
