//! The heat of a field, its extremes, and how far it drifted.
//!
//! Invariant: a row is summed from the west and rows from the north, with the rounding errors kept
//! and added at the end, so the sum is the same for every division among ranks and its own error
//! does not hide that of the scheme. Deliberately absent: messages.
//!
//! # Source
//! A. Neumaier, *Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen*, 1974.

use crate::raster::Raster;

/// A sum over numbers in their order, to nearly the precision of its result.
#[must_use]
pub fn sum(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0);
    for number in numbers {
        let next = sum + number;
        let (large, small) = if sum.abs() >= number.abs() { (sum, number) } else { (number, sum) };
        lost += (large - next) + small;
        sum = next;
    }
    sum + lost
}

/// The heat of a row: the sum of its numbers.
#[must_use]
pub fn heat_of_row(row: &[f64]) -> f64 {
    sum(row.iter().copied().filter(|value| !value.is_nan()))
}

/// What a raster holds before the first step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    /// The sum over all cells.
    pub heat: f64,
    /// The sum of their sizes.
    pub size: f64,
    /// The number of cells that hold a number.
    pub cells: u64,
}

impl Totals {
    /// Sums up a raster.
    #[must_use]
    pub fn of(raster: &Raster) -> Self {
        let rows = || (0..raster.rows()).map(|row| raster.row(row));
        let present = raster.cells().iter().filter(|value| !value.is_nan());
        Self {
            heat: sum(rows().map(heat_of_row)),
            size: sum(present.clone().map(|value| value.abs())),
            cells: present.count() as u64,
        }
    }

    /// How far `heat` is from that of the start, relative to the sizes of all numbers.
    #[must_use]
    pub fn drift(&self, heat: f64) -> f64 {
        if self.size == 0.0 { 0.0 } else { (heat - self.heat).abs() / self.size }
    }
}
