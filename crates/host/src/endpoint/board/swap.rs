//! Blocks of any length from each rank to all, or to each, on a board.
//!
//! The first round carries the length of each block and its front, later rounds the rest; how many
//! there are follows from the longest block of all ranks, which every note tells. Invariant: all
//! ranks go through the same rounds. Deliberately absent: what the blocks are for.

use mainstay_types::Rank;

use super::part_bytes_max;
use crate::endpoint::collective::Kind;
use crate::endpoint::{CommError, Endpoint, Group, Result};
use crate::shm::Area;

/// Bytes before the front of a block that tell its length.
const LENGTH_BYTES: usize = 8;

/// Where the blocks of other ranks go.
#[derive(Debug)]
pub(in crate::endpoint) enum Rooms<'a> {
    /// To vectors of their own with their lengths in the end, by rank.
    Growing(Vec<(Vec<u8>, usize)>),
    /// Side by side, all of one length, by rank.
    Equal {
        /// Room for all.
        room: &'a mut [u8],
        /// Bytes of each.
        bytes: usize,
    },
}

impl Rooms<'_> {
    /// Vectors for the blocks of `n` ranks.
    pub(in crate::endpoint) fn growing(n: u32) -> Self {
        Self::Growing(vec![(Vec::new(), 0); n as usize])
    }

    /// The vectors.
    pub(in crate::endpoint) fn into_blocks(self) -> Vec<Vec<u8>> {
        match self {
            Self::Growing(blocks) => blocks.into_iter().map(|(block, _)| block).collect(),
            Self::Equal { .. } => Vec::new(),
        }
    }

    /// Makes room for a block of so many bytes.
    pub(in crate::endpoint) fn begin(&mut self, from: Rank, peer: Rank, whole: u64) -> Result<()> {
        match self {
            Self::Growing(blocks) => {
                // A peer of this job has it in memory.
                let whole = usize::try_from(whole).unwrap_or(0);
                blocks[from.index()] = (Vec::with_capacity(whole), whole);
                Ok(())
            }
            Self::Equal { bytes, .. } if *bytes as u64 == whole => Ok(()),
            Self::Equal { bytes, .. } => {
                Err(CommError::Unequal { peer, expected: *bytes as u64, found: whole })
            }
        }
    }

    /// How long a block is that was begun.
    fn whole(&self, from: Rank) -> usize {
        match self {
            Self::Growing(blocks) => blocks[from.index()].1,
            Self::Equal { bytes, .. } => *bytes,
        }
    }

    /// The next bytes of a block.
    fn piece(&mut self, from: Rank, offset: usize, bytes: usize) -> &mut [u8] {
        match self {
            Self::Growing(blocks) => {
                let (block, _) = &mut blocks[from.index()];
                block.resize(offset + bytes, 0);
                &mut block[offset..]
            }
            Self::Equal { room, bytes: each } => {
                &mut room[from.index() * *each + offset..][..bytes]
            }
        }
    }

    /// Puts a whole block into its room.
    pub(in crate::endpoint) fn put(&mut self, from: Rank, peer: Rank, block: &[u8]) -> Result<()> {
        self.begin(from, peer, block.len() as u64)?;
        self.piece(from, 0, block.len()).copy_from_slice(block);
        Ok(())
    }
}

impl Endpoint {
    /// Shows one block to all ranks, or one to each, and takes those for this rank. False if it has
    /// to be done by messages: then nothing was taken.
    pub(in crate::endpoint) fn swap_on_board(
        &mut self,
        (group, board): (&Group, usize),
        kind: Kind,
        blocks: &[&[u8]],
        rooms: &mut Rooms<'_>,
    ) -> Result<bool> {
        let most = part_bytes_max(blocks.len());
        let longest = blocks.iter().map(|block| block.len()).max().unwrap_or(0);
        let mut sheet = self.sheet(board, blocks.len());
        let shown = |place: usize| match blocks.len() > 1 && place == group.me().index() {
            // Nobody else reads a block for this rank.
            true => &[],
            false => blocks[place],
        };
        for block in (0..blocks.len()).map(shown) {
            let length = (block.len() as u64).to_le_bytes();
            self.show_both(&mut sheet, &length, window(block, 0, most - LENGTH_BYTES));
        }
        let round = self.rounds[board];
        if !self.meet(group, &sheet, kind, longest as u64)? {
            return Ok(false);
        }
        let longest = self.totals.iter().copied().max().unwrap_or(0);
        let number = if blocks.len() == 1 { 0 } else { group.me().index() };
        for place in Rank::all(group.n()).filter(|place| *place != group.me()) {
            let front = most - LENGTH_BYTES;
            self.take_front((group, board), (place, round), (number, front), rooms)?;
        }
        let mut offset = most - LENGTH_BYTES;
        while (offset as u64) < longest {
            let mut sheet = self.sheet(board, blocks.len());
            for block in (0..blocks.len()).map(shown) {
                self.show(&mut sheet, window(block, offset, most));
            }
            let round = self.rounds[board];
            if !self.meet(group, &sheet, kind, longest)? {
                return Err(self.corrupt(group.at(Rank(0)), "the round of its board"));
            }
            for place in Rank::all(group.n()).filter(|place| *place != group.me()) {
                let bytes = rooms.whole(place).saturating_sub(offset).min(most);
                if bytes > 0 {
                    let part = self.part(Area { rank: group.at(place), board, round }, number)?;
                    self.take(part, rooms.piece(place, offset, bytes))?;
                }
            }
            offset += most;
        }
        let mine = blocks[number];
        rooms.put(group.me(), self.me, mine)?;
        Ok(true)
    }

    /// Takes length and front of a rank's block, which is all of it or `full` bytes.
    fn take_front(
        &mut self,
        (group, board): (&Group, usize),
        (place, round): (Rank, u64),
        (number, full): (usize, usize),
        rooms: &mut Rooms<'_>,
    ) -> Result<()> {
        let rank = group.at(place);
        let longest = self.totals[place.index()];
        let part = self.part(Area { rank, board, round }, number)?;
        let (mut length, mut crc) = ([0; LENGTH_BYTES], 0);
        let whole = match part.bytes.checked_sub(LENGTH_BYTES) {
            None => None,
            Some(front) => {
                crc = self.segment.area_out(part.area, part.at, &mut length, 0);
                let whole = u64::from_le_bytes(length);
                (whole <= longest && whole.min(full as u64) == front as u64)
                    .then_some((front, whole))
            }
        };
        let Some((front, whole)) = whole else {
            return Err(self.corrupt(rank, "the length of its block on a board"));
        };
        rooms.begin(place, rank, whole)?;
        let to = rooms.piece(place, 0, front);
        match self.segment.area_out(part.area, part.at + LENGTH_BYTES, to, crc) == part.crc {
            true => Ok(()),
            false => Err(self.corrupt(rank, "its block on a board")),
        }
    }
}

/// At most `bytes` of a block from an offset on.
fn window(block: &[u8], offset: usize, bytes: usize) -> &[u8] {
    let rest = &block[offset.min(block.len())..];
    &rest[..rest.len().min(bytes)]
}
