//! How the blocks of all ranks make one array.
//!
//! A field says the shape of the whole array and where the rank's block begins, not where it ends.
//! The blocks of a grid leave no choice: in each dimension a block ends where the next one begins.
//! Invariant: blocks that are put together cover every element exactly once, and each has as many
//! elements as its rank holds; whatever else is [`Apart`]. Deliberately absent: blocks that make no
//! grid, for which more would have to be recorded.

use std::ops::Range;

use mainstay_types::Rank;

use crate::format::kind::Kind;
use crate::format::place::Place;
use crate::format::plan::FieldSpec;

/// Why the parts of a field do not make one array.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Apart {
    /// The program did not say where its blocks belong.
    #[error("it has no global shape")]
    NoShape,
    /// Ranks contradict each other.
    #[error("ranks {0} and {1} disagree on its kind or its global shape")]
    Disagree(Rank, Rank),
    /// A rank has no block, but indices that are dealt out in turn.
    #[error("its elements are dealt out in turn, and ranks have no blocks of it")]
    Dealt,
    /// The blocks are no grid.
    #[error("its blocks are no grid that covers its global shape: {why}")]
    NoGrid {
        /// What is not as in a grid.
        why: String,
    },
}

/// A rank's block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Whose it is.
    pub rank: Rank,
    /// Its first index in each dimension.
    pub offset: Vec<u64>,
    /// How far it goes in each dimension.
    pub extent: Vec<u64>,
}

/// Elements that lie behind each other in a block and in the whole array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first element's place in the block.
    pub local: u64,
    /// Its place in the whole array, row by row.
    pub global: u64,
    /// How many there are.
    pub count: u64,
}

/// An array that ranks hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// What its elements are.
    pub kind: Kind,
    /// Bytes of an element.
    pub element_bytes: u32,
    /// Its extent in each dimension.
    pub shape: Vec<u64>,
    /// Where blocks begin, in each dimension.
    cuts: Vec<Vec<u64>>,
    /// The blocks that have elements, row by row of the grid.
    blocks: Vec<Block>,
}

impl Whole {
    /// The array of which each rank's part is described by its field.
    ///
    /// # Errors
    /// Why the parts make none.
    pub fn of(parts: &[(Rank, &FieldSpec)]) -> Result<Self, Apart> {
        let (first, spec) = parts.first().ok_or(Apart::NoShape)?;
        let shape_of =
            |spec: &FieldSpec| spec.place.as_ref().and_then(Place::shape).ok_or(Apart::NoShape);
        let shape = shape_of(spec)?;
        let mut blocks = Vec::new();
        for (rank, part) in parts {
            let same = (part.kind, part.element_bytes) == (spec.kind, spec.element_bytes);
            if !same || shape_of(part)? != shape {
                return Err(Apart::Disagree(*first, *rank));
            }
            let offset = part.place.as_ref().and_then(Place::offset).ok_or(Apart::Dealt)?;
            if part.count > 0 {
                blocks.push((*rank, offset, part.count));
            }
        }
        let cuts: Vec<Vec<u64>> = (0..shape.len())
            .map(|d| {
                let mut cuts: Vec<u64> = blocks.iter().map(|(_, offset, _)| offset[d]).collect();
                cuts.sort_unstable();
                cuts.dedup();
                cuts
            })
            .collect();
        let whole = Self {
            kind: spec.kind,
            element_bytes: spec.element_bytes,
            shape,
            cuts,
            blocks: Vec::new(),
        };
        whole.with(blocks)
    }

    /// Takes the blocks in, whose number of elements has to be that of their place in the grid.
    fn with(mut self, parts: Vec<(Rank, Vec<u64>, u64)>) -> Result<Self, Apart> {
        let no_grid = |why: String| Err(Apart::NoGrid { why });
        let Some(all) = volume(&self.shape) else {
            return no_grid("it is larger than any memory".to_owned());
        };
        if self.cuts.iter().any(|cuts| cuts.first().is_some_and(|first| *first > 0)) {
            return no_grid("none begins at its first element".to_owned());
        }
        let places = volume(&self.cuts.iter().map(|cuts| cuts.len() as u64).collect::<Vec<_>>());
        if parts.is_empty() != (all == 0) {
            return no_grid(format!("{} blocks hold {all} elements", parts.len()));
        }
        if !parts.is_empty() && places != Some(parts.len() as u64) {
            let places = places.unwrap_or(u64::MAX);
            return no_grid(format!("{} blocks begin on a grid of {places}", parts.len()));
        }
        for (rank, offset, count) in parts {
            let extent: Vec<u64> =
                offset.iter().enumerate().map(|(d, at)| self.end(d, *at) - at).collect();
            let fits = volume(&extent);
            if fits != Some(count) {
                let fits = fits.unwrap_or(u64::MAX);
                return no_grid(format!("rank {rank} has {count} elements in a place of {fits}"));
            }
            self.blocks.push(Block { rank, offset, extent });
        }
        self.blocks.sort_by(|a, b| a.offset.cmp(&b.offset));
        match self.blocks.windows(2).find(|pair| pair[0].offset == pair[1].offset) {
            None => Ok(self),
            Some(pair) => {
                no_grid(format!("ranks {} and {} begin together", pair[0].rank, pair[1].rank))
            }
        }
    }

    /// Where, in dimension `d`, the block ends that begins at `at`.
    fn end(&self, d: usize, at: u64) -> u64 {
        let next = self.cuts[d].iter().find(|cut| **cut > at);
        next.copied().unwrap_or(self.shape[d])
    }

    /// The blocks that have elements.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// How many elements it has.
    #[must_use]
    pub fn count(&self) -> u64 {
        volume(&self.shape).unwrap_or(0)
    }

    /// The indices of an element of the whole array.
    #[must_use]
    pub fn place(&self, global: u64) -> Vec<u64> {
        let mut rest = global;
        let mut place: Vec<u64> = self
            .shape
            .iter()
            .rev()
            .map(|extent| {
                let index = rest % extent.max(&1);
                rest /= extent.max(&1);
                index
            })
            .collect();
        place.reverse();
        place
    }

    /// Cuts elements of a block into runs.
    pub fn runs<'a>(
        &'a self,
        block: &'a Block,
        elements: Range<u64>,
    ) -> impl Iterator<Item = Run> + 'a {
        let (row, outer) = self.row(block);
        let mut local = elements.start;
        std::iter::from_fn(move || {
            let left = elements.end.checked_sub(local).filter(|left| *left > 0)?;
            let mut global = local % row + block.offset[outer] * self.inner(outer);
            let mut rest = local / row;
            for d in (0..outer).rev() {
                global += (block.offset[d] + rest % block.extent[d]) * self.inner(d);
                rest /= block.extent[d];
            }
            let run = Run { local, global, count: left.min(row - local % row) };
            local += run.count;
            Some(run)
        })
    }

    /// How many elements of the block lie behind each other, and the dimension from which on that
    /// is so.
    fn row(&self, block: &Block) -> (u64, usize) {
        let mut outer = self.shape.len() - 1;
        let mut row = block.extent[outer];
        while outer > 0 && block.extent[outer] == self.shape[outer] {
            outer -= 1;
            row *= block.extent[outer];
        }
        (row, outer)
    }

    /// Elements from one index of dimension `d` to the next.
    fn inner(&self, d: usize) -> u64 {
        self.shape[d + 1..].iter().product()
    }

    /// Which block has an element of the whole array, and how many elements from it on lie behind
    /// each other in that block, too.
    ///
    /// # Panics
    /// When there is no such element.
    #[must_use]
    pub fn find(&self, global: u64) -> (&Block, Run) {
        let place = self.place(global);
        let mut at = 0;
        for (cuts, index) in self.cuts.iter().zip(&place) {
            let cut = cuts.partition_point(|cut| cut <= index) - 1;
            at = at * cuts.len() + cut;
        }
        let block = &self.blocks[at];
        let mut local = 0;
        for ((index, offset), extent) in place.iter().zip(&block.offset).zip(&block.extent) {
            local = local * extent + (index - offset);
        }
        let (row, _) = self.row(block);
        (block, Run { local, global, count: row - local % row })
    }
}

/// How many elements an array of this shape has.
fn volume(shape: &[u64]) -> Option<u64> {
    let product = |all: u64, extent: &u64| all.checked_mul(*extent);
    // A zero anywhere is no elements, whatever overflows beside it.
    if shape.contains(&0) { Some(0) } else { shape.iter().try_fold(1, product) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::place::{Axis, Share};

    fn part(shape: &[u64], offset: &[u64], count: u64) -> FieldSpec {
        let place = Some(Place::Rows { shape: shape.to_vec(), offset: offset.to_vec() });
        let (state, name) = ("s".to_owned(), "u".to_owned());
        FieldSpec { state, name, kind: Kind::F64, element_bytes: 8, count, place, bound: None }
    }

    fn whole(shape: &[u64], blocks: &[(&[u64], u64)]) -> Result<Whole, Apart> {
        let parts: Vec<_> = blocks.iter().map(|(at, count)| part(shape, at, *count)).collect();
        Whole::of(&(0..).map(Rank).zip(&parts).collect::<Vec<_>>())
    }

    /// Every element of every block is found once, where the indices say.
    fn covers(whole: &Whole) {
        let mut seen = vec![false; whole.count() as usize];
        for block in whole.blocks() {
            let count = block.extent.iter().product();
            for from in 0..count {
                let mut next = from;
                for run in whole.runs(block, from..count) {
                    assert_eq!(run.local, next, "runs follow each other");
                    next += run.count;
                    for i in (0..run.count).filter(|_| from == 0) {
                        let global = run.global + i;
                        assert!(!std::mem::replace(&mut seen[global as usize], true));
                        let (found, at) = whole.find(global);
                        assert_eq!((found.rank, at.local), (block.rank, run.local + i));
                        let mut local = 0;
                        for (d, index) in whole.place(global).iter().enumerate() {
                            local = local * block.extent[d] + (index - block.offset[d]);
                        }
                        assert_eq!(local, run.local + i);
                    }
                }
                assert_eq!(next, count);
            }
        }
        assert!(seen.into_iter().all(|seen| seen));
    }

    #[test]
    fn grids_of_any_dimension_cover_each_element_once() {
        covers(&whole(&[7], &[(&[0], 3), (&[3], 4), (&[7], 0)]).unwrap());
        covers(&whole(&[5, 6], &[(&[0, 0], 6), (&[0, 3], 6), (&[2, 0], 9), (&[2, 3], 9)]).unwrap());
        covers(&whole(&[5, 6], &[(&[2, 0], 18), (&[0, 0], 12)]).unwrap());
        covers(&whole(&[5, 6], &[(&[0, 4], 10), (&[0, 0], 20)]).unwrap());
        let cube = [[0, 0, 0], [0, 0, 1], [0, 2, 0], [0, 2, 1], [1, 0, 0], [1, 0, 1], [1, 2, 0]];
        let blocks: Vec<_> = cube.iter().chain(&[[1, 2, 1]]).collect();
        let extent = |d: usize, at: u64| match (d, at) {
            (0 | 2, 0) | (1, 2) => 1,
            _ => 2,
        };
        let blocks: Vec<(&[u64], u64)> = blocks
            .into_iter()
            .map(|at| (&at[..], at.iter().enumerate().map(|(d, at)| extent(d, *at)).product()))
            .collect();
        covers(&whole(&[3, 3, 3], &blocks).unwrap());
        let empty = whole(&[0, 4], &[(&[0, 0], 0), (&[0, 4], 0)]).unwrap();
        assert!(empty.blocks().is_empty() && empty.count() == 0);
    }

    #[test]
    fn what_is_no_grid_is_told_apart() {
        let no_grid = |shape: &[u64], blocks: &[(&[u64], u64)], part: &str| {
            let error = whole(shape, blocks).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        };
        no_grid(&[4], &[(&[1], 3)], "first element");
        no_grid(&[4], &[(&[0], 2), (&[0], 2)], "blocks begin");
        no_grid(&[4], &[(&[0], 1), (&[2], 2)], "rank 0 has 1 elements in a place of 2");
        no_grid(&[4], &[(&[0], 2), (&[2], 3)], "rank 1");
        no_grid(&[4, 4], &[(&[0, 0], 4), (&[0, 1], 4), (&[2, 0], 4), (&[2, 3], 4)], "a grid of 6");
        no_grid(&[0], &[(&[0], 1)], "1 blocks hold 0 elements");
        no_grid(&[4], &[(&[0], 0)], "0 blocks hold 4 elements");
        no_grid(&[1 << 40, 1 << 40], &[(&[0, 0], 1)], "larger");
        let (a, b) = (part(&[4], &[0], 2), part(&[5], &[2], 2));
        assert_eq!(
            Whole::of(&[(Rank(0), &a), (Rank(1), &b)]),
            Err(Apart::Disagree(Rank(0), Rank(1)))
        );
        let none = FieldSpec { place: None, ..a.clone() };
        assert_eq!(Whole::of(&[(Rank(0), &a), (Rank(1), &none)]), Err(Apart::NoShape));
        assert_eq!(Whole::of(&[]), Err(Apart::NoShape));
        let same = FieldSpec { place: Some(Place::Replicated), ..a.clone() };
        assert_eq!(Whole::of(&[(Rank(0), &same)]), Err(Apart::NoShape));
        let share = Share::Cyclic { block: 1, parts: 2, part: 0 };
        let dealt = FieldSpec { place: Some(Place::Shares(vec![Axis { extent: 4, share }])), ..a };
        assert_eq!(Whole::of(&[(Rank(0), &dealt)]), Err(Apart::Dealt));
    }
}
