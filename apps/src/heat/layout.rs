//! Which rank owns which block of a raster.
//!
//! ```text
//!            columns
//!        ┌─────┬─────┬─────┐
//!   rows │  0  │  1  │  2  │    6 ranks in 2 rows of 3 blocks
//!        ├─────┼─────┼─────┤
//!        │  3  │  4  │  5  │
//!        └─────┴─────┴─────┘
//! ```
//!
//! Invariants: every cell belongs to one block; the grid of blocks is the one with the fewest pairs
//! of cells that touch across blocks; where ranks cannot all have a cell, as many as can do and the
//! rest own nothing. Deliberately absent: missing cells, which count like others.

use std::ops::Range;

/// A side of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Towards the first row.
    North,
    /// Towards the last row.
    South,
    /// Towards the first column.
    West,
    /// Towards the last column.
    East,
}

impl Side {
    /// All four.
    pub const ALL: [Self; 4] = [Self::North, Self::South, Self::West, Self::East];
}

/// The rows and columns of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its rows in the raster.
    pub rows: Range<usize>,
    /// Its columns in the raster.
    pub columns: Range<usize>,
}

impl Block {
    /// The number of cells.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

/// The division of a raster among ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    size: (usize, usize),
    grid: (usize, usize),
    ranks: usize,
}

impl Layout {
    /// Divides `rows` × `columns` cells among `ranks`.
    #[must_use]
    pub fn new((rows, columns): (usize, usize), ranks: usize) -> Self {
        let grids = |used: usize| {
            let divides = move |down: &usize| used.is_multiple_of(*down);
            let fits = move |grid: &(usize, usize)| grid.0 <= rows && grid.1 <= columns;
            // Among equals the first: cuts along rows need no packing, so few columns of blocks.
            (1..=used).rev().filter(divides).map(move |down| (down, used / down)).filter(fits)
        };
        let touching = |&(down, across): &(usize, usize)| {
            (down - 1).saturating_mul(columns).saturating_add((across - 1).saturating_mul(rows))
        };
        let grid = (1..=ranks).rev().find_map(|used| grids(used).min_by_key(touching));
        Self { size: (rows, columns), grid: grid.unwrap_or((1, 1)), ranks }
    }

    /// The rows and columns of the raster.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The rows and columns of blocks.
    #[must_use]
    pub fn grid(&self) -> (usize, usize) {
        self.grid
    }

    /// The number of ranks, also those that own nothing.
    #[must_use]
    pub fn ranks(&self) -> usize {
        self.ranks
    }

    /// The block of `rank`; one without cells at the raster's end if it owns nothing.
    #[must_use]
    pub fn block(&self, rank: usize) -> Block {
        let (rows, columns) = self.size;
        match self.position(rank) {
            Some((i, j)) => Block {
                rows: part(rows, self.grid.0, i)..part(rows, self.grid.0, i + 1),
                columns: part(columns, self.grid.1, j)..part(columns, self.grid.1, j + 1),
            },
            None => Block { rows: rows..rows, columns: columns..columns },
        }
    }

    /// The rank whose block touches that of `rank` on a side.
    #[must_use]
    pub fn neighbour(&self, rank: usize, side: Side) -> Option<usize> {
        let (down, across) = self.grid;
        let (i, j) = self.position(rank)?;
        match side {
            Side::North => (i > 0).then(|| rank - across),
            Side::South => (i + 1 < down).then(|| rank + across),
            Side::West => (j > 0).then(|| rank - 1),
            Side::East => (j + 1 < across).then(|| rank + 1),
        }
    }

    /// The ranks that `rank` keeps step with although they share no cells: those that own nothing
    /// follow each other behind the last that does. Alone they would be through with all steps at
    /// once, and no step would be left at which the whole job can be captured.
    pub fn followed(&self, rank: usize) -> impl Iterator<Item = usize> {
        let last = self.grid.0 * self.grid.1 - 1;
        let before = rank.checked_sub(1).filter(|before| *before >= last);
        let behind = (rank >= last && rank + 1 < self.ranks).then_some(rank + 1);
        before.into_iter().chain(behind)
    }

    fn position(&self, rank: usize) -> Option<(usize, usize)> {
        let (down, across) = self.grid;
        (rank < down * across).then_some((rank / across, rank % across))
    }
}

/// Where part `i` of `parts` begins, of `count` things divided evenly.
pub(super) fn part(count: usize, parts: usize, i: usize) -> usize {
    count * i / parts
}
