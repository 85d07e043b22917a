//! The ranks of a communicator.
//!
//! Invariants: no rank is in it twice, and the caller's is; its order is that of the communicator.
//! Deliberately absent: how a group comes about; the facade splits.

use std::rc::Rc;

use mainstay_types::Rank;

use super::{CommError, Result};

/// The ranks of a communicator, in its order. In calls that take a group, ranks such as a root are
/// counted in that order; in errors they are those of the job.
#[derive(Clone, Debug)]
pub struct Group {
    communicator: u32,
    ranks: Rc<[Rank]>,
    me: Rank,
}

impl Group {
    /// A group of the ranks listed, as `me` sees it; `None` unless it is listed.
    #[must_use]
    pub fn new(communicator: u32, ranks: Rc<[Rank]>, me: Rank) -> Option<Self> {
        let place = ranks.iter().position(|rank| *rank == me)?;
        let me = Rank(u32::try_from(place).ok()?);
        Some(Self { communicator, ranks, me })
    }

    /// The group of all `n` ranks.
    ///
    /// # Panics
    /// When `me` is not below `n`.
    #[must_use]
    pub fn all(communicator: u32, n: u32, me: Rank) -> Self {
        assert!(me.0 < n, "rank {me} of {n}");
        Self { communicator, ranks: Rank::all(n).collect(), me }
    }

    /// The number of the communicator.
    #[inline]
    #[must_use]
    pub fn communicator(&self) -> u32 {
        self.communicator
    }

    /// How many ranks it has.
    #[inline]
    #[must_use]
    pub fn n(&self) -> u32 {
        // The job has no more ranks than fit.
        self.ranks.len() as u32
    }

    /// The caller's place.
    #[inline]
    #[must_use]
    pub fn me(&self) -> Rank {
        self.me
    }

    /// The job's ranks, in order.
    #[must_use]
    pub fn ranks(&self) -> &[Rank] {
        &self.ranks
    }

    /// The job's rank at a place.
    ///
    /// # Panics
    /// When there is no such place.
    #[inline]
    #[must_use]
    pub fn at(&self, place: Rank) -> Rank {
        self.ranks[place.index()]
    }

    /// The place of one of the job's ranks.
    #[must_use]
    pub fn place(&self, rank: Rank) -> Option<Rank> {
        // The world's places are its ranks.
        if self.ranks.get(rank.index()) == Some(&rank) {
            return Some(rank);
        }
        let place = self.ranks.iter().position(|other| *other == rank)?;
        u32::try_from(place).ok().map(Rank)
    }

    /// Fails for a place that does not exist.
    pub(super) fn known(&self, place: Rank) -> Result<()> {
        match place.0 < self.n() {
            true => Ok(()),
            false => Err(CommError::NoSuchRank { rank: place, n: self.n() }),
        }
    }
}
