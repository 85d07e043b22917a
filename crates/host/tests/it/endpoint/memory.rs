//! Memory for unexpected messages: what is kept, what waits in its ring, and who is not held up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_comm::credits::MESSAGE_COST_BYTES;
use mainstay_comm::layout::Counter;
use mainstay_host::endpoint::{CommError, Endpoint, From};
use mainstay_types::Rank;
use mainstay_types::limits::RING_BYTES_MIN;

use super::world::{World, text};

const A: Rank = Rank(0);
const B: Rank = Rank(1);
const C: Rank = Rank(2);

/// Memory for so many messages of `payload` bytes.
fn messages(count: u64, payload: u64) -> u64 {
    count * (payload + MESSAGE_COST_BYTES)
}

fn counted(world: &World, rank: Rank, counter: Counter) -> u64 {
    world.segment.counter(rank, counter).load(Ordering::SeqCst)
}

/// Takes in all that has a place.
fn settle(endpoint: &mut Endpoint) {
    while endpoint.progress().unwrap() {}
}

#[test]
fn a_message_without_memory_waits_in_its_ring_and_comes_in_order() {
    let world = World::new(2);
    let (mut a, mut b) = (world.joined(A, 1, None), world.joined(B, 1, None));
    // The share of each is one message, the pool two.
    b.set_unexpected_bytes_max(messages(4, 300));
    for i in 0..10 {
        a.send(B, 0, i, &text(i.into(), 300)).unwrap();
    }
    settle(&mut b);
    assert_eq!(counted(&world, B, Counter::Delivered), 3);
    assert_eq!((world.segment.held(B), counted(&world, B, Counter::Held)), (1, 1));
    assert!(world.segment.rings_at_rest(), "what is held moves only when its reader receives");
    // A receive of what lies behind makes room only by those before it.
    for i in 0..10 {
        assert_eq!(b.recv_vec(A, 0, i), Ok(text(i.into(), 300)));
    }
    settle(&mut b);
    assert_eq!(world.segment.held(B), 0);
    assert!(world.segment.rings_at_rest());
}

#[test]
fn a_flood_from_one_source_does_not_stop_anothers_messages() {
    let world = World::new(3);
    let (mut a, mut b) = (world.joined(A, 1, None), world.joined(B, 1, None));
    let mut c = world.joined(C, 1, None);
    c.set_unexpected_bytes_max(messages(60, 100));
    for i in 0..100 {
        a.send(C, 0, 0, &text(i, 100)).unwrap();
    }
    settle(&mut c);
    // Its share of ten, and the pool of thirty.
    assert_eq!(counted(&world, C, Counter::Delivered), 40);
    for i in 0..10 {
        b.send(C, 0, 1, &text(i, 100)).unwrap();
        settle(&mut c);
        assert_eq!(counted(&world, C, Counter::Delivered), 41 + i, "within its share");
    }
    b.send(C, 0, 1, &text(10, 100)).unwrap();
    settle(&mut c);
    assert_eq!(world.segment.held(C), 2);
    // What the quiet one sent is received while the noisy one's still wait.
    for i in 0..11 {
        assert_eq!(c.recv_vec(B, 0, 1), Ok(text(i, 100)));
    }
    for i in 0..100 {
        assert_eq!(c.recv_vec(A, 0, 0), Ok(text(i, 100)));
    }
}

#[test]
fn empty_messages_are_bounded_as_well() {
    let world = World::new(2);
    let (mut a, mut b) = (world.joined(A, 1, None), world.joined(B, 1, None));
    b.set_unexpected_bytes_max(messages(400, 0));
    a.set_patience(Some(Duration::from_millis(1)));
    let mut sent = 0_u64;
    // Until the ring is full and nothing is taken out of it any more.
    loop {
        settle(&mut b);
        match a.send(B, 0, 0, &[]) {
            Ok(()) => sent += 1,
            Err(error) => break assert_eq!(error, CommError::Timeout),
        }
    }
    assert_eq!(counted(&world, B, Counter::Delivered), 300, "a share and the pool");
    assert!(sent > 300, "the ring holds some more");
    for _ in 0..sent {
        assert_eq!(b.recv_vec(A, 0, 0), Ok(vec![]));
    }
    settle(&mut b);
    assert!(world.segment.rings_at_rest());
}

#[test]
fn what_is_asked_for_needs_no_memory() {
    let world = World::new(2);
    let (mut a, mut b) = (world.joined(A, 1, None), world.joined(B, 1, None));
    b.set_unexpected_bytes_max(0);
    let big = text(1, RING_BYTES_MIN / 2);
    let from = From { source: Some(A), tag: Some(3) };
    a.send(B, 0, 3, &big).unwrap();
    assert_eq!(b.probe(from, 0).unwrap().bytes, big.len());
    assert_eq!(b.recv_vec(A, 0, 3), Ok(big.clone()));
    a.send(B, 0, 3, &big).unwrap();
    assert_eq!(b.iprobe(from, 0).unwrap().map(|found| found.bytes), Some(big.len()));
    // What is probed for is paid for, so the next is held.
    a.send(B, 0, 4, &[]).unwrap();
    settle(&mut b);
    assert_eq!(world.segment.held(B), 1);
    assert_eq!(b.recv_vec(A, 0, 3), Ok(big.clone()));
    assert_eq!(b.recv_vec(A, 0, 4), Ok(vec![]));
    let posted = b.irecv(A, 0, 5).unwrap();
    a.send(B, 0, 5, &big).unwrap();
    settle(&mut b);
    assert_eq!(world.segment.held(B), 0);
    assert_eq!(b.wait(posted), Ok(big));
}

#[test]
fn a_blocked_sender_goes_on_when_its_messages_are_received() {
    let world = World::new(2);
    let total = 40 * RING_BYTES_MIN as u64 / 1024;
    world.run(|e| {
        e.set_unexpected_bytes_max(messages(16, 1024));
        if e.rank() == A {
            // Far more than memory and ring hold together: it waits in between.
            for i in 0..total {
                e.send(B, 0, 0, &text(i, 1024)).unwrap();
            }
            return e.recv_vec(B, 0, 1).unwrap();
        }
        for i in 0..total {
            assert_eq!(e.recv_vec(A, 0, 0), Ok(text(i, 1024)));
        }
        e.send(A, 0, 1, b"all").unwrap();
        b"all".to_vec()
    });
    assert!(world.segment.rings_at_rest());
}

#[test]
fn large_messages_cross_both_ways_without_memory_if_their_receives_are_posted() {
    let world = World::new(2);
    world.run(|e| {
        e.set_unexpected_bytes_max(0);
        let other = Rank(1 - e.rank().0);
        let (mine, theirs) = (u64::from(e.rank().0), u64::from(other.0));
        let bytes = 20 * RING_BYTES_MIN;
        for _ in 0..3 {
            let posted = e.irecv(other, 0, 0).unwrap();
            e.send(other, 0, 0, &text(mine, bytes)).unwrap();
            assert_eq!(e.wait(posted), Ok(text(theirs, bytes)));
            let mut room = vec![0; bytes];
            let send = text(mine + 2, bytes);
            e.send_recv((other, &send), (other, &mut room), 0, 1).unwrap();
            assert_eq!(room, text(theirs + 2, bytes));
        }
    });
}

#[test]
fn large_messages_cross_both_ways_where_memory_holds_them() {
    let bytes = 20 * RING_BYTES_MIN;
    let world = World::new(2);
    world.run(|e| {
        e.set_unexpected_bytes_max(messages(2, bytes as u64));
        let other = Rank(1 - e.rank().0);
        e.send(other, 0, 0, &text(u64::from(e.rank().0), bytes)).unwrap();
        assert_eq!(e.recv_vec(other, 0, 0), Ok(text(u64::from(other.0), bytes)));
    });
}
