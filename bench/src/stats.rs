//! Medians and quartiles, and how sure a median is.
//!
//! Invariant: order statistics of the values themselves, no model of their distribution; the same
//! values give the same numbers, resampling too.
//! Deliberately absent: means, which one unlucky run moves.

use std::fmt;

use serde_json::{Value, json};

/// What a list of values looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// How many values there were.
    pub(crate) count: usize,
    /// The lower quartile.
    pub(crate) lower: f64,
    /// The median.
    pub(crate) median: f64,
    /// The upper quartile.
    pub(crate) upper: f64,
}

impl Spread {
    /// The spread of the values; `None` of no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |quarter: usize| {
            let (place, rest) = (last * quarter / 4, last * quarter % 4);
            let next = values[(place + 1).min(last)];
            values[place] + (next - values[place]) * rest as f64 / 4.0
        };
        Some(Self { count: values.len(), lower: at(1), median: at(2), upper: at(3) })
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        json!({"n": self.count, "q1": self.lower, "median": self.median, "q3": self.upper})
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, lower, median, upper } = self;
        write!(f, "{median:>8.2} {lower:>8.2} {upper:>8.2} {count:>5}")
    }
}

/// Samples of a bootstrap.
const RESAMPLES: usize = 4000;

/// The interval that holds the median with 95 %, by the percentiles of resampled medians; `None` of
/// fewer than two values.
///
/// # Source
/// B. Efron, *Bootstrap Methods: Another Look at the Jackknife*, Annals of Statistics 7, 1979.
pub(crate) fn interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mut state = 0_u64;
    let mut medians = (0..RESAMPLES)
        .filter_map(|_| {
            let sample = (0..values.len()).map(|_| values[below(&mut state, values.len())]);
            Some(Spread::of(sample)?.median)
        })
        .collect::<Vec<f64>>();
    medians.sort_by(f64::total_cmp);
    let cut = RESAMPLES * 25 / 1000;
    Some((*medians.get(cut)?, *medians.get(medians.len().checked_sub(cut + 1)?)?))
}

/// A number below `most`, by splitmix64. The bias is below one in 2^50 for lists of this kind.
fn below(state: &mut u64, most: usize) -> usize {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^= word >> 31;
    ((u128::from(word) * most as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_values() {
        let five = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!((five.lower, five.median, five.upper), (2.0, 3.0, 4.0));
        let two = Spread::of([1.0, 2.0]).unwrap();
        assert_eq!((two.lower, two.median, two.upper), (1.25, 1.5, 1.75));
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([7.0]).unwrap().upper, 7.0);
    }

    #[test]
    fn an_interval_holds_the_median_and_is_the_same_again() {
        let values: Vec<f64> = (0..11).map(f64::from).collect();
        let (low, high) = interval(&values).unwrap();
        assert!(low < 5.0 && 5.0 < high && low > 0.0 && high < 10.0, "{low} {high}");
        assert_eq!(interval(&values), Some((low, high)));
        assert_eq!(interval(&[2.0, 2.0, 2.0]), Some((2.0, 2.0)));
        assert_eq!(interval(&[1.0]), None);
    }
}
