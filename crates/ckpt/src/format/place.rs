//! Which elements of an array that spans the ranks are one rank's.
//!
//! Invariants: a place that `Place::contradiction` finds nothing wrong with has as many elements as
//! its field, and no number in it overflows. Deliberately absent: other ranks;
//! [`reshape`](crate::reshape) compares them.

use mainstay_types::limits::DIMENSIONS_MAX;

/// What a rank's part is of that which all ranks hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A block of an array, of which only the first element's place is recorded.
    Rows {
        /// Extent of the whole array in each dimension.
        shape: Vec<u64>,
        /// First index of this block in each dimension.
        offset: Vec<u64>,
    },
    /// Of each dimension of an array a share. The part has the elements all of whose indices are in
    /// the shares, row by row.
    Shares(Vec<Axis>),
    /// The same on all ranks.
    Replicated,
}

/// A dimension of an array, and which of its indices are a rank's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Extent of the whole array.
    pub extent: u64,
    /// This rank's indices.
    pub share: Share,
}

/// The indices of a dimension that are a rank's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Indices that follow each other.
    Block {
        /// The first one.
        first: u64,
        /// How many there are.
        count: u64,
    },
    /// Blocks of indices that are dealt out in turn.
    Cyclic {
        /// Indices of a block; the last one may have fewer.
        block: u64,
        /// To how many parts they are dealt out.
        parts: u64,
        /// Which of the parts this is, from 0.
        part: u64,
    },
}

/// Indices that follow each other, of one dimension of a rank's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first one in the whole array.
    pub first: u64,
    /// The first one's place among the rank's indices.
    pub local: u64,
    /// How many there are.
    pub count: u64,
}

impl Axis {
    /// A dimension of which a rank has `count` indices from `first` on.
    #[must_use]
    pub fn block(extent: u64, first: u64, count: u64) -> Self {
        Self { extent, share: Share::Block { first, count } }
    }

    /// How many indices are the rank's.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self.share {
            Share::Block { count, .. } => count,
            Share::Cyclic { block, parts, part } => {
                let period = block * parts;
                let rest = (self.extent % period).saturating_sub(part * block);
                self.extent / period * block + rest.min(block)
            }
        }
    }

    /// The rank's indices, in order, as few runs as there are blocks.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        let (extent, share) = (self.extent, self.share);
        let (step, length, mut next) = match share {
            Share::Block { first, count } => (extent, count, Some(first).filter(|_| count > 0)),
            Share::Cyclic { parts: 1, .. } => (extent, extent, Some(0)),
            Share::Cyclic { block, parts, part } => (block * parts, block, Some(part * block)),
        };
        let mut local = 0;
        std::iter::from_fn(move || {
            let first = next.filter(|first| *first < extent)?;
            next = first.checked_add(step);
            let run = Run { first, local, count: length.min(extent - first) };
            local += run.count;
            Some(run)
        })
    }

    /// The index in the whole array of the rank's index `local`.
    #[must_use]
    pub fn index(&self, local: u64) -> u64 {
        match self.share {
            Share::Block { first, .. } => first.saturating_add(local),
            Share::Cyclic { block, parts, part } => {
                (local / block).saturating_mul(block * parts) + part * block + local % block
            }
        }
    }

    fn contradiction(&self) -> Option<&'static str> {
        if self.extent > i64::MAX as u64 {
            return Some("it is longer than any array");
        }
        match self.share {
            Share::Block { first, .. } if first > self.extent => Some("its block lies outside it"),
            Share::Block { first, count } if count > self.extent - first => {
                Some("its block ends outside it")
            }
            Share::Cyclic { block, parts, .. } if block == 0 || parts == 0 => {
                Some("it is dealt out in blocks without elements, or to nobody")
            }
            Share::Cyclic { block, parts, .. } if block.checked_mul(parts).is_none() => {
                Some("its blocks are longer than any array")
            }
            Share::Cyclic { parts, part, .. } if part >= parts => {
                Some("it has no part of this number")
            }
            Share::Block { .. } | Share::Cyclic { .. } => None,
        }
    }
}

impl Place {
    /// What is impossible in it, as the place of a field of `count` elements.
    pub(crate) fn contradiction(&self, count: u64) -> Option<&'static str> {
        let dimensions = match self {
            Self::Rows { shape, .. } => shape.len(),
            Self::Shares(axes) => axes.len(),
            Self::Replicated => return None,
        };
        if dimensions == 0 || dimensions > DIMENSIONS_MAX {
            return Some("it has no dimension, or more than 8");
        }
        match self {
            Self::Rows { shape, offset } => {
                if shape.len() != offset.len() {
                    return Some("its offset has another number of dimensions");
                }
                let mut pairs = offset.iter().zip(shape);
                pairs
                    .any(|(offset, extent)| offset > extent)
                    .then_some("its offset lies outside it")
            }
            Self::Shares(axes) => {
                let wrong = axes.iter().find_map(Axis::contradiction);
                wrong.or_else(|| {
                    let counts: Vec<u64> = axes.iter().map(Axis::count).collect();
                    (volume(&counts) != Some(count)).then_some(OTHER_COUNT)
                })
            }
            Self::Replicated => None,
        }
    }

    /// The shape of the whole array, if it is of one.
    #[must_use]
    pub fn shape(&self) -> Option<Vec<u64>> {
        match self {
            Self::Rows { shape, .. } => Some(shape.clone()),
            Self::Shares(axes) => Some(axes.iter().map(|axis| axis.extent).collect()),
            Self::Replicated => None,
        }
    }

    /// The first index of a block in each dimension; `None` of what is no block.
    #[must_use]
    pub fn offset(&self) -> Option<Vec<u64>> {
        let first = |axis: &Axis| match axis.share {
            Share::Block { first, .. } => Some(first),
            Share::Cyclic { .. } => None,
        };
        match self {
            Self::Rows { offset, .. } => Some(offset.clone()),
            Self::Shares(axes) => axes.iter().map(first).collect(),
            Self::Replicated => None,
        }
    }

    /// The dimensions of a part of `count` elements. `None` of what is no part of an array, and of
    /// [`Rows`](Place::Rows) that are not whole: how far they reach is not recorded.
    #[must_use]
    pub fn axes(&self, count: u64) -> Option<Vec<Axis>> {
        let (shape, offset) = match self {
            Self::Rows { shape, offset } => (shape, offset),
            Self::Shares(axes) => return Some(axes.clone()),
            Self::Replicated => return None,
        };
        let (rows, inner) = shape.split_first()?;
        let (first, beside) = offset.split_first()?;
        let width = volume(inner).filter(|width| *width > 0);
        let whole = beside.iter().all(|offset| *offset == 0);
        let count = match width {
            _ if count == 0 => 0,
            Some(width) if whole && count.is_multiple_of(width) => count / width,
            Some(_) | None => return None,
        };
        let rows = Axis::block(*rows, *first, count);
        if rows.contradiction().is_some() {
            return None;
        }
        let inner = inner.iter().map(|extent| Axis::block(*extent, 0, *extent));
        Some([rows].into_iter().chain(inner).collect())
    }

    /// Bytes in a table, without the byte that tells which place it is.
    pub(super) fn entry_bytes(&self) -> usize {
        match self {
            Self::Rows { shape, offset } => 8 + 8 * (shape.len() + offset.len()),
            Self::Shares(axes) => 4 + axes.iter().map(Axis::entry_bytes).sum::<usize>(),
            Self::Replicated => 0,
        }
    }
}

impl Axis {
    fn entry_bytes(&self) -> usize {
        match self.share {
            Share::Block { .. } => 8 + 1 + 16,
            Share::Cyclic { .. } => 8 + 1 + 24,
        }
    }
}

const OTHER_COUNT: &str = "its part of it has another number of elements than the field";

/// How many elements an array of these extents has; `None` if they overflow.
pub(crate) fn volume(extents: &[u64]) -> Option<u64> {
    if extents.contains(&0) {
        return Some(0);
    }
    extents.iter().try_fold(1, |all: u64, extent| all.checked_mul(*extent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cyclic(extent: u64, block: u64, parts: u64, part: u64) -> Axis {
        Axis { extent, share: Share::Cyclic { block, parts, part } }
    }

    #[test]
    fn indices_are_those_that_are_dealt_out_in_turn() {
        for (extent, block, parts) in
            [(0, 1, 1), (1, 3, 2), (17, 3, 2), (18, 3, 2), (19, 3, 2), (20, 1, 7), (6, 9, 4)]
        {
            for part in 0..parts {
                let axis = cyclic(extent, block, parts, part);
                assert_eq!(axis.contradiction(), None);
                let naive: Vec<u64> = (0..extent).filter(|i| i / block % parts == part).collect();
                let runs: Vec<u64> =
                    axis.runs().flat_map(|run| run.first..run.first + run.count).collect();
                assert_eq!(runs, naive, "{axis:?}");
                assert_eq!(axis.count(), naive.len() as u64, "{axis:?}");
                let local = (0..axis.count()).map(|local| axis.index(local));
                assert_eq!(local.collect::<Vec<_>>(), naive, "{axis:?}");
            }
        }
        assert_eq!(Axis::block(9, 4, 3).runs().count(), 1);
        assert_eq!(Axis::block(9, 9, 0).runs().count(), 0);
        assert_eq!(cyclic(9, 2, 1, 0).runs().count(), 1, "dealt out to one is a whole");
    }

    #[test]
    fn numbers_at_the_ends_of_their_types_are_no_panic() {
        const MOST: u64 = i64::MAX as u64;
        for axis in [
            cyclic(MOST, 1, u64::MAX, u64::MAX - 1),
            cyclic(MOST, u64::MAX, 1, 0),
            cyclic(MOST, 1 << 62, 2, 1),
            Axis::block(MOST, MOST, 0),
            Axis::block(MOST, 0, MOST),
        ] {
            assert_eq!(axis.contradiction(), None, "{axis:?}");
            assert!(axis.count() <= axis.extent);
            assert!(axis.runs().take(3).map(|run| run.count).sum::<u64>() <= axis.count());
        }
        for axis in [
            cyclic(MOST + 1, 1, 1, 0),
            cyclic(9, u64::MAX, 2, 0),
            cyclic(9, 0, 2, 0),
            cyclic(9, 1, 0, 0),
            cyclic(9, 1, 2, 2),
            Axis::block(9, 10, 0),
            Axis::block(9, 9, 1),
            Axis::block(9, 1, u64::MAX),
        ] {
            assert!(axis.contradiction().is_some(), "{axis:?}");
        }
    }

    #[test]
    fn rows_are_known_where_they_are_whole() {
        let rows = |shape: &[u64], offset: &[u64], count| {
            let place = Place::Rows { shape: shape.to_vec(), offset: offset.to_vec() };
            place.axes(count)
        };
        assert_eq!(rows(&[9], &[4], 3), Some(vec![Axis::block(9, 4, 3)]));
        let slab = vec![Axis::block(9, 4, 3), Axis::block(5, 0, 5)];
        assert_eq!(rows(&[9, 5], &[4, 0], 15), Some(slab));
        for (offset, count) in [([4, 1], 15), ([4, 0], 14), ([4, 0], 30)] {
            assert_eq!(rows(&[9, 5], &offset, count), None, "{offset:?} {count}");
        }
        assert_eq!(rows(&[9, 5], &[9, 5], 0).map(|axes| axes[0].count()), Some(0));
        assert_eq!(rows(&[u64::MAX, u64::MAX, 2], &[0, 0, 0], 4), None);
    }
}
