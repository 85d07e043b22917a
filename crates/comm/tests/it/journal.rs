//! The journal of choices: what is kept, what is followed, and for how long.

use mainstay_comm::journal::{Choice, Journal};
use mainstay_types::{Determinant, Determinants, Outcome, Rank};

use super::random::Random;

fn message(source: u32) -> Outcome {
    Outcome::Message { source: Rank(source), tag: 1 }
}

#[test]
fn nothing_is_kept_but_between_a_capture_and_its_close() {
    let mut journal = Journal::default();
    assert_eq!(journal.choose(), Choice::Free(0));
    journal.note(0, message(1));
    journal.capture();
    assert_eq!(journal.choose(), Choice::Free(0), "numbers begin at the capture");
    assert_eq!(journal.choose(), Choice::Free(1));
    journal.note(1, message(2));
    let entries = vec![Determinant { call: 1, outcome: message(2) }];
    assert_eq!(journal.close(), Determinants { calls: 2, entries });
    journal.note(2, message(3));
    assert!(journal.close().entries.is_empty(), "once for each version");
}

#[test]
fn what_was_chosen_is_chosen_again_and_what_failed_fails_again() {
    // A receive that was posted first may have been matched after a later one.
    let entries = vec![
        Determinant { call: 3, outcome: Outcome::Request(5) },
        Determinant { call: 1, outcome: message(2) },
    ];
    let mut journal = Journal::resume(Determinants { calls: 5, entries });
    let made: Vec<_> = (0..6).map(|_| journal.choose()).collect();
    let to = [Choice::To(message(2)), Choice::To(Outcome::Request(5))];
    let expected =
        [Choice::Nothing(0), to[0], Choice::Nothing(2), to[1], Choice::Nothing(4), Choice::Free(5)];
    assert_eq!(made, expected);
}

/// It captures again before it has followed everything: its peers still have what it sent then.
#[test]
fn what_is_left_to_follow_belongs_to_the_next_version_too() {
    let entry = |call, source| Determinant { call, outcome: message(source) };
    let entries = vec![entry(0, 1), entry(2, 2), entry(3, 3)];
    let mut journal = Journal::resume(Determinants { calls: 5, entries });
    assert_eq!([journal.choose(), journal.choose()], [Choice::To(message(1)), Choice::Nothing(1)]);
    journal.capture();
    assert_eq!(journal.choose(), Choice::To(message(2)));
    let kept = journal.close();
    assert_eq!(kept, Determinants { calls: 3, entries: vec![entry(0, 2), entry(1, 3)] });
    assert!(journal.follows());
    assert_eq!(journal.choose(), Choice::To(message(3)), "whether it is kept or not");
    assert_eq!([journal.choose(), journal.choose()], [Choice::Nothing(2), Choice::Free(3)]);
    let mut again = Journal::resume(kept);
    let made: Vec<_> = (0..4).map(|_| again.choose()).collect();
    let to = |source| Choice::To(message(source));
    assert_eq!(made, [to(2), to(3), Choice::Nothing(2), Choice::Free(3)]);
}

/// A second failure before the next version: what is followed is kept for it all the same.
#[test]
fn random_histories_repeat_themselves() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut journal = Journal::default();
        journal.capture();
        for _ in 0..random.below(50) {
            let Choice::Free(call) = journal.choose() else { panic!("nothing is followed") };
            if random.below(3) > 0 {
                journal.note(call, message(random.below(4) as u32));
            }
        }
        let kept = journal.close();
        for _ in 0..2 {
            let mut again = Journal::resume(kept.clone());
            for call in 0..kept.calls {
                let was = kept.entries.iter().find(|entry| entry.call == call);
                let expected = was.map_or(Choice::Nothing(call), |entry| Choice::To(entry.outcome));
                assert_eq!(again.choose(), expected, "seed {seed}");
            }
            assert_eq!(again.choose(), Choice::Free(kept.calls));
        }
    }
}

/// What is received once all have captured may never be sent again.
#[test]
fn choices_made_after_all_have_captured_are_free_after_a_restore() {
    let mut journal = Journal::default();
    journal.capture();
    assert!(journal.keeps());
    for call in 0..3 {
        assert_eq!(journal.choose(), Choice::Free(call));
    }
    journal.note(1, message(1));
    journal.seal();
    assert!(!journal.keeps());
    // The third was made before, and came to something after.
    journal.note(2, message(2));
    assert_eq!(journal.choose(), Choice::Free(3));
    journal.note(3, message(3));
    let entries = vec![Determinant { call: 1, outcome: message(1) }];
    let kept = journal.close();
    assert_eq!(kept, Determinants { calls: 3, entries });
    let mut again = Journal::resume(kept);
    let made: Vec<_> = (0..4).map(|_| again.choose()).collect();
    let expected =
        [Choice::Nothing(0), Choice::To(message(1)), Choice::Nothing(2), Choice::Free(3)];
    assert_eq!(made, expected);
}
