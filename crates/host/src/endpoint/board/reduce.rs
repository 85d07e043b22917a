//! Barrier and reduction on a board.
//!
//! A short block is shown whole, and each rank folds all of them. A long one goes in pieces, each cut
//! into one segment a rank: every rank shows the segments of the others, folds its own from all
//! ranks, and shows the result in the next round, together with its segments of the next piece.
//! Invariant: every element is folded in the order of `comm::tree`, by whomever. Deliberately absent:
//! elements; a fold says how long one is, and segments are whole numbers of them.

use mainstay_comm::tree;
use mainstay_types::Rank;

use super::{Part, Sheet, part_bytes_max};
use crate::endpoint::collective::Kind;
use crate::endpoint::{CommError, Endpoint, Fold, Group, Result};
use crate::shm::Area;

/// Bytes of all blocks together up to which each rank folds all of them.
const ONE_ROUND_BYTES: usize = 32 * 1024;
/// Bytes of a block that are folded at a time, small enough to stay in the nearest cache.
const CHUNK_BYTES: usize = 4096;

/// A rank's part that is being folded; none for this rank's own, which lies in the block.
#[derive(Clone, Copy, Debug)]
pub(in crate::endpoint) struct Folding {
    part: Option<Part>,
    /// The CRC-32C of what was read of it.
    sum: u32,
}

/// How a block is cut.
#[derive(Clone, Copy, Debug)]
struct Cutting {
    ranks: usize,
    element: usize,
    /// Elements of the block.
    count: usize,
    /// Most elements of a segment.
    most: usize,
}

impl Cutting {
    /// How many pieces there are.
    fn pieces(&self) -> usize {
        self.count.div_ceil(self.ranks * self.most)
    }

    /// Where a rank's segment of a piece lies in the block.
    fn segment(&self, piece: usize, rank: usize) -> std::ops::Range<usize> {
        let from = piece * self.ranks * self.most;
        let rest = self.count - from;
        let each = rest.div_ceil(self.ranks).min(self.most);
        let start = (each * rank).min(rest);
        let end = (start + each).min(rest);
        (from + start) * self.element..(from + end) * self.element
    }
}

impl Endpoint {
    /// A barrier on a board; false if it has to be done by messages.
    pub(in crate::endpoint) fn barrier_on_board(
        &mut self,
        group: &Group,
        board: usize,
    ) -> Result<bool> {
        let sheet = self.sheet(board, 0);
        self.meet(group, &sheet, Kind::Barrier, 0)
    }

    /// Folds the blocks of all ranks; every rank gets the result. False if it has to be done by
    /// messages: then the block is as it was.
    pub(in crate::endpoint) fn allreduce_on_board(
        &mut self,
        group: &Group,
        board: usize,
        block: &mut [u8],
        fold: &mut Fold<'_>,
    ) -> Result<bool> {
        // Segments are whole elements: a tail of less would be folded by nobody.
        let (bytes, element) = (block.len(), fold.element_bytes);
        assert!(bytes.is_multiple_of(element), "{bytes} bytes in elements of {element}");
        match bytes * group.n() as usize <= ONE_ROUND_BYTES {
            true => self.fold_whole(group, board, block, fold),
            false => self.fold_segments(group, board, block, fold),
        }
    }

    fn fold_whole(
        &mut self,
        group: &Group,
        board: usize,
        block: &mut [u8],
        fold: &mut Fold<'_>,
    ) -> Result<bool> {
        let round = self.rounds[board];
        let mut sheet = self.sheet(board, 1);
        self.show(&mut sheet, block);
        if !self.meet_equals(group, &sheet, block.len())? {
            return Ok(false);
        }
        self.parts_of_all(group, (board, round), 0, block.len())?;
        self.fold_parts(group, block, fold, |_, _, _| {})?;
        Ok(true)
    }

    fn fold_segments(
        &mut self,
        group: &Group,
        board: usize,
        block: &mut [u8],
        fold: &mut Fold<'_>,
    ) -> Result<bool> {
        let (n, me, total) = (group.n() as usize, group.me().index(), block.len());
        let element = fold.element_bytes;
        let most = part_bytes_max(n + 1) / element;
        if most == 0 {
            // An area does not hold an element for each rank: messages hold any.
            let sheet = self.sheet(board, 0);
            self.meet_equals(group, &sheet, total)?;
            return Ok(false);
        }
        let cutting = Cutting { ranks: n, element, count: total / element, most };
        let pieces = cutting.pieces();
        let mut sheet = self.sheet(board, n + 1);
        self.show_segments(&mut sheet, &cutting, 0, me, block);
        if !self.meet_equals(group, &sheet, total)? {
            return Ok(false);
        }
        for piece in 0..pieces {
            let round = self.rounds[board] - 1;
            let mine = cutting.segment(piece, me);
            self.parts_of_all(group, (board, round), me, mine.len())?;
            let mut sheet = self.sheet(board, n + 1);
            if piece + 1 < pieces {
                self.show_segments(&mut sheet, &cutting, piece + 1, me, block);
            } else {
                (0..n).for_each(|_| self.show(&mut sheet, &[]));
            }
            let (area, at) = (sheet.area, sheet.end);
            let mut crc = 0;
            self.fold_parts(group, &mut block[mine.clone()], fold, |e, offset, result| {
                crc = e.segment.area_in(area, at + offset, result, crc);
            })?;
            self.list(&mut sheet, mine.len(), crc);
            if !self.meet_equals(group, &sheet, total)? {
                return Err(self.corrupt(group.at(Rank(0)), "the round of its board"));
            }
            for place in (0..group.n()).map(Rank).filter(|place| *place != group.me()) {
                let area = Area { rank: group.at(place), board, round: round + 1 };
                let result = self.part(area, n)?;
                self.take(result, &mut block[cutting.segment(piece, place.index())])?;
            }
        }
        Ok(true)
    }

    /// Shows all segments of a piece but this rank's own, which nobody else reads.
    fn show_segments(
        &self,
        sheet: &mut Sheet,
        cutting: &Cutting,
        piece: usize,
        me: usize,
        block: &[u8],
    ) {
        for rank in 0..cutting.ranks {
            let segment = match rank == me {
                true => 0..0,
                false => cutting.segment(piece, rank),
            };
            self.show(sheet, &block[segment]);
        }
    }

    /// As `meet`, where all ranks give as many bytes.
    fn meet_equals(&mut self, group: &Group, sheet: &Sheet, total: usize) -> Result<bool> {
        if !self.meet(group, sheet, Kind::Reduce, total as u64)? {
            return Ok(false);
        }
        let expected = total as u64;
        let other = group.ranks().iter().zip(&self.totals).find(|(_, found)| **found != expected);
        match other {
            None => Ok(true),
            Some((peer, found)) => Err(CommError::Unequal { peer: *peer, expected, found: *found }),
        }
    }

    /// Finds the same part of every rank but this one, which must have so many bytes.
    fn parts_of_all(
        &mut self,
        group: &Group,
        (board, round): (usize, u64),
        number: usize,
        bytes: usize,
    ) -> Result<()> {
        self.parts.clear();
        for rank in group.ranks() {
            let part = match *rank == self.me {
                true => None,
                false => {
                    let part = self.part(Area { rank: *rank, board, round }, number)?;
                    if part.bytes != bytes {
                        return Err(self.corrupt(*rank, "the length of a part on its board"));
                    }
                    Some(part)
                }
            };
            self.parts.push(Folding { part, sum: 0 });
        }
        Ok(())
    }

    /// Folds the parts that were found with this rank's, which becomes the result; tells each chunk of
    /// it.
    fn fold_parts(
        &mut self,
        group: &Group,
        block: &mut [u8],
        fold: &mut Fold<'_>,
        mut tell: impl FnMut(&Self, usize, &[u8]),
    ) -> Result<()> {
        let mut parts = std::mem::take(&mut self.parts);
        let n = parts.len();
        let chunk = (CHUNK_BYTES / fold.element_bytes).max(1) * fold.element_bytes;
        let room = chunk.next_multiple_of(64);
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize((n * room + 64).max(scratch.len()), 0);
        let start = scratch.as_ptr().align_offset(64).min(64);
        let mut offset = 0;
        for own in block.chunks_mut(chunk) {
            let blocks = &mut scratch[start..start + n * room];
            for (Folding { part, sum }, to) in parts.iter_mut().zip(blocks.chunks_mut(room)) {
                if let Some(part) = part {
                    let to = &mut to[..own.len()];
                    *sum = self.segment.area_out(part.area, part.at + offset, to, *sum);
                }
            }
            fold_in_order(blocks, room, (group.me(), own), group.n(), fold);
            tell(self, offset, own);
            offset += own.len();
        }
        self.scratch = scratch;
        let differs = |Folding { part, sum }: &Folding| part.filter(|part| part.crc != *sum);
        let wrong = parts.iter().find_map(differs);
        self.parts = parts;
        wrong.map_or(Ok(()), |part| Err(self.corrupt(part.area.rank, "its block on a board")))
    }
}

/// Folds the blocks of `n` ranks, each `room` after the one before, except for one's `own`, which
/// becomes the result.
fn fold_in_order(
    blocks: &mut [u8],
    room: usize,
    (me, own): (Rank, &mut [u8]),
    n: u32,
    fold: &mut Fold<'_>,
) {
    let bytes = own.len();
    // The last rank's children are folded before it is itself, so that each is whole by then.
    for rank in Rank::all(n).rev() {
        for child in tree::children(rank, n) {
            let (low, high) = blocks.split_at_mut(child.index() * room);
            let (lower, higher) = (&mut low[rank.index() * room..][..bytes], &high[..bytes]);
            match (rank == me, child == me) {
                (true, _) => (fold.combine)(own, higher),
                (_, true) => (fold.combine)(lower, own),
                _ => (fold.combine)(lower, higher),
            }
        }
    }
    if me != Rank(0) {
        own.copy_from_slice(&blocks[..bytes]);
    }
}
