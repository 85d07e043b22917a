//! One step of the scheme on one block, in place.
//!
//! A row is written over while the row below still needs its old numbers, so copies of two old rows
//! are kept. That moves 16 bytes of memory a cell, where a second field would move 24. Cells whose
//! four neighbours in the block hold numbers make up spans, which are found once and computed
//! without asking; all others, at walls and at the sides of the block, are computed one by one.
//!
//! Invariants: both ways give the same bits; a missing cell keeps its own; a halo beyond the raster
//! is missing for ever. Deliberately absent: messages.

use std::ops::Range;

use super::{Block, RATIO, Side};
use crate::raster::Raster;

/// Shorter spans cost more than they save.
const SPAN_MIN: usize = 8;

/// What a rank needs for steps and computes again whenever it enters.
#[derive(Debug)]
pub struct Stencil {
    width: usize,
    height: usize,
    /// The cells of other blocks that touch this one, by [`Side`].
    halo: [Vec<f64>; 4],
    spans: Vec<Range<usize>>,
    /// For each row, the end of its spans.
    span_ends: Vec<usize>,
    /// The old numbers of the row above, and of this row.
    above: Vec<f64>,
    here: Vec<f64>,
}

/// The old numbers that a row is computed from.
struct Around<'a> {
    here: &'a [f64],
    above: &'a [f64],
    below: &'a [f64],
    west: f64,
    east: f64,
}

impl Stencil {
    /// For the cells of `raster` in `block`.
    #[must_use]
    pub fn new(raster: &Raster, block: &Block) -> Self {
        let (height, width) = (block.rows.len(), block.columns.len());
        let missing = |length| vec![f64::NAN; length];
        let mut stencil = Self {
            width,
            height,
            halo: [missing(width), missing(width), missing(height), missing(height)],
            spans: Vec::new(),
            span_ends: Vec::new(),
            above: missing(width),
            here: missing(width),
        };
        for row in block.rows.clone().filter(|_| width > 0) {
            stencil.find_spans(raster, row, &block.columns);
        }
        stencil
    }

    fn find_spans(&mut self, raster: &Raster, row: usize, columns: &Range<usize>) {
        let near = |row: usize| (row < raster.rows()).then(|| &raster.row(row)[columns.clone()]);
        let rows = (near(row.wrapping_sub(1)), near(row), near(row + 1));
        let is_open = |at: usize| match rows {
            (Some(above), Some(here), Some(below)) => {
                let around = [above[at], here[at - 1], here[at], here[at + 1], below[at]];
                !around.iter().any(|value| value.is_nan())
            }
            _ => false,
        };
        let mut start = None;
        // One beyond the last inner column, which ends the last span.
        for at in 1..self.width {
            let open = at + 1 < self.width && is_open(at);
            match (start, open) {
                (None, true) => start = Some(at),
                (Some(from), false) => {
                    if at - from >= SPAN_MIN {
                        self.spans.push(from..at);
                    }
                    start = None;
                }
                _ => {}
            }
        }
        self.span_ends.push(self.spans.len());
    }

    /// Adds what the neighbour on a side needs of the block `u`.
    pub fn edge(&self, u: &[f64], side: Side, packed: &mut Vec<f64>) {
        let width = self.width.max(1);
        match side {
            Side::North => packed.extend_from_slice(&u[..self.width]),
            Side::South => packed.extend_from_slice(&u[u.len() - self.width..]),
            Side::West => packed.extend(u.iter().step_by(width)),
            Side::East => packed.extend(u.iter().skip(width - 1).step_by(width)),
        }
    }

    /// Where the edge of the neighbour on a side belongs.
    pub fn halo(&mut self, side: Side) -> &mut [f64] {
        &mut self.halo[side as usize]
    }

    /// One step of the block `u`.
    ///
    /// # Panics
    /// If `u` is not of the size of the block.
    pub fn relax(&mut self, u: &mut [f64]) {
        assert_eq!(u.len(), self.width * self.height, "the block's own cells");
        self.above.copy_from_slice(&self.halo[Side::North as usize]);
        let mut first_span = 0;
        for i in 0..self.height {
            let (upper, lower) = u.split_at_mut((i + 1) * self.width);
            let row = &mut upper[i * self.width..];
            self.here.copy_from_slice(row);
            let below = match lower.get(..self.width) {
                Some(below) => below,
                None => &self.halo[Side::South as usize],
            };
            let around = Around {
                here: &self.here,
                above: &self.above,
                below,
                west: self.halo[Side::West as usize][i],
                east: self.halo[Side::East as usize][i],
            };
            let spans = &self.spans[first_span..self.span_ends[i]];
            around.relax(row, spans);
            first_span = self.span_ends[i];
            std::mem::swap(&mut self.above, &mut self.here);
        }
    }
}

impl Around<'_> {
    fn relax(&self, row: &mut [f64], spans: &[Range<usize>]) {
        let mut done = 0;
        for span in spans {
            self.one_by_one(row, done..span.start);
            self.open(row, span.clone());
            done = span.end;
        }
        self.one_by_one(row, done..row.len());
    }

    /// Cells whose neighbours all hold numbers.
    fn open(&self, row: &mut [f64], span: Range<usize>) {
        let length = span.len();
        let old = &self.here[span.start - 1..span.end + 1];
        let (west, here, east) = (&old[..length], &old[1..=length], &old[2..]);
        let (north, south) = (&self.above[span.clone()], &self.below[span.clone()]);
        let row = &mut row[span];
        // Lengths that the compiler sees to be equal need no check within the loop.
        let (north, south, east) = (&north[..length], &south[..length], &east[..length]);
        for (j, cell) in row.iter_mut().enumerate() {
            let c = here[j];
            *cell = mix(c, [north[j] - c, south[j] - c, west[j] - c, east[j] - c]);
        }
    }

    fn one_by_one(&self, row: &mut [f64], cells: Range<usize>) {
        for j in cells {
            let c = self.here[j];
            if c.is_nan() {
                continue;
            }
            let west = if j > 0 { self.here[j - 1] } else { self.west };
            let east = self.here.get(j + 1).copied().unwrap_or(self.east);
            let difference = |n: f64| if n.is_nan() { 0.0 } else { n - c };
            row[j] = mix(c, [self.above[j], self.below[j], west, east].map(difference));
        }
    }
}

/// The new number of a cell, from the differences to its neighbours in the north, south, west and
/// east. The one place where the order of operations stands.
#[inline(always)]
fn mix(c: f64, [north, south, west, east]: [f64; 4]) -> f64 {
    c + RATIO * ((north + south) + (west + east))
}
