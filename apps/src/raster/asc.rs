//! ESRI ASCII grids, read and written.
//!
//! ```text
//! ncols 403            whole numbers
//! nrows 344
//! xllcorner -84.41375  or xllcenter
//! yllcorner 36.44625   or yllcenter
//! cellsize 0.00083333
//! NODATA_value -9999   may be left out, and is -9999 then
//! 483 487 491 …        row by row from the north, from the west
//! ```
//!
//! Invariants: the words of the header come in any order and case, each once; line ends among the
//! numbers have no meaning; what is written reads back to the same bits. Deliberately absent: cells
//! that are not square.

use std::fmt::{self, Write as _};

use super::words::Words;
use super::{Place, Raster, RasterFault, VALUE_MAX, check_size, shown};
use crate::InputError;

/// The number of a missing cell, when a header names none.
const NODATA: f64 = -9999.0;
/// Cells for which room is made before any was seen.
const FIRST_ROOM: usize = 64 * 1024;

const WHOLE: &str = "a whole number, like 403";
const NUMBER: &str = "a finite number, like -84.5";
const POSITIVE: &str = "a number above zero, like 30";

#[derive(Default)]
struct Header {
    columns: Option<u64>,
    rows: Option<u64>,
    x: Option<(f64, bool)>,
    y: Option<(f64, bool)>,
    cell: Option<f64>,
    nodata: Option<f64>,
    /// Where the last word of the size stands: line and column.
    size_at: (u64, u64),
}

/// Reads a grid; `magic` is how the file begins.
pub(super) fn read(mut words: Words<'_>, magic: &[u8]) -> Result<Raster, InputError> {
    let mut header = Header::default();
    let mut is_first = true;
    while words.advance(false)? {
        // A value that is `nan` is a value all the same, and no word of the header.
        if words.word().parse::<f64>().is_ok() && !is_first {
            return read_cells(words, &header);
        }
        let key = words.word().to_ascii_lowercase();
        if !header.read(&key, &mut words)? {
            let found = if is_first { shown(&String::from_utf8_lossy(magic)) } else { key };
            return Err(match is_first {
                true => words.fault(RasterFault::Unknown { found }),
                false => words.fault(RasterFault::Key { found: shown(&found) }),
            });
        }
        if key == "ncols" || key == "nrows" {
            header.size_at = words.at();
        }
        is_first = false;
    }
    match is_first {
        true => Err(words.fault(RasterFault::Empty)),
        false => Err(words.fault(RasterFault::HeaderEnds)),
    }
}

impl Header {
    /// Reads what follows a word of the header; `false` if it is none.
    fn read(&mut self, key: &str, words: &mut Words<'_>) -> Result<bool, InputError> {
        match key {
            "ncols" => set(&mut self.columns, "ncols", words, WHOLE, whole)?,
            "nrows" => set(&mut self.rows, "nrows", words, WHOLE, whole)?,
            "xllcorner" => set(&mut self.x, "xllcorner", words, NUMBER, |t| corner(t, false))?,
            "xllcenter" => set(&mut self.x, "xllcenter", words, NUMBER, |t| corner(t, true))?,
            "yllcorner" => set(&mut self.y, "yllcorner", words, NUMBER, |t| corner(t, false))?,
            "yllcenter" => set(&mut self.y, "yllcenter", words, NUMBER, |t| corner(t, true))?,
            "cellsize" => set(&mut self.cell, "cellsize", words, POSITIVE, side)?,
            // Not a number is what some programs write for a missing cell.
            "nodata_value" => set(&mut self.nodata, "NODATA_value", words, NUMBER, number)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The size and the place, when all that must be there is.
    fn check(&self, bytes_max: u64) -> Result<((usize, usize), Place), RasterFault> {
        let missing = |key, example| RasterFault::KeyMissing { key, example };
        let columns = self.columns.ok_or(missing("ncols", "403"))?;
        let rows = self.rows.ok_or(missing("nrows", "344"))?;
        let (x, x_centred) = self.x.ok_or(missing("xllcorner", "-84.5"))?;
        let (y, y_centred) = self.y.ok_or(missing("yllcorner", "36.5"))?;
        let cell = self.cell.ok_or(missing("cellsize", "30"))?;
        // A digit and what divides it from the next.
        let size = check_size((rows, columns), 16, bytes_max)?;
        Ok((size, Place { x, y, centred: (x_centred, y_centred), cell }))
    }
}

fn set<T>(
    slot: &mut Option<T>,
    key: &'static str,
    words: &mut Words<'_>,
    wanted: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<(), InputError> {
    if slot.is_some() {
        return Err(words.fault(RasterFault::KeyTwice { key }));
    }
    if !words.advance(false)? {
        return Err(words.fault(RasterFault::HeaderEnds));
    }
    *slot = parse(words.word());
    match slot {
        Some(_) => Ok(()),
        None => Err(words.fault(RasterFault::KeyValue { key, found: words.found(), wanted })),
    }
}

fn whole(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| !value.is_infinite())
}

fn corner(text: &str, centred: bool) -> Option<(f64, bool)> {
    number(text).filter(|value| value.is_finite()).map(|value| (value, centred))
}

fn side(text: &str) -> Option<f64> {
    number(text).filter(|value| *value > 0.0)
}

fn read_cells(mut words: Words<'_>, header: &Header) -> Result<Raster, InputError> {
    let checked = header.check(words.bytes_max());
    let (size, place) = checked.map_err(|fault| match fault {
        RasterFault::KeyMissing { .. } => words.fault(fault),
        of_size => words.fault_at(header.size_at, of_size),
    })?;
    let nodata = header.nodata.unwrap_or(NODATA);
    let count = size.0 * size.1;
    let mut cells = Vec::with_capacity(count.min(FIRST_ROOM));
    loop {
        let found = || words.found();
        let value: f64 = match words.word().parse() {
            Ok(value) => value,
            Err(_) => return Err(words.fault(RasterFault::Value { found: found() })),
        };
        let is_missing = value == nodata || (value.is_nan() && nodata.is_nan());
        if !is_missing && (value.is_nan() || value.abs() > VALUE_MAX) {
            return Err(words.fault(RasterFault::Range { found: found(), max: VALUE_MAX }));
        }
        cells.push(if is_missing { f64::NAN } else { value });
        let more = words.advance(false)?;
        let claimed = count as u64;
        match (more, cells.len() == count) {
            (true, false) => {}
            (false, true) => break,
            (true, true) => return Err(words.fault(RasterFault::TooMany { claimed })),
            (false, false) => {
                let found = cells.len() as u64;
                return Err(words.fault(RasterFault::TooFew { found, claimed }));
            }
        }
    }
    Raster::new(size, Some(place), cells).map_err(|fault| words.file_fault(fault))
}

/// A number for missing cells that is none of those from `min` to `max`.
#[must_use]
pub fn nodata_beside(min: f64, max: f64) -> f64 {
    // Below a minimum of at most -9999, twice that is a smaller number yet.
    if (min..=max).contains(&NODATA) { min * 2.0 } else { NODATA }
}

/// The header of a grid. Without a place it lies at the origin and its cells have sides of 1.
#[must_use]
pub fn header_text((rows, columns): (usize, usize), place: Option<Place>, nodata: f64) -> String {
    let origin = Place { x: 0.0, y: 0.0, centred: (false, false), cell: 1.0 };
    let Place { x, y, centred, cell } = place.unwrap_or(origin);
    let word = |centred| if centred { "center" } else { "corner" };
    let (x_word, y_word) = (word(centred.0), word(centred.1));
    format!(
        "ncols {columns}\nnrows {rows}\nxll{x_word} {}\nyll{y_word} {}\ncellsize {}\n\
         NODATA_value {}\n",
        Digits(x),
        Digits(y),
        Digits(cell),
        Digits(nodata)
    )
}

/// Adds a row of a grid to `text`.
pub fn row_text(text: &mut String, row: &[f64], nodata: f64) {
    for (column, value) in row.iter().enumerate() {
        let gap = if column > 0 { " " } else { "" };
        let value = if value.is_nan() { nodata } else { *value };
        // Writing to a string cannot fail.
        let _written = write!(text, "{gap}{}", Digits(value));
    }
    text.push('\n');
}

/// The shortest digits that read back to the same bits, with an exponent where zeros would be many.
struct Digits(f64);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = self;
        let is_plain = *value == 0.0 || (1e-5..1e15).contains(&value.abs());
        if is_plain { write!(f, "{value}") } else { write!(f, "{value:e}") }
    }
}
