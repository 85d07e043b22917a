//! The cut: ages by colour, the late log, the early list.

use mainstay_comm::{Age, Cut, Message};
use mainstay_types::wire::{EARLY_MAX, Early};
use mainstay_types::{Rank, Version};

const A: Rank = Rank(0);
const B: Rank = Rank(1);

fn message(source: Rank, sequence: u64) -> Message {
    Message { source, context: 0, tag: 0, sequence, payload: vec![1] }
}

fn early(sequence: u64) -> Early {
    Early { peer: A, sequence, hash: 0 }
}

#[test]
fn a_colour_tells_the_age_also_where_32_bits_wrap() {
    for version in [0, 1, 7, u64::from(u32::MAX), 1 << 32] {
        let cut = Cut::new(1, Version(version));
        assert_eq!(cut.age(cut.colour()), Age::Same);
        assert_eq!(cut.age(cut.colour().wrapping_add(1)), Age::Early);
        assert_eq!(cut.age(cut.colour().wrapping_sub(1)), Age::Late);
    }
}

#[test]
fn the_late_log_is_given_once_when_every_channel_is_closed() {
    let mut cut = Cut::new(2, Version(0));
    assert!(!cut.is_open() && !cut.wants_late(A));
    assert_eq!(cut.take_closed(), None);
    assert_eq!(cut.capture(Version(1)), []);
    assert!(cut.is_open() && cut.wants_late(A));
    cut.keep_late(message(B, 4));
    cut.keep_late(message(A, 3));
    cut.keep_late(message(A, 4));
    cut.observe(A, Version(0), 0, 4);
    assert!(cut.wants_late(A), "it has not captured");
    cut.observe(A, Version(1), 5, 4);
    assert!(cut.wants_late(A), "one is under way");
    cut.observe(A, Version(1), 4, 4);
    assert!(!cut.wants_late(A));
    assert_eq!(cut.take_closed(), None, "B is open");
    cut.observe(B, Version(1), 4, 9);
    let log = vec![message(A, 3), message(A, 4), message(B, 4)];
    assert_eq!(cut.take_closed(), Some((Version(1), log)));
    assert_eq!(cut.take_closed(), None);
    assert!(!cut.is_open());
}

#[test]
fn a_log_still_open_is_dropped_by_the_next_capture() {
    let mut cut = Cut::new(1, Version(0));
    cut.capture(Version(1));
    cut.keep_late(message(A, 1));
    cut.capture(Version(2));
    cut.observe(A, Version(2), 0, 1);
    assert_eq!(cut.take_closed(), Some((Version(2), vec![])));
}

#[test]
fn the_log_of_a_void_version_is_dropped() {
    let mut cut = Cut::new(1, Version(0));
    cut.capture(Version(1));
    cut.keep_late(message(A, 1));
    cut.abandon();
    assert!(!cut.is_open() && !cut.wants_late(A));
    assert_eq!((cut.take_closed(), cut.version()), (None, Version(1)));
}

#[test]
fn early_messages_belong_to_the_versions_their_senders_had_captured() {
    let mut cut = Cut::new(2, Version(1));
    cut.note_early(2, early(1));
    cut.note_early(4, early(2));
    cut.note_early(3, early(3));
    // Version 2 was void: what was sent after it, before version 3, crosses nothing.
    assert_eq!(cut.capture(Version(3)), [early(2), early(3)]);
    assert_eq!(cut.capture(Version(4)), [early(2)]);
    assert_eq!(cut.capture(Version(5)), []);
}

#[test]
fn the_early_list_is_bounded() {
    let mut cut = Cut::new(1, Version(0));
    for sequence in 0..EARLY_MAX as u64 + 10 {
        cut.note_early(1, early(sequence));
    }
    assert_eq!(cut.capture(Version(1)).len(), EARLY_MAX);
}

#[test]
#[should_panic(expected = "versions grow")]
fn a_version_is_captured_once() {
    Cut::new(1, Version(3)).capture(Version(3));
}
