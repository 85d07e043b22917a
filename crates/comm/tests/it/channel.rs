//! Channel counters: every verdict, and a restore that numbers on.

use mainstay_comm::{Channels, CutState, Message, Outgoing, Resume, ResumeError, Verdict};
use mainstay_types::frame::Header;
use mainstay_types::wire::Early;
use mainstay_types::{Epoch, Incarnation, Late, Rank, Version};

const ME: Rank = Rank(1);
const A: Rank = Rank(0);

fn channels() -> Channels {
    Channels::new(ME, Epoch(5), vec![Incarnation(2), Incarnation(0)])
}

/// The first frame of a message of two.
fn first() -> Header {
    Header {
        source: A,
        destination: ME,
        context: 0,
        tag: 0,
        sequence: 1,
        epoch: Epoch(5),
        incarnation: Incarnation(2),
        total: 100,
        offset: 0,
        length: 60,
        colour: 0,
        payload_crc: 0,
    }
}

fn second() -> Header {
    Header { offset: 60, length: 40, ..first() }
}

#[test]
fn a_message_of_two_frames_is_delivered_once() {
    let mut c = channels();
    assert_eq!(c.judge(A, &first()), Verdict::First);
    assert!(!c.accept(A, &first()));
    assert_eq!(c.delivered(), [0, 0]);
    assert_eq!(c.judge(A, &second()), Verdict::Next);
    assert!(c.accept(A, &second()));
    assert_eq!(c.delivered(), [1, 0]);
    assert_eq!(c.judge(A, &first()), Verdict::Duplicate);
    assert_eq!(c.judge(A, &second()), Verdict::Duplicate);
    let next = Header { sequence: 2, total: 0, length: 0, ..first() };
    assert_eq!(c.judge(A, &next), Verdict::First);
    assert!(c.accept(A, &next), "an empty message is whole at once");
}

#[test]
fn judging_changes_nothing() {
    let c = channels();
    for _ in 0..2 {
        assert_eq!(c.judge(A, &first()), Verdict::First);
    }
}

#[test]
fn frames_of_the_past_are_stale_and_of_the_future_corrupt() {
    let c = channels();
    let epoch = |epoch| Header { epoch, ..first() };
    let incarnation = |incarnation| Header { incarnation, ..first() };
    assert_eq!(c.judge(A, &epoch(Epoch(4))), Verdict::Stale);
    assert_eq!(c.judge(A, &incarnation(Incarnation(1))), Verdict::Stale);
    let corrupt = |header| matches!(c.judge(A, &header), Verdict::Corrupt(_));
    assert!(corrupt(epoch(Epoch(6))));
    assert!(corrupt(incarnation(Incarnation(3))));
}

#[test]
fn frames_that_contradict_their_channel_are_corrupt() {
    let mut c = channels();
    let corrupt = |c: &Channels, header| matches!(c.judge(A, &header), Verdict::Corrupt(_));
    let h = first();
    assert!(corrupt(&c, Header { source: ME, ..h }));
    assert!(corrupt(&c, Header { destination: A, ..h }));
    assert!(corrupt(&c, Header { sequence: 2, ..h }), "a gap");
    assert!(corrupt(&c, second()), "no start");
    assert!(corrupt(&c, Header { length: 0, ..h }), "no end");
    c.accept(A, &first());
    let h = second();
    assert!(corrupt(&c, first()), "again");
    assert!(corrupt(&c, Header { offset: 61, ..h }), "a hole");
    assert!(corrupt(&c, Header { total: 101, ..h }), "another length");
    assert!(corrupt(&c, Header { sequence: 2, ..h }), "another message");
}

#[test]
fn messages_are_numbered_from_one_and_a_withdrawn_number_is_used_again() {
    let mut c = channels();
    assert_eq!(c.next_send(A), Outgoing::Send { sequence: 1 });
    assert_eq!(c.next_send(A), Outgoing::Send { sequence: 2 });
    c.withdraw(A);
    assert_eq!(c.next_send(A), Outgoing::Send { sequence: 2 });
    assert_eq!(c.next_send(ME), Outgoing::Send { sequence: 1 });
    assert_eq!(c.sent(), [2, 1]);
}

fn message(source: Rank, sequence: u64) -> Message {
    Message { source, context: 0, tag: 0, sequence, payload: vec![] }
}

fn saved() -> Resume {
    Resume {
        version: Version(3),
        cut: CutState { sent: vec![4, 0], delivered: vec![7, 0], unexpected: vec![message(A, 7)] },
        late: Late { messages: vec![message(A, 8), message(A, 9)], ..Late::default() },
        suppress: vec![6, 0],
        early: vec![Early { peer: A, sequence: 6, hash: 77 }],
    }
}

fn resume(from: &Resume) -> Result<Channels, ResumeError> {
    Channels::resume(ME, Epoch(6), vec![Incarnation(3), Incarnation(0)], from)
}

#[test]
fn a_restore_counts_late_messages_as_delivered_and_suppresses_early_ones() {
    let mut c = resume(&saved()).unwrap();
    assert_eq!(c.delivered(), [9, 0]);
    let suppressed = |sequence, hash| Outgoing::Suppress { sequence, hash };
    assert_eq!(c.next_send(A), suppressed(5, None));
    assert_eq!(c.next_send(A), suppressed(6, Some(77)));
    assert_eq!(c.next_send(A), Outgoing::Send { sequence: 7 });
}

#[test]
fn a_restore_that_contradicts_itself_is_refused_by_name() {
    let refused = |change: fn(&mut Resume)| {
        let mut from = saved();
        change(&mut from);
        resume(&from).unwrap_err()
    };
    let late = |sequence| ResumeError::Late { source: A, sequence };
    assert_eq!(refused(|r| drop(r.late.messages.remove(0))), late(9));
    assert_eq!(refused(|r| r.late.messages[1].sequence = 8), late(8));
    let size = |what, found| ResumeError::Size { what, found };
    assert_eq!(refused(|r| r.cut.sent.push(0)), size("sent messages", 3));
    assert_eq!(refused(|r| r.cut.delivered.clear()), size("delivered messages", 0));
    assert_eq!(refused(|r| r.suppress.clear()), size("suppressed messages", 0));
    // The next message of a channel needs a number.
    let counter = |what, found| ResumeError::Counter { what, found };
    assert_eq!(refused(|r| r.cut.sent[0] = u64::MAX), counter("sent messages", u64::MAX));
    let delivered = refused(|r| (r.cut.delivered[1], r.late) = (u64::MAX - 1, Late::default()));
    assert_eq!(delivered, counter("delivered messages", u64::MAX - 1));
    let source = refused(|r| r.cut.unexpected[0].source = Rank(2));
    assert_eq!(source, ResumeError::Source(Rank(2)));
    assert!(source.to_string().contains("rank 2"));
}
