//! When all waiting is a deadlock, and every way in which it is not one.

use mainstay_control::evidence::{Evidence, Sample, Wait, who_waits};
use mainstay_types::{Incarnation, Rank, WaitKind};

use super::{BEAT, options, waiting};

/// Gives the looks in turn and says whether the last one found a deadlock.
fn deadlock(looks: &[([Sample; 2], bool)]) -> Option<String> {
    let mut evidence = Evidence::new(2, options());
    let mut found = None;
    for (look, now) in looks.iter().zip(1..) {
        assert_eq!(found, None, "found too early");
        found = evidence.tick(BEAT * now, &look.0, look.1).deadlock;
    }
    found.map(|waits| who_waits(&waits))
}

#[test]
fn all_waiting_with_nothing_in_flight_is_a_deadlock() {
    use WaitKind::{Bounded, Collective, Finish, Receive, Supervisor};
    let both = [waiting(0, Receive, 1), waiting(1, Receive, 0)];
    let said = "rank 0 waits to receive from rank 1 (tag 7), \
                rank 1 waits to receive from rank 0 (tag 7)";
    assert_eq!(deadlock(&[(both, true), (both, true)]).as_deref(), Some(said));
    let mixed = [waiting(0, Finish, 1), waiting(1, Collective, 0)];
    assert!(deadlock(&[(mixed, true), (mixed, true)]).is_some());

    let change = |change: fn(&mut Sample)| {
        let mut look = both;
        change(&mut look[1]);
        look
    };
    let moved = change(|sample| sample.wait.as_mut().unwrap().since_seq = 2);
    let runnable = change(|sample| sample.state = 'R');
    let stopped = change(|sample| sample.state = 'T');
    let computing = change(|sample| sample.wait = None);
    let owing = change(|sample| sample.epoch_acked = false);
    let respawned = change(|sample| sample.incarnation = Incarnation(1));
    assert_eq!(deadlock(&[(both, true)]), None);
    assert_eq!(deadlock(&[(both, true), (both, false)]), None);
    assert_eq!(deadlock(&[(both, false), (both, true)]), None);
    for other in [moved, runnable, stopped, computing, owing, respawned] {
        assert_eq!(deadlock(&[(both, true), (other, true)]), None);
        assert_eq!(deadlock(&[(other, true), (both, true)]), None);
        // Two looks in a row must agree.
        assert_eq!(deadlock(&[(both, true), (other, true), (both, true)]), None);
    }
    for kind in [Supervisor, Bounded] {
        let look = [waiting(0, Receive, 1), waiting(1, kind, 0)];
        assert_eq!(deadlock(&[(look, true), (look, true)]), None);
    }
    let done = [waiting(0, Finish, 1), waiting(1, Finish, 0)];
    assert_eq!(deadlock(&[(done, true), (done, true)]), None);
}

#[test]
fn a_deadlock_needs_all_ranks_and_a_running_job() {
    let mut evidence = Evidence::new(2, options());
    let both = [waiting(0, WaitKind::Send, 1), waiting(1, WaitKind::Send, 0)];
    for beat in 1..5 {
        assert_eq!(evidence.tick(BEAT * beat, &both[..1], true).deadlock, None);
    }
    evidence.suspend();
    for beat in 5..9 {
        assert_eq!(evidence.tick(BEAT * beat, &both, true).deadlock, None);
    }
    evidence.resume();
    assert_eq!(evidence.tick(BEAT * 9, &both, true).deadlock, None);
    assert!(evidence.tick(BEAT * 10, &both, true).deadlock.is_some());
    assert_eq!(evidence.tick(BEAT * 11, &both, true).deadlock, None, "said once");
}

#[test]
fn waits_have_codes_and_sentences() {
    let kinds: Vec<_> = (0..10).map(WaitKind::from_code).collect();
    assert_eq!((kinds[0], kinds[9]), (None, None));
    assert_eq!(kinds[2], Some(WaitKind::Receive));
    let sentences: Vec<_> = kinds[1..9]
        .iter()
        .map(|kind| {
            let (peer, tag) = (Some(Rank(4)), None);
            let wait = Wait { kind: kind.unwrap(), peer, tag, since_seq: 0 };
            wait.to_string()
        })
        .collect();
    let expected = [
        "to send to rank 4",
        "to receive from rank 4",
        "in a collective for rank 4",
        "in finish for rank 4",
        "for the supervisor for rank 4",
        "until its deadline for rank 4",
        "for one of several requests for rank 4",
        "for all ranks to agree for rank 4",
    ];
    assert_eq!(sentences, expected);
    let within = |tag| {
        let (kind, peer) = (WaitKind::Collective, Some(Rank(4)));
        Wait { kind, peer, tag, since_seq: 0 }.to_string()
    };
    assert_eq!(within(Some(1)), "in a barrier for rank 4");
    assert_eq!((within(Some(3)), within(Some(18))), (within(Some(4)), within(Some(3))));
    assert_eq!(within(Some(20)), "in an alltoall for rank 4");
    assert_eq!(within(Some(10)), "in a collective for rank 4");
    let anyone = Wait { kind: WaitKind::Receive, peer: None, tag: Some(3), since_seq: 0 };
    assert_eq!(anyone.to_string(), "to receive from any rank (tag 3)");
    let many: Vec<_> = (0..20)
        .map(|rank| (Rank(rank), waiting(rank, WaitKind::Collective, 0).wait.unwrap()))
        .collect();
    assert!(who_waits(&many).ends_with("and 4 more"));
}
