//! Rasters: a number for each cell of a grid, or none, from the files that people have.
//!
//! Read, known by content and not by name, compressed with gzip or not: ESRI ASCII grids, grey PNG
//! of up to 16 bits, PGM as text (`P2`) or bytes (`P5`) of up to 16 bits. Colour is refused, since
//! a colour is no number.
//!
//! Invariants: a raster has at least one cell that holds a number, and at most [`CELLS_MAX`] cells;
//! a number is finite and at most [`VALUE_MAX`] in size; a missing cell holds NaN. The size that a
//! file claims is judged against that limit and against the bytes of the file before memory is
//! taken for it. Deliberately absent: projections, units and all other meaning of the numbers.

mod asc;
mod fault;
mod pgm;
mod png;
mod words;

use std::io::{Cursor, Read};
use std::path::Path;

pub use asc::{header_text, nodata_beside, row_text};
pub use fault::RasterFault;
use serde::{Deserialize, Serialize};

use crate::InputError;
use crate::source::Source;
use words::Words;

/// The most cells of a raster: every rank holds it once, in 512 MiB.
pub const CELLS_MAX: u64 = 1 << 26;
/// The greatest size of a number, so that no sum over all cells overflows.
pub const VALUE_MAX: f64 = 1e300;

/// Where a raster lies and how large its cells are, as its header says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The western end: of the raster, or the middle of its western cells.
    pub x: f64,
    /// The southern end: of the raster, or the middle of its southern cells.
    pub y: f64,
    /// Whether `x` and `y` are middles of cells.
    pub centred: (bool, bool),
    /// The length of a cell's side.
    pub cell: f64,
}

/// A number for each cell of a grid, row by row from the north; NaN where there is none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Raster {
    rows: usize,
    columns: usize,
    place: Option<Place>,
    cells: Vec<f64>,
}

impl Raster {
    /// Reads the raster in the file at `path`.
    ///
    /// # Errors
    /// Whatever is wrong with the file, with its line and column or byte, and the mend.
    pub fn read(path: &Path) -> Result<Self, InputError> {
        let mut source = Source::open(path)?;
        let mut head = Vec::new();
        let read = (&mut source.reader).take(png::MAGIC.len() as u64).read_to_end(&mut head);
        read.map_err(|e| InputError::of_file(path, source.classify(e)))?;
        let magic = head.clone();
        source.reader = Box::new(Cursor::new(head).chain(source.reader));
        match &magic[..] {
            [] => Err(InputError::of_file(path, RasterFault::Empty)),
            png::MAGIC => png::read(path, source),
            [b'P', kind @ b'1'..=b'7', rest @ ..]
                if rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'#') =>
            {
                pgm::read(Words::new(path, source), *kind)
            }
            _ => asc::read(Words::new(path, source), &magic),
        }
    }

    /// A raster from its cells, row by row from the north, NaN where there is no number.
    ///
    /// # Errors
    /// If the numbers of cells differ, all of them are missing, or a number is too great.
    pub fn new(
        (rows, columns): (usize, usize),
        place: Option<Place>,
        cells: Vec<f64>,
    ) -> Result<Self, RasterFault> {
        let claimed = (rows as u64).saturating_mul(columns as u64);
        if cells.len() as u64 != claimed {
            return Err(RasterFault::TooFew { found: cells.len() as u64, claimed });
        }
        if let Some(value) = cells.iter().find(|value| value.abs() > VALUE_MAX) {
            return Err(RasterFault::Range { found: value.to_string(), max: VALUE_MAX });
        }
        if cells.iter().all(|value| value.is_nan()) {
            return Err(RasterFault::AllMissing);
        }
        Ok(Self { rows, columns, place, cells })
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Where it lies, if its file says so.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// All cells, row by row from the north.
    #[must_use]
    pub fn cells(&self) -> &[f64] {
        &self.cells
    }

    /// One row, from the west.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.cells[row * self.columns..][..self.columns]
    }

    /// Whether there is such a cell and it holds a number.
    #[must_use]
    pub fn is_present(&self, row: usize, column: usize) -> bool {
        row < self.rows && column < self.columns && !self.row(row)[column].is_nan()
    }
}

/// The same place, size and numbers; missing cells equal each other.
impl PartialEq for Raster {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
        (self.rows, self.columns, self.place) == (other.rows, other.columns, other.place)
            && self.cells.iter().zip(&other.cells).all(same)
    }
}

/// Judges a claimed size against the limit, and against the most bytes of content where each cell
/// takes at least `cell_bits`.
fn check_size(
    (rows, columns): (u64, u64),
    cell_bits: u64,
    bytes_max: u64,
) -> Result<(usize, usize), RasterFault> {
    let cells = rows.saturating_mul(columns);
    for (what, found) in [("columns", columns), ("rows", rows)] {
        if found == 0 {
            return Err(RasterFault::NoCells { what });
        }
    }
    if cells > CELLS_MAX {
        return Err(RasterFault::TooLarge { rows, columns, max: CELLS_MAX });
    }
    let room = bytes_max.saturating_add(1).saturating_mul(8) / cell_bits;
    if cells > room {
        return Err(RasterFault::NoRoom { rows, columns, room });
    }
    // Both are at most `CELLS_MAX`, which any address space here holds.
    Ok((rows as usize, columns as usize))
}

/// A word of a file for a message: without control characters, and not endless.
fn shown(word: &str) -> String {
    word.escape_debug().take(40).collect()
}

#[cfg(test)]
mod tests;
