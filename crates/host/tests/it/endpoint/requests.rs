//! Nonblocking requests: they move while others wait, complete in any order, and are spent once.

use mainstay_host::endpoint::{CommError, From, Room};
use mainstay_types::{Rank, Version};

use super::world::{World, ranks, text};

const A: Rank = Rank(0);
const B: Rank = Rank(1);

#[test]
fn a_posted_receive_takes_what_comes_and_an_unexpected_message_what_is_here() {
    ranks(2, |e| {
        let peer = Rank(1 - e.rank().0);
        let early = e.irecv(peer, 0, 1).unwrap();
        let big = e.isend(peer, 0, 1, &text(1, 300_000)).unwrap();
        let small = e.isend(peer, 0, 2, &text(2, 10)).unwrap();
        assert!(e.outstanding() >= 3);
        assert_eq!(e.wait(early), Ok(text(1, 300_000)));
        e.wait(big).unwrap();
        e.wait(small).unwrap();
        let late = e.irecv(peer, 0, 2).unwrap();
        assert_eq!(e.wait(late), Ok(text(2, 10)));
        assert_eq!(e.outstanding(), 0);
    });
}

#[test]
fn receives_of_one_label_complete_in_the_order_they_were_posted() {
    ranks(2, |e| {
        if e.rank() == A {
            for i in 0..10 {
                e.send(B, 0, 0, &text(i, 50_000)).unwrap();
            }
        } else {
            let requests: Vec<_> = (0..9).map(|_| e.irecv(A, 0, 0).unwrap()).collect();
            // A blocking receive comes after all that are posted.
            assert_eq!(e.recv_vec(A, 0, 0), Ok(text(9, 50_000)));
            for (i, request) in requests.into_iter().enumerate().rev() {
                assert_eq!(e.test(request), Ok(true));
                assert_eq!(e.wait(request), Ok(text(i as u64, 50_000)));
            }
        }
    });
}

#[test]
fn a_blocking_send_waits_behind_queued_ones() {
    let world = World::new(2);
    let mut a = world.joined(A, 1, None);
    let first = a.isend(B, 0, 0, &text(1, 200_000)).unwrap();
    assert_eq!(a.test(first), Ok(false));
    let second = a.isend(B, 0, 0, &text(2, 10)).unwrap();
    let mut b = world.joined(B, 1, None);
    while a.test(second) == Ok(false) {
        b.progress().unwrap();
    }
    assert_eq!(a.wait(first), Ok(vec![]));
    assert_eq!(a.wait(second), Ok(vec![]));
    assert_eq!(b.recv_vec(A, 0, 0), Ok(text(1, 200_000)));
    assert_eq!(b.recv_vec(A, 0, 0), Ok(text(2, 10)));
}

#[test]
fn a_request_is_spent_by_its_wait_and_gone_with_its_epoch() {
    let world = World::new(1);
    let mut e = world.joined(A, 1, None);
    let sent = e.isend(A, 0, 0, b"x").unwrap();
    e.wait(sent).unwrap();
    assert_eq!(e.wait(sent), Err(CommError::Spent));
    let posted = e.irecv(A, 0, 9).unwrap();
    assert_eq!(e.test(posted), Ok(false));
    assert_eq!(e.cut(Version(1)), Err(CommError::Outstanding { count: 1 }));
    world.raise(2);
    assert_eq!(e.wait(posted), Err(CommError::Interrupted));
    world.segment.reset_channels();
    let mut e2 = e;
    e2.begin_epoch(mainstay_types::Epoch(2), &[mainstay_types::Incarnation(0)], None).unwrap();
    assert_eq!(e2.outstanding(), 0);
    assert_eq!(e2.wait(posted), Err(CommError::Interrupted));
}

#[test]
fn what_is_lent_is_sent_from_and_received_into_where_it_is() {
    let world = World::new(2);
    let [mut a, mut b] = [A, B].map(|rank| world.joined(rank, 1, None));
    let (big, small) = (text(1, 300_000), text(2, 10));
    let places = [big.as_ptr(), small.as_ptr()];
    let back = |room: Box<dyn Room>| {
        let room: Box<dyn std::any::Any> = room;
        *room.downcast::<Vec<u8>>().unwrap()
    };
    let sent = [big, small].map(|data| a.isend_room(B, 0, 0, Box::new(data)).unwrap());
    // What is sent next waits behind what is lent.
    a.set_patience(Some(std::time::Duration::from_millis(1)));
    assert_eq!(a.send(B, 0, 0, b"late"), Err(CommError::Timeout));
    let room = Vec::with_capacity(300_000);
    let place = room.as_ptr();
    let from = From { source: Some(A), tag: None };
    let posted = b.irecv_room(from, 0, Box::new(room)).unwrap();
    while a.test(sent[1]) == Ok(false) {
        b.progress().unwrap();
    }
    for ((request, place), length) in sent.into_iter().zip(places).zip([300_000, 10]) {
        let data = back(a.complete(request).unwrap().1);
        assert_eq!((data.as_ptr(), data.len()), (place, length));
    }
    let (arrived, room) = b.complete(posted).unwrap();
    let data = back(room);
    assert_eq!((data.as_ptr(), arrived.unwrap().bytes), (place, 300_000));
    assert_eq!(data, text(1, 300_000));
    assert_eq!(b.recv_vec(A, 0, 0), Ok(text(2, 10)));
    // Also when it has come before.
    a.send(B, 0, 0, b"kept").unwrap();
    b.progress().unwrap();
    let posted = b.irecv_room(from, 0, Box::new(vec![9_u8; 100])).unwrap();
    assert_eq!(back(b.complete(posted).unwrap().1), b"kept");
    assert_eq!((a.outstanding(), b.outstanding()), (0, 0));
}
