//! From blocks to rows: each rank ends with a slab of whole rows, so that the results of all ranks,
//! one behind the other, are the field row by row.
//!
//! Invariants: a slab begins at a multiple of the rows that a picture draws as one; a rank's share
//! of memory stays that of one block. Deliberately absent: messages.

use std::ops::Range;

use super::layout::part;
use super::{Block, Layout};

/// The rows that `rank` ends with; every slab but the last has a multiple of `together` rows.
#[must_use]
pub fn slab(layout: &Layout, rank: usize, together: usize) -> Range<usize> {
    let rows = layout.size().0;
    let bound = |rank| rows.min(part(rows.div_ceil(together), layout.ranks(), rank) * together);
    bound(rank)..bound(rank + 1)
}

/// The part of a block's cells that lies in a slab.
#[must_use]
pub fn cut<'a>(block: &Block, cells: &'a [f64], slab: &Range<usize>) -> &'a [f64] {
    let rows = common(block, slab);
    let from = (rows.start - block.rows.start) * block.columns.len();
    &cells[from..][..rows.len() * block.columns.len()]
}

/// Puts such a part into its slab, whose rows have `columns` cells.
///
/// # Panics
/// If the part is not of the size that [`cut`] gives.
pub fn paste(
    block: &Block,
    part: &[f64],
    slab: &Range<usize>,
    (cells, columns): (&mut [f64], usize),
) {
    let rows = common(block, slab);
    let width = block.columns.len();
    assert_eq!(part.len(), rows.len() * width, "the part of the slab");
    for (row, from) in rows.zip(part.chunks_exact(width.max(1))) {
        let start = (row - slab.start) * columns + block.columns.start;
        cells[start..][..width].copy_from_slice(from);
    }
}

/// The rows that a block and a slab have in common, within the block.
fn common(block: &Block, slab: &Range<usize>) -> Range<usize> {
    let start = slab.start.clamp(block.rows.start, block.rows.end);
    start..slab.end.clamp(start, block.rows.end)
}
