//! Boards: what a line shows, and that nothing of another round or epoch, and no flipped bit, passes
//! for what was posted.

use std::sync::atomic::{AtomicU64, Ordering};

use mainstay_comm::board::{BOARDS, Line, Note, Shown, WORDS, area, board};
use mainstay_types::Epoch;
use mainstay_types::limits::BOARD_COMMUNICATORS;

const E: Epoch = Epoch(7);

fn note(total: u64) -> Note {
    Note { colour: 5, kind: 3, total }
}

fn words() -> [AtomicU64; WORDS] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

fn line(words: &[AtomicU64; WORDS]) -> Line<'_, AtomicU64> {
    Line(words)
}

#[test]
fn a_line_shows_the_round_it_is_in_and_the_one_before() {
    let words = words();
    let line = line(&words);
    assert_eq!(line.look(E, 0), Shown::Absent);
    for round in 0..9 {
        line.post(E, round, note(round * 10));
        assert!(line.has_come(round) && !line.has_come(round + 1));
        assert_eq!(line.look(E, round), Shown::Here(note(round * 10)));
        if let Some(before) = round.checked_sub(1) {
            assert_eq!(line.look(E, before), Shown::Here(note(before * 10)));
        }
        assert_eq!(line.look(E, round + 1), Shown::Absent);
    }
}

#[test]
fn rounds_before_the_version_are_past_also_when_the_rank_has_gone_on() {
    let words = words();
    let line = line(&words);
    line.start(6);
    for round in 0..6 {
        assert_eq!(line.look(E, round), Shown::Past);
    }
    assert_eq!(line.look(E, 6), Shown::Absent);
    line.post(E, 6, note(1));
    // Round 4 used the same area, and was before the version all the same.
    assert_eq!((line.look(E, 4), line.look(E, 5)), (Shown::Past, Shown::Past));
    assert_eq!(line.look(E, 6), Shown::Here(note(1)));
}

#[test]
fn no_flipped_bit_and_no_other_epoch_passes() {
    let words = words();
    let line = line(&words);
    line.post(E, 8, note(1 << 20));
    line.post(E, 9, note(1 << 30));
    for round in [8, 9] {
        assert_eq!(line.look(Epoch(8), round), Shown::Corrupt);
        let intact = line.look(E, round);
        for (word, value) in words.iter().enumerate() {
            for bit in 0..64 {
                value.fetch_xor(1 << bit, Ordering::Relaxed);
                let shown = line.look(E, round);
                let of_other_area = word > 0 && (word - 1) / 3 != area(round);
                let harmless = of_other_area || (word == 0 && line.has_come(round));
                match harmless {
                    true => assert_eq!(shown, intact, "bit {bit} of word {word}"),
                    false => {
                        let told = matches!(shown, Shown::Absent | Shown::Corrupt);
                        assert!(told, "bit {bit} of word {word}: {shown:?}");
                    }
                }
                value.fetch_xor(1 << bit, Ordering::Relaxed);
            }
        }
    }
}

#[test]
fn each_communicator_has_a_board_for_each_phase_while_there_are_boards() {
    let numbers = 0..BOARD_COMMUNICATORS as u32;
    let all = numbers.flat_map(|number| [board(number, false), board(number, true)]);
    let mut all: Vec<_> = all.map(Option::unwrap).collect();
    all.sort_unstable();
    assert_eq!(all, (0..BOARDS).collect::<Vec<_>>());
    assert_eq!(board(BOARD_COMMUNICATORS as u32, false), None);
}
