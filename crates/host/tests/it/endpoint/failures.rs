//! What goes wrong: corruption, stale frames, an epoch that ends, a launcher that is gone.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

use mainstay_comm::layout::{Counter, Status};
use mainstay_host::endpoint::{CommError, Endpoint, EndpointConfig, Fold};
use mainstay_host::shm::Segment;
use mainstay_types::limits::FRAME_HEADER_BYTES;
use mainstay_types::{Epoch, Incarnation, Point, Rank, Version, WaitKind};

use super::world::{World, all, text};

const A: Rank = Rank(0);
const B: Rank = Rank(1);

/// Flips a bit of the ring A → B, as a fault in memory would.
fn flip(world: &World, byte: u64, bit: u32) {
    let mut one = [0];
    let ring = world.segment.layout().ring(A, B);
    world.segment.ring_out(ring, byte, &mut one);
    world.segment.ring_in(ring, byte, &[one[0] ^ (1 << bit)]);
}

#[test]
fn every_flipped_bit_of_a_frame_is_noticed() {
    let message = text(1, 40);
    for bit in 0..(FRAME_HEADER_BYTES + message.len()) * 8 {
        let world = World::new(2);
        let mut a = world.joined(A, 1, None);
        let mut b = world.joined(B, 1, None);
        a.send(B, 0, 0, &message).unwrap();
        flip(&world, bit as u64 / 8, bit as u32 % 8);
        let failed = b.recv_vec(A, 0, 0);
        let corrupt = matches!(failed, Err(CommError::Corrupt { peer: A, .. }));
        assert!(corrupt, "bit {bit}: {failed:?}");
        assert_eq!(world.segment.counter(B, Counter::Corrupt).load(SeqCst), 1);
        // It stays corrupt: nothing behind it is believed.
        assert!(b.recv_vec(A, 0, 0).is_err());
    }
}

#[test]
fn an_epoch_that_is_over_comes_before_any_corruption() {
    let world = World::new(2);
    let mut a = world.joined(A, 1, None);
    let mut b = world.joined(B, 1, None);
    a.send(B, 0, 0, &text(1, 40)).unwrap();
    flip(&world, 70, 0);
    world.raise(2);
    assert_eq!(b.recv_vec(A, 0, 0), Err(CommError::Interrupted));
    assert_eq!(world.segment.counter(B, Counter::Corrupt).load(SeqCst), 0);
}

#[test]
fn positions_that_contradict_the_ring_are_corruption() {
    let world = World::new(2);
    let mut b = world.joined(B, 1, None);
    world.segment.head(A, B).store(u64::MAX, SeqCst);
    assert!(matches!(b.recv_vec(A, 0, 0), Err(CommError::Corrupt { .. })));
    let world = World::new(2);
    let mut a = world.joined(A, 1, None);
    world.segment.tail(B, A).store(1 << 40, SeqCst);
    let failed = a.send(B, 0, 0, &text(1, 100_000));
    assert!(matches!(failed, Err(CommError::Corrupt { peer: B, .. })));
}

#[test]
fn frames_of_an_older_incarnation_are_dropped_and_counted() {
    let world = World::new(2);
    let mut a = world.joined(A, 1, None);
    a.send(B, 0, 0, b"of the dead").unwrap();
    let mut b = world.endpoint(B);
    let incarnations = [Incarnation(1), Incarnation(0)];
    b.begin_epoch(Epoch(1), &incarnations, None).unwrap();
    b.progress().unwrap();
    assert_eq!(world.segment.counter(B, Counter::Stale).load(SeqCst), 1);
    assert!(world.segment.rings_at_rest());
}

#[test]
fn a_raised_epoch_ends_every_wait_at_once_and_stays() {
    for wait in 0..4 {
        let world = World::new(2);
        let waits = |e: &mut Endpoint| match wait {
            0 => e.recv_vec(A, 0, 0).map(drop),
            1 => e.send(A, 0, 0, &text(1, 1 << 20)),
            2 => e.barrier(&all(e, 0)),
            _ => e.irecv(A, 0, 0).and_then(|request| e.wait(request)).map(drop),
        };
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let mut b = world.joined(B, 1, None);
                assert_eq!(waits(&mut b), Err(CommError::Interrupted));
                assert_eq!(waits(&mut b), Err(CommError::Interrupted));
                assert_eq!(b.cut(Version(1)), Err(CommError::Interrupted));
                assert_eq!(b.late_ready(), None);
            });
            let kind = world.segment.status(B, Status::WaitKind);
            while kind.load(SeqCst) == 0 {
                std::hint::spin_loop();
            }
            let expected =
                [WaitKind::Receive, WaitKind::Send, WaitKind::Collective, WaitKind::Receive];
            assert_eq!(kind.load(SeqCst), expected[wait].code());
            assert_eq!(world.segment.status(B, Status::WaitPeer).load(SeqCst), 1);
            assert_eq!(world.segment.status(B, Status::InCall).load(SeqCst), 1);
            world.raise(2);
            thread.join().unwrap();
        });
        assert_eq!(world.segment.status(B, Status::WaitKind).load(SeqCst), 0);
        assert_eq!(world.segment.status(B, Status::InCall).load(SeqCst), 0);
        assert_eq!(world.segment.waiting(B).load(SeqCst), 0);
    }
}

#[test]
fn nothing_works_before_an_epoch_begins() {
    let world = World::new(1);
    let mut e = world.endpoint(A);
    assert_eq!(e.send(A, 0, 0, &[]), Err(CommError::Interrupted));
    assert!(e.begin_epoch(Epoch(1), &[], None).is_err());
    assert_eq!(e.barrier(&all(&e, 0)), Err(CommError::Interrupted));
}

#[test]
fn a_rank_whose_launcher_is_gone_does_not_wait_for_ever() {
    let world = World::new(2);
    let fd = world.segment.fd().unwrap().try_clone_to_owned().unwrap();
    let layout = *world.segment.layout();
    let mut e = Endpoint::new(EndpointConfig {
        segment: Rc::new(Segment::join(&fd, layout, B).unwrap()),
        rank: B,
        may_spin: true,
        audit: false,
        point: Box::new(|_| {}),
        launcher_gone: Box::new(|| true),
    });
    e.begin_epoch(Epoch(1), &[Incarnation(0); 2], None).unwrap();
    assert_eq!(e.recv_vec(A, 0, 0), Err(CommError::LauncherGone));
}

#[test]
fn points_are_passed_in_the_order_of_their_moments() {
    let world = World::new(1);
    let fd = world.segment.fd().unwrap().try_clone_to_owned().unwrap();
    let layout = *world.segment.layout();
    let passed = Rc::new(Cell::new(Vec::new()));
    let list = Rc::clone(&passed);
    let mut e = Endpoint::new(EndpointConfig {
        segment: Rc::new(Segment::join(&fd, layout, A).unwrap()),
        rank: A,
        may_spin: true,
        audit: false,
        point: Box::new(move |point| {
            let mut points = list.take();
            points.push(point);
            list.set(points);
        }),
        launcher_gone: Box::new(|| false),
    });
    e.begin_epoch(Epoch(1), &[Incarnation(0)], None).unwrap();
    e.send(A, 0, 0, &text(1, 20_000)).unwrap();
    let two_chunks = [Point::Send, Point::RingPublish, Point::MidChunk, Point::RingPublish];
    assert_eq!(passed.take(), two_chunks);
    let fold = &mut Fold { element_bytes: 8, combine: &mut |_, _| {} };
    e.allreduce(&all(&e, 0), &mut [0; 8], fold).unwrap();
    let points = passed.take();
    assert_eq!(points[0], Point::CollectiveEnter);
    assert!(points.contains(&Point::CollectiveMid));
}
