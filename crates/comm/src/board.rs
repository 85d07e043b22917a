//! Boards: how the ranks of a communicator show each other the blocks of a collective.
//!
//! A board has a line of words and two areas in the lane of each rank. A collective is one or more
//! *rounds*. In round k a rank fills its area k mod 2, posts a [`Note`], and waits until every rank of
//! the communicator has posted; then it may read the areas of all. It fills that area again in
//! round k + 2, and before that it has seen every rank post round k + 1, which a rank does when it has
//! read all that it wants of round k. So two areas suffice, and one wait a round.
//!
//! Who wakes whom: a rank posts, fences, and looks at all others; if all have posted, it wakes those
//! that sleep. Of all ranks, the one whose fence comes last sees the posts of all others, so there is
//! always one that wakes; and a sleeper whose own fence (see [`crate::bell`]) comes after that one
//! sees all posts in its second look. So nobody is woken for nothing, and nobody is forgotten.
//!
//! # Boards and the consistent cut
//! What crosses a cut has to be part of the version, and blocks on a board are not. A note carries the
//! colour of its rank (see [`crate::cut`]). Colours that differ in a collective's first round mean
//! that a capture lies between the ranks' parts in it. All ranks see the same notes, so all agree to
//! do this collective by messages, which know how to cross a cut. After a restore, the ranks that had
//! captured before this collective do it again, the others do not: these come with a higher count of
//! rounds, since the count is part of what a rank saves, and those find them [`Shown::Past`]. Then it
//! goes by messages too, as it did before: what was late is in the version, what was early is
//! suppressed. Whether a collective crosses a cut is a matter of the program's order alone, not of
//! timing, so the messages have the same numbers both times.
//!
//! A version that is void after some ranks had captured it leaves these with another colour than the
//! rest. Collectives then go by messages until the next capture, which makes all colours equal: they
//! are slower meanwhile, and as right.
//!
//! Invariants: rounds of a board are numbered from 0 in each history, without gaps, alike at all
//! ranks; what a note says was summed with its round and epoch. Deliberately absent: areas, waiting.

use mainstay_types::Epoch;
use mainstay_types::limits::BOARD_COMMUNICATORS;

use crate::mix::mixed;
use crate::words::{Ordering, Word64};

/// Boards of a rank: one for the prologue and one for the history of each communicator.
pub const BOARDS: usize = 2 * BOARD_COMMUNICATORS;
/// Words of a board's line.
pub const WORDS: usize = 8;
/// Where a line tells how many rounds lie before the version.
const START: usize = 7;
/// Bytes of one area.
pub const AREA_BYTES: usize = 256 * 1024;

/// What a rank tells of its part in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The low 32 bits of the version that it captured last.
    pub colour: u32,
    /// Which collective.
    pub kind: u8,
    /// Bytes of its block, or of the longest of its blocks.
    pub total: u64,
}

/// What a rank's line shows of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It has not come to this round.
    Absent,
    /// It has posted.
    Here(Note),
    /// It went through this round before the version that it was restored from.
    Past,
    /// The words contradict each other.
    Corrupt,
}

/// The line of one rank's board.
#[derive(Debug)]
pub struct Line<'a, W>(pub &'a [W; WORDS]);

impl<W: Word64> Line<'_, W> {
    /// Tells that this rank went through `rounds` rounds before the version that it starts from.
    pub fn start(&self, rounds: u64) {
        self.0[START].store(rounds, Ordering::Relaxed);
        // Release: who sees the count sees that these rounds are past.
        self.0[0].store(rounds, Ordering::Release);
    }

    /// Shows this rank's part in a round, whose area is filled.
    #[inline]
    pub fn post(&self, epoch: Epoch, round: u64, note: Note) {
        let [stamp, words, total] = self.words(round);
        stamp.store(round + 1, Ordering::Relaxed);
        words.store(packed(epoch, round, note), Ordering::Relaxed);
        total.store(note.total, Ordering::Relaxed);
        // Release: who sees the count sees the note and the area.
        self.0[0].store(round + 1, Ordering::Release);
    }

    /// Whether this rank has come to a round, or beyond.
    #[inline]
    #[must_use]
    pub fn has_come(&self, round: u64) -> bool {
        // Acquire: pairs with the store in `post`.
        self.0[0].load(Ordering::Acquire) > round
    }

    /// What this rank shows of a round.
    #[inline]
    #[must_use]
    pub fn look(&self, epoch: Epoch, round: u64) -> Shown {
        if !self.has_come(round) {
            return Shown::Absent;
        }
        let [stamp, words, total] = self.words(round);
        if stamp.load(Ordering::Relaxed) != round + 1 {
            // Not by the count alone: a wrong one would part the ranks without a word.
            return match round < self.0[START].load(Ordering::Relaxed) {
                true => Shown::Past,
                false => Shown::Corrupt,
            };
        }
        let words = words.load(Ordering::Relaxed);
        let note = Note {
            colour: (words & 0xFFFF_FFFF) as u32,
            kind: (words >> 32 & 0xFF) as u8,
            total: total.load(Ordering::Relaxed),
        };
        match packed(epoch, round, note) == words {
            true => Shown::Here(note),
            false => Shown::Corrupt,
        }
    }

    fn words(&self, round: u64) -> [&W; 3] {
        let at = 1 + 3 * area(round);
        [&self.0[at], &self.0[at + 1], &self.0[at + 2]]
    }
}

/// Which area a round uses.
#[inline]
#[must_use]
pub fn area(round: u64) -> usize {
    (round & 1) as usize
}

/// The board of a communicator; `None` for one that has none: those of the lowest numbers have.
#[must_use]
pub fn board(communicator: u32, prologue: bool) -> Option<usize> {
    let communicator = communicator as usize;
    (communicator < BOARD_COMMUNICATORS).then_some(2 * communicator + usize::from(prologue))
}

/// Colour, kind, and 24 bits of a sum over all that a note means.
#[inline]
fn packed(epoch: Epoch, round: u64, note: Note) -> u64 {
    let said = u64::from(note.colour) | u64::from(note.kind) << 32;
    let sum = mixed([round, note.total, said | u64::from(epoch.0) << 40]);
    said | sum << 40
}

// The words and their line.
const _: () = assert!(WORDS * 8 <= crate::layout::LINE_BYTES);
