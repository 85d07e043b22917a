//! Collectives in the fixed trees of `comm::tree`, over messages; those in which every rank waits for
//! every other go over a board where they can.
//!
//! Long blocks go in pieces, so that all levels of a tree work at the same time. Invariants: the
//! order of a reduction is a function of the number of ranks alone; messages of collectives have
//! contexts of their own (odd ones), so they never match a program's receive. Deliberately
//! absent: element types; a fold sees bytes, always whole elements at the same offsets.
//!
//! A collective that fails may have completed at some ranks. The recovery makes up for it: all
//! ranks go back to one version.

use mainstay_comm::matching::Label;
use mainstay_comm::tree;
use mainstay_types::{Point, Rank, WaitKind};

use super::board::Rooms;
use super::inbound::Buffer;
use super::{CommError, Endpoint, Group, Result, Tracer};

/// How partial results are combined.
pub struct Fold<'a> {
    /// Bytes of an element, which is never cut; at least 1.
    pub element_bytes: usize,
    /// Folds the partial result of higher ranks into that of lower ones, element by element:
    /// `lower = op(lower, higher)`. Both have the same length, of whole elements.
    pub combine: &'a mut dyn FnMut(&mut [u8], &[u8]),
}

impl Fold<'_> {
    /// Bytes of whole elements in a piece of about `bytes`.
    pub(super) fn piece_bytes(&self, bytes: usize) -> usize {
        (bytes / self.element_bytes).max(1) * self.element_bytes
    }
}

impl std::fmt::Debug for Fold<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fold").field("element_bytes", &self.element_bytes).finish_non_exhaustive()
    }
}

/// Tags of collectives, one for each kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Barrier = 1,
    Broadcast,
    Reduce,
    Result,
    Gather,
    Length,
    Scatter,
    Exchange,
    Scan,
    /// No message: a nonblocking collective starts; see `leg`.
    Start,
}

impl Kind {
    /// The kinds of messages that would do what this one does on a board: a trace names collectives
    /// by them.
    pub(super) fn messages(self) -> &'static [Self] {
        match self {
            Self::Reduce => &[Self::Reduce, Self::Broadcast],
            Self::Gather => &[Self::Gather, Self::Length, Self::Broadcast],
            Self::Exchange => &[Self::Exchange],
            _ => &[Self::Barrier],
        }
    }

    /// What a program's author calls the collective that posted this on a board.
    pub(super) fn name(kind: u8) -> &'static str {
        let is = |other: Self| kind == other as u8;
        match () {
            () if is(Self::Barrier) => "a barrier",
            () if is(Self::Reduce) => "an allreduce",
            () if is(Self::Gather) => "an allgather",
            () if is(Self::Exchange) => "an alltoall",
            () => "an unknown collective",
        }
    }
}

impl Endpoint {
    /// Waits until every rank has entered the barrier.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn barrier(&mut self, group: &Group) -> Result<()> {
        self.collective(|e| {
            if let Some(board) = e.board_of(group)
                && e.barrier_on_board(group, board)?
            {
                return Ok(());
            }
            let label = e.label(group, Kind::Barrier);
            for (to, from) in tree::barrier(group.me(), group.n()) {
                e.send_inner(group.at(to), label, &[])?;
                (e.point)(Point::CollectiveMid);
                e.recv_exact(group.at(from), label, &mut [])?;
            }
            Ok(())
        })
    }

    /// Gives every rank the bytes of `root`. All blocks have the same length.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn broadcast(&mut self, group: &Group, root: Rank, block: &mut [u8]) -> Result<()> {
        self.collective(|e| {
            group.known(root)?;
            e.broadcast_inner(group, e.label(group, Kind::Broadcast), root, block)
        })
    }

    /// Folds the blocks of all ranks in the fixed order; `block` of `root` becomes the result,
    /// that of others is left with partial results.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn reduce(
        &mut self,
        group: &Group,
        root: Rank,
        block: &mut [u8],
        fold: &mut Fold<'_>,
    ) -> Result<()> {
        self.collective(|e| {
            group.known(root)?;
            e.reduce_inner(group, block, fold)?;
            // The tree ends at rank 0 whatever the root, so that the order is one.
            let label = e.label(group, Kind::Result);
            match (group.me(), root) {
                (_, Rank(0)) => Ok(()),
                (Rank(0), root) => e.send_inner(group.at(root), label, block),
                (me, root) if me == root => e.recv_exact(group.at(Rank(0)), label, block),
                _ => Ok(()),
            }
        })
    }

    /// Folds the blocks of all ranks in the fixed order; every rank gets the result.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn allreduce(
        &mut self,
        group: &Group,
        block: &mut [u8],
        fold: &mut Fold<'_>,
    ) -> Result<()> {
        self.collective(|e| {
            if let Some(board) = e.board_of(group)
                && e.allreduce_on_board(group, board, block, fold)?
            {
                return Ok(());
            }
            e.reduce_inner(group, block, fold)?;
            e.broadcast_inner(group, e.label(group, Kind::Broadcast), Rank(0), block)
        })
    }

    /// Gives `root` the blocks of all ranks, which may differ in length, in rank order.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn gather(
        &mut self,
        group: &Group,
        root: Rank,
        block: &[u8],
    ) -> Result<Option<Vec<Vec<u8>>>> {
        self.collective(|e| {
            group.known(root)?;
            e.gather_inner(group, root, block)
        })
    }

    /// Gives every rank the blocks of all ranks, which may differ in length, in rank order.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn allgather(&mut self, group: &Group, block: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut rooms = Rooms::growing(group.n());
        self.allgather_into(group, block, &mut rooms)?;
        Ok(rooms.into_blocks())
    }

    /// As [`Endpoint::allgather`] with blocks of one length, side by side in `room`.
    ///
    /// # Errors
    /// As [`Endpoint::allgather`]; [`CommError::Unequal`] for blocks of other lengths.
    pub fn allgather_equal(&mut self, group: &Group, block: &[u8], room: &mut [u8]) -> Result<()> {
        let bytes = room.len() / group.n() as usize;
        self.allgather_into(group, block, &mut Rooms::Equal { room, bytes })
    }

    fn allgather_into(&mut self, group: &Group, block: &[u8], rooms: &mut Rooms<'_>) -> Result<()> {
        self.collective(|e| {
            if let Some(board) = e.board_of(group)
                && e.swap_on_board((group, board), Kind::Gather, &[block], rooms)?
            {
                return Ok(());
            }
            let gathered = e.gather_inner(group, Rank(0), block)?;
            let mut lengths = vec![0; group.n() as usize * 8];
            let mut all = Vec::new();
            if let Some(blocks) = &gathered {
                for (slot, block) in lengths.chunks_exact_mut(8).zip(blocks) {
                    slot.copy_from_slice(&(block.len() as u64).to_le_bytes());
                }
                all = blocks.concat();
            }
            let (lengths_label, label) =
                (e.label(group, Kind::Length), e.label(group, Kind::Broadcast));
            e.broadcast_inner(group, lengths_label, Rank(0), &mut lengths)?;
            let lengths: Vec<usize> = lengths.chunks_exact(8).map(length).collect();
            all.resize(lengths.iter().sum(), 0);
            e.broadcast_inner(group, label, Rank(0), &mut all)?;
            let mut rest = all.as_slice();
            for (place, bytes) in Rank::all(group.n()).zip(lengths) {
                let (block, behind) = rest.split_at(bytes);
                rest = behind;
                rooms.put(place, group.at(place), block)?;
            }
            Ok(())
        })
    }

    /// Runs a collective as one call.
    pub(super) fn collective<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.call(|e| {
            (e.point)(Point::CollectiveEnter);
            e.within = Some(WaitKind::Collective);
            e.trace(Tracer::begins);
            let result = body(e);
            e.trace(Tracer::ends);
            e.within = None;
            result
        })
    }

    pub(super) fn label(&self, group: &Group, kind: Kind) -> Label {
        self.trace(|t| t.has(kind));
        self.now(Label { context: group.communicator() * 2 + 1, tag: kind as u32 })
    }

    pub(super) fn recv_exact(&mut self, from: Rank, label: Label, block: &mut [u8]) -> Result<()> {
        let expected = block.len() as u64;
        let unequal = |found| CommError::Unequal { peer: from, expected, found };
        match self.recv_inner(from, label, Buffer::Fixed(block)) {
            Ok(found) if found as u64 == expected => Ok(()),
            Ok(found) => Err(unequal(found as u64)),
            Err(CommError::Truncated { needed, .. }) => Err(unequal(needed)),
            Err(error) => Err(error),
        }
    }

    fn broadcast_inner(
        &mut self,
        group: &Group,
        label: Label,
        root: Rank,
        block: &mut [u8],
    ) -> Result<()> {
        let n = group.n();
        let parent = tree::broadcast_parent(group.me(), root, n);
        let mut first = true;
        for piece in pieces(block, self.chunk) {
            if let Some(parent) = parent {
                self.recv_exact(group.at(parent), label, piece)?;
            }
            if std::mem::take(&mut first) {
                (self.point)(Point::CollectiveMid);
            }
            for child in tree::broadcast_children(group.me(), root, n) {
                self.send_inner(group.at(child), label, piece)?;
            }
        }
        Ok(())
    }

    fn reduce_inner(&mut self, group: &Group, block: &mut [u8], fold: &mut Fold<'_>) -> Result<()> {
        let label = self.label(group, Kind::Reduce);
        let parent = tree::parent(group.me());
        let most = fold.piece_bytes(self.chunk);
        let mut higher = std::mem::take(&mut self.scratch);
        higher.resize(higher.len().max(most + ALIGNMENT), 0);
        let start = higher.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let mut first = true;
        for piece in pieces(block, most) {
            let higher = &mut higher[start..][..piece.len()];
            for child in tree::children(group.me(), group.n()) {
                self.recv_exact(group.at(child), label, higher)?;
                (fold.combine)(piece, higher);
            }
            if std::mem::take(&mut first) {
                (self.point)(Point::CollectiveMid);
            }
            if let Some(parent) = parent {
                self.send_inner(group.at(parent), label, piece)?;
            }
        }
        self.scratch = higher;
        Ok(())
    }

    fn gather_inner(
        &mut self,
        group: &Group,
        root: Rank,
        block: &[u8],
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let label = self.label(group, Kind::Gather);
        if group.me() != root {
            (self.point)(Point::CollectiveMid);
            self.send_inner(group.at(root), label, block)?;
            return Ok(None);
        }
        let mut blocks = Vec::new();
        for place in Rank::all(group.n()) {
            blocks.push(match place == root {
                true => block.to_vec(),
                false => self.recv_growing(group.at(place), label)?,
            });
            if place.0 == 0 {
                (self.point)(Point::CollectiveMid);
            }
        }
        Ok(Some(blocks))
    }
}

/// Alignment of what a fold is given, enough for any element.
const ALIGNMENT: usize = 64;

/// A block in pieces of at most `bytes`; an empty block is one empty piece, so that it
/// synchronises as any other.
pub(super) fn pieces(block: &mut [u8], bytes: usize) -> impl Iterator<Item = &mut [u8]> {
    let mut rest = Some(block);
    std::iter::from_fn(move || {
        let block = rest.take()?;
        let (piece, behind) = block.split_at_mut(bytes.min(block.len()));
        rest = (!behind.is_empty()).then_some(behind);
        Some(piece)
    })
}

fn length(bytes: &[u8]) -> usize {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    // A peer of this job gave it, and its block is already in memory there.
    usize::try_from(u64::from_le_bytes(word)).unwrap_or(usize::MAX)
}
