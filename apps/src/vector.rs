//! Vectors in files: right-hand sides to read, solutions to compare with.
//!
//! A file named `*.f64` holds doubles, little-endian, nothing else: the form that `cg --out` writes.
//! Any other file is text, one number a line, `%` or `#` beginning a comment; or a Matrix Market
//! array of one column; either may be compressed.
//!
//! Invariants: a vector returned has the length asked for and no NaN or infinity; memory grows with
//! that length, never with the file. Deliberately absent: guessing a format from the numbers.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::InputError;
use crate::input_error::SourceFault;
use crate::lines::Lines;

/// What can be wrong with a vector file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VectorFault {
    /// The text has too few numbers.
    #[error("the file ends after {found} numbers; the matrix has {expected} rows, give one a row")]
    TooFew {
        /// Numbers read.
        found: usize,
        /// Rows of the matrix.
        expected: usize,
    },
    /// The text has too many numbers.
    #[error("this is one number more than the {expected} rows of the matrix; remove it")]
    TooMany {
        /// Rows of the matrix.
        expected: usize,
    },
    /// A binary file of another size.
    #[error(
        "the file has {found} bytes and must have {expected}: 8 for each row of the matrix; \
         give the vector that belongs to it, or name a text file otherwise than .f64"
    )]
    Bytes {
        /// Bytes of the file.
        found: u64,
        /// Bytes needed.
        expected: u64,
    },
    /// A line that is no number.
    #[error("`{found}` is not a number; write one number a line, like -1.5e3")]
    Number {
        /// As in the file.
        found: String,
    },
    /// A number that is NaN, infinite or beyond the range of a double.
    #[error("`{found}` is not finite; replace it by a finite number")]
    NotFinite {
        /// As in the file.
        found: String,
    },
    /// A binary number that is NaN or infinite.
    #[error("number {place} of the file is {value}; replace it by a finite number")]
    NotFiniteAt {
        /// Its place, from 1.
        place: u64,
        /// What it is.
        value: f64,
    },
    /// A Matrix Market file other than an array of one column.
    #[error(
        "a Matrix Market vector begins with `%%MatrixMarket matrix array real general` and the \
         line `{expected} 1`; or give one number a line without a header"
    )]
    MatrixMarket {
        /// Rows of the matrix.
        expected: usize,
    },
}

/// Reads the vector of `length` numbers in the file at `path`.
///
/// # Errors
/// Whatever is wrong with the file, with its line and the mend.
pub fn read(path: &Path, length: usize) -> Result<Vec<f64>, InputError> {
    let binary = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("f64"));
    if binary { read_binary(path, length) } else { read_text(path, length) }
}

fn read_binary(path: &Path, length: usize) -> Result<Vec<f64>, InputError> {
    let open = |e| InputError::of_file(path, SourceFault::Open(e));
    let file = File::open(path).map_err(open)?;
    let expected = length as u64 * 8;
    let metadata = file.metadata().map_err(open)?;
    let mut bytes = Vec::new();
    // One byte more than needed tells a longer file from a right one, also for a pipe.
    let read = file.take(expected + 1).read_to_end(&mut bytes);
    read.map_err(|e| InputError::of_file(path, SourceFault::Read(e)))?;
    if bytes.len() as u64 != expected {
        let found = metadata.len().max(bytes.len() as u64);
        return Err(InputError::of_file(path, VectorFault::Bytes { found, expected }));
    }
    let (words, _) = bytes.as_chunks::<8>();
    let numbers: Vec<f64> = words.iter().map(|word| f64::from_le_bytes(*word)).collect();
    match numbers.iter().position(|value| !value.is_finite()) {
        None => Ok(numbers),
        Some(place) => {
            let fault = VectorFault::NotFiniteAt { place: place as u64 + 1, value: numbers[place] };
            Err(InputError::of_file(path, fault))
        }
    }
}

fn read_text(path: &Path, length: usize) -> Result<Vec<f64>, InputError> {
    let mut lines = Lines::open(path)?;
    let mut numbers = Vec::new();
    let mut size_is_next = false;
    while lines.advance()? {
        let text = lines.text().trim();
        if lines.number() == 1 && is_banner(text) {
            check_banner(text, length).map_err(|fault| lines.fault(fault))?;
            size_is_next = true;
        } else if text.is_empty() || text.starts_with(['%', '#']) {
        } else if size_is_next {
            check_size(text, length).map_err(|fault| lines.fault(fault))?;
            size_is_next = false;
        } else if numbers.len() == length {
            return Err(lines.fault(VectorFault::TooMany { expected: length }));
        } else {
            numbers.push(number(text).map_err(|fault| lines.fault(fault))?);
        }
    }
    if numbers.len() < length {
        let found = numbers.len();
        return Err(lines.fault(VectorFault::TooFew { found, expected: length }));
    }
    Ok(numbers)
}

/// Whether a first line announces Matrix Market; some files have one sign where two belong.
fn is_banner(text: &str) -> bool {
    let word = text.trim_start_matches('%').get(.."matrixmarket".len());
    text.starts_with('%') && word.is_some_and(|word| word.eq_ignore_ascii_case("matrixmarket"))
}

fn check_banner(text: &str, expected: usize) -> Result<(), VectorFault> {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "matrix", "array", "real" | "integer", "general"] => Ok(()),
        _ => Err(VectorFault::MatrixMarket { expected }),
    }
}

fn check_size(text: &str, expected: usize) -> Result<(), VectorFault> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [rows, "1"] if rows.parse() == Ok(expected) => Ok(()),
        _ => Err(VectorFault::MatrixMarket { expected }),
    }
}

fn number(text: &str) -> Result<f64, VectorFault> {
    let found = || text.chars().take(40).collect::<String>();
    let value: f64 = text.parse().map_err(|_| VectorFault::Number { found: found() })?;
    if value.is_finite() { Ok(value) } else { Err(VectorFault::NotFinite { found: found() }) }
}

#[cfg(test)]
mod tests;
