//! The proof that parts give every element exactly once.
//!
//! A sweep through one dimension cuts it where any part begins or ends. Between two cuts the same
//! parts take part, and whether these give every element once is a question of the dimensions that
//! are left: it is asked once for each set of parts, however many intervals have it. In the last
//! dimension each interval has to have exactly one.
//!
//! Invariants: what it takes follows the number of blocks in each dimension, not their product; what
//! is missing or doubled is told by its index. Deliberately absent: whose parts they are.

use std::collections::BTreeSet;

use super::assembly::{Part, Span};

/// What is not given exactly once, by its index among the wanted ones of each dimension.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// By no part.
    Lacking(Vec<u64>),
    /// By these two of the parts.
    Doubled(Vec<u64>, usize, usize),
}

/// Requires that the parts give each element of an array of these extents, all above 0, once.
pub(super) fn check(extents: &[u64], parts: &[Part]) -> Result<(), Fault> {
    let among: Vec<usize> = (0..parts.len()).collect();
    let cover = Cover { extents, parts };
    cover.sweep(0, &among).map_err(Fault::in_order)
}

struct Cover<'a> {
    extents: &'a [u64],
    parts: &'a [Part],
}

impl Cover<'_> {
    /// Sweeps through dimension `d`. Indices of a fault are in reverse order.
    fn sweep(&self, d: usize, among: &[usize]) -> Result<(), Fault> {
        let cuts = self.cuts(d, among);
        let (mut at, mut active) = (0, BTreeSet::new());
        let mut asked = BTreeSet::new();
        for (cut, opens, part) in cuts {
            if cut > at {
                self.interval(d, at, &active, &mut asked)?;
                at = cut;
            }
            if opens {
                active.insert(part);
            } else {
                active.remove(&part);
            }
        }
        if at < self.extents[d] {
            self.interval(d, at, &active, &mut asked)?;
        }
        Ok(())
    }

    /// Where a part begins or ends in dimension `d`, in order; ends come first.
    fn cuts(&self, d: usize, among: &[usize]) -> Vec<(u64, bool, usize)> {
        let mut cuts = Vec::new();
        for part in among {
            for Span { into, count, .. } in self.parts[*part].spans(d) {
                cuts.push((*into, true, *part));
                cuts.push((into + count, false, *part));
            }
        }
        cuts.sort_unstable();
        cuts
    }

    /// Looks at the interval that begins at `at`, in which these parts are active.
    fn interval(
        &self,
        d: usize,
        at: u64,
        active: &BTreeSet<usize>,
        asked: &mut BTreeSet<Vec<usize>>,
    ) -> Result<(), Fault> {
        let left = self.extents.len() - 1 - d;
        let mut two = active.iter();
        match (two.next(), two.next()) {
            (None, _) => {
                let mut index = vec![0; left];
                index.push(at);
                Err(Fault::Lacking(index))
            }
            (Some(_), None) if left == 0 => Ok(()),
            (Some(a), Some(b)) if left == 0 => Err(Fault::Doubled(vec![at], *a, *b)),
            (Some(_), _) => {
                let set: Vec<usize> = active.iter().copied().collect();
                if asked.contains(&set) {
                    return Ok(());
                }
                self.sweep(d + 1, &set).map_err(|fault| fault.within(at))?;
                asked.insert(set);
                Ok(())
            }
        }
    }
}

impl Fault {
    fn index(&mut self) -> &mut Vec<u64> {
        match self {
            Self::Lacking(index) | Self::Doubled(index, ..) => index,
        }
    }

    fn within(mut self, at: u64) -> Self {
        self.index().push(at);
        self
    }

    fn in_order(mut self) -> Self {
        self.index().reverse();
        self
    }
}
