//! One line of a Matrix Market file that holds an entry.
//!
//! Invariants: the result is inside the matrix and finite; all entries of a symmetric file are in
//! the triangle of the first one off the diagonal. (The format asks for the lower one; files with
//! the upper one exist, and mean the same.)

use std::cmp::Ordering;

use super::header::{Field, Header, Size, Symmetry};
use super::{Entry, MatrixFault};

/// The greatest integer up to which doubles hold every whole number.
const INTEGER_MAX: u64 = 1 << 53;

/// Parses entries one after another.
pub(super) struct EntryReader {
    header: Header,
    size: Size,
    triangle: Option<Triangle>,
}

/// The side of the diagonal that a symmetric file lists, and the line that showed it.
struct Triangle {
    side: Ordering,
    line: u64,
}

impl EntryReader {
    pub(super) fn new(header: Header, size: Size) -> Self {
        Self { header, size, triangle: None }
    }

    pub(super) fn parse(&mut self, text: &str, line: u64) -> Result<Entry, MatrixFault> {
        let (expected, form) = match self.header.field {
            Field::Pattern => (2, "row column"),
            Field::Real | Field::Integer => (3, "row column value"),
        };
        let mut words = text.split_whitespace();
        let (row, column, value) = (words.next(), words.next(), words.next());
        let found = text.split_whitespace().count();
        let (Some(row), Some(column), true) = (row, column, found == expected) else {
            return Err(MatrixFault::Words { found, expected, form });
        };
        let entry = Entry {
            row: index("row", row, self.size.rows)?,
            column: index("column", column, self.size.columns)?,
            value: match (self.header.field, value) {
                (Field::Real, Some(word)) => real(word)?,
                (Field::Integer, Some(word)) => integer(word)?,
                _ => 1.0,
            },
        };
        self.keep_to_one_triangle(&entry, line)?;
        Ok(entry)
    }

    fn keep_to_one_triangle(&mut self, entry: &Entry, line: u64) -> Result<(), MatrixFault> {
        let side = entry.row.cmp(&entry.column);
        if self.header.symmetry == Symmetry::General || side == Ordering::Equal {
            return Ok(());
        }
        let triangle = self.triangle.get_or_insert(Triangle { side, line });
        if triangle.side == side {
            Ok(())
        } else {
            Err(MatrixFault::BothTriangles { other: triangle.line })
        }
    }
}

/// A one-based index as zero-based.
fn index(what: &'static str, word: &str, max: u32) -> Result<u32, MatrixFault> {
    match word.parse::<u32>() {
        Ok(number) if (1..=max).contains(&number) => Ok(number - 1),
        _ => Err(MatrixFault::Index { what, found: word.to_owned(), max }),
    }
}

fn real(word: &str) -> Result<f64, MatrixFault> {
    let value: f64 = word.parse().map_err(|_| MatrixFault::Value { found: word.to_owned() })?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(MatrixFault::NotFinite { found: word.to_owned() })
    }
}

fn integer(word: &str) -> Result<f64, MatrixFault> {
    match word.parse::<i64>() {
        // Exact: doubles hold every whole number up to the bound.
        Ok(number) if number.unsigned_abs() <= INTEGER_MAX => Ok(number as f64),
        _ => Err(MatrixFault::NotInteger { found: word.to_owned() }),
    }
}
