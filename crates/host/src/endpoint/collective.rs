//! Collectives over blocking messages, in the fixed trees of `comm::tree`.
//!
//! Long blocks go in pieces, so that all levels of a tree work at the same time. Invariants: the
//! order of a reduction is a function of the number of ranks alone; messages of collectives have
//! contexts of their own (odd ones), so they never match a program's receive. Deliberately
//! absent: element types; a fold sees bytes, always whole pieces at the same offsets.
//!
//! A collective that fails may have completed at some ranks. The recovery makes up for it: all
//! ranks go back to one version.

use mainstay_comm::matching::Label;
use mainstay_comm::tree;
use mainstay_types::{Point, Rank, WaitKind};

use super::inbound::Buffer;
use super::{CommError, Endpoint, Result, Tracer};

/// Folds the partial result of higher ranks into that of lower ones: `lower = op(lower, higher)`,
/// element by element. Both have the same length, which is a multiple of 64 unless they are the
/// end of a block.
pub type Fold<'a> = &'a mut dyn FnMut(&mut [u8], &[u8]);

/// Tags of collectives, one for each kind of message.
#[derive(Clone, Copy)]
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
}

impl Endpoint {
    /// Waits until every rank has entered the barrier.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn barrier(&mut self, context: u32) -> Result<()> {
        self.collective(|e| {
            let label = e.label(context, Kind::Barrier);
            for (to, from) in tree::barrier(e.me, e.n()) {
                e.send_inner(to, label, &[])?;
                (e.point)(Point::CollectiveMid);
                e.recv_exact(from, label, &mut [])?;
            }
            Ok(())
        })
    }

    /// Gives every rank the bytes of `root`. All blocks have the same length.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn broadcast(&mut self, context: u32, root: Rank, block: &mut [u8]) -> Result<()> {
        self.collective(|e| {
            e.known(root)?;
            e.broadcast_inner(e.label(context, Kind::Broadcast), root, block)
        })
    }

    /// Folds the blocks of all ranks in the fixed order; `block` of `root` becomes the result,
    /// that of others is left with partial results.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn reduce(
        &mut self,
        context: u32,
        root: Rank,
        block: &mut [u8],
        fold: Fold<'_>,
    ) -> Result<()> {
        self.collective(|e| {
            e.known(root)?;
            e.reduce_inner(e.label(context, Kind::Reduce), block, fold)?;
            // The tree ends at rank 0 whatever the root, so that the order is one.
            let label = e.label(context, Kind::Result);
            match (e.me, root) {
                (_, Rank(0)) => Ok(()),
                (Rank(0), root) => e.send_inner(root, label, block),
                (me, root) if me == root => e.recv_exact(Rank(0), label, block),
                _ => Ok(()),
            }
        })
    }

    /// Folds the blocks of all ranks in the fixed order; every rank gets the result.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn allreduce(&mut self, context: u32, block: &mut [u8], fold: Fold<'_>) -> Result<()> {
        self.collective(|e| {
            e.reduce_inner(e.label(context, Kind::Reduce), block, fold)?;
            e.broadcast_inner(e.label(context, Kind::Broadcast), Rank(0), block)
        })
    }

    /// Gives `root` the blocks of all ranks, which may differ in length, in rank order.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn gather(
        &mut self,
        context: u32,
        root: Rank,
        block: &[u8],
    ) -> Result<Option<Vec<Vec<u8>>>> {
        self.collective(|e| {
            e.known(root)?;
            e.gather_inner(e.label(context, Kind::Gather), root, block)
        })
    }

    /// Gives every rank the blocks of all ranks, which may differ in length, in rank order.
    ///
    /// # Errors
    /// [`CommError`].
    pub fn allgather(&mut self, context: u32, block: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.collective(|e| {
            let gathered = e.gather_inner(e.label(context, Kind::Gather), Rank(0), block)?;
            let mut lengths = vec![0; e.n() as usize * 8];
            let mut all = Vec::new();
            if let Some(blocks) = &gathered {
                for (slot, block) in lengths.chunks_exact_mut(8).zip(blocks) {
                    slot.copy_from_slice(&(block.len() as u64).to_le_bytes());
                }
                all = blocks.concat();
            }
            let (lengths_label, label) =
                (e.label(context, Kind::Length), e.label(context, Kind::Broadcast));
            e.broadcast_inner(lengths_label, Rank(0), &mut lengths)?;
            let lengths: Vec<usize> = lengths.chunks_exact(8).map(length).collect();
            all.resize(lengths.iter().sum(), 0);
            e.broadcast_inner(label, Rank(0), &mut all)?;
            let mut rest = all.as_slice();
            let mut next = |bytes| {
                let (block, behind) = rest.split_at(bytes);
                rest = behind;
                block.to_vec()
            };
            Ok(gathered.unwrap_or_else(|| lengths.into_iter().map(&mut next).collect()))
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

    pub(super) fn label(&self, context: u32, kind: Kind) -> Label {
        self.trace(|t| t.has(kind));
        self.now(Label { context: context * 2 + 1, tag: kind as u32 })
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

    fn broadcast_inner(&mut self, label: Label, root: Rank, block: &mut [u8]) -> Result<()> {
        let n = self.n();
        let parent = tree::broadcast_parent(self.me, root, n);
        let mut first = true;
        for piece in pieces(block, self.chunk) {
            if let Some(parent) = parent {
                self.recv_exact(parent, label, piece)?;
            }
            if std::mem::take(&mut first) {
                (self.point)(Point::CollectiveMid);
            }
            for child in tree::broadcast_children(self.me, root, n) {
                self.send_inner(child, label, piece)?;
            }
        }
        Ok(())
    }

    fn reduce_inner(&mut self, label: Label, block: &mut [u8], fold: Fold<'_>) -> Result<()> {
        let n = self.n();
        let parent = tree::parent(self.me);
        let mut higher = std::mem::take(&mut self.scratch);
        higher.resize(self.chunk + ALIGNMENT, 0);
        let start = higher.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let mut first = true;
        for piece in pieces(block, self.chunk) {
            let higher = &mut higher[start..][..piece.len()];
            for child in tree::children(self.me, n) {
                self.recv_exact(child, label, higher)?;
                fold(piece, higher);
            }
            if std::mem::take(&mut first) {
                (self.point)(Point::CollectiveMid);
            }
            if let Some(parent) = parent {
                self.send_inner(parent, label, piece)?;
            }
        }
        self.scratch = higher;
        Ok(())
    }

    fn gather_inner(
        &mut self,
        label: Label,
        root: Rank,
        block: &[u8],
    ) -> Result<Option<Vec<Vec<u8>>>> {
        if self.me != root {
            (self.point)(Point::CollectiveMid);
            self.send_inner(root, label, block)?;
            return Ok(None);
        }
        let mut blocks = Vec::new();
        for rank in Rank::all(self.n()) {
            blocks.push(match rank == root {
                true => block.to_vec(),
                false => self.recv_growing(rank, label)?,
            });
            if rank.0 == 0 {
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
