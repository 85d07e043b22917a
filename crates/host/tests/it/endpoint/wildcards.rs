//! Receives from any source, probes, tests and cancelling; and that a restored rank chooses again
//! what it had chosen.

use mainstay_host::endpoint::{Arrived, CommError, Endpoint, From};
use mainstay_types::{Determinants, Rank, Version};

use super::cuts::{V, late_of, pair, restored};
use super::world::{World, ranks, text};

const A: Rank = Rank(0);
const B: Rank = Rank(1);
const ANY: From = From { source: None, tag: None };

fn tagged(tag: u32) -> From {
    From { source: None, tag: Some(tag) }
}

fn received(e: &mut Endpoint, from: From) -> (Arrived, Vec<u8>) {
    let mut bytes = Vec::new();
    let arrived = e.recv_room_from(from, 0, &mut bytes).unwrap();
    (arrived, bytes)
}

#[test]
fn what_came_first_is_received_first_whoever_sent_it() {
    let world = World::new(3);
    let [mut a, mut b, mut c] = [0, 1, 2].map(|rank| world.joined(Rank(rank), 1, None));
    c.send(A, 0, 7, b"from c").unwrap();
    assert_eq!(a.probe(ANY, 0), Ok(Arrived { source: Rank(2), tag: 7, bytes: 6 }));
    b.send(A, 0, 5, b"from b").unwrap();
    a.progress().unwrap();
    assert_eq!(a.iprobe(tagged(9), 0), Ok(None));
    assert_eq!(a.iprobe(tagged(5), 0), Ok(Some(Arrived { source: B, tag: 5, bytes: 6 })));
    let mut buffer = [0; 6];
    let first = a.recv_from(ANY, 0, &mut buffer).unwrap();
    assert_eq!((first.source, first.tag, &buffer), (Rank(2), 7, b"from c"));
    let (second, bytes) = received(&mut a, ANY);
    assert_eq!((second.source, bytes.as_slice()), (B, b"from b".as_slice()));
    assert_eq!(a.iprobe(ANY, 0), Ok(None));
    // Another communicator is another world.
    b.send(A, 4, 5, b"elsewhere").unwrap();
    a.progress().unwrap();
    assert_eq!((a.iprobe(ANY, 0), a.probe(ANY, 4).unwrap().bytes), (Ok(None), 9));
    let nobody = From { source: Some(Rank(3)), tag: None };
    assert_eq!(a.probe(nobody, 0), Err(CommError::NoSuchRank { rank: Rank(3), n: 3 }));
}

#[test]
fn every_message_of_a_farm_is_received_once_and_in_the_order_of_its_source() {
    const EACH: usize = 200;
    let got = ranks(4, |e| {
        if e.rank() != A {
            for i in 0..EACH {
                let bytes = text(i as u64, (i * 977) % 40_000);
                e.send(A, 0, i as u32 % 3, &bytes).unwrap();
            }
            return true;
        }
        let mut seen = [0; 4];
        for turn in 0..3 * EACH {
            // By a blocking call, by one that was started before, and after a look.
            let (arrived, bytes) = match turn % 3 {
                0 => received(e, ANY),
                1 => {
                    let request = e.irecv_room(ANY, 0, Box::<Vec<u8>>::default()).unwrap();
                    let (arrived, bytes) = e.complete(request).unwrap();
                    (arrived.unwrap(), bytes.bytes().to_vec())
                }
                _ => {
                    let seen = e.probe(ANY, 0).unwrap();
                    let exactly = From { source: Some(seen.source), tag: Some(seen.tag) };
                    let (arrived, bytes) = received(e, exactly);
                    assert_eq!(arrived, seen);
                    (arrived, bytes)
                }
            };
            let i = seen[arrived.source.index()];
            assert_eq!(arrived.tag, i as u32 % 3, "no overtaking");
            assert_eq!(bytes, text(i as u64, (i * 977) % 40_000));
            seen[arrived.source.index()] += 1;
        }
        seen[1..].iter().all(|count| *count == EACH)
    });
    assert_eq!(got, [true; 4]);
}

#[test]
fn one_of_many_requests_is_waited_for() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    let slow = a.irecv(B, 0, 1).unwrap();
    let fast = a.irecv(B, 0, 2).unwrap();
    assert_eq!(a.test(slow), Ok(false));
    b.send(A, 0, 2, b"fast").unwrap();
    assert_eq!(a.wait_any(&[slow, fast]), Ok(1));
    assert_eq!(a.wait(fast), Ok(b"fast".to_vec()));
    assert_eq!(a.wait_any(&[fast]), Err(CommError::Spent));
    assert_eq!(a.wait_any(&[]), Err(CommError::Spent));
    b.send(A, 0, 1, b"slow").unwrap();
    a.progress().unwrap();
    assert_eq!(a.test(slow), Ok(true));
    assert_eq!(a.wait_any(&[slow]), Ok(0));
    assert_eq!(a.wait(slow), Ok(b"slow".to_vec()));
}

#[test]
fn a_receive_is_cancelled_before_its_message_comes_and_not_after() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    let gone = a.irecv_room(tagged(1), 0, Box::<Vec<u8>>::default()).unwrap();
    let stays = a.irecv(B, 0, 1).unwrap();
    assert_eq!(a.cancel(gone), Ok(true));
    assert_eq!(a.wait(gone), Err(CommError::Spent));
    b.send(A, 0, 1, b"it").unwrap();
    a.progress().unwrap();
    assert_eq!(a.cancel(stays), Ok(false));
    assert_eq!(a.wait(stays), Ok(b"it".to_vec()));
    assert_eq!(a.outstanding(), 0);
}

/// A sends on what it got first, after its capture and before B's: that is in B's state.
fn forwards(a: &mut Endpoint) -> (Arrived, Vec<u8>) {
    let (arrived, bytes) = received(a, ANY);
    a.send(B, 0, 9, &bytes).unwrap();
    (arrived, bytes)
}

#[test]
fn what_peers_have_seen_the_consequences_of_is_chosen_again() {
    let world = World::new(3);
    world.target(1);
    let [mut a, mut b, mut c] = [0, 1, 2].map(|rank| world.joined(Rank(rank), 1, None));
    let c_cut = c.cut(V).unwrap();
    let a_cut = a.cut(V).unwrap();
    c.send(A, 0, 1, b"from c").unwrap();
    a.progress().unwrap();
    b.send(A, 0, 1, b"from b").unwrap();
    assert_eq!(a.iprobe(tagged(8), 0), Ok(None));
    assert_eq!(forwards(&mut a).0.source, Rank(2));
    assert_eq!(b.recv_vec(A, 0, 9), Ok(b"from c".to_vec()));
    let b_cut = b.cut(V).unwrap();
    // All have captured: what is chosen now, nobody has seen.
    assert_eq!(forwards(&mut a).0.source, B);
    let late = [&mut a, &mut b, &mut c].map(late_of);
    assert_eq!(late[0].determinants.calls, 3);
    assert_eq!(late[0].determinants.entries.len(), 1, "the first of two receives");
    assert_eq!(late[1].determinants, Determinants::default());
    let cuts = [a_cut, b_cut, c_cut];
    let saved: Vec<_> = cuts.into_iter().zip(late).collect();
    let again = restored(&world, &saved);
    let [mut a, mut b, mut c] = <[Endpoint; 3]>::try_from(again).ok().unwrap();
    // B's comes first this time: it was sent before its capture, and is there from the start.
    a.progress().unwrap();
    assert_eq!(a.iprobe(tagged(1), 0), Ok(None), "as then, though it is there");
    c.send(A, 0, 1, b"from c").unwrap();
    let (arrived, bytes) = forwards(&mut a);
    assert_eq!((arrived.source, bytes.as_slice()), (Rank(2), b"from c".as_slice()));
    assert_eq!(forwards(&mut a).0.source, B);
    // The first forward was suppressed, as B has it; the second is new.
    assert_eq!(b.recv_vec(A, 0, 9), Ok(b"from b".to_vec()));
    assert_eq!(a.iprobe(ANY, 0), Ok(None));
    let next = [a.cut(Version(2)), b.cut(Version(2)), c.cut(Version(2))];
    assert!(next.iter().all(Result::is_ok));
}

#[test]
fn a_program_that_chooses_otherwise_is_told() {
    let world = World::new(2);
    let (mut a, mut b) = pair(&world);
    let b_cut = b.cut(V).unwrap();
    let a_cut = {
        b.send(A, 0, 1, b"x").unwrap();
        a.cut(V).unwrap()
    };
    let mut late = [late_of(&mut a), late_of(&mut b)];
    let outcome = mainstay_types::Outcome::Request(4);
    let entries = vec![mainstay_types::Determinant { call: 0, outcome }];
    late[0].determinants = Determinants { calls: 1, entries };
    let saved: Vec<_> = [a_cut, b_cut].into_iter().zip(late).collect();
    let mut a = restored(&world, &saved).remove(0);
    assert_eq!(a.probe(ANY, 0), Err(CommError::Strayed));
}
