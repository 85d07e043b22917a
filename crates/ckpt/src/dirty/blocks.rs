//! A set of blocks of a field, a bit each.
//!
//! Invariant: no bit beyond the number of blocks is ever set. Deliberately absent: what it is a set of.

use std::ops::Range;

const WORD: usize = u64::BITS as usize;

/// A set of the blocks `0..len`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    words: Vec<u64>,
    len: usize,
}

impl Blocks {
    /// Of so many blocks none.
    #[must_use]
    pub fn none(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(WORD)], len }
    }

    /// How many blocks there are, in the set or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no blocks at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts those of a range in; what lies beyond the last is left out.
    pub fn add(&mut self, range: Range<usize>) {
        for (i, mask) in masks(&self.within(range)) {
            self.words[i] |= mask;
        }
    }

    /// Takes those of a range out.
    pub fn remove(&mut self, range: Range<usize>) {
        for (i, mask) in masks(&self.within(range)) {
            self.words[i] &= !mask;
        }
    }

    /// How many of a range are in.
    #[must_use]
    pub fn count(&self, range: Range<usize>) -> usize {
        masks(&self.within(range))
            .map(|(i, mask)| (self.words[i] & mask).count_ones() as usize)
            .sum()
    }

    /// Those of a range that are in, as the longest runs, in order.
    pub fn runs(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
        let Range { start, end } = self.within(range);
        let mut at = start;
        std::iter::from_fn(move || {
            let first = self.next(at, end, true)?;
            at = self.next(first, end, false).unwrap_or(end);
            Some(first..at)
        })
    }

    /// The first of a range that is in, or that is not.
    fn next(&self, from: usize, end: usize, is_in: bool) -> Option<usize> {
        masks(&(from..end)).find_map(|(i, mask)| {
            let word = if is_in { self.words[i] } else { !self.words[i] } & mask;
            (word != 0).then(|| i * WORD + word.trailing_zeros() as usize)
        })
    }

    fn within(&self, range: Range<usize>) -> Range<usize> {
        range.start.min(self.len)..range.end.min(self.len)
    }
}

/// The words that a range touches, and its bits in each.
fn masks(range: &Range<usize>) -> impl Iterator<Item = (usize, u64)> + use<> {
    let Range { start, end } = *range;
    let words = if start < end { start / WORD..end.div_ceil(WORD) } else { 0..0 };
    words.map(move |i| {
        let from = start.saturating_sub(i * WORD);
        let to = (end - i * WORD).min(WORD);
        (i, (u64::MAX << from) & (u64::MAX >> (WORD - to)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_bits_agrees_with_one_of_bools() {
        for len in [0, 1, 63, 64, 65, 128, 200] {
            for (a, b) in [(0, 0), (0, 1), (5, 70), (63, 64), (64, 129), (0, 500), (199, 200)] {
                let (mut blocks, mut naive) = (Blocks::none(len), vec![false; len]);
                let set = |naive: &mut Vec<bool>, range: Range<usize>, is_in: bool| {
                    naive
                        .iter_mut()
                        .enumerate()
                        .filter(|(i, _)| range.contains(i))
                        .for_each(|(_, n)| *n = is_in);
                };
                blocks.add(a..b);
                set(&mut naive, a..b, true);
                blocks.remove(a + 3..b / 2);
                set(&mut naive, a + 3..b / 2, false);
                for range in [0..len, 2..len.saturating_sub(1), 60..70, 0..1000] {
                    let inside = |i: &usize| range.contains(i) && naive[*i];
                    assert_eq!(blocks.count(range.clone()), (0..len).filter(inside).count());
                    let of_runs: Vec<usize> = blocks.runs(range.clone()).flatten().collect();
                    assert_eq!(of_runs, (0..len).filter(inside).collect::<Vec<_>>());
                    let runs: Vec<_> = blocks.runs(range.clone()).collect();
                    assert!(runs.windows(2).all(|two| two[0].end < two[1].start), "the longest");
                }
            }
        }
    }
}
