//! Rounds on the boards of the segment: a rank shows parts to all others and reads theirs.
//!
//! A round's area begins with a table, one entry a part: where it lies, how long it is, and its
//! CRC-32C; the entry carries a sum of its own. Invariants: an area is filled before it is posted, and
//! read only between two meetings; what is read was compared with its sum before anybody relies on
//! it. Deliberately absent: when a round may be used, which `comm::board` tells; what the parts are.

mod reduce;
mod swap;

pub(super) use reduce::Folding;
pub(super) use swap::Rooms;

use std::sync::atomic::{Ordering, fence};

use mainstay_comm::board::{self, AREA_BYTES, BOARDS, Note, Shown};
use mainstay_comm::mix::mixed;
use mainstay_types::limits::{BOARD_COMMUNICATORS, MESSAGE_BYTES_MAX, RANKS_MAX};
use mainstay_types::{Point, Rank};

use super::collective::Kind;
use super::wait::Work;
use super::{CommError, Endpoint, Group, Phase, Result};
use crate::shm::Area;

/// Bytes of an entry of an area's table.
const ENTRY_BYTES: usize = 16;
/// Where parts begin, so that copies are aligned.
const PART_ALIGNMENT: usize = 16;

/// Bytes that a table of `parts` leaves for each, if all have the same.
const fn part_bytes_max(parts: usize) -> usize {
    let rest = AREA_BYTES.saturating_sub(parts * ENTRY_BYTES);
    let parts = if parts == 0 { 1 } else { parts };
    rest / parts / 64 * 64
}

// Also with a part for each of most ranks and one more, each holds its length and something of it.
const _: () = assert!(part_bytes_max(RANKS_MAX as usize + 1) > 8);

/// This rank's area of a round, being filled.
#[derive(Debug)]
pub(super) struct Sheet {
    area: Area,
    parts: usize,
    listed: usize,
    end: usize,
}

/// A part of an area.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    area: Area,
    at: usize,
    bytes: usize,
    crc: u32,
}

/// A wait for all ranks of a communicator to come to a round.
#[derive(Debug)]
pub(super) struct Meeting<'a> {
    group: &'a Group,
    board: usize,
    round: u64,
    kind: Kind,
    /// All before it have come.
    next: u32,
}

impl Meeting<'_> {
    /// The first rank that was not there when it was looked for last.
    pub(super) fn missing(&self) -> Rank {
        self.group.at(Rank(self.next.min(self.group.n() - 1)))
    }

    /// The tag that messages of the collective would have.
    pub(super) fn tag(&self) -> u32 {
        self.kind as u32
    }
}

impl Endpoint {
    /// The board of a communicator now. A run that compares messages has them all as messages, and
    /// counts each collective as a round, as one that crosses a cut is: a run over boards may go on
    /// from its versions.
    pub(super) fn board_of(&mut self, group: &Group) -> Option<usize> {
        let board = board::board(group.communicator(), self.phase == Phase::Prologue)?;
        if self.audit {
            self.rounds[board] += 1;
            return None;
        }
        Some(board)
    }

    /// Starts all boards of an epoch from the rounds of a version, or from none.
    pub(super) fn start_boards(&mut self, history: [u64; BOARD_COMMUNICATORS]) {
        let mut rounds = [0; BOARDS];
        for (number, history) in (0..).zip(history) {
            if let Some(board) = board::board(number, false) {
                rounds[board] = history;
            }
        }
        self.rounds = rounds;
        for (board, rounds) in rounds.into_iter().enumerate().filter(|(_, rounds)| *rounds > 0) {
            self.segment.board(self.me, board).start(rounds);
        }
        if rounds.iter().any(|rounds| *rounds > 0) {
            // Some may be in a collective that this rank went through.
            Rank::all(self.n()).for_each(|rank| self.wake(rank));
        }
    }

    /// Rounds gone through on the boards of the history, by communicator.
    pub(super) fn rounds_of_history(&self) -> [u64; BOARD_COMMUNICATORS] {
        let board = |number: usize| board::board(number as u32, false);
        std::array::from_fn(|number| board(number).map_or(0, |board| self.rounds[board]))
    }

    /// This rank's area for the next round, with room for a table of `parts`.
    pub(super) fn sheet(&self, board: usize, parts: usize) -> Sheet {
        let area = Area { rank: self.me, board, round: self.rounds[board] };
        Sheet {
            area,
            parts,
            listed: 0,
            end: (parts * ENTRY_BYTES).next_multiple_of(PART_ALIGNMENT),
        }
    }

    /// Adds a part to an area.
    pub(super) fn show(&self, sheet: &mut Sheet, bytes: &[u8]) {
        let crc = self.segment.area_in(sheet.area, sheet.end, bytes, 0);
        self.list(sheet, bytes.len(), crc);
    }

    /// Adds a part made of two.
    fn show_both(&self, sheet: &mut Sheet, front: &[u8], bytes: &[u8]) {
        let crc = self.segment.area_in(sheet.area, sheet.end, front, 0);
        let crc = self.segment.area_in(sheet.area, sheet.end + front.len(), bytes, crc);
        self.list(sheet, front.len() + bytes.len(), crc);
    }

    /// Lists the next part, which lies at the area's end.
    fn list(&self, sheet: &mut Sheet, bytes: usize, crc: u32) {
        assert!(sheet.listed < sheet.parts, "an area of {} parts", sheet.parts);
        let entry = entry(sheet.area.round, sheet.end, bytes, crc);
        self.segment.area_put(sheet.area, sheet.listed * ENTRY_BYTES, &entry);
        sheet.listed += 1;
        sheet.end = (sheet.end + bytes).next_multiple_of(PART_ALIGNMENT);
    }

    /// Posts an area and waits until every rank of the group has come to its round. False when this
    /// collective has to go by messages; see `comm::board`.
    pub(super) fn meet(
        &mut self,
        group: &Group,
        sheet: &Sheet,
        kind: Kind,
        total: u64,
    ) -> Result<bool> {
        let Area { board, round, .. } = sheet.area;
        let (epoch, colour) = (self.channels.epoch(), self.cut.colour());
        let note = Note { colour, kind: kind as u8, total };
        self.trace(|t| kind.messages().iter().for_each(|kind| t.has(*kind)));
        (self.point)(Point::RingPublish);
        self.segment.board(self.me, board).post(epoch, round, note);
        self.rounds[board] = round + 1;
        (self.point)(Point::CollectiveMid);
        fence(Ordering::SeqCst);
        let mut meeting = Meeting { group, board, round, kind, next: 0 };
        if self.have_met(&mut meeting) {
            self.wake_sleepers(group);
        } else {
            self.drive(&mut Work { meeting: Some(meeting), ..Work::default() })?;
        }
        self.compare_notes(group, (board, round), note)
    }

    /// Whether all ranks have come.
    #[inline]
    pub(super) fn have_met(&self, meeting: &mut Meeting<'_>) -> bool {
        let Meeting { group, board, round, next, .. } = meeting;
        while *next < group.n()
            && self.segment.board(group.at(Rank(*next)), *board).has_come(*round)
        {
            *next += 1;
        }
        *next == group.n()
    }

    fn wake_sleepers(&self, group: &Group) {
        for rank in group.ranks().iter().filter(|rank| **rank != self.me) {
            if self.segment.waiting(*rank).load(Ordering::Relaxed) != 0 {
                self.wake_up(*rank);
            }
        }
    }

    /// Whether the notes of all ranks are of one collective on one side of every cut.
    fn compare_notes(
        &mut self,
        group: &Group,
        (board, round): (usize, u64),
        mine: Note,
    ) -> Result<bool> {
        let epoch = self.channels.epoch();
        let mut same = true;
        self.totals.clear();
        for rank in group.ranks() {
            if *rank == self.me {
                self.totals.push(mine.total);
                continue;
            }
            match self.segment.board(*rank, board).look(epoch, round) {
                Shown::Here(note) if note.kind != mine.kind => {
                    return Err(self.unmatched(*rank, note.kind, mine.kind));
                }
                Shown::Here(note) if note.total > MESSAGE_BYTES_MAX => {
                    return Err(self.corrupt(*rank, "the length of its block on a board"));
                }
                Shown::Here(note) => {
                    same &= note.colour == mine.colour;
                    self.totals.push(note.total);
                }
                Shown::Past => same = false,
                Shown::Absent | Shown::Corrupt => {
                    return Err(self.corrupt(*rank, "its note on a board"));
                }
            }
        }
        Ok(same)
    }

    #[cold]
    fn unmatched(&mut self, peer: Rank, theirs: u8, ours: u8) -> CommError {
        match self.check() {
            Err(interrupted) => interrupted,
            Ok(()) => {
                let (theirs, ours) = (Kind::name(theirs), Kind::name(ours));
                CommError::Unmatched { peer, theirs, ours }
            }
        }
    }

    /// A part of a rank's area, in a round for which all have met.
    pub(super) fn part(&mut self, area: Area, number: usize) -> Result<Part> {
        let mut bytes = [0; ENTRY_BYTES];
        if (number + 1) * ENTRY_BYTES > AREA_BYTES {
            return Err(self.corrupt(area.rank, "the number of parts on its board"));
        }
        self.segment.area_get(area, number * ENTRY_BYTES, &mut bytes);
        let word = |i: u32| (u128::from_le_bytes(bytes) >> (32 * i)) as u32;
        let (at, length, crc) = (word(0) as usize, word(1) as usize, word(2));
        let whole = entry(area.round, at, length, crc) == bytes;
        match whole && at.checked_add(length).is_some_and(|end| end <= AREA_BYTES) {
            true => Ok(Part { area, at, bytes: length, crc }),
            false => Err(self.corrupt(area.rank, "the table of its board")),
        }
    }

    /// Copies a whole part to where it belongs.
    pub(super) fn take(&mut self, part: Part, to: &mut [u8]) -> Result<()> {
        let Part { area, at, bytes, crc } = part;
        if bytes != to.len() {
            return Err(self.corrupt(area.rank, "the length of a part on its board"));
        }
        match self.segment.area_out(area, at, to, 0) == crc {
            true => Ok(()),
            false => Err(self.corrupt(area.rank, "its block on a board")),
        }
    }
}

/// An entry of the table: place, length, CRC of the part, and sum of these with the round.
#[inline]
fn entry(round: u64, at: usize, bytes: usize, crc: u32) -> [u8; ENTRY_BYTES] {
    // Both are below the size of an area, or came from 32 bits.
    let place = at as u64 | (bytes as u64) << 32;
    let sum = mixed([place, u64::from(crc), round]) << 32;
    (u128::from(place) | u128::from(u64::from(crc) | sum) << 64).to_le_bytes()
}
