//! Matrix Market files in coordinate format, compressed or not.
//!
//! Read: `matrix coordinate`, `real`, `integer` or `pattern` (every entry 1), `general` or
//! `symmetric`. Refused by name: the array format, `complex`, `hermitian`, `skew-symmetric`.
//!
//! Invariants: entries keep the order of the file; indices are checked and become zero-based; a
//! symmetric file keeps to one triangle; memory grows with what was read, never with what the size
//! line claims. Deliberately absent: expansion of symmetry and summing of duplicates, which
//! [`crate::sparse`] does.
//!
//! # Source
//! R. Boisvert, R. Pozo, K. Remington, *The Matrix Market Exchange Formats*, NISTIR 5935, 1996.

mod entry;
mod fault;
mod header;

use std::path::Path;

pub use fault::MatrixFault;
pub use header::{Field, Symmetry};

use crate::InputError;
use crate::lines::Lines;
use entry::EntryReader;
use header::{Header, Size};

/// One stored entry, zero-based.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// The row.
    pub row: u32,
    /// The column.
    pub column: u32,
    /// The value.
    pub value: f64,
}

/// A matrix as its file lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Coordinates {
    /// The number of rows.
    pub rows: u32,
    /// The number of columns.
    pub columns: u32,
    /// Whether each entry off the diagonal stands for its mirror image too.
    pub symmetry: Symmetry,
    /// The entries in the order of the file.
    pub entries: Vec<Entry>,
}

/// Entries for which room is made before any was seen.
const FIRST_ROOM: u64 = 64 * 1024;

/// Reads the matrix in the file at `path`.
///
/// # Errors
/// Whatever is wrong with the file, with its line and the mend.
pub fn read(path: &Path) -> Result<Coordinates, InputError> {
    let mut lines = Lines::open(path)?;
    let header = Header::read(&mut lines)?;
    let size = Size::read(&mut lines, &header)?;
    let room = usize::try_from(size.entries.min(FIRST_ROOM)).unwrap_or_default();
    let mut entries = Vec::with_capacity(room);
    let mut reader = EntryReader::new(header, size);
    while lines.advance()? {
        if is_blank_or_comment(lines.text()) {
            continue;
        }
        if entries.len() as u64 == size.entries {
            return Err(lines.fault(MatrixFault::TooMany { claimed: size.entries }));
        }
        let number = lines.number();
        let entry = reader.parse(lines.text(), number).map_err(|fault| lines.fault(fault))?;
        entries.push(entry);
    }
    if (entries.len() as u64) < size.entries {
        let found = entries.len() as u64;
        return Err(lines.fault(MatrixFault::TooFew { found, claimed: size.entries }));
    }
    Ok(Coordinates { rows: size.rows, columns: size.columns, symmetry: header.symmetry, entries })
}

fn is_blank_or_comment(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty() || text.starts_with('%')
}

#[cfg(test)]
mod tests;
