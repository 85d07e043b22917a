//! Medians and quartiles.
//!
//! Invariant: order statistics of the values themselves, no model of their distribution.
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
}
